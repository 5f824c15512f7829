package telemetry

import (
	"context"
	"flag"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oarlock/oarlock/meshtest"
	"github.com/oarlock/oarlock/metrics"
)

// scrapes is how often the suite's stores scrape, and look the window that it asks about.
const (
	scrapes = 400 * time.Millisecond
	window  = 5 * time.Second
)

// TestMain lets more tests run at once than there are processors: most of their time they wait for scrapes.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// aSidecar serves a real registry, as a sidecar does.
type aSidecar struct {
	*metrics.Registry
	name    string
	server  *httptest.Server
	handler atomic.Pointer[http.Handler]
}

func newSidecar(t *testing.T, name string, own metrics.Peer) *aSidecar {
	s := &aSidecar{name: name}
	s.begin(own)
	mux := http.NewServeMux()
	one := make(chan struct{}, 1)
	mux.HandleFunc(DefaultPath, func(w http.ResponseWriter, r *http.Request) {
		select {
		case one <- struct{}{}: // scrapes that time out on a busy machine must not pile up
			defer func() { <-one }()
			(*s.handler.Load()).ServeHTTP(w, r)
		default:
			http.Error(w, "busy", http.StatusServiceUnavailable)
		}
	})
	s.server = httptest.NewServer(mux)
	t.Cleanup(s.server.Close)
	return s
}

// begin starts over with nothing counted.
func (s *aSidecar) begin(own metrics.Peer) {
	s.Registry = metrics.NewRegistry(own, metrics.Options{Version: "test"})
	h := s.Handler()
	s.handler.Store(&h)
}

func (s *aSidecar) target() Target {
	return Target{Name: s.name, Address: s.server.Listener.Addr().String()}
}

var (
	web = metrics.Peer{Workload: "web", Namespace: "shop", App: "web", Version: "v1", CanonicalService: "web", CanonicalRevision: "v1",
		Cluster: "here", Principal: "spiffe://cluster.local/ns/shop/sa/web"}
	apiPeer = metrics.Peer{Workload: "api", Namespace: "shop", App: "api", Version: "v2", CanonicalService: "api", CanonicalRevision: "v2",
		Cluster: "here", Principal: "spiffe://cluster.local/ns/shop/sa/api"}
	apiService = metrics.Service{Host: "api.shop.svc.cluster.local", Name: "api", Namespace: "shop"}
)

const strict, lax = "PeerAuthentication shop/default", "PeerAuthentication shop/lax"

// traffic counts, on one side, what the suite looks for.
func traffic(s *aSidecar, by metrics.Reporter) {
	mtls := metrics.Labels{Reporter: by, Source: web, Destination: apiPeer, Service: apiService, Protocol: "http", Code: 200,
		Security: metrics.SecurityMutualTLS, Policy: strict, Port: 8080}
	for range 10 {
		s.Request(mtls).Observe(20*time.Millisecond, 10, 100)
	}
	mtls.Code = 503
	s.Request(mtls).Observe(20*time.Millisecond, 10, 100)
	mtls.Code, mtls.Flags = 0, "DC"
	s.Request(mtls).Observe(20*time.Millisecond, 10, 100)
	grpc := metrics.Labels{Reporter: by, Source: web, Destination: apiPeer, Service: apiService, Protocol: "grpc", Code: 200, GRPCStatus: "14",
		Security: metrics.SecurityMutualTLS, Policy: strict, Port: 8080}
	s.Request(grpc).Observe(300*time.Millisecond, 10, 100)

	plain := metrics.Labels{Reporter: by, Source: web, Destination: apiPeer, Service: apiService, Protocol: "http", Code: 200,
		Security: metrics.SecurityNone, Policy: lax, Port: 8081}
	plain.Source.Principal, plain.Destination.Principal = "", ""
	for range 3 {
		s.Request(plain).Observe(2*time.Millisecond, 10, 100)
	}
	plain.Protocol, plain.Code = "tcp", 0
	for range 2 {
		c := s.Connection(plain).Open()
		c.Received(1000)
		c.Sent(500)
		c.Close()
	}
	failure := metrics.Failure{Reporter: by, Source: metrics.Peer{Workload: "web", Namespace: "shop"}, Destination: metrics.Peer{Workload: "api", Namespace: "shop"},
		Service: apiService, Port: 8080, Cause: metrics.CauseUnknownCA, Policy: strict}
	s.Failure(failure)
	failure.Cause = metrics.CauseExpired
	for range 4 {
		s.Failure(failure)
	}
}

