// Files to begin with. Pure.
import { legacy } from "./words";

export interface Template {
  id: string;
  title: string;
  /** Whether it is of a namespace; else of the whole mesh. */
  namespaced: boolean;
}

export function templates(dialect: string): Template[] {
  return legacy(dialect)
    ? [
        { id: "Policy", title: "Policy of a namespace", namespaced: true },
        { id: "Targets", title: "Policy of a service", namespaced: true },
        { id: "MeshPolicy", title: "Policy of the mesh", namespaced: false },
        { id: "DestinationRule", title: "Rule for clients", namespaced: true },
      ]
    : [
        { id: "PeerAuthentication", title: "Policy of a namespace", namespaced: true },
        { id: "Selector", title: "Policy of some workloads", namespaced: true },
        { id: "DestinationRule", title: "Rule for clients", namespaced: true },
      ];
}

/** The name of a file for a template, beside other manifests. */
export function fileName(folder: string, id: string, namespace: string): string {
  const what = { Policy: "policy", Targets: "policy-service", MeshPolicy: "mesh-policy", DestinationRule: "destination-rule", PeerAuthentication: "peer-authentication", Selector: "peer-authentication-workloads" }[id] ?? "objects";
  return `${folder.replace(/\/$/, "")}/${[namespace, what].filter(Boolean).join("-")}.yaml`;
}

/** The folder of a file. */
export function folderOf(file: string): string {
  return file.includes("/") ? file.slice(0, file.lastIndexOf("/")) : "";
}

export function templateText(id: string, namespace: string): string {
  const meta = (name: string) => `metadata:\n  name: ${name}\n${namespace ? `  namespace: ${namespace}\n` : ""}`;
  const legacyHead = (kind: string) => `apiVersion: authentication.istio.io/v1alpha1\nkind: ${kind}\n`;
  const strict = "  peers:\n    - mtls:\n        mode: STRICT\n";
  switch (id) {
    case "Policy":
      return `# Servers of ${namespace} take mutual TLS alone.\n${legacyHead("Policy")}${meta("default")}spec:\n${strict}`;
    case "Targets":
      return `# One service of ${namespace}; write its name.\n${legacyHead("Policy")}${meta("service")}spec:\n  targets:\n    - name: service\n${strict}`;
    case "MeshPolicy":
      return `# All servers of the mesh take mutual TLS and plaintext.\n${legacyHead("MeshPolicy")}metadata:\n  name: default\nspec:\n  peers:\n    - mtls:\n        mode: PERMISSIVE\n`;
    case "Selector":
      return `# Some workloads of ${namespace}; write their labels.\napiVersion: security.istio.io/v1\nkind: PeerAuthentication\n${meta("workloads")}spec:\n  selector:\n    matchLabels:\n      app: name\n  mtls:\n    mode: STRICT\n`;
    case "DestinationRule":
      return `# How clients call the services of ${namespace}.\napiVersion: networking.istio.io/v1alpha3\nkind: DestinationRule\n${meta("default")}spec:\n  host: "*.${namespace}.svc.cluster.local"\n  trafficPolicy:\n    tls:\n      mode: ISTIO_MUTUAL\n`;
  }
  return `# Servers of ${namespace} take mutual TLS alone.\napiVersion: security.istio.io/v1\nkind: PeerAuthentication\n${meta("default")}spec:\n  mtls:\n    mode: STRICT\n`;
}
