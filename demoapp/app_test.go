package demoapp

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// locked is a buffer that several goroutines write to.
type locked struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// running is an application that a test has started.
type running struct {
	*App
	stop context.CancelFunc
	log  *locked
}

// start runs an application on loopback until the test ends. Its environment is empty but for env.
func start(t *testing.T, cfg Config, env ...string) *running {
	t.Helper()
	r := &running{log: &locked{}}
	cfg.Bind, cfg.Log = "127.0.0.1", slog.New(slog.NewTextHandler(r.log, nil))
	cfg.Pod, cfg.Env = "pod-a", environment(env...)
	cfg.Timeout, cfg.Grace = cmp.Or(cfg.Timeout, time.Minute), cmp.Or(cfg.Grace, time.Minute)
	ctx, cancel := context.WithCancel(context.Background())
	app, err := Start(ctx, cfg)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	r.App, r.stop = app, cancel
	t.Cleanup(func() {
		cancel()
		app.Wait()
	})
	return r
}

// eventually waits until something is so.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never %s", what)
		}
	}
}

// dawdling is how many requests wait for their answer.
func dawdling() int {
	stacks := make([]byte, 1<<20)
	return strings.Count(string(stacks[:runtime.Stack(stacks, true)]), ").dawdle(")
}

func environment(list ...string) func(string) (string, bool) {
	m := map[string]string{}
	for _, e := range list {
		k, v, _ := strings.Cut(e, "=")
		m[k] = v
	}
	return func(name string) (string, bool) {
		v, ok := m[name]
		return v, ok
	}
}

func listens(t *testing.T, texts ...string) []Listen {
	t.Helper()
	var out []Listen
	for _, s := range texts {
		l, err := ParseListen(s)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, l)
	}
	return out
}

func targets(t *testing.T, texts ...string) []Target {
	t.Helper()
	var out []Target
	for _, s := range texts {
		to, err := ParseTarget(s)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, to)
	}
	return out
}

