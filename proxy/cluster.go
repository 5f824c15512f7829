package proxy

import (
	"context"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oarlock/oarlock/metrics"
)

// A cluster is a Cluster in force. Two that differ only in endpoints share their core, so that connections, breakers and
// counts go on.
type cluster struct {
	config *Cluster
	core   *clusterCore
	// members are the endpoints of the moment; for DNS they come with the answers.
	members atomic.Pointer[[]*endpoint]
	turn    atomic.Uint32 // of round robin

	mu       sync.Mutex // guards what follows
	original map[netip.AddrPort]*endpoint
	retired  bool // not in force any more: what a late request brings is closed after it

	cancel context.CancelFunc // of the DNS loop; nil without one
}

// clusterCore is what clusters have in common that differ only in endpoints.
type clusterCore struct {
	proxy   *Proxy
	config  *Cluster
	inbound bool // leads to the application
	sockets []socket
	limits  Limits

	connections, requests, retries atomic.Int64
	queue                          queue

	stats *metrics.Upstream
	tls   *metrics.TLSStats
}

// A socket is a transport socket in force.
type socket struct {
	name   string
	labels map[string]string
	tls    *ClientTLS // nil: plaintext
}

// defaultLimit and defaultRetries are Envoy's circuit breakers.
const (
	defaultLimit   = 1024
	defaultRetries = 3
)

// maxOriginal bounds the endpoints of an original destination cluster; those not in use are forgotten first.
const maxOriginal = 4096

func (p *Proxy) compileCluster(c *Cluster, old *cluster) (*cluster, error) {
	if old != nil && (old.config == c || reflect.DeepEqual(old.config, c)) {
		return old, nil
	}
	out := &cluster{config: c, original: map[netip.AddrPort]*endpoint{}}
	if old != nil && sameBut(old.config, c) {
		out.core = old.core
	} else {
		core, err := p.newCore(c)
		if err != nil {
			return nil, err
		}
		out.core = core
	}
	var members, before []*endpoint
	if old != nil && old.core == out.core {
		before = *old.members.Load()
	}
	switch {
	case c.Discovery == Static || c.Discovery == EDS:
		for i := range c.Endpoints {
			members = append(members, out.member(&c.Endpoints[i], c.Endpoints[i].Address, before))
		}
	default:
		members = before // until the names are looked up
	}
	out.members.Store(&members)
	return out, nil
}

// sameBut says whether two clusters differ in nothing but endpoints.
func sameBut(a, b *Cluster) bool {
	x, y := *a, *b
	x.Endpoints, y.Endpoints = nil, nil
	return reflect.DeepEqual(x, y)
}

func (p *Proxy) newCore(c *Cluster) (*clusterCore, error) {
	core := &clusterCore{
		proxy: p, config: c, limits: c.Limits,
		inbound: strings.HasPrefix(c.Name, "inbound|") || c.Name == "InboundPassthroughCluster" || strings.HasPrefix(c.Name, "InboundPassthroughClusterIpv"),
		stats:   p.opt.Series.Upstream(c.Name), tls: p.opt.Series.Cluster(c.Name),
	}
	for _, l := range []*uint32{&core.limits.Connections, &core.limits.Pending, &core.limits.Requests} {
		if *l == 0 {
			*l = defaultLimit
		}
	}
	if core.limits.Retries == 0 {
		core.limits.Retries = defaultRetries
	}
	for _, m := range c.Sockets {
		core.sockets = append(core.sockets, socket{m.Name, m.Labels, m.TLS})
	}
	core.sockets = append(core.sockets, socket{name: "default", tls: c.TLS})
	for _, s := range core.sockets {
		if s.tls == nil {
			continue
		}
		if _, err := p.newClientTLS(s.tls); err != nil {
			return nil, fmt.Errorf("transport socket %q: %w", s.name, err)
		}
	}
	return core, nil
}

// member gives the running endpoint for a configured one: one of those before, where it is the same.
func (c *cluster) member(e *Endpoint, at netip.AddrPort, before []*endpoint) *endpoint {
	for _, have := range before {
		if have.address == at {
			if out := have.as(e); out != nil {
				return out
			}
		}
	}
	return newEndpoint(c.core, e, at)
}

