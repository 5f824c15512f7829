//go:build !linux

package proxy

import (
	"net"
	"net/netip"
)

// An acceptor takes connections from a listening socket.
type acceptor struct{ listener *net.TCPListener }

// newAcceptor takes over a listening socket.
func newAcceptor(l *net.TCPListener) (*acceptor, error) { return &acceptor{l}, nil }

// close ends accept, which then returns net.ErrClosed.
func (a *acceptor) close() { a.listener.Close() }

func (a *acceptor) accept() (tcpConn, error) {
	c, err := a.listener.AcceptTCP()
	if err != nil {
		return nil, err
	}
	return c, nil
}

// An acceptedConn is for Linux alone.
type acceptedConn struct{ *net.TCPConn }

// ends gives the addresses of an accepted connection.
func ends(c tcpConn) (local, remote netip.AddrPort) {
	return addrPort(c.LocalAddr()), addrPort(c.RemoteAddr())
}
