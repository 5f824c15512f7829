package web

import (
	"fmt"
	"testing"
	"time"

	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/resolve"
)

// TestPastIsBounded: of large meshes fewer are kept, and of every mesh a few.
func TestPastIsBounded(t *testing.T) {
	for _, c := range []struct{ workloads, kept int }{{2, maxPast}, {1000, maxPastObjects / 1000}, {maxPastObjects, minPast}} {
		s := &mesh.Snapshot{Config: mesh.Config{ClusterDomain: "cluster.local"}}
		for i := range c.workloads {
			w := &mesh.Workload{}
			w.Ref = mesh.Ref{Kind: mesh.KindDeployment, Namespace: "shop", Name: fmt.Sprint("w", i)}
			s.Workloads = append(s.Workloads, w)
		}
		before, t0, tr := resolve.New(s), time.Now(), newTracker()
		recalled := 0
		for i := range maxPast + 20 {
			if !tr.recall(before, t0.Add(-time.Duration(i)*time.Minute), t0) {
				break
			}
			recalled++
		}
		if recalled != c.kept || len(tr.past) != c.kept || !tr.past[len(tr.past)-1].turn.at.Equal(t0) {
			t.Errorf("%d workloads: %d recalled, %d kept, want %d", c.workloads, recalled, len(tr.past), c.kept)
		}
	}
}
