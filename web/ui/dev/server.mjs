// A development fixture: a server with made-up meshes in the shapes of the API, which also serves web/dist as the real one
// does (same content security policy). It forgets everything when it ends. See README.md.
//
//   node dev/server.mjs [--port 4173] [--token dev] [--large 1000x5000] [--graph FILE]
//
// FILE is what `oarlock graph -o json` prints: it is served as it is, as one more mesh.
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { backyards, bookinfo, edgeOf, graphOf, head, large, locksOf, trend } from "./world.mjs";

const flag = (name, value) => {
  const i = process.argv.indexOf("--" + name);
  return i < 0 ? value : process.argv[i + 1];
};
const port = Number(flag("port", "4173"));
const token = flag("token", "dev");
const [many, calls] = flag("large", "1000x5000").split("x").map(Number);
const dist = flag("dist", fileURLToPath(new URL("../../dist", import.meta.url)));

const worlds = new Map([bookinfo("jaunty-ferret"), backyards("gauche-octopus"), large("broad-heron", many, calls)].map((w) => [w.name, w]));
const drawn = flag("graph", "");
if (drawn) {
  const g = JSON.parse(readFileSync(drawn, "utf8"));
  worlds.set("drawn-capybara", Object.assign(backyards("drawn-capybara"), { nodes: g.nodes, edges: g.edges.map((e) => ({ ...e, base: 10 })), given: g }));
}
const away = { name: "jolly-bat", kind: "local", problem: "its control plane does not answer: connection refused" };

const windows = { "1m": 60_000, "5m": 300_000, "15m": 900_000, "1h": 3_600_000, "6h": 21_600_000 };
const streams = new Map(); // mesh -> responses
const past = new Map(); // mesh -> events, for those who resume

function emit(w, event) {
  const list = past.get(w.name) ?? [];
  const e = { id: (list.at(-1)?.id ?? 0) + 1, at: new Date().toISOString(), ...event };
  past.set(w.name, [...list, e].slice(-200));
  for (const res of streams.get(w.name) ?? []) send(res, e);
}
const send = (res, e) => res.write(`id: ${e.id}\nevent: ${e.type}\ndata: ${JSON.stringify(e)}\n\n`);

const sync = (w) => w.coverage ?? { inForce: w.nodes.filter((n) => n.capture === "sidecar").length, total: w.nodes.filter((n) => n.capture === "sidecar").length };

function rule(w, resource) {
  const own = w.rules.get(resource);
  const parts = [resource, resource.replace(/:.*/, ""), resource.replace(/\/.*/, ""), "mesh"];
  const from = parts.find((p) => w.rules.has(p)) ?? "mesh";
  return { resource, policy: from === "mesh" ? "/default" : from.includes("/") ? from.replace(":", "-") : `${from}/default`, targets: from.includes("/") ? `[${from.split("/")[1].replace(":", "(").concat(from.includes(":") ? ")" : "")}]` : "[]", mtlsMode: w.rules.get(from), own: own !== undefined,
    place: { kind: "PeerAuthentication", name: "default", file: "policies.yaml", line: 3 } };
}

function impactOf(w, body) {
  const [ns, svc] = body.resource.split("/");
  const to = (e) => body.resource === "mesh" || e.to.includes(`.${ns}.`) && (!svc || e.to.startsWith(`service/${svc.split(":")[0]}.`));
  const after = { require: "locked", allow: "locked", disable: "open", unset: "locked" }[body.verb];
  const touched = w.edges.filter((e) => to(e) && e.lock !== after);
  const kind = (e) => (after === "open" ? "opens" : e.lock === "broken" ? "mends" : "locks");
  const side = (lock) => ({ status: lock === "broken" ? "CONFLICT" : "OK", server: lock === "open" ? "DISABLE" : "STRICT", clientMode: lock === "open" ? "DISABLE" : "ISTIO_MUTUAL", wire: lock === "open" ? "plaintext" : "mTLS" });
  const effects = touched.map((e) => ({ kind: kind(e), client: e.from.split("/").slice(1).join("/"), alike: 1, host: e.to.replace("service/", ""), port: e.port, before: side(e.lock), after: side(after), declared: true, requests: e.base, connections: 0,
    text: `${e.from.split("/").at(-1)} → ${e.to.replace("service/", "")}: from ${e.lock} to ${after}.` }));
  const count = (k) => effects.filter((e) => e.kind === k).length;
  return { impact: { breaks: 0, mends: count("mends"), opens: count("opens"), locks: count("locks"), same: w.edges.length - effects.length, effects }, touched, after };
}

