package resolve_test

import (
	"testing"

	"github.com/oarlock/oarlock/casefile"
)

// TestCases runs the resolver cases of testdata/cases, one subtest for each case and dialect. The format is described in
// package casefile.
func TestCases(t *testing.T) {
	names, err := casefile.Find("testdata/cases")
	if err != nil {
		t.Fatal(err)
	}
	if len(names) == 0 {
		t.Fatal("no case file in testdata/cases")
	}
	for _, name := range names {
		results, err := casefile.RunFile(name)
		if err != nil {
			t.Error(err)
		}
		for _, r := range results {
			t.Run(r.ID+"@"+r.Dialect.String(), func(t *testing.T) {
				if !r.Passed() {
					t.Error(r)
				}
			})
		}
	}
}
