package graph

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/oarlock/oarlock/metrics"
)

// tally sums flows up.
type tally struct {
	requests, errors, connections, received, sent, failures float64

	mtls, plain, dark float64 // weights by security
	causes            map[string]float64
	latency           [3]float64 // seconds times requests: P50, P90, P99
	timed             float64    // requests that have a latency
	protocols         set
	sources           set // principals
	destinations      set
	policies          set
}

// set is a set of a few words; nil is empty.
type set []string

func (s *set) add(words ...string) {
	for _, w := range words {
		if w = strings.TrimSpace(w); w != "" && !slices.Contains(*s, w) {
			*s = append(*s, w)
		}
	}
}

func (s *set) join(o set) { s.add(o...) }

// list gives the words in order.
func (s set) list() []string { return slices.Sorted(slices.Values(s)) }

// quietByte is what a byte weighs where nothing was opened in the window: a connection from before goes on.
const quietByte = 1e-6

// weight is how much of something there was: requests and connections, and bytes where there were neither. That of nil is 0.
func (t *tally) weight() float64 {
	if t == nil {
		return 0
	}
	return t.mtls + t.plain + t.dark
}

// empty says whether nothing was added.
func (t *tally) empty() bool {
	return t.weight() == 0 && t.failures == 0 && t.requests == 0 && len(t.sources) == 0 && len(t.destinations) == 0
}

func weightOf(f *metrics.Flow) float64 {
	if n := f.Requests + f.Connections; n > 0 {
		return n
	}
	return (f.Received + f.Sent) * quietByte
}

// security of a flow. Both names can only have been proven by mutual TLS, also where the series does not say so.
func security(f *metrics.Flow) metrics.Security {
	if f.Security == metrics.SecurityUnknown && f.Source.Principal != "" && f.Destination.Principal != "" {
		return metrics.SecurityMutualTLS
	}
	return f.Security
}

// flow adds a part of a flow, from 0 to 1.
func (t *tally) flow(f *metrics.Flow, part float64) {
	t.requests += f.Requests * part
	t.errors += f.Errors * part
	t.connections += f.Connections * part
	t.received += f.Received * part
	t.sent += f.Sent * part
	t.failures += f.Failures * part
	switch w := weightOf(f) * part; security(f) {
	case metrics.SecurityMutualTLS:
		t.mtls += w
	case metrics.SecurityNone:
		t.plain += w
	default:
		t.dark += w
	}
	for _, c := range f.Causes {
		t.cause(c.Cause, c.Failures*part)
	}
	if f.P50 > 0 {
		for i, d := range []time.Duration{f.P50, f.P90, f.P99} {
			t.latency[i] += d.Seconds() * f.Requests * part
		}
		t.timed += f.Requests * part
	}
	if weightOf(f) > 0 {
		t.protocols.add(f.Protocol)
	}
	t.sources.add(f.Source.Principal)
	t.destinations.add(f.Destination.Principal)
	t.policies.add(f.Policy)
}

func (t *tally) cause(cause string, failures float64) {
	if t.causes == nil {
		t.causes = map[string]float64{}
	}
	t.causes[cause] += failures
}

// take adds a part of another tally's traffic, from 0 to 1, without its failed handshakes.
func (t *tally) take(o *tally, part float64) {
	t.requests += o.requests * part
	t.errors += o.errors * part
	t.connections += o.connections * part
	t.received += o.received * part
	t.sent += o.sent * part
	t.mtls += o.mtls * part
	t.plain += o.plain * part
	t.dark += o.dark * part
	for i := range t.latency {
		t.latency[i] += o.latency[i] * part
	}
	t.timed += o.timed * part
	t.names(o)
}

// takeFailures adds a part of another tally's failed handshakes.
func (t *tally) takeFailures(o *tally, part float64) {
	t.failures += o.failures * part
	for c, n := range o.causes {
		t.cause(c, n*part)
	}
	t.policies.join(o.policies)
}

// add joins another tally with this one, failures and all.
func (t *tally) add(o *tally) {
	t.take(o, 1)
	t.takeFailures(o, 1)
}

func (t *tally) names(o *tally) {
	t.protocols.join(o.protocols)
	t.sources.join(o.sources)
	t.destinations.join(o.destinations)
	t.policies.join(o.policies)
}

// keep leaves a part of the traffic, and drops the rest.
func (t *tally) keep(part float64) {
	for _, v := range []*float64{&t.requests, &t.errors, &t.connections, &t.received, &t.sent, &t.mtls, &t.plain, &t.dark,
		&t.latency[0], &t.latency[1], &t.latency[2], &t.timed} {
		*v *= part
	}
}

// keepFailures leaves a part of the failed handshakes.
func (t *tally) keepFailures(part float64) {
	t.failures *= part
	for c := range t.causes {
		t.causes[c] *= part
	}
}

// rates lists the causes, the most frequent first.
func (t *tally) rates() []metrics.CauseRate {
	var out []metrics.CauseRate
	for c, n := range t.causes {
		if n > 0 {
			out = append(out, metrics.CauseRate{Cause: c, Failures: n})
		}
	}
	slices.SortFunc(out, func(a, b metrics.CauseRate) int {
		return cmp.Or(cmp.Compare(b.Failures, a.Failures), cmp.Compare(a.Cause, b.Cause))
	})
	return out
}

// observed gives the tally as what was observed; the window is the caller's to fill in.
func (t *tally) observed() *Observed {
	o := &Observed{Protocol: strings.Join(t.protocols.list(), "+"), Requests: t.requests, Errors: t.errors, Connections: t.connections,
		Received: t.received, Sent: t.sent, Failures: t.failures, Causes: t.rates(),
		SourcePrincipals: t.sources.list(), DestinationPrincipals: t.destinations.list(), Policies: t.policies.list()}
	if known := t.mtls + t.plain; known > 0 {
		o.MTLS, o.Known = t.mtls/known, known/t.weight()
	}
	if t.plain > 0 {
		o.MTLS = min(o.MTLS, almostAll) // rounding never closes a lock
	}
	if t.timed > 0 {
		for i, d := range []*time.Duration{&o.P50, &o.P90, &o.P99} {
			*d = time.Duration(t.latency[i] / t.timed * float64(time.Second))
		}
	}
	return o
}

// almostAll is the largest share below all.
const almostAll = 1 - 1e-9
