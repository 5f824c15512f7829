package resolve

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/oarlock/oarlock/mesh"
)

// randomMesh makes a small snapshot in which as many rules as possible meet. Objects are sorted as manifest does it.
func randomMesh(rng *rand.Rand, d mesh.Dialect) *mesh.Snapshot {
	g := &generator{rng: rng, s: &mesh.Snapshot{Dialect: d, Config: mesh.DefaultConfig()}}
	g.config()
	for _, ns := range []string{"a", "b", "c", "istio-system"} {
		if g.one(2) {
			n := &mesh.Namespace{Object: g.object(mesh.KindNamespace, ""), Capture: pickOne(g, mesh.CaptureNone, mesh.CaptureSidecar, mesh.CaptureAmbient)}
			n.Ref.Name = ns
			g.s.Namespaces = append(g.s.Namespaces, n)
		}
		g.workloads(ns)
		g.services(ns)
	}
	g.s.PeerAuthentications = fill(g, 6, g.peerAuthentication)
	g.s.Policies = fill(g, 6, g.policy)
	g.s.DestinationRules = fill(g, 7, g.rule)
	g.s.Sidecars = fill(g, 2, g.sidecar)
	g.s.VirtualServices = fill(g, 2, g.virtualService)
	g.sort()
	return g.s
}

type generator struct {
	rng *rand.Rand
	s   *mesh.Snapshot
	n   int
}

func (g *generator) one(in int) bool { return g.rng.IntN(in) == 0 }

func pickOne[T any](g *generator, list ...T) T { return list[g.rng.IntN(len(list))] }

func fill[T any](g *generator, most int, make func() *T) []*T {
	var out []*T
	for range g.rng.IntN(most + 1) {
		out = append(out, make())
	}
	return out
}

func (g *generator) ns() string { return pickOne(g, "a", "b", "c", "istio-system") }

func (g *generator) object(kind mesh.Kind, ns string) mesh.Object {
	g.n++
	o := mesh.Object{Ref: mesh.Ref{Kind: kind, Namespace: ns, Name: fmt.Sprintf("%c%d", 'a'+rune(g.rng.IntN(26)), g.n)}}
	if g.one(2) {
		o.Created = time.Unix(int64(g.rng.IntN(4)), 0)
	}
	return o
}

func (g *generator) config() {
	cfg := &g.s.Config
	if g.one(3) {
		on := g.one(2)
		cfg.EnableAutoMTLS = &on
	}
	if g.one(5) {
		cfg.DefaultDestinationRuleExportTo = []string{"."}
	}
	if g.one(8) {
		cfg.DefaultServiceExportTo = []string{"."}
	}
	if g.one(3) {
		cfg.OutboundTrafficPolicy = mesh.OutboundRegistryOnly
	}
}

func (g *generator) labels() map[string]string {
	return map[string]string{"app": pickOne(g, "foo", "bar"), "version": pickOne(g, "v1", "v2")}
}

func (g *generator) workloads(ns string) {
	for range 1 + g.rng.IntN(4) {
		w := &mesh.Workload{Object: g.object(mesh.KindDeployment, ns), Labels: g.labels(), ServiceAccount: "sa", Replicas: 1}
		w.Capture = pickOne(g, mesh.CaptureSidecar, mesh.CaptureSidecar, mesh.CaptureSidecar, mesh.CaptureNone, mesh.CaptureAmbient)
		w.TLSMode = "disabled"
		if w.Capture == mesh.CaptureSidecar && !g.one(6) {
			w.TLSMode = mesh.TLSModeIstio
		}
		if g.one(8) {
			w.Router, w.TLSMode = w.Capture == mesh.CaptureSidecar, "disabled"
		}
		if g.one(8) {
			w.Replicas = 0
		}
		if g.one(8) {
			w.Inbound.Exclude = []uint32{8080}
		}
		if g.one(8) {
			w.Outbound.Exclude = []uint32{80}
		}
		g.s.Workloads = append(g.s.Workloads, w)
	}
}

