package demoapp

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"golang.org/x/net/netutil"
)

// App is a running application.
type App struct {
	cfg      Config
	counters *counters
	callers  []caller
	servers  []server
	fails    *limiter
	done     chan struct{}
}

// server serves one port until it is told to end.
type server interface {
	// serve blocks until drain.
	serve() error
	// drain takes no more and waits for what is under way until ctx ends, then it cuts off what is left.
	drain(ctx context.Context)
	addr() net.Addr
}

// Start binds every port and begins to serve and to call. It ends when ctx does: nothing new is taken or made, what is
// under way has Config.Grace to end. An error says which port or file; nothing runs then.
func Start(ctx context.Context, cfg Config) (*App, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	a := &App{cfg: cfg, counters: newCounters(&cfg), fails: newLimiter(), done: make(chan struct{})}
	serverTLS, err := cfg.serverTLS()
	if err != nil {
		return nil, err
	}
	clientTLS, err := cfg.clientTLS()
	if err != nil {
		return nil, err
	}
	for _, l := range cfg.Listens {
		s, err := a.listen(l, serverTLS)
		if err != nil {
			a.abandon()
			return nil, err
		}
		a.servers = append(a.servers, s)
	}
	for _, t := range cfg.Calls {
		a.callers = append(a.callers, a.caller(t, clientTLS))
	}
	go a.run(ctx)
	return a, nil
}

// abandon frees the ports of an application that does not start.
func (a *App) abandon() {
	now, cancel := context.WithCancel(context.Background())
	cancel()
	for _, s := range a.servers {
		s.drain(now)
	}
}

// Addr gives where the listener at an index of Config.Listens listens.
func (a *App) Addr(i int) net.Addr { return a.servers[i].addr() }

// Stats gives what was counted so far.
func (a *App) Stats() Stats { return a.counters.snapshot(&a.cfg) }

// Wait blocks until the application has ended, and gives what it counted.
func (a *App) Wait() Stats {
	<-a.done
	return a.Stats()
}

// run serves and calls until ctx ends, then ends both in order: calls first, since nobody waits for them.
func (a *App) run(ctx context.Context) {
	defer close(a.done)
	var serving sync.WaitGroup
	for i, s := range a.servers {
		a.cfg.Log.Info("listening", "protocol", a.cfg.Listens[i].Protocol, "address", s.addr().String())
		serving.Go(func() {
			if err := s.serve(); err != nil {
				a.cfg.Log.Error("serve", "listener", a.cfg.Listens[i].String(), "error", err)
			}
		})
	}
	a.generate(ctx)
	<-ctx.Done()
	left, cancel := context.WithTimeout(context.WithoutCancel(ctx), max(0, a.cfg.Grace))
	defer cancel()
	var draining sync.WaitGroup
	for _, s := range a.servers {
		draining.Go(func() { s.drain(left) })
	}
	draining.Wait()
	serving.Wait()
	for _, c := range a.callers {
		c.close()
	}
}

// maxConns bounds the connections that one port has at a time; further ones wait.
const maxConns = 10_000

// listen binds one port.
func (a *App) listen(l Listen, secure *tls.Config) (server, error) {
	at := net.JoinHostPort(a.cfg.Bind, strconv.Itoa(int(l.Port)))
	if l.Protocol == "udp" {
		conn, err := net.ListenPacket("udp", at)
		if err != nil {
			return nil, fmt.Errorf("listen on %s: %w", l, err)
		}
		return newUDPServer(a, l, conn), nil
	}
	ln, err := net.Listen("tcp", at)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", l, err)
	}
	ln = netutil.LimitListener(ln, maxConns)
	if l.secure() {
		ln = tls.NewListener(ln, alpnOf(secure, l))
	}
	switch l.Protocol {
	case "http", "https":
		return newHTTPServer(a, l, ln), nil
	case "grpc":
		return newGRPCServer(a, l, ln), nil
	}
	return newTCPServer(a, l, ln), nil
}

// alpnOf offers HTTP/2 where it is spoken.
func alpnOf(c *tls.Config, l Listen) *tls.Config {
	c = c.Clone()
	if l.Protocol == "https" {
		c.NextProtos = []string{"h2", "http/1.1"}
	}
	return c
}

func (c *Config) serverTLS() (*tls.Config, error) {
	if c.Certificate == "" && c.Key == "" {
		return &tls.Config{}, nil
	}
	pair, err := tls.LoadX509KeyPair(c.Certificate, c.Key)
	if err != nil {
		return nil, fmt.Errorf("load certificate %s: %w", c.Certificate, err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}}, nil
}

// clientTLS verifies servers where it was told by what.
func (c *Config) clientTLS() (*tls.Config, error) {
	if c.CA == "" {
		return &tls.Config{InsecureSkipVerify: true}, nil
	}
	text, err := os.ReadFile(c.CA)
	if err != nil {
		return nil, fmt.Errorf("read authorities: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("read authorities %s: no certificate in it", c.CA)
	}
	return &tls.Config{RootCAs: pool}, nil
}

// misfortune says whether a request shall be answered with an error.
func (a *App) misfortune() bool { return a.cfg.ErrorRate > 0 && rand.Float64() < a.cfg.ErrorRate }

// dawdle waits as long as an answer takes; false where ctx ended first.
func (a *App) dawdle(ctx context.Context) bool {
	if a.cfg.Latency == 0 {
		return ctx.Err() == nil
	}
	select {
	case <-time.After(a.cfg.Latency):
		return true
	case <-ctx.Done():
		return false
	}
}
