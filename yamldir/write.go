package yamldir

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/oarlock/oarlock/manifest"
	"github.com/oarlock/oarlock/mesh"
)

// ErrStream says that standard input, or a pipe, cannot be written back. The caller prints what Preview gives.
var ErrStream = errors.New("it is a stream and cannot be written back")

// Write makes the changes. All new content lies beside the files, synced, before the first is renamed into place, so that
// an error until then leaves everything as it was; after an error in between, what was renamed is put back. Files are
// removed last. Modes are kept, and links stay links: the file that they point to is written.
//
// The error is a *mesh.StaleError where a file is not what pre says, or is there although pre does not have it, one of
// manifest.Apply where a change cannot be made, ErrStream (wrapped) where standard input would change, a *ReadError, or
// that of ctx.
func (d *Dir) Write(ctx context.Context, pre mesh.Precondition, changes []mesh.Change) error {
	edits, err := d.Preview(ctx, pre, changes)
	if err != nil {
		return err
	}
	return d.put(ctx, pre, edits)
}

// put makes edits.
func (d *Dir) put(ctx context.Context, pre mesh.Precondition, edits []manifest.FileEdit) error {
	for _, e := range edits {
		if d.streamed(e.Name) {
			return fmt.Errorf("write %s: %w", e.Name, ErrStream)
		}
	}
	w := &writing{pre: pre}
	defer w.clean()
	if err := w.stage(ctx, edits); err != nil {
		return err
	}
	unlock, err := w.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	for _, f := range w.files {
		if err := f.fresh(pre); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return w.commit()
}

// writing is one Write on its way.
type writing struct {
	pre     mesh.Precondition
	files   []*staged
	folders []string // made for new files, outermost first
}

// staged is one edit with the new content in a file beside the old one.
type staged struct {
	manifest.FileEdit
	target string // what to write: where the name is a link, the file that it points to
	temp   string // "" for a file that is removed
	mode   os.FileMode
}

// stage writes the new content of every edit beside its file.
func (w *writing) stage(ctx context.Context, edits []manifest.FileEdit) error {
	for _, e := range edits {
		if err := ctx.Err(); err != nil {
			return err
		}
		f := &staged{FileEdit: e, target: e.Name, mode: 0o644}
		w.files = append(w.files, f)
		if err := w.stageOne(f); err != nil {
			return fmt.Errorf("write %s: %w", e.Name, bare(err))
		}
	}
	return nil
}

func (w *writing) stageOne(f *staged) error {
	if f.Before == nil {
		if err := w.makeFolders(filepath.Dir(f.Name)); err != nil {
			return err
		}
		return f.write(f.After, nil)
	}
	info, err := os.Stat(f.Name)
	if err != nil {
		return err
	}
	f.mode = info.Mode().Perm()
	if f.After == nil {
		return nil // a link is removed itself, not what it points to
	}
	if f.target, err = filepath.EvalSymlinks(f.Name); err != nil {
		return err
	}
	return f.write(f.After, info)
}

// makeFolders makes a folder with those above it, and remembers which were new.
func (w *writing) makeFolders(dir string) error {
	var missing []string
	for ; dir != "." && dir != "/" && !exists(dir); dir = filepath.Dir(dir) {
		missing = append(missing, dir)
	}
	for _, dir := range slices.Backward(missing) {
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
		if above, err := os.Stat(filepath.Dir(dir)); err == nil { // a control plane's umask is that of its state
			_ = os.Chmod(dir, above.Mode()&(os.ModePerm|os.ModeSetgid))
		}
		w.folders = append(w.folders, dir)
	}
	return nil
}

// write puts content into a hidden file beside the target, with the mode and owner of the file that it replaces, synced.
func (f *staged) write(content []byte, like os.FileInfo) error {
	t, err := os.CreateTemp(filepath.Dir(f.target), "."+filepath.Base(f.target)+".oarlock-*")
	if err != nil {
		return err
	}
	f.temp = t.Name()
	if like != nil {
		keepOwner(t, like)
	}
	_, err = t.Write(content)
	return errors.Join(err, t.Chmod(f.mode), t.Sync(), t.Close())
}

// lock takes the folders of all files, in order, so that two writers cannot both find them fresh.
func (w *writing) lock(ctx context.Context) (func(), error) {
	var dirs []string
	for _, f := range w.files {
		dirs = append(dirs, filepath.Dir(f.target))
	}
	slices.Sort(dirs)
	var held []*os.File
	unlock := func() {
		for _, f := range held {
			f.Close()
		}
	}
	for _, dir := range slices.Compact(dirs) {
		f, err := lockFolder(ctx, dir)
		if err != nil {
			unlock()
			return nil, fmt.Errorf("lock %s: %w", dir, bare(err))
		}
		held = append(held, f)
	}
	return unlock, nil
}

// fresh compares a file with the precondition once more.
func (f *staged) fresh(pre mesh.Precondition) error {
	if f.Before == nil {
		if exists(f.Name) {
			return &mesh.StaleError{Place: f.Name}
		}
		return nil
	}
	content, err := os.ReadFile(f.Name)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("write %s: %w", f.Name, bare(err))
	}
	if err != nil || hash(content) != pre[f.Name] {
		return &mesh.StaleError{Place: f.Name}
	}
	return nil
}

// commit renames everything into place. From here on an error puts back what was done.
func (w *writing) commit() error {
	files := slices.Clone(w.files)
	slices.SortStableFunc(files, func(a, b *staged) int { return removed(a) - removed(b) })
	for i, f := range files {
		if err := f.put(); err != nil {
			err = fmt.Errorf("write %s: %w", f.Name, bare(err))
			for _, done := range slices.Backward(files[:i]) {
				err = errors.Join(err, done.putBack())
			}
			return err
		}
	}
	w.folders = nil
	return w.syncFolders()
}

func removed(f *staged) int {
	if f.After == nil {
		return 1
	}
	return 0
}

func (f *staged) put() error {
	switch {
	case f.After == nil:
		return os.Remove(f.Name)
	case f.Before == nil:
		err := os.Link(f.temp, f.target) // unlike Rename it never takes the place of another file
		if err == nil || errors.Is(err, os.ErrExist) {
			return err
		}
	}
	err := os.Rename(f.temp, f.target)
	if err == nil {
		f.temp = ""
	}
	return err
}

// putBack undoes put.
func (f *staged) putBack() error {
	if f.Before == nil {
		return os.Remove(f.target)
	}
	if err := f.write(f.Before, nil); err != nil {
		return err
	}
	return os.Rename(f.temp, f.target)
}

// syncFolders makes the new names durable.
func (w *writing) syncFolders() error {
	var dirs []string
	for _, f := range w.files {
		dirs = append(dirs, filepath.Dir(f.target))
	}
	slices.Sort(dirs)
	for _, dir := range slices.Compact(dirs) {
		f, err := os.Open(dir)
		if err != nil {
			return fmt.Errorf("sync %s: %w", dir, bare(err))
		}
		err = syncFolder(f)
		f.Close()
		if err != nil {
			return fmt.Errorf("sync %s: %w", dir, bare(err))
		}
	}
	return nil
}

// clean removes what a failed or finished write leaves behind.
func (w *writing) clean() {
	for _, f := range w.files {
		if f.temp != "" {
			os.Remove(f.temp)
		}
	}
	for _, dir := range slices.Backward(w.folders) {
		os.Remove(dir) // fails, rightly, where somebody has put something in
	}
}
