// What of a picture is shown, dimmed or hidden: by an expression, and by a neighbourhood. Pure.
import type { Facts, Match, Mode } from "./expression";
import { factsOfEdge, factsOfNode } from "./facts";
import type { Picture } from "./picture";

export interface Filter {
  match?: Match;
  mode: Mode;
  /** Only what is so many hops from a node, by its key. */
  near?: { id: string; hops: number };
}

/** Keys of what is not shown as usual. */
export interface Shown {
  hidden: Set<string>;
  dim: Set<string>;
  /** How many edges and nodes the expression matches; -1 without one. */
  matches: number;
}

export function shownOf(p: Picture, f: Filter): Shown {
  const out: Shown = { hidden: new Set(), dim: new Set(), matches: -1 };
  if (f.near) hideFar(p, f.near, out.hidden);
  if (f.match) out.matches = apply(p, f.match, f.mode, out);
  // A box stays while something in it does, and goes with the last.
  if (out.hidden.size > 0) {
    const alive = new Set<string>();
    for (const n of p.nodes) if (!out.hidden.has(n.id)) alive.add(`${n.mesh} namespace/${n.node.namespace ?? ""}`).add(`${n.mesh} mesh`);
    for (const b of p.boxes) if (!alive.has(b.id)) out.hidden.add(b.id);
  }
  return out;
}

function apply(p: Picture, match: Match, mode: Mode, out: Shown): number {
  const nodes = new Map(p.nodes.map((n) => [n.id, n.node]));
  const lit = new Set<string>();
  let count = 0;
  const test = (id: string, facts: Facts) => {
    if (out.hidden.has(id) || match(facts) !== true) return false;
    lit.add(id);
    count++;
    return true;
  };
  for (const n of p.nodes) test(n.id, factsOfNode(n.node));
  const ends = new Set<string>();
  for (const e of p.edges) if (test(e.id, factsOfEdge(e.edge, nodes.get(e.from), nodes.get(e.to)))) ends.add(e.from).add(e.to);
  if (mode === "hide") {
    for (const id of lit) out.hidden.add(id);
    for (const e of [...p.edges, ...p.links]) if (out.hidden.has(e.from) || out.hidden.has(e.to)) out.hidden.add(e.id);
    return count;
  }
  const target = mode === "only" ? out.hidden : out.dim;
  for (const n of p.nodes) if (!lit.has(n.id) && !ends.has(n.id)) target.add(n.id);
  for (const e of p.edges) if (!lit.has(e.id)) target.add(e.id);
  for (const l of p.links) if (target.has(l.from) || target.has(l.to)) target.add(l.id);
  return count;
}

/** A workload behind a service is as near as the service. */
function hideFar(p: Picture, near: { id: string; hops: number }, hidden: Set<string>): void {
  const calls = new Map<string, string[]>();
  const behind = new Map<string, string[]>();
  const join = (m: Map<string, string[]>, a: string, b: string) => {
    m.set(a, [...(m.get(a) ?? []), b]);
    m.set(b, [...(m.get(b) ?? []), a]);
  };
  for (const e of p.edges) join(calls, e.from, e.to);
  for (const l of p.links) join(behind, l.from, l.to);
  const reached = new Set<string>();
  let ring = [near.id];
  for (let hop = 0; hop <= near.hops && ring.length > 0; hop++) {
    const next: string[] = [];
    for (let i = 0; i < ring.length; i++) {
      const id = ring[i] as string;
      if (reached.has(id)) continue;
      reached.add(id);
      ring.push(...(behind.get(id) ?? []));
      next.push(...(calls.get(id) ?? []));
    }
    ring = next;
  }
  for (const n of p.nodes) if (!reached.has(n.id)) hidden.add(n.id);
  for (const e of [...p.edges, ...p.links]) if (hidden.has(e.from) || hidden.has(e.to)) hidden.add(e.id);
}
