//go:build unix

package proxy

import (
	"io"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// A rawReader waits for a connection's next bytes without a buffer for them.
type rawReader struct {
	raw  syscall.RawConn
	try  func(fd uintptr) bool // made once: a closure for each read would be garbage
	buf  []byte
	n    int
	fail error
}

func newRawReader(c *net.TCPConn) *rawReader {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil
	}
	r := &rawReader{raw: raw}
	r.try = r.once
	return r
}

// read gives a buffer of the small kind with the next bytes in it.
func (r *rawReader) read() ([]byte, int, error) {
	if err := r.raw.Read(r.try); err != nil {
		return nil, 0, err
	}
	buf, n := r.buf, r.n
	r.buf = nil
	if n > 0 {
		return buf, n, nil
	}
	if buf != nil {
		giveBack(buf)
	}
	if r.fail != nil {
		return nil, 0, os.NewSyscallError("read", r.fail)
	}
	return nil, 0, io.EOF
}

// once tries to read; false waits until it is worth trying again.
func (r *rawReader) once(fd uintptr) bool {
	buf := takeSmall()
	for {
		n, err := syscall.Read(int(fd), buf)
		switch err {
		case nil:
			r.buf, r.n, r.fail = buf, n, nil
			return true
		case syscall.EINTR:
			continue
		}
		giveBack(buf)
		r.buf, r.n, r.fail = nil, 0, err
		return err != syscall.EAGAIN
	}
}

// What the other side of a connection has done, as far as it can be told without reading.
type peerState uint8

const (
	peerOpen  peerState = iota
	peerEnded           // it will send nothing more, but may be listening
	peerGone            // it has reset the connection
)

// look tells what has become of the other side, and whether there is something to read.
func look(c net.Conn) (state peerState, readable bool) {
	t, ok := tcpBeneath(c)
	if !ok {
		return peerOpen, false
	}
	raw, err := t.SyscallConn()
	if err != nil {
		return peerGone, false
	}
	err = raw.Control(func(fd uintptr) {
		fds := []unix.PollFd{{Fd: int32(fd), Events: pollEvents}}
		if n, err := unix.Poll(fds, 0); err != nil || n == 0 {
			return
		}
		got := fds[0].Revents
		readable = got&unix.POLLIN != 0
		switch {
		case got&(unix.POLLERR|unix.POLLHUP|unix.POLLNVAL) != 0:
			state = peerGone
		case got&pollEnded != 0:
			state = peerEnded
		}
	})
	if err != nil {
		return peerGone, false
	}
	return state, readable
}
