// What is drawn: nodes, boxes and edges with their places, words and widths, from what the API gives. Pure.
import type { Edge, Finding, Graph, GraphNode, Lock } from "../api/types";
import { duration, number, percent, rate } from "../ui/format";
import { endNames } from "../ui/names";
import { attempts, rateOf } from "./facts";
import { lineAlong, lineDown, lineOf, lockPlaces, startOf, endOf, HEIGHT, WIDTH, type Line, type Point } from "./paths";

/** What stands at an edge beside its lock. */
export const LABELS = {
  mtls: "mTLS share",
  rate: "Rate",
  errors: "Errors",
  p50: "Median",
  p90: "p90",
  p99: "p99",
  policy: "Policy",
  port: "Port",
  none: "No label",
} as const;
export type Label = keyof typeof LABELS;

/** How the traffic that comes to a node does: idle has none, none cannot have any that is counted. */
export type Health = "good" | "some" | "bad" | "idle";

export interface DrawnNode {
  id: string;
  mesh: string;
  node: GraphNode;
  x: number;
  y: number;
  /** A namespace, or an application, whose nodes are not drawn one by one. */
  collapsed: boolean;
  /** How many nodes a collapsed one stands for; 0 where that is not known, and for others. */
  members: number;
  health: Health;
  marker: Marker;
}

/** The gravest finding; "" without one that matters. */
export type Marker = "" | "error" | "warning";

export interface DrawnBox {
  id: string;
  mesh: string;
  name: string;
  /** The namespace; undefined for the box of a whole mesh, where several are drawn. */
  node?: GraphNode;
  x: number;
  y: number;
  width: number;
  height: number;
}

export interface DrawnEdge {
  id: string;
  mesh: string;
  edge: Edge;
  from: string;
  to: string;
  lock: Lock;
  weak: boolean;
  width: number;
  label: string;
  marker: Marker;
  line: Line;
  /** Where its lock is. */
  at: Point;
}

/** From a service to a workload behind it: no connection of its own. */
export interface DrawnLink {
  id: string;
  mesh: string;
  from: string;
  to: string;
  /** Of what this workload got, where that differs from its edge; else undefined. */
  lock?: Lock;
  line: Line;
  /** It is led around nodes; else the workload stands beneath, or the line is straight. */
  led: boolean;
}

export interface Picture {
  width: number;
  height: number;
  nodes: DrawnNode[];
  boxes: DrawnBox[];
  edges: DrawnEdge[];
  links: DrawnLink[];
}

/** The key of a node or edge in a picture: several meshes may be in one. */
export const keyOf = (mesh: string, id: string): string => `${mesh} ${id}`;

/** Draws the graphs of one mesh, or of several, below or beside each other: as they are larger on a screen of this aspect. */
export function pictureOf(graphs: readonly { mesh: string; graph: Graph }[], label: Label, aspect = 1.7): Picture {
  const out: Picture = { width: 0, height: 0, nodes: [], boxes: [], edges: [], links: [] };
  const widths = graphs.map((g) => g.graph.layout?.width ?? 0);
  const heights = graphs.map((g) => g.graph.layout?.height ?? 0);
  const sum = (list: number[]) => list.reduce((a, b) => a + b, 0);
  const beside = Math.min(aspect / sum(widths), 1 / Math.max(...heights)) > Math.min(aspect / Math.max(...widths), 1 / sum(heights));
  for (const { mesh, graph } of graphs) {
    const many = graphs.length > 1;
    const left = many ? 24 + (beside ? out.width : 0) : 0;
    const top = many ? 56 + (beside ? 0 : out.height) : 0;
    const size = addMesh(out, mesh, graph, left, top, label);
    if (many) out.boxes.unshift({ id: keyOf(mesh, "mesh"), mesh, name: mesh, x: left - 24, y: top - 40, width: size.width + 48, height: size.height + 56 });
    out.width = Math.max(out.width, left + size.width + (many ? 24 + (beside ? 40 : 0) : 0));
    out.height = Math.max(out.height, top + size.height + (many ? 40 : 0));
  }
  return out;
}

