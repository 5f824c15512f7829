package graph

import (
	"fmt"
	"math"
	"strings"
)

type rectangle struct{ x, y, w, h float64 }

// label is a lock on an edge, and what stands below it.
type label struct {
	edge  *Edge
	at    Point
	lines []string
}

// maxLabels is how many edges get words; above that their locks alone are drawn, and the rest is in the tooltip.
const maxLabels = 250

// edges draws the lines, and finds places for the labels, which are drawn later so that no line crosses them.
func (p *picture) edges() []label {
	outs, ins := map[string]int{}, map[string]int{}
	for i := range p.g.Edges {
		e := &p.g.Edges[i]
		outs[e.From]++
		ins[e.To]++
	}
	var out []label
	for i := range p.g.Edges {
		e := &p.g.Edges[i]
		line := p.lines[e.ID()]
		if line == nil {
			continue
		}
		p.line(e, line)
		l := label{edge: e}
		if len(p.g.Edges) <= maxLabels {
			l.lines = e.words()
		}
		l.at = p.free(&l, line.flat(), toward(outs[e.From], ins[e.To]))
		out = append(out, l)
	}
	return out
}

func (p *picture) line(e *Edge, l Line) {
	dash, width := "", 1.6
	switch {
	case e.Lock == LockBroken:
		dash, width = ` stroke-dasharray="10 4"`, 2
	case e.Lock == LockUnknown || e.Weak():
		dash = ` stroke-dasharray="5 4"`
	}
	p.f(`<path d="%s" fill="none" stroke="%s" stroke-width="%s"%s marker-end="url(#to-%s)"/>`+"\n", l.path(), p.c.lock[e.Lock], px(width), dash, e.Lock)
}

// toward says where on an edge its label is looked for first: where it is apart from the others of its ends.
func toward(out, in int) float64 {
	switch {
	case out > in:
		return 0.6
	case in > out:
		return 0.4
	}
	return 0.5
}

// free finds a place along a line where the label covers no node and no other label: at t, or near it, or where it covers
// least.
func (p *picture) free(l *label, flat []Point, t float64) Point {
	best, least := Point{}, math.Inf(1)
	for step := range 20 {
		off := 0.04 * float64((step+1)/2)
		if step%2 == 1 {
			off = -off
		}
		l.at = along(flat, max(0.08, min(0.92, t+off)))
		if covered := p.covered(l.rectangle()); covered < least {
			best, least = l.at, covered
		}
		if least == 0 {
			break
		}
	}
	l.at = best
	p.places = append(p.places, l.rectangle())
	return best
}

// covered is the area that a label would cover of something else.
func (p *picture) covered(r rectangle) float64 {
	sum := 0.0
	for _, o := range p.places {
		w := min(r.x+r.w, o.x+o.w) - max(r.x, o.x)
		h := min(r.y+r.h, o.y+o.h) - max(r.y, o.y)
		if w > 0 && h > 0 {
			sum += w * h
		}
	}
	return sum
}

const lockRadius = 10.0

func (l *label) rectangle() rectangle {
	w, h := 2*lockRadius+2, 2*lockRadius+2
	for _, s := range l.lines {
		w = max(w, 5.6*float64(len([]rune(s))))
		h += 12
	}
	return rectangle{l.at.X - w/2, l.at.Y - lockRadius - 1, w, h}
}

// words are the lines below an edge's lock.
func (e *Edge) words() []string {
	var first, second []string
	if e.Members > 0 {
		first = append(first, fmt.Sprintf("%d edges", e.Members))
	}
	if e.Port != 0 {
		first = append(first, fmt.Sprintf(":%d", e.Port))
	}
	if e.Subset != "" {
		first = append(first, cutMiddle(e.Subset, 10))
	}
	o := e.Observed
	switch {
	case o != nil && o.Known > 0 && o.Requests+o.Connections > 0 && (e.Lock != LockUnknown || o.MTLS > 0):
		first = append(first, share(e.Lock, o.MTLS))
	case o == nil && e.Declared != nil:
		first = append(first, e.Declared.Verdict.Status.String())
	}
	if o != nil {
		second = append(second, per(o.Attempts()))
		if n := o.Requests + o.Connections; o.Errors > 0 && n > 0 {
			second = append(second, percent(o.Errors/n)+" err")
		}
	}
	var out []string
	for _, l := range [][]string{first, second} {
		if len(l) > 0 {
			out = append(out, strings.Join(l, " "))
		}
	}
	return out
}

