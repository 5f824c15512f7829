package proxy

import (
	"net"
	"syscall"
)

// A tcpConn is a TCP connection: a *net.TCPConn, or a *acceptedConn.
type tcpConn interface {
	net.Conn
	syscall.Conn
	CloseRead() error
	CloseWrite() error
	SetLinger(seconds int) error
}

// plainTCP gives a connection as one of TCP, where nothing is wrapped around it.
func plainTCP(c net.Conn) (tcpConn, bool) {
	switch c := c.(type) {
	case *net.TCPConn:
		return c, true
	case *acceptedConn:
		return c, true
	}
	return nil, false
}
