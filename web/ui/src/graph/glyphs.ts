// What is drawn above the lines: the lock of each edge, the kind of each node, versions and marks. Each part is a path in
// a square of 16, for the canvas and for the SVG export alike.
import type { Lock } from "../api/types";
import { LOCK_SHAPES } from "../ui/LockIcon";
import { CROWD } from "./elements";
import { HEIGHT, WIDTH } from "./paths";
import type { DrawnEdge, DrawnNode, Picture } from "./picture";
import type { Colours } from "./style";

export const KIND_GLYPHS: Record<string, string> = {
  workload: "M8 2l5.2 3v6L8 14l-5.2-3V5zM8 8l5.2-3M8 8L2.8 5M8 8v6",
  service: "M8 4.5a1.5 1.5 0 1 0 0-3 1.5 1.5 0 0 0 0 3zM3.5 13.5a1.5 1.5 0 1 0 0-3 1.5 1.5 0 0 0 0 3zM12.5 13.5a1.5 1.5 0 1 0 0-3 1.5 1.5 0 0 0 0 3zM8 4.5v3.5M8 8l-3.6 3M8 8l3.6 3",
  ingress: "M2 8h7M6.5 5L9.5 8l-3 3M9 2.5h4.5v11H9",
  gateway: "M2 8h7M6.5 5L9.5 8l-3 3M9 2.5h4.5v11H9",
  egress: "M6.5 8h7M11 5l3 3-3 3M7 2.5H2.5v11H7",
  outside: "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12zM2 8h12M8 2c2.2 2 2.2 10 0 12M8 2c-2.2 2-2.2 10 0 12",
  namespace: "M2.5 2.5h4.5V7H2.5zM9 2.5h4.5V7H9zM2.5 9h4.5v4.5H2.5zM9 9h4.5v4.5H9z",
};

export const glyphOf = (n: DrawnNode): string => KIND_GLYPHS[n.node.kind === "workload" && n.node.gateway ? "gateway" : n.node.kind] ?? "";

/** A lock with the colours of its disc: open and broken ones are drawn on their own colour. */
export function lockInk(lock: Lock, c: Colours): { disc: string; ring: string; ink: string } {
  const colour = c[`--lock-${lock}`];
  return lock === "broken" || lock === "open" ? { disc: colour, ring: colour, ink: c["--surface"] } : { disc: c["--surface"], ring: colour, ink: colour };
}

const paths = new Map<string, Path2D>();

function path(d: string): Path2D {
  let p = paths.get(d);
  if (!p) paths.set(d, (p = new Path2D(d)));
  return p;
}

export interface Overlay {
  picture: Picture;
  /** The edges, worst first. */
  ordered: readonly DrawnEdge[];
  hidden: ReadonlySet<string>;
  dim: ReadonlySet<string>;
  colours: Colours;
  font: string;
}

interface View {
  zoom: number;
  /** The part that is seen, in the drawing's own pixels. */
  x1: number;
  y1: number;
  x2: number;
  y2: number;
  /** Where a node is now: while it moves, it is not where it will be. */
  place: (n: DrawnNode) => { x: number; y: number };
  moving: boolean;
}

