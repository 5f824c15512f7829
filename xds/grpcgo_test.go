package xds_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	xdscreds "google.golang.org/grpc/credentials/xds"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	grpcxds "google.golang.org/grpc/xds"
	csr "istio.io/api/security/v1alpha1"

	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/meshtest"
	"github.com/oarlock/oarlock/resolve"
	"github.com/oarlock/oarlock/xds"
)

// identity has the files of one workload's SVID.
type identity struct{ dir string }

func (i identity) file(name string) string { return filepath.Join(i.dir, name) }

func (i identity) tls(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	cert, err := tls.LoadX509KeyPair(i.file("cert.pem"), i.file("key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	roots, err := os.ReadFile(i.file("roots.pem"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(roots)
	return cert, pool
}

// newIdentity asks an authority for the SVID of a service account of namespace app.
func newIdentity(t *testing.T, ca *meshtest.CA, account string) identity {
	t.Helper()
	out := identity{t.TempDir()}
	roots, err := os.ReadFile(ca.RootsFile)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(roots)
	token, err := os.ReadFile(ca.TokenFile("app", account, account+"-1"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient(ca.Address, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: pool, ServerName: meshtest.CAServerName})))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx := metadata.AppendToOutgoingContext(timeout(t), "authorization", "Bearer "+strings.TrimSpace(string(token)))
	answer, err := csr.NewIstioCertificateServiceClient(conn).CreateCertificate(ctx, &csr.IstioCertificateRequest{
		Csr: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: request}))})
	if err != nil {
		t.Fatal(err)
	}
	chain := answer.CertChain[:max(1, len(answer.CertChain)-1)] // the last is the root
	for name, content := range map[string]string{
		"cert.pem":  strings.Join(chain, "\n"),
		"key.pem":   string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		"roots.pem": string(roots),
	} {
		if err := os.WriteFile(out.file(name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// healthServer is a gRPC server as anybody would write it. It remembers who called.
func healthServer(t *testing.T, opts ...grpc.ServerOption) (port int, callers <-chan string) {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	seen := make(chan string, 10)
	g := grpc.NewServer(append(opts, grpc.UnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, h grpc.UnaryHandler) (any, error) {
		who := "plaintext"
		if p, _ := peer.FromContext(ctx); p != nil {
			if info, ok := p.AuthInfo.(credentials.TLSInfo); ok && len(info.State.PeerCertificates) > 0 {
				who = info.State.PeerCertificates[0].URIs[0].String()
			}
		}
		seen <- who
		return h(ctx, req)
	}))...)
	grpc_health_v1.RegisterHealthServer(g, health.NewServer())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = g.Serve(lis)
	}()
	t.Cleanup(func() { g.Stop(); <-done })
	return lis.Addr().(*net.TCPAddr).Port, seen
}

// village is a mesh with one gRPC server and one client that speaks xDS itself.
func village(t *testing.T, port int, more string) *resolve.Resolver {
	t.Helper()
	return resolve.New(meshtest.Snapshot(t, fmt.Sprintf(`
kind: Namespace
apiVersion: v1
metadata: {name: app, labels: {istio-injection: enabled}}
---
kind: Service
apiVersion: v1
metadata: {name: echo, namespace: app}
spec: {clusterIP: 10.0.1.1, selector: {app: echo}, ports: [{name: tcp, port: 7000, targetPort: %d}]}
---
kind: Pod
apiVersion: v1
metadata: {name: echo-1, namespace: app, labels: {app: echo}}
spec: {serviceAccountName: echo, containers: [{name: app, image: app}]}
status: {podIP: 127.0.0.1}
---
kind: Pod
apiVersion: v1
metadata: {name: client-1, namespace: app, labels: {app: client}, annotations: {sidecar.istio.io/inject: "false"}}
spec: {serviceAccountName: client, containers: [{name: app, image: app}]}
status: {podIP: 127.0.0.2}
`, port)+more, mesh.DialectCurrent))
}

// call is grpc-go's own xDS client: it finds echo by our server and asks for its health.
func call(t *testing.T, server string, own *identity, opts ...grpc.CallOption) error {
	t.Helper()
	providers := "{}"
	if own != nil {
		providers = fmt.Sprintf(`{"default": {"plugin_name": "file_watcher", "config": {"certificate_file": %q, "private_key_file": %q, "ca_certificate_file": %q, "refresh_interval": "1s"}}}`,
			own.file("cert.pem"), own.file("key.pem"), own.file("roots.pem"))
	}
	bootstrap := fmt.Sprintf(`{
		"xds_servers": [{"server_uri": %q, "channel_creds": [{"type": "insecure"}], "server_features": ["xds_v3"]}],
		"node": {"id": "sidecar~127.0.0.2~client-1.app~app.svc.cluster.local", "metadata": {"GENERATOR": "grpc"}},
		"certificate_providers": %s}`, server, providers)
	builder, err := grpcxds.NewXDSResolverWithConfigForTesting([]byte(bootstrap))
	if err != nil {
		t.Fatal(err)
	}
	creds, err := xdscreds.NewClientCredentials(xdscreds.ClientOptions{FallbackCreds: insecure.NewCredentials()})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient("xds:///echo.app.svc.cluster.local:7000", grpc.WithResolvers(builder), grpc.WithTransportCredentials(creds))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, err = grpc_health_v1.NewHealthClient(conn).Check(timeout(t), &grpc_health_v1.HealthCheckRequest{}, opts...)
	return err
}

