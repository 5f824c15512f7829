package xdsclient

import (
	"fmt"

	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"github.com/oarlock/oarlock/proxy"
)

const (
	managerObeyed = `stat_prefix rds route_config http_filters access_log server_name server_header_transformation
		common_http_protocol_options stream_idle_timeout max_request_headers_kb upgrade_configs
		forward_client_cert_details set_current_client_cert_details use_remote_address codec_type request_headers_timeout normalize_path
		merge_slashes`
	managerHarmless = `tracing proxy_100_continue path_with_escaped_slashes_action
		request_id_extension http2_protocol_options http3_protocol_options http_protocol_options request_timeout
		delayed_close_timeout drain_timeout via generate_request_id preserve_external_request_id
		always_set_request_id_in_response xff_num_trusted_hops internal_address_config skip_xff_append add_user_agent
		local_reply_config stream_error_on_invalid_http_message typed_header_validation_config strip_any_host_port
		strip_matching_host_port strip_trailing_host_dot access_log_options access_log_flush_interval
		flush_access_log_on_new_request represent_ipv4_remote_address_as_ipv4_mapped_ipv6 append_x_forwarded_port
		append_local_overload proxy_status_config scheme_header_transformation stream_flush_timeout`

	commonHTTPObeyed   = `idle_timeout max_headers_count max_requests_per_connection`
	commonHTTPHarmless = `max_connection_duration max_stream_duration max_response_headers_kb`
)

// httpManager reads the connection manager, with the name of its route table or the table itself.
func (t *translation) httpManager(e extension) (*proxy.HTTPManager, error) {
	c := &hcmv3.HttpConnectionManager{}
	if err := decode(e.body, c); err != nil {
		return nil, err
	}
	if err := t.fields(c, managerObeyed, managerHarmless); err != nil {
		return nil, err
	}
	if c.CodecType == hcmv3.HttpConnectionManager_HTTP3 {
		return nil, fmt.Errorf("codec_type: HTTP3 is not supported")
	}
	out := &proxy.HTTPManager{
		StatPrefix:        c.StatPrefix,
		ServerName:        c.ServerName,
		PassServerName:    c.ServerHeaderTransformation != hcmv3.HttpConnectionManager_OVERWRITE,
		IdleTimeout:       c.GetCommonHttpProtocolOptions().GetIdleTimeout().AsDuration(),
		StreamIdleTimeout: orNegative(c.StreamIdleTimeout),
		HeaderTimeout:     c.GetRequestHeadersTimeout().AsDuration(),
		MaxHeaders:        int(c.GetCommonHttpProtocolOptions().GetMaxHeadersCount().GetValue()),
		MaxHeaderSize:     int(c.GetMaxRequestHeadersKb().GetValue()) << 10,
		RemoteAddress:     c.GetUseRemoteAddress().GetValue(),
	}
	if o := c.CommonHttpProtocolOptions; o != nil {
		if err := t.fields(o, commonHTTPObeyed, commonHTTPHarmless); err != nil {
			return nil, err
		}
		if o.MaxRequestsPerConnection != nil {
			t.ignore("HttpConnectionManager.max_requests_per_connection")
		}
	}
	out.NormalizePath, out.MergeSlashes = c.GetNormalizePath().GetValue(), c.MergeSlashes
	if err := t.clientCert(c, out); err != nil {
		return nil, err
	}
	if err := t.managerUpgrades(c, out); err != nil {
		return nil, err
	}
	if err := t.httpFilters(c.HttpFilters, out); err != nil {
		return nil, err
	}
	if err := t.managerRoutes(c, out); err != nil {
		return nil, err
	}
	var err error
	out.AccessLog, err = t.accessLogs(c.AccessLog)
	return out, err
}

// managerRoutes reads where the routes are.
func (t *translation) managerRoutes(c *hcmv3.HttpConnectionManager, out *proxy.HTTPManager) (err error) {
	switch r := c.RouteSpecifier.(type) {
	case *hcmv3.HttpConnectionManager_Rds:
		if out.RouteName = r.Rds.GetRouteConfigName(); out.RouteName == "" {
			return fmt.Errorf("rds: %w", errNoName)
		}
		if s := r.Rds.GetConfigSource(); s.GetAds() == nil {
			return fmt.Errorf("rds: config_source other than ads is not supported")
		}
	case *hcmv3.HttpConnectionManager_RouteConfig:
		if out.Table, err = t.translateRoutes(r.RouteConfig); err != nil {
			return fmt.Errorf("route_config: %w", err)
		}
	default:
		return fmt.Errorf("there is neither rds nor route_config")
	}
	return nil
}

