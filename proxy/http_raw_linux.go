package proxy

import (
	"crypto/tls"
	"io"
	"net"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A rawConn is a TCP connection whose reads and writes do not tell the scheduler of their system calls. These never block,
// as the socket does not, and what telling costs (a processor that is taken away and given back, a thread that is woken to
// watch) is a tenth of a request.
//
// One goroutine may read at a time, and one may write.
type rawConn struct {
	tcpConn
	raw syscall.RawConn

	in, out  rawCall
	later    postponed
	dry      bool                  // Read gives errNoMore
	readOne  func(fd uintptr) bool // made once: a closure for each call would be garbage
	waitOne  func(fd uintptr) bool
	writeAll func(fd uintptr) bool
	sendRead func(fd uintptr) bool
	lookOne  func(fd uintptr)
	seen     int16 // what poll said
}

// A rawCall is what a read or a write is about.
type rawCall struct {
	p    []byte
	n    int
	fail syscall.Errno
}

// newRawConn wraps a connection, or gives it back where it is not of TCP.
func newRawConn(c net.Conn) net.Conn {
	t, ok := plainTCP(c)
	if !ok {
		return c
	}
	if s, ok := t.(*acceptedConn); ok {
		return &s.io
	}
	raw, err := t.SyscallConn()
	if err != nil {
		return c
	}
	r := &rawConn{tcpConn: t, raw: raw}
	r.prepare()
	return r
}

// prepare makes what calls are made with.
func (c *rawConn) prepare() {
	c.readOne, c.waitOne, c.writeAll = c.tryRead, c.tryWait, c.tryWrite
}

// NetConn gives the connection beneath.
func (c *rawConn) NetConn() net.Conn { return c.tcpConn }

// Read reads as the connection beneath does.
func (c *rawConn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if c.later.on {
		return c.sendThenRead(p)
	}
	if c.dry {
		return 0, errNoMore{}
	}
	c.in.p = p
	err := c.raw.Read(c.readOne)
	c.in.p = nil
	return c.read(err)
}

// read gives what the last call came to.
func (c *rawConn) read(err error) (int, error) {
	switch {
	case err != nil:
		return 0, err
	case c.in.fail != 0:
		return 0, &net.OpError{Op: "read", Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: os.NewSyscallError("read", c.in.fail)}
	case c.in.n == 0:
		return 0, io.EOF
	}
	return c.in.n, nil
}

func (c *rawConn) tryRead(fd uintptr) bool {
	c.in.n, c.in.fail = rawRead(fd, c.in.p)
	return c.in.fail != syscall.EAGAIN
}

// wait reads into a buffer of the small kind that it takes when there is something to read, and not before.
func (c *rawConn) wait() ([]byte, int, error) {
	n, err := c.read(c.raw.Read(c.waitOne))
	buf := c.in.p
	c.in.p = nil
	if n == 0 && buf != nil {
		giveBack(buf)
		buf = nil
	}
	return buf, n, err
}

func (c *rawConn) tryWait(fd uintptr) bool {
	c.in.p = takeSmall()
	if c.tryRead(fd) {
		return true
	}
	giveBack(c.in.p)
	c.in.p = nil
	return false
}

// Write writes as the connection beneath does.
func (c *rawConn) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if c.later.on {
		if c.later.keep(p) {
			return len(p), nil
		}
		if err := c.sendNow(); err != nil {
			return 0, err
		}
	}
	return c.write(p)
}

func (c *rawConn) write(p []byte) (int, error) {
	c.out = rawCall{p: p}
	err := c.raw.Write(c.writeAll)
	c.out.p = nil
	if err == nil && c.out.fail != 0 {
		err = &net.OpError{Op: "write", Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: os.NewSyscallError("write", c.out.fail)}
	}
	return c.out.n, err
}

func (c *rawConn) tryWrite(fd uintptr) bool {
	for c.out.n < len(c.out.p) {
		p := c.out.p[c.out.n:]
		n, _, errno := syscall.RawSyscall6(syscall.SYS_SENDTO, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), syscall.MSG_NOSIGNAL, 0, 0)
		switch errno {
		case 0:
			c.out.n += int(n)
		case syscall.EINTR:
		case syscall.EAGAIN:
			return false
		default:
			c.out.fail = errno
			return true
		}
	}
	return true
}

func rawRead(fd uintptr, p []byte) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), 0, 0, 0)
		switch errno {
		case 0:
			return int(n), 0
		case syscall.EINTR:
		default:
			return 0, errno
		}
	}
}

// look tells what has become of the other side, and whether there is something to read.
func look(c net.Conn) (state peerState, readable bool) {
	if r := rawBeneath(c); r != nil {
		return r.look()
	}
	t, ok := tcpBeneath(c)
	if !ok {
		return peerOpen, false
	}
	raw, err := t.SyscallConn()
	if err != nil {
		return peerGone, false
	}
	return (&rawConn{raw: raw}).look()
}

// rawBeneath gives the rawConn beneath a connection, nil where there is none.
func rawBeneath(c net.Conn) *rawConn {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	switch c := c.(type) {
	case *rawConn:
		return c
	case *acceptedConn:
		return &c.io
	}
	return nil
}

// look asks the kernel and waits for nothing.
func (c *rawConn) look() (state peerState, readable bool) {
	if c.lookOne == nil {
		c.lookOne = c.tryLook
	}
	if err := c.raw.Control(c.lookOne); err != nil {
		return peerGone, false
	}
	switch got := c.seen; {
	case got&(unix.POLLERR|unix.POLLHUP|unix.POLLNVAL) != 0:
		return peerGone, got&unix.POLLIN != 0
	case got&unix.POLLRDHUP != 0:
		return peerEnded, got&unix.POLLIN != 0
	default:
		return peerOpen, got&unix.POLLIN != 0
	}
}

func (c *rawConn) tryLook(fd uintptr) {
	p := unix.PollFd{Fd: int32(fd), Events: unix.POLLIN | unix.POLLRDHUP}
	now := unix.Timespec{}
	_, _, fail := syscall.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&p)), 1, uintptr(unsafe.Pointer(&now)), 0, 0, 0)
	if c.seen = p.Revents; fail != 0 {
		c.seen = 0
	}
}
