package graph

import (
	"bytes"
	"encoding/json"
	"io"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oarlock/oarlock/api"
	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/metrics"
	"github.com/oarlock/oarlock/probe"
	"github.com/oarlock/oarlock/resolve"
)

func TestFewNodesStayAsTheyAre(t *testing.T) {
	g := chain()
	if g.Collapse() != g || g.Collapse("a") != g {
		t.Error("a small graph collapses")
	}
}

// seenEverywhere puts some traffic on every edge of a random graph.
func seenEverywhere(r *rand.Rand, g *Graph) {
	for i := range g.Edges {
		e := &g.Edges[i]
		e.Sources = []Source{{Kind: SourceCall, Text: "annotation"}}
		e.Observed = &Observed{Requests: float64(1 + r.IntN(9)), Known: 1, MTLS: float64(r.IntN(2)), Reporters: "destination"}
	}
}

// TestCollapseLosesNothing sums what is seen before and after.
func TestCollapseLosesNothing(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 6))
		g := randomGraph(r, 2+r.IntN(8), 150, 900)
		seenEverywhere(r, g)
		for _, expand := range [][]string{nil, {"ns0"}, {"ns0", "ns1"}} {
			c := g.Collapse(expand...)
			checkCollapsed(t, g, c)
			var b bytes.Buffer
			if err := c.WriteJSON(&b); err != nil {
				t.Fatal(err)
			}
			if again := g.Collapse(expand...); !reflect.DeepEqual(c, again) {
				t.Error("the same graph collapses in two ways")
			}
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func checkCollapsed(t *testing.T, g, c *Graph) {
	t.Helper()
	members, edges, requests, locks := 0, 0, 0.0, LockCount{}
	for i := range c.Nodes {
		n := &c.Nodes[i]
		edges += n.Inside.Total()
		for l, k := range n.Inside {
			locks[l] += k
		}
		if n.drawn() {
			members += max(1, n.Members)
		}
		for _, id := range n.Endpoints {
			if c.Node(id) == nil {
				t.Errorf("%s leads to %s, which is not there", n.ID, id)
			}
		}
	}
	for i := range c.Edges {
		e := &c.Edges[i]
		edges += max(1, e.Members)
		requests += e.Observed.Requests
		if c.Node(e.From) == nil || c.Node(e.To) == nil || e.From == e.To {
			t.Errorf("edge %s leads nowhere", e.ID())
		}
		if e.Members > 0 {
			for l, k := range e.Locks {
				locks[l] += k
			}
			if e.Lock != e.Locks.Worst() || e.Reason == "" {
				t.Errorf("%s is %s (%s) of %v", e.ID(), e.Lock, e.Reason, e.Locks)
			}
		} else {
			locks.Add(e.Lock)
		}
	}
	drawn, all, crossing := 0, LockCount{}, 0.0
	for i := range g.Nodes {
		if g.Nodes[i].drawn() {
			drawn++
		}
	}
	for i := range g.Edges {
		all.Add(g.Edges[i].Lock)
		crossing += g.Edges[i].Observed.Requests
	}
	for i := range c.Nodes {
		if c.Nodes[i].Inside.Total() > 0 {
			crossing = math.NaN() // some of it is inside, and not on an edge any more
		}
	}
	if members != drawn || edges != len(g.Edges) || locks != all {
		t.Errorf("%d of %d nodes, %d of %d edges, locks %v of %v", members, drawn, edges, len(g.Edges), locks, all)
	}
	if !math.IsNaN(crossing) && math.Abs(crossing-requests) > 1e-6 {
		t.Errorf("%g of %g requests", requests, crossing)
	}
}

// twoShops has two namespaces of an application with two services, and enough others to collapse.
func twoShops() *Graph {
	g := &Graph{Dialect: mesh.DialectCurrent}
	node := func(n Node) { g.Nodes = append(g.Nodes, n) }
	for _, ns := range []string{"a", "b"} {
		node(Node{ID: "namespace/" + ns, Kind: NodeNamespace, Namespace: ns, Name: ns, Mode: "STRICT"})
		node(Node{ID: "workload/" + ns + "/web", Kind: NodeWorkload, Namespace: ns, Name: "web", App: "web", Capture: mesh.CaptureSidecar})
		node(Node{ID: "workload/" + ns + "/api-v1", Kind: NodeWorkload, Namespace: ns, Name: "api-v1", App: "api", Capture: mesh.CaptureSidecar})
		node(Node{ID: "service/api." + ns, Kind: NodeService, Namespace: ns, Name: "api", Endpoints: []string{"workload/" + ns + "/api-v1"}})
		g.Edges = append(g.Edges, Edge{From: "workload/" + ns + "/web", To: "service/api." + ns, Port: 80, Lock: LockLocked, Reason: "mTLS"})
	}
	g.Edges = append(g.Edges,
		Edge{From: "workload/a/web", To: "service/api.b", Port: 80, Lock: LockLocked, Reason: "mTLS", Sources: []Source{{Kind: SourceTraffic}},
			Observed: &Observed{Requests: 9, MTLS: 1, Known: 1, P99: time.Second, Reporters: "destination"}},
		Edge{From: "workload/a/api-v1", To: "service/api.b", Port: 80, Lock: LockOpen, Reason: "plaintext", Sources: []Source{{Kind: SourceCall}},
			Observed: &Observed{Requests: 1, Known: 1, P99: time.Minute, Reporters: "source"}, Findings: []Finding{{FindingLost, SeverityWarning, "x"}}},
		Edge{From: "workload/a/api-v1", To: "service/api.b", Port: 81, Lock: LockUnknown, Reason: "no traffic", Sources: []Source{{Kind: SourceCall}}})
	for i := range CollapseAbove {
		id := "service/filler" + string(rune('a'+i%26)) + strings.Repeat("x", i/26)
		node(Node{ID: id, Kind: NodeService, Namespace: "c", Name: id})
	}
	node(Node{ID: "namespace/c", Kind: NodeNamespace, Namespace: "c", Name: "c"})
	g.sort()
	return g
}

func TestCollapsedEdge(t *testing.T) {
	c := twoShops().Collapse()
	if len(c.Edges) != 1 || len(c.Nodes) != 3 {
		t.Fatalf("%d nodes, %d edges", len(c.Nodes), len(c.Edges))
	}
	e := &c.Edges[0]
	if e.From != "namespace/a" || e.To != "namespace/b" || e.Lock != LockOpen || e.Reason != "plaintext" || e.Members != 3 {
		t.Errorf("%+v", e)
	}
	if o := e.Observed; o.Requests != 10 || o.MTLS != 0.9 || o.Known != 1 || o.P99 != time.Minute || o.Reporters != "destination+source" {
		t.Errorf("%+v", o)
	}
	if len(e.Findings) != 1 || len(e.Sources) != 2 || e.Sources[0].Kind != SourceCall || e.Weak() {
		t.Errorf("%v, %v", e.Findings, e.Sources)
	}
	a := c.Node("namespace/a")
	if a.Members != 3 || a.Inside[LockLocked] != 1 || a.Mode != "STRICT" || a.Traffic.Out != 10 {
		t.Errorf("%+v", a)
	}
	if b := c.Node("namespace/b"); b.Traffic.In != 10 || b.Traffic.MTLS != 0.9 || b.Traffic.Known != 1 {
		t.Errorf("%+v", b.Traffic)
	}
	j := c.JSON()
	if j.Edges[0].Locks == nil || *j.Edges[0].Locks != (api.Locks{Open: 1, Unknown: 1, Locked: 1}) || j.Nodes[0].Inside.Locked != 1 {
		t.Errorf("%+v", j.Edges[0])
	}
	for _, write := range []string{written(t, c.WriteDOT), written(t, c.WriteMermaid)} {
		if !strings.Contains(write, "a (3)") || strings.Contains(write, "subgraph") {
			t.Errorf("a collapsed namespace is drawn as\n%s", write)
		}
	}
}

func TestExpand(t *testing.T) {
	g := twoShops()
	c := g.Collapse("a")
	for _, id := range []string{"workload/a/web", "service/api.a", "namespace/a", "namespace/b"} {
		if c.Node(id) == nil {
			t.Errorf("%s is not shown", id)
		}
	}
	if n := c.Node("namespace/a"); n.Members != 0 || n.drawn() {
		t.Errorf("the open namespace is %+v", n)
	}
	if i := slices.IndexFunc(c.Edges, func(e Edge) bool { return e.From == "workload/a/web" && e.To == "service/api.a" }); i < 0 {
		t.Error("the edge inside is not shown")
	}
	if c.Node("workload/b/web") != nil {
		t.Error("the other one is open too")
	}
}

// TestOneLargeNamespaceShowsApplications has nothing to collapse but those.
func TestOneLargeNamespaceShowsApplications(t *testing.T) {
	g := randomGraph(rand.New(rand.NewPCG(9, 9)), 1, 120, 300)
	g.Nodes = slices.DeleteFunc(g.Nodes, func(n Node) bool { return n.Kind == NodeEgress || n.Kind == NodeOutside })
	g.Edges = slices.DeleteFunc(g.Edges, func(e Edge) bool { return g.Node(e.From) == nil || g.Node(e.To) == nil })
	seenEverywhere(rand.New(rand.NewPCG(9, 9)), g)
	c := g.Collapse()
	checkCollapsed(t, g, c)
	if c.Node("app/ns0/s1") == nil || c.Node("namespace/ns0").Members != 0 {
		t.Fatalf("%d nodes and no application among them", len(c.Nodes))
	}
	one := g.Collapse("ns0/s1")
	checkCollapsed(t, g, one)
	if one.Node("app/ns0/s1") != nil || one.Node("service/s1.ns0") == nil || one.Node("app/ns0/s2") == nil {
		t.Error("the named application is not shown, or another one is")
	}
	checkLayout(t, one, one.Layout(c.Layout(nil)))
}

func written(t *testing.T, write func(w io.Writer) error) string {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestJSONIsComplete fills every field of a graph and wants every field of its JSON filled.
func TestJSONIsComplete(t *testing.T) {
	place := Place{mesh.Ref{Kind: mesh.KindService, Namespace: "a", Name: "b"}, mesh.Origin{File: "f", Line: 1, Col: 2, ResourceVersion: "3"}}
	finding := []Finding{{"c", "error", "t"}}
	seen := Observed{Start: noon, End: noon, Newest: noon, Reporters: "source", Protocol: "http", Requests: 1, Errors: 1, Connections: 1,
		Received: 1, Sent: 1, Failures: 1, Lost: 1, Causes: []metrics.CauseRate{{Cause: "expired", Failures: 1}}, MTLS: 1, Known: 1, P50: 1, P90: 1, P99: 1,
		SourcePrincipals: []string{"a"}, DestinationPrincipals: []string{"b"}, Policies: []string{"c"}}
	g := &Graph{Version: "v", Dialect: mesh.DialectCurrent, Start: noon, End: noon, Newest: noon, Down: []string{"d"}, Trouble: "t", Findings: finding,
		Nodes: []Node{{ID: "a", Kind: NodeWorkload, Namespace: "a", Name: "a", At: place, Capture: mesh.CaptureSidecar, Gateway: true,
			Endpoints: []string{"b"}, App: "a", Version: "v", Mode: "STRICT", Traffic: Traffic{1, 1, 1, 1, 1, 1, 1, 1}, Findings: finding,
			Members: 1, Inside: LockCount{1, 1, 1, 1, 1}}},
		Edges: []Edge{{From: "a", To: "b", Port: 1, Subset: "v1", Lock: LockOpen, Reason: "r",
			Declared: &Declared{Verdict: resolve.Verdict{Server: resolve.ServerStrict}, Policy: place, Rule: place},
			Sources:  []Source{{SourceSidecar, "s", place}}, Observed: &seen, Shares: []Share{{"w", seen, LockMixed}},
			Proof:   &Proof{From: "a", To: "b", Port: 1, At: noon, Result: &probe.Result{Mode: probe.Strict, Proof: []string{"p"}}, Problem: "p"},
			Changed: &Changed{Since: noon, InForce: 1, Total: 1}, Findings: finding, Members: 1, Locks: LockCount{1, 1, 1, 1, 1}}}}
	j := g.JSON()
	j.Layout, j.Mesh = (&Layout{Width: 1, Height: 1, Nodes: map[string]Point{"a": {1, 1}}, Boxes: []Box{{"a", 1, 1, 1, 1}}, Lines: map[string]Line{"a": {{1, 1}}}}).JSON(), "m"
	wantFilled(t, "graph", reflect.ValueOf(*j))
	b, err := json.Marshal(j)
	if err != nil || bytes.Contains(b, []byte("null")) {
		t.Errorf("%s, %v", b, err)
	}
}

// wantFilled fails for every field that is zero.
func wantFilled(t *testing.T, path string, v reflect.Value) {
	t.Helper()
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			t.Errorf("%s is nil", path)
			return
		}
		wantFilled(t, path, v.Elem())
	case reflect.Slice:
		if v.Len() == 0 {
			t.Errorf("%s is empty", path)
		}
		for i := range v.Len() {
			wantFilled(t, path, v.Index(i))
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			break
		}
		for i := range v.NumField() {
			wantFilled(t, path+"."+v.Type().Field(i).Name, v.Field(i))
		}
		return
	}
	if v.IsZero() {
		t.Errorf("%s is zero", path)
	}
}
