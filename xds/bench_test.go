package xds_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"

	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/resolve"
	"github.com/oarlock/oarlock/xds"
)

// city is a mesh of n services with two ports and one pod each, in n/50 namespaces, with further policies.
func city(n int, more ...*mesh.PeerAuthentication) *mesh.Snapshot {
	s := &mesh.Snapshot{Version: fmt.Sprint(len(more)), Dialect: mesh.DialectCurrent, Config: mesh.DefaultConfig()}
	for i := range n {
		ns, name := fmt.Sprintf("ns-%03d", i/50), fmt.Sprintf("svc-%04d", i)
		if i%50 == 0 {
			s.Namespaces = append(s.Namespaces, &mesh.Namespace{Object: mesh.Object{Ref: mesh.Ref{Kind: mesh.KindNamespace, Name: ns}}, Capture: mesh.CaptureSidecar})
			s.PeerAuthentications = append(s.PeerAuthentications, &mesh.PeerAuthentication{
				Object: mesh.Object{Ref: mesh.Ref{Kind: mesh.KindPeerAuthentication, Namespace: ns, Name: "default"}}, Mode: mesh.ModePermissive})
		}
		labels := map[string]string{"app": name}
		s.Services = append(s.Services, &mesh.Service{
			Object:    mesh.Object{Ref: mesh.Ref{Kind: mesh.KindService, Namespace: ns, Name: name}},
			Hostname:  name + "." + ns + ".svc.cluster.local",
			Selector:  labels,
			Addresses: []string{fmt.Sprintf("10.96.%d.%d", i/250, i%250+1)},
			Ports:     []mesh.Port{{Name: "http", Number: 80, TargetNumber: 8080}, {Name: "tcp", Number: 90, TargetNumber: 9090}},
		})
		s.Workloads = append(s.Workloads, &mesh.Workload{
			Object:  mesh.Object{Ref: mesh.Ref{Kind: mesh.KindPod, Namespace: ns, Name: name + "-1"}},
			Labels:  labels,
			Capture: mesh.CaptureSidecar, TLSMode: mesh.TLSModeIstio, Replicas: 1, ServiceAccount: name,
			Addresses: []string{fmt.Sprintf("10.244.%d.%d", i/250, i%250+1)},
		})
	}
	s.PeerAuthentications = append(s.PeerAuthentications, more...)
	return s
}

// strictOne turns STRICT on for one pod of a city.
func strictOne() *mesh.PeerAuthentication {
	return &mesh.PeerAuthentication{
		Object:   mesh.Object{Ref: mesh.Ref{Kind: mesh.KindPeerAuthentication, Namespace: "ns-000", Name: "one"}},
		Selector: map[string]string{"app": "svc-0007"}, Mode: mesh.ModeStrict,
	}
}

// BenchmarkViews makes the views of 1,000 nodes of 2,000 clusters from nothing.
func BenchmarkViews(b *testing.B) {
	r := resolve.New(city(1000))
	b.ReportAllocs()
	for b.Loop() {
		tr := xds.NewTranslator(r)
		for _, w := range r.Snapshot().Workloads {
			tr.View(xds.Node{Workload: w})
		}
	}
}

// BenchmarkMemory reports what 1,000 nodes of 2,000 clusters keep.
func BenchmarkMemory(b *testing.B) {
	r := resolve.New(city(1000))
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		tr := xds.NewTranslator(r)
		var views []xds.View
		for _, w := range r.Snapshot().Workloads {
			views = append(views, tr.View(xds.Node{Workload: w}))
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/1e6, "MB")
		runtime.KeepAlive(views)
		runtime.KeepAlive(tr)
	}
}

