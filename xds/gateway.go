package xds

import (
	"fmt"
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/resolve"
)

// gatewayPort is what the servers of all Gateways of one workload say of one port.
type gatewayPort struct {
	listen  uint32 // workload port
	servers []gatewayServer
}

type gatewayServer struct {
	gateway *mesh.Gateway
	*mesh.GatewayServer
}

// viewGateway gives a gateway a listener for each HTTP port of its Gateway objects, and the routes of the VirtualServices
// that are bound to them. Servers with TLS of their own have no listener yet: nothing is better than plaintext.
func (t *Translator) viewGateway(v *View, sc *scope) {
	var listeners, routes []*Resource
	for _, p := range t.gatewayPorts(sc.node.Workload) {
		table := fmt.Sprintf("http.%d", p.listen)
		name := fmt.Sprintf("%s_%d", anyAddress, p.listen)
		listeners = append(listeners, t.store.add(name, &listenerv3.Listener{
			Name:             name,
			Address:          address(anyAddress, p.listen),
			TrafficDirection: corev3.TrafficDirection_OUTBOUND,
			AccessLog:        t.listenerLog(),
			FilterChains:     []*listenerv3.FilterChain{{Filters: []*listenerv3.Filter{t.manager(edge, "outbound_"+name+";", table, nil)}}},
		}))
		routes = append(routes, sc.gatewayTable(table, p))
	}
	v.lists[Listeners].own, v.lists[Routes].own = t.store.intern(listeners), t.store.intern(routes)
}

// gatewayPorts lists the ports that Gateways ask of a workload, by workload port. A server names the port of the gateway's
// service where it has one, else the workload's own.
func (t *Translator) gatewayPorts(w *mesh.Workload) []gatewayPort {
	byPort := map[uint32]*gatewayPort{}
	var order []uint32
	for _, g := range t.snap.Gateways {
		if !mesh.Selects(g.Selector, w.Labels) {
			continue
		}
		for i := range g.Servers {
			s := &g.Servers[i]
			if !servesHTTP(s) {
				continue
			}
			n := t.targetOf(w, s.Port)
			if byPort[n] == nil {
				byPort[n] = &gatewayPort{listen: n}
				order = append(order, n)
			}
			byPort[n].servers = append(byPort[n].servers, gatewayServer{g, s})
		}
	}
	slices.Sort(order)
	var out []gatewayPort
	for _, n := range order {
		out = append(out, *byPort[n])
	}
	return out
}

func servesHTTP(s *mesh.GatewayServer) bool {
	return slices.Contains(mesh.GatewayHTTP(), strings.ToUpper(s.Protocol))
}

func (t *Translator) targetOf(w *mesh.Workload, port uint32) uint32 {
	for _, s := range t.r.ServicesOf(w) {
		if p := s.Port(port); p != nil {
			if n, ok := p.TargetOn(w); ok {
				return n
			}
		}
	}
	return port
}

// gatewayTable holds the hosts of the servers of one port. A VirtualService counts where it is bound to the Gateway and one
// of its hosts is one that the server takes. A host that several name is the oldest's first, and the others' after it.
func (sc *scope) gatewayTable(name string, p gatewayPort) *Resource {
	byHost := map[string]*routev3.VirtualHost{}
	var order []string
	for _, s := range p.servers {
		for _, v := range sc.t.snap.VirtualServices {
			if !sc.bound(v, s.gateway) {
				continue
			}
			for _, h := range v.Hosts {
				h = sc.t.r.RouteHost(h, v.Ref.Namespace)
				if !taken(s.Hosts, h, v.Ref.Namespace, s.gateway.Ref.Namespace) {
					continue
				}
				vh := byHost[h]
				if vh == nil {
					vh = &routev3.VirtualHost{Name: fmt.Sprintf("%s:%d", h, s.Port), Domains: gatewayDomains(h, s.Port, p.listen), IncludeRequestAttemptCount: true}
					if s.HTTPSRedirect {
						vh.RequireTls = routev3.VirtualHost_ALL
					}
					byHost[h] = vh
					order = append(order, h)
				}
				vh.Routes = append(vh.Routes, sc.gatewayRules(v, s)...)
			}
		}
	}
	var hosts []host
	for _, h := range order {
		hosts = append(hosts, newHost(byHost[h]))
	}
	if len(hosts) == 0 {
		hosts = []host{newHost(&routev3.VirtualHost{
			Name: fmt.Sprintf("blackhole:%d", p.servers[0].Port), Domains: []string{"*"},
			Routes: []*routev3.Route{{Name: "default", Match: everyPath(), Action: &routev3.Route_DirectResponse{DirectResponse: &routev3.DirectResponseAction{Status: 404}}}},
		})}
	}
	return sc.t.table(name, hosts)
}

// gatewayDomains: a host is called with the port of the gateway's service, its own, or none.
func gatewayDomains(h string, ports ...uint32) []string {
	if h == "*" {
		return []string{"*"}
	}
	out := []string{h}
	for _, p := range slices.Compact(ports) {
		out = append(out, fmt.Sprintf("%s:%d", h, p))
	}
	return out
}

// bound says whether a VirtualService with HTTP rules names the Gateway.
func (sc *scope) bound(v *mesh.VirtualService, g *mesh.Gateway) bool {
	return len(v.HTTP) > 0 && boundTo(v, v.Gateways, g)
}

// boundTo says whether a Gateway is among those that a VirtualService, or a match of it, lists.
func boundTo(v *mesh.VirtualService, list []string, g *mesh.Gateway) bool {
	return slices.ContainsFunc(list, func(n string) bool {
		return n != mesh.MeshGateway && mesh.GatewayRef(n, v.Ref.Namespace) == g.Ref
	})
}

// taken says whether a server takes a host of a VirtualService: "namespace/host", where "." is the Gateway's namespace and
// "*" any.
func taken(hosts []string, h, from, gateway string) bool {
	return slices.ContainsFunc(hosts, func(pattern string) bool {
		ns, name, ok := strings.Cut(pattern, "/")
		if !ok {
			ns, name = "*", pattern
		}
		return (ns == "*" || ns == from || ns == "." && from == gateway) && (resolve.HostCovers(name, h) || resolve.HostCovers(h, name))
	})
}

// gatewayRules are the rules of a VirtualService that count at a server: those that name no other gateway.
func (sc *scope) gatewayRules(v *mesh.VirtualService, s gatewayServer) []*routev3.Route {
	of := *v
	of.HTTP = nil
	for _, h := range v.HTTP {
		if len(h.Match) > 0 {
			h.Match = slices.DeleteFunc(slices.Clone(h.Match), func(m mesh.HTTPMatch) bool {
				return len(m.Gateways) > 0 && !boundTo(v, m.Gateways, s.gateway)
			})
			if len(h.Match) == 0 {
				continue
			}
		}
		of.HTTP = append(of.HTTP, h)
	}
	return sc.rules(&of, s.Port)
}
