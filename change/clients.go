package change

import (
	"fmt"
	"slices"

	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/resolve"
)

// steps bounds how many rules one plan edits: every step ends at least one conflict, and no person reads more.
const steps = 2000

// clients looks at what the plan's policies do to meshed clients. With mend it edits and adds DestinationRules until none
// is in conflict; otherwise it reports the conflicts.
//
// One conflict is taken at a time. For it, the ways to mend it are tried on a copy of the draft, from the least to the
// most: the rule in force at the level that decides, that rule for one port alone, a copy of that rule for the namespace's
// hosts, or for the one host; where no rule is in force, a new one for the namespace's hosts or for the one host. A way is
// good only if nothing but TLS changes for anybody and fewer conflicts are left. Of several the cheapest is taken: the
// fewest new objects and services still (or newly) in conflict.
func (p *plan) clients(where place, mend bool) error {
	now, err := p.after(p.draft)
	if err != nil {
		return refuse(where.Resource, "%v", err)
	}
	bad, _ := watch(where, p.r, p.changes()).look(now)
	for i := 0; mend && len(bad) > 0; i++ {
		best := p.cheapest(where, now, bad)
		if best == nil || i == steps {
			return refuse(where.Resource, "no DestinationRule can end the conflict of %s with %s (%s)",
				bad[0].client.Workload.Ref, conflicts(now, bad[:1])[0], bad[0].verdict.Cause)
		}
		p.draft, now, bad = best.draft, best.after, best.bad
		p.out.Notes = append(p.out.Notes, best.notes...)
	}
	p.out.Conflicts = conflicts(now, bad)
	return nil
}

// after gives the resolver of the mesh with a draft's changes.
func (p *plan) after(d *draft) (*resolve.Resolver, error) {
	s, err := applied(p.snap, d.changes())
	if err != nil {
		return nil, err
	}
	return resolve.New(s), nil
}

// attempt is one way to mend a conflict, tried out.
type attempt struct {
	draft *draft
	after *resolve.Resolver
	bad   []finding
	cost  int
	harms bool // somebody else is newly in conflict and must be mended next
	notes []Note
}

// cheapest tries the ways to mend the first conflict and gives the best, nil where none is good.
func (p *plan) cheapest(where place, now *resolve.Resolver, bad []finding) *attempt {
	for _, mode := range p.modes(bad[0]) {
		var best *attempt
		for _, way := range p.ways(where, now, bad, mode) {
			a := p.try(where, way, bad)
			if a == nil {
				continue
			}
			if best == nil || a.cost < best.cost || a.cost == best.cost && best.harms && !a.harms {
				best = a
			}
			if best.cost == 0 {
				return best
			}
		}
		if best != nil {
			return best
		}
	}
	return nil
}

// try makes an attempt; nil where it does not help.
func (p *plan) try(where place, w way, bad []finding) *attempt {
	d := p.draft.clone()
	created := w.apply(d)
	after, err := p.after(d)
	if err != nil {
		return nil
	}
	left, lost := watch(where, p.r, d.changes()).look(after)
	if lost != nil || len(left) >= len(bad) || slices.ContainsFunc(left, func(f finding) bool { return f.cell == bad[0].cell }) {
		return nil
	}
	a := &attempt{draft: d, after: after, bad: left, cost: created, notes: w.notes}
	services := map[mesh.Ref]bool{}
	for _, f := range left {
		services[f.svc.Ref] = true
		a.harms = a.harms || !slices.ContainsFunc(bad, func(o finding) bool { return o.cell == f.cell })
	}
	a.cost += len(services)
	return a
}

// modes gives the client modes that could end a conflict, the likeliest first. ClientUnset leaves it to auto mTLS.
func (p *plan) modes(f finding) []mesh.ClientMode {
	first, second := mesh.ClientIstioMutual, mesh.ClientDisable
	if f.verdict.Server == resolve.ServerDisable {
		first, second = second, first
	}
	if !p.snap.Config.AutoMTLS(p.snap.Dialect) {
		return []mesh.ClientMode{first, second}
	}
	return []mesh.ClientMode{first, mesh.ClientUnset, second}
}

// way is one edit that may mend a conflict. apply gives the number of objects that it creates.
type way struct {
	apply func(*draft) int
	notes []Note
}

