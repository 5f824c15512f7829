package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	sigs "sigs.k8s.io/yaml"

	"github.com/oarlock/oarlock/mesh"
)

func objectText(kind, ns, name, spec string) string {
	return "kind: " + kind + "\nmetadata:\n  name: " + name + "\n  namespace: " + ns + "\nspec: " + spec + "\n"
}

func treeOf(t *testing.T, text string) mesh.Tree {
	t.Helper()
	return mustTree(t, []byte(text)).(map[string]any)
}

func creation(t *testing.T, text string) mesh.Change {
	t.Helper()
	after := treeOf(t, text)
	kind, ns, name := nameOf(after)
	return mesh.Change{Op: mesh.Create, Ref: mesh.Ref{Kind: mesh.Kind(kind), Namespace: ns, Name: name}, After: after}
}

// TestPlace checks where a new object goes.
func TestPlace(t *testing.T) {
	files := []File{
		{"m/bar.yaml", []byte(objectText("Policy", "bar", "a", "{}") + "---\n" + objectText("Policy", "bar", "b", "{}"))},
		{"m/bar2.yaml", []byte(objectText("Policy", "bar", "c", "{}"))},
		{"m/foo/x.yml", []byte(objectText("Service", "foo", "a", "{}"))},
		{"m/one.json", []byte(`{"kind": "Policy", "metadata": {"namespace": "json", "name": "a"}}`)},
		{"m/z/empty.yaml", nil},
	}
	tests := []struct {
		name   string
		files  []File
		ns     string
		origin mesh.Origin
		want   string
	}{
		{"beside its kind", files, "bar", mesh.Origin{}, "m/bar.yaml"},
		{"beside its namespace", files, "foo", mesh.Origin{}, "m/foo/policy-new.yml"},
		{"a folder for its namespace", files, "baz", mesh.Origin{}, "m/baz/policy-new.yaml"},
		{"not into a JSON file", files, "json", mesh.Origin{}, "m/json-policy-new.yaml"},
		{"cluster scope", files, "", mesh.Origin{}, "m/policy-new.yaml"},
		{"the only file", files[2:3], "baz", mesh.Origin{}, "m/foo/x.yml"},
		{"that very file", files, "baz", mesh.Origin{File: "m/z/empty.yaml"}, "m/z/empty.yaml"},
		{"a new file", files, "baz", mesh.Origin{File: "m/new.yaml"}, "m/new.yaml"},
		{"a new JSON file", files, "baz", mesh.Origin{File: "m/new.json"}, "m/new.json"},
		{"beside an object", files, "baz", mesh.Origin{File: "m/bar2.yaml", Line: 1}, "m/bar2.yaml"},
		{"beside an object in JSON", files, "baz", mesh.Origin{File: "m/one.json", Line: 1}, "m/baz-policy-new.json"},
		{"JSON has no place", files, "baz", mesh.Origin{File: "m/one.json"}, "create Policy baz/new in m/one.json: a JSON file has no place for a second object; name another file"},
		{"no file", nil, "baz", mesh.Origin{}, "create Policy baz/new: no file can take it: name one"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := creation(t, strings.Replace(objectText("Policy", tt.ns, "new", "{peers: [{mtls: {}}]}"), "  namespace: \n", "", 1))
			c.Origin = tt.origin
			edits, err := Apply(tt.files, []mesh.Change{c})
			if err != nil || len(edits) != 1 {
				if err == nil || err.Error() != tt.want {
					t.Fatalf("%v %v", edits, err)
				}
				return
			}
			if edits[0].Name != tt.want {
				t.Errorf("it goes into %s, want %s", edits[0].Name, tt.want)
			}
			undo, err := Apply([]File{{edits[0].Name, edits[0].After}}, []mesh.Change{{Op: mesh.Delete, Ref: c.Ref, Origin: mesh.Origin{File: tt.want}, Before: c.After}})
			if err != nil || len(undo) != 1 || !bytes.Equal(undo[0].After, edits[0].Before) {
				t.Errorf("undo: %v\n%s", err, Diff(undo))
			}
		})
	}
}

