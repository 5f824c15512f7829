package xds_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	grpcstatus "google.golang.org/grpc/status"

	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/meshtest"
	"github.com/oarlock/oarlock/resolve"
	"github.com/oarlock/oarlock/xds"
)

// serve runs a Server on loopback until the test ends, and gives a connection to it.
func serve(t testing.TB, s *xds.Server) *grpc.ClientConn {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer()
	s.Register(g)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = g.Serve(lis)
	}()
	conn, err := grpc.NewClient(lis.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		s.Close()
		g.Stop()
		<-done
	})
	return conn
}

// town is a mesh of two pods of two services, with what a test adds.
func town(t testing.TB, more string) *resolve.Resolver {
	t.Helper()
	return resolve.New(meshtest.Snapshot(t, `
kind: Namespace
apiVersion: v1
metadata: {name: app, labels: {istio-injection: enabled}}
---
kind: Service
apiVersion: v1
metadata: {name: web, namespace: app}
spec: {clusterIP: 10.0.1.1, selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
kind: Service
apiVersion: v1
metadata: {name: api, namespace: app}
spec: {clusterIP: 10.0.1.2, selector: {app: api}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
kind: Pod
apiVersion: v1
metadata: {name: web-1, namespace: app, labels: {app: web}}
spec: {serviceAccountName: web, containers: [{name: app, image: app}]}
status: {podIP: 10.244.0.1}
---
kind: Pod
apiVersion: v1
metadata: {name: api-1, namespace: app, labels: {app: api}}
spec: {serviceAccountName: api, containers: [{name: app, image: app}]}
status: {podIP: 10.244.0.2}
`+more, mesh.DialectCurrent))
}

const strictAPI = `
---
kind: PeerAuthentication
apiVersion: security.istio.io/v1
metadata: {name: api, namespace: app}
spec: {selector: {matchLabels: {app: api}}, mtls: {mode: STRICT}}
`

const third = `
---
kind: Service
apiVersion: v1
metadata: {name: third, namespace: app}
spec: {clusterIP: 10.0.1.3, selector: {app: api}, ports: [{name: http, port: 81, targetPort: 8080}]}
`

func nodeOf(pod string) *corev3.Node {
	return &corev3.Node{Id: "sidecar~10.244.0.1~" + pod + ".app~app.svc.cluster.local"}
}

