package xds

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	httpinv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/http_inspector/v3"
	origv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/original_dst/v3"
	tlsinv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/tls_inspector/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/resolve"
)

// The listeners that every sidecar has.
const (
	virtualInbound  = "virtualInbound"
	virtualOutbound = "virtualOutbound"
	inboundPort     = 15006
	outboundPort    = 15001
)

const (
	transportTLS = "tls"
	transportRaw = "raw_buffer"
)

// chain is one row of the table of inbound filter chains: what is matched, and what is done.
type chain struct {
	transport string // "" matches all
	alpn      []string
	tls       bool // mTLS is terminated
	http      bool
}

// chainTable gives the chains of a port (semantics L18, M39): by mode and class in the current dialect, by mode alone in
// the legacy ones, in which ports were never sniffed inbound.
func chainTable(mode mesh.Mode, class resolve.ProtocolClass, legacy bool) []chain {
	if legacy {
		return legacyChains(mode, class == resolve.ProtocolHTTP)
	}
	plainHTTP := []string{"http/1.1", "h2c"}
	switch class {
	case resolve.ProtocolHTTP:
		return httpChains(mode)
	case resolve.ProtocolAuto:
		plain := []chain{{transport: transportRaw, alpn: plainHTTP, http: true}, {transport: transportRaw}}
		switch mode {
		case mesh.ModeStrict:
			return []chain{{transport: transportTLS, alpn: alpnHTTP(), tls: true, http: true}, {transport: transportTLS, tls: true}}
		case mesh.ModeDisable:
			return plain
		}
		return append([]chain{
			{transport: transportTLS, alpn: alpnHTTP(), tls: true, http: true},
			{transport: transportTLS, alpn: []string{alpnPeerExchange, alpnIstio}, tls: true},
			{transport: transportTLS},
		}, plain...)
	}
	switch mode {
	case mesh.ModeStrict:
		return []chain{{transport: transportTLS, tls: true}}
	case mesh.ModeDisable:
		return []chain{{transport: transportRaw}}
	}
	return []chain{{transport: transportTLS, alpn: alpnMesh(), tls: true}, {transport: transportTLS}, {transport: transportRaw}}
}

func alpnMesh() []string { return append([]string{alpnIstio, alpnPeerExchange}, alpnHTTP()...) }

func httpChains(mode mesh.Mode) []chain {
	switch mode {
	case mesh.ModeStrict:
		return []chain{{transport: transportTLS, tls: true, http: true}}
	case mesh.ModeDisable:
		return []chain{{transport: transportRaw, http: true}}
	}
	return []chain{{transport: transportTLS, alpn: alpnMesh(), tls: true, http: true}, {transport: transportRaw, http: true}}
}

// legacyChains: a strict port is one for TLS alone, so that plaintext meets no chain. A permissive one does not match the
// transport: Envoy never goes back from a step, and TLS that is not of the mesh shall find the other chain.
func legacyChains(mode mesh.Mode, http bool) []chain {
	switch mode {
	case mesh.ModeStrict:
		return []chain{{transport: transportTLS, tls: true, http: http}}
	case mesh.ModeDisable:
		return []chain{{http: http}}
	}
	return []chain{{alpn: []string{alpnIstio}, tls: true, http: http}, {http: http}}
}

