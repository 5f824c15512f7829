package manifest_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oarlock/oarlock/manifest"
	"github.com/oarlock/oarlock/meshtest"
)

func TestDiff(t *testing.T) {
	edits := []manifest.FileEdit{
		{"d/changed.yaml", []byte("a: 1\nb: 2\n"), []byte("a: 1\nb: 3\n")},
		{"d/created.yaml", nil, []byte("a: 1\n")},
		{"d/removed.yaml", []byte("a: 1\n"), nil},
	}
	want := `--- a/d/changed.yaml
+++ b/d/changed.yaml
@@ -1,2 +1,2 @@
 a: 1
-b: 2
+b: 3
--- /dev/null
+++ b/d/created.yaml
@@ -0,0 +1,1 @@
+a: 1
--- a/d/removed.yaml
+++ /dev/null
@@ -1,1 +0,0 @@
-a: 1
`
	got := manifest.Diff(edits)
	if got != want {
		t.Errorf("got\n%s", got)
	}
	dir := t.TempDir()
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "d"), 0o755), os.WriteFile(filepath.Join(dir, "d/changed.yaml"), edits[0].Before, 0o644),
		os.WriteFile(filepath.Join(dir, "d/removed.yaml"), edits[2].Before, 0o644)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(meshtest.Require(t, "git", "git"), "apply", "-")
	cmd.Dir, cmd.Stdin = dir, strings.NewReader(got)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git apply: %v\n%s", err, out)
	}
	names, _ := filepath.Glob(filepath.Join(dir, "d/*"))
	if text := fmt.Sprint(names); strings.Contains(text, "removed") || !strings.Contains(text, "created") {
		t.Errorf("files after git apply: %s", text)
	}
}

// TestDiffApplies lets git apply diffs of random texts.
func TestDiffApplies(t *testing.T) {
	git, r := meshtest.Require(t, "git", "git"), rand.New(rand.NewPCG(1, 2))
	for i := range 60 {
		before, after := manifest.RandomPair(r, i)
		applies(t, git, before, after)
	}
}

func applies(t *testing.T, git string, before, after []byte) {
	t.Helper()
	text := manifest.Diff([]manifest.FileEdit{{"x.yaml", before, after}})
	if text == "" {
		return
	}
	dir := t.TempDir()
	name := filepath.Join(dir, "x.yaml")
	if err := os.WriteFile(name, before, 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(git, "apply", "--whitespace=nowarn", "-")
	cmd.Dir, cmd.Stdin = dir, strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git apply: %v %s\n%s", err, out, text)
	}
	if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, after) {
		t.Errorf("%v; got\n%s\nwant\n%s\nfrom\n%s", err, got, after, text)
	}
}