// get asks a URL and gives the status and what was answered.
func get(t *testing.T, url string, headers ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// certificate writes a certificate for names with its key, and gives the files.
func certificate(t *testing.T, names ...string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: names, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true,
		BasicConstraintsValid: true, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	for name, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// every starts a server with one listener of each protocol.
func every(t *testing.T, cfg Config) (*running, []Listen) {
	t.Helper()
	cfg.Listens = listens(t, "http:0", "https:0", "tcp:0", "tls:0", "grpc:0", "udp:0")
	cfg.Certificate, cfg.Key = certificate(t, "server.shop")
	return start(t, cfg), cfg.Listens
}

// serviceEnv gives Kubernetes' variables that lead a call to name:port to a listener.
func serviceEnv(name string, port int, addr net.Addr) []string {
	host, number, _ := net.SplitHostPort(addr.String())
	prefix := fmt.Sprintf("%s_PORT_%d_TCP", name, port)
	return []string{prefix + "_ADDR=" + host, prefix + "_PORT=" + number, name + "_SERVICE_HOST=" + host}
}

// TestBothEndsCount: over every protocol, what a load generator sent is what the server received.
func TestBothEndsCount(t *testing.T) {
	for _, tc := range []struct {
		name  string
		conns int
		body  int
		rate  float64
		calls int64
	}{{"short", 0, 0, 50, 10}, {"long-lived", 2, 0, 50, 10}, {"large", 1, 300_000, 4, 3}} {
		t.Run(tc.name, func(t *testing.T) {
			server, on := every(t, Config{})
			var env, calls []string
			for i, l := range on {
				to := fmt.Sprintf("%s://server.shop:%d", l.Protocol, 1000+i)
				if l.Protocol == "udp" {
					to = "udp://" + server.Addr(i).String()
				}
				calls = append(calls, to)
				env = append(env, serviceEnv("SERVER_SHOP", 1000+i, server.Addr(i))...)
			}
			client := start(t, Config{Calls: targets(t, calls...), Rate: tc.rate, TCPConns: tc.conns, Body: tc.body, CA: server.cfg.Certificate}, env...)
			eventually(t, "some calls of each kind", func() bool { return least(client.Stats().Sent) >= tc.calls })
			client.stop()
			sent := client.Wait()
			server.stop()
			received := server.Wait()
			for i, to := range calls {
				s, r := sent.Sent[to], received.Received[on[i].String()]
				lost := int64(0)
				if on[i].Protocol == "udp" { // datagrams are lost where the machine stalls, on the way there or back
					lost = s.Failed
				}
				if s.OK+lost < tc.calls || s.Failed != lost || r.OK < s.OK || r.OK > s.OK+lost || r.Failed != 0 {
					t.Errorf("%s: sent %+v, received %+v\n%s", to, s, r, client.log)
				}
			}
		})
	}
}

func least(counts map[string]Count) int64 {
	n := int64(1 << 62)
	for _, c := range counts {
		n = min(n, c.OK+c.Failed)
	}
	return n
}

// TestFanOut: a request makes all calls, passes its trace on, and is answered with what came of them.
func TestFanOut(t *testing.T) {
	var seen locked
	back := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(&seen, "%s %s %s %s|", r.Host, r.URL, r.Header.Get("X-Request-Id"), r.Header.Get("B3"))
		if r.URL.Path == "/broken" {
			http.Error(w, "out of order", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprint(w, `{"service":"back"}`)
	}))
	defer back.Close()
	front := start(t, Config{Service: "front", Version: "v2", Body: 7, Listens: listens(t, "http:0"), Calls: targets(t, "back:9080/a?b=c", "back.shop:9080/broken")},
		append(serviceEnv("BACK", 9080, back.Listener.Addr()), serviceEnv("BACK_SHOP", 9080, back.Listener.Addr())...)...)
	url := "http://" + front.Addr(0).String()
	code, text := get(t, url+"/shop?headers=1", "X-Request-Id", "42", "b3", "1-2-1")
	var got answer
	if err := json.Unmarshal([]byte(text), &got); err != nil || code != 200 {
		t.Fatalf("status %d: %v: %s", code, err, text)
	}
	if got.Service != "front" || got.Version != "v2" || got.Pod != "pod-a" || got.Path != "/shop" || got.Headers.Get("X-Request-Id") != "42" || len(got.Padding) != 7 {
		t.Errorf("answer: %s", text)
	}
	if len(got.Calls) != 2 || !got.Calls[0].OK || string(got.Calls[0].Answer) != `{"service":"back"}` {
		t.Fatalf("calls: %s", text)
	}
	if c := got.Calls[1]; c.OK || c.Result != "503" || c.Error != "out of order" || c.Target != "back.shop:9080/broken" {
		t.Errorf("the broken one: %+v", c)
	}
	for _, want := range []string{"back:9080 /a?b=c 42 1-2-1|", "back.shop:9080 /broken 42 1-2-1|"} {
		if !strings.Contains(seen.String(), want) {
			t.Errorf("no %q in %s", want, seen.String())
		}
	}
	if !strings.Contains(front.log.String(), "call failed") || strings.Count(front.log.String(), "\n") != 2 {
		t.Errorf("log, which has the listener and the failed call:\n%s", front.log)
	}
	if _, text := get(t, url+"/health"); text != "ok\n" {
		t.Errorf("health: %q", text)
	}
	_, text = get(t, url+"/stats")
	want := `{"service":"front","version":"v2","pod":"pod-a","received":{"http:0":{"ok":1,"failed":0,"results":{"200":1}}},` +
		`"sent":{"back.shop:9080/broken":{"ok":0,"failed":1,"results":{"503":1}},"back:9080/a?b=c":{"ok":1,"failed":0,"results":{"200":1}}}}` + "\n"
	if text != want {
		t.Errorf("stats\n%swant\n%s", text, want)
	}
}

func TestPages(t *testing.T) {
	app := start(t, Config{Listens: listens(t, "http:0")})
	url := "http://" + app.Addr(0).String()
	for path, want := range map[string]string{"/status/418": "418 0", "/status/99": "400 30", "/bytes/100000": "200 100000", "/delay/1ms": "200 3", "/bytes/x": "400 35"} {
		code, text := get(t, url+path)
		if got := fmt.Sprint(code, " ", len(text)); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	resp, err := http.Post(url+"/echo", "text/x-odd", strings.NewReader("hello"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, _ := io.ReadAll(resp.Body); string(b) != "hello" || resp.Header.Get("Content-Type") != "text/x-odd" {
		t.Errorf("echo: %q, %v", b, resp.Header)
	}
}

// TestErrorsAndLatency: both are as told, on every protocol that is asked here.
func TestErrorsAndLatency(t *testing.T) {
	server, on := every(t, Config{ErrorRate: 1, Latency: 30 * time.Millisecond})
	begin := time.Now()
	for i, l := range on {
		if l.secure() {
			continue
		}
		cfg := Config{Calls: targets(t, l.Protocol+"://"+server.Addr(i).String()), Rate: 0.001}
		if l.Protocol == "udp" {
			cfg.Timeout = 300 * time.Millisecond // no answer is its error
		}
		client := start(t, cfg)
		eventually(t, "failed", func() bool { return client.Stats().Sent[client.cfg.Calls[0].String()].Failed > 0 })
		client.stop()
		if s := client.Wait().Sent[client.cfg.Calls[0].String()]; s.OK != 0 || s.Failed != 1 {
			t.Errorf("%s: %+v", l, s)
		}
		eventually(t, "counted by the server, "+l.String(), func() bool { return server.Stats().Received[l.String()].Failed > 0 })
		if r := server.Stats().Received[l.String()]; r.OK != 0 || r.Failed != 1 {
			t.Errorf("%s received %+v", l, r)
		}
	}
	if took := time.Since(begin); took < 4*30*time.Millisecond {
		t.Errorf("four answers took %v", took)
	}
}

// TestDrain: what is under way when the end comes is answered, what comes later is not, and nothing is lost between.
func TestDrain(t *testing.T) {
	app := start(t, Config{Latency: time.Second, Listens: listens(t, "http:0", "tcp:0")})
	url := "http://" + app.Addr(0).String()
	answered := make(chan int, 1)
	go func() {
		resp, err := http.Get(url)
		if err != nil {
			answered <- 0
			return
		}
		resp.Body.Close()
		answered <- resp.StatusCode
	}()
	conn, err := net.Dial("tcp", app.Addr(1).String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "last words\n"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "both under way, or answered already", func() bool {
		s := app.Stats().Received
		return int64(dawdling())+s["http:0"].OK+s["tcp:0"].OK == 2
	})
	app.stop()
	stats := app.Wait()
	if code := <-answered; code != 200 {
		t.Errorf("status %d", code)
	}
	if b, err := io.ReadAll(conn); string(b) != "last words\n" || err != nil {
		t.Errorf("echo %q, %v", b, err)
	}
	if stats.Received["http:0"].OK != 1 || stats.Received["tcp:0"].OK != 1 {
		t.Errorf("stats: %s", stats)
	}
	if _, err := net.Dial("tcp", app.Addr(0).String()); err == nil {
		t.Error("it still listens")
	}
}

// TestGraceEnds: somebody who does not end is cut off.
func TestGraceEnds(t *testing.T) {
	app := start(t, Config{Latency: time.Hour, Grace: 50 * time.Millisecond, Listens: listens(t, "http:0", "tcp:0", "udp:0", "grpc:0")})
	for i, network := range []string{"tcp", "tcp", "udp", "tcp"} {
		conn, err := net.Dial(network, app.Addr(i).String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "three wait for an answer", func() bool { return dawdling() == 3 })
	begin := time.Now()
	app.stop()
	app.Wait()
	if took := time.Since(begin); took > time.Minute {
		t.Errorf("the end took %v", took)
	}
}

// TestIdle: without arguments it stays up and does nothing.
func TestIdle(t *testing.T) {
	app := start(t, Config{})
	select {
	case <-app.done:
		t.Fatal("it has ended by itself")
	case <-time.After(30 * time.Millisecond):
	}
	app.stop()
	if s := app.Wait().String(); s != `{"service":"pod-a","version":"","pod":"pod-a","received":{},"sent":{}}` {
		t.Error(s)
	}
}

// TestVerifies: with an authority, a server with another certificate is refused; without one anybody is taken.
func TestVerifies(t *testing.T) {
	server, _ := every(t, Config{})
	other, _ := certificate(t, "server.shop")
	for ca, want := range map[string]string{"": "200", server.cfg.Certificate: "200", other: "error"} {
		client := start(t, Config{Calls: targets(t, "https://server.shop:443"), Rate: 0.001, CA: ca}, serviceEnv("SERVER_SHOP", 443, server.Addr(1))...)
		eventually(t, "called", func() bool { return len(client.Stats().Sent["https://server.shop:443"].Results) > 0 })
		if got := client.Stats().Sent["https://server.shop:443"].Results; got[want] != 1 {
			t.Errorf("authority %q: %v, want %s", ca, got, want)
		}
	}
}

// TestHTTP2: HTTPS offers it, and plain HTTP takes a client that begins with it.
func TestHTTP2(t *testing.T) {
	server, _ := every(t, Config{})
	var only http.Protocols
	only.SetUnencryptedHTTP2(true)
	plain := &http.Client{Transport: &http.Transport{Protocols: &only}}
	secure := &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	for url, client := range map[string]*http.Client{"http://" + server.Addr(0).String(): plain, "https://" + server.Addr(1).String(): secure} {
		resp, err := client.Get(url)
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		resp.Body.Close()
		client.CloseIdleConnections()
		if resp.ProtoMajor != 2 {
			t.Errorf("%s: %s", url, resp.Proto)
		}
	}
}

func TestStartErrors(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	for _, tc := range []struct {
		cfg  Config
		want string
	}{
		{Config{Listens: listens(t, "tcp:0", fmt.Sprint("http:", port))}, fmt.Sprintf("listen on http:%d: ", port)},
		{Config{Listens: listens(t, "https:0")}, "listen on https:0: it needs a certificate and its key"},
		{Config{Listens: listens(t, "tls:0"), Certificate: "/nowhere", Key: "/nowhere"}, "load certificate /nowhere: "},
		{Config{CA: "/nowhere"}, "read authorities: open /nowhere"},
		{Config{CA: os.DevNull}, "read authorities " + os.DevNull + ": no certificate in it"},
		{Config{Rate: 1}, "call at rate 1: nothing to call"},
		{Config{Rate: -1}, "call at rate -1: want"},
		{Config{ErrorRate: 1.5}, "answer with error rate 1.5: want 0 to 1"},
		{Config{Body: -1}, "send body of -1 bytes"},
		{Config{TCPConns: 1 << 20}, "keep 1048576 connections"},
		{Config{Latency: -1}, "answer after -1ns"},
	} {
		tc.cfg.Bind, tc.cfg.Env = "127.0.0.1", environment()
		if _, err := Start(t.Context(), tc.cfg); err == nil || !strings.HasPrefix(err.Error(), tc.want) {
			t.Errorf("error %v, want %s...", err, tc.want)
		}
	}
	if _, err := Start(t.Context(), Config{Bind: "localhost"}); err == nil || err.Error() != `bind to "localhost": want an IP address` {
		t.Errorf("%v", err)
	}
}
