package proxy

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// A wire is one side of an HTTP/1.1 connection: what to write to, and a buffer to read through. The buffer is there only
// while something is under way.
type wire struct {
	conn net.Conn
	raw  *rawConn // waits without a buffer; nil where the connection has no way to
	buf  []byte
	// r and w bound what was read and is still to be used. What lies before base is kept while the rest is used over and
	// over: it is the head of the message under way.
	r, w, base int

	readUntil, writeUntil time.Time // deadlines in force
	probe                 []byte    // of TLS: the first bytes are read into this, so that an idle connection holds no buffer
}

const (
	smallBuffer = 4 << 10
	largeBuffer = 64 << 10
)

var (
	smallBuffers = sync.Pool{New: func() any { return new([smallBuffer]byte) }}
	largeBuffers = sync.Pool{New: func() any { return new([largeBuffer]byte) }}
)

func takeSmall() []byte { return smallBuffers.Get().(*[smallBuffer]byte)[:] }
func takeLarge() []byte { return largeBuffers.Get().(*[largeBuffer]byte)[:] }

// giveBack returns a buffer to its pool; one of another size is left to the collector.
func giveBack(b []byte) {
	switch cap(b) {
	case smallBuffer:
		smallBuffers.Put((*[smallBuffer]byte)(b[:smallBuffer]))
	case largeBuffer:
		largeBuffers.Put((*[largeBuffer]byte)(b[:largeBuffer]))
	}
}

var errBufferFull = errors.New("the message is longer than its buffer")

func (w *wire) init(c net.Conn) {
	w.conn = newRawConn(c)
	switch c := w.conn.(type) {
	case *rawConn:
		w.raw = c
	case *tls.Conn:
		w.probe = make([]byte, 64)
	}
}

// unread is what was read and not used yet.
func (w *wire) unread() []byte { return w.buf[w.r:w.w] }

// A source reads from a connection with somebody's ideas about how long that may take.
type source interface {
	read(p []byte) (int, error)
}

// fill reads more behind what is there. It moves what lies between base and r away if there is no room.
func (w *wire) fill(s source) error {
	if w.buf == nil {
		w.buf = takeSmall()
	}
	if w.r == w.w {
		w.r, w.w = w.base, w.base
	}
	if w.w == len(w.buf) {
		if w.r == w.base {
			return errBufferFull
		}
		w.compact()
	}
	n, err := s.read(w.buf[w.w:])
	w.w += n
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

func (w *wire) compact() {
	n := copy(w.buf[w.base:], w.buf[w.r:w.w])
	w.r, w.w = w.base, w.base+n
}

// grow makes room for a head that is longer than the buffer, up to limit bytes; false where it is as long already.
func (w *wire) grow(limit int) bool {
	if len(w.buf) >= limit {
		return false
	}
	var next []byte
	if len(w.buf) < largeBuffer && limit <= largeBuffer {
		next = takeLarge()
	} else {
		next = make([]byte, min(max(4*len(w.buf), largeBuffer), limit))
	}
	copy(next, w.buf[:w.w])
	giveBack(w.buf)
	w.buf = next
	return true
}

// take gives bytes that were read ahead, or reads into p; without a source it gives nothing rather than wait.
func (w *wire) take(p []byte, s source) (int, error) {
	if w.r < w.w {
		n := copy(p, w.buf[w.r:w.w])
		w.r += n
		return n, nil
	}
	if s == nil {
		return 0, nil
	}
	n, err := s.read(p)
	if n > 0 {
		return n, nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return 0, err
}

// rewind ends a message: what follows it comes to the front, and an empty buffer is given back.
func (w *wire) rewind() {
	w.base = 0
	if w.r == w.w {
		w.release()
		return
	}
	w.compact()
}

func (w *wire) release() {
	if w.buf != nil {
		giveBack(w.buf)
		w.buf = nil
	}
	w.r, w.w, w.base = 0, 0, 0
}

// await returns when there is something to read. Until then it holds no buffer, where the connection allows it.
func (w *wire) await() error {
	if w.r < w.w {
		return nil
	}
	w.release()
	switch {
	case w.raw != nil:
		buf, n, err := w.raw.wait()
		if err != nil {
			return err
		}
		w.buf, w.w = buf, n
		return nil
	case w.probe != nil:
		n, err := w.conn.Read(w.probe)
		if n == 0 {
			return err
		}
		w.buf = takeSmall()
		w.w = copy(w.buf, w.probe[:n])
		if n == len(w.probe) {
			// More of the same record is at hand most often; if not, the head is not complete and has to be waited for.
			m, err := w.conn.Read(w.buf[n:])
			w.w += m
			return err
		}
		return nil
	}
	return w.fill(plainSource{w})
}

// plainSource reads under whatever deadline is in force.
type plainSource struct{ w *wire }

func (s plainSource) read(p []byte) (int, error) { return s.w.conn.Read(p) }

// readBy sees to it that a read fails after d, or up to twice d: deadlines are costly to set, so one that will do stays.
func (w *wire) readBy(now time.Time, d time.Duration) {
	if left := w.readUntil.Sub(now); left >= d && left <= 2*d {
		return
	}
	w.readAt(now.Add(2 * d))
}

// readAt makes reads fail from then on.
func (w *wire) readAt(t time.Time) {
	w.readUntil = t
	w.conn.SetReadDeadline(t)
}

// writeBy is readBy for writes.
func (w *wire) writeBy(now time.Time, d time.Duration) {
	if left := w.writeUntil.Sub(now); left >= d && left <= 2*d {
		return
	}
	w.writeUntil = now.Add(2 * d)
	w.conn.SetWriteDeadline(w.writeUntil)
}

// What the other side of a connection has done, as far as it can be told without reading.
type peerState uint8

const (
	peerOpen  peerState = iota
	peerEnded           // it will send nothing more, but may be listening
	peerGone            // it has reset the connection
)
