package plan

import (
	"github.com/oarlock/oarlock/api"
	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/resolve"
)

// answer is a verdict before and after. known is false where the mesh has no such port, or no such client.
type answer struct {
	before, after resolve.Verdict
	had, has      bool
	// wasDead and isDead say that the service selects workloads and finds none: nobody answers, whatever the policies say.
	wasDead, isDead bool
}

func dead(s *mesh.Service, v resolve.Verdict) bool {
	return s != nil && len(s.Selector) > 0 && v.Endpoints == 0
}

// alike is what clients of one effect have in common: the answers, though not the names of what decided.
func (a answer) alike() answer {
	for _, v := range []*resolve.Verdict{&a.before, &a.after} {
		v.Policy, v.Rule, v.Tie, v.Endpoints, v.Refused = 0, 0, 0, 0, 0
	}
	return a
}

// comparePort adds the effects on one port. Clients that are known to call it have their own, the others one for all that
// are alike, those outside apart from the others.
func (c *comparison) comparePort(p port) {
	users := c.users[p.portKey]
	named := c.named(users)
	type likeness struct {
		of      answer
		outside bool
	}
	at := map[likeness]int{} // place in the effects
	for k := range c.groups {
		g := &c.groups[k]
		a := c.answer(g.before, g.after, p)
		kind := judge(a)
		if kind == "" {
			if a.had && a.has {
				c.out.Same++
			}
			continue
		}
		first, size := g.others(named[int32(k)])
		if size == 0 {
			continue
		}
		key := likeness{a.alike(), g.members[0].IsZero()}
		i, there := at[key]
		if !there {
			i = len(c.out.Effects)
			at[key] = i
			c.add(kind, user{client: first}, p, a)
			c.out.Effects[i].Alike = 0
		}
		c.out.Effects[i].Alike += size
	}
	for _, u := range users {
		c.compareUser(u, p)
	}
}

// named gives the users of a port by group. Who calls a subset alone is not among them: the port's own verdict is another.
func (c *comparison) named(users []user) map[int32][]mesh.Ref {
	out := map[int32][]mesh.Ref{}
	for _, u := range users {
		if k, ok := c.groupOf[u.client]; ok && u.subset == "" {
			out[k] = append(out[k], u.client)
		}
	}
	return out
}

// others counts the clients of a group that have no effect of their own, and gives the first of them. Both lists are in
// one order, so it stands where they part.
func (g *group) others(named []mesh.Ref) (first mesh.Ref, size int) {
	size = len(g.members) - len(named)
	if size == 0 {
		return first, 0
	}
	i := 0
	for i < len(named) && g.members[i] == named[i] {
		i++
	}
	return g.members[i], size
}

// compareUser adds the effect on one client that is known to call the port. One that is new has an effect for the calls
// that it declares, and no others: everything would be new to it.
func (c *comparison) compareUser(u user, p port) {
	after, ok := c.after.clients[u.client]
	if !ok {
		return
	}
	before, known := c.before.clients[u.client]
	if !known {
		before = -1
	}
	a := c.answer(before, after, p)
	if u.subset != "" {
		a = c.subset(u, p)
	}
	if kind := judge(a); kind != "" {
		c.add(kind, u, p, a)
	}
}

// answer looks both verdicts up. A class of -1 is a client that was not there.
func (c *comparison) answer(before, after int32, p port) answer {
	var a answer
	if before >= 0 {
		a.before, a.had = c.before.verdict(before, p.before, p.number)
	}
	a.after, a.has = c.after.verdict(after, p.after, p.number)
	a.wasDead, a.isDead = a.had && dead(p.before, a.before), a.has && dead(p.after, a.after)
	return a
}

// subset asks for the verdicts of a subset, which no table has.
func (c *comparison) subset(u user, p port) answer {
	var a answer
	ask := func(s *side, service *mesh.Service) (resolve.Verdict, bool) {
		class, ok := s.clients[u.client]
		if !ok || service == nil || service.Port(p.number) == nil {
			return resolve.Verdict{}, false
		}
		return s.resolver().Resolve(s.t.Classes()[class].Client, resolve.Target{Service: service, Port: p.number, Subset: u.subset}), true
	}
	a.before, a.had = ask(&c.before, p.before)
	a.after, a.has = ask(&c.after, p.after)
	a.wasDead, a.isDead = a.had && dead(p.before, a.before), a.has && dead(p.after, a.after)
	return a
}

