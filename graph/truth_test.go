package graph

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/metrics"
	"github.com/oarlock/oarlock/resolve"
)

// world is traffic as it is, of which the reports of both ends tell only a part.
type world struct {
	snap  *mesh.Snapshot
	calls []truth
}

// truth is one call.
type truth struct {
	from, to int // workloads; from -1 is a caller without a sidecar
	tcp      bool
	mtls     bool
	fails    bool // plaintext that the server refuses
	rate     float64
}

// newWorld has a workload with a service each, and calls between them. Whether a call is mTLS or refused is the world's own
// affair: this is about who says what.
func newWorld(r *rand.Rand) *world {
	w := &world{snap: &mesh.Snapshot{Version: "v", Dialect: mesh.DialectCurrent, Config: mesh.Config{ClusterDomain: "cluster.local", RootNamespace: "istio-system"},
		Namespaces: []*mesh.Namespace{{Object: object(mesh.KindNamespace, "", "shop", 1), Capture: mesh.CaptureSidecar}}}}
	n := 2 + r.IntN(8)
	for i := range n {
		w.snap.Workloads = append(w.snap.Workloads, workload("shop", fmt.Sprintf("w%d", i)))
		s := service("shop", fmt.Sprintf("w%d", i), 80, 90)
		s.Ports[0].Name, s.Ports[0].TargetNumber = "http", 8080
		s.Ports[1].Name, s.Ports[1].TargetNumber = "tcp-x", 9090
		w.snap.Services = append(w.snap.Services, s)
	}
	used := map[[3]int]bool{}
	strict := [2]uint32{r.Uint32(), r.Uint32()} // a bit for each port: it refuses all plaintext
	for range 1 + r.IntN(3*n) {
		c := truth{from: r.IntN(n+1) - 1, to: r.IntN(n), tcp: r.IntN(2) == 0, rate: 1 + 50*r.Float64()}
		key := [3]int{c.from, c.to, 0}
		if c.tcp {
			key[2] = 1
		}
		if used[key] || c.from == c.to {
			continue
		}
		used[key] = true
		c.mtls = c.from >= 0 && r.IntN(2) == 0
		if c.fails = !c.mtls && strict[key[2]]>>c.to&1 == 1; c.fails && c.from < 0 {
			continue // who fails to get in where others do too cannot be told from their retries
		}
		w.calls = append(w.calls, c)
	}
	return w
}

func (c *truth) port() uint32 {
	if c.tcp {
		return 90
	}
	return 80
}

func (w *world) peer(i int) metrics.Peer {
	if i < 0 {
		return metrics.Peer{}
	}
	return metrics.Peer{Workload: fmt.Sprintf("w%d", i), Namespace: "shop"}
}

// reports tells what the sidecars would: each end a little apart from the other, a destination without the name of a caller
// that sends plaintext TCP, with its own port, or without one for any TCP; failed handshakes with the workload's port and no name at all.
// istio leaves out what only our own series say: what sources know of the security.
func (w *world) reports(r *rand.Rand, istio bool) *metrics.Observation {
	o := &metrics.Observation{Start: noon.Add(-time.Minute), End: noon, Newest: noon}
	apart := func(v float64) float64 { return v * (1 + 0.04*(r.Float64()-0.5)) }
	for i := range w.calls {
		c := &w.calls[i]
		f := metrics.Flow{Source: w.peer(c.from), Destination: w.peer(c.to), Port: uint16(c.port()), Protocol: "http",
			Service: metrics.Service{Host: fmt.Sprintf("w%d.shop.svc.cluster.local", c.to)}, Security: metrics.SecurityNone}
		if c.mtls {
			f.Security = metrics.SecurityMutualTLS
		}
		volume := &f.Requests
		if c.tcp {
			f.Protocol, volume = "tcp", &f.Connections
		}
		if c.from >= 0 {
			s := f
			s.Reporter = metrics.Source
			if istio {
				s.Security = metrics.SecurityUnknown
			}
			*volume = apart(c.rate)
			s.Requests, s.Connections = f.Requests, f.Connections
			if c.fails && !c.tcp {
				s.Errors = s.Requests
			}
			o.Flows = append(o.Flows, s)
		}
		*volume = apart(c.rate)
		f.Reporter, f.Port = metrics.Destination, 8080
		if c.tcp {
			f.Port = 0
			if !c.mtls {
				f.Source = metrics.Peer{}
			}
		}
		if c.fails {
			f = metrics.Flow{Destination: f.Destination, Reporter: metrics.Destination, Port: 8080, Failures: apart(c.rate),
				Causes: []metrics.CauseRate{{Cause: metrics.CauseNoFilterChain, Failures: c.rate}}}
			if c.tcp {
				f.Port = 9090
			}
		}
		o.Flows = append(o.Flows, f)
	}
	r.Shuffle(len(o.Flows), func(i, j int) { o.Flows[i], o.Flows[j] = o.Flows[j], o.Flows[i] })
	return o
}

