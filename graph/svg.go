package graph

import (
	"encoding/xml"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/oarlock/oarlock/mesh"
)

// WriteSVG draws the graph as one SVG file that needs nothing else: no script, no style sheet, no font, no picture. A lock
// is told by its shape as well as by its colour. Names come from files: they are escaped, and what a reader would not see is
// made visible.
func (g *Graph) WriteSVG(w io.Writer, t Theme) error { return g.WriteSVGAt(w, t, g.Layout(nil)) }

// WriteSVGAt draws the graph in a layout that is there already.
func (g *Graph) WriteSVGAt(w io.Writer, t Theme, l *Layout) error {
	p := &picture{g: g, l: l, lines: l.Lines, c: t.palette(), nodes: make(map[string]*Node, len(g.Nodes))}
	if p.lines == nil {
		p.lines = l.lead(g) // too many for a dashboard, not for a file
	}
	for i := range g.Nodes {
		p.nodes[g.Nodes[i].ID] = &g.Nodes[i]
	}
	p.draw()
	if _, err := io.WriteString(w, p.b.String()); err != nil {
		return fmt.Errorf("write graph: %w", err)
	}
	return nil
}

// picture is an SVG in the making.
type picture struct {
	b      strings.Builder
	g      *Graph
	l      *Layout
	lines  map[string]Line
	c      *palette
	nodes  map[string]*Node
	places []rectangle // of what a label must not cover
}

const legendWidth, legendHeight = 730.0, 56.0

func (p *picture) draw() {
	width, legend := p.l.stretch(p.lines)
	legend -= margin - 8
	width, height := max(width, legendWidth), legend+legendHeight
	p.f(`<svg xmlns="http://www.w3.org/2000/svg" width="%s" height="%s" viewBox="0 0 %s %s" role="img" font-family="system-ui, 'Segoe UI', 'Liberation Sans', Arial, sans-serif" font-size="12">`+"\n",
		px(width), px(height), px(width), px(height))
	p.f("<title>%s</title>\n", text(p.summary()))
	p.markers()
	p.f(`<rect width="100%%" height="100%%" fill="%s"/>`+"\n", p.c.ground)
	p.boxes()
	for i := range p.g.Nodes {
		if at, ok := p.l.Nodes[p.g.Nodes[i].ID]; ok {
			p.places = append(p.places, rectangle{at.X - NodeWidth/2, at.Y - NodeHeight/2, NodeWidth, NodeHeight})
		}
	}
	p.endpoints()
	labels := p.edges()
	for i := range p.g.Nodes {
		if at, ok := p.l.Nodes[p.g.Nodes[i].ID]; ok {
			p.node(&p.g.Nodes[i], at)
		}
	}
	for _, l := range labels {
		p.label(l)
	}
	p.legend(legend)
	p.b.WriteString("</svg>\n")
}

// summary says in one sentence what the picture shows, for those who do not see it.
func (p *picture) summary() string {
	var c LockCount
	for i := range p.g.Edges {
		if e := &p.g.Edges[i]; e.Members > 0 {
			for l, n := range e.Locks {
				c[l] += n
			}
		} else {
			c.Add(e.Lock)
		}
	}
	var parts []string
	for _, l := range worstFirst {
		if c[l] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", c[l], l))
		}
	}
	if len(parts) == 0 {
		return "Service graph without connections"
	}
	return "Service graph; connections: " + strings.Join(parts, ", ")
}

func (p *picture) f(format string, args ...any) { fmt.Fprintf(&p.b, format, args...) }

// px prints a length with a tenth of a pixel at most.
func px(v float64) string { return strconv.FormatFloat(tenth(v), 'f', -1, 64) }

// text escapes for XML.
func text(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(visible(s))) // a Builder does not fail
	return b.String()
}

// cutMiddle shortens a name to so many characters.
func cutMiddle(s string, most int) string {
	r := []rune(s)
	if len(r) <= most {
		return s
	}
	head := (most - 1) * 3 / 5
	return string(r[:head]) + "…" + string(r[len(r)-(most-1-head):])
}

func (p *picture) markers() {
	p.b.WriteString("<defs>")
	for l := range LockBroken + 1 {
		p.f(`<marker id="to-%s" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0.5 8 4 0 7.5z" fill="%s"/></marker>`, l, p.c.lock[l])
	}
	p.b.WriteString("</defs>\n")
}

