package sidecar

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oarlock/oarlock/bootstrap"
	"github.com/oarlock/oarlock/meshtest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/anypb"
)

// adsServer is a control plane that says what a test tells it, to whoever asks: the state of the world, a response for each
// type that is asked for. The types of Envoy's messages are those that the sidecar links.
type adsServer struct {
	t       testing.TB
	address string
	server  *grpc.Server

	mu       sync.Mutex // guards what follows
	version  int
	byType   map[string][]json.RawMessage
	changed  chan struct{}
	requests []map[string]any // as JSON
	tokens   []string
	peers    []string // SPIFFE ids
}

func newADS(t testing.TB, authority *meshtest.CA) *adsServer {
	t.Helper()
	c := authority.ServerTLS()
	c.ClientAuth = tls.RequestClientCert
	a := &adsServer{t: t, changed: make(chan struct{}), byType: map[string][]json.RawMessage{}}
	a.server = grpc.NewServer(grpc.Creds(credentials.NewTLS(c)))
	a.server.RegisterService(&grpc.ServiceDesc{ServiceName: "envoy.service.discovery.v3.AggregatedDiscoveryService", HandlerType: (*any)(nil),
		Streams: []grpc.StreamDesc{{StreamName: "StreamAggregatedResources", ServerStreams: true, ClientStreams: true,
			Handler: func(_ any, s grpc.ServerStream) error { return a.stream(s) }}}}, a)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a.address = l.Addr().String()
	done := make(chan error, 1)
	go func() { done <- a.server.Serve(l) }()
	t.Cleanup(func() {
		a.server.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return a
}

// say replaces what the control plane says by the static resources of a bootstrap file.
func (a *adsServer) say(static json.RawMessage) {
	var file struct{ Listeners, Clusters []json.RawMessage }
	if err := json.Unmarshal(static, &file); err != nil {
		a.t.Fatal(err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.version++
	a.byType["type.googleapis.com/envoy.config.listener.v3.Listener"] = file.Listeners
	a.byType["type.googleapis.com/envoy.config.cluster.v3.Cluster"] = file.Clusters
	close(a.changed)
	a.changed = make(chan struct{})
}

func message(t testing.TB, name string) proto.Message {
	typ, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName(name))
	if err != nil {
		t.Fatal(err)
	}
	return typ.New().Interface()
}

func (a *adsServer) stream(s grpc.ServerStream) error {
	md, _ := metadata.FromIncomingContext(s.Context())
	p, _ := peer.FromContext(s.Context())
	a.mu.Lock()
	a.tokens = append(a.tokens, strings.Join(md.Get("authorization"), ","))
	if info, ok := p.AuthInfo.(credentials.TLSInfo); ok && len(info.State.PeerCertificates) > 0 {
		a.peers = append(a.peers, info.State.PeerCertificates[0].URIs[0].String())
	}
	a.mu.Unlock()
	asked := make(chan string, 16)
	go func() {
		defer close(asked)
		for {
			m := message(a.t, "envoy.service.discovery.v3.DiscoveryRequest")
			if s.RecvMsg(m) != nil {
				return
			}
			b, _ := protojson.Marshal(m)
			var q map[string]any
			_ = json.Unmarshal(b, &q)
			a.mu.Lock()
			a.requests = append(a.requests, q)
			a.mu.Unlock()
			if q["responseNonce"] == nil {
				asked <- q["typeUrl"].(string)
			}
		}
	}()
	types := map[string]bool{}
	for {
		a.mu.Lock()
		changed := a.changed
		a.mu.Unlock()
		var send []string
		select {
		case url, ok := <-asked:
			if !ok {
				return nil
			}
			types[url] = true
			send = []string{url}
		case <-changed:
			for url := range types {
				send = append(send, url)
			}
		}
		for _, url := range send {
			if err := s.SendMsg(a.response(url)); err != nil {
				return err
			}
		}
	}
}

func (a *adsServer) response(url string) proto.Message {
	a.mu.Lock()
	defer a.mu.Unlock()
	m := message(a.t, "envoy.service.discovery.v3.DiscoveryResponse")
	text := fmt.Sprintf(`{"versionInfo": "%d", "typeUrl": %q, "nonce": "%d-%s"}`, a.version, url, a.version, url)
	if err := protojson.Unmarshal([]byte(text), m); err != nil {
		a.t.Error(err)
	}
	r := m.ProtoReflect()
	list := r.Mutable(r.Descriptor().Fields().ByName("resources")).List()
	for _, one := range a.byType[url] {
		resource := message(a.t, strings.TrimPrefix(url, "type.googleapis.com/"))
		if err := protojson.Unmarshal(one, resource); err != nil {
			a.t.Error(err)
		}
		packed, err := anypb.New(resource)
		if err != nil {
			a.t.Error(err)
		}
		list.Append(protoreflect.ValueOfMessage(packed.ProtoReflect()))
	}
	return m
}

func (a *adsServer) seen() (requests []map[string]any, tokens, peers []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.requests, a.tokens, a.peers
}

// TestControlPlane runs the client of the documented pair with its configuration from a control plane: it waits for it, is
// ready with it, refuses a broken one and keeps the old, and goes on without it.
func TestControlPlane(t *testing.T) {
	meshtest.NoLeaks(t)
	authority, folder := web(t)
	p := &pair{}
	app := echoHTTP(t)
	client, server, from, _ := files(t, folder, app, asIs)
	p.server = start(t, server)
	static := client.Static
	ads := newADS(t, authority)
	client.Static = nil
	client.Node.ClusterID = "Kubernetes"
	client.XDS = &bootstrap.XDS{Address: ads.address, ServerName: meshtest.CAServerName, RootsFile: authority.RootsFile,
		TokenFile: authority.TokenFile("shop", "web", "web-1"), MTLS: true}
	p.client = launch(t, client)

	ads.say(json.RawMessage(`{}`))
	eventually(t, "asked", func() bool { _, tokens, _ := ads.seen(); return len(tokens) > 0 })
	ads.say(static)
	url := fmt.Sprintf("http://127.0.0.1:%d/", from)
	eventually(t, "through", func() bool { status, _ := fetch(t, url); return status == 200 })
	requests, tokens, peers := ads.seen()
	if !strings.HasPrefix(tokens[0], "Bearer ey") || peers[0] != "spiffe://cluster.local/ns/shop/sa/web" {
		t.Errorf("the control plane knows it by token %.20q and certificate %q", tokens[0], peers)
	}
	node, _ := json.Marshal(requests[0]["node"])
	for _, want := range []string{`"id":"sidecar~127.0.0.1~web-1.shop~shop.svc.cluster.local"`, `"cluster":"web.shop"`, `"NAMESPACE":"shop"`, `"SERVICE_ACCOUNT":"web"`} {
		if !strings.Contains(string(node), want) {
			t.Errorf("node has no %s: %s", want, node)
		}
	}
	p.client.want("/ready", "LIVE")
	p.client.want("/config_dump", `"dynamic_listeners"`, `"dynamic_active_clusters"`, `"@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster"`, `"connect_timeout": "5s"`)
	wantSeries(t, p.client, "1", "oarlock_xds_version_info", `type="cds"`)
	p.client.want("/ignored", "{")

	ads.say(json.RawMessage(strings.Replace(string(static), `"type": "STATIC"`, `"type": "STATIC", "filters": [{"name": "x"}]`, 1)))
	eventually(t, "refused", func() bool {
		_, body := p.client.get("/stats/prometheus")
		return strings.Contains(body, "oarlock_xds_nacks_total 1")
	})
	if status, _ := fetch(t, url); status != 200 {
		t.Errorf("after a broken configuration: %d", status)
	}
	p.client.want("/stats", "cluster.api.upstream_cx_total: ", "listener.127.0.0.1_")
	ads.say(json.RawMessage(`{}`))
	eventually(t, "forgotten", func() bool { _, body := p.client.get("/stats"); return !strings.Contains(body, "cluster.api.") })
	ads.say(static)
	eventually(t, "through again", func() bool { status, _ := fetch(t, url); return status == 200 })
	ads.server.Stop()
	eventually(t, "alone", func() bool {
		_, body := p.client.get("/stats/prometheus")
		return strings.Contains(body, "oarlock_xds_connected 0")
	})
	if status, _ := fetch(t, url); status != 200 {
		t.Errorf("without a control plane: %d", status)
	}
	p.client.want("/ready", "LIVE")
}

// echoHTTP gives the address of a server that answers "hello".
func echoHTTP(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") })}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(l) }()
	t.Cleanup(func() { server.Close(); <-done })
	return l.Addr().String()
}

// TestControlPlaneIsVerified holds that a sidecar asks nobody whom the roots do not vouch for, or who has another name, and
// says so.
func TestControlPlaneIsVerified(t *testing.T) {
	meshtest.NoLeaks(t)
	authority, other := meshtest.NewCA(t, nil, 0), meshtest.NewCA(t, nil, 0)
	ads := newADS(t, authority)
	for want, x := range map[string]*bootstrap.XDS{
		"unknown authority": {Address: ads.address, ServerName: meshtest.CAServerName, RootsFile: other.RootsFile},
		"not somebody.else": {Address: ads.address, ServerName: "somebody.else", RootsFile: authority.RootsFile},
		"refused":           {Address: fmt.Sprintf("127.0.0.1:%d", meshtest.Port(t)), ServerName: meshtest.CAServerName, RootsFile: authority.RootsFile},
	} {
		r := launch(t, &bootstrap.File{Node: node("web"), XDS: x})
		eventually(t, want, func() bool {
			status, body := r.get("/ready")
			return status == http.StatusServiceUnavailable && strings.Contains(body, want)
		})
		if err := r.stop(); err != nil {
			t.Error(err)
		}
	}
	if _, tokens, _ := ads.seen(); len(tokens) > 0 {
		t.Errorf("streams were opened: %q", tokens)
	}
}

func TestControlPlaneMisconfiguration(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for want, x := range map[string]*bootstrap.XDS{
		"server name is needed": {Address: "unix:/run/x", RootsFile: empty},
		"xds.rootsFile":         {Address: "127.0.0.1:1", RootsFile: empty + "not"},
		"neither rootsFile nor": {Address: "127.0.0.1:1"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		err := Run(ctx, &bootstrap.File{Node: node("web"), XDS: x}, Options{})
		cancel()
		if !errors.As(err, new(*ConfigError)) || !strings.Contains(err.Error(), want) {
			t.Errorf("want a ConfigError with %q, got %v", want, err)
		}
	}
	s := &sidecar{}
	if _, err := s.controlPlaneRoots(empty); err == nil || !strings.Contains(err.Error(), "there is no certificate in it") {
		t.Errorf("empty roots: %v", err)
	}
}

func TestToJSON(t *testing.T) {
	inner := &anypb.Any{TypeUrl: "type.googleapis.com/of.somebody.Else", Value: []byte{8, 1}}
	m := message(t, "envoy.config.listener.v3.Listener")
	if err := protojson.Unmarshal([]byte(`{"name": "a", "listener_filters": [{"name": "x", "typed_config": {"@type": "type.googleapis.com/google.protobuf.Empty", "value": {}}}]}`), m); err != nil {
		t.Fatal(err)
	}
	r := m.ProtoReflect()
	filter := r.Get(r.Descriptor().Fields().ByName("listener_filters")).List().Get(0).Message()
	filter.Set(filter.Descriptor().Fields().ByName("typed_config"), protoreflect.ValueOfMessage(inner.ProtoReflect()))
	raw, err := anypb.New(m)
	if err != nil {
		t.Fatal(err)
	}
	got := string(typed(toJSON(raw), "envoy.config.listener.v3.Listener"))
	for _, want := range []string{`{"@type":"type.googleapis.com/envoy.config.listener.v3.Listener",`, `of.somebody.Else`} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in %s", want, got)
		}
	}
	if got := string(typed(json.RawMessage(`{}`), "x")); got != `{"@type":"type.googleapis.com/x"}` {
		t.Errorf("an empty message: %s", got)
	}
}
