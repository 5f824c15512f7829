package metrics

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oarlock/oarlock/meshtest"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

var (
	web = Peer{Workload: "web", Namespace: "shop", App: "web", Version: "v1", CanonicalService: "web",
		CanonicalRevision: "v1", Cluster: "Kubernetes", Principal: "spiffe://cluster.local/ns/shop/sa/web"}
	api = Peer{Workload: "api", Namespace: "shop", App: "api", Version: "v2", CanonicalService: "api",
		CanonicalRevision: "v2", Cluster: "Kubernetes", Principal: "spiffe://cluster.local/ns/shop/sa/api"}
	apiService = Service{Host: "api.shop.svc.cluster.local", Name: "api", Namespace: "shop"}
)

func scrape(t testing.TB, r *Registry) string {
	t.Helper()
	w := httptest.NewRecorder()
	r.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/stats/prometheus", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("scrape: %d %s", w.Code, w.Body)
	}
	return w.Body.String()
}

// line gives the value of the one line that begins with a name and has all of the labels; "" if there is none.
func line(t testing.TB, text, name string, labels ...string) string {
	t.Helper()
	value := ""
lines:
	for l := range strings.Lines(text) {
		if !strings.HasPrefix(l, name+"{") && !strings.HasPrefix(l, name+" ") {
			continue
		}
		for _, want := range labels {
			k, v, _ := strings.Cut(want, "=")
			if !strings.Contains(l, fmt.Sprintf("%s=%q", k, v)) {
				continue lines
			}
		}
		if value != "" {
			t.Errorf("%s %q: several lines", name, labels)
		}
		l = strings.TrimSpace(l)
		value = l[strings.LastIndexByte(l, ' ')+1:]
	}
	return value
}

func wantLine(t testing.TB, text, want, name string, labels ...string) {
	t.Helper()
	if got := line(t, text, name, labels...); got != want {
		t.Errorf("%s %q is %q, want %q", name, labels, got, want)
	}
}

func TestRequestsAsIstioCountsThem(t *testing.T) {
	r := NewRegistry(api, Options{})
	q := r.Request(Labels{Reporter: Destination, Source: web, Service: apiService, Protocol: "http", Code: 200,
		Security: SecurityMutualTLS, Policy: "PeerAuthentication shop/default", Port: 80})
	q.Observe(500*time.Microsecond, 0, 100)
	q.Observe(7*time.Millisecond, 2000, 3600001)
	text := scrape(t, r)
	all := []string{"reporter=destination", "source_workload=web", "source_workload_namespace=shop", "source_app=web",
		"source_version=v1", "source_canonical_service=web", "source_canonical_revision=v1", "source_cluster=Kubernetes",
		"source_principal=spiffe://cluster.local/ns/shop/sa/web", "destination_workload=api", "destination_app=api",
		"destination_principal=spiffe://cluster.local/ns/shop/sa/api", "destination_service=api.shop.svc.cluster.local",
		"destination_service_name=api", "destination_service_namespace=shop", "request_protocol=http",
		"response_code=200", "response_flags=-", "grpc_response_status=", "connection_security_policy=mutual_tls"}
	wantLine(t, text, "2", "istio_requests_total", all...)
	wantLine(t, text, "1", "istio_request_duration_milliseconds_bucket", append(all, "le=0.5")...)
	wantLine(t, text, "1", "istio_request_duration_milliseconds_bucket", append(all, "le=5")...)
	wantLine(t, text, "2", "istio_request_duration_milliseconds_bucket", append(all, "le=10")...)
	wantLine(t, text, "7.5", "istio_request_duration_milliseconds_sum", all...)
	wantLine(t, text, "1", "istio_request_bytes_bucket", append(all, "le=0.5")...)
	wantLine(t, text, "2000", "istio_request_bytes_sum", all...)
	wantLine(t, text, "1", "istio_response_bytes_bucket", append(all, "le=3.6e+06")...)
	wantLine(t, text, "2", "istio_response_bytes_bucket", append(all, "le=+Inf")...)
	wantLine(t, text, "2", "oarlock_requests_total", "security=mutual_tls", "policy=PeerAuthentication shop/default", "destination_port=80")
	if strings.Contains(text, `source_workload="web",source_workload_namespace="shop",response_code`) {
		t.Error("our own series has a code")
	}
}

