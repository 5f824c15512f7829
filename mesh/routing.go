package mesh

import "strings"

// Sidecar is networking.istio.io Sidecar: what a workload may see and on which ports it listens.
type Sidecar struct {
	Object
	Selector              map[string]string // workloadSelector labels; empty: the whole namespace (or the mesh, in the root namespace)
	Egress                []EgressListener  // in order; nil where no egress is written (everything is imported)
	Ingress               []IngressListener
	OutboundTrafficPolicy OutboundPolicy // OutboundUnset: the mesh's
}

// EgressListener is one entry of a Sidecar's egress.
type EgressListener struct {
	Port  uint32   // imports this port of its hosts alone; 0: every port
	Hosts []string // "namespace/dnsName"; "~" before the namespace excludes, from this listener
}

// IngressListener is one entry of a Sidecar's ingress.
type IngressListener struct {
	Port     uint32
	Name     string
	Protocol string
	HasTLS   bool
}

// VirtualService is networking.istio.io VirtualService.
type VirtualService struct {
	Object
	Hosts        []string // as written
	Gateways     []string // as written; empty means ["mesh"]
	ExportTo     []string
	Destinations []RouteDestination // of http, tls and tcp routes and mirrors, in order, without duplicates
	HTTP         []HTTPRoute        // in order: the first that matches counts
	TLS          []TLSRoute         // likewise
	TCP          []TCPRoute         // likewise
}

// MeshGateway is what a VirtualService names in place of a Gateway to mean every sidecar.
const MeshGateway = "mesh"

// GatewayRef says which Gateway an object of a namespace names: NAME of its own namespace ("./NAME" too), NAMESPACE/NAME, or the
// old NAME.NAMESPACE.svc.cluster.local. MeshGateway is none.
func GatewayRef(name, namespace string) Ref {
	r := Ref{Kind: KindGateway, Namespace: namespace, Name: name}
	if ns, short, ok := strings.Cut(name, "/"); ok {
		r.Namespace, r.Name = ns, short
	} else if short, rest, ok := strings.Cut(name, "."); ok {
		r.Name = short
		r.Namespace, _, _ = strings.Cut(rest, ".")
	}
	if r.Namespace == "." {
		r.Namespace = namespace
	}
	return r
}

// RouteDestination is one destination of a route.
type RouteDestination struct {
	Host   string // as written
	Subset string
	Port   uint32 // 0: not said
	Origin Origin
}

// Gateway is networking.istio.io Gateway.
type Gateway struct {
	Object
	Selector map[string]string
	Servers  []GatewayServer
}

// GatewayHTTP are the protocols of a server that takes plain HTTP. One with a tls block is such a server too: the block
// can ask for redirects alone.
func GatewayHTTP() []string { return []string{"HTTP", "HTTP2", "GRPC", "GRPC-WEB"} }

// GatewayServer is one server of a Gateway.
type GatewayServer struct {
	Name     string
	Port     uint32
	PortName string
	Protocol string
	Hosts    []string
	TLSMode  string // "" where the server has no tls block
	// The server's certificate: a Secret of the gateway's namespace, or files.
	CredentialName    string
	ServerCertificate string
	PrivateKey        string
	CACertificates    string
	SubjectAltNames   []string
	HTTPSRedirect     bool // plain HTTP is answered with a redirect to HTTPS
}
