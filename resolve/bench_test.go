package resolve

import (
	"fmt"
	"testing"

	"github.com/oarlock/oarlock/mesh"
)

// largeMesh is a mesh as a big company has it: services in namespaces of twenty, a PeerAuthentication in every second
// namespace, rules in every tenth, two ports a service, ten workloads a service.
func largeMesh(services, workloads int) *mesh.Snapshot {
	g := &generator{s: &mesh.Snapshot{Dialect: mesh.DialectCurrent, Config: mesh.DefaultConfig()}}
	for i := range services {
		ns := fmt.Sprintf("ns-%04d", i/20)
		name := fmt.Sprintf("svc-%05d", i)
		app := map[string]string{"app": name}
		s := &mesh.Service{Hostname: name + "." + ns + ".svc.cluster.local", Selector: app}
		s.Ref = mesh.Ref{Kind: mesh.KindService, Namespace: ns, Name: name}
		s.Ports = []mesh.Port{{Name: "http", Number: 80, TargetNumber: 8080}, {Name: "tcp-admin", Number: 9000, TargetNumber: 9000}}
		g.s.Services = append(g.s.Services, s)
		for k := range workloads / services {
			w := &mesh.Workload{Labels: map[string]string{"app": name, "version": "v1"}, ServiceAccount: name, Replicas: 1, Capture: mesh.CaptureSidecar, TLSMode: mesh.TLSModeIstio}
			w.Ref = mesh.Ref{Kind: mesh.KindPod, Namespace: ns, Name: fmt.Sprintf("%s-%02d", name, k)}
			if k == 9 && i%50 == 0 {
				w.Capture, w.TLSMode = mesh.CaptureNone, "disabled"
			}
			g.s.Workloads = append(g.s.Workloads, w)
		}
		if i%40 == 0 {
			pa := &mesh.PeerAuthentication{Mode: mesh.ModeStrict}
			pa.Ref = mesh.Ref{Kind: mesh.KindPeerAuthentication, Namespace: ns, Name: "default"}
			g.s.PeerAuthentications = append(g.s.PeerAuthentications, pa)
		}
		if i/20%10 == 0 {
			d := &mesh.DestinationRule{Host: name, TrafficPolicy: &mesh.TrafficPolicy{TLS: &mesh.ClientTLS{Mode: mesh.ClientIstioMutual}}}
			d.Ref = mesh.Ref{Kind: mesh.KindDestinationRule, Namespace: ns, Name: name}
			g.s.DestinationRules = append(g.s.DestinationRules, d)
		}
	}
	g.sort()
	return g.s
}

var sizes = []struct{ services, workloads int }{{1000, 10_000}, {10_000, 100_000}}

// BenchmarkAllVerdicts is a parsed snapshot to every verdict: index, classes, table.
func BenchmarkAllVerdicts(b *testing.B) {
	for _, size := range sizes {
		s := largeMesh(size.services, size.workloads)
		b.Run(fmt.Sprintf("services=%d/workloads=%d", size.services, size.workloads), func(b *testing.B) {
			b.ReportAllocs()
			cells := 0
			for b.Loop() {
				table := New(s).Table()
				cells = len(table.classes) * size.services * 2
			}
			b.ReportMetric(float64(cells), "verdicts")
		})
	}
}

// BenchmarkOneVerdict is one question, the index being there.
func BenchmarkOneVerdict(b *testing.B) {
	s := largeMesh(1000, 10_000)
	r := New(s)
	c, t := Client{Workload: s.Workloads[17]}, Target{Service: s.Services[900], Port: 80}
	b.ReportAllocs()
	for b.Loop() {
		r.Resolve(c, t)
	}
}

// BenchmarkOneChange is one policy or rule edited, added or removed in the large mesh, to every verdict again.
func BenchmarkOneChange(b *testing.B) {
	s := largeMesh(10_000, 100_000)
	table := New(s).Table()
	edited := *s
	edited.PeerAuthentications = append([]*mesh.PeerAuthentication(nil), s.PeerAuthentications...)
	pa := *edited.PeerAuthentications[100]
	pa.Mode = mesh.ModePermissive
	edited.PeerAuthentications[100] = &pa
	removed := *s
	removed.PeerAuthentications = append(append([]*mesh.PeerAuthentication(nil), s.PeerAuthentications[:100]...), s.PeerAuthentications[101:]...)
	rule := *s
	rule.DestinationRules = append([]*mesh.DestinationRule(nil), s.DestinationRules...)
	d := *rule.DestinationRules[500]
	d.TrafficPolicy = nil
	rule.DestinationRules[500] = &d
	first := *s
	fresh := mesh.DestinationRule{Host: "svc-00030"}
	fresh.Ref = mesh.Ref{Kind: mesh.KindDestinationRule, Namespace: "ns-0001", Name: "aaa"}
	first.DestinationRules = append([]*mesh.DestinationRule{&fresh}, s.DestinationRules...)
	for _, step := range []struct {
		name string
		next *mesh.Snapshot
	}{{"policy-edited", &edited}, {"policy-removed", &removed}, {"rule-edited", &rule}, {"first-rule-of-a-namespace", &first}} {
		b.Run(step.name, func(b *testing.B) {
			for b.Loop() {
				table.With(step.next)
			}
		})
	}
}
