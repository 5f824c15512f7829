//go:build !linux

package proxy

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
)

// originalDst is for transparent capture, which is Linux's.
func originalDst(*net.TCPConn) (netip.AddrPort, error) {
	return netip.AddrPort{}, errors.New("read original destination: only Linux can redirect connections to a sidecar")
}

func listenControl(_, _ string, _ syscall.RawConn) error { return nil }

func (p *Proxy) dialControl() func(network, address string, c syscall.RawConn) error { return nil }
