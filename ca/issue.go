package ca

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// MaxCSR is the longest request that is looked at, in bytes of PEM. One for an RSA key of 4096 bits has under 2000.
const MaxCSR = 16 << 10

// RequestError says that whoever asked must ask otherwise; every other error of [Authority.Issue] is the authority's own
// trouble.
type RequestError struct{ Err error }

// Error gives the cause alone.
func (e *RequestError) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *RequestError) Unwrap() error { return e.Err }

// Issued is one X.509-SVID with what others need to believe it.
type Issued struct {
	ID    spiffeid.ID
	Leaf  *x509.Certificate
	Chain []*x509.Certificate // intermediates, from the leaf's issuer upwards; empty under a root of our own
	// Bundle is what was trusted at that moment.
	Bundle *Bundle
}

// Issue answers a CSR in PEM with a certificate for who. Of the CSR only the public key counts: it may ask for any name
// and any extension, and gets none of them. A ttl of zero or less is the default one; the certificate never outlives the
// authority. The error is a [RequestError] where the CSR or the ttl is at fault.
func (a *Authority) Issue(csr []byte, who Identity, ttl time.Duration) (*Issued, error) {
	pub, err := requestedKey(csr)
	if err != nil {
		return nil, &RequestError{err}
	}
	id, err := who.SPIFFEID(a.td)
	if err != nil {
		return nil, &RequestError{err}
	}
	if ttl <= 0 {
		ttl = a.opt.TTL
	}
	if ttl > a.opt.MaxTTL {
		return nil, &RequestError{fmt.Errorf("a life of %v is longer than %v, the longest that is allowed", ttl, a.opt.MaxTTL)}
	}
	now := time.Now()
	template := leafTemplate(id, pub, now.Add(-a.opt.Backdate), now.Add(ttl))
	issued, err := a.issue(template, pub, now)
	if err != nil {
		return nil, fmt.Errorf("issue SVID: %w", err)
	}
	issued.ID = id
	return issued, nil
}

// issueServer makes the certificate of the authority's own server: an SVID that has host names and addresses besides.
func (a *Authority) issueServer(pub any, id spiffeid.ID, hosts []string) (*Issued, error) {
	now := time.Now()
	template := leafTemplate(id, pub, now.Add(-a.opt.Backdate), now.Add(a.opt.TTL))
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, h)
		}
	}
	issued, err := a.issue(template, pub, now)
	if err != nil {
		return nil, fmt.Errorf("issue certificate of the server: %w", err)
	}
	issued.ID = id
	return issued, nil
}

// issue signs under the lock: a leaf is delivered with the bundle of the moment in which it counted as issued, so Prepare
// knows by when the last leaf that came without the new trust expires.
func (a *Authority) issue(template *x509.Certificate, pub any, now time.Time) (*Issued, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.slots.active
	end := s.expires()
	if !now.Before(end) {
		return nil, fmt.Errorf("the authority expired at %s", end.Format(time.RFC3339))
	}
	if template.NotAfter.After(end) {
		template.NotAfter = end
	}
	leaf, err := s.sign(template, pub)
	if err != nil {
		return nil, err
	}
	a.count(leaf.NotAfter, now)
	return &Issued{Leaf: leaf, Chain: s.chain, Bundle: a.bundle}, nil
}

// count remembers until when the active authority is needed. The disk gets a rounded-up time, once for a quarter of a
// leaf's life. A disk that is full must not stop a mesh: then only a crash in the middle of a rotation could make the
// authority forget, and the log says so.
func (a *Authority) count(notAfter, now time.Time) {
	s := a.slots.active
	if notAfter.After(s.lastLeaf) {
		s.lastLeaf = notAfter
	}
	if !notAfter.After(s.savedLeaf) || a.keeper.file == "" {
		return
	}
	was := s.savedLeaf
	s.savedLeaf = notAfter.Add(notAfter.Sub(now) / 4)
	if err := a.keeper.save(a.slots); err != nil {
		s.savedLeaf = was
		a.log.Error("authority's state is not on disk", "error", err)
	}
}

// requestedKey reads a CSR and gives its public key, when the sender has proved to hold the private one.
func requestedKey(text []byte) (any, error) {
	if len(text) > MaxCSR {
		return nil, fmt.Errorf("read CSR: %d bytes, at most %d", len(text), MaxCSR)
	}
	block, rest := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE REQUEST" && block.Type != "NEW CERTIFICATE REQUEST" {
		return nil, errors.New("read CSR: no PEM block of type CERTIFICATE REQUEST")
	}
	if len(bytes.TrimSpace(rest)) != 0 {
		return nil, errors.New("read CSR: something follows the request")
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read CSR: %w", err)
	}
	if _, err := keyName(csr.PublicKey); err != nil { // before the signature, whose cost depends on the key
		return nil, fmt.Errorf("read CSR: %w", err)
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, fmt.Errorf("read CSR: it is not signed with its own key: %w", err)
	}
	return csr.PublicKey, nil
}

// PEM is the answer's form in Istio's service: leaf, intermediates, and as the last element all roots together.
func (i *Issued) PEM() []string {
	out := []string{certificatePEM(i.Leaf)}
	for _, c := range i.Chain {
		out = append(out, certificatePEM(c))
	}
	return append(out, string(i.Bundle.PEM()))
}
