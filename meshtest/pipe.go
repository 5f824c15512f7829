package meshtest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// Pipe is a connection without a network, as net.Pipe is, but it holds what was written until it is read, like a socket:
// with TLS 1.3 a server sends tickets while its client sends a request, and over net.Pipe they would wait for each other
// for ever.
func Pipe() (net.Conn, net.Conn) {
	a, b := newStream(), newStream()
	return &pipeConn{in: a, out: b}, &pipeConn{in: b, out: a}
}

// A stream is one direction of a Pipe.
type stream struct {
	mu     sync.Mutex // guards what follows
	more   sync.Cond
	bytes  bytes.Buffer
	closed bool
	late   bool // the deadline is over
	timer  *time.Timer
}

func newStream() *stream {
	s := &stream{}
	s.more.L = &s.mu
	return s
}

func (s *stream) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.timer != nil {
		s.timer.Stop()
	}
	s.more.Broadcast()
}

// until sets the deadline of its reader; zero is none.
func (s *stream) until(deadline time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer != nil {
		s.timer.Stop()
	}
	s.late, s.timer = false, nil
	if deadline.IsZero() || s.closed {
		return
	}
	var mine *time.Timer
	mine = time.AfterFunc(time.Until(deadline), func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.timer == mine {
			s.late = true
			s.more.Broadcast()
		}
	})
	s.timer = mine
}

type pipeConn struct{ in, out *stream }

// Read waits for bytes; after the other end has closed it gives the rest and then io.EOF.
func (p *pipeConn) Read(b []byte) (int, error) {
	p.in.mu.Lock()
	defer p.in.mu.Unlock()
	for p.in.bytes.Len() == 0 {
		switch {
		case p.in.closed:
			return 0, io.EOF
		case p.in.late:
			return 0, os.ErrDeadlineExceeded
		}
		p.in.more.Wait()
	}
	return p.in.bytes.Read(b)
}

// Write never waits.
func (p *pipeConn) Write(b []byte) (int, error) {
	p.out.mu.Lock()
	defer p.out.mu.Unlock()
	if p.out.closed {
		return 0, io.ErrClosedPipe
	}
	p.out.more.Broadcast()
	return p.out.bytes.Write(b)
}

// Close ends both directions.
func (p *pipeConn) Close() error {
	p.in.close()
	p.out.close()
	return nil
}

func (p *pipeConn) LocalAddr() net.Addr              { return pipeAddr{} }
func (p *pipeConn) RemoteAddr() net.Addr             { return pipeAddr{} }
func (p *pipeConn) SetWriteDeadline(time.Time) error { return nil } // writing never waits

// SetDeadline bounds reading.
func (p *pipeConn) SetDeadline(t time.Time) error { return p.SetReadDeadline(t) }

// SetReadDeadline bounds the reads that wait and those to come.
func (p *pipeConn) SetReadDeadline(t time.Time) error {
	p.in.until(t)
	return nil
}

// A PipeListener is a listener without a network, for tests in a bubble of testing/synctest: nothing that waits for a
// real socket lets its clock run.
type PipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// NewPipeListener makes a listener that Dial reaches.
func NewPipeListener() *PipeListener {
	return &PipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

// Dial connects; the address does not count. After Close it fails.
func (l *PipeListener) Dial(ctx context.Context, _ string) (net.Conn, error) {
	here, there := Pipe()
	var err error
	select {
	case l.conns <- there:
		return here, nil
	case <-l.closed:
		err = net.ErrClosed
	case <-ctx.Done():
		err = ctx.Err()
	}
	return nil, errors.Join(err, here.Close(), there.Close())
}

// Accept waits for a Dial.
func (l *PipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close ends Accept and Dial.
func (l *PipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr is no address of any network.
func (l *PipeListener) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe:0" }
