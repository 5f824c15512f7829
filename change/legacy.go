package change

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/oarlock/oarlock/mesh"
)

const legacyAPI = "authentication.istio.io/v1alpha1"

// legacy edits MeshPolicy and Policy objects.
//
// Every policy counts whole, and a policy for a service is of the same level as one for a port of it. So whatever is
// created copies the policy that it hides, and no two policies are left to compete for a port: before 1.4 Istio does not
// say which of them wins, and in a directory of files no age says it either.
type legacy struct {
	*plan
}

// policies lists the policies that pass, in the order in which Istio tries them (before 1.4 nobody promises one; there
// it is by name).
func (l legacy) policies(pass func(*mesh.Policy) bool) []*mesh.Policy {
	var out []*mesh.Policy
	for _, p := range l.snap.Policies {
		if pass(p) {
			out = append(out, p)
		}
	}
	if l.snap.Dialect < mesh.Dialect14 {
		slices.SortStableFunc(out, func(a, b *mesh.Policy) int {
			return cmp.Or(cmp.Compare(a.Ref.Namespace, b.Ref.Namespace), cmp.Compare(a.Ref.Name, b.Ref.Name))
		})
	}
	return out
}

func (l legacy) meshPolicies() []*mesh.Policy {
	return l.policies(func(p *mesh.Policy) bool { return p.Ref.Kind == mesh.KindMeshPolicy && p.Ref.Name == "default" })
}

func (l legacy) namespacePolicies(ns string) []*mesh.Policy {
	return l.policies(func(p *mesh.Policy) bool {
		return p.Ref.Kind == mesh.KindPolicy && p.Ref.Namespace == ns && len(p.Targets) == 0
	})
}

// covering lists the policies that cover a service port.
func (l legacy) covering(svc *mesh.Service, port uint32) []*mesh.Policy {
	return l.policies(func(p *mesh.Policy) bool { return covers(p, svc, port) })
}

func covers(p *mesh.Policy, svc *mesh.Service, port uint32) bool {
	return slices.ContainsFunc(p.Targets, func(t mesh.PolicyTarget) bool {
		return isTarget(p, t, svc) && slices.Contains(targetPorts(t, svc), port)
	})
}

// isTarget says whether a target means the service. Targets by label have a hidden, half-working life in 1.2 and 1.3;
// where one interferes, Verify notices.
func isTarget(p *mesh.Policy, t mesh.PolicyTarget, svc *mesh.Service) bool {
	return p.Ref.Namespace == svc.Ref.Namespace && t.Name == svc.Ref.Name && !svc.Entry()
}

// targetPorts gives the ports of the service that a target covers.
func targetPorts(t mesh.PolicyTarget, svc *mesh.Service) []uint32 {
	var out []uint32
	for i := range svc.Ports {
		if q := &svc.Ports[i]; t.CoversPort(q) {
			out = append(out, q.Number)
		}
	}
	return out
}

// allPorts gives the numbers of a service's ports.
func allPorts(svc *mesh.Service) []uint32 {
	var out []uint32
	for _, q := range svc.Ports {
		out = append(out, q.Number)
	}
	return out
}

// live are the policies of one level that may be in force: the first, and those that only a tie puts behind it.
func (l legacy) live(level []*mesh.Policy) []*mesh.Policy {
	for i := 1; i < len(level); i++ {
		if l.snap.Dialect >= mesh.Dialect14 && !level[i].Created.Equal(level[0].Created) {
			return level[:i]
		}
	}
	return level
}

// wider gives the policy that decides where none covers the service: the namespace's, else the mesh's, else nil.
func (l legacy) wider(ns string) *mesh.Policy {
	if own := l.namespacePolicies(ns); len(own) > 0 {
		return own[0]
	}
	return l.meshDefault()
}

func (l legacy) meshDefault() *mesh.Policy {
	if own := l.meshPolicies(); len(own) > 0 {
		return own[0]
	}
	return nil
}

// set makes the scope say mode.
func (l legacy) set(p place, mode mesh.Mode) error {
	switch p.Scope {
	case ScopeMesh:
		return l.setScope(p, l.meshPolicies(), nil, mode)
	case ScopeNamespace:
		return l.setScope(p, l.namespacePolicies(p.Namespace), l.meshDefault(), mode)
	}
	if p.svc.Entry() {
		return refuse(p.Resource, "a ServiceEntry: policies of Istio %s name Kubernetes Services alone", l.snap.Dialect)
	}
	if len(p.svc.Ports) == 0 {
		return refuse(p.Resource, "the Service has no ports")
	}
	if p.Scope == ScopePort {
		return l.setPort(p, mode)
	}
	return l.setService(p, mode)
}

// setScope sets the policy of the mesh or of a namespace: it edits the one in force, or creates `default` as a copy of
// the one that it will hide.
func (l legacy) setScope(p place, own []*mesh.Policy, hides *mesh.Policy, mode mesh.Mode) error {
	if len(own) == 0 {
		return l.createScope(p, hides, mode)
	}
	winner := own[0]
	live := l.live(own)
	if i := slices.IndexFunc(live, func(q *mesh.Policy) bool { return q.Ref.Name == "default" }); i > 0 {
		winner = live[i] // the only name that the API server accepts for it
	}
	setMode(l.edit(&winner.Object, winner.Body, l.because(p, mode)), mode)
	for _, q := range own {
		switch {
		case q == winner:
		case slices.Contains(live, q):
			l.remove(&q.Object, q.Body, fmt.Sprintf("nothing says whether %s or this one would win", winner.Ref))
			l.note("%s is removed: it covers the whole namespace as %s does, and nothing says which of the two would win", q.Ref, winner.Ref)
		default:
			l.note("%s has no effect: %s is older", q.Ref, winner.Ref)
		}
	}
	return nil
}

