import { expect, it } from "vitest";
import { fileName, folderOf, templates, templateText } from "./templates";

it("speaks the dialect", () => {
  expect(templates("1.4").map((t) => t.id)).toContain("MeshPolicy");
  expect(templates("current").map((t) => t.id)).not.toContain("MeshPolicy");
});

it("names files", () => {
  expect(fileName("/etc/mesh/", "PeerAuthentication", "shop")).toBe("/etc/mesh/shop-peer-authentication.yaml");
  expect(fileName("/etc/mesh", "MeshPolicy", "")).toBe("/etc/mesh/mesh-policy.yaml");
  expect(folderOf("/etc/mesh/a.yaml")).toBe("/etc/mesh");
});

it("writes what is whole", () => {
  for (const d of ["1.4", "current"]) {
    for (const t of templates(d)) {
      const text = templateText(t.id, t.namespaced ? "shop" : "");
      expect(text).toMatch(/^# .*\napiVersion: .*\nkind: \w+\nmetadata:\n {2}name: /);
      expect(text.includes("namespace: shop")).toBe(t.namespaced);
    }
  }
});
