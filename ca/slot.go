package ca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// The files of a plugged-in authority, named as Istio names them in its secret "cacerts".
const (
	CertFile  = "ca-cert.pem"    // the certificate that issues, an intermediate or the root itself
	KeyFile   = "ca-key.pem"     // its key
	RootFile  = "root-cert.pem"  // the trust anchors, one or several
	ChainFile = "cert-chain.pem" // from the issuing certificate up to the root; may be absent
)

const (
	maxCertificates = 64      // in one PEM text
	maxChain        = 5       // between leaf and root, the issuing certificate included
	maxFile         = 1 << 20 // bytes of any file that is read

	selfMade = "self-made"
	plugged  = "files"
)

// A slot is one authority of the trust domain: what issues, and what others must trust to believe it.
type slot struct {
	cert   *x509.Certificate
	key    crypto.Signer       // nil in an old one, which needs none
	chain  []*x509.Certificate // what a workload sends after its leaf, without the root; empty under a root of our own
	roots  []*x509.Certificate
	origin string    // selfMade or plugged
	since  time.Time // when it came to its place
	// lastLeaf is when the last leaf that it issued expires. On disk the time is rounded up, so that not every leaf
	// costs a write; savedLeaf is what the disk has.
	lastLeaf, savedLeaf time.Time
}

// newRoot makes a root. Its validity starts an hour early: a workload whose clock is behind by more than that is told so
// by its leaf.
func newRoot(td spiffeid.TrustDomain, now time.Time, ttl time.Duration) (*slot, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make root key: %w", err)
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{Organization: []string{td.Name()}},
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.Add(ttl),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	// SPIFFE wants the trust domain itself as the URI of an authority's certificate.
	template.URIs = []*url.URL{td.ID().URL()}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make root: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("make root: %w", err)
	}
	return &slot{cert: cert, key: key, roots: []*x509.Certificate{cert}, origin: selfMade, since: now}, nil
}

// readPlugIn reads an authority from files and refuses one that could not issue an SVID that others accept.
func readPlugIn(dir string, td spiffeid.TrustDomain, now time.Time) (*slot, error) {
	certs, err := readCertificates(filepath.Join(dir, CertFile))
	if err != nil {
		return nil, err
	}
	roots, err := readCertificates(filepath.Join(dir, RootFile))
	if err != nil {
		return nil, err
	}
	between, err := readCertificates(filepath.Join(dir, ChainFile))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	text, err := readFile(filepath.Join(dir, KeyFile))
	if err != nil {
		return nil, err
	}
	key, err := parseKey(text)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", filepath.Join(dir, KeyFile), err)
	}
	s := &slot{cert: certs[0], key: key, roots: roots, origin: plugged, since: now}
	if s.chain, err = wayUp(certs[0], slices.Concat(certs[1:], between), roots, now); err != nil {
		return nil, fmt.Errorf("read %s: %w", filepath.Join(dir, CertFile), err)
	}
	if err := s.check(td, now); err != nil {
		return nil, fmt.Errorf("use authority in %s: %w", dir, err)
	}
	return s, nil
}

// wayUp gives the shortest chain from an issuing certificate to one of the roots, without the root.
func wayUp(cert *x509.Certificate, between, roots []*x509.Certificate, now time.Time) ([]*x509.Certificate, error) {
	chains, err := cert.Verify(x509.VerifyOptions{
		Roots:         pool(roots),
		Intermediates: pool(between),
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
		CurrentTime:   now,
	})
	if err != nil {
		return nil, fmt.Errorf("find the way to the root: %w", err)
	}
	best := slices.MinFunc(chains, func(a, b []*x509.Certificate) int { return len(a) - len(b) })
	if len(best)-1 > maxChain {
		return nil, fmt.Errorf("find the way to the root: %d certificates, at most %d", len(best)-1, maxChain)
	}
	return best[:len(best)-1], nil
}

// check issues a leaf and verifies it as a server and as a client would: a name constraint, an extended key usage or a
// path length somewhere up the chain may forbid SVIDs although the certificate is an authority's.
func (s *slot) check(td spiffeid.TrustDomain, now time.Time) error {
	if !s.cert.IsCA || s.cert.KeyUsage != 0 && s.cert.KeyUsage&x509.KeyUsageCertSign == 0 {
		return errors.New("the certificate may not sign others")
	}
	if !samePublic(s.cert.PublicKey, s.key.Public()) {
		return errors.New("the key does not belong to the certificate")
	}
	if _, err := keyName(s.cert.PublicKey); err != nil {
		return err
	}
	probe, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("try it: %w", err)
	}
	id, err := spiffeid.FromSegments(td, "ns", "default", "sa", "default")
	if err != nil {
		return fmt.Errorf("try it: %w", err)
	}
	leaf, err := s.sign(leafTemplate(id, probe.Public(), now.Add(-time.Second), now.Add(time.Minute)), probe.Public())
	if err != nil {
		return fmt.Errorf("try it: %w", err)
	}
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		if _, err := leaf.Verify(x509.VerifyOptions{
			Roots:         pool(s.roots),
			Intermediates: pool(s.chain),
			KeyUsages:     []x509.ExtKeyUsage{usage},
			CurrentTime:   now,
		}); err != nil {
			return fmt.Errorf("try it: %w", err)
		}
	}
	return nil
}

// expires is when the first certificate of the way to the root ends: no leaf may promise more.
func (s *slot) expires() time.Time {
	end := s.cert.NotAfter
	for _, c := range s.chain {
		if c.NotAfter.Before(end) {
			end = c.NotAfter
		}
	}
	return end
}

// sign makes a certificate under the slot's own. The serial number is 160 random bits of crypto/x509's.
func (s *slot) sign(template *x509.Certificate, pub any) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, s.cert, pub, s.key)
	if err != nil {
		return nil, fmt.Errorf("sign certificate: %w", err)
	}
	return x509.ParseCertificate(der)
}

// leafTemplate is an X.509-SVID: no subject, so that the URI is the only name.
func leafTemplate(id spiffeid.ID, pub any, from, to time.Time) *x509.Certificate {
	usage := x509.KeyUsageDigitalSignature
	if _, ec := pub.(*ecdsa.PublicKey); !ec {
		usage |= x509.KeyUsageKeyEncipherment // RSA key exchange, where a TLS 1.2 peer insists on it
	}
	return &x509.Certificate{
		NotBefore:             from,
		NotAfter:              to,
		KeyUsage:              usage,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
		URIs:                  []*url.URL{id.URL()},
	}
}

func pool(certs []*x509.Certificate) *x509.CertPool {
	p := x509.NewCertPool()
	for _, c := range certs {
		p.AddCert(c)
	}
	return p
}

func readCertificates(name string) ([]*x509.Certificate, error) {
	text, err := readFile(name)
	if err != nil {
		return nil, err
	}
	certs, err := parseCertificates(text)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return certs, nil
}
