//go:build !linux

package proxy

import (
	"errors"
	"net/netip"
	"syscall"
	"time"
)

// originalDst is for transparent capture, which is Linux's.
func originalDst(tcpConn) (netip.AddrPort, error) {
	return netip.AddrPort{}, errors.New("read original destination: only Linux can redirect connections to a sidecar")
}

// acceptKeepAlive is how often an accepted connection is asked whether it lives.
const acceptKeepAlive = 30 * time.Second

func listenControl(_, _ string, _ syscall.RawConn) error { return nil }

func (p *Proxy) dialControl(bool) func(network, address string, c syscall.RawConn) error { return nil }
