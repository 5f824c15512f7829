package sidecar

import (
	"runtime"
	"testing"
)

func TestQuiet(t *testing.T) {
	var q quiet
	for i, look := range []struct {
		accepted uint64
		due      bool
	}{
		{0, false}, {manyConnections - 1, false}, {manyConnections - 1, false}, // too few
		{manyConnections, false}, {manyConnections, true}, {manyConnections, false}, // once
		{1000, false}, {2000, false}, {2000, true}, {2000, false},
	} {
		if got := q.due(look.accepted); got != look.due {
			t.Errorf("look %d at %d connections: due = %v", i, look.accepted, got)
		}
	}
}

// TestCollectEarly: a heap that fills is collected before it must be, and not again at once.
func TestCollectEarly(t *testing.T) {
	runtime.GC()
	var count, begin runtime.MemStats
	runtime.ReadMemStats(&begin)
	if collectEarly() {
		t.Error("a heap that was just collected is due")
	}
	for n := 0; !collectEarly(); n++ {
		if n > 1<<14 {
			t.Fatal("a heap that fills is never due")
		}
		rubbish = make([]byte, 16<<10)
	}
	if runtime.ReadMemStats(&count); count.NumGC != begin.NumGC {
		t.Errorf("%d collections came first", count.NumGC-begin.NumGC)
	}
}

var rubbish []byte
