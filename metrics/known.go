package metrics

import (
	"strings"
	"time"
	"unicode/utf8"
)

// The sets of labels that have a bound.
const (
	kindRequests = iota
	kindConnections
	kindFailures
	kinds
)

// kindNames are the values of the label set of oarlock_series_overflow_total.
var kindNames = [kinds]string{"requests", "connections", "failures"}

// shared are series that several holders count on. One goes with its last holder, so what is counted never shrinks.
type shared[K comparable, S any] map[K]*held[S]

type held[S any] struct {
	series  S
	holders int
}

func (m shared[K, S]) hold(k K) *S {
	h := m[k]
	if h == nil {
		h = &held[S]{}
		m[k] = h
	}
	h.holders++
	return &h.series
}

func (m shared[K, S]) release(k K) {
	h := m[k]
	if h.holders--; h.holders == 0 {
		delete(m, k)
	}
}

// known are the few labels under which our own series say what a side knows.
type known struct {
	reporter                          Reporter
	source, sourceNamespace           string
	destination, destinationNamespace string
	service                           string
	port                              uint16
	security                          Security
	policy                            string
}

type knownSeries struct{ requests, connections Counter }

func (l *Labels) known() known {
	return known{
		reporter: l.Reporter,
		source:   l.Source.Workload, sourceNamespace: l.Source.Namespace,
		destination: l.Destination.Workload, destinationNamespace: l.Destination.Namespace,
		service: l.Service.Host, port: l.Port, security: l.Security, policy: l.Policy,
	}
}

// istio gives the labels that Istio's series have.
func (l Labels) istio() Labels {
	l.Policy, l.Port = "", 0
	if l.Reporter == Source {
		l.Security = SecurityUnknown
	}
	return l
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

// complete brings labels into the form under which they are kept: two that print alike are equal.
func (r *Registry) complete(l Labels) Labels {
	r.own.standIn(l.Reporter, &l.Source, &l.Destination)
	l.Source.clean()
	l.Destination.clean()
	l.Service.clean()
	l.GRPCStatus, l.Policy = clean(l.GRPCStatus), clean(l.Policy)
	if l.Flags = clean(l.Flags); l.Flags == "-" {
		l.Flags = ""
	}
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

// completeFailure keeps what the series has.
func (r *Registry) completeFailure(f Failure) Failure {
	r.own.standIn(f.Reporter, &f.Source, &f.Destination)
	f.Source = Peer{Workload: f.Source.Workload, Namespace: f.Source.Namespace, Principal: f.Source.Principal}
	f.Destination = Peer{Workload: f.Destination.Workload, Namespace: f.Destination.Namespace, Principal: f.Destination.Principal}
	f.Service = Service{Host: f.Service.Host}
	f.Source.clean()
	f.Destination.clean()
	f.Service.clean()
	f.Policy = clean(f.Policy)
	return f
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

func (p *Peer) clean() {
	for _, s := range []*string{&p.Workload, &p.Namespace, &p.App, &p.Version, &p.CanonicalService, &p.CanonicalRevision,
		&p.Cluster, &p.Principal} {
		*s = clean(*s)
	}
}

func (s *Service) clean() {
	s.Host, s.Name, s.Namespace = clean(s.Host), clean(s.Name), clean(s.Namespace)
}

// maxValue bounds the bytes of a label that a peer may have chosen.
const maxValue = 256

func clean(s string) string {
	if s == unknown {
		return ""
	}
	if len(s) <= maxValue && utf8.ValidString(s) {
		return s
	}
	if len(s) > maxValue {
		s = s[:maxValue]
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// sweep drops what nobody counted on for Options.Idle; the lock is held.
func (r *Registry) sweep(now time.Time) {
	r.sweepRequests(now)
	r.sweepConnections(now)
	r.sweepFailures(now)
}

func (r *Registry) sweepRequests(now time.Time) {
	for l, q := range r.requests {
		if r.idle(&q.use, now) {
			q.gone.Store(true)
			delete(r.requests, l)
			r.version++
			r.http.release(l.istio())
			r.known.release(l.known())
		}
	}
}

func (r *Registry) sweepConnections(now time.Time) {
	for l, c := range r.connections {
		if r.idle(&c.use, now) && c.open.Load() == 0 {
			c.gone.Store(true)
			delete(r.connections, l)
			r.version++
			r.tcp.release(l.istio())
			r.known.release(l.known())
		}
	}
}

func (r *Registry) sweepFailures(now time.Time) {
	for f, s := range r.failures {
		if r.idle(&s.use, now) {
			delete(r.failures, f)
			r.version++
		}
	}
}
