package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	sigs "sigs.k8s.io/yaml"

	"github.com/oarlock/oarlock/mesh"
)

// mutator changes trees at random. A gentle one only adds, and changes scalars into others that are written alike: its
// changes can be undone to the byte.
type mutator struct {
	*rand.Rand
	gentle bool
}

func (m *mutator) word() string {
	words := []string{"STRICT", "PERMISSIVE", "web", "a-b", "v1", "foo.bar", "x y", "it's"}
	if !m.gentle {
		words = append(words, "", "y", "no", "12", "0x1f", "1e3", "~", "null", "a: b", "a #b", "*", "{x}", "[", "é", "日本", "a\nb", " x", "x ", "\t", "-", "- a",
			"?", "---", "...", "<<", "=", "%d", "@x", "`", "\\", `"q"`, "'", "1:30", "2020-01-01", "&a", "!t", "|", ">", "#", ",", "a,b", "\u2028", "\x01", "🙂", "10.0.0.1")
	}
	return words[m.IntN(len(words))]
}

func (m *mutator) scalar() any {
	switch m.IntN(5) {
	case 0:
		return int64(m.IntN(9000))
	case 1:
		return m.IntN(2) == 0
	case 2:
		if !m.gentle {
			return [...]any{nil, 1.5, int64(-3), -0.25e10}[m.IntN(4)]
		}
	}
	return m.word()
}

// value makes a value up to a depth.
func (m *mutator) value(depth int) any {
	switch n := m.IntN(6); {
	case depth > 0 && n < 2:
		v := map[string]any{}
		for range m.IntN(4) {
			v[m.key()] = m.value(depth - 1)
		}
		return v
	case depth > 0 && n < 3:
		v := []any{}
		for range m.IntN(4) {
			v = append(v, m.value(depth-1))
		}
		return v
	}
	return m.scalar()
}

func (m *mutator) key() string {
	if m.IntN(3) == 0 {
		return m.word()
	}
	return [...]string{"name", "mode", "mtls", "port", "8080", "tls", "labels", "spec", "targets", "zz", "host", "app/x", "b"}[m.IntN(13)]
}

// mutate changes something in v.
func (m *mutator) mutate(v any, depth int) any {
	switch v := v.(type) {
	case map[string]any:
		return m.mutateMap(v, depth)
	case []any:
		return m.mutateSlice(v, depth)
	}
	if !m.gentle {
		return m.value(2)
	}
	switch v.(type) {
	case string:
		return m.word()
	case int64:
		return int64(m.IntN(9000))
	case bool:
		return m.IntN(2) == 0
	}
	return v
}

func (m *mutator) mutateMap(v map[string]any, depth int) any {
	keys := slices.Sorted(maps.Keys(v))
	switch n := m.IntN(8); {
	case n == 0 && !m.gentle && depth > 0:
		return m.value(2)
	case n < 3 || len(keys) == 0:
		if k := m.key(); v[k] == nil && k != "" {
			v[k] = m.value(2)
		}
	case n == 3 && !m.gentle:
		delete(v, keys[m.IntN(len(keys))])
	default:
		k := keys[m.IntN(len(keys))]
		v[k] = m.mutate(v[k], depth+1)
	}
	return v
}

func (m *mutator) mutateSlice(v []any, depth int) any {
	switch n := m.IntN(8); {
	case n == 0 && !m.gentle:
		return m.value(2)
	case n < 3 || len(v) == 0:
		return slices.Insert(v, m.IntN(len(v)+1), m.value(2))
	case n == 3 && !m.gentle:
		i := m.IntN(len(v))
		return slices.Delete(v, i, i+1)
	}
	i := m.IntN(len(v))
	v[i] = m.mutate(v[i], depth+1)
	return v
}

// scribe prints a tree in every way that people write YAML.
type scribe struct {
	*mutator
	b strings.Builder
}

func (s *scribe) comment(col int) {
	switch s.IntN(12) {
	case 0:
		s.b.WriteString("\n")
	case 1:
		fmt.Fprintf(&s.b, "%*s# note: {a, 'b\"\n", col, "")
	case 2:
		s.b.WriteString("# far\n")
	case 3:
		fmt.Fprintf(&s.b, "%*s# deep\n", col+3, "")
	}
}

func (s *scribe) trailing() string {
	return [...]string{"", "", "", " # why: 'x", "  ", "\t# tab"}[s.IntN(6)]
}

