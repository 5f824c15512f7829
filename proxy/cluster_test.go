package proxy

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oarlock/oarlock/accesslog"
	"github.com/oarlock/oarlock/meshtest"
)

// running puts clusters in force on a proxy without listeners and gives the first.
func running(t testing.TB, cs ...*Cluster) (*Proxy, *cluster) {
	t.Helper()
	p := New(Options{})
	t.Cleanup(func() { p.Close() })
	apply(t, p, cs...)
	return p, p.state.Load().clusters[cs[0].Name]
}

func apply(t testing.TB, p *Proxy, cs ...*Cluster) {
	t.Helper()
	if err := p.Apply(&Config{Clusters: cs}); err != nil {
		t.Fatal(err)
	}
}

// numbered makes n endpoints 10.0.0.1:80 and on, changed by change.
func numbered(n int, change func(i int, e *Endpoint)) []Endpoint {
	out := make([]Endpoint, n)
	for i := range out {
		out[i].Address = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}), 80)
		if change != nil {
			change(i, &out[i])
		}
	}
	return out
}

// shares picks many times and counts by the last number of the address; -1 is none.
func shares(c *cluster, n int, tried ...*endpoint) map[int]int {
	out := map[int]int{}
	for range n {
		i := -1
		if e := c.pick(netip.AddrPort{}, tried); e != nil {
			i = int(e.address.Addr().As4()[3])
		}
		out[i]++
	}
	return out
}

// Each balancer gives every endpoint that may be used its part, and the others nothing.
func TestBalance(t *testing.T) {
	const n = 6000
	down := func(is ...int) func(int, *Endpoint) {
		return func(i int, e *Endpoint) { e.Down = slices.Contains(is, i+1) }
	}
	for _, c := range []struct {
		name      string
		balancer  Balancer
		endpoints []Endpoint
		want      map[int]int // share of n
		exact     bool
	}{
		{"none", RoundRobin, nil, map[int]int{-1: n}, true},
		{"one", RoundRobin, numbered(1, nil), map[int]int{1: n}, true},
		{"one that is down", RoundRobin, numbered(1, down(1)), map[int]int{-1: n}, true},
		{"round robin", RoundRobin, numbered(3, nil), map[int]int{1: n / 3, 2: n / 3, 3: n / 3}, true},
		{"random", Random, numbered(3, nil), map[int]int{1: n / 3, 2: n / 3, 3: n / 3}, false},
		{"least request, none busy", LeastRequest, numbered(3, nil), map[int]int{1: n / 3, 2: n / 3, 3: n / 3}, false},
		{"one of three down", RoundRobin, numbered(3, down(2)), map[int]int{1: n / 2, 3: n / 2}, true},
		{"all down", Random, numbered(3, down(1, 2, 3)), map[int]int{-1: n}, true},
		{"many", RoundRobin, numbered(20, down(1, 2, 3, 4, 5, 6, 7, 8, 9, 10)),
			map[int]int{11: 600, 12: 600, 13: 600, 14: 600, 15: 600, 16: 600, 17: 600, 18: 600, 19: 600, 20: 600}, true},
		{"weights", RoundRobin, numbered(3, func(i int, e *Endpoint) { e.Weight = []uint32{1, 2, 3}[i] }), map[int]int{1: n / 6, 2: n / 3, 3: n / 2}, false},
		{"weight zero is one", Random, numbered(2, func(i int, e *Endpoint) { e.Weight = []uint32{0, 3}[i] }), map[int]int{1: n / 4, 2: 3 * n / 4}, false},
		{"weight of one that is down", Random, numbered(3, func(i int, e *Endpoint) { e.Weight, e.Down = uint32(i+1), i == 2 }), map[int]int{1: n / 3, 2: 2 * n / 3}, false},
		{"priority", RoundRobin, numbered(4, func(i int, e *Endpoint) { e.Priority = uint32(i / 2) }), map[int]int{1: n / 2, 2: n / 2}, true},
		{"second priority", RoundRobin, numbered(4, func(i int, e *Endpoint) { e.Priority, e.Down = uint32(i/2), i < 2 }), map[int]int{3: n / 2, 4: n / 2}, true},
		{"priorities with a gap", RoundRobin, numbered(2, func(i int, e *Endpoint) { e.Priority = uint32(3 + i*4) }), map[int]int{1: n}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, in := running(t, &Cluster{Name: "c", Balancer: c.balancer, Endpoints: c.endpoints})
			got := shares(in, n)
			if len(got) != len(c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
			for i, want := range c.want {
				slack := 0
				if !c.exact {
					slack = n / 15 // five standard deviations and more
				}
				if d := got[i] - want; d > slack || -d > slack {
					t.Errorf("endpoint %d got %d, want %d", i, got[i], want)
				}
			}
		})
	}
}

