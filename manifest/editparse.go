package manifest

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/oarlock/oarlock/mesh"
)

// parsed is one document: its nodes, which have positions, and its values.
type parsed struct {
	root *yaml.Node
	tree any
}

// parseDocument reads the one document of a text.
func parseDocument(text []byte) (doc *parsed, err error) {
	defer func() {
		if r := recover(); r != nil { // the parser panics on some broken input
			doc, err = nil, errScan
		}
	}()
	dec := yaml.NewDecoder(bytes.NewReader(text))
	var n, more yaml.Node
	if err := dec.Decode(&n); err != nil {
		return nil, err
	}
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, errScan
	}
	v, err := convertDocument(chunk{line: 1, col: 1, data: text}, &n)
	if err != nil || v == nil {
		return nil, errors.Join(errScan, err)
	}
	return &parsed{root: n.Content[0], tree: v.tree()}, nil
}

// keyText gives a key as the tree has it.
func keyText(n *yaml.Node) (string, error) {
	c := converter{chunk: &chunk{line: 1, col: 1}}
	return c.key(n)
}

// line gives the line of the document or of an item of its list, from 1.
func (doc *parsed) line(item int) int {
	n := doc.root
	if item >= 0 {
		for i := 0; i+1 < len(doc.root.Content); i += 2 {
			if items := doc.root.Content[i+1]; doc.root.Content[i].Value == "items" && item < len(items.Content) {
				n = items.Content[item]
			}
		}
	}
	return n.Line
}

// blame says why the outcome of an edit was not what was asked for.
func (doc *parsed) blame(text []byte) error {
	switch {
	case shares(doc.root):
		return errAnchor
	case bytes.Contains(text, []byte("\t")):
		return errTabs
	}
	return errScan
}

// shares says whether an alias or merge key is used.
func shares(n *yaml.Node) bool {
	return n.Kind == yaml.AliasNode || isMergeKey(n) || slices.ContainsFunc(n.Content, shares)
}

// listItems gives the items of a List; nil for any other object.
func listItems(tree any) []any {
	t, _ := tree.(map[string]any)
	kind, _ := t["kind"].(string)
	items, ok := t["items"].([]any)
	if !ok || !strings.HasSuffix(kind, "List") {
		return nil
	}
	return items
}

// withItem gives a List with another item in a place, one more at its end, or one less where after is nil.
func withItem(list any, at int, after mesh.Tree) any {
	t, _ := list.(map[string]any)
	items := slices.Clone(listItems(list))
	switch {
	case after == nil:
		items = slices.Delete(items, at, at+1)
	case at == len(items):
		items = append(items, after)
	default:
		items[at] = after
	}
	out := make(map[string]any, len(t))
	for k, v := range t {
		out[k] = v
	}
	out["items"] = items
	return out
}

// matches says whether a tree is the object that a Ref names. A namespace that is not written is the default one, and
// does not count for a kind that has none.
func matches(tree any, ref mesh.Ref) bool {
	if kind, ns, name := nameOf(tree); kind == string(ref.Kind) && name == ref.Name {
		return ns == ref.Namespace || ns == "" && ref.Namespace == "default" || ref.Namespace == ""
	}
	return false
}

func nameOf(tree any) (kind, namespace, name string) {
	t, _ := tree.(map[string]any)
	meta, _ := t["metadata"].(map[string]any)
	kind, _ = t["kind"].(string)
	namespace, _ = meta["namespace"].(string)
	name, _ = meta["name"].(string)
	return kind, namespace, name
}
