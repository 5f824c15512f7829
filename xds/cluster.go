package xds

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/resolve"
)

// The clusters that every sidecar has.
const (
	passthroughCluster        = "PassthroughCluster"
	inboundPassthroughCluster = "InboundPassthroughCluster"
	blackHoleCluster          = "BlackHoleCluster"
)

const (
	httpOptions    = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
	unlimited      = 4294967295
	connectTimeout = 10 // seconds
	inboundSource  = "127.0.0.6"
)

// cluster is one port of a service, or of a subset of it, as a node sees it.
type cluster struct {
	resolve.Cluster
	service  *mesh.Service
	port     *mesh.Port
	protocol resolve.Protocol
	router   bool
	name     string
}

// clusterKey is all that the content of a cluster and of its endpoints comes from.
type clusterKey struct {
	resolve.Cluster
	service *mesh.Service
	port    *mesh.Port
	router  bool
}

func (c *cluster) equal(o *cluster) bool {
	return c.Cluster == o.Cluster && c.service == o.service && c.port == o.port && c.router == o.router
}

func (c *cluster) subset() string {
	if c.Subset == nil {
		return ""
	}
	return c.Subset.Name
}

func (c *cluster) sni() string {
	return fmt.Sprintf("outbound_.%d_.%s_.%s", c.port.Number, c.subset(), c.service.Hostname)
}

func (c *cluster) settings(d mesh.Dialect) mesh.Settings {
	var sub *mesh.TrafficPolicy
	if c.Subset != nil {
		sub = c.Subset.TrafficPolicy
	}
	return mesh.SettingsFor(c.Policy, sub, c.port, d)
}

// kind is how the endpoints are found.
func (c *cluster) kind() clusterv3.Cluster_DiscoveryType {
	switch {
	case c.Original:
		return clusterv3.Cluster_ORIGINAL_DST
	case c.service.Resolution == mesh.ResolutionDNS, c.service.Resolution == mesh.ResolutionExternalName:
		return clusterv3.Cluster_STRICT_DNS
	}
	return clusterv3.Cluster_EDS
}

// make gives the resources of a cluster; what has the same origin is made once.
func (t *Translator) make(c *cluster) made {
	k := clusterKey{c.Cluster, c.service, c.port, c.router}
	if m, ok := t.clusters[k]; ok {
		return m
	}
	members := t.serving(c)
	m, ok := t.last.clusters[k]
	if !ok || !slices.Equal(m.members, members) {
		if ok && c.kind() == clusterv3.Cluster_EDS {
			m = made{cluster: m.cluster, members: members}
		} else {
			m = made{cluster: t.store.add(c.name, t.outbound(c)), members: members}
		}
		if c.kind() == clusterv3.Cluster_EDS {
			m.endpoints = t.store.add(c.name, t.assignment(c))
		}
	}
	t.clusters[k] = m
	return m
}

// outbound is the cluster of a service port or subset.
func (t *Translator) outbound(c *cluster) *clusterv3.Cluster {
	set := c.settings(t.snap.Dialect)
	out := &clusterv3.Cluster{
		Name:                 c.name,
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: c.kind()},
		ConnectTimeout:       seconds(connectTimeout),
		LbPolicy:             t.balancer(set.LoadBalancer),
		CommonLbConfig:       &clusterv3.Cluster_CommonLbConfig{HealthyPanicThreshold: &typev3.Percent{}},
		Metadata:             t.clusterMetadata(c),
		Filters:              t.upstreamFilters(),
	}
	switch c.kind() {
	case clusterv3.Cluster_ORIGINAL_DST:
		out.LbPolicy = clusterv3.Cluster_CLUSTER_PROVIDED
	case clusterv3.Cluster_EDS:
		out.EdsClusterConfig = &clusterv3.Cluster_EdsClusterConfig{EdsConfig: nodeSource(), ServiceName: c.name}
	case clusterv3.Cluster_STRICT_DNS:
		out.LoadAssignment = t.assignment(c)
		// The newer way to say it is an extension of its own, which Istio does not use either.
		//lint:ignore SA1019 as Istio has it
		out.RespectDnsTtl = true
		//lint:ignore SA1019 as Istio has it
		out.DnsRefreshRate = seconds(60)
		out.DnsLookupFamily = clusterv3.Cluster_V4_ONLY
	}
	applyPool(out, set.ConnectionPool)
	applyOutliers(out, set.OutlierDetection)
	t.applyHTTP(out, c, set.ConnectionPool)
	t.applyTLS(out, c)
	return out
}

