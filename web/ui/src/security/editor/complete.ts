// What may be written at a place of a YAML document: by the keys above it, read from the indentation. Pure.
import { documentFields, type Field } from "./schema";

/** Where the cursor is. */
export interface Place {
  /** Kind of the document; "" where it is not written. */
  kind: string;
  /** Keys from the top to what is above the cursor. */
  path: readonly string[];
  /** The key whose value is written; null where a key is. */
  key: string | null;
  /** Where the word at the cursor begins, as an offset. */
  from: number;
  /** Keys that stand beside it already. */
  taken: readonly string[];
}

export interface Offer {
  label: string;
  /** What is put in. */
  insert: string;
  doc: string;
  kind: "key" | "value";
}

interface Line {
  indent: number;
  /** Where the key begins, after dashes of a list. */
  at: number;
  key: string | null;
  value: string;
  dash: boolean;
}

/** Reads a line as far as keys go; null for one that is empty or a comment. */
function readLine(text: string): Line | null {
  const m = /^(\s*)((?:-\s+)*)(-\s*$)?(.*)$/.exec(text);
  if (!m) return null;
  const indent = m[1]?.length ?? 0;
  const dashes = (m[2]?.length ?? 0) + (m[3]?.length ?? 0);
  const rest = m[4] ?? "";
  if (rest.startsWith("#") || (rest === "" && dashes === 0)) return null;
  const kv = /^("[^"]*"|'[^']*'|[^\s:#][^:#]*?)\s*:(?:\s+(.*)|\s*)$/.exec(rest);
  return { indent, at: indent + dashes, key: kv ? unquote(kv[1] ?? "") : null, value: kv?.[2] ?? "", dash: dashes > 0 };
}

const unquote = (s: string) => s.replace(/^(["'])(.*)\1$/, "$2");

/** The lines of the document in which an offset is, and which of them that is. */
function documentAt(text: string, offset: number): { lines: string[]; index: number; column: number } {
  const before = text.slice(0, offset).split("\n");
  const all = text.split("\n");
  const at = before.length - 1;
  let start = at;
  while (start > 0 && !(all[start] ?? "").startsWith("---")) start--;
  if ((all[start] ?? "").startsWith("---")) start++;
  let end = at + 1;
  while (end < all.length && !(all[end] ?? "").startsWith("---")) end++;
  return { lines: all.slice(start, end), index: at - start, column: before[at]?.length ?? 0 };
}

/** Where the cursor is in the document; null in a comment or between documents. */
export function placeAt(text: string, offset: number): Place | null {
  const { lines, index, column } = documentAt(text, offset);
  const current = lines[index];
  if (current === undefined) return null;
  const head = current.slice(0, column);
  if (/(^|\s)#/.test(head)) return null;
  const kind = lines.map((l) => /^kind:\s*["']?([A-Za-z]+)/.exec(l)?.[1]).find(Boolean) ?? "";
  const value = /^(\s*(?:-\s+)*)("[^"]*"|'[^']*'|[^\s:#][^:#]*?)\s*:\s+(\S*)$/.exec(head);
  const lead = /^(\s*(?:-\s+)*)/.exec(head)?.[1]?.length ?? 0;
  const begin = value ? offset - (value[3]?.length ?? 0) : offset - (column - lead);
  const path = above(lines, index, lead, /^\s*-\s/.test(head));
  // An item of a list of plain values has no key.
  return { kind, path, key: value ? unquote(value[2] ?? "") : null, from: begin, taken: value ? [] : beside(lines, index, lead) };
}

/** Keys above a line that begins its key at a column. */
function above(lines: readonly string[], index: number, column: number, dash: boolean): string[] {
  const path: string[] = [];
  let limit = column;
  const own = /^\s*/.exec(lines[index] ?? "")?.[0].length ?? 0;
  // The key of a list may stand in the column of its dashes.
  let list = dash ? own : -1;
  for (let i = index - 1; i >= 0; i--) {
    const l = readLine(lines[i] ?? "");
    if (!l) continue;
    if (l.key !== null && l.value === "" && (l.at < limit || (list >= 0 && l.at === list && l.at <= limit))) {
      if (list >= 0 && l.at > list) continue;
      path.unshift(l.key);
      limit = l.at;
      list = l.dash ? l.indent : -1;
    } else if (l.dash && l.at === limit) {
      list = l.indent; // the first key of the item that this one is in
    } else if (l.key !== null && l.at < limit && l.dash) {
      limit = l.at;
      list = l.indent;
    }
    if (limit === 0) break;
  }
  return path;
}

/** Keys of the same object, before and after a line. */
function beside(lines: readonly string[], index: number, column: number): string[] {
  const out: string[] = [];
  const look = (from: number, step: number) => {
    for (let i = from; i >= 0 && i < lines.length; i += step) {
      const l = readLine(lines[i] ?? "");
      if (!l) continue;
      if (l.at < column) return;
      if (step > 0 && l.dash && l.indent < column) return; // the next item
      if (l.at === column && l.key !== null) out.push(l.key);
      if (step < 0 && l.dash && l.indent < column) return;
    }
  };
  const own = readLine(lines[index] ?? "");
  if (!(own?.dash ?? false)) look(index - 1, -1);
  look(index + 1, 1);
  return out;
}

/** The field that a path names; undefined for what is not known. */
export function fieldAt(kind: string, path: readonly string[]): Field | undefined {
  let keys: Readonly<Record<string, Field>> | undefined = documentFields(kind);
  let field: Field | undefined;
  for (const p of path) {
    field = keys?.[p] ?? keys?.["*"];
    if (!field) return undefined;
    keys = field.keys;
  }
  return field;
}

/** What may be written at a place. */
export function offers(place: Place): Offer[] {
  if (place.key !== null) {
    const field = fieldAt(place.kind, [...place.path, place.key]);
    return (field?.values ?? []).map((v) => ({ label: v, insert: v, doc: field?.doc ?? "", kind: "value" as const }));
  }
  const parent = place.path.length === 0 ? undefined : fieldAt(place.kind, place.path);
  const keys = place.path.length === 0 ? documentFields(place.kind) : parent?.keys;
  const out: Offer[] = [];
  for (const [name, field] of Object.entries(keys ?? {})) {
    if (name === "*" || place.taken.includes(name)) continue;
    out.push({ label: name, insert: name + ":" + (field.keys || field.list ? "" : " "), doc: field.doc, kind: "key" });
  }
  if (parent?.list && parent.values) for (const v of parent.values) out.push({ label: v, insert: v, doc: parent.doc, kind: "value" });
  return out;
}
