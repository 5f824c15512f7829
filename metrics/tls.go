package metrics

import (
	"crypto/tls"
	"slices"
)

// TLSStats are Envoy's ssl statistics of one listener or one cluster.
type TLSStats struct {
	// ConnectionError counts handshakes that failed by protocol, as against verification or a lost connection.
	ConnectionError Counter
	// NoCertificate counts handshakes in which the peer presented no certificate.
	NoCertificate Counter
	// FailVerifyNoCert counts peers without the certificate that is required.
	FailVerifyNoCert Counter
	// FailVerifyError counts chains that do not verify, FailVerifySAN those whose names do not match.
	FailVerifyError, FailVerifySAN Counter

	handshake, reused Counter
	versions          [3]Counter // of versionNames
	ciphers           [32]Counter
}

// Handshake counts one that came about: from the connection's version, cipher suite and whether it resumed a session, and
// whether the peer has a certificate.
func (s *TLSStats) Handshake(version, cipher uint16, resumed, certificate bool) {
	s.handshake.Inc()
	if resumed {
		s.reused.Inc()
	}
	if !certificate {
		s.NoCertificate.Inc()
	}
	switch version {
	case tls.VersionTLS13:
		s.versions[2].Inc()
	case tls.VersionTLS12:
		s.versions[1].Inc()
	default:
		s.versions[0].Inc()
	}
	s.ciphers[cipherIndex(cipher)].Inc()
}

// Handshakes is how many came about, and how many of these resumed a session.
func (s *TLSStats) Handshakes() (n, resumed uint64) { return s.handshake.Value(), s.reused.Value() }

var versionNames = [3]string{"other", "TLSv1.2", "TLSv1.3"}

// cipher is a suite with the name that OpenSSL, and so Envoy, has for it.
type cipher struct {
	id   uint16
	name string
}

var cipherNames = []cipher{
	{0, "other"},
	{tls.TLS_AES_128_GCM_SHA256, "TLS_AES_128_GCM_SHA256"},
	{tls.TLS_AES_256_GCM_SHA384, "TLS_AES_256_GCM_SHA384"},
	{tls.TLS_CHACHA20_POLY1305_SHA256, "TLS_CHACHA20_POLY1305_SHA256"},
	{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, "ECDHE-ECDSA-AES128-GCM-SHA256"},
	{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, "ECDHE-RSA-AES128-GCM-SHA256"},
	{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, "ECDHE-ECDSA-AES256-GCM-SHA384"},
	{tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, "ECDHE-RSA-AES256-GCM-SHA384"},
	{tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, "ECDHE-ECDSA-CHACHA20-POLY1305"},
	{tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, "ECDHE-RSA-CHACHA20-POLY1305"},
	{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, "ECDHE-ECDSA-AES128-SHA"},
	{tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, "ECDHE-RSA-AES128-SHA"},
	{tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, "ECDHE-ECDSA-AES256-SHA"},
	{tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA, "ECDHE-RSA-AES256-SHA"},
	{tls.TLS_RSA_WITH_AES_128_GCM_SHA256, "AES128-GCM-SHA256"},
	{tls.TLS_RSA_WITH_AES_256_GCM_SHA384, "AES256-GCM-SHA384"},
}

func cipherIndex(id uint16) int {
	return max(0, slices.IndexFunc(cipherNames, func(c cipher) bool { return c.id == id }))
}

// Downstream are Envoy's statistics of one listener's connections.
type Downstream struct {
	// Connections counts those for which there is a filter chain, Active is how many of them are open.
	Connections Counter // downstream_cx_total
	Active      Gauge   // downstream_cx_active
	// Overflow counts connections that were closed at once because the proxy had too many, as downstream_global_cx_overflow:
	// the bound is one for all listeners.
	Overflow Counter
	// NoFilterChainMatch counts connections that are for none of the listener's chains.
	NoFilterChainMatch Counter
}

// Upstream are Envoy's statistics of one cluster.
type Upstream struct {
	Connections    Counter // upstream_cx_total
	Active         Gauge   // upstream_cx_active
	ConnectFail    Counter // upstream_cx_connect_fail: TCP or TLS did not come about
	ConnectTimeout Counter // upstream_cx_connect_timeout

	Requests       Counter // upstream_rq_total
	ActiveRequests Gauge   // upstream_rq_active
	Pending        Gauge   // upstream_rq_pending_active: without a connection yet
	Retries        Counter // upstream_rq_retry
	Timeouts       Counter // upstream_rq_timeout
	// Overflow counts what circuit breakers refused: connections, waiting requests, requests, retries.
	ConnectionOverflow, PendingOverflow, RetryOverflow Counter
	NoHealthy                                          Counter // upstream_cx_none_healthy

	// Ejections counts endpoints put aside by outlier detection, Ejected is how many are now.
	Ejections Counter
	Ejected   Gauge
}

// Listener gives the TLS statistics of a listener by its address, "0.0.0.0_15006" in Envoy's way of writing.
func (r *Registry) Listener(address string) *TLSStats {
	return named(r, r.listeners, address)
}

// Cluster gives the TLS statistics of a cluster by its name.
func (r *Registry) Cluster(name string) *TLSStats { return named(r, r.clusters, name) }

// Downstream gives the connection statistics of a listener by its address, as Listener has it.
func (r *Registry) Downstream(address string) *Downstream { return named(r, r.downstreams, address) }

// Upstream gives the connection and request statistics of a cluster by its name.
func (r *Registry) Upstream(name string) *Upstream { return named(r, r.upstreams, name) }

// named gives the statistics of a name. Names come from the configuration, so the configuration bounds them.
func named[S any](r *Registry, set map[string]*S, name string) *S {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := set[name]
	if s == nil {
		s = new(S)
		set[name] = s
	}
	return s
}

// Forget drops the statistics of listeners and clusters that the two sets do not have; call it when the configuration
// changed. Whoever still holds one may go on counting, for nobody.
func (r *Registry) Forget(keepListeners, keepClusters map[string]bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	forget(r.listeners, keepListeners)
	forget(r.downstreams, keepListeners)
	forget(r.clusters, keepClusters)
	forget(r.upstreams, keepClusters)
}

func forget[S any](set map[string]*S, keep map[string]bool) {
	for name := range set {
		if !keep[name] {
			delete(set, name)
		}
	}
}
