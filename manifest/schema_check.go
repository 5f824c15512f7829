package manifest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/oarlock/oarlock/mesh"
)

// checker holds a value against a schema and collects what does not fit: a wrong type or word is an error, a field that
// nobody knows is a warning, because Istio drops it and takes the rest.
type checker struct {
	chunk    chunk
	subject  string // what is read, for messages: "DestinationRule shop/cart"
	ref      mesh.Ref
	problems []mesh.Problem
	failed   bool
	helm     bool     // a text that Helm has not rendered was met
	path     []string // to the value at hand, outermost first
}

// note adds a problem at a place of the file.
func (c *checker) note(sev mesh.Severity, at mesh.Origin, hint, format string, args ...any) {
	c.failed = c.failed || sev == mesh.Error
	c.problems = append(c.problems, mesh.Problem{
		Severity: sev,
		Origin:   at,
		Ref:      c.ref,
		Message:  "read " + c.subject + ": " + fmt.Sprintf(format, args...),
		Hint:     hint,
	})
}

// origin gives a place of the file.
func (c *checker) origin(line, col int32) mesh.Origin {
	return mesh.Origin{File: c.chunk.file, Line: int(line), Col: int(col)}
}

func (c *checker) error(v *value, hint, format string, args ...any) {
	c.note(mesh.Error, c.origin(v.line, v.col), hint, format, args...)
}

func (c *checker) warn(v *value, hint, format string, args ...any) {
	c.note(mesh.Warning, c.origin(v.line, v.col), hint, format, args...)
}

// where gives the path to the value at hand: spec.ports[0].port.
func (c *checker) where() string {
	var b strings.Builder
	for i, p := range c.path {
		if i > 0 && p[0] != '[' {
			b.WriteByte('.')
		}
		b.WriteString(p)
	}
	return b.String()
}

// check walks v along s. Null fits everywhere: it means that the field is not set.
func (c *checker) check(v *value, s *schema) {
	if v.kind == nullValue || s.shape == anyShape {
		return
	}
	switch s.shape {
	case objShape:
		if c.want(v, mapValue, "a mapping") {
			c.checkFields(v, s)
		}
	case listShape:
		if c.want(v, listValue, "a list") {
			for i, e := range v.items {
				c.path = append(c.path, "["+strconv.Itoa(i)+"]")
				c.check(e, s.elem)
				c.path = c.path[:len(c.path)-1]
			}
		}
	case mapShape:
		if c.want(v, mapValue, "a mapping") {
			for _, f := range v.fields {
				c.path = append(c.path, f.key)
				c.check(f.val, s.elem)
				c.path = c.path[:len(c.path)-1]
			}
		}
	case textShape:
		c.want(v, textValue, "text")
	case boolShape:
		c.want(v, boolValue, "true or false")
	case numShape:
		if v.kind != intValue {
			c.want(v, floatValue, "a number")
		}
	case intShape:
		if _, ok := v.whole(); !ok {
			c.want(v, intValue, "a whole number")
		}
	case enumShape:
		c.checkWord(v, s)
	}
}

// want reports a value of the wrong kind.
func (c *checker) want(v *value, kind valueKind, words string) bool {
	if v.kind == kind {
		return true
	}
	if unrendered(v) {
		c.helm = true
		return false
	}
	hint := ""
	switch {
	case kind == textValue && (v.kind == boolValue || v.kind == intValue || v.kind == floatValue):
		hint = "put it in quotes: " + strconv.Quote(v.text)
	case kind == listValue && v.kind != nullValue:
		hint = "begin each entry with `- `"
	case (kind == intValue || kind == floatValue) && v.kind == textValue && isDecimal(v.text):
		hint = "take the quotes away: " + v.text
	}
	c.error(v, hint, "%s wants %s, not %s", c.where(), words, v.show())
	return false
}

// unrendered says whether a value holds the delimiters of a Helm template.
func unrendered(v *value) bool {
	return v.kind == textValue && strings.Contains(v.text, "{{") && strings.Contains(v.text, "}}")
}

