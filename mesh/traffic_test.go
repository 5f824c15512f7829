package mesh_test

import (
	"fmt"
	"testing"

	"github.com/oarlock/oarlock/mesh"
)

func number(n uint32) *uint32 { return &n }

func show(s mesh.Settings) string {
	out := "lb " + s.LoadBalancer
	if s.TLS != nil {
		out += " tls " + s.TLS.Mode.String()
	}
	if s.ConnectionPool != nil {
		out += fmt.Sprint(" pool ", *s.ConnectionPool.MaxConnections)
	}
	if s.OutlierDetection != nil {
		out += fmt.Sprint(" outlier ", *s.OutlierDetection.Consecutive5xx)
	}
	return out
}

// TestSettingsFor: an entry for a port replaces all blocks, a subset lays its own over them, and only the current dialect
// lets an entry of a subset take blocks away.
func TestSettingsFor(t *testing.T) {
	top := &mesh.TrafficPolicy{TLS: &mesh.ClientTLS{Mode: mesh.ClientIstioMutual}, LoadBalancer: "RANDOM",
		ConnectionPool:   &mesh.ConnectionPool{MaxConnections: number(1)},
		OutlierDetection: &mesh.OutlierDetection{Consecutive5xx: number(2)},
		Ports: []mesh.PortPolicy{{Number: 90, ConnectionPool: &mesh.ConnectionPool{MaxConnections: number(3)}}, {Number: 90, LoadBalancer: "never"},
			{Name: "named", LoadBalancer: "BY_NAME"}}}
	sub := &mesh.TrafficPolicy{ConnectionPool: &mesh.ConnectionPool{MaxConnections: number(4)},
		Ports: []mesh.PortPolicy{{Number: 91, OutlierDetection: &mesh.OutlierDetection{Consecutive5xx: number(5)}}}}
	port := func(n uint32) *mesh.Port { return &mesh.Port{Number: n, Name: "http"} }
	for _, tc := range []struct {
		name        string
		rule, sub   *mesh.TrafficPolicy
		port        *mesh.Port
		legacy, now string
	}{
		{"no rule", nil, nil, port(80), "lb ", "lb "},
		{"top level", top, nil, port(80), "lb RANDOM tls ISTIO_MUTUAL pool 1 outlier 2", "lb RANDOM tls ISTIO_MUTUAL pool 1 outlier 2"},
		{"entry replaces all", top, nil, port(90), "lb  pool 3", "lb  pool 3"},
		{"entry by name", top, nil, &mesh.Port{Number: 7, Name: "named"}, "lb BY_NAME", "lb RANDOM tls ISTIO_MUTUAL pool 1 outlier 2"},
		{"subset over it", top, sub, port(80), "lb RANDOM tls ISTIO_MUTUAL pool 4 outlier 2", "lb RANDOM tls ISTIO_MUTUAL pool 4 outlier 2"},
		{"subset over an entry", top, sub, port(90), "lb  pool 4", "lb  pool 4"},
		{"entry of the subset", top, sub, port(91), "lb RANDOM tls ISTIO_MUTUAL pool 1 outlier 5", "lb  outlier 5"},
		{"subset alone", nil, sub, port(80), "lb  pool 4", "lb  pool 4"},
	} {
		if got := show(mesh.SettingsFor(tc.rule, tc.sub, tc.port, mesh.Dialect13)); got != tc.legacy {
			t.Errorf("%s, 1.3: %s, want %s", tc.name, got, tc.legacy)
		}
		if got := show(mesh.SettingsFor(tc.rule, tc.sub, tc.port, mesh.DialectCurrent)); got != tc.now {
			t.Errorf("%s, current: %s, want %s", tc.name, got, tc.now)
		}
	}
}
