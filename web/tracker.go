package web

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/oarlock/oarlock/graph"
	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/resolve"
)

// Bounds of what is remembered.
const (
	maxTracked     = 20_000 // edges whose change is known
	maxPast        = 100    // meshes before changes
	maxPastObjects = 20_000 // workloads and services in all of them, but for the newest minPast
	minPast        = 4
)

// tracker knows of each edge since when its verdict is as it is, and since when that is in force on both of its ends: what
// was seen before tells nothing of it. It remembers for the longest window.
type tracker struct {
	mu       sync.Mutex
	number   uint64                     // of the state that was compared last
	version  string                     // likewise
	verdicts map[string]resolve.Verdict // of the edges of the mesh that was published last
	changed  map[string]*turn
	last     *resolve.Resolver // that of the manifests published last
	past     []*past           // newest last
	recalled bool              // some of past is from before this process: nobody has compared the declared edges
}

// past is a mesh as it was before a change. Edges that nobody declares are known from traffic alone, which may be seen later
// than the change: their verdict before it is asked for then.
type past struct {
	before *resolve.Resolver
	turn   turn // of whatever changed with it; its ends are all sidecars

	workloads map[mesh.Ref]*mesh.Workload // of before; nil until somebody asks
	services  map[string]*mesh.Service    // by node
}

// turn is the last change of an edge's verdict.
type turn struct {
	version string    // of the mesh that brought it
	at      time.Time // when that was published
	since   time.Time // when the sidecars of both ends had it; zero while they do not
	ends    []mesh.Ref
	inForce int
	met     bool // the edge is known from traffic alone
}

// within says whether a turn was within a window, or is not over yet.
func (t *turn) within(now time.Time, window time.Duration) bool {
	return t.since.IsZero() || now.Sub(t.since) < window
}

func newTracker() *tracker { return &tracker{changed: map[string]*turn{}} }

// published compares the verdicts of a mesh with those before it, unless it knows of a newer one. Before anything is
// published, the manifests alone are what comes next is compared with.
func (t *tracker) published(n *Now) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.last != nil && n.Number <= t.number || n.Published == nil && t.last != nil {
		return
	}
	t.number = n.Number
	if t.last != nil && t.version == n.version() {
		return
	}
	t.version = n.version()
	g := graph.Build(n.Declared())
	nodes := nodesOf(g)
	pods := podsByOwner(n.resolver().Snapshot())
	fresh := make(map[string]resolve.Verdict, len(g.Edges))
	for i := range g.Edges {
		e := &g.Edges[i]
		if e.Declared == nil {
			continue
		}
		id := e.ID()
		fresh[id] = e.Declared.Verdict
		if old, known := t.verdicts[id]; known && !sameWire(&old, &e.Declared.Verdict) {
			t.changed[id] = &turn{version: n.version(), at: n.At, ends: ends(e, nodes, pods)}
		} else if one := t.changed[id]; one != nil && one.since.IsZero() {
			one.ends = ends(e, nodes, pods) // who is gone acknowledges nothing any more
		}
	}
	if t.recalled && n.Published != nil {
		t.recalled = false
		for i := range g.Edges {
			if e := &g.Edges[i]; e.Declared != nil {
				t.find(e, nodes, pods, func(*turn) bool { return true })
			}
		}
	}
	t.remember(n, pods)
	t.verdicts = fresh
	t.forget(time.Now())
}

// remember keeps the mesh that n follows. The caller holds mu.
func (t *tracker) remember(n *Now, pods map[mesh.Ref][]mesh.Ref) {
	var all []mesh.Ref
	for _, some := range pods {
		all = append(all, some...)
	}
	slices.SortFunc(all, mesh.Ref.Compare)
	all = slices.Compact(all)
	for _, p := range t.past {
		p.turn.ends = all
	}
	if t.last != nil && t.last.Snapshot().Version != n.Taken.Version {
		t.past = append(t.past, &past{before: t.last, turn: turn{version: n.version(), at: n.At, ends: all}})
		t.past = t.past[len(t.past)-t.affordable():]
	}
	t.last = n.Declared()
}

// affordable is how many of the past, the newest first, may be kept. The caller holds mu.
func (t *tracker) affordable() int {
	n, objects := 0, 0
	for _, p := range slices.Backward(t.past) {
		s := p.before.Snapshot()
		objects += len(s.Workloads) + len(s.Services)
		if n == maxPast || n >= minPast && objects > maxPastObjects {
			break
		}
		n++
	}
	return n
}

// recall takes a mesh as it was before a change that an earlier process has seen; the newest comes first. It is false when no
// older one is wanted.
func (t *tracker) recall(before *resolve.Resolver, at, since time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.past = slices.Insert(t.past, 0, &past{before: before, turn: turn{at: at, since: since}})
	if t.affordable() < len(t.past) {
		t.past = t.past[1:]
		return false
	}
	t.recalled = true
	return true
}

