package graph

import (
	"fmt"
	"io"
	"strconv"
	"strings"
)

// WriteMermaid draws the graph as a Mermaid flowchart, which GitHub and GitLab show in Markdown.
func (g *Graph) WriteMermaid(w io.Writer) error {
	var b strings.Builder
	b.WriteString("flowchart LR\n")
	ids := make(map[string]string, len(g.Nodes))
	for i, n := range g.Nodes {
		ids[n.ID] = "n" + strconv.Itoa(i) // Mermaid's own identifiers take neither slashes nor dots
	}
	for _, ns := range g.Nodes {
		if ns.Kind != NodeNamespace || ns.Members > 0 {
			continue
		}
		fmt.Fprintf(&b, "  subgraph %s[%s]\n", ids[ns.ID], mermaidQuote(ns.Name))
		for i := range g.Nodes {
			if n := &g.Nodes[i]; n.inside(ns.Name) {
				fmt.Fprintf(&b, "    %s\n", mermaidNode(ids[n.ID], n))
			}
		}
		b.WriteString("  end\n")
	}
	for i := range g.Nodes {
		if n := &g.Nodes[i]; n.apart() {
			fmt.Fprintf(&b, "  %s\n", mermaidNode(ids[n.ID], n))
		}
	}
	for _, n := range g.Nodes {
		for _, to := range n.Endpoints {
			fmt.Fprintf(&b, "  %s -.- %s\n", ids[n.ID], ids[to])
		}
	}
	for i := range g.Edges {
		e := &g.Edges[i]
		arrow := "-->"
		if e.Weak() {
			arrow = "-.->"
		}
		label := ""
		if l := e.Label(); l != "" {
			label = "|" + mermaidQuote(l) + "|"
		}
		fmt.Fprintf(&b, "  %s %s%s %s\n", ids[e.From], arrow, label, ids[e.To])
	}
	g.mermaidColours(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

// mermaidColours gives an edge that was seen the colour of its lock. Mermaid counts lines in the order in which they stand.
func (g *Graph) mermaidColours(b *strings.Builder) {
	line := 0
	for i := range g.Nodes {
		line += len(g.Nodes[i].Endpoints)
	}
	for i := range g.Edges {
		if l := g.Edges[i].Lock; l != LockUnknown {
			fmt.Fprintf(b, "  linkStyle %d stroke:%s\n", line+i, Light.palette().lock[l])
		}
	}
}

func mermaidNode(id string, n *Node) string {
	label := mermaidQuote(n.label())
	switch n.Kind {
	case NodeService:
		return id + "([" + label + "])"
	case NodeIngress:
		return id + "[/" + label + "\\]"
	case NodeOutside:
		return id + "(" + label + ")"
	case NodeEgress:
		return id + "{{" + label + "}}"
	}
	return id + "[" + label + "]"
}

func mermaidQuote(s string) string {
	return `"` + strings.NewReplacer(`"`, "#quot;", "<", "#lt;", ">", "#gt;", "\n", " ").Replace(visible(s)) + `"`
}
