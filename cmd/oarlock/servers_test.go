package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/oarlock/oarlock/sniff"
	"github.com/rogpeppe/go-internal/testscript"
)

// serverCommands are the commands of scripts that need somebody to talk to:
//
//	mint NAME [SPIFFE-ID] [expired]   issues NAME.pem with NAME-key.pem; the authority is root.pem, made when first needed
//	serve KIND VARIABLE               starts a server on loopback and puts HOST:PORT into the variable
//	probe STATUS ARGUMENT...          runs oarlock probe, and again where an attempt may have run out of time
//	until COMMAND                     runs a command of the shell until it succeeds
//
// The kinds are http, tls, strict, permissive, permissive-tcp, banner, silent and openssl; those of TLS use server.pem.
func serverCommands() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){"mint": mint, "serve": serve, "probe": probeSteadily, "until": until}
}

// longest is how long a test waits for something: it is for a machine that does much else.
const longest = time.Minute

// lateOutcome are the outcomes of an attempt to which the server had no time to answer.
var lateOutcome = regexp.MustCompile(`(?m)^(plaintext|TLS|.*outcome"?:) .*\b(timeout|silent|answered)\b|^TLS .*\breset\b`)

func probeSteadily(ts *testscript.TestScript, _ bool, args []string) {
	status := 0
	for end := time.Now().Add(longest); time.Now().Before(end); {
		err := ts.Exec("oarlock", append([]string{"probe"}, args[1:]...)...)
		exit := (*exec.ExitError)(nil)
		if status = 0; errors.As(err, &exit) {
			status = exit.ExitCode()
		}
		if args[0] == strconv.Itoa(status) && !lateOutcome.MatchString(ts.ReadFile("stdout")) {
			return
		}
	}
	ts.Fatalf("probe: exit status %d, want %s, and no attempt that is late", status, args[0])
}

func until(ts *testscript.TestScript, _ bool, args []string) {
	for end := time.Now().Add(longest); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if ts.Exec("sh", "-c", args[0]) == nil {
			return
		}
	}
	ts.Fatalf("until: it does not come")
}

