package manifest

import (
	_ "embed"
	"strings"
	"sync"
)

// The tables of fields, one field a line, children indented by one space more than their parent:
//
//	name type      a field; "name!" must be there
//
// A type is text, int, num, bool, obj (the children list its fields), obj... (it may have others too), any (not looked
// at), =A,B (one of these words), #A,B (the same, or its number, as protobuf's JSON allows), @name (the fields of the
// section name), and any of these behind "[]" (a list) or "map " (free keys).

//go:embed schema_core.txt
var coreSchema string

//go:embed schema_istio.txt
var istioSchema string

// shape is the type of a value.
type shape uint8

const (
	anyShape shape = iota
	textShape
	intShape
	numShape
	boolShape
	objShape
	enumShape
	listShape
	mapShape
)

// schema says what a value must look like.
type schema struct {
	shape    shape
	elem     *schema   // of listShape and mapShape
	fields   []*schema // of objShape
	ref      string    // of "@name", until resolved
	name     string    // of the field; "" for an element
	required bool
	open     bool     // objShape: fields that are not listed are fine
	words    []string // of enumShape
	numbers  bool     // enumShape: the index of a word is as good as the word
}

// field finds a field by name; nil where there is none. A name with a trailing "!" is never asked for.
func (s *schema) field(name string) *schema {
	for _, f := range s.fields {
		if f.name == name {
			return f
		}
	}
	return nil
}

// schemas gives the table of every kind, by kind.
var schemas = sync.OnceValue(func() map[string]*schema {
	kinds := map[string]*schema{}
	parseSchema(kinds, coreSchema)
	parseSchema(kinds, istioSchema)
	for _, s := range kinds {
		resolveRefs(kinds, s)
	}
	for name, s := range kinds {
		if name[0] >= 'a' {
			continue // a part of others, not a kind
		}
		s.fields = append(s.fields,
			&schema{name: "apiVersion", shape: textShape}, &schema{name: "kind", shape: textShape},
			&schema{name: "status", shape: anyShape})
		meta := *kinds["metadata"]
		meta.name = "metadata"
		s.fields = append(s.fields, &meta)
	}
	return kinds
})

func parseSchema(kinds map[string]*schema, text string) {
	var path []*schema // the enclosing fields, outermost first
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if line == "" || line[0] == '#' {
			continue
		}
		depth := len(line) - len(strings.TrimLeft(line, " "))
		name, word, _ := strings.Cut(line[depth:], " ")
		outer, inner := parseType(word)
		outer.name, outer.required = strings.CutSuffix(name, "!")
		path = append(path[:depth], inner)
		if depth == 0 {
			kinds[outer.name] = outer
			continue
		}
		parent := path[depth-1]
		parent.fields = append(parent.fields, outer)
	}
}

// parseType gives the schema of a type and the innermost one, to which the lines below add their fields.
func parseType(word string) (outer, inner *schema) {
	s := &schema{}
	switch {
	case strings.HasPrefix(word, "[]"):
		s.shape = listShape
		s.elem, inner = parseType(word[2:])
		return s, inner
	case strings.HasPrefix(word, "map "):
		s.shape = mapShape
		s.elem, inner = parseType(word[4:])
		return s, inner
	case word[0] == '=', word[0] == '#':
		s.shape, s.words, s.numbers = enumShape, strings.Split(word[1:], ","), word[0] == '#'
	case word[0] == '@':
		s.ref = word[1:]
	default:
		s.shape = map[string]shape{
			"any": anyShape, "text": textShape, "int": intShape, "num": numShape, "bool": boolShape,
			"obj": objShape, "obj...": objShape,
		}[word]
		s.open = word == "obj..."
	}
	return s, s
}

// resolveRefs copies what "@name" stands for into place. The tables have no cycles.
func resolveRefs(kinds map[string]*schema, s *schema) {
	if s.ref != "" {
		to := kinds[s.ref]
		resolveRefs(kinds, to)
		s.shape, s.elem, s.fields, s.open, s.words, s.ref = to.shape, to.elem, to.fields, to.open, to.words, ""
	}
	if s.elem != nil {
		resolveRefs(kinds, s.elem)
	}
	for _, f := range s.fields {
		resolveRefs(kinds, f)
	}
}
