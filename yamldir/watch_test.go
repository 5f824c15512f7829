package yamldir_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/oarlock/oarlock/yamldir"
)

// told waits for "look again" and gives how long it took.
func told(t *testing.T, look <-chan struct{}, what string) time.Duration {
	t.Helper()
	begin := time.Now()
	select {
	case _, open := <-look:
		if !open {
			t.Fatalf("%s: the watch has ended", what)
		}
	case <-time.After(5 * time.Second):
		t.Fatalf("%s: nothing was told", what)
	}
	return time.Since(begin)
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
	look := mustOpen(t, yamldir.Options{}, dir).Watch(ctx, yamldir.WatchOptions{})
	quiet(t, look, "nothing")
	at := func(name string) string { return filepath.Join(dir, name) }
	rename := func(from, to string) {
		if err := os.Rename(at(from), at(to)); err != nil {
			t.Fatal(err)
		}
	}
	// Each is what some editor or tool does.
	for _, step := range []struct {
		what string
		do   func()
		tell bool
	}{
		{"write in place", func() { write(t, at("a.yaml"), policy("a2")) }, true},
		{"replace by rename", func() { write(t, at(".a.yaml.swp"), policy("a3")); rename(".a.yaml.swp", "a.yaml") }, true},
		{"rename away, then write", func() { rename("a.yaml", "a.yaml~"); write(t, at("a.yaml"), policy("a4")) }, true},
		{"write a swap file", func() { write(t, at(".b.swp"), "x"); write(t, at("4913"), "") }, false},
		{"write in a subfolder", func() { write(t, at("sub/b.yaml"), policy("b2")) }, true},
		{"new nested folders", func() { write(t, at("x/y/z.yaml"), policy("z")) }, true},
		{"write in a new folder", func() { write(t, at("x/y/z.yaml"), policy("z2")) }, true},
		{"write where a link leads", func() { write(t, filepath.Join(outside, "linked.yaml"), policy("d2")) }, true},
		{"rename a folder", func() { rename("x", "w") }, true},
		{"write in the renamed folder", func() { write(t, at("w/y/z.yaml"), policy("z3")) }, true},
		{"remove a folder", func() { os.RemoveAll(at("w")) }, true},
		{"make it again", func() { write(t, at("w/y/z.yaml"), policy("z4")) }, true},
		{"write in what was made again", func() { write(t, at("w/y/z.yaml"), policy("z5")) }, true},
		{"a file that is no manifest", func() { write(t, at("notes.txt"), "x") }, false},
	} {
		step.do()
		if !step.tell {
			quiet(t, look, step.what)
			continue
		}
		if took := told(t, look, step.what); took > time.Second {
			t.Errorf("%s: told after %v, by looking and not by notice", step.what, took)
		}
	}
	cancel()
	for range look { // until it is closed
	}
}

// TestWatchCoalesces: a storm of writes is few words, and the last is after the last write.
func TestWatchCoalesces(t *testing.T) {
	dir := folder(t, map[string]string{"a.yaml": policy("a")})
	look := mustOpen(t, yamldir.Options{}, dir).Watch(t.Context(), yamldir.WatchOptions{})
	for i := range 200 {
		write(t, filepath.Join(dir, "a.yaml"), policy(fmt.Sprint("a", i)))
	}
	n := 0
	for {
		select {
		case <-look:
			n++
			continue
		case <-time.After(300 * time.Millisecond):
		}
		break
	}
	if n == 0 || n > 20 {
		t.Errorf("200 writes were told %d times", n)
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

// TestExpect: what is known to be whole is read at once, and other content is not.
func TestExpect(t *testing.T) {
	dir := folder(t, map[string]string{"a.yaml": policy("a")})
	name := filepath.Join(dir, "a.yaml")
	d := mustOpen(t, yamldir.Options{}, dir)
	read := func(content string, hashed string) time.Duration {
		write(t, name, content)
		sum := sha256.Sum256([]byte(hashed))
		d.Expect(map[string]string{name: hex.EncodeToString(sum[:])})
		begin := time.Now()
		files, _, err := d.Files(t.Context())
		if err != nil || string(files[0].Data) != content {
			t.Fatalf("%v %v", files, err)
		}
		return time.Since(begin)
	}
	fast := time.Hour
	for range 5 { // the machine may be busy
		fast = min(fast, read(policy("b"), policy("b")))
	}
	if fast > 10*time.Millisecond {
		t.Errorf("it took %v to read what was expected", fast)
	}
	if slow := read(policy("c"), policy("d")); slow < 10*time.Millisecond {
		t.Errorf("it took %v to read what was not", slow)
	}
}
