package sidecar

import (
	"log/slog"
	"os"
	"runtime"
	"time"

	"github.com/oarlock/oarlock/bootstrap"
)

// defaultConcurrency is how many processors are used at most where the file does not say: Istio's own default.
const defaultConcurrency = 2

// Tune sets Go's runtime up for a process that is one of many on a machine, and starts it with one processor: with more,
// its threads wake each other for work that one of them would have done meanwhile. A command calls it and gives
// [Options] what it returns: how many there are. GOMAXPROCS in the environment wins: then it changes nothing and returns 0.
//
// The collector is left as it is: requests allocate next to nothing, so that GOGC from 50 to 400 made no difference in
// processor time, while 400 took a quarter more memory under new connections.
func Tune() int {
	if os.Getenv("GOMAXPROCS") != "" {
		return 0
	}
	there := runtime.GOMAXPROCS(0)
	if there > 1 {
		runtime.GOMAXPROCS(1)
	}
	return there
}

const (
	// busyTime is the processor time after each of which it is looked whether there are too few processors.
	busyTime = 40 * time.Millisecond
	// raiseAbove is the part of the processors, in percent, that must have been in use meanwhile for there to be more.
	raiseAbove = 80
	// lowerBelow is the part of the processors that would be left, in percent, under which some are given back.
	lowerBelow = 40
	// lowerLooks are the looks in a row, each [quietTime] long, that must find so little in use.
	lowerLooks = 2
	// manyClusters are so many that a configuration takes a processor for some 20 ms: two are kept then, so that requests
	// go on meanwhile.
	manyClusters = 500
)

// use is the processor time that a process had taken at a moment.
type use struct {
	at    time.Time
	taken time.Duration
}

// useNow is that of this process.
func useNow() use { return use{time.Now(), timeTaken()} }

// share counts how much of how many processors was in use since an earlier moment, in percent of one.
func (u use) share(since use) int64 {
	wall := u.at.Sub(since.at)
	if wall <= 0 {
		return 0
	}
	return int64(100 * (u.taken - since.taken) / wall)
}

// demand judges from how much is in use how many processors there are to be. Those that come and go do so by the factor two.
type demand struct {
	procs, most int
	least       int // kept at rest; 0 is 1
	busy, quiet use // at the last look of each kind
	low         int // quiet looks in a row that found little
}

// more is a look after some processor time; true where there are more processors from now on.
func (d *demand) more(now use) bool {
	share := now.share(d.busy)
	d.busy = now
	if d.procs >= d.most || share < raiseAbove*int64(d.procs) {
		return false
	}
	d.procs, d.low, d.quiet = min(2*d.procs, d.most), 0, now
	return true
}

// keep sets how many processors are kept at rest; true where there are more from now on.
func (d *demand) keep(least int) bool {
	d.least = min(least, d.most)
	if d.procs >= d.least {
		return false
	}
	d.procs = d.least
	return true
}

// fewer is a look after some time; true where there are fewer processors from now on.
func (d *demand) fewer(now use) bool {
	share, left := now.share(d.quiet), max((d.procs+1)/2, d.least)
	d.quiet = now
	if left >= d.procs || share >= lowerBelow*int64(left) {
		d.low = 0
		return false
	}
	if d.low++; d.low < lowerLooks {
		return false
	}
	d.procs, d.low, d.busy = left, 0, now
	return true
}

// adapter gives a process as many processors as it needs. It belongs to one goroutine.
type adapter struct {
	demand
	log   *slog.Logger
	alarm *useAlarm
}

// adapt starts to look; nil where there is nothing to choose from. On a system that has no alarm for processor time all
// are used.
func adapt(most int, log *slog.Logger) *adapter {
	if most < 1 {
		return nil
	}
	a := &adapter{log: log}
	a.procs, a.most = min(runtime.GOMAXPROCS(0), most), most
	if a.procs == most {
		return nil
	}
	alarm, err := newUseAlarm(busyTime)
	if err != nil {
		log.Debug("use all processors", "number", most, "because", err)
		runtime.GOMAXPROCS(most)
		return nil
	}
	a.alarm = alarm
	a.busy = useNow()
	a.quiet = a.busy
	return a
}

// C has a value each time that the process has taken [busyTime]; nil without an adapter.
func (a *adapter) C() <-chan os.Signal {
	if a == nil {
		return nil
	}
	return a.alarm.c
}

// rung is called after C: it takes more processors at once if those there are are used up.
func (a *adapter) rung(now use) {
	if !a.more(now) {
		return
	}
	a.set()
}

// look is called from time to time, with how many clusters there are: it gives processors back if few are in use.
func (a *adapter) look(now use, clusters int) {
	if a == nil {
		return
	}
	least := 1
	if clusters >= manyClusters {
		least = 2
	}
	more := a.keep(least)
	if a.fewer(now) || more {
		a.set()
	}
}

// set tells the runtime, which stops the world for it: some ten microseconds. The alarm rings while there are more to take.
func (a *adapter) set() {
	runtime.GOMAXPROCS(a.procs)
	if a.procs < a.most {
		a.alarm.every(busyTime)
	} else {
		a.alarm.every(0)
	}
	a.log.Debug("processors", "use", a.procs, "of", a.most)
}

// close ends looking; the number stays.
func (a *adapter) close() {
	if a != nil {
		a.alarm.close()
	}
}

// mostProcs is how many processors a sidecar may use: what the file says, of those there are. 0 leaves them alone.
func mostProcs(f *bootstrap.File, there int) int {
	switch {
	case f.Concurrency == nil:
		return min(there, defaultConcurrency)
	case *f.Concurrency == 0:
		return there
	}
	return min(there, *f.Concurrency)
}
