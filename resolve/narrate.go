package resolve

import (
	"slices"
	"strings"

	"github.com/oarlock/oarlock/mesh"
)

// rules tells of every DestinationRule that could have meant this service, nearest namespace first, which won and why each
// other lost.
func (tr *trace) rules(q *call) {
	if tr == nil {
		return
	}
	r, c, s := q.r, q.c, q.s
	type entry struct {
		i    int32
		tier int
	}
	var list []entry
	for i, d := range r.snap.DestinationRules {
		if r.mayMean(d, s) {
			list = append(list, entry{int32(i), r.tier(d.Ref.Namespace, c, s)})
		}
	}
	slices.SortStableFunc(list, func(a, b entry) int { return a.tier - b.tier })
	for _, e := range list {
		q.narrateRule(e.i, e.tier)
	}
	if q.send.rule == nil {
		tr.note(StepRule, CauseDefault, "no DestinationRule applies to %s for namespace %s", s.Hostname, c.ns.name)
	}
}

const (
	tierClient = iota
	tierService
	tierRoot
	tierOther
)

func (r *Resolver) tier(ns string, c *caller, s *service) int {
	switch ns {
	case c.ns.name:
		return tierClient
	case s.ns.name:
		return tierService
	case r.root.name:
		return tierRoot
	}
	return tierOther
}

// mayMean says whether a rule matches the service's host, or looks as if it was meant to.
func (r *Resolver) mayMean(d *mesh.DestinationRule, s *service) bool {
	host := r.ruleHost(d)
	if hostCovers(host, s.Hostname) {
		return true
	}
	first, _, _ := strings.Cut(d.Host, ".")
	return first != "*" && first == s.Ref.Name && !s.Entry()
}

func (q *call) narrateRule(i int32, tier int) {
	won := q.send.rule
	if won != nil && slices.Contains(won.rules, i) {
		q.narrateWinner(i, tier)
		return
	}
	cause, tie, text := q.whyRuleLost(i, tier)
	q.tr.add(Reason{Step: StepRule, Outcome: Lost, Cause: cause, Tie: tie}, &q.r.snap.DestinationRules[i].Object, "%s", text)
}

func (q *call) narrateWinner(i int32, tier int) {
	rules, won := q.r.snap.DestinationRules, q.send.rule
	d := rules[i]
	switch {
	case i != won.rules[0] && won.from == i:
		q.tr.add(Reason{Step: StepRule, Outcome: Won, Cause: CauseMergedTLS}, &d.Object, "has the same host: merged, and its trafficPolicy is the one in force")
		return
	case i != won.rules[0]:
		q.tr.add(Reason{Step: StepRule, Cause: CauseMerged}, &d.Object, "has the same host: its subsets are merged in, its trafficPolicy is not used")
		return
	}
	where := [...]string{"the client's namespace", "the service's namespace", "the root namespace", ""}[tier]
	about := Reason{Step: StepRule, Outcome: Won, Cause: [...]Cause{CauseClientNamespace, CauseServiceNamespace, CauseRootNamespace, CauseNone}[tier]}
	if h, seen := q.r.found(q.c, q.s); h != nil && unselected(h, seen) > 1 && won.selector == nil {
		about.Tie = TieNewest
	} else if len(won.rules) > 1 {
		about.Tie = ageTie(&d.Object, &rules[won.rules[1]].Object)
	}
	q.tr.add(about, &d.Object, "host %s matches, in %s (%s)", d.Host, where, d.Ref.Namespace)
}

func unselected(h *hostRules, v visibility) int {
	n := 0
	for _, m := range h.list {
		if m.selector == nil && v.allows(m) {
			n++
		}
	}
	return n
}

func (q *call) whyRuleLost(i int32, tier int) (Cause, TieBreak, string) {
	r, c, s := q.r, q.c, q.s
	d := r.snap.DestinationRules[i]
	host := r.ruleHost(d)
	switch {
	case !hostCovers(host, s.Hostname):
		return CauseOtherHost, TieNone, "host " + d.Host + " means " + host + ", which is not " + s.Hostname
	case tier == tierOther:
		return CauseOtherNamespace, TieNone, "lies in " + d.Ref.Namespace + ", which is neither the client's, nor the service's, nor the root namespace"
	}
	h, seen := r.found(c, s)
	for _, l := range r.lookups(c, s) {
		at := l.index.holding(i)
		if at == nil {
			continue
		}
		best := l.index.match(s.Hostname)
		switch {
		case at == h:
			return q.whyUnmerged(at, i, seen)
		case !at.allows(l.seen):
			return CauseNotExported, TieNone, q.notSeen(at, i)
		case best != at && best != h && !best.allows(l.seen):
			return CauseHiddenSpecific, TieNone, "host " + best.host + " in the same namespace is more specific, and not exported to " + c.ns.name
		case best != at:
			return CauseLessSpecific, TieNone, "host " + best.host + " in the same namespace is more specific"
		}
		return CauseFarther, TieNone, "matches, but " + r.nearest(h) + " is nearer"
	}
	return CauseNotExported, TieNone, notExported(d, c)
}

