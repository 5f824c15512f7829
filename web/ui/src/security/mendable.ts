// From a connection that manifests do not let through to the change that mends it. Pure.
import type { Edge, Rule } from "../api/types";
import { named } from "../ui/names";
import type { Wish } from "./wish";
import { verbOf } from "./words";

/** The port whose clients have rules to be mended, as NS/SERVICE:PORT; undefined where the manifests do not disagree. */
export function mendable(e: Pick<Edge, "from" | "to" | "port" | "declared">): string | undefined {
  const to = named(e.to);
  if (e.declared?.status !== "CONFLICT" || to.kind !== "service" || !to.namespace || !e.port || named(e.from).kind !== "workload") return undefined;
  return `${to.namespace}/${to.name}:${e.port}`;
}

/** Sets what is in force once more, where it is set, and mends the clients: no policy changes. */
export function mendOf(rule: Rule): Wish | undefined {
  const verb = verbOf(rule.mtlsMode);
  if (!verb || verb === "unset" || rule.policy === "-") return undefined;
  return { kind: "mtls", verb, resource: scopeOf(rule), clients: true };
}

/** The resource that a rule is set on, which may be wider than that which was asked for. */
function scopeOf(rule: Rule): string {
  if (rule.own) return rule.resource;
  if (rule.policy.startsWith("/")) return "mesh";
  const service = rule.resource.replace(/:.*/, "");
  return rule.targets === "[]" ? service.replace(/\/.*/, "") : service;
}
