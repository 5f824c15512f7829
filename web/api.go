package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/oarlock/oarlock/api"
	"github.com/oarlock/oarlock/change"
	"github.com/oarlock/oarlock/manifest"
	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/metrics"
)

// Options are what an API is made of. Only Mesh and Engine are required.
type Options struct {
	Name   string // of the mesh
	Mesh   Mesh
	Engine mesh.Engine
	// Flows is the store of observations; nil: there is none.
	Flows metrics.Flows
	// Writer takes changes of policy; nil: nothing can be changed here.
	Writer Writer
	// Dial reaches pods, to probe them from outside; nil is this machine's network.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// ProbeEvery is the time between two ports that are tried in the background; 0 tries none.
	ProbeEvery time.Duration
	// Audit is the file of the audit log; "" keeps changes in memory alone.
	Audit string
	Log   *slog.Logger
}

// API answers for one mesh. It is an http.Handler; what goes on in the background does so in Run.
type API struct {
	opt     Options
	log     *slog.Logger
	mux     *http.ServeMux
	events  *events
	journal *journal
	tracker *tracker
	proofs  *proofs
	views   *views
	settled settling
	trends  *shared[trendKey, *trendSeen]
	certs   *shared[struct{}, []api.Certificate]

	changing sync.Mutex // one change at a time
	watching sync.Mutex // one look at what is new at a time
	stepping sync.Mutex // guards seen
	seen     *Now
	took     queue
	counted  chan struct{} // of size one: the sidecars should be counted again
	taps     chan struct{} // streams of log lines that there may be
}

// Bounds of requests.
const (
	maxBody      = 64 << 10
	maxEdit      = 4 << 20 // bytes of a request that holds files
	answerTime   = 25 * time.Second
	maxWait      = time.Minute
	baseWait     = 10 * time.Second
	maxLogStream = 64 // followed logs and taps at a time
)

// NewAPI makes an API. The error is for an audit log that cannot be opened.
func NewAPI(opt Options) (*API, error) {
	a := &API{opt: opt, log: opt.Log, events: newEvents(), taps: make(chan struct{}, maxLogStream), counted: make(chan struct{}, 1)}
	a.took.wake = make(chan struct{}, 1)
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	var err error
	if a.journal, err = openJournal(opt.Audit); err != nil {
		return nil, fmt.Errorf("start API: %w", err)
	}
	a.tracker, a.proofs = newTracker(), newProofs()
	a.views = newViews(a)
	a.trends, a.certs = newShared[trendKey, *trendSeen](trendAge, maxTrends), newShared[struct{}, []api.Certificate](certAge, 1)
	a.settled.begun = time.Now()
	a.route()
	return a, nil
}

// Close closes the audit log. Nothing may be asked any more.
func (a *API) Close() error { return a.journal.close() }

// answer is what a handler of JSON gives.
type answer func(r *http.Request) (any, error)

// handlers has a handler for each of Routes, by method and path: those that answer in JSON, and those that stream.
func (a *API) handlers() (map[string]answer, map[string]http.HandlerFunc) {
	m := a.opt.Mesh
	return map[string]answer{
			"GET /v1/status":       func(*http.Request) (any, error) { return a.status(), nil },
			"GET /v1/manifests":    func(*http.Request) (any, error) { return m.Manifests(), nil },
			"GET /v1/ca":           func(*http.Request) (any, error) { return m.CA(), nil },
			"POST /v1/ca/rotate":   a.rotate,
			"POST /v1/ca/token":    a.token,
			"POST /v1/reload":      a.reload,
			"GET /v1/overview":     a.overview,
			"GET /v1/graph":        a.graph,
			"GET /v1/edge":         a.edge,
			"GET /v1/node":         a.node,
			"GET /v1/explain":      a.explain,
			"GET /v1/trend":        a.trend,
			"GET /v1/mtls":         a.rules,
			"POST /v1/mtls":        a.changeMTLS,
			"POST /v1/edit":        a.edit,
			"POST /v1/undo":        a.undo,
			"POST /v1/check":       a.check,
			"GET /v1/objects":      a.objects,
			"GET /v1/file":         a.file,
			"GET /v1/changes":      a.changes,
			"POST /v1/probe":       a.probe,
			"GET /v1/certificates": a.certificates,
		}, map[string]http.HandlerFunc{
			"GET /v1/sync":         a.sync,
			"GET /v1/logs":         a.logs,
			"GET /v1/tap":          a.tap,
			"GET /v1/proxy":        a.proxyConfig,
			"GET /v1/events":       a.stream,
			"GET /v1/openapi.json": a.openAPI,
		}
}

// route puts the handlers in place.
func (a *API) route() {
	a.mux = http.NewServeMux()
	answers, streams := a.handlers()
	for pattern, one := range answers {
		a.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			limit := int64(maxBody)
			if pattern == "POST /v1/edit" || pattern == "POST /v1/check" {
				limit = maxEdit
			}
			r.Body = http.MaxBytesReader(w, r.Body, limit)
			ctx, cancel := context.WithTimeout(r.Context(), answerTime)
			defer cancel()
			v, err := one(r.WithContext(ctx))
			if err != nil {
				a.refuse(w, r, err)
				return
			}
			if text, ok := v.(ready); ok {
				w.Header().Set("Content-Type", contentJSON)
				_, _ = w.Write(text)
				return
			}
			reply(w, http.StatusOK, v)
		})
	}
	for pattern, one := range streams {
		a.mux.HandleFunc(pattern, one)
	}
	a.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		a.refuse(w, r, wrong(http.StatusNotFound, "%.20s %.200s: there is no such thing", r.Method, r.URL.Path))
	})
}