// TestReportsTellTheTruth makes up traffic, the reports that both ends would give of it, and wants every edge as it was: its
// volume, its share of mTLS, and its lock.
func TestReportsTellTheTruth(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 10))
		w := newWorld(r)
		g := Build(resolve.New(w.snap))
		g.Observe(Witnesses{Now: noon, Observed: w.reports(r, false)})
		checkSums(t, g)
		found := 0
		for i := range g.Edges {
			if g.Edges[i].Observed != nil {
				found++
			}
		}
		want := map[string]bool{}
		for i := range w.calls {
			checkTruth(t, w, &w.calls[i], g, want)
		}
		if found != len(want) {
			t.Errorf("%d edges have traffic, want %d", found, len(want))
		}
		if t.Failed() {
			for _, c := range w.calls {
				t.Logf("%+v", c)
			}
			t.Fatalf("seed %d:\n%s", seed, told(g))
		}
	}
}

func checkTruth(t *testing.T, w *world, c *truth, g *Graph, want map[string]bool) {
	t.Helper()
	from := outsideID
	if c.from >= 0 {
		from = workloadID(w.snap.Workloads[c.from].Ref)
	}
	id := EdgeID(from, serviceID(w.snap.Services[c.to]), c.port(), "")
	want[id] = true
	i := slices.IndexFunc(g.Edges, func(e Edge) bool { return e.ID() == id })
	if i < 0 || g.Edges[i].Observed == nil {
		t.Errorf("%s is missing", id)
		return
	}
	e := &g.Edges[i]
	lock, mtls, through, failed := LockOpen, 0.0, c.rate, 0.0
	switch {
	case c.fails:
		lock, through, failed = LockBroken, 0, c.rate
	case c.mtls:
		lock, mtls = LockLocked, 1
	}
	o := e.Observed
	if e.Lock != lock || o.MTLS != mtls {
		t.Errorf("%s is %s (%s), want %s", id, e.Lock, e.Reason, lock)
	}
	if got := o.Requests + o.Connections; math.Abs(got-through) > 0.15*c.rate {
		t.Errorf("%s: %g get through, want %g", id, got, through)
	}
	if math.Abs(o.Failures-failed) > 0.15*c.rate {
		t.Errorf("%s: %g handshakes fail, want %g", id, o.Failures, failed)
	}
}

// TestIstiosReportsAreNotMisread leaves out what only our own series say. What is then not known must not be made up: no
// encrypted edge is open, and no plaintext one is locked.
func TestIstiosReportsAreNotMisread(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 11))
		w := newWorld(r)
		for i := range w.calls {
			w.calls[i].fails = false // Istio has no series of failed handshakes
		}
		g := Build(resolve.New(w.snap))
		g.Observe(Witnesses{Now: noon, Observed: w.reports(r, true)})
		checkSums(t, g)
		for i := range w.calls {
			c := &w.calls[i]
			if c.from < 0 {
				continue
			}
			id := EdgeID(workloadID(w.snap.Workloads[c.from].Ref), serviceID(w.snap.Services[c.to]), c.port(), "")
			k := slices.IndexFunc(g.Edges, func(e Edge) bool { return e.ID() == id })
			if k < 0 {
				t.Fatalf("seed %d: %s is missing", seed, id)
			}
			switch e := &g.Edges[k]; {
			case c.mtls && (e.Lock == LockOpen || e.Lock == LockBroken), !c.mtls && e.Lock == LockLocked:
				t.Errorf("seed %d: %s is %s (%s), mTLS %v", seed, id, e.Lock, e.Reason, c.mtls)
			}
		}
		if t.Failed() {
			t.Fatalf("seed %d:\n%s", seed, told(g))
		}
	}
}

