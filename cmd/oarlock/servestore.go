package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/metrics"
	"github.com/oarlock/oarlock/resolve"
	"github.com/oarlock/oarlock/telemetry"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
)

// storeFlags are those about the store of observations.
type storeFlags struct {
	prometheus string
	tokenFile  string
	interval   time.Duration
	retention  time.Duration
	simulate   bool // of serve alone
}

func (f *storeFlags) addTo(cmd *cobra.Command) {
	p := cmd.Flags()
	p.StringVar(&f.prometheus, "prometheus", "", "ask the Prometheus at `URL` what was observed, and keep no store")
	p.StringVar(&f.tokenFile, "prometheus-token-file", "", "with the bearer token in `FILE`")
	p.DurationVar(&f.interval, "scrape-interval", 0, "look at the sidecars' metrics every `DURATION` (default 1s)")
	p.DurationVar(&f.retention, "retention", 0, "keep what was observed for `DURATION` (default 24h)")
	must(cmd.MarkFlagFilename("prometheus-token-file"))
}

func (f *storeFlags) check() error {
	if f.prometheus != "" {
		if u, err := url.Parse(f.prometheus); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return usage(fmt.Errorf("parse flag --prometheus: want http://HOST:PORT or https://HOST:PORT"), "")
		}
	}
	if f.tokenFile != "" {
		abs, err := absolute(f.tokenFile)
		if err != nil {
			return err
		}
		f.tokenFile = abs
	}
	switch {
	case f.tokenFile != "" && f.prometheus == "":
		return usage(fmt.Errorf("parse flag --prometheus-token-file: it needs --prometheus"), "")
	case f.interval != 0 && f.interval < 100*time.Millisecond:
		return usage(fmt.Errorf("parse flag --scrape-interval %s: want 100ms or more", f.interval), "")
	case f.retention != 0 && f.retention < time.Minute:
		return usage(fmt.Errorf("parse flag --retention %s: want a minute or more", f.retention), "")
	}
	return nil
}

func (f *storeFlags) arguments() []string {
	var out []string
	for _, one := range []struct{ flag, value string }{{"--prometheus", f.prometheus}, {"--prometheus-token-file", f.tokenFile}} {
		if one.value != "" {
			out = append(out, one.flag, one.value)
		}
	}
	if f.interval != 0 {
		out = append(out, "--scrape-interval", f.interval.String())
	}
	if f.retention != 0 {
		out = append(out, "--retention", f.retention.String())
	}
	return out
}

// A store answers what was observed, and has something to do beside that until ctx ends.
type store struct {
	metrics.Flows
	run func(ctx context.Context) error
}

// open opens the store of a mesh whose pods the engine runs. What is wrong with it is told by its own health: a mesh goes on
// without.
func (f *storeFlags) open(state string, engine mesh.Engine, log *slog.Logger) *store {
	if f.prometheus != "" {
		remote, err := telemetry.Connect(f.prometheus, telemetry.Options{Interval: f.interval, TokenFile: f.tokenFile, Logger: log})
		if err != nil {
			log.Error("nothing can be said of traffic", "error", err)
			return &store{noStore{"prometheus", err}, idle}
		}
		return &store{remote, func(ctx context.Context) error { <-ctx.Done(); return remote.Close() }}
	}
	folder := filepath.Join(state, "metrics")
	s, err := telemetry.Open(telemetry.Options{Folder: folder, Interval: f.interval, Retention: f.retention, Logger: log,
		Dial: func(ctx context.Context, t telemetry.Target) (net.Conn, error) {
			namespace, name, _ := strings.Cut(t.Address, "/")
			return engine.Admin(ctx, mesh.Ref{Kind: mesh.KindPod, Namespace: namespace, Name: name})
		}})
	if err != nil {
		log.Error("nothing can be said of traffic", "error", err)
		return &store{noStore{"embedded", err}, idle}
	}
	return &store{s, func(ctx context.Context) error {
		group, ctx := errgroup.WithContext(ctx)
		group.Go(func() error { return s.Run(ctx) })
		group.Go(func() error { followTargets(ctx, engine, s); return nil })
		err := group.Wait()
		if closed := s.Close(); err == nil {
			err = closed
		}
		return err
	}}
}

// alone is the store of a control plane whose workloads run elsewhere, or nowhere.
func (f *storeFlags) alone(log *slog.Logger) *store {
	switch {
	case f.simulate:
		return &store{&simulated{resolver: func() *resolve.Resolver { return nil }, started: time.Now()}, idle}
	case f.prometheus != "":
		return f.open("", nil, log)
	}
	return &store{nil, idle}
}

func idle(ctx context.Context) error { <-ctx.Done(); return nil }

// followTargets tells the store which sidecars there are, as often as that changes.
func followTargets(ctx context.Context, engine mesh.Engine, s *telemetry.Store) {
	for ctx.Err() == nil {
		r, changed, err := engine.Running(ctx)
		if err != nil {
			pause(ctx, time.Second)
			continue
		}
		s.SetTargets(targetsOf(r))
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}

// targetsOf are the sidecars that run.
func targetsOf(r *mesh.Running) []telemetry.Target {
	var out []telemetry.Target
	for i := range r.Pods {
		w := r.Pods[i].Workload
		if w.Capture != mesh.CaptureSidecar || r.Pods[i].Phase != mesh.PhaseRunning {
			continue
		}
		out = append(out, telemetry.Target{Name: w.Ref.Name + "." + w.Ref.Namespace, Address: w.Ref.Namespace + "/" + w.Ref.Name,
			Labels: map[string]string{"namespace": w.Ref.Namespace, "pod": w.Ref.Name}})
	}
	return out
}

// noStore is one that could not be opened: it says why, whatever it is asked.
type noStore struct {
	kind string
	err  error
}

func (n noStore) Flows(context.Context, metrics.Window) (*metrics.Observation, error) {
	return nil, fmt.Errorf("query flows: %w", n.err)
}

func (n noStore) Trend(context.Context, metrics.TrendQuery) (*metrics.Trend, error) {
	return nil, fmt.Errorf("query flows: %w", n.err)
}

func (n noStore) Health(context.Context) metrics.StoreHealth {
	return metrics.StoreHealth{Kind: n.kind, Problem: n.err.Error()}
}
