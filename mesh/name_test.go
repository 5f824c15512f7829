package mesh

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestWordLists(t *testing.T) {
	word := regexp.MustCompile(`^[a-z]{3,10}$`)
	vowel := regexp.MustCompile(`[aeiouy]`)
	for name, list := range map[string][]string{"adjectives": adjectives(), "animals": animals()} {
		if len(list) < 1024 {
			t.Errorf("%s: %d words, want at least 1024", name, len(list))
		}
		if !slices.IsSorted(list) || len(slices.Compact(slices.Clone(list))) != len(list) {
			t.Errorf("%s: not sorted, or a word twice", name)
		}
		for _, w := range list {
			if !word.MatchString(w) || !vowel.MatchString(w) {
				t.Errorf("%s: %q is not a word of 3 to 10 lower-case letters with a vowel", name, w)
			}
		}
	}
	for _, w := range animals() {
		if slices.Contains(adjectives(), w) {
			t.Errorf("%q is in both lists", w)
		}
	}
	for _, w := range []string{"jaunty", "gauche", "jolly"} {
		if !slices.Contains(adjectives(), w) {
			t.Errorf("adjectives: no %q", w)
		}
	}
}

// A name is shown to people, written into manifests and typed back: it must never change.
func TestHumanNameIsPinned(t *testing.T) {
	for in, want := range map[string]string{
		"":                      "angelic-chaffinch",
		"backyards-demo":        "modest-glowworm",
		"spec:{peers:[mtls:{}]": "jovial-tiercel",
	} {
		if got := HumanName([]byte(in)); got != want {
			t.Errorf("HumanName(%q) = %s, want %s", in, got, want)
		}
	}
}

func TestHumanNameSpreads(t *testing.T) {
	const n = 20000
	seen := map[string]bool{}
	for i := range n {
		fp := []byte(fmt.Sprint(i))
		two, three := HumanName(fp), HumanName3(fp)
		if !strings.HasSuffix(three, "-"+two) {
			t.Fatalf("HumanName3 = %s, want it to end in %s", three, two)
		}
		if w := strings.Split(three, "-"); len(w) != 3 || w[0] == w[1] {
			t.Fatalf("HumanName3 = %s, want three words, the first two different", three)
		}
		seen[two] = true
	}
	// 20,000 draws of 1.8 million names: about 110 are expected twice.
	if lost := n - len(seen); lost > 300 {
		t.Errorf("%d of %d names were drawn before", lost, n)
	}
}
