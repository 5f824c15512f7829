package api

import "time"

// Meshes are those that a dashboard serves.
type Meshes struct {
	Head
	Meshes []MeshEntry `json:"meshes"` // by name
	// ReadOnly says that this dashboard changes nothing.
	ReadOnly bool   `json:"readOnly"`
	Version  string `json:"version"` // of Oarlock
}

// MeshEntry is one mesh of a list.
type MeshEntry struct {
	Name string `json:"name"`
	// Kind is "local".
	Kind string `json:"kind"`
	// Problem says why nothing more is known; "" where it answers.
	Problem string  `json:"problem,omitempty"`
	Status  *Status `json:"status,omitempty"`
	Mode    string  `json:"mode,omitempty"` // mtlsMode of the mesh
	Locks   *Locks  `json:"locks,omitempty"`
}

// Locks counts edges by lock. Broken come first in every list.
type Locks struct {
	Broken  int `json:"broken"`
	Open    int `json:"open"`
	Mixed   int `json:"mixed"`
	Unknown int `json:"unknown"`
	Locked  int `json:"locked"`
}

// Overview is a mesh at a glance.
type Overview struct {
	Head
	Mesh  string   `json:"mesh"`
	Rule  Rule     `json:"rule"` // of the mesh
	Locks Locks    `json:"locks"`
	Sync  Coverage `json:"sync"`
	Held  string   `json:"held,omitempty"` // as in Status
	// MTLS is the share of traffic with mutual TLS of what is known, Known the share whose security is known, 0 to 1;
	// absent without traffic.
	MTLS         *float64      `json:"mtls,omitempty"`
	Known        *float64      `json:"known,omitempty"`
	Workloads    int           `json:"workloads"`
	Meshed       int           `json:"meshed"` // workloads with a sidecar
	Services     int           `json:"services"`
	Trend        *Trend        `json:"trend,omitempty"` // of the window
	Trouble      string        `json:"trouble,omitempty"`
	Broken       []Edge        `json:"broken"`   // at most 20: broken, open where mutual TLS is declared, findings of errors
	Findings     int           `json:"findings"` // errors and warnings on all edges and nodes
	Problems     []Problem     `json:"problems"`
	Unenforced   []Unenforced  `json:"unenforced"`
	Certificates []Certificate `json:"certificates"` // those that expire first, at most 20
	CA           CAStatus      `json:"ca"`
	Changes      []Change      `json:"changes"` // at most 5
	Store        Store         `json:"store"`
}

// Store is how the store of observations is.
type Store struct {
	Kind      string    `json:"kind"` // embedded, prometheus or none
	Address   string    `json:"address,omitempty"`
	OK        bool      `json:"ok"`
	Problem   string    `json:"problem,omitempty"`
	Targets   int       `json:"targets"`
	Up        int       `json:"up"`
	Interval  float64   `json:"intervalSeconds"`
	Series    uint64    `json:"series"`
	Bytes     int64     `json:"bytes"`
	Retention float64   `json:"retentionSeconds"`
	Since     time.Time `json:"since,omitzero"`
}

// Trend is values over time. Every list has one value for each of Times, null where nothing is known.
type Trend struct {
	Times       []time.Time `json:"times"`
	Requests    []*float64  `json:"requests"` // per second, like all but MTLS
	Errors      []*float64  `json:"errors"`
	Connections []*float64  `json:"connections"`
	Failures    []*float64  `json:"failures"` // handshakes
	MTLS        []*float64  `json:"mtls"`     // share of what got through, 0 to 1
}

// TrendAnswer is the answer of /v1/trend.
type TrendAnswer struct {
	Head
	Trend
	Trouble string `json:"trouble,omitempty"`
}

// Certificate is a workload's certificate.
type Certificate struct {
	Namespace string    `json:"namespace"`
	Pod       string    `json:"pod"`
	ID        string    `json:"id"` // SPIFFE
	Serial    string    `json:"serial"`
	Issuer    string    `json:"issuer"`
	NotBefore time.Time `json:"notBefore"`
	NotAfter  time.Time `json:"notAfter"`
	// State is "ok", "due" (its renewal is late), "expired" or "unknown", and Problem says why it is not ok.
	State   string `json:"state"`
	Problem string `json:"problem,omitempty"`
}

// Certificates are those of all sidecars, first to expire first.
type Certificates struct {
	Head
	Certificates []Certificate `json:"certificates"`
}

// EdgeDetails is all that is known of an edge.
type EdgeDetails struct {
	Head
	Edge        Edge         `json:"edge"`
	Client      GraphNode    `json:"client"`
	Server      GraphNode    `json:"server"`
	Explanation *Explanation `json:"explanation,omitempty"`
	Trend       *Trend       `json:"trend,omitempty"`
	// Log are the newest lines of the access logs of both ends that are about the edge, newest last, at most 50.
	Log     []LogLine `json:"log"`
	LogNote string    `json:"logNote,omitempty"` // why there are none: "the access log is off"
	// Certificates are of the pods at both ends.
	Certificates []Certificate `json:"certificates"`
}

