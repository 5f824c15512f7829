package control

import (
	"testing"
	"time"

	"github.com/oarlock/oarlock/api"
	"github.com/oarlock/oarlock/manifest"
	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/resolve"
	"github.com/oarlock/oarlock/xds"
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

// TestThereAndBack: of a mesh that changed and was changed back, a sidecar that had the first has neither change until it says so:
// that in between may be on its way to it.
func TestThereAndBack(t *testing.T) {
	p := &Plane{}
	for _, version := range []string{"a", "b", "a"} {
		p.versions.add(version, time.Time{})
	}
	for number, want := range []map[string]int{{"a": 0, "b": 0}, {"a": 0, "b": 0}, {"a": 0, "b": 1}, {"a": 1, "b": 1}} {
		for version, n := range want {
			if c := p.coverage([]xds.InForce{{Number: uint64(number)}}, version); c.InForce != n || c.Total != 1 {
				t.Errorf("with publication %d, %q is in force on %d of %d, want %d of 1", number, version, c.InForce, c.Total, n)
			}
			if c, missing := p.missing([]node{{Node: api.Node{Connected: true, Known: true}, number: uint64(number)}}, version); c.InForce != n || len(missing) != 1-n {
				t.Errorf("with publication %d, %q is in force on %d, want %d; missing %q", number, version, c.InForce, n, missing)
			}
		}
	}
}