// Of two at random the one with less to do is taken, so the busiest gets least.
func TestLeastRequest(t *testing.T) {
	_, c := running(t, &Cluster{Name: "c", Balancer: LeastRequest, Endpoints: numbered(3, nil)})
	for i, e := range *c.members.Load() {
		e.busy.Store(int64(10 * i))
	}
	got := shares(c, 9000) // 5/9, 3/9 and 1/9
	if got[1] < 4600 || got[1] > 5400 || got[2] < 2600 || got[2] > 3400 || got[3] < 700 || got[3] > 1300 {
		t.Errorf("got %v, want about 5000, 3000 and 1000", got)
	}
}

// A retry goes elsewhere while there is an elsewhere.
func TestBalanceTried(t *testing.T) {
	_, c := running(t, &Cluster{Name: "c", Endpoints: numbered(3, nil)})
	all := *c.members.Load()
	for n := range 4 {
		got := shares(c, 30, all[:n]...)
		for i := 1; i <= 3; i++ {
			want := i > n || n == 3
			if (got[i] > 0) != want {
				t.Errorf("%d tried: endpoint %d got %d", n, i, got[i])
			}
		}
	}
}

// Clusters of a route get their weights' part.
func TestChooseCluster(t *testing.T) {
	for _, c := range []struct {
		name string
		in   []WeightedCluster
		want map[string]int
	}{
		{"none", nil, map[string]int{"": 1000}},
		{"one without weight", []WeightedCluster{{"a", 0}}, map[string]int{"a": 1000}},
		{"only zeros", []WeightedCluster{{"a", 0}, {"b", 0}}, map[string]int{"": 1000}},
		{"all for one", []WeightedCluster{{"a", 0}, {"b", 100}, {"c", 0}}, map[string]int{"b": 1000}},
		{"canary", []WeightedCluster{{"a", 90}, {"b", 10}}, map[string]int{"a": 900, "b": 100}},
	} {
		got := map[string]int{}
		for range 1000 {
			got[chooseCluster(c.in)]++
		}
		for name, want := range c.want {
			if d := got[name] - want; d > 60 || -d > 60 || len(got) != len(c.want) {
				t.Errorf("%s: %v, want %v", c.name, got, c.want)
			}
		}
	}
}

func percent(n uint32) *uint32 { return &n }

// fail reports n failures of an endpoint.
func fail(e *endpoint, n, status int) {
	for range n {
		e.report(status != 0, status)
	}
}

