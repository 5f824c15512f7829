package svid

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
	pb "istio.io/api/security/v1alpha1"

	"github.com/oarlock/oarlock/meshtest"
)

func TestClient(t *testing.T) {
	meshtest.NoLeaks(t)
	c := meshtest.NewCA(t, nil, 0)
	stranger := meshtest.NewCA(t, nil, 0)
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	tests := []struct {
		name string
		edit func(*Client)
		code codes.Code // OK where the error is not the service's
		want string
	}{
		{"good", func(*Client) {}, codes.OK, ""},
		{"for ten minutes", func(c *Client) { c.TTL = 10 * time.Minute }, codes.OK, ""},
		{"for ten years", func(c *Client) { c.TTL = 10 * 365 * 24 * time.Hour }, codes.InvalidArgument, "longer than"},
		{"without a token file", func(c *Client) { c.TokenFile = filepath.Join(dir, "x") }, codes.OK, "read token"},
		{"with another's token", func(c *Client) { c.TokenFile = stranger.TokenFile("default", "web", "web-1") }, codes.Unauthenticated, "not proven"},
		{"with an empty token", func(c *Client) { c.TokenFile = write("empty", "\n") }, codes.Unauthenticated, "not proven"},
		{"with another's roots", func(c *Client) { c.RootsFile = stranger.RootsFile }, codes.Unavailable, "unknown authority"},
		{"without roots", func(c *Client) { c.RootsFile = filepath.Join(dir, "x") }, codes.OK, "no such file"},
		{"with a key among the roots", func(c *Client) {
			c.RootsFile = write("key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
		}, codes.OK, "PRIVATE KEY"},
		{"of another server", func(c *Client) { c.ServerName = "example.org" }, codes.Unavailable, "example.org"},
		{"by address, which the certificate has not", func(c *Client) { c.ServerName = "" }, codes.Unavailable, "127.0.0.1"},
		{"nobody there", func(c *Client) { c.Address = "127.0.0.1:1" }, codes.Unavailable, "refused"},
		{"no address", func(c *Client) { c.Address, c.ServerName = "", "" }, codes.OK, "missing port"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			client := &Client{Address: c.Address, ServerName: meshtest.CAServerName, RootsFile: c.RootsFile, TokenFile: c.TokenFile("default", "web", "web-1")}
			tt.edit(client)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			m, err := client.Obtain(ctx)
			if tt.want != "" {
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("error %v, want one with %q", err, tt.want)
				}
				var grpcErr interface{ GRPCStatus() *status.Status }
				if tt.code != codes.OK && (!errors.As(err, &grpcErr) || grpcErr.GRPCStatus().Code() != tt.code) {
					t.Errorf("error %v, want code %v", err, tt.code)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			s, err := newState(m, spiffeid.RequireFromString("spiffe://cluster.local/ns/default/sa/web"), time.Now())
			if err != nil {
				t.Fatal(err)
			}
			ttl := client.TTL
			if ttl == 0 {
				ttl = 24 * time.Hour
			}
			if d := time.Until(s.Leaf.NotAfter) - ttl; d.Abs() > time.Minute || m.ServerTimeAt.Sub(m.ServerTime).Abs() > time.Minute {
				t.Errorf("it ends at %v, the authority's clock is at %v", s.Leaf.NotAfter, m.ServerTime)
			}
		})
	}
}

// TestClientLearnsRoots: the file is from before the rotation, and so was the first answer.
func TestClientLearnsRoots(t *testing.T) {
	c := meshtest.NewCA(t, nil, 0)
	client, obtain := clientOf(c, nil, "web")
	obtainOK := func() {
		t.Helper()
		if _, err := obtain(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	obtainOK()
	if err := c.Authority.Prepare(); err != nil {
		t.Fatal(err)
	}
	obtainOK()
	if err := errors.Join(c.Authority.Activate(true), c.Authority.Retire(true)); err != nil {
		t.Fatal(err)
	}
	obtainOK()
	late, obtainLate := clientOf(c, nil, "web")
	if _, err := obtainLate(t.Context()); err == nil || len(client.roots) != 1 || len(late.roots) != 0 {
		t.Errorf("a client that starts with the old file: %v", err)
	}
	c.WriteRoots()
	if _, err := obtainLate(t.Context()); err != nil {
		t.Error(err)
	}
}

// An oddService answers what no authority should.
type oddService struct {
	pb.UnimplementedIstioCertificateServiceServer
	answer atomic.Pointer[[]string]
}

func (o *oddService) CreateCertificate(context.Context, *pb.IstioCertificateRequest) (*pb.IstioCertificateResponse, error) {
	return &pb.IstioCertificateResponse{CertChain: *o.answer.Load()}, nil
}

func TestOddAnswers(t *testing.T) {
	meshtest.NoLeaks(t)
	r := newRogue(t)
	cert, key := r.issue(func(c *x509.Certificate) { c.DNSNames = []string{"localhost"} })
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	odd := &oddService{}
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key}}})))
	pb.RegisterIstioCertificateServiceServer(server, odd)
	done := make(chan error)
	go func() { done <- server.Serve(lis) }()
	dir := t.TempDir()
	root := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.cert.Raw}))
	leaf := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}))
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "root"), []byte(root), 0o600), os.WriteFile(filepath.Join(dir, "token"), []byte("t"), 0o600)); err != nil {
		t.Fatal(err)
	}
	client := &Client{Address: lis.Addr().String(), ServerName: "localhost", RootsFile: filepath.Join(dir, "root"), TokenFile: filepath.Join(dir, "token")}
	for name, tt := range map[string]struct {
		answer []string
		want   string
	}{
		"nothing":          {nil, "0 elements"},
		"leaf alone":       {[]string{leaf}, "1 elements"},
		"too many":         {strings.Split(strings.Repeat("x", 18), ""), "18 elements"},
		"no PEM":           {[]string{"x", root}, "no PEM block"},
		"no roots":         {[]string{leaf, ""}, "no PEM block"},
		"too many in one":  {[]string{strings.Repeat(leaf, 17), root}, "at most 16"},
		"broken":           {[]string{strings.Replace(leaf, "MII", "AAA", 1), root}, "read certificates"},
		"too many roots":   {[]string{leaf, strings.Repeat(root, 65)}, "at most 64"},
		"enormous":         {[]string{leaf, strings.Repeat("x", 2<<20)}, "larger than max"},
		"another's leaf":   {[]string{leaf, root}, "not for our key"},
		"the root as leaf": {[]string{root, root}, "not for our key"},
	} {
		odd.answer.Store(&tt.answer)
		m, err := client.Obtain(t.Context())
		if err == nil {
			_, err = newState(m, spiffeid.ID{}, time.Now())
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, tt.want)
		}
	}
	server.Stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// writeFiles puts an SVID into files as somebody else would.
