package web

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/oarlock/oarlock/api"
	"golang.org/x/net/netutil"
)

// DashboardOptions are what a Dashboard is made of.
type DashboardOptions struct {
	// Token is what a browser must show; at least 16 bytes.
	Token string
	// Meshes lists the meshes to serve, by name; it is asked for each request that needs it.
	Meshes func(ctx context.Context) ([]MeshSocket, error)
	// ReadOnly refuses every change.
	ReadOnly bool
	// Hosts are names, besides addresses of loopback and the address listened on, that a Host header may have.
	Hosts   []string
	Version string // of Oarlock
	Log     *slog.Logger
}

// MeshSocket is where the API of a mesh answers.
type MeshSocket struct {
	Name   string
	Socket string // path of the unix socket
	// Problem says why it will not answer; "" where it should.
	Problem string
}

// Dashboard serves pages and the API to browsers.
type Dashboard struct {
	opt      DashboardOptions
	listener net.Listener
	sessions *sessions
	limits   *limits
	pages    *pages
	meshes   *passage
	routes   map[string]Route // of a mesh, by "METHOD /v1/…"
	server   *http.Server
}

// Bounds of the server for browsers.
const (
	maxConnections = 512
	maxAsked       = 4 << 20 // bytes of a request
	minToken       = 16
	drainDashboard = 2 * time.Second
)

// NewDashboard makes a dashboard that serves on l. It closes l when it ends.
func NewDashboard(l net.Listener, opt DashboardOptions) (*Dashboard, error) {
	if len(opt.Token) < minToken {
		return nil, fmt.Errorf("start dashboard: its token has %d bytes, want %d or more", len(opt.Token), minToken)
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	pages, err := openPages()
	if err != nil {
		return nil, fmt.Errorf("start dashboard: %w", err)
	}
	d := &Dashboard{opt: opt, listener: l, sessions: newSessions(opt.Token), limits: newLimits(), pages: pages,
		meshes: newPassage(opt.Meshes), routes: map[string]Route{}}
	for _, r := range Routes() {
		d.routes[r.Method+" "+r.Path] = r
	}
	d.server = &http.Server{
		Handler: d.handler(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 20 * time.Second, IdleTimeout: time.Minute,
		MaxHeaderBytes: 16 << 10, TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
		ErrorLog: slog.NewLogLogger(opt.Log.Handler(), slog.LevelDebug),
	}
	return d, nil
}

// Address is the HOST:PORT that it listens on.
func (d *Dashboard) Address() string { return d.listener.Addr().String() }

// Run serves until ctx ends, and gives nil then.
func (d *Dashboard) Run(ctx context.Context) error {
	d.server.BaseContext = func(net.Listener) context.Context { return ctx } // streams end with it
	done := make(chan error, 1)
	go func() { done <- d.server.Serve(netutil.LimitListener(d.listener, maxConnections)) }()
	select {
	case err := <-done:
		return fmt.Errorf("serve dashboard: %w", err)
	case <-ctx.Done():
	}
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainDashboard)
	defer cancel()
	err := d.server.Shutdown(late)
	if errors.Is(err, context.DeadlineExceeded) {
		err = d.server.Close()
	}
	<-done
	d.meshes.close()
	return err
}

// handler puts the doors in order: a stranger's Host first, then another site's page, then who asks, then what for.
func (d *Dashboard) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v1/session", d.login)
	mux.HandleFunc("DELETE /api/v1/session", d.logout)
	mux.HandleFunc("GET /api/v1/meshes", d.known(d.listMeshes))
	mux.HandleFunc("GET /api/v1/openapi.json", d.known(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentJSON)
		_, _ = w.Write(openAPI)
	}))
	mux.HandleFunc("/api/v1/meshes/{mesh}/{path...}", d.known(d.mesh))
	mux.HandleFunc("/api/", func(w http.ResponseWriter, r *http.Request) {
		refuse(w, http.StatusNotFound, fmt.Errorf("%s %.200s: there is no such thing", r.Method, r.URL.Path))
	})
	mux.Handle("/", d.pages)
	return d.guard(mux)
}

