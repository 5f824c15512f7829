package plan

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/oarlock/oarlock/api"
	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/meshtest"
	"github.com/oarlock/oarlock/metrics"
	"github.com/oarlock/oarlock/resolve"
	"github.com/rogpeppe/go-internal/txtar"
)

// caseMesh gives the two meshes of a case.
func caseMesh(t testing.TB, name string) (before, after *mesh.Snapshot) {
	t.Helper()
	ar, err := txtar.ParseFile("testdata/" + name + ".txt")
	if err != nil {
		t.Fatal(err)
	}
	part := map[string]string{}
	for _, f := range ar.Files {
		part[f.Name] = string(f.Data)
	}
	return meshtest.Snapshot(t, part["both.yaml"]+"\n---\n"+part["before.yaml"], mesh.DialectCurrent),
		meshtest.Snapshot(t, part["both.yaml"]+"\n---\n"+part["after.yaml"], mesh.DialectCurrent)
}

func marshal(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// running gives every Deployment of a mesh n pods.
func running(s *mesh.Snapshot, n int) *mesh.Snapshot {
	r := &mesh.Running{}
	for _, w := range s.Workloads {
		for i := range n {
			r.Pods = append(r.Pods, mesh.Pod{Workload: w.Pod(fmt.Sprintf("%s-%d", w.Ref.Name, i), nil), Phase: mesh.PhaseRunning, Ready: true})
		}
	}
	return s.WithRunning(r)
}

// TestPodsCountAsTheirWorkload: a mesh that runs is compared with manifests that do not, and says the same.
func TestPodsCountAsTheirWorkload(t *testing.T) {
	for _, name := range []string{"strict_plain_client", "disable_opens", "port_level", "client_loses_sidecar"} {
		before, after := caseMesh(t, name)
		web := mesh.Ref{Kind: mesh.KindDeployment, Namespace: "shop", Name: "web"}
		pod := mesh.Ref{Kind: mesh.KindPod, Namespace: "shop", Name: "web-1"}
		want := Compare(resolve.New(before), resolve.New(after), Known{Calls: []Call{{Client: web, Host: "api"}}})
		got := Compare(resolve.New(running(before, 3)), resolve.New(after), Known{Calls: []Call{{Client: pod, Host: "api"}}})
		if marshal(t, got) != marshal(t, want) {
			t.Errorf("%s: running\n%s\nmanifests\n%s", name, printed(got), printed(want))
		}
		if !strings.Contains(printed(got), "web.shop") {
			t.Errorf("%s: web is not told apart:\n%s", name, printed(got))
		}
	}
}

// TestIncremental: a table made of the one before gives the same answer.
func TestIncremental(t *testing.T) {
	s, _ := caseMesh(t, "strict_plain_client")
	pa := &mesh.PeerAuthentication{Mode: mesh.ModeStrict}
	pa.Ref = mesh.Ref{Kind: mesh.KindPeerAuthentication, Namespace: "shop", Name: "default"}
	next := *s
	next.PeerAuthentications = append([]*mesh.PeerAuthentication{pa}, s.PeerAuthentications...)
	table := resolve.New(s).Table()
	with, touched := table.With(&next)
	if len(touched) != 1 {
		t.Fatalf("%d services touched", len(touched))
	}
	got := Tables(table, with, Known{})
	want := Compare(resolve.New(s), resolve.New(&next), Known{})
	if marshal(t, got) != marshal(t, want) || got.Breaks == 0 {
		t.Errorf("with\n%s\nfresh\n%s", printed(got), printed(want))
	}
}

// TestTrafficOfAPod: a series that names a pod counts for its workload, which has a namesake of no consequence.
func TestTrafficOfAPod(t *testing.T) {
	before, after := caseMesh(t, "strict_plain_client")
	for _, name := range []string{"web", "web-1"} {
		seen := &metrics.Observation{Flows: []metrics.Flow{{Source: metrics.Peer{Namespace: "shop", Workload: name},
			Service: metrics.Service{Host: "api.shop.svc.cluster.local"}, Port: 8080, Reporter: metrics.Destination, Requests: 4}}}
		got := Compare(resolve.New(running(before, 2)), resolve.New(after), Known{Observed: seen})
		if e := got.Effects[0]; e.Client != "web.shop" || e.Requests != 4 || e.Kind != Breaks || e.Alike != 1 {
			t.Errorf("%s: %s", name, printed(got))
		}
	}
}

func TestLive(t *testing.T) {
	for _, c := range []struct {
		effect     api.Effect
		seen, live bool
	}{
		{api.Effect{}, false, false},
		{api.Effect{Declared: true}, false, true},
		{api.Effect{Requests: 0.1}, true, true},
		{api.Effect{Connections: 2, Declared: true}, true, true},
	} {
		if Seen(&c.effect) != c.seen || Live(&c.effect) != c.live {
			t.Errorf("%+v: seen %v, live %v", c.effect, Seen(&c.effect), Live(&c.effect))
		}
	}
}

func TestWords(t *testing.T) {
	for w := resolve.WirePlaintext; w <= resolve.WireUnknown; w++ {
		if wireWord(resolve.Verdict{Wire: w}) == "" {
			t.Errorf("wire %s has no word", w)
		}
	}
	seen := map[string]bool{}
	for s := resolve.ServerDisable; s <= resolve.ServerMixed; s++ {
		seen[serverWord(s)] = true
	}
	if len(seen) != 4 {
		t.Errorf("servers read %v", seen)
	}
	if got := keeps(resolve.Verdict{Wire: resolve.WireMTLS}, resolve.Verdict{Wire: resolve.WireTLS}); got != "has TLS that is not the mesh's in place of mTLS" {
		t.Errorf("keeps: %q", got)
	}
	some := resolve.Verdict{Status: resolve.StatusConflict, Wire: resolve.WireMixed}
	if got := parts(some); got != "some endpoints of " {
		t.Errorf("parts: %q", got)
	}
}

// largeMesh is the mesh of the benchmarks of package resolve: services in namespaces of twenty, two ports, ten workloads
// a service, a PeerAuthentication in every second namespace, rules in every tenth.
func largeMesh(services, workloads int) *mesh.Snapshot {
	s := &mesh.Snapshot{Dialect: mesh.DialectCurrent, Config: mesh.DefaultConfig()}
	for i := range services {
		ns, name := fmt.Sprintf("ns-%04d", i/20), fmt.Sprintf("svc-%05d", i)
		app := map[string]string{"app": name}
		service := &mesh.Service{Hostname: name + "." + ns + ".svc.cluster.local", Selector: app}
		service.Ref = mesh.Ref{Kind: mesh.KindService, Namespace: ns, Name: name}
		service.Ports = []mesh.Port{{Name: "http", Number: 80, TargetNumber: 8080}, {Name: "tcp-admin", Number: 9000}}
		s.Services = append(s.Services, service)
		for k := range workloads / services {
			w := &mesh.Workload{Labels: app, ServiceAccount: name, Replicas: 1, Capture: mesh.CaptureSidecar, TLSMode: mesh.TLSModeIstio}
			w.Ref = mesh.Ref{Kind: mesh.KindDeployment, Namespace: ns, Name: fmt.Sprintf("%s-%02d", name, k)}
			if k == 9 && i%50 == 0 {
				w.Capture, w.TLSMode = mesh.CaptureNone, "disabled"
			}
			s.Workloads = append(s.Workloads, w)
		}
		if i%40 == 0 {
			pa := &mesh.PeerAuthentication{Mode: mesh.ModeStrict}
			pa.Ref = mesh.Ref{Kind: mesh.KindPeerAuthentication, Namespace: ns, Name: "default"}
			s.PeerAuthentications = append(s.PeerAuthentications, pa)
		}
		if i/20%10 == 0 {
			d := &mesh.DestinationRule{Host: name, TrafficPolicy: &mesh.TrafficPolicy{TLS: &mesh.ClientTLS{Mode: mesh.ClientIstioMutual}}}
			d.Ref = mesh.Ref{Kind: mesh.KindDestinationRule, Namespace: ns, Name: name}
			s.DestinationRules = append(s.DestinationRules, d)
		}
	}
	return s
}

// withMode gives the mesh with one more policy: of a namespace, or of the mesh where that is its root namespace.
func withMode(s *mesh.Snapshot, ns string, mode mesh.Mode) *mesh.Snapshot {
	pa := &mesh.PeerAuthentication{Mode: mode}
	pa.Ref = mesh.Ref{Kind: mesh.KindPeerAuthentication, Namespace: ns, Name: "added"}
	next := *s
	next.PeerAuthentications = append([]*mesh.PeerAuthentication{pa}, s.PeerAuthentications...)
	return &next
}

// BenchmarkCompare is a change of a mesh with 1,000 services of two ports, 10,000 workloads and 5,000 declared calls:
// of one namespace, and of the mesh; from two snapshots (fresh), and from a table and a snapshot (with).
func BenchmarkCompare(b *testing.B) {
	s := largeMesh(1000, 10_000)
	var known Known
	for i := range 5000 {
		known.Calls = append(known.Calls, Call{Client: s.Workloads[i*2].Ref, Host: s.Services[(i*37)%1000].Hostname, Port: 80})
	}
	before := resolve.New(s)
	table := before.Table()
	for _, change := range []struct {
		name string
		next *mesh.Snapshot
	}{{"namespace", withMode(s, "ns-0001", mesh.ModeStrict)}, {"mesh", withMode(s, s.Config.RootNamespace, mesh.ModeStrict)}} {
		b.Run(change.name+"/fresh", func(b *testing.B) {
			b.ReportAllocs()
			effects := 0
			for b.Loop() {
				effects = len(Compare(before, resolve.New(change.next), known).Effects)
			}
			b.ReportMetric(float64(effects), "effects")
		})
		b.Run(change.name+"/with", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				next, _ := table.With(change.next)
				Tables(table, next, known)
			}
		})
	}
}

// TestCasesAreReadable: a case says in its first line what it is about.
func TestCasesAreReadable(t *testing.T) {
	files, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		ar, err := txtar.ParseFile("testdata/" + f.Name())
		if err != nil || len(strings.TrimSpace(string(ar.Comment))) < 10 {
			t.Errorf("%s: %v, about %q", f.Name(), err, ar.Comment)
		}
	}
}