// virtualInbound is the listener for all that reaches a workload: a set of chains for each port, one for the others, and
// none for its own.
func (t *Translator) virtualInbound(listens []resolve.Listen) *Resource {
	out := &listenerv3.Listener{
		Name:                             virtualInbound,
		Address:                          address("0.0.0.0", inboundPort),
		TrafficDirection:                 corev3.TrafficDirection_INBOUND,
		ListenerFiltersTimeout:           t.detection(),
		ContinueOnListenerFiltersTimeout: true,
		AccessLog:                        t.listenerLog(),
		FilterChains: []*listenerv3.FilterChain{{
			Name:             "virtualInbound-blackhole",
			FilterChainMatch: &listenerv3.FilterChainMatch{DestinationPort: number(inboundPort)},
			Filters:          []*listenerv3.Filter{t.forward(blackHoleCluster, nil, false, target{cluster: blackHoleCluster})},
		}},
	}
	tls, http := inspected{}, inspected{}
	for _, l := range listens {
		out.FilterChains = append(out.FilterChains, t.inboundChains(l)...)
		tls.note(l.Port, l.Mode != mesh.ModeDisable)
		http.note(l.Port, l.Mode != mesh.ModeStrict && l.Protocol.Class == resolve.ProtocolAuto && !t.legacy)
	}
	out.ListenerFilters = []*listenerv3.ListenerFilter{listenerFilter("envoy.filters.listener.original_dst", &origv3.OriginalDst{}, nil)}
	if tls.rest || len(tls.on) > 0 {
		out.ListenerFilters = append(out.ListenerFilters, listenerFilter(tlsInspector, &tlsinv3.TlsInspector{}, tls.except()))
	}
	if http.rest || len(http.on) > 0 {
		out.ListenerFilters = append(out.ListenerFilters, listenerFilter(httpInspector, &httpinv3.HttpInspector{}, http.except()))
	}
	return t.store.add(virtualInbound, out)
}

const (
	tlsInspector  = "envoy.filters.listener.tls_inspector"
	httpInspector = "envoy.filters.listener.http_inspector"
)

// inspected says on which ports the first bytes are looked at.
type inspected struct {
	rest    bool // on those that nobody names
	on, off []uint32
}

func (i *inspected) note(port uint32, look bool) {
	switch {
	case port == 0:
		i.rest = look
	case look:
		i.on = append(i.on, port)
	default:
		i.off = append(i.off, port)
	}
}

// except lists the ranges that are not looked at, the listener's own port among them.
func (i *inspected) except() []*typev3.Int32Range {
	if i.rest {
		return single(append(i.off, inboundPort))
	}
	return allBut(i.on)
}

// detection is how long a connection may say nothing before it counts as one of a server-first protocol; zero waits for
// good, today's default. The legacy dialects waited 100 ms.
func (t *Translator) detection() *durationpb.Duration {
	if t.legacy {
		return durationpb.New(cmp.Or(t.snap.Config.ProtocolDetectionTimeout, 100*time.Millisecond))
	}
	return durationpb.New(t.snap.Config.ProtocolDetectionTimeout)
}

// single gives the range of each port.
func single(ports []uint32) []*typev3.Int32Range {
	slices.Sort(ports)
	var out []*typev3.Int32Range
	for _, p := range slices.Compact(ports) {
		out = append(out, &typev3.Int32Range{Start: int32(p), End: int32(p) + 1})
	}
	return out
}

// allBut gives the ranges between some ports.
func allBut(ports []uint32) []*typev3.Int32Range {
	var out []*typev3.Int32Range
	next := int32(0)
	for _, r := range append(single(ports), &typev3.Int32Range{Start: 65536, End: 65536}) {
		if r.Start > next {
			out = append(out, &typev3.Int32Range{Start: next, End: r.Start})
		}
		next = r.End
	}
	return out
}

// listenerFilter is a filter for all ports except some.
func listenerFilter(name string, m proto.Message, except []*typev3.Int32Range) *listenerv3.ListenerFilter {
	f := &listenerv3.ListenerFilter{Name: name, ConfigType: &listenerv3.ListenerFilter_TypedConfig{TypedConfig: pack(m)}}
	var rules []*listenerv3.ListenerFilterChainMatchPredicate
	for _, r := range except {
		rules = append(rules, &listenerv3.ListenerFilterChainMatchPredicate{Rule: &listenerv3.ListenerFilterChainMatchPredicate_DestinationPortRange{
			DestinationPortRange: r}})
	}
	switch {
	case len(rules) == 1:
		f.FilterDisabled = rules[0]
	case len(rules) > 1:
		f.FilterDisabled = &listenerv3.ListenerFilterChainMatchPredicate{Rule: &listenerv3.ListenerFilterChainMatchPredicate_OrMatch{
			OrMatch: &listenerv3.ListenerFilterChainMatchPredicate_MatchSet{Rules: rules}}}
	}
	return f
}

