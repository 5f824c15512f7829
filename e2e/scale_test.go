//go:build linux

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/oarlock/oarlock/api"
)

// The large mesh: half of its nodes are workloads, half services.
const (
	largeNamespaces = 25
	largeApps       = 20 // in a namespace
	largeCalls      = 10 // of a workload
	largeNodes      = 2 * largeNamespaces * largeApps
	largeEdges      = largeNamespaces * largeApps * largeCalls
)

// writeLargeMesh writes the manifests of a mesh with largeNodes nodes and largeEdges edges, the same ones each time. Every
// lock is among them: a fifth of the namespaces takes mTLS alone, another fifth none, some have no sidecars, and rules
// disagree with both.
func writeLargeMesh(t testing.TB, dir string) {
	t.Helper()
	r := rand.New(rand.NewPCG(6, 5000))
	for n := range largeNamespaces {
		var b strings.Builder
		ns, injection := fmt.Sprintf("ns-%02d", n), "enabled"
		if n%8 == 7 { // no sidecar is asked for
			injection = "disabled"
		}
		fmt.Fprintf(&b, "apiVersion: v1\nkind: Namespace\nmetadata: {name: %s, labels: {istio-injection: %s}}\n", ns, injection)
		if mode := map[int]string{0: "STRICT", 1: "DISABLE"}[n%5]; mode != "" {
			fmt.Fprintf(&b, "---\napiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: default, namespace: %s}\nspec: {mtls: {mode: %s}}\n", ns, mode)
		}
		for i := range largeApps {
			writeLargeApp(&b, r, n, i)
		}
		if err := os.WriteFile(filepath.Join(dir, ns+".yaml"), []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// writeLargeApp writes a service with its workload. The last service of a namespace has the one before behind it as well,
// and its own workload has no sidecar.
func writeLargeApp(b *strings.Builder, r *rand.Rand, n, i int) {
	name := func(i int) string { return fmt.Sprintf("app-%02d", i) }
	var calls []string
	for taken := map[[2]int]bool{{n, i}: true}; len(calls) < largeCalls; {
		to := [2]int{n, r.IntN(largeApps)} // a third stays at home
		if r.IntN(3) > 0 {
			to[0] = r.IntN(largeNamespaces)
		}
		if !taken[to] {
			taken[to] = true
			calls = append(calls, fmt.Sprintf("%s.ns-%02d:80", name(to[1]), to[0]))
		}
	}
	inject, selector, pair := "true", "app: "+name(i), ""
	switch i {
	case largeApps - 1:
		inject, selector, pair = "false", "pair: both", ", pair: both"
	case largeApps - 2:
		pair = ", pair: both"
	}
	fmt.Fprintf(b, `---
apiVersion: v1
kind: Service
metadata: {name: %[1]s, namespace: ns-%02[2]d}
spec: {selector: {%[3]s}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s, namespace: ns-%02[2]d, annotations: {oarlock.dev/calls: "%[4]s"}}
spec:
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s%[5]s}, annotations: {sidecar.istio.io/inject: "%[6]s"}}
    spec: {containers: [{name: app, image: example.org/app:1.0, ports: [{containerPort: 8080}]}]}
`, name(i), n, selector, strings.Join(calls, ", "), pair, inject)
	if mode := map[int]string{3: "DISABLE", 7: "ISTIO_MUTUAL", 11: "SIMPLE"}[i]; mode != "" && n%3 == 0 {
		fmt.Fprintf(b, "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: %[1]s, namespace: ns-%02[2]d}\n"+
			"spec: {host: %[1]s, trafficPolicy: {tls: {mode: %[3]s}}}\n", name(i), n, mode)
	}
}

// A lone is a control plane alone, with a dashboard and made-up traffic.
type lone struct {
	t     testing.TB
	dir   string // its manifests
	state string
	base  string // address of the dashboard
	link  string // the same, with the token
	pid   int
	api   *http.Client
}

// serveLarge serves the large mesh until the test ends.
func serveLarge(t testing.TB) *lone {
	t.Helper()
	home, err := os.MkdirTemp("", "oe*l") // unix sockets have short names: not under t.TempDir
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(home) })
	l := &lone{t: t, dir: t.TempDir(), state: filepath.Join(home, "large")}
	writeLargeMesh(t, l.dir)
	c := exec.Command(filepath.Join(programs.dir, "oarlock"), "serve", "-f", l.dir, "--dir", l.state, "--name", "large", "--simulate", "--dashboard", "127.0.0.1:0")
	c.Env = append(os.Environ(), "XDG_STATE_HOME="+home+"/s", "XDG_RUNTIME_DIR="+home+"/r")
	log, err := os.Create(filepath.Join(home, "log"))
	if err != nil {
		t.Fatal(err)
	}
	c.Stdout, c.Stderr = log, log
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	l.pid = c.Process.Pid
	t.Cleanup(func() {
		c.Process.Signal(syscall.SIGTERM)
		if err := c.Wait(); err != nil {
			text, _ := os.ReadFile(log.Name())
			t.Errorf("oarlock serve: %v\n%s", err, text)
		}
		log.Close()
	})
	socket := filepath.Join(l.state, "api.sock")
	l.api = &http.Client{Timeout: patience, Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}}
	t.Cleanup(l.api.CloseIdleConnections)
	for begin := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		var access struct{ URL, Token string }
		text, err := os.ReadFile(filepath.Join(l.state, "dashboard.json"))
		if err == nil && json.Unmarshal(text, &access) == nil {
			l.base, l.link = access.URL, access.URL+"/#token="+access.Token
			if _, err = l.get("status"); err == nil {
				return l
			}
		}
		if time.Since(begin) > patience {
			t.Fatalf("no dashboard after %v: %v", patience, err)
		}
	}
}

