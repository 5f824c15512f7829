package resolve

import (
	"slices"
	"strings"

	"github.com/oarlock/oarlock/mesh"
)

// caller is a Client with what the index knows of it.
type caller struct {
	w       *workload // nil for a caller outside
	ns      *namespace
	capture mesh.Capture
}

func (c *caller) labels() map[string]string {
	if c.w == nil {
		return nil
	}
	return c.w.Labels
}

// captures says whether the client has a sidecar that sees what it sends to a port.
func (c *caller) captures(port uint32) bool {
	return c.capture != mesh.CaptureNone && c.w.Outbound.Captures(port)
}

// caller finds a client. A workload that is not of this snapshot counts as a caller without a sidecar.
func (r *Resolver) caller(c Client) caller {
	i, ok := r.workload[c.Workload]
	if c.Workload == nil || !ok {
		return caller{}
	}
	w := &r.workloads[i]
	return caller{w: w, ns: w.ns, capture: w.Capture}
}

// Resolve gives the verdict for one client and target. It does not allocate.
func (r *Resolver) Resolve(c Client, t Target) Verdict { return r.decide(c, t, nil) }

func (r *Resolver) decide(c Client, t Target, tr *trace) Verdict {
	who := r.caller(c)
	switch {
	case t.Service != nil:
		return r.toService(&who, t, tr)
	case t.Workload != nil:
		return r.toPod(&who, t, tr)
	}
	return r.toHost(&who, t, tr)
}

// toService resolves a call of a service port.
func (r *Resolver) toService(c *caller, t Target, tr *trace) Verdict {
	i, ok := r.service[t.Service]
	if !ok {
		return r.noPort(c, t, tr)
	}
	s := &r.services[i]
	if s.Resolution == mesh.ResolutionExternalName && !r.dialect.Legacy() {
		return r.toAlias(c, t, s, tr)
	}
	p := s.port(t.Port, t.UDP)
	if p == nil {
		return r.noPort(c, t, tr)
	}
	return r.toPort(c, t, s, p, tr)
}

// call is one call on its way to a verdict.
type call struct {
	r      *Resolver
	c      *caller
	target Target
	s      *service // nil for a pod IP that no service leads to
	p      *port    // likewise
	send   sending
	sum    tally
	tr     *trace
}

// toPort resolves a call of one port of a service.
func (r *Resolver) toPort(c *caller, t Target, s *service, p *port, tr *trace) Verdict {
	if !p.captured {
		tr.udp(p)
		return Verdict{Status: StatusNotCaptured, Server: ServerDisable, Wire: WireUnknown, Outbound: OutboundDirect, Cause: CauseUDP, Policy: None, Rule: None}
	}
	q := call{r: r, c: c, target: t, s: s, p: p, tr: tr}
	q.towards()
	q.sum.legacyWords = r.dialect == mesh.Dialect12 || r.dialect == mesh.Dialect13
	q.meetEndpoints()
	if q.sum.groups == 0 {
		q.meetAssumed()
	}
	v := q.sum.verdict(&q.send)
	if t.Subset != "" && q.send.subset == nil && q.send.outbound == OutboundCluster {
		v.Status, v.Wire, v.Cause = StatusConflict, WireRefused, CauseNoSubset
	}
	tr.finish(&q, v)
	return v
}

// meetEndpoints meets the endpoints that the target means: one, a subset's, or all of them, by class where nobody asks for
// their names.
func (q *call) meetEndpoints() {
	var labels map[string]string
	switch {
	case q.target.Workload != nil:
		if w, ok := q.r.workload[q.target.Workload]; ok && slices.Contains(q.s.endpoints, w) {
			q.meetOne(w)
		}
		return
	case q.target.Subset != "" && q.send.subset != nil:
		labels = q.send.subset.Labels
	}
	q.meetAll(labels)
}

// meetAll meets the endpoints with these labels; a class at once where nobody asks for one endpoint.
func (q *call) meetAll(labels map[string]string) {
	if labels == nil && q.tr == nil && !q.send.names() {
		for _, g := range q.p.groups {
			q.meet(g)
		}
		return
	}
	for _, w := range q.s.endpoints {
		if mesh.Selects(labels, q.r.workloads[w].Labels) {
			q.meetOne(w)
		}
	}
}

