package graph

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/oarlock/oarlock/mesh"
)

// randomGraph has services with workloads behind them in a few namespaces, callers, egress, outside callers, circles, and
// nodes that nobody calls.
func randomGraph(r *rand.Rand, namespaces, services, calls int) *Graph {
	g := &Graph{}
	var workloads, hosts []string
	for n := range namespaces {
		ns := fmt.Sprintf("ns%d", n)
		g.Nodes = append(g.Nodes, Node{ID: "namespace/" + ns, Kind: NodeNamespace, Namespace: ns, Name: ns})
	}
	for s := range services {
		ns, name := fmt.Sprintf("ns%d", r.IntN(namespaces)), fmt.Sprintf("s%d", s)
		n := Node{ID: "service/" + name + "." + ns, Kind: NodeService, Namespace: ns, Name: name}
		for v := range r.IntN(4) {
			w := fmt.Sprintf("workload/%s/%s-v%d.Deployment", ns, name, v)
			n.Endpoints = append(n.Endpoints, w)
			workloads = append(workloads, w)
			g.Nodes = append(g.Nodes, Node{ID: w, Kind: NodeWorkload, Namespace: ns, Name: fmt.Sprintf("%s-v%d", name, v), App: name, Capture: mesh.CaptureSidecar})
		}
		hosts = append(hosts, n.ID)
		g.Nodes = append(g.Nodes, n)
	}
	for i := range r.IntN(4) {
		id := fmt.Sprintf("egress/h%d", i)
		hosts = append(hosts, id)
		g.Nodes = append(g.Nodes, Node{ID: id, Kind: NodeEgress, Name: id})
	}
	if r.IntN(2) == 0 {
		workloads = append(workloads, outsideID)
		g.Nodes = append(g.Nodes, Node{ID: outsideID, Kind: NodeOutside, Name: "unknown callers"})
	}
	seen := map[string]bool{}
	for range calls {
		if len(workloads) == 0 || len(hosts) == 0 {
			break
		}
		e := Edge{From: workloads[r.IntN(len(workloads))], To: hosts[r.IntN(len(hosts))], Port: 80, Lock: Lock(r.IntN(5)), Reason: "so"}
		if !seen[e.ID()] {
			seen[e.ID()] = true
			g.Edges = append(g.Edges, e)
		}
	}
	g.sort()
	return g
}

// checkLayout wants every node drawn once and inside, no two on each other, boxes that do not touch, and each node in its
// namespace's box and in no other.
func checkLayout(t *testing.T, g *Graph, l *Layout) {
	t.Helper()
	drawn := 0
	var ids []string
	for i := range g.Nodes {
		if g.Nodes[i].drawn() {
			drawn++
			ids = append(ids, g.Nodes[i].ID)
		}
	}
	if len(l.Nodes) != drawn {
		t.Fatalf("%d of %d nodes are placed", len(l.Nodes), drawn)
	}
	rect := func(p Point) rectangle {
		return rectangle{p.X - NodeWidth/2, p.Y - NodeHeight/2, NodeWidth, NodeHeight}
	}
	for i, a := range ids {
		p := l.Nodes[a]
		if p.X < NodeWidth/2 || p.Y < NodeHeight/2 || p.X+NodeWidth/2 > l.Width || p.Y+NodeHeight/2 > l.Height || math.IsNaN(p.X+p.Y) {
			t.Errorf("%s is at %v, outside of %g x %g", a, p, l.Width, l.Height)
		}
		for _, b := range ids[:i] {
			if q := l.Nodes[b]; math.Abs(p.X-q.X) < NodeWidth && math.Abs(p.Y-q.Y) < NodeHeight {
				t.Errorf("%s at %v and %s at %v overlap", a, p, b, q)
			}
		}
	}
	for i, a := range l.Boxes {
		for _, b := range l.Boxes[:i] {
			if meets(rectangle{a.X, a.Y, a.Width, a.Height}, rectangle{b.X, b.Y, b.Width, b.Height}) {
				t.Errorf("the boxes %v and %v overlap", a, b)
			}
		}
	}
	for i := range g.Nodes {
		n := &g.Nodes[i]
		at, ok := l.Nodes[n.ID]
		if !ok {
			continue
		}
		for _, b := range l.Boxes {
			inside := meets(rect(at), rectangle{b.X, b.Y, b.Width, b.Height})
			if own := groupOf(n) == b.ID; own != inside {
				t.Errorf("%s at %v and the box %v: inside %v, want %v", n.ID, at, b, inside, own)
			}
		}
	}
}

