package control

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oarlock/oarlock/api"
	"github.com/oarlock/oarlock/manifest"
	"github.com/oarlock/oarlock/mesh"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	pb "istio.io/api/security/v1alpha1"
)

// text is a Source in memory.
type text struct {
	mu    sync.Mutex
	files map[string]string
	err   error

	written int // how often somebody wrote over the API
}

func (s *text) set(name, content string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files[name] = content
}

func (s *text) ReadFiles(context.Context) (mesh.Reading, []manifest.File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return mesh.Reading{}, nil, s.err
	}
	var files []manifest.File
	for name, content := range s.files {
		files = append(files, manifest.File{Name: name, Data: []byte(content)})
	}
	slices.SortFunc(files, func(a, b manifest.File) int { return strings.Compare(a.Name, b.Name) })
	snap, problems := manifest.Load(files, manifest.Options{})
	pre := mesh.Precondition{}
	for _, f := range files {
		pre[f.Name] = hashed(f.Data)
	}
	return mesh.Reading{Snapshot: snap, Problems: problems, Precondition: pre}, files, nil
}

func (s *text) Read(ctx context.Context) (mesh.Reading, error) {
	r, _, err := s.ReadFiles(ctx)
	return r, err
}

func (s *text) Expect(map[string]string) {}

func (s *text) Load(files []manifest.File) (*mesh.Snapshot, []mesh.Problem) {
	return manifest.Load(files, manifest.Options{})
}

func (s *text) Places() []string { return []string{"/mesh"} }

// machine is an Engine that runs one pod for each template, in name only.
type machine struct {
	mu      sync.Mutex
	changed chan struct{}
	running *mesh.Running
	applied int
	roots   []byte
	tokens  map[mesh.Ref]string
	renew   time.Time
	refuse  error
	refused int
	during  func() // an Apply, once it has read what it is told
}

func newMachine() *machine {
	return &machine{changed: make(chan struct{}), running: &mesh.Running{Capture: "explicit", CaptureWhy: "it is a test"}}
}

func (m *machine) Running(context.Context) (*mesh.Running, <-chan struct{}, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.running, m.changed, nil
}

func (m *machine) Apply(_ context.Context, s *mesh.Snapshot, with Settings) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.refuse != nil {
		m.refused++
		return m.refuse
	}
	next := &mesh.Running{Capture: m.running.Capture, CaptureWhy: m.running.CaptureWhy}
	m.tokens = map[mesh.Ref]string{}
	for _, w := range s.Workloads {
		if !w.Template() {
			continue
		}
		pod := w.Pod(w.Ref.Name+"-abc-1", []string{fmt.Sprintf("127.64.1.%d", 2+len(next.Pods))})
		next.Pods = append(next.Pods, mesh.Pod{Workload: pod, Phase: mesh.PhaseRunning, Ready: true})
		token, _, err := with.Token(pod)
		if err != nil {
			return err
		}
		m.tokens[pod.Ref] = token
	}
	m.running, m.roots = next, with.Roots
	if m.during != nil {
		m.during()
	}
	m.applied++
	close(m.changed)
	m.changed = make(chan struct{})
	return nil
}

func (m *machine) RenewAt() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.renew
}

func (m *machine) times() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.applied
}

func (*machine) Exec(context.Context, mesh.Ref, mesh.Exec) (int, error) {
	return 0, errors.ErrUnsupported
}

const shop = `apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio-injection: enabled}}
---
apiVersion: v1
kind: Service
metadata: {name: api, namespace: shop}
spec: {selector: {app: api}, ports: [{name: http, port: 80}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: api, namespace: shop}
spec:
  selector: {matchLabels: {app: api}}
  template:
    metadata: {labels: {app: api}}
    spec: {serviceAccountName: api, containers: [{name: api, image: x, command: [api]}]}
`

func policy(mode string) string {
	return "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: default, namespace: shop}\nspec: {mtls: {mode: " + mode + "}}\n"
}

// rig is a Plane that runs.
type rig struct {
	*testing.T
	source *text
	engine *machine
	look   chan struct{}
	client *api.Client
	plane  *Plane
	opt    Options
	stop   func()
}

