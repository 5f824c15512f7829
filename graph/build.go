package graph

import (
	"cmp"
	"slices"
	"strings"

	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/resolve"
)

// Build collects the declared edges of a mesh. [Graph.Observe] adds what was seen and proven.
func Build(r *resolve.Resolver) *Graph {
	b := newBuilder(r)
	b.addNodes()
	b.addCalls()
	b.addRoutes()
	b.addSidecars()
	g := b.graph()
	g.setModes()
	return g
}

func newBuilder(r *resolve.Resolver) *builder {
	return &builder{r: r, snap: r.Snapshot(), nodes: map[string]*Node{}, edges: map[edgeKey]*Edge{}, called: map[doorKey]bool{}, between: map[[2]string][]edgeKey{}}
}

// keep takes an edge in.
func (b *builder) keep(e *Edge) {
	key := edgeKey{e.From, e.To, e.Port, e.Subset}
	b.edges[key] = e
	b.called[doorKey{e.To, e.Port}] = true
	ends := [2]string{e.From, e.To}
	b.between[ends] = append(b.between[ends], key)
}

// builder gathers nodes and edges before they are put in order.
type builder struct {
	r     *resolve.Resolver
	snap  *mesh.Snapshot
	nodes map[string]*Node
	edges map[edgeKey]*Edge

	called  map[doorKey]bool // what somebody is known to call
	between map[[2]string][]edgeKey
}

type edgeKey struct {
	from, to string
	port     uint32
	subset   string
}

// addNodes makes a node of everything that has a place in the mesh, called or not.
func (b *builder) addNodes() {
	for _, n := range b.snap.Namespaces {
		b.addNamespace(n.Ref.Name, n.Object)
	}
	for _, w := range b.snap.Workloads {
		b.addWorkload(w)
	}
	for _, s := range b.snap.Services {
		b.addService(s)
	}
}

func (b *builder) addNamespace(name string, o mesh.Object) {
	id := "namespace/" + name
	if b.nodes[id] == nil {
		b.nodes[id] = &Node{ID: id, Kind: NodeNamespace, Namespace: name, Name: name, At: placeOf(o)}
	}
}

func (b *builder) addWorkload(w *mesh.Workload) {
	b.addNamespace(w.Ref.Namespace, mesh.Object{})
	id := workloadID(w.Ref)
	b.nodes[id] = &Node{ID: id, Kind: NodeWorkload, Namespace: w.Ref.Namespace, Name: w.Ref.Name, At: placeOf(w.Object), Capture: w.Capture,
		App: w.Labels["app"], Version: w.Labels["version"]}
}

func (b *builder) addService(s *mesh.Service) {
	id := serviceID(s)
	if b.nodes[id] != nil {
		return // a second ServiceEntry for one host
	}
	n := &Node{ID: id, Kind: NodeService, Namespace: s.Ref.Namespace, Name: s.Ref.Name, At: placeOf(s.Object)}
	if s.Entry() {
		n.Name = s.Hostname
	}
	if s.External {
		n.Kind = NodeEgress
	}
	b.addNamespace(s.Ref.Namespace, mesh.Object{})
	b.nodes[id] = n
	for _, w := range b.r.Endpoints(s) {
		if w.InlineOf.IsZero() {
			n.Endpoints = append(n.Endpoints, workloadID(w.Ref))
		}
	}
}

// addCalls takes what workloads say of themselves.
func (b *builder) addCalls() {
	for _, w := range b.snap.Workloads {
		for _, c := range w.Calls {
			src := Source{Kind: SourceCall, Text: c.Source, At: Place{w.Ref, c.Origin}}
			b.call(caller{id: workloadID(w.Ref), namespace: w.Ref.Namespace, workload: w}, callee{host: c.Host, port: c.Port}, src)
		}
	}
}

// caller is one end of an edge. An ingress whose workload is not in the snapshot has no verdict: which rules it obeys
// depends on its namespace, which nobody names.
type caller struct {
	id        string
	namespace string // where its short names are looked up
	workload  *mesh.Workload
	unknown   string // why there is no verdict; "" where there is one
}

// callee is the other end, as its source names it.
type callee struct {
	host   string
	port   uint32 // 0: not said, so every port of the service
	subset string
}

// call adds an edge for each port that is meant.
func (b *builder) call(from caller, to callee, src Source) {
	s := b.find(to.host, from.namespace)
	if s == nil {
		id := egressID(to.host)
		if b.nodes[id] == nil {
			b.nodes[id] = &Node{ID: id, Kind: NodeEgress, Name: to.host}
		}
		b.edge(from, id, resolve.Target{Host: to.host, Port: to.port}, src)
		return
	}
	t := resolve.Target{Service: s, Port: to.port, Subset: to.subset}
	if to.port != 0 || len(s.Ports) == 0 {
		b.edge(from, serviceID(s), t, src)
		return
	}
	for i := range s.Ports {
		t.Port = s.Ports[i].Number
		b.edge(from, serviceID(s), t, src)
	}
}

