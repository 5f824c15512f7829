package change

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/resolve"
)

// Conflict is what meshed clients would meet at one service port.
type Conflict struct {
	Clients []*mesh.Workload // that meet it, by namespace, name, kind
	Host    string
	Port    uint32
	Subset  string        // "" for the service itself
	Rule    mesh.Ref      // the DestinationRule in force for them; zero without one
	Cause   resolve.Cause // of the verdict
}

// String gives "HOST:PORT (subset S)".
func (c Conflict) String() string {
	s := fmt.Sprintf("%s:%d", c.Host, c.Port)
	if c.Subset != "" {
		s += " (subset " + c.Subset + ")"
	}
	return s
}

// cell is one connection that is judged: a class of clients and a service port, or a subset of it.
type cell struct {
	client resolve.Client
	svc    *mesh.Service
	port   *mesh.Port
	subset string
}

func (c cell) target() resolve.Target {
	return resolve.Target{Service: c.svc, Port: c.port.Number, Subset: c.subset}
}

// mendable says whether a conflict is one that a DestinationRule can end, or that a policy has made.
func mendable(v resolve.Verdict) bool {
	if v.Status != resolve.StatusConflict && v.Status != resolve.StatusMayConflict {
		return false
	}
	switch v.Cause {
	case resolve.CauseNoPort, resolve.CauseNoSubset, resolve.CauseHidden, resolve.CauseBlocked, resolve.CauseUDP, resolve.CauseAmbient:
		return false
	}
	return true
}

// inside says whether a service port is what the resource is about.
func (w place) inside(svc *mesh.Service, q *mesh.Port) bool {
	switch w.Scope {
	case ScopeMesh:
		return true
	case ScopeNamespace:
		return svc.Ref.Namespace == w.Namespace
	case ScopeService:
		return svc.Ref == w.svc.Ref
	}
	return svc.Ref == w.svc.Ref && q.Number == w.port.Number
}

// judge compares the mesh as it is with the mesh as it would be.
type judge struct {
	where  place
	before *resolve.Resolver
	// watched are the services that the change can reach: those of the resource, of namespaces whose policies change,
	// and those that a changed rule matches.
	watched func(*mesh.Service) bool
	rules   bool // some rule changes, so settings may get lost
	seen    map[settingsKey]string
	// twin finds a cell in before; nil where both share their services and workloads.
	twin func(cell) (cell, bool)
}

// was gives the cell as before knows it.
func (j *judge) was(c cell) (cell, bool) {
	if j.twin == nil {
		return c, true
	}
	return j.twin(c)
}

// watch limits a judge to what the changes can reach.
func watch(where place, before *resolve.Resolver, changes []mesh.Change) *judge {
	everything, spaces := where.Scope == ScopeMesh, map[string]bool{where.Namespace: true}
	exact, wild, rules := map[string]bool{}, []string(nil), false
	for _, c := range changes {
		switch c.Ref.Kind {
		case mesh.KindMeshPolicy:
			everything = true
		case mesh.KindDestinationRule:
			for _, t := range []mesh.Tree{c.Before, c.After} {
				host := before.RuleHost(&mesh.DestinationRule{Object: mesh.Object{Ref: c.Ref}, Host: text(dig(t, "spec")["host"])})
				if exact[host] = true; strings.HasPrefix(host, "*") && !slices.Contains(wild, host) {
					wild = append(wild, host)
				}
				rules = true
			}
		default:
			spaces[c.Ref.Namespace] = true
			everything = everything || c.Ref.Namespace == before.Snapshot().Config.RootNamespace
		}
	}
	return &judge{where: where, before: before, rules: rules, seen: map[settingsKey]string{}, watched: func(s *mesh.Service) bool {
		return everything || spaces[s.Ref.Namespace] || exact[s.Hostname] ||
			slices.ContainsFunc(wild, func(h string) bool { return resolve.HostCovers(h, s.Hostname) })
	}}
}

// watchRules limits a judge to what changes of rules can reach.
func watchRules(where place, before *resolve.Resolver, changes []mesh.Change) *judge {
	narrow := where
	narrow.Scope, narrow.Namespace = ScopeNamespace, ""
	j := watch(narrow, before, changes)
	j.where = where
	return j
}

// finding is a cell that is in conflict and should not be.
type finding struct {
	cell
	verdict resolve.Verdict
	members []*mesh.Workload
}

