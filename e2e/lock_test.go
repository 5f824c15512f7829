//go:build linux

package e2e

import (
	"slices"
	"testing"
	"time"
)

// BenchmarkLock disables and unsets mTLS of a service of backyards by turns, while a page of the dashboard shows its graph:
// from when every sidecar has the change to when the lock of its caller's edge is drawn open, and closed again, in the middle
// of all (median-ms) and at the latest (max-ms).
func BenchmarkLock(b *testing.B) {
	const edge = "frontpage-v1 to bookings port 8080"
	m := up(b, "backyards")
	m.synced()
	s := watch(b, m, wide)
	s.b.open(s.address("graph"))
	s.b.until("the lock at first", lock(edge, "locked"))
	var took []float64
	for b.Loop() {
		verb, want := "disable", "open"
		if len(took)%2 == 1 {
			verb, want = "unset", "locked"
		}
		m.do("mtls", verb, "backyards-demo/bookings", "--yes")
		begin := time.Now()
		s.b.until("the lock after "+verb, lock(edge, want))
		took = append(took, float64(time.Since(begin).Microseconds())/1000)
	}
	b.ReportMetric(median(took), "median-ms")
	b.ReportMetric(slices.Max(took), "max-ms")
	b.ReportMetric(0, "ns/op")
}
