package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oarlock/oarlock/mesh"
	"golang.org/x/sys/unix"
)

// engine is the process that runs a mesh.
type engine struct {
	config engineConfig
	log    *slog.Logger
	spawn  *spawner
	inner  *inner // nil with explicit capture

	ending atomic.Bool // everything stops
	seq    atomic.Uint64
	dirty  chan struct{} // something changed that run.json holds

	applying sync.Mutex // held during apply; guards forwards
	forwards *forwards

	mu       sync.Mutex
	change   chan struct{} // closed with every change
	want     desired
	applied  bool
	pods     map[mesh.Ref]*pod
	leaving  map[*pod]bool  // removed and not gone yet
	problems []mesh.Problem // of forwarders and of the state folder
	control  *controlRun

	stop     context.CancelFunc
	removing bool // the mesh's folders go with it
}

// Serve is the engine's process: it runs what Clients send it until ctx ends, a Client stops it, or the lease that its
// starter holds ends. The file is what Start wrote. It returns when nothing runs any more.
//
// When ctx ends the mesh's folder stays, so that the mesh is the same when it comes back; otherwise it is removed.
func Serve(ctx context.Context, configFile string, log *slog.Logger) error {
	e, err := newEngine(configFile, log)
	if err != nil {
		return fmt.Errorf("run mesh: %w", err)
	}
	if err := e.serve(ctx); err != nil {
		return fmt.Errorf("run mesh %s: %w", e.config.Paths.Name, err)
	}
	return nil
}

func newEngine(configFile string, log *slog.Logger) (*engine, error) {
	var c engineConfig
	if _, err := os.Stat(configFile); err != nil {
		return nil, err
	}
	if err := readJSON(configFile, &c); err != nil {
		return nil, err
	}
	if c.Version != configVersion {
		return nil, fmt.Errorf("read %s: version %d: this program reads %d", configFile, c.Version, configVersion)
	}
	e := &engine{config: c, log: log, dirty: make(chan struct{}, 1), change: make(chan struct{}), pods: map[mesh.Ref]*pod{}, leaving: map[*pod]bool{}}
	e.forwards = newForwards(e.ready, log)
	return e, nil
}

func (e *engine) serve(ctx context.Context) (err error) {
	if e.config.Capture == CaptureTransparent {
		if !isInner() {
			return e.serveOutside(ctx)
		}
		if err := e.openFabric(); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, e.inner.close()) }()
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		e.log.Warn("become subreaper", "cause", err)
	}
	ctx, e.stop = context.WithCancel(ctx)
	defer e.stop()
	e.spawn = newSpawner()
	if err := e.writeRun(); err != nil {
		e.spawn.close()
		return err
	}
	servers, err := e.listen()
	if err != nil {
		e.spawn.close()
		return err
	}
	var wait sync.WaitGroup
	side, stopSide := context.WithCancel(context.Background())
	wait.Go(func() { e.keepRun(side) })
	wait.Go(func() { e.keepLogs(side) })
	wait.Go(func() { e.keepLooking(side) })
	if e.inner != nil {
		wait.Go(func() { e.inner.run(side, e) })
	} else {
		if e.config.Lease {
			e.watchLease(side)
		}
		e.startControl()
	}
	e.log.Info("mesh runs", "name", e.config.Paths.Name, "pid", os.Getpid())
	<-ctx.Done()
	e.teardown()
	servers.close()
	stopSide()
	wait.Wait()
	e.spawn.close()
	e.mu.Lock()
	removing := e.removing
	e.mu.Unlock()
	if e.inner != nil { // the outer process does the rest
		if removing {
			err = writeFile(filepath.Join(e.config.Paths.State, endingFile), nil, 0o600)
		}
		return err
	}
	killMarked(markVariable, e.config.Mark)
	return e.leave(removing)
}

// leave removes the sockets, and what else is not needed any more.
func (e *engine) leave(removing bool) error {
	p := e.config.Paths
	if removing {
		err := errors.Join(os.RemoveAll(p.Run), os.RemoveAll(p.State))
		removeEmpty(p)
		return err
	}
	return errors.Join(os.RemoveAll(p.Run), os.Remove(p.run()))
}

// watchLease ends the mesh when the other end of the lease is closed, as it is when its holder ends in whatever way. Its
// goroutine ends with the process: nothing else can interrupt a read of a pipe that was inherited.
func (e *engine) watchLease(ctx context.Context) {
	lease := os.NewFile(leaseFD, "lease")
	go func() {
		_, _ = io.Copy(io.Discard, lease)
		if ctx.Err() == nil {
			e.log.Info("lease ended")
			e.end()
		}
	}()
}

