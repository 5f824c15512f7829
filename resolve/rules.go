package resolve

import (
	"cmp"
	"slices"
	"strings"

	"github.com/oarlock/oarlock/mesh"
)

// ruleIndex holds the DestinationRules of one namespace by host.
type ruleIndex struct {
	hosts map[string]*hostRules
	wild  []*hostRules // most specific first
}

// hostRules are the rules for one host as written, full names completed.
type hostRules struct {
	host string // with its leading * if it has one
	list []*merged
}

// merged is one DestinationRule, or several for the same host that count as one.
type merged struct {
	rules    []int32 // the first gives the name
	exports  exports
	policy   *mesh.TrafficPolicy
	from     int32 // the rule that policy comes from, None without one
	subsets  []subset
	selector map[string]string // workloadSelector; nil where the rule has none
}

type subset struct {
	*mesh.Subset
	from int32
}

// exports is an exportTo list as a set.
type exports struct {
	names []string // sorted, without duplicates
}

func exportSet(list []string) exports {
	names := slices.Clone(list)
	slices.Sort(names)
	return exports{slices.Compact(names)}
}

func (e exports) empty() bool          { return len(e.names) == 0 }
func (e exports) has(name string) bool { return slices.Contains(e.names, name) }
func (e exports) equal(o exports) bool { return slices.Equal(e.names, o.names) }
func (e exports) covers(o exports) bool {
	return !slices.ContainsFunc(o.names, func(n string) bool { return !e.has(n) })
}

// indexRules builds the indexes of the dialect. Snapshot order is "oldest first".
func (r *Resolver) indexRules() {
	byNamespace := make([][]int32, len(r.policies))
	for i, d := range r.snap.DestinationRules {
		id := r.namespace(d.Ref.Namespace).id
		for int(id) >= len(byNamespace) {
			byNamespace = append(byNamespace, nil)
		}
		byNamespace[id] = append(byNamespace[id], int32(i))
		for _, e := range d.ExportTo {
			if e != "*" && e != "." && e != "~" {
				r.rules[r.namespace(e).id].named = true
			}
		}
	}
	r.nameRules()
	r.rootRules = newRuleIndex()
	for id, list := range byNamespace {
		r.indexNamespaceRules(int32(id), list)
	}
}

// indexNamespaceRules builds the indexes of one namespace from its rules, oldest first.
func (r *Resolver) indexNamespaceRules(id int32, list []int32) {
	named := r.rules[id].named
	r.rules[id] = nsRules{named: named}
	own := &r.rules[id]
	if id == r.root.id {
		r.rootRules = newRuleIndex()
	}
	for _, i := range list {
		if r.selectorOf(r.snap.DestinationRules[i]) != nil {
			own.selectors = append(own.selectors, i)
		}
	}
	if r.dialect.Legacy() {
		r.indexLegacyRules(own, list)
	} else {
		r.indexCurrentRules(own, list)
	}
	own.local.sort()
	own.exported.sort()
	r.rootRules.sort()
}

func newRuleIndex() *ruleIndex { return &ruleIndex{hosts: map[string]*hostRules{}} }

func (x *ruleIndex) at(host string) *hostRules {
	h := x.hosts[host]
	if h == nil {
		h = &hostRules{host: host}
		x.hosts[host] = h
	}
	return h
}

func (x *ruleIndex) sort() {
	if x == nil {
		return
	}
	x.wild = x.wild[:0]
	for host, h := range x.hosts {
		if strings.HasPrefix(host, "*") {
			x.wild = append(x.wild, h)
		}
	}
	slices.SortFunc(x.wild, func(a, b *hostRules) int {
		return cmp.Or(cmp.Compare(len(b.host), len(a.host)), cmp.Compare(a.host, b.host))
	})
}

// match finds the rules with the most specific host: exact, else the longest wildcard (semantics L24, M16).
func (x *ruleIndex) match(host string) *hostRules {
	if x == nil {
		return nil
	}
	if h := x.hosts[host]; h != nil {
		return h
	}
	for _, h := range x.wild {
		if strings.HasSuffix(strings.TrimPrefix(host, "*"), h.host[1:]) {
			return h
		}
	}
	return nil
}

