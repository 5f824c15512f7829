package main

import (
	"fmt"
	"strings"

	"github.com/oarlock/oarlock/graph"
	"github.com/oarlock/oarlock/resolve"
	"github.com/spf13/cobra"
)

func newEdgesCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "edges",
		Short: "Who calls whom, as far as the manifests say, and the verdict",
		Long: `Who calls whom, as far as the manifests say, with the verdict for each pair.

Edges come from oarlock.dev/calls annotations, the arguments of demo
applications, the routes of gateways, and exact egress hosts of Sidecars (marked
weak: they say what a workload may call). Manifests show no traffic, so every
lock is unknown.`,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return runEdges(a, cmd) },
	}
}

func runEdges(a *app, cmd *cobra.Command) error {
	format, err := a.format("table", "wide", "json", "yaml")
	if err != nil {
		return err
	}
	l, g, err := a.graph(cmd)
	if err != nil {
		return err
	}
	switch {
	case format == "json" || format == "yaml":
		err = a.printEdges(format, l, g)
	case len(g.Edges) > 0:
		err = a.edgeTable(l, g, format == "wide").write(a.stdout)
	}
	if err != nil {
		return err
	}
	for i := range g.Edges {
		if d := g.Edges[i].Declared; d != nil && a.fails(d.Verdict.Status) {
			return findings()
		}
	}
	return nil
}

// graph builds the graph of the mesh, of -n alone where it is given, and says so where no edge is declared.
func (a *app) graph(cmd *cobra.Command) (*loaded, *graph.Graph, error) {
	l, err := a.open(cmd.Context())
	if err != nil {
		return nil, nil, err
	}
	g, where := graph.Build(l.resolver), ""
	if ns := a.namespace(); ns != "" {
		g, where = g.In(ns), " in namespace "+ns
	}
	if len(g.Edges) == 0 {
		a.note("oarlock: no edge is declared%s; a workload declares its own with the annotation oarlock.dev/calls", where)
		a.note("try: %s tls-check", a.command())
	}
	return l, g, nil
}

// command is how this mesh was named, for a hint: `oarlock -f DIR`.
func (a *app) command() string {
	words := []string{"oarlock"}
	for _, f := range a.flags.files {
		words = append(words, "-f", quoteWord(f))
	}
	return strings.Join(words, " ")
}

func (a *app) edgeTable(l *loaded, g *graph.Graph, wide bool) *table {
	header := []string{"SOURCE", "DESTINATION", "DECLARED", "OBSERVED", "PROVEN", "LOCK"}
	if wide {
		header = append(header, "WIRE", "AUTHN POLICY", "DESTINATION RULE", "REASON")
	}
	tab := a.table(plainPadding, append(header, "DECLARED BY")...)
	if !wide {
		tab.optional = []string{"OBSERVED", "PROVEN"}
		tab.namespace = onlyNamespace(g)
		tab.cuts = []cut{{"DECLARED BY", 18, keepEnd}, {"SOURCE", 14, keepBoth}, {"DESTINATION", 16, keepPort}}
	}
	names := make(map[string]string, len(g.Nodes))
	for i := range g.Nodes {
		names[g.Nodes[i].ID] = nodeWord(&g.Nodes[i])
	}
	for i := range g.Edges {
		e := &g.Edges[i]
		to := names[e.To]
		if e.Subset != "" {
			to += "|" + e.Subset
		}
		if e.Port != 0 {
			to += fmt.Sprintf(":%d", e.Port)
		}
		cells := append([]string{names[e.From], to}, declaredCells(l, e, wide)...)
		tab.add(append(cells, sourceWord(e))...)
	}
	return tab
}

// onlyNamespace is the namespace of all ends of edges that stand in one; "" where there are several.
func onlyNamespace(g *graph.Graph) string {
	ends := make(map[string]bool, len(g.Nodes))
	for i := range g.Edges {
		ends[g.Edges[i].From], ends[g.Edges[i].To] = true, true
	}
	only := ""
	for i := range g.Nodes {
		n := &g.Nodes[i]
		if !ends[n.ID] || n.Kind == graph.NodeEgress || n.Namespace == "" {
			continue
		}
		if only != "" && n.Namespace != only {
			return ""
		}
		only = n.Namespace
	}
	return only
}

// declaredCells gives the columns between the ends of an edge and its source.
func declaredCells(l *loaded, e *graph.Edge, wide bool) []string {
	d := l.snap.Dialect
	declared, wire, policy, rule, reason := "-", "-", "-", "-", e.Reason
	if e.Declared != nil {
		v := e.Declared.Verdict
		declared, wire, reason = v.Status.Word(d), v.Wire.String(), clause(v.Cause, v.Wire, v.Client)
		policy = resolve.RefWord(e.Declared.Policy.Ref, d, l.snap.Config.RootNamespace)
		rule = resolve.RefWord(e.Declared.Rule.Ref, d, "")
	}
	// Nothing runs here, so nothing is observed or proven.
	cells := []string{declared, "-", "-", e.Lock.String()}
	if wide {
		cells = append(cells, wire, policy, rule, reason)
	}
	return cells
}

// nodeWord names a node as a person would type it.
func nodeWord(n *graph.Node) string {
	if n.Kind == graph.NodeEgress || n.Namespace == "" {
		return n.Name
	}
	return n.Name + "." + n.Namespace
}

// sourceWord names the strongest source and where it stands.
func sourceWord(e *graph.Edge) string {
	s := e.Sources[0]
	word := s.Text
	if at := s.At.Origin.String(); at != "" {
		word += " (" + at + ")"
	}
	if more := len(e.Sources) - 1; more > 0 {
		word += fmt.Sprintf(" and %d more", more)
	}
	if e.Weak() {
		word += ", weak"
	}
	return word
}

func (a *app) printEdges(format string, l *loaded, g *graph.Graph) error {
	out, err := a.list(format, head("EdgeList", l.snap))
	if err != nil {
		return err
	}
	for i := range g.Edges {
		if err := out.add(g.Edges[i].JSON(g.Dialect)); err != nil {
			return err
		}
	}
	return out.end()
}
