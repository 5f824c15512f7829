package telemetry

import (
	"context"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// labelled is what has labels; "" is a label that it has not.
type labelled interface {
	Get(name string) string
	// Range shows those that are there.
	Range(show func(labels.Label))
}

// point is a sample: milliseconds of Unix time, and a value.
type point struct {
	at    int64
	value float64
}

// track are the samples of one series, by time. The answer to an instant query has one of each.
type track struct {
	labels labelled
	points []point
}

func (t *track) value() float64 {
	if len(t.points) == 0 {
		return 0
	}
	return t.points[len(t.points)-1].value
}

// asker evaluates PromQL.
type asker interface {
	// instant evaluates at one time, to a vector or to a range of samples of each series.
	instant(ctx context.Context, query string, at time.Time) ([]track, error)
	// overTime evaluates at start, start+step and so on until end.
	overTime(ctx context.Context, query string, steps steps) ([]track, error)
}

type steps struct {
	start, end time.Time
	step       time.Duration
}

// at names a target.
type at struct{ job, instance string }

func targetOf(l labelled) at { return at{l.Get("job"), l.Get("instance")} }
