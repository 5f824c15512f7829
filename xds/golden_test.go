package xds_test

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"sigs.k8s.io/yaml"

	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/meshtest"
	"github.com/oarlock/oarlock/resolve"
	"github.com/oarlock/oarlock/xds"
)

var update = flag.Bool("update", false, "write the golden files")

// TestTranslate makes the resources of every node of each folder of testdata: in.yaml is the mesh, its first line may be
// "# dialect: 1.3", and out has a folder for each node.
func TestTranslate(t *testing.T) {
	ins, err := filepath.Glob("testdata/*/in.yaml")
	if err != nil || len(ins) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, in := range ins {
		dir := filepath.Dir(in)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			tr := xds.NewTranslator(resolver(t, in))
			want := map[string]bool{}
			for _, n := range nodes(tr) {
				v := tr.View(n)
				for _, ty := range xds.Types() {
					file := filepath.Join(dir, "out", n.Workload.Ref.Name, fileOf(ty))
					want[file] = true
					meshtest.Golden(t, file, render(t, v, ty))
				}
			}
			orphans(t, filepath.Join(dir, "out"), want)
		})
	}
}

func fileOf(ty xds.Type) string {
	return map[xds.Type]string{xds.Clusters: "clusters.yaml", xds.Endpoints: "endpoints.yaml", xds.Listeners: "listeners.yaml", xds.Routes: "routes.yaml"}[ty]
}

// resolver reads a case.
func resolver(t testing.TB, in string) *resolve.Resolver {
	t.Helper()
	text, err := os.ReadFile(in)
	if err != nil {
		t.Fatal(err)
	}
	d := mesh.DialectAuto
	if line, _, _ := strings.Cut(string(text), "\n"); strings.HasPrefix(line, "# dialect: ") {
		if d, err = mesh.ParseDialect(strings.TrimPrefix(line, "# dialect: ")); err != nil {
			t.Fatal(err)
		}
	}
	return resolve.New(meshtest.Snapshot(t, string(text), d))
}

// nodes are the workloads with a sidecar, and those that speak xDS themselves.
func nodes(tr *xds.Translator) []xds.Node {
	var out []xds.Node
	for _, w := range tr.Resolver().Snapshot().Workloads {
		switch {
		case w.Labels["example"] == "grpc-client":
			out = append(out, xds.Node{Workload: w, GRPC: true})
		case w.Capture == mesh.CaptureSidecar:
			out = append(out, xds.Node{Workload: w})
		}
	}
	return out
}

// render writes resources as one YAML list, and validates them on the way.
func render(t *testing.T, v xds.View, ty xds.Type) []byte {
	t.Helper()
	var list []any
	for r := range v.All(ty) {
		m := message(t, r)
		b, err := protojson.Marshal(m)
		if err != nil {
			t.Fatalf("%s %s: %v", ty, r.Name, err)
		}
		var tree any
		if err := yaml.Unmarshal(b, &tree); err != nil {
			t.Fatal(err)
		}
		list = append(list, tree)
	}
	out, err := yaml.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// message decodes a resource, and refuses what Envoy would refuse, at any depth.
func message(t testing.TB, r *xds.Resource) proto.Message {
	t.Helper()
	m, err := r.Any.UnmarshalNew()
	if err != nil {
		t.Fatalf("%s: %v", r.Name, err)
	}
	validate(t, r.Name, m)
	return m
}

// orphans deletes files that no node has any more, and without -update complains of them.
func orphans(t *testing.T, dir string, want map[string]bool) {
	t.Helper()
	var stale []string
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && !want[p] {
			stale = append(stale, p)
		}
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	slices.Sort(stale)
	for _, p := range stale {
		if !*update {
			t.Errorf("%s belongs to no node (go test -update deletes it)", p)
			continue
		}
		if err := os.Remove(p); err != nil {
			t.Fatal(err)
		}
		_ = os.Remove(filepath.Dir(p)) // where it was the last
	}
}

func ExampleTypes() {
	for _, ty := range xds.Types() {
		fmt.Println(ty)
	}
	// Output:
	// CDS
	// EDS
	// LDS
	// RDS
}
