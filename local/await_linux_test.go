package local

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oarlock/oarlock/mesh"
)

// waiters are pods without processes, to be made ready by hand. Each has the name of the pod and waits for those behind its ports.
func waiters(awaits map[string][]awaited) map[string]*podRun {
	e := &engine{change: make(chan struct{}), dirty: make(chan struct{}, 1), pods: map[mesh.Ref]*pod{}}
	out := map[string]*podRun{}
	for name, list := range awaits {
		r := &podRun{e: e, spec: podSpec{Awaits: list}}
		out[name], e.pods[mesh.Ref{Name: name}] = r, &pod{run: r}
	}
	return out
}

// TestWhatIsAwaitedIsSaid: a pod says what it waits for now, and not what it waited for before.
func TestWhatIsAwaitedIsSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pods := waiters(map[string][]awaited{"cart-1": nil, "cart-2": nil, "store": nil, "front": {
			{Name: "cart:80", Pods: []mesh.Ref{{Name: "cart-1"}, {Name: "cart-2"}}}, {Name: "store:80", Pods: []mesh.Ref{{Name: "store"}}}}})
		begin := time.Now()
		var took time.Duration
		go func() {
			pods["front"].awaitCallees(t.Context())
			took = time.Since(begin)
		}()
		for _, step := range []struct{ ready, reason string }{
			{"", "it waits for cart:80, which it calls"},
			{"cart-2", "it waits for store:80, which it calls"},
			{"store", "it waits for the other pods of cart:80, which it calls"},
		} {
			if r := pods[step.ready]; r != nil {
				r.to(mesh.PhaseRunning, "")
			}
			time.Sleep(2 * awaitPeriod)
			synctest.Wait()
			if got := pods["front"].state().Reason; got != step.reason {
				t.Errorf("%q, want %q", got, step.reason)
			}
		}
		time.Sleep(restBound)
		synctest.Wait()
		if took < restBound || took > restBound+2*awaitPeriod {
			t.Errorf("it waited %s for the last pod", took)
		}
	})
	if got := awaitReason("", ""); got != "its sidecar does not know yet that whom it calls is ready" {
		t.Error(got)
	}
}

// TestAChainWaitsOnce: where the last of a chain is never ready, all others begin after one wait and not after one for each link.
func TestAChainWaitsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pods := waiters(map[string][]awaited{"d": nil,
			"a": {{Name: "b:80", Pods: []mesh.Ref{{Name: "b"}}}},
			"b": {{Name: "c:80", Pods: []mesh.Ref{{Name: "c"}}}},
			"c": {{Name: "d:80", Pods: []mesh.Ref{{Name: "d"}}}}})
		begin := time.Now()
		var all sync.WaitGroup
		for _, name := range []string{"a", "b", "c"} {
			all.Go(func() {
				pods[name].awaitCallees(t.Context())
				pods[name].to(mesh.PhaseRunning, "")
			})
		}
		all.Wait()
		if took := time.Since(begin); took < calleeBound || took > calleeBound+2*awaitPeriod {
			t.Errorf("they waited %s", took)
		}
	})
}
