// What is drawn: nodes, boxes and edges with their places, words and widths, from what the API gives. Pure.
import type { Edge, Finding, Graph, GraphNode, Lock } from "../api/types";
import { duration, number, percent, rate } from "../ui/format";
import { attempts, rateOf } from "./facts";

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
  /** How far the middle is from the straight line, for edges between the same two nodes. */
  offset: number;
}

/** From a service to a workload behind it: no connection of its own. */
export interface DrawnLink {
  id: string;
  mesh: string;
  from: string;
  to: string;
  /** Of what this workload got, where that differs from its edge; else undefined. */
  lock?: Lock;
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

/** Draws the graphs of one mesh or several, below each other. */
export function pictureOf(graphs: readonly { mesh: string; graph: Graph }[], label: Label): Picture {
  const out: Picture = { width: 0, height: 0, nodes: [], boxes: [], edges: [], links: [] };
  for (const { mesh, graph } of graphs) {
    const many = graphs.length > 1;
    const top = out.height + (many ? 56 : 0);
    const left = many ? 24 : 0;
    const size = addMesh(out, mesh, graph, left, top, label);
    if (many) out.boxes.unshift({ id: keyOf(mesh, "mesh"), mesh, name: mesh, x: 0, y: top - 40, width: size.width + 2 * left, height: size.height + 56 });
    out.width = Math.max(out.width, size.width + 2 * left);
    out.height = top + size.height + (many ? 40 : 0);
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
    for (const e of n.endpoints ?? []) {
      if (byID.has(e)) out.links.push({ id: keyOf(mesh, `${n.id}~${e}`), mesh, from: keyOf(mesh, n.id), to: keyOf(mesh, e), lock: shares.get(n.id + " " + e) });
    }
  }
  if (strays > 0) size.height += 84 + Math.floor((strays - 1) / 6) * 64;
  for (const b of g.layout?.boxes ?? []) {
    out.boxes.push({ id: keyOf(mesh, b.id), mesh, name: byID.get(b.id)?.name ?? b.id, node: byID.get(b.id), x: b.x + left, y: b.y + top, width: b.width, height: b.height });
  }
  addEdges(out, mesh, g, label);
  return size;
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

function addEdges(out: Picture, mesh: string, g: Graph, label: Label): void {
  const drawn = new Set(out.nodes.map((n) => n.id));
  const between = new Map<string, DrawnEdge[]>();
  for (const e of g.edges) {
    const from = keyOf(mesh, e.from);
    const to = keyOf(mesh, e.to);
    if (!drawn.has(from) || !drawn.has(to)) continue;
    const d: DrawnEdge = { id: keyOf(mesh, e.id), mesh, edge: e, from, to, lock: e.lock, weak: e.weak ?? false, width: widthOf(e), label: labelOf(e, label), marker: markerOf(e.findings), offset: 0 };
    const pair = from < to ? from + ">" + to : to + ">" + from;
    const others = between.get(pair);
    if (others) others.push(d);
    else between.set(pair, [d]);
    out.edges.push(d);
  }
  for (const list of between.values()) {
    if (list.length === 1) continue;
    // The two directions lie on different sides of the line, seen from their own client.
    list.forEach((d, i) => (d.offset = (i - (list.length - 1) / 2) * 30 * (d.from < d.to ? 1 : -1)));
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

/** One sentence for those who hear the graph, and for the list beside it. */
export function sentenceOf(d: DrawnEdge, name: (id: string) => string): string {
  const o = d.edge.observed;
  const parts = [`${name(d.from)} to ${name(d.to)}${d.edge.port ? " port " + d.edge.port : ""}: ${d.lock}`];
  if (d.lock === "mixed" && o) parts.push(percent(o.mtls) + " mutual TLS");
  if (o && rateOf(o) > 0) parts.push(rate(rateOf(o)));
  if (d.marker) parts.push(d.marker);
  if (d.weak) parts.push("weak: only a Sidecar declares it");
  return parts.join(", ");
}
