import { describe, expect, it } from "vitest";
import type { Edge, Graph, GraphNode } from "../api/types";
import { changesBetween } from "./changed";
import { elementsOf, linesOf, stepsBetween, type Element } from "./elements";
import { tryCompile } from "./expression";
import { itemsOf } from "./GraphList";
import { bendsOf, curvesOf, lineOf, lockPlaces } from "./paths";
import { healthOf, labelOf, namer, pictureOf, sentenceOf, widthOf, type Picture } from "./picture";
import { shownOf } from "./shown";
import { escape, svgOf } from "./svg";
import type { Colours } from "./style";

const node = (id: string, more: Partial<GraphNode> = {}): GraphNode => ({ id, kind: "workload", name: id, namespace: "shop", ...more });
const seen = (more: object = {}) => ({ start: "", end: "", reporters: "destination", requests: 10, errors: 0, connections: 0, received: 0, sent: 0, failures: 0, lost: 0, mtls: 1, known: 1, ...more }) as NonNullable<Edge["observed"]>;
const edge = (from: string, to: string, more: Partial<Edge> = {}): Edge => ({ id: `${from}>${to}`, from, to, port: 80, lock: "locked", declared: null, observed: seen(), proven: null, sources: [], ...more });

/** web → api → db, api is a service with two workloads behind it. */
function mesh(more: Partial<Graph> = {}): Graph {
  const nodes = [node("namespace/shop", { kind: "namespace", name: "shop" }), node("web"), node("api", { kind: "service", endpoints: ["api-1", "api-2", "gone"] }), node("api-1"), node("api-2"), node("db", { kind: "egress", namespace: undefined })];
  const places = Object.fromEntries(["web", "api", "api-1", "api-2", "db"].map((id, i) => [id, { x: 100 + i * 300, y: 100 }]));
  return {
    apiVersion: "", kind: "Graph", dialect: "current", nodes,
    edges: [edge("web", "api", { lock: "mixed", observed: seen({ mtls: 0.5 }), shares: [{ workload: "api-2", observed: seen(), lock: "open" }] }), edge("api-1", "db", { lock: "unknown", observed: null, weak: true })],
    layout: { width: 1500, height: 200, nodes: places, boxes: [{ id: "namespace/shop", x: 0, y: 0, width: 1200, height: 200 }] },
    ...more,
  };
}
const draw = (g = mesh()): Picture => pictureOf([{ mesh: "m", graph: g }], "mtls");
const all = { hidden: new Set<string>(), dim: new Set<string>(), matches: -1 };

