package casefile

import (
	"fmt"
	"slices"
	"strings"

	"github.com/oarlock/oarlock/mesh"
)

// VersionLine is the first line of every case file.
const VersionLine = "oarlock cases 1"

// File is one file of cases, read but not run.
type File struct {
	Name  string // as given to Parse; `use` paths are relative to its folder
	Cases []*Case

	lines  []string // without line ends
	shared given
}

// Case is one mesh and what is expected of it.
type Case struct {
	ID    string // the first word after `case`, unique in its file
	Title string
	Line  int // of the `case` line, from 1

	given      given
	statements []statement
}

// given is what a case, or the head of a file, says about the mesh.
type given struct {
	dialects []mesh.Dialect
	uses     []use
	blocks   []block
	lenient  bool
}

// use names a manifest beside the case file.
type use struct {
	line int
	path string
}

// block is the lines of one `mesh` keyword: lines[keyword] is the keyword, lines[keyword+1:end] its YAML.
type block struct{ keyword, end int }

// statement is one question with the answers expected to it.
type statement struct {
	line  int
	text  string // as written, without its wants
	verb  string
	args  []string
	wants []want
}

// want is one expected answer.
type want struct {
	line  int
	key   string
	value string
}

// parser walks the lines of one file.
type parser struct {
	file *File
	at   int   // index of the line in hand
	in   *Case // nil in the head of the file
}

// Parse reads a case file. Its errors begin with "name:line: ".
func Parse(name string, data []byte) (*File, error) {
	text := strings.TrimPrefix(string(data), "\ufeff")
	p := &parser{file: &File{Name: name, lines: strings.Split(text, "\n")}}
	for i, l := range p.file.lines {
		p.file.lines[i] = strings.TrimRight(l, " \t\r")
	}
	if p.file.lines[0] != VersionLine {
		return nil, p.errorf("the first line is %q, want %q", p.file.lines[0], VersionLine)
	}
	for p.at = 1; p.at < len(p.file.lines); p.at++ {
		if err := p.line(p.file.lines[p.at]); err != nil {
			return nil, err
		}
	}
	if p.in == nil {
		return nil, p.errorf("no case in this file")
	}
	return p.file, p.close()
}

// errorf makes an error about the line in hand.
func (p *parser) errorf(format string, args ...any) error {
	return p.errorAt(min(p.at, len(p.file.lines)-1)+1, format, args...)
}

// errorAt makes an error about a line, counted from 1.
func (p *parser) errorAt(line int, format string, args ...any) error {
	return fmt.Errorf("%s:%d: %w", p.file.Name, line, fmt.Errorf(format, args...))
}

// line takes in one line outside of a mesh block.
func (p *parser) line(l string) error {
	switch {
	case l == "" || l[0] == '#':
		return nil
	case l[0] == ' ' || l[0] == '\t':
		return p.want(strings.TrimSpace(l))
	}
	word, rest, _ := strings.Cut(l, " ")
	rest = strings.TrimSpace(rest)
	switch word {
	case "case":
		return p.startCase(rest)
	case "dialect":
		return p.dialects(rest)
	case "use":
		if rest == "" {
			return p.errorf("use: want the path of a manifest")
		}
		g := p.given()
		g.uses = append(g.uses, use{line: p.at + 1, path: rest})
		return nil
	case "lenient":
		if rest != "" {
			return p.errorf("lenient: want nothing after the word")
		}
		p.given().lenient = true
		return nil
	case "mesh":
		if rest != "" {
			return p.errorf("mesh: want nothing after the word; its YAML follows on the next lines, indented by two spaces")
		}
		return p.mesh()
	}
	return p.statement(word, rest)
}

// given is where the keywords dialect, use and mesh put what they say.
func (p *parser) given() *given {
	if p.in != nil {
		return &p.in.given
	}
	return &p.file.shared
}

func (p *parser) startCase(rest string) error {
	if err := p.close(); err != nil {
		return err
	}
	id, title, _ := strings.Cut(rest, " ")
	if id == "" {
		return p.errorf("case: want an id and a title")
	}
	for _, c := range p.file.Cases {
		if c.ID == id {
			return p.errorf("case %s: the case of line %d has the same id", id, c.Line)
		}
	}
	p.in = &Case{ID: id, Title: strings.TrimSpace(title), Line: p.at + 1}
	p.file.Cases = append(p.file.Cases, p.in)
	return nil
}

