package manifest

import (
	"bytes"
	"maps"
	"slices"
	"strings"
)

// applyFlow writes the entries that go and come of a collection in brackets, at least one of which stays. An entry takes
// the comma before it along; one at the start the comma after it. What is added brings the same comma, so that adding
// and removing undo each other.
func (e *editor) applyFlow(m *collection) error {
	stays := slices.IndexFunc(m.entries, func(en entry) bool { return !en.gone })
	for i, en := range m.entries {
		start, end := en.start, m.entries[stays].start
		switch {
		case !en.gone || i > 0 && i < stays:
			continue
		case i > stays:
			start, end = m.entries[i-1].end, en.end
		}
		if e.comment(start, end) {
			return errComment
		}
		e.add(start, end, "")
	}
	for _, at := range slices.Sorted(maps.Keys(m.added)) {
		e.addFlow(m, at, stays)
	}
	return nil
}

func (e *editor) addFlow(m *collection, at, stays int) {
	sep := ", "
	broken := e.first(m.entries[0].start)
	if broken {
		sep = ",\n" + strings.Repeat(" ", e.column(m.entries[0].start))
	}
	var texts []string
	for _, a := range m.added[at] {
		text := e.flowText(a.value, broken && e.json, e.lineIndent(m.entries[0].start))
		if !a.item {
			text = e.key(a.key) + ": " + text
		}
		texts = append(texts, text)
	}
	text := strings.Join(texts, sep)
	if at < 0 {
		e.add(m.entries[stays].start, m.entries[stays].start, text+sep)
		return
	}
	e.add(m.entries[at].end, m.entries[at].end, sep+text)
}

// comment says whether a comment may stand between two bytes. A `#` in quotes counts too: the edit is then refused.
func (e *editor) comment(start, end int) bool {
	return bytes.Contains(e.text[start:end], []byte(" #")) || bytes.Contains(e.text[start:end], []byte("\n#"))
}

// replaceFlow writes another value inside brackets.
func (e *editor) replaceFlow(c cell, sp span, after any) {
	var text string
	if s, ok := after.(string); ok {
		text = e.scalarText(c.node, s, true)
	} else {
		text = e.flowText(after, e.pretty(sp.start), e.lineIndent(sp.start))
	}
	if sp.start == sp.end && !c.item {
		sp.start, sp.end = c.from, c.from // the parser gives an empty value the place of the next token
		text = " " + text
	}
	e.add(sp.start, sp.end, text)
}

// pretty says whether a collection at pos is written over several lines: in JSON that is.
func (e *editor) pretty(pos int) bool { return e.json && e.lineIndent(pos) > 0 }

// lineIndent gives the indentation of the line that pos is in.
func (e *editor) lineIndent(pos int) int {
	line := e.text[lineStart(e.text, pos):]
	return len(line) - len(bytes.TrimLeft(line, " "))
}

// flowText prints a value for a place inside brackets; broken over several lines if pretty, the closing bracket at
// column col.
func (st style) flowText(v any, pretty bool, col int) string {
	var parts []string
	brackets := "{}"
	switch v := v.(type) {
	case map[string]any:
		for _, k := range sortedKeys(v, "") {
			parts = append(parts, st.key(k)+": "+st.flowText(v[k], pretty, col+st.step))
		}
	case []any:
		brackets = "[]"
		for _, item := range v {
			parts = append(parts, st.flowText(item, pretty, col+st.step))
		}
	}
	if len(parts) == 0 || !pretty {
		return st.inline(v, true)
	}
	inner := "\n" + strings.Repeat(" ", col+st.step)
	return brackets[:1] + inner + strings.Join(parts, ","+inner) + "\n" + strings.Repeat(" ", col) + brackets[1:]
}
