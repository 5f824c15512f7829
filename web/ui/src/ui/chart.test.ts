import { describe, expect, it } from "vitest";
import { areaPath, linePath, topOf } from "./Chart";

const line = (values: (number | null)[]) => ({ name: "x", values, colour: "--chart-1" });

describe("linePath", () => {
  it("leaves out what is not known", () => {
    expect(linePath([0, 10, null, 10, 0], 40, 10, 10)).toBe("M0.0 10.0L10.0 0.0M30.0 0.0L40.0 10.0");
  });
  it("draws a single value as a dot", () => {
    expect(linePath([null, 5, null], 20, 10, 10)).toBe("M10.0 5.0h0.1");
  });
  it("stays in its box", () => {
    expect(linePath([20, NaN], 10, 10, 10)).toBe("M0.0 0.0");
  });
  it("is nothing without values", () => {
    expect(linePath([], 10, 10, 10)).toBe("");
  });
});

describe("areaPath", () => {
  it("closes each stretch at the ground", () => {
    expect(areaPath([10, 10, null, 5], 30, 10, 10)).toBe("M0.0 10L0.0 0.0L10.0 0.0L10.0 10ZM30.0 10L30.0 5.0L30.0 10Z");
  });
});

describe("topOf", () => {
  it("rounds up to 1, 2, 5", () => {
    expect(topOf([line([0.3, 1.7])])).toBe(2);
    expect(topOf([line([41])])).toBe(50);
    expect(topOf([line([100])])).toBe(100);
    expect(topOf([line([null, 0])])).toBe(1);
    expect(topOf([line([0.1])], 1)).toBe(1);
  });
});
