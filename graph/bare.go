package graph

import "github.com/oarlock/oarlock/metrics"

// A workload of which only some pods have a sidecar: what its callers send to the others, in plaintext, they alone count.

// findBare tells by security which share of what the source counts got somewhere and was counted by no sidecar of the
// destination, though some of them report.
//
// A source that also makes mutual TLS here chooses by endpoint. What it sends otherwise was never for a sidecar, be it ever so
// little, and whether it was answered or not. Of any other source, requests that came back well and connections that were
// answered count from a fifth on, since less is two scrapes at different moments; and which of its connections a sidecar
// refused is for answered to tell.
func (r *report) findBare() {
	plain, dark := r.source[metrics.SecurityNone], r.source[metrics.SecurityUnknown]
	if r.source[metrics.SecurityMutualTLS].weight() > 0 {
		counted := r.destination[metrics.SecurityNone].weight()
		r.bare[metrics.SecurityNone] = plain.beyond(counted)
		r.bare[metrics.SecurityUnknown] = dark.beyond(counted + r.destination[metrics.SecurityUnknown].weight())
		return
	}
	s, d := r.source.sum(), r.destination.sum()
	well := s.requests - s.errors - (d.requests - d.errors)
	if plain.weight() > 0 {
		n := plain.requests - plain.errors
		if t := r.destination[metrics.SecurityNone]; t != nil {
			n -= t.requests
		}
		r.bare[metrics.SecurityNone] = plain.share(min(n, well), skew*s.requests)
	}
	if dark.weight() > 0 {
		n := max(0, well)
		if dark.sent > 0 {
			n += max(0, s.connections-d.connections)
		}
		r.bare[metrics.SecurityUnknown] = dark.share(n, skew*(s.requests+s.connections))
	}
}

// answered takes from what is lost the plaintext connections of a source without mutual TLS that somebody answered, but for
// those that sidecars refused.
func (r *report) answered() {
	t := r.source[metrics.SecurityNone]
	if t == nil || t.sent == 0 || r.bare[metrics.SecurityNone] > 0 {
		return
	}
	n := min(r.lost, t.connections) - max(r.source.sum().failures, r.destination.sum().failures)
	if share := t.share(n, skew*t.connections); share > 0 {
		r.bare[metrics.SecurityNone] = share
		r.lost -= n
	}
}

// bareConnections are those among what is bare.
func (r *report) bareConnections() float64 {
	n := 0.0
	for at, share := range r.bare {
		if t := r.source[at]; t != nil {
			n += share * t.connections
		}
	}
	return n
}

// beyond is the share of a tally that got somewhere beyond what the other end has counted. Less than a fifth of it is two
// scrapes at different moments, where that end counts any.
func (t *tally) beyond(counted float64) float64 {
	if t.weight() == 0 {
		return 0
	}
	n := t.requests - t.errors + t.connections
	if t.requests+t.connections == 0 {
		n = t.weight() // bytes on connections from before
	}
	if counted == 0 {
		return t.share(n, 0)
	}
	return t.share(n-counted, skew*n)
}

// share is what part of the tally n is; 0 where it is less than so much.
func (t *tally) share(n, least float64) float64 {
	if n <= 0 || n < least {
		return 0
	}
	return min(1, n/t.weight())
}

// addBare adds what is bare to what the destination reports.
func (p *part) addBare(r *report) {
	for at, share := range r.bare {
		if share > 0 {
			t := r.source[at]
			p.take(t, share)
			p.errors -= share * t.errors // it came back well
		}
	}
}
