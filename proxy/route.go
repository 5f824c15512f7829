package proxy

import (
	"bytes"
	"cmp"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
)

// routes is a RouteTable in force.
type routes struct {
	table  *RouteTable
	exact  map[string]*virtualHost
	suffix []domain // longest first
	prefix []domain
	any    *virtualHost
}

type domain struct {
	part string
	host *virtualHost
}

// A virtualHost is a VirtualHost in force.
type virtualHost struct {
	*VirtualHost
	routes []*route
}

// A route is a Route in force.
type route struct {
	*Route
	regex   *regexp.Regexp
	headers []headerMatch
	total   uint64 // of the clusters' weights
	prefix  string // in lower case where case does not count
}

type headerMatch struct {
	HeaderMatch
	name  string
	regex *regexp.Regexp
}

// newRoutes compiles a table. An error names the virtual host and the route that is wrong.
func newRoutes(t *RouteTable) (*routes, error) {
	out := &routes{table: t, exact: map[string]*virtualHost{}}
	for _, v := range t.Hosts {
		host := &virtualHost{VirtualHost: v}
		for _, r := range v.Routes {
			in, err := newRoute(r)
			if err != nil {
				return nil, fmt.Errorf("virtual host %q: route %q: %w", v.Name, r.Name, err)
			}
			host.routes = append(host.routes, in)
		}
		for _, d := range v.Domains {
			if err := out.add(strings.ToLower(d), host); err != nil {
				return nil, fmt.Errorf("virtual host %q: %w", v.Name, err)
			}
		}
	}
	longest := func(a, b domain) int { return cmp.Compare(len(b.part), len(a.part)) }
	slices.SortStableFunc(out.suffix, longest)
	slices.SortStableFunc(out.prefix, longest)
	return out, nil
}

func (t *routes) add(name string, host *virtualHost) error {
	same := func(d domain) bool { return d.part == strings.Trim(name, "*") }
	twice := fmt.Errorf("domain %q is there twice", name)
	switch {
	case name == "*":
		if t.any != nil {
			return twice
		}
		t.any = host
	case strings.HasPrefix(name, "*"):
		if slices.ContainsFunc(t.suffix, same) {
			return twice
		}
		t.suffix = append(t.suffix, domain{name[1:], host})
	case strings.HasSuffix(name, "*"):
		if slices.ContainsFunc(t.prefix, same) {
			return twice
		}
		t.prefix = append(t.prefix, domain{name[:len(name)-1], host})
	default:
		if t.exact[name] != nil {
			return twice
		}
		t.exact[name] = host
	}
	return nil
}

func newRoute(r *Route) (*route, error) {
	out := &route{Route: r, prefix: r.Match.Prefix}
	if r.Match.IgnoreCase {
		out.prefix = strings.ToLower(out.prefix)
	}
	var err error
	if r.Match.Regex != "" {
		if out.regex, err = compileWhole(r.Match.Regex); err != nil {
			return nil, err
		}
	}
	for _, m := range r.Match.Headers {
		in := headerMatch{HeaderMatch: m, name: strings.ToLower(m.Name)}
		if m.Regex != "" {
			if in.regex, err = compileWhole(m.Regex); err != nil {
				return nil, fmt.Errorf("header %q: %w", m.Name, err)
			}
		}
		out.headers = append(out.headers, in)
	}
	for _, c := range r.Clusters {
		out.total += uint64(c.Weight)
	}
	return out, nil
}

// compileWhole compiles an expression that has to match the whole of a text, as Envoy's do.
func compileWhole(s string) (*regexp.Regexp, error) { return regexp.Compile(`^(?:` + s + `)$`) }

// host finds the virtual host of an authority; nil where there is none.
func (t *routes) host(authority []byte) *virtualHost {
	var lower [256]byte
	name := authority
	if bytes.ContainsFunc(authority, func(r rune) bool { return 'A' <= r && r <= 'Z' }) {
		name = append(lower[:0], authority...)
		for i, c := range name {
			if 'A' <= c && c <= 'Z' {
				name[i] = c | 0x20
			}
		}
	}
	if v := t.lookUp(name); v != nil {
		return v
	}
	// Domains without a port are for every port, as where Istio has ignore_port_in_host_matching.
	if host, ok := withoutPort(name); ok {
		if v := t.lookUp(host); v != nil {
			return v
		}
	}
	return t.any
}

// withoutPort cuts ":PORT" off; false where there is none.
func withoutPort(name []byte) ([]byte, bool) {
	i := bytes.LastIndexByte(name, ':')
	if i <= 0 || bytes.IndexByte(name[i:], ']') >= 0 {
		return nil, false
	}
	return name[:i], true
}