func TestGRPCPlaintext(t *testing.T) {
	port, callers := healthServer(t)
	s := xds.NewServer(xds.Options{})
	conn := serve(t, s)
	s.Set(village(t, port, ""))
	if err := call(t, conn.Target(), nil); err != nil {
		t.Fatal(err)
	}
	if who := <-callers; who != "plaintext" {
		t.Errorf("the server saw %s", who)
	}
}

const strictEcho = `
---
kind: PeerAuthentication
apiVersion: security.istio.io/v1
metadata: {name: default, namespace: app}
spec: {mtls: {mode: STRICT}}
`

// TestGRPCMTLS: where the mesh says STRICT, grpc-go presents the workload's SVID and verifies the server's, with keys that
// its own bootstrap names.
func TestGRPCMTLS(t *testing.T) {
	ca := meshtest.NewCA(t, nil, 0)
	own, echo := newIdentity(t, ca, "client"), newIdentity(t, ca, "echo")
	cert, roots := echo.tls(t)
	port, callers := healthServer(t, grpc.Creds(credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{cert}, ClientCAs: roots, ClientAuth: tls.RequireAndVerifyClientCert})))
	s := xds.NewServer(xds.Options{})
	conn := serve(t, s)
	s.Set(village(t, port, strictEcho))
	if err := call(t, conn.Target(), &own); err != nil {
		t.Fatal(err)
	}
	if who := <-callers; who != "spiffe://cluster.local/ns/app/sa/client" {
		t.Errorf("the server saw %s", who)
	}
}

// TestGRPCWrongServer: a server that shows another identity than the mesh declares is not spoken to.
func TestGRPCWrongServer(t *testing.T) {
	ca := meshtest.NewCA(t, nil, 0)
	own, impostor := newIdentity(t, ca, "client"), newIdentity(t, ca, "impostor")
	cert, roots := impostor.tls(t)
	port, _ := healthServer(t, grpc.Creds(credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{cert}, ClientCAs: roots, ClientAuth: tls.RequireAndVerifyClientCert})))
	s := xds.NewServer(xds.Options{})
	conn := serve(t, s)
	s.Set(village(t, port, strictEcho))
	err := call(t, conn.Target(), &own)
	if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "match") {
		t.Errorf("got %v", err)
	}
}

// TestGRPCServer: a server of grpc-go that asks us how to listen takes mTLS alone where the mesh says STRICT.
func TestGRPCServer(t *testing.T) {
	ca := meshtest.NewCA(t, nil, 0)
	own, echo := newIdentity(t, ca, "client"), newIdentity(t, ca, "echo")
	s := xds.NewServer(xds.Options{})
	conn := serve(t, s)
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := lis.Addr().(*net.TCPAddr).Port
	s.Set(village(t, port, strictEcho))
	bootstrap := fmt.Sprintf(`{
		"xds_servers": [{"server_uri": %q, "channel_creds": [{"type": "insecure"}], "server_features": ["xds_v3"]}],
		"node": {"id": "sidecar~127.0.0.1~echo-1.app~app.svc.cluster.local", "metadata": {"GENERATOR": "grpc"}},
		"certificate_providers": {"default": {"plugin_name": "file_watcher", "config": {"certificate_file": %q, "private_key_file": %q, "ca_certificate_file": %q, "refresh_interval": "1s"}}},
		"server_listener_resource_name_template": "xds.istio.io/grpc/lds/inbound/%%s"}`,
		conn.Target(), echo.file("cert.pem"), echo.file("key.pem"), echo.file("roots.pem"))
	creds, err := xdscreds.NewServerCredentials(xdscreds.ServerOptions{FallbackCreds: insecure.NewCredentials()})
	if err != nil {
		t.Fatal(err)
	}
	g, err := grpcxds.NewGRPCServer(grpc.Creds(creds), grpcxds.BootstrapContentsForTesting([]byte(bootstrap)))
	if err != nil {
		t.Fatal(err)
	}
	grpc_health_v1.RegisterHealthServer(g, health.NewServer())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = g.Serve(lis)
	}()
	t.Cleanup(func() { g.Stop(); <-done })
	// The server closes connections until it knows how to listen.
	if err := call(t, conn.Target(), &own, grpc.WaitForReady(true)); err != nil {
		t.Errorf("with mTLS: %v", err)
	}
	plain, err := grpc.NewClient(lis.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	if _, err := grpc_health_v1.NewHealthClient(plain).Check(timeout(t), &grpc_health_v1.HealthCheckRequest{}); status.Code(err) != codes.Unavailable {
		t.Errorf("in plaintext: %v", err)
	}
}
