// What the tables show, made from the graph. Pure.
import { LOCKS, type Edge, type Graph, type GraphNode, type Lock, type Locks } from "../api/types";
import { edgeName, named } from "../ui/names";

/** The tables: what a row is. */
export const LISTS = ["connections", "services", "workloads", "namespaces", "meshes"] as const;
export type List = (typeof LISTS)[number];

/** The edges that end, or begin, somewhere. */
export interface Talks {
  in: Edge[];
  out: Edge[];
}

/** A row of anything but connections. */
export interface Row {
  mesh: string;
  id: string;
  name: string;
  namespace: string;
  kind: string;
  mode: string;
  capture: string;
  version: string;
  /** Names of those who call it, and of what it calls; egress and ingress too. */
  callers: string[];
  callees: string[];
  locks: Locks;
  /** Requests and connections a second that come in, and the share of them that failed. */
  rate: number;
  errors: number | null;
  /** Share of mutual TLS of what comes in; null where nothing is known. */
  mtls: number | null;
  warnings: number;
  worst: "error" | "warning" | "note" | "";
  health: Health;
}

export type Health = "failing" | "degraded" | "healthy" | "idle" | "unknown";

/** Order of health, worst first. */
export const HEALTHS: readonly Health[] = ["failing", "degraded", "unknown", "idle", "healthy"];

export const noLocks = (): Locks => ({ broken: 0, open: 0, mixed: 0, unknown: 0, locked: 0 });

/** The worst of some locks; unknown where there are none. */
export function worstLock(locks: Locks): Lock {
  return LOCKS.find((l) => locks[l] > 0) ?? "unknown";
}

/** How well something does: failing where half of what comes in fails, degraded from one in a hundred. */
export function healthOf(t: GraphNode["traffic"], seen: boolean): Health {
  if (!seen) return "unknown";
  const all = (t?.in ?? 0) + (t?.inFailures ?? 0);
  if (!t || all <= 0) return "idle";
  const bad = (t.inErrors + t.inFailures) / all;
  return bad >= 0.5 ? "failing" : bad >= 0.01 ? "degraded" : "healthy";
}

/** The rows of one list. Workloads behind a service share what comes in to it. */
export function rowsOf(mesh: string, g: Graph, list: Exclude<List, "connections" | "meshes">): Row[] {
  const talks = new Map<string, Talks>();
  const at = (id: string): Talks => {
    let t = talks.get(id);
    if (!t) talks.set(id, (t = { in: [], out: [] }));
    return t;
  };
  const endpoints = new Map(g.nodes.map((n) => [n.id, n.endpoints ?? []]));
  const namespaceOf = new Map(g.nodes.map((n) => [n.id, n.namespace ?? ""]));
  for (const e of g.edges) {
    at(e.from).out.push(e);
    at(e.to).in.push(e);
    for (const w of endpoints.get(e.to) ?? []) at(w).in.push(e);
    const from = namespaceOf.get(e.from);
    const to = namespaceOf.get(e.to);
    if (from) at("namespace/" + from).out.push(e);
    if (to) at("namespace/" + to).in.push(e);
  }
  const kinds: Record<typeof list, string[]> = { services: ["service", "egress", "ingress"], workloads: ["workload", "outside"], namespaces: ["namespace"] };
  return g.nodes.filter((n) => kinds[list].includes(n.kind)).map((n) => rowOf(mesh, n, at(n.id), g.window !== undefined));
}

/** What there is to warn of at an edge: its findings, and that client and server do not agree. */
function severitiesOf(e: Edge): string[] {
  return [...(e.findings ?? []).map((f) => f.severity), ...(e.declared?.status === "CONFLICT" ? ["error"] : [])];
}