// balancer: what a rule does not say is round robin in the legacy dialects, and least request today.
func (t *Translator) balancer(simple string) clusterv3.Cluster_LbPolicy {
	switch simple {
	case "ROUND_ROBIN":
		return clusterv3.Cluster_ROUND_ROBIN
	case "RANDOM":
		return clusterv3.Cluster_RANDOM
	case "LEAST_CONN", "LEAST_REQUEST":
		return clusterv3.Cluster_LEAST_REQUEST
	}
	if t.legacy {
		return clusterv3.Cluster_ROUND_ROBIN
	}
	return clusterv3.Cluster_LEAST_REQUEST
}

func limit(n *uint32) uint32 {
	if n == nil || *n == 0 {
		return unlimited
	}
	return *n
}

// applyPool sets circuit breakers, the connect timeout and keep-alive. What is not said has no limit, as in Istio.
func applyPool(out *clusterv3.Cluster, p *mesh.ConnectionPool) {
	if p == nil {
		p = &mesh.ConnectionPool{}
	}
	out.CircuitBreakers = &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{{
		MaxConnections:     number(limit(p.MaxConnections)),
		MaxPendingRequests: number(limit(p.HTTP1MaxPendingRequests)),
		MaxRequests:        number(limit(p.HTTP2MaxRequests)),
		MaxRetries:         number(limit(p.MaxRetries)),
	}}}
	if p.ConnectTimeout > 0 {
		out.ConnectTimeout = durationpb.New(p.ConnectTimeout)
	}
	if k := p.TCPKeepalive; k != nil {
		ka := &corev3.TcpKeepalive{}
		if k.Probes > 0 {
			ka.KeepaliveProbes = number(k.Probes)
		}
		if k.Time > 0 {
			ka.KeepaliveTime = number(uint32(k.Time.Seconds()))
		}
		if k.Interval > 0 {
			ka.KeepaliveInterval = number(uint32(k.Interval.Seconds()))
		}
		out.UpstreamConnectionOptions = &clusterv3.UpstreamConnectionOptions{TcpKeepalive: ka}
	}
}

// applyOutliers never ejects by success rate, as Istio does not.
func applyOutliers(out *clusterv3.Cluster, o *mesh.OutlierDetection) {
	if o == nil {
		return
	}
	d := &clusterv3.OutlierDetection{EnforcingSuccessRate: number(0), SplitExternalLocalOriginErrors: o.SplitLocalErrors}
	enforce := func(n *uint32) (count, percent *uint32) {
		if n == nil {
			return nil, nil
		}
		all := uint32(100)
		if *n == 0 {
			all = 0
		}
		return n, &all
	}
	if n, all := enforce(o.Consecutive5xx); n != nil {
		d.Consecutive_5Xx, d.EnforcingConsecutive_5Xx = number(*n), number(*all)
	}
	if n, all := enforce(o.ConsecutiveGatewayErrors); n != nil {
		d.ConsecutiveGatewayFailure, d.EnforcingConsecutiveGatewayFailure = number(*n), number(*all)
	}
	if o.SplitLocalErrors {
		if n, all := enforce(o.ConsecutiveLocalErrors); n != nil {
			d.ConsecutiveLocalOriginFailure, d.EnforcingConsecutiveLocalOriginFailure = number(*n), number(*all)
		}
		d.EnforcingLocalOriginSuccessRate = number(0)
	}
	if o.Interval > 0 {
		d.Interval = durationpb.New(o.Interval)
	}
	if o.BaseEjectionTime > 0 {
		d.BaseEjectionTime = durationpb.New(o.BaseEjectionTime)
	}
	if o.MaxEjectionPercent != nil {
		d.MaxEjectionPercent = number(min(*o.MaxEjectionPercent, 100))
	}
	if o.MinHealthPercent != nil {
		out.CommonLbConfig.HealthyPanicThreshold = &typev3.Percent{Value: float64(min(*o.MinHealthPercent, 100))}
	}
	out.OutlierDetection = d
}

