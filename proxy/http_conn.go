package proxy

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net"
	"os"
	"strings"
	"time"

	"github.com/oarlock/oarlock/accesslog"
	"github.com/oarlock/oarlock/metrics"
	"github.com/oarlock/oarlock/sniff"
)

// An httpConn is a client's connection that carries requests, one after the other.
type httpConn struct {
	*httpManager
	d   *downstream
	in  wire
	now time.Time // about

	remote, local string // addresses as the log has them
	cert          string // our element of x-forwarded-client-cert, made when it is wanted first
	// peer is who the client is: by its certificate, and what it said last.
	peer *Peer
	said []byte
	tls  *accesslog.TLS // for the log

	// What the last request came to, since the next one is most often alike.
	state     *state
	routes    *routes
	authority []byte
	host      *virtualHost
	cluster   *cluster
	recent    [2]recentSeries
}

type recentSeries struct {
	key    seriesKey
	series *metrics.Request
}

// serve answers requests until the connection ends. It stays small: an idle connection's stack is the most that it costs.
func (h *httpManager) serve(d *downstream) {
	c := h.newConn(d)
	for c.next() {
	}
	c.in.release()
	d.conn.Close()
}

func (h *httpManager) newConn(d *downstream) *httpConn {
	c := &httpConn{httpManager: h, d: d, now: time.Now(), remote: d.remote.String(), local: d.original.String()}
	c.attach(d.conn)
	c.peer = h.peers.intern(d.peer, nil)
	return c
}

// attach takes over what sniffing read ahead, so that reading goes straight to the connection.
func (c *httpConn) attach(conn net.Conn) {
	s, ok := conn.(*sniff.Conn)
	if !ok {
		c.in.init(conn)
		return
	}
	beneath, ok := plainTCP(s.NetConn())
	if !ok || len(s.Buffered()) > smallBuffer {
		c.in.init(conn)
		return
	}
	c.in.init(beneath)
	if ahead := s.Buffered(); len(ahead) > 0 {
		c.in.buf = takeSmall()
		c.in.w = copy(c.in.buf, ahead)
	}
	s.Discard()
}

// next answers one request; false where the connection is to end.
func (c *httpConn) next() bool {
	if c.in.r == c.in.w && c.idle > 0 {
		c.in.readBy(c.now, c.idle)
	}
	if c.in.await() != nil || !c.d.begin() {
		return false
	}
	return c.exchange()
}

func (c *httpConn) exchange() bool {
	x := takeExchange(c)
	x.serve()
	keep := x.keep
	c.now = x.now
	x.giveBack()
	if !keep {
		return false
	}
	c.in.rewind()
	c.d.end()
	return true
}

// use looks up again what depends on the configuration, if that has changed.
func (c *httpConn) use(st *state) {
	if c.state == st {
		return
	}
	c.state, c.host, c.cluster, c.authority = st, nil, nil, nil
	c.recent = [2]recentSeries{}
	if c.routes = c.table; c.routes == nil {
		c.routes = st.tables[c.config.RouteName]
	}
}

// hostFor finds the virtual host of an authority.
func (c *httpConn) hostFor(authority []byte) *virtualHost {
	if c.host != nil && bytes.Equal(authority, c.authority) {
		return c.host
	}
	if c.routes == nil {
		return nil
	}
	c.host = c.routes.host(authority)
	if c.host == c.routes.any {
		if meant := c.doorTarget(authority); meant != nil {
			c.host = c.routes.host(meant)
		}
	}
	c.authority = append(c.authority[:0], authority...)
	return c.host
}

// doorTarget gives the authority that is meant by a client that was told of a front door by its address, and names that; nil
// where it names something else. Routes know the address that the door stands for.
func (c *httpConn) doorTarget(authority []byte) []byte {
	d := c.d
	if d.original == d.local {
		return nil
	}
	switch string(authority) {
	case d.local.String():
		return []byte(d.original.String())
	case d.local.Addr().String():
		return []byte(d.original.Addr().String())
	}
	return nil
}

func (c *httpConn) clusterFor(name string) *cluster {
	if c.cluster == nil || c.cluster.config.Name != name {
		c.cluster = c.state.clusters[name]
	}
	return c.cluster
}

// hear takes in what the client says of itself.
func (c *httpConn) hear(said []byte) {
	if bytes.Equal(said, c.said) || len(said) > maxMetadata {
		return
	}
	c.said = append(c.said[:0], said...)
	c.peer = c.peers.intern(c.d.peer, said)
}

// clientCert is our element of x-forwarded-client-cert; "" where the client has no certificate.
func (c *httpConn) clientCert() string {
	leaf := c.d.certificate()
	if leaf == nil || c.cert != "" {
		return c.cert
	}
	var b strings.Builder
	if own := c.proxy.opt.Self.Principal; own != "" {
		b.WriteString("By=" + own + ";")
	}
	sum := sha256.Sum256(leaf.Raw)
	b.WriteString("Hash=" + hex.EncodeToString(sum[:]))
	b.WriteString(`;Subject="` + strings.ReplaceAll(leaf.Subject.String(), `"`, `\"`) + `"`)
	for _, u := range leaf.URIs {
		b.WriteString(";URI=" + u.String())
	}
	c.cert = b.String()
	return c.cert
}

// lingerTime and lingerBytes bound how long a client may go on sending after the last answer. Without that the answer
// would be lost: what arrives at a closed socket resets the connection.
const (
	lingerTime  = time.Second
	lingerBytes = 1 << 20
)

// linger ends our half and reads what still comes.
func (c *httpConn) linger() {
	if closeWrite(c.in.conn) != nil {
		return
	}
	c.in.readAt(time.Now().Add(lingerTime))
	buf := takeSmall()
	defer giveBack(buf)
	for n := 0; n < lingerBytes; {
		m, err := c.in.conn.Read(buf)
		if err != nil {
			return
		}
		n += m
	}
}

func timedOut(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }
