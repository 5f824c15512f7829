package resolve

import (
	"slices"

	"github.com/oarlock/oarlock/mesh"
)

// meet says what comes of a client's start and an endpoint: what is on the wire, and why.
//
//   - no sidecar at the endpoint: plaintext arrives, other TLS reaches the application, mesh mTLS finds nobody
//   - STRICT takes mTLS alone; PERMISSIVE takes mTLS and plaintext; DISABLE takes plaintext
//   - TLS that is not Istio's fails on an HTTP port and reaches the application on any other
//   - where policy is DISABLE, a Sidecar's ingress listener may demand TLS of its own
//
// Source: semantics L18, L20, L51, M39, M40, M42, 2.11.
func meet(c *caller, sends mesh.ClientMode, tls *mesh.ClientTLS, g group) (Wire, Cause) {
	strict, disable := g.policy.mode == mesh.ModeStrict, g.policy.mode == mesh.ModeDisable
	switch {
	case g.capture == mesh.CaptureNone:
		return meetBare(sends, g)
	case disable && g.ownTLS && (sends == mesh.ClientSimple || sends == mesh.ClientMutual):
		return WireTLS, CauseServerTLS
	case disable && g.ownTLS:
		return WireRefused, CauseServerTLS
	}
	switch sends {
	case mesh.ClientIstioMutual:
		if disable {
			return WireRefused, CauseMTLSDisabled
		}
		return WireMTLS, CauseMatch
	case mesh.ClientSimple, mesh.ClientMutual:
		return meetForeign(sends, tls, strict, g.class)
	}
	switch {
	case !strict:
		return WirePlaintext, CauseMatch
	case c.capture == mesh.CaptureNone:
		return WireRefused, CauseOutsideStrict
	}
	return WireRefused, CausePlaintextStrict
}

func meetBare(sends mesh.ClientMode, g group) (Wire, Cause) {
	switch {
	case sends == mesh.ClientIstioMutual && g.far:
		return WireMTLS, CauseFarEnd
	case sends == mesh.ClientIstioMutual && g.excluded:
		return WireRefused, CauseMTLSNotCaptured
	case sends == mesh.ClientIstioMutual:
		return WireRefused, CauseMTLSNoSidecar
	case sends == mesh.ClientSimple || sends == mesh.ClientMutual:
		return WireTLS, CauseOpaqueTLS
	}
	return WirePlaintext, CauseMatch
}

func meetForeign(sends mesh.ClientMode, tls *mesh.ClientTLS, strict bool, class ProtocolClass) (Wire, Cause) {
	switch {
	case strict && sends == mesh.ClientSimple:
		return WireRefused, CauseOneWayTLS
	case strict && meshCertificate(tls):
		return WireMTLS, CauseMatch
	case strict:
		return WireRefused, CauseForeignCert
	case class == ProtocolHTTP:
		return WireRefused, CauseForeignTLS
	}
	return WireTLS, CauseOpaqueTLS
}

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
	InboundCodec                           // bytes that are not HTTP reach an HTTP codec: protocol error
	InboundBlackHole                       // port 15006 itself
)

// The ALPN values by which a PERMISSIVE listener knows the mesh's own TLS, and those that name HTTP inside it.
var (
	alpnHTTP   = []string{"istio-http/1.0", "istio-http/1.1", "istio-h2"}
	alpnIstio  = []string{"istio-peer-exchange", "istio"}
	alpnLegacy = []string{"istio"}
)

func offers(a Attempt, set []string) bool {
	return slices.ContainsFunc(a.ALPN, func(p string) bool { return slices.Contains(set, p) })
}

// Inbound says what a sidecar in the given mode does with an attempt on a port of the given class (semantics L18, M39,
// M40).
func Inbound(mode mesh.Mode, class ProtocolClass, a Attempt, d mesh.Dialect) InboundOutcome {
	if class == ProtocolAuto && d.Legacy() {
		class = ProtocolTCP // inbound sniffing was off by default (semantics L53)
	}
	switch {
	case mode == mesh.ModeDisable:
		return inboundPlain(class, a)
	case !a.TLS && mode == mesh.ModeStrict:
		return InboundNoChain
	case !a.TLS:
		return inboundPlain(class, a)
	}
	terminated := mode == mesh.ModeStrict
	if mode != mesh.ModeStrict {
		if d.Legacy() {
			terminated = offers(a, alpnLegacy)
		} else {
			terminated = offers(a, alpnIstio) || offers(a, alpnHTTP)
		}
	}
	switch {
	case !terminated && class == ProtocolHTTP && !d.Legacy():
		return InboundNoChain
	case !terminated && class == ProtocolHTTP:
		return InboundCodec
	case !terminated:
		return InboundOpaque
	case !a.Cert:
		return InboundNoCert
	case class == ProtocolHTTP, class == ProtocolAuto && offers(a, alpnHTTP):
		return InboundHTTPMTLS
	}
	return InboundTCPMTLS
}

// inboundPlain is a port without TLS chains: TLS bytes count as raw ones.
func inboundPlain(class ProtocolClass, a Attempt) InboundOutcome {
	switch {
	case class == ProtocolHTTP && a.TLS:
		return InboundCodec
	case class == ProtocolHTTP:
		return InboundHTTP
	case a.TLS:
		return InboundOpaque
	case class == ProtocolAuto && a.HTTP:
		return InboundHTTP
	}
	return InboundTCP
}

// inboundPort is where a sidecar listens for what it captures.
const inboundPort = 15006

// Inbound says what the sidecar of a workload does with an attempt on one of its ports. Where no sidecar captures the
// port, the application gets what is sent: InboundTCP or InboundOpaque.
func (r *Resolver) Inbound(w *mesh.Workload, number uint32, a Attempt) InboundOutcome {
	i, ok := r.workload[w]
	if !ok {
		return inboundPlain(ProtocolTCP, a)
	}
	own := &r.workloads[i]
	at := own.Capture
	if at == mesh.CaptureSidecar {
		at, _ = r.captureOf(own, number)
	}
	switch {
	case at == mesh.CaptureNone:
		return inboundPlain(ProtocolTCP, a)
	case number == inboundPort:
		return InboundBlackHole
	}
	s, p := r.behind(own, number)
	class, _ := r.declared(own, p, number)
	return Inbound(r.serverPolicy(own, s, p, number).mode, class, a, r.dialect)
}
