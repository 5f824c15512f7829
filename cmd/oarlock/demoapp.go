package main

import (
	"bufio"
	"fmt"
	"log/slog"
	"os/signal"
	"strings"
	"sync"
	"syscall"

	"github.com/oarlock/oarlock/demoapp"
	"github.com/spf13/cobra"
)

// demoAppFlags are the flags of demo-app, as given.
type demoAppFlags struct {
	demoapp.Config
	listens, calls []string
}

func newDemoAppCommand(a *app) *cobra.Command {
	f := &demoAppFlags{}
	cmd := &cobra.Command{
		Use:   "demo-app",
		Short: "Run the application that the examples are made of",
		Long: `Demo-app listens where it is told, calls whom it is told, and counts both. It
runs until SIGTERM or SIGINT, then ends what is under way and prints its counts
as one line of JSON. Without arguments it stays up and does nothing.

A service fans out: each HTTP request makes all calls before it is answered.
With --rate it makes them by itself. HTTP services answer / with JSON about
themselves and their calls, and have /health, /stats, /status/N, /bytes/N,
/delay/D and /echo. TCP, TLS and UDP are echoed, gRPC has the methods UnaryCall
and FullDuplexCall of grpc.testing.TestService, and its health service.

A target is called by name. X_SERVICE_HOST and the other variables that
Kubernetes gives to a container say where a Service is; any other name is looked
up, over HTTP by way of http_proxy where that is set.`,
		Example: `  oarlock demo-app --listen http:8080 --call details:9080 --call tcp://db:5432
  oarlock demo-app --call web:8080 --rate 5`,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return runDemoApp(a, cmd, f) },
	}
	fl := cmd.Flags()
	fl.StringArrayVar(&f.listens, "listen", nil, "serve `PROTOCOL:PORT`, with http, https, tcp, tls, grpc or udp, at $BIND_ADDR, by default every address (repeatable)")
	fl.StringArrayVar(&f.calls, "call", nil, "call `TARGET`: HOST:PORT[/PATH] over HTTP, or a URL with a protocol of --listen (repeatable)")
	fl.Float64Var(&f.Rate, "rate", 0, "make all calls `N` times a second; without --listen the default is 1")
	fl.DurationVar(&f.Latency, "latency", 0, "answer after `DURATION`")
	fl.Float64Var(&f.ErrorRate, "error-rate", 0, "answer this `SHARE` of requests with an error, 0 to 1")
	fl.IntVar(&f.Body, "body", 0, "add `N` bytes to answers over HTTP, send as many over TCP, UDP and gRPC")
	fl.IntVar(&f.TCPConns, "tcp-conns", 0, "keep `N` connections open to each tcp and tls target; 0 makes one for each call")
	fl.StringVar(&f.Certificate, "tls-cert", "", "certificate `FILE` for https and tls")
	fl.StringVar(&f.Key, "tls-key", "", "its key, `FILE`")
	fl.StringVar(&f.CA, "tls-ca", "", "verify servers by the authorities in `FILE`; without it nobody is verified")
	fl.StringVar(&f.Service, "name", "", "its service's `NAME`; default $SERVICE_NAME, else the pod's workload")
	fl.StringVar(&f.Pod, "pod", "", "its pod's `NAME`; default $POD_NAME, else $HOSTNAME")
	fl.StringVar(&f.Version, "version", "", "its `VERSION`; default $VERSION")
	fl.DurationVar(&f.Grace, "grace", demoapp.DefaultGrace, "let requests take `DURATION` to end")
	return cmd
}

func runDemoApp(a *app, cmd *cobra.Command, f *demoAppFlags) error {
	cfg, err := f.config()
	if err != nil {
		return usage(err, cmd.CommandPath()+" --help")
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	out := &lineWriter{w: a.stdout}
	level := slog.LevelInfo
	if a.flags.verbose {
		level = slog.LevelDebug
	}
	cfg.Log = slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: level}))
	running, err := demoapp.Start(ctx, cfg)
	if err != nil {
		return usage(err, "")
	}
	_, err = fmt.Fprintln(out, running.Wait())
	return err
}

// config parses what the flags say.
func (f *demoAppFlags) config() (demoapp.Config, error) {
	cfg := f.Config
	for _, s := range f.listens {
		l, err := demoapp.ParseListen(s)
		if err != nil {
			return cfg, err
		}
		cfg.Listens = append(cfg.Listens, l)
	}
	for _, s := range f.calls {
		t, err := demoapp.ParseTarget(strings.TrimSpace(s))
		if err != nil {
			return cfg, err
		}
		cfg.Calls = append(cfg.Calls, t)
	}
	if cfg.Rate == 0 && len(cfg.Listens) == 0 && len(cfg.Calls) > 0 {
		cfg.Rate = 1
	}
	if cfg.Grace == 0 {
		cfg.Grace = -1 // asked for, and none
	}
	return cfg, nil
}

// lineWriter lets goroutines write whole lines that are seen at once.
type lineWriter struct {
	mu sync.Mutex
	w  *bufio.Writer
}

// Write writes through.
func (l *lineWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, err := l.w.Write(p)
	if err != nil {
		return n, err
	}
	return n, l.w.Flush()
}
