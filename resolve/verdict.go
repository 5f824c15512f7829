package resolve

import "github.com/oarlock/oarlock/mesh"

// Client is who calls: a workload, or a caller without a sidecar (Workload nil), of which nothing else is known.
// The zero Client is that caller.
type Client struct {
	Workload *mesh.Workload
}

// Target is what is called. Exactly one of Service, Workload (a pod IP) and Host (a name in no registry) is set;
// Workload together with Service narrows the question to that one endpoint.
type Target struct {
	Service  *mesh.Service
	Port     uint32 // service port number with Service, workload port number with a pod IP, else as dialled
	UDP      bool   // with Service: the UDP port of that number, where a TCP port has it too
	Subset   string // subset of the DestinationRule in force; "" for the service itself
	Workload *mesh.Workload
	Host     string
}

// Status is the judgement on one connection.
type Status uint8

// The statuses. StatusMayConflict is a word of 1.2 and 1.3 alone.
const (
	StatusOK          Status = iota // it works as the rules say
	StatusAuto                      // auto mTLS decides, and what it decides works
	StatusConflict                  // at least one endpoint refuses
	StatusMayConflict               // a certificate that we do not know decides (1.2, 1.3)
	StatusNotCaptured               // UDP: no sidecar sees it
	StatusUnknown                   // ambient on either side: not judged as a sidecar
)

// Server is the mode of a service port: a mesh mode, or ServerMixed where its endpoints differ.
type Server uint8

// The server modes. Where an endpoint has no sidecar its mode is ServerDisable, whatever the policies say.
const (
	ServerDisable    = Server(mesh.ModeDisable)
	ServerPermissive = Server(mesh.ModePermissive)
	ServerStrict     = Server(mesh.ModeStrict)
	ServerMixed      = Server(mesh.ModeStrict + 1)
)

// Auto is what auto mTLS comes out as.
type Auto uint8

// The outcomes of auto mTLS. AutoOff: it was not asked (a rule decides, it is switched off, or the client has no sidecar).
const (
	AutoOff       Auto = iota
	AutoMTLS           // every endpoint gets mTLS
	AutoPlaintext      // every endpoint gets plaintext
	AutoMixed          // some get mTLS, some plaintext
)

// Wire is what is seen on the wire between client and endpoint.
type Wire uint8

// The wires. WireMixed: endpoints differ. WireRefused: nothing gets through.
const (
	WirePlaintext Wire = iota
	WireMTLS           // mesh mTLS, terminated by the server's sidecar
	WireTLS            // other TLS: terminated by the application, or by the sidecar with a certificate that is not an SVID
	WireRefused
	WireMixed
	WireUnknown // ambient, UDP
)

// Outbound is where the client's sidecar sends the connection.
type Outbound uint8

// The outbound decisions.
const (
	OutboundCluster     Outbound = iota // the service's own cluster
	OutboundPassthrough                 // PassthroughCluster: original destination, no mTLS added
	OutboundBlackHole                   // BlackHoleCluster or block_all: refused by the client's sidecar
	OutboundDirect                      // no sidecar, or a port that it does not capture
)

// TieBreak is the rule that chose between policies or rules of one level.
type TieBreak uint8

// The tie-breaks. TieName is used where no object has a creation time, as in a directory of files.
const (
	TieNone        TieBreak = iota // only one object was in question
	TieOldest                      // the oldest wins
	TieName                        // equally old (or of unknown age): name, then namespace
	TieNewest                      // unmerged rules for one host: the last wins (semantics M21)
	TieUnspecified                 // 1.1 to 1.3: Istio leaves it to chance; Oarlock takes the first by name
	TieLastName                    // unmerged rules for one host, equally old or of unknown age: the last by name
)

// None is the Policy or Rule index of a Verdict that no object decided.
const None int32 = -1

// Verdict is the small answer. It holds no pointers and Resolve makes it without allocation.
type Verdict struct {
	Status   Status
	Server   Server
	Client   mesh.ClientMode // what the rule in force says for this port and subset; ClientUnset where none says anything
	Auto     Auto
	Wire     Wire
	Outbound Outbound
	Cause    Cause // the one sentence behind Status

	// Policy is the index of the policy that decided, in Snapshot.PeerAuthentications (current) or Snapshot.Policies
	// (legacy); None where no policy did. Where endpoints differ it is that of the first endpoint class.
	Policy int32
	Rule   int32    // index in Snapshot.DestinationRules of the rule in force, None without one
	Tie    TieBreak // the tie-break between policies

	Endpoints int32 // endpoints known (instances; a template counts once); 0 where none is known
	Refused   int32 // of these, how many refuse this client
}

// Equal says whether two verdicts are the same in everything but the indices of what decided.
func (v Verdict) Equal(o Verdict) bool {
	v.Policy, v.Rule, o.Policy, o.Rule = 0, 0, 0, 0
	return v == o
}

// Explanation is a Verdict with its reasons. Its Verdict equals what Resolve returns for the same question.
type Explanation struct {
	Client    Client
	Target    Target
	Verdict   Verdict
	Reasons   []Reason   // in the order in which they were considered
	Endpoints []Endpoint // one per class of endpoints that are treated alike, in a fixed order
	TLS       *ClientTLS // how the client's sidecar would start TLS; nil where it does not
}

// Step is the part of the decision that a Reason belongs to.
type Step uint8

// The steps, in the order in which a connection meets them.
const (
	StepClient   Step = iota // who calls: sidecar, Sidecar scope, outbound policy
	StepRule                 // which DestinationRule is in force
	StepTLS                  // which of its tls blocks applies: top level, port, subset
	StepAuto                 // what auto mTLS makes of an unset block
	StepPolicy               // which policy decides for the server
	StepEndpoint             // what stands at the endpoint: sidecar, label, port
	StepWire                 // what comes of the two together
)

// String gives one lower-case word.
func (s Step) String() string {
	return [...]string{"client", "rule", "tls", "auto", "policy", "endpoint", "wire"}[s]
}

// Outcome says what became of the object that a Reason names.
type Outcome uint8

// The outcomes.
const (
	Note Outcome = iota // no object, or one that is merely told
	Won
	Lost
)

// String gives "", "wins" or "loses".
func (o Outcome) String() string { return [...]string{"", "wins", "loses"}[o] }

// Reason is one step of the why.
type Reason struct {
	Step    Step
	Outcome Outcome
	Cause   Cause
	Ref     mesh.Ref    // the object considered; zero where there is none
	Origin  mesh.Origin // of that object
	Tie     TieBreak
	Text    string // a clause for people, without the object's name: "matches the host, but another namespace's rule is nearer"
}

// Endpoint is one class of endpoints with one outcome.
type Endpoint struct {
	Workloads []*mesh.Workload // empty where no endpoint is known and a meshed one is assumed
	Subset    string
	Port      uint32 // workload port; 0 where the workload has no such port
	Server    Server
	Policy    int32 // as in Verdict
	Tie       TieBreak
	Sends     mesh.ClientMode // what the client starts: ClientUnset means plaintext by default, ClientIstioMutual also when auto mTLS chose it
	Wire      Wire
	Cause     Cause
}

// ClientTLS is how a client's sidecar starts TLS.
type ClientTLS struct {
	Mode       mesh.ClientMode
	SNI        string
	SANs       []string // exact matches of which the server must show one; empty: no check
	ALPN       []string
	MinVersion string // "1.2"
	MaxVersion string // "1.3"
}
