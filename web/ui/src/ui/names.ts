// IDs of the graph as people say them. Pure.

/** What an ID names: "workload/shop/web.Deployment" → web in shop. */
export interface Named {
  kind: string;
  namespace: string;
  name: string;
}

export function named(id: string): Named {
  const slash = id.indexOf("/");
  const kind = id.slice(0, slash);
  const rest = id.slice(slash + 1);
  if (kind === "workload") {
    const [namespace = "", last = ""] = rest.split("/");
    return { kind, namespace, name: last.replace(/\.[A-Z][A-Za-z]*$/, "") };
  }
  if (kind === "service") {
    const [name = rest, namespace = "", svc] = rest.split(".");
    return svc === "svc" ? { kind, namespace, name } : { kind, namespace: "", name: rest };
  }
  if (kind === "ingress") {
    const [namespace = "", name = ""] = rest.split("/");
    return { kind, namespace, name };
  }
  return { kind, namespace: "", name: NAMES[id] ?? rest };
}

/** Nodes whose names are not in their IDs. */
const NAMES: Readonly<Record<string, string>> = { "egress/passthroughcluster": "PassthroughCluster", "egress/blackholecluster": "BlackHoleCluster", "outside/unknown": "unknown callers" };

interface End {
  name: string;
  namespace: string;
}

/** What the ends of an edge are called: with their namespaces, "web.shop", where these differ. */
export function endNames(from: End, to: End): [string, string] {
  const differ = from.namespace !== "" && to.namespace !== "" && from.namespace !== to.namespace;
  return differ ? [`${from.name}.${from.namespace}`, `${to.name}.${to.namespace}`] : [from.name, to.name];
}

/** "web → api:8080", or, between namespaces, "web.shop → api.bank:8080". */
export function edgeName(e: { from: string; to: string; port?: number; subset?: string }): string {
  const [from, to] = endNames(named(e.from), named(e.to));
  return `${from} → ${to}${e.port ? ":" + e.port : ""}${e.subset ? ` (${e.subset})` : ""}`;
}
