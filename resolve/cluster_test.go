package resolve

import (
	"math/rand/v2"
	"testing"

	"github.com/oarlock/oarlock/mesh"
)

// TestClusterEqualsExplain: a client has a cluster where Explain sends to one, and starts with each member what Explain says.
func TestClusterEqualsExplain(t *testing.T) {
	asked := 0
	forMeshes(t, 150, func(t *testing.T, _ *rand.Rand, s *mesh.Snapshot) {
		r := New(s)
		for _, w := range s.Workloads {
			if w.Capture != mesh.CaptureSidecar {
				continue
			}
			for _, svc := range s.Services {
				if svc.Resolution == mesh.ResolutionExternalName {
					continue
				}
				for i := range svc.Ports {
					for _, sub := range []string{"", "v1"} {
						asked++
						checkCluster(t, r, w, svc, &svc.Ports[i], sub)
					}
				}
			}
		}
	})
	if asked < 10_000 {
		t.Errorf("asked %d times: nothing was tested", asked)
	}
}

func checkCluster(t *testing.T, r *Resolver, w *mesh.Workload, svc *mesh.Service, p *mesh.Port, sub string) {
	if svc.Port(p.Number) != p {
		return // of two ports with one number Explain means the other
	}
	c := Client{Workload: w}
	e := r.Explain(c, Target{Service: svc, Port: p.Number, Subset: sub})
	k, ok := r.Cluster(c, svc, p, sub)
	want := e.Verdict.Outbound == OutboundCluster && e.Verdict.Cause != CauseNoSubset
	if e.Verdict.Outbound == OutboundDirect {
		return // the port goes past the client's sidecar, which has a cluster for it all the same
	}
	if ok != want {
		t.Errorf("%s to %s:%d %q: cluster %v, Explain says %s %s", w.Ref, svc.Hostname, p.Number, sub, ok, e.Verdict.Outbound, e.Verdict.Cause)
	}
	if !ok {
		return
	}
	if got := k.TLS == nil; got != (e.Verdict.Client == mesh.ClientUnset) {
		t.Errorf("%s to %s:%d %q: block %+v, Explain says %s", w.Ref, svc.Hostname, p.Number, sub, k.TLS, e.Verdict.Client)
	}
	sends := map[*mesh.Workload]mesh.ClientMode{}
	for _, m := range r.Members(svc, p, k) {
		sends[m.Workload] = m.Sends
	}
	n := 0
	for _, ep := range e.Endpoints {
		for _, at := range ep.Workloads {
			n++
			if ep.Cause == CauseAmbient {
				continue // not judged
			}
			if got, ok := sends[at]; !ok || got != ep.Sends {
				t.Errorf("%s to %s:%d %q at %s: member %v starts %s, Explain says %s", w.Ref, svc.Hostname, p.Number, sub, at.Ref, ok, got, ep.Sends)
			}
		}
	}
	if n != len(sends) {
		t.Errorf("%s to %s:%d %q: %d members, Explain knows %d", w.Ref, svc.Hostname, p.Number, sub, len(sends), n)
	}
}

// TestListensEqualsInbound: what a workload listens for comes out as Inbound says, on declared ports and on others.
func TestListensEqualsInbound(t *testing.T) {
	attempts := []Attempt{
		{}, {HTTP: true}, {TLS: true}, {TLS: true, Cert: true}, {TLS: true, Cert: true, ALPN: alpnIstio}, {TLS: true, Cert: true, ALPN: alpnHTTP}}
	asked := 0
	forMeshes(t, 150, func(t *testing.T, _ *rand.Rand, s *mesh.Snapshot) {
		r := New(s)
		for _, w := range s.Workloads {
			if w.Capture != mesh.CaptureSidecar || w.Router {
				continue
			}
			rest := Listen{}
			for _, l := range r.Listens(w) {
				port := l.Port
				if port == 0 {
					rest, port = l, 5555
				}
				if at, _ := r.captureOf(&r.workloads[r.workload[w]], port); at == mesh.CaptureNone {
					continue
				}
				for _, a := range attempts {
					asked++
					if got, want := Inbound(l.Mode, l.Protocol.Class, a, s.Dialect), r.Inbound(w, port, a); got != want {
						t.Errorf("%s port %d %+v: %+v gives %s, Inbound says %s", w.Ref, port, a, l, got, want)
					}
				}
			}
			if rest.Declared || rest.Service != nil {
				t.Errorf("%s: every other port is %+v", w.Ref, rest)
			}
		}
	})
	if asked < 5000 {
		t.Errorf("asked %d times: nothing was tested", asked)
	}
}
