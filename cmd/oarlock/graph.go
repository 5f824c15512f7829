package main

import (
	"time"

	"github.com/oarlock/oarlock/graph"
	"github.com/spf13/cobra"
)

// graphFlags are the flags of graph.
type graphFlags struct {
	window time.Duration
	theme  choice
}

func newGraphCommand(a *app) *cobra.Command {
	f := &graphFlags{theme: choice{"light", []string{"light", "dark"}, "THEME"}}
	cmd := &cobra.Command{
		Use:   "graph",
		Short: "The service graph as Graphviz, SVG, Mermaid or JSON",
		Long: `The service graph: workloads, services, what is outside, and who calls whom (see
edges). A running mesh draws what it saw; a lock that nobody has seen closed or
open is grey. The SVG is laid out here and needs no other program.`,
		Example: `  oarlock -f DIR graph -o svg > mesh.svg
  oarlock -f DIR graph | dot -Tpdf > mesh.pdf
  oarlock -f DIR graph -o mermaid`,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return runGraph(a, cmd, f) },
	}
	windowFlag(cmd, &f.window, time.Minute)
	cmd.Flags().Var(&f.theme, "theme", "colours of the SVG: "+f.theme.list())
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
	case format == "svg" && f.theme.value == "dark":
		return v.g.WriteSVG(a.stdout, graph.Dark)
	case format == "svg":
		return v.g.WriteSVG(a.stdout, graph.Light)
	case format == "mermaid":
		return v.g.WriteMermaid(a.stdout)
	case format == "json" && v.live != nil:
		return a.print("json", v.live)
	case format == "json":
		return v.g.WriteJSON(a.stdout)
	}
	return v.g.WriteDOT(a.stdout)
}
