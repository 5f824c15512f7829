package graph

import (
	"cmp"
	"math"
	"slices"
)

// sweeps is how often ranks are ordered by the middles of their neighbours, once from each side.
const sweeps = 4

// arrange lays a group out anew: ranks from callers to callees, then rows by the middle of the neighbours.
func (g *group) arrange() {
	g.rankAll()
	columns := g.columns()
	for range sweeps {
		for _, c := range columns {
			order(c, func(s *spot) []*spot { return s.in })
		}
		for _, c := range slices.Backward(columns) {
			order(c, func(s *spot) []*spot { return s.out })
		}
	}
	g.breakColumns(columns)
}

// rankAll gives each node the length of the longest way to it inside the group, where edges that close a circle do not count.
// Workloads get even ranks and services odd ones, whoever calls them.
func (g *group) rankAll() {
	back := g.circles()
	waiting := make(map[*spot]int, len(g.spots))
	for _, s := range g.spots {
		s.rank = 0
		for _, from := range s.in {
			if from.group == g && !back[[2]*spot{from, s}] {
				waiting[s]++
			}
		}
	}
	var ready []*spot
	for _, s := range g.spots {
		if waiting[s] == 0 {
			ready = append(ready, s)
		}
	}
	longest := 0
	for len(ready) > 0 {
		s := ready[0]
		ready = ready[1:]
		if !g.plain && (s.rank%2 == 0) != s.even {
			s.rank++
		}
		longest = max(longest, s.rank)
		for _, to := range s.out {
			if to.group != g || back[[2]*spot{s, to}] {
				continue
			}
			to.rank = max(to.rank, s.rank+1)
			if waiting[to]--; waiting[to] == 0 {
				ready = append(ready, to)
			}
		}
	}
	g.compress(longest)
}

// compress lets ranks share columns where there would be too many.
func (g *group) compress(longest int) {
	if g.plain || longest <= 2*maxPairs {
		return
	}
	for _, s := range g.spots {
		s.rank = s.rank * 2 * maxPairs / longest
		if (s.rank%2 == 0) != s.even {
			s.rank++
		}
	}
}

// circles finds the edges that close a circle, in depth first from those that nobody in the group calls.
func (g *group) circles() map[[2]*spot]bool {
	const (
		fresh = iota
		open
		closed
	)
	state, back := make(map[*spot]int, len(g.spots)), map[[2]*spot]bool{}
	type frame struct {
		s    *spot
		next int
	}
	visit := func(root *spot) {
		stack := []frame{{s: root}}
		state[root] = open
		for len(stack) > 0 {
			f := &stack[len(stack)-1]
			if f.next == len(f.s.out) {
				state[f.s] = closed
				stack = stack[:len(stack)-1]
				continue
			}
			to := f.s.out[f.next]
			f.next++
			switch {
			case to.group != g:
			case state[to] == open:
				back[[2]*spot{f.s, to}] = true
			case state[to] == fresh:
				state[to] = open
				stack = append(stack, frame{s: to})
			}
		}
	}
	for _, roots := range []bool{true, false} {
		for _, s := range g.spots {
			if state[s] == fresh && (!roots || count(s.in, g) == 0) {
				visit(s)
			}
		}
	}
	return back
}

// columns sorts the nodes by rank; within one they begin in the order of the graph.
func (g *group) columns() [][]*spot {
	var out [][]*spot
	for _, s := range g.spots {
		for len(out) <= s.rank {
			out = append(out, nil)
		}
		out[s.rank] = append(out[s.rank], s)
	}
	for _, c := range out {
		for i, s := range c {
			s.half = 2 * i
		}
	}
	return out
}

// order sorts a column by the middle of the neighbours on one side. A node without any stays about where it is.
func order(column []*spot, neighbours func(*spot) []*spot) {
	for _, s := range column {
		s.want = float64(s.half)
		if m, ok := s.middleOf(neighbours(s)); ok {
			s.want = m
		}
	}
	slices.SortStableFunc(column, func(a, b *spot) int { return cmp.Compare(a.want, b.want) })
	spread(column)
}

func (s *spot) middleOf(list []*spot) (float64, bool) {
	sum, n := 0.0, 0
	for _, o := range list {
		if o.group == s.group && o.rank != s.rank {
			sum, n = sum+float64(o.half), n+1
		}
	}
	return sum / float64(max(n, 1)), n > 0
}

