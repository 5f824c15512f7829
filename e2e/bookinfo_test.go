//go:build linux

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oarlock/oarlock/api"
)

// bookinfo are the words in which the two generations of the example differ.
type bookinfo struct {
	example  string
	conflict string // what tls-check says of productpage, as a pattern
	rulePath string
}

// The scenes of a namespace that goes STRICT: all is well, callers fail, and the repair, with the traffic as evidence.
func TestBookinfo(t *testing.T) {
	for _, b := range []bookinfo{
		{
			example: "bookinfo", conflict: `productpage\.bookinfo\.svc\.cluster\.local:9080 +CONFLICT +mTLS +HTTP +default/bookinfo +destrule-productpage/bookinfo`,
			rulePath: "/apis/networking/v1alpha3/namespaces/bookinfo/destination-rule/destrule-productpage",
		},
		{
			example: "bookinfo-current", conflict: `productpage\.bookinfo\.svc\.cluster\.local:9080 +CONFLICT +STRICT +DISABLE +bookinfo/default +bookinfo/destrule-productpage`,
			rulePath: "/apis/networking.istio.io/v1/namespaces/bookinfo/destination-rule/destrule-productpage",
		},
	} {
		t.Run(b.example, b.run)
	}
}

func (b bookinfo) run(t *testing.T) {
	m := up(t, b.example)
	m.synced()
	edges := []string{"productpage", "details", "reviews", "ratings"}
	m.eventually("every edge carries traffic", func() (string, bool) {
		for _, service := range edges {
			if n := m.served(service, "200", ""); n == 0 {
				return service + " has answered nothing", false
			}
		}
		return "", true
	})
	before := m.failed(edges) // callers that were up before the called may have failed once
	time.Sleep(time.Second)
	if n := m.failed(edges) - before; n != 0 {
		t.Errorf("%v requests failed before anything was changed", n)
	}

	// The namespace goes STRICT, and a forgotten rule lets clients send plaintext.
	m.add(b.example + "/default-strict.yaml")
	m.add(b.example + "/destrule-productpage.yaml")
	generator := m.pod("bookinfo", "traffic-generator")
	for _, client := range []string{generator.Name, "deploy/traffic-generator-productpage"} {
		m.eventually("the conflict is in force", func() (string, bool) {
			out, _ := m.try("tls-check", "-n", "bookinfo", client, "productpage.bookinfo.svc.cluster.local")
			return out, matches(b.conflict, out)
		})
	}
	m.synced()
	m.eventually("callers get 503", func() (string, bool) {
		out, _ := m.curl(generator, "-i", "http://productpage.bookinfo:9080/")
		return out, strings.Contains(out, "HTTP/1.1 503")
	})
	out, _ := m.curl(generator, "-i", "http://productpage.bookinfo:9080/")
	head, body, _ := strings.Cut(out, "\r\n\r\n")
	for _, want := range []string{"HTTP/1.1 503 Service Unavailable", "content-type: text/plain", "server: oarlock", "content-length: 95"} {
		if !strings.Contains(head, want) {
			t.Errorf("the answer has no %q:\n%s", want, head)
		}
	}
	if want := "upstream connect error or disconnect/reset before headers. reset reason: connection termination"; body != want {
		t.Errorf("body = %q, want %q", body, want)
	}
	m.eventually("the log line has UC", func() (string, bool) {
		out := m.do("logs", generator.Name, "-n", "bookinfo", "-c", "istio-proxy", "--tail", "50")
		return out, matches(`"GET / HTTP/1\.1" 503 UC .*outbound\|9080\|\|productpage\.bookinfo\.svc\.cluster\.local`, out)
	})
	page := m.pod("bookinfo", "productpage")
	m.eventually("the server names the cause", func() (string, bool) {
		n := sum(m.scrape(page), "oarlock_handshake_failures_total", map[string]string{"reporter": "destination", "cause": "plaintext-to-tls"})
		return fmt.Sprint(n), n > 0
	})
	if out := m.do("proxy-config", "cluster", generator.Name, "-n", "bookinfo", "-o", "json"); !strings.Contains(out, b.rulePath) {
		t.Errorf("proxy-config names no %s", b.rulePath)
	}
	if out := m.do("proxy-config", "cluster", generator.Name, "-n", "bookinfo"); !matches(`productpage\.bookinfo\.svc\.cluster\.local +9080 .* destrule-productpage\.bookinfo`, out) {
		t.Errorf("proxy-config cluster:\n%s", out)
	}

	// The repair, by the verb in one generation and by an editor in the other.
	pods := m.status().Pods
	if b.example == "bookinfo" {
		b.byEditor(m)
	} else {
		out, code := m.try("mtls", "require", "bookinfo", "--clients", "--yes")
		if code != 0 || !matches(`enforced on (\d+) of (\d+) sidecars in`, out) {
			t.Fatalf("mtls require: %d\n%s", code, out)
		}
	}
	m.eventually("requests succeed, encrypted", func() (string, bool) {
		out, _ := m.curl(generator, "-i", "http://productpage.bookinfo:9080/")
		return out, strings.Contains(out, "HTTP/1.1 200")
	})
	m.synced()
	m.eventually("every edge is encrypted", func() (string, bool) {
		for _, service := range edges {
			if m.served(service, "200", "mutual_tls") == 0 {
				return service, false
			}
		}
		return "", true
	})
	for _, p := range m.status().Pods {
		if out, code := m.try("tls-check", "--conflicts", p.Name, "-n", p.Namespace); code != 0 {
			t.Errorf("tls-check --conflicts %s: %d\n%s", p.Name, code, out)
		}
	}
	sameProcesses(t, pods, m.status().Pods)
}

