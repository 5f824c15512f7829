package control

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oarlock/oarlock/api"
	"github.com/oarlock/oarlock/metrics"
)

// TestPicture: the three witnesses are put side by side.
func TestPicture(t *testing.T) {
	r, store := shopRig(t, nil)
	g, err := r.client.Graph(t.Context(), api.GraphQuery{Layout: true})
	if err != nil || len(g.Edges) != 1 || g.Layout == nil || g.Layout.Nodes["workload/shop/web.Deployment"] == (api.Position{}) || len(g.Layout.Boxes) == 0 {
		t.Fatalf("graph %+v: %v", g, err)
	}
	e := g.Edges[0]
	if e.Lock != "locked" || e.Observed == nil || e.Observed.Requests != 1 || e.Declared == nil || e.Proven != nil || g.Window == nil || g.Mesh != "keen-otter" {
		t.Errorf("edge %+v", e)
	}
	o, err := r.client.Overview(t.Context(), time.Minute)
	if err != nil || o.Locks.Locked != 1 || o.MTLS == nil || *o.MTLS != 1 || o.Rule.Mode != "PERMISSIVE" || !o.Store.OK || o.Workloads != 2 || o.Meshed != 2 || o.Trend == nil {
		t.Errorf("overview %+v: %v", o, err)
	}
	if o.Trend.Requests[0] != nil || *o.Trend.Requests[1] != 2 {
		t.Errorf("trend %+v", o.Trend)
	}
	d, err := r.client.Edge(t.Context(), e.ID, 0)
	if err != nil || d.Edge.ID != e.ID || d.Explanation == nil || d.Explanation.Status != "AUTO" || len(d.Explanation.Reasons) == 0 || d.Explanation.Sync.Total != 2 ||
		len(d.Certificates) != 2 || d.Certificates[0].State != "expired" || d.Certificates[0].Serial != "leaf" || len(d.Log) != 2 || d.Log[1].Path != `/<script>alert("x")</script>` {
		t.Errorf("edge %+v: %v", d, err)
	}
	n, err := r.client.Node(t.Context(), "service/api.shop.svc.cluster.local", 0)
	if err != nil || len(n.In) != 1 || len(n.Ports) != 1 || n.Ports[0].Server != "PERMISSIVE" || n.Ports[0].Resource != "shop/api:80" || n.Ports[0].Locks.Locked != 1 ||
		len(n.Pods) != 1 || len(n.Rules) != 3 || len(n.Objects) < 2 || n.Objects[0].Kind != "PeerAuthentication" {
		t.Errorf("node %+v: %v", n, err)
	}
	// Without its store a mesh is still declared, and says what it does not know.
	store.set(nil, errors.New("query flows: connection refused"))
	r.until("picture without a store", func() bool { // the last one is shown for a while
		g, err = r.client.Graph(t.Context(), api.GraphQuery{})
		return err == nil && g.Edges[0].Lock == "unknown" && g.Trouble == "query flows: connection refused"
	})
	if tr, err := r.client.Trend(t.Context(), api.TrendQuery{Points: 3}); err != nil || tr.Trouble == "" || tr.Times == nil {
		t.Errorf("trend without a store: %+v %v", tr, err)
	}
}

// TestChangedVerdict: an edge says that its verdict is new, and how far that is.
func TestChangedVerdict(t *testing.T) {
	r, _ := shopRig(t, nil)
	r.change("disable", "shop", true)
	g, err := r.client.Graph(t.Context(), api.GraphQuery{})
	if err != nil {
		t.Fatal(err)
	}
	if c := g.Edges[0].Changed; c == nil || !c.Since.IsZero() || c.InForce != 0 || c.Total != 2 || !strings.Contains(g.Edges[0].Reason, "not yet in force on 2 of 2") {
		t.Errorf("edge %+v", g.Edges[0])
	}
	// Back to what was: that is a change too.
	r.change("allow", "shop", true)
	if g, err = r.client.Graph(t.Context(), api.GraphQuery{}); err != nil || g.Edges[0].Changed == nil {
		t.Errorf("edge %+v: %v", g.Edges[0], err)
	}
}

// TestChangedVerdictOfStrangers: what callers did whom nobody declares counts for a new verdict no more than what others did,
// whether or not somebody looked before it changed.
func TestChangedVerdictOfStrangers(t *testing.T) {
	for _, looked := range []bool{true, false} {
		r, store := shopRig(t, nil)
		plain := called(metrics.SecurityNone)
		plain[0].Source = metrics.Peer{}
		store.set(plain, nil)
		stranger := func() *api.Edge {
			t.Helper()
			g, err := r.client.Graph(t.Context(), api.GraphQuery{Window: 2 * time.Minute})
			if err != nil {
				t.Fatal(err)
			}
			for i := range g.Edges {
				if strings.HasPrefix(g.Edges[i].From, "outside/") {
					return &g.Edges[i]
				}
			}
			t.Fatalf("nobody calls from outside: %+v", g.Edges)
			return nil
		}
		if looked {
			if e := stranger(); e.Lock != "open" || e.Changed != nil {
				t.Errorf("before the change: %+v", e)
			}
		}
		r.change("require", "shop", true)
		for range 2 {
			e := stranger()
			if c := e.Changed; c == nil || !c.Since.IsZero() || c.InForce != 0 || c.Total != 1 {
				t.Errorf("looked before: %v: changed %+v", looked, c)
			}
			for _, f := range e.Findings {
				t.Errorf("looked before: %v: what was seen before the change is held against it: %+v", looked, f)
			}
		}
	}
}

