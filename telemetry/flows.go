package telemetry

import (
	"cmp"
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
	own      bool   // a store in this process, all of whose targets are sidecars
	reader   reader // nil: it can be asked in PromQL alone
	timeout  time.Duration

	flight singleflight.Group
	mu     sync.Mutex
	last   map[time.Duration]answer // by length of the window, for questions about now
}

func newQuestions(ask asker, opt Options) *questions {
	return &questions{ask: ask, timeout: opt.Timeout, last: map[time.Duration]answer{}}
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
	length := max(cmp.Or(w.Length, defaultWindow), 2*interval).Truncate(time.Millisecond)
	l := &look{questions: q, span: newSpan(length, interval), end: end}
	if err := l.findTargets(ctx); err != nil {
		return nil, err
	}
	if err := l.count(ctx, interval); err != nil {
		return nil, err
	}
	return &metrics.Observation{Flows: l.flows(), Start: end.Add(-length), End: end, Newest: l.newest, Down: l.down}, nil
}

// look is one look at a window.
//
// Where there is a reader all targets are counted one by one, sample by sample. Otherwise those are that are odd: the
// difference of a counter between two times is not what happened between them, as the target began again, or was seen for
// the first time in the window and had counted before.
type look struct {
	*questions
	span
	end     time.Time
	targets map[at]*target // that are counted one by one
	names   []string       // of the odd ones, in order

	parties  parties
	failures []growth // handshakes
	down     []string
	newest   time.Time
}

// quantiles are those of a Flow.
var quantiles = [3]float64{0.5, 0.9, 0.99}

// growth is by how much a series grew in the window, or several that are one by the labels of interest.
type growth struct {
	labels labelled
	n      float64
}

// start is that of the window, whole the time until its end in which a counter's value at the start is looked for.
func (l *look) start() int64 { return l.end.Add(-l.window).UnixMilli() }

func (l *look) during() stretch {
	return stretch{l.end.Add(-l.window - l.slack).UnixMilli(), l.end.UnixMilli()}
}

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
	if l.reader != nil {
		return l.findLives(ctx)
	}
	return l.findOdd(ctx)
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
		err := l.read(ctx, series, func(labels labelled, points []point) {
			a := targetOf(labels)
			if l.targets[a] == nil {
				l.targets[a] = &target{}
			}
			if series == "up" {
				l.targets[a].addScrapes(points, l.start())
			} else {
				l.targets[a].addLives(points, series == envoyUptime)
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// read shows the samples of all series of a name, or of those of the odd targets.
func (l *look) read(ctx context.Context, name string, show func(l labelled, points []point)) error {
	if l.reader != nil {
		return l.reader.samples(ctx, name, l.during(), show)
	}
	found, err := l.instant(ctx, l.samples(name, l.names))
	for i := range found {
		show(found[i].labels, found[i].points)
	}
	return err
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
	l.parties.all, l.parties.edges = map[peers]*party{}, map[edge]*known{}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return l.findQuantiles(ctx) })
	for _, a := range adders {
		g.Go(func() error {
			return l.counter(ctx, a.counter, func(labels labelled, n float64) { a.add(&l.parties.tally(labels).volume, labels, n) })
		})
	}
	for _, name := range []string{ownRequests, ownConnections} {
		g.Go(func() error { return l.know(ctx, name) })
	}
	g.Go(func() error {
		return l.counter(ctx, ownFailures, func(labels labelled, n float64) { l.failures = append(l.failures, growth{labels, n}) })
	})
	g.Go(func() error { return l.findDown(ctx) })
	g.Go(func() error { return l.findNewest(ctx, interval) })
	return g.Wait()
}

// counter shows by how much one grew, where it did.
func (l *look) counter(ctx context.Context, name string, show func(labels labelled, n float64)) error {
	if l.reader == nil {
		found, err := l.instant(ctx, l.grew(name, instances("!~", l.names), labelsOf(name)))
		for i := range found {
			show(found[i].labels, found[i].value())
		}
		if err != nil || len(l.names) == 0 {
			return err
		}
	}
	start := l.start()
	return l.read(ctx, name, func(labels labelled, points []point) {
		if n := l.target(labels).counted(points, start); n > 0 {
			show(labels, n)
		}
	})
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

// lookback is how old a sample may be that is PromQL's answer to what there is now.
const lookback = 5 * time.Minute

func (l *look) findNewest(ctx context.Context, interval time.Duration) error {
	if l.reader != nil {
		return l.readNewest(ctx)
	}
	found, err := l.instant(ctx, l.span.newest(interval))
	if err != nil || len(found) == 0 {
		return err
	}
	l.newest = time.UnixMilli(int64(found[0].value() * 1000))
	return nil
}

func (l *look) readNewest(ctx context.Context) error {
	during := l.during()
	during.after = min(during.after, l.end.Add(-lookback).UnixMilli())
	for _, name := range sidecarNames {
		err := l.reader.samples(ctx, name, during, func(_ labelled, points []point) {
			if at := time.UnixMilli(points[len(points)-1].at); at.After(l.newest) {
				l.newest = at
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}
