package meshtest

import (
	"crypto/tls"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/oarlock/oarlock/ca"
)

// CA is an authority of cluster.local that serves CSRs, with the files that a workload needs to ask it.
type CA struct {
	Authority *ca.Authority
	Tokens    *ca.Tokens
	Address   string
	// RootsFile has the trust bundle of the start; WriteRoots brings it up to date.
	RootsFile string

	t   testing.TB
	dir string
}

// CAServerName is the DNS name in the certificate of a [CA].
const CAServerName = "istiod.istio-system.svc"

// NewCA serves an authority on a listener, which it closes, until the test ends. A nil listener is one on loopback. ttl is
// the life of leaves, zero the default one.
func NewCA(t testing.TB, lis net.Listener, ttl time.Duration) *CA {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	authority, err := ca.Open(ca.Options{TTL: ttl, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := ca.OpenTokens("")
	if err != nil {
		t.Fatal(err)
	}
	if lis == nil {
		if lis, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
	}
	c := &CA{Authority: authority, Tokens: tokens, Address: lis.Addr().String(), t: t, dir: t.TempDir()}
	server := ca.NewService(authority, tokens, ca.ServiceOptions{Log: log}).Server(c.ServerTLS())
	done := make(chan error, 1)
	go func() { done <- server.Serve(lis) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-done; err != nil {
			t.Errorf("serve CSRs: %v", err)
		}
	})
	c.RootsFile = filepath.Join(c.dir, ca.RootFile)
	c.WriteRoots()
	return c
}

// ServerTLS is for a server of the control plane, whose name is [CAServerName].
func (c *CA) ServerTLS() *tls.Config {
	c.t.Helper()
	config, err := c.Authority.ServerTLS(ca.Identity{Namespace: "istio-system", ServiceAccount: "istiod"}, CAServerName)
	if err != nil {
		c.t.Fatal(err)
	}
	return config
}

// WriteRoots writes today's trust bundle.
func (c *CA) WriteRoots() {
	c.t.Helper()
	bundle, _ := c.Authority.Bundle()
	if err := os.WriteFile(c.RootsFile, bundle.PEM(), 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// TokenFile writes a token for a workload, valid for an hour from now. The file of one workload keeps its name.
func (c *CA) TokenFile(namespace, serviceAccount, workload string) string {
	c.t.Helper()
	token, _, err := c.Tokens.Issue(ca.Identity{Namespace: namespace, ServiceAccount: serviceAccount, Workload: workload})
	if err != nil {
		c.t.Fatal(err)
	}
	file := filepath.Join(c.dir, "token-"+namespace+"-"+workload)
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		c.t.Fatal(err)
	}
	return file
}
