//lint:file-ignore SA1019 control planes still send what Envoy calls deprecated

package xdsclient

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/oarlock/oarlock/proxy"
)

const (
	headerFields = ` request_headers_to_add request_headers_to_remove response_headers_to_add response_headers_to_remove `

	tableObeyed   = headerFields + `name virtual_hosts typed_per_filter_config`
	tableHarmless = `validate_clusters max_direct_response_body_size_bytes ignore_port_in_host_matching
		most_specific_header_mutations_wins internal_only_headers metadata`

	hostObeyed   = headerFields + `name domains routes retry_policy require_tls typed_per_filter_config`
	hostHarmless = `include_request_attempt_count include_attempt_count_in_response include_is_timeout_retry_header
		virtual_clusters per_request_buffer_limit_bytes request_body_buffer_limit metadata`

	routeObeyed   = headerFields + `name match route redirect direct_response typed_per_filter_config`
	routeHarmless = `decorator metadata tracing stat_prefix per_request_buffer_limit_bytes request_body_buffer_limit`

	actionObeyed = `cluster weighted_clusters timeout idle_timeout retry_policy prefix_rewrite host_rewrite_literal
		upgrade_configs max_stream_duration`
	actionHarmless = `max_grpc_timeout grpc_timeout_offset hash_policy priority cluster_not_found_response_code
		append_x_forwarded_host early_data_policy flush_timeout`
)

// defaultRouteTimeout is Envoy's, for a route that says nothing.
const defaultRouteTimeout = 15 * time.Second

// translateRoutes reads a route table.
func (t *translation) translateRoutes(c *routev3.RouteConfiguration) (*proxy.RouteTable, error) {
	if err := t.fields(c, tableObeyed, tableHarmless); err != nil {
		return nil, err
	}
	if err := t.perFilter(c.TypedPerFilterConfig); err != nil {
		return nil, err
	}
	table, err := headerChangesOf(c)
	if err != nil {
		return nil, err
	}
	out := &proxy.RouteTable{Name: c.Name}
	for _, h := range c.VirtualHosts {
		one, err := t.virtualHost(h, table)
		if err != nil {
			return nil, fmt.Errorf("virtual host %q: %w", h.Name, err)
		}
		out.Hosts = append(out.Hosts, one)
	}
	return out, nil
}

// virtualHost reads the routes of a set of domains. What the table says about headers comes after what the host says.
func (t *translation) virtualHost(h *routev3.VirtualHost, table headerChanges) (*proxy.VirtualHost, error) {
	if err := t.fields(h, hostObeyed, hostHarmless); err != nil {
		return nil, err
	}
	if err := t.perFilter(h.TypedPerFilterConfig); err != nil {
		return nil, err
	}
	headers, err := headerChangesOf(h)
	if err != nil {
		return nil, err
	}
	headers = headers.then(table)
	out := &proxy.VirtualHost{Name: h.Name, Domains: h.Domains}
	switch h.RequireTls {
	case routev3.VirtualHost_NONE:
	case routev3.VirtualHost_ALL:
		out.Routes = []*proxy.Route{{
			Name: "require_tls", Match: proxy.RouteMatch{Prefix: "/"}, Redirect: &proxy.Redirect{Scheme: "https"},
		}}
		return out, nil
	default:
		return nil, fmt.Errorf("require_tls: %s is not supported", h.RequireTls)
	}
	retry, err := t.retryPolicy(h.RetryPolicy)
	if err != nil {
		return nil, err
	}
	for i, r := range h.Routes {
		one, err := t.route(r, headers)
		if err != nil {
			return nil, fmt.Errorf("route %d %q: %w", i, r.Name, err)
		}
		if one.Retry == nil && len(one.Clusters) > 0 {
			one.Retry = retry
		}
		out.Routes = append(out.Routes, one)
	}
	return out, nil
}

// perFilter refuses a filter's configuration at a route, unless it is empty.
func (t *translation) perFilter(m map[string]*anypb.Any) error {
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if len(m[name].GetValue()) > 0 {
			return fmt.Errorf("typed_per_filter_config %q: %s is not supported", name, afterSlash(m[name].TypeUrl))
		}
		t.ignore("typed_per_filter_config " + name)
	}
	return nil
}

