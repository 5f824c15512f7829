//go:build linux

package e2e

import (
	"fmt"
	"testing"
	"time"
)

// BenchmarkUp starts backyards: until up says that all is ready (ready-ms), until every edge has carried requests, all of them
// over mutual TLS, and every lock is closed (locked-ms), and what down takes (down-ms).
func BenchmarkUp(b *testing.B) {
	var ready, locked, down []float64
	since := func(begin time.Time) float64 { return float64(time.Since(begin).Microseconds()) / 1000 }
	for b.Loop() {
		begin := time.Now()
		m := up(b, "backyards")
		ready = append(ready, since(begin))
		c := m.plane()
		m.eventually("every edge is locked", func() (string, bool) {
			locks, g := m.locks(c)
			return fmt.Sprint(locks, g.Trouble), locks["locked"] == 6 && len(g.Edges) == 6
		})
		locked = append(locked, since(begin))
		begin = time.Now()
		m.do("down", m.name)
		m.isDown = true
		down = append(down, since(begin))
	}
	b.ReportMetric(median(ready), "ready-ms")
	b.ReportMetric(median(locked), "locked-ms")
	b.ReportMetric(median(down), "down-ms")
	b.ReportMetric(0, "ns/op")
}
