package resolve

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/oarlock/oarlock/mesh"
)

// podsOf runs every template of a mesh with n pods each, named so that they sort where their templates do.
func podsOf(s *mesh.Snapshot, n int) *mesh.Running {
	r := &mesh.Running{}
	for i, w := range s.Workloads {
		if !w.Template() || w.Replicas == 0 {
			continue
		}
		for j := range n {
			pod := w.Pod(fmt.Sprintf("%s-%d", w.Ref.Name, j), []string{fmt.Sprintf("127.9.%d.%d", i, j)})
			r.Pods = append(r.Pods, mesh.Pod{Workload: pod, Phase: mesh.PhaseRunning, Ready: true})
		}
	}
	return r
}

// TestRunningPodsGetTheirTemplatesVerdicts: what the manifests declare for a template holds for its pods.
func TestRunningPodsGetTheirTemplatesVerdicts(t *testing.T) {
	forMeshes(t, 30, func(t *testing.T, _ *rand.Rand, s *mesh.Snapshot) {
		declared := New(s)
		for n := 1; n <= 2; n++ {
			live := New(s.WithRunning(podsOf(s, n)))
			compared := 0
			for _, pod := range live.Snapshot().Workloads {
				template := pod
				for _, w := range s.Workloads {
					if w.Ref == pod.Owner {
						template = w
					}
				}
				for i, service := range s.Services {
					for _, p := range service.Ports {
						want := declared.Resolve(Client{Workload: template}, Target{Service: service, Port: p.Number})
						got := live.Resolve(Client{Workload: pod}, Target{Service: live.Snapshot().Services[i], Port: p.Number})
						if n > 1 {
							got.Endpoints, got.Refused = want.Endpoints, want.Refused
						}
						if got != want {
							t.Fatalf("%d pods, %s -> %s:%d:\n pod %+v\n template %+v", n, pod.Ref, service.Hostname, p.Number, got, want)
						}
						compared++
					}
				}
			}
			if compared == 0 {
				t.Fatal("nothing was compared")
			}
		}
	})
}