function addMesh(out: Picture, mesh: string, g: Graph, left: number, top: number, label: Label): { width: number; height: number } {
  const byID = new Map(g.nodes.map((n) => [n.id, n]));
  const places = new Map(Object.entries(g.layout?.nodes ?? {}));
  const size = { width: g.layout?.width ?? 0, height: g.layout?.height ?? 0 };
  const boxed = new Set(g.layout?.boxes.map((b) => b.id));
  const shares = shareLocks(g.edges);
  let strays = 0;
  for (const n of g.nodes) {
    let at = places.get(n.id);
    if (!at) {
      if (n.kind === "namespace") continue; // a box, or empty
      at = { x: 110 + (strays % 6) * 190, y: size.height + 40 + Math.floor(strays / 6) * 64 }; // newer than the layout
      strays++;
    }
    out.nodes.push({ id: keyOf(mesh, n.id), mesh, node: n, x: at.x + left, y: at.y + top, ...groupOf(n, boxed), health: healthOf(n), marker: markerOf(n.findings) });
  }
  const drawn = new Map(out.nodes.map((n) => [n.id, n]));
  const lines = linesOf(g, left, top);
  for (const n of g.nodes) {
    for (const e of n.endpoints ?? []) {
      const from = drawn.get(keyOf(mesh, n.id));
      const to = drawn.get(keyOf(mesh, e));
      if (!from || !to) continue;
      const points = lines.get(`${n.id}~${e}`);
      const line = points ? lineAlong(points, from, to) : from.x === to.x && from.y < to.y ? lineDown(from, to) : lineOf(from, to);
      out.links.push({ id: keyOf(mesh, `${n.id}~${e}`), mesh, from: from.id, to: to.id, lock: shares.get(n.id + " " + e), led: points !== undefined, line });
    }
  }
  if (strays > 0) size.height += 84 + Math.floor((strays - 1) / 6) * 64;
  for (const b of g.layout?.boxes ?? []) {
    out.boxes.push({ id: keyOf(mesh, b.id), mesh, name: byID.get(b.id)?.name ?? b.id, node: byID.get(b.id), x: b.x + left, y: b.y + top, width: b.width, height: b.height });
  }
  addEdges(out, mesh, { graph: g, drawn, lines }, label);
  return size;
}

/** The lines of a layout, where its drawing begins at left and top. */
function linesOf(g: Graph, left: number, top: number): ReadonlyMap<string, readonly Point[]> {
  return new Map(Object.entries(g.layout?.lines ?? {}).map(([id, points]) => [id, points.map((p) => ({ x: p.x + left, y: p.y + top }))]));
}

/** Whether a node stands for several. */
function groupOf(n: GraphNode, boxed: ReadonlySet<string>): { collapsed: boolean; members: number } {
  const members = "members" in n && typeof n.members === "number" ? n.members : 0;
  return { collapsed: members > 0 || n.id.startsWith("app/") || (n.kind === "namespace" && !boxed.has(n.id)), members };
}