// row is what the suite compares: a flow with counts in place of rates.
type row struct {
	Reporter, Protocol, Security, Policy             string
	Port                                             uint16
	Requests, Errors, Connections, Received, Sent, N float64
	Causes                                           string
}

func rowsOf(o *metrics.Observation) []row {
	n := func(rate float64) float64 { return math.Round(rate*o.End.Sub(o.Start).Seconds()*1e6) / 1e6 }
	var out []row
	for _, f := range o.Flows {
		r := row{f.Reporter.String(), f.Protocol, f.Security.String(), f.Policy, f.Port, n(f.Requests), n(f.Errors), n(f.Connections),
			n(f.Received), n(f.Sent), n(f.Failures), ""}
		for _, c := range f.Causes {
			r.Causes += fmt.Sprintf("%s=%v ", c.Cause, n(c.Failures))
		}
		out = append(out, r)
	}
	return out
}

var wantRows = []row{
	{Reporter: "source", Security: "unknown", Policy: strict, Port: 8080, N: 5, Causes: "expired=4 unknown-ca=1 "},
	{Reporter: "destination", Security: "unknown", Policy: strict, Port: 8080, N: 5, Causes: "expired=4 unknown-ca=1 "},
	{Reporter: "source", Protocol: "http", Security: "none", Policy: lax, Port: 8081, Requests: 3},
	{Reporter: "destination", Protocol: "http", Security: "none", Policy: lax, Port: 8081, Requests: 3},
	{Reporter: "source", Protocol: "tcp", Security: "none", Policy: lax, Port: 8081, Connections: 2, Received: 2000, Sent: 1000},
	{Reporter: "destination", Protocol: "tcp", Security: "none", Policy: lax, Port: 8081, Connections: 2, Received: 2000, Sent: 1000},
	{Reporter: "source", Protocol: "grpc", Security: "mutual_tls", Policy: strict, Port: 8080, Requests: 1, Errors: 1},
	{Reporter: "destination", Protocol: "grpc", Security: "mutual_tls", Policy: strict, Port: 8080, Requests: 1, Errors: 1},
	{Reporter: "source", Protocol: "http", Security: "mutual_tls", Policy: strict, Port: 8080, Requests: 12, Errors: 2},
	{Reporter: "destination", Protocol: "http", Security: "mutual_tls", Policy: strict, Port: 8080, Requests: 12, Errors: 2},
}

