//lint:file-ignore SA1019 control planes still send what Envoy calls deprecated

package xdsclient

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	tcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	"google.golang.org/protobuf/proto"

	"github.com/oarlock/oarlock/proxy"
)

const (
	listenerObeyed = `name address filter_chains default_filter_chain use_original_dst listener_filters
		listener_filters_timeout continue_on_listener_filters_timeout traffic_direction bind_to_port deprecated_v1
		access_log metadata`
	listenerHarmless = `stat_prefix max_connections_to_accept_per_socket_event per_connection_buffer_limit_bytes drain_type
		freebind transparent socket_options reuse_port enable_reuse_port connection_balance_config tcp_backlog_size
		tcp_fast_open_queue_length bypass_overload_manager ignore_global_conn_limit enable_mptcp`

	chainObeyed = `name filter_chain_match filters transport_socket transport_socket_connect_timeout metadata`
	matchObeyed = `destination_port prefix_ranges server_names transport_protocol application_protocols`

	tcpObeyed   = `stat_prefix cluster weighted_clusters idle_timeout access_log`
	tcpHarmless = `max_connect_attempts hash_policy max_downstream_connection_duration access_log_options
		access_log_flush_interval flush_access_log_on_connected backoff_options on_demand check_drain_close
		max_early_data_bytes upstream_connect_mode`
)

// The numbers of the fields that are obeyed and not cut out before.
const (
	plainListener = 1<<1 | 1<<2 | 1<<4 | 1<<6 | 1<<7 | 1<<9 | 1<<15 | 1<<16 | 1<<17 | 1<<26
	plainChain    = 1<<7 | 1<<9
	plainMatch    = 1<<3 | 1<<8 | 1<<9 | 1<<10 | 1<<11
)

// defaultListenerTimeout is Envoy's.
const defaultListenerTimeout = 15 * time.Second

// translateListener gives the listener and the names of the route tables that it wants. Its chains, its logs and its
// default chain come apart, as bytes.
func (t *translation) translateListener(l *listenerv3.Listener, pieces [][][]byte) (*proxy.Listener, []string, error) {
	if l.Name == "" {
		return nil, nil, errNoName
	}
	out := &proxy.Listener{
		Name:           l.Name,
		Bind:           bindsPort(l),
		UseOriginalDst: l.GetUseOriginalDst().GetValue(),
		OriginalDst:    l.GetUseOriginalDst().GetValue(),
		InspectTimeout: defaultListenerTimeout,
	}
	if l.TrafficDirection == corev3.TrafficDirection_INBOUND {
		out.Direction = proxy.Inbound
	}
	if l.ListenerFiltersTimeout != nil {
		out.InspectTimeout = orNegative(l.ListenerFiltersTimeout)
	}
	if out.InspectTimeout > 0 && !l.ContinueOnListenerFiltersTimeout && len(l.ListenerFilters) > 0 {
		t.ignore("Listener.continue_on_listener_filters_timeout=false")
	}
	var err error
	if out.Address, err = socketAddress(l.Address); err != nil {
		return nil, nil, err
	}
	if err := t.listenerFilters(l, out); err != nil {
		return nil, nil, err
	}
	if out.Chains, err = each(pieces[0], "filter chain", t.rawChain); err != nil {
		return nil, nil, err
	}
	if len(pieces[2]) > 0 {
		if out.Default, err = t.rawChain(one(pieces[2])); err != nil {
			return nil, nil, fmt.Errorf("default filter chain: %w", err)
		}
	}
	if out.AccessLog, err = t.listenerLogs(pieces[1]); err != nil {
		return nil, nil, err
	}
	return out, routeNames(out), nil
}

// bindsPort says whether the listener has a socket of its own.
func bindsPort(l *listenerv3.Listener) bool {
	if l.BindToPort != nil {
		return l.BindToPort.Value
	}
	if v := l.GetDeprecatedV1().GetBindToPort(); v != nil {
		return v.Value
	}
	return true
}

