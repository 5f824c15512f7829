package manifest

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/oarlock/oarlock/mesh"
)

var update = flag.Bool("update", false, "write the want files of testdata/edit")

// editCase is one folder of testdata/edit: in.yaml (or in.json), change.txt and want.yaml (in.yaml as it shall become,
// `removed` or `refused: REASON`). Lines of change.txt:
//
//	update KIND NAMESPACE/NAME   begins a change (also delete; namespace "-" for none)
//	create JSON                  is a change
//	set PATH JSON                of an update; PATH is keys and indices with slashes
//	unset PATH
//	insert PATH/INDEX JSON       makes room in a sequence
//	lossy: REASON                the inverse need not give the bytes back
type editCase struct {
	file    File
	changes []mesh.Change
	lossy   bool
}

func readCase(t *testing.T, dir string) editCase {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "in.*"))
	if err != nil || len(names) != 1 {
		t.Fatalf("find %s/in.*: %v %v", dir, names, err)
	}
	c := editCase{file: File{Name: filepath.Base(names[0]), Data: mustRead(t, names[0])}}
	for line := range strings.Lines(string(mustRead(t, filepath.Join(dir, "change.txt")))) {
		verb, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch verb {
		case "", "#":
		case "lossy:":
			c.lossy = true
		case "create":
			tree := fromJSON(t, rest).(map[string]any)
			kind, ns, name := nameOf(tree)
			c.changes = append(c.changes, mesh.Change{Op: mesh.Create, Ref: mesh.Ref{Kind: mesh.Kind(kind), Namespace: ns, Name: name},
				Origin: mesh.Origin{File: c.file.Name, Line: 1}, After: tree})
		case "update", "delete":
			c.changes = append(c.changes, beginChange(t, c, verb, rest))
		default:
			path, text, _ := strings.Cut(rest, " ")
			last := &c.changes[len(c.changes)-1]
			last.After = mutate(t, last.After, verb, strings.Split(path, "/"), text).(map[string]any)
		}
	}
	return c
}

func beginChange(t *testing.T, c editCase, verb, name string) mesh.Change {
	t.Helper()
	kind, name, _ := strings.Cut(name, " ")
	ns, name, _ := strings.Cut(name, "/")
	ch := mesh.Change{Op: mesh.Update, Ref: mesh.Ref{Kind: mesh.Kind(kind), Namespace: strings.TrimPrefix(ns, "-"), Name: name}, Origin: mesh.Origin{File: c.file.Name}}
	for _, old := range c.changes {
		if old.Ref == ch.Ref {
			ch.Before = old.After
		}
	}
	d := draft{text: c.file.Data}
	if ch.Before == nil {
		d.objects(func(tree any) {
			if ch.Before == nil && matches(tree, ch.Ref) {
				ch.Before = tree.(map[string]any)
			}
		})
	}
	if ch.Before == nil {
		t.Fatalf("no %s in %s", ch.Ref, c.file.Name)
	}
	if verb == "delete" {
		ch.Op = mesh.Delete
		return ch
	}
	ch.After = mesh.CloneTree(ch.Before)
	return ch
}

// mutate does one line of change.txt to a value.
func mutate(t *testing.T, v any, verb string, path []string, text string) any {
	t.Helper()
	switch v := v.(type) {
	case map[string]any:
		k := strings.ReplaceAll(path[0], "~", "/")
		switch {
		case len(path) > 1:
			v[k] = mutate(t, v[k], verb, path[1:], text)
		case verb == "unset":
			delete(v, k)
		default:
			v[k] = fromJSON(t, text)
		}
		return v
	case []any:
		i, err := strconv.Atoi(path[0])
		switch {
		case err != nil || i > len(v):
			t.Fatalf("bad index %q", path[0])
		case len(path) > 1:
			v[i] = mutate(t, v[i], verb, path[1:], text)
		case verb == "unset":
			return append(append([]any{}, v[:i]...), v[i+1:]...)
		case verb == "insert":
			return append(append(append([]any{}, v[:i]...), fromJSON(t, text)), v[i:]...)
		default:
			v[i] = fromJSON(t, text)
		}
		return v
	}
	t.Fatalf("nothing at %v", path)
	return nil
}

