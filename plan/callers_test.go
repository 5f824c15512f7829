package plan

import (
	"testing"
	"time"

	"github.com/oarlock/oarlock/api"
	"github.com/oarlock/oarlock/metrics"
)

// TestCallers: who is known to call, and who is too rare, or refused, or of no manifest.
func TestCallers(t *testing.T) {
	end := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	ref := func(name string) *api.Place {
		return &api.Place{Ref: api.Ref{Kind: "Deployment", Namespace: "shop", Name: name}}
	}
	nodes := []api.GraphNode{
		{ID: "workload/shop/web.Deployment", Kind: "workload", Ref: ref("web")}, {ID: "workload/shop/ghost", Kind: "workload"},
		{ID: "outside/unknown", Kind: "outside"},
	}
	edge := func(from, host string, port uint32, lock string, seen *api.Observed) api.Edge {
		return api.Edge{From: from, To: "service/" + host, Port: port, Lock: lock, Observed: seen}
	}
	for _, c := range []struct {
		name string
		edge api.Edge
		want metrics.Flow // with a zero Service where there is none
	}{
		{"named", edge("workload/shop/web.Deployment", "api.shop", 80, "open", &api.Observed{Requests: 2}),
			metrics.Flow{Source: metrics.Peer{Namespace: "shop", Workload: "web"}, Service: metrics.Service{Host: "api.shop"}, Port: 80, Requests: 2}},
		{"named and refused", edge("workload/shop/web.Deployment", "api.shop", 80, "broken", &api.Observed{Requests: 0.01}),
			metrics.Flow{Source: metrics.Peer{Namespace: "shop", Workload: "web"}, Service: metrics.Service{Host: "api.shop"}, Port: 80, Requests: 0.01}},
		{"not seen", edge("workload/shop/web.Deployment", "api.shop", 80, "unknown", nil), metrics.Flow{}},
		{"of no manifest", edge("workload/shop/ghost", "api.shop", 80, "open", &api.Observed{Requests: 2}), metrics.Flow{}},
		{"of no node", edge("workload/shop/none", "api.shop", 80, "open", &api.Observed{Requests: 2}), metrics.Flow{}},
		{"nameless", edge("outside/unknown", "api.shop", 80, "open", &api.Observed{Connections: 3}),
			metrics.Flow{Service: metrics.Service{Host: "api.shop"}, Port: 80, Connections: 3}},
		{"nameless and refused", edge("outside/unknown", "api.shop", 80, "broken", &api.Observed{Requests: 2}), metrics.Flow{}},
		{"nameless and rare", edge("outside/unknown", "api.shop", 80, "open", &api.Observed{Requests: strayRate / 2}), metrics.Flow{}},
		{"nameless beside many", edge("outside/unknown", "busy.shop", 80, "open", &api.Observed{Requests: 2}), metrics.Flow{}},
		{"nameless at another port", edge("outside/unknown", "busy.shop", 81, "open", &api.Observed{Requests: 2}),
			metrics.Flow{Service: metrics.Service{Host: "busy.shop"}, Port: 81, Requests: 2}},
	} {
		busy := edge("workload/shop/ghost", "busy.shop", 80, "open", &api.Observed{Requests: 50})
		g := &api.Graph{Window: &api.Window{Start: end.Add(-time.Minute), End: end, Newest: end}, Down: []string{"x"}, Nodes: nodes, Edges: []api.Edge{c.edge, busy}}
		got := Callers(g)
		if !got.End.Equal(end) || !got.Start.Equal(g.Window.Start) || !got.Newest.Equal(end) || len(got.Down) != 1 {
			t.Errorf("%s: %+v", c.name, got)
		}
		c.want.Reporter = metrics.Destination
		switch none := c.want.Service.Host == ""; {
		case none && len(got.Flows) > 0, !none && len(got.Flows) != 1:
			t.Errorf("%s: %+v, want %+v", c.name, got.Flows, c.want)
		case !none && marshal(t, got.Flows[0]) != marshal(t, c.want):
			t.Errorf("%s: %+v, want %+v", c.name, got.Flows[0], c.want)
		}
	}
	if Callers(&api.Graph{Nodes: nodes}) != nil {
		t.Error("nobody looked, and something was seen")
	}
}
