package proxy

import (
	"io"
	"sync/atomic"
	"time"
)

// An upload is the rest of a request's body on its way upstream, in a goroutine of its own.
type upload struct {
	done  chan struct{} // closed at its end
	err   error         // of the client: it went away, or what it sent is no body
	moved atomic.Int64  // unix nanoseconds of the last progress
	last  atomic.Bool   // all of it was read
	over  atomic.Bool   // all of it was sent
	// broken is set, before anybody is woken, where err is.
	broken atomic.Bool
}

// startUpload sends the rest of the body while the response is waited for. endUpload has to follow.
func (x *exchange) startUpload() {
	u := &upload{done: make(chan struct{})}
	u.moved.Store(x.now.UnixNano())
	x.upload = u
	go x.runUpload(u, x.up)
}

func (x *exchange) runUpload(u *upload, up *upConn) {
	defer close(u.done)
	if x.holdBuf == nil {
		x.holdBuf = takeLarge()
	}
	for !x.body.over() {
		n, err := x.body.read(&x.c.in, x.holdBuf[chunkRoom:len(x.holdBuf)-chunkRoom], &x.fromClient)
		if err != nil && err != io.EOF {
			u.err = err
			u.broken.Store(true)
			up.conn.Close() // wakes whoever waits for the response
			return
		}
		u.last.Store(x.body.over())
		part := x.holdBuf[chunkRoom : chunkRoom+n]
		if x.body.kind == chunkedBody {
			part = appendChunk(x.holdBuf[:chunkRoom+n], n)
			if x.body.over() {
				part = appendLastChunk(part, &x.reqTail)
			}
		}
		if _, err := up.conn.Write(part); err != nil {
			return // the response may be there already; if not, reading it fails too
		}
		u.moved.Store(time.Now().UnixNano())
	}
	u.over.Store(true)
	if x.route.Timeout > 0 {
		up.conn.SetReadDeadline(time.Unix(1, 0)) // the time for the response begins now
	}
}

// lastPart is how long the last part of a body may be on its way when the response is there already.
const lastPart = time.Second

// endUpload waits for the upload, and breaks it off if the client has still to send some of it.
func (x *exchange) endUpload() {
	u := x.upload
	if u == nil {
		return
	}
	if u.last.Load() {
		timer := time.NewTimer(lastPart)
		select {
		case <-u.done:
		case <-timer.C:
		}
		timer.Stop()
	}
	select {
	case <-u.done:
	default:
		x.breakUpload(u)
	}
	if !u.over.Load() {
		x.keep = false
	}
}

// breakUpload wakes the upload from whatever it waits for. It may be about to set a deadline of its own, so once is not
// enough.
func (x *exchange) breakUpload(u *upload) {
	x.up.conn.Close()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for done := false; !done; {
		x.c.in.conn.SetReadDeadline(time.Unix(1, 0))
		select {
		case <-u.done:
			done = true
		case <-again.C:
		}
	}
	x.c.in.readUntil = time.Unix(1, 0)
	x.keep = false
}

// uploading says whether the body is still on its way.
func (x *exchange) uploading() bool { return x.upload != nil && !x.upload.over.Load() }
