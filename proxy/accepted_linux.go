package proxy

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// An acceptedConn is an accepted connection. The poller hears of it when somebody has to wait for it first, and not before: where a
// connection brings one request, that has most often come when the connection is accepted. What package net does for each
// besides (three system calls, and two that tell the scheduler) is a tenth of such a request's processor time.
//
// It is used like a *net.TCPConn, by many goroutines.
type acceptedConn struct {
	io            rawConn
	fd            int
	local, remote netip.AddrPort

	// use counts the calls on fd that are under way and do not go by file, and has fdClosed added to it by Close: whoever
	// is last then closes fd, so that nobody comes to one that is somebody else's by now.
	use   atomic.Int32
	file  atomic.Pointer[os.File] // nil until the poller knows it
	calls syscall.RawConn         // of file; written before it

	perches *atomic.Int32 // how many connections of its door are on one; nil where it may not

	mu                    sync.Mutex // guards what follows, and that there is one file
	readUntil, writeUntil time.Time  // deadlines, until there is a file
	perch                 *perch     // where it waits; nil most often
	sat                   bool       // it has been on one
}

const fdClosed = math.MinInt32

func newAcceptedConn(fd int, local, remote netip.AddrPort) *acceptedConn {
	s := &acceptedConn{fd: fd, local: local, remote: remote}
	s.io.tcpConn, s.io.raw = s, (*acceptedCalls)(s)
	s.io.prepare()
	return s
}

// hold keeps fd from being closed until letGo; false where it is closed.
func (s *acceptedConn) hold() bool {
	for {
		n := s.use.Load()
		if n < 0 {
			return false
		}
		if s.use.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (s *acceptedConn) letGo() {
	if s.use.Add(-1) == fdClosed {
		s.end()
	}
}

// Close closes the connection. Whoever waits for it gets net.ErrClosed.
func (s *acceptedConn) Close() error {
	for {
		n := s.use.Load()
		if n < 0 {
			return net.ErrClosed // bare: it is closed twice as a rule
		}
		if s.use.CompareAndSwap(n, n+fdClosed) {
			if n == 0 {
				s.end()
				return nil
			}
			s.mu.Lock()
			s.wake(time.Unix(1, 0))
			s.mu.Unlock()
			return nil
		}
	}
}

// end closes fd: everybody has let go of it.
func (s *acceptedConn) end() {
	if f := s.file.Load(); f != nil {
		f.Close()
		return
	}
	syscall.RawSyscall(unix.SYS_CLOSE, uintptr(s.fd), 0, 0)
}

// register tells the poller. The caller holds c.
func (s *acceptedConn) register() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file.Load() != nil {
		return nil
	}
	f := os.NewFile(uintptr(s.fd), "socket")
	calls, err := f.SyscallConn()
	if err == nil && !s.readUntil.IsZero() {
		err = f.SetReadDeadline(s.readUntil)
	}
	if err == nil && !s.writeUntil.IsZero() {
		err = f.SetWriteDeadline(s.writeUntil)
	}
	s.calls = calls
	s.file.Store(f) // in any case: it closes fd when nobody has it
	return err
}

// failed gives an error as package net would.
func (s *acceptedConn) failed(op string, err error) error {
	switch {
	case s.use.Load() < 0:
		err = net.ErrClosed
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = os.ErrDeadlineExceeded
	}
	return &net.OpError{Op: op, Net: "tcp", Source: s.LocalAddr(), Addr: s.RemoteAddr(), Err: err}
}

// acceptedCalls are its system calls, as a syscall.RawConn has them.
type acceptedCalls acceptedConn

func (c *acceptedCalls) Control(f func(fd uintptr)) error {
	s := (*acceptedConn)(c)
	if !s.hold() {
		return s.failed("control", net.ErrClosed)
	}
	f(uintptr(s.fd))
	s.letGo()
	return nil
}

func (c *acceptedCalls) Read(try func(fd uintptr) bool) error {
	s := (*acceptedConn)(c)
	done, err := s.atOnce("read", try, true)
	if done || err != nil {
		return err
	}
	if err = s.calls.Read(try); err != nil {
		return s.failed("read", err)
	}
	return nil
}

func (c *acceptedCalls) Write(try func(fd uintptr) bool) error {
	s := (*acceptedConn)(c)
	done, err := s.atOnce("write", try, false)
	if done || err != nil {
		return err
	}
	if err = s.calls.Write(try); err != nil {
		return s.failed("write", err)
	}
	return nil
}

// atOnce makes a call without the poller, if that does not know the socket yet; it does afterwards where the call has to wait.
func (s *acceptedConn) atOnce(op string, try func(fd uintptr) bool, mayPerch bool) (done bool, err error) {
	if s.file.Load() != nil {
		return false, nil
	}
	if !s.hold() {
		return false, s.failed(op, net.ErrClosed)
	}
	defer s.letGo()
	if try(uintptr(s.fd)) {
		return true, nil
	}
	if mayPerch {
		if done, err := s.perched(try); done || err != nil {
			return done, err
		}
	}
	if err := s.register(); err != nil {
		return false, s.failed(op, err)
	}
	return false, nil
}

// SyscallConn is as of a *net.TCPConn.
func (s *acceptedConn) SyscallConn() (syscall.RawConn, error) { return (*acceptedCalls)(s), nil }

func (s *acceptedConn) Read(p []byte) (int, error)  { return s.io.Read(p) }
func (s *acceptedConn) Write(p []byte) (int, error) { return s.io.Write(p) }
func (s *acceptedConn) LocalAddr() net.Addr         { return net.TCPAddrFromAddrPort(s.local) }
func (s *acceptedConn) RemoteAddr() net.Addr        { return net.TCPAddrFromAddrPort(s.remote) }

func (s *acceptedConn) CloseRead() error  { return s.control("shutdown", shutRead) }
func (s *acceptedConn) CloseWrite() error { return s.control("shutdown", shutWrite) }

func shutRead(fd int) error  { return unix.Shutdown(fd, unix.SHUT_RD) }
func shutWrite(fd int) error { return unix.Shutdown(fd, unix.SHUT_WR) }

// SetLinger is as of a *net.TCPConn, for 0 and more seconds.
func (s *acceptedConn) SetLinger(seconds int) error {
	return s.control("set linger", func(fd int) error {
		return unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: int32(seconds)})
	})
}

