// From a picture to what Cytoscape takes, and from one set of elements to the next in the fewest steps. Pure.
import type { Selection } from "../shell/router";
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
  const places = new Map(p.nodes.map((n) => [n.id, n]));
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
    const a = places.get(l.from);
    const b = places.get(l.to);
    if (a && b) out.push({ id: l.id, group: "edges", source: l.from, target: l.to, classes: of(l.id, "link", lineOf(a, b).way, l.lock && `share-${l.lock}`), data: {} });
  }
  for (const e of p.edges) {
    const a = places.get(e.from);
    const b = places.get(e.to);
    if (!a || !b) continue;
    const line = lineOf(a, b, e.offset);
    const bends = bendsOf(line);
    out.push({
      id: e.id, group: "edges", source: e.from, target: e.to, classes: of(e.id, "edge", e.lock, e.weak && "weak", line.way),
      data: { w: crowd ? Math.max(1, e.width * 0.55) : e.width, cw: bends.weights, cd: bends.distances },
    });
  }
  return out;
}

export interface Point {
  x: number;
  y: number;
}

/** Size of a node: the layout leaves room for it. */
export const WIDTH = 156;
export const HEIGHT = 40;

/** How a line runs: forward from the right side to the left one, back the other way, or round by the right side. */
export type Way = "forward" | "back" | "round";

/** A line between two nodes: its ends, and the two points that bend it. */
export interface Line {
  way: Way;
  start: Point;
  first: Point;
  second: Point;
  end: Point;
}

/** The line between the middles of two nodes. It leaves and arrives level, as it reads in a layout from left to right. */
export function lineOf(a: Point, b: Point, offset = 0): Line {
  const half = WIDTH / 2;
  const way: Way = b.x - a.x > WIDTH + 8 ? "forward" : a.x - b.x > WIDTH + 8 ? "back" : "round";
  const start = { x: way === "back" ? a.x - half : a.x + half, y: a.y };
  const end = { x: way === "forward" ? b.x - half : b.x + half, y: b.y };
  const dx = end.x - start.x;
  if (way === "round") {
    const out = Math.max(start.x, end.x) + 46 + Math.abs(offset);
    return { way, start, first: { x: out, y: start.y }, second: { x: out, y: end.y }, end };
  }
  // Near the ends it is level; offset keeps lines between the same nodes apart in the middle.
  return { way, start, first: { x: start.x + 0.42 * dx, y: start.y + offset }, second: { x: end.x - 0.42 * dx, y: end.y + offset }, end };
}

/** The middle of a line. */
export function middleOf(l: Line): Point {
  return { x: (l.first.x + l.second.x) / 2, y: (l.first.y + l.second.y) / 2 };
}

/**
 * Where the lock of a line is: in the middle, or, where the line runs past other columns, in the gap after its client, where
 * nothing else stands.
 */
export function lockPlace(l: Line): Point {
  const m = middleOf(l);
  const dx = Math.abs(l.end.x - l.start.x);
  if (l.way === "round" || dx < 190) return m;
  const t = 72 / dx;
  const at = (a: number, b: number, c: number) => (1 - t) * (1 - t) * a + 2 * t * (1 - t) * b + t * t * c;
  return { x: at(l.start.x, l.first.x, m.x), y: at(l.start.y, l.first.y, m.y) };
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

/** The bending points in Cytoscape's terms: shares of the way from end to end, and distances from that line. */
export function bendsOf(l: Line): { weights: readonly number[]; distances: readonly number[] } {
  const dx = l.end.x - l.start.x;
  const dy = l.end.y - l.start.y;
  const length = Math.hypot(dx, dy) || 1;
  const round = (n: number) => Math.round(n * 1000) / 1000;
  const points = [l.first, l.second].map((p) => ({ x: p.x - l.start.x, y: p.y - l.start.y }));
  return {
    weights: points.map((p) => round((p.x * dx + p.y * dy) / (length * length))),
    distances: points.map((p) => round((p.y * dx - p.x * dy) / length)),
  };
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
