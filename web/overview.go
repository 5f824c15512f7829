package web

import (
	"cmp"
	"context"
	"net/http"
	"slices"

	"github.com/oarlock/oarlock/api"
	"github.com/oarlock/oarlock/change"
	"github.com/oarlock/oarlock/graph"
	"github.com/oarlock/oarlock/mesh"
)

// How much of everything an overview shows.
const (
	brokenShown  = 20
	changesShown = 5
)

// status is that of the mesh, with what troubles the audit log.
func (a *API) status() *api.Status {
	s := a.opt.Mesh.Status()
	if text := a.journal.problem(); text != "" {
		s.Problems = append(slices.Clip(s.Problems), api.Problem{Severity: "error", Message: text, Hint: "make room on the disk: what waits is written then"})
	}
	return s
}

// overview is GET /v1/overview.
func (a *API) overview(r *http.Request) (any, error) {
	window, err := windowOf(r)
	if err != nil {
		return nil, err
	}
	p, err := a.views.get(r.Context(), window)
	if err != nil {
		return nil, err
	}
	status := a.status()
	out := &api.Overview{Head: head("Overview"), Mesh: a.opt.Name, Sync: status.Sync, Held: status.Held, Services: status.Services,
		Trouble: p.shape.Trouble, Broken: broken(p), Problems: status.Problems, Unenforced: status.Unenforced, CA: status.CA,
		Certificates: []api.Certificate{}, Store: a.store(r.Context())}
	if rule := modeOf(p.now.Taken, change.Resource{Scope: change.ScopeMesh}); rule != nil {
		out.Rule = *rule
	}
	out.MTLS, out.Known = shares(p.graph)
	for i := range p.shape.Edges {
		countLock(&out.Locks, p.shape.Edges[i].Lock)
		out.Findings += serious(p.shape.Edges[i].Findings)
	}
	for i := range p.shape.Nodes {
		n := &p.shape.Nodes[i]
		out.Findings += serious(n.Findings)
		if n.Kind == "workload" {
			out.Workloads++
			if n.Capture == mesh.CaptureSidecar.String() {
				out.Meshed++
			}
		}
	}
	if seen, err := a.lookTrend(r.Context(), trendKey{window: window, points: basePoints}); err == nil {
		out.Trend, out.Trouble = seen.trend, cmp.Or(out.Trouble, seen.trouble)
	}
	if all, err := a.allCertificates(r.Context()); err == nil {
		out.Certificates = all[:min(len(all), certsShown)]
	}
	list, _, _ := a.journal.page("", changesShown)
	out.Changes = a.shown(list)
	return out, nil
}

// serious counts errors and warnings.
func serious(list []api.Finding) int {
	n := 0
	for _, f := range list {
		if f.Severity != "note" {
			n++
		}
	}
	return n
}

// broken are the edges that somebody should look at first: those that are broken, those that are open although mutual TLS is
// declared, and those with a finding that is an error.
func broken(p *picture) []api.Edge {
	out := []api.Edge{}
	rank := func(e *api.Edge) int {
		switch {
		case e.Lock == "broken":
			return 0
		case (e.Lock == "open" || e.Lock == "mixed") && e.Declared != nil && e.Declared.Wire == "mTLS":
			return 1
		case slices.ContainsFunc(e.Findings, func(f api.Finding) bool { return f.Severity == "error" }):
			return 2
		}
		return -1
	}
	for i := range p.shape.Edges {
		if rank(&p.shape.Edges[i]) >= 0 {
			out = append(out, p.shape.Edges[i])
		}
	}
	slices.SortStableFunc(out, func(x, y api.Edge) int { return cmp.Compare(rank(&x), rank(&y)) })
	return out[:min(len(out), brokenShown)]
}

// shares are the share of traffic with mutual TLS of what is known, and of what is known of all; nil without traffic. They are
// those of the edges, where the reports of both ends are one.
func shares(g *graph.Graph) (mtls, known *float64) {
	var all, sure, locked float64
	for i := range g.Edges {
		if o := g.Edges[i].Observed; o != nil {
			n := o.Requests + o.Connections
			all, sure, locked = all+n, sure+n*o.Known, locked+n*o.Known*o.MTLS
		}
	}
	if all == 0 {
		return nil, nil
	}
	known = new(float64)
	*known = min(sure/all, 1)
	if sure > 0 {
		mtls = new(float64)
		*mtls = min(locked/sure, 1)
	}
	return mtls, known
}

// store is how the store of observations is.
func (a *API) store(ctx context.Context) api.Store {
	if a.opt.Flows == nil {
		return api.Store{Kind: "none", Problem: noStore}
	}
	ctx, cancel := context.WithTimeout(ctx, adminTime)
	defer cancel()
	h := a.opt.Flows.Health(ctx)
	return api.Store{Kind: h.Kind, Address: h.Address, OK: h.OK, Problem: h.Problem, Targets: h.Targets, Up: h.Up,
		Interval: h.Interval.Seconds(), Series: h.Series, Bytes: h.Bytes, Retention: h.Retention.Seconds(), Since: h.Since}
}

// graph is GET /v1/graph.
func (a *API) graph(r *http.Request) (any, error) {
	window, err := windowOf(r)
	if err != nil {
		return nil, err
	}
	if err := r.ParseForm(); err != nil {
		return nil, bad("read graph: %w", err)
	}
	namespaces, expand := r.Form["namespace"], r.Form["expand"]
	if len(namespaces)+len(expand) > maxExpanded {
		return nil, wrong(http.StatusBadRequest, "read graph: more than %d names", maxExpanded)
	}
	p, err := a.views.get(r.Context(), window)
	if err != nil {
		return nil, err
	}
	return a.views.drawings.shape(r.Context(), p, namespaces, expand, r.FormValue("layout") != "false")
}

// maxExpanded bounds the names in a question.
const maxExpanded = 500