// routeNames lists the route tables that a listener's chains name, each once.
func routeNames(l *proxy.Listener) []string {
	names := map[string]bool{}
	for _, c := range append(slices.Clone(l.Chains), l.Default) {
		if c != nil && c.HTTP != nil && c.HTTP.RouteName != "" {
			names[c.HTTP.RouteName] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// socketAddress reads an IP address and a port.
func socketAddress(a *corev3.Address) (netip.AddrPort, error) {
	s := a.GetSocketAddress()
	if s == nil {
		return netip.AddrPort{}, fmt.Errorf("address: only socket_address is supported")
	}
	if s.Protocol != corev3.SocketAddress_TCP {
		return netip.AddrPort{}, fmt.Errorf("address: protocol %s is not supported", s.Protocol)
	}
	ip, err := netip.ParseAddr(s.Address)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("address: %w", err)
	}
	port := s.GetPortValue()
	if port > 65535 || s.GetNamedPort() != "" {
		return netip.AddrPort{}, fmt.Errorf("address: port %d%s is none", port, s.GetNamedPort())
	}
	return netip.AddrPortFrom(ip, uint16(port)), nil
}

// listenerFilters reads what is looked at before a chain is chosen.
func (t *translation) listenerFilters(l *listenerv3.Listener, out *proxy.Listener) error {
	for _, f := range l.ListenerFilters {
		if f.GetConfigDiscovery() != nil {
			return fmt.Errorf("listener filter %q: config_discovery is not supported", f.Name)
		}
		e, err := extensionOf(f.Name, f.GetTypedConfig())
		if err != nil {
			return fmt.Errorf("listener filter %q: %w", f.Name, err)
		}
		ports, err := portsOf(f.FilterDisabled)
		if err != nil {
			return fmt.Errorf("listener filter %q: %w", f.Name, err)
		}
		switch e.url {
		case "envoy.extensions.filters.listener.original_dst.v3.OriginalDst", "envoy.filters.listener.original_dst":
			out.OriginalDst = true
		case "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector", "envoy.filters.listener.tls_inspector":
			out.InspectTLS = ports
		case "envoy.extensions.filters.listener.http_inspector.v3.HttpInspector", "envoy.filters.listener.http_inspector":
			out.InspectHTTP = ports
		case "envoy.extensions.filters.common.set_filter_state.v3.Config",
			"envoy.extensions.filters.listener.set_filter_state.v3.Config":
			t.ignore(e.url)
		default:
			return fmt.Errorf("listener filter %q: %s is not supported", f.Name, e.url)
		}
	}
	return nil
}

// portsOf turns a predicate that switches a filter off into the ports where it is on.
func portsOf(p *listenerv3.ListenerFilterChainMatchPredicate) (proxy.Ports, error) {
	switch r := p.GetRule().(type) {
	case nil:
		return proxy.Ports{On: true}, nil
	case *listenerv3.ListenerFilterChainMatchPredicate_AnyMatch:
		return proxy.Ports{On: !r.AnyMatch}, nil
	case *listenerv3.ListenerFilterChainMatchPredicate_DestinationPortRange:
		first, end := r.DestinationPortRange.GetStart(), r.DestinationPortRange.GetEnd()
		if first < 0 || end <= first || end > 65536 {
			return proxy.Ports{}, fmt.Errorf("filter_disabled: range %d to %d is none", first, end)
		}
		return proxy.Ports{On: true, Except: [][2]uint16{{uint16(first), uint16(end - 1)}}}, nil
	case *listenerv3.ListenerFilterChainMatchPredicate_OrMatch:
		out := proxy.Ports{On: true}
		for _, p := range r.OrMatch.GetRules() {
			one, err := portsOf(p)
			if err != nil {
				return out, err
			}
			out.On = out.On && one.On
			out.Except = append(out.Except, one.Except...)
		}
		return out, nil
	}
	return proxy.Ports{}, fmt.Errorf("filter_disabled: %T is not supported", p.GetRule())
}

// rawChain decodes and reads one chain.
func (t *translation) rawChain(b []byte) (*proxy.FilterChain, error) {
	return once(t, "chain", b, func() (*proxy.FilterChain, error) {
		c := &listenerv3.FilterChain{}
		pieces, rest := cut(b, fieldFilters, fieldSocket, fieldMatch, fieldMetadata)
		if err := proto.Unmarshal(rest, c); err != nil {
			return nil, fmt.Errorf("decode: %w", err)
		}
		if err := t.rawFields(rest, plainChain, c, chainObeyed, ""); err != nil {
			return nil, err
		}
		return t.filterChain(c, pieces)
	})
}

// filterChain reads one chain, whose filters, transport socket, match and metadata come apart.
func (t *translation) filterChain(c *listenerv3.FilterChain, pieces [][][]byte) (*proxy.FilterChain, error) {
	out := &proxy.FilterChain{
		Name:             c.Name,
		HandshakeTimeout: c.GetTransportSocketConnectTimeout().AsDuration(),
	}
	var err error
	if out.Policy, err = t.chainPolicy(one(pieces[3])); err != nil {
		return nil, err
	}
	if out.Match, err = t.chainMatch(one(pieces[2])); err != nil {
		return nil, err
	}
	if len(pieces[1]) > 0 {
		if out.TLS, err = t.rawSocket(one(pieces[1])); err != nil {
			return nil, fmt.Errorf("transport socket: %w", err)
		}
	}
	if err := t.networkFilters(pieces[0], out); err != nil {
		return nil, err
	}
	return out, nil
}

// chainPolicy reads from the metadata of a chain which policy decided; "" where it does not say.
func (t *translation) chainPolicy(b []byte) (string, error) {
	if len(b) == 0 {
		return "", nil
	}
	return once(t, "metadata", b, func() (string, error) {
		m := &corev3.Metadata{}
		if err := proto.Unmarshal(b, m); err != nil {
			return "", fmt.Errorf("decode metadata: %w", err)
		}
		return metadataText(m, ownMetadata, "policy"), nil
	})
}

// chainMatch reads which connections a chain is for.
func (t *translation) chainMatch(b []byte) (proxy.ChainMatch, error) {
	var out proxy.ChainMatch
	m := &listenerv3.FilterChainMatch{}
	if err := proto.Unmarshal(b, m); err != nil {
		return out, fmt.Errorf("decode filter_chain_match: %w", err)
	}
	if err := t.rawFields(b, plainMatch, m, matchObeyed, ""); err != nil {
		return out, err
	}
	if p := m.GetDestinationPort().GetValue(); p > 65535 {
		return out, fmt.Errorf("destination_port: %d is none", p)
	}
	out.Port = uint16(m.GetDestinationPort().GetValue())
	for _, r := range m.PrefixRanges {
		ip, err := netip.ParseAddr(r.AddressPrefix)
		if err != nil {
			return out, fmt.Errorf("prefix_ranges: %w", err)
		}
		p, err := ip.Prefix(int(r.GetPrefixLen().GetValue()))
		if err != nil {
			return out, fmt.Errorf("prefix_ranges: %w", err)
		}
		out.Prefixes = append(out.Prefixes, p)
	}
	switch m.TransportProtocol {
	case "", proxy.TransportTLS, proxy.TransportRaw:
		out.Transport = m.TransportProtocol
	default:
		return out, fmt.Errorf("transport_protocol: %q is not supported", m.TransportProtocol)
	}
	out.Names, out.ALPN = m.ServerNames, m.ApplicationProtocols
	return out, nil
}

// networkFilters reads the filters of a chain, the last of which must be one that carries connections.
func (t *translation) networkFilters(filters [][]byte, out *proxy.FilterChain) error {
	exchange := false
	for i, b := range filters {
		f, err := once(t, "filter", b, func() (networkFilter, error) { return t.networkFilter(b) })
		if err != nil {
			return err
		}
		out.TCP, out.HTTP, exchange = f.tcp, f.http, exchange || f.exchange
		if last := i == len(filters)-1; last != (out.TCP != nil || out.HTTP != nil) {
			return fmt.Errorf("filter %q: tcp_proxy or http_connection_manager must be the last filter", f.name)
		}
	}
	if out.TCP != nil && exchange {
		with := *out.TCP // which other chains have too
		with.PeerExchange = true
		out.TCP = &with
	}
	if out.TCP == nil && out.HTTP == nil {
		return fmt.Errorf("filters: there is neither tcp_proxy nor http_connection_manager")
	}
	return nil
}

// networkFilter is a filter of a chain: one that carries connections, one that exchanges metadata with peers, or one that
// is left out.
type networkFilter struct {
	name     string
	tcp      *proxy.TCPProxy
	http     *proxy.HTTPManager
	exchange bool
}

func (t *translation) networkFilter(b []byte) (networkFilter, error) {
	f := &listenerv3.Filter{}
	if err := proto.Unmarshal(b, f); err != nil {
		return networkFilter{}, fmt.Errorf("decode filter: %w", err)
	}
	out := networkFilter{name: f.Name}
	if f.GetConfigDiscovery() != nil {
		return out, fmt.Errorf("filter %q: config_discovery is not supported", f.Name)
	}
	e, err := extensionOf(f.Name, f.GetTypedConfig())
	if err != nil {
		return out, fmt.Errorf("filter %q: %w", f.Name, err)
	}
	switch e.url {
	case "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy":
		out.tcp, err = t.tcpProxy(e)
	case "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager":
		out.http, err = t.httpManager(e)
	case urlPeerExchange:
		out.exchange = true
	case urlStats, "envoy.extensions.filters.network.set_filter_state.v3.Config",
		"envoy.extensions.filters.network.mysql_proxy.v3.MySQLProxy",
		"envoy.extensions.filters.network.mongo_proxy.v3.MongoProxy":
		t.ignore(e.url)
	default:
		err = fmt.Errorf("%s is not supported", e.url)
	}
	if err != nil {
		return out, fmt.Errorf("filter %q: %w", f.Name, err)
	}
	return out, nil
}

// Extensions of Istio's.
const (
	urlPeerExchange = "envoy.tcp.metadataexchange.config.MetadataExchange"
	urlStats        = "stats.PluginConfig"
)

// tcpProxy reads the filter that carries bytes.
func (t *translation) tcpProxy(e extension) (*proxy.TCPProxy, error) {
	c := &tcpv3.TcpProxy{}
	if err := decode(e.body, c); err != nil {
		return nil, err
	}
	if err := t.fields(c, tcpObeyed, tcpHarmless); err != nil {
		return nil, err
	}
	out := &proxy.TCPProxy{StatPrefix: c.StatPrefix, IdleTimeout: orNegative(c.IdleTimeout)}
	if c.GetCluster() != "" {
		out.Clusters = []proxy.WeightedCluster{{Name: c.GetCluster(), Weight: 1}}
	}
	for _, w := range c.GetWeightedClusters().GetClusters() {
		if err := t.fields(w, "name weight", ""); err != nil {
			return nil, err
		}
		out.Clusters = append(out.Clusters, proxy.WeightedCluster{Name: w.Name, Weight: w.Weight})
	}
	if len(out.Clusters) == 0 {
		return nil, fmt.Errorf("tcp_proxy names no cluster")
	}
	var err error
	out.AccessLog, err = t.accessLogs(c.AccessLog)
	return out, err
}
