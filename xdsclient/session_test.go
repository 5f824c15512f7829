package xdsclient

import (
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/oarlock/oarlock/proxy"
)

// script is the other end of a stream: it sends what the test says, in fake time, and keeps what it is asked.
type script struct {
	t       *testing.T
	updates chan *update
	mu      sync.Mutex
	asked   []request
	sink    sink
	client  *Client
	stop    func() error
}

// play begins a session of a client inside a synctest bubble; c is nil for a new client.
func play(t *testing.T, c *Client) *script {
	s := &script{t: t, updates: make(chan *update, 16), client: c}
	if c == nil {
		var err error
		s.client, err = New(Options{Target: "script", Apply: s.sink.apply, FetchTimeout: 10 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
	} else {
		c.options.Apply = s.sink.apply
	}
	link := link{
		send: func(r request) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.asked = append(s.asked, r)
			return nil
		},
		recv: func() (*update, error) {
			u, ok := <-s.updates
			if !ok {
				return nil, io.EOF
			}
			return u, nil
		},
	}
	done := make(chan error, 1)
	go func() { done <- newSession(s.client, link).run(context.Background()) }()
	s.stop = func() error { close(s.updates); return <-done }
	synctest.Wait()
	return s
}

// say sends a response and waits until it was dealt with.
func (s *script) say(k kind, version string, resources ...proto.Message) {
	u := &update{kind: k, version: version, nonce: version, full: k.wildcard(), changes: map[string]change{}}
	for _, r := range resources {
		raw, err := anypb.New(r)
		if err != nil {
			s.t.Fatal(err)
		}
		u.changes[nameOf(raw.Value)] = change{raw, version}
	}
	s.updates <- u
	synctest.Wait()
}

// requests are all that the client sent.
func (s *script) requests() []request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

// last is the last request of a kind.
func (s *script) last(k kind) request {
	for _, r := range slices.Backward(s.requests()) {
		if r.kind == k {
			return r
		}
	}
	return request{}
}

// clusterOf is a cluster whose endpoints come over EDS.
func clusterOf(name string) *clusterv3.Cluster {
	return &clusterv3.Cluster{
		Name:                 name,
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS},
		EdsClusterConfig: &clusterv3.Cluster_EdsClusterConfig{EdsConfig: &corev3.ConfigSource{
			ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}},
		}},
	}
}

// endpointOf has one endpoint; a negative port is one that is refused.
func endpointOf(name string, port int) *endpointv3.ClusterLoadAssignment {
	address := &corev3.Address{Address: &corev3.Address_Pipe{Pipe: &corev3.Pipe{Path: "/x"}}}
	if port >= 0 {
		address.Address = &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
			Address: "10.0.0.1", PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(port)},
		}}
	}
	return &endpointv3.ClusterLoadAssignment{ClusterName: name, Endpoints: []*endpointv3.LocalityLbEndpoints{{
		LbEndpoints: []*endpointv3.LbEndpoint{{HostIdentifier: &endpointv3.LbEndpoint_Endpoint{
			Endpoint: &endpointv3.Endpoint{Address: address},
		}}},
	}}}
}

// ports lists the port of each cluster's first endpoint, 0 for none.
func ports(c *proxy.Config) map[string]uint16 {
	out := map[string]uint16{}
	for _, c := range c.Clusters {
		out[c.Name] = 0
		for _, e := range c.Endpoints {
			out[c.Name] = e.Address.Port()
		}
	}
	return out
}

func (s *script) want(count int, clusters map[string]uint16) {
	s.t.Helper()
	config, n := s.sink.last()
	if n != count || !maps.Equal(ports(config), clusters) {
		s.t.Errorf("%d configurations, the last with %v; want %d with %v", n, ports(config), count, clusters)
	}
}

func TestWaitsForWhatIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := play(t, nil)
		s.say(kindCluster, "c1", clusterOf("a"), clusterOf("b"))
		if r := s.last(kindEndpoints); !slices.Equal(r.names, []string{"a", "b"}) || r.refused != nil {
			t.Errorf("asked %+v", r)
		}
		s.say(kindEndpoints, "e1", endpointOf("a", 1))
		s.want(0, map[string]uint16{})
		s.say(kindListener, "l1")
		s.want(0, map[string]uint16{})
		// Who waits for this answer before b is sent need not wait; clusters and listeners are answered when they are in force.
		if st := s.client.Status(); st.Waiting != "endpoints b" || st.Acknowledged != 1 {
			t.Errorf("status %+v", st)
		}
		if r := s.last(kindEndpoints); r.version != "e1" || r.nonce != "e1" || r.refused != nil {
			t.Errorf("endpoints a answered with %+v", r)
		}
		s.say(kindEndpoints, "e2", endpointOf("b", 2)) // a part: a stays
		s.want(1, map[string]uint16{"a": 1, "b": 2})
		for k, version := range map[kind]string{kindCluster: "c1", kindEndpoints: "e2", kindListener: "l1"} {
			if r := s.last(k); r.version != version || r.nonce != version || r.refused != nil {
				t.Errorf("%s: answered %+v", k, r)
			}
		}
		// A change of what is there needs no wait.
		s.say(kindEndpoints, "e3", endpointOf("a", 3))
		s.want(2, map[string]uint16{"a": 3, "b": 2})
		// What is no longer named is no longer subscribed to.
		s.say(kindCluster, "c2", clusterOf("b"))
		s.want(3, map[string]uint16{"b": 2})
		if r := s.last(kindEndpoints); !slices.Equal(r.names, []string{"b"}) || !slices.Equal(r.unsubscribe, []string{"a"}) {
			t.Errorf("asked %+v", r)
		}
		if err := s.stop(); err != io.EOF {
			t.Error(err)
		}
	})
}

func TestDoesNotWaitForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := play(t, nil)
		s.say(kindListener, "l1")
		s.say(kindCluster, "c1", clusterOf("a"), clusterOf("b"))
		time.Sleep(4 * time.Second)
		s.say(kindEndpoints, "e1", endpointOf("a", 1))
		time.Sleep(5 * time.Second)
		s.want(0, map[string]uint16{})
		time.Sleep(2 * time.Second)
		s.want(1, map[string]uint16{"a": 1, "b": 0})
		// It is known to be absent now, and comes later after all.
		s.say(kindEndpoints, "e2", endpointOf("a", 2))
		s.want(2, map[string]uint16{"a": 2, "b": 0})
		s.say(kindEndpoints, "e3", endpointOf("b", 3))
		s.want(3, map[string]uint16{"a": 2, "b": 3})
		_ = s.stop()
	})
}

func TestNothingBeforeClustersAndListeners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := play(t, nil)
		s.say(kindListener, "l1")
		time.Sleep(time.Hour)
		s.want(0, map[string]uint16{})
		s.say(kindCluster, "c1")
		s.want(1, map[string]uint16{})
		_ = s.stop()
	})
}

func TestRefusedPartIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := play(t, nil)
		s.say(kindListener, "l1")
		s.say(kindCluster, "c1", clusterOf("a"), clusterOf("b"))
		s.say(kindEndpoints, "e1", endpointOf("a", 1), endpointOf("b", 1))
		s.say(kindEndpoints, "e2", endpointOf("a", 2), endpointOf("b", -1))
		s.want(1, map[string]uint16{"a": 1, "b": 1})
		if r := s.last(kindEndpoints); r.version != "e1" || r.nonce != "e2" || r.refused == nil ||
			!strings.HasPrefix(r.refused.Error(), `translate endpoints "b": endpoint 0: address`) {
			t.Errorf("answered %+v", r)
		}
		// A cluster goes on changing meanwhile, and the server does not send a again when it mends b.
		s.say(kindCluster, "c2", clusterOf("a"), clusterOf("b"), &clusterv3.Cluster{Name: "c"})
		s.want(2, map[string]uint16{"a": 1, "b": 1, "c": 0})
		s.say(kindEndpoints, "e3", endpointOf("b", 3))
		s.want(3, map[string]uint16{"a": 2, "b": 3, "c": 0})
		_ = s.stop()
	})
}

func TestRefusalsSlowDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := play(t, nil)
		refusals := func() (n int) {
			for _, r := range s.requests() {
				if r.refused != nil {
					n++
				}
			}
			return n
		}
		// A server that sends the same again as soon as it hears a NACK.
		begin, sent := time.Now(), 0
		for time.Since(begin) < 10*time.Minute {
			if refusals() == sent {
				sent++
				s.say(kindCluster, "c1", &clusterv3.Cluster{Name: "x", LbSubsetConfig: &clusterv3.Cluster_LbSubsetConfig{}})
			}
			time.Sleep(100 * time.Millisecond)
			synctest.Wait()
		}
		if n := refusals(); n < 10 || n > 30 {
			t.Errorf("%d refusals in 10 minutes", n)
		}
		if n := s.client.Status().Refused; n != 1 {
			t.Errorf("%d are counted of one response", n)
		}
		_ = s.stop()
	})
}

func TestSinkIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := play(t, nil)
		s.sink.fail(errors.New("no"))
		s.say(kindListener, "l1")
		s.say(kindCluster, "c1", &clusterv3.Cluster{Name: "a"})
		if r := s.last(kindCluster); r.refused == nil || r.version != "" {
			t.Errorf("answered %+v", r)
		}
		time.Sleep(20 * time.Second)
		s.sink.fail(nil)
		time.Sleep(30 * time.Second)
		s.want(1, map[string]uint16{"a": 0})
		_ = s.stop()
	})
}

func TestNextStreamSaysWhatIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := play(t, nil)
		s.say(kindListener, "l1")
		s.say(kindCluster, "c1", clusterOf("a"))
		s.say(kindEndpoints, "e1", endpointOf("a", 1))
		s.say(kindCluster, "c2", clusterOf("a"), clusterOf("late")) // never complete
		_ = s.stop()

		next := play(t, s.client)
		first := map[kind]request{}
		for _, r := range next.requests() {
			first[r.kind] = r
		}
		for k, want := range map[kind]string{kindCluster: "c1", kindEndpoints: "e1", kindListener: "l1"} {
			if r := first[k]; r.version != want || r.nonce != "" {
				t.Errorf("%s: asked %+v", k, r)
			}
		}
		if r := first[kindEndpoints]; !slices.Equal(r.names, []string{"a"}) || r.initial["a"] != "e1" {
			t.Errorf("asked %+v", r)
		}
		if r := first[kindCluster]; r.initial["a"] != "c1" || len(r.initial) != 1 {
			t.Errorf("asked %+v", r)
		}
		// The server has nothing new but one removal; the rest is still there.
		next.updates <- &update{kind: kindCluster, version: "c3", nonce: "n", changes: map[string]change{"a": {}}}
		synctest.Wait()
		next.want(1, map[string]uint16{})
		_ = next.stop()
	})
}

func TestRemovedIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := play(t, nil)
		s.say(kindListener, "l1")
		s.say(kindCluster, "c1", clusterOf("a"))
		s.updates <- &update{kind: kindEndpoints, version: "e1", nonce: "n", changes: map[string]change{"a": {}}}
		synctest.Wait()
		s.want(1, map[string]uint16{"a": 0})
		_ = s.stop()
	})
}

func TestManyErrorsAreShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := play(t, nil)
		var bad []proto.Message
		for _, name := range strings.Split("abcdefgh", "") {
			bad = append(bad, &clusterv3.Cluster{Name: name, LbSubsetConfig: &clusterv3.Cluster_LbSubsetConfig{}})
		}
		s.say(kindCluster, "c1", bad...)
		err := s.last(kindCluster).refused
		if err == nil || !strings.HasSuffix(err.Error(), "and 5 more") || strings.Count(err.Error(), "\n") != 3 {
			t.Errorf("%v", err)
		}
		if d := detail(errors.New(strings.Repeat("x", 10_000))); len(d.Message) != maxDetail {
			t.Errorf("%d bytes", len(d.Message))
		}
		_ = s.stop()
	})
}
