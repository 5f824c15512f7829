package telemetry

import (
	"context"
	"math"
	"slices"

	"golang.org/x/sync/errgroup"
)

// histogram is how many values lay between each bound and the one before, and beyond the last.
type histogram struct {
	bounds []float64 // rising; the first bucket begins at zero
	counts []float64 // one more than bounds
}

// findQuantiles asks for quantiles of durations.
func (l *look) findQuantiles(ctx context.Context) error {
	if l.reader != nil {
		return l.wholeQuantiles(ctx)
	}
	g, ctx := errgroup.WithContext(ctx)
	for i, q := range quantiles {
		g.Go(func() error { return l.bucketQuantiles(ctx, i, q) })
	}
	return g.Wait()
}

// bucketQuantiles leaves the work to the query.
func (l *look) bucketQuantiles(ctx context.Context, i int, q float64) error {
	queries := []string{l.quantile(q, instances("!~", l.names))}
	if len(l.names) > 0 {
		queries = append(queries, l.roughQuantile(q, instances("=~", l.names)))
	}
	for _, query := range queries {
		found, err := l.instant(ctx, query)
		if err != nil {
			return err
		}
		for _, t := range found {
			if v := t.value(); !math.IsNaN(v) && !math.IsInf(v, 0) {
				l.addQuantile(t.labels, i, v)
			}
		}
	}
	return nil
}

// addQuantile keeps the first that is said of a row.
func (l *look) addQuantile(of labelled, i int, v float64) {
	s := l.parties.tally(of)
	l.parties.mu.Lock()
	defer l.parties.mu.Unlock()
	if s.p[i] == 0 {
		s.p[i] = v
	}
}

// wholeQuantiles compares the histograms at the two ends of the window, series by series. A series that was not there at
// the start counts whole, even where the store began late: better the durations of some time ago than none.
func (l *look) wholeQuantiles(ctx context.Context) error {
	var all []*tally
	whole := l.during()
	err := l.reader.histograms(ctx, istioDuration, stretch{whole.after, l.start()}, whole, func(labels labelled, before, after *histogram) {
		after.subtract(before)
		if after.total() == 0 {
			return
		}
		s := l.parties.tally(labels)
		if s.durations == nil {
			s.durations = &histogram{bounds: after.bounds, counts: slices.Clone(after.counts)}
			all = append(all, s)
		} else {
			s.durations.add(after)
		}
	})
	for _, s := range all {
		for i, q := range quantiles {
			s.p[i] = s.durations.quantile(q)
		}
	}
	return err
}

// subtract leaves what came after another. Where there is less of something the counts began again, and all are new.
func (h *histogram) subtract(o *histogram) {
	if o == nil || !slices.Equal(h.bounds, o.bounds) {
		return
	}
	for i, n := range o.counts {
		if h.counts[i] < n {
			return
		}
	}
	for i, n := range o.counts {
		h.counts[i] -= n
	}
}

// add leaves out what has other bounds.
func (h *histogram) add(o *histogram) {
	if slices.Equal(h.bounds, o.bounds) {
		for i, n := range o.counts {
			h.counts[i] += n
		}
	}
}

func (h *histogram) total() (n float64) {
	for _, c := range h.counts {
		n += c
	}
	return n
}

// quantile is Prometheus' histogram_quantile: linear within a bucket, and the last bound where it lies beyond.
func (h *histogram) quantile(q float64) float64 {
	total := h.total()
	rank, below := q*total, 0.0
	for i, upper := range h.bounds {
		n := h.counts[i]
		if n > 0 && below+n >= rank {
			lower := 0.0
			if i > 0 {
				lower = h.bounds[i-1]
			}
			return lower + (upper-lower)*(rank-below)/n
		}
		below += n
	}
	if total == 0 || len(h.bounds) == 0 {
		return 0
	}
	return h.bounds[len(h.bounds)-1]
}
