package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/oarlock/oarlock/metrics"
)

// A downstream is one accepted connection whose filter chain is found and whose TLS, if it is ours to end, is ended.
type downstream struct {
	proxy *Proxy
	chain *chain // nil until it is found; set under Proxy.mu
	// conn is what to read and to write: a *tls.Conn, a *sniff.Conn with bytes that were looked at, or a tcpConn.
	conn net.Conn
	// accepted is what is beneath conn. It stays the same, so that others may close it.
	accepted tcpConn
	id       uint64
	// start is when it was accepted.
	start time.Time

	remote, local netip.AddrPort
	// original is the destination that the client meant; local where nothing was redirected.
	original netip.AddrPort
	// httpProxy says that requests have the absolute form or are CONNECT.
	httpProxy bool
	// uncounted says that the client is one of Capture.Uncounted.
	uncounted bool

	tls  *tls.ConnectionState // nil: plaintext to us
	peer Peer                 // what is known of the client
	sni  string

	use atomic.Int32 // connIdle, connBusy, connClosing
}

// What a connection is doing. A drain ends idle connections and lets busy ones finish.
const (
	connIdle int32 = iota
	connBusy
	connClosing
)

// begin marks a request's first byte; false where the connection is being closed and must not be answered.
func (d *downstream) begin() bool { return d.use.CompareAndSwap(connIdle, connBusy) }

// end marks that the connection is between requests again.
func (d *downstream) end() { d.use.CompareAndSwap(connBusy, connIdle) }

// closeIdle closes the connection if no request is under way.
func (d *downstream) closeIdle() bool {
	if !d.use.CompareAndSwap(connIdle, connClosing) {
		return false
	}
	d.accepted.Close()
	return true
}

// uncounted says whether a caller is one whose connections are not counted.
func (c *Capture) uncounted(caller netip.Addr) bool {
	for _, p := range c.Uncounted {
		if p.Contains(caller) {
			return true
		}
	}
	return false
}

// draining says that the connection shall end with its present request: its chain is no longer in force, or the proxy stops.
func (d *downstream) draining() bool {
	return d.httpProxy || d.chain.retired.Load() || d.proxy.draining.Load()
}

// direction is that of the connection's listener.
func (d *downstream) direction() Direction { return d.chain.listener.Direction }

// security is how the connection is protected.
func (d *downstream) security() metrics.Security {
	if d.tls != nil && d.peer.Principal != "" {
		return metrics.SecurityMutualTLS
	}
	return metrics.SecurityNone
}

// certificate is the client's, nil without one.
func (d *downstream) certificate() *x509.Certificate {
	if d.tls == nil || len(d.tls.PeerCertificates) == 0 {
		return nil
	}
	return d.tls.PeerCertificates[0]
}
