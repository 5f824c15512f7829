// From a picture to what Cytoscape takes, and from one set of elements to the next in the fewest steps. Pure.
import type { Selection } from "../shell/router";
import { bendsOf, type Point } from "./paths";
import type { Picture } from "./picture";
import type { Shown } from "./shown";

/** An element as it should be. Places are those of nodes. */
export interface Element {
  id: string;
  group: "nodes" | "edges";
  source?: string;
  target?: string;
  classes: string;
  data: Readonly<Record<string, string | number | readonly number[]>>;
  position?: { x: number; y: number };
}

/** Above so many edges they are no elements: the lines are drawn apart (lines.ts), so that they are there in time. */
export const MANY = 1200;

/** Above so many edges lines are thinner and fainter, and of locks at one place the worst is drawn. */
export const CROWD = 250;

export function elementsOf(p: Picture, shown: Shown, selected: Selection | null): Element[] {
  const out: Element[] = [];
  const sel = selected ? `${selected.mesh} ${selected.id}` : "";
  const of = (id: string, ...classes: (string | false | undefined)[]) => {
    const list = classes.filter(Boolean);
    if (shown.hidden.has(id)) list.push("gone");
    if (shown.dim.has(id)) list.push("dim");
    if (id === sel) list.push("picked");
    return list.join(" ");
  };
  for (const b of p.boxes) {
    out.push({ id: b.id, group: "nodes", classes: of(b.id, "box", !b.node && "box-mesh"), data: { w: b.width, h: b.height }, position: { x: b.x + b.width / 2, y: b.y + b.height / 2 } });
  }
  for (const n of p.nodes) {
    const sidecar = n.node.kind === "workload" && n.node.capture === "none";
    out.push({
      id: n.id, group: "nodes", classes: of(n.id, "node", n.node.kind, `health-${n.health}`, n.collapsed && "collapsed", sidecar && "bare", n.node.name.length > 14 && "long"),
      data: { label: linesOf(n.node.name) }, position: { x: n.x, y: n.y },
    });
  }
  if (p.edges.length > MANY) return out;
  const crowd = p.edges.length > CROWD;
  for (const l of p.links) {
    const bends = l.led ? bendsOf(l.line) : undefined;
    out.push({ id: l.id, group: "edges", source: l.from, target: l.to, classes: of(l.id, "link", l.line.way, bends && "led", l.lock && `share-${l.lock}`), data: bends ? { cw: bends.weights, cd: bends.distances } : {} });
  }
  for (const e of p.edges) {
    const bends = bendsOf(e.line);
    out.push({
      id: e.id, group: "edges", source: e.from, target: e.to, classes: of(e.id, "edge", e.lock, e.weak && "weak", e.line.way),
      data: { w: crowd ? Math.max(1, e.width * 0.55) : e.width, cw: bends.weights, cd: bends.distances },
    });
  }
  return out;
}

/** A name in one line of 14 letters, or in two of so many (in smaller ones), broken where it has a joint. */
export function linesOf(name: string, letters = 17): string {
  if (name.length <= 14) return name;
  let cut = -1;
  for (let i = 4; i <= Math.min(letters, name.length - 2); i++) if (/[-._/]/.test(name.charAt(i - 1))) cut = i;
  if (cut < 0) cut = Math.min(letters, Math.ceil(name.length / 2) + 2);
  const rest = name.slice(cut);
  return name.slice(0, cut) + "\n" + (rest.length <= letters ? rest : rest.slice(0, letters - 1) + "…");
}

/** What has to be done so that one set of elements becomes another. */
export interface Steps {
  remove: string[];
  add: Element[];
  update: { id: string; classes?: string; data?: Element["data"]; position?: Point }[];
}

export function stepsBetween(before: ReadonlyMap<string, Element>, after: readonly Element[]): Steps {
  const out: Steps = { remove: [], add: [], update: [] };
  const seen = new Set<string>();
  const removed = new Set<string>();
  for (const e of after) seen.add(e.id);
  for (const id of before.keys()) if (!seen.has(id)) removed.add(id);
  for (const e of after) {
    const old = before.get(e.id);
    if (!old || old.group !== e.group || old.source !== e.source || old.target !== e.target) {
      if (old) removed.add(e.id);
      out.add.push(e);
      continue;
    }
    if (old === e) continue;
    const step: Steps["update"][number] = { id: e.id };
    if (old.classes !== e.classes) step.classes = e.classes;
    if (!same(old.data, e.data)) step.data = e.data;
    if (e.position && (old.position?.x !== e.position.x || old.position.y !== e.position.y)) step.position = e.position;
    if (step.classes !== undefined || step.data || step.position) out.update.push(step);
  }
  out.remove = [...removed];
  return out;
}

function same(a: Element["data"], b: Element["data"]): boolean {
  const keys = Object.keys(b);
  if (keys.length !== Object.keys(a).length) return false;
  return keys.every((k) => {
    const x = a[k];
    const y = b[k];
    return x === y || (Array.isArray(x) && Array.isArray(y) && x.length === y.length && x.every((v, i) => v === y[i]));
  });
}