// TestPartlyInjectedIsNeverLocked has pods without a sidecar behind some of what is called by mutual TLS: what goes there is
// plaintext that the source alone counts. No such edge is locked, and none broken, for nothing was refused; with Istio's series
// alone too, where the source may have the names that certificates proved, or none.
func TestPartlyInjectedIsNeverLocked(t *testing.T) {
	for seed := range uint64(600) {
		r := rand.New(rand.NewPCG(seed, 16))
		istio, names := seed%3 > 0, seed%3 == 1
		w := newWorld(r)
		for i := range w.calls {
			w.calls[i].fails = false
		}
		o, bare := w.reports(r, istio), make([]float64, len(w.calls))
		for i := range w.calls {
			if c := &w.calls[i]; c.mtls {
				if bare[i] = 0.01 + 0.9*r.Float64(); istio && !names {
					bare[i] = max(bare[i], 0.3) // less is two scrapes at different moments
				}
				w.injectPartly(o, c, bare[i], istio, names)
			}
		}
		g := Build(resolve.New(w.snap))
		g.Observe(Witnesses{Now: noon, Observed: o})
		checkSums(t, g)
		for i, share := range bare {
			c := &w.calls[i]
			if share == 0 {
				continue
			}
			id := EdgeID(workloadID(w.snap.Workloads[c.from].Ref), serviceID(w.snap.Services[c.to]), c.port(), "")
			k := slices.IndexFunc(g.Edges, func(e Edge) bool { return e.ID() == id })
			// What the destination counts of callers in plaintext without their names may be taken for it.
			others := c.tcp || slices.ContainsFunc(w.calls, func(o truth) bool { return o.from < 0 && o.to == c.to })
			e, want := &g.Edges[k], LockMixed
			if istio && e.Observed.MTLS == 1 {
				want = LockUnknown
			}
			if e.Lock != want || !others && !strings.Contains(e.Reason, "some of its pods may have none") {
				t.Errorf("seed %d: %s is %s (%s), %g of %+v went to pods without a sidecar", seed, id, e.Lock, e.Reason, share, c)
			}
		}
		if t.Failed() {
			t.Fatalf("seed %d:\n%s", seed, told(g))
		}
	}
}

// injectPartly has a share of a call by mutual TLS go to pods without a sidecar.
func (w *world) injectPartly(o *metrics.Observation, c *truth, share float64, istio, names bool) {
	host := fmt.Sprintf("w%d.shop.svc.cluster.local", c.to)
	protocol := "http"
	if c.tcp {
		protocol = "tcp"
	}
	for i := range o.Flows {
		f := &o.Flows[i]
		if f.Service.Host != host || f.Source != w.peer(c.from) || f.Protocol != protocol || f.Failures > 0 {
			continue
		}
		if f.Reporter == metrics.Destination {
			f.Requests, f.Connections = f.Requests*(1-share), f.Connections*(1-share)
			continue
		}
		f.Sent = 1000
		if istio && !names {
			continue // one row for both
		}
		plain := *f
		plain.Requests, plain.Connections = f.Requests*share, f.Connections*share
		f.Requests, f.Connections = f.Requests*(1-share), f.Connections*(1-share)
		if plain.Security = metrics.SecurityNone; istio {
			plain.Security = metrics.SecurityUnknown
			f.Source.Principal, f.Destination.Principal = "spiffe://cluster.local/ns/shop/sa/a", "spiffe://cluster.local/ns/shop/sa/b"
		}
		o.Flows = append(o.Flows, plain)
	}
}