// ServeHTTP implements http.Handler.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	a.mux.ServeHTTP(w, r)
}

// problem is an error with the HTTP status that it asks for.
type problem struct {
	status int
	err    error
}

func (p *problem) Error() string { return p.err.Error() }

func (p *problem) Unwrap() error { return p.err }

// wrong makes an error with a status.
func wrong(status int, format string, args ...any) error {
	return &problem{status, fmt.Errorf(format, args...)}
}

// Refusal is an error that is answered with this status of HTTP.
func Refusal(status int, err error) error { return &problem{status, err} }

func bad(format string, args ...any) error { return wrong(http.StatusBadRequest, format, args...) }

// statusOf is the HTTP status of an error.
func statusOf(err error) int {
	var (
		own     *problem
		stale   *mesh.StaleError
		refusal *change.Refusal
		refused *manifest.RefusedError
		large   *http.MaxBytesError
	)
	switch {
	case errors.As(err, &large):
		return http.StatusRequestEntityTooLarge
	case errors.As(err, &own):
		return own.status
	case errors.As(err, &stale):
		return http.StatusConflict
	case errors.As(err, &refusal), errors.As(err, &refused):
		return http.StatusUnprocessableEntity
	case errors.Is(err, fs.ErrNotExist):
		return http.StatusNotFound
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, errors.ErrUnsupported):
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

func (a *API) refuse(w http.ResponseWriter, r *http.Request, err error) {
	status := statusOf(err)
	if status == http.StatusInternalServerError && r.Context().Err() == nil {
		a.log.Error("request failed", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	refuse(w, status, err)
}

func head(kind string) api.Head { return api.Head{APIVersion: api.Version, Kind: kind} }

// decode reads the one JSON value that is the body of a request. Without one the error wraps io.EOF.
func decode(r *http.Request, what string, into any) error {
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return bad("read %s: %w", what, err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return bad("read %s: more than one value", what)
	}
	return nil
}

func (a *API) openAPI(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", contentJSON)
	_, _ = w.Write(openAPI)
}

// reload looks at the manifests. Whoever wrote them may say so, and is then named in the list of changes.
func (a *API) reload(r *http.Request) (any, error) {
	var wrote api.Wrote
	if err := decode(r, "reload", &wrote); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if len(wrote.Files) > 0 {
		a.opt.Mesh.Expect(wrote.Files)
	}
	change := ""
	if wrote.What != "" && len(wrote.Files)+len(wrote.Removed) > 0 {
		change = a.announce(announcementOf(r, &wrote))
	}
	out, err := a.opt.Mesh.Reload(r.Context())
	if err != nil {
		return nil, err
	}
	if out.Held == "" {
		out.Change = change
	}
	return out, nil
}

// sync waits for a snapshot to be in force.
func (a *API) sync(w http.ResponseWriter, r *http.Request) {
	wait := baseWait
	if s := r.FormValue("wait"); s != "" {
		d, err := time.ParseDuration(s)
		if err != nil || d < 0 || d > maxWait {
			a.refuse(w, r, bad("wait for snapshot: want a duration of at most %s, not %.40q", maxWait, s))
			return
		}
		wait = d
	}
	// The answer may come later than the server's own limit allows for.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(wait + answerTime))
	ctx, cancel := context.WithTimeout(r.Context(), wait)
	defer cancel()
	version := r.FormValue("snapshot")
	if s := a.opt.Mesh.Sync(ctx, version); s != nil {
		reply(w, http.StatusOK, s)
		return
	}
	a.refuse(w, r, wrong(http.StatusNotFound, "wait for snapshot %.80q: it was never published here, or long ago", version))
}

func (a *API) rotate(r *http.Request) (any, error) {
	var ask api.Rotate
	if err := decode(r, "rotation", &ask); err != nil {
		return nil, err
	}
	switch ask.Step {
	case "", "prepare", "activate", "retire":
	default:
		return nil, bad("rotate authority: step %.40q is none of prepare, activate, retire", ask.Step)
	}
	if err := a.opt.Mesh.Rotate(ask); err != nil {
		return nil, &problem{http.StatusConflict, err}
	}
	a.done(r, strings.TrimSuffix("rotate authority: "+ask.Step, ": "))
	return a.opt.Mesh.CA(), nil
}

// token issues a token. That it did is written down before anybody has it, or nobody gets it; what it is, never.
func (a *API) token(r *http.Request) (any, error) {
	var ask api.TokenRequest
	if err := decode(r, "token request", &ask); err != nil {
		return nil, err
	}
	t, err := a.opt.Mesh.Token(ask)
	if err != nil {
		return nil, err
	}
	a.done(r, tokenFor+ask.Namespace+"/"+ask.Pod)
	if err := a.journal.unwritten(); err != nil {
		return nil, wrong(http.StatusServiceUnavailable, "issue token for %s/%s: the audit log cannot be written: %w", ask.Namespace, ask.Pod, err)
	}
	return t, nil
}

// done records what was done at once, to no file.
func (a *API) done(r *http.Request, what string) {
	e := &entry{Change: api.Change{At: time.Now(), What: what, Objects: []api.Ref{}, Diffs: []api.Diff{}}}
	e.Impact.Effects = []api.Effect{}
	e.Who, e.User = caller(r)
	a.record(e)
}
