package yamldir_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oarlock/oarlock/manifest"
	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/meshtest"
	"github.com/oarlock/oarlock/yamldir"
)

// TestContract runs the suite with all objects in one file, with one file for each, and with a single file as the path.
func TestContract(t *testing.T) {
	open := func(t *testing.T, path string) (mesh.Source, mesh.Writer) {
		d, err := yamldir.Open([]string{path}, yamldir.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return d, d
	}
	t.Run("one file", func(t *testing.T) {
		meshtest.SourceWriter(t, func(t *testing.T, initial string) (mesh.Source, mesh.Writer) {
			return open(t, folder(t, map[string]string{"mesh.yaml": initial}))
		})
	})
	t.Run("many files", func(t *testing.T) {
		meshtest.SourceWriter(t, func(t *testing.T, initial string) (mesh.Source, mesh.Writer) {
			files := map[string]string{}
			for i, doc := range strings.Split(initial, "---\n") {
				files[fmt.Sprintf("%d/doc.yaml", i)] = doc
			}
			return open(t, folder(t, files))
		})
	})
	t.Run("a file", func(t *testing.T) {
		meshtest.SourceWriter(t, func(t *testing.T, initial string) (mesh.Source, mesh.Writer) {
			return open(t, filepath.Join(folder(t, map[string]string{"mesh.yaml": initial}), "mesh.yaml"))
		})
	})
}

// folder makes a folder with files.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		write(t, filepath.Join(dir, name), content)
	}
	return dir
}

func write(t *testing.T, name, content string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(content), 0o644)); err != nil {
		t.Fatal(err)
	}
}

func policy(name string) string {
	return "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata:\n  name: " + name + "\n  namespace: foo\nspec:\n  mtls:\n    mode: STRICT\n"
}