// route reads one route.
func (t *translation) route(r *routev3.Route, outer headerChanges) (*proxy.Route, error) {
	if err := t.fields(r, routeObeyed, routeHarmless); err != nil {
		return nil, err
	}
	if err := t.perFilter(r.TypedPerFilterConfig); err != nil {
		return nil, err
	}
	headers, err := headerChangesOf(r)
	if err != nil {
		return nil, err
	}
	out := &proxy.Route{Name: r.Name}
	headers.then(outer).apply(out)
	if out.Match, err = t.routeMatch(r.Match); err != nil {
		return nil, fmt.Errorf("match: %w", err)
	}
	switch a := r.Action.(type) {
	case *routev3.Route_Route:
		err = t.routeAction(a.Route, r.Match, out)
	case *routev3.Route_Redirect:
		out.Redirect, err = t.redirect(a.Redirect)
	case *routev3.Route_DirectResponse:
		out.Direct, err = t.directResponse(a.DirectResponse)
	default:
		err = errors.New("it has no action")
	}
	return out, err
}

// routeMatch reads which requests a route is for.
func (t *translation) routeMatch(m *routev3.RouteMatch) (proxy.RouteMatch, error) {
	var out proxy.RouteMatch
	err := t.fields(m, "prefix path safe_regex path_separated_prefix case_sensitive headers", "")
	if err != nil {
		return out, err
	}
	out.IgnoreCase = m.CaseSensitive != nil && !m.CaseSensitive.Value
	switch p := m.PathSpecifier.(type) {
	case *routev3.RouteMatch_Prefix:
		out.Prefix = p.Prefix
		if p.Prefix == "" {
			out.Prefix = "/"
		}
	case *routev3.RouteMatch_Path:
		out.Path = p.Path
	case *routev3.RouteMatch_PathSeparatedPrefix:
		out.Regex = regexp.QuoteMeta(p.PathSeparatedPrefix) + "(/.*)?"
	case *routev3.RouteMatch_SafeRegex:
		out.Regex = p.SafeRegex.GetRegex()
		if err := compiles(out.Regex); err != nil {
			return out, err
		}
	default:
		return out, errors.New("there is no path")
	}
	for _, h := range m.Headers {
		one, err := t.headerMatch(h)
		if err != nil {
			return out, fmt.Errorf("header %q: %w", h.Name, err)
		}
		out.Headers = append(out.Headers, one...)
	}
	return out, nil
}

func compiles(expression string) error {
	if _, err := regexp.Compile("^(?:" + expression + ")$"); err != nil {
		return fmt.Errorf("regex: %w", err)
	}
	return nil
}

// headerMatch reads one condition on a header. In Envoy a header that is not there never matches, not even inverted, unless
// it is to be taken for an empty one; that needs a second condition.
func (t *translation) headerMatch(h *routev3.HeaderMatcher) ([]proxy.HeaderMatch, error) {
	err := t.fields(h, `name string_match present_match exact_match prefix_match suffix_match contains_match safe_regex_match
		invert_match treat_missing_header_as_empty`, "")
	if err != nil {
		return nil, err
	}
	out := proxy.HeaderMatch{Name: h.Name, Invert: h.InvertMatch}
	switch m := h.HeaderMatchSpecifier.(type) {
	case nil:
		return []proxy.HeaderMatch{out}, nil
	case *routev3.HeaderMatcher_PresentMatch:
		out.Invert = h.InvertMatch == m.PresentMatch
		return []proxy.HeaderMatch{out}, nil
	case *routev3.HeaderMatcher_ExactMatch:
		out.Exact = m.ExactMatch
	case *routev3.HeaderMatcher_PrefixMatch:
		out.Prefix = m.PrefixMatch
	case *routev3.HeaderMatcher_SuffixMatch:
		out.Suffix = m.SuffixMatch
	case *routev3.HeaderMatcher_ContainsMatch:
		out.Regex = "(?s).*" + regexp.QuoteMeta(m.ContainsMatch) + ".*"
	case *routev3.HeaderMatcher_SafeRegexMatch:
		out.Regex = m.SafeRegexMatch.GetRegex()
	case *routev3.HeaderMatcher_StringMatch:
		if err := t.headerString(m.StringMatch, &out); err != nil {
			return nil, err
		}
	}
	if out.Exact+out.Prefix+out.Suffix+out.Regex == "" {
		return nil, errors.New("an empty pattern is not supported")
	}
	if err := compiles(out.Regex); err != nil {
		return nil, err
	}
	if h.InvertMatch && !h.TreatMissingHeaderAsEmpty {
		return []proxy.HeaderMatch{{Name: h.Name}, out}, nil
	}
	if !h.InvertMatch && h.TreatMissingHeaderAsEmpty && out.Regex != "" {
		return nil, errors.New("treat_missing_header_as_empty with a regex is not supported")
	}
	return []proxy.HeaderMatch{out}, nil
}

