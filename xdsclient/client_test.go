package xdsclient

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	cachev3 "github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	serverv3 "github.com/envoyproxy/go-control-plane/pkg/server/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/oarlock/oarlock/proxy"
)

// plane is a control plane of go-control-plane's with one node.
type plane struct {
	t     *testing.T
	cache cachev3.SnapshotCache
	stop  func()

	mu      sync.Mutex
	refused []string
	tokens  []string
}

const testNode = "sidecar~127.0.0.1~web.app~app.svc.cluster.local"

// serve starts the plane at an address; stop ends it.
func (p *plane) serve(address string) string {
	p.t.Helper()
	network := "tcp"
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		network, address = "unix", path
	}
	listener, err := net.Listen(network, address)
	if err != nil {
		p.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	server := grpc.NewServer()
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(server, serverv3.NewServer(ctx, p.cache, p.callbacks()))
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener)
	}()
	p.stop = sync.OnceFunc(func() {
		server.Stop()
		cancel()
		<-done
	})
	p.t.Cleanup(p.stop)
	return listener.Addr().String()
}

// callbacks note what is refused, and with which token it was asked.
func (p *plane) callbacks() serverv3.CallbackFuncs {
	note := func(ctx context.Context) {
		md, _ := metadata.FromIncomingContext(ctx)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.tokens = append(p.tokens, strings.Join(md.Get("authorization"), ",")+"@"+strings.Join(md.Get("clusterid"), ","))
	}
	refuse := func(message string) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.refused = append(p.refused, message)
	}
	return serverv3.CallbackFuncs{
		StreamOpenFunc:      func(ctx context.Context, _ int64, _ string) error { note(ctx); return nil },
		DeltaStreamOpenFunc: func(ctx context.Context, _ int64, _ string) error { note(ctx); return nil },
		StreamRequestFunc: func(_ int64, r *discoveryv3.DiscoveryRequest) error {
			if r.ErrorDetail != nil {
				refuse(r.ErrorDetail.Message)
			}
			return nil
		},
		StreamDeltaRequestFunc: func(_ int64, r *discoveryv3.DeltaDiscoveryRequest) error {
			if r.ErrorDetail != nil {
				refuse(r.ErrorDetail.Message)
			}
			return nil
		},
	}
}

func (p *plane) lastRefused() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.refused) == 0 {
		return ""
	}
	return p.refused[len(p.refused)-1]
}

// world is what the plane serves.
type world struct {
	clusters  map[string]*clusterv3.Cluster
	endpoints map[string]*endpointv3.ClusterLoadAssignment
	listeners map[string]*listenerv3.Listener
	routes    map[string]*routev3.RouteConfiguration
}

// recordedWorld is a scenario of istiod's.
func recordedWorld(t *testing.T, scenario string) *world {
	w := &world{
		map[string]*clusterv3.Cluster{}, map[string]*endpointv3.ClusterLoadAssignment{},
		map[string]*listenerv3.Listener{}, map[string]*routev3.RouteConfiguration{},
	}
	responses := recorded(t, scenario)
	read := func(k kind, m proto.Message, keep func()) {
		for _, raw := range responses[k].Resources {
			if err := decode(raw, m); err != nil {
				t.Fatal(err)
			}
			keep()
		}
	}
	var c clusterv3.Cluster
	read(kindCluster, &c, func() { w.clusters[c.Name] = proto.CloneOf(&c) })
	var e endpointv3.ClusterLoadAssignment
	read(kindEndpoints, &e, func() { w.endpoints[e.ClusterName] = proto.CloneOf(&e) })
	var l listenerv3.Listener
	read(kindListener, &l, func() { w.listeners[l.Name] = proto.CloneOf(&l) })
	var r routev3.RouteConfiguration
	read(kindRoutes, &r, func() { w.routes[r.Name] = proto.CloneOf(&r) })
	return w
}

func list[M types.Resource](m map[string]M) []types.Resource {
	var out []types.Resource
	for _, r := range m {
		out = append(out, proto.Clone(r))
	}
	return out
}

// set publishes the world.
func (p *plane) set(version string, w *world) {
	p.t.Helper()
	snapshot, err := cachev3.NewSnapshot(version, map[string][]types.Resource{
		ClusterType: list(w.clusters), EndpointsType: list(w.endpoints), ListenerType: list(w.listeners), RoutesType: list(w.routes),
	})
	if err == nil {
		err = p.cache.SetSnapshot(context.Background(), testNode, snapshot)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

// sink takes configurations.
type sink struct {
	mu      sync.Mutex
	configs []*proxy.Config
	err     error
}

func (s *sink) apply(c *proxy.Config) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.configs = append(s.configs, c)
	}
	return s.err
}

