package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/oarlock/oarlock/api"
	"github.com/oarlock/oarlock/graph"
	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/metrics"
	"github.com/oarlock/oarlock/probe"
	"github.com/oarlock/oarlock/resolve"
)

// graphOf makes a graph of a running mesh's answer, so that it is drawn and printed as that of manifests is. What a newer
// control plane says and this version does not know is left out.
func graphOf(in *api.Graph, d mesh.Dialect) *graph.Graph {
	out := &graph.Graph{Version: in.Snapshot, Dialect: d, Down: in.Down, Trouble: in.Trouble, Findings: findingsOf(in.Findings)}
	if w := in.Window; w != nil {
		out.Start, out.End, out.Newest = w.Start, w.End, w.Newest
	}
	for i := range in.Nodes {
		out.Nodes = append(out.Nodes, seenNode(&in.Nodes[i]))
	}
	for i := range in.Edges {
		out.Edges = append(out.Edges, seenEdge(&in.Edges[i]))
	}
	return out
}

func seenNode(n *api.GraphNode) graph.Node {
	out := graph.Node{ID: n.ID, Kind: valueOf(graph.NodeOutside, n.Kind), Namespace: n.Namespace, Name: n.Name, At: graphPlace(n.Ref),
		Capture: valueOf(mesh.CaptureAmbient, n.Capture), Gateway: n.Gateway, Endpoints: n.Endpoints, App: n.App, Version: n.Version,
		Mode: n.Mode, Findings: findingsOf(n.Findings)}
	if t := n.Traffic; t != nil {
		out.Traffic = graph.Traffic{In: t.In, InErrors: t.InErrors, InFailures: t.InFailures, Out: t.Out, OutErrors: t.OutErrors,
			OutFailures: t.OutFailures, MTLS: t.MTLS, Known: t.Known}
	}
	return out
}

func seenEdge(e *api.Edge) graph.Edge {
	out := graph.Edge{From: e.From, To: e.To, Port: e.Port, Subset: e.Subset, Declared: declaredOf(e.Declared), Lock: valueOf(graph.LockBroken, e.Lock),
		Reason: e.Reason, Observed: observedOf(e.Observed), Findings: findingsOf(e.Findings)}
	for _, s := range e.Sources {
		out.Sources = append(out.Sources, graph.Source{Kind: valueOf(graph.SourceTraffic, s.Kind), Text: s.Text, At: graphPlace(s.Ref)})
	}
	for i := range e.Shares {
		s := &e.Shares[i]
		out.Shares = append(out.Shares, graph.Share{Workload: s.Workload, Observed: *observedOf(&s.Observed), Lock: valueOf(graph.LockBroken, s.Lock)})
	}
	if p := e.Proven; p != nil {
		out.Proof = &graph.Proof{From: p.From, To: e.To, Port: e.Port, At: p.At, Problem: p.Problem}
		if p.Problem == "" {
			out.Proof.Result = &probe.Result{Mode: probe.Mode(p.Mode), Proof: p.Proof}
		}
	}
	if c := e.Changed; c != nil {
		out.Changed = &graph.Changed{Since: c.Since, InForce: c.InForce, Total: c.Total}
	}
	return out
}

func declaredOf(in *api.Declared) *graph.Declared {
	if in == nil {
		return nil
	}
	v := resolve.Verdict{Status: valueOf(resolve.StatusUnknown, in.Status), Server: valueOf(resolve.ServerMixed, in.Server), Client: valueOf(mesh.ClientIstioMutual, in.Mode), Wire: valueOf(resolve.WireUnknown, in.Wire),
		Policy: resolve.None, Rule: resolve.None}
	for c := resolve.CauseNone; c.String() != ""; c++ {
		if c.String() == in.Cause {
			v.Cause = c
		}
	}
	return &graph.Declared{Verdict: v, Policy: graphPlace(in.Policy), Rule: graphPlace(in.Rule)}
}

func observedOf(o *api.Observed) *graph.Observed {
	if o == nil {
		return nil
	}
	out := &graph.Observed{Start: o.Start, End: o.End, Newest: o.Newest, Reporters: o.Reporters, Protocol: o.Protocol, Requests: o.Requests,
		Errors: o.Errors, Connections: o.Connections, Received: o.Received, Sent: o.Sent, Failures: o.Failures, Lost: o.Lost, MTLS: o.MTLS, Known: o.Known,
		P50: milliseconds(o.P50), P90: milliseconds(o.P90), P99: milliseconds(o.P99), SourcePrincipals: o.SourcePrincipals,
		DestinationPrincipals: o.DestinationPrincipals, Policies: o.Policies}
	for _, c := range o.Causes {
		out.Causes = append(out.Causes, metrics.CauseRate{Cause: c.Cause, Failures: c.Failures})
	}
	return out
}

func milliseconds(ms float64) time.Duration { return time.Duration(ms * float64(time.Millisecond)) }

func findingsOf(in []api.Finding) []graph.Finding {
	var out []graph.Finding
	for _, f := range in {
		out = append(out, graph.Finding{Code: f.Code, Severity: f.Severity, Text: f.Text})
	}
	return out
}

func graphPlace(p *api.Place) graph.Place {
	if p == nil {
		return graph.Place{}
	}
	return graph.Place{Ref: meshRef(p.Ref), Origin: mesh.Origin{File: shortPath(p.File), Line: p.Line, Col: p.Col, ResourceVersion: p.ResourceVersion}}
}