function change(w, body) {
  const { impact, touched, after } = impactOf(w, body);
  const mode = { require: "STRICT", allow: "PERMISSIVE", disable: "DISABLE" }[body.verb];
  const before = `apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata:\n  name: default\nspec:\n  mtls:\n    mode: ${w.rules.get(body.resource) ?? "PERMISSIVE"}\n`;
  const text = before.replace(/mode: .*/, `mode: ${mode ?? "PERMISSIVE"}`);
  const diffs = [{ name: "policies.yaml", before, after: text, unified: `--- policies.yaml\n+++ policies.yaml\n@@ -4,4 +4,4 @@\n   name: default\n spec:\n   mtls:\n-${before.split("\n").at(-2)}\n+${text.split("\n").at(-2)}\n` }];
  const name = `${["brisk", "candid", "mellow", "stately"][w.version % 4]}-${["otter", "lynx", "heron", "ibex"][w.version % 4]}`;
  const answer = { ...head("ChangeAnswer"), name, applied: !body.dryRun, diffs, impact, notes: [], rules: [], problems: [] };
  if (body.dryRun) return answer;
  if (body.verb === "unset") w.rules.delete(body.resource);
  else w.rules.set(body.resource, mode);
  w.snapshot = `${(w.version++).toString(16).padStart(4, "0")}9be27aa`;
  w.changes.unshift({ name, at: new Date().toISOString(), who: "dashboard", what: `${body.verb} ${body.resource}`, objects: [{ kind: "PeerAuthentication", namespace: body.resource.split("/")[0], name: "default" }], diffs, impact, snapshot: w.snapshot, sidecars: sync(w).total, undo: true });
  answer.snapshot = w.snapshot;
  answer.rules = [rule(w, body.resource)];
  const total = sync(w).total;
  emit(w, { type: "snapshot", snapshot: w.snapshot });
  [0.4, 0.8, 1].forEach((part, i) =>
    setTimeout(() => {
      w.coverage = part === 1 ? null : { inForce: Math.floor(total * part), total };
      emit(w, { type: "sync", snapshot: w.snapshot, sync: { inForce: Math.floor(total * part), total }, elapsedMilliseconds: 40 * (i + 1) });
      if (part === 1) touched.forEach((e) => (e.lock = after));
    }, 250 * (i + 1)),
  );
  emit(w, { type: "change", change: name, snapshot: w.snapshot });
  return answer;
}

const certificates = (w) => w.nodes.filter((n) => n.capture === "sidecar").slice(0, 20).map((n, i) => ({ namespace: n.namespace, pod: `${n.name}-6c5d-${i}`, id: `spiffe://cluster.local/ns/${n.namespace}/sa/default`, serial: (90210 + i).toString(16), issuer: "O=cluster.local", notBefore: new Date(Date.now() - 3.6e6).toISOString(), notAfter: new Date(Date.now() + (i === 0 ? 2e6 : 8e7)).toISOString(), state: i === 0 ? "due" : "ok", ...(i === 0 ? { problem: "its renewal is late by 12 minutes" } : {}) }));
const ca = () => ({ trustDomain: "cluster.local", rotating: false, bundle: "b1", authorities: [{ slot: "active", fingerprint: "ab12cd34", origin: "self-made", since: new Date(Date.now() - 9e7).toISOString(), notBefore: new Date(Date.now() - 9e7).toISOString(), notAfter: new Date(Date.now() + 3e11).toISOString() }] });
const lines = () => Array.from({ length: 8 }, (_, i) => ({ time: new Date(Date.now() - (8 - i) * 700).toISOString(), namespace: "bookinfo", pod: "productpage-v1-6c5d-0", text: `[${new Date().toISOString()}] "GET /reviews/0 HTTP/1.1" ${i === 3 ? "503 UC" : "200 -"} via_upstream - "-" 0 379 12 11`, method: "GET", path: "/reviews/0", code: i === 3 ? 503 : 200, flags: i === 3 ? "UC" : "", milliseconds: 12 + i, direction: "outbound" }));

