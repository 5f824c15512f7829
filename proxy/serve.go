package proxy

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/oarlock/oarlock/accesslog"
	"github.com/oarlock/oarlock/metrics"
	"github.com/oarlock/oarlock/sniff"
)

// serve takes a connection from its door to its end: original destination, listener, first bytes, filter chain, TLS. It stays
// small, as everything that lies on the stack of an idle connection.
func (p *Proxy) serve(c tcpConn, at *door) {
	d := p.newDownstream(c)
	if !p.track(d) {
		return
	}
	if d.prepare(at) {
		if d.chain.http != nil {
			d.chain.http.serve(d)
		} else {
			d.chain.tcp.serve(d)
		}
		d.chain.listener.stats.closed()
	}
	p.untrack(d)
}

func (p *Proxy) newDownstream(c tcpConn) *downstream {
	d := &downstream{proxy: p, conn: c, accepted: c, id: p.nextID.Add(1), start: time.Now()}
	d.local, d.remote = ends(c)
	d.original = d.local
	d.uncounted = p.opt.Capture.uncounted(d.remote.Addr())
	return d
}

// prepare finds the filter chain and ends TLS; false where the connection ends with that.
func (d *downstream) prepare(at *door) bool {
	seen, ok := d.proxy.choose(d, d.accepted, at)
	if !ok {
		return false
	}
	stats := d.chain.listener.stats
	stats.opened()
	if d.chain.tls != nil && !d.handshake(seen) {
		stats.closed()
		return false
	}
	return true
}

// choose finds the filter chain, which is one of the Config that is in force at the end of the look at the first bytes: a
// client that takes its time gets no policy that is over.
func (p *Proxy) choose(d *downstream, c tcpConn, at *door) (seen, bool) {
	st := p.state.Load()
	l := p.route(d, c, at, st)
	for l != nil {
		s, err := l.inspect(d, c)
		if err != nil {
			break // it went away before it said anything: nothing to tell
		}
		if now := p.state.Load(); now != st {
			st, l = now, now.successor(l)
			continue
		}
		found := l.match(d, s)
		if found == nil {
			l.noChain(d, s)
			break
		}
		p.settle(d, found)
		if !found.retired.Load() {
			return s, true
		}
	}
	return seen{}, false
}

// successor is the listener that has taken the place of one of a Config before.
func (s *state) successor(l *listener) *listener {
	if next := s.named(l.Name); next != nil {
		return next
	}
	return s.behind(l.Direction)
}

// route finds the original destination and the listener. nil: there is no listener (any more).
func (p *Proxy) route(d *downstream, c tcpConn, at *door, st *state) *listener {
	l := at.listener(st)
	if l == nil {
		return nil
	}
	switch {
	case at.door.HTTPProxy:
		return p.proxyRequest(d, c, st)
	case at.door.Original.IsValid():
		d.original = at.door.Original
	case p.opt.Capture.Transparent && l.OriginalDst:
		if dst, err := originalDst(c); err == nil {
			d.original = dst
		}
	}
	if l.UseOriginalDst && l.Direction == Outbound {
		if to := st.find(d.original); to != nil {
			return to
		}
	}
	return l
}

// A seen is what the first bytes said.
type seen struct {
	transport string
	names     string // SNI
	alpn      []string
	protocol  sniff.Protocol
}

// inspect looks at the first bytes where the listener wants it. An error says that the connection ended.
func (l *listener) inspect(d *downstream, c tcpConn) (seen, error) {
	out := seen{transport: TransportRaw}
	port := d.original.Port()
	wantTLS, wantHTTP := l.InspectTLS.Has(port), l.InspectHTTP.Has(port)
	if !wantTLS && !wantHTTP {
		return out, nil
	}
	s, ok := d.conn.(*sniff.Conn)
	if !ok {
		s = sniff.NewConn(c)
		d.conn = s
	}
	timeout := l.InspectTimeout
	if timeout == 0 {
		timeout = DefaultInspectTimeout
	}
	r, err := s.Sniff(sniff.Limits{FirstByte: max(timeout, 0), OnlyTLS: !wantHTTP})
	if err != nil {
		return out, err
	}
	out.protocol = r.Protocol
	switch {
	case wantTLS && r.Protocol == sniff.TLS:
		out.transport, out.names, out.alpn = TransportTLS, r.Hello.ServerName, r.Hello.ALPN
		d.sni = r.Hello.ServerName
	case wantHTTP && r.Protocol == sniff.HTTP1:
		out.alpn = []string{"http/1.1"} // as Envoy's HTTP inspector says it
	case wantHTTP && r.Protocol == sniff.HTTP2:
		out.alpn = []string{"h2c"}
	}
	return out, nil
}

