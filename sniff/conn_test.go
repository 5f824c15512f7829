package sniff_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/oarlock/oarlock/sniff"
)

// selfSigned makes a certificate for a server in a test.
func selfSigned(t testing.TB) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"a.example"}}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// pair gives the two ends of a TCP connection on loopback.
func pair(t testing.TB) (client, server *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); s.Close() })
	return c.(*net.TCPConn), s.(*net.TCPConn)
}

// listenOnce accepts one connection on loopback.
func listenOnce(t testing.TB) (address string, accepted <-chan net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	out := make(chan net.Conn, 1)
	go func() {
		if c, err := l.Accept(); err == nil {
			out <- c
		}
	}()
	return l.Addr().String(), out
}

// TestHandshakeAfterSniffing has crypto/tls shake hands over a connection that was sniffed.
func TestHandshakeAfterSniffing(t *testing.T) {
	cert := selfSigned(t)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		client, server := pair(t)
		go func() {
			c := tls.Client(client, &tls.Config{InsecureSkipVerify: true, ServerName: "a.example", MaxVersion: version})
			io.WriteString(c, "ping")
			c.CloseWrite()
		}()
		c := sniff.NewConn(server)
		r, err := c.Sniff(sniff.Limits{FirstByte: time.Minute})
		if err != nil || r.Protocol != sniff.TLS || r.Hello.ServerName != "a.example" {
			t.Fatalf("got %+v, %v", r, err)
		}
		s := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{cert}})
		got, err := io.ReadAll(s)
		if err != nil || string(got) != "ping" || s.ConnectionState().Version != version {
			t.Errorf("read %q, %v", got, err)
		}
	}
}

// TestHalfClose closes either half while the other goes on.
func TestHalfClose(t *testing.T) {
	client, server := pair(t)
	io.WriteString(client, "GET / HTTP/1.0\r\n\r\n")
	client.CloseWrite()
	c := sniff.NewConn(server)
	if r, err := c.Sniff(sniff.Limits{}); err != nil || r.Protocol != sniff.HTTP1 {
		t.Fatalf("got %v, %v", r, err)
	}
	if got, err := io.ReadAll(c); err != nil || string(got) != "GET / HTTP/1.0\r\n\r\n" {
		t.Errorf("read %q, %v", got, err)
	}
	io.WriteString(c, "bye")
	if err := c.CloseWrite(); err != nil {
		t.Error(err)
	}
	if got, err := io.ReadAll(client); err != nil || string(got) != "bye" {
		t.Errorf("the client read %q, %v", got, err)
	}
}

func TestCloseRead(t *testing.T) {
	client, server := pair(t)
	io.WriteString(client, "GET / HTTP/1.0\r\n\r\n")
	c := sniff.NewConn(server)
	if _, err := c.Sniff(sniff.Limits{}); err != nil {
		t.Fatal(err)
	}
	if err := c.CloseRead(); err != nil {
		t.Error(err)
	}
	if got, err := io.ReadAll(c); len(got) > 0 || err != nil {
		t.Errorf("read %q, %v after the read half was closed", got, err)
	}
}

func TestNoHalves(t *testing.T) {
	client, server := net.Pipe()
	defer client.Close()
	c := sniff.NewConn(server)
	if err := c.CloseWrite(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("CloseWrite: %v", err)
	}
	if err := c.CloseRead(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("CloseRead: %v", err)
	}
}

// TestClosedWhileSniffing ends Sniff by closing the connection, as a server does that shuts down.
func TestClosedWhileSniffing(t *testing.T) {
	_, server := pair(t)
	c := sniff.NewConn(server)
	time.AfterFunc(10*time.Millisecond, func() { c.Close() })
	if r, err := c.Sniff(sniff.Limits{}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v, %v", r, err)
	}
}
