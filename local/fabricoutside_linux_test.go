package local

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/oarlock/oarlock/meshtest"
)

// outsidePair is a server and its client in one process, which is as good: the socket does not know.
func outsidePair(t *testing.T) (*Outside, context.CancelFunc) {
	t.Helper()
	server, err := NewOutsideServer(slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.FcntlInt(server.child.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := unixConn(fd)
	if err != nil {
		t.Fatal(err)
	}
	o := newOutside(conn)
	ctx, cancel := context.WithCancel(t.Context())
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(ctx) })
	t.Cleanup(func() {
		o.Close()
		cancel()
		serving.Wait()
	})
	return o, cancel
}

func TestOutside(t *testing.T) {
	meshtest.NoLeaks(t)
	o, _ := outsidePair(t)
	socket := filepath.Join(t.TempDir(), "s")
	for network, addr := range map[string]string{"tcp4": "127.0.0.1:0", "unix": socket} {
		l, err := o.Listen(t.Context(), network, addr)
		if err != nil {
			t.Fatal(err)
		}
		for range 10 { // many at a time
			go func() {
				c, err := l.Accept()
				if err != nil {
					return
				}
				io.Copy(c, c)
				c.Close()
			}()
		}
		var calls sync.WaitGroup
		for range 10 {
			calls.Go(func() { echo(t, o, network, l.Addr().String()) })
		}
		calls.Wait()
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := o.Listen(t.Context(), "unix", filepath.Join(socket, "below")); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("listen in a folder that is none: %v", err)
	}
	if _, err := o.Dial(t.Context(), "tcp4", "nothing"); err == nil {
		t.Error("an address without a port is dialled")
	}
}

func echo(t *testing.T, o *Outside, network, addr string) {
	c, err := o.Dial(t.Context(), network, addr)
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	_, err = c.Write([]byte("x"))
	b := make([]byte, 1)
	if err == nil {
		_, err = io.ReadFull(c, b)
	}
	if err != nil || b[0] != 'x' {
		t.Errorf("echo: %q, %v", b, err)
	}
}

// TestOutsideGivesUp: who waits is told when the server goes, and need not wait longer than he wants. A descriptor that
// comes too late is closed.
func TestOutsideGivesUp(t *testing.T) {
	meshtest.NoLeaks(t)
	o, stop := outsidePair(t)
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	before := descriptors(t)
	for range 50 {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Microsecond)
		if c, err := o.Dial(ctx, "tcp4", l.Addr().String()); err == nil {
			c.Close()
		}
		cancel()
	}
	c, err := o.Dial(t.Context(), "tcp4", l.Addr().String()) // after which all others have been answered
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	eventually(t, "late descriptors are closed", func() bool { return descriptors(t) <= before })
	stop()
	select {
	case <-o.Gone():
	case <-time.After(30 * time.Second):
		t.Fatal("the end of the server is not seen")
	}
	if _, err := o.Dial(t.Context(), "tcp4", l.Addr().String()); err == nil {
		t.Error("a server that is gone dials")
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
