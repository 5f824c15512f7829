//go:build !linux

package proxy

import "net"

// A rawConn is for Linux alone.
type rawConn struct {
	net.Conn
	dry bool
}

func newRawConn(c net.Conn) net.Conn { return c }

func (c *rawConn) wait() ([]byte, int, error) { panic("there is none") }

func rawBeneath(net.Conn) *rawConn { return nil }

func (c *rawConn) postpone() {}

func (c *rawConn) kept() bool { return false }

func (c *rawConn) unsent() bool { return false }

// look would tell what has become of the other side.
func look(net.Conn) (state peerState, readable bool) { return peerOpen, false }
