package control

import (
	"fmt"
	"testing"

	"github.com/oarlock/oarlock/mesh"
)

// BenchmarkChange is a change of policy from the source to what is published, with 100 pods.
func BenchmarkChange(b *testing.B) {
	source := &text{files: map[string]string{"/mesh/shop.yaml": shop, "/mesh/policy.yaml": policy("PERMISSIVE")}}
	plane, err := New(b.Context(), Options{Name: "bench", Source: source, Engine: newMachine(), State: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	template := plane.taken.snap.Workloads[0]
	running := &mesh.Running{Capture: "explicit"}
	for i := range 100 {
		pod := template.Pod(fmt.Sprintf("api-%03d", i), []string{fmt.Sprintf("127.64.1.%d", i+2)})
		running.Pods = append(running.Pods, mesh.Pod{Workload: pod, Phase: mesh.PhaseRunning, Ready: true})
	}
	plane.runs(running)
	for i := 0; b.Loop(); i++ {
		source.set("/mesh/policy.yaml", policy([]string{"STRICT", "PERMISSIVE"}[i%2])+fmt.Sprintf("# %d\n", i))
		plane.look(b.Context())
	}
}
