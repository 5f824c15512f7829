package manifest

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/oarlock/oarlock/mesh"
)

// routes reads the rules of a VirtualService.
func (c *checker) routes(vs *mesh.VirtualService, spec *value) {
	for i, e := range spec.list("http") {
		vs.HTTP = append(vs.HTTP, c.httpRoute(e, "spec.http["+strconv.Itoa(i)+"]"))
	}
	for _, e := range spec.list("tls") {
		vs.TLS = append(vs.TLS, mesh.TLSRoute{Match: l4Matches(e), Route: c.weighted(e), Origin: c.here(e)})
	}
	for _, e := range spec.list("tcp") {
		vs.TCP = append(vs.TCP, mesh.TCPRoute{Match: l4Matches(e), Route: c.weighted(e), Origin: c.here(e)})
	}
}

func (c *checker) httpRoute(v *value, at string) mesh.HTTPRoute {
	out := mesh.HTTPRoute{Name: v.str("name"), Route: c.weighted(v), Origin: c.here(v)}
	for _, e := range v.list("match") {
		out.Match = append(out.Match, httpMatch(e))
	}
	out.Redirect = httpRedirect(v.get("redirect"))
	if d := v.get("directResponse"); d != nil {
		out.DirectResponse = &mesh.HTTPDirectResponse{Status: d.number32("status", 0), Body: d.get("body").str("string")}
		if raw, ok := decodeBase64(d.get("body").str("bytes")); ok && raw != "" {
			out.DirectResponse.Body = raw
		}
	}
	if r := v.get("rewrite"); r != nil {
		regex := r.get("uriRegexRewrite")
		out.Rewrite = &mesh.HTTPRewrite{URI: r.str("uri"), Authority: r.str("authority"),
			Regex: regex.str("match"), Replacement: regex.str("rewrite")}
	}
	if v.get("timeout") != nil {
		d := c.span(v, "timeout", at)
		out.Timeout = &d
	}
	if r := v.get("retries"); r != nil {
		out.Retries = &mesh.HTTPRetries{Attempts: int(r.number32("attempts", 0)),
			PerTryTimeout: c.span(r, "perTryTimeout", at+".retries"), RetryOn: r.str("retryOn")}
	}
	return out
}

// weighted reads the destinations of a rule. One alone has all the traffic; of several, one without a weight has none.
func (c *checker) weighted(rule *value) []mesh.WeightedDestination {
	list := rule.list("route")
	var out []mesh.WeightedDestination
	for _, e := range list {
		d := e.get("destination")
		if d.str("host") == "" {
			continue
		}
		w := mesh.WeightedDestination{Weight: e.number32("weight", 0), RouteDestination: mesh.RouteDestination{
			Host: d.str("host"), Subset: d.str("subset"), Port: d.get("port").number32("number", 0), Origin: c.here(d)}}
		if len(list) == 1 {
			w.Weight = 100
		}
		out = append(out, w)
	}
	return out
}

func httpMatch(v *value) mesh.HTTPMatch {
	return mesh.HTTPMatch{Name: v.str("name"), URI: stringMatch(v.get("uri")), IgnoreURICase: v.flag("ignoreUriCase"),
		Scheme: stringMatch(v.get("scheme")), Method: stringMatch(v.get("method")), Authority: stringMatch(v.get("authority")),
		Headers: namedMatches(v.get("headers"), strings.ToLower), WithoutHeaders: namedMatches(v.get("withoutHeaders"), strings.ToLower),
		QueryParams: namedMatches(v.get("queryParams"), strings.Clone), Port: v.number32("port", 0), Gateways: v.strs("gateways"),
		SourceLabels: v.labels("sourceLabels"), SourceNamespace: v.str("sourceNamespace")}
}

// stringMatch reads how a text is compared; nil where nothing is said.
func stringMatch(v *value) *mesh.StringMatch {
	if v == nil {
		return nil
	}
	for _, e := range []struct {
		key string
		op  mesh.MatchOp
	}{{"exact", mesh.MatchExact}, {"prefix", mesh.MatchPrefix}, {"regex", mesh.MatchRegex}} {
		if text := v.get(e.key); text != nil {
			return &mesh.StringMatch{Op: e.op, Value: text.text}
		}
	}
	return &mesh.StringMatch{}
}

// namedMatches reads a mapping of comparisons, by name. One without a comparison asks whether the name is there.
func namedMatches(v *value, name func(string) string) []mesh.NamedMatch {
	if v == nil {
		return nil
	}
	var out []mesh.NamedMatch
	for _, f := range v.fields {
		m := mesh.NamedMatch{Name: name(f.key)}
		if f.val.kind == mapValue {
			m.StringMatch = *stringMatch(f.val)
		}
		out = append(out, m)
	}
	slices.SortStableFunc(out, func(a, b mesh.NamedMatch) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

func httpRedirect(v *value) *mesh.HTTPRedirect {
	if v == nil {
		return nil
	}
	return &mesh.HTTPRedirect{URI: v.str("uri"), Prefix: v.str("prefixRewrite"), Authority: v.str("authority"),
		Scheme: v.str("scheme"), Port: v.number32("port", 0), Code: orDefault(v.number32("redirectCode", 301), 301)}
}

func l4Matches(rule *value) []mesh.L4Match {
	var out []mesh.L4Match
	for _, e := range rule.list("match") {
		out = append(out, mesh.L4Match{SNIHosts: e.strs("sniHosts"), DestinationSubnets: e.strs("destinationSubnets"),
			Port: e.number32("port", 0), Gateways: e.strs("gateways"), SourceLabels: e.labels("sourceLabels"),
			SourceNamespace: e.str("sourceNamespace")})
	}
	return out
}
