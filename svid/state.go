package svid

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
)

// Bounds of what is accepted from an authority or from files.
const (
	maxChain = 16 // certificates that are sent to peers
	maxRoots = 64
)

// Material is what an obtaining function brings: an SVID that has not been looked at.
type Material struct {
	Key crypto.Signer
	// Certificates is the leaf and then the intermediates upwards.
	Certificates []*x509.Certificate
	// Roots are the trust anchors of the trust domain, perhaps among others.
	Roots []*x509.Certificate
	// ServerTime is the authority's clock at ServerTimeAt, which is a time of ours; zero where it is not known.
	ServerTime, ServerTimeAt time.Time
	// Again says after how long to obtain anew, for places that do not renew but are read; zero leaves it to the Source.
	Again time.Duration
}

// State is the SVID and the trust bundle of one moment. It is shared and must not be changed.
type State struct {
	ID       spiffeid.ID
	Leaf     *x509.Certificate
	Roots    []*x509.Certificate
	Obtained time.Time
	// BundleVersion is a hash of the roots, whatever their order.
	BundleVersion string
	// Expires is when the leaf expires by our own clock, which may not be the authority's: that many hours after Obtained
	// as the authority gave it.
	Expires time.Time

	cert    tls.Certificate
	bundle  *x509bundle.Bundle
	aliases []spiffeid.TrustDomain
}

// newState checks material. The chain is verified at a time at which the leaf is valid: a wrong clock here must not keep
// the workload from an SVID that its peers accept.
func newState(m *Material, want spiffeid.ID, now time.Time) (*State, error) {
	if len(m.Certificates) == 0 || len(m.Certificates) > maxChain || len(m.Roots) == 0 || len(m.Roots) > maxRoots {
		return nil, fmt.Errorf("read SVID: %d certificates (want 1 to %d) and %d roots (want 1 to %d)", len(m.Certificates), maxChain, len(m.Roots), maxRoots)
	}
	leaf := m.Certificates[0]
	if k, ok := leaf.PublicKey.(interface{ Equal(crypto.PublicKey) bool }); !ok || m.Key == nil || !k.Equal(m.Key.Public()) {
		return nil, errors.New("read SVID: the certificate is not for our key")
	}
	id, err := x509svid.IDFromCert(leaf)
	if err != nil {
		return nil, fmt.Errorf("read SVID: %w", err)
	}
	if !want.IsZero() && id != want {
		return nil, fmt.Errorf("read SVID: it is for %s, want %s", id, want)
	}
	at := now
	if at.Before(leaf.NotBefore) {
		at = leaf.NotBefore
	}
	if at.After(leaf.NotAfter) {
		at = leaf.NotAfter
	}
	bundle := x509bundle.FromX509Authorities(id.TrustDomain(), m.Roots)
	if _, _, err := x509svid.Verify(m.Certificates, bundle, x509svid.WithTime(at)); err != nil {
		return nil, fmt.Errorf("read SVID: %w", err)
	}
	s := &State{ID: id, Leaf: leaf, Roots: m.Roots, Obtained: now, Expires: now.Add(lifeLeft(m, leaf, now)), bundle: bundle}
	s.cert = tls.Certificate{PrivateKey: m.Key, Leaf: leaf}
	for _, c := range m.Certificates {
		s.cert.Certificate = append(s.cert.Certificate, c.Raw)
	}
	s.BundleVersion = bundleVersion(m.Roots)
	return s, nil
}

// bundleVersion is a hash of the roots in whatever order.
func bundleVersion(roots []*x509.Certificate) string {
	var sums []string
	for _, r := range roots {
		sum := sha256.Sum256(r.Raw)
		sums = append(sums, string(sum[:]))
	}
	slices.Sort(sums)
	version := sha256.Sum256([]byte(strings.Join(sums, "")))
	return hex.EncodeToString(version[:8])
}

// lifeLeft is how long a leaf that just came will live. The authority's clock counts, where it is known. Where it is not,
// ours does, as far as it can be right: a leaf has neither no life at all nor more than its whole one.
func lifeLeft(m *Material, leaf *x509.Certificate, now time.Time) time.Duration {
	whole, left := leaf.NotAfter.Sub(leaf.NotBefore), leaf.NotAfter.Sub(now)
	if !m.ServerTime.IsZero() {
		left = leaf.NotAfter.Sub(m.ServerTime)
	}
	if left <= 0 && m.Again == 0 || left > whole {
		return whole
	}
	return left
}

// same says whether two states have the same certificates and roots.
func (s *State) same(other *State) bool {
	return s.BundleVersion == other.BundleVersion && s.Leaf.Equal(other.Leaf)
}

// GetX509BundleForTrustDomain gives the roots of the own trust domain, also for its aliases: Istio has one bundle for all.
// It makes a State the bundle source of package x509svid.
func (s *State) GetX509BundleForTrustDomain(td spiffeid.TrustDomain) (*x509bundle.Bundle, error) {
	if td == s.ID.TrustDomain() {
		return s.bundle, nil
	}
	for _, a := range s.aliases {
		if td == a {
			return s.bundle, nil
		}
	}
	return nil, &errDomain{td}
}

// errDomain says that there is no trust bundle for a trust domain.
type errDomain struct{ td spiffeid.TrustDomain }

func (e *errDomain) Error() string { return fmt.Sprintf("trust domain %q is not ours", e.td.Name()) }

// Export writes key (PKCS #8), certificate chain and roots as PEM, for a user who asked for them. Nothing else gives the
// key away.
func (s *State) Export() (key, chain, roots []byte, err error) {
	der, err := x509.MarshalPKCS8PrivateKey(s.cert.PrivateKey)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("export key: %w", err)
	}
	var up bytes.Buffer
	for _, c := range s.cert.Certificate {
		up.Write(pem.EncodeToMemory(&pem.Block{Type: certificateBlock, Bytes: c}))
	}
	var anchors bytes.Buffer
	for _, c := range s.Roots {
		anchors.Write(pem.EncodeToMemory(&pem.Block{Type: certificateBlock, Bytes: c.Raw}))
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), up.Bytes(), anchors.Bytes(), nil
}

const certificateBlock = "CERTIFICATE"

// parseCertificates reads the certificates of a PEM text, at least one and at most limit. Other text between blocks is
// skipped, other blocks are an error.
func parseCertificates(text []byte, limit int) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	for {
		var block *pem.Block
		block, text = pem.Decode(text)
		if block == nil {
			break
		}
		if block.Type != certificateBlock || len(out) == limit {
			return nil, fmt.Errorf("read certificates: a %q where at most %d of type CERTIFICATE belong", block.Type, limit)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("read certificates: %w", err)
		}
		out = append(out, c)
	}
	if len(out) == 0 {
		return nil, errors.New("read certificates: no PEM block of type CERTIFICATE")
	}
	return out, nil
}
