//go:build linux

package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/oarlock/oarlock/api"
)

// The transcript of managing modes without touching YAML, on the running mesh.
func TestBackyardsTranscript(t *testing.T) {
	for _, c := range []struct{ example, disabled string }{{"backyards", "DISABLED"}, {"backyards-current", "DISABLE"}} {
		t.Run(c.example, func(t *testing.T) {
			m := up(t, c.example)
			m.synced()
			for _, step := range []struct{ args, title, policy, targets, mode string }{
				{"allow mesh", "/mesh", "/default", `\[\]`, "PERMISSIVE"},
				{"get mesh", "/mesh", "/default", `\[\]`, "PERMISSIVE"},
				{"require backyards-demo", "backyards-demo/", "backyards-demo/default", `\[\]`, "STRICT"},
				{"allow backyards-demo/bookings:8080", "backyards-demo/bookings", `backyards-demo/bookings\S*`, `\[bookings\(8080\)\]`, "PERMISSIVE"},
				{"disable backyards-demo/bookings:8080", "backyards-demo/bookings", `backyards-demo/bookings\S*`, `\[bookings\(8080\)\]`, c.disabled},
				{"unset backyards-demo/bookings:8080", "backyards-demo/bookings", "backyards-demo/default", `\[\]`, "STRICT"},
				{"unset backyards-demo", "backyards-demo/", "/default", `\[\]`, "PERMISSIVE"},
			} {
				verb, resource, _ := strings.Cut(step.args, " ")
				args := []string{"mtls", verb, resource}
				if verb != "get" {
					args = append(args, "--yes")
				}
				out, code := m.try(args...)
				if code != 0 || !strings.Contains(out, "mTLS rule for "+step.title) || !matches(step.policy+` +`+step.targets+` +`+step.mode, out) {
					t.Errorf("mtls %s: %d\n%s", step.args, code, out)
				}
				if verb != "get" && !matches(`enforced on (\d+) of (\d+) sidecars in \d+`, out) {
					t.Errorf("mtls %s does not say where it is enforced:\n%s", step.args, out)
				}
			}
		})
	}
}

// Six cells: each mode against a caller in the mesh and one outside, by the traffic itself and by a probe.
func TestModesAgainstCallers(t *testing.T) {
	for _, example := range []string{"backyards", "backyards-current"} {
		t.Run(example, func(t *testing.T) {
			m := up(t, example)
			m.synced()
			bookings, front := m.pod("backyards-demo", "bookings"), m.pod("backyards-demo", "frontpage")
			for _, c := range []struct {
				verb, mode string
				inside     string // security of what a caller in the mesh sends
				outside    bool   // whether a caller outside gets in
			}{
				{"allow", "PERMISSIVE", "mutual_tls", true},
				{"require", "STRICT", "mutual_tls", false},
				{"disable", "DISABLE", "none", true},
			} {
				m.do("mtls", c.verb, "backyards-demo/bookings:8080", "--yes")
				before := m.served("bookings", "200", c.inside)
				m.eventually(c.mode+": a caller in the mesh", func() (string, bool) {
					out, _ := m.curl(front, "-i", "http://bookings.backyards-demo:8080/")
					n := m.served("bookings", "200", c.inside)
					return fmt.Sprint(out, n), strings.Contains(out, "HTTP/1.1 200") && n > before
				})
				answer, code := m.fromOutside(front, "http://"+bookings.Addresses[0]+":8080/")
				if got := code == 0 && strings.HasSuffix(answer, "200"); got != c.outside {
					t.Errorf("%s: a caller outside: %s, %d; gets in = %v, want %v", c.mode, answer, code, got, c.outside)
				}
				if p := m.probe("bookings.backyards-demo:8080"); p.Mode != c.mode {
					t.Errorf("probe: mode %q, want %s", p.Mode, c.mode)
				}
			}
		})
	}
}

