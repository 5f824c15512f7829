package telemetry

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
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
			Logger: log, MaxSamples: maxSamples, Timeout: timeout, LookbackDelta: lookback, EnableAtModifier: true,
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

// use gives the database when it is this question's turn, until release.
func (e *engine) use(ctx context.Context) (db *tsdb.DB, release func(), err error) {
	select {
	case e.running <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, context.Cause(ctx)
	}
	db, done, err := e.folder.use()
	if err != nil {
		<-e.running
		return nil, nil, err
	}
	return db, func() { done(); <-e.running }, nil
}

// exec evaluates, and shows the result while its memory is still its own.
func (e *engine) exec(ctx context.Context, prepare func(storage.Queryable) (promql.Query, error), show func(parser.Value)) error {
	db, release, err := e.use(ctx)
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