// meetAssumed stands in for endpoints where none is known. In the legacy dialects an ExternalName is a host like any other,
// and what it names may be a service of the mesh.
func (q *call) meetAssumed() {
	for _, i := range q.r.byHost[q.s.ExternalName] {
		if p := q.r.services[i].port(q.p.Number, false); q.s.Resolution == mesh.ResolutionExternalName && p != nil && len(p.groups) > 0 {
			q.tr.alias(q.s, q.r.services[i].Service)
			q.s, q.p = &q.r.services[i], p
			if q.meetAll(nil); q.sum.groups > 0 {
				return
			}
			break
		}
	}
	g := q.r.assumed(q.s, q.p)
	q.tr.assumed(q, g)
	q.meet(g)
}

func (q *call) meetOne(w int32) {
	if g, ok := q.r.endpoint(q.s, q.p, w); ok {
		q.meet(g)
	}
}

func (q *call) meet(g group) {
	var starts mesh.ClientMode
	wire, cause := WireRefused, CauseBlocked
	switch {
	case q.send.outbound == OutboundBlackHole:
	case q.c.capture == mesh.CaptureAmbient, g.capture == mesh.CaptureAmbient && q.c.capture != mesh.CaptureNone:
		wire, cause = WireUnknown, CauseAmbient
	default:
		if q.send.outbound == OutboundCluster {
			starts = q.r.starts(&q.send, g)
		}
		wire, cause = meet(q.c, starts, q.send.tls, g)
		wire, cause = q.otherwise(g, starts, wire, cause)
	}
	q.sum.add(g, starts, wire, cause)
	q.tr.endpoint(q.r, g, Endpoint{Sends: starts, Wire: wire, Cause: cause})
}

// otherwise has what the two sides alone do not show: the server's identity, and TLS of the application's own.
func (q *call) otherwise(g group, starts mesh.ClientMode, wire Wire, cause Cause) (Wire, Cause) {
	name := q.p.protocol.Name
	switch {
	case wire == WireMTLS && starts == mesh.ClientIstioMutual && q.send.names() && !q.named(g):
		return WireRefused, CauseServerIdentity
	case wire == WirePlaintext && cause == CauseMatch && (name == "HTTPS" || name == "TLS"):
		return WireTLS, CauseOwnTLS
	}
	return wire, cause
}

// named says whether the rule's subjectAltNames name the endpoint's identity, or nothing is known of that.
func (q *call) named(g group) bool {
	if g.first == None || q.r.workloads[g.first].ServiceAccount == "" {
		return true
	}
	w := &q.r.workloads[g.first]
	for _, san := range q.send.tls.SubjectAltNames {
		rest, ok := strings.CutPrefix(san, "spiffe://")
		td, path, _ := strings.Cut(rest, "/")
		path, ok2 := strings.CutPrefix(path, "ns/")
		ns, account, _ := strings.Cut(path, "/sa/")
		if ok && ok2 && td == q.r.snap.Config.TrustDomain && ns == w.ns.name && account == w.ServiceAccount {
			return true
		}
	}
	return false
}

// toAlias follows an ExternalName, by way of others, to the service that it names, or out of the registry.
func (r *Resolver) toAlias(c *caller, t Target, s *service, tr *trace) Verdict {
	name := s.ExternalName
	for range 8 { // aliases of aliases; a circle ends somewhere
		list := r.byHost[name]
		if len(list) == 0 {
			break
		}
		o := &r.services[list[0]]
		if o.Resolution != mesh.ResolutionExternalName {
			tr.alias(s, o.Service)
			return r.toService(c, Target{Service: o.Service, Port: t.Port}, tr)
		}
		name = o.ExternalName
	}
	return r.toHost(c, Target{Host: name, Port: t.Port}, tr)
}