// What counts against an endpoint, and what makes up for it.
func TestOutlierCounts(t *testing.T) {
	for _, c := range []struct {
		name string
		o    *Outlier
		does func(*endpoint)
		out  bool
	}{
		{"no detection", nil, func(e *endpoint) { fail(e, 100, 500) }, false},
		{"nothing switched on", &Outlier{}, func(e *endpoint) { fail(e, 100, 500) }, false},
		{"too few", &Outlier{Consecutive5xx: 5}, func(e *endpoint) { fail(e, 4, 500) }, false},
		{"enough", &Outlier{Consecutive5xx: 5}, func(e *endpoint) { fail(e, 5, 500) }, true},
		{"with a good one between", &Outlier{Consecutive5xx: 5}, func(e *endpoint) { fail(e, 4, 500); fail(e, 1, 200); fail(e, 4, 500) }, false},
		{"client errors", &Outlier{Consecutive5xx: 2}, func(e *endpoint) { fail(e, 9, 404) }, false},
		{"no connection is a 5xx", &Outlier{Consecutive5xx: 3}, func(e *endpoint) { fail(e, 2, 0); fail(e, 1, 503) }, true},
		{"gateway errors", &Outlier{ConsecutiveGateway: 3}, func(e *endpoint) { fail(e, 1, 502); fail(e, 1, 503); fail(e, 1, 504) }, true},
		{"500 is no gateway error", &Outlier{ConsecutiveGateway: 3}, func(e *endpoint) { fail(e, 2, 503); fail(e, 1, 500); fail(e, 2, 503) }, false},
		{"split: local alone", &Outlier{SplitLocal: true, ConsecutiveLocal: 2, Consecutive5xx: 9}, func(e *endpoint) { fail(e, 2, 0) }, true},
		{"split: no connection is no 5xx", &Outlier{SplitLocal: true, ConsecutiveLocal: 9, Consecutive5xx: 2}, func(e *endpoint) { fail(e, 5, 0) }, false},
		{"split: an answer clears local", &Outlier{SplitLocal: true, ConsecutiveLocal: 2}, func(e *endpoint) { fail(e, 1, 0); fail(e, 1, 500); fail(e, 1, 0) }, false},
		{"no percentage", &Outlier{Consecutive5xx: 1, MaxEjectionPercent: percent(0)}, func(e *endpoint) { fail(e, 9, 500) }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, in := running(t, &Cluster{Name: "c", Endpoints: numbered(2, nil), Outlier: c.o})
			e := (*in.members.Load())[0]
			c.does(e)
			if out := !e.healthy(0); out != c.out {
				t.Errorf("ejected = %v", out)
			}
			if got := shares(in, 10); (got[1] == 0) != c.out {
				t.Errorf("picked %v", got)
			}
		})
	}
}

// An ejection ends by itself, and grows with each, up to its limit.
func TestOutlierTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Options{})
		defer p.Close()
		apply(t, p, &Cluster{Name: "c", Endpoints: numbered(2, nil),
			Outlier: &Outlier{Consecutive5xx: 1, BaseEjection: 10 * time.Second, MaxEjection: 25 * time.Second, MaxEjectionPercent: percent(100)}})
		c := p.state.Load().clusters["c"]
		e := (*c.members.Load())[0]
		for i, want := range []time.Duration{10 * time.Second, 20 * time.Second, 25 * time.Second, 25 * time.Second} {
			fail(e, 3, 500)
			time.Sleep(want - time.Millisecond)
			if e.healthy(0) {
				t.Errorf("ejection %d is over before %v", i+1, want)
			}
			if got := shares(c, 4); got[2] != 4 {
				t.Errorf("picked %v during an ejection", got)
			}
			time.Sleep(want/20 + 2*time.Millisecond) // the jitter
			if !e.healthy(0) {
				t.Errorf("ejection %d is not over after %v", i+1, want)
			}
			if got := c.core.stats.Ejected.Value(); got != 0 {
				t.Errorf("%d count as ejected", got)
			}
		}
	})
}

// No more than a part of a cluster is put aside, though always one; with too few healthy ones all are used.
func TestOutlierShare(t *testing.T) {
	for _, c := range []struct {
		name    string
		percent *uint32
		min     uint32
		ejected int
		usable  int
	}{
		{"default 10 %", nil, 0, 1, 9},
		{"30 %", percent(30), 0, 3, 7},
		{"100 %", percent(100), 0, 10, 0},
		{"1 %", percent(1), 0, 1, 9},
		{"50 %, but 60 % shall be healthy", percent(50), 60, 5, 10},
		{"30 %, and 60 % shall be healthy", percent(30), 60, 3, 7},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, in := running(t, &Cluster{Name: "c", Endpoints: numbered(10, nil), Outlier: &Outlier{Consecutive5xx: 1, MaxEjectionPercent: c.percent, MinHealthPercent: c.min}})
			for _, e := range *in.members.Load() {
				fail(e, 2, 500)
			}
			if got := int(in.core.stats.Ejected.Value()); got != c.ejected {
				t.Errorf("%d are ejected, want %d", got, c.ejected)
			}
			got := shares(in, 100)
			delete(got, -1)
			if len(got) != c.usable {
				t.Errorf("%d are used, want %d", len(got), c.usable)
			}
		})
	}
}