// close checks the case in hand: one that expects nothing could never fail.
func (p *parser) close() error {
	if p.in == nil {
		return nil
	}
	if len(p.in.statements) == 0 {
		return p.errorAt(p.in.Line, "case %s expects nothing: add one of %s", p.in.ID, strings.Join(verbNames(), ", "))
	}
	for _, s := range p.in.statements {
		if needsWants(s.verb) && len(s.wants) == 0 {
			return p.errorAt(s.line, "%s expects nothing: add an indented line with one of %s", s.verb, keyNames(s.verb))
		}
	}
	return nil
}

func (p *parser) dialects(rest string) error {
	g := p.given()
	if len(g.dialects) > 0 {
		return p.errorf("dialect: said before; name several on one line to run the case in each")
	}
	for _, w := range strings.Fields(rest) {
		d, err := mesh.ParseDialect(w)
		if err != nil {
			return p.errorf("%w", err)
		}
		if slices.Contains(g.dialects, d) {
			return p.errorf("dialect %s: named twice", w)
		}
		g.dialects = append(g.dialects, d)
	}
	if len(g.dialects) == 0 {
		return p.errorf("dialect: want one or more of %s", strings.Join(mesh.Dialects(), ", "))
	}
	return nil
}

// mesh steps over the YAML of a block: every line up to the next one that is neither empty, nor indented, nor a comment.
func (p *parser) mesh() error {
	b := block{keyword: p.at}
	filled := false
	for p.at+1 < len(p.file.lines) {
		l := p.file.lines[p.at+1]
		if l != "" && l[0] != '#' && !strings.HasPrefix(l, "  ") {
			if l[0] == ' ' || l[0] == '\t' {
				p.at++
				return p.errorf("mesh: want YAML indented by two spaces")
			}
			break
		}
		filled = filled || strings.HasPrefix(l, "  ")
		p.at++
	}
	if !filled {
		return p.errorf("mesh: want YAML on the next lines, indented by two spaces")
	}
	b.end = p.at + 1
	g := p.given()
	g.blocks = append(g.blocks, b)
	return nil
}

// statement takes in one question.
func (p *parser) statement(word, rest string) error {
	if !slices.Contains(verbNames(), word) {
		known := append([]string{"case", "dialect", "lenient", "use", "mesh"}, verbNames()...)
		return p.errorf("unknown word %q%s", word, hint(word, known))
	}
	if p.in == nil {
		return p.errorf("%s before the first case: only dialect, lenient, use and mesh stand there", word)
	}
	args, err := split(rest)
	if err != nil {
		return p.errorf("%s: %w", word, err)
	}
	if err := checkArgs(word, args); err != nil {
		return p.errorf("%s: %w", word, err)
	}
	p.in.statements = append(p.in.statements,
		statement{line: p.at + 1, text: strings.TrimSpace(word + " " + rest), verb: word, args: args})
	return nil
}

// want takes in one indented line.
func (p *parser) want(l string) error {
	if p.in == nil || len(p.in.statements) == 0 {
		return p.errorf("indented line %q belongs to nothing: it stands below mesh or below one of %s", l, strings.Join(verbNames(), ", "))
	}
	s := &p.in.statements[len(p.in.statements)-1]
	word, value, _ := strings.Cut(l, " ")
	value = strings.Join(strings.Fields(value), " ")
	k, ok := findKey(s.verb, word)
	if !ok {
		return p.errorf("%s: unknown key %q%s", s.verb, word, hint(word, keysOf(s.verb)))
	}
	if !k.many && slices.ContainsFunc(s.wants, func(w want) bool { return w.key == word }) {
		return p.errorf("%s: key %s given twice", s.verb, word)
	}
	if err := k.check(value); err != nil {
		return p.errorf("%s %s: %w", s.verb, word, err)
	}
	s.wants = append(s.wants, want{line: p.at + 1, key: word, value: value})
	return nil
}

// split cuts a line into words; double quotes hold words together.
func split(s string) ([]string, error) {
	var out []string
	for {
		s = strings.TrimLeft(s, " \t")
		if s == "" {
			return out, nil
		}
		if s[0] != '"' {
			word, rest, _ := strings.Cut(s, " ")
			out, s = append(out, word), rest
			continue
		}
		word, rest, closed := strings.Cut(s[1:], `"`)
		if !closed {
			return nil, fmt.Errorf("quote without its end: %s", s)
		}
		out, s = append(out, word), rest
	}
}
