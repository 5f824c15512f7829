package xds_test

import (
	"maps"
	"slices"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/proto"
)

func nameOf(m proto.Message) string {
	switch m := m.(type) {
	case *clusterv3.Cluster:
		return m.Name
	case *endpointv3.ClusterLoadAssignment:
		return m.ClusterName
	case *listenerv3.Listener:
		return m.Name
	case *routev3.RouteConfiguration:
		return m.Name
	}
	return ""
}

func sorted(m map[string][]byte) []string { return slices.Sorted(maps.Keys(m)) }

// endpointNames are the assignments that clusters ask for.
func endpointNames(t testing.TB, clusters map[string][]byte) []string {
	var out []string
	for _, b := range clusters {
		c := &clusterv3.Cluster{}
		if err := proto.Unmarshal(b, c); err != nil {
			t.Fatal(err)
		}
		if c.GetType() == clusterv3.Cluster_EDS {
			out = append(out, c.Name)
		}
	}
	slices.Sort(out)
	return out
}

// routeNames are the tables that listeners ask for.
func routeNames(t testing.TB, listeners map[string][]byte) []string {
	var out []string
	for _, b := range listeners {
		l := &listenerv3.Listener{}
		if err := proto.Unmarshal(b, l); err != nil {
			t.Fatal(err)
		}
		for _, c := range append(slices.Clone(l.FilterChains), l.DefaultFilterChain) {
			for _, f := range c.GetFilters() {
				m := &hcmv3.HttpConnectionManager{}
				if f.GetTypedConfig().UnmarshalTo(m) == nil && m.GetRds() != nil {
					out = append(out, m.GetRds().RouteConfigName)
				}
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
