package main

import (
	"github.com/spf13/cobra"
)

func newGraphCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "graph",
		Short: "The service graph as Graphviz, Mermaid or JSON",
		Long: `The service graph: workloads, services, what is outside, and who calls whom as
far as the manifests say (see edges). A lock that nobody has seen closed or open
is grey.`,
		Example: `  oarlock -f DIR graph | dot -Tsvg > mesh.svg
  oarlock -f DIR graph -o mermaid`,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return runGraph(a, cmd) },
	}
}

func runGraph(a *app, cmd *cobra.Command) error {
	format, err := a.format("dot", "mermaid", "json")
	if err != nil {
		return err
	}
	_, g, err := a.graph(cmd)
	if err != nil {
		return err
	}
	switch format {
	case "mermaid":
		return g.WriteMermaid(a.stdout)
	case "json":
		return g.WriteJSON(a.stdout)
	}
	return g.WriteDOT(a.stdout)
}
