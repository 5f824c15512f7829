package xdsclient

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	cachev3 "github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	serverv3 "github.com/envoyproxy/go-control-plane/pkg/server/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/oarlock/oarlock/proxy"
)

func anyOf(t *testing.T, m proto.Message) *anypb.Any {
	t.Helper()
	a, err := anypb.New(m)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestSotWResponse(t *testing.T) {
	a, b := anyOf(t, &clusterv3.Cluster{Name: "a"}), anyOf(t, &clusterv3.Cluster{Name: "b"})
	wrapped := anyOf(t, &discoveryv3.Resource{Name: "b", Resource: b})
	m := &discoveryv3.DiscoveryResponse{VersionInfo: "v", Nonce: "n", Resources: []*anypb.Any{a, wrapped}}
	for k := range kinds {
		u := sotwUpdate(k, m)
		if u.err != nil || len(u.changes) != 2 || u.changes["b"].raw.TypeUrl != ClusterType || u.version != "v" || u.nonce != "n" {
			t.Errorf("%s: %+v", k, u)
		}
		if all := k == kindCluster || k == kindListener; u.full != all {
			t.Errorf("%s: full %v", k, u.full)
		}
	}
	m.Resources = append(m.Resources, a)
	if u := sotwUpdate(kindCluster, m); u.err == nil || u.err.Error() != `cluster "a" is there twice` {
		t.Errorf("%v", u.err)
	}
}

func TestDeltaResponse(t *testing.T) {
	a := anyOf(t, &clusterv3.Cluster{Name: "a"})
	m := &discoveryv3.DeltaDiscoveryResponse{
		SystemVersionInfo: "s", Nonce: "n", RemovedResources: []string{"gone"},
		Resources: []*discoveryv3.Resource{{Name: "a", Version: "1", Resource: a}, {Name: "heartbeat"}},
	}
	u := deltaUpdate(kindCluster, m)
	if u.err != nil || u.full || len(u.changes) != 2 || u.changes["gone"].raw != nil || u.changes["a"].version != "1" || u.version != "s" {
		t.Errorf("%+v", u)
	}
	m.Resources[0].Name = "b"
	if u := deltaUpdate(kindCluster, m); u.err == nil || u.err.Error() != `cluster "b" says that its name is "a"` {
		t.Errorf("%v", u.err)
	}
}

// TestFormatsAreShared holds that one text gives one format, also over many listeners, and that many do not pile up.
func TestFormatsAreShared(t *testing.T) {
	made := 0
	c := &Client{formats: map[string]proxy.AccessLog{}}
	c.options.AccessLog = func(path, _ string, _ []byte) (proxy.AccessLog, error) {
		made++
		return proxy.AccessLog{Path: path}, nil
	}
	for _, text := range []string{"a", "b", "a", "a"} {
		if _, err := c.accessLog("/x", text, nil); err != nil {
			t.Fatal(err)
		}
	}
	if made != 2 {
		t.Errorf("%d formats made of 2", made)
	}
	for n := range 1000 {
		if _, err := c.accessLog("/x", strings.Repeat("x", n), nil); err != nil {
			t.Fatal(err)
		}
	}
	if len(c.formats) > maxFormats {
		t.Errorf("%d formats are kept", len(c.formats))
	}
}

// certificate makes a certificate that is its own root.
func certificate(t *testing.T, name string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour), IsCA: true,
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	root, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(root)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// TestMutualTLS reaches a server that wants a certificate, and no server that has another name.
func TestMutualTLS(t *testing.T) {
	server, serverRoots := certificate(t, "istiod.test")
	client, clientRoots := certificate(t, "client.test")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := newPlane(t)
	p.set("1", recordedWorld(t, "gateway"))
	ctx, cancel := context.WithCancel(t.Context())
	s := grpc.NewServer(grpc.Creds(credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{server}, ClientCAs: clientRoots, ClientAuth: tls.RequireAndVerifyClientCert,
	})))
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(s, serverv3.NewServer(ctx, p.cache.(cachev3.Cache), nil))
	done := make(chan error, 1)
	go func() { done <- s.Serve(listener) }()
	t.Cleanup(func() { s.Stop(); cancel(); <-done })

	config := func(name string) *tls.Config {
		return &tls.Config{
			RootCAs: serverRoots, ServerName: name,
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &client, nil },
		}
	}
	var right, wrong sink
	start(t, Options{Target: listener.Addr().String(), TLS: config("istiod.test"), Apply: right.apply})
	other := start(t, Options{Target: listener.Addr().String(), TLS: config("other.test"), Apply: wrong.apply})
	eventually(t, "a configuration", func() bool { _, n := right.last(); return n == 1 })
	eventually(t, "a reason", func() bool {
		err := other.Status().Err
		return err != nil && strings.Contains(err.Error(), "not other.test")
	})
	if _, n := wrong.last(); n > 0 {
		t.Error("it believes a server of another name")
	}
}