// get asks the API on its socket.
func (l *lone) get(path string) ([]byte, error) {
	res, err := l.api.Get("http://oarlock/v1/" + path)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", res.Status, text)
	}
	return text, err
}

// spent gives the processor time and the resident memory of a process.
func spent(t testing.TB, pid int) (cpu time.Duration, resident int) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	number := func(i int) int {
		n, err := strconv.Atoi(fields[i])
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	return time.Duration(number(11)+number(12)) * 10 * time.Millisecond, number(21) * os.Getpagesize() // in hundredths of a second
}

// watchDrawing is put into each page: it notes when the graph is on the screen, by the clock that starts with the navigation.
const watchDrawing = `(() => {
	const look = () => {
		const g = document.querySelector(".graph-host")?.graph;
		if (!g || g.picture.nodes.length === 0 || g.cy.nodes().length < g.picture.nodes.length) return requestAnimationFrame(look);
		requestAnimationFrame(() => requestAnimationFrame(() => { window.drawnAt = performance.now(); }));
	};
	look();
})()`

// Expressions about the graph on the page.
const (
	theGraph  = `document.querySelector(".graph-host").graph`
	positions = `JSON.stringify(` + theGraph + `.cy.nodes().map(n => [n.id(), n.position()]).concat([` + theGraph + `.viewport()]))`
)

// drawn opens a graph and gives how long it took until it was there, in milliseconds.
func (b *browser) drawn(url string) float64 {
	b.t.Helper()
	b.open(url)
	b.until("a graph", "window.drawnAt")
	return eval[float64](b, "window.drawnAt")
}

// onLarge opens the dashboard of the large mesh and is logged in.
func onLarge(t testing.TB, l *lone) *browser {
	t.Helper()
	b := newBrowser(t, wide)
	call(b, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: watchDrawing})
	b.open(l.link)
	b.see("Graph")
	return b
}

