package metrics

import (
	"slices"
	"time"
)

// Failure is a handshake that did not come about: between whom, and why. What is not known of a peer stays "".
type Failure struct {
	Reporter            Reporter
	Source, Destination Peer
	Service             Service
	Port                uint16 // of the destination, 0 unknown
	// Cause is one of the Cause constants; anything else counts as [CauseOther].
	Cause string
	// Policy names the object that asked for what failed, as mesh.Ref prints it; "" unknown.
	Policy string
}

// Why a handshake fails: the values of the label cause, on both sides.
const (
	// CausePlaintextToTLS: bytes that are no TLS came to a port that wants TLS. A source sees it as a connection that the
	// server ends without an answer, which is CauseReset or CauseClosed there.
	CausePlaintextToTLS = "plaintext-to-tls"
	// CauseTLSToPlaintext: TLS was offered and the other side answered with something else. A server sees it where it takes
	// HTTP in plaintext.
	CauseTLSToPlaintext = "tls-to-plaintext"
	// CauseNoClientCertificate: the server requires a certificate and the client presents none.
	CauseNoClientCertificate = "no-client-certificate"
	// CauseExpired and CauseNotYetValid: a certificate's time is over, or has not begun by this machine's clock.
	CauseExpired     = "expired"
	CauseNotYetValid = "not-yet-valid"
	// CauseUnknownCA: no trusted root signed the peer's chain.
	CauseUnknownCA = "unknown-ca"
	// CauseWrongTrustDomain: the peer's SPIFFE id is of a trust domain that is not accepted here.
	CauseWrongTrustDomain = "wrong-trust-domain"
	// CauseSANMismatch: the certificate is good, but has none of the names that were asked for.
	CauseSANMismatch = "san-mismatch"
	// CauseBadCertificate: the certificate cannot be used for another reason (usage, form, signature).
	CauseBadCertificate = "bad-certificate"
	// CauseVersion, CauseCipher, CauseALPN: the sides have no version, no cipher suite, no application protocol in common.
	CauseVersion = "version"
	CauseCipher  = "cipher"
	CauseALPN    = "alpn"
	// CauseNoFilterChain: no chain of the listener is for what the client offers, such as plaintext where all chains want
	// TLS. The policy is that of the listener's port, if it is known.
	CauseNoFilterChain = "no-filter-chain"
	// CauseNoIdentity: this side has no certificate yet, or no roots.
	CauseNoIdentity = "no-identity"
	// CauseTimeout: the other side was too slow.
	CauseTimeout = "timeout"
	// CauseReset and CauseClosed: the other side ended the connection by a reset, or in good order, in the handshake.
	CauseReset  = "reset"
	CauseClosed = "closed"
	// CauseRefusedByPeer: the other side sent an alert that fits nothing above.
	CauseRefusedByPeer = "refused-by-peer"
	// CauseOther is the rest.
	CauseOther = "other"
)

// causes are all of them, for the bound on the label and for the documentation.
var causes = []string{CausePlaintextToTLS, CauseTLSToPlaintext, CauseNoClientCertificate, CauseExpired, CauseNotYetValid,
	CauseUnknownCA, CauseWrongTrustDomain, CauseSANMismatch, CauseBadCertificate, CauseVersion, CauseCipher, CauseALPN,
	CauseNoFilterChain, CauseNoIdentity, CauseTimeout, CauseReset, CauseClosed, CauseRefusedByPeer, CauseOther}

type failure struct {
	use
	count Counter
}

// Failure counts a failed handshake. Past Options.MaxSeries, reporter and cause are all that is kept.
func (r *Registry) Failure(f Failure) {
	if !slices.Contains(causes, f.Cause) {
		f.Cause = CauseOther
	}
	f = r.completeFailure(f)
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if r.failures[f] == nil && len(r.failures) >= r.opt.MaxSeries {
		r.sweepFailures(now)
		if len(r.failures) >= r.opt.MaxSeries {
			r.overflow[kindFailures].Inc()
			f = f.overflow()
		}
	}
	s := r.failures[f]
	if s == nil {
		s = &failure{use: use{seen: now}}
		r.failures[f] = s
	}
	s.touch()
	s.count.Inc()
}
