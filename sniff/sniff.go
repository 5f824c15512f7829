package sniff

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"
)

// MaxPeek is how many bytes are looked at, at most: a whole TLS record with its header. A ClientHello that resumes a
// session with a client certificate is over 4 KB long, so the usual buffer of a bufio.Reader would not do.
const MaxPeek = 5 + 16384

// DefaultRest is the default of Limits.Rest.
const DefaultRest = 10 * time.Second

// ErrHelloTooLong is the Problem of a ClientHello that does not fit in MaxPeek bytes.
var ErrHelloTooLong = fmt.Errorf("read ClientHello: longer than %d bytes", MaxPeek)

// Protocol is what the first bytes of a connection are.
type Protocol uint8

// The protocols.
const (
	Unknown     Protocol = iota // not sniffed, or the connection ended before its first byte
	TLS                         // a ClientHello that crypto/tls takes
	HTTP1                       // a request line of HTTP/1.0 or HTTP/1.1
	HTTP2                       // the connection preface of HTTP/2
	ServerFirst                 // nothing came within Limits.FirstByte
	Other                       // anything else
)

// String gives the word that logs use.
func (p Protocol) String() string {
	words := [...]string{"unknown", "tls", "http/1", "http/2", "server-first", "other"}
	if int(p) < len(words) {
		return words[p]
	}
	return fmt.Sprintf("protocol %d", p)
}

// Hello is what a ClientHello says.
type Hello struct {
	ServerName string   // SNI, in lower case; "" where there is none
	ALPN       []string // in the client's order; nil where there is none
	Versions   []uint16 // as in crypto/tls (tls.VersionTLS13), in the client's order; ones that it does not know included
}

// Result is the name of a protocol and what else its first bytes say.
type Result struct {
	Protocol Protocol
	Hello    *Hello // of TLS alone

	// Problem is why bytes that begin like TLS are Other: ErrHelloTooLong, or what crypto/tls said.
	Problem error
}

// Limits say how long to wait.
type Limits struct {
	// FirstByte is how long the client may be silent before it is taken for one that waits for the server. Zero waits
	// for ever.
	FirstByte time.Duration
	// Rest is how long the bytes after the first may take until the protocol can be told; then it is told from what has
	// come. Zero is DefaultRest, negative waits for ever.
	Rest time.Duration
	// OnlyTLS tells TLS alone from everything else, which is Other: a protocol whose first bytes might become a line of
	// HTTP need not wait until they do not.
	OnlyTLS bool
}

// Sniff reads until the protocol is clear and keeps the bytes for Read. It returns an error where the connection fails
// first; io.EOF where it ends without a byte. The end of the stream after some bytes is no error: Read will come to it.
// Another call gives the same answer without reading, unless the first asked for TLS alone and the second for more.
//
// Sniff sets the read deadline of the connection and leaves none behind. To give up early, close the connection.
func (c *Conn) Sniff(l Limits) (Result, error) {
	// Who asked for TLS alone may ask again for more.
	again := c.sniffed && c.err == nil && c.onlyTLS && !l.OnlyTLS && c.result.Protocol == Other && len(c.buf) > 0
	if c.sniffed && !again {
		return c.result, c.err
	}
	c.sniffed, c.onlyTLS = true, l.OnlyTLS
	if again {
		c.result, c.err = c.nameIt(l)
	} else {
		c.result, c.err = c.sniff(l)
	}
	if err := c.Conn.SetReadDeadline(time.Time{}); err != nil && c.err == nil {
		c.err = fmt.Errorf("clear read deadline: %w", err)
	}
	return c.result, c.err
}

func (c *Conn) sniff(l Limits) (Result, error) {
	if err := c.allow(l.FirstByte); err != nil {
		return Result{}, err
	}
	switch err := c.more(); {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return Result{Protocol: ServerFirst}, nil
	case err == io.EOF:
		return Result{}, err
	case err != nil:
		return Result{}, fmt.Errorf("read first bytes: %w", err)
	}
	if l.OnlyTLS && !c.looksLikeTLS() {
		return Result{Protocol: Other}, nil
	}
	return c.nameIt(l)
}

