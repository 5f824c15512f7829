package graph

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/meshtest"
	"github.com/oarlock/oarlock/metrics"
	"github.com/oarlock/oarlock/probe"
	"github.com/oarlock/oarlock/resolve"
	"github.com/rogpeppe/go-internal/txtar"
)

// noon is when every case happens.
var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// TestObserve runs the cases of testdata/observe: a mesh in common, what a case adds to it, what was seen, and every edge
// that was seen or proven with its lock, its reason and its findings. -update writes the last part.
//
// A line of `flows` (and of `since`, what was seen since a verdict changed, and `settled`, since old calls have ended) is
//
//	REPORTER PROTOCOL CALLER -> WORKLOAD at SERVICE:PORT SECURITY KEY=VALUE...
//
// where callers and workloads are NAME.NAMESPACE or ?, and a service is a host, a short name of the namespace shop, or -.
// A line of `also` is `now DURATION`, `down POD`, `trouble TEXT`, `pod WORKLOAD ready|REASON`, `changed EDGE-ID KEY=VALUE...` or `proof KEY=VALUE...`.
func TestObserve(t *testing.T) {
	files, err := filepath.Glob("testdata/observe/*.txt")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d cases, %v", len(files), err)
	}
	shared, err := os.ReadFile("testdata/observe/mesh.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) { runCase(t, file, string(shared)) })
	}
}

func runCase(t *testing.T, file, shared string) {
	a, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	part := map[string]string{}
	for _, f := range a.Files {
		part[f.Name] = string(f.Data)
	}
	g := Build(resolve.New(meshtest.Snapshot(t, shared+part["mesh"], mesh.DialectCurrent)))
	w := Witnesses{Now: noon, Observed: observation(t, part["flows"], time.Minute)}
	if _, ok := part["flows"]; !ok {
		w.Observed = nil
	}
	var since, settled *metrics.Observation
	if text, ok := part["settled"]; ok {
		settled = observation(t, text, 3*time.Second)
	}
	if text, ok := part["since"]; ok {
		since = observation(t, text, 13*time.Second)
	}
	for line := range strings.Lines(part["also"]) {
		also(t, &w, since, settled, strings.TrimSpace(line))
	}
	g.Observe(w)
	got := told(g)
	if *update {
		for i := range a.Files {
			if a.Files[i].Name == "want" {
				a.Files[i].Data = []byte(got)
			}
		}
		if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got != part["want"] {
		t.Errorf("got\n%s\nwant\n%s", got, part["want"])
	}
	checkSums(t, g)
}

// told prints what was seen.
func told(g *Graph) string {
	var b strings.Builder
	finding := func(indent string, all []Finding) {
		for _, f := range all {
			fmt.Fprintf(&b, "%s%s %s: %s\n", indent, f.Severity, f.Code, f.Text)
		}
	}
	finding("", g.Findings)
	if g.Trouble != "" {
		fmt.Fprintf(&b, "trouble: %s\n", g.Trouble)
	}
	for i := range g.Nodes {
		if n := &g.Nodes[i]; len(n.Findings) > 0 {
			fmt.Fprintf(&b, "%s\n", n.ID)
			finding("  ", n.Findings)
		}
	}
	for i := range g.Edges {
		e := &g.Edges[i]
		if e.Observed == nil && e.Proof == nil && e.Changed == nil && len(g.Edges) > 3 && e.Lock == LockUnknown {
			continue
		}
		fmt.Fprintf(&b, "%s\n  %s: %s\n", e.ID(), e.Lock, e.Reason)
		if o := e.Observed; o != nil {
			fmt.Fprintf(&b, "  %s %s requests=%.3g errors=%.3g connections=%.3g failures=%.3g lost=%.3g mtls=%.3g known=%.3g\n",
				o.Reporters, o.Protocol, o.Requests, o.Errors, o.Connections, o.Failures, o.Lost, o.MTLS, o.Known)
		}
		for _, s := range e.Shares {
			fmt.Fprintf(&b, "  share %s: %s\n", s.Workload, s.Lock)
		}
		if e.Sources[0].Kind == SourceTraffic {
			b.WriteString("  nobody declares it\n")
		}
		finding("  ", e.Findings)
	}
	return b.String()
}

// checkSums holds for every graph: shares are shares, an edge without known plaintext is not open, one with plaintext is not
// locked, every lock has a reason, and nodes sum up their edges.
func checkSums(t *testing.T, g *Graph) {
	t.Helper()
	in := map[string]float64{}
	for i := range g.Edges {
		e := &g.Edges[i]
		if e.Reason == "" {
			t.Errorf("%s has no reason", e.ID())
		}
		o := e.Observed
		if o == nil {
			if e.Lock != LockUnknown {
				t.Errorf("%s is %s and nothing was seen", e.ID(), e.Lock)
			}
			continue
		}
		in[e.To] += o.Requests + o.Connections
		if o.MTLS < 0 || o.MTLS > 1 || o.Known < 0 || o.Known > 1+1e-9 || o.Requests < 0 || o.Lost < 0 || o.Errors < 0 {
			t.Errorf("%s: %+v", e.ID(), o)
		}
		if e.Lock == LockLocked && (o.MTLS < 1 || o.Known < almostAll) || e.Lock == LockOpen && (o.MTLS > 0 || o.Known == 0) {
			t.Errorf("%s is %s with %g of %g mTLS", e.ID(), e.Lock, o.MTLS, o.Known)
		}
	}
	for i := range g.Nodes {
		n := &g.Nodes[i]
		if sum, ok := in[n.ID]; ok && n.Kind != NodeWorkload && (n.Traffic.In-sum > 1e-9 || sum-n.Traffic.In > 1e-9) {
			t.Errorf("%s takes %g, its edges %g", n.ID, n.Traffic.In, sum)
		}
	}
}

var flowLine = regexp.MustCompile(`^(source|destination) (\S+) (\S+) -> (\S+) at (\S+) (\S+)(.*)$`)

func observation(t *testing.T, text string, length time.Duration) *metrics.Observation {
	t.Helper()
	o := &metrics.Observation{Start: noon.Add(-length), End: noon, Newest: noon.Add(-time.Second)}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		m := flowLine.FindStringSubmatch(line)
		if m == nil {
			t.Fatalf("cannot read the flow %q", line)
		}
		f := metrics.Flow{Protocol: m[2], Source: peer(m[3]), Destination: peer(m[4])}
		if m[1] == "destination" {
			f.Reporter = metrics.Destination
		}
		f.Service, f.Port = target(t, m[5])
		f.Security = map[string]metrics.Security{"mtls": metrics.SecurityMutualTLS, "none": metrics.SecurityNone}[m[6]]
		for _, word := range strings.Fields(m[7]) {
			readWord(t, &f, word)
		}
		o.Flows = append(o.Flows, f)
	}
	return o
}

