package sidecar

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oarlock/oarlock/bootstrap"
	"github.com/oarlock/oarlock/metrics"
	"github.com/oarlock/oarlock/proxy"
	"github.com/oarlock/oarlock/svid"
	"github.com/oarlock/oarlock/xdsclient"
)

// Options are what a sidecar is run with besides its bootstrap file.
type Options struct {
	// Version is the program's.
	Version string
	// Log gets the sidecar's own log, at every level; the file, and /logging, say which are left out. Default: text on
	// standard error.
	Log *slog.Logger
	// Stdout is where /dev/stdout of the mesh's accessLogFile leads, unless the file names another; default os.Stdout.
	Stdout io.Writer
	// Procs is how many processors there are to choose from, for a process that is nothing but this sidecar: what [Tune]
	// returns. It then uses one, and more when it needs them, as far as the file allows. 0 leaves them alone.
	Procs int
}

// ConfigError is a bootstrap file with which a sidecar cannot run, whatever happens later. A command ends with status 2.
type ConfigError struct{ Err error }

// Error says what is wrong.
func (e *ConfigError) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *ConfigError) Unwrap() error { return e.Err }

func configError(format string, args ...any) error {
	return &ConfigError{fmt.Errorf(format, args...)}
}

// DefaultDrain is how long a stop waits for what is under way where the file does not say.
const DefaultDrain = 5 * time.Second

// sidecar is one that runs. What becomes known only after the start is behind atomic pointers, for the admin socket.
type sidecar struct {
	file    *bootstrap.File
	opt     Options
	log     *slog.Logger
	level   slog.LevelVar
	series  *metrics.Registry
	dial    dialFunc
	started time.Time
	stdout  io.Writer
	formats formats
	closers []func() error // in the order of opening

	identity atomic.Pointer[svid.Source]
	proxy    atomic.Pointer[proxy.Proxy]
	config   atomic.Pointer[proxy.Config]
	client   atomic.Pointer[xdsclient.Client]
	waiting  atomic.Pointer[string] // what it is not ready for; nil when ready
	audit    sync.Mutex             // one line at a time
	draining atomic.Bool
	drain    chan struct{} // closed by the first who wants it drained
	drained  sync.Once
}

// RunFile reads a bootstrap file and runs a sidecar with it until ctx ends. The error is a [ConfigError] where the file is
// to blame, and nil after an orderly stop.
func RunFile(ctx context.Context, name string, opt Options) error {
	f, err := bootstrap.Read(name)
	if err != nil {
		return &ConfigError{err}
	}
	return Run(ctx, f, opt)
}

// Run runs a sidecar until ctx ends, and then for as long as draining takes. The error is a [ConfigError] where the file
// is to blame, and nil after an orderly stop.
func Run(ctx context.Context, f *bootstrap.File, opt Options) (err error) {
	s, err := open(f, opt)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.serveAdmin(); err != nil {
		return err
	}
	if err := s.start(ctx); err != nil {
		if ctx.Err() != nil {
			return nil // stopped before it was ready
		}
		return err
	}
	return s.stop(ctx)
}

