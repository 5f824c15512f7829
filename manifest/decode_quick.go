package manifest

import (
	"bytes"
	"strconv"
)

// quickParse reads the plain kind of YAML that most manifests are: block mappings and sequences of scalars that fit on a
// line, and flow collections that do. It is several times as fast as the full parser and gives just the same values and
// positions, which a fuzz test checks. At anything else (anchors, tags, block scalars, text over several lines, a tab, a
// character beyond ASCII, a mistake) it gives up, and the full parser reads the document from the start.
func quickParse(c *chunk) (*value, bool) {
	if c.json || c.indent != 0 || c.fixed || c.col != 1 {
		return nil, false
	}
	q := &quick{data: c.data, line: int32(c.line) - 1}
	if bytes.HasPrefix(c.data, []byte("---\n")) {
		q.data = c.data[4:]
		q.line++
	}
	if !q.next() || q.eof {
		return nil, false
	}
	v, ok := q.block(q.indent, 0)
	return v, ok && q.eof
}

// quick stands at one line with content.
type quick struct {
	data   []byte // after the current line
	text   []byte // of the current line, without its indentation
	line   int32
	indent int
	eof    bool
	pool   []value
}

const (
	quickDepth = 64   // deeper nesting is left to the full parser
	quickWidth = 1000 // so are longer lines: a key must not exceed 1024 characters
)

// next goes to the next line with content; false gives up.
func (q *quick) next() bool {
	for len(q.data) > 0 {
		end := bytes.IndexByte(q.data, '\n')
		if end < 0 {
			end = len(q.data)
		}
		text := q.data[:end]
		q.data = q.data[min(end+1, len(q.data)):]
		q.line++
		if len(text) > quickWidth {
			return false
		}
		for _, ch := range text {
			if ch < ' ' || ch > '~' {
				return false
			}
		}
		q.text = bytes.TrimLeft(text, " ")
		q.indent = len(text) - len(q.text)
		q.text = bytes.TrimRight(q.text, " ")
		if len(q.text) == 0 || q.text[0] == '#' {
			continue
		}
		return q.indent > 0 || !bytes.HasPrefix(q.text, []byte("---")) && !bytes.HasPrefix(q.text, []byte("..."))
	}
	q.eof, q.text, q.indent = true, nil, -1
	return true
}

// fresh gives a value at a column of the current line; columns count from 0 here and from 1 in values.
func (q *quick) fresh(kind valueKind, line int32, column int) *value {
	if len(q.pool) == 0 {
		q.pool = make([]value, 32)
	}
	v := &q.pool[0]
	q.pool = q.pool[1:]
	v.kind, v.line, v.col, v.size = kind, line, int32(column)+1, 1
	return v
}

// item says whether the current line begins an entry of a sequence.
func (q *quick) item() bool {
	return len(q.text) > 0 && q.text[0] == '-' && (len(q.text) == 1 || q.text[1] == ' ')
}

func (q *quick) block(indent, depth int) (*value, bool) {
	switch {
	case depth > quickDepth:
		return nil, false
	case q.item():
		return q.sequence(indent, depth+1)
	}
	return q.mapping(indent, depth+1)
}

func (q *quick) mapping(indent, depth int) (*value, bool) {
	v := q.fresh(mapValue, q.line, indent)
	v.fields = make([]valueField, 0, 4)
	var keys keySet
	for q.indent == indent && !q.item() {
		colon := keyEnd(q.text)
		if colon < 0 {
			return nil, false
		}
		f := valueField{key: quickKey(q.text[:colon]), line: q.line, col: int32(indent) + 1}
		if f.key == "" || keys.add(f.key, f.line) != 0 {
			return nil, false
		}
		var ok bool
		if f.val, ok = q.entry(colon+1, depth, true); !ok {
			return nil, false
		}
		v.fields = append(v.fields, f)
		v.size += f.val.size
	}
	return v, q.indent < indent || q.item()
}

func (q *quick) sequence(indent, depth int) (*value, bool) {
	v := q.fresh(listValue, q.line, indent)
	for q.indent == indent && q.item() {
		e, ok := q.entry(1, depth, false)
		if !ok {
			return nil, false
		}
		v.items = append(v.items, e)
		v.size += e.size
	}
	return v, q.indent <= indent
}

// entry reads what follows a key's colon, or the dash of an item, at an offset of the current line. It ends at the next
// line that is not part of it.
func (q *quick) entry(offset, depth int, inMapping bool) (*value, bool) {
	line, indent := q.line, q.indent
	rest := bytes.TrimLeft(q.text[offset:], " ")
	column := indent + len(q.text) - len(rest)
	if len(rest) > 0 && rest[0] != '#' {
		if !inMapping && (keyEnd(rest) >= 0 || rest[0] == '-' && (len(rest) == 1 || rest[1] == ' ')) {
			q.text, q.indent = rest, column // a block that begins on the line of the dash
			return q.block(column, depth)
		}
		if rest[0] == '[' || rest[0] == '{' {
			f := flow{quick: q, text: rest, column: column}
			v, ok := f.collection(depth)
			return v, ok && onlyComment(f.text) && q.next() && q.indent <= indent
		}
		v := q.fresh(textValue, line, column)
		ok := quickScalar(v, rest) && q.next() && q.indent <= indent
		return v, ok
	}
	if !q.next() {
		return nil, false
	}
	if q.indent > indent || q.indent == indent && inMapping && q.item() {
		return q.block(q.indent, depth)
	}
	return q.fresh(nullValue, line, indent+offset), true
}

