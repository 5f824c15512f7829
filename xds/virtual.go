package xds

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/resolve"
)

// ruler finds the VirtualService with HTTP rules for a host: the oldest that names it, else the one with the longest
// wildcard that covers it. The second result is the host as it is written there.
func (sc *scope) ruler(hostname string) (*mesh.VirtualService, string) {
	var best *mesh.VirtualService
	bestHost := ""
	for _, v := range sc.virtual {
		if len(v.HTTP) == 0 {
			continue
		}
		for _, h := range v.Hosts {
			h = sc.t.r.RouteHost(h, v.Ref.Namespace)
			switch {
			case h == hostname:
				return v, h
			case strings.HasPrefix(h, "*") && resolve.HostCovers(h, hostname) && len(h) > len(bestHost):
				best, bestHost = v, h
			}
		}
	}
	return best, bestHost
}

// virtualHosts are those hosts of VirtualServices that no service answers to on this port.
func (sc *scope) virtualHosts(port uint32, here map[string]bool) []*routev3.VirtualHost {
	var out []*routev3.VirtualHost
	for _, v := range sc.virtual {
		for _, h := range v.Hosts {
			h = sc.t.r.RouteHost(h, v.Ref.Namespace)
			if len(v.HTTP) == 0 || here[h] || h == "*" {
				continue
			}
			here[h] = true
			if routes := sc.rules(v, port); len(routes) > 0 {
				out = append(out, &routev3.VirtualHost{
					Name: fmt.Sprintf("%s:%d", h, port), Domains: withPorts([]string{h}, port), Routes: routes, IncludeRequestAttemptCount: true})
			}
		}
	}
	return out
}

// rules are the HTTP rules of a VirtualService as this client sees them on one port, each once for every match. What comes
// after a rule that matches everything is left out.
func (sc *scope) rules(v *mesh.VirtualService, port uint32) []*routev3.Route {
	var out []*routev3.Route
	for i := range v.HTTP {
		h := &v.HTTP[i]
		if len(h.Match) == 0 {
			if r := sc.rule(v, h, nil, port); r != nil {
				return append(out, r)
			}
			continue
		}
		for k := range h.Match {
			m := &h.Match[k]
			if !possible(m) || m.Port != 0 && m.Port != port || !sc.isSource(m.Gateways, m.SourceLabels, m.SourceNamespace) {
				continue
			}
			if r := sc.rule(v, h, m, port); r != nil {
				out = append(out, r)
			}
		}
	}
	return out
}

// isSource says whether a match is for this client: gateways, labels and namespace.
func (sc *scope) isSource(gateways []string, labels map[string]string, namespace string) bool {
	w := sc.node.Workload
	if len(gateways) > 0 && !w.Router && !slices.Contains(gateways, mesh.MeshGateway) {
		return false
	}
	return mesh.Selects(labels, w.Labels) && (namespace == "" || namespace == w.Ref.Namespace)
}

// possible says whether a match can hold at all: what sidecars take in is http, and an expression that cannot be read holds
// for nothing. Sent on, one such expression would make a client refuse every route.
func possible(m *mesh.HTTPMatch) bool {
	list := []*mesh.StringMatch{m.URI, m.Scheme, m.Method, m.Authority}
	for _, named := range [][]mesh.NamedMatch{m.Headers, m.WithoutHeaders, m.QueryParams} {
		for i := range named {
			list = append(list, &named[i].StringMatch)
		}
	}
	for _, is := range list {
		if is != nil && is.Op == mesh.MatchRegex {
			if _, err := regexp.Compile(is.Value); err != nil {
				return false
			}
		}
	}
	return m.Scheme == nil || holds(*m.Scheme, "http")
}

func holds(is mesh.StringMatch, text string) bool {
	switch is.Op {
	case mesh.MatchExact:
		return is.Value == text
	case mesh.MatchPrefix:
		return strings.HasPrefix(text, is.Value)
	case mesh.MatchRegex:
		ok, _ := regexp.MatchString("^(?:"+is.Value+")$", text)
		return ok
	}
	return true
}

