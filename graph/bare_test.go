package graph

import (
	"math"
	"testing"

	"github.com/oarlock/oarlock/metrics"
)

// TestBare is the table of what went to pods without a sidecar, by what both ends say of one caller at one door.
func TestBare(t *testing.T) {
	const none, mtls, dark = metrics.SecurityNone, metrics.SecurityMutualTLS, metrics.SecurityUnknown
	type flows map[metrics.Security]metrics.Flow
	requests := func(n, errors float64) metrics.Flow { return metrics.Flow{Requests: n, Errors: errors} }
	connections := func(n, sent float64) metrics.Flow { return metrics.Flow{Connections: n, Sent: sent} }
	for _, c := range []struct {
		name                string
		source, destination flows
		refused             float64 // handshakes that failed at the destination
		plain, dark, lost   float64 // requests and connections
	}{
		{name: "nothing"},
		{name: "the ends agree", source: flows{mtls: requests(10, 0)}, destination: flows{mtls: requests(10, 0)}},
		{name: "plaintext that both count", source: flows{none: requests(10, 0)}, destination: flows{none: requests(10, 0)}},
		{name: "beside mutual TLS, hardly any", source: flows{mtls: requests(99, 0), none: requests(1, 0)}, destination: flows{mtls: requests(99, 0)}, plain: 1},
		{name: "beside mutual TLS, and it failed", source: flows{mtls: requests(9, 0), none: requests(1, 1)}, destination: flows{mtls: requests(9, 0)}},
		{name: "beside mutual TLS, of which some is counted", source: flows{mtls: requests(5, 0), none: requests(5, 0)},
			destination: flows{mtls: requests(5, 0), none: requests(2, 0)}, plain: 3},
		{name: "beside mutual TLS, two scrapes", source: flows{mtls: requests(5, 0), none: requests(5, 0)},
			destination: flows{mtls: requests(5, 0), none: requests(4.5, 0)}},
		{name: "beside mutual TLS, unknown", source: flows{mtls: requests(9, 0), dark: requests(1, 0)}, destination: flows{mtls: requests(9, 0)}, dark: 1},
		{name: "beside mutual TLS, connections that nobody answers", source: flows{mtls: connections(9, 9), none: connections(1, 0)},
			destination: flows{mtls: connections(9, 9)}, plain: 1},
		{name: "beside mutual TLS, and others are refused", source: flows{mtls: connections(5, 9), none: connections(5, 9)},
			destination: flows{mtls: connections(5, 9)}, refused: 5, plain: 5},
		{name: "alone, from a fifth on", source: flows{none: requests(10, 0)}, destination: flows{none: requests(7, 0)}, plain: 3},
		{name: "alone, two scrapes", source: flows{none: requests(10, 0)}, destination: flows{none: requests(9, 0)}},
		{name: "alone, and it failed", source: flows{none: requests(10, 4)}, destination: flows{none: requests(6, 0)}, lost: 4},
		{name: "alone, connections that are answered", source: flows{none: connections(10, 900)}, destination: flows{none: connections(4, 9)}, plain: 6},
		{name: "alone, connections that nobody answers", source: flows{none: connections(10, 0)}, destination: flows{none: connections(4, 0)}, lost: 6},
		{name: "alone, some of them refused", source: flows{none: connections(10, 900)}, refused: 3, plain: 7, lost: 3},
		{name: "alone, all of them refused", source: flows{none: connections(10, 0)}, refused: 10, lost: 10},
		{name: "nobody names anybody", source: flows{dark: requests(10, 0)}, destination: flows{mtls: requests(5, 0)}, dark: 5},
		{name: "nobody names anybody, two scrapes", source: flows{dark: requests(10, 0)}, destination: flows{mtls: requests(9, 0)}},
		{name: "nobody names anybody, and the application fails", source: flows{dark: requests(10, 10)}, destination: flows{mtls: requests(10, 10)}},
		{name: "nobody names anybody, connections", source: flows{dark: connections(10, 900)}, destination: flows{mtls: connections(6, 540)}, dark: 4},
		{name: "nobody names anybody, connections that nobody answers", source: flows{dark: connections(10, 0)}, destination: flows{mtls: connections(6, 0)}, lost: 4},
		{name: "bytes of before that both count", source: flows{none: {Sent: 1e6}}, destination: flows{none: {Sent: 1e6}}},
		{name: "beside mutual TLS, plaintext and unknown", source: flows{mtls: requests(8, 0), none: requests(1, 0), dark: requests(1, 0)},
			destination: flows{mtls: requests(8, 0)}, plain: 1, dark: 1},
		{name: "alone, what the destination cannot judge", source: flows{none: requests(10, 0)}, destination: flows{dark: requests(10, 0)}},
		{name: "the destination counts more", source: flows{none: requests(5, 0)}, destination: flows{none: requests(9, 0)}},
		{name: "mutual TLS that is lost", source: flows{mtls: requests(10, 4)}, destination: flows{mtls: requests(6, 0)}, lost: 4},
		{name: "connections of mutual TLS that are lost", source: flows{mtls: connections(10, 9)}, destination: flows{mtls: connections(6, 9)}, lost: 4},
		{name: "bytes of before", source: flows{mtls: connections(9, 9), none: {Sent: 1e6}}, destination: flows{mtls: connections(9, 9)}, plain: 1},
	} {
		r := &report{}
		for at, f := range c.source {
			f.Security = at
			r.source.at(at).flow(&f, 1)
		}
		for at, f := range c.destination {
			f.Security = at
			r.destination.at(at).flow(&f, 1)
		}
		if c.refused > 0 {
			r.destination.at(dark).failures = c.refused
		}
		r.findBare()
		r.lost = lost(r)
		r.answered()
		plain, unknown := 0.0, 0.0
		if s := r.source[none]; s != nil {
			plain = r.bare[none] * s.weight()
		}
		if s := r.source[dark]; s != nil {
			unknown = r.bare[dark] * s.weight()
		}
		if math.Abs(plain-c.plain) > 1e-9 || math.Abs(unknown-c.dark) > 1e-9 || math.Abs(r.lost-c.lost) > 1e-9 {
			t.Errorf("%s: plaintext %g, unknown %g, lost %g, want %g, %g, %g", c.name, plain, unknown, r.lost, c.plain, c.dark, c.lost)
		}
		p := &part{}
		if p.addBare(r); math.Abs(p.plain-c.plain) > 1e-9 || math.Abs(p.dark-c.dark) > 1e-9 || p.errors != 0 || p.mtls != 0 {
			t.Errorf("%s: %+v is added", c.name, p.tally)
		}
	}
}