// TestLargeMesh looks at a mesh of a thousand nodes: it comes collapsed, opens and closes again, and what is drawn stays where
// it is, whatever happens to the mesh.
func TestLargeMesh(t *testing.T) {
	l := serveLarge(t)
	text, err := l.get("graph?expand=*")
	if err != nil {
		t.Fatal(err)
	}
	var g api.Graph
	if err := json.Unmarshal(text, &g); err != nil {
		t.Fatal(err)
	}
	locks := map[string]int{}
	for _, e := range g.Edges {
		locks[e.Lock]++
	}
	t.Logf("%d nodes, %d edges: %v", len(g.Nodes), len(g.Edges), locks)
	if len(g.Edges) != largeEdges || len(locks) != 5 {
		t.Errorf("%d edges, want %d; every lock should be there: %v", len(g.Edges), largeEdges, locks)
	}

	b := onLarge(t, l)
	b.drawn(l.base + "/meshes/large/graph")
	if n := eval[int](b, theGraph+".picture.nodes.length"); n != largeNamespaces {
		t.Errorf("collapsed, %d nodes are drawn, want %d", n, largeNamespaces)
	}
	b.shot("large-collapsed")
	b.press("button", "Expand all")
	all := fmt.Sprintf("%[1]s.picture.nodes.length === %[2]d && %[1]s.picture.edges.length === %[3]d", theGraph, largeNodes, largeEdges)
	b.until("every node", all)
	b.shot("large")

	before := eval[string](b, "window.old = "+theGraph+".picture, "+positions)
	b.until("another picture", theGraph+".picture !== window.old")
	if after := eval[string](b, positions); after != before {
		t.Error("nodes moved with a picture of the same mesh")
	}
	policy := "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: default, namespace: ns-02}\nspec: {mtls: {mode: DISABLE}}\n"
	lock := theGraph + `.picture.edges.filter(e => e.to.includes(".ns-02.") && e.lock === "open").length`
	was := eval[int](b, lock)
	(&liveMesh{t: t, dir: l.dir}).write("new.yaml", policy)
	b.until("the locks of a namespace open", fmt.Sprintf("%s > %d", lock, was+100))
	if after := eval[string](b, positions); after != before {
		t.Error("nodes moved with a policy")
	}
	if b.frames(10); eval[string](b, positions) == before {
		t.Error("the graph does not follow a drag that begins within a namespace")
	}
	b.press("button", "Collapse")
	b.until("namespaces alone", fmt.Sprintf("%s.picture.nodes.length === %d", theGraph, largeNamespaces))
}

// BenchmarkDashboard draws the large mesh: from the address to the drawn graph (draw-ms), and the median time between two
// frames while it is dragged, all of it in view (frame-ms) and near by (near-ms).
func BenchmarkDashboard(b *testing.B) {
	l := serveLarge(b)
	p := onLarge(b, l)
	for _, view := range []struct{ name, query string }{{"expanded", "?expand=*"}, {"collapsed", ""}} {
		b.Run(view.name, func(b *testing.B) {
			var draw, frame, near []float64
			for b.Loop() {
				draw = append(draw, p.drawn(l.base+"/meshes/large/graph"+view.query))
				time.Sleep(time.Second)
				still := eval[string](p, "JSON.stringify("+theGraph+".viewport())")
				frame = append(frame, p.frames(120)...)
				if eval[string](p, "JSON.stringify("+theGraph+".viewport())") == still {
					b.Fatal("the graph was not dragged")
				}
				eval[bool](p, theGraph+".zoomBy(6), true")
				time.Sleep(time.Second)
				near = append(near, p.frames(120)...)
			}
			b.ReportMetric(median(draw), "draw-ms")
			b.ReportMetric(median(frame), "frame-ms")
			b.ReportMetric(median(near), "near-ms")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// frames drags the graph around, a step in each of so many frames, and gives the times between them in milliseconds.
func (b *browser) frames(n int) []float64 {
	b.t.Helper()
	return eval[[]float64](b, `new Promise(done => {
		const n = `+strconv.Itoa(n)+`, gaps = [], on = document.querySelector(".graph-cy canvas");
		const mouse = (kind, x, y) => on.dispatchEvent(new MouseEvent(kind, {clientX: x, clientY: y, buttons: 1, bubbles: true, cancelable: true, view: window}));
		mouse("mousedown", 640, 400);
		let last = 0;
		const step = t => {
			if (last) gaps.push(t - last);
			last = t;
			if (gaps.length < n) {
				mouse("mousemove", 640 + 220 * Math.sin(gaps.length / 12), 400 + 140 * Math.sin(gaps.length / 9));
				return requestAnimationFrame(step);
			}
			mouse("mouseup", 640, 400);
			done(gaps);
		};
		requestAnimationFrame(step);
	})`)
}

func median(list []float64) float64 {
	slices.Sort(list)
	return list[len(list)/2]
}
