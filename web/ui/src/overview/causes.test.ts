import { expect, it } from "vitest";
import type { Edge } from "../api/types";
import { causes, decided } from "./causes";

const declared = {
  status: "CONFLICT", server: "STRICT", clientMode: "DISABLE", wire: "refused", cause: "plaintext-strict",
  policy: { kind: "PeerAuthentication", namespace: "shop", name: "default" },
  destinationRule: { kind: "DestinationRule", namespace: "shop", name: "old" },
} as NonNullable<Edge["declared"]>;
const edge = (from: string, more: Partial<Edge> = {}) => ({ id: from, from, to: "service/api.shop.svc.cluster.local", port: 80, lock: "broken", declared, ...more }) as Edge;

it("puts together what one rule and one policy keep out", () => {
  const elsewhere = edge("d", { declared: { ...declared, destinationRule: undefined } });
  const open = edge("e", { lock: "open" });
  const list = [edge("a"), edge("b"), edge("c", { port: 81 }), elsewhere, open, edge("f", { declared: null })];
  expect(causes(list).map((g) => g.map((e) => e.from))).toEqual([["a", "b"], ["c"], ["d"], ["e"], ["f"]]);
});

it("names both objects, or says that there is none", () => {
  expect(decided(declared)).toBe("client DISABLE by DestinationRule shop/old; server STRICT by PeerAuthentication shop/default");
  expect(decided({ ...declared, clientMode: "-", destinationRule: undefined })).toContain("client - by no rule");
});