// TestSourceSaysUnknown holds that Istio's series of a source says unknown whatever it knows, and that two Labels that
// differ in what only our own series has add up there.
func TestSourceSaysUnknown(t *testing.T) {
	r := NewRegistry(web, Options{})
	l := Labels{Reporter: Source, Destination: api, Service: apiService, Protocol: "http", Code: 200, Security: SecurityMutualTLS, Policy: "a"}
	r.Request(l).Observe(time.Millisecond, 1, 1)
	l.Security, l.Policy = SecurityNone, "b"
	r.Request(l).Observe(time.Millisecond, 1, 1)
	text := scrape(t, r)
	wantLine(t, text, "2", "istio_requests_total", "reporter=source", "source_workload=web", "connection_security_policy=unknown")
	wantLine(t, text, "1", "oarlock_requests_total", "reporter=source", "security=mutual_tls", "policy=a")
	wantLine(t, text, "1", "oarlock_requests_total", "reporter=source", "security=none", "policy=b")
}

func TestConnections(t *testing.T) {
	r := NewRegistry(api, Options{})
	c := r.Connection(Labels{Reporter: Destination, Service: apiService, Protocol: "tcp"}).Open()
	c.Received(10)
	c.Sent(20)
	text := scrape(t, r)
	wantLine(t, text, "1", "istio_tcp_connections_opened_total", "source_workload=unknown", "source_principal=unknown", "request_protocol=tcp")
	wantLine(t, text, "0", "istio_tcp_connections_closed_total", "reporter=destination")
	wantLine(t, text, "10", "istio_tcp_received_bytes_total", "reporter=destination")
	wantLine(t, text, "20", "istio_tcp_sent_bytes_total", "reporter=destination")
	wantLine(t, text, "1", "oarlock_tcp_connections_opened_total", "security=unknown", "policy=unknown")
	if strings.Contains(text, "response_code") {
		t.Error("a connection has a response code")
	}
	c.Close()
	wantLine(t, scrape(t, r), "1", "istio_tcp_connections_closed_total", "reporter=destination")
}

func TestFailures(t *testing.T) {
	r := NewRegistry(api, Options{})
	f := Failure{Reporter: Destination, Source: Peer{Principal: "spiffe://other/ns/a/sa/b"}, Service: apiService, Port: 80,
		Cause: CauseWrongTrustDomain, Policy: "PeerAuthentication shop/default"}
	r.Failure(f)
	f.Source.App = "a label that the series does not have"
	r.Failure(f)
	f.Cause = "made up"
	r.Failure(f)
	text := scrape(t, r)
	wantLine(t, text, "2", "oarlock_handshake_failures_total", "cause=wrong-trust-domain", "reporter=destination",
		"source_principal=spiffe://other/ns/a/sa/b", "destination_workload=api", "destination_port=80", "policy=PeerAuthentication shop/default")
	wantLine(t, text, "1", "oarlock_handshake_failures_total", "cause=other")
}

