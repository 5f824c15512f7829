package proxy

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"sync/atomic"
	"time"
)

// A listener is a Listener in force.
type listener struct {
	*Listener
	proxy    *Proxy
	chains   []*chain
	fallback *chain
	index    *chainIndex
	logs     accessLogs
	stats    listenerStats
}

// A chain is a FilterChain in force. It outlives its Listener where a new one has an equal chain, so that connections on it
// are not drained by a change elsewhere.
type chain struct {
	*FilterChain
	listener *listener // of the Config that brought it
	tls      *serverTLS
	http     *httpManager
	tcp      *tcpProxy
	retired  atomic.Bool // no longer in force: connections shall end
}

// Apply puts a Config in force as a whole, or not at all: then the error says what is wrong, and the old one stays.
// Listeners that are new are bound before anything changes. Connections on filter chains that are gone finish what they do
// and are closed after Options.DrainTime.
func (p *Proxy) Apply(c *Config) error {
	p.applying.Lock()
	defer p.applying.Unlock()
	if p.ctx.Err() != nil || p.draining.Load() {
		return fmt.Errorf("apply config: the proxy is closing")
	}
	old := p.state.Load()
	next, err := p.compile(c, old)
	if err != nil {
		return fmt.Errorf("apply config: %w", err)
	}
	bound := sameSockets(old, next)
	if !bound {
		if err := p.bind(next); err != nil {
			next.abandon(old)
			return fmt.Errorf("apply config: %w", err)
		}
	}
	p.state.Store(next)
	next.start(old)
	if !bound {
		p.closeDoors(next)
	}
	p.retire(old, next)
	return nil
}

// sameSockets says that two states differ in nothing of their listeners but chains and how one is chosen: what listens for
// the one listens for the other.
func sameSockets(old, next *state) bool {
	return len(old.listeners) > 0 && slices.EqualFunc(old.listeners, next.listeners, func(a, b *listener) bool {
		if a.Listener == b.Listener {
			return true
		}
		x, y := *a.Listener, *b.Listener
		for _, l := range []*Listener{&x, &y} {
			l.Chains, l.Default, l.AccessLog, l.InspectTLS, l.InspectHTTP = nil, nil, nil, Ports{}, Ports{}
		}
		return reflect.DeepEqual(&x, &y)
	})
}

func (p *Proxy) compile(c *Config, old *state) (*state, error) {
	next := &state{config: c, byAddress: make(map[netip.AddrPort]*listener, len(c.Listeners)), clusters: old.clusters, tables: old.tables}
	if !slices.Equal(c.Routes, old.config.Routes) || next.tables == nil {
		next.tables = make(map[string]*routes, len(c.Routes))
		for _, t := range c.Routes {
			r, err := reuseRoutes(old, t)
			if err != nil {
				return nil, fmt.Errorf("routes %q: %w", t.Name, err)
			}
			next.tables[t.Name] = r
		}
	}
	for _, l := range c.Listeners {
		in, err := p.compileListener(l, old)
		if err != nil {
			return nil, fmt.Errorf("listener %q: %w", l.Name, err)
		}
		next.add(in)
	}
	if slices.Equal(c.Clusters, old.config.Clusters) && next.clusters != nil {
		return next, nil
	}
	next.clusters = make(map[string]*cluster, len(c.Clusters))
	for _, cl := range c.Clusters {
		in, err := p.compileCluster(cl, old.clusters[cl.Name])
		if err != nil {
			next.abandon(old)
			return nil, fmt.Errorf("cluster %q: %w", cl.Name, err)
		}
		next.clusters[cl.Name] = in
	}
	return next, nil
}

func reuseRoutes(old *state, t *RouteTable) (*routes, error) {
	if r := old.tables[t.Name]; r != nil && (r.table == t || reflect.DeepEqual(r.table, t)) {
		return r, nil
	}
	return newRoutes(t)
}

// add enters a listener in the indexes. Of two with one address the first counts.
func (s *state) add(l *listener) {
	s.listeners = append(s.listeners, l)
	if l.Direction == Inbound && l.OriginalDst && s.inbound == nil {
		s.inbound = l
		return
	}
	if l.UseOriginalDst && s.outbound == nil {
		s.outbound = l
		return
	}
	if _, ok := s.byAddress[l.Address]; !ok {
		s.byAddress[l.Address] = l
	}
}

// find gives the listener for an original destination: of this address, of any address with this port, or nil.
func (s *state) find(original netip.AddrPort) *listener {
	if l := s.byAddress[original]; l != nil {
		return l
	}
	if l := s.byAddress[netip.AddrPortFrom(netip.IPv4Unspecified(), original.Port())]; l != nil {
		return l
	}
	return s.byAddress[netip.AddrPortFrom(netip.IPv6Unspecified(), original.Port())]
}

func (s *state) named(name string) *listener {
	if i := slices.IndexFunc(s.listeners, func(l *listener) bool { return l.Name == name }); i >= 0 {
		return s.listeners[i]
	}
	return nil
}

