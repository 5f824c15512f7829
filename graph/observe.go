package graph

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/metrics"
	"github.com/oarlock/oarlock/resolve"
)

// staleAfter is how old the newest sample may be before it is said.
const staleAfter = 2 * time.Minute

// Observe puts what was seen and proven on the edges of a graph that Build made: traffic between a pair that nobody declares
// gets an edge of its own, every edge a lock with its reason, and findings say where the witnesses disagree. It is called
// once; a part of a graph has no resolver and stays as it is.
func (g *Graph) Observe(w Witnesses) {
	if g.resolver == nil {
		return
	}
	b := newBuilder(g.resolver)
	for i := range g.Nodes {
		b.nodes[g.Nodes[i].ID] = &g.Nodes[i]
	}
	for i := range g.Edges {
		b.keep(&g.Edges[i])
	}
	o := &observing{builder: b, w: &w, places: b.places(), joins: map[*metrics.Observation]*joined{}}
	o.places.run(w.Running)
	o.run()
	seen := b.graph()
	g.Nodes, g.Edges, g.Findings = seen.Nodes, seen.Edges, o.findings
	g.Trouble = w.Trouble
	if w.Observed != nil {
		g.Start, g.End, g.Newest, g.Down = w.Observed.Start, w.Observed.End, w.Observed.Newest, w.Observed.Down
	}
}

// observing puts witnesses on a graph.
type observing struct {
	*builder
	w        *Witnesses
	places   *places
	joins    map[*metrics.Observation]*joined
	down     map[string]bool
	findings []Finding
}

func (o *observing) run() {
	o.markDown()
	if o.w.Observed != nil {
		o.checkEvidence(o.w.Observed)
		j := o.joined(o.w.Observed)
		for key := range j.edges {
			o.traffic(key)
		}
		if j.unplaced > 0 {
			o.findings = append(o.findings, Finding{FindingUnplaced, SeverityWarning,
				rate(j.unplaced, "request") + " are on no edge, since a sidecar had more combinations of labels than it keeps"})
		}
		if j.nowhere > 0 {
			o.findings = append(o.findings, Finding{FindingNowhere, SeverityNote,
				rate(j.nowhere, "request") + " name no destination, as where a gateway has no route for them"})
		}
	}
	proofs := newProofs(o.w.Proofs)
	for _, key := range slices.SortedFunc(maps.Keys(o.edges), orderEdges) {
		e := o.edges[key]
		e.Proof = proofs.of(e)
		o.see(key, e)
	}
	for _, e := range o.edges {
		o.addTraffic(e)
	}
	for _, n := range o.nodes {
		n.Traffic.settle()
	}
}

func orderEdges(a, b edgeKey) int {
	return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to), cmp.Compare(a.port, b.port), cmp.Compare(a.subset, b.subset))
}

// joined joins an observation once.
func (o *observing) joined(of *metrics.Observation) *joined {
	if o.joins[of] == nil {
		o.joins[of] = o.places.join(of, o.down)
	}
	return o.joins[of]
}

// checkEvidence says how old the evidence is, once for the whole graph.
func (o *observing) checkEvidence(of *metrics.Observation) {
	switch age := o.w.Now.Sub(of.Newest); {
	case o.w.Now.IsZero():
	case of.Newest.IsZero():
		o.findings = append(o.findings, Finding{FindingStale, SeverityWarning, "nothing was measured in the window"})
	case age > staleAfter:
		o.findings = append(o.findings, Finding{FindingStale, SeverityWarning, "the newest measurement is " + duration(age) + " old"})
	}
}

// markDown finds the workloads of the sidecars that gave no answer: "POD.NAMESPACE", or "NAMESPACE/POD".
func (o *observing) markDown() {
	o.down = map[string]bool{}
	if o.w.Observed == nil {
		return
	}
	for _, name := range o.w.Observed.Down {
		w := o.ofPod(name)
		if w == nil {
			o.findings = append(o.findings, Finding{FindingSidecarDown, SeverityWarning, name + " gives no measurements"})
			continue
		}
		id := workloadID(w.Ref)
		o.down[id] = true
		o.nodes[id].Findings = append(o.nodes[id].Findings, Finding{FindingSidecarDown, SeverityWarning,
			"the sidecar " + name + " gives no measurements, so what it sees is missing here"})
	}
}

