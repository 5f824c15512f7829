import { describe, expect, it } from "vitest";
import type { Effect, Impact } from "../api/types";
import { agreement, clientName, groups, hostName, turn } from "./impact";

const side = { status: "OK", server: "STRICT", clientMode: "ISTIO_MUTUAL", wire: "mTLS" };
const effect = (more: Partial<Effect>): Effect => ({ kind: "breaks", client: "a/x", alike: 1, host: "h", port: 1, before: side, after: side, requests: 0, connections: 0, text: "", ...more });
const impact = (effects: Effect[]): Impact => ({ breaks: effects.filter((e) => e.kind === "breaks").length, mends: 0, opens: 0, locks: 0, same: 0, effects });

describe("groups", () => {
  it("puts what breaks first, and traffic before what is only declared", () => {
    const g = groups(impact([effect({ kind: "locks" }), effect({ client: "a/idle" }), effect({ client: "a/declared", declared: true }), effect({ client: "a/busy", requests: 3 })]));
    expect(g.map((x) => x.kind)).toEqual(["breaks", "locks"]);
    expect(g[0]?.effects.map((e) => e.client)).toEqual(["a/busy", "a/declared", "a/idle"]);
  });
  it("counts those that are alike", () => {
    expect(groups(impact([effect({ alike: 3 }), effect({ client: "b/y" })]))[0]?.count).toBe(4);
  });
});

describe("agreement", () => {
  it("is not needed where nothing breaks", () => {
    expect(agreement(impact([effect({ kind: "opens", requests: 9 })]))).toBeNull();
  });
  it("tells calls that somebody makes from those that nobody makes", () => {
    expect(agreement(impact([effect({ requests: 2 }), effect({ declared: true }), effect({})]))).toEqual({ live: 2, idle: 1, traffic: 2 });
  });
});

it("says what turns", () => {
  expect(turn(effect({ after: { ...side, wire: "refused" } }))).toEqual(["mTLS", "refused"]);
  expect(turn(effect({ after: { ...side, server: "PERMISSIVE" } }))).toEqual(["STRICT", "PERMISSIVE"]);
});

it("names clients and hosts", () => {
  expect(clientName("reviews-v2.bookinfo")).toBe("reviews-v2.bookinfo");
  expect(clientName("deployment/reviews-v2.bookinfo")).toBe("reviews-v2.bookinfo");
  expect(clientName("outside")).toBe("callers without a sidecar");
  expect(hostName("reviews.bookinfo.svc.cluster.local")).toBe("reviews.bookinfo");
  expect(hostName("db.example.com")).toBe("db.example.com");
});
