package resolve

import (
	"slices"
	"strings"

	"github.com/oarlock/oarlock/mesh"
)

// Resolver answers questions about one Snapshot. It is immutable after New and may be used from any goroutine.
type Resolver struct {
	snap    *mesh.Snapshot
	dialect mesh.Dialect
	auto    bool // auto mTLS is on

	namespaces map[string]*namespace
	root       *namespace
	distinct   bool // every namespace gets verdicts of its own

	// What policies and rules say, by namespace.id and by workload. With replaces these alone.
	policies   []nsPolicies
	rules      []nsRules
	rulesNamed map[string][]int32 // for explanations: see nameRules
	rootRules  *ruleIndex         // current: private rules of the root namespace
	settled    []settled

	services []service
	service  map[*mesh.Service]int32
	byHost   map[string][]int32                // services by hostname, in order
	byVIP    map[string]int32                  // services by address
	routes   map[string][]*mesh.VirtualService // by host that they lead to
	aliases  []int32                           // ExternalName services, whose verdicts are those of others

	workloads []workload // of the snapshot, then the inline endpoints of services
	workload  map[*mesh.Workload]int32
	byAddress map[string]int32

	meshPolicy scoped // PeerAuthentication of mesh scope, or MeshPolicy default
	unlisted   port   // stands for a workload port that no service leads to
}

// namespace holds the part of one namespace that policies and rules do not change.
type namespace struct {
	id        int32
	name      string
	services  []int32
	workloads []int32

	scopes []int32 // Sidecars with a selector
	scope  int32   // Sidecar without one, None
	apart  bool    // by its services and Sidecars, clients here may get other verdicts than clients elsewhere
}

// nsPolicies is what the policies of one namespace say.
type nsPolicies struct {
	policy   scoped  // the namespace's own policy
	selected []int32 // current: PeerAuthentications with a selector, oldest first
	targeted []int32 // legacy: Policies with targets, in the order in which they are tried
	byLabel  bool    // legacy 1.2, 1.3: some target selects by label
}

// nsRules is what the DestinationRules of one namespace say.
type nsRules struct {
	local     *ruleIndex // rules that clients of this namespace see first
	exported  *ruleIndex // rules that clients elsewhere may see
	selectors []int32    // rules with a workloadSelector
	named     bool       // some rule's exportTo names this namespace
}

// settled is what policies say of a workload before a port is named.
type settled struct {
	policy   scoped // current: effective mode of the workload
	selected int32  // current: the one PeerAuthentication whose selector matches, None
	tie      TieBreak
}

// scoped is the winner among the policies of one scope.
type scoped struct {
	policy int32
	mode   mesh.Mode
	tie    TieBreak
}

var noPolicy = scoped{policy: None}

// service is a mesh.Service with its endpoints sorted into classes.
type service struct {
	*mesh.Service
	ns        *namespace
	endpoints []int32
	targeted  []int32 // legacy: policies that target this service, in the order in which they are tried
	ports     []port
	contested bool // another service has the same hostname
}

// port is a service port with its endpoints, grouped by everything that decides for them.
type port struct {
	*mesh.Port
	protocol Protocol
	captured bool // TCP: a sidecar sees nothing else
	groups   []group
	unready  bool // original-destination balancing falls back to plaintext: no endpoint, or one labelled "disabled"
	hint     scoped
}

// group is a class of endpoints of one service port that are treated alike.
type group struct {
	first    int32 // index of a workload, None where no endpoint is known
	count    int32
	target   uint32
	policy   scoped
	capture  mesh.Capture // on this port
	excluded bool         // the sidecar does not capture this port
	istio    bool         // labelled tlsMode=istio
	marked   bool         // the control plane leaves that label in place: the mode is not DISABLE, sidecar or not (semantics M11)
	disabled bool         // labelled tlsMode=disabled, or not at all
	class    ProtocolClass
	ownTLS   bool // a Sidecar's ingress listener terminates TLS of its own here (semantics M42)
	far      bool // of a host outside the mesh
}

func (g group) like(o group) bool {
	g.first, g.count = o.first, o.count
	return g == o
}

// workload is a mesh.Workload with what the index knows of it.
type workload struct {
	*mesh.Workload
	id       int32
	ns       *namespace
	scope    int32 // Sidecar in force, None
	services []int32
}

