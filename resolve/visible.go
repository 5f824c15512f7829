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
			host := r.RouteHost(d.Host, v.Ref.Namespace)
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
		if mesh.Selects(r.snap.Sidecars[i].Selector, labels) {
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
		return !s.contested || r.preferred(c, s) && !r.displaced(c, s)
	}
	return r.routed(c, s, number)
}

// listed applies exportTo and the egress hosts of the client's Sidecar.
func (r *Resolver) listed(c *caller, s *service, number uint32) bool {
	if !r.exportedTo(s, c.ns) {
		return false
	}
	for _, e := range r.listeners(c) {
		if l := listener(e); l.takes(s, number) && imports(l, c.ns.name, s.ns.name, s.Hostname) {
			return true
		}
	}
	return false
}

// preferred says whether the client takes this one of several listed services with its hostname. Each listener has one: its
// own namespace's first, then a Kubernetes Service, then one exported by name, then the oldest. The first listener's
// counts, unless it is a ServiceEntry and a later one has a Kubernetes Service.
func (r *Resolver) preferred(c *caller, s *service) bool {
	var chosen *service
	for _, e := range r.listeners(c) {
		if best := r.bestOf(c, listener(e), s.Hostname); chosen == nil || best != nil && chosen.Entry() && !best.Entry() {
			chosen = best
		}
	}
	return chosen == s
}

func (r *Resolver) bestOf(c *caller, l listener, host string) *service {
	var best *service
	for _, i := range r.byHost[host] {
		o := &r.services[i]
		if r.exportedTo(o, c.ns) && l.takes(o, 0) && imports(l, c.ns.name, o.ns.name, host) && (best == nil || r.before(c, o, best)) {
			best = o
		}
	}
	return best
}

// routed says whether a VirtualService that the client imports brings the service into its scope, with the ports that the
// routes name. It brings one service of a host, and none where another is listed: the client's own namespace's, exported or
// not, else a Kubernetes Service, else the oldest.
func (r *Resolver) routed(c *caller, s *service, number uint32) bool {
	if s.ns != c.ns && !r.exportedTo(s, c.ns) || !r.routeLeads(c, s, number) {
		return false
	}
	for _, i := range r.byHost[s.Hostname] {
		o := &r.services[i]
		visible := o.ns == c.ns || r.exportedTo(o, c.ns)
		// A listed ServiceEntry gives way to a Kubernetes Service, nothing else does.
		blocks := r.listed(c, o, 0) && (!o.Entry() || s.Entry())
		if o != s && (blocks || visible && r.before(c, o, s)) {
			return false
		}
	}
	return true
}

// displaced says whether a VirtualService brings a Kubernetes Service in the place of a listed ServiceEntry.
func (r *Resolver) displaced(c *caller, s *service) bool {
	if !s.Entry() {
		return false
	}
	for _, i := range r.byHost[s.Hostname] {
		if o := &r.services[i]; !o.Entry() && !r.listed(c, o, 0) && r.routed(c, o, 0) {
			return true
		}
	}
	return false
}

// routeLeads says whether a VirtualService that some listener imports leads to a port of the service.
func (r *Resolver) routeLeads(c *caller, s *service, number uint32) bool {
	for _, v := range r.routes[s.Hostname] {
		if !r.obeys(c, v) {
			continue
		}
		for _, e := range r.listeners(c) {
			if l := listener(e); l.takes(s, number) && r.importsRoute(l, c, v) && (l.Port != 0 || r.namesPort(v, s, number)) {
				return true
			}
		}
	}
	return false
}

// namesPort says whether a route leads to a port of the service, 0 for any.
func (r *Resolver) namesPort(v *mesh.VirtualService, s *service, number uint32) bool {
	for _, d := range v.Destinations {
		if r.RouteHost(d.Host, v.Ref.Namespace) == s.Hostname && (d.Port == 0 || d.Port == number || number == 0 && s.Port(d.Port) != nil) {
			return true
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

// RouteHost completes a short host of a VirtualService with its namespace.
func (r *Resolver) RouteHost(host, ns string) string {
	if host == "" || strings.ContainsAny(host, ".:*") {
		return host
	}
	return r.fqdn(host, ns)
}

// obeys says whether a VirtualService is one for sidecars and exported to the client.
func (r *Resolver) obeys(c *caller, v *mesh.VirtualService) bool {
	if len(v.Gateways) > 0 && !slices.Contains(v.Gateways, mesh.MeshGateway) {
		return false
	}
	list := v.ExportTo
	if len(list) == 0 {
		list = r.snap.Config.DefaultVirtualServiceExportTo
	}
	own := slices.Contains(list, ".") && v.Ref.Namespace == c.ns.name
	return len(list) == 0 || own || slices.Contains(list, "*") || slices.Contains(list, c.ns.name)
}

// importsRoute says whether some host of a VirtualService covers or is covered by a host of the listener.
func (r *Resolver) importsRoute(l listener, c *caller, v *mesh.VirtualService) bool {
	for _, h := range v.Hosts {
		host := r.RouteHost(h, v.Ref.Namespace)
		if imports(l, c.ns.name, v.Ref.Namespace, host) || slices.ContainsFunc(l.Hosts, func(e string) bool {
			in, name, _ := strings.Cut(e, "/")
			return !excludes(l, c.ns.name, v.Ref.Namespace, host) && !strings.HasPrefix(in, "~") &&
				inNamespace(in, c.ns.name, v.Ref.Namespace) && HostCovers(host, name)
		}) {
			return true
		}
	}
	return false
}

// listener is an egress listener in force.
type listener mesh.EgressListener

// everything is the egress of a client that no Sidecar limits.
var everything = []mesh.EgressListener{{Hosts: []string{"*/*"}}}

// listeners gives the egress listeners of a client.
func (r *Resolver) listeners(c *caller) []mesh.EgressListener {
	if c.w.scope == None || r.snap.Sidecars[c.w.scope].Egress == nil {
		return everything
	}
	return r.snap.Sidecars[c.w.scope].Egress
}

// takes says whether a listener is for a port of the service, 0 for any: its own, or all.
func (l listener) takes(s *service, number uint32) bool {
	return l.Port == 0 || l.Port == number || number == 0 && s.Port(l.Port) != nil
}

// imports says whether an entry "namespace/host" of the listener covers a host, and none excludes it.
func imports(l listener, client, ns, host string) bool {
	return !excludes(l, client, ns, host) && slices.ContainsFunc(l.Hosts, func(e string) bool { return entryCovers(e, client, ns, host) })
}

func entryCovers(entry, client, ns, host string) bool {
	in, name, ok := strings.Cut(entry, "/")
	return ok && !strings.HasPrefix(in, "~") && inNamespace(in, client, ns) && HostCovers(name, host)
}

func excludes(l listener, client, ns, host string) bool {
	for _, e := range l.Hosts {
		in, name, ok := strings.Cut(e, "/")
		in, excluded := strings.CutPrefix(in, "~")
		if in == "" {
			in = "*"
		}
		if ok && excluded && inNamespace(in, client, ns) && HostCovers(name, host) {
			return true
		}
	}
	return false
}

func inNamespace(pattern, client, ns string) bool {
	return pattern == "*" || pattern == ns || pattern == "." && client == ns
}

// HostCovers says whether a host pattern, which may begin with a wildcard, covers a host.
func HostCovers(pattern, host string) bool {
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
