package mesh

// Mode is a server-side mTLS mode. The zero value inherits.
type Mode uint8

// The modes of PeerAuthentication; legacy policies know all but ModeUnset.
const (
	ModeUnset Mode = iota
	ModeDisable
	ModePermissive
	ModeStrict
)

// String gives Istio's spelling.
func (m Mode) String() string { return [...]string{"UNSET", "DISABLE", "PERMISSIVE", "STRICT"}[m] }

// ClientMode is the mode of a DestinationRule's tls block, or ClientUnset where there is none.
type ClientMode uint8

// The client modes. `tls: {}` is ClientDisable, its enum's zero value; an absent block is ClientUnset.
const (
	ClientUnset ClientMode = iota
	ClientDisable
	ClientSimple
	ClientMutual
	ClientIstioMutual
)

// String gives Istio's spelling, "-" for ClientUnset.
func (m ClientMode) String() string {
	return [...]string{"-", "DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"}[m]
}

// PeerAuthentication is security.istio.io PeerAuthentication.
type PeerAuthentication struct {
	Object
	Selector map[string]string // matchLabels; empty: the whole namespace, or the mesh in the root namespace
	Mode     Mode              // ModeUnset where mtls is absent or UNSET
	Ports    []PortMode        // portLevelMtls, by port number ascending
	Body     Tree
}

// PortMode is one entry of portLevelMtls. Port is a workload port, never a service port.
type PortMode struct {
	Port uint32
	Mode Mode
}

// Policy is authentication.istio.io Policy or (Ref.Kind) MeshPolicy.
type Policy struct {
	Object
	Targets        []PolicyTarget
	Peers          []PolicyPeer
	PeerIsOptional bool
	HasOrigins     bool // origins or principalBinding are set: a narrower policy must copy them
	Body           Tree
}

// PolicyTarget is one entry of a legacy policy's targets. No Ports means every port.
type PolicyTarget struct {
	Name   string
	Labels map[string]string
	Ports  []PolicyPort
}

// PolicyPort selects a service port by number or by name; the other is zero.
type PolicyPort struct {
	Number uint32
	Name   string
}

// PolicyPeer is one entry of a legacy policy's peers. MTLS false covers jwt and empty elements.
type PolicyPeer struct {
	MTLS     bool
	Mode     Mode // ModeStrict or ModePermissive where MTLS
	AllowTLS bool // accepted by the API, without effect (semantics L15)
}

// DestinationRule is networking.istio.io DestinationRule.
type DestinationRule struct {
	Object
	Host          string // as written
	TrafficPolicy *TrafficPolicy
	Subsets       []Subset
	ExportTo      []string // nil or empty means the mesh default
	// WorkloadSelector selects clients by label, in the rule's own namespace; nil where not written.
	WorkloadSelector map[string]string
	Body             Tree
}

// TrafficPolicy is a trafficPolicy: how a client's sidecar connects.
type TrafficPolicy struct {
	TLS              *ClientTLS
	LoadBalancer     string // loadBalancer.simple; "" where not set
	ConnectionPool   *ConnectionPool
	OutlierDetection *OutlierDetection
	Ports            []PortPolicy // portLevelSettings in order
}

// PortPolicy is one entry of portLevelSettings. Name is a legacy selector (1.1 to 1.3).
type PortPolicy struct {
	Number           uint32
	Name             string
	TLS              *ClientTLS
	LoadBalancer     string
	ConnectionPool   *ConnectionPool
	OutlierDetection *OutlierDetection
}

// Subset is a named part of a DestinationRule's endpoints.
type Subset struct {
	Name          string
	Labels        map[string]string
	TrafficPolicy *TrafficPolicy
}

// ClientTLS is a tls block.
type ClientTLS struct {
	Mode              ClientMode // never ClientUnset
	ClientCertificate string
	PrivateKey        string
	CACertificates    string
	CredentialName    string
	SNI               string
	SubjectAltNames   []string
}
