package graph

import (
	"cmp"
	"slices"
	"strings"
)

// CollapseAbove is how many nodes are drawn at most before namespaces, and then applications, become one node each.
const CollapseAbove = 150

// Collapse gives the graph as it is where it has few nodes, else one in which each namespace is a node, and what is between
// two of them one edge. expand names what is shown in full: "NAMESPACE", whose applications stay single nodes where it has
// too many, and "NAMESPACE/APP". A mesh of one namespace shows its applications. A collapsed node keeps the ID of its
// namespace, or is "app/NAMESPACE/APP"; the worst lock of its edges is that of the collapsed one.
func (g *Graph) Collapse(expand ...string) *Graph {
	c := newCollapse(g, expand)
	if c.drawn <= CollapseAbove {
		return g
	}
	out := g.empty()
	c.addNodes(out)
	c.addEdges(out)
	for i := range out.Nodes {
		if out.Nodes[i].Members > 0 {
			out.Nodes[i].Traffic.settle()
		}
	}
	out.sort()
	return out
}

// collapse says what becomes of each node.
type collapse struct {
	g     *Graph
	drawn int
	to    map[string]string // node ID to the ID of what it is shown as
	apps  map[string]string // node ID to its application, as NAMESPACE/APP
}

func newCollapse(g *Graph, expand []string) *collapse {
	c := &collapse{g: g, to: make(map[string]string, len(g.Nodes)), apps: map[string]string{}}
	size := map[string]int{}
	for i := range g.Nodes {
		if n := &g.Nodes[i]; n.drawn() && n.Kind != NodeNamespace {
			c.drawn++
			size[n.Namespace]++
		}
	}
	c.findApps()
	for i := range g.Nodes {
		n := &g.Nodes[i]
		c.to[n.ID] = n.ID
		app := c.apps[n.ID]
		switch {
		case app == "":
		case !slices.Contains(expand, n.Namespace) && len(size) > 1 && size[n.Namespace] < c.drawn:
			c.to[n.ID] = "namespace/" + n.Namespace
		case size[n.Namespace] > CollapseAbove && !slices.Contains(expand, app):
			c.to[n.ID] = "app/" + app
		}
	}
	return c
}

// findApps gives workloads and services their application: the label app, else the name; a service has that of the first
// workload behind it.
func (c *collapse) findApps() {
	for _, kind := range []NodeKind{NodeWorkload, NodeService} {
		for i := range c.g.Nodes {
			n := &c.g.Nodes[i]
			if n.Kind != kind || n.Namespace == "" {
				continue
			}
			app := cmp.Or(n.App, n.Name)
			c.apps[n.ID] = n.Namespace + "/" + app
			if kind == NodeService && len(n.Endpoints) > 0 && c.apps[n.Endpoints[0]] != "" {
				c.apps[n.ID] = c.apps[n.Endpoints[0]]
			}
		}
	}
}

func (c *collapse) addNodes(out *Graph) {
	at := map[string]int{}
	for i := range c.g.Nodes {
		n := c.g.Nodes[i]
		to := c.to[n.ID]
		if to == n.ID && n.Kind != NodeNamespace {
			n.Endpoints = c.endpoints(&n)
			out.Nodes = append(out.Nodes, n)
			continue
		}
		k, ok := at[to]
		if !ok {
			k = len(out.Nodes)
			at[to] = k
			out.Nodes = append(out.Nodes, c.node(to, &n))
		}
		if n.Kind != NodeNamespace {
			out.Nodes[k].absorb(&n)
		}
	}
}

// node begins a collapsed node; a namespace that is shown in full stays what it was.
func (c *collapse) node(id string, n *Node) Node {
	if n.Kind == NodeNamespace {
		return *n
	}
	if id == "namespace/"+n.Namespace {
		return Node{ID: id, Kind: NodeNamespace, Namespace: n.Namespace, Name: n.Namespace}
	}
	app := id[strings.LastIndexByte(id, '/')+1:]
	return Node{ID: id, Kind: NodeWorkload, Namespace: n.Namespace, Name: app, App: app, Capture: n.Capture, Mode: n.Mode}
}

func (c *collapse) endpoints(n *Node) []string {
	var out []string
	for _, id := range n.Endpoints {
		if c.to[id] == id {
			out = append(out, id)
		}
	}
	return out
}

