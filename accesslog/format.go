package accesslog

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Format writes records as lines and reads them back. It is immutable, so any number of goroutines may use one.
type Format struct {
	name   string
	source string
	parts  []part    // of a text format
	object []*member // of a JSON format; nil for text
	typed  bool      // JSON: numbers are numbers, and what is absent is null

	// reads is nil, or why lines of this format cannot be read.
	reads error
}

// A part of a text format is literal text, or an operator and where its value stands.
type part struct {
	literal string
	op      *operator
	place
	until string // the literal that follows; "" at the end of the line
}

// Name is what the format is called: a name of those in istio.go, or "custom".
func (f *Format) Name() string { return f.name }

// Source is the format as it is written in a configuration: what ParseText, with a line feed at its end, or ParseJSON reads.
func (f *Format) Source() string { return f.source }

// JSON says whether lines are JSON objects.
func (f *Format) JSON() bool { return f.object != nil }

// Headers lists the request headers, response headers and trailers in lower case that the format writes from
// Record.Request, Response and Trailers, so that others need not be collected.
func (f *Format) Headers() (request, response, trailers []string) {
	f.operators(func(o *operator) {
		for ; o != nil; o = o.instead {
			if o.fields == nil {
				continue
			}
			var probe Record
			switch o.fields(&probe) {
			case &probe.Request:
				request = addOnce(request, o.field)
			case &probe.Response:
				response = addOnce(response, o.field)
			case &probe.Trailers:
				trailers = addOnce(trailers, o.field)
			}
		}
	})
	return request, response, trailers
}

func addOnce(list []string, s string) []string {
	for _, have := range list {
		if have == s {
			return list
		}
	}
	return append(list, s)
}

// operators visits every operator.
func (f *Format) operators(visit func(*operator)) {
	for _, p := range f.parts {
		if p.op != nil {
			visit(p.op)
		}
	}
	for _, m := range f.object {
		m.operators(visit)
	}
}

// ParseText reads a format of text: command operators between literal text, with %% for a percent sign. A line feed at its
// end is added where it is missing. The error names an operator that is not known.
func ParseText(s string) (*Format, error) {
	line := strings.TrimSuffix(s, "\n")
	parts, err := parseParts(line)
	if err != nil {
		return nil, fmt.Errorf("parse access log format: %w", err)
	}
	if len(parts) == 0 {
		return nil, errors.New("parse access log format: it is empty")
	}
	f := &Format{name: "custom", source: line + "\n", parts: parts}
	f.reads = readable(parts)
	return f, nil
}

// parseParts reads a line of operators and literals, and works out where each value stands.
func parseParts(s string) ([]part, error) {
	var parts []part
	for rest := s; rest != ""; {
		literal, op, after, err := nextPart(rest)
		if err != nil {
			return nil, err
		}
		if i := strings.IndexFunc(literal, func(r rune) bool { return r < ' ' || r == 0x7f }); i >= 0 {
			return nil, fmt.Errorf("control character %q would break the line", literal[i])
		}
		if n := len(parts); literal != "" && n > 0 && parts[n-1].op == nil {
			parts[n-1].literal += literal
		} else if literal != "" {
			parts = append(parts, part{literal: literal})
		}
		if op != nil {
			parts = append(parts, part{op: op})
		}
		rest = after
	}
	quoted, shared := false, map[place]*[256]bool{}
	for i := range parts {
		p := &parts[i]
		if p.op == nil {
			quoted = quoted != (strings.Count(p.literal, `"`)%2 == 1)
			continue
		}
		p.quoted, p.end = quoted, '\n'
		if i+1 < len(parts) && parts[i+1].op == nil {
			p.until = parts[i+1].literal
			p.end = p.until[0]
		}
		p.setSpecial(shared)
	}
	return parts, nil
}