// queryPattern says of a whole request target that it has a query parameter; the sidecar reads no parameters.
func queryPattern(q mesh.NamedMatch) string {
	value := "(?:=[^&]*)?"
	switch q.Op {
	case mesh.MatchExact:
		value = "=" + regexp.QuoteMeta(q.Value)
	case mesh.MatchPrefix:
		value = "=" + regexp.QuoteMeta(q.Value) + "[^&]*"
	case mesh.MatchRegex:
		value = "=(?:" + q.Value + ")"
	}
	return `[^?]*\?(?:.*&)?` + regexp.QuoteMeta(q.Name) + value + "(?:&.*)?"
}

// notHere answers for a rule that a sidecar would refuse, so that the other rules go on.
func notHere(v *mesh.VirtualService, field string) *routev3.DirectResponseAction {
	return &routev3.DirectResponseAction{Status: 501, Body: &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{
		InlineString: v.Ref.String() + ": " + field + " is not supported\n"}}}
}

// rule is one rule under one match; nil where it does nothing that is known here.
func (sc *scope) rule(v *mesh.VirtualService, h *mesh.HTTPRoute, m *mesh.HTTPMatch, port uint32) *routev3.Route {
	out := &routev3.Route{
		Name:  h.Name,
		Match: pathMatch(m),
		Metadata: &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{metaIstio: fields(map[string]*structpb.Value{
			"config": structpb.NewStringValue(sc.t.configPath("virtual-service", &v.Object))})}},
	}
	if m != nil && m.Name != "" {
		out.Name = strings.TrimPrefix(h.Name+"."+m.Name, ".")
	}
	switch {
	case h.Rewrite != nil && h.Rewrite.Regex != "":
		out.Action = &routev3.Route_DirectResponse{DirectResponse: notHere(v, "rewrite.uriRegexRewrite")}
	case h.Redirect != nil:
		out.Action = &routev3.Route_Redirect{Redirect: redirect(h.Redirect)}
	case h.DirectResponse != nil:
		if h.DirectResponse.Status < 200 || h.DirectResponse.Status > 599 {
			return nil
		}
		d := &routev3.DirectResponseAction{Status: h.DirectResponse.Status}
		if h.DirectResponse.Body != "" {
			d.Body = &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: h.DirectResponse.Body}}
		}
		out.Action = &routev3.Route_DirectResponse{DirectResponse: d}
	default:
		to := sc.targets(v, h.Route, port)
		if len(to) == 0 {
			return nil
		}
		out.Action = &routev3.Route_Route{Route: sc.action(h, to)}
	}
	return out
}

// action forwards to clusters.
func (sc *scope) action(h *mesh.HTTPRoute, to []target) *routev3.RouteAction {
	a := &routev3.RouteAction{Timeout: seconds(0), RetryPolicy: sc.t.retries(h.Retries)}
	if h.Timeout != nil {
		a.Timeout = durationpb.New(*h.Timeout)
	}
	if len(to) == 1 {
		a.ClusterSpecifier = &routev3.RouteAction_Cluster{Cluster: to[0].cluster}
	} else {
		w := &routev3.WeightedCluster{}
		for _, o := range to {
			w.Clusters = append(w.Clusters, &routev3.WeightedCluster_ClusterWeight{Name: o.cluster, Weight: number(o.weight)})
		}
		a.ClusterSpecifier = &routev3.RouteAction_WeightedClusters{WeightedClusters: w}
	}
	if rw := h.Rewrite; rw != nil {
		a.PrefixRewrite = rw.URI
		if rw.Authority != "" {
			a.HostRewriteSpecifier = &routev3.RouteAction_HostRewriteLiteral{HostRewriteLiteral: rw.Authority}
		}
	}
	return a
}

// targets are the clusters of destinations that have a share, all of them where none has. A destination without a port
// means the one that is called, or, through a gateway, the only one that the service has.
func (sc *scope) targets(v *mesh.VirtualService, list []mesh.WeightedDestination, port uint32) []target {
	var out []target
	for _, d := range list {
		if d.Weight == 0 && len(list) > 1 {
			continue
		}
		host, to := sc.t.r.RouteHost(d.Host, v.Ref.Namespace), d.Port
		if to == 0 {
			to = port
			if sc.node.Workload.Router {
				to = sc.onlyPort(host, port)
			}
		}
		out = append(out, target{fmt.Sprintf("outbound|%d|%s|%s", to, d.Subset, host), d.Weight})
	}
	return out
}

