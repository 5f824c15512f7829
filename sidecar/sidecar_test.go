package sidecar

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oarlock/oarlock/bootstrap"
	"github.com/oarlock/oarlock/meshtest"
	"github.com/oarlock/oarlock/svid"
)

// running is a sidecar under test.
type running struct {
	t      testing.TB
	file   *bootstrap.File
	admin  http.Client
	stdout meshtest.Buffer
	log    meshtest.Buffer
	cancel context.CancelFunc
	done   chan error
	once   sync.Once
	err    error
}

// launch runs a sidecar until the test ends, and does not wait for it.
func launch(t testing.TB, f *bootstrap.File) *running {
	t.Helper()
	if f.Admin.Socket == "" {
		f.Admin.Socket = socketPath(t)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{t: t, file: f, cancel: cancel, done: make(chan error, 1)}
	r.admin.Transport = &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", f.Admin.Socket)
	}}
	log := slog.New(slog.NewTextHandler(&r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	go func() { r.done <- Run(ctx, f, Options{Version: "test", Log: log, Stdout: &r.stdout}) }()
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Errorf("sidecar %s: %v", f.Node.Pod, err)
		}
		if t.Failed() {
			t.Logf("log of %s:\n%s", f.Node.Pod, &r.log)
		}
	})
	return r
}

// start runs a sidecar and waits until it is ready.
func start(t testing.TB, f *bootstrap.File) *running {
	t.Helper()
	r := launch(t, f)
	eventually(t, "ready", func() bool {
		select {
		case err := <-r.done:
			r.done <- err
			t.Fatalf("sidecar ended: %v\n%s", err, &r.log)
		default:
		}
		status, _ := r.get("/ready")
		return status == http.StatusOK
	})
	return r
}

// stop ends it and gives the error of Run.
func (r *running) stop() error {
	r.once.Do(func() {
		r.cancel()
		select {
		case r.err = <-r.done:
		case <-time.After(time.Minute):
			r.err = errors.New("it does not end")
		}
	})
	return r.err
}

func (r *running) get(path string) (int, string)        { return r.do("GET", path, "") }
func (r *running) post(path, body string) (int, string) { return r.do("POST", path, body) }

func (r *running) do(method, path, body string) (int, string) {
	req, err := http.NewRequest(method, "http://admin"+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	resp, err := r.admin.Do(req)
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

// want asks and wants status 200 and all of some texts.
func (r *running) want(path string, texts ...string) string {
	r.t.Helper()
	status, body := r.get(path)
	if status != http.StatusOK {
		r.t.Errorf("GET %s: %d %s", path, status, body)
	}
	for _, text := range texts {
		if !strings.Contains(body, text) {
			r.t.Errorf("GET %s has no %q:\n%s", path, text, body)
		}
	}
	return body
}

func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !f(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never %s", what)
		}
	}
}

// socketPath is a short path: a test's own folder may be too long for a socket.
func socketPath(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "oarlock")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "a.sock")
}