// start runs a Plane until the test, or stop, ends it.
func start(t *testing.T, change func(*Options)) *rig {
	t.Helper()
	dir, err := os.MkdirTemp("", "plane") // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	r := &rig{T: t, source: &text{files: map[string]string{"/mesh/shop.yaml": shop, "/mesh/policy.yaml": policy("PERMISSIVE")}},
		engine: newMachine(), look: make(chan struct{}, 1)}
	r.opt = Options{Name: "keen-otter", Source: r.source, Look: r.look, Engine: r.engine, State: filepath.Join(dir, "state"),
		XDS: filepath.Join(dir, "xds.sock"), API: filepath.Join(dir, "api.sock")}
	if change != nil {
		change(&r.opt)
	}
	r.run()
	t.Cleanup(func() { r.stop() })
	return r
}

func (r *rig) run() {
	r.Helper()
	plane, err := New(r.Context(), r.opt)
	if err != nil {
		r.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- plane.Run(ctx) }()
	r.client, r.plane = api.NewClient(r.opt.API), plane
	r.stop = func() {
		r.stop = func() {}
		r.client.Close()
		cancel()
		select {
		case err := <-done:
			if err != nil {
				r.Errorf("run: %v", err)
			}
		case <-time.After(time.Minute):
			r.Error("the plane does not end")
		}
	}
	r.until("a snapshot that is published with the pods", func() bool {
		n := plane.Now()
		return n.Published != nil && slices.ContainsFunc(n.Published.Snapshot().Workloads, func(w *mesh.Workload) bool { return w.Ref.Kind == mesh.KindPod })
	})
	r.until("an answer", func() bool { _, err := r.client.Status(r.Context()); return err == nil })
}

func (r *rig) until(what string, ok func() bool) {
	r.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if ok() {
			return
		}
	}
	r.Fatalf("there is no %s", what)
}

func (r *rig) status() *api.Status {
	r.Helper()
	s, err := r.client.Status(r.Context())
	if err != nil {
		r.Fatal(err)
	}
	return s
}

func (r *rig) reload() *api.Reload {
	r.Helper()
	a, err := r.client.Reload(r.Context(), api.Wrote{})
	if err != nil {
		r.Fatal(err)
	}
	return a
}

func TestStatus(t *testing.T) {
	r := start(t, nil)
	s := r.status()
	if s.Mesh != "keen-otter" || s.Dialect != "current" || s.Capture != "explicit" || s.CaptureWhy != "it is a test" || s.Services != 1 ||
		s.TrustDomain != "cluster.local" || s.PID != os.Getpid() || s.Held != "" || s.AccessLog.On || !slices.Equal(s.Manifests, []string{"/mesh"}) {
		t.Errorf("status %+v", s)
	}
	p := s.Pods[0]
	if p.Namespace != "shop" || p.Name != "api-abc-1" || p.Owner == nil || p.Owner.Kind != "Deployment" || p.ServiceAccount != "api" || !p.Sidecar ||
		!p.Ready || p.Phase != "Running" || p.Containers != 1 {
		t.Errorf("pod %+v", p)
	}
	if s.Sync.InForce != 0 || s.Sync.Total != 1 {
		t.Errorf("no sidecar is connected, and coverage is %+v", s.Sync)
	}
	if len(s.CA.Authorities) != 1 || s.CA.Authorities[0].Slot != "active" {
		t.Errorf("authorities %+v", s.CA)
	}
	for _, socket := range []string{r.opt.API, r.opt.XDS} {
		if st, err := os.Stat(socket); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", socket, st.Mode(), err)
		}
	}
}

