package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/oarlock/oarlock/api"
	"github.com/oarlock/oarlock/graph"
	"github.com/oarlock/oarlock/local"
	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/meshtest"
	"github.com/oarlock/oarlock/plan"
	"github.com/oarlock/oarlock/resolve"
	"github.com/spf13/cobra"
)

// answered is a mesh whose control plane gives canned answers, by path, on a real socket.
func answered(t *testing.T, answers map[string]any) *runningMesh {
	t.Helper()
	dir, err := os.MkdirTemp("", "oar") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err := net.Listen("unix", filepath.Join(dir, apiSocket))
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch a := answers[r.URL.Path].(type) {
		case nil:
			w.WriteHeader(http.StatusNotFound)
			json.NewEncoder(w).Encode(api.Error{Message: "find " + r.URL.Path + ": there is nothing of that name"})
		case string:
			w.Write([]byte(a))
		case http.HandlerFunc:
			a(w, r)
		default:
			json.NewEncoder(w).Encode(a)
		}
	})}
	done := make(chan struct{})
	go func() { defer close(done); s.Serve(l) }()
	m := &runningMesh{name: "jaunty-ferret", paths: local.Paths{Name: "jaunty-ferret", State: dir, Run: dir}, plane: api.NewClient(l.Addr().String())}
	t.Cleanup(func() { m.plane.Close(); s.Close(); <-done })
	return m
}

const seenMesh = `
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio-injection: enabled}}
---
apiVersion: v1
kind: Service
metadata: {name: api, namespace: shop}
spec: {selector: {app: api}, ports: [{name: http, port: 8080}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}, annotations: {oarlock.dev/calls: "api:8080"}}
    spec: {containers: [{name: c, image: i}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: api, namespace: shop}
spec: {selector: {matchLabels: {app: api}}, template: {metadata: {labels: {app: api}}, spec: {containers: [{name: c, image: i}]}}}
`

// seenGraph is what a mesh saw: a declared call that works, one of a caller that nobody knows, and one that nobody sees.
func seenGraph() *api.Graph {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	web := &api.Place{Ref: api.Ref{Kind: "Deployment", Namespace: "shop", Name: "web"}}
	apiNode := &api.Place{Ref: api.Ref{Kind: "Service", Namespace: "shop", Name: "api"}}
	return &api.Graph{Head: api.Head{APIVersion: api.Version, Kind: "Graph"}, Mesh: "jaunty-ferret", Dialect: "current", Snapshot: "abc",
		Window: &api.Window{Start: at.Add(-time.Minute), End: at, Newest: at},
		Nodes: []api.GraphNode{
			{ID: "namespace/shop", Kind: "namespace", Namespace: "shop", Name: "shop"},
			{ID: "workload/shop/web.Deployment", Kind: "workload", Namespace: "shop", Name: "web", Ref: web, Capture: "sidecar", App: "web"},
			{ID: "service/api.shop.svc.cluster.local", Kind: "service", Namespace: "shop", Name: "api", Ref: apiNode, Traffic: &api.Traffic{In: 12, MTLS: 0.9, Known: 1}},
			{ID: "outside/unknown", Kind: "outside", Name: "outside"},
		},
		Edges: []api.Edge{
			{ID: "a", From: "outside/unknown", To: "service/api.shop.svc.cluster.local", Port: 8080, Lock: "open", Reason: "all of it was plaintext",
				Declared: &api.Declared{Status: "OK", Server: "PERMISSIVE", Mode: "UNSET", Wire: "plaintext", Cause: "match"},
				Observed: &api.Observed{Requests: 6, Errors: 6, MTLS: 0, Known: 1, Failures: 0.5, Causes: []api.Cause{{Cause: "plaintext", Failures: 0.5}}},
				Sources:  []api.EdgeSource{{Kind: "traffic", Text: "seen"}},
				Findings: []api.Finding{{Code: "undeclared", Severity: "warning", Text: "nobody declares it"}, {Code: "stale", Severity: "note", Text: "old"}}},
			{ID: "b", From: "workload/shop/web.Deployment", To: "service/api.shop.svc.cluster.local", Port: 8080, Lock: "locked", Reason: "all of it was mTLS",
				Declared: &api.Declared{Status: "AUTO", Server: "PERMISSIVE", Mode: "UNSET", Wire: "mTLS", Cause: "auto"},
				Observed: &api.Observed{Requests: 12, MTLS: 1, Known: 1, P50: 1.5},
				Proven:   &api.Proven{At: at, Mode: "PERMISSIVE", Proof: []string{"plaintext passes"}},
				Changed:  &api.Changed{Since: at, InForce: 1, Total: 2},
				Shares:   []api.Share{{Workload: "workload/shop/api.Deployment", Observed: api.Observed{Requests: 12}, Lock: "locked"}},
				Sources:  []api.EdgeSource{{Kind: "call", Text: "annotation oarlock.dev/calls", Ref: &api.Place{Ref: web.Ref, Origin: api.Origin{File: "mesh.yaml", Line: 14, Col: 9}}}}},
		}}
}

