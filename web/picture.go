package web

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/oarlock/oarlock/api"
	"github.com/oarlock/oarlock/graph"
	"github.com/oarlock/oarlock/metrics"
	"golang.org/x/sync/errgroup"
)

// Bounds of pictures.
const (
	pictureAge = time.Second
	pendingAge = 250 * time.Millisecond // while somebody waits for what a change does
	maxWindows = 8                      // pictures of different windows that are kept
	maxStarts  = 6                      // windows that begin with a change, looked at for one picture
	settleTime = 10 * time.Second       // in which calls from before a change end
	flowsTime  = 5 * time.Second        // how long the store may take for one picture
)

// noStore is the trouble of a mesh without a store of observations.
const noStore = "there is no store of observations here"

// views makes the pictures of a mesh. One of a window is made at most once a second, for all who ask.
type views struct {
	api      *API
	pictures *shared[time.Duration, *picture]
	drawings *drawings
}

func newViews(a *API) *views {
	return &views{api: a, pictures: newShared[time.Duration, *picture](pictureAge, maxWindows), drawings: newDrawings()}
}

// pictureMark tells pictures apart that show something else.
type pictureMark struct {
	version string
	newest  time.Time
	proofs  uint64
	pending int // edges whose verdict changed and of which nothing can be said yet
	trouble string
}

// picture is the mesh with what the three witnesses say. It is shared, and nobody changes it.
type picture struct {
	window time.Duration
	made   time.Time
	now    *Now
	graph  *graph.Graph
	shape  *api.Graph // in its JSON shape, without a layout
	seen   *metrics.Observation
	mark   pictureMark
	nodes  map[string]*api.GraphNode
	edges  map[string]*api.Edge
}

// get gives a picture that is at most a second old, and of the newest mesh. While nothing can be said of a changed edge, it is
// looked at more often, for someone waits for that.
func (v *views) get(ctx context.Context, window time.Duration) (*picture, error) {
	version := v.api.opt.Mesh.Now().version()
	fresh := func(p *picture) bool {
		return p.mark.version == version && (p.mark.pending == 0 || time.Since(p.made) < pendingAge)
	}
	one, err := v.pictures.get(ctx, window, fresh,
		func(ctx context.Context) (*picture, error) { return v.make(ctx, window), nil })
	if err != nil {
		return nil, wrong(503, "look at mesh: %w", err)
	}
	return one, nil
}

// observed is what traffic did in a window, or why nobody can say.
func (v *views) observed(ctx context.Context, window time.Duration) (*metrics.Observation, string) {
	flows := v.api.opt.Flows
	if flows == nil {
		return nil, noStore
	}
	ctx, cancel := context.WithTimeout(ctx, flowsTime)
	defer cancel()
	seen, err := flows.Flows(ctx, metrics.Window{Length: window})
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, "query flows: the store gives no answer within " + flowsTime.String()
	}
	if err != nil {
		return nil, err.Error()
	}
	return seen, ""
}

// make makes a picture. Edges that nobody declares are met in it: where a change is found to be theirs too, it is made again.
func (v *views) make(ctx context.Context, window time.Duration) *picture {
	n := v.api.opt.Mesh.Now()
	v.api.begin()
	v.api.tracker.published(n) // whoever tells the tracker may be later
	slack := v.slack(ctx)
	p := v.look(ctx, n, window, slack)
	if v.api.tracker.met(p.graph, n, time.Now(), window+slack) {
		v.api.tracker.acknowledged(v.api.opt.Mesh, time.Now())
		p = v.look(ctx, n, window, slack)
	}
	return p
}

// slack is how much before a window the store may begin to count.
func (v *views) slack(ctx context.Context) time.Duration {
	if v.api.opt.Flows == nil || v.api.tracker.quiet() {
		return 0
	}
	ctx, cancel := context.WithTimeout(ctx, adminTime)
	defer cancel()
	return v.api.opt.Flows.Health(ctx).Interval + startSlack
}