func timeout(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// sotw is a client of the state of the world, as simple as one can be: it asks for clusters and listeners, for the
// endpoints and routes that they name, and takes everything.
type sotw struct {
	t      testing.TB
	stream discoveryv3.AggregatedDiscoveryService_StreamAggregatedResourcesClient
	got    map[string]map[string][]byte // by type URL and name
	nonce  map[string]string
	refuse func(url string) string // why a response is refused; "" takes it
	order  []string
}

func newSotw(t testing.TB, conn *grpc.ClientConn, node *corev3.Node) *sotw {
	t.Helper()
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(conn).StreamAggregatedResources(timeout(t))
	if err != nil {
		t.Fatal(err)
	}
	c := &sotw{t: t, stream: stream, got: map[string]map[string][]byte{}, nonce: map[string]string{}, refuse: func(string) string { return "" }}
	for _, ty := range []xds.Type{xds.Clusters, xds.Listeners} {
		c.send(&discoveryv3.DiscoveryRequest{Node: node, TypeUrl: ty.URL()})
		node = nil
	}
	return c
}

func (c *sotw) send(r *discoveryv3.DiscoveryRequest) {
	if err := c.stream.Send(r); err != nil && err != io.EOF { // EOF: the next Recv says why
		c.t.Error(err)
	}
}

// next takes one response and answers it.
func (c *sotw) next() (*discoveryv3.DiscoveryResponse, error) {
	r, err := c.stream.Recv()
	if err != nil {
		return nil, err
	}
	url := r.TypeUrl
	c.order = append(c.order, short(url))
	c.nonce[url] = r.Nonce
	ack := &discoveryv3.DiscoveryRequest{TypeUrl: url, VersionInfo: r.VersionInfo, ResponseNonce: r.Nonce, ResourceNames: c.names(url)}
	if why := c.refuse(url); why != "" {
		ack.ErrorDetail = &status.Status{Code: int32(codes.InvalidArgument), Message: why}
		c.send(ack)
		return r, nil
	}
	full := url == xds.Clusters.URL() || url == xds.Listeners.URL()
	if c.got[url] == nil || full {
		c.got[url] = map[string][]byte{}
	}
	for _, a := range r.Resources {
		m, err := a.UnmarshalNew()
		if err != nil {
			c.t.Fatal(err)
		}
		c.got[url][nameOf(m)] = a.Value
	}
	c.send(ack)
	if full {
		c.follow()
	}
	return r, nil
}

// follow asks for what the clusters and listeners name.
func (c *sotw) follow() {
	for _, ty := range []xds.Type{xds.Endpoints, xds.Routes} {
		url := ty.URL()
		want := c.names(url)
		if len(want) == 0 && c.nonce[url] == "" || len(want) > 0 && slices.Equal(want, sorted(c.got[url])) {
			continue
		}
		c.send(&discoveryv3.DiscoveryRequest{TypeUrl: url, ResponseNonce: c.nonce[url], ResourceNames: want})
	}
}

func (c *sotw) names(url string) []string {
	switch url {
	case xds.Endpoints.URL():
		return endpointNames(c.t, c.got[xds.Clusters.URL()])
	case xds.Routes.URL():
		return routeNames(c.t, c.got[xds.Listeners.URL()])
	}
	return nil
}

// run takes responses until the stream ends.
func (c *sotw) run() {
	for {
		if _, err := c.next(); err != nil {
			return
		}
	}
}

// until takes responses until a condition holds.
func (c *sotw) until(what string, ok func() bool) {
	c.t.Helper()
	for !ok() {
		if _, err := c.next(); err != nil {
			c.t.Fatalf("waiting for %s: %v", what, err)
		}
	}
}

func (c *sotw) has(ty xds.Type, name string) bool { return c.got[ty.URL()][name] != nil }

func short(url string) string {
	for _, ty := range xds.Types() {
		if ty.URL() == url {
			return ty.String()
		}
	}
	return url
}

const (
	webCluster   = "outbound|80||web.app.svc.cluster.local"
	thirdCluster = "outbound|81||third.app.svc.cluster.local"
)

func TestStateOfTheWorld(t *testing.T) {
	meshtest.NoLeaks(t)
	s := xds.NewServer(xds.Options{Log: slog.New(slog.DiscardHandler)})
	conn := serve(t, s)
	c := newSotw(t, conn, nodeOf("web-1"))
	first := town(t, "")
	s.Set(first)
	c.until("routes", func() bool { return c.has(xds.Routes, "80") })
	if !c.has(xds.Clusters, webCluster) || !c.has(xds.Endpoints, webCluster) || !c.has(xds.Listeners, "virtualInbound") {
		t.Fatalf("got %v", c.order)
	}
	go c.run()
	wait(t, s, first.Snapshot().Version, 1)
	n := s.Status()
	if len(n) != 1 || !n[0].Connected || n[0].Pod.Name != "web-1" || n[0].InForce != first.Snapshot().Version || n[0].Acked[xds.Routes] == "" {
		t.Errorf("status is %+v", n)
	}
}

func wait(t testing.TB, s *xds.Server, version string, nodes int) {
	t.Helper()
	acked, total, err := s.Wait(timeout(t), version)
	if err != nil || acked != nodes || total != nodes {
		t.Fatalf("acknowledged by %d of %d, want %d: %v; %+v", acked, total, nodes, err, s.Status())
	}
}

// reach waits for a state of the clients.
func reach(t *testing.T, s *xds.Server, what string, ok func([]xds.NodeStatus) bool) {
	t.Helper()
	for end := timeout(t); ; {
		changed := s.Changed() // before one looks: a change in between is not missed
		if ok(s.Status()) {
			return
		}
		select {
		case <-changed:
		case <-end.Done():
			t.Fatalf("not in time: %s: %+v", what, s.Status())
		}
	}
}

// TestPushIsADifference: a policy for one pod is sent to that pod alone, and counts for all at once.
func TestPushIsADifference(t *testing.T) {
	s := xds.NewServer(xds.Options{})
	conn := serve(t, s)
	web, api := newSotw(t, conn, nodeOf("web-1")), newSotw(t, conn, nodeOf("api-1"))
	first := town(t, "")
	s.Set(first)
	for _, c := range []*sotw{web, api} {
		c.until("routes", func() bool { return c.has(xds.Routes, "80") && c.has(xds.Endpoints, webCluster) })
	}
	received := make(chan string, 100)
	for name, c := range map[string]*sotw{"web": web, "api": api} {
		c.refuse = func(url string) string {
			received <- name + " " + short(url)
			return ""
		}
		go c.run()
	}
	wait(t, s, first.Snapshot().Version, 2)
	for len(received) > 0 {
		<-received
	}
	next := town(t, strictAPI)
	s.Set(next)
	wait(t, s, next.Snapshot().Version, 2)
	var got []string
	for len(received) > 0 {
		got = append(got, <-received)
	}
	if want := []string{"api LDS"}; !slices.Equal(got, want) {
		t.Errorf("pushed %v, want %v", got, want)
	}
}

// TestRemovalComesLast: a cluster is taken away after the routes that named it.
func TestRemovalComesLast(t *testing.T) {
	s := xds.NewServer(xds.Options{})
	conn := serve(t, s)
	c := newSotw(t, conn, nodeOf("web-1"))
	s.Set(town(t, third))
	c.until("third", func() bool { return c.has(xds.Routes, "81") && c.has(xds.Endpoints, thirdCluster) })
	c.order = nil
	s.Set(town(t, ""))
	c.until("removal", func() bool { return !c.has(xds.Clusters, thirdCluster) })
	if got := strings.Join(c.order, " "); got != "LDS CDS" {
		t.Errorf("order is %q", got)
	}
}

// TestRefusal: what a client refuses is not sent again until it is another, and it is told in the status.
func TestRefusal(t *testing.T) {
	s := xds.NewServer(xds.Options{})
	conn := serve(t, s)
	c := newSotw(t, conn, nodeOf("api-1"))
	s.Set(town(t, ""))
	c.until("routes", func() bool { return c.has(xds.Routes, "80") && c.has(xds.Endpoints, webCluster) })
	c.refuse = func(url string) string {
		if url == xds.Listeners.URL() {
			return "no such extension"
		}
		return ""
	}
	bad := town(t, strictAPI)
	s.Set(bad)
	if _, err := c.next(); err != nil {
		t.Fatal(err)
	}
	_, total, err := s.Wait(timeout(t), bad.Snapshot().Version)
	if err == nil || total != 1 || !strings.Contains(err.Error(), "LDS: no such extension") {
		t.Errorf("total %d, error %v", total, err)
	}
	if n := s.Status(); n[0].Refused == "" || n[0].InForce == bad.Snapshot().Version {
		t.Errorf("status is %+v", n)
	}
	c.refuse = func(string) string { return "" }
	good := town(t, strictAPI+third)
	s.Set(good)
	go c.run()
	wait(t, s, good.Snapshot().Version, 1)
	if n := s.Status(); n[0].Refused != "" {
		t.Errorf("still refused: %+v", n)
	}
}

// TestSlowClient: whoever does not read gets the newest when it does, and holds nobody up.
func TestSlowClient(t *testing.T) {
	s := xds.NewServer(xds.Options{})
	conn := serve(t, s)
	slow, quick := newSotw(t, conn, nodeOf("web-1")), newSotw(t, conn, nodeOf("api-1"))
	s.Set(town(t, ""))
	for _, c := range []*sotw{slow, quick} {
		c.until("routes", func() bool { return c.has(xds.Routes, "80") && c.has(xds.Endpoints, webCluster) })
	}
	go quick.run()
	var last *resolve.Resolver
	for i := range 20 {
		last = town(t, strings.ReplaceAll(third, "third", fmt.Sprintf("third-%d", i)))
		s.Set(last)
	}
	reach(t, s, "the quick client does not wait for the slow one", func(all []xds.NodeStatus) bool {
		return slices.ContainsFunc(all, func(n xds.NodeStatus) bool { return n.Pod.Name == "api-1" && n.InForce == last.Snapshot().Version })
	})
	var responses atomic.Int32
	slow.refuse = func(string) string {
		responses.Add(1)
		return ""
	}
	go slow.run()
	wait(t, s, last.Snapshot().Version, 2)
	if n := responses.Load(); n > 12 {
		t.Errorf("the slow client got %d responses for 20 meshes", n)
	}
}

func TestOnlyOnesOwn(t *testing.T) {
	callers := map[string]xds.Caller{
		"own":             {Namespace: "app", ServiceAccount: "web", Workload: "web-1"},
		"other pod":       {Namespace: "app", ServiceAccount: "web", Workload: "web-2"},
		"other account":   {Namespace: "app", ServiceAccount: "api"},
		"other namespace": {Namespace: "other", ServiceAccount: "web"},
	}
	for name, caller := range callers {
		t.Run(name, func(t *testing.T) {
			s := xds.NewServer(xds.Options{Authenticate: func(context.Context) (xds.Caller, error) { return caller, nil }})
			s.Set(town(t, ""))
			c := newSotw(t, serve(t, s), nodeOf("web-1"))
			_, err := c.next()
			if name == "own" && err != nil || name != "own" && grpcstatus.Code(err) != codes.PermissionDenied {
				t.Errorf("got %v", err)
			}
		})
	}
	s := xds.NewServer(xds.Options{Authenticate: func(context.Context) (xds.Caller, error) { return xds.Caller{}, errors.New("no token") }})
	if _, err := newSotw(t, serve(t, s), nodeOf("web-1")).next(); grpcstatus.Code(err) != codes.Unauthenticated {
		t.Errorf("without a token: %v", err)
	}
}

func TestBounds(t *testing.T) {
	s := xds.NewServer(xds.Options{MaxStreams: 1, MaxNames: 3})
	s.Set(town(t, ""))
	conn, hasty := serve(t, s), serve(t, xds.NewServer(xds.Options{FirstRequest: 50 * time.Millisecond}))
	code := func(r *discoveryv3.DiscoveryRequest) codes.Code {
		to := conn
		if r == nil {
			to = hasty
		}
		stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(to).StreamAggregatedResources(timeout(t))
		if err != nil {
			t.Fatal(err)
		}
		if r != nil {
			_ = stream.Send(r)
		}
		for err == nil {
			_, err = stream.Recv()
		}
		return grpcstatus.Code(err)
	}
	if got := code(nil); got != codes.DeadlineExceeded {
		t.Errorf("a silent stream ends with %s", got)
	}
	if got := code(&discoveryv3.DiscoveryRequest{Node: &corev3.Node{Id: "web"}}); got != codes.InvalidArgument {
		t.Errorf("an odd id ends with %s", got)
	}
	if got := code(&discoveryv3.DiscoveryRequest{Node: nodeOf(strings.Repeat("x", 600))}); got != codes.InvalidArgument {
		t.Errorf("a long id ends with %s", got)
	}
	if got := code(&discoveryv3.DiscoveryRequest{Node: nodeOf("web-1"), TypeUrl: xds.Endpoints.URL(), ResourceNames: []string{"a", "b", "c", "d"}}); got != codes.ResourceExhausted {
		t.Errorf("many names end with %s", got)
	}
	c := newSotw(t, conn, nodeOf("web-1"))
	if _, err := c.next(); err != nil {
		t.Fatal(err)
	}
	if got := code(&discoveryv3.DiscoveryRequest{Node: nodeOf("api-1")}); got != codes.ResourceExhausted {
		t.Errorf("one stream too many ends with %s", got)
	}
}

// TestPodComesLater: a node that the mesh does not know yet waits, and does not count.
func TestPodComesLater(t *testing.T) {
	s := xds.NewServer(xds.Options{})
	first := town(t, "")
	s.Set(first)
	c := newSotw(t, serve(t, s), nodeOf("late-1"))
	wait(t, s, first.Snapshot().Version, 0)
	next := town(t, `
---
kind: Pod
apiVersion: v1
metadata: {name: late-1, namespace: app, labels: {app: late}}
spec: {containers: [{name: app, image: app}]}
status: {podIP: 10.244.0.9}
`)
	go c.run()
	reach(t, s, "it is connected", func(all []xds.NodeStatus) bool { return len(all) > 0 })
	s.Set(next)
	wait(t, s, next.Snapshot().Version, 1)
}
