package resolve

import (
	"cmp"
	"slices"
	"strings"

	"github.com/oarlock/oarlock/mesh"
)

// indexLegacyPolicies sorts MeshPolicy and Policy objects by what they cover. The order in which policies of one level are
// tried is age in 1.4, and nobody's promise before: there we take the name and say so (semantics L9).
func (r *Resolver) indexLegacyPolicies() {
	order := make([]int32, len(r.snap.Policies))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortStableFunc(order, func(a, b int32) int {
		pa, pb := &r.snap.Policies[a].Object, &r.snap.Policies[b].Object
		if r.dialect < mesh.Dialect14 {
			return cmp.Or(cmp.Compare(pa.Ref.Namespace, pb.Ref.Namespace), cmp.Compare(pa.Ref.Name, pb.Ref.Name))
		}
		return legacyOlder(pa, pb)
	})
	byTarget := map[string][]int32{}
	for _, i := range order {
		p := r.snap.Policies[i]
		switch {
		case p.Ref.Kind == mesh.KindMeshPolicy:
			if p.Ref.Name == "default" && r.meshPolicy.policy == None {
				r.meshPolicy = scoped{policy: i, mode: p.Mode()}
			}
		case len(p.Targets) == 0:
			r.addLegacyNamespace(&r.policies[r.namespace(p.Ref.Namespace).id], i)
		default:
			r.addTargeted(byTarget, p, i)
		}
	}
	for i := range r.services {
		s := &r.services[i]
		s.targeted = byTarget[s.Hostname]
	}
}

// legacyOlder orders as 1.1 to 1.4 do: by age, then by the one string name.namespace, in which "foo-x.ns" comes before
// "foo.ns" (semantics L9, L26).
func legacyOlder(a, b *mesh.Object) int {
	return cmp.Or(a.Age(b), strings.Compare(a.Ref.Name+"."+a.Ref.Namespace, b.Ref.Name+"."+b.Ref.Namespace))
}

func (r *Resolver) addLegacyNamespace(ns *nsPolicies, i int32) {
	if ns.policy.policy == None {
		ns.policy = scoped{policy: i, mode: r.snap.Policies[i].Mode()}
		return
	}
	if ns.policy.tie == TieNone {
		ns.policy.tie = r.legacyTie(ns.policy.policy, i)
	}
}

func (r *Resolver) addTargeted(byTarget map[string][]int32, p *mesh.Policy, i int32) {
	ns := &r.policies[r.namespace(p.Ref.Namespace).id]
	ns.targeted = append(ns.targeted, i)
	for _, t := range p.Targets {
		if len(t.Labels) > 0 && (r.dialect == mesh.Dialect12 || r.dialect == mesh.Dialect13) {
			ns.byLabel = true
		}
		host := r.targetHost(p, t)
		if list := byTarget[host]; host != "" && (len(list) == 0 || list[len(list)-1] != i) {
			byTarget[host] = append(list, i)
		}
	}
}

// targetHost completes a target's short name with the policy's namespace (semantics L3). 1.4 takes a dotted name, which
// admission refuses, for a full one; earlier versions never match it (L10).
func (r *Resolver) targetHost(p *mesh.Policy, t mesh.PolicyTarget) string {
	switch {
	case t.Name == "":
		return ""
	case strings.Contains(t.Name, "."):
		if r.dialect == mesh.Dialect14 {
			return t.Name
		}
		return ""
	}
	return r.fqdn(t.Name, p.Ref.Namespace)
}

func (r *Resolver) legacyTie(winner, loser int32) TieBreak {
	if r.dialect < mesh.Dialect14 {
		return TieUnspecified
	}
	return ageTie(&r.snap.Policies[winner].Object, &r.snap.Policies[loser].Object)
}

// legacyPolicy finds the policy of a service port:
//
//   - a Policy of the service's namespace that targets the service, on this port or on all of them: both are one level,
//     and the first that matches wins
//   - else the namespace's Policy without targets
//   - else MeshPolicy default
//   - else nothing, and mTLS is off
//
// The winner counts whole. 1.2 and 1.3 also match targets by the labels of the workload; w is nil where no workload is
// looked at, as in tls-check.
//
// Source: semantics L3 to L9.
func (r *Resolver) legacyPolicy(s *service, p *mesh.Port, w *workload) scoped {
	candidates, ns := s.targeted, &r.policies[s.ns.id]
	if ns.byLabel && w != nil {
		candidates = ns.targeted
	}
	out := noPolicy
	for _, i := range candidates {
		if !r.targets(r.snap.Policies[i], s, p, w) {
			continue
		}
		if out.policy != None {
			out.tie = r.legacyTie(out.policy, i)
			break
		}
		out = scoped{policy: i, mode: r.snap.Policies[i].Mode()}
	}
	switch {
	case out.policy != None:
		return out
	case ns.policy.policy != None:
		return ns.policy
	case r.meshPolicy.policy != None:
		return r.meshPolicy
	}
	return scoped{policy: None, mode: mesh.ModeDisable}
}

// targets says whether a policy's targets cover a service port on a workload.
func (r *Resolver) targets(p *mesh.Policy, s *service, sp *mesh.Port, w *workload) bool {
	for _, t := range p.Targets {
		if r.targetsService(p, t, s, w) && t.CoversPort(sp) {
			return true
		}
	}
	return false
}

func (r *Resolver) targetsService(p *mesh.Policy, t mesh.PolicyTarget, s *service, w *workload) bool {
	if len(t.Labels) > 0 && w != nil && (r.dialect == mesh.Dialect12 || r.dialect == mesh.Dialect13) {
		return p.Ref.Namespace == w.ns.name && mesh.Selects(t.Labels, w.Labels)
	}
	return r.targetIsHost(p, t, s.Hostname)
}

// targetIsHost says whether targetHost would give this host, without building the string.
func (r *Resolver) targetIsHost(p *mesh.Policy, t mesh.PolicyTarget, host string) bool {
	if t.Name == "" {
		return false
	}
	if strings.Contains(t.Name, ".") {
		return r.dialect == mesh.Dialect14 && t.Name == host
	}
	rest, ok := strings.CutPrefix(host, t.Name+".")
	if !ok {
		return false
	}
	rest, ok = strings.CutPrefix(rest, p.Ref.Namespace+".svc.")
	return ok && rest == r.snap.Config.ClusterDomain
}
