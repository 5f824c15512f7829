// What the find expressions see of nodes and edges. Pure.
import type { Edge, Finding, GraphNode, Observed, Place } from "../api/types";
import type { Facts } from "./expression";

const grave = (f: readonly Finding[] | undefined) => (f ?? []).some((x) => x.severity !== "note");
const named = (p: Place | undefined) => (p ? [p.name, `${p.namespace ?? ""}/${p.name}`] : undefined);

/** Requests and connections a second. Failed handshakes are none. */
export const rateOf = (o: Observed): number => o.requests + o.connections;

/** What was tried a second: where everything is refused, this is all there is. */
export const attempts = (o: Observed): number => o.requests + o.connections + o.failures;

/** Whether some of the traffic was seen as plaintext: what is not known is not. */
export function isPlaintext(e: Edge): boolean {
  return e.lock === "open" || e.lock === "mixed";
}

/** Whether somebody should look: by its lock or by a finding. */
export function isProblem(e: Edge): boolean {
  return e.lock === "broken" || isPlaintext(e) || grave(e.findings);
}

/** The facts of an edge between two nodes; a node that is not there (yet) has its ID. */
export function factsOfEdge(e: Edge, from: GraphNode | undefined, to: GraphNode | undefined): Facts {
  const o = e.observed;
  return {
    lock: e.lock,
    ns: [from?.namespace, to?.namespace].filter((x) => x !== undefined),
    name: [from?.name ?? e.from, to?.name ?? e.to],
    from: from?.name ?? e.from,
    to: to?.name ?? e.to,
    mode: e.declared?.server,
    port: e.port,
    rate: o ? rateOf(o) : 0,
    errors: o ? (rateOf(o) > 0 ? o.errors / rateOf(o) : 0) : undefined,
    failures: o?.failures ?? 0,
    mtls: o && o.known > 0 ? o.mtls : undefined,
    p50: o?.p50,
    p90: o?.p90,
    p99: o?.p99,
    protocol: o?.protocol,
    status: e.declared?.status,
    policy: named(e.declared?.policy),
    rule: named(e.declared?.destinationRule),
    principal: o ? [...(o.sourcePrincipals ?? []), ...(o.destinationPrincipals ?? [])] : undefined,
    reason: e.reason,
    findings: e.findings?.length ?? 0,
    weak: e.weak ?? false,
    problem: isProblem(e),
    plaintext: isPlaintext(e),
  };
}

/** The facts of a node. Locks are of edges: they do not apply here. */
export function factsOfNode(n: GraphNode): Facts {
  const t = n.traffic;
  return {
    ns: n.namespace,
    name: n.name,
    kind: n.kind,
    version: n.version,
    mode: n.mode,
    findings: n.findings?.length ?? 0,
    sidecar: n.kind === "workload" ? n.capture === "sidecar" : undefined,
    gateway: n.kind === "workload" ? (n.gateway ?? false) : undefined,
    problem: grave(n.findings) || undefined, // a node without one says nothing about its edges
    rate: undefined,
    errors: t && t.in > 0 ? t.inErrors / t.in : undefined,
  };
}
