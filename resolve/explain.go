package resolve

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/oarlock/oarlock/mesh"
)

// trace writes down what decide considers. A nil trace does nothing, so that Resolve and Explain are one path.
type trace struct {
	out    *Explanation
	groups []group // parallel to out.Endpoints
}

// Explain gives the same verdict as Resolve with every reason.
func (r *Resolver) Explain(c Client, t Target) *Explanation {
	tr := &trace{out: &Explanation{Client: c, Target: t}}
	tr.out.Verdict = r.decide(c, t, tr)
	slices.SortStableFunc(tr.out.Reasons, func(a, b Reason) int { return int(a.Step) - int(b.Step) })
	return tr.out
}

// add writes one reason down. about holds its step, outcome, cause and tie-break.
func (tr *trace) add(about Reason, obj *mesh.Object, format string, args ...any) {
	about.Text = fmt.Sprintf(format, args...)
	if obj != nil {
		about.Ref, about.Origin = obj.Ref, obj.Origin
	}
	tr.out.Reasons = append(tr.out.Reasons, about)
}

func (tr *trace) note(step Step, cause Cause, format string, args ...any) {
	tr.add(Reason{Step: step, Cause: cause}, nil, format, args...)
}

// direct tells why no sidecar of the client has a say.
func (tr *trace) direct(c *caller, p *port) {
	switch {
	case tr == nil:
	case c.w == nil:
		tr.note(StepClient, CauseNone, "the caller has no sidecar: no rule applies, it sends plaintext")
	case c.capture == mesh.CaptureNone:
		tr.note(StepClient, CauseNone, "%s has no sidecar (%s): no rule applies, it sends plaintext", c.w.Ref, reasonOf(c.w.Workload))
	default:
		tr.note(StepClient, CauseNone, "%s excludes outbound port %d from capture: no rule applies", c.w.Ref, p.Number)
	}
}

func reasonOf(w *mesh.Workload) string {
	if w.CaptureReason == "" {
		return "nothing injects one"
	}
	return w.CaptureReason
}

// hidden tells which exportTo or Sidecar keeps the service from the client.
func (tr *trace) hidden(q *call) {
	if tr == nil {
		return
	}
	r, c, s := q.r, q.c, q.s
	switch {
	case q.p.protocol.Class == ProtocolUDP:
		tr.note(StepClient, CauseHidden, "port %d is TCP and named as UDP: sidecars capture it and know no service there", q.p.Number)
	case !r.exportedTo(s, c.ns):
		tr.add(Reason{Step: StepClient, Cause: CauseNotExported}, &s.Object, "is not exported to namespace %s", c.ns.name)
	case c.w.scope != None && !r.listed(c, s, q.p.Number):
		tr.add(Reason{Step: StepClient, Cause: CauseNotInScope}, &r.snap.Sidecars[c.w.scope].Object, "does not import %s/%s:%d", s.ns.name, s.Hostname, q.p.Number)
	default:
		tr.note(StepClient, CauseNotInScope, "another service with the host %s comes first for namespace %s", s.Hostname, c.ns.name)
	}
	tr.outbound(q.send.outbound)
}

func (tr *trace) outbound(o Outbound) {
	if o == OutboundBlackHole {
		tr.note(StepClient, CauseBlocked, "outboundTrafficPolicy REGISTRY_ONLY: the client's sidecar refuses (BlackHoleCluster)")
		return
	}
	tr.note(StepClient, CauseHidden, "outboundTrafficPolicy ALLOW_ANY: it passes through as plaintext (PassthroughCluster), no mTLS is added")
}

func (tr *trace) udp(p *port) {
	if tr != nil {
		tr.note(StepWire, CauseUDP, "port %d is %s: no sidecar captures it, and STRICT does not cover it", p.Number, cmp.Or(p.Transport, "UDP"))
	}
}

// ztunnel tells why no rule is looked up for an ambient client.
func (tr *trace) ztunnel(c *caller) {
	if tr != nil {
		tr.add(Reason{Step: StepClient, Cause: CauseAmbient}, &c.w.Object, "is captured by ztunnel (%s), which obeys no DestinationRule", reasonOf(c.w.Workload))
	}
}

func (tr *trace) proxyPort() {
	if tr != nil {
		tr.note(StepWire, CauseProxyPort, "port %d is the sidecar's own: it refuses whoever calls it", inboundPort)
	}
}

func (tr *trace) alias(s *service, to *mesh.Service) {
	if tr != nil {
		tr.add(Reason{Step: StepClient, Cause: CauseNone}, &s.Object, "is an alias for %s", to.Hostname)
	}
}