func TestTLSAsEnvoyCountsIt(t *testing.T) {
	r := NewRegistry(api, Options{})
	l := r.Listener("0.0.0.0_15006")
	l.Handshake(0x0304, 0x1301, true, true)
	l.Handshake(0x0303, 0xc02b, false, false)
	l.FailVerifySAN.Inc()
	r.Downstream("0.0.0.0_15006").NoFilterChainMatch.Inc()
	c := r.Cluster("outbound|80||api.shop.svc.cluster.local")
	c.Handshake(0x0304, 0x9999, false, true)
	r.Upstream("outbound|80||api.shop.svc.cluster.local").ConnectFail.Add(3)
	text := scrape(t, r)
	at := "envoy_listener_address=0.0.0.0_15006"
	wantLine(t, text, "2", "envoy_listener_ssl_handshake", at)
	wantLine(t, text, "1", "envoy_listener_ssl_session_reused", at)
	wantLine(t, text, "1", "envoy_listener_ssl_no_certificate", at)
	wantLine(t, text, "1", "envoy_listener_ssl_fail_verify_san", at)
	wantLine(t, text, "1", "envoy_listener_no_filter_chain_match", at)
	wantLine(t, text, "1", "envoy_listener_ssl_versions", at, "envoy_ssl_version=TLSv1.3")
	wantLine(t, text, "1", "envoy_listener_ssl_ciphers", at, "envoy_ssl_cipher=ECDHE-ECDSA-AES128-GCM-SHA256")
	cluster := "envoy_cluster_name=outbound|80||api.shop.svc.cluster.local"
	wantLine(t, text, "1", "envoy_cluster_ssl_ciphers", cluster, "cipher_suite=other")
	wantLine(t, text, "3", "envoy_cluster_upstream_cx_connect_fail", cluster)
	var stats strings.Builder
	if err := r.WriteStats(&stats); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"listener.0.0.0.0_15006.ssl.handshake: 2\n", "listener.0.0.0.0_15006.ssl.versions.TLSv1.3: 1\n",
		"cluster.outbound|80||api.shop.svc.cluster.local.upstream_cx_connect_fail: 3\n"} {
		if !strings.Contains(stats.String(), want) {
			t.Errorf("no %q in\n%s", want, &stats)
		}
	}
	if r.Listener("0.0.0.0_15006") != l {
		t.Error("a listener has two statistics")
	}
	r.Forget(map[string]bool{"0.0.0.0_15006": true}, nil)
	text = scrape(t, r)
	wantLine(t, text, "2", "envoy_listener_ssl_handshake", at)
	wantLine(t, text, "", "envoy_cluster_ssl_handshake", cluster)
}

func TestControlPlane(t *testing.T) {
	r := NewRegistry(api, Options{Version: "1.2.3", IstioVersion: "1.31.1"})
	if strings.Contains(scrape(t, r), "oarlock_xds_") {
		t.Error("a sidecar without a control plane has its series")
	}
	r.XDS(func() XDSStatus {
		return XDSStatus{Connected: true, Acknowledged: 5, Refused: 1, Ignored: 4,
			Versions: map[string]string{"type.googleapis.com/envoy.config.cluster.v3.Cluster": "7", "type.googleapis.com/of.others": "8"}}
	})
	expires := time.Unix(1900000000, 0)
	r.SVID().Renewed(expires.Add(-24*time.Hour), expires)
	r.SVID().Failed()
	text := scrape(t, r)
	wantLine(t, text, "1", "oarlock_xds_connected")
	wantLine(t, text, "5", "oarlock_xds_acks_total")
	wantLine(t, text, "1", "oarlock_xds_version_info", "type=cds", "version=7")
	wantLine(t, text, "1", "oarlock_xds_nacks_total")
	wantLine(t, text, "4", "oarlock_xds_ignored")
	wantLine(t, text, "1.9e+09", "oarlock_svid_expiry_timestamp_seconds")
	wantLine(t, text, "1", "oarlock_svid_renewals_total")
	wantLine(t, text, "1", "oarlock_svid_renewal_failures_total")
	wantLine(t, text, "1", "istio_build", "component=proxy", "tag=1.31.1")
	wantLine(t, text, "1", "oarlock_build_info", "version=1.2.3")
}

func TestLabelsOfPeersAreBounded(t *testing.T) {
	r := NewRegistry(api, Options{MaxSeries: 10})
	for i := range 100 {
		l := Labels{Reporter: Destination, Source: Peer{Principal: fmt.Sprint("spiffe://x/", i)}, Protocol: "http", Code: 404}
		r.Request(l).Observe(time.Millisecond, 0, 0)
		l.Protocol = "tcp"
		r.Connection(l).Open().Close()
		r.Failure(Failure{Reporter: Destination, Source: l.Source, Cause: CauseExpired})
	}
	if n := len(r.requests); n > 11 {
		t.Errorf("%d sets of labels, want at most 11", n)
	}
	text := scrape(t, r)
	wantLine(t, text, "90", "istio_requests_total", "source_workload=overflow", "destination_workload=overflow", "response_code=400")
	wantLine(t, text, "90", "istio_tcp_connections_opened_total", "source_workload=overflow")
	wantLine(t, text, "90", "oarlock_handshake_failures_total", "source_workload=overflow", "cause=expired")
	for _, set := range kindNames {
		wantLine(t, text, "90", "oarlock_series_overflow_total", "set="+set)
	}
	total := 0
	for l := range strings.Lines(text) {
		if strings.HasPrefix(l, "istio_requests_total{") {
			total++
		}
	}
	if total != 11 {
		t.Errorf("%d series, want 11", total)
	}
}

