package control

import (
	"testing"

	"github.com/oarlock/oarlock/manifest"
	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/resolve"
)

// TestAfter: a reading in which a policy alone is another is resolved with all else of the last.
func TestAfter(t *testing.T) {
	read := func(mode string) *mesh.Snapshot {
		snap, _ := manifest.Load([]manifest.File{{Name: "a", Data: []byte(shop)}, {Name: "b", Data: []byte(policy(mode))}}, manifest.Options{})
		running := &mesh.Running{Pods: []mesh.Pod{{Workload: snap.Workloads[0].Pod("api-1", []string{"127.64.1.2"}), Phase: mesh.PhaseRunning, Ready: true}}}
		return snap.WithRunning(running)
	}
	last := after(nil, read("PERMISSIVE"))
	snap := read("STRICT")
	next := after(last, snap)
	if &next.Snapshot().Services[0] != &last.Snapshot().Services[0] || &next.Snapshot().Workloads[0] != &last.Snapshot().Workloads[0] {
		t.Error("services and workloads that did not change are others")
	}
	for _, r := range []*resolve.Resolver{next, resolve.New(snap)} {
		s := r.Snapshot()
		v := r.Resolve(resolve.Client{Workload: s.Workloads[0]}, resolve.Target{Service: s.Services[0], Port: 80})
		if v.Server != resolve.ServerStrict {
			t.Errorf("server mode %v, want STRICT", v.Server)
		}
	}
}
