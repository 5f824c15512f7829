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
	for _, i := range r.candidates(s) {
		if d := r.snap.DestinationRules[i]; r.mayMean(d, s) {
			list = append(list, entry{i, r.tier(d.Ref.Namespace, c, s)})
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

// candidates lists the rules whose host could mean the service, in order: those that begin with its first label or with the
// name of its object, and those with a wildcard.
func (r *Resolver) candidates(s *service) []int32 {
	first, _, _ := strings.Cut(s.Hostname, ".")
	out := slices.Concat(r.rulesNamed[first], r.rulesNamed["*"])
	if s.Ref.Name != first {
		out = append(out, r.rulesNamed[s.Ref.Name]...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// nameRules sorts all rules by the first label of their host, those with a wildcard under "*".
func (r *Resolver) nameRules() {
	r.rulesNamed = make(map[string][]int32, len(r.snap.DestinationRules))
	for i, d := range r.snap.DestinationRules {
		first, _, _ := strings.Cut(d.Host, ".")
		if strings.HasPrefix(first, "*") {
			first = "*"
		}
		r.rulesNamed[first] = append(r.rulesNamed[first], int32(i))
	}
}

// mayMean says whether a rule matches the service's host, or looks as if it was meant to.
func (r *Resolver) mayMean(d *mesh.DestinationRule, s *service) bool {
	host := r.RuleHost(d)
	if HostCovers(host, s.Hostname) {
		return true
	}
	first, _, _ := strings.Cut(d.Host, ".")
	full := strings.HasSuffix(d.Host, ".svc."+r.snap.Config.ClusterDomain)
	return first != "*" && first == s.Ref.Name && !s.Entry() && !full
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
	if i != won.rules[0] {
		q.narrateMerged(i)
		return
	}
	where := [...]string{"the client's namespace", "the service's namespace", "the root namespace", ""}[tier]
	about := Reason{Step: StepRule, Outcome: Won, Cause: [...]Cause{CauseClientNamespace, CauseServiceNamespace, CauseRootNamespace, CauseNone}[tier]}
	text := ""
	h, seen := q.r.found(q.c, q.s)
	switch {
	case won.selector != nil:
		text = ", its workloadSelector matches the client"
	case unselected(h, seen) > 1:
		about.Tie = q.lastTie(h, seen, won)
	case len(won.rules) > 1:
		about.Tie = ageTie(&d.Object, &rules[won.rules[1]].Object)
	}
	q.tr.add(about, &d.Object, "host %s matches, in %s (%s)%s", d.Host, where, d.Ref.Namespace, text)
}

// lastTie says by which rule the last of several unmerged rules wins.
func (q *call) lastTie(h *hostRules, seen visibility, won *merged) TieBreak {
	rules := q.r.snap.DestinationRules
	for _, m := range h.list {
		if m != won && m.selector == nil && seen.allows(m) && rules[m.rules[0]].Age(&rules[won.rules[0]].Object) == 0 {
			return TieLastName
		}
	}
	return TieNewest
}

// narrateMerged tells what a rule gives to the one that it is merged into: its trafficPolicy, subsets, or nothing.
func (q *call) narrateMerged(i int32) {
	rules, won := q.r.snap.DestinationRules, q.send.rule
	d, first := rules[i], rules[won.rules[0]]
	about := Reason{Step: StepRule, Cause: CauseMerged}
	if won.selector == nil || d.WorkloadSelector != nil {
		about.Tie = ageTie(&first.Object, &d.Object)
	}
	var adds []string
	for _, sub := range won.subsets {
		if sub.from == i {
			adds = append(adds, sub.Name)
		}
	}
	text := "has the same host as " + first.Ref.String() + " and is merged into it: it adds no subset"
	if len(adds) > 0 {
		text = "has the same host as " + first.Ref.String() + " and is merged into it: it adds the subsets " + strings.Join(adds, ", ")
	}
	switch {
	case won.from == i:
		about.Outcome, about.Cause = Won, CauseMergedTLS
		text += ", and its trafficPolicy is the one in force"
	case q.send.subset != nil && q.send.from == i:
		about.Outcome = Won
		text += ", of which " + q.send.subset.Name + " is the one asked for"
	case d.TrafficPolicy != nil && won.policy == nil:
		about.Outcome = Lost
		text += "; its trafficPolicy is not used, because 1.1 takes it from a rule with subsets alone"
	case d.TrafficPolicy != nil:
		about.Outcome = Lost
		text += "; its trafficPolicy is not used, because " + rules[won.from].Ref.Name + " has one"
	}
	q.tr.add(about, &d.Object, "%s", text)
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
	host := r.RuleHost(d)
	switch {
	case !HostCovers(host, s.Hostname):
		return CauseOtherHost, TieNone, "host " + d.Host + " means " + host + ", which is not " + s.Hostname
	case tier == tierOther:
		return CauseOtherNamespace, TieNone, "lies in " + d.Ref.Namespace + ", which is neither the client's, nor the service's, nor the root namespace"
	}
	h, _ := r.found(c, s)
	for _, l := range r.lookups(c, s) {
		at := l.index.holding(i, host)
		if at == nil {
			continue
		}
		best := l.index.match(s.Hostname)
		switch {
		case !at.shows(i, l.seen):
			return CauseNotExported, TieNone, q.notSeen(at, i)
		case at == h:
			return q.whyUnmerged(at, i, l.seen)
		case best != at && best != h && !best.allows(l.seen):
			return CauseHiddenSpecific, TieNone, "host " + best.host + " in the same namespace is more specific, and not exported to " + c.ns.name
		case best != at:
			return CauseLessSpecific, TieNone, "host " + best.host + " in the same namespace is more specific"
		}
		return CauseFarther, TieNone, "matches, but " + q.nearest(h)
	}
	return CauseNotExported, TieNone, notExported(d, c) + q.rootOrder(d)
}

// nearest says what comes before a rule of another namespace.
func (q *call) nearest(h *hostRules) string {
	rules := q.r.snap.DestinationRules
	text := "the rules for " + h.host + " in " + rules[h.list[0].rules[0]].Ref.Namespace + " are looked at first"
	if q.send.rule != nil {
		text = rules[q.send.rule.rules[0]].Ref.String() + " is looked at first"
	}
	if q.c.ns == q.r.root {
		return text + " (clients in the root namespace take its private rules, then the service's namespace, then its public rules)"
	}
	return text
}

// rootOrder adds why a client in the root namespace does not see a rule that is there.
func (q *call) rootOrder(d *mesh.DestinationRule) string {
	if q.c.ns == q.r.root && q.r.dialect.Legacy() && d.Ref.Namespace == q.r.root.name {
		return "; private rules of the root namespace apply to nobody in " + q.r.dialect.String()
	}
	return ""
}

// shows says whether a client may use some entry that holds rule i.
func (h *hostRules) shows(i int32, v visibility) bool {
	return slices.ContainsFunc(h.list, func(m *merged) bool { return slices.Contains(m.rules, i) && v.allows(m) })
}

func (q *call) whyUnmerged(at *hostRules, i int32, seen visibility) (Cause, TieBreak, string) {
	rules, won := q.r.snap.DestinationRules, q.send.rule
	for _, m := range at.list {
		if !slices.Contains(m.rules, i) || !seen.allows(m) {
			continue
		}
		first := rules[m.rules[0]]
		switch {
		case m.selector != nil && !mesh.Selects(m.selector, q.c.labels()) && m.rules[0] != i:
			return CauseClientSelector, TieNone, "is merged into " + first.Ref.String() + ", whose workloadSelector does not match the client"
		case m.selector != nil && !mesh.Selects(m.selector, q.c.labels()):
			return CauseClientSelector, TieNone, "its workloadSelector does not match the client"
		case won != nil && won.selector != nil:
			return CauseSelectedNearer, TieNone, "a rule whose workloadSelector matches the client comes first"
		}
	}
	tie, text := TieNewest, "a newer rule wins"
	if won != nil && rules[won.rules[0]].Age(&rules[i].Object) == 0 {
		tie, text = TieLastName, "the last by name wins"
	}
	return CauseReplaced, tie, "has the same host and is not merged (exportTo differs): " + text
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
	switch {
	case len(d.ExportTo) > 1 && d.ExportTo[0] == "." && slices.Contains(d.ExportTo, "*"):
		list = "exportTo " + strings.Join(d.ExportTo, ",") + ", of which the first entry alone counts"
	case len(d.ExportTo) > 0:
		list = "exportTo " + strings.Join(d.ExportTo, ",")
	case d.WorkloadSelector != nil:
		list = "it has a workloadSelector"
	}
	if d.Ref.Namespace == c.ns.name {
		return "is not visible to clients of its own namespace (" + list + ")"
	}
	return "is not exported to " + c.ns.name + " (" + list + ")"
}

// holding finds the host entry that holds a rule.
func (x *ruleIndex) holding(i int32, host string) *hostRules {
	if x == nil {
		return nil
	}
	if h := x.hosts[host]; h != nil && h.shows(i, visibility{all: true}) {
		return h
	}
	return nil
}

// server tells of every policy that could decide for an endpoint; of is " for NAMES" where there are several classes.
func (tr *trace) server(q *call, g group, of string) {
	switch {
	case g.first != None && g.excluded:
		tr.add(Reason{Step: StepEndpoint, Cause: CauseMTLSNotCaptured}, &q.r.workloads[g.first].Object,
			"port %d is excluded from capture: no policy is enforced there", g.target)
		return
	case g.first != None && q.r.workloads[g.first].Router:
		tr.add(Reason{Step: StepEndpoint}, &q.r.workloads[g.first].Object, "is a gateway: Gateway objects say what it listens to, and no policy is enforced there")
		return
	case g.first != None && g.capture == mesh.CaptureNone:
		w := q.r.workloads[g.first].Workload
		tr.add(Reason{Step: StepEndpoint}, &w.Object, "has no sidecar (%s): no policy is enforced there, it takes plaintext", reasonOf(w))
		return
	case g.capture == mesh.CaptureNone:
		return
	}
	if q.send.auto == autoEach && !g.istio && g.capture == mesh.CaptureSidecar && g.first != None {
		tr.add(Reason{Step: StepEndpoint, Cause: CauseAuto}, &q.r.workloads[g.first].Object,
			"has a sidecar, but its label %s is %q: auto mTLS sends it plaintext", tlsModeLabel, q.r.workloads[g.first].TLSMode)
	}
	switch {
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
		ns, labels = s.ns, s.Selector
		selected = r.settleLabels(ns, labels).selected
	}
	for _, k := range r.narrowFirst(ns) {
		pa := r.snap.PeerAuthentications[k]
		if k == g.policy.policy {
			cause, text := r.whyPolicyWon(pa, ns, g)
			if g.capture == mesh.CaptureAmbient && g.policy.mode != mesh.ModeStrict {
				text += " (ztunnel takes anything but STRICT as PERMISSIVE)"
			}
			q.tr.add(Reason{Step: StepPolicy, Outcome: Won, Cause: cause, Tie: g.policy.tie}, &pa.Object, "%s%s: %s", text, of, g.policy.mode)
			continue
		}
		cause, tie, text := r.whyPolicyLost(k, ns, labels, selected)
		q.tr.add(Reason{Step: StepPolicy, Outcome: Lost, Cause: cause, Tie: tie}, &pa.Object, "%s%s", text, of)
	}
}

// narrowFirst lists the PeerAuthentications that a workload of a namespace could obey, from the narrowest scope to the
// widest.
func (r *Resolver) narrowFirst(ns *namespace) []int32 {
	var scopes [3][]int32
	for i, pa := range r.snap.PeerAuthentications {
		switch {
		case pa.Ref.Namespace == r.root.name:
			scopes[2] = append(scopes[2], int32(i))
		case pa.Ref.Namespace == ns.name && len(pa.Selector) > 0:
			scopes[0] = append(scopes[0], int32(i))
		case pa.Ref.Namespace == ns.name:
			scopes[1] = append(scopes[1], int32(i))
		}
	}
	return slices.Concat(scopes[:]...)
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
	case len(pa.Selector) > 0 && !mesh.Selects(pa.Selector, labels):
		return CauseSelector, TieNone, "its selector does not match the workload"
	case len(pa.Selector) > 0:
		winner = selected
	case pa.Ref.Namespace == r.root.name:
		winner = r.meshPolicy.policy
	}
	if winner != i && winner != None {
		return lostByAge(&r.snap.PeerAuthentications[winner].Object, &pa.Object, "covers the same scope")
	}
	switch {
	case pa.Mode == mesh.ModeUnset && i == r.meshPolicy.policy:
		return CauseUnset, TieNone, "is the mesh's policy and sets no mode, which leaves PERMISSIVE"
	case pa.Mode == mesh.ModeUnset:
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
	for _, i := range r.narrowLegacy(s) {
		pol := r.snap.Policies[i]
		if i == g.policy.policy {
			cause, text := q.legacyScope(pol, w)
			q.tr.add(Reason{Step: StepPolicy, Outcome: Won, Cause: cause, Tie: g.policy.tie}, &pol.Object, "%s%s: %s", text, of, g.policy.mode)
			continue
		}
		cause, tie, text := r.whyLegacyLost(pol, s, p, w, g)
		q.tr.add(Reason{Step: StepPolicy, Outcome: Lost, Cause: cause, Tie: tie}, &pol.Object, "%s%s", text, of)
	}
	q.sharedPort(g, w)
}

// narrowLegacy lists the policies that a service could obey, from the narrowest scope to the widest.
func (r *Resolver) narrowLegacy(s *service) []int32 {
	var scopes [3][]int32
	for i, pol := range r.snap.Policies {
		switch {
		case pol.Ref.Kind == mesh.KindMeshPolicy:
			scopes[2] = append(scopes[2], int32(i))
		case pol.Ref.Namespace != s.ns.name && !slices.Contains(s.targeted, int32(i)):
		case len(pol.Targets) > 0:
			scopes[0] = append(scopes[0], int32(i))
		default:
			scopes[1] = append(scopes[1], int32(i))
		}
	}
	return slices.Concat(scopes[:]...)
}

// sharedPort tells of another service that leads to the same workload port under another policy: the workload has one
// listener there, made for one of them.
func (q *call) sharedPort(g group, w *workload) {
	if w == nil {
		return
	}
	for _, i := range w.services {
		o := &q.r.services[i]
		for k := range o.ports {
			p := &o.ports[k]
			if n, ok := p.TargetOn(w.Workload); o == q.s || !ok || n != g.target || !p.captured {
				continue
			}
			if got := q.r.legacyPolicy(o, p.Port, w); got.mode != g.policy.mode {
				q.tr.add(Reason{Step: StepPolicy, Cause: CauseSharedPort}, &o.Object,
					"leads to the same port %d of %s, where its policy says %s: there is one listener, and which of the two it obeys is left to chance", g.target, w.Ref.Name, got.mode)
			}
		}
	}
}

// legacyScope says which of a policy's targets made it win.
func (q *call) legacyScope(p *mesh.Policy, w *workload) (Cause, string) {
	switch {
	case p.Ref.Kind == mesh.KindMeshPolicy:
		return CauseMesh, "covers the mesh"
	case len(p.Targets) == 0:
		return CauseNamespace, "covers namespace " + q.s.ns.name
	}
	for _, t := range p.Targets {
		if !q.r.targetsService(p, t, q.s, w) || !t.CoversPort(q.p.Port) {
			continue
		}
		switch {
		case len(t.Labels) > 0 && w != nil && (q.r.dialect == mesh.Dialect12 || q.r.dialect == mesh.Dialect13):
			return CauseLabelTarget, "targets the workload by label"
		case len(t.Ports) > 0:
			return CausePort, "targets port " + itoa(q.p.Number) + " of " + q.s.Ref.Name
		}
	}
	return CauseService, "targets " + q.s.Ref.Name
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
		for _, t := range p.Targets {
			if n := sp.TargetNumber; n != 0 && n != sp.Number && t.CoversPort(&mesh.Port{Number: n}) {
				return CauseOtherPort, TieNone, "targets port " + itoa(n) + ", which is the container's: targets mean the service's ports"
			}
		}
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
