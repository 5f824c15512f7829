package change

import (
	"fmt"
	"slices"
	"strings"

	"github.com/oarlock/oarlock/mesh"
)

// entry is one target of one policy that covers some ports of a service.
type entry struct {
	policy *mesh.Policy
	target mesh.PolicyTarget
	ports  []uint32 // of the service
	whole  bool     // for the service as such: no ports, or ports that stand for "the others" (annotationWhole)
}

// entries lists the targets that cover a service, policy by policy in the order in which Istio tries them.
func (l legacy) entries(svc *mesh.Service) []entry {
	var out []entry
	for _, p := range l.policies(func(p *mesh.Policy) bool { return len(p.Targets) > 0 }) {
		for _, t := range p.Targets {
			if isTarget(p, t, svc) {
				whole := len(t.Ports) == 0 || slices.Contains(wholes(p.Body), svc.Ref.Name)
				out = append(out, entry{p, t, targetPorts(t, svc), whole})
			}
		}
	}
	return out
}

// split sorts the entries of a service that are first somewhere: those for the service as such, those for single ports with
// the ports at which they are first, and these ports. Where they are all ports, nothing is left for the service as such to
// decide, and all entries are taken for it.
func (l legacy) split(svc *mesh.Service) (whole, single []entry, taken []uint32) {
	all := l.entries(svc)
	for _, e := range all {
		if e.whole {
			whole = append(whole, e)
			continue
		}
		e.ports = slices.DeleteFunc(slices.Clone(e.ports), func(port uint32) bool { return l.covering(svc, port)[0] != e.policy })
		if len(e.ports) > 0 {
			single = append(single, e)
			taken = append(taken, e.ports...)
		}
	}
	if len(less(allPorts(svc), taken)) == 0 {
		return all, nil, nil
	}
	return whole, single, taken
}

// deciding are the policies of a level that may be in force for some of the ports, the first by order first.
func (l legacy) deciding(svc *mesh.Service, ports []uint32, level []*mesh.Policy) []*mesh.Policy {
	return slices.DeleteFunc(slices.Clone(level), func(q *mesh.Policy) bool {
		return !slices.ContainsFunc(ports, func(port uint32) bool { return slices.Contains(l.live(l.covering(svc, port)), q) })
	})
}

// less gives the ports that are not among drop.
func less(ports, drop []uint32) []uint32 {
	return slices.DeleteFunc(slices.Clone(ports), func(p uint32) bool { return slices.Contains(drop, p) })
}

func policiesOf(entries []entry) []*mesh.Policy {
	var out []*mesh.Policy
	for _, e := range entries {
		if !slices.Contains(out, e.policy) {
			out = append(out, e.policy)
		}
	}
	return out
}

// coversOnly says whether a policy covers these ports of the service and nothing else at all.
func coversOnly(p *mesh.Policy, svc *mesh.Service, ports []uint32) bool {
	var got []uint32
	for _, t := range p.Targets {
		if !isTarget(p, t, svc) {
			return false
		}
		got = append(got, targetPorts(t, svc)...)
	}
	return len(less(got, ports)) == 0 && len(less(ports, got)) == 0
}

// setPort makes one port say mode: the policy that covers it alone is edited; else the port is taken out of every policy
// that covers it and put into one of its own, which copies the one that was in force.
func (l legacy) setPort(p place, mode mesh.Mode) error {
	port := []uint32{p.port.Number}
	level := l.covering(p.svc, p.port.Number)
	live := l.live(level)
	if len(live) > 0 && !slices.ContainsFunc(live, func(q *mesh.Policy) bool { return q.Mode() != mode }) {
		l.note("%s says %s for it already", live[0].Ref, ModeWord(mode, l.snap.Dialect))
		return nil
	}
	from := l.wider(p.Namespace)
	if len(live) > 0 {
		from = live[0]
		alone := slices.IndexFunc(live, func(q *mesh.Policy) bool { return coversOnly(q, p.svc, port) })
		if alone == 0 || alone > 0 && l.snap.Dialect < mesh.Dialect14 {
			setMode(l.edit(&live[alone].Object, live[alone].Body, l.because(p, mode)), mode)
			l.strip(p, slices.Delete(slices.Clone(live), alone, alone+1), port)
			return nil
		}
	}
	l.strip(p, level, port)
	l.place(p, from, mode, port)
	return nil
}

