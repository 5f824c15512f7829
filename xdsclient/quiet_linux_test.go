package xdsclient

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// quietPair gives both ends of a connection.
func quietPair(t *testing.T) (quiet net.Conn, other *net.UnixConn) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	quiet, err = dialQuiet(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { quiet.Close() })
	peer, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { peer.Close() })
	return quiet, peer.(*net.UnixConn)
}

// TestQuietConn: what is written arrives, more than the kernel keeps too, in both directions at once, and its end.
func TestQuietConn(t *testing.T) {
	quiet, peer := quietPair(t)
	large := bytes.Repeat([]byte("0123456789abcdef"), 1<<18)
	sent := make(chan error, 2)
	go func() { _, err := quiet.Write(large); sent <- err }()
	go func() {
		_, err := peer.Write(large)
		sent <- errors.Join(err, peer.CloseWrite())
	}()
	got := make([]byte, len(large))
	time.Sleep(time.Millisecond) // let the writers fill what the kernel keeps
	if _, err := io.ReadFull(peer, got); err != nil || !bytes.Equal(got, large) {
		t.Errorf("not what was written: %v", err)
	}
	if got, err := io.ReadAll(quiet); err != nil || !bytes.Equal(got, large) {
		t.Errorf("%d bytes, want %d: %v", len(got), len(large), err)
	}
	for range 2 {
		if err := <-sent; err != nil {
			t.Error(err)
		}
	}
	if n, err := quiet.Read(nil); n != 0 || err != nil {
		t.Errorf("a read of nothing: %d, %v", n, err)
	}
	if quiet.RemoteAddr().String() == "" || quiet.LocalAddr().Network() != "unix" {
		t.Error("no addresses")
	}
}

// TestQuietConnEnds: deadlines, Close and a peer that is gone end what waits.
func TestQuietConnEnds(t *testing.T) {
	quiet, _ := quietPair(t)
	if err := quiet.SetDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := quiet.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read after the deadline: %v", err)
	}
	if _, err := quiet.Write(make([]byte, 8<<20)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("write after the deadline: %v", err)
	}
	if err := quiet.SetDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() { _, err := quiet.Read(make([]byte, 1)); ended <- err }()
	go func() { _, err := quiet.Write(make([]byte, 8<<20)); ended <- err }()
	time.Sleep(time.Millisecond) // let them wait
	if err := quiet.Close(); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Errorf("waiting ends with %v", err)
		}
	}
	if _, err := quiet.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("write after Close: %v", err)
	}

	quiet, peer := quietPair(t)
	peer.Close()
	if _, err := quiet.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the end of the peer reads as %v", err)
	}
	if _, err := quiet.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("write to nobody: %v", err)
	}
	if _, err := dialQuiet(context.Background(), filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("dial nobody: %v", err)
	}
}