// keyEnd gives the index of the colon that ends a plain key, -1 where there is none.
func keyEnd(text []byte) int {
	for i, ch := range text {
		switch {
		case ch >= 'a' && ch <= 'z', ch >= 'A' && ch <= 'Z', ch >= '0' && ch <= '9', ch == '_', ch == '.', ch == '/':
		case ch == '-':
			if i == 0 {
				return -1
			}
		case ch == ':' && i > 0 && (i+1 == len(text) || text[i+1] == ' '):
			return i
		default:
			return -1
		}
	}
	return -1
}

// quickKey gives a key as JSON has it, "" where that is not simple.
func quickKey(text []byte) string {
	v := value{text: string(text)}
	plain(&v)
	switch v.kind {
	case textValue:
		return v.text
	case intValue:
		return strconv.FormatInt(v.int, 10)
	case boolValue:
		return strconv.FormatBool(v.truth)
	}
	return ""
}

// quickScalar reads a scalar that ends on its line.
func quickScalar(v *value, text []byte) bool {
	switch ch := text[0]; {
	case ch == '"' || ch == '\'':
		end := bytes.IndexByte(text[1:], ch) + 1
		if end == 0 || !onlyComment(text[end+1:]) || ch == '"' && bytes.IndexByte(text[:end], '\\') >= 0 {
			return false
		}
		v.text = string(text[1:end])
		return true
	case ch >= 'a' && ch <= 'z', ch >= 'A' && ch <= 'Z', ch >= '0' && ch <= '9', ch == '/', ch == '_', ch == '.', ch == '~':
	case ch == '-' && len(text) > 1 && text[1] != ' ':
	default:
		return false
	}
	if i := bytes.Index(text, []byte(" #")); i >= 0 {
		text = bytes.TrimRight(text[:i], " ")
	}
	if text[len(text)-1] == ':' || bytes.Contains(text, []byte(": ")) {
		return false
	}
	v.text = string(text)
	plain(v)
	return v.kind != floatValue || v.float-v.float == 0 // neither infinite nor no number, which JSON does not have
}

// onlyComment says whether nothing but blanks and a comment follows a quoted scalar.
func onlyComment(rest []byte) bool {
	text := bytes.TrimLeft(rest, " ")
	return len(text) == 0 || len(text) < len(rest) && text[0] == '#'
}

// flow reads [a, b] and {a: b} from the rest of the current line.
type flow struct {
	*quick
	text   []byte
	column int // of text
}

func (f *flow) skip(n int) {
	rest := bytes.TrimLeft(f.text[n:], " ")
	f.column += len(f.text) - len(rest)
	f.text = rest
}

// collection reads one collection, at whose bracket text stands.
func (f *flow) collection(depth int) (*value, bool) {
	kind, end := listValue, byte(']')
	if f.text[0] == '{' {
		kind, end = mapValue, '}'
	}
	v := f.fresh(kind, f.line, f.column)
	if kind == listValue {
		v.items = []*value{} // there, and empty
	} else {
		v.fields = []valueField{}
	}
	var keys keySet
	for f.skip(1); len(f.text) > 0 && depth < quickDepth; f.skip(1) {
		if f.text[0] == end && v.size == 1 { // also refuses a comma before the end
			f.close()
			return v, true
		}
		e := valueField{line: f.line, col: int32(f.column) + 1}
		if kind == mapValue {
			colon := keyEnd(f.text)
			if colon < 0 {
				return nil, false
			}
			if e.key = quickKey(f.text[:colon]); e.key == "" || keys.add(e.key, e.line) != 0 {
				return nil, false
			}
			f.skip(colon + 1)
		}
		var ok bool
		if e.val, ok = f.entry(depth); !ok {
			return nil, false
		}
		v.add(kind, e)
		if len(f.text) > 0 && f.text[0] == end {
			f.close()
			return v, true
		}
		if len(f.text) == 0 || f.text[0] != ',' {
			return nil, false
		}
	}
	return nil, false
}

// close steps over the bracket at the end, but not over blanks, which tell a comment behind it from text.
func (f *flow) close() {
	f.text = f.text[1:]
	f.column++
}

// add puts an entry into a collection. A mapping stands where its first key does.
func (v *value) add(kind valueKind, e valueField) {
	v.size += e.val.size
	if kind == listValue {
		v.items = append(v.items, e.val)
		return
	}
	if len(v.fields) == 0 {
		v.line, v.col = e.line, e.col
	}
	v.fields = append(v.fields, e)
}

// entry reads one value and the blanks behind it.
func (f *flow) entry(depth int) (*value, bool) {
	if len(f.text) == 0 {
		return nil, false
	}
	if f.text[0] == '[' || f.text[0] == '{' {
		v, ok := f.collection(depth + 1)
		if ok {
			f.skip(0)
		}
		return v, ok
	}
	n := flowScalarEnd(f.text)
	if n == 0 {
		return nil, false
	}
	v := f.fresh(textValue, f.line, f.column)
	if !quickScalar(v, f.text[:n]) {
		return nil, false
	}
	f.skip(n)
	return v, true
}

// flowScalarEnd gives the length of a quoted scalar, or of a plain one of few characters; 0 where it is neither.
func flowScalarEnd(text []byte) int {
	if text[0] == '"' || text[0] == '\'' {
		if end := bytes.IndexByte(text[1:], text[0]); end >= 0 {
			return end + 2
		}
		return 0
	}
	for i, ch := range text {
		switch {
		case ch >= 'a' && ch <= 'z', ch >= 'A' && ch <= 'Z', ch >= '0' && ch <= '9', ch == '_', ch == '.', ch == '/', ch == '-':
		case ch == ':' && i > 0 && i+1 < len(text) && text[i+1] >= '0' && text[i+1] <= '9':
		default:
			return i
		}
	}
	return len(text)
}