func (p *picture) boxes() {
	for _, b := range p.l.Boxes {
		n := p.nodes[b.ID]
		name, mode := strings.TrimPrefix(b.ID, "namespace/"), ""
		if n != nil {
			name, mode = n.Name, n.Mode
		}
		p.f(`<rect x="%s" y="%s" width="%s" height="%s" rx="10" fill="%s" stroke="%s"/>`+"\n", px(b.X), px(b.Y), px(b.Width), px(b.Height), p.c.box, p.c.boxLine)
		most := int((b.Width - 2*boxPad - 7*float64(len(mode))) / 7.4)
		p.f(`<text x="%s" y="%s" font-weight="600" font-size="13" fill="%s">%s<title>%s</title></text>`, px(b.X+boxPad), px(b.Y+21), p.c.text, text(cutMiddle(name, most)), text(name))
		if mode != "" {
			p.f(`<text x="%s" y="%s" font-size="10.5" text-anchor="end" fill="%s">%s</text>`, px(b.X+b.Width-boxPad), px(b.Y+21), p.c.muted, text(mode))
		}
		p.b.WriteString("\n")
	}
}

// endpoints draws which workloads are behind a service.
func (p *picture) endpoints() {
	for i := range p.g.Nodes {
		from, ok := p.l.Nodes[p.g.Nodes[i].ID]
		if !ok {
			continue
		}
		for k, id := range p.g.Nodes[i].Endpoints {
			if to, ok := p.l.Nodes[id]; ok {
				line := p.lines[LinkID(p.g.Nodes[i].ID, id)]
				if underneath(from, to, k) {
					line = Line{from, middle(from, to), to} // straight down: the nodes between lie on it
				}
				p.f(`<path d="%s" fill="none" stroke="%s" stroke-width="1.2" stroke-dasharray="1.5 3.5" stroke-linecap="round"/>`+"\n", line.path(), p.c.nodeLine)
			}
		}
	}
}

func (p *picture) node(n *Node, at Point) {
	left, top := at.X-NodeWidth/2, at.Y-NodeHeight/2
	about := n.Kind.String() + " " + n.Name
	if n.Namespace != "" {
		about += " in " + n.Namespace
	}
	for _, f := range n.Findings {
		about += "\n" + f.Severity + ": " + f.Text
	}
	p.f(`<g><title>%s</title>`, text(about))
	p.shape(n, left, top)
	p.nodeText(n, at)
	if l := n.Inside.Worst(); n.Inside.Total() > 0 {
		p.lock(l, Point{left + NodeWidth - 4, top})
	}
	if worst := worstFinding(n.Findings); worst != "" {
		p.warning(Point{left + 4, top}, worst)
	}
	p.b.WriteString("</g>\n")
}

// shape draws the outline of a node: a stack where it stands for many, a pill for a service, a box for a workload, a hexagon
// for what leads in or out.
func (p *picture) shape(n *Node, left, top float64) {
	line := fmt.Sprintf(`fill="%s" stroke="%s" stroke-width="1.2"`, p.c.node, p.c.nodeLine)
	switch {
	case n.Members > 0:
		p.f(`<rect x="%s" y="%s" width="%s" height="%s" rx="8" %s/>`, px(left+4), px(top-4), px(NodeWidth), px(NodeHeight), line)
		p.f(`<rect x="%s" y="%s" width="%s" height="%s" rx="8" %s/>`, px(left), px(top), px(NodeWidth), px(NodeHeight), line)
	case n.Kind == NodeService:
		p.f(`<rect x="%s" y="%s" width="%s" height="%s" rx="20" %s/>`, px(left), px(top), px(NodeWidth), px(NodeHeight), line)
	case n.Kind == NodeEgress, n.Kind == NodeIngress:
		p.f(`<path d="M%s %sh%sl14 20-14 20h-%sl-14-20z" %s/>`, px(left+14), px(top), px(NodeWidth-28), px(NodeWidth-28), line)
	case n.Kind == NodeOutside:
		p.f(`<rect x="%s" y="%s" width="%s" height="%s" rx="8" stroke-dasharray="4 3" %s/>`, px(left), px(top), px(NodeWidth), px(NodeHeight), line)
	default:
		p.f(`<rect x="%s" y="%s" width="%s" height="%s" rx="5" %s/>`, px(left), px(top), px(NodeWidth), px(NodeHeight), line)
	}
}

