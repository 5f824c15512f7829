// Made-up meshes in the shapes of the API, for work on the dashboard. Nothing here judges anything: locks are given, and
// a change of policy moves those of its target by a rule of thumb.

export const head = (kind) => ({ apiVersion: "oarlock.dev/v1", kind });
const now = () => new Date();
const iso = (ms) => new Date(ms).toISOString();

/** Random numbers that are the same each time. */
export function random(seed) {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const ref = (kind, namespace, name, file, line) => ({ kind, ...(namespace ? { namespace } : {}), name, file, line, col: 1 });

/** A mesh in the making. */
class World {
  nodes = [];
  edges = [];
  constructor(name, dialect, mode) {
    Object.assign(this, { name, dialect, mode, snapshot: "4f1c09be27aa", rules: new Map([["mesh", mode]]), changes: [], version: 1, coverage: null });
  }
  namespace(name, mode) {
    this.nodes.push({ id: `namespace/${name}`, kind: "namespace", namespace: name, name, mode: mode ?? this.mode, ref: ref("Namespace", "", name, `${name}.yaml`, 1) });
  }
  workload(ns, name, more = {}) {
    const id = `workload/${ns}/${name}.Deployment`;
    this.nodes.push({ id, kind: "workload", namespace: ns, name, capture: "sidecar", mode: this.mode, ref: ref("Deployment", ns, name, `${ns}.yaml`, 20), ...more });
    return id;
  }
  service(ns, name, endpoints, more = {}) {
    const id = `service/${name}.${ns}.svc.cluster.local`;
    this.nodes.push({ id, kind: "service", namespace: ns, name, endpoints, mode: this.mode, ref: ref("Service", ns, name, `${ns}.yaml`, 10), ...more });
    return id;
  }
  node(kind, id, name, ns) {
    this.nodes.push({ id, kind, name, ...(ns ? { namespace: ns } : {}) });
    return id;
  }
  edge(from, to, port, lock, rps, more = {}) {
    const e = { id: `${from}>${to}:${port}`, from, to, port, lock, base: rps, sources: [{ kind: "call", text: "annotation oarlock.dev/calls" }], ...more };
    this.edges.push(e);
    return e;
  }
}

const words = { locked: ["STRICT", "ISTIO_MUTUAL", "mTLS", "OK"], mixed: ["PERMISSIVE", "UNSET", "MIXED", "AUTO"], open: ["DISABLE", "DISABLE", "plaintext", "OK"], broken: ["STRICT", "DISABLE", "refused", "CONFLICT"], unknown: ["PERMISSIVE", "ISTIO_MUTUAL", "mTLS", "OK"] };
const reasons = {
  locked: "All requests that the destination counted were mutual TLS.",
  mixed: "A part of the requests is plaintext: callers without a sidecar are among them.",
  open: "The destination counted every request as plaintext.",
  broken: "The server wants mutual TLS and the client sends plaintext: connections are refused.",
  unknown: "No traffic was seen in the window.",
};

function observed(e, window, t) {
  if (e.lock === "unknown" && !e.base) return null;
  const wave = e.still ? 1 : 1 + 0.12 * Math.sin(t / 9000 + e.base);
  const r = +(e.base * wave).toFixed(2);
  const broken = e.lock === "broken";
  const end = Date.now() - 400;
  return {
    start: iso(end - window), end: iso(end), newest: iso(end - 600), reporters: e.lock === "unknown" ? "source" : "destination+source", protocol: e.tcp ? "tcp" : "http",
    requests: broken || e.tcp ? 0 : r, errors: broken ? 0 : +(r * (e.err ?? 0)).toFixed(3), connections: e.tcp ? r : 0,
    received: r * 810, sent: r * 2900, failures: broken ? r : 0, ...(broken ? { causes: [{ cause: "plaintext where TLS is required", failures: r }] } : {}),
    mtls: e.lock === "locked" ? 1 : e.lock === "mixed" ? (e.share ?? 0.72) : 0, known: e.lock === "unknown" ? 0 : 1,
    ...(e.tcp || broken ? {} : { p50: 2.1 + (e.base % 7), p90: 8.4 + (e.base % 13), p99: 24 + (e.base % 61) }),
    ...(e.lock === "locked" || e.lock === "mixed" ? { sourcePrincipals: ["spiffe://cluster.local/ns/bookinfo/sa/default"], destinationPrincipals: ["spiffe://cluster.local/ns/bookinfo/sa/reviews"] } : {}),
    policies: ["default/bookinfo"],
  };
}

/** The edge as the API gives it. */
export function edgeOf(w, e, window = 60_000, t = Date.now()) {
  const [server, mode, wire, status] = words[e.lock];
  const obs = observed(e, window, t);
  const { base: _b, err: _e, tcp: _t, share: _s, still: _st, shareOf, ...rest } = e;
  return {
    ...rest,
    declared: e.noVerdict ? null : { status, server, clientMode: mode, wire, cause: e.lock === "broken" ? "PLAINTEXT_TO_STRICT" : "OK",
      policy: ref(w.dialect === "current" ? "PeerAuthentication" : "Policy", "bookinfo", "default", "policies.yaml", 4),
      ...(e.lock === "broken" || e.lock === "open" ? { destinationRule: ref("DestinationRule", "bookinfo", "destrule-productpage", "rules.yaml", 12) } : {}) },
    observed: obs,
    proven: e.proven ?? null,
    reason: e.reason ?? reasons[e.lock],
    ...(shareOf && obs ? { shares: shareOf.map(([id, part, lock]) => ({ workload: id, lock: lock ?? e.lock, observed: observed({ ...e, base: e.base * part, lock: lock ?? e.lock }, window, t) })) } : {}),
  };
}

/** The bookinfo mesh with all five locks, ingress and egress. */
export function bookinfo(name) {
  const w = new World(name, "1.4", "PERMISSIVE");
  for (const ns of ["bookinfo", "default", "istio-ingress", "traffic-generator"]) w.namespace(ns, ns === "bookinfo" ? "STRICT" : undefined);
  const gw = w.workload("istio-ingress", "ingressgateway", { gateway: true });
  const pp = w.workload("bookinfo", "productpage-v1", { app: "productpage", version: "v1", mode: "STRICT" });
  const det = w.workload("bookinfo", "details-v1", { app: "details", version: "v1", mode: "STRICT" });
  const r1 = w.workload("bookinfo", "reviews-v1", { app: "reviews", version: "v1", mode: "STRICT" });
  const r2 = w.workload("bookinfo", "reviews-v2", { app: "reviews", version: "v2", mode: "STRICT" });
  const r3 = w.workload("bookinfo", "reviews-v3", { app: "reviews", version: "v3", mode: "PERMISSIVE", findings: [{ code: "declared-proven", severity: "warning", text: "A probe got plaintext through, and the policy says STRICT." }] });
  const rat = w.workload("bookinfo", "ratings-v1", { app: "ratings", version: "v1", mode: "DISABLE" });
  const g1 = w.workload("bookinfo", "traffic-generator-productpage", { app: "traffic-generator-productpage" });
  const g2 = w.workload("traffic-generator", "traffic-generator-productpage", { app: "traffic-generator-productpage" });
  const g3 = w.workload("default", "traffic-generator-productpage", { app: "traffic-generator-productpage", capture: "none" });
  const spp = w.service("bookinfo", "productpage", [pp], { mode: "STRICT", findings: [{ code: "conflict", severity: "error", text: "A client of this service is refused." }] });
  const sd = w.service("bookinfo", "details", [det], { mode: "STRICT" });
  const sr = w.service("bookinfo", "reviews", [r1, r2, r3], { mode: "MIXED" });
  const sra = w.service("bookinfo", "ratings", [rat], { mode: "DISABLE" });
  const out = w.node("outside", "outside", "outside");
  const db = w.node("egress", "egress/ratings-db.example.com", "ratings-db.example.com");
  const black = w.node("egress", "egress/BlackHoleCluster", "BlackHoleCluster");
  w.edge(out, gw, 443, "unknown", 18, { noVerdict: true, reason: "The caller is outside of the mesh: nobody counts what it sends.", sources: [{ kind: "traffic", text: "seen in traffic" }] });
  w.edge(gw, spp, 9080, "locked", 18.4);
  w.edge(g1, spp, 9080, "locked", 10.2, { proven: { at: iso(Date.now() - 40_000), mode: "STRICT", proof: ["plaintext refused", "TLS without a certificate refused", "mutual TLS accepted"] } });
  w.edge(g2, spp, 9080, "broken", 6.1, { findings: [{ code: "conflict", severity: "error", text: "Policy bookinfo/default wants mutual TLS, and DestinationRule bookinfo/destrule-productpage sends plaintext." }] });
  w.edge(g3, spp, 9080, "broken", 4.2);
  w.edge(pp, sd, 9080, "locked", 33.1, { shareOf: [[det, 1]] });
  w.edge(pp, sr, 9080, "mixed", 32.7, { share: 0.667, shareOf: [[r1, 0.33], [r2, 0.34], [r3, 0.33, "open"]], err: 0.004,
    findings: [{ code: "declared-observed", severity: "warning", text: "Mutual TLS is declared, and a third of the traffic is plaintext." }] });
  w.edge(r2, sra, 9080, "open", 11.1, { err: 0.021 });
  w.edge(r3, sra, 9080, "open", 10.8);
  w.edge(rat, db, 27017, "open", 3.4, { tcp: true, noVerdict: true, reason: "The host is outside of the mesh and the connection has no TLS of the mesh." });
  w.edge(r1, sra, 9080, "unknown", 0, { weak: true, sources: [{ kind: "sidecar-egress", text: "Sidecar bookinfo/default" }] });
  w.edge(det, black, 443, "unknown", 0.4, { noVerdict: true, reason: "The request was blocked: the host is not declared.", sources: [{ kind: "traffic", text: "seen in traffic" }] });
  return w;
}

/** The demo with a frontpage, bookings and movies: all locked. */
export function backyards(name) {
  const w = new World(name, "current", "STRICT");
  w.namespace("backyards-demo");
  const ids = {};
  for (const s of ["frontpage", "catalog", "bookings", "analytics", "payments", "notifications"]) {
    const d = w.workload("backyards-demo", s, { app: s });
    ids[s] = [d, w.service("backyards-demo", s, [d])];
  }
  const movies = ["v1", "v2", "v3"].map((v) => w.workload("backyards-demo", `movies-${v}`, { app: "movies", version: v }));
  ids.movies = [movies[0], w.service("backyards-demo", "movies", movies)];
  const call = (a, b, r, more) => w.edge(ids[a][0], ids[b][1], 8080, "locked", r, more);
  call("frontpage", "catalog", 42);
  call("frontpage", "bookings", 17.5);
  call("catalog", "movies", 41, { shareOf: movies.map((m) => [m, 1 / 3]) });
  call("bookings", "analytics", 8, {});
  call("bookings", "payments", 17.2);
  call("bookings", "notifications", 9.4);
  w.edge(ids.bookings[0], ids.analytics[1], 8083, "locked", 2, { tcp: true });
  return w;
}

/** A large mesh: nodes and edges as many as asked for, in namespaces of 25. */
export function large(name, nodes = 1000, edges = 5000) {
  const w = new World(name, "current", "PERMISSIVE");
  const rnd = random(7);
  const spaces = Math.ceil(nodes / 26);
  const workloads = [];
  const services = [];
  for (let s = 0; s < spaces; s++) {
    const ns = `team-${String(s + 1).padStart(2, "0")}`;
    w.namespace(ns);
    for (let i = 0; i < 12 && w.nodes.length < nodes - 1; i++) {
      const id = w.workload(ns, `svc-${s + 1}-${i + 1}`, { version: i % 4 === 3 ? "v2" : "v1" });
      workloads.push(id);
      if (w.nodes.length < nodes) services.push(w.service(ns, `svc-${s + 1}-${i + 1}`, [id]));
    }
  }
  const locks = ["locked", "locked", "locked", "locked", "locked", "locked", "mixed", "open", "unknown", "broken"];
  const seen = new Set();
  while (w.edges.length < edges) {
    const a = Math.floor(rnd() * workloads.length);
    const near = rnd() < 0.6;
    const b = near ? (a + 1 + Math.floor(rnd() * 40)) % services.length : Math.floor(rnd() * services.length);
    const key = a + ">" + b;
    if (a === b || seen.has(key)) continue;
    seen.add(key);
    w.edge(workloads[a], services[b], 8080, locks[Math.floor(rnd() * locks.length)], +(rnd() ** 3 * 200).toFixed(1), { still: true });
  }
  return w;
}

/** Positions: ranks by calls inside each namespace, boxes side by side. The server's own layout is better. */
export function layout(g) {
  const inside = new Map();
  const shown = g.nodes.filter((n) => n.kind !== "namespace" || n.collapsed);
  for (const n of shown) {
    const key = n.kind === "outside" ? " before" : n.kind === "egress" && !n.namespace ? "~after" : n.kind === "namespace" ? n.id : (n.namespace ?? "~after");
    if (!inside.has(key)) inside.set(key, []);
    inside.get(key).push(n);
  }
  const rank = new Map(shown.map((n) => [n.id, 0]));
  const links = [...g.edges.map((e) => [e.from, e.to]), ...g.nodes.flatMap((n) => (n.endpoints ?? []).map((e) => [n.id, e]))];
  for (let i = 0; i < 12; i++) for (const [a, b] of links) if (rank.has(b) && rank.get(b) <= (rank.get(a) ?? 0)) rank.set(b, Math.min(11, (rank.get(a) ?? 0) + 1));
  const nodes = {};
  const boxes = [];
  const mean = (key) => inside.get(key).reduce((sum, n) => sum + rank.get(n.id), 0) / inside.get(key).length;
  const crowded = inside.size > 12;
  const keys = [...inside.keys()].sort((a, b) => mean(a) - mean(b) || (a < b ? -1 : 1));
  // Groups of like rank stand below each other; in a crowd, each row is filled.
  const bands = new Map();
  keys.forEach((key, i) => {
    const band = key === " before" ? -1 : key === "~after" ? 1e6 : crowded ? i % Math.ceil(Math.sqrt(inside.size / 2)) : mean(key) < 1 ? 0 : Math.round(mean(key) / 2) + 1;
    bands.set(band, [...(bands.get(band) ?? []), key]);
  });
  let x = 24, height = 0;
  for (const band of [...bands.keys()].sort((a, b) => a - b)) {
    let y = 24, width = 0;
    for (const key of bands.get(band)) {
      const ns = inside.get(key);
      const cols = new Map();
      const ranks = [...new Set(ns.map((n) => rank.get(n.id)))].sort((a, b) => a - b);
      for (const n of ns) {
        const c = ranks.indexOf(rank.get(n.id));
        cols.set(c, [...(cols.get(c) ?? []), n]);
      }
      const rows = Math.max(...[...cols.values()].map((c) => c.length));
      // Services stand near to what is behind them, and callers far enough for locks.
      let at = 22;
      const left = new Map();
      for (let c = 0; c < cols.size; c++) {
        if (c > 0) at += cols.get(c).some((n) => n.kind === "service") ? 116 : 44;
        left.set(c, at);
        at += 156;
      }
      const w = at + 22, h = rows * 64 + 34;
      for (const [c, list] of cols) list.forEach((n, i) => (nodes[n.id] = { x: x + left.get(c) + 78, y: y + 34 + ((rows - list.length) / 2 + i) * 64 + 28 }));
      if (g.nodes.some((n) => n.id === `namespace/${key}`)) boxes.push({ id: `namespace/${key}`, x, y, width: w, height: h });
      width = Math.max(width, w);
      y += h + 36;
    }
    height = Math.max(height, y);
    x += width + 96;
  }
  return { width: x - 72, height: height - 12, nodes, boxes };
}

/** The graph as the API gives it, with namespaces collapsed above 150 nodes. */
export function graphOf(w, { window = 60_000, expand = [], withLayout = true, all = false } = {}) {
  const t = Date.now();
  const kept = w.nodes.filter((n) => n.kind !== "namespace").length;
  const collapse = kept > 150 && !all;
  const closed = new Set(collapse ? w.nodes.filter((n) => n.kind === "namespace" && !expand.includes(n.namespace)).map((n) => n.namespace) : []);
  const of = new Map(w.nodes.map((n) => [n.id, n.kind !== "namespace" && closed.has(n.namespace) ? `namespace/${n.namespace}` : n.id]));
  const nodes = w.nodes.filter((n) => of.get(n.id) === n.id).map((n) => (n.kind === "namespace" && closed.has(n.namespace) ? { ...n, collapsed: true, members: w.nodes.filter((x) => x.kind !== "namespace" && x.namespace === n.namespace).length } : n));
  const edges = new Map();
  const order = ["locked", "unknown", "mixed", "open", "broken"];
  for (const e of w.edges) {
    const from = of.get(e.from), to = of.get(e.to);
    if (from === to && from !== e.from) continue;
    if (from === e.from && to === e.to) {
      edges.set(e.id, edgeOf(w, e, window, t));
      continue;
    }
    const id = `${from}>${to}`;
    const had = edges.get(id);
    const o = observed(e, window, t);
    if (!had) edges.set(id, { id, from, to, lock: e.lock, declared: null, proven: null, observed: o, reason: "Several connections between these groups.", sources: e.sources });
    else {
      if (order.indexOf(e.lock) > order.indexOf(had.lock)) had.lock = e.lock;
      if (o && had.observed) had.observed.requests += o.requests;
    }
  }
  const list = [...edges.values()];
  const traffic = (n) => {
    const i = list.filter((e) => e.to === n.id && e.observed), o = list.filter((e) => e.from === n.id && e.observed);
    const sum = (es, k) => es.reduce((s, e) => s + (e.observed[k] ?? 0), 0);
    if (i.length + o.length === 0) return undefined;
    const all = sum(i, "requests") + sum(i, "connections");
    return { in: all, inErrors: sum(i, "errors"), inFailures: sum(i, "failures"), out: sum(o, "requests") + sum(o, "connections"), outErrors: sum(o, "errors"), outFailures: sum(o, "failures"),
      mtls: all ? i.reduce((s, e) => s + e.observed.mtls * (e.observed.requests + e.observed.connections), 0) / all : 0, known: 1 };
  };
  const small = nodes.length <= 400;
  const g = { ...head("Graph"), mesh: w.name, dialect: w.dialect, snapshot: w.snapshot, nodes: nodes.map((n) => ({ ...n, traffic: small ? traffic(n) : undefined })), edges: list,
    window: { start: iso(t - window), end: iso(t), newest: iso(t - 900) } };
  if (withLayout) g.layout = layout(g);
  for (const n of g.nodes) delete n.collapsed;
  return g;
}

export function locksOf(w) {
  const out = { broken: 0, open: 0, mixed: 0, unknown: 0, locked: 0 };
  for (const e of w.edges) out[e.lock]++;
  return out;
}

export function trend(points = 60, window = 60_000, level = 60) {
  const end = Date.now();
  const times = Array.from({ length: points }, (_, i) => iso(end - window + (i * window) / (points - 1)));
  const f = (a, b) => times.map((_, i) => (i < 3 ? null : +(a + b * Math.sin(i / 5) + b * 0.3 * Math.sin(i * 1.7)).toFixed(2)));
  return { times, requests: f(level, level / 6), errors: f(level / 50, level / 100), connections: f(2, 0.4), failures: f(level / 12, level / 30), mtls: f(0.82, 0.03) };
}
