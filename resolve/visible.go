package resolve

import (
	"cmp"
	"slices"
	"strings"

	"github.com/oarlock/oarlock/mesh"
)

// indexScopes sorts Sidecars by where they apply, the oldest of several counts, and VirtualServices by where they lead.
func (r *Resolver) indexScopes() {
	r.routes = map[string][]*mesh.VirtualService{}
	for _, v := range r.snap.VirtualServices {
		for _, d := range v.Destinations {
			host := r.routeHost(d.Host, v.Ref.Namespace)
			if list := r.routes[host]; len(list) == 0 || list[len(list)-1] != v {
				r.routes[host] = append(list, v)
			}
		}
	}
	for i, s := range r.snap.Sidecars {
		ns := r.namespace(s.Ref.Namespace)
		switch {
		case len(s.Selector) > 0:
			ns.scopes = append(ns.scopes, int32(i))
		case ns.scope == None:
			ns.scope = int32(i)
		}
	}
}

// scopeOf finds the Sidecar of a workload: one whose selector matches, else the namespace's, else the root namespace's,
// else none, and everything is visible (semantics M45).
func (r *Resolver) scopeOf(ns *namespace, labels map[string]string) int32 {
	for _, i := range ns.scopes {
		if selects(r.snap.Sidecars[i].Selector, labels) {
			return i
		}
	}
	if ns.scope != None {
		return ns.scope
	}
	return r.root.scope
}

// Visible says whether the client's sidecar has a cluster for the service: exportTo and Sidecar egress allow it.
// A caller without a sidecar sees every service.
func (r *Resolver) Visible(c Client, s *mesh.Service) bool {
	who := r.caller(c)
	i, ok := r.service[s]
	return ok && (who.capture == mesh.CaptureNone || r.sees(&who, &r.services[i], 0))
}

// sees is Visible for a client with a sidecar and one port of the service; 0 for any. What its Sidecar lists comes first;
// what a VirtualService leads to is added where the list has no service with that host.
func (r *Resolver) sees(c *caller, s *service, number uint32) bool {
	if r.listed(c, s, number) {
		return !s.contested || r.preferred(c, s)
	}
	return r.routed(c, s, number)
}

// listed applies exportTo and the egress hosts of the client's Sidecar.
func (r *Resolver) listed(c *caller, s *service, number uint32) bool {
	if !r.exportedTo(s, c.ns) {
		return false
	}
	return c.w.scope == None || r.snap.Sidecars[c.w.scope].Egress == nil || importsHost(r.snap.Sidecars[c.w.scope], c.ns.name, s, number)
}

// preferred says whether the client takes this one of several listed services with its hostname: its own namespace's
// first, then a Kubernetes Service, then one exported by name, then the oldest.
func (r *Resolver) preferred(c *caller, s *service) bool {
	for _, i := range r.byHost[s.Hostname] {
		o := &r.services[i]
		if o != s && r.listed(c, o, 0) && r.before(c, o, s) {
			return false
		}
	}
	return true
}

// routed says whether a VirtualService that the client imports brings the service into its scope, with the ports that the
// routes name. It brings one service of a host, and none where one is listed: the client's own namespace's, exported or
// not, else a Kubernetes Service, else the oldest.
func (r *Resolver) routed(c *caller, s *service, number uint32) bool {
	if s.ns != c.ns && !r.exportedTo(s, c.ns) || !r.routeLeads(c, s, number) {
		return false
	}
	for _, i := range r.byHost[s.Hostname] {
		o := &r.services[i]
		visible := o.ns == c.ns || r.exportedTo(o, c.ns)
		if r.listed(c, o, 0) || o != s && visible && r.before(c, o, s) {
			return false
		}
	}
	return true
}

// routeLeads says whether an imported VirtualService leads to a port of the service.
func (r *Resolver) routeLeads(c *caller, s *service, number uint32) bool {
	for _, v := range r.routes[s.Hostname] {
		if !r.importsRoute(c, v) {
			continue
		}
		for _, d := range v.Destinations {
			if r.routeHost(d.Host, v.Ref.Namespace) == s.Hostname && (d.Port == 0 || d.Port == number || number == 0 && s.Port(d.Port) != nil) {
				return true
			}
		}
	}
	return false
}

func (r *Resolver) before(c *caller, a, b *service) bool {
	rank := func(s *service) int {
		n := 0
		if s.ns != c.ns {
			n += 4
		}
		if s.Entry() {
			n += 2
		}
		if r.public(s) {
			n++
		}
		return n
	}
	if ra, rb := rank(a), rank(b); ra != rb {
		return ra < rb
	}
	// A ServiceEntry's service is named by its host there, so equally old ones differ in namespace alone.
	return cmp.Or(a.Object.Age(&b.Object), cmp.Compare(a.ns.name, b.ns.name), cmp.Compare(a.Ref.Name, b.Ref.Name)) < 0
}

