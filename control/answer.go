package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/oarlock/oarlock/api"
	"github.com/oarlock/oarlock/mesh"
)

// Bounds of the JSON API.
const (
	maxBody  = 64 << 10
	maxWait  = time.Minute
	baseWait = 10 * time.Second
)

// problem is an error with the HTTP status that it asks for.
type problem struct {
	status int
	err    error
}

func (p *problem) Error() string { return p.err.Error() }

func bad(format string, args ...any) error {
	return &problem{http.StatusBadRequest, fmt.Errorf(format, args...)}
}

// handler answers the JSON API.
func (p *Plane) handler(ctx context.Context) http.Handler {
	mux := http.NewServeMux()
	add := func(pattern string, answer func(w http.ResponseWriter, r *http.Request) (any, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			r.Body = http.MaxBytesReader(w, r.Body, maxBody)
			v, err := answer(w, r)
			if err != nil {
				p.refuse(w, r, err)
				return
			}
			write(w, http.StatusOK, v)
		})
	}
	add("GET /v1/status", func(http.ResponseWriter, *http.Request) (any, error) { return p.status(), nil })
	add("GET /v1/manifests", func(http.ResponseWriter, *http.Request) (any, error) { return p.manifests(), nil })
	add("POST /v1/reload", func(_ http.ResponseWriter, r *http.Request) (any, error) { return p.reload(ctx, r) })
	add("GET /v1/sync", p.sync)
	add("GET /v1/ca", func(http.ResponseWriter, *http.Request) (any, error) { return p.caAnswer(), nil })
	add("POST /v1/ca/rotate", p.rotate)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		p.refuse(w, r, &problem{http.StatusNotFound, fmt.Errorf("%s %.200s: there is no such thing", r.Method, r.URL.Path)})
	})
	return mux
}

