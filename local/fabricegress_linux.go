package local

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// maxEgress is how many connections out of a mesh are open at a time; more are reset.
	maxEgress = 4096
	// halfOpen is how long one direction may go on after the other has ended.
	halfOpen = 5 * time.Minute
)

// An egress takes the pods' connections that leave the mesh, and makes them again outside.
type egress struct {
	listener net.Listener
	outside  *Outside // nil refuses
	log      *slog.Logger
	cancel   context.CancelFunc
	slots    chan struct{}
	running  sync.WaitGroup

	mu   sync.Mutex // guards open
	open map[net.Conn]struct{}
}

// newEgress owns the listener.
func newEgress(l net.Listener, outside *Outside, log *slog.Logger) *egress {
	ctx, cancel := context.WithCancel(context.Background())
	e := &egress{listener: l, outside: outside, log: log, cancel: cancel, slots: make(chan struct{}, maxEgress), open: map[net.Conn]struct{}{}}
	e.running.Go(func() { e.accept(ctx) })
	return e
}

func (e *egress) port() uint16 { return uint16(e.listener.Addr().(*net.TCPAddr).Port) }

func (e *egress) close() error {
	e.cancel()
	err := e.listener.Close()
	e.mu.Lock()
	for c := range e.open {
		c.Close()
	}
	e.mu.Unlock()
	e.running.Wait()
	return err
}

func (e *egress) accept(ctx context.Context) {
	for ctx.Err() == nil {
		c, err := e.listener.Accept()
		if err != nil {
			select { // descriptors may be short for a while
			case <-time.After(10 * time.Millisecond):
			case <-ctx.Done():
			}
			continue
		}
		select {
		case e.slots <- struct{}{}:
			e.running.Go(func() {
				e.carry(ctx, c.(*net.TCPConn))
				<-e.slots
			})
		default:
			reset(c)
		}
	}
}

// reset closes so that the peer sees an error, as it would if nothing listened.
func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	c.Close()
}

func (e *egress) carry(ctx context.Context, c *net.TCPConn) {
	out, err := e.dial(ctx, c)
	if err != nil {
		e.log.Debug("leave the mesh", "pod", c.RemoteAddr().String(), "error", err)
		reset(c)
		return
	}
	if !e.hold(ctx, c, out) {
		return
	}
	defer e.release(c, out)
	var other sync.WaitGroup
	other.Go(func() { egressCopy(out, c) })
	egressCopy(c, out)
	other.Wait()
}

// hold lets close end the connections.
func (e *egress) hold(ctx context.Context, conns ...net.Conn) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, c := range conns {
		if ctx.Err() != nil {
			c.Close()
			continue
		}
		e.open[c] = struct{}{}
	}
	return ctx.Err() == nil
}

func (e *egress) release(conns ...net.Conn) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, c := range conns {
		delete(e.open, c)
		c.Close()
	}
}

func (e *egress) dial(ctx context.Context, c *net.TCPConn) (net.Conn, error) {
	dst, err := redirectedFrom(c)
	if err != nil {
		return nil, err
	}
	if dst == c.LocalAddr().(*net.TCPAddr).AddrPort() {
		return nil, fmt.Errorf("connect to %s: the way out is no destination", dst)
	}
	if e.outside == nil {
		return nil, fmt.Errorf("connect to %s: this mesh has no way out", dst)
	}
	return e.outside.Dial(ctx, "tcp", dst.String())
}

// egressCopy copies one direction, then ends it at the far side and bounds the other one.
func egressCopy(to, from net.Conn) {
	_, err := io.Copy(to, from)
	if half, ok := to.(interface{ CloseWrite() error }); err == nil && ok {
		_ = half.CloseWrite()
		_ = to.SetReadDeadline(time.Now().Add(halfOpen))
		return
	}
	reset(to)
	reset(from)
}

// redirectedFrom asks the kernel where a redirected connection was meant to go.
func redirectedFrom(c *net.TCPConn) (netip.AddrPort, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("read original destination: %w", err)
	}
	var sa unix.RawSockaddrInet4
	var errno unix.Errno
	err = raw.Control(func(fd uintptr) {
		size := uint32(unsafe.Sizeof(sa))
		_, _, errno = unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_IP, unix.SO_ORIGINAL_DST,
			uintptr(unsafe.Pointer(&sa)), uintptr(unsafe.Pointer(&size)), 0)
	})
	if err == nil && errno != 0 {
		err = errno
	}
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("read original destination: %w", err)
	}
	return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), sa.Port<<8|sa.Port>>8), nil
}