// ways lists what could be done about the first conflict, from the least to the most.
func (p *plan) ways(where place, now *resolve.Resolver, bad []finding, mode mesh.ClientMode) []way {
	f := bad[0]
	rule := ruleOf(now, f.client, f.svc)
	if len(rule.rules) == 0 {
		if mode == mesh.ClientUnset {
			return nil
		}
		return p.additions(where, bad, mode)
	}
	var out []way
	for _, l := range levels(rule, f.cell, mode) {
		out = append(out, p.inPlace(rule, f.cell, mode, l))
	}
	for _, host := range p.narrower(where, rule, f.cell) {
		for _, l := range levels(rule, f.cell, mode) {
			out = append(out, p.narrow(rule, f.cell, mode, l, host))
		}
	}
	return out
}

// level is where in a rule a tls block is written.
type level uint8

const (
	levelTop level = iota
	levelPort
	levelSubset
	levelSubsetPort
)

// levels gives the place that decides for a cell, then narrower ones.
func levels(rule inForceRule, c cell, mode mesh.ClientMode) []level {
	entry := rule.policy != nil && hasPort(rule.policy.TrafficPolicy, c.port)
	top := []level{levelTop, levelPort}
	if entry {
		top = []level{levelPort}
	}
	if mode == mesh.ClientUnset && !entry {
		top = []level{levelTop}
	}
	home, i := rule.subset(c.subset)
	if c.subset == "" || home == nil {
		return top
	}
	own := home.Subsets[i].TrafficPolicy
	switch {
	case own != nil && hasPort(own, c.port):
		return []level{levelSubsetPort}
	case own != nil && own.TLS != nil:
		return []level{levelSubset, levelSubsetPort}
	}
	return append(top, levelSubset, levelSubsetPort)
}

// hasPort says whether a policy has an entry for the port, by number or by name.
func hasPort(t *mesh.TrafficPolicy, q *mesh.Port) bool {
	return slices.ContainsFunc(t.Ports, func(e mesh.PortPolicy) bool {
		return e.Number == q.Number || e.Number == 0 && e.Name != "" && e.Name == q.Name
	})
}

// inPlace edits the rule in force.
func (p *plan) inPlace(rule inForceRule, c cell, mode mesh.ClientMode, l level) way {
	home := rule.home()
	if l >= levelSubset {
		home, _ = rule.subset(c.subset)
	}
	w := way{apply: func(d *draft) int {
		p.setTLS(dig(d.edit(&home.Object, home.Body, clientsWhy(mode)), "spec"), c, mode, l)
		return 0
	}}
	w.notes = dropped(rule, home, mode)
	return w
}

func clientsWhy(mode mesh.ClientMode) string {
	if mode == mesh.ClientUnset {
		return "clients use what auto mTLS finds"
	}
	return "clients use " + mode.String()
}

// dropped notes the certificates and names of a foreign TLS block that goes.
func dropped(rule inForceRule, home *mesh.DestinationRule, mode mesh.ClientMode) []Note {
	if p := rule.policy; p == nil || p.TrafficPolicy.TLS == nil || p.TrafficPolicy.TLS.Mode < mesh.ClientSimple || p.TrafficPolicy.TLS.Mode == mesh.ClientIstioMutual {
		return nil
	}
	return []Note{{Text: fmt.Sprintf("%s had a tls block of its own (%s): its certificates and names go with it", home.Ref, rule.policy.TrafficPolicy.TLS.Mode)}}
}

// setTLS writes the mode at a level of a rule's spec.
func (p *plan) setTLS(spec mesh.Tree, c cell, mode mesh.ClientMode, l level) {
	holder := spec
	if l >= levelSubset {
		for _, e := range anyList(spec["subsets"]) {
			if m, _ := e.(mesh.Tree); text(m["name"]) == c.subset {
				holder = m
			}
		}
	}
	policy := grow(holder, "trafficPolicy")
	if l == levelPort || l == levelSubsetPort {
		entry := portEntry(policy, c.port, p.snap.Dialect)
		if entry == nil {
			// An entry replaces the top level whole, so it starts as a copy of it.
			entry = mesh.CloneTree(within(policy, "loadBalancer", "connectionPool", "outlierDetection"))
			entry["port"] = mesh.Tree{"number": int64(c.port.Number)}
			policy["portLevelSettings"] = append(anyList(policy["portLevelSettings"]), entry)
		}
		policy = entry
	}
	tls, there := policy["tls"].(mesh.Tree)
	switch old := text(tls["mode"]); {
	case mode == mesh.ClientUnset:
		delete(policy, "tls")
		if len(policy) == 0 && policy["port"] == nil {
			delete(holder, "trafficPolicy")
		}
	case there && old != "SIMPLE" && old != "MUTUAL":
		tls["mode"] = mode.String()
	default:
		policy["tls"] = mesh.Tree{"mode": mode.String()}
	}
}

