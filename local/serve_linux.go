package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/oarlock/oarlock/mesh"
)

const (
	maxDesired = 64 << 20 // bytes of a PUT /v1/desired
	longPoll   = 30 * time.Second
	maxExecs   = 64 // at a time
)

// servers are the two sockets of an engine.
type servers struct {
	http *http.Server
	exec *net.UnixListener
	stop context.CancelFunc
	wait sync.WaitGroup
}

func (e *engine) listen() (*servers, error) {
	if err := ownFolder(e.config.Paths.Run); err != nil {
		return nil, err
	}
	main, err := listenUnix(e.config.Paths.engineSocket())
	if err != nil {
		return nil, err
	}
	exec, err := listenUnix(e.config.Paths.execSocket())
	if err != nil {
		main.Close()
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	s := &servers{exec: exec, stop: stop, http: &http.Server{
		Handler: e.handler(), ReadHeaderTimeout: 10 * time.Second, BaseContext: func(net.Listener) context.Context { return ctx },
	}}
	s.wait.Go(func() { _ = s.http.Serve(main) })
	s.wait.Go(func() { e.acceptExec(ctx, s) })
	return s, nil
}

func (s *servers) close() {
	s.stop()
	s.exec.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if s.http.Shutdown(ctx) != nil {
		s.http.Close()
	}
	s.wait.Wait()
}

// listenUnix listens on a socket that only this user may use, also in the moment in which it is made: its folder is closed
// to others.
func listenUnix(path string) (*net.UnixListener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, fmt.Errorf("listen: %w", err)
	}
	return l, nil
}

func (e *engine) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /v1/desired", e.putDesired)
	mux.HandleFunc("GET /v1/state", e.getState)
	mux.HandleFunc("GET /v1/logs", e.getLogs)
	mux.HandleFunc("POST /v1/stop", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusAccepted)
		e.end()
	})
	return mux
}

func (e *engine) putDesired(w http.ResponseWriter, r *http.Request) {
	var want desired
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxDesired)).Decode(&want); err != nil {
		http.Error(w, "read desired set: "+err.Error(), http.StatusBadRequest)
		return
	}
	if err := e.apply(want); err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// getState answers at once, or with ?after=SEQ when the state is another than that, or after a while.
func (e *engine) getState(w http.ResponseWriter, r *http.Request) {
	s, change := e.state()
	after, err := strconv.ParseUint(r.URL.Query().Get("after"), 10, 64)
	if err == nil && s.Seq == after {
		t := time.NewTimer(longPoll)
		defer t.Stop()
		select {
		case <-change:
			s, _ = e.state()
		case <-t.C:
		case <-r.Context().Done():
			return
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(s)
}

func (e *engine) getLogs(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	p, err := e.find(mesh.Ref{Kind: mesh.KindPod, Namespace: q.Get("namespace"), Name: q.Get("pod")})
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	spec, err := p.container(q.Get("container"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	name := logPath(p.dir(), spec.Name)
	if _, err := os.Stat(name); err != nil {
		http.Error(w, fmt.Sprintf("read log of container %q: it has not started", spec.Name), http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(http.StatusOK)
	out := flushing{w, http.NewResponseController(w)}
	_ = out.c.Flush()
	if err := copyLog(r.Context(), out, name, q.Get("follow") == "true"); err != nil {
		e.log.Debug("read log", "log", name, "cause", err)
	}
}

// flushing sends what is written at once.
type flushing struct {
	w http.ResponseWriter
	c *http.ResponseController
}

func (f flushing) Write(b []byte) (int, error) {
	n, err := f.w.Write(b)
	if err == nil {
		err = f.c.Flush()
	}
	return n, err
}

func (e *engine) find(ref mesh.Ref) (*pod, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if p := e.pods[ref]; p != nil {
		return p, nil
	}
	return nil, fmt.Errorf("find pod %s/%s: no such pod runs", ref.Namespace, ref.Name)
}

// container finds a container of the pod; "" is its first.
func (p *pod) container(name string) (containerSpec, error) {
	p.mu.Lock()
	spec := p.spec
	if p.run != nil {
		spec = p.run.spec
	}
	p.mu.Unlock()
	if name == mesh.SidecarContainer && spec.Sidecar != nil {
		return containerSpec{Name: name}, nil
	}
	all := append(append([]containerSpec{}, spec.Containers...), spec.Init...)
	for _, c := range all {
		if name == "" || c.Name == name {
			return c, nil
		}
	}
	if name == "" && spec.Sidecar != nil {
		return containerSpec{Name: mesh.SidecarContainer}, nil
	}
	return containerSpec{}, fmt.Errorf("find container %q of pod %s/%s: it has none of that name", name, p.ref.Namespace, p.ref.Name)
}
