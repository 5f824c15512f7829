package proxy_test

import (
	"net/http"
	"net/netip"
	"testing"

	"github.com/oarlock/oarlock/metrics"
	"github.com/oarlock/oarlock/proxy"
)

// TestUnsentIsNotPlaintext: what never left the source was neither in plaintext nor protected.
func TestUnsentIsNotPlaintext(t *testing.T) {
	for _, c := range []struct{ name, security, flags string }{
		{"sent", "none", ""},
		{"nobody there", "unknown", "UF"},
		{"no endpoint", "unknown", "UH"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cluster, at := static("api", echo(t), nil), freePort(t)
			switch c.flags {
			case "":
				cluster = static("api", serveHTTP(t, func(http.ResponseWriter, *http.Request) {}), nil)
			case "UF":
				cluster = static("api", netip.MustParseAddrPort("127.0.0.1:1"), nil)
			case "UH":
				cluster.Endpoints = nil
			}
			stats := metrics.NewRegistry(metrics.Peer{Workload: "web", Namespace: "shop"}, metrics.Options{})
			start(t, proxy.Options{Series: stats}, &proxy.Config{Clusters: []*proxy.Cluster{cluster}, Listeners: []*proxy.Listener{{
				Name: "out", Address: at, Bind: true, Chains: []*proxy.FilterChain{{Name: "http", HTTP: &proxy.HTTPManager{Table: everywhere("api", nil)}}}}}})
			raw(t, at, simple)
			eventually(t, "the request is counted as "+c.security, func() bool {
				return len(series(stats, "oarlock_requests_total", `reporter="source"`, `security="`+c.security+`"`, "} 1")) == 1
			})
			if all := series(stats, "oarlock_requests_total"); len(all) != 1 {
				t.Errorf("series: %q", all)
			}
		})
	}
}
