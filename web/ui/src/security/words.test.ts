import { expect, it } from "vitest";
import { modeOf, resourceWords, VERBS, verbOf, verbTitle } from "./words";

it("speaks the dialect", () => {
  expect(modeOf("disable", "1.4")).toBe("DISABLED");
  expect(modeOf("disable", "current")).toBe("DISABLE");
  expect(verbTitle("disable", "shop/api:8080", "1.2")).toBe("Set port 8080 of api in shop to DISABLED");
  expect(verbTitle("unset", "shop", "current")).toBe("Unset the mode of namespace shop");
});

it("goes from verb to mode and back", () => {
  for (const d of ["1.4", "current"]) for (const v of VERBS) expect(verbOf(modeOf(v, d))).toBe(v);
  expect(verbOf("MIXED")).toBeUndefined();
});

it("says what a resource is", () => {
  expect(resourceWords("mesh")).toBe("the mesh");
  expect(resourceWords("shop/api")).toBe("service api in shop");
});