// open checks the file and makes what needs no other process.
func open(f *bootstrap.File, opt Options) (*sidecar, error) {
	if opt.Stdout == nil {
		opt.Stdout = os.Stdout
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	s := &sidecar{file: f, opt: opt, stdout: opt.Stdout, started: time.Now(), drain: make(chan struct{})}
	if err := check(f); err != nil {
		return nil, err
	}
	if f.Log.Level != "" {
		if err := s.level.UnmarshalText([]byte(f.Log.Level)); err != nil {
			return nil, configError("read log.level %q: want debug, info, warn or error", f.Log.Level)
		}
	}
	s.log = slog.New(leveled{opt.Log.Handler(), &s.level})
	s.dial = dialer(f.Capture)
	s.series = metrics.NewRegistry(self(f, ""), metrics.Options{Version: opt.Version, IstioVersion: f.Node.Version})
	if f.Log.AccessLog != "" {
		out, err := os.OpenFile(f.Log.AccessLog, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o640)
		if err != nil {
			return nil, configError("open log.accessLog: %w", err)
		}
		s.stdout = out
		s.closers = append(s.closers, out.Close)
	}
	s.wait("its identity")
	return s, nil
}

// wait says what the sidecar waits for; "" nothing any more.
func (s *sidecar) wait(what string) {
	if what == "" {
		s.waiting.Store(nil)
		return
	}
	s.waiting.Store(&what)
}

// waitsFor says what the sidecar waits for; "" nothing.
func (s *sidecar) waitsFor() string {
	what := s.waiting.Load()
	if what == nil {
		return ""
	}
	if c := s.client.Load(); c != nil && !c.Status().Applied {
		return waitsFor(c)
	}
	return *what
}

// start waits for the first SVID and for the first configuration.
func (s *sidecar) start(ctx context.Context) error {
	if err := s.openIdentity(ctx); err != nil {
		return err
	}
	s.wait("its first configuration")
	s.openProxy()
	if err := s.subscribe(ctx); err != nil {
		return err
	}
	s.wait("")
	s.log.Info("ready", "node", nodeID(s.file), "after", time.Since(s.started).Round(time.Millisecond))
	settle()
	s.settleWhenQuiet()
	return nil
}

func (s *sidecar) openProxy() {
	opt := proxy.Options{
		Self: self(s.file, s.principal()), NodeID: nodeID(s.file), Series: s.series, Log: s.log,
		Stdout: s.stdout, Capture: capture(s.file.Capture), Mounts: s.file.Mounts,
	}
	if id := s.identity.Load(); id != nil {
		opt.Identity = id // a nil *svid.Source would be an Identity that is not nil
	}
	p := proxy.New(opt)
	s.closers = append(s.closers, p.Close)
	s.proxy.Store(p)
}

// apply puts a configuration in force.
func (s *sidecar) apply(c *proxy.Config) error {
	if err := s.proxy.Load().Apply(c); err != nil {
		return err
	}
	if old := s.config.Swap(c); old == nil || !slices.Equal(old.Clusters, c.Clusters) || !slices.EqualFunc(old.Listeners, c.Listeners, sameAddress) {
		s.forget(c)
	}
	return nil
}

func sameAddress(a, b *proxy.Listener) bool { return a.Address == b.Address }

// forget drops the statistics of listeners and clusters that a configuration does not have any more, so that a mesh whose
// services come and go does not fill the sidecar.
func (s *sidecar) forget(c *proxy.Config) {
	listeners, clusters := map[string]bool{}, map[string]bool{}
	for _, l := range c.Listeners {
		listeners[strings.ReplaceAll(l.Address.String(), ":", "_")] = true // as Envoy writes it, and package proxy
	}
	for _, cl := range c.Clusters {
		clusters[cl.Name] = true
	}
	s.series.Forget(listeners, clusters)
}

// stop waits for the end of ctx, or to be told to drain, and finishes what is under way. Told to drain, it goes on to
// answer questions until ctx ends.
func (s *sidecar) stop(ctx context.Context) error {
	select {
	case <-ctx.Done():
	case <-s.drain:
	}
	s.draining.Store(true)
	s.wait("the end of what is under way")
	limit := time.Duration(s.file.Drain)
	if limit == 0 {
		limit = DefaultDrain
	}
	p := s.proxy.Load()
	s.log.Info("draining", "connections", p.Connections(), "limit", limit)
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	if err := p.Drain(drain); err != nil {
		s.log.Warn("drain: connections are left and will be closed", "connections", p.Connections())
	}
	<-ctx.Done()
	return nil
}

// startDraining is for whoever asks over the admin socket.
func (s *sidecar) startDraining() { s.drained.Do(func() { close(s.drain) }) }

// close closes what was opened, last first, and waits for it.
func (s *sidecar) close() error {
	var errs []error
	for i := len(s.closers) - 1; i >= 0; i-- {
		errs = append(errs, s.closers[i]())
	}
	return errors.Join(errs...)
}

// leveled leaves out what is below a level that can change.
type leveled struct {
	slog.Handler
	level *slog.LevelVar
}

// Enabled is of slog.Handler.
func (h leveled) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= h.level.Level() && h.Handler.Enabled(ctx, l)
}

// WithAttrs is of slog.Handler.
func (h leveled) WithAttrs(a []slog.Attr) slog.Handler {
	return leveled{h.Handler.WithAttrs(a), h.level}
}

// WithGroup is of slog.Handler.
func (h leveled) WithGroup(name string) slog.Handler {
	return leveled{h.Handler.WithGroup(name), h.level}
}