// identityFiles has the SVID of a service account in namespace shop written to files, and the folder.
func identityFiles(t testing.TB, authority *meshtest.CA, account string) (*bootstrap.Identity, string) {
	t.Helper()
	c := &svid.Client{Address: authority.Address, ServerName: meshtest.CAServerName, RootsFile: authority.RootsFile,
		TokenFile: authority.TokenFile("shop", account, account)}
	source, err := svid.Open(t.Context(), c.Obtain, svid.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	key, chain, roots, err := source.State().Export()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range map[string][]byte{"key.pem": key, "cert-chain.pem": chain, "root-cert.pem": roots} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return &bootstrap.Identity{Files: &bootstrap.Files{Key: filepath.Join(dir, "key.pem"),
		Chain: filepath.Join(dir, "cert-chain.pem"), Roots: filepath.Join(dir, "root-cert.pem")}}, dir
}

// nothing is a static configuration in which nothing is carried.
var nothing = json.RawMessage(`{"listeners": []}`)

func node(name string) bootstrap.Node {
	return bootstrap.Node{Pod: name + "-1", Namespace: "shop", Workload: name, ServiceAccount: name, IP: netip.MustParseAddr("127.0.0.1")}
}

func TestMisconfiguration(t *testing.T) {
	addr := netip.MustParseAddrPort("127.0.0.1:1")
	static := func(f func(*bootstrap.File)) *bootstrap.File {
		b := &bootstrap.File{Node: node("web"), Static: nothing}
		f(b)
		return b
	}
	for want, f := range map[string]*bootstrap.File{
		"nothing to do":        {},
		"both xds and":         static(func(f *bootstrap.File) { f.XDS = &bootstrap.XDS{Address: "127.0.0.1:1"} }),
		"xds.address":          {XDS: &bootstrap.XDS{}},
		"node.pod":             {XDS: &bootstrap.XDS{Address: "127.0.0.1:1"}},
		"xds.mtls":             {Node: node("web"), XDS: &bootstrap.XDS{Address: "127.0.0.1:1", MTLS: true}},
		"xds.plaintext":        {Node: node("web"), XDS: &bootstrap.XDS{Address: "127.0.0.1:1", Plaintext: true, TokenFile: "token"}},
		"one of csr and files": static(func(f *bootstrap.File) { f.Identity = &bootstrap.Identity{} }),
		"identity.csr needs":   static(func(f *bootstrap.File) { f.Identity = &bootstrap.Identity{CSR: &bootstrap.CSR{}} }),
		"no such file": static(func(f *bootstrap.File) {
			f.Identity = &bootstrap.Identity{Files: &bootstrap.Files{Key: "a", Chain: "b", Roots: "c"}}
		}),
		"identity.trustDomain": static(func(f *bootstrap.File) {
			f.Identity = &bootstrap.Identity{TrustDomain: "A B", Files: &bootstrap.Files{Key: "a", Chain: "b", Roots: "c"}}
		}),
		"log.level":         static(func(f *bootstrap.File) { f.Log.Level = "loud" }),
		"log.accessLog":     static(func(f *bootstrap.File) { f.Log.AccessLog = "/no/such/folder/log" }),
		"drain is negative": static(func(f *bootstrap.File) { f.Drain = -1 }),
		"has no listen":     static(func(f *bootstrap.File) { f.Capture.Doors = []bootstrap.Door{{}} }),
		"has no original":   static(func(f *bootstrap.File) { f.Capture.Doors = []bootstrap.Door{{Listen: addr}} }),
		"is an HTTP proxy and": static(func(f *bootstrap.File) {
			f.Capture.Doors = []bootstrap.Door{{Listen: addr, Original: addr, HTTPProxy: true}}
		}),
		"a socket's path":    static(func(f *bootstrap.File) { f.Admin.Socket = "/" + strings.Repeat("x", 200) }),
		`admin.probes["/x"]`: static(func(f *bootstrap.File) { f.Admin.Probes = map[string]bootstrap.Probe{"/x": {}} }),
		`staticResources`:    static(func(f *bootstrap.File) { f.Static = json.RawMessage(`{"listeners": [{"name": "a", "made_up": 1}]}`) }),
	} {
		err := Run(t.Context(), f, Options{Log: slog.New(slog.DiscardHandler)})
		if wrong := (*ConfigError)(nil); !errors.As(err, &wrong) || !strings.Contains(err.Error(), want) {
			t.Errorf("want a ConfigError with %q, got %v", want, err)
		}
	}
	if err := RunFile(t.Context(), filepath.Join(t.TempDir(), "none.json"), Options{}); !errors.As(err, new(*ConfigError)) {
		t.Errorf("a file that is not there: %v", err)
	}
}

func TestAdmin(t *testing.T) {
	meshtest.NoLeaks(t)
	authority := meshtest.NewCA(t, nil, 0)
	id, dir := identityFiles(t, authority, "web")
	r := start(t, &bootstrap.File{Node: node("web"), Identity: id, Static: nothing})
	if st, err := os.Stat(r.file.Admin.Socket); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("admin socket: %v, %v; want mode 0600", st.Mode(), err)
	}
	const me = "spiffe://cluster.local/ns/shop/sa/web"
	r.want("/", "GET /config_dump", "POST /cert_export")
	r.want("/ready", "LIVE")
	r.want("/server_info", `"state": "LIVE"`, `"version": "test"`, me, "sidecar~127.0.0.1~web-1.shop~shop.svc.cluster.local")
	r.want("/certs", me, `"expiration_time"`)
	r.want("/config_dump?include_eds", `"@type": "type.googleapis.com/envoy.admin.v3.BootstrapConfigDump"`, "ListenersConfigDump",
		"ClustersConfigDump", "RoutesConfigDump", "EndpointsConfigDump", "SecretsConfigDump", `"certificate_chain"`, "ROOTCA")
	r.want("/stats/prometheus", "oarlock_svid_renewals_total 1", `oarlock_build_info{goversion=`)
	r.want("/stats?format=prometheus", "oarlock_svid_renewals_total 1")
	r.want("/memory", `"allocated"`)
	r.want("/stats")
	r.want("/clusters")
	r.want("/clusters?format=json", `"cluster_statuses": []`)
	r.want("/listeners?format=json", `"listener_statuses": []`)

	if _, body := r.post("/logging?level=debug", ""); !strings.Contains(body, "oarlock: debug") {
		t.Errorf("POST /logging: %s", body)
	}
	if status, body := r.post("/logging?level=loud", ""); status != http.StatusBadRequest {
		t.Errorf("POST /logging?level=loud: %d %s", status, body)
	}
	for _, path := range []string{"/cert_export", "/drain_listeners", "/logging", "/probe"} {
		if status, _ := r.get(path); status != http.StatusMethodNotAllowed {
			t.Errorf("GET %s: %d, want 405: what changes something is no GET", path, status)
		}
	}
	wantNoKey(t, r, dir)
}

