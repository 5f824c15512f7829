package proxy

import (
	"strconv"
	"time"
	"unsafe"

	"github.com/oarlock/oarlock/accesslog"
	"github.com/oarlock/oarlock/metrics"
)

// finish counts and logs the exchange, and lets go of what it held.
func (x *exchange) finish() {
	if x.counted {
		x.cluster.core.stats.ActiveRequests.Add(-1)
		x.cluster.requestEnd()
	}
	if !x.c.d.uncounted {
		x.count()
		if len(x.c.logs) > 0 {
			x.log()
		}
	}
	if x.up == nil {
		return
	}
	if x.pooled {
		x.endpoint.pool.put(x.up, x.now)
	} else {
		x.up.close()
	}
}

// count adds the exchange to its series.
func (x *exchange) count() {
	c := x.c
	if x.hello {
		d := c.d
		c.proxy.countFailure(failure{reporter: metrics.Destination, source: d.peer, cause: metrics.CauseTLSToPlaintext, policy: d.chain.Policy, original: d.original})
		return
	}
	c.use(c.stateOrNow())
	key := seriesKey{cluster: x.cluster, peer: c.peer, code: x.code, flags: uint64(x.flags)}
	if c.direction == Inbound {
		key.security = c.d.security()
	} else {
		key.peer = nil
		if x.up != nil {
			key.peer = x.up.peer
			key.security = x.up.up.security()
		}
	}
	x.series(key).Observe(x.now.Sub(x.start), x.body.n, x.sent)
}

func (c *httpConn) stateOrNow() *state {
	if c.state != nil {
		return c.state
	}
	return c.proxy.state.Load()
}

func (x *exchange) series(key seriesKey) *metrics.Request {
	c := x.c
	if x.grpc() {
		return c.proxy.opt.Series.Request(x.labels(key))
	}
	for i := range c.recent {
		if r := &c.recent[i]; r.series != nil && r.key == key {
			return r.series
		}
	}
	q := c.series.get(c.state, key, func() *metrics.Request { return c.proxy.opt.Series.Request(x.labels(key)) })
	c.recent[1] = c.recent[0]
	c.recent[0] = recentSeries{key, q}
	return q
}

// grpc says whether the response is one of gRPC.
func (x *exchange) grpc() bool {
	if x.resp.w == nil || !x.responded {
		return false
	}
	const kind = "application/grpc"
	t := x.resp.get(headerContentType)
	return len(t) >= len(kind) && string(t[:len(kind)]) == kind
}

func (x *exchange) labels(key seriesKey) metrics.Labels {
	c := x.c
	l := metrics.Labels{
		Protocol: "http", Code: key.code, Flags: x.flags.String(), Security: key.security, Policy: c.policy,
		Port: servicePort(x.cluster, c.d.original),
	}
	if x.grpc() {
		l.Protocol, l.GRPCStatus = "grpc", string(x.grpcStatus())
	}
	switch {
	case x.cluster != nil:
		l.Service = x.cluster.service()
	case x.host != nil && x.host.Name == blockAllHost:
		l.Service.Name = blackHoleCluster
	}
	self := c.proxy.opt.Self
	if key.security != metrics.SecurityMutualTLS {
		self.Principal = "" // nobody was shown it
	}
	if c.direction == Inbound {
		l.Reporter, l.Source, l.Destination = metrics.Destination, *c.peer, self
		return l
	}
	l.Reporter, l.Source = metrics.Source, self
	if x.cluster != nil {
		l.Policy = x.cluster.config.Policy
	}
	switch {
	case key.peer != nil:
		l.Destination = *key.peer
	case x.endpoint != nil:
		l.Destination = x.endpoint.workload
		l.Destination.Principal = ""
	}
	return l
}

func (x *exchange) grpcStatus() []byte {
	if x.respTail.w != nil && x.respTail.has(headerGRPCStatus) {
		return x.respTail.get(headerGRPCStatus)
	}
	return x.resp.get(headerGRPCStatus)
}

