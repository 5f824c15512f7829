package graph

import (
	"cmp"
	"math"
	"slices"
)

// sweeps is how often ranks are ordered by the middles of their neighbours, once from each side.
const sweeps = 4

// arrange lays a group out anew: ranks from callers to callees, then rows by the middle of the neighbours. Where it is wide
// and low, its rows move apart.
func (g *group) arrange() {
	compress(g.piles, rankAll(g.piles))
	for gap := minGap; gap <= maxGap; gap++ {
		columns := columnsOf(g.piles, gap)
		sweep(columns)
		g.breakColumns(columns)
		for _, p := range g.piles {
			p.put()
		}
		if g.measure(); g.rect.w <= aspect*g.rect.h {
			return
		}
	}
}

func sweep(columns [][]*pile) {
	for range sweeps {
		for _, c := range columns {
			order(c, func(p *pile) []*pile { return p.in })
		}
		for _, c := range slices.Backward(columns) {
			order(c, func(p *pile) []*pile { return p.out })
		}
	}
}

// rankAll gives each pile the length of the longest way to it, where edges that close a circle do not count. It gives the
// longest of all.
func rankAll(piles []*pile) int {
	back := circles(piles)
	waiting := make(map[*pile]int, len(piles))
	var ready []*pile
	for _, p := range piles {
		p.rank = 0
		for _, from := range p.in {
			if !back[[2]*pile{from, p}] {
				waiting[p]++
			}
		}
		if waiting[p] == 0 {
			ready = append(ready, p)
		}
	}
	longest := 0
	for len(ready) > 0 {
		p := ready[0]
		ready = ready[1:]
		longest = max(longest, p.rank)
		for _, to := range p.out {
			if back[[2]*pile{p, to}] {
				continue
			}
			to.rank = max(to.rank, p.rank+1)
			if waiting[to]--; waiting[to] == 0 {
				ready = append(ready, to)
			}
		}
	}
	return longest
}

// compress lets ranks share columns where there would be too many.
func compress(piles []*pile, longest int) {
	if longest < maxDepth {
		return
	}
	for _, p := range piles {
		p.rank = p.rank * maxDepth / (longest + 1)
	}
}

// circles finds the edges that close a circle, in depth first from those that nobody calls.
func circles(piles []*pile) map[[2]*pile]bool {
	const (
		fresh = iota
		open
		closed
	)
	state, back := make(map[*pile]int, len(piles)), map[[2]*pile]bool{}
	type frame struct {
		p    *pile
		next int
	}
	visit := func(root *pile) {
		stack := []frame{{p: root}}
		state[root] = open
		for len(stack) > 0 {
			f := &stack[len(stack)-1]
			if f.next == len(f.p.out) {
				state[f.p] = closed
				stack = stack[:len(stack)-1]
				continue
			}
			to := f.p.out[f.next]
			f.next++
			switch state[to] {
			case open:
				back[[2]*pile{f.p, to}] = true
			case fresh:
				state[to] = open
				stack = append(stack, frame{p: to})
			}
		}
	}
	for _, roots := range []bool{true, false} {
		for _, p := range piles {
			if state[p] == fresh && (!roots || len(p.in) == 0) {
				visit(p)
			}
		}
	}
	return back
}

// columnsOf sorts piles by rank; within one they begin in their order.
func columnsOf(piles []*pile, gap int) [][]*pile {
	var out [][]*pile
	for _, p := range piles {
		for len(out) <= p.rank {
			out = append(out, nil)
		}
		out[p.rank] = append(out[p.rank], p)
		p.tall = p.high() + gap
	}
	for _, c := range out {
		row := 0
		for _, p := range c {
			p.row = row
			row += p.tall
		}
	}
	return out
}

// order sorts a column by the middle of the neighbours on one side. A pile without any stays about where it is.
func order(column []*pile, neighbours func(*pile) []*pile) {
	for _, p := range column {
		p.want = p.middle()
		sum, n := 0.0, 0
		for _, o := range neighbours(p) {
			if o.rank != p.rank {
				sum, n = sum+o.middle(), n+1
			}
		}
		if n > 0 {
			p.want = sum / float64(n)
		}
	}
	slices.SortStableFunc(column, func(a, b *pile) int { return cmp.Compare(a.want, b.want) })
	spread(column)
}

// spread gives the piles of a column rows as near as can be to what they want, each below the one before: the least squares,
// by joining neighbours that are in each other's way.
func spread(column []*pile) {
	type block struct {
		sum float64
		n   int
	}
	var blocks []block
	above := 0
	for _, p := range column {
		blocks = append(blocks, block{p.want - float64(p.high())/2 - float64(above), 1})
		above += p.tall
		for k := len(blocks) - 1; k > 0 && blocks[k-1].sum/float64(blocks[k-1].n) >= blocks[k].sum/float64(blocks[k].n); k-- {
			blocks[k-1].sum += blocks[k].sum
			blocks[k-1].n += blocks[k].n
			blocks = blocks[:k]
		}
	}
	i := 0
	above = 0
	for _, b := range blocks {
		at := int(math.Floor(b.sum/float64(b.n) + 0.5))
		for range b.n {
			column[i].row = at + above
			above += column[i].tall
			i++
		}
	}
}

