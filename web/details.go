package web

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/oarlock/oarlock/api"
	"github.com/oarlock/oarlock/change"
	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/metrics"
	"github.com/oarlock/oarlock/resolve"
)

// Bounds of trends.
const (
	trendAge   = 2 * time.Second
	maxTrends  = 64
	mostPoints = 500
	basePoints = 60
)

// serviceNode is the ID of a service's node in the graph, workloadNode that of a workload, or of the workload that a pod is
// of.
func serviceNode(s *mesh.Service) string {
	if s.External {
		return "egress/" + strings.ToLower(s.Hostname)
	}
	return "service/" + s.Hostname
}

func workloadNode(w *mesh.Workload) string {
	r := w.Ref
	if !w.Owner.IsZero() {
		r = w.Owner
	}
	return "workload/" + r.Namespace + "/" + r.Name + "." + string(r.Kind)
}

// explain is GET /v1/explain.
func (a *API) explain(r *http.Request) (any, error) {
	n := a.opt.Mesh.Now()
	res := n.resolver()
	c, err := clientOf(res.Snapshot(), r.FormValue("client"))
	if err != nil {
		return nil, err
	}
	t, err := targetOf(res, r.FormValue("service"), c)
	if err != nil {
		return nil, err
	}
	return a.explanation(res, c, t), nil
}

// explanation is one of the running mesh: with how far the verdict is.
func (a *API) explanation(r *resolve.Resolver, c resolve.Client, t resolve.Target) *api.Explanation {
	x := r.Explain(c, t)
	out := Explanation(r, x)
	have, known := a.opt.Mesh.Have("")
	if !known {
		return out
	}
	pods := map[mesh.Ref]bool{}
	count := func(w *mesh.Workload) {
		if w != nil && w.Capture == mesh.CaptureSidecar && w.Ref.Kind == mesh.KindPod {
			pods[w.Ref] = true
		}
	}
	count(c.Workload)
	for _, e := range x.Endpoints {
		for _, w := range e.Workloads {
			count(w)
		}
	}
	out.Sync = &api.Coverage{Total: len(pods)}
	for pod := range pods {
		if have[pod] {
			out.Sync.InForce++
		}
	}
	return out
}

// clientOf finds a client as commands take it.
func clientOf(s *mesh.Snapshot, word string) (resolve.Client, error) {
	switch word {
	case "":
		return resolve.Client{}, bad("find client: none is named")
	case Outside:
		return resolve.Client{}, nil
	}
	found, _ := FindClients(s, word, "")
	switch {
	case len(found) == 0:
		return resolve.Client{}, wrong(http.StatusNotFound, "find client %.100q: no such workload", word)
	case len(found) > 1 && !Alike(found):
		var names []string
		for _, w := range found[:min(len(found), 8)] {
			names = append(names, KindWord(w.Ref.Kind)+"/"+w.Ref.Name+"."+w.Ref.Namespace)
		}
		return resolve.Client{}, bad("find client %.100q: it could be %s", word, strings.Join(names, " or "))
	}
	return resolve.Client{Workload: found[0]}, nil
}

// targetOf finds SERVICE.NS:PORT, an address of a pod, or a host outside.
func targetOf(r *resolve.Resolver, word string, c resolve.Client) (resolve.Target, error) {
	host, port, err := net.SplitHostPort(word)
	if err != nil || host == "" || port == "" {
		return resolve.Target{}, bad("find service %.200q: want SERVICE.NS:PORT", word)
	}
	host, subset, _ := strings.Cut(host, "|")
	if namespace, name, ok := strings.Cut(host, "/"); ok {
		host = name + "." + namespace
	}
	from := "default"
	if c.Workload != nil {
		from = c.Workload.Ref.Namespace
	}
	num, nerr := strconv.ParseUint(port, 10, 16)
	if found := r.Services(host, from); len(found) > 0 {
		s := found[0]
		for i := range s.Ports {
			if p := &s.Ports[i]; p.Name == port || nerr == nil && p.Number == uint32(num) {
				return resolve.Target{Service: s, Port: p.Number, UDP: p.UDP(), Subset: subset}, nil
			}
		}
		return resolve.Target{}, wrong(http.StatusNotFound, "find port %.40q of %s: the service has no such port", port, s.Hostname)
	}
	if nerr != nil {
		return resolve.Target{}, wrong(http.StatusNotFound, "find service %.200q: no such service", word)
	}
	if w := r.ByAddress(host); w != nil {
		return resolve.Target{Workload: w, Port: uint32(num)}, nil
	}
	return resolve.Target{Host: host, Port: uint32(num)}, nil
}