/** Draws everything that is seen and large enough to tell. The context is in the drawing's pixels already. */
export function drawOverlay(ctx: CanvasRenderingContext2D, o: Overlay, v: View): void {
  const seen = (x: number, y: number) => x > v.x1 - 40 && x < v.x2 + 40 && y > v.y1 - 40 && y < v.y2 + 40;
  const at = new Map<string, { x: number; y: number }>();
  const moved = new Map<string, { x: number; y: number }>();
  for (const n of o.picture.nodes) {
    const p = v.place(n);
    at.set(n.id, p);
    if (v.moving) moved.set(n.id, { x: p.x - n.x, y: p.y - n.y });
  }
  ctx.lineCap = "round";
  ctx.lineJoin = "round";
  drawBoxNames(ctx, o, v);
  if (v.zoom >= 0.2) {
    const grow = Math.min(2, Math.max(1, 0.78 / v.zoom));
    const taken = new Taken(v.zoom);
    const room = o.ordered.length > CROWD ? 11 : 4;
    const locks: { e: DrawnEdge; m: { x: number; y: number }; label: boolean }[] = [];
    // The worst first: where places are taken, it is the one that shows.
    for (const e of o.ordered) {
      if (o.hidden.has(e.id)) continue;
      const m = withEnds(e, moved);
      if (!seen(m.x, m.y) || !taken.take(m.x, m.y, room * grow, room * grow)) continue;
      locks.push({ e, m, label: false });
    }
    // No label takes the place of a lock.
    if (v.zoom >= 0.34) {
      for (const l of locks) l.label = l.e.label !== "" && taken.take(l.m.x, l.m.y + 19 * grow, (6 + l.e.label.length * 5.4) * grow, 9 * grow);
    }
    for (const { e, m, label } of locks) {
      ctx.globalAlpha = o.dim.has(e.id) ? 0.13 : 1;
      drawLock(ctx, o, e, m, grow, label);
    }
  }
  if (v.zoom >= 0.4) {
    for (const n of o.picture.nodes) {
      const p = at.get(n.id);
      if (!p || o.hidden.has(n.id) || !seen(p.x, p.y)) continue;
      ctx.globalAlpha = o.dim.has(n.id) ? 0.13 : 1;
      drawNode(ctx, o, n, p);
    }
  }
  ctx.globalAlpha = 1;
}

/** Where a lock is now: while its nodes move, it moves with them. */
function withEnds(e: DrawnEdge, moved: ReadonlyMap<string, { x: number; y: number }>): { x: number; y: number } {
  const a = moved.get(e.from);
  const b = moved.get(e.to);
  return a && b ? { x: e.at.x + (a.x + b.x) / 2, y: e.at.y + (a.y + b.y) / 2 } : e.at;
}

/** Which places of the screen have something already, in cells of a few pixels. */
class Taken {
  private readonly cells = new Set<number>();

  constructor(private readonly zoom: number) {}

  /** Takes a rectangle around a point, if it is free. */
  take(x: number, y: number, width: number, height: number): boolean {
    const cell = 6;
    const left = Math.floor(((x - width / 2) * this.zoom) / cell);
    const right = Math.floor(((x + width / 2) * this.zoom) / cell);
    const top = Math.floor(((y - height / 2) * this.zoom) / cell);
    const bottom = Math.floor(((y + height / 2) * this.zoom) / cell);
    const mine: number[] = [];
    for (let i = left; i <= right; i++) {
      for (let j = top; j <= bottom; j++) {
        const key = i * 100_003 + j;
        if (this.cells.has(key)) return false;
        mine.push(key);
      }
    }
    for (const key of mine) this.cells.add(key);
    return true;
  }
}

function drawBoxNames(ctx: CanvasRenderingContext2D, o: Overlay, v: View): void {
  const size = Math.min(26, Math.max(12, 11 / v.zoom));
  for (const b of o.picture.boxes) {
    if (o.hidden.has(b.id) || b.x > v.x2 || b.x + b.width < v.x1 || b.y > v.y2 || b.y + b.height < v.y1) continue;
    ctx.font = `600 ${size}px ${o.font}`;
    ctx.fillStyle = o.colours[b.node ? "--text-faint" : "--text-soft"];
    ctx.globalAlpha = o.dim.has(b.id) ? 0.4 : 1;
    ctx.fillText(b.name, b.x + 10, b.y + size + 5, Math.max(20, b.width - 16));
  }
  ctx.globalAlpha = 1;
}

