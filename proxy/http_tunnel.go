package proxy

import (
	"bytes"
	"net"
	"slices"
	"strings"

	"github.com/oarlock/oarlock/accesslog"
	"github.com/oarlock/oarlock/sniff"
)

// findUpgrade looks at what a request wants to upgrade to; false where that is refused, which is an answer. HTTP/2 in
// plaintext is no upgrade that anybody has to grant: such a request goes on as HTTP/1.1.
func (x *exchange) findUpgrade() bool {
	h := &x.req
	want := h.get(headerUpgrade)
	if !h.upgrade || want == nil || h.minor == 0 {
		return true
	}
	name := strings.ToLower(string(want))
	is := func(s string) bool { return strings.EqualFold(s, name) }
	switch {
	case slices.ContainsFunc(x.c.config.Upgrades, is) || slices.ContainsFunc(x.route.Upgrades, is):
		x.tunnel = x.body.over()
	case strings.HasPrefix(name, "h2c") || strings.HasPrefix(name, "tls/") || strings.HasPrefix(name, "http/"):
	default:
		x.reply(localReply{code: 403, details: "upgrade_failed"})
		return false
	}
	return true
}

// carry passes on the response to an upgrade, and then bytes both ways until one side ends.
func (x *exchange) carry() {
	x.keep, x.responded = false, true
	out := x.appendResponse(x.out[:0])
	ahead := len(x.up.unread())
	out = append(out, x.up.unread()...)
	x.out = out
	if !x.write(out) {
		x.endUpstream()
		return
	}
	in := &x.c.in
	early, err := 0, error(nil)
	if len(in.unread()) > 0 {
		early, err = x.up.conn.Write(in.unread())
	}
	var zero = noDeadline
	in.conn.SetDeadline(zero)
	x.up.conn.SetDeadline(zero)
	if err == nil {
		x.runPipe(&pipe{a: in.conn, b: x.up.conn, idle: x.idleTime(), done: x.c.proxy.ctx.Done()})
	}
	x.body.n += int64(early)
	x.sent += int64(ahead)
	x.endUpstream()
}

func (x *exchange) runPipe(p *pipe) {
	p.run()
	x.body.n, x.sent = p.fromA.Load(), p.fromB.Load()
	switch {
	case p.timedOut.Load():
		x.flags |= accesslog.StreamIdleTimeout
	case p.errB != nil:
		x.flags |= accesslog.UpstreamConnectionTermination
	case p.errA != nil:
		x.flags |= accesslog.DownstreamConnectionTermination
	}
}

// An aheadConn gives bytes that were read already before it reads on.
type aheadConn struct {
	net.Conn
	ahead []byte
}

func (c *aheadConn) Read(p []byte) (int, error) {
	if len(c.ahead) > 0 {
		n := copy(p, c.ahead)
		if c.ahead = c.ahead[n:]; len(c.ahead) == 0 {
			c.ahead = nil
		}
		return n, nil
	}
	return c.Conn.Read(p)
}

// CloseWrite ends our half.
func (c *aheadConn) CloseWrite() error { return closeWrite(c.Conn) }

// NetConn gives the connection beneath.
func (c *aheadConn) NetConn() net.Conn { return c.Conn }

// quick gives a connection of which reading and writing costs less than of c, and which has what sniffing read ahead.
func quick(c net.Conn) net.Conn {
	s, ok := c.(*sniff.Conn)
	if !ok {
		return newRawConn(c)
	}
	t, ok := plainTCP(s.NetConn())
	if !ok {
		return c
	}
	ahead := bytes.Clone(s.Buffered())
	s.Discard()
	return &aheadConn{Conn: newRawConn(t), ahead: ahead}
}

// serveHTTP2 carries a connection that turned out to speak HTTP/2, as bytes.
func (c *httpConn) serveHTTP2() {
	c.d.conn = &aheadConn{Conn: c.in.conn, ahead: append([]byte(nil), c.in.unread()...)}
	c.in.conn.SetDeadline(noDeadline)
	c.in.release()
	c.proxy.tunnelHTTP2(c.d, c.httpManager)
}