// New indexes a snapshot. The cost grows with the objects of the snapshot, not with workloads times services.
func New(s *mesh.Snapshot) *Resolver {
	r := &Resolver{
		snap:       s,
		dialect:    s.Dialect,
		auto:       s.Config.AutoMTLS(s.Dialect),
		namespaces: make(map[string]*namespace, len(s.Namespaces)+1),
		meshPolicy: noPolicy,
		unlisted:   port{Port: &mesh.Port{}},
	}
	r.root = r.namespace(s.Config.RootNamespace)
	r.indexWorkloads()
	r.indexServices()
	r.bindEndpoints()
	r.indexPolicies()
	r.indexRules()
	r.indexScopes()
	r.settled = make([]settled, len(r.workloads))
	for i := range r.workloads {
		w := &r.workloads[i]
		if !w.Router {
			w.scope = r.scopeOf(w.ns, w.Labels)
		}
		r.settle(w)
	}
	for i := range r.services {
		r.groupEndpoints(&r.services[i])
	}
	r.markApart()
	return r
}

// Snapshot is what the Resolver was made from.
func (r *Resolver) Snapshot() *mesh.Snapshot { return r.snap }

func (r *Resolver) namespace(name string) *namespace {
	ns := r.namespaces[name]
	if ns == nil {
		ns = &namespace{id: int32(len(r.policies)), name: name, scope: None}
		r.namespaces[name] = ns
		r.policies = append(r.policies, nsPolicies{policy: noPolicy})
		r.rules = append(r.rules, nsRules{})
	}
	return ns
}

func (r *Resolver) indexWorkloads() {
	n := len(r.snap.Workloads)
	r.workloads = make([]workload, 0, n)
	r.workload = make(map[*mesh.Workload]int32, n)
	r.byAddress = make(map[string]int32)
	for _, w := range r.snap.Workloads {
		i := r.addWorkload(w)
		ns := r.workloads[i].ns
		ns.workloads = append(ns.workloads, i)
	}
}

func (r *Resolver) addWorkload(w *mesh.Workload) int32 {
	i := int32(len(r.workloads))
	r.workloads = append(r.workloads, workload{Workload: w, id: i, ns: r.namespace(w.Ref.Namespace), scope: None})
	r.workload[w] = i
	for _, a := range w.Addresses {
		if _, taken := r.byAddress[a]; !taken {
			r.byAddress[a] = i
		}
	}
	return i
}

func (r *Resolver) indexServices() {
	r.services = make([]service, len(r.snap.Services))
	r.service = make(map[*mesh.Service]int32, len(r.snap.Services))
	r.byHost = make(map[string][]int32, len(r.snap.Services))
	r.byVIP = make(map[string]int32)
	for i, s := range r.snap.Services {
		ns := r.namespace(s.Ref.Namespace)
		ns.services = append(ns.services, int32(i))
		r.services[i] = service{Service: s, ns: ns, ports: make([]port, len(s.Ports))}
		for j := range s.Ports {
			p := &s.Ports[j]
			r.services[i].ports[j] = port{Port: p, protocol: PortProtocol(p, r.dialect), captured: captured(p), hint: noPolicy}
		}
		r.service[s] = int32(i)
		if s.Resolution == mesh.ResolutionExternalName {
			r.aliases = append(r.aliases, int32(i))
		}
		r.byHost[s.Hostname] = append(r.byHost[s.Hostname], int32(i))
		for _, a := range s.Addresses {
			if _, taken := r.byVIP[a]; !taken {
				r.byVIP[a] = int32(i)
			}
		}
	}
	for _, same := range r.byHost {
		if len(same) > 1 {
			for _, i := range same {
				r.services[i].contested = true
			}
		}
	}
}

// bindEndpoints finds the workloads behind each service. Per namespace, workloads are looked up by the rarest label of
// the selector, so that the cost stays near the number of endpoints.
func (r *Resolver) bindEndpoints() {
	byLabel := make(map[*namespace]map[[2]string][]int32)
	for i := range r.services {
		s := &r.services[i]
		if len(s.Selector) > 0 && byLabel[s.ns] == nil {
			byLabel[s.ns] = r.labelsOf(s.ns)
		}
		s.endpoints = r.endpointsOf(s, byLabel[s.ns])
		for _, w := range s.endpoints {
			r.workloads[w].services = append(r.workloads[w].services, int32(i))
		}
	}
}