// applyHTTP says which HTTP the upstream speaks, where that is not plain HTTP/1.1 with defaults.
func (t *Translator) applyHTTP(out *clusterv3.Cluster, c *cluster, p *mesh.ConnectionPool) {
	if p == nil {
		p = &mesh.ConnectionPool{}
	}
	common := &corev3.HttpProtocolOptions{}
	if p.HTTPIdleTimeout > 0 {
		common.IdleTimeout = durationpb.New(p.HTTPIdleTimeout)
	}
	if p.MaxConnectionDuration > 0 {
		common.MaxConnectionDuration = durationpb.New(p.MaxConnectionDuration)
	}
	if p.MaxRequestsPerConnection != nil && *p.MaxRequestsPerConnection > 0 {
		common.MaxRequestsPerConnection = number(*p.MaxRequestsPerConnection)
	}
	h2 := c.protocol.HTTP2() || c.protocol.Class == resolve.ProtocolHTTP && p.H2UpgradePolicy == "UPGRADE"
	client := p.UseClientProtocol || c.protocol.Class == resolve.ProtocolAuto
	limited := common.IdleTimeout != nil || common.MaxConnectionDuration != nil || common.MaxRequestsPerConnection != nil
	named := !t.legacy && c.TLS != nil && c.TLS.SNI == "" && c.protocol.Class != resolve.ProtocolTCP &&
		(c.Sends == mesh.ClientSimple || c.Sends == mesh.ClientMutual)
	if !h2 && !client && !limited && !named {
		return
	}
	opts := httpVersions(h2, client, p.MaxConcurrentStreams)
	if limited {
		opts.CommonHttpProtocolOptions = common
	}
	if named {
		opts.UpstreamHttpProtocolOptions = &corev3.UpstreamHttpProtocolOptions{AutoSni: true, AutoSanValidation: true}
	}
	out.TypedExtensionProtocolOptions = map[string]*anypb.Any{httpOptions: pack(opts)}
}

// httpVersions: HTTP/2, what the client of this connection speaks, or HTTP/1.1.
func httpVersions(h2, client bool, streams *uint32) *httpv3.HttpProtocolOptions {
	two := &corev3.Http2ProtocolOptions{}
	if streams != nil && *streams > 0 {
		two.MaxConcurrentStreams = number(*streams)
	}
	switch {
	case client:
		return &httpv3.HttpProtocolOptions{UpstreamProtocolOptions: &httpv3.HttpProtocolOptions_UseDownstreamProtocolConfig{
			UseDownstreamProtocolConfig: &httpv3.HttpProtocolOptions_UseDownstreamHttpConfig{
				HttpProtocolOptions: &corev3.Http1ProtocolOptions{}, Http2ProtocolOptions: two}}}
	case h2:
		return &httpv3.HttpProtocolOptions{UpstreamProtocolOptions: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{
			ExplicitHttpConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig{
				ProtocolConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{Http2ProtocolOptions: two}}}}
	}
	return &httpv3.HttpProtocolOptions{UpstreamProtocolOptions: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{
		ExplicitHttpConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig{
			ProtocolConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_HttpProtocolOptions{HttpProtocolOptions: &corev3.Http1ProtocolOptions{}}}}}
}

// applyTLS gives auto mTLS its two sockets, by the label of the endpoint, and a rule's mode its one (semantics M29).
func (t *Translator) applyTLS(out *clusterv3.Cluster, c *cluster) {
	switch {
	case c.Auto:
		out.TransportSocketMatches = []*clusterv3.Cluster_TransportSocketMatch{
			{Name: "tlsMode-istio", Match: fields(map[string]*structpb.Value{tlsMode: structpb.NewStringValue(mesh.TLSModeIstio)}), TransportSocket: t.meshTLS(c)},
			{Name: "tlsMode-disabled", Match: &structpb.Struct{}, TransportSocket: plaintext()},
		}
	case c.Sends == mesh.ClientIstioMutual:
		out.TransportSocket = t.meshTLS(c)
	case c.Sends == mesh.ClientSimple, c.Sends == mesh.ClientMutual:
		out.TransportSocket = t.foreignTLS(c)
	}
}

