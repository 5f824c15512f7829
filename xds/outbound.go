package xds

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	httpinv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/http_inspector/v3"
	tlsinv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/tls_inspector/v3"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/resolve"
)

const anyAddress = "0.0.0.0"

// addListeners adds virtualOutbound, and the listeners that it hands connections to:
//
//   - for an HTTP port, 0.0.0.0_PORT for all services at once, with the routes called PORT
//   - for a TCP port, one for each address of the service; of a headless service, for each pod
//   - for a port of which nothing is known, one for each address, which looks at the first bytes: the routes are called
//     HOST:PORT
//   - for a port of TLS without an address, 0.0.0.0_PORT with a chain for each server name
//
// What matches none of them goes where unknown destinations go.
func (sc *scope) addListeners(out *[typeCount][]*Resource) {
	any := map[uint32]*anyListener{}
	for _, c := range sc.clusters {
		if c.Subset != nil {
			continue
		}
		addrs := sc.t.listenOn(c)
		switch {
		case c.protocol.Class == resolve.ProtocolHTTP:
			anyAt(any, c.port.Number).http = true
		case len(addrs) == 0 && c.protocol.Class == resolve.ProtocolAuto && (c.service.Headless() || c.service.Entry()):
			a := anyAt(any, c.port.Number)
			a.http, a.fallback = true, cmp.Or(a.fallback, c)
		case len(addrs) == 0 && c.service.Entry():
			a := anyAt(any, c.port.Number)
			if name := c.protocol.Name; name == "TLS" || name == "HTTPS" {
				a.tls = append(a.tls, c)
			} else {
				a.fallback = cmp.Or(a.fallback, c)
			}
		case c.protocol.Class == resolve.ProtocolAuto && len(addrs) > 0:
			table := fmt.Sprintf("%s:%d", c.service.Hostname, c.port.Number)
			sc.tables = append(sc.tables, routeTable{table, c})
			for _, a := range addrs {
				out[Listeners] = append(out[Listeners], sc.autoListener(a, c, table))
			}
		default:
			for _, a := range addrs {
				out[Listeners] = append(out[Listeners], sc.tcpListener(a, c))
			}
		}
	}
	for _, port := range sortedPorts(any) {
		out[Listeners] = append(out[Listeners], sc.anyListener(port, any[port]))
	}
	out[Listeners] = append(out[Listeners], sc.virtualOutbound())
	sc.http = any
}

// routeTable is the routes of one port of which nothing is known.
type routeTable struct {
	name string
	c    *cluster
}

// anyListener is what a listener for every address is for.
type anyListener struct {
	http     bool
	tls      []*cluster
	fallback *cluster // takes what is neither
}

func anyAt(m map[uint32]*anyListener, port uint32) *anyListener {
	if m[port] == nil {
		m[port] = &anyListener{}
	}
	return m[port]
}

func sortedPorts(m map[uint32]*anyListener) []uint32 {
	var out []uint32
	for p := range m {
		out = append(out, p)
	}
	slices.Sort(out)
	return out
}

// listenOn lists the addresses by which a service's port is called; none where only a name is known.
func (t *Translator) listenOn(c *cluster) []string {
	s := c.service
	var out []string
	switch {
	case s.Headless() && c.protocol.Class == resolve.ProtocolTCP:
		for _, m := range t.r.Members(s, c.port, c.Cluster) {
			out = append(out, m.Workload.Addresses...)
		}
	case !s.Headless():
		out = append(out, s.Addresses...)
	}
	out = slices.DeleteFunc(out, func(a string) bool {
		ip, err := netip.ParseAddr(a) // a range of addresses is not one that is called
		return err != nil || ip.IsUnspecified()
	})
	slices.Sort(out)
	return slices.Compact(out)
}

// listener is one that gets connections from virtualOutbound and does not listen by itself.
func (sc *scope) listener(addr string, port uint32) *listenerv3.Listener {
	return &listenerv3.Listener{
		Name:                             fmt.Sprintf("%s_%d", addr, port),
		Address:                          address(addr, port),
		BindToPort:                       truth(false),
		TrafficDirection:                 corev3.TrafficDirection_OUTBOUND,
		ListenerFiltersTimeout:           sc.t.detection(),
		ContinueOnListenerFiltersTimeout: true,
	}
}

func (sc *scope) tcpListener(addr string, c *cluster) *Resource {
	l := sc.listener(addr, c.port.Number)
	l.ListenerFiltersTimeout = seconds(0) // nothing is looked at
	l.FilterChains = []*listenerv3.FilterChain{{Filters: []*listenerv3.Filter{sc.toTCP(c)}}}
	return sc.t.store.add(l.Name, l)
}

// toTCP carries the bytes of a port to the service, or to where a VirtualService leads them.
func (sc *scope) toTCP(c *cluster) *listenerv3.Filter {
	var idle *durationpb.Duration
	if p := c.settings(sc.t.snap.Dialect).ConnectionPool; p != nil && p.IdleTimeout > 0 {
		idle = durationpb.New(p.IdleTimeout)
	}
	return sc.t.forward(c.name, idle, true, sc.tcpTargets(c)...)
}

