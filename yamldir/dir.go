package yamldir

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/oarlock/oarlock/manifest"
	"github.com/oarlock/oarlock/mesh"
)

// Options say how to read.
type Options struct {
	Dialect mesh.Dialect // DialectAuto finds it out
	Lenient bool         // see manifest.Options
	Stdin   io.Reader    // what "-" reads, once; nil: "-" is an error
}

// ReadError says that a path which was asked for cannot be read at all. Open and Read return it.
type ReadError struct {
	Path string
	Err  error
}

// Error gives "read PATH: cause".
func (e *ReadError) Error() string { return "read " + e.Path + ": " + e.Err.Error() }

// Unwrap gives the cause.
func (e *ReadError) Unwrap() error { return e.Err }

// readError wraps an error of package os without repeating the path.
func readError(path string, err error) error {
	return &ReadError{Path: path, Err: bare(err)}
}

// bare takes operation and path off an error of package os.
func bare(err error) error {
	if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// Dir is a mesh in files. It keeps nothing of what it read but standard input and pipes, which can be read only once,
// and may be used from any goroutine.
type Dir struct {
	roots []root
	opt   Options

	mu       sync.Mutex        // guards what follows
	expected map[string]string // hashes by name
	until    time.Time         // expected counts
}

// root is one path that was asked for.
type root struct {
	path   string // cleaned
	folder bool
	stream func() ([]byte, error) // of standard input or a pipe; else nil
}

var _ interface {
	mesh.Source
	mesh.Writer
} = (*Dir)(nil)

// Open checks that every path can be read: a file, a folder, or "-" for standard input, at most once. The error is a
// *ReadError. Nothing is read yet.
func Open(paths []string, opt Options) (*Dir, error) {
	if len(paths) == 0 {
		return nil, &ReadError{Path: "manifests", Err: errors.New("no path was given")}
	}
	d := &Dir{opt: opt}
	for _, p := range paths {
		r, err := openRoot(p, opt)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(d.roots, func(o root) bool { return o.path == r.path }) {
			d.roots = append(d.roots, r)
		}
	}
	return d, nil
}

func openRoot(path string, opt Options) (root, error) {
	if path == "-" {
		if opt.Stdin == nil {
			return root{}, &ReadError{Path: path, Err: errors.New("there is no standard input")}
		}
		return root{path: path, stream: sync.OnceValues(func() ([]byte, error) { return readAll(opt.Stdin) })}, nil
	}
	if path == "" {
		return root{}, &ReadError{Path: `""`, Err: errors.New("the path is empty")}
	}
	path = filepath.Clean(path)
	info, err := os.Stat(path)
	if err != nil {
		return root{}, readError(path, err)
	}
	if info.IsDir() {
		_, err := os.ReadDir(path)
		if err != nil {
			return root{}, readError(path, err)
		}
		return root{path: path, folder: true}, nil
	}
	if !info.Mode().IsRegular() { // a pipe, as in `-f <(command)`
		return root{path: path, stream: sync.OnceValues(func() ([]byte, error) { return readPipe(path) })}, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return root{}, readError(path, err)
	}
	return root{path: path}, f.Close()
}

// Read reads every file and what it says. The error is a *ReadError, or that of ctx; a file that cannot be read inside a
// folder is a Problem, and so is a folder without manifests (a warning).
func (d *Dir) Read(ctx context.Context) (mesh.Reading, error) {
	r, _, err := d.ReadFiles(ctx)
	return r, err
}

// ReadFiles is Read that gives the files as well, in order of name: those that the Reading comes from, letter by letter.
func (d *Dir) ReadFiles(ctx context.Context) (mesh.Reading, []manifest.File, error) {
	l, err := d.list(ctx)
	if err != nil {
		return mesh.Reading{}, nil, err
	}
	snap, problems := manifest.Load(l.files, manifest.Options{Dialect: d.opt.Dialect, Lenient: d.opt.Lenient})
	problems = append(problems, l.problems...)
	slices.SortStableFunc(problems, compareProblems)
	return mesh.Reading{Snapshot: snap, Problems: problems, Precondition: l.pre}, l.files, nil
}

// Places gives the absolute paths of what was asked for, in order; "-" for standard input.
func (d *Dir) Places() []string {
	var out []string
	for _, r := range d.roots {
		place := r.path
		if abs, err := filepath.Abs(r.path); err == nil && r.path != "-" {
			place = abs
		}
		out = append(out, place)
	}
	return out
}

// Expect says that files were just written whole, with these hashes of their content (SHA-256 in hex, by name as in a
// Precondition, absolute where the path is). For the next second such content is read at once, while a file that changed a
// moment ago is else read when it has settled.
func (d *Dir) Expect(hashes map[string]string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.expected, d.until = hashes, time.Now().Add(time.Second)
}

// expects gives the hash that a file shall have, "" where nobody said.
func (d *Dir) expects(name string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.expected != nil && time.Now().After(d.until) {
		d.expected = nil
	}
	return d.expected[name]
}

// compareProblems puts errors first, then orders by position.
func compareProblems(a, b mesh.Problem) int {
	return cmp.Or(-cmp.Compare(a.Severity, b.Severity), cmp.Compare(a.Origin.File, b.Origin.File),
		cmp.Compare(a.Origin.Line, b.Origin.Line), cmp.Compare(a.Origin.Col, b.Origin.Col))
}

// Files reads the files alone, in order of name, and their precondition. Files that cannot be read are missing.
func (d *Dir) Files(ctx context.Context) ([]manifest.File, mesh.Precondition, error) {
	l, err := d.list(ctx)
	if err != nil {
		return nil, nil, err
	}
	return l.files, l.pre, nil
}

// Preview computes the edits that Write would make, without writing. Standard input is edited like any file. Errors are
// those of manifest.Apply, a *mesh.StaleError where a file to be edited is not what pre says, and a *ReadError.
func (d *Dir) Preview(ctx context.Context, pre mesh.Precondition, changes []mesh.Change) ([]manifest.FileEdit, error) {
	files, now, err := d.Files(ctx)
	if err != nil {
		return nil, err
	}
	edits, err := d.apply(files, changes)
	if err != nil {
		return nil, err
	}
	for _, e := range edits {
		if now[e.Name] != pre[e.Name] || e.Before == nil && exists(e.Name) {
			return nil, &mesh.StaleError{Place: e.Name}
		}
	}
	return edits, nil
}

func exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}

