//go:build linux

package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/oarlock/oarlock/meshtest"
)

// A Prometheus that we did not write scrapes the sidecars, and finds the traffic of every edge.
func TestPrometheus(t *testing.T) {
	prometheus := meshtest.Require(t, "prometheus", "prometheus")
	if captureMode() == "transparent" {
		t.Skip("the sidecars are in a network of their own: Prometheus would have to run there")
	}
	m := up(t, "backyards-current")
	m.synced()
	var targets []string
	for _, p := range m.status().Pods {
		if p.Sidecar {
			targets = append(targets, p.Addresses[0]+":15090")
		}
	}
	dir := t.TempDir()
	config := fmt.Sprintf("global: {scrape_interval: 1s}\nscrape_configs:\n- job_name: sidecars\n  metrics_path: /stats/prometheus\n  static_configs: [{targets: [%q]}]\n", strings.Join(targets, `", "`))
	config = strings.ReplaceAll(config, `\"`, `"`)
	if err := os.WriteFile(filepath.Join(dir, "prometheus.yml"), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	at := strings.Replace(targets[0], ":15090", ":19090", 1) // a free port of the mesh's own addresses
	c := exec.Command(prometheus, "--config.file="+filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+at)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Process.Signal(syscall.SIGTERM)
		c.Wait()
	})
	query := func(q string) map[string]string {
		res, err := http.Get("http://" + at + "/api/v1/query?query=" + url.QueryEscape(q))
		if err != nil {
			return nil
		}
		defer res.Body.Close()
		var answer struct {
			Data struct {
				Result []struct {
					Metric map[string]string
					Value  [2]any
				}
			}
		}
		if json.NewDecoder(res.Body).Decode(&answer) != nil {
			return nil
		}
		out := map[string]string{}
		for _, r := range answer.Data.Result {
			key := r.Metric["instance"] + r.Metric["source_workload"] + ">" + r.Metric["destination_service_name"]
			out[key] = fmt.Sprint(r.Value[1])
		}
		return out
	}
	m.eventually("every target is up", func() (string, bool) {
		got := query("up == 1")
		return fmt.Sprint(got), len(got) == len(targets)
	})
	m.eventually("every edge is encrypted", func() (string, bool) {
		got := query(`sum by (source_workload, destination_service_name) (rate(istio_requests_total{reporter="destination",connection_security_policy="mutual_tls"}[10s])) > 0`)
		for _, edge := range []string{"frontpage-v1>catalog", "frontpage-v1>bookings", "catalog-v1>movies", "bookings-v1>analytics", "bookings-v1>payments", "bookings-v1>notifications"} {
			if _, ok := got[edge]; !ok {
				return fmt.Sprint(edge, " is not among ", got), false
			}
		}
		return "", true
	})
	m.eventually("durations are a histogram", func() (string, bool) {
		got := query(`count(histogram_quantile(0.9, rate(istio_request_duration_milliseconds_bucket[10s])) > 0)`)
		return fmt.Sprint(got), len(got) > 0
	})
}

// What is not in the registry: passed through and counted, or refused and counted.
func TestOutsideWorld(t *testing.T) {
	outside := echoHTTP(t)
	for _, c := range []struct{ policy, code, cluster string }{
		{"ALLOW_ANY", "200", "PassthroughCluster"},
		{"REGISTRY_ONLY", "502", "BlackHoleCluster"},
	} {
		t.Run(c.policy, func(t *testing.T) {
			dir := copyExample(t, "backyards-current")
			m := &liveMesh{t: t, dir: dir}
			m.edit("mesh.yaml", "rootNamespace: istio-system", "rootNamespace: istio-system\n    outboundTrafficPolicy: {mode: "+c.policy+"}")
			if err := os.WriteFile(filepath.Join(dir, "known.yaml"), []byte(outside.manifests()), 0o644); err != nil {
				t.Fatal(err)
			}
			m = upDir(t, dir)
			m.synced()
			front := m.pod("backyards-demo", "frontpage")
			if out, _ := m.curl(front, "-o", "/dev/null", "-w", "%{http_code}", "http://known.example.org/"); !strings.HasSuffix(strings.TrimSpace(out), "200") {
				t.Errorf("a declared host: %s", out)
			}
			m.eventually("the declared host is counted", func() (string, bool) {
				n := sum(m.scrape(front), "istio_requests_total", map[string]string{"reporter": "source", "destination_service": "known.example.org", "response_code": "200"})
				return fmt.Sprint(n), n > 0
			})
			for _, port := range []string{outside.port, outside.other} { // an HTTP port of the mesh, and one that nobody declares
				out, code := m.curl(front, "-o", "/dev/null", "-w", "%{http_code}", "http://"+outside.host+":"+port+"/")
				if got := code == 0 && strings.HasSuffix(strings.TrimSpace(out), "200"); got != (c.code == "200") {
					t.Errorf("an unknown host, port %s: %s", port, out)
				}
			}
			m.eventually("the unknown host is counted", func() (string, bool) {
				samples := m.scrape(front)
				requests := sum(samples, "istio_requests_total", map[string]string{"reporter": "source", "destination_service_name": c.cluster, "response_code": c.code})
				connections := sum(samples, "istio_tcp_connections_opened_total", map[string]string{"reporter": "source", "destination_service_name": c.cluster})
				return fmt.Sprintf("%v requests, %v connections", requests, connections), requests > 0 && connections > 0
			})
		})
	}
}

// An outsideServer has two ports. What a mesh makes of the first depends on whether it has such a port of its own.
type outsideServer struct{ host, port, other string }

// manifests declare the server by a name, and its first port to be one of HTTP in the mesh.
func (o outsideServer) manifests() string {
	return fmt.Sprintf(`apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: known, namespace: backyards-demo}
spec:
  hosts: [known.example.org]
  addresses: [240.0.0.7]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints: [{address: %s, ports: {http: %s}}]
---
apiVersion: v1
kind: Service
metadata: {name: same-port, namespace: backyards-demo}
spec: {selector: {app: bookings}, ports: [{name: http, port: %[2]s, targetPort: 8080}]}
`, o.host, o.port)
}

// echoHTTP is a server outside of every mesh, on an address of this machine that is not loopback's.
func echoHTTP(t *testing.T) outsideServer {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(addresses, func(a net.Addr) bool {
		n, ok := a.(*net.IPNet)
		return ok && n.IP.To4() != nil && !n.IP.IsLoopback()
	})
	if i < 0 {
		t.Skip("this machine has no address but loopback's")
	}
	host := addresses[i].(*net.IPNet).IP.String()
	var ports []string
	for range 2 {
		l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "outside") }))
		server.Listener.Close()
		server.Listener = l
		server.Start()
		t.Cleanup(server.Close)
		ports = append(ports, fmt.Sprint(l.Addr().(*net.TCPAddr).Port))
	}
	return outsideServer{host, ports[0], ports[1]}
}
