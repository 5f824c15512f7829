package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"maps"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oarlock/oarlock/accesslog"
	"github.com/oarlock/oarlock/metrics"
)

// An endpoint is one address of a cluster, as one Config has it: its weight, its priority and whether it is up.
type endpoint struct {
	config *Endpoint
	*backend
}

// A backend is what an endpoint keeps from one Config to the next: its connections and what is known of its health.
type backend struct {
	core     *clusterCore
	address  netip.AddrPort // where to connect; of DNS kinds an answer
	workload Peer
	socket   socket
	pool     *pool
	gone     atomic.Bool

	active atomic.Int64 // connections
	busy   atomic.Int64 // connections and requests under way, for least request
	used   atomic.Int64 // unix nanoseconds, of original destinations

	outlier outlier

	mu      sync.Mutex // guards configs
	configs map[string]*tls.Config
}

func newEndpoint(core *clusterCore, e *Endpoint, at netip.AddrPort) *endpoint {
	out := &endpoint{e, &backend{core: core, address: at, workload: e.Workload, configs: map[string]*tls.Config{}}}
	out.socket = core.sockets[len(core.sockets)-1]
	for _, s := range core.sockets[:len(core.sockets)-1] {
		if hasAll(e.Labels, s.labels) {
			out.socket = s
			break
		}
	}
	out.pool = newPool(out)
	return out
}

// as gives the endpoint as another Config has it; nil where that means another one.
func (e *endpoint) as(c *Endpoint) *endpoint {
	have := e.config
	switch {
	case e.gone.Load(), have.Address != c.Address, have.Host != c.Host, have.Workload != c.Workload, !maps.Equal(have.Labels, c.Labels):
		return nil
	case have.Weight == c.Weight && have.Priority == c.Priority && have.Down == c.Down:
		return e
	}
	return &endpoint{c, e.backend}
}

func hasAll(have, want map[string]string) bool {
	for k, v := range want {
		if have[k] != v {
			return false
		}
	}
	return true
}

func (e *endpoint) close() {
	if !e.gone.Swap(true) {
		e.forgive()
		e.pool.close()
	}
}

// dialStream connects for a stream of bytes: TCP, and TLS as the endpoint's socket has it. There is no waiting where the
// cluster has as many connections as it may have.
func (e *endpoint) dialStream(ctx context.Context) (*upstream, *upstreamError) {
	if !e.core.take() {
		e.core.stats.ConnectionOverflow.Inc()
		return nil, &upstreamError{Flags: accesslog.UpstreamOverflow, Reason: "overflow"}
	}
	u, err := e.dial(ctx, nil, true)
	if err != nil {
		e.core.connections.Add(-1)
		e.core.serve(lineKey{})
	}
	return u, err
}

// dialReserved connects for requests, where a place was reserved.
func (e *endpoint) dialReserved(ctx context.Context, kind alpnKind) (*upstream, *upstreamError) {
	u, err := e.dial(ctx, alpnLists[kind], false)
	if err != nil {
		e.core.unreserve(e.pool, kind)
		return nil, err
	}
	u.pooled, u.kind = true, kind
	return u, nil
}

// dial connects, with alpn in place of the socket's own where it is not nil.
func (e *endpoint) dial(ctx context.Context, alpn []string, stream bool) (*upstream, *upstreamError) {
	core := e.core
	core.stats.Connections.Inc()
	u, err := e.connect(ctx, alpn, stream)
	if err != nil {
		core.stats.ConnectFail.Inc()
		if err.Reason == "connection timeout" {
			core.stats.ConnectTimeout.Inc()
		}
		e.report(false, 0)
		return nil, err
	}
	core.stats.Active.Add(1)
	e.active.Add(1)
	e.busy.Add(1)
	return u, nil
}

// release gives back what a connection took.
func (e *endpoint) release(u *upstream) {
	e.core.stats.Active.Add(-1)
	e.active.Add(-1)
	e.busy.Add(-1)
	if u.pooled {
		e.core.unreserve(e.pool, u.kind)
		return
	}
	e.core.connections.Add(-1)
	e.core.serve(lineKey{})
}

