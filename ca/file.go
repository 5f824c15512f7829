package ca

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"
)

// errChanged says that a file is not what this process wrote or read last: another authority uses the folder.
var errChanged = errors.New("another process has written it since")

// readFile reads a file of at most maxFile bytes.
func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("read %s: longer than %d bytes", name, maxFile)
	}
	return text, nil
}

// readSecret reads a file that nobody but its owner may read.
func readSecret(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 && runtime.GOOS != "windows" {
		return nil, fmt.Errorf("read %s: others may read or write it (mode %04o, want 0600)", name, mode)
	}
	return readFile(name)
}

// openFolder makes a folder for secrets, or refuses one in which others could replace files, and removes what a write
// that was cut off left there.
func openFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if mode := info.Mode().Perm(); mode&0o022 != 0 && runtime.GOOS != "windows" {
		return fmt.Errorf("open %s: others may write to it (mode %04o, want 0700)", dir, mode)
	}
	stale, err := filepath.Glob(filepath.Join(dir, tempPattern))
	if err != nil {
		return err
	}
	for _, name := range stale {
		// A young one may belong to another process that is about to rename it.
		if info, err := os.Lstat(name); err == nil && time.Since(info.ModTime()) > time.Minute {
			if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

const tempPattern = ".new-*"

// createFile writes a file of mode 0600 that must not be there yet; then the error wraps fs.ErrExist. Of two processes
// that create it at once, one succeeds.
func createFile(name string, text []byte) error {
	temp, err := writeTemp(name, text)
	if err != nil {
		return err
	}
	defer os.Remove(temp)
	if err := os.Link(temp, name); err != nil { // unlike Rename it never takes the place of a file
		return fmt.Errorf("create %s: %w", name, err)
	}
	return syncFolder(filepath.Dir(name))
}

// replaceFile writes a file anew if it still has the bytes that it had.
func replaceFile(name string, was, text []byte) error {
	now, err := readSecret(name)
	if err != nil {
		return err
	}
	if !bytes.Equal(now, was) {
		return fmt.Errorf("write %s: %w", name, errChanged)
	}
	temp, err := writeTemp(name, text)
	if err != nil {
		return err
	}
	if err := os.Rename(temp, name); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	return syncFolder(filepath.Dir(name))
}

// writeTemp writes and syncs a file beside name. CreateTemp gives it mode 0600.
func writeTemp(name string, text []byte) (string, error) {
	f, err := os.CreateTemp(filepath.Dir(name), tempPattern)
	if err != nil {
		return "", err
	}
	_, err = f.Write(text)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return "", errors.Join(fmt.Errorf("write %s: %w", name, err), os.Remove(f.Name()))
	}
	return f.Name(), nil
}

// syncFolder makes a rename survive a crash of the machine. Not every file system can, and Windows has no such call.
func syncFolder(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	if err := d.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return errors.Join(err, d.Close())
	}
	return d.Close()
}