// lookUp finds the virtual host of a name that one of its domains other than "*" matches.
func (t *routes) lookUp(name []byte) *virtualHost {
	if v := t.exact[string(name)]; v != nil {
		return v
	}
	for _, d := range t.suffix {
		if len(name) > len(d.part) && string(name[len(name)-len(d.part):]) == d.part {
			return d.host
		}
	}
	for _, d := range t.prefix {
		if len(name) > len(d.part) && string(name[:len(d.part)]) == d.part {
			return d.host
		}
	}
	return nil
}

// find gives the first route for a request; nil where there is none.
func (v *virtualHost) find(h *head) *route {
	for _, r := range v.routes {
		if r.matches(h) {
			return r
		}
	}
	return nil
}

func (r *route) matches(h *head) bool {
	switch {
	case r.Match.Path != "":
		if !sameText(h.path(), r.Match.Path, r.Match.IgnoreCase) {
			return false
		}
	case r.regex != nil:
		if !r.regex.Match(h.path()) {
			return false
		}
	case r.prefix != "" && r.prefix != "/":
		p := h.path()
		if len(p) < len(r.prefix) || !sameText(p[:len(r.prefix)], r.prefix, r.Match.IgnoreCase) {
			return false
		}
	}
	for i := range r.headers {
		if !r.headers[i].matches(h) {
			return false
		}
	}
	return true
}

func sameText(b []byte, s string, ignoreCase bool) bool {
	if ignoreCase {
		return strings.EqualFold(string(b), s)
	}
	return string(b) == s
}

func (m *headerMatch) matches(h *head) bool {
	v, there := m.value(h)
	if !there {
		return m.Invert
	}
	ok := true
	switch {
	case m.Exact != "":
		ok = string(v) == m.Exact
	case m.Prefix != "":
		ok = bytes.HasPrefix(v, []byte(m.Prefix))
	case m.Suffix != "":
		ok = bytes.HasSuffix(v, []byte(m.Suffix))
	case m.regex != nil:
		ok = m.regex.Match(v)
	}
	return ok != m.Invert
}

// value gives what a condition is about. Several headers of a name count as one list.
func (m *headerMatch) value(h *head) (v []byte, there bool) {
	switch m.name {
	case ":method":
		return h.method(), true
	case ":authority", "host":
		return h.host(), true
	case ":path":
		return h.target(), true
	}
	for i := range h.fields {
		f := &h.fields[i]
		if !equalFold(h.name(f), m.name) {
			continue
		}
		if there {
			v = append(append(bytes.Clone(v), ','), h.valueOf(f)...)
			continue
		}
		v, there = h.valueOf(f), true
	}
	return v, there
}

// cluster chooses one of the route's clusters by weight; "" where there is none.
func (r *route) cluster() string {
	switch {
	case len(r.Clusters) == 0:
		return ""
	case len(r.Clusters) == 1 || r.total == 0:
		return r.Clusters[0].Name
	}
	n := rand.Uint64N(r.total)
	for i := range r.Clusters {
		w := uint64(r.Clusters[i].Weight)
		if n < w {
			return r.Clusters[i].Name
		}
		n -= w
	}
	return ""
}

// appendPath writes the path and query to ask the upstream for.
func (r *route) appendPath(out []byte, h *head) []byte {
	target := h.target()
	if r == nil || r.PrefixRewrite == "" {
		return appendRooted(out, target)
	}
	path := h.path()
	switch {
	case r.Match.Path != "":
		out = append(out, r.PrefixRewrite...)
	case r.regex != nil:
		out = append(out, path...)
	default:
		out = append(append(out, r.PrefixRewrite...), path[min(len(r.Match.Prefix), len(path)):]...)
	}
	return append(out, target[len(path):]...)
}

// appendRooted writes a target that may lack its slash, as that of http://host?query does.
func appendRooted(out, target []byte) []byte {
	if len(target) == 0 || target[0] == '?' {
		out = append(out, '/')
	}
	return append(out, target...)
}

// appendLocation writes where a redirect leads.
func (r *route) appendLocation(out []byte, h *head, scheme string) []byte {
	d := r.Redirect
	out = append(out, cmp.Or(d.Scheme, scheme)...)
	out = append(out, "://"...)
	if d.Host != "" {
		out = append(out, d.Host...)
	} else {
		out = append(out, h.host()...)
	}
	target, path := h.target(), h.path()
	switch {
	case d.Path != "":
		out = append(out, d.Path...)
		if strings.Contains(d.Path, "?") {
			return out
		}
	case d.Prefix != "" && r.Match.Path == "" && r.regex == nil:
		out = append(append(out, d.Prefix...), path[min(len(r.Match.Prefix), len(path)):]...)
	default:
		return appendRooted(out, target)
	}
	return append(out, target[len(path):]...)
}
