//go:build linux

package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	xdscreds "google.golang.org/grpc/credentials/xds"
	"google.golang.org/grpc/health/grpc_health_v1"
	grpcxds "google.golang.org/grpc/xds"
)

// grpc-go's own xDS client, which we did not write, follows our control plane and speaks mutual TLS to a server behind our
// sidecar, on a port that is declared to be TCP.
func TestGRPCGoFollowsOurControlPlane(t *testing.T) {
	dir := copyExample(t, "backyards-current")
	oats := `apiVersion: v1
kind: Service
metadata: {name: oats, namespace: backyards-demo}
spec: {selector: {app: oats}, ports: [{name: tcp-oats, port: 7000}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: oats, namespace: backyards-demo}
spec:
  selector: {matchLabels: {app: oats}}
  template:
    metadata: {labels: {app: oats}}
    spec:
      containers:
        - {name: oats, image: oarlock/demo-app:1.0, command: [oarlock, demo-app], args: [--listen, "grpc:7000"], ports: [{containerPort: 7000}]}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: backyards-demo}
spec: {mtls: {mode: STRICT}}
`
	if err := os.WriteFile(filepath.Join(dir, "oats.yaml"), []byte(oats), 0o644); err != nil {
		t.Fatal(err)
	}
	if captureMode() == "transparent" {
		t.Skip("the client runs in this process, outside of the pods' network")
	}
	m := upDir(t, dir)
	m.synced()
	front, server := m.pod("backyards-demo", "frontpage"), m.pod("backyards-demo", "oats")
	keys := t.TempDir()
	m.do("cert", "export", front.Name, "-n", front.Namespace, "-d", keys)

	plane := m.plaintextPlane(keys)
	bootstrap := fmt.Sprintf(`{
		"xds_servers": [{"server_uri": %q, "channel_creds": [{"type": "insecure"}], "server_features": ["xds_v3"]}],
		"node": {"id": "sidecar~%s~%s.%s~%s.svc.cluster.local", "metadata": {"GENERATOR": "grpc"}},
		"certificate_providers": {"default": {"plugin_name": "file_watcher", "config": {
			"certificate_file": %q, "private_key_file": %q, "ca_certificate_file": %q, "refresh_interval": "1s"}}}}`,
		plane, front.Addresses[0], front.Name, front.Namespace, front.Namespace,
		filepath.Join(keys, "cert-chain.pem"), filepath.Join(keys, "key.pem"), filepath.Join(keys, "root-cert.pem"))
	builder, err := grpcxds.NewXDSResolverWithConfigForTesting([]byte(bootstrap))
	if err != nil {
		t.Fatal(err)
	}
	creds, err := xdscreds.NewClientCredentials(xdscreds.ClientOptions{FallbackCreds: insecure.NewCredentials()})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient("xds:///oats.backyards-demo.svc.cluster.local:7000", grpc.WithResolvers(builder), grpc.WithTransportCredentials(creds))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	answer, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{})
	if err != nil || answer.Status != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Fatalf("call through xDS: %v, %v", answer, err)
	}
	m.eventually("the server's sidecar names the client", func() (string, bool) {
		n := sum(m.scrape(server), "istio_tcp_connections_opened_total", map[string]string{
			"reporter": "destination", "connection_security_policy": "mutual_tls", "source_principal": "spiffe://cluster.local/ns/backyards-demo/sa/" + front.ServiceAccount,
		})
		return fmt.Sprint(n), n > 0
	})
}

// plaintextPlane makes the control plane's socket reachable for a client that cannot name the server in its certificate: it
// ends the TLS in its place, with the workload's own certificate, by which the control plane knows it.
func (m *liveMesh) plaintextPlane(keys string) string {
	t := m.t
	t.Helper()
	pair, err := tls.LoadX509KeyPair(filepath.Join(keys, "cert-chain.pem"), filepath.Join(keys, "key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	pem, err := os.ReadFile(filepath.Join(keys, "root-cert.pem"))
	if err != nil || !roots.AppendCertsFromPEM(pem) {
		t.Fatalf("read roots: %v", err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots, ServerName: "istiod.istio-system.svc", NextProtos: []string{"h2"}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			raw, err := net.Dial("unix", filepath.Join(m.home, "r", "oarlock", m.name, "xds.sock"))
			if err != nil {
				in.Close()
				continue
			}
			out := tls.Client(raw, config)
			for _, way := range [][2]net.Conn{{in, out}, {out, in}} {
				wg.Add(1)
				go func() {
					defer wg.Done()
					defer way[0].Close()
					io.Copy(way[0], way[1])
				}()
			}
		}
	}()
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return l.Addr().String()
}