// tcpTargets obeys the first rule of the first VirtualService for the service's host that matches without looking at the
// connection.
func (sc *scope) tcpTargets(c *cluster) []target {
	for _, v := range sc.virtual {
		if !slices.ContainsFunc(v.Hosts, func(h string) bool {
			return resolve.HostCovers(sc.t.r.RouteHost(h, v.Ref.Namespace), c.service.Hostname)
		}) {
			continue
		}
		for _, rule := range v.TCP {
			if len(rule.Match) > 0 && !slices.ContainsFunc(rule.Match, func(m mesh.L4Match) bool { return sc.matchesL4(v, m, c.port.Number) }) {
				continue
			}
			if out := sc.targets(v, rule.Route, c.port.Number); len(out) > 0 {
				return out
			}
		}
	}
	return []target{{cluster: c.name}}
}

func (sc *scope) matchesL4(v *mesh.VirtualService, m mesh.L4Match, port uint32) bool {
	return len(m.DestinationSubnets) == 0 && (m.Port == 0 || m.Port == port) && sc.isSource(m.Gateways, m.SourceLabels, m.SourceNamespace)
}

// autoListener looks at the first bytes: what is HTTP goes by routes, what is not goes to the service.
func (sc *scope) autoListener(addr string, c *cluster, table string) *Resource {
	l := sc.listener(addr, c.port.Number)
	l.ListenerFilters = []*listenerv3.ListenerFilter{listenerFilter(httpInspector, &httpinv3.HttpInspector{}, nil)}
	l.FilterChains = []*listenerv3.FilterChain{sc.httpChain(l.Name, table, true)}
	l.DefaultFilterChain = &listenerv3.FilterChain{Filters: []*listenerv3.Filter{sc.toTCP(c)}}
	return sc.t.store.add(l.Name, l)
}

// httpChain takes what is HTTP, or all of a port that is nothing else.
func (sc *scope) httpChain(stat, table string, match bool) *listenerv3.FilterChain {
	out := &listenerv3.FilterChain{Filters: []*listenerv3.Filter{sc.t.manager(outward, "outbound_"+stat+";", table, nil)}}
	if match {
		out.FilterChainMatch = &listenerv3.FilterChainMatch{TransportProtocol: transportRaw, ApplicationProtocols: []string{"http/1.1", "h2c"}}
	}
	return out
}

// anyListener is the one for every address on a port.
func (sc *scope) anyListener(port uint32, a *anyListener) *Resource {
	l := sc.listener(anyAddress, port)
	if len(a.tls) > 0 {
		l.ListenerFilters = append(l.ListenerFilters, listenerFilter(tlsInspector, &tlsinv3.TlsInspector{}, nil))
	}
	seen := map[string]bool{}
	for _, c := range a.tls {
		if seen[c.service.Hostname] {
			continue
		}
		seen[c.service.Hostname] = true
		l.FilterChains = append(l.FilterChains, &listenerv3.FilterChain{
			FilterChainMatch: &listenerv3.FilterChainMatch{ServerNames: []string{serverNameOf(c.service.Hostname)}},
			Filters:          []*listenerv3.Filter{sc.toTCP(c)},
		})
	}
	// The legacy dialects took all of an HTTP port for HTTP.
	sniffs := !sc.t.legacy || a.fallback != nil || len(a.tls) > 0
	if a.http {
		if sniffs {
			l.ListenerFilters = append(l.ListenerFilters, listenerFilter(httpInspector, &httpinv3.HttpInspector{}, nil))
		}
		l.FilterChains = append(l.FilterChains, sc.httpChain(l.Name, fmt.Sprint(port), sniffs))
	}
	switch {
	case a.fallback != nil && len(l.FilterChains) == 0:
		l.FilterChains = []*listenerv3.FilterChain{{Filters: []*listenerv3.Filter{sc.toTCP(a.fallback)}}}
	case a.fallback != nil:
		l.DefaultFilterChain = &listenerv3.FilterChain{Filters: []*listenerv3.Filter{sc.toTCP(a.fallback)}}
	case sniffs:
		l.DefaultFilterChain = sc.elsewhere("PassthroughFilterChain")
	}
	return sc.t.store.add(l.Name, l)
}

// serverNameOf is a host as a filter chain matches it; "*" alone would match nothing.
func serverNameOf(host string) string { return strings.ToLower(host) }

// unknown is the cluster for destinations that are in no registry.
func (sc *scope) unknown() string {
	if sc.blocked {
		return blackHoleCluster
	}
	return passthroughCluster
}

func (sc *scope) elsewhere(name string) *listenerv3.FilterChain {
	to := sc.unknown()
	return &listenerv3.FilterChain{Name: name, Filters: []*listenerv3.Filter{sc.t.forward(to, nil, true, target{cluster: to})}}
}

// virtualOutbound is the listener for all that a workload sends.
func (sc *scope) virtualOutbound() *Resource {
	t := sc.t
	return t.store.add(virtualOutbound, &listenerv3.Listener{
		Name:             virtualOutbound,
		Address:          address(anyAddress, outboundPort),
		UseOriginalDst:   truth(true),
		TrafficDirection: corev3.TrafficDirection_OUTBOUND,
		AccessLog:        t.listenerLog(),
		FilterChains: []*listenerv3.FilterChain{{
			Name:             "virtualOutbound-blackhole",
			FilterChainMatch: &listenerv3.FilterChainMatch{DestinationPort: number(outboundPort)},
			Filters:          []*listenerv3.Filter{t.forward(blackHoleCluster, nil, false, target{cluster: blackHoleCluster})},
		}, sc.elsewhere("virtualOutbound-catchall-tcp")},
	})
}
