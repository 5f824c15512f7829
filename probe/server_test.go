package probe

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oarlock/oarlock/meshtest"
)

// An authority issues certificates in a test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{key: newKey(t)}
	a.cert = a.sign(t, &x509.Certificate{
		Subject: pkix.Name{Organization: []string{"cluster.local"}}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}, a.key)
	return a
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (a *authority) sign(t testing.TB, c *x509.Certificate, key *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	c.SerialNumber = big.NewInt(time.Now().UnixNano())
	parent := a.cert
	if parent == nil {
		parent = c
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// issue makes an SVID; change may spoil it.
func (a *authority) issue(t testing.TB, id string, change func(*x509.Certificate)) *tls.Certificate {
	t.Helper()
	c := &x509.Certificate{
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if id != "" {
		u, err := url.Parse(id)
		if err != nil {
			t.Fatal(err)
		}
		c.URIs = []*url.URL{u}
	}
	if change != nil {
		change(c)
	}
	key := newKey(t)
	return &tls.Certificate{Certificate: [][]byte{a.sign(t, c, key).Raw}, PrivateKey: key}
}

func (a *authority) roots() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

const (
	serverID = "spiffe://cluster.local/ns/bar/sa/foo"
	clientID = "spiffe://cluster.local/ns/default/sa/prober"
)

// place is where a server of a test is.
type place struct {
	address string
	dial    func(ctx context.Context, network, address string) (net.Conn, error) // nil is TCP
}

// piped is a place without a network, for a bubble of testing/synctest: there is no server so slow that it seems silent.
func piped() (place, *meshtest.PipeListener) {
	l := meshtest.NewPipeListener()
	return place{"127.0.0.1:443", func(ctx context.Context, _, address string) (net.Conn, error) { return l.Dial(ctx, address) }}, l
}

// listen serves each connection with handle in a bubble, and waits for all of them at its end.
func listen(t testing.TB, handle func(net.Conn)) place {
	t.Helper()
	at, l := piped()
	serve(t, l, handle)
	return at
}

// listenTCP is listen on a loopback address.
func listenTCP(t testing.TB, handle func(net.Conn)) place {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serve(t, l, handle)
	return place{address: l.Addr().String()}
}

func serve(t testing.TB, l net.Listener, handle func(net.Conn)) {
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				c.SetDeadline(time.Now().Add(20 * time.Second))
				handle(c)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		wg.Wait()
	})
}

// serveHTTP is an application: one request, one answer.
func serveHTTP(c net.Conn) {
	head := make([]byte, 4096)
	n, err := io.ReadAtLeast(c, head, 5)
	switch {
	case err != nil:
	case bytes.HasPrefix(head[:n], []byte("PRI * HTTP/2.0")):
		c.Write(make([]byte, 3))
		c.Write([]byte{4, 0, 0, 0, 0, 0})
	case bytes.HasPrefix(head[:n], []byte("GET ")):
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	default: // a ClientHello too
		io.WriteString(c, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
	}
}

// A recorded connection gives what was read once more.
type recorded struct {
	net.Conn
	head bytes.Buffer
	back *bytes.Reader
}

func (r *recorded) Read(p []byte) (int, error) {
	if r.back != nil && r.back.Len() > 0 {
		return r.back.Read(p)
	}
	n, err := r.Conn.Read(p)
	if r.back == nil {
		r.head.Write(p[:n])
	}
	return n, err
}

var errLook = errors.New("looked")

// look gives the ALPN of a ClientHello, and a connection that begins anew; isTLS is false for anything else.
func look(c net.Conn) (again net.Conn, alpn []string, isTLS bool) {
	r := &recorded{Conn: c}
	var b [1]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return c, nil, false
	}
	if b[0] == 0x16 {
		r.back = bytes.NewReader(b[:])
		s := tls.Server(silentConn{&recorded{Conn: r}}, &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			alpn, isTLS = h.SupportedProtos, true
			return nil, errLook
		}})
		inner := s.NetConn().(silentConn).recorded
		s.Handshake()
		return &recorded{Conn: c, back: bytes.NewReader(inner.head.Bytes())}, alpn, isTLS
	}
	return &recorded{Conn: c, back: bytes.NewReader(b[:])}, nil, false
}

// silentConn keeps the alert of a handshake that is not to be.
type silentConn struct{ *recorded }

func (silentConn) Write(p []byte) (int, error) { return len(p), nil }

// sidecar is a server that does what Istio's does in a mode, in front of an application. declared is the protocol of its
// port: on "http", what is not of Istio has no filter chain; on "tcp" it is the application's.
type sidecar struct {
	mode     Mode
	declared string
	config   *tls.Config
	app      func(net.Conn)
}

func (s *sidecar) serve(c net.Conn) {
	if s.mode == Disable {
		s.app(c)
		return
	}
	c, alpn, isTLS := look(c)
	ours := len(alpn) > 0 && strings.HasPrefix(alpn[0], "istio")
	switch {
	case isTLS && (s.mode == Strict || ours):
		in := tls.Server(c, s.config)
		if in.Handshake() == nil {
			s.app(in)
			in.Close()
		}
	case s.mode == Strict, isTLS && s.declared == "http":
		c.SetReadDeadline(time.Now().Add(30 * time.Millisecond))
		io.Copy(io.Discard, c) // closing with bytes unread would be a reset
	default:
		s.app(c)
	}
}

// mutual is the configuration of a sidecar's server.
func (a *authority) mutual(t testing.TB) *tls.Config {
	return &tls.Config{
		Certificates: []tls.Certificate{*a.issue(t, serverID, nil)}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: a.roots(),
		// Without NextProtos nothing is negotiated, whatever is offered: the server of Istio does not advertise its ALPN.
	}
}

// serveTLS is an HTTP server of crypto/tls and net/http, in a bubble.
func serveTLS(t testing.TB, c *tls.Config) place {
	t.Helper()
	at, l := piped()
	s := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Proto) }), TLSConfig: c,
		ErrorLog: quiet(), ReadTimeout: 20 * time.Second,
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.ServeTLS(l, "", "")
	}()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		s.Shutdown(ctx)
		s.Close()
		<-done
	})
	return at
}
