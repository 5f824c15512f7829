package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/oarlock/oarlock/control"
	"github.com/oarlock/oarlock/local"
	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/resolve"
	"github.com/oarlock/oarlock/web"
	"github.com/oarlock/oarlock/yamldir"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
)

// serveFlags are the flags of serve, which up passes on.
type serveFlags struct {
	listen  string
	dir     string
	name    string
	caDir   string
	ttl     time.Duration
	capture string
	board   boardFlags
	store   storeFlags
}

func newServeCommand(a *app) *cobra.Command {
	f := &serveFlags{}
	cmd := &cobra.Command{
		Use:   "serve -f DIR --dir STATE",
		Short: "Run a control plane alone",
		Long: `Run a control plane alone: it reads and watches manifests, issues certificates
(istio.v1.auth.IstioCertificateService) and serves xDS (ADS), both over TLS on
the unix socket STATE/xds.sock and, with --listen, on an address. Its authority,
and the key that signs tokens, are kept in STATE; STATE/root-cert.pem is what
clients believe it by. It runs no workloads: those of the manifests count as
they stand.

A sidecar joins with a file that names this address, STATE/root-cert.pem and a
token, which "oarlock ca token POD --dir STATE" issues for a workload of the
manifests; docs/sidecar.md shows it. "oarlock proxy-status --dir STATE" says who
has joined.

"oarlock up" runs one by itself, for the mesh that --mesh names.`,
		Example: `  oarlock serve -f mesh --dir state --listen 127.0.0.1:15012
  oarlock ca token web.shop --dir state -d web
  oarlock proxy --bootstrap web.json`,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return runServe(a, cmd, f) },
	}
	p := cmd.Flags()
	p.StringVar(&f.listen, "listen", "", "serve certificates and xDS at `HOST:PORT` too")
	p.StringVar(&f.dir, "dir", "", "the `FOLDER` of its state and sockets")
	p.StringVar(&f.name, "name", "", "call the mesh `NAME` (default the name of the folder, or the file, of its manifests)")
	p.BoolVar(&f.store.simulate, "simulate", false, "show a dashboard with made-up traffic: every declared call happens, as its verdict says")
	f.addTo(cmd)
	must(cmd.MarkFlagDirname("dir"))
	return cmd
}

// addTo adds the flags that up and demo have as well.
func (f *serveFlags) addTo(cmd *cobra.Command) {
	p := cmd.Flags()
	p.StringVar(&f.caDir, "ca-dir", "", "issue with the authority in `FOLDER`: ca-cert.pem, ca-key.pem, root-cert.pem, cert-chain.pem")
	p.DurationVar(&f.ttl, "svid-ttl", 0, "the life of certificates, as `DURATION` (default 24h)")
	f.board.addTo(cmd)
	f.store.addTo(cmd)
	p.StringVar(&f.capture, "capture", local.CaptureAuto, "how traffic comes into sidecars, the `WAY`: auto, explicit or transparent")
	must(cmd.MarkFlagDirname("ca-dir"))
	must(cmd.RegisterFlagCompletionFunc("capture", cobra.FixedCompletions(
		[]string{local.CaptureAuto, local.CaptureExplicit, local.CaptureTransparent}, cobra.ShellCompDirectiveNoFileComp)))
}

// check refuses what makes no sense before anything is started.
func (f *serveFlags) check() error {
	switch f.capture {
	case local.CaptureAuto, local.CaptureExplicit, local.CaptureTransparent:
	default:
		return usage(fmt.Errorf("parse flag --capture %q: want auto, explicit or transparent", f.capture), "")
	}
	if f.ttl != 0 && f.ttl < time.Minute {
		return usage(fmt.Errorf("parse flag --svid-ttl %s: want a minute or more", f.ttl), "")
	}
	if f.caDir != "" {
		abs, err := absolute(f.caDir)
		if err != nil {
			return err
		}
		f.caDir = abs
	}
	if err := f.board.check(); err != nil {
		return err
	}
	return f.store.check()
}

// arguments gives the flags as a command line has them.
func (f *serveFlags) arguments() []string {
	out := []string{"--capture", f.capture}
	if f.ttl != 0 {
		out = append(out, "--svid-ttl", f.ttl.String())
	}
	if f.caDir != "" {
		out = append(out, "--ca-dir", f.caDir)
	}
	return slices.Concat(out, f.board.arguments(), f.store.arguments())
}

func runServe(a *app, cmd *cobra.Command, f *serveFlags) error {
	if err := f.check(); err != nil {
		return err
	}
	if len(a.flags.files) == 0 {
		return usage(errors.New("run serve: name its manifests with -f PATH"), "")
	}
	if (f.dir == "") == (a.flags.mesh == "") {
		return usage(errors.New("run serve: give --dir FOLDER for its state"), a.again("", "--dir=FOLDER"))
	}
	if err := f.named(a); err != nil {
		return err
	}
	d, err := mesh.ParseDialect(a.flags.dialect.value)
	if err != nil {
		return usage(err, "")
	}
	var places []string // whole paths, by which a command that edits says what it wrote
	for _, file := range a.flags.files {
		if file == "-" {
			return usage(errors.New("run serve: standard input cannot be watched; give a file or a directory"), "")
		}
		place, err := absolute(file)
		if err != nil {
			return err
		}
		places = append(places, place)
	}
	dir, err := yamldir.Open(places, yamldir.Options{Dialect: d})
	if err != nil {
		return unreadable(err, "")
	}
	local.PrivateFiles() // the store's library asks for what others may read
	ctx, stop := interruptible(cmd.Context())
	defer stop()
	log := slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: a.logLevel()}))
	opt := control.Options{Name: a.flags.mesh, Source: dir, Look: dir.Watch(ctx, yamldir.WatchOptions{Log: log}), PlugIn: f.caDir, TTL: f.ttl,
		Address: f.listen, Writer: dir, Log: log}
	if a.flags.mesh != "" {
		return a.serveMesh(ctx, opt, f)
	}
	return serveAlone(ctx, opt, f)
}