// seenLoaded is the mesh of those answers.
func seenLoaded(t *testing.T, answers map[string]any) *loaded {
	t.Helper()
	s := meshtest.Snapshot(t, seenMesh, mesh.DialectCurrent)
	return &loaded{snap: s, resolver: resolve.New(s), run: answered(t, answers), status: &api.Status{Mesh: "jaunty-ferret"}}
}

// heardApp is testApp with what it says on standard error.
func heardApp() (a *app, out, errs *bytes.Buffer) {
	a, out = testApp()
	errs = &bytes.Buffer{}
	a.stderr = errs
	return a, out, errs
}

// narrow fails a test where a line is wider than a terminal of 80 columns.
func narrow(t *testing.T, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > 80 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}

func TestEdgesOfARunningMesh(t *testing.T) {
	l := seenLoaded(t, map[string]any{"/v1/graph": seenGraph()})
	a, out, errs := heardApp()
	live := a.witnesses(t.Context(), l, time.Minute, "")
	v := &picture{l: l, live: live, g: graphOf(live, mesh.DialectCurrent)}
	if err := a.edgeTable(v, false).write(a.stdout); err != nil {
		t.Fatal(err)
	}
	a.stdout.Flush()
	want := `SOURCE     DESTINATION     DECLARED   OBSERVED                                   PROVEN       LOCK     FINDINGS   DECLARED BY
outside    api.shop:8080   OK         0% mTLS, 6/s, 100% errors, 0.5/s refused   -            open     1          seen
web.shop   api.shop:8080   AUTO       100% mTLS, 12/s                            PERMISSIVE   locked   -          annotation oarlock.dev/calls (mesh.yaml:14:9)
`
	if out.String() != want || errs.Len() > 0 {
		t.Errorf("got\n%s%s\nwant\n%s", out, errs, want)
	}
	out.Reset()
	if err := a.edgeTable(v, true).write(a.stdout); err != nil {
		t.Fatal(err)
	}
	a.stdout.Flush()
	if !strings.Contains(out.String(), "all of it was mTLS") || !strings.Contains(out.String(), "WIRE") {
		t.Errorf("wide:\n%s", out)
	}
	out.Reset()
	a.width = 80
	if err := a.edgeTable(v, false).write(a.stdout); err != nil {
		t.Fatal(err)
	}
	a.stdout.Flush()
	narrow(t, out.String())
	if !strings.Contains(out.String(), "locked") || !strings.Contains(out.String(), "100% mTLS") {
		t.Errorf("narrow:\n%s", out)
	}
}

func TestEdgesAsJSON(t *testing.T) {
	l := seenLoaded(t, map[string]any{"/v1/graph": seenGraph()})
	a, out, _ := heardApp()
	live := a.witnesses(t.Context(), l, time.Minute, "")
	if err := a.printEdges("json", &picture{l: l, live: live, g: graphOf(live, mesh.DialectCurrent)}); err != nil {
		t.Fatal(err)
	}
	a.stdout.Flush()
	var got struct {
		Kind, Mesh string
		Window     *api.Window
		Items      []api.Edge
	}
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Kind != "EdgeList" || got.Mesh != "jaunty-ferret" || got.Window == nil || len(got.Items) != 2 || got.Items[1].Observed.P50 != 1.5 || got.Items[1].ID != "b" {
		t.Errorf("%s", out)
	}
}