// TestTheOrderOfFlowsDoesNotMatter shuffles them.
func TestTheOrderOfFlowsDoesNotMatter(t *testing.T) {
	for seed := range uint64(30) {
		w := newWorld(rand.New(rand.NewPCG(seed, 12)))
		first := ""
		for shuffle := range uint64(4) {
			r := rand.New(rand.NewPCG(seed, 13))
			o := w.reports(r, false)
			rand.New(rand.NewPCG(shuffle, 14)).Shuffle(len(o.Flows), func(i, j int) { o.Flows[i], o.Flows[j] = o.Flows[j], o.Flows[i] })
			g := Build(resolve.New(w.snap))
			g.Observe(Witnesses{Now: noon, Observed: o})
			got := told(g)
			if first == "" {
				first = got
			}
			if got != first {
				t.Fatalf("seed %d: got\n%s\nand\n%s", seed, first, got)
			}
		}
	}
}

func TestModes(t *testing.T) {
	s := shop()
	s.PeerAuthentications = append(s.PeerAuthentications, &mesh.PeerAuthentication{Object: object(mesh.KindPeerAuthentication, "shop", "api", 41),
		Selector: map[string]string{"app": "api"}, Mode: mesh.ModeStrict, Ports: []mesh.PortMode{{Port: 9090, Mode: mesh.ModeDisable}}})
	g := Build(resolve.New(s))
	for id, want := range map[string]string{
		"namespace/shop":                     "MIXED",
		"service/api.shop.svc.cluster.local": "MIXED",
		"workload/shop/api.Deployment":       "MIXED",
		"service/web.shop.svc.cluster.local": "STRICT",
		"workload/shop/web.Deployment":       "STRICT",
		"workload/shop/old.Deployment":       "DISABLE",
		"egress/db.example.com":              "",
		"egress/nobody":                      "",
		"ingress/shop/missing":               "",
		"namespace/edge":                     "PERMISSIVE",
	} {
		if n := g.Node(id); n == nil || n.Mode != want {
			t.Errorf("%s: %+v, want mode %q", id, n, want)
		}
	}
}

func TestApplicationAndVersion(t *testing.T) {
	s := shop()
	s.Workloads[0].Labels = map[string]string{"app": "x", "version": "v7"}
	g := Build(resolve.New(s))
	if n := g.Node(workloadID(s.Workloads[0].Ref)); n.App != "x" || n.Version != "v7" {
		t.Errorf("%+v", n)
	}
}