// setService makes the service say mode. Ports with a policy of their own keep it.
func (l legacy) setService(p place, mode mesh.Mode) error {
	whole, single, taken := l.split(p.svc)
	mine := less(allPorts(p.svc), taken)
	if len(whole) == 0 {
		l.place(p, l.wider(p.Namespace), mode, mine)
		return l.exceptions(p, single, mode)
	}
	level := policiesOf(l.entries(p.svc))
	live := l.deciding(p.svc, mine, level)
	if what := l.differ(live); what != nil {
		return refuse(p.Resource, "%s and %s cover it with different settings besides mTLS; name a port", live[0].Ref, what.Ref)
	}
	winner := live[0]
	l.disjoint(p, whole, taken)
	if !slices.ContainsFunc(live, func(q *mesh.Policy) bool { return q.Mode() != mode }) {
		return l.exceptions(p, single, mode)
	}
	if coversOnly(winner, p.svc, mine) || coversOnly(winner, p.svc, allPorts(p.svc)) {
		setMode(l.edit(&winner.Object, winner.Body, l.because(p, mode)), mode)
		l.strip(p, live[1:], mine)
		return l.exceptions(p, single, mode)
	}
	l.strip(p, level, mine)
	l.place(p, winner, mode, mine)
	return l.exceptions(p, single, mode)
}

// differ gives a policy of the level whose settings besides mTLS are not those of the first, nil where all agree.
func (l legacy) differ(level []*mesh.Policy) *mesh.Policy {
	for _, q := range level[1:] {
		if !sameSettings(specOf(level[0]), specOf(q)) {
			return q
		}
	}
	return nil
}

// sameSettings compares two specs without targets and without the mTLS mode.
func sameSettings(a, b mesh.Tree) bool {
	return same(otherPeers(a), otherPeers(b)) && same(without(a, "peers", "targets"), without(b, "peers", "targets"))
}

// disjoint takes the ports at which a policy of their own comes first out of those for the whole service, where only a tie
// puts these behind it.
func (l legacy) disjoint(p place, whole []entry, taken []uint32) {
	for _, w := range whole {
		for _, port := range taken {
			if live := l.live(l.covering(p.svc, port)); slices.Contains(live[1:], w.policy) {
				l.strip(p, []*mesh.Policy{w.policy}, []uint32{port})
			}
		}
	}
}

// exceptions notes the ports that do not follow the service.
func (l legacy) exceptions(p place, single []entry, mode mesh.Mode) error {
	for _, e := range single {
		for _, port := range e.ports {
			if e.policy.Mode() != mode && slices.Contains(l.live(l.covering(p.svc, port)), e.policy) {
				l.exception(Resource{ScopePort, p.Namespace, p.Service, fmt.Sprint(port)}, e.policy.Mode(), e.policy.Ref)
			}
		}
	}
	return nil
}

// strip takes ports of the service out of the targets of policies. A policy without a target left is deleted: one without
// targets would cover the whole namespace.
func (l legacy) strip(p place, from []*mesh.Policy, ports []uint32) {
	for _, q := range from {
		if l.gone(q.Ref) {
			continue
		}
		body := l.edit(&q.Object, q.Body, fmt.Sprintf("%s gets a policy of its own", p.Resource))
		spec := grow(body, "spec")
		list, _ := spec["targets"].([]any)
		var kept []any
		for _, t := range list {
			if t = stripTarget(t, p.svc, ports, body); t != nil {
				kept = append(kept, t)
			}
		}
		spec["targets"] = kept
		if len(kept) == 0 {
			l.remove(&q.Object, q.Body, fmt.Sprintf("covers nothing but %s", p.Resource))
		}
	}
}

