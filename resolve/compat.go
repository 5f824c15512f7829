package resolve

import (
	"strconv"

	"github.com/oarlock/oarlock/mesh"
)

func itoa(n uint32) string { return strconv.FormatUint(uint64(n), 10) }

// Compat gives the verdict that istioctl authn tls-check of the snapshot's dialect printed for this row (in the current
// dialect: what 1.4 would have), wrong where it was wrong (semantics L49): it does not know sidecars, does not inherit TLS
// into subsets, and prints OK for an unset client against STRICT in 1.4. Only Status, Server, Client, Policy and Rule are
// set.
func (r *Resolver) Compat(c Client, t Target) Verdict {
	v := Verdict{Policy: None, Rule: None, Server: ServerDisable}
	i, ok := r.service[t.Service]
	if !ok {
		return v
	}
	s := &r.services[i]
	p := s.port(t.Port, t.UDP)
	if p == nil {
		return v
	}
	v.Server, v.Policy = r.compatServer(s, p)
	if m := r.compatRule(c, s); m != nil {
		v.Rule = m.rules[0]
		v.Client = r.compatClient(m, t.Subset, p.Port)
	}
	v.Status = r.compatStatus(v.Client, v.Server)
	return v
}

func (r *Resolver) compatServer(s *service, p *port) (Server, int32) {
	got := p.hint
	switch {
	case r.dialect.Legacy():
		// UDP ports are not grouped, so their hint is looked up here.
		got = r.legacyPolicy(s, p.Port, nil)
	case len(p.groups) > 0 && p.groups[0].capture == mesh.CaptureSidecar:
		got = p.groups[0].policy
	}
	return Server(got.mode), got.policy
}

// compatRule looks rules up for the pod's namespace, whether it has a sidecar or not. In the legacy dialects merging wrote
// into an object that the local and the exported index shared, so a private rule leaked through a public one of the same
// host (semantics L27).
func (r *Resolver) compatRule(c Client, s *service) *merged {
	who := r.caller(c)
	if who.w == nil {
		return nil
	}
	h, seen := r.found(&who, s)
	if h == nil {
		return nil
	}
	m := h.pick(seen, &who)
	if m == nil || !r.dialect.Legacy() {
		return m
	}
	ns := r.namespaces[r.snap.DestinationRules[m.rules[0]].Ref.Namespace]
	if local := r.rules[ns.id].local.hosts[h.host]; local != nil && local.list[0].rules[0] == m.rules[0] {
		return local.list[0]
	}
	return m
}

// compatClient reads the top level for the service itself, and for a subset the subset's own block alone.
func (r *Resolver) compatClient(m *merged, name string, p *mesh.Port) mesh.ClientMode {
	policy := m.policy
	if name != "" {
		policy = nil
		if sub := m.subset(name); sub != nil {
			policy = sub.TrafficPolicy
		}
	}
	if b, _ := r.portBlock(policy, p); b.tls != nil {
		return b.tls.Mode
	}
	return mesh.ClientUnset
}

// compatStatus is the table of the dialect (semantics L45 to L47).
func (r *Resolver) compatStatus(client mesh.ClientMode, server Server) Status {
	mtls := client == mesh.ClientIstioMutual
	fits := server == ServerPermissive || mtls == (server == ServerStrict)
	early := r.dialect.Legacy() && r.dialect < mesh.Dialect14
	foreign := client == mesh.ClientSimple || client == mesh.ClientMutual
	switch {
	case !early && client == mesh.ClientUnset && r.auto:
		return StatusAuto
	case !early && client == mesh.ClientUnset:
		return StatusOK
	case foreign && r.dialect != mesh.Dialect11:
		if early && client == mesh.ClientMutual && server != ServerDisable {
			return StatusMayConflict
		}
		return StatusConflict
	case fits:
		return StatusOK
	}
	return StatusConflict
}
