package proxy

import (
	"encoding/binary"
	"sync"
)

// A recordConn lies beneath TLS where bytes are carried and not requests. It reads many records in one system call and
// gives them to crypto/tls one by one, and it gathers the records of one write: a stream is system calls for the most part.
//
// It holds buffers only while there is something in them. Like crypto/tls it has one reader and one writer at a time.
type recordConn struct {
	tcpConn

	in         *[]byte // from recordBuffers; nil while nothing is read ahead
	start, end int     // of what is unread in in
	left       int     // of the record that is being read

	// only says to give what is there and to wait for nothing: crypto/tls reads on by itself where a record has no bytes for
	// the application, such as a change of keys.
	only bool

	// deciphered says that somebody has read of the connection before, so that crypto/tls may have the rest of a record.
	deciphered bool

	out    *[]byte // nil unless corked
	corked bool
}

// errNoMore answers a Read with only. It is a timeout, after which crypto/tls goes on where it was.
type errNoMore struct{}

func (errNoMore) Error() string   { return "no more is there" }
func (errNoMore) Timeout() bool   { return true }
func (errNoMore) Temporary() bool { return true }

// recordRoom takes what a pipe writes at a time, with every record's header and tag.
const recordRoom = pipeBuffer + pipeBuffer/16384*64

var recordBuffers = sync.Pool{New: func() any { b := make([]byte, recordRoom); return &b }}

// Read gives at most the rest of one record, so that crypto/tls takes nothing of the next before somebody wants it.
func (c *recordConn) Read(p []byte) (int, error) {
	if c.start == c.end {
		if err := c.fill(); err != nil {
			return 0, err
		}
	}
	if c.left == 0 {
		for c.end-c.start < 5 {
			if err := c.fill(); err == (errNoMore{}) {
				return 0, err // the begin of a header stays for later
			} else if err != nil {
				return c.give(p, c.end-c.start), err
			}
		}
		c.left = 5 + int(binary.BigEndian.Uint16((*c.in)[c.start+3:]))
	}
	n := c.give(p, c.left)
	c.left -= n
	return n, nil
}

// fill reads once from the connection, behind what is there.
func (c *recordConn) fill() error {
	if c.only {
		return errNoMore{}
	}
	if c.in == nil {
		c.in = recordBuffers.Get().(*[]byte)
		c.start, c.end = 0, 0
	} else if c.start > 0 {
		c.end = copy(*c.in, (*c.in)[c.start:c.end])
		c.start = 0
	}
	n, err := c.tcpConn.Read((*c.in)[c.end:])
	c.end += n
	if n == 0 && c.start == c.end {
		c.drop()
	}
	if n > 0 {
		return nil
	}
	return err
}

func (c *recordConn) give(p []byte, most int) int {
	if c.in == nil {
		return 0
	}
	n := copy(p, (*c.in)[c.start:min(c.end, c.start+most)])
	c.start += n
	if c.start == c.end {
		c.drop()
	}
	return n
}

func (c *recordConn) drop() {
	recordBuffers.Put(c.in)
	c.in, c.start, c.end = nil, 0, 0
}

// ready says whether a whole record is there, so that reading one does not wait.
func (c *recordConn) ready() bool {
	have := c.end - c.start
	return c.left == 0 && have >= 5 && have >= 5+int(binary.BigEndian.Uint16((*c.in)[c.start+3:]))
}

// cork gathers what is written until flush.
func (c *recordConn) cork() {
	c.corked = true
}

// Write writes, or gathers while the connection is corked.
func (c *recordConn) Write(p []byte) (int, error) {
	if !c.corked {
		return c.tcpConn.Write(p)
	}
	if c.out == nil {
		c.out = recordBuffers.Get().(*[]byte)
		*c.out = (*c.out)[:0]
	}
	*c.out = append(*c.out, p...)
	return len(p), nil
}

// flush writes what was gathered.
func (c *recordConn) flush() error {
	c.corked = false
	if c.out == nil {
		return nil
	}
	_, err := c.tcpConn.Write(*c.out)
	*c.out = (*c.out)[:cap(*c.out)]
	recordBuffers.Put(c.out)
	c.out = nil
	return err
}