// mint issues a certificate.
func mint(ts *testscript.TestScript, _ bool, args []string) {
	root := ts.MkAbs("root.pem")
	if _, err := os.Stat(root); err != nil {
		writePair(ts, "root", &x509.Certificate{
			Subject: pkix.Name{Organization: []string{"cluster.local"}}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
			NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
		}, nil)
	}
	ca, err := tls.LoadX509KeyPair(root, ts.MkAbs("root-key.pem"))
	ts.Check(err)
	c := &x509.Certificate{
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, arg := range args[1:] {
		u, err := url.Parse(arg)
		ts.Check(err)
		switch {
		case arg == "expired":
			c.NotAfter = time.Now().Add(-time.Hour)
		case u.Scheme == "spiffe":
			c.URIs = []*url.URL{u}
		default:
			c.DNSNames = append(c.DNSNames, arg)
		}
	}
	writePair(ts, args[0], c, &ca)
}

// writePair signs c by an authority, or by itself, and writes it with its key.
func writePair(ts *testscript.TestScript, name string, c *x509.Certificate, by *tls.Certificate) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	c.SerialNumber = big.NewInt(time.Now().UnixNano())
	parent, signer := c, any(key)
	if by != nil {
		parent, signer = by.Leaf, by.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), signer)
	ts.Check(err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(name+".pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644))
	ts.Check(os.WriteFile(ts.MkAbs(name+"-key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600))
}

// serve starts a server that ends with the script.
func serve(ts *testscript.TestScript, _ bool, args []string) {
	kind, variable := args[0], args[1]
	if kind == "openssl" {
		serveOpenSSL(ts, variable)
		return
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	var wg sync.WaitGroup
	ts.Defer(func() {
		l.Close()
		wg.Wait()
	})
	if kind == "tls" {
		s := webServer()
		s.TLSConfig = serverConfig(ts, kind)
		ts.Defer(func() { s.Close() })
		wg.Go(func() { s.ServeTLS(l, "", "") })
		ts.Setenv(variable, l.Addr().String())
		return
	}
	handle := handler(ts, kind)
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
	ts.Setenv(variable, l.Addr().String())
}

// handler gives what a server of that kind does with a connection.
func handler(ts *testscript.TestScript, kind string) func(net.Conn) {
	switch kind {
	case "http":
		return serveOne
	case "banner":
		return func(c net.Conn) {
			io.WriteString(c, "220 mail.example ESMTP\r\n")
			io.Copy(io.Discard, c)
		}
	case "silent":
		return func(c net.Conn) { io.Copy(io.Discard, c) }
	}
	config := serverConfig(ts, kind)
	return func(c net.Conn) { serveSidecar(c, kind, config) }
}

func serverConfig(ts *testscript.TestScript, kind string) *tls.Config {
	cert, err := tls.LoadX509KeyPair(ts.MkAbs("server.pem"), ts.MkAbs("server-key.pem"))
	ts.Check(err)
	c := &tls.Config{Certificates: []tls.Certificate{cert}}
	if kind != "tls" {
		c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
		c.ClientCAs.AppendCertsFromPEM([]byte(ts.ReadFile("root.pem")))
	}
	return c
}

// serveSidecar does what an inbound listener of Istio does.
func serveSidecar(c net.Conn, kind string, config *tls.Config) {
	s := sniff.NewConn(c)
	r, err := s.Sniff(sniff.Limits{})
	if err != nil {
		return
	}
	ours := r.Protocol == sniff.TLS && slices.ContainsFunc(r.Hello.ALPN, func(p string) bool { return strings.HasPrefix(p, "istio") })
	switch {
	case r.Protocol == sniff.TLS && (kind == "strict" || ours):
		serveOne(tls.Server(s, config))
	case kind == "strict", kind == "permissive" && r.Protocol == sniff.TLS:
		s.Discard() // no filter chain; all was read, so that the end is a close and no reset
	default:
		serveOne(s)
	}
}

// serveOne is an application: it answers one request of HTTP.
func serveOne(c net.Conn) {
	l := &oneListener{conn: make(chan net.Conn, 1), done: make(chan struct{})}
	l.conn <- &closing{Conn: c, done: l.done}
	s := webServer()
	s.Serve(l)
	s.Close()
}

func webServer() *http.Server {
	return &http.Server{
		Handler:  http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok\n") }),
		ErrorLog: log.New(io.Discard, "", 0),
	}
}

// oneListener accepts one connection, and ends when that is closed.
type oneListener struct {
	conn chan net.Conn
	done chan struct{}
}

func (l *oneListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conn:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *oneListener) Close() error   { return nil }
func (l *oneListener) Addr() net.Addr { return &net.TCPAddr{} }

type closing struct {
	net.Conn
	once sync.Once
	done chan struct{}
}

func (c *closing) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { close(c.done) })
	return err
}

// serveOpenSSL starts `openssl s_server`, which wants a client certificate.
func serveOpenSSL(ts *testscript.TestScript, variable string) {
	cmd := exec.Command("openssl", "s_server", "-accept", "127.0.0.1:0", "-www", "-Verify", "1", "-verify_return_error",
		"-cert", ts.MkAbs("server.pem"), "-key", ts.MkAbs("server-key.pem"), "-CAfile", ts.MkAbs("root.pem"))
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	said := bufio.NewScanner(out)
	var rest sync.WaitGroup
	ts.Defer(func() {
		cmd.Process.Kill()
		rest.Wait()
		cmd.Wait()
	})
	for said.Scan() {
		if address, ok := strings.CutPrefix(said.Text(), "ACCEPT "); ok {
			ts.Setenv(variable, address)
			rest.Go(func() { io.Copy(io.Discard, out) })
			return
		}
	}
	ts.Fatalf("openssl s_server does not say where it listens")
}
