package sidecar

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// serveAdmin opens the admin socket and the two addresses, those that the file names.
func (s *sidecar) serveAdmin() error {
	a := s.file.Admin
	if a.Socket != "" {
		l, err := listenPrivate(a.Socket)
		if err != nil {
			return fmt.Errorf("listen on admin socket: %w", err)
		}
		s.serve("admin", l, s.adminHandler())
	}
	for name, on := range map[string]netip.AddrPort{"metrics": a.Metrics, "health": a.Health} {
		if !on.IsValid() {
			continue
		}
		l, err := net.Listen("tcp", on.String())
		if err != nil {
			return fmt.Errorf("listen for %s: %w", name, err)
		}
		h := s.metricsHandler()
		if name == "health" {
			h = s.healthHandler()
		}
		s.serve(name, l, h)
	}
	return nil
}

// The bounds of whoever asks: the admin socket carries no traffic.
const (
	adminHeaderTimeout = 5 * time.Second
	adminIdleTimeout   = 30 * time.Second
	maxAdminBody       = 64 << 10
	adminCloseTimeout  = time.Second
)

// serve answers on a listener until the sidecar closes.
func (s *sidecar) serve(name string, l net.Listener, h http.Handler) {
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: adminHeaderTimeout,
		IdleTimeout:       adminIdleTimeout,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		ConnContext:       withConn,
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	s.log.Debug("listening", "for", name, "address", l.Addr())
	s.closers = append(s.closers, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), adminCloseTimeout)
		defer cancel()
		err := server.Shutdown(ctx)
		if err != nil {
			err = server.Close()
		}
		if serr := <-done; !errors.Is(serr, http.ErrServerClosed) {
			err = errors.Join(err, fmt.Errorf("serve %s: %w", name, serr))
		}
		return err
	})
}

// connKey is where withConn keeps the connection of a request.
type connKey struct{}

