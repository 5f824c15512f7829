import { describe, expect, it } from "vitest";
import type { Edge, GraphNode } from "../api/types";
import { amount, compile, ExpressionError, PRESETS, tryCompile, type Facts } from "./expression";
import { factsOfEdge, factsOfNode } from "./facts";

const edge: Facts = { lock: "open", ns: ["shop", "bank"], name: ["bookings", "payments"], rate: 12, errors: 0.02, p99: 250, weak: false, findings: 0, problem: true, plaintext: true, policy: ["default", "shop/default"] };
const node: Facts = { ns: "shop", name: "bookings", kind: "workload", findings: 2 };

describe("expressions", () => {
  it.each([
    ["", true],
    ["lock=open", true],
    ["lock:open", true],
    ["lock==OPEN", true],
    ["lock!=open", false],
    ["open", true],
    ["locked", false],
    ["ns=shop", true],
    ["namespace=bank", true],
    ["ns!=shop", false], // none of them
    ["ns=sho", false],
    ["name~book", true],
    ["name!~book", false],
    ["book", true],
    ['"book"', true],
    ["rate>10", true],
    ["rate>=12 rate<=12", true],
    ["rate>0.1k", false],
    ["errors>1%", true],
    ["errors>2%", false],
    ["p99>0.2s", true],
    ["p99<250ms", false],
    ["lock!=locked and not weak", true],
    ["weak or rate>10", true],
    ["not (weak or rate>10)", false],
    ["!weak && plaintext", true],
    ["policy=shop/default", true],
    ["lock=locked or lock=open and rate>100", false], // and binds closer
    ["findings", false],
    ["NOT weak", true],
  ])("%s of an edge is %s", (source, want) => {
    expect(compile(source)(edge)).toBe(want);
  });

  it("does not apply to what has no such field, negated or not", () => {
    for (const source of ["lock=open", "lock!=open", "not lock=open", "open", "not open", "rate>1", "weak", "lock=open and ns=shop"]) {
      expect(compile(source)(node), source).toBeUndefined();
    }
    expect(compile("lock=open or ns=shop")(node)).toBe(true);
    expect(compile("lock=open and ns=bank")(node)).toBe(false);
    expect(compile("findings>1")(node)).toBe(true);
  });

  it.each([
    ["lock=", "what shall lock be compared with?", 5],
    ["colour=red", "there is no field “colour”", 0],
    ["rate>many", "“many” is no number", 5],
    ["(lock=open", "this “(” has no “)”", 0],
    ["lock=open)", "a “)” without its “(”", 9],
    ["lock=open and", "something is missing at the end", 13],
    ['name="x', "the text that begins with \" has no end", 5],
    ["constructor=x", "there is no field “constructor”", 0],
    ["= 3", "did not expect “=”", 0],
  ])("%s is refused", (source, message, at) => {
    const { error, match } = tryCompile(source);
    expect(match).toBeUndefined();
    expect(error).toBeInstanceOf(ExpressionError);
    expect([error?.message, error?.at]).toEqual([message, at]);
  });

  it("never throws anything else, whatever is typed", () => {
    const parts = ["lock", "=", "open", "(", ")", "and", "or", "not", "!", '"', "~", ">", "1%", " ", "é", "&", "|", "__proto__", "constructor"];
    for (let i = 0; i < 4000; i++) {
      let s = "";
      for (let j = 0, x = i * 7919 + 13; j < 6; j++, x = (x * 48271) % 2147483647) s += parts[x % parts.length];
      tryCompile(s).match?.(edge);
    }
  });

  it("has presets that can be read", () => {
    for (const p of PRESETS) expect(tryCompile(p.q).error, p.q).toBeUndefined();
  });

  it("reads amounts", () => {
    expect([amount("3"), amount("1%"), amount("250ms"), amount("1.5s"), amount("2k"), amount("5/s")]).toEqual([3, 0.01, 250, 1500, 2000, 5]);
    expect(amount("x")).toBeNaN();
  });
});

describe("facts", () => {
  const from = { id: "a", kind: "workload", name: "web", namespace: "shop" } as GraphNode;
  const to = { id: "b", kind: "service", name: "api", namespace: "shop", traffic: { in: 10, inErrors: 1, inFailures: 0, out: 0, outErrors: 0, outFailures: 0, mtls: 1, known: 1 } } as GraphNode;
  const of = (lock: Edge["lock"], more: Partial<Edge> = {}) => factsOfEdge({ id: "e", from: "a", to: "b", lock, declared: null, observed: null, proven: null, sources: [], ...more }, from, to);

  it("never take unknown for plaintext", () => {
    expect(compile("plaintext")(of("unknown"))).toBe(false);
    expect(compile("lock=open")(of("unknown"))).toBe(false);
    expect(compile("mtls<50%")(of("unknown"))).toBeUndefined();
    expect(compile("plaintext")(of("mixed"))).toBe(true);
  });

  it("call what is refused, plain or in dispute a problem", () => {
    const note = { code: "x", severity: "note" as const, text: "" };
    expect(["broken", "open", "mixed", "unknown", "locked"].map((l) => of(l as Edge["lock"]).problem)).toEqual([true, true, true, false, false]);
    expect(of("locked", { findings: [note] }).problem).toBe(false);
    expect(of("locked", { findings: [{ ...note, severity: "warning" }] }).problem).toBe(true);
  });

  it("know the error share of a node", () => {
    expect(compile("errors>=10%")(factsOfNode(to))).toBe(true);
    expect(compile("errors>0")(factsOfNode(from))).toBeUndefined();
  });
});