func (r *Resolver) labelsOf(ns *namespace) map[[2]string][]int32 {
	m := make(map[[2]string][]int32, 2*len(ns.workloads))
	for _, i := range ns.workloads {
		for k, v := range r.workloads[i].Labels {
			m[[2]string{k, v}] = append(m[[2]string{k, v}], i)
		}
	}
	return m
}

func (r *Resolver) endpointsOf(s *service, byLabel map[[2]string][]int32) []int32 {
	var out []int32
	if len(s.Selector) > 0 {
		rarest := []int32(nil)
		found := false
		for k, v := range s.Selector {
			if l := byLabel[[2]string{k, v}]; !found || len(l) < len(rarest) {
				rarest, found = l, true
			}
		}
		for _, i := range rarest {
			w := &r.workloads[i]
			// Istio gives WorkloadEntries to Services that it balances itself, and headless ones are not.
			entry := w.Ref.Kind == mesh.KindWorkloadEntry && s.Headless()
			if mesh.Selects(s.Selector, w.Labels) && !w.scaledDown() && !entry {
				out = append(out, i)
			}
		}
	}
	for _, w := range s.Bound {
		if i, ok := r.workload[w]; ok {
			out = append(out, i)
		}
	}
	for _, w := range s.Inline {
		out = append(out, r.addWorkload(w))
	}
	return out
}

// scaledDown says whether a controller runs no instance.
func (w *workload) scaledDown() bool { return w.Template() && w.Replicas == 0 }

// captured says whether sidecars see a port at all: they capture TCP and nothing else.
func captured(p *mesh.Port) bool {
	return (p.Transport == "" || p.Transport == "TCP") && !p.UDP()
}

// port finds a port by number; of two with one number the UDP port where udp, else the other.
func (s *service) port(number uint32, udp bool) *port {
	var found *port
	for i := range s.ports {
		if p := &s.ports[i]; p.Number == number && (found == nil || p.UDP() == udp) {
			found = p
		}
	}
	return found
}

// settle computes what policies say of a workload before a port is named.
func (r *Resolver) settle(w *workload) {
	r.settled[w.id] = settled{policy: noPolicy, selected: None}
	if !r.dialect.Legacy() {
		r.settled[w.id] = r.settleLabels(w.ns, w.Labels)
	}
}

// groupEndpoints sorts the endpoints of each port into classes.
func (r *Resolver) groupEndpoints(s *service) {
	for j := range s.ports {
		p := &s.ports[j]
		p.groups, p.unready = nil, false
		if !p.captured {
			continue
		}
		p.hint = r.serviceHint(s, p)
		for _, w := range s.endpoints {
			g, ok := r.endpoint(s, p, w)
			if !ok {
				continue
			}
			p.unready = p.unready || g.disabled
			if k := slices.IndexFunc(p.groups, g.like); k >= 0 {
				p.groups[k].count++
				continue
			}
			p.groups = append(p.groups, g)
		}
		if len(p.groups) == 0 && s.Resolution != mesh.ResolutionExternalName {
			g := r.assumed(s, p)
			p.unready = g.disabled
			p.groups = []group{g}
		}
	}
}

// endpoint says what stands at one workload behind a service port; false where the workload has no such port.
func (r *Resolver) endpoint(s *service, p *port, i int32) (group, bool) {
	w := &r.workloads[i]
	target, ok := p.TargetOn(w.Workload)
	if !ok {
		return group{}, false
	}
	g := group{
		first: i, count: 1, target: target, capture: w.Capture,
		istio: w.TLSMode == mesh.TLSModeIstio, disabled: w.TLSMode == "disabled",
	}
	g.far = s.External
	if w.Capture == mesh.CaptureSidecar {
		g.capture, g.excluded = r.captureOf(w, target)
	}
	g.class, g.ownTLS = r.declared(w, p, target)
	g.policy = r.serverPolicy(w, s, p, target)
	g.marked = g.policy.mode != mesh.ModeDisable
	if g.capture == mesh.CaptureNone {
		g.policy = scoped{policy: None, mode: mesh.ModeDisable}
	}
	return g, true
}

