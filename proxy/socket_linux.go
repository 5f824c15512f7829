package proxy

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// originalDst asks the kernel where a redirected connection was meant to go. A connection that was not redirected has its
// own address there.
func originalDst(c tcpConn) (netip.AddrPort, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("read original destination: %w", err)
	}
	local, _ := ends(c)
	v6 := local.Addr().Is6()
	var out netip.AddrPort
	cerr := raw.Control(func(fd uintptr) { out, err = socketOriginalDst(int(fd), v6) })
	if cerr != nil {
		err = cerr
	}
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("read original destination: %w", err)
	}
	return out, nil
}

// soOriginalDst is SO_ORIGINAL_DST of linux/netfilter_ipv4.h, and IP6T_SO_ORIGINAL_DST.
const soOriginalDst = 80

func socketOriginalDst(fd int, v6 bool) (netip.AddrPort, error) {
	if v6 {
		var a unix.RawSockaddrInet6
		size := uint32(unsafe.Sizeof(a))
		if err := getsockopt(fd, unix.SOL_IPV6, unsafe.Pointer(&a), &size); err != nil {
			return netip.AddrPort{}, err
		}
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), swap(a.Port)), nil
	}
	var a unix.RawSockaddrInet4
	size := uint32(unsafe.Sizeof(a))
	if err := getsockopt(fd, unix.SOL_IP, unsafe.Pointer(&a), &size); err != nil {
		return netip.AddrPort{}, err
	}
	return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), swap(a.Port)), nil
}

func getsockopt(fd, level int, into unsafe.Pointer, size *uint32) error {
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), uintptr(level), soOriginalDst, uintptr(into), uintptr(unsafe.Pointer(size)), 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// swap reads a port in network byte order; Linux meshes run on little-endian machines (amd64, arm64).
func swap(p uint16) uint16 { return p<<8 | p>>8 }

// acceptKeepAlive leaves accepted connections as they are: they have keep-alive from the listening socket, which saves four
// system calls for each.
const acceptKeepAlive = -1

// keepAliveSeconds is how long a connection is silent before it is asked whether it lives, and between two questions.
const keepAliveSeconds = 30

// listenControl lets a new process listen where the one before it has just ended, and sets for what is accepted what package net would set
// for each connection: to send at once, and keep-alive.
func listenControl(_, _ string, c syscall.RawConn) error {
	var err error
	cerr := c.Control(func(fd uintptr) {
		err = errors.Join(
			unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
			unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NODELAY, 1),
			unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1),
			unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, keepAliveSeconds),
			unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, keepAliveSeconds),
		)
	})
	return errors.Join(cerr, err)
}

// dialControl marks our own connections, so that redirection leaves them alone. Where they come from an address that is
// chosen (bound), the kernel chooses the port when it knows the destination: else every port would count once for all
// destinations together, and a machine runs out of them. nil where there is nothing to do.
func (p *Proxy) dialControl(bound bool) func(network, address string, c syscall.RawConn) error {
	mark := p.opt.Capture.Mark
	if mark == 0 && !bound {
		return nil
	}
	return func(_, _ string, c syscall.RawConn) error {
		var err error
		cerr := c.Control(func(fd uintptr) {
			if bound {
				err = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
			}
			if mark != 0 {
				err = errors.Join(err, unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, mark))
			}
		})
		return errors.Join(cerr, err)
	}
}