// testFlows is the contract of [metrics.Flows]: open starts a store that scrapes targets every so often.
func testFlows(t *testing.T, open func(t *testing.T, targets []Target) metrics.Flows) {
	source, destination := newSidecar(t, "web-0.shop", web), newSidecar(t, "api-0.shop", apiPeer)
	// What happened before the store looks is not in any answer.
	traffic(source, metrics.Source)
	s := open(t, []Target{source.target(), destination.target()})
	eventually(t, "both targets are up", func() error {
		if h := s.Health(t.Context()); !h.OK || h.Up != 2 || h.Targets != 2 || h.Interval != scrapes || h.Problem != "" {
			return fmt.Errorf("%+v", h)
		}
		return nil
	})
	time.Sleep(window + 2*time.Second) // the targets are known when the next windows begin
	w := metrics.Window{Length: window}
	eventually(t, "both are asked, and have nothing to tell", func() error {
		o := flows(t, s, w)
		if len(o.Flows) > 0 {
			t.Errorf("before anything happens: %+v", o)
		}
		if time.Since(o.Newest) > 5*scrapes || len(o.Down) > 0 { // on a busy machine a scrape is late, or takes too long
			return fmt.Errorf("%+v", o)
		}
		return nil
	})

	t.Run("counts exactly", func(t *testing.T) {
		traffic(source, metrics.Source)
		traffic(destination, metrics.Destination)
		var o *metrics.Observation
		eventually(t, "all is seen", func() error {
			o = flows(t, s, w)
			if got := rowsOf(o); !reflect.DeepEqual(got, wantRows) {
				return fmt.Errorf("got\n%s\nwant\n%s", printed(got), printed(wantRows))
			}
			return nil
		})
		checkDetails(t, o)
	})
	t.Run("a trend has it too", func(t *testing.T) { testTrend(t, s) })
	t.Run("a trend is of one edge, and of what got through", func(t *testing.T) {
		trafficBeside(source, destination)
		eventually(t, "the trends have it", func() error { return wrongTrends(t, s) })
	})
	t.Run("nothing is left when the window has passed", func(t *testing.T) {
		eventually(t, "no flows", func() error {
			if o := flows(t, s, w); len(o.Flows) > 0 {
				return fmt.Errorf("%s", printed(rowsOf(o)))
			}
			return nil
		})
	})
	t.Run("an answer about the past stays", func(t *testing.T) {
		end := time.Now().Add(-time.Second)
		if a, b := flows(t, s, metrics.Window{End: end, Length: 20 * time.Second}), flows(t, s, metrics.Window{End: end, Length: 20 * time.Second}); !reflect.DeepEqual(a.Flows, b.Flows) || len(a.Flows) == 0 {
			t.Errorf("%s\nthen\n%s", printed(rowsOf(a)), printed(rowsOf(b)))
		}
	})
	t.Run("a sidecar begins again", func(t *testing.T) {
		destination.begin(apiPeer)
		l := metrics.Labels{Reporter: metrics.Destination, Source: web, Destination: apiPeer, Service: apiService, Protocol: "http", Code: 200,
			Security: metrics.SecurityMutualTLS, Policy: strict, Port: 8080}
		destination.Request(l).Observe(time.Millisecond, 1, 1)
		want := []row{{Reporter: "destination", Protocol: "http", Security: "mutual_tls", Policy: strict, Port: 8080, Requests: 1}}
		eventually(t, "one request", func() error {
			if got := rowsOf(flows(t, s, w)); !reflect.DeepEqual(got, want) {
				return fmt.Errorf("got\n%s", printed(got))
			}
			return nil
		})
	})
	t.Run("a target is down", func(t *testing.T) {
		source.server.Close()
		eventually(t, "down", func() error {
			if o := flows(t, s, w); !strings.Contains(fmt.Sprint(o.Down), "web-0.shop") || len(o.Down) != 1 {
				return fmt.Errorf("down: %q", o.Down)
			}
			return nil
		})
	})
}

// checkDetails looks at what rows have besides counts.
func checkDetails(t *testing.T, o *metrics.Observation) {
	t.Helper()
	for _, f := range o.Flows {
		if f.Service.Host != apiService.Host || f.Source.Workload != "web" || f.Destination.Workload != "api" {
			t.Errorf("names of %+v", f)
		}
		if f.Security != metrics.SecurityMutualTLS || f.Protocol != "http" {
			continue
		}
		if f.Source != web || f.Destination != apiPeer || f.Service != apiService {
			t.Errorf("peers of %+v", f)
		}
		for _, p := range []time.Duration{f.P50, f.P90, f.P99} {
			if p <= 10*time.Millisecond || p > 25*time.Millisecond {
				t.Errorf("quantiles %s, %s, %s, want all in the bucket of 10 to 25 ms", f.P50, f.P90, f.P99)
				break
			}
		}
	}
}

// trafficBeside counts what other edges than that of the suite see: another caller of the same service, with and without a
// certificate; calls that nothing answers, of which the source alone knows; and connections that are refused.
func trafficBeside(source, destination *aSidecar) {
	cron := web
	cron.Workload, cron.Principal = "cron", "spiffe://cluster.local/ns/shop/sa/cron"
	l := metrics.Labels{Reporter: metrics.Source, Source: cron, Destination: apiPeer, Service: apiService, Protocol: "http", Code: 200,
		Security: metrics.SecurityMutualTLS, Policy: strict, Port: 8080}
	count := func(s *aSidecar, n int) {
		for range n {
			s.Request(l).Observe(time.Millisecond, 1, 1)
		}
	}
	count(source, 6) // as if the two had one sidecar: it is the labels that tell
	l.Code = 500
	count(source, 1)
	l.Reporter = metrics.Destination
	count(destination, 1)
	l.Code = 200
	count(destination, 6)
	// The destination does not know whose plaintext it is.
	l.Security, l.Destination.Principal, l.Source.Principal = metrics.SecurityNone, "", ""
	l.Reporter = metrics.Source
	count(source, 2)
	l.Reporter, l.Source = metrics.Destination, metrics.Peer{}
	count(destination, 2)

	lost := metrics.Service{Host: "lost.shop.svc.cluster.local", Name: "lost", Namespace: "shop"}
	l.Reporter, l.Source, l.Code, l.Service = metrics.Source, web, 503, lost
	l.Destination = metrics.Peer{Workload: "lost", Namespace: "shop"}
	count(source, 5)
	l.Protocol, l.Code, l.Service.Host = "tcp", 0, "refused.shop.svc.cluster.local"
	l.Destination.Workload = "refused"
	for range 4 {
		source.Connection(l).Open().Close()
	}
	destination.Failure(metrics.Failure{Reporter: metrics.Destination, Destination: l.Destination, Service: l.Service, Cause: metrics.CausePlaintextToTLS})
	l.Destination.Workload, l.Service.Host = "taken", "taken.shop.svc.cluster.local"
	source.Connection(l).Open().Close()
}

