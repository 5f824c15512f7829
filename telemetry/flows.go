package telemetry

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/singleflight"

	"github.com/oarlock/oarlock/metrics"
)

// defaultWindow is that of a question without a length, for flows and for trends.
const (
	defaultWindow = time.Minute
	defaultTrend  = time.Hour
)

// questions answers Flows and Trend by an asker.
type questions struct {
	ask      asker
	interval func(ctx context.Context) (time.Duration, error)
	own      bool // a store in this process, all of whose targets are sidecars
	// eachUntil is the constant; tests have others.
	eachUntil time.Duration
	timeout   time.Duration

	flight singleflight.Group
	mu     sync.Mutex
	last   map[time.Duration]answer // by length of the window, for questions about now
}

func newQuestions(ask asker, opt Options) *questions {
	return &questions{ask: ask, timeout: opt.Timeout, eachUntil: eachUntil, last: map[time.Duration]answer{}}
}

// answer is kept for a moment, since many ask the same at once.
type answer struct {
	observation *metrics.Observation
	until       time.Time
}

// Flows is of [metrics.Flows]. Questions about the same length of time until now, asked within half an interval and at most
// a second of each other, share an answer.
func (q *questions) Flows(ctx context.Context, w metrics.Window) (*metrics.Observation, error) {
	o, err := q.shared(ctx, w)
	if err != nil {
		return nil, fmt.Errorf("query flows: %w", err)
	}
	own := *o
	own.Flows, own.Down = slices.Clone(o.Flows), slices.Clone(o.Down)
	for i := range own.Flows {
		own.Flows[i].Causes = slices.Clone(own.Flows[i].Causes)
	}
	return &own, nil
}

func (q *questions) shared(ctx context.Context, w metrics.Window) (*metrics.Observation, error) {
	if !w.End.IsZero() {
		return q.bounded(ctx, w)
	}
	q.mu.Lock()
	a, ok := q.last[w.Length]
	q.mu.Unlock()
	if ok && time.Now().Before(a.until) {
		return a.observation, nil
	}
	// One caller's patience is not another's: the query has its own.
	c := q.flight.DoChan(w.Length.String(), func() (any, error) {
		o, err := q.bounded(context.WithoutCancel(ctx), w)
		if err == nil {
			q.keep(w.Length, o)
		}
		return o, err
	})
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case r := <-c:
		if r.Err != nil {
			return nil, r.Err
		}
		return r.Val.(*metrics.Observation), nil
	}
}

// keep remembers an answer. The map is bounded by forgetting what is past whenever something is added.
func (q *questions) keep(length time.Duration, o *metrics.Observation) {
	interval, err := q.interval(context.Background())
	if err != nil {
		return
	}
	now := time.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	maps.DeleteFunc(q.last, func(_ time.Duration, a answer) bool { return now.After(a.until) })
	q.last[length] = answer{o, now.Add(min(interval/2, time.Second))}
}

func (q *questions) bounded(ctx context.Context, w metrics.Window) (*metrics.Observation, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, q.timeout, fmt.Errorf("no answer within %s", q.timeout))
	defer cancel()
	o, err := q.flows(ctx, w)
	if err != nil && ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return o, err
}

func (q *questions) flows(ctx context.Context, w metrics.Window) (*metrics.Observation, error) {
	interval, err := q.interval(ctx)
	if err != nil {
		return nil, err
	}
	end := w.End
	if end.IsZero() {
		end = time.Now()
	}
	end = end.Truncate(time.Millisecond)
	length := max(orDefault(w.Length, defaultWindow), 2*interval).Truncate(time.Millisecond)
	l := &look{questions: q, span: newSpan(length, interval), end: end, each: q.own && length <= q.eachUntil}
	if err := l.findTargets(ctx); err != nil {
		return nil, err
	}
	if err := l.count(ctx, interval); err != nil {
		return nil, err
	}
	return &metrics.Observation{Flows: l.flows(), Start: end.Add(-length), End: end, Newest: l.newest, Down: l.down}, nil
}

// eachUntil is the longest window in which a store in this process counts all samples one by one. That takes half of the
// time of differences, and memory for every sample.
const eachUntil = 3 * time.Minute

// look is one look at a window.
type look struct {
	*questions
	span
	end time.Time
	// each says that all targets are counted one by one. Otherwise those are that are odd: the difference of a counter
	// between two times is not what happened between them, as the target began again, or was seen for the first time in the
	// window and had counted before.
	each    bool
	targets map[at]*target // that are counted one by one
	names   []string       // of the odd ones, in order

	mu    sync.Mutex            // guards what follows
	grown map[string][]track    // of our own counters
	p     map[peers]*[3]float64 // quantiles, milliseconds
	// Of Istio's counters, what grew is summed up at once.
	requests    map[peers]*volume
	connections map[peers]*volume
	down        []string
	newest      time.Time
}

// quantiles are those of a Flow.
var quantiles = [3]float64{0.5, 0.9, 0.99}

func (l *look) instant(ctx context.Context, query string) ([]track, error) {
	return l.ask.instant(ctx, query, l.end)
}

