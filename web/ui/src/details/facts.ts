// What the details say of edges and nodes, in words. Pure.
import type { Edge, Explanation, GraphNode, LogLine, Observed, PortRow, Proven } from "../api/types";
import { ago, percent } from "../ui/format";
import { named } from "../ui/names";

type Reason = NonNullable<Explanation["reasons"]>[number];

/** One step of the why, with all that was considered in it. */
export interface Step {
  step: string;
  title: string;
  reasons: readonly Reason[];
}

const titles: Record<string, string> = {
  client: "Client",
  rule: "Destination rules of the client",
  tls: "TLS settings of the rule",
  auto: "Auto mTLS",
  policy: "Policies of the server",
  endpoint: "Endpoints",
  wire: "On the wire",
};

/** The reasons by step, in the order in which they were given. */
export function steps(reasons: readonly Reason[]): Step[] {
  const out: { step: string; title: string; reasons: Reason[] }[] = [];
  for (const r of reasons) {
    const last = out.at(-1);
    if (last?.step === r.step) last.reasons.push(r);
    else out.push({ step: r.step, title: titles[r.step] ?? r.step, reasons: [r] });
  }
  return out;
}

/** How something looks: the colours of locks, by what was said. */
export type Tone = "locked" | "mixed" | "open" | "broken" | "unknown";

/** One witness in a few words. */
export interface Testimony {
  word: string;
  tone: Tone;
  sub: string;
}

export function declaredWords(d: Edge["declared"]): Testimony {
  if (!d) return { word: "no verdict", tone: "unknown", sub: "no policy of this mesh decides here" };
  return { word: d.wire, tone: wireTone(d.wire), sub: `server ${d.server}` };
}

export function wireTone(wire: string): Tone {
  switch (wire) {
    case "mTLS":
      return "locked";
    case "plaintext":
      return "open";
    case "refused":
      return "broken";
    case "mixed":
      return "mixed";
  }
  return "unknown";
}

export function observedWords(o: Observed | null, lock: Edge["lock"]): Testimony {
  if (!o || attempts(o) === 0) return { word: "nothing seen", tone: "unknown", sub: "no traffic in the window" };
  if (lock === "broken") return { word: "refused", tone: "broken", sub: `${percent(o.failures / attempts(o))} of attempts` };
  if (o.known === 0) return { word: "not known", tone: "unknown", sub: "nobody says whether it is encrypted" };
  const rest = o.known < 1 ? `, ${percent(o.known)} known` : "";
  if (o.mtls === 0) return { word: "plaintext", tone: "open", sub: "all of it" + rest };
  return { word: `${percent(o.mtls)} mTLS`, tone: o.mtls < 1 ? "mixed" : o.known < 1 ? "unknown" : "locked", sub: reporterWords(o.reporters) + rest };
}

/** What was tried a second. */
export function attempts(o: Observed): number {
  return o.requests + o.connections + o.failures;
}

/** What the destination's sidecar never counted, a second. */
export function lostOf(o: Observed & { lost?: number }): number {
  return o.lost ?? 0;
}

export function reporterWords(reporters: string): string {
  switch (reporters) {
    case "destination":
      return "counted by the server";
    case "source":
      return "counted by the client alone";
    case "destination+source":
    case "source+destination":
      return "counted by both ends";
  }
  return reporters ? `counted by ${reporters}` : "";
}

export function provenWords(p: Proven | null, now: number): Testimony {
  if (!p) return { word: "not tried", tone: "unknown", sub: "probe it below" };
  const when = ago(Date.parse(p.at), now);
  if (p.problem) return { word: "no answer", tone: "unknown", sub: when };
  const mode = p.mode ?? "";
  const tone: Tone = mode === "STRICT" ? "locked" : mode === "PERMISSIVE" ? "mixed" : mode === "DISABLE" ? "open" : "unknown";
  return { word: mode || "not clear", tone, sub: `${p.from ? "from a sidecar" : "from outside"}, ${when}` };
}