func TestLabelsOfPeersAreCleaned(t *testing.T) {
	r := NewRegistry(api, Options{})
	for _, principal := range []string{"a\xffb", strings.Repeat("x", 10_000), "line\nfeed \"quoted\"", "unknown", ""} {
		r.Request(Labels{Reporter: Destination, Source: Peer{Principal: principal}, Protocol: "smtp", Code: 1234}).Observe(0, -1, -1)
	}
	text := scrape(t, r)
	wantLine(t, text, "1", "istio_requests_total", "source_principal=a\uFFFDb", "request_protocol=unknown", "response_code=0")
	wantLine(t, text, "1", "istio_requests_total", "source_principal="+strings.Repeat("x", 256))
	wantLine(t, text, "2", "istio_requests_total", "source_principal=unknown")
	if n := strings.Count(text, "\nistio_requests_total{"); n != 4 {
		t.Errorf("%d series, want 4:\n%s", n, text)
	}
}

func TestIdleSeriesAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRegistry(api, Options{MaxSeries: 2, Idle: time.Hour})
		l := Labels{Reporter: Destination, Source: web, Protocol: "http", Code: 200}
		other := Labels{Reporter: Destination, Source: web, Protocol: "http", Code: 200, Policy: "another"}
		held, busy := r.Request(l), r.Request(other)
		held.Observe(time.Millisecond, 0, 0)
		open := r.Connection(Labels{Reporter: Destination, Policy: "tcp"}).Open()
		for range 5 {
			time.Sleep(31 * time.Minute)
			busy.Observe(time.Millisecond, 0, 0)
			scrape(t, r)
		}
		if len(r.requests) != 1 || len(r.connections) != 1 {
			t.Fatalf("%d requests, %d connections; want the busy one and the open one", len(r.requests), len(r.connections))
		}
		text := scrape(t, r)
		wantLine(t, text, "6", "istio_requests_total", "reporter=destination") // shared by both: it never shrinks
		wantLine(t, text, "", "oarlock_requests_total", "policy=unknown")
		held.Observe(time.Millisecond, 0, 0) // whoever held it counts on
		held.Observe(time.Millisecond, 0, 0)
		text = scrape(t, r)
		wantLine(t, text, "8", "istio_requests_total", "reporter=destination")
		wantLine(t, text, "2", "oarlock_requests_total", "policy=unknown")

		open.Close()
		for range 3 {
			time.Sleep(61 * time.Minute)
			scrape(t, r)
		}
		open.Open().Sent(5)
		wantLine(t, scrape(t, r), "1", "istio_tcp_connections_opened_total", "reporter=destination")
		// A table that is full of idle series has room again.
		time.Sleep(61 * time.Minute)
		r.Request(Labels{Code: 500})
		time.Sleep(61 * time.Minute)
		r.Request(Labels{Code: 501})
		if r.overflow[kindRequests].Value() != 0 {
			t.Error("idle series kept their place from a new one")
		}
	})
}

func TestCountingFromManyGoroutines(t *testing.T) {
	r := NewRegistry(api, Options{MaxSeries: 5, Idle: time.Nanosecond})
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 500 {
				r.Request(Labels{Code: 100 + i%7 + g}).Observe(time.Millisecond, 1, 1)
				r.Connection(Labels{Code: i % 7}).Open().Close()
				r.Failure(Failure{Cause: CauseReset, Port: uint16(i % 7)})
				r.Cluster("a").Handshake(0x0304, 0x1301, i%2 == 0, true)
				if i%100 == 0 {
					scrape(t, r)
				}
			}
		})
	}
	wg.Wait()
	wantLine(t, scrape(t, r), "4000", "envoy_cluster_ssl_handshake", "envoy_cluster_name=a")
}

