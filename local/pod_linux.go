package local

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/oarlock/oarlock/mesh"
)

const (
	// sidecarBound is how long the application waits for its sidecar.
	sidecarBound = 10 * time.Second
	// leaveDelay is how long a ready pod that ends goes on serving after it was said not to be ready, so that its callers
	// hear of it before its socket closes.
	leaveDelay = 100 * time.Millisecond
)

// pod runs what is wanted under one name, one run after another.
type pod struct {
	e   *engine
	ref mesh.Ref

	mu     sync.Mutex
	spec   podSpec // wanted
	run    *podRun // nil between two runs
	gone   bool    // wanted no more
	cancel context.CancelFunc
	done   chan struct{}
}

func (p *pod) loop() {
	defer close(p.done)
	for {
		p.mu.Lock()
		if p.gone {
			p.mu.Unlock()
			return
		}
		ctx, cancel := context.WithCancel(context.Background())
		r := &podRun{e: p.e, spec: p.spec, started: time.Now()}
		p.run, p.cancel = r, cancel
		p.mu.Unlock()
		p.e.changed()
		r.run(ctx)
		<-ctx.Done() // one that has finished stays to be seen
		cancel()
	}
}

// want changes what runs: what can change in a running pod at once, the rest by a new run.
func (p *pod) want(spec podSpec) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	old := p.spec
	p.spec = spec
	if old.Fingerprint != spec.Fingerprint || old.Blocked != spec.Blocked || old.Failed != spec.Failed {
		p.cancel()
		return nil
	}
	if p.run == nil {
		return nil
	}
	p.run.relabel(spec.Workload)
	if spec.Blocked != "" || spec.Failed != "" {
		return nil
	}
	return p.run.writeFiles(spec.Files)
}

func (p *pod) remove() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gone = true
	p.cancel()
}

func (p *pod) dir() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.spec.Dir
}

func (p *pod) state() podState {
	p.mu.Lock()
	r, spec := p.run, p.spec
	p.mu.Unlock()
	if r == nil {
		return podState{Workload: spec.Workload, Phase: mesh.PhasePending, Dir: spec.Dir}
	}
	return r.state()
}

func (p *pod) problems() []mesh.Problem {
	r := p.current()
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.problems
}

func (p *pod) current() *podRun {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.run
}

// podRun is one run of a pod, from its first process to its last.
type podRun struct {
	e       *engine
	spec    podSpec
	started time.Time

	mu         sync.Mutex
	sidecar    *container
	containers []*container // and native sidecars, in order of start
	phase      mesh.Phase
	reason     string // why it has not come further
	leaving    bool
	files      map[string]fileSpec // as written
	problems   []mesh.Problem      // found while it runs
	ns         *PodNamespace       // nil with explicit capture
}

func (r *podRun) name() string { return r.spec.ref().Namespace + "/" + r.spec.ref().Name }

func (r *podRun) relabel(w *mesh.Workload) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.spec.Workload = w
}

func (r *podRun) to(phase mesh.Phase, reason string) {
	r.mu.Lock()
	r.phase, r.reason = phase, reason
	r.mu.Unlock()
	r.e.changed()
}

// run goes from the pod's files over its sidecar and its init containers to its containers, and back when ctx ends.
func (r *podRun) run(ctx context.Context) {
	switch {
	case r.spec.Failed != "":
		r.to(mesh.PhaseFailed, r.spec.Failed)
		return
	case r.spec.Blocked != "":
		r.to(mesh.PhasePending, r.spec.Blocked)
		return
	}
	r.to(mesh.PhasePending, "it is starting")
	defer r.unplug()
	if !r.retry(ctx, r.prepare) {
		return
	}
	defer r.e.killPod(r)
	side, stopSide := context.WithCancel(context.Background())
	var sidecars sync.WaitGroup
	defer func() { stopSide(); sidecars.Wait() }()
	if r.spec.Sidecar != nil {
		c := sidecarContainer(r, append(r.e.sidecarArgv(), "--bootstrap", filepath.Join(r.spec.Dir, bootstrapFile)))
		r.mu.Lock()
		r.sidecar = c
		r.mu.Unlock()
		sidecars.Go(func() { c.run(side) })
		r.awaitSidecar(ctx, c)
	}
	if !r.init(ctx, side, &sidecars) {
		return
	}
	if r.awaitCallees(ctx); ctx.Err() == nil { // else nothing begins that had to be ended at once
		r.main(ctx)
	}
}

// retry does something until it succeeds, and says false when ctx ended first.
func (r *podRun) retry(ctx context.Context, do func() error) bool {
	for back := firstBackOff; ctx.Err() == nil; back = min(2*back, lastBackOff) {
		err := do()
		if err == nil {
			return true
		}
		r.to(mesh.PhasePending, err.Error())
		sleep(ctx, back)
	}
	return false
}

// prepare makes the pod's folder.
func (r *podRun) prepare() error {
	for _, dir := range append([]string{"", "logs"}, r.spec.Folders...) {
		if err := ownFolder(filepath.Join(r.spec.Dir, dir)); err != nil {
			return err
		}
	}
	if err := r.plugIn(); err != nil {
		return err
	}
	r.mu.Lock()
	files := r.spec.Files
	r.mu.Unlock()
	if err := r.writeFiles(files); err != nil {
		return err
	}
	if r.spec.Sidecar == nil {
		return nil
	}
	b, err := json.MarshalIndent(r.spec.Sidecar.Bootstrap, "", "\t")
	if err != nil {
		return fmt.Errorf("write bootstrap: %w", err)
	}
	return writeFile(filepath.Join(r.spec.Dir, bootstrapFile), append(b, '\n'), 0o600)
}

