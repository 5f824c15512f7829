// What may stand in the objects that decide about mutual TLS: keys, values, and what they do. For completion; the server checks.

/** One key of an object. */
export interface Field {
  doc: string;
  /** Values that it may have. */
  values?: readonly string[];
  /** Keys below it. "*" stands for any key. */
  keys?: Readonly<Record<string, Field>>;
  /** It is a list, and keys are those of its items. */
  list?: boolean;
}

const f = (doc: string, more: Omit<Field, "doc"> = {}): Field => ({ doc, ...more });

const metadata = f("Names the object.", {
  keys: {
    name: f("Name of the object. The policy of a whole scope is called default."),
    namespace: f("Namespace of the object; that of Istio's control plane for the whole mesh."),
    labels: f("Labels of the object."),
    annotations: f("Annotations of the object."),
    creationTimestamp: f("When it was made: of two policies for one thing, the older counts."),
  },
});

const labels = f("Labels that a pod must have, all of them.");

const mode = f("What servers take.", { values: ["STRICT", "PERMISSIVE", "DISABLE", "UNSET"] });

const clientTLS = f("What clients send.", {
  keys: {
    mode: f("ISTIO_MUTUAL: mutual TLS with the mesh's certificates. DISABLE: plaintext. SIMPLE, MUTUAL: TLS of your own.", { values: ["ISTIO_MUTUAL", "DISABLE", "SIMPLE", "MUTUAL"] }),
    clientCertificate: f("File of the client's certificate, for MUTUAL."),
    privateKey: f("File of the client's key, for MUTUAL."),
    caCertificates: f("File of the authorities that the server is checked with."),
    credentialName: f("Secret with certificate and key; sidecars take it only with a workloadSelector."),
    subjectAltNames: f("Identities that the server may have.", { list: true }),
    sni: f("Name that is sent in the TLS handshake."),
    insecureSkipVerify: f("Does not check the server's certificate.", { values: ["true", "false"] }),
  },
});

const connectionPool = f("How many connections and requests there may be.", {
  keys: {
    tcp: f("Limits of connections.", { keys: { maxConnections: f("Connections to each host."), connectTimeout: f("How long connecting may take, such as 10s.") } }),
    http: f("Limits of requests.", {
      keys: {
        http1MaxPendingRequests: f("Requests that wait for a connection."),
        http2MaxRequests: f("Requests at a time."),
        maxRequestsPerConnection: f("Requests until a connection is closed."),
        maxRetries: f("Retries at a time."),
        idleTimeout: f("How long a connection may be idle."),
        h2UpgradePolicy: f("Whether HTTP/1.1 is sent as HTTP/2.", { values: ["DEFAULT", "UPGRADE", "DO_NOT_UPGRADE"] }),
      },
    }),
  },
});

const loadBalancer = f("Which endpoint gets the next request.", {
  keys: {
    simple: f("The algorithm.", { values: ["UNSPECIFIED", "ROUND_ROBIN", "LEAST_REQUEST", "LEAST_CONN", "RANDOM", "PASSTHROUGH"] }),
    consistentHash: f("The same endpoint for the same caller.", { keys: { httpHeaderName: f("Header that is hashed."), useSourceIp: f("Hashes the caller's address.", { values: ["true", "false"] }) } }),
  },
});

const outlierDetection = f("Leaves out endpoints that fail.", {
  keys: {
    consecutive5xxErrors: f("Errors in a row until it is left out."),
    interval: f("How often is looked."),
    baseEjectionTime: f("How long it is left out at least."),
    maxEjectionPercent: f("Part of the endpoints that may be left out."),
  },
});

const port = f("The port that this is about.", { keys: { number: f("Number of the service's port.") } });

const traffic: Record<string, Field> = { tls: clientTLS, loadBalancer, connectionPool, outlierDetection };

const trafficPolicy = f("How clients call the host.", {
  keys: {
    ...traffic,
    portLevelSettings: f("The same for single ports. What is set here hides all that is set for the host.", { list: true, keys: { port, ...traffic } }),
  },
});

const exportTo = f("Namespaces that see it: \".\" its own alone, \"*\" all.", { list: true, values: ['"."', '"*"'] });