// TestGraphOfKeepsEverything: what is made of an answer says again what the answer said.
func TestGraphOfKeepsEverything(t *testing.T) {
	in := seenGraph()
	again := graphOf(in, mesh.DialectCurrent).JSON()
	again.Mesh = in.Mesh
	for i := range again.Edges {
		again.Edges[i].ID = in.Edges[i].ID
	}
	want, _ := json.MarshalIndent(in, "", " ")
	got, _ := json.MarshalIndent(again, "", " ")
	if string(got) != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for _, format := range []func(*graph.Graph) error{
		func(g *graph.Graph) error { return g.WriteDOT(&bytes.Buffer{}) },
		func(g *graph.Graph) error { return g.WriteSVG(&bytes.Buffer{}, graph.Dark) },
		func(g *graph.Graph) error { return g.WriteMermaid(&bytes.Buffer{}) },
	} {
		if err := format(graphOf(in, mesh.DialectCurrent)); err != nil {
			t.Error(err)
		}
	}
}

// TestWordsThatNobodyKnows: a newer control plane may say what this version does not know.
func TestWordsThatNobodyKnows(t *testing.T) {
	in := seenGraph()
	in.Edges[1].Lock, in.Edges[1].Declared.Cause, in.Edges[1].Declared.Status, in.Nodes[1].Kind = "bolted", "moonlight", "SPLENDID", "planet"
	g := graphOf(in, mesh.DialectCurrent)
	if e := g.Edges[1]; e.Lock != graph.LockUnknown || e.Declared.Verdict.Cause != resolve.CauseNone {
		t.Errorf("%+v", e)
	}
}

// TestWithoutWitnesses: manifests remain where a mesh does not say what it saw, and one line has the reason.
func TestWithoutWitnesses(t *testing.T) {
	away := seenGraph()
	away.Trouble, away.Window = "the store is away: connection refused", nil
	down := seenGraph()
	down.Down = []string{"web-1.shop"}
	down.Findings = []api.Finding{{Code: "stale", Severity: "warning", Text: "the newest measurement is 5 min old"}, {Code: "unplaced", Severity: "note", Text: "some"}}
	for _, c := range []struct {
		answers map[string]any
		nothing bool
		said    string
	}{
		{map[string]any{}, true, "oarlock: mesh jaunty-ferret does not say what was seen, so this is what its manifests say: find /v1/graph: there is nothing of that name\n"},
		{map[string]any{"/v1/graph": "{"}, true, "oarlock: mesh jaunty-ferret does not say what was seen, so this is what its manifests say: ask control plane: unexpected EOF\n"},
		{map[string]any{"/v1/graph": away}, false, "oarlock: nothing is observed in mesh jaunty-ferret: the store is away: connection refused\n"},
		{map[string]any{"/v1/graph": down}, false, "oarlock: 1 sidecar gave no answer to the store of observations: web-1.shop\noarlock: warning: the newest measurement is 5 min old\n"},
	} {
		l := seenLoaded(t, c.answers)
		a, _, errs := heardApp()
		g := a.witnesses(t.Context(), l, time.Minute, "")
		if (g == nil) != c.nothing || errs.String() != c.said {
			t.Errorf("%v: %q, want %q", g != nil, errs, c.said)
		}
	}
	a, _, errs := heardApp()
	if g := a.witnesses(t.Context(), &loaded{}, time.Minute, ""); g != nil || errs.Len() > 0 {
		t.Errorf("manifests alone: %v, %q", g, errs)
	}
}

