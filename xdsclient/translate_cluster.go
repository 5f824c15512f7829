//lint:file-ignore SA1019 control planes still send what Envoy calls deprecated

package xdsclient

import (
	"errors"
	"fmt"
	"net/netip"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	upstreamv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"

	"github.com/oarlock/oarlock/proxy"
)

const (
	clusterObeyed = `name type eds_cluster_config connect_timeout lb_policy load_balancing_policy load_assignment
		circuit_breakers typed_extension_protocol_options transport_socket transport_socket_matches metadata
		upstream_bind_config outlier_detection common_lb_config upstream_connection_options dns_refresh_rate
		original_dst_lb_config max_requests_per_connection http2_protocol_options common_http_protocol_options filters`
	clusterHarmless = `alt_stat_name dns_jitter respect_dns_ttl dns_lookup_family typed_dns_resolver_config
		dns_failure_refresh_rate dns_resolution_config dns_resolvers use_tcp_for_dns_lookups cleanup_interval
		per_connection_buffer_limit_bytes health_checks wait_for_warm_on_init ignore_health_on_host_removal
		close_connections_on_host_health_failure track_timeout_budgets track_cluster_stats preconnect_policy
		connection_pool_per_downstream_connection http_protocol_options protocol_selection lrs_server
		lrs_report_endpoint_metrics ring_hash_lb_config maglev_lb_config least_request_lb_config round_robin_lb_config`
)

// translateCluster gives the cluster, and for EDS the name of its endpoints.
func (t *translation) translateCluster(c *clusterv3.Cluster) (*proxy.Cluster, string, error) {
	if err := t.fields(c, clusterObeyed, clusterHarmless); err != nil {
		return nil, "", err
	}
	if c.Name == "" {
		return nil, "", errNoName
	}
	out := &proxy.Cluster{
		Name:                     c.Name,
		ConnectTimeout:           c.GetConnectTimeout().AsDuration(),
		IdleTimeout:              c.GetCommonHttpProtocolOptions().GetIdleTimeout().AsDuration(),
		MaxRequestsPerConnection: c.GetMaxRequestsPerConnection().GetValue(),
		HTTP2:                    c.Http2ProtocolOptions != nil,
		DNSRefresh:               c.GetDnsRefreshRate().AsDuration(),
	}
	t.clusterMetadata(c.Metadata, out)
	eds, err := t.discovery(c, out)
	if err != nil {
		return nil, "", err
	}
	steps := []func(*clusterv3.Cluster, *proxy.Cluster) error{
		t.balancer, t.sockets, t.protocolOptions, t.breakers, t.outlier, t.upstreamConnections, t.clusterFilters,
	}
	for _, step := range steps {
		if err := step(c, out); err != nil {
			return nil, "", err
		}
	}
	return out, eds, nil
}

// clusterMetadata reads what the control plane says about the cluster besides.
func (t *translation) clusterMetadata(m *corev3.Metadata, out *proxy.Cluster) {
	out.ALPNOverride = metadataText(m, "istio", "alpn_override") != "false"
	out.Rule = metadataText(m, "istio", "config")
	out.Policy = metadataText(m, ownMetadata, "policy")
	for _, v := range m.GetFilterMetadata()["istio"].GetFields()["services"].GetListValue().GetValues() {
		s := texts(v.GetStructValue())
		out.Services = append(out.Services, proxy.ServiceName{Host: s["host"], Name: s["name"], Namespace: s["namespace"]})
	}
}

// discovery reads how endpoints are found.
func (t *translation) discovery(c *clusterv3.Cluster, out *proxy.Cluster) (eds string, err error) {
	switch c.GetType() {
	case clusterv3.Cluster_EDS:
		out.Discovery = proxy.EDS
		if c.GetEdsClusterConfig().GetEdsConfig().GetAds() == nil {
			return "", errors.New("eds_config other than ads is not supported")
		}
		if eds = c.GetEdsClusterConfig().GetServiceName(); eds == "" {
			eds = c.Name
		}
		return eds, nil
	case clusterv3.Cluster_STATIC:
		out.Discovery = proxy.Static
	case clusterv3.Cluster_STRICT_DNS:
		out.Discovery = proxy.StrictDNS
	case clusterv3.Cluster_LOGICAL_DNS:
		out.Discovery = proxy.LogicalDNS
	case clusterv3.Cluster_ORIGINAL_DST:
		out.Discovery = proxy.OriginalDst
		return "", t.originalDst(c, out)
	default:
		return "", fmt.Errorf("type: %s is not supported", c.GetType())
	}
	dns := out.Discovery != proxy.Static
	out.Endpoints, err = t.translateEndpoints(c.LoadAssignment, dns)
	return "", err
}