func (tr *trace) host(c *caller, t Target, v Verdict) {
	if tr == nil {
		return
	}
	tr.note(StepClient, CauseUnregistered, "%s is in no registry of this mesh", t.Host)
	tr.beyond(c, t.Port, v.Outbound)
}

// beyond tells what the client's sidecar, if one sees the port, does with what is in no registry.
func (tr *trace) beyond(c *caller, number uint32, o Outbound) {
	switch {
	case c.capture == mesh.CaptureNone:
	case o == OutboundDirect:
		tr.add(Reason{Step: StepClient}, &c.w.Object, "excludes outbound port %d from capture", number)
	default:
		tr.outbound(o)
	}
}

func (tr *trace) noPort(t Target) {
	if tr == nil {
		return
	}
	name, ports := t.Host, "none"
	if t.Service != nil {
		name = t.Service.Hostname
		var list []string
		for _, p := range t.Service.Ports {
			list = append(list, fmt.Sprint(p.Number))
		}
		ports = strings.Join(list, ", ")
	}
	tr.note(StepWire, CauseNoPort, "%s has no port %d (it has %s)", name, t.Port, ports)
}

func (tr *trace) pod(c *caller, w *workload, o Outbound) {
	if tr == nil {
		return
	}
	tr.add(Reason{Step: StepEndpoint, Cause: CauseNone}, &w.Object, "is called by its own address, not through a service")
	tr.beyond(c, tr.out.Target.Port, o)
}

// assumed tells by what a service port is judged of which no endpoint is known.
func (tr *trace) assumed(q *call, g group) {
	if tr == nil {
		return
	}
	what := fmt.Sprintf("%s:%d", q.s.Hostname, q.p.Number)
	switch {
	case q.send.subset != nil && len(q.s.endpoints) > 0:
		what += " in subset " + q.send.subset.Name
	case q.p.TargetName != "" && len(q.s.endpoints) > 0:
		what += " (a container port named " + q.p.TargetName + ")"
	}
	switch {
	case q.s.outside():
		tr.note(StepEndpoint, CauseExternal, "%s is outside the mesh: no policy applies there", q.s.Hostname)
	case len(q.s.Selector) == 0 && !q.s.Entry():
		tr.note(StepEndpoint, CauseNoEndpoints, "no endpoint of %s is known, and it selects no pods: judged as one without a sidecar", what)
	case g.capture == mesh.CaptureNone:
		tr.note(StepEndpoint, CauseNoEndpoints, "no endpoint of %s is known, and nothing gives one a sidecar: judged as one without", what)
	default:
		tr.note(StepEndpoint, CauseNoEndpoints, "no endpoint of %s is known: judged as one with a sidecar", what)
	}
}

// block tells which tls block of the rule in force applies.
func (tr *trace) block(q *call) {
	if tr == nil {
		return
	}
	s, name := &q.send, ""
	if s.subset != nil {
		name = s.subset.Name
	}
	from := s.from
	if from == None {
		from = s.rule.rules[0]
	}
	obj := &q.r.snap.DestinationRules[from].Object
	tr.add(Reason{Step: StepTLS, Cause: s.where}, obj, "%s", blockText(s.where, s.mode(), q.p.Number, name))
	if e := q.r.byName(s.rule.policy, q.p.Port); e != "" {
		tr.add(Reason{Step: StepTLS, Cause: CausePortByName}, obj, "selects port %s by name, which %s ignores", e, q.r.dialect)
	}
	switch {
	case !q.r.noSocket(s):
	case s.tls.CredentialName != "":
		tr.add(Reason{Step: StepTLS, Cause: CauseCredentialIgnored}, obj, "names a credential, which sidecars ignore without a workloadSelector: plaintext is sent")
	default:
		tr.add(Reason{Step: StepTLS, Cause: CauseCredentialIgnored}, obj, "says MUTUAL and names no certificate and key: plaintext is sent")
	}
}

// byName finds a portLevelSettings entry that names the port and is ignored for that; "" without one (semantics L30).
func (r *Resolver) byName(p *mesh.TrafficPolicy, sp *mesh.Port) string {
	if p == nil {
		return ""
	}
	for _, e := range p.Ports {
		if e.Number == 0 && e.Name != "" && e.Name == sp.Name && !e.Selects(sp, r.dialect) {
			return e.Name
		}
	}
	return ""
}

