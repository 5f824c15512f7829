package manifest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// TestDiffIsShort: lines that occur often are not taken for changed ones.
func TestDiffIsShort(t *testing.T) {
	const two = "metadata:\n  name: a\nspec:\n  targets:\n    - name: x\n---\nmetadata:\n  name: b\nspec:\n  targets:\n    - name: x\n"
	after := strings.Replace(two, "  name: a\nspec:\n  targets:\n    - name: x\n", "  name: a\n  labels: {}\nspec:\n  targets:\n    - name: x\n      port: 1\n", 1)
	want := `--- a/x.yaml
+++ b/x.yaml
@@ -1,8 +1,10 @@
 metadata:
   name: a
+  labels: {}
 spec:
   targets:
     - name: x
+      port: 1
 ---
 metadata:
   name: b
`
	if got := Diff([]FileEdit{{"x.yaml", []byte(two), []byte(after)}}); got != want {
		t.Errorf("got\n%s", got)
	}
	if got := Diff([]FileEdit{{"x.yaml", []byte(two), []byte(two)}}); got != "" {
		t.Errorf("of equal files:\n%s", got)
	}
}

// RandomPair gives two texts to the tests outside of the package, every second time such that one line tells them apart.
func RandomPair(r *rand.Rand, i int) (before, after []byte) {
	before, after = randomLines(r, 40), randomLines(r, 40)
	if i%2 == 0 {
		after = changed(r, before)
	}
	return before, after
}

// TestDiffRandom compares the number of lines kept with the longest common sequence.
func TestDiffRandom(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 300 {
		before, after := RandomPair(r, i)
		d := lineDiff{old: splitLines(before), new: splitLines(after)}
		if !d.compare() {
			t.Fatal("40 lines are too much")
		}
		kept, last := 0, -1
		for i, j := range d.kept {
			if j < 0 {
				continue
			}
			if j <= last || d.old[i] != d.new[j] {
				t.Fatalf("line %d becomes %d after %d", i, j, last)
			}
			kept, last = kept+1, j
		}
		if want := commonLines(d.old, d.new); kept != want {
			t.Errorf("%d lines are kept, could be %d\n%s", kept, want, d.hunks())
		}
	}
}

func randomLines(r *rand.Rand, most int) []byte {
	var b bytes.Buffer
	for range 1 + r.IntN(most) {
		fmt.Fprintf(&b, "%c\n", 'a'+rune(r.IntN(4)))
	}
	if r.IntN(4) == 0 {
		b.Truncate(b.Len() - 1)
	}
	return b.Bytes()
}

func changed(r *rand.Rand, text []byte) []byte {
	lines := splitLines(text)
	i := r.IntN(len(lines))
	return []byte(strings.Join(lines[:i], "") + "new\n" + strings.Join(lines[min(len(lines), i+r.IntN(2)):], ""))
}

// commonLines is the length of the longest common sequence, found the long way.
func commonLines(a, b []string) int {
	table := make([][]int, len(a)+1)
	for i := range table {
		table[i] = make([]int, len(b)+1)
	}
	for i := range a {
		for j := range b {
			table[i+1][j+1] = max(table[i][j+1], table[i+1][j])
			if a[i] == b[j] {
				table[i+1][j+1] = table[i][j] + 1
			}
		}
	}
	return table[len(a)][len(b)]
}
