package difftest

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
	"time"

	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpoint "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	meshconfig "istio.io/api/mesh/v1alpha1"
	networking "istio.io/api/networking/v1alpha3"
	"istio.io/istio/pilot/pkg/config/kube/crd"
	"istio.io/istio/pilot/pkg/model"
	"istio.io/istio/pilot/pkg/networking/core"
	"istio.io/istio/pilot/pkg/networking/util"
	"istio.io/istio/pilot/pkg/security/authn"
	"istio.io/istio/pilot/pkg/xds/endpoints"
	"istio.io/istio/pilot/test/xds"
	"istio.io/istio/pkg/config"
	"istio.io/istio/pkg/config/host"
	"istio.io/istio/pkg/config/mesh"
	"istio.io/istio/pkg/test"
	"k8s.io/apimachinery/pkg/runtime"
)

const clusterDomain = "cluster.local"

// noTime stands for a creation time that an object does not have: all such objects are equally old, and younger than
// every object with a time, as they are for oarlock.
func noTime() time.Time { return time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC) }

// AskIstio gives Istio's answers about a mesh, or the reason why Istio refuses one of its objects.
func AskIstio(docs []Doc) (Answers, error) {
	cfg, err := meshConfigOf(docs)
	if err != nil {
		return nil, err
	}
	configs, err := configsOf(docs)
	if err != nil {
		return nil, err
	}
	objects, err := kubeObjects(docs)
	if err != nil {
		return nil, err
	}
	out := Answers{}
	err = test.Wrap(func(t test.Failer) {
		var server *core.ConfigGenTest
		if len(objects) == 0 {
			server = core.NewConfigGenTest(t, core.TestOptions{Configs: configs, MeshConfig: cfg})
		} else {
			server = fakeKubernetes(t, configs, objects, cfg)
		}
		a := &asker{server: server, out: out}
		for _, d := range docs {
			if d.Sidecar() {
				a.ask(d, docs)
			}
		}
	})
	return out, err
}

// fakeKubernetes starts the larger fake, which also reads Services, Pods and EndpointSlices.
func fakeKubernetes(t test.Failer, configs []config.Config, objects []runtime.Object, cfg *meshconfig.MeshConfig) *core.ConfigGenTest {
	return xds.NewFakeDiscoveryServer(t, xds.FakeOptions{Configs: configs, KubernetesObjects: objects, MeshConfig: cfg}).ConfigGenTest
}

func meshConfigOf(docs []Doc) (*meshconfig.MeshConfig, error) {
	for _, d := range docs {
		if d.Kind() == "ConfigMap" {
			return mesh.ApplyMeshConfigDefaults(text(object(d["data"])["mesh"]))
		}
	}
	return mesh.DefaultMeshConfig(), nil
}

func configsOf(docs []Doc) ([]config.Config, error) {
	var istio []Doc
	for _, d := range docs {
		if strings.Contains(text(d["apiVersion"]), "istio.io/") {
			istio = append(istio, d)
		}
	}
	configs, other, err := crd.ParseInputs(string(Render(istio)))
	if err != nil {
		return nil, err
	}
	if len(other) > 0 {
		return nil, fmt.Errorf("parse %s %s: kind unknown to Istio", other[0].Kind, other[0].Name)
	}
	for i := range configs {
		configs[i].Domain = clusterDomain // or short hosts never match
		if configs[i].CreationTimestamp.IsZero() {
			configs[i].CreationTimestamp = noTime()
		}
	}
	return configs, nil
}

// asker collects the answers of one server.
type asker struct {
	server *core.ConfigGenTest
	out    Answers
}

func (a *asker) ask(pod Doc, docs []Doc) {
	proxy := a.server.SetupProxy(proxyOf(pod))
	a.serverModes(pod, proxy)
	clusters := map[string]*cluster.Cluster{}
	for _, c := range a.server.Clusters(proxy) {
		clusters[c.Name] = c
	}
	for _, q := range targets(docs) {
		q.Client = pod.Name() + "." + pod.Namespace()
		svc := proxy.SidecarScope.GetService(host.Name(q.Host))
		a.out[q.scope()] = "hidden"
		if svc != nil {
			a.out[q.scope()] = svc.Attributes.Namespace
		}
		c := clusters[model.BuildSubsetKey(model.TrafficDirectionOutbound, q.Subset, host.Name(q.Host), q.Port)]
		switch {
		case c == nil && withoutEndpoints(proxy, svc, q):
			a.out[q.key("outbound")] = notAsked
			continue
		case c == nil && q.Subset != "":
			a.out[q.key("outbound")] = "no subset"
			continue
		case c == nil:
			a.out[q.key("outbound")] = unknownDestination(proxy)
			continue
		}
		a.out[q.key("outbound")] = "cluster"
		a.endpoints(q, proxy, svc, c)
	}
}

// withoutEndpoints says whether a cluster is missing only because it is looked up by DNS and no endpoint is known: Istio
// leaves such a cluster out, and what is sent there fails.
func withoutEndpoints(proxy *model.Proxy, svc *model.Service, q Question) bool {
	if svc == nil || svc.Resolution != model.DNSLB {
		return false
	}
	if _, ok := svc.Ports.GetByPort(q.Port); !ok {
		return false
	}
	if q.Subset == "" {
		return true
	}
	rule := proxy.SidecarScope.DestinationRuleConfig(model.TrafficDirectionOutbound, proxy, svc.Hostname)
	if rule == nil {
		return false
	}
	for _, s := range rule.Spec.(*networking.DestinationRule).Subsets {
		if s.Name == q.Subset {
			return true
		}
	}
	return false
}