// full is a registry with a line of every series.
func full() *Registry {
	r := NewRegistry(api, Options{})
	r.Request(Labels{Reporter: Source, Source: web, Destination: api, Protocol: "grpc", GRPCStatus: "0", Code: 200}).Observe(time.Second, 1, 1)
	r.Connection(Labels{Reporter: Destination, Protocol: "tcp"}).Open()
	r.Failure(Failure{Cause: CauseTimeout})
	r.Listener("l").Handshake(0x0304, 0x1301, false, true)
	r.Downstream("l").Connections.Inc()
	r.Cluster("c").Handshake(0x0304, 0x1301, false, true)
	r.Upstream("c").Connections.Inc()
	r.XDS(func() XDSStatus {
		return XDSStatus{Versions: map[string]string{"type.googleapis.com/envoy.config.cluster.v3.Cluster": "1"}}
	})
	r.SVID().Renewed(time.Now(), time.Now().Add(time.Hour))
	return r
}

// istiosNames are those that promtool would spell otherwise; they are Istio's.
var istiosNames = []string{"istio_request_duration_milliseconds"}

func TestEverySeriesIsExposed(t *testing.T) {
	r := full()
	text := scrape(t, r)
	w := httptest.NewRecorder()
	req := httptest.NewRequest("GET", "/", nil)
	req.Header.Set("Accept", "application/openmetrics-text; version=1.0.0")
	r.Handler().ServeHTTP(w, req)
	open := w.Body.String()
	if !strings.HasSuffix(open, "# EOF\n") {
		t.Errorf("OpenMetrics does not end with EOF: %.80q", open[max(0, len(open)-80):])
	}
	for _, s := range allSeries {
		if strings.HasPrefix(s.name, "process_") && !strings.Contains(text, "process_open_fds") {
			continue // not Linux
		}
		if !strings.Contains(text, "\n# TYPE "+s.name+" "+s.kind.String()+"\n") && !strings.HasPrefix(text, "# TYPE "+s.name) {
			t.Errorf("%s is not exposed as a %s", s.name, s.kind)
		}
		sample := regexp.MustCompile(`(?m)^` + s.name + `(_count)?[{ ]`)
		if !sample.MatchString(open) {
			t.Errorf("%s is not exposed in OpenMetrics' form, or has another name there", s.name)
		}
	}
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if !slices.Contains(istiosNames, p.Metric) {
			t.Errorf("promlint: %s: %s", p.Metric, p.Text)
		}
	}
}

func TestPromtoolAccepts(t *testing.T) {
	promtool := meshtest.Require(t, "promtool", "prometheus")
	cmd := exec.CommandContext(t.Context(), promtool, "check", "metrics")
	cmd.Stdin = strings.NewReader(scrape(t, full()))
	out, err := cmd.CombinedOutput()
	for l := range bytes.Lines(out) {
		if !slices.ContainsFunc(istiosNames, func(n string) bool { return bytes.HasPrefix(l, []byte(n)) }) {
			t.Errorf("promtool (%v): %s", err, l)
		}
	}
}

// TestScrapesDoNotPileUp holds as many scrapes as are answered at once: one more is refused, and one after them is not.
func TestScrapesDoNotPileUp(t *testing.T) {
	r := NewRegistry(api, Options{})
	begun, goOn := make(chan struct{}, maxScrapes+2), make(chan struct{})
	h := r.Handler()
	get := func() int {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/stats/prometheus", nil))
		return w.Code
	}
	r.XDS(func() XDSStatus {
		begun <- struct{}{}
		<-goOn
		return XDSStatus{}
	})
	codes := make(chan int)
	for range maxScrapes + 1 {
		go func() { codes <- get() }()
	}
	<-begun // the others wait for it, but for the one that is refused
	if code := <-codes; code != http.StatusServiceUnavailable {
		t.Errorf("a scrape beyond %d: %d", maxScrapes, code)
	}
	close(goOn)
	for range maxScrapes {
		if code := <-codes; code != http.StatusOK {
			t.Errorf("one of %d scrapes: %d", maxScrapes, code)
		}
	}
	if code := get(); code != http.StatusOK {
		t.Errorf("a scrape after them: %d", code)
	}
}

