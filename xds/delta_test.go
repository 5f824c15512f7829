package xds_test

import (
	"io"
	"slices"
	"strings"
	"testing"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"

	"github.com/oarlock/oarlock/meshtest"
	"github.com/oarlock/oarlock/xds"
)

// differ is a client of differences.
type differ struct {
	t      testing.TB
	stream discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesClient
	got    map[string]map[string][]byte
	have   map[string]map[string]string // versions
	asked  map[string][]string
	order  []string

	holds bool // answers nothing, and asks for nothing by itself
	held  []*discoveryv3.DeltaDiscoveryRequest
}

func newDiffer(t testing.TB, conn *grpc.ClientConn, pod string, before *differ) *differ {
	t.Helper()
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(timeout(t))
	if err != nil {
		t.Fatal(err)
	}
	c := &differ{t: t, stream: stream, got: map[string]map[string][]byte{}, have: map[string]map[string]string{}, asked: map[string][]string{}}
	if before != nil {
		c.got, c.have = before.got, before.have
	}
	node := nodeOf(pod)
	for _, ty := range []xds.Type{xds.Clusters, xds.Listeners} {
		c.send(&discoveryv3.DeltaDiscoveryRequest{Node: node, TypeUrl: ty.URL(), InitialResourceVersions: c.have[ty.URL()]})
		node = nil
	}
	if before != nil {
		c.follow()
	}
	return c
}

func (c *differ) send(r *discoveryv3.DeltaDiscoveryRequest) {
	if err := c.stream.Send(r); err != nil && err != io.EOF { // EOF: the next Recv says why
		c.t.Error(err)
	}
}

// next takes one response and acknowledges it; what it says is "CDS +new -gone".
func (c *differ) next() error {
	r, err := c.stream.Recv()
	if err != nil {
		return err
	}
	url := r.TypeUrl
	if c.got[url] == nil {
		c.got[url], c.have[url] = map[string][]byte{}, map[string]string{}
	}
	words := []string{short(url)}
	for _, x := range r.Resources {
		c.got[url][x.Name], c.have[url][x.Name] = x.Resource.Value, x.Version
		words = append(words, "+"+x.Name)
	}
	for _, n := range r.RemovedResources {
		delete(c.got[url], n)
		delete(c.have[url], n)
		words = append(words, "-"+n)
	}
	c.order = append(c.order, strings.Join(words, " "))
	ack := &discoveryv3.DeltaDiscoveryRequest{TypeUrl: url, ResponseNonce: r.Nonce}
	if c.holds {
		c.held = append(c.held, ack)
		return nil
	}
	c.send(ack)
	c.follow()
	return nil
}

// answer acknowledges what it held.
func (c *differ) answer() {
	c.holds = false
	for _, ack := range c.held {
		c.send(ack)
	}
	c.held = nil
	c.follow()
}

// follow asks for what clusters and listeners name, and for nothing else any more.
func (c *differ) follow() {
	for ty, want := range map[xds.Type][]string{
		xds.Endpoints: endpointNames(c.t, c.got[xds.Clusters.URL()]),
		xds.Routes:    routeNames(c.t, c.got[xds.Listeners.URL()]),
	} {
		url := ty.URL()
		asked := c.asked[url]
		r := &discoveryv3.DeltaDiscoveryRequest{TypeUrl: url}
		if asked == nil {
			r.InitialResourceVersions = c.have[url]
		}
		for _, n := range want {
			if !slices.Contains(asked, n) {
				r.ResourceNamesSubscribe = append(r.ResourceNamesSubscribe, n)
			}
		}
		for _, n := range asked {
			if !slices.Contains(want, n) {
				r.ResourceNamesUnsubscribe = append(r.ResourceNamesUnsubscribe, n)
			}
		}
		if len(r.ResourceNamesSubscribe)+len(r.ResourceNamesUnsubscribe) > 0 {
			c.asked[url] = want
			c.send(r)
		}
	}
}

func (c *differ) run() {
	for c.next() == nil {
	}
}

func (c *differ) until(what string, ok func() bool) {
	c.t.Helper()
	for !ok() {
		if err := c.next(); err != nil {
			c.t.Fatalf("waiting for %s: %v", what, err)
		}
	}
}

