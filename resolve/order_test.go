package resolve_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/oarlock/oarlock/manifest"
	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/resolve"
)

// documents splits every manifest below a folder.
func documents(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".yaml") {
			return err
		}
		data, err := os.ReadFile(path)
		for _, doc := range bytes.Split(data, []byte("\n---")) {
			out = append(out, string(doc))
		}
		return err
	})
	if err != nil || len(out) == 0 {
		t.Fatalf("read %s: %d documents, %v", dir, len(out), err)
	}
	return out
}

// deal puts documents into files of random sizes.
func deal(rng *rand.Rand, docs []string) []manifest.File {
	var files []manifest.File
	for i, doc := range docs {
		if i == 0 || rng.IntN(3) == 0 {
			files = append(files, manifest.File{Name: fmt.Sprintf("%c.yaml", 'a'+rune(rng.IntN(26))) + fmt.Sprint(i)})
		}
		last := &files[len(files)-1]
		last.Data = append(append(last.Data, doc...), "\n---\n"...)
	}
	rng.Shuffle(len(files), func(i, j int) { files[i], files[j] = files[j], files[i] })
	return files
}

// answers writes every verdict of a mesh down, one line each, without positions.
func answers(s *mesh.Snapshot) string {
	r := resolve.New(s)
	var b strings.Builder
	clients := []resolve.Client{{}}
	for _, w := range s.Workloads {
		clients = append(clients, resolve.Client{Workload: w})
	}
	for _, c := range clients {
		who := "outside"
		if c.Workload != nil {
			who = c.Workload.Ref.String()
		}
		for _, svc := range s.Services {
			for _, p := range svc.Ports {
				v := r.Resolve(c, resolve.Target{Service: svc, Port: p.Number})
				policy, _ := r.Policy(v.Policy)
				rule := mesh.Ref{}
				if v.Rule != resolve.None {
					rule = s.DestinationRules[v.Rule].Ref
				}
				v.Policy, v.Rule = 0, 0
				fmt.Fprintf(&b, "%s -> %s:%d %+v %s %s\n", who, svc.Hostname, p.Number, v, policy, rule)
			}
		}
	}
	return b.String()
}

// ties are objects of one scope and one host each, of which only a tie-break can choose one.
func ties(s *mesh.Snapshot) []string {
	svc := s.Services[0]
	ns, name := svc.Ref.Namespace, svc.Ref.Name
	var out []string
	for i, mode := range []string{"STRICT", "PERMISSIVE", "STRICT"} {
		if s.Dialect.Legacy() {
			out = append(out, fmt.Sprintf("apiVersion: authentication.istio.io/v1alpha1\nkind: Policy\nmetadata: {name: tie-%d, namespace: %s}\nspec: {targets: [{name: %s}], peers: [{mtls: {mode: %s}}]}", i, ns, name, mode))
		} else {
			out = append(out, fmt.Sprintf("apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: tie-%d, namespace: %s}\nspec: {mtls: {mode: %s}}", i, ns, mode))
		}
	}
	for i, mode := range []string{"ISTIO_MUTUAL", "DISABLE", "SIMPLE"} {
		out = append(out, fmt.Sprintf("apiVersion: networking.istio.io/v1alpha3\nkind: DestinationRule\nmetadata: {name: tie-%d, namespace: %s}\nspec: {host: %s, subsets: [{name: s%d}], trafficPolicy: {tls: {mode: %s}}}", i, ns, name, i, mode))
	}
	return out
}

// TestOrderOfInput deals the documents of each example into other files in another order: no verdict may change.
func TestOrderOfInput(t *testing.T) {
	dirs, err := filepath.Glob("../examples/*/*.yaml")
	if err != nil || len(dirs) < 8 {
		t.Fatalf("find examples: %d manifests, %v", len(dirs), err)
	}
	for i := range dirs {
		dirs[i] = filepath.Dir(dirs[i])
	}
	dirs = slices.Compact(dirs)
	for _, dir := range dirs {
		if filepath.Base(dir) == "scenes" {
			continue // each scene is a step on top of an example
		}
		t.Run(filepath.Base(dir), func(t *testing.T) {
			docs := documents(t, dir)
			first, _ := manifest.Load(deal(rand.New(rand.NewPCG(0, 0)), docs), manifest.Options{})
			docs = append(docs, ties(first)...)
			want := ""
			for seed := range uint64(20) {
				rng := rand.New(rand.NewPCG(seed, 1))
				rng.Shuffle(len(docs), func(i, j int) { docs[i], docs[j] = docs[j], docs[i] })
				s, problems := manifest.Load(deal(rng, docs), manifest.Options{})
				for _, p := range problems {
					if p.Severity == mesh.Error {
						t.Fatalf("seed %d: %v", seed, p)
					}
				}
				got := answers(s)
				if want == "" {
					want = got
				}
				if strings.Count(got, "\n") < 10 || got != want {
					t.Fatalf("seed %d gives other answers than seed 0:\n%s\n\n%s", seed, want, got)
				}
			}
		})
	}
}
