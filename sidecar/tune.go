package sidecar

import (
	"os"
	"runtime"
	"runtime/debug"
)

// Tune sets Go's runtime up for a process that is one of many on a machine: a command calls it first. What the
// environment says (GOGC, GOMAXPROCS) wins.
func Tune() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if os.Getenv("GOMAXPROCS") == "" && runtime.GOMAXPROCS(0) > maxProcs {
		runtime.GOMAXPROCS(maxProcs)
	}
}

const (
	// gcPercent trades processor time for memory.
	gcPercent = 100
	// maxProcs bounds what the runtime keeps for each processor.
	maxProcs = 4
)

// settle gives back what the start needed and the run does not.
func settle() { debug.FreeOSMemory() }