// ofPod finds the workload of a pod by the longest name that the pod's begins with.
func (o *observing) ofPod(name string) *mesh.Workload {
	ns, pod, ok := strings.Cut(name, "/")
	if !ok {
		i := strings.LastIndexByte(name, '.')
		if i < 0 {
			return nil
		}
		pod, ns = name[:i], name[i+1:]
	}
	var found *mesh.Workload
	for _, w := range o.snap.Workloads {
		if w.Ref.Namespace == ns && (pod == w.Ref.Name || strings.HasPrefix(pod, w.Ref.Name+"-")) &&
			(found == nil || len(w.Ref.Name) > len(found.Ref.Name)) {
			found = w
		}
	}
	return found
}

// traffic makes sure that there is an edge for what was seen. Its declared verdict is asked for like any other.
func (o *observing) traffic(key edgeKey) {
	if o.edges[key] != nil {
		return
	}
	from, t := caller{id: key.from}, resolve.Target{Port: key.port, Subset: key.subset}
	if n := o.nodes[key.from]; n != nil && n.Kind != NodeOutside {
		from.namespace = n.Namespace
		if from.workload = o.places.workload(key.from); from.workload == nil {
			from.unknown = "no manifest declares " + n.Name
		}
	}
	switch to := o.nodes[key.to]; {
	case to.Kind == NodeIngress:
		from.unknown = "no manifest declares the workload of " + to.Name
	case to.Kind == NodeWorkload:
		if t.Workload = o.places.workload(key.to); t.Workload == nil {
			from.unknown = "no manifest declares " + to.Name
		}
	case to.Name == passthrough || to.Name == blackHole:
		from.unknown = "the destination is in no registry of the mesh"
	default:
		if t.Service = o.service(key.to); t.Service == nil {
			t.Host = to.Name
		}
	}
	o.edge(from, key.to, t, Source{Kind: SourceTraffic, Text: "traffic"})
}

func (o *observing) service(id string) *mesh.Service {
	for _, prefix := range []string{"service/", "egress/"} {
		if host, ok := strings.CutPrefix(id, prefix); ok {
			return o.places.services[host]
		}
	}
	return nil
}

// see judges one edge by the observation that counts for it: that since its verdict changed, if it did.
func (o *observing) see(key edgeKey, e *Edge) {
	j := judgement{now: o.w.Now, observation: o.w.Observed, trouble: o.w.Trouble, edge: e, from: o.nodes[e.From], to: o.nodes[e.To], noPod: o.places.noPod(e.To)}
	if c, ok := o.w.Changed[e.ID()]; ok {
		e.Changed = &c
		if !c.Since.IsZero() {
			j.observation = c.Observed
		}
	}
	o.judge(&j, key)
	if c := e.Changed; c != nil && !c.Since.IsZero() && j.contradicts(c.Settled != nil) {
		j = judgement{now: j.now, observation: c.Settled, trouble: j.trouble, edge: e, from: j.from, to: j.to, noPod: j.noPod, ending: true}
		e.Observed, e.Shares = nil, nil
		o.judge(&j, key)
	}
	e.Findings = j.findings()
}

// judge gives the lock by one observation.
func (o *observing) judge(j *judgement, key edgeKey) {
	if j.observation != nil {
		if s := o.joined(j.observation).edges[key]; s != nil {
			o.fill(j, j.edge, s)
		}
	}
	j.edge.Lock, j.edge.Reason = j.lock()
}

