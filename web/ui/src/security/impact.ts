// What a change does to connections, sorted for people. Pure.
import type { Effect, Impact } from "../api/types";

export type Kind = Effect["kind"];

/** What needs a look comes first. */
export const KINDS: readonly Kind[] = ["breaks", "opens", "mends", "locks", "other"];

/** Words for each kind: a heading, what one and what many of them do, and what that means. */
export const KIND_WORDS: Record<Kind, { title: string; means: string }> = {
  breaks: { title: "Breaks", means: "worked, and will be refused" },
  opens: { title: "Opens", means: "mutual TLS now, plaintext then" },
  mends: { title: "Mends", means: "refused now, will work" },
  locks: { title: "Locks", means: "plaintext now, mutual TLS then" },
  other: { title: "Stays", means: "the server takes more or less than before; these connections stay as they are" },
};

/** Whether somebody makes such a call, as far as anybody knows. */
export function live(e: Effect): boolean {
  return !!e.declared || traffic(e) > 0;
}

/** Requests and connections a second. */
export function traffic(e: Effect): number {
  return e.requests + e.connections;
}

/** Effects of one kind. */
export interface Group {
  kind: Kind;
  effects: readonly Effect[];
  /** How many verdicts they stand for: clients that are alike are one effect. */
  count: number;
}

/** Groups in the order of KINDS, without empty ones; in each, those with traffic first, then what is declared, then by name. */
export function groups(impact: Impact): Group[] {
  const out: Group[] = [];
  for (const kind of KINDS) {
    const effects = impact.effects.filter((e) => e.kind === kind).sort(byWeight);
    if (effects.length > 0) out.push({ kind, effects, count: effects.reduce((n, e) => n + Math.max(1, e.alike), 0) });
  }
  return out;
}

function byWeight(a: Effect, b: Effect): number {
  return (
    traffic(b) - traffic(a) ||
    Number(!!b.declared) - Number(!!a.declared) ||
    compare(a.client, b.client) ||
    compare(a.host, b.host) ||
    a.port - b.port
  );
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** What has to be agreed to before a change is made: null where nothing breaks. */
export interface Agreement {
  /** Connections that somebody makes. */
  live: number;
  /** Connections that nobody is known to make. */
  idle: number;
  /** Requests and connections a second that would be refused. */
  traffic: number;
}

export function agreement(impact: Impact): Agreement | null {
  const out = { live: 0, idle: 0, traffic: 0 };
  for (const e of impact.effects) {
    if (e.kind !== "breaks") continue;
    if (live(e)) out.live++;
    else out.idle++;
    out.traffic += traffic(e);
  }
  return out.live + out.idle > 0 || impact.breaks > 0 ? out : null;
}

/** The words of a verdict that differ between before and after: "mTLS → refused". */
export function turn(e: Effect): [string, string] {
  if (e.before.wire !== e.after.wire) return [e.before.wire, e.after.wire];
  if (e.before.server !== e.after.server) return [e.before.server, e.after.server];
  return [e.before.clientMode, e.after.clientMode];
}

/** A client as people say it: "reviews-v2.bookinfo" is the plan's own word. */
export function clientName(word: string): string {
  return word === "outside" ? "callers without a sidecar" : word.replace(/^[a-z]+\//, "");
}

/** A host of the mesh without what all of them have: "reviews.bookinfo". */
export function hostName(host: string): string {
  return host.replace(/\.svc\..*$/, "");
}
