package graph

import (
	"strconv"
	"strings"
	"time"

	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/resolve"
)

// Lock says in one word what is known of an edge. The zero value is unknown, so that an edge that nobody looked at never
// passes for an open one.
type Lock uint8

// The locks.
const (
	LockUnknown Lock = iota // no traffic was seen, or nobody can say of it
	LockLocked              // all traffic is mTLS
	LockMixed               // some is, some is not
	LockOpen                // plaintext
	LockBroken              // at least half of what is attempted does not get through
)

// String gives unknown, locked, mixed, open or broken.
func (l Lock) String() string {
	return [...]string{"unknown", "locked", "mixed", "open", "broken"}[l]
}

// NodeKind is what a node stands for.
type NodeKind uint8

// The kinds of nodes.
const (
	NodeNamespace NodeKind = iota // holds workloads and services
	NodeWorkload
	NodeService
	NodeIngress // a Gateway whose workload is not in the snapshot
	NodeEgress  // a host outside the mesh, or one that the mesh does not know
	NodeOutside // callers that nobody can name
)

// String gives namespace, workload, service, ingress, egress or outside.
func (k NodeKind) String() string {
	return [...]string{"namespace", "workload", "service", "ingress", "egress", "outside"}[k]
}

// Node is one box of the graph.
type Node struct {
	ID        string // unique and stable: "workload/shop/web.Deployment", "service/api.shop.svc.cluster.local", "egress/db.example.com"
	Kind      NodeKind
	Namespace string       // "" for an egress node of an unknown host
	Name      string       // short, as a person would say it
	At        Place        // the object that it stands for; zero for an unknown host
	Capture   mesh.Capture // of a workload
	Gateway   bool         // a workload that a Gateway selects
	Endpoints []string     // of a service: the IDs of the workloads behind it, in order
	App       string       // of a workload: its label app
	Version   string       // of a workload: its label version
	Mode      string       // declared, of a namespace, service or workload: STRICT, PERMISSIVE, DISABLE, or MIXED where ports differ
	Traffic   Traffic      // what goes in and out
	Findings  []Finding

	// Members is how many nodes a collapsed one stands for, 0 for one that is none, and Inside counts the edges among them.
	Members int
	Inside  LockCount
}

// LockCount counts edges by lock.
type LockCount [LockBroken + 1]int

// Add counts an edge.
func (c *LockCount) Add(l Lock) { c[l]++ }

// Total is how many edges were counted.
func (c *LockCount) Total() int {
	sum := 0
	for _, n := range c {
		sum += n
	}
	return sum
}

// worstFirst are the locks in the order in which they need attention.
var worstFirst = [...]Lock{LockBroken, LockOpen, LockMixed, LockUnknown, LockLocked}

// Worst is the lock that needs attention most; unknown where nothing was counted.
func (c *LockCount) Worst() Lock {
	for _, l := range worstFirst {
		if c[l] > 0 {
			return l
		}
	}
	return LockUnknown
}

// Traffic sums the edges of a node, in rates per second.
type Traffic struct {
	In, InErrors, InFailures    float64 // requests and connections; of them errors; handshakes that failed
	Out, OutErrors, OutFailures float64
	MTLS, Known                 float64 // of what comes in, as in Observed
}

// Place is an object with the position at which it was read.
type Place struct {
	mesh.Ref
	mesh.Origin
}

// SourceKind is the sort of place that declares an edge.
type SourceKind uint8

// The sources, strongest first.
const (
	SourceCall    SourceKind = iota // the workload says it itself: annotation or argument
	SourceRoute                     // a VirtualService routes a gateway's traffic there
	SourceSidecar                   // a Sidecar lets the workload see the host: it may call, which is not to say that it does
	SourceTraffic                   // nobody says it, and it was seen
)

// String gives call, route, sidecar-egress or traffic.
func (k SourceKind) String() string {
	return [...]string{"call", "route", "sidecar-egress", "traffic"}[k]
}

// Source is one place that declares an edge.
type Source struct {
	Kind SourceKind
	Text string // for people: `annotation oarlock.dev/calls`, `VirtualService shop/web`
	At   Place  // the object that says it, and where
}

// Edge is a client and a port of what it calls.
type Edge struct {
	From, To string // IDs of nodes
	Port     uint32 // service port; 0 where neither the source nor the service says one
	Subset   string // of a route

	// Declared is what the policies say should happen; nil where the client or the port is not known.
	Declared *Declared
	Sources  []Source // strongest first, at least one
	Lock     Lock
	Reason   string // why the lock is what it is, or why there is no verdict: one sentence

	// Observed is nil where no traffic was seen.
	Observed *Observed
	Shares   []Share // of Observed, by workload behind the service, in order; empty where only one is known
	Proof    *Proof  // nil where nobody tried
	// Changed is set where the verdict changed within the window.
	Changed  *Changed
	Findings []Finding

	// Members is how many edges a collapsed one stands for, 0 for one that is none, and Locks counts them.
	Members int
	Locks   LockCount
}

// ID names the edge; see [EdgeID].
func (e *Edge) ID() string { return EdgeID(e.From, e.To, e.Port, e.Subset) }

