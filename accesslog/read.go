package accesslog

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// ErrFormat is wrapped by the error for a line of which no format is known.
var ErrFormat = errors.New("no known access log format")

// Parse reads a line of this format, with or without its line feed. The error says at which operator it ended.
func (f *Format) Parse(line string) (Record, error) {
	var r Record
	if f.reads != nil {
		return r, fmt.Errorf("read %s access log line: %w", f.name, f.reads)
	}
	line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
	if err := f.parse(line, &r); err != nil {
		return Record{}, fmt.Errorf("read %s access log line: %w", f.name, err)
	}
	return r, nil
}

func (f *Format) parse(line string, r *Record) error {
	for _, d := range durationOperators {
		*d(r) = Absent
	}
	if f.object != nil {
		return f.parseObjectLine(line, r)
	}
	var later []func() error
	if err := readParts(f.parts, line, r, &later); err != nil {
		return err
	}
	for _, set := range later {
		if err := set(); err != nil {
			return err
		}
	}
	return nil
}

// readParts reads a line of literals and operators. What is indirect is set later, when everything exact is known.
func readParts(parts []part, line string, r *Record, later *[]func() error) error {
	for i := range parts {
		p := &parts[i]
		if p.op == nil {
			rest, ok := strings.CutPrefix(line, p.literal)
			if !ok {
				return fmt.Errorf("want %q before %.40q", p.literal, line)
			}
			line = rest
			continue
		}
		if p.op.clock != nil {
			t, rest, err := p.op.clock.parse(line)
			if err != nil {
				return err
			}
			r.setStart(t)
			line = rest
			continue
		}
		n := p.endOf(line, p.until)
		if n < 0 {
			return fmt.Errorf("%s does not end in %.40q", p.op.text, line)
		}
		if err := readValue(p.op, unescape(line[:n]), r, later); err != nil {
			return err
		}
		line = line[n:]
	}
	if line != "" {
		return fmt.Errorf("%.40q is too much", line)
	}
	return nil
}

// setStart keeps a time that has a date before one that has none.
func (r *Record) setStart(t time.Time) {
	if r.Start.Year() <= 1 {
		r.Start = t
	}
}

// readValue sets what an operator stands for, now or later.
func readValue(o *operator, s string, r *Record, later *[]func() error) error {
	if o.clock != nil {
		t, rest, err := o.clock.parse(s)
		if err == nil && rest != "" {
			err = fmt.Errorf("parse time %q: %q is too much", s, rest)
		}
		if err == nil {
			r.setStart(t)
		}
		return err
	}
	if s == "-" {
		s = ""
	}
	if o.indirect() {
		*later = append(*later, func() error { return o.set(r, s) })
		return nil
	}
	return o.set(r, s)
}

// Reader reads lines of several formats. Any number of goroutines may use one.
type Reader struct{ formats []*Format }

// NewReader makes a reader of the given formats, tried first and in that order, and of all that this package knows.
func NewReader(custom ...*Format) *Reader {
	return &Reader{slices.Concat(custom, []*Format{
		IstioCurrent(), Istio14(), Istio11(), Envoy(),
		IstioCurrentJSON(), Istio14JSON(), Istio11JSON(),
	})}
}

// Read reads one line, with or without its line feed, and says which format it has. The error wraps ErrFormat.
func (rd *Reader) Read(line string) (Entry, error) {
	object := strings.HasPrefix(strings.TrimLeft(line, " \t"), "{")
	for _, f := range rd.formats {
		if object != f.JSON() && f.name != "custom" {
			continue
		}
		if r, err := f.Parse(line); err == nil {
			return Entry{r, f}, nil
		}
	}
	return Entry{}, fmt.Errorf("read %.60q: %w", strings.TrimRight(line, "\r\n"), ErrFormat)
}