func fromJSON(t *testing.T, text string) any {
	t.Helper()
	doc, err := parseDocument([]byte(text))
	if err != nil || !json.Valid([]byte(text)) {
		t.Fatalf("bad JSON %q: %v", text, err)
	}
	return doc.tree
}

func mustRead(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// run applies the case to a text and says what became of the file.
func (c editCase) run(text []byte) ([]byte, string) {
	edits, err := Apply([]File{{c.file.Name, text}}, c.changes)
	switch {
	case err != nil:
		return text, "refused: " + err.Error() + "\n"
	case len(edits) == 0:
		return text, string(text)
	case edits[0].After == nil:
		return nil, "removed\n"
	case len(edits) > 1 || edits[0].Name != c.file.Name:
		return text, "another file: " + Diff(edits)
	}
	return edits[0].After, string(edits[0].After)
}

// inverse is what undoes the changes.
func inverse(changes []mesh.Change) []mesh.Change {
	var out []mesh.Change
	for i := len(changes) - 1; i >= 0; i-- {
		c := changes[i]
		c.Before, c.After = c.After, c.Before
		c.Op = [...]mesh.Op{mesh.Delete, mesh.Update, mesh.Create}[c.Op]
		if c.Op == mesh.Delete {
			c.Origin.Line = 0
		}
		out = append(out, c)
	}
	return out
}

// variants are ways in which a text may be stored.
var variants = []struct {
	name string
	do   func(string) string
}{
	{"as is", func(s string) string { return s }},
	{"CRLF", func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }},
	{"BOM", func(s string) string { return byteOrderMark + s }},
	{"no final newline", func(s string) string { return strings.TrimSuffix(s, "\n") }},
	{"neighbours", func(s string) string {
		return "# one\nkind: Neighbour\n---\n# two\nkind: [broken\n---\n" + strings.TrimPrefix(s, "---\n")
	}},
	{"followed", func(s string) string { return s + "\n\n---\n\tbroken\n---\nkind: After # text\n" }},
}

// TestEdit makes the edits of testdata/edit, on every variant of the text, and takes them back.
func TestEdit(t *testing.T) {
	dirs, err := filepath.Glob("testdata/edit/*")
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			c := readCase(t, dir)
			after, got := c.run(c.file.Data)
			wantFile := filepath.Join(dir, "want"+filepath.Ext(c.file.Name))
			if *update {
				if err := os.WriteFile(wantFile, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want := string(mustRead(t, wantFile))
			if got != want {
				t.Fatalf("got:\n%s\nwant (go test -run TestEdit -update writes it):\n%s", got, want)
			}
			if strings.HasPrefix(want, "refused") || strings.HasPrefix(want, "removed") {
				return
			}
			checkUndo(t, c, after)
			checkVariants(t, c, want)
		})
	}
}

func checkUndo(t *testing.T, c editCase, after []byte) {
	t.Helper()
	edits, err := Apply([]File{{c.file.Name, after}}, inverse(c.changes))
	if err != nil {
		t.Fatalf("undo: %v", err)
	}
	back := after
	if len(edits) > 0 {
		back = edits[0].After
	}
	if same := bytes.Equal(back, c.file.Data); same == c.lossy {
		t.Errorf("undo gives the bytes back: %v, said %v; it gives\n%s", same, !c.lossy, back)
	}
}

func checkVariants(t *testing.T, c editCase, want string) {
	t.Helper()
	if filepath.Ext(c.file.Name) == ".json" {
		return
	}
	for _, v := range variants {
		in := string(c.file.Data)
		if v.name == "followed" && c.changes[0].Op != mesh.Update ||
			v.name == "no final newline" && strings.HasSuffix(in, "\n\n") || v.name == "neighbours" && (in[0] == '%' || c.lossy && c.changes[0].Op == mesh.Delete) {
			continue
		}
		in, expect := v.do(in), v.do(want)
		if after, got := c.run([]byte(in)); got != expect {
			t.Errorf("%s: got:\n%q\nwant:\n%q", v.name, got, expect)
		} else if !c.lossy {
			edits, err := Apply([]File{{c.file.Name, after}}, inverse(c.changes))
			if err != nil || len(edits) == 1 && string(edits[0].After) != in {
				t.Errorf("%s: undo: %v\n%s", v.name, err, Diff(edits))
			}
		}
	}
}