func (s *sink) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *sink) last() (*proxy.Config, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.configs) == 0 {
		return &proxy.Config{}, 0
	}
	return s.configs[len(s.configs)-1], len(s.configs)
}

// eventually waits for something to become true.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("it never came to this: %s", what)
}

// start runs a client until the test ends, and checks that it leaves no goroutine behind.
func start(t *testing.T, o Options) *Client {
	t.Helper()
	before := runtime.NumGoroutine()
	o.Node = Node{ID: testNode, Cluster: "web.app", Metadata: map[string]any{"NAMESPACE": "app"}}
	o.MaxBackoff = 100 * time.Millisecond
	if o.AccessLog == nil {
		o.AccessLog = testLogs
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= before })
	})
	return c
}

// both runs a test in either protocol.
func both(t *testing.T, test func(t *testing.T, delta bool)) {
	for _, delta := range []bool{false, true} {
		t.Run(fmt.Sprintf("delta=%v", delta), func(t *testing.T) { test(t, delta) })
	}
}

func newPlane(t *testing.T) *plane {
	return &plane{t: t, cache: cachev3.NewSnapshotCache(true, cachev3.IDHash{}, nil)}
}

func text(c *proxy.Config) string {
	var out strings.Builder
	summarize(&out, c)
	return out.String()
}

func TestFollow(t *testing.T) {
	both(t, func(t *testing.T, delta bool) {
		p, s, w := newPlane(t), &sink{}, recordedWorld(t, "permissive")
		p.set("1", w)
		c := start(t, Options{Target: p.serve("127.0.0.1:0"), Delta: delta, Apply: s.apply})
		eventually(t, "a configuration", func() bool { _, n := s.last(); return n == 1 })
		first, _ := s.last()
		want, err := os.ReadFile("testdata/istiod/permissive/config.txt")
		if err != nil {
			t.Fatal(err)
		}
		if got := text(first); !strings.HasPrefix(string(want), got) || len(got) < 20_000 {
			t.Errorf("%d bytes that are not as recorded:\n%s", len(got), got)
		}

		const changed = "outbound|80||web.app.svc.cluster.local"
		w.endpoints[changed] = &endpointv3.ClusterLoadAssignment{ClusterName: changed}
		p.set("2", w)
		var second *proxy.Config
		eventually(t, "an empty cluster", func() bool {
			second, _ = s.last()
			i := slices.IndexFunc(second.Clusters, func(c *proxy.Cluster) bool { return c.Name == changed })
			return len(second.Clusters[i].Endpoints) == 0
		})
		for i, old := range first.Clusters {
			if now := second.Clusters[i]; (old != now) != (old.Name == changed) {
				t.Errorf("cluster %s: same pointer %v", old.Name, old == now)
			}
		}
		for i, old := range first.Listeners {
			if old != second.Listeners[i] {
				t.Errorf("listener %s is not the same pointer", old.Name)
			}
		}
		if second.Version != "2" {
			t.Errorf("version %q", second.Version)
		}
		eventually(t, "acknowledged", func() bool { return c.Status().Acknowledged >= 5 })
		versions := "2222"
		if delta {
			versions = "1211" // of the others nothing changed, so nothing was sent
		}
		eventually(t, "versions "+versions, func() bool {
			v := c.Versions()
			return len(v) == int(kinds) && v[ClusterType]+v[EndpointsType]+v[ListenerType]+v[RoutesType] == versions
		})
		if st := c.Status(); !st.Connected || !st.Applied || st.Refused != 0 || st.Err != nil {
			t.Errorf("status %+v", st)
		}
	})
}

func TestRefusedKeepsTheOld(t *testing.T) {
	both(t, func(t *testing.T, delta bool) {
		p, s, w := newPlane(t), &sink{}, recordedWorld(t, "permissive")
		p.set("1", w)
		c := start(t, Options{Target: p.serve("127.0.0.1:0"), Delta: delta, Apply: s.apply})
		eventually(t, "a configuration", func() bool { _, n := s.last(); return n == 1 })

		good := w.routes["80"].VirtualHosts[0].RequireTls
		w.routes["80"].VirtualHosts[0].RequireTls = routev3.VirtualHost_EXTERNAL_ONLY
		w.routes["9080"].VirtualHosts[0].Routes[0].Name = "renamed"
		p.set("2", w)
		eventually(t, "a NACK", func() bool { return p.lastRefused() != "" })
		want := `translate routes "80": virtual host "api.example.com:80": require_tls: EXTERNAL_ONLY is not supported`
		if got := p.lastRefused(); got != want {
			t.Errorf("NACK says %q", got)
		}
		eventually(t, "a refusal that is counted", func() bool { return c.Status().Refused > 0 })
		time.Sleep(300 * time.Millisecond)
		if n := c.Status().Refused; n != 1 {
			t.Errorf("%d refusals of one response", n)
		}
		dump := c.Dump()
		if r := dump.Types[kindRoutes]; r.Refused != want || r.Version != "1" {
			t.Errorf("dump: refused %q, version %q", r.Refused, r.Version)
		}
		if config, _ := s.last(); strings.Contains(text(config), "renamed") {
			t.Error("half of a refused response is in force")
		}

		w.routes["80"].VirtualHosts[0].RequireTls = good
		p.set("3", w)
		eventually(t, "all of it", func() bool { config, _ := s.last(); return strings.Contains(text(config), "renamed") })
		eventually(t, "no more refusal", func() bool { return c.Dump().Types[kindRoutes].Refused == "" })
	})
}