// nameIt reads on from the first bytes until the protocol is clear.
func (c *Conn) nameIt(l Limits) (Result, error) {
	if l.Rest == 0 {
		l.Rest = DefaultRest
	}
	if p, ok := c.name(false); ok {
		return Result{Protocol: p}, nil // the usual case: no timer is started
	}
	if err := c.allow(max(l.Rest, 0)); err != nil {
		return Result{}, err
	}
	if c.looksLikeTLS() {
		return c.readHello()
	}
	return c.readLine()
}

// allow sets the read deadline d from now; zero is none.
func (c *Conn) allow(d time.Duration) error {
	var at time.Time
	if d > 0 {
		at = time.Now().Add(d)
	}
	if err := c.Conn.SetReadDeadline(at); err != nil {
		return fmt.Errorf("set read deadline: %w", err)
	}
	return nil
}

// looksLikeTLS says whether what has come can be the begin of a handshake record: its type, and the major version.
func (c *Conn) looksLikeTLS() bool {
	b := c.buf
	return b[0] == 0x16 && (len(b) < 2 || b[1] == 3)
}

// readLine reads until name knows.
func (c *Conn) readLine() (Result, error) {
	for {
		err := c.more()
		over := err != nil || len(c.buf) == MaxPeek
		if p, ok := c.name(over); ok {
			if err == nil || settles(err) {
				return Result{Protocol: p}, nil
			}
		}
		if err != nil {
			return Result{}, fmt.Errorf("read first bytes: %w", err)
		}
	}
}

// settles says whether a read error ends the sniffing and not the connection.
func settles(err error) bool {
	return err == io.EOF || err == errFull || errors.Is(err, os.ErrDeadlineExceeded)
}

// name tells the protocol from what has come, unless more could change the answer; with over it answers in any case. TLS
// is not its to name.
func (c *Conn) name(over bool) (Protocol, bool) {
	if c.looksLikeTLS() && !over {
		return Unknown, false
	}
	if named, open := namePreface(c.buf, over); named || open {
		return HTTP2, named
	}
	return c.line.name(c.buf, over)
}

// Conn is a connection whose first bytes can be looked at. Like a bufio.Reader it has one reader at a time, which is also
// the one that sniffs; writing and closing is free to others.
type Conn struct {
	net.Conn

	buf  []byte // what was read and not yet handed on: in first, or in page
	page *page  // from the pool; nil while first does
	line lineState

	sniffed bool
	onlyTLS bool // asked for
	result  Result
	err     error

	first [256]byte
}

// NewConn wraps a connection from which nothing was read.
func NewConn(c net.Conn) *Conn { return &Conn{Conn: c} }

// NetConn gives the connection beneath. Nobody should read from it while Buffered is not empty.
func (c *Conn) NetConn() net.Conn { return c.Conn }

// Buffered gives what was read ahead and is still to be read. It is valid until the next Read, Sniff or Discard.
func (c *Conn) Buffered() []byte { return c.buf }

// Discard drops what Buffered gave, for a caller that has passed it on and goes on with NetConn.
func (c *Conn) Discard() { c.release() }

// Read gives the bytes that were looked at, then the rest of the connection.
func (c *Conn) Read(p []byte) (int, error) {
	if len(c.buf) == 0 {
		return c.Conn.Read(p)
	}
	n := copy(p, c.buf)
	c.buf = c.buf[n:]
	if len(c.buf) == 0 {
		c.release()
	}
	return n, nil
}

// CloseWrite ends our half of the connection: the peer reads to the end of the stream and may go on writing.
// errors.ErrUnsupported is returned where the connection beneath has no halves.
func (c *Conn) CloseWrite() error {
	if h, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return h.CloseWrite()
	}
	return fmt.Errorf("close write half: %w", errors.ErrUnsupported)
}

// CloseRead ends the peer's half of the connection and drops what was looked at.
// errors.ErrUnsupported is returned where the connection beneath has no halves.
func (c *Conn) CloseRead() error {
	c.release()
	if h, ok := c.Conn.(interface{ CloseRead() error }); ok {
		return h.CloseRead()
	}
	return fmt.Errorf("close read half: %w", errors.ErrUnsupported)
}
