package change

import (
	"fmt"
	"slices"

	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/resolve"
)

// Verify compares the mesh as it was read with a fresh parse of the edited files. It returns a *Refusal unless
//
//   - every port that the plan is about has the mode that was asked for; a port that a narrower policy decides keeps the
//     mode that it had
//   - no other port has another mode than before
//   - with Plan.Clients, no meshed client is in conflict inside the resource, nor newly elsewhere, and no rule lost a
//     setting besides TLS
//
// It does not trust what the plan says of itself: modes and verdicts are asked of package resolve.
func Verify(before, after *mesh.Snapshot, p *Plan) error {
	where, err := find(after, p.Resource)
	if err != nil {
		return err
	}
	old, err := find(before, p.Resource)
	if err != nil {
		return err
	}
	v := &verifier{plan: p, where: where, old: resolve.New(before), fresh: resolve.New(after), twins: twinsOf(before)}
	if err := v.servers(); err != nil {
		return err
	}
	if !p.Clients {
		return nil
	}
	return v.clients(old)
}

type verifier struct {
	plan       *Plan
	where      place
	old, fresh *resolve.Resolver
	twins      twins
}

// twins finds in one snapshot what another one calls the same.
type twins struct {
	services  map[serviceKey]*mesh.Service
	workloads map[mesh.Ref]*mesh.Workload
}

type serviceKey struct {
	ref  mesh.Ref
	host string
}

func twinsOf(s *mesh.Snapshot) twins {
	t := twins{make(map[serviceKey]*mesh.Service, len(s.Services)), make(map[mesh.Ref]*mesh.Workload, len(s.Workloads))}
	for _, o := range s.Services {
		t.services[serviceKey{o.Ref, o.Hostname}] = o
	}
	for _, w := range s.Workloads {
		t.workloads[w.Ref] = w
	}
	return t
}

func (t twins) service(s *mesh.Service) *mesh.Service {
	return t.services[serviceKey{s.Ref, s.Hostname}]
}

func (t twins) client(c resolve.Client) resolve.Client {
	if c.Workload == nil {
		return c
	}
	return resolve.Client{Workload: t.workloads[c.Workload.Ref]}
}

// cell translates a cell; false where it has no twin.
func (t twins) cell(c cell) (cell, bool) {
	out := cell{client: t.client(c.client), svc: t.service(c.svc), subset: c.subset}
	if out.svc != nil {
		out.port = out.svc.Port(c.port.Number)
	}
	return out, out.port != nil
}

// servers compares the mode of every port.
func (v *verifier) servers() error {
	if v.fresh.Snapshot().Dialect.Legacy() {
		for _, s := range v.fresh.Snapshot().Services {
			for i := range s.Ports {
				if err := v.servicePort(s, &s.Ports[i]); err != nil {
					return err
				}
			}
		}
		return nil
	}
	about := v.about()
	for _, w := range v.fresh.Snapshot().Workloads {
		for _, n := range v.ports(w) {
			if err := v.workloadPort(w, n, about); err != nil {
				return err
			}
		}
	}
	return nil
}

// servicePort checks one service port in the legacy dialects: on each workload, or as such where there is none.
func (v *verifier) servicePort(s *mesh.Service, q *mesh.Port) error {
	was := v.twins.service(s)
	if was == nil {
		return v.refuse("%s is not there any more", s.Ref)
	}
	inside := v.where.inside(s, q) && !s.Entry()
	for _, w := range v.fresh.Endpoints(s) {
		if w.Capture != mesh.CaptureSidecar || !w.InlineOf.IsZero() {
			continue
		}
		m0, _ := v.old.ServerMode(v.twins.workloads[w.Ref], was, q.Number)
		m1, by := v.fresh.ServerMode(w, s, q.Number)
		if m1 == resolve.ServerDisable && by == resolve.None && m0 == m1 && v.uncaptured(w, q) {
			continue
		}
		if err := v.judge(inside, m0, m1, v.legacyException(s, q), fmt.Sprintf("%s:%d on %s", s.Hostname, q.Number, w.Ref)); err != nil {
			return err
		}
	}
	if len(v.fresh.Endpoints(s)) > 0 || s.Entry() {
		return nil
	}
	m0 := v.old.Resolve(resolve.Client{}, resolve.Target{Service: was, Port: q.Number})
	m1 := v.fresh.Resolve(resolve.Client{}, resolve.Target{Service: s, Port: q.Number})
	if m1.Status == resolve.StatusNotCaptured {
		return nil
	}
	return v.judge(inside, m0.Server, m1.Server, v.legacyException(s, q), fmt.Sprintf("%s:%d", s.Hostname, q.Number))
}

// uncaptured says whether the sidecar does not see the port at all, so that no policy matters there.
func (v *verifier) uncaptured(w *mesh.Workload, q *mesh.Port) bool {
	n, ok := q.TargetOn(w)
	return !ok || !w.Inbound.Captures(n) || q.Transport == "UDP"
}