func (g *generator) services(ns string) {
	for _, name := range []string{"foo", "bar"} {
		s := &mesh.Service{Hostname: name + "." + ns + ".svc.cluster.local", Selector: map[string]string{"app": name}}
		s.Object = mesh.Object{Ref: mesh.Ref{Kind: mesh.KindService, Namespace: ns, Name: name}}
		s.Ports = []mesh.Port{{Name: "http", Number: 80, TargetNumber: 8080}, {Name: "tcp-x", Number: 90, TargetNumber: 9090}, {Name: "dns", Number: 53, Transport: "UDP"}}
		if g.one(3) {
			s.Ports = append(s.Ports, mesh.Port{Name: "dns-tcp", Number: 53}, mesh.Port{Name: "udp-x", Number: 99}, mesh.Port{Name: "https", Number: 443, TargetNumber: 8080})
		}
		if g.one(10) {
			s.Resolution, s.Selector, s.ExternalName = mesh.ResolutionExternalName, nil, pickOne(g, "foo.a.svc.cluster.local", "bar.b.svc.cluster.local", "www.example.com")
		}
		if g.one(6) {
			s.Resolution = mesh.ResolutionPassthrough
		}
		if g.one(10) {
			s.Selector = map[string]string{"app": "nobody"}
		}
		if g.one(8) {
			s.ExportTo = []string{pickOne(g, ".", "~", "a", "*")}
		}
		g.s.Services = append(g.s.Services, s)
	}
	if g.one(3) {
		g.entry(ns)
	}
}

func (g *generator) entry(ns string) {
	e := &mesh.Service{Hostname: pickOne(g, "x.example.com", "foo.a.svc.cluster.local"), External: g.one(2), Resolution: pickOne(g, mesh.ResolutionDNS, mesh.ResolutionStatic)}
	e.Object = g.object(mesh.KindServiceEntry, ns)
	e.Ports = []mesh.Port{{Name: "http", Number: 80, Declared: "HTTP"}}
	for range g.rng.IntN(3) {
		w := &mesh.Workload{Object: g.object(mesh.KindWorkloadEntry, ns), Labels: g.labels(), TLSMode: "disabled", InlineOf: e.Ref}
		if g.one(2) {
			w.Capture, w.TLSMode = mesh.CaptureSidecar, mesh.TLSModeIstio
		}
		e.Inline = append(e.Inline, w)
	}
	g.s.Services = append(g.s.Services, e)
}

func (g *generator) peerAuthentication() *mesh.PeerAuthentication {
	mode := func() mesh.Mode {
		return pickOne(g, mesh.ModeUnset, mesh.ModeDisable, mesh.ModePermissive, mesh.ModeStrict)
	}
	pa := &mesh.PeerAuthentication{Object: g.object(mesh.KindPeerAuthentication, g.ns()), Mode: mode()}
	if g.one(2) {
		pa.Selector = map[string]string{"app": pickOne(g, "foo", "bar")}
		if g.one(2) {
			pa.Ports = []mesh.PortMode{{Port: pickOne[uint32](g, 80, 8080), Mode: mode()}}
		}
	}
	return pa
}

func (g *generator) policy() *mesh.Policy {
	p := &mesh.Policy{Object: g.object(mesh.KindPolicy, g.ns())}
	if g.one(3) {
		p.Ref = mesh.Ref{Kind: mesh.KindMeshPolicy, Name: "default"}
	} else if g.one(2) {
		t := mesh.PolicyTarget{Name: pickOne(g, "foo", "bar", "foo.a.svc.cluster.local")}
		if g.one(2) {
			t.Ports = []mesh.PolicyPort{{Number: 80}}
		}
		if g.one(5) {
			t.Labels = g.labels()
		}
		p.Targets = []mesh.PolicyTarget{t}
	}
	if !g.one(3) {
		p.Peers = []mesh.PolicyPeer{{MTLS: true, Mode: pickOne(g, mesh.ModeStrict, mesh.ModePermissive)}}
	}
	return p
}

func (g *generator) tls() *mesh.ClientTLS {
	if g.one(3) {
		return nil
	}
	t := &mesh.ClientTLS{Mode: pickOne(g, mesh.ClientDisable, mesh.ClientIstioMutual, mesh.ClientIstioMutual, mesh.ClientSimple, mesh.ClientMutual)}
	if g.one(4) {
		t.CredentialName = "cred"
	}
	if g.one(4) {
		t.SubjectAltNames = []string{"spiffe://cluster.local/ns/" + g.ns() + "/sa/sa"}
	}
	return t
}

