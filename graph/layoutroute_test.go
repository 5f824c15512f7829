package graph

import (
	"fmt"
	"math"
	"testing"
)

// placed is a layout of nodes at these middles, called n0, n1 and so on, in no namespace.
func placed(at ...Point) *Layout {
	l := &Layout{Nodes: map[string]Point{}}
	for i, p := range at {
		l.Nodes[fmt.Sprintf("n%d", i)] = p
	}
	return l
}

// led gives the lines between nodes of a layout, by pairs of their numbers.
func led(l *Layout, pairs ...[2]int) []Line {
	g := &Graph{}
	for i, p := range pairs {
		g.Edges = append(g.Edges, Edge{From: fmt.Sprintf("n%d", p[0]), To: fmt.Sprintf("n%d", p[1]), Port: uint32(i)})
	}
	lines := l.lead(g)
	var out []Line
	for i := range g.Edges {
		out = append(out, lines[g.Edges[i].ID()])
	}
	return out
}

// levels are the heights at which a line runs level for a while, from its beginning.
func levels(l Line) []float64 {
	var out []float64
	for i := range l[1:] {
		if l[i].Y == l[i+1].Y && (len(out) == 0 || out[len(out)-1] != l[i].Y) {
			out = append(out, l[i].Y)
		}
	}
	return out
}

func TestPiecesMeetHalfWay(t *testing.T) {
	l := Line{{0, 0}, {40, 0}, {60, 100}, {140, 100}, {200, 20}}
	pieces := l.pieces()
	if len(pieces) != 3 || pieces[0][0] != l[0] || pieces[2][2] != l[4] {
		t.Fatalf("%v", pieces)
	}
	for i := range pieces[1:] {
		if pieces[i][2] != pieces[i+1][0] || pieces[i][2] != middle(l[i+1], l[i+2]) {
			t.Errorf("piece %d ends at %v, the next begins at %v", i, pieces[i][2], pieces[i+1][0])
		}
	}
	if got, want := l.path(), "M0 0Q40 0 50 50Q60 100 100 100Q140 100 200 20"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got, want := (Line{{0, 7}, {5, 7}, {10, 7}}).path(), "M0 7H10"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if short := (Line{{0, 0}, {10, 0}}); len(short.flat()) != 2 || short.pieces() != nil {
		t.Errorf("%v", short.flat())
	}
}

func TestAlong(t *testing.T) {
	flat := []Point{{0, 0}, {0, 0}, {100, 0}, {100, 100}}
	for share, want := range map[float64]Point{0: {0, 0}, 0.25: {50, 0}, 0.5: {100, 0}, 0.75: {100, 50}, 1: {100, 100}} {
		if got := along(flat, share); math.Hypot(got.X-want.X, got.Y-want.Y) > 0.01 {
			t.Errorf("%g of the way is %v, want %v", share, got, want)
		}
	}
}

// TestSpans: there is no way between the nodes of a pile, and one between piles.
func TestSpans(t *testing.T) {
	pile, piles := NodeHeight+8, NodeHeight+32
	for gap, want := range map[float64]int{pile: 2, piles: 3} {
		r := newRouter(placed(Point{200, 200}, Point{200, 200 + gap}))
		if n := r.first[1] - r.first[0]; n != want || len(r.xs) != 3 {
			t.Errorf("nodes %g apart leave %d spans of %v, want %d", gap, n, r.spans, want)
		}
		if r.spanAt(0, 200) >= 0 || r.spanAt(0, 20) < 0 || r.spanAt(1, 200) < 0 {
			t.Error("free is taken, or taken is free")
		}
	}
}

// TestFewTurns: straight where nothing is in the way, one turn to another level, two around a node, and back.
func TestFewTurns(t *testing.T) {
	row := placed(Point{100, 300}, Point{360, 300}, Point{620, 300}, Point{360, 420}, Point{620, 500})
	for _, c := range []struct {
		pair [2]int
		want int
	}{{[2]int{0, 1}, 1}, {[2]int{0, 2}, 3}, {[2]int{2, 0}, 3}, {[2]int{0, 3}, 2}, {[2]int{3, 4}, 2}, {[2]int{0, 4}, 3}} {
		l := led(row, c.pair)[0]
		if got := levels(l); len(got) > c.want || got[0] != row.Nodes[fmt.Sprintf("n%d", c.pair[0])].Y && c.pair[0] < 2 {
			t.Errorf("from %d to %d it runs on the levels %v, want %d: %v", c.pair[0], c.pair[1], got, c.want, l)
		}
		for i := range 5 {
			if i != c.pair[0] && i != c.pair[1] && crosses(l.flat(), row.Nodes[fmt.Sprintf("n%d", i)]) {
				t.Errorf("from %d to %d it crosses %d", c.pair[0], c.pair[1], i)
			}
		}
	}
}

// TestLanes: edges that share a way lie beside each other.
func TestLanes(t *testing.T) {
	l := placed(Point{100, 300}, Point{100, 420}, Point{360, 300}, Point{360, 420}, Point{620, 300}, Point{620, 420})
	seen := map[float64]int{}
	lines := led(l, [2]int{0, 4}, [2]int{1, 5}, [2]int{0, 5}, [2]int{1, 4}, [2]int{4, 0})
	for _, line := range lines {
		for _, y := range levels(line) {
			if y != 300 && y != 420 {
				seen[y]++
			}
		}
	}
	for a, n := range seen {
		for b := range seen {
			if n > 1 || a != b && math.Abs(a-b) < laneGap-0.5 {
				t.Errorf("%d lines at %g, and one at %g", n, a, b)
			}
		}
	}
	if len(seen) < len(lines) {
		t.Errorf("%d lines have %d lanes", len(lines), len(seen))
	}
}

// TestRoundIsBeside: within a column a line goes out, past what stands between, and the longer the farther.
func TestRoundIsBeside(t *testing.T) {
	l := placed(Point{100, 100}, Point{100, 200}, Point{100, 300}, Point{100, 900}, Point{400, 200})
	near, far := led(l, [2]int{0, 2})[0], led(l, [2]int{0, 3})[0]
	out := func(l Line) (x float64) {
		for _, p := range l {
			x = max(x, p.X)
		}
		return x
	}
	if out(near) <= 100+NodeWidth/2 || out(far) <= out(near) || out(far) >= 400-NodeWidth/2 {
		t.Errorf("the near one goes out to %g, the far one to %g", out(near), out(far))
	}
	for i, p := range l.Nodes {
		if i != "n0" && i != "n2" && crosses(near.flat(), p) || i != "n0" && i != "n3" && crosses(far.flat(), p) {
			t.Errorf("%s is crossed", i)
		}
	}
}

// TestLinksAreLed: a workload behind two services stands beneath one, and is led to from the other.
func TestLinksAreLed(t *testing.T) {
	g := chain()
	g.Nodes = append(g.Nodes, Node{ID: "service/zapi", Kind: NodeService, Namespace: "a", Name: "zapi", Endpoints: []string{"workload/a/api-v1"}})
	g.sort()
	l := g.Layout(nil)
	checkLines(t, g, l)
	if l.Lines[LinkID("service/zapi", "workload/a/api-v1")] == nil || l.Lines[LinkID("service/api", "workload/a/api-v1")] != nil {
		t.Errorf("lines %v", l.Lines)
	}
}
