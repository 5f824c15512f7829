package ca

import (
	"context"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"
	pb "istio.io/api/security/v1alpha1"
)

var istiod = Identity{Namespace: "istio-system", ServiceAccount: "istiod"}

// serve runs the service on loopback and gives a client that is connected to it.
func serve(t testing.TB, a *Authority, s *Service) pb.IstioCertificateServiceClient {
	t.Helper()
	config, err := a.ServerTLS(istiod, "localhost", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := s.Server(config)
	done := make(chan error)
	go func() { done <- server.Serve(lis) }()
	conn, err := grpc.NewClient(lis.Addr().String(), grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: pool(a.bundle.Roots)})))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
		server.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return pb.NewIstioCertificateServiceClient(conn)
}

func TestService(t *testing.T) {
	var log strings.Builder
	a, tokens := open(t, Options{MaxTTL: 48 * time.Hour}), tokensOf(t, "")
	client := serve(t, a, NewService(a, tokens, ServiceOptions{Log: textLog(&log), Burst: 100}))
	good := tokenFor(t, tokens, web)
	strange := tokenFor(t, tokens, Identity{Namespace: "default", ServiceAccount: "a/b", Workload: "x"})
	bearer := func(token string) []string { return []string{"authorization", "Bearer " + token} }
	impersonate, err := structpb.NewStruct(map[string]any{"ImpersonatedIdentity": "spiffe://cluster.local/ns/a/sa/b"})
	if err != nil {
		t.Fatal(err)
	}
	agent, err := structpb.NewStruct(map[string]any{"CertSigner": "", "WorkloadName": "x", "ClusterID": "Kubernetes"})
	if err != nil {
		t.Fatal(err)
	}
	request := &pb.IstioCertificateRequest{Csr: string(plainCSR(t))}
	tests := []struct {
		name    string
		request *pb.IstioCertificateRequest
		header  []string
		want    codes.Code
	}{
		{"good", request, bearer(good), codes.OK},
		{"what Istio's agent sends", &pb.IstioCertificateRequest{Csr: request.Csr, ValidityDuration: 86400, Metadata: agent}, append(bearer(good), "clusterid", "Kubernetes"), codes.OK},
		{"a minute", &pb.IstioCertificateRequest{Csr: request.Csr, ValidityDuration: 60}, bearer(good), codes.OK},
		{"negative validity", &pb.IstioCertificateRequest{Csr: request.Csr, ValidityDuration: math.MinInt64}, bearer(good), codes.OK},
		{"without a token", request, nil, codes.Unauthenticated},
		{"two tokens", request, append(bearer(good), bearer(good)...), codes.Unauthenticated},
		{"other scheme", request, []string{"authorization", "Basic " + good}, codes.Unauthenticated},
		{"empty token", request, bearer(""), codes.Unauthenticated},
		{"wrong token", request, bearer(good[:len(good)-8] + "AAAAAAAA"), codes.Unauthenticated},
		{"subject that is no identity", request, bearer(strange), codes.Unauthenticated},
		{"for somebody else", &pb.IstioCertificateRequest{Csr: request.Csr, Metadata: impersonate}, bearer(good), codes.Unauthenticated},
		{"bad CSR with a bad token", &pb.IstioCertificateRequest{Csr: "x"}, bearer("x"), codes.Unauthenticated},
		{"bad CSR", &pb.IstioCertificateRequest{Csr: "x"}, bearer(good), codes.InvalidArgument},
		{"long CSR", &pb.IstioCertificateRequest{Csr: strings.Repeat("x", MaxCSR+1)}, bearer(good), codes.InvalidArgument},
		{"huge CSR", &pb.IstioCertificateRequest{Csr: strings.Repeat("x", 1<<20)}, bearer(good), codes.ResourceExhausted},
		{"too long a validity", &pb.IstioCertificateRequest{Csr: request.Csr, ValidityDuration: 48*3600 + 1}, bearer(good), codes.InvalidArgument},
		{"a validity that overflows", &pb.IstioCertificateRequest{Csr: request.Csr, ValidityDuration: math.MaxInt64}, bearer(good), codes.InvalidArgument},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var header metadata.MD
			ctx := metadata.AppendToOutgoingContext(t.Context(), tt.header...)
			got, err := client.CreateCertificate(ctx, tt.request, grpc.Header(&header))
			if status.Code(err) != tt.want {
				t.Fatalf("error %v, want %v", err, tt.want)
			}
			if tt.want == codes.Unauthenticated && strings.ContainsAny(status.Convert(err).Message(), `":`) {
				t.Errorf("the answer tells a stranger too much: %v", err)
			}
			if err != nil {
				return
			}
			leaf, err := parseCertificates([]byte(got.CertChain[0]))
			if err != nil || len(leaf) != 1 || leaf[0].URIs[0].String() != "spiffe://cluster.local/ns/default/sa/web" {
				t.Errorf("got %v, %v", leaf, err)
			}
			if roots, err := parseCertificates([]byte(got.CertChain[len(got.CertChain)-1])); err != nil || !roots[0].Equal(a.bundle.Roots[0]) {
				t.Errorf("the last element is %v, %v", roots, err)
			}
			if seconds := tt.request.ValidityDuration; seconds > 0 && time.Until(leaf[0].NotAfter).Round(time.Minute) != time.Duration(seconds)*time.Second {
				t.Errorf("asked for %d s, it ends at %v", seconds, leaf[0].NotAfter)
			}
			date, err := time.Parse(dateFormat, strings.Join(header.Get("date"), ""))
			if err != nil || time.Since(date).Abs() > time.Minute {
				t.Errorf("date %v, %v", header.Get("date"), err)
			}
		})
	}
	if text := log.String(); strings.Contains(text, good[len(good)-20:]) || strings.Contains(text, "PRIVATE") {
		t.Error("the log has a secret")
	} else if strings.Count(text, "SVID issued") != 4 || !strings.Contains(text, "workload=web-1") || !strings.Contains(text, "serial=") || !strings.Contains(text, "peer=127.0.0.1:") {
		t.Errorf("the log is\n%s", text)
	}
}

