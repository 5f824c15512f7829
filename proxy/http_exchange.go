package proxy

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/oarlock/oarlock/accesslog"
)

// An exchange is one request and its response. It is taken from a pool for its time.
type exchange struct {
	c    *httpConn
	req  head
	body body
	// held is what was read of the body before the request went out: all of it, if body.over().
	held    []byte
	holdBuf []byte
	reqTail head // trailers

	resp     head
	respBody body
	respTail head
	out      []byte // what is being written

	host     *virtualHost
	route    *route
	cluster  *cluster
	name     string // the cluster's, also of one that is not there
	endpoint *endpoint
	up       *upConn
	tried    []*endpoint
	attempts int
	fresh    bool // the next attempt shall not use a connection again
	wrote    bool // something went out in this attempt
	tunnel   bool // an upgrade was asked for and may be granted
	counted  bool // requestStart
	hello    bool // it is no request: the client offers TLS

	start, now time.Time
	respAt     time.Time // of the response's head
	deadline   time.Time // of the response; zero is none
	moved      time.Time // when the upstream did something last
	ended      time.Time // when the client was first seen to have ended its half
	upload     *upload

	keep      bool // the client's connection goes on
	responded bool // a status went to the client
	code      int
	flags     accesslog.Flags
	details   string
	transport string // why TLS failed upstream
	sent      int64
	chunks    bool     // the client gets the body in chunks
	pooled    bool     // the upstream's connection can be used again
	requestID [36]byte // ours, where the client had none

	fromClient clientSource
	fromServer serverSource
	record     accesslog.Record
}

var exchanges = sync.Pool{New: func() any {
	x := &exchange{}
	x.fromClient.x, x.fromServer.x = x, x
	return x
}}

func takeExchange(c *httpConn) *exchange {
	x := exchanges.Get().(*exchange)
	x.c = c
	x.req.reset(&c.in, requestHead)
	x.start = time.Now()
	x.now = x.start
	return x
}

// maxOut bounds the buffer that an exchange keeps.
const maxOut = 16 << 10

func (x *exchange) giveBack() {
	if x.holdBuf != nil {
		giveBack(x.holdBuf)
	}
	clear(x.tried)
	if cap(x.out) > maxOut {
		x.out = nil
	}
	*x = exchange{
		req: head{fields: x.req.fields[:0]}, resp: head{fields: x.resp.fields[:0]},
		reqTail: head{fields: x.reqTail.fields[:0]}, respTail: head{fields: x.respTail.fields[:0]},
		out: x.out[:0], tried: x.tried[:0], fromClient: x.fromClient, fromServer: x.fromServer,
		record: accesslog.Record{Request: clearFields(x.record.Request), Response: clearFields(x.record.Response), Trailers: clearFields(x.record.Trailers)},
	}
	exchanges.Put(x)
}

func clearFields(f []accesslog.Field) []accesslog.Field {
	clear(f)
	return f[:0]
}

// serve reads the request and answers it.
func (x *exchange) serve() {
	bad, err := x.readHead()
	switch {
	case err != nil:
		return
	case bad != nil && x.preface():
		x.c.serveHTTP2()
		return
	case bad != nil:
		x.hello = x.offersTLS()
		x.refuse(bad)
	default:
		x.handle()
	}
	x.finish()
}

// readHead reads up to the end of the head. An error says that the client went away.
func (x *exchange) readHead() (*refusal, error) {
	in, waited := &x.c.in, false
	for {
		done, bad := x.req.scan(x.c.limits)
		if bad != nil {
			return bad, nil
		}
		if done {
			break
		}
		if !waited {
			waited = true
			in.readAt(x.start.Add(x.c.headerTime))
		}
		err := in.fill(plainSource{in})
		switch {
		case err == errBufferFull:
			if !in.grow(x.c.limits.size + smallBuffer) {
				return x.req.tooLong(), nil
			}
		case timedOut(err):
			return tooSlow, nil
		case err != nil:
			return nil, err
		}
	}
	in.r, in.base = x.req.next, x.req.next
	return nil, nil
}

var http2Preface = []byte("PRI * HTTP/2.0\r\n")

// preface says whether what came is no request but the beginning of HTTP/2.
func (x *exchange) preface() bool {
	return bytes.HasPrefix(x.c.in.buf[:x.c.in.w], http2Preface)
}

// offersTLS says whether what came to a server in plaintext is no request but the beginning of a handshake.
func (x *exchange) offersTLS() bool {
	const handshake, major = 0x16, 3
	return x.c.direction == Inbound && x.c.d.tls == nil && bytes.HasPrefix(x.c.in.buf[:x.c.in.w], []byte{handshake, major})
}