// TestManifests: who asks can make the very snapshot that is in force.
func TestManifests(t *testing.T) {
	r := start(t, nil)
	m, err := r.client.Manifests(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var files []manifest.File
	for _, f := range m.Files {
		files = append(files, manifest.File(f))
	}
	snap, _ := manifest.Load(files, manifest.Options{})
	r.engine.mu.Lock()
	want := snap.WithRunning(r.engine.running).Version
	r.engine.mu.Unlock()
	if m.Snapshot != want || m.Dialect != "current" || len(m.Running.Pods) != 1 || len(files) != 2 {
		t.Errorf("manifests of %s, want %s: %+v", m.Snapshot, want, m.Running)
	}
}

func TestChange(t *testing.T) {
	r := start(t, nil)
	before := r.status().Snapshot
	r.source.set("/mesh/policy.yaml", policy("STRICT"))
	r.look <- struct{}{}
	r.until("new snapshot", func() bool { return r.status().Snapshot != before })
	after := r.status().Snapshot
	if a := r.reload(); a.Snapshot != after || a.Held != "" {
		t.Errorf("reload %+v, in force is %s", a, after)
	}
	applied := r.engine.times()
	r.source.set("/mesh/policy.yaml", policy("PERMISSIVE"))
	if a := r.reload(); a.Snapshot != before {
		t.Errorf("the same manifests make %s, before %s", a.Snapshot, before)
	}
	// That was for sidecars. The engine hears of what runs, of all of it at once.
	r.source.set("/mesh/more.yaml", strings.ReplaceAll(shop, "shop", "more"))
	r.reload()
	r.until("second Apply", func() bool { return r.engine.times() > applied })
	if n := r.engine.times(); n != applied+1 {
		t.Errorf("the engine was told %d times, want 1", n-applied)
	}
}

// TestRunsAlike: an engine need not hear of policies and rules, and must hear of all else.
func TestRunsAlike(t *testing.T) {
	load := func(more string) *mesh.Snapshot {
		snap, _ := manifest.Load([]manifest.File{{Name: "a", Data: []byte(shop)}, {Name: "b", Data: []byte(more)}}, manifest.Options{})
		return snap
	}
	base := load(policy("STRICT"))
	for _, c := range []struct {
		name, more string
		want       bool
	}{
		{"the same", policy("STRICT"), true},
		{"a policy", policy("PERMISSIVE"), true},
		{"a rule", policy("STRICT") + "\n---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: a, namespace: shop}\nspec: {host: cart}\n", true},
		{"a service", policy("STRICT") + "\n---\napiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: shop}\nspec: {ports: [{port: 1}]}\n", false},
		{"a config map", policy("STRICT") + "\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: shop}\ndata: {a: b}\n", false},
		{"a gateway", policy("STRICT") + "\n---\napiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: a, namespace: shop}\nspec: {selector: {a: b}, servers: [{port: {number: 80, protocol: HTTP, name: h}, hosts: ['*']}]}\n", false},
	} {
		if got := runsAlike(base, load(c.more)); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	if runsAlike(nil, base) {
		t.Error("an engine that was told nothing runs nothing")
	}
}

// TestHeld: a broken manifest leaves everything in force, is told, and is over when it is mended.
func TestHeld(t *testing.T) {
	r := start(t, nil)
	before := r.status().Snapshot
	for _, broken := range []struct{ content, why string }{
		{"kind: [", "policy.yaml"}, {policy("STRIKT"), "STRIKT"},
	} {
		r.source.set("/mesh/policy.yaml", broken.content)
		a := r.reload()
		if a.Snapshot != before || !strings.Contains(a.Held, broken.why) || len(a.Problems) == 0 {
			t.Errorf("%q: %+v", broken.content, a)
		}
		if s := r.status(); s.Held != a.Held || s.Snapshot != before || len(s.Problems) == 0 || s.Problems[0].Severity != "error" {
			t.Errorf("%q: status %+v", broken.content, s.Problems)
		}
	}
	r.source.mu.Lock()
	r.source.err = errors.New("read /mesh: input/output error")
	r.source.mu.Unlock()
	if a := r.reload(); a.Held != "read /mesh: input/output error" || a.Snapshot != before {
		t.Errorf("unreadable: %+v", a)
	}
	r.source.mu.Lock()
	all := r.source.files
	r.source.err, r.source.files = nil, map[string]string{}
	r.source.mu.Unlock()
	if a := r.reload(); a.Held == "" || a.Snapshot != before {
		t.Errorf("empty: %+v", a)
	}
	r.source.mu.Lock()
	r.source.files = all
	r.source.mu.Unlock()
	r.source.set("/mesh/policy.yaml", policy("STRICT"))
	if a := r.reload(); a.Held != "" || a.Snapshot == before {
		t.Errorf("mended: %+v", a)
	}
	r.source.set("/mesh/mesh.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata: {mesh: 'trustDomain: other.example'}\n")
	if a := r.reload(); !strings.Contains(a.Held, "trust domain") {
		t.Errorf("trust domain: %+v", a)
	}
}

// TestKnownError: an error that was there at the start does not stop everything after it.
func TestKnownError(t *testing.T) {
	r := start(t, func(o *Options) { o.Source.(*text).set("/mesh/old.yaml", "kind: [") })
	before := r.status()
	if before.Held != "" || len(before.Problems) == 0 {
		t.Fatalf("held %q, problems %v", before.Held, before.Problems)
	}
	r.source.set("/mesh/policy.yaml", policy("STRICT"))
	if a := r.reload(); a.Held != "" || a.Snapshot == before.Snapshot {
		t.Errorf("reload %+v", a)
	}
}

// TestRestart: a plane that comes back has the same authority, tokens that were issued before are good, and broken
// manifests do not undo what was in force.
func TestRestart(t *testing.T) {
	r := start(t, nil)
	r.source.set("/mesh/policy.yaml", policy("STRICT"))
	before := r.reload()
	r.until("kept manifests", func() bool {
		text, err := os.ReadFile(filepath.Join(r.opt.State, takenFile))
		var kept takenJSON
		return err == nil && json.Unmarshal(text, &kept) == nil && strings.Contains(string(kept.Files[0].Data), "STRICT")
	})
	authority := r.status().CA.Authorities[0].Fingerprint
	r.engine.mu.Lock()
	token := r.engine.tokens[mesh.Ref{Kind: mesh.KindPod, Namespace: "shop", Name: "api-abc-1"}]
	r.engine.mu.Unlock()
	r.stop()
	r.source.set("/mesh/policy.yaml", "kind: [")
	r.run()
	s := r.status()
	if s.CA.Authorities[0].Fingerprint != authority || s.Snapshot != before.Snapshot || s.Held == "" {
		t.Errorf("authority %s, before %s; snapshot %s, before %s; held %q", s.CA.Authorities[0].Fingerprint, authority, s.Snapshot, before.Snapshot, s.Held)
	}
	if _, err := r.issue(token); err != nil {
		t.Errorf("the token of before: %v", err)
	}
	if st, err := os.Stat(filepath.Join(r.opt.State, takenFile)); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", st, err)
	}
}

// issue asks the certificate service, as a sidecar does.
func (r *rig) issue(token string) ([]string, error) {
	r.Helper()
	r.engine.mu.Lock()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(r.engine.roots)
	r.engine.mu.Unlock()
	conn, err := grpc.NewClient("unix:"+r.opt.XDS, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: roots, ServerName: ServerName})))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return nil, err
	}
	ctx := metadata.AppendToOutgoingContext(r.Context(), "authorization", "Bearer "+token)
	answer, err := pb.NewIstioCertificateServiceClient(conn).CreateCertificate(ctx, &pb.IstioCertificateRequest{
		Csr: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr}))})
	if err != nil {
		return nil, err
	}
	return answer.CertChain, nil
}

