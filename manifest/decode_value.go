package manifest

import (
	"fmt"
	"strconv"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/oarlock/oarlock/mesh"
)

// valueKind is what a value is in JSON.
type valueKind uint8

const (
	nullValue valueKind = iota
	boolValue
	intValue
	floatValue
	textValue
	listValue
	mapValue
)

// String gives the kind with its article, for messages.
func (k valueKind) String() string {
	return [...]string{"nothing", "a boolean", "a number", "a number", "text", "a list", "a mapping"}[k]
}

// value is one value of a document with the place where it was written; a mapping stands where its first key does.
// Aliases and merge keys are resolved already: an aliased value is shared and stands where its anchor does.
type value struct {
	kind   valueKind
	block  bool // text written as a literal block scalar ("|"), which keeps its lines
	truth  bool
	line   int32
	col    int32
	size   int32 // values in this one, aliases expanded; bounded by maxSize
	text   string
	int    int64
	float  float64
	items  []*value
	fields []valueField
}

// valueField is one entry of a mapping. line and col are those of the key.
type valueField struct {
	key       string
	line, col int32
	val       *value
}

// maxSize bounds what the aliases of one document may expand to.
const maxSize = 1_000_000

// get gives the value of a field that is there and is not null, else nil. It may be called on nil.
func (v *value) get(key string) *value {
	if f := v.find(key); f != nil && f.val.kind != nullValue {
		return f.val
	}
	return nil
}

// find gives the field with a key, null or not, else nil. It may be called on nil.
func (v *value) find(key string) *valueField {
	if v == nil {
		return nil
	}
	for i := range v.fields {
		if v.fields[i].key == key {
			return &v.fields[i]
		}
	}
	return nil
}

// at follows a path of keys; nil where one of them is missing or null.
func (v *value) at(path ...string) *value {
	for _, key := range path {
		v = v.get(key)
	}
	return v
}

// str gives the text of a field, "" where it is missing or no text.
func (v *value) str(key string) string {
	if f := v.get(key); f != nil {
		return f.text
	}
	return ""
}

// list gives the items of a list; nil where the field is missing.
func (v *value) list(key string) []*value {
	if f := v.get(key); f != nil {
		return f.items
	}
	return nil
}

// strs gives the texts of a list; nil where it is missing.
func (v *value) strs(key string) []string {
	items := v.list(key)
	if items == nil {
		return nil
	}
	out := make([]string, 0, len(items))
	for _, e := range items {
		if e.kind == textValue {
			out = append(out, e.text)
		}
	}
	return out
}

// labels gives a mapping of texts; nil where it is missing or empty.
func (v *value) labels(key string) map[string]string {
	f := v.get(key)
	if f == nil || len(f.fields) == 0 {
		return nil
	}
	out := make(map[string]string, len(f.fields))
	for _, e := range f.fields {
		out[e.key] = e.val.text
	}
	return out
}

// number gives the number of a field, def where it is missing or no whole number.
func (v *value) number(key string, def int64) int64 {
	if f := v.get(key); f != nil {
		if n, ok := f.whole(); ok {
			return n
		}
	}
	return def
}

// flag gives the boolean of a field, false where it is missing.
func (v *value) flag(key string) bool {
	f := v.get(key)
	return f != nil && f.truth
}

// whole gives a number without a fraction: 80, and 80.0 too.
func (v *value) whole() (int64, bool) {
	switch v.kind {
	case intValue:
		return v.int, true
	case floatValue:
		n := int64(v.float)
		return n, float64(n) == v.float && n > -1<<53 && n < 1<<53
	}
	return 0, false
}

// tree gives the value as JSON.
func (v *value) tree() any {
	switch v.kind {
	case boolValue:
		return v.truth
	case intValue:
		return v.int
	case floatValue:
		return v.float
	case textValue:
		return v.text
	case listValue:
		out := make([]any, len(v.items))
		for i, e := range v.items {
			out[i] = e.tree()
		}
		return out
	case mapValue:
		out := make(mesh.Tree, len(v.fields))
		for _, f := range v.fields {
			out[f.key] = f.val.tree()
		}
		return out
	}
	return nil
}

// show gives a scalar as its author wrote it, shortened, for messages.
func (v *value) show() string {
	switch v.kind {
	case listValue, mapValue, nullValue:
		return v.kind.String()
	case textValue:
		return "text " + strconv.Quote(shorten(v.text))
	case boolValue:
		return "the boolean " + shorten(v.text)
	}
	return "the number " + shorten(v.text)
}

func shorten(s string) string {
	if utf8.RuneCountInString(s) <= 40 {
		return s
	}
	return string([]rune(s)[:37]) + "..."
}

// syntaxError is why a document could not be turned into values.
type syntaxError struct {
	line, col   int // in the document, from 1; line 0: not known
	cause, hint string
}

// Error gives the cause alone.
func (e *syntaxError) Error() string { return e.cause }

// converter turns YAML nodes into values.
type converter struct {
	aliases map[*yaml.Node]*value // of anchors met so far; nil while one is being converted
	pool    []value               // values are handed out from here, to allocate them by the dozen
	chunk   *chunk                // that the nodes are of
}

func (c *converter) fresh(n *yaml.Node) *value {
	if len(c.pool) == 0 {
		c.pool = make([]value, 32)
	}
	v := &c.pool[0]
	c.pool = c.pool[1:]
	v.line, v.col = c.place(n)
	v.size = 1
	return v
}

func (c *converter) place(n *yaml.Node) (line, col int32) {
	l, k := c.chunk.at(n.Line, n.Column)
	return int32(l), int32(k)
}