// edge is GET /v1/edge.
func (a *API) edge(r *http.Request) (any, error) {
	window, err := windowOf(r)
	if err != nil {
		return nil, err
	}
	p, err := a.views.get(r.Context(), window)
	if err != nil {
		return nil, err
	}
	e := p.edges[r.FormValue("id")]
	if e == nil {
		if e, from, to := a.views.drawings.edge(r.FormValue("id")); e != nil { // several in one
			return &api.EdgeDetails{Head: head("EdgeDetails"), Edge: *e, Client: *from, Server: *to, Log: []api.LogLine{},
				LogNote: "this stands for several edges; open the groups at its ends to see each", Certificates: []api.Certificate{}}, nil
		}
		return nil, wrong(http.StatusNotFound, "find edge %.200q: there is none of that ID now", r.FormValue("id"))
	}
	out := &api.EdgeDetails{Head: head("EdgeDetails"), Edge: *e, Client: *p.node(e.From), Server: *p.node(e.To)}
	from, to := a.podsOf(p, e.From), a.podsOf(p, e.To)
	out.Explanation = a.edgeExplanation(p, e, from)
	out.Trend = a.trendOf(r.Context(), trendOfEdge(p, e, window))
	out.Log, out.LogNote = a.edgeLog(r.Context(), p, e, from, to)
	out.Certificates = a.certificatesOf(r.Context(), append(slices.Clone(from), to...))
	return out, nil
}

// node gives a node of a picture; one that is not there, as the far end of an edge never should be, has its ID alone.
func (p *picture) node(id string) *api.GraphNode {
	if n := p.nodes[id]; n != nil {
		return n
	}
	return &api.GraphNode{ID: id, Name: id}
}

// podsOf gives the pods that run of a workload, or behind a service.
func (a *API) podsOf(p *picture, id string) []*mesh.Pod {
	owners := map[string]bool{id: true}
	if n := p.nodes[id]; n != nil {
		for _, e := range n.Endpoints {
			owners[e] = true
		}
	}
	var out []*mesh.Pod
	if p.now.Running == nil {
		return nil
	}
	for i := range p.now.Running.Pods {
		if one := &p.now.Running.Pods[i]; owners[workloadNode(one.Workload)] {
			out = append(out, one)
		}
	}
	return out
}

// edgeExplanation explains the verdict of an edge: of one of the client's pods, where one runs.
func (a *API) edgeExplanation(p *picture, e *api.Edge, from []*mesh.Pod) *api.Explanation {
	if e.Port == 0 {
		return nil
	}
	res := p.now.resolver()
	var c resolve.Client
	switch n := p.node(e.From); {
	case len(from) > 0:
		c.Workload = workloadAt(res.Snapshot(), from[0].Workload.Ref)
	case n.Ref != nil && n.Kind == "workload":
		c.Workload = workloadAt(res.Snapshot(), mesh.Ref{Kind: mesh.Kind(n.Ref.Kind), Namespace: n.Ref.Namespace, Name: n.Ref.Name})
	case n.Kind != "outside":
		return nil
	}
	if c.Workload == nil && p.node(e.From).Kind != "outside" {
		return nil
	}
	t := resolve.Target{Port: e.Port, Subset: e.Subset}
	for _, s := range res.Snapshot().Services {
		if serviceNode(s) == e.To {
			t.Service = s
			break
		}
	}
	if t.Service == nil {
		host, ok := strings.CutPrefix(e.To, "egress/")
		if !ok {
			return nil
		}
		t.Host = host
	}
	return a.explanation(res, c, t)
}

