package yamldir

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/oarlock/oarlock/manifest"
	"github.com/oarlock/oarlock/mesh"
)

// maxFile bounds one file. A folder may hold things that are no manifests at all.
const maxFile = 64 << 20

var (
	errTooLarge = fmt.Errorf("it has more than %d MiB", maxFile>>20)
	errMoving   = errors.New("it keeps changing while it is read")
)

// listing is one look at the files.
type listing struct {
	ctx      context.Context
	files    []manifest.File
	pre      mesh.Precondition
	problems []mesh.Problem
	seen     map[string]bool // real paths of files and folders
	left     []string        // files that are no manifests
	expects  func(name string) string
	kustom   []string // kustomizations that change what they name
}

// found is a file on the way down.
type found struct {
	name, real string
	link       bool
	asked      bool // named by itself
	stream     func() ([]byte, error)
}

// list reads every file under the roots.
func (d *Dir) list(ctx context.Context) (*listing, error) {
	l := &listing{ctx: ctx, pre: mesh.Precondition{}, seen: map[string]bool{}, expects: d.expects}
	var all []found
	for _, r := range d.roots {
		some, err := l.under(r)
		if err != nil {
			return nil, err
		}
		before := len(all)
		all = append(all, some...)
		if r.folder && len(all) == before {
			l.warn(r.path, "read "+r.path+": no manifests in it", "files that end in .yaml, .yml or .json count")
		}
	}
	slices.SortStableFunc(all, func(a, b found) int { // a link gives way to the file that it points to
		switch {
		case a.link == b.link:
			return strings.Compare(a.name, b.name)
		case a.link:
			return 1
		}
		return -1
	})
	for _, f := range all {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := l.read(f); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(l.files, func(a, b manifest.File) int { return strings.Compare(a.Name, b.Name) })
	l.leftOut()
	return l, nil
}

func (l *listing) warn(file, message, hint string) {
	l.problems = append(l.problems, mesh.Problem{Severity: mesh.Warning, Origin: mesh.Origin{File: file}, Message: message, Hint: hint})
}

func (l *listing) fail(file string, err error) {
	l.problems = append(l.problems, mesh.Problem{Severity: mesh.Error, Origin: mesh.Origin{File: file},
		Message: "read " + file + ": " + bare(err).Error()})
}

// leftOut says in one line which files were no manifests, and in another which kustomizations were not applied.
func (l *listing) leftOut() {
	if len(l.left) > 0 {
		l.warn(slices.Min(l.left), "read "+some(l.left)+": no document has an apiVersion or a kind, so this was left out",
			"name a file by itself to have it checked")
	}
	if len(l.kustom) > 0 {
		l.warn(slices.Min(l.kustom), "read "+some(l.kustom)+": kustomizations are not applied; the files count as they stand",
			"judge what comes of one: kustomize build "+filepath.Dir(slices.Min(l.kustom))+" | oarlock -f - tls-check")
	}
}

// some names the first few.
func some(names []string) string {
	names = slices.Sorted(slices.Values(names))
	const most = 3
	if n := len(names) - most; n > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), n)
	}
	return strings.Join(names, ", ")
}

// under finds the files of one root.
func (l *listing) under(r root) ([]found, error) {
	if r.stream != nil {
		return []found{{name: r.path, real: r.path, asked: true, stream: r.stream}}, nil
	}
	real, err := filepath.Abs(r.path)
	if err == nil {
		real, err = filepath.EvalSymlinks(real)
	}
	if err != nil {
		return nil, readError(r.path, err)
	}
	if !r.folder {
		return []found{{name: r.path, real: real, asked: true}}, nil
	}
	if _, err := os.ReadDir(r.path); err != nil {
		return nil, readError(r.path, err)
	}
	var out []found
	err = l.walk(r.path, real, &out)
	return out, err
}

// walk finds the files of a folder and of those in it. A folder that is met again, through a link, is left alone.
func (l *listing) walk(name, real string, out *[]found) error {
	if err := l.ctx.Err(); err != nil || l.seen[real] {
		return err
	}
	l.seen[real] = true
	entries, err := os.ReadDir(name)
	if err != nil {
		l.fail(name, err)
		return nil
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		f := found{name: filepath.Join(name, e.Name()), real: filepath.Join(real, e.Name())}
		mode := e.Type()
		if f.link = mode&fs.ModeSymlink != 0; f.link {
			if !l.follow(&f, &mode) {
				continue
			}
		}
		switch {
		case mode.IsDir():
			if err := l.walk(f.name, f.real, out); err != nil {
				return err
			}
		case mode.IsRegular() && manifestName(e.Name()):
			*out = append(*out, f)
		}
	}
	return nil
}

// follow finds out where a link leads. One that leads nowhere is a problem only if it looks like a manifest.
func (l *listing) follow(f *found, mode *fs.FileMode) bool {
	info, err := os.Stat(f.name)
	if err == nil {
		*mode = info.Mode().Type()
		f.real, err = filepath.EvalSymlinks(f.real)
	}
	if err != nil && manifestName(f.name) {
		l.fail(f.name, err)
	}
	return err == nil
}

func manifestName(name string) bool {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".yaml", ".yml", ".json":
		return true
	}
	return false
}

