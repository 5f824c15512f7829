package sidecar

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/oarlock/oarlock/bootstrap"
	"github.com/oarlock/oarlock/meshtest"
	"github.com/oarlock/oarlock/probe"
)

// documented gives the code block of docs/sidecar.md with a name.
func documented(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile("../docs/sidecar.md")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile("(?s)```[a-z]+ " + regexp.QuoteMeta(name) + "\n(.*?)```").FindSubmatch(b)
	if m == nil {
		t.Fatalf("docs/sidecar.md has no block %s", name)
	}
	return string(m[1])
}

// pair is the example of docs/sidecar.md: an application, its sidecar, and that of a client.
type pair struct {
	client, server *running
	app            *httptest.Server
	url            string // of the client's listener
	port           int    // of the server's
}

// files gives the two bootstrap files of the documentation with other folders and ports. The roots in folder are of web and
// api; edit changes the text.
func files(t testing.TB, folder, app string, edit func(string) string) (client, server *bootstrap.File, from, to int) {
	t.Helper()
	from, to = meshtest.Port(t), meshtest.Port(t)
	socket := filepath.Dir(socketPath(t))
	parse := func(name string) *bootstrap.File {
		text := strings.NewReplacer("/etc/oarlock/", folder+"/", "/run/oarlock/", socket+"/", "/var/lib/oarlock/", folder+"/",
			`"port_value": 15001`, fmt.Sprintf(`"port_value": %d`, from), `"port_value": 8443`, fmt.Sprintf(`"port_value": %d`, to),
			`"port_value": 8080`, `"port_value": `+app[strings.LastIndexByte(app, ':')+1:],
			"127.0.0.1:15090", fmt.Sprintf("127.0.0.1:%d", meshtest.Port(t)), "127.0.0.1:15021", fmt.Sprintf("127.0.0.1:%d", meshtest.Port(t)),
		).Replace(documented(t, name))
		f, err := bootstrap.Parse([]byte(edit(text)))
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	return parse("client.json"), parse("server.json"), from, to
}

func asIs(s string) string { return s }

// folderFor has identities of the accounts, each in a folder by its name; of says whose identity is in whose folder.
func folderFor(t testing.TB, authority *meshtest.CA, of map[string]string) string {
	t.Helper()
	folder := t.TempDir()
	for name, account := range of {
		_, dir := identityFiles(t, authority, account)
		if err := os.Rename(dir, filepath.Join(folder, name)); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

func startPair(t testing.TB, folder string, h http.Handler, edit func(string) string) *pair {
	t.Helper()
	p := &pair{app: httptest.NewServer(h)}
	t.Cleanup(p.app.Close)
	client, server, from, to := files(t, folder, p.app.Listener.Addr().String(), edit)
	p.url, p.port = fmt.Sprintf("http://127.0.0.1:%d/", from), to
	p.server = start(t, server)
	p.client = start(t, client)
	return p
}

func web(t testing.TB) (*meshtest.CA, string) {
	t.Helper()
	authority := meshtest.NewCA(t, nil, 0)
	return authority, folderFor(t, authority, map[string]string{"web": "web", "api": "api"})
}

// fetch makes one request on a connection of its own.
func fetch(t testing.TB, url string) (int, string) {
	t.Helper()
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 30 * time.Second}
	resp, err := c.Get(url)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(b)
}

// TestDocumentedPair runs the example of the documentation and holds what it says of itself: the request goes over mutual
// TLS, both sides count it, the access log has it, plaintext is refused and counted.
func TestDocumentedPair(t *testing.T) {
	meshtest.NoLeaks(t)
	_, folder := web(t)
	p := startPair(t, folder, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "hello from ", r.URL.Path) }), asIs)
	for range 3 {
		if status, body := fetch(t, p.url+"x"); status != 200 || body != "hello from /x" {
			t.Fatalf("through the pair: %d %s", status, body)
		}
	}
	const webID, apiID = "spiffe://cluster.local/ns/shop/sa/web", "spiffe://cluster.local/ns/shop/sa/api"
	wantSeries(t, p.server, "3", "istio_requests_total", `reporter="destination"`, `source_principal="`+webID+`"`,
		`destination_principal="`+apiID+`"`, `destination_workload="api"`, `response_code="200"`, `connection_security_policy="mutual_tls"`)
	wantSeries(t, p.client, "3", "istio_requests_total", `reporter="source"`, `source_workload="web"`, `connection_security_policy="unknown"`)
	wantSeries(t, p.client, "3", "oarlock_requests_total", `reporter="source"`, `security="mutual_tls"`)
	eventually(t, "logged", func() bool { return strings.Count(p.server.stdout.String(), "\n") == 3 })
	if log := p.server.stdout.String(); !strings.Contains(log, "GET /x HTTP/1.1") || !strings.Contains(log, " 200 ") {
		t.Errorf("access log:\n%s", log)
	}
	if status, body := fetch(t, fmt.Sprintf("http://127.0.0.1:%d/", p.port)); status == 200 {
		t.Errorf("plaintext to the TLS port: %d %s", status, body)
	}
	wantSeries(t, p.server, "1", "oarlock_handshake_failures_total", `reporter="destination"`, `cause="plaintext-to-tls"`)
	p.server.want("/config_dump", `"static_listeners"`, `"static_clusters"`, `"name": "inbound"`, "type.googleapis.com/envoy.config.cluster.v3.Cluster")
	p.client.want("/clusters", fmt.Sprintf("api::127.0.0.1:%d::health_flags::healthy", p.port))
	p.client.want("/listeners", "outbound::127.0.0.1:")
	p.client.want("/stats", "cluster.api.ssl.handshake: ")
}