func (r *Resolver) exportList(s *service) []string {
	if len(s.ExportTo) == 0 {
		return r.snap.Config.DefaultServiceExportTo
	}
	return s.ExportTo
}

func (r *Resolver) public(s *service) bool {
	list := r.exportList(s)
	return len(list) == 0 || slices.Contains(list, "*")
}

// exportedTo applies a service's exportTo: "*" everyone, "~" nobody, "." and names those namespaces (semantics M44).
func (r *Resolver) exportedTo(s *service, ns *namespace) bool {
	list := r.exportList(s)
	switch {
	case len(list) == 0 || slices.Contains(list, "*"):
		return true
	case slices.Contains(list, "~"):
		return false
	}
	for _, e := range list {
		if e == ns.name || e == "." && s.ns == ns {
			return true
		}
	}
	return false
}

// routeHost completes a short host of a VirtualService with its namespace.
func (r *Resolver) routeHost(host, ns string) string {
	if host == "" || strings.ContainsAny(host, ".:*") {
		return host
	}
	return r.fqdn(host, ns)
}

// importsRoute says whether a client obeys a VirtualService: one for sidecars, exported to its namespace, and of which some
// host covers or is covered by a host that its Sidecar lists.
func (r *Resolver) importsRoute(c *caller, v *mesh.VirtualService) bool {
	if len(v.Gateways) > 0 && !slices.Contains(v.Gateways, "mesh") {
		return false
	}
	list := v.ExportTo
	if len(list) == 0 {
		list = r.snap.Config.DefaultVirtualServiceExportTo
	}
	own := slices.Contains(list, ".") && v.Ref.Namespace == c.ns.name
	if len(list) > 0 && !own && !slices.Contains(list, "*") && !slices.Contains(list, c.ns.name) {
		return false
	}
	if c.w.scope == None || r.snap.Sidecars[c.w.scope].Egress == nil {
		return true
	}
	for _, h := range v.Hosts {
		if namesHost(r.snap.Sidecars[c.w.scope], c.ns.name, v.Ref.Namespace, r.routeHost(h, v.Ref.Namespace)) {
			return true
		}
	}
	return false
}

// importsHost applies the egress hosts to a port of a service, 0 for any: an entry "namespace/host" that matches, of a
// listener for that port or for all, and no exclusion.
func importsHost(sc *mesh.Sidecar, client string, s *service, number uint32) bool {
	if excludesHost(sc, client, s.ns.name, s.Hostname) {
		return false
	}
	for k := range sc.Egress {
		only := uint32(0)
		if sc.EgressPorts != nil {
			only = sc.EgressPorts[k]
		}
		has := only == 0 || only == number || number == 0 && s.Port(only) != nil
		if has && entryCovers(sc.Egress[k], client, s.ns.name, s.Hostname) {
			return true
		}
	}
	return false
}

// namesHost is importsHost for the host of a route, which has no ports, and may be the wider of the two.
func namesHost(sc *mesh.Sidecar, client, ns, host string) bool {
	return !excludesHost(sc, client, ns, host) && slices.ContainsFunc(sc.Egress, func(e string) bool {
		_, name, _ := strings.Cut(e, "/")
		return entryCovers(e, client, ns, host) || entryCovers(e[:len(e)-len(name)]+"*", client, ns, host) && hostCovers(host, name)
	})
}

func entryCovers(entry, client, ns, host string) bool {
	in, name, ok := strings.Cut(entry, "/")
	return ok && !strings.HasPrefix(in, "~") && inNamespace(in, client, ns) && hostCovers(name, host)
}

func excludesHost(sc *mesh.Sidecar, client, ns, host string) bool {
	for _, e := range sc.Egress {
		in, name, ok := strings.Cut(e, "/")
		in, excluded := strings.CutPrefix(in, "~")
		if in == "" {
			in = "*"
		}
		if ok && excluded && inNamespace(in, client, ns) && hostCovers(name, host) {
			return true
		}
	}
	return false
}

func inNamespace(pattern, client, ns string) bool {
	return pattern == "*" || pattern == ns || pattern == "." && client == ns
}

// hostCovers says whether a host pattern, which may begin with a wildcard, covers a host.
func hostCovers(pattern, host string) bool {
	if suffix, ok := strings.CutPrefix(pattern, "*"); ok {
		return strings.HasSuffix(strings.TrimPrefix(host, "*"), suffix)
	}
	return pattern == host
}

// unknownDestination is where a client's sidecar sends what is not in its registry (semantics M46).
func (r *Resolver) unknownDestination(c *caller) Outbound {
	mode := r.snap.Config.OutboundTrafficPolicy
	if c.w.scope != None {
		if own := r.snap.Sidecars[c.w.scope].OutboundTrafficPolicy; own != mesh.OutboundUnset {
			mode = own
		}
	}
	if mode == mesh.OutboundRegistryOnly {
		return OutboundBlackHole
	}
	return OutboundPassthrough
}