func TestTLSCheckShowsWhatWasSeen(t *testing.T) {
	l := seenLoaded(t, map[string]any{"/v1/graph": seenGraph()})
	a, out, _ := heardApp()
	c := &tlsCheck{app: a, format: "wide", mesh: l, seen: sightingsOf(graphOf(seenGraph(), mesh.DialectCurrent))}
	if err := c.printTables(c.classes()); err != nil {
		t.Fatal(err)
	}
	a.stdout.Flush()
	for _, want := range []string{" 100% mTLS, 12/s     PERMISSIVE\n", " 0% mTLS, 6/s, 100% errors, 0.5/s refused     -\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

func TestRateAndShareWords(t *testing.T) {
	for rate, want := range map[float64]string{0: "0", 0.01: "<0.1", 0.5: "0.5", 2: "2", 9.96: "10", 12.3: "12", 9999: "9999", 12345: "12k"} {
		if got := rateWord(rate); got != want {
			t.Errorf("rate %g reads %s, want %s", rate, got, want)
		}
	}
	for share, want := range map[float64]string{0: "0%", 0.001: "<1%", 0.5: "50%", 0.999: ">99%", 1: "100%"} {
		if got := shareWord(share); got != want {
			t.Errorf("share %g reads %s, want %s", share, got, want)
		}
	}
}

// TestPlanWeighsTraffic: what was seen comes first, and a call that nobody declares counts when it was seen.
func TestPlanWeighsTraffic(t *testing.T) {
	l := seenLoaded(t, map[string]any{"/v1/graph": seenGraph()})
	strict := meshtest.Snapshot(t, seenMesh+`
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: shop}
spec: {mtls: {mode: STRICT}}
`, mesh.DialectCurrent)
	a, out, _ := heardApp()
	a.flags.failOn.value = "conflict"
	p := &planRun{app: a, format: "table", window: time.Minute}
	if err := p.report(t.Context(), l, resolve.New(strict), planDocument{}); asFailure(err, exitOK).code != exitFindings {
		t.Errorf("ends with %v", err)
	}
	a.stdout.Flush()
	want := `breaks 1, opens 0, mends 0, locks 0; 2 others change, 0 stay as they are

EFFECT   CLIENT     ALIKE   TARGET          WIRE                   CALLS               SERVER
breaks   outside    1       api.shop:8080   plaintext -> refused   6/s          PERMISSIVE -> STRICT
other    web.shop   1       api.shop:8080   mTLS                   12/s, declared  PERMISSIVE -> STRICT
other    api.shop   1       api.shop:8080   mTLS                   -                   PERMISSIVE -> STRICT

a caller without a sidecar is refused by api.shop:8080: the caller has no
  sidecar, and the server takes nothing but mTLS (PeerAuthentication
  shop/default).
`
	if squeezed(out.String()) != squeezed(want) {
		t.Errorf("got\n%s\nwant\n%s", out, want)
	}
	m := &mtlsChange{app: a}
	if broken := m.breaks(t.Context(), l, resolve.New(strict)); len(broken) != 1 || broken[0].Client != "outside" || !plan.Live(&broken[0]) {
		t.Errorf("mtls would ask about %+v", broken)
	}
	for name, change := range map[string]func(*api.Edge){
		"fails already":              func(e *api.Edge) { e.Lock = "broken" },
		"is a handful":               func(e *api.Edge) { e.Observed.Requests = 0.05 },
		"is a rest of what is known": func(e *api.Edge) { e.Observed.Requests = 2 },
	} {
		g := seenGraph()
		change(&g.Edges[0])
		if broken := m.breaks(t.Context(), seenLoaded(t, map[string]any{"/v1/graph": g}), resolve.New(strict)); len(broken) != 0 {
			t.Errorf("about a caller who %s, mtls would ask: %+v", name, broken)
		}
	}
	l.run = nil
	if broken := m.breaks(t.Context(), l, resolve.New(strict)); len(broken) != 0 {
		t.Errorf("without traffic, mtls would ask about %+v", broken)
	}
}

// squeezed takes neighbouring blanks for one.
func squeezed(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(strings.Join(strings.Fields(line), " ") + "\n")
	}
	return b.String()
}

// runTapOn runs a tap against a stream.
func runTapOn(t *testing.T, stream, format string, f *tapFlags, pod mesh.Ref) (string, string, error) {
	t.Helper()
	m := answered(t, map[string]any{"/v1/tap": stream})
	a, out, errs := heardApp()
	a.width = 80
	err := newTapRun(a, f, format, pod).run(t.Context(), m, api.TapQuery{})
	a.stdout.Flush()
	return out.String(), errs.String(), err
}

const tapStream = `: access logs

id: 1
event: line
data: {"time":"2026-01-02T03:04:05.678Z","namespace":"shop","pod":"api-1","text":"[2026-01-02T03:04:05.678Z] \"GET /items?q=1 HTTP/1.1\" 200 - via_upstream - \"-\" 0 149 3 2 \"-\" \"curl\" \"id\" \"api:8080\" \"127.0.0.2:8080\" inbound|8080|| 127.0.0.1:1 127.0.0.1:2 127.0.0.1:3 outbound_.8080_._.api.shop.svc.cluster.local default","method":"GET","path":"/items?q=1","code":200,"flags":"-","milliseconds":3,"direction":"inbound","from":"workload/shop/web.Deployment","to":"workload/shop/api.Deployment"}

event: line
data: {"time":"2026-01-02T03:04:06Z","namespace":"shop","pod":"web-1","text":"x","method":"POST","path":"/items","code":503,"flags":"UC,URX","milliseconds":1200,"direction":"outbound","from":"workload/shop/web.Deployment","to":"service/api.far.svc.cluster.local","reason":"TLS error: a very long reason that no terminal has the width for"}

event: line
data: {"time":"2026-01-02T03:04:07Z","namespace":"far","pod":"db-1","text":"[2026-01-02T03:04:07.000Z] \"- - -\" 0 - - - \"-\" 10 20 5000 - \"-\" \"-\" \"-\" \"-\" \"127.0.0.2:5432\" inbound|5432|| 127.0.0.1:1 127.0.0.1:2 127.0.0.1:3 - -","flags":"-","milliseconds":5000,"direction":"inbound"}

event: line
data: {"time":"0001-01-01T00:00:00Z","namespace":"far","pod":"db-1","text":"what no format knows\u001b[31m"}

event: dropped
data: {"time":"2026-01-02T03:04:08Z","namespace":"","pod":"","text":"7 lines came too fast and are left out"}

`

func TestTapLines(t *testing.T) {
	out, errs, err := runTapOn(t, tapStream, "table", &tapFlags{}, mesh.Ref{})
	if asFailure(err, exitOK).code != exitUnreadable { // the stream ended
		t.Errorf("ends with %v", err)
	}
	narrow(t, out)
	want := `03:04:05.678 200       3ms mTLS      web -> api.shop  GET /items?q=1
03:04:06.000 503 UC,URX 1200ms -         web.shop -> api.far  POST /items (TLS …
03:04:07.000 -      5000ms plaintext ? -> db-1.far  TCP
db-1.far what no format knows\u001b[31m
`
	if out != want || errs != "oarlock: 7 lines came too fast and are left out\n" {
		t.Errorf("got\n%s%s\nwant\n%s", out, errs, want)
	}
}

func TestTapFilters(t *testing.T) {
	for name, c := range map[string]struct {
		flags tapFlags
		pod   mesh.Ref
		pods  string
	}{
		"all":     {pods: "api-1 web-1 db-1 db-1"},
		"method":  {flags: tapFlags{method: []string{"get", "PUT"}}, pods: "api-1"},
		"code":    {flags: tapFlags{code: []string{"404", "5XX"}}, pods: "web-1"},
		"path":    {flags: tapFlags{path: "/items?"}, pods: "api-1"},
		"pattern": {flags: tapFlags{path: "*tem*q"}, pods: "api-1"},
		"flags":   {flags: tapFlags{flags: []string{"urx"}}, pods: "web-1"},
		"mtls":    {flags: tapFlags{mtls: choice{value: "yes"}}, pods: "api-1"},
		"none":    {flags: tapFlags{mtls: choice{value: "no"}}, pods: "db-1"},
		"limit":   {flags: tapFlags{limit: 2}, pods: "api-1 web-1"},
		"pod":     {pod: mesh.Ref{Kind: "Pod", Namespace: "shop", Name: "web-1"}, pods: "web-1"},
	} {
		t.Run(name, func(t *testing.T) {
			out, _, err := runTapOn(t, tapStream, "json", &c.flags, c.pod)
			if (err == nil) != (c.flags.limit > 0) {
				t.Errorf("ends with %v", err)
			}
			var pods []string
			in := bufio.NewScanner(strings.NewReader(out))
			for in.Scan() {
				var l api.LogLine
				if err := json.Unmarshal(in.Bytes(), &l); err != nil {
					t.Fatal(err)
				}
				pods = append(pods, l.Pod)
			}
			if strings.Join(pods, " ") != c.pods {
				t.Errorf("lines of %q, want %q", pods, c.pods)
			}
		})
	}
	out, _, _ := runTapOn(t, tapStream, "wide", &tapFlags{limit: 1}, mesh.Ref{})
	if !strings.HasPrefix(out, "api-1.shop [2026-01-02T03:04:05.678Z] \"GET /items?q=1 HTTP/1.1\" 200") {
		t.Errorf("wide: %s", out)
	}
}

func TestTapRefused(t *testing.T) {
	m := answered(t, map[string]any{"/v1/tap": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusConflict)
		json.NewEncoder(w).Encode(api.Error{Message: "tap: the access log is off"})
	})})
	a, _, _ := heardApp()
	err := newTapRun(a, &tapFlags{}, "table", mesh.Ref{}).run(t.Context(), m, api.TapQuery{})
	if f := asFailure(err, exitOK); f.code != exitUnreadable || !strings.Contains(f.Error(), "the access log is off") {
		t.Errorf("ends with %v", err)
	}
	for _, f := range []tapFlags{{code: []string{"20"}}, {code: []string{"abc"}}, {limit: -1}} {
		if asFailure(f.check(), exitOK).code != exitUsage {
			t.Errorf("%+v passes", f)
		}
	}
}

