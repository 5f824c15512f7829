import { describe, expect, it } from "vitest";
import type { GraphNode } from "../api/types";
import { href, parse } from "./router";
import { find } from "./Search";
import { tokenOf } from "./Login";

describe("routes", () => {
  it("have a mesh or all, a view, a window and a selection", () => {
    const r = parse("/meshes/jaunty-ferret/graph", "?window=15m&sel=edge:a>b:80&q=open");
    expect([r.mesh, r.view, r.window, r.known]).toEqual(["jaunty-ferret", "graph", "15m", true]);
    expect(r.selection).toEqual({ mesh: "jaunty-ferret", kind: "edge", id: "a>b:80" });
    expect(parse("/table", "").mesh).toBeNull();
    expect(parse("/table", "?sel=node:x").selection).toBeNull(); // of which mesh?
    expect(parse("/graph", "?sel=node:x&of=m").selection?.mesh).toBe("m");
  });

  it("that nobody knows are the overview, and say so", () => {
    for (const path of ["/nowhere", "/meshes/a", "/meshes/a/graph/more", "/meshes/%E0%A4%A/graph"]) {
      const r = parse(path, "?window=1y");
      expect([r.window, path === "/meshes/%E0%A4%A/graph" || !r.known]).toEqual(["1m", true]);
    }
  });

  it("come back from their own URL", () => {
    for (const url of ["/graph", "/meshes/a/table", "/meshes/a%2Fb/graph?window=5m&sel=edge:workload/x/y>service/z:80", "/graph?sel=node:n&of=m"]) {
      const [path = "", search = ""] = url.split("?");
      const r = parse(path, search ? "?" + search : "");
      const again = new URL(href(r), "http://x");
      expect(parse(again.pathname, again.search)).toEqual({ ...r, query: expect.anything() as URLSearchParams });
    }
  });

  it("keep the window everywhere, the filter in its view, and the selection in its mesh", () => {
    const r = parse("/meshes/a/graph", "?window=1h&q=open&sel=node:x");
    expect(href(r, { view: "table" })).toBe("/meshes/a/table?window=1h&sel=node:x");
    expect(href(r, { mesh: "b" })).toBe("/meshes/b/graph?q=open&window=1h");
    expect(href(r, { mesh: null })).toBe("/graph?q=open&window=1h&sel=node:x&of=a");
    expect(href(r, { query: { q: null }, selection: null, window: "1m" })).toBe("/meshes/a/graph");
  });
});

describe("the search", () => {
  const hit = (name: string, namespace: string, kind: GraphNode["kind"] = "workload") => ({ mesh: "m", node: { id: `${kind}/${namespace}/${name}`, kind, name, namespace } });
  const all = [hit("reviews-v1", "shop"), hit("reviews", "shop", "service"), hit("preview", "bank"), hit("api", "reviews")];

  it("has what is called so first, then what begins so", () => {
    expect(find(all, "reviews").map((h) => h.node.name)).toEqual(["reviews", "reviews-v1", "api"]);
    expect(find(all, "shop v1").map((h) => h.node.name)).toEqual(["reviews-v1"]);
    expect(find(all, "  ")).toEqual([]);
    expect(find(all, "e", 2).length).toBe(2);
  });
});

describe("the login", () => {
  it("takes a token, or the link that has it", () => {
    expect(tokenOf(" abc ")).toBe("abc");
    expect(tokenOf("http://127.0.0.1:8080/#token=a%2Bc")).toBe("a+c");
  });
});