// legacyException says whether a policy of a narrower scope than the resource covers a service port.
func (v *verifier) legacyException(s *mesh.Service, q *mesh.Port) bool {
	l := legacy{&plan{draft: &draft{snap: v.fresh.Snapshot()}}}
	switch v.where.Scope {
	case ScopeMesh:
		return len(l.covering(s, q.Number)) > 0 || len(l.namespacePolicies(s.Ref.Namespace)) > 0
	case ScopeNamespace:
		return len(l.covering(s, q.Number)) > 0
	case ScopeService:
		_, single, _ := l.split(s)
		return slices.ContainsFunc(single, func(e entry) bool { return slices.Contains(e.ports, q.Number) })
	}
	return false
}

// about gives the workload ports that the resource is about, in the current dialect: nil for every port of a workload.
func (v *verifier) about() func(*mesh.Workload, uint32) bool {
	switch v.where.Scope {
	case ScopeMesh:
		return func(*mesh.Workload, uint32) bool { return true }
	case ScopeNamespace:
		return func(w *mesh.Workload, _ uint32) bool { return w.Ref.Namespace == v.where.Namespace }
	}
	pods := v.fresh.Endpoints(v.where.svc)
	return func(w *mesh.Workload, port uint32) bool {
		if !slices.Contains(pods, w) {
			return false
		}
		if v.where.port == nil {
			return true
		}
		return slices.Contains(targets(v.where.port, pods), port)
	}
}

// ports lists what can be asked of a workload: its declared ports, those that Services lead to, those that policies name,
// and one that nobody names.
func (v *verifier) ports(w *mesh.Workload) []uint32 {
	const undeclared = 1
	out := []uint32{undeclared}
	for _, q := range w.Ports {
		out = append(out, q.Number)
	}
	for _, s := range v.fresh.ServicesOf(w) {
		for i := range s.Ports {
			if n, ok := s.Ports[i].TargetOn(w); ok {
				out = append(out, n)
			}
		}
	}
	for _, pa := range slices.Concat(v.fresh.Snapshot().PeerAuthentications, v.old.Snapshot().PeerAuthentications) {
		if pa.Ref.Namespace == w.Ref.Namespace {
			for _, e := range pa.Ports {
				out = append(out, e.Port)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// workloadPort checks one port of one workload in the current dialect.
func (v *verifier) workloadPort(w *mesh.Workload, port uint32, about func(*mesh.Workload, uint32) bool) error {
	if w.Capture != mesh.CaptureSidecar || !w.Inbound.Captures(port) {
		return nil
	}
	was := v.twins.workloads[w.Ref]
	if was == nil {
		return v.refuse("%s is not there any more", w.Ref)
	}
	m0, _ := v.old.ServerMode(was, nil, port)
	m1, by := v.fresh.ServerMode(w, nil, port)
	return v.judge(about(w, port), m0, m1, v.currentException(by, port), fmt.Sprintf("port %d of %s", port, w.Ref))
}

func (v *verifier) currentException(by int32, port uint32) bool {
	if by == resolve.None {
		return false
	}
	pa := v.fresh.Snapshot().PeerAuthentications[by]
	ofPort := slices.ContainsFunc(pa.Ports, func(e mesh.PortMode) bool { return e.Port == port && e.Mode != mesh.ModeUnset })
	switch v.where.Scope {
	case ScopeMesh:
		return pa.Ref.Namespace != v.fresh.Snapshot().Config.RootNamespace
	case ScopeNamespace:
		return len(pa.Selector) > 0
	case ScopeService:
		return ofPort
	}
	return false
}

// judge compares one mode before and after.
func (v *verifier) judge(inside bool, before, after resolve.Server, exception bool, what string) error {
	switch {
	case !inside && before != after:
		return v.refuse("%s would change from %s to %s, and nobody asked for that", what, v.word(before), v.word(after))
	case !inside, v.plan.Verb == Unset:
		return nil
	case after == resolve.Server(v.plan.Verb.Mode()), exception && before == after:
		return nil
	}
	return v.refuse("%s would be %s and not %s", what, v.word(after), v.word(resolve.Server(v.plan.Verb.Mode())))
}

func (v *verifier) word(s resolve.Server) string { return s.Word(mesh.DialectCurrent) }

func (v *verifier) refuse(format string, args ...any) error {
	return refuse(v.plan.Resource, "the edited files would not do what was asked: "+format, args...)
}

// clients checks that no meshed client is left in conflict.
func (v *verifier) clients(old place) error {
	j := watch(old, v.old, v.plan.Changes)
	j.where, j.twin = v.where, v.twins.cell
	bad, lost := j.look(v.fresh)
	if lost != nil {
		return v.refuse("%s would lose a setting for %s", lost.client.Workload.Ref, lost.svc.Hostname)
	}
	if len(bad) > 0 {
		return v.refuse("%s would be in conflict with %s", bad[0].client.Workload.Ref, conflicts(v.fresh, bad[:1])[0])
	}
	return nil
}