func peer(s string) metrics.Peer {
	if s == "?" {
		return metrics.Peer{}
	}
	name, ns, _ := strings.Cut(s, ".")
	return metrics.Peer{Workload: name, Namespace: ns, App: name}
}

func target(t *testing.T, s string) (metrics.Service, uint16) {
	t.Helper()
	host, port, _ := strings.Cut(s, ":")
	n := 0
	if port != "" {
		var err error
		if n, err = strconv.Atoi(port); err != nil {
			t.Fatal(err)
		}
	}
	switch {
	case host == "-":
		return metrics.Service{}, uint16(n)
	case host == "PassthroughCluster" || host == "BlackHoleCluster":
		return metrics.Service{Name: host}, uint16(n)
	case !strings.Contains(host, ".") && host != "overflow":
		host += ".shop.svc.cluster.local"
	}
	return metrics.Service{Host: host}, uint16(n)
}

func readWord(t *testing.T, f *metrics.Flow, word string) {
	t.Helper()
	key, value, _ := strings.Cut(word, "=")
	switch key {
	case "cause":
		f.Causes = append(f.Causes, metrics.CauseRate{Cause: value, Failures: f.Failures})
		return
	case "from":
		f.Source.Principal = value
		return
	case "to":
		f.Destination.Principal = value
		return
	case "policy":
		f.Policy = strings.ReplaceAll(value, "_", " ")
		return
	}
	v, err := strconv.ParseFloat(value, 64)
	at := map[string]*float64{"requests": &f.Requests, "errors": &f.Errors, "connections": &f.Connections, "received": &f.Received,
		"sent": &f.Sent, "failures": &f.Failures}[key]
	if err != nil || at == nil {
		t.Fatalf("cannot read %q", word)
	}
	*at = v
	if key == "requests" {
		f.P50, f.P90, f.P99 = 2*time.Millisecond, 5*time.Millisecond, 9*time.Millisecond
	}
}

func also(t *testing.T, w *Witnesses, since, settled *metrics.Observation, line string) {
	t.Helper()
	verb, rest, _ := strings.Cut(line, " ")
	values := map[string]string{}
	for _, word := range strings.Fields(rest) {
		k, v, _ := strings.Cut(word, "=")
		values[k] = v
	}
	number := func(key string) int { n, _ := strconv.Atoi(values[key]); return n }
	ago := func(key string) time.Time {
		d, err := time.ParseDuration(values[key])
		if err != nil {
			return time.Time{}
		}
		return noon.Add(-d)
	}
	switch verb {
	case "":
	case "now":
		d, err := time.ParseDuration(rest)
		if err != nil {
			t.Fatal(err)
		}
		w.Now = noon.Add(d)
	case "down":
		w.Observed.Down = append(w.Observed.Down, rest)
	case "trouble":
		w.Trouble = rest
	case "changed":
		if w.Changed == nil {
			w.Changed = map[string]Changed{}
		}
		w.Changed[strings.Fields(rest)[0]] = Changed{Since: ago("since"), InForce: number("inForce"), Total: number("total"), Observed: since, Settled: settled}
	case "pod": // pod WORKLOAD ready|REASON...
		of, reason, _ := strings.Cut(rest, " ")
		name, ns, _ := strings.Cut(of, ".")
		if w.Running == nil {
			w.Running = &mesh.Running{}
		}
		w.Running.Pods = append(w.Running.Pods, mesh.Pod{Ready: reason == "ready", Reason: reason, Workload: &mesh.Workload{
			Object: mesh.Object{Ref: mesh.Ref{Kind: mesh.KindPod, Namespace: ns, Name: fmt.Sprintf("%s-%d", name, len(w.Running.Pods))}},
			Owner:  mesh.Ref{Kind: mesh.KindDeployment, Namespace: ns, Name: name}}})
	case "proof":
		p := Proof{From: values["from"], To: values["to"], Port: uint32(number("port")), At: ago("ago"), Problem: values["problem"]}
		if m := values["mode"]; m != "" {
			p.Result = &probe.Result{Mode: probe.Mode(strings.ReplaceAll(m, "_", " "))}
		}
		w.Proofs = append(w.Proofs, p)
	default:
		t.Fatalf("cannot read %q", line)
	}
}
