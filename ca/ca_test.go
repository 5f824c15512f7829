package ca

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
)

var web = Identity{Namespace: "default", ServiceAccount: "web", Workload: "web-1"}

// open opens an authority or fails the test.
func open(t testing.TB, opt Options) *Authority {
	t.Helper()
	a, err := Open(opt)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func newKey(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// csr makes a request in PEM.
func csr(t testing.TB, key crypto.Signer, template x509.CertificateRequest) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &template, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
}

func plainCSR(t testing.TB) []byte {
	return csr(t, newKey(t, elliptic.P256()), x509.CertificateRequest{})
}

// issue gets an SVID or fails the test.
func issue(t testing.TB, a *Authority, ttl time.Duration) *Issued {
	t.Helper()
	got, err := a.Issue(plainCSR(t), web, ttl)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// believe verifies an SVID as a peer with this bundle would.
func believe(i *Issued, b *Bundle) error {
	_, _, err := x509svid.Verify(append([]*x509.Certificate{i.Leaf}, i.Chain...), x509bundle.FromX509Authorities(b.TrustDomain, b.Roots))
	return err
}

func TestIssue(t *testing.T) {
	a := open(t, Options{TrustDomain: "example.org"})
	before := time.Now().Truncate(time.Second)
	got := issue(t, a, 0)
	took := time.Since(before)
	leaf := got.Leaf
	if got.ID.String() != "spiffe://example.org/ns/default/sa/web" || len(leaf.URIs) != 1 || leaf.URIs[0].String() != got.ID.String() {
		t.Errorf("it is for %s and has the URIs %v", got.ID, leaf.URIs)
	}
	if n := len(leaf.DNSNames) + len(leaf.IPAddresses) + len(leaf.EmailAddresses) + len(leaf.Subject.Names); n != 0 {
		t.Errorf("it has %d names besides", n)
	}
	if leaf.KeyUsage != x509.KeyUsageDigitalSignature || len(leaf.ExtKeyUsage) != 2 || leaf.IsCA || !leaf.BasicConstraintsValid {
		t.Errorf("usage %v, extended %v, authority %v", leaf.KeyUsage, leaf.ExtKeyUsage, leaf.IsCA)
	}
	for _, ext := range leaf.Extensions {
		if ext.Id.String() == "2.5.29.17" && !ext.Critical {
			t.Error("the name is not critical, though there is no subject")
		}
	}
	if d := leaf.NotBefore.Sub(before); d < -DefaultBackdate || d > -DefaultBackdate+took {
		t.Errorf("valid %v after it was issued", d)
	}
	if d := leaf.NotAfter.Sub(before); d < DefaultTTL || d > DefaultTTL+took {
		t.Errorf("valid for %v", d)
	}
	if len(got.Chain) != 0 || leaf.SerialNumber.Sign() != 1 || leaf.SerialNumber.BitLen() < 100 {
		t.Errorf("%d intermediates, serial %x", len(got.Chain), leaf.SerialNumber)
	}
	if err := believe(got, got.Bundle); err != nil {
		t.Error(err)
	}
	if other := issue(t, a, 0); other.Leaf.SerialNumber.Cmp(leaf.SerialNumber) == 0 {
		t.Error("two certificates have one serial number")
	}
	if err := believe(got, open(t, Options{TrustDomain: "example.org"}).bundle); err == nil {
		t.Error("another authority's bundle vouches for it")
	}
	if texts := got.PEM(); len(texts) != 2 || !strings.Contains(texts[1], certificatePEM(got.Bundle.Roots[0])) || texts[0] != certificatePEM(leaf) {
		t.Errorf("the answer is %q", texts)
	}
}

func TestRoot(t *testing.T) {
	b, _ := open(t, Options{TrustDomain: "example.org"}).Bundle()
	root := b.Roots[0]
	if !root.IsCA || !root.MaxPathLenZero || root.Subject.String() != "O=example.org" || root.KeyUsage&x509.KeyUsageCertSign == 0 {
		t.Errorf("root %v: authority %v, no intermediates %v, usage %v", root.Subject, root.IsCA, root.MaxPathLenZero, root.KeyUsage)
	}
	if k, ok := root.PublicKey.(*ecdsa.PublicKey); !ok || k.Curve != elliptic.P256() {
		t.Errorf("its key is %T", root.PublicKey)
	}
	if d := time.Until(root.NotAfter); d < DefaultRootTTL-time.Minute || time.Since(root.NotBefore) < 30*time.Minute {
		t.Errorf("valid from %v to %v", root.NotBefore, root.NotAfter)
	}
}

// TestIssueIgnoresCSR asks for everything that a CSR can ask for.
func TestIssueIgnoresCSR(t *testing.T) {
	a := open(t, Options{})
	admin, err := url.Parse("spiffe://cluster.local/ns/istio-system/sa/istiod")
	if err != nil {
		t.Fatal(err)
	}
	wishes := csr(t, newKey(t, elliptic.P256()), x509.CertificateRequest{
		Subject:     pkix.Name{CommonName: "istiod", Organization: []string{"system:masters"}},
		URIs:        []*url.URL{admin},
		DNSNames:    []string{"istiod.istio-system.svc"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtraExtensions: []pkix.Extension{
			{Id: []int{2, 5, 29, 19}, Critical: true, Value: []byte{0x30, 3, 1, 1, 0xff}}, // CA:TRUE
			{Id: []int{1, 2, 3, 4}, Value: []byte("x")},
		},
	})
	got, err := a.Issue(wishes, web, 0)
	if err != nil {
		t.Fatal(err)
	}
	plain := issue(t, a, 0)
	if got.ID != plain.ID || len(got.Leaf.URIs) != 1 || got.Leaf.URIs[0].String() != plain.ID.String() {
		t.Errorf("it is for %s and has the URIs %v", got.ID, got.Leaf.URIs)
	}
	if len(got.Leaf.DNSNames) != 0 || len(got.Leaf.IPAddresses) != 0 || got.Leaf.IsCA || got.Leaf.Subject.String() != "" || len(got.Leaf.Extensions) != len(plain.Leaf.Extensions) {
		t.Errorf("a wish came true: %v %v authority %v, subject %q, %d extensions (want %d)", got.Leaf.DNSNames, got.Leaf.IPAddresses,
			got.Leaf.IsCA, got.Leaf.Subject, len(got.Leaf.Extensions), len(plain.Leaf.Extensions))
	}
}

func TestCSR(t *testing.T) {
	a := open(t, Options{})
	rsaKey := func(bits int) crypto.Signer {
		t.Setenv("GODEBUG", "rsa1024min=0")
		key, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good := plainCSR(t)
	forged := func() []byte {
		block, _ := pem.Decode(good)
		der := bytes.Clone(block.Bytes)
		der[len(der)-1] ^= 1
		return pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: der})
	}
	tests := []struct {
		name string
		csr  []byte
		want string // part of the error; "" is an SVID
	}{
		{"P-256", good, ""},
		{"P-384", csr(t, newKey(t, elliptic.P384()), x509.CertificateRequest{}), ""},
		{"RSA 2048", csr(t, rsaKey(2048), x509.CertificateRequest{}), ""},
		{"with the block type of old openssl", bytes.ReplaceAll(good, []byte("CERTIFICATE REQUEST"), []byte("NEW CERTIFICATE REQUEST")), ""},
		{"P-224", csr(t, newKey(t, elliptic.P224()), x509.CertificateRequest{}), "P-224"},
		{"P-521", csr(t, newKey(t, elliptic.P521()), x509.CertificateRequest{}), "P-521"},
		{"RSA 1024", csr(t, rsaKey(1024), x509.CertificateRequest{}), "1024 bits"},
		{"Ed25519", csr(t, edKey, x509.CertificateRequest{}), "Ed25519"},
		{"empty", nil, "no PEM block"},
		{"no PEM", []byte("hello"), "no PEM block"},
		{"a certificate", []byte(certificatePEM(a.bundle.Roots[0])), "no PEM block of type"},
		{"broken", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: []byte("x")}), "read CSR"},
		{"of another's key", forged(), "not signed with its own key"},
		{"two", append(bytes.Clone(good), good...), "something follows"},
		{"long", append(bytes.Clone(good), bytes.Repeat([]byte("\n"), MaxCSR)...), "at most"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := a.Issue(tt.csr, web, 0)
			if tt.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				if err := believe(got, got.Bundle); err != nil {
					t.Error(err)
				}
				return
			}
			bad := (*RequestError)(nil)
			if !errors.As(err, &bad) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want a RequestError with %q", err, tt.want)
			}
		})
	}
}

