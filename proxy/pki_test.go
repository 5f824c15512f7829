package proxy

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/oarlock/oarlock/svid"
)

// A Root is an authority for tests that want certificates which no honest one would issue.
type Root struct {
	Cert *x509.Certificate
	key  crypto.Signer
	next int64
}

// A Leaf says what to have certified. Zero times are an hour ago and an hour from now.
type Leaf struct {
	ID        string // a URI
	DNS       []string
	NotBefore time.Time
	NotAfter  time.Time
	Usage     []x509.ExtKeyUsage // nil: both sides of TLS
}

// NewRoot makes an authority.
func NewRoot(t testing.TB) *Root {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test root"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(1000 * time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		URIs: []*url.URL{{Scheme: "spiffe", Host: "cluster.local"}}}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return &Root{Cert: c, key: key, next: 2}
}

// Issue certifies a new key.
func (r *Root) Issue(t testing.TB, l Leaf) tls.Certificate {
	t.Helper()
	if l.NotBefore.IsZero() {
		l.NotBefore = time.Now().Add(-time.Hour)
	}
	if l.NotAfter.IsZero() {
		l.NotAfter = time.Now().Add(time.Hour)
	}
	if l.Usage == nil {
		l.Usage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	r.next++
	c := &x509.Certificate{SerialNumber: big.NewInt(r.next), NotBefore: l.NotBefore, NotAfter: l.NotAfter, DNSNames: l.DNS,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: l.Usage}
	if l.ID != "" {
		id, err := url.Parse(l.ID)
		if err != nil {
			t.Fatal(err)
		}
		c.URIs = []*url.URL{id}
	}
	der, err := x509.CreateCertificate(rand.Reader, c, r.Cert, key.Public(), r.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// Identity opens an SVID of the authority. Roots are what it trusts; none means the authority alone.
func (r *Root) Identity(t testing.TB, id string, roots ...*Root) *svid.Source {
	t.Helper()
	pair := r.Issue(t, Leaf{ID: id})
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	m := &svid.Material{Key: pair.PrivateKey.(crypto.Signer), Certificates: []*x509.Certificate{leaf}, Roots: []*x509.Certificate{r.Cert}}
	if len(roots) > 0 {
		m.Roots = nil
		for _, other := range roots {
			m.Roots = append(m.Roots, other.Cert)
		}
	}
	out, err := svid.Open(t.Context(), func(context.Context) (*svid.Material, error) { return m, nil }, svid.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { out.Close() })
	return out
}

// WriteRoot writes the authority's certificate, and others', to a file.
func (r *Root) WriteRoot(t testing.TB, file string, more ...*Root) {
	t.Helper()
	var b []byte
	for _, root := range append([]*Root{r}, more...) {
		b = append(b, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Cert.Raw})...)
	}
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// WritePair writes a certificate and its key to cert.pem and key.pem of a folder.
func WritePair(t testing.TB, dir string, pair tls.Certificate) Certificate {
	t.Helper()
	out := Certificate{CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem")}
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{out.CertFile: {Type: "CERTIFICATE", Bytes: pair.Certificate[0]}, out.KeyFile: {Type: "PRIVATE KEY", Bytes: key}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// tcpPair gives the two ends of a TCP connection.
func tcpPair(t testing.TB) (a, b *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); s.Close() })
	return c.(*net.TCPConn), s.(*net.TCPConn)
}
