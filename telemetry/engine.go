package telemetry

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"time"

	prom "github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
)

// maxSamples bounds what one query holds in memory, at sixteen bytes each.
const maxSamples = 20_000_000

// engine evaluates PromQL in this process.
type engine struct {
	promql  *promql.Engine
	folder  *folder
	running chan struct{} // bounds how many queries run at once
}

func newEngine(f *folder, timeout time.Duration, log *slog.Logger) *engine {
	return &engine{
		promql: promql.NewEngine(promql.EngineOpts{
			Logger: log, MaxSamples: maxSamples, Timeout: timeout, LookbackDelta: 5 * time.Minute, EnableAtModifier: true,
			EnableNegativeOffset: true, Parser: parser.NewParser(parser.Options{}),
			NoStepSubqueryIntervalFn: func(int64) int64 { return 1000 },
		}),
		folder:  f,
		running: make(chan struct{}, max(runtime.GOMAXPROCS(0), 2)),
	}
}

func (e *engine) close() error { return e.promql.Close() }

func (e *engine) instant(ctx context.Context, query string, at time.Time) ([]track, error) {
	return e.run(ctx, func(store storage.Queryable) (promql.Query, error) {
		return e.promql.NewInstantQuery(ctx, store, nil, query, at)
	})
}

func (e *engine) overTime(ctx context.Context, query string, s steps) ([]track, error) {
	return e.run(ctx, func(store storage.Queryable) (promql.Query, error) {
		return e.promql.NewRangeQuery(ctx, store, nil, query, s.start, s.end, s.step)
	})
}

// histograms evaluates to histograms whose bounds are their own.
func (e *engine) histograms(ctx context.Context, query string, at time.Time) (out []histogram, err error) {
	err = e.exec(ctx, func(store storage.Queryable) (promql.Query, error) {
		return e.promql.NewInstantQuery(ctx, store, nil, query, at)
	}, func(v parser.Value) {
		vector, _ := v.(promql.Vector)
		for _, s := range vector {
			if s.H != nil && s.H.UsesCustomBuckets() {
				h := histogram{labels: s.Metric, key: s.Metric.Hash(), bounds: s.H.CustomValues}
				h.counts = spread(s.H, len(h.bounds)+1)
				out = append(out, h)
			}
		}
	})
	return out, err
}

// spread gives the count of each of so many buckets.
func spread(h *prom.FloatHistogram, n int) []float64 {
	counts := make([]float64, n)
	var at, next int
	for _, span := range h.PositiveSpans {
		at += int(span.Offset)
		for range span.Length {
			if at >= 0 && at < n && next < len(h.PositiveBuckets) {
				counts[at] = h.PositiveBuckets[next]
			}
			at, next = at+1, next+1
		}
	}
	return counts
}

func (e *engine) run(ctx context.Context, prepare func(storage.Queryable) (promql.Query, error)) (out []track, err error) {
	err = e.exec(ctx, prepare, func(v parser.Value) {
		switch v := v.(type) {
		case promql.Vector:
			out = ofVector(v)
		case promql.Matrix:
			out = ofMatrix(v)
		}
	})
	return out, err
}

// exec evaluates, and shows the result while its memory is still its own.
func (e *engine) exec(ctx context.Context, prepare func(storage.Queryable) (promql.Query, error), show func(parser.Value)) error {
	select {
	case e.running <- struct{}{}:
		defer func() { <-e.running }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	db, release, err := e.folder.use()
	if err != nil {
		return err
	}
	defer release()
	q, err := prepare(db)
	if err != nil {
		return err
	}
	defer q.Close()
	r := q.Exec(ctx)
	if r.Err != nil {
		var many promql.ErrTooManySamples
		if errors.As(r.Err, &many) {
			return errors.New("too much to look at: ask about a shorter time")
		}
		return r.Err
	}
	show(r.Value)
	return nil
}

type noLabels struct{}

func (noLabels) Get(string) string { return "" }

// ofVector copies, since the engine uses its memory again.
func ofVector(v promql.Vector) []track {
	out := make([]track, 0, len(v))
	points := make([]point, len(v))
	for i, s := range v {
		if s.H != nil {
			continue
		}
		points[i] = point{s.T, s.F}
		out = append(out, track{labels: s.Metric, points: points[i : i+1 : i+1]})
	}
	return out
}

func ofMatrix(m promql.Matrix) []track {
	out := make([]track, 0, len(m))
	for _, s := range m {
		t := track{labels: s.Metric, points: make([]point, len(s.Floats))}
		for i, p := range s.Floats {
			t.points[i] = point{p.T, p.F}
		}
		out = append(out, t)
	}
	return out
}
