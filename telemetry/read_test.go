package telemetry

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	prom "github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
)

// loadAnything writes series of two names for an hour, with gaps, ends, falls and histograms of two layouts.
func loadAnything(t *testing.T, s *Store, from time.Time, r *rand.Rand) {
	t.Helper()
	const samples, every = 360, 10
	var all strings.Builder
	for i := range 12 {
		var floats strings.Builder
		n, rows := 0, [][]string{{}, {}, {}}
		bounds := []string{"1", "5", "+Inf"}
		if i%2 == 0 {
			bounds = []string{"2", "10", "+Inf"}
		}
		for range samples {
			gap := fmt.Sprintf(" _x%d", every-1)
			switch k := r.IntN(40); {
			case k == 0:
				floats.WriteString(" stale" + gap)
				for b := range rows {
					rows[b] = append(rows[b], " stale"+gap)
				}
				continue
			case k < 4:
				floats.WriteString(fmt.Sprintf(" _x%d", every))
				for b := range rows {
					rows[b] = append(rows[b], fmt.Sprintf(" _x%d", every))
				}
				continue
			case k == 4:
				n = 0
			default:
				n += r.IntN(5)
			}
			fmt.Fprintf(&floats, " %d%s", n, gap)
			for b := range rows {
				rows[b] = append(rows[b], fmt.Sprintf(" %d%s", n*(b+1), gap))
			}
		}
		fmt.Fprintf(&all, "istio_requests_total{i=\"%d\"}%s\n", i, floats.String())
		for b, row := range rows {
			fmt.Fprintf(&all, "istio_request_duration_milliseconds_bucket{i=\"%d\",le=%q}%s\n", i, bounds[b], strings.Join(row, ""))
		}
	}
	loadTogether(t, s, from, all.String())
}

// loadTogether writes as load does, but what is of one time in one go, as a scrape does.
func loadTogether(t *testing.T, s *Store, from time.Time, text string) {
	t.Helper()
	type line struct {
		description string
		values      []parser.SequenceValue
	}
	var lines []line
	for one := range strings.Lines(text) {
		_, values, err := parser.NewParser(parser.Options{}).ParseSeriesDesc(one)
		if err != nil {
			t.Fatal(err)
		}
		description, _, _ := strings.Cut(one, "}")
		lines = append(lines, line{description + "}", values})
	}
	for i := range lines[0].values {
		var now strings.Builder
		for _, l := range lines {
			if v := l.values[i]; !v.Omitted {
				fmt.Fprintf(&now, "%s %s\n", l.description, strings.Replace(fmt.Sprint(v.Value), "NaN", "stale", 1))
			}
		}
		if now.Len() > 0 {
			load(t, s, from.Add(time.Duration(i)*time.Second), now.String())
		}
	}
}

// TestReadIsPromQL holds that what is read without PromQL is what PromQL sees: in memory, on disk, and after a restart.
func TestReadIsPromQL(t *testing.T) {
	t.Parallel()
	seed := time.Now().UnixNano()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(uint64(seed), 0))
	dir := t.TempDir()
	s, from := newStore(t, Options{Folder: dir}), time.Now().Add(-61*time.Minute).Truncate(time.Second)
	loadAnything(t, s, from, r)
	compare := func(where string) {
		t.Helper()
		var found int
		for range 150 {
			end := from.Add(time.Duration(r.IntN(3700)) * time.Second)
			early, window := time.Duration(1+r.IntN(100))*time.Second, time.Duration(1+r.IntN(1500))*time.Second
			found += compareSamples(t, s, end, window)
			found += compareHistograms(t, s, end, early, window)
			if t.Failed() {
				t.Fatalf("%s: from %s to %s after the beginning, and %s before", where, end.Sub(from)-window, end.Sub(from), early)
			}
		}
		if found < 1000 {
			t.Errorf("%s: only %d to compare", where, found)
		}
	}
	compare("in memory")
	if err := s.folder.db.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(s.folder.db.Blocks()); n == 0 {
		t.Fatal("nothing was moved to the disk")
	}
	compare("on disk and in memory")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = newStore(t, Options{Folder: dir})
	compare("after a restart")
}

func compareSamples(t *testing.T, s *Store, end time.Time, window time.Duration) int {
	t.Helper()
	want := map[string][]point{}
	tracks, err := s.engine.instant(t.Context(), istioRequests+"["+duration(window)+"]", end)
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range tracks {
		want[one.labels.Get("i")] = one.points
	}
	got := map[string][]point{}
	err = s.engine.samples(t.Context(), istioRequests, stretch{end.Add(-window).UnixMilli(), end.UnixMilli()}, func(l labelled, points []point) {
		got[l.Get("i")] = slices.Clone(points)
	})
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("read %v, %v\nPromQL %v", got, err, want)
	}
	return len(want)
}

func compareHistograms(t *testing.T, s *Store, end time.Time, early, window time.Duration) int {
	t.Helper()
	want := [2]map[string]string{}
	for i, during := range []string{"[" + duration(early) + "] offset " + duration(window), "[" + duration(early+window) + "]"} {
		want[i] = map[string]string{}
		err := s.engine.exec(t.Context(), func(store storage.Queryable) (promql.Query, error) {
			return s.engine.promql.NewInstantQuery(t.Context(), store, nil, "last_over_time("+istioDuration+during+")", end)
		}, func(v parser.Value) {
			for _, one := range v.(promql.Vector) {
				want[i][one.Metric.Get("i")] = describe(one.H)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	got := [2]map[string]string{{}, {}}
	whole := stretch{end.Add(-early - window).UnixMilli(), end.UnixMilli()}
	err := s.engine.histograms(t.Context(), istioDuration, stretch{whole.after, end.Add(-window).UnixMilli()}, whole,
		func(l labelled, before, after *histogram) {
			if before != nil {
				got[0][l.Get("i")] = fmt.Sprint(before.bounds, before.counts)
			}
			got[1][l.Get("i")] = fmt.Sprint(after.bounds, after.counts)
		})
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("read %v, %v\nPromQL %v", got, err, want)
	}
	return len(want[1])
}

// describe writes bounds and counts of a histogram whose buckets are all there.
func describe(h *prom.FloatHistogram) string {
	var counts []float64
	for it := h.AllBucketIterator(); it.Next(); {
		counts = append(counts, it.At().Count)
	}
	return fmt.Sprint(h.CustomValues, counts)
}

// TestReadStops holds that nobody reads on whom nobody waits for.
func TestReadStops(t *testing.T) {
	s := newStore(t, Options{})
	loadSteady(t, s)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(fmt.Errorf("enough"))
	err := s.engine.samples(ctx, istioRequests, stretch{0, time.Now().UnixMilli()}, func(labelled, []point) { t.Error("shown") })
	if err == nil || err.Error() != "enough" {
		t.Error(err)
	}
}
