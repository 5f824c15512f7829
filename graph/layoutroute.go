package graph

import (
	"cmp"
	"math"
	"slices"
)

// MaxLines is how many edges a layout leads around nodes at most. Of more, nobody could follow one; they cost more than all the
// rest of a layout that is made every second.
const MaxLines = 1200

// How near an edge comes to nodes that are not its ends. Between the nodes of a pile there is no way through.
const (
	besideNode = 4.0 // left and right of them, and up to a grain more
	aboveNode  = 7.0
	grain      = 8.0 // borders of slabs are multiples, so that columns that are nearly in line make no slivers
	laneGap    = 6.0 // between edges that run side by side
	farRight   = 240.0
)

// router leads edges around nodes. The drawing is cut into slabs, upright strips at whose borders nodes begin or end; what is
// free of a slab are spans. A line goes from span to span, level where it passes nodes, and from one level to another where
// both are free.
type router struct {
	xs    []float64 // borders of slabs
	spans []span    // of all slabs, from the left, and in each from the top
	first []int     // of each slab: its first span; one more at the end
	lanes [][]lane  // taken, of each slab

	there, back []reach // what is known of each span, from either end
}

type span struct{ top, bottom float64 }

func (s span) has(y float64) bool { return s.top <= y && y <= s.bottom }

func (s span) and(o span) span { return span{max(s.top, o.top), min(s.bottom, o.bottom)} }

func (s span) empty() bool { return s.top > s.bottom }

// clamp is what of the span is nearest to a level.
func (s span) clamp(y float64) float64 { return max(s.top, min(s.bottom, y)) }

// within leaves some room to both sides, where there is as much.
func (s span) within(room float64) span {
	room = min(room, (s.bottom-s.top)/2)
	return span{s.top + room, s.bottom - room}
}

type lane = float64

// reach says how a span is come to: how far up and down that took, at which level one is, and from which span.
type reach struct {
	cost, level float64
	from        int
}

// wish is an edge, or a link from a service to a workload behind it, that wants a line.
type wish struct {
	id       string
	from, to Point
	bend     float64
}

// LinkID names the line from a service to a workload behind it, where that does not stand beneath it.
func LinkID(service, workload string) string { return service + "~" + workload }

// wishes are the lines of a drawing, in the order in which they are led: short ones first, for they have the least choice.
func (l *Layout) wishes(g *Graph) []wish {
	var out []wish
	pair := func(e *Edge) [2]string { return [2]string{min(e.From, e.To), max(e.From, e.To)} }
	all, nth := map[[2]string]int{}, map[[2]string]int{}
	for i := range g.Edges {
		all[pair(&g.Edges[i])]++
	}
	for i := range g.Edges {
		e := &g.Edges[i]
		from, ok := l.Nodes[e.From]
		if to, ok2 := l.Nodes[e.To]; ok && ok2 && e.From != e.To {
			// The two directions lie on different sides, seen from their own client.
			bend := apart(nth[pair(e)], all[pair(e)])
			if nth[pair(e)]++; e.From > e.To {
				bend = -bend
			}
			out = append(out, wish{e.ID(), from, to, bend})
		}
	}
	for i := range g.Nodes {
		n := &g.Nodes[i]
		for k, id := range n.Endpoints {
			from, ok := l.Nodes[n.ID]
			if to, ok2 := l.Nodes[id]; ok && ok2 && !underneath(from, to, k) {
				out = append(out, wish{id: LinkID(n.ID, id), from: from, to: to})
			}
		}
	}
	slices.SortStableFunc(out, func(a, b wish) int {
		return cmp.Compare(math.Abs(a.to.X-a.from.X), math.Abs(b.to.X-b.from.X))
	})
	return out
}

// underneath says whether a service's nth workload stands in its pile.
func underneath(service, workload Point, nth int) bool {
	return service.X == workload.X && service.Y < workload.Y && workload.Y-service.Y <= float64(nth+1)*pitch*rowUnit
}

// apart says how far the nth of some parallel edges is from their middle.
func apart(nth, all int) float64 { return 30 * (float64(nth) - float64(all-1)/2) }

