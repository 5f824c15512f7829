package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// parseChunk gives the value of one document. The error is a *syntaxError with its place in the file.
// A document that holds nothing gives nil.
func parseChunk(c chunk) (*value, error) {
	if v, ok := quickParse(&c); ok {
		return v, nil
	}
	return fullParse(c)
}

// fullParse is parseChunk for any document.
func fullParse(c chunk) (*value, error) {
	if !c.json && !utf8.Valid(c.data) {
		return nil, invalidUTF8(c)
	}
	var doc yaml.Node
	if err := parseYAML(c.data, &doc); err != nil {
		if c.json { // JSON writes characters beyond U+FFFF as two escapes, which YAML does not know
			if data := joinSurrogates(c.data); data != nil && parseYAML(data, &doc) == nil {
				return convertDocument(c, &doc)
			}
		}
		return nil, explainSyntax(c, err)
	}
	return convertDocument(c, &doc)
}

func convertDocument(c chunk, doc *yaml.Node) (*value, error) {
	if len(doc.Content) == 0 {
		return nil, nil
	}
	conv := converter{chunk: &c}
	return conv.convert(doc.Content[0])
}

// parseYAML turns a panic of the parser, of which some are known, into an error: no input may end the process.
func parseYAML(data []byte, doc *yaml.Node) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("yaml: the parser gave up: %v", r)
		}
	}()
	return yaml.Unmarshal(data, doc)
}

func invalidUTF8(c chunk) error {
	at := 0
	for at < len(c.data) {
		r, n := utf8.DecodeRune(c.data[at:])
		if r == utf8.RuneError && n == 1 {
			break
		}
		at += n
	}
	line, col := c.at(positionAt(c.data, at))
	return &syntaxError{line: line, col: col, hint: "save the file as UTF-8",
		cause: fmt.Sprintf("byte 0x%02x is not UTF-8", c.data[at])}
}

var surrogates = regexp.MustCompile(`\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}`)

// joinSurrogates writes pairs of JSON escapes as YAML's single one; nil where there are none.
func joinSurrogates(data []byte) []byte {
	if !surrogates.Match(data) {
		return nil
	}
	return surrogates.ReplaceAllFunc(data, func(pair []byte) []byte {
		hi, _ := strconv.ParseUint(string(pair[2:6]), 16, 32)
		lo, _ := strconv.ParseUint(string(pair[8:12]), 16, 32)
		return fmt.Appendf(nil, `\U%08X`, utf16.DecodeRune(rune(hi), rune(lo)))
	})
}

// explainSyntax says where and why the parser stopped, in words that help.
func explainSyntax(c chunk, err error) error {
	cause := strings.TrimPrefix(err.Error(), "yaml: ")
	reported := 0
	if rest, ok := strings.CutPrefix(cause, "line "); ok {
		if n, text, ok := strings.Cut(rest, ": "); ok {
			reported, _ = strconv.Atoi(n)
			cause = text
		}
	}
	line := stoppedAt(c.data)
	if strings.Contains(cause, "unexpected end of stream") || strings.Contains(cause, "unknown anchor") || line == 0 {
		line = max(reported, 1) // what was opened there was never closed
	}
	text := lineOf(c.data, line)
	col := 1 + len(text) - len(bytes.TrimLeft(text, " \t"))
	if i := bytes.IndexByte(text, '\t'); i >= 0 && len(bytes.TrimLeft(text[:i], " -")) == 0 {
		col = 1 + i
	}
	line, col = c.at(line, col)
	hint := syntaxHint(cause, text)
	if strings.Contains(cause, "unknown anchor") {
		// The parser names it; but an unquoted value of a Secret may begin with a star, and is no anchor's name.
		cause = "an alias names an anchor that is not there"
	}
	return &syntaxError{line: line, col: col, cause: cause, hint: hint}
}

// stoppedAt gives the line that the parser was reading when it gave up: it reports the line where the enclosing block
// began, which may be far above. 0 where it does not give up.
func stoppedAt(data []byte) int {
	r := &byteReader{data: data}
	dec := yaml.NewDecoder(r)
	err := func() (err error) {
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("%v", p)
			}
		}()
		return dec.Decode(new(yaml.Node))
	}()
	if err == nil || errors.Is(err, io.EOF) {
		return 0
	}
	read := bytes.TrimRight(data[:r.at], " \t\r\n")
	if r.at < len(data) && len(read) > 0 {
		// The parser looks a few bytes ahead, often over the end of the line.
		read = data[:max(0, r.at-lookAhead)]
	}
	return 1 + bytes.Count(read, []byte("\n"))
}

// lookAhead is how many bytes the parser may hold that it has not judged yet.
const lookAhead = 3

// byteReader hands out one byte at a time, so that at tells how far its reader came.
type byteReader struct {
	data []byte
	at   int
}

func (r *byteReader) Read(p []byte) (int, error) {
	if r.at == len(r.data) {
		return 0, io.EOF
	}
	p[0] = r.data[r.at]
	r.at++
	return 1, nil
}

func lineOf(data []byte, line int) []byte {
	for ; line > 1; line-- {
		i := bytes.IndexByte(data, '\n')
		if i < 0 {
			return nil
		}
		data = data[i+1:]
	}
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		data = data[:i]
	}
	return bytes.TrimRight(data, "\r")
}

// syntaxHint says what is most often behind a message of the parser.
func syntaxHint(cause string, line []byte) string {
	indent := line[:len(line)-len(bytes.TrimLeft(line, " \t"))]
	switch {
	case bytes.IndexByte(indent, '\t') >= 0 || strings.Contains(cause, "found character that cannot start any token") && bytes.IndexByte(line, '\t') >= 0:
		return "YAML is indented with spaces; replace the tab"
	case strings.Contains(cause, "cannot start any token"):
		return "put the value in quotes: it begins with a character that YAML keeps for itself"
	case strings.Contains(cause, "mapping values are not allowed"):
		return "indent this line like its neighbours, give the line above its colon, or quote a value that holds a colon and a space"
	case strings.Contains(cause, "did not find expected key"), strings.Contains(cause, "did not find expected '-' indicator"),
		strings.Contains(cause, "block sequence entries are not allowed"):
		return "indent this line like its neighbours"
	case strings.Contains(cause, "could not find expected ':'"):
		return "write `key: value`, with a space after the colon"
	case strings.Contains(cause, "did not find expected ',' or"):
		return "close the bracket that was opened before"
	case strings.Contains(cause, "unexpected end of stream"):
		return "close the quote or bracket that is opened here"
	case strings.Contains(cause, "unknown anchor"):
		return "put a value that begins with * in quotes, or define the anchor in the same document, before it is used"
	}
	return "look at the indentation and the quotes of this line and the one above"
}
