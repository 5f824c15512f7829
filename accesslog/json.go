package accesslog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxDepth is how deep objects of a JSON format may lie in each other.
const maxDepth = 8

// A member of a JSON object: its value is one operator, a line of several, a constant, or an object.
type member struct {
	key    string // as it is
	quoted string // with quotes and colon
	parts  []part
	fixed  string // JSON of a constant
	object []*member
}

func (m *member) operators(visit func(*operator)) {
	for _, p := range m.parts {
		if p.op != nil {
			visit(p.op)
		}
	}
	for _, child := range m.object {
		child.operators(visit)
	}
}

// ParseJSON reads a format of JSON: an object whose values are strings with command operators, constants, or objects. Members
// are written in its order. The value of a lone operator has its own type, so that a number is a number, and null where
// it is absent; what is made of several is a string.
func ParseJSON(s string) (*Format, error) {
	d := json.NewDecoder(strings.NewReader(s))
	d.UseNumber()
	first, err := d.Token()
	if err != nil || first != json.Delim('{') {
		return nil, errors.New("parse access log format: it is no JSON object")
	}
	object, err := parseObject(d, 1)
	if err != nil {
		return nil, fmt.Errorf("parse access log format: %w", err)
	}
	if d.More() {
		return nil, errors.New("parse access log format: text after the object")
	}
	if len(object) == 0 {
		return nil, errors.New("parse access log format: it is empty")
	}
	f := &Format{name: "custom", source: s, object: object, typed: true}
	f.reads = readableObject(object)
	return f, nil
}

// parseObject reads members up to the end of the object.
func parseObject(d *json.Decoder, depth int) ([]*member, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("objects more than %d deep", maxDepth)
	}
	var out []*member
	seen := map[string]bool{}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return nil, err
		}
		m := &member{key: token.(string)} // the decoder gives nothing else there
		if seen[m.key] {
			return nil, fmt.Errorf("key %q is there twice", m.key)
		}
		seen[m.key] = true
		m.quoted = string(appendJSONString(nil, m.key)) + ":"
		if err := m.parseValue(d, depth); err != nil {
			return nil, fmt.Errorf("key %q: %w", m.key, err)
		}
		out = append(out, m)
	}
	_, err := d.Token()
	return out, err
}

func (m *member) parseValue(d *json.Decoder, depth int) error {
	token, err := d.Token()
	if err != nil {
		return err
	}
	switch v := token.(type) {
	case json.Delim:
		if v != '{' {
			return errors.New("lists are not known in a format")
		}
		m.object, err = parseObject(d, depth+1)
		if err == nil && len(m.object) == 0 {
			m.fixed, m.object = "{}", nil
		}
		return err
	case string:
		if m.parts, err = parseParts(v); err == nil && v == "" {
			m.fixed = `""`
		}
		return err
	}
	b, err := json.Marshal(token)
	m.fixed = string(b)
	return err
}

func readableObject(object []*member) error {
	for _, m := range object {
		if err := readableObject(m.object); err != nil {
			return err
		}
		if err := readable(m.parts); err != nil {
			return err
		}
	}
	return nil
}

func (f *Format) appendObject(dst []byte, object []*member, r *Record) []byte {
	for i, m := range object {
		c := byte(',')
		if i == 0 {
			c = '{'
		}
		dst = append(append(dst, c), m.quoted...)
		switch {
		case m.object != nil:
			dst = f.appendObject(dst, m.object, r)
		case m.fixed != "":
			dst = append(dst, m.fixed...)
		default:
			dst = f.appendValue(dst, m.parts, r)
		}
	}
	return append(dst, '}')
}

// appendValue writes the value of one operator with its type, and of several as a string.
func (f *Format) appendValue(dst []byte, parts []part, r *Record) []byte {
	if len(parts) > 1 || parts[0].op == nil {
		return appendQuotedTail(dst, func(dst []byte) []byte { return appendParts(dst, parts, r) })
	}
	o := parts[0].op
	switch {
	case o.clock != nil:
		return appendQuotedTail(dst, func(dst []byte) []byte { return o.clock.append(dst, r.Start) })
	case o.flags && (r.Flags != 0 || r.OtherFlags != ""):
		return appendQuotedTail(dst, func(dst []byte) []byte { return parts[0].appendFlags(dst, r) })
	case o.flags:
		return append(dst, `"-"`...) // Envoy has it so even where numbers are numbers
	}
	if n, ok, isNumber := o.number(r); isNumber && ok {
		if f.typed {
			return strconv.AppendInt(dst, n, 10)
		}
		dst = strconv.AppendInt(append(dst, '"'), n, 10)
		return append(dst, '"')
	}
	switch s := o.value(r); {
	case s != "" && s != "-": // which would be read as absent
		return appendJSONString(dst, o.cut(s))
	case f.typed:
		return append(dst, "null"...)
	}
	return append(dst, `"-"`...)
}