/** What the API calls a collapsed group, to have it expanded: "NAMESPACE" or "NAMESPACE/APP". */
export function groupName(id: string): string {
  return id.replace(/^(namespace|app)\//, "");
}

interface Placed {
  graph: Graph;
  drawn: ReadonlyMap<string, DrawnNode>;
  lines: ReadonlyMap<string, readonly Point[]>;
}

function addEdges(out: Picture, mesh: string, placed: Placed, label: Label): void {
  const between = new Map<string, string[]>();
  const pairOf = (e: Edge) => (e.from < e.to ? e.from + ">" + e.to : e.to + ">" + e.from);
  for (const e of placed.graph.edges) {
    const list = between.get(pairOf(e));
    if (list) list.push(e.id);
    else between.set(pairOf(e), [e.id]);
  }
  const mine: DrawnEdge[] = [];
  for (const e of placed.graph.edges) {
    const from = placed.drawn.get(keyOf(mesh, e.from));
    const to = placed.drawn.get(keyOf(mesh, e.to));
    if (!from || !to) continue;
    const points = placed.lines.get(e.id);
    const list = between.get(pairOf(e)) ?? [];
    // The two directions lie on different sides of the line, seen from their own client.
    const offset = (list.indexOf(e.id) - (list.length - 1) / 2) * 30 * (e.from < e.to ? 1 : -1);
    const line = points ? lineAlong(points, from, to) : lineOf(from, to, offset);
    mine.push({ id: keyOf(mesh, e.id), mesh, edge: e, from: from.id, to: to.id, lock: e.lock, weak: e.weak ?? false, width: widthOf(e), label: labelOf(e, label), marker: markerOf(e.findings), line, at: startOf(line.points) });
  }
  placeLocks(mine, [...placed.drawn.values()]);
  for (const e of mine) out.edges.push(e);
}

/** Room that a lock takes, with its label, in pixels; of each cell of the drawing, what is there. */
const lockRoom = 23;

/** Gives each lock a place where no node and no other lock is, the worst first. Of very many, most lie on each other anyway. */
function placeLocks(edges: readonly DrawnEdge[], nodes: readonly DrawnNode[]): void {
  const cellOf = (v: number) => Math.floor(v / 160);
  const standing = new Map<string, DrawnNode[]>();
  for (const n of nodes) {
    for (const x of new Set([cellOf(n.x - 90), cellOf(n.x + 90)])) {
      for (const y of new Set([cellOf(n.y - 34), cellOf(n.y + 34)])) {
        const key = `${x} ${y}`;
        const list = standing.get(key);
        if (list) list.push(n);
        else standing.set(key, [n]);
      }
    }
  }
  const taken = new Map<string, Point[]>();
  const free = (p: Point) =>
    !(taken.get(`${cellOf(p.x)} ${cellOf(p.y)}`) ?? []).some((o) => Math.abs(o.x - p.x) < lockRoom && Math.abs(o.y - p.y) < lockRoom) &&
    !(standing.get(`${cellOf(p.x)} ${cellOf(p.y)}`) ?? []).some((n) => Math.abs(n.x - p.x) < WIDTH / 2 + 9 && Math.abs(n.y - p.y) < HEIGHT / 2 + 9);
  const rank = (e: DrawnEdge) => WORSE.indexOf(e.lock);
  for (const e of [...edges].sort((a, b) => rank(a) - rank(b))) {
    const places = lockPlaces(e.line);
    const best = places[0] ?? endOf(e.line.points);
    e.at = edges.length > 1200 ? best : (places.find(free) ?? best);
    for (const x of new Set([cellOf(e.at.x - lockRoom), cellOf(e.at.x + lockRoom)])) {
      for (const y of new Set([cellOf(e.at.y - lockRoom), cellOf(e.at.y + lockRoom)])) {
        const key = `${x} ${y}`;
        const list = taken.get(key);
        if (list) list.push(e.at);
        else taken.set(key, [e.at]);
      }
    }
  }
}

/** The locks of what single workloads got, where that tells more than the edges themselves do, by service and workload. */
function shareLocks(edges: readonly Edge[]): ReadonlyMap<string, Lock> {
  const out = new Map<string, Lock>();
  for (const e of edges) {
    for (const s of e.shares ?? []) {
      if (s.lock === e.lock) continue;
      const key = e.to + " " + s.workload;
      const worst = out.get(key);
      if (worst === undefined || WORSE.indexOf(s.lock) < WORSE.indexOf(worst)) out.set(key, s.lock);
    }
  }
  return out;
}

const WORSE: readonly Lock[] = ["broken", "open", "mixed", "unknown", "locked"];

export function markerOf(findings: readonly Finding[] | undefined): Marker {
  if (!findings) return "";
  return findings.some((f) => f.severity === "error") ? "error" : findings.some((f) => f.severity === "warning") ? "warning" : "";
}

/** Health of what comes in: 1 % of errors is some, 5 % is bad, and so is a refused handshake in twenty. */
export function healthOf(n: GraphNode): Health {
  const t = n.traffic;
  if (!t || t.in + t.inFailures <= 0) return "idle";
  const bad = (t.inErrors + t.inFailures) / (t.in + t.inFailures);
  return bad >= 0.05 ? "bad" : bad >= 0.01 ? "some" : "good";
}

/** Thickness by what is tried a second: 1/s is 1.9, 1,000/s is 5. */
export function widthOf(e: Edge): number {
  const n = e.observed ? attempts(e.observed) : 0;
  if (n <= 0) return 1.2;
  return Math.round(Math.min(6, Math.max(1.4, 1.5 + Math.log10(1 + n) * 1.2)) * 10) / 10;
}

/** The words beside the lock of an edge. What is not known is said, never a zero. */
export function labelOf(e: Edge, label: Label): string {
  const o = e.observed;
  switch (label) {
    case "none":
      return "";
    case "port":
      return e.port ? `:${e.port}${e.subset ? " " + e.subset : ""}` : "";
    case "policy":
      return e.declared?.policy ? `${e.declared.policy.name}${e.declared.server ? " " + e.declared.server : ""}` : e.declared ? e.declared.server : "no verdict";
    case "mtls":
      if (e.lock === "broken") return o && rateOf(o) > 0 && o.known > 0 ? `${percent(o.mtls)}, refused` : "refused";
      return o && o.known > 0 ? percent(o.mtls) : "";
    case "rate":
      if (!o) return "";
      return o.failures > 0 && rateOf(o) === 0 ? `${number(o.failures)} refused/s` : rate(rateOf(o));
    case "errors":
      return o && rateOf(o) > 0 ? percent(o.errors / rateOf(o)) : o && o.failures > 0 ? "refused" : "";
    default:
      return o?.[label] ? duration(o[label]) : "";
  }
}

/** What the ends of a picture's edges are called. */
export function namer(p: Picture): (e: DrawnEdge) => [string, string] {
  const at = new Map(p.nodes.map((n) => [n.id, { name: n.node.name, namespace: n.node.kind === "namespace" ? "" : (n.node.namespace ?? "") }]));
  const none = { name: "", namespace: "" };
  return (e) => endNames(at.get(e.from) ?? none, at.get(e.to) ?? none);
}

/** One sentence for those who hear the graph, and for the list beside it. */
export function sentenceOf(d: DrawnEdge, [from, to]: readonly [string, string]): string {
  const o = d.edge.observed;
  const parts = [`${from} to ${to}${d.edge.port ? " port " + d.edge.port : ""}: ${d.lock}`];
  if (d.lock === "mixed" && o) parts.push(percent(o.mtls) + " mutual TLS");
  if (o && rateOf(o) > 0) parts.push(rate(rateOf(o)));
  if (d.marker) parts.push(d.marker);
  if (d.weak) parts.push("weak: only a Sidecar declares it");
  return parts.join(", ");
}
