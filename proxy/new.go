package proxy

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/oarlock/oarlock/metrics"
)

// New makes a Proxy that does nothing until Apply. The caller must Close it.
func New(opt Options) *Proxy {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Stdout == nil {
		opt.Stdout = os.Stdout
	}
	if opt.Stderr == nil {
		opt.Stderr = os.Stderr
	}
	if opt.Series == nil {
		opt.Series = metrics.NewRegistry(opt.Self, metrics.Options{})
	}
	if opt.DrainTime == 0 {
		opt.DrainTime = DefaultDrainTime
	}
	if opt.MaxConnections == 0 {
		opt.MaxConnections = DefaultMaxConnections
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &Proxy{opt: opt, log: opt.Log, ctx: ctx, cancel: cancel, doors: map[doorKey]*door{}, conns: map[*downstream]struct{}{}}
	p.crew.do = func(t task) { t.at.serve(t.conn) }
	p.logs.standard = map[string]io.Writer{"/dev/stdout": opt.Stdout, "/dev/stderr": opt.Stderr}
	p.logs.log = opt.Log
	p.files.mounts = opt.Mounts
	p.state.Store(&state{config: &Config{}})
	return p
}

// Drain stops accepting and waits until every connection has ended, or until ctx ends; the error is then that of ctx.
// Requests under way are answered, with Connection: close; connections between requests are closed.
func (p *Proxy) Drain(ctx context.Context) error {
	p.applying.Lock()
	p.draining.Store(true)
	for _, d := range p.doors {
		d.close()
	}
	p.applying.Unlock()
	start := time.Now()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if p.open(nil, time.Since(start) > drainGrace) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// Close ends every connection at once, waits for what the proxy started, and closes what it opened. It may be called
// again.
func (p *Proxy) Close() error {
	p.cancel()
	p.applying.Lock()
	for _, d := range p.doors {
		d.close()
	}
	st := p.state.Load()
	for _, c := range st.clusters {
		c.close()
	}
	p.applying.Unlock()
	p.mu.Lock()
	for d := range p.conns {
		d.accepted.Close()
	}
	p.mu.Unlock()
	p.wg.Wait()
	p.crew.close()
	return errors.Join(p.logs.close())
}

// Version is the mesh snapshot's of the Config in force.
func (p *Proxy) Version() string { return p.state.Load().config.Version }

// Accepted is how many downstream connections there have been.
func (p *Proxy) Accepted() uint64 { return p.nextID.Load() }

// Connections is how many downstream connections are open.
func (p *Proxy) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.conns)
}

// open says how many connections there are, of one chain or (nil) of all, and closes the idle ones where asked to.
func (p *Proxy) open(of *chain, closeIdle bool) int {
	p.mu.Lock()
	var conns []*downstream
	for d := range p.conns {
		if of == nil || d.chain == of {
			conns = append(conns, d)
		}
	}
	p.mu.Unlock()
	for _, d := range conns {
		if closeIdle {
			d.closeIdle()
		}
	}
	return len(conns)
}

func (p *Proxy) track(d *downstream) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ctx.Err() != nil {
		return false
	}
	p.conns[d] = struct{}{}
	return true
}

// settle notes the chain that a connection goes on.
func (p *Proxy) settle(d *downstream, c *chain) {
	p.mu.Lock()
	d.chain = c
	p.mu.Unlock()
}

func (p *Proxy) untrack(d *downstream) {
	p.mu.Lock()
	delete(p.conns, d)
	p.mu.Unlock()
}
