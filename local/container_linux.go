package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/oarlock/oarlock/mesh"
	"golang.org/x/sys/unix"
)

const (
	firstBackOff = 10 * time.Millisecond
	lastBackOff  = 10 * time.Second
	// settled is how long a process runs until its next end counts as the first.
	settled = 10 * time.Second
)

// container is one process of a pod that is restarted. The sidecar is one.
type container struct {
	pod  *podRun
	spec containerSpec
	log  string
	// policy is Always, OnFailure or Never.
	policy string
	grace  time.Duration
	// check says whether a process that runs is ready; nil: by the spec's probes.
	check *probeSpec
	// socket is one that the process makes, and that a killed one leaves behind; "" none.
	socket string

	mu       sync.Mutex
	proc     *process
	ready    bool
	restarts int
	why      string // it is not ready, or was restarted last
	ended    bool   // for good, with code
	code     int
}

// run keeps the process running until ctx ends, then stops it. It returns when the process is gone for good.
func (c *container) run(ctx context.Context) {
	back := firstBackOff
	for {
		started := time.Now()
		code, how := c.once(ctx)
		if ctx.Err() != nil {
			return
		}
		if c.policy == "Never" || c.policy == "OnFailure" && code == 0 {
			c.set(func() { c.ended, c.code, c.ready, c.why = true, code, false, how })
			return
		}
		if time.Since(started) > settled {
			back = firstBackOff
		}
		c.set(func() {
			c.restarts++
			c.ready, c.why = false, how
			if back > time.Second {
				c.why = "CrashLoopBackOff: " + how
				if c.spec.Hint != "" {
					c.why += "; " + c.spec.Hint
				}
			}
		})
		c.pod.e.log.Info("restart", "pod", c.pod.name(), "container", c.spec.Name, "cause", how, "after", back)
		if !sleep(ctx, back) {
			return
		}
		back = min(2*back, lastBackOff)
	}
}

// once starts the process and waits for its end, or ends it when ctx ends or it does not live.
func (c *container) once(ctx context.Context) (code int, how string) {
	if c.socket != "" {
		_ = os.Remove(c.socket)
	}
	p, err := c.pod.e.spawn.spawn(launch{
		argv: c.spec.Argv, env: c.pod.e.environ(c.pod, c.spec.Env), dir: c.spec.Dir, log: c.log, start: c.pod.starter(c.spec.Name == mesh.SidecarContainer),
	})
	if err != nil {
		return 127, fmt.Sprintf("container %q: %v", c.spec.Name, err)
	}
	c.set(func() { c.proc = p })
	probing, stop := context.WithCancel(ctx)
	var wait sync.WaitGroup
	dead := make(chan string, 1)
	wait.Go(func() { c.probe(probing, dead) })
	select {
	case <-p.done:
		how = fmt.Sprintf("container %q %s", c.spec.Name, p.how)
	case how = <-dead:
		p.stop(c.grace)
	case <-ctx.Done():
		p.stop(c.grace)
	}
	stop()
	wait.Wait()
	c.set(func() { c.proc, c.ready = nil, false })
	return p.code, how
}

func (c *container) set(change func()) {
	c.mu.Lock()
	change()
	c.mu.Unlock()
	c.pod.e.changed()
}

// probe asks the container's probes until ctx ends: startup first, then the two others beside each other. It sends to dead
// why the container shall be ended.
func (c *container) probe(ctx context.Context, dead chan<- string) {
	if c.check != nil {
		c.repeat(ctx, c.check, c.setReady)
		return
	}
	if s := c.spec.Startup; s != nil {
		started, stop := context.WithCancel(ctx)
		failed := false
		c.repeat(started, s, func(err error) {
			if err != nil {
				failed = true
				dead <- fmt.Sprintf("startup probe of container %q failed: %v", c.spec.Name, err)
			}
			stop()
		})
		stop()
		if failed || ctx.Err() != nil {
			return
		}
	}
	var wait sync.WaitGroup
	defer wait.Wait()
	if s := c.spec.Liveness; s != nil {
		wait.Go(func() {
			living, stop := context.WithCancel(ctx)
			defer stop()
			c.repeat(living, s, func(err error) {
				if err != nil {
					dead <- fmt.Sprintf("liveness probe of container %q failed: %v", c.spec.Name, err)
					stop()
				}
			})
		})
	}
	if s := c.spec.Readiness; s != nil {
		c.repeat(ctx, s, c.setReady)
		return
	}
	c.awaitPorts(ctx)
	if ctx.Err() == nil {
		c.setReady(nil)
	}
}