func (c *checker) checkFields(v *value, s *schema) {
	for i := range v.fields {
		f := &v.fields[i]
		known := s.field(f.key)
		if known == nil {
			if !s.open {
				c.unknownField(f, s)
			}
			continue
		}
		if known.shape == anyShape || known.shape == textShape && f.val.kind == textValue {
			continue // most fields, and no path is needed
		}
		c.path = append(c.path, f.key)
		c.check(f.val, known)
		c.path = c.path[:len(c.path)-1]
	}
	for _, f := range s.fields {
		if f.required && v.get(f.name) == nil {
			c.path = append(c.path, f.name)
			c.error(v, "", "%s is missing", c.where())
			c.path = c.path[:len(c.path)-1]
		}
	}
}

// checkWord reports a word that is not one of the schema's.
func (c *checker) checkWord(v *value, s *schema) {
	if n, ok := v.whole(); ok && s.numbers && n >= 0 && n < int64(len(s.words)) {
		return
	}
	if v.kind != textValue && !(v.kind == boolValue || v.kind == intValue) {
		c.want(v, textValue, "one of "+strings.Join(s.words, ", "))
		return
	}
	if slices.Contains(s.words, v.text) && v.kind == textValue {
		return
	}
	if unrendered(v) {
		c.helm = true
		return
	}
	hint := "write one of " + strings.Join(s.words, ", ")
	if word := nearest(v.text, s.words); word != "" {
		hint = "write " + word
	}
	c.error(v, hint, "unknown %s %q in %s", c.path[len(c.path)-1], shorten(v.text), c.where())
}

func (c *checker) unknownField(f *valueField, s *schema) {
	names := make([]string, len(s.fields))
	for i, k := range s.fields {
		names[i] = k.name
	}
	at := c.where()
	if at == "" {
		at = "the object"
	}
	c.note(mesh.Warning, c.origin(f.line, f.col), c.fieldHint(f.key, s, names), "unknown field %q in %s is ignored", shorten(f.key), at)
}

// fieldHint suggests a field of a similar name, or the place where a field of just this name belongs.
func (c *checker) fieldHint(name string, s *schema, names []string) string {
	if near := nearest(name, names); near != "" {
		return "did you mean " + near + "?"
	}
	var places []string
	findField(s, name, slices.Clone(c.path), &places)
	slices.SortStableFunc(places, func(a, b string) int { return strings.Count(a, ".") - strings.Count(b, ".") })
	if len(places) == 1 || len(places) > 1 && strings.Count(places[0], ".") < strings.Count(places[1], ".") {
		return "did you mean " + places[0] + "?" // the only one, or the outermost
	}
	if len(names) > 0 && len(names) <= 8 {
		slices.Sort(names)
		return "known here: " + strings.Join(names, ", ")
	}
	return ""
}

// findField collects the places below s that have a field of this name.
func findField(s *schema, name string, path []string, places *[]string) {
	for s.elem != nil {
		path = append(path, "[]")
		s = s.elem
	}
	for _, f := range s.fields {
		here := append(slices.Clone(path), f.name)
		if f.name == name {
			*places = append(*places, strings.ReplaceAll(strings.Join(here, "."), ".[", "["))
		}
		findField(f, name, here, places)
	}
}

// nearest gives the word that somebody who wrote s probably meant, or "": the same but for case, hyphens and underscores,
// or at most two letters away.
func nearest(s string, words []string) string {
	fold := strings.NewReplacer("_", "", "-", "", " ", "")
	plain := strings.ToLower(fold.Replace(s))
	best, distance := "", 3
	for _, w := range words {
		other := strings.ToLower(fold.Replace(w))
		if plain == other {
			return w
		}
		if len(plain) > 64 {
			continue
		}
		if d := editDistance(plain, other); d < distance && 2*d < len(plain) {
			best, distance = w, d
		}
	}
	return best
}

// editDistance counts the letters to insert, remove, replace or swap with their neighbour to get from a to b.
func editDistance(a, b string) int {
	rows := [3][]int{make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)}
	for j := range rows[1] {
		rows[1][j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, last, row := rows[(i+2)%3], rows[i%3], rows[(i+1)%3]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return rows[(len(a)+1)%3][len(b)]
}