// fill sums what was seen of an edge.
func (o *observing) fill(j *judgement, e *Edge, s *seen) {
	var all part
	for _, id := range slices.Sorted(maps.Keys(s.parts)) {
		p := s.parts[id]
		all.tally.add(&p.tally)
		all.lost += p.lost
		all.bare += p.bare
		all.source, all.destination = all.source || p.source, all.destination || p.destination
		j.silent = j.silent || p.source && !p.destination && p.expected && !o.down[id]
		if len(s.parts) > 1 && id != "" {
			share := Share{Workload: id, Observed: *o.observed(p, j.observation)}
			alone := *j
			alone.bare, alone.noPod = p.bare, "" // it is one that was reached
			alone.seen, alone.edge = &share.Observed, &Edge{Declared: e.Declared}
			share.Lock, _ = alone.lock()
			e.Shares = append(e.Shares, share)
		}
	}
	e.Observed = o.observed(&all, j.observation)
	j.seen, j.bare = e.Observed, all.bare
	j.sidecar = all.destination
}

func (o *observing) observed(p *part, of *metrics.Observation) *Observed {
	out := p.tally.observed()
	out.Start, out.End, out.Newest, out.Lost = of.Start, of.End, of.Newest, p.lost
	switch {
	case p.source && p.destination:
		out.Reporters = "destination+source"
	case p.source:
		out.Reporters = "source"
	default:
		out.Reporters = "destination"
	}
	return out
}

// addTraffic adds an edge to the sums of both ends, and of the workloads behind a service.
func (o *observing) addTraffic(e *Edge) {
	if e.Observed == nil {
		return
	}
	if n := o.nodes[e.From]; n != nil {
		n.Traffic.out(e.Observed)
	}
	o.nodes[e.To].Traffic.in(e.Observed)
	behind := o.nodes[e.To].Endpoints
	for i := range e.Shares {
		if n := o.nodes[e.Shares[i].Workload]; n != nil && n.ID != e.To {
			n.Traffic.in(&e.Shares[i].Observed)
		}
	}
	if len(e.Shares) == 0 && len(behind) == 1 {
		o.nodes[behind[0]].Traffic.in(e.Observed)
	}
}

func (t *Traffic) in(o *Observed) {
	n := o.Requests + o.Connections
	t.In, t.InErrors, t.InFailures = t.In+n, t.InErrors+o.Errors, t.InFailures+o.refused()
	t.Known += n * o.Known // sums, until settle makes them shares
	t.MTLS += n * o.Known * o.MTLS
}

func (t *Traffic) out(o *Observed) {
	t.Out, t.OutErrors, t.OutFailures = t.Out+o.Requests+o.Connections, t.OutErrors+o.Errors, t.OutFailures+o.refused()
}

func (t *Traffic) settle() {
	if t.Known > 0 {
		t.MTLS, t.Known = t.MTLS/t.Known, t.Known/t.In
	}
}

// subset is that of a route to a door, where routes name subsets alone: the one whose labels the workload has.
func (j *joining) subset(from string, d door) string {
	var declared []string
	for _, k := range j.b.between[[2]string{from, d.to}] {
		if k.port == d.port {
			declared = append(declared, k.subset)
		}
	}
	slices.Sort(declared)
	if len(declared) == 0 || declared[0] == "" {
		return ""
	}
	w, s := j.workload(d.workload), j.services[strings.TrimPrefix(d.to, "service/")]
	if w == nil || s == nil {
		return declared[0]
	}
	for _, r := range j.b.r.Rule(resolve.Client{Workload: j.workload(from)}, s) {
		for i := range r.Subsets {
			if sub := &r.Subsets[i]; slices.Contains(declared, sub.Name) && mesh.Selects(sub.Labels, w.Labels) {
				return sub.Name
			}
		}
	}
	return declared[0]
}

// speaksOn says whether a port of a service is declared for what a series calls its protocol.
func (j *joining) speaksOn(to string, port uint32, protocol string) bool {
	s := j.services[strings.TrimPrefix(to, "service/")]
	if s == nil || s.Port(port) == nil {
		return false
	}
	class := resolve.PortProtocol(s.Port(port), j.b.snap.Dialect).Class
	switch protocol {
	case "tcp":
		return class == resolve.ProtocolTCP
	case "http", "grpc":
		return class == resolve.ProtocolHTTP
	}
	return false
}

func (j *joining) hasSidecar(id string) bool {
	w := j.workload(id)
	return w != nil && w.Capture == mesh.CaptureSidecar && !w.Router
}
