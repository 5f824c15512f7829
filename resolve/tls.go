package resolve

import (
	"strings"

	"github.com/oarlock/oarlock/mesh"
)

// sending is what the client's sidecar does towards one cluster before it looks at an endpoint.
type sending struct {
	outbound Outbound
	rule     *merged
	subset   *subset
	tls      *mesh.ClientTLS // the block in force; nil where none says anything
	where    Cause           // which block that is, or why there is none
	from     int32           // the rule whose block it is
	auto     autoScope
	endpoint mesh.ClientMode // current: what endpoints are marked by, which forgets a bare port entry (semantics M26)
	cause    Cause           // why auto mTLS does not start, or why the service is out of reach
	router   bool            // the client is a gateway
}

// names says whether the rule says who the server must be.
func (s *sending) names() bool { return s.tls != nil && len(s.tls.SubjectAltNames) > 0 }

// autoScope is how far auto mTLS decides.
type autoScope uint8

const (
	autoNone  autoScope = iota
	autoEach            // endpoint by endpoint
	autoEvery           // original-destination cluster: one decision for all
	autoNever           // asked, and the answer is plaintext for all
)

func (s *sending) mode() mesh.ClientMode {
	if s.tls == nil {
		return mesh.ClientUnset
	}
	return s.tls.Mode
}

// block is a tls block with the place that it stands in, and what the same settings say of load balancing.
type block struct {
	tls   *mesh.ClientTLS
	lb    string // loadBalancer.simple in force for the cluster
	where Cause
}

// portBlock gives the settings of a policy for one service port, and whether an entry for the port decides (semantics L29,
// M24).
func (r *Resolver) portBlock(p *mesh.TrafficPolicy, sp *mesh.Port) (block, bool) {
	set, entry := p.ForPort(sp, r.dialect)
	out := block{set.TLS, set.LoadBalancer, CauseTopLevel}
	switch {
	case entry && set.TLS == nil:
		out.where = CausePortLevelBare
	case entry:
		out.where = CausePortLevel
	case set.TLS == nil:
		out.where = CauseNoTLS
	}
	return out, entry
}

// blockFor gives the tls block for a port and a subset (nil: the service itself): the top level's, with the subset's laid
// over it where it says something. In the current dialect a bare port entry of the subset takes the inherited block away
// (semantics M25); in the legacy ones it does not (L32), except that with auto mTLS of 1.4 any subset without a block
// starts over (L36), which automatic says.
func (r *Resolver) blockFor(m *merged, sub *subset, sp *mesh.Port, automatic bool) (block, int32) {
	top, _ := r.portBlock(m.policy, sp)
	if sub == nil {
		return top, m.from
	}
	own, entry := r.portBlock(sub.TrafficPolicy, sp)
	switch {
	case own.tls != nil:
		where := CauseSubset
		if entry {
			where = CauseSubsetPort
		}
		return block{own.tls, own.lb, where}, sub.from
	case r.dialect.Legacy() && automatic, entry && !r.dialect.Legacy():
		return block{lb: own.lb, where: CauseSubsetBare}, sub.from
	}
	if own.lb != "" {
		top.lb = own.lb
	}
	if top.tls != nil {
		top.where = CauseInherited
	}
	return top, m.from
}

// balancing says whether a cluster keeps the original destination, and whether the control plane looks at the service's
// endpoints for that reason before it starts auto mTLS. The two differ: the first follows port entries and passes from the
// service to its subsets, the second reads the top level alone, the subset's where there is one.
func (r *Resolver) balancing(s *service, snd *sending, sp *mesh.Port) (original, asked bool) {
	const passthrough = "PASSTHROUGH"
	m, sub := snd.rule, snd.subset
	asked = s.Resolution == mesh.ResolutionPassthrough
	original = asked && !snd.router // gateways balance over the endpoints
	if m == nil {
		return original, asked
	}
	top, _ := r.portBlock(m.policy, sp)
	original = original || top.lb == passthrough
	if sub == nil {
		return original, asked || m.policy != nil && m.policy.LoadBalancer == passthrough
	}
	own, _ := r.blockFor(m, sub, sp, false)
	atTop := sub.TrafficPolicy != nil && sub.TrafficPolicy.LoadBalancer == passthrough
	return original || own.lb == passthrough || atTop, asked || atTop
}

// endpointMode is the mode by which the current control plane marks endpoints: unlike the cluster's, it lets a port entry
// without tls fall back to the top level (semantics M11, M26).
func endpointMode(m *merged, sub *subset, sp *mesh.Port) mesh.ClientMode {
	if sub != nil {
		if mode := markMode(sub.TrafficPolicy, sp); mode != mesh.ClientUnset {
			return mode
		}
	}
	return markMode(m.policy, sp)
}

func markMode(p *mesh.TrafficPolicy, sp *mesh.Port) mesh.ClientMode {
	if p == nil {
		return mesh.ClientUnset
	}
	for i := range p.Ports {
		if e := &p.Ports[i]; e.Number == sp.Number && e.TLS != nil {
			return e.TLS.Mode
		}
	}
	if p.TLS != nil {
		return p.TLS.Mode
	}
	return mesh.ClientUnset
}