// wantNoKey holds that no answer but the export's, and no line of the log, has any line of the private key.
func wantNoKey(t *testing.T, r *running, dir string) {
	t.Helper()
	pem, err := os.ReadFile(filepath.Join(dir, "key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(pem)), "\n")
	said := r.log.String()
	for _, path := range []string{"/server_info", "/config_dump?include_eds", "/certs", "/stats", "/stats/prometheus"} {
		_, body := r.get(path)
		said += body
	}
	for _, secret := range append(lines[1:len(lines)-1], "PRIVATE KEY") {
		if strings.Contains(said, secret) {
			t.Errorf("the key is said: %s", secret)
		}
	}
}

func TestExport(t *testing.T) {
	authority := meshtest.NewCA(t, nil, 0)
	id, dir := identityFiles(t, authority, "web")
	audit := filepath.Join(t.TempDir(), "audit.jsonl")
	r := start(t, &bootstrap.File{Node: node("web"), Identity: id, Static: nothing, Admin: bootstrap.Admin{Audit: audit}})
	status, body := r.post("/cert_export", "")
	if status != http.StatusOK {
		t.Fatalf("export: %d %s", status, body)
	}
	var got exportedSVID
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"cert-chain.pem": got.Chain, "root-cert.pem": got.Roots, "key.pem": got.Key} {
		if want, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(want) != text {
			t.Errorf("%s differs from what the sidecar was given (%v)", name, err)
		}
	}
	r.post("/cert_export", "")
	lines, err := os.ReadFile(audit)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Count(lines, []byte("\n")) != 2 || bytes.Contains(lines, []byte("PRIVATE")) {
		t.Errorf("audit:\n%s", lines)
	}
	var rec exportRecord
	if err := json.Unmarshal(lines[:bytes.IndexByte(lines, '\n')], &rec); err != nil {
		t.Fatal(err)
	}
	if rec.ID != "spiffe://cluster.local/ns/shop/sa/web" || rec.Serial == "" || time.Since(rec.Time) > time.Minute {
		t.Errorf("audit record %+v", rec)
	}
	if runtime.GOOS == "linux" && (rec.UID != os.Getuid() || rec.PID != os.Getpid()) {
		t.Errorf("the export went to user %d and process %d, it says; want %d and %d", rec.UID, rec.PID, os.Getuid(), os.Getpid())
	}
	if uid, pid := peerOf(nil); uid != -1 || pid != -1 {
		t.Errorf("no connection has user %d and process %d", uid, pid)
	}
	if st, err := os.Stat(audit); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("audit file: %v %v", st, err)
	}
	// What cannot be recorded is not given.
	if err := os.Remove(audit); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(audit, 0o700); err != nil {
		t.Fatal(err)
	}
	if status, body := r.post("/cert_export", ""); status != http.StatusInternalServerError || strings.Contains(body, "PRIVATE") {
		t.Errorf("export without a record: %d %s", status, body)
	}
}

func TestSocketOfAnother(t *testing.T) {
	path := socketPath(t)
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	if _, err := listenPrivate(path); err == nil || !strings.Contains(err.Error(), "another process answers") {
		t.Errorf("a socket in use: %v", err)
	}
	l.Close()
	again, err := listenPrivate(path)
	if err != nil {
		t.Fatalf("a socket that was left behind: %v", err)
	}
	again.Close()
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := listenPrivate(path); err == nil || !strings.Contains(err.Error(), "is no socket") {
		t.Errorf("a file: %v", err)
	}
}

