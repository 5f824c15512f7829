package plan

import (
	"fmt"
	"strings"

	"github.com/oarlock/oarlock/api"
	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/resolve"
)

// sentence is what is said of one effect.
type sentence struct {
	kind, client, target string
	a                    answer
	gone, fresh          bool // the port is there no more, or was not there before
	before, after        *api.Side
}

// word gives NAME.NAMESPACE:PORT, or HOST:PORT where no Service of the mesh has the name, and a route's subset.
func (p port) word(subset string) string {
	name, s := p.host, p.after
	if s == nil {
		s = p.before
	}
	if !s.Entry() {
		name = s.Ref.Name + "." + s.Ref.Namespace
	}
	if subset != "" {
		name += "|" + subset
	}
	return fmt.Sprintf("%s:%d", name, p.number)
}

// String gives one sentence with the reason and the objects that decide.
func (s sentence) String() string {
	switch {
	case s.gone:
		return fmt.Sprintf("%s finds no %s any more: the manifests have none.", s.client, s.target)
	case s.fresh:
		return fmt.Sprintf("%s is new, and %s %s%s.", s.target, s.client, outcome(s.a.after, "it"), s.deciding())
	case !s.a.had:
		return fmt.Sprintf("%s is new, and %s%s.", s.client, outcome(s.a.after, s.target), s.deciding())
	}
	return s.change() + s.deciding() + "."
}

// change is the sentence of a port that is in both meshes.
func (s sentence) change() string {
	b, n := s.a.before, s.a.after
	switch {
	case s.kind == Breaks && s.a.isDead && !s.a.wasDead:
		return fmt.Sprintf("%s finds nobody behind %s any more: no endpoint is known", s.client, s.target)
	case s.kind == Mends && s.a.wasDead && !s.a.isDead:
		return fmt.Sprintf("%s finds an endpoint of %s: %s", s.client, s.target, why(n))
	}
	switch s.kind {
	case Breaks:
		return fmt.Sprintf("%s is refused by %s%s: %s", s.client, parts(n), s.target, why(n))
	case Mends:
		if refusal(n) == refusedPartly {
			return fmt.Sprintf("%s gets through to some endpoints of %s: %s", s.client, s.target, why(n))
		}
		return fmt.Sprintf("%s gets through to %s: %s", s.client, s.target, why(n))
	case Opens, Locks:
		return fmt.Sprintf("%s has %s with %s in place of %s: %s", s.client, wireWord(n), s.target, wireWord(b), why(n))
	}
	if b.Server != n.Server {
		return fmt.Sprintf("%s takes %s in place of %s, and %s %s", s.target, serverWord(n.Server), serverWord(b.Server), s.client, keeps(b, n))
	}
	if b.Wire != n.Wire {
		return fmt.Sprintf("%s has %s with %s in place of %s: %s", s.client, wireWord(n), s.target, wireWord(b), why(n))
	}
	return fmt.Sprintf("%s is judged %s with %s in place of %s: %s", s.client, s.after.Status, s.target, s.before.Status, why(n))
}

// parts tells a port of which some endpoints alone refuse.
func parts(v resolve.Verdict) string {
	switch {
	case refusal(v) != refusedPartly:
		return ""
	case v.Refused > 0:
		return fmt.Sprintf("%d of %d endpoints of ", v.Refused, v.Endpoints)
	}
	return "some endpoints of "
}

// keeps is what a client has whose connection stays.
func keeps(b, n resolve.Verdict) string {
	switch {
	case refusal(n) == refusedWhole:
		return "is refused as before"
	case b.Wire == n.Wire:
		return "keeps " + wireWord(n)
	}
	return "has " + wireWord(n) + " in place of " + wireWord(b)
}

// outcome is what comes of a call that could not be made before.
func outcome(v resolve.Verdict, target string) string {
	if refusal(v) != refusedNowhere {
		return "is refused by " + parts(v) + target + ": " + why(v)
	}
	return "has " + wireWord(v) + " with " + target
}

// deciding names the policy that decides after the change, and the rule where one is in force; without them, those that
// are no more.
func (s sentence) deciding() string {
	var now, was []string
	for _, p := range []*api.Place{s.after.Policy, s.after.Rule} {
		now = append(now, placeWord(p)...)
	}
	if len(now) > 0 {
		return " (" + strings.Join(now, ", ") + ")"
	}
	for _, p := range []*api.Place{s.before.Policy, s.before.Rule} {
		was = append(was, placeWord(p)...)
	}
	if len(was) > 0 {
		return " (without " + strings.Join(was, ", ") + ")"
	}
	return ""
}

func placeWord(p *api.Place) []string {
	if p == nil {
		return nil
	}
	return []string{mesh.Ref{Kind: mesh.Kind(p.Kind), Namespace: p.Namespace, Name: p.Name}.String()}
}

func wireWord(v resolve.Verdict) string {
	switch v.Wire {
	case resolve.WireMTLS:
		return "mTLS"
	case resolve.WireTLS:
		return "TLS that is not the mesh's"
	case resolve.WireMixed:
		return "mTLS in part"
	case resolve.WireRefused:
		return "no connection"
	case resolve.WireUnknown:
		return "what nobody can tell"
	}
	return "plaintext"
}

func serverWord(s resolve.Server) string {
	switch s {
	case resolve.ServerStrict:
		return "nothing but mTLS"
	case resolve.ServerPermissive:
		return "mTLS and plaintext"
	case resolve.ServerMixed:
		return "other things on other endpoints"
	}
	return "nothing but plaintext"
}

// why says why a verdict comes out as it does.
func why(v resolve.Verdict) string { return v.Cause.Clause(v.Wire, v.Client) }