// An endpoint that goes while it is put aside does not count as ejected for good.
func TestOutlierGone(t *testing.T) {
	o := &Outlier{Consecutive5xx: 1}
	p, c := running(t, &Cluster{Name: "c", Endpoints: numbered(3, nil), Outlier: o})
	gone := (*c.members.Load())[2]
	fail(gone, 1, 500)
	apply(t, p, &Cluster{Name: "c", Endpoints: numbered(2, nil), Outlier: o})
	fail(gone, 5, 500) // a last request comes to its end
	if got := p.state.Load().clusters["c"].core.stats.Ejected.Value(); got != 0 {
		t.Errorf("%d count as ejected", got)
	}
}

// What an Apply keeps of a cluster: everything where nothing changed, breakers and counts where only endpoints did, and
// of these the ones that are the same.
func TestClusterReuse(t *testing.T) {
	labels := map[string]string{"tlsMode": "istio"}
	begin := func() *Cluster {
		return &Cluster{Name: "c", ConnectTimeout: time.Second, Endpoints: numbered(2, func(i int, e *Endpoint) { e.Labels = labels })}
	}
	for _, c := range []struct {
		name    string
		change  func(*Cluster)
		same    bool // the whole cluster
		core    bool
		members []bool // of those before
	}{
		{"nothing", func(c *Cluster) {}, true, true, []bool{true, true}},
		{"one more", func(c *Cluster) { c.Endpoints = append(c.Endpoints, numbered(3, nil)[2]) }, false, true, []bool{true, true}},
		{"one less", func(c *Cluster) { c.Endpoints = c.Endpoints[1:] }, false, true, []bool{false, true}},
		{"another order", func(c *Cluster) { slices.Reverse(c.Endpoints) }, false, true, []bool{true, true}},
		{"none", func(c *Cluster) { c.Endpoints = nil }, false, true, []bool{false, false}},
		{"one is down", func(c *Cluster) { c.Endpoints[0].Down = true }, false, true, []bool{true, true}},
		{"a weight", func(c *Cluster) { c.Endpoints[0].Weight = 7 }, false, true, []bool{true, true}},
		{"a label", func(c *Cluster) { c.Endpoints[1].Labels = nil }, false, true, []bool{true, false}},
		{"a workload", func(c *Cluster) { c.Endpoints[1].Workload = Peer{Workload: "w"} }, false, true, []bool{true, false}},
		{"a priority", func(c *Cluster) { c.Endpoints[1].Priority = 1 }, false, true, []bool{true, true}},
		{"a port", func(c *Cluster) { c.Endpoints[0].Address = netip.MustParseAddrPort("10.0.0.1:81") }, false, true, []bool{false, true}},
		{"the balancer", func(c *Cluster) { c.Balancer = Random }, false, false, []bool{false, false}},
		{"a limit", func(c *Cluster) { c.Limits.Connections = 5 }, false, false, []bool{false, false}},
		{"TLS", func(c *Cluster) { c.TLS = &ClientTLS{} }, false, false, []bool{false, false}},
		{"policy", func(c *Cluster) { c.Policy = "DestinationRule a/b" }, false, false, []bool{false, false}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, old := running(t, begin())
			before := *old.members.Load()
			next := begin()
			c.change(next)
			apply(t, p, next)
			now := p.state.Load().clusters["c"]
			if (now == old) != c.same || (now.core == old.core) != c.core {
				t.Errorf("the same = %v, its core = %v, want %v, %v", now == old, now.core == old.core, c.same, c.core)
			}
			for i, e := range before {
				kept := slices.ContainsFunc(*now.members.Load(), func(m *endpoint) bool { return m.backend == e.backend })
				if kept != c.members[i] || e.gone.Load() == kept {
					t.Errorf("endpoint %d: kept = %v, closed = %v, want kept = %v", i+1, kept, e.gone.Load(), c.members[i])
				}
			}
		})
	}
}