func (p *Proxy) compileListener(l *Listener, old *state) (*listener, error) {
	before := old.named(l.Name)
	if before != nil && before.Listener == l {
		return before, nil
	}
	in := &listener{Listener: l, proxy: p, logs: p.openLogs(l.AccessLog), stats: p.listenerStats(l)}
	var err error
	for i, c := range l.Chains {
		out, cerr := p.compileChain(in, c, before)
		if cerr != nil {
			return nil, fmt.Errorf("filter chain %d %q: %w", i, c.Name, cerr)
		}
		in.chains = append(in.chains, out)
	}
	if l.Default != nil {
		if in.fallback, err = p.compileChain(in, l.Default, before); err != nil {
			return nil, fmt.Errorf("default filter chain: %w", err)
		}
	}
	if in.index, err = newChainIndex(in.chains); err != nil {
		return nil, err
	}
	return in, nil
}

func (p *Proxy) compileChain(l *listener, c *FilterChain, before *listener) (*chain, error) {
	if old := before.equalChain(c); old != nil {
		return old, nil
	}
	out := &chain{FilterChain: c, listener: l}
	var err error
	if out.tls = sameTLS(c.TLS, l, before); out.tls == nil && c.TLS != nil {
		if out.tls, err = p.newServerTLS(c.TLS); err != nil {
			return nil, err
		}
	}
	switch {
	case c.HTTP != nil && c.TCP != nil, c.HTTP == nil && c.TCP == nil:
		return nil, fmt.Errorf("want one of TCP and HTTP")
	case c.HTTP != nil:
		if out.http = l.sameHTTP(c); out.http == nil {
			out.http, err = newHTTPManager(p, l.Listener, c)
		}
	default:
		out.tcp, err = newTCPProxy(p, c.TCP)
	}
	return out, err
}

// sameTLS finds what was made of the same ServerTLS, in a listener that is being made or the one before; nil where nothing
// was.
func sameTLS(t *ServerTLS, in ...*listener) *serverTLS {
	for _, l := range in {
		if t == nil || l == nil {
			continue
		}
		for _, c := range l.chains {
			if c.TLS == t {
				return c.tls
			}
		}
	}
	return nil
}

// sameHTTP finds the manager of a chain of the listener that has the same HTTPManager and the same policy, as chains for
// mutual TLS and plaintext of one port have; nil where there is none.
func (l *listener) sameHTTP(c *FilterChain) *httpManager {
	for _, o := range l.chains {
		if o.HTTP == c.HTTP && o.Policy == c.Policy && o.http != nil && o.http.direction == l.Direction {
			return o.http
		}
	}
	return nil
}

// equalChain finds a chain that does the same; nil where there is none. One that does has the same port.
func (l *listener) equalChain(c *FilterChain) *chain {
	if l == nil {
		return nil
	}
	list := l.index.byPort[c.Match.Port]
	for _, old := range list {
		if old.FilterChain == c {
			return old
		}
	}
	if l.fallback != nil && (l.fallback.FilterChain == c || reflect.DeepEqual(l.fallback.FilterChain, c)) {
		return l.fallback
	}
	for _, old := range list {
		if reflect.DeepEqual(old.FilterChain, c) {
			return old
		}
	}
	return nil
}

// retire lets what is in old but not in next come to its end.
func (p *Proxy) retire(old, next *state) {
	kept := map[*chain]bool{}
	for _, l := range next.listeners {
		for _, c := range l.all() {
			kept[c] = true
		}
	}
	var gone []*chain
	for _, l := range old.listeners {
		for _, c := range l.all() {
			if !kept[c] {
				c.retired.Store(true)
				gone = append(gone, c)
			}
		}
	}
	for name, c := range old.clusters {
		if next.clusters[name] != c {
			c.retire(next.clusters[name])
		}
	}
	if len(gone) > 0 {
		p.wg.Add(1)
		go p.drainChains(gone)
	}
}

func (l *listener) all() []*chain {
	if l.fallback == nil {
		return l.chains
	}
	return append(slices.Clone(l.chains), l.fallback)
}

// drainGrace is how long an idle connection is left alone at first. One that is used more often than that ends with a
// response that says so, and no request is on its way when it is closed.
const drainGrace = 500 * time.Millisecond

// drainChains closes what is still open on chains that are gone: idle connections soon, so that a new policy holds for
// them too, and the rest when the time to drain is over.
func (p *Proxy) drainChains(gone []*chain) {
	defer p.wg.Done()
	start := time.Now()
	deadline := time.NewTimer(p.opt.DrainTime)
	defer deadline.Stop()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		left := 0
		for _, c := range gone {
			left += p.open(c, time.Since(start) > drainGrace)
		}
		if left == 0 {
			return
		}
		select {
		case <-p.ctx.Done():
			return
		case <-deadline.C:
			p.closeAll(gone)
			return
		case <-tick.C:
		}
	}
}

func (p *Proxy) closeAll(of []*chain) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for d := range p.conns {
		if slices.Contains(of, d.chain) {
			d.accepted.Close()
		}
	}
}
