package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oarlock/oarlock/mesh"
)

func TestWriteFileKeepsTheOldOne(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "state.json")
	if err := writeJSON(name, map[string]int{"a": 1}); err != nil {
		t.Fatal(err)
	}
	if err := writeJSON(name, func() {}); err == nil {
		t.Error("a function was written")
	}
	var got map[string]int
	if err := readJSON(name, &got); err != nil || got["a"] != 1 {
		t.Errorf("read %v, %v", got, err)
	}
	if st, _ := os.Stat(name); st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", st.Mode())
	}
	if err := writeFile(filepath.Join(dir, "no", "file"), nil, 0o600); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("write into no folder: %v", err)
	}
	left, _ := filepath.Glob(filepath.Join(dir, ".tmp-*"))
	if len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	if err := os.WriteFile(name, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := readJSON(name, &got); err == nil || !strings.Contains(err.Error(), name) {
		t.Errorf("read of a broken file: %v", err)
	}
}

func TestOwnFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := ownFolder(dir); err != nil {
		t.Fatal(err)
	}
	if st, _ := os.Stat(dir); st.Mode().Perm() != 0o700 {
		t.Errorf("mode %v", st.Mode())
	}
	link := dir + "-link"
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	if err := ownFolder(link); err == nil {
		t.Error("a link is taken for a folder of ours")
	}
}

func TestRotateLog(t *testing.T) {
	name := filepath.Join(t.TempDir(), "app.log")
	f, err := openLog(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fmt.Fprintln(f, "first")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen := make(lineWriter, 10)
	followed := make(chan error, 1)
	go func() { followed <- copyLog(ctx, seen, name, true) }()
	if got := <-seen; got != "first\n" {
		t.Errorf("followed %q", got)
	}
	if err := rotateLog(name, 100); err != nil {
		t.Fatal(err)
	}
	if st, _ := os.Stat(name); st.Size() != 6 {
		t.Errorf("a short log was rotated: %d bytes", st.Size())
	}
	if err := rotateLog(name, 5); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(f, "next") // the writer goes on at the start; so short that the follower sees the cut whenever it looks
	if got := <-seen; got != "next\n" {
		t.Errorf("followed %q", got)
	}
	cancel()
	if err := <-followed; err != nil {
		t.Errorf("follow: %v", err)
	}
	var all strings.Builder
	if err := copyLog(t.Context(), &all, name, false); err != nil || all.String() != "first\nnext\n" {
		t.Errorf("log %q, %v", all.String(), err)
	}
	if err := rotateLog(name+"-none", 1); err != nil {
		t.Errorf("rotate of nothing: %v", err)
	}
}

type lineWriter chan string

func (w lineWriter) Write(b []byte) (int, error) {
	w <- string(b)
	return len(b), nil
}

func TestAddresses(t *testing.T) {
	used := map[int]bool{}
	take := func(a *addresses) bool {
		was := used[a.Net]
		used[a.Net] = true
		return !was
	}
	for i := range nets {
		a, err := newAddresses("mesh", take)
		if err != nil || a.Net < firstNet || a.Net >= firstNet+nets {
			t.Fatalf("network %d: %+v, %v", i, a, err)
		}
	}
	if _, err := newAddresses("mesh", take); err == nil {
		t.Error("a network was given twice")
	}
	a := testNumbers()
	seen := map[netip.Addr]bool{}
	for i := range maxServices {
		n, ok := a.podNumber(mesh.Ref{Name: fmt.Sprint(i)})
		if !ok || seen[a.pod(n)] || !a.pod(n).IsLoopback() {
			t.Fatalf("pod %d: %d %v", i, n, ok)
		}
		seen[a.pod(n)] = true
	}
	if _, ok := a.podNumber(mesh.Ref{Name: "one more"}); ok {
		t.Error("a number was given twice")
	}
	if n, ok := a.podNumber(mesh.Ref{Name: "7"}); !ok || n != 9 {
		t.Errorf("pod 7 is %d", n)
	}
}

// TestForwarders: only ready endpoints, the next one where one does not answer, and an end without rest.
func TestForwarders(t *testing.T) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	go func() {
		for {
			c, err := lis.Accept()
			if err != nil {
				return
			}
			fmt.Fprintf(c, "from %s", c.RemoteAddr().(*net.TCPAddr).IP)
			c.Close()
		}
	}()
	good := lis.Addr().(*net.TCPAddr).AddrPort()
	var ready atomic.Bool
	ready.Store(true)
	f := newForwards(func(mesh.Ref) bool { return ready.Load() }, slog.New(slog.DiscardHandler))
	any := netip.MustParseAddrPort("127.0.0.1:0")
	var at string
	ask := func() string {
		c, err := net.DialTimeout("tcp", at, 30*time.Second)
		if err != nil {
			return err.Error()
		}
		defer c.Close()
		b := make([]byte, 100)
		n, err := c.Read(b)
		if err != nil {
			return "reset"
		}
		return string(b[:n])
	}
	spec := forward{Listen: any, Source: netip.MustParseAddr("127.9.8.7"), Targets: []target{
		{Pod: mesh.Ref{Name: "a"}, Addr: good}, {Pod: mesh.Ref{Name: "b"}, Addr: netip.MustParseAddrPort("127.0.0.1:1")}}}
	if p := f.set([]forward{spec}); len(p) > 0 {
		t.Fatal(p)
	}
	at = f.running[any].lis.Addr().String()
	for range 10 {
		if got := ask(); got != "from 127.9.8.7" {
			t.Fatalf("answer %q", got)
		}
	}
	ready.Store(false)
	if got := ask(); !strings.Contains(got, "reset") {
		t.Errorf("without an endpoint: %q", got)
	}
	if p := f.set([]forward{spec, {Listen: good}}); len(p) != 1 || !strings.Contains(p[0].Message, "address already in use") {
		t.Errorf("problems %v", p)
	}
	f.close()
	if got := ask(); !strings.Contains(got, "refused") {
		t.Errorf("after its end: %q", got)
	}
}
