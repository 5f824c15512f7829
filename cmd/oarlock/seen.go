package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/oarlock/oarlock/api"
	"github.com/oarlock/oarlock/graph"
	"github.com/oarlock/oarlock/plan"
	"github.com/oarlock/oarlock/resolve"
	"github.com/spf13/cobra"
)

// What a running mesh has seen of itself, for the verbs that show it beside what is declared.

// windowFlag gives a verb the flag that says how far back observations go.
func windowFlag(cmd *cobra.Command, window *time.Duration, standard time.Duration) {
	cmd.Flags().DurationVar(window, "window", standard, "how far back a running mesh looks: a `DURATION` of 10s to 24h")
}

// checkWindow refuses what the mesh would.
func checkWindow(window time.Duration) error {
	if window < 10*time.Second || window > 24*time.Hour {
		return usage(fmt.Errorf("parse flag --window %s: want 10s to 24h", window), "")
	}
	return nil
}

// askPatience is how long a verb waits for what was seen, which is beside the point of some.
const askPatience = 5 * time.Second

// askGraph asks a running mesh who calls whom and what was seen of it, in all namespaces or in one. It is nil where
// manifests are all there is.
func (l *loaded) askGraph(ctx context.Context, window time.Duration, namespace string) (*api.Graph, error) {
	if l.run == nil {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	q := api.GraphQuery{Window: window, Expand: []string{"*"}}
	if namespace != "" {
		q.Namespaces = []string{namespace}
	}
	defer l.run.plane.Close()
	return l.run.plane.Graph(ctx, q)
}

// witnesses is askGraph for verbs that do without: where the mesh does not say, or its store is away, one line on standard
// error has the reason.
func (a *app) witnesses(ctx context.Context, l *loaded, window time.Duration, namespace string) *api.Graph {
	g, err := l.askGraph(ctx, window, namespace)
	switch {
	case err != nil:
		a.note("oarlock: mesh %s does not say what was seen, so this is what its manifests say: %s", l.run.name, err)
		return nil
	case g == nil:
	case g.Trouble != "":
		a.note("oarlock: nothing is observed in mesh %s: %s", l.run.name, g.Trouble)
	default:
		a.evidence(g)
	}
	return g
}

// evidence notes what is wrong with what was seen.
func (a *app) evidence(g *api.Graph) {
	if len(g.Down) > 0 {
		a.note("oarlock: %s gave no answer to the store of observations: %s", plural(len(g.Down), "sidecar"), someOf(g.Down))
	}
	for i, f := range g.Findings {
		if i == linesShown && !a.flags.verbose {
			a.note("oarlock: %d more; -v prints every one", len(g.Findings)-i)
			return
		}
		if f.Code != graph.FindingSidecarDown && (f.Severity != graph.SeverityNote || a.flags.verbose) {
			a.note("oarlock: %s: %s", f.Severity, f.Text)
		}
	}
}

// knownCalls is what is known of who calls whom: what the manifests after a change declare, and what was seen.
func knownCalls(after *resolve.Resolver, seen *api.Graph) plan.Known {
	var k plan.Known
	for _, c := range graph.Build(after).Calls() {
		k.Calls = append(k.Calls, plan.Call(c))
	}
	if seen != nil && seen.Trouble == "" {
		k.Observed = plan.Callers(seen)
	}
	return k
}

// hostOf gives the host in the ID of a service or egress node.
func hostOf(id string) string {
	if _, host, ok := strings.Cut(id, "/"); ok {
		return host
	}
	return id
}

// rateWord gives a rate per second for a person.
func rateWord(rate float64) string {
	switch {
	case rate == 0:
		return "0"
	case rate < 0.1:
		return "<0.1"
	case rate < 10:
		return strings.TrimSuffix(fmt.Sprintf("%.1f", rate), ".0")
	case rate < 10_000:
		return fmt.Sprintf("%.0f", rate)
	}
	return fmt.Sprintf("%.0fk", rate/1000)
}

// shareWord gives a share of 0 to 1 in per cent, and never 0 % or 100 % for what is a little more or less.
func shareWord(share float64) string {
	switch p := share * 100; {
	case p > 0 && p < 1:
		return "<1%"
	case p > 99 && p < 100:
		return ">99%"
	default:
		return fmt.Sprintf("%.0f%%", p)
	}
}
