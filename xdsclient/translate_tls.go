//lint:file-ignore SA1019 control planes still send what Envoy calls deprecated

package xdsclient

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/proto"

	"github.com/oarlock/oarlock/proxy"
)

const (
	serverTLSHarmless = `session_ticket_keys session_ticket_keys_sds_secret_config disable_stateless_session_resumption
		disable_stateful_session_resumption session_timeout full_scan_certs_on_sni_mismatch prefer_client_ciphers`
	clientTLSHarmless = `allow_renegotiation max_session_keys enforce_rsa_key_usage`
	commonTLSObeyed   = `tls_params tls_certificates tls_certificate_sds_secret_configs validation_context
		validation_context_sds_secret_config combined_validation_context alpn_protocols`
	trustObeyed   = `trusted_ca match_typed_subject_alt_names match_subject_alt_names system_root_certs`
	trustHarmless = `max_verify_depth only_verify_leaf_cert_crl`
)

// The names of secrets that a sidecar has itself, as Istio's agent does.
const (
	secretOwnCertificate = "default"
	secretOwnTrust       = "ROOTCA"
	secretFileCert       = "file-cert:"
	secretFileRoot       = "file-root:"
	secretSystemRoots    = "file-root:system"

	// Where Istio 1.1 to 1.4 had the workload's own SVID as files: rules with mode MUTUAL name them. Here its key is in no
	// file, so the names stand for what the sidecar has.
	secretOwnFiles = "file-cert:/etc/certs/cert-chain.pem~/etc/certs/key.pem"
	secretOwnRoots = "file-root:/etc/certs/root-cert.pem"
)

// socketKind says which transport socket it is: TLS, or nothing at all.
func socketKind(s *corev3.TransportSocket) (e extension, plaintext bool, err error) {
	if s == nil {
		return e, true, nil
	}
	if e, err = extensionOf(s.Name, s.GetTypedConfig()); err != nil {
		return e, false, err
	}
	switch e.url {
	case "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer", "envoy.transport_sockets.raw_buffer":
		return e, true, nil
	case "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
		"envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext":
		return e, false, nil
	}
	return e, false, fmt.Errorf("%s is not supported", e.url)
}

// rawSocket decodes and reads the transport socket of a chain; nil is plaintext.
func (t *translation) rawSocket(b []byte) (*proxy.ServerTLS, error) {
	return once(t, "socket", b, func() (*proxy.ServerTLS, error) {
		s := &corev3.TransportSocket{}
		if err := proto.Unmarshal(b, s); err != nil {
			return nil, fmt.Errorf("decode: %w", err)
		}
		return t.serverTLS(s)
	})
}

// serverTLS reads a downstream TLS context; nil is plaintext.
func (t *translation) serverTLS(s *corev3.TransportSocket) (*proxy.ServerTLS, error) {
	e, plaintext, err := socketKind(s)
	if err != nil || plaintext {
		return nil, err
	}
	c := &tlsv3.DownstreamTlsContext{}
	if err := decode(e.body, c); err != nil {
		return nil, err
	}
	if err := t.fields(c, "common_tls_context require_client_certificate", serverTLSHarmless); err != nil {
		return nil, err
	}
	common, err := t.commonTLS(c.CommonTlsContext)
	if err != nil {
		return nil, err
	}
	out := &proxy.ServerTLS{
		Certificate: common.certificate, Trust: common.trust, Peers: common.peers, ALPN: common.alpn,
		Require:    c.GetRequireClientCertificate().GetValue(),
		MinVersion: common.minVersion, MaxVersion: common.maxVersion, CipherSuites: common.suites,
	}
	if out.Certificate == (proxy.Certificate{}) {
		return nil, errors.New("there is no certificate")
	}
	if out.Require && out.Trust == (proxy.Trust{}) {
		return nil, errors.New("require_client_certificate without a validation context would believe any certificate")
	}
	return out, nil
}

// clientTLS reads an upstream TLS context; nil is plaintext.
func (t *translation) clientTLS(s *corev3.TransportSocket) (*proxy.ClientTLS, error) {
	e, plaintext, err := socketKind(s)
	if err != nil || plaintext {
		return nil, err
	}
	c := &tlsv3.UpstreamTlsContext{}
	if err := decode(e.body, c); err != nil {
		return nil, err
	}
	if err := t.fields(c, "common_tls_context sni", clientTLSHarmless); err != nil {
		return nil, err
	}
	common, err := t.commonTLS(c.CommonTlsContext)
	if err != nil {
		return nil, err
	}
	return &proxy.ClientTLS{
		Certificate: common.certificate, Trust: common.trust, Peers: common.peers, ALPN: common.alpn, SNI: c.Sni,
		MinVersion: common.minVersion, MaxVersion: common.maxVersion, CipherSuites: common.suites,
	}, nil
}

