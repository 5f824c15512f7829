package mesh

import (
	"fmt"
	"strings"
	"time"
)

// Dialect is a generation of Istio's policy language. It decides which kinds have effect and how ties are broken.
type Dialect uint8

// The dialects, oldest first. DialectAuto asks the reader of the manifests to choose.
const (
	DialectAuto    Dialect = iota
	Dialect11              // Istio 1.1: MeshPolicy, Policy; HTTP and mTLS are the only client words
	Dialect12              // Istio 1.2: adds MAY CONFLICT, label targets
	Dialect13              // Istio 1.3: protocol sniffing
	Dialect14              // Istio 1.4: auto mTLS, oldest policy wins
	DialectCurrent         // PeerAuthentication, auto mTLS on by default
)

// Dialects lists what ParseDialect accepts.
func Dialects() []string { return []string{"auto", "1.1", "1.2", "1.3", "1.4", "current"} }

// ParseDialect reads one of Dialects().
func ParseDialect(s string) (Dialect, error) {
	for i, name := range Dialects() {
		if s == name {
			return Dialect(i), nil
		}
	}
	return DialectAuto, fmt.Errorf("parse dialect %q: want one of %s", s, strings.Join(Dialects(), ", "))
}

// String gives the word that ParseDialect reads.
func (d Dialect) String() string {
	if names := Dialects(); int(d) < len(names) {
		return names[d]
	}
	return "unknown"
}

// Legacy says whether MeshPolicy and Policy decide (1.1 to 1.4) and not PeerAuthentication.
func (d Dialect) Legacy() bool { return d >= Dialect11 && d <= Dialect14 }

// OutboundPolicy is outboundTrafficPolicy.mode: what a sidecar does with a destination that is not in its registry.
type OutboundPolicy uint8

// The outbound policies. OutboundUnset inherits: from the mesh for a Sidecar, from the default (ALLOW_ANY) for the mesh.
const (
	OutboundUnset OutboundPolicy = iota
	OutboundAllowAny
	OutboundRegistryOnly
	OutboundAllowAnyDynamicDNS
)

// String gives Istio's spelling.
func (p OutboundPolicy) String() string {
	switch p {
	case OutboundAllowAny:
		return "ALLOW_ANY"
	case OutboundRegistryOnly:
		return "REGISTRY_ONLY"
	case OutboundAllowAnyDynamicDNS:
		return "ALLOW_ANY_DYNAMIC_DNS"
	}
	return "UNSET"
}

// Config is what Oarlock reads of MeshConfig (ConfigMap "istio", key "mesh"), defaults filled in by DefaultConfig.
type Config struct {
	Origin Origin // of the ConfigMap; zero where the mesh has none

	RootNamespace      string   // default "istio-system"
	TrustDomain        string   // default "cluster.local"
	TrustDomainAliases []string // other trust domains that mean the same identities
	CATrustDomains     []string // caCertificates[].trustDomains
	ClusterDomain      string   // default "cluster.local"; not part of MeshConfig, annotation oarlock.dev/cluster-domain on the ConfigMap

	// EnableAutoMTLS is enableAutoMtls; nil means the dialect's default (see AutoMTLS).
	EnableAutoMTLS *bool

	OutboundTrafficPolicy          OutboundPolicy // OutboundUnset means ALLOW_ANY
	DefaultServiceExportTo         []string       // empty means ["*"]
	DefaultDestinationRuleExportTo []string       // empty means ["*"]
	DefaultVirtualServiceExportTo  []string       // empty means ["*"]

	MinProtocolVersion string   // meshMTLS.minProtocolVersion: "", TLS_AUTO, TLSV1_2, TLSV1_3
	CipherSuites       []string // meshMTLS.cipherSuites
	TLSDefaults        Tree     // tlsDefaults, as written; SIMPLE and MUTUAL only

	ProtocolDetectionTimeout time.Duration // zero means off in the current dialect
	AccessLogFile            string
	AccessLogEncoding        string // TEXT or JSON
	AccessLogFormat          string

	Concurrency *int // defaultConfig.concurrency; nil where nothing is said
}

// DefaultConfig is the Config of a mesh that says nothing about itself.
func DefaultConfig() Config {
	return Config{RootNamespace: "istio-system", TrustDomain: "cluster.local", ClusterDomain: "cluster.local"}
}

// AutoMTLS says whether auto mTLS is on: never before 1.4, off by default in 1.4, on by default in the current dialect.
func (c *Config) AutoMTLS(d Dialect) bool {
	switch {
	case d < Dialect14:
		return false
	case c.EnableAutoMTLS != nil:
		return *c.EnableAutoMTLS
	}
	return d == DialectCurrent
}