// EdgeID names an edge by what it connects: "FROM>TO:PORT", and "|SUBSET" after it where there is one. It stays the same
// for as long as the edge means the same.
func EdgeID(from, to string, port uint32, subset string) string {
	var b strings.Builder
	escape(&b, from)
	b.WriteByte('>')
	escape(&b, to)
	b.WriteByte(':')
	b.WriteString(strconv.FormatUint(uint64(port), 10))
	if subset != "" {
		b.WriteByte('|')
		escape(&b, subset)
	}
	return b.String()
}

// escape keeps apart what names from files might run together.
func escape(b *strings.Builder, s string) {
	if !strings.ContainsAny(s, "%>|") {
		b.WriteString(s)
		return
	}
	b.WriteString(strings.NewReplacer("%", "%25", ">", "%3E", "|", "%7C").Replace(s))
}

// Weak says whether nothing but Sidecars declares the edge.
func (e *Edge) Weak() bool {
	for _, s := range e.Sources {
		if s.Kind != SourceSidecar {
			return false
		}
	}
	return true
}

// Call is a call that somebody says is made: a workload of itself, or a VirtualService of a gateway's workload.
type Call struct {
	Client    mesh.Ref // the workload
	Host      string   // in full where the mesh has it, else as its source says it
	Namespace string   // where a short Host is looked up: that of its source
	Port      uint32   // 0 where neither the source nor the service says one
	Subset    string   // of a route
}

// Calls gives the calls that the manifests declare, in the order of the edges; one that two sources declare is there twice.
// What a Sidecar lets a workload see is none, nor is what only traffic shows; a gateway without a workload calls nothing.
func (g *Graph) Calls() []Call {
	at := make(map[string]*Node, len(g.Nodes))
	for i := range g.Nodes {
		at[g.Nodes[i].ID] = &g.Nodes[i]
	}
	var out []Call
	for i := range g.Edges {
		e := &g.Edges[i]
		from := at[e.From]
		if from == nil || from.Kind != NodeWorkload {
			continue
		}
		_, host, _ := strings.Cut(e.To, "/")
		for _, s := range e.Sources {
			if s.Kind == SourceCall || s.Kind == SourceRoute {
				out = append(out, Call{Client: from.At.Ref, Host: host, Namespace: s.At.Namespace, Port: e.Port, Subset: e.Subset})
			}
		}
	}
	return out
}

// Declared is a verdict with the names of what decided it.
type Declared struct {
	Verdict resolve.Verdict
	Policy  Place // zero without one
	Rule    Place // zero without one
}

// Graph is the whole picture.
type Graph struct {
	Version string // of the snapshot
	Dialect mesh.Dialect
	Nodes   []Node // by kind, then ID
	Edges   []Edge // by From, To, Port, Subset
	// Findings are about the whole mesh or the evidence, not about one edge or node.
	Findings []Finding

	// Start, End, Newest, Down and Trouble are of the observation; zero where there is none.
	Start, End, Newest time.Time
	Down               []string
	Trouble            string

	resolver *resolve.Resolver // of the snapshot, for what only traffic shows; nil in a part of a graph
}

// Node finds a node by its ID; nil where there is none.
func (g *Graph) Node(id string) *Node {
	for i := range g.Nodes {
		if g.Nodes[i].ID == id {
			return &g.Nodes[i]
		}
	}
	return nil
}

// In gives the part of the graph that touches a namespace: its edges, the nodes at their ends, and all that lives in the
// namespace.
func (g *Graph) In(namespace string) *Graph {
	out := g.empty()
	inside := make(map[string]bool)
	for _, n := range g.Nodes {
		if n.Namespace == namespace {
			inside[n.ID] = true
		}
	}
	keep := make(map[string]bool)
	for _, e := range g.Edges {
		if inside[e.From] || inside[e.To] {
			out.Edges = append(out.Edges, e)
			keep[e.From], keep[e.To] = true, true
		}
	}
	namespaces := map[string]bool{namespace: true}
	for _, n := range g.Nodes {
		if keep[n.ID] {
			namespaces[n.Namespace] = true
		}
	}
	for _, n := range g.Nodes {
		if keep[n.ID] || inside[n.ID] || n.Kind == NodeNamespace && namespaces[n.Name] {
			out.Nodes = append(out.Nodes, n)
		}
	}
	return out
}

// empty is a graph of the same mesh and observation with nothing in it.
func (g *Graph) empty() *Graph {
	return &Graph{Version: g.Version, Dialect: g.Dialect, Findings: g.Findings,
		Start: g.Start, End: g.End, Newest: g.Newest, Down: g.Down, Trouble: g.Trouble}
}

func workloadID(r mesh.Ref) string {
	return "workload/" + r.Namespace + "/" + r.Name + "." + string(r.Kind)
}

func serviceID(s *mesh.Service) string {
	if s.External {
		return egressID(s.Hostname)
	}
	return "service/" + s.Hostname
}

func egressID(host string) string { return "egress/" + strings.ToLower(host) }

func ingressID(r mesh.Ref) string { return "ingress/" + r.Namespace + "/" + r.Name }