func mustOpen(t *testing.T, opt yamldir.Options, paths ...string) *yamldir.Dir {
	t.Helper()
	d, err := yamldir.Open(paths, opt)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func names(t *testing.T, d *yamldir.Dir) []string {
	t.Helper()
	files, pre, err := d.Files(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, f := range files {
		out = append(out, f.Name)
		if len(pre[f.Name]) != 64 {
			t.Errorf("precondition of %s is %q", f.Name, pre[f.Name])
		}
	}
	return out
}

func TestWhichFiles(t *testing.T) {
	dir := folder(t, map[string]string{
		"a.yaml": policy("a"), "b.yml": policy("b"), "sub/c.json": `{"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": "c"}}`,
		"notes.txt": policy("no"), ".hidden.yaml": policy("no"), ".git/d.yaml": policy("no"),
		"Chart.yaml": "name: chart\nversion: 1\n", "values.yaml": "image:\n  kind: x\nlist: [1]\n", "empty.yaml": "", "comments.yaml": "# soon\n",
		"data.json": `[1, 2]`, "elsewhere/e.yml": policy("e"),
	})
	t.Chdir(dir)
	for _, err := range []error{os.Symlink("a.yaml", "0-link.yaml"), os.Symlink("elsewhere/e.yml", "link.yaml"), os.Symlink("..", "sub/loop"),
		os.Symlink("gone", "sub/dangling")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		paths []string
		want  string
	}{
		{[]string{"."}, "a.yaml b.yml comments.yaml elsewhere/e.yml empty.yaml sub/c.json"},
		{[]string{"./sub/"}, "sub/c.json sub/loop/a.yaml sub/loop/b.yml sub/loop/comments.yaml sub/loop/elsewhere/e.yml sub/loop/empty.yaml"},
		{[]string{"link.yaml", "values.yaml"}, "link.yaml values.yaml"},
		{[]string{"notes.txt", "elsewhere", "elsewhere", "./notes.txt"}, "elsewhere/e.yml notes.txt"},
		{[]string{filepath.Join(dir, "elsewhere"), "elsewhere"}, filepath.Join(dir, "elsewhere/e.yml")},
	}
	for _, tt := range tests {
		if got := strings.Join(names(t, mustOpen(t, yamldir.Options{}, tt.paths...)), " "); got != tt.want {
			t.Errorf("%v:\ngot  %s\nwant %s", tt.paths, got, tt.want)
		}
	}
	r, err := mustOpen(t, yamldir.Options{}, ".").Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	left := slices.IndexFunc(r.Problems, func(p mesh.Problem) bool { return strings.Contains(p.Message, "Chart.yaml, data.json, values.yaml:") })
	if left < 0 || r.Problems[left].Severity != mesh.Warning || len(r.Snapshot.PeerAuthentications) != 3 {
		t.Errorf("problems %v, policies %d", r.Problems, len(r.Snapshot.PeerAuthentications))
	}
}

func TestCannotRead(t *testing.T) {
	dir := folder(t, map[string]string{"ok.yaml": policy("a"), "closed.yaml": policy("b"), "shut/c.yaml": policy("c"), "binary.yaml": "a\x00b"})
	for _, err := range []error{os.Chmod(filepath.Join(dir, "closed.yaml"), 0), os.Chmod(filepath.Join(dir, "shut"), 0), os.Symlink("gone", filepath.Join(dir, "dangling.yaml"))} {
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { os.Chmod(filepath.Join(dir, "shut"), 0o755) })
	for path, want := range map[string]string{"none": "no such file or directory", "closed.yaml": "permission denied", "shut": "permission denied"} {
		if os.Geteuid() == 0 && want == "permission denied" {
			continue // root may read everything
		}
		_, err := yamldir.Open([]string{filepath.Join(dir, path)}, yamldir.Options{})
		var re *yamldir.ReadError
		if !errors.As(err, &re) || err.Error() != "read "+filepath.Join(dir, path)+": "+want {
			t.Errorf("%s: %v", path, err)
		}
	}
	r, err := mustOpen(t, yamldir.Options{}, dir).Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var bad []string
	for _, p := range r.Problems {
		if p.Severity == mesh.Error {
			bad = append(bad, filepath.Base(p.Origin.File))
		}
	}
	want := []string{"binary.yaml", "closed.yaml", "dangling.yaml", "shut"}
	if os.Geteuid() == 0 {
		want = []string{"binary.yaml", "dangling.yaml"}
	}
	if !slices.Equal(bad, want) || len(r.Snapshot.PeerAuthentications) == 0 {
		t.Errorf("problems with %v, want %v: %v", bad, want, r.Problems)
	}
}

func TestEmptyFolder(t *testing.T) {
	dir := t.TempDir()
	r, err := mustOpen(t, yamldir.Options{}, dir).Read(t.Context())
	if err != nil || r.Snapshot.Documents != 0 || len(r.Problems) != 1 || r.Problems[0].Message != "read "+dir+": no manifests in it" {
		t.Errorf("%v %v", r.Problems, err)
	}
	if _, err := yamldir.Open(nil, yamldir.Options{}); err == nil {
		t.Error("no path is no error")
	}
}

func TestStdin(t *testing.T) {
	in := "# in\n" + policy("a")
	d := mustOpen(t, yamldir.Options{Stdin: strings.NewReader(in)}, "-")
	r, err := d.Read(t.Context())
	if err != nil || len(r.Snapshot.PeerAuthentications) != 1 || r.Snapshot.PeerAuthentications[0].Origin.String() != "-:2:1" {
		t.Fatalf("%v %v", r.Problems, err)
	}
	p := r.Snapshot.PeerAuthentications[0]
	changes := []mesh.Change{{Op: mesh.Delete, Ref: p.Ref, Origin: p.Origin, Before: p.Body}}
	edits, err := d.Preview(t.Context(), r.Precondition, changes)
	if err != nil || len(edits) != 1 || edits[0].Name != "-" || string(edits[0].Before) != in || edits[0].After != nil {
		t.Errorf("preview: %v %v", edits, err)
	}
	if err := d.Write(t.Context(), r.Precondition, changes); !errors.Is(err, yamldir.ErrStream) {
		t.Errorf("write: %v", err)
	}
	if _, err := yamldir.Open([]string{"-"}, yamldir.Options{}); err == nil {
		t.Error("no standard input is no error")
	}
}

// TestKustomizations are not applied, and it is said where that matters.
func TestKustomizations(t *testing.T) {
	dir := folder(t, map[string]string{
		"base/kustomization.yaml":  "resources: [a.yaml]\n",
		"base/a.yaml":              policy("a"),
		"prod/kustomization.yaml":  "resources:\n- ../base\npatches:\n- path: p.yaml\n",
		"stage/kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nnamePrefix: x-\nresources: [../base]\n",
	})
	t.Chdir(dir)
	r, err := mustOpen(t, yamldir.Options{}, ".").Read(t.Context())
	if err != nil || len(r.Snapshot.PeerAuthentications) != 1 || len(r.Problems) != 1 {
		t.Fatalf("%v %v", r.Problems, err)
	}
	p := r.Problems[0]
	if p.Severity != mesh.Warning || p.Message != "read prod/kustomization.yaml, stage/kustomization.yaml: kustomizations are not applied; the files count as they stand" ||
		p.Hint != "judge what comes of one: kustomize build prod | oarlock -f - tls-check" {
		t.Errorf("%+v", p)
	}
}

// TestMoving reads while somebody writes: what is read is what was there at some moment (before, after, or empty, since the
// other side empties the file first), never a mixture.
func TestMoving(t *testing.T) {
	dir := folder(t, map[string]string{"a.yaml": policy("a")})
	name := filepath.Join(dir, "a.yaml")
	contents := []string{policy("a") + strings.Repeat("# more\n", 2000), policy("a")}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				os.WriteFile(name, []byte(contents[i%2]), 0o644)
			}
		}
	})
	d := mustOpen(t, yamldir.Options{}, dir)
	for range 3 {
		files, _, err := d.Files(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if text := string(f.Data); text != "" && !slices.Contains(contents, text) {
				t.Errorf("read a mixture of %d bytes", len(text))
			}
		}
	}
	close(stop)
	wg.Wait()
	if r, err := d.Read(t.Context()); err != nil || len(r.Snapshot.PeerAuthentications) != 1 {
		t.Errorf("after it settled: %v %v", r.Problems, err)
	}
}

