//go:build linux

package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oarlock/oarlock/meshtest"
)

// plugIn writes the files of an authority that somebody brings along: a root, and an intermediate that issues. It gives the
// folder and the root.
func plugIn(t *testing.T) (string, *x509.Certificate) {
	t.Helper()
	dir := t.TempDir()
	write := func(name, kind string, der ...[]byte) {
		var out []byte
		for _, b := range der {
			out = append(out, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b})...)
		}
		if err := os.WriteFile(filepath.Join(dir, name), out, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	made := func(serial int64, name string, key *ecdsa.PrivateKey, parent *x509.Certificate, by *ecdsa.PrivateKey) *x509.Certificate {
		template := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{Organization: []string{name}}, NotBefore: time.Now().Add(-time.Hour),
			NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}
		if parent == nil {
			parent = template
		}
		der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), by)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return cert
	}
	var keys [2]*ecdsa.PrivateKey
	for i := range keys {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		keys[i] = key
	}
	root := made(1, "Somebody's root", keys[0], nil, keys[0])
	issuer := made(2, "Somebody's issuer", keys[1], root, keys[0])
	der, err := x509.MarshalPKCS8PrivateKey(keys[1])
	if err != nil {
		t.Fatal(err)
	}
	write("root-cert.pem", "CERTIFICATE", root.Raw)
	write("ca-cert.pem", "CERTIFICATE", issuer.Raw)
	write("cert-chain.pem", "CERTIFICATE", issuer.Raw)
	write("ca-key.pem", "PRIVATE KEY", der)
	return dir, root
}

// A mesh issues with the authority that it is given: leaves chain to its root, on disk and in handshakes, and no file is for others.
func TestPluggedAuthority(t *testing.T) {
	t.Parallel()
	openssl := meshtest.Require(t, "openssl", "openssl")
	authority, root := plugIn(t)
	m := up(t, "foo-bar-current", "--ca-dir", authority)
	m.synced()
	const pod = "somepod-123456-abcdef"
	keys := filepath.Join(t.TempDir(), "keys")
	m.do("cert", "export", pod, "-d", keys)
	chain := certificates(t, filepath.Join(keys, "cert-chain.pem"))
	if roots := certificates(t, filepath.Join(keys, "root-cert.pem")); len(roots) != 1 || !roots[0].Equal(root) {
		t.Errorf("%d roots are exported, want the one that was given", len(roots))
	}
	anchors, between := x509.NewCertPool(), x509.NewCertPool()
	anchors.AddCert(root)
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	if _, err := chain[0].Verify(x509.VerifyOptions{Roots: anchors, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		t.Errorf("the exported chain: %v", err)
	}
	if got := chain[0].URIs; len(got) != 1 || got[0].String() != "spiffe://cluster.local/ns/default/sa/default" {
		t.Errorf("the leaf is for %v", got)
	}
	out, _ := m.try("exec", pod, "-c", "istio-proxy", "--", openssl, "s_client", "-alpn", "istio", "-connect", address(m.pod("bar", "foo"), "8000"),
		"-key", filepath.Join(keys, "key.pem"), "-cert", filepath.Join(keys, "cert-chain.pem"), "-CAfile", filepath.Join(authority, "root-cert.pem"))
	if !strings.Contains(out, "Verify return code: 0 (ok)") || !strings.Contains(out, "Somebody's issuer") {
		t.Errorf("openssl with the given root:\n%s", out)
	}
	if out, code := m.try("ca", "rotate"); code == 0 {
		t.Errorf("a root of our own follows the given one:\n%s", out)
	}
	keptSecret(t, keys)
	keptSecret(t, filepath.Join(m.home, "s", "oarlock", "meshes", m.name))
}

// certificates reads those of a file.
func certificates(t *testing.T, file string) (out []*x509.Certificate) {
	t.Helper()
	rest, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for block, rest := pem.Decode(rest); block != nil; block, rest = pem.Decode(rest) {
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, c)
	}
	if len(out) == 0 {
		t.Fatalf("%s has no certificate", file)
	}
	return out
}

// keptSecret holds that keys in a folder are for nobody else: the files that have one, and the folder.
func keptSecret(t *testing.T, dir string) {
	t.Helper()
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%s has mode %v, %v", dir, info.Mode(), err)
	}
	keys := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		var text []byte
		if err == nil && d.Type().IsRegular() {
			text, err = os.ReadFile(path)
		}
		if strings.Contains(string(text), "PRIVATE KEY") {
			keys++
			var info fs.FileInfo
			if info, err = d.Info(); err == nil && info.Mode().Perm() != 0o600 {
				t.Errorf("%s has mode %v", path, info.Mode())
			}
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a mesh that runs replaces files
		}
		return err
	})
	if err != nil || keys == 0 {
		t.Errorf("%s: %d files with keys, %v", dir, keys, err)
	}
}