// closeBut closes endpoints, but for those that go on in others.
func closeBut(old, next []*endpoint) {
	kept := make(map[*backend]bool, len(next))
	for _, e := range next {
		kept[e.backend] = true
	}
	for _, e := range old {
		if !kept[e.backend] {
			e.close()
		}
	}
}

// start begins what the clusters of a state do by themselves, and ends what only the state before needed.
func (s *state) start(old *state) {
	for name, c := range s.clusters {
		if old.clusters[name] == c {
			continue
		}
		if c.config.Discovery == StrictDNS || c.config.Discovery == LogicalDNS {
			c.resolve()
		}
	}
}

// abandon undoes what compiling began.
func (s *state) abandon(old *state) {
	for name, c := range s.clusters {
		if before := old.clusters[name]; before != c {
			c.retire(before)
		}
	}
}

// retire ends a cluster that is not in force any more. Endpoints that next goes on with stay.
func (c *cluster) retire(next *cluster) {
	if c.cancel != nil {
		c.cancel()
	}
	var kept []*endpoint
	if next != nil {
		kept = *next.members.Load()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.retired = true
	closeBut(*c.members.Load(), kept)
	for _, e := range c.original {
		e.close()
	}
}

func (c *cluster) close() { c.retire(nil) }

// pick chooses an endpoint; nil where none is healthy. tried are avoided where there is another.
func (c *cluster) pick(original netip.AddrPort, tried []*endpoint) *endpoint {
	if c.config.Discovery == OriginalDst {
		return c.originalEndpoint(original)
	}
	return c.balance(*c.members.Load(), tried)
}

// originalEndpoint makes an endpoint of the destination that the client meant.
func (c *cluster) originalEndpoint(at netip.AddrPort) *endpoint {
	// Nobody lives at the unspecified address, and the kernel would take it for loopback.
	if !at.IsValid() || at.Port() == 0 || at.Addr().IsUnspecified() {
		return nil
	}
	if c.config.OriginalPort != 0 {
		at = netip.AddrPortFrom(at.Addr(), c.config.OriginalPort)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.original[at]; e != nil {
		e.used.Store(time.Now().UnixNano())
		return e
	}
	e := newEndpoint(c.core, &Endpoint{Address: at}, at)
	if c.retired {
		e.close()
		return e
	}
	if len(c.original) >= maxOriginal {
		c.forget()
	}
	e.used.Store(time.Now().UnixNano())
	c.original[at] = e
	return e
}

// forget drops half of the original destinations, those without connections.
func (c *cluster) forget() {
	left := len(c.original) / 2
	for at, e := range c.original {
		if left == 0 {
			return
		}
		if e.active.Load() == 0 {
			e.close()
			delete(c.original, at)
			left--
		}
	}
}

// requestStart takes a place among the requests; false where the circuit breaker is open.
func (c *cluster) requestStart() bool {
	if c.core.requests.Add(1) > int64(c.core.limits.Requests) {
		c.core.requests.Add(-1)
		c.core.stats.PendingOverflow.Inc()
		return false
	}
	c.core.stats.Requests.Inc()
	return true
}

func (c *cluster) requestEnd() { c.core.requests.Add(-1) }

// retryStart takes a place among the retries.
func (c *cluster) retryStart() bool {
	if c.core.retries.Add(1) > int64(c.core.limits.Retries) {
		c.core.retries.Add(-1)
		c.core.stats.RetryOverflow.Inc()
		return false
	}
	c.core.stats.Retries.Inc()
	return true
}

func (c *cluster) retryEnd() { c.core.retries.Add(-1) }

// service is the cluster's first service, for labels. Traffic that goes to no service counts under the cluster's name, as
// with Istio.
func (c *cluster) service() ServiceName {
	switch {
	case len(c.config.Services) > 0:
		return c.config.Services[0]
	case c.config.Name == passthroughCluster, c.config.Name == blackHoleCluster:
		return ServiceName{Name: c.config.Name}
	}
	return ServiceName{}
}

// What Istio calls the clusters for destinations that are in no registry, and the virtual host that refuses them.
const (
	passthroughCluster = "PassthroughCluster"
	blackHoleCluster   = "BlackHoleCluster"
	blockAllHost       = "block_all"
)