func (sc *scope) onlyPort(host string, port uint32) uint32 {
	found := uint32(0)
	for _, c := range sc.clusters {
		if c.service.Hostname != host || c.Subset != nil {
			continue
		}
		if found != 0 || c.port.Number == port {
			return port
		}
		found = c.port.Number
	}
	if found == 0 {
		return port
	}
	return found
}

// pathMatch is a match as Envoy has it; nil matches every path.
func pathMatch(m *mesh.HTTPMatch) *routev3.RouteMatch {
	if m == nil {
		return everyPath()
	}
	out := everyPath()
	if m.URI != nil {
		switch m.URI.Op {
		case mesh.MatchExact:
			out.PathSpecifier = &routev3.RouteMatch_Path{Path: m.URI.Value}
		case mesh.MatchPrefix:
			out.PathSpecifier = &routev3.RouteMatch_Prefix{Prefix: m.URI.Value}
		case mesh.MatchRegex:
			out.PathSpecifier = &routev3.RouteMatch_SafeRegex{SafeRegex: &matcherv3.RegexMatcher{Regex: m.URI.Value}}
		}
	}
	out.CaseSensitive = truth(!m.IgnoreURICase)
	for _, special := range []struct {
		name string
		is   *mesh.StringMatch
	}{{":method", m.Method}, {":authority", m.Authority}} {
		if special.is != nil {
			out.Headers = append(out.Headers, headerMatch(special.name, *special.is, false))
		}
	}
	for _, h := range m.Headers {
		out.Headers = append(out.Headers, headerMatch(h.Name, h.StringMatch, false))
	}
	for _, h := range m.WithoutHeaders {
		out.Headers = append(out.Headers, headerMatch(h.Name, h.StringMatch, true))
	}
	for _, q := range m.QueryParams {
		out.Headers = append(out.Headers, headerMatch(":path", mesh.StringMatch{Op: mesh.MatchRegex, Value: queryPattern(q)}, false))
	}
	return out
}

func headerMatch(name string, is mesh.StringMatch, not bool) *routev3.HeaderMatcher {
	out := &routev3.HeaderMatcher{Name: name, InvertMatch: not}
	if s := stringMatch(is); s != nil {
		out.HeaderMatchSpecifier = &routev3.HeaderMatcher_StringMatch{StringMatch: s}
	} else {
		out.HeaderMatchSpecifier = &routev3.HeaderMatcher_PresentMatch{PresentMatch: true}
	}
	return out
}

// stringMatch is nil for one that any value passes.
func stringMatch(m mesh.StringMatch) *matcherv3.StringMatcher {
	switch m.Op {
	case mesh.MatchExact:
		return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: m.Value}}
	case mesh.MatchPrefix:
		return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Prefix{Prefix: m.Value}}
	case mesh.MatchRegex:
		return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_SafeRegex{SafeRegex: &matcherv3.RegexMatcher{Regex: m.Value}}}
	}
	return nil
}

// redirect answers with another place.
func redirect(h *mesh.HTTPRedirect) *routev3.RedirectAction {
	out := &routev3.RedirectAction{HostRedirect: h.Authority, PortRedirect: h.Port}
	switch {
	case h.Prefix != "":
		out.PathRewriteSpecifier = &routev3.RedirectAction_PrefixRewrite{PrefixRewrite: h.Prefix}
	case h.URI != "":
		out.PathRewriteSpecifier = &routev3.RedirectAction_PathRedirect{PathRedirect: h.URI}
	}
	if h.Scheme != "" {
		out.SchemeRewriteSpecifier = &routev3.RedirectAction_SchemeRedirect{SchemeRedirect: h.Scheme}
	}
	switch h.Code {
	case 302:
		out.ResponseCode = routev3.RedirectAction_FOUND
	case 303:
		out.ResponseCode = routev3.RedirectAction_SEE_OTHER
	case 307:
		out.ResponseCode = routev3.RedirectAction_TEMPORARY_REDIRECT
	case 308:
		out.ResponseCode = routev3.RedirectAction_PERMANENT_REDIRECT
	}
	return out
}
