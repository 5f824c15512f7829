package sniff

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
)

// errSeen ends a handshake that has shown us what we wanted.
var errSeen = errors.New("ClientHello was read")

// helloConfig notes the ClientHello and goes no further, so it needs no certificate. All handshakes share it.
var helloConfig = &tls.Config{
	GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		h.Conn.(*helloConn).hello = &Hello{
			ServerName: strings.ToLower(h.ServerName),
			ALPN:       slices.Clone(h.SupportedProtos),
			Versions:   slices.Clone(h.SupportedVersions),
		}
		return nil, errSeen
	},
}

// helloConn lets crypto/tls read what was looked at, and more of the connection as it wants it, which is then looked at
// too. So nothing is parsed twice, however small the pieces are in which it comes. What crypto/tls writes is an alert to
// the client, which is none of ours to send.
type helloConn struct {
	net.Conn
	c     *Conn
	at    int
	hello *Hello
	err   error // why there were no more bytes
}

// Read gives bytes that stay in the buffer of the connection.
func (h *helloConn) Read(p []byte) (int, error) {
	if h.at == len(h.c.buf) {
		if err := h.c.more(); err != nil {
			h.err = err
			return 0, err
		}
	}
	n := copy(p, h.c.buf[h.at:])
	h.at += n
	return n, nil
}

// Write throws away.
func (h *helloConn) Write(p []byte) (int, error) { return len(p), nil }

// Close leaves the connection open.
func (h *helloConn) Close() error { return nil }

// readHello reads a ClientHello.
func (c *Conn) readHello() (Result, error) {
	h := &helloConn{Conn: c.Conn, c: c}
	problem := tls.Server(h, helloConfig).Handshake()
	switch {
	case h.hello != nil:
		return Result{Protocol: TLS, Hello: h.hello}, nil
	case h.err == errFull:
		problem = ErrHelloTooLong
	case h.err == io.EOF:
		problem = io.ErrUnexpectedEOF
	case h.err != nil && !settles(h.err):
		return Result{}, problem
	}
	return Result{Protocol: Other, Problem: problem}, nil
}
