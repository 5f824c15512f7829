package main

import (
	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/resolve"
)

// The types of this file are the verdict's JSON; docs/json.md describes them. Words for modes are Istio's and the same in
// every dialect; only status is a word of the dialect.

// clientJSON is who calls. Ref is nil for a caller without a sidecar of which nothing is known.
type clientJSON struct {
	Name string `json:"name"` // as a command takes it
	Ref  *place `json:"ref,omitempty"`
}

// classJSON is a client with those that get the same answers.
type classJSON struct {
	clientJSON
	Alike []mesh.Ref `json:"alike,omitempty"`
}

// checkHead stands before the verdicts of tls-check. Clients are here and not in each item, where they would be repeated
// for every service.
type checkHead struct {
	document
	Clients []classJSON `json:"clients"`
}

// calleeJSON is what is called.
type calleeJSON struct {
	Host     string `json:"host"`
	Port     uint32 `json:"port"`
	PortName string `json:"portName,omitempty"`
	Subset   string `json:"subset,omitempty"`
	Ref      *place `json:"ref,omitempty"`
}

// verdictJSON is the judgement on one connection.
type verdictJSON struct {
	Client    clientJSON     `json:"client"`
	Target    calleeJSON     `json:"target"`
	Status    string         `json:"status"`
	Server    string         `json:"server"`
	Mode      string         `json:"clientMode"`
	Auto      string         `json:"auto"`
	Wire      string         `json:"wire"`
	Outbound  string         `json:"outbound"`
	Cause     string         `json:"cause"`
	Reason    string         `json:"reason"`
	Policy    *place         `json:"policy,omitempty"`
	TieBreak  string         `json:"tieBreak,omitempty"`
	Rule      *place         `json:"destinationRule,omitempty"`
	Refused   int32          `json:"refusedEndpoints"`
	Known     int32          `json:"knownEndpoints"`
	Endpoints []endpointJSON `json:"endpoints,omitempty"`
	Sync      *syncJSON      `json:"sync,omitempty"`    // of a running mesh alone
	Reasons   []reasonJSON   `json:"reasons,omitempty"` // of explain alone
	TLS       *tlsJSON       `json:"tls,omitempty"`     // of explain alone
}

// syncJSON counts the sidecars of both ends on which the verdict is in force.
type syncJSON struct {
	InForce int `json:"inForce"`
	Total   int `json:"total"`
}

// endpointJSON is one class of endpoints that are treated alike.
type endpointJSON struct {
	Workloads []mesh.Ref `json:"workloads"`
	Subset    string     `json:"subset,omitempty"`
	Port      uint32     `json:"port,omitempty"`
	Server    string     `json:"server"`
	Policy    *place     `json:"policy,omitempty"`
	TieBreak  string     `json:"tieBreak,omitempty"`
	Sends     string     `json:"clientSends"`
	Wire      string     `json:"wire"`
	Cause     string     `json:"cause"`
	Reason    string     `json:"reason"`
}

// reasonJSON is one step of the why.
type reasonJSON struct {
	Step     string `json:"step"`
	Outcome  string `json:"outcome,omitempty"`
	Cause    string `json:"cause"`
	Object   *place `json:"object,omitempty"`
	TieBreak string `json:"tieBreak,omitempty"`
	Text     string `json:"text"`
}

// tlsJSON is how the client's sidecar starts TLS.
type tlsJSON struct {
	Mode       string   `json:"mode"`
	SNI        string   `json:"sni,omitempty"`
	SANs       []string `json:"subjectAltNames,omitempty"`
	ALPN       []string `json:"alpn,omitempty"`
	MinVersion string   `json:"minVersion,omitempty"`
	MaxVersion string   `json:"maxVersion,omitempty"`
}

// explanation is the answer of explain.
type explanation struct {
	document
	verdictJSON
}

func (l *loaded) explanationDocument(x *resolve.Explanation) explanation {
	v := l.verdictDocument(x)
	for _, r := range x.Reasons {
		v.Reasons = append(v.Reasons, reasonJSON{r.Step.String(), r.Outcome.String(), r.Cause.String(),
			placeOf(r.Ref, r.Origin), tieWord(r.Tie), r.Text})
	}
	if t := x.TLS; t != nil {
		v.TLS = &tlsJSON{t.Mode.String(), t.SNI, t.SANs, t.ALPN, t.MinVersion, t.MaxVersion}
	}
	return explanation{head("Explanation", l.snap), v}
}