// handle answers a request whose head was read.
func (x *exchange) handle() {
	x.keep = !x.req.closing && (x.req.minor == 1 || x.req.keep) && !x.c.d.httpProxy
	kind := noBody
	switch {
	case x.req.chunked:
		kind = chunkedBody
	case x.req.length > 0:
		kind = sizedBody
	}
	x.body.limits = x.c.limits
	x.body.start(kind, x.req.length, &x.reqTail)
	if kind == chunkedBody && len(x.c.in.buf)-x.c.in.base < maxTrailers {
		x.c.in.grow(x.c.in.base + largeBuffer/2)
	}
	x.c.use(x.c.proxy.state.Load())
	if said := x.req.get(headerPeerMetadata); said != nil && x.c.own != nil && x.c.direction == Inbound {
		x.c.hear(said)
	}
	if m := x.c.config; m.NormalizePath || m.MergeSlashes {
		x.req.normalizePath(m.MergeSlashes)
	}
	if !x.findRoute() || !x.findCluster() || !x.hold() {
		return
	}
	x.forward()
}

// findRoute finds the route; false where that answers the request.
func (x *exchange) findRoute() bool {
	if x.host = x.c.hostFor(x.req.host()); x.host != nil {
		x.route = x.host.find(&x.req)
	}
	if x.route == nil {
		x.reply(localReply{code: 404, flags: accesslog.NoRouteFound, details: "route_not_found"})
		return false
	}
	switch {
	case x.route.Redirect != nil:
		x.redirect()
		return false
	case x.route.Direct != nil:
		x.reply(localReply{code: x.route.Direct.Status, details: "direct_response", body: x.route.Direct.Body})
		return false
	}
	return x.findUpgrade()
}

func (x *exchange) redirect() {
	code := x.route.Redirect.Status
	if code == 0 {
		code = 301
	}
	scheme := "http"
	if x.c.d.tls != nil {
		scheme = "https"
	}
	location := x.route.appendLocation(nil, &x.req, scheme)
	x.reply(localReply{code: code, details: "direct_response", extra: "location: " + string(location) + "\r\n"})
}

// findCluster finds the cluster and takes a place in it; false where there is none, which answers the request.
func (x *exchange) findCluster() bool {
	x.name = x.route.cluster()
	if x.cluster = x.c.clusterFor(x.name); x.cluster == nil {
		x.reply(localReply{code: 503, flags: accesslog.NoClusterFound, details: "cluster_not_found"})
		return false
	}
	if !x.cluster.requestStart() {
		x.replyFailure(&failedTry{code: 503, flags: accesslog.UpstreamOverflow, reason: "overflow"})
		return false
	}
	x.counted = true
	x.cluster.core.stats.ActiveRequests.Add(1)
	return true
}

// maxReplay is how much of a body is kept to send it again.
const maxReplay = 60 << 10

// hold reads what is there of the body, and all of a short one, which can then be sent again. false: the client broke it,
// which is answered.
func (x *exchange) hold() bool {
	b, in := &x.body, &x.c.in
	if b.over() {
		return true
	}
	if b.kind == sizedBody && b.left <= int64(in.w-in.r) {
		x.held = in.buf[in.r : in.r+int(b.left)]
		in.r += int(b.left)
		b.n, b.left = b.left, 0
		return true
	}
	x.holdBuf = takeLarge()
	src := source(nil)
	if b.kind == sizedBody && b.left <= maxReplay && !x.req.expect {
		src = &x.fromClient
	}
	for n := 0; !b.over(); {
		m, err := b.read(in, x.holdBuf[n:maxReplay], src)
		n += m
		x.held = x.holdBuf[:n]
		if err != nil && err != io.EOF {
			x.badBody(err)
			return false
		}
		if m == 0 || n == maxReplay {
			break
		}
	}
	return true
}

// badBody answers a request whose body cannot be read.
func (x *exchange) badBody(err error) {
	var bad *refusal
	switch {
	case errors.As(err, &bad):
	case timedOut(err):
		bad = bodyTooSlow
	default:
		x.gone()
		return
	}
	x.refuse(bad)
}

// gone notes that the client went away.
func (x *exchange) gone() {
	x.keep = false
	x.flags |= accesslog.DownstreamConnectionTermination
	x.details = "downstream_remote_disconnect"
}

// A clientSource reads from the client; it waits as long as a stream may be idle.
type clientSource struct{ x *exchange }

func (s *clientSource) read(p []byte) (int, error) {
	x := s.x
	if d := x.idleTime(); d > 0 {
		x.c.in.readBy(time.Now(), d)
	} else if !x.c.in.readUntil.IsZero() {
		x.c.in.readAt(time.Time{})
	}
	return x.c.in.conn.Read(p)
}

// idleTime is how long a stream may be idle; negative for good.
func (x *exchange) idleTime() time.Duration {
	if x.route != nil && x.route.IdleTimeout != 0 {
		return x.route.IdleTimeout
	}
	return x.c.streamIdle
}

// write writes to the client; false where it is gone.
func (x *exchange) write(p []byte) bool {
	if d := x.idleTime(); d > 0 {
		x.c.in.writeBy(x.now, d)
	}
	if _, err := x.c.in.conn.Write(p); err != nil {
		x.gone()
		if timedOut(err) {
			x.flags |= accesslog.StreamIdleTimeout
		}
		return false
	}
	return true
}