// text shows bytes of a buffer as a string for as long as a record is written.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// log writes the access log.
func (x *exchange) log() {
	c, r, h := x.c, &x.record, &x.req
	r.Start, r.Duration = x.start, x.now.Sub(x.start)
	r.RequestTime, r.ResponseTime, r.ResponseSendTime = 0, accesslog.Absent, accesslog.Absent
	if !x.respAt.IsZero() {
		r.ResponseTime = x.respAt.Sub(x.start)
		r.ResponseSendTime = x.now.Sub(x.respAt)
	}
	if h.started && h.lineEnd > 0 {
		x.logRequest(r)
	}
	if x.responded {
		r.ResponseCode = int64(x.code)
	}
	r.CodeDetails, r.Flags = x.details, x.flags
	r.BytesReceived, r.BytesSent = x.body.n, x.sent
	r.UpstreamCluster, r.UpstreamAttempts, r.UpstreamTransportFailure = x.name, int64(x.attempts), x.transport
	if x.route != nil {
		r.RouteName = x.route.Name
	}
	r.DownstreamLocalAddress, r.DownstreamRemoteAddress, r.DownstreamDirectRemoteAddress = c.local, c.remote, c.remote
	r.RequestedServerName, r.FilterChainName, r.ConnectionID = c.d.sni, c.d.chain.Name, int64(c.d.id)
	if c.d.tls != nil {
		r.Downstream = c.tlsRecord()
	}
	x.logUpstream(r)
	c.logs.write(r)
}

func (x *exchange) logRequest(r *accesslog.Record) {
	h := &x.req
	r.Method, r.Scheme, r.Protocol = text(h.method()), "http", "HTTP/1.1"
	if x.c.d.tls != nil {
		r.Scheme = "https"
	}
	if h.minor == 0 {
		r.Protocol = "HTTP/1.0"
	}
	r.Path, r.Authority = text(h.target()), text(h.host())
	r.UserAgent, r.RequestID, r.ForwardedFor = text(h.get(headerUserAgent)), text(h.get(headerRequestID)), text(h.get(headerForwardedFor))
	if r.RequestID == "" && x.requestID[0] != 0 {
		r.RequestID = text(x.requestID[:])
	}
	r.Request = logFields(r.Request, h, x.c.logRequest)
}

func logFields(out []accesslog.Field, h *head, names []string) []accesslog.Field {
	for _, name := range names {
		if v := h.find(name); v != nil {
			out = append(out, accesslog.Field{Name: name, Value: text(v)})
		}
	}
	return out
}

func (x *exchange) logUpstream(r *accesslog.Record) {
	if x.up == nil {
		if x.endpoint != nil {
			r.UpstreamHost = x.endpoint.address.String()
		}
		return
	}
	r.UpstreamHost, r.UpstreamLocalAddress = x.up.host, x.up.local
	if t := x.up.up.tls; t != nil {
		r.Upstream = x.up.tlsRecord()
	}
	if x.respAt.IsZero() || x.resp.w == nil {
		return
	}
	r.UpstreamServiceTime = milliseconds(x.serviceTime())
	r.GRPCStatus = text(x.grpcStatus())
	r.Response = logFields(r.Response, &x.resp, x.c.logResponse)
	if x.respTail.w != nil {
		r.Trailers = logFields(r.Trailers, &x.respTail, x.c.logTrailers)
	}
}

// tlsRecord is what the log says of the client's TLS, made once for a connection.
func (c *httpConn) tlsRecord() accesslog.TLS {
	if c.tls == nil {
		r := tlsRecord(c.d.tls)
		r.LocalURISAN = c.proxy.opt.Self.Principal
		c.tls = &r
	}
	return *c.tls
}

func (c *upConn) tlsRecord() accesslog.TLS {
	if c.tls == nil {
		r := tlsRecord(c.up.tls)
		c.tls = &r
	}
	return *c.tls
}

// noDeadline takes a deadline away.
var noDeadline time.Time

// milliseconds writes a small number without garbage.
func milliseconds(n int64) string {
	if n < int64(len(smallNumbers)) {
		return smallNumbers[n]
	}
	return strconv.FormatInt(n, 10)
}

var smallNumbers = func() (out [1000]string) {
	for i := range out {
		out[i] = strconv.Itoa(i)
	}
	return out
}()
