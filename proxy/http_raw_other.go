//go:build !unix

package proxy

import "net"

// A rawReader waits for a connection's next bytes without a buffer for them, which this system has no way to do.
type rawReader struct{}

func newRawReader(*net.TCPConn) *rawReader { return nil }

func (r *rawReader) read() ([]byte, int, error) { panic("there is none") }

// What the other side of a connection has done.
type peerState uint8

const (
	peerOpen peerState = iota
	peerEnded
	peerGone
)

// look would tell what has become of the other side.
func look(net.Conn) (state peerState, readable bool) { return peerOpen, false }