function drawLock(ctx: CanvasRenderingContext2D, o: Overlay, e: DrawnEdge, m: { x: number; y: number }, grow: number, label: boolean): void {
  const c = o.colours;
  const { disc, ring, ink } = lockInk(e.lock, c);
  ctx.save();
  ctx.translate(m.x, m.y);
  ctx.scale(grow, grow);
  if (label) drawWords(ctx, o, e.label);
  if (e.weak) ctx.scale(0.75, 0.75);
  ctx.beginPath();
  ctx.arc(0, 0, 9, 0, 2 * Math.PI);
  ctx.fillStyle = disc;
  ctx.fill();
  ctx.strokeStyle = ring;
  ctx.lineWidth = 1.2;
  ctx.stroke();
  ctx.translate(-6, -6.4);
  ctx.scale(0.75, 0.75);
  const s = LOCK_SHAPES[e.lock];
  ctx.strokeStyle = ctx.fillStyle = ink;
  ctx.lineWidth = 1.7;
  if (s.solid) ctx.fill(path(s.solid));
  if (s.half) ctx.fill(path(s.half));
  ctx.stroke(path(s.lines));
  ctx.restore();
  if (e.marker) drawMark(ctx, c, e.marker, m.x + 8 * grow, m.y - 8 * grow);
}

/** The label of an edge, below its lock. */
function drawWords(ctx: CanvasRenderingContext2D, o: Overlay, words: string): void {
  ctx.font = `500 10.5px ${o.font}`;
  ctx.textAlign = "center";
  ctx.lineWidth = 3.5;
  ctx.strokeStyle = o.colours["--ground"];
  ctx.strokeText(words, 0, 20.5);
  ctx.fillStyle = o.colours["--text-soft"];
  ctx.fillText(words, 0, 20.5);
  ctx.textAlign = "start";
}

/** A triangle for a warning, a diamond for an error: they differ without their colours. */
export const MARKS = { warning: "M0-6l6 10.5H-6z", error: "M0-6.5L6.5 0 0 6.5-6.5 0z" } as const;

function drawMark(ctx: CanvasRenderingContext2D, c: Colours, kind: "error" | "warning", x: number, y: number): void {
  ctx.save();
  ctx.translate(x, y);
  ctx.fillStyle = c[kind === "error" ? "--error" : "--warning"];
  ctx.strokeStyle = c["--surface"];
  ctx.lineWidth = 1.5;
  ctx.stroke(path(MARKS[kind]));
  ctx.fill(path(MARKS[kind]));
  ctx.fillStyle = c["--surface"];
  ctx.fillRect(-0.8, -2.8, 1.6, 3.6);
  ctx.fillRect(-0.8, 1.6, 1.6, 1.6);
  ctx.restore();
}

function drawNode(ctx: CanvasRenderingContext2D, o: Overlay, n: DrawnNode, p: { x: number; y: number }): void {
  const c = o.colours;
  ctx.save();
  ctx.translate(p.x - WIDTH / 2 + 11, p.y - 9);
  ctx.scale(18 / 16, 18 / 16);
  ctx.strokeStyle = c[n.node.kind === "workload" && n.node.capture === "none" ? "--text-faint" : "--accent"];
  ctx.lineWidth = 1.3;
  ctx.stroke(path(glyphOf(n)));
  ctx.restore();
  const tag = tagOf(n);
  if (tag) drawTag(ctx, o, tag, p.x + WIDTH / 2 - 8, p.y + HEIGHT / 2);
  if (n.marker) drawMark(ctx, c, n.marker, p.x + WIDTH / 2 - 8, p.y - HEIGHT / 2);
}

/** What stands at the corner of a node: its version, how many it stands for, or that it has no sidecar. */
export function tagOf(n: DrawnNode): string {
  if (n.members > 0) return `${n.members}`;
  if (n.node.kind === "workload" && n.node.capture === "none") return "no sidecar";
  return n.node.version ?? "";
}

function drawTag(ctx: CanvasRenderingContext2D, o: Overlay, text: string, x: number, y: number): void {
  ctx.font = `600 9.5px ${o.font}`;
  const words = text.length > 14 ? text.slice(0, 13) + "…" : text;
  const width = ctx.measureText(words).width + 9;
  x -= width / 2; // x is where it ends
  ctx.beginPath();
  ctx.roundRect(x - width / 2, y - 6.5, width, 13, 6.5);
  ctx.fillStyle = o.colours["--text-soft"];
  ctx.fill();
  ctx.fillStyle = o.colours["--surface"];
  ctx.textAlign = "center";
  ctx.textBaseline = "middle";
  ctx.fillText(words, x, y + 0.5);
  ctx.textAlign = "start";
  ctx.textBaseline = "alphabetic";
}
