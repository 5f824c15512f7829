package proxy

import "syscall"

// postponed is what is written to a connection on which the next thing to do is to wait for the answer. It is sent by the
// Read that waits, after that has told the poller: the answer cannot have come before, so that the look which a read begins
// with, in vain, is left out.
//
// That is safe only where nothing else may come before the answer. Where something does all the same, the read may wait for
// as long as its deadline allows.
type postponed struct {
	on   bool
	buf  []byte // of the small kind; nil while there is nothing
	sent int
	fail syscall.Errno // what sending it came to
}

// postpone lets writes wait for the next Read.
func (c *rawConn) postpone() {
	c.later.on, c.later.sent, c.later.fail = true, 0, 0
	if c.sendRead == nil {
		c.sendRead = c.trySendRead
	}
}

// kept says whether there is something that waits for a Read still.
func (c *rawConn) kept() bool { return c != nil && c.later.on }

// unsent says whether nothing of what was postponed could be sent.
func (c *rawConn) unsent() bool {
	return c != nil && (c.later.on || c.later.fail != 0) && c.later.sent == 0
}

// keep takes what is written; false where it is too long.
func (l *postponed) keep(p []byte) bool {
	if len(l.buf)+len(p) > smallBuffer {
		return false
	}
	if l.buf == nil {
		l.buf = takeSmall()[:0]
	}
	l.buf = append(l.buf, p...)
	return true
}

func (l *postponed) release() {
	l.on = false
	if l.buf != nil {
		giveBack(l.buf)
		l.buf = nil
	}
}

// sendNow sends what was postponed.
func (c *rawConn) sendNow() error {
	l := &c.later
	l.on = false
	var err error
	if rest := l.buf[l.sent:]; len(rest) > 0 {
		var n int
		n, err = c.write(rest)
		l.sent, l.fail = l.sent+n, c.out.fail
	}
	l.release()
	return err
}

// sendThenRead sends what was postponed and reads.
func (c *rawConn) sendThenRead(p []byte) (int, error) {
	c.in.p = p
	err := c.raw.Read(c.sendRead)
	c.in.p = nil
	if err == nil && c.later.on { // there was no room for all of it
		if err = c.sendNow(); err == nil {
			return c.Read(p)
		}
	}
	return c.read(err)
}

func (c *rawConn) trySendRead(fd uintptr) bool {
	l := &c.later
	if !l.on {
		return c.tryRead(fd)
	}
	c.out = rawCall{p: l.buf}
	done := c.tryWrite(fd)
	l.sent, l.fail = c.out.n, c.out.fail
	c.out.p = nil
	if !done {
		return true
	}
	l.release()
	if l.fail != 0 {
		return c.tryRead(fd) // why, may be there to read
	}
	return false
}
