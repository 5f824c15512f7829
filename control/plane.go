package control

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/oarlock/oarlock/ca"
	"github.com/oarlock/oarlock/manifest"
	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/metrics"
	"github.com/oarlock/oarlock/resolve"
	"github.com/oarlock/oarlock/web"
	"github.com/oarlock/oarlock/xds"
	"golang.org/x/sync/errgroup"
)

// Source is a mesh.Source that shows the files that a Reading comes from.
type Source interface {
	mesh.Source
	ReadFiles(ctx context.Context) (mesh.Reading, []manifest.File, error)
	// Places gives the absolute paths of the manifests.
	Places() []string
	// Expect says that files were just written whole, with these hashes by name.
	Expect(hashes map[string]string)
	// Load reads files as ReadFiles reads its own.
	Load(files []manifest.File) (*mesh.Snapshot, []mesh.Problem)
}

// Engine is where the workloads run, and what is told what to run. Apply may be called again with anything changed, and is
// not called for a change of policies and rules alone; it returns when the engine has taken it, not when it runs.
type Engine interface {
	mesh.Engine
	Apply(ctx context.Context, s *mesh.Snapshot, with Settings) error
	// RenewAt says when Apply must be called again, at the latest, for tokens to stay valid; zero where there are none.
	RenewAt() time.Time
}

// Settings are what an Engine gives to the sidecars beside the snapshot.
type Settings struct {
	// Roots is the trust bundle in PEM.
	Roots []byte
	// Token makes a bearer token for a pod, a workload of KindPod, and says when it ends.
	Token func(pod *mesh.Workload) (token string, expires time.Time, err error)
}

// auditFile is the audit log in the state folder.
const auditFile = "audit.jsonl"

// ServerName is the name that the certificate of the gRPC server has, and that sidecars ask for.
const ServerName = "istiod.istio-system.svc"

// Options are what a Plane is made of.
type Options struct {
	Name   string // of the mesh
	Source Source
	Look   <-chan struct{} // says "look again"; nil: manifests are looked at when Reload asks for it
	Engine Engine
	// State is the folder of the authority's keys, the key that signs tokens and the manifests last taken.
	State string
	// PlugIn is a folder with an authority in files; "" makes one.
	PlugIn string
	TTL    time.Duration // of SVIDs; 0 is the authority's default
	// XDS is the unix socket of the gRPC server, and Address its HOST:PORT; "" is none.
	XDS, Address string
	API          string // the unix socket of the JSON API
	// Writer takes changes of policy that are asked for over the API; nil refuses them.
	Writer web.Writer
	// Flows is the store of observations; nil is none.
	Flows metrics.Flows
	// Dial reaches the pods, to try their ports from outside; nil is this machine's network. A port is tried every
	// ProbeEvery; 0 tries none unasked.
	Dial       func(ctx context.Context, network, address string) (net.Conn, error)
	ProbeEvery time.Duration
	Log        *slog.Logger
}

// Plane is one control plane.
type Plane struct {
	opt       Options
	log       *slog.Logger
	started   time.Time
	authority *ca.Authority
	tokens    *ca.Tokens
	xds       *xds.Server
	api       *web.API

	reloads chan chan<- struct{} // asks to look now, and says whom to tell when it is done
	apply   chan struct{}        // of size one: something changed for the engine

	mu        sync.Mutex // guards what follows
	taken     taken      // what is in force
	before    *taken     // what was when a control plane last ran, where that is something else
	held      *held      // what is not, and why; nil: nothing
	running   *mesh.Running
	published *mesh.Snapshot    // taken with running
	resolver  *resolve.Resolver // of published, or of one with the same content; nil before there is one
	now       *web.Now          // what the API was last told
	told      uint64            // how many states it was told
	versions  versions
}

