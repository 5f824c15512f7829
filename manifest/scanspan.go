package manifest

import (
	"bytes"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// span is where a node stands. Whole is the start with anchor and tag, start the start without; they are the same for
// most nodes. An empty value has start == end, right after its colon or dash.
type span struct{ whole, start, end int }

// span finds where a node ends. Indent is the column of the key or dash that holds it, -1 at the root: text of a plain
// scalar goes on only deeper than that. Flow says that the node stands inside brackets.
func (s *source) span(n *yaml.Node, indent int, flow bool) (span, error) {
	whole, err := s.offset(n)
	if err != nil {
		return span{}, err
	}
	sp := span{whole: whole, start: s.skipProperties(n, whole)}
	switch {
	case n.Kind == yaml.AliasNode:
		sp.end = s.wordEnd(sp.start)
	case n.Kind == yaml.ScalarNode:
		sp.end, err = s.scalarEnd(n, sp.start, indent, flow)
	case n.Style&yaml.FlowStyle != 0:
		sp.end, err = s.flowEnd(n, sp.start)
	default:
		sp.end, err = s.blockEnd(n, &sp, flow)
	}
	return sp, err
}

// skipProperties moves over the anchor and the tag of a node.
func (s *source) skipProperties(n *yaml.Node, pos int) int {
	if n.Kind == yaml.AliasNode {
		return pos
	}
	for s.at(pos) == '&' || s.at(pos) == '!' {
		end := s.wordEnd(pos)
		next := end
		for c := s.at(next); c == ' ' || c == '\t'; c = s.at(next) {
			next++
		}
		c := s.at(next)
		switch collection := n.Kind != yaml.ScalarNode; {
		case c == '&' || c == '!':
			pos = next
		case !collection && (c == 0 || c == '\n' || c == '\r' || c == '#'):
			return end // an empty value, or one on a later line, which is not understood
		case collection:
			return s.skip(end)
		default:
			return next
		}
	}
	return pos
}

// wordEnd gives the end of an alias, an anchor or a tag.
func (s *source) wordEnd(pos int) int {
	for pos < len(s.text) && !isBlank(s.text[pos]) && !isFlow(s.text[pos]) {
		pos++
	}
	return pos
}

func (s *source) scalarEnd(n *yaml.Node, pos, indent int, flow bool) (int, error) {
	switch {
	case n.Style&yaml.DoubleQuotedStyle != 0:
		return s.quotedEnd(pos, '"')
	case n.Style&yaml.SingleQuotedStyle != 0:
		return s.quotedEnd(pos, '\'')
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		return s.blockScalarEnd(pos, indent)
	case n.Value == "":
		return pos, nil
	}
	end := s.plainEnd(pos, indent, flow)
	if end == pos {
		return 0, errScan
	}
	return end, nil
}

func (s *source) quotedEnd(pos int, quote byte) (int, error) {
	if s.at(pos) != quote {
		return 0, errScan
	}
	for i := pos + 1; i < len(s.text); i++ {
		switch c := s.text[i]; {
		case c == '\\' && quote == '"':
			i++
		case c == quote && quote == '\'' && s.at(i+1) == quote:
			i++
		case c == quote:
			return i + 1, nil
		}
	}
	return 0, errScan
}

// plainEnd finds the end of a scalar without quotes. It may go on over several lines, until a comment, a line that is not
// deeper than indent, or (inside brackets) an indicator.
func (s *source) plainEnd(pos, indent int, flow bool) int {
	end, stop := s.plainLineEnd(pos, flow)
	for !stop {
		next := nextLine(s.text, end)
		for next < len(s.text) && s.blankLine(next) {
			next = nextLine(s.text, next)
		}
		line := s.text[next:]
		start := next + len(line) - len(bytes.TrimLeft(line, " \t"))
		if start >= len(s.text) || s.text[start] == '#' || !flow && start-next <= indent {
			break
		}
		var lineEnd int
		if lineEnd, stop = s.plainLineEnd(start, flow); lineEnd == start {
			break
		}
		end = lineEnd
	}
	return end
}

// plainLineEnd gives the end of the part of a plain scalar on the line of pos, and whether the scalar ends there for sure.
func (s *source) plainLineEnd(pos int, flow bool) (int, bool) {
	end := pos
	for i := pos; i < len(s.text); i++ {
		switch c := s.text[i]; {
		case c == '\n':
			return end, false
		case flow && isFlow(c), c == '#' && i > pos && isBlank(s.text[i-1]):
			return end, true
		case c == ':' && (isBlank(s.at(i+1)) || flow && isFlow(s.at(i+1))):
			return end, true
		case !isBlank(c):
			end = i + 1
		}
	}
	return end, true
}

// blockScalarEnd finds the end of the last line of a literal or folded scalar, trailing blank lines only where they count.
func (s *source) blockScalarEnd(pos, indent int) (int, error) {
	if c := s.at(pos); c != '|' && c != '>' {
		return 0, errScan
	}
	header := s.text[pos:nextLine(s.text, pos)]
	if i := bytes.IndexByte(header, '#'); i >= 0 {
		header = header[:i]
	}
	end := pos + len(bytes.TrimRight(header, " \t\r\n"))
	keep, depth := bytes.IndexByte(header, '+') >= 0, indent+1
	explicit := bytes.ContainsAny(header, "123456789")
	for next := nextLine(s.text, pos); next < len(s.text); next = nextLine(s.text, next) {
		line := bytes.TrimRight(s.text[next:nextLine(s.text, next)], "\r\n")
		at := len(line) - len(bytes.TrimLeft(line, " "))
		switch {
		case at == len(line):
			if keep {
				end = next + len(line)
			}
			continue
		case at < depth:
			return end, nil
		case !explicit:
			depth, explicit = at, true
		}
		end = next + len(line)
	}
	return end, nil
}

// flowEnd finds the closing bracket by walking over the children.
func (s *source) flowEnd(n *yaml.Node, pos int) (int, error) {
	closing := byte('}')
	if n.Kind == yaml.SequenceNode {
		closing = ']'
	}
	if open := s.at(pos); open != '{' && open != '[' {
		return 0, errScan
	}
	end := pos + 1
	for _, child := range n.Content {
		sp, err := s.span(child, 0, true)
		if err != nil {
			return 0, err
		}
		end = max(end, sp.end)
	}
	for end = s.skip(end); s.at(end) == ',' || s.at(end) == ':'; {
		end = s.skip(end + 1)
	}
	if s.at(end) != closing {
		return 0, errScan
	}
	return end + 1, nil
}

// blockEnd finds the end of the last child, and the true start of a collection whose properties stand on a line of
// their own. With flow it is the one pair of `[key: value]`, a mapping without brackets.
func (s *source) blockEnd(n *yaml.Node, sp *span, flow bool) (int, error) {
	if len(n.Content) == 0 {
		return 0, errScan
	}
	last := n.Content[len(n.Content)-1]
	if n.Kind == yaml.MappingNode {
		start, err := s.offset(n.Content[0])
		if err != nil {
			return 0, err
		}
		sp.start = start
	}
	child, err := s.span(last, s.column(sp.start), flow)
	return child.end, err
}

// dashOf finds the dash of a sequence's item: the nearest one above its content in the sequence's column.
func (s *source) dashOf(item *yaml.Node, col int) (int, error) {
	pos, err := s.offset(item)
	if err != nil {
		return 0, err
	}
	for line := lineStart(s.text, pos); ; line = lineStart(s.text, line-1) {
		if at := s.advance(line, col); at < pos && s.at(at) == '-' && isBlank(s.at(at+1)) {
			return at, nil
		}
		if line == 0 {
			return 0, errScan
		}
	}
}

// advance gives the byte at column col of the line at pos, at most its end.
func (s *source) advance(pos, col int) int {
	for ; col > 0 && pos < len(s.text) && s.text[pos] != '\n'; col-- {
		_, size := utf8.DecodeRune(s.text[pos:])
		pos += size
	}
	return pos
}
