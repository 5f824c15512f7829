package resolve

import (
	"reflect"
	"slices"
	"strings"

	"github.com/oarlock/oarlock/mesh"
)

// delta says what the step from one snapshot to the next can touch.
type delta struct {
	all        bool
	reclassify bool              // clients must be grouped again
	services   []int32           // touched for every client, sorted
	byClient   map[int32][]int32 // by namespace of the client: services touched for it alone
	anyClient  []int32           // all of them, sorted
	policies   []int32           // new index of each old policy; nil where none moved
	rules      []int32           // likewise
}

// With gives the Resolver of the next snapshot. What the two have in common is not indexed again.
func (r *Resolver) With(next *mesh.Snapshot) *Resolver {
	out, _ := r.with(next)
	return out
}

func (r *Resolver) with(next *mesh.Snapshot) (*Resolver, delta) {
	if !r.sameBut(next) {
		return New(next), delta{all: true}
	}
	d := delta{byClient: map[int32][]int32{}}
	out := *r
	out.snap = next
	pa := compare(r.snap.PeerAuthentications, next.PeerAuthentications)
	pol := compare(r.snap.Policies, next.Policies)
	rules := compare(r.snap.DestinationRules, next.DestinationRules)
	touched := r.touchedByPolicies(&d, pa, pol)
	if d.all || !out.touchedByRules(r, &d, rules) {
		return New(next), delta{all: true}
	}
	d.policies = pa.to
	if r.dialect.Legacy() {
		d.policies = pol.to
	}
	d.rules = rules.to
	if len(pa.changed)+len(pol.changed) > 0 {
		out.replacePolicies(r, &d, touched)
	}
	d.settle(r.aliases)
	return &out, d
}

// sameBut says whether the next snapshot differs in nothing but policies and rules.
func (r *Resolver) sameBut(next *mesh.Snapshot) bool {
	old := r.snap
	return old.Dialect == next.Dialect && same(old.Services, next.Services) && same(old.Workloads, next.Workloads) &&
		same(old.Namespaces, next.Namespaces) && same(old.Sidecars, next.Sidecars) && same(old.VirtualServices, next.VirtualServices) &&
		reflect.DeepEqual(old.Config, next.Config)
}

func same[T any](a, b []T) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// comparison of two sorted lists of objects by identity.
type comparison[T any] struct {
	changed []*T    // in one of the lists alone
	to      []int32 // new index of each old one, None where it is gone; nil where none moved
}

func compare[T any](old, next []*T) comparison[T] {
	if same(old, next) {
		return comparison[T]{}
	}
	at := make(map[*T]int32, len(next))
	for i, o := range next {
		at[o] = int32(i)
	}
	var c comparison[T]
	to, movedAny := make([]int32, len(old)), false
	for i, o := range old {
		k, ok := at[o]
		if !ok {
			k = None
			c.changed = append(c.changed, o)
		}
		to[i], movedAny = k, movedAny || ok && k != int32(i)
		delete(at, o)
	}
	for _, o := range next {
		if _, ok := at[o]; ok {
			c.changed = append(c.changed, o)
		}
	}
	if movedAny {
		c.to = to
	}
	return c
}

// touchedByPolicies notes the services behind every changed policy and gives their namespaces; d.all where one has mesh
// scope or a namespace that was not known before.
func (r *Resolver) touchedByPolicies(d *delta, pa comparison[mesh.PeerAuthentication], pol comparison[mesh.Policy]) []*namespace {
	var list []*namespace
	touch := func(name string) {
		ns := r.namespaces[name]
		if ns == nil {
			d.all = true
			return
		}
		list = append(list, ns)
		d.services = append(d.services, ns.services...)
		for _, w := range ns.workloads {
			d.services = append(d.services, r.workloads[w].services...)
		}
	}
	for _, p := range pa.changed {
		switch {
		case r.dialect.Legacy(), len(p.Selector) > 0 && p.Ref.Namespace == r.root.name:
		case p.Ref.Namespace == r.root.name:
			d.all = true
		default:
			touch(p.Ref.Namespace)
		}
	}
	for _, p := range pol.changed {
		dotted := slices.ContainsFunc(p.Targets, func(t mesh.PolicyTarget) bool { return strings.Contains(t.Name, ".") })
		switch {
		case !r.dialect.Legacy():
		case p.Ref.Kind == mesh.KindMeshPolicy || dotted:
			d.all = true
		default:
			touch(p.Ref.Namespace)
			// A ServiceEntry elsewhere may carry the name that a target means.
			for _, t := range p.Targets {
				d.services = append(d.services, r.byHost[r.targetHost(p, t)]...)
			}
		}
	}
	return list
}