// originalDst reads the options of a cluster without endpoints.
func (t *translation) originalDst(c *clusterv3.Cluster, out *proxy.Cluster) error {
	o := c.GetOriginalDstLbConfig()
	if o == nil {
		return nil
	}
	if err := t.fields(o, "upstream_port_override", ""); err != nil {
		return err
	}
	port := o.GetUpstreamPortOverride().GetValue()
	if port > 65535 {
		return fmt.Errorf("upstream_port_override: %d is none", port)
	}
	out.OriginalPort = uint16(port)
	return nil
}

// balancer reads the load balancing policy. A policy that keeps clients at their endpoint becomes round robin.
func (t *translation) balancer(c *clusterv3.Cluster, out *proxy.Cluster) error {
	for _, p := range c.GetLoadBalancingPolicy().GetPolicies() {
		e, err := extensionOf(p.GetTypedExtensionConfig().GetName(), p.GetTypedExtensionConfig().GetTypedConfig())
		if err != nil {
			return err
		}
		switch e.url {
		case "envoy.extensions.load_balancing_policies.round_robin.v3.RoundRobin":
			return nil
		case "envoy.extensions.load_balancing_policies.least_request.v3.LeastRequest":
			out.Balancer = proxy.LeastRequest
			return nil
		case "envoy.extensions.load_balancing_policies.random.v3.Random":
			out.Balancer = proxy.Random
			return nil
		}
		t.ignore(e.url)
	}
	switch c.LbPolicy {
	case clusterv3.Cluster_ROUND_ROBIN, clusterv3.Cluster_CLUSTER_PROVIDED, clusterv3.Cluster_LOAD_BALANCING_POLICY_CONFIG:
	case clusterv3.Cluster_LEAST_REQUEST:
		out.Balancer = proxy.LeastRequest
	case clusterv3.Cluster_RANDOM:
		out.Balancer = proxy.Random
	default:
		t.ignore("Cluster.lb_policy " + c.LbPolicy.String())
	}
	return nil
}

// sockets reads the transport socket and the matches.
func (t *translation) sockets(c *clusterv3.Cluster, out *proxy.Cluster) (err error) {
	if out.TLS, err = t.clientTLS(c.TransportSocket); err != nil {
		return fmt.Errorf("transport socket: %w", err)
	}
	for _, m := range c.TransportSocketMatches {
		one := proxy.SocketMatch{Name: m.Name, Labels: texts(m.Match)}
		if len(one.Labels) != len(m.GetMatch().GetFields()) {
			return fmt.Errorf("transport socket match %q: only texts are supported", m.Name)
		}
		if one.TLS, err = t.clientTLS(m.TransportSocket); err != nil {
			return fmt.Errorf("transport socket match %q: %w", m.Name, err)
		}
		out.Sockets = append(out.Sockets, one)
	}
	return nil
}

// protocolOptions reads the options of HTTP.
func (t *translation) protocolOptions(c *clusterv3.Cluster, out *proxy.Cluster) error {
	for name, a := range c.TypedExtensionProtocolOptions {
		if name != "envoy.extensions.upstreams.http.v3.HttpProtocolOptions" {
			return fmt.Errorf("typed_extension_protocol_options: %s is not supported", name)
		}
		o := &upstreamv3.HttpProtocolOptions{}
		if err := decode(a, o); err != nil {
			return err
		}
		err := t.fields(o, `common_http_protocol_options upstream_http_protocol_options explicit_http_config
			use_downstream_protocol_config auto_config`, "header_validation_config")
		if err != nil {
			return err
		}
		if h := o.CommonHttpProtocolOptions; h != nil {
			if err := t.fields(h, "idle_timeout max_requests_per_connection", commonHTTPHarmless+" max_headers_count"); err != nil {
				return err
			}
			out.IdleTimeout = h.GetIdleTimeout().AsDuration()
			out.MaxRequestsPerConnection = h.GetMaxRequestsPerConnection().GetValue()
		}
		if e := o.GetExplicitHttpConfig(); e != nil {
			if e.GetHttp3ProtocolOptions() != nil {
				return errors.New("http3_protocol_options is not supported")
			}
			out.HTTP2 = e.GetHttp2ProtocolOptions() != nil
		}
		if o.GetAutoConfig() != nil {
			t.ignore("HttpProtocolOptions.auto_config")
		}
		if err := t.autoNames(o.UpstreamHttpProtocolOptions, out); err != nil {
			return err
		}
	}
	return nil
}