// spread gives the nodes of a column half rows as near as can be to what they want, two apart at least and in their order:
// the least squares, by joining neighbours that are in each other's way.
func spread(column []*spot) {
	type block struct {
		sum float64
		n   int
	}
	var blocks []block
	for i, s := range column {
		blocks = append(blocks, block{s.want - float64(2*i), 1})
		for k := len(blocks) - 1; k > 0 && blocks[k-1].sum/float64(blocks[k-1].n) >= blocks[k].sum/float64(blocks[k].n); k-- {
			blocks[k-1].sum += blocks[k].sum
			blocks[k-1].n += blocks[k].n
			blocks = blocks[:k]
		}
	}
	i := 0
	for _, b := range blocks {
		at := int(math.Floor(b.sum/float64(b.n) + 0.5))
		for range b.n {
			column[i].half = at + 2*i
			i++
		}
	}
}

// breakColumns turns ranks into columns. Services and the workloads behind them are a pair of columns; one that is too tall
// is broken into several pairs.
func (g *group) breakColumns(columns [][]*spot) {
	shift := 0
	broken := slices.ContainsFunc(columns, func(c []*spot) bool { return len(c) > maxRows })
	for services := -1; services < len(columns); services += 2 {
		chunks := 1
		for r := max(services, 0); r <= services+1 && r < len(columns); r++ {
			for i, s := range columns[r] {
				s.col, s.placed = r+shift, true
				if broken {
					s.col, s.half = s.col+2*(i/maxRows), 2*(i%maxRows)
				}
			}
			chunks = max(chunks, (len(columns[r])+maxRows-1)/maxRows)
		}
		shift += 2 * (chunks - 1)
	}
}

// How groups are set beside each other: each rank of callers and callees has a column of its own where there are at most
// maxRanks, and the whole is to be about aspect times as wide as high.
const (
	maxRanks  = 6
	aspect    = 1.8
	minHeight = 640.0
)

// arrangeGroups sets all groups anew: callers left, egress right, the others between by rank.
func (d *drawing) arrangeGroups() {
	columns := d.groupColumns()
	var stacks [][]*group
	if g := d.groups[groupLeft]; g != nil {
		stacks = append(stacks, []*group{g})
	}
	limit := d.height(columns)
	full := 0.0
	for r, column := range columns {
		for i, g := range column {
			if r == 0 && i == 0 || i == 0 && len(columns) <= maxRanks || full+g.rect.h > limit {
				stacks, full = append(stacks, nil), 0
			}
			stacks[len(stacks)-1] = append(stacks[len(stacks)-1], g)
			full += g.rect.h + boxGapY
		}
	}
	if g := d.groups[groupRight]; g != nil {
		stacks = append(stacks, []*group{g})
	}
	d.stack(stacks)
}

// groupColumns sorts groups by rank, and within one by the middle of the neighbours.
func (d *drawing) groupColumns() [][]*group {
	meta, of := &group{plain: true}, map[*group]*spot{}
	back := map[*spot]*group{}
	for _, name := range d.names {
		if name == groupLeft || name == groupRight {
			continue
		}
		s := &spot{id: name, group: meta}
		of[d.groups[name]], back[s] = s, d.groups[name]
		meta.spots = append(meta.spots, s)
	}
	seen := map[[2]*spot]bool{}
	for _, s := range d.spots {
		for _, to := range s.out {
			a, b := of[s.group], of[to.group]
			if a == nil || b == nil || a == b || seen[[2]*spot{a, b}] {
				continue
			}
			seen[[2]*spot{a, b}] = true
			a.out, b.in = append(a.out, b), append(b.in, a)
		}
	}
	meta.rankAll()
	columns := meta.columns()
	for range sweeps {
		for _, c := range columns {
			order(c, func(s *spot) []*spot { return s.in })
		}
		for _, c := range slices.Backward(columns) {
			order(c, func(s *spot) []*spot { return s.out })
		}
	}
	out := make([][]*group, len(columns))
	for i, c := range columns {
		for _, s := range c {
			out[i] = append(out[i], back[s])
		}
	}
	return out
}

// height is how high a stack of groups may be.
func (d *drawing) height(columns [][]*group) float64 {
	area, tallest := 0.0, minHeight
	for _, c := range columns {
		for _, g := range c {
			area += (g.rect.w + boxGapX) * (g.rect.h + boxGapY)
			tallest = max(tallest, g.rect.h)
		}
	}
	return max(tallest, math.Sqrt(area/aspect))
}

// stack sets stacks of groups from left to right, each in the middle of the height.
func (d *drawing) stack(stacks [][]*group) {
	heights, tallest := make([]float64, len(stacks)), 0.0
	for i, s := range stacks {
		for _, g := range s {
			heights[i] += g.rect.h + boxGapY
		}
		heights[i] -= boxGapY
		tallest = max(tallest, heights[i])
	}
	left := margin
	for i, s := range stacks {
		top, wide := margin+math.Floor((tallest-heights[i])/2), 0.0
		for _, g := range s {
			g.first = Point{left, top}
			top += g.rect.h + boxGapY
			wide = max(wide, g.rect.w)
		}
		left += wide + boxGapX
	}
}