// find gives the service that a host means in a namespace. Of several with one host, the resolver's first.
func (b *builder) find(host, namespace string) *mesh.Service {
	found := b.r.Services(host, namespace)
	if len(found) == 0 || !strings.Contains(host, ".") && found[0].Ref.Namespace != namespace {
		// A short name is completed with the namespace of whoever says it and never reaches into another.
		return nil
	}
	return found[0]
}

// edge adds one edge, or one more source to an edge that is there.
func (b *builder) edge(from caller, to string, t resolve.Target, src Source) {
	key := edgeKey{from.id, to, t.Port, t.Subset}
	e := b.edges[key]
	if e == nil {
		e = &Edge{From: from.id, To: to, Port: t.Port, Subset: t.Subset}
		e.Declared, e.Reason = b.declared(from, t)
		b.keep(e)
	}
	if !slices.Contains(e.Sources, src) {
		e.Sources = append(e.Sources, src)
	}
}

// declared asks for the verdict. The reason is that of an unknown lock: nothing here has seen traffic.
func (b *builder) declared(from caller, t resolve.Target) (*Declared, string) {
	switch {
	case from.unknown != "":
		return nil, from.unknown
	case t.Port == 0:
		return nil, "no port is declared"
	}
	d := &Declared{Verdict: b.r.Resolve(resolve.Client{Workload: from.workload}, t)}
	d.Policy.Ref, d.Policy.Origin = b.r.Policy(d.Verdict.Policy)
	if i := d.Verdict.Rule; i != resolve.None {
		d.Rule = placeOf(b.snap.DestinationRules[i].Object)
	}
	return d, "no traffic was seen"
}

// addSidecars takes the exact hosts that Sidecars import. A wildcard says nothing of who calls whom, and a Sidecar of the
// root namespace is the mesh's default, not a statement about one workload.
func (b *builder) addSidecars() {
	for _, w := range b.snap.Workloads {
		sc := b.sidecarOf(w)
		if sc == nil || w.Capture != mesh.CaptureSidecar {
			continue
		}
		src := Source{Kind: SourceSidecar, Text: sc.Ref.String() + " egress", At: placeOf(sc.Object)}
		for _, l := range sc.Egress {
			for _, entry := range l.Hosts {
				in, host, ok := strings.Cut(entry, "/")
				if ok && !strings.Contains(host, "*") && !strings.HasPrefix(in, "~") {
					b.mayCall(w, in, host, src)
				}
			}
		}
	}
}

// mayCall adds a weak edge to a known service of the namespace that the entry names. A workload's own services are in
// its Sidecar so that its neighbours are, not because it calls itself.
func (b *builder) mayCall(w *mesh.Workload, in, host string, src Source) {
	if in == "." {
		in = w.Ref.Namespace
	}
	for _, s := range b.r.Services(host, w.Ref.Namespace) {
		if s.Hostname != host || in != "*" && in != s.Ref.Namespace || slices.Contains(b.r.Endpoints(s), w) {
			continue
		}
		b.call(caller{id: workloadID(w.Ref), namespace: w.Ref.Namespace, workload: w}, callee{host: host}, src)
		return
	}
}

// sidecarOf is the Sidecar of the workload's own namespace that is in force: one with a matching selector, else one
// without; the oldest of several.
func (b *builder) sidecarOf(w *mesh.Workload) *mesh.Sidecar {
	var plain *mesh.Sidecar
	for _, sc := range b.snap.Sidecars {
		switch {
		case sc.Ref.Namespace != w.Ref.Namespace:
		case len(sc.Selector) > 0 && mesh.Selects(sc.Selector, w.Labels):
			return sc
		case len(sc.Selector) == 0 && plain == nil:
			plain = sc
		}
	}
	if plain != nil && plain.Ref.Namespace == b.snap.Config.RootNamespace {
		return nil
	}
	return plain
}

func placeOf(o mesh.Object) Place { return Place{o.Ref, o.Origin} }

// graph puts everything in order.
func (b *builder) graph() *Graph {
	g := &Graph{Version: b.snap.Version, Dialect: b.snap.Dialect, resolver: b.r}
	g.Nodes, g.Edges = make([]Node, 0, len(b.nodes)), make([]Edge, 0, len(b.edges))
	for _, n := range b.nodes {
		g.Nodes = append(g.Nodes, *n)
	}
	for _, e := range b.edges {
		slices.SortStableFunc(e.Sources, func(x, y Source) int { return cmp.Compare(x.Kind, y.Kind) })
		g.Edges = append(g.Edges, *e)
	}
	g.sort()
	return g
}
