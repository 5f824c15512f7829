package graph

import (
	"time"

	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/metrics"
	"github.com/oarlock/oarlock/probe"
)

// Witnesses are what was seen and what was tried, to be put beside what is declared.
type Witnesses struct {
	Now time.Time
	// Observed is what traffic did in the window; nil where nobody could say, and then Trouble says why.
	Observed *metrics.Observation
	Trouble  string
	// Changed has the edges whose verdict changed within the window, by EdgeID: what was seen before tells nothing of them.
	Changed map[string]Changed
	// Running says which pods are ready, and why others are not; nil where nobody knows.
	Running *mesh.Running
	// Proofs are the newest of each client and target, in any order.
	Proofs []Proof
}

// Changed is an edge whose verdict changed lately.
type Changed struct {
	// Since is when the newest verdict was in force on both ends; zero while it is not. Then InForce of Total sidecars have
	// it.
	Since          time.Time
	InForce, Total int
	// Observed is what traffic did since then; nil while nothing can be said.
	Observed *metrics.Observation
	// Settled is what it did since calls from before must have come to their end: a call is counted when it ends, and says how it
	// began. It is nil while that is not known; then nothing is known of an edge on which all traffic contradicts the verdict.
	Settled *metrics.Observation
}

// Proof is what came of trying a port.
type Proof struct {
	// From is the ID of the node in whose sidecar it was tried, "" for a caller without one.
	From string
	// To is the ID of a service node, and Port one of its ports.
	To     string
	Port   uint32
	At     time.Time
	Result *probe.Result
	// Problem says why there is no Result; "" where there is one.
	Problem string
}

// Observed is what traffic did on one edge. Rates are per second.
type Observed struct {
	Start, End time.Time // what was looked at
	Newest     time.Time // of the samples that count
	// Reporters are who counted: "destination", "source", or both with a plus between.
	Reporters string
	Protocol  string
	Requests  float64
	Errors    float64
	// Connections are of TCP, opened.
	Connections float64
	// Lost are requests and connections that the source counted and that came to nothing before the destination's sidecar
	// took them: it reports, and did not count them, or the source's own handshakes failed.
	Lost           float64
	Received, Sent float64 // bytes
	Failures       float64 // handshakes that did not come about
	Causes         []metrics.CauseRate
	// MTLS is the share with mutual TLS of what is known, 0 to 1; Known is the share of requests and connections whose
	// security is known.
	MTLS, Known   float64
	P50, P90, P99 time.Duration
	// Principals that certificates proved, in order.
	SourcePrincipals, DestinationPrincipals []string
	// Policies are those that the sidecars name as what decided, in order, as mesh.Ref prints them.
	Policies []string
}

// Attempts are what was tried a second: requests and connections, and what never became one.
func (o *Observed) Attempts() float64 { return o.Requests + o.Connections + o.refused() }

// refused is what did not get through. A request that is lost to a handshake is counted by both ends, so it is the larger
// of the two.
func (o *Observed) refused() float64 { return max(o.Failures, o.Lost) }

// Share is what one workload behind a service got of an edge.
type Share struct {
	Workload string // ID of a node
	Observed Observed
	Lock     Lock
}

// Finding is a disagreement of the witnesses, or another thing that somebody should look at.
type Finding struct {
	Code     string // stable: one of the Finding constants
	Severity string // "error", "warning" or "note"
	Text     string // one sentence
}

// The codes of findings; docs/graph.md says when each is made.
const (
	FindingDeclaredObserved = "declared-observed" // traffic does what the policies do not say
	FindingDeclaredProven   = "declared-proven"   // a probe proves another mode than the policies say
	FindingObservedProven   = "observed-proven"   // traffic does what a probe says is impossible, or less than it allows
	FindingHandshakes       = "handshakes-fail"   // some handshakes fail, and others come about
	FindingLost             = "lost"              // some requests never reach the destination's sidecar
	FindingPartlyReported   = "partly-reported"   // a sidecar that should count says nothing
	FindingSidecarDown      = "sidecar-down"      // a sidecar gives no answer to the store
	FindingStale            = "stale"             // the newest evidence is old
	FindingUndeclared       = "undeclared"        // a workload was seen that no manifest declares
	FindingUnplaced         = "unplaced"          // some traffic has lost its names
	FindingNowhere          = "nowhere"           // some traffic names no destination
)

// The severities of findings.
const (
	SeverityError   = "error"
	SeverityWarning = "warning"
	SeverityNote    = "note"
)
