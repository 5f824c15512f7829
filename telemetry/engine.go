package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"time"

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

func (e *engine) run(ctx context.Context, prepare func(storage.Queryable) (promql.Query, error)) ([]track, error) {
	select {
	case e.running <- struct{}{}:
		defer func() { <-e.running }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	db, release, err := e.folder.use()
	if err != nil {
		return nil, err
	}
	defer release()
	q, err := prepare(db)
	if err != nil {
		return nil, err
	}
	defer q.Close()
	r := q.Exec(ctx)
	if r.Err != nil {
		var many promql.ErrTooManySamples
		if errors.As(r.Err, &many) {
			return nil, errors.New("too much to look at: ask about a shorter time")
		}
		return nil, r.Err
	}
	switch v := r.Value.(type) {
	case promql.Vector:
		return ofVector(v), nil
	case promql.Matrix:
		return ofMatrix(v), nil
	case promql.Scalar:
		return []track{{labels: noLabels{}, points: []point{{v.T, v.V}}}}, nil
	}
	return nil, fmt.Errorf("query gave a %s", r.Value.Type())
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
