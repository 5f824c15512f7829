package web

import (
	"github.com/oarlock/oarlock/api"
	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/resolve"
)

// Explanation gives an explanation of the resolver in its JSON shape. docs/json.md describes it.
func Explanation(r *resolve.Resolver, x *resolve.Explanation) *api.Explanation {
	s := r.Snapshot()
	out := &api.Explanation{Head: head("Explanation"), Dialect: s.Dialect.String(), Snapshot: s.Version, Verdict: Verdict(r, x)}
	for _, e := range x.Reasons {
		out.Reasons = append(out.Reasons, api.Reason{Step: e.Step.String(), Outcome: e.Outcome.String(), Cause: e.Cause.String(),
			Object: Place(e.Ref, e.Origin), TieBreak: tieWord(e.Tie), Text: e.Text})
	}
	if t := x.TLS; t != nil {
		out.TLS = &api.ClientTLS{Mode: t.Mode.String(), SNI: t.SNI, SANs: t.SANs, ALPN: t.ALPN, MinVersion: t.MinVersion, MaxVersion: t.MaxVersion}
	}
	return out
}

// Verdict gives an explanation without its reasons.
func Verdict(r *resolve.Resolver, x *resolve.Explanation) api.Verdict {
	v, s := x.Verdict, r.Snapshot()
	out := api.Verdict{
		Client: Caller(s, x.Client), Target: callee(x.Target),
		Status: v.Status.String(), Server: v.Server.String(), Mode: modeWord(v.Client),
		Auto: v.Auto.String(), Wire: v.Wire.String(), Outbound: v.Outbound.String(),
		Cause: v.Cause.String(), Reason: v.Cause.Clause(v.Wire, v.Client),
		Policy: Place(r.Policy(v.Policy)), TieBreak: tieWord(v.Tie), Rule: ruleAt(s, v.Rule),
		Refused: v.Refused, Known: v.Endpoints,
	}
	for _, e := range x.Endpoints {
		one := api.EndpointClass{
			Workloads: make([]api.Ref, 0, len(e.Workloads)), Subset: e.Subset, Port: e.Port, Server: e.Server.String(),
			Policy: Place(r.Policy(e.Policy)), TieBreak: tieWord(e.Tie), Sends: sendsWord(e.Sends), Wire: e.Wire.String(),
			Cause: e.Cause.String(), Reason: e.Cause.Clause(e.Wire, e.Sends),
		}
		for _, w := range e.Workloads {
			one.Workloads = append(one.Workloads, Ref(w.Ref))
		}
		out.Endpoints = append(out.Endpoints, one)
	}
	return out
}

// Caller names a client as a command takes it.
func Caller(s *mesh.Snapshot, c resolve.Client) api.Caller {
	out := api.Caller{Name: ClientName(s, c)}
	if c.Workload != nil {
		out.Ref = Place(c.Workload.Ref, c.Workload.Origin)
	}
	return out
}

func callee(t resolve.Target) api.Callee {
	out := api.Callee{Host: t.Host, Port: t.Port, Subset: t.Subset}
	switch {
	case t.Service != nil:
		out.Host, out.Ref = t.Service.Hostname, Place(t.Service.Ref, t.Service.Origin)
		if p := t.Service.Port(t.Port); p != nil {
			out.PortName = p.Name
		}
	case t.Workload != nil:
		out.Ref = Place(t.Workload.Ref, t.Workload.Origin)
	}
	return out
}

// ruleAt is the DestinationRule at an index of a Verdict.
func ruleAt(s *mesh.Snapshot, i int32) *api.Place {
	if i == resolve.None {
		return nil
	}
	o := s.DestinationRules[i].Object
	return Place(o.Ref, o.Origin)
}

// Ref gives the name of an object in its JSON shape.
func Ref(r mesh.Ref) api.Ref {
	return api.Ref{Kind: string(r.Kind), Namespace: r.Namespace, Name: r.Name}
}

// Origin gives the place of an object in its JSON shape.
func Origin(o mesh.Origin) api.Origin {
	return api.Origin{File: o.File, Line: o.Line, Col: o.Col, ResourceVersion: o.ResourceVersion}
}

// Place gives an object with its place; nil for none, so that the field is left out.
func Place(r mesh.Ref, o mesh.Origin) *api.Place {
	if r.IsZero() {
		return nil
	}
	return &api.Place{Ref: Ref(r), Origin: Origin(o)}
}

// Problems gives problems in their JSON shape; never nil.
func Problems(list []mesh.Problem) []api.Problem {
	out := make([]api.Problem, 0, len(list))
	for i := range list {
		e := &list[i]
		one := api.Problem{Severity: e.Severity.String(), Origin: Origin(e.Origin), Message: e.Message, Hint: e.Hint}
		if !e.Ref.IsZero() {
			r := Ref(e.Ref)
			one.Object = &r
		}
		out = append(out, one)
	}
	return out
}

// modeWord is the mode that a rule asks for, UNSET where none does.
func modeWord(m mesh.ClientMode) string {
	if m == mesh.ClientUnset {
		return "UNSET"
	}
	return m.String()
}

// tieWord leaves the field out where no tie was broken.
func tieWord(t resolve.TieBreak) string {
	if t == resolve.TieNone {
		return ""
	}
	return t.String()
}

// sendsWord is what a client starts.
func sendsWord(m mesh.ClientMode) string {
	if m == mesh.ClientUnset || m == mesh.ClientDisable {
		return "plaintext"
	}
	return m.String()
}
