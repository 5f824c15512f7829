// Package examples has the example meshes of this folder in the binary, so that a demo needs nothing else. The folders
// themselves are described in README.md.
package examples

import (
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

//go:embed backyards backyards-current bookinfo bookinfo-current challenges challenges-current
//go:embed foo-bar foo-bar-current foo-bar-strict-mesh
var files embed.FS

// Names lists the examples, in order.
func Names() []string {
	entries, err := files.ReadDir(".")
	if err != nil {
		return nil // the root of an embed.FS can be read
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

// Unpack writes the manifests of an example into a folder, which is made and must not hold any of them yet. Folders and files
// are for this user alone.
func Unpack(name, dir string) error {
	if !slices.Contains(Names(), name) {
		return fmt.Errorf("unpack example %q: want one of %s", name, strings.Join(Names(), ", "))
	}
	err := fs.WalkDir(files, name, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		to := filepath.Join(dir, filepath.FromSlash(strings.TrimPrefix(p, name)))
		if d.IsDir() {
			return os.MkdirAll(to, 0o700)
		}
		if path.Ext(p) == ".md" {
			return nil
		}
		return copyFile(p, to)
	})
	if err != nil {
		return fmt.Errorf("unpack example %s: %w", name, err)
	}
	return nil
}

func copyFile(from, to string) error {
	content, err := files.ReadFile(from)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if _, err := f.Write(content); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