func (g *generator) trafficPolicy() *mesh.TrafficPolicy {
	if g.one(4) {
		return nil
	}
	p := &mesh.TrafficPolicy{TLS: g.tls(), LoadBalancer: pickOne(g, "", "", "PASSTHROUGH")}
	if g.one(2) {
		p.Ports = []mesh.PortPolicy{{Number: pickOne[uint32](g, 80, 90), TLS: g.tls()}}
	}
	return p
}

func (g *generator) rule() *mesh.DestinationRule {
	d := &mesh.DestinationRule{Object: g.object(mesh.KindDestinationRule, g.ns()), TrafficPolicy: g.trafficPolicy()}
	d.Host = pickOne(g, "foo", "foo", "foo.a.svc.cluster.local", "*.a.svc.cluster.local", "*.local", "*", "foo.a", "x.example.com")
	d.ExportTo = pickOne(g, nil, nil, []string{"*"}, []string{"."}, []string{"a"}, []string{"b", "a"}, []string{".", "b"})
	if g.one(3) {
		d.Subsets = []mesh.Subset{{Name: pickOne(g, "v1", "v2"), Labels: map[string]string{"version": "v1"}, TrafficPolicy: g.trafficPolicy()}}
	}
	if g.one(5) {
		d.WorkloadSelector = g.labels()
	}
	return d
}

func (g *generator) virtualService() *mesh.VirtualService {
	v := &mesh.VirtualService{Object: g.object(mesh.KindVirtualService, g.ns())}
	v.Hosts = []string{pickOne(g, "foo", "foo.a.svc.cluster.local", "shop.example.com", "*.example.com")}
	v.ExportTo = pickOne(g, nil, []string{"."}, []string{"a"})
	for range 1 + g.rng.IntN(2) {
		v.Destinations = append(v.Destinations, mesh.RouteDestination{Host: pickOne(g, "foo", "bar.b.svc.cluster.local", "x.example.com"),
			Subset: pickOne(g, "", "v1"), Port: pickOne[uint32](g, 0, 80, 90)})
	}
	return v
}

func (g *generator) sidecar() *mesh.Sidecar {
	s := &mesh.Sidecar{Object: g.object(mesh.KindSidecar, g.ns())}
	hosts := pickOne(g, nil, []string{"./*"}, []string{"a/*", "istio-system/*"}, []string{"*/foo.a.svc.cluster.local"}, []string{"~/*"})
	if hosts != nil {
		s.Egress = []mesh.EgressListener{{Hosts: hosts}}
	}
	if g.one(3) {
		s.Selector = map[string]string{"app": "foo"}
	}
	if g.one(3) && s.Egress != nil {
		s.Egress = append([]mesh.EgressListener{{Port: 80, Hosts: []string{pickOne(g, "*/*", "~/*", "b/*")}}}, s.Egress...)
	}
	if g.one(3) {
		s.Ingress = []mesh.IngressListener{{Port: 8080, Protocol: pickOne(g, "HTTP", "TCP", "HTTPS"), HasTLS: g.one(2)}}
	}
	return s
}

func (g *generator) sort() {
	s := g.s
	slices.SortFunc(s.Services, func(a, b *mesh.Service) int {
		return cmp.Or(cmp.Compare(a.Hostname, b.Hostname), a.Ref.Compare(b.Ref))
	})
	slices.SortFunc(s.Workloads, func(a, b *mesh.Workload) int { return a.Ref.Compare(b.Ref) })
	slices.SortFunc(s.PeerAuthentications, func(a, b *mesh.PeerAuthentication) int { return a.Older(&b.Object) })
	slices.SortFunc(s.Policies, func(a, b *mesh.Policy) int { return a.Older(&b.Object) })
	slices.SortFunc(s.DestinationRules, func(a, b *mesh.DestinationRule) int { return a.Older(&b.Object) })
	slices.SortFunc(s.Sidecars, func(a, b *mesh.Sidecar) int { return a.Older(&b.Object) })
}
