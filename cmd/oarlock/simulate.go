package main

import (
	"cmp"
	"context"
	"hash/fnv"
	"math"
	"slices"
	"time"

	"github.com/oarlock/oarlock/graph"
	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/metrics"
	"github.com/oarlock/oarlock/resolve"
)

// simulated makes up the traffic of a mesh that does not run: every declared call happens, as often as its name says, and
// with the security of its verdict. It implements metrics.Flows for `serve --simulate`, so that a dashboard can be looked
// at, and measured, with a mesh of any size.
type simulated struct {
	resolver func() *resolve.Resolver // of the snapshot in force; nil before there is one
	started  time.Time
}

// madeUp is one call with its figures.
type madeUp struct {
	flow metrics.Flow
	rate float64 // a second, in the middle
	turn float64 // where in its slow ups and downs it begins, 0 to 2π
}

// calls gives the declared calls with their traffic at a time.
func (s *simulated) calls() []madeUp {
	r := s.resolver()
	if r == nil {
		return nil
	}
	g := graph.Build(r)
	nodes := make(map[string]*graph.Node, len(g.Nodes))
	for i := range g.Nodes {
		nodes[g.Nodes[i].ID] = &g.Nodes[i]
	}
	var out []madeUp
	for i := range g.Edges {
		e := &g.Edges[i]
		from, to := nodes[e.From], nodes[e.To]
		if e.Declared == nil || from == nil || to == nil || e.Weak() || len(to.Endpoints) == 0 {
			continue
		}
		if e.Declared.Verdict.Wire != resolve.WireMixed {
			out = append(out, s.call(e, from, to, nodes))
			continue
		}
		for _, id := range to.Endpoints { // each as it is
			one := *to
			one.Endpoints = []string{id}
			out = append(out, s.call(e, from, &one, nodes))
		}
	}
	return out
}

func (s *simulated) call(e *graph.Edge, from, to *graph.Node, nodes map[string]*graph.Node) madeUp {
	h := fnv.New64a()
	h.Write([]byte(e.From + "\n" + e.To))
	sum := h.Sum64()
	rate := 0.2 * math.Pow(10, float64(sum%1000)/400) // 0.2 to 63 a second
	behind := nodes[to.Endpoints[int(sum>>32)%len(to.Endpoints)]]
	if behind == nil {
		behind = to
	}
	f := metrics.Flow{
		Source:      metrics.Peer{Workload: from.Name, Namespace: from.Namespace},
		Destination: metrics.Peer{Workload: behind.Name, Namespace: behind.Namespace},
		Service:     metrics.Service{Host: calledHost(to), Name: to.Name, Namespace: to.Namespace},
		Port:        uint16(e.Port), Protocol: "http", Reporter: metrics.Destination, Policy: e.Declared.Policy.Ref.String(),
	}
	p50 := time.Duration(2+sum%40) * time.Millisecond
	switch e.Declared.Verdict.Wire {
	case resolve.WireRefused:
		f.Causes = []metrics.CauseRate{{Cause: metrics.CausePlaintextToTLS, Failures: rate}}
		return madeUp{f, rate, float64(sum % 7)}
	case resolve.WireMTLS:
		f.Security = metrics.SecurityMutualTLS
	case resolve.WirePlaintext:
		f.Security = metrics.SecurityNone
	case resolve.WireMixed:
		f.Security = metrics.SecurityMutualTLS
		if behind.Capture != mesh.CaptureSidecar || behind.Mode == mesh.ModeDisable.String() {
			f.Security = metrics.SecurityNone
		}
	}
	if sum%11 == 0 {
		f.Errors = rate / 50
	}
	f.P50, f.P90, f.P99 = p50, 2*p50, 5*p50
	return madeUp{f, rate, float64(sum % 7)}
}

// calledHost is the host of a service node, which its ID names.
func calledHost(n *graph.Node) string {
	const prefix = len("service/")
	if n.Kind == graph.NodeService && len(n.ID) > prefix {
		return n.ID[prefix:]
	}
	return n.Name
}

// swing is the factor of a time: traffic goes up and down by a fifth in some minutes.
func (m *madeUp) swing(at time.Time) float64 {
	return 1 + 0.2*math.Sin(m.turn+float64(at.UnixMilli())/40e3)
}

// Flows implements metrics.Flows.
func (s *simulated) Flows(_ context.Context, w metrics.Window) (*metrics.Observation, error) {
	end := w.End
	if end.IsZero() {
		end = time.Now()
	}
	out := &metrics.Observation{Start: end.Add(-w.Length), End: end, Newest: end}
	for _, c := range s.calls() {
		k := c.swing(end)
		f := c.flow
		if len(f.Causes) > 0 {
			f.Failures, f.Causes = c.rate*k, []metrics.CauseRate{{Cause: f.Causes[0].Cause, Failures: c.rate * k}}
		} else {
			f.Requests, f.Errors, f.Received, f.Sent = c.rate*k, f.Errors*k, 200*c.rate*k, 1500*c.rate*k
		}
		out.Flows = append(out.Flows, f)
	}
	slices.SortStableFunc(out.Flows, func(a, b metrics.Flow) int {
		return cmp.Or(cmp.Compare(a.Source.Namespace, b.Source.Namespace), cmp.Compare(a.Source.Workload, b.Source.Workload),
			cmp.Compare(a.Service.Host, b.Service.Host), cmp.Compare(a.Port, b.Port))
	})
	return out, nil
}

// Trend implements metrics.Flows.
func (s *simulated) Trend(_ context.Context, q metrics.TrendQuery) (*metrics.Trend, error) {
	end := q.End
	if end.IsZero() {
		end = time.Now()
	}
	step := max(q.Step, time.Second)
	calls := slices.DeleteFunc(s.calls(), func(c madeUp) bool {
		f := &c.flow
		return q.Namespace != "" && f.Destination.Namespace != q.Namespace || q.Service != "" && f.Service.Host != q.Service ||
			q.Workload != "" && f.Destination.Workload != q.Workload ||
			q.SourceNamespace != "" && f.Source.Namespace != q.SourceNamespace ||
			q.SourceWorkload != "" && cmp.Or(f.Source.Workload, "unknown") != q.SourceWorkload
	})
	out := &metrics.Trend{}
	for at := end.Add(-q.Length); !at.After(end); at = at.Add(step) {
		var requests, errors, failures, mtls, known float64
		for i := range calls {
			c := &calls[i]
			k := c.swing(at)
			if len(c.flow.Causes) > 0 {
				failures += c.rate * k
				continue
			}
			requests += c.rate * k
			errors += c.flow.Errors * k
			if c.flow.Security != metrics.SecurityUnknown {
				known += c.rate * k
			}
			if c.flow.Security == metrics.SecurityMutualTLS {
				mtls += c.rate * k
			}
		}
		out.Times = append(out.Times, at)
		out.Requests, out.Errors = append(out.Requests, requests), append(out.Errors, errors)
		out.Connections, out.Failures = append(out.Connections, 0), append(out.Failures, failures)
		out.MTLS = append(out.MTLS, mtls/known) // NaN where nothing is known
	}
	return out, nil
}

// Health implements metrics.Flows.
func (s *simulated) Health(context.Context) metrics.StoreHealth {
	return metrics.StoreHealth{Kind: "simulated", Address: "made up; nothing runs", OK: true, Interval: time.Second, Since: s.started}
}

var _ metrics.Flows = (*simulated)(nil)
