package resolve

import (
	"slices"

	"github.com/oarlock/oarlock/mesh"
)

// Cluster is what the sidecar of a client does towards one port of a service, or towards one of its subsets, before it
// looks at an endpoint. It is comparable: clients with equal Clusters for a port do the same there.
type Cluster struct {
	Rule   *mesh.DestinationRule // in force, the one that gives the name; nil without one
	Policy *mesh.TrafficPolicy   // of that rule, or of one that is merged into it
	Subset *mesh.Subset          // nil for the service itself
	TLS    *mesh.ClientTLS       // the block in force; nil where none says anything
	// Sends is what it starts, ClientUnset for plaintext. With Auto that is ClientIstioMutual with the endpoints that
	// Members has labelled, and plaintext with the others.
	Sends mesh.ClientMode
	Auto  bool
	// Original says that the original destination is kept, and no endpoint is chosen.
	Original bool
	// From is the object that decided on Sends: a rule, or a policy that keeps auto mTLS from starting; zero without one.
	From mesh.Ref

	marks mesh.ClientMode // by what endpoints are labelled (semantics M11, M26)
}

// Cluster gives the Cluster of a client for a port of a service; false where its sidecar has none: the service is hidden,
// the port is UDP, or the subset is not of the rule in force. A client without a sidecar counts as one that has one, as a
// gRPC client without a proxy does.
func (r *Resolver) Cluster(c Client, s *mesh.Service, p *mesh.Port, subset string) (Cluster, bool) {
	i, known := r.service[s]
	w, ok := r.workload[c.Workload]
	if !known || !ok || !captured(p) {
		return Cluster{}, false
	}
	own, svc := &r.workloads[w], &r.services[i]
	who := caller{w: own, ns: own.ns, capture: mesh.CaptureSidecar}
	k := slices.IndexFunc(svc.ports, func(o port) bool { return o.Port == p })
	if k < 0 || svc.ports[k].protocol.Class == ProtocolUDP || !r.sees(&who, svc, p.Number) {
		return Cluster{}, false
	}
	snd := sending{from: None, router: own.Router}
	out := Cluster{}
	if snd.rule = r.inForce(&who, svc); snd.rule != nil {
		if subset != "" {
			snd.subset = snd.rule.subset(subset)
		}
		var b block
		b, snd.from = r.blockFor(snd.rule, snd.subset, p, r.autoApplies(svc, &svc.ports[k]))
		snd.tls = b.tls
		snd.endpoint = endpointMode(snd.rule, snd.subset, p)
		out.Rule, out.Policy, out.TLS, out.marks = r.snap.DestinationRules[snd.rule.rules[0]], snd.rule.policy, snd.tls, snd.endpoint
	}
	if subset != "" {
		if snd.subset == nil {
			return Cluster{}, false
		}
		out.Subset = snd.subset.Subset
	}
	r.settleCluster(&out, &snd, svc, &svc.ports[k])
	return out, true
}

// settleCluster fills in what is sent, and who says so.
func (r *Resolver) settleCluster(out *Cluster, snd *sending, s *service, p *port) {
	out.Original, _ = r.balancing(s, snd, p.Port)
	if snd.tls == nil {
		snd.auto, snd.cause = r.autoFor(s, p, snd)
	}
	switch {
	case snd.auto == autoEach:
		out.Sends, out.Auto = mesh.ClientIstioMutual, true
	default:
		out.Sends = r.starts(snd, group{})
	}
	switch {
	case snd.tls != nil && snd.from != None:
		out.From = r.snap.DestinationRules[snd.from].Ref
	case snd.cause == CauseHint:
		out.From, _ = r.Policy(p.hint.policy)
	}
}

// Member is one endpoint of a Cluster.
type Member struct {
	Workload *mesh.Workload
	Port     uint32          // workload port
	Labelled bool            // its tlsMode=istio is shown to the client
	Sends    mesh.ClientMode // what the client starts with it
}

// Members lists the endpoints that a Cluster of a service port has, in order.
func (r *Resolver) Members(s *mesh.Service, p *mesh.Port, k Cluster) []Member {
	i, ok := r.service[s]
	if !ok {
		return nil
	}
	svc := &r.services[i]
	at := slices.IndexFunc(svc.ports, func(o port) bool { return o.Port == p })
	if at < 0 {
		return nil
	}
	var out []Member
	for _, w := range svc.endpoints {
		if k.Subset != nil && !mesh.Selects(k.Subset.Labels, r.workloads[w].Labels) {
			continue
		}
		g, ok := r.endpoint(svc, &svc.ports[at], w)
		if !ok {
			continue
		}
		m := Member{Workload: r.workloads[w].Workload, Port: g.target, Sends: k.Sends}
		m.Labelled = g.istio && r.leavesLabel(&sending{endpoint: k.marks}, g)
		if k.Auto && !m.Labelled {
			m.Sends = mesh.ClientUnset
		}
		out = append(out, m)
	}
	return out
}