// named settles what a mesh is called that no engine runs.
func (f *serveFlags) named(a *app) error {
	switch {
	case f.name == "" && a.flags.mesh == "":
		f.name = placeName(a.flags.files[0])
	case f.name == "":
	case a.flags.mesh != "":
		return usage(errors.New("run serve: --mesh names a mesh that runs, and it keeps its name; leave out --name"), "")
	case !local.MeshName(f.name):
		return usage(fmt.Errorf("name mesh %q: want small letters, digits and hyphens, at most 40", f.name), "")
	}
	return nil
}

// placeName makes the name of a mesh of the folder, or of the file, that it is read from.
func placeName(place string) string {
	abs, err := absolute(place)
	if err != nil {
		abs = place
	}
	word := filepath.Base(abs)
	if info, err := os.Stat(abs); err != nil || !info.IsDir() {
		word = strings.TrimSuffix(word, filepath.Ext(word))
	}
	word = strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
			return c
		}
		return '-'
	}, strings.ToLower(word))
	word = strings.Trim(word[:min(len(word), 40)], "-")
	if !local.MeshName(word) {
		return mesh.HumanName([]byte(abs))
	}
	return word
}

func (a *app) logLevel() slog.Level {
	if a.flags.verbose {
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

// serveMesh is the control plane of a mesh that an engine runs.
func (a *app) serveMesh(ctx context.Context, opt control.Options, f *serveFlags) error {
	client, err := local.Open(ctx, a.flags.mesh)
	if err != nil {
		return unreadable(err, "")
	}
	defer client.Close()
	paths := client.Paths()
	opt.State, opt.XDS, opt.API = filepath.Join(paths.State, "control"), paths.Socket(xdsSocket), paths.Socket(apiSocket)
	opt.Engine = &engineOf{client, local.Settings{
		XDSAddress: "unix:" + opt.XDS, CSRAddress: "unix:" + opt.XDS, ServerName: control.ServerName, TTL: f.ttl, Capture: f.capture, XDSDelta: true,
	}}
	opt.Dial, opt.ProbeEvery = client.Dial, probeEvery
	return servePlane(ctx, opt, f, f.store.open(opt.State, client, opt.Log))
}

// probeEvery is the time between two ports that are tried unasked.
const probeEvery = 3 * time.Second

// engineOf lets a control plane speak to the engine of this machine.
type engineOf struct {
	*local.Client
	settings local.Settings
}

// Apply implements control.Engine.
func (e *engineOf) Apply(ctx context.Context, s *mesh.Snapshot, with control.Settings) error {
	settings := e.settings
	settings.RootsPEM, settings.Token = with.Roots, with.Token
	return e.Client.Apply(ctx, s, settings)
}

// servePlane runs a control plane, with its store and the dashboard beside it. A dashboard that cannot be served, or a store
// that cannot be opened, is no reason for a mesh to stand still.
func servePlane(ctx context.Context, opt control.Options, f *serveFlags, st *store) error {
	opt.Flows = st.Flows
	plane, err := control.New(ctx, opt)
	if err != nil {
		return unreadable(err, "")
	}
	if s, ok := st.Flows.(*simulated); ok {
		s.resolver = func() *resolve.Resolver { return plane.Now().Published }
	}
	group, ctx := errgroup.WithContext(ctx)
	board, err := f.board.board(ctx, opt.State, web.MeshSocket{Name: opt.Name, Socket: opt.API}, opt.Log)
	switch {
	case err != nil:
		opt.Log.Error("mesh has no dashboard", "error", err)
	case board != nil:
		opt.Log.Info("dashboard", "address", board.Address())
		group.Go(func() error { return board.Run(ctx) })
	}
	group.Go(func() error {
		if err := st.run(ctx); err != nil {
			opt.Log.Error("store of observations ended", "error", err)
		}
		return nil
	})
	group.Go(func() error { return plane.Run(ctx) })
	return group.Wait()
}

// serveAlone is a control plane without an engine.
func serveAlone(ctx context.Context, opt control.Options, f *serveFlags) error {
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return refused(fmt.Errorf("run serve: %w", err), "")
	}
	opt.Name, opt.State = f.name, f.dir
	opt.XDS, opt.API = filepath.Join(f.dir, xdsSocket), filepath.Join(f.dir, apiSocket)
	opt.Engine = &noEngine{roots: filepath.Join(f.dir, "root-cert.pem")}
	return servePlane(ctx, opt, f, f.store.alone(opt.Log))
}

// noEngine runs nothing, and keeps the roots where clients of the control plane find them.
type noEngine struct {
	mesh.Engine // none: what it has is never asked for
	roots       string
}

// Running implements mesh.Engine.
func (*noEngine) Running(context.Context) (*mesh.Running, <-chan struct{}, error) {
	return &mesh.Running{Capture: "none", CaptureWhy: "no workload runs here"}, make(chan struct{}), nil
}

// Apply implements control.Engine.
func (e *noEngine) Apply(_ context.Context, _ *mesh.Snapshot, with control.Settings) error {
	return writePrivate(e.roots, string(with.Roots))
}

// RenewAt implements control.Engine.
func (*noEngine) RenewAt() time.Time { return time.Time{} }

// newEngineCommand is the process that local.Start starts.
func newEngineCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:    "engine FILE",
		Short:  "Run the workloads of a mesh",
		Hidden: true,
		Args:   between(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd.Context())
			defer stop()
			return local.Serve(ctx, args[0], slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: a.logLevel()})))
		},
	}
}