func proxyOf(pod Doc) *model.Proxy {
	l := pod.Labels()
	return &model.Proxy{
		ID:              pod.Name() + "." + pod.Namespace(),
		ConfigNamespace: pod.Namespace(),
		Labels:          l,
		Metadata:        &model.NodeMetadata{Namespace: pod.Namespace(), Labels: l, ClusterID: "Kubernetes"},
		IPAddresses:     []string{text(object(pod["status"])["podIP"])},
	}
}

func unknownDestination(p *model.Proxy) string {
	if p.SidecarScope.OutboundTrafficPolicy.GetMode() == networking.OutboundTrafficPolicy_REGISTRY_ONLY {
		return "blackhole"
	}
	return "passthrough"
}

func (a *asker) serverModes(pod Doc, proxy *model.Proxy) {
	policy := authn.NewPolicyApplier(a.server.PushContext(), proxy, nil)
	for _, port := range serverPorts() {
		a.out[serverKey(pod, port)] = policy.GetMutualTLSModeForPort(uint32(port)).String()
	}
}

// endpoints answers for each endpoint of a cluster. An endpoint that is not known is called "*".
func (a *asker) endpoints(q Question, proxy *model.Proxy, svc *model.Service, c *cluster.Cluster) {
	byEndpoint := len(c.TransportSocketMatches) > 0
	mode := socketMode(c)
	n := 0
	for name, labelled := range a.endpointsOf(q, proxy, svc, c) {
		n++
		a.out[q.key("to "+name)] = mode
		if byEndpoint && !labelled {
			a.out[q.key("to "+name)] = "plaintext"
		}
	}
	if n == 0 {
		a.out[q.key("to *")] = mode
		if byEndpoint { // no endpoint to decide by: oarlock assumes one, Istio need not
			a.out[q.key("to *")], a.out[q.key("sni")] = notAsked, notAsked
			a.out[q.key("names")], a.out[q.key("alpn")] = notAsked, notAsked
			return
		}
	}
	if ctx := tlsContext(c); ctx != nil && mode == "ISTIO_MUTUAL" && (n == 0 || anyValue(a.out, q.key("to "), mode)) {
		a.out[q.key("sni")] = ctx.Sni
		a.out[q.key("names")] = strings.Join(expectedNames(ctx), " ")
		a.out[q.key("alpn")] = strings.Join(ctx.CommonTlsContext.GetAlpnProtocols(), " ")
	}
}

func anyValue(a Answers, prefix, value string) bool {
	for k, v := range a {
		if v == value && strings.HasPrefix(k, prefix) {
			return true
		}
	}
	return false
}

// endpointsOf names the endpoints of a cluster as address:port, with whether each is marked for mTLS.
func (a *asker) endpointsOf(q Question, proxy *model.Proxy, svc *model.Service, c *cluster.Cluster) map[string]bool {
	out := map[string]bool{}
	var lb []*endpoint.LocalityLbEndpoints
	switch c.GetType() {
	case cluster.Cluster_EDS:
		builder := endpoints.NewEndpointBuilder(c.Name, proxy, a.server.PushContext())
		lb = builder.BuildClusterLoadAssignment(a.server.Env().EndpointIndex).GetEndpoints()
	case cluster.Cluster_ORIGINAL_DST:
		builder := endpoints.NewEndpointBuilder(c.Name, proxy, a.server.PushContext())
		for _, e := range builder.IstioEndpoints() {
			out[endpointName(e.FirstAddressOrNil(), int(e.EndpointPort), q)] = false
		}
	default:
		lb = c.GetLoadAssignment().GetEndpoints()
	}
	for _, l := range lb {
		for _, e := range l.LbEndpoints {
			addr := e.GetEndpoint().GetAddress().GetSocketAddress()
			out[endpointName(addr.GetAddress(), int(addr.GetPortValue()), q)] = markedForMTLS(e)
		}
	}
	return out
}

func endpointName(address string, port int, q Question) string {
	if address == q.Host { // the host itself is looked up: no endpoint is known
		return "*"
	}
	return address + ":" + strconv.Itoa(port)
}

func markedForMTLS(e *endpoint.LbEndpoint) bool {
	return e.GetMetadata().GetFilterMetadata()[util.EnvoyTransportSocketMetadataKey].
		GetFields()[model.TLSModeLabelShortname].GetStringValue() == model.IstioMutualTLSModeLabel
}

// socketMode names what a cluster starts, to the marked endpoints where it tells endpoints apart.
func socketMode(c *cluster.Cluster) string {
	ctx := tlsContext(c)
	if ctx == nil {
		return "plaintext"
	}
	certs := ctx.CommonTlsContext.GetTlsCertificateSdsSecretConfigs()
	switch {
	case len(certs) == 0:
		return "SIMPLE"
	case certs[0].Name == "default":
		return "ISTIO_MUTUAL"
	}
	return "MUTUAL"
}

func tlsContext(c *cluster.Cluster) *tlsv3.UpstreamTlsContext {
	socket := c.TransportSocket
	if len(c.TransportSocketMatches) > 0 {
		socket = c.TransportSocketMatches[0].TransportSocket
	}
	if socket == nil {
		return nil
	}
	ctx := &tlsv3.UpstreamTlsContext{}
	if err := socket.GetTypedConfig().UnmarshalTo(ctx); err != nil {
		return nil // a raw buffer
	}
	return ctx
}

func expectedNames(ctx *tlsv3.UpstreamTlsContext) []string {
	var out []string
	v := ctx.CommonTlsContext.GetCombinedValidationContext().GetDefaultValidationContext()
	for _, m := range v.GetMatchSubjectAltNames() { //nolint:staticcheck // what Istio fills in
		out = append(out, m.GetExact())
	}
	sort.Strings(out)
	return out
}
