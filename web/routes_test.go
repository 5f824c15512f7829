package web

import (
	"context"
	"maps"
	"net/http/httptest"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oarlock/oarlock/api"
)

// patience is a mesh whose sidecars never have what is in force.
type patience struct{ Mesh }

func (patience) Sync(ctx context.Context, _ string) *api.Sync { <-ctx.Done(); return &api.Sync{} }

// TestSyncWaits as long as it is asked to, and no longer.
func TestSyncWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, err := NewAPI(Options{Mesh: patience{}})
		if err != nil {
			t.Fatal(err)
		}
		for query, want := range map[string]time.Duration{"": baseWait, "?wait=50ms": 50 * time.Millisecond} {
			begin := time.Now()
			a.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/v1/sync"+query, nil))
			if took := time.Since(begin); took != want {
				t.Errorf("%q: it waited %v, want %v", query, took, want)
			}
		}
	})
}

// TestEveryRouteIsAnswered holds that what is documented is there, and that nothing else is.
func TestEveryRouteIsAnswered(t *testing.T) {
	a, err := NewAPI(Options{})
	if err != nil {
		t.Fatal(err)
	}
	answers, streams := a.handlers()
	have := slices.Concat(slices.Collect(maps.Keys(answers)), slices.Collect(maps.Keys(streams)))
	var want []string
	for _, r := range Routes() {
		want = append(want, r.Method+" "+r.Path)
		if _, ok := answers[r.Method+" "+r.Path]; ok != (r.Answer != nil && r.Path != "/v1/sync") {
			t.Errorf("%s %s: whether it answers in JSON is not as documented", r.Method, r.Path)
		}
	}
	slices.Sort(have)
	slices.Sort(want)
	if !slices.Equal(have, want) {
		t.Errorf("handlers\n%q\nroutes\n%q", have, want)
	}
}