// named collects the targets that queries name.
func (l *look) named(ctx context.Context, queries ...string) (map[at]float64, error) {
	out := map[at]float64{}
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	for _, query := range queries {
		g.Go(func() error {
			found, err := l.instant(ctx, query)
			mu.Lock()
			defer mu.Unlock()
			for _, t := range found {
				a := targetOf(t.labels)
				out[a] = max(out[a], t.value())
			}
			return err
		})
	}
	return out, g.Wait()
}

// findTargets tells which targets are counted one by one, and what is known of them.
func (l *look) findTargets(ctx context.Context) error {
	l.targets = map[at]*target{}
	if !l.each {
		return l.findOdd(ctx)
	}
	known, err := l.named(ctx, l.known())
	if err != nil {
		return err
	}
	for a := range known {
		l.targets[a] = &target{known: true}
	}
	return l.findLives(ctx)
}

func (l *look) findOdd(ctx context.Context) error {
	resets := make([]string, telling)
	for i := range resets {
		resets[i] = l.resets(counters[i])
	}
	var seen, again, known, young map[at]float64
	g, during := errgroup.WithContext(ctx)
	ask := func(into *map[at]float64, queries ...string) {
		g.Go(func() (err error) { *into, err = l.named(during, queries...); return err })
	}
	ask(&seen, resets...)
	ask(&again, l.restarts())
	ask(&known, l.known())
	ask(&young, l.young())
	if err := g.Wait(); err != nil {
		return err
	}
	for a, fell := range seen {
		_, restarted := again[a]
		_, wasThere := known[a]
		_, isNew := young[a]
		if restarted || fell > 0 || !wasThere && !isNew {
			l.targets[a] = &target{known: wasThere}
			l.names = append(l.names, a.instance)
		}
	}
	slices.Sort(l.names)
	l.names = slices.Compact(l.names)
	if len(l.names) == 0 {
		return nil
	}
	return l.findLives(ctx)
}

// findLives asks when the targets began that are counted one by one.
func (l *look) findLives(ctx context.Context) error {
	for _, series := range []string{"up", processStart, envoyUptime} {
		found, err := l.instant(ctx, l.samples(series, l.names))
		if err != nil {
			return err
		}
		for _, t := range found {
			a := targetOf(t.labels)
			if l.targets[a] == nil {
				l.targets[a] = &target{}
			}
			if series == "up" {
				l.targets[a].addScrapes(t.points)
			} else {
				l.targets[a].addLives(t.points, series == envoyUptime)
			}
		}
	}
	return nil
}

// target gives what is known of a series' target: nothing, where only some of its series are there.
func (l *look) target(labels labelled) *target {
	if t := l.targets[targetOf(labels)]; t != nil {
		return t
	}
	return &target{}
}

// count asks for everything that a flow is made of.
func (l *look) count(ctx context.Context, interval time.Duration) error {
	l.grown, l.p = map[string][]track{}, map[peers]*[3]float64{}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return l.findQuantiles(ctx) })
	g.Go(func() (err error) {
		l.requests, err = l.volumes(ctx, map[string]adder{istioRequests: addRequests})
		return err
	})
	g.Go(func() (err error) {
		l.connections, err = l.volumes(ctx, map[string]adder{istioConnections: addConnections, istioReceived: addReceived, istioSent: addSent})
		return err
	})
	for _, name := range []string{ownRequests, ownConnections, ownFailures} {
		g.Go(func() error {
			grown, err := l.counter(ctx, name)
			l.mu.Lock()
			defer l.mu.Unlock()
			l.grown[name] = grown
			return err
		})
	}
	g.Go(func() error { return l.findDown(ctx) })
	g.Go(func() error { return l.findNewest(ctx, interval) })
	return g.Wait()
}

// counter asks how much one grew.
func (l *look) counter(ctx context.Context, name string) ([]track, error) {
	var grown []track
	var err error
	if !l.each {
		if grown, err = l.instant(ctx, l.grew(name, instances("!~", l.names), labelsOf(name))); err != nil {
			return nil, err
		}
	}
	if l.each || len(l.names) > 0 {
		one, err := l.oneByOne(ctx, name)
		if err != nil {
			return nil, err
		}
		grown = append(grown, one...)
	}
	return grown, nil
}

func (l *look) oneByOne(ctx context.Context, name string) ([]track, error) {
	found, err := l.instant(ctx, l.samples(name, l.names))
	if err != nil {
		return nil, err
	}
	start := l.end.Add(-l.window).UnixMilli()
	grown := found[:0]
	for _, t := range found {
		if n := l.target(t.labels).counted(t.points, start); n > 0 {
			grown = append(grown, track{labels: t.labels, points: []point{{at: l.end.UnixMilli(), value: n}}})
		}
	}
	return grown, nil
}

func (l *look) findDown(ctx context.Context) error {
	found, err := l.instant(ctx, l.span.down(l.own))
	if err != nil {
		return err
	}
	for _, t := range found {
		if name := t.labels.Get("instance"); !slices.Contains(l.down, name) {
			l.down = append(l.down, name)
		}
	}
	slices.SortFunc(l.down, strings.Compare)
	return nil
}

func (l *look) findNewest(ctx context.Context, interval time.Duration) error {
	found, err := l.instant(ctx, l.span.newest(interval))
	if err != nil || len(found) == 0 {
		return err
	}
	l.newest = time.UnixMilli(int64(found[0].value() * 1000))
	return nil
}
