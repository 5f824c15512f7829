package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oarlock/oarlock/mesh"
)

const (
	// maxCarried is how many connections one forwarder carries at a time; a further one waits to be accepted.
	maxCarried     = 1024
	forwardTimeout = 5 * time.Second // to connect
	forwardTries   = 3
)

// forwards are the plain forwarders that run. It is not safe for use by several goroutines.
type forwards struct {
	ready   func(mesh.Ref) bool
	log     *slog.Logger
	running map[netip.AddrPort]*forwarder
	// outside listens on the machine's own network; nil where it is ours.
	outside func(ctx context.Context, network, address string) (net.Listener, error)
}

func newForwards(ready func(mesh.Ref) bool, log *slog.Logger) *forwards {
	return &forwards{ready: ready, log: log, running: map[netip.AddrPort]*forwarder{}}
}

// set makes the list be what runs. It gives a problem for each that cannot.
func (f *forwards) set(list []forward) []mesh.Problem {
	var problems []mesh.Problem
	wanted := map[netip.AddrPort]bool{}
	for i := range list {
		wanted[list[i].Listen] = true
	}
	for at, r := range f.running {
		if !wanted[at] {
			r.close()
			delete(f.running, at)
		}
	}
	for i := range list {
		spec := &list[i]
		if spec.Cluster {
			continue
		}
		if r := f.running[spec.Listen]; r != nil {
			r.spec.Store(spec)
			continue
		}
		r, err := f.start(spec)
		if err != nil {
			problems = append(problems, mesh.Problem{Severity: mesh.Warning, Message: err.Error()})
			continue
		}
		f.running[spec.Listen] = r
	}
	return problems
}

func (f *forwards) close() { f.set(nil) }

// forwarder accepts at one address and carries bytes to an endpoint that is picked at random.
type forwarder struct {
	spec  atomic.Pointer[forward]
	ready func(mesh.Ref) bool
	lis   net.Listener
	log   *slog.Logger

	ctx    context.Context
	cancel context.CancelFunc
	slots  chan struct{}
	wait   sync.WaitGroup
}

func (f *forwards) start(spec *forward) (*forwarder, error) {
	r := &forwarder{ready: f.ready, log: f.log, slots: make(chan struct{}, maxCarried)}
	r.spec.Store(spec)
	r.ctx, r.cancel = context.WithCancel(context.Background())
	listen := (&net.ListenConfig{}).Listen
	if spec.Outside && f.outside != nil {
		listen = f.outside
	}
	var err error
	if r.lis, err = listen(r.ctx, "tcp", spec.Listen.String()); err != nil {
		r.cancel()
		return nil, fmt.Errorf("forward %s: %w", spec.Listen, err)
	}
	r.wait.Go(r.accept)
	return r, nil
}

func (f *forwarder) close() {
	f.cancel()
	f.lis.Close()
	f.wait.Wait()
}

func (f *forwarder) accept() {
	for {
		select {
		case f.slots <- struct{}{}:
		case <-f.ctx.Done():
			return
		}
		c, err := f.lis.Accept()
		if err != nil {
			<-f.slots
			if f.ctx.Err() != nil || errors.Is(err, net.ErrClosed) || !sleep(f.ctx, 10*time.Millisecond) {
				return
			}
			continue
		}
		f.wait.Go(func() {
			defer func() { <-f.slots }()
			f.carry(c.(*net.TCPConn))
		})
	}
}

func (f *forwarder) carry(down *net.TCPConn) {
	defer down.Close()
	up, err := f.dial()
	if err != nil {
		f.log.Debug("forward refused", "listen", f.spec.Load().Listen, "cause", err)
		_ = down.SetLinger(0) // the caller sees a reset, as where nobody listens
		return
	}
	defer up.Close()
	stop := context.AfterFunc(f.ctx, func() { down.Close(); up.Close() })
	defer stop()
	var back sync.WaitGroup
	back.Go(func() { pour(down, up) })
	pour(up, down)
	back.Wait()
}

// pour copies one direction and hands its end on; a broken one ends both.
func pour(to, from *net.TCPConn) {
	if _, err := io.Copy(to, from); err != nil {
		to.Close()
		from.Close()
		return
	}
	_ = to.CloseWrite()
}

func (f *forwarder) dial() (*net.TCPConn, error) {
	spec := f.spec.Load()
	left := slices.DeleteFunc(slices.Clone(spec.Targets), func(t target) bool { return !t.Pod.IsZero() && !f.ready(t.Pod) })
	err := errors.New("no endpoint is ready")
	d := net.Dialer{Timeout: forwardTimeout}
	if spec.Source.IsValid() {
		d.LocalAddr = &net.TCPAddr{IP: spec.Source.AsSlice()}
	}
	for range min(forwardTries, len(left)) {
		i := rand.IntN(len(left))
		var c net.Conn
		if c, err = d.DialContext(f.ctx, "tcp", left[i].Addr.String()); err == nil {
			return c.(*net.TCPConn), nil
		}
		left = slices.Delete(left, i, i+1)
	}
	return nil, err
}
