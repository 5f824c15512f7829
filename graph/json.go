package graph

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/oarlock/oarlock/mesh"
)

// apiVersion is that of the JSON shape; docs/json.md documents it.
const apiVersion = "oarlock.dev/v1"

// The JSON shapes.
type (
	graphJSON struct {
		APIVersion string     `json:"apiVersion"`
		Kind       string     `json:"kind"`
		Dialect    string     `json:"dialect"`
		Snapshot   string     `json:"snapshot,omitempty"`
		Nodes      []nodeJSON `json:"nodes"`
		Edges      []EdgeJSON `json:"edges"`
	}
	nodeJSON struct {
		ID        string   `json:"id"`
		Kind      string   `json:"kind"`
		Namespace string   `json:"namespace,omitempty"`
		Name      string   `json:"name"`
		Ref       *Place   `json:"ref,omitempty"`
		Capture   string   `json:"capture,omitempty"`
		Gateway   bool     `json:"gateway,omitempty"`
		Endpoints []string `json:"endpoints,omitempty"`
	}
)

// EdgeJSON is an edge as JSON.
type EdgeJSON struct {
	From     string        `json:"from"`
	To       string        `json:"to"`
	Port     uint32        `json:"port,omitempty"`
	Subset   string        `json:"subset,omitempty"`
	Declared *DeclaredJSON `json:"declared"` // null where there is no verdict
	Lock     string        `json:"lock"`
	Reason   string        `json:"reason,omitempty"`
	Weak     bool          `json:"weak,omitempty"`
	Sources  []SourceJSON  `json:"sources"`
}

// DeclaredJSON is the declared verdict of an edge as JSON.
type DeclaredJSON struct {
	Status string `json:"status"`
	Server string `json:"server"`
	Mode   string `json:"clientMode"`
	Wire   string `json:"wire"`
	Cause  string `json:"cause"`
	Policy *Place `json:"policy,omitempty"`
	Rule   *Place `json:"destinationRule,omitempty"`
}

// SourceJSON is the source of an edge as JSON.
type SourceJSON struct {
	Kind string `json:"kind"`
	Text string `json:"text"`
	Ref  Place  `json:"ref"`
}

// WriteJSON writes the graph as JSON with its version.
func (g *Graph) WriteJSON(w io.Writer) error {
	out := graphJSON{APIVersion: apiVersion, Kind: "Graph", Dialect: g.Dialect.String(), Snapshot: g.Version,
		Nodes: []nodeJSON{}, Edges: []EdgeJSON{}}
	for i := range g.Nodes {
		n := &g.Nodes[i]
		j := nodeJSON{ID: n.ID, Kind: n.Kind.String(), Namespace: n.Namespace, Name: n.Name, Ref: n.At.orNil(),
			Gateway: n.Gateway, Endpoints: n.Endpoints}
		if n.Kind == NodeWorkload {
			j.Capture = n.Capture.String()
		}
		out.Nodes = append(out.Nodes, j)
	}
	for i := range g.Edges {
		out.Edges = append(out.Edges, g.Edges[i].JSON(g.Dialect))
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(out); err != nil {
		return fmt.Errorf("write graph: %w", err)
	}
	return nil
}

// JSON gives the edge in its JSON shape.
func (e *Edge) JSON(d mesh.Dialect) EdgeJSON {
	out := EdgeJSON{From: e.From, To: e.To, Port: e.Port, Subset: e.Subset, Lock: e.Lock.String(), Reason: e.Reason, Weak: e.Weak()}
	if v := e.Declared; v != nil {
		out.Declared = &DeclaredJSON{Status: v.Verdict.Status.Word(d), Server: v.Verdict.Server.String(), Mode: "UNSET",
			Wire: v.Verdict.Wire.String(), Cause: v.Verdict.Cause.String(), Policy: v.Policy.orNil(), Rule: v.Rule.orNil()}
		if v.Verdict.Client != mesh.ClientUnset {
			out.Declared.Mode = v.Verdict.Client.String()
		}
	}
	for _, s := range e.Sources {
		out.Sources = append(out.Sources, SourceJSON{s.Kind.String(), s.Text, s.At})
	}
	return out
}

// orNil leaves the field out where there is no object.
func (p Place) orNil() *Place {
	if p.Ref.IsZero() {
		return nil
	}
	return &p
}
