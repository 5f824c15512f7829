package web

import (
	"slices"
	"sync"
	"time"

	"github.com/oarlock/oarlock/graph"
	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/resolve"
)

// maxTracked bounds the edges whose change is remembered.
const maxTracked = 20_000

// tracker knows of each edge since when its verdict is as it is, and since when that is in force on both of its ends: what
// was seen before tells nothing of it. It remembers for the longest window.
type tracker struct {
	mu       sync.Mutex
	verdicts map[string]resolve.Verdict // of the edges of the mesh that was published last
	changed  map[string]*turn
}

// turn is the last change of an edge's verdict.
type turn struct {
	version string    // of the mesh that brought it
	at      time.Time // when that was published
	since   time.Time // when the sidecars of both ends had it; zero while they do not
	ends    []mesh.Ref
	inForce int
}

func newTracker() *tracker { return &tracker{changed: map[string]*turn{}} }

// published compares the verdicts of a mesh with those before it.
func (t *tracker) published(n *Now) {
	if n.Published == nil {
		return
	}
	g := graph.Build(n.Declared())
	nodes := make(map[string]*graph.Node, len(g.Nodes))
	for i := range g.Nodes {
		nodes[g.Nodes[i].ID] = &g.Nodes[i]
	}
	pods := podsByOwner(n.Published.Snapshot())
	fresh := make(map[string]resolve.Verdict, len(g.Edges))
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range g.Edges {
		e := &g.Edges[i]
		if e.Declared == nil {
			continue
		}
		id := e.ID()
		fresh[id] = e.Declared.Verdict
		if old, known := t.verdicts[id]; known && !sameWire(&old, &e.Declared.Verdict) {
			t.changed[id] = &turn{version: n.version(), at: n.At, ends: ends(e, nodes, pods)}
		}
	}
	t.verdicts = fresh
	t.forget(time.Now())
}

// sameWire says whether two verdicts come to the same for a connection. How many endpoints there are is no change of policy.
func sameWire(a, b *resolve.Verdict) bool {
	return a.Status == b.Status && a.Server == b.Server && a.Client == b.Client && a.Auto == b.Auto && a.Wire == b.Wire && a.Cause == b.Cause
}

// forget drops edges that are gone, and changes so old that no window reaches them; of too many the oldest. The caller
// holds mu.
func (t *tracker) forget(now time.Time) {
	for id, one := range t.changed {
		if _, there := t.verdicts[id]; !there || !one.since.IsZero() && now.Sub(one.since) > mostWindow {
			delete(t.changed, id)
		}
	}
	if len(t.changed) <= maxTracked {
		return
	}
	var times []time.Time
	for _, one := range t.changed {
		times = append(times, one.at)
	}
	slices.SortFunc(times, time.Time.Compare)
	limit := times[len(times)-maxTracked]
	for id, one := range t.changed {
		if one.at.Before(limit) {
			delete(t.changed, id)
		}
	}
}

// podsByOwner gives the pods with a sidecar by the workload of the manifests that they are of; a Pod of its own is its own.
func podsByOwner(s *mesh.Snapshot) map[mesh.Ref][]mesh.Ref {
	out := map[mesh.Ref][]mesh.Ref{}
	for _, w := range s.Workloads {
		if w.Ref.Kind != mesh.KindPod || w.Capture != mesh.CaptureSidecar {
			continue
		}
		out[w.Ref] = append(out[w.Ref], w.Ref)
		if !w.Owner.IsZero() {
			out[w.Owner] = append(out[w.Owner], w.Ref)
		}
	}
	return out
}

// ends are the pods with a sidecar at both ends of an edge.
func ends(e *graph.Edge, nodes map[string]*graph.Node, pods map[mesh.Ref][]mesh.Ref) []mesh.Ref {
	var out []mesh.Ref
	for _, id := range []string{e.From, e.To} {
		n := nodes[id]
		if n == nil {
			continue
		}
		out = append(out, pods[n.At.Ref]...)
		for _, end := range n.Endpoints {
			if w := nodes[end]; w != nil {
				out = append(out, pods[w.At.Ref]...)
			}
		}
	}
	slices.SortFunc(out, mesh.Ref.Compare)
	return slices.Compact(out)
}

// acknowledged looks which sidecars have what changed.
func (t *tracker) acknowledged(m Mesh, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	have := map[string]map[mesh.Ref]bool{} // by version
	for _, one := range t.changed {
		if !one.since.IsZero() {
			continue
		}
		if have[one.version] == nil {
			pods, known := m.Have(one.version)
			if !known { // so long ago that whoever is connected has it
				one.since = now
				continue
			}
			have[one.version] = pods
		}
		one.inForce = 0
		for _, pod := range one.ends {
			if have[one.version][pod] {
				one.inForce++
			}
		}
		if one.inForce == len(one.ends) {
			one.since = now
		}
	}
}

// within gives the edges whose verdict changed within a window, without what was observed of them.
func (t *tracker) within(now time.Time, window time.Duration) map[string]graph.Changed {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := map[string]graph.Changed{}
	for id, one := range t.changed {
		if one.since.IsZero() || now.Sub(one.since) < window {
			out[id] = graph.Changed{Since: one.since, InForce: one.inForce, Total: len(one.ends)}
		}
	}
	return out
}