// RuleHost completes a rule's host: a name without a dot gets the rule's own namespace; `*`, and in the current dialect
// addresses and the empty host, stay as they are (semantics L21, M13).
func (r *Resolver) RuleHost(d *mesh.DestinationRule) string {
	if d.Host == "" || d.Host == "*" || strings.ContainsAny(d.Host, ".:") {
		return d.Host
	}
	return r.fqdn(d.Host, d.Ref.Namespace)
}

func (r *Resolver) single(i int32, e exports) *merged {
	d := r.snap.DestinationRules[i]
	m := &merged{rules: []int32{i}, exports: e, policy: d.TrafficPolicy, from: None, selector: r.selectorOf(d)}
	if d.TrafficPolicy != nil {
		m.from = i
	}
	for k := range d.Subsets {
		m.subsets = append(m.subsets, subset{&d.Subsets[k], i})
	}
	return m
}

// selectorOf is a rule's workloadSelector, which the legacy dialects do not know.
func (r *Resolver) selectorOf(d *mesh.DestinationRule) map[string]string {
	if r.dialect.Legacy() {
		return nil
	}
	return d.WorkloadSelector
}

// absorb merges rule i into m: subsets with new names are added, and its trafficPolicy counts where m has none (semantics
// L26, M20). adopt false keeps m without one.
func (r *Resolver) absorb(m *merged, i int32, adopt bool) {
	d := r.snap.DestinationRules[i]
	m.rules = append(m.rules, i)
	for k := range d.Subsets {
		if m.subset(d.Subsets[k].Name) == nil {
			m.subsets = append(m.subsets, subset{&d.Subsets[k], i})
		}
	}
	if m.policy == nil && d.TrafficPolicy != nil && adopt {
		m.policy, m.from = d.TrafficPolicy, i
	}
}

func (m *merged) subset(name string) *subset {
	for i := range m.subsets {
		if m.subsets[i].Name == name {
			return &m.subsets[i]
		}
	}
	return nil
}

// indexCurrentRules: rules with a workloadSelector first, each age ascending. A rule is in the local index of its
// namespace unless it is exported to others alone, and in the exported index unless it is private (semantics M14, M19).
func (r *Resolver) indexCurrentRules(own *nsRules, list []int32) {
	order := slices.Clone(own.selectors)
	for _, i := range list {
		if r.snap.DestinationRules[i].WorkloadSelector == nil {
			order = append(order, i)
		}
	}
	defaultPrivate := slices.Contains(r.snap.Config.DefaultDestinationRuleExportTo, ".")
	for _, i := range order {
		d := r.snap.DestinationRules[i]
		e := exportSet(d.ExportTo)
		if d.WorkloadSelector != nil {
			e = exportSet([]string{"."})
		}
		ns := d.Ref.Namespace
		if e.empty() || e.has("*") || e.has(".") || e.has(ns) {
			if own.local == nil {
				own.local = newRuleIndex()
			}
			r.mergeCurrent(own.local, i, e)
		}
		private := e.empty() && defaultPrivate || len(e.names) == 1 && (e.has(".") || e.has(ns))
		switch {
		case !private:
			if own.exported == nil {
				own.exported = newRuleIndex()
			}
			r.mergeCurrent(own.exported, i, e)
		case ns == r.root.name:
			r.mergeCurrent(r.rootRules, i, e)
		}
	}
}

// mergeCurrent adds a rule to an index:
//
//   - into every rule for the same host with an equal exportTo, or one that it covers; in the second case it also stands
//     by itself
//   - rules with different workloadSelectors never merge; a rule without one merges into a selected rule, and stands by
//     itself only where the exportTo lists differ
//
// Source: semantics M19, M22.
func (r *Resolver) mergeCurrent(x *ruleIndex, i int32, e exports) {
	h := x.at(r.RuleHost(r.snap.DestinationRules[i]))
	sel := r.snap.DestinationRules[i].WorkloadSelector
	apart := true
	for _, m := range h.list {
		switch {
		case e.equal(m.exports):
			apart = false
		case !m.exports.empty() && e.covers(m.exports):
			apart = true
		default:
			apart = true
			continue
		}
		if sel != nil && m.selector != nil && !sameLabels(sel, m.selector) {
			apart = true
			continue
		}
		if (sel == nil) == (m.selector == nil) {
			apart = false
		}
		r.absorb(m, i, true)
	}
	if apart {
		h.list = append(h.list, r.single(i, e))
	}
}