func TestControlPlaneAway(t *testing.T) {
	both(t, func(t *testing.T, delta bool) {
		p, s, w := newPlane(t), &sink{}, recordedWorld(t, "strict")
		p.set("1", w)
		address := "unix:" + filepath.Join(t.TempDir(), "xds") // nobody else takes it meanwhile
		p.serve(address)
		c := start(t, Options{Target: address, Delta: delta, Apply: s.apply})
		eventually(t, "a configuration", func() bool { _, n := s.last(); return n == 1 })
		before, _ := s.last()
		p.stop()
		eventually(t, "a lost stream", func() bool { return !c.Status().Connected })
		if n := len(c.Dump().Types[kindCluster].Resources); n != len(before.Clusters) {
			t.Errorf("%d clusters are left in the dump", n)
		}

		p.cache = cachev3.NewSnapshotCache(true, cachev3.IDHash{}, nil)
		p.set("1", w)
		p.serve(address)
		eventually(t, "a stream", func() bool { return c.Status().Connected })
		time.Sleep(100 * time.Millisecond)
		if now, _ := s.last(); text(now) != text(before) {
			t.Error("the configuration changed, the server's did not")
		}
		delete(w.clusters, "outbound|5432||store.example.com")
		delete(w.endpoints, "outbound|5432||store.example.com")
		p.set("2", w)
		eventually(t, "a removal", func() bool { now, _ := s.last(); return len(now.Clusters) == len(before.Clusters)-1 })
		eventually(t, "a dump without it", func() bool {
			d := c.Dump()
			return len(d.Types[kindCluster].Resources) == len(before.Clusters)-1 &&
				len(d.Types[kindEndpoints].Resources) == len(w.endpoints)
		})
	})
}

func TestSinkRefuses(t *testing.T) {
	both(t, func(t *testing.T, delta bool) {
		p, s, w := newPlane(t), &sink{}, recordedWorld(t, "permissive")
		s.fail(errors.New("port 15006 is taken"))
		p.set("1", w)
		c := start(t, Options{Target: p.serve("127.0.0.1:0"), Delta: delta, Apply: s.apply})
		eventually(t, "a NACK", func() bool { return p.lastRefused() == "apply configuration: port 15006 is taken" })
		eventually(t, "a status that says so", func() bool { st := c.Status(); return !st.Applied && st.Err != nil })
		s.fail(nil)
		eventually(t, "another attempt", func() bool { return c.Status().Applied })
		if config, _ := s.last(); len(config.Clusters) != len(w.clusters) {
			t.Errorf("%d clusters", len(config.Clusters))
		}
	})
}

func TestTokenIsReadAnew(t *testing.T) {
	dir := t.TempDir()
	token, socket := filepath.Join(dir, "token"), "unix:"+filepath.Join(dir, "xds")
	write := func(s string) {
		if err := os.WriteFile(token, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("first\n")
	p, s := newPlane(t), &sink{}
	p.set("1", recordedWorld(t, "gateway"))
	p.serve(socket)
	start(t, Options{Target: socket, TokenFile: token, Headers: map[string]string{"ClusterID": "here"}, Apply: s.apply})
	eventually(t, "a configuration", func() bool { _, n := s.last(); return n == 1 })
	write("second\n")
	p.stop()
	p.serve(socket)
	eventually(t, "the new token", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.tokens) > 1 && p.tokens[0] == "Bearer first@here" && p.tokens[len(p.tokens)-1] == "Bearer second@here"
	})
}

func TestOptions(t *testing.T) {
	apply := func(*proxy.Config) error { return nil }
	for want, o := range map[string]Options{
		"no target":            {Apply: apply},
		"nothing to apply":     {Target: "127.0.0.1:1"},
		"TLS or a unix socket": {Target: "127.0.0.1:1", Apply: apply, TokenFile: "t"},
		"node metadata":        {Target: "127.0.0.1:1", Apply: apply, Node: Node{Metadata: map[string]any{"a": struct{}{}}}},
	} {
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