func (c *container) setReady(err error) {
	c.mu.Lock()
	why := ""
	if err != nil {
		why = fmt.Sprintf("readiness probe of container %q failed: %v", c.spec.Name, err)
	}
	same := c.ready == (err == nil) && (err == nil || c.why == why)
	c.ready = err == nil
	if err != nil {
		c.why = why
	}
	c.mu.Unlock()
	if !same {
		c.pod.e.changed()
	}
}

// early is how long a probe that has not succeeded yet is made more often than its period says, so that a mesh starts
// quickly, and without counting its failures.
const (
	early       = 10 * time.Second
	earlyPeriod = 50 * time.Millisecond
)

// repeat makes the probe until ctx ends, and tells the answer: nil after enough successes, the last error after enough
// failures.
func (c *container) repeat(ctx context.Context, spec *probeSpec, tell func(error)) {
	s := spec.filled()
	if !sleep(ctx, s.Delay) {
		return
	}
	begin := time.Now()
	begun := spec == c.spec.Liveness // which has no early time
	for good, bad := 0, 0; ctx.Err() == nil; {
		err := s.check(ctx, c.exec)
		quick := !begun && time.Since(begin) < early && s.Period > earlyPeriod
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			good, bad, begun = good+1, 0, true
			if good >= s.Successes {
				tell(nil)
			}
		case quick:
			c.notYet(err)
		default:
			good, bad = 0, bad+1
			if bad >= s.Failures {
				tell(err)
			}
		}
		wait := s.Period
		if quick && err != nil {
			wait = earlyPeriod
		}
		if !sleep(ctx, wait) {
			return
		}
	}
}

// notYet says why a container that never was ready is not.
func (c *container) notYet(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ready && c.why == "" {
		c.why = fmt.Sprintf("container %q is not ready yet: %v", c.spec.Name, err)
	}
}

// exec runs a command as the container, for a probe.
func (c *container) exec(ctx context.Context, argv []string) (int, error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	p, err := c.pod.e.spawn.spawn(launch{argv: argv, env: c.pod.e.environ(c.pod, c.spec.Env), dir: c.spec.Dir, files: [3]*os.File{null, null, null}, start: c.pod.starter(false)})
	if err != nil {
		return 0, err
	}
	select {
	case <-p.done:
		return p.code, nil
	case <-ctx.Done():
		p.signal(unix.SIGKILL)
		<-p.done
		return 0, errors.New("command took too long")
	}
}

func (c *container) state() containerState {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := containerState{Name: c.spec.Name, Restarts: c.restarts}
	if c.proc != nil {
		s.PID = c.proc.id.PID
	}
	return s
}

func logPath(dir, containerName string) string {
	return filepath.Join(dir, "logs", filepath.Base(containerName)+".log")
}

// sidecarPeriod is how often a sidecar that is ready is asked whether it still is. Its end is seen at once, without asking;
// this is for one that hangs, and a hundred sidecars are asked on one machine.
const sidecarPeriod = 3 * time.Second

// sidecarContainer makes the sidecar a container like the others.
func sidecarContainer(r *podRun, argv []string) *container {
	s := r.spec.Sidecar
	drain := s.Drain + 2*time.Second
	return &container{
		pod: r, log: logPath(r.spec.Dir, mesh.SidecarContainer), policy: "Always", grace: drain, socket: s.Bootstrap.Admin.Socket,
		spec:  containerSpec{Name: mesh.SidecarContainer, Argv: argv, Dir: filepath.Join(r.spec.Dir, mesh.SidecarContainer)},
		check: &probeSpec{HTTP: s.Ready, Period: sidecarPeriod, Timeout: time.Second, Successes: 1, Failures: 2},
	}
}