func (v *views) look(ctx context.Context, n *Now, window, slack time.Duration) *picture {
	p := &picture{window: window, made: time.Now(), now: n, graph: graph.Build(n.Declared()), nodes: map[string]*api.GraphNode{}, edges: map[string]*api.Edge{}}
	proofs, generation := v.api.proofs.all()
	w := graph.Witnesses{Now: time.Now(), Running: n.Running, Proofs: proofs, Changed: v.api.tracker.within(time.Now(), window+slack)}
	group := errgroup.Group{}
	group.Go(func() error {
		w.Observed, w.Trouble = v.observed(ctx, window)
		return nil
	})
	since := v.sinceChanges(ctx, &group, w.Changed)
	_ = group.Wait() // no part of it gives an error
	pending := 0
	for id, c := range w.Changed {
		if c.Observed = since.of(c.Since); c.Observed == nil {
			pending++
		}
		c.Settled = since.of(settled(c.Since))
		w.Changed[id] = c
	}
	p.graph.Observe(w)
	p.seen, p.mark = w.Observed, pictureMark{version: n.version(), proofs: generation, pending: pending, trouble: w.Trouble}
	if w.Observed != nil {
		p.mark.newest = w.Observed.Newest
	}
	p.shape = p.graph.JSON()
	p.shape.Mesh = v.api.opt.Name
	for i := range p.shape.Nodes {
		p.nodes[p.shape.Nodes[i].ID] = &p.shape.Nodes[i]
	}
	for i := range p.shape.Edges {
		p.edges[p.shape.Edges[i].ID] = &p.shape.Edges[i]
	}
	return p
}

// starts are observations since changes, the newest start first: of many changes, several share one.
type starts struct {
	interval time.Duration // of the store
	mu       sync.Mutex
	list     []start
}

type start struct {
	at   time.Time
	seen *metrics.Observation
}

// Of a window the store counts from the last scrape before it, which may have been before a change: a window that is to
// have nothing of what was before begins an interval after it.
const (
	startGrain = 100 * time.Millisecond
	startSlack = 50 * time.Millisecond // that a scrape takes
)

// after is when a window may begin that has nothing of what was before a change.
func (s *starts) after(since time.Time) time.Time {
	at := since.Truncate(startGrain)
	if at.Before(since) {
		at = at.Add(startGrain)
	}
	return at.Add(s.interval + startSlack)
}

// settled is when calls from before a change have come to their end; zero for a change that is not in force.
func settled(since time.Time) time.Time {
	if since.IsZero() {
		return since
	}
	return since.Add(settleTime)
}

// of gives the observation that begins soonest after a change, nil where there is none.
func (s *starts) of(since time.Time) *metrics.Observation {
	if since.IsZero() {
		return nil
	}
	for _, one := range slices.Backward(s.list) { // oldest first
		if !one.at.Before(s.after(since)) {
			return one.seen
		}
	}
	return nil
}

// sinceChanges looks at what was observed since each change, in few windows.
func (v *views) sinceChanges(ctx context.Context, group *errgroup.Group, changed map[string]graph.Changed) *starts {
	out := &starts{}
	flows := v.api.opt.Flows
	if flows == nil || len(changed) == 0 {
		return out
	}
	now := time.Now()
	out.interval = flows.Health(ctx).Interval
	for _, at := range out.some(changed, now.Add(-out.interval-startSlack)) {
		group.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, flowsTime)
			defer cancel()
			// A window shorter than two intervals would be widened at its start; it may end a little later than now.
			length := max(now.Sub(at), 2*out.interval)
			if seen, err := flows.Flows(ctx, metrics.Window{End: at.Add(length), Length: length}); err == nil {
				out.mu.Lock()
				defer out.mu.Unlock()
				out.list = append(out.list, start{at, seen})
				slices.SortFunc(out.list, func(a, b start) int { return b.at.Compare(a.at) })
			}
			return nil
		})
	}
	return out
}

// some picks the times from which to look: the newest changes one by one, and one for all before.
func (s *starts) some(changed map[string]graph.Changed, latest time.Time) []time.Time {
	var out []time.Time
	for _, c := range changed {
		for _, since := range []time.Time{c.Since, settled(c.Since)} {
			if at := s.after(since); !since.IsZero() && !at.After(latest) {
				out = append(out, at)
			}
		}
	}
	slices.SortFunc(out, func(a, b time.Time) int { return b.Compare(a) })
	out = slices.Compact(out)
	return out[:min(len(out), maxStarts)]
}
