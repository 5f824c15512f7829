package demoapp

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// maxInFlight bounds the calls to one target that generate has under way.
const maxInFlight = 256

// generate makes all calls at Config.Rate until ctx ends, then waits for those under way, at most for the grace. Callers
// that are asked only on behalf of others need no generator.
func (a *App) generate(ctx context.Context) {
	if a.cfg.Rate == 0 {
		return
	}
	left, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	var calling sync.WaitGroup
	free := make([]chan struct{}, len(a.callers))
	for i := range free {
		free[i] = make(chan struct{}, maxInFlight)
	}
	tick := time.NewTicker(max(1, time.Duration(float64(time.Second)/a.cfg.Rate)))
	defer tick.Stop()
	for {
		for i, c := range a.callers {
			select {
			case free[i] <- struct{}{}:
				calling.Go(func() {
					defer func() { <-free[i] }()
					a.make(left, c, nil)
				})
			default:
				a.counters.skip(c.target())
			}
		}
		select {
		case <-tick.C:
			if ctx.Err() == nil {
				continue
			}
		case <-ctx.Done():
		}
		break
	}
	stop := time.AfterFunc(max(0, a.cfg.Grace), cancel)
	defer stop.Stop()
	calling.Wait()
}

// make makes one call, counts it, and logs it where it failed. headers are those of the request on whose behalf it is.
func (a *App) make(ctx context.Context, c caller, headers http.Header) outcome {
	ctx, cancel := context.WithTimeout(ctx, a.cfg.Timeout)
	defer cancel()
	out := c.call(ctx, headers)
	a.counters.send(c.target(), out.Result, out.OK)
	switch {
	case out.OK:
		a.cfg.Log.Debug("called", "target", out.Target, "result", out.Result)
	default:
		if n, ok := a.fails.take(out.Target, time.Now()); ok {
			a.cfg.Log.Warn("call failed", "target", out.Target, "result", out.Result, "error", out.Error, "unlogged", n)
		}
	}
	return out
}

// limiter lets one line a second through for each target.
type limiter struct {
	mu   sync.Mutex
	last map[string]time.Time
	held map[string]int
}

func newLimiter() *limiter { return &limiter{last: map[string]time.Time{}, held: map[string]int{}} }

// take says whether a line may be written now, and how many were held back since the last one.
func (l *limiter) take(target string, now time.Time) (int, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if last, ok := l.last[target]; ok && now.Sub(last) < time.Second {
		l.held[target]++
		return 0, false
	}
	n := l.held[target]
	l.last[target], l.held[target] = now, 0
	return n, true
}