// An Apply that fails leaves the clusters of before as they are.
func TestAbandonedApply(t *testing.T) {
	p, old := running(t, &Cluster{Name: "c", Endpoints: numbered(2, nil)})
	before := *old.members.Load()
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	more := &Cluster{Name: "c", Endpoints: numbered(3, nil)}
	raw := []*FilterChain{{TCP: &TCPProxy{}}}
	for name, bad := range map[string]*Config{
		"a cluster without identity": {Clusters: []*Cluster{more, {Name: "d", TLS: &ClientTLS{Trust: Trust{Own: true}}}}},
		"a socket without identity":  {Clusters: []*Cluster{more, {Name: "d", Sockets: []SocketMatch{{Name: "s", TLS: &ClientTLS{Certificate: Certificate{Own: true}}}}}}},
		"a port in use": {Clusters: []*Cluster{more}, Listeners: []*Listener{{Name: "free", Address: netip.MustParseAddrPort("127.0.0.1:0"), Bind: true, Chains: raw},
			{Name: "busy", Address: addrPort(busy.Addr()), Bind: true, Chains: raw}}},
		"a listener without filters": {Clusters: []*Cluster{more}, Listeners: []*Listener{{Name: "l", Chains: []*FilterChain{{}}}}},
		"both filters":               {Clusters: []*Cluster{more}, Listeners: []*Listener{{Name: "l", Default: &FilterChain{TCP: &TCPProxy{}, HTTP: &HTTPManager{}}}}},
		"a certificate of nobody":    {Clusters: []*Cluster{more}, Listeners: []*Listener{{Name: "l", Chains: []*FilterChain{{TLS: &ServerTLS{}, TCP: &TCPProxy{}}}}}},
	} {
		if err := p.Apply(bad); err == nil || !strings.HasPrefix(err.Error(), "apply config: ") {
			t.Errorf("%s: %v", name, err)
		}
		if p.state.Load().clusters["c"] != old || before[0].gone.Load() || before[1].gone.Load() {
			t.Errorf("%s: the cluster of before has changed", name)
		}
		if len(p.doors) != 0 {
			t.Errorf("%s: %d sockets are left open", name, len(p.doors))
		}
	}
	p.Close()
	if err := p.Apply(&Config{}); err == nil {
		t.Error("a closed proxy takes a Config")
	}
}

// Places are given out up to the limit, counted when refused, and come back.
func TestLimits(t *testing.T) {
	_, c := running(t, &Cluster{Name: "c", Limits: Limits{Requests: 2, Retries: 1}})
	if first, second, third := c.requestStart(), c.requestStart(), c.requestStart(); !first || !second || third {
		t.Error("want two requests and no third")
	}
	c.requestEnd()
	if !c.requestStart() {
		t.Error("a place is not given back")
	}
	if !c.retryStart() || c.retryStart() {
		t.Error("want one retry and no second")
	}
	c.retryEnd()
	if s := c.core.stats; !c.retryStart() || s.PendingOverflow.Value() != 1 || s.RetryOverflow.Value() != 1 {
		t.Errorf("overflows: %d requests, %d retries", s.PendingOverflow.Value(), s.RetryOverflow.Value())
	}
	_, d := running(t, &Cluster{Name: "d"})
	if l := d.core.limits; l != (Limits{1024, 1024, 1024, 3}) {
		t.Errorf("default limits %+v", l)
	}
}

// listen accepts and holds connections until the test ends.
func listen(t testing.TB) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { io.Copy(io.Discard, c); c.Close() })
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return addrPort(l.Addr())
}