func TestTapQuery(t *testing.T) {
	l := seenLoaded(t, nil)
	l.status.Pods = []api.Pod{{Namespace: "shop", Name: "web-1", Owner: &api.Ref{Kind: "Deployment", Namespace: "shop", Name: "web"}}}
	for arg, want := range map[string]api.TapQuery{
		"":                {},
		"shop":            {Namespace: "shop"},
		"web-1":           {Namespace: "shop"},
		"shop/web-1":      {Namespace: "shop"},
		"deploy/web.shop": {Node: "workload/shop/web.Deployment"},
		"web.shop":        {Node: "workload/shop/web.Deployment"},
		"api.shop":        {Node: "service/api.shop.svc.cluster.local"},
	} {
		a, _, _ := heardApp()
		run := newTapRun(a, &tapFlags{}, "table", mesh.Ref{})
		var args []string
		if arg != "" {
			args = []string{arg}
		}
		got, err := run.query(l, args)
		if err != nil || got != want || run.pod.IsZero() == strings.Contains(arg, "web-1") {
			t.Errorf("%q: %+v (pod %v), %v; want %+v", arg, got, run.pod, err, want)
		}
	}
	a, _, _ := heardApp()
	if _, err := newTapRun(a, &tapFlags{}, "table", mesh.Ref{}).query(l, []string{"nobody"}); asFailure(err, exitOK).code != exitUsage {
		t.Errorf("nobody is found: %v", err)
	}
}

