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

	mu          sync.Mutex // guards the maps, not what they lead to
	requests    map[Labels]*Request
	connections map[Labels]*Connection
	failures    map[Failure]*failure
	http        shared[Labels, httpSeries]
	tcp         shared[Labels, tcpSeries]
	known       shared[known, knownSeries]
	listeners   map[string]*TLSStats
	clusters    map[string]*TLSStats
	downstreams map[string]*Downstream
	upstreams   map[string]*Upstream
	overflow    [kinds]Counter
	version     uint64 // grows with what a sweep finds counted, and with each set of labels that comes or goes

	xds     func() XDSStatus // nil: there is no control plane
	svid    SVID
	lasting lasting
	prom    *prometheus.Registry
	page    flowsPage
	desc    map[string]*prometheus.Desc // by name of the series
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
		http:        shared[Labels, httpSeries]{},
		tcp:         shared[Labels, tcpSeries]{},
		known:       shared[known, knownSeries]{},
		listeners:   map[string]*TLSStats{},
		clusters:    map[string]*TLSStats{},
		downstreams: map[string]*Downstream{},
		upstreams:   map[string]*Upstream{},
		desc:        map[string]*prometheus.Desc{},
	}
	for _, s := range allSeries {
		r.desc[s.name] = prometheus.NewDesc(s.name, s.help, s.labels, nil)
	}
	r.prom = prometheus.NewRegistry()
	r.prom.MustRegister(r)
	r.page.prom = prometheus.NewRegistry()
	r.page.prom.MustRegister(flowsCollector{r})
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

// use remembers whether somebody counted, so that what nobody counts on can be dropped.
type use struct {
	gone atomic.Bool // dropped; set and cleared under the registry's lock
	used atomic.Bool
	seen time.Time // when the sweeper last found it used, under the registry's lock
}

// touch says that it is used: before something is counted, so that it is not dropped meanwhile, and after, so that a sweep
// that saw the old value is not the last to find it used. It seldom writes, so that processors do not wait for each other.
func (u *use) touch() {
	if !u.used.Load() {
		u.used.Store(true)
	}
}

// idle is for the sweeper; the registry's lock is held.
func (r *Registry) idle(u *use, now time.Time) bool {
	if u.used.Swap(false) {
		u.seen = now
		r.version++
	}
	return r.opt.Idle > 0 && now.Sub(u.seen) > r.opt.Idle
}

// Request gives the series of some labels; the same labels give the same series as long as somebody counts on it. Past
// Options.MaxSeries it is one of the few overflow series, which keep reporter, protocol, security and the first digit of
// the code.
//
// It takes a lock and hashes every label: keep the result per connection or route. It may be kept for good.
func (r *Registry) Request(l Labels) *Request {
	l = r.complete(l)
	r.mu.Lock()
	defer r.mu.Unlock()
	if q := r.requests[l]; q != nil {
		q.touch()
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
	q := &Request{registry: r, labels: l}
	r.addRequest(q)
	return q
}

func (r *Registry) addRequest(q *Request) {
	q.http, q.known = r.http.hold(q.labels.istio()), r.known.hold(q.labels.known())
	q.seen = time.Now()
	r.requests[q.labels] = q
	r.version++
	q.gone.Store(false)
}

// Request counts the requests of one set of labels. Several share a series where a series does not have all labels.
type Request struct {
	use
	registry *Registry
	labels   Labels

	// Both are set under the registry's lock before gone becomes false, and stay until it is true.
	http  *httpSeries
	known *knownSeries
}

// httpSeries are Istio's for requests. How many they were is the count of each histogram.
type httpSeries struct {
	duration histogram // nanoseconds
	request  histogram // bytes
	response histogram // bytes
}

// Observe counts one request: its duration from the first byte of the request to the last of the response, and the bytes
// of both bodies. It neither allocates nor waits.
func (q *Request) Observe(d time.Duration, requestBytes, responseBytes int64) {
	if q.gone.Load() {
		q = q.registry.reviveRequest(q)
	}
	q.touch()
	q.http.duration.observe(max(int64(d), 0), durationBounds)
	q.http.request.observe(max(requestBytes, 0), sizeBounds)
	q.http.response.observe(max(responseBytes, 0), sizeBounds)
	q.known.requests.Inc()
	q.touch()
}

// reviveRequest gives the series in place of one that was swept out while somebody held it: whatever took its place, or
// a new one. The old one is never brought back, since another goroutine may be reading it.
func (r *Registry) reviveRequest(q *Request) *Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.requests[q.labels]
	if now == nil {
		now = &Request{registry: r, labels: q.labels}
		r.addRequest(now)
	}
	return now
}

// Connection gives the series of some labels, as Request does.
func (r *Registry) Connection(l Labels) *Connection {
	l = r.complete(l)
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.connections[l]; c != nil {
		c.touch()
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
	c := &Connection{registry: r, labels: l}
	r.addConnection(c)
	return c
}

func (r *Registry) addConnection(c *Connection) {
	c.tcp, c.known = r.tcp.hold(c.labels.istio()), r.known.hold(c.labels.known())
	c.seen = time.Now()
	r.connections[c.labels] = c
	r.version++
	c.gone.Store(false)
}

// Connection counts the TCP connections of one set of labels.
type Connection struct {
	use
	registry *Registry
	labels   Labels
	open     atomic.Int64

	tcp   *tcpSeries // as in Request
	known *knownSeries
}

// tcpSeries are Istio's for connections.
type tcpSeries struct{ opened, closed, received, sent Counter }

// Open counts a connection that begins, and gives the Connection to count the rest of it on, which is not swept out
// before its Close: c itself, unless it was idle for long.
func (c *Connection) Open() *Connection {
	c = c.live()
	c.open.Add(1)
	c.touch()
	c.tcp.opened.Inc()
	c.known.connections.Inc()
	c.touch()
	return c
}

// Close counts a connection that ends.
func (c *Connection) Close() {
	c = c.live()
	c.open.Add(-1)
	c.touch()
	c.tcp.closed.Inc()
}

// Received counts bytes from the client.
func (c *Connection) Received(n int64) {
	c = c.live()
	c.tcp.received.Add(uint64(max(n, 0)))
	c.touch()
}

// Sent counts bytes to the client.
func (c *Connection) Sent(n int64) {
	c = c.live()
	c.tcp.sent.Add(uint64(max(n, 0)))
	c.touch()
}

func (c *Connection) live() *Connection {
	if !c.gone.Load() {
		return c
	}
	r := c.registry
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.connections[c.labels]
	if now == nil {
		now = &Connection{registry: r, labels: c.labels}
		r.addConnection(now)
	}
	return now
}