// verdictDocument gives an explanation without its reasons.
func (l *loaded) verdictDocument(x *resolve.Explanation) verdictJSON {
	v := x.Verdict
	out := verdictJSON{
		Client: l.clientDocument(x.Client), Target: l.calleeDocument(x.Target),
		Status: v.Status.Word(l.snap.Dialect), Server: v.Server.String(), Mode: modeWord(v.Client),
		Auto: v.Auto.String(), Wire: v.Wire.String(), Outbound: v.Outbound.String(),
		Cause: v.Cause.String(), Reason: clause(v.Cause, v.Wire, v.Client),
		Policy: placeOf(l.resolver.Policy(v.Policy)), TieBreak: tieWord(v.Tie), Rule: placeOf(l.rule(v.Rule)),
		Refused: v.Refused, Known: v.Endpoints,
	}
	if in, total := l.coverage(resolve.Class{Client: x.Client}, x.Target); l.status != nil {
		out.Sync = &syncJSON{in, total}
	}
	for _, e := range x.Endpoints {
		out.Endpoints = append(out.Endpoints, endpointJSON{
			Workloads: refs(e.Workloads), Subset: e.Subset, Port: e.Port, Server: e.Server.String(),
			Policy: placeOf(l.resolver.Policy(e.Policy)), TieBreak: tieWord(e.Tie),
			Sends: sendsWord(e.Sends), Wire: e.Wire.String(), Cause: e.Cause.String(), Reason: clause(e.Cause, e.Wire, e.Sends),
		})
	}
	return out
}

func (l *loaded) clientDocument(c resolve.Client) clientJSON {
	out := clientJSON{Name: l.clientName(c)}
	if c.Workload != nil {
		out.Ref = placeOf(c.Workload.Ref, c.Workload.Origin)
	}
	return out
}

func (l *loaded) classDocuments(classes []resolve.Class) []classJSON {
	out := make([]classJSON, len(classes))
	for i, c := range classes {
		out[i].clientJSON = l.clientDocument(c.Client)
		for _, w := range c.Members {
			if w != c.Client.Workload {
				out[i].Alike = append(out[i].Alike, w.Ref)
			}
		}
	}
	return out
}

func (l *loaded) calleeDocument(t resolve.Target) calleeJSON {
	out := calleeJSON{Host: t.Host, Port: t.Port, Subset: t.Subset}
	switch {
	case t.Service != nil:
		out.Host, out.Ref = t.Service.Hostname, placeOf(t.Service.Ref, t.Service.Origin)
		if p := t.Service.Port(t.Port); p != nil {
			out.PortName = p.Name
		}
	case t.Workload != nil:
		out.Ref = placeOf(t.Workload.Ref, t.Workload.Origin)
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

func refs(ws []*mesh.Workload) []mesh.Ref {
	out := make([]mesh.Ref, len(ws))
	for i, w := range ws {
		out[i] = w.Ref
	}
	return out
}

// printDocument prints tls-check as JSON or YAML: one item for each row of the tables.
func (t *tlsCheck) printDocument(classes []resolve.Class) error {
	l, found := t.mesh, false
	out, err := t.app.list(t.format, checkHead{head("TLSCheckList", l.snap), l.classDocuments(classes)})
	if err != nil {
		return err
	}
	for _, c := range classes {
		for _, r := range t.rows(c.Client) {
			if err := out.add(l.verdictDocument(t.explain(c.Client, r))); err != nil {
				return err
			}
			found = found || t.app.fails(r.verdict.Status)
		}
	}
	if err := out.end(); err != nil {
		return err
	}
	if found {
		return findings()
	}
	return nil
}

// explain gives the endpoints beside a row's verdict; istioctl's verdict knew none.
func (t *tlsCheck) explain(c resolve.Client, r checkRow) *resolve.Explanation {
	if t.compat {
		return &resolve.Explanation{Client: c, Target: r.target, Verdict: r.verdict}
	}
	return t.mesh.resolver.Explain(c, r.target)
}
