package proxy

import (
	"crypto/tls"
	"net"
	"net/netip"
	"time"

	"github.com/oarlock/oarlock/accesslog"
	"github.com/oarlock/oarlock/metrics"
)

// An upstream is one connection to an endpoint. Whoever got it from dial must close it.
type upstream struct {
	conn     net.Conn // a *tls.Conn or a *net.TCPConn
	endpoint *endpoint
	tls      *tls.ConnectionState // nil: plaintext
	peerID   string               // the server's SPIFFE ID, "" without one
	local    netip.AddrPort
	remote   netip.AddrPort
	since    time.Time

	pooled bool     // for requests
	kind   alpnKind // of those that are pooled
	closed bool
}

// security is how the connection is protected. Without one nothing was sent, neither in plaintext nor otherwise.
func (u *upstream) security() metrics.Security {
	switch {
	case u == nil:
		return metrics.SecurityUnknown
	case u.tls != nil && u.peerID != "":
		return metrics.SecurityMutualTLS
	}
	return metrics.SecurityNone
}

// close closes the connection and gives its place in the cluster's limits back. It may be called again.
func (u *upstream) close() {
	if u.closed {
		return
	}
	u.closed = true
	u.endpoint.release(u)
	u.conn.Close()
}

// An upstreamError says why there is no connection to an endpoint.
type upstreamError struct {
	Flags accesslog.Flags
	// Reason is Envoy's: "connection failure", "connection timeout", "overflow".
	Reason string
	// Transport is the reason that TLS gives, in Envoy's words; "" where TLS was not to blame.
	Transport string
	err       error
}

func (e *upstreamError) Error() string {
	if e.err == nil {
		return e.Reason
	}
	return e.Reason + ": " + e.err.Error()
}

func (e *upstreamError) Unwrap() error { return e.err }
