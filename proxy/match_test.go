package proxy

import (
	"net/netip"
	"strings"
	"testing"
)

func chainsOf(matches map[string]ChainMatch) []*chain {
	var out []*chain
	for name, m := range matches {
		out = append(out, &chain{FilterChain: &FilterChain{Name: name, Match: m}})
	}
	return out
}

// The order of Envoy's documentation: port, prefix, server name, transport protocol, application protocol; the most
// specific at each step, and no way back.
func TestChainMatch(t *testing.T) {
	istio := []string{"istio", "istio-peer-exchange"}
	ix, err := newChainIndex(chainsOf(map[string]ChainMatch{
		"8080-mtls":    {Port: 8080, Transport: TransportTLS, ALPN: istio},
		"8080-raw":     {Port: 8080, Transport: TransportRaw},
		"8080-http":    {Port: 8080, Transport: TransportRaw, ALPN: []string{"http/1.1", "h2c"}},
		"9000-tls":     {Port: 9000, Transport: TransportTLS},
		"any-tls":      {Transport: TransportTLS},
		"any":          {},
		"net":          {Prefixes: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}},
		"host":         {Prefixes: []netip.Prefix{netip.MustParsePrefix("10.1.2.3/32")}, Transport: TransportTLS},
		"sni":          {Port: 443, Names: []string{"a.example.org"}},
		"sni-wild":     {Port: 443, Names: []string{"*.example.org"}},
		"sni-wildwide": {Port: 443, Names: []string{"*.org"}},
	}))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		to   string
		seen seen
		want string
	}{
		{"10.0.0.1:8080", seen{transport: TransportTLS, alpn: []string{"h2", "istio"}}, "8080-mtls"},
		{"10.0.0.1:8080", seen{transport: TransportTLS, alpn: []string{"h2"}}, ""},
		{"10.0.0.1:8080", seen{transport: TransportTLS}, ""},
		{"10.0.0.1:8080", seen{transport: TransportRaw, alpn: []string{"http/1.1"}}, "8080-http"},
		{"10.0.0.1:8080", seen{transport: TransportRaw}, "8080-raw"},
		{"10.0.0.1:9000", seen{transport: TransportTLS, alpn: []string{"x"}}, "9000-tls"},
		{"10.0.0.1:9000", seen{transport: TransportRaw}, ""}, // the port's chains hide those of any port
		{"10.0.0.1:1", seen{transport: TransportTLS}, "any-tls"},
		{"10.0.0.1:1", seen{transport: TransportRaw}, "any"},
		{"10.1.0.1:1", seen{transport: TransportTLS}, "net"},
		{"10.1.2.3:1", seen{transport: TransportTLS}, "host"},
		{"10.1.2.3:1", seen{transport: TransportRaw}, ""}, // the longer prefix hides the shorter
		{"10.0.0.1:443", seen{transport: TransportTLS, names: "a.example.org"}, "sni"},
		{"10.0.0.1:443", seen{transport: TransportTLS, names: "b.example.org"}, "sni-wild"},
		{"10.0.0.1:443", seen{transport: TransportTLS, names: "b.c.org"}, "sni-wildwide"},
		{"10.0.0.1:443", seen{transport: TransportTLS, names: "b.net"}, ""},
		{"10.0.0.1:443", seen{transport: TransportTLS}, ""},
	} {
		got := ""
		if found := ix.find(netip.MustParseAddrPort(c.to), c.seen); found != nil {
			got = found.Name
		}
		if got != c.want {
			t.Errorf("%s %+v: chain %q, want %q", c.to, c.seen, got, c.want)
		}
	}
}

func TestChainMatchTwice(t *testing.T) {
	_, err := newChainIndex([]*chain{
		{FilterChain: &FilterChain{Name: "a", Match: ChainMatch{Port: 1, ALPN: []string{"x", "y"}}}},
		{FilterChain: &FilterChain{Name: "b", Match: ChainMatch{Port: 1, ALPN: []string{"y"}}}},
	})
	if err == nil || !strings.Contains(err.Error(), `"b" has the same match as "a"`) {
		t.Errorf("err = %v", err)
	}
}

func TestMetadata(t *testing.T) {
	self := Peer{Workload: "reviews-v1", Namespace: "bookinfo", App: "reviews", Version: "v1", CanonicalService: "reviews", CanonicalRevision: "v1", Cluster: "Kubernetes"}
	got, err := decodePeer(encodePeer(self, "sidecar~1.2.3.4~x.y~y.svc.cluster.local"))
	if err != nil || got != self {
		t.Errorf("decodePeer = %+v, %v, want %+v", got, err, self)
	}
	if _, err := decodePeer([]byte{0x0a, 0xff}); err == nil {
		t.Error("decodePeer takes what is cut off")
	}
}

func FuzzMetadata(f *testing.F) {
	f.Add(encodePeer(Peer{Workload: "a", App: "b"}, "id"))
	f.Fuzz(func(t *testing.T, b []byte) {
		decodePeer(b) // must not panic, whatever a peer sends
	})
}