func workloadAt(s *mesh.Snapshot, r mesh.Ref) *mesh.Workload {
	for _, w := range s.Workloads {
		if w.Ref == r {
			return w
		}
	}
	return nil
}

// certificatesOf are those of some pods.
func (a *API) certificatesOf(ctx context.Context, pods []*mesh.Pod) []api.Certificate {
	out := []api.Certificate{}
	all, err := a.allCertificates(ctx)
	if err != nil {
		return out
	}
	for _, c := range all {
		if slices.ContainsFunc(pods, func(p *mesh.Pod) bool { return p.Workload.Ref.Namespace == c.Namespace && p.Workload.Ref.Name == c.Pod }) {
			out = append(out, c)
		}
	}
	return out
}

// node is GET /v1/node.
func (a *API) node(r *http.Request) (any, error) {
	window, err := windowOf(r)
	if err != nil {
		return nil, err
	}
	p, err := a.views.get(r.Context(), window)
	if err != nil {
		return nil, err
	}
	n := p.nodes[r.FormValue("id")]
	if n == nil {
		if n, g := a.views.drawings.node(r.FormValue("id")); n != nil { // several in one
			out := emptyNode(n)
			out.LogNote = "this stands for several; open the group to see each"
			linkNode(out, g)
			return out, nil
		}
		return nil, wrong(http.StatusNotFound, "find node %.200q: there is none of that ID now", r.FormValue("id"))
	}
	pods := a.podsOf(p, n.ID)
	out := emptyNode(n)
	out.Pods = podShapes(pods)
	linkNode(out, p.shape)
	about := subject(p, n)
	out.Ports = about.ports(p)
	out.Rules = about.rules()
	out.Objects = about.objects()
	out.Problems = about.problems(p.now.Problems)
	out.Trend = a.trendOf(r.Context(), trendOfNode(n, window))
	out.Log, out.LogNote = a.nodeLog(r.Context(), p, pods)
	out.Certificates = a.certificatesOf(r.Context(), pods)
	return out, nil
}

func emptyNode(n *api.GraphNode) *api.NodeDetails {
	return &api.NodeDetails{Head: head("NodeDetails"), Node: *n, Ports: []api.PortRow{}, In: []api.Edge{}, Out: []api.Edge{}, Rules: []api.Rule{},
		Objects: []api.ObjectEntry{}, Pods: []api.Pod{}, Certificates: []api.Certificate{}, Problems: []api.Problem{}, Log: []api.LogLine{}}
}

// linkNode adds the edges that begin and end at a node; what ends at a service ends at the workloads behind it.
func linkNode(out *api.NodeDetails, g *api.Graph) {
	behind := map[string]bool{out.Node.ID: true}
	for i := range g.Nodes {
		if slices.Contains(g.Nodes[i].Endpoints, out.Node.ID) {
			behind[g.Nodes[i].ID] = true
		}
	}
	for i := range g.Edges {
		e := &g.Edges[i]
		if behind[e.To] {
			out.In = append(out.In, *e)
		}
		if e.From == out.Node.ID {
			out.Out = append(out.Out, *e)
		}
	}
}

// subjectOf is a node with what it stands for in the manifests.
type subjectOf struct {
	r        *resolve.Resolver
	node     *api.GraphNode
	services []*mesh.Service
	workload []*mesh.Workload
}

func subject(p *picture, n *api.GraphNode) *subjectOf {
	s := &subjectOf{r: p.now.Declared(), node: n}
	snap := s.r.Snapshot()
	for _, svc := range snap.Services {
		if serviceNode(svc) == n.ID {
			s.services = append(s.services, svc)
			s.workload = append(s.workload, s.r.Endpoints(svc)...)
		}
	}
	for _, w := range snap.Workloads {
		if workloadNode(w) == n.ID {
			s.workload = append(s.workload, w)
			s.services = append(s.services, s.r.ServicesOf(w)...)
		}
	}
	return s
}