func sameLabels(a, b map[string]string) bool { return len(a) == len(b) && mesh.Selects(a, b) }

// indexLegacyRules: every rule is in the local index of its namespace, and in the exported one if the first element of
// exportTo is anything but "." (or, without exportTo, if the mesh default holds "*"). Rules for one host merge into the
// first in order (semantics L22, L26).
func (r *Resolver) indexLegacyRules(own *nsRules, list []int32) {
	defaults := r.snap.Config.DefaultDestinationRuleExportTo
	public := len(defaults) == 0 || slices.Contains(defaults, "*")
	slices.SortStableFunc(list, func(a, b int32) int {
		return legacyOlder(&r.snap.DestinationRules[a].Object, &r.snap.DestinationRules[b].Object)
	})
	for _, i := range list {
		if own.local == nil {
			own.local, own.exported = newRuleIndex(), newRuleIndex()
		}
		r.mergeLegacy(own.local, i)
		if legacyExported(r.snap.DestinationRules[i], public) {
			r.mergeLegacy(own.exported, i)
		}
	}
}

func legacyExported(d *mesh.DestinationRule, public bool) bool {
	if len(d.ExportTo) == 0 {
		return public
	}
	return d.ExportTo[0] != "."
}

func (r *Resolver) mergeLegacy(x *ruleIndex, i int32) {
	d := r.snap.DestinationRules[i]
	h := x.at(r.RuleHost(d))
	if len(h.list) == 0 {
		h.list = []*merged{r.single(i, exports{})}
		return
	}
	// 1.1 adopts a newer rule's trafficPolicy only along with its subsets.
	r.absorb(h.list[0], i, r.dialect > mesh.Dialect11 || len(d.Subsets) > 0)
}

// inForce finds the rule for a client and a service:
//
//   - in the client's namespace, all rules (not for the root namespace: there its private rules alone, and none in the
//     legacy dialects)
//   - else in the service's namespace, rules exported to the client
//   - else in the root namespace, rules exported to the client
//   - else none; rules of other namespaces never apply
//
// The first namespace with a matching host ends the search, the most specific host of it counts, and in the current
// dialect visibility is asked only then. Nil without a rule.
//
// Source: semantics L23, L24, M15 to M18, M21.
func (r *Resolver) inForce(c *caller, s *service) *merged {
	h, seen := r.found(c, s)
	if h == nil {
		return nil
	}
	return h.pick(seen, c)
}

// visibility says which rules of a hostRules a client may use.
type visibility struct {
	all bool
	ns  string
}

func (v visibility) allows(m *merged) bool {
	return v.all || m.exports.empty() || m.exports.has("*") || m.exports.has(v.ns)
}

// lookup is one index that a client consults, with what it may see there.
type lookup struct {
	index *ruleIndex
	seen  visibility
}

// lookups lists the indexes that a client consults for a service, nearest first.
func (r *Resolver) lookups(c *caller, s *service) [3]lookup {
	seen := visibility{ns: c.ns.name, all: r.dialect.Legacy()}
	out := [3]lookup{{}, {r.rules[s.ns.id].exported, seen}, {r.rules[r.root.id].exported, seen}}
	switch {
	case c.ns != r.root:
		out[0] = lookup{r.rules[c.ns.id].local, visibility{all: true}}
	case !r.dialect.Legacy():
		out[0] = lookup{r.rootRules, visibility{all: true}}
	}
	return out
}

// found gives the host entry whose rules are in question, and which of them the client may use.
func (r *Resolver) found(c *caller, s *service) (*hostRules, visibility) {
	for _, l := range r.lookups(c, s) {
		if h := l.index.match(s.Hostname); h.allows(l.seen) {
			return h, l.seen
		}
	}
	return nil, visibility{}
}

func (h *hostRules) allows(v visibility) bool {
	if h == nil {
		return false
	}
	for _, m := range h.list {
		if v.allows(m) {
			return true
		}
	}
	return false
}

// pick chooses between unmerged rules for one host: the first whose workloadSelector matches the client, else the last
// without one.
func (h *hostRules) pick(v visibility, c *caller) *merged {
	var last *merged
	for _, m := range h.list {
		if !v.allows(m) {
			continue
		}
		if m.selector == nil {
			last = m
		} else if mesh.Selects(m.selector, c.labels()) {
			return m
		}
	}
	return last
}