// lead leads the edges of a graph from node to node, and around all others. The same nodes and edges give the same lines.
func (l *Layout) lead(g *Graph) map[string]Line {
	out := map[string]Line{}
	if len(l.Nodes) == 0 {
		return out
	}
	r := newRouter(l)
	for _, w := range l.wishes(g) {
		out[w.id] = r.line(w.from, w.to, w.bend)
	}
	return out
}

// stretch makes room for the lines.
func (l *Layout) stretch(lines map[string]Line) (width, height float64) {
	width, height = l.Width, l.Height
	for _, line := range lines {
		for _, p := range line {
			width, height = max(width, p.X+margin), max(height, p.Y+margin)
		}
	}
	return width, height
}

func leftOf(p Point) float64  { return math.Floor((p.X-NodeWidth/2-besideNode)/grain) * grain }
func rightOf(p Point) float64 { return math.Ceil((p.X+NodeWidth/2+besideNode)/grain) * grain }

func newRouter(l *Layout) *router {
	r := &router{}
	for _, p := range l.Nodes {
		r.xs = append(r.xs, leftOf(p), rightOf(p))
	}
	slices.Sort(r.xs)
	r.xs = slices.Compact(r.xs)
	r.xs = append(r.xs, r.xs[len(r.xs)-1]+farRight)
	taken := make([][]span, len(r.xs)-1)
	for _, p := range l.Nodes {
		for j := r.slab(leftOf(p)); r.xs[j] < rightOf(p); j++ {
			taken[j] = append(taken[j], span{p.Y - NodeHeight/2 - aboveNode, p.Y + NodeHeight/2 + aboveNode})
		}
	}
	for _, t := range taken {
		slices.SortFunc(t, func(a, b span) int { return cmp.Compare(a.top, b.top) })
		r.first = append(r.first, len(r.spans))
		top := grain
		for _, s := range t {
			if s.top > top {
				r.spans = append(r.spans, span{top, s.top})
			}
			top = max(top, s.bottom)
		}
		r.spans = append(r.spans, span{top, math.MaxInt32})
	}
	r.first = append(r.first, len(r.spans))
	r.lanes = make([][]lane, len(taken))
	r.there, r.back = make([]reach, len(r.spans)), make([]reach, len(r.spans))
	return r
}

// slab finds the slab that begins at x, which is one of the borders.
func (r *router) slab(x float64) int {
	i, _ := slices.BinarySearch(r.xs, x)
	return i
}

// line leads an edge between the middles of two nodes.
func (r *router) line(from, to Point, bend float64) Line {
	way := wayOf(from, to)
	switch way {
	case wayForward:
		if l := r.forward(from, to, bend); l != nil {
			return l
		}
	case wayBack:
		if l := r.forward(to, from, bend); l != nil {
			slices.Reverse(l)
			return l
		}
	}
	if l := r.round(from, to, bend); l != nil {
		return l
	}
	return simpleLine(from, to, bend)
}

// forward leads a line from the right side of one node to the left side of another; nil where there is no way.
func (r *router) forward(from, to Point, bend float64) Line {
	begin, until := r.slab(rightOf(from)), r.slab(leftOf(to))-1
	if l := simpleLine(from, to, bend); bend != 0 && math.Abs(to.Y-from.Y) < 200 && r.open(begin, until, from.Y, to.Y, math.Abs(bend)) {
		return l
	}
	r.sweep(r.there, begin, until, from.Y)
	last := r.spanAt(until, to.Y)
	if last < 0 || math.IsInf(r.there[last].cost, 1) {
		return nil
	}
	p := &path{r: r, begin: begin, spans: r.chain(r.there, last, until-begin+1), level: from.Y}
	p.lead(to.Y)
	return p.line(Point{from.X + NodeWidth/2, from.Y}, Point{to.X - NodeWidth/2, to.Y}, bend)
}