// Connections are bounded over all endpoints and over an Apply that changes endpoints; a place is free when its connection
// is closed, however often that is done.
func TestConnectionLimit(t *testing.T) {
	meshtest.NoLeaks(t)
	at := listen(t)
	begin := func(n int) *Cluster {
		return &Cluster{Name: "c", Limits: Limits{Connections: 3}, Endpoints: append(numbered(n, nil), Endpoint{Address: at})}
	}
	p, c := running(t, begin(0))
	e := (*c.members.Load())[0]
	var open []*upstream
	for range 3 {
		u, err := e.dialStream(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, u)
	}
	apply(t, p, begin(1))
	c = p.state.Load().clusters["c"]
	if e != (*c.members.Load())[1] {
		t.Fatal("the endpoint is another")
	}
	if _, err := e.dialStream(t.Context()); err == nil || err.Flags != accesslog.UpstreamOverflow || err.Error() != "overflow" {
		t.Errorf("a fourth connection: %v", err)
	}
	open[0].close()
	open[0].close()
	u, err := e.dialStream(t.Context())
	if err != nil {
		t.Errorf("after one was closed: %v", err)
	} else {
		open = append(open, u)
	}
	if _, err := e.dialStream(t.Context()); err == nil {
		t.Error("closing twice frees two places")
	}
	for _, u := range open {
		u.close()
	}
	s := c.core.stats
	if s.Active.Value() != 0 || e.active.Load() != 0 || e.busy.Load() != 0 || c.core.connections.Load() != 0 || s.Connections.Value() != 4 || s.ConnectionOverflow.Value() != 2 {
		t.Errorf("active %d, total %d, overflow %d", s.Active.Value(), s.Connections.Value(), s.ConnectionOverflow.Value())
	}
	p.Close()
}

// What cannot be connected to is told in Envoy's words, and takes no place.
func TestConnectErrors(t *testing.T) {
	silent := listen(t)
	for _, c := range []struct {
		name   string
		at     netip.AddrPort
		tls    *ClientTLS
		time   time.Duration
		reason string
	}{
		{"nobody listens", netip.MustParseAddrPort("127.0.0.1:1"), nil, 30 * time.Second, "connection failure"},
		{"no answer to the hello", silent, &ClientTLS{}, 100 * time.Millisecond, "connection timeout"},
		{"no certificate file", silent, &ClientTLS{Certificate: Certificate{CertFile: "/no/cert", KeyFile: "/no/key"}}, 100 * time.Millisecond, "connection timeout"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, in := running(t, &Cluster{Name: "c", ConnectTimeout: c.time, TLS: c.tls, Endpoints: []Endpoint{{Address: c.at}}})
			e := (*in.members.Load())[0]
			_, err := e.dialStream(t.Context())
			if err == nil || err.Reason != c.reason || err.Flags != accesslog.UpstreamConnectionFailure || err.Unwrap() == nil {
				t.Errorf("error %+v, want %s", err, c.reason)
			}
			if in.core.connections.Load() != 0 || in.core.stats.ConnectFail.Value() != 1 {
				t.Errorf("%d places taken, %d failures", in.core.connections.Load(), in.core.stats.ConnectFail.Value())
			}
		})
	}
}

// The original destinations of a cluster are bounded; those with a connection are never forgotten.
func TestOriginalDestinations(t *testing.T) {
	at := listen(t)
	p, c := running(t, &Cluster{Name: "c", Discovery: OriginalDst})
	kept := c.pick(at, nil)
	u, err := kept.dialStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer u.close()
	for i := range 3 * maxOriginal {
		to := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 80)
		if e := c.pick(to, nil); e == nil || e.address != to || e.core != c.core {
			t.Fatalf("destination %v: endpoint %v", to, e)
		}
	}
	if n := len(c.original); n > maxOriginal {
		t.Errorf("%d are kept", n)
	}
	if c.pick(at, nil) != kept || kept.gone.Load() {
		t.Error("one with a connection is forgotten")
	}
	for _, to := range []netip.AddrPort{{}, netip.MustParseAddrPort("10.0.0.1:0")} {
		if c.pick(to, nil) != nil {
			t.Errorf("%v has an endpoint", to)
		}
	}
	apply(t, p, &Cluster{Name: "c", Discovery: OriginalDst, OriginalPort: 8080})
	if !kept.gone.Load() {
		t.Error("the endpoints of a cluster that is gone are open")
	}
	if e := p.state.Load().clusters["c"].pick(at, nil); e.address.Port() != 8080 {
		t.Errorf("OriginalPort: %v", e.address)
	}
	for range 2 {
		if e := c.pick(netip.MustParseAddrPort("10.9.9.9:80"), nil); e == nil || !e.gone.Load() || !e.pool.closed {
			t.Error("a late request finds no endpoint, or one that stays")
		}
	}
}