func (e *endpoint) connect(ctx context.Context, alpn []string, stream bool) (*upstream, *upstreamError) {
	timeout := e.core.config.ConnectTimeout
	if timeout == 0 {
		timeout = DefaultConnectTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	at, local := e.core.proxy.opt.Capture.outgoing(e)
	dialer := net.Dialer{LocalAddr: local, Control: e.core.proxy.dialControl(local != nil), KeepAliveConfig: keepAlive(e.core.config.KeepAlive)}
	c, err := dialer.DialContext(ctx, "tcp", at.String())
	if err != nil {
		return nil, connectError(err, "")
	}
	u := &upstream{conn: c, endpoint: e, local: addrPort(c.LocalAddr()), remote: at, since: time.Now()}
	if e.socket.tls == nil {
		return u, nil
	}
	if tcp, ok := c.(*net.TCPConn); ok && stream {
		u.conn = &recordConn{tcpConn: tcp}
	}
	if uerr := e.handshake(ctx, u, alpn); uerr != nil {
		c.Close()
		return nil, uerr
	}
	return u, nil
}

func (e *endpoint) handshake(ctx context.Context, u *upstream, alpn []string) *upstreamError {
	config, err := e.tlsConfig(alpn)
	if err != nil {
		return connectError(err, "TLS error: "+err.Error())
	}
	c := tls.Client(quick(u.conn), config)
	if err := c.HandshakeContext(ctx); err != nil {
		if ctx.Err() != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
			err = os.ErrDeadlineExceeded
		}
		f := upstreamFailure(err)
		e.countFailure(f)
		return connectError(err, f.text)
	}
	state := c.ConnectionState()
	u.conn, u.tls = c, &state
	u.peerID = peerOf(&state).Principal
	e.core.tls.Handshake(state.Version, state.CipherSuite, state.DidResume, len(state.PeerCertificates) > 0)
	return nil
}

func (e *endpoint) countFailure(f tlsFailure) {
	countTLS(e.core.tls, f.cause)
	p := e.core.proxy
	dest := e.workload
	dest.Principal = ""
	service := ServiceName{}
	if s := e.core.config.Services; len(s) > 0 {
		service = s[0]
	}
	p.countFailure(failure{reporter: metrics.Source, source: p.opt.Self, dest: dest, service: service, cause: f.cause, policy: e.core.config.Policy, original: e.address})
	p.log.Debug("handshake failed", "cluster", e.core.config.Name, "endpoint", e.address, "cause", f.cause)
}

// connectError puts an error of connecting into Envoy's words.
func connectError(err error, transport string) *upstreamError {
	out := &upstreamError{Flags: accesslog.UpstreamConnectionFailure, Reason: "connection failure", Transport: transport, err: err}
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
		out.Reason = "connection timeout"
	}
	return out
}

// tlsConfig gives the configuration for an ALPN list. Each endpoint remembers its own sessions: two replicas do not know
// each other's tickets.
func (e *endpoint) tlsConfig(alpn []string) (*tls.Config, error) {
	key := strings.Join(alpn, ",")
	e.mu.Lock()
	defer e.mu.Unlock()
	if c := e.configs[key]; c != nil {
		return c, nil
	}
	c, err := e.core.proxy.newClientTLS(e.socket.tls)
	if err != nil {
		return nil, err
	}
	if alpn != nil {
		c.NextProtos = alpn
	}
	e.configs[key] = c
	return c, nil
}

func keepAlive(k *KeepAlive) net.KeepAliveConfig {
	if k == nil {
		return net.KeepAliveConfig{Enable: true}
	}
	return net.KeepAliveConfig{Enable: true, Idle: k.Time, Interval: k.Interval, Count: k.Probes}
}

// outgoing says where to connect for an endpoint, and from which address.
func (c *Capture) outgoing(e *endpoint) (to netip.AddrPort, from net.Addr) {
	to = e.address
	if e.core.inbound {
		if c.Application.IsValid() && (to.Addr() == c.Source || to.Addr().IsLoopback()) {
			return netip.AddrPortFrom(c.Application, to.Port()), nil
		}
		if c.Transparent && e.core.config.BindSource.IsValid() {
			return to, net.TCPAddrFromAddrPort(netip.AddrPortFrom(e.core.config.BindSource, 0))
		}
		return to, nil
	}
	if c.Source.IsValid() && (!c.Source.IsLoopback() || to.Addr().IsLoopback()) {
		return to, net.TCPAddrFromAddrPort(netip.AddrPortFrom(c.Source, 0))
	}
	return to, nil
}
