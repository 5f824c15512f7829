package local

import (
	"context"
	"os"
	"sync"
	"time"
)

// controlGrace is how long the control plane may take to end.
const controlGrace = 5 * time.Second

// controlRun is the control plane as a process that is started again whenever it ends. Pods do not notice.
type controlRun struct {
	e      *engine
	cancel context.CancelFunc
	done   chan struct{}

	mu       sync.Mutex
	proc     *process
	restarts int
	why      string
}

func (e *engine) startControl() {
	if len(e.config.Control) == 0 {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := &controlRun{e: e, cancel: cancel, done: make(chan struct{})}
	e.mu.Lock()
	e.control = c
	e.mu.Unlock()
	go c.run(ctx)
}

func (e *engine) stopControl() {
	e.mu.Lock()
	c := e.control
	e.mu.Unlock()
	if c != nil {
		c.cancel()
		<-c.done
	}
}

func (c *controlRun) run(ctx context.Context) {
	defer close(c.done)
	back := firstBackOff
	for ctx.Err() == nil {
		started := time.Now()
		how := c.once(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(started) > settled {
			back = firstBackOff
		}
		c.set(func() { c.proc, c.why = nil, how; c.restarts++ })
		c.e.log.Warn("restart control plane", "cause", how, "after", back)
		sleep(ctx, back)
		back = min(2*back, lastBackOff)
	}
}

func (c *controlRun) once(ctx context.Context) string {
	// It is our own program: it has our whole environment.
	p, err := c.e.spawn.spawn(launch{argv: c.e.config.Control, env: append(os.Environ(), markVariable+"="+c.e.config.Mark), log: c.e.config.Paths.ControlLog()})
	if err != nil {
		return err.Error()
	}
	c.set(func() { c.proc = p })
	select {
	case <-p.done:
	case <-ctx.Done():
		p.stop(controlGrace)
	}
	return p.how
}

func (c *controlRun) set(change func()) {
	c.mu.Lock()
	change()
	c.mu.Unlock()
	c.e.changed()
}

func (c *controlRun) state() *controlState {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &controlState{Restarts: c.restarts, Reason: c.why}
	if c.proc != nil {
		s.PID = c.proc.id.PID
	}
	return s
}