func (p *picture) nodeText(n *Node, at Point) {
	name, note, at2 := cutMiddle(n.Name, 23), n.note(), at.Y-1
	if note == "" {
		at2 = at.Y + 4
	}
	size := "12"
	if len([]rune(name)) > 19 {
		size = "11"
	}
	p.f(`<text x="%s" y="%s" text-anchor="middle" font-weight="500" font-size="%s" fill="%s">%s</text>`, px(at.X), px(at2), size, p.c.text, text(name))
	if note != "" {
		p.f(`<text x="%s" y="%s" text-anchor="middle" font-size="10" fill="%s">%s</text>`, px(at.X), px(at.Y+12), p.c.muted, text(cutMiddle(note, 26)))
	}
}

// note is the second line of a node.
func (n *Node) note() string {
	var parts []string
	switch n.Kind {
	case NodeWorkload:
		if n.Version != "" {
			parts = append(parts, n.Version)
		}
	case NodeIngress, NodeEgress:
		parts = append(parts, n.Kind.String())
	}
	switch {
	case n.Members > 0:
		parts = append(parts, fmt.Sprintf("%d nodes", n.Members))
	case n.Gateway:
		parts = append(parts, "gateway")
	case n.Kind == NodeWorkload && n.Capture == mesh.CaptureNone:
		parts = append(parts, "no sidecar")
	case n.Kind == NodeWorkload && n.Capture == mesh.CaptureAmbient:
		parts = append(parts, "ambient")
	case n.Kind == NodeOutside:
		parts = append(parts, "outside")
	}
	if n.Mode != "" && n.Capture != mesh.CaptureNone || n.Mode != "" && n.Kind == NodeService {
		parts = append(parts, n.Mode)
	}
	return strings.Join(parts, " · ")
}

func worstFinding(all []Finding) string {
	worst := ""
	for _, f := range all {
		if f.Severity != SeverityNote && (worst == "" || severityRank(f.Severity) < severityRank(worst)) {
			worst = f.Severity
		}
	}
	return worst
}

// warning draws a small triangle.
func (p *picture) warning(at Point, severity string) {
	colour := p.c.lock[LockMixed]
	if severity == SeverityError {
		colour = p.c.lock[LockOpen]
	}
	p.f(`<path d="M%s %sl7 12h-14z" fill="%s" stroke="%s" stroke-linejoin="round"/><path d="M%s %sv3.6m0 2v1" stroke="%s" stroke-width="1.5" stroke-linecap="round"/>`,
		px(at.X), px(at.Y-7), colour, p.c.ground, px(at.X), px(at.Y-3), p.c.ground)
}

// legend says what the shapes mean.
func (p *picture) legend(top float64) {
	at := Point{margin + 12, top + 18}
	for _, l := range [...]Lock{LockLocked, LockMixed, LockOpen, LockBroken, LockUnknown} {
		word := [...]string{"unknown", "locked: mTLS", "mixed", "open: plaintext", "broken"}[l]
		p.lock(l, at)
		p.f(`<text x="%s" y="%s" font-size="11" fill="%s">%s</text>`, px(at.X+17), px(at.Y+4), p.c.text, word)
		at.X += 46 + 6.4*float64(len(word))
	}
	p.f(`<path d="M%s %sh34" stroke="%s" stroke-width="1.2" stroke-dasharray="1.5 3.5" stroke-linecap="round"/>`, px(at.X), px(at.Y), p.c.nodeLine)
	p.f(`<text x="%s" y="%s" font-size="11" fill="%s">behind the service</text>`+"\n", px(at.X+42), px(at.Y+4), p.c.text)
	about := ""
	switch {
	case p.g.Trouble != "":
		about = "nothing was measured: " + p.g.Trouble
	case !p.g.End.IsZero():
		about = "measured in the " + duration(p.g.End.Sub(p.g.Start)) + " until " + p.g.End.UTC().Format("2006-01-02 15:04:05 MST")
	default:
		about = "as declared; no traffic was looked at"
	}
	p.f(`<text x="%s" y="%s" font-size="11" fill="%s">%s</text>`+"\n", px(margin), px(at.Y+28), p.c.muted, text(about))
}
