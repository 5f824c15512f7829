// What is broken, by cause. Pure.
import type { Edge } from "../api/types";
import { object } from "../ui/format";

/** Edges that one pair of policy and rule keeps from one port are one thing to mend; any other edge is one by itself. */
export function causes(edges: readonly Edge[]): Edge[][] {
  const out = new Map<string, Edge[]>();
  for (const e of edges) {
    const d = e.declared;
    const key = e.lock === "broken" && d?.status === "CONFLICT" ? JSON.stringify([e.to, e.port, e.subset, d.cause, by(d.destinationRule), by(d.policy)]) : e.id;
    out.set(key, [...(out.get(key) ?? []), e]);
  }
  return [...out.values()];
}

/** Who decided what at both ends, for several clients at once. */
export function decided(d: NonNullable<Edge["declared"]>): string {
  return `client ${d.clientMode} by ${by(d.destinationRule) || "no rule"}; server ${d.server} by ${by(d.policy) || "no policy"}`;
}

const by = (o: { kind: string; namespace?: string; name: string } | undefined) => (o ? object(o) : "");