// The first socket whose labels an endpoint has is its; an empty one takes all, and without any it is the cluster's.
func TestSockets(t *testing.T) {
	mutual := &ClientTLS{SNI: "mutual"}
	_, c := running(t, &Cluster{Name: "c", TLS: &ClientTLS{SNI: "default"}, Sockets: []SocketMatch{
		{Name: "both", Labels: map[string]string{"a": "1", "b": "2"}, TLS: mutual}, {Name: "plain", Labels: map[string]string{"a": "1"}},
	}, Endpoints: numbered(5, func(i int, e *Endpoint) {
		e.Labels = []map[string]string{nil, {"a": "1"}, {"a": "1", "b": "2", "c": "3"}, {"b": "2"}, {"a": "2"}}[i]
	})})
	var got []string
	for _, e := range *c.members.Load() {
		got = append(got, fmt.Sprintf("%s %t", e.socket.name, e.socket.tls != nil))
	}
	want := []string{"default true", "plain false", "both true", "default true", "default true"}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	config, err := (*c.members.Load())[2].tlsConfig([]string{"istio"})
	if err != nil || config.ServerName != "mutual" || !slices.Equal(config.NextProtos, []string{"istio"}) {
		t.Errorf("config %v, %v", config, err)
	}
	if again, _ := (*c.members.Load())[2].tlsConfig([]string{"istio"}); again != config {
		t.Error("another configuration the second time: sessions are lost")
	}
}

// Where a connection goes and from which address, in either kind of capture.
func TestOutgoing(t *testing.T) {
	source, app := netip.MustParseAddr("127.1.0.1"), netip.MustParseAddr("127.2.0.1")
	explicit := Capture{Source: source, Application: app}
	for _, c := range []struct {
		name     string
		capture  Capture
		cluster  string
		bind     netip.Addr
		to       string
		want     string
		wantFrom string
	}{
		{"plain", Capture{}, "out", netip.Addr{}, "10.0.0.1:80", "10.0.0.1:80", ""},
		{"outbound has the workload's address", explicit, "out", netip.Addr{}, "127.9.0.1:80", "127.9.0.1:80", "127.1.0.1"},
		{"but not to the world", explicit, "out", netip.Addr{}, "93.184.216.34:80", "93.184.216.34:80", ""},
		{"inbound goes to the application", explicit, "inbound|80||", netip.Addr{}, "127.1.0.1:80", "127.2.0.1:80", ""},
		{"loopback too", explicit, "inbound|80||", netip.Addr{}, "127.0.0.1:80", "127.2.0.1:80", ""},
		{"passthrough", explicit, "InboundPassthroughCluster", netip.Addr{}, "127.1.0.1:81", "127.2.0.1:81", ""},
		{"transparent", Capture{Transparent: true}, "InboundPassthroughClusterIpv4", netip.MustParseAddr("127.0.0.6"), "10.0.0.1:80", "10.0.0.1:80", "127.0.0.6"},
		{"explicit binds no source", Capture{}, "inbound|80||", netip.MustParseAddr("127.0.0.6"), "10.0.0.1:80", "10.0.0.1:80", ""},
	} {
		_, in := running(t, &Cluster{Name: c.cluster, BindSource: c.bind})
		to, from := c.capture.outgoing(newEndpoint(in.core, &Endpoint{}, netip.MustParseAddrPort(c.to)))
		got := ""
		if from != nil {
			got = from.(*net.TCPAddr).IP.String()
		}
		if to.String() != c.want || got != c.wantFrom {
			t.Errorf("%s: to %v from %q, want %s from %q", c.name, to, got, c.want, c.wantFrom)
		}
	}
}