// end stops everything and removes the mesh's folders.
func (e *engine) end() {
	e.mu.Lock()
	e.removing = true
	e.mu.Unlock()
	e.ending.Store(true)
	e.stop()
}

func (e *engine) stopping() bool { return e.ending.Load() }

// teardown stops the control plane, so that it sends nothing more, and then all pods at once.
func (e *engine) teardown() {
	e.ending.Store(true)
	e.stopControl()
	e.mu.Lock()
	list := slices.Collect(maps.Values(e.pods))
	list = append(list, slices.Collect(maps.Keys(e.leaving))...)
	e.mu.Unlock()
	for _, p := range list {
		p.remove()
	}
	for _, p := range list {
		<-p.done
	}
	e.applying.Lock()
	e.forwards.close()
	e.applying.Unlock()
}

// changed wakes those who wait for another state.
func (e *engine) changed() {
	e.mu.Lock()
	e.seq.Add(1)
	close(e.change)
	e.change = make(chan struct{})
	e.mu.Unlock()
	select {
	case e.dirty <- struct{}{}:
	default:
	}
}

// apply makes want be what runs. It returns when every change is under way, not when it is done.
func (e *engine) apply(want desired) error {
	if want.Version != wireVersion {
		return fmt.Errorf("apply: version %d: this engine takes %d", want.Version, wireVersion)
	}
	if len(want.Pods) > 4*MaxPods+1 {
		return fmt.Errorf("apply: %d pods: this machine runs %d at most", len(want.Pods), MaxPods)
	}
	e.applying.Lock()
	defer e.applying.Unlock()
	if e.stopping() {
		return errors.New("apply: the mesh is stopping")
	}
	err := e.applyPods(want)
	problems := e.forwards.set(want.Forwards)
	if err != nil {
		problems = append(problems, mesh.Problem{Severity: mesh.Error, Message: err.Error()})
	}
	e.mu.Lock()
	e.problems = problems
	e.mu.Unlock()
	e.startMissing()
	e.changed()
	return err
}

// applyPods changes the pods that there are.
func (e *engine) applyPods(want desired) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.want, e.applied = want, true
	keep := map[mesh.Ref]bool{}
	for _, s := range want.Pods {
		keep[s.ref()] = true
	}
	for ref, p := range e.pods {
		if !keep[ref] {
			p.remove()
			delete(e.pods, ref)
			e.leaving[p] = true
			go e.forget(p)
		}
	}
	var errs []error
	for _, s := range want.Pods {
		if p := e.pods[s.ref()]; p != nil {
			errs = append(errs, p.want(s))
		}
	}
	return errors.Join(errs...)
}

// startMissing starts the pods that are wanted and not there, but for those whose former run has not ended yet.
func (e *engine) startMissing() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stopping() {
		return
	}
	busy := map[mesh.Ref]bool{}
	for p := range e.leaving {
		busy[p.ref] = true
	}
	for _, s := range e.want.Pods {
		if e.pods[s.ref()] == nil && !busy[s.ref()] {
			p := &pod{e: e, ref: s.ref(), spec: s, done: make(chan struct{}), cancel: func() {}}
			e.pods[s.ref()] = p
			go p.loop()
		}
	}
}

// forget waits for the end of a removed pod, and removes its folder.
func (e *engine) forget(p *pod) {
	<-p.done
	e.mu.Lock()
	delete(e.leaving, p)
	e.mu.Unlock()
	if err := os.RemoveAll(p.dir()); err != nil {
		e.log.Warn("remove pod", "pod", p.ref, "cause", err)
	}
	e.startMissing()
	e.changed()
}

func (e *engine) ready(ref mesh.Ref) bool {
	e.mu.Lock()
	p := e.pods[ref]
	e.mu.Unlock()
	if p == nil {
		return false
	}
	r := p.current()
	return r != nil && r.state().Ready
}

// state says everything, and gives the channel that is closed when it is another.
func (e *engine) state() (*state, <-chan struct{}) {
	e.mu.Lock()
	s := &state{Version: wireVersion, Seq: e.seq.Load(), Engine: e.identity(), Applied: e.applied,
		ServiceIPs: e.want.ServiceIPs, Capture: e.want.Capture, CaptureWhy: e.want.CaptureWhy}
	s.Problems = append(slices.Clone(e.want.Problems), e.problems...)
	change := e.change
	control := e.control
	e.mu.Unlock()
	for _, p := range e.list() {
		s.Pods = append(s.Pods, p.state())
		s.Problems = append(s.Problems, p.problems()...)
	}
	s.Problems = unique(s.Problems)
	switch {
	case control != nil:
		s.Control = control.state()
	case e.inner != nil:
		s.Control = e.inner.controlState()
	}
	return s, change
}