// TestCertificates: the pods of the engine, and nobody else, get an SVID.
func TestCertificates(t *testing.T) {
	r := start(t, func(o *Options) { o.TTL = time.Hour })
	r.engine.mu.Lock()
	token := r.engine.tokens[mesh.Ref{Kind: mesh.KindPod, Namespace: "shop", Name: "api-abc-1"}]
	r.engine.mu.Unlock()
	chain, err := r.issue(token)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode([]byte(chain[0]))
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil || len(leaf.URIs) != 1 || leaf.URIs[0].String() != "spiffe://cluster.local/ns/shop/sa/api" {
		t.Errorf("SVID %v: %v", leaf.URIs, err)
	}
	if left := time.Until(leaf.NotAfter); left > time.Hour || left < 50*time.Minute {
		t.Errorf("SVID lives for %v more", left)
	}
	if _, err := r.issue(token + "x"); err == nil {
		t.Error("a forged token got an SVID")
	}
}

// TestTokensAreRenewed: the engine is asked again when it needs new tokens, and when it could not take the last.
func TestTokensAreRenewed(t *testing.T) {
	r := start(t, nil)
	r.until("first Apply", func() bool { return r.engine.times() == 1 })
	r.engine.mu.Lock()
	r.engine.renew = time.Now().Add(-time.Second)
	r.engine.refuse = errors.New("not now")
	r.engine.mu.Unlock()
	r.source.set("/mesh/policy.yaml", policy("STRICT"))
	r.reload()
	r.until("Apply that is refused", func() bool {
		r.engine.mu.Lock()
		defer r.engine.mu.Unlock()
		return r.engine.refused > 0
	})
	r.engine.mu.Lock()
	r.engine.refuse = nil
	r.engine.mu.Unlock()
	r.until("second Apply", func() bool { return r.engine.times() >= 2 })
	r.engine.mu.Lock()
	r.engine.renew = time.Now().Add(time.Hour)
	r.engine.mu.Unlock()
}

