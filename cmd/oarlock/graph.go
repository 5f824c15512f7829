package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/oarlock/oarlock/graph"
	"github.com/spf13/cobra"
)

// graphFlags are the flags of graph.
type graphFlags struct {
	window time.Duration
	theme  choice
	expand []string
}

// expandAll is the word for every group of a large mesh.
const expandAll = "all"

func newGraphCommand(a *app) *cobra.Command {
	f := &graphFlags{theme: choice{"light", []string{"light", "dark"}, "THEME"}}
	cmd := &cobra.Command{
		Use:   "graph",
		Short: "The service graph as Graphviz, SVG, Mermaid or JSON",
		Long: `The service graph: workloads, services, what is outside, and who calls whom (see
edges). A running mesh draws what it saw; a lock that nobody has seen closed or
open is grey. The SVG is laid out here and needs no other program; of a mesh of
more than 150 nodes it draws each namespace as one, and --expand opens some, or
all.`,
		Example: `  oarlock -f DIR graph -o svg > mesh.svg
  oarlock -f DIR graph -o svg --expand shop,bank/web > shop.svg
  oarlock -f DIR graph | dot -Tpdf > mesh.pdf
  oarlock -f DIR graph -o mermaid`,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return runGraph(a, cmd, f) },
	}
	windowFlag(cmd, &f.window, time.Minute)
	cmd.Flags().Var(&f.theme, "theme", "colours of the SVG: "+f.theme.list())
	cmd.Flags().StringSliceVar(&f.expand, "expand", nil, "open this `GROUP` of a large mesh in the SVG: NAMESPACE, NAMESPACE/APP, or all; repeatable")
	must(cmd.RegisterFlagCompletionFunc("theme", cobra.FixedCompletions(f.theme.words, cobra.ShellCompDirectiveNoFileComp)))
	return cmd
}

// graphFormats are what graph prints, its own first.
func graphFormats() []string { return []string{"dot", "svg", "mermaid", "json"} }

func runGraph(a *app, cmd *cobra.Command, f *graphFlags) error {
	format, err := a.format(graphFormats()...)
	if err != nil {
		return err
	}
	v, err := a.graph(cmd, f.window)
	if err != nil {
		return err
	}
	switch {
	case format == "svg":
		return a.drawSVG(v.g, f)
	case format == "mermaid":
		return v.g.WriteMermaid(a.stdout)
	case format == "json" && v.live != nil:
		return a.print("json", v.live)
	case format == "json":
		return v.g.WriteJSON(a.stdout)
	}
	return v.g.WriteDOT(a.stdout)
}

// drawSVG draws a graph, a large one with its groups as single nodes, as the dashboard does.
func (a *app) drawSVG(g *graph.Graph, f *graphFlags) error {
	for _, group := range f.expand {
		namespace, _, _ := strings.Cut(group, "/")
		if group != expandAll && g.Node("namespace/"+namespace) == nil {
			return usage(fmt.Errorf("expand %s: there is no namespace %s", group, namespace), "")
		}
	}
	drawn := g
	if !slices.Contains(f.expand, expandAll) {
		drawn = g.Collapse(f.expand...)
	}
	if n := len(drawn.Nodes); n < len(g.Nodes) {
		a.note("%d nodes are drawn as %d: --expand NAMESPACE opens one, --expand all every one", len(g.Nodes), n)
	}
	theme := graph.Light
	if f.theme.value == "dark" {
		theme = graph.Dark
	}
	return drawn.WriteSVG(a.stdout, theme)
}