func (p *Plane) refuse(w http.ResponseWriter, r *http.Request, err error) {
	status := http.StatusInternalServerError
	if e := (*problem)(nil); errors.As(err, &e) {
		status = e.status
	}
	if status == http.StatusInternalServerError {
		p.log.Error("request failed", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	write(w, status, api.Error{Head: head("Error"), Message: err.Error()})
}

// write sends an answer. Whoever has gone away hears nothing.
func write(w http.ResponseWriter, status int, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		status, text = http.StatusInternalServerError, []byte(`{"message": "write answer: it has no JSON form"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n'))
}

func head(kind string) api.Head { return api.Head{APIVersion: api.Version, Kind: kind} }

// reload lets the goroutine that reads do it once more, and waits for it.
func (p *Plane) reload(ctx context.Context, r *http.Request) (*api.Reload, error) {
	var wrote api.Wrote
	if err := decode(r, &wrote); err != nil && !errors.Is(err, io.EOF) {
		return nil, bad("reload manifests: %w", err)
	}
	if len(wrote.Files) > 0 {
		p.opt.Source.Expect(wrote.Files)
	}
	done := make(chan struct{})
	select {
	case p.reloads <- done:
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	select {
	case <-done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	out := &api.Reload{Head: head("Reload"), Snapshot: versionOf(p.published), Problems: problems(p.taken.problems)}
	if p.held != nil {
		out.Held, out.Problems = p.held.why, problems(p.held.problems)
	}
	return out, nil
}

// sync waits for a snapshot to be in force.
func (p *Plane) sync(w http.ResponseWriter, r *http.Request) (any, error) {
	wait := baseWait
	if s := r.FormValue("wait"); s != "" {
		d, err := time.ParseDuration(s)
		if err != nil || d < 0 || d > maxWait {
			return nil, bad("wait for snapshot: want a duration of at most %s, not %.40q", maxWait, s)
		}
		wait = d
	}
	version := r.FormValue("snapshot")
	p.mu.Lock()
	if version == "" {
		version = versionOf(p.published)
	}
	_, known := p.versions.order[version]
	p.mu.Unlock()
	if !known {
		return nil, &problem{http.StatusNotFound, fmt.Errorf("wait for snapshot %.80q: it was never published here, or long ago", version)}
	}
	// The answer may come later than what WriteTimeout allows for.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(wait + writeTimeout))
	ctx, cancel := context.WithTimeout(r.Context(), wait)
	defer cancel()
	return p.wait(ctx, version), nil
}

// decode reads the body of a request. Without one the error is io.EOF.
func decode(r *http.Request, into any) error {
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	return dec.Decode(into)
}

func (p *Plane) rotate(_ http.ResponseWriter, r *http.Request) (any, error) {
	var ask api.Rotate
	if err := decode(r, &ask); err != nil {
		return nil, bad("rotate authority: %w", err)
	}
	var err error
	switch ask.Step {
	case "":
		err = p.authority.Rotate()
	case "prepare":
		err = p.authority.Prepare()
	case "activate":
		err = p.authority.Activate(ask.Force)
	case "retire":
		err = p.authority.Retire(ask.Force)
	default:
		return nil, bad("rotate authority: step %.40q is none of prepare, activate, retire", ask.Step)
	}
	if err != nil {
		return nil, &problem{http.StatusConflict, err}
	}
	return p.caAnswer(), nil
}

func (p *Plane) caAnswer() *api.CA { return &api.CA{Head: head("CA"), CAStatus: p.caStatus()} }

func (p *Plane) caStatus() api.CAStatus {
	s := p.authority.Status()
	bundle, _ := p.authority.Bundle()
	out := api.CAStatus{TrustDomain: s.TrustDomain, Rotating: s.Rotating, Bundle: bundle.Version}
	for _, one := range s.Slots {
		out.Authorities = append(out.Authorities, api.Authority(one))
	}
	return out
}

// status says how the mesh is.
func (p *Plane) status() *api.Status {
	nodes := p.nodes()
	p.mu.Lock()
	defer p.mu.Unlock()
	snap := p.taken.snap
	out := &api.Status{
		Head: head("MeshStatus"), Mesh: p.opt.Name, Manifests: p.opt.Source.Places(), Dialect: snap.Dialect.String(),
		TrustDomain: p.authority.TrustDomain().Name(), Snapshot: versionOf(p.published), Started: p.started, PID: os.Getpid(),
		Services: len(snap.Services), Nodes: nodes, Pods: []api.Pod{}, Unenforced: []api.Unenforced{}, CA: p.caStatus(), AccessLog: accessLog(&snap.Config),
	}
	all := p.taken.problems
	if p.held != nil {
		out.Held, all = p.held.why, p.held.problems
	}
	if p.running != nil {
		out.Capture, out.CaptureWhy, out.Pods = p.running.Capture, p.running.CaptureWhy, pods(p.running)
		all = slices.Concat(all, p.running.Problems)
	}
	out.Sync = p.coverage(nodes, versionOf(p.published))
	out.Problems = problems(all)
	for _, u := range snap.Unenforced {
		out.Unenforced = append(out.Unenforced, api.Unenforced{Object: ref(u.Ref), Origin: origin(u.Origin), Why: u.Why})
	}
	return out
}

// manifests gives what the snapshot in force comes from.
func (p *Plane) manifests() *api.Manifests {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := &api.Manifests{Head: head("Manifests"), Snapshot: versionOf(p.published), Dialect: p.taken.snap.Dialect.String(),
		Paths: p.opt.Source.Places(), Files: []api.File{}}
	for _, f := range p.taken.files {
		out.Files = append(out.Files, api.File(f))
	}
	if r := p.running; r != nil {
		out.Running = api.Running{Capture: r.Capture, CaptureWhy: r.CaptureWhy, Pods: pods(r)}
		for service, ip := range r.ServiceIPs {
			out.Running.ServiceIPs = append(out.Running.ServiceIPs, api.ServiceIP{Service: ref(service), IP: ip})
		}
		slices.SortFunc(out.Running.ServiceIPs, func(a, b api.ServiceIP) int {
			return mesh.Ref{Kind: mesh.Kind(a.Service.Kind), Namespace: a.Service.Namespace, Name: a.Service.Name}.Compare(
				mesh.Ref{Kind: mesh.Kind(b.Service.Kind), Namespace: b.Service.Namespace, Name: b.Service.Name})
		})
	}
	return out
}

func accessLog(c *mesh.Config) api.AccessLog {
	on := c.AccessLogFile != "" && c.AccessLogFile != os.DevNull
	return api.AccessLog{On: on, File: c.AccessLogFile, Encoding: c.AccessLogEncoding, Format: c.AccessLogFormat}
}

func ref(r mesh.Ref) api.Ref {
	return api.Ref{Kind: string(r.Kind), Namespace: r.Namespace, Name: r.Name}
}

func origin(o mesh.Origin) api.Origin { return api.Origin{File: o.File, Line: o.Line, Col: o.Col} }

func problems(list []mesh.Problem) []api.Problem {
	out := []api.Problem{}
	for i := range list {
		e := &list[i]
		one := api.Problem{Severity: e.Severity.String(), Origin: origin(e.Origin), Message: e.Message, Hint: e.Hint}
		if !e.Ref.IsZero() {
			r := ref(e.Ref)
			one.Object = &r
		}
		out = append(out, one)
	}
	return out
}

// containers counts those beside a sidecar that was added: a gateway's manifest names its proxy itself.
func containers(w *mesh.Workload) int {
	n := 0
	for i := range w.Containers {
		if w.Capture != mesh.CaptureSidecar || w.Containers[i].Name != mesh.SidecarContainer {
			n++
		}
	}
	return n
}

func pods(r *mesh.Running) []api.Pod {
	out := []api.Pod{}
	for i := range r.Pods {
		e := &r.Pods[i]
		w := e.Workload
		one := api.Pod{
			Namespace: w.Ref.Namespace, Name: w.Ref.Name, ServiceAccount: identity(w).ServiceAccount, Labels: w.Labels,
			Addresses: w.Addresses, Sidecar: w.Capture == mesh.CaptureSidecar, Phase: string(e.Phase), Ready: e.Ready,
			Containers: containers(w), Reason: e.Reason, Restarts: e.Restarts, Started: e.Started,
		}
		if !w.Owner.IsZero() {
			r := ref(w.Owner)
			one.Owner = &r
		}
		out = append(out, one)
	}
	return out
}
