package telemetry

import (
	"context"
	"fmt"

	"github.com/prometheus/common/model"
	prom "github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// stretch is a time as PromQL takes it: after one millisecond and until another.
type stretch struct{ after, until int64 }

func (s stretch) has(t int64) bool { return s.after < t && t <= s.until }

// reader is an asker over a store that can be read without PromQL: the same samples in a fifth of the time, one series after
// the other. What is shown is the reader's own again afterwards, besides the labels.
type reader interface {
	// samples shows those of all series of a name; series without any are left out.
	samples(ctx context.Context, name string, during stretch, show func(l labelled, points []point)) error
	// histograms shows the last one in each of two stretches, of series that have one in the later: before is nil where
	// there is none. The later one ends last.
	histograms(ctx context.Context, name string, early, late stretch, show func(l labelled, before, after *histogram)) error
}

func (e *engine) samples(ctx context.Context, name string, during stretch, show func(labelled, []point)) error {
	var points []point
	return e.read(ctx, name, during, func(s storage.Series, it chunkenc.Iterator) error {
		points = points[:0]
		for kind := it.Next(); kind != chunkenc.ValNone; kind = it.Next() {
			if kind != chunkenc.ValFloat {
				continue
			}
			t, v := it.At()
			if t > during.until {
				break
			}
			if t > during.after && !value.IsStaleNaN(v) {
				points = append(points, point{t, v})
			}
		}
		if len(points) > 0 {
			show(s.Labels(), points)
		}
		return it.Err()
	})
}

// read goes through the series of a name that may have samples in a time.
func (e *engine) read(ctx context.Context, name string, during stretch, one func(storage.Series, chunkenc.Iterator) error) (err error) {
	// A broken file may lead anywhere in code that trusts it.
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("read %s: %v", name, p)
		}
	}()
	db, release, err := e.use(ctx)
	if err != nil {
		return err
	}
	defer release()
	q, err := db.Querier(during.after, during.until)
	if err != nil {
		return err
	}
	defer q.Close()
	set := q.Select(ctx, false, &storage.SelectHints{Start: during.after, End: during.until, DisableTrimming: true},
		labels.MustNewMatcher(labels.MatchEqual, model.MetricNameLabel, name))
	var it chunkenc.Iterator
	for ctx.Err() == nil && set.Next() {
		it = set.At().Iterator(it)
		if err := one(set.At(), it); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return set.Err()
}

func (e *engine) histograms(ctx context.Context, name string, early, late stretch, show func(l labelled, before, after *histogram)) error {
	var last lastOnes
	return e.read(ctx, name, stretch{min(early.after, late.after), late.until}, func(s storage.Series, it chunkenc.Iterator) error {
		// To take one out costs more than to pass it, and usually the last one is near the end.
		near := stretch{late.until - (early.until - early.after), late.until}
		last.find(it, early, near)
		if last.after == nil && near.after > late.after {
			it = s.Iterator(it)
			last.find(it, early, late)
		}
		if last.after != nil {
			show(s.Labels(), last.before, last.after)
		}
		return it.Err()
	})
}

// lastOnes finds the last histograms of two stretches, in memory that it uses again.
type lastOnes struct {
	before, after *histogram
	kept          [2]histogram
	taken         *prom.FloatHistogram
}

func (l *lastOnes) find(it chunkenc.Iterator, early, late stretch) {
	l.before, l.after = nil, nil
	for kind := it.Next(); kind != chunkenc.ValNone; kind = it.Next() {
		t := it.AtT()
		if t > late.until {
			return
		}
		isEarly, isLate := early.has(t), late.has(t)
		if kind != chunkenc.ValHistogram || !isEarly && !isLate {
			continue
		}
		if l.taken == nil {
			l.taken = &prom.FloatHistogram{}
		}
		_, h := it.AtFloatHistogram(l.taken)
		if value.IsStaleNaN(h.Sum) || !h.UsesCustomBuckets() {
			continue
		}
		if isEarly {
			l.before = l.kept[0].take(h)
		}
		if isLate {
			l.after = l.kept[1].take(h)
		}
	}
}

// take gives the count of each bucket.
func (h *histogram) take(from *prom.FloatHistogram) *histogram {
	h.bounds = from.CustomValues
	n := len(h.bounds) + 1
	if cap(h.counts) < n {
		h.counts = make([]float64, n)
	}
	h.counts = h.counts[:n]
	clear(h.counts)
	var at, next int
	for _, span := range from.PositiveSpans {
		at += int(span.Offset)
		for range span.Length {
			if at >= 0 && at < n && next < len(from.PositiveBuckets) {
				h.counts[at] = from.PositiveBuckets[next]
			}
			at, next = at+1, next+1
		}
	}
	return h
}