func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// listenPrivate listens on a unix socket that only its owner may open. What a sidecar before this one left is removed; one
// that still answers is not.
func listenPrivate(path string) (net.Listener, error) {
	if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
		c.Close()
		return nil, fmt.Errorf("%s: another process answers there", path)
	}
	if st, err := os.Lstat(path); err == nil {
		if st.Mode().Type() != os.ModeSocket {
			return nil, fmt.Errorf("%s is there and is no socket", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	l, err := listenUnix(path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// adminHandler is what the socket answers.
func (s *sidecar) adminHandler() http.Handler {
	paths := map[string]http.HandlerFunc{
		"GET /ready":            s.ready,
		"GET /server_info":      s.serverInfo,
		"GET /config_dump":      s.configDump,
		"GET /clusters":         s.clusters,
		"GET /listeners":        s.listeners,
		"GET /certs":            s.certs,
		"GET /stats":            s.stats,
		"GET /stats/prometheus": s.series.Handler().ServeHTTP,
		"GET /memory":           memory,
		"GET /ignored":          s.ignored,
		"POST /logging":         s.logging,
		"POST /cert_export":     s.certExport,
		"POST /drain_listeners": s.drainListeners,
		"POST /probe":           s.ask,
	}
	mux := http.NewServeMux()
	var names []string
	for pattern, h := range paths {
		mux.HandleFunc(pattern, h)
		names = append(names, pattern)
	}
	slices.Sort(names)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		answerText(w, strings.Join(names, "\n")+"\n")
	})
	return mux
}

// metricsHandler is what the address for metrics answers: nothing that a stranger may not see.
func (s *sidecar) metricsHandler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /stats/prometheus", s.series.Handler())
	return mux
}

func (s *sidecar) ready(w http.ResponseWriter, _ *http.Request) {
	if what := s.waitsFor(); what != "" {
		w.Header().Set("Content-Type", textType)
		w.WriteHeader(http.StatusServiceUnavailable)
		answerText(w, s.state()+": waits for "+what+"\n")
		return
	}
	answerText(w, "LIVE\n")
}

// serverInfo has Envoy's fields as far as they make sense here, and how the sidecar does.
type serverInfo struct {
	Version       string `json:"version"`
	State         string `json:"state"` // LIVE, DRAINING, PRE_INITIALIZING
	WaitsFor      string `json:"waits_for,omitempty"`
	UptimeSeconds int64  `json:"uptime_seconds"`
	Node          string `json:"node"`
	// ConfigVersion is the mesh snapshot's in force.
	ConfigVersion string    `json:"config_version,omitempty"`
	Connections   int       `json:"connections"`
	Identity      *svidInfo `json:"identity,omitempty"`
}

// svidInfo is how the renewal of the SVID goes.
type svidInfo struct {
	ID        string    `json:"id"`
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
	RenewAt   time.Time `json:"renew_at"`
	Failures  int       `json:"failures"`
	LastError string    `json:"last_error,omitempty"`
}

func (s *sidecar) serverInfo(w http.ResponseWriter, _ *http.Request) {
	i := serverInfo{Version: s.opt.Version, State: "LIVE", UptimeSeconds: int64(time.Since(s.started).Seconds()), Node: nodeID(s.file)}
	if what := s.waitsFor(); what != "" {
		i.State, i.WaitsFor = s.state(), what
	}
	if p := s.proxy.Load(); p != nil {
		i.ConfigVersion, i.Connections = p.Version(), p.Connections()
	}
	if id := s.identity.Load(); id != nil {
		st := id.Status()
		i.Identity = &svidInfo{ID: st.ID.String(), NotBefore: st.NotBefore, NotAfter: st.NotAfter, RenewAt: st.RenewAt,
			Failures: st.Failures, LastError: st.LastError}
	}
	answerJSON(w, i)
}

// state is Envoy's word for a sidecar that is not ready.
func (s *sidecar) state() string {
	if s.draining.Load() {
		return "DRAINING"
	}
	return "PRE_INITIALIZING"
}

func (s *sidecar) stats(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get("format") == "prometheus" {
		s.series.Handler().ServeHTTP(w, r)
		return
	}
	w.Header().Set("Content-Type", textType)
	if err := s.series.WriteStats(w); err != nil {
		s.log.Debug("answer /stats", "error", err)
	}
}

// ignored counts, by name, what of the control plane's resources is left out because it does no harm.
func (s *sidecar) ignored(w http.ResponseWriter, _ *http.Request) {
	counts := map[string]int{}
	if c := s.client.Load(); c != nil {
		counts = c.Ignored()
	}
	answerJSON(w, counts)
}

// memory has Envoy's fields.
func memory(w http.ResponseWriter, _ *http.Request) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	answerJSON(w, map[string]uint64{"allocated": m.HeapAlloc, "heap_size": m.HeapSys, "total_physical_bytes": m.Sys - m.HeapReleased})
}

// logging gives the level of the sidecar's own log, and sets it where level is given.
func (s *sidecar) logging(w http.ResponseWriter, r *http.Request) {
	if level := r.URL.Query().Get("level"); level != "" {
		if err := s.level.UnmarshalText([]byte(level)); err != nil {
			refuse(w, http.StatusBadRequest, fmt.Errorf("set level %q: want debug, info, warn or error", level))
			return
		}
	}
	answerText(w, "active loggers:\n  oarlock: "+strings.ToLower(s.level.Level().String())+"\n")
}

func (s *sidecar) drainListeners(w http.ResponseWriter, _ *http.Request) {
	s.startDraining()
	answerText(w, "OK\n")
}

const textType = "text/plain; charset=utf-8"

func answerText(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", textType)
	// Whoever asked is gone if this fails.
	_, _ = io.WriteString(w, text)
}

func answerJSON(w http.ResponseWriter, v any) {
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		refuse(w, http.StatusInternalServerError, fmt.Errorf("write answer: %w", err))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(b, '\n'))
}

// refuse answers with an error: its text, for whoever shows it.
func refuse(w http.ResponseWriter, status int, err error) {
	w.Header().Set("Content-Type", textType)
	w.WriteHeader(status)
	_, _ = io.WriteString(w, err.Error()+"\n")
}