func writeFiles(t testing.TB, dir string, m *Material) *Files {
	t.Helper()
	s, err := newState(m, spiffeid.ID{}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	key, chain, roots, err := s.Export()
	if err != nil {
		t.Fatal(err)
	}
	f := &Files{Key: filepath.Join(dir, "key.pem"), Chain: filepath.Join(dir, "cert-chain.pem"), Roots: filepath.Join(dir, "root-cert.pem")}
	if err := errors.Join(os.WriteFile(f.Key, key, 0o600), os.WriteFile(f.Chain, chain, 0o600), os.WriteFile(f.Roots, roots, 0o600)); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lockedLog
		r, dir := newRogue(t), t.TempDir()
		f := writeFiles(t, dir, r.material(nil)) // for an hour from now
		s := openSource(t, f.Obtain, Options{Log: log.logger()})
		first := s.State()
		time.Sleep(30 * time.Minute)
		if s.State() != first || strings.Count(log.String(), "SVID obtained") != 1 {
			t.Error("published again, though nobody touched the files")
		}
		other := r.material(nil)
		_, key := r.issue(nil)
		torn := *other
		torn.Key = key
		writeFiles(t, dir, other)
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(f.Key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if st := s.Status(); s.State() != first || !strings.Contains(st.LastError, "does not match") {
			t.Errorf("while the files are torn: %+v", st)
		}
		writeFiles(t, dir, other)
		time.Sleep(3 * time.Minute) // after failures the pauses are longer
		if s.State() == first || !s.State().Leaf.Equal(other.Certificates[0]) || s.Status().LastError != "" {
			t.Errorf("after the files are whole: %+v", s.Status())
		}
		if strings.Contains(log.String(), "nobody renews it") {
			t.Error("an alarm long before the end")
		}
		time.Sleep(50 * time.Minute)
		if !s.Status().Emergency || !strings.Contains(log.String(), "nobody renews it") {
			t.Errorf("shortly before the end: %+v", s.Status())
		}
	})
}

