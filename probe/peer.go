package probe

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// Severity says how bad a finding is.
type Severity string

// The severities.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
)

// Finding is one thing that is wrong with a certificate. A chain can have several; all are reported.
type Finding struct {
	Severity Severity `json:"severity"`
	Subject  string   `json:"subject"` // whose certificate: a SPIFFE ID, a subject, or "own certificate"
	Text     string   `json:"text"`
}

// String gives the finding as one line.
func (f Finding) String() string { return fmt.Sprintf("%s: %s: %s", f.Severity, f.Subject, f.Text) }

// Peer is whose certificate a server showed.
type Peer struct {
	SPIFFEID    string        `json:"spiffeID,omitempty"` // of the one URI name; "" where there is none, or it is no SPIFFE ID
	Subject     string        `json:"subject,omitempty"`
	Issuer      string        `json:"issuer"`
	DNSNames    []string      `json:"dnsNames,omitempty"`
	NotBefore   time.Time     `json:"notBefore"`
	NotAfter    time.Time     `json:"notAfter"`
	Key         string        `json:"key"`         // such as ECDSA P-256, RSA 2048
	Fingerprint string        `json:"fingerprint"` // SHA-256 of the certificate, in hex
	Chain       []Certificate `json:"chain"`       // as sent, the leaf first
}

// Certificate is one of a chain.
type Certificate struct {
	Subject  string    `json:"subject,omitempty"`
	Issuer   string    `json:"issuer"`
	NotAfter time.Time `json:"notAfter"`
	CA       bool      `json:"ca"`
}

// Name is the SPIFFE ID, else a DNS name, else the subject, else the fingerprint.
func (p *Peer) Name() string {
	switch {
	case p.SPIFFEID != "":
		return p.SPIFFEID
	case len(p.DNSNames) > 0:
		return p.DNSNames[0]
	case p.Subject != "":
		return p.Subject
	}
	return p.Fingerprint
}

func newPeer(chain []*x509.Certificate) Peer {
	leaf := chain[0]
	sum := sha256.Sum256(leaf.Raw)
	p := Peer{
		Subject: leaf.Subject.String(), Issuer: leaf.Issuer.String(), DNSNames: leaf.DNSNames,
		NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter, Key: keyWord(leaf), Fingerprint: hex.EncodeToString(sum[:]),
	}
	if len(leaf.URIs) == 1 && checkSPIFFE(leaf.URIs[0]) == nil {
		p.SPIFFEID = leaf.URIs[0].String()
	}
	for _, c := range chain {
		p.Chain = append(p.Chain, Certificate{c.Subject.String(), c.Issuer.String(), c.NotAfter, c.IsCA})
	}
	return p
}

func keyWord(c *x509.Certificate) string {
	switch k := c.PublicKey.(type) {
	case *ecdsa.PublicKey:
		return "ECDSA " + k.Params().Name
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", k.N.BitLen())
	case ed25519.PublicKey:
		return "Ed25519"
	}
	return c.PublicKeyAlgorithm.String()
}

// checkSPIFFE says what is wrong with a SPIFFE ID.
func checkSPIFFE(u *url.URL) error {
	switch {
	case u.Scheme != "spiffe":
		return fmt.Errorf("%q is no SPIFFE ID", u)
	case u.Host == "" || u.User != nil || u.Port() != "" || u.RawQuery != "" || u.Fragment != "" || u.Opaque != "":
		return fmt.Errorf("%q is no SPIFFE ID: want spiffe://TRUST-DOMAIN/PATH", u)
	case u.Host != strings.ToLower(u.Host):
		return fmt.Errorf("%q is no SPIFFE ID: its trust domain has capitals", u)
	}
	return nil
}

// An inspection is what a chain is judged by.
type inspection struct {
	roots  *x509.CertPool // nil: whom it ends in is not judged
	now    time.Time
	client bool // it is used as a client's
}

// inspect says everything that is wrong with a chain, not only what would stop a handshake first.
func inspect(subject string, chain []*x509.Certificate, in inspection) []Finding {
	var out []Finding
	add := func(s Severity, format string, args ...any) {
		out = append(out, Finding{s, subject, fmt.Sprintf(format, args...)})
	}
	for i, c := range chain {
		which := "it"
		if i > 0 {
			which = fmt.Sprintf("certificate %d of its chain (%s)", i+1, c.Subject)
		}
		if text := validity(c, in.now); text != "" {
			add(Error, "%s %s", which, text)
		}
		if text := weakness(c); text != "" {
			add(Error, "%s %s", which, text)
		}
		if i > 0 && chain[i-1].CheckSignatureFrom(c) != nil {
			add(Error, "certificate %d of its chain did not issue the one before it", i+1)
		}
	}
	out = append(out, inspectLeaf(subject, chain[0], in)...)
	if in.roots != nil {
		if err := verify(chain, in); err != nil {
			add(Error, "no chain to the roots that were given: %s", strings.TrimPrefix(err.Error(), "x509: "))
		}
	}
	return out
}

