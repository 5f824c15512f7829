package xds

import (
	"fmt"

	udpav1 "github.com/cncf/xds/go/udpa/type/v1"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	alpnv2 "istio.io/api/envoy/config/filter/http/alpn/v2alpha1"
)

// The filters by their names in Istio and Envoy.
const (
	filterPeerExchange = "istio.metadata_exchange"
	filterALPN         = "istio.alpn"
	filterRouter       = "envoy.filters.http.router"
	filterHTTP         = "envoy.filters.network.http_connection_manager"
	filterTCP          = "envoy.filters.network.tcp_proxy"
)

// serverName is the server header of what a sidecar takes in.
const serverName = "oarlock"

// direction is which way the traffic of an HTTP connection manager goes.
type direction uint8

const (
	outward direction = iota
	inward
	edge // into the mesh, through a gateway
)

func typedStruct(url string, value map[string]*structpb.Value) proto.Message {
	return &udpav1.TypedStruct{TypeUrl: typePrefix + url, Value: fields(value)}
}

// tcpPeerExchange is Istio's exchange of who is there, for connections that agree on its ALPN.
func tcpPeerExchange() proto.Message {
	return typedStruct("envoy.tcp.metadataexchange.config.MetadataExchange", map[string]*structpb.Value{
		"enable_discovery": structpb.NewBoolValue(true), "protocol": structpb.NewStringValue(alpnPeerExchange)})
}

// upstreamFilters are those of a cluster towards the mesh. The legacy dialects had none.
func (t *Translator) upstreamFilters() []*clusterv3.Filter {
	if t.legacy {
		return nil
	}
	return []*clusterv3.Filter{{Name: filterPeerExchange, TypedConfig: t.part("tcp peers", tcpPeerExchange)}}
}

// httpPeerExchange is the same in headers.
func httpPeerExchange(d direction) proto.Message {
	list := func(names ...string) *structpb.Value {
		out := &structpb.ListValue{}
		for _, n := range names {
			out.Values = append(out.Values, structpb.NewStructValue(fields(map[string]*structpb.Value{n: structpb.NewStructValue(&structpb.Struct{})})))
		}
		return structpb.NewListValue(out)
	}
	side := "upstream"
	if d == inward {
		side = "downstream"
	}
	return typedStruct("io.istio.http.peer_metadata.Config", map[string]*structpb.Value{
		side + "_discovery":   list("istio_headers", "workload_discovery"),
		side + "_propagation": list("istio_headers"),
	})
}

// alpnOverride lets each request choose the mesh's ALPN for its protocol (semantics M33).
func alpnOverride() proto.Message {
	of := func(p alpnv2.FilterConfig_Protocol, wire, name string) *alpnv2.FilterConfig_AlpnOverride {
		return &alpnv2.FilterConfig_AlpnOverride{UpstreamProtocol: p, AlpnOverride: []string{name, alpnIstio, wire}}
	}
	return &alpnv2.FilterConfig{AlpnOverride: []*alpnv2.FilterConfig_AlpnOverride{
		of(alpnv2.FilterConfig_HTTP10, "http/1.0", "istio-http/1.0"),
		of(alpnv2.FilterConfig_HTTP11, "http/1.1", "istio-http/1.1"),
		of(alpnv2.FilterConfig_HTTP2, "h2", "istio-h2"),
	}}
}

// httpFilters: today's dialect knows the peer exchange, and which ALPN a request wants.
func (t *Translator) httpFilters(d direction) []*hcmv3.HttpFilter {
	of := func(name string, a *anypb.Any) *hcmv3.HttpFilter {
		return &hcmv3.HttpFilter{Name: name, ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: a}}
	}
	var out []*hcmv3.HttpFilter
	if !t.legacy {
		out = append(out, of(filterPeerExchange, t.part(fmt.Sprint("http peers ", d), func() proto.Message { return httpPeerExchange(d) })))
		if d != inward {
			out = append(out, of(filterALPN, t.part("alpn", alpnOverride)))
		}
	}
	return append(out, of(filterRouter, t.part("router", func() proto.Message { return &routerv3.Router{} })))
}

// manager is an HTTP connection manager: routes by name, or inline.
func (t *Translator) manager(d direction, stat, rds string, inline *routev3.RouteConfiguration) *listenerv3.Filter {
	m := &hcmv3.HttpConnectionManager{
		StatPrefix:        stat,
		HttpFilters:       t.httpFilters(d),
		AccessLog:         t.accessLog(),
		StreamIdleTimeout: seconds(0),
		UseRemoteAddress:  truth(d == edge),
		NormalizePath:     truth(true),
		UpgradeConfigs:    []*hcmv3.HttpConnectionManager_UpgradeConfig{{UpgradeType: "websocket"}},
		Proxy_100Continue: true,
	}
	if inline != nil {
		m.RouteSpecifier = &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: inline}
	} else {
		m.RouteSpecifier = &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{ConfigSource: nodeSource(), RouteConfigName: rds}}
	}
	shown := &hcmv3.HttpConnectionManager_SetCurrentClientCertDetails{Subject: truth(true), Dns: true, Uri: true}
	switch d {
	case inward:
		m.ServerName = serverName
		m.ForwardClientCertDetails, m.SetCurrentClientCertDetails = hcmv3.HttpConnectionManager_APPEND_FORWARD, shown
	case edge:
		shown.Cert = true
		m.ServerName = serverName
		m.ForwardClientCertDetails, m.SetCurrentClientCertDetails = hcmv3.HttpConnectionManager_SANITIZE_SET, shown
	}
	return networkFilter(filterHTTP, pack(m))
}

func networkFilter(name string, a *anypb.Any) *listenerv3.Filter {
	return &listenerv3.Filter{Name: name, ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: a}}
}

// forward carries bytes to clusters, each with its weight.
func (t *Translator) forward(stat string, idle *durationpb.Duration, logged bool, to ...target) *listenerv3.Filter {
	p := &tcpv3.TcpProxy{StatPrefix: stat, IdleTimeout: idle}
	if logged {
		p.AccessLog = t.accessLog()
	}
	if len(to) == 1 {
		p.ClusterSpecifier = &tcpv3.TcpProxy_Cluster{Cluster: to[0].cluster}
	} else {
		w := &tcpv3.TcpProxy_WeightedCluster{}
		for _, o := range to {
			if o.weight > 0 {
				w.Clusters = append(w.Clusters, &tcpv3.TcpProxy_WeightedCluster_ClusterWeight{Name: o.cluster, Weight: o.weight})
			}
		}
		p.ClusterSpecifier = &tcpv3.TcpProxy_WeightedClusters{WeightedClusters: w}
	}
	return networkFilter(filterTCP, pack(p))
}

// target is a cluster with its share.
type target struct {
	cluster string
	weight  uint32
}