// within copies some keys of a mapping.
func within(t mesh.Tree, only ...string) mesh.Tree {
	out := mesh.Tree{}
	for _, k := range only {
		if v, ok := t[k]; ok {
			out[k] = v
		}
	}
	return out
}

// ruleHost is where a new rule goes, and for which host.
type ruleHost struct {
	namespace string
	host      string
	prefix    string // of its name
}

// hosts gives the two hosts that a new rule for a service could have: all of its namespace, where the resource is that
// wide, and its own.
func (p *plan) hosts(where place, svc *mesh.Service, ns string) []ruleHost {
	own := ruleHost{ns, svc.Hostname, svc.Ref.Name}
	all := ruleHost{ns, "*." + svc.Ref.Namespace + ".svc." + p.snap.Config.ClusterDomain, svc.Ref.Namespace}
	if where.Scope > ScopeNamespace || !hostCovers(all.host, svc.Hostname) {
		return []ruleHost{own}
	}
	return []ruleHost{all, own}
}

// narrower gives the hosts for a copy of the rule in force that are more specific than its own. A copy of the root
// namespace's rule goes into the service's namespace, which is nearer; others stay where their readers are.
func (p *plan) narrower(where place, rule inForceRule, c cell) []ruleHost {
	ns := rule.rules[0].Ref.Namespace
	if ns == p.snap.Config.RootNamespace {
		ns = c.svc.Ref.Namespace
	}
	has := fullHost(rule.rules[0], p.snap.Config.ClusterDomain)
	return slices.DeleteFunc(p.hosts(where, c.svc, ns), func(h ruleHost) bool {
		return len(h.host) <= len(has) && h.host[0] == '*' || h.host == has
	})
}

// narrow adds a copy of the rule in force for a narrower host, with another mode.
func (p *plan) narrow(rule inForceRule, c cell, mode mesh.ClientMode, l level, at ruleHost) way {
	return way{apply: func(d *draft) int {
		spec := rule.spec()
		spec["host"] = at.host
		p.setTLS(spec, c, mode, l)
		p.addRule(d, at, spec, mode)
		return 1
	}}
}

// additions are new rules where none is in force: in the service's namespace, else (if something there hides them) in the
// client's.
func (p *plan) additions(where place, bad []finding, mode mesh.ClientMode) []way {
	f := bad[0]
	places := p.hosts(where, f.svc, f.svc.Ref.Namespace)
	if ns := f.client.Workload.Ref.Namespace; ns != f.svc.Ref.Namespace {
		places = append(places, ruleHost{ns, f.svc.Hostname, f.svc.Ref.Name})
	}
	var out []way
	for _, at := range places {
		levels := []level{levelTop, levelPort}
		if at.host[0] == '*' {
			levels = levels[:1]
		}
		for _, l := range levels {
			out = append(out, way{apply: func(d *draft) int {
				spec := mesh.Tree{"host": at.host}
				if public := p.snap.Config.DefaultDestinationRuleExportTo; len(public) > 0 && !slices.Contains(public, "*") {
					spec["exportTo"] = []any{"*"}
				}
				p.setTLS(spec, f.cell, mode, l)
				p.addRule(d, at, spec, mode)
				return 1
			}})
		}
	}
	return out
}

// addRule creates a DestinationRule.
func (p *plan) addRule(d *draft, at ruleHost, spec mesh.Tree, mode mesh.ClientMode) {
	ref := mesh.Ref{Kind: mesh.KindDestinationRule, Namespace: at.namespace}
	ref.Name = d.name(ref, at.prefix, spec)
	d.add(newObject(p.apiVersion(ref.Kind), ref, spec), clientsWhy(mode))
}

// apiVersion gives the version that other objects of the kind are written in, or the dialect's.
func (p *plan) apiVersion(kind mesh.Kind) string {
	var seen []mesh.Tree
	fallback := "networking.istio.io/v1"
	if p.snap.Dialect.Legacy() {
		fallback = "networking.istio.io/v1alpha3"
	}
	if kind == mesh.KindPeerAuthentication {
		fallback = currentAPI
		for _, o := range p.snap.PeerAuthentications {
			seen = append(seen, o.Body)
		}
	} else {
		for _, o := range p.snap.DestinationRules {
			seen = append(seen, o.Body)
		}
	}
	for _, t := range seen {
		if v := text(t["apiVersion"]); v != "" {
			return v
		}
	}
	return fallback
}
