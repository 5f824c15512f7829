package proxy

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oarlock/oarlock/sniff"
)

// A pipe carries bytes between two connections, each way until its end, which it passes on as the end of its half.
type pipe struct {
	a, b net.Conn
	// idle ends the pipe when nothing moved for so long; negative never.
	idle time.Duration
	// done ends the pipe.
	done <-chan struct{}
	// count is told now and then what has come from a and from b since the last time; nil for nobody.
	count func(fromA, fromB int64)

	fromA, fromB atomic.Int64
	timedOut     atomic.Bool

	mu         sync.Mutex // guards what follows
	errA, errB error      // what reading from a or b, or writing to it, failed with; nil for an end in good order
	isBroken   bool
}

// pipeBuffer is how much is read at a time: more than a TLS record, so that several go out in one write.
const pipeBuffer = 64 << 10

// reportEvery is how often bytes are counted while a connection goes on.
const reportEvery = 5 * time.Second

var pipeBuffers = sync.Pool{New: func() any { b := make([]byte, pipeBuffer); return &b }}

// run carries until the end. Both connections are left open, but with both halves ended where that went well.
func (p *pipe) run() {
	var wg sync.WaitGroup
	over := make(chan struct{})
	wg.Add(1)
	go func() {
		defer wg.Done()
		p.oneWay(p.a, p.b, &p.fromB)
	}()
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		p.watch(over)
	}()
	p.oneWay(p.b, p.a, &p.fromA)
	wg.Wait()
	close(over)
	<-watched
}

// oneWay copies from one side to the other. An error of either side breaks the other way too.
func (p *pipe) oneWay(to, from net.Conn, n *atomic.Int64) {
	read, write := p.pump(to, from, n)
	if read == io.EOF && write == nil {
		if write = closeWrite(to); write == nil {
			return
		}
	}
	if read != nil && read != io.EOF {
		p.blame(from, read)
	}
	if write != nil {
		p.blame(to, write)
	}
	p.breakUp()
}

// blame notes the first error of a side. What comes after the pipe is broken is our own doing.
func (p *pipe) blame(side net.Conn, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.isBroken:
	case side == p.a && p.errA == nil:
		p.errA = err
	case side != p.a && p.errB == nil:
		p.errB = err
	}
}

func (p *pipe) breakUp() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.isBroken {
		return
	}
	p.isBroken = true
	past := time.Unix(1, 0)
	p.a.SetDeadline(past)
	p.b.SetDeadline(past)
}

// pump copies until reading or writing fails; the end of the stream is io.EOF.
func (p *pipe) pump(to, from net.Conn, n *atomic.Int64) (read, write error) {
	if s, ok := from.(*sniff.Conn); ok {
		if b := s.Buffered(); len(b) > 0 {
			w, err := to.Write(b)
			n.Add(int64(w))
			if err != nil {
				return nil, err
			}
		}
		s.Discard()
		from = s.NetConn()
	}
	in, out := records(from), records(to)
	plain, _ := plainTCP(from)
	buf := pipeBuffers.Get().(*[]byte)
	defer func() { pipeBuffers.Put(buf) }()
	r := 0
	if in != nil && in.deciphered { // that is not seen by waiting, so first of all it is read
		r, read = readNow(from, in, *buf)
	}
	for {
		if r > 0 {
			var w int
			w, write = writeAll(to, out, (*buf)[:r])
			n.Add(int64(w))
		}
		if read != nil || write != nil {
			return read, write
		}
		if r < len(*buf)/2 { // so little that no more may be there: wait for it without the buffer
			pipeBuffers.Put(buf)
			read = awaitMore(plain, in)
			buf = pipeBuffers.Get().(*[]byte)
			if read != nil {
				return read, nil
			}
		}
		r, read = readSome(from, in, *buf)
	}
}

// awaitMore waits until reading does not, as far as that can be told.
func awaitMore(plain tcpConn, in *recordConn) error {
	switch {
	case plain != nil:
		return awaitData(plain)
	case in != nil && in.start == in.end:
		return awaitData(in.tcpConn)
	}
	return nil
}

// records gives the recordConn beneath a connection, nil where there is none.
func records(c net.Conn) *recordConn {
	t, ok := c.(*tls.Conn)
	if !ok {
		return nil
	}
	r, _ := t.NetConn().(*recordConn)
	return r
}

// readSome reads once, and goes on while whole records are there.
func readSome(from net.Conn, in *recordConn, buf []byte) (int, error) {
	n, err := from.Read(buf)
	for err == nil && in != nil && len(buf)-n >= maxRecord && in.ready() {
		var more int
		more, err = readNow(from, in, buf[n:])
		n += more
	}
	return n, err
}

// readNow reads what is there and waits for nothing.
func readNow(from net.Conn, in *recordConn, buf []byte) (int, error) {
	in.only = true
	n, err := from.Read(buf)
	in.only = false
	if errors.Is(err, errNoMore{}) {
		err = nil
	}
	return n, err
}

// maxRecord is how much one TLS record carries.
const maxRecord = 16 << 10

// writeAll writes all records of p at once.
func writeAll(to net.Conn, out *recordConn, p []byte) (int, error) {
	if out == nil || len(p) <= maxRecord {
		return to.Write(p)
	}
	out.cork()
	n, err := to.Write(p)
	if ferr := out.flush(); err == nil && ferr != nil {
		return 0, ferr
	}
	return n, err
}

// watch counts now and then, and ends what is idle.
func (p *pipe) watch(over <-chan struct{}) {
	every := reportEvery
	if p.idle > 0 {
		every = min(every, max(p.idle/4, time.Millisecond))
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	var seenA, seenB int64
	report := func() bool {
		a, b := p.fromA.Load(), p.fromB.Load()
		moved := a != seenA || b != seenB
		if moved && p.count != nil {
			p.count(a-seenA, b-seenB)
		}
		seenA, seenB = a, b
		return moved
	}
	last := time.Now()
	for {
		select {
		case <-over:
			report()
			return
		case <-p.done:
			p.breakUp()
			<-over
			report()
			return
		case now := <-tick.C:
			if report() {
				last = now
			}
			if p.idle > 0 && now.Sub(last) >= p.idle {
				p.timedOut.Store(true)
				p.breakUp()
				last = now
			}
		}
	}
}

// closeWrite ends our half of a connection.
func closeWrite(c net.Conn) error {
	if h, ok := c.(interface{ CloseWrite() error }); ok {
		return h.CloseWrite()
	}
	return errors.ErrUnsupported
}