func (l *listener) match(d *downstream, s seen) *chain {
	if c := l.index.find(d.original, s); c != nil {
		return c
	}
	return l.fallback
}

// noChain counts and logs a connection that no filter chain wants, and names the cause where TLS is at the bottom of it.
//
// The client gets a reset, as from Envoy, which leaves its bytes unread: an end in good order would look like an answer.
func (l *listener) noChain(d *downstream, s seen) {
	l.stats.noChain()
	defer reset(d.conn)
	cause := metrics.CauseNoFilterChain
	if s.protocol != sniff.TLS && l.index.onlyTLS(d.original) {
		cause = metrics.CausePlaintextToTLS
	}
	l.proxy.log.Debug("no filter chain", "listener", l.Name, "client", d.remote, "destination", d.original, "cause", cause)
	if d.uncounted {
		return
	}
	if s.protocol == sniff.TLS || cause == metrics.CausePlaintextToTLS {
		l.proxy.countFailure(failure{reporter: reporterOf(l.Direction), source: d.peer, cause: cause, policy: l.index.policy(d.original), original: d.original})
	}
	if len(l.logs) == 0 {
		return
	}
	r := d.record(time.Now())
	r.Flags = accesslog.NoRouteFound
	r.CodeDetails = "filter_chain_not_found"
	if cause == metrics.CausePlaintextToTLS {
		r.DownstreamTransportFailure = tlsHTTPRequest
	}
	l.logs.write(&r)
}

// record begins the access log record of a connection.
func (d *downstream) record(now time.Time) accesslog.Record {
	r := accesslog.Record{
		Start: d.start, Duration: now.Sub(d.start), RequestTime: accesslog.Absent, ResponseTime: accesslog.Absent, ResponseSendTime: accesslog.Absent,
		DownstreamLocalAddress: d.original.String(), DownstreamRemoteAddress: d.remote.String(), DownstreamDirectRemoteAddress: d.remote.String(),
		RequestedServerName: d.sni, ConnectionID: int64(d.id),
	}
	if d.chain != nil {
		r.FilterChainName = d.chain.Name
	}
	if d.tls != nil {
		r.Downstream = tlsRecord(d.tls)
	}
	return r
}

// handshake ends the client's TLS. What goes wrong is counted, logged and named.
func (d *downstream) handshake(s seen) bool {
	if d.chain.tcp != nil {
		d.conn = d.byRecord()
	}
	c := tls.Server(quick(d.conn), d.chain.tls.config)
	d.conn = c
	timeout := d.chain.HandshakeTimeout
	if timeout == 0 {
		timeout = DefaultHandshakeTimeout
	}
	c.SetDeadline(time.Now().Add(timeout))
	err := c.HandshakeContext(d.proxy.ctx)
	if err != nil {
		d.handshakeFailed(err, s)
		return false
	}
	c.SetDeadline(time.Time{})
	state := c.ConnectionState()
	d.tls = &state
	d.sni = state.ServerName
	d.peer = peerOf(&state)
	d.chain.listener.stats.handshake(&state)
	return true
}

// byRecord lets the connection be read and written by many records at a time.
func (d *downstream) byRecord() net.Conn {
	out := &recordConn{}
	switch c := d.conn.(type) {
	case tcpConn:
		out.tcpConn = c
	case *sniff.Conn:
		tcp, ok := plainTCP(c.NetConn())
		if !ok || len(c.Buffered()) > recordRoom {
			return c
		}
		out.tcpConn = tcp
		if seen := c.Buffered(); len(seen) > 0 {
			out.in = recordBuffers.Get().(*[]byte)
			out.end = copy(*out.in, seen)
		}
		c.Discard()
	default:
		return c
	}
	return out
}

func (d *downstream) handshakeFailed(err error, s seen) {
	l := d.chain.listener
	if errors.Is(err, io.EOF) && s.protocol == sniff.Unknown {
		return // a port check that says nothing
	}
	f := downstreamFailure(err, d.chain.TLS.Peers)
	l.stats.failed(f)
	d.proxy.log.Debug("handshake failed", "listener", l.Name, "client", d.remote, "cause", f.cause, "err", err)
	if d.uncounted {
		return
	}
	d.proxy.countFailure(failure{reporter: reporterOf(l.Direction), source: Peer{Principal: f.peer}, cause: f.cause, policy: d.chain.Policy, original: d.original})
	if logs := d.chain.logs(); len(logs) > 0 {
		r := d.record(time.Now())
		r.DownstreamTransportFailure = f.text
		r.TerminationDetails = "transport_socket_failure"
		logs.write(&r)
	}
}

// logs are where connections of the chain are written.
func (c *chain) logs() accessLogs {
	if c.http != nil {
		return c.listener.logs
	}
	return c.tcp.logs
}

func addrPort(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := t.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
