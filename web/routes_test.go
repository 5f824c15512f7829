package web

import (
	"maps"
	"slices"
	"testing"
)

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