// nextPart reads literal text, or one operator.
func nextPart(s string) (literal string, op *operator, rest string, err error) {
	i := strings.IndexByte(s, '%')
	switch {
	case i < 0:
		return s, nil, "", nil
	case i > 0:
		return s[:i], nil, s[i:], nil
	case strings.HasPrefix(s, "%%"):
		return "%", nil, s[2:], nil
	}
	name := s[1:]
	if i = strings.IndexAny(name, "%(:"); i < 0 {
		return "", nil, "", fmt.Errorf("operator %q does not end", s)
	}
	argument, limit := "", ""
	name, rest = name[:i], name[i:]
	if rest[0] == '(' {
		if i = strings.IndexByte(rest, ')'); i < 0 {
			return "", nil, "", fmt.Errorf("operator %q: no closing parenthesis", s)
		}
		argument, rest = rest[1:i], rest[i+1:]
	}
	if after, ok := strings.CutPrefix(rest, ":"); ok {
		if i = strings.IndexByte(after, '%'); i < 0 {
			return "", nil, "", fmt.Errorf("operator %q does not end", s)
		}
		limit, rest = after[:i], after[i:]
		if limit == "" {
			return "", nil, "", fmt.Errorf("operator %q: no length after the colon", s)
		}
	}
	if !strings.HasPrefix(rest, "%") {
		return "", nil, "", fmt.Errorf("operator %q does not end", s)
	}
	rest = rest[1:]
	text := s[:len(s)-len(rest)]
	if op, err = newOperator(name, argument, limit); err != nil {
		return "", nil, "", fmt.Errorf("operator %s: %w", text, err)
	}
	op.text = text
	return "", op, rest, nil
}

// readable gives the reason why lines cannot be read.
func readable(parts []part) error {
	for i, p := range parts {
		switch {
		case p.op == nil:
		case i+1 < len(parts) && parts[i+1].op != nil:
			return fmt.Errorf("nothing parts %s from %s", p.op.text, parts[i+1].op.text)
		case p.end == '\\':
			return fmt.Errorf("a backslash after %s looks like an escape", p.op.text)
		}
	}
	return nil
}

// Append writes a record as one line, with its line feed, to the end of dst. It allocates only to make dst longer.
func (f *Format) Append(dst []byte, r *Record) []byte {
	if f.object != nil {
		dst = f.appendObject(dst, f.object, r)
	} else {
		dst = appendParts(dst, f.parts, r)
	}
	return append(dst, '\n')
}

func appendParts(dst []byte, parts []part, r *Record) []byte {
	for i := range parts {
		p := &parts[i]
		if p.op == nil {
			dst = append(dst, p.literal...)
			continue
		}
		dst = p.append(dst, r)
	}
	return dst
}

// append writes the value of an operator.
func (p *part) append(dst []byte, r *Record) []byte {
	o := p.op
	switch {
	case o.clock != nil:
		return o.clock.append(dst, r.Start)
	case o.flags:
		return p.appendFlags(dst, r)
	}
	if n, ok, isNumber := o.number(r); isNumber {
		if !ok {
			return append(dst, '-')
		}
		return strconv.AppendInt(dst, n, 10)
	}
	s := o.value(r)
	if s == "" {
		return append(dst, '-')
	}
	begin := len(dst)
	dst = p.appendEscaped(dst, o.cut(s))
	if o.column {
		return underscore(dst, begin)
	}
	return dst
}

func (p *part) appendFlags(dst []byte, r *Record) []byte {
	if r.Flags == 0 && r.OtherFlags == "" {
		return append(dst, '-')
	}
	which := shortName
	if p.op.long {
		which = longName
	}
	dst = r.Flags.appendNames(dst, which)
	if r.OtherFlags == "" {
		return dst
	}
	if r.Flags != 0 {
		dst = append(dst, ',')
	}
	return p.appendEscaped(dst, r.OtherFlags)
}

// underscore writes blanks from begin on, escaped or not, as Envoy writes them in details.
func underscore(dst []byte, begin int) []byte {
	out := begin
	for i := begin; i < len(dst); i++ {
		switch {
		case dst[i] == ' ':
			dst[out] = '_'
		case dst[i] == '\\' && string(dst[i+1:min(i+4, len(dst))]) == "x20":
			dst[out] = '_'
			i += 3
		case dst[i] == '\\' && i+1 < len(dst):
			dst[out] = '\\'
			out, i = out+1, i+1
			dst[out] = dst[i]
		default:
			dst[out] = dst[i]
		}
		out++
	}
	return dst[:out]
}
