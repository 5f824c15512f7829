import { expect, it } from "vitest";
import { edgeName, named } from "./names";

it("names what IDs stand for", () => {
  expect(named("workload/shop/web-v1.Deployment")).toEqual({ kind: "workload", namespace: "shop", name: "web-v1" });
  expect(named("workload/shop/db.internal.Pod")).toEqual({ kind: "workload", namespace: "shop", name: "db.internal" });
  expect(named("service/api.shop.svc.cluster.local")).toEqual({ kind: "service", namespace: "shop", name: "api" });
  expect(named("service/api.example.com")).toEqual({ kind: "service", namespace: "", name: "api.example.com" });
  expect(named("egress/db.example.com")).toEqual({ kind: "egress", namespace: "", name: "db.example.com" });
  expect(named("ingress/edge/gw")).toEqual({ kind: "ingress", namespace: "edge", name: "gw" });
  expect(named("egress/passthroughcluster")).toEqual({ kind: "egress", namespace: "", name: "PassthroughCluster" });
  expect(named("outside/unknown")).toEqual({ kind: "outside", namespace: "", name: "unknown callers" });
});

it("names edges", () => {
  expect(edgeName({ from: "workload/shop/web.Deployment", to: "service/api.shop.svc.cluster.local", port: 8080 })).toBe("web → api:8080");
  expect(edgeName({ from: "workload/shop/web.Deployment", to: "egress/db", subset: "v2" })).toBe("web → db (v2)");
  // Callers of one name in two namespaces read differently.
  expect(edgeName({ from: "workload/bank/web.Deployment", to: "service/api.shop.svc.cluster.local", port: 8080 })).toBe("web.bank → api.shop:8080");
});