// TestSeveralChanges makes changes to one file in every order, with objects of the same name in it.
func TestSeveralChanges(t *testing.T) {
	text := objectText("A", "x", "same", "1") + "---\n" + objectText("A", "x", "gone", "1") + "---\n" + objectText("A", "x", "same", "1") + "---\n" + objectText("A", "x", "other", "1")
	update := func(name string, line int, spec int64) mesh.Change {
		before := treeOf(t, objectText("A", "x", name, "1"))
		after := mesh.CloneTree(before)
		after["spec"] = map[string]any{"v": spec}
		return mesh.Change{Op: mesh.Update, Ref: mesh.Ref{Kind: "A", Namespace: "x", Name: name}, Origin: mesh.Origin{File: "f", Line: line}, Before: before, After: after}
	}
	gone := update("gone", 7, 0)
	gone.Op, gone.After = mesh.Delete, nil
	changes := []mesh.Change{update("same", 1, 2), gone, update("same", 13, 3), update("other", 19, 4)}
	want := objectText("A", "x", "same", "\n  v: 2") + "---\n" + objectText("A", "x", "same", "\n  v: 3") + "---\n" + objectText("A", "x", "other", "\n  v: 4")
	want = strings.ReplaceAll(want, "spec: \n", "spec:\n")
	for range 24 {
		rand.Shuffle(len(changes), func(i, j int) { changes[i], changes[j] = changes[j], changes[i] })
		edits, err := Apply([]File{{"f", []byte(text)}}, changes)
		if err != nil || len(edits) != 1 || string(edits[0].After) != want {
			t.Fatalf("%v\n%v\n%s", changes, err, Diff(edits))
		}
	}
}

// TestChain creates, updates and deletes an object in one go.
func TestChain(t *testing.T) {
	text := []byte(objectText("A", "x", "a", "1"))
	c := creation(t, objectText("A", "x", "b", "1"))
	c.Origin.File = "f"
	up := c
	up.Op, up.Before, up.After = mesh.Update, c.After, treeOf(t, objectText("A", "x", "b", "2"))
	del := up
	del.Op, del.Before, del.After = mesh.Delete, up.After, nil
	edits, err := Apply([]File{{"f", text}}, []mesh.Change{c, up})
	if err != nil || string(edits[0].After) != string(text)+"---\n"+objectText("A", "x", "b", "2") {
		t.Errorf("%v\n%s", err, Diff(edits))
	}
	if edits, err := Apply([]File{{"f", text}}, []mesh.Change{c, up, del}); err != nil || len(edits) != 0 {
		t.Errorf("%v\n%s", err, Diff(edits))
	}
	if _, err := Apply([]File{{"f", text}}, []mesh.Change{c, c}); err == nil || !strings.HasSuffix(err.Error(), ": there is such an object already") {
		t.Errorf("creating twice: %v", err)
	}
	var stale *mesh.StaleError
	if _, err := Apply([]File{{"f", text}}, []mesh.Change{up}); !errors.As(err, &stale) || stale.Place != "f (A x/b)" {
		t.Errorf("update of what is not there: %v", err)
	}
}

// TestJSONStream has two JSON values without a separator, which are read but not edited.
func TestJSONStream(t *testing.T) {
	text := `{"kind":"A","metadata":{"name":"a"}} {"kind":"A","metadata":{"name":"b"}}`
	before := treeOf(t, `{"kind":"A","metadata":{"name":"b"}}`)
	c := mesh.Change{Op: mesh.Delete, Ref: mesh.Ref{Kind: "A", Name: "b"}, Origin: mesh.Origin{File: "f.json", Line: 1, Col: 39}, Before: before}
	var refused *RefusedError
	if _, err := Apply([]File{{"f.json", []byte(text)}}, []mesh.Change{c}); !errors.As(err, &refused) ||
		err.Error() != "delete A b in f.json:1:39: its YAML is written in a way that is not understood" {
		t.Errorf("%v", err)
	}
}

