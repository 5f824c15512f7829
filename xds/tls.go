package xds

import (
	"fmt"
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	rawv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/raw_buffer/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/proto"

	"github.com/oarlock/oarlock/mesh"
)

// The names under which a sidecar finds its own certificate and the mesh's roots.
const (
	secretOwn   = "default"
	secretRoots = "ROOTCA"
	secretFrom  = "sds-grpc"
)

const (
	tlsSocket = "envoy.transport_sockets.tls"
	rawSocket = "envoy.transport_sockets.raw_buffer"
)

// ALPN values of the mesh.
const (
	alpnPeerExchange = "istio-peer-exchange"
	alpnIstio        = "istio"
)

func alpnHTTP() []string { return []string{"istio-http/1.0", "istio-http/1.1", "istio-h2"} }

// secret names a secret that the sidecar's own agent gives out. It waits for the sidecar's own without an end.
func secret(name string) *tlsv3.SdsSecretConfig {
	out := &tlsv3.SdsSecretConfig{Name: name, SdsConfig: &corev3.ConfigSource{
		ConfigSourceSpecifier: &corev3.ConfigSource_ApiConfigSource{ApiConfigSource: &corev3.ApiConfigSource{
			ApiType:             corev3.ApiConfigSource_GRPC,
			TransportApiVersion: corev3.ApiVersion_V3,
			GrpcServices: []*corev3.GrpcService{{TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{
				EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{ClusterName: secretFrom}}}},
			SetNodeOnFirstMessageOnly: true,
		}},
		ResourceApiVersion: corev3.ApiVersion_V3,
	}}
	if name == secretOwn || name == secretRoots {
		out.SdsConfig.InitialFetchTimeout = seconds(0)
	}
	return out
}

// nodeSource is the stream that the resource itself came by.
func nodeSource() *corev3.ConfigSource {
	return &corev3.ConfigSource{
		ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}},
		InitialFetchTimeout:   seconds(0),
		ResourceApiVersion:    corev3.ApiVersion_V3,
	}
}

// validation says by which roots a peer is believed, and which of names it must have.
func validation(roots string, names []*matcherv3.StringMatcher) *tlsv3.CommonTlsContext_CombinedValidationContext {
	return &tlsv3.CommonTlsContext_CombinedValidationContext{
		CombinedValidationContext: &tlsv3.CommonTlsContext_CombinedCertificateValidationContext{
			DefaultValidationContext:         peerNames(names),
			ValidationContextSdsSecretConfig: secret(roots),
		},
	}
}

// peerNames uses the older field, which has no type of name, as Istio does; every client reads it.
func peerNames(names []*matcherv3.StringMatcher) *tlsv3.CertificateValidationContext {
	//lint:ignore SA1019 as Istio has it
	return &tlsv3.CertificateValidationContext{MatchSubjectAltNames: names}
}

func exactly(names []string) []*matcherv3.StringMatcher {
	var out []*matcherv3.StringMatcher
	for _, n := range names {
		out = append(out, &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: n}})
	}
	return out
}

func prefixed(names []string) []*matcherv3.StringMatcher {
	var out []*matcherv3.StringMatcher
	for _, n := range names {
		out = append(out, &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Prefix{Prefix: n}})
	}
	return out
}

func socket(name string, context proto.Message) *corev3.TransportSocket {
	return &corev3.TransportSocket{Name: name, ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: pack(context)}}
}

func plaintext() *corev3.TransportSocket { return socket(rawSocket, &rawv3.RawBuffer{}) }

// versions are those of a client, and of a server that nothing limits.
func versions() *tlsv3.TlsParameters {
	return &tlsv3.TlsParameters{TlsMinimumProtocolVersion: tlsv3.TlsParameters_TLSv1_2, TlsMaximumProtocolVersion: tlsv3.TlsParameters_TLSv1_3}
}

// serverTLS is how a sidecar takes mTLS: a certificate of the mesh is demanded, from one of the trust domains that are
// trusted (semantics M38, M43). The legacy dialects looked at the trust domain in a filter of HTTP; here it is part of the
// handshake in all of them.
func (t *Translator) serverTLS(alpn ...string) *corev3.TransportSocket {
	return &corev3.TransportSocket{Name: tlsSocket, ConfigType: &corev3.TransportSocket_TypedConfig{
		TypedConfig: t.part(fmt.Sprint("server ", alpn), func() proto.Message { return t.serverContext(alpn) })}}
}