func (r *Resolver) nearest(h *hostRules) string {
	return r.snap.DestinationRules[h.list[0].rules[0]].Ref.String()
}

func (q *call) whyUnmerged(at *hostRules, i int32, seen visibility) (Cause, TieBreak, string) {
	c, won := q.c, q.send.rule
	for _, m := range at.list {
		if !slices.Contains(m.rules, i) {
			continue
		}
		switch {
		case !seen.allows(m):
			return CauseNotExported, TieNone, q.notSeen(at, i)
		case m.selector != nil && !selects(m.selector, c.labels()):
			return CauseClientSelector, TieNone, "its workloadSelector does not match the client"
		case won != nil && won.selector != nil:
			return CauseSelectedNearer, TieNone, "a rule whose workloadSelector matches the client comes first"
		}
	}
	return CauseReplaced, TieNewest, "has the same host and is not merged (exportTo differs): a newer rule wins"
}

// notSeen says why a client may not use a rule that its index holds: for the rule's own exportTo, or for that of the rule
// that it is merged into.
func (q *call) notSeen(at *hostRules, i int32) string {
	rules := q.r.snap.DestinationRules
	for _, m := range at.list {
		if slices.Contains(m.rules, i) && m.rules[0] != i {
			return "has the same host as " + rules[m.rules[0]].Ref.String() + " and is merged into it, which is not exported to " + q.c.ns.name
		}
	}
	return notExported(rules[i], q.c)
}

func notExported(d *mesh.DestinationRule, c *caller) string {
	list := "by the mesh default"
	if len(d.ExportTo) > 0 {
		list = "exportTo " + strings.Join(d.ExportTo, ",")
	} else if d.WorkloadSelector != nil {
		list = "it has a workloadSelector"
	}
	if d.Ref.Namespace == c.ns.name {
		return "is not visible to clients of its own namespace (" + list + ")"
	}
	return "is not exported to " + c.ns.name + " (" + list + ")"
}

// holding finds the host entry that holds a rule.
func (x *ruleIndex) holding(i int32) *hostRules {
	if x == nil {
		return nil
	}
	for _, h := range x.hosts {
		for _, m := range h.list {
			if slices.Contains(m.rules, i) {
				return h
			}
		}
	}
	return nil
}

// server tells of every policy that could decide for an endpoint; of is " for NAMES" where there are several classes.
func (tr *trace) server(q *call, g group, of string) {
	switch {
	case g.first != None && g.excluded:
		tr.add(Reason{Step: StepEndpoint, Cause: CauseMTLSNotCaptured}, &q.r.workloads[g.first].Object,
			"port %d is excluded from capture by annotation: no policy is enforced there", g.target)
		return
	case g.first != None && g.capture == mesh.CaptureNone:
		w := q.r.workloads[g.first].Workload
		tr.add(Reason{Step: StepEndpoint}, &w.Object, "has no sidecar (%s): no policy is enforced there, it takes plaintext", reasonOf(w))
		return
	case g.capture == mesh.CaptureNone:
		return
	case q.r.dialect.Legacy():
		q.narrateLegacy(g, of)
	default:
		q.narrateCurrent(g, of)
	}
	if g.policy.policy == None {
		tr.note(StepPolicy, CauseDefault, "no policy decides%s: %s is the default", of, g.policy.mode)
	}
}

func (q *call) narrateCurrent(g group, of string) {
	r, s := q.r, q.s
	ns, labels, selected := (*namespace)(nil), map[string]string(nil), None
	if g.first != None {
		w := &r.workloads[g.first]
		ns, labels, selected = w.ns, w.Labels, r.settled[w.id].selected
	} else {
		ns = s.ns
	}
	for i, pa := range r.snap.PeerAuthentications {
		k := int32(i)
		if pa.Ref.Namespace != ns.name && pa.Ref.Namespace != r.root.name {
			continue
		}
		if k == g.policy.policy {
			cause, text := r.whyPolicyWon(pa, ns, g)
			q.tr.add(Reason{Step: StepPolicy, Outcome: Won, Cause: cause, Tie: g.policy.tie}, &pa.Object, "%s%s: %s", text, of, g.policy.mode)
			continue
		}
		cause, tie, text := r.whyPolicyLost(k, ns, labels, selected)
		q.tr.add(Reason{Step: StepPolicy, Outcome: Lost, Cause: cause, Tie: tie}, &pa.Object, "%s%s", text, of)
	}
}

func (r *Resolver) whyPolicyWon(pa *mesh.PeerAuthentication, ns *namespace, g group) (Cause, string) {
	if len(pa.Selector) > 0 {
		for _, p := range pa.Ports {
			if p.Port == g.target && p.Mode != mesh.ModeUnset {
				return CausePort, "sets port " + itoa(g.target)
			}
		}
		return CauseWorkload, "selects the workload"
	}
	if pa.Ref.Namespace == r.root.name {
		return CauseMesh, "covers the mesh"
	}
	return CauseNamespace, "covers namespace " + ns.name
}