// writeFiles writes the files that are new or changed, each at once, and removes those that are no more.
func (r *podRun) writeFiles(files []fileSpec) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.spec.Files = files // also for a start that is tried again
	now := map[string]fileSpec{}
	for _, f := range files {
		if old, ok := r.files[f.Path]; !ok || old.Mode != f.Mode || !bytes.Equal(old.Content, f.Content) {
			name := filepath.Join(r.spec.Dir, f.Path)
			if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
				return fmt.Errorf("write %s: %w", name, err)
			}
			if err := writeFile(name, f.Content, fs.FileMode(f.Mode)); err != nil {
				return err
			}
		}
		now[f.Path] = f
	}
	for path := range r.files {
		if _, ok := now[path]; !ok {
			_ = os.Remove(filepath.Join(r.spec.Dir, path))
		}
	}
	r.files = now
	return nil
}

// awaitSidecar gives the sidecar time to get its configuration before the application calls somebody. When it takes too
// long the application starts nevertheless, as in a cluster.
func (r *podRun) awaitSidecar(ctx context.Context, c *container) {
	deadline := time.Now().Add(sidecarBound)
	for ctx.Err() == nil && time.Now().Before(deadline) {
		c.mu.Lock()
		ready := c.ready
		c.mu.Unlock()
		if ready || !sleep(ctx, 5*time.Millisecond) {
			return
		}
	}
}

// init runs the init containers one after another; native sidecars stay.
func (r *podRun) init(ctx, side context.Context, sidecars *sync.WaitGroup) bool {
	for _, spec := range r.spec.Init {
		c := r.newContainer(spec)
		if spec.Keep {
			c.policy = "Always"
			r.add(c)
			sidecars.Go(func() { c.run(side) })
			continue
		}
		if c.policy == "Always" {
			c.policy = "OnFailure"
		}
		r.to(mesh.PhasePending, fmt.Sprintf("init container %q runs", spec.Name))
		c.run(ctx)
		if ctx.Err() != nil {
			return false
		}
		if c.code != 0 {
			r.to(mesh.PhaseFailed, c.why)
			return false
		}
	}
	return true
}

func (r *podRun) newContainer(spec containerSpec) *container {
	return &container{pod: r, spec: spec, log: logPath(r.spec.Dir, spec.Name), policy: r.spec.Restart, grace: r.spec.Grace}
}

func (r *podRun) add(c *container) {
	r.mu.Lock()
	r.containers = append(r.containers, c)
	r.mu.Unlock()
}

// main runs the containers until ctx ends or all have ended for good.
func (r *podRun) main(ctx context.Context) {
	inner, stop := context.WithCancel(context.Background())
	defer stop()
	var wait sync.WaitGroup
	var list []*container
	for _, spec := range r.spec.Containers {
		c := r.newContainer(spec)
		r.add(c)
		list = append(list, c)
		wait.Go(func() { c.run(inner) })
	}
	r.to(mesh.PhaseRunning, "")
	var ended chan struct{} // of a gateway, which is its sidecar alone, never
	if len(list) > 0 {
		all := make(chan struct{})
		ended = all
		go func() { wait.Wait(); close(all) }() // waited for by both branches below
	}
	select {
	case <-ctx.Done():
		r.leave()
		stop()
		wait.Wait()
	case <-ended:
		r.finish(list)
	}
}

// leave says that the pod is not ready any more, and lets that be heard.
func (r *podRun) leave() {
	was := r.state().Ready
	r.mu.Lock()
	r.leaving = true
	r.mu.Unlock()
	r.e.changed()
	if was && r.spec.Sidecar != nil && !r.e.stopping() {
		time.Sleep(leaveDelay)
	}
}

func (r *podRun) finish(list []*container) {
	for _, c := range list {
		if c.code != 0 {
			r.to(mesh.PhaseFailed, c.why)
			return
		}
	}
	r.to(mesh.PhaseSucceeded, "")
}

// state says how the run is.
func (r *podRun) state() podState {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := podState{Workload: r.spec.Workload, Phase: r.phase, Reason: r.reason, Started: r.started, Dir: r.spec.Dir, Host: r.spec.Host}
	all := slices.Clone(r.containers)
	if r.sidecar != nil {
		all = append([]*container{r.sidecar}, all...)
		s.Admin = r.spec.Sidecar.Bootstrap.Admin.Socket
	}
	s.Ready = r.phase == mesh.PhaseRunning && !r.leaving
	var not, restarted string
	for _, c := range all {
		st := c.state()
		s.Containers = append(s.Containers, st)
		s.Restarts += st.Restarts
		c.mu.Lock()
		if !c.ready && !c.ended {
			s.Ready = false
			if not == "" {
				not = c.why
			}
			if not == "" {
				not = fmt.Sprintf("container %q is not ready yet", c.spec.Name)
			}
		} else if c.why != "" && restarted == "" && c.restarts > 0 {
			restarted = "restarted: " + c.why
		}
		c.mu.Unlock()
	}
	switch {
	case r.leaving:
		s.Reason = "it is ending"
	case r.phase == mesh.PhaseSucceeded || r.phase == mesh.PhaseFailed:
	case s.Reason == "" && not != "":
		s.Reason = not
	case s.Reason == "":
		s.Reason = restarted
	}
	if s.Phase == "" {
		s.Phase = mesh.PhasePending
	}
	return s
}