// absorb counts a node, with its findings. What crosses the border is counted with the edges.
func (n *Node) absorb(o *Node) {
	n.Members++
	n.Findings = append(n.Findings, o.Findings...)
	if n.Kind != NodeNamespace && n.Mode != o.Mode && o.Mode != "" {
		if n.Mode = "MIXED"; o.Members == 0 && n.Members == 1 {
			n.Mode = o.Mode
		}
	}
}

func (c *collapse) addEdges(out *Graph) {
	nodes := make(map[string]*Node, len(out.Nodes))
	for i := range out.Nodes {
		nodes[out.Nodes[i].ID] = &out.Nodes[i]
	}
	at := map[[2]string]int{}
	for i := range c.g.Edges {
		e := &c.g.Edges[i]
		from, to := c.to[e.From], c.to[e.To]
		switch {
		case from == e.From && to == e.To:
			out.Edges = append(out.Edges, *e)
			continue
		case from == to:
			nodes[from].Inside.Add(e.Lock)
			continue
		}
		k, ok := at[[2]string{from, to}]
		if !ok {
			k = len(out.Edges)
			at[[2]string{from, to}] = k
			out.Edges = append(out.Edges, Edge{From: from, To: to})
		}
		out.Edges[k].absorb(e)
		if n := nodes[from]; n.Members > 0 && e.Observed != nil {
			n.Traffic.out(e.Observed)
		}
		if n := nodes[to]; n.Members > 0 && e.Observed != nil {
			n.Traffic.in(e.Observed)
		}
	}
}

// absorb adds an edge to a collapsed one.
func (e *Edge) absorb(o *Edge) {
	worst := e.Locks.Worst()
	e.Members++
	e.Locks.Add(o.Lock)
	if now := e.Locks.Worst(); e.Members == 1 || now != worst {
		e.Lock, e.Reason = now, o.Reason
	}
	e.Findings = append(e.Findings, o.Findings...)
	for _, s := range o.Sources {
		if !slices.ContainsFunc(e.Sources, func(have Source) bool { return have.Kind == s.Kind }) {
			e.Sources = append(e.Sources, Source{Kind: s.Kind, Text: s.Kind.String()})
		}
	}
	slices.SortFunc(e.Sources, func(x, y Source) int { return cmp.Compare(x.Kind, y.Kind) })
	if o.Observed == nil {
		return
	}
	if e.Observed == nil {
		e.Observed = &Observed{Start: o.Observed.Start, End: o.Observed.End, Reporters: o.Observed.Reporters}
	}
	e.Observed.absorb(o.Observed)
}

// absorb sums rates up, and shares by what they are shares of.
func (o *Observed) absorb(p *Observed) {
	a, b := o.Requests+o.Connections, p.Requests+p.Connections
	knownA, knownB := a*o.Known, b*p.Known
	if knownA+knownB > 0 {
		open := o.MTLS < 1 && knownA > 0 || p.MTLS < 1 && knownB > 0
		o.MTLS = (knownA*o.MTLS + knownB*p.MTLS) / (knownA + knownB)
		if open {
			o.MTLS = min(o.MTLS, almostAll)
		}
		o.Known = (knownA + knownB) / (a + b)
	}
	o.Requests, o.Errors, o.Connections = o.Requests+p.Requests, o.Errors+p.Errors, o.Connections+p.Connections
	o.Received, o.Sent = o.Received+p.Received, o.Sent+p.Sent
	o.Failures, o.Lost = o.Failures+p.Failures, o.Lost+p.Lost
	o.P50, o.P90, o.P99 = max(o.P50, p.P50), max(o.P90, p.P90), max(o.P99, p.P99)
	if p.Newest.After(o.Newest) {
		o.Newest = p.Newest
	}
	if o.Reporters != p.Reporters {
		o.Reporters = "destination+source"
	}
}

// sort puts nodes and edges in their order.
func (g *Graph) sort() {
	slices.SortFunc(g.Nodes, func(x, y Node) int {
		return cmp.Or(cmp.Compare(x.Kind, y.Kind), cmp.Compare(x.ID, y.ID))
	})
	slices.SortFunc(g.Edges, func(x, y Edge) int {
		return cmp.Or(cmp.Compare(x.From, y.From), cmp.Compare(x.To, y.To), cmp.Compare(x.Port, y.Port), cmp.Compare(x.Subset, y.Subset))
	})
}
