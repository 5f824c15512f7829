//go:build linux

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/oarlock/oarlock/api"
)

// TestProbesAreNoTraffic holds two witnesses apart: what is proven by trying does not show as observed. The control plane
// tries by itself meanwhile.
func TestProbesAreNoTraffic(t *testing.T) {
	m := up(t, "backyards")
	m.synced()
	front, bookings := m.pod("backyards-demo", "frontpage"), m.pod("backyards-demo", "bookings")
	for _, mode := range []string{"allow", "require"} {
		m.do("mtls", mode, "mesh", "--yes")
		m.synced()
		for _, ask := range [][]string{{"analytics:8080"}, {"analytics:8083"}, {"bookings:8080"}, {"catalog:8080"}, {"frontpage:8080"}, {"movies:8080"},
			{"notifications:8080"}, {"payments:8080"}, {"payments:8080"}, {"payments:8080", "--as", front.Name}, {"analytics:8083", "--as", front.Name}} {
			if p := m.probe(append(ask, "-n", front.Namespace)...); p.Mode == "" {
				t.Errorf("%s mesh: probe %v proves nothing", mode, ask)
			}
		}
		for _, p := range m.sidecars() {
			for _, s := range probers(p, m.scrape(p)) {
				t.Errorf("%s mesh: %s counts a probe: %s", mode, p.Name, s)
			}
		}
	}

	// Whoever else is outside of the mesh is traffic, and in the log.
	m.fromOutside(front, "http://"+bookings.Addresses[0]+":8080/strict")
	m.eventually("a refused handshake of an unknown caller is counted", func() (string, bool) {
		got := probers(bookings, m.scrape(bookings))
		return strings.Join(got, "\n"), len(got) == 1 && strings.HasPrefix(got[0], "oarlock_handshake_failures_total ")
	})
	m.do("mtls", "allow", "mesh", "--yes")
	m.synced()
	if status, code := m.fromOutside(front, "http://"+bookings.Addresses[0]+":8080/allowed"); code != 0 || status != "200" {
		t.Errorf("a caller outside: %s, %d", status, code)
	}
	m.eventually("a request of an unknown caller is counted and logged", func() (string, bool) {
		log := m.do("logs", bookings.Name, "-n", bookings.Namespace, "-c", "istio-proxy")
		got := probers(bookings, m.scrape(bookings))
		return strings.Join(append(got, log), "\n"), strings.Contains(log, "GET /allowed ") &&
			slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, "oarlock_requests_total ") })
	})
	for _, p := range m.sidecars() {
		if log := m.do("logs", p.Name, "-n", p.Namespace, "-c", "istio-proxy"); strings.Contains(log, "oarlock-probe") {
			t.Errorf("%s logs a probe:\n%s", p.Name, log)
		}
	}
}

// sidecars are the pods that have one.
func (m *liveMesh) sidecars() []api.Pod {
	m.t.Helper()
	return slices.DeleteFunc(m.status().Pods, func(p api.Pod) bool { return !p.Sidecar })
}

// probers are the series of traffic in which a destination reports callers who only probe: whom it cannot name and who has no
// certificate, and the frontpage where that never calls.
func probers(p api.Pod, all []sample) []string {
	called := strings.HasPrefix(p.Name, "bookings-") || strings.HasPrefix(p.Name, "catalog-")
	var out []string
	for _, s := range all {
		unknown := s.labels["source_workload"] == "unknown" && s.labels["connection_security_policy"] != "mutual_tls" && s.labels["security"] != "mutual_tls"
		front := !called && strings.HasSuffix(s.labels["source_principal"], "/sa/frontpage")
		if s.labels["reporter"] == "destination" && (unknown || front) {
			out = append(out, fmt.Sprintf("%s from %s over %s%s %s: %v", s.name, s.labels["source_principal"], s.labels["connection_security_policy"], s.labels["security"], s.labels["cause"], s.value))
		}
	}
	slices.Sort(out)
	return out
}

// TestTLSToPlaintext: a client starts mTLS and the server's policy turned it off. Nothing gets through, and both ends say why; nobody
// is taken for a caller in plaintext.
func TestTLSToPlaintext(t *testing.T) {
	m := up(t, "backyards-current")
	m.synced()
	m.write("rule.yaml", "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: bookings, namespace: backyards-demo}\nspec: {host: bookings, trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}}\n")
	m.do("mtls", "disable", "backyards-demo/bookings", "--yes")
	c := m.plane()
	m.eventually("the edge is broken, and no call gets through", func() (string, bool) {
		locks, g := m.locks(c)
		for _, e := range g.Edges {
			if e.Lock == "broken" {
				return e.Reason, locks["broken"] == 1 && locks["open"] == 0 && len(g.Edges) == 7 && e.From == "workload/backyards-demo/frontpage-v1.Deployment" &&
					e.Observed.Requests == 0 && strings.HasPrefix(e.Reason, "frontpage-v1 starts TLS and bookings answers in plaintext: handshakes fail (tls-to-plaintext)") &&
					!strings.Contains(e.Reason, "get through")
			}
		}
		return fmt.Sprint(locks), false
	})
	for _, p := range []api.Pod{m.pod("backyards-demo", "frontpage"), m.pod("backyards-demo", "bookings")} {
		if n := sum(m.scrape(p), "oarlock_handshake_failures_total", map[string]string{"cause": "tls-to-plaintext"}); n == 0 {
			t.Errorf("%s counts no such handshake", p.Name)
		}
	}
}
