package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/meshtest"
	"github.com/oarlock/oarlock/resolve"
)

// TestWhatIsStrict: `up` suggests what changes something, so it has to know what does not.
func TestWhatIsStrict(t *testing.T) {
	for _, c := range []struct {
		example, namespace string
		want               bool
	}{
		{"challenges", "with-istio", true},
		{"challenges-current", "with-istio", true},
		{"challenges", "without-istio", false},
		{"backyards", "backyards-demo", false},
		{"backyards-current", "backyards-demo", false},
	} {
		files, err := filepath.Glob(filepath.Join("..", "..", "examples", c.example, "*.yaml"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v", c.example, err)
		}
		text := ""
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			text += "\n---\n" + string(b)
		}
		s := meshtest.Snapshot(t, text, mesh.DialectAuto)
		if got := (&loaded{snap: s, resolver: resolve.New(s)}).strict(c.namespace); got != c.want {
			t.Errorf("%s: %s is strict: %v, want %v", c.example, c.namespace, got, c.want)
		}
	}
}