// toPod resolves a call of a pod IP: no sidecar knows it as a service, so it passes through as plaintext (semantics M46),
// and the server's mode is that of the workload's own port.
func (r *Resolver) toPod(c *caller, t Target, tr *trace) Verdict {
	i, ok := r.workload[t.Workload]
	if !ok {
		return r.noPort(c, t, tr)
	}
	w := &r.workloads[i]
	s, p := r.behind(w, t.Port)
	if s != nil && s.Headless() && p.protocol.Class == ProtocolTCP && c.capture == mesh.CaptureSidecar && r.sees(c, s, p.Number) {
		// Sidecars listen on each pod's address for the TCP ports of headless services.
		return r.toPort(c, Target{Service: s.Service, Port: p.Number, Workload: t.Workload}, s, p, tr)
	}
	g := group{first: i, count: 1, target: t.Port, capture: w.Capture, policy: scoped{policy: None, mode: mesh.ModeDisable}}
	if w.Capture == mesh.CaptureSidecar {
		g.capture, g.excluded = r.captureOf(w, t.Port)
	}
	if g.capture != mesh.CaptureNone {
		g.policy = r.serverPolicy(w, s, p, t.Port)
	}
	g.class, g.ownTLS = r.declared(w, p, t.Port)
	if p == nil {
		p = &r.unlisted
	}
	q := call{r: r, c: c, target: t, s: s, p: p, tr: tr, send: sending{outbound: OutboundDirect, from: None}}
	if c.captures(t.Port) {
		q.send.outbound, q.send.cause = r.unknownDestination(c), CauseHidden
	}
	tr.pod(c, w, q.send.outbound)
	q.meet(g)
	v := q.sum.verdict(&q.send)
	if t.Port == inboundPort && w.Capture == mesh.CaptureSidecar {
		v.Status, v.Wire, v.Cause, v.Refused = StatusConflict, WireRefused, CauseProxyPort, 1
		tr.proxyPort()
	}
	tr.finish(&q, v)
	return v
}

// behind finds the first service port that leads to a workload port; nil where none does.
func (r *Resolver) behind(w *workload, target uint32) (*service, *port) {
	for _, i := range w.services {
		s := &r.services[i]
		for k := range s.ports {
			if n, ok := s.ports[k].TargetOn(w.Workload); ok && n == target && s.ports[k].captured {
				return s, &s.ports[k]
			}
		}
	}
	return nil, nil
}

// toHost resolves a call of a host that is in no registry.
func (r *Resolver) toHost(c *caller, t Target, tr *trace) Verdict {
	v := Verdict{Server: ServerDisable, Wire: WirePlaintext, Outbound: OutboundDirect, Cause: CauseUnregistered, Policy: None, Rule: None}
	if c.captures(t.Port) {
		v.Outbound = r.unknownDestination(c)
	}
	if v.Outbound == OutboundBlackHole {
		v.Status, v.Wire, v.Cause = StatusConflict, WireRefused, CauseBlocked
	}
	tr.host(c, t, v)
	return v
}

// noPort is the answer for a port that the service does not have: to the client's sidecar an unknown destination, to
// everybody else nothing that listens.
func (r *Resolver) noPort(c *caller, t Target, tr *trace) Verdict {
	tr.noPort(t)
	v := Verdict{Status: StatusConflict, Server: ServerDisable, Wire: WireRefused, Outbound: OutboundDirect, Cause: CauseNoPort, Policy: None, Rule: None}
	if c.captures(t.Port) {
		v.Outbound = r.unknownDestination(c)
	}
	return v
}

// tally adds up the outcomes of a service port's endpoints.
type tally struct {
	groups      int
	endpoints   int32
	refused     int32
	refusing    bool
	certOnly    bool // every refusal is about a certificate that we do not know
	unknown     bool
	legacyWords bool // 1.2, 1.3: MAY CONFLICT exists
	mtls, plain bool
	server      Server
	policy      scoped
	wire        Wire
	cause       Cause
}

