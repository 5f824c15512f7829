package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// splice puts text in the place of the bytes from start to end.
type splice struct {
	start, end int
	text       string
}

// editor turns the difference of two trees into splices of the document that holds the first.
type editor struct {
	*source
	style
	splices []splice
}

// cell is the place of one value: after a key's colon, after a dash, or at the root.
type cell struct {
	node   *yaml.Node
	indent int  // column of the key or dash, -1 at the root
	from   int  // byte after the colon or dash
	item   bool // of a sequence
	flow   bool // inside brackets
	key    string
}

// Reasons why an edit is refused.
var (
	errAlias       = errors.New("the value comes through a YAML alias; write it out and try again")
	errAnchor      = errors.New("the document shares values through YAML anchors, so that the edit would change more than was asked")
	errMerge       = errors.New("the key comes through a YAML merge key (<<); write it out and try again")
	errBlockScalar = errors.New("the value is a YAML block scalar (| or >)")
	errTabs        = errors.New("the document has tabs where YAML wants spaces")
	errComment     = errors.New("a comment inside brackets stands in the way")
)

// change edits the value in a cell from before, which it holds, to after.
func (e *editor) change(c cell, before, after any) error {
	if sameTree(before, after) {
		return nil
	}
	if c.node.Kind == yaml.AliasNode {
		return errAlias
	}
	old, isMap := before.(map[string]any)
	next, toMap := after.(map[string]any)
	if isMap && toMap && c.node.Kind == yaml.MappingNode && len(c.node.Content) > 0 {
		return e.changeMapping(c, old, next)
	}
	was, isSlice := before.([]any)
	will, toSlice := after.([]any)
	if isSlice && toSlice && c.node.Kind == yaml.SequenceNode && len(c.node.Content) > 0 {
		return e.changeSequence(c, was, will)
	}
	return e.replace(c, after)
}

// entry is one pair of a mapping or one item of a sequence. Start is where its key or dash stands (in brackets, where it
// begins), end where its value ends.
type entry struct {
	cell
	start, end int
	gone       bool
}

// addition is a new entry: a pair of a mapping, or an item of a sequence (which has no key).
type addition struct {
	key   string
	value any
	item  bool
}

// collection is a mapping or sequence whose entries change. Added lists new entries by the index of the entry that stands
// before them, -1 for the start.
type collection struct {
	cell
	span
	col     int // of the keys or dashes
	entries []entry
	added   map[int][]addition
}

func (e *editor) open(c cell) (*collection, error) {
	sp, err := e.span(c.node, c.indent, c.flow)
	if err != nil {
		return nil, err
	}
	col := &collection{cell: c, span: sp, col: e.column(sp.start), added: map[int][]addition{}}
	col.flow = c.flow || c.node.Style&yaml.FlowStyle != 0
	if col.flow && e.at(sp.start) != '{' && e.at(sp.start) != '[' {
		return nil, errScan
	}
	return col, nil
}

func (e *editor) changeMapping(c cell, before, after map[string]any) error {
	m, err := e.open(c)
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(c.node.Content); i += 2 {
		if err := e.mappingEntry(m, c.node.Content[i], c.node.Content[i+1]); err != nil {
			return err
		}
		seen[m.entries[i/2].key] = true
	}
	for i := range m.entries {
		en := &m.entries[i]
		if en.key == mergeKey {
			continue
		}
		value, stays := after[en.key]
		if en.gone = !stays; en.gone {
			continue
		}
		if err := e.change(en.cell, before[en.key], value); err != nil {
			return err
		}
	}
	for k := range before {
		if !seen[k] && !sameTree(before[k], after[k]) {
			return errMerge
		}
	}
	for _, k := range sortedKeys(after, c.key) {
		if _, there := before[k]; !there {
			at := m.place(k)
			m.added[at] = append(m.added[at], addition{key: k, value: after[k]})
		}
	}
	return e.apply(m, after)
}

// mergeKey stands for `<<`, which no key of a Tree can be mistaken for.
const mergeKey = "<<\x00"