func TestServiceLimitsWorkloads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, tokens := open(t, Options{}), tokensOf(t, "")
		s := NewService(a, tokens, ServiceOptions{Rate: 0.5, Burst: 3})
		ask := func(who Identity) codes.Code {
			ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs("authorization", "Bearer "+tokenFor(t, tokens, who)))
			_, err := s.CreateCertificate(ctx, &pb.IstioCertificateRequest{Csr: string(plainCSR(t))})
			return status.Code(err)
		}
		other := Identity{Namespace: "default", ServiceAccount: "web", Workload: "web-2"}
		for i, want := range []codes.Code{codes.OK, codes.OK, codes.OK, codes.ResourceExhausted} {
			if got := ask(web); got != want {
				t.Errorf("request %d: %v, want %v", i, got, want)
			}
		}
		if got := ask(other); got != codes.OK {
			t.Errorf("its neighbour: %v", got)
		}
		time.Sleep(2 * time.Second)
		if got := ask(web); got != codes.OK {
			t.Errorf("after a pause: %v", got)
		}
	})
}

func TestServiceWithoutAuthority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, tokens := open(t, Options{RootTTL: time.Hour}), tokensOf(t, "")
		s := NewService(a, tokens, ServiceOptions{})
		time.Sleep(2 * time.Hour)
		ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs("authorization", "Bearer "+tokenFor(t, tokens, web)))
		if _, err := s.CreateCertificate(ctx, &pb.IstioCertificateRequest{Csr: string(plainCSR(t))}); status.Code(err) != codes.Internal {
			t.Errorf("an expired authority gives %v", err)
		}
	})
}

// A cluster authenticates by asking others, which takes a context and may fail.
type cluster struct{ err error }

func (c cluster) Authenticate(ctx context.Context, token string) (Identity, error) {
	return Identity{Namespace: "ns", ServiceAccount: token}, errors.Join(ctx.Err(), c.err)
}

func TestOtherAuthenticator(t *testing.T) {
	a := open(t, Options{})
	ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs("authorization", "Bearer sleep"))
	request := &pb.IstioCertificateRequest{Csr: string(plainCSR(t))}
	got, err := NewService(a, cluster{}, ServiceOptions{}).CreateCertificate(ctx, request)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := parseCertificates([]byte(got.CertChain[0]))
	if err != nil || leaf[0].URIs[0].String() != "spiffe://cluster.local/ns/ns/sa/sleep" {
		t.Errorf("got %v, %v", leaf, err)
	}
	if _, err := NewService(a, cluster{errors.New("down")}, ServiceOptions{}).CreateCertificate(ctx, request); status.Code(err) != codes.Unauthenticated {
		t.Errorf("error %v", err)
	}
}

