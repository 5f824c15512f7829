package proxy

import (
	"net/netip"
	"strings"
	"testing"
)

// requestOf reads a head for a test; lines are separated by a bar.
func requestOf(t *testing.T, lines string) *head {
	t.Helper()
	p, err := parse([]byte(strings.ReplaceAll(lines, "|", "\r\n")+"\r\n\r\n"), requestHead, 1<<20)
	if err != nil {
		t.Fatalf("%s: %v", lines, err)
	}
	return &p.head
}

func TestRouteHosts(t *testing.T) {
	table, err := newRoutes(&RouteTable{Hosts: []*VirtualHost{
		{Name: "api", Domains: []string{"api.shop.svc.cluster.local", "api.shop", "API:80", "10.0.0.1"}},
		{Name: "api8080", Domains: []string{"api.shop:8080"}},
		{Name: "suffix", Domains: []string{"*.example.org"}},
		{Name: "longer", Domains: []string{"*.a.example.org"}},
		{Name: "prefix", Domains: []string{"www.*"}},
		{Name: "any", Domains: []string{"*"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]string{
		"api.shop": "api", "Api.Shop.svc.cluster.LOCAL": "api", "api:80": "api", "api.shop:8080": "api8080", "api.shop:81": "api",
		"10.0.0.1": "api", "10.0.0.1:80": "api", "x.example.org": "suffix", "x.a.example.org": "longer", ".example.org": "any",
		"www.shop": "prefix", "www.": "any", "www.x.example.org": "suffix", "": "any", "[::1]:80": "any",
		strings.Repeat("x", 300) + "A": "any",
	} {
		if got := table.host([]byte(host)); got == nil || got.Name != want {
			t.Errorf("%s is of %v, want %s", host, got, want)
		}
	}
}

func TestRouteTableIsRefused(t *testing.T) {
	route := func(r Route) *RouteTable {
		return &RouteTable{Hosts: []*VirtualHost{{Name: "v", Domains: []string{"*"}, Routes: []*Route{&r}}}}
	}
	for name, table := range map[string]*RouteTable{
		"regex":  route(Route{Match: RouteMatch{Regex: "("}}),
		"header": route(Route{Match: RouteMatch{Headers: []HeaderMatch{{Name: "a", Regex: "("}}}}),
		"exact":  {Hosts: []*VirtualHost{{Name: "v", Domains: []string{"a", "A"}}}},
		"suffix": {Hosts: []*VirtualHost{{Name: "v", Domains: []string{"*.a"}}, {Name: "w", Domains: []string{"*.a"}}}},
		"prefix": {Hosts: []*VirtualHost{{Name: "v", Domains: []string{"a.*", "a.*"}}}},
		"any":    {Hosts: []*VirtualHost{{Name: "v", Domains: []string{"*"}}, {Name: "w", Domains: []string{"*"}}}},
	} {
		if _, err := newRoutes(table); err == nil || !strings.Contains(err.Error(), `virtual host "`) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRouteMatches(t *testing.T) {
	for _, c := range []struct {
		name    string
		match   RouteMatch
		yes, no []string
	}{
		{"all", RouteMatch{Prefix: "/"}, []string{"GET / HTTP/1.1|Host: a", "OPTIONS * HTTP/1.1|Host: a"}, nil},
		{"path", RouteMatch{Path: "/a"}, []string{"GET /a?x HTTP/1.1|Host: a"}, []string{"GET /a/ HTTP/1.1|Host: a", "GET /A HTTP/1.1|Host: a"}},
		{"path whatever its case", RouteMatch{Path: "/a", IgnoreCase: true}, []string{"GET /A HTTP/1.1|Host: a"}, []string{"GET /b HTTP/1.1|Host: a"}},
		{"prefix", RouteMatch{Prefix: "/a"}, []string{"GET /ab?x HTTP/1.1|Host: a"}, []string{"GET / HTTP/1.1|Host: a", "GET /?/a HTTP/1.1|Host: a"}},
		{"prefix whatever its case", RouteMatch{Prefix: "/Ab", IgnoreCase: true}, []string{"GET /aBc HTTP/1.1|Host: a"}, []string{"GET /ac HTTP/1.1|Host: a"}},
		{"regex", RouteMatch{Regex: "/[0-9]+|/x"}, []string{"GET /12?y HTTP/1.1|Host: a", "GET /x HTTP/1.1|Host: a"}, []string{"GET /12a HTTP/1.1|Host: a", "GET /xy HTTP/1.1|Host: a"}},
		{"header", RouteMatch{Headers: []HeaderMatch{{Name: "X-User", Exact: "joe"}}}, []string{"GET / HTTP/1.1|Host: a|x-user: joe"}, []string{"GET / HTTP/1.1|Host: a|x-user: jo", "GET / HTTP/1.1|Host: a"}},
		{"header there", RouteMatch{Headers: []HeaderMatch{{Name: "x"}}}, []string{"GET / HTTP/1.1|Host: a|X:"}, []string{"GET / HTTP/1.1|Host: a"}},
		{"header not there", RouteMatch{Headers: []HeaderMatch{{Name: "x", Invert: true}}}, []string{"GET / HTTP/1.1|Host: a"}, []string{"GET / HTTP/1.1|Host: a|X: y"}},
		{"header parts", RouteMatch{Headers: []HeaderMatch{{Name: "x", Prefix: "a"}, {Name: "x", Suffix: "z"}, {Name: "x", Regex: "a.*z"}}}, []string{"GET / HTTP/1.1|Host: a|X: abz"}, []string{"GET / HTTP/1.1|Host: a|X: ab", "GET / HTTP/1.1|Host: a|X: bz"}},
		{"header twice", RouteMatch{Headers: []HeaderMatch{{Name: "x", Exact: "a,b"}}}, []string{"GET / HTTP/1.1|Host: a|X: a|X: b"}, []string{"GET / HTTP/1.1|Host: a|X: a"}},
		{"method", RouteMatch{Headers: []HeaderMatch{{Name: ":method", Exact: "PUT"}, {Name: ":authority", Prefix: "a"}, {Name: ":path", Suffix: "q"}}}, []string{"PUT /?q HTTP/1.1|Host: ab"}, []string{"GET /?q HTTP/1.1|Host: ab", "PUT /?q HTTP/1.1|Host: b"}},
	} {
		r, err := newRoute(&Route{Match: c.match})
		if err != nil {
			t.Fatal(err)
		}
		for _, request := range c.yes {
			if !r.matches(requestOf(t, request)) {
				t.Errorf("%s does not match %q", c.name, request)
			}
		}
		for _, request := range c.no {
			if r.matches(requestOf(t, request)) {
				t.Errorf("%s matches %q", c.name, request)
			}
		}
	}
}

func TestRouteWeights(t *testing.T) {
	r, err := newRoute(&Route{Clusters: []WeightedCluster{{"a", 75}, {"b", 25}, {"c", 0}}})
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for range 10_000 {
		count[r.cluster()]++
	}
	if count["c"] != 0 || count["a"] < 7000 || count["a"] > 8000 || count["a"]+count["b"] != 10_000 {
		t.Errorf("chosen: %v", count)
	}
	for want, clusters := range map[string][]WeightedCluster{"": nil, "only": {{"only", 0}}} {
		if r, _ := newRoute(&Route{Clusters: clusters}); r.cluster() != want {
			t.Errorf("of %v: %q", clusters, r.cluster())
		}
	}
}

func TestRouteRewrites(t *testing.T) {
	for _, c := range []struct {
		route           Route
		target, path    string
		redirect, where string
	}{
		{route: Route{Match: RouteMatch{Prefix: "/a/"}, PrefixRewrite: "/"}, target: "/a/b?c", path: "/b?c"},
		{route: Route{Match: RouteMatch{Path: "/a"}, PrefixRewrite: "/z"}, target: "/a?c", path: "/z?c"},
		{route: Route{Match: RouteMatch{Prefix: "/"}}, target: "http://h?c", path: "/?c"},
		{route: Route{Match: RouteMatch{Prefix: "/"}}, target: "http://h", path: "/"},
		{route: Route{Match: RouteMatch{Prefix: "/"}, Redirect: &Redirect{Scheme: "https"}}, target: "/x?y", path: "/x?y", where: "https://a/x?y"},
		{route: Route{Match: RouteMatch{Prefix: "/"}, Redirect: &Redirect{Host: "b", Path: "/p"}}, target: "/x?y", path: "/x?y", where: "http://b/p?y"},
		{route: Route{Match: RouteMatch{Prefix: "/"}, Redirect: &Redirect{Path: "/p?q"}}, target: "/x?y", path: "/x?y", where: "http://a/p?q"},
		{route: Route{Match: RouteMatch{Prefix: "/x"}, Redirect: &Redirect{Prefix: "/p"}}, target: "/x/1?y", path: "/x/1?y", where: "http://a/p/1?y"},
	} {
		r, err := newRoute(&c.route)
		if err != nil {
			t.Fatal(err)
		}
		h := requestOf(t, "GET "+c.target+" HTTP/1.1|Host: a")
		if got := string(r.appendPath(nil, h)); got != c.path {
			t.Errorf("%s becomes %s, want %s", c.target, got, c.path)
		}
		if c.where == "" {
			continue
		}
		if got := string(r.appendLocation(nil, h, "http")); got != c.where {
			t.Errorf("%s leads to %s, want %s", c.target, got, c.where)
		}
	}
}

// TestConnectionNames holds that Connection takes away what is between neighbours, and nothing that matters to a proxy.
func TestConnectionNames(t *testing.T) {
	h := requestOf(t, "GET / HTTP/1.1|Host: a|Connection: x-one, Host, content-length, close|X-One: 1|X-Two: 2|Content-Length: 0|Connection: X-TWO|X-Forwarded-For: b")
	h.dropNamed()
	var drop [headerCount]bool
	drop[headerConnection] = true
	if got, want := string(h.appendFields(nil, &drop)), "Host: a\r\nContent-Length: 0\r\nX-Forwarded-For: b\r\n"; got != want {
		t.Errorf("%q is left, want %q", got, want)
	}
	if !h.closing || h.keep {
		t.Error("close was not seen")
	}
}

func TestUUID(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		id := string(appendUUID(nil))
		if len(id) != 36 || id[14] != '4' || !strings.ContainsRune("89ab", rune(id[19])) || strings.Count(id, "-") != 4 || seen[id] {
			t.Fatalf("%q", id)
		}
		seen[id] = true
	}
}

func TestServicePort(t *testing.T) {
	for name, want := range map[string]uint16{"outbound|9080|v1|api.shop.svc.cluster.local": 9080, "inbound|80||": 80, "PassthroughCluster": 0, "a|b|c|d": 0} {
		if got := servicePort(&cluster{config: &Cluster{Name: name}}, netip.AddrPort{}); got != want {
			t.Errorf("%s: %d, want %d", name, got, want)
		}
	}
}