// TestKeptEmpty reads a file that somebody empties again and again before writing it: that is no mesh without policies.
func TestKeptEmpty(t *testing.T) { synctest.Test(t, keptEmpty) }

func keptEmpty(t *testing.T) {
	dir := folder(t, map[string]string{"a.yaml": "", "b.yaml": policy("b")})
	stop := make(chan struct{})
	var wg sync.WaitGroup
	touch := func() {
		written := time.Now().Add(-25 * time.Millisecond)
		os.Chtimes(filepath.Join(dir, "a.yaml"), written, written)
	}
	touch()
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
				touch()
			}
		}
	})
	d := mustOpen(t, yamldir.Options{}, dir)
	r, err := d.Read(t.Context())
	close(stop)
	wg.Wait()
	if err != nil || len(r.Problems) != 1 || r.Problems[0].Severity != mesh.Error || !strings.Contains(r.Problems[0].Message, "keeps changing") {
		t.Errorf("%v %v", r.Problems, err)
	}
	// An empty file that stays as it is gets read, whatever its clock says.
	for _, age := range []time.Duration{-time.Hour, 0, time.Hour} {
		when := time.Now().Add(-age)
		if err := os.Chtimes(filepath.Join(dir, "a.yaml"), when, when); err != nil {
			t.Fatal(err)
		}
		if r, err := d.Read(t.Context()); err != nil || len(r.Problems) != 0 {
			t.Errorf("age %v: %v %v", age, r.Problems, err)
		}
	}
}

func newPolicy(ns, name string) mesh.Change {
	return mesh.Change{Op: mesh.Create, Ref: mesh.Ref{Kind: mesh.KindPeerAuthentication, Namespace: ns, Name: name}, After: mesh.Tree{
		"apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication",
		"metadata": map[string]any{"name": name, "namespace": ns}, "spec": map[string]any{"mtls": map[string]any{"mode": "STRICT"}}}}
}

func TestWriteFiles(t *testing.T) {
	dir := folder(t, map[string]string{"real/a.yaml": policy("a"), "keep.yaml": policy("keep")})
	t.Chdir(dir)
	if err := errors.Join(os.Symlink("real/a.yaml", "link.yaml"), os.Chmod("real/a.yaml", 0o600), os.Rename("real", ".real"), os.Remove("link.yaml"),
		os.Symlink(".real/a.yaml", "link.yaml")); err != nil {
		t.Fatal(err)
	}
	d := mustOpen(t, yamldir.Options{}, ".")
	r, err := d.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var changes []mesh.Change
	for _, p := range r.Snapshot.PeerAuthentications {
		c := mesh.Change{Op: mesh.Update, Ref: p.Ref, Origin: p.Origin, Before: p.Body, After: mesh.CloneTree(p.Body)}
		c.After["spec"] = map[string]any{}
		if p.Ref.Name == "keep" {
			c.Op, c.After = mesh.Delete, nil
		}
		changes = append(changes, c)
	}
	far := newPolicy("bar", "default")
	far.Origin.File = "deep/down/new.yaml"
	if err := d.Write(t.Context(), r.Precondition, append(changes, far)); err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat("link.yaml")
	if err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("the link is no link any more: %v %v", info, err)
	}
	if info, err := os.Stat(".real/a.yaml"); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	content, _ := os.ReadFile(".real/a.yaml")
	if !strings.HasSuffix(string(content), "spec: {}\n") {
		t.Errorf("behind the link: %q", content)
	}
	if got := strings.Join(tree(t), " "); got != ".real/a.yaml deep/down/new.yaml link.yaml" {
		t.Errorf("files: %s", got)
	}
}

