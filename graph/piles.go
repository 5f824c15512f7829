package graph

import "slices"

// maxPile is how many workloads stand beneath their service; more than these stand beside it.
const maxPile = 12

// pile is what stands in one column, close together: a service with the workloads behind it, or a single node. Piles are
// what is arranged.
type pile struct {
	spots   []*spot // from the top
	group   *group  // that it stands for, where groups are arranged
	in, out []*pile
	rank    int
	col     int
	row     int // of its top
	tall    int // rows that it takes, with the gap below
	want    float64
}

// stands says whether the pile has its place.
func (p *pile) stands() bool { return slices.ContainsFunc(p.spots, (*spot).stands) }

func (s *spot) stands() bool { return s.placed }

// high is how many rows a pile takes without a gap.
func (p *pile) high() int { return pitch * len(p.spots) }

func (p *pile) middle() float64 { return float64(p.row) + float64(p.high())/2 }

// put gives the nodes of a pile their cells.
func (p *pile) put() {
	for i, s := range p.spots {
		s.col, s.row, s.placed = p.col, p.row+pitch*i, true
	}
}

// pileUp sets each workload beneath the first service of its group that leads to it. All others stand alone.
func (d *drawing) pileUp(g *Graph) {
	for i := range g.Nodes {
		head := d.of[g.Nodes[i].ID]
		if head == nil || len(g.Nodes[i].Endpoints) == 0 {
			continue
		}
		head.pile = &pile{spots: []*spot{head}}
		for _, id := range g.Nodes[i].Endpoints {
			s := d.of[id]
			if s != nil && s.pile == nil && s.group == head.group && len(head.pile.spots) <= maxPile {
				s.pile = head.pile
				s.pile.spots = append(s.pile.spots, s)
			}
		}
	}
	for _, s := range d.spots {
		if s.pile == nil {
			s.pile = &pile{spots: []*spot{s}}
		}
		if s.pile.spots[0] == s {
			s.group.piles = append(s.group.piles, s.pile)
		}
	}
}

// link connects the piles of each group as their nodes are.
func (d *drawing) link() {
	seen := map[[2]*pile]bool{}
	for _, s := range d.spots {
		for _, to := range s.out {
			if s.group == to.group {
				join(s.pile, to.pile, seen)
			}
		}
	}
}

func join(a, b *pile, seen map[[2]*pile]bool) {
	if a == b || seen[[2]*pile{a, b}] {
		return
	}
	seen[[2]*pile{a, b}] = true
	a.out, b.in = append(a.out, b), append(b.in, a)
}

// fitIn finds places for the nodes of a group that had none: beneath their service, else beside their neighbours, right of
// their callers where there is room. The group grows to the right and down alone.
func (g *group) fitIn() {
	var fresh []*pile
	for _, p := range g.piles {
		if p.stands() {
			g.complete(p)
		} else {
			fresh = append(fresh, p)
		}
	}
	taken := map[[2]int]bool{}
	for _, s := range g.spots {
		if s.placed {
			mark(taken, s)
		}
	}
	for len(fresh) > 0 {
		// First those that have a neighbour, so that chains of new nodes grow from what is there.
		i := max(0, slices.IndexFunc(fresh, (*pile).near))
		p := fresh[i]
		fresh = slices.Delete(fresh, i, i+1)
		g.bestCell(p, taken)
		p.put()
		for _, s := range p.spots {
			mark(taken, s)
		}
	}
}

// mark takes the rows in which no other pile may begin or end.
func mark(taken map[[2]int]bool, s *spot) {
	for r := 1 - pitch - minGap; r < pitch+minGap; r++ {
		taken[[2]int{s.col, s.row + r}] = true
	}
}

// complete puts the new nodes of a pile beneath those that are there, and a new service on top. What stands in their way
// gives way downwards.
func (g *group) complete(p *pile) {
	first := p.spots[slices.IndexFunc(p.spots, (*spot).stands)]
	if head := p.spots[0]; !head.placed {
		head.col, head.row = first.col, first.row-pitch
		if head.row < g.row0 || g.nextBelow(head.col, head.row-pitch-minGap+1) != first.row {
			head.row = first.row
			g.push(head.col, head.row, pitch)
		}
		head.placed, first = true, head
	}
	for _, s := range p.spots {
		if s.placed {
			continue
		}
		last := first.row
		for slices.ContainsFunc(p.spots, func(o *spot) bool { return o.placed && o.col == first.col && o.row == last+pitch }) {
			last += pitch
		}
		row := last + pitch
		if next := g.nextBelow(first.col, last+1); next < row+pitch+minGap {
			g.push(first.col, next, row+pitch+minGap-next)
		}
		s.col, s.row, s.placed = first.col, row, true
	}
	p.col, p.row = first.col, first.row
}

// nextBelow is the first row of a column, from one on, in which something stands.
func (g *group) nextBelow(col, row int) int {
	next := 1 << 30
	for _, s := range g.spots {
		if s.placed && s.col == col && s.row >= row {
			next = min(next, s.row)
		}
	}
	return next
}

// push moves what stands in a column down, from a row on.
func (g *group) push(col, row, by int) {
	for _, s := range g.spots {
		if s.placed && s.col == col && s.row >= row {
			s.row += by
		}
	}
}

// near says whether a neighbour has its place.
func (p *pile) near() bool {
	return slices.ContainsFunc(p.in, (*pile).stands) || slices.ContainsFunc(p.out, (*pile).stands)
}

// bestCell finds room for a pile.
func (g *group) bestCell(p *pile, taken map[[2]int]bool) {
	after, before, sum, n := g.col0, 1<<30, 0, 0
	see := func(list []*pile, column func(*spot)) {
		for _, o := range list {
			if s := o.spots[0]; s.placed {
				column(s)
				sum, n = sum+s.row, n+1
			}
		}
	}
	see(p.in, func(s *spot) { after = max(after, s.col+1) })
	see(p.out, func(s *spot) { before = min(before, s.col-1) })
	if p.col = after; after == g.col0 && before < 1<<30 {
		p.col = max(after, before)
	}
	want := g.row0
	if n > 0 {
		want = sum / n
	}
	free := func(row int) bool {
		for i := range p.spots {
			if row < g.row0 || taken[[2]int{p.col, row + pitch*i}] {
				return false
			}
		}
		return true
	}
	for off := 0; ; off++ {
		for _, p.row = range [2]int{want + off, want - off} {
			if free(p.row) {
				return
			}
		}
	}
}
