package telemetry

import (
	"context"
	"math"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

// histogram is how many values lay between each bound and the one before, and beyond the last.
type histogram struct {
	labels labelled
	key    uint64    // of the labels
	bounds []float64 // rising; the first bucket begins at zero
	counts []float64 // one more than bounds
}

// histogramAsker is an asker over a store that keeps histograms whole.
type histogramAsker interface {
	histograms(ctx context.Context, query string, at time.Time) ([]histogram, error)
}

// findQuantiles asks for quantiles of durations.
func (l *look) findQuantiles(ctx context.Context) error {
	if ask, ok := l.ask.(histogramAsker); ok {
		return l.wholeQuantiles(ctx, ask)
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
				l.addQuantile(peersOf(t.labels), i, v)
			}
		}
	}
	return nil
}

// addQuantile keeps the first that is said of a row.
func (l *look) addQuantile(k peers, i int, v float64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.p[k]
	if p == nil {
		p = new([3]float64)
		l.p[k] = p
	}
	if p[i] == 0 {
		p[i] = v
	}
}

// wholeQuantiles compares the histograms at the two ends of the window, series by series. A series that was not there at
// the start counts whole, even where the store began late: better the durations of some time ago than none.
func (l *look) wholeQuantiles(ctx context.Context, ask histogramAsker) error {
	var ends [2][]histogram
	g, ctx := errgroup.WithContext(ctx)
	for i, during := range []string{l.before(), "[" + l.whole() + "]"} {
		g.Go(func() (err error) {
			ends[i], err = ask.histograms(ctx, "last_over_time("+istioDuration+during+")", l.end)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	before := make(map[uint64]*histogram, len(ends[0]))
	for i := range ends[0] {
		before[ends[0][i].key] = &ends[0][i]
	}
	all := map[peers]*histogram{}
	for i := range ends[1] {
		h := &ends[1][i]
		h.subtract(before[h.key])
		k := peersOf(h.labels)
		if sum := all[k]; sum == nil {
			all[k] = h
		} else {
			sum.add(h)
		}
	}
	p := make(map[peers]*[3]float64, len(all))
	for k, h := range all {
		p[k] = &[3]float64{h.quantile(quantiles[0]), h.quantile(quantiles[1]), h.quantile(quantiles[2])}
	}
	l.mu.Lock()
	l.p = p
	l.mu.Unlock()
	return nil
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

// quantile is Prometheus' histogram_quantile: linear within a bucket, and the last bound where it lies beyond.
func (h *histogram) quantile(q float64) float64 {
	var total float64
	for _, n := range h.counts {
		total += n
	}
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
