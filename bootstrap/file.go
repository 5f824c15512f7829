package bootstrap

import (
	"encoding/json"
	"net/netip"
)

// Version is the version of the file's form.
const Version = 1

// File is what a sidecar starts from. A field that is absent has its zero value, whose meaning is said at the field.
type File struct {
	// Version is of this form; 1, or absent.
	Version int `json:"version"`
	// Node is the sidecar as the control plane knows it.
	Node Node `json:"node"`
	// Identity is where the workload's SVID comes from; absent, the sidecar has none.
	Identity *Identity `json:"identity,omitempty"`
	// XDS is the control plane; absent, Static is all there is.
	XDS *XDS `json:"xds,omitempty"`
	// Static has listeners and clusters in the form of Envoy's static_resources: {"listeners": [...], "clusters": [...]}.
	Static json.RawMessage `json:"staticResources,omitempty"`

	// Mounts say where certificate files of the mesh lie on this machine: mount path to folder.
	Mounts  map[string]string `json:"mounts,omitempty"`
	Capture Capture           `json:"capture"`
	Admin   Admin             `json:"admin"`
	Log     Log               `json:"log"`
	// Drain is how long a stop waits for what is under way, default 5s; Go's notation, as are all durations here.
	Drain Duration `json:"drain,omitempty"`
	// Concurrency is how many processors the sidecar uses at most, 0 all there are; absent, two. It takes more than one only
	// while it needs them. GOMAXPROCS in the environment wins.
	Concurrency *int `json:"concurrency,omitempty"`
}

// Node says who the sidecar is.
type Node struct {
	// ID is Envoy's node id; default sidecar~IP~POD.NS~NS.svc.cluster.local, made from what follows.
	ID      string `json:"id,omitempty"`
	Cluster string `json:"cluster,omitempty"` // Envoy's node.cluster; default WORKLOAD.NS

	Pod            string            `json:"pod"`
	Namespace      string            `json:"namespace"`
	Workload       string            `json:"workload,omitempty"` // the controller's name; default the pod's
	ServiceAccount string            `json:"serviceAccount,omitempty"`
	IP             netip.Addr        `json:"ip"`
	Labels         map[string]string `json:"labels,omitempty"`
	MeshID         string            `json:"meshId,omitempty"`
	ClusterID      string            `json:"clusterId,omitempty"` // default Kubernetes
	DNSDomain      string            `json:"dnsDomain,omitempty"` // default NS.svc.cluster.local
	Version        string            `json:"istioVersion,omitempty"`
	// Metadata is added to what the sidecar tells of itself, and wins.
	Metadata map[string]any `json:"metadata,omitempty"`
	// Router says that it is a gateway.
	Router bool `json:"router,omitempty"`
}

// Identity has CSR or Files.
type Identity struct {
	TrustDomain string   `json:"trustDomain,omitempty"` // default cluster.local
	Aliases     []string `json:"trustDomainAliases,omitempty"`
	CSR         *CSR     `json:"csr,omitempty"`
	Files       *Files   `json:"files,omitempty"`
}

// CSR is Istio's certificate service.
type CSR struct {
	Address    string   `json:"address"`              // HOST:PORT, or unix:PATH
	ServerName string   `json:"serverName,omitempty"` // default the host
	TokenFile  string   `json:"tokenFile"`
	RootsFile  string   `json:"rootsFile"`
	TTL        Duration `json:"ttl,omitempty"` // default the service's
}

// Files are an SVID that somebody else renews.
type Files struct {
	Key   string `json:"key"`
	Chain string `json:"chain"`
	Roots string `json:"roots"`
}

// XDS is an ADS server.
type XDS struct {
	Address string `json:"address"` // HOST:PORT, or unix:PATH
	Delta   bool   `json:"delta,omitempty"`
	// Plaintext is for a server on this machine that has no TLS, as istiod's port 15010.
	Plaintext  bool   `json:"plaintext,omitempty"`
	ServerName string `json:"serverName,omitempty"`
	RootsFile  string `json:"rootsFile,omitempty"`
	TokenFile  string `json:"tokenFile,omitempty"`
	// MTLS presents the workload's SVID to the server.
	MTLS bool `json:"mtls,omitempty"`
}

// Capture says how connections come into the sidecar.
type Capture struct {
	// Transparent asks the kernel for the original destination of a redirected connection.
	Transparent bool `json:"transparent,omitempty"`
	// Doors are listening addresses that stand for an original destination each.
	Doors []Door `json:"doors,omitempty"`
	// Application is where the application listens, in place of the pod's address; absent, its own address.
	Application netip.Addr `json:"application,omitzero"`
	// Source is the address that outbound connections come from; absent, the system's choice.
	Source netip.Addr `json:"source,omitzero"`
	// Mark is SO_MARK of the sidecar's own connections, by which redirection leaves them alone; 0 none.
	Mark int `json:"mark,omitempty"`
	// Uncounted are callers whose connections are carried as any other, and are in no series of traffic and no access log:
	// those who only try whether they get in.
	Uncounted []netip.Prefix `json:"uncounted,omitempty"`
	// Prober is the address that the sidecar's own probes come from; absent, they come from where its other connections do.
	Prober netip.Addr `json:"prober,omitzero"`
	// Names are host names of CONNECT requests to an HTTP door, with their address.
	Names map[string]netip.Addr `json:"names,omitempty"`
}

// Door is one front door.
type Door struct {
	Listen netip.AddrPort `json:"listen"`
	// Inbound is for callers of the workload; else the workload calls.
	Inbound bool `json:"inbound,omitempty"`
	// Original is the destination that a connection to the door is meant for.
	Original netip.AddrPort `json:"original,omitzero"`
	// HTTPProxy says that the door is an HTTP proxy, with requests in absolute form and CONNECT. It has no Original.
	HTTPProxy bool `json:"httpProxy,omitempty"`
}

// Admin is where the sidecar answers questions.
type Admin struct {
	// Socket is a unix socket, made with mode 0600; "" none.
	Socket string `json:"socket,omitempty"`
	// Metrics is where /stats/prometheus is served; absent, nowhere.
	Metrics netip.AddrPort `json:"metrics,omitzero"`
	// Health is where /healthz/ready is served, and where rewritten probes of the application go; absent, nowhere.
	Health netip.AddrPort `json:"health,omitzero"`
	// Probes are the application's probes that Health makes in its place, by path.
	Probes map[string]Probe `json:"probes,omitempty"`
	// Audit is a file to which each export of the key is appended; "" none.
	Audit string `json:"audit,omitempty"`
}

// Probe is one rewritten probe: what to ask of the application.
type Probe struct {
	HTTP    string            `json:"http,omitempty"` // URL
	TCP     string            `json:"tcp,omitempty"`  // HOST:PORT
	GRPC    string            `json:"grpc,omitempty"` // HOST:PORT
	Service string            `json:"service,omitempty"`
	Headers map[string]string `json:"headers,omitempty"`
	Timeout Duration          `json:"timeout,omitempty"`
}

// Log is the sidecar's own log.
type Log struct {
	Level string `json:"level,omitempty"` // debug, info, warn, error; default info
	// AccessLog is where /dev/stdout of the mesh's accessLogFile leads; default the sidecar's standard output.
	AccessLog string `json:"accessLog,omitempty"`
}
