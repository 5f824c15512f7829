package xdsclient

import (
	"fmt"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/oarlock/oarlock/proxy"
)

// kind is one of the resource types that are subscribed to, in the order in which they are asked for.
type kind int

const (
	kindCluster kind = iota
	kindEndpoints
	kindListener
	kindRoutes
	kinds
)

// The type URLs.
const (
	ClusterType   = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
	EndpointsType = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
	ListenerType  = "type.googleapis.com/envoy.config.listener.v3.Listener"
	RoutesType    = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
)

func (k kind) url() string {
	return [...]string{ClusterType, EndpointsType, ListenerType, RoutesType}[k]
}

func (k kind) String() string {
	return [...]string{"cluster", "endpoints", "listener", "routes"}[k]
}

// wildcard says whether all resources of the kind are wanted, rather than those that others name.
func (k kind) wildcard() bool { return k == kindCluster || k == kindListener }

// names is the kind of the resources that one of this kind names.
func (k kind) names() kind { return k + 1 }

func kindOf(url string) (kind, bool) {
	for k := range kinds {
		if k.url() == url {
			return k, true
		}
	}
	return 0, false
}

// A resource is one that was translated. It is immutable.
type resource struct {
	name    string
	raw     *anypb.Any
	ignored []string
	wants   []string // names of the next kind: endpoints of a cluster, routes of a listener
	parts   parts    // of a listener, for its next version

	// One of these, by the kind.
	cluster   *proxy.Cluster
	endpoints []proxy.Endpoint
	listener  *proxy.Listener
	routes    *proxy.RouteTable
}

// translate makes a resource of the kind from what came over the wire. before is what the resource was until now, nil for a
// new one.
func translate(k kind, raw *anypb.Any, logs AccessLogFunc, before *resource) (*resource, error) {
	t := &translation{logs: logs}
	if before != nil {
		t.before = before.parts
	}
	out := &resource{raw: raw}
	var err error
	switch k {
	case kindCluster:
		m := &clusterv3.Cluster{}
		if err = decode(raw, m); err == nil {
			out.name = m.Name
			var eds string
			if out.cluster, eds, err = t.translateCluster(m); eds != "" {
				out.wants = []string{eds}
			}
		}
	case kindEndpoints:
		m := &endpointv3.ClusterLoadAssignment{}
		if err = decode(raw, m); err == nil {
			out.name = m.ClusterName
			out.endpoints, err = t.translateEndpoints(m, false)
		}
	case kindListener:
		m := &listenerv3.Listener{}
		pieces, rest := cut(raw.Value, fieldChains, fieldLogs, fieldDefault)
		if err = decode(&anypb.Any{TypeUrl: raw.TypeUrl, Value: rest}, m); err == nil {
			out.name = m.Name
			if err = t.rawFields(rest, plainListener, m, listenerObeyed, listenerHarmless); err == nil {
				out.listener, out.wants, err = t.translateListener(m, pieces)
			}
			out.parts = t.worthKeeping()
		}
	case kindRoutes:
		m := &routev3.RouteConfiguration{}
		if err = decode(raw, m); err == nil {
			out.name = m.Name
			out.routes, err = t.translateRoutes(m)
		}
	}
	if err == nil && out.name == "" {
		err = errNoName
	}
	if err != nil {
		return nil, fmt.Errorf("translate %s %q: %w", k, out.name, err)
	}
	out.ignored = t.ignored
	return out, nil
}
