package mesh

import "testing"

// TestConcurrency goes down the row of who may say how many processors a sidecar has: each is heard where those before it say
// nothing.
func TestConcurrency(t *testing.T) {
	n := func(v int) *int { return &v }
	object := func(namespace, name string, selector map[string]string, c *int) *ProxyConfig {
		return &ProxyConfig{Object: Object{Ref: Ref{Kind: KindProxyConfig, Namespace: namespace, Name: name}}, Selector: selector, Concurrency: c}
	}
	web := map[string]string{"app": "web"}
	for _, c := range []struct {
		name       string
		objects    []*ProxyConfig // oldest first
		annotation *int
		config     *int
		labels     map[string]string
		want       int // -1: nobody says
	}{
		{"nobody says", nil, nil, nil, web, -1},
		{"the mesh", nil, nil, n(1), web, 1},
		{"all processors", nil, nil, n(0), web, 0},
		{"the root namespace", []*ProxyConfig{object("istio-system", "all", nil, n(2))}, nil, n(1), web, 2},
		{"a selector in the root namespace", []*ProxyConfig{object("istio-system", "all", web, n(2))}, nil, n(1), web, 1},
		{"the namespace", []*ProxyConfig{object("istio-system", "all", nil, n(2)), object("shop", "all", nil, n(3))}, nil, n(1), web, 3},
		{"another namespace", []*ProxyConfig{object("bank", "all", nil, n(3)), object("bank", "web", web, n(4))}, nil, n(1), web, 1},
		{"the annotation", []*ProxyConfig{object("shop", "all", nil, n(3))}, n(4), n(1), web, 4},
		{"a selector", []*ProxyConfig{object("shop", "all", nil, n(3)), object("shop", "web", web, n(5))}, n(4), n(1), web, 5},
		{"a selector that says nothing", []*ProxyConfig{object("shop", "web", web, nil), object("shop", "later", web, n(9))}, n(4), n(1), web, 4},
		{"the older of two", []*ProxyConfig{object("shop", "b", web, n(5)), object("shop", "a", web, n(6))}, nil, nil, web, 5},
		{"the older of two without a selector", []*ProxyConfig{object("shop", "b", nil, n(5)), object("shop", "a", nil, n(6))}, nil, nil, web, 5},
		{"a namespace that says nothing", []*ProxyConfig{object("shop", "b", nil, nil), object("istio-system", "all", nil, n(2))}, nil, nil, web, 2},
		{"a selector of others", []*ProxyConfig{object("shop", "api", map[string]string{"app": "api"}, n(5))}, nil, nil, web, -1},
		{"a selector of more", []*ProxyConfig{object("shop", "api", map[string]string{"app": "web", "v": "2"}, n(5))}, nil, nil, web, -1},
		{"an empty selector", []*ProxyConfig{object("shop", "none", map[string]string{}, n(5))}, nil, nil, web, -1},
		{"no labels", []*ProxyConfig{object("shop", "web", web, n(5)), object("shop", "all", nil, n(3))}, n(4), nil, nil, 4},
	} {
		s := &Snapshot{Config: DefaultConfig(), ProxyConfigs: c.objects}
		s.Config.Concurrency = c.config
		w := &Workload{Object: Object{Ref: Ref{Kind: KindPod, Namespace: "shop", Name: "web-1"}}, Labels: c.labels, Concurrency: c.annotation}
		got := -1
		if v := s.Concurrency(w); v != nil {
			got = *v
		}
		if got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}
