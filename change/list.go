package change

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/resolve"
)

// Row is one policy in a list of all of them; a PeerAuthentication that also sets ports has a row for each of its modes.
type Row struct {
	Rule
	InForce bool   // it decides for something, or would as soon as something came
	Reason  string // why it does not; "" where it does
}

// List gives every policy that the dialect reads: by scope, then namespace, then in the order in which Istio tries them.
func List(s *mesh.Snapshot) []Row {
	p := &plan{draft: &draft{snap: s}, r: resolve.New(s), out: &Plan{}}
	var out []Row
	if s.Dialect.Legacy() {
		out = legacy{p}.list()
	} else {
		out = current{p}.list()
	}
	slices.SortStableFunc(out, func(a, b Row) int {
		return cmp.Or(cmp.Compare(min(a.Scope, ScopeService), min(b.Scope, ScopeService)), cmp.Compare(a.Policy.Namespace, b.Policy.Namespace))
	})
	return out
}

func (l legacy) list() []Row {
	var out []Row
	for _, q := range l.policies(func(*mesh.Policy) bool { return true }) {
		switch {
		case q.Ref.Kind == mesh.KindMeshPolicy:
			row := Row{Rule: l.rule(q, Resource{Scope: ScopeMesh}), InForce: q.Ref.Name == "default"}
			if !row.InForce {
				row.Reason = "a MeshPolicy counts only if its name is default"
			}
			out = append(out, row)
		case len(q.Targets) == 0:
			row := Row{Rule: l.rule(q, Resource{Scope: ScopeNamespace, Namespace: q.Ref.Namespace}), InForce: true}
			out = append(out, l.shadowed(row, q, l.namespacePolicies(q.Ref.Namespace)))
		default:
			out = append(out, l.targeted(q))
		}
	}
	return out
}

// shadowed says what keeps a policy behind the first of its level.
func (l legacy) shadowed(row Row, q *mesh.Policy, level []*mesh.Policy) Row {
	if i := slices.Index(level, q); i > 0 {
		row.InForce = false
		row.Reason = fmt.Sprintf("shadowed by %s, which is older", level[0].Ref)
		if slices.Contains(l.live(level), q) {
			row.Reason = fmt.Sprintf("%s comes first by name; Istio promises no order", level[0].Ref)
		}
	}
	return row
}

// targeted gives the row of a policy with targets: it is in force where it wins some port.
func (l legacy) targeted(q *mesh.Policy) Row {
	row := Row{Rule: l.rule(q, Resource{}), Reason: "targets no Service that there is"}
	for _, svc := range l.snap.Services {
		for _, t := range q.Targets {
			if !isTarget(q, t, svc) {
				continue
			}
			about := Resource{Scope: ScopeService, Namespace: svc.Ref.Namespace, Service: svc.Ref.Name}
			ports := targetPorts(t, svc)
			if len(ports) == 0 {
				row.Reason = fmt.Sprintf("targets no port that %s has", about)
			}
			for _, port := range ports {
				if row.InForce {
					break
				}
				if len(t.Ports) > 0 {
					about.Scope, about.Port = ScopePort, fmt.Sprint(port)
				}
				row = l.shadowed(Row{Rule: l.rule(q, about), InForce: true}, q, l.covering(svc, port))
			}
		}
	}
	return row
}

func (c current) list() []Row {
	var out []Row
	for _, pa := range c.snap.PeerAuthentications {
		if len(pa.Selector) == 0 {
			out = append(out, c.scopeRow(pa))
			continue
		}
		out = append(out, c.selectorRows(pa)...)
	}
	return out
}

func (c current) scopeRow(pa *mesh.PeerAuthentication) Row {
	about := Resource{Scope: ScopeNamespace, Namespace: pa.Ref.Namespace}
	if pa.Ref.Namespace == c.root() {
		about = Resource{Scope: ScopeMesh}
	}
	row := Row{Rule: c.rule(pa, pa.Mode, about), InForce: pa.Mode != mesh.ModeUnset}
	if !row.InForce {
		row.Reason = "sets no mode"
	}
	if own := c.scopePolicies(pa.Ref.Namespace); own[0] != pa {
		row.InForce, row.Reason = false, "shadowed: "+behind(&own[0].Object, &pa.Object)
	}
	return row
}

// selectorRows gives a row for the workload mode and one for each port.
func (c current) selectorRows(pa *mesh.PeerAuthentication) []Row {
	svc := c.serviceOf(pa)
	word, about := labelWords(pa.Selector), Resource{Scope: ScopeService, Namespace: pa.Ref.Namespace, Service: "?"}
	if svc != nil {
		word, about.Service = svc.Ref.Name, svc.Ref.Name
	}
	inForce, reason := c.selectorState(pa)
	var out []Row
	if pa.Mode != mesh.ModeUnset || len(pa.Ports) == 0 {
		row := Row{Rule: c.rule(pa, pa.Mode, about, word), InForce: inForce && pa.Mode != mesh.ModeUnset, Reason: reason}
		if inForce && pa.Mode == mesh.ModeUnset {
			row.Reason = "sets no mode"
		}
		out = append(out, row)
	}
	for _, e := range pa.Ports {
		about.Scope, about.Port = ScopePort, fmt.Sprint(c.servicePort(svc, e.Port))
		row := Row{Rule: c.rule(pa, e.Mode, about, word+"("+about.Port+")"), InForce: inForce && e.Mode != mesh.ModeUnset, Reason: reason}
		out = append(out, row)
	}
	return out
}

// selectorState says whether some workload obeys a PeerAuthentication with a selector.
func (c current) selectorState(pa *mesh.PeerAuthentication) (bool, string) {
	if pa.Ref.Namespace == c.root() {
		return false, "a selector in the root namespace has no effect"
	}
	reason := "selects no workload that there is"
	for _, w := range c.snap.Workloads {
		own := c.selecting(w)
		if !slices.Contains(own, pa) {
			continue
		}
		if own[0] == pa {
			return true, ""
		}
		reason = "shadowed: " + behind(&own[0].Object, &pa.Object)
	}
	return false, reason
}

// serviceOf finds the Service that a selector stands for: one with the same selector, else the first whose workloads it
// selects all; nil for none.
func (c current) serviceOf(pa *mesh.PeerAuthentication) *mesh.Service {
	var wider *mesh.Service
	for _, s := range c.snap.Services {
		if s.Ref.Namespace != pa.Ref.Namespace || len(s.Selector) == 0 || !mesh.Selects(pa.Selector, s.Selector) {
			continue
		}
		if len(s.Selector) == len(pa.Selector) {
			return s
		}
		if wider == nil {
			wider = s
		}
	}
	return wider
}

// servicePort gives the service port that leads to a workload port, or the workload port itself.
func (c current) servicePort(svc *mesh.Service, port uint32) uint32 {
	if svc == nil {
		return port
	}
	for i := range svc.Ports {
		if slices.Contains(targets(&svc.Ports[i], c.r.Endpoints(svc)), port) {
			return svc.Ports[i].Number
		}
	}
	return port
}
