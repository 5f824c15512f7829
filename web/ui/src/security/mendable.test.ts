import { expect, it } from "vitest";
import type { Edge, Rule } from "../api/types";
import { mendable, mendOf } from "./mendable";

const conflict = { status: "CONFLICT" } as Edge["declared"];
const edge = { from: "workload/shop/web.Deployment", to: "service/api.bank.svc.cluster.local", port: 80, declared: conflict };
const rule: Rule = { resource: "bank/api:80", policy: "bank/default", targets: "[]", mtlsMode: "STRICT" };

it("mends where client and server do not agree, and nowhere else", () => {
  expect(mendable(edge)).toBe("bank/api:80");
  expect(mendable({ ...edge, declared: null })).toBeUndefined();
  expect(mendable({ ...edge, declared: { status: "OK" } as Edge["declared"] })).toBeUndefined();
  expect(mendable({ ...edge, to: "egress/example.com" })).toBeUndefined();
  expect(mendable({ ...edge, from: "outside/unknown" })).toBeUndefined();
});

it("sets again what is in force, where it is set", () => {
  const of = (r: Partial<Rule>) => mendOf({ ...rule, ...r });
  expect(of({})).toEqual({ kind: "mtls", verb: "require", resource: "bank", clients: true });
  expect(of({ policy: "/default" })).toMatchObject({ resource: "mesh" });
  expect(of({ policy: "bank/api-1", targets: "[api]" })).toMatchObject({ resource: "bank/api" });
  expect(of({ own: true, mtlsMode: "DISABLED" })).toMatchObject({ verb: "disable", resource: "bank/api:80" });
});

it("offers nothing where no policy decides", () => {
  expect(mendOf({ ...rule, policy: "-" })).toBeUndefined();
  expect(mendOf({ ...rule, mtlsMode: "MIXED" })).toBeUndefined();
});
