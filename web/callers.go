package web

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/oarlock/oarlock/api"
	"github.com/oarlock/oarlock/graph"
	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/metrics"
	"github.com/oarlock/oarlock/plan"
)

// settling tells since when all sidecars of the mesh are in sync, for the first time.
type settling struct {
	begun time.Time // of this process
	mu    sync.Mutex
	since time.Time // zero while they are not
}

// look counts the sidecars. A mesh with a pod that is older than this process, as after a restart of the control plane, is no
// new one.
func (s *settling) look(n *Now, c api.Coverage, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !s.since.IsZero() || n.Running == nil:
	case slices.ContainsFunc(n.Running.Pods, func(p mesh.Pod) bool { return !p.Started.IsZero() && p.Started.Before(s.begun) }):
		s.since = s.begun.Add(-mostWindow)
	case known && c.Total > 0 && c.InForce == c.Total:
		s.since = time.Now()
	}
}

// get gives that time; zero while they are not. A mesh in which one never is counts as settled after a minute, and so does one
// without sidecars.
func (s *settling) get() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.since.IsZero() && time.Since(s.begun) > baseWindow {
		s.since = s.begun
	}
	return s.since
}

// callers are who was seen to call whom of late, and why that is not known. Of the first seconds of a mesh, callers without
// a name do not count: the store has not yet asked the sidecars that would name them.
func (a *API) callers(ctx context.Context) (*metrics.Observation, string) {
	seen, trouble := a.views.observed(ctx, baseWindow)
	if seen == nil {
		return nil, trouble
	}
	n, since := a.opt.Mesh.Now(), a.settled.get()
	out := callersOf(n, seen)
	var later *metrics.Observation
	if !since.IsZero() {
		starts := starts{interval: a.opt.Flows.Health(ctx).Interval}
		if since = starts.after(since); since.Before(seen.Start) {
			return out, ""
		}
		if length := time.Since(since); length >= 2*starts.interval {
			later, trouble = a.views.observed(ctx, length.Truncate(time.Second))
		}
	}
	nameless := func(f metrics.Flow) bool { return f.Source.Workload == "" }
	out.Flows = slices.DeleteFunc(out.Flows, nameless)
	if later != nil {
		for _, f := range callersOf(n, later).Flows {
			if nameless(f) {
				out.Flows = append(out.Flows, f)
			}
		}
	}
	return out, trouble
}

// callersOf names the callers as the graph does. What was seen before a verdict changed tells nothing of locks, and all of
// who calls.
func callersOf(n *Now, seen *metrics.Observation) *metrics.Observation {
	g := graph.Build(n.Declared())
	g.Observe(graph.Witnesses{Observed: seen, Running: n.Running})
	return plan.Callers(g.JSON())
}
