package meshtest

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/oarlock/oarlock/mesh"
)

var update = flag.Bool("update", false, "write the golden files")

// failures takes the place of a test that is expected to fail.
type failures struct {
	testing.TB
	texts []string
}

func (f *failures) Helper() {}
func (f *failures) Errorf(format string, a ...any) {
	f.texts = append(f.texts, fmt.Sprintf(format, a...))
}
func (f *failures) Fatalf(format string, a ...any)  { f.Errorf(format, a...); panic(f) }
func (f *failures) Logf(format string, args ...any) {}

// run gives what a failing test would have said.
func run(do func(t testing.TB)) (texts []string) {
	f := &failures{}
	defer func() {
		if r := recover(); r != nil && r != any(f) {
			panic(r)
		}
		texts = f.texts
	}()
	do(f)
	return f.texts
}

func TestGolden(t *testing.T) {
	file := filepath.Join(t.TempDir(), "sub", "want.txt")
	if got := run(func(t testing.TB) { Golden(t, file, []byte("x\n")) }); len(got) != 1 && !*update {
		t.Errorf("a missing file gives %v", got)
	}
	old := *update
	*update = true
	Golden(t, file, []byte("x\n"))
	*update = false
	defer func() { *update = old }()
	Golden(t, file, []byte("x\n"))
	if got := run(func(t testing.TB) { Golden(t, file, []byte("y\n")) }); len(got) != 1 {
		t.Errorf("another text gives %v", got)
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "x\n" {
		t.Errorf("the file has %q, %v", b, err)
	}
}

func TestSnapshot(t *testing.T) {
	if s := Snapshot(t, initialMesh, mesh.DialectCurrent); len(s.PeerAuthentications) != 2 || s.Dialect != mesh.DialectCurrent {
		t.Errorf("read %d policies in dialect %v", len(s.PeerAuthentications), s.Dialect)
	}
	if got := run(func(t testing.TB) { Snapshot(t, brokenMesh, mesh.DialectCurrent) }); len(got) != 1 {
		t.Errorf("a broken object gives %v", got)
	}
}