func meets(a, b rectangle) bool {
	return a.x < b.x+b.w && b.x < a.x+a.w && a.y < b.y+b.h && b.y < a.y+a.h
}

func TestLayoutOfRandomGraphs(t *testing.T) {
	for seed := range uint64(150) {
		r := rand.New(rand.NewPCG(seed, 1))
		g := randomGraph(r, 1+r.IntN(6), r.IntN(40), r.IntN(120))
		l := g.Layout(nil)
		checkLayout(t, g, l)
		if again := g.Layout(nil); !reflect.DeepEqual(l, again) {
			t.Errorf("seed %d: two layouts of one graph differ", seed)
		}
		if same := g.Layout(l); !reflect.DeepEqual(same.Nodes, l.Nodes) || !reflect.DeepEqual(same.Boxes, l.Boxes) {
			t.Errorf("seed %d: the layout of what has not changed moves", seed)
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// change takes a few nodes and edges away and adds others.
func change(r *rand.Rand, g *Graph) *Graph {
	gone := map[string]bool{}
	for i := range g.Nodes {
		if n := &g.Nodes[i]; n.Kind == NodeWorkload && r.IntN(20) == 0 {
			gone[n.ID] = true
		}
	}
	out := &Graph{}
	for _, n := range g.Nodes {
		if gone[n.ID] {
			continue
		}
		n.Endpoints = slices.DeleteFunc(slices.Clone(n.Endpoints), func(id string) bool { return gone[id] })
		out.Nodes = append(out.Nodes, n)
	}
	for _, e := range g.Edges {
		if !gone[e.From] && !gone[e.To] {
			e.Lock = Lock(r.IntN(5)) // traffic changes and moves nothing
			out.Edges = append(out.Edges, e)
		}
	}
	for i := range r.IntN(3) {
		ns := fmt.Sprintf("ns%d", r.IntN(7)) // perhaps a new one
		id := fmt.Sprintf("workload/%s/new%d.Deployment", ns, i)
		if out.Node("namespace/"+ns) == nil {
			out.Nodes = append(out.Nodes, Node{ID: "namespace/" + ns, Kind: NodeNamespace, Namespace: ns, Name: ns})
		}
		if out.Node(id) == nil {
			out.Nodes = append(out.Nodes, Node{ID: id, Kind: NodeWorkload, Namespace: ns, Name: fmt.Sprintf("new%d", i)})
			for k := range out.Nodes {
				if to := &out.Nodes[k]; to.Kind == NodeService && r.IntN(8) == 0 {
					out.Edges = append(out.Edges, Edge{From: id, To: to.ID, Port: 80})
				}
			}
		}
	}
	out.sort()
	return out
}

// underGrown says whether a node stands in a column below a pile that has something new.
func underGrown(g *Graph, was, now *Layout, id string) bool {
	at := now.cells[id]
	for i := range g.Nodes {
		for _, w := range append([]string{g.Nodes[i].ID}, g.Nodes[i].Endpoints...) {
			_, old := was.cells[w]
			if c := now.cells[w]; len(g.Nodes[i].Endpoints) > 0 && !old && c.group == at.group && c.col == at.col && c.row < at.row {
				return true
			}
		}
	}
	return false
}

// TestSmallChangesMoveLittle changes graphs a few times. A node keeps its place in its namespace unless a pile above it has
// grown, and its place in the picture unless its namespace had to give way.
func TestSmallChangesMoveLittle(t *testing.T) {
	total, moved := 0, 0
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 2))
		g := randomGraph(r, 1+r.IntN(6), 10+r.IntN(30), r.IntN(100))
		l := g.Layout(nil)
		for range 6 {
			next := change(r, g)
			to := next.Layout(l)
			checkLayout(t, next, to)
			shift := map[string]Point{} // of each group
			for i := range next.Nodes {
				n := &next.Nodes[i]
				was, ok := l.Nodes[n.ID]
				now, ok2 := to.Nodes[n.ID]
				if !ok || !ok2 {
					continue
				}
				by := Point{now.X - was.X, now.Y - was.Y}
				if other, ok := shift[groupOf(n)]; ok && by != other && !underGrown(next, l, to, n.ID) {
					t.Errorf("seed %d: %s moves by %v, others of its group by %v", seed, n.ID, by, other)
				} else if !underGrown(next, l, to, n.ID) {
					shift[groupOf(n)] = by
				}
				total++
				if math.Abs(by.X)+math.Abs(by.Y) > 0.01 {
					moved++
				}
			}
			g, l = next, to
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	if moved > total/5 {
		t.Errorf("%d of %d nodes moved", moved, total)
	}
	t.Logf("%d of %d nodes moved", moved, total)
}

// chain is a caller, a service with two workloads, and another service behind one of them.
func chain() *Graph {
	g := &Graph{Nodes: []Node{
		{ID: "namespace/a", Kind: NodeNamespace, Namespace: "a", Name: "a"},
		{ID: "workload/a/web", Kind: NodeWorkload, Namespace: "a", Name: "web"},
		{ID: "workload/a/api-v1", Kind: NodeWorkload, Namespace: "a", Name: "api-v1"},
		{ID: "workload/a/api-v2", Kind: NodeWorkload, Namespace: "a", Name: "api-v2"},
		{ID: "workload/a/db", Kind: NodeWorkload, Namespace: "a", Name: "db"},
		{ID: "service/api", Kind: NodeService, Namespace: "a", Name: "api", Endpoints: []string{"workload/a/api-v1", "workload/a/api-v2"}},
		{ID: "service/db", Kind: NodeService, Namespace: "a", Name: "db", Endpoints: []string{"workload/a/db"}},
		{ID: "egress/x", Kind: NodeEgress, Name: "x"},
		{ID: outsideID, Kind: NodeOutside, Name: "unknown callers"},
	}, Edges: []Edge{
		{From: "workload/a/web", To: "service/api", Port: 80}, {From: "workload/a/api-v2", To: "service/db", Port: 1},
		{From: "workload/a/db", To: "egress/x", Port: 1}, {From: outsideID, To: "service/api", Port: 80},
	}}
	g.sort()
	return g
}

func TestLayoutGoesFromLeftToRight(t *testing.T) {
	l := chain().Layout(nil)
	order := []string{outsideID, "workload/a/web", "service/api", "service/db", "egress/x"}
	for i := range order[1:] {
		if l.Nodes[order[i]].X >= l.Nodes[order[i+1]].X {
			t.Errorf("%s at %v is not left of %s at %v", order[i], l.Nodes[order[i]], order[i+1], l.Nodes[order[i+1]])
		}
	}
	for _, pile := range [][]string{{"service/api", "workload/a/api-v1", "workload/a/api-v2"}, {"service/db", "workload/a/db"}} {
		top := l.Nodes[pile[0]]
		for i, id := range pile {
			if want := (Point{top.X, top.Y + float64(i)*pitch*rowUnit}); l.Nodes[id] != want {
				t.Errorf("%s is at %v, beneath its service were %v", id, l.Nodes[id], want)
			}
		}
	}
}

// TestSharedWorkloads has one workload behind two services: it stands beneath the first, right of the second.
func TestSharedWorkloads(t *testing.T) {
	g := chain()
	g.Nodes = append(g.Nodes, Node{ID: "service/zapi", Kind: NodeService, Namespace: "a", Name: "zapi", Endpoints: []string{"workload/a/api-v1"}})
	g.sort()
	l := g.Layout(nil)
	checkLayout(t, g, l)
	api, v1, z := l.Nodes["service/api"], l.Nodes["workload/a/api-v1"], l.Nodes["service/zapi"]
	if v1.X != api.X || v1.Y <= api.Y || z.X >= v1.X {
		t.Errorf("api at %v, zapi at %v, the workload of both at %v", api, z, v1)
	}
}

// TestLongPilesAreBroken has more workloads behind a service than stand beneath it.
func TestLongPilesAreBroken(t *testing.T) {
	g := chain()
	for i := range g.Nodes {
		if g.Nodes[i].ID == "service/db" {
			for k := range 40 {
				id := fmt.Sprintf("workload/a/db-%02d", k)
				g.Nodes[i].Endpoints = append(g.Nodes[i].Endpoints, id)
				g.Nodes = append(g.Nodes, Node{ID: id, Kind: NodeWorkload, Namespace: "a", Name: id})
			}
		}
	}
	g.sort()
	l := g.Layout(nil)
	checkLayout(t, g, l)
	if l.Height > (maxRows+6)*rowUnit {
		t.Errorf("%g x %g", l.Width, l.Height)
	}
}

func TestNewNodesStandBesideTheirNeighbours(t *testing.T) {
	g := chain()
	l := g.Layout(nil)
	g.Nodes = append(g.Nodes, Node{ID: "workload/a/api-v3", Kind: NodeWorkload, Namespace: "a", Name: "api-v3"})
	for i := range g.Nodes {
		if g.Nodes[i].ID == "service/api" {
			g.Nodes[i].Endpoints = append(slices.Clone(g.Nodes[i].Endpoints), "workload/a/api-v3")
		}
	}
	g.sort()
	to := g.Layout(l)
	for id, p := range l.Nodes {
		if to.Nodes[id] != p {
			t.Errorf("%s moves from %v to %v", id, p, to.Nodes[id])
		}
	}
	if got, v2 := to.Nodes["workload/a/api-v3"], to.Nodes["workload/a/api-v2"]; got != (Point{v2.X, v2.Y + pitch*rowUnit}) {
		t.Errorf("the new version stands at %v, the old ones at %v", got, to.Nodes["workload/a/api-v1"])
	}
	checkLayout(t, g, to)
}

// TestNoLayoutIsLost goes from a layout to one of another mesh, to nothing, and back.
func TestNoLayoutIsLost(t *testing.T) {
	g, other := chain(), randomGraph(rand.New(rand.NewPCG(1, 1)), 3, 20, 40)
	fresh := other.Layout(nil)
	if l := other.Layout(g.Layout(nil)); !reflect.DeepEqual(l.Nodes, fresh.Nodes) {
		t.Error("a layout of another mesh leaves its traces")
	}
	empty := &Graph{}
	if l := empty.Layout(fresh); len(l.Nodes) != 0 || len(l.Boxes) != 0 {
		t.Errorf("nothing is drawn as %v", l)
	}
	if l := other.Layout(empty.Layout(nil)); !reflect.DeepEqual(l.Nodes, fresh.Nodes) {
		t.Error("a layout of nothing leaves its traces")
	}
}

// TestTallColumnsAreBroken draws a namespace with very many services.
func TestTallColumnsAreBroken(t *testing.T) {
	g := randomGraph(rand.New(rand.NewPCG(3, 3)), 1, 200, 300)
	l := g.Layout(nil)
	checkLayout(t, g, l)
	if l.Height > (maxRows+6)*rowUnit*2 {
		t.Errorf("%g x %g", l.Width, l.Height)
	}
}

// TestExpandedNamespaceStandsWhereItStood opens a namespace of a collapsed graph: the others give way, no more.
func TestExpandedNamespaceStandsWhereItStood(t *testing.T) {
	g := randomGraph(rand.New(rand.NewPCG(5, 5)), 12, 120, 500)
	all := g.Collapse()
	l := all.Layout(nil)
	checkLayout(t, all, l)
	one := g.Collapse("ns3")
	to := one.Layout(l)
	checkLayout(t, one, to)
	kept := 0
	for id, p := range l.Nodes {
		if to.Nodes[id] == p {
			kept++
		}
	}
	if kept < len(l.Nodes)/3 {
		t.Errorf("%d of %d nodes keep their place when one namespace opens", kept, len(l.Nodes))
	}
	back := all.Layout(to)
	checkLayout(t, all, back)
	for id, p := range to.Nodes {
		if q, ok := back.Nodes[id]; ok && p != q {
			t.Errorf("%s moves from %v to %v when it closes again", id, p, q)
		}
	}
}

func large() *Graph { return randomGraph(rand.New(rand.NewPCG(7, 7)), 25, 400, 5000) }

func BenchmarkLayout(b *testing.B) {
	g := large()
	b.Logf("%d nodes, %d edges", len(g.Nodes), len(g.Edges))
	for b.Loop() {
		g.Layout(nil)
	}
}

func BenchmarkLayoutAgain(b *testing.B) {
	r := rand.New(rand.NewPCG(8, 8))
	g := large()
	l := g.Layout(nil)
	next := change(r, g)
	for b.Loop() {
		next.Layout(l)
	}
}

func BenchmarkCollapse(b *testing.B) {
	g := large()
	for b.Loop() {
		g.Collapse("ns3")
	}
}
