// How edges run: along the lines of the layout, or, where it has none, straight over. Pure.
export interface Point {
  x: number;
  y: number;
}

/** Size of a node: the layout leaves room for it. */
export const WIDTH = 156;
export const HEIGHT = 40;

/**
 * How a line runs: forward from the right side to the left one, back the other way, round by the right side, or down, from a
 * service to what stands beneath it.
 */
export type Way = "forward" | "back" | "round" | "down";

/**
 * A line between two nodes. It begins at the first point and ends at the last; between them it is a chain of quadratic curves,
 * each with one of the other points, which meet in the middle between two.
 */
export interface Line {
  way: Way;
  points: readonly Point[];
}

/** The line between the middles of two nodes, where the layout has none. Offset keeps lines between the same nodes apart. */
export function lineOf(a: Point, b: Point, offset = 0): Line {
  const half = WIDTH / 2;
  const way: Way = b.x - a.x > WIDTH + 8 ? "forward" : a.x - b.x > WIDTH + 8 ? "back" : "round";
  const start = { x: way === "back" ? a.x - half : a.x + half, y: a.y };
  const end = { x: way === "forward" ? b.x - half : b.x + half, y: b.y };
  const dx = end.x - start.x;
  if (way === "round") {
    const out = Math.max(start.x, end.x) + 46 + Math.abs(offset);
    return { way, points: [start, { x: out, y: start.y }, { x: out, y: end.y }, end] };
  }
  // It leaves and arrives level.
  return { way, points: [start, { x: start.x + 0.42 * dx, y: start.y + offset }, { x: end.x - 0.42 * dx, y: end.y + offset }, end] };
}

/** The line to what stands beneath: the nodes between lie on it. */
export function lineDown(a: Point, b: Point): Line {
  const start = { x: a.x, y: a.y + HEIGHT / 2 };
  const end = { x: b.x, y: b.y - HEIGHT / 2 };
  return { way: "down", points: [start, middle(start, end), end] };
}

/** A line of the layout, between the middles of two nodes. */
export function lineAlong(points: readonly Point[], a: Point, b: Point): Line {
  const start = startOf(points);
  const end = endOf(points);
  return { way: start.x < a.x ? "back" : end.x < b.x ? "forward" : "round", points };
}

const zero: Point = { x: 0, y: 0 };
export const startOf = (points: readonly Point[]): Point => points[0] ?? zero;
export const endOf = (points: readonly Point[]): Point => points[points.length - 1] ?? zero;

export const middle = (a: Point, b: Point): Point => ({ x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 });

/** The curves of a line: from where, bent by what, to where. */
export function curvesOf(l: Line): readonly (readonly [Point, Point, Point])[] {
  const out: [Point, Point, Point][] = [];
  let from = startOf(l.points);
  const last = l.points.length - 1;
  for (let i = 1; i < last; i++) {
    const bend = l.points[i] as Point;
    const to = i < last - 1 ? middle(bend, l.points[i + 1] as Point) : endOf(l.points);
    out.push([from, bend, to]);
    from = to;
  }
  return out;
}

/** In how many straight pieces a curve is measured. */
const pieces = 6;

/** Points along a line, near enough to measure it. */
function flat(l: Line): Point[] {
  const out = [startOf(l.points)];
  for (const [a, b, c] of curvesOf(l)) {
    for (let i = 1; i <= pieces; i++) {
      const t = i / pieces;
      const s = 1 - t;
      out.push({ x: s * s * a.x + 2 * s * t * b.x + t * t * c.x, y: s * s * a.y + 2 * s * t * b.y + t * t * c.y });
    }
  }
  return out;
}

/** Where the lock of a line may be, best first: in the middle, or, of a long one, beside its client, and farther on. */
export function lockPlaces(l: Line): readonly Point[] {
  const points = flat(l);
  const lengths = points.slice(1).map((p, i) => Math.hypot(p.x - (points[i] as Point).x, p.y - (points[i] as Point).y));
  const total = lengths.reduce((sum, n) => sum + n, 0);
  const at = (length: number): Point => {
    for (let i = 0; i < lengths.length; i++) {
      const n = lengths[i] as number;
      const a = points[i] as Point;
      const b = points[i + 1] as Point;
      if (length <= n && n > 0) return { x: a.x + ((b.x - a.x) * length) / n, y: a.y + ((b.y - a.y) * length) / n };
      length -= n;
    }
    return endOf(points);
  };
  const best = Math.abs(endOf(l.points).x - startOf(l.points).x) < 190 ? Math.min(total / 2, 200) : 72;
  return [0, 26, -26, 52, 78, 104, 156].map((d) => best + d).filter((d, i) => i === 0 || (d > 24 && d < total - 34)).map(at);
}

/** The bending points in Cytoscape's terms: shares of the way from end to end, and distances from that line. */
export function bendsOf(l: Line): { weights: readonly number[]; distances: readonly number[] } {
  const start = startOf(l.points);
  const end = endOf(l.points);
  const dx = end.x - start.x;
  const dy = end.y - start.y;
  const length = Math.hypot(dx, dy) || 1;
  const round = (n: number) => Math.round(n * 10_000) / 10_000;
  const bends = l.points.slice(1, -1).map((p) => ({ x: p.x - start.x, y: p.y - start.y }));
  return {
    weights: bends.map((p) => round((p.x * dx + p.y * dy) / (length * length))),
    distances: bends.map((p) => round((p.y * dx - p.x * dy) / length)),
  };
}
