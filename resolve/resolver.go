package resolve

import "github.com/oarlock/oarlock/mesh"

// Resolver answers questions about one Snapshot. It is immutable after New and may be used from any goroutine.
type Resolver struct {
	snap *mesh.Snapshot
}

// New indexes a snapshot. The cost grows with the objects of the snapshot, not with workloads times services.
func New(s *mesh.Snapshot) *Resolver { return &Resolver{snap: s} }

// Snapshot is what the Resolver was made from.
func (r *Resolver) Snapshot() *mesh.Snapshot { return r.snap }

// Resolve gives the verdict for one client and target. It does not allocate.
func (r *Resolver) Resolve(c Client, t Target) Verdict { return Verdict{} }

// Explain gives the same verdict with every reason.
func (r *Resolver) Explain(c Client, t Target) *Explanation { return &Explanation{} }

// Compat gives the verdict that istioctl authn tls-check of the snapshot's dialect printed for this row (in the current
// dialect: what 1.4 would have), wrong where it was wrong (semantics L49). Only Status, Server, Client, Policy and Rule
// are set.
func (r *Resolver) Compat(c Client, t Target) Verdict { return Verdict{} }

// Visible says whether the client's sidecar has a cluster for the service: exportTo and Sidecar egress allow it.
// A caller without a sidecar sees every service.
func (r *Resolver) Visible(c Client, s *mesh.Service) bool { return false }

// Services lists the services that match a name as a person types it from namespace ns: `foo`, `foo.ns1`,
// `foo.ns1.svc`, the full hostname, or a ServiceEntry's host. An exact hostname wins over short names, the own namespace
// over others; several results mean that the name is ambiguous.
func (r *Resolver) Services(name, ns string) []*mesh.Service { return nil }

// Endpoints lists the workloads behind a service, in order.
func (r *Resolver) Endpoints(s *mesh.Service) []*mesh.Workload { return nil }

// ServicesOf lists the services that a workload backs, in order of hostname.
func (r *Resolver) ServicesOf(w *mesh.Workload) []*mesh.Service { return nil }

// Subsets lists the names of the subsets of the DestinationRule in force for this client and service, in order of name.
func (r *Resolver) Subsets(c Client, s *mesh.Service) []string { return nil }

// Rule gives the DestinationRule in force for this client and service: the rule that names it (tls-check's column) and all
// rules merged into it, the naming one first. Empty without one.
func (r *Resolver) Rule(c Client, s *mesh.Service) []*mesh.DestinationRule { return nil }

// Policy gives the policy at an index of a Verdict as a Ref with its Origin; zero for None.
func (r *Resolver) Policy(i int32) (mesh.Ref, mesh.Origin) { return mesh.Ref{}, mesh.Origin{} }

// ServerMode gives the mode of one workload port and the policy that decided, whatever service leads there (current
// dialect), or of a service port on that workload (legacy: s must not be nil there for a policy to apply, semantics L19).
func (r *Resolver) ServerMode(w *mesh.Workload, s *mesh.Service, port uint32) (Server, int32) {
	return ServerDisable, None
}

// Protocol is the class of a service port: HTTP, TCP, UDP or auto (detected at run time), with the protocol's name.
type Protocol struct {
	Class ProtocolClass
	Name  string // HTTP, HTTP2, GRPC, GRPC-Web, HTTP_PROXY, TCP, TLS, HTTPS, Mongo, Redis, MySQL, UDP, or "auto"
}

// ProtocolClass decides which inbound filter chains a port gets.
type ProtocolClass uint8

// The classes.
const (
	ProtocolAuto ProtocolClass = iota
	ProtocolHTTP
	ProtocolTCP
	ProtocolUDP
)

// PortProtocol names the protocol of a service port by the rules of the dialect (semantics M47, M48, L53).
func PortProtocol(p *mesh.Port, d mesh.Dialect) Protocol { return Protocol{} }

// Attempt is one way to open a connection, for Inbound.
type Attempt struct {
	TLS  bool
	Cert bool     // presents a certificate signed by the mesh's root
	ALPN []string // offered
	HTTP bool     // speaks HTTP inside (plaintext or TLS)
}

// InboundOutcome is what a sidecar does with an Attempt.
type InboundOutcome uint8

// The outcomes.
const (
	InboundNoChain   InboundOutcome = iota // no filter chain matches: the connection is closed
	InboundHTTP                            // plaintext HTTP chain
	InboundTCP                             // plaintext TCP chain
	InboundHTTPMTLS                        // mTLS terminated, HTTP chain
	InboundTCPMTLS                         // mTLS terminated, TCP chain
	InboundOpaque                          // TLS bytes passed to the application
	InboundNoCert                          // handshake fails: no client certificate
	InboundCodec                           // TLS bytes reach an HTTP codec: protocol error
	InboundBlackHole                       // port 15006 itself
)

// Inbound says what a sidecar in the given mode does with an attempt on a port of the given class (semantics L18, M39,
// M40).
func Inbound(mode mesh.Mode, class ProtocolClass, a Attempt, d mesh.Dialect) InboundOutcome {
	return InboundNoChain
}

// Class is a group of clients that get the same verdict for every service.
type Class struct {
	Client  Client           // a representative
	Members []*mesh.Workload // by namespace, name, kind; empty for callers outside the mesh
	Count   int              // len(Members)
}

// Classes groups all workloads of the snapshot, callers without a sidecar last. Endpoints of ServiceEntries are not
// clients.
func (r *Resolver) Classes() []Class { return nil }
