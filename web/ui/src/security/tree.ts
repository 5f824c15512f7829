// Mesh, namespaces, services and workloads with the mode in force and where it comes from. Pure.
import type { Graph, GraphNode, Locks, Place, Rule } from "../api/types";

/** One row of the tree. Ports are not in it: they are asked for when a service is opened. */
export interface Row {
  kind: "mesh" | "namespace" | "service" | "workload" | "selector";
  /** For the mtls verbs: mesh, NS, NS/SERVICE; "" where no verb reaches. */
  resource: string;
  name: string;
  namespace: string;
  /** Node of the graph; "" for the mesh and for a selector. */
  id: string;
  /** In force for the scope; "" where no sidecar takes connections. */
  mode: string;
  /** What its ports and workloads have in common (MIXED where they differ), where that is another. */
  effective: string;
  /** The policy is of this very row; else what is wider decides. */
  own: boolean;
  /** Own policies. More than one of a scope: one shadows the others, and the server says which. */
  policies: readonly Rule[];
  /** Whose mode it is: "mesh", a namespace, or "" for its own. */
  from: string;
  place?: Place;
  locks: Locks;
  children: readonly Row[];
}

const none = (): Locks => ({ broken: 0, open: 0, mixed: 0, unknown: 0, locked: 0 });

/** Builds the tree. meshRule is what the server says is in force for the mesh. */
export function build(graph: Graph, rules: readonly Rule[], meshRule: Rule | undefined): Row {
  const locks = locksByTarget(graph);
  const own = ownRules(rules);
  const top: Row = {
    kind: "mesh",
    resource: "mesh",
    name: "mesh",
    namespace: "",
    id: "",
    mode: meshRule?.mtlsMode ?? "",
    effective: "",
    own: !!meshRule?.own,
    policies: own.get("mesh") ?? [],
    from: "",
    place: meshRule?.place,
    locks: none(),
    children: [],
  };
  const children = namespacesOf(graph, own).map((ns) => namespaceRow(ns, graph, own, locks, top));
  for (const c of children) add(top.locks, c.locks);
  for (const [id, l] of locks) if (!graph.nodes.some((n) => n.id === id && n.namespace)) add(top.locks, l);
  const modes = new Set(children.map((c) => c.effective || c.mode).filter(Boolean));
  return { ...top, children, effective: modes.size > 1 || (modes.size === 1 && !modes.has(top.mode)) ? "MIXED" : "" };
}

/** Policies by what they are of. Those that target nothing that there is are of nothing. */
function ownRules(rules: readonly Rule[]): Map<string, Rule[]> {
  const out = new Map<string, Rule[]>();
  for (const r of rules) {
    if (r.resource === "mesh" && r.targets !== "[]") continue;
    const list = out.get(r.resource);
    if (list) list.push(r);
    else out.set(r.resource, [r]);
  }
  return out;
}

/** Locks of the edges that end at each node. */
function locksByTarget(graph: Graph): Map<string, Locks> {
  const out = new Map<string, Locks>();
  for (const e of graph.edges) {
    let l = out.get(e.to);
    if (!l) out.set(e.to, (l = none()));
    l[e.lock] += 1;
  }
  return out;
}

function add(to: Locks, from: Locks): void {
  to.broken += from.broken;
  to.open += from.open;
  to.mixed += from.mixed;
  to.unknown += from.unknown;
  to.locked += from.locked;
}

function namespacesOf(graph: Graph, own: Map<string, Rule[]>): string[] {
  const names = new Set<string>();
  for (const n of graph.nodes) {
    if (n.kind === "namespace") names.add(n.name);
    else if (n.namespace) names.add(n.namespace);
  }
  for (const r of own.keys()) if (r !== "mesh") names.add(r.split("/")[0] ?? "");
  return [...names].filter(Boolean).sort();
}

