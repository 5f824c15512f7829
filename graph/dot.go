package graph

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"

	"github.com/oarlock/oarlock/mesh"
)

// Label is what a drawing writes on an edge: the port, the subset, the declared status, and what was seen: the
// lock, the share of mTLS, how much.
func (e *Edge) Label() string {
	var parts []string
	if e.Port != 0 {
		parts = append(parts, strconv.FormatUint(uint64(e.Port), 10))
	}
	if e.Subset != "" {
		parts = append(parts, "("+e.Subset+")")
	}
	if e.Declared != nil {
		parts = append(parts, e.Declared.Verdict.Status.String())
	}
	if e.Lock != LockUnknown {
		parts = append(parts, e.Lock.String())
	}
	if o := e.Observed; o != nil {
		if o.Known > 0 {
			parts = append(parts, percent(o.MTLS)+" mTLS")
		}
		parts = append(parts, per(o.Attempts()))
	}
	return strings.Join(parts, " ")
}

// WriteDOT draws the graph for Graphviz: a cluster for each namespace, services as ovals with dotted lines to their
// workloads, calls as arrows. An unknown lock is grey; only what was seen gets a colour, and a tooltip says why.
func (g *Graph) WriteDOT(w io.Writer) error {
	var b strings.Builder
	b.WriteString("digraph mesh {\n  rankdir=LR;\n  node [fontname=\"sans-serif\"];\n  edge [fontname=\"sans-serif\"];\n")
	for _, ns := range g.Nodes {
		if ns.Kind == NodeNamespace && ns.Members == 0 {
			g.dotCluster(&b, ns.Name)
		}
	}
	for i := range g.Nodes {
		if n := &g.Nodes[i]; n.apart() {
			fmt.Fprintf(&b, "  %s\n", dotNode(n))
		}
	}
	for i := range g.Nodes {
		for _, to := range g.Nodes[i].Endpoints {
			fmt.Fprintf(&b, "  %s -> %s [style=dotted, arrowhead=none];\n", dotQuote(g.Nodes[i].ID), dotQuote(to))
		}
	}
	for i := range g.Edges {
		e := &g.Edges[i]
		style := ""
		if e.Weak() {
			style = ", style=dashed"
		}
		if e.Lock != LockUnknown {
			style += ", tooltip=" + dotQuote(e.Reason)
		}
		fmt.Fprintf(&b, "  %s -> %s [label=%s, color=%s%s];\n", dotQuote(e.From), dotQuote(e.To), dotQuote(e.Label()), lockColour(e.Lock), style)
	}
	b.WriteString("}\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func (g *Graph) dotCluster(b *strings.Builder, namespace string) {
	fmt.Fprintf(b, "  subgraph %s {\n    label=%s;\n", dotQuote("cluster_"+namespace), dotQuote(namespace))
	for i := range g.Nodes {
		if n := &g.Nodes[i]; n.inside(namespace) {
			fmt.Fprintf(b, "    %s\n", dotNode(n))
		}
	}
	b.WriteString("  }\n")
}

func dotNode(n *Node) string {
	shape := map[NodeKind]string{NodeNamespace: "folder", NodeWorkload: "box", NodeService: "ellipse", NodeIngress: "house",
		NodeEgress: "hexagon", NodeOutside: "plain"}[n.Kind]
	return fmt.Sprintf("%s [label=%s, shape=%s];", dotQuote(n.ID), dotQuote(n.label()), shape)
}

// label adds to a name what must not be overlooked.
func (n *Node) label() string {
	switch {
	case n.Members > 0:
		return fmt.Sprintf("%s (%d)", n.Name, n.Members)
	case n.Gateway:
		return n.Name + " (gateway)"
	case n.Kind == NodeWorkload && n.Capture == mesh.CaptureNone:
		return n.Name + " (no sidecar)"
	case n.Kind == NodeWorkload && n.Capture == mesh.CaptureAmbient:
		return n.Name + " (ambient)"
	}
	return n.Name
}

func lockColour(l Lock) string {
	return [...]string{"gray50", "forestgreen", "orange", "red", "black"}[l]
}

func dotQuote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(visible(s)) + `"`
}

// visible escapes what a terminal would obey and what turns text round; names come from files, and drawings get printed.
func visible(s string) string {
	if strings.IndexFunc(s, hidden) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if hidden(r) {
			fmt.Fprintf(&b, "\\u%04x", r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func hidden(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }
