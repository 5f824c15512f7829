package web

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/oarlock/oarlock/api"
	"github.com/oarlock/oarlock/graph"
)

// maxDrawings bounds the parts of the mesh that are drawn at a time, and whose positions are remembered.
const maxDrawings = 16

// drawings draws pictures, or parts of them. A node stays where it was drawn last.
type drawings struct {
	shapes *shared[drawingKey, *drawing]

	mu   sync.Mutex
	last map[string]*graph.Layout // by part
	used []string                 // parts, the one used last at the end
}

// drawingKey is what was asked for.
type drawingKey struct {
	window time.Duration
	part   string
	layout bool
}

// drawing is an answer, and the picture that it is of.
type drawing struct {
	of    *picture
	shape *api.Graph
	text  ready // shape in JSON, for all who ask
}

// ready is an answer that is JSON already.
type ready []byte

func newDrawings() *drawings {
	return &drawings{shapes: newShared[drawingKey, *drawing](mostWindow, maxDrawings), last: map[string]*graph.Layout{}}
}

// shape is the graph of a picture, or what of it touches some namespaces. Of a large one, groups that expand does not name
// are one node each; "*" names all.
func (d *drawings) shape(ctx context.Context, p *picture, namespaces, expand []string, layout bool) (ready, error) {
	slices.Sort(namespaces)
	slices.Sort(expand)
	key := drawingKey{p.window, strings.Join(namespaces, "\n") + "\n\n" + strings.Join(expand, "\n"), layout}
	one, err := d.shapes.get(ctx, key, func(have *drawing) bool { return have.of == p }, func(context.Context) (*drawing, error) {
		g := p.graph
		if len(namespaces) > 0 {
			g = within(g, namespaces)
		}
		if !slices.Contains(expand, "*") {
			g = g.Collapse(expand...)
		}
		out := g.JSON()
		out.Mesh = p.shape.Mesh
		if layout {
			out.Layout = d.layout(key.part, g)
		}
		text, err := json.Marshal(out)
		return &drawing{p, out, append(text, '\n')}, err
	})
	if err != nil {
		return nil, err
	}
	return one.text, nil
}

// edge finds an edge of a drawing in which groups are single nodes, with its ends; nil where no drawing has it.
func (d *drawings) edge(id string) (e *api.Edge, from, to *api.GraphNode) {
	for _, g := range d.recent() {
		i := slices.IndexFunc(g.Edges, func(e api.Edge) bool { return e.ID == id })
		if i >= 0 {
			return &g.Edges[i], nodeIn(g, g.Edges[i].From), nodeIn(g, g.Edges[i].To)
		}
	}
	return nil, nil, nil
}

// node finds a node of a drawing, with the drawing; nil where none has it.
func (d *drawings) node(id string) (*api.GraphNode, *api.Graph) {
	for _, g := range d.recent() {
		if i := slices.IndexFunc(g.Nodes, func(n api.GraphNode) bool { return n.ID == id }); i >= 0 {
			return &g.Nodes[i], g
		}
	}
	return nil, nil
}

func nodeIn(g *api.Graph, id string) *api.GraphNode {
	if i := slices.IndexFunc(g.Nodes, func(n api.GraphNode) bool { return n.ID == id }); i >= 0 {
		return &g.Nodes[i]
	}
	return &api.GraphNode{ID: id, Kind: "namespace", Name: id}
}

// recent are the drawings that are kept, the newest first.
func (d *drawings) recent() []*api.Graph {
	var out []*api.Graph
	for _, one := range d.shapes.all() {
		out = append(out, one.shape)
	}
	return out
}

// layout draws a part, with its nodes where they were.
func (d *drawings) layout(part string, g *graph.Graph) *api.Layout {
	d.mu.Lock()
	defer d.mu.Unlock()
	l := g.Layout(d.last[part])
	d.last[part] = l
	d.used = append(slices.DeleteFunc(d.used, func(s string) bool { return s == part }), part)
	if len(d.used) > maxDrawings {
		delete(d.last, d.used[0])
		d.used = d.used[1:]
	}
	return l.JSON()
}

// within is the part of a graph that touches some namespaces: what lives there, and the far ends of its edges.
func within(g *graph.Graph, namespaces []string) *graph.Graph {
	out := *g
	out.Nodes, out.Edges = nil, nil
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
		if n := &g.Nodes[i]; keep[n.ID] || n.Kind == graph.NodeNamespace && boxes[n.Name] {
			out.Nodes = append(out.Nodes, *n)
		}
	}
	return &out
}