// wantSeries waits until the one line of a series with all labels has a value.
func wantSeries(t testing.TB, r *running, want, name string, labels ...string) {
	t.Helper()
	var seen []string
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		seen = nil
		_, text := r.get("/stats/prometheus")
	lines:
		for l := range strings.Lines(text) {
			if !strings.HasPrefix(l, name+"{") {
				continue
			}
			seen = append(seen, l)
			for _, label := range labels {
				if !strings.Contains(l, label) {
					continue lines
				}
			}
			if strings.HasSuffix(l, "} "+want+"\n") {
				return
			}
		}
	}
	t.Errorf("%s: no %s %q with value %s; there are\n%s", r.file.Node.Pod, name, labels, want, strings.Join(seen, ""))
}

// TestWrongIdentities holds that who has another identity than the file asks for is refused and counted.
func TestWrongIdentities(t *testing.T) {
	authority := meshtest.NewCA(t, nil, 0)
	app := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	noAccount := func(s string) string { return regexp.MustCompile(`"serviceAccount": "\w+", `).ReplaceAllString(s, "") }
	t.Run("client", func(t *testing.T) {
		p := startPair(t, folderFor(t, authority, map[string]string{"web": "eve", "api": "api"}), app, noAccount)
		if status, body := fetch(t, p.url); status != 503 {
			t.Errorf("as eve: %d %s", status, body)
		}
		wantSeries(t, p.server, "1", "oarlock_handshake_failures_total", `reporter="destination"`, `destination_workload="api"`)
		eventually(t, "counted by its cause", func() bool {
			_, body := p.server.get("/stats")
			return strings.Contains(body, "ssl.fail_verify_san: 1")
		})
	})
	t.Run("server", func(t *testing.T) {
		p := startPair(t, folderFor(t, authority, map[string]string{"web": "web", "api": "eve"}), app, noAccount)
		if status, body := fetch(t, p.url); status != 503 {
			t.Errorf("from eve: %d %s", status, body)
		}
		wantSeries(t, p.client, "1", "oarlock_handshake_failures_total", `reporter="source"`, `cause="san-mismatch"`)
	})
}

// asTCP turns the documentation's connection managers into proxies of bytes.
func asTCP(s string) string {
	return regexp.MustCompile(`(?s)"filters": \[\s+\{\s+"name": "envoy.filters.network.http_connection_manager".*?"cluster": "(\w+)".*?\n            \]`).ReplaceAllString(s,
		`"filters": [{"name": "tcp", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", "stat_prefix": "tcp", "cluster": "$1"}}]`)
}

func TestBytesThroughPair(t *testing.T) {
	meshtest.NoLeaks(t)
	_, folder := web(t)
	echo, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer echo.Close()
	go func() {
		for {
			c, err := echo.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); io.Copy(c, c) }()
		}
	}()
	client, server, from, _ := files(t, folder, echo.Addr().String(), asTCP)
	s, c := start(t, server), start(t, client)
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", from))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "hello\n")
	if line, err := bufio.NewReader(conn).ReadString('\n'); line != "hello\n" {
		t.Errorf("got %q, %v", line, err)
	}
	conn.Close()
	wantSeries(t, s, "1", "istio_tcp_connections_closed_total", `reporter="destination"`, `connection_security_policy="mutual_tls"`)
	wantSeries(t, s, "6", "istio_tcp_received_bytes_total", `source_principal="spiffe://cluster.local/ns/shop/sa/web"`)
	wantSeries(t, s, "6", "istio_tcp_sent_bytes_total", `reporter="destination"`)
	wantSeries(t, c, "1", "oarlock_tcp_connections_opened_total", `reporter="source"`, `security="mutual_tls"`)
}

