package web

import (
	"context"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/oarlock/oarlock/api"
	"github.com/oarlock/oarlock/metrics"
)

// asked is a store that keeps what it was asked last.
type asked struct {
	knock
	last metrics.TrendQuery
}

func (a *asked) Trend(_ context.Context, q metrics.TrendQuery) (*metrics.Trend, error) {
	a.last = q
	return &metrics.Trend{}, nil
}

// TestTrendOfAnEdge holds that the trend of an edge is of both of its ends, where both have names that series can have.
func TestTrendOfAnEdge(t *testing.T) {
	nodes := map[string]*api.GraphNode{}
	for _, n := range []api.GraphNode{{ID: "workload/shop/web.Deployment", Kind: "workload", Namespace: "shop", Name: "web"},
		{ID: "service/api.shop.svc.cluster.local", Kind: "service", Namespace: "shop", Name: "api"},
		{ID: "outside", Kind: "outside", Name: "unknown callers"}, {ID: "ingress/shop/gate", Kind: "ingress", Namespace: "shop", Name: "gate"},
		{ID: "egress/db.example.com", Kind: "egress", Name: "db.example.com"}} {
		nodes[n.ID] = &n
	}
	p := &picture{nodes: nodes}
	const web, service, egress = "workload/shop/web.Deployment", "service/api.shop.svc.cluster.local", "egress/db.example.com"
	for _, c := range []struct {
		from, to string
		want     *metrics.TrendQuery
	}{
		{web, service, &metrics.TrendQuery{Service: "api.shop.svc.cluster.local", SourceNamespace: "shop", SourceWorkload: "web"}},
		{web, egress, &metrics.TrendQuery{Service: "db.example.com", SourceNamespace: "shop", SourceWorkload: "web"}},
		{"outside", web, &metrics.TrendQuery{Namespace: "shop", Workload: "web", SourceWorkload: "unknown"}},
		{"ingress/shop/gate", service, nil},
		{web, "outside", nil},
	} {
		store := &asked{}
		a, err := NewAPI(Options{Flows: store})
		if err != nil {
			t.Fatal(err)
		}
		key := trendOfEdge(p, &api.Edge{From: c.from, To: c.to}, time.Hour)
		if seen := a.trendOf(t.Context(), key); (seen == nil) != (c.want == nil) {
			t.Errorf("%s to %s: %+v", c.from, c.to, seen)
		}
		if store.last.Window, store.last.Step = (metrics.Window{}), 0; c.want != nil && store.last != *c.want {
			t.Errorf("%s to %s: asked %+v, want %+v", c.from, c.to, store.last, *c.want)
		}
	}
}

// TestTrendAsks holds that each parameter of /v1/trend is asked for.
func TestTrendAsks(t *testing.T) {
	store := &asked{}
	a, err := NewAPI(Options{Flows: store})
	if err != nil {
		t.Fatal(err)
	}
	_, err = a.trend(httptest.NewRequest("GET", "/v1/trend?window=2m&points=60&namespace=a&service=b&workload=c&sourceNamespace=d&sourceWorkload=e", nil))
	want := metrics.TrendQuery{Window: metrics.Window{Length: 2 * time.Minute}, Step: 2 * time.Second, Namespace: "a", Service: "b", Workload: "c",
		SourceNamespace: "d", SourceWorkload: "e"}
	if err != nil || store.last != want {
		t.Errorf("asked %+v, want %+v: %v", store.last, want, err)
	}
}