func (s *scribe) text(v any, flow bool) string {
	str, ok := v.(string)
	if !ok {
		return jsonText(v)
	}
	switch n := s.IntN(4); {
	case n == 0:
		return quoted(str, '"')
	case n == 1:
		return quoted(str, '\'')
	}
	return plainStyle().str(str, flow)
}

func (s *scribe) flow(v any) string {
	pad := [...]string{"", " "}[s.IntN(2)]
	var parts []string
	switch v := v.(type) {
	case map[string]any:
		for _, k := range sortedKeys(v, "") {
			parts = append(parts, s.text(k, true)+":"+" "+s.flow(v[k]))
		}
		if len(parts) == 0 {
			return "{}"
		}
		return "{" + pad + strings.Join(parts, ","+pad) + pad + "}"
	case []any:
		for _, e := range v {
			parts = append(parts, s.flow(e))
		}
		if len(parts) == 0 {
			return "[]"
		}
		return "[" + pad + strings.Join(parts, ", ") + pad + "]"
	}
	return s.text(v, true)
}

// under prints what follows a colon at column col.
func (s *scribe) under(v any, col int) {
	step := [...]int{2, 4, 1, 3}[s.IntN(4)]
	m, isMap := v.(map[string]any)
	l, isList := v.([]any)
	switch {
	case s.IntN(4) == 0, !isMap && !isList, len(m)+len(l) == 0:
		s.b.WriteString(" " + s.flow(v) + s.trailing() + "\n")
	case isMap:
		s.b.WriteString(s.trailing() + "\n")
		s.block(m, col+step, false)
	default:
		s.b.WriteString(s.trailing() + "\n")
		s.items(l, col+[...]int{0, 2, step}[s.IntN(3)], false)
	}
}

func (s *scribe) block(m map[string]any, col int, inline bool) {
	for _, k := range sortedKeys(m, "") {
		if !inline {
			s.comment(col)
			fmt.Fprintf(&s.b, "%*s", col, "")
		}
		inline = false
		s.b.WriteString(s.text(k, true) + ":")
		s.under(m[k], col)
	}
}

func (s *scribe) items(l []any, col int, inline bool) {
	for _, v := range l {
		if !inline {
			s.comment(col)
			fmt.Fprintf(&s.b, "%*s", col, "")
		}
		inline = false
		gap := [...]int{1, 1, 3}[s.IntN(3)]
		m, isMap := v.(map[string]any)
		sub, isList := v.([]any)
		switch {
		case s.IntN(4) == 0, !isMap && !isList, len(m)+len(sub) == 0:
			s.b.WriteString("- " + s.flow(v) + s.trailing() + "\n")
		case isMap:
			fmt.Fprintf(&s.b, "-%*s", gap, "")
			s.block(m, col+1+gap, true)
		default:
			fmt.Fprintf(&s.b, "-%*s", gap, "")
			s.items(sub, col+1+gap, true)
		}
	}
}

// checkEdit changes one object of a text and checks all that Apply promises. It says whether the edit was made.
func checkEdit(t *testing.T, text []byte, m *mutator) (made bool, reason string) {
	var objects []mesh.Tree
	(&draft{text: text}).objects(func(tree any) {
		if _, _, name := nameOf(tree); name != "" {
			objects = append(objects, tree.(map[string]any))
		}
	})
	if len(objects) == 0 {
		return false, ""
	}
	changes := m.changes(objects[m.IntN(len(objects))])
	before, after := changes[0].Before, changes[len(changes)-1].After
	edits, err := Apply([]File{{"f.yaml", text}}, changes)
	if refused := (*RefusedError)(nil); errors.As(err, &refused) {
		return false, refused.Reason
	} else if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	result := text
	if len(edits) > 0 {
		result = edits[0].After
	}
	checkOthers(t, text, result, before, after)
	back, err := Apply([]File{{"f.yaml", result}}, inverse(changes))
	if refused := (*RefusedError)(nil); err != nil && (m.gentle || !errors.As(err, &refused)) {
		t.Fatalf("undo: %v\nbefore:\n%s\nafter:\n%s", err, text, result)
	}
	if m.gentle && len(back) > 0 && !bytes.Equal(back[0].After, text) {
		t.Fatalf("undo does not give the bytes back: change\n%s\nback\n%s\nfrom %s\nto %s", Diff(edits), Diff(back), jsonText(before), jsonText(after))
	}
	return true, ""
}

