package xdsclient

import (
	"fmt"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/oarlock/oarlock/proxy"
)

// BenchmarkUpdate is what a response costs a sidecar that knows 2,000 clusters with ten endpoints each: all of them anew
// (first), all of them again as they are (same, state of the world), and one cluster's endpoints (endpoints).
func BenchmarkUpdate(b *testing.B) {
	const count = 2000
	template := &clusterv3.Cluster{}
	for _, raw := range recorded(b, "permissive")[kindCluster].Resources {
		if nameOf(raw.Value) == "outbound|80||web.app.svc.cluster.local" {
			if err := decode(raw, template); err != nil {
				b.Fatal(err)
			}
		}
	}
	clusters, endpoints := map[string]change{}, map[string]change{}
	for n := range count {
		name := fmt.Sprintf("outbound|80||svc-%d.app.svc.cluster.local", n)
		template.Name, template.EdsClusterConfig.ServiceName = name, name
		raw, err := anypb.New(template)
		if err != nil {
			b.Fatal(err)
		}
		clusters[name] = change{raw, "1"}
		a := endpointOf(name, 80)
		for range 9 {
			a.Endpoints[0].LbEndpoints = append(a.Endpoints[0].LbEndpoints, a.Endpoints[0].LbEndpoints[0])
		}
		if raw, err = anypb.New(a); err != nil {
			b.Fatal(err)
		}
		endpoints[name] = change{raw, "1"}
	}
	begin := func() *session {
		c, err := New(Options{Target: "none", Apply: func(*proxy.Config) error { return nil }, FetchTimeout: time.Hour})
		if err != nil {
			b.Fatal(err)
		}
		s := newSession(c, link{send: func(request) error { return nil }})
		for _, u := range []*update{
			{kind: kindListener, full: true}, {kind: kindCluster, full: true, changes: clusters},
			{kind: kindEndpoints, changes: endpoints},
		} {
			if err := s.take(u); err != nil || c.status.Refused > 0 {
				b.Fatal(err, c.Dump())
			}
		}
		if !c.status.Applied {
			b.Fatal("not applied")
		}
		return s
	}
	b.Run("first", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			begin()
		}
	})
	s := begin()
	b.Run("same", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = s.take(&update{kind: kindCluster, full: true, changes: clusters})
		}
	})
	b.Run("endpoints", func(b *testing.B) {
		b.ReportAllocs()
		name := "outbound|80||svc-7.app.svc.cluster.local"
		for port := 1; b.Loop(); port = port%1000 + 1 {
			raw, _ := anypb.New(endpointOf(name, port))
			_ = s.take(&update{kind: kindEndpoints, changes: map[string]change{name: {raw, "2"}}})
		}
	})
}