/** What GET gives for each name. */
const answers = {
  status: (w) => ({ ...head("Status"), mesh: w.name, manifests: ["/home/dev/mesh"], dialect: w.dialect, trustDomain: "cluster.local", snapshot: w.snapshot, started: new Date(Date.now() - 4e6).toISOString(), pid: 1, capture: "explicit", captureReason: "no privileges", services: w.nodes.filter((n) => n.kind === "service").length, sync: sync(w), nodes: [], pods: [], problems: [], unenforced: [], ca: ca(), accessLog: { on: true, file: "/dev/stdout" } }),
  overview: (w, q, ms) => ({ ...head("Overview"), mesh: w.name, rule: rule(w, "mesh"), locks: locksOf(w), sync: sync(w), mtls: 0.78, known: 0.97, workloads: w.nodes.filter((n) => n.kind === "workload").length, meshed: sync(w).total, services: w.nodes.filter((n) => n.kind === "service").length, trend: trend(60, ms), findings: 4, broken: w.edges.filter((e) => e.lock === "broken").slice(0, 20).map((e) => edgeOf(w, e, ms)),
    problems: [{ severity: "warning", message: "Two policies select the same workload; the older one counts.", hint: "remove one of them", object: { kind: "PeerAuthentication", namespace: "bookinfo", name: "extra" }, origin: { file: "/home/dev/mesh/policies.yaml", line: 31, col: 1 } }], unenforced: [], certificates: certificates(w), ca: ca(), changes: w.changes.slice(0, 5), store: { kind: "embedded", ok: true, targets: sync(w).total, up: sync(w).total, intervalSeconds: 1, series: 4120, bytes: 9_800_000, retentionSeconds: 86400 } }),
  graph: (w, q, ms) => w.given ?? graphOf(w, { window: ms, expand: q.getAll("expand"), all: q.getAll("expand").includes("*"), withLayout: q.get("layout") !== "false" }),
  edge: (w, q, ms) => {
    const e = w.edges.find((x) => x.id === q.get("id"));
    if (!e) return null;
    const node = (id) => w.nodes.find((n) => n.id === id);
    const edge = edgeOf(w, e, ms);
    return { ...head("EdgeDetails"), edge, client: node(e.from), server: node(e.to), trend: trend(60, ms, e.base), log: lines(), certificates: certificates(w).slice(0, 2),
      explanation: edge.declared && { ...head("Explanation"), client: { name: e.from }, target: { host: e.to.replace("service/", ""), port: e.port }, status: edge.declared.status, server: edge.declared.server, clientMode: edge.declared.clientMode, auto: "off", wire: edge.declared.wire, outbound: "cluster", cause: edge.declared.cause, reason: edge.reason, policy: edge.declared.policy, destinationRule: edge.declared.destinationRule, refusedEndpoints: 0, knownEndpoints: 1,
        reasons: [{ step: "server", outcome: "wins", cause: "NAMESPACE_POLICY", object: edge.declared.policy, text: "Policy bookinfo/default selects the namespace: STRICT." }, { step: "server", outcome: "loses", cause: "MESH_POLICY", text: "The mesh policy says PERMISSIVE; a narrower one counts." }, { step: "client", outcome: "wins", cause: "RULE", object: edge.declared.destinationRule, text: "DestinationRule bookinfo/destrule-productpage is exported, and says DISABLE." }] } };
  },
  node: (w, q, ms) => {
    const n = w.nodes.find((x) => x.id === q.get("id"));
    if (!n) return null;
    return { ...head("NodeDetails"), node: n, ports: [{ port: 9080, name: "http", protocol: "HTTP", server: n.mode ?? "none", resource: `${n.namespace}/${n.app ?? n.name}:9080`, locks: locksOf({ edges: w.edges.filter((e) => e.to === n.id) }) }], in: w.edges.filter((e) => e.to === n.id).map((e) => edgeOf(w, e, ms)), out: w.edges.filter((e) => e.from === n.id).map((e) => edgeOf(w, e, ms)), rules: ["mesh", n.namespace, `${n.namespace}/${n.app ?? n.name}`].filter(Boolean).map((r) => rule(w, r)), objects: [], pods: [], certificates: certificates(w).slice(0, 1), problems: [], trend: trend(60, ms, 20), log: lines() };
  },
  trend: (w, q, ms) => ({ ...head("Trend"), ...trend(Number(q.get("points") ?? 60), ms) }),
  mtls: (w, q) => ({ ...head("Rules"), rules: q.get("resource") ? [rule(w, q.get("resource"))] : [...w.rules.keys()].map((r) => rule(w, r)) }),
  objects: () => ({ ...head("Objects"), objects: [{ kind: "PeerAuthentication", namespace: "bookinfo", name: "default", file: "policies.yaml", line: 4, summary: "STRICT" }, { kind: "DestinationRule", namespace: "bookinfo", name: "destrule-productpage", file: "rules.yaml", line: 12, summary: "host productpage, tls DISABLE" }] }),
  file: (w, q) => ({ ...head("ManifestFile"), name: q.get("name"), hash: "00", text: "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata:\n  name: default\n  namespace: bookinfo\nspec:\n  mtls:\n    mode: STRICT # by decree\n", objects: [], problems: [] }),
  changes: (w) => ({ ...head("Changes"), changes: w.changes }),
  certificates: (w) => ({ ...head("Certificates"), certificates: certificates(w) }),
  sync: (w) => ({ ...head("Sync"), snapshot: w.snapshot, ...sync(w), elapsedMilliseconds: 41 }),
  ca: () => ({ ...head("CA"), ...ca() }),
  proxy: () => ({ configs: [] }),
};