func (s *acceptedConn) control(op string, f func(fd int) error) error {
	if !s.hold() {
		return s.failed(op, net.ErrClosed)
	}
	defer s.letGo()
	if err := f(s.fd); err != nil {
		return s.failed(op, fmt.Errorf("%s: %w", op, err))
	}
	return nil
}

func (s *acceptedConn) SetDeadline(t time.Time) error {
	return s.setDeadline(t, (*os.File).SetDeadline, &s.readUntil, &s.writeUntil)
}

func (s *acceptedConn) SetReadDeadline(t time.Time) error {
	return s.setDeadline(t, (*os.File).SetReadDeadline, &s.readUntil)
}

func (s *acceptedConn) SetWriteDeadline(t time.Time) error {
	return s.setDeadline(t, (*os.File).SetWriteDeadline, &s.writeUntil)
}

// setDeadline keeps a deadline for the time when somebody waits. One that is over has to be in force at once, for calls that
// would not wait as well.
func (s *acceptedConn) setDeadline(t time.Time, set func(*os.File, time.Time) error, keep ...*time.Time) error {
	if !s.hold() {
		return s.failed("set deadline", net.ErrClosed)
	}
	defer s.letGo()
	if s.keepDeadline(t, keep) {
		if t.IsZero() || time.Until(t) > 0 {
			return nil
		}
		if err := s.register(); err != nil {
			return s.failed("set deadline", err)
		}
		return nil
	}
	if err := set(s.file.Load(), t); err != nil {
		return s.failed("set deadline", err)
	}
	return nil
}

// keepDeadline notes a deadline; false where the poller has them.
func (s *acceptedConn) keepDeadline(t time.Time, keep []*time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if keep[0] == &s.readUntil {
		s.wake(t)
	}
	if s.file.Load() != nil {
		return false
	}
	for _, k := range keep {
		*k = t
	}
	return true
}
