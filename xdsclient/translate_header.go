//lint:file-ignore SA1019 control planes still send what Envoy calls deprecated

package xdsclient

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"github.com/oarlock/oarlock/proxy"
)

// headerString reads a pattern for a header; a kind that package proxy lacks becomes a regex.
func (t *translation) headerString(m *matcherv3.StringMatcher, out *proxy.HeaderMatch) error {
	if err := t.fields(m, "exact prefix suffix contains safe_regex ignore_case", ""); err != nil {
		return err
	}
	exact, prefix, suffix := m.GetExact(), m.GetPrefix(), m.GetSuffix()
	switch {
	case m.GetSafeRegex() != nil:
		out.Regex = m.GetSafeRegex().GetRegex()
	case m.GetContains() != "":
		out.Regex = "(?s).*" + regexp.QuoteMeta(m.GetContains()) + ".*"
	case !m.IgnoreCase:
		out.Exact, out.Prefix, out.Suffix = exact, prefix, suffix
		return nil
	case exact != "":
		out.Regex = regexp.QuoteMeta(exact)
	case prefix != "":
		out.Regex = "(?s)" + regexp.QuoteMeta(prefix) + ".*"
	case suffix != "":
		out.Regex = "(?s).*" + regexp.QuoteMeta(suffix)
	default:
		return errors.New("an empty pattern is not supported")
	}
	if m.IgnoreCase {
		out.Regex = "(?i)" + out.Regex
	}
	return nil
}

// headerChanges are what a route, a virtual host or a table does to headers.
type headerChanges struct {
	setRequest, setResponse       []proxy.Header
	removeRequest, removeResponse []string
}

// headered is what the three have in common.
type headered interface {
	GetRequestHeadersToAdd() []*corev3.HeaderValueOption
	GetRequestHeadersToRemove() []string
	GetResponseHeadersToAdd() []*corev3.HeaderValueOption
	GetResponseHeadersToRemove() []string
}

// headerChangesOf reads them.
func headerChangesOf(h headered) (out headerChanges, err error) {
	if out.setRequest, err = headersOf(h.GetRequestHeadersToAdd()); err != nil {
		return out, fmt.Errorf("request_headers_to_add: %w", err)
	}
	if out.setResponse, err = headersOf(h.GetResponseHeadersToAdd()); err != nil {
		return out, fmt.Errorf("response_headers_to_add: %w", err)
	}
	out.removeRequest, out.removeResponse = h.GetRequestHeadersToRemove(), h.GetResponseHeadersToRemove()
	return out, nil
}

// then gives the changes followed by those of the level above, as in Envoy.
func (c headerChanges) then(outer headerChanges) headerChanges {
	return headerChanges{
		setRequest:     slices.Concat(c.setRequest, outer.setRequest),
		setResponse:    slices.Concat(c.setResponse, outer.setResponse),
		removeRequest:  slices.Concat(c.removeRequest, outer.removeRequest),
		removeResponse: slices.Concat(c.removeResponse, outer.removeResponse),
	}
}

func (c headerChanges) apply(r *proxy.Route) {
	r.SetRequest, r.SetResponse = c.setRequest, c.setResponse
	r.RemoveRequest, r.RemoveResponse = c.removeRequest, c.removeResponse
}

// headersOf reads headers to set. A value with a command operator would be sent as it is written, so it is refused.
func headersOf(list []*corev3.HeaderValueOption) ([]proxy.Header, error) {
	var out []proxy.Header
	for _, o := range list {
		value := o.GetHeader().GetValue() + string(o.GetHeader().GetRawValue())
		plain := strings.ReplaceAll(value, "%%", "")
		if strings.Contains(plain, "%") {
			return nil, fmt.Errorf("%q: command operators are not supported", o.GetHeader().GetKey())
		}
		one := proxy.Header{Name: o.GetHeader().GetKey(), Value: strings.ReplaceAll(value, "%%", "%")}
		switch o.AppendAction {
		case corev3.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD:
			one.Append = o.Append == nil || o.Append.Value
		case corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD:
		default:
			return nil, fmt.Errorf("%q: append_action %s is not supported", one.Name, o.AppendAction)
		}
		out = append(out, one)
	}
	return out, nil
}
