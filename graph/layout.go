package graph

import (
	"cmp"
	"maps"
	"math"
	"slices"
)

// The measures of a drawing, in pixels.
const (
	NodeWidth, NodeHeight = 156.0, 40.0 // of a node's box

	wideGap = 104.0 // between callers and services: room for a lock and its label
	rowUnit = 24.0
	boxPad  = 22.0
	boxHead = 34.0 // for the name of a namespace
	boxGapX = 72.0
	boxGapY = 36.0
	margin  = 24.0
)

// pitch is how many rows a node takes in its pile, and minGap how many at least are free below a pile.
const (
	pitch  = 2
	minGap = 1
)

// maxRows is the height of a column in rows before it is broken, and maxDepth how many columns a namespace has before ranks
// share them.
const (
	maxRows  = 72
	maxDepth = 8
)

// Point is a place in a drawing, in pixels from its top left.
type Point struct{ X, Y float64 }

// Box is the rectangle of a namespace; X and Y are its top left corner.
type Box struct {
	ID                  string
	X, Y, Width, Height float64
}

// Layout is where everything is drawn. It is immutable.
type Layout struct {
	Width, Height float64
	Nodes         map[string]Point // middles, by node ID
	Boxes         []Box            // of namespaces, by ID
	Lines         map[string]Line  // by ID of edges, and by LinkID; nil where there are more than MaxLines

	cells  map[string]cell
	origin map[string]Point // of groups
}

// cell is a node's place in its group.
type cell struct {
	group    string
	col, row int
}

// The groups of what stands in no namespace.
const (
	groupLeft  = "<callers"
	groupRight = ">egress"
)

// groupOf says with whom a node is laid out.
func groupOf(n *Node) string {
	switch {
	case n.Kind == NodeEgress:
		return groupRight
	case n.Kind == NodeOutside || n.Namespace == "":
		return groupLeft
	case n.Kind == NodeNamespace:
		return n.ID // collapsed: a group of its own
	}
	return "namespace/" + n.Namespace
}

// inside says whether a node is drawn in the box of a namespace: workloads, services and ingresses are.
func (n *Node) inside(namespace string) bool {
	return n.Namespace == namespace && n.Kind != NodeNamespace && n.Kind != NodeEgress
}

// apart says whether a node is drawn beside the boxes.
func (n *Node) apart() bool { return n.drawn() && (n.Namespace == "" || !n.inside(n.Namespace)) }

// drawn says whether a node is drawn as one: a namespace is, where it is collapsed.
func (n *Node) drawn() bool { return n.Kind != NodeNamespace || n.Members > 0 }

// x is the left side of a column, counted from the first.
func x(col int) float64 { return float64(col) * (NodeWidth + wideGap) }

// y is the top of a row, counted from the first.
func y(row int) float64 { return float64(row) * rowUnit }

// Layout draws callers left of what they call: ranks are columns, workloads stand beneath their service, and namespaces are
// boxes that do not overlap. What last has stays where it was, unless something has grown into it; what is new goes where
// there is room beside its neighbours. Edges run around all nodes that are not their ends. Where last is nil, or the two have
// little in common, everything is laid out anew. The same graph and the same last give the same layout.
func (g *Graph) Layout(last *Layout) *Layout {
	d := newDrawing(g)
	if !d.stays(last) {
		last = &Layout{}
	}
	for _, name := range d.names {
		grp := d.groups[name]
		if grp.seed(last) == 0 {
			grp.arrange()
		} else {
			grp.fitIn()
		}
	}
	d.place(last)
	out := d.layout()
	if len(g.Edges) <= MaxLines {
		out.Lines = out.lead(g)
		out.Width, out.Height = out.stretch(out.Lines)
	}
	return out
}

// drawing is a layout in the making.
type drawing struct {
	groups map[string]*group
	names  []string // of groups, in order
	of     map[string]*spot
	spots  []*spot // in the order of the graph's nodes
}

// spot is a node on its way to a cell.
type spot struct {
	id     string
	group  *group
	pile   *pile
	in     []*spot // left neighbours, of all groups
	out    []*spot
	placed bool
	cell
}

// group is what is laid out together: the nodes of a namespace.
type group struct {
	name  string
	box   bool
	spots []*spot
	piles []*pile
	first Point // its top left corner
	rect  size

	col0, row0 int // the first column and row in use, where first is
	seeded     bool
}

