package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"unicode/utf8"

	"github.com/oarlock/oarlock/mesh"
)

// chunk is the text of one document with the place where it begins.
type chunk struct {
	file string
	line int // of the first byte, from 1
	col  int // of the first byte, from 1 in runes
	data []byte
	json bool // the text is valid JSON

	// For text that was found inside another document:
	indent int  // added to every column
	fixed  bool // every position is line and col: the text cannot be traced line by line
}

// at turns a position in the text into one of the file.
func (c *chunk) at(line, col int) (int, int) {
	if c.fixed {
		return c.line, c.col
	}
	if line == 1 {
		col += c.col - 1
	}
	return c.line + line - 1, c.indent + col
}

// utf8BOM may stand before the first document and is not part of it.
const utf8BOM = "\xef\xbb\xbf"

// splitFile cuts a file into its documents. Documents without content are left out. A file that is no text gives a
// problem and no documents.
func splitFile(f File) ([]chunk, *mesh.Problem) {
	data := bytes.TrimPrefix(f.Data, []byte(utf8BOM))
	if p := refuseBinary(f.Name, data); p != nil {
		return nil, p
	}
	if chunks := splitJSON(f.Name, data); chunks != nil {
		return chunks, nil
	}
	return splitYAML(f.Name, data), nil
}

func refuseBinary(name string, data []byte) *mesh.Problem {
	p := &mesh.Problem{Severity: mesh.Error, Origin: mesh.Origin{File: name, Line: 1, Col: 1}}
	if len(data) >= 2 && (string(data[:2]) == "\xff\xfe" || string(data[:2]) == "\xfe\xff") {
		p.Message = "read " + name + ": the text is UTF-16"
		p.Hint = "save it as UTF-8, for instance with `iconv -f UTF-16 -t UTF-8`"
		return p
	}
	if i := bytes.IndexByte(data, 0); i >= 0 {
		p.Message = "read " + name + ": this is not text"
		p.Hint = "leave the file out; manifests are YAML or JSON in UTF-8"
		p.Origin.Line, p.Origin.Col = positionAt(data, i)
		return p
	}
	return nil
}

// positionAt gives the line and the column in runes of a byte offset, both from 1.
func positionAt(data []byte, offset int) (line, col int) {
	before := data[:offset]
	line = 1 + bytes.Count(before, []byte("\n"))
	return line, 1 + utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:])
}

// splitJSON cuts a file of one or several JSON values, which may follow one another without a separator.
// It gives nil for anything else.
func splitJSON(name string, data []byte) []chunk {
	if head := bytes.TrimLeft(data, " \t\r\n"); len(head) == 0 || head[0] != '{' && head[0] != '[' {
		return nil
	}
	var chunks []chunk
	dec := json.NewDecoder(bytes.NewReader(data))
	line, col, at := 1, 1, 0
	for {
		var raw json.RawMessage
		if err := dec.Decode(&raw); errors.Is(err, io.EOF) {
			return chunks
		} else if err != nil {
			return nil // a flow mapping, or broken: YAML's parser says what is wrong
		}
		start := int(dec.InputOffset()) - len(raw)
		if n := bytes.Count(data[at:start], []byte("\n")); n > 0 {
			line, col = line+n, 1
			at = bytes.LastIndexByte(data[:start], '\n') + 1
		}
		col += utf8.RuneCount(data[at:start])
		at = start
		chunks = append(chunks, chunk{file: name, line: line, col: col, data: raw, json: true})
	}
}

// splitYAML cuts at document markers, which YAML allows nowhere but at the start of a line, not even in a block scalar.
// A "---" line belongs to the document that it begins, because content may follow it on the same line.
func splitYAML(name string, data []byte) []chunk {
	var chunks []chunk
	start, startLine, line := 0, 1, 1
	directives := false // all that stands since start are directives: "---" goes with them
	content := false
	end := func(at int) {
		if content {
			chunks = append(chunks, chunk{file: name, line: startLine, col: 1, data: data[start:at]})
		}
	}
	for at := 0; at < len(data); line++ {
		next := at + bytes.IndexByte(data[at:], '\n') + 1
		if next == at {
			next = len(data)
		}
		text := data[at:next]
		switch {
		case isMarker(text, "---"):
			if !directives || content {
				end(at)
				start, startLine = at, line
			}
			directives, content = false, hasContent(text[3:])
		case isMarker(text, "..."):
			end(at)
			start, startLine = next, line+1
			directives, content = false, false
		case text[0] == '%' && !content:
			directives = true
		case !content:
			content = hasContent(text)
		}
		at = next
	}
	end(len(data))
	return chunks
}

func isMarker(line []byte, marker string) bool {
	return len(line) >= 3 && string(line[:3]) == marker &&
		(len(line) == 3 || line[3] == ' ' || line[3] == '\t' || line[3] == '\r' || line[3] == '\n')
}

// hasContent says whether a line holds more than blanks and a comment.
func hasContent(line []byte) bool {
	line = bytes.TrimLeft(line, " \t\r\n")
	return len(line) > 0 && line[0] != '#'
}