func (e *editor) mappingEntry(m *collection, key, value *yaml.Node) error {
	name := mergeKey
	if !isMergeKey(key) {
		var err error
		if name, err = keyText(key); err != nil {
			return err
		}
	}
	ks, err := e.span(key, m.col, m.flow)
	if err != nil {
		return err
	}
	en := entry{cell: cell{node: value, indent: m.col, flow: m.flow, key: name}, start: ks.whole}
	colon := e.skip(ks.end)
	if e.at(colon) != ':' || !m.flow && (e.column(ks.whole) != m.col || lineStart(e.text, colon) > ks.end) {
		return errScan // an explicit key (`? key`), or a key alone in brackets
	}
	en.from = colon + 1
	vs, err := e.span(value, m.col, m.flow)
	if err != nil {
		return err
	}
	if en.end = max(vs.end, en.from); vs.whole < en.from {
		return errScan
	}
	if vs.start == vs.end {
		en.end = en.from // the parser gives an empty value in brackets the place of the next token
	}
	m.entries = append(m.entries, en)
	return nil
}

// place gives the index of the entry that a new key belongs after: the last one that is customarily written before it.
func (m *collection) place(key string) int {
	if !freeKeys(m.key) && keyRank(key) == len(customary) {
		return m.last()
	}
	at, known := -1, false
	for i, en := range m.entries {
		if en.gone {
			continue
		}
		known = known || freeKeys(m.key) || keyRank(en.key) < len(customary)
		if compareKeys(en.key, key, m.key) < 0 {
			at = i
		}
	}
	if !known {
		return m.last()
	}
	return at
}

// last gives the index of the last entry that stays, -1 without one.
func (m *collection) last() int {
	for i := len(m.entries) - 1; i >= 0; i-- {
		if !m.entries[i].gone {
			return i
		}
	}
	return -1
}

func (e *editor) changeSequence(c cell, before, after []any) error {
	m, err := e.open(c)
	if err != nil {
		return err
	}
	for _, item := range c.node.Content {
		if err := e.sequenceEntry(m, item); err != nil {
			return err
		}
	}
	at := -1
	for _, s := range align(before, after) {
		switch {
		case s.new < 0:
			m.entries[s.old].gone = true
		case s.old < 0:
			m.added[at] = append(m.added[at], addition{value: after[s.new], item: true})
		default:
			at = s.old
			if err := e.change(m.entries[s.old].cell, before[s.old], after[s.new]); err != nil {
				return err
			}
		}
	}
	return e.apply(m, after)
}

func (e *editor) sequenceEntry(m *collection, item *yaml.Node) error {
	sp, err := e.span(item, m.col, m.flow)
	if err != nil {
		return err
	}
	en := entry{cell: cell{node: item, indent: m.col, item: true, flow: m.flow}, start: sp.whole, end: sp.end}
	if en.from = sp.whole; !m.flow {
		if en.start, err = e.dashOf(item, m.col); err != nil {
			return err
		}
		en.from = en.start + 1
		en.end = max(sp.end, en.from)
	}
	m.entries = append(m.entries, en)
	return nil
}

// apply writes the entries that go and come. What is inside the others has been written already.
func (e *editor) apply(m *collection, after any) error {
	gone := slices.ContainsFunc(m.entries, func(en entry) bool { return en.gone })
	switch {
	case !gone && len(m.added) == 0:
		return nil
	case m.last() < 0:
		return e.empty(m, after)
	case m.flow:
		return e.applyFlow(m)
	}
	e.applyBlock(m)
	return nil
}

// inlineFirst says whether the first entry stands on the line of the dash that holds the collection.
func (e *editor) inlineFirst(m *collection) bool { return !e.first(m.entries[0].start) }