type size struct{ w, h float64 }

func newDrawing(g *Graph) *drawing {
	d := &drawing{groups: map[string]*group{}, of: map[string]*spot{}}
	for i := range g.Nodes {
		n := &g.Nodes[i]
		if !n.drawn() {
			continue
		}
		name := groupOf(n)
		grp := d.groups[name]
		if grp == nil {
			grp = &group{name: name, box: name != groupLeft && name != groupRight && n.Kind != NodeNamespace}
			d.groups[name] = grp
		}
		s := &spot{id: n.ID, group: grp}
		d.of[n.ID], grp.spots, d.spots = s, append(grp.spots, s), append(d.spots, s)
	}
	d.names = slices.Sorted(maps.Keys(d.groups))
	seen := map[[2]string]bool{}
	link := func(from, to string) {
		a, b := d.of[from], d.of[to]
		if a == nil || b == nil || a == b || seen[[2]string{from, to}] {
			return
		}
		seen[[2]string{from, to}] = true
		a.out, b.in = append(a.out, b), append(b.in, a)
	}
	for i := range g.Nodes {
		for _, to := range g.Nodes[i].Endpoints {
			link(g.Nodes[i].ID, to)
		}
	}
	for i := range g.Edges {
		link(g.Edges[i].From, g.Edges[i].To)
	}
	d.pileUp(g)
	d.link()
	return d
}

// stays says whether enough of the last layout is still there to keep it.
func (d *drawing) stays(last *Layout) bool {
	if last == nil {
		return false
	}
	n := 0
	for _, s := range d.spots {
		if _, ok := last.cells[s.id]; ok {
			n++
		}
	}
	return n > 0 && 2*n >= min(len(d.spots), len(last.cells))
}

// measure gives a group its size.
func (g *group) measure() {
	maxCol, maxRow := math.MinInt, math.MinInt
	if !g.seeded {
		g.col0, g.row0 = math.MaxInt, math.MaxInt
		for _, s := range g.spots {
			g.col0, g.row0 = min(g.col0, s.col), min(g.row0, s.row)
		}
	}
	for _, s := range g.spots {
		maxCol, maxRow = max(maxCol, s.col), max(maxRow, s.row)
	}
	g.rect = size{x(maxCol-g.col0) + NodeWidth, y(maxRow-g.row0) + NodeHeight}
	if g.box {
		g.rect.w += 2 * boxPad
		g.rect.h += boxHead + boxPad
	}
}

// middle is where a spot of the group is drawn.
func (g *group) middle(s *spot) Point {
	p := Point{g.first.X + x(s.col-g.col0) + NodeWidth/2, g.first.Y + y(s.row-g.row0) + NodeHeight/2}
	if g.box {
		p.X += boxPad
		p.Y += boxHead
	}
	return p
}

func (d *drawing) layout() *Layout {
	out := &Layout{Nodes: make(map[string]Point, len(d.spots)), cells: make(map[string]cell, len(d.spots)), origin: map[string]Point{}}
	for _, name := range d.names {
		g := d.groups[name]
		// Where the first column and row are is part of the origin, so that a node that goes does not move the others.
		out.origin[name] = Point{g.first.X - x(g.col0), g.first.Y - y(g.row0)}
		if g.box {
			out.Boxes = append(out.Boxes, Box{name, g.first.X, g.first.Y, g.rect.w, g.rect.h})
		}
		out.Width, out.Height = max(out.Width, g.first.X+g.rect.w+margin), max(out.Height, g.first.Y+g.rect.h+margin)
		for _, s := range g.spots {
			s.cell.group = name
			out.Nodes[s.id], out.cells[s.id] = g.middle(s), s.cell
		}
	}
	return out
}

// seed puts the group's nodes back into their last cells, and gives how many had one.
func (g *group) seed(last *Layout) int {
	n := 0
	g.col0, g.row0 = math.MaxInt, math.MaxInt
	for _, s := range g.spots {
		c, ok := last.cells[s.id]
		if ok = ok && c.group == g.name; ok {
			s.cell, s.placed = c, true
			g.col0, g.row0 = min(g.col0, c.col), min(g.row0, c.row)
			n++
		}
	}
	if n == 0 {
		return 0
	}
	g.seeded = true
	o := last.origin[g.name]
	g.first = Point{o.X + x(g.col0), o.Y + y(g.row0)}
	return n
}