// valueOf finds the value of an enumeration that has a word; its zero where none has. last is the greatest of them.
func valueOf[T interface {
	~uint8
	fmt.Stringer
}](last T, word string) T {
	for v := T(0); ; v++ {
		if v.String() == word {
			return v
		}
		if v == last {
			return 0
		}
	}
}

// sightings are what was seen and proven of the ports of services, by who calls.
type sightings map[sightKey][]sighting

type sightKey struct {
	host   string
	port   uint32
	subset string
}

type sighting struct {
	client mesh.Ref // zero for callers that nobody can name
	edge   *graph.Edge
}

// sightingsOf sorts the edges of a graph.
func sightingsOf(g *graph.Graph) sightings {
	at := make(map[string]*graph.Node, len(g.Nodes))
	for i := range g.Nodes {
		at[g.Nodes[i].ID] = &g.Nodes[i]
	}
	out := sightings{}
	for i := range g.Edges {
		e := &g.Edges[i]
		from := at[e.From]
		if from == nil || from.At.Ref.IsZero() && from.Kind != graph.NodeOutside {
			continue
		}
		key := sightKey{hostOf(e.To), e.Port, e.Subset}
		out[key] = append(out[key], sighting{from.At.Ref, e})
	}
	return out
}

// callers names the clients of a class as a graph does: by the pod, or by the workload that it is of.
func callers(c resolve.Class) map[mesh.Ref]bool {
	out := map[mesh.Ref]bool{}
	if c.Client.Workload == nil {
		out[mesh.Ref{}] = true
	}
	for _, w := range slices.Concat(c.Members, []*mesh.Workload{c.Client.Workload}) {
		if w == nil {
			continue
		}
		out[w.Ref] = true
		if !w.Owner.IsZero() {
			out[w.Owner] = true
		}
	}
	return out
}

// of adds up what was seen of some clients and one target, and gives the newest proof; nil for what there is none of.
func (s sightings) of(who map[mesh.Ref]bool, key sightKey) (*graph.Observed, *graph.Proof) {
	var seen *graph.Observed
	var proof *graph.Proof
	for _, one := range s[key] {
		if !who[one.client] {
			continue
		}
		if p := one.edge.Proof; p != nil && p.Result != nil && (proof == nil || p.At.After(proof.At)) {
			proof = p
		}
		if o := one.edge.Observed; o != nil {
			seen = plusSeen(seen, o)
		}
	}
	return seen, proof
}

// plusSeen adds what was seen of two edges. Shares count by the traffic that they are of, and latencies of both there are none.
func plusSeen(sum, o *graph.Observed) *graph.Observed {
	if sum == nil {
		one := *o
		return &one
	}
	was, more := sum.Requests+sum.Connections, o.Requests+o.Connections
	known := sum.Known*was + o.Known*more
	out := *sum
	if known > 0 {
		out.MTLS = (sum.MTLS*sum.Known*was + o.MTLS*o.Known*more) / known
	}
	if was+more > 0 {
		out.Known = known / (was + more)
	}
	out.Requests, out.Connections = sum.Requests+o.Requests, sum.Connections+o.Connections
	out.Errors, out.Failures, out.Lost = sum.Errors+o.Errors, sum.Failures+o.Failures, sum.Lost+o.Lost
	out.Received, out.Sent = sum.Received+o.Received, sum.Sent+o.Sent
	if o.Start.Before(out.Start) {
		out.Start = o.Start
	}
	if o.Newest.After(out.Newest) {
		out.Newest = o.Newest
	}
	if out.P50, out.P90, out.P99 = 0, 0, 0; sum.Requests == 0 || o.Requests == 0 {
		out.P50, out.P90, out.P99 = sum.P50+o.P50, sum.P90+o.P90, sum.P99+o.P99 // one of them is none
	}
	out.Reporters, out.Protocol = both(sum.Reporters, o.Reporters), both(sum.Protocol, o.Protocol)
	out.SourcePrincipals, out.DestinationPrincipals = union(sum.SourcePrincipals, o.SourcePrincipals), union(sum.DestinationPrincipals, o.DestinationPrincipals)
	out.Policies, out.Causes = union(sum.Policies, o.Policies), plusCauses(sum.Causes, o.Causes)
	return &out
}

// both joins words that stand with a plus between them.
func both(x, y string) string {
	return strings.Join(union(strings.Split(x, "+"), strings.Split(y, "+")), "+")
}

// union gives the words of two lists in order, without those that are empty.
func union(x, y []string) []string {
	all := slices.DeleteFunc(slices.Concat(x, y), func(s string) bool { return s == "" })
	slices.Sort(all)
	return slices.Compact(all)
}

// plusCauses adds rates, the most frequent first.
func plusCauses(x, y []metrics.CauseRate) []metrics.CauseRate {
	out := slices.Clone(x)
	for _, c := range y {
		i := slices.IndexFunc(out, func(o metrics.CauseRate) bool { return o.Cause == c.Cause })
		if i < 0 {
			out = append(out, c)
			continue
		}
		out[i].Failures += c.Failures
	}
	slices.SortFunc(out, func(a, b metrics.CauseRate) int {
		return cmp.Or(cmp.Compare(b.Failures, a.Failures), cmp.Compare(a.Cause, b.Cause))
	})
	return out
}
