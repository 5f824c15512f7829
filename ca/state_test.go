package ca

import (
	"bytes"
	"crypto/elliptic"
	"errors"
	"flag"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the files of the present version")

// stateDir is a folder that does not exist yet.
func stateDir(t testing.TB) string { return filepath.Join(t.TempDir(), "state", "ca") }

func TestRestart(t *testing.T) {
	dir := stateDir(t)
	first := open(t, Options{Dir: dir})
	got := issue(t, first, 0)
	second := open(t, Options{Dir: dir})
	if err := believe(got, second.bundle); err != nil {
		t.Error(err)
	}
	if second.bundle.Version != first.bundle.Version {
		t.Error("the bundle is another")
	}
	if last := second.slots.active.lastLeaf; last.Before(got.Leaf.NotAfter) || last.After(got.Leaf.NotAfter.Add(DefaultTTL/4+time.Second)) {
		t.Errorf("the last leaf ends at %v, the state says %v", got.Leaf.NotAfter, last)
	}
}

func TestFileModes(t *testing.T) {
	dir := stateDir(t)
	open(t, Options{Dir: dir})
	if _, err := OpenTokens(dir); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]fs.FileMode{dir: 0o700, filepath.Join(dir, StateFile): 0o600, filepath.Join(dir, TokensFile): 0o600} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %04o, want %04o", name, info.Mode().Perm(), want)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("the folder has %v, %v", entries, err)
	}
}

