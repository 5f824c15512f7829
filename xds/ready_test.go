package xds_test

import (
	"slices"
	"strings"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"google.golang.org/protobuf/proto"

	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/resolve"
	"github.com/oarlock/oarlock/xds"
)

// moreAPI is a second pod of api, a headless Service of both and one that wants them before they are ready.
const moreAPI = `
---
kind: Pod
apiVersion: v1
metadata: {name: api-2, namespace: app, labels: {app: api}}
spec: {serviceAccountName: api2, containers: [{name: app, image: app}]}
status: {podIP: 10.244.0.3}
---
kind: Service
apiVersion: v1
metadata: {name: peers, namespace: app}
spec: {clusterIP: None, selector: {app: api}, ports: [{name: tcp, port: 9000}]}
---
kind: Service
apiVersion: v1
metadata: {name: early, namespace: app}
spec: {clusterIP: 10.0.1.3, publishNotReadyAddresses: true, selector: {app: api}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
kind: ServiceEntry
apiVersion: networking.istio.io/v1
metadata: {name: looked-up, namespace: app}
spec: {hosts: [looked.up], location: MESH_INTERNAL, resolution: DNS, ports: [{number: 80, name: http, protocol: HTTP}], workloadSelector: {labels: {app: api}}}
`

const apiCluster = "outbound|80||api.app.svc.cluster.local"

// endpointsOf lists the addresses of a cluster that a pod gets, in words.
func endpointsOf(t *testing.T, tr *xds.Translator, pod, cluster string) string {
	t.Helper()
	v := viewOf(t, tr, pod)
	a, ok := message(t, v.Find(xds.Clusters, cluster)).(*clusterv3.Cluster)
	if ok && a.LoadAssignment != nil {
		return strings.Join(addressesOf(a.LoadAssignment), " ")
	}
	return strings.Join(addressesOf(message(t, v.Find(xds.Endpoints, cluster)).(*endpointv3.ClusterLoadAssignment)), " ")
}

func viewOf(t *testing.T, tr *xds.Translator, pod string) xds.View {
	t.Helper()
	list := tr.Resolver().Snapshot().Workloads
	i := slices.IndexFunc(list, func(w *mesh.Workload) bool { return w.Ref.Name == pod })
	return tr.View(xds.Node{Workload: list[i]})
}

func addressesOf(a *endpointv3.ClusterLoadAssignment) []string {
	var out []string
	for _, group := range a.Endpoints {
		for _, e := range group.LbEndpoints {
			out = append(out, e.GetEndpoint().GetAddress().GetSocketAddress().GetAddress())
		}
	}
	return out
}

// unready is a mesh in which some pods are not ready.
func unready(r *resolve.Resolver, pods ...string) *mesh.Snapshot {
	out := *r.Snapshot()
	out.Version += " without " + strings.Join(pods, " ")
	out.Unready = nil
	for _, name := range pods {
		out.Unready = append(out.Unready, mesh.Ref{Kind: mesh.KindPod, Namespace: "app", Name: name})
	}
	return &out
}

// TestUnreadyIsNoEndpoint: a pod that is not ready gets nothing, unless its Service says so; all else that is said about the
// service stays.
func TestUnreadyIsNoEndpoint(t *testing.T) {
	whole := town(t, moreAPI)
	for _, c := range []struct {
		unready              []string
		api, early, lookedUp string
	}{
		{nil, "10.244.0.2 10.244.0.3", "10.244.0.2 10.244.0.3", "10.244.0.2 10.244.0.3"},
		{[]string{"api-1"}, "10.244.0.3", "10.244.0.2 10.244.0.3", "10.244.0.3"},
		{[]string{"api-1", "api-2"}, "", "10.244.0.2 10.244.0.3", ""},
	} {
		tr := xds.NewTranslator(resolve.New(unready(whole, c.unready...)))
		const early = "outbound|80||early.app.svc.cluster.local"
		if got := endpointsOf(t, tr, "web-1", apiCluster); got != c.api {
			t.Errorf("without %v: api has %q, want %q", c.unready, got, c.api)
		}
		if got := endpointsOf(t, tr, "web-1", early); got != c.early {
			t.Errorf("without %v: early has %q, want %q", c.unready, got, c.early)
		}
		if got := endpointsOf(t, tr, "web-1", "outbound|80||looked.up"); got != c.lookedUp {
			t.Errorf("without %v: looked.up has %q, want %q", c.unready, got, c.lookedUp)
		}
		for ty, names := range map[xds.Type][]string{
			xds.Clusters:  {apiCluster, early, "outbound|9000||peers.app.svc.cluster.local"},
			xds.Listeners: {"10.244.0.2_9000", "10.244.0.3_9000"}, // a pod's own address is always there
		} {
			for _, name := range names {
				got, want := viewOf(t, tr, "web-1").Find(ty, name), viewOf(t, xds.NewTranslator(whole), "web-1").Find(ty, name)
				if got == nil || want == nil || got.Version != want.Version {
					t.Errorf("without %v: %s is another", c.unready, name)
				}
			}
		}
	}
}

// TestReadinessAlone: a pod that becomes ready, or no longer is, changes the endpoints of its services and nothing else.
func TestReadinessAlone(t *testing.T) {
	whole := town(t, moreAPI)
	s := xds.NewServer(xds.Options{})
	s.Set(whole)
	c := newSotw(t, serve(t, s), nodeOf("web-1"))
	c.until("everything", func() bool { return c.has(xds.Routes, "80") && c.has(xds.Endpoints, apiCluster) })
	count := func() string {
		return endpointsIn(t, c.got[xds.Endpoints.URL()][apiCluster])
	}
	r := whole
	for _, step := range []struct {
		unready []string
		want    string
	}{{[]string{"api-2"}, "10.244.0.2"}, {[]string{"api-1", "api-2"}, ""}, {nil, "10.244.0.2 10.244.0.3"}} {
		sent := len(c.order)
		r = r.With(unready(whole, step.unready...))
		s.Set(r)
		c.until("endpoints "+step.want, func() bool { return count() == step.want })
		for _, ty := range c.order[sent:] {
			// The cluster of a name that is looked up has its endpoints in it.
			if ty != xds.Endpoints.String() && ty != xds.Clusters.String() {
				t.Errorf("without %v: %s was sent", step.unready, ty)
			}
		}
	}
}

func endpointsIn(t *testing.T, packed []byte) string {
	t.Helper()
	var a endpointv3.ClusterLoadAssignment
	if err := proto.Unmarshal(packed, &a); err != nil {
		t.Fatal(err)
	}
	return strings.Join(addressesOf(&a), " ")
}
