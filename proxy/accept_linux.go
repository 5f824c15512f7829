package proxy

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// An acceptor takes connections from a listening socket. It is used by one goroutine.
type acceptor struct {
	file  *os.File // the listening socket; package net lets nobody wait for one of its own
	raw   syscall.RawConn
	local netip.AddrPort // where all connections come in; not valid where each has to be asked
	try   func(fd uintptr) bool

	perched atomic.Int32 // connections that are on a perch

	fd   int // what try came to
	fail syscall.Errno
	from unix.RawSockaddrAny
}

// newAcceptor takes over a listening socket.
func newAcceptor(l *net.TCPListener) (*acceptor, error) {
	defer l.Close()
	f, err := l.File()
	if err != nil {
		return nil, fmt.Errorf("accept connections: %w", err)
	}
	raw, err := f.SyscallConn()
	if err == nil {
		err = f.SetDeadline(time.Time{}) // which fails where the poller did not take it
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("accept connections: %w", err)
	}
	a := &acceptor{file: f, raw: raw}
	if at := addrPort(l.Addr()); !at.Addr().IsUnspecified() {
		a.local = at
	}
	a.try = a.tryAccept
	return a, nil
}

// close ends accept, which then returns net.ErrClosed. It may be called by anybody.
func (a *acceptor) close() { a.file.Close() }

// accept waits for a connection. What it inherits from the listening socket is not set again.
func (a *acceptor) accept() (tcpConn, error) {
	if a.raw.Read(a.try) != nil {
		return nil, net.ErrClosed // nothing else ends it
	}
	if a.fail != 0 {
		return nil, os.NewSyscallError("accept4", a.fail)
	}
	local := a.local
	if !local.IsValid() {
		local = socketName(a.fd)
	}
	c := newAcceptedConn(a.fd, local, sockaddr(&a.from))
	c.perches = &a.perched
	return c, nil
}

func (a *acceptor) tryAccept(fd uintptr) bool {
	for {
		size := uint32(unix.SizeofSockaddrAny)
		n, _, errno := syscall.RawSyscall6(unix.SYS_ACCEPT4, fd, uintptr(unsafe.Pointer(&a.from)), uintptr(unsafe.Pointer(&size)), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
		switch errno {
		case syscall.EINTR, syscall.ECONNABORTED: // another one
		case syscall.EAGAIN:
			return false
		default:
			a.fd, a.fail = int(n), errno
			return true
		}
	}
}

// socketName is the address of our end.
func socketName(fd int) netip.AddrPort {
	var at unix.RawSockaddrAny
	size := uint32(unix.SizeofSockaddrAny)
	syscall.RawSyscall(unix.SYS_GETSOCKNAME, uintptr(fd), uintptr(unsafe.Pointer(&at)), uintptr(unsafe.Pointer(&size)))
	return sockaddr(&at)
}

func sockaddr(a *unix.RawSockaddrAny) netip.AddrPort {
	switch a.Addr.Family {
	case unix.AF_INET:
		in := (*unix.RawSockaddrInet4)(unsafe.Pointer(a))
		return netip.AddrPortFrom(netip.AddrFrom4(in.Addr), swap(in.Port))
	case unix.AF_INET6:
		in := (*unix.RawSockaddrInet6)(unsafe.Pointer(a))
		ip := netip.AddrFrom16(in.Addr).Unmap()
		if in.Scope_id != 0 && ip.Is6() {
			ip = ip.WithZone(zoneName(int(in.Scope_id)))
		}
		return netip.AddrPortFrom(ip, swap(in.Port))
	}
	return netip.AddrPort{}
}

func zoneName(index int) string {
	i, err := net.InterfaceByIndex(index)
	if err != nil {
		return strconv.Itoa(index)
	}
	return i.Name
}

// ends gives the addresses of an accepted connection.
func ends(c tcpConn) (local, remote netip.AddrPort) {
	if s, ok := c.(*acceptedConn); ok {
		return s.local, s.remote
	}
	return addrPort(c.LocalAddr()), addrPort(c.RemoteAddr())
}
