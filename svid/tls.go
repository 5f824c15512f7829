package svid

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
)

// Cause is why a peer was refused.
type Cause uint8

// The causes.
const (
	CauseNone        Cause = iota
	NoCertificate          // it sent none
	NotSPIFFE              // its certificate is not an X.509-SVID
	OtherTrustDomain       // there is no trust bundle for its trust domain
	Expired                // its certificate, or one above, has expired
	NotYetValid            // its certificate, or one above, is not valid yet: somebody's clock is wrong
	UnknownAuthority       // no root of the trust bundle vouches for it
	BadCertificate         // it does not verify for another reason
	NotAuthorized          // who it is is proven, and it is not who may be here
)

// String is the cause in words of a label.
func (c Cause) String() string {
	names := [...]string{"none", "no_certificate", "not_spiffe", "other_trust_domain", "expired", "not_yet_valid", "unknown_authority", "bad_certificate", "not_authorized"}
	if int(c) < len(names) {
		return names[c]
	}
	return fmt.Sprintf("cause_%d", uint8(c))
}

// PeerError says why a peer was refused. A handshake fails with it.
type PeerError struct {
	Cause Cause
	ID    spiffeid.ID // who the peer says that it is, where it says so in the form of SPIFFE; proven only if NotAuthorized
	Err   error
}

// Error says who was refused and why.
func (e *PeerError) Error() string {
	if e.ID.IsZero() {
		return fmt.Sprintf("refuse peer: %v", e.Err)
	}
	return fmt.Sprintf("refuse peer %s: %v", e.ID, e.Err)
}

// Unwrap gives the cause.
func (e *PeerError) Unwrap() error { return e.Err }

// Verify checks the certificates of a peer against the trust bundle of now, and whether its ID may be here. The error is
// a [PeerError].
func (s *Source) Verify(certs []*x509.Certificate, authorize spiffeid.Matcher) (spiffeid.ID, error) {
	if len(certs) == 0 {
		return spiffeid.ID{}, &PeerError{Cause: NoCertificate, Err: errors.New("it sent no certificate")}
	}
	id, _, err := x509svid.Verify(certs, s.State())
	if err != nil {
		return id, &PeerError{Cause: cause(id, err, time.Now()), ID: id, Err: err}
	}
	if err := authorize(id); err != nil {
		return id, &PeerError{Cause: NotAuthorized, ID: id, Err: err}
	}
	return id, nil
}

func cause(id spiffeid.ID, err error, now time.Time) Cause {
	var domain *errDomain
	var invalid x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	switch {
	case id.IsZero():
		return NotSPIFFE
	case errors.As(err, &domain):
		return OtherTrustDomain
	case errors.As(err, &unknown):
		return UnknownAuthority
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired: // it stands for both ends of the validity
		if invalid.Cert != nil && now.Before(invalid.Cert.NotBefore) {
			return NotYetValid
		}
		return Expired
	}
	return BadCertificate
}

// ServerConfig is a TLS configuration for a server whose clients must present an SVID that authorize accepts. The caller
// may set ALPN, versions and cipher suites on it.
func (s *Source) ServerConfig(authorize spiffeid.Matcher) *tls.Config {
	config := &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: s.GetCertificate,
		// Any: crypto/tls verifies by names, which SVIDs do not have. VerifyConnection does it.
		ClientAuth:       tls.RequireAnyClientCert,
		VerifyConnection: s.verifyConnection(authorize),
	}
	tickets := &tls.Config{} // encrypts tickets; crypto/tls changes the key daily
	// A ticket has the client's certificate of the first handshake in it. Once the trust bundle has changed that one may
	// not verify any more, and the connection would fail, although the client has a newer one. So the ticket remembers
	// the bundle, and with another there is a full handshake.
	config.WrapSession = func(cs tls.ConnectionState, session *tls.SessionState) ([]byte, error) {
		session.Extra = append(session.Extra, []byte(sessionTag+s.State().BundleVersion))
		return tickets.EncryptTicket(cs, session)
	}
	config.UnwrapSession = func(identity []byte, cs tls.ConnectionState) (*tls.SessionState, error) {
		session, err := tickets.DecryptTicket(identity, cs)
		if err != nil || session == nil {
			return nil, err
		}
		for _, extra := range session.Extra {
			if string(extra) == sessionTag+s.State().BundleVersion {
				return session, nil
			}
		}
		return nil, nil
	}
	return config
}

// sessionTag begins our entry in a session, among those of others.
const sessionTag = "oarlock-bundle:"

// ClientConfig is a TLS configuration for a client whose server must present an SVID that authorize accepts. Its names do
// not count, so ServerName is free for SNI. Sessions are resumed as long as the trust bundle is the same.
func (s *Source) ClientConfig(authorize spiffeid.Matcher) *tls.Config {
	return &tls.Config{
		MinVersion:           tls.VersionTLS12,
		GetClientCertificate: s.GetClientCertificate,
		// VerifyConnection does it, by ID instead of by name.
		InsecureSkipVerify: true,
		VerifyConnection:   s.verifyConnection(authorize),
		ClientSessionCache: &sessionCache{source: s, inner: tls.NewLRUClientSessionCache(clientSessions)},
	}
}

// clientSessions is how many servers a client configuration remembers.
const clientSessions = 64

func (s *Source) verifyConnection(authorize spiffeid.Matcher) func(tls.ConnectionState) error {
	return func(cs tls.ConnectionState) error {
		_, err := s.Verify(cs.PeerCertificates, authorize)
		return err
	}
}

// A sessionCache forgets sessions when the trust bundle changes: the server's certificate in them may not verify any more.
type sessionCache struct {
	source *Source
	inner  tls.ClientSessionCache
}

// Get gives a session that began under today's trust bundle.
func (c *sessionCache) Get(key string) (*tls.ClientSessionState, bool) {
	return c.inner.Get(c.key(key))
}

// Put keeps a session.
func (c *sessionCache) Put(key string, cs *tls.ClientSessionState) { c.inner.Put(c.key(key), cs) }

func (c *sessionCache) key(key string) string { return c.source.State().BundleVersion + " " + key }

// Label is the cause in words of a label, for those who count failures and do not know this package.
func (e *PeerError) Label() string { return e.Cause.String() }

// PeerID is ID as text, for those who do not know this package; "" where the peer did not say who it is.
func (e *PeerError) PeerID() string {
	if e.ID.IsZero() {
		return ""
	}
	return e.ID.String()
}
