package graph

import (
	"encoding/json"
	"fmt"
	"io"

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

// JSON gives the graph in its JSON shape; docs/json.md documents it.
func (g *Graph) JSON() *api.Graph {
	out := &api.Graph{Head: api.Head{APIVersion: api.Version, Kind: "Graph"}, Dialect: g.Dialect.String(), Snapshot: g.Version,
		Nodes: []api.GraphNode{}, Edges: []api.Edge{}}
	for i := range g.Nodes {
		n := &g.Nodes[i]
		j := api.GraphNode{ID: n.ID, Kind: n.Kind.String(), Namespace: n.Namespace, Name: n.Name, Ref: n.At.orNil(),
			Gateway: n.Gateway, Endpoints: n.Endpoints}
		if n.Kind == NodeWorkload {
			j.Capture = n.Capture.String()
		}
		out.Nodes = append(out.Nodes, j)
	}
	for i := range g.Edges {
		out.Edges = append(out.Edges, g.Edges[i].JSON(g.Dialect))
	}
	return out
}

// JSON gives the edge in its JSON shape.
func (e *Edge) JSON(d mesh.Dialect) api.Edge {
	out := api.Edge{From: e.From, To: e.To, Port: e.Port, Subset: e.Subset, Lock: e.Lock.String(), Reason: e.Reason, Weak: e.Weak()}
	if v := e.Declared; v != nil {
		out.Declared = &api.Declared{Status: v.Verdict.Status.Word(d), Server: v.Verdict.Server.String(), Mode: "UNSET",
			Wire: v.Verdict.Wire.String(), Cause: v.Verdict.Cause.String(), Policy: v.Policy.orNil(), Rule: v.Rule.orNil()}
		if v.Verdict.Client != mesh.ClientUnset {
			out.Declared.Mode = v.Verdict.Client.String()
		}
	}
	for _, s := range e.Sources {
		out.Sources = append(out.Sources, api.EdgeSource{Kind: s.Kind.String(), Text: s.Text, Ref: s.At.orNil()})
	}
	return out
}

// orNil leaves the field out where there is no object.
func (p Place) orNil() *api.Place {
	if p.Ref.IsZero() {
		return nil
	}
	return &api.Place{Ref: api.Ref{Kind: string(p.Kind), Namespace: p.Namespace, Name: p.Name},
		Origin: api.Origin{File: p.File, Line: p.Line, Col: p.Col, ResourceVersion: p.ResourceVersion}}
}