// New reads the manifests and opens the authority. The error is for manifests that cannot be read at all, or an authority
// that cannot be opened.
func New(ctx context.Context, opt Options) (*Plane, error) {
	p := &Plane{opt: opt, log: opt.Log, started: time.Now(), reloads: make(chan chan<- struct{}), apply: make(chan struct{}, 1)}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(opt.State, 0o700); err != nil {
		return nil, fmt.Errorf("start control plane: %w", err)
	}
	if err := p.begin(ctx); err != nil {
		return nil, fmt.Errorf("start control plane: %w", err)
	}
	var err error
	p.authority, err = ca.Open(ca.Options{TrustDomain: p.taken.snap.Config.TrustDomain, Dir: opt.State, PlugIn: opt.PlugIn, TTL: opt.TTL, Log: p.log})
	if err != nil {
		return nil, fmt.Errorf("start control plane: %w", err)
	}
	if p.tokens, err = ca.OpenTokens(opt.State); err != nil {
		return nil, fmt.Errorf("start control plane: %w", err)
	}
	p.xds = xds.NewServer(xds.Options{Authenticate: p.authenticate, Log: p.log})
	p.api, err = web.NewAPI(web.Options{Name: opt.Name, Mesh: p, Engine: opt.Engine, Flows: opt.Flows, Writer: opt.Writer, Dial: opt.Dial,
		ProbeEvery: opt.ProbeEvery, Audit: p.stateFile(auditFile), Log: p.log})
	if err != nil {
		return nil, fmt.Errorf("start control plane: %w", err)
	}
	if b := p.before; b != nil {
		p.told++
		p.api.Took(&web.Now{Number: p.told, Taken: b.snap, Files: b.files, Problems: b.problems})
	}
	p.tell()
	return p, nil
}

// Run serves until ctx ends, and gives nil then. Any other end is an error: of a socket that cannot be opened.
func (p *Plane) Run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, p.api.Close()) }()
	listeners, err := p.listen(ctx)
	if err != nil {
		return fmt.Errorf("run control plane: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { p.authority.Run(ctx); return nil })
	group.Go(func() error { p.watch(ctx); return nil })
	group.Go(func() error { p.feed(ctx); return nil })
	group.Go(func() error { p.api.Run(ctx); return nil })
	err = p.serve(ctx, group, listeners)
	if err != nil {
		cancel()
	}
	if err := errors.Join(err, group.Wait()); err != nil {
		return fmt.Errorf("run control plane: %w", err)
	}
	return nil
}

// watch is the one goroutine that reads and publishes.
func (p *Plane) watch(ctx context.Context) {
	running := p.follow(ctx)
	look := p.opt.Look
	for {
		select {
		case <-ctx.Done():
			for range running { // until the goroutine behind it has ended
			}
			return
		case r, ok := <-running:
			if ok {
				p.runs(r)
			}
		case _, ok := <-look:
			if !ok {
				look = nil
				break
			}
			p.look(ctx)
		case done := <-p.reloads:
			p.look(ctx)
			close(done)
		}
	}
}

// How long to wait before an engine that gave no answer is asked again.
const (
	firstPause = 20 * time.Millisecond
	lastPause  = 2 * time.Second
)

// follow gives what runs, each time it changes. While the engine does not answer, what ran last counts.
func (p *Plane) follow(ctx context.Context) <-chan *mesh.Running {
	out := make(chan *mesh.Running)
	go func() {
		defer close(out)
		pause := firstPause
		for ctx.Err() == nil {
			r, changed, err := p.opt.Engine.Running(ctx)
			if err != nil {
				if ctx.Err() == nil && pause == firstPause {
					p.log.Warn("engine gives no answer", "error", err)
				}
				sleep(ctx, pause)
				pause = min(2*pause, lastPause)
				continue
			}
			pause = firstPause
			select {
			case out <- r:
			case <-ctx.Done():
				return
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// serverTLS is the authority's configuration that also takes a client's SVID, by the bundle of the moment.
func (p *Plane) serverTLS() (*tls.Config, error) {
	who := ca.Identity{Namespace: "istio-system", ServiceAccount: "istiod", Workload: "oarlock"}
	hosts := []string{ServerName, "localhost", "127.0.0.1"}
	if host, _, err := net.SplitHostPort(p.opt.Address); err == nil && host != "" {
		hosts = append(hosts, host)
	}
	base, err := p.authority.ServerTLS(who, hosts...)
	if err != nil {
		return nil, err
	}
	config := base.Clone()
	config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		bundle, _ := p.authority.Bundle()
		c := base.Clone()
		c.ClientAuth, c.ClientCAs = tls.VerifyClientCertIfGiven, x509.NewCertPool()
		for _, root := range bundle.Roots {
			c.ClientCAs.AddCert(root)
		}
		return c, nil
	}
	return config, nil
}

// stateFile is a file of the state folder.
func (p *Plane) stateFile(name string) string { return filepath.Join(p.opt.State, name) }

// versionOf is the version of what is published, "" before anything is.
func versionOf(s *mesh.Snapshot) string { return cmp.Or(s, &mesh.Snapshot{}).Version }
