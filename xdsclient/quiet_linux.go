package xdsclient

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A quietConn is a connection over a unix socket that wakes the process for what comes in and for nothing else.
//
// A sidecar sleeps until the control plane has something to say, and then all sidecars of the machine wake at once. With a
// connection of package net each is woken again when the other side has read its answer, since the runtime asks for room to
// write too and unix sockets tell of it each time; and a system call that the scheduler hears of wakes the thread that watches
// system calls, which looks every 20 µs from then on. So the socket lies in a poll set of its own that asks for input alone,
// the runtime waits for the set, and reads and writes, which never block, tell nobody.
//
// One goroutine may read at a time, and one may write.
type quietConn struct {
	socket, set *os.File
	raw         syscall.RawConn // of the socket: it holds it open during a call
	ready       syscall.RawConn // of the set
	address     *net.UnixAddr

	in, out     call
	read        func(fd uintptr) bool
	readOne     func(fd uintptr)
	writeOne    func(fd uintptr)
	writeBefore atomic.Int64 // in nanoseconds since 1970; 0 is for ever
	closed      atomic.Bool
}

// A call is what a read or a write is about.
type call struct {
	p    []byte
	n    int
	fail syscall.Errno
}

// dialQuiet connects to a unix socket.
func dialQuiet(_ context.Context, path string) (net.Conn, error) {
	c, err := openQuiet(path)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: "unix", Addr: &net.UnixAddr{Net: "unix", Name: path}, Err: err}
	}
	return c, nil
}

func openQuiet(path string) (*quietConn, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("connect", err)
	}
	set, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	// A file in blocking mode is none that the runtime waits for, which the socket must not be, and the set must.
	err = errors.Join(unix.SetNonblock(fd, false), unix.SetNonblock(set, true),
		unix.EpollCtl(set, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP, Fd: int32(fd)}))
	c := &quietConn{address: &net.UnixAddr{Net: "unix", Name: path}, socket: os.NewFile(uintptr(fd), path), set: os.NewFile(uintptr(set), path)}
	if err == nil {
		c.raw, err = c.socket.SyscallConn()
	}
	if err == nil {
		c.ready, err = c.set.SyscallConn()
	}
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	c.readOne, c.writeOne, c.read = c.tryRead, c.tryWrite, c.readNow
	return c, nil
}

// Read implements net.Conn.
func (c *quietConn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	c.in.p = p
	err := c.ready.Read(c.read)
	c.in.p = nil
	switch {
	case err != nil:
		return 0, c.failed("read", err)
	case c.in.fail != 0:
		return 0, c.failed("read", c.in.fail)
	case c.in.n == 0:
		return 0, io.EOF
	}
	return c.in.n, nil
}

// readNow is asked by the runtime whenever there may be something to read; it says whether there was.
func (c *quietConn) readNow(uintptr) bool {
	if err := c.raw.Control(c.readOne); err != nil {
		c.in.fail = syscall.EBADF
	}
	return c.in.fail != syscall.EAGAIN
}

func (c *quietConn) tryRead(fd uintptr) {
	for {
		n, _, fail := syscall.RawSyscall6(unix.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(unsafe.SliceData(c.in.p))), uintptr(len(c.in.p)), unix.MSG_DONTWAIT, 0, 0)
		if c.in.n, c.in.fail = int(n), fail; fail != syscall.EINTR {
			return
		}
	}
}

// Write implements net.Conn.
func (c *quietConn) Write(p []byte) (int, error) {
	c.out = call{p: p}
	defer func() { c.out.p = nil }()
	for c.out.n < len(p) {
		if err := c.raw.Control(c.writeOne); err != nil {
			return c.out.n, c.failed("write", err)
		}
		switch c.out.fail {
		case 0:
		case syscall.EAGAIN:
			if err := c.awaitRoom(); err != nil {
				return c.out.n, c.failed("write", err)
			}
		default:
			return c.out.n, c.failed("write", c.out.fail)
		}
	}
	return c.out.n, nil
}

func (c *quietConn) tryWrite(fd uintptr) {
	p := c.out.p[c.out.n:]
	n, _, fail := syscall.RawSyscall6(unix.SYS_SENDTO, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
	if c.out.fail = fail; fail == 0 {
		c.out.n += int(n)
	}
}

// roomEvery is how long a writer waits for room until it looks whether the connection was closed meanwhile.
const roomEvery = 50 * time.Millisecond

// awaitRoom waits until something can be written. It takes a thread, which seldom happens: some 200 KB must lie unread.
func (c *quietConn) awaitRoom() error {
	for {
		if at := c.writeBefore.Load(); at != 0 && time.Now().UnixNano() >= at {
			return os.ErrDeadlineExceeded
		}
		room := 0
		err := c.raw.Control(func(fd uintptr) {
			room, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, int(roomEvery.Milliseconds()))
		})
		if err != nil || room > 0 {
			return err
		}
	}
}

func (c *quietConn) failed(op string, err error) error {
	if fail, ok := err.(syscall.Errno); ok {
		err = os.NewSyscallError(op, fail)
	}
	if c.closed.Load() {
		err = net.ErrClosed
	}
	return &net.OpError{Op: op, Net: "unix", Addr: c.address, Err: err}
}

// Close implements net.Conn. A read that waits ends with it.
func (c *quietConn) Close() error {
	c.closed.Store(true)
	return errors.Join(c.set.Close(), c.socket.Close())
}

// LocalAddr implements net.Conn.
func (c *quietConn) LocalAddr() net.Addr { return &net.UnixAddr{Net: "unix"} }

// RemoteAddr implements net.Conn.
func (c *quietConn) RemoteAddr() net.Addr { return c.address }

// SetDeadline implements net.Conn.
func (c *quietConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline implements net.Conn.
func (c *quietConn) SetReadDeadline(t time.Time) error { return c.set.SetReadDeadline(t) }

// SetWriteDeadline implements net.Conn. It counts where a write has to wait.
func (c *quietConn) SetWriteDeadline(t time.Time) error {
	at := int64(0)
	if !t.IsZero() {
		at = t.UnixNano()
	}
	c.writeBefore.Store(at)
	return nil
}