func blockText(where Cause, mode mesh.ClientMode, port uint32, subset string) string {
	switch where {
	case CauseTopLevel:
		return "its trafficPolicy says tls mode " + mode.String()
	case CausePortLevel:
		return fmt.Sprintf("its portLevelSettings for port %d say tls mode %s", port, mode)
	case CausePortLevelBare:
		return fmt.Sprintf("its portLevelSettings for port %d replace the top level and carry no tls", port)
	case CauseSubset:
		return fmt.Sprintf("its subset %s says tls mode %s", subset, mode)
	case CauseSubsetPort:
		return fmt.Sprintf("its subset %s says tls mode %s for port %d", subset, mode, port)
	case CauseSubsetBare:
		return fmt.Sprintf("its subset %s carries no tls for port %d, and none is inherited", subset, port)
	case CauseInherited:
		return fmt.Sprintf("its subset %s says nothing, the top level says tls mode %s", subset, mode)
	}
	return "it carries no tls settings"
}

// auto tells what becomes of a connection that no rule decides.
func (tr *trace) auto(q *call) {
	if tr == nil {
		return
	}
	r, s, p, snd := q.r, q.s, q.p, &q.send
	switch {
	case snd.cause == CauseExternal:
		tr.note(StepAuto, CauseExternal, "%s is outside the mesh: auto mTLS does not apply, plaintext is sent", s.Hostname)
	case !r.auto && r.dialect < mesh.Dialect14:
		tr.note(StepAuto, CauseNoTLS, "nothing configures TLS for the client: it sends plaintext")
	case !r.auto:
		tr.note(StepAuto, CauseNoTLS, "auto mTLS is off and nothing configures TLS: the client sends plaintext")
	case snd.cause == CauseHint && p.hint.policy == None:
		tr.note(StepAuto, CauseHint, "no policy turns mTLS on for the service, so auto mTLS does not start")
	case snd.cause == CauseHint && r.dialect.Legacy():
		tr.add(Reason{Step: StepAuto, Cause: CauseHint}, r.policyObject(p.hint.policy), "turns mTLS off for the service, so auto mTLS does not start")
	case snd.cause == CauseHint:
		tr.add(Reason{Step: StepAuto, Cause: CauseHint}, r.policyObject(p.hint.policy),
			"is DISABLE for the service's namespace, so auto mTLS does not start (policies of workloads and ports are not asked)")
	case snd.cause == CauseHeadlessFallback:
		tr.note(StepAuto, CauseHeadlessFallback, "%s", fallbackText(r.dialect, s, p))
	case snd.auto == autoEvery:
		tr.note(StepAuto, CauseAuto, "auto mTLS: every endpoint is labelled for mTLS, so mTLS for all (one decision, the endpoints' own policies are not asked)")
	case r.dialect.Legacy():
		tr.note(StepAuto, CauseAuto, "auto mTLS: mTLS to endpoints labelled %s=istio, plaintext to others", tlsModeLabel)
	case snd.endpoint == mesh.ClientIstioMutual:
		tr.note(StepAuto, CauseAuto, "auto mTLS: mTLS to endpoints labelled %s=istio whatever their mode, because ISTIO_MUTUAL above the bare entry still marks them", tlsModeLabel)
	case snd.endpoint != mesh.ClientUnset:
		tr.note(StepAuto, CauseAuto, "auto mTLS, and plaintext to all: %s above the bare entry still takes every endpoint's label away", snd.endpoint)
	default:
		tr.note(StepAuto, CauseAuto, "auto mTLS: mTLS to endpoints labelled %s=istio whose mode is not DISABLE, plaintext to others", tlsModeLabel)
	}
}

// tlsModeLabel is the pod label by which a client knows that an endpoint takes mTLS.
const tlsModeLabel = "security.istio.io/tlsMode"

func fallbackText(d mesh.Dialect, s *service, p *port) string {
	switch {
	case d.Legacy():
		return "the service is headless: its endpoints carry no label in 1.4, so auto mTLS comes out as plaintext"
	case len(p.groups) == 1 && p.groups[0].first == None:
		return "the client decides once for all endpoints, and none is known: plaintext"
	case s.Resolution == mesh.ResolutionPassthrough:
		return "the service is headless: the client decides once for all endpoints, and not every one is labelled for mTLS: plaintext for all"
	}
	return "load balancing is PASSTHROUGH: the client decides once for all endpoints, and not every one is labelled for mTLS: plaintext for all"
}

