package metrics

import "time"

// The sets of labels that have a bound.
const (
	kindRequests = iota
	kindConnections
	kindFailures
	kinds
)

// kindNames are the values of the label set of oarlock_series_overflow_total.
var kindNames = [kinds]string{"requests", "connections", "failures"}

// known are the few labels under which our own series say what a side knows. Many sets of Labels share one.
type known struct {
	reporter                          Reporter
	source, sourceNamespace           string
	destination, destinationNamespace string
	service                           string
	port                              uint16
	security                          Security
	policy                            string
}

type knownSeries struct {
	requests, connections Counter
	holders               int // Requests and Connections that count here, under the registry's lock
}

// holdKnown gives the series of some labels' few, and counts the caller as a holder.
func (r *Registry) holdKnown(l Labels) *knownSeries {
	k := l.known()
	s := r.known[k]
	if s == nil {
		s = &knownSeries{}
		r.known[k] = s
	}
	s.holders++
	return s
}

func (r *Registry) releaseKnown(l Labels) {
	k := l.known()
	s := r.known[k]
	if s.holders--; s.holders == 0 {
		delete(r.known, k)
	}
}

func (l *Labels) known() known {
	return known{
		reporter: l.Reporter,
		source:   l.Source.Workload, sourceNamespace: l.Source.Namespace,
		destination: l.Destination.Workload, destinationNamespace: l.Destination.Namespace,
		service: l.Service.Host, port: l.Port, security: l.Security, policy: l.Policy,
	}
}

// overflowName stands in the labels of what found no place of its own.
const overflowName = "overflow"

func (l Labels) overflow() Labels {
	o := Labels{Reporter: l.Reporter, Protocol: l.Protocol, Code: l.Code / 100 * 100, Security: l.Security}
	o.Source.Workload, o.Destination.Workload, o.Service.Host = overflowName, overflowName, overflowName
	return o
}

func (f Failure) overflow() Failure {
	o := Failure{Reporter: f.Reporter, Cause: f.Cause}
	o.Source.Workload, o.Destination.Workload, o.Service.Host = overflowName, overflowName, overflowName
	return o
}

// complete brings labels into the form under which they are kept.
func (r *Registry) complete(l Labels) Labels {
	r.own.standIn(l.Reporter, &l.Source, &l.Destination)
	switch l.Protocol {
	case "http", "grpc", "tcp":
	default:
		l.Protocol = ""
	}
	if l.Code < 0 || l.Code > 999 {
		l.Code = 0
	}
	return l
}

// standIn puts the sidecar's own workload in the reporter's place where that is empty.
func (p *Peer) standIn(by Reporter, source, destination *Peer) {
	if by == Source && *source == (Peer{}) {
		*source = *p
	}
	if by == Destination && *destination == (Peer{}) {
		*destination = *p
	}
}

// The sweepers drop what did not move for Options.Idle; the lock is held.

func (r *Registry) sweepRequests(now time.Time) {
	for l, q := range r.requests {
		if r.idle(q.duration.count(), &q.last, &q.seen, now) {
			q.gone.Store(true)
			delete(r.requests, l)
			r.releaseKnown(l)
		}
	}
}

func (r *Registry) sweepConnections(now time.Time) {
	for l, c := range r.connections {
		open := c.opened.Value() != c.closed.Value()
		if r.idle(c.opened.Value()+c.received.Value()+c.sent.Value(), &c.last, &c.seen, now) && !open {
			c.gone.Store(true)
			delete(r.connections, l)
			r.releaseKnown(l)
		}
	}
}

func (r *Registry) sweepFailures(now time.Time) {
	for f, s := range r.failures {
		if r.idle(s.count.Value(), &s.last, &s.seen, now) {
			delete(r.failures, f)
		}
	}
}

// idle says whether a count has stood still for too long, and remembers when it moved.
func (r *Registry) idle(count uint64, last *uint64, seen *time.Time, now time.Time) bool {
	if count != *last {
		*last, *seen = count, now
	}
	return r.opt.Idle > 0 && now.Sub(*seen) > r.opt.Idle
}
