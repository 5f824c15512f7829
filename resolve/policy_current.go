package resolve

import "github.com/oarlock/oarlock/mesh"

// indexPolicies sorts policies by scope. Snapshot order is "oldest first", so the first of a scope wins.
func (r *Resolver) indexPolicies() {
	if r.dialect.Legacy() {
		r.indexLegacyPolicies()
		return
	}
	for i, pa := range r.snap.PeerAuthentications {
		ns := r.namespace(pa.Ref.Namespace)
		own := &r.policies[ns.id]
		switch {
		case len(pa.Selector) > 0:
			// A selector in the root namespace has no effect, on workloads there neither (semantics M8).
			if ns != r.root {
				own.selected = append(own.selected, int32(i))
			}
		case ns == r.root:
			r.addScoped(&r.meshPolicy, i)
		default:
			r.addScoped(&own.policy, i)
		}
	}
}

// addScoped makes PeerAuthentication i the winner of a scope, or notes by which rule it lost.
func (r *Resolver) addScoped(s *scoped, i int) {
	pa := r.snap.PeerAuthentications[i]
	if s.policy == None {
		*s = scoped{policy: int32(i), mode: pa.Mode}
		return
	}
	if s.tie == TieNone {
		s.tie = ageTie(&r.snap.PeerAuthentications[s.policy].Object, &pa.Object)
	}
}

// ageTie names the rule by which winner comes before loser in Snapshot order.
func ageTie(winner, loser *mesh.Object) TieBreak {
	if winner.Age(loser) < 0 {
		return TieOldest
	}
	return TieName
}

// settleLabels computes the effective mode of a workload with these labels:
//
//   - start with PERMISSIVE, decided by nobody
//   - overwrite it with the mesh's, then the namespace's, then the workload's mode, each unless it is UNSET
//   - of several policies in one scope the oldest counts, then the first by name; the others are ignored whole
//
// Source: semantics M1 to M5, M8.
func (r *Resolver) settleLabels(ns *namespace, labels map[string]string) settled {
	out := settled{policy: r.currentScope(ns), selected: None}
	for _, i := range r.policies[ns.id].selected {
		pa := r.snap.PeerAuthentications[i]
		if !mesh.Selects(pa.Selector, labels) {
			continue
		}
		if out.selected != None {
			out.tie = ageTie(&r.snap.PeerAuthentications[out.selected].Object, &pa.Object)
			break
		}
		out.selected = i
	}
	if out.selected != None {
		if mode := r.snap.PeerAuthentications[out.selected].Mode; mode != mesh.ModeUnset {
			out.policy = scoped{policy: out.selected, mode: mode, tie: out.tie}
		}
	}
	return out
}

// currentScope is the mode of a namespace, workloads and ports apart.
func (r *Resolver) currentScope(ns *namespace) scoped {
	out := scoped{policy: None, mode: mesh.ModePermissive}
	if r.meshPolicy.mode != mesh.ModeUnset {
		out = r.meshPolicy
	}
	if own := r.policies[ns.id].policy; own.mode != mesh.ModeUnset {
		out = own
	}
	return out
}

// currentPolicy is the mode of one workload port. Ztunnel knows no DISABLE: what is not STRICT is PERMISSIVE there
// (semantics M49).
func (r *Resolver) currentPolicy(w *workload, port uint32) scoped {
	out := r.portMode(r.settled[w.id], port)
	if w.Capture == mesh.CaptureAmbient && out.mode == mesh.ModeDisable {
		out.mode = mesh.ModePermissive
	}
	return out
}

// portMode is portLevelMtls of the workload's one policy, else the workload's mode (semantics M6).
func (r *Resolver) portMode(known settled, port uint32) scoped {
	out := known.policy
	if known.selected == None {
		return out
	}
	for _, p := range r.snap.PeerAuthentications[known.selected].Ports {
		if p.Port == port && p.Mode != mesh.ModeUnset {
			out = scoped{policy: known.selected, mode: p.Mode, tie: known.tie}
		}
	}
	return out
}