// ports are those of the services.
func (s *subjectOf) ports(p *picture) []api.PortRow {
	out := []api.PortRow{}
	d := s.r.Snapshot().Dialect
	for _, svc := range s.services {
		for i := range svc.Ports {
			q := &svc.Ports[i]
			row := api.PortRow{Port: q.Number, Name: q.Name, Protocol: protocolWord(resolve.PortProtocol(q, d)), Server: "none",
				Resource: svc.Ref.Namespace + "/" + svc.Ref.Name + ":" + strconv.Itoa(int(q.Number))}
			if q.UDP() {
				row.Protocol = "UDP"
			} else if len(s.workload) > 0 {
				v := s.r.Resolve(resolve.Client{}, resolve.Target{Service: svc, Port: q.Number})
				row.Server, row.Policy = v.Server.String(), Place(s.r.Policy(v.Policy))
			}
			for k := range p.shape.Edges {
				if e := &p.shape.Edges[k]; e.To == serviceNode(svc) && e.Port == q.Number {
					countLock(&row.Locks, e.Lock)
				}
			}
			out = append(out, row)
		}
	}
	return out
}

func protocolWord(p resolve.Protocol) string {
	return [...]string{"auto", "HTTP", "TCP", "UDP"}[p.Class]
}

func countLock(l *api.Locks, lock string) {
	switch lock {
	case "broken":
		l.Broken++
	case "open":
		l.Open++
	case "mixed":
		l.Mixed++
	case "locked":
		l.Locked++
	default:
		l.Unknown++
	}
}

// rules are those in force, widest first.
func (s *subjectOf) rules() []api.Rule {
	out := []api.Rule{}
	snap := s.r.Snapshot()
	abouts := []change.Resource{{Scope: change.ScopeMesh}}
	if s.node.Namespace != "" {
		abouts = append(abouts, change.Resource{Scope: change.ScopeNamespace, Namespace: s.node.Namespace})
	}
	for _, svc := range s.services {
		if !svc.Entry() {
			abouts = append(abouts, change.Resource{Scope: change.ScopeService, Namespace: svc.Ref.Namespace, Service: svc.Ref.Name})
		}
	}
	for _, about := range abouts {
		rules, err := change.InForce(snap, about)
		if err != nil {
			continue // a node that only traffic knows is in no manifest
		}
		for i := range rules {
			out = append(out, ruleOf(&rules[i], about))
		}
	}
	return out
}

// objects are its own, the policies that decide for it or are of its namespace, and the rules for its hosts.
func (s *subjectOf) objects() []api.ObjectEntry {
	snap := s.r.Snapshot()
	own := map[mesh.Ref]bool{}
	if s.node.Ref != nil {
		own[mesh.Ref{Kind: mesh.Kind(s.node.Ref.Kind), Namespace: s.node.Ref.Namespace, Name: s.node.Ref.Name}] = true
	}
	for _, svc := range s.services {
		own[svc.Ref] = true
	}
	for _, w := range s.workload {
		own[w.Ref] = true
	}
	root := snap.Config.RootNamespace
	for _, p := range snap.PeerAuthentications {
		own[p.Ref] = len(p.Selector) == 0 && (p.Ref.Namespace == root || p.Ref.Namespace == s.node.Namespace) ||
			p.Ref.Namespace == s.node.Namespace && s.selected(p.Selector)
	}
	for _, p := range snap.Policies {
		own[p.Ref] = p.Ref.Kind == mesh.KindMeshPolicy || p.Ref.Namespace == s.node.Namespace && (len(p.Targets) == 0 || s.targeted(p))
	}
	for _, rule := range snap.DestinationRules {
		own[rule.Ref] = s.hosted(rule)
	}
	for _, sc := range snap.Sidecars {
		own[sc.Ref] = sc.Ref.Namespace == s.node.Namespace && (len(sc.Selector) == 0 || s.selected(sc.Selector))
	}
	return objectsIn(snap, func(o *api.ObjectEntry) bool {
		return own[mesh.Ref{Kind: mesh.Kind(o.Kind), Namespace: o.Namespace, Name: o.Name}]
	})
}

