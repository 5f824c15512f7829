package manifest

import (
	"bytes"
	"errors"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// piece is the part of a file that holds one document: the separator above it, if any, and everything down to the next
// one. The pieces of a file follow each other without a gap; only a byte order mark stands before the first.
type piece struct {
	start, end int // bytes of the file
	line       int // of start, from 1
	sep        int // length of the `---` line with its line break; 0 where the piece has none, or more stands on that line
	content    bool
}

// byteOrderMark is what some editors put before the first character of a file.
const byteOrderMark = "\ufeff"

// cut divides a file into pieces. A line that starts with `---` is a separator wherever it stands: YAML allows it neither
// in a block scalar nor in a quoted one.
func cut(src []byte) []piece {
	var out []piece
	pos := 0
	if bytes.HasPrefix(src, []byte(byteOrderMark)) {
		pos = len(byteOrderMark)
	}
	cur, directive := piece{start: pos, line: 1}, false
	flush := func(at, line int) {
		if cur.end = at; cur.end > cur.start {
			out = append(out, cur)
		}
		cur, directive = piece{start: at, line: line}, false
	}
	for line := 1; pos < len(src); line++ {
		next := nextLine(src, pos)
		text := bytes.TrimRight(src[pos:next], " \t\r\n")
		switch {
		case isMarker(text, "---"):
			if !directive || cur.content {
				flush(pos, line)
			}
			rest := bytes.TrimLeft(text[3:], " \t")
			if len(rest) == 0 && cur.start == pos {
				cur.sep = next - pos
			}
			cur.content = len(rest) > 0 && rest[0] != '#'
			directive = false
		case isMarker(text, "..."):
			flush(next, line+1)
		case len(text) > 0 && text[0] == '%' && !cur.content:
			directive = true
		default:
			trimmed := bytes.TrimLeft(text, " \t")
			cur.content = cur.content || len(trimmed) > 0 && trimmed[0] != '#'
		}
		pos = next
	}
	flush(len(src), 0)
	return out
}

// nextLine gives the start of the line after the one that pos is in, or the end of src.
func nextLine(src []byte, pos int) int {
	if i := bytes.IndexByte(src[pos:], '\n'); i >= 0 {
		return pos + i + 1
	}
	return len(src)
}

// lineStart gives the start of the line that pos is in.
func lineStart(src []byte, pos int) int { return bytes.LastIndexByte(src[:pos], '\n') + 1 }

// errScan says that the scanner and the parser do not agree about the text, so nothing can be edited safely.
var errScan = errors.New("its YAML is written in a way that is not understood")

// source is the text of one piece with what turns the parser's positions into bytes.
type source struct {
	text  []byte
	lines []int // start of each line

	// The last position that was looked up: nodes come in order, and a minified file is one long line.
	line, col, pos int
}

func newSource(text []byte) *source {
	s := &source{text: text, lines: []int{0}}
	for i, b := range text {
		if b == '\n' {
			s.lines = append(s.lines, i+1)
		}
	}
	return s
}

// oddBreaks says whether the text has line breaks that YAML counts as such and text editors mostly do not.
func oddBreaks(text []byte) bool {
	for i, b := range text {
		if b == '\r' && (i+1 == len(text) || text[i+1] != '\n') {
			return true
		}
	}
	return bytes.ContainsAny(text, "\u0085\u2028\u2029")
}

// offset gives the byte of a node's start, properties (anchor, tag) included.
func (s *source) offset(n *yaml.Node) (int, error) {
	if n.Line < 1 || n.Line > len(s.lines) || n.Column < 1 {
		return 0, errScan
	}
	if n.Line != s.line || n.Column < s.col {
		s.line, s.col, s.pos = n.Line, 1, s.lines[n.Line-1]
	}
	for ; s.col < n.Column; s.col++ {
		if s.pos >= len(s.text) || s.text[s.pos] == '\n' {
			return 0, errScan
		}
		_, size := utf8.DecodeRune(s.text[s.pos:])
		s.pos += size
	}
	return s.pos, nil
}

// column gives the column of a byte, from 0, in runes.
func (s *source) column(pos int) int { return utf8.RuneCount(s.text[lineStart(s.text, pos):pos]) }

// first says whether only blanks stand before pos on its line.
func (s *source) first(pos int) bool {
	return len(bytes.TrimLeft(s.text[lineStart(s.text, pos):pos], " ")) == 0
}

// at gives the byte at pos, 0 past the end.
func (s *source) at(pos int) byte {
	if pos < 0 || pos >= len(s.text) {
		return 0
	}
	return s.text[pos]
}

// blankLine says whether the line at pos has only spaces and tabs.
func (s *source) blankLine(pos int) bool {
	return len(bytes.TrimSpace(s.text[pos:nextLine(s.text, pos)])) == 0
}

// commentLine says whether the line at pos is a comment alone, and its column.
func (s *source) commentLine(pos int) (int, bool) {
	line := s.text[pos:nextLine(s.text, pos)]
	trimmed := bytes.TrimLeft(line, " \t")
	return len(line) - len(trimmed), len(trimmed) > 0 && trimmed[0] == '#'
}

// commentsAbove gives the start of the comment lines that stand directly above the line of pos, at column col
// (any column where col is negative), or the start of that line.
func (s *source) commentsAbove(pos, col int) int {
	top := lineStart(s.text, pos)
	for top > 0 {
		above := lineStart(s.text, top-1)
		at, ok := s.commentLine(above)
		if !ok || col >= 0 && at != col {
			break
		}
		top = above
	}
	return top
}

// linesBelow gives the start of the line after the one that pos is in, past comment lines deeper than col.
func (s *source) linesBelow(pos, col int) int {
	next := nextLine(s.text, pos)
	for next < len(s.text) {
		at, ok := s.commentLine(next)
		if !ok || at <= col {
			break
		}
		next = nextLine(s.text, next)
	}
	return next
}

// skip moves over blanks, line breaks and comments.
func (s *source) skip(pos int) int {
	for pos < len(s.text) {
		switch c := s.text[pos]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			pos++
		case c == '#' && (pos == 0 || isBlank(s.text[pos-1])):
			pos = nextLine(s.text, pos)
		default:
			return pos
		}
	}
	return pos
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == 0 }

func isFlow(c byte) bool { return c == ',' || c == '[' || c == ']' || c == '{' || c == '}' }