// read reads one file. Only a file that was named by itself can be an error.
func (l *listing) read(f found) error {
	if l.seen[f.real] {
		return nil
	}
	l.seen[f.real] = true
	load := f.stream
	if load == nil {
		load = func() ([]byte, error) { return readSettled(l.ctx, f.name, l.expects(f.name)) }
	}
	content, err := load()
	switch {
	case l.ctx.Err() != nil:
		return l.ctx.Err()
	case err != nil && f.asked:
		return readError(f.name, err)
	case errors.Is(err, fs.ErrNotExist):
		return nil // removed since the folder was listed
	case err != nil:
		l.fail(f.name, err)
		return nil
	case !f.asked && kustomization(f.name):
		if kustomizes(content) {
			l.kustom = append(l.kustom, f.name)
		}
		return nil
	case !f.asked && !looksLikeManifest(content):
		l.left = append(l.left, f.name)
		return nil
	}
	l.files = append(l.files, manifest.File{Name: f.name, Data: content})
	l.pre[f.name] = hash(content)
	return nil
}

func hash(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// readSettled reads a file that does not change meanwhile: size and time must be the same before and after. Clocks of file
// systems are coarse, so a file that was written a moment ago must also be the same a little later, and an empty one much
// later: many editors empty a file before they write it.
// Content with the hash that is expected has settled, whenever it was written.
func readSettled(ctx context.Context, name, expected string) ([]byte, error) {
	const pause, coarse, emptied, patience = 20 * time.Millisecond, 20 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond
	var last, seen time.Time // the last time of writing, and when it was first met
	for begin := time.Now(); ; {
		now := time.Now() // before it is read: what is quiet only when it has been read may have changed on the way
		content, modified, err := readOnce(name)
		if err != nil && !errors.Is(err, errMoving) {
			return nil, err
		}
		quiet := coarse
		if len(content) == 0 {
			quiet = emptied
		}
		switch {
		case err != nil:
		case expected != "" && hash(content) == expected:
			return content, nil
		case now.Sub(modified) > quiet, modified.Equal(last) && now.Sub(seen) >= quiet:
			return content, nil
		case !modified.Equal(last):
			last, seen = modified, now
		}
		if now.Sub(begin) > patience {
			return nil, errMoving
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(min(pause, max(time.Millisecond, quiet-now.Sub(modified)))):
		}
	}
}

// readOnce reads a file and the time when it was last written; errMoving if that changed on the way.
func readOnce(name string) ([]byte, time.Time, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, time.Time{}, err
	}
	defer f.Close()
	before, err := f.Stat()
	if err != nil {
		return nil, time.Time{}, err
	}
	content, err := readSized(f, before.Size())
	if err != nil {
		return nil, time.Time{}, err
	}
	after, err := os.Stat(name) // by name: an editor may have put another file in its place
	if err != nil {
		return nil, time.Time{}, err
	}
	if !os.SameFile(before, after) || before.Size() != after.Size() || !before.ModTime().Equal(after.ModTime()) || int64(len(content)) != after.Size() {
		return nil, time.Time{}, errMoving
	}
	return content, after.ModTime(), nil
}

func readSized(r io.Reader, size int64) ([]byte, error) {
	if size > maxFile {
		return nil, errTooLarge
	}
	b := bytes.NewBuffer(make([]byte, 0, size+bytes.MinRead))
	if _, err := b.ReadFrom(io.LimitReader(r, maxFile+1)); err != nil {
		return nil, err
	}
	if b.Len() > maxFile {
		return nil, errTooLarge
	}
	return b.Bytes(), nil
}

func readAll(r io.Reader) ([]byte, error) { return readSized(r, 0) }

func readPipe(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAll(f)
}

var (
	// topLevel matches a key that every object has, where a document's keys begin.
	topLevel = regexp.MustCompile(`(?m)^\x{feff}?(?:---[ \t]+)?["']?(?:apiVersion|kind)["']?[ \t]*:`)
	brackets = regexp.MustCompile(`(?m)^\x{feff}?(?:---)?[ \t]*[{\[]`)
	anyKey   = regexp.MustCompile(`["']?(?:apiVersion|kind)["']?[ \t]*:`)
	rootKey  = regexp.MustCompile(`(?m)^([A-Za-z0-9]+)[ \t]*:`)
	text     = regexp.MustCompile(`(?m)^[ \t]*[^ \t\r\n#]`)
)

// kustomization says whether a file is kustomize's own, by its name.
func kustomization(name string) bool {
	name = filepath.Base(name)
	return name == "kustomization.yaml" || name == "kustomization.yml"
}

// kustomizes says whether a kustomization does more than list files, so that what it builds is not what they say.
func kustomizes(content []byte) bool {
	for _, key := range rootKey.FindAllSubmatch(content, -1) {
		switch string(key[1]) {
		case "apiVersion", "kind", "metadata", "resources", "bases":
		default:
			return true
		}
	}
	return false
}

// looksLikeManifest says whether some document of the file may be an object: one has an apiVersion or a kind, or there is
// no document at all, as in a file of comments. A file that is no text is left for the parser to complain about.
func looksLikeManifest(content []byte) bool {
	switch {
	case topLevel.Match(content), bytes.IndexByte(content, 0) >= 0, !text.Match(content):
		return true
	}
	return brackets.Match(content) && anyKey.Match(content)
}
