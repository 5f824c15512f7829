package proxy

import (
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/oarlock/oarlock/accesslog"
)

// A failedTry says why an attempt brought no response.
type failedTry struct {
	code      int
	flags     accesslog.Flags
	reason    string // Envoy's name of the reset
	transport string // what TLS has to say
	details   string // in place of the reason's
	body      string // in place of the reason's
	retry     RetryOn
	stale     bool // a connection that was used again had ended
	client    bool // it was the client that broke it
}

// forward sends the request upstream and the response back, with as many attempts as the route allows.
func (x *exchange) forward() {
	for {
		fail := x.try()
		if fail == nil && !x.retryStatus() {
			x.respond()
			return
		}
		if fail != nil {
			x.drop()
			if fail.stale && !x.fresh {
				x.fresh = true
				continue
			}
			if !x.again(fail) {
				x.replyFailure(fail)
				return
			}
		}
		x.fresh = false
	}
}

// try makes one attempt, up to the head of the response.
func (x *exchange) try() *failedTry {
	if !x.fresh {
		e := x.cluster.pick(x.c.d.original, x.tried)
		if e == nil {
			x.cluster.core.stats.NoHealthy.Inc()
			return &failedTry{code: 503, flags: accesslog.NoHealthyUpstream, details: "no_healthy_upstream", body: "no healthy upstream"}
		}
		x.endpoint = e
		x.attempts++
	}
	if fail := x.connect(); fail != nil {
		return fail
	}
	x.endpoint.busy.Add(1)
	x.wrote = false
	sendErr := x.send()
	if sendErr == nil && !x.body.over() {
		x.startUpload()
	}
	x.moved = x.now
	x.startTimeout()
	return x.awaitResponse(sendErr)
}

// connect takes a connection out of the endpoint's pool, makes one, or waits for one.
func (x *exchange) connect() *failedTry {
	kind := alpnOwn
	if x.c.config.ALPNOverride && x.cluster.config.ALPNOverride && x.endpoint.socket.tls != nil {
		kind = alpnHTTP11
		if x.req.minor == 0 {
			kind = alpnHTTP10
		}
	}
	for !x.fresh {
		c := x.endpoint.pool.get(kind)
		if c == nil {
			break
		}
		// Looked at always: bytes that came after a response would be taken for the next one.
		if usable(c.conn) && (x.whole() || !c.stray()) {
			x.up = c
			c.uses++
			return nil
		}
		c.close()
	}
	return x.obtain(kind)
}

// whole says whether the request goes out in one write, which can be postponed: then an answer that is there already shows
// by itself.
func (x *exchange) whole() bool {
	return x.body.over() && (x.req.chunked || len(x.held) <= maxOut)
}

// repeatable says whether the request may be sent again without the upstream noticing: by its method, and because all of it
// is at hand.
func (x *exchange) repeatable() bool {
	if !x.body.over() {
		return false
	}
	switch string(x.req.method()) {
	case "GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE":
		return true
	}
	return false
}

// send writes the head, and the body as far as it is there.
func (x *exchange) send() error {
	out := x.appendRequest(x.out[:0])
	held := x.held
	switch {
	case x.req.chunked:
		at := len(out) + chunkRoom
		out = append(out, "0000000"...)
		out = append(out, held...)
		out = appendChunk(out, len(out)-at)
		if x.body.over() {
			out = appendLastChunk(out, &x.reqTail)
		}
		held = nil
	case len(held) <= maxOut:
		out = append(out, held...)
		held = nil
	}
	x.out = out
	if d := x.idleTime(); d > 0 {
		x.up.writeBy(x.now, d)
	}
	if x.up.carried && x.up.beneath != nil && x.whole() {
		x.up.beneath.postpone()
	}
	n, err := x.up.conn.Write(out)
	x.wrote = n > 0
	if err == nil && len(held) > 0 {
		_, err = x.up.conn.Write(held)
	}
	return err
}

// startTimeout sets when the response must be there; the time counts from the end of the request.
func (x *exchange) startTimeout() {
	x.deadline = time.Time{}
	if x.uploading() {
		return
	}
	if d := x.route.Timeout; d > 0 {
		x.deadline = x.start.Add(d)
		if x.upload != nil {
			x.deadline = x.now.Add(d)
		}
	}
	if r := x.route.Retry; r != nil && r.PerTryTimeout > 0 {
		if t := x.now.Add(r.PerTryTimeout); x.deadline.IsZero() || t.Before(x.deadline) {
			x.deadline = t
		}
	}
}