const peers = f("How clients are authenticated. Without mtls among them, servers take plaintext alone.", {
  list: true,
  keys: { mtls: f("Mutual TLS. Empty is STRICT.", { keys: { mode: f("STRICT: mutual TLS alone. PERMISSIVE: plaintext too.", { values: ["STRICT", "PERMISSIVE"] }) } }) },
});

const legacyPolicy: Record<string, Field> = {
  peers,
  peerIsOptional: f("Takes callers that are not authenticated too.", { values: ["true", "false"] }),
  targets: f("Services that it is about; without it, all of the namespace.", {
    list: true,
    keys: {
      name: f("Name of a service of the namespace."),
      ports: f("Ports of the service.", { list: true, keys: { number: f("Number of the port."), name: f("Name of the port.") } }),
    },
  }),
  origins: f("How end users are authenticated (JWT). Not enforced by a mesh on this machine.", { list: true }),
  principalBinding: f("Which identity becomes the request's.", { values: ["USE_PEER", "USE_ORIGIN"] }),
};

const specs: Record<string, Record<string, Field>> = {
  PeerAuthentication: {
    selector: f("Workloads that it is about; without it, the whole namespace.", { keys: { matchLabels: labels } }),
    mtls: f("Mutual TLS of all ports.", { keys: { mode } }),
    portLevelMtls: f("Mutual TLS of single ports of the workload (not of the service). Needs a selector.", { keys: { "*": f("A port of the workload.", { keys: { mode } }) } }),
  },
  DestinationRule: {
    host: f("Service that it is about: a name in this namespace, a full name, or *.shop.svc.cluster.local."),
    trafficPolicy,
    subsets: f("Versions of the service.", { list: true, keys: { name: f("Name that routes use."), labels, trafficPolicy } }),
    exportTo,
    workloadSelector: f("Clients that it is for.", { keys: { matchLabels: labels } }),
  },
  Policy: legacyPolicy,
  MeshPolicy: legacyPolicy,
  Gateway: {
    selector: f("Labels of the gateway's pods."),
    servers: f("What it listens for.", {
      list: true,
      keys: {
        port: f("The port.", { keys: { number: f("Number."), name: f("Name."), protocol: f("Protocol.", { values: ["HTTP", "HTTPS", "HTTP2", "GRPC", "TCP", "TLS"] }) } }),
        hosts: f("Hosts that it serves.", { list: true }),
        tls: f("TLS of callers.", {
          keys: {
            mode: f("How TLS is ended.", { values: ["SIMPLE", "MUTUAL", "PASSTHROUGH", "AUTO_PASSTHROUGH", "ISTIO_MUTUAL"] }),
            credentialName: f("Secret with certificate and key."),
            httpsRedirect: f("Sends HTTP to HTTPS.", { values: ["true", "false"] }),
            minProtocolVersion: f("Oldest TLS that is taken.", { values: ["TLSV1_2", "TLSV1_3"] }),
          },
        }),
      },
    }),
  },
};

const versions: Record<string, readonly string[]> = {
  PeerAuthentication: ["security.istio.io/v1", "security.istio.io/v1beta1"],
  DestinationRule: ["networking.istio.io/v1", "networking.istio.io/v1beta1", "networking.istio.io/v1alpha3"],
  Gateway: ["networking.istio.io/v1", "networking.istio.io/v1beta1", "networking.istio.io/v1alpha3"],
  Policy: ["authentication.istio.io/v1alpha1"],
  MeshPolicy: ["authentication.istio.io/v1alpha1"],
};

/** Kinds that are known here. */
export const KINDS = Object.keys(specs);

/** The keys of a document of a kind; "" where none is written yet. */
export function documentFields(kind: string): Record<string, Field> {
  const spec = specs[kind];
  return {
    apiVersion: f("Group and version of the kind.", { values: versions[kind] ?? [...new Set(Object.values(versions).flat())] }),
    kind: f("What the object is.", { values: KINDS }),
    metadata,
    ...(spec ? { spec: f("What it says.", { keys: spec }) } : {}),
  };
}
