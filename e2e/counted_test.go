//go:build linux

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/oarlock/oarlock/api"
	"github.com/oarlock/oarlock/demoapp"
)

// shop has a till of two replicas that takes its time, so that there is always something under way, and a customer who calls
// when a test asks him to.
const shop = `apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio-injection: enabled}}
---
apiVersion: v1
kind: Service
metadata: {name: till, namespace: shop}
spec: {selector: {app: till}, ports: [{name: http, port: 8080}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: till, namespace: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: till}}
  template:
    metadata: {labels: {app: till}}
    spec:
      containers:
        - name: till
          image: oarlock/demo-app:1.0
          command: [oarlock, demo-app]
          args: [--listen, "http:8080", --latency, 50ms]
          ports: [{containerPort: 8080}]
---
apiVersion: v1
kind: Pod
metadata: {name: customer, namespace: shop, labels: {app: customer}}
spec: {containers: [{name: customer, image: oarlock/demo-app:1.0, command: [oarlock, demo-app]}]}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: shop}
spec: {mtls: {mode: STRICT}}
`

// upShop runs the shop.
func upShop(t *testing.T, flags ...string) *liveMesh {
	t.Helper()
	m := upDir(t, meshOf(t, shop), flags...)
	m.synced()
	return m
}

// meshOf makes a folder with a mesh of the current generation and some more manifests.
func meshOf(t *testing.T, manifests string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"00-namespaces.yaml", "mesh.yaml", "mesh-policy.yaml"} {
		b, err := os.ReadFile(filepath.Join("..", "examples", "backyards-current", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "more.yaml"), []byte(manifests), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// podsOf are the pods whose names begin so.
func (m *liveMesh) podsOf(namespace, prefix string) (out []api.Pod) {
	m.t.Helper()
	for _, p := range m.status().Pods {
		if p.Namespace == namespace && strings.HasPrefix(p.Name, prefix) {
			out = append(out, p)
		}
	}
	return out
}

// A load is a program in a pod that calls a service until it is told to end, and then says what came of it.
type load struct {
	m    *liveMesh
	cmd  *exec.Cmd
	in   io.Closer
	text bytes.Buffer
	to   string
}

// load begins to call a target from a pod, so many times a second.
func (m *liveMesh) load(from api.Pod, to string, rate int) *load {
	m.t.Helper()
	script := `"$0" demo-app --call "$1" --rate "$2" --grace 1m & read -r word; kill $!; wait $!`
	l := &load{m: m, to: to}
	l.cmd = exec.Command(filepath.Join(programs.dir, "oarlock"), "exec", from.Name, "-n", from.Namespace, "--",
		"sh", "-c", script, filepath.Join(programs.dir, "oarlock"), to, fmt.Sprint(rate))
	l.cmd.Env, l.cmd.Stdout, l.cmd.Stderr = m.env, &l.text, &l.text
	in, err := l.cmd.StdinPipe()
	if err != nil {
		m.t.Fatal(err)
	}
	l.in = in
	if err := l.cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() {
		if l.cmd.ProcessState == nil {
			l.cmd.Process.Kill()
			l.cmd.Wait()
		}
	})
	return l
}

// end lets what is under way end, and gives what the caller counted.
func (l *load) end() demoapp.Count {
	l.m.t.Helper()
	l.in.Close()
	err := l.cmd.Wait()
	lines := strings.Split(strings.TrimSpace(l.text.String()), "\n")
	var counted demoapp.Stats
	if json.Unmarshal([]byte(lines[len(lines)-1]), &counted) != nil {
		l.m.t.Fatalf("load of %s: %v\n%s", l.to, err, &l.text)
	}
	count := counted.Sent[l.to]
	if count.Failed > 0 {
		l.m.t.Logf("calls that failed:\n%s", &l.text)
	}
	return count
}

// taken gives what an application says that it got over HTTP, past its sidecar.
func (m *liveMesh) taken(p api.Pod) demoapp.Count {
	m.t.Helper()
	var stats demoapp.Stats
	out := m.do("exec", p.Name, "-n", p.Namespace, "--", "sh", "-c", `curl -sS --noproxy '*' --max-time 10 "http://${BIND_ADDR:-127.0.0.1}:8080/stats"`)
	if err := json.Unmarshal([]byte(out), &stats); err != nil {
		m.t.Fatalf("ask %s what it counted: %v\n%s", p.Name, err, out)
	}
	return stats.Received["http:8080"]
}

// A served is what a service's side counted: its applications, and their sidecars.
type served struct{ applications, sidecars float64 }

func (m *liveMesh) servedBy(pods []api.Pod) (out served) {
	m.t.Helper()
	for _, p := range pods {
		out.applications += float64(m.taken(p).Results["200"])
		out.sidecars += sum(m.scrape(p), "istio_requests_total", map[string]string{"reporter": "destination", "response_code": "200"})
	}
	return out
}

// retried is how often a pod's sidecar sent a request to a service again.
func (m *liveMesh) retried(p api.Pod, service string) float64 {
	m.t.Helper()
	return m.clusterOf(p, service, "envoy_cluster_upstream_rq_retry")
}

// clusterOf adds what a pod's sidecar has counted of the clusters of a service.
func (m *liveMesh) clusterOf(p api.Pod, service, name string) (total float64) {
	m.t.Helper()
	for _, s := range m.scrape(p) {
		if s.name == name && strings.Contains(s.labels["envoy_cluster_name"], "||"+service+".") {
			total += s.value
		}
	}
	return total
}

// A count is what both ends of a load have counted, how often the caller's sidecar tried again, how many connections it made, and how
// many requests a sidecar says to have lost with their connection.
type count struct {
	demoapp.Count
	served, again, connections, cut float64
}

// cut counts the requests whose connection ended under them or could not be made, between the sidecars or between one and its
// application.
func (m *liveMesh) cut(customer api.Pod, tills []api.Pod) (total float64) {
	m.t.Helper()
	for _, p := range append([]api.Pod{customer}, tills...) {
		for _, s := range m.scrape(p) {
			if flags := s.labels["response_flags"]; s.name == "istio_requests_total" && s.labels["response_code"] == "503" && (strings.Contains(flags, "UC") || strings.Contains(flags, "UF")) {
				total += s.value
			}
		}
	}
	return total
}

// counted calls the till while something is done to the shop, and counts at both ends: every success was served, and what was
// served beyond them was tried again, or lost its connection, or belongs to what failed. by says whose count of the till's side it is.
func (m *liveMesh) counted(what string, by func(served) float64, do func()) count {
	m.t.Helper()
	customer, tills := m.podsOf("shop", "customer")[0], m.podsOf("shop", "till")
	taken := func() float64 { return by(m.servedBy(tills)) }
	made := func() float64 { return m.clusterOf(customer, "till", "envoy_cluster_upstream_cx_total") }
	before, again, connections, cut := taken(), m.retried(customer, "till"), made(), m.cut(customer, tills)
	come := func() {
		m.t.Helper()
		at := taken()
		m.eventually("requests come", func() (string, bool) {
			n := taken() - at
			return fmt.Sprint(n), n > 20
		})
	}
	l := m.load(customer, "till.shop:8080", 40)
	come()
	do()
	come()
	out := count{Count: l.end()}
	m.eventually("the till has counted all that succeeded", func() (string, bool) {
		out.served = taken() - before
		return fmt.Sprintf("%+v", out), out.served >= float64(out.OK)
	})
	out.again, out.connections = m.retried(customer, "till")-again, made()-connections
	out.cut = m.cut(customer, tills) - cut
	m.t.Logf("%s: %d requests, %d succeeded, %d failed, %v were cut; %v served, %v tried again, %v new connections", what, out.OK+out.Failed, out.OK, out.Failed, out.cut, out.served, out.again, out.connections)
	// A GET that was under way on a connection which had been used before goes out once more on a new one, and that is no retry.
	if extra := out.served - float64(out.OK); extra > out.again+out.connections+float64(out.Failed) {
		m.t.Errorf("%s: %v were served beyond the %d that succeeded, %v were tried again, and %v connections are new", what, extra, out.OK, out.again, out.connections)
	}
	return out
}

func byApplications(s served) float64 { return s.applications }
func bySidecars(s served) float64     { return s.sidecars }

// Each process of a mesh is killed while requests are under way. They are counted at both ends. None is missing but those that were
// just then answered over a connection of the killed process: nobody but the caller may say that they are to be sent again, unless
// they are GETs on a connection that was used before.
func TestKilled(t *testing.T) {
	t.Parallel()
	m := upShop(t)
	tills := m.podsOf("shop", "till")
	// What the killed process itself has counted is lost with it: the other one of its pod knows.
	for _, c := range []struct {
		what string
		pid  func() int
		by   func(served) float64
	}{
		{"the control plane", m.planePID, byApplications},
		{"the sidecar of a till", func() int { return m.sidecarPID(tills[0]) }, byApplications},
		{"the application of a till", func() int { return m.applicationPID(tills[1]) }, bySidecars},
	} {
		got := m.counted(c.what, c.by, func() {
			pid := c.pid()
			m.kill(c.what, pid, syscall.SIGKILL)
			m.eventually(c.what+" is back", func() (string, bool) {
				now := c.pid()
				return fmt.Sprint(now), now != 0 && now != pid
			})
			m.synced()
		})
		// Istio's policy does not try again what was cut while it was under way, nor a 503 of the other sidecar, whose application is
		// just starting: what failed has lost its connection, and nothing else.
		if float64(got.Failed) > got.cut || got.Results["error"] > 0 {
			t.Errorf("%s: %d of %d requests failed, and %v were cut: %v", c.what, got.Failed, got.OK+got.Failed, got.cut, got.Results)
		}
		if c.what == "the control plane" {
			if got.Failed > 0 || got.again > 0 || got.served != float64(got.OK) {
				t.Errorf("without a control plane %v requests were sent again, and %v served for %d", got.again, got.served, got.OK)
			}
			if out, code := m.try("mtls", "allow", "shop", "--yes"); code != 0 || !strings.Contains(out, "enforced on") {
				t.Errorf("a change after the restart: %d\n%s", code, out)
			}
		}
	}
	if n := sum(m.scrape(tills[0]), "istio_requests_total", map[string]string{"reporter": "destination", "connection_security_policy": "mutual_tls"}); n == 0 {
		t.Error("the new sidecar serves without mTLS")
	}
}

// What may be lost with a sidecar is a request that must not be sent twice: it was under way, so it was served once, whether its
// answer came back or not.
func TestKilledUnderPOST(t *testing.T) {
	t.Parallel()
	m := upShop(t)
	customer, tills := m.podsOf("shop", "customer")[0], m.podsOf("shop", "till")
	answers := m.underWay(customer, 6, "-X", "POST", "-d", "x", "http://till.shop:8080/delay/8s")
	m.kill("the sidecar of a till", m.sidecarPID(tills[0]), syscall.SIGKILL)
	good, cut := 0, 0
	for _, a := range answers() {
		switch a {
		case "200":
			good++
		case "503":
			cut++
		default:
			t.Errorf("an answer: %q", a)
		}
	}
	m.eventually("each was served once", func() (string, bool) {
		n := m.servedBy(tills).applications
		return fmt.Sprintf("%d succeeded, %d cut, %v served", good, cut, n), n == float64(good+cut)
	})
	if good == 0 || cut == 0 || m.retried(customer, "till") > 0 {
		t.Errorf("%d succeeded and %d were cut, want some of each, and %v were sent again", good, cut, m.retried(customer, "till"))
	}
}

// underWay makes requests from a pod until all have come to their application. What it gives waits for their status codes.
func (m *liveMesh) underWay(from api.Pod, n int, args ...string) func() []string {
	m.t.Helper()
	active := func() float64 {
		return sum(m.scrape(from), "envoy_cluster_upstream_rq_active", map[string]string{"envoy_cluster_name": "outbound|8080||till.shop.svc.cluster.local"})
	}
	before := active()
	// One program starts them all: the first must not end before the last has begun.
	script := `n=$1; shift; while [ $((n -= 1)) -ge 0 ]; do curl -sS --max-time 60 -o /dev/null -w '%{http_code}\n' "$@" & done; wait`
	done := make(chan string, 1)
	go func() {
		out, _ := m.try(append([]string{"exec", from.Name, "-n", from.Namespace, "--", "sh", "-c", script, "sh", fmt.Sprint(n)}, args...)...)
		done <- out
	}()
	m.eventually("requests are under way", func() (string, bool) {
		now := active()
		return fmt.Sprint(now), now-before >= float64(n)
	})
	return func() []string { return strings.Fields(<-done) }
}

// The root is replaced under load: every step, and not a request is lost.
func TestRotationUnderLoad(t *testing.T) {
	t.Parallel() // it waits for certificates to come to their end, for the most part
	m := upShop(t, "--svid-ttl", "1m")
	got := m.counted("a rotation", byApplications, func() {
		first := m.authority()
		m.do("ca", "rotate")
		m.within(4*time.Minute, "another root is active and the old one is gone", func() (string, bool) {
			s := m.status().CA
			return fmt.Sprintf("%+v", s), len(s.Authorities) == 1 && s.Authorities[0].Fingerprint != first
		})
	})
	if got.Failed > 0 || got.served != float64(got.OK) {
		t.Errorf("%d requests failed during the rotation, %d succeeded, %v were served", got.Failed, got.OK, got.served)
	}
}

func (m *liveMesh) authority() string {
	m.t.Helper()
	for _, a := range m.status().CA.Authorities {
		if a.Slot == "active" {
			return a.Fingerprint
		}
	}
	m.t.Fatal("no authority is active")
	return ""
}

// A sidecar is told to stop while it carries requests: each is answered, on the client's side and on the server's, and was
// served once.
func TestStopAnswersWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	m := upShop(t)
	customer, tills := m.podsOf("shop", "customer")[0], m.podsOf("shop", "till")
	for _, side := range []api.Pod{tills[0], customer} {
		before, again := m.servedBy(tills).applications, m.retried(customer, "till")
		const calls = 4
		answers := m.underWay(customer, calls, "http://till.shop:8080/delay/3s") // a sidecar waits for 5 s when it is told to stop
		pid := m.sidecarPID(side)
		m.kill("the sidecar of "+side.Name, pid, syscall.SIGTERM)
		if got := answers(); !slices.Equal(got, slices.Repeat([]string{"200"}, calls)) {
			t.Errorf("%s: requests under way were lost: %q", side.Name, got)
		}
		if side.Name != customer.Name { // whose counts are gone with it
			again = m.retried(customer, "till") - again
			if again > 0 {
				t.Errorf("%s: %v requests were sent again", side.Name, again)
			}
		}
		m.eventually("each was served once", func() (string, bool) {
			n := m.servedBy(tills).applications - before
			return fmt.Sprint(n), n == calls
		})
		m.eventually("another sidecar", func() (string, bool) {
			now := m.sidecarPID(side)
			return fmt.Sprint(now), now != 0 && now != pid
		})
		m.synced()
	}
}

// applicationPID finds the process of a pod's application.
func (m *liveMesh) applicationPID(p api.Pod) int {
	m.t.Helper()
	return m.processWith(func(args, env string) bool {
		return strings.Contains(args, "demo-app --listen") && strings.Contains(env, "\x00HOSTNAME="+p.Name+"\x00")
	})
}