// towards says how the client's sidecar sends to a service port.
func (q *call) towards() {
	r, c, s, p, out := q.r, q.c, q.s, q.p, &q.send
	out.from = None
	if !c.captures(p.Number) {
		out.outbound = OutboundDirect
		q.tr.direct(c, p)
		return
	}
	out.router = c.w.Router
	if p.protocol.Class == ProtocolUDP || !r.sees(c, s, p.Number) {
		out.outbound, out.cause = r.unknownDestination(c), CauseHidden
		q.tr.hidden(q)
		return
	}
	if c.capture == mesh.CaptureAmbient {
		q.tr.ztunnel(c)
		return
	}
	out.rule = r.inForce(c, s)
	q.tr.rules(q)
	if out.rule != nil {
		if q.target.Subset != "" {
			out.subset = out.rule.subset(q.target.Subset)
		}
		var b block
		b, out.from = r.blockFor(out.rule, out.subset, p.Port, r.autoApplies(s, p))
		out.tls, out.where = b.tls, b.where
		out.endpoint = endpointMode(out.rule, out.subset, p.Port)
		q.tr.block(q)
	}
	if out.tls == nil {
		out.auto, out.cause = r.autoFor(s, p, out)
		q.tr.auto(q)
	}
}

// autoApplies says whether auto mTLS would fill in a missing block: switched on, not an outside host, and a service whose
// mode is not DISABLE (semantics L34, M27).
func (r *Resolver) autoApplies(s *service, p *port) bool {
	return r.auto && !s.outside() && p.hint.mode != mesh.ModeDisable
}

// outside says whether the service is not part of the mesh.
func (s *service) outside() bool {
	return s.External || s.Resolution == mesh.ResolutionExternalName
}

// autoFor decides a missing tls block.
func (r *Resolver) autoFor(s *service, p *port, snd *sending) (autoScope, Cause) {
	switch {
	case !r.auto:
		return autoNone, CauseNone
	case s.outside():
		return autoNone, CauseExternal
	case r.dialect.Legacy():
		return r.autoLegacy(s, p)
	}
	original, asked := r.balancing(s, snd, p.Port)
	switch {
	case asked && p.unready:
		return autoNever, CauseHeadlessFallback
	case p.hint.mode == mesh.ModeDisable:
		return autoNever, CauseHint
	case original:
		return autoEvery, CauseNone
	}
	return autoEach, CauseNone
}

// autoLegacy: endpoints of a headless service carry no label there, so auto mode comes out as plaintext (semantics L35).
func (r *Resolver) autoLegacy(s *service, p *port) (autoScope, Cause) {
	switch {
	case p.hint.mode == mesh.ModeDisable:
		return autoNever, CauseHint
	case s.Resolution == mesh.ResolutionPassthrough:
		return autoNever, CauseHeadlessFallback
	}
	return autoEach, CauseNone
}

// starts says what the client starts towards an endpoint: ClientUnset for plaintext.
func (r *Resolver) starts(s *sending, g group) mesh.ClientMode {
	switch s.auto {
	case autoEvery:
		return mesh.ClientIstioMutual
	case autoEach:
		if g.istio && r.leavesLabel(s, g) {
			return mesh.ClientIstioMutual
		}
		return mesh.ClientUnset
	case autoNever:
		return mesh.ClientUnset
	}
	switch mode := s.mode(); mode {
	case mesh.ClientSimple, mesh.ClientMutual:
		if r.noSocket(s) {
			return mesh.ClientUnset
		}
		return mode
	case mesh.ClientIstioMutual:
		return mode
	}
	return mesh.ClientUnset
}

// leavesLabel says whether the control plane leaves the endpoint's tlsMode label in place: a rule's own mode decides that
// before the endpoint's policy does (semantics M11). 1.4 leaves it always.
func (r *Resolver) leavesLabel(s *sending, g group) bool {
	switch {
	case r.dialect.Legacy():
		return true
	case s.endpoint != mesh.ClientUnset:
		return s.endpoint == mesh.ClientIstioMutual
	}
	return g.marked
}

// noSocket says whether the control plane leaves the cluster without a TLS socket, so that plaintext is sent: the rule
// names a credential and has no workloadSelector, or asks for MUTUAL without naming a certificate (semantics M35).
func (r *Resolver) noSocket(s *sending) bool {
	t := s.tls
	if r.dialect.Legacy() || t == nil {
		return false
	}
	if t.CredentialName != "" {
		return s.rule.selector == nil && !s.router && !strings.HasPrefix(t.CredentialName, "configmap://") &&
			(t.Mode == mesh.ClientSimple || t.Mode == mesh.ClientMutual)
	}
	return t.Mode == mesh.ClientMutual && (t.ClientCertificate == "" || t.PrivateKey == "")
}

// meshCertificate says whether a MUTUAL block presents a certificate of the mesh's own root, as far as a path can tell.
func meshCertificate(t *mesh.ClientTLS) bool {
	return t != nil && (strings.HasPrefix(t.ClientCertificate, "/etc/certs/") || strings.HasPrefix(t.ClientCertificate, "/etc/istio"))
}