// byEditor changes one line of the forgotten rule and adds one for the services that have none.
func (b bookinfo) byEditor(m *liveMesh) {
	m.t.Helper()
	m.edit("destrule-productpage.yaml", "mode: DISABLE", "mode: ISTIO_MUTUAL")
	rule := `apiVersion: networking.istio.io/v1alpha3
kind: DestinationRule
metadata:
  name: everything
  namespace: bookinfo
spec:
  host: "*.bookinfo.svc.cluster.local"
  trafficPolicy:
    tls:
      mode: ISTIO_MUTUAL
`
	if err := os.WriteFile(filepath.Join(m.dir, "everything.yaml"), []byte(rule), 0o644); err != nil {
		m.t.Fatal(err)
	}
}

// served counts what the sidecars of a service's pods answered, by the code and (unless "") the security of the connection.
func (m *liveMesh) served(service, code, security string) float64 {
	m.t.Helper()
	labels := map[string]string{"reporter": "destination", "response_code": code, "destination_service_name": service}
	if security != "" {
		labels["connection_security_policy"] = security
	}
	total := 0.0
	for _, p := range m.status().Pods {
		if p.Sidecar && strings.HasPrefix(p.Name, service) {
			total += sum(m.scrape(p), "istio_requests_total", labels)
		}
	}
	return total
}

// failed counts the answers of 5xx that callers got.
func (m *liveMesh) failed(services []string) float64 {
	m.t.Helper()
	total := 0.0
	for _, p := range m.status().Pods {
		if !p.Sidecar {
			continue
		}
		samples := m.scrape(p)
		for _, service := range services {
			for _, code := range []string{"500", "502", "503", "504"} {
				total += sum(samples, "istio_requests_total", map[string]string{"reporter": "source", "response_code": code, "destination_service_name": service})
			}
		}
	}
	return total
}

// sameProcesses says whether no pod was restarted or replaced.
func sameProcesses(t *testing.T, before, after []api.Pod) {
	t.Helper()
	was := map[string]api.Pod{}
	for _, p := range before {
		was[p.Namespace+"/"+p.Name] = p
	}
	for _, p := range after {
		if b := was[p.Namespace+"/"+p.Name]; b.Started != p.Started || b.Restarts != p.Restarts {
			t.Errorf("%s/%s was restarted", p.Namespace, p.Name)
		}
	}
}