// maxInterim bounds the responses before the response.
const maxInterim = 16

// awaitResponse reads the head of the response. Interim responses go to the client as they come.
func (x *exchange) awaitResponse(sendErr error) *failedTry {
	up := &x.up.wire
	for range maxInterim {
		x.resp.reset(up, responseHead)
		if fail := x.readResponseHead(sendErr); fail != nil {
			return fail
		}
		if x.resp.status >= 200 || x.resp.status == 101 {
			up.r, up.base = x.resp.next, x.resp.next
			x.up.carried = true
			if x.respAt = x.now; x.resp.status == 101 && !x.tunnel {
				break
			}
			return nil
		}
		if x.req.minor == 1 && !x.write(x.appendInterim(x.out[:0])) {
			return &failedTry{client: true}
		}
		up.r = x.resp.next
		up.compact()
	}
	return protocolError()
}

func protocolError() *failedTry {
	return &failedTry{code: 502, flags: accesslog.UpstreamProtocolError, reason: "protocol error", retry: RetryReset | Retry5xx | RetryGatewayError}
}

func (x *exchange) readResponseHead(sendErr error) *failedTry {
	up := &x.up.wire
	first := up.r == up.w
	limits := headLimits{fields: max(x.c.limits.fields, 2*DefaultMaxHeaders), size: max(x.c.limits.size, DefaultMaxHeaderSize)}
	for {
		if !first {
			done, bad := x.resp.scan(limits)
			if bad != nil {
				x.c.proxy.log.Debug("bad response", "cluster", x.name, "endpoint", x.endpoint.address, "why", bad.details)
				return protocolError()
			}
			if done {
				return nil
			}
		}
		err := up.fill(&x.fromServer)
		if err == errBufferFull {
			if up.grow(limits.size + smallBuffer) {
				continue
			}
			return protocolError()
		}
		if err != nil {
			x.wrote = x.wrote && !x.up.beneath.unsent()
			return x.lost(err, up.w > 0, sendErr)
		}
		if x.up.beneath.kept() {
			return x.early()
		}
		if first {
			x.now = time.Now()
			first = false
		}
	}
}

// early is the failure of a connection that had an answer before the request was sent: TLS has held back what came behind the
// last one, where nobody could see it.
func (x *exchange) early() *failedTry {
	x.wrote = false
	fail := protocolError()
	fail.stale = x.body.over()
	return fail
}

// lost names the failure of a connection on which the response was waited for.
func (x *exchange) lost(err error, begun bool, sendErr error) *failedTry {
	x.now = time.Now()
	if u := x.upload; u != nil && u.broken.Load() {
		return &failedTry{client: true}
	}
	switch {
	case err == errClientGone:
		return &failedTry{client: true}
	case err == errTooLate:
		return x.late()
	case err == errStreamIdle:
		return &failedTry{code: 504, flags: accesslog.StreamIdleTimeout, details: "stream_idle_timeout", body: "stream timeout"}
	}
	fail := &failedTry{code: 503, flags: accesslog.UpstreamConnectionTermination, reason: "connection termination", retry: RetryReset | Retry5xx | RetryGatewayError}
	if !x.wrote {
		fail.retry |= RetryBeforeRequest
	}
	for _, e := range []error{err, sendErr} {
		if f, ok := remoteAlert(e); ok {
			fail.transport = f.text
			x.endpoint.countFailure(f)
			break
		}
	}
	fail.stale = x.up.carried && !begun && fail.transport == "" && (x.repeatable() || !x.wrote && x.body.over())
	return fail
}

// late is the failure of a response that did not come in time.
func (x *exchange) late() *failedTry {
	x.cluster.core.stats.Timeouts.Inc()
	fail := &failedTry{code: 504, flags: accesslog.UpstreamRequestTimeout, details: "response_timeout", body: "upstream request timeout"}
	if t := x.route.Timeout; t == 0 || x.now.Before(x.start.Add(t)) {
		fail.details, fail.retry = "upstream_per_try_timeout", Retry5xx|RetryGatewayError
	}
	return fail
}

// drop ends an attempt that failed.
func (x *exchange) drop() {
	if x.up == nil {
		return
	}
	x.endUpload()
	x.up.close()
	x.endpoint.busy.Add(-1)
	x.up = nil
	x.resp.reset(nil, responseHead) // its buffer is gone
}

// again says whether to try once more after a failure, and waits until it is time.
func (x *exchange) again(fail *failedTry) bool {
	x.endpointFailed(fail)
	if fail.client || !x.mayRetry(fail.retry) {
		return false
	}
	return x.pause()
}