// stripTarget gives what remains of one target, nil for nothing.
func stripTarget(target any, svc *mesh.Service, ports []uint32, body mesh.Tree) any {
	t, _ := target.(mesh.Tree)
	if text(t["name"]) != svc.Ref.Name {
		return target
	}
	list, _ := t["ports"].([]any)
	if len(list) == 0 {
		rest := less(allPorts(svc), ports)
		if len(rest) == 0 {
			setWhole(body, svc.Ref.Name, false)
			return nil
		}
		setWhole(body, svc.Ref.Name, true)
		t["ports"] = portList(rest)
		return t
	}
	list = slices.DeleteFunc(list, func(s any) bool {
		q := svc.Port(selected(s, svc))
		return q != nil && slices.Contains(ports, q.Number)
	})
	if len(list) == 0 {
		setWhole(body, svc.Ref.Name, false)
		return nil
	}
	t["ports"] = list
	return t
}

// selected gives the number of the port that a selector means, 0 for none.
func selected(selector any, svc *mesh.Service) uint32 {
	m, _ := selector.(mesh.Tree)
	for i := range svc.Ports {
		if (mesh.PolicyPort{Number: number(m["number"]), Name: text(m["name"])}).Selects(&svc.Ports[i]) {
			return svc.Ports[i].Number
		}
	}
	return 0
}

func portList(ports []uint32) []any {
	var out []any
	for _, p := range ports {
		out = append(out, mesh.Tree{"number": int64(p)})
	}
	return out
}

// place puts ports of a service under a policy that says mode and is otherwise like from: under one that exists with just
// these settings, else under a new one.
func (l legacy) place(p place, from *mesh.Policy, mode mesh.Mode, ports []uint32) {
	all := len(less(allPorts(p.svc), ports)) == 0
	target := mesh.Tree{"name": p.Service}
	if !all || p.Scope == ScopePort {
		target["ports"] = portList(ports)
	}
	body := mesh.Tree{"spec": specOf(from)}
	setMode(body, mode)
	spec := dig(body, "spec")
	if into := l.twin(p, spec); into != nil {
		joined := l.edit(&into.Object, into.Body, l.because(p, mode))
		join(joined, target)
		if p.Scope == ScopeService && !all {
			setWhole(joined, p.Service, true)
		}
		return
	}
	spec["targets"] = []any{target}
	ref := mesh.Ref{Kind: mesh.KindPolicy, Namespace: p.Namespace}
	ref.Name = l.name(ref, p.Service, spec)
	body = newObject(legacyAPI, ref, spec)
	if p.Scope == ScopeService && !all {
		setWhole(body, p.Service, true)
	}
	l.add(body, l.because(p, mode))
	l.copied(ref, from)
}

// twin finds a policy with targets in the namespace that says exactly what spec says.
func (l legacy) twin(p place, spec mesh.Tree) *mesh.Policy {
	for _, q := range l.policies(func(q *mesh.Policy) bool { return q.Ref.Namespace == p.Namespace && len(q.Targets) > 0 }) {
		body := q.Body
		if e := l.object(q.Ref); e != nil {
			body = e.after
		}
		if body == nil || l.holds(q, p) {
			continue
		}
		own := dig(body, "spec")
		if peersMode(own) == peersMode(spec) && sameSettings(own, spec) {
			return q
		}
	}
	return nil
}

// holds says whether a policy has a target for the service that must not be mixed with the one to come: single ports
// with the service as such.
func (l legacy) holds(q *mesh.Policy, p place) bool {
	marked := slices.Contains(wholes(q.Body), p.Service)
	for _, t := range q.Targets {
		if isTarget(q, t, p.svc) && (p.Scope == ScopeService || marked || len(t.Ports) == 0) {
			return true
		}
	}
	return false
}

// join adds a target to a policy's tree, into an entry for the same service if there is one.
func join(body, target mesh.Tree) {
	spec := grow(body, "spec")
	list, _ := spec["targets"].([]any)
	for _, t := range list {
		own, _ := t.(mesh.Tree)
		ports, listed := own["ports"].([]any)
		if text(own["name"]) == text(target["name"]) && listed {
			more, _ := target["ports"].([]any)
			own["ports"] = append(ports, more...)
			return
		}
	}
	spec["targets"] = append(list, target)
}