// TestStateRefused breaks the state in many ways; the file must stay as it is.
func TestStateRefused(t *testing.T) {
	edit := func(old, new string) func(*testing.T, string) {
		return func(t *testing.T, file string) {
			text, err := os.ReadFile(file)
			if err != nil || !bytes.Contains(text, []byte(old)) {
				t.Fatalf("no %q in the state, %v", old, err)
			}
			if err := os.WriteFile(file, bytes.Replace(text, []byte(old), []byte(new), 1), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	tests := []struct {
		name  string
		spoil func(t *testing.T, file string)
		want  string
	}{
		{"of a newer version", edit(`"version": 1`, `"version": 2`), "version 2"},
		{"of another trust domain", edit(`"trustDomain": "cluster.local"`, `"trustDomain": "x"`), `authority of "x"`},
		{"not JSON", edit(`{`, ``), "invalid character"},
		{"without an active authority", edit(`"active"`, `"passive"`), "missing"},
		{"without a key", edit(`"key"`, `"lock"`), "missing"},
		{"with a broken certificate", edit(`"cert": "-----BEGIN CERTIFICATE-----\nM`, `"cert": "-----BEGIN CERTIFICATE-----\nA`), "active authority"},
		{"without roots", edit(`"roots": "`, `"roots": "x", "branches": "`), "active authority"},
		{"readable by others", func(t *testing.T, file string) {
			if err := os.Chmod(file, 0o640); err != nil {
				t.Fatal(err)
			}
		}, "mode 0640"},
		{"in a folder that others write to", func(t *testing.T, file string) {
			if err := os.Chmod(filepath.Dir(file), 0o777); err != nil {
				t.Fatal(err)
			}
		}, "mode 0777"},
		{"a folder", func(t *testing.T, file string) {
			if err := errors.Join(os.Remove(file), os.Mkdir(file, 0o700)); err != nil {
				t.Fatal(err)
			}
		}, "directory"},
		{"a link to nowhere", func(t *testing.T, file string) {
			if err := errors.Join(os.Remove(file), os.Symlink("nowhere", file)); err != nil {
				t.Fatal(err)
			}
		}, "neither read nor made"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := stateDir(t)
			open(t, Options{Dir: dir})
			file := filepath.Join(dir, StateFile)
			tt.spoil(t, file)
			before, _ := os.ReadFile(file) // a folder and a dangling link cannot be read
			_, err := Open(Options{Dir: dir})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
			if after, _ := os.ReadFile(file); !bytes.Equal(before, after) {
				t.Error("the file has changed")
			}
		})
	}
}

// TestLastVersion reads the state as the last version of the program wrote it, with all slots taken.
func TestLastVersion(t *testing.T) {
	golden := filepath.Join("testdata", "authority-v1.json")
	if *update {
		dir := stateDir(t)
		a := open(t, Options{Dir: dir, RootTTL: 100 * 365 * 24 * time.Hour})
		issue(t, a, 0)
		if err := errors.Join(a.Prepare(), a.Activate(true), a.Rotate()); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(dir, StateFile))
		if err := errors.Join(err, os.MkdirAll("testdata", 0o755), os.WriteFile(golden, text, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := errors.Join(os.Chmod(dir, 0o700), os.WriteFile(filepath.Join(dir, StateFile), text, 0o600)); err != nil {
		t.Fatal(err)
	}
	a := open(t, Options{Dir: dir})
	status := a.Status()
	if len(status.Slots) != 3 || !status.Rotating || len(a.bundle.Roots) != 3 || a.slots.old.lastLeaf.IsZero() || a.slots.spread.IsZero() {
		t.Errorf("read %+v", status)
	}
	for i, want := range []string{"active", "prepared", "old"} {
		if got := status.Slots[i]; got.Slot != want || got.Since.IsZero() || got.Origin != "self-made" {
			t.Errorf("slot %d is %+v, want %s", i, got, want)
		}
	}
	if a.slots.old.key != nil {
		t.Error("the old authority still has a key")
	}
	if err := believe(issue(t, a, 0), a.bundle); err != nil {
		t.Error(err)
	}
	again, err := encodeState("cluster.local", a.slots)
	if err != nil {
		t.Fatal(err)
	}
	if back, err := decodeState(again, "cluster.local"); err != nil || back.active.key == nil || len(back.all()) != 3 {
		t.Errorf("what is written cannot be read: %v", err)
	}
}

// TestManyAtOnce opens one new folder many times at once: there must be one authority and one token key.
func TestManyAtOnce(t *testing.T) {
	dir := stateDir(t)
	var wait sync.WaitGroup
	versions, keys := make([]string, 8), make([]string, 8)
	for i := range versions {
		wait.Go(func() {
			a, err := Open(Options{Dir: dir})
			if err != nil {
				t.Error(err)
				return
			}
			tokens, err := OpenTokens(dir)
			if err != nil {
				t.Error(err)
				return
			}
			versions[i], keys[i] = a.bundle.Version, tokens.kid
		})
	}
	wait.Wait()
	for i := range versions {
		if versions[i] != versions[0] || keys[i] != keys[0] {
			t.Fatalf("there are several authorities: %v %v", versions, keys)
		}
	}
}

// TestTwoProcesses has two that use one folder: the second to rotate is refused and keeps what it has.
func TestTwoProcesses(t *testing.T) {
	dir := stateDir(t)
	one, two := open(t, Options{Dir: dir}), open(t, Options{Dir: dir})
	if err := one.Prepare(); err != nil {
		t.Fatal(err)
	}
	if err := two.Prepare(); !errors.Is(err, errChanged) {
		t.Errorf("error %v, want %v", err, errChanged)
	}
	if len(two.bundle.Roots) != 1 || len(two.Status().Slots) != 1 {
		t.Error("a step that failed was taken")
	}
}

// TestDiskFails issues on while the state cannot be written, and takes no step of a rotation.
func TestDiskFails(t *testing.T) {
	dir := stateDir(t)
	var log bytes.Buffer
	a := open(t, Options{Dir: dir, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	got := issue(t, a, 0)
	if !strings.Contains(log.String(), "state is not on disk") {
		t.Errorf("nothing was said: %s", &log)
	}
	if !a.slots.active.lastLeaf.Equal(got.Leaf.NotAfter) {
		t.Error("the leaf does not count")
	}
	version := a.bundle.Version
	if err := a.Prepare(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("prepared with the error %v", err)
	}
	if a.bundle.Version != version || a.slots.prepared != nil {
		t.Error("a step that failed was taken")
	}
}

func TestStaleTemporaries(t *testing.T) {
	dir := stateDir(t)
	open(t, Options{Dir: dir})
	stale, young := filepath.Join(dir, ".new-1"), filepath.Join(dir, ".new-2")
	long := time.Now().Add(-time.Hour)
	if err := errors.Join(os.WriteFile(stale, nil, 0o600), os.WriteFile(young, nil, 0o600), os.Chtimes(stale, long, long)); err != nil {
		t.Fatal(err)
	}
	open(t, Options{Dir: dir})
	if _, err := os.Stat(stale); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the stale file is there: %v", err)
	}
	if _, err := os.Stat(young); err != nil {
		t.Error(err)
	}
}

// TestWritesAreRare issues many leaves and looks at how often the file changes.
func TestWritesAreRare(t *testing.T) {
	dir := stateDir(t)
	a := open(t, Options{Dir: dir})
	issue(t, a, 0)
	after := bytes.Clone(a.keeper.text)
	for range 20 {
		issue(t, a, 0)
	}
	if !bytes.Equal(after, a.keeper.text) {
		t.Error("a leaf of the same life was written down again")
	}
	issue(t, a, 2*DefaultTTL)
	if bytes.Equal(after, a.keeper.text) {
		t.Error("a longer leaf was not written down")
	}
}

// TestPlugInLater starts with a root of our own and then plugs in another, which must not break trust.
func TestPlugInLater(t *testing.T) {
	dir := stateDir(t)
	one := open(t, Options{Dir: dir})
	got := issue(t, one, 0)
	p := newPlugIn(t).below("a", newKey(t, elliptic.P256()))
	plugged := p.write()
	two := open(t, Options{Dir: dir, PlugIn: plugged})
	slots := two.Status()
	if len(slots.Slots) != 2 || slots.Slots[0].Origin != "self-made" || slots.Slots[1].Origin != "files" || !slots.Rotating {
		t.Fatalf("status %+v", slots)
	}
	if err := errors.Join(believe(got, two.bundle), believe(issue(t, two, 0), one.bundle)); err != nil {
		t.Error(err)
	}
	if !two.slots.spread.Equal(two.slots.active.lastLeaf) && two.slots.spread.Before(got.Leaf.NotAfter) {
		t.Errorf("trust has spread at %v, the leaf ends at %v", two.slots.spread, got.Leaf.NotAfter)
	}
	again := open(t, Options{Dir: dir, PlugIn: plugged}) // what is known already changes nothing
	if again.bundle.Version != two.bundle.Version || len(again.Status().Slots) != 2 {
		t.Errorf("status %+v", again.Status())
	}
	if err := again.Activate(true); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(plugged); err != nil { // the state has copies
		t.Fatal(err)
	}
	last := open(t, Options{Dir: dir})
	if leaf := issue(t, last, 0); len(leaf.Chain) != 1 || believe(leaf, &Bundle{TrustDomain: last.td, Roots: p.certs[:1]}) != nil {
		t.Error("the plugged-in authority does not issue")
	}
	other := newPlugIn(t).write()
	if a := open(t, Options{Dir: dir, PlugIn: other}); len(a.Status().Slots) != 3 {
		t.Errorf("status %+v", a.Status())
	}
	third := newPlugIn(t).write() // replaces what was prepared
	if a := open(t, Options{Dir: dir, PlugIn: third}); len(a.Status().Slots) != 3 || len(a.bundle.Roots) != 3 {
		t.Errorf("status %+v", a.Status())
	}
}
