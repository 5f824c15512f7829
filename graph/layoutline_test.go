package graph

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
)

// crosses says whether a flat line meets a node's box: it cuts what of each piece is within the box's columns.
func crosses(flat []Point, at Point) bool {
	for i := range flat[1:] {
		a, b := flat[i], flat[i+1]
		if a.X > b.X {
			a, b = b, a
		}
		left, right := max(a.X, at.X-NodeWidth/2), min(b.X, at.X+NodeWidth/2)
		if left > right || a.X < b.X && left == right {
			continue
		}
		y1, y2 := a.Y, b.Y
		if a.X < b.X {
			slope := (b.Y - a.Y) / (b.X - a.X)
			y1, y2 = a.Y+slope*(left-a.X), a.Y+slope*(right-a.X)
		} else if a.X == at.X-NodeWidth/2 || a.X == at.X+NodeWidth/2 {
			continue
		}
		if max(y1, y2) > at.Y-NodeHeight/2 && min(y1, y2) < at.Y+NodeHeight/2 {
			return true
		}
	}
	return false
}

// checkLines wants a line for every edge that is drawn, from one of its ends to the other, inside of the drawing, and across no
// other node.
func checkLines(t *testing.T, g *Graph, l *Layout) {
	t.Helper()
	for i := range g.Edges {
		e := &g.Edges[i]
		from, ok := l.Nodes[e.From]
		to, ok2 := l.Nodes[e.To]
		line := l.Lines[e.ID()]
		if !ok || !ok2 || e.From == e.To {
			if line != nil {
				t.Errorf("%s has a line and no ends", e.ID())
			}
			continue
		}
		checkLine(t, l, e.ID(), line, [2]string{e.From, e.To}, from, to)
	}
	for i := range g.Nodes {
		n := &g.Nodes[i]
		for _, to := range n.Endpoints {
			if line := l.Lines[LinkID(n.ID, to)]; line != nil {
				checkLine(t, l, LinkID(n.ID, to), line, [2]string{n.ID, to}, l.Nodes[n.ID], l.Nodes[to])
			}
		}
	}
}

func checkLine(t *testing.T, l *Layout, id string, line Line, ends [2]string, from, to Point) {
	t.Helper()
	if len(line) < 3 {
		t.Errorf("%s has no line: %v", id, line)
		return
	}
	a, b := line[0], line[len(line)-1]
	if math.Abs(a.X-from.X) != NodeWidth/2 || a.Y != from.Y || math.Abs(b.X-to.X) != NodeWidth/2 || b.Y != to.Y {
		t.Errorf("%s runs from %v to %v, its ends are at %v and %v", id, a, b, from, to)
	}
	for _, p := range line {
		if math.IsNaN(p.X+p.Y) || p.X < 0 || p.Y < 0 || p.X > l.Width || p.Y > l.Height {
			t.Errorf("%s leaves the drawing at %v", id, p)
		}
	}
	flat := line.flat()
	for other, at := range l.Nodes {
		if other != ends[0] && other != ends[1] && crosses(flat, at) {
			t.Errorf("%s, from %v to %v, crosses %s at %v: %v", id, from, to, other, at, line)
		}
	}
}