/** Where a probe goes: NS/SERVICE:PORT; undefined where nothing of the mesh is there. */
export function probeTarget(server: Pick<GraphNode, "id" | "kind">, port: number | undefined): string | undefined {
  if (server.kind !== "service" || !port) return undefined;
  const n = named(server.id);
  return n.namespace ? `${n.namespace}/${n.name}:${port}` : undefined;
}

/** The client of a probe, as the API takes it; undefined for one without a sidecar. */
export function probeClient(client: Pick<GraphNode, "id" | "kind" | "capture">): string | undefined {
  if (client.kind !== "workload" || client.capture !== "sidecar") return undefined;
  const n = named(client.id);
  return `${n.namespace}/${n.name}`;
}

/** A log line in parts: those that say that something went wrong stand out. */
export interface Part {
  text: string;
  kind: "plain" | "code" | "bad" | "reason";
}

/** Splits the text of a line at its status, flags and failure reason. */
export function logParts(l: LogLine): Part[] {
  const bad = (l.flags !== undefined && l.flags !== "" && l.flags !== "-") || (l.code ?? 0) >= 500;
  const words = [l.code !== undefined ? `${l.code} ${l.flags || "-"}` : "", l.flags && l.flags !== "-" ? l.flags : ""].filter(Boolean);
  let parts: Part[] = [{ text: l.text, kind: "plain" }];
  const first = words.find((w) => at(l.text, w) >= 0);
  if (first) parts = cut(parts, first, bad ? "bad" : "code");
  if (l.reason && l.reason !== "-") parts = cut(parts, l.reason, "reason");
  return parts;
}

/** Where a word stands on its own; -1 nowhere. */
function at(text: string, word: string): number {
  for (let i = text.indexOf(word); i >= 0; i = text.indexOf(word, i + 1)) {
    const before = text[i - 1] ?? " ";
    const after = text[i + word.length] ?? " ";
    if (/[\s"]/.test(before) && /[\s",]/.test(after)) return i;
  }
  return -1;
}

function cut(parts: readonly Part[], word: string, kind: Part["kind"]): Part[] {
  return parts.flatMap((p): Part[] => {
    const i = p.kind === "plain" ? at(p.text, word) : -1;
    if (i < 0) return [p];
    return [
      { text: p.text.slice(0, i), kind: "plain" as const },
      { text: word, kind },
      { text: p.text.slice(i + word.length), kind: "plain" as const },
    ].filter((x) => x.text !== "");
  });
}

/** Causes of failed handshakes in words. */
export function causeWords(cause: string): string {
  const words: Record<string, string> = {
    "plaintext-to-tls": "plaintext where TLS is required",
    "tls-to-plaintext": "TLS where plaintext is spoken",
    "no-client-certificate": "no client certificate",
    expired: "certificate expired",
    "not-yet-valid": "certificate not yet valid",
    "unknown-ca": "unknown authority",
    "wrong-trust-domain": "another trust domain",
    "san-mismatch": "not the identity that was expected",
    "bad-certificate": "bad certificate",
    version: "no TLS version in common",
    cipher: "no cipher in common",
    alpn: "no protocol in common (ALPN)",
    "no-filter-chain": "nothing listens for this kind of TLS",
    "no-identity": "no certificate of its own yet",
    timeout: "took too long",
    reset: "connection reset",
    closed: "connection closed",
    "refused-by-peer": "refused by the other side",
    other: "another cause",
  };
  return words[cause] ?? cause;
}

/** A SPIFFE ID without what all of a mesh have: "ns/shop/sa/api". */
export function shortPrincipal(id: string): string {
  return id.replace(/^spiffe:\/\/[^/]+\//, "");
}

/** What there is to say of a port that no policy covers. */
export function portNote(p: PortRow): string {
  if (p.protocol === "UDP") return "not captured: policies do not cover UDP";
  if (p.server === "none") return "nothing runs behind it";
  return "";
}
