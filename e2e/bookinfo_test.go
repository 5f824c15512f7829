//go:build linux

package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/oarlock/oarlock/api"
)

// bookinfo are the words in which the two generations of the example differ, and how it is repaired.
type bookinfo struct {
	example   string
	forgotten string // what tls-check says of productpage while no rule is there, as a pattern
	conflict  string // and with destrule-productpage
	rulePath  string
	byEditor  bool
}

// The scenes of a namespace that goes STRICT: all is well, callers fail without a rule and with a wrong one, and the repair, with
// the traffic as evidence.
func TestBookinfo(t *testing.T) {
	const row = `productpage\.bookinfo\.svc\.cluster\.local:9080 +CONFLICT +`
	legacy := bookinfo{
		example: "bookinfo", forgotten: row + `mTLS +HTTP +default/bookinfo +-\s`, conflict: row + `mTLS +HTTP +default/bookinfo +destrule-productpage/bookinfo`,
		rulePath: "/apis/networking/v1alpha3/namespaces/bookinfo/destination-rule/destrule-productpage",
	}
	edited := legacy
	edited.byEditor = true
	for name, b := range map[string]bookinfo{
		"bookinfo, by an editor": edited,
		"bookinfo":               legacy,
		"bookinfo-current": {
			example: "bookinfo-current", forgotten: row + `STRICT +- +bookinfo/default +-\s`, conflict: row + `STRICT +DISABLE +bookinfo/default +bookinfo/destrule-productpage`,
			rulePath: "/apis/networking.istio.io/v1/namespaces/bookinfo/destination-rule/destrule-productpage",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b.run(t)
		})
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
		for _, g := range m.generators() {
			if n := m.answered(g, "200"); n == 0 {
				return "productpage has not answered the caller in " + g.Namespace, false
			}
		}
		return "", true
	})
	before, count := m.failed(edges), m.served("productpage", "200", "") // callers that were up before the called may have failed once
	m.eventually("more of it", func() (string, bool) {
		n := m.served("productpage", "200", "") - count
		return fmt.Sprint(n), n > 10
	})
	if n := m.failed(edges) - before; n != 0 {
		t.Errorf("%v requests failed before anything was changed", n)
	}

	// The namespace goes STRICT, and nobody has told a client; then a forgotten rule lets clients send plaintext.
	m.add(b.example + "/default-strict.yaml")
	b.broken(m, b.forgotten)
	m.add(b.example + "/destrule-productpage.yaml")
	b.broken(m, b.conflict)
	generator, page := m.pod("bookinfo", "traffic-generator"), m.pod("bookinfo", "productpage")
	m.refusal(generator)
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

	pods := m.status().Pods
	if b.byEditor {
		m.mendByEditor()
	} else {
		out, code := m.try("mtls", "require", "bookinfo", "--clients", "--yes")
		if code != 0 || !matches(`enforced on (\d+) of (\d+) sidecars in`, out) {
			t.Fatalf("mtls require: %d\n%s", code, out)
		}
	}
	b.mended(m, edges)
	m.nobodyElse()
	sameProcesses(t, pods, m.status().Pods)
}

// generators are the callers of productpage: one in its own namespace and two elsewhere.
func (m *liveMesh) generators() []api.Pod {
	m.t.Helper()
	var out []api.Pod
	for _, namespace := range []string{"bookinfo", "traffic-generator", "default"} {
		out = append(out, m.pod(namespace, "traffic-generator"))
	}
	return out
}

