package proxy

import (
	"net/netip"
	"time"

	"github.com/oarlock/oarlock/accesslog"
)

// Config is everything that a Proxy does, as one value: listeners, clusters and route tables that refer to each other by
// name. It is immutable once it was handed to Apply, and so is all that it points to.
//
// What did not change should be the same pointer as in the Config before (listeners, clusters, tables, and every
// accesslog.Format with one source text): that is how Apply knows quickly that there is nothing to do. Parts that are
// equal go on undisturbed anyway.
type Config struct {
	// Version is the mesh snapshot's, as the control plane says it; "" where there is none.
	Version   string
	Listeners []*Listener
	Clusters  []*Cluster
	Routes    []*RouteTable
}

// Direction is which way traffic goes, seen from the sidecar.
type Direction uint8

// The directions.
const (
	Outbound Direction = iota
	Inbound
)

// String gives "outbound" or "inbound".
func (d Direction) String() string { return [...]string{"outbound", "inbound"}[d] }

// Listener is Envoy's listener.
type Listener struct {
	Name      string
	Direction Direction
	// Address is where it listens if Bind is set; else the original destination by which a listener with UseOriginalDst
	// finds it. An unspecified IP stands for every one.
	Address netip.AddrPort
	Bind    bool
	// OriginalDst says that the original destination of a connection counts (listener filter original_dst), UseOriginalDst
	// that it is handed to the listener of that address if there is one.
	OriginalDst    bool
	UseOriginalDst bool

	// InspectTLS and InspectHTTP say on which destination ports the first bytes are looked at; TLS before HTTP.
	InspectTLS, InspectHTTP Ports
	// InspectTimeout ends the look at a connection that says nothing, which is then raw_buffer without an application
	// protocol. Zero is [DefaultInspectTimeout]; negative waits for good.
	InspectTimeout time.Duration

	Chains []*FilterChain
	// Default is for what no chain matches; nil closes it.
	Default *FilterChain
	// AccessLog is for connections that find no chain.
	AccessLog []AccessLog
}

// DefaultInspectTimeout is how long a client may say nothing before it is taken for one of a server-first protocol.
const DefaultInspectTimeout = 5 * time.Second

// Ports are a set of ports: none, or all except some ranges.
type Ports struct {
	On     bool
	Except [][2]uint16 // first and last, both in
}

// Has says whether the port is in the set.
func (p Ports) Has(port uint16) bool {
	for _, r := range p.Except {
		if r[0] <= port && port <= r[1] {
			return false
		}
	}
	return p.On
}

// FilterChain is what a listener does with the connections that match. It has TCP or HTTP, not both.
type FilterChain struct {
	Name  string
	Match ChainMatch
	TLS   *ServerTLS // nil: plaintext, or TLS that is not ours
	TCP   *TCPProxy
	HTTP  *HTTPManager
	// Policy names the object that decided, as mesh.Ref prints it ("PeerAuthentication shop/default"); "" unknown.
	Policy string
	// HandshakeTimeout bounds TLS; zero is [DefaultHandshakeTimeout].
	HandshakeTimeout time.Duration
}

// DefaultHandshakeTimeout bounds a handshake on either side.
const DefaultHandshakeTimeout = 15 * time.Second

// ChainMatch says which connections a chain is for. What is empty matches all; of several chains the most specific wins,
// by port, then prefix, server name, transport protocol and application protocol, as in Envoy.
type ChainMatch struct {
	Port      uint16 // original destination's
	Prefixes  []netip.Prefix
	Names     []string // SNI, exact or "*.example.org"
	Transport string   // TransportTLS, TransportRaw
	ALPN      []string // offered by the client; "http/1.0", "http/1.1" and "h2c" are what was seen in plaintext
}

// The transport protocols of ChainMatch.
const (
	TransportTLS = "tls"
	TransportRaw = "raw_buffer"
)

// Certificate says which key and chain to present. The zero value is none.
type Certificate struct {
	Own bool // the workload's SVID (SDS "default")
	// CertFile and KeyFile are PEM files, read anew when they change.
	CertFile, KeyFile string
}

// Trust says by which roots a peer is believed. The zero value believes any.
type Trust struct {
	Own      bool   // the workload's trust bundle, peers have SVIDs (SDS "ROOTCA")
	RootFile string // PEM
	System   bool   // the machine's roots
}

// NameMatch matches one name of a certificate.
type NameMatch struct {
	Prefix bool // else exact
	Value  string
}

// ServerTLS is a downstream TLS context.
type ServerTLS struct {
	Certificate Certificate
	Trust       Trust
	// Require says that a client must have a certificate.
	Require bool
	// Peers are names of which the client's certificate must have one; empty takes all that Trust believes.
	Peers []NameMatch
	ALPN  []string
	// MinVersion and MaxVersion are of crypto/tls; zero is 1.2 and 1.3.
	MinVersion, MaxVersion uint16
	CipherSuites           []uint16 // of TLS 1.2; nil is crypto/tls' own choice
}

