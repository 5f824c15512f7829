// A unified diff as lines to draw, with what differs within a line. Pure.

export type LineKind = "same" | "added" | "removed" | "gap";

export interface Line {
  kind: LineKind;
  text: string;
  /** Numbers of the line before and after, where it has one. */
  before?: number;
  after?: number;
  /** The part that differs from its counterpart, as [from, to); absent where there is none. */
  mark?: [number, number];
}

/** Lines of one file: headers are left out, a hunk begins with a gap unless it is at the top. */
export function parseUnified(text: string): Line[] {
  const out: Line[] = [];
  let before = 0;
  let after = 0;
  for (const raw of text.split("\n")) {
    const hunk = /^@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@/.exec(raw);
    if (hunk) {
      before = Number(hunk[1]);
      after = Number(hunk[2]);
      if (out.length > 0 || before > 1 || after > 1) out.push({ kind: "gap", text: `line ${after || before}` });
      continue;
    }
    if (before === 0 && after === 0) continue; // headers stand before the first hunk
    const rest = raw.slice(1);
    if (raw.startsWith("+")) out.push({ kind: "added", text: rest, after: after++ });
    else if (raw.startsWith("-")) out.push({ kind: "removed", text: rest, before: before++ });
    else if (raw.startsWith(" ")) out.push({ kind: "same", text: rest, before: before++, after: after++ });
  }
  return mark(out);
}

/** Marks what differs where as many lines were removed as were added in their place. */
function mark(lines: Line[]): Line[] {
  let i = 0;
  while (i < lines.length) {
    const gone = run(lines, i, "removed");
    const come = run(lines, i + gone, "added");
    if (gone > 0 && gone === come) {
      for (let k = 0; k < gone; k++) {
        const a = lines[i + k] as Line;
        const b = lines[i + gone + k] as Line;
        const [start, endA, endB] = differing(a.text, b.text);
        // Lines that have next to nothing in common are new ones.
        if (start + (a.text.length - endA) < a.text.length / 3) continue;
        if (endA > start) a.mark = [start, endA];
        if (endB > start) b.mark = [start, endB];
      }
    }
    i += Math.max(1, gone + come);
  }
  return lines;
}

function run(lines: readonly Line[], from: number, kind: LineKind): number {
  let n = 0;
  while (lines[from + n]?.kind === kind) n++;
  return n;
}

function differing(a: string, b: string): [number, number, number] {
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start++;
  let endA = a.length;
  let endB = b.length;
  while (endA > start && endB > start && a[endA - 1] === b[endB - 1]) {
    endA--;
    endB--;
  }
  return [start, endA, endB];
}

/** How many lines come and go. */
export function size(lines: readonly Line[]): { added: number; removed: number } {
  return { added: lines.filter((l) => l.kind === "added").length, removed: lines.filter((l) => l.kind === "removed").length };
}