// knownSuites are the suites of TLS 1.2 that Envoy and crypto/tls both have; Istio leaves out others too.
func knownSuites() []string {
	return []string{
		"ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384",
		"ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305", "ECDHE-ECDSA-AES128-SHA", "ECDHE-RSA-AES128-SHA",
		"ECDHE-ECDSA-AES256-SHA", "ECDHE-RSA-AES256-SHA", "AES128-GCM-SHA256", "AES256-GCM-SHA384", "AES128-SHA", "AES256-SHA",
	}
}

func (t *Translator) serverContext(alpn []string) proto.Message {
	params := versions()
	if t.r.ServerMinVersion() == "1.3" {
		params.TlsMinimumProtocolVersion = tlsv3.TlsParameters_TLSv1_3
	}
	params.CipherSuites = slices.DeleteFunc(slices.Clone(t.snap.Config.CipherSuites), func(s string) bool { return !slices.Contains(knownSuites(), s) })
	if len(params.CipherSuites) == 0 {
		params.CipherSuites = []string{
			"ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-GCM-SHA256",
			"ECDHE-RSA-AES128-GCM-SHA256", "AES256-GCM-SHA384", "AES128-GCM-SHA256",
		}
	}
	return &tlsv3.DownstreamTlsContext{
		CommonTlsContext: &tlsv3.CommonTlsContext{
			TlsParams:                      params,
			TlsCertificateSdsSecretConfigs: []*tlsv3.SdsSecretConfig{secret(secretOwn)},
			ValidationContextType:          validation(secretRoots, prefixed(t.r.PeerPrefixes())),
			AlpnProtocols:                  alpn,
		},
		RequireClientCertificate: truth(true),
	}
}

// meshTLS is how a sidecar starts mTLS of the mesh (semantics M33, M37).
func (t *Translator) meshTLS(c *cluster) *corev3.TransportSocket {
	alpn := []string{alpnPeerExchange, alpnIstio}
	if t.legacy {
		alpn = alpn[1:]
	}
	if c.protocol.HTTP2() {
		alpn = append(alpn, "h2")
	}
	names, sni := t.accounts(c.service), c.sni()
	if b := c.TLS; b != nil {
		if len(b.SubjectAltNames) > 0 {
			names = b.SubjectAltNames
		}
		if b.SNI != "" {
			sni = b.SNI
		}
	}
	return socket(tlsSocket, &tlsv3.UpstreamTlsContext{
		CommonTlsContext: &tlsv3.CommonTlsContext{
			TlsParams:                      versions(),
			TlsCertificateSdsSecretConfigs: []*tlsv3.SdsSecretConfig{secret(secretOwn)},
			ValidationContextType:          validation(secretRoots, exactly(names)),
			AlpnProtocols:                  alpn,
		},
		Sni: sni,
	})
}

// foreignTLS is SIMPLE or MUTUAL with the files that a rule names. Without caCertificates the current dialect believes the
// machine's roots, and the legacy ones anybody.
func (t *Translator) foreignTLS(c *cluster) *corev3.TransportSocket {
	b := c.TLS
	common := &tlsv3.CommonTlsContext{TlsParams: versions()}
	if c.protocol.HTTP2() {
		common.AlpnProtocols = []string{"h2"}
	}
	own, roots := "file-cert:"+b.ClientCertificate+"~"+b.PrivateKey, ""
	switch {
	case b.CACertificates != "":
		roots = "file-root:" + b.CACertificates
	case !t.legacy:
		roots = "file-root:system"
	}
	if b.Mode == mesh.ClientMutual {
		common.TlsCertificateSdsSecretConfigs = []*tlsv3.SdsSecretConfig{secret(own)}
	}
	switch {
	case roots != "":
		common.ValidationContextType = validation(roots, exactly(b.SubjectAltNames))
	case len(b.SubjectAltNames) > 0:
		common.ValidationContextType = &tlsv3.CommonTlsContext_ValidationContext{ValidationContext: peerNames(exactly(b.SubjectAltNames))}
	}
	return socket(tlsSocket, &tlsv3.UpstreamTlsContext{CommonTlsContext: common, Sni: b.SNI})
}