func TestIdentities(t *testing.T) {
	a := open(t, Options{TrustDomain: "td@corp"})
	for who, want := range map[Identity]string{
		{Namespace: "foo", ServiceAccount: "bar.baz-1"}:        "spiffe://td.corp/ns/foo/sa/bar.baz-1",
		{Namespace: "", ServiceAccount: "bar"}:                 "",
		{Namespace: "foo", ServiceAccount: ""}:                 "",
		{Namespace: "foo", ServiceAccount: "a/../b"}:           "",
		{Namespace: "foo/sa/admin", ServiceAccount: "bar"}:     "",
		{Namespace: "..", ServiceAccount: "bar"}:               "",
		{Namespace: "foo", ServiceAccount: "bär"}:              "",
		{Namespace: "foo", ServiceAccount: "bar\x00"}:          "",
		{Namespace: "foo", ServiceAccount: "bar?x=spiffe://y"}: "",
	} {
		got, err := a.Issue(plainCSR(t), who, 0)
		if want == "" {
			if bad := (*RequestError)(nil); !errors.As(err, &bad) {
				t.Errorf("%+v: error %v, want a RequestError", who, err)
			}
		} else if err != nil || got.ID.String() != want {
			t.Errorf("%+v: got %v, %v, want %s", who, got, err, want)
		}
	}
}

func TestLifetimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := open(t, Options{TTL: time.Hour, MaxTTL: 48 * time.Hour, RootTTL: 72 * time.Hour, Backdate: -1})
		now := time.Now()
		for _, tt := range []struct{ ask, want time.Duration }{
			{0, time.Hour}, {-time.Minute, time.Hour}, {time.Minute, time.Minute}, {48 * time.Hour, 48 * time.Hour},
		} {
			got := issue(t, a, tt.ask)
			if d := got.Leaf.NotAfter.Sub(now); d != tt.want || !got.Leaf.NotBefore.Equal(now) {
				t.Errorf("asked for %v, got %v from %v", tt.ask, d, got.Leaf.NotBefore)
			}
		}
		if _, err := a.Issue(plainCSR(t), web, 49*time.Hour); err == nil {
			t.Error("got more than the longest life")
		}
		time.Sleep(48 * time.Hour)
		if got := issue(t, a, 48*time.Hour); !got.Leaf.NotAfter.Equal(a.bundle.Roots[0].NotAfter) {
			t.Errorf("the leaf ends at %v, its root at %v", got.Leaf.NotAfter, a.bundle.Roots[0].NotAfter)
		}
		time.Sleep(24 * time.Hour)
		_, err := a.Issue(plainCSR(t), web, 0)
		if bad := (*RequestError)(nil); err == nil || errors.As(err, &bad) {
			t.Errorf("an expired authority gives %v", err)
		}
	})
}