// apply computes the edits, and sees to it that a new file stands where the next Read will find it.
func (d *Dir) apply(files []manifest.File, changes []mesh.Change) ([]manifest.FileEdit, error) {
	edits, err := manifest.Apply(files, changes)
	if err != nil || !slices.ContainsFunc(edits, d.outside) {
		return edits, err
	}
	changes = slices.Clone(changes)
	for i, c := range changes {
		if c.Op != mesh.Create || c.Origin.File != "" {
			continue
		}
		alone, err := manifest.Apply(files, []mesh.Change{c})
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(alone, d.outside) {
			changes[i].Origin = mesh.Origin{File: d.lastFile()}
		}
	}
	return manifest.Apply(files, changes)
}

// outside says whether an edit creates a file that no path leads to.
func (d *Dir) outside(e manifest.FileEdit) bool {
	if e.Before != nil {
		return false
	}
	return !slices.ContainsFunc(d.roots, func(r root) bool {
		return r.folder && (r.path == "." && !filepath.IsAbs(e.Name) || strings.HasPrefix(e.Name, strings.TrimSuffix(r.path, "/")+"/"))
	})
}

// lastFile gives the last file that was named by itself, a YAML one if there is.
func (d *Dir) lastFile() string {
	name := ""
	for _, r := range d.roots {
		if !r.folder && (name == "" || filepath.Ext(r.path) != ".json") {
			name = r.path
		}
	}
	return name
}

// streamed says whether a name is standard input or a pipe.
func (d *Dir) streamed(name string) bool {
	return slices.ContainsFunc(d.roots, func(r root) bool { return r.path == name && r.stream != nil })
}

// String names the paths, for messages.
func (d *Dir) String() string {
	var names []string
	for _, r := range d.roots {
		names = append(names, r.path)
	}
	return fmt.Sprint(strings.Join(names, ", "))
}