describe("a picture", () => {
  it("has nodes where the layout says, and a box for their namespace", () => {
    const p = draw();
    expect(p.nodes.map((n) => [n.node.id, n.x])).toEqual([["web", 100], ["api", 400], ["api-1", 700], ["api-2", 1000], ["db", 1300]]);
    expect(p.boxes.map((b) => b.name)).toEqual(["shop"]);
    expect([p.width, p.height]).toEqual([1500, 200]);
  });

  it("links services with what is behind them, with a lock where one differs", () => {
    expect(draw().links.map((l) => [l.from, l.to, l.lock])).toEqual([["m api", "m api-1", undefined], ["m api", "m api-2", "open"]]);
  });

  it("places what the layout does not know yet below, and draws a namespace without a box as a group", () => {
    const g = mesh();
    g.nodes.push(node("new"), node("namespace/bank", { kind: "namespace", name: "bank" }));
    if (g.layout) g.layout.nodes["namespace/bank"] = { x: 5, y: 6 };
    const p = draw(g);
    expect(p.nodes.find((n) => n.node.id === "new")?.y).toBeGreaterThan(200);
    expect(p.nodes.find((n) => n.node.name === "bank")?.collapsed).toBe(true);
  });

  it("puts several meshes below or beside each other, each in a box", () => {
    const p = pictureOf([{ mesh: "a", graph: mesh() }, { mesh: "b", graph: mesh() }], "none");
    const [first, second] = p.boxes.filter((b) => !b.node).sort((x, y) => x.y - y.y);
    expect([first?.name, second?.name]).toEqual(["a", "b"]);
    expect((first?.y ?? 0) + (first?.height ?? 0)).toBeLessThan(second?.y ?? 0);
    const tall = mesh();
    if (tall.layout) tall.layout.height = 3000;
    const [left, right] = pictureOf([{ mesh: "a", graph: tall }, { mesh: "b", graph: mesh() }], "none").boxes.filter((b) => !b.node).sort((x, y) => x.x - y.x);
    expect([left?.y, left?.name]).toEqual([right?.y, "a"]);
    expect((left?.x ?? 0) + (left?.width ?? 0)).toBeLessThan(right?.x ?? 0);
    expect(new Set(p.nodes.map((n) => n.id)).size).toBe(p.nodes.length);
  });

  it("keeps edges between the same nodes apart", () => {
    const g = mesh();
    g.edges.push(edge("web", "api", { id: "second", port: 443 }));
    const [one, two] = draw(g).edges.filter((e) => e.to === "m api");
    expect(one?.line.points[1]).not.toEqual(two?.line.points[1]);
    expect(one?.at).not.toEqual(two?.at);
  });

  it("leads edges and links where the layout does, in each mesh's own place", () => {
    const g = mesh();
    const points = [{ x: 178, y: 100 }, { x: 200, y: 100 }, { x: 240, y: 60 }, { x: 290, y: 60 }, { x: 322, y: 100 }];
    if (g.layout) g.layout.lines = { "web>api": points, "api~api-2": points };
    const p = pictureOf([{ mesh: "a", graph: mesh() }, { mesh: "m", graph: g }], "none");
    const e = p.edges.find((x) => x.id === "m web>api");
    const moved = { x: (p.nodes.find((n) => n.id === "m web")?.x ?? 0) - 100, y: (p.nodes.find((n) => n.id === "m web")?.y ?? 0) - 100 };
    expect(moved.y).toBeGreaterThan(100);
    expect(e?.line.points.map((q) => ({ x: q.x - moved.x, y: q.y - moved.y }))).toEqual(points);
    expect(p.links.filter((l) => l.led).map((l) => l.id)).toEqual(["m api~api-2"]);
    // The curves hang together, and meet half way between two bends.
    const curves = curvesOf(e?.line ?? { way: "forward", points: [] });
    expect(curves.length).toBe(3);
    curves.slice(1).forEach(([from], i) => expect(from).toEqual(curves[i]?.[2]));
  });

  it("has no lock on a node or on another lock while there is room", () => {
    const g = mesh();
    for (let i = 0; i < 5; i++) g.edges.push(edge("web", "api", { id: `p${i}`, port: i }));
    const p = draw(g);
    for (const e of p.edges) {
      for (const n of p.nodes) expect(Math.abs(n.x - e.at.x) > 78 || Math.abs(n.y - e.at.y) > 20).toBe(true);
      for (const o of p.edges) if (o !== e) expect(Math.hypot(o.at.x - e.at.x, o.at.y - e.at.y)).toBeGreaterThan(18);
    }
  });

  it("says what is not known, and never as nothing", () => {
    expect(labelOf(edge("a", "b", { observed: null }), "mtls")).toBe("");
    expect(labelOf(edge("a", "b", { observed: seen({ known: 0, mtls: 0 }) }), "mtls")).toBe("");
    expect(labelOf(edge("a", "b", { observed: seen({ mtls: 0.9999 }) }), "mtls")).toBe(">99.9 %");
    expect(labelOf(edge("a", "b", { lock: "broken", observed: seen({ requests: 0, failures: 3, known: 0 }) }), "mtls")).toBe("refused");
    expect(labelOf(edge("a", "b", { observed: null }), "rate")).toBe("");
    expect(labelOf(edge("a", "b", { observed: seen({ p99: 1250 }) }), "p99")).toBe("1.25 s");
  });

  it("has thicker lines for more traffic, and knows health", () => {
    const widths = [0, 1, 100, 10_000].map((requests) => widthOf(edge("a", "b", { observed: seen({ requests }) })));
    expect([...widths].sort((a, b) => a - b)).toEqual(widths);
    const traffic = { in: 100, inErrors: 0, inFailures: 0, out: 0, outErrors: 0, outFailures: 0, mtls: 1, known: 1 };
    expect([{ ...traffic }, { ...traffic, inErrors: 2 }, { ...traffic, inFailures: 30 }, { ...traffic, in: 0 }].map((t) => healthOf(node("x", { traffic: t })))).toEqual(["good", "some", "bad", "idle"]);
  });
});

describe("what is shown", () => {
  const p = draw();
  const by = (q: string, mode: "find" | "only" | "hide") => shownOf(p, { ...tryCompile(q), mode });

  it("dims, leaves out, or leaves only", () => {
    expect([...by("lock=mixed", "find").dim].sort()).toEqual(["m api-1", "m api-1>db", "m api-2", "m api~api-1", "m api~api-2", "m db"]);
    expect([...by("lock=mixed", "only").hidden]).toContain("m api-1>db");
    expect([...by("weak", "hide").hidden]).toEqual(["m api-1>db"]);
    expect(by("lock=mixed", "only").matches).toBe(1);
  });

  it("takes the edges of a hidden node along, and the box with its last node", () => {
    expect([...by("name=api and kind=service", "hide").hidden].sort()).toEqual(["m api", "m api~api-1", "m api~api-2", "m web>api"]);
    expect(by("ns=shop", "hide").hidden.has("m namespace/shop")).toBe(true);
  });

  it("shows what is near: what is behind a service is as near as the service", () => {
    const near = (id: string, hops: number) => p.nodes.filter((n) => !shownOf(p, { mode: "find", near: { id: "m " + id, hops } }).hidden.has(n.id)).map((n) => n.node.id);
    expect(near("web", 1)).toEqual(["web", "api", "api-1", "api-2"]);
    expect(near("web", 2)).toEqual(["web", "api", "api-1", "api-2", "db"]);
    expect(near("db", 1)).toEqual(["api", "api-1", "api-2", "db"]);
  });
});

