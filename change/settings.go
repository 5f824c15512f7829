package change

import (
	"slices"

	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/resolve"
)

// inForceRule is what the DestinationRules in force for a client and a service say together.
type inForceRule struct {
	rules  []*mesh.DestinationRule
	policy *mesh.DestinationRule // whose trafficPolicy counts; nil where none has one
}

// ruleOf merges the rules in force as Istio does: the first trafficPolicy counts, subsets add up.
func ruleOf(r *resolve.Resolver, c resolve.Client, s *mesh.Service) inForceRule {
	out := inForceRule{rules: r.Rule(c, s)}
	for i, d := range out.rules {
		// 1.1 takes a later rule's trafficPolicy only along with its subsets (semantics L26).
		if d.TrafficPolicy != nil && (i == 0 || r.Snapshot().Dialect > mesh.Dialect11 || len(d.Subsets) > 0) {
			out.policy = d
			break
		}
	}
	return out
}

// subset gives the rule that a subset comes from, and its place there.
func (r inForceRule) subset(name string) (*mesh.DestinationRule, int) {
	for _, d := range r.rules {
		for i := range d.Subsets {
			if d.Subsets[i].Name == name {
				return d, i
			}
		}
	}
	return nil, -1
}

// home is the rule to write a top-level trafficPolicy into.
func (r inForceRule) home() *mesh.DestinationRule {
	if r.policy != nil {
		return r.policy
	}
	return r.rules[0]
}

// spec gives one spec that says what all rules together say.
func (r inForceRule) spec() mesh.Tree {
	spec := mesh.CloneTree(dig(r.rules[0].Body, "spec"))
	if r.policy != nil {
		spec["trafficPolicy"] = mesh.CloneTree(dig(r.policy.Body, "spec", "trafficPolicy"))
	}
	var subsets []any
	seen := map[string]bool{}
	for _, d := range r.rules {
		list, _ := dig(d.Body, "spec")["subsets"].([]any)
		for _, e := range list {
			if m, ok := e.(mesh.Tree); ok && !seen[text(m["name"])] {
				seen[text(m["name"])] = true
				subsets = append(subsets, mesh.CloneTree(m))
			}
		}
	}
	if len(subsets) > 0 {
		spec["subsets"] = subsets
	}
	return spec
}

// settings prints everything but TLS that the rule says of a service port: load balancer, connection pool, outlier
// detection and whatever else a trafficPolicy holds, for the service and for each subset. Two rules with equal settings
// differ in nothing but TLS.
func (r inForceRule) settings(q *mesh.Port, d mesh.Dialect) string {
	if len(r.rules) == 0 {
		return canonical(mesh.Tree{})
	}
	out, subsets := mesh.Tree{}, mesh.Tree{}
	top := mesh.Tree{}
	if r.policy != nil {
		top = blocks(dig(r.policy.Body, "spec", "trafficPolicy"), q, d)
	}
	for _, e := range anyList(r.spec()["subsets"]) {
		m, _ := e.(mesh.Tree)
		own := without(top)
		for k, v := range blocks(dig(m, "trafficPolicy"), q, d) {
			own[k] = v
		}
		subsets[text(m["name"])] = mesh.Tree{"labels": m["labels"], "policy": own}
	}
	if len(top) > 0 {
		out["policy"] = top
	}
	if len(subsets) > 0 {
		out["subsets"] = subsets
	}
	return canonical(out)
}

func anyList(v any) []any {
	list, _ := v.([]any)
	return list
}

// blocks gives a trafficPolicy for one port without TLS: an entry for the port replaces the top level whole.
func blocks(policy mesh.Tree, q *mesh.Port, d mesh.Dialect) mesh.Tree {
	if e := portEntry(policy, q, d); e != nil {
		return without(e, "port", "tls")
	}
	return without(policy, "portLevelSettings", "tls")
}

// portEntry gives the entry of portLevelSettings for a port, nil where there is none.
func portEntry(policy mesh.Tree, q *mesh.Port, d mesh.Dialect) mesh.Tree {
	for _, e := range anyList(policy["portLevelSettings"]) {
		m, _ := e.(mesh.Tree)
		sel := dig(m, "port")
		n := number(sel["number"])
		if n == q.Number || n == 0 && d.Legacy() && d < mesh.Dialect14 && text(sel["name"]) != "" && text(sel["name"]) == q.Name {
			return m
		}
	}
	return nil
}

// sameRules says whether two resolvers put the very same objects in force.
func sameRules(a, b inForceRule) bool { return slices.Equal(a.rules, b.rules) }
