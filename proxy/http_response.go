package proxy

import (
	"io"
	"slices"
	"time"

	"github.com/oarlock/oarlock/accesslog"
)

// respond passes the response on to the client.
func (x *exchange) respond() {
	h := &x.resp
	x.code, x.details = h.status, "via_upstream"
	x.endpoint.report(true, h.status)
	x.hearServer()
	if h.status == 101 {
		x.carry()
		return
	}
	x.chooseBody()
	if x.c.d.draining() || x.uploading() && h.status >= 300 {
		x.keep = false
	}
	if x.sendHead() {
		x.sendBody()
	}
	x.endUpload()
	x.endUpstream()
	if !x.keep && !x.body.over() {
		x.c.linger()
	}
}

// chooseBody finds out how the body is delimited, and how it will be for the client.
func (x *exchange) chooseBody() {
	h := &x.resp
	kind := closedBody
	switch {
	case h.status == 204 || h.status == 304 || string(x.req.method()) == "HEAD":
		kind = noBody
	case h.chunked:
		kind = chunkedBody
	case h.length >= 0:
		kind = sizedBody
	}
	x.respBody.limits = headLimits{fields: x.c.limits.fields, size: maxTrailers}
	x.respBody.start(kind, h.length, &x.respTail)
	if kind != chunkedBody && kind != closedBody {
		return
	}
	if up := &x.up.wire; kind == chunkedBody && len(up.buf)-up.base < maxTrailers && len(up.buf)-up.w < 512 {
		up.grow(up.base + largeBuffer/2)
	}
	if x.req.minor == 0 {
		x.keep = false
	} else {
		x.chunks = true
	}
}

// sendHead writes the head with as much of the body as has come; false where there is nobody left to answer.
func (x *exchange) sendHead() bool {
	out := x.appendResponse(x.out[:0])
	n, err := 0, error(nil)
	if have := len(x.up.unread()); have > 0 && !x.respBody.over() {
		at := len(out)
		if x.chunks {
			at += chunkRoom
		}
		out = slices.Grow(out, have+2*chunkRoom)[:at+have]
		n, err = x.respBody.read(&x.up.wire, out[at:], nil)
		out = out[:at+n]
		if x.chunks {
			out = appendChunk(out, n)
		}
	}
	if x.chunks && x.respBody.over() {
		out = appendLastChunk(out, &x.respTail)
	}
	x.out = out
	x.responded = true
	x.sent = int64(n)
	if !x.write(out) {
		return false
	}
	if err != nil && err != io.EOF {
		x.cut(err)
		return false
	}
	return true
}

// sendBody passes on the rest of the body as it comes.
func (x *exchange) sendBody() {
	if x.respBody.over() {
		return
	}
	buf := takeLarge()
	defer giveBack(buf)
	for !x.respBody.over() {
		n, err := x.respBody.read(&x.up.wire, buf[chunkRoom:len(buf)-chunkRoom], &x.fromServer)
		x.now = time.Now()
		x.moved = x.now
		part := buf[chunkRoom : chunkRoom+n]
		if x.chunks {
			part = appendChunk(buf[:chunkRoom+n], n)
			if x.respBody.over() {
				part = appendLastChunk(part, &x.respTail)
			}
		}
		if len(part) > 0 && !x.write(part) {
			return
		}
		x.sent += int64(n)
		if err != nil && err != io.EOF {
			x.cut(err)
			return
		}
	}
}

// cut ends a response that its upstream did not finish. The client has to see that something is missing.
func (x *exchange) cut(err error) {
	x.keep = false
	x.flags |= accesslog.UpstreamConnectionTermination
	x.details = "upstream_reset_after_response_started{connection_termination}"
	switch err {
	case errClientGone:
		x.flags &^= accesslog.UpstreamConnectionTermination
		x.gone()
	case errTooLate:
		x.flags = x.flags&^accesslog.UpstreamConnectionTermination | accesslog.UpstreamRequestTimeout
		x.details = "response_timeout"
		x.cluster.core.stats.Timeouts.Inc()
	case errStreamIdle:
		x.flags = x.flags&^accesslog.UpstreamConnectionTermination | accesslog.StreamIdleTimeout
		x.details = "stream_idle_timeout"
	case badChunk, badTrailers:
		x.flags = x.flags&^accesslog.UpstreamConnectionTermination | accesslog.UpstreamProtocolError
		x.details = "upstream_reset_after_response_started{protocol_error}"
	}
	if u := x.upload; u != nil && u.broken.Load() {
		x.flags &^= accesslog.UpstreamConnectionTermination
		x.gone()
	}
	if !x.chunks && x.resp.length < 0 {
		reset(x.c.d.conn)
	}
}

// reusable says whether the upstream's connection can carry another request.
func (x *exchange) reusable() bool {
	h := &x.resp
	if h.closing || h.minor == 0 && !h.keep || !x.respBody.over() || x.uploading() || h.status == 101 {
		return false
	}
	if x.bodiless() {
		// A body that is announced and must not come comes from some servers all the same.
		announced := h.chunked || h.length > 0 && h.status != 304 && string(x.req.method()) != "HEAD"
		return x.up.r == x.up.w && !announced
	}
	return x.up.r == x.up.w && (h.chunked || h.length >= 0)
}

// bodiless says whether the response has no body whatever its head says.
func (x *exchange) bodiless() bool {
	return x.resp.status == 204 || x.resp.status == 304 || string(x.req.method()) == "HEAD"
}

// endUpstream marks the upstream's connection for the pool, or closes it. The pool gets it when the log is written: until
// then its buffer has the response's headers.
func (x *exchange) endUpstream() {
	x.endpoint.busy.Add(-1)
	x.pooled = x.reusable()
}

// hearServer takes in what the upstream says of itself.
func (x *exchange) hearServer() {
	said := x.resp.get(headerPeerMetadata)
	if said == nil || len(said) > maxMetadata || x.c.own == nil || x.c.direction == Inbound || string(x.up.said) == string(said) {
		return
	}
	x.up.said = append(x.up.said[:0], said...)
	base := x.endpoint.workload
	base.Principal = x.up.up.peerID
	x.up.peer = x.c.peers.intern(base, said)
}
