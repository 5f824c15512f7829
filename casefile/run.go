package casefile

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/oarlock/oarlock/manifest"
	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/resolve"
)

// Result is one case run in one dialect.
type Result struct {
	File     string
	Line     int // of the `case` line
	ID       string
	Title    string
	Dialect  mesh.Dialect // the one that it ran in, never DialectAuto unless the mesh could not be loaded
	Failures []Failure    // empty where everything came out as expected
}

// Passed says whether everything came out as expected.
func (r Result) Passed() bool { return len(r.Failures) == 0 }

// Failure is one statement that did not come out as expected.
type Failure struct {
	File string
	Line int    // of the statement, or of what stands in its way
	What string // the statement as written, or what was tried
	// Message says why the question could not be asked; "" where it could and Rows differ.
	Message string
	Rows    []Row    // every key that was compared, in the order written
	Reasons []string // what Explain gave, one line each; for eval alone
}

// Row is one key, compared.
type Row struct {
	Line      int
	Key       string
	Want, Got string
	Differs   bool
}

// Run runs every case of a file in each of its dialects. Manifests that a case names with `use` are read through open,
// which gets the path as seen from the place where f.Name is relative to; a nil open reads from disk.
func Run(f *File, open func(path string) ([]byte, error)) []Result {
	if open == nil {
		open = os.ReadFile
	}
	var out []Result
	for _, c := range f.Cases {
		dialects := c.given.dialects
		if len(dialects) == 0 {
			dialects = f.shared.dialects
		}
		if len(dialects) == 0 {
			dialects = []mesh.Dialect{mesh.DialectAuto}
		}
		for _, d := range dialects {
			out = append(out, f.run(c, d, open))
		}
	}
	return out
}

// runner is one case over one loaded mesh.
type runner struct {
	file     *File
	c        *Case
	snap     *mesh.Snapshot
	problems []mesh.Problem
	r        *resolve.Resolver
}

func (f *File) run(c *Case, d mesh.Dialect, open func(string) ([]byte, error)) Result {
	res := Result{File: f.Name, Line: c.Line, ID: c.ID, Title: c.Title, Dialect: d}
	files, failure := f.manifests(c, open)
	if failure != nil {
		res.Failures = append(res.Failures, *failure)
		return res
	}
	run := &runner{file: f, c: c}
	run.snap, run.problems = manifest.Load(files, manifest.Options{Dialect: d, Lenient: c.given.lenient || f.shared.lenient})
	res.Dialect = run.snap.Dialect
	res.Failures = run.unexpectedProblems()
	run.r = resolve.New(run.snap)
	for i := range c.statements {
		s := &c.statements[i]
		if failure := run.statement(s); failure != nil {
			failure.File, failure.Line, failure.What = f.Name, s.line, s.text
			res.Failures = append(res.Failures, *failure)
		}
	}
	return res
}

// manifests gathers what a case is about: the files that it uses, and the case file itself with every line blanked that
// is not YAML of this case, so that positions in the mesh are positions in the case file.
func (f *File) manifests(c *Case, open func(string) ([]byte, error)) ([]manifest.File, *Failure) {
	var files []manifest.File
	for _, u := range append(f.shared.uses[:len(f.shared.uses):len(f.shared.uses)], c.given.uses...) {
		path := filepath.Join(filepath.Dir(f.Name), filepath.FromSlash(u.path))
		data, err := open(path)
		if err != nil {
			return nil, &Failure{File: f.Name, Line: u.line, What: "use " + u.path, Message: fmt.Sprintf("read manifest: %v", err)}
		}
		files = append(files, manifest.File{Name: path, Data: data})
	}
	blocks := append(f.shared.blocks[:len(f.shared.blocks):len(f.shared.blocks)], c.given.blocks...)
	if len(blocks) == 0 {
		return files, nil
	}
	lines := make([]string, len(f.lines))
	for _, b := range blocks {
		lines[b.keyword] = "---"
		copy(lines[b.keyword+1:b.end], f.lines[b.keyword+1:b.end])
		for i := b.keyword + 1; i < b.end; i++ {
			if strings.HasPrefix(lines[i], "  ---") { // a document ends only in column 0
				lines[i] = lines[i][2:]
			}
		}
	}
	return append(files, manifest.File{Name: f.Name, Data: []byte(strings.Join(lines, "\n"))}), nil
}

// unexpectedProblems fails a case whose mesh has an error that the case does not name.
func (run *runner) unexpectedProblems() []Failure {
	var out []Failure
	for _, p := range run.problems {
		if p.Severity != mesh.Error || run.named(p) {
			continue
		}
		out = append(out, Failure{File: run.file.Name, Line: run.c.Line, What: "mesh",
			Message: fmt.Sprintf("%v; where this is meant, expect it with: problem %q error", p, p.Message)})
	}
	return out
}

func (run *runner) named(p mesh.Problem) bool {
	for _, s := range run.c.statements {
		if s.verb == "problem" && expects(s.args, p) {
			return true
		}
	}
	return false
}

// expects says whether the arguments of a problem statement are about p.
func expects(args []string, p mesh.Problem) bool {
	return strings.Contains(p.Error(), args[0]) && (len(args) == 1 || args[1] == p.Severity.String())
}

// statement asks one question. Nil means that the answer was the expected one.
func (run *runner) statement(s *statement) *Failure {
	switch s.verb {
	case "eval":
		return run.eval(s)
	case "compat":
		return run.compat(s)
	case "inbound", "mode":
		return run.door(s)
	case "visible":
		return run.visible(s)
	}
	return run.problem(s)
}

func (run *runner) problem(s *statement) *Failure {
	got := make([]string, 0, len(run.problems))
	for _, p := range run.problems {
		if expects(s.args, p) {
			return nil
		}
		got = append(got, p.Severity.String()+" "+p.Error())
	}
	if len(got) == 0 {
		return &Failure{Message: "the mesh was read without a problem"}
	}
	return &Failure{Message: "the problems are:\n" + strings.Join(got, "\n")}
}

// compare makes the rows of a statement; got answers for one key.
func compare(s *statement, got func(w want) string) *Failure {
	failure, differs := &Failure{}, false
	for _, w := range s.wants {
		row := Row{Line: w.line, Key: w.key, Want: w.value, Got: got(w)}
		row.Differs = row.Got != row.Want
		differs = differs || row.Differs
		failure.Rows = append(failure.Rows, row)
	}
	if !differs {
		return nil
	}
	return failure
}
