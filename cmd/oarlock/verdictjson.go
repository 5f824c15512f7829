package main

import (
	"github.com/oarlock/oarlock/api"
	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/resolve"
	"github.com/oarlock/oarlock/web"
)

// The verdict's JSON is that of the API, in api/verdict.go; docs/json.md describes it.

// classJSON is a client with those that get the same answers.
type classJSON struct {
	api.Caller
	Alike []mesh.Ref `json:"alike,omitempty"`
}

// checkHead stands before the verdicts of tls-check. Clients are here and not in each item, where they would be repeated
// for every service.
type checkHead struct {
	document
	Clients []classJSON `json:"clients"`
}

// checkItem is a row: the verdict, and of a running mesh what its clients did and what came of trying the port.
type checkItem struct {
	api.Verdict
	Observed *api.Observed `json:"observed,omitempty"`
	Proven   *api.Proven   `json:"proven,omitempty"`
}

// item gives a row of the clients in t.who.
func (t *tlsCheck) item(c resolve.Client, r checkRow) checkItem {
	out := checkItem{Verdict: t.mesh.verdictDocument(t.explain(c, r))}
	seen, proof := t.sighted(r)
	if seen != nil {
		o := seen.JSON()
		out.Observed = &o
	}
	if proof != nil {
		out.Proven = proof.JSON()
	}
	return out
}

func (l *loaded) explanationDocument(x *resolve.Explanation) *api.Explanation {
	out := web.Explanation(l.resolver, x)
	out.Sync = l.syncDocument(x)
	return out
}

// verdictDocument gives an explanation without its reasons.
func (l *loaded) verdictDocument(x *resolve.Explanation) api.Verdict {
	out := web.Verdict(l.resolver, x)
	out.Sync = l.syncDocument(x)
	return out
}

// syncDocument counts the sidecars of both ends on which a verdict is in force; nil where no mesh runs.
func (l *loaded) syncDocument(x *resolve.Explanation) *api.Coverage {
	if l.status == nil {
		return nil
	}
	in, total := l.coverage(resolve.Class{Client: x.Client}, x.Target)
	return &api.Coverage{InForce: in, Total: total}
}

func (l *loaded) classDocuments(classes []resolve.Class) []classJSON {
	out := make([]classJSON, len(classes))
	for i, c := range classes {
		out[i].Caller = web.Caller(l.snap, c.Client)
		for _, w := range c.Members {
			if w != c.Client.Workload {
				out[i].Alike = append(out[i].Alike, w.Ref)
			}
		}
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
		t.who = callers(c)
		for _, r := range t.rows(c.Client) {
			if err := out.add(t.item(c.Client, r)); err != nil {
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
