package graph

import (
	"fmt"
	"math"
	"strings"
)

// Line is how an edge runs: it begins at the first point and ends at the last, and those between bend it. Between them it is a
// chain of quadratic curves with one bending point each, which meet in the middle between two of them, so that it never leaves
// the rectangles around three points in a row. It begins and ends level.
type Line []Point

// curve is one quadratic piece of a line: from where, bent by what, to where.
type curve [3]Point

// pieces are the curves of a line.
func (l Line) pieces() []curve {
	if len(l) < 3 {
		return nil
	}
	out := make([]curve, 0, len(l)-2)
	from := l[0]
	for i := 1; i < len(l)-1; i++ {
		to := l[len(l)-1]
		if i < len(l)-2 {
			to = middle(l[i], l[i+1])
		}
		out = append(out, curve{from, l[i], to})
		from = to
	}
	return out
}

func middle(a, b Point) Point { return Point{(a.X + b.X) / 2, (a.Y + b.Y) / 2} }

func (c *curve) at(t float64) Point {
	s := 1 - t
	return Point{s*s*c[0].X + 2*s*t*c[1].X + t*t*c[2].X, s*s*c[0].Y + 2*s*t*c[1].Y + t*t*c[2].Y}
}

// flatSteps is in how many straight pieces a curve is measured.
const flatSteps = 6

// flat gives points along the line, from which it is told apart by less than a pixel or two.
func (l Line) flat() []Point {
	if len(l) < 3 {
		return l
	}
	out := []Point{l[0]}
	for _, c := range l.pieces() {
		for i := 1; i <= flatSteps; i++ {
			out = append(out, c.at(float64(i)/flatSteps))
		}
	}
	return out
}

// path is the line in the words of SVG.
func (l Line) path() string {
	var b strings.Builder
	fmt.Fprintf(&b, "M%s %s", px(l[0].X), px(l[0].Y))
	for _, c := range l.pieces() {
		if c[0].Y == c[1].Y && c[1].Y == c[2].Y {
			fmt.Fprintf(&b, "H%s", px(c[2].X))
			continue
		}
		fmt.Fprintf(&b, "Q%s %s %s %s", px(c[1].X), px(c[1].Y), px(c[2].X), px(c[2].Y))
	}
	return b.String()
}

// along finds the point of a flat line that is a share of its length from its beginning.
func along(flat []Point, share float64) Point {
	total := 0.0
	for i := range flat[1:] {
		total += math.Hypot(flat[i+1].X-flat[i].X, flat[i+1].Y-flat[i].Y)
	}
	left := total * share
	for i := range flat[1:] {
		a, b := flat[i], flat[i+1]
		d := math.Hypot(b.X-a.X, b.Y-a.Y)
		if d >= left && d > 0 {
			return Point{a.X + (b.X-a.X)*left/d, a.Y + (b.Y-a.Y)*left/d}
		}
		left -= d
	}
	return flat[len(flat)-1]
}

// simpleLine runs from one node to another without a look at what stands between: from the right side to the left one, from
// the left side to the right one where the other node stands farther left, or in a bow where both are in one column. bend moves
// parallel edges apart.
func simpleLine(from, to Point, bend float64) Line {
	const half = NodeWidth / 2
	a, b := Point{from.X + half, from.Y}, Point{to.X - half, to.Y}
	switch wayOf(from, to) {
	case wayRound:
		b.X = to.X + half
		out := max(a.X, b.X) + bow(from, to) + math.Abs(bend)
		return Line{a, {out, a.Y}, {out, b.Y}, b}
	case wayBack:
		a.X, b.X = from.X-half, to.X+half
	}
	reach := 0.42 * (b.X - a.X)
	return Line{a, {a.X + reach, a.Y + bend}, {b.X - reach, b.Y + bend}, b}
}

// bow is how far out an edge within a column goes: the longer, the farther, so that they do not lie on each other.
func bow(from, to Point) float64 { return 34 + min(34, math.Abs(to.Y-from.Y)/12) }

// way is on which sides an edge leaves and arrives.
type way int

const (
	wayForward way = iota // from the right side to the left one
	wayBack               // from the left side to the right one
	wayRound              // from the right side to the right one
)

// wayRoom is how far apart the columns of two nodes are at least, so that an edge runs between them.
const wayRoom = 40

func wayOf(from, to Point) way {
	switch dx := to.X - from.X; {
	case dx >= NodeWidth+wayRoom:
		return wayForward
	case dx <= -NodeWidth-wayRoom:
		return wayBack
	}
	return wayRound
}