// NodeDetails is all that is known of a node.
type NodeDetails struct {
	Head
	Node  GraphNode `json:"node"`
	Ports []PortRow `json:"ports"`
	In    []Edge    `json:"in"`
	Out   []Edge    `json:"out"`
	Rules []Rule    `json:"rules"` // in force for it, widest first
	// Objects are the policies and rules that select it or its hosts, and its own.
	Objects      []ObjectEntry `json:"objects"`
	Pods         []Pod         `json:"pods"`
	Certificates []Certificate `json:"certificates"`
	Problems     []Problem     `json:"problems"`
	Trend        *Trend        `json:"trend,omitempty"`
	Log          []LogLine     `json:"log"`
	LogNote      string        `json:"logNote,omitempty"`
}

// PortRow is one port of a service or workload.
type PortRow struct {
	Port     uint32 `json:"port"`
	Name     string `json:"name,omitempty"`
	Protocol string `json:"protocol"` // as the resolver takes it: HTTP, TCP, auto, UDP
	Server   string `json:"server"`   // STRICT, PERMISSIVE, DISABLE, MIXED or none
	Policy   *Place `json:"policy,omitempty"`
	Resource string `json:"resource"` // NS/SERVICE:PORT, for mtls
	Locks    Locks  `json:"locks"`    // of the edges that end here
}

// ObjectEntry is one object of the manifests.
type ObjectEntry struct {
	Place
	Summary string `json:"summary,omitempty"` // one line: "STRICT", "host productpage, tls DISABLE"
}

// Objects is a list of objects: policies and rules first.
type Objects struct {
	Head
	Objects []ObjectEntry `json:"objects"`
}

// ManifestFile is a file of manifests for an editor.
type ManifestFile struct {
	Head
	Name string `json:"name"`
	Hash string `json:"hash"` // SHA-256 in hex
	Text string `json:"text"`
	// Secret says that the file holds a Secret, whose text is never sent: it is "" then.
	Secret   bool          `json:"secret,omitempty"`
	Objects  []ObjectEntry `json:"objects"`
	Problems []Problem     `json:"problems"`
}

// Check is what is wrong with a text that an editor holds; it is not written anywhere.
type Check struct {
	Head
	Problems []Problem `json:"problems"`
}

// LogLine is one line of an access log.
type LogLine struct {
	Time      time.Time `json:"time,omitzero"`
	Namespace string    `json:"namespace"`
	Pod       string    `json:"pod"`
	Text      string    `json:"text"` // the line as the sidecar wrote it
	// What could be read from it; zero where nothing could.
	Method    string  `json:"method,omitempty"`
	Authority string  `json:"authority,omitempty"`
	Path      string  `json:"path,omitempty"`
	Code      int     `json:"code,omitempty"`
	Flags     string  `json:"flags,omitempty"`
	Duration  float64 `json:"milliseconds,omitempty"`
	Cluster   string  `json:"cluster,omitempty"` // upstream
	Reason    string  `json:"reason,omitempty"`  // upstream transport failure
	// Direction is inbound or outbound, From and To node IDs, where they are known.
	Direction string `json:"direction,omitempty"`
	From      string `json:"from,omitempty"`
	To        string `json:"to,omitempty"`
}

// Probe asks for a port to be tried.
type Probe struct {
	// To is NS/SERVICE:PORT; From a pod NS/POD in whose sidecar it is tried, "" for a caller without one.
	To   string `json:"to"`
	From string `json:"from,omitempty"`
}

// ProbeAnswer is what came of it.
type ProbeAnswer struct {
	Head
	To     string `json:"to"`
	From   string `json:"from,omitempty"`
	Proven Proven `json:"proven"`
	// Attempts are one line each, for people.
	Attempts []string `json:"attempts"`
}

// Event is one event of /v1/events, whose SSE id is ID and whose SSE name is Type.
type Event struct {
	ID   uint64    `json:"id"`
	Type string    `json:"type"`
	At   time.Time `json:"at"`
	// Snapshot and Coverage come with "snapshot" (published) and "sync" (in force on more sidecars).
	Snapshot string    `json:"snapshot,omitempty"`
	Sync     *Coverage `json:"sync,omitempty"`
	Elapsed  float64   `json:"elapsedMilliseconds,omitempty"` // of "sync", since the snapshot was taken
	// Change comes with "change": its name.
	Change string `json:"change,omitempty"`
	// Text comes with "held" ("" when nothing is held any more), "store" (its problem), and "reset": events were lost,
	// look at everything again.
	Text string `json:"text,omitempty"`
}