// unsetPort removes the policy that a port has of its own, so that the service's, the namespace's or the mesh's applies.
func (l legacy) unsetPort(p place) error {
	number := p.port.Number
	var whole, own []entry
	for _, e := range l.entries(p.svc) {
		switch {
		case e.whole && len(p.svc.Ports) > 1:
			whole = append(whole, e)
		case slices.Contains(e.ports, number):
			own = append(own, e)
		}
	}
	if len(own) == 0 {
		l.note("%s has no policy of its own", p.Resource)
		return nil
	}
	parent := l.wider(p.Namespace)
	if len(whole) > 0 {
		parent = whole[0].policy
	}
	if what := l.lost(own[0].policy, parent); what != "" && l.first(p.svc, entry{policy: own[0].policy, ports: []uint32{number}}) {
		l.keep(own[0].policy.Ref, what, parent.Mode())
		return l.setPort(p, parent.Mode())
	}
	l.strip(p, policiesOf(own), []uint32{number})
	for _, q := range policiesOf(whole) {
		l.rejoin(p, q) // from each of several that compete for the service, the port was taken out
	}
	return nil
}

// first says whether an entry comes first at one of its ports.
func (l legacy) first(svc *mesh.Service, e entry) bool {
	return slices.ContainsFunc(e.ports, func(port uint32) bool { return l.covering(svc, port)[0] == e.policy })
}

// lost names what would be lost with a policy, "" where the one that takes its place says the same.
func (l legacy) lost(p, parent *mesh.Policy) string {
	if sameSettings(specOf(p), specOf(parent)) {
		return ""
	}
	return extras(p)
}

// rejoin gives a port back to the service's policy that was split for it.
func (l legacy) rejoin(p place, q *mesh.Policy) {
	if covers(q, p.svc, p.port.Number) {
		return
	}
	body := l.edit(&q.Object, q.Body, fmt.Sprintf("%s has no policy of its own any more", p.Resource))
	list, _ := dig(body, "spec")["targets"].([]any)
	for _, e := range list {
		t, _ := e.(mesh.Tree)
		if text(t["name"]) != p.Service {
			continue
		}
		ports, _ := t["ports"].([]any)
		t["ports"] = append(ports, mesh.Tree{"number": int64(p.port.Number)})
		if len(ports)+1 == len(p.svc.Ports) {
			delete(t, "ports")
			setWhole(body, p.Service, false)
		}
		return
	}
}

// unsetService removes the policy that a service has as such. Ports with a policy of their own keep it.
func (l legacy) unsetService(p place) error {
	var whole, single []entry
	for _, e := range l.entries(p.svc) {
		if e.whole || len(p.svc.Ports) == 1 {
			whole = append(whole, e)
		} else {
			single = append(single, e)
		}
	}
	if len(whole) == 0 {
		l.note("%s has no policy of its own", p.Title())
		return l.exceptions(p, single, mesh.ModeUnset)
	}
	parent := l.wider(p.Namespace)
	if what := l.lost(whole[0].policy, parent); what != "" && l.first(p.svc, whole[0]) {
		l.keep(whole[0].policy.Ref, what, parent.Mode())
		return l.setService(p, parent.Mode())
	}
	for _, e := range whole {
		l.strip(p, []*mesh.Policy{e.policy}, e.ports)
	}
	return l.exceptions(p, single, mesh.ModeUnset)
}

// targetWords prints the targets of a policy: "bookings(8080)".
func targetWords(p *mesh.Policy) []string {
	out := []string{}
	for _, t := range p.Targets {
		var ports []string
		for _, q := range t.Ports {
			if q.Name != "" {
				ports = append(ports, q.Name)
			} else {
				ports = append(ports, fmt.Sprint(q.Number))
			}
		}
		word := t.Name
		if word == "" {
			word = labelWords(t.Labels)
		}
		if len(ports) > 0 {
			word += "(" + strings.Join(ports, ",") + ")"
		}
		out = append(out, word)
	}
	return out
}

// labelWords prints labels: "app=bookings,version=v1".
func labelWords(labels map[string]string) string {
	var out []string
	for _, k := range keys(labels) {
		out = append(out, k+"="+labels[k])
	}
	return strings.Join(out, ",")
}