// TestWaitsForIdentity holds that a sidecar says what it waits for, and can be stopped while it waits.
func TestWaitsForIdentity(t *testing.T) {
	meshtest.NoLeaks(t)
	authority := meshtest.NewCA(t, nil, 0)
	token := authority.TokenFile("shop", "web", "web-1")
	nobody := fmt.Sprintf("127.0.0.1:%d", meshtest.Port(t))
	health := netip.MustParseAddrPort(fmt.Sprintf("127.0.0.1:%d", meshtest.Port(t)))
	r := launch(t, &bootstrap.File{Node: node("web"), Static: nothing, Admin: bootstrap.Admin{Health: health},
		Identity: &bootstrap.Identity{CSR: &bootstrap.CSR{Address: nobody, ServerName: meshtest.CAServerName, TokenFile: token, RootsFile: authority.RootsFile}}})
	eventually(t, "a reason", func() bool {
		status, body := r.get("/ready")
		return status == http.StatusServiceUnavailable && strings.Contains(body, "waits for its identity: ") && strings.Contains(body, "refused")
	})
	resp, err := http.Get("http://" + health.String() + "/healthz/ready")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("/healthz/ready: %s", resp.Status)
	}
	http.DefaultClient.CloseIdleConnections()
	if status, _ := r.post("/cert_export", ""); status != http.StatusServiceUnavailable {
		t.Errorf("export without an identity: %d", status)
	}
	r.want("/config_dump", "SecretsConfigDump")
	if err := r.stop(); err != nil {
		t.Error(err)
	}
}

// TestIdentityFromService holds that the certificate comes from the service, whose address may be a unix socket, and that
// its renewal is counted.
func TestIdentityFromService(t *testing.T) {
	meshtest.NoLeaks(t)
	path := socketPath(t)
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	authority := meshtest.NewCA(t, l, 2*time.Second)
	r := start(t, &bootstrap.File{Node: node("web"), Static: nothing, Identity: &bootstrap.Identity{CSR: &bootstrap.CSR{
		Address: "unix:" + path, ServerName: meshtest.CAServerName, RootsFile: authority.RootsFile,
		TokenFile: authority.TokenFile("shop", "web", "web-1")}}})
	r.want("/certs", "spiffe://cluster.local/ns/shop/sa/web")
	eventually(t, "renewed", func() bool {
		_, body := r.get("/stats/prometheus")
		return regexp.MustCompile(`oarlock_svid_renewals_total ([2-9]|\d\d)`).MatchString(body)
	})
}

func TestHealth(t *testing.T) {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Host != "app.example" || r.Header.Get("X-Probe") != "yes":
			w.WriteHeader(http.StatusBadRequest)
		case r.URL.Path == "/slow":
			<-r.Context().Done()
		case r.URL.Path == "/moved":
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		case r.URL.Path != "/live":
			w.WriteHeader(http.StatusTeapot)
		default:
			io.WriteString(w, "fine")
		}
	}))
	defer app.Close()
	addr := netip.MustParseAddrPort(fmt.Sprintf("127.0.0.1:%d", meshtest.Port(t)))
	metrics := netip.MustParseAddrPort(fmt.Sprintf("127.0.0.1:%d", meshtest.Port(t)))
	headers := map[string]string{"host": "app.example", "X-Probe": "yes"}
	const long = bootstrap.Duration(30 * time.Second)
	http1 := func(path string) bootstrap.Probe {
		return bootstrap.Probe{HTTP: app.URL + path, Headers: headers, Timeout: long}
	}
	slow := http1("/slow")
	slow.Timeout = bootstrap.Duration(100 * time.Millisecond)
	nobody := fmt.Sprintf("127.0.0.1:%d", meshtest.Port(t))
	start(t, &bootstrap.File{Node: node("web"), Static: nothing, Admin: bootstrap.Admin{Health: addr, Metrics: metrics, Probes: map[string]bootstrap.Probe{
		"/app-health/a/livez": http1("/live"), "/app-health/a/readyz": http1("/other"), "/slow": slow, "/moved": http1("/moved"),
		"/tcp": {TCP: app.Listener.Addr().String(), Timeout: long}, "/refused": {TCP: nobody}, "/gone": {HTTP: "http://" + nobody},
		"/grpc": {GRPC: app.Listener.Addr().String()},
	}}})
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for url, want := range map[string]int{
		"http://" + addr.String() + "/healthz/ready":       200,
		"http://" + addr.String() + "/app-health/a/livez":  200,
		"http://" + addr.String() + "/app-health/a/readyz": http.StatusTeapot,
		"http://" + addr.String() + "/moved":               302,
		"http://" + addr.String() + "/slow":                503,
		"http://" + addr.String() + "/tcp":                 200,
		"http://" + addr.String() + "/refused":             503,
		"http://" + addr.String() + "/gone":                503,
		"http://" + addr.String() + "/grpc":                503,
		"http://" + addr.String() + "/config_dump":         404,
		"http://" + metrics.String() + "/stats/prometheus": 200,
		"http://" + metrics.String() + "/config_dump":      404,
	} {
		resp, err := client.Get(url)
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: %d, want %d", url, resp.StatusCode, want)
		}
	}
}