// clusterMetadata names the rule, the services and the object that decided on TLS.
func (t *Translator) clusterMetadata(c *cluster) *corev3.Metadata {
	istio := map[string]*structpb.Value{"services": services(c.service)}
	if c.Rule != nil {
		istio["config"] = structpb.NewStringValue(t.configPath("destination-rule", &c.Rule.Object))
	}
	if c.Subset != nil {
		istio["subset"] = structpb.NewStringValue(c.Subset.Name)
	}
	if c.service.External {
		istio["external"] = structpb.NewBoolValue(true)
	}
	if c.Sends == mesh.ClientSimple || c.Sends == mesh.ClientMutual {
		istio["alpn_override"] = structpb.NewStringValue("false")
	}
	out := &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{metaIstio: fields(istio)}}
	if !c.From.IsZero() {
		out.FilterMetadata[metaOwn] = policyFields(c.From)
	}
	return out
}

// The names of metadata.
const (
	metaIstio = "istio"
	// metaOwn holds "policy": the object that decided, as mesh.Ref prints it. The snapshot's version is not here, or every
	// resource would be another after every edit.
	metaOwn   = "oarlock"
	metaMatch = "envoy.transport_socket_match"
	tlsMode   = "tlsMode"
)

func policyFields(r mesh.Ref) *structpb.Struct {
	return fields(map[string]*structpb.Value{"policy": structpb.NewStringValue(r.String())})
}

// services is the list by which series are labelled.
func services(s *mesh.Service) *structpb.Value {
	name := s.Ref.Name
	if s.Entry() {
		name = s.Hostname // as Istio calls the service of a ServiceEntry
	}
	return structpb.NewListValue(&structpb.ListValue{Values: []*structpb.Value{structpb.NewStructValue(fields(map[string]*structpb.Value{
		"host":      structpb.NewStringValue(s.Hostname),
		"name":      structpb.NewStringValue(name),
		"namespace": structpb.NewStringValue(s.Ref.Namespace),
	}))}})
}

// serving are the members of a cluster that get its traffic.
func (t *Translator) serving(c *cluster) []resolve.Member {
	return slices.DeleteFunc(t.r.Members(c.service, c.port, c.Cluster), func(m resolve.Member) bool { return !c.service.PublishNotReady && !t.snap.Ready(m.Workload) })
}

// assignment lists the endpoints of a cluster: those that serve and have an address. All are in one locality. A service of
// which none is ready has none, and is answered with 503 UH.
func (t *Translator) assignment(c *cluster) *endpointv3.ClusterLoadAssignment {
	out := &endpointv3.ClusterLoadAssignment{ClusterName: c.name}
	var list []*endpointv3.LbEndpoint
	members, serving := len(t.r.Members(c.service, c.port, c.Cluster)), t.serving(c)
	for _, m := range serving {
		for _, a := range m.Workload.Addresses {
			list = append(list, endpoint(m, a))
			if !c.service.Entry() {
				break // a pod's further addresses are the same pod
			}
		}
	}
	if len(list) == 0 && c.kind() == clusterv3.Cluster_STRICT_DNS && len(serving) == members {
		list = append(list, &endpointv3.LbEndpoint{
			HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{Address: address(
				cmp.Or(c.service.ExternalName, c.service.Hostname), cmp.Or(c.port.TargetNumber, c.port.Number))}},
			LoadBalancingWeight: number(1),
		})
	}
	if len(list) > 0 {
		out.Endpoints = []*endpointv3.LocalityLbEndpoints{{
			Locality: &corev3.Locality{}, LbEndpoints: list, LoadBalancingWeight: number(uint32(len(list))),
		}}
	}
	return out
}