// autoNames obeys auto_sni and auto_san_validation, for sockets that have no name of their own. Envoy takes the request's
// authority; here it is the host that the cluster is for, which is the same unless a route lets other authorities in, and
// then it is the stricter of the two.
func (t *translation) autoNames(o *corev3.UpstreamHttpProtocolOptions, out *proxy.Cluster) error {
	if o == nil {
		return nil
	}
	if err := t.fields(o, "auto_sni auto_san_validation", ""); err != nil {
		return err
	}
	if !o.AutoSni && !o.AutoSanValidation {
		return nil
	}
	all := []*proxy.ClientTLS{out.TLS}
	for i := range out.Sockets {
		all = append(all, out.Sockets[i].TLS)
	}
	for _, c := range all {
		if c == nil || c.SNI != "" && len(c.Peers) > 0 {
			continue
		}
		host, err := hostOf(out)
		if err != nil {
			return err
		}
		if o.AutoSni && c.SNI == "" {
			c.SNI = host
		}
		if o.AutoSanValidation && len(c.Peers) == 0 && c.Trust != (proxy.Trust{}) {
			c.Peers = []proxy.NameMatch{{Value: host}}
		}
	}
	return nil
}

// hostOf is the one host name that a cluster is for.
func hostOf(c *proxy.Cluster) (string, error) {
	if len(c.Services) == 1 && c.Services[0].Host != "" && c.Services[0].Host[0] != '*' {
		return c.Services[0].Host, nil
	}
	host := ""
	for _, e := range c.Endpoints {
		if e.Host == "" || host != "" && host != e.Host {
			return "", errors.New("auto_sni for more than one host is not supported")
		}
		host = e.Host
	}
	if host == "" {
		return "", errors.New("auto_sni for no known host is not supported")
	}
	return host, nil
}

// upstreamConnections reads what sockets to endpoints are like.
func (t *translation) upstreamConnections(c *clusterv3.Cluster, out *proxy.Cluster) error {
	if b := c.UpstreamBindConfig; b != nil {
		if err := t.fields(b, "source_address", "socket_options freebind extra_source_addresses"); err != nil {
			return err
		}
		if b.SourceAddress != nil {
			ip, err := netip.ParseAddr(b.SourceAddress.Address)
			if err != nil || b.SourceAddress.GetPortValue() != 0 {
				return fmt.Errorf("upstream_bind_config: %q with port %d is not supported", b.SourceAddress.Address,
					b.SourceAddress.GetPortValue())
			}
			out.BindSource = ip
		}
	}
	if o := c.UpstreamConnectionOptions; o != nil {
		err := t.fields(o, "tcp_keepalive", "set_local_interface_name_on_upstream_connections happy_eyeballs_config")
		if err != nil {
			return err
		}
		if k := o.TcpKeepalive; k != nil {
			out.KeepAlive = &proxy.KeepAlive{
				Probes: int(min(k.GetKeepaliveProbes().GetValue(), 127)), Time: seconds(k.KeepaliveTime), Interval: seconds(k.KeepaliveInterval),
			}
		}
	}
	return nil
}

// clusterFilters takes the one that is obeyed by ALPN, and no other.
func (t *translation) clusterFilters(c *clusterv3.Cluster, _ *proxy.Cluster) error {
	for _, f := range c.Filters {
		e, err := extensionOf(f.Name, f.TypedConfig)
		if err != nil {
			return fmt.Errorf("filter %q: %w", f.Name, err)
		}
		if e.url != urlPeerExchange {
			return fmt.Errorf("filter %q: %s is not supported", f.Name, e.url)
		}
	}
	return nil
}
