package proxy

import (
	"container/list"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oarlock/oarlock/accesslog"
)

// A queue holds the requests of one cluster that have no connection. First come is first served: by a connection of the
// endpoint that was chosen for the request when it comes back, or by the place of one that was closed, of any endpoint.
//
// Whoever waits enters the queue before it looks for what is free, and whoever frees something looks at the queue
// afterwards. So one of the two sees the other, and nobody sleeps beside something free.
type queue struct {
	held   atomic.Int64 // requests that wait, or for which a connection is being made
	length atomic.Int64 // requests that wait

	mu    sync.Mutex // guards what follows; a pool's is taken inside
	all   list.List  // of *waiter
	lines map[lineKey]*list.List
}

// A line is the part of a queue that one pool can serve.
type lineKey struct {
	pool *pool
	kind alpnKind
}

// A waiter is a request in a queue.
type waiter struct {
	lineKey
	got           chan *upConn // one value: a connection, or nil for a place to make one
	inAll, inLine *list.Element
	granted       bool
}

// take takes a place among the connections; false where there is none.
func (c *clusterCore) take() bool {
	// Never above the limit, not even for a moment: another one who looks then would go to sleep.
	for {
		n := c.connections.Load()
		if n >= int64(c.limits.Connections) {
			return false
		}
		if c.connections.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// reserve takes a place for a connection of a pool. A pool without connections gets one always, as in Envoy: its requests
// would wait for those of other pools.
func (c *clusterCore) reserve(p *pool, kind alpnKind) bool {
	if c.take() {
		p.open[kind].Add(1)
		return true
	}
	if p.open[kind].CompareAndSwap(0, 1) {
		c.connections.Add(1)
		return true
	}
	return false
}

// unreserve gives a place back, and on to who waits for it.
func (c *clusterCore) unreserve(p *pool, kind alpnKind) {
	p.open[kind].Add(-1)
	c.connections.Add(-1)
	c.serve(lineKey{p, kind})
}

// enter puts a request that needs a connection into the queue.
func (c *clusterCore) enter(at lineKey) *waiter {
	q := &c.queue
	w := &waiter{lineKey: at, got: make(chan *upConn, 1)}
	q.mu.Lock()
	line := q.lines[at]
	if line == nil {
		if q.lines == nil {
			q.lines = map[lineKey]*list.List{}
		}
		line = list.New()
		q.lines[at] = line
	}
	w.inAll, w.inLine = q.all.PushBack(w), line.PushBack(w)
	at.pool.wanted[at.kind].Add(1)
	q.length.Add(1)
	q.mu.Unlock()
	c.serve(at)
	return w
}

// serve hands out what is free: connections of a pool to its line, the places of others to whoever came first. It is to be
// called after something became free, or somebody came.
func (c *clusterCore) serve(at lineKey) {
	q := &c.queue
	if q.length.Load() == 0 {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for line := q.lines[at]; line != nil && line.Len() > 0; {
		conn := at.pool.pop(at.kind)
		if conn == nil && (at.pool.open[at.kind].Load() > 0 || !c.reserve(at.pool, at.kind)) {
			break
		}
		q.grant(line.Front().Value.(*waiter), conn)
	}
	for first := q.all.Front(); first != nil; first = q.all.Front() {
		w := first.Value.(*waiter)
		if !c.reserve(w.pool, w.kind) {
			return
		}
		q.grant(w, nil)
	}
}

func (q *queue) grant(w *waiter, conn *upConn) {
	q.remove(w)
	w.granted = true
	w.got <- conn
}

func (q *queue) remove(w *waiter) {
	q.all.Remove(w.inAll)
	line := q.lines[w.lineKey]
	if line.Remove(w.inLine); line.Len() == 0 {
		delete(q.lines, w.lineKey)
	}
	w.pool.wanted[w.kind].Add(-1)
	q.length.Add(-1)
}

// leave ends the wait of one who got nothing, as far as it knows.
func (c *clusterCore) leave(w *waiter) {
	q := &c.queue
	q.mu.Lock()
	granted := w.granted
	if !granted {
		q.remove(w)
	}
	q.mu.Unlock()
	if granted {
		c.giveBack(w, <-w.got)
	}
}

// giveBack returns what a waiter was granted and does not need.
func (c *clusterCore) giveBack(w *waiter, conn *upConn) {
	if conn == nil {
		c.unreserve(w.pool, w.kind)
		return
	}
	w.pool.put(conn, time.Now())
}

func overflow() *failedTry {
	return &failedTry{code: 503, flags: accesslog.UpstreamOverflow, reason: "overflow"}
}

// obtain makes a connection, or waits for one where the cluster has all that it may have. Where as many requests as may are
// without a connection already, this one fails.
func (x *exchange) obtain(kind alpnKind) *failedTry {
	e, core := x.endpoint, x.endpoint.core
	if core.queue.held.Add(1) > int64(core.limits.Pending) {
		core.queue.held.Add(-1)
		core.stats.PendingOverflow.Inc()
		return overflow()
	}
	core.stats.Pending.Add(1)
	defer func() {
		core.queue.held.Add(-1)
		core.stats.Pending.Add(-1)
	}()
	if core.queue.length.Load() > 0 || !core.reserve(e.pool, kind) {
		core.stats.ConnectionOverflow.Inc()
		if fail := x.wait(kind); fail != nil || x.up != nil {
			return fail
		}
	}
	u, err := e.dialReserved(x.c.proxy.ctx, kind)
	if err != nil {
		x.now = time.Now()
		x.c.proxy.log.Debug("connect upstream", "cluster", x.name, "endpoint", e.address, "err", err)
		return &failedTry{code: 503, flags: err.Flags, reason: err.Reason, transport: err.Transport,
			retry: RetryConnectFailure | RetryBeforeRequest | Retry5xx | RetryGatewayError}
	}
	x.up = newUpConn(u, kind)
	x.up.uses = 1
	base := u.endpoint.workload
	base.Principal = u.peerID
	x.up.peer = x.c.peers.intern(base, nil)
	return nil
}

// wait waits in the queue. It sets the connection that it got; without one and without failure there is a place for one.
func (x *exchange) wait(kind alpnKind) *failedTry {
	e, core := x.endpoint, x.endpoint.core
	x.wrote = false // in this attempt, should it fail here
	// A request counts against Limits.Requests while it has a connection, for balancing all the time.
	core.requests.Add(-1)
	e.busy.Add(1)
	w := core.enter(lineKey{e.pool, kind})
	conn, err := x.awaitTurn(w)
	e.busy.Add(-1)
	tooMany := core.requests.Add(1) > int64(core.limits.Requests)
	x.now = time.Now()
	switch {
	case err != nil:
		core.leave(w)
		return x.lost(err, false, nil)
	case tooMany:
		core.giveBack(w, conn)
		core.stats.PendingOverflow.Inc()
		return overflow()
	case conn == nil:
		return nil
	case usable(conn.conn):
		x.up = conn
		conn.uses++
		return nil
	}
	// Its place goes to the next connection before it is free for others.
	core.connections.Add(1)
	e.pool.open[kind].Add(1)
	conn.close()
	return nil
}

// awaitTurn waits until something is granted, the request is too late, or nobody wants its response any more.
func (x *exchange) awaitTurn(w *waiter) (*upConn, error) {
	x.now = time.Now()
	x.moved, x.deadline = x.now, time.Time{}
	if d := x.route.Timeout; d > 0 && x.body.over() {
		x.deadline = x.start.Add(d)
	}
	timer := time.NewTimer(x.glanceTime())
	defer timer.Stop()
	for {
		select {
		case conn := <-w.got:
			return conn, nil
		case <-x.c.proxy.ctx.Done():
			return nil, errClientGone
		case <-timer.C:
		}
		if err := x.overdue(); err != nil {
			return nil, err
		}
		timer.Reset(x.glanceTime())
	}
}

// glanceTime is how long to sleep before the next look at the time and the client.
func (x *exchange) glanceTime() time.Duration {
	d := glance
	if idle := x.idleTime(); idle > 0 {
		d = min(d, idle)
	}
	if !x.deadline.IsZero() {
		d = min(d, x.deadline.Sub(x.now))
	}
	return max(d, 0)
}