// appendQuotedTail makes a JSON string of what write appends. It uses the end of dst for both, so that nothing is
// allocated once dst has grown.
func appendQuotedTail(dst []byte, write func([]byte) []byte) []byte {
	begin := len(dst)
	dst = write(dst)
	middle := len(dst)
	dst = appendJSONBytes(dst, dst[begin:middle])
	n := copy(dst[begin:], dst[middle:])
	return dst[:begin+n]
}

// appendJSONString writes s as a JSON string on one line. Invalid UTF-8 becomes U+FFFD, as JSON has no way to write it.
func appendJSONString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for i := 0; i < len(s); {
		r, size := rune(s[i]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRuneInString(s[i:])
		}
		dst = appendJSONRune(dst, r)
		i += size
	}
	return append(dst, '"')
}

// appendJSONBytes is appendJSONString for bytes.
func appendJSONBytes(dst, s []byte) []byte {
	dst = append(dst, '"')
	for len(s) > 0 {
		r, size := utf8.DecodeRune(s)
		dst = appendJSONRune(dst, r)
		s = s[size:]
	}
	return append(dst, '"')
}

func appendJSONRune(dst []byte, r rune) []byte {
	switch {
	case r == '"' || r == '\\':
		return append(dst, '\\', byte(r))
	case r >= ' ' && r < 0x7f:
		return append(dst, byte(r))
	case r != utf8.RuneError && unicode.IsPrint(r):
		return utf8.AppendRune(dst, r)
	case r > 0xffff:
		r -= 0x10000
		return appendU(appendU(dst, 0xd800+r>>10), 0xdc00+r&0x3ff)
	}
	return appendU(dst, r)
}

func appendU(dst []byte, r rune) []byte {
	return append(dst, '\\', 'u', hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
}

// parseObjectLine reads one JSON line.
func (f *Format) parseObjectLine(line string, r *Record) error {
	d := json.NewDecoder(bytes.NewReader([]byte(line)))
	d.UseNumber()
	var v map[string]any
	if err := d.Decode(&v); err != nil {
		return fmt.Errorf("no JSON object: %w", err)
	}
	if d.More() {
		return errors.New("text after the JSON object")
	}
	var later []func() error
	if err := readObject(f.object, v, r, &later); err != nil {
		return err
	}
	for _, set := range later {
		if err := set(); err != nil {
			return err
		}
	}
	return nil
}

// readObject wants the keys of the format, no more and no less, since they are what tells one format from another.
func readObject(object []*member, v map[string]any, r *Record, later *[]func() error) error {
	if len(v) != len(object) {
		return fmt.Errorf("%d keys where the format has %d", len(v), len(object))
	}
	for _, m := range object {
		value, ok := v[m.key]
		if !ok {
			return fmt.Errorf("no key %q", m.key)
		}
		if err := m.read(value, r, later); err != nil {
			return fmt.Errorf("key %q: %w", m.key, err)
		}
	}
	return nil
}

func (m *member) read(value any, r *Record, later *[]func() error) error {
	if m.object != nil {
		child, ok := value.(map[string]any)
		if !ok {
			return errors.New("want an object")
		}
		return readObject(m.object, child, r, later)
	}
	if m.fixed != "" {
		if b, err := json.Marshal(value); err != nil || string(b) != m.fixed {
			return errors.New("another constant")
		}
		return nil
	}
	var s string
	switch v := value.(type) {
	case nil:
	case string:
		s = v
	case json.Number:
		s = v.String()
	default:
		return errors.New("want a string, a number or null")
	}
	if len(m.parts) > 1 || m.parts[0].op == nil {
		return readParts(m.parts, s, r, later)
	}
	return readValue(m.parts[0].op, s, r, later)
}
