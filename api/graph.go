package api

import "time"

// Graph is who calls whom, with what the three witnesses say: declared, observed, proven.
type Graph struct {
	Head
	Mesh     string      `json:"mesh,omitempty"`
	Dialect  string      `json:"dialect"`
	Snapshot string      `json:"snapshot,omitempty"`
	Nodes    []GraphNode `json:"nodes"`
	Edges    []Edge      `json:"edges"`
	// Window is what the observations are about; absent where there are none, and then Trouble says why.
	Window  *Window  `json:"window,omitempty"`
	Trouble string   `json:"trouble,omitempty"`
	Down    []string `json:"down,omitempty"` // sidecars that gave no answer to the store
	// Layout is where everything is drawn; absent where nobody asked for it.
	Layout *Layout `json:"layout,omitempty"`
	// Findings are about the whole mesh or the evidence.
	Findings []Finding `json:"findings,omitempty"`
}

// Window is a span of time; Newest is the time of the newest sample in it.
type Window struct {
	Start  time.Time `json:"start"`
	End    time.Time `json:"end"`
	Newest time.Time `json:"newest,omitzero"`
}

// Layout is a drawing's geometry in pixels.
type Layout struct {
	Width  float64             `json:"width"`
	Height float64             `json:"height"`
	Nodes  map[string]Position `json:"nodes"` // middles, by node ID; namespaces are boxes
	Boxes  []Box               `json:"boxes"` // of namespaces, in order of ID

	// Lines are how edges run, by their ID, and links from a service to a workload that does not stand beneath it, as
	// "SERVICE~WORKLOAD". A line begins at its first point and ends at its last; between them it is a chain of quadratic curves
	// with one of the other points each, which meet in the middle between two. It crosses no node but its ends. A drawing of
	// more than 1,200 edges has none.
	Lines map[string][]Position `json:"lines,omitempty"`
}

// Box is the rectangle of a namespace: its top left corner, width and height.
type Box struct {
	ID     string  `json:"id"`
	X      float64 `json:"x"`
	Y      float64 `json:"y"`
	Width  float64 `json:"width"`
	Height float64 `json:"height"`
}

// GraphNode is a node of a Graph.
type GraphNode struct {
	ID        string    `json:"id"`
	Kind      string    `json:"kind"`
	Namespace string    `json:"namespace,omitempty"`
	Name      string    `json:"name"`
	Ref       *Place    `json:"ref,omitempty"`
	Capture   string    `json:"capture,omitempty"`
	Gateway   bool      `json:"gateway,omitempty"`
	Endpoints []string  `json:"endpoints,omitempty"`
	App       string    `json:"app,omitempty"`
	Version   string    `json:"version,omitempty"`
	Mode      string    `json:"mode,omitempty"`
	Traffic   *Traffic  `json:"traffic,omitempty"` // absent where nothing was observed
	Findings  []Finding `json:"findings,omitempty"`
	// Members is how many nodes a collapsed one stands for, and Inside counts the edges among them.
	Members int    `json:"members,omitempty"`
	Inside  *Locks `json:"inside,omitempty"`
}

// Traffic sums the edges of a node: rates per second, shares from 0 to 1.
type Traffic struct {
	In          float64 `json:"in"`
	InErrors    float64 `json:"inErrors"`
	InFailures  float64 `json:"inFailures"`
	Out         float64 `json:"out"`
	OutErrors   float64 `json:"outErrors"`
	OutFailures float64 `json:"outFailures"`
	MTLS        float64 `json:"mtls"`
	Known       float64 `json:"known"`
}

// Finding is a disagreement of the witnesses, or another thing that somebody should look at. Severity is error, warning or note.
type Finding struct {
	Code     string `json:"code"`
	Severity string `json:"severity"`
	Text     string `json:"text"`
}

