package xds_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"

	"github.com/oarlock/oarlock/manifest"
	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/resolve"
	"github.com/oarlock/oarlock/xds"
)

// exampleMeshes are the cases of testdata and the meshes of examples, each in four dialects.
func exampleMeshes(t *testing.T) map[string]*resolve.Resolver {
	t.Helper()
	var groups [][]string
	for _, glob := range []string{"testdata/*", "../examples/*", "../examples/scenes/*"} {
		dirs, _ := filepath.Glob(glob)
		for _, d := range dirs {
			if files, _ := filepath.Glob(d + "/*.yaml"); len(files) > 0 {
				groups = append(groups, files)
			}
		}
	}
	if len(groups) < 10 {
		t.Fatalf("found %d meshes", len(groups))
	}
	out := map[string]*resolve.Resolver{}
	for _, files := range groups {
		var list []manifest.File
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, manifest.File{Name: f, Data: b})
		}
		for _, d := range []mesh.Dialect{mesh.Dialect11, mesh.Dialect13, mesh.Dialect14, mesh.DialectCurrent} {
			snap, _ := manifest.Load(list, manifest.Options{Dialect: d})
			out[filepath.Dir(files[0])+" "+d.String()] = resolve.New(withAddresses(snap))
		}
	}
	for _, d := range []mesh.Dialect{mesh.Dialect11, mesh.Dialect13, mesh.Dialect14, mesh.DialectCurrent} {
		for _, rest := range []string{"DISABLE", "PERMISSIVE", "STRICT"} {
			snap, _ := manifest.Load([]manifest.File{{Name: "modes.yaml", Data: []byte(everyMode(rest, d.Legacy()))}}, manifest.Options{Dialect: d})
			out["every mode, else "+rest+" "+d.String()] = resolve.New(snap)
		}
	}
	return out
}

// everyMode is a mesh with one pod that has a port of each class in each mode, and a mode for the rest.
func everyMode(rest string, legacy bool) string {
	var ports, current, old []string
	number := 8000
	for _, class := range []string{"http", "tcp", "any", "grpc"} {
		for _, mode := range []string{"DISABLE", "PERMISSIVE", "STRICT"} {
			number++
			ports = append(ports, fmt.Sprintf("{name: %s-%d, port: %d}", class, number, number))
			current = append(current, fmt.Sprintf("%d: {mode: %s}", number, mode))
			peers := "{mode: " + mode + "}"
			if mode == "DISABLE" {
				continue
			}
			old = append(old, fmt.Sprintf("---\napiVersion: authentication.istio.io/v1alpha1\nkind: Policy\nmetadata: {name: p%d, namespace: app}\n"+
				"spec: {targets: [{name: web, ports: [{number: %d}]}], peers: [{mtls: %s}]}\n", number, number, peers))
		}
	}
	text := fmt.Sprintf(`
apiVersion: v1
kind: Namespace
metadata: {name: app, labels: {istio-injection: enabled}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: app}
spec: {clusterIP: 10.0.0.1, selector: {app: web}, ports: [%s]}
---
apiVersion: v1
kind: Pod
metadata: {name: web-1, namespace: app, labels: {app: web}}
spec: {containers: [{name: app, image: app}]}
status: {podIP: 10.244.0.1}
`, strings.Join(ports, ", "))
	if legacy {
		return text + strings.Join(old, "")
	}
	return text + fmt.Sprintf(`---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: web, namespace: app}
spec: {selector: {matchLabels: {app: web}}, mtls: {mode: %s}, portLevelMtls: {%s, 6060: {mode: PERMISSIVE}}}
`, rest, strings.Join(current, ", "))
}

// withAddresses gives every workload and service an address, as an engine that runs them would.
func withAddresses(s *mesh.Snapshot) *mesh.Snapshot {
	for i, w := range s.Workloads {
		if len(w.Addresses) == 0 {
			w.Addresses = []string{fmt.Sprintf("10.244.%d.%d", i/250, i%250+1)}
		}
	}
	for i, svc := range s.Services {
		if len(svc.Addresses) == 0 && !svc.Headless() && !svc.Entry() {
			svc.Addresses = []string{fmt.Sprintf("10.96.%d.%d", i/250, i%250+1)}
		}
	}
	return s
}

// attempts are ways to open a connection that the tables tell apart.
func attempts() []resolve.Attempt {
	var out []resolve.Attempt
	for _, http := range []bool{false, true} {
		out = append(out, resolve.Attempt{HTTP: http})
		for _, cert := range []bool{false, true} {
			for _, alpn := range [][]string{
				nil, {"h2"}, {"http/1.1"}, {"istio"}, {"istio-peer-exchange", "istio"}, {"istio-http/1.1", "istio", "http/1.1"}, {"istio-h2", "istio", "h2"},
			} {
				out = append(out, resolve.Attempt{TLS: true, Cert: cert, ALPN: alpn, HTTP: http})
			}
		}
	}
	return out
}

