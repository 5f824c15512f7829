package change

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/oarlock/oarlock/mesh"
)

// dig gives the mapping at a path, nil where there is none.
func dig(t mesh.Tree, path ...string) mesh.Tree {
	for _, k := range path {
		t, _ = t[k].(mesh.Tree)
	}
	return t
}

// grow gives the mapping at a path and makes it where there is none.
func grow(t mesh.Tree, path ...string) mesh.Tree {
	for _, k := range path {
		next, ok := t[k].(mesh.Tree)
		if !ok {
			next = mesh.Tree{}
			t[k] = next
		}
		t = next
	}
	return t
}

// number reads a port as the parser may have left it.
func number(v any) uint32 {
	switch v := v.(type) {
	case int64:
		return uint32(v)
	case float64:
		return uint32(v)
	case int:
		return uint32(v)
	}
	return 0
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

// without copies a mapping, one level deep, less some keys.
func without(t mesh.Tree, drop ...string) mesh.Tree {
	out := mesh.Tree{}
	for k, v := range t {
		if !slices.Contains(drop, k) {
			out[k] = v
		}
	}
	return out
}

// same compares two values by content; 8080 and 8080.0 are equal, nil and an empty mapping are not.
func same(a, b any) bool { return canonical(a) == canonical(b) }

// canonical prints a value as JSON with sorted keys.
func canonical(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return "?" // cannot happen to a Tree
	}
	return string(text)
}

// annotationWhole lists the services whose port list in a legacy Policy stands for "the ports that have no policy of their
// own". It is how a service-wide policy that was split is known again, so that it can be joined again.
const annotationWhole = "oarlock.dev/service-wide"

// wholes reads annotationWhole.
func wholes(body mesh.Tree) []string {
	list := strings.Fields(text(dig(body, "metadata", "annotations")[annotationWhole]))
	slices.Sort(list)
	return list
}

// setWhole adds a service to annotationWhole, or takes it away.
func setWhole(body mesh.Tree, service string, on bool) {
	list := slices.DeleteFunc(wholes(body), func(s string) bool { return s == service })
	if on {
		list = append(list, service)
		slices.Sort(list)
		grow(body, "metadata", "annotations")[annotationWhole] = strings.Join(list, " ")
		return
	}
	notes := dig(body, "metadata", "annotations")
	if _, there := notes[annotationWhole]; !there {
		return
	}
	if len(list) > 0 {
		notes[annotationWhole] = strings.Join(list, " ")
		return
	}
	delete(notes, annotationWhole)
	if len(notes) == 0 {
		delete(dig(body, "metadata"), "annotations")
	}
}

// labelsTree gives labels as a Tree.
func labelsTree(labels map[string]string) mesh.Tree {
	out := mesh.Tree{}
	for k, v := range maps.All(labels) {
		out[k] = v
	}
	return out
}