function rowOf(mesh: string, n: GraphNode, talks: Talks, seen: boolean): Row {
  const locks = noLocks();
  for (const e of new Set([...talks.in, ...talks.out])) locks[e.lock]++;
  const looked = n.kind === "workload" ? [...talks.in, ...talks.out] : talks.in;
  const severities = [...(n.findings ?? []).map((f) => f.severity), ...looked.flatMap(severitiesOf)];
  const t = n.traffic ?? (n.kind === "namespace" ? trafficOf(talks) : undefined);
  const all = (t?.in ?? 0) + (t?.inFailures ?? 0);
  return {
    mesh,
    id: n.id,
    name: n.name,
    namespace: n.namespace ?? "",
    kind: n.gateway ? "gateway" : n.kind,
    mode: n.mode ?? "",
    capture: n.capture ?? "",
    version: n.version ?? "",
    callers: unique(talks.in.map((e) => short(e.from, n.namespace))),
    callees: unique(talks.out.map((e) => short(e.to, n.namespace))),
    locks,
    rate: all,
    errors: all > 0 && t ? (t.inErrors + t.inFailures) / all : null,
    mtls: t && t.known > 0 ? t.mtls : null,
    warnings: severities.filter((s) => s !== "note").length,
    worst: (["error", "warning", "note"] as const).find((s) => severities.includes(s)) ?? "",
    health: healthOf(t, seen),
  };
}

/** What comes into a namespace: the server counts it for workloads and services alone. */
function trafficOf(talks: Talks): GraphNode["traffic"] {
  const t = { in: 0, inErrors: 0, inFailures: 0, out: 0, outErrors: 0, outFailures: 0, mtls: 0, known: 0 };
  let secure = 0;
  let known = 0;
  for (const { observed: o } of talks.in) {
    if (!o) continue;
    const all = o.requests + o.connections;
    t.in += all;
    t.inErrors += o.errors;
    t.inFailures += o.failures;
    known += all * o.known;
    secure += all * o.known * o.mtls;
  }
  return { ...t, known: t.in > 0 ? known / t.in : 0, mtls: known > 0 ? secure / known : 0 };
}

const unique = (names: string[]) => [...new Set(names)].sort();

/** A name, with its namespace where that is another one. */
export function short(id: string, namespace = ""): string {
  const n = named(id);
  const outer = n.kind === "egress" ? " (egress)" : n.kind === "ingress" ? " (ingress)" : n.kind === "outside" ? " (outside)" : "";
  return n.name + (n.namespace && n.namespace !== namespace ? "." + n.namespace : "") + outer;
}

/** A row of connections. */
export interface Connection {
  mesh: string;
  edge: Edge;
  name: string;
  namespaces: string;
  warnings: number;
  worst: "error" | "warning";
}

export function connectionsOf(mesh: string, g: Graph): Connection[] {
  return g.edges.map((edge) => {
    const from = named(edge.from).namespace;
    const to = named(edge.to).namespace;
    return {
      mesh,
      edge,
      name: edgeName(edge),
      namespaces: from === to || !to || !from ? to || from : `${from} → ${to}`,
      warnings: severitiesOf(edge).filter((s) => s !== "note").length,
      worst: severitiesOf(edge).includes("error") ? "error" : "warning",
    };
  });
}

/** Whether every word of a filter is somewhere in the texts; a word with a minus in front must not be. */
export function matches(filter: string, ...texts: (string | undefined)[]): boolean {
  const all = texts.join(" ").toLowerCase();
  return filter
    .toLowerCase()
    .split(/\s+/)
    .filter(Boolean)
    .every((w) => (w.startsWith("-") && w.length > 1 ? !all.includes(w.slice(1)) : all.includes(w)));
}

export type Cell = string | number | null;

/** Orders rows by a cell, what is not known last whatever the direction; ties keep their order. */
export function sorted<T>(rows: readonly T[], cell: (row: T) => Cell, down: boolean): T[] {
  return rows
    .map((row, i) => ({ row, i, c: cell(row) }))
    .sort((a, b) => {
      if (a.c === null || b.c === null) return Number(a.c === null) - Number(b.c === null) || a.i - b.i;
      const d = typeof a.c === "number" && typeof b.c === "number" ? a.c - b.c : String(a.c).localeCompare(String(b.c), "en", { numeric: true });
      return (down ? -d : d) || a.i - b.i;
    })
    .map((x) => x.row);
}

/** Rows as CSV (RFC 4180). A cell that a spreadsheet would take for a formula gets a quote in front. */
export function csv(header: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const cell = (c: Cell) => {
    let s = c === null ? "" : String(c);
    if (typeof c === "string" && /^[=+\-@\t\r]/.test(s)) s = "'" + s;
    return /[",\r\n]/.test(s) ? `"${s.replaceAll('"', '""')}"` : s;
  };
  return [header, ...rows].map((r) => r.map(cell).join(",")).join("\r\n") + "\r\n";
}