func endpoint(m resolve.Member, addr string) *endpointv3.LbEndpoint {
	meta := map[string]*structpb.Struct{
		metaIstio: fields(map[string]*structpb.Value{"workload": structpb.NewStringValue(workloadName(m.Workload))}),
	}
	if m.Labelled {
		meta[metaMatch] = fields(map[string]*structpb.Value{tlsMode: structpb.NewStringValue(mesh.TLSModeIstio)})
	}
	return &endpointv3.LbEndpoint{
		HostIdentifier:      &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{Address: address(addr, m.Port)}},
		Metadata:            &corev3.Metadata{FilterMetadata: meta},
		LoadBalancingWeight: number(1),
	}
}

// workloadName is Istio's "name;namespace;canonical name;canonical revision;cluster".
func workloadName(w *mesh.Workload) string {
	name := cmp.Or(w.Owner.Name, w.Ref.Name)
	if !w.InlineOf.IsZero() {
		name = strings.NewReplacer("[", "-", "]", "").Replace(name) // NAME[0] is NAME-0 to Istio
	}
	canonical := cmp.Or(w.Labels["service.istio.io/canonical-name"], w.Labels["app.kubernetes.io/name"], w.Labels["app"], name)
	revision := cmp.Or(w.Labels["service.istio.io/canonical-revision"], w.Labels["app.kubernetes.io/version"], w.Labels["version"])
	return fmt.Sprintf("%s;%s;%s;%s;%s", name, w.Ref.Namespace, canonical, revision, "Kubernetes")
}

func address(host string, port uint32) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: host, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: port}}}}
}

// blackHole has no endpoint: what is sent there is refused.
func (t *Translator) blackHole() *Resource {
	return t.store.add(blackHoleCluster, &clusterv3.Cluster{
		Name: blackHoleCluster, ConnectTimeout: seconds(connectTimeout),
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC},
	})
}

// original is a cluster that keeps the original destination.
func original(name string) *clusterv3.Cluster {
	out := &clusterv3.Cluster{
		Name: name, ConnectTimeout: seconds(connectTimeout), LbPolicy: clusterv3.Cluster_CLUSTER_PROVIDED,
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_ORIGINAL_DST},
	}
	applyPool(out, nil)
	return out
}

// passthrough is the cluster for what is in no registry, or in none of the workload's services.
func (t *Translator) passthrough(name string) *Resource {
	out := original(name)
	opts := httpVersions(false, true, nil)
	opts.CommonHttpProtocolOptions = &corev3.HttpProtocolOptions{IdleTimeout: seconds(300)}
	out.TypedExtensionProtocolOptions = map[string]*anypb.Any{httpOptions: pack(opts)}
	if name == inboundPassthroughCluster {
		out.UpstreamBindConfig = fromInside()
	} else {
		out.Filters = t.upstreamFilters()
	}
	return t.store.add(name, out)
}

// fromInside is the address by which the application's own listener knows what its sidecar forwards.
func fromInside() *corev3.BindConfig {
	return &corev3.BindConfig{SourceAddress: &corev3.SocketAddress{
		Address: inboundSource, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: 0}}}
}

// inboundClusters lead to the application: one for each declared port.
func (t *Translator) inboundClusters(listens []resolve.Listen) []*Resource {
	out := []*Resource{t.passthrough(inboundPassthroughCluster)}
	for _, l := range listens {
		if !l.Declared {
			continue
		}
		name := inboundName(l.Port)
		c := original(name)
		c.UpstreamBindConfig = fromInside()
		if l.Service != nil {
			c.Metadata = &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{metaIstio: fields(map[string]*structpb.Value{"services": services(l.Service)})}}
		}
		if h2, client := l.Protocol.HTTP2(), l.Protocol.Class == resolve.ProtocolAuto && !t.legacy; h2 || client {
			c.TypedExtensionProtocolOptions = map[string]*anypb.Any{httpOptions: pack(httpVersions(h2, client, nil))}
		}
		out = append(out, t.store.add(name, c))
	}
	return out
}

func inboundName(port uint32) string { return fmt.Sprintf("inbound|%d||", port) }