// captureOf says what stands before one port of a workload with a proxy: none where the proxy is a gateway, whose
// listeners obey no policy, or where the port goes past it (excluded): by annotation, or because it is the proxy's own for
// metrics and health, which the injector leaves out.
func (r *Resolver) captureOf(w *workload, target uint32) (c mesh.Capture, excluded bool) {
	switch {
	case w.Router:
		return mesh.CaptureNone, false
	case !w.Inbound.Captures(target), target == 15020, target == 15021, target == 15090:
		return mesh.CaptureNone, true
	}
	return mesh.CaptureSidecar, false
}

// declared gives the class of a workload port, and whether its listener has TLS of its own. The ingress listeners of a
// Sidecar replace the ports of Services; a port that nobody declares is detected, or TCP in the legacy dialects (semantics
// M41, M42).
func (r *Resolver) declared(w *workload, p *port, target uint32) (ProtocolClass, bool) {
	if w.scope != None {
		ingress := r.snap.Sidecars[w.scope].Ingress
		for i := range ingress {
			if ingress[i].Port == target {
				return namedProtocol(ingress[i].Protocol, r.dialect).Class, ingress[i].HasTLS
			}
		}
		if len(ingress) > 0 {
			p = nil
		}
	}
	switch {
	case p != nil:
		return p.protocol.Class, false
	case r.dialect.Legacy():
		return ProtocolTCP, false
	}
	return ProtocolAuto, false
}

// assumed is the endpoint by which a service port without known endpoints is judged:
//
//   - of a Kubernetes Service with a selector, what its namespace gives a pod with those labels; a sidecar where the
//     namespace is not known either
//   - of a Service without a selector and of a host outside, one without a sidecar
func (r *Resolver) assumed(s *service, p *port) group {
	g := group{first: None, target: p.Number, disabled: true, class: p.protocol.Class, far: s.External, policy: scoped{policy: None, mode: mesh.ModeDisable}}
	if p.TargetNumber != 0 {
		g.target = p.TargetNumber
	}
	if s.Entry() || s.Resolution == mesh.ResolutionExternalName || len(s.Selector) == 0 {
		return g
	}
	g.capture = mesh.CaptureSidecar
	if ns := r.snap.Namespace(s.Ref.Namespace); ns != nil {
		g.capture = ns.Capture
	}
	if g.capture == mesh.CaptureNone {
		return g
	}
	g.policy = p.hint
	if !r.dialect.Legacy() {
		g.policy = r.portMode(r.settleLabels(s.ns, s.Selector), g.target)
	}
	g.istio = g.capture == mesh.CaptureSidecar
	g.disabled, g.marked = !g.istio, g.policy.mode != mesh.ModeDisable
	return g
}

// serverPolicy gives the mode of a workload port behind a sidecar (or ztunnel) and what decided it.
func (r *Resolver) serverPolicy(w *workload, s *service, p *port, target uint32) scoped {
	if r.dialect.Legacy() {
		if s == nil {
			return scoped{policy: None, mode: mesh.ModeDisable}
		}
		return r.legacyPolicy(s, p.Port, w)
	}
	return r.currentPolicy(w, target)
}

// serviceHint is the mode that a service has for one who does not look at its endpoints: in the current dialect what auto
// mTLS asks first (semantics M10), in the legacy ones the policy itself.
func (r *Resolver) serviceHint(s *service, p *port) scoped {
	if r.dialect.Legacy() {
		return r.legacyPolicy(s, p.Port, nil)
	}
	return r.currentScope(s.ns)
}

// Policy gives the policy at an index of a Verdict as a Ref with its Origin; zero for None.
func (r *Resolver) Policy(i int32) (mesh.Ref, mesh.Origin) {
	if o := r.policyObject(i); o != nil {
		return o.Ref, o.Origin
	}
	return mesh.Ref{}, mesh.Origin{}
}

func (r *Resolver) policyObject(i int32) *mesh.Object {
	switch {
	case i == None:
		return nil
	case r.dialect.Legacy():
		return &r.snap.Policies[i].Object
	}
	return &r.snap.PeerAuthentications[i].Object
}