func TestOptionsRefused(t *testing.T) {
	for name, opt := range map[string]Options{
		"trust domain with a path":   {TrustDomain: "a/b"},
		"trust domain as a URI":      {TrustDomain: "spiffe://a"},
		"trust domain in upper case": {TrustDomain: "Cluster.Local"},
		"TTL over the longest":       {TTL: 2 * time.Hour, MaxTTL: time.Hour},
		"negative TTL":               {TTL: -1},
		"no life of the root":        {RootTTL: time.Millisecond},
		"plug-in that is not there":  {PlugIn: filepath.Join(t.TempDir(), "x")},
	} {
		if _, err := Open(opt); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
}

// A test CA for plug-ins: its certificates have RSA or ECDSA keys, in the forms that openssl writes.
type plugIn struct {
	t     testing.TB
	dir   string
	certs []*x509.Certificate // the root first
	keys  []crypto.Signer
}

// newPlugIn makes a root.
func newPlugIn(t testing.TB, edit ...func(*x509.Certificate)) *plugIn {
	p := &plugIn{t: t, dir: t.TempDir()}
	p.below("test root", newKey(t, elliptic.P256()), edit...)
	return p
}

// below adds an authority under the last one.
func (p *plugIn) below(name string, key crypto.Signer, edit ...func(*x509.Certificate)) *plugIn {
	p.t.Helper()
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(1000 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	for _, e := range edit {
		e(template)
	}
	parent, signer := template, key
	if n := len(p.certs); n > 0 {
		parent, signer = p.certs[n-1], p.keys[n-1]
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		p.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		p.t.Fatal(err)
	}
	p.certs, p.keys = append(p.certs, cert), append(p.keys, key)
	return p
}

// write writes the four files and gives their folder.
func (p *plugIn) write() string {
	p.t.Helper()
	n := len(p.certs) - 1
	key, err := keyPEM(p.keys[n])
	if err != nil {
		p.t.Fatal(err)
	}
	p.file(KeyFile, key)
	p.file(CertFile, certificatesPEM(p.certs[n]))
	p.file(RootFile, certificatesPEM(p.certs[0]))
	chain := []byte("issuer first, as Istio's own scripts write it\n")
	for i := n; i >= 0; i-- {
		chain = append(chain, certificatePEM(p.certs[i])...)
	}
	p.file(ChainFile, chain)
	return p.dir
}

func (p *plugIn) file(name string, text []byte) {
	p.t.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, name), text, 0o600); err != nil {
		p.t.Fatal(err)
	}
}