// open says whether all slabs are free between two levels, and somewhat above and below.
func (r *router) open(begin, until int, a, b, more float64) bool {
	for j := begin; j <= until; j++ {
		i := r.spanAt(j, a)
		if i < 0 || !r.spans[i].has(min(a, b)-more) || !r.spans[i].has(max(a, b)+more) {
			return false
		}
	}
	return true
}

// round leads a line from the right side of one node to the right side of another: both ends go to the right until they are in
// one span.
func (r *router) round(from, to Point, bend float64) Line {
	a, b := r.slab(rightOf(from)), r.slab(rightOf(to))
	j := max(a, b)
	r.sweep(r.there, a, j, from.Y)
	r.sweep(r.back, b, j, to.Y)
	meet, at, best := -1, 0, math.Inf(1)
	for x := r.xs[j]; ; j++ {
		for i := r.first[j]; i < r.first[j+1]; i++ {
			p, q := &r.there[i], &r.back[i]
			if c := p.cost + q.cost + math.Abs(p.level-q.level) + 2*(r.xs[j]-x); c < best && r.xs[j+1]-r.xs[j] > 4*grain {
				meet, at, best = i, j, c
			}
		}
		if j+2 == len(r.xs) || r.xs[j]-x > best {
			break
		}
		r.step(r.there, j+1)
		r.step(r.back, j+1)
	}
	if meet < 0 {
		return nil
	}
	there := &path{r: r, begin: a, spans: r.chain(r.there, meet, at-a+1), level: from.Y}
	back := &path{r: r, begin: b, spans: r.chain(r.back, meet, at-b+1), level: to.Y}
	there.lead(math.NaN())
	back.lead(math.NaN())
	left := r.xs[at]
	out := left + min(bow(from, to)+math.Abs(bend)-besideNode, 0.85*(r.xs[at+1]-left))
	l := append(there.points(Line{{from.X + NodeWidth/2, from.Y}}, math.NaN()), Point{left, there.level}, Point{out, there.level})
	other := append(back.points(Line{{to.X + NodeWidth/2, to.Y}}, math.NaN()), Point{left, back.level}, Point{out, back.level})
	slices.Reverse(other)
	return append(l, other...)
}

// spanAt finds the span of a slab that has a level, -1 where a node stands there.
func (r *router) spanAt(slab int, level float64) int {
	for i := r.first[slab]; i < r.first[slab+1]; i++ {
		if r.spans[i].has(level) {
			return i
		}
	}
	return -1
}

// sweep finds how each span from one slab to another is come to.
func (r *router) sweep(known []reach, begin, until int, level float64) {
	for i := r.first[begin]; i < r.first[begin+1]; i++ {
		known[i].cost = math.Inf(1)
	}
	if i := r.spanAt(begin, level); i >= 0 {
		known[i] = reach{0, level, -1}
	}
	for j := begin + 1; j <= until; j++ {
		r.step(known, j)
	}
}

// turnCost is what it costs to leave a level, in pixels of way.
const turnCost = 24

// step goes on to the spans of a slab, from those left of it that they touch.
func (r *router) step(known []reach, slab int) {
	k := r.first[slab-1]
	for m := r.first[slab]; m < r.first[slab+1]; m++ {
		known[m].cost = math.Inf(1)
		for k < r.first[slab]-1 && r.spans[k].bottom < r.spans[m].top {
			k++
		}
		for n := k; n < r.first[slab] && r.spans[n].top <= r.spans[m].bottom; n++ {
			both := r.spans[n].and(r.spans[m])
			if both.empty() || math.IsInf(known[n].cost, 1) {
				continue
			}
			level := both.clamp(known[n].level)
			cost := known[n].cost + math.Abs(level-known[n].level)
			if level != known[n].level {
				cost += turnCost
			}
			if cost < known[m].cost {
				known[m] = reach{cost, level, n}
			}
		}
	}
}

// chain are the spans that lead to one, from the left.
func (r *router) chain(known []reach, last, length int) []span {
	out := make([]span, length)
	for i := length - 1; i >= 0; i-- {
		out[i] = r.spans[last]
		last = known[last].from
	}
	return out
}