// commonTLS is what both sides of TLS have.
type commonTLS struct {
	certificate            proxy.Certificate
	trust                  proxy.Trust
	peers                  []proxy.NameMatch
	alpn                   []string
	minVersion, maxVersion uint16
	suites                 []uint16
}

func (t *translation) commonTLS(c *tlsv3.CommonTlsContext) (out commonTLS, err error) {
	if c == nil {
		return out, nil
	}
	if err := t.fields(c, commonTLSObeyed, ""); err != nil {
		return out, err
	}
	out.alpn = c.AlpnProtocols
	if err := t.tlsParameters(c.TlsParams, &out); err != nil {
		return out, err
	}
	if out.certificate, err = certificateOf(c); err != nil {
		return out, err
	}
	switch v := c.ValidationContextType.(type) {
	case nil:
	case *tlsv3.CommonTlsContext_ValidationContext:
		err = t.validation(v.ValidationContext, &out)
	case *tlsv3.CommonTlsContext_ValidationContextSdsSecretConfig:
		out.trust, err = secretTrust(v.ValidationContextSdsSecretConfig.GetName())
	case *tlsv3.CommonTlsContext_CombinedValidationContext:
		both := v.CombinedValidationContext
		if err = t.fields(both, "default_validation_context validation_context_sds_secret_config", ""); err != nil {
			return out, err
		}
		if err = t.validation(both.DefaultValidationContext, &out); err != nil {
			return out, err
		}
		if s := both.ValidationContextSdsSecretConfig; s != nil {
			out.trust, err = secretTrust(s.Name)
		}
	default:
		err = fmt.Errorf("%T is not supported", v)
	}
	return out, err
}

// certificateOf reads which certificate to present, the zero value for none.
func certificateOf(c *tlsv3.CommonTlsContext) (out proxy.Certificate, err error) {
	if len(c.TlsCertificates)+len(c.TlsCertificateSdsSecretConfigs) > 1 {
		return out, errors.New("more than one certificate is not supported")
	}
	for _, one := range c.TlsCertificates {
		out.CertFile, out.KeyFile = one.GetCertificateChain().GetFilename(), one.GetPrivateKey().GetFilename()
		if out.CertFile == "" || out.KeyFile == "" {
			return out, errors.New("tls_certificates: only files are supported")
		}
	}
	for _, s := range c.TlsCertificateSdsSecretConfigs {
		files, isFile := strings.CutPrefix(s.Name, secretFileCert)
		cert, key, ok := strings.Cut(files, "~")
		switch {
		case s.Name == secretOwnCertificate, s.Name == secretOwnFiles:
			out.Own = true
		case isFile && ok:
			out.CertFile, out.KeyFile = cert, key
		default:
			return out, fmt.Errorf("secret %q: the sidecar has no such certificate", s.Name)
		}
	}
	return out, nil
}

// secretTrust reads the name of a secret with roots.
func secretTrust(name string) (proxy.Trust, error) {
	file, isFile := strings.CutPrefix(name, secretFileRoot)
	switch {
	case name == secretOwnTrust, name == secretOwnRoots:
		return proxy.Trust{Own: true}, nil
	case name == secretSystemRoots:
		return proxy.Trust{System: true}, nil
	case isFile && file != "":
		return proxy.Trust{RootFile: file}, nil
	}
	return proxy.Trust{}, fmt.Errorf("secret %q: the sidecar has no such roots", name)
}

// validation reads by what a peer is believed.
func (t *translation) validation(v *tlsv3.CertificateValidationContext, out *commonTLS) error {
	if v == nil {
		return nil
	}
	if err := t.fields(v, trustObeyed, trustHarmless); err != nil {
		return err
	}
	if v.SystemRootCerts != nil {
		out.trust.System = true
	}
	if ca := v.TrustedCa; ca != nil {
		if out.trust.RootFile = ca.GetFilename(); out.trust.RootFile == "" {
			return errors.New("trusted_ca: only a file is supported")
		}
	}
	names := v.MatchSubjectAltNames
	for _, m := range v.MatchTypedSubjectAltNames {
		switch m.SanType {
		case tlsv3.SubjectAltNameMatcher_URI, tlsv3.SubjectAltNameMatcher_DNS, tlsv3.SubjectAltNameMatcher_IP_ADDRESS:
			names = append(names, m.Matcher)
		default:
			return fmt.Errorf("match_typed_subject_alt_names: san_type %s is not supported", m.SanType)
		}
	}
	for _, m := range names {
		one, err := nameMatch(m)
		if err != nil {
			return err
		}
		out.peers = append(out.peers, one)
	}
	return nil
}