// TestRotation through the API: the engine gets the roots of both authorities.
func TestRotation(t *testing.T) {
	r := start(t, nil)
	if _, err := r.client.Rotate(t.Context(), api.Rotate{Step: "activate"}); err == nil || !strings.Contains(err.Error(), "none is prepared") {
		t.Errorf("activate: %v", err)
	}
	c, err := r.client.Rotate(t.Context(), api.Rotate{Step: "prepare"})
	if err != nil || len(c.Authorities) != 2 {
		t.Fatalf("prepare: %+v %v", c, err)
	}
	r.until("bundle of two", func() bool {
		r.engine.mu.Lock()
		defer r.engine.mu.Unlock()
		return strings.Count(string(r.engine.roots), "BEGIN CERTIFICATE") == 2
	})
	for _, step := range []string{"activate", "retire"} {
		if c, err = r.client.Rotate(t.Context(), api.Rotate{Step: step, Force: true}); err != nil {
			t.Fatalf("%s: %v", step, err)
		}
	}
	if len(c.Authorities) != 1 {
		t.Errorf("authorities %+v", c.Authorities)
	}
	r.engine.mu.Lock()
	token := r.engine.tokens[mesh.Ref{Kind: mesh.KindPod, Namespace: "shop", Name: "api-abc-1"}]
	r.engine.mu.Unlock()
	r.until("server certificate of the new authority", func() bool { _, err := r.issue(token); return err == nil })
}

// TestRotationWhileTheEngineIsTold of something else: it gets the new roots after that.
func TestRotationWhileTheEngineIsTold(t *testing.T) {
	r := start(t, nil)
	r.until("first Apply", func() bool { return r.engine.times() == 1 })
	r.engine.mu.Lock()
	r.engine.renew = time.Now().Add(-time.Second)
	r.engine.during = func() {
		r.engine.during, r.engine.renew = nil, time.Now().Add(time.Hour)
		if _, err := r.client.Rotate(t.Context(), api.Rotate{Step: "prepare"}); err != nil {
			t.Error(err)
		}
	}
	r.engine.mu.Unlock()
	r.source.set("/mesh/policy.yaml", policy("STRICT"))
	r.reload()
	r.until("bundle of two", func() bool {
		r.engine.mu.Lock()
		defer r.engine.mu.Unlock()
		return strings.Count(string(r.engine.roots), "BEGIN CERTIFICATE") == 2
	})
}

func TestSync(t *testing.T) {
	r := start(t, nil)
	v := r.status().Snapshot
	s, err := r.client.Sync(t.Context(), v, 50*time.Millisecond)
	if err != nil || s.InForce != 0 || s.Total != 1 || len(s.Missing) != 1 || s.Missing[0] != "api-abc-1.shop: its sidecar is not connected" {
		t.Errorf("sync %+v %v", s, err)
	}
	if _, err := r.client.Sync(t.Context(), "nothing", 0); err == nil || !strings.Contains(err.Error(), "never published") {
		t.Errorf("unknown snapshot: %v", err)
	}
	if _, err := r.client.Sync(t.Context(), v, time.Hour); err == nil {
		t.Error("an hour was taken for a bound")
	}
}

// TestSecond: two planes cannot have one socket, and what a dead one left does no harm.
func TestSecond(t *testing.T) {
	r := start(t, nil)
	plane, err := New(t.Context(), r.opt)
	if err != nil {
		t.Fatal(err)
	}
	if err := plane.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "another control plane answers there") {
		t.Errorf("second: %v", err)
	}
	r.status()
	r.stop()
	if err := os.WriteFile(r.opt.API, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r.run()
}

func TestVersions(t *testing.T) {
	var v versions
	at := time.Unix(1, 0)
	for i := range 3 * versionsKept {
		v.add("v"+time.Duration(i).String(), at)
		v.add("same", at)
	}
	if len(v.order) > versionsKept+1 || v.order["same"] != v.next {
		t.Errorf("%d versions are kept, the newest is %d of %d", len(v.order), v.order["same"], v.next)
	}
}
