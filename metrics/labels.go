package metrics

// Peer is a workload as labels name it. What is "" is unknown.
type Peer struct {
	Workload, Namespace string
	App, Version        string
	CanonicalService    string
	CanonicalRevision   string
	Cluster             string
	Principal           string // SPIFFE ID, proven by a certificate
}

// Service is the destination service of a request.
type Service struct{ Host, Name, Namespace string }

// Reporter is the side that counts.
type Reporter uint8

// The reporters.
const (
	Source Reporter = iota
	Destination
)

// String gives "source" or "destination".
func (r Reporter) String() string { return [...]string{"source", "destination"}[r] }

// Security is how a connection was protected.
type Security uint8

// The values of connection_security_policy.
const (
	SecurityUnknown Security = iota
	SecurityNone
	SecurityMutualTLS
)

// String gives "unknown", "none" or "mutual_tls".
func (s Security) String() string { return [...]string{"unknown", "none", "mutual_tls"}[s] }

// Labels are those of Istio's standard metrics. The value is comparable, and the key under which a series is kept.
type Labels struct {
	Reporter    Reporter
	Source      Peer
	Destination Peer
	Service     Service
	Protocol    string // "http", "grpc", "tcp"
	Code        int    // HTTP; 0 where no response was sent
	GRPCStatus  string // "" for what is no gRPC
	Flags       string // response flags, "-" for none
	// Security is what this side knows. Istio's series of a source say unknown whatever it is (semantics M51); our own
	// series says it.
	Security Security
	// Policy names the object that decided, "" unknown; on our own series alone.
	Policy string
	// Port is the service's where the source says it, and the workload's where the destination does; 0 unknown; on our own
	// series alone.
	Port uint16
}