// TestInbound walks the chains of virtualInbound as a sidecar does, and wants what package resolve says.
func TestInbound(t *testing.T) {
	walked := 0
	for name, r := range exampleMeshes(t) {
		tr := xds.NewTranslator(r)
		for _, w := range r.Snapshot().Workloads {
			if w.Capture != mesh.CaptureSidecar || w.Router {
				continue
			}
			l := &listenerv3.Listener{}
			if err := tr.View(xds.Node{Workload: w}).Find(xds.Listeners, "virtualInbound").Any.UnmarshalTo(l); err != nil {
				t.Fatal(err)
			}
			ports := []uint32{5555, 15006}
			for _, li := range r.Listens(w) {
				if li.Port != 0 && !li.OwnTLS {
					ports = append(ports, li.Port)
				}
			}
			for _, port := range ports {
				if !w.Inbound.Captures(port) || port == 15020 || port == 15021 || port == 15090 {
					continue
				}
				for _, a := range attempts() {
					walked++
					if got, want := walk(t, l, port, a), r.Inbound(w, port, a); got != want {
						t.Errorf("%s: %s port %d %+v: chains do %s, resolve says %s", name, w.Ref, port, a, got, want)
					}
				}
			}
		}
	}
	t.Logf("walked %d attempts", walked)
	if walked < 10000 {
		t.Errorf("walked %d attempts: nothing was tested", walked)
	}
}

// walk finds the chain of an attempt, and what it does there.
func walk(t *testing.T, l *listenerv3.Listener, port uint32, a resolve.Attempt) resolve.InboundOutcome {
	inspectsTLS := inspects(l, "envoy.filters.listener.tls_inspector", port)
	inspectsHTTP := inspects(l, "envoy.filters.listener.http_inspector", port)
	transport, alpn := "raw_buffer", []string(nil)
	switch {
	case a.TLS && inspectsTLS:
		transport, alpn = "tls", a.ALPN
	case !a.TLS && a.HTTP && inspectsHTTP:
		alpn = []string{"http/1.1"}
	}
	c := mostSpecific(l.FilterChains, port, transport, alpn)
	if c == nil {
		return resolve.InboundNoChain
	}
	http := slices.ContainsFunc(c.Filters, func(f *listenerv3.Filter) bool { return strings.HasSuffix(f.Name, "http_connection_manager") })
	to := c.Filters[len(c.Filters)-1]
	switch {
	case !http && strings.Contains(string(to.GetTypedConfig().Value), "BlackHoleCluster"):
		return resolve.InboundBlackHole
	case c.TransportSocket != nil && !a.TLS:
		t.Errorf("chain %s terminates TLS and matches plaintext", c.Name)
		return resolve.InboundNoChain
	case c.TransportSocket != nil && !a.Cert:
		return resolve.InboundNoCert
	case c.TransportSocket != nil && http:
		return resolve.InboundHTTPMTLS
	case c.TransportSocket != nil:
		return resolve.InboundTCPMTLS
	case http && a.TLS:
		return resolve.InboundCodec
	case http:
		return resolve.InboundHTTP
	case a.TLS:
		return resolve.InboundOpaque
	}
	return resolve.InboundTCP
}

func inspects(l *listenerv3.Listener, filter string, port uint32) bool {
	for _, f := range l.ListenerFilters {
		if f.Name != filter {
			continue
		}
		rules := f.GetFilterDisabled().GetOrMatch().GetRules()
		if len(rules) == 0 && f.FilterDisabled != nil {
			rules = []*listenerv3.ListenerFilterChainMatchPredicate{f.FilterDisabled}
		}
		return !slices.ContainsFunc(rules, func(p *listenerv3.ListenerFilterChainMatchPredicate) bool {
			r := p.GetDestinationPortRange()
			return uint32(r.Start) <= port && port < uint32(r.End)
		})
	}
	return false
}

// mostSpecific is Envoy's order: port, then transport protocol, then application protocol; a step once taken is not undone.
func mostSpecific(chains []*listenerv3.FilterChain, port uint32, transport string, alpn []string) *listenerv3.FilterChain {
	type is func(*listenerv3.FilterChainMatch) bool
	narrow := func(list []*listenerv3.FilterChain, named, fits is) []*listenerv3.FilterChain {
		var exact, open []*listenerv3.FilterChain
		for _, c := range list {
			switch m := c.FilterChainMatch; {
			case !named(m):
				open = append(open, c)
			case fits(m):
				exact = append(exact, c)
			}
		}
		if len(exact) > 0 {
			return exact
		}
		return open
	}
	list := narrow(chains, func(m *listenerv3.FilterChainMatch) bool { return m.GetDestinationPort() != nil },
		func(m *listenerv3.FilterChainMatch) bool { return m.GetDestinationPort().GetValue() == port })
	list = narrow(list, func(m *listenerv3.FilterChainMatch) bool { return m.GetTransportProtocol() != "" },
		func(m *listenerv3.FilterChainMatch) bool { return m.GetTransportProtocol() == transport })
	list = narrow(list, func(m *listenerv3.FilterChainMatch) bool { return len(m.GetApplicationProtocols()) > 0 },
		func(m *listenerv3.FilterChainMatch) bool {
			return slices.ContainsFunc(alpn, func(p string) bool { return slices.Contains(m.ApplicationProtocols, p) })
		})
	if len(list) == 0 {
		return nil
	}
	return list[0]
}

