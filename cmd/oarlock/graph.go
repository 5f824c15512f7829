package main

import (
	"time"

	"github.com/spf13/cobra"
)

func newGraphCommand(a *app) *cobra.Command {
	var window time.Duration
	cmd := &cobra.Command{
		Use:   "graph",
		Short: "The service graph as Graphviz, Mermaid or JSON",
		Long: `The service graph: workloads, services, what is outside, and who calls whom (see
edges). A running mesh draws what it saw; a lock that nobody has seen closed or
open is grey.`,
		Example: `  oarlock -f DIR graph | dot -Tsvg > mesh.svg
  oarlock -f DIR graph -o mermaid`,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return runGraph(a, cmd, window) },
	}
	windowFlag(cmd, &window, time.Minute)
	return cmd
}

// graphFormats are what graph prints, its own first.
func graphFormats() []string { return []string{"dot", "mermaid", "json"} }

func runGraph(a *app, cmd *cobra.Command, window time.Duration) error {
	format, err := a.format(graphFormats()...)
	if err != nil {
		return err
	}
	v, err := a.graph(cmd, window)
	if err != nil {
		return err
	}
	switch {
	case format == "mermaid":
		return v.g.WriteMermaid(a.stdout)
	case format == "json" && v.live != nil:
		return a.print("json", v.live)
	case format == "json":
		return v.g.WriteJSON(a.stdout)
	}
	return v.g.WriteDOT(a.stdout)
}
