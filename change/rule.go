package change

import (
	"fmt"
	"slices"

	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/resolve"
)

// Rule is one policy with what it says of some resource.
type Rule struct {
	Policy  mesh.Ref // zero where no policy decides and the dialect's default applies
	Origin  mesh.Origin
	Scope   Scope    // of the policy
	Targets []string // "bookings(8080)"; empty for a mesh's or a namespace's policy
	Mode    mesh.Mode

	dialect mesh.Dialect
	root    string
	about   Resource
}

// PolicyWord gives the policy as `NS/NAME`, a mesh's as `/NAME`, none as "-".
func (r Rule) PolicyWord() string {
	return resolve.RefWord(r.Policy, mesh.DialectCurrent, r.root)
}

// ModeWord gives the mode in the words of the dialect.
func (r Rule) ModeWord() string { return ModeWord(r.Mode, r.dialect) }

// Resource gives what the rule is about, so far as a verb can name it.
func (r Rule) Resource() Resource { return r.about }

// ModeWord gives a mode in the words of a dialect: the legacy ones say DISABLED.
func ModeWord(m mesh.Mode, d mesh.Dialect) string {
	if m == mesh.ModeDisable && d.Legacy() {
		return "DISABLED"
	}
	return m.String()
}

// InForce gives the policy in force for a resource: for a service what is said of the service as such, or of its ports
// where they have policies of their own. The first Rule is the answer; more follow where workloads or ports differ.
func InForce(s *mesh.Snapshot, r Resource) ([]Rule, error) {
	where, err := find(s, r)
	if err != nil {
		return nil, err
	}
	p := &plan{draft: &draft{snap: s}, r: resolve.New(s), out: &Plan{}}
	var out []Rule
	if s.Dialect.Legacy() {
		out = legacy{p}.inForce(where)
	} else {
		out = current{p}.inForce(where)
	}
	return compactRules(out), nil
}

// compactRules drops repetitions and keeps the order.
func compactRules(in []Rule) []Rule {
	var out []Rule
	for _, r := range in {
		if !slices.ContainsFunc(out, func(o Rule) bool {
			return o.Policy == r.Policy && o.Mode == r.Mode && slices.Equal(o.Targets, r.Targets)
		}) {
			out = append(out, r)
		}
	}
	return out
}

func (l legacy) rule(q *mesh.Policy, about Resource) Rule {
	out := Rule{Targets: []string{}, Mode: q.Mode(), dialect: l.snap.Dialect, about: about}
	if q == nil {
		return out
	}
	out.Policy, out.Origin, out.Targets = q.Ref, q.Origin, targetWords(q)
	switch {
	case q.Ref.Kind == mesh.KindMeshPolicy:
		out.Scope = ScopeMesh
	case len(q.Targets) == 0:
		out.Scope = ScopeNamespace
	default:
		out.Scope = ScopeService
		if !slices.ContainsFunc(q.Targets, func(t mesh.PolicyTarget) bool { return len(t.Ports) == 0 }) {
			out.Scope = ScopePort
		}
	}
	return out
}

func (l legacy) inForce(p place) []Rule {
	switch p.Scope {
	case ScopeMesh:
		return []Rule{l.rule(l.meshDefault(), p.Resource)}
	case ScopeNamespace:
		return []Rule{l.rule(l.wider(p.Namespace), p.Resource)}
	case ScopePort:
		if level := l.covering(p.svc, p.port.Number); len(level) > 0 {
			return []Rule{l.rule(level[0], p.Resource)}
		}
		return []Rule{l.rule(l.wider(p.Namespace), p.Resource)}
	}
	whole, single, taken := l.split(p.svc)
	var out []Rule
	if len(whole) == 0 && len(less(allPorts(p.svc), taken)) > 0 || len(p.svc.Ports) == 0 {
		out = append(out, l.rule(l.wider(p.Namespace), p.Resource))
	}
	for _, e := range slices.Concat(whole, single) {
		for _, port := range e.ports {
			if level := l.covering(p.svc, port); len(level) > 0 && level[0] == e.policy {
				out = append(out, l.rule(e.policy, p.Resource))
			}
		}
	}
	return out
}

func (c current) rule(pa *mesh.PeerAuthentication, mode mesh.Mode, about Resource, targets ...string) Rule {
	out := Rule{Targets: append([]string{}, targets...), Mode: mode, dialect: c.snap.Dialect, root: c.root(), about: about, Scope: about.Scope}
	if pa != nil {
		out.Policy, out.Origin = pa.Ref, pa.Origin
		if len(pa.Selector) == 0 {
			out.Scope = ScopeNamespace
			if pa.Ref.Namespace == c.root() {
				out.Scope = ScopeMesh
			}
		}
	}
	return out
}

// scopeRule gives what decides for a namespace.
func (c current) scopeRule(ns string, about Resource) Rule {
	for _, n := range []string{ns, c.root()} {
		if own := c.scopePolicies(n); len(own) > 0 && own[0].Mode != mesh.ModeUnset {
			return c.rule(own[0], own[0].Mode, about)
		}
	}
	if own := c.scopePolicies(c.root()); len(own) > 0 {
		return c.rule(own[0], mesh.ModePermissive, about)
	}
	return c.rule(nil, mesh.ModePermissive, about)
}

func (c current) inForce(p place) []Rule {
	if p.Scope <= ScopeNamespace {
		ns := p.Namespace
		if p.Scope == ScopeMesh {
			ns = c.root()
		}
		return []Rule{c.scopeRule(ns, p.Resource)}
	}
	var out, ports []Rule
	pods := c.r.Endpoints(p.svc)
	for _, w := range pods {
		if p.port != nil {
			out = append(out, c.portRule(p, w, p.port))
			continue
		}
		out = append(out, c.workloadRule(p, w))
		for i := range p.svc.Ports {
			ports = append(ports, c.portRule(p, w, &p.svc.Ports[i]))
		}
	}
	if len(pods) == 0 {
		out = append(out, c.scopeRule(p.Namespace, p.Resource))
	}
	return append(out, ports...)
}

func (c current) workloadRule(p place, w *mesh.Workload) Rule {
	if own := c.selecting(w); len(own) > 0 && own[0].Mode != mesh.ModeUnset {
		return c.rule(own[0], own[0].Mode, p.Resource, p.Service)
	}
	return c.scopeRule(p.Namespace, p.Resource)
}

func (c current) portRule(p place, w *mesh.Workload, q *mesh.Port) Rule {
	n, ok := q.TargetOn(w)
	if own := c.selecting(w); ok && len(own) > 0 {
		for _, e := range own[0].Ports {
			if e.Port == n && e.Mode != mesh.ModeUnset {
				out := c.rule(own[0], e.Mode, p.Resource, fmt.Sprintf("%s(%d)", p.Service, q.Number))
				out.Scope = ScopePort
				return out
			}
		}
	}
	return c.workloadRule(p, w)
}