// BenchmarkPublish publishes to connected clients, from Set until everybody has acknowledged: one changed policy for one pod,
// for a namespace, one pod that is not ready, and one changed policy with everything read again, as from a directory.
func BenchmarkPublish(b *testing.B) {
	for _, nodes := range []int{100, 1000} {
		plain, one := city(nodes), city(nodes, strictOne())
		one.Services, one.Workloads, one.Namespaces = plain.Services, plain.Workloads, plain.Namespaces
		ns := city(nodes)
		ns.Services, ns.Workloads, ns.Namespaces, ns.Version = plain.Services, plain.Workloads, plain.Namespaces, "ns"
		ns.PeerAuthentications[1].Mode = mesh.ModeStrict
		b.Run(fmt.Sprintf("nodes=%d/pod", nodes), func(b *testing.B) {
			publish(b, plain, func(i int) *mesh.Snapshot { return []*mesh.Snapshot{one, plain}[i%2] })
		})
		b.Run(fmt.Sprintf("nodes=%d/namespace", nodes), func(b *testing.B) {
			publish(b, plain, func(i int) *mesh.Snapshot { return []*mesh.Snapshot{ns, plain}[i%2] })
		})
		ready := *plain
		ready.Version, ready.Unready = "one is not ready", []mesh.Ref{plain.Workloads[0].Ref}
		b.Run(fmt.Sprintf("nodes=%d/ready", nodes), func(b *testing.B) {
			publish(b, plain, func(i int) *mesh.Snapshot { return []*mesh.Snapshot{&ready, plain}[i%2] })
		})
		b.Run(fmt.Sprintf("nodes=%d/reread", nodes), func(b *testing.B) {
			publish(b, plain, func(i int) *mesh.Snapshot {
				if i%2 == 0 {
					return city(nodes, strictOne())
				}
				return city(nodes)
			})
		})
	}
}

func publish(b *testing.B, first *mesh.Snapshot, next func(i int) *mesh.Snapshot) {
	s := xds.NewServer(xds.Options{})
	r := resolve.New(first)
	start := time.Now()
	s.Set(r)
	crowd(b, s, first.Workloads)
	ctx, cancel := context.WithTimeout(b.Context(), 5*time.Minute)
	defer cancel()
	for changed := s.Changed(); len(s.Status()) < len(first.Workloads); changed = s.Changed() {
		<-changed
	}
	if acked, total, err := s.Wait(ctx, first.Version); err != nil || total != len(first.Workloads) {
		b.Fatalf("%d of %d: %v", acked, total, err)
	}
	b.Logf("first mesh in force on %d nodes after %s, connecting included", len(first.Workloads), time.Since(start).Round(time.Millisecond))
	var took []time.Duration
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		snap := next(i)
		b.StartTimer()
		begin := time.Now()
		r = r.With(snap)
		s.Set(r)
		if _, _, err := s.Wait(ctx, snap.Version); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}

// crowd connects a client of differences for each workload, a hundred to a connection, as cheap as they can be.
func crowd(b *testing.B, s *xds.Server, list []*mesh.Workload) {
	b.Helper()
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(b.Context())
	var conn *grpc.ClientConn
	for i, w := range list {
		if i%100 == 0 {
			conn = serve(b, s)
		}
		stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(ctx)
		if err != nil {
			b.Fatal(err)
		}
		node := &corev3.Node{Id: fmt.Sprintf("sidecar~%s~%s.%s~%s.svc.cluster.local", w.Addresses[0], w.Ref.Name, w.Ref.Namespace, w.Ref.Namespace)}
		for _, ty := range xds.Types() {
			if err := stream.Send(&discoveryv3.DeltaDiscoveryRequest{Node: node, TypeUrl: ty.URL(), ResourceNamesSubscribe: []string{"*"}}); err != nil {
				b.Fatal(err)
			}
			node = nil
		}
		wg.Add(1)
		go func() {
			defer wg.Done()
			for {
				r, err := stream.Recv()
				if err != nil || stream.Send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: r.TypeUrl, ResponseNonce: r.Nonce}) != nil {
					return
				}
			}
		}()
	}
	b.Cleanup(func() { cancel(); wg.Wait() })
}
