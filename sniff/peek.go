package sniff

import (
	"errors"
	"io"
	"sync"
)

// errFull says that MaxPeek bytes have come and the question is still open.
var errFull = errors.New("peek: buffer is full")

// A page holds all that is ever looked at.
type page [MaxPeek]byte

var pages = sync.Pool{New: func() any { return new(page) }}

// more reads once and appends to buf. io.EOF comes without bytes.
func (c *Conn) more() error {
	if c.buf == nil {
		c.buf = c.first[:0]
	}
	if len(c.buf) == MaxPeek {
		return errFull
	}
	if c.page == nil && len(c.buf) == len(c.first) {
		c.page = pages.Get().(*page)
		c.buf = append(c.page[:0], c.buf...)
	}
	free := c.buf[len(c.buf):cap(c.buf)]
	// A reader may give nothing without an error a few times; one that does so for ever is broken.
	for range 100 {
		n, err := c.Conn.Read(free)
		c.buf = c.buf[:len(c.buf)+n]
		if n > 0 || err != nil {
			if n > 0 {
				err = nil // it will be back
			}
			return err
		}
	}
	return io.ErrNoProgress
}

// release forgets what was looked at and gives the page back.
func (c *Conn) release() {
	c.buf = nil
	if c.page != nil {
		pages.Put(c.page)
		c.page = nil
	}
}
