package telemetry

import (
	"cmp"
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

const (
	// live is how often the stores of tests scrape, and so how long a scrape may take.
	live = 2 * time.Second
	// scrapes is the time between those that were before the suite began, and window what it asks about.
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

// history is what two sidecars say, scrape after scrape, at times that were a while ago: however long a test takes, it is the same.
// Each line is a series and its value.
type history struct {
	from  time.Time // of the first scrape; the others are so many seconds later
	pages []scraped
}

type scraped struct {
	at   time.Time
	text string
}

func (h *history) second(n float64) time.Time {
	return h.from.Add(time.Duration(n * float64(time.Second)))
}

// tell makes what both sidecars say for 45 seconds. What they count is counted just before the scrape of its second.
func tell(t *testing.T, job string) *history {
	t.Helper()
	h := &history{from: time.Now().Add(-time.Minute).Truncate(time.Second)}
	source, destination := &aSidecar{name: "web-0.shop"}, &aSidecar{name: "api-0.shop"}
	begin := func(s *aSidecar, own metrics.Peer) {
		s.begin(own)
		s.beganAt(h.from.Add(-time.Hour))
	}
	begin(source, web)
	begin(destination, apiPeer)
	traffic(source, metrics.Source) // what happened before anybody looks is not in any answer
	happens := map[time.Duration]func(){
		12 * time.Second: func() {
			traffic(source, metrics.Source)
			traffic(destination, metrics.Destination)
		},
		20 * time.Second: func() { trafficBeside(source, destination) },
		32 * time.Second: func() {
			begin(destination, apiPeer)
			destination.Request(metrics.Labels{Reporter: metrics.Destination, Source: web, Destination: apiPeer, Service: apiService, Protocol: "http",
				Code: 200, Security: metrics.SecurityMutualTLS, Policy: strict, Port: 8080}).Observe(time.Millisecond, 1, 1)
		},
	}
	for after := time.Duration(0); after < 45*time.Second; after += scrapes {
		if f := happens[after]; f != nil {
			f()
		}
		text := fmt.Sprintf("up{instance=%q,job=%q} 0\n", source.name, job)
		if after < 40*time.Second {
			text = said(t, source, job)
		}
		h.pages = append(h.pages, scraped{h.from.Add(after), text + said(t, destination, job)})
	}
	return h
}

// testFlows is the contract of [metrics.Flows]: s is a store that was told h.
func testFlows(t *testing.T, s metrics.Flows, h *history) {
	at := func(second float64) *metrics.Observation {
		t.Helper()
		return flows(t, s, metrics.Window{End: h.second(second), Length: window})
	}
	want := func(what string, o *metrics.Observation, want []row) {
		t.Helper()
		if got := rowsOf(o); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got\n%s\nwant\n%s", what, printed(got), printed(want))
		}
	}
	if o := at(11.7); len(o.Flows) > 0 || len(o.Down) > 0 || !o.Newest.Equal(h.second(11.6)) {
		t.Errorf("before anything happens: %+v", o)
	}
	o := at(14)
	want("counted exactly", o, wantRows)
	checkDetails(t, o)
	testTrend(t, s, h.second(16))
	wrongTrends(t, s, h.second(24))
	want("nothing is left when the window has passed", at(31), nil)
	want("a sidecar began again", at(35), []row{{Reporter: "destination", Protocol: "http", Security: "mutual_tls", Policy: strict, Port: 8080, Requests: 1}})
	if o := at(43); !strings.Contains(fmt.Sprint(o.Down), "web-0.shop") || len(o.Down) != 1 {
		t.Errorf("down: %q", o.Down)
	}
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
func wrongTrends(t *testing.T, s metrics.Flows, end time.Time) {
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
		c.of.End, c.of.Length, c.of.Step = end, 10*time.Second, time.Second
		tr, err := s.Trend(t.Context(), c.of)
		if err != nil {
			t.Fatal(err)
		}
		share := math.NaN()
		for _, v := range tr.MTLS {
			if !math.IsNaN(v) {
				share = v
			}
		}
		if r, e, n := summed(tr.Requests), summed(tr.Errors), summed(tr.Connections); r != c.requests || e != c.errors || n != c.connections ||
			math.IsNaN(share) != math.IsNaN(c.share) || math.Abs(share-c.share) > 1e-9 {
			t.Errorf("%s: requests %v, errors %v, connections %v, share %v, want %v, %v, %v, %v: %+v", c.name, r, e, n, share,
				c.requests, c.errors, c.connections, c.share, tr)
		}
	}
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

// testTrend looks at a trend that begins before anybody looked.
func testTrend(t *testing.T, s metrics.Flows, end time.Time) {
	t.Helper()
	w := metrics.Window{End: end, Length: 20 * time.Second}
	tr, err := s.Trend(t.Context(), metrics.TrendQuery{Window: w, Step: time.Second, Namespace: "shop", Service: apiService.Host})
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
	none, err := s.Trend(t.Context(), metrics.TrendQuery{Window: w, Step: time.Second, Workload: `no"such\`})
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

// newest waits until there is something in the store that was scraped after a time: that a target is up is known before. It gives the
// flows of a minute.
func newest(t *testing.T, s metrics.Flows, after time.Time) (o *metrics.Observation) {
	t.Helper()
	eventually(t, "a scrape is in the store", func() error {
		if o = flows(t, s, metrics.Window{Length: time.Minute}); !o.Newest.After(after) {
			return fmt.Errorf("%+v", o)
		}
		return nil
	})
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
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if err = wrong(); err == nil {
			return
		}
	}
	t.Fatalf("%s: %v", what, err)
}

// dial reaches targets whose addresses are paths of unix sockets, or host:port.
func dial(ctx context.Context, t Target) (net.Conn, error) {
	var d net.Dialer
	if strings.HasPrefix(t.Address, "/") {
		return d.DialContext(ctx, "unix", t.Address)
	}
	return d.DialContext(ctx, "tcp", t.Address)
}

// running opens a store and runs it for the time of the test.
func running(t *testing.T, opt Options, targets ...Target) *Store {
	t.Helper()
	opt.Dial = dial
	opt.Interval = cmp.Or(opt.Interval, live)
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
	s, h := newStore(t, Options{Interval: scrapes}), tell(t, job)
	for _, p := range h.pages {
		load(t, s, p.at, p.text)
	}
	testFlows(t, s, h)
}

// server is a real Prometheus.
type server struct {
	binary, folder, address string
	process                 *exec.Cmd
}

// newPrometheus starts one, which scrapes targets and may know what was told before.
func newPrometheus(t *testing.T, targets []Target, before *history) *server {
	t.Helper()
	p := &server{binary: meshtest.Require(t, "prometheus", "prometheus"), folder: t.TempDir(), address: fmt.Sprintf("127.0.0.1:%d", meshtest.Port(t))}
	if before != nil {
		p.know(t, before)
	}
	var list strings.Builder
	for _, a := range targets {
		fmt.Fprintf(&list, "  - targets: [%q]\n    labels: {instance: %q}\n", a.Address, a.Name)
	}
	// A target that is no sidecar is nobody's business.
	config := fmt.Sprintf("global: {scrape_interval: %[1]s, scrape_timeout: %[1]s}\nscrape_configs:\n- job_name: mesh\n  metrics_path: %[2]s\n  static_configs:\n%[3]s"+
		"- job_name: other\n  static_configs:\n  - targets: ['127.0.0.1:1']\n", live, DefaultPath, list.String())
	if err := os.WriteFile(filepath.Join(p.folder, "prometheus.yml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	p.start(t)
	return p
}

// know puts what was told into the database, with a target that is no sidecar beside it.
func (p *server) know(t *testing.T, h *history) {
	t.Helper()
	var b strings.Builder
	for _, page := range h.pages {
		for line := range strings.Lines(page.text + "up{instance=\"127.0.0.1:1\",job=\"other\"} 0\n") {
			fmt.Fprintf(&b, "%s %.3f\n", strings.TrimSpace(line), float64(page.at.UnixMilli())/1000)
		}
	}
	b.WriteString("# EOF\n")
	file := filepath.Join(p.folder, "told")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(meshtest.Require(t, "promtool", "prometheus"), "tsdb", "create-blocks-from", "openmetrics", file, filepath.Join(p.folder, "data"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
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
	told := tell(t, "mesh")
	r, err := Connect("http://"+newPrometheus(t, nil, told).address, Options{Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	if h := r.Health(t.Context()); !h.OK || h.Targets != 2 || h.Interval != scrapes || h.Problem != "" {
		t.Errorf("%+v", h)
	}
	testFlows(t, r, told)
}
