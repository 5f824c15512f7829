package sidecar

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// settle gives back what the start needed and the run does not.
func settle() { debug.FreeOSMemory() }

// quietTime is how long no connection must come until memory is given back.
const quietTime = 5 * time.Second

// collectShare is the part of the room that the heap has until the next collection which configurations may have filled
// before one is made early.
const collectShare = 4

// collectEarly says whether a collection shall be made now, since configurations have come and the next collection is not far.
// All sidecars of a mesh get the same changes and allocate the same for them: left alone they all collect at the same
// change, and that one takes several times as long.
func collectEarly() bool {
	m := []metrics.Sample{{Name: "/gc/heap/goal:bytes"}, {Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(m)
	goal, live, now := m[0].Value.Uint64(), m[1].Value.Uint64(), m[2].Value.Uint64()
	return live < now && live < goal && now-live > (goal-live)/collectShare
}

// settleWhenQuiet collects after configurations have come, and gives memory back after connections have come, when for a
// while none does; processors as well, and takes them when they are needed. A handshake leaves much to collect, and where
// nothing is allocated after it the collector does not run for two minutes: an idle connection with mutual TLS would cost
// 30 KB instead of 20.
func (s *sidecar) settleWhenQuiet() {
	stop, done := make(chan struct{}), make(chan struct{})
	s.closers = append(s.closers, func() error {
		close(stop)
		<-done
		return nil
	})
	a := adapt(mostProcs(s.file, s.opt.Procs), s.log)
	a.look(useNow(), len(s.config.Load().Clusters))
	go func() {
		defer close(done)
		defer a.close()
		tick := time.NewTicker(quietTime)
		defer tick.Stop()
		var q quiet
		last := s.config.Load()
		for {
			select {
			case <-stop:
				return
			case <-a.C():
				a.rung(useNow())
			case <-tick.C:
				now := s.config.Load()
				a.look(useNow(), len(now.Clusters))
				switch {
				case q.due(s.proxy.Load().Accepted()):
					settle()
				case now != last && collectEarly():
					runtime.GC()
				default:
					continue // what came is owed still
				}
				last = now
			}
		}
	}()
}

// quiet judges by how many connections there were at each look whether memory is to be given back.
type quiet struct{ seen, owed uint64 }

// manyConnections are enough to make a collection worth its while.
const manyConnections = 50

// due says so once, at the first look at which no connection is new.
func (q *quiet) due(accepted uint64) bool {
	if fresh := accepted - q.seen; fresh > 0 {
		q.seen, q.owed = accepted, q.owed+fresh
		return false
	}
	if q.owed < manyConnections {
		return false
	}
	q.owed = 0
	return true
}