// endpointFailed tells the endpoint's record of what it did. A failed dial was told already.
func (x *exchange) endpointFailed(fail *failedTry) {
	if x.endpoint != nil && !fail.client && x.wrote {
		x.endpoint.report(false, 0)
	}
}

// mayRetry says whether the route's policy has one of the conditions and attempts left.
func (x *exchange) mayRetry(on RetryOn) bool {
	r := x.route.Retry
	if r == nil || on == 0 || !x.body.over() || x.upload != nil {
		return false
	}
	if r.On&on == 0 {
		return false
	}
	if x.attempts > r.Attempts {
		x.flags |= accesslog.UpstreamRetryLimitExceeded
		return false
	}
	return true
}

// retryStatus says whether a response is to be thrown away and the request sent again.
func (x *exchange) retryStatus() bool {
	r := x.route.Retry
	if r == nil || x.resp.status == 101 {
		return false
	}
	var on RetryOn
	if s := x.resp.status; s >= 500 {
		on |= Retry5xx
		if s == 502 || s == 503 || s == 504 {
			on |= RetryGatewayError
		}
	}
	if slices.Contains(r.Codes, x.resp.status) {
		on |= RetryCodes
	}
	if !x.mayRetry(on) || !x.pause() {
		return false
	}
	x.endpoint.report(true, x.resp.status)
	x.drop()
	return true
}

// pause waits before another attempt; false where there is no time left, or too many retry already.
func (x *exchange) pause() bool {
	if !x.cluster.retryStart() {
		x.flags |= accesslog.UpstreamOverflow
		return false
	}
	defer x.cluster.retryEnd()
	if x.route.Retry.OtherHosts {
		x.tried = append(x.tried, x.endpoint)
	}
	base := x.route.Retry.Backoff
	if base == 0 {
		base = DefaultBackoff
	}
	d := rand.N(min(base<<min(x.attempts, 8), 10*base))
	if t := x.route.Timeout; t > 0 && time.Now().Add(d).After(x.start.Add(t)) {
		return false
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-x.c.proxy.ctx.Done():
		return false
	}
	x.now = time.Now()
	return true
}

var (
	errClientGone = errors.New("the client is gone")
	errTooLate    = errors.New("the response is late")
	errStreamIdle = errors.New("nothing moves")
)

const (
	// glance is how often a long wait is interrupted, to see whether somebody still wants the response.
	glance = 2 * time.Second
	// halfClosed is how long a client that has ended its half is taken for one that still listens.
	halfClosed = time.Minute
)

// A serverSource reads from the upstream, and looks after the time and the client meanwhile.
type serverSource struct{ x *exchange }

func (s *serverSource) read(p []byte) (int, error) {
	x := s.x
	up := &x.up.wire
	for {
		s.arm(up)
		n, err := up.conn.Read(p)
		if n > 0 || !timedOut(err) {
			return n, err
		}
		up.readUntil = time.Time{}
		if err := x.overdue(); err != nil {
			return 0, err
		}
	}
}

// arm sets the deadline of a read: exactly where a time for the response was set, else at leisure.
func (s *serverSource) arm(up *wire) {
	x := s.x
	if !x.deadline.IsZero() && x.deadline.Sub(x.now) < glance {
		up.readAt(x.deadline)
		return
	}
	wait := glance
	if d := x.idleTime(); d > 0 {
		wait = min(wait, d)
	}
	up.readBy(x.now, wait)
}

// overdue says what a wait that has lasted for a while comes to; nil to go on.
func (x *exchange) overdue() error {
	x.now = time.Now()
	if x.upload != nil && x.upload.over.Load() && x.deadline.IsZero() {
		x.startTimeout()
	}
	if !x.deadline.IsZero() && !x.now.Before(x.deadline) {
		return errTooLate
	}
	moved := x.moved
	if x.upload != nil {
		if t := time.Unix(0, x.upload.moved.Load()); t.After(moved) {
			moved = t
		}
	}
	if d := x.idleTime(); d > 0 && x.now.Sub(moved) >= d {
		return errStreamIdle
	}
	if x.uploading() {
		return nil // which sees by itself what becomes of the client
	}
	switch state, _ := look(x.c.d.conn); state {
	case peerGone:
		return errClientGone
	case peerEnded:
		if x.ended.IsZero() {
			x.ended = x.now
		}
		if x.now.Sub(x.ended) > halfClosed {
			return errClientGone
		}
	}
	return nil
}
