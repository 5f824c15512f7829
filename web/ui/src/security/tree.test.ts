import { describe, expect, it } from "vitest";
import type { Edge, Graph, GraphNode, Rule } from "../api/types";
import { build, countRows, filtered, type Row } from "./tree";

const node = (more: Partial<GraphNode> & { id: string }): GraphNode => ({ kind: "service", name: more.id.split("/").at(-1)?.split(".")[0] ?? "", ...more });
const rule = (resource: string, mtlsMode: string, more: Partial<Rule> = {}): Rule => ({ resource, mtlsMode, policy: "x", targets: "[]", own: true, ...more });
const edge = (to: string, lock: Edge["lock"]): Edge => ({ id: to + lock, from: "outside/unknown", to, lock, declared: null, observed: null, proven: null, sources: [] });

const graph: Graph = {
  apiVersion: "", kind: "Graph", dialect: "1.4",
  nodes: [
    node({ id: "namespace/shop", kind: "namespace", name: "shop", mode: "MIXED" }),
    node({ id: "namespace/quiet", kind: "namespace", name: "quiet", mode: "PERMISSIVE" }),
    node({ id: "service/web.shop.svc.cluster.local", namespace: "shop", mode: "STRICT", endpoints: ["workload/shop/web.Deployment"] }),
    node({ id: "service/api.shop.svc.cluster.local", namespace: "shop", mode: "DISABLE" }),
    node({ id: "workload/shop/web.Deployment", kind: "workload", namespace: "shop", name: "web", mode: "STRICT", capture: "sidecar" }),
    node({ id: "workload/shop/cron.Deployment", kind: "workload", namespace: "shop", name: "cron", mode: "STRICT", capture: "none" }),
    node({ id: "egress/db.example.com", kind: "egress", name: "db.example.com" }),
  ],
  edges: [edge("service/web.shop.svc.cluster.local", "locked"), edge("service/api.shop.svc.cluster.local", "open"), edge("egress/db.example.com", "open")],
};
const rules = [rule("mesh", "PERMISSIVE"), rule("shop", "STRICT"), rule("shop/api", "DISABLED", { targets: "[api]" }), rule("shop/?", "STRICT", { targets: "[app=x]" }), rule("mesh", "STRICT", { targets: "[gone]" })];
const tree = build(graph, rules, rules[0]);
const find = (r: Row, name: string, kind: string): Row | undefined => (r.name === name && r.kind === kind ? r : r.children.map((c) => find(c, name, kind)).find(Boolean));

describe("build", () => {
  it("takes modes from the nearest policy", () => {
    expect(tree.children.map((c) => [c.name, c.mode, c.own, c.from])).toEqual([["quiet", "PERMISSIVE", false, "mesh"], ["shop", "STRICT", true, ""]]);
    expect(find(tree, "web", "service")).toMatchObject({ mode: "STRICT", own: false, from: "shop", effective: "" });
    expect(find(tree, "api", "service")).toMatchObject({ mode: "DISABLED", own: true, from: "", effective: "" });
  });
  it("says where what is there differs", () => {
    expect(find(tree, "shop", "namespace")?.effective).toBe("MIXED");
    expect(tree.effective).toBe("MIXED");
  });
  it("counts locks of what ends there, and what leaves the mesh for the mesh", () => {
    expect(find(tree, "shop", "namespace")?.locks).toMatchObject({ locked: 1, open: 1 });
    expect(tree.locks).toMatchObject({ locked: 1, open: 2 });
  });
  it("shows no mode where no sidecar is", () => {
    expect(find(tree, "cron", "workload")?.mode).toBe("");
    expect(find(tree, "web", "workload")?.mode).toBe("STRICT");
  });
  it("keeps policies that select no service, and none that target nothing", () => {
    expect(find(tree, "workloads app=x", "selector")?.mode).toBe("STRICT");
    expect(tree.policies).toHaveLength(1);
  });
  it("knows a policy of a port as its service's", () => {
    const t = build(graph, [...rules, rule("shop/web:8080", "PERMISSIVE", { targets: "[web(8080)]" })], rules[0]);
    expect(find(t, "web", "service")).toMatchObject({ own: false, mode: "STRICT" });
    expect(find(t, "web", "service")?.policies).toHaveLength(1);
  });
  it("does without a policy of the mesh", () => {
    expect(build(graph, [], undefined)).toMatchObject({ mode: "", own: false });
  });
});

describe("filtered", () => {
  it("keeps matches, what is above them and what is below", () => {
    const f = filtered(tree, "web");
    expect(f?.children.map((c) => c.name)).toEqual(["shop"]);
    expect(f?.children[0]?.children.map((c) => c.name)).toEqual(["web"]);
    expect(filtered(tree, "shop own")?.children.map((c) => c.name)).toEqual(["shop"]);
    expect(filtered(tree, "nothing")).toBeNull();
    expect(filtered(tree, " ")).toBe(tree);
  });
});

it("counts rows", () => {
  expect(countRows(tree)).toBe(8);
});