// wrongTrends tells what is wrong with the trends of what trafficBeside counts.
func wrongTrends(t *testing.T, s metrics.Flows) error {
	t.Helper()
	for _, c := range []struct {
		name                          string
		of                            metrics.TrendQuery
		requests, errors, connections float64
		share                         float64 // of the points that have one
	}{
		{"one edge", metrics.TrendQuery{Service: apiService.Host, SourceNamespace: "shop", SourceWorkload: "cron"}, 9, 1, 0, 6.0 / 8},
		{"callers without a name", metrics.TrendQuery{Service: apiService.Host, SourceWorkload: "unknown"}, 2, 0, 0, 0},
		{"a caller that there is not", metrics.TrendQuery{Service: apiService.Host, SourceWorkload: "no" + `"such\`}, 0, 0, 0, math.NaN()},
		{"the same in another namespace", metrics.TrendQuery{Service: apiService.Host, SourceNamespace: "other", SourceWorkload: "cron"}, 0, 0, 0, math.NaN()},
		{"all that is lost", metrics.TrendQuery{Service: "lost.shop.svc.cluster.local"}, 5, 5, 0, math.NaN()},
		{"a lost edge", metrics.TrendQuery{Namespace: "shop", Workload: "lost", SourceNamespace: "shop", SourceWorkload: "web"}, 5, 5, 0, math.NaN()},
		{"connections that are refused", metrics.TrendQuery{Service: "refused.shop.svc.cluster.local"}, 0, 0, 4, math.NaN()},
		{"connections that are not", metrics.TrendQuery{Service: "taken.shop.svc.cluster.local"}, 0, 0, 1, 0},
	} {
		c.of.Length, c.of.Step = 10*time.Second, time.Second
		tr, err := s.Trend(t.Context(), c.of)
		if err != nil {
			return err
		}
		share := math.NaN()
		for _, v := range tr.MTLS {
			if !math.IsNaN(v) {
				share = v
			}
		}
		if r, e, n := summed(tr.Requests), summed(tr.Errors), summed(tr.Connections); r != c.requests || e != c.errors || n != c.connections ||
			math.IsNaN(share) != math.IsNaN(c.share) || math.Abs(share-c.share) > 1e-9 {
			return fmt.Errorf("%s: requests %v, errors %v, connections %v, share %v, want %v, %v, %v, %v: %+v", c.name, r, e, n, share,
				c.requests, c.errors, c.connections, c.share, tr)
		}
	}
	return nil
}

// summed sums up what is known, at a point a second.
func summed(values []float64) (n float64) {
	for _, v := range values {
		if !math.IsNaN(v) {
			n += v
		}
	}
	return math.Round(n*1000) / 1000
}

func testTrend(t *testing.T, s metrics.Flows) {
	tr, err := s.Trend(t.Context(), metrics.TrendQuery{Window: metrics.Window{Length: 20 * time.Second}, Step: time.Second, Namespace: "shop", Service: apiService.Host})
	if err != nil {
		t.Fatal(err)
	}
	if len(tr.Times) != 20 {
		t.Errorf("%d points", len(tr.Times))
	}
	if r, e, c, f := summed(tr.Requests), summed(tr.Errors), summed(tr.Connections), summed(tr.Failures); r != 16 || e != 3 || c != 2 || f != 5 {
		t.Errorf("requests %v, errors %v, connections %v, failures %v", r, e, c, f)
	}
	if !math.IsNaN(tr.Requests[0]) || math.IsNaN(tr.Requests[19]) {
		t.Errorf("the first point should be before anybody looked, the last after: %v", tr.Requests)
	}
	var shares int
	for i, v := range tr.MTLS {
		if !math.IsNaN(v) {
			if shares++; math.Abs(v-13.0/18) > 1e-9 && tr.Requests[i] == 16 {
				t.Errorf("mutual TLS is %v, want 13 of 18", v)
			}
		}
	}
	if shares == 0 || shares > 3 {
		t.Errorf("%d points with a share of mutual TLS: %v", shares, tr.MTLS)
	}
	none, err := s.Trend(t.Context(), metrics.TrendQuery{Window: metrics.Window{Length: 20 * time.Second}, Step: time.Second, Workload: `no"such\`})
	if err != nil || summed(none.Requests) != 0 {
		t.Errorf("of another workload: %v, %v", none, err)
	}
}

func flows(t *testing.T, s metrics.Flows, w metrics.Window) *metrics.Observation {
	t.Helper()
	o, err := s.Flows(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func printed(rows []row) string {
	var b strings.Builder
	for _, r := range rows {
		fmt.Fprintf(&b, "  %+v\n", r)
	}
	return b.String()
}

// eventually waits until there is nothing wrong any more.
func eventually(t *testing.T, what string, wrong func() error) {
	t.Helper()
	var err error
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if err = wrong(); err == nil {
			return
		}
	}
	t.Fatalf("%s: %v", what, err)
}

// running opens a store and runs it for the time of the test.
func running(t *testing.T, opt Options, targets ...Target) *Store {
	t.Helper()
	opt.Dial = Dial
	opt.Interval = orDefault(opt.Interval, scrapes)
	s := newStore(t, opt)
	ended := make(chan error, 1)
	go func() { ended <- s.Run(context.Background()) }()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	s.SetTargets(targets)
	return s
}

func TestEmbedded(t *testing.T) {
	t.Parallel()
	testFlows(t, func(t *testing.T, targets []Target) metrics.Flows { return running(t, Options{}, targets...) })
}

// server is a real Prometheus.
type server struct {
	binary, folder, address string
	process                 *exec.Cmd
}

func newPrometheus(t *testing.T, targets []Target) *server {
	t.Helper()
	p := &server{binary: meshtest.Require(t, "prometheus", "prometheus"), folder: t.TempDir()}
	var list strings.Builder
	for _, a := range targets {
		fmt.Fprintf(&list, "  - targets: [%q]\n    labels: {instance: %q}\n", a.Address, a.Name)
	}
	// A target that is no sidecar is nobody's business.
	config := fmt.Sprintf("global: {scrape_interval: 400ms, scrape_timeout: 400ms}\nscrape_configs:\n- job_name: mesh\n  metrics_path: %s\n  static_configs:\n%s"+
		"- job_name: other\n  static_configs:\n  - targets: ['127.0.0.1:1']\n", DefaultPath, list.String())
	if err := os.WriteFile(filepath.Join(p.folder, "prometheus.yml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.address = l.Addr().String()
	l.Close()
	t.Cleanup(p.kill)
	p.start(t)
	return p
}

func (p *server) start(t *testing.T) {
	t.Helper()
	p.process = exec.Command(p.binary, "--config.file="+filepath.Join(p.folder, "prometheus.yml"),
		"--storage.tsdb.path="+filepath.Join(p.folder, "data"), "--web.listen-address="+p.address, "--log.level=error")
	if err := p.process.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "prometheus is ready", func() error {
		r, err := http.Get("http://" + p.address + "/-/ready")
		if err != nil {
			return err
		}
		r.Body.Close()
		if r.StatusCode != http.StatusOK {
			return fmt.Errorf("%s", r.Status)
		}
		return nil
	})
}

func (p *server) kill() {
	if p.process != nil {
		p.process.Process.Kill()
		p.process.Wait()
		p.process = nil
	}
}

func TestPrometheus(t *testing.T) {
	t.Parallel()
	testFlows(t, func(t *testing.T, targets []Target) metrics.Flows {
		p := newPrometheus(t, targets)
		r, err := Connect("http://"+p.address, Options{Timeout: 30 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Close() })
		return r
	})
}