// met looks at the edges of a graph that are known from traffic alone, and says whether the verdict of one has changed
// within a window and was not known to have.
func (t *tracker) met(g *graph.Graph, n *Now, now time.Time, window time.Duration) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.past) == 0 || n.version() != t.version {
		return false
	}
	nodes, pods := nodesOf(g), podsByOwner(n.resolver().Snapshot())
	found := false
	for i := range g.Edges {
		e := &g.Edges[i]
		if e.Declared != nil && e.Sources[0].Kind == graph.SourceTraffic {
			found = t.find(e, nodes, pods, func(one *turn) bool { return one.within(now, window) }) || found
		}
	}
	return found
}

// find looks for the last change of an edge's verdict in the past, for as long as that counts, and says whether it was not
// known. The caller holds mu.
func (t *tracker) find(e *graph.Edge, nodes map[string]*graph.Node, pods map[mesh.Ref][]mesh.Ref, counts func(*turn) bool) bool {
	for _, p := range slices.Backward(t.past) {
		if !counts(&p.turn) {
			return false
		}
		before, ok := p.verdict(e, nodes)
		if !ok {
			return false
		}
		if sameWire(&before, &e.Declared.Verdict) {
			continue
		}
		id := e.ID()
		if one := t.changed[id]; one != nil && !one.at.Before(p.turn.at) {
			return false
		}
		t.changed[id] = &turn{version: p.turn.version, at: p.turn.at, since: p.turn.since, ends: ends(e, nodes, pods), met: true}
		return true
	}
	return false
}

// verdict gives that of an edge before the change; false where its ends were not there.
func (p *past) verdict(e *graph.Edge, nodes map[string]*graph.Node) (resolve.Verdict, bool) {
	p.index()
	var c resolve.Client
	from, to := nodes[e.From], nodes[e.To]
	if from == nil || to == nil {
		return resolve.Verdict{}, false
	}
	if from.Kind != graph.NodeOutside {
		if c.Workload = p.workloads[from.At.Ref]; c.Workload == nil {
			return resolve.Verdict{}, false
		}
	}
	t := resolve.Target{Port: e.Port, Subset: e.Subset, Service: p.services[e.To]}
	switch {
	case to.Kind == graph.NodeWorkload:
		t.Workload = p.workloads[to.At.Ref]
	case to.Kind == graph.NodeEgress && t.Service == nil:
		t.Host = to.Name
	}
	if t.Workload == nil && t.Service == nil && t.Host == "" {
		return resolve.Verdict{}, false
	}
	return p.before.Resolve(c, t), true
}

func (p *past) index() {
	if p.services != nil {
		return
	}
	s := p.before.Snapshot()
	p.workloads, p.services = make(map[mesh.Ref]*mesh.Workload, len(s.Workloads)), make(map[string]*mesh.Service, len(s.Services))
	for _, w := range s.Workloads {
		p.workloads[w.Ref] = w
	}
	for _, one := range slices.Backward(s.Services) {
		p.services[serviceNode(one)] = one // of several entries of a host, the first
	}
}

func nodesOf(g *graph.Graph) map[string]*graph.Node {
	out := make(map[string]*graph.Node, len(g.Nodes))
	for i := range g.Nodes {
		out[g.Nodes[i].ID] = &g.Nodes[i]
	}
	return out
}

// sameWire says whether two verdicts come to the same for a connection. How many endpoints there are is no change of policy.
func sameWire(a, b *resolve.Verdict) bool {
	return a.Status == b.Status && a.Server == b.Server && a.Client == b.Client && a.Auto == b.Auto && a.Wire == b.Wire && a.Cause == b.Cause
}

// forget drops edges that are gone, and changes so old that no window reaches them; of too many the oldest. The caller
// holds mu.
func (t *tracker) forget(now time.Time) {
	for id, one := range t.changed {
		if _, there := t.verdicts[id]; !there && !one.met || !one.since.IsZero() && now.Sub(one.since) > mostWindow {
			delete(t.changed, id)
		}
	}
	t.past = slices.DeleteFunc(t.past, func(p *past) bool { return !p.turn.within(now, mostWindow) })
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
	turns := slices.Collect(maps.Values(t.changed))
	for _, p := range t.past {
		turns = append(turns, &p.turn)
	}
	for _, one := range turns {
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

// quiet says whether there is no change to tell of.
func (t *tracker) quiet() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.changed)+len(t.past) == 0
}

// within gives the edges whose verdict changed within a window, without what was observed of them.
func (t *tracker) within(now time.Time, window time.Duration) map[string]graph.Changed {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := map[string]graph.Changed{}
	for id, one := range t.changed {
		if one.within(now, window) {
			out[id] = graph.Changed{Since: one.since, InForce: one.inForce, Total: len(one.ends)}
		}
	}
	return out
}
