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