// TestLinesCrossNoNode lays random graphs out, changes them, and collapses them.
func TestLinesCrossNoNode(t *testing.T) {
	bent, long := 0, 0
	for seed := range uint64(150) {
		r := rand.New(rand.NewPCG(seed, 5))
		g := randomGraph(r, 1+r.IntN(7), 2+r.IntN(60), r.IntN(250))
		l := g.Layout(nil)
		checkLines(t, g, l)
		if again := g.Layout(l); !reflect.DeepEqual(l.Lines, again.Lines) {
			t.Error("the lines of what has not changed move")
		}
		for range 3 {
			g = change(r, g)
			l = g.Layout(l)
			checkLines(t, g, l)
		}
		for _, line := range l.Lines {
			if long++; len(line) > 6 {
				bent++
			}
		}
		if small := g.Collapse("ns1"); len(small.Nodes) < len(g.Nodes) {
			checkLines(t, small, small.Layout(l))
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	if bent*20 < long {
		t.Errorf("%d of %d lines run around something: too few to prove anything", bent, long)
	}
	t.Logf("%d of %d lines run around something", bent, long)
}

// TestLinesGoAround has a row of three, and an edge from the first to the last.
func TestLinesGoAround(t *testing.T) {
	g := &Graph{}
	for i := range 3 {
		g.Nodes = append(g.Nodes, Node{ID: fmt.Sprintf("workload/a/w%d", i), Kind: NodeWorkload, Namespace: "a", Name: fmt.Sprintf("w%d", i)})
	}
	g.Nodes = append(g.Nodes, Node{ID: "namespace/a", Kind: NodeNamespace, Namespace: "a", Name: "a"})
	g.Edges = []Edge{{From: "workload/a/w0", To: "workload/a/w1", Port: 1}, {From: "workload/a/w1", To: "workload/a/w2", Port: 1},
		{From: "workload/a/w0", To: "workload/a/w2", Port: 1}, {From: "workload/a/w2", To: "workload/a/w0", Port: 1}}
	g.sort()
	l := g.Layout(nil)
	checkLines(t, g, l)
	there, back := l.Lines[g.Edges[0].ID()], l.Lines[EdgeID("workload/a/w2", "workload/a/w0", 1, "")]
	if there == nil || back == nil || reflect.DeepEqual(there, back) {
		t.Fatalf("there %v, back %v", there, back)
	}
	slices.Reverse(back)
	if a, b := along(there.flat(), 0.5), along(back.flat(), 0.5); math.Abs(a.Y-b.Y) < laneGap && math.Abs(a.X-b.X) < laneGap {
		t.Errorf("there and back run over one another at %v", a)
	}
}

// TestParallelLines are edges to several ports of one service, and one back.
func TestParallelLines(t *testing.T) {
	g := chain()
	for _, port := range []uint32{81, 82} {
		g.Edges = append(g.Edges, Edge{From: "workload/a/web", To: "service/api", Port: port})
	}
	g.sort()
	l := g.Layout(nil)
	checkLines(t, g, l)
	var middles []Point
	for _, port := range []uint32{80, 81, 82} {
		at := along(l.Lines[EdgeID("workload/a/web", "service/api", port, "")].flat(), 0.5)
		for _, o := range middles {
			if math.Hypot(at.X-o.X, at.Y-o.Y) < 12 {
				t.Errorf("two edges have their middles at %v and %v", at, o)
			}
		}
		middles = append(middles, at)
	}
}

func TestSimpleLines(t *testing.T) {
	from := Point{100, 100}
	for name, to := range map[string]Point{"right": {500, 300}, "near": {290, 100}, "same column": {100, 300}, "left": {-300, 100}, "below left": {-300, 500}} {
		for _, bend := range []float64{-27, 0, 27} {
			l := simpleLine(from, to, bend)
			a, b := l[0], l[len(l)-1]
			if math.IsNaN(a.X+a.Y+b.X+b.Y) || math.Abs(a.X-from.X) != NodeWidth/2 || math.Abs(b.X-to.X) != NodeWidth/2 {
				t.Errorf("%s: it begins or ends away from its nodes: %v", name, l)
			}
		}
	}
}

// TestManyEdgesHaveNoLines: more than MaxLines are drawn straight.
func TestManyEdgesHaveNoLines(t *testing.T) {
	g := large()
	if l := g.Layout(nil); l.Lines != nil || len(g.Edges) <= MaxLines {
		t.Errorf("%d edges have %d lines", len(g.Edges), len(l.Lines))
	}
	checkSVG(t, drawSVG(t, g, Light))
}

func BenchmarkLines(b *testing.B) {
	g := randomGraph(rand.New(rand.NewPCG(7, 7)), 12, 180, 1180)
	l := g.Layout(nil)
	b.Logf("%d nodes, %d edges", len(g.Nodes), len(g.Edges))
	for b.Loop() {
		l.lead(g)
	}
}