// breakColumns turns ranks into columns. Where one is too tall, those that are taller than what gives the best shape are
// broken into several, each in the middle of the height.
func (g *group) breakColumns(columns [][]*pile) {
	tallest := 0
	for _, c := range columns {
		tallest = max(tallest, rows(c))
	}
	if tallest <= goodRows {
		for i, c := range columns {
			for _, p := range c {
				p.col = i
			}
		}
		return
	}
	limit, best := 0, math.Inf(1)
	for l := goodRows; l <= min(tallest, maxRows); l += 3 {
		wide, high := 0, 0
		for _, c := range columns {
			for _, part := range chunks(c, l) {
				wide, high = wide+1, max(high, rows(part))
			}
		}
		if off := misfit(x(wide), y(high)); off < best {
			limit, best = l, off
		}
	}
	var all [][]*pile
	high := 0
	for _, c := range columns {
		all = append(all, chunks(c, limit)...)
	}
	for _, c := range all {
		high = max(high, rows(c))
	}
	for i, c := range all {
		row := (high - rows(c)) / 2
		for _, p := range c {
			p.col, p.row = i, row
			row += p.tall
		}
	}
}

func rows(column []*pile) int {
	n := 0
	for _, p := range column {
		n += p.tall
	}
	return n
}

// chunks breaks a column into as few as fit the limit, of about one height.
func chunks(column []*pile, limit int) [][]*pile {
	total := rows(column)
	parts := (total + limit - 1) / max(limit, 1)
	var out [][]*pile
	full := 0
	for i, p := range column {
		if i == 0 || full+p.tall/2 > total*len(out)/parts {
			out = append(out, nil)
		}
		out[len(out)-1] = append(out[len(out)-1], p)
		full += p.tall
	}
	return out
}

// misfit says how far a size is from the aspect that is aimed at: 0 is as it should be.
func misfit(w, h float64) float64 { return math.Abs(math.Log(w / h / aspect)) }

// The shape of a drawing: about aspect times as wide as high. A column of goodRows fits a screen and is not broken; rows are
// moved maxGap apart where there is room. Each rank of groups has a column of its own where there are at most maxRanks, unless
// the whole is too flat and gains much if they share columns.
const (
	aspect    = 16.0 / 9
	goodRows  = 30
	maxGap    = 3
	maxRanks  = 6
	minHeight = 480.0
	tooFlat   = 0.8 // in the terms of misfit: 4:1
	gain      = 0.4
)

// arrangeGroups sets all groups anew: callers left, egress right, the others between by rank.
func (d *drawing) arrangeGroups() {
	columns := d.groupColumns()
	stacks, off := d.bestStacks(columns, len(columns) > maxRanks)
	if off > tooFlat {
		if folded, off2 := d.bestStacks(columns, true); off2 < off-gain {
			stacks = folded
		}
	}
	d.stack(stacks)
}

// bestStacks are the groups by column, in the height that gives the best shape, and how far that is off. Ranks share columns
// if they may.
func (d *drawing) bestStacks(columns [][]*group, share bool) (best [][]*group, off float64) {
	total, lowest := 0.0, minHeight
	for _, c := range columns {
		for _, g := range c {
			total, lowest = total+g.rect.h+boxGapY, max(lowest, g.rect.h)
		}
	}
	off = math.Inf(1)
	for limit := lowest; ; limit *= 1.2 {
		s := d.stacks(columns, limit, share)
		if o := misfit(d.stack(s)); best == nil || o < off {
			best, off = s, o
		}
		if limit > total {
			return best, off
		}
	}
}

// stacks are the groups by column, none higher than the limit.
func (d *drawing) stacks(columns [][]*group, limit float64, share bool) [][]*group {
	var out [][]*group
	if g := d.groups[groupLeft]; g != nil {
		out = append(out, []*group{g})
	}
	full := 0.0
	for r, column := range columns {
		for i, g := range column {
			if i == 0 && (r == 0 || !share) || full+g.rect.h > limit {
				out, full = append(out, nil), 0
			}
			out[len(out)-1] = append(out[len(out)-1], g)
			full += g.rect.h + boxGapY
		}
	}
	if g := d.groups[groupRight]; g != nil {
		out = append(out, []*group{g})
	}
	return out
}

// groupColumns sorts groups by rank, and within one by the middle of the neighbours.
func (d *drawing) groupColumns() [][]*group {
	var piles []*pile
	of := map[*group]*pile{}
	for _, name := range d.names {
		if name != groupLeft && name != groupRight {
			p := &pile{group: d.groups[name]}
			of[p.group], piles = p, append(piles, p)
		}
	}
	seen := map[[2]*pile]bool{}
	for _, s := range d.spots {
		for _, to := range s.out {
			if a, b := of[s.group], of[to.group]; a != nil && b != nil {
				join(a, b, seen)
			}
		}
	}
	rankAll(piles)
	columns := columnsOf(piles, 1)
	sweep(columns)
	out := make([][]*group, len(columns))
	for i, c := range columns {
		for _, p := range c {
			out[i] = append(out[i], p.group)
		}
	}
	return out
}

// stack sets stacks of groups from left to right, each in the middle of the height, and gives the size of the whole.
func (d *drawing) stack(stacks [][]*group) (w, h float64) {
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
	return left, tallest
}