// TestDashboardLink: the link is printed where there is no desktop, opened where there is one, and a mesh without a
// dashboard is told apart from one that cannot be read.
func TestDashboardLink(t *testing.T) {
	m := answered(t, nil)
	t.Setenv("DISPLAY", "")
	t.Setenv("WAYLAND_DISPLAY", "")
	show := func(only bool) (string, string, error) {
		a, out, errs := heardApp()
		err := a.showBoard(t.Context(), m, only)
		a.stdout.Flush()
		return out.String(), errs.String(), err
	}
	if _, _, err := show(false); asFailure(err, exitOK).code != exitUnreadable || !strings.Contains(err.Error(), "it has none") {
		t.Errorf("without a dashboard: %v", err)
	}
	if err := os.MkdirAll(m.controlState(), 0o700); err != nil {
		t.Fatal(err)
	}
	write := func(text string) {
		if err := os.WriteFile(filepath.Join(m.controlState(), boardFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(`{"version":7}`)
	if _, _, err := show(true); err == nil || !strings.Contains(err.Error(), "it has version 7") {
		t.Errorf("of another version: %v", err)
	}
	write(`{"version":1,"url":"http://127.0.0.1:8626","token":"a-b_c"}`)
	const link = "http://127.0.0.1:8626/#token=a-b_c\n"
	for _, only := range []bool{true, false} {
		if out, errs, err := show(only); out != link || errs != "" || err != nil {
			t.Errorf("--print %v: %q, %q, %v", only, out, errs, err)
		}
	}
	bin := t.TempDir()
	opener := func(script string) {
		if err := os.WriteFile(filepath.Join(bin, "xdg-open"), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	t.Setenv("DISPLAY", ":9")
	opener(`printf %s "$1" >` + filepath.Join(bin, "opened"))
	out, errs, err := show(false)
	opened, _ := os.ReadFile(filepath.Join(bin, "opened"))
	if out != "" || errs != "opened the dashboard of mesh jaunty-ferret, http://127.0.0.1:8626\n" || err != nil || string(opened)+"\n" != link {
		t.Errorf("on a desktop: %q, %q, %v, opened %q", out, errs, err, opened)
	}
	opener("exit 3")
	if out, errs, err := show(false); out != link || !strings.Contains(errs, "ended with status 3") || err != nil {
		t.Errorf("where it fails: %q, %q, %v", out, errs, err)
	}
}

func TestStatusShowsWhatWasSeen(t *testing.T) {
	var trend api.Trend
	value := func(v float64) *float64 { return &v }
	for i := range 30 {
		trend.Times = append(trend.Times, time.Unix(int64(i), 0))
		trend.Requests = append(trend.Requests, value(float64(i)))
		trend.Errors = append(trend.Errors, value(0))
		trend.Connections = append(trend.Connections, nil)
		trend.Failures = append(trend.Failures, value(float64(i%2)))
		trend.MTLS = append(trend.MTLS, value(1))
	}
	trend.Requests[0] = nil
	m := answered(t, map[string]any{
		"/v1/overview": &api.Overview{Locks: api.Locks{Broken: 1, Locked: 9}, MTLS: value(0.984), Known: value(0.9), Findings: 2,
			Store: api.Store{Kind: "embedded", OK: true, Targets: 9, Up: 8, Interval: 1, Bytes: 3_200_000}},
		"/v1/trend": &api.TrendAnswer{Trend: trend},
	})
	seen := m.observed(t.Context())
	print := func(width int, locale string) string {
		t.Setenv("LC_ALL", locale)
		a, out, _ := heardApp()
		a.width = width
		if err := a.printWhole(&statusDocument{Status: &api.Status{Mesh: "m"}, Observed: seen, Dashboard: "http://127.0.0.1:8626", opener: "oarlock dashboard"}); err != nil {
			t.Fatal(err)
		}
		a.stdout.Flush()
		_, lines, _ := strings.Cut(out.String(), "edges ")
		return "edges " + lines
	}
	want := `edges          1 broken, 9 locked
mTLS           98% (90% known)
requests       29/s (1 to 29)
refused        1/s (0 to 1)
findings       2; oarlock edges shows where
store          embedded, 8 of 9 sidecars answer, asked every 1s, 3.2 MB
dashboard      http://127.0.0.1:8626 (oarlock dashboard opens it)
`
	if got := print(0, "C.UTF-8"); got != want {
		t.Errorf("piped:\n%s\nwant\n%s", got, want)
	}
	unicode := print(80, "C.UTF-8")
	narrow(t, unicode)
	if !strings.Contains(unicode, "requests       29/s (1 to 29)           ▂▂▂▂▂▂▂▂▃") || !strings.Contains(unicode, "█\n") {
		t.Errorf("on a terminal:\n%s", unicode)
	}
	if got := print(80, "C"); strings.ContainsFunc(got, func(r rune) bool { return r > 127 }) || !strings.Contains(got, "#\n") {
		t.Errorf("without Unicode:\n%s", got)
	}
	a, out, _ := heardApp()
	if err := a.print("json", &statusDocument{Status: &api.Status{Mesh: "m"}, Observed: seen}); err != nil {
		t.Fatal(err)
	}
	a.stdout.Flush()
	if !strings.Contains(out.String(), `"mesh": "m"`) || !strings.Contains(out.String(), `"broken": 1`) {
		t.Errorf("json:\n%s", out)
	}
}

func TestStatusWithoutAStore(t *testing.T) {
	for _, c := range []struct {
		answers map[string]any
		want    string
	}{
		{nil, "observed       nothing: find /v1/overview: there is nothing of that name\n"},
		{map[string]any{"/v1/trend": &api.TrendAnswer{Trouble: "away"}, "/v1/overview": &api.Overview{Trouble: "away",
			Store: api.Store{Kind: "prometheus", Problem: "connection refused"}}},
			"edges          none\nstore          prometheus is away: connection refused\nobserved       nothing: away\n"},
		{map[string]any{"/v1/trend": &api.TrendAnswer{}, "/v1/overview": &api.Overview{Trouble: "none here", Store: api.Store{Kind: "none", Problem: "none here"}}},
			"edges          none\nstore          none: none here\n"},
	} {
		m := answered(t, c.answers)
		w := &statusWriter{explainer{width: 80}}
		a, _, _ := heardApp()
		w.observed(a, m.observed(t.Context()))
		if got := w.b.String(); got != c.want && !(c.answers == nil && strings.HasPrefix(got, "observed       nothing: find /v1/")) {
			t.Errorf("got\n%s\nwant\n%s", got, c.want)
		}
	}
	if word := storeWord(&api.Store{Kind: "prometheus", Address: "http://p:9090", OK: true, Problem: "slow"}); word != "prometheus at http://p:9090; slow" {
		t.Errorf("a Prometheus reads %q", word)
	}
}

func TestSparkline(t *testing.T) {
	v := func(list ...float64) (out []*float64) {
		for _, x := range list {
			if x < 0 {
				out = append(out, nil)
				continue
			}
			out = append(out, &x)
		}
		return out
	}
	for _, c := range []struct {
		values []*float64
		top    float64
		width  int
		want   string
	}{
		{v(0, 1, 2, 4), 0, 10, "▁▂▄█"},
		{v(0, 0), 0, 10, "▁▁"},
		{v(1, -1, 1), 1, 10, "█ █"},
		{v(0.001, 0.999), 1, 10, "▂▇"},
		{v(2), 1, 10, "█"},
		{v(1, 3, -1, -1, 8, 8), 0, 3, "▂ █"},
		{nil, 0, 10, ""},
	} {
		if got := sparkline(c.values, c.top, c.width, blockBars); got != c.want {
			t.Errorf("%v: %q, want %q", c.values, got, c.want)
		}
	}
	if len(blockBars) != len(asciiBars) {
		t.Error("the two sets of bars differ in number")
	}
	if _, _, _, ok := span(v(-1, -1)); ok {
		t.Error("nothing has a span")
	}
	if last, least, greatest, ok := span(v(-1, 3, 1, 2, -1)); last != 2 || least != 1 || greatest != 3 || !ok {
		t.Error(last, least, greatest, ok)
	}
}

func TestBarsObeyTheLocale(t *testing.T) {
	for _, c := range []struct {
		all, lang string
		width     int
		want      string
	}{{"", "en_US.UTF-8", 80, "▁"}, {"C", "en_US.UTF-8", 80, "_"}, {"", "de_DE.utf8", 80, "▁"}, {"", "", 80, "_"}, {"C.UTF-8", "C", 0, ""}} {
		t.Setenv("LC_ALL", c.all)
		t.Setenv("LC_CTYPE", "")
		t.Setenv("LANG", c.lang)
		a := &app{width: c.width}
		if got := string(a.bars()[:min(1, len(a.bars()))]); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
}

// TestCompletionOfMeshes: nothing runs here, so nothing is offered, and nothing fails.
func TestCompletionOfMeshes(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	if names, d := completeMeshes(&cobra.Command{}, nil, ""); len(names) != 0 || d != cobra.ShellCompDirectiveNoFileComp {
		t.Error(names, d)
	}
}