// nameMatch reads one pattern for a certificate's name.
func nameMatch(m *matcherv3.StringMatcher) (proxy.NameMatch, error) {
	switch p := m.GetMatchPattern().(type) {
	case *matcherv3.StringMatcher_Exact:
		if p.Exact != "" && !m.IgnoreCase {
			return proxy.NameMatch{Value: p.Exact}, nil
		}
	case *matcherv3.StringMatcher_Prefix:
		if p.Prefix != "" && !m.IgnoreCase {
			return proxy.NameMatch{Value: p.Prefix, Prefix: true}, nil
		}
	}
	return proxy.NameMatch{}, errors.New("match_subject_alt_names: only exact and prefix are supported")
}

// tlsParameters reads versions and cipher suites.
func (t *translation) tlsParameters(p *tlsv3.TlsParameters, out *commonTLS) error {
	if p == nil {
		return nil
	}
	err := t.fields(p, "tls_minimum_protocol_version tls_maximum_protocol_version cipher_suites", "ecdh_curves signature_algorithms")
	if err != nil {
		return err
	}
	out.minVersion = t.tlsVersion(p.TlsMinimumProtocolVersion)
	out.maxVersion = t.tlsVersion(p.TlsMaximumProtocolVersion)
	for _, name := range p.CipherSuites {
		// A group in brackets is several of equal preference.
		for one := range strings.SplitSeq(strings.Trim(name, "[]"), "|") {
			if id := cipherSuite(one); id != 0 {
				out.suites = append(out.suites, id)
			} else {
				t.ignore("TlsParameters.cipher_suites " + one)
			}
		}
	}
	if len(p.CipherSuites) > 0 && len(out.suites) == 0 {
		return fmt.Errorf("cipher_suites: none of %s is supported", strings.Join(p.CipherSuites, ", "))
	}
	return nil
}

// tlsVersion gives the version of crypto/tls, 1.2 for what is older: nothing below it is spoken.
func (t *translation) tlsVersion(v tlsv3.TlsParameters_TlsProtocol) uint16 {
	switch v {
	case tlsv3.TlsParameters_TLSv1_3:
		return tls.VersionTLS13
	case tlsv3.TlsParameters_TLS_AUTO:
		return 0
	case tlsv3.TlsParameters_TLSv1_2:
		return tls.VersionTLS12
	}
	t.ignore("TlsParameters version " + v.String())
	return tls.VersionTLS12
}

// cipherSuite knows OpenSSL's names of the suites of TLS 1.2 that crypto/tls has; 0 for others.
func cipherSuite(name string) uint16 {
	switch name {
	case "ECDHE-ECDSA-AES128-GCM-SHA256":
		return tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
	case "ECDHE-ECDSA-AES256-GCM-SHA384":
		return tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
	case "ECDHE-ECDSA-CHACHA20-POLY1305":
		return tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
	case "ECDHE-RSA-AES128-GCM-SHA256":
		return tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
	case "ECDHE-RSA-AES256-GCM-SHA384":
		return tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384
	case "ECDHE-RSA-CHACHA20-POLY1305":
		return tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256
	case "ECDHE-ECDSA-AES128-SHA":
		return tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA
	case "ECDHE-ECDSA-AES256-SHA":
		return tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA
	case "ECDHE-RSA-AES128-SHA":
		return tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA
	case "ECDHE-RSA-AES256-SHA":
		return tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA
	case "AES128-GCM-SHA256":
		return tls.TLS_RSA_WITH_AES_128_GCM_SHA256
	case "AES256-GCM-SHA384":
		return tls.TLS_RSA_WITH_AES_256_GCM_SHA384
	case "AES128-SHA":
		return tls.TLS_RSA_WITH_AES_128_CBC_SHA
	case "AES256-SHA":
		return tls.TLS_RSA_WITH_AES_256_CBC_SHA
	}
	return 0
}