func (r *Resolver) whyPolicyLost(i int32, ns *namespace, labels map[string]string, selected int32) (Cause, TieBreak, string) {
	pa := r.snap.PeerAuthentications[i]
	winner := r.policies[ns.id].policy.policy
	switch {
	case len(pa.Selector) > 0 && pa.Ref.Namespace == r.root.name:
		return CauseRootSelector, TieNone, "has a selector in the root namespace, where selectors have no effect"
	case len(pa.Selector) > 0 && !selects(pa.Selector, labels):
		return CauseSelector, TieNone, "its selector does not match the workload"
	case len(pa.Selector) > 0:
		winner = selected
	case pa.Ref.Namespace == r.root.name:
		winner = r.meshPolicy.policy
	}
	if winner != i && winner != None {
		return lostByAge(&r.snap.PeerAuthentications[winner].Object, &pa.Object, "covers the same scope")
	}
	if pa.Mode == mesh.ModeUnset {
		return CauseUnset, TieNone, "sets no mode here: the wider scope's is inherited"
	}
	return CauseWider, TieNone, "a narrower scope decides"
}

// lostByAge says by which tie-break one object of a level lost to another.
func lostByAge(winner, loser *mesh.Object, what string) (Cause, TieBreak, string) {
	if ageTie(winner, loser) == TieOldest {
		return CauseYounger, TieOldest, what + ", but " + winner.Ref.String() + " is older; it is ignored whole"
	}
	return CauseNameOrder, TieName, what + ", but " + winner.Ref.String() + " comes first by name (no ages are known, or they are equal); it is ignored whole"
}

func (q *call) narrateLegacy(g group, of string) {
	r, s, p := q.r, q.s, q.p
	if s == nil {
		q.tr.note(StepPolicy, CauseDefault, "port %d is in no service: legacy policies do not reach it", g.target)
		return
	}
	var w *workload
	if g.first != None {
		w = &r.workloads[g.first]
	}
	for i, pol := range r.snap.Policies {
		mine := pol.Ref.Kind == mesh.KindMeshPolicy || pol.Ref.Namespace == s.ns.name || slices.Contains(s.targeted, int32(i))
		if !mine {
			continue
		}
		if int32(i) == g.policy.policy {
			q.tr.add(Reason{Step: StepPolicy, Outcome: Won, Cause: legacyScope(pol, p), Tie: g.policy.tie}, &pol.Object, "%s%s: %s", legacyScopeText(pol, s, p), of, g.policy.mode)
			continue
		}
		cause, tie, text := r.whyLegacyLost(pol, s, p, w, g)
		q.tr.add(Reason{Step: StepPolicy, Outcome: Lost, Cause: cause, Tie: tie}, &pol.Object, "%s%s", text, of)
	}
}

func legacyScope(p *mesh.Policy, sp *port) Cause {
	switch {
	case p.Ref.Kind == mesh.KindMeshPolicy:
		return CauseMesh
	case len(p.Targets) == 0:
		return CauseNamespace
	case slices.ContainsFunc(p.Targets, func(t mesh.PolicyTarget) bool { return len(t.Ports) > 0 && targetsPort(t, sp.Port) }):
		return CausePort
	}
	return CauseService
}

func legacyScopeText(p *mesh.Policy, s *service, sp *port) string {
	switch legacyScope(p, sp) {
	case CauseMesh:
		return "covers the mesh"
	case CauseNamespace:
		return "covers namespace " + s.ns.name
	case CausePort:
		return "targets port " + itoa(sp.Number) + " of " + s.Ref.Name
	}
	return "targets " + s.Ref.Name
}

func (r *Resolver) whyLegacyLost(p *mesh.Policy, s *service, sp *port, w *workload, g group) (Cause, TieBreak, string) {
	switch {
	case p.Ref.Kind == mesh.KindMeshPolicy && p.Ref.Name != "default":
		return CauseNotDefault, TieNone, "is not called default: only that MeshPolicy is read"
	case len(p.Targets) > 0 && !slices.ContainsFunc(p.Targets, func(t mesh.PolicyTarget) bool { return r.targetsService(p, t, s, w) }):
		if slices.ContainsFunc(p.Targets, func(t mesh.PolicyTarget) bool { return len(t.Labels) > 0 }) {
			return CauseLabelTarget, TieNone, "targets by label, which does not match here"
		}
		return CauseOtherTarget, TieNone, "targets another service"
	case len(p.Targets) > 0 && !r.targets(p, s, sp.Port, w):
		return CauseOtherPort, TieNone, "targets another port of " + s.Ref.Name
	case g.policy.policy == None:
		return CauseOtherDialect, TieNone, "does not reach this service"
	}
	won := r.snap.Policies[g.policy.policy]
	if won.Ref.Kind != p.Ref.Kind || len(won.Targets) == 0 && len(p.Targets) > 0 || len(won.Targets) > 0 && len(p.Targets) == 0 {
		return CauseWider, TieNone, "a narrower scope decides, and its policy counts whole"
	}
	if r.dialect < mesh.Dialect14 {
		return CauseUnspecified, TieUnspecified, "covers the same scope as " + won.Ref.String() + ": " + r.dialect.String() + " does not say which wins; taken by name"
	}
	return lostByAge(&won.Object, &p.Object, "covers the same scope")
}