// selected says whether a selector takes one of the workloads.
func (s *subjectOf) selected(selector map[string]string) bool {
	return slices.ContainsFunc(s.workload, func(w *mesh.Workload) bool {
		for k, v := range selector {
			if w.Labels[k] != v {
				return false
			}
		}
		return len(selector) > 0
	})
}

func (s *subjectOf) targeted(p *mesh.Policy) bool {
	return slices.ContainsFunc(p.Targets, func(t mesh.PolicyTarget) bool {
		return slices.ContainsFunc(s.services, func(svc *mesh.Service) bool { return svc.Ref.Name == t.Name })
	})
}

// hosted says whether a rule is for one of the hosts.
func (s *subjectOf) hosted(rule *mesh.DestinationRule) bool {
	host := rule.Host
	if !strings.Contains(host, ".") {
		host += "." + rule.Ref.Namespace + ".svc." + s.r.Snapshot().Config.ClusterDomain
	}
	return slices.ContainsFunc(s.services, func(svc *mesh.Service) bool { return resolve.HostCovers(host, svc.Hostname) })
}

// problems are those of its objects.
func (s *subjectOf) problems(all []mesh.Problem) []api.Problem {
	own := map[mesh.Ref]bool{}
	for _, svc := range s.services {
		own[svc.Ref] = true
	}
	for _, w := range s.workload {
		own[w.Ref] = true
	}
	return Problems(slices.DeleteFunc(slices.Clone(all), func(p mesh.Problem) bool { return p.Ref.IsZero() || !own[p.Ref] }))
}

// trendKey is a question for values over time.
type trendKey struct {
	window                       time.Duration
	points                       int
	namespace, service, workload string
	// fromNamespace and fromWorkload are of the callers.
	fromNamespace, fromWorkload string
}

// trendSeen is the answer, or why there is none.
type trendSeen struct {
	trend   *api.Trend
	trouble string
}

// trend is GET /v1/trend.
func (a *API) trend(r *http.Request) (any, error) {
	window, err := windowOf(r)
	if err != nil {
		return nil, err
	}
	points, err := intParam(r, "points", basePoints, 2, mostPoints)
	if err != nil {
		return nil, err
	}
	seen, err := a.lookTrend(r.Context(), trendKey{window, points, r.FormValue("namespace"), r.FormValue("service"), r.FormValue("workload"),
		r.FormValue("sourceNamespace"), r.FormValue("sourceWorkload")})
	if err != nil {
		return nil, err
	}
	out := &api.TrendAnswer{Head: head("Trend"), Trend: *emptyTrend(), Trouble: seen.trouble}
	if seen.trend != nil {
		out.Trend = *seen.trend
	}
	return out, nil
}

// lookTrend asks the store, at most every few seconds.
func (a *API) lookTrend(ctx context.Context, key trendKey) (*trendSeen, error) {
	return a.trends.get(ctx, key, nil, func(ctx context.Context) (*trendSeen, error) {
		if a.opt.Flows == nil {
			return &trendSeen{trouble: noStore}, nil
		}
		ctx, cancel := context.WithTimeout(ctx, flowsTime)
		defer cancel()
		step := key.window / time.Duration(key.points)
		t, err := a.opt.Flows.Trend(ctx, metrics.TrendQuery{Window: metrics.Window{Length: key.window}, Step: step,
			Namespace: key.namespace, Service: key.service, Workload: key.workload,
			SourceNamespace: key.fromNamespace, SourceWorkload: key.fromWorkload})
		if err != nil {
			return &trendSeen{trouble: err.Error()}, nil
		}
		return &trendSeen{trend: trendShape(t)}, nil
	})
}