func inspectLeaf(subject string, leaf *x509.Certificate, in inspection) []Finding {
	var out []Finding
	add := func(s Severity, format string, args ...any) {
		out = append(out, Finding{s, subject, fmt.Sprintf(format, args...)})
	}
	left := leaf.NotAfter.Sub(in.now)
	if life := leaf.NotAfter.Sub(leaf.NotBefore); left > 0 && in.now.After(leaf.NotBefore) && left < life/10 {
		add(Warning, "it expires in %s, less than a tenth of its life", duration(left))
	}
	switch {
	case leaf.IsCA && len(leaf.URIs) > 0:
		add(Error, "it is the certificate of an authority, which no SVID may be")
	case leaf.IsCA:
		add(Warning, "it is the certificate of an authority")
	}
	if len(leaf.URIs) > 1 {
		add(Error, "it has %d URI names; an SVID has one", len(leaf.URIs))
	}
	for _, u := range leaf.URIs {
		if err := checkSPIFFE(u); err != nil {
			add(Error, "%s", err)
		}
	}
	usage, name := x509.ExtKeyUsageServerAuth, "server"
	if in.client {
		usage, name = x509.ExtKeyUsageClientAuth, "client"
	}
	if len(leaf.ExtKeyUsage) > 0 && !hasUsage(leaf, usage) {
		add(Error, "its extended key usage does not allow a TLS %s", name)
	}
	return out
}

func hasUsage(c *x509.Certificate, want x509.ExtKeyUsage) bool {
	for _, u := range c.ExtKeyUsage {
		if u == want || u == x509.ExtKeyUsageAny {
			return true
		}
	}
	return false
}

// validity is what is wrong with the time, "" for nothing.
func validity(c *x509.Certificate, now time.Time) string {
	switch {
	case now.After(c.NotAfter):
		return fmt.Sprintf("expired %s ago, at %s", duration(now.Sub(c.NotAfter)), c.NotAfter.UTC().Format(time.RFC3339))
	case now.Before(c.NotBefore):
		return fmt.Sprintf("is not valid for another %s, until %s", duration(c.NotBefore.Sub(now)), c.NotBefore.UTC().Format(time.RFC3339))
	}
	return ""
}

// weakness is what is wrong with key and signature, "" for nothing.
func weakness(c *x509.Certificate) string {
	if k, ok := c.PublicKey.(*rsa.PublicKey); ok && k.N.BitLen() < 2048 {
		return fmt.Sprintf("has an RSA key of %d bits; less than 2048 is broken", k.N.BitLen())
	}
	switch c.SignatureAlgorithm {
	case x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1:
		return "is signed with " + c.SignatureAlgorithm.String() + ", which is broken"
	}
	return ""
}

// verify builds a chain to the roots, at a time at which all of it is valid: that it is not valid now was said before.
func verify(chain []*x509.Certificate, in inspection) error {
	opts := x509.VerifyOptions{
		Roots: in.roots, Intermediates: x509.NewCertPool(), CurrentTime: in.now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	}
	from, to := chain[0].NotBefore, chain[0].NotAfter
	for _, c := range chain[1:] {
		opts.Intermediates.AddCert(c)
		if c.NotBefore.After(from) {
			from = c.NotBefore
		}
		if c.NotAfter.Before(to) {
			to = c.NotAfter
		}
	}
	switch {
	case in.now.After(to):
		opts.CurrentTime = to
	case in.now.Before(from):
		opts.CurrentTime = from
	}
	_, err := chain[0].Verify(opts)
	var invalid x509.CertificateInvalidError
	if errors.As(err, &invalid) && invalid.Reason == x509.Expired && !opts.CurrentTime.Equal(in.now) {
		return nil // a root that was not valid then; the chain itself fits
	}
	return err
}

// duration is a length of time for people: its largest unit, and the next.
func duration(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%d days", d/(24*time.Hour))
	case d >= time.Minute:
		return strings.TrimSuffix(d.Truncate(time.Minute).String(), "0s")
	}
	return d.Truncate(time.Second).String()
}

func parseName(der []byte) (string, error) {
	var seq pkix.RDNSequence
	if rest, err := asn1.Unmarshal(der, &seq); err != nil || len(rest) > 0 {
		return "", errors.New("parse name: no distinguished name")
	}
	return seq.String(), nil
}