func (t *tally) add(g group, starts mesh.ClientMode, wire Wire, cause Cause) {
	server := Server(g.policy.mode)
	if t.groups == 0 {
		t.server, t.policy, t.wire, t.cause, t.certOnly = server, g.policy, wire, cause, true
	}
	t.groups++
	t.endpoints += g.count
	if server != t.server {
		t.server = ServerMixed
	}
	if wire != t.wire {
		t.wire = WireMixed
	}
	if starts == mesh.ClientIstioMutual {
		t.mtls = true
	} else {
		t.plain = true
	}
	t.unknown = t.unknown || wire == WireUnknown
	if wire != WireRefused {
		return
	}
	t.refused += g.count
	if !t.refusing {
		t.cause = cause
	}
	t.refusing = true
	t.certOnly = t.certOnly && cause == CauseForeignCert
}

func (t *tally) verdict(s *sending) Verdict {
	v := Verdict{
		Server: t.server, Client: s.mode(), Wire: t.wire, Outbound: s.outbound, Cause: t.cause,
		Policy: t.policy.policy, Tie: t.policy.tie, Rule: None, Endpoints: t.endpoints, Refused: t.refused,
	}
	if s.rule != nil {
		v.Rule = s.rule.rules[0]
	}
	if s.auto != autoNone {
		v.Auto = t.auto()
	}
	switch {
	case t.refusing && t.certOnly && t.legacyWords:
		v.Status = StatusMayConflict
	case t.refusing:
		v.Status = StatusConflict
		if t.cause == CausePlaintextStrict && s.cause != CauseNone {
			v.Cause = s.cause
		}
	case t.unknown:
		v.Status = StatusUnknown
		v.Cause = CauseAmbient
	case s.auto != autoNone:
		v.Status = StatusAuto
		v.Cause = CauseAuto
	}
	return v
}

func (t *tally) auto() Auto {
	switch {
	case t.mtls && t.plain:
		return AutoMixed
	case t.mtls:
		return AutoMTLS
	}
	return AutoPlaintext
}

// Rule gives the DestinationRule in force for this client and service: the rule that names it (tls-check's column) and all
// rules merged into it, the naming one first. Empty without one.
func (r *Resolver) Rule(c Client, s *mesh.Service) []*mesh.DestinationRule {
	m := r.ruleFor(c, s)
	if m == nil {
		return nil
	}
	out := make([]*mesh.DestinationRule, len(m.rules))
	for k, i := range m.rules {
		out[k] = r.snap.DestinationRules[i]
	}
	return out
}

func (r *Resolver) ruleFor(c Client, s *mesh.Service) *merged {
	who := r.caller(c)
	i, ok := r.service[s]
	if !ok || who.capture == mesh.CaptureNone || !r.sees(&who, &r.services[i], 0) {
		return nil
	}
	return r.inForce(&who, &r.services[i])
}

// Subsets lists the names of the subsets of the DestinationRule in force for this client and service, in order of name.
func (r *Resolver) Subsets(c Client, s *mesh.Service) []string {
	m := r.ruleFor(c, s)
	if m == nil {
		return nil
	}
	out := make([]string, len(m.subsets))
	for k := range m.subsets {
		out[k] = m.subsets[k].Name
	}
	slices.Sort(out)
	return out
}

// ServerMode gives the mode of one workload port and the policy that decided, whatever service leads there (current
// dialect), or of a service port on that workload (legacy: s must not be nil there for a policy to apply, semantics L19).
// The port is a workload port; with s it is a service port.
func (r *Resolver) ServerMode(w *mesh.Workload, s *mesh.Service, number uint32) (Server, int32) {
	i, ok := r.workload[w]
	if !ok {
		return ServerDisable, None
	}
	own := &r.workloads[i]
	target := number
	var svc *service
	var sp *port
	if k, ok := r.service[s]; s != nil && ok {
		svc = &r.services[k]
		if sp = svc.port(number, false); sp == nil {
			return ServerDisable, None
		}
		target, _ = sp.TargetOn(w)
	}
	at := own.Capture
	if at == mesh.CaptureSidecar {
		at, _ = r.captureOf(own, target)
	}
	if at == mesh.CaptureNone {
		return ServerDisable, None
	}
	p := r.serverPolicy(own, svc, sp, target)
	return Server(p.mode), p.policy
}