function namespaceRow(ns: string, graph: Graph, own: Map<string, Rule[]>, locks: Map<string, Locks>, top: Row): Row {
  const node = graph.nodes.find((n) => n.kind === "namespace" && n.name === ns);
  const policies = own.get(ns) ?? [];
  const set = policies.find((r) => r.mtlsMode !== "UNSET");
  const mode = set?.mtlsMode ?? top.mode;
  const row: Row = {
    kind: "namespace",
    resource: ns,
    name: ns,
    namespace: ns,
    id: node?.id ?? "",
    mode,
    effective: differs(node?.mode, mode),
    own: policies.length > 0,
    policies,
    from: set ? "" : "mesh",
    place: set ? set.place : top.place,
    locks: none(),
    children: [],
  };
  const nodes = graph.nodes.filter((n) => n.namespace === ns);
  const services = nodes.filter((n) => n.kind === "service").sort(byName);
  const behind = new Set(services.flatMap((s) => s.endpoints ?? []));
  const children = services.map((s) => serviceRow(s, graph, own, locks, row));
  for (const w of nodes.filter((n) => n.kind === "workload" && !behind.has(n.id)).sort(byName)) children.push(workloadRow(w, locks, row));
  for (const r of own.get(`${ns}/?`) ?? []) children.push(selectorRow(r, ns));
  for (const c of children) add(row.locks, c.locks);
  return { ...row, children };
}

function byName(a: GraphNode, b: GraphNode): number {
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}

/** What is really there, where it is another than the scope says. DISABLED is the old word for DISABLE. */
function differs(effective: string | undefined, mode: string): string {
  if (!effective || same(effective, mode)) return "";
  return effective;
}

export function same(a: string, b: string): boolean {
  return a.replace("DISABLED", "DISABLE") === b.replace("DISABLED", "DISABLE");
}

function serviceRow(n: GraphNode, graph: Graph, own: Map<string, Rule[]>, locks: Map<string, Locks>, parent: Row): Row {
  const resource = `${n.namespace}/${n.name}`;
  const whole = own.get(resource) ?? [];
  const ports = [...own].filter(([r]) => r.startsWith(resource + ":")).flatMap(([, list]) => list);
  const set = whole.find((r) => r.mtlsMode !== "UNSET");
  const mode = set?.mtlsMode ?? parent.mode;
  const row: Row = {
    kind: "service",
    resource,
    name: n.name,
    namespace: parent.namespace,
    id: n.id,
    mode: n.mode ? mode : "",
    effective: differs(n.mode, mode),
    own: whole.length > 0,
    policies: [...whole, ...ports],
    from: set ? "" : parent.own ? parent.namespace : parent.from || parent.namespace,
    place: set ? set.place : parent.place,
    locks: locks.get(n.id) ?? none(),
    children: [],
  };
  const children = (n.endpoints ?? []).flatMap((id) => {
    const w = graph.nodes.find((x) => x.id === id);
    return w ? [workloadRow(w, new Map(), row)] : [];
  });
  return { ...row, children };
}

function workloadRow(n: GraphNode, locks: Map<string, Locks>, parent: Row): Row {
  const captured = n.capture === "sidecar" && !n.gateway;
  return {
    kind: "workload",
    resource: "",
    name: n.name,
    namespace: parent.namespace,
    id: n.id,
    mode: captured ? (n.mode ?? "") : "",
    effective: "",
    own: false,
    policies: [],
    from: "",
    locks: locks.get(n.id) ?? none(),
    children: [],
  };
}

/** A policy whose selector is no service's. */
function selectorRow(r: Rule, ns: string): Row {
  return {
    kind: "selector",
    resource: "",
    name: `workloads ${r.targets.slice(1, -1)}`,
    namespace: ns,
    id: "",
    mode: r.mtlsMode,
    effective: "",
    own: true,
    policies: [r],
    from: "",
    place: r.place,
    locks: none(),
    children: [],
  };
}

/** The rows that a filter leaves: those that match with what is above them, and all below a match. "" leaves all. */
export function filtered(row: Row, words: string): Row | null {
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
  if (wanted.length === 0) return row;
  const keep = (r: Row): Row | null => {
    const text = `${r.name} ${r.namespace} ${r.mode} ${r.effective} ${r.own ? "own" : "inherited"} ${r.kind}`.toLowerCase();
    if (r.kind !== "mesh" && wanted.every((w) => text.includes(w))) return r;
    const children = r.children.map(keep).filter((c) => c !== null);
    return children.length > 0 ? { ...r, children } : null;
  };
  return keep(row);
}

/** How many rows there are. */
export function countRows(row: Row): number {
  return 1 + row.children.reduce((n, c) => n + countRows(c), 0);
}
