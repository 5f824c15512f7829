package graph

import (
	"math"
	"slices"
)

// path is a way through spans, on its way to become a line: level but for a few turns.
type path struct {
	r     *router
	begin int    // slab of the first span
	spans []span // one of each slab
	level float64
	turns []turn
}

// turn goes from one level to another, within slabs from one to another, counted from the path's first.
type turn struct {
	begin, until int
	from, to     float64
}

// run is a level stretch of a path: the slabs in which it may be, and the levels.
type run struct {
	begin, until int
	at           span
}

// lead finds the fewest turns from the path's level to another, or, where that is not a number, to wherever it comes. level is
// then the last.
func (p *path) lead(to float64) {
	home := len(p.spans) // from here on, the last level is free
	for home > 0 && p.spans[home-1].has(to) {
		home--
	}
	now := p.extend(run{0, 0, span{p.level, p.level}})
	for now.until < len(p.spans)-1 && now.until < home {
		p.settle(&now)
		// The next run begins where this one ends, for the turn needs a slab in which both are free.
		now = p.extend(run{now.until, now.until, p.spans[now.until].and(p.spans[now.until+1])})
	}
	p.settle(&now)
	if home < len(p.spans) && p.level != to {
		begin := max(home, now.begin)
		if len(p.turns) > 0 {
			begin = max(begin, p.turns[len(p.turns)-1].until+1)
		}
		p.turns = append(p.turns, turn{begin, now.until, p.level, to})
		p.level = to
	}
}

// extend follows a run for as long as a level is free.
func (p *path) extend(r run) run {
	for r.until+1 < len(p.spans) {
		next := r.at.and(p.spans[r.until+1])
		if next.empty() {
			break
		}
		r.at = next
		r.until++
	}
	return r
}

// settle gives a run its level, near the one before and beside those of others, and adds the turn to it.
func (p *path) settle(now *run) {
	if now.at.has(p.level) && now.at.top == now.at.bottom {
		return // the first, which has no choice
	}
	level := p.lane(now)
	begin := now.begin
	least := 0
	if n := len(p.turns); n > 0 {
		least = p.turns[n-1].until + 1
	}
	for begin > least && p.spans[begin-1].has(level) {
		begin--
	}
	p.turns = append(p.turns, turn{begin, now.begin, p.level, level})
	p.level = level
}

// lane finds a level for a run that no other line has, near the one before.
func (p *path) lane(now *run) float64 {
	wish := now.at.within(8).clamp(p.level)
	level := wish
	for i := range 24 {
		by := laneGap * float64((i+1)/2)
		if i%2 == 1 {
			by = -by
		}
		if at := wish + by; now.at.has(at) && p.free(now, at) {
			level = at
			break
		}
	}
	for j := now.begin; j <= now.until; j++ {
		p.r.lanes[p.begin+j] = append(p.r.lanes[p.begin+j], level)
	}
	return level
}

func (p *path) free(now *run, level float64) bool {
	for j := now.begin + 1; j <= now.until; j++ {
		if slices.ContainsFunc(p.r.lanes[p.begin+j], func(o lane) bool { return math.Abs(o-level) < laneGap-0.5 }) {
			return false
		}
	}
	return true
}

// line is the path from one node's side to another's.
func (p *path) line(from, to Point, bend float64) Line {
	l := Line{from}
	switch len(p.turns) {
	case 0:
		l = append(l, middle(from, to))
	case 1:
		// Edges between the same nodes turn beside each other.
		left, right := p.reach(0, from.X, to.X)
		shift := math.Copysign(min((right-left)/4, math.Abs(bend)/2), bend)
		l = bend4(l, &p.turns[0], left+max(0, shift), right+min(0, shift))
	default:
		l = p.points(l, to.X)
	}
	return slices.Compact(append(l, to))
}

// reach is from where to where a turn may be: where it touches an end of the line, up to the node, beside which nothing stands.
func (p *path) reach(nth int, from, to float64) (left, right float64) {
	t := &p.turns[nth]
	left, right = p.r.xs[p.begin+t.begin], p.r.xs[p.begin+t.until+1]
	if t.begin == 0 {
		left = from
	}
	if t.until == len(p.spans)-1 && !math.IsNaN(to) {
		right = to
	}
	return left, right
}

// points adds the points of all turns. The first is near the beginning, so that what leaves one node is soon apart; the others
// are near what they lead to. to is where the line ends, not a number where it goes on.
func (p *path) points(l Line, to float64) Line {
	from := l[0].X
	for i := range p.turns {
		t := &p.turns[i]
		left, right := p.reach(i, from, to)
		if most := max(120, 1.4*math.Abs(t.to-t.from)); right-left > most && i == 0 {
			right = left + most
		} else if right-left > most {
			left = right - most
		}
		l = bend4(l, t, left, right)
	}
	return l
}

// bend4 adds a turn between two places: level, a bend, a bend back, level.
func bend4(l Line, t *turn, left, right float64) Line {
	reach := 0.42 * (right - left)
	return append(l, Point{left, t.from}, Point{left + reach, t.from}, Point{right - reach, t.to}, Point{right, t.to})
}