func (c *converter) fail(n *yaml.Node, hint, format string, args ...any) error {
	line, col := c.place(n)
	return &syntaxError{line: int(line), col: int(col), cause: fmt.Sprintf(format, args...), hint: hint}
}

func (c *converter) convert(n *yaml.Node) (*value, error) {
	if n.Anchor != "" {
		if c.aliases == nil {
			c.aliases = map[*yaml.Node]*value{}
		}
		c.aliases[n] = nil
	}
	v, err := c.convertKind(n)
	if err == nil && n.Anchor != "" {
		c.aliases[n] = v
	}
	return v, err
}

func (c *converter) convertKind(n *yaml.Node) (*value, error) {
	switch n.Kind {
	case yaml.ScalarNode:
		v := c.fresh(n)
		return v, c.scalar(v, n)
	case yaml.AliasNode:
		if v := c.aliases[n.Alias]; v != nil {
			return v, nil
		}
		return nil, c.fail(n, "", "alias %q stands inside its own anchor", n.Value)
	case yaml.SequenceNode:
		return c.sequence(n)
	case yaml.MappingNode:
		return c.mapping(n)
	}
	return nil, c.fail(n, "", "unexpected YAML node")
}

func (c *converter) sequence(n *yaml.Node) (*value, error) {
	v := c.fresh(n)
	v.kind = listValue
	v.items = make([]*value, len(n.Content))
	for i, e := range n.Content {
		item, err := c.convert(e)
		if err != nil {
			return nil, err
		}
		v.items[i] = item
		if err := c.grow(v, item, n); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// grow counts e into v.
func (c *converter) grow(v, e *value, n *yaml.Node) error {
	if v.size += e.size; v.size > maxSize {
		return c.fail(n, "write the values out", "aliases expand to more than %d values", maxSize)
	}
	return nil
}

func (c *converter) mapping(n *yaml.Node) (*value, error) {
	v := c.fresh(n)
	v.kind = mapValue
	if len(n.Content) > 0 { // also in a flow mapping the first key is what a reader looks for, not the brace
		v.line, v.col = c.place(n.Content[0])
	}
	v.fields = make([]valueField, 0, len(n.Content)/2)
	var own keySet
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, val := n.Content[i], n.Content[i+1]
		if isMergeKey(key) {
			own.inherited = true
			if err := c.merge(v, val); err != nil {
				return nil, err
			}
			continue
		}
		name, err := c.key(key)
		if err != nil {
			return nil, err
		}
		line, col := c.place(key)
		if first := own.add(name, line); first != 0 {
			return nil, c.fail(key, "remove one of the two", "key %q is already set in line %d", shorten(name), first)
		}
		e, err := c.convert(val)
		if err != nil {
			return nil, err
		}
		v.set(valueField{key: name, line: line, col: col, val: e}, own.inherited)
		if err := c.grow(v, e, n); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// set adds a field; where merge keys are about, it takes the place of a field of the same name. As in sigs.k8s.io/yaml,
// what comes later wins, be it merged or written out.
func (v *value) set(f valueField, look bool) {
	if look {
		if old := v.find(f.key); old != nil {
			*old = f
			return
		}
	}
	v.fields = append(v.fields, f)
}

func isMergeKey(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.Value == "<<" && n.Tag == "!!merge"
}

func (c *converter) merge(v *value, n *yaml.Node) error {
	from, err := c.convert(n)
	if err != nil {
		return err
	}
	sources := []*value{from}
	if from.kind == listValue && n.Kind == yaml.SequenceNode {
		sources = from.items
	}
	for i := len(sources) - 1; i >= 0; i-- { // the first of a list has the last word
		if sources[i].kind != mapValue {
			return c.fail(n, "", "the merge key << wants a mapping, or a list of mappings")
		}
		for _, f := range sources[i].fields {
			v.set(f, true)
			if err := c.grow(v, f.val, n); err != nil {
				return err
			}
		}
	}
	return nil
}

// keySet finds keys that are written twice in one mapping.
type keySet struct {
	few       []keyPlace
	many      map[string]int32
	inherited bool // a merge key was met
}

type keyPlace struct {
	name string
	line int32
}

// add gives the line of an earlier key of the same name, or 0.
func (s *keySet) add(name string, line int32) int32 {
	if s.many != nil {
		first := s.many[name]
		if first == 0 {
			s.many[name] = line
		}
		return first
	}
	for _, k := range s.few {
		if k.name == name {
			return k.line
		}
	}
	s.few = append(s.few, keyPlace{name, line})
	if len(s.few) > 16 {
		s.many = make(map[string]int32, 64)
		for _, k := range s.few {
			s.many[k.name] = k.line
		}
	}
	return 0
}

// key gives a mapping's key as JSON has it: text.
func (c *converter) key(n *yaml.Node) (string, error) {
	v := &value{}
	err := error(nil)
	if n.Kind == yaml.ScalarNode && n.Anchor == "" {
		err = c.scalar(v, n)
	} else {
		v, err = c.convert(n)
	}
	if err != nil {
		return "", err
	}
	switch v.kind {
	case textValue:
		return v.text, nil
	case intValue:
		return strconv.FormatInt(v.int, 10), nil
	case boolValue:
		return strconv.FormatBool(v.truth), nil
	case floatValue:
		return strconv.FormatFloat(v.float, 'g', -1, 32), nil
	}
	return "", c.fail(n, "quote the key if it is meant as text", "a key cannot be %s", v.kind)
}