// TestEndpoints picks the transport socket of every endpoint as a sidecar does, and wants what package resolve says.
func TestEndpoints(t *testing.T) {
	looked := 0
	for name, r := range exampleMeshes(t) {
		tr := xds.NewTranslator(r)
		for _, w := range r.Snapshot().Workloads {
			if w.Capture != mesh.CaptureSidecar {
				continue
			}
			v, client := tr.View(xds.Node{Workload: w}), resolve.Client{Workload: w}
			for _, s := range r.Snapshot().Services {
				if s.Resolution == mesh.ResolutionExternalName || s.Resolution == mesh.ResolutionPassthrough {
					continue
				}
				for i := range s.Ports {
					for _, subset := range append([]string{""}, r.Subsets(client, s)...) {
						looked += compareEndpoints(t, name, v, r, client, resolve.Target{Service: s, Port: s.Ports[i].Number, Subset: subset})
					}
				}
			}
		}
	}
	t.Logf("looked at %d endpoints", looked)
	if looked < 1000 {
		t.Errorf("looked at %d endpoints: nothing was tested", looked)
	}
}

// compareEndpoints checks one cluster and says how many endpoints it looked at.
func compareEndpoints(t *testing.T, name string, v xds.View, r *resolve.Resolver, client resolve.Client, target resolve.Target) int {
	cluster := fmt.Sprintf("outbound|%d|%s|%s", target.Port, target.Subset, target.Service.Hostname)
	found := v.Find(xds.Clusters, cluster)
	ex := r.Explain(client, target)
	if ex.Verdict.Outbound != resolve.OutboundCluster {
		if found != nil && ex.Verdict.Outbound != resolve.OutboundDirect {
			t.Errorf("%s: %s has cluster %s, resolve says %s", name, client.Workload.Ref, cluster, ex.Verdict.Outbound)
		}
		return 0
	}
	if found == nil {
		t.Errorf("%s: %s has no cluster %s", name, client.Workload.Ref, cluster)
		return 0
	}
	c := &clusterv3.Cluster{}
	if err := found.Any.UnmarshalTo(c); err != nil {
		t.Fatal(err)
	}
	e := c.LoadAssignment
	if c.GetType() == clusterv3.Cluster_EDS {
		e = &endpointv3.ClusterLoadAssignment{}
		if err := v.Find(xds.Endpoints, cluster).Any.UnmarshalTo(e); err != nil {
			t.Fatal(err)
		}
	}
	if c.GetType() == clusterv3.Cluster_ORIGINAL_DST {
		return 0
	}
	sends := map[string]mesh.ClientMode{}
	for _, ep := range ex.Endpoints {
		for _, w := range ep.Workloads {
			sends[w.Addresses[0]+" "+strconv.Itoa(int(ep.Port))] = ep.Sends
		}
	}
	n := 0
	for _, loc := range e.GetEndpoints() {
		for _, ep := range loc.LbEndpoints {
			a := ep.GetEndpoint().Address.GetSocketAddress()
			want, ok := sends[a.Address+" "+strconv.Itoa(int(a.GetPortValue()))]
			if !ok {
				continue // the host itself
			}
			n++
			if got := socketOf(c, ep); got != want {
				t.Errorf("%s: %s to %s at %s starts %s, resolve says %s", name, client.Workload.Ref, cluster, a.Address, got, want)
			}
		}
	}
	if want := len(sends); n != want {
		t.Errorf("%s: %s has %d endpoints of %s, resolve knows %d", name, client.Workload.Ref, n, cluster, want)
	}
	return n
}

// socketOf says what a client starts with an endpoint; plaintext is ClientUnset, as in resolve.
func socketOf(c *clusterv3.Cluster, ep *endpointv3.LbEndpoint) mesh.ClientMode {
	labels := ep.GetMetadata().GetFilterMetadata()["envoy.transport_socket_match"].GetFields()
	ts := c.TransportSocket
	for _, m := range c.TransportSocketMatches {
		fits := true
		for k, v := range m.Match.GetFields() {
			fits = fits && labels[k].GetStringValue() == v.GetStringValue()
		}
		if fits {
			ts = m.TransportSocket
			break
		}
	}
	switch {
	case ts == nil, ts.Name == "envoy.transport_sockets.raw_buffer":
		return mesh.ClientUnset
	case strings.Contains(string(ts.GetTypedConfig().Value), "ROOTCA"):
		return mesh.ClientIstioMutual
	case strings.Contains(string(ts.GetTypedConfig().Value), "file-cert:"):
		return mesh.ClientMutual
	}
	return mesh.ClientSimple
}
