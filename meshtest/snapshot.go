package meshtest

import (
	"testing"

	"github.com/oarlock/oarlock/manifest"
	"github.com/oarlock/oarlock/mesh"
)

// Snapshot reads a mesh from YAML, as the file "mesh.yaml", and fails the test on errors in it. Warnings are logged.
func Snapshot(t testing.TB, yaml string, dialect mesh.Dialect) *mesh.Snapshot {
	t.Helper()
	snap, problems := manifest.Load([]manifest.File{{Name: "mesh.yaml", Data: []byte(yaml)}}, manifest.Options{Dialect: dialect})
	for _, p := range problems {
		if p.Severity == mesh.Error {
			t.Fatalf("read the test's mesh: %v", p)
		}
		t.Logf("the test's mesh: %v", p)
	}
	return snap
}