// share says how much is mTLS, in a word where it is all or nothing.
func share(l Lock, mtls float64) string {
	switch {
	case l == LockLocked:
		return "mTLS"
	case l == LockOpen:
		return "plain"
	}
	return percent(mtls)
}

func (p *picture) label(l label) {
	e := l.edge
	about := p.ends(e)
	if e.Port != 0 {
		about += fmt.Sprintf(":%d", e.Port)
	}
	about += ": " + e.Lock.String()
	if e.Reason != "" {
		about += ", " + e.Reason
	}
	for _, f := range e.Findings {
		about += "\n" + f.Severity + ": " + f.Text
	}
	p.f("<g><title>%s</title>", text(about))
	p.lock(e.Lock, l.at)
	if worst := worstFinding(e.Findings); worst != "" {
		p.warning(Point{l.at.X + lockRadius + 3, l.at.Y - lockRadius + 2}, worst)
	}
	for i, line := range l.lines {
		p.f(`<text x="%s" y="%s" text-anchor="middle" font-size="10.5" fill="%s" stroke="%s" stroke-width="3" stroke-linejoin="round" paint-order="stroke">%s</text>`,
			px(l.at.X), px(l.at.Y+lockRadius+11+12*float64(i)), p.c.text, p.c.box, text(line))
	}
	p.b.WriteString("</g>\n")
}

// ends are the names of an edge's ends, with their namespaces where these differ: callers in several may have one name.
func (p *picture) ends(e *Edge) string {
	from, to := p.nodes[e.From], p.nodes[e.To]
	if from.Kind == NodeNamespace || to.Kind == NodeNamespace || from.Namespace == "" || to.Namespace == "" || from.Namespace == to.Namespace {
		return from.Name + " to " + to.Name
	}
	return fmt.Sprintf("%s.%s to %s.%s", from.Name, from.Namespace, to.Name, to.Namespace)
}

// lock draws a lock. Each has a shape of its own: a closed padlock, one that is half filled, one with its shackle open, a
// disc with a cross, a question mark in a dashed ring.
func (p *picture) lock(l Lock, at Point) {
	colour := p.c.lock[l]
	p.f(`<g transform="translate(%s %s)">`, px(at.X), px(at.Y))
	ring := func(fill, extra string) {
		p.f(`<circle r="%s" fill="%s" stroke="%s" stroke-width="1.4"%s/>`, px(lockRadius), fill, colour, extra)
	}
	line := fmt.Sprintf(`fill="none" stroke="%s" stroke-width="1.6" stroke-linecap="round"`, colour)
	switch l {
	case LockLocked:
		ring(p.c.node, "")
		p.f(`<path d="M-2.8-1v-2a2.8 2.8 0 0 1 5.6 0v2" %s/><rect x="-4.5" y="-1" width="9" height="6.5" rx="1.2" fill="%s"/>`, line, colour)
	case LockMixed:
		ring(p.c.node, "")
		p.f(`<path d="M-2.8-1v-2a2.8 2.8 0 0 1 5.6 0v2" %s/><rect x="-4.5" y="-1" width="9" height="6.5" rx="1.2" %s/><path d="M-4.5 0.2a1.2 1.2 0 0 1 1.2-1.2h3.3v6.5h-3.3a1.2 1.2 0 0 1-1.2-1.2z" fill="%s"/>`, line, line, colour)
	case LockOpen:
		ring(p.c.node, "")
		p.f(`<path d="M1-0.6v-3a2.7 2.7 0 0 1 5.4 0v1" %s/><rect x="-6.2" y="-0.6" width="9" height="6.5" rx="1.2" %s/>`, line, line)
	case LockBroken:
		ring(colour, "")
		p.f(`<path d="M-3.6-3.6l7.2 7.2m0-7.2l-7.2 7.2" fill="none" stroke="%s" stroke-width="2.2" stroke-linecap="round"/>`, p.c.ground)
	default:
		ring(p.c.node, ` stroke-dasharray="2.6 2.2"`)
		p.f(`<path d="M-2.4-2.4a2.5 2.5 0 1 1 3.9 2.1c-1 .7-1.5 1.1-1.5 2.2m0 2.7v.1" %s/>`, line)
	}
	p.b.WriteString("</g>")
}
