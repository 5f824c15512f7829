//go:build linux

package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// sent adds up the requests that the sidecars of callers counted, and those of them that came to nothing.
func (m *liveMesh) sent() (total, failed float64) {
	m.t.Helper()
	for _, p := range m.status().Pods {
		if !p.Sidecar {
			continue
		}
		for _, s := range m.scrape(p) {
			if s.name != "istio_requests_total" || s.labels["reporter"] != "source" {
				continue
			}
			total += s.value
			if code := s.labels["response_code"]; code == "0" || strings.HasPrefix(code, "5") {
				m.t.Logf("%s: %v times %s %s from %s", p.Name, s.value, code, s.labels["response_flags"], s.labels["destination_service_name"])
				failed += s.value
			}
		}
	}
	return total, failed
}

// From its first request on a mesh answers: nobody is called before he listens, and nobody calls before that.
func TestFreshMesh(t *testing.T) {
	for _, example := range []string{"backyards", "backyards-current", "bookinfo", "bookinfo-current"} {
		t.Run(example, func(t *testing.T) {
			m := up(t, example)
			m.eventually("traffic", func() (string, bool) {
				total, _ := m.sent()
				return fmt.Sprint(total), total > 100
			})
			if total, failed := m.sent(); failed > 0 {
				t.Errorf("%v of the first %v requests failed", failed, total)
			}
		})
	}
}

// A pod whose readiness probe fails gets no traffic, and its service goes on with the others.
func TestUnreadyPodGetsNoTraffic(t *testing.T) {
	m := up(t, "backyards-current")
	m.synced()
	text := m.read("movies.yaml")
	v3 := strings.Index(text, "name: movies-v3")
	if v3 < 0 || !strings.Contains(text[v3:], "path: /health") {
		t.Fatal("movies.yaml has no v3 with a probe")
	}
	m.write("movies.yaml", text[:v3]+strings.Replace(text[v3:], "path: /health", "path: /status/500", 1))
	m.eventually("movies-v3 is not ready", func() (string, bool) {
		p := m.pod("backyards-demo", "movies-v3")
		return fmt.Sprint(p), !p.Ready && strings.Contains(p.Reason, "status 500")
	})
	// What was under way when its end was told is over; the pod that came anew counts from zero.
	served := func(prefix string) float64 {
		return sum(m.scrape(m.pod("backyards-demo", prefix)), "istio_requests_total", map[string]string{"reporter": "destination"})
	}
	before := served("movies-v1")
	m.eventually("movies-v1 serves", func() (string, bool) {
		n := served("movies-v1")
		return fmt.Sprint(n), n > before+20
	})
	if n := served("movies-v3"); n > 0 {
		t.Errorf("movies-v3, which is not ready, served %v requests", n)
	}
}

// A kubelet has no certificate: where the sidecar does not make the probes, STRICT makes pods unready, and their callers get
// 503. All who are asked say so; no verdict changes.
func TestProbesUnderStrict(t *testing.T) {
	dir := copyExample(t, "backyards-current")
	(&liveMesh{t: t, dir: dir}).edit("bookings.yaml", `rewriteAppHTTPProbers: "true"`, `rewriteAppHTTPProbers: "false"`)
	m := upDir(t, dir)
	verdict := func() string {
		out, _ := m.try("tls-check", "frontpage-v1.backyards-demo", "bookings.backyards-demo")
		return out
	}
	m.do("mtls", "require", "backyards-demo", "--yes")
	before := verdict()
	m.eventually("bookings is not ready", func() (string, bool) {
		p := m.pod("backyards-demo", "bookings")
		return fmt.Sprint(p), !p.Ready && strings.Contains(p.Reason, "readiness probe")
	})
	front := m.pod("backyards-demo", "frontpage")
	m.eventually("callers get 503", func() (string, bool) {
		out, _ := m.curl(front, "-i", "http://bookings.backyards-demo:8080/")
		return out, strings.Contains(out, "HTTP/1.1 503") && strings.Contains(out, "no healthy upstream")
	})
	m.eventually("the log names the flag", func() (string, bool) {
		out, _ := m.try("logs", front.Name, "-c", "istio-proxy")
		return out, matches(`503 UH no_healthy_upstream`, out)
	})
	m.eventually("the edge says why", func() (string, bool) {
		out, _ := m.try("edges", "-o", "wide")
		return out, matches(`frontpage-v1\S* +bookings\S+ .* no pod of bookings is ready \(1 pod: readiness probe of container`, out)
	})
	if out, _ := m.try("ps"); !matches(`bookings-v1-\S+\s+1/2`, out) {
		t.Errorf("ps does not show it:\n%s", out)
	}
	if after := verdict(); after != before {
		t.Errorf("the verdict was\n%sand is\n%s", before, after)
	}
	m.do("mtls", "allow", "backyards-demo", "--yes")
	m.eventually("bookings is back", func() (string, bool) {
		out, code := m.curl(front, "-i", "http://bookings.backyards-demo:8080/")
		return out, code == 0 && strings.Contains(out, "HTTP/1.1 200")
	})
}