// empty removes every entry and writes in their place what is new, or empty brackets.
func (e *editor) empty(m *collection, after any) error {
	switch {
	case m.indent < 0 && !m.flow:
		return errScan
	case m.flow, e.inlineFirst(m):
		e.splices = append(e.splices, splice{m.span.start, m.span.end, e.render(m.cell, after, m.span.start)})
		return nil
	}
	for _, en := range m.entries {
		e.cutLines(m, en)
	}
	below := e.linesBelow(m.entries[len(m.entries)-1].end, m.col)
	if len(m.added) == 0 {
		e.add(m.from, m.from, " "+e.inline(after, false))
	} else {
		e.add(below, below, e.block(after, m.col)+"\n")
	}
	return nil
}

func (e *editor) add(start, end int, text string) {
	e.splices = append(e.splices, splice{start, end, text})
}

// cutLines removes the lines of an entry, with the comments that belong to it.
func (e *editor) cutLines(m *collection, en entry) {
	e.add(e.commentsAbove(en.start, m.col), e.linesBelow(en.end, m.col), "")
}

func (e *editor) applyBlock(m *collection) {
	firstStays := slices.IndexFunc(m.entries, func(en entry) bool { return !en.gone })
	inline := e.inlineFirst(m)
	for i, en := range m.entries {
		switch {
		case !en.gone:
		case inline && i == 0:
			e.cutInline(en, m.entries[firstStays])
		case inline && i < firstStays:
			if !e.ownLinesKept(m.entries[0], m.entries[firstStays]) {
				continue // cut with the first
			}
			e.cutLines(m, en)
		default:
			e.cutLines(m, en)
		}
	}
	indent := strings.Repeat(" ", m.col)
	for _, at := range slices.Sorted(maps.Keys(m.added)) {
		var b strings.Builder
		for _, a := range m.added[at] {
			b.WriteString(indent + e.entryText(a, m.col) + "\n")
		}
		switch {
		case at >= 0:
			below := e.linesBelow(m.entries[at].end, m.col)
			e.add(below, below, b.String())
		case inline && firstStays == 0:
			start := m.entries[0].start
			e.add(start, start, strings.TrimPrefix(b.String(), indent)+indent)
		case inline:
			start := m.entries[firstStays].start
			if e.ownLinesKept(m.entries[0], m.entries[firstStays]) {
				start = m.entries[0].end // after `-`, on lines of their own
				e.add(nextLine(e.text, start), nextLine(e.text, start), b.String())
				continue
			}
			e.add(start, start, strings.TrimPrefix(b.String(), indent)+indent)
		default:
			top := e.commentsAbove(m.entries[0].start, m.col)
			e.add(top, top, b.String())
		}
	}
}

// cutInline removes the first entries of a collection that begins on the line of a dash, so that the next one moves up to
// the dash. Comments between them must not be lost: then the dash stays alone on its line.
func (e *editor) cutInline(first, next entry) {
	if e.ownLinesKept(first, next) {
		start := first.start
		for start > 0 && e.text[start-1] == ' ' {
			start--
		}
		e.add(start, first.end, "")
		return
	}
	e.add(first.start, next.start, "")
}

// ownLinesKept says whether a comment stands between two entries.
func (e *editor) ownLinesKept(first, next entry) bool {
	for pos := nextLine(e.text, first.end); pos < next.start; pos = nextLine(e.text, pos) {
		if _, ok := e.commentLine(pos); ok {
			return true
		}
	}
	return false
}

// entryText prints a new pair or item of a block collection.
func (e *editor) entryText(a addition, col int) string {
	if a.item {
		return "- " + e.compact(a.value, col+2, "")
	}
	return e.pair(a.key, a.value, col)
}

// render prints a value for the place of one that begins at pos and does not stand on lines of its own.
func (e *editor) render(c cell, v any, pos int) string {
	if c.flow {
		return e.flowText(v, e.pretty(pos), e.lineIndent(pos))
	}
	return e.compact(v, e.column(pos), c.key)
}