// redirect reads an answer with a location.
func (t *translation) redirect(r *routev3.RedirectAction) (*proxy.Redirect, error) {
	err := t.fields(r, `https_redirect scheme_redirect host_redirect port_redirect path_redirect prefix_rewrite response_code`, "")
	if err != nil {
		return nil, err
	}
	out := &proxy.Redirect{
		Scheme: r.GetSchemeRedirect(), Host: r.HostRedirect, Path: r.GetPathRedirect(), Prefix: r.GetPrefixRewrite(),
	}
	if r.GetHttpsRedirect() {
		out.Scheme = "https"
	}
	if r.PortRedirect != 0 {
		if r.HostRedirect == "" {
			return nil, errors.New("port_redirect without host_redirect is not supported")
		}
		out.Host += ":" + strconv.FormatUint(uint64(r.PortRedirect), 10)
	}
	switch r.ResponseCode {
	case routev3.RedirectAction_MOVED_PERMANENTLY:
		out.Status = http.StatusMovedPermanently
	case routev3.RedirectAction_FOUND:
		out.Status = http.StatusFound
	case routev3.RedirectAction_SEE_OTHER:
		out.Status = http.StatusSeeOther
	case routev3.RedirectAction_TEMPORARY_REDIRECT:
		out.Status = http.StatusTemporaryRedirect
	case routev3.RedirectAction_PERMANENT_REDIRECT:
		out.Status = http.StatusPermanentRedirect
	}
	return out, nil
}

// directResponse reads an answer without an upstream.
func (t *translation) directResponse(d *routev3.DirectResponseAction) (*proxy.DirectResponse, error) {
	if err := t.fields(d, "status body", ""); err != nil {
		return nil, err
	}
	switch d.GetBody().GetSpecifier().(type) {
	case nil, *corev3.DataSource_InlineString, *corev3.DataSource_InlineBytes:
	default:
		return nil, errors.New("direct_response: only an inline body is supported")
	}
	return &proxy.DirectResponse{
		Status: int(d.Status), Body: d.GetBody().GetInlineString() + string(d.GetBody().GetInlineBytes()),
	}, nil
}

// routeAction reads where a request goes.
func (t *translation) routeAction(a *routev3.RouteAction, m *routev3.RouteMatch, out *proxy.Route) error {
	if err := t.fields(a, actionObeyed, actionHarmless); err != nil {
		return err
	}
	if a.GetPrefixRewrite() != "" && m.GetPathSeparatedPrefix() != "" {
		return errors.New("prefix_rewrite with path_separated_prefix is not supported")
	}
	out.PrefixRewrite, out.HostRewrite = a.PrefixRewrite, a.GetHostRewriteLiteral()
	out.Timeout = defaultRouteTimeout
	if a.Timeout != nil {
		out.Timeout = a.Timeout.AsDuration()
	}
	if d := a.GetMaxStreamDuration(); d != nil {
		if err := t.fields(d, "max_stream_duration", "grpc_timeout_header_max grpc_timeout_header_offset"); err != nil {
			return err
		}
		if v := d.GetMaxStreamDuration().AsDuration(); v > 0 && (out.Timeout == 0 || v < out.Timeout) {
			out.Timeout = v
		}
	}
	out.IdleTimeout = orNegative(a.IdleTimeout)
	for _, u := range a.UpgradeConfigs {
		if err := t.fields(u, "upgrade_type enabled", ""); err != nil {
			return err
		}
		if u.Enabled != nil && !u.Enabled.Value {
			return fmt.Errorf("upgrade_configs: %q switched off is not supported", u.UpgradeType)
		}
		out.Upgrades = append(out.Upgrades, u.UpgradeType)
	}
	if err := t.routeClusters(a, out); err != nil {
		return err
	}
	var err error
	out.Retry, err = t.retryPolicy(a.RetryPolicy)
	return err
}