// endpoint records one endpoint and what comes of it; one that is like another joins that one's class.
func (tr *trace) endpoint(r *Resolver, g group, e Endpoint) {
	if tr == nil {
		return
	}
	if k := tr.alike(g, e); k >= 0 && g.first != None {
		tr.out.Endpoints[k].Workloads = append(tr.out.Endpoints[k].Workloads, r.workloads[g.first].Workload)
		return
	}
	tr.groups = append(tr.groups, g)
	e.Port, e.Server, e.Policy, e.Tie, e.Subset = g.target, Server(g.policy.mode), g.policy.policy, g.policy.tie, tr.out.Target.Subset
	if g.first != None {
		e.Workloads = []*mesh.Workload{r.workloads[g.first].Workload}
	}
	tr.out.Endpoints = append(tr.out.Endpoints, e)
}

// alike finds the class that an endpoint joins; -1 where it is the first of its own.
func (tr *trace) alike(g group, e Endpoint) int {
	for k := range tr.groups {
		if o := tr.out.Endpoints[k]; tr.groups[k].like(g) && o.Wire == e.Wire && o.Cause == e.Cause {
			return k
		}
	}
	return -1
}

// finish adds the server's side, the wire and the client's TLS to an explanation, now that all endpoints are known.
func (tr *trace) finish(q *call, v Verdict) {
	if tr == nil {
		return
	}
	several := len(tr.groups) > 1
	for k, g := range tr.groups {
		of := ""
		if several {
			of = " for " + names(tr.out.Endpoints[k].Workloads)
		}
		tr.server(q, g, of)
	}
	tr.routes(q)
	for _, e := range tr.out.Endpoints {
		if v.Cause == CauseNoSubset || v.Cause == CauseProxyPort {
			break
		}
		text := wireText(e)
		if several {
			text = names(e.Workloads) + ": " + text
		}
		tr.note(StepWire, e.Cause, "%s", text)
	}
	if v.Cause == CauseNoSubset {
		tr.note(StepWire, CauseNoSubset, "no rule in force for this client has a subset %q", tr.out.Target.Subset)
	}
	if q.s != nil {
		tr.out.TLS = q.clientTLS(tr.out)
	}
}

// wireText says in one clause what comes of one class of endpoints.
func wireText(e Endpoint) string {
	text := map[Cause]string{
		CauseMatch:           "client and server agree",
		CausePlaintextStrict: "the client sends plaintext, the server takes mTLS alone: refused",
		CauseMTLSDisabled:    "the client sends mTLS, the server takes plaintext alone: refused",
		CauseMTLSNoSidecar:   "the client sends mTLS, the endpoint has no sidecar: refused",
		CauseMTLSNotCaptured: "the client sends mTLS, the endpoint's sidecar does not capture this port: refused",
		CauseOneWayTLS:       "the client presents no certificate (SIMPLE), the server demands one: refused",
		CauseForeignTLS:      "the client's TLS is not the mesh's, no filter chain of the HTTP port takes it: refused",
		CauseOpaqueTLS:       "the client's TLS reaches the application as it is: it works if the application speaks TLS",
		CauseForeignCert:     "the client presents a certificate of its own (MUTUAL), the server wants one of the mesh's root: refused unless it is",
		CauseOutsideStrict:   "a caller without a sidecar cannot satisfy STRICT: refused",
		CauseBlocked:         "the client's sidecar refuses: nothing is sent",
		CauseServerTLS:       "the Sidecar's ingress listener demands TLS of its own: refused",
		CauseServerIdentity:  "mTLS, and the client's rule names other identities (subjectAltNames) than the server shows: refused",
		CauseFarEnd:          "mTLS leaves the mesh; nothing is known of the far end",
		CauseOwnTLS:          "no TLS of the mesh's; the port is declared to carry the application's own",
		CauseAmbient:         "ztunnel carries this connection: not judged as a sidecar",
	}[e.Cause]
	switch {
	case e.Cause == CauseServerTLS && e.Wire == WireTLS:
		text = "TLS, ended by the Sidecar's ingress listener with a certificate of its own"
	case e.Cause != CauseMatch:
	case e.Wire == WireMTLS:
		text = "mTLS"
	case e.Wire == WirePlaintext && e.Server == ServerPermissive:
		text = "plaintext, which PERMISSIVE lets in"
	case e.Wire == WirePlaintext:
		text = "plaintext"
	}
	return text
}

