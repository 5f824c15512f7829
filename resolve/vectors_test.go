package resolve_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestVectors fails when a vector is forgotten: every id of testdata/vectors.txt stands in a resolver case (the id, or the
// id with a suffix as in LV117/on), in a script of the command line, or under "Open" in OPEN.md, and in one of them only.
func TestVectors(t *testing.T) {
	places := map[string]map[string]bool{}
	put := func(id, place string) {
		if places[id] == nil {
			places[id] = map[string]bool{}
		}
		places[id][place] = true
	}
	for _, m := range find(t, "testdata/cases/*.txt", `(?m)^case ((?:LV|MV)\d+)(?:/\S+)? `) {
		put(m, "a case")
	}
	for _, m := range open(t) {
		put(m, "OPEN.md")
	}
	// LV90 to LV93 are about whole tables; scripts may also refer to the id of a case.
	for _, m := range find(t, "../cmd/oarlock/testdata/script/*.txt", `\b(LV9[0-3])\b`) {
		put(m, "a script")
	}
	known := map[string]bool{}
	for _, id := range strings.Fields(read(t, "testdata/vectors.txt")) {
		if known[id] {
			t.Errorf("vectors.txt names %s twice", id)
		}
		known[id] = true
		switch at := places[id]; len(at) {
		case 0:
			t.Errorf("vector %s is in no case, no script and not in OPEN.md", id)
		case 1:
		default:
			t.Errorf("vector %s is in several places: %v", id, at)
		}
	}
	if len(known) != 267 {
		t.Errorf("vectors.txt has %d ids, want 267", len(known))
	}
	for id := range places {
		if !known[id] {
			t.Errorf("there is no vector %s, though %v names it", id, places[id])
		}
	}
}

// find gives the first group of every match in some files.
func find(t *testing.T, glob, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(glob)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	re := regexp.MustCompile(pattern)
	for _, name := range names {
		for _, m := range re.FindAllStringSubmatch(read(t, name), -1) {
			out = append(out, m[1])
		}
	}
	return out
}

// open lists the ids under the heading "Open" of OPEN.md.
func open(t *testing.T) []string {
	t.Helper()
	_, text, ok := strings.Cut(read(t, "testdata/cases/OPEN.md"), "\n## Open\n")
	text, _, ended := strings.Cut(text, "\n## ")
	if !ok || !ended {
		t.Fatal(`OPEN.md has no section "Open" followed by another`)
	}
	var out []string
	for _, m := range regexp.MustCompile(`(?m)^- (\w+):`).FindAllStringSubmatch(text, -1) {
		out = append(out, m[1])
	}
	return out
}

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