// trendOf is the trend alone, nil where there is none.
func (a *API) trendOf(ctx context.Context, key *trendKey) *api.Trend {
	if key == nil {
		return nil
	}
	seen, err := a.lookTrend(ctx, *key)
	if err != nil {
		return nil
	}
	return seen.trend
}

func emptyTrend() *api.Trend {
	return &api.Trend{Times: []time.Time{}, Requests: []*float64{}, Errors: []*float64{}, Connections: []*float64{}, Failures: []*float64{}, MTLS: []*float64{}}
}

// trendShape puts null in the place of NaN, which JSON does not have.
func trendShape(t *metrics.Trend) *api.Trend {
	out := emptyTrend()
	out.Times = append(out.Times, t.Times...)
	for _, one := range []struct {
		to   *[]*float64
		from []float64
	}{{&out.Requests, t.Requests}, {&out.Errors, t.Errors}, {&out.Connections, t.Connections}, {&out.Failures, t.Failures}, {&out.MTLS, t.MTLS}} {
		for i := range t.Times {
			var v *float64
			if i < len(one.from) && !math.IsNaN(one.from[i]) && !math.IsInf(one.from[i], 0) {
				v = &one.from[i]
			}
			*one.to = append(*one.to, v)
		}
	}
	return out
}

// trendOfEdge is that of an edge's traffic, on whatever port: Istio's series name none. What comes from outside has callers
// without a name.
func trendOfEdge(p *picture, e *api.Edge, window time.Duration) *trendKey {
	key := trendOfNode(p.node(e.To), window)
	from := p.node(e.From)
	switch {
	case key == nil:
	case from.Kind == "workload":
		key.fromNamespace, key.fromWorkload = from.Namespace, from.Name
	case from.Kind == "outside":
		key.fromWorkload = unnamed
	default:
		return nil
	}
	return key
}

// unnamed is a caller without a name, as series have it.
const unnamed = "unknown"

func trendOfNode(n *api.GraphNode, window time.Duration) *trendKey {
	key := &trendKey{window: window, points: basePoints}
	switch n.Kind {
	case "service":
		key.service = strings.TrimPrefix(n.ID, "service/")
	case "workload":
		key.namespace, key.workload = n.Namespace, n.Name
	case "namespace":
		key.namespace = n.Namespace
	case "egress":
		key.service = strings.TrimPrefix(n.ID, "egress/")
	default:
		return nil
	}
	return key
}

// podShapes are pods in their JSON shape.
func podShapes(pods []*mesh.Pod) []api.Pod {
	out := make([]api.Pod, 0, len(pods))
	for _, p := range pods {
		out = append(out, PodShape(p))
	}
	slices.SortFunc(out, func(a, b api.Pod) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return out
}

// PodShape is a pod in its JSON shape.
func PodShape(p *mesh.Pod) api.Pod {
	w := p.Workload
	out := api.Pod{
		Namespace: w.Ref.Namespace, Name: w.Ref.Name, ServiceAccount: cmp.Or(w.ServiceAccount, "default"), Labels: w.Labels,
		Addresses: append([]string{}, w.Addresses...), Sidecar: w.Capture == mesh.CaptureSidecar, Phase: string(p.Phase), Ready: p.Ready,
		Containers: containers(w), Reason: p.Reason, Restarts: p.Restarts, Started: p.Started,
	}
	if !w.Owner.IsZero() {
		r := Ref(w.Owner)
		out.Owner = &r
	}
	return out
}

// containers counts those beside a sidecar that was added: a gateway's manifest names its proxy itself.
func containers(w *mesh.Workload) int {
	n := 0
	for i := range w.Containers {
		if w.Capture != mesh.CaptureSidecar || w.Containers[i].Name != mesh.SidecarContainer {
			n++
		}
	}
	return n
}

// podWord names a pod for people.
func podWord(r mesh.Ref) string { return fmt.Sprintf("%s.%s", r.Name, r.Namespace) }