// Endpoints lists the workloads behind a service, in order.
func (r *Resolver) Endpoints(s *mesh.Service) []*mesh.Workload {
	i, ok := r.service[s]
	if !ok {
		return nil
	}
	out := make([]*mesh.Workload, len(r.services[i].endpoints))
	for k, w := range r.services[i].endpoints {
		out[k] = r.workloads[w].Workload
	}
	return out
}

// ServicesOf lists the services that a workload backs, in order of hostname.
func (r *Resolver) ServicesOf(w *mesh.Workload) []*mesh.Service {
	i, ok := r.workload[w]
	if !ok {
		return nil
	}
	out := make([]*mesh.Service, len(r.workloads[i].services))
	for k, s := range r.workloads[i].services {
		out[k] = r.services[s].Service
	}
	return out
}

// PodBehind gives a pod of what is called with its port, a ready one where there is one; nil where none runs.
func (r *Resolver) PodBehind(t Target) (best *mesh.Workload, port uint32) {
	for _, e := range r.Explain(Client{}, t).Endpoints {
		for _, w := range e.Workloads {
			if w.Ref.Kind == mesh.KindPod && len(w.Addresses) > 0 && e.Port != 0 && (best == nil || !r.snap.Ready(best) && r.snap.Ready(w)) {
				best, port = w, e.Port
			}
		}
	}
	return best, port
}

// ByAddress finds the workload that has a pod IP or entry address; nil where none has.
func (r *Resolver) ByAddress(ip string) *mesh.Workload {
	if i, ok := r.byAddress[ip]; ok {
		return r.workloads[i].Workload
	}
	return nil
}

// Services lists the services that match a name as a person types it from namespace ns: `foo`, `foo.ns1`,
// `foo.ns1.svc`, the full hostname, a pod's name before that of its headless service, a cluster IP, or a ServiceEntry's host. An exact hostname wins over short names, the own namespace
// over others, a ServiceEntry's wildcard comes last; several results mean that the name is ambiguous.
func (r *Resolver) Services(name, ns string) []*mesh.Service {
	if exact := r.byHost[name]; len(exact) > 0 {
		return r.preferNamespace(exact, ns)
	}
	if i, ok := r.byVIP[name]; ok {
		return []*mesh.Service{r.services[i].Service}
	}
	short, rest, dotted := strings.Cut(name, ".")
	if dotted {
		inNS, tail, _ := strings.Cut(rest, ".")
		if tail == "" || tail == "svc" || tail == "svc."+r.snap.Config.ClusterDomain {
			return r.preferNamespace(r.byHost[r.fqdn(short, inNS)], ns)
		}
		if pod := r.byHost[rest]; len(pod) > 0 && r.services[pod[0]].Headless() {
			return r.preferNamespace(pod, ns) // POD.SERVICE.NAMESPACE.svc.DOMAIN
		}
		return r.preferNamespace(r.byHost[r.wildcardFor(name)], ns)
	}
	if own := r.byHost[r.fqdn(short, ns)]; len(own) > 0 {
		return r.preferNamespace(own, ns)
	}
	var out []*mesh.Service
	for i := range r.services {
		if s := &r.services[i]; s.Ref.Name == short && !s.Entry() {
			out = append(out, s.Service)
		}
	}
	return out
}

// wildcardFor finds the most specific ServiceEntry host with a wildcard that covers a name; "" without one.
func (r *Resolver) wildcardFor(name string) string {
	best := ""
	for i := range r.services {
		if h := r.services[i].Hostname; strings.HasPrefix(h, "*") && len(h) > len(best) && HostCovers(h, name) {
			best = h
		}
	}
	return best
}

// preferNamespace keeps the service of namespace ns where several share a hostname.
func (r *Resolver) preferNamespace(list []int32, ns string) []*mesh.Service {
	var out []*mesh.Service
	for _, i := range list {
		if s := r.services[i].Service; s.Ref.Namespace == ns {
			return []*mesh.Service{s}
		} else {
			out = append(out, s)
		}
	}
	return out
}

func (r *Resolver) fqdn(name, ns string) string {
	return name + "." + ns + ".svc." + r.snap.Config.ClusterDomain
}
