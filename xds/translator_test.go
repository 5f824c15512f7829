package xds

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/oarlock/oarlock/manifest"
	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/resolve"
)

// meshes reads the examples and the cases of testdata.
func meshes(t *testing.T) map[string]*mesh.Snapshot {
	t.Helper()
	out := map[string]*mesh.Snapshot{}
	for _, glob := range []string{"testdata/*", "../examples/*"} {
		dirs, _ := filepath.Glob(glob)
		for _, dir := range dirs {
			names, _ := filepath.Glob(dir + "/*.yaml")
			var files []manifest.File
			for _, f := range names {
				b, err := os.ReadFile(f)
				if err != nil {
					t.Fatal(err)
				}
				files = append(files, manifest.File{Name: f, Data: b})
			}
			if len(files) == 0 {
				continue
			}
			snap, _ := manifest.Load(files, manifest.Options{})
			for i, w := range snap.Workloads {
				if len(w.Addresses) == 0 {
					w.Addresses = []string{fmt.Sprintf("10.244.%d.%d", i/250, i%250+1)}
				}
			}
			out[dir] = snap
		}
	}
	if len(out) < 8 {
		t.Fatalf("found %d meshes", len(out))
	}
	return out
}

// content is a view as text: what two views of the same must share.
func content(v View) string {
	var b strings.Builder
	for _, ty := range Types() {
		var lines []string
		for r := range v.All(ty) {
			lines = append(lines, fmt.Sprintln(ty, r.Name, r.Version))
		}
		slices.Sort(lines)
		b.WriteString(strings.Join(lines, ""))
	}
	return b.String()
}

// viewsOf gives the view of every node, each by a Translator of its own or all by one.
func viewsOf(r *resolve.Resolver, shared *Translator) map[Node]string {
	out := map[Node]string{}
	for _, w := range r.Snapshot().Workloads {
		for _, n := range []Node{{Workload: w}, {Workload: w, GRPC: true}} {
			if w.Capture != mesh.CaptureSidecar && !n.GRPC {
				continue
			}
			t := shared
			if t == nil {
				t = NewTranslator(r)
			}
			out[n] = content(t.View(n))
		}
	}
	return out
}

func compareViews(t *testing.T, name string, got, want map[Node]string) {
	t.Helper()
	for n, w := range want {
		if got[n] != w {
			t.Errorf("%s: %s (gRPC %v) gets\n%s\nwant\n%s", name, n.Workload.Ref, n.GRPC, got[n], w)
			return
		}
	}
}

// TestSharing: what nodes share, and what is taken over from the mesh before, is what each would get by itself.
func TestSharing(t *testing.T) {
	nodes := 0
	for name, snap := range meshes(t) {
		r := resolve.New(snap)
		tr := NewTranslator(r)
		want := viewsOf(r, nil)
		nodes += len(want)
		compareViews(t, name, viewsOf(r, tr), want)
		for _, change := range changes(snap) {
			next := r.With(change.snap)
			tr = newTranslator(next, tr)
			compareViews(t, name+", "+change.what, viewsOf(next, tr), viewsOf(next, nil))
			r = next
		}
	}
	if nodes < 100 {
		t.Errorf("%d nodes: nothing was tested", nodes)
	}
}

type change struct {
	what string
	snap *mesh.Snapshot
}

// changes are meshes that follow each other and share services and workloads, but for the last.
func changes(s *mesh.Snapshot) []change {
	strict, without, other := *s, *s, *s
	for _, ns := range s.Namespaces {
		ref := mesh.Ref{Kind: mesh.KindPeerAuthentication, Namespace: ns.Ref.Name, Name: "strict"}
		strict.PeerAuthentications = append(slices.Clip(strict.PeerAuthentications), &mesh.PeerAuthentication{Object: mesh.Object{Ref: ref}, Mode: mesh.ModeStrict})
		ref.Kind = mesh.KindDestinationRule
		strict.DestinationRules = append(slices.Clip(strict.DestinationRules), &mesh.DestinationRule{
			Object: mesh.Object{Ref: ref}, Host: "*.local", TrafficPolicy: &mesh.TrafficPolicy{TLS: &mesh.ClientTLS{Mode: mesh.ClientIstioMutual}}})
	}
	without.DestinationRules, without.PeerAuthentications, without.Policies = nil, nil, nil
	other.Config.AccessLogFile, other.Config.TrustDomain = "/dev/stderr", "other.example"
	moved := *s
	moved.Workloads = slices.Clone(s.Workloads)
	for i, w := range moved.Workloads {
		w := *w
		w.Addresses = []string{fmt.Sprintf("10.245.%d.%d", i/250, i%250+1)}
		moved.Workloads[i] = &w
	}
	private := *s
	for _, ns := range s.Namespaces {
		for _, svc := range s.Services[:min(2, len(s.Services))] {
			private.VirtualServices = append(slices.Clip(private.VirtualServices), &mesh.VirtualService{
				Object:   mesh.Object{Ref: mesh.Ref{Kind: mesh.KindVirtualService, Namespace: ns.Ref.Name, Name: svc.Ref.Name}},
				Hosts:    []string{svc.Hostname},
				ExportTo: []string{"."},
				HTTP:     []mesh.HTTPRoute{{DirectResponse: &mesh.HTTPDirectResponse{Status: 418, Body: ns.Ref.Name}}},
				TCP:      []mesh.TCPRoute{{Route: []mesh.WeightedDestination{{RouteDestination: mesh.RouteDestination{Host: svc.Hostname, Subset: ns.Ref.Name}, Weight: 100}}}},
			})
		}
	}
	return []change{{"private routes", &private}, {"as before", s}, {"strict everywhere", &strict}, {"no rules", &without}, {"as before", s}, {"another trust domain", &other}, {"as before", s}, {"other addresses", &moved}}
}
