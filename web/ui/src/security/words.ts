// Modes, verbs and resources in the words of a dialect. Pure.
import type { MTLS } from "../api/types";

export type Verb = MTLS["verb"];

/** The verbs in the order of the control: strictest first. */
export const VERBS: readonly Verb[] = ["require", "allow", "disable", "unset"];

/** Up to 1.4 the word is DISABLED, since then DISABLE. */
export function legacy(dialect: string): boolean {
  return /^1\.[1-4]$/.test(dialect);
}

/** The mode that a verb sets, as the dialect writes it; "unset" for none. */
export function modeOf(verb: Verb, dialect: string): string {
  if (verb === "disable") return legacy(dialect) ? "DISABLED" : "DISABLE";
  return { require: "STRICT", allow: "PERMISSIVE", unset: "unset" }[verb];
}

/** The verb that sets a mode; undefined for what no verb sets (MIXED, none). */
export function verbOf(mode: string): Verb | undefined {
  switch (mode) {
    case "STRICT":
      return "require";
    case "PERMISSIVE":
      return "allow";
    case "DISABLE":
    case "DISABLED":
      return "disable";
    case "UNSET":
    case "unset":
      return "unset";
  }
  return undefined;
}

/** What a mode means for callers. */
export function modeMeans(mode: string): string {
  switch (mode) {
    case "STRICT":
      return "servers take mutual TLS alone";
    case "PERMISSIVE":
      return "servers take mutual TLS and plaintext";
    case "DISABLE":
    case "DISABLED":
      return "servers take plaintext alone";
    case "MIXED":
      return "its ports or workloads differ";
    case "UNSET":
    case "unset":
      return "no mode of its own: what is wider decides";
    case "none":
    case "":
      return "no sidecar takes connections here";
  }
  return "";
}

/** "the mesh", "namespace shop", "service api in shop", "port 8080 of api in shop". */
export function resourceWords(resource: string): string {
  if (resource === "mesh") return "the mesh";
  const [namespace = "", rest] = resource.split("/");
  if (!rest) return `namespace ${namespace}`;
  const [service, port] = rest.split(":");
  return port ? `port ${port} of ${service} in ${namespace}` : `service ${service} in ${namespace}`;
}

/** What a change does, as the title of its dialog. */
export function verbTitle(verb: Verb, resource: string, dialect: string): string {
  const where = resourceWords(resource);
  return verb === "unset" ? `Unset the mode of ${where}` : `Set ${where} to ${modeOf(verb, dialect)}`;
}