// routes tells where VirtualServices lead what is sent to the service itself.
func (tr *trace) routes(q *call) {
	if q.s == nil || q.target.Subset != "" || q.c.capture != mesh.CaptureSidecar {
		return
	}
	for _, v := range q.r.routes[q.s.Hostname] {
		if !q.r.obeys(q.c, v) || !slices.ContainsFunc(v.Hosts, func(h string) bool { return HostCovers(q.r.RouteHost(h, v.Ref.Namespace), q.s.Hostname) }) {
			continue
		}
		for _, d := range v.Destinations {
			if d.Subset != "" && q.r.RouteHost(d.Host, v.Ref.Namespace) == q.s.Hostname {
				tr.add(Reason{Step: StepClient, Cause: CauseRoutes}, &v.Object, "routes to subset %s, which has a verdict of its own", d.Subset)
			}
		}
	}
}

// names lists the first workloads of a class.
func names(list []*mesh.Workload) string {
	var out []string
	for i, w := range list {
		if i == 3 {
			out = append(out, fmt.Sprintf("and %d more", len(list)-i))
			break
		}
		out = append(out, w.Ref.Name)
	}
	if len(out) == 0 {
		return "an endpoint"
	}
	return strings.Join(out, ", ")
}

// clientTLS describes what the sidecar starts, where it starts anything (semantics M27, M33, M34, M37).
func (q *call) clientTLS(out *Explanation) *ClientTLS {
	r, s, p, snd := q.r, q.s, q.p, &q.send
	mode := mesh.ClientUnset
	for _, e := range out.Endpoints {
		mode = max(mode, e.Sends)
	}
	if mode <= mesh.ClientDisable {
		return nil
	}
	t := &ClientTLS{Mode: mode}
	if !r.dialect.Legacy() {
		t.MinVersion, t.MaxVersion = "1.2", "1.3"
	}
	h2 := p.protocol.HTTP2()
	if snd.tls != nil {
		t.SNI, t.SANs = snd.tls.SNI, snd.tls.SubjectAltNames
	}
	if mode != mesh.ClientIstioMutual {
		if h2 {
			t.ALPN = []string{"h2"}
		}
		return t
	}
	if t.SNI == "" {
		t.SNI = fmt.Sprintf("outbound_.%d_.%s_.%s", p.Number, out.Target.Subset, s.Hostname)
	}
	if len(t.SANs) == 0 {
		t.SANs = r.accounts(s)
	}
	if !r.dialect.Legacy() {
		t.ALPN = append(t.ALPN, "istio-peer-exchange")
	}
	t.ALPN = append(t.ALPN, "istio")
	if h2 {
		t.ALPN = append(t.ALPN, "h2")
	}
	return t
}

// accounts lists the identities of a service's endpoints and those that its ServiceEntry names, in every trust domain that
// means the same (semantics M36, M37).
func (r *Resolver) accounts(s *service) []string {
	cfg := &r.snap.Config
	out := slices.Clone(s.SubjectAltNames)
	for _, i := range s.endpoints {
		if w := &r.workloads[i]; w.ServiceAccount != "" {
			out = append(out, Identity(cfg.TrustDomain, w.ns.name, w.ServiceAccount))
		}
	}
	for _, id := range slices.Clone(out) {
		rest, ok := strings.CutPrefix(id, "spiffe://")
		_, path, found := strings.Cut(rest, "/")
		for _, alias := range cfg.TrustDomainAliases {
			if ok && found {
				out = append(out, "spiffe://"+domain(alias)+"/"+path)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// domain is a trust domain as SPIFFE IDs have it: an "@" becomes "." (semantics M36).
func domain(trustDomain string) string { return strings.ReplaceAll(trustDomain, "@", ".") }

// Identity is the SPIFFE ID of a service account; an "@" in the trust domain becomes ".".
func Identity(trustDomain, namespace, serviceAccount string) string {
	return "spiffe://" + domain(trustDomain) + "/ns/" + namespace + "/sa/" + serviceAccount
}

// PeerPrefixes lists the SPIFFE prefixes of which a server demands one in a client's certificate (semantics M38).
func (r *Resolver) PeerPrefixes() []string {
	cfg := r.snap.Config
	var out []string
	for _, td := range slices.Concat([]string{cfg.TrustDomain}, cfg.TrustDomainAliases, cfg.CATrustDomains) {
		if p := "spiffe://" + domain(td) + "/"; !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}

// ServerMinVersion is the lowest TLS version that sidecars accept: 1.2, or 1.3 where meshMTLS.minProtocolVersion says so
// (semantics M43).
func (r *Resolver) ServerMinVersion() string {
	if r.snap.Config.MinProtocolVersion == "TLSV1_3" {
		return "1.3"
	}
	return "1.2"
}
