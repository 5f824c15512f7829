package examples_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/oarlock/oarlock/examples"
	"github.com/oarlock/oarlock/manifest"
)

// TestUnpack: every example comes out of the binary as it is in its folder, and can be read.
func TestUnpack(t *testing.T) {
	if len(examples.Names()) < 9 {
		t.Fatalf("examples: %v", examples.Names())
	}
	for _, name := range examples.Names() {
		dir := filepath.Join(t.TempDir(), name)
		if err := examples.Unpack(name, dir); err != nil {
			t.Fatal(err)
		}
		want, err := filepath.Glob(filepath.Join(name, "*.yaml"))
		if err != nil || len(want) == 0 {
			t.Fatalf("%s: %v %v", name, want, err)
		}
		var files []manifest.File
		for _, w := range want {
			got, err := os.ReadFile(filepath.Join(dir, filepath.Base(w)))
			there, _ := os.ReadFile(w)
			if err != nil || string(got) != string(there) {
				t.Errorf("%s differs: %v", w, err)
			}
			files = append(files, manifest.File{Name: w, Data: got})
		}
		if s, _ := manifest.Load(files, manifest.Options{}); len(s.Services) == 0 {
			t.Errorf("%s has no services", name)
		}
		if err := examples.Unpack(name, dir); err == nil {
			t.Errorf("%s: it was unpacked over itself", name)
		}
	}
	if err := examples.Unpack("none", t.TempDir()); err == nil {
		t.Error("an example that is not there was unpacked")
	}
}
