package proxy

import (
	"context"
	"net"
	"time"

	"github.com/oarlock/oarlock/accesslog"
	"github.com/oarlock/oarlock/metrics"
)

// A tcpProxy is a TCPProxy in force.
type tcpProxy struct {
	config *TCPProxy
	logs   accessLogs
	idle   time.Duration
}

func newTCPProxy(p *Proxy, c *TCPProxy) (*tcpProxy, error) {
	out := &tcpProxy{config: c, logs: p.openLogs(c.AccessLog), idle: c.IdleTimeout}
	if out.idle == 0 {
		out.idle = DefaultTCPIdleTimeout
	}
	return out, nil
}

// connectAttempts is how many endpoints a connection tries, at most.
const connectAttempts = 3

// serve carries the connection to its end.
func (t *tcpProxy) serve(d *downstream) {
	d.begin()
	d.carry(t, chooseCluster(t.config.Clusters))
}

// carry connects to an endpoint of a cluster and copies bytes both ways.
func (d *downstream) carry(t *tcpProxy, name string) {
	x := &transfer{downstream: d, tcp: t, cluster: d.proxy.state.Load().clusters[name], clusterName: name}
	x.connect()
	if x.up == nil {
		if x.cluster != nil && name == blackHoleCluster {
			x.openSeries()
			x.closeSeries()
		}
		x.finish()
		return
	}
	defer x.up.close()
	if !x.exchangePeers() {
		x.finish()
		return
	}
	x.openSeries()
	x.copy()
	x.closeSeries()
	x.finish()
}

// A transfer is one connection that is carried.
type transfer struct {
	*downstream
	tcp         *tcpProxy
	cluster     *cluster
	clusterName string
	up          *upstream
	upPeer      Peer
	series      *metrics.Connection // nil: it is not counted

	flags            accesslog.Flags
	failure          string
	attempts         int
	received, sent   int64
	terminated, note string
}

// connect tries endpoints until one is connected.
func (x *transfer) connect() {
	if x.cluster == nil {
		x.flags, x.note = accesslog.NoClusterFound, "cluster_not_found"
		return
	}
	var tried []*endpoint
	for x.attempts < connectAttempts {
		e := x.cluster.pick(x.original, tried)
		if e == nil {
			x.flags |= accesslog.NoHealthyUpstream
			x.cluster.core.stats.NoHealthy.Inc()
			return
		}
		x.attempts++
		ctx, cancel := context.WithCancel(x.proxy.ctx)
		u, err := e.dialStream(ctx)
		cancel()
		if err == nil {
			x.up, x.upPeer = u, e.workload
			x.upPeer.Principal = u.peerID
			x.flags, x.failure = 0, ""
			return
		}
		x.flags |= err.Flags
		x.failure = err.Transport
		x.proxy.log.Debug("connect upstream", "cluster", x.clusterName, "endpoint", e.address, "err", err)
		if err.Flags&accesslog.UpstreamOverflow != 0 {
			return // the limit is the cluster's
		}
		if len(*x.cluster.members.Load()) <= len(tried)+1 {
			return
		}
		tried = append(tried, e)
	}
	x.flags |= accesslog.UpstreamRetryLimitExceeded
}

// labels are those of the connection's series.
func (x *transfer) labels() metrics.Labels {
	l := metrics.Labels{Protocol: "tcp", Flags: x.flags.String(), Service: x.cluster.service(), Policy: x.chain.Policy}
	if x.direction() == Inbound {
		l.Reporter, l.Source, l.Destination, l.Security = metrics.Destination, x.peer, x.proxy.opt.Self, x.security()
		if l.Security == metrics.SecurityMutualTLS {
			l.Destination.Principal = x.proxy.opt.Self.Principal
		}
		return l
	}
	l.Reporter, l.Source, l.Destination = metrics.Source, x.proxy.opt.Self, x.upPeer
	l.Policy, l.Port = x.cluster.config.Policy, x.original.Port()
	l.Security = x.up.security()
	return l
}

func (x *transfer) openSeries() {
	if !x.uncounted {
		x.series = x.proxy.opt.Series.Connection(x.labels()).Open()
	}
}

func (x *transfer) closeSeries() {
	if x.series != nil {
		x.series.Close()
	}
}

// finish writes the log line, and ends the client's connection the way the upstream's ended.
func (x *transfer) finish() {
	if len(x.tcp.logs) == 0 || x.uncounted {
		return
	}
	r := x.record(time.Now())
	r.Flags, r.UpstreamCluster, r.UpstreamTransportFailure = x.flags, x.clusterName, x.failure
	r.BytesReceived, r.BytesSent, r.UpstreamAttempts = x.received, x.sent, int64(x.attempts)
	r.TerminationDetails, r.CodeDetails = x.terminated, x.note
	if x.up != nil {
		r.UpstreamHost, r.UpstreamLocalAddress = x.up.remote.String(), x.up.local.String()
		if x.up.tls != nil {
			r.Upstream = tlsRecord(x.up.tls)
		}
	}
	if x.tls != nil {
		r.Downstream.LocalURISAN = x.proxy.opt.Self.Principal
	}
	x.tcp.logs.write(&r)
}

// copy carries bytes until both sides have ended, one has failed, or nothing moves for too long.
func (x *transfer) copy() {
	p := &pipe{a: x.conn, b: x.up.conn, idle: x.tcp.idle, done: x.proxy.ctx.Done()}
	p.count = func(fromA, fromB int64) {
		if x.series != nil {
			x.series.Received(fromA)
			x.series.Sent(fromB)
		}
	}
	p.run()
	x.received, x.sent = p.fromA.Load(), p.fromB.Load()
	switch {
	case p.timedOut.Load():
		x.flags |= accesslog.StreamIdleTimeout
		x.terminated = "idle_timeout"
	case p.errB != nil && x.sent == 0:
		if f, ok := remoteAlert(p.errB); ok {
			x.failure = f.text
			x.up.endpoint.countFailure(f)
		}
		x.flags |= accesslog.UpstreamConnectionTermination
	case p.errB != nil:
		x.flags |= accesslog.UpstreamConnectionTermination
	case p.errA != nil:
		x.flags |= accesslog.DownstreamConnectionTermination
	}
	if p.errA != nil || p.errB != nil {
		reset(x.conn)
		reset(x.up.conn)
	}
}

// reset closes a connection so that the other side learns that bytes may be missing: TLS gets no chance to say goodbye.
func reset(c net.Conn) {
	if t, ok := tcpBeneath(c); ok {
		t.SetLinger(0)
		t.Close()
	}
}
