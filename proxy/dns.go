package proxy

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"time"
)

// resolve looks the cluster's host names up, now and again. Where a look-up fails the last answer stays.
func (c *cluster) resolve() {
	ctx, cancel := context.WithCancel(c.core.proxy.ctx)
	c.cancel = cancel
	c.core.proxy.wg.Add(1)
	go c.lookUp(ctx)
}

func (c *cluster) lookUp(ctx context.Context) {
	defer c.core.proxy.wg.Done()
	pause := c.config.DNSRefresh
	if pause == 0 {
		pause = DefaultDNSRefresh
	}
	for {
		c.lookUpOnce(ctx)
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

func (c *cluster) lookUpOnce(ctx context.Context) {
	old := *c.members.Load()
	var next []*endpoint
	for i := range c.config.Endpoints {
		e := &c.config.Endpoints[i]
		addresses, err := c.core.proxy.addresses(ctx, e)
		if err != nil {
			c.core.proxy.log.Debug("look up host", "cluster", c.config.Name, "host", e.Host, "err", err)
			next = append(next, of(old, e)...)
			continue
		}
		if c.config.Discovery == LogicalDNS {
			addresses = addresses[:1]
		}
		for _, a := range addresses {
			at := netip.AddrPortFrom(a, e.Address.Port())
			next = append(next, c.member(e, at, old))
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if ctx.Err() != nil || c.retired {
		return
	}
	c.members.Store(&next)
	closeBut(old, next)
}

// of gives the members that an endpoint has already.
func of(members []*endpoint, e *Endpoint) []*endpoint {
	var out []*endpoint
	for _, m := range members {
		if m = m.as(e); m != nil {
			out = append(out, m)
		}
	}
	return out
}

// addresses gives the addresses of an endpoint's host, sorted, never none.
func (p *Proxy) addresses(ctx context.Context, e *Endpoint) ([]netip.Addr, error) {
	if e.Host == "" {
		return []netip.Addr{e.Address.Addr()}, nil
	}
	if a, err := netip.ParseAddr(e.Host); err == nil {
		return []netip.Addr{a}, nil
	}
	if a, ok := p.opt.Capture.Names[e.Host]; ok {
		return []netip.Addr{a}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	out, err := net.DefaultResolver.LookupNetIP(ctx, "ip", e.Host)
	if err != nil {
		return nil, err
	}
	for i := range out {
		out[i] = out[i].Unmap()
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out), nil
}
