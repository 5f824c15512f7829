package metrics

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Options adjusts a Registry; the zero value is what a sidecar wants.
type Options struct {
	// Version is the program's, for oarlock_build_info; IstioVersion that of the mesh, for istio_build.
	Version, IstioVersion string
	// MaxSeries bounds each set of labels that peers have a say in; zero is [DefaultMaxSeries].
	MaxSeries int
	// Idle is how long a set of labels that nobody counts on is kept; zero is [DefaultIdle], negative for good.
	Idle time.Duration
}

// What an Options field means when it is zero.
const (
	DefaultMaxSeries = 1000
	DefaultIdle      = time.Hour
)

// Registry counts for one sidecar. All of its methods may be called at once.
type Registry struct {
	own Peer
	opt Options

	mu          sync.Mutex
	requests    map[Labels]*Request
	connections map[Labels]*Connection
	failures    map[Failure]*failure
	known       map[known]*knownSeries
	listeners   map[string]*TLSStats
	clusters    map[string]*TLSStats
	downstreams map[string]*Downstream
	upstreams   map[string]*Upstream
	overflow    [kinds]Counter

	xds  XDS
	svid SVID
	prom *prometheus.Registry
}

// NewRegistry makes a registry for the sidecar of one workload. Own stands for the reporter's side of Labels and Failures
// where that is zero.
func NewRegistry(own Peer, opt Options) *Registry {
	if opt.MaxSeries == 0 {
		opt.MaxSeries = DefaultMaxSeries
	}
	if opt.Idle == 0 {
		opt.Idle = DefaultIdle
	}
	r := &Registry{
		own: own, opt: opt,
		requests:    map[Labels]*Request{},
		connections: map[Labels]*Connection{},
		failures:    map[Failure]*failure{},
		known:       map[known]*knownSeries{},
		listeners:   map[string]*TLSStats{},
		clusters:    map[string]*TLSStats{},
		downstreams: map[string]*Downstream{},
		upstreams:   map[string]*Upstream{},
	}
	r.xds.types = map[string]*xdsType{}
	r.prom = prometheus.NewPedanticRegistry()
	r.prom.MustRegister(r)
	return r
}

// Counter only grows.
type Counter struct{ n atomic.Uint64 }

// Inc adds one.
func (c *Counter) Inc() { c.n.Add(1) }

// Add adds n.
func (c *Counter) Add(n uint64) { c.n.Add(n) }

// Value gives the count.
func (c *Counter) Value() uint64 { return c.n.Load() }

// Gauge grows and shrinks.
type Gauge struct{ n atomic.Int64 }

// Add adds n, which may be negative.
func (g *Gauge) Add(n int64) { g.n.Add(n) }

// Set sets the value.
func (g *Gauge) Set(n int64) { g.n.Store(n) }

// Value gives the value.
func (g *Gauge) Value() int64 { return g.n.Load() }

// Request gives the series of some labels; the same labels give the same series as long as somebody counts on it. Past
// Options.MaxSeries it is one of the few overflow series, which keep reporter, protocol and the first digit of the code.
//
// It takes a lock and hashes every label: keep the result per connection or route.
func (r *Registry) Request(l Labels) *Request {
	l = r.complete(l)
	r.mu.Lock()
	defer r.mu.Unlock()
	if q := r.requests[l]; q != nil {
		return q
	}
	if len(r.requests) >= r.opt.MaxSeries {
		r.sweepRequests(time.Now())
	}
	if len(r.requests) >= r.opt.MaxSeries {
		r.overflow[kindRequests].Inc()
		l = l.overflow()
		if q := r.requests[l]; q != nil {
			return q
		}
	}
	q := &Request{registry: r, labels: l, seen: time.Now()}
	r.addRequest(q)
	return q
}

func (r *Registry) addRequest(q *Request) {
	q.known = r.holdKnown(q.labels)
	r.requests[q.labels] = q
	q.gone.Store(false)
}

// Request counts the requests of one set of labels.
type Request struct {
	registry *Registry
	labels   Labels

	// known is set when the series is made or comes back, under the registry's lock, and not while gone is false.
	known *knownSeries
	gone  atomic.Bool // swept out: whoever still holds it brings it back

	duration histogram // nanoseconds
	request  histogram // bytes
	response histogram // bytes

	// Of the sweeper, under the registry's lock.
	last uint64
	seen time.Time
}

// Observe counts one request: its duration from the first byte of the request to the last of the response, and the bytes
// of both bodies. It neither allocates nor waits.
func (q *Request) Observe(d time.Duration, requestBytes, responseBytes int64) {
	if q.gone.Load() {
		q = q.registry.revive(q)
	}
	q.duration.observe(max(int64(d), 0), &durationBounds)
	q.request.observe(max(requestBytes, 0), &sizeBounds)
	q.response.observe(max(responseBytes, 0), &sizeBounds)
	q.known.requests.n.Add(1)
}

// revive brings back a series that was swept out while somebody held it.
func (r *Registry) revive(q *Request) *Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := r.requests[q.labels]; now != nil {
		return now
	}
	r.addRequest(q)
	q.seen = time.Now()
	return q
}

// Connection gives the series of some labels, as Request does.
func (r *Registry) Connection(l Labels) *Connection {
	l = r.complete(l)
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.connections[l]; c != nil {
		return c
	}
	if len(r.connections) >= r.opt.MaxSeries {
		r.sweepConnections(time.Now())
	}
	if len(r.connections) >= r.opt.MaxSeries {
		r.overflow[kindConnections].Inc()
		l = l.overflow()
		if c := r.connections[l]; c != nil {
			return c
		}
	}
	c := &Connection{registry: r, labels: l, seen: time.Now()}
	r.addConnection(c)
	return c
}

func (r *Registry) addConnection(c *Connection) {
	c.known = r.holdKnown(c.labels)
	r.connections[c.labels] = c
	c.gone.Store(false)
}

// Connection counts the TCP connections of one set of labels.
type Connection struct {
	registry *Registry
	labels   Labels

	known *knownSeries // as in Request
	gone  atomic.Bool

	opened, closed, received, sent Counter

	last uint64
	seen time.Time
}

// Open counts a connection that begins. A series with open connections is never swept out.
func (c *Connection) Open() {
	c = c.live()
	c.opened.Inc()
	c.known.connections.Inc()
}

// Close counts a connection that ends; call it on the Connection whose Open was called.
func (c *Connection) Close() { c.live().closed.Inc() }

// Received counts bytes from the client.
func (c *Connection) Received(n int64) { c.live().received.Add(uint64(max(n, 0))) }

// Sent counts bytes to the client.
func (c *Connection) Sent(n int64) { c.live().sent.Add(uint64(max(n, 0))) }

func (c *Connection) live() *Connection {
	if !c.gone.Load() {
		return c
	}
	r := c.registry
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := r.connections[c.labels]; now != nil {
		return now
	}
	r.addConnection(c)
	c.seen = time.Now()
	return c
}