// What was observed on every edge of every example is what was declared.
func TestEveryEdge(t *testing.T) {
	for _, example := range []string{"bookinfo", "bookinfo-current", "backyards", "backyards-current", "foo-bar", "foo-bar-current", "foo-bar-strict-mesh", "challenges", "challenges-current"} {
		t.Run(example, func(t *testing.T) {
			m := up(t, example)
			m.synced()
			var list struct{ Items []edge }
			out, _ := m.command("edges", "-A", "-o", "json").Output() // exit status 1: some are in conflict
			if err := json.Unmarshal(out, &list); err != nil {
				t.Fatalf("oarlock edges: %v\n%s", err, out)
			}
			judged := 0
			for _, e := range list.Items {
				if m.judge(t, e) {
					judged++
				}
			}
			if judged == 0 {
				t.Errorf("of %d edges none could be judged", len(list.Items))
			}
		})
	}
}

// An edge is one of an EdgeList.
type edge struct {
	From, To string
	Port     uint32
	Declared *struct {
		Status, Server, ClientMode, Wire, Cause string
	}
	Weak bool
}

// ends gives the namespaces and names of an edge's ends, from IDs such as workload/NS/NAME.Kind and service/NAME.NS.svc.….
func (e edge) ends() (fromNS, from, toNS, to string, ok bool) {
	f, d := strings.Split(e.From, "/"), strings.Split(e.To, "/")
	if len(f) != 3 || f[0] != "workload" || len(d) != 2 || d[0] != "service" {
		return "", "", "", "", false
	}
	from, _, _ = strings.Cut(f[2], ".")
	host := strings.SplitN(d[1], ".", 3)
	if len(host) != 3 {
		return "", "", "", "", false
	}
	return f[1], from, host[1], host[0], true
}

// judge waits until the traffic of an edge shows what was declared; false where the edge carries none that can be seen.
func (m *liveMesh) judge(t *testing.T, e edge) bool {
	t.Helper()
	fromNS, from, toNS, to, ok := e.ends()
	if !ok || e.Declared == nil || e.Weak {
		return false
	}
	var source *api.Pod
	for _, p := range m.status().Pods {
		if p.Namespace == fromNS && (p.Name == from || p.Owner != nil && p.Owner.Name == from) {
			source = &p
		}
	}
	if source == nil || !source.Sidecar {
		return false
	}
	works := e.Declared.Status == "OK" || e.Declared.Status == "AUTO"
	want := map[string]string{"mTLS": "mutual_tls", "plaintext": "none"}[e.Declared.Wire]
	if want == "" && works {
		return false // TLS of the application's own, or what no sidecar sees
	}
	m.eventually(fmt.Sprintf("%s → %s:%d is %s (%s)", e.From, e.To, e.Port, e.Declared.Status, e.Declared.Wire), func() (string, bool) {
		samples := m.scrape(*source)
		known := map[string]string{"reporter": "source", "destination_service_name": to}
		if works {
			known["security"] = want
		}
		good := sum(samples, "istio_requests_total", map[string]string{"reporter": "source", "destination_service_name": to, "destination_service_namespace": toNS, "response_code": "200"}) +
			sum(samples, "istio_tcp_connections_opened_total", map[string]string{"reporter": "source", "destination_service_name": to, "destination_service_namespace": toNS})
		bad := sum(samples, "istio_requests_total", map[string]string{"reporter": "source", "destination_service_name": to, "destination_service_namespace": toNS, "response_code": "503"}) +
			sum(samples, "oarlock_handshake_failures_total", map[string]string{"reporter": "source", "destination_service_name": to})
		seen := sum(samples, "oarlock_requests_total", map[string]string{"destination_service": to + "." + toNS + ".svc.cluster.local", "security": want}) +
			sum(samples, "oarlock_tcp_connections_opened_total", map[string]string{"destination_service": to + "." + toNS + ".svc.cluster.local", "security": want})
		if good+bad == 0 { // an edge that is declared, and that nobody uses by himself
			m.curl(*source, fmt.Sprintf("http://%s.%s:%d/health", to, toNS, e.Port))
		}
		text := fmt.Sprintf("good %v, bad %v, with %s %v", good, bad, want, seen)
		if works {
			return text, good > 0 && seen > 0
		}
		return text, bad > 0 && good == 0
	})
	return true
}