// replacePolicies indexes all policies again and regroups the endpoints of the services in d.services.
func (r *Resolver) replacePolicies(old *Resolver, d *delta, touched []*namespace) {
	r.policies = make([]nsPolicies, len(old.policies))
	for i := range r.policies {
		r.policies[i].policy = noPolicy
	}
	r.meshPolicy = noPolicy
	r.services = slices.Clone(old.services)
	r.indexPolicies()
	r.settled = slices.Clone(old.settled)
	if d.policies != nil {
		r.renumberPolicies(d.policies)
	}
	for _, ns := range touched {
		for _, w := range ns.workloads {
			r.settle(&r.workloads[w])
		}
		for _, i := range ns.services {
			for _, w := range r.services[i].endpoints {
				r.settle(&r.workloads[w])
			}
		}
	}
	slices.Sort(d.services)
	for _, i := range slices.Compact(d.services) {
		r.services[i].ports = slices.Clone(r.services[i].ports)
		r.groupEndpoints(&r.services[i])
	}
}

func (r *Resolver) renumberPolicies(to []int32) {
	for i := range r.settled {
		r.settled[i].policy.policy = moved(to, r.settled[i].policy.policy)
		r.settled[i].selected = moved(to, r.settled[i].selected)
	}
	for i := range r.services {
		s := &r.services[i]
		s.ports = slices.Clone(s.ports)
		for k := range s.ports {
			p := &s.ports[k]
			p.hint.policy = moved(to, p.hint.policy)
			p.groups = slices.Clone(p.groups)
			for g := range p.groups {
				p.groups[g].policy.policy = moved(to, p.groups[g].policy.policy)
			}
		}
	}
}

// touchedByRules indexes the rules again, all of them where indices moved, and notes the services that the changed ones
// could mean. It is false where that cannot be said.
func (r *Resolver) touchedByRules(old *Resolver, d *delta, c comparison[mesh.DestinationRule]) bool {
	if len(c.changed) == 0 {
		return true
	}
	for _, rule := range c.changed {
		if r.namespaces[rule.Ref.Namespace] == nil || slices.ContainsFunc(rule.ExportTo, func(e string) bool {
			return e != "*" && e != "." && e != "~" && r.namespaces[e] == nil
		}) {
			return false
		}
		r.touchRule(d, rule)
	}
	r.rules = make([]nsRules, len(old.rules))
	if c.to != nil {
		r.indexRules()
	} else {
		copy(r.rules, old.rules)
		r.nameRules()
		r.reindexRules(c.changed)
	}
	d.reclassify = slices.ContainsFunc(c.changed, func(rule *mesh.DestinationRule) bool { return rule.WorkloadSelector != nil })
	for i := range r.rules {
		a, b := &old.rules[i], &r.rules[i]
		d.reclassify = d.reclassify || (a.local == nil) != (b.local == nil) || a.named != b.named
	}
	return true
}

func (r *Resolver) touchRule(d *delta, rule *mesh.DestinationRule) {
	ns, host := r.namespaces[rule.Ref.Namespace], r.RuleHost(rule)
	touch := func(i int32) {
		if ns == r.root || r.services[i].ns == ns {
			d.services = append(d.services, i)
		} else {
			d.byClient[ns.id] = append(d.byClient[ns.id], i)
		}
	}
	if !strings.HasPrefix(host, "*") {
		for _, i := range r.byHost[host] {
			touch(i)
		}
		return
	}
	for i := range r.services {
		if HostCovers(host, r.services[i].Hostname) {
			touch(int32(i))
		}
	}
}

// reindexRules builds the indexes of the namespaces of the changed rules again.
func (r *Resolver) reindexRules(changed []*mesh.DestinationRule) {
	lists := map[int32][]int32{}
	for _, d := range changed {
		lists[r.namespaces[d.Ref.Namespace].id] = nil
	}
	for i := range r.rules {
		r.rules[i].named = false
	}
	for i, d := range r.snap.DestinationRules {
		id := r.namespaces[d.Ref.Namespace].id
		if list, changed := lists[id]; changed {
			lists[id] = append(list, int32(i))
		}
		for _, e := range d.ExportTo {
			if e != "*" && e != "." && e != "~" {
				r.rules[r.namespaces[e].id].named = true
			}
		}
	}
	for id, list := range lists {
		r.indexNamespaceRules(id, list)
	}
}

// settle sorts what a delta touches. Aliases are touched by whatever touches anything.
func (d *delta) settle(aliases []int32) {
	if len(d.services)+len(d.byClient) > 0 {
		d.services = append(d.services, aliases...)
	}
	slices.Sort(d.services)
	d.services = slices.Compact(d.services)
	d.anyClient = slices.Clone(d.services)
	for id, list := range d.byClient {
		slices.Sort(list)
		d.byClient[id] = slices.Compact(list)
		d.anyClient = append(d.anyClient, list...)
	}
	slices.Sort(d.anyClient)
	d.anyClient = slices.Compact(d.anyClient)
}
