package graph

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/oarlock/oarlock/api"
	"github.com/oarlock/oarlock/mesh"
)

// WriteJSON writes the graph as JSON with its version.
func (g *Graph) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(g.JSON()); err != nil {
		return fmt.Errorf("write graph: %w", err)
	}
	return nil
}

// JSON gives the graph in its JSON shape; docs/json.md documents it. The layout is the caller's to add.
func (g *Graph) JSON() *api.Graph {
	out := &api.Graph{Head: api.Head{APIVersion: api.Version, Kind: "Graph"}, Dialect: g.Dialect.String(), Snapshot: g.Version,
		Nodes: []api.GraphNode{}, Edges: []api.Edge{}, Trouble: g.Trouble, Down: g.Down, Findings: findingsJSON(g.Findings)}
	if !g.End.IsZero() {
		out.Window = &api.Window{Start: g.Start, End: g.End, Newest: g.Newest}
	}
	for i := range g.Nodes {
		out.Nodes = append(out.Nodes, g.Nodes[i].JSON())
	}
	for i := range g.Edges {
		out.Edges = append(out.Edges, g.Edges[i].JSON())
	}
	return out
}

// JSON gives the node in its JSON shape.
func (n *Node) JSON() api.GraphNode {
	out := api.GraphNode{ID: n.ID, Kind: n.Kind.String(), Namespace: n.Namespace, Name: n.Name, Ref: n.At.orNil(),
		Gateway: n.Gateway, Endpoints: n.Endpoints, App: n.App, Version: n.Version, Mode: n.Mode,
		Findings: findingsJSON(n.Findings), Members: n.Members}
	if n.Kind == NodeWorkload {
		out.Capture = n.Capture.String()
	}
	if t := n.Traffic; t != (Traffic{}) {
		out.Traffic = &api.Traffic{In: t.In, InErrors: t.InErrors, InFailures: t.InFailures, Out: t.Out, OutErrors: t.OutErrors,
			OutFailures: t.OutFailures, MTLS: t.MTLS, Known: t.Known}
	}
	if n.Members > 0 {
		out.Inside = n.Inside.json()
	}
	return out
}

// JSON gives the edge in its JSON shape.
func (e *Edge) JSON() api.Edge {
	out := api.Edge{ID: e.ID(), From: e.From, To: e.To, Port: e.Port, Subset: e.Subset, Lock: e.Lock.String(), Reason: e.Reason,
		Weak: e.Weak(), Sources: []api.EdgeSource{}, Findings: findingsJSON(e.Findings), Members: e.Members}
	if v := e.Declared; v != nil {
		out.Declared = &api.Declared{Status: v.Verdict.Status.String(), Server: v.Verdict.Server.String(), Mode: "UNSET",
			Wire: v.Verdict.Wire.String(), Cause: v.Verdict.Cause.String(), Policy: v.Policy.orNil(), Rule: v.Rule.orNil()}
		if v.Verdict.Client != mesh.ClientUnset {
			out.Declared.Mode = v.Verdict.Client.String()
		}
	}
	if e.Observed != nil {
		o := e.Observed.JSON()
		out.Observed = &o
	}
	if e.Proof != nil {
		out.Proven = e.Proof.JSON()
	}
	for _, s := range e.Sources {
		out.Sources = append(out.Sources, api.EdgeSource{Kind: s.Kind.String(), Text: s.Text, Ref: s.At.orNil()})
	}
	for i := range e.Shares {
		s := &e.Shares[i]
		out.Shares = append(out.Shares, api.Share{Workload: s.Workload, Observed: s.Observed.JSON(), Lock: s.Lock.String()})
	}
	if c := e.Changed; c != nil {
		out.Changed = &api.Changed{Since: c.Since, InForce: c.InForce, Total: c.Total}
	}
	if e.Members > 0 {
		out.Locks = e.Locks.json()
	}
	return out
}

// JSON gives what was observed in its JSON shape.
func (o *Observed) JSON() api.Observed {
	out := api.Observed{Start: o.Start, End: o.End, Newest: o.Newest, Reporters: o.Reporters, Protocol: o.Protocol,
		Requests: o.Requests, Errors: o.Errors, Connections: o.Connections, Received: o.Received, Sent: o.Sent,
		Failures: o.Failures, Lost: o.Lost, MTLS: o.MTLS, Known: o.Known,
		P50: milliseconds(o.P50), P90: milliseconds(o.P90), P99: milliseconds(o.P99),
		SourcePrincipals: o.SourcePrincipals, DestinationPrincipals: o.DestinationPrincipals, Policies: o.Policies}
	for _, c := range o.Causes {
		out.Causes = append(out.Causes, api.Cause{Cause: c.Cause, Failures: c.Failures})
	}
	return out
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// JSON gives what was proven in its JSON shape.
func (p *Proof) JSON() *api.Proven {
	out := &api.Proven{From: p.From, At: p.At, Problem: p.Problem}
	if p.Result != nil {
		out.Mode, out.Proof = string(p.Result.Mode), p.Result.Proof
	}
	return out
}

func findingsJSON(all []Finding) []api.Finding {
	var out []api.Finding
	for _, f := range all {
		out = append(out, api.Finding{Code: f.Code, Severity: f.Severity, Text: f.Text})
	}
	return out
}

func (c *LockCount) json() *api.Locks {
	return &api.Locks{Broken: c[LockBroken], Open: c[LockOpen], Mixed: c[LockMixed], Unknown: c[LockUnknown], Locked: c[LockLocked]}
}

// JSON gives the layout in its JSON shape.
func (l *Layout) JSON() *api.Layout {
	out := &api.Layout{Width: l.Width, Height: l.Height, Nodes: make(map[string]api.Position, len(l.Nodes)), Boxes: []api.Box{}}
	for id, p := range l.Nodes {
		out.Nodes[id] = api.Position{X: p.X, Y: p.Y}
	}
	for _, b := range l.Boxes {
		out.Boxes = append(out.Boxes, api.Box{ID: b.ID, X: b.X, Y: b.Y, Width: b.Width, Height: b.Height})
	}
	if len(l.Lines) > 0 {
		out.Lines = make(map[string][]api.Position, len(l.Lines))
	}
	for id, line := range l.Lines {
		points := make([]api.Position, len(line))
		for i, p := range line {
			points[i] = api.Position{X: tenth(p.X), Y: tenth(p.Y)}
		}
		out.Lines[id] = points
	}
	return out
}

// tenth is a length of which a tenth of a pixel matters.
func tenth(v float64) float64 { return math.Round(v*10) / 10 }

// orNil leaves the field out where there is no object.
func (p Place) orNil() *api.Place {
	if p.Ref.IsZero() {
		return nil
	}
	return &api.Place{Ref: api.Ref{Kind: string(p.Kind), Namespace: p.Namespace, Name: p.Name},
		Origin: api.Origin{File: p.File, Line: p.Line, Col: p.Col, ResourceVersion: p.ResourceVersion}}
}