// TestSharesCountOnce: of what both ends report the destination's word counts, also where it cannot name its port.
func TestSharesCountOnce(t *testing.T) {
	r, store := shopRig(t, nil)
	flows := append(called(metrics.SecurityMutualTLS), called(metrics.SecurityMutualTLS)...)
	flows[0].Port = 0
	flows[1].Reporter, flows[1].Security = metrics.Source, metrics.SecurityUnknown
	store.set(flows, nil)
	o, err := r.client.Overview(t.Context(), 2*time.Minute)
	if err != nil || o.Known == nil || *o.Known != 1 || o.MTLS == nil || *o.MTLS != 1 {
		t.Errorf("overview %+v: %v", o, err)
	}
}

// TestPicturesAreShared: however many ask, the store is asked about once a second.
func TestPicturesAreShared(t *testing.T) {
	r, store := shopRig(t, nil)
	before, begin := store.asked.Load(), time.Now()
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			if _, err := r.client.Graph(t.Context(), api.GraphQuery{Window: 2 * time.Minute}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n, most := store.asked.Load()-before, 1+int64(time.Since(begin)/time.Second); n > most {
		t.Errorf("the store was asked %d times within %v", n, time.Since(begin))
	}
}

// TestProbe: a port is tried from outside, when somebody asks and gently by itself.
func TestProbe(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != "PRI" {
			t.Errorf("a probe sends %s", r.Method)
		}
	}))
	defer plain.Close()
	r, _ := shopRig(t, func(o *Options) {
		o.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			if address != "127.64.1.2:80" {
				t.Errorf("%s is tried", address)
			}
			return (&net.Dialer{}).DialContext(ctx, network, plain.Listener.Addr().String())
		}
		o.ProbeEvery = 50 * time.Millisecond
	})
	r.until("a proof", func() bool {
		g, err := r.client.Graph(t.Context(), api.GraphQuery{})
		if err != nil {
			t.Fatal(err)
		}
		p := g.Edges[0].Proven
		return p != nil && p.Mode == "DISABLE" && p.From == "" && time.Since(p.At) < time.Minute
	})
	a, err := r.client.Probe(t.Context(), api.Probe{To: "shop/api:http"})
	if err != nil || a.Proven.Mode != "DISABLE" || len(a.Attempts) < 2 {
		t.Errorf("probe %+v: %v", a, err)
	}
	if a, err = r.client.Probe(t.Context(), api.Probe{To: "shop/api:80", From: "shop/web-abc-1"}); err != nil || a.Proven.Problem == "" {
		t.Errorf("a sidecar that says nothing of a probe: %+v %v", a, err)
	}
}

// TestLogs are text, whatever is in them.
func TestLogs(t *testing.T) {
	r, _ := shopRig(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // what is followed has no end
	defer cancel()
	one := 1
	for _, c := range []struct {
		q    api.LogQuery
		want string
	}{
		{api.LogQuery{Tail: &one}, "three\n"}, {api.LogQuery{}, "one\ntwo\nthree\n"}, {api.LogQuery{Container: "istio-proxy", Tail: &one, Follow: true}, "<script>"},
	} {
		c.q.Namespace, c.q.Pod = "shop", "api-abc-1"
		in, err := r.client.Logs(ctx, c.q)
		if err != nil {
			t.Fatal(err)
		}
		read := io.ReadAll
		if c.q.Follow {
			read = func(in io.Reader) ([]byte, error) { return bufio.NewReader(in).ReadBytes('\n') }
		}
		text, _ := read(in)
		in.Close()
		if !strings.Contains(string(text), c.want) || c.q.Container == "" && string(text) != c.want {
			t.Errorf("log %q, want %q", text, c.want)
		}
	}
	// What was there before a tap began is not its own.
	seen := errors.New("seen")
	err := r.client.Tap(ctx, api.TapQuery{}, func(l *api.LogLine) error {
		if l.Path != "/new" {
			t.Errorf("an old line: %+v", l)
		}
		return seen
	})
	if !errors.Is(err, seen) {
		t.Error(err)
	}
}

// TestVerdictOfRunningMesh: an explanation says how far it is.
func TestVerdictOfRunningMesh(t *testing.T) {
	r, _ := shopRig(t, nil)
	x, err := r.client.Explain(t.Context(), "outside", "api.shop:http")
	if err != nil || x.Client.Name != "outside" || x.Target.Port != 80 || x.Sync == nil || x.Sync.Total != 1 || x.Sync.InForce != 0 {
		t.Errorf("explanation %+v: %v", x, err)
	}
	if x, err = r.client.Explain(t.Context(), "web-abc-1.shop", "example.com:443"); err != nil || x.Target.Host != "example.com" {
		t.Errorf("explanation %+v: %v", x, err)
	}
}

// TestFlowsOfNobody: labels that somebody made up stay text.
func TestFlowsOfNobody(t *testing.T) {
	evil := called(metrics.SecurityNone)
	evil[0].Source = metrics.Peer{Namespace: "<b>", Workload: `"><script>alert(1)</script>`}
	r, store := shopRig(t, nil)
	store.set(evil, nil)
	r.until("picture of them", func() bool {
		_, text := r.ask("GET", "/v1/graph", "")
		return strings.Contains(string(text), "alert(1)")
	})
	for _, path := range []string{"/v1/graph", "/v1/overview"} {
		res, text := r.ask("GET", path, "")
		if res.StatusCode != 200 || strings.Contains(string(text), "<script") {
			t.Errorf("%s: %s %s", path, res.Status, text)
		}
	}
}
