package proxy

import (
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// outlier is what is known of an endpoint's health.
type outlier struct {
	failures5xx, gateway, local atomic.Uint32 // in a row
	until                       atomic.Int64  // unix nanoseconds of the end of the ejection, 0 none
	times                       atomic.Uint32 // ejected so far
}

// What an Outlier field means when it is zero.
const (
	defaultEjection        = 30 * time.Second
	defaultMaxEjection     = 5 * time.Minute
	defaultEjectionPercent = 10
)

// healthy says whether the endpoint is not put aside. now is unix nanoseconds, 0 to look at the clock if need be.
func (e *endpoint) healthy(now int64) bool {
	until := e.outlier.until.Load()
	if until == 0 {
		return true
	}
	if now == 0 {
		now = time.Now().UnixNano()
	}
	if now < until {
		return false
	}
	if e.outlier.until.CompareAndSwap(until, 0) {
		e.core.stats.Ejected.Add(-1)
	}
	return true
}

// forgive ends an ejection.
func (e *endpoint) forgive() {
	if e.outlier.until.Swap(0) != 0 {
		e.core.stats.Ejected.Add(-1)
	}
}

// report tells how a request ended: ok false where there was no answer, else its status.
func (e *endpoint) report(ok bool, status int) {
	o := e.core.config.Outlier
	if o == nil {
		return
	}
	x := &e.outlier
	eject := false
	count := func(c *atomic.Uint32, failed bool, limit uint32) {
		if !failed {
			c.Store(0)
			return
		}
		eject = c.Add(1) >= limit && limit > 0 || eject
	}
	gateway := !ok || status == 502 || status == 503 || status == 504
	if o.SplitLocal {
		count(&x.local, !ok, o.ConsecutiveLocal)
		if !ok {
			gateway, ok = false, true
		}
	}
	count(&x.gateway, gateway, o.ConsecutiveGateway)
	count(&x.failures5xx, !ok || status >= 500, o.Consecutive5xx)
	if eject {
		e.eject(o)
	}
}

// eject puts the endpoint aside for a time that grows, unless too many are already.
func (e *endpoint) eject(o *Outlier) {
	st := e.core.proxy.state.Load()
	c := st.clusters[e.core.config.Name]
	if c == nil || e.gone.Load() || e.outlier.until.Load() != 0 {
		return
	}
	members, out := *c.members.Load(), 0
	for _, m := range members {
		if m.outlier.until.Load() != 0 {
			out++
		}
	}
	percent := uint32(defaultEjectionPercent)
	if o.MaxEjectionPercent != nil {
		percent = *o.MaxEjectionPercent
	}
	// One may always go, or small clusters would have no protection at all; none may where the rule says none.
	if percent == 0 || out > 0 && (out+1)*100 > int(percent)*len(members) {
		return
	}
	first, longest := o.BaseEjection, o.MaxEjection
	if first == 0 {
		first = defaultEjection
	}
	if longest == 0 {
		longest = max(defaultMaxEjection, first)
	}
	d := min(first*time.Duration(e.outlier.times.Add(1)), longest)
	d += rand.N(d/20 + 1)
	if e.outlier.until.CompareAndSwap(0, time.Now().Add(d).UnixNano()) {
		e.outlier.failures5xx.Store(0)
		e.outlier.gateway.Store(0)
		e.outlier.local.Store(0)
		e.core.stats.Ejections.Inc()
		e.core.stats.Ejected.Add(1)
	}
}