// TestServerCertificate follows the server's own certificate through its life and a rotation.
func TestServerCertificate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := open(t, Options{})
		config, err := a.ServerTLS(istiod, "istiod.istio-system.svc", "127.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		get := func() *x509.Certificate {
			t.Helper()
			cert, err := config.GetCertificate(nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, host := range []string{"istiod.istio-system.svc", "127.0.0.1"} {
				if _, err := cert.Leaf.Verify(x509.VerifyOptions{Roots: pool(a.bundle.Roots), DNSName: host}); err != nil {
					t.Fatal(err)
				}
			}
			return cert.Leaf
		}
		first := get()
		if first.URIs[0].String() != "spiffe://cluster.local/ns/istio-system/sa/istiod" {
			t.Errorf("it is for %v", first.URIs)
		}
		time.Sleep(DefaultTTL/2 - time.Minute)
		if !get().Equal(first) {
			t.Error("renewed before half of its life")
		}
		time.Sleep(2 * time.Minute)
		second := get()
		if second.Equal(first) {
			t.Error("not renewed at half of its life")
		}
		if err := errors.Join(a.Prepare(), a.Activate(true)); err != nil {
			t.Fatal(err)
		}
		if third := get(); third.Equal(second) || string(third.AuthorityKeyId) == string(second.AuthorityKeyId) {
			t.Error("not issued by the active authority")
		}
		if _, err := a.ServerTLS(Identity{}); err == nil {
			t.Error("a server without a name")
		}
	})
}

func TestServerKeepsItsCertificate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := open(t, Options{PlugIn: newPlugIn(t).below("short", newKey(t, elliptic.P256()), func(c *x509.Certificate) {
			c.NotAfter = time.Now().Add(time.Hour)
		}).write()})
		config, err := a.ServerTLS(istiod, "localhost")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour - time.Second)
		if _, err := config.GetCertificate(nil); err != nil {
			t.Errorf("shortly before the end: %v", err)
		}
		time.Sleep(time.Minute)
		if _, err := config.GetCertificate(nil); err == nil {
			t.Error("an expired authority made a certificate")
		}
	})
}

// TestIssueAtOnce issues from many goroutines while the authority rotates.
func TestIssueAtOnce(t *testing.T) {
	a := open(t, Options{})
	request := plainCSR(t)
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for range 50 {
				got, err := a.Issue(request, web, 0)
				if err == nil {
					err = believe(got, got.Bundle)
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 10 {
		if err := errors.Join(a.Prepare(), a.Activate(true), a.Retire(true), a.Step()); err != nil {
			t.Error(err)
		}
		if a.Status().Rotating {
			t.Error("rotates by itself")
		}
	}
	wait.Wait()
}

func TestLimiter(t *testing.T) {
	l := newLimiter(2, 3, 2)
	now := time.Unix(1000, 0)
	steps := []struct {
		key   string
		after time.Duration
		want  bool
	}{
		{"a", 0, true}, {"a", 0, true}, {"a", 0, true}, {"a", 0, false},
		{"a", 400 * time.Millisecond, false}, {"a", 100 * time.Millisecond, true}, {"a", 0, false},
		{"a", -time.Hour, false}, // the clock was set back
		{"b", 0, true},
		{"c", 0, false}, // a and b are remembered, and there is no third place
		{"a", time.Hour, true}, {"a", 0, true}, {"a", 0, true}, {"a", 0, false},
		{"c", 0, true}, // b's bucket is full again, so it was forgotten
	}
	for i, s := range steps {
		now = now.Add(s.after)
		if got := l.allow(s.key, now); got != s.want {
			t.Errorf("step %d, %s: %v, want %v", i, s.key, got, s.want)
		}
	}
	many := newLimiter(1, 1, 100)
	for i := range 10_000 {
		many.allow(fmt.Sprint(i), now)
	}
	if len(many.buckets) > 100 {
		t.Errorf("it remembers %d", len(many.buckets))
	}
}

// BenchmarkIssue is what one SVID costs the authority, the CSR's signature included.
func BenchmarkIssue(b *testing.B) {
	a := open(b, Options{Dir: stateDir(b)})
	request := plainCSR(b)
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if _, err := a.Issue(request, web, 0); err != nil {
				b.Error(err)
			}
		}
	})
}