// place gives every group its corner.
func (d *drawing) place(last *Layout) {
	seeded := 0
	for _, name := range d.names {
		d.groups[name].measure()
		if d.groups[name].seeded {
			seeded++
		}
	}
	if seeded == 0 {
		d.arrangeGroups()
		return
	}
	d.fitGroups(last)
}

// fitGroups puts new groups where there is room, and moves down what others have grown into.
func (d *drawing) fitGroups(last *Layout) {
	var fixed, fresh []*group
	for _, name := range d.names {
		g := d.groups[name]
		if at, ok := last.corner(name); ok && !g.seeded {
			g.first, g.seeded = at, true
		}
		if g.seeded {
			fixed = append(fixed, g)
		} else {
			fresh = append(fresh, g)
		}
	}
	slices.SortStableFunc(fixed, func(a, b *group) int {
		return cmp.Or(cmp.Compare(a.first.Y, b.first.Y), cmp.Compare(a.first.X, b.first.X))
	})
	var done []*group
	for _, g := range fixed {
		settle(g, done)
		done = append(done, g)
	}
	for _, g := range fresh {
		g.first = d.room(g, done)
		done = append(done, g)
	}
}

// corner is where something stood that was one node and is a box now, or the other way round.
func (l *Layout) corner(id string) (Point, bool) {
	if at, ok := l.Nodes[id]; ok {
		return Point{at.X - NodeWidth/2, at.Y - NodeHeight/2}, true
	}
	for _, b := range l.Boxes {
		if b.ID == id {
			return Point{b.X, b.Y}, true
		}
	}
	return Point{}, false
}

// settle moves a group down until it overlaps none of the others.
func settle(g *group, others []*group) {
	for moved := true; moved; {
		moved = false
		for _, o := range others {
			if overlap(g, o) {
				g.first.Y = o.first.Y + o.rect.h + boxGapY
				moved = true
			}
		}
	}
}

func overlap(a, b *group) bool {
	const near = boxGapY / 2
	return a.first.X < b.first.X+b.rect.w+near && b.first.X < a.first.X+a.rect.w+near &&
		a.first.Y < b.first.Y+b.rect.h+near && b.first.Y < a.first.Y+a.rect.h+near
}

// room finds the free corner for a new group that is nearest to its neighbours, right of its callers if that can be.
func (d *drawing) room(g *group, done []*group) Point {
	left, right, want := d.between(g, done)
	best, cost := Point{margin, margin}, math.Inf(1)
	for _, o := range done {
		for _, at := range []Point{{o.first.X, o.first.Y + o.rect.h + boxGapY}, {o.first.X + o.rect.w + boxGapX, o.first.Y},
			{o.first.X, margin}, {left, o.first.Y + o.rect.h + boxGapY}, {left, margin}} {
			g.first = at
			if slices.ContainsFunc(done, func(o *group) bool { return overlap(g, o) }) {
				continue
			}
			c := math.Abs(at.Y-want) + math.Abs(at.X-left)/2
			if at.X < left {
				c += 4 * (left - at.X)
			}
			if at.X+g.rect.w > right {
				c += at.X + g.rect.w - right
			}
			if c < cost {
				best, cost = at, c
			}
		}
	}
	if math.IsInf(cost, 1) && len(done) > 0 {
		low := slices.MaxFunc(done, func(a, b *group) int { return cmp.Compare(a.first.Y+a.rect.h, b.first.Y+b.rect.h) })
		best = Point{margin, low.first.Y + low.rect.h + boxGapY}
	}
	return best
}

// between says right of what, left of what and how high a group should stand.
func (d *drawing) between(g *group, done []*group) (left, right, want float64) {
	left, right = margin, math.Inf(1)
	sum, n := 0.0, 0
	for _, o := range done {
		calls, called := 0, 0
		for _, s := range g.spots {
			calls += count(s.out, o)
			called += count(s.in, o)
		}
		if calls+called == 0 {
			continue
		}
		sum, n = sum+o.first.Y, n+1
		if called >= calls {
			left = max(left, o.first.X+o.rect.w+boxGapX)
		} else {
			right = min(right, o.first.X-boxGapX)
		}
	}
	if n > 0 {
		want = sum / float64(n)
	}
	return left, right, want
}

func count(list []*spot, g *group) int {
	n := 0
	for _, s := range list {
		if s.group == g {
			n++
		}
	}
	return n
}
