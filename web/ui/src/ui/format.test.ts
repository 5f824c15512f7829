import { describe, expect, it } from "vitest";
import { ago, bytes, clock, count, duration, number, object, percent, place, rate, span } from "./format";

describe("formats", () => {
  it.each([
    [number(0), "0"], [number(0.034), "0.034"], [number(0.5), "0.5"], [number(12.34), "12.3"], [number(1234), "1,234"], [number(12_345), "12.3k"], [number(2_500_000), "2.5M"],
    [rate(3), "3/s"],
    [percent(0), "0 %"], [percent(1), "100 %"], [percent(0.9999), ">99.9 %"], [percent(0.0001), "<0.1 %"], [percent(0.667), "67 %"], [percent(0.012), "1.2 %"],
    [duration(0.42), "0.42 ms"], [duration(8.44), "8.4 ms"], [duration(250.4), "250 ms"], [duration(1250), "1.25 s"],
    [span(8000), "8 s"], [span(180_000), "3 min"], [span(7_500_000), "2 h 5 min"], [span(12 * 86_400_000), "12 d"],
    [ago(0, 500), "now"], [ago(0, 5000), "5 s ago"], [ago(60_000, 0), "in 1 min"],
    [bytes(12), "12 B/s"], [bytes(1_234_000), "1.2 MB/s"],
    [count(1, "edge"), "1 edge"], [count(2, "match", "matches"), "2 matches"],
    [place({ file: "/a/b.yaml", line: 3 }), "b.yaml:3"], [place({}), ""],
    [object({ kind: "Policy", namespace: "shop", name: "default" }), "Policy shop/default"],
  ])("%s", (got, want) => expect(got).toBe(want));

  it("never round to all or nothing", () => {
    for (const x of [0.0004, 0.001, 0.5, 0.998, 0.99949, 0.9996]) expect(["0 %", "100 %"]).not.toContain(percent(x));
  });

  it("give the day of another day", () => {
    expect(clock(new Date(2026, 4, 1, 9, 3, 7), new Date(2026, 4, 1, 12))).toBe("09:03:07");
    expect(clock(new Date(2026, 3, 30, 9, 3, 7), new Date(2026, 4, 1, 12))).toBe("30 Apr 09:03:07");
  });
});
