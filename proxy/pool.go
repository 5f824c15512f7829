package proxy

import (
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oarlock/oarlock/accesslog"
)

// A pool keeps an endpoint's connections between requests: the one that was used last is used next, so that those too many
// grow old and are closed.
type pool struct {
	endpoint *endpoint
	idleTime time.Duration

	open   [alpnKinds]atomic.Int32 // connections, idle or not, and those that are being made
	wanted [alpnKinds]atomic.Int32 // requests that wait for one

	mu     sync.Mutex // guards what follows
	idle   [alpnKinds][]*upConn
	closed bool
	timer  *time.Timer // sweeps while something is idle
}

// An alpnKind tells connections apart that agreed on their protocol in different ways.
type alpnKind uint8

const (
	alpnOwn alpnKind = iota // the socket's
	alpnHTTP11
	alpnHTTP10
	alpnKinds
)

// The lists in place of the socket's, so that a sidecar can tell an HTTP request from the application's own TLS.
var alpnLists = [alpnKinds][]string{
	nil, {"istio-http/1.1", "istio", "http/1.1"}, {"istio-http/1.0", "istio", "http/1.0"},
}

// An upConn is a connection to an endpoint that speaks HTTP/1.1.
type upConn struct {
	wire
	up      *upstream
	beneath *rawConn // nil where the connection has none
	kind    alpnKind
	uses    uint32
	since   time.Time // of its last use
	host    string    // its addresses, as the log has them
	local   string
	peer    *Peer // who is there, by its certificate, the endpoint's labels and what it said
	said    []byte
	tls     *accesslog.TLS // for the log
	carried bool           // at least one response has come
}

func newUpConn(u *upstream, kind alpnKind) *upConn {
	c := &upConn{up: u, kind: kind, host: u.remote.String(), local: u.local.String()}
	c.init(u.conn)
	c.beneath = rawBeneath(c.conn)
	p := u.endpoint.workload
	p.Principal = u.peerID
	c.peer = &p
	return c
}

// stray says whether TLS has kept something that came behind the last response, or an end.
func (c *upConn) stray() bool {
	if c.beneath == nil || c.probe == nil {
		return false
	}
	c.beneath.dry = true
	_, err := c.conn.Read(c.probe[:1])
	c.beneath.dry = false
	return err != (errNoMore{})
}

func (c *upConn) close() {
	c.release()
	c.up.close()
}

// maxIdle bounds the connections that one pool keeps.
const maxIdle = 1024

func newPool(e *endpoint) *pool {
	p := &pool{endpoint: e, idleTime: e.core.config.IdleTimeout}
	if p.idleTime == 0 {
		p.idleTime = DefaultHTTPIdleTimeout
	}
	return p
}

// get takes a connection out; nil where there is none, or where others have waited for it.
func (p *pool) get(kind alpnKind) *upConn {
	if p.wanted[kind].Load() > 0 {
		return nil
	}
	return p.pop(kind)
}

func (p *pool) pop(kind alpnKind) *upConn {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := p.idle[kind]
	if len(list) == 0 {
		return nil
	}
	c := list[len(list)-1]
	list[len(list)-1] = nil
	p.idle[kind] = list[:len(list)-1]
	return c
}

// put keeps a connection for the next request, or closes it.
func (p *pool) put(c *upConn, now time.Time) {
	c.release()
	c.since = now
	most := p.endpoint.core.config.MaxRequestsPerConnection
	p.mu.Lock()
	if p.closed || most > 0 && c.uses >= most || len(p.idle[c.kind]) >= maxIdle {
		p.mu.Unlock()
		c.close()
		return
	}
	p.idle[c.kind] = append(p.idle[c.kind], c)
	if p.timer == nil {
		p.timer = time.AfterFunc(p.period(), p.sweep)
	}
	p.mu.Unlock()
	p.endpoint.core.serve(lineKey{p, c.kind})
}

// period is how often idle connections are looked at.
func (p *pool) period() time.Duration {
	return min(max(p.idleTime/4, 10*time.Millisecond), 5*time.Second)
}

// sweep closes connections that nobody used for long, and those that the other side has ended.
func (p *pool) sweep() {
	now := time.Now()
	p.mu.Lock()
	var gone []*upConn
	left := 0
	for k, list := range p.idle {
		kept := list[:0]
		for _, c := range list {
			if now.Sub(c.since) >= p.idleTime || !usable(c.conn) {
				gone = append(gone, c)
				continue
			}
			kept = append(kept, c)
		}
		clear(list[len(kept):])
		p.idle[k] = kept
		left += len(kept)
	}
	p.timer = nil
	if left > 0 && !p.closed {
		p.timer = time.AfterFunc(p.period(), p.sweep)
	}
	p.mu.Unlock()
	for _, c := range gone {
		c.close()
	}
}

// usable says whether an idle connection can carry a request: the other side has neither ended it nor said anything.
func usable(c net.Conn) bool {
	state, readable := look(c)
	return state == peerOpen && !readable
}

// close ends what is idle. Connections in use are closed when they come back.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
	var all []*upConn
	for k, list := range p.idle {
		all = append(all, list...)
		p.idle[k] = nil
	}
	p.mu.Unlock()
	for _, c := range all {
		c.close()
	}
}

// tcpBeneath finds the TCP connection under TLS and what else is wrapped around it.
func tcpBeneath(c net.Conn) (tcpConn, bool) {
	for {
		switch in := c.(type) {
		case *net.TCPConn:
			return in, true
		case *acceptedConn:
			return in, true
		case *recordConn:
			return in.tcpConn, true
		case *replayConn:
			return in.tcpConn, true
		case interface{ NetConn() net.Conn }:
			c = in.NetConn()
		default:
			return nil, false
		}
	}
}