// identity is that of the process which Start started.
func (e *engine) identity() processID {
	if e.inner != nil {
		return e.inner.outer
	}
	return identify(os.Getpid())
}

// list gives the pods by namespace and name.
func (e *engine) list() []*pod {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.SortedFunc(maps.Values(e.pods), func(a, b *pod) int { return a.ref.Compare(b.ref) })
}

// unique drops what replicas say once more.
func unique(list []mesh.Problem) []mesh.Problem {
	var out []mesh.Problem
	seen := map[mesh.Problem]bool{}
	for _, p := range list {
		if !seen[p] {
			out = append(out, p)
		}
		seen[p] = true
	}
	return out
}

// sidecarArgv is how a sidecar is started: the lean program where it lies beside this one.
func (e *engine) sidecarArgv() []string {
	lean := filepath.Join(filepath.Dir(e.config.Executable), "oarlock-proxy")
	if st, err := os.Stat(lean); err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
		return []string{lean}
	}
	return []string{e.config.Executable, "proxy"}
}

// inherited are the variables that a container gets from the engine's environment; the rest would be chance.
var inherited = []string{"PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR", "GOCOVERDIR"}

// environ is what a process of a pod has: a few of the engine's variables, its own, and the marks by which it is found.
func (e *engine) environ(r *podRun, own []string) []string {
	var out []string
	for _, n := range inherited {
		if v, ok := os.LookupEnv(n); ok && lookup(own, n) == "" {
			out = append(out, n+"="+v)
		}
	}
	if lookup(append(out, own...), "PATH") == "" {
		out = append(out, "PATH=/usr/local/bin:/usr/bin:/bin")
	}
	out = append(out, own...)
	return append(out, markVariable+"="+e.config.Mark, podVariable+"="+r.mark(e))
}

// mark is of this pod and no other, in no other mesh.
func (r *podRun) mark(e *engine) string { return e.config.Mark + "/" + r.name() }

// killPod ends what a pod's processes left behind: what gave itself a group of its own.
func (e *engine) killPod(r *podRun) { killMarked(podVariable, r.mark(e)) }

// lookup gives the value of the last NAME=VALUE.
func lookup(env []string, name string) string {
	for _, v := range slices.Backward(env) {
		if value, ok := strings.CutPrefix(v, name+"="); ok {
			return value
		}
	}
	return ""
}

// keepRun writes run.json after changes, a few times a second at most.
func (e *engine) keepRun(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-e.dirty:
		}
		if err := e.writeRun(); err != nil {
			e.log.Warn("write state", "cause", err)
		}
		sleep(ctx, 200*time.Millisecond)
	}
}

// writeRun records what runs, for those who come when this process is gone.
func (e *engine) writeRun() error {
	s, _ := e.state()
	r := runRecord{Version: runVersion, Name: e.config.Paths.Name, Engine: s.Engine, Mark: e.config.Mark, Started: e.config.Started}
	if e.inner != nil {
		r.Children = append(r.Children, identify(os.Getpid()))
	}
	for _, p := range s.Pods {
		for _, c := range p.Containers {
			if id := identify(c.PID); id.PID > 0 {
				r.Children = append(r.Children, id)
			}
		}
	}
	if s.Control != nil {
		if id := identify(s.Control.PID); id.PID > 0 {
			r.Children = append(r.Children, id)
		}
	}
	return writeJSON(e.config.Paths.run(), r)
}

// logsListed is how many seconds the list of logs is good for.
const logsListed = 10

// keepLogs keeps the logs short.
func (e *engine) keepLogs(ctx context.Context) {
	var names []string
	for n := 0; sleep(ctx, time.Second); n++ {
		if n%logsListed == 0 {
			names = e.logs()
		}
		for _, n := range names {
			if err := rotateLog(n, MaxLog); err != nil {
				e.log.Warn("rotate log", "cause", err)
			}
		}
	}
}

// logs lists the logs that there are.
func (e *engine) logs() []string {
	names := []string{e.config.Paths.EngineLog(), e.config.Paths.ControlLog()}
	for _, p := range e.list() {
		found, _ := filepath.Glob(filepath.Join(p.dir(), "logs", "*.log"))
		names = append(names, found...)
	}
	return names
}
