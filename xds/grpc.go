package xds

import (
	"fmt"
	"net"
	"strconv"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/resolve"
)

const (
	// grpcServer begins the name by which a gRPC server asks for its own listener, as Istio's bootstrap has it.
	grpcServer = "xds.istio.io/grpc/lds/inbound/"
	// provider is the certificate provider of a gRPC client's bootstrap.
	provider = "default"
)

// viewGRPC is what an application needs that speaks xDS itself: for each service port a listener HOST:PORT with its routes
// and its cluster, and for each port of its own one for the server. It asks for them by name.
func (t *Translator) viewGRPC(v *View, n Node) {
	sc := t.scope(n)
	var out [typeCount][]*Resource
	for _, c := range sc.clusters {
		if c.kind() != clusterv3.Cluster_EDS && c.kind() != clusterv3.Cluster_ORIGINAL_DST {
			continue
		}
		r := t.grpcCluster(c)
		if r == nil {
			continue
		}
		out[Clusters] = append(out[Clusters], r)
		out[Endpoints] = append(out[Endpoints], t.store.add(c.name, t.assignment(c)))
		if c.Subset != nil {
			continue
		}
		name := fmt.Sprintf("%s:%d", c.service.Hostname, c.port.Number)
		out[Listeners] = append(out[Listeners], t.grpcListener(name, c))
		out[Routes] = append(out[Routes], t.table(c.name, []host{sc.sharedHost(c, name)}))
	}
	out[Listeners] = append(out[Listeners], t.grpcServers(n.Workload)...)
	for _, ty := range Types() {
		v.lists[ty].own = t.store.intern(out[ty])
	}
}

// grpcListener leads a channel to its routes.
func (t *Translator) grpcListener(name string, c *cluster) *Resource {
	m := &hcmv3.HttpConnectionManager{
		StatPrefix:  "outbound_" + name + ";",
		HttpFilters: grpcFilters(),
		RouteSpecifier: &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{
			ConfigSource: nodeSource(), RouteConfigName: c.name}},
	}
	return t.store.add(name, &listenerv3.Listener{
		Name: name, Address: address(anyAddress, c.port.Number), ApiListener: &listenerv3.ApiListener{ApiListener: pack(m)},
	})
}

func grpcFilters() []*hcmv3.HttpFilter {
	return []*hcmv3.HttpFilter{{Name: filterRouter, ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: pack(&routerv3.Router{})}}}
}

// grpcCluster is a cluster with its certificates in the client's bootstrap. gRPC cannot choose by endpoint and offers no
// ALPN of the mesh, which a PERMISSIVE port would want: so auto mTLS is mTLS where every endpoint is STRICT, and plaintext
// elsewhere. A rule that wants certificates of its own cannot be obeyed, and there is no cluster: better none than plaintext.
func (t *Translator) grpcCluster(c *cluster) *Resource {
	if c.Sends == mesh.ClientSimple || c.Sends == mesh.ClientMutual {
		return nil
	}
	out := &clusterv3.Cluster{
		Name:                 c.name,
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS},
		EdsClusterConfig:     &clusterv3.Cluster_EdsClusterConfig{EdsConfig: nodeSource(), ServiceName: c.name},
		ConnectTimeout:       seconds(connectTimeout),
		LbPolicy:             clusterv3.Cluster_ROUND_ROBIN,
		Metadata:             t.clusterMetadata(c),
	}
	if p := c.settings(t.snap.Dialect).ConnectionPool; p != nil && p.HTTP2MaxRequests != nil {
		out.CircuitBreakers = &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{{MaxRequests: number(*p.HTTP2MaxRequests)}}}
	}
	if c.Sends == mesh.ClientIstioMutual && (!c.Auto || t.allStrict(c)) {
		names := t.accounts(c.service)
		if c.TLS != nil && len(c.TLS.SubjectAltNames) > 0 {
			names = c.TLS.SubjectAltNames
		}
		check := peerNames(exactly(names))
		check.CaCertificateProviderInstance = &tlsv3.CertificateProviderPluginInstance{InstanceName: provider, CertificateName: secretRoots}
		out.TransportSocket = socket(tlsSocket, &tlsv3.UpstreamTlsContext{CommonTlsContext: &tlsv3.CommonTlsContext{
			TlsCertificateProviderInstance: &tlsv3.CertificateProviderPluginInstance{InstanceName: provider, CertificateName: secretOwn},
			ValidationContextType:          &tlsv3.CommonTlsContext_ValidationContext{ValidationContext: check},
		}})
	}
	return t.store.add(c.name, out)
}

// allStrict says whether every endpoint takes mTLS alone; false where none is known.
func (t *Translator) allStrict(c *cluster) bool {
	list := t.r.Members(c.service, c.port, c.Cluster)
	for _, m := range list {
		if mode, _ := t.r.ServerMode(m.Workload, c.service, c.port.Number); !m.Labelled || mode != resolve.ServerStrict {
			return false
		}
	}
	return len(list) > 0
}

// grpcServers are the listeners of the workload's own gRPC servers, by the address that they listen on. gRPC cannot take
// both plaintext and TLS on one port: PERMISSIVE is plaintext, as in Istio.
func (t *Translator) grpcServers(w *mesh.Workload) []*Resource {
	var out []*Resource
	for _, l := range t.r.Listens(w) {
		if l.Port == 0 {
			continue
		}
		for _, host := range append([]string{anyAddress, "::"}, w.Addresses...) {
			out = append(out, t.grpcServer(host, l))
		}
	}
	return out
}

func (t *Translator) grpcServer(host string, l resolve.Listen) *Resource {
	m := &hcmv3.HttpConnectionManager{
		StatPrefix:  fmt.Sprintf("inbound_%d;", l.Port),
		HttpFilters: grpcFilters(),
		RouteSpecifier: &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: &routev3.RouteConfiguration{
			Name: inboundName(l.Port),
			VirtualHosts: []*routev3.VirtualHost{{Name: inboundName(l.Port), Domains: []string{"*"}, Routes: []*routev3.Route{{
				Match: everyPath(), Action: &routev3.Route_NonForwardingAction{NonForwardingAction: &routev3.NonForwardingAction{}}}}}},
		}},
	}
	chain := &listenerv3.FilterChain{Name: inboundName(l.Port), Filters: []*listenerv3.Filter{networkFilter(filterHTTP, pack(m))}}
	if l.Mode == mesh.ModeStrict {
		chain.TransportSocket = socket(tlsSocket, &tlsv3.DownstreamTlsContext{
			CommonTlsContext: &tlsv3.CommonTlsContext{
				TlsCertificateProviderInstance: &tlsv3.CertificateProviderPluginInstance{InstanceName: provider, CertificateName: secretOwn},
				ValidationContextType: &tlsv3.CommonTlsContext_ValidationContext{ValidationContext: &tlsv3.CertificateValidationContext{
					CaCertificateProviderInstance: &tlsv3.CertificateProviderPluginInstance{InstanceName: provider, CertificateName: secretRoots}}},
			},
			RequireClientCertificate: truth(true),
		})
	}
	name := grpcServer + net.JoinHostPort(host, strconv.Itoa(int(l.Port)))
	return t.store.add(name, &listenerv3.Listener{
		Name: name, Address: address(host, l.Port), FilterChains: []*listenerv3.FilterChain{chain},
		TrafficDirection: corev3.TrafficDirection_INBOUND,
	})
}