// fine says whether a cell was in no conflict before.
func (j *judge) fine(c cell) bool {
	old, ok := j.was(c)
	return !ok || !mendable(j.before.Resolve(old.client, old.target()))
}

// look gives the conflicts of meshed clients inside the resource, and those elsewhere that were none before. lost is a
// cell that would lose a setting besides TLS.
func (j *judge) look(after *resolve.Resolver) (bad []finding, lost *cell) {
	services := slices.DeleteFunc(slices.Clone(after.Snapshot().Services), func(s *mesh.Service) bool { return !j.watched(s) })
	for _, class := range after.Classes() {
		if class.Client.Workload == nil || class.Client.Workload.Capture != mesh.CaptureSidecar {
			continue
		}
		for _, svc := range services {
			for _, c := range cells(after, class.Client, svc) {
				if v := after.Resolve(c.client, c.target()); mendable(v) && (j.where.inside(svc, c.port) || j.fine(c)) {
					bad = append(bad, finding{c, v, class.Members})
				}
				if j.rules && lost == nil && c.subset == "" && j.loses(after, c) {
					lost = &c
				}
			}
		}
	}
	return bad, lost
}

func (j *judge) loses(after *resolve.Resolver, c cell) bool {
	old, ok := j.was(c)
	if !ok {
		return false
	}
	a, b := ruleOf(j.before, old.client, old.svc), ruleOf(after, c.client, c.svc)
	d := after.Snapshot().Dialect
	return !sameRules(a, b) && j.settings(a, c.port, d) != j.settings(b, c.port, d)
}

// settingsKey names the settings of up to two rules for one port; more are rare.
type settingsKey struct {
	first, second, policy *mesh.DestinationRule
	port                  mesh.Port
}

// settings remembers what a rule says: most clients share one.
func (j *judge) settings(r inForceRule, q *mesh.Port, d mesh.Dialect) string {
	if len(r.rules) == 0 || len(r.rules) > 2 {
		return r.settings(q, d)
	}
	key := settingsKey{first: r.rules[0], policy: r.policy, port: mesh.Port{Number: q.Number, Name: q.Name}}
	if len(r.rules) == 2 {
		key.second = r.rules[1]
	}
	out, known := j.seen[key]
	if !known {
		out = r.settings(q, d)
		j.seen[key] = out
	}
	return out
}

// cells lists what a client may ask of a service: each port, and each subset of the rule in force on it.
func cells(r *resolve.Resolver, c resolve.Client, svc *mesh.Service) []cell {
	var out []cell
	subsets := r.Subsets(c, svc)
	for i := range svc.Ports {
		out = append(out, cell{c, svc, &svc.Ports[i], ""})
		for _, s := range subsets {
			out = append(out, cell{c, svc, &svc.Ports[i], s})
		}
	}
	return out
}

// conflicts gathers findings by what is the same for the reader.
func conflicts(r *resolve.Resolver, bad []finding) []Conflict {
	type key struct {
		host   string
		port   uint32
		subset string
		rule   int32
		cause  resolve.Cause
	}
	at := map[key]int{}
	var out []Conflict
	for _, f := range bad {
		k := key{f.svc.Hostname, f.port.Number, f.subset, f.verdict.Rule, f.verdict.Cause}
		i, known := at[k]
		if !known {
			i = len(out)
			at[k] = i
			c := Conflict{Host: k.host, Port: k.port, Subset: k.subset, Cause: k.cause}
			if k.rule != resolve.None {
				c.Rule = r.Snapshot().DestinationRules[k.rule].Ref
			}
			out = append(out, c)
		}
		out[i].Clients = append(out[i].Clients, f.members...)
	}
	for i := range out {
		slices.SortFunc(out[i].Clients, func(a, b *mesh.Workload) int {
			return cmp.Or(cmp.Compare(a.Ref.Namespace, b.Ref.Namespace), cmp.Compare(a.Ref.Name, b.Ref.Name), cmp.Compare(a.Ref.Kind, b.Ref.Kind))
		})
	}
	slices.SortStableFunc(out, func(a, b Conflict) int {
		return cmp.Or(cmp.Compare(a.Host, b.Host), cmp.Compare(a.Port, b.Port), cmp.Compare(a.Subset, b.Subset), a.Rule.Compare(b.Rule))
	})
	return out
}
