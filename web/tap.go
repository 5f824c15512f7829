package web

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oarlock/oarlock/api"
	"github.com/oarlock/oarlock/mesh"
)

// tap is GET /v1/tap: lines of access logs as they are written.
func (a *API) tap(w http.ResponseWriter, r *http.Request) {
	t, err := a.newTap(r)
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	if !a.enterLog() {
		w.Header().Set("Retry-After", "5")
		a.refuse(w, r, wrong(http.StatusServiceUnavailable, "tap: %d logs are followed already", maxLogStream))
		return
	}
	defer func() { <-a.taps }()
	ctx, cancel := context.WithCancel(r.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { t.follow(ctx, &wg) })
	t.send(ctx, newEventWriter(w))
}

// tapping is one tap.
type tapping struct {
	api     *API
	pods    func(n *Now) []*mesh.Pod
	want    func(*api.LogLine) bool
	lines   chan api.LogLine
	dropped atomic.Int64

	mu       sync.Mutex
	followed map[mesh.Ref]bool
}

// newTap finds out whose logs are meant.
func (a *API) newTap(r *http.Request) (*tapping, error) {
	t := &tapping{api: a, lines: make(chan api.LogLine, tapBuffer), followed: map[mesh.Ref]bool{}, want: func(*api.LogLine) bool { return true }}
	if !logIsOn(a.opt.Mesh.Now().Taken) {
		return nil, wrong(http.StatusConflict, "tap: %s", logOff)
	}
	namespace, node, edge := r.FormValue("namespace"), r.FormValue("node"), r.FormValue("edge")
	t.pods = func(n *Now) []*mesh.Pod {
		var out []*mesh.Pod
		for i := range n.Running.Pods {
			if p := &n.Running.Pods[i]; namespace == "" || p.Workload.Ref.Namespace == namespace {
				out = append(out, p)
			}
		}
		return out
	}
	if node == "" && edge == "" {
		return t, nil
	}
	p, err := a.views.get(r.Context(), baseWindow)
	if err != nil {
		return nil, err
	}
	ids := []string{node}
	switch e := p.edges[edge]; {
	case edge != "" && e == nil:
		return nil, wrong(http.StatusNotFound, "tap edge %.200q: there is none of that ID now", edge)
	case edge != "":
		ids, t.want = []string{e.From, e.To}, edgeLines(p, e)
	case p.nodes[node] == nil:
		return nil, wrong(http.StatusNotFound, "tap node %.200q: there is none of that ID now", node)
	}
	t.pods = func(n *Now) []*mesh.Pod {
		var out []*mesh.Pod
		for _, id := range ids {
			out = append(out, a.podsOf(&picture{now: n, nodes: p.nodes}, id)...)
		}
		return out
	}
	return t, nil
}

// follow reads the logs of the pods, and of those that come later, until ctx ends.
func (t *tapping) follow(ctx context.Context, wg *sync.WaitGroup) {
	for first := true; ctx.Err() == nil; first = false {
		n := t.api.opt.Mesh.Now()
		if n.Running != nil {
			s := newLogSource(n)
			for _, p := range t.pods(n) {
				if p.Workload.Capture == mesh.CaptureSidecar && t.begin(p.Workload.Ref) {
					wg.Go(func() { t.read(ctx, s, p.Workload, first) })
				}
			}
		}
		pause(ctx, tapLook)
	}
}

// begin says whether a pod's log is to be read: nobody does yet, and there are not too many.
func (t *tapping) begin(pod mesh.Ref) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.followed[pod] || len(t.followed) >= tapPods {
		return false
	}
	t.followed[pod] = true
	return true
}

// read follows one log: from its end, or that of a pod which has come since from its beginning.
func (t *tapping) read(ctx context.Context, s *logSource, pod *mesh.Workload, old bool) {
	defer func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.followed, pod.Ref)
	}()
	skip := int64(0)
	if old {
		var err error
		if skip, err = t.api.bytesBefore(ctx, pod.Ref, mesh.SidecarContainer, 0); err != nil {
			return
		}
	}
	in, err := t.api.opt.Engine.Logs(ctx, pod.Ref, mesh.SidecarContainer, true)
	if err != nil {
		return
	}
	defer in.Close()
	if _, err := io.CopyN(io.Discard, in, skip); err != nil {
		return
	}
	_ = eachLine(in, func(text string) bool { // its end is that of the pod, or ctx
		if one, ok := s.line(pod, text); ok && t.want(&one) {
			select {
			case t.lines <- one:
			default:
				t.dropped.Add(1)
			}
		}
		return ctx.Err() == nil
	})
}

// send writes lines to whoever taps.
func (t *tapping) send(ctx context.Context, out *eventWriter) {
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	if out.comment("access logs") != nil {
		return
	}
	for {
		var b []byte
		var err error
		select {
		case one := <-t.lines:
			if b, err = appendEvent(out.buf[:0], 0, "line", one); err != nil {
				return
			}
			for len(t.lines) > 0 && len(b) < 64<<10 {
				if b, err = appendEvent(b, 0, "line", <-t.lines); err != nil {
					return
				}
			}
		case <-beat.C:
			b = []byte(": still here\n\n")
		case <-ctx.Done():
			return
		}
		if n := t.dropped.Swap(0); n > 0 {
			if b, err = appendEvent(b, 0, "dropped", api.LogLine{Time: time.Now(), Text: fmt.Sprintf("%d lines came too fast and are left out", n)}); err != nil {
				return
			}
		}
		if out.send(slices.Clip(b)) != nil {
			return
		}
	}
}
