import { describe, expect, it } from "vitest";
import type { LogLine, Observed } from "../api/types";
import { declaredWords, logParts, observedWords, probeClient, probeTarget, provenWords, steps } from "./facts";

const observed = (more: Partial<Observed>): Observed => ({ start: "", end: "", reporters: "destination", requests: 10, errors: 0, connections: 0, received: 0, sent: 0, failures: 0, mtls: 1, known: 1, ...more });

describe("observedWords", () => {
  it("never takes unknown for open", () => {
    expect(observedWords(observed({ known: 0, mtls: 0 }), "unknown")).toMatchObject({ word: "not known", tone: "unknown" });
    expect(observedWords(null, "unknown")).toMatchObject({ word: "nothing seen", tone: "unknown" });
    expect(observedWords(observed({ requests: 0 }), "unknown").tone).toBe("unknown");
    expect(observedWords(observed({ known: 0.5 }), "unknown").tone).toBe("unknown");
  });
  it("never rounds to all", () => {
    expect(observedWords(observed({ mtls: 0.9999 }), "mixed")).toMatchObject({ word: ">99.9 % mTLS", tone: "mixed" });
    expect(observedWords(observed({}), "locked")).toMatchObject({ word: "100 % mTLS", tone: "locked" });
  });
  it("says what is refused", () => {
    expect(observedWords(observed({ requests: 1, failures: 3 }), "broken")).toEqual({ word: "refused", tone: "broken", sub: "75 % of attempts" });
  });
});

it("says what is declared and proven", () => {
  expect(declaredWords(null).tone).toBe("unknown");
  expect(declaredWords({ status: "OK", server: "STRICT", clientMode: "UNSET", wire: "mTLS", cause: "match" })).toEqual({ word: "mTLS", tone: "locked", sub: "server STRICT" });
  expect(provenWords(null, 0).word).toBe("not tried");
  expect(provenWords({ at: "2026-01-01T00:00:00Z", problem: "nothing answers" }, Date.parse("2026-01-01T00:01:00Z"))).toEqual({ word: "no answer", tone: "unknown", sub: "1 min ago" });
});

it("groups the steps of the why", () => {
  const r = (step: string) => ({ step, cause: "x", text: "t" });
  expect(steps([r("client"), r("policy"), r("policy"), r("wire")]).map((s) => [s.title, s.reasons.length])).toEqual([["Client", 1], ["Policies of the server", 2], ["On the wire", 1]]);
});

it("knows what can be probed", () => {
  expect(probeTarget({ id: "service/api.shop.svc.cluster.local", kind: "service" }, 8080)).toBe("shop/api:8080");
  expect(probeTarget({ id: "egress/db.example.com", kind: "egress" }, 443)).toBeUndefined();
  expect(probeClient({ id: "workload/shop/web.Deployment", kind: "workload", capture: "sidecar" })).toBe("shop/web");
  expect(probeClient({ id: "workload/shop/web.Deployment", kind: "workload", capture: "none" })).toBeUndefined();
});

describe("logParts", () => {
  const line = (text: string, more: Partial<LogLine>): LogLine => ({ namespace: "a", pod: "b", text, ...more });
  const kinds = (l: LogLine) => logParts(l).filter((p) => p.kind !== "plain").map((p) => [p.kind, p.text]);
  it("marks status with flags", () => {
    expect(kinds(line('[t] "GET /503 HTTP/1.1" 503 UC via "-" 0', { code: 503, flags: "UC" }))).toEqual([["bad", "503 UC"]]);
    expect(kinds(line('[t] "GET / HTTP/1.1" 200 - via "-" 0', { code: 200, flags: "-" }))).toEqual([["code", "200 -"]]);
  });
  it("marks the reason", () => {
    expect(kinds(line('[t] "- - -" 0 UF "TLS error: x" 1', { code: 0, flags: "UF", reason: "TLS error: x" }))).toEqual([["bad", "0 UF"], ["reason", "TLS error: x"]]);
  });
  it("leaves nothing out", () => {
    const l = line('{"response_flags":"UC","code":503}', { code: 503, flags: "UC" });
    expect(logParts(l).map((p) => p.text).join("")).toBe(l.text);
    expect(kinds(l)).toEqual([["bad", "UC"]]);
  });
});
