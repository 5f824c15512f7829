package web

import (
	"math"
	"testing"
	"time"

	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/metrics"
	"github.com/oarlock/oarlock/probe"
)

// strangers is what a sidecar counts of callers that nobody can name, per second over ten seconds.
func strangers(requests, failures float64) metrics.Flow {
	return metrics.Flow{Destination: metrics.Peer{Namespace: "shop", Workload: "api"}, Service: metrics.Service{Host: "api.shop"}, Port: 80,
		Reporter: metrics.Destination, Security: metrics.SecurityNone, Requests: requests / 10, Failures: failures / 10,
		Causes: []metrics.CauseRate{{Cause: "no-client-certificate", Failures: failures / 10}}}
}

// probed is a ledger with one probe: a request that was answered, and five handshakes that failed.
func probed(at time.Time) *ledger {
	r := &probe.Result{Attempts: []probe.Attempt{{Kind: probe.Plaintext, Outcome: probe.HTTP}}}
	for range 5 {
		r.Attempts = append(r.Attempts, probe.Attempt{Kind: probe.TLS, Outcome: probe.Alerted})
	}
	l := &ledger{}
	pod := &mesh.Workload{Object: mesh.Object{Ref: mesh.Ref{Kind: mesh.KindPod, Namespace: "shop", Name: "api-1"}},
		Owner: mesh.Ref{Kind: mesh.KindDeployment, Namespace: "shop", Name: "api"}}
	l.note(at, pod, "api.shop", 80, r)
	l.list[0].done = at
	return l
}

func TestProbesAreNotTraffic(t *testing.T) {
	now := time.Now()
	known := strangers(1, 5)
	known.Source = metrics.Peer{Namespace: "shop", Workload: "web"}
	elsewhere := strangers(1, 5)
	elsewhere.Destination.Workload = "other"
	for _, c := range []struct {
		name  string
		flow  metrics.Flow
		at    time.Time
		left  int
		want  float64 // requests in ten seconds
		fails float64
	}{
		{"what the probe did", strangers(1, 5), now.Add(-5 * time.Second), 0, 0, 0},
		{"counted a scrape later", strangers(1, 5), now.Add(-12 * time.Second), 0, 0, 0},
		{"somebody else calls too", strangers(4, 5), now.Add(-5 * time.Second), 1, 3, 0},
		{"somebody else fails too", strangers(1, 9), now.Add(-5 * time.Second), 1, 0, 4},
		{"another time", strangers(1, 5), now.Add(-time.Hour), 1, 1, 5},
		{"a client with a name", known, now.Add(-5 * time.Second), 1, 1, 5},
		{"another workload", elsewhere, now.Add(-5 * time.Second), 1, 1, 5},
	} {
		o := &metrics.Observation{Start: now.Add(-10 * time.Second), End: now, Flows: []metrics.Flow{c.flow}}
		probed(c.at).clean(o)
		if len(o.Flows) != c.left {
			t.Errorf("%s: %+v", c.name, o.Flows)
			continue
		}
		for _, f := range o.Flows {
			if math.Abs(f.Requests*10-c.want) > 1e-9 || math.Abs(f.Failures*10-c.fails) > 1e-9 || c.fails == 0 && len(f.Causes) > 0 {
				t.Errorf("%s: %+v", c.name, f)
			}
		}
	}
	// Under another service of the workload, once nothing of its own is left to take it from.
	other := strangers(1, 5)
	other.Service.Host = "alias.shop"
	o := &metrics.Observation{Start: now.Add(-10 * time.Second), End: now, Flows: []metrics.Flow{other}}
	if probed(now).clean(o); len(o.Flows) != 0 {
		t.Errorf("under another host: %+v", o.Flows)
	}
}

func TestTrendWithoutProbes(t *testing.T) {
	now := time.Now()
	trend := func() *metrics.Trend {
		return &metrics.Trend{Times: []time.Time{now.Add(-2 * time.Second), now.Add(-time.Second), now}, Failures: []float64{0, 2, 5},
			Requests: []float64{math.NaN(), 10, 11}, Connections: []float64{0, 0, 0}, MTLS: []float64{math.NaN(), 1, 10.0 / 11}}
	}
	all := func(*knock) bool { return true }
	got := trend()
	probed(now.Add(-500*time.Millisecond)).cleanTrend(got, time.Second, all)
	if got.Failures[1] != 2 || got.Failures[2] != 0 || got.Requests[1] != 10 || got.Requests[2] != 10 || math.Abs(got.MTLS[2]-1) > 1e-9 || !math.IsNaN(got.Requests[0]) {
		t.Errorf("trend %+v", got)
	}
	got = trend()
	probed(now.Add(-500*time.Millisecond)).cleanTrend(got, time.Second, func(*knock) bool { return false })
	if got.Failures[2] != 5 {
		t.Errorf("another part of the mesh: %+v", got)
	}
}

func TestLedgerIsBounded(t *testing.T) {
	l := probed(time.Now().Add(-48 * time.Hour))
	l.note(time.Now(), &mesh.Workload{}, "x", 1, &probe.Result{})
	if len(l.list) != 1 {
		t.Errorf("%d probes are kept", len(l.list))
	}
}