func TestOfPod(t *testing.T) {
	s := shop()
	s.Workloads = append(s.Workloads, workload("shop", "web-admin"))
	o := &observing{builder: newBuilder(resolve.New(s))}
	for name, want := range map[string]string{
		"web-7d4f-x2.shop": "web", "shop/web-7d4f-x2": "web", "web.shop": "web", "web-admin-1-a.shop": "web-admin", "webx-1.shop": "",
		"web-1.other": "", "nothing": "", "": "", "other/web": "",
	} {
		got := ""
		if w := o.ofPod(name); w != nil {
			got = w.Ref.Name
		}
		if got != want {
			t.Errorf("ofPod(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestAccount(t *testing.T) {
	s := shop()
	for i, w := range s.Workloads {
		w.ServiceAccount = fmt.Sprintf("sa%d", i)
	}
	s.Workloads[1].ServiceAccount = "sa0"
	s.Workloads[1].Ref.Namespace = s.Workloads[0].Ref.Namespace
	p := newBuilder(resolve.New(s)).places()
	for principal, want := range map[string]string{
		"spiffe://cluster.local/ns/" + s.Workloads[2].Ref.Namespace + "/sa/sa2": s.Workloads[2].Ref.Name,
		"spiffe://cluster.local/ns/" + s.Workloads[0].Ref.Namespace + "/sa/sa0": "", // two run under it
		"spiffe://cluster.local/ns/shop/sa/nobody":                              "",
		"spiffe://cluster.local/ns/shop":                                        "",
		"cluster.local/x/shop/sa/sa2":                                           "",
		"":                                                                      "",
	} {
		got := ""
		if w := p.account(principal); w != nil {
			got = w.Ref.Name
		}
		if got != want {
			t.Errorf("account(%q) = %q, want %q", principal, got, want)
		}
	}
}

// TestPartKeepsTheObservation cuts a namespace out of an observed graph.
func TestPartKeepsTheObservation(t *testing.T) {
	g := example(t, "bookinfo")
	part := g.In("traffic-generator")
	if part.End != noon || part.Start.IsZero() || len(part.Edges) != 1 || part.Edges[0].Observed == nil {
		t.Errorf("%+v", part)
	}
	before := told(part)
	part.Observe(Witnesses{Now: noon, Trouble: "x"})
	if told(part) != before {
		t.Error("a part of a graph is observed anew")
	}
}

func TestTrafficOfNodes(t *testing.T) {
	g := example(t, "bookinfo")
	page := g.Node("service/productpage.bookinfo.svc.cluster.local")
	behind := g.Node(page.Endpoints[0])
	in := 0.0
	for _, e := range g.Edges {
		if e.To == page.ID {
			in += e.Observed.Requests
		}
	}
	if in == 0 || page.Traffic.In != in || behind.Traffic.In != in || page.Traffic.Known != 1 || page.Traffic.MTLS != 0 {
		t.Errorf("%g come in; service %+v, workload %+v", in, page.Traffic, behind.Traffic)
	}
	if behind.Traffic.Out == 0 || behind.Traffic.OutErrors == 0 {
		t.Errorf("nothing goes out: %+v", behind.Traffic)
	}
	broken := example(t, "challenges")
	if !slices.ContainsFunc(broken.Edges, func(e Edge) bool { return e.Lock == LockLocked }) {
		t.Error("no edge of challenges is locked")
	}
}

// TestExamplesHaveNoFindings has traffic do exactly what is declared.
func TestExamplesHaveNoFindings(t *testing.T) {
	for _, name := range []string{"bookinfo", "backyards", "challenges", "foo-bar", "foo-bar-strict-mesh", "bookinfo-current", "backyards-current", "challenges-current", "foo-bar-current"} {
		g := example(t, name)
		for i := range g.Edges {
			e := &g.Edges[i]
			for _, f := range e.Findings {
				t.Errorf("%s: %s: %s %s", name, e.ID(), f.Code, f.Text)
			}
			if e.Observed != nil && e.Declared != nil && strings.Contains(e.Declared.Verdict.Wire.String(), "refused") != (e.Lock == LockBroken) {
				t.Errorf("%s: %s is %s and declared %s", name, e.ID(), e.Lock, e.Declared.Verdict.Wire)
			}
		}
	}
}

func BenchmarkObserve(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 15))
	s := &mesh.Snapshot{Version: "v", Dialect: mesh.DialectCurrent, Config: mesh.Config{ClusterDomain: "cluster.local", RootNamespace: "istio-system"}}
	const n = 500
	for i := range n {
		name, ns := fmt.Sprintf("w%d", i), fmt.Sprintf("ns%d", i%25)
		s.Workloads = append(s.Workloads, workload(ns, name))
		s.Services = append(s.Services, service(ns, name, 80))
	}
	o := &metrics.Observation{Start: noon.Add(-time.Minute), End: noon, Newest: noon}
	for range 5000 {
		from, to := r.IntN(n), r.IntN(n)
		for by := range metrics.Destination + 1 {
			o.Flows = append(o.Flows, metrics.Flow{Source: metrics.Peer{Workload: fmt.Sprintf("w%d", from), Namespace: fmt.Sprintf("ns%d", from%25)},
				Destination: metrics.Peer{Workload: fmt.Sprintf("w%d", to), Namespace: fmt.Sprintf("ns%d", to%25)}, Reporter: by,
				Service: metrics.Service{Host: s.Services[to].Hostname}, Port: 80, Protocol: "http", Security: metrics.SecurityMutualTLS, Requests: 3})
		}
	}
	resolver := resolve.New(s)
	for b.Loop() {
		g := Build(resolver)
		g.Observe(Witnesses{Now: noon, Observed: o})
	}
}