func TestMarshal(t *testing.T) {
	got := string(Marshal(mesh.Tree{
		"kind": "DestinationRule", "apiVersion": "networking.istio.io/v1",
		"spec": map[string]any{
			"subsets": []any{map[string]any{"labels": map[string]any{"version": "v1"}, "name": "v1", "trafficPolicy": map[string]any{"tls": map[string]any{}}}},
			"trafficPolicy": map[string]any{
				"portLevelSettings": []any{map[string]any{"tls": map[string]any{"mode": "DISABLE"}, "port": map[string]any{"number": int64(80)}}},
				"tls":               map[string]any{"sni": "x", "mode": "ISTIO_MUTUAL"}, "loadBalancer": map[string]any{"simple": "ROUND_ROBIN"},
			},
			"exportTo": []any{"."}, "host": "*.foo", "zeta": nil,
		},
		"metadata": map[string]any{"namespace": "foo", "labels": map[string]any{"name": "no", "app": "y"}, "name": "r", "annotations": map[string]any{}},
	}))
	want := `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: r
  namespace: foo
  labels:
    app: "y"
    name: "no"
  annotations: {}
spec:
  host: "*.foo"
  exportTo:
    - "."
  trafficPolicy:
    loadBalancer:
      simple: ROUND_ROBIN
    tls:
      mode: ISTIO_MUTUAL
      sni: x
    portLevelSettings:
      - port:
          number: 80
        tls:
          mode: DISABLE
  subsets:
    - name: v1
      labels:
        version: v1
      trafficPolicy:
        tls: {}
  zeta: null
`
	if got != want {
		t.Errorf("got\n%s", got)
	}
}

// FuzzMarshal prints random objects; our own parser and sigs.k8s.io/yaml must read the same again.
func FuzzMarshal(f *testing.F) {
	for i := range uint64(300) {
		f.Add(i, "")
	}
	for i, s := range []string{"0o7", "0b1", "+.inf", ".NaN", "1__0", "2001-12-14t21:59:43.10-05:00", "<<", "!", "a:", "\ufeff", "\u0085", "\x7f", "- ", "#", "é:"} {
		f.Add(uint64(i), s)
	}
	f.Fuzz(func(t *testing.T, seed uint64, s string) {
		m := &mutator{rand.New(rand.NewPCG(seed, 2)), false}
		want := mesh.Tree{"kind": "A", "spec": m.value(4), "text": strings.ToValidUTF8(s, "?"), "list": []any{strings.ToValidUTF8(s, "?")}}
		if s != "" && len(s) < 100 { // a key may have 1,024 characters, escapes counted; Apply refuses what cannot be read back
			want[strings.ToValidUTF8(s, "?")] = "key"
		}
		text := Marshal(want)
		doc, err := parseDocument(text)
		if err != nil || !sameTree(doc.tree, want) {
			t.Fatalf("%v\n%s", err, text)
		}
		got, err := sigs.YAMLToJSON(text)
		if err != nil || !sameJSON(t, got, want) {
			t.Fatalf("sigs.k8s.io/yaml: %v\n%s\n%s", err, text, got)
		}
	})
}

// TestLargeFiles edits one object of very many, and of a minified List, within a bound that a quadratic search would miss.
func TestLargeFiles(t *testing.T) {
	var yaml, list strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&yaml, "---\n%s", objectText("A", "x", fmt.Sprint("n", i), "{v: 1}"))
		fmt.Fprintf(&list, `%s{"kind":"A","metadata":{"name":"n%d","namespace":"x"},"spec":{"v":1}}`, strings.Repeat(",", min(i, 1)), i)
	}
	for name, text := range map[string]string{"f.yaml": yaml.String(), "f.json": `{"kind":"List","items":[` + list.String() + `]}`} {
		before := treeOf(t, objectText("A", "x", "n4321", "{v: 1}"))
		after := mesh.CloneTree(before)
		after["spec"] = map[string]any{"v": int64(2)}
		edits, err := Apply([]File{{name, []byte(text)}}, []mesh.Change{{Op: mesh.Update, Ref: mesh.Ref{Kind: "A", Namespace: "x", Name: "n4321"},
			Origin: mesh.Origin{File: name}, Before: before, After: after}})
		if err != nil || len(edits) != 1 || len(edits[0].After) != len(text) {
			t.Fatalf("%s: %v", name, err)
		}
	}
}