// Edge is a client and a port of what it calls.
type Edge struct {
	ID       string       `json:"id"`
	From     string       `json:"from"`
	To       string       `json:"to"`
	Port     uint32       `json:"port,omitempty"`
	Subset   string       `json:"subset,omitempty"`
	Declared *Declared    `json:"declared"` // null where there is no verdict
	Observed *Observed    `json:"observed"` // null where no traffic was seen
	Proven   *Proven      `json:"proven"`   // null where nobody tried
	Lock     string       `json:"lock"`
	Reason   string       `json:"reason,omitempty"`
	Weak     bool         `json:"weak,omitempty"`
	Sources  []EdgeSource `json:"sources"`
	Shares   []Share      `json:"shares,omitempty"`
	Changed  *Changed     `json:"changed,omitempty"`
	Findings []Finding    `json:"findings,omitempty"`
	// Members is how many edges a collapsed one stands for, and Locks counts them.
	Members int    `json:"members,omitempty"`
	Locks   *Locks `json:"locks,omitempty"`
}

// Declared is what the policies say should happen on an edge.
type Declared struct {
	Status string `json:"status"`
	Server string `json:"server"`
	Mode   string `json:"clientMode"`
	Wire   string `json:"wire"`
	Cause  string `json:"cause"`
	Policy *Place `json:"policy,omitempty"`
	Rule   *Place `json:"destinationRule,omitempty"`
}

// Observed is what traffic did: rates per second, shares from 0 to 1, durations in milliseconds.
type Observed struct {
	Start       time.Time `json:"start"`
	End         time.Time `json:"end"`
	Newest      time.Time `json:"newest,omitzero"`
	Reporters   string    `json:"reporters"`
	Protocol    string    `json:"protocol,omitempty"`
	Requests    float64   `json:"requests"`
	Errors      float64   `json:"errors"`
	Connections float64   `json:"connections"`
	Received    float64   `json:"received"`
	Sent        float64   `json:"sent"`
	Failures    float64   `json:"failures"`
	Lost        float64   `json:"lost,omitempty"` // that the destination's sidecar never counted
	Causes      []Cause   `json:"causes,omitempty"`
	MTLS        float64   `json:"mtls"`
	Known       float64   `json:"known"`
	P50         float64   `json:"p50,omitempty"`
	P90         float64   `json:"p90,omitempty"`
	P99         float64   `json:"p99,omitempty"`
	// Principals are those that certificates proved.
	SourcePrincipals      []string `json:"sourcePrincipals,omitempty"`
	DestinationPrincipals []string `json:"destinationPrincipals,omitempty"`
	Policies              []string `json:"policies,omitempty"`
}

// Cause is how often handshakes fail for one cause, per second.
type Cause struct {
	Cause    string  `json:"cause"`
	Failures float64 `json:"failures"`
}

// Proven is what came of trying.
type Proven struct {
	From    string    `json:"from,omitempty"` // node ID; absent for a caller without a sidecar
	At      time.Time `json:"at"`
	Mode    string    `json:"mode,omitempty"` // that the attempts prove: STRICT, PERMISSIVE, DISABLE, … or Unknown
	Proof   []string  `json:"proof,omitempty"`
	Problem string    `json:"problem,omitempty"` // why it could not be tried
}

// Share is what one workload behind a service got of an edge.
type Share struct {
	Workload string   `json:"workload"`
	Observed Observed `json:"observed"`
	Lock     string   `json:"lock"`
}

// Changed says that the verdict changed within the window, and how far the new one is.
type Changed struct {
	Since   time.Time `json:"since,omitzero"` // in force on both ends; absent while it is not
	InForce int       `json:"inForce"`
	Total   int       `json:"total"`
}

// EdgeSource is one place that declares an edge: kind is call, route, sidecar-egress or traffic.
type EdgeSource struct {
	Kind string `json:"kind"`
	Text string `json:"text"`
	Ref  *Place `json:"ref,omitempty"` // absent for what was only seen
}

// Position is the middle of a box, in pixels from the top left of the drawing.
type Position struct {
	X float64 `json:"x"`
	Y float64 `json:"y"`
}

// Place is an object with the position at which it was read.
type Place struct {
	Ref
	Origin
}