// Accounts lists the identities of which a service must show one (semantics M37): those of its endpoints and those that
// its ServiceEntry names, in every trust domain that means the same.
func (r *Resolver) Accounts(s *mesh.Service) []string {
	if i, ok := r.service[s]; ok {
		return r.accounts(&r.services[i])
	}
	return nil
}

// Unknown says what the sidecar of a client does with a destination that is in no registry.
func (r *Resolver) Unknown(c Client) Outbound {
	w, ok := r.workload[c.Workload]
	if !ok {
		return OutboundDirect
	}
	return r.unknownDestination(&caller{w: &r.workloads[w]})
}

// VirtualServices lists those that the sidecar of a client obeys, oldest first: exported to it, for the gateway "mesh", and
// imported by its Sidecar.
func (r *Resolver) VirtualServices(c Client) []*mesh.VirtualService {
	w, ok := r.workload[c.Workload]
	if !ok {
		return nil
	}
	own := &r.workloads[w]
	who := &caller{w: own, ns: own.ns, capture: mesh.CaptureSidecar}
	var out []*mesh.VirtualService
	for _, v := range r.snap.VirtualServices {
		if r.obeys(who, v) && slices.ContainsFunc(r.listeners(who), func(e mesh.EgressListener) bool { return r.importsRoute(listener(e), who, v) }) {
			out = append(out, v)
		}
	}
	return out
}

// Listen is how the sidecar of a workload takes connections to one of its ports.
type Listen struct {
	Port     uint32 // workload port; 0 stands for every port that no other Listen names
	Mode     mesh.Mode
	Policy   mesh.Ref // that decided; zero without one
	Protocol Protocol
	// Declared says that a service or the workload's Sidecar names the port. Service and ServicePort are the first that
	// lead there, nil where none does.
	Declared    bool
	Service     *mesh.Service
	ServicePort *mesh.Port
	OwnTLS      bool // a Sidecar's ingress listener has TLS of its own there (semantics M42)
}

// Listens lists the ports of a workload on which its sidecar acts, by port, 0 first: the declared ones (those of services,
// or those of the ingress listeners of its Sidecar in their place), those of portLevelMtls, and the rest. Ports that the
// sidecar does not capture are among them.
func (r *Resolver) Listens(w *mesh.Workload) []Listen {
	i, ok := r.workload[w]
	if !ok {
		return nil
	}
	own := &r.workloads[i]
	ports := []uint32{0}
	for _, k := range own.services {
		for j := range r.services[k].ports {
			p := &r.services[k].ports[j]
			if n, ok := p.TargetOn(w); ok && p.captured {
				ports = append(ports, n)
			}
		}
	}
	if own.scope != None {
		for _, l := range r.snap.Sidecars[own.scope].Ingress {
			ports = append(ports, l.Port)
		}
	}
	if sel := r.settled[i].selected; sel != None && !r.dialect.Legacy() {
		for _, p := range r.snap.PeerAuthentications[sel].Ports {
			ports = append(ports, p.Port)
		}
	}
	slices.Sort(ports)
	var out []Listen
	for _, n := range slices.Compact(ports) {
		out = append(out, r.listen(own, n))
	}
	return out
}

func (r *Resolver) listen(w *workload, number uint32) Listen {
	s, p := r.behind(w, number)
	if number == 0 {
		s, p = nil, nil
	}
	at := r.serverPolicy(w, s, p, number)
	l := Listen{Port: number, Mode: at.mode}
	l.Policy, _ = r.Policy(at.policy)
	l.Protocol.Class, l.OwnTLS = r.declared(w, p, number)
	if p != nil {
		l.Declared, l.Service, l.ServicePort, l.Protocol.Name = true, s.Service, p.Port, p.protocol.Name
	}
	if w.scope != None && len(r.snap.Sidecars[w.scope].Ingress) > 0 {
		l.Declared = false
		for _, e := range r.snap.Sidecars[w.scope].Ingress {
			if e.Port == number {
				l.Declared, l.Protocol = true, namedProtocol(e.Protocol, r.dialect)
			}
		}
	}
	return l
}