func TestPlugIn(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey := newKey(t, elliptic.P384())
	sec1, err := x509.MarshalECPrivateKey(ecKey)
	if err != nil {
		t.Fatal(err)
	}
	stranger := newPlugIn(t).certs[0]
	tests := []struct {
		name  string
		make  func() *plugIn
		files map[string][]byte // instead of those of make; nil removes one
		chain int
		want  string // part of the error
	}{
		{name: "root that issues", make: func() *plugIn { return newPlugIn(t) }},
		{name: "root without a chain file", make: func() *plugIn { return newPlugIn(t) }, files: map[string][]byte{ChainFile: nil}},
		{name: "intermediate", make: func() *plugIn { return newPlugIn(t).below("a", newKey(t, elliptic.P256())) }, chain: 1},
		{name: "intermediate without a chain file", make: func() *plugIn { return newPlugIn(t).below("a", newKey(t, elliptic.P256())) },
			files: map[string][]byte{ChainFile: nil}, chain: 1},
		{name: "RSA below ECDSA, two deep", make: func() *plugIn { return newPlugIn(t).below("a", newKey(t, elliptic.P256())).below("b", rsaKey) }, chain: 2},
		{name: "RSA key in PKCS 1", make: func() *plugIn { return newPlugIn(t).below("a", rsaKey) }, chain: 1,
			files: map[string][]byte{KeyFile: pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(rsaKey)})}},
		{name: "EC key in SEC 1 after its parameters", make: func() *plugIn { return newPlugIn(t).below("a", ecKey) }, chain: 1,
			files: map[string][]byte{KeyFile: append(pem.EncodeToMemory(&pem.Block{Type: "EC PARAMETERS", Bytes: []byte{6, 0}}),
				pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: sec1})...)}},
		{name: "no key", make: func() *plugIn { return newPlugIn(t) }, files: map[string][]byte{KeyFile: nil}, want: KeyFile},
		{name: "certificate where the key belongs", make: func() *plugIn { return newPlugIn(t) },
			files: map[string][]byte{KeyFile: []byte(certificatePEM(stranger))}, want: "read key"},
		{name: "key where the certificate belongs", make: func() *plugIn { return newPlugIn(t) },
			files: map[string][]byte{CertFile: pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: sec1})}, want: "EC PRIVATE KEY"},
		{name: "key of another", make: func() *plugIn { return newPlugIn(t) },
			files: map[string][]byte{KeyFile: pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: sec1})}, want: "does not belong"},
		{name: "root of another", make: func() *plugIn { return newPlugIn(t).below("a", newKey(t, elliptic.P256())) },
			files: map[string][]byte{RootFile: []byte(certificatePEM(stranger))}, want: "way to the root"},
		{name: "hole in the chain", make: func() *plugIn {
			return newPlugIn(t).below("a", newKey(t, elliptic.P256())).below("b", newKey(t, elliptic.P256()))
		}, files: map[string][]byte{ChainFile: nil}, want: "way to the root"},
		{name: "not an authority", make: func() *plugIn {
			return newPlugIn(t).below("leaf", newKey(t, elliptic.P256()), func(c *x509.Certificate) { c.IsCA = false; c.KeyUsage = x509.KeyUsageDigitalSignature })
		}, want: "may not sign"},
		{name: "expired", make: func() *plugIn {
			return newPlugIn(t).below("a", newKey(t, elliptic.P256()), func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
		}, want: "expired"},
		{name: "root allows no intermediate", make: func() *plugIn {
			return newPlugIn(t, func(c *x509.Certificate) { c.MaxPathLenZero = true }).below("a", newKey(t, elliptic.P256()))
		}, want: "too many intermediates"},
		{name: "for servers only", make: func() *plugIn {
			return newPlugIn(t).below("a", newKey(t, elliptic.P256()), func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })
		}, want: "incompatible key usage"},
		{name: "for other trust domains", make: func() *plugIn {
			return newPlugIn(t, func(c *x509.Certificate) { c.PermittedURIDomains = []string{"example.com"} })
		}, want: "not permitted"},
		{name: "too deep", make: func() *plugIn {
			p := newPlugIn(t)
			for range maxChain + 1 {
				p.below("x", newKey(t, elliptic.P256()))
			}
			return p
		}, want: "at most 5"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := tt.make()
			dir := p.write()
			for name, text := range tt.files {
				if text == nil {
					if err := os.Remove(filepath.Join(dir, name)); err != nil {
						t.Fatal(err)
					}
					continue
				}
				p.file(name, text)
			}
			a, err := Open(Options{PlugIn: dir})
			if tt.want != "" {
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("error %v, want one with %q", err, tt.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := issue(t, a, 0)
			if err := believe(got, &Bundle{TrustDomain: a.td, Roots: p.certs[:1]}); err != nil {
				t.Error(err)
			}
			if len(got.Chain) != tt.chain || len(got.PEM()) != tt.chain+2 {
				t.Errorf("%d intermediates, want %d", len(got.Chain), tt.chain)
			}
			if a.Status().Slots[0].Origin != "files" {
				t.Errorf("status %+v", a.Status())
			}
		})
	}
}

func TestTrustDomain(t *testing.T) {
	if td := open(t, Options{}).TrustDomain(); td != spiffeid.RequireTrustDomainFromString("cluster.local") {
		t.Errorf("the default is %v", td)
	}
}