// broken waits until a conflict is told of for every caller, and is what each of them meets.
func (b bookinfo) broken(m *liveMesh, conflict string) {
	m.t.Helper()
	for i, g := range m.generators() {
		clients := []string{g.Name}
		if i == 0 {
			clients = append(clients, "deploy/traffic-generator-productpage")
		}
		for _, client := range clients {
			m.eventually("the conflict is in force for "+client+" in "+g.Namespace, func() (string, bool) {
				out, _ := m.try("tls-check", "-n", g.Namespace, client, "productpage.bookinfo.svc.cluster.local")
				return out, matches(conflict, out)
			})
		}
	}
	m.synced()
	for _, g := range m.generators() {
		m.eventually("503 for the caller in "+g.Namespace, func() (string, bool) {
			out, _ := m.curl(g, "-i", "http://productpage.bookinfo:9080/")
			return out, strings.Contains(out, "HTTP/1.1 503")
		})
		ok := m.answered(g, "200")
		refused := m.answered(g, "503")
		m.eventually("its own calls get 503 as well, with UC", func() (string, bool) {
			n := m.answered(g, "503") - refused
			out := m.do("logs", g.Name, "-n", g.Namespace, "-c", "istio-proxy", "--tail", "50")
			return fmt.Sprint(n, "\n", out), n > 2 && matches(`"GET / HTTP/1\.1" 503 UC .*outbound\|9080\|\|productpage\.bookinfo\.svc\.cluster\.local`, out)
		})
		if n := m.answered(g, "200") - ok; n != 0 {
			m.t.Errorf("%v requests of the caller in %s succeeded meanwhile", n, g.Namespace)
		}
	}
}

// answered counts what a pod's sidecar got from productpage.
func (m *liveMesh) answered(p api.Pod, code string) float64 {
	m.t.Helper()
	return sum(m.scrape(p), "istio_requests_total", map[string]string{"reporter": "source", "response_code": code, "destination_service_name": "productpage"})
}

// refusal looks at the answer of a sidecar whose plaintext was not taken.
func (m *liveMesh) refusal(generator api.Pod) {
	m.t.Helper()
	out, _ := m.curl(generator, "-i", "http://productpage.bookinfo:9080/")
	head, body, _ := strings.Cut(out, "\r\n\r\n")
	for _, want := range []string{"HTTP/1.1 503 Service Unavailable", "content-type: text/plain", "server: oarlock", "content-length: 95"} {
		if !strings.Contains(head, want) {
			m.t.Errorf("the answer has no %q:\n%s", want, head)
		}
	}
	if want := "upstream connect error or disconnect/reset before headers. reset reason: connection termination"; body != want {
		m.t.Errorf("body = %q, want %q", body, want)
	}
}

// mended waits until every request of everybody succeeds over mutual TLS.
func (b bookinfo) mended(m *liveMesh, edges []string) {
	m.t.Helper()
	m.synced()
	for _, g := range m.generators() {
		m.eventually("requests of the caller in "+g.Namespace+" succeed", func() (string, bool) {
			out, _ := m.curl(g, "-i", "http://productpage.bookinfo:9080/")
			return out, strings.Contains(out, "HTTP/1.1 200")
		})
	}
	before := map[string]float64{}
	for _, service := range edges {
		before[service] = m.served(service, "200", "mutual_tls")
	}
	failed, plain := m.failed(edges), 0.0
	for _, service := range edges {
		plain += m.served(service, "200", "none")
	}
	m.eventually("every edge is encrypted", func() (string, bool) {
		for _, service := range edges {
			if m.served(service, "200", "mutual_tls") == before[service] {
				return service, false
			}
		}
		return "", true
	})
	for _, service := range edges {
		plain -= m.served(service, "200", "none")
	}
	if n := m.failed(edges) - failed; n != 0 || plain != 0 {
		m.t.Errorf("after the repair %v requests failed and %v were plaintext", n, -plain)
	}
	for _, p := range m.status().Pods {
		if out, code := m.try("tls-check", "--conflicts", p.Name, "-n", p.Namespace); code != 0 {
			m.t.Errorf("tls-check --conflicts %s: %d\n%s", p.Name, code, out)
		}
	}
}

// nobodyElse holds that no caller is told of whom there is not: all have sidecars, and no one outside calls. While traffic begins
// anew, its two ends may be scraped too far apart to tell.
func (m *liveMesh) nobodyElse() {
	m.t.Helper()
	c := m.plane()
	m.eventually("nobody calls who does not exist", func() (string, bool) {
		_, g := m.locks(c)
		var strange []string
		for _, e := range g.Edges {
			if !strings.HasPrefix(e.From, "workload/") {
				strange = append(strange, fmt.Sprintf("%s calls %s:%d: %s, %s", e.From, e.To, e.Port, e.Lock, e.Reason))
			}
		}
		return strings.Join(strange, "\n"), len(strange) == 0 && len(g.Edges) > 0
	})
}

// mendByEditor changes one line of the forgotten rule and adds one for the services that have none.
func (m *liveMesh) mendByEditor() {
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
	m.write("everything.yaml", rule)
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
