package yamldir_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oarlock/oarlock/yamldir"
)

// told waits for "look again".
func told(t *testing.T, look <-chan struct{}, what string) {
	t.Helper()
	select {
	case _, open := <-look:
		if !open {
			t.Fatalf("%s: the watch has ended", what)
		}
	case <-time.After(30 * time.Second):
		t.Fatalf("%s: nothing was told", what)
	}
}

// quiet wants nothing to be told for a while.
func quiet(t *testing.T, look <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-look:
		t.Errorf("%s: it was told", what)
	case <-time.After(150 * time.Millisecond):
	}
}

func TestWatch(t *testing.T) {
	dir := folder(t, map[string]string{"a.yaml": policy("a"), "sub/b.yaml": policy("b"), "elsewhere/target": policy("c")})
	outside := folder(t, map[string]string{"linked.yaml": policy("d")})
	if err := os.Symlink(filepath.Join(outside, "linked.yaml"), filepath.Join(dir, "link.yaml")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	// So seldom that only notices count.
	look := mustOpen(t, yamldir.Options{}, dir).Watch(ctx, yamldir.WatchOptions{Poll: time.Hour})
	at := func(name string) string { return filepath.Join(dir, name) }
	// First what is not told: a change may be told twice.
	write(t, at(".b.swp"), "x")
	write(t, at("4913"), "")
	write(t, at("notes.txt"), "x")
	quiet(t, look, "a swap file and one that is no manifest")
	rename := func(from, to string) {
		if err := os.Rename(at(from), at(to)); err != nil {
			t.Fatal(err)
		}
	}
	// Each is what some editor or tool does.
	for _, step := range []struct {
		what string
		do   func()
	}{
		{"write in place", func() { write(t, at("a.yaml"), policy("a2")) }},
		{"replace by rename", func() { write(t, at(".a.yaml.swp"), policy("a3")); rename(".a.yaml.swp", "a.yaml") }},
		{"rename away, then write", func() { rename("a.yaml", "a.yaml~"); write(t, at("a.yaml"), policy("a4")) }},
		{"write in a subfolder", func() { write(t, at("sub/b.yaml"), policy("b2")) }},
		{"new nested folders", func() { write(t, at("x/y/z.yaml"), policy("z")) }},
		{"write in a new folder", func() { write(t, at("x/y/z.yaml"), policy("z2")) }},
		{"write where a link leads", func() { write(t, filepath.Join(outside, "linked.yaml"), policy("d2")) }},
		{"rename a folder", func() { rename("x", "w") }},
		{"write in the renamed folder", func() { write(t, at("w/y/z.yaml"), policy("z3")) }},
		{"remove a folder", func() { os.RemoveAll(at("w")) }},
		{"make it again", func() { write(t, at("w/y/z.yaml"), policy("z4")) }},
		{"write in what was made again", func() { write(t, at("w/y/z.yaml"), policy("z5")) }},
	} {
		step.do()
		told(t, look, step.what)
		settled(look, 50*time.Millisecond)
	}
	cancel()
	for range look { // until it is closed
	}
}

// settled counts what is told until for a while nothing is.
func settled(look <-chan struct{}, while time.Duration) (n int) {
	for {
		select {
		case <-look:
			n++
		case <-time.After(while):
			return n
		}
	}
}

// TestWatchCoalesces: a storm of writes is few words.
func TestWatchCoalesces(t *testing.T) {
	dir := folder(t, map[string]string{"a.yaml": policy("a")})
	const settle = 200 * time.Millisecond
	look := mustOpen(t, yamldir.Options{}, dir).Watch(t.Context(), yamldir.WatchOptions{Settle: settle})
	begin, done := time.Now(), make(chan struct{})
	go func() {
		defer close(done)
		for i := range 200 {
			if err := os.WriteFile(filepath.Join(dir, "a.yaml"), []byte(policy(fmt.Sprint("a", i))), 0o644); err != nil {
				t.Error(err)
			}
		}
	}()
	told(t, look, "200 writes")
	n := 1 + settled(look, 3*settle)
	<-done
	took := time.Since(begin)
	if n += settled(look, 3*settle); n > int(2+took/settle) {
		t.Errorf("200 writes in %v were told %d times", took, n)
	}
}

// TestWatchFile watches one file that is named by itself, also while it is away.
func TestWatchFile(t *testing.T) {
	dir := folder(t, map[string]string{"mesh.yaml": policy("a"), "other.yaml": policy("b")})
	name := filepath.Join(dir, "mesh.yaml")
	look := mustOpen(t, yamldir.Options{}, name).Watch(t.Context(), yamldir.WatchOptions{})
	write(t, filepath.Join(dir, "other.yaml"), policy("b2"))
	quiet(t, look, "a neighbour")
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	told(t, look, "removed")
	write(t, name, policy("a2"))
	told(t, look, "written again")
}

// TestWatchRoot: a folder that is removed and made again is found again.
func TestWatchRoot(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "mesh")
	write(t, filepath.Join(dir, "a.yaml"), policy("a"))
	look := mustOpen(t, yamldir.Options{}, dir).Watch(t.Context(), yamldir.WatchOptions{})
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	told(t, look, "removed")
	write(t, filepath.Join(dir, "a.yaml"), policy("a2"))
	told(t, look, "made again")
	time.Sleep(20 * time.Millisecond)
	write(t, filepath.Join(dir, "b.yaml"), policy("b"))
	told(t, look, "written")
}

// An impatient context ends when somebody waits for its end.
type impatient struct {
	context.Context
	waited atomic.Bool
}

func (c *impatient) Done() <-chan struct{} {
	c.waited.Store(true)
	ended := make(chan struct{})
	close(ended)
	return ended
}

func (c *impatient) Err() error {
	if c.waited.Load() {
		return context.Canceled
	}
	return nil
}

// TestExpect: what is known to be whole is read at once, and other content is waited for.
func TestExpect(t *testing.T) {
	dir := folder(t, map[string]string{"a.yaml": policy("a")})
	name := filepath.Join(dir, "a.yaml")
	d := mustOpen(t, yamldir.Options{}, dir)
	read := func(hashed string) error {
		write(t, name, policy("b"))
		soon := time.Now().Add(time.Hour) // so that it never looks as if it had settled
		if err := os.Chtimes(name, soon, soon); err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256([]byte(hashed))
		d.Expect(map[string]string{name: hex.EncodeToString(sum[:])})
		files, _, err := d.Files(&impatient{Context: t.Context()})
		if err == nil && string(files[0].Data) != policy("b") {
			t.Errorf("it reads %q", files[0].Data)
		}
		return err
	}
	err := read(policy("b"))
	for range 20 { // what was said counts for a second, and the machine may be busy
		if err != nil {
			err = read(policy("b"))
		}
	}
	if err != nil {
		t.Errorf("what was expected: %v", err)
	}
	if err := read(policy("c")); !errors.Is(err, context.Canceled) {
		t.Errorf("what was not expected: %v", err)
	}
}
