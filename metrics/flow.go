package metrics

import (
	"context"
	"time"
)

// Flow is what was observed between two workloads over some time: the row that a query over these series returns. What
// the reporter did not know is zero.
type Flow struct {
	Source, Destination Peer
	Service             Service
	Port                uint16 // of the service, 0 unknown
	Protocol            string // "http", "grpc", "tcp"
	// Reporter is the side that counted. Where both sides did, that is one Flow of each.
	Reporter Reporter
	// Security is what the reporter knows of it: from Istio's series where the destination reports, from ours where the
	// source does.
	Security Security
	Policy   string // the object that decided, as mesh.Ref prints it

	// Rates, each per second.
	Requests    float64
	Errors      float64 // requests that failed: no response, a code of 500 or more, a gRPC status other than 0
	Connections float64 // opened
	Received    float64 // bytes from the client
	Sent        float64 // bytes to the client
	Failures    float64 // handshakes that did not come about
	// Causes are those of the Failures, the most frequent first.
	Causes []CauseRate

	// P50, P90 and P99 are quantiles of a request's duration, zero without requests.
	P50, P90, P99 time.Duration
}

// CauseRate is how often handshakes fail for one cause.
type CauseRate struct {
	Cause    string // one of the Cause constants
	Failures float64
}

// Flows answers what was observed. It is implemented over a store in this process and over a Prometheus elsewhere, and
// both pass the same suite. An answer is the caller's own. Errors say `query flows: cause`; a store that is away is one,
// and so is a query that takes too long: ctx bounds it, and every implementation has a bound of its own.
type Flows interface {
	// Flows gives a row for each way in which traffic was counted in the window, in a fixed order: by source, destination,
	// service, port, protocol, reporter, security, policy. Nothing that happened once in the window is lost to
	// extrapolation, and what happened before it, or before the store began to look, is not in it.
	Flows(ctx context.Context, w Window) (*Observation, error)
	// Trend gives values over time, evenly spaced, for the mesh or for the part that the selection names.
	Trend(ctx context.Context, t TrendQuery) (*Trend, error)
	// Health says how the store is. It never fails: what is wrong is in the answer.
	Health(ctx context.Context) StoreHealth
}

// Window is the time that an answer is about.
type Window struct {
	// End is zero for now.
	End time.Time
	// Length is at least two intervals of scraping; a shorter one is widened to that.
	Length time.Duration
}

// Observation is the answer of Flows.
type Observation struct {
	Flows []Flow
	// Start and End are what was looked at.
	Start, End time.Time
	// Newest is the time of the newest sample that counts; zero where there is none. Evidence is as old as that.
	Newest time.Time
	// Down are the targets that should have been asked in the window and gave no answer at its end, in order.
	Down []string
}

// TrendQuery asks for values over time.
type TrendQuery struct {
	Window
	// Step is the distance of points; the answer has at most 500 of them.
	Step time.Duration
	// Namespace, Service (a host) and Workload (of Namespace) narrow it to a destination, together; "" is all.
	Namespace, Service, Workload string
	// SourceNamespace and SourceWorkload narrow it to a source besides, together: to one edge. A SourceWorkload of "unknown"
	// are the callers without a name.
	SourceNamespace, SourceWorkload string
}

// Trend is the answer: Times has the end of each step, and every other slice one value for each, NaN where nothing is known.
type Trend struct {
	Times []time.Time
	// Requests, Errors, Connections and Failures are rates per second.
	Requests, Errors, Connections, Failures []float64
	// MTLS is the share of requests and connections with mutual TLS, of those that got through and whose security is known, 0
	// to 1.
	MTLS []float64
}

// StoreHealth is how a store is.
type StoreHealth struct {
	// Kind is "embedded" or "prometheus".
	Kind string
	// Address is where a Prometheus is asked, without credentials; or the folder of the embedded store.
	Address string
	OK      bool
	// Problem says what is wrong, for people; "" where nothing is.
	Problem string
	// Targets are asked every Interval, and were once at least; Up of them answered the last time.
	Targets, Up int
	Interval    time.Duration
	Series      uint64
	Bytes       int64 // on disk; 0 unknown
	Retention   time.Duration
	// Since is the time of the oldest sample, zero where there is none.
	Since time.Time
}