// ClientTLS is an upstream TLS context.
type ClientTLS struct {
	Certificate Certificate
	Trust       Trust
	Peers       []NameMatch // of which the server's certificate must have one; empty: no check
	SNI         string
	ALPN        []string

	MinVersion, MaxVersion uint16
	CipherSuites           []uint16
}

// TCPProxy carries bytes.
type TCPProxy struct {
	StatPrefix string
	Clusters   []WeightedCluster
	// IdleTimeout closes a connection on which neither side says anything; zero is [DefaultTCPIdleTimeout], negative never.
	IdleTimeout time.Duration
	AccessLog   []AccessLog
	// PeerExchange is Istio's metadata exchange for connections with its ALPN.
	PeerExchange bool
}

// DefaultTCPIdleTimeout is Envoy's.
const DefaultTCPIdleTimeout = time.Hour

// HTTPManager is Envoy's HTTP connection manager.
type HTTPManager struct {
	StatPrefix string
	// RouteName names a table of Config.Routes; Table is used where it is "".
	RouteName string
	Table     *RouteTable
	AccessLog []AccessLog
	// ServerName is the server header of responses; "" is [DefaultServerName]. PassServerName leaves an upstream's alone.
	ServerName     string
	PassServerName bool
	// IdleTimeout closes a keep-alive connection between requests; zero is [DefaultHTTPIdleTimeout].
	IdleTimeout time.Duration
	// StreamIdleTimeout ends a request on which nothing moves; zero is [DefaultStreamIdleTimeout], negative never.
	StreamIdleTimeout time.Duration
	// HeaderTimeout bounds the time from the first byte of a head to its last; zero is [DefaultHeaderTimeout].
	HeaderTimeout time.Duration
	MaxHeaders    int // zero is [DefaultMaxHeaders]
	MaxHeaderSize int // bytes of a head; zero is [DefaultMaxHeaderSize]
	Upgrades      []string
	// PeerExchange is Istio's metadata exchange in headers. ALPNOverride lets each request choose Istio's ALPN for its
	// protocol, where the cluster allows it.
	PeerExchange bool
	ALPNOverride bool
	// ClientCert is what becomes of x-forwarded-client-cert.
	ClientCert ClientCert
	// NormalizePath and MergeSlashes bring paths into one form before they are routed and passed on.
	NormalizePath, MergeSlashes bool
	// RemoteAddress appends the peer to x-forwarded-for and takes it for trusted, as an edge does.
	RemoteAddress bool
}

// ClientCert is forward_client_cert_details.
type ClientCert uint8

// The ways to treat x-forwarded-client-cert. Istio's sidecars use AppendForward inbound.
const (
	ClientCertSanitize ClientCert = iota
	ClientCertForwardOnly
	ClientCertAppendForward
	ClientCertSanitizeSet
)

// What an HTTPManager field means when it is zero.
const (
	DefaultServerName        = "oarlock"
	DefaultHTTPIdleTimeout   = time.Hour
	DefaultStreamIdleTimeout = 5 * time.Minute
	DefaultHeaderTimeout     = 10 * time.Second
	DefaultMaxHeaders        = 100
	DefaultMaxHeaderSize     = 60 << 10
)

// AccessLog writes one line for each request or connection.
type AccessLog struct {
	Path   string // /dev/stdout is the sidecar's own output
	Format *accesslog.Format
}

// RouteTable says where requests go.
type RouteTable struct {
	Name  string
	Hosts []*VirtualHost
}

// VirtualHost is a set of domains with their routes.
type VirtualHost struct {
	Name    string
	Domains []string // exact, "*.suffix", "prefix.*" or "*"; the longest of the first kind that matches wins
	Routes  []*Route // the first that matches wins
}

// Route sends the requests that match to clusters, or answers them.
type Route struct {
	Name  string
	Match RouteMatch

	Clusters []WeightedCluster
	Direct   *DirectResponse
	Redirect *Redirect

	// Timeout is from the end of the request to the end of the response; zero is none.
	Timeout       time.Duration
	IdleTimeout   time.Duration // in place of the manager's StreamIdleTimeout where not zero
	Retry         *RetryPolicy
	PrefixRewrite string
	HostRewrite   string
	Upgrades      []string // besides the manager's
	// SetRequest and SetResponse are headers to set; RemoveRequest and RemoveResponse names to remove.
	SetRequest, SetResponse       []Header
	RemoveRequest, RemoveResponse []string
}

// Header is one to add or to set.
type Header struct {
	Name, Value string
	Append      bool // else it replaces
}

// RouteMatch has one of Path, Prefix and Regex; Prefix "/" matches all.
type RouteMatch struct {
	Path, Prefix, Regex string
	IgnoreCase          bool
	Headers             []HeaderMatch
}

