package sidecar

import "testing"

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
