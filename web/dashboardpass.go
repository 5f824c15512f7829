package web

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/oarlock/oarlock/api"
)

// askTime bounds what a list asks of each mesh.
const askTime = 3 * time.Second

// maxListed bounds the answer of one mesh for a list, in bytes.
const maxListed = 32 << 20

// passage carries requests to the sockets of meshes.
type passage struct {
	meshes func(ctx context.Context) ([]MeshSocket, error)

	mu    sync.Mutex
	lines map[string]*http.Transport // by socket
}

func newPassage(meshes func(ctx context.Context) ([]MeshSocket, error)) *passage {
	return &passage{meshes: meshes, lines: map[string]*http.Transport{}}
}

func (p *passage) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range p.lines {
		t.CloseIdleConnections()
	}
}

// line is the transport to a socket. There are as many as there were meshes.
func (p *passage) line(socket string) *http.Transport {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.lines[socket]
	if t == nil {
		t = &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{Timeout: askTime}).DialContext(ctx, "unix", socket)
			},
			MaxIdleConnsPerHost: 8, IdleConnTimeout: 30 * time.Second, DisableCompression: true,
		}
		p.lines[socket] = t
	}
	return t
}

// find gives the mesh of a name.
func (p *passage) find(ctx context.Context, name string) (MeshSocket, error) {
	all, err := p.meshes(ctx)
	if err != nil {
		return MeshSocket{}, err
	}
	for _, m := range all {
		if m.Name == name {
			if m.Problem != "" {
				return m, errors.New(m.Problem)
			}
			return m, nil
		}
	}
	return MeshSocket{}, errNoMesh
}

var errNoMesh = errors.New("no mesh of that name runs here")

// pass sends a request on. Neither cookie nor token goes with it; what changes something is marked as the dashboard's.
func (p *passage) pass(w http.ResponseWriter, r *http.Request, name, path string) {
	m, err := p.find(r.Context(), name)
	switch {
	case errors.Is(err, errNoMesh):
		refuse(w, http.StatusNotFound, fmt.Errorf("ask mesh %.80q: %w", name, err))
		return
	case err != nil:
		refuse(w, http.StatusServiceUnavailable, fmt.Errorf("ask mesh %.80q: %w", name, err))
		return
	}
	proxy := &httputil.ReverseProxy{
		Transport:     p.line(m.Socket),
		FlushInterval: -1,
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.Out.URL = &url.URL{Scheme: "http", Host: "oarlock", Path: path, RawQuery: pr.In.URL.RawQuery}
			pr.Out.Host = "oarlock"
			for _, h := range []string{"Cookie", "Authorization", "Origin", "Oarlock-User"} {
				pr.Out.Header.Del(h)
			}
			pr.Out.Header.Set(clientHeader, "dashboard")
		},
		ModifyResponse: func(res *http.Response) error {
			// The doors' own headers stand; a mesh sets neither these nor cookies.
			for _, h := range []string{"Set-Cookie", "Content-Security-Policy", "X-Content-Type-Options", "Cache-Control"} {
				res.Header.Del(h)
			}
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if r.Context().Err() == nil {
				refuse(w, http.StatusServiceUnavailable, fmt.Errorf("ask mesh %.80q: its control plane gives no answer: %w", name, bareError(err)))
			}
		},
	}
	proxy.ServeHTTP(w, r)
}

// bareError leaves out what names sockets.
func bareError(err error) error {
	if op := (*net.OpError)(nil); errors.As(err, &op) {
		return op.Err
	}
	return err
}

// list asks every mesh how it is, all at once.
func (p *passage) list(ctx context.Context) ([]api.MeshEntry, error) {
	all, err := p.meshes(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	out := make([]api.MeshEntry, len(all))
	var wg sync.WaitGroup
	for i, m := range all {
		wg.Go(func() { out[i] = p.entry(ctx, m) })
	}
	wg.Wait()
	slices.SortFunc(out, func(a, b api.MeshEntry) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}

func (p *passage) entry(ctx context.Context, m MeshSocket) api.MeshEntry {
	out := api.MeshEntry{Name: m.Name, Kind: "local", Problem: m.Problem}
	if m.Problem != "" {
		return out
	}
	var status api.Status
	if err := p.ask(ctx, m.Socket, "/v1/status", &status); err != nil {
		out.Problem = fmt.Sprintf("its control plane gives no answer: %v", bareError(err))
		return out
	}
	out.Status = &status
	var over api.Overview
	if err := p.ask(ctx, m.Socket, "/v1/overview", &over); err == nil {
		out.Mode, out.Locks = over.Rule.Mode, &over.Locks
	}
	return out
}

func (p *passage) ask(ctx context.Context, socket, path string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://oarlock"+path, nil)
	if err != nil {
		return err
	}
	res, err := p.line(socket).RoundTrip(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("it answers %s", res.Status)
	}
	return json.NewDecoder(io.LimitReader(res.Body, maxListed)).Decode(into)
}

// refuse answers with an error.
func refuse(w http.ResponseWriter, status int, err error) {
	reply(w, status, api.Error{Head: api.Head{APIVersion: api.Version, Kind: "Error"}, Message: err.Error()})
}

// reply answers in JSON. Whoever has gone away hears nothing.
func reply(w http.ResponseWriter, status int, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		status, text = http.StatusInternalServerError, []byte(`{"message": "write answer: it has no JSON form"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n'))
}