// TestNewFolders have the mode of the folder above, its group for what is written there later included.
func TestNewFolders(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.Chmod(".", 0o770|os.ModeSetgid); err != nil {
		t.Fatal(err)
	}
	above, err := os.Stat(".")
	if err != nil {
		t.Fatal(err)
	}
	fresh := newPolicy("bar", "default")
	fresh.Origin.File = "deep/down/new.yaml"
	if err := mustOpen(t, yamldir.Options{}, ".").Write(t.Context(), nil, []mesh.Change{fresh}); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"deep", "deep/down"} {
		if info, err := os.Stat(dir); err != nil || info.Mode() != above.Mode() {
			t.Errorf("%s: %v, want mode %v", dir, info, above.Mode())
		}
	}
}

// tree lists all files under the current folder, hidden ones too.
func tree(t *testing.T) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(".", func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			out = append(out, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestWriteNothingOnError(t *testing.T) {
	t.Chdir(folder(t, map[string]string{"a.yaml": policy("a"), "b.yaml": policy("b")}))
	d := mustOpen(t, yamldir.Options{}, ".")
	r, err := d.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p := r.Snapshot.PeerAuthentications[0]
	del := mesh.Change{Op: mesh.Delete, Ref: p.Ref, Origin: p.Origin, Before: p.Body}
	there := newPolicy("bar", "default")
	there.Origin.File = "notes.txt"
	write(t, "notes.txt", "mine")
	blocked := newPolicy("bar", "default")
	blocked.Origin.File = "notes.txt/new.yaml"
	fresh := newPolicy("bar", "other")
	fresh.Origin.File = "sub/new.yaml"
	var stale *mesh.StaleError
	if err := d.Write(t.Context(), r.Precondition, []mesh.Change{del, fresh, there}); !errors.As(err, &stale) || stale.Place != "notes.txt" {
		t.Errorf("create over a file that was not read: %v", err)
	}
	if err := d.Write(t.Context(), r.Precondition, []mesh.Change{del, fresh, blocked}); err == nil {
		t.Error("a file where a folder must be is no error")
	}
	if got := strings.Join(tree(t), " "); got != "a.yaml b.yaml notes.txt" {
		t.Errorf("files: %s", got)
	}
	if _, err := os.Stat("sub"); err == nil {
		t.Error("a folder is left behind")
	}
}

// TestWhereNewFilesGo checks that the next Read finds a new object.
func TestWhereNewFilesGo(t *testing.T) {
	ns := "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: "
	t.Chdir(folder(t, map[string]string{"d/foo/ns.yml": ns + "foo\n---\n" + strings.Replace(policy("x"), "PeerAuthentication", "DestinationRule", 1),
		"d/ns.yaml": ns + "bar\n", "one.yaml": policy("a"), "two.json": `{"kind":"Namespace","apiVersion":"v1","metadata":{"name":"c"}}`}))
	tests := []struct{ paths, ns, want string }{
		{"d", "foo", "d/foo/peerauthentication-new.yml"},
		{"d", "baz", "d/baz/peerauthentication-new.yaml"},
		{". d", "foo", "one.yaml"},
		{"one.yaml", "baz", "one.yaml"},
		{"one.yaml two.json", "baz", "one.yaml"},
		{"one.yaml d", "baz", "one.yaml"},
	}
	for _, tt := range tests {
		d := mustOpen(t, yamldir.Options{}, strings.Fields(tt.paths)...)
		_, pre, err := d.Files(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		edits, err := d.Preview(t.Context(), pre, []mesh.Change{newPolicy(tt.ns, "new")})
		if err != nil || len(edits) != 1 || edits[0].Name != tt.want {
			t.Errorf("%s in %s: %v %v", tt.ns, tt.paths, manifest.Diff(edits), err)
		}
	}
}
