package change

import (
	"fmt"
	"slices"

	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/resolve"
)

// steps bounds how many conflicts are mended one at a time. What goes through in batches is not counted.
const steps = 200

// clients looks at what the plan's policies do to meshed clients. With mend it edits and adds DestinationRules until none
// is in conflict; otherwise it reports the conflicts.
//
// For a conflict, the ways to mend it are tried on a copy of the draft, from the least to the most: the rule in force at
// the level that decides, that rule for one port alone, a copy of that rule for the namespace's hosts, or for the one host;
// where no rule is in force, a new one for the namespace's hosts or for the one host. A way is good only if nothing but TLS
// changes for anybody and fewer conflicts are left. Of several the cheapest is taken: the fewest new objects and services
// still (or newly) in conflict.
//
// Most conflicts are mended by the first way, so that is tried for all at once, then namespace by namespace.
func (p *plan) clients(where place, mend bool) error {
	now, err := p.after(p.snap, p.changes())
	if err != nil {
		return refuse(where.Resource, "%v", err)
	}
	m := &mending{plan: p, where: where, now: now}
	m.bad, _ = watch(where, p.r, p.changes()).look(now)
	if mend {
		if err := m.run(); err != nil {
			return err
		}
	}
	p.out.Conflicts = conflicts(m.now, m.bad)
	return nil
}

// after gives the resolver of a snapshot with changes.
func (p *plan) after(s *mesh.Snapshot, changes []mesh.Change) (*resolve.Resolver, error) {
	s, err := applied(s, changes)
	if err != nil {
		return nil, err
	}
	return resolve.New(s), nil
}

// mending is the search for edits that leave no meshed client in conflict.
type mending struct {
	*plan
	where place
	now   *resolve.Resolver // of the mesh with the draft's changes
	bad   []finding         // what is still to mend
}

func (m *mending) run() error {
	m.batch(func(finding) bool { return true })
	spaces := map[string]bool{}
	for _, f := range m.bad {
		spaces[f.svc.Ref.Namespace] = true
	}
	for _, ns := range keys(spaces) {
		m.batch(func(f finding) bool { return f.svc.Ref.Namespace == ns })
	}
	for i := 0; len(m.bad) > 0; i++ {
		if i == steps {
			return refuse(m.where.Resource, "more than %d DestinationRules would have to change in ways of their own; name a smaller resource", steps)
		}
		best := m.cheapest()
		if best == nil {
			return refuse(m.where.Resource, "no edit of one DestinationRule ends the conflict of %s with %s (%s) and changes nothing but TLS",
				m.bad[0].client.Workload.Ref, conflicts(m.now, m.bad[:1])[0], m.bad[0].verdict.Cause)
		}
		m.take(best)
	}
	return nil
}

func (m *mending) take(a *attempt) {
	m.draft, m.now, m.bad = a.draft, a.after, a.bad
	for _, n := range a.notes {
		if !slices.Contains(m.out.Notes, n) {
			m.out.Notes = append(m.out.Notes, n)
		}
	}
}

// batch mends every conflict that passes in the first way there is for it, if that harms nobody.
func (m *mending) batch(pass func(finding) bool) {
	d := m.draft.clone()
	var notes []Note
	done := map[wayKey]bool{}
	for _, f := range m.bad {
		if !pass(f) {
			continue
		}
		w, key, ok := m.firstWay(f)
		if ok && !done[key] {
			done[key] = true
			w.apply(d)
			notes = append(notes, w.notes...)
		}
	}
	if a := m.try(d, 0, notes); len(done) > 0 && a != nil && !a.harms {
		m.take(a)
	}
}

// wayKey tells the first ways of two conflicts apart.
type wayKey struct {
	rule   mesh.Ref
	host   ruleHost
	level  level
	port   uint32
	subset string
	mode   mesh.ClientMode
}

// firstWay gives the least that could mend a conflict.
func (m *mending) firstWay(f finding) (way, wayKey, bool) {
	mode := m.modes(f)[0]
	rule := ruleOf(m.now, f.client, f.svc)
	ways := m.ways(m.where, m.now, f, mode)
	if len(ways) == 0 {
		return way{}, wayKey{}, false
	}
	key := wayKey{mode: mode}
	if len(rule.rules) == 0 {
		key.host = m.hosts(m.where, f.svc, f.svc.Ref.Namespace)[0]
		return ways[0], key, true
	}
	key.rule, key.level = rule.home().Ref, levels(rule, f.cell, mode)[0]
	if key.level != levelTop {
		key.port, key.subset = f.port.Number, f.subset
	}
	return ways[0], key, true
}

// attempt is one way to mend conflicts, tried out.
type attempt struct {
	draft *draft
	after *resolve.Resolver
	bad   []finding
	cost  int
	harms bool // somebody else is newly in conflict and must be mended next
	notes []Note
}

// cheapest tries the ways to mend the first conflict and gives the best, nil where none is good.
func (m *mending) cheapest() *attempt {
	for _, mode := range m.modes(m.bad[0]) {
		var best *attempt
		for _, w := range m.ways(m.where, m.now, m.bad[0], mode) {
			d := m.draft.clone()
			a := m.try(d, w.apply(d), w.notes)
			if a == nil || slices.ContainsFunc(a.bad, func(f finding) bool { return f.cell == m.bad[0].cell }) {
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

// try looks at what a draft would come to; nil where that is no gain. Only services that a newly edited rule matches are
// looked at again.
func (m *mending) try(d *draft, created int, notes []Note) *attempt {
	fresh := d.since(m.draft)
	after, err := m.after(m.now.Snapshot(), fresh)
	if err != nil {
		return nil
	}
	j := watchRules(m.where, m.r, fresh)
	left, lost := j.look(after)
	if lost != nil {
		return nil
	}
	was := make(map[cell]bool, len(m.bad))
	for _, f := range m.bad {
		was[f.cell] = true
		if !j.watched(f.svc) {
			left = append(left, f)
		}
	}
	if len(left) >= len(m.bad) {
		return nil
	}
	a := &attempt{draft: d, after: after, bad: left, cost: created, notes: notes}
	services := map[mesh.Ref]bool{}
	for _, f := range left {
		services[f.svc.Ref] = true
		a.harms = a.harms || !was[f.cell]
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

// ways lists what could be done about a conflict, from the least to the most.
func (p *plan) ways(where place, now *resolve.Resolver, f finding, mode mesh.ClientMode) []way {
	rule := ruleOf(now, f.client, f.svc)
	if len(rule.rules) == 0 {
		if mode == mesh.ClientUnset {
			return nil
		}
		return p.additions(where, f, mode)
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
	if where.Scope > ScopeNamespace || !resolve.HostCovers(all.host, svc.Hostname) {
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
	has := p.r.RuleHost(rule.rules[0])
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
func (p *plan) additions(where place, f finding, mode mesh.ClientMode) []way {
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