// add writes one effect down.
func (c *comparison) add(kind string, u user, p port, a answer) {
	e := api.Effect{Kind: kind, Client: c.clientWord(u.client), Alike: 1, Host: p.host, Port: p.number,
		Declared: u.declared, Requests: u.requests(), Connections: u.connections()}
	if a.had {
		e.Before = c.before.side(a.before)
	}
	if a.has {
		e.After = c.after.side(a.after)
	}
	word := e.Client
	if u.client.IsZero() {
		word = "a caller without a sidecar"
	}
	s := sentence{kind: kind, client: word, target: p.word(u.subset), a: a, gone: p.after == nil, fresh: p.before == nil,
		before: &e.Before, after: &e.After}
	e.Text = s.String()
	c.out.Effects = append(c.out.Effects, e)
}

// side puts a verdict into words.
func (s *side) side(v resolve.Verdict) api.Side {
	r := s.resolver()
	snap := r.Snapshot()
	out := api.Side{Status: v.Status.String(), Server: v.Server.String(), Mode: "UNSET", Wire: v.Wire.String()}
	if v.Client != mesh.ClientUnset {
		out.Mode = v.Client.String()
	}
	out.Policy = placeOf(r.Policy(v.Policy))
	if v.Rule != resolve.None {
		d := snap.DestinationRules[v.Rule]
		out.Rule = placeOf(d.Ref, d.Origin)
	}
	return out
}

func placeOf(r mesh.Ref, o mesh.Origin) *api.Place {
	if r.IsZero() {
		return nil
	}
	return &api.Place{Ref: api.Ref{Kind: string(r.Kind), Namespace: r.Namespace, Name: r.Name},
		Origin: api.Origin{File: o.File, Line: o.Line, Col: o.Col, ResourceVersion: o.ResourceVersion}}
}

// judge names the kind of an effect; "" where nothing changes for the client and in what the server takes.
func judge(a answer) string {
	switch {
	case !a.has && !a.had:
		return ""
	case !a.has && refusal(a.before) == refusedWhole:
		return "" // what is gone was out of reach
	case !a.has:
		return Breaks
	case !a.had:
		return Other
	}
	b, n := a.before, a.after
	switch {
	case a.isDead && !a.wasDead && refusal(b) != refusedWhole:
		return Breaks
	case a.wasDead && !a.isDead && refusal(n) != refusedWhole:
		return Mends
	}
	if was, is := refusal(b), refusal(n); was != is {
		return pick(is > was, Breaks, Mends)
	}
	was, ok := protection(b.Wire)
	is, ok2 := protection(n.Wire)
	switch {
	case ok && ok2 && was != is:
		return pick(is < was, Opens, Locks)
	case b.Wire != n.Wire || b.Server != n.Server || judged(b) != judged(n):
		return Other
	}
	return ""
}

func pick(first bool, x, y string) string {
	if first {
		return x
	}
	return y
}

// How much of a port refuses a client.
const (
	refusedNowhere = iota
	refusedPartly
	refusedWhole
)

func refusal(v resolve.Verdict) int {
	switch {
	case v.Status != resolve.StatusConflict:
		return refusedNowhere
	case v.Wire == resolve.WireMixed:
		return refusedPartly
	}
	return refusedWhole
}

// protection orders wires by what can be read on them; false where that cannot be said. TLS that is not the mesh's hides
// as much.
func protection(w resolve.Wire) (int, bool) {
	switch w {
	case resolve.WirePlaintext:
		return 0, true
	case resolve.WireMixed:
		return 1, true
	case resolve.WireMTLS, resolve.WireTLS:
		return 2, true
	}
	return 0, false
}

// judged tells the statuses apart that are no matter of words.
func judged(v resolve.Verdict) resolve.Status {
	if v.Status == resolve.StatusAuto {
		return resolve.StatusOK
	}
	return v.Status
}