// routeClusters reads the cluster, or the clusters with weights.
func (t *translation) routeClusters(a *routev3.RouteAction, out *proxy.Route) error {
	if c := a.GetCluster(); c != "" {
		out.Clusters = []proxy.WeightedCluster{{Name: c, Weight: 1}}
		return nil
	}
	w := a.GetWeightedClusters()
	if w == nil || len(w.Clusters) == 0 {
		return errors.New("it names no cluster")
	}
	if err := t.fields(w, "clusters", "total_weight runtime_key_prefix"); err != nil {
		return err
	}
	for _, c := range w.Clusters {
		if err := t.fields(c, "name weight typed_per_filter_config", ""); err != nil {
			return err
		}
		if err := t.perFilter(c.TypedPerFilterConfig); err != nil {
			return err
		}
		out.Clusters = append(out.Clusters, proxy.WeightedCluster{Name: c.Name, Weight: c.GetWeight().GetValue()})
	}
	return nil
}

// retryPolicy reads when a request is tried again; nil is never. Conditions of gRPC are left out.
func (t *translation) retryPolicy(r *routev3.RetryPolicy) (*proxy.RetryPolicy, error) {
	if r == nil {
		return nil, nil
	}
	err := t.fields(r, `retry_on num_retries per_try_timeout retry_host_predicate retriable_status_codes retry_back_off`,
		`host_selection_retry_max_attempts retry_priority per_try_idle_timeout rate_limited_retry_back_off
		retry_options_predicates retriable_headers`)
	if err != nil {
		return nil, err
	}
	out := &proxy.RetryPolicy{
		Attempts:      1,
		PerTryTimeout: r.GetPerTryTimeout().AsDuration(),
		Backoff:       r.GetRetryBackOff().GetBaseInterval().AsDuration(),
	}
	if r.NumRetries != nil {
		out.Attempts = int(min(r.NumRetries.Value, 1000))
	}
	for _, c := range r.RetriableStatusCodes {
		out.Codes = append(out.Codes, int(c))
	}
	for on := range strings.SplitSeq(r.RetryOn, ",") {
		on = strings.TrimSpace(on)
		if flag, ok := retryCondition(on); ok {
			out.On |= flag
		} else if code, err := strconv.Atoi(on); err == nil && code >= 100 && code <= 599 {
			out.On |= proxy.RetryCodes // Istio writes codes among the conditions
			out.Codes = append(out.Codes, code)
		} else if on != "" {
			t.ignore("RetryPolicy.retry_on " + on)
		}
	}
	for _, p := range r.RetryHostPredicate {
		if p.Name == "envoy.retry_host_predicates.previous_hosts" {
			out.OtherHosts = true
		} else {
			t.ignore("RetryPolicy.retry_host_predicate " + p.Name)
		}
	}
	return out, nil
}

// retryCondition names the conditions that package proxy knows.
func retryCondition(name string) (proxy.RetryOn, bool) {
	switch name {
	case "connect-failure":
		return proxy.RetryConnectFailure, true
	case "refused-stream":
		return proxy.RetryRefusedStream, true
	case "reset":
		return proxy.RetryReset, true
	case "gateway-error":
		return proxy.RetryGatewayError, true
	case "5xx":
		return proxy.Retry5xx, true
	case "retriable-status-codes":
		return proxy.RetryCodes, true
	case "reset-before-request":
		return proxy.RetryBeforeRequest, true
	}
	return 0, false
}