// replace writes a value of another kind, or another scalar.
func (e *editor) replace(c cell, after any) error {
	sp, err := e.span(c.node, c.indent, c.flow)
	if err != nil {
		return err
	}
	if c.node.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		return errBlockScalar
	}
	if c.node.Style&yaml.TaggedStyle != 0 {
		sp.start = sp.whole
	}
	wasBlock := c.node.Kind != yaml.ScalarNode && c.node.Style&yaml.FlowStyle == 0
	switch toBlock := weight(after) > 1; {
	case c.flow:
		e.replaceFlow(c, sp, after)
	case wasBlock && c.item && !e.first(sp.start):
		e.add(sp.start, sp.end, e.compact(after, e.column(sp.start), c.key))
	case wasBlock:
		lines, _ := e.belowKey(c, after, toBlock)
		e.add(e.commentsAbove(sp.start, e.column(sp.start)), e.linesBelow(sp.end, e.column(sp.start)), lines)
		if !toBlock {
			e.add(c.from, c.from, " "+e.inline(after, false))
		}
	case !toBlock:
		e.replaceInline(sp, " ", e.scalarText(c.node, after, false))
	case c.item:
		e.replaceItem(c, sp, after)
	default:
		e.replaceByLines(c, sp, after)
	}
	return nil
}

// replaceItem turns a value behind a dash into a block that begins there, or into brackets if a comment follows it.
func (e *editor) replaceItem(c cell, sp span, after any) {
	col := e.column(sp.start)
	if sp.start == sp.end {
		col = e.column(c.from) + 1
	}
	text := e.compact(after, col, c.key)
	if rest := e.text[sp.end:nextLine(e.text, sp.end)]; len(bytes.TrimSpace(rest)) > 0 {
		text = e.inline(after, false)
	}
	e.replaceInline(sp, " ", text)
}

// replaceInline puts text in the place of a value; an empty one needs a blank before.
func (e *editor) replaceInline(sp span, blank, text string) {
	if sp.start == sp.end {
		text = blank + text
	}
	e.add(sp.start, sp.end, text)
}

// belowKey prints a block value on the lines under its key, nothing for another value, and gives its column.
func (e *editor) belowKey(c cell, v any, block bool) (string, int) {
	depth := e.step
	if _, ok := v.([]any); ok {
		depth = e.seq
	}
	col := max(c.indent, 0) + depth
	if !block {
		return "", col
	}
	return strings.Repeat(" ", col) + e.compact(v, col, c.key) + "\n", col
}

// replaceByLines turns a value on the line of its key into a block below it. A comment on that line stays there, and so
// does one below that is deeper than the block.
func (e *editor) replaceByLines(c cell, sp span, after any) {
	lines, col := e.belowKey(c, after, true)
	if lineStart(e.text, sp.start) != lineStart(e.text, c.from) {
		e.add(lineStart(e.text, sp.start), nextLine(e.text, sp.end), lines)
		return
	}
	e.add(c.from, sp.end, "")
	below := e.linesBelow(sp.end, col)
	e.add(below, below, lines)
}

// scalarText prints a scalar or empty collection in the place of a node, with the node's quotes where it has some.
func (e *editor) scalarText(n *yaml.Node, v any, flow bool) string {
	s, ok := v.(string)
	switch {
	case !ok:
		return e.inline(v, flow)
	case n.Style&yaml.SingleQuotedStyle != 0:
		return quoted(s, '\'')
	case n.Style&yaml.DoubleQuotedStyle != 0:
		return quoted(s, '"')
	}
	return e.str(s, flow)
}

// result gives the text with every splice done.
func (e *editor) result() ([]byte, error) {
	slices.SortStableFunc(e.splices, func(a, b splice) int {
		if a.start != b.start {
			return a.start - b.start
		}
		return a.end - b.end
	})
	crlf := bytes.Contains(e.text, []byte("\r\n"))
	var out []byte
	pos := 0
	for _, s := range e.splices {
		if s.start < pos || s.end < s.start {
			return nil, fmt.Errorf("%w: two edits overlap", errScan)
		}
		text := s.text
		if crlf {
			text = strings.ReplaceAll(text, "\n", "\r\n")
		}
		out = append(append(out, e.text[pos:s.start]...), text...)
		pos = s.end
	}
	return append(out, e.text[pos:]...), nil
}