// inboundChains are the chains of one port.
func (t *Translator) inboundChains(l resolve.Listen) []*listenerv3.FilterChain {
	if l.OwnTLS && l.Mode == mesh.ModeDisable {
		// The Sidecar's listener wants a certificate that the mesh does not have: better nothing than plaintext.
		return []*listenerv3.FilterChain{{
			Name:             chainName(l),
			FilterChainMatch: &listenerv3.FilterChainMatch{DestinationPort: number(l.Port)},
			Filters:          []*listenerv3.Filter{t.forward(blackHoleCluster, nil, false, target{cluster: blackHoleCluster})},
		}}
	}
	var out []*listenerv3.FilterChain
	for _, row := range chainTable(l.Mode, l.Protocol.Class, t.legacy) {
		out = append(out, t.inboundChain(l, row))
	}
	return out
}

func chainName(l resolve.Listen) string {
	if l.Port == 0 {
		return virtualInbound
	}
	return fmt.Sprintf("0.0.0.0_%d", l.Port)
}

func (t *Translator) inboundChain(l resolve.Listen, row chain) *listenerv3.FilterChain {
	c := &listenerv3.FilterChain{Name: chainName(l), FilterChainMatch: &listenerv3.FilterChainMatch{
		TransportProtocol: row.transport, ApplicationProtocols: row.alpn,
	}}
	to := inboundPassthroughCluster
	if l.Declared {
		to = inboundName(l.Port)
	}
	if l.Port != 0 {
		c.FilterChainMatch.DestinationPort = number(l.Port)
	} else if row.http {
		c.Name = "virtualInbound-catchall-http"
	}
	if !t.legacy {
		c.Filters = append(c.Filters, networkFilter(filterPeerExchange, t.part("tcp peers", tcpPeerExchange)))
	}
	alpn := []string{"h2", "http/1.1"}
	if row.http {
		stat := chainName(l)
		if l.Port == 0 {
			stat = inboundPassthroughCluster
		}
		c.Filters = append(c.Filters, t.inboundManager("inbound_"+stat+";", to, l))
	} else {
		c.Filters = append(c.Filters, t.forward(to, nil, true, target{cluster: to}))
		if !t.legacy {
			alpn = append([]string{alpnPeerExchange}, alpn...)
		}
	}
	if row.tls {
		c.TransportSocket = t.serverTLS(alpn...)
	}
	if !l.Policy.IsZero() {
		c.Metadata = &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{metaOwn: policyFields(l.Policy)}}
	}
	return c
}

// managerKey is everything that the HTTP manager of an inbound chain comes from besides the settings of the mesh.
type managerKey struct {
	stat, to string
	port     uint32
}

// inboundManager is the HTTP manager of a port. It knows nothing of TLS: the chains of a port share it, and a policy that
// changes leaves it as it was.
func (t *Translator) inboundManager(stat, to string, l resolve.Listen) *listenerv3.Filter {
	k := managerKey{stat, to, l.Port}
	if l.ServicePort != nil {
		k.port = l.ServicePort.Number
	}
	f := t.managers[k]
	if f == nil {
		if f = t.last.managers[k]; f == nil {
			f = t.manager(inward, stat, "", t.inboundRoutes(k.port, to))
		}
		t.managers[k] = f
	}
	return f
}

// inboundRoutes lead every request to the application.
func (t *Translator) inboundRoutes(port uint32, to string) *routev3.RouteConfiguration {
	host := fmt.Sprintf("inbound|http|%d", port)
	r := &routev3.Route{
		Name:  "default",
		Match: &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}},
		Action: &routev3.Route_Route{Route: &routev3.RouteAction{
			ClusterSpecifier:  &routev3.RouteAction_Cluster{Cluster: to},
			Timeout:           seconds(0),
			MaxStreamDuration: &routev3.RouteAction_MaxStreamDuration{MaxStreamDuration: seconds(0), GrpcTimeoutHeaderMax: seconds(0)},
		}},
	}
	if !t.legacy {
		// A request that the application never read may be sent again: it closed an idle connection meanwhile.
		r.GetRoute().RetryPolicy = &routev3.RetryPolicy{RetryOn: "reset-before-request", NumRetries: number(2)}
	}
	return &routev3.RouteConfiguration{
		Name:             to,
		ValidateClusters: truth(false),
		VirtualHosts:     []*routev3.VirtualHost{{Name: host, Domains: []string{"*"}, Routes: []*routev3.Route{r}}},
	}
}
