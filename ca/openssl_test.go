package ca_test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oarlock/oarlock/ca"
	"github.com/oarlock/oarlock/meshtest"
)

// ask runs openssl and gives everything that it prints.
func ask(t *testing.T, dir string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, meshtest.Require(t, "openssl", "openssl"), args...)
	cmd.Dir = dir
	cmd.Stdin = strings.NewReader("Q\n")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// must is ask where failing is not expected.
func must(t *testing.T, dir string, args ...string) string {
	t.Helper()
	out, err := ask(t, dir, args...)
	if err != nil {
		t.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestOpenSSL has openssl make the CSR and judge the SVID, under a root of our own and under an authority that openssl
// made in the way of Istio's documentation.
func TestOpenSSL(t *testing.T) {
	plugged := t.TempDir()
	must(t, plugged, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/O=Istio/CN=Root CA", "-addext", "keyUsage = critical, keyCertSign, cRLSign", "-keyout", "root-key.pem", "-out", "root-cert.pem", "-days", "30")
	must(t, plugged, "req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", "/O=Istio/CN=Intermediate CA/L=cluster1", "-keyout", "ca-key.pem", "-out", "ca.csr")
	write(t, plugged, "ca.conf", "basicConstraints = critical, CA:true, pathlen:0\nkeyUsage = critical, digitalSignature, nonRepudiation, keyEncipherment, keyCertSign\nsubjectAltName = DNS:istiod.istio-system.svc\n")
	must(t, plugged, "x509", "-req", "-in", "ca.csr", "-CA", "root-cert.pem", "-CAkey", "root-key.pem", "-CAcreateserial", "-extfile", "ca.conf", "-out", "ca-cert.pem", "-days", "20")
	for _, name := range []string{"ca-cert.pem", "root-cert.pem"} {
		text, err := os.ReadFile(filepath.Join(plugged, name))
		if err != nil {
			t.Fatal(err)
		}
		chain, _ := os.ReadFile(filepath.Join(plugged, "cert-chain.pem"))
		write(t, plugged, "cert-chain.pem", string(chain)+string(text))
	}
	for name, opt := range map[string]ca.Options{
		"own root":   {TrustDomain: "example.org"},
		"plugged in": {TrustDomain: "example.org", PlugIn: plugged},
	} {
		t.Run(name, func(t *testing.T) {
			authority, err := ca.Open(opt)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			must(t, dir, "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=admin",
				"-addext", "subjectAltName = URI:spiffe://example.org/ns/a/sa/admin", "-keyout", "key.pem", "-out", "csr.pem")
			request, err := os.ReadFile(filepath.Join(dir, "csr.pem"))
			if err != nil {
				t.Fatal(err)
			}
			issued, err := authority.Issue(request, ca.Identity{Namespace: "default", ServiceAccount: "web"}, time.Hour)
			if err != nil {
				t.Fatal(err)
			}
			texts := issued.PEM()
			write(t, dir, "leaf.pem", texts[0])
			write(t, dir, "between.pem", strings.Join(texts[1:len(texts)-1], "")+"\n")
			write(t, dir, "roots.pem", texts[len(texts)-1])
			for _, purpose := range []string{"sslclient", "sslserver"} {
				args := []string{"verify", "-x509_strict", "-CAfile", "roots.pem", "-purpose", purpose}
				if len(texts) > 2 {
					args = append(args, "-untrusted", "between.pem")
				}
				if out := must(t, dir, append(args, "leaf.pem")...); !strings.Contains(out, "leaf.pem: OK") {
					t.Error(out)
				}
			}
			out := must(t, dir, "x509", "-in", "leaf.pem", "-noout", "-subject", "-ext", "subjectAltName,keyUsage,extendedKeyUsage,basicConstraints")
			for _, want := range []string{
				"X509v3 Subject Alternative Name: critical\n    URI:spiffe://example.org/ns/default/sa/web\n",
				"X509v3 Key Usage: critical\n    Digital Signature\n",
				"TLS Web Server Authentication, TLS Web Client Authentication",
				"CA:FALSE", "subject=\n",
			} {
				if !strings.Contains(out, want) {
					t.Errorf("no %q in\n%s", want, out)
				}
			}
			other, err := ca.Open(ca.Options{TrustDomain: "example.org"})
			if err != nil {
				t.Fatal(err)
			}
			bundle, _ := other.Bundle()
			write(t, dir, "roots.pem", string(bundle.PEM()))
			if out, err := ask(t, dir, "verify", "-CAfile", "roots.pem", "leaf.pem"); err == nil {
				t.Errorf("another root vouches for it:\n%s", out)
			}
		})
	}
}

// TestOpenSSLClient connects to the service with a client that knows nothing of SPIFFE.
func TestOpenSSLClient(t *testing.T) {
	meshtest.NoLeaks(t)
	authority, err := ca.Open(ca.Options{})
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := ca.OpenTokens("")
	if err != nil {
		t.Fatal(err)
	}
	config, err := authority.ServerTLS(ca.Identity{Namespace: "istio-system", ServiceAccount: "istiod"}, "istiod.istio-system.svc")
	if err != nil {
		t.Fatal(err)
	}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := ca.NewService(authority, tokens, ca.ServiceOptions{}).Server(config)
	done := make(chan error)
	go func() { done <- server.Serve(lis) }()
	dir := t.TempDir()
	bundle, _ := authority.Bundle()
	write(t, dir, "roots.pem", string(bundle.PEM()))
	out, err := ask(t, dir, "s_client", "-connect", lis.Addr().String(), "-CAfile", "roots.pem", "-verify_hostname", "istiod.istio-system.svc", "-verify_return_error", "-alpn", "h2")
	if !strings.Contains(out, "Verify return code: 0 (ok)") || !strings.Contains(out, "ALPN protocol: h2") || !strings.Contains(out, "O = cluster.local") && !strings.Contains(out, "O=cluster.local") {
		t.Errorf("openssl s_client: %v\n%s", err, out)
	}
	server.Stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
