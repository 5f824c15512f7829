import { describe, expect, it } from "vitest";
import { fieldAt, offers, placeAt } from "./complete";

/** The cursor is at the bar. */
function at(text: string) {
  const offset = text.indexOf("|");
  return placeAt(text.slice(0, offset) + text.slice(offset + 1), offset);
}
const labels = (text: string) => {
  const p = at(text);
  return p ? offers(p).map((o) => o.label) : null;
};

describe("placeAt", () => {
  it("reads the path from the indentation", () => {
    expect(at("kind: PeerAuthentication\nspec:\n  mtls:\n    mode: S|")).toMatchObject({ kind: "PeerAuthentication", path: ["spec", "mtls"], key: "mode" });
    expect(at("kind: PeerAuthentication\nspec:\n  mtls:\n    mode: STRICT\n  |")).toMatchObject({ path: ["spec"], key: null, taken: ["mtls"] });
  });
  it("knows keys of items of a list", () => {
    const text = "kind: DestinationRule\nspec:\n  trafficPolicy:\n    portLevelSettings:\n    - port:\n        number: 80\n      tls:\n        mode: |";
    expect(at(text)?.path).toEqual(["spec", "trafficPolicy", "portLevelSettings", "tls"]);
    expect(at("kind: Policy\nspec:\n  peers:\n  - |")).toMatchObject({ path: ["spec", "peers"], key: null });
    expect(at("kind: Policy\nspec:\n  peers:\n  - mtls:\n      mode: |")).toMatchObject({ path: ["spec", "peers", "mtls"], key: "mode" });
    expect(at("kind: DestinationRule\nspec:\n  subsets:\n    - name: v1\n      |")).toMatchObject({ path: ["spec", "subsets"], taken: ["name"] });
  });
  it("stays in its document", () => {
    expect(at("kind: Gateway\nspec:\n  a: 1\n---\nkind: Policy\n|")).toMatchObject({ kind: "Policy", path: [] });
    expect(at("kind: Gateway\n|\n---\nkind: Policy\n")).toMatchObject({ kind: "Gateway", path: [] });
  });
  it("offers nothing in comments", () => {
    expect(at("# kind: |")).toBeNull();
    expect(at("kind: Policy # |")).toBeNull();
  });
  it("begins at the word", () => {
    expect(at("kind: Pee|")).toMatchObject({ key: "kind", from: 6 });
    expect(at("spec:\n  mt|")).toMatchObject({ from: 8 });
    expect(at("spec:\n  - na|")).toMatchObject({ from: 10 });
  });
});

describe("offers", () => {
  it("gives keys that are not there yet", () => {
    expect(labels("kind: PeerAuthentication\nmetadata:\n  name: x\n|")).toEqual(["apiVersion", "spec"]);
    expect(labels("kind: PeerAuthentication\nspec:\n  |")).toEqual(["selector", "mtls", "portLevelMtls"]);
  });
  it("gives values", () => {
    expect(labels("kind: PeerAuthentication\nspec:\n  mtls:\n    mode: |")).toEqual(["STRICT", "PERMISSIVE", "DISABLE", "UNSET"]);
    expect(labels("kind: PeerAuthentication\nspec:\n  portLevelMtls:\n    8080:\n      mode: |")).toContain("STRICT");
    expect(labels("kind: DestinationRule\nspec:\n  trafficPolicy:\n    tls:\n      mode: I|")).toContain("ISTIO_MUTUAL");
    expect(labels("kind: Policy\nspec:\n  peers:\n    - mtls:\n        mode: |")).toEqual(["STRICT", "PERMISSIVE"]);
  });
  it("knows the kind before it offers a spec", () => {
    expect(labels("|")).toEqual(["apiVersion", "kind", "metadata"]);
    expect(labels("kind: |")).toContain("DestinationRule");
    expect(labels("kind: PeerAuthentication\napiVersion: |")).toEqual(["security.istio.io/v1", "security.istio.io/v1beta1"]);
  });
  it("gives values of lists", () => {
    expect(labels("kind: DestinationRule\nspec:\n  exportTo:\n    - |")).toEqual(['"."', '"*"']);
  });
  it("is silent where nothing is known", () => {
    expect(labels("kind: Deployment\nspec:\n  |")).toEqual([]);
  });
});

it("explains fields", () => {
  expect(fieldAt("DestinationRule", ["spec", "subsets", "trafficPolicy", "tls", "mode"])?.doc).toContain("ISTIO_MUTUAL");
  expect(fieldAt("DestinationRule", ["spec", "nothing"])).toBeUndefined();
});
