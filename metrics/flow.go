package metrics

import "time"

// Flow is what was observed between two workloads over some time: the row that a query over these series returns. What
// the reporter did not know is zero.
type Flow struct {
	Source, Destination Peer
	Service             Service
	Port                uint16 // of the service, 0 unknown
	Protocol            string // "http", "grpc", "tcp"
	// Reporter is the side that counted. Where both sides did, that is one Flow of each.
	Reporter Reporter
	Security Security
	Policy   string // the object that decided, as mesh.Ref prints it

	// Rates, each per second.
	Requests    float64
	Errors      float64 // requests that failed: no response, a code of 500 or more, a gRPC status other than 0
	Connections float64 // opened
	Received    float64 // bytes from the client
	Sent        float64 // bytes to the client
	Failures    float64 // handshakes that did not come about
	// Cause is that of most Failures, one of the Cause constants.
	Cause string

	// P50, P90 and P99 are quantiles of a request's duration, zero without requests.
	P50, P90, P99 time.Duration
}
