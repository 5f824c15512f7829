package xds_test

import (
	"sync/atomic"
	"testing"

	"github.com/oarlock/oarlock/xds"
)

// TestThereAndBack: while a node has a change before it that was taken back since, what is in force there is the publication from
// before the change, and not the newest one of the same version.
func TestThereAndBack(t *testing.T) {
	s := xds.NewServer(xds.Options{})
	c := newSotw(t, serve(t, s), nodeOf("api-1"))
	var held atomic.Bool
	got, release := make(chan string, 10), make(chan struct{})
	c.refuse = func(url string) string {
		if held.Load() {
			got <- short(url)
			<-release
		}
		return ""
	}
	first, changed := town(t, ""), town(t, strictAPI)
	version := first.Snapshot().Version
	s.Set(first)
	go c.run()
	reach(t, s, "the first is in force", func(all []xds.NodeStatus) bool { return len(all) == 1 && all[0].InForceNumber == 1 })
	held.Store(true)
	s.Set(changed)
	<-got
	s.Set(town(t, ""))
	if n := s.Status()[0]; n.InForce != version || n.InForceNumber != 1 || s.InForce()[0].Number != 1 {
		t.Errorf("with the change before it, it has %+v", n)
	}
	held.Store(false)
	close(release)
	wait(t, s, version, 1)
	if n := s.Status()[0]; n.InForce != version || n.InForceNumber != 3 || s.InForce()[0].Number != 3 {
		t.Errorf("at the end it has %+v", n)
	}
}