// TestProbeFromInside holds that a sidecar probes as its workload.
func TestProbeFromInside(t *testing.T) {
	_, folder := web(t)
	p := startPair(t, folder, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), asIs)
	status, body := p.client.post("/probe", fmt.Sprintf(`{"address": "127.0.0.1:%d", "timeoutMilliseconds": 10000}`, p.port))
	if status != 200 {
		t.Fatalf("probe: %d %s", status, body)
	}
	var r probe.Result
	if err := json.Unmarshal([]byte(body), &r); err != nil {
		t.Fatal(err)
	}
	taken := 0
	for _, a := range r.Attempts {
		if a.Accepted() && !a.Certificate {
			t.Errorf("taken without a certificate: %+v", a)
		}
		if a.Accepted() && a.Certificate {
			taken++
		}
	}
	if taken == 0 || len(r.Peers) != 1 || r.Peers[0].SPIFFEID != "spiffe://cluster.local/ns/shop/sa/api" {
		t.Errorf("probe as web: %s", body)
	}
	for _, bad := range []string{`{"address": "nowhere"}`, `{"adress": "127.0.0.1:1"}`, `[`, `{"address": "127.0.0.1:1", "alpn": [` + strings.Repeat(`"a",`, 40) + `"a"]}`} {
		if status, body := p.client.post("/probe", bad); status != http.StatusBadRequest {
			t.Errorf("probe %.40s: %d %s", bad, status, body)
		}
	}
}

// TestProbeIsNoTraffic holds that a sidecar probes from an address of its own, and that the server does not count whom it is
// told not to.
func TestProbeIsNoTraffic(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("loopback has one address here")
	}
	_, folder := web(t)
	p := startPair(t, folder, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), func(s string) string {
		return strings.Replace(s, `"version": 1,`, `"version": 1, "capture": {"uncounted": ["127.66.0.0/24"], "prober": "127.66.0.9"},`, 1)
	})
	if status, body := p.client.post("/probe", fmt.Sprintf(`{"address": "127.0.0.1:%d", "timeoutMilliseconds": 10000}`, p.port)); status != 200 || !strings.Contains(body, `"http"`) {
		t.Fatalf("probe: %d %s", status, body)
	}
	if status, body := fetch(t, p.url+"x"); status != 200 {
		t.Fatalf("through the pair: %d %s", status, body)
	}
	wantSeries(t, p.server, "1", "oarlock_requests_total", `reporter="destination"`, `security="mutual_tls"`)
	if _, text := p.server.get("/stats/prometheus"); strings.Contains(text, "oarlock_handshake_failures_total{") {
		t.Errorf("handshakes of a probe are counted:\n%s", text)
	}
	eventually(t, "logged", func() bool { return strings.Contains(p.server.stdout.String(), "GET /x") })
	if log := p.server.stdout.String(); strings.Count(log, "\n") != 1 {
		t.Errorf("a probe is logged:\n%s", log)
	}
}

// TestDrain holds that a request that is under way when a sidecar is stopped gets its answer, that the sidecar says so
// meanwhile, and that nobody new is taken.
func TestDrain(t *testing.T) {
	meshtest.NoLeaks(t)
	_, folder := web(t)
	arrived, answer := make(chan struct{}), make(chan struct{})
	p := startPair(t, folder, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(arrived)
		<-answer
		fmt.Fprint(w, "late")
	}), func(s string) string { return strings.Replace(s, `"version": 1,`, `"version": 1, "drain": "1m",`, 1) })
	got := make(chan string, 1)
	go func() {
		_, body := fetch(t, p.url)
		got <- body
	}()
	<-arrived
	p.client.cancel()
	eventually(t, "draining", func() bool {
		_, body := p.client.get("/ready")
		return strings.HasPrefix(body, "DRAINING")
	})
	eventually(t, "closed to others", func() bool {
		c, err := net.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(p.url, "http://"), "/"))
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	close(answer)
	if body := <-got; body != "late" {
		t.Errorf("the request under way got %q", body)
	}
	if err := p.client.stop(); err != nil {
		t.Error(err)
	}
}

// TestDrainListeners holds that a sidecar that was told to drain goes on answering questions.
func TestDrainListeners(t *testing.T) {
	_, folder := web(t)
	p := startPair(t, folder, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), asIs)
	for range 2 {
		if status, body := p.client.post("/drain_listeners", ""); status != 200 {
			t.Fatalf("drain: %d %s", status, body)
		}
	}
	eventually(t, "closed", func() bool { status, _ := fetch(t, p.url); return status == 0 })
	p.client.want("/server_info", `"state": "DRAINING"`)
	if status, _ := p.client.get("/ready"); status != http.StatusServiceUnavailable {
		t.Errorf("/ready while draining: %d", status)
	}
}

// TestAddressInUse holds that a static listener whose port is taken is an error that may pass, and not the file's fault.
func TestAddressInUse(t *testing.T) {
	_, folder := web(t)
	client, _, from, _ := files(t, folder, "127.0.0.1:1", asIs)
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", from))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err = Run(ctx, client, Options{})
	if err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("got %v", err)
	}
	if errors.As(err, new(*ConfigError)) {
		t.Errorf("a ConfigError: %v", err)
	}
}

// TestDocumentedCertificates runs the openssl commands of the documentation and a pair with what they make.
func TestDocumentedCertificates(t *testing.T) {
	meshtest.Require(t, "openssl", "openssl")
	folder := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "sh", "-e", "-c", documented(t, "openssl"))
	cmd.Dir = folder
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	p := startPair(t, folder, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") }), asIs)
	if status, body := fetch(t, p.url); status != 200 || body != "hello" {
		t.Errorf("through the pair: %d %s", status, body)
	}
}
