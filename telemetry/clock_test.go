package telemetry

import (
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oarlock/oarlock/metrics"
)

// said gives what a sidecar says, as a scrape keeps it: a series and its value a line.
func said(t *testing.T, of *aSidecar, job string) string {
	t.Helper()
	w := httptest.NewRecorder()
	(*of.handler.Load()).ServeHTTP(w, httptest.NewRequest("GET", DefaultPath+"?"+metrics.OnlyFlows, nil))
	own := fmt.Sprintf(`{instance=%q,job=%q`, of.name, job)
	text := "up" + own + "} 1\n"
	for line := range strings.Lines(w.Body.String()) {
		name, value, _ := strings.Cut(line, " ")
		labels := ""
		if series, after, labelled := strings.Cut(line, "} "); labelled {
			name, labels, _ = strings.Cut(series, "{")
			value, labels = after, ","+labels
		}
		if slices.Contains(kept, name) {
			text += name + own + labels + "} " + value
		}
	}
	return text
}

// beganAt makes a sidecar say that its process began at a time.
func (s *aSidecar) beganAt(at time.Time) {
	h := s.Handler()
	said := regexp.MustCompile(`(?m)^process_start_time_seconds .*$`)
	var changed http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		page := httptest.NewRecorder()
		h.ServeHTTP(page, r)
		w.Header().Set("Content-Type", page.Header().Get("Content-Type"))
		fmt.Fprint(w, said.ReplaceAllString(page.Body.String(), fmt.Sprintf("process_start_time_seconds %d", at.Unix())))
	})
	s.handler.Store(&changed)
}

// requestsIn counts those of a window.
func requestsIn(t *testing.T, s *Store, w metrics.Window) float64 {
	t.Helper()
	o := flows(t, s, w)
	var n float64
	for _, f := range o.Flows {
		n += f.Requests * o.End.Sub(o.Start).Seconds()
	}
	return math.Round(n*1e6) / 1e6
}

// TestClockGoesForward is for a clock that goes forward by an hour while the store and its sidecars run, as when a machine
// sleeps: what is known stays, what happened in that hour is not taken for what happens now, and trends have a gap.
func TestClockGoesForward(t *testing.T) {
	t.Parallel()
	sidecar, dir := newSidecar(t, "web-0.shop", web), t.TempDir()
	l := metrics.Labels{Reporter: metrics.Source, Source: web, Destination: apiPeer, Service: apiService, Protocol: "http", Code: 200,
		Security: metrics.SecurityMutualTLS, Policy: strict, Port: 8080}
	count := func(n int) {
		for range n {
			sidecar.Request(l).Observe(20*time.Millisecond, 1, 1)
		}
	}
	sidecar.beganAt(time.Now().Add(-10 * time.Hour))
	s := running(t, Options{Folder: dir})
	jump := time.Now().Add(-time.Hour).Truncate(time.Second)
	for at := jump.Add(-90 * time.Second); !at.After(jump); at = at.Add(time.Second) {
		count(1)
		load(t, s, at, said(t, sidecar, job))
	}
	before := metrics.Window{End: jump, Length: time.Minute}
	stays := func(when string, seconds int) {
		t.Helper()
		if n := requestsIn(t, s, before); n != 60 {
			t.Errorf("%s: %v requests in the minute before the clock went forward, want 60", when, n)
		}
		trend, err := s.Trend(t.Context(), metrics.TrendQuery{Window: metrics.Window{Length: 2 * time.Hour}, Step: 15 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		known := map[bool]int{}
		for i, at := range trend.Times {
			// A step is known if anything was seen in it.
			gap := at.Add(-15*time.Second).After(jump) && time.Since(at) > time.Duration(seconds)*time.Second
			if known[gap] += 1; gap && !math.IsNaN(trend.Requests[i]) {
				t.Errorf("%s: the trend knows of %s after the clock went forward: %v a second", when, at.Sub(jump), trend.Requests[i])
			} else if !gap && at.Before(jump) && at.After(jump.Add(-70*time.Second)) && math.Abs(trend.Requests[i]-1) > 0.1 {
				t.Errorf("%s: the trend has %v a second before", when, trend.Requests[i])
			}
		}
		if known[true] < 200 {
			t.Errorf("%s: only %d points in the gap", when, known[true])
		}
	}
	stays("before anything is seen again", 0)

	count(7) // in the hour that nobody saw
	began := time.Now()
	s.SetTargets([]Target{sidecar.target()})
	eventually(t, "it is scraped again", func() error {
		if h := s.Health(t.Context()); h.Up != 1 || !h.OK || h.Problem != "" || h.Since.After(jump) {
			return fmt.Errorf("%+v", h)
		}
		return nil
	})
	since := func() int { return int(time.Since(began).Seconds()) + 20 }
	if o := newest(t, s, began.Add(-time.Second)); len(o.Flows) > 0 {
		t.Errorf("what nobody saw happen is taken for now: %+v", o)
	}
	count(3)
	eventually(t, "what happens now is seen, and nothing else", func() error {
		if n := requestsIn(t, s, metrics.Window{Length: time.Minute}); n != 3 {
			return fmt.Errorf("%v requests, want 3", n)
		}
		return nil
	})
	if n := requestsIn(t, s, metrics.Window{Length: 2 * time.Hour}); n != 90+7+3 { // the first was there when one first looked
		t.Errorf("%v requests in all, want 100", n)
	}
	stays("while it goes on", since())

	if err := s.folder.db.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(s.folder.db.Blocks()); n == 0 {
		t.Error("the hour before did not go to the disk")
	}
	stays("with the time before on the disk", since())
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = newStore(t, Options{Folder: dir, Interval: live})
	stays("opened again", since())
	if h := s.Health(t.Context()); !h.OK || h.Problem != "" {
		t.Errorf("%+v", h)
	}
}

// TestHealthOfNewTargets holds that one whose turn has not come is not said to be silent.
func TestHealthOfNewTargets(t *testing.T) {
	t.Parallel()
	var targets []Target
	for i := range 12 {
		targets = append(targets, newSidecar(t, fmt.Sprintf("web-%d.shop", i), web).target())
	}
	s := running(t, Options{Interval: 20 * time.Second}, targets...) // which is how long a scrape may take
	eventually(t, "all are up", func() error {
		h := s.Health(t.Context())
		if h.Targets != h.Up || h.Problem != "" {
			t.Fatalf("%+v", h)
		}
		if h.Up != len(targets) {
			return fmt.Errorf("%+v", h)
		}
		return nil
	})
}

// TestDownIsOfNow holds that a target is down whose last scrape failed, and not one that nobody asked since a restart.
func TestDownIsOfNow(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text string
		down int
	}{
		{`up{instance="a"} 1x58 0`, 1},
		{`up{instance="a"} 1x50 0x4 _x4`, 1}, // a second looks longer than some scrapes take
		{`up{instance="a"} 1x20 0x4`, 0},
		{`up{instance="a"} 1x57 0 stale`, 0},
		{`up{instance="a"} 1x59`, 0},
	} {
		s, from := newStore(t, Options{}), start()
		load(t, s, from, c.text)
		if o := flows(t, s, metrics.Window{End: from.Add(60 * time.Second), Length: time.Minute}); len(o.Down) != c.down {
			t.Errorf("%s: down are %q, want %d", c.text, o.Down, c.down)
		}
	}
}