func TestFilesRefused(t *testing.T) {
	r := newRogue(t)
	for name, spoil := range map[string]func(f *Files) error{
		"no key":     func(f *Files) error { return os.Remove(f.Key) },
		"no chain":   func(f *Files) error { return os.Remove(f.Chain) },
		"no roots":   func(f *Files) error { return os.Remove(f.Roots) },
		"empty root": func(f *Files) error { return os.WriteFile(f.Roots, nil, 0o600) },
		"long chain": func(f *Files) error { return os.Truncate(f.Chain, maxFile+1) },
		"a key in the chain": func(f *Files) error {
			chain, err := os.ReadFile(f.Chain)
			key, err2 := os.ReadFile(f.Key)
			return errors.Join(err, err2, os.WriteFile(f.Chain, append(chain, key...), 0o600))
		},
	} {
		f := writeFiles(t, t.TempDir(), r.material(nil))
		if err := spoil(f); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Obtain(t.Context()); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := writeFiles(t, t.TempDir(), r.material(nil)).Obtain(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// TestOpenSSL lets openssl connect to our server with exported files, as a user would who wants to see with their own eyes.
func TestOpenSSL(t *testing.T) {
	openssl := meshtest.Require(t, "openssl", "openssl")
	meshtest.NoLeaks(t)
	c := meshtest.NewCA(t, nil, 0)
	_, obtain := clientOf(c, nil, "web")
	s := openSource(t, obtain, Options{})
	m, err := obtain(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	writeFiles(t, dir, m)
	config := s.ServerConfig(spiffeid.MatchMemberOf(td))
	config.NextProtos = []string{"istio"}
	lis, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	serveOne := func() {
		conn, err := lis.Accept()
		if err == nil {
			err = conn.(*tls.Conn).HandshakeContext(t.Context())
			if err == nil {
				_, err = conn.Write([]byte("welcome\n"))
			}
			err = errors.Join(err, conn.Close())
		}
		served <- err
	}
	connect := func(args ...string) string {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		go serveOne()
		cmd := exec.CommandContext(ctx, openssl, append([]string{"s_client", "-connect", lis.Addr().String(), "-alpn", "istio", "-CAfile", "root-cert.pem", "-ign_eof"}, args...)...)
		cmd.Dir = dir
		out, _ := cmd.CombinedOutput() // it fails where the server refuses it; what it prints is looked at
		return string(out)
	}
	out := connect("-cert", "cert-chain.pem", "-key", "key.pem")
	if err := <-served; err != nil || !strings.Contains(out, "Verify return code: 0 (ok)") || !strings.Contains(out, "welcome") {
		t.Errorf("with the SVID: %v\n%s", err, out)
	}
	out = connect()
	if err := <-served; err == nil || strings.Contains(out, "welcome") {
		t.Errorf("without a certificate: %v\n%s", err, out)
	}
	if err := lis.Close(); err != nil {
		t.Error(err)
	}
}