// clientCert reads what becomes of x-forwarded-client-cert.
func (t *translation) clientCert(c *hcmv3.HttpConnectionManager, out *proxy.HTTPManager) error {
	switch c.ForwardClientCertDetails {
	case hcmv3.HttpConnectionManager_SANITIZE:
		out.ClientCert = proxy.ClientCertSanitize
	case hcmv3.HttpConnectionManager_FORWARD_ONLY:
		out.ClientCert = proxy.ClientCertForwardOnly
	case hcmv3.HttpConnectionManager_APPEND_FORWARD:
		out.ClientCert = proxy.ClientCertAppendForward
	case hcmv3.HttpConnectionManager_SANITIZE_SET:
		out.ClientCert = proxy.ClientCertSanitizeSet
	default:
		return fmt.Errorf("forward_client_cert_details: %s is not supported", c.ForwardClientCertDetails)
	}
	if d := c.SetCurrentClientCertDetails; d != nil {
		return t.fields(d, "subject dns uri", "cert chain")
	}
	return nil
}

// managerUpgrades reads which upgrades are allowed.
func (t *translation) managerUpgrades(c *hcmv3.HttpConnectionManager, out *proxy.HTTPManager) error {
	for _, u := range c.UpgradeConfigs {
		if err := t.fields(u, "upgrade_type enabled", ""); err != nil {
			return err
		}
		if u.Enabled != nil && !u.Enabled.Value {
			continue
		}
		if u.UpgradeType == "CONNECT" {
			return fmt.Errorf("upgrade_configs: CONNECT is not supported")
		}
		out.Upgrades = append(out.Upgrades, u.UpgradeType)
	}
	return nil
}

// httpFilters reads the filters of requests, the last of which must be the router.
func (t *translation) httpFilters(filters []*hcmv3.HttpFilter, out *proxy.HTTPManager) error {
	for i, f := range filters {
		if f.Disabled {
			t.ignore("HttpFilter.disabled")
			continue
		}
		if f.GetConfigDiscovery() != nil {
			return fmt.Errorf("http filter %q: config_discovery is not supported", f.Name)
		}
		e, err := extensionOf(f.Name, f.GetTypedConfig())
		if err != nil {
			return fmt.Errorf("http filter %q: %w", f.Name, err)
		}
		router, err := t.httpFilter(f, e, out)
		if err != nil {
			return fmt.Errorf("http filter %q: %w", f.Name, err)
		}
		if router != (i == len(filters)-1) {
			return fmt.Errorf("http filter %q: the router must be the last filter", f.Name)
		}
	}
	if len(filters) == 0 {
		return fmt.Errorf("http_filters: there is no router")
	}
	return nil
}

// httpFilter reads one filter and says whether it is the router.
func (t *translation) httpFilter(f *hcmv3.HttpFilter, e extension, out *proxy.HTTPManager) (router bool, err error) {
	switch e.url {
	case "envoy.extensions.filters.http.router.v3.Router":
		c := &routerv3.Router{}
		if err := decode(e.body, c); err != nil {
			return false, err
		}
		return true, t.fields(c, "", `dynamic_stats start_child_span suppress_envoy_headers strict_check_headers
			respect_expected_rq_timeout suppress_grpc_request_failure_code_stats reject_connect_request_early_data`)
	case "envoy.filters.http.router":
		return true, nil
	case "io.istio.http.peer_metadata.Config":
		out.PeerExchange = true
	case "istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig":
		out.ALPNOverride = true
	case "envoy.extensions.filters.http.cors.v3.Cors", "envoy.extensions.filters.http.fault.v3.HTTPFault":
		// Both do nothing until something is configured, here or at a route.
		if len(e.body.GetValue()) > 0 {
			return false, fmt.Errorf("%s with a configuration is not supported", e.url)
		}
		t.ignore(e.url)
	case urlStats,
		"envoy.extensions.filters.http.grpc_stats.v3.FilterConfig",
		"envoy.extensions.filters.http.grpc_web.v3.GrpcWeb",
		"envoy.extensions.filters.http.set_filter_state.v3.Config",
		"envoy.extensions.filters.http.header_to_metadata.v3.Config":
		t.ignore(e.url)
	default:
		if !f.IsOptional {
			return false, fmt.Errorf("%s is not supported", e.url)
		}
		t.ignore(e.url)
	}
	return false, nil
}
