package web_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oarlock/oarlock/api"
	"github.com/oarlock/oarlock/meshtest"
	"github.com/oarlock/oarlock/web"
)

const token = "a-token-of-at-least-sixteen-bytes"

// board is a dashboard on loopback with one mesh behind it, a stranger's, that says what reaches it.
type board struct {
	url, host string
	cookie    *http.Cookie
}

func newBoard(t *testing.T, opt web.DashboardOptions) *board {
	t.Helper()
	meshtest.NoLeaks(t)
	socket := filepath.Join(t.TempDir(), "api.sock")
	serveSocket(t, socket)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	opt.Token = token
	if opt.Meshes == nil {
		opt.Meshes = func(context.Context) ([]web.MeshSocket, error) {
			return []web.MeshSocket{{Name: "keen-otter", Socket: socket}, {Name: "late-heron", Problem: "it does not run"},
				{Name: "mute-stork", Socket: socket + ".gone"}}, nil
		}
	}
	d, err := web.NewDashboard(l, opt)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	})
	return &board{url: "http://" + d.Address(), host: d.Address()}
}

// serveSocket is a mesh's API that answers with what it was asked.
func serveSocket(t *testing.T, socket string) {
	t.Helper()
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/v1/events", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			fmt.Fprintf(w, "id: %d\ndata: {}\n\n", i)
			_ = http.NewResponseController(w).Flush()
		}
		<-r.Context().Done()
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Set-Cookie", "stolen=1")
		w.Header().Set("Content-Security-Policy", "default-src *")
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s\n%s", r.Method, r.URL, body)
		_ = r.Header.Write(w)
	})
	s := &http.Server{Handler: mux}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	t.Cleanup(func() { s.Close(); <-done; os.Remove(socket) })
}