// changes makes one to three updates of an object, each from what the one before gives.
func (m *mutator) changes(before mesh.Tree) []mesh.Change {
	kind, ns, name := nameOf(before)
	c := mesh.Change{Op: mesh.Update, Origin: mesh.Origin{File: "f.yaml"}, Before: before,
		Ref: mesh.Ref{Kind: mesh.Kind(kind), Namespace: ns, Name: name}}
	var out []mesh.Change
	for range 1 + m.IntN(3) {
		c.After = m.mutate(mesh.CloneTree(c.Before), 0).(map[string]any)
		c.After["kind"], c.After["metadata"] = before["kind"], before["metadata"]
		out = append(out, c)
		c.Before = c.After
	}
	return out
}

// checkOthers verifies, by another parser, that exactly one document changed and into what.
func checkOthers(t *testing.T, text, result []byte, before, after mesh.Tree) {
	a, b := contents(cut(text), -1), contents(cut(result), -1)
	if len(a) != len(b) {
		t.Fatalf("%d documents became %d\n%s\n%s", len(a), len(b), text, result)
	}
	changed := 0
	for i := range a {
		x, y := text[a[i].start:a[i].end], result[b[i].start:b[i].end]
		if bytes.Equal(x, y) {
			continue
		}
		changed++
		if _, err := sigs.YAMLToJSON(x); err != nil {
			continue // the other parser refused the document before the edit, too
		}
		got, err := sigs.YAMLToJSON(y)
		if err != nil {
			t.Fatalf("sigs.k8s.io/yaml: %v\n%s", err, y)
		}
		if listItems(mustTree(t, y)) == nil && !sameJSON(t, got, after) {
			t.Fatalf("sigs.k8s.io/yaml reads %s\nwant %s\nin\n%s", got, jsonText(after), y)
		}
	}
	if changed > 1 || changed == 0 && !sameTree(before, after) {
		t.Fatalf("%d documents changed", changed)
	}
}

func mustTree(t *testing.T, text []byte) any {
	doc, err := parseDocument(text)
	if err != nil {
		t.Fatal(err)
	}
	return doc.tree
}

func sameJSON(t *testing.T, got []byte, want mesh.Tree) bool {
	var x, y any
	if err := errors.Join(json.Unmarshal(got, &x), json.Unmarshal([]byte(jsonText(want)), &y)); err != nil {
		t.Fatal(err)
	}
	return sameTree(x, y)
}

// TestEditRandom edits generated documents. None has anything that an edit must refuse, but for comments inside brackets.
func TestEditRandom(t *testing.T) {
	seed := uint64(len(os.Getenv("OARLOCK_SEED"))) // the same run every time, unless asked
	if text := os.Getenv("OARLOCK_SEED"); text != "" {
		fmt.Sscan(text, &seed)
	}
	made := 0
	for i := range uint64(2000) {
		m := &mutator{rand.New(rand.NewPCG(seed, i)), i%2 == 0}
		text := randomFile(m)
		ok, reason := checkEdit(t, text, m)
		if t.Failed() {
			t.Fatalf("seed %d, case %d", seed, i)
		}
		if ok {
			made++
		} else if reason != "" && reason != errComment.Error() {
			t.Errorf("seed %d, case %d refused: %s\n%s", seed, i, reason, text)
		}
	}
	if made < 1950 {
		t.Errorf("only %d of 2000 edits were made", made)
	}
}

// randomFile writes a file of three documents.
func randomFile(m *mutator) []byte {
	s := &scribe{mutator: m}
	for i := range 3 {
		if i > 0 || m.IntN(2) == 0 {
			s.b.WriteString("---\n")
		}
		tree := map[string]any{"kind": "Kind", "metadata": map[string]any{"name": fmt.Sprint("n", i), "namespace": "ns"}}
		for range m.IntN(4) {
			tree[m.key()] = m.value(3)
		}
		tree["kind"] = "Kind"
		s.block(tree, 0, false)
	}
	text := s.b.String()
	if m.IntN(3) == 0 {
		text = strings.ReplaceAll(text, "\n", "\r\n")
	}
	if m.IntN(3) == 0 {
		text = strings.TrimRight(text, "\r\n")
	}
	if m.IntN(4) == 0 {
		text = byteOrderMark + text
	}
	return []byte(text)
}

// FuzzEdit edits any text: the outcome is verified or refused, and nothing panics.
func FuzzEdit(f *testing.F) {
	names, err := filepath.Glob("testdata/edit/*/in.*")
	if err != nil || len(names) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for i, name := range names {
		content, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for k := range uint64(8) {
			f.Add(content, uint64(i)*8+k)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte, seed uint64) {
		if len(text) > 1<<16 || bareTag.Match(text) {
			return
		}
		checkEdit(t, text, &mutator{rand.New(rand.NewPCG(seed, 1)), false})
	})
}