const posts = {
  mtls: change,
  check: () => ({ ...head("Check"), problems: [] }),
  edit: (w, b) => ({ ...change(w, { verb: "allow", resource: "bookinfo", dryRun: true }), applied: !b.dryRun }),
  undo: (w, b) => {
    const c = w.changes.find((x) => x.name === b.name);
    if (!c) return null;
    const [, resource] = c.what.split(" ");
    return change(w, { verb: "unset", resource, dryRun: b.dryRun });
  },
  probe: (w, b) => ({ ...head("Probe"), to: b.to, proven: { at: new Date().toISOString(), mode: "STRICT", proof: ["plaintext refused"] }, attempts: ["plaintext: refused", "TLS without a certificate: refused", "mutual TLS: accepted"] }),
};

function events(w, req, res) {
  res.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
  res.write(": hello\n\n");
  const seen = Number(req.headers["last-event-id"] ?? NaN);
  if (!Number.isNaN(seen)) (past.get(w.name) ?? []).filter((e) => e.id > seen).forEach((e) => send(res, e));
  const all = streams.get(w.name) ?? streams.set(w.name, new Set()).get(w.name);
  all.add(res);
  req.on("close", () => all.delete(res));
}

const json = (res, status, value) => {
  res.writeHead(status, { "Content-Type": "application/json", "Cache-Control": "no-store" });
  res.end(JSON.stringify(value));
};
const refuse = (res, status, message) => json(res, status, { ...head("Error"), message });

async function body(req) {
  let text = "";
  for await (const part of req) text += part;
  return text ? JSON.parse(text) : {};
}

async function api(req, res, url) {
  if (url.pathname === "/api/v1/session") {
    const ok = req.method === "DELETE" || (await body(req)).token === token;
    if (!ok) return refuse(res, 401, "log in: this is not the token");
    res.writeHead(204, { "Set-Cookie": `oarlock-fixture=${req.method === "DELETE" ? "" : "yes"}; HttpOnly; SameSite=Strict; Path=/` });
    return res.end();
  }
  if (!/oarlock-fixture=yes/.test(req.headers.cookie ?? "")) return refuse(res, 401, "answer request: there is no session");
  if (req.method === "POST" && !req.headers["oarlock-client"]) return refuse(res, 403, "the header Oarlock-Client is missing");
  if (url.pathname === "/api/v1/meshes") {
    const entries = [...worlds.values()].map((w) => ({ name: w.name, kind: "local", mode: w.rules.get("mesh"), locks: locksOf(w), status: answers.status(w) }));
    return json(res, 200, { ...head("Meshes"), meshes: [...entries, away].sort((a, b) => (a.name < b.name ? -1 : 1)), readOnly: false, version: "fixture" });
  }
  const m = /^\/api\/v1\/meshes\/([^/]+)\/(.+)$/.exec(url.pathname);
  if (m?.[1] === away.name) return refuse(res, 502, away.problem);
  const w = m && worlds.get(decodeURIComponent(m[1]));
  if (!w) return refuse(res, 404, "find mesh: there is none of that name");
  if (m[2] === "events") return events(w, req, res);
  const f = (req.method === "POST" ? posts : answers)[m[2]];
  if (!f) return refuse(res, 404, `${req.method} ${m[2]}: there is no such thing`);
  const out = f(w, req.method === "POST" ? await body(req) : url.searchParams, windows[url.searchParams.get("window") ?? "1m"] ?? 60_000);
  return out ? json(res, 200, out) : refuse(res, 404, "find it: there is none");
}

const types = { ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml", ".html": "text/html; charset=utf-8" };

async function pages(res, path) {
  const nonce = "fixture-nonce";
  const file = extname(path) ? join(dist, normalize(path)) : join(dist, "index.html");
  try {
    let content = await readFile(file);
    if (file.endsWith(".html")) content = content.toString().replaceAll("__CSP_NONCE__", nonce);
    res.writeHead(200, { "Content-Type": types[extname(file)] ?? "application/octet-stream", "Cache-Control": "no-store", "Content-Security-Policy":
      `default-src 'none'; script-src 'self'; style-src 'self' 'nonce-${nonce}'; img-src 'self' data: blob:; connect-src 'self'; font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'` });
    res.end(content);
  } catch {
    refuse(res, 404, "read page: there is no such file");
  }
}

createServer((req, res) => {
  const url = new URL(req.url, "http://localhost");
  const done = url.pathname.startsWith("/api/") ? api(req, res, url) : pages(res, url.pathname);
  done.catch((e) => refuse(res, 500, String(e)));
}).listen(port, "127.0.0.1", () => console.log(`http://127.0.0.1:${port}/#token=${token}`));
