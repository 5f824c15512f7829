package proxy_test

import (
	"strings"
	"testing"

	"github.com/oarlock/oarlock/metrics"
	"github.com/oarlock/oarlock/proxy"
)

// TestHelloIsNoRequest: who offers TLS to a server of plaintext HTTP gets its 400, and is counted as a handshake that failed;
// bytes that are neither are a bad request.
func TestHelloIsNoRequest(t *testing.T) {
	for _, c := range []struct {
		name, sent         string
		requests, failures int
	}{
		{"hello", string(hello(t, nil)), 0, 1},
		{"nonsense", "nonsense\r\n\r\n", 1, 0},
		{"like half a record", "\x16\r\n\r\n", 1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			at, stats := freePort(t), metrics.NewRegistry(metrics.Peer{Workload: "api", Namespace: "shop"}, metrics.Options{})
			_, logs := start(t, proxy.Options{Self: proxy.Peer{Workload: "api", Namespace: "shop"}, Series: stats}, &proxy.Config{
				Clusters: []*proxy.Cluster{static("api", echo(t), nil)},
				Listeners: []*proxy.Listener{{Name: "in", Direction: proxy.Inbound, Address: at, Bind: true, AccessLog: logged, Chains: []*proxy.FilterChain{{
					Name: "raw", Policy: "PeerAuthentication shop/off", HTTP: &proxy.HTTPManager{Table: everywhere("api", nil), AccessLog: logged}}}}}})
			if got := raw(t, at, c.sent); !strings.HasPrefix(got, "HTTP/1.1 400 ") {
				t.Errorf("answer %q", got)
			}
			if e := logLine(t, logs, "400"); e.Flags.String() != "DPE" {
				t.Errorf("flags %s", e.Flags)
			}
			eventually(t, "it is counted", func() bool {
				return len(series(stats, "istio_requests_total", `response_code="400"`, "} 1")) == c.requests &&
					len(series(stats, "oarlock_handshake_failures_total", `reporter="destination"`, `cause="`+metrics.CauseTLSToPlaintext+`"`, `policy="PeerAuthentication shop/off"`, "} 1")) == c.failures
			})
			if n := len(series(stats, "_requests_total")) + len(series(stats, "oarlock_handshake_failures_total")); c.failures > 0 && n != 1 {
				t.Errorf("%d series", n)
			}
		})
	}
}
