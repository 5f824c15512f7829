package web

import (
	"slices"
	"sync"
	"time"

	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/metrics"
	"github.com/oarlock/oarlock/probe"
)

// ledger remembers what our own probes from outside did, so that it can be taken out of what was observed: a sidecar counts
// a probe like anybody else's call, and a mesh in which nobody calls from outside must not look as if somebody did.
type ledger struct {
	mu   sync.Mutex
	list []knock // oldest first
}

// knock is one probe of a port: what the sidecar there will have counted of it, at most.
type knock struct {
	begun, done         time.Time
	namespace, workload string
	host                string
	port                uint16
	counts
}

// counts are of requests, connections and failed handshakes.
type counts struct{ requests, connections, failures float64 }

// Bounds of the ledger. What a probe did may be counted a scrape later.
const (
	maxKnocks = 1 << 15 // a day of one every three seconds
	lateCount = 5 * time.Second
)

// note adds a probe of a pod.
func (l *ledger) note(begun time.Time, pod *mesh.Workload, host string, port uint32, r *probe.Result) {
	k := knock{begun: begun, done: time.Now(), namespace: pod.Ref.Namespace, workload: ownerName(pod), host: host, port: uint16(port)}
	for i := range r.Attempts {
		switch a := &r.Attempts[i]; {
		case a.Kind == probe.TLS && !a.Accepted():
			k.failures++
			k.connections++ // where TLS is the application's, its sidecar sees a connection
		case a.Outcome == probe.HTTP:
			k.requests++
		default:
			k.requests++
			k.connections++
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, k)
	if len(l.list) > maxKnocks || k.begun.Sub(l.list[0].done) > mostWindow+time.Minute {
		l.list = slices.Delete(l.list, 0, max(1, len(l.list)-maxKnocks))
	}
}

func ownerName(w *mesh.Workload) string {
	if !w.Owner.IsZero() {
		return w.Owner.Name
	}
	return w.Ref.Name
}

// within gives the probes that may count in a span of time.
func (l *ledger) within(start, end time.Time) []knock {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []knock
	for _, k := range slices.Backward(l.list) {
		if k.done.Before(start.Add(-lateCount)) {
			break
		}
		if !k.begun.After(end) {
			out = append(out, k)
		}
	}
	return out
}

// clean takes our own probes out of an observation, which is the caller's own. What comes from a caller that nobody can
// name, and is no more than what the probes did, goes; of what is more the rest stays.
func (l *ledger) clean(o *metrics.Observation) {
	length := o.End.Sub(o.Start).Seconds()
	knocks := l.within(o.Start, o.End)
	if length <= 0 || len(knocks) == 0 {
		return
	}
	// First what is of the very port, then what the sidecar counted under another service of the workload.
	for _, exact := range []bool{true, false} {
		for i := range o.Flows {
			f := &o.Flows[i]
			if f.Source != (metrics.Peer{}) || f.Reporter != metrics.Destination {
				continue
			}
			for k := range knocks {
				if n := &knocks[k]; n.of(f, exact) {
					n.take(f, length)
				}
			}
		}
	}
	least := 0.5 / length // of a call
	o.Flows = slices.DeleteFunc(o.Flows, func(f metrics.Flow) bool {
		return f.Source == metrics.Peer{} && f.Reporter == metrics.Destination && f.Requests < least && f.Connections < least && f.Failures < least
	})
}

// of says whether a flow may have the probe in it.
func (k *knock) of(f *metrics.Flow, exact bool) bool {
	if f.Destination.Namespace != k.namespace || f.Destination.Workload != k.workload {
		return false
	}
	return !exact || f.Service.Host == k.host && f.Port == k.port
}

// take moves what the probe did out of a flow.
func (k *knock) take(f *metrics.Flow, length float64) {
	failed := f.Failures
	for _, one := range []struct{ have, rate *float64 }{{&k.requests, &f.Requests}, {&k.connections, &f.Connections}, {&k.failures, &f.Failures}} {
		n := min(*one.have, *one.rate*length)
		*one.have -= n
		*one.rate -= n / length
	}
	f.Errors = min(f.Errors, f.Requests)
	if failed == f.Failures {
		return
	}
	causes := f.Causes
	f.Causes = nil
	for _, c := range causes {
		if c.Failures *= f.Failures / failed; c.Failures*length >= 0.5 {
			f.Causes = append(f.Causes, c)
		}
	}
}

// cleanTrend takes the handshakes that our own probes failed, and their connections, out of values over time. keep says
// which probes count. A probe may be counted a scrape later than it was made, so that what is not found at its time is
// looked for soon after.
func (l *ledger) cleanTrend(t *metrics.Trend, step time.Duration, keep func(k *knock) bool) {
	if len(t.Times) == 0 || step <= 0 {
		return
	}
	knocks := l.within(t.Times[0].Add(-step), t.Times[len(t.Times)-1])
	slices.Reverse(knocks)
	for i := range knocks {
		k := &knocks[i]
		if !keep(k) {
			continue
		}
		for j, end := range t.Times {
			if end.Before(k.begun) {
				continue
			}
			if end.Add(-step).After(k.done.Add(lateCount)) {
				break
			}
			before := at(t.Requests, j) + at(t.Connections, j)
			k.failures -= takeAt(t.Failures, j, k.failures, step)
			k.connections -= takeAt(t.Connections, j, k.connections, step)
			k.requests -= takeAt(t.Requests, j, k.requests, step)
			if after := at(t.Requests, j) + at(t.Connections, j); after < before && j < len(t.MTLS) { // what goes was plaintext
				t.MTLS[j] = min(1, t.MTLS[j]*before/after)
			}
		}
	}
}

func at(list []float64, i int) float64 {
	if i < len(list) && list[i] > 0 {
		return list[i]
	}
	return 0
}

// takeAt takes up to n things out of a rate of one step, and gives how many it took.
func takeAt(list []float64, i int, n float64, step time.Duration) float64 {
	n = min(n, at(list, i)*step.Seconds())
	if n > 0 {
		list[i] -= n / step.Seconds()
	}
	return n
}

// gentleALPN is what is offered by a probe that nobody asked for: enough to tell the modes apart.
func gentleALPN() []string { return []string{"istio", probe.NoALPN} }
