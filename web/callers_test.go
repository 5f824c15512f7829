package web

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oarlock/oarlock/api"
	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/meshtest"
	"github.com/oarlock/oarlock/metrics"
)

// quiet is a mesh in which nothing happens.
type quiet struct {
	Mesh
	now *Now
}

func (q *quiet) Now() *Now { return q.now }

// knock is a store in which a caller without a name makes a request a second, for as long as one looks.
type knock struct{ lengths []time.Duration }

func (*knock) Trend(context.Context, metrics.TrendQuery) (*metrics.Trend, error) {
	return nil, errors.ErrUnsupported
}

func (k *knock) Health(context.Context) metrics.StoreHealth {
	return metrics.StoreHealth{Interval: time.Second}
}

func (k *knock) Flows(_ context.Context, w metrics.Window) (*metrics.Observation, error) {
	k.lengths = append(k.lengths, w.Length)
	end := time.Now()
	f := metrics.Flow{Destination: metrics.Peer{Namespace: "shop", Workload: "api"}, Service: metrics.Service{Host: "api.shop.svc.cluster.local"},
		Port: 80, Protocol: "http", Reporter: metrics.Destination, Security: metrics.SecurityNone, Requests: 1}
	return &metrics.Observation{Flows: []metrics.Flow{f}, Start: end.Add(-w.Length), End: end, Newest: end}, nil
}

const knocked = `
apiVersion: v1
kind: Service
metadata: {name: api, namespace: shop}
spec: {selector: {app: api}, ports: [{name: http, port: 80}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: api, namespace: shop}
spec: {selector: {matchLabels: {app: api}}, template: {metadata: {labels: {app: api}}, spec: {containers: [{name: c, image: i}]}}}
`

// TestCallersWithoutName are looked for from when the sidecars were in sync and asked, at most in the whole window.
func TestCallersWithoutName(t *testing.T) {
	for _, c := range []struct {
		settled time.Duration // ago; 0: not yet
		found   int
		windows []time.Duration
	}{
		{0, 0, []time.Duration{baseWindow}},
		{2 * time.Second, 0, []time.Duration{baseWindow}},
		{10 * time.Second, 1, []time.Duration{baseWindow, 8 * time.Second}},
		{time.Hour, 1, []time.Duration{baseWindow}},
	} {
		synctest.Test(t, func(t *testing.T) {
			store := &knock{}
			a := &API{opt: Options{Mesh: &quiet{now: &Now{Taken: meshtest.Snapshot(t, knocked, mesh.DialectCurrent)}}, Flows: store}}
			a.views, a.settled.begun = newViews(a), time.Now()
			if c.settled > 0 {
				a.settled.since = time.Now().Add(-c.settled)
			}
			seen, trouble := a.callers(t.Context())
			if seen == nil || len(seen.Flows) != c.found || trouble != "" || !slices.Equal(store.lengths, c.windows) {
				t.Errorf("settled %v ago: %+v, %q, looked at %v", c.settled, seen, trouble, store.lengths)
			}
		})
	}
}

// TestSettling: callers without a name count from when all sidecars are in sync for the first time.
func TestSettling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := settling{begun: time.Now()}
		n := &Now{Running: &mesh.Running{}}
		pod := mesh.Pod{Workload: &mesh.Workload{}}
		s.look(&Now{}, api.Coverage{InForce: 2, Total: 2}, true)
		s.look(n, api.Coverage{}, true)
		n.Running.Pods = []mesh.Pod{pod}
		s.look(n, api.Coverage{InForce: 1, Total: 2}, true)
		s.look(n, api.Coverage{InForce: 2, Total: 2}, false)
		if !s.get().IsZero() {
			t.Error("not all sidecars are in sync")
		}
		time.Sleep(time.Second)
		pod.Started = time.Now()
		n.Running.Pods = []mesh.Pod{pod}
		time.Sleep(time.Second)
		s.look(n, api.Coverage{InForce: 2, Total: 2}, true)
		at := s.get()
		time.Sleep(time.Second)
		s.look(n, api.Coverage{InForce: 1, Total: 3}, true) // one more, later
		s.look(n, api.Coverage{InForce: 3, Total: 3}, true)
		if !at.Equal(s.begun.Add(2*time.Second)) || !s.get().Equal(at) {
			t.Errorf("in sync since %v, then since %v", at, s.get())
		}
		never := settling{begun: time.Now()}
		for range 61 {
			if !never.get().IsZero() {
				t.Error("settled without a sidecar in sync")
			}
			time.Sleep(time.Second)
		}
		if !never.get().Equal(never.begun) {
			t.Errorf("a sidecar that is never in sync: since %v", never.get())
		}
		again := settling{begun: time.Now()}
		if again.look(n, api.Coverage{InForce: 0, Total: 3}, true); time.Since(again.get()) < time.Hour {
			t.Error("a control plane that comes back takes the mesh for a new one")
		}
	})
}
