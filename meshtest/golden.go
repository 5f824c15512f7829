package meshtest

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/diff"
)

// Golden compares what a test got with the content of a file. With -update it writes the file; the flag is declared by the
// package under test, because a test binary can have it only once:
//
//	var _ = flag.Bool("update", false, "write the golden files")
func Golden(t testing.TB, file string, got []byte) {
	t.Helper()
	if f := flag.Lookup("update"); f != nil && f.Value.String() == "true" {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v (go test -update writes it)", err)
	}
	if d := diff.Diff(file, want, "got", got); d != nil {
		t.Errorf("not as in %s (go test -update writes it):\n%s", file, d)
	}
}