// ask sends a request; header pairs follow.
func (b *board) ask(t *testing.T, method, path, body string, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(method, b.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if b.cookie != nil {
		req.AddCookie(b.cookie)
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(text)
}

func (b *board) want(t *testing.T, status int, method, path, body string, header ...string) string {
	t.Helper()
	res, text := b.ask(t, method, path, body, header...)
	if res.StatusCode != status {
		t.Fatalf("%s %s %q = %s, want %d\n%s", method, path, header, res.Status, status, text)
	}
	if strings.Contains(text, token) {
		t.Errorf("%s %s: the answer has the token in it", method, path)
	}
	return text
}

func (b *board) login(t *testing.T) {
	t.Helper()
	res, text := b.ask(t, "POST", "/api/v1/session", `{"token": "`+token+`"}`)
	if res.StatusCode != http.StatusNoContent || len(res.Cookies()) != 1 {
		t.Fatalf("log in = %s\n%s", res.Status, text)
	}
	b.cookie = res.Cookies()[0]
}

// refusesSome wants one of many requests to be put off.
func (b *board) refusesSome(t *testing.T, n int, path, body string) {
	t.Helper()
	for range n {
		if res, _ := b.ask(t, "POST", path, body, "Oarlock-Client", "dashboard"); res.StatusCode == http.StatusTooManyRequests {
			return
		}
	}
	t.Errorf("%d requests at once: none was put off", n)
}

func TestDashboardWantsToken(t *testing.T) {
	b := newBoard(t, web.DashboardOptions{})
	for _, path := range []string{"/api/v1/meshes", "/api/v1/meshes/keen-otter/status", "/api/v1/meshes/none/status"} {
		b.want(t, http.StatusUnauthorized, "GET", path, "")
		b.want(t, http.StatusUnauthorized, "GET", path, "", "Authorization", "Bearer wrong")
		b.want(t, http.StatusUnauthorized, "GET", path+"?token="+token, "")
	}
	b.want(t, http.StatusUnauthorized, "POST", "/api/v1/session", `{"token": "wrong"}`)
	b.want(t, http.StatusBadRequest, "POST", "/api/v1/session", `{"tok`)
	b.want(t, http.StatusBadRequest, "POST", "/api/v1/session", `{"token": "`+token+`", "more": 1}`)
	b.want(t, http.StatusOK, "GET", "/api/v1/meshes", "", "Authorization", "Bearer "+token)
	b.login(t)
	if c := b.cookie; !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || strings.Contains(c.Value, token) {
		t.Errorf("cookie = %v", c)
	}
	if got := b.want(t, http.StatusOK, "GET", "/api/v1/meshes/keen-otter/status?a=b", ""); !strings.HasPrefix(got, "GET /v1/status?a=b\n") {
		t.Errorf("the mesh was asked %q", got)
	}
	// A cookie that was tampered with, at any place, is none.
	good := *b.cookie
	for i := 0; i < len(good.Value); i += 7 {
		v := []byte(good.Value)
		v[i] ^= 1
		b.cookie = &http.Cookie{Name: good.Name, Value: string(v)}
		b.want(t, http.StatusUnauthorized, "GET", "/api/v1/meshes", "")
	}
}

func TestDashboardLimitsGuessing(t *testing.T) {
	b := newBoard(t, web.DashboardOptions{})
	b.refusesSome(t, 60, "/api/v1/session", `{"token": "wrong"}`)
}

func TestDashboardKeepsStrangersOut(t *testing.T) {
	b := newBoard(t, web.DashboardOptions{Hosts: []string{"mesh.example.com"}})
	b.login(t)
	const status = "/api/v1/meshes/keen-otter/status"
	_, port, _ := net.SplitHostPort(b.host)
	for host, want := range map[string]int{
		b.host: 200, "localhost:" + port: 200, "[::1]:" + port: 200, "127.0.0.9:" + port: 200, "mesh.example.com": 200, "MESH.example.com:443": 200,
		"evil.example.com:" + port: 403, "127.0.0.1.evil.com:" + port: 403, "10.0.0.1:" + port: 403, "localhost:1": 403, "localhost": 403, "mesh.example.com.evil.com": 403,
	} {
		b.want(t, want, "GET", status, "", "Host", host)
		b.want(t, want, "GET", "/", "", "Host", host)
	}
	for origin, want := range map[string]int{"http://" + b.host: 200, "null": 403, "http://evil.example.com": 403, "http://localhost:1": 403, "http://" + b.host + ".evil.com": 403} {
		b.want(t, want, "GET", status, "", "Origin", origin)
		b.want(t, want, "POST", "/api/v1/meshes/keen-otter/mtls", "{}", "Origin", origin, "Oarlock-Client", "dashboard")
		if want == 403 {
			b.want(t, want, "POST", "/api/v1/session", `{"token": "`+token+`"}`, "Origin", origin)
		}
	}
	// A form of another site brings the cookie, where a browser does not know SameSite, but not the header.
	b.want(t, http.StatusForbidden, "POST", "/api/v1/meshes/keen-otter/mtls", "verb=disable", "Content-Type", "application/x-www-form-urlencoded")
	b.want(t, http.StatusForbidden, "GET", status, "", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors")
	b.want(t, http.StatusOK, "GET", "/", "", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate")
}

func TestDashboardPassesOnlyWhatIsKnown(t *testing.T) {
	b := newBoard(t, web.DashboardOptions{})
	b.login(t)
	for _, path := range []string{"/api/v1/meshes/keen-otter/manifests", "/api/v1/meshes/keen-otter/", "/api/v1/meshes/keen-otter/nothing",
		"/api/v1/meshes/keen-otter/..%2fmanifests", "/api/v1/meshes/keen-otter/%2e%2e/status", "/api/v1/meshes/none/status", "/api/v2/x"} {
		b.want(t, http.StatusNotFound, "GET", path, "")
	}
	b.want(t, http.StatusNotFound, "POST", "/api/v1/meshes/keen-otter/ca/token", `{"namespace":"shop","pod":"api"}`, "Oarlock-Client", "dashboard")
	b.want(t, http.StatusNotFound, "DELETE", "/api/v1/meshes/keen-otter/status", "", "Oarlock-Client", "dashboard")
	got := b.want(t, http.StatusOK, "POST", "/api/v1/meshes/keen-otter/mtls", `{"verb":"allow"}`, "Oarlock-Client", "forged", "Oarlock-User", "root",
		"Authorization", "Bearer "+token, "Content-Type", "application/json")
	for _, secret := range []string{"Cookie", "Authorization", "forged", "root"} {
		if strings.Contains(got, secret) {
			t.Errorf("the mesh was told %q:\n%s", secret, got)
		}
	}
	if !strings.Contains(got, "Oarlock-Client: dashboard") || !strings.Contains(got, `{"verb":"allow"}`) {
		t.Errorf("the mesh was told\n%s", got)
	}
	res, _ := b.ask(t, "GET", "/api/v1/meshes/keen-otter/status", "")
	if res.Header.Get("Set-Cookie") != "" || strings.Contains(res.Header.Get("Content-Security-Policy"), "*") || res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("a mesh's own headers came through: %v", res.Header)
	}
	for _, name := range []string{"late-heron", "mute-stork"} {
		if text := b.want(t, http.StatusServiceUnavailable, "GET", "/api/v1/meshes/"+name+"/status", ""); strings.Contains(text, ".sock") {
			t.Errorf("an answer names a path of this machine: %s", text)
		}
	}
	big := strings.Repeat("x", 4<<20+1) // a client that has sent all of it hears the answer
	res, _ = b.ask(t, "POST", "/api/v1/meshes/keen-otter/mtls", big, "Oarlock-Client", "dashboard")
	if res.StatusCode < 400 {
		t.Errorf("a body of %d bytes = %s", len(big), res.Status)
	}
}

func TestDashboardReadOnly(t *testing.T) {
	b := newBoard(t, web.DashboardOptions{ReadOnly: true})
	b.login(t)
	changes := 0
	for _, r := range web.Routes() {
		path := strings.Replace(r.Path, "/v1/", "/api/v1/meshes/keen-otter/", 1)
		if r.Changes && !r.Local {
			changes++
			b.want(t, http.StatusForbidden, r.Method, path, "{}", "Oarlock-Client", "dashboard")
		}
	}
	if changes < 4 {
		t.Errorf("%d routes change something", changes)
	}
	b.want(t, http.StatusOK, "GET", "/api/v1/meshes/keen-otter/status", "")
}

func TestDashboardLimitsChanges(t *testing.T) {
	b := newBoard(t, web.DashboardOptions{})
	b.login(t)
	b.refusesSome(t, 200, "/api/v1/meshes/keen-otter/mtls", "{}") // it would take half a minute to make room for all of them
	b.want(t, http.StatusOK, "GET", "/api/v1/meshes/keen-otter/status", "")
}

func TestDashboardListsMeshes(t *testing.T) {
	b := newBoard(t, web.DashboardOptions{Version: "v1"})
	b.login(t)
	var got api.Meshes
	if err := json.Unmarshal([]byte(b.want(t, http.StatusOK, "GET", "/api/v1/meshes", "")), &got); err != nil {
		t.Fatal(err)
	}
	if text := b.want(t, http.StatusOK, "GET", "/api/v1/openapi.json", ""); !json.Valid([]byte(text)) || !strings.Contains(text, "/v1/graph") {
		t.Errorf("openapi.json = %.200s", text)
	}
	if len(got.Meshes) != 3 || got.Meshes[0].Name != "keen-otter" || got.Meshes[1].Problem != "it does not run" || got.Meshes[2].Problem == "" || got.Version != "v1" {
		t.Errorf("meshes = %+v", got)
	}
}

func TestDashboardPages(t *testing.T) {
	b := newBoard(t, web.DashboardOptions{})
	nonces := map[string]bool{}
	for _, path := range []string{"/", "/meshes/keen-otter/graph", "/%2e%2e/etc/passwd", "/x?y=<script>"} {
		res, text := b.ask(t, "GET", path, "")
		csp := res.Header.Get("Content-Security-Policy")
		if res.StatusCode != http.StatusOK || !strings.Contains(res.Header.Get("Content-Type"), "text/html") || strings.Contains(csp, "unsafe") || strings.Contains(text, "__CSP_NONCE__") {
			t.Errorf("GET %s = %s, CSP %q\n%s", path, res.Status, csp, text)
		}
		nonces[csp] = true
	}
	if len(nonces) != 4 {
		t.Errorf("four documents have %d nonces", len(nonces))
	}
	b.want(t, http.StatusNotFound, "GET", "/assets/nothing.js", "")
	b.want(t, http.StatusMethodNotAllowed, "POST", "/", "")
	res, _ := b.ask(t, "GET", "/", "")
	for h, want := range map[string]string{"X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cross-Origin-Opener-Policy": "same-origin"} {
		if got := res.Header.Get(h); got != want {
			t.Errorf("%s = %q, want %q", h, got, want)
		}
	}
}

func TestDashboardStreams(t *testing.T) {
	b := newBoard(t, web.DashboardOptions{})
	b.login(t)
	req, _ := http.NewRequest("GET", b.url+"/api/v1/meshes/keen-otter/events", nil)
	req.AddCookie(b.cookie)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	res, err := http.DefaultTransport.RoundTrip(req.WithContext(ctx))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	scan := bufio.NewScanner(res.Body)
	for n := 0; n < 3; {
		if !scan.Scan() {
			t.Fatalf("the stream ended: %v", scan.Err())
		}
		if bytes.HasPrefix(scan.Bytes(), []byte("id: ")) {
			n++
		}
	}
}

func TestDashboardBoundsStreams(t *testing.T) {
	b := newBoard(t, web.DashboardOptions{})
	b.login(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	full := false
	for range 300 {
		req, _ := http.NewRequestWithContext(ctx, "GET", b.url+"/api/v1/meshes/keen-otter/events", nil)
		req.AddCookie(b.cookie)
		res, err := tr.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if res.StatusCode == http.StatusServiceUnavailable {
			full = true
			break
		}
	}
	if !full {
		t.Fatal("300 streams are open, and none was refused")
	}
	cancel()
	// Once they are gone there is room again.
	for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		if res, _ := b.ask(t, "GET", "/api/v1/meshes/keen-otter/status", ""); res.StatusCode == http.StatusOK {
			break
		}
		if time.Since(begin) > 30*time.Second {
			t.Fatal("long after every stream ended there is no room")
		}
	}
}

// TestDashboardSlowReader: who asks for much and takes nothing loses the connection, and a stream that is quiet does not.
func TestDashboardSlowReader(t *testing.T) {
	b := newBoard(t, web.DashboardOptions{})
	address := strings.TrimPrefix(b.url, "http://")
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ended := make(chan error, 1)
	go func() { // the server takes requests only as long as it sends answers
		for {
			if _, err := fmt.Fprintf(conn, "GET /assets/index.js HTTP/1.1\r\nHost: %s\r\n\r\n", address); err != nil {
				ended <- err
				return
			}
		}
	}()
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Error("a reader that takes nothing is waited for")
	}
}

func TestDashboardShortToken(t *testing.T) {
	if _, err := web.NewDashboard(nil, web.DashboardOptions{Token: "short"}); err == nil || !strings.Contains(err.Error(), "5 bytes") {
		t.Errorf("NewDashboard = %v", err)
	}
}