describe("elements", () => {
  const index = (list: Element[]) => new Map(list.map((e) => [e.id, e]));

  it("change in place: the same picture needs no step", () => {
    expect(stepsBetween(index(elementsOf(draw(), all, null)), elementsOf(draw(), all, null))).toEqual({ remove: [], add: [], update: [] });
  });

  it("change a lock without moving anything", () => {
    const g = mesh();
    g.edges[0] = edge("web", "api", { lock: "open", shares: [{ workload: "api-2", observed: seen(), lock: "open" }] });
    const steps = stepsBetween(index(elementsOf(draw(), all, null)), elementsOf(draw(g), all, null));
    expect([steps.remove, steps.add]).toEqual([[], []]);
    expect(steps.update.filter((u) => u.position)).toEqual([]);
    expect(steps.update.find((u) => u.id === "m web>api")?.classes).toContain("open");
  });

  it("come and go, and move where the layout moves them", () => {
    const g = mesh();
    g.nodes = g.nodes.filter((n) => n.id !== "db").concat(node("new"));
    g.edges = g.edges.slice(0, 1);
    if (g.layout) g.layout.nodes = { ...g.layout.nodes, web: { x: 120, y: 90 } };
    const steps = stepsBetween(index(elementsOf(draw(), all, null)), elementsOf(draw(g), all, null));
    expect(steps.remove.sort()).toEqual(["m api-1>db", "m db"]);
    expect(steps.add.map((e) => e.id)).toEqual(["m new"]);
    expect(steps.update.find((u) => u.id === "m web")?.position).toEqual({ x: 120, y: 90 });
  });

  it("bend where the line is drawn by others, too", () => {
    for (const [a, b] of [[{ x: 0, y: 0 }, { x: 400, y: 120 }], [{ x: 0, y: 0 }, { x: 10, y: 200 }], [{ x: 900, y: 50 }, { x: 100, y: -80 }]] as const) {
      const l = lineOf(a, b, 12);
      const { weights, distances } = bendsOf(l);
      const start = l.points[0] ?? { x: 0, y: 0 };
      const end = l.points[3] ?? { x: 0, y: 0 };
      const dx = end.x - start.x;
      const dy = end.y - start.y;
      const length = Math.hypot(dx, dy);
      l.points.slice(1, 3).forEach((want, i) => {
        const w = weights[i] ?? 0;
        const d = distances[i] ?? 0;
        // Cytoscape's own sum: along the line, then to its left.
        expect(start.x + dx * w - (dy / length) * d).toBeCloseTo(want.x, 0);
        expect(start.y + dy * w + (dx / length) * d).toBeCloseTo(want.y, 0);
      });
    }
    expect(lockPlaces(lineOf({ x: 0, y: 0 }, { x: 2000, y: 0 }))[0]?.x).toBeLessThan(200); // beside its client
  });

  it("have names in two lines at most", () => {
    expect(linesOf("reviews")).toBe("reviews");
    expect(linesOf("traffic-generator-productpage")).toBe("traffic-\ngenerator-produc…");
    for (const name of ["a".repeat(60), "ratings-db.example.com", "productpage-v12"]) {
      const lines = linesOf(name).split("\n");
      expect(lines.length).toBe(2);
      expect(Math.max(...lines.map((l) => l.length))).toBeLessThanOrEqual(17);
    }
  });
});

describe("words", () => {
  it("say an edge in a sentence", () => {
    const e = draw().edges[0];
    expect(e && sentenceOf(e, namer(draw())(e))).toBe("web to api port 80: mixed, 50 % mutual TLS, 10/s");
  });

  it("tell callers of one name in several namespaces apart", () => {
    const g = mesh();
    g.nodes.push(node("other", { name: "web", namespace: "bank" }));
    g.edges.push(edge("other", "api"));
    const p = draw(g);
    expect(p.edges.filter((e) => e.to === "m api").map((e) => sentenceOf(e, namer(p)(e)).split(":")[0])).toEqual(["web to api port 80", "web.bank to api.shop port 80"]);
  });

  it("say what became of locks", () => {
    const g = mesh();
    g.edges[0] = edge("web", "api", { lock: "open" });
    expect(changesBetween(draw(), draw(g))).toBe("web to api is open, was mixed");
    expect(changesBetween(draw(), draw())).toBe("");
  });

  it("list nodes from left to right, each with its edges", () => {
    expect(itemsOf(draw(), all).map((i) => i.key)).toEqual(["m web", "m web>api", "m api", "m api-1", "m api-1>db", "m api-2", "m db"]);
  });
});

describe("SVG", () => {
  const colours = new Proxy({}, { get: () => "#123456" }) as Colours;

  it("has everything that is shown, escaped", () => {
    const g = mesh();
    const evil = `<script>alert("1")</script>&'`;
    g.nodes[1] = node("web", { name: evil });
    const { text } = svgOf(draw(g), { ...all, hidden: new Set(["m db"]) }, colours, { title: evil, font: "sans-serif" });
    expect(text).not.toContain("<script");
    expect(text).toContain("&#60;script&#62;");
    expect(text).toContain(">api<");
    expect(text).not.toContain(">db<");
    expect(escape("a\u0000b")).toBe("a\ufffdb");
  });
});