// TestDocumentation holds docs/metrics.md equal to what the code exposes: a row for each series with its type and labels,
// a row for each cause, and nothing else.
func TestDocumentation(t *testing.T) {
	b, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	groups := map[string][]string{"requests": istioRequestLabels, "connections": istioLabels, "known": knownLabels, "failures": failureLabels}
	var want []string
	for _, s := range allSeries {
		labels := strings.Join(s.labels, " ")
		for name, g := range groups {
			if slices.Equal(g, s.labels) {
				labels = "*" + name + "*"
			}
		}
		want = append(want, fmt.Sprintf("| `%s` | %s | %s |", s.name, s.kind, labels))
	}
	for _, c := range causes {
		want = append(want, "| `"+c+"` |")
	}
	for name, labels := range groups {
		for _, l := range labels {
			want = append(want, "| "+name+" | `"+l+"` |")
		}
	}
	rows := 0
	for l := range strings.Lines(string(b)) {
		if !strings.HasPrefix(l, "| `") && !regexp.MustCompile("^\\| [a-z]+ \\| `").MatchString(l) {
			continue
		}
		rows++
		if !slices.ContainsFunc(want, func(w string) bool { return strings.HasPrefix(l, w) }) {
			t.Errorf("docs/metrics.md has a row that the code does not: %s", l)
		}
	}
	for _, w := range want {
		if n := strings.Count(string(b), "\n"+w); n != 1 {
			t.Errorf("docs/metrics.md has %d rows %s, want one", n, w)
		}
	}
	if rows != len(want) {
		t.Errorf("docs/metrics.md has %d rows, want %d", rows, len(want))
	}
}

func TestHotPathsDoNotAllocate(t *testing.T) {
	r := NewRegistry(api, Options{})
	q := r.Request(Labels{Code: 200})
	c := r.Connection(Labels{})
	s := r.Cluster("c")
	l := Labels{Reporter: Destination, Source: web, Service: apiService, Protocol: "http", Code: 200}
	r.Request(l)
	for name, f := range map[string]func(){
		"Observe":   func() { q.Observe(time.Millisecond, 10, 10) },
		"Open":      func() { c.Open().Close() },
		"Handshake": func() { s.Handshake(0x0304, 0x1301, false, true) },
		"Request":   func() { r.Request(l) },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}

func BenchmarkObserve(b *testing.B) {
	q := NewRegistry(api, Options{}).Request(Labels{Code: 200})
	b.ReportAllocs()
	for b.Loop() {
		q.Observe(3*time.Millisecond, 0, 1024)
	}
}

func BenchmarkObserveParallel(b *testing.B) {
	q := NewRegistry(api, Options{}).Request(Labels{Code: 200})
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			q.Observe(3*time.Millisecond, 0, 1024)
		}
	})
}

func BenchmarkRequest(b *testing.B) {
	r := NewRegistry(api, Options{})
	l := Labels{Reporter: Source, Source: web, Destination: api, Service: apiService, Protocol: "http", Code: 200}
	b.ReportAllocs()
	for b.Loop() {
		r.Request(l)
	}
}

func BenchmarkScrape(b *testing.B) {
	r := NewRegistry(api, Options{})
	for code := range 100 {
		r.Request(Labels{Source: web, Destination: api, Service: apiService, Protocol: "http", Code: code}).Observe(time.Millisecond, 1, 1)
	}
	b.ReportAllocs()
	for b.Loop() {
		w := httptest.NewRecorder()
		w.Body = nil
		r.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	}
}

func BenchmarkScrapeIdle(b *testing.B) {
	for name, query := range map[string]string{"all": "", "flows": "?" + OnlyFlows} {
		b.Run(name, func(b *testing.B) {
			h := NewRegistry(api, Options{}).Handler()
			b.ReportAllocs()
			for b.Loop() {
				w := httptest.NewRecorder()
				w.Body = nil
				h.ServeHTTP(w, httptest.NewRequest("GET", "/"+query, nil))
			}
		})
	}
}
