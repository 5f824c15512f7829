package telemetry

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"sync"

	"github.com/prometheus/common/model"
	prom "github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
)

// folds make one histogram of the series of its buckets: a twentieth of the series to keep and to ask. Prometheus can do
// that while it parses, but then parses the labels of every line of every scrape, at three times the work.
type folds struct {
	mu   sync.Mutex
	next storage.SeriesRef
	all  map[string]*fold // by labels
	refs map[storage.SeriesRef]slot
}

// fold is one histogram. Its fields are under the lock of all.
type fold struct {
	key    string
	labels labels.Labels
	ref    storage.SeriesRef // in the database
	bounds []float64         // of the slots, in the order in which they came
	refs   []storage.SeriesRef
}

// slot is where a bucket belongs.
type slot struct {
	fold *fold
	i    int
}

// foldRef marks references that are ours and not the database's.
const foldRef = storage.SeriesRef(1) << 62

func newFolds() *folds { return &folds{all: map[string]*fold{}, refs: map[storage.SeriesRef]slot{}} }

// reset forgets all. References that were given out do not come again.
func (f *folds) reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.all)
	clear(f.refs)
}

// slot finds where a bucket belongs, by the reference that was given out for it, or by its labels.
func (f *folds) slot(ref storage.SeriesRef, ls labels.Labels) (storage.SeriesRef, slot, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s, ok := f.refs[ref]; ok {
		return ref, s, true
	}
	if ls.Get(model.MetricNameLabel) != buckets {
		return 0, slot{}, false
	}
	le, err := strconv.ParseFloat(ls.Get(labels.BucketLabel), 64)
	if err != nil || math.IsNaN(le) {
		return 0, slot{}, false
	}
	of := labels.NewBuilder(ls).Del(labels.BucketLabel).Set(model.MetricNameLabel, istioDuration).Labels()
	key := of.String()
	h := f.all[key]
	if h == nil {
		h = &fold{key: key, labels: of}
		f.all[key] = h
	}
	i := slices.Index(h.bounds, le)
	if i < 0 {
		f.next++
		i = len(h.bounds)
		h.bounds, h.refs = append(slices.Clip(h.bounds), le), append(h.refs, foldRef|f.next)
		f.refs[h.refs[i]] = slot{h, i}
	}
	return h.refs[i], slot{h, i}, true
}

// forget drops a histogram that ended.
func (f *folds) forget(h *fold) {
	if f.all[h.key] == h {
		delete(f.all, h.key)
	}
	for _, r := range h.refs {
		delete(f.refs, r)
	}
}

// folding are the buckets of one scrape.
type folding struct {
	at     int64
	counts []float64
	stale  bool
}

func (f *folding) set(i int, at int64, v float64) {
	for len(f.counts) <= i {
		f.counts = append(f.counts, math.NaN())
	}
	f.counts[i], f.at = v, at
	f.stale = f.stale || value.IsStaleNaN(v)
}

// flush appends the histograms of a scrape. What is refused, as out of order, is so for the scrape's other series too, and
// counted there.
func (f *folds) flush(to storage.Appender, scrape map[*fold]*folding) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for h, s := range scrape {
		one := s.histogram(h.bounds)
		if one == nil {
			continue
		}
		if ref, err := to.AppendHistogram(h.ref, h.labels, s.at, one, nil); err == nil {
			h.ref = ref
		}
		if s.stale {
			f.forget(h)
		}
	}
}

// histogram gives what Prometheus calls a histogram with custom buckets; nil where the buckets do not make one.
func (f *folding) histogram(bounds []float64) *prom.Histogram {
	if f.stale {
		return &prom.Histogram{Sum: math.Float64frombits(value.StaleNaN)}
	}
	order := make([]int, len(f.counts))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(bounds[a], bounds[b]) })
	h := &prom.Histogram{Schema: prom.CustomBucketsSchema}
	var below, last int64
	for _, i := range order {
		if math.IsNaN(f.counts[i]) {
			continue // a bucket of an earlier scrape
		}
		n := int64(f.counts[i]) - below
		if n < 0 {
			return nil
		}
		if !math.IsInf(bounds[i], 1) {
			h.CustomValues = append(h.CustomValues, bounds[i])
		}
		h.PositiveBuckets = append(h.PositiveBuckets, n-last)
		below, last = below+n, n
	}
	if len(h.PositiveBuckets) != len(h.CustomValues)+1 {
		return nil // without the bucket of all
	}
	h.Count = uint64(below)
	h.PositiveSpans = []prom.Span{{Length: uint32(len(h.PositiveBuckets))}}
	return h
}
