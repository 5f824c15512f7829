package web

import (
	"slices"

	"github.com/oarlock/oarlock/api"
)

// drawings draws pictures.
type drawings struct{}

func newDrawings() *drawings { return &drawings{} }

// shape is the graph of a picture as it was asked for.
func (d *drawings) shape(p *picture, namespaces, expand []string, layout bool) *api.Graph {
	out := *p.shape
	if len(namespaces) > 0 {
		out = *within(&out, namespaces)
	}
	return &out
}

// within is the part of a graph that touches some namespaces: their nodes, and the far ends of their edges.
func within(g *api.Graph, namespaces []string) *api.Graph {
	out := *g
	out.Nodes, out.Edges = []api.GraphNode{}, []api.Edge{}
	inside, keep, boxes := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for i := range g.Nodes {
		if n := &g.Nodes[i]; slices.Contains(namespaces, n.Namespace) {
			inside[n.ID], keep[n.ID] = true, true
		}
	}
	for i := range g.Edges {
		if e := &g.Edges[i]; inside[e.From] || inside[e.To] {
			out.Edges = append(out.Edges, *e)
			keep[e.From], keep[e.To] = true, true
		}
	}
	for i := range g.Nodes {
		if keep[g.Nodes[i].ID] {
			boxes[g.Nodes[i].Namespace] = true
		}
	}
	for i := range g.Nodes {
		if n := &g.Nodes[i]; keep[n.ID] || n.Kind == "namespace" && boxes[n.Name] {
			out.Nodes = append(out.Nodes, *n)
		}
	}
	return &out
}
