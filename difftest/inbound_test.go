package difftest

import (
	"errors"
	"testing"

	listener "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"istio.io/istio/pilot/pkg/model"
	"istio.io/istio/pilot/pkg/networking/core"
	"istio.io/istio/pilot/pkg/simulation"
	"istio.io/istio/pkg/wellknown"

	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/resolve"
)

// TestInbound opens a connection in every way to a port of every class in every mode, and compares what Istio's listener
// does with it with what oarlock says.
func TestInbound(t *testing.T) {
	ports := []struct {
		class  resolve.ProtocolClass
		number int
	}{{resolve.ProtocolHTTP, 8080}, {resolve.ProtocolTCP, 9090}, {resolve.ProtocolAuto, 7070}, {resolve.ProtocolAuto, 5555}}
	for _, mode := range []mesh.Mode{mesh.ModeStrict, mesh.ModePermissive, mesh.ModeDisable} {
		sim := inboundServer(t, mode)
		for _, p := range ports {
			for _, a := range attempts() {
				theirs := inbound(sim, a, p.number)
				if ours := resolve.Inbound(mode, p.class, a, mesh.DialectCurrent); ours != theirs {
					t.Errorf("%v port %d %+v: Istio %v, oarlock %v", mode, p.number, a, theirs, ours)
				}
			}
		}
	}
}

func attempts() []resolve.Attempt {
	var out []resolve.Attempt
	for _, http := range []bool{true, false} {
		out = append(out, resolve.Attempt{HTTP: http})
		for _, cert := range []bool{true, false} {
			for _, alpn := range []string{"", "istio", "istio-peer-exchange", "istio-http/1.0", "istio-http/1.1", "istio-h2", "h2", "http/1.1"} {
				a := resolve.Attempt{TLS: true, Cert: cert, HTTP: http}
				if alpn != "" {
					a.ALPN = []string{alpn}
				}
				out = append(out, a)
			}
		}
	}
	return out
}

// call is an Attempt in Istio's words. Without ALPN its simulation would choose one, so one is named that nobody knows.
func call(a resolve.Attempt, port int) simulation.Call {
	c := simulation.Call{Port: port, Protocol: simulation.TCP, TLS: simulation.Plaintext, CallMode: simulation.CallModeInbound, Address: "10.1.0.1"}
	if a.HTTP {
		c.Protocol = simulation.HTTP
	}
	if a.TLS {
		c.TLS, c.Alpn = simulation.TLS, "none"
		if len(a.ALPN) > 0 {
			c.Alpn = a.ALPN[0]
		}
	}
	if a.Cert {
		c.TLS = simulation.MTLS
	}
	return c
}

func inboundServer(t *testing.T, mode mesh.Mode) *simulation.Simulation {
	docs := []Doc{
		{
			"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry", "metadata": map[string]any{"name": "web", "namespace": "a"},
			"spec": map[string]any{
				"hosts": []any{"web.a.svc.cluster.local"}, "resolution": "STATIC", "location": "MESH_INTERNAL",
				"endpoints": []any{map[string]any{"address": "10.1.0.1"}},
				"ports": []any{
					map[string]any{"number": 80, "name": "http", "protocol": "HTTP", "targetPort": 8080},
					map[string]any{"number": 90, "name": "tcp", "protocol": "TCP", "targetPort": 9090},
					map[string]any{"number": 70, "name": "any", "targetPort": 7070},
				},
			},
		},
		{
			"apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication", "metadata": map[string]any{"name": "default", "namespace": "a"},
			"spec": map[string]any{"mtls": map[string]any{"mode": mode.String()}},
		},
	}
	configs, err := configsOf(docs)
	if err != nil {
		t.Fatal(err)
	}
	server := core.NewConfigGenTest(t, core.TestOptions{Configs: configs})
	proxy := server.SetupProxy(&model.Proxy{ConfigNamespace: "a", IPAddresses: []string{"10.1.0.1"}})
	return simulation.NewSimulationFromConfigGen(t, server, proxy)
}

// inbound names what becomes of an attempt, in oarlock's words, by the filter chain that takes it.
func inbound(sim *simulation.Simulation, a resolve.Attempt, port int) resolve.InboundOutcome {
	var chain *listener.FilterChain
	c := call(a, port)
	c.CustomListenerValidations = []simulation.CustomFilterChainValidation{func(f *listener.FilterChain) error {
		chain = f
		return nil
	}}
	r := sim.Run(c)
	switch {
	case errors.Is(r.Error, simulation.ErrMTLSError):
		return resolve.InboundNoCert
	case chain == nil:
		return resolve.InboundNoChain
	}
	http := false
	for _, f := range chain.Filters {
		http = http || f.Name == wellknown.HTTPConnectionManager
	}
	switch mtls := chain.TransportSocket != nil; {
	case mtls && http:
		return resolve.InboundHTTPMTLS
	case mtls:
		return resolve.InboundTCPMTLS
	case a.TLS && http:
		return resolve.InboundCodec
	case a.TLS:
		return resolve.InboundOpaque
	case http:
		return resolve.InboundHTTP
	}
	return resolve.InboundTCP
}
