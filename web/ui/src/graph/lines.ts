// Lines of a large graph, drawn group by group: as elements of their own they would cost seconds.
import { endOf, startOf, type Line, type Point } from "./paths";
import type { DrawnEdge, Picture } from "./picture";
import type { Shown } from "./shown";
import { WEAK_DASHES, type Colours } from "./style";

interface Segment {
  key: string;
  x1: number;
  y1: number;
  x2: number;
  y2: number;
}

/** All lines of one colour, width and dash. */
interface Stroke {
  colour: string;
  width: number;
  weak: boolean;
  alpha: number;
  /** Four numbers a line. */
  points: number[];
}

/** The lines of a picture. They are straight, and have no arrows: they run from left to right but for a few. */
export class Lines {
  private strokes: Stroke[] = [];
  private segments: Segment[] = [];

  set(p: Picture, shown: Shown, c: Colours): void {
    const groups = new Map<string, Stroke>();
    this.segments = [];
    const put = (colour: string, width: number, weak: boolean, dim: boolean, l: { start: Point; end: Point }) => {
      const key = `${colour} ${width} ${weak} ${dim}`;
      let g = groups.get(key);
      if (!g) groups.set(key, (g = { colour, width, weak, alpha: dim ? 0.1 : 0.8, points: [] }));
      g.points.push(l.start.x, l.start.y, l.end.x, l.end.y);
    };
    const each = <T extends { id: string; line: Line }>(list: readonly T[], f: (t: T, l: { start: Point; end: Point }, dim: boolean) => void) => {
      for (const e of list) if (!shown.hidden.has(e.id)) f(e, { start: startOf(e.line.points), end: endOf(e.line.points) }, shown.dim.has(e.id));
    };
    each(p.links, (l, line, dim) => put(l.lock ? c[`--lock-${l.lock}`] : c["--line-strong"], 1, false, dim, line));
    each(p.edges, (e: DrawnEdge, line, dim) => {
      put(c[`--lock-${e.lock}`], Math.round(e.width), e.weak, dim, line);
      this.segments.push({ key: e.id, x1: line.start.x, y1: line.start.y, x2: line.end.x, y2: line.end.y });
    });
    // The dim ones first; of the others the locked ones: what needs a look lies on top.
    const calm = new Set([c["--line-strong"], c["--lock-locked"], c["--lock-unknown"]]);
    this.strokes = [...groups.values()].sort((a, b) => a.alpha - b.alpha || Number(calm.has(b.colour)) - Number(calm.has(a.colour)));
  }

  /** Draws all. The context is in the drawing's pixels already; widths stay visible from afar. */
  draw(ctx: CanvasRenderingContext2D, zoom: number): void {
    for (const s of this.strokes) {
      ctx.strokeStyle = s.colour;
      ctx.globalAlpha = s.alpha;
      ctx.lineWidth = Math.max(s.width, 0.7 / zoom);
      ctx.setLineDash(s.weak && zoom > 0.5 ? [...WEAK_DASHES] : []);
      const p = s.points;
      for (let i = 0; i < p.length; i += 4) {
        ctx.beginPath(); // one path of thousands takes twice as long without a graphics card
        ctx.moveTo(p[i] as number, p[i + 1] as number);
        ctx.lineTo(p[i + 2] as number, p[i + 3] as number);
        ctx.stroke();
      }
    }
    ctx.globalAlpha = 1;
    ctx.setLineDash([]);
  }

  /** Draws one again, to be seen: what is picked, or under the pointer. */
  mark(ctx: CanvasRenderingContext2D, key: string, colour: string, zoom: number): void {
    const s = this.segments.find((x) => x.key === key);
    if (!s) return;
    ctx.strokeStyle = colour;
    ctx.lineWidth = 8 / Math.max(zoom, 0.4);
    ctx.globalAlpha = 0.45;
    ctx.beginPath();
    ctx.moveTo(s.x1, s.y1);
    ctx.lineTo(s.x2, s.y2);
    ctx.stroke();
    ctx.globalAlpha = 1;
  }

  /** The line nearest to a point, no farther than reach; "" for none. */
  at(x: number, y: number, reach: number): string {
    let best = "";
    let least = reach * reach;
    for (const s of this.segments) {
      const dx = s.x2 - s.x1;
      const dy = s.y2 - s.y1;
      const t = Math.max(0, Math.min(1, ((x - s.x1) * dx + (y - s.y1) * dy) / (dx * dx + dy * dy || 1)));
      const d = (x - s.x1 - t * dx) ** 2 + (y - s.y1 - t * dy) ** 2;
      if (d < least) {
        least = d;
        best = s.key;
      }
    }
    return best;
  }
}

/** Where an element is in the drawing: the middle of a node, the lock of an edge. */
export function placeOf(p: Picture, key: string): Point | undefined {
  const n = p.nodes.find((x) => x.id === key);
  if (n) return { x: n.x, y: n.y };
  const b = p.boxes.find((x) => x.id === key);
  if (b) return { x: b.x + b.width / 2, y: b.y + 20 };
  return p.edges.find((x) => x.id === key)?.at;
}