func (c *differ) has(ty xds.Type, name string) bool { return c.got[ty.URL()][name] != nil }

func TestDifferences(t *testing.T) {
	meshtest.NoLeaks(t)
	s := xds.NewServer(xds.Options{})
	conn := serve(t, s)
	c := newDiffer(t, conn, "api-1", nil)
	s.Set(town(t, ""))
	c.until("all", func() bool { return c.has(xds.Routes, "80") && c.has(xds.Endpoints, webCluster) })

	c.order = nil
	s.Set(town(t, strictAPI))
	if err := c.next(); err != nil {
		t.Fatal(err)
	}
	s.Set(town(t, third))
	c.until("third", func() bool { return c.has(xds.Routes, "81") && c.has(xds.Endpoints, thirdCluster) })
	s.Set(town(t, ""))
	c.until("third's end", func() bool { return !c.has(xds.Clusters, thirdCluster) })
	got := strings.Join(c.order, "\n")
	for _, want := range []string{"LDS +virtualInbound\n", "CDS +outbound|81||third", "CDS -" + thirdCluster} {
		if !strings.Contains(got, want) {
			t.Errorf("missing %q in:\n%s", want, got)
		}
	}
	if i, k := strings.Index(got, "-0.0.0.0_81"), strings.Index(got, "CDS -"); i < 0 || k < i {
		t.Errorf("the listener goes at %d, the cluster at %d:\n%s", i, k, got)
	}
}

// TestAnswersLate: a client that answers clusters and listeners when it has what they name gets that, whatever changes meanwhile.
func TestAnswersLate(t *testing.T) {
	s := xds.NewServer(xds.Options{})
	c := newDiffer(t, serve(t, s), "api-1", nil)
	c.holds = true
	s.Set(town(t, ""))
	c.until("clusters and listeners", func() bool { return c.has(xds.Clusters, webCluster) && c.has(xds.Listeners, "virtualInbound") })
	next := town(t, strictAPI+third)
	s.Set(next) // another cluster, listener and route
	c.follow()
	c.until("what they name", func() bool { return c.has(xds.Endpoints, webCluster) && c.has(xds.Routes, "80") })
	if c.has(xds.Clusters, thirdCluster) || c.has(xds.Routes, "81") {
		t.Errorf("a second response before the first is answered: %q", c.order)
	}
	c.answer()
	c.until("what came meanwhile", func() bool { return c.has(xds.Routes, "81") && c.has(xds.Endpoints, thirdCluster) })
	go c.run()
	wait(t, s, next.Snapshot().Version, 1)
}

// TestComeBack: a client that was cut off brings its versions along and gets what is new alone.
func TestComeBack(t *testing.T) {
	s := xds.NewServer(xds.Options{})
	conn := serve(t, s)
	c := newDiffer(t, conn, "api-1", nil)
	s.Set(town(t, ""))
	c.until("all", func() bool { return c.has(xds.Routes, "80") && c.has(xds.Endpoints, webCluster) })
	if err := c.stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	for c.next() == nil {
	}
	next := town(t, third)
	s.Set(next)
	again := newDiffer(t, conn, "api-1", c)
	again.until("third", func() bool { return again.has(xds.Routes, "81") && again.has(xds.Endpoints, thirdCluster) })
	for _, o := range again.order {
		if strings.Contains(o, "+"+webCluster) || strings.Contains(o, "+virtualOutbound") {
			t.Errorf("sent again: %s", o)
		}
	}
	go again.run()
	wait(t, s, next.Snapshot().Version, 1)
}

// TestAbsent: a name that means nothing is answered as removed.
func TestAbsent(t *testing.T) {
	s := xds.NewServer(xds.Options{})
	s.Set(town(t, ""))
	c := newDiffer(t, serve(t, s), "api-1", nil)
	c.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: xds.Endpoints.URL(), ResourceNamesSubscribe: []string{"nobody"}})
	c.until("an answer", func() bool {
		return slices.ContainsFunc(c.order, func(o string) bool { return strings.HasPrefix(o, "EDS") && strings.Contains(o, "-nobody") })
	})
}
