import { describe, expect, it } from "vitest";
import type { Edge, Graph, GraphNode } from "../api/types";
import { connectionsOf, csv, healthOf, matches, rowsOf, sorted, worstLock, noLocks } from "./rows";

const edge = (from: string, to: string, lock: Edge["lock"], more: Partial<Edge> = {}): Edge =>
  ({ id: from + ">" + to, from, to, port: 80, lock, declared: null, observed: null, proven: null, sources: [], ...more }) as Edge;
const node = (id: string, kind: string, namespace: string, name: string, more: Partial<GraphNode> = {}): GraphNode => ({ id, kind, namespace, name, ...more }) as GraphNode;

const web = "workload/shop/web.Deployment";
const api = "service/api.shop.svc.cluster.local";
const behind = "workload/shop/api-v1.Deployment";
const db = "egress/db.example.com";
const graph = {
  nodes: [
    node("namespace/shop", "namespace", "", "shop"),
    node(web, "workload", "shop", "web"),
    node(behind, "workload", "shop", "api-v1", { traffic: { in: 9, inErrors: 1, inFailures: 1, out: 0, outErrors: 0, outFailures: 0, mtls: 0.5, known: 1 } }),
    node(api, "service", "shop", "api", { endpoints: [behind] }),
    node(db, "egress", "", "db.example.com"),
  ],
  edges: [edge(web, api, "mixed", { findings: [{ code: "x", severity: "warning", text: "t" }] }), edge(behind, db, "unknown")],
  window: { start: "", end: "" },
} as unknown as Graph;

describe("rowsOf", () => {
  it("says with whom a workload talks, through services and out of the mesh", () => {
    const rows = rowsOf("m", graph, "workloads");
    expect(rows.map((r) => r.name)).toEqual(["web", "api-v1"]);
    expect(rows[1]).toMatchObject({ callers: ["web"], callees: ["db.example.com (egress)"], rate: 10, errors: 0.2, mtls: 0.5, warnings: 1, worst: "warning", health: "degraded" });
    expect(rows[1]?.locks).toEqual({ ...noLocks(), mixed: 1, unknown: 1 });
  });
  it("warns of what does not agree", () => {
    const conflict = edge(web, api, "broken", { declared: { status: "CONFLICT" } as Edge["declared"] });
    const g = { ...graph, edges: [conflict] };
    expect(connectionsOf("m", g)[0]).toMatchObject({ warnings: 1, worst: "error" });
    expect(rowsOf("m", g, "workloads").map((r) => r.warnings)).toEqual([1, 1]);
  });
  it("lists egress with the services", () => {
    expect(rowsOf("m", graph, "services").map((r) => r.name)).toEqual(["api", "db.example.com"]);
  });
  it("sums what comes into a namespace, failures too", () => {
    const observed = { requests: 6, connections: 0, errors: 1, failures: 2, mtls: 0.5, known: 1 } as Edge["observed"];
    const g = { ...graph, nodes: graph.nodes.map((n) => (n.id === "namespace/shop" ? { ...n, namespace: "shop" } : n)), edges: [edge(web, api, "mixed", { observed }), edge(behind, db, "unknown", { observed })] };
    expect(rowsOf("m", g, "namespaces")[0]).toMatchObject({ rate: 8, errors: 3 / 8, mtls: 0.5, health: "degraded" });
  });
  it("sums what is in a namespace", () => {
    expect(rowsOf("m", { ...graph, nodes: graph.nodes.map((n) => (n.id === "namespace/shop" ? { ...n, namespace: "shop" } : n)) }, "namespaces")[0]?.locks.mixed).toBe(1);
  });
});

it("a health that nobody saw is unknown, and none at all is idle", () => {
  expect(healthOf(undefined, false)).toBe("unknown");
  expect(healthOf(undefined, true)).toBe("idle");
  const t = { in: 1, inErrors: 0, inFailures: 3, out: 0, outErrors: 0, outFailures: 0, mtls: 0, known: 0 };
  expect(healthOf(t, true)).toBe("failing");
});

it("unknown is the worst of no locks", () => {
  expect(worstLock(noLocks())).toBe("unknown");
  expect(worstLock({ ...noLocks(), locked: 3, open: 1 })).toBe("open");
});

it("names connections with their namespaces", () => {
  expect(connectionsOf("m", graph)[0]).toMatchObject({ name: "web → api:80", namespaces: "shop", warnings: 1 });
});

it("filters by words", () => {
  expect(matches("web api", "web → api:80", "shop")).toBe(true);
  expect(matches("web -shop", "web", "shop")).toBe(false);
  expect(matches("  ", "x")).toBe(true);
});

it("sorts what is not known last, either way", () => {
  const rows = [3, null, 1, 2];
  expect(sorted(rows, (x) => x, false)).toEqual([1, 2, 3, null]);
  expect(sorted(rows, (x) => x, true)).toEqual([3, 2, 1, null]);
  expect(sorted(["v10", "v9"], (x) => x, false)).toEqual(["v9", "v10"]);
});

it("writes CSV that a spreadsheet does not obey", () => {
  expect(csv(["a", "b"], [["x,y", 1], ['say "hi"', null], ["=cmd()", -2]])).toBe('a,b\r\n"x,y",1\r\n"say ""hi""",\r\n\'=cmd(),-2\r\n');
});