// HeaderMatch is one condition on a header; ":method" and ":authority" are ones too.
type HeaderMatch struct {
	Name                         string
	Exact, Prefix, Suffix, Regex string // one of them; all empty: present
	Invert                       bool
}

// WeightedCluster is one of the clusters of a route. A weight of zero gets nothing, unless it is the only one.
type WeightedCluster struct {
	Name   string
	Weight uint32
}

// DirectResponse answers without an upstream.
type DirectResponse struct {
	Status int
	Body   string
}

// Redirect answers with a location.
type Redirect struct {
	Status                     int // zero is 301
	Scheme, Host, Path, Prefix string
}

// RetryPolicy says when and how often a request is tried again.
type RetryPolicy struct {
	On            RetryOn
	Codes         []int // for RetryCodes
	Attempts      int   // besides the first
	PerTryTimeout time.Duration
	// Backoff is the shortest pause between two tries; zero is [DefaultBackoff]. It grows up to ten times.
	Backoff time.Duration
	// OtherHosts avoids endpoints that were tried before.
	OtherHosts bool
}

// DefaultBackoff is Envoy's.
const DefaultBackoff = 25 * time.Millisecond

// RetryOn is a set of conditions.
type RetryOn uint16

// The conditions.
const (
	RetryConnectFailure RetryOn = 1 << iota
	RetryRefusedStream
	RetryReset
	RetryGatewayError
	Retry5xx
	RetryCodes
	RetryBeforeRequest // reset-before-request
)

// Discovery is how a cluster finds its endpoints.
type Discovery uint8

// The kinds of discovery. For EDS the endpoints are in the cluster too; a change of them is a change of the cluster.
const (
	Static Discovery = iota
	EDS
	StrictDNS  // every address of the endpoints' host names
	LogicalDNS // the first address
	OriginalDst
)

// Balancer is a load balancing policy.
type Balancer uint8

// The balancers.
const (
	RoundRobin Balancer = iota
	LeastRequest
	Random
)

// Cluster is Envoy's cluster.
type Cluster struct {
	Name      string
	Discovery Discovery
	Endpoints []Endpoint
	Balancer  Balancer
	// TLS is the default transport socket, nil plaintext; the first of Sockets whose Labels an endpoint has wins over it.
	TLS     *ClientTLS
	Sockets []SocketMatch

	ConnectTimeout           time.Duration // zero is [DefaultConnectTimeout]
	IdleTimeout              time.Duration // of a pooled connection; zero is [DefaultHTTPIdleTimeout]
	MaxRequestsPerConnection uint32        // zero: any number
	Limits                   Limits
	Outlier                  *Outlier
	DNSRefresh               time.Duration // zero is [DefaultDNSRefresh]
	KeepAlive                *KeepAlive

	HTTP2 bool // the upstream speaks HTTP/2
	// ALPNOverride is false where metadata istio.alpn_override says so.
	ALPNOverride bool
	// BindSource is the address that connections come from; the zero value is the system's choice.
	BindSource netip.Addr
	// OriginalPort overrides the port of an original destination; zero keeps it.
	OriginalPort uint16

	Services []ServiceName // of metadata istio; labels of series
	Rule     string        // metadata istio.config: path of the DestinationRule
	Policy   string        // metadata oarlock.policy: the object that decided on TLS, as mesh.Ref prints it
}

// What a Cluster field means when it is zero.
const (
	DefaultConnectTimeout = 5 * time.Second
	DefaultDNSRefresh     = 5 * time.Second
)

// KeepAlive is TCP keep-alive; zero fields are the system's.
type KeepAlive struct {
	Probes         int
	Time, Interval time.Duration
}

// SocketMatch is one of transport_socket_matches.
type SocketMatch struct {
	Name   string
	Labels map[string]string // all must be in the endpoint's Labels; empty matches every endpoint
	TLS    *ClientTLS        // nil: plaintext
}

// Endpoint is one address behind a cluster.
type Endpoint struct {
	Address netip.AddrPort
	Host    string            // in place of Address's IP for the DNS kinds
	Labels  map[string]string // metadata envoy.transport_socket_match
	Weight  uint32            // zero is 1
	Down    bool              // health status UNHEALTHY, DRAINING or TIMEOUT
	// Workload is who is there, of metadata istio.workload; zero unknown.
	Workload Peer
	Priority uint32
	Zone     string
}

// Limits are circuit breakers; zero is Envoy's default of 1024 (3 for Retries).
type Limits struct {
	Connections, Pending, Requests, Retries uint32
}

// Outlier ejects endpoints that fail. Zero of a count switches its kind off; other zeros are Envoy's defaults.
type Outlier struct {
	Consecutive5xx, ConsecutiveGateway, ConsecutiveLocal uint32
	SplitLocal                                           bool
	Interval, BaseEjection, MaxEjection                  time.Duration
	MaxEjectionPercent                                   *uint32
	MinHealthPercent                                     uint32 // of endpoints; under it all count as healthy
}
