package proxy

import (
	"crypto/tls"
	"strings"

	"github.com/oarlock/oarlock/accesslog"
	"github.com/oarlock/oarlock/metrics"
)

// listenerStats are the series of one listener, under Envoy's name for it.
type listenerStats struct {
	tls  *metrics.TLSStats
	down *metrics.Downstream
}

func (p *Proxy) listenerStats(l *Listener) listenerStats {
	name := statName(l)
	return listenerStats{tls: p.opt.Series.Listener(name), down: p.opt.Series.Downstream(name)}
}

// statName is Envoy's: 0.0.0.0_15006.
func statName(l *Listener) string { return strings.ReplaceAll(l.Address.String(), ":", "_") }

// opened counts a connection that has its filter chain; the caller owes a closed.
func (s listenerStats) opened() {
	s.down.Connections.Inc()
	s.down.Active.Add(1)
}

func (s listenerStats) closed() { s.down.Active.Add(-1) }

func (s listenerStats) overflow() { s.down.Overflow.Inc() }

func (s listenerStats) noChain() { s.down.NoFilterChainMatch.Inc() }

func (s listenerStats) handshake(c *tls.ConnectionState) {
	s.tls.Handshake(c.Version, c.CipherSuite, c.DidResume, len(c.PeerCertificates) > 0)
}

func (s listenerStats) failed(f tlsFailure) { countTLS(s.tls, f.cause) }

// countTLS counts a failed handshake as Envoy would.
func countTLS(s *metrics.TLSStats, cause string) {
	switch cause {
	case metrics.CauseNoClientCertificate:
		s.FailVerifyNoCert.Inc()
	case metrics.CauseSANMismatch, metrics.CauseWrongTrustDomain:
		s.FailVerifySAN.Inc()
	case metrics.CauseExpired, metrics.CauseNotYetValid, metrics.CauseUnknownCA, metrics.CauseBadCertificate:
		s.FailVerifyError.Inc()
	case metrics.CauseTimeout, metrics.CauseReset, metrics.CauseClosed:
	default:
		s.ConnectionError.Inc()
	}
}

// tlsRecord is what an access log says of a connection's TLS.
func tlsRecord(s *tls.ConnectionState) accesslog.TLS {
	out := accesslog.TLS{Version: versionName(s.Version), Cipher: cipherName(s.CipherSuite)}
	if len(s.PeerCertificates) > 0 {
		leaf := s.PeerCertificates[0]
		out.PeerSubject, out.PeerIssuer = leaf.Subject.String(), leaf.Issuer.String()
		if len(leaf.URIs) > 0 {
			out.PeerURISAN = leaf.URIs[0].String()
		}
	}
	return out
}

// versionName is Envoy's.
func versionName(v uint16) string {
	switch v {
	case tls.VersionTLS13:
		return "TLSv1.3"
	case tls.VersionTLS12:
		return "TLSv1.2"
	}
	return tls.VersionName(v)
}

// cipherName is OpenSSL's, as Envoy has it.
func cipherName(id uint16) string {
	name := tls.CipherSuiteName(id)
	rest, ok := strings.CutPrefix(name, "TLS_ECDHE_")
	if !ok {
		return name
	}
	rest = strings.TrimSuffix(rest, "_SHA256")
	r := strings.NewReplacer("_WITH_", "-", "AES_128_GCM", "AES128-GCM-SHA256", "AES_256_GCM_SHA384", "AES256-GCM-SHA384", "CHACHA20_POLY1305", "CHACHA20-POLY1305", "_CBC_SHA", "-SHA", "AES_128", "AES128", "AES_256", "AES256")
	return "ECDHE-" + r.Replace(rest)
}