// guard refuses requests that are not from a page of this server, and says how its answers may be used.
func (d *Dashboard) guard(next http.Handler) http.Handler {
	other := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		r.Body = http.MaxBytesReader(w, r.Body, maxAsked)
		if !d.ownHost(r.Host) {
			refuse(w, http.StatusForbidden, fmt.Errorf("answer for host %.100q: this is not a name of the dashboard", r.Host))
			return
		}
		if !sameOrigin(r) || other.Check(r) != nil {
			refuse(w, http.StatusForbidden, errors.New("answer request: it is from a page of another site"))
			return
		}
		out := newPatient(w)
		defer out.grant() // what is left to send goes when the handler has ended
		next.ServeHTTP(out, r)
	})
}

// ownHost says whether a Host header names this server: a page of another site, whose name was made to lead here, does not.
func (d *Dashboard) ownHost(host string) bool {
	_, port, _ := net.SplitHostPort(d.Address())
	name, asked, err := net.SplitHostPort(host)
	if err != nil {
		name, asked = strings.Trim(host, "[]"), "80"
	}
	for _, h := range d.opt.Hosts {
		if strings.EqualFold(h, name) {
			return true // the port is that of whoever forwards
		}
	}
	if asked != port {
		return false
	}
	if strings.EqualFold(name, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(name)
	if err != nil {
		return false
	}
	own, err := netip.ParseAddrPort(d.Address())
	return addr.Unmap().IsLoopback() || err == nil && (own.Addr().IsUnspecified() || addr == own.Addr().Unmap())
}

// sameOrigin wants an Origin, where there is one, to be this very server. Browsers send it with whatever changes something
// and with all that scripts of another site ask for.
func sameOrigin(r *http.Request) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); site == "cross-site" && r.Header.Get("Sec-Fetch-Mode") != "navigate" {
		return false
	}
	origin, ok := r.Header["Origin"]
	return !ok || len(origin) == 1 && (origin[0] == "http://"+r.Host || origin[0] == "https://"+r.Host)
}

// clientHeader must be on whatever changes something: a form of another site cannot set it.
const clientHeader = "Oarlock-Client"

// known lets those pass who have a session or the token.
func (d *Dashboard) known(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		bearer, hasBearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		switch {
		case hasBearer && d.sessions.isToken(bearer):
		case !hasBearer && d.sessions.valid(d.cookie(r)):
			if r.Method != http.MethodGet && r.Header.Get(clientHeader) == "" {
				refuse(w, http.StatusForbidden, fmt.Errorf("%s %.200s: the header %s is missing", r.Method, r.URL.Path, clientHeader))
				return
			}
		default:
			refuse(w, http.StatusUnauthorized, errors.New(`ask dashboard: log in with the link that "oarlock dashboard" prints`))
			return
		}
		next(w, r)
	}
}

// mesh passes a request on to a mesh.
func (d *Dashboard) mesh(w http.ResponseWriter, r *http.Request) {
	path := "/v1/" + r.PathValue("path")
	route, ok := d.routes[r.Method+" "+path]
	switch {
	case !ok, route.Local:
		refuse(w, http.StatusNotFound, fmt.Errorf("%s %.200s: there is no such thing", r.Method, r.URL.Path))
	case route.Changes && d.opt.ReadOnly:
		refuse(w, http.StatusForbidden, errors.New("change mesh: this dashboard is read-only"))
	case r.Method != http.MethodGet && !d.limits.change():
		w.Header().Set("Retry-After", "1")
		refuse(w, http.StatusTooManyRequests, errors.New("ask mesh: too many requests that do something; wait a second"))
	case !d.limits.enter():
		w.Header().Set("Retry-After", "2")
		refuse(w, http.StatusServiceUnavailable, errors.New("ask mesh: too many requests at once"))
	default:
		defer d.limits.leave()
		if r.Method == http.MethodGet {
			// The server's own look at the connection would take the end of ReadTimeout for the end of a stream.
			_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
		}
		d.meshes.pass(w, r, r.PathValue("mesh"), path)
	}
}

func (d *Dashboard) listMeshes(w http.ResponseWriter, r *http.Request) {
	list, err := d.meshes.list(r.Context())
	if err != nil {
		refuse(w, http.StatusServiceUnavailable, fmt.Errorf("list meshes: %w", err))
		return
	}
	reply(w, http.StatusOK, api.Meshes{Head: api.Head{APIVersion: api.Version, Kind: "Meshes"}, Meshes: list,
		ReadOnly: d.opt.ReadOnly, Version: cmp.Or(d.opt.Version, "unknown")})
}