func (l legacy) createScope(p place, hides *mesh.Policy, mode mesh.Mode) error {
	ref := mesh.Ref{Kind: mesh.KindPolicy, Namespace: p.Namespace, Name: "default"}
	if p.Scope == ScopeMesh {
		ref = mesh.Ref{Kind: mesh.KindMeshPolicy, Name: "default"}
	}
	if l.taken(ref) {
		return refuse(p.Resource, "%s exists and has targets, and a namespace's policy can have no other name", ref)
	}
	body := newObject(legacyAPI, ref, specOf(hides))
	setMode(body, mode)
	l.add(body, l.because(p, mode))
	l.copied(ref, hides)
	return nil
}

// specOf copies the spec of a policy, without its targets; empty for nil.
func specOf(p *mesh.Policy) mesh.Tree {
	if p == nil {
		return mesh.Tree{}
	}
	return mesh.CloneTree(without(dig(p.Body, "spec"), "targets"))
}

// copied notes what a new policy took over, as the reader may not expect it there.
func (l legacy) copied(ref mesh.Ref, from *mesh.Policy) {
	if what := extras(from); what != "" {
		l.note("%s takes over %s from %s, which it hides whole", ref, what, from.Ref)
	}
}

// extras names what a policy says besides its mTLS mode, "" for nothing.
func extras(p *mesh.Policy) string {
	if p == nil {
		return ""
	}
	spec := without(dig(p.Body, "spec"), "targets")
	if len(otherPeers(spec)) == 0 {
		delete(spec, "peers")
	}
	for k, v := range spec {
		if list, ok := v.([]any); v == nil || ok && len(list) == 0 || v == false || v == "" || k == "principalBinding" && v == "USE_PEER" {
			delete(spec, k)
		}
	}
	if _, jwt := spec["peers"]; jwt {
		delete(spec, "peers")
		spec["other peers"] = true
	}
	return strings.Join(keys(spec), ", ")
}

// otherPeers are the peers that are not mTLS.
func otherPeers(spec mesh.Tree) []any {
	list, _ := spec["peers"].([]any)
	var out []any
	for _, e := range list {
		if !isMTLS(e) && len(dig(mesh.Tree{"e": e}, "e")) > 0 {
			out = append(out, e)
		}
	}
	return out
}

func isMTLS(peer any) bool {
	m, _ := peer.(mesh.Tree)
	_, there := m["mtls"]
	return there
}

// peersMode reads the mode of a spec as mesh.Policy.Mode does of a Policy.
func peersMode(spec mesh.Tree) mesh.Mode {
	list, _ := spec["peers"].([]any)
	i := slices.IndexFunc(list, isMTLS)
	if i < 0 {
		return mesh.ModeDisable
	}
	switch v := dig(list[i].(mesh.Tree), "mtls")["mode"].(type) {
	case string:
		if v == "PERMISSIVE" {
			return mesh.ModePermissive
		}
	default:
		if number(v) == 1 {
			return mesh.ModePermissive
		}
	}
	return mesh.ModeStrict
}

// setMode writes the mode into the peers. It leaves a list that already means it, and every other peer. There is no mode
// DISABLE: without an mTLS peer there is no mTLS.
func setMode(body mesh.Tree, mode mesh.Mode) {
	spec := grow(body, "spec")
	if peersMode(spec) == mode {
		return
	}
	list, _ := spec["peers"].([]any)
	if mode == mesh.ModeDisable {
		list = slices.DeleteFunc(list, isMTLS)
		spec["peers"] = list
		if len(list) == 0 {
			delete(spec, "peers")
		}
		return
	}
	i := slices.IndexFunc(list, isMTLS)
	if i < 0 {
		spec["peers"] = append(list, mesh.Tree{"mtls": mesh.Tree{"mode": mode.String()}})
		return
	}
	grow(list[i].(mesh.Tree), "mtls")["mode"] = mode.String()
}

// unsetScope removes the policies of the mesh or of a namespace. One that says more than mTLS stays and takes the wider
// scope's mode, as nothing else would keep the rest.
func (l legacy) unsetScope(p place, own []*mesh.Policy, parent *mesh.Policy) error {
	if len(own) == 0 {
		l.note("%s has no policy of its own", p.Title())
		return nil
	}
	if what := l.lost(own[0], parent); what != "" {
		l.keep(own[0].Ref, what, parent.Mode())
		return l.setScope(p, own, nil, parent.Mode())
	}
	if p.Scope == ScopeMesh {
		l.note("without a mesh policy, Istio %s takes plaintext alone wherever no other policy decides", l.snap.Dialect)
	}
	for _, q := range own {
		l.remove(&q.Object, q.Body, l.because(p, mesh.ModeUnset))
		if q != own[0] {
			l.note("%s is removed too: it would be next to decide", q.Ref)
		}
	}
	return nil
}

func (l legacy) keep(ref mesh.Ref, what string, mode mesh.Mode) {
	after := ", and will not follow when the wider policy changes"
	if ref.Kind == mesh.KindMeshPolicy {
		after = ": without an mTLS peer, plaintext alone"
	}
	l.note("%s stays, because it also sets %s: it says %s now%s", ref, what, ModeWord(mode, l.snap.Dialect), after)
}

// unset removes what the scope says.
func (l legacy) unset(p place) error {
	switch p.Scope {
	case ScopeMesh:
		return l.unsetScope(p, l.meshPolicies(), nil)
	case ScopeNamespace:
		return l.unsetScope(p, l.namespacePolicies(p.Namespace), l.meshDefault())
	}
	if p.Scope == ScopePort {
		return l.unsetPort(p)
	}
	return l.unsetService(p)
}
