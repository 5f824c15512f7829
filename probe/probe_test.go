package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oarlock/oarlock/meshtest"
)

func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

func (p Prober) run(t *testing.T, at place) *Result {
	t.Helper()
	p.Address, p.Dial = at.address, at.dial
	p.Timeout, p.Silence = 20*time.Second, 60*time.Millisecond
	r, err := p.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// attempt finds the attempt with that ALPN; "plaintext" is that.
func (r *Result) attempt(alpn string, certificate bool) *Attempt {
	for i := range r.Attempts {
		a := &r.Attempts[i]
		if alpn == "plaintext" && a.Kind == Plaintext || a.Kind == TLS && a.ALPN == alpn && a.Certificate == certificate && a.Version == "" {
			return a
		}
	}
	return nil
}

func wantOutcomes(t *testing.T, r *Result, want map[string]string) {
	t.Helper()
	for what, outcome := range want {
		alpn, certificate := strings.CutSuffix(what, " +cert")
		a := r.attempt(alpn, certificate)
		if a == nil {
			t.Errorf("%q was not tried", what)
		} else if got := a.String(); got != outcome {
			t.Errorf("%q: %s, want %s (%+v)", what, got, outcome, a.TLS)
		}
	}
}

// TestModes probes servers of every kind, with and without a certificate of the mesh.
func TestModes(t *testing.T) {
	names, _, _ := modeTests(t)
	for i, tt := range names {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tests, own, roots := modeTests(t)
				tests[i].run(t, own, roots)
			})
		})
	}
}

type modeTest struct {
	name    string
	serve   func(testing.TB) place
	without Mode // proven without a certificate of our own
	with    Mode
	want    map[string]string
}

func (tt modeTest) run(t *testing.T, own *tls.Certificate, roots *x509.CertPool) {
	at := tt.serve(t)
	r := Prober{}.run(t, at)
	if r.Mode != tt.without {
		t.Errorf("without a certificate: %s, want %s: %q", r.Mode, tt.without, r.Proof)
	}
	r = Prober{Certificate: own, Roots: roots}.run(t, at)
	if r.Mode != tt.with {
		t.Errorf("with one: %s, want %s: %q", r.Mode, tt.with, r.Proof)
	}
	wantOutcomes(t, r, tt.want)
	if len(r.Findings) > 0 {
		t.Errorf("findings %v", r.Findings)
	}
}

func modeTests(t testing.TB) ([]modeTest, *tls.Certificate, *x509.CertPool) {
	listen := func(handle func(net.Conn)) func(testing.TB) place {
		return func(t testing.TB) place { return listen(t, handle) }
	}
	serveTLS := func(c *tls.Config) func(testing.TB) place {
		return func(t testing.TB) place { return serveTLS(t, c) }
	}
	ca := newAuthority(t)
	own := ca.issue(t, clientID, nil)
	plain := ca.issue(t, "", func(c *x509.Certificate) { c.DNSNames = []string{"a.example"} })
	tests := []modeTest{
		{"sidecar STRICT", listen((&sidecar{Strict, "http", ca.mutual(t), serveHTTP}).serve), Strict, Strict, map[string]string{
			"plaintext": "closed", "": "alert certificate_required", "istio": "alert certificate_required",
			" +cert": "http 200", "istio +cert": "http 200", "istio-h2 +cert": "http (HTTP/2)", "http/1.1 +cert": "http 200",
		}},
		{"sidecar PERMISSIVE, http", listen((&sidecar{Permissive, "http", ca.mutual(t), serveHTTP}).serve), Permissive, Permissive, map[string]string{
			"plaintext": "http 200", "istio": "alert certificate_required", "istio-peer-exchange +cert": "http 200",
			"istio-http/1.0 +cert": "http 200", " +cert": "closed", "http/1.1 +cert": "closed", "h2": "closed",
		}},
		{"sidecar PERMISSIVE, tcp", listen((&sidecar{Permissive, "tcp", ca.mutual(t), serveHTTP}).serve), Permissive, Permissive, map[string]string{
			"plaintext": "http 200", "istio-http/1.1 +cert": "http 200", " +cert": "not TLS (HTTP/)",
		}},
		{"sidecar PERMISSIVE, application of TLS", listen((&sidecar{Permissive, "tcp", ca.mutual(t), func(c net.Conn) {
			in := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{*plain}})
			if in.Handshake() == nil {
				serveHTTP(in)
			}
		}}).serve), Permissive, Permissive, map[string]string{"": "http 200", "istio": "alert certificate_required"}},
		{"sidecar DISABLE", listen((&sidecar{Disable, "http", nil, serveHTTP}).serve), Disable, Disable, map[string]string{
			"plaintext": "http 200", "istio +cert": "not TLS (HTTP/)", "": "not TLS (HTTP/)",
		}},
		{"server first", listen(func(c net.Conn) {
			io.WriteString(c, "220 mail.example ESMTP\r\n")
			io.Copy(io.Discard, c)
		}), Disable, Disable, map[string]string{"plaintext": "server-first (220 mail.example ESMTP)", "istio +cert": "not TLS (220 m)"}},
		{"closes", listen(func(c net.Conn) {}), Unknown, Unknown, map[string]string{"plaintext": "closed"}},
		{"other TLS", serveTLS(&tls.Config{Certificates: []tls.Certificate{*plain}, NextProtos: []string{"h2", "http/1.1"}}), OtherTLS, OtherTLS,
			map[string]string{"plaintext": "TLS wanted 400", "": "http 200", "h2": "http (HTTP/2)", "http/1.1": "http 200", "istio": "alert no_application_protocol"}},
		{"client certificate that is not of a mesh", serveTLS(&tls.Config{Certificates: []tls.Certificate{*plain}, ClientAuth: tls.RequireAnyClientCert}),
			OtherTLS, OtherTLS, map[string]string{"": "alert certificate_required", " +cert": "http 200"}},
		{"client certificate if there is one", serveTLS(&tls.Config{Certificates: []tls.Certificate{*own}, ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: ca.roots()}),
			OtherTLS, OtherTLS, map[string]string{"": "http 200", " +cert": "http 200"}},
		{"SVID without a request for one", serveTLS(&tls.Config{Certificates: []tls.Certificate{*own}}), OtherTLS, OtherTLS, nil},
		{"TLS 1.2 alone", listen((&sidecar{Strict, "http", func() *tls.Config {
			c := ca.mutual(t)
			c.MaxVersion = tls.VersionTLS12
			return c
		}(), serveHTTP}).serve), Strict, Strict, map[string]string{"": "alert handshake_failure", " +cert": "http 200"}},
	}
	return tests, own, ca.roots()
}

func TestNothingThere(t *testing.T) {
	address := fmt.Sprintf("127.0.0.1:%d", meshtest.Port(t))
	r := Prober{}.run(t, place{address: address})
	wantOutcomes(t, r, map[string]string{"plaintext": "refused", "istio": "refused"})
	if r.Mode != Unknown || len(r.Attempts) != 1+len(DefaultALPN()) {
		t.Errorf("%s after %d attempts", r.Mode, len(r.Attempts))
	}
	r = Prober{ALPN: []string{NoALPN}}.run(t, place{address: "no-such-host.invalid:80"})
	if r.Mode != Unknown || r.Attempts[0].Outcome != Refused || !strings.Contains(r.Attempts[0].Detail, "no-such-host.invalid") {
		t.Errorf("%+v", r.Attempts[0])
	}
}

func TestSilent(t *testing.T) { synctest.Test(t, testSilent) }

func testSilent(t *testing.T) {
	at := listen(t, func(c net.Conn) { io.Copy(io.Discard, c) })
	p := &Prober{Address: at.address, Dial: at.dial, Timeout: 200 * time.Millisecond, Silence: 50 * time.Millisecond, ALPN: []string{"istio", NoALPN}}
	r, err := p.Run(t.Context())
	if err != nil || r.Mode != Unknown {
		t.Fatalf("%v, %v", r, err)
	}
	wantOutcomes(t, r, map[string]string{"plaintext": "silent", "istio": "timeout", "": "timeout"})
}

func TestReset(t *testing.T) {
	at := listenTCP(t, func(c net.Conn) {
		c.(*net.TCPConn).SetLinger(0) // closing is a reset
		c.Read(make([]byte, 1))
	})
	wantOutcomes(t, Prober{}.run(t, at), map[string]string{"plaintext": "reset", "istio": "reset"})
}

func TestAlertToPlaintext(t *testing.T) { synctest.Test(t, testAlertToPlaintext) }

func testAlertToPlaintext(t *testing.T) {
	at := listen(t, func(c net.Conn) {
		c.Read(make([]byte, 1024))
		c.Write([]byte{0x15, 3, 1, 0, 2, 2, 10})
	})
	wantOutcomes(t, Prober{}.run(t, at), map[string]string{"plaintext": "alert unexpected_message", "": "alert unexpected_message"})
}

func TestNoRequest(t *testing.T) { synctest.Test(t, testNoRequest) }

func testNoRequest(t *testing.T) {
	said := make(chan string, 100)
	at := listen(t, func(c net.Conn) {
		b, _ := io.ReadAll(c)
		said <- string(b)
	})
	r := Prober{NoRequest: true, ALPN: []string{"istio"}}.run(t, at)
	if got := <-said + <-said; r.Attempts[0].Outcome != Silent || strings.Contains(got, "GET") {
		t.Errorf("%s, and it said %q", r.Attempts[0].Outcome, got)
	}
}

func TestHandshakeIsTold(t *testing.T) { synctest.Test(t, testHandshakeIsTold) }

func testHandshakeIsTold(t *testing.T) {
	ca := newAuthority(t)
	at := listen(t, (&sidecar{Strict, "http", ca.mutual(t), serveHTTP}).serve)
	r := Prober{Certificate: ca.issue(t, clientID, nil), Roots: ca.roots()}.run(t, at)
	h := r.attempt("istio", true).TLS
	if h == nil || !h.Complete || !h.Asked || h.Version != "TLS 1.3" || h.Cipher == "" || h.ALPN != "" || h.PeerID != serverID ||
		!slices.Equal(h.Issuers, []string{"O=cluster.local"}) {
		t.Errorf("handshake %+v", h)
	}
	if len(r.Peers) != 1 || r.Peers[0].SPIFFEID != serverID || r.Peers[0].Issuer != "O=cluster.local" || r.Peers[0].Key != "ECDSA P-256" || h.Peer != r.Peers[0].Fingerprint {
		t.Errorf("peers %+v", r.Peers)
	}
	var versions []string
	for _, a := range r.Attempts {
		if a.Version != "" {
			versions = append(versions, a.Version+" "+a.String())
		}
	}
	want := []string{"TLS 1.0 alert protocol_version", "TLS 1.1 alert protocol_version", "TLS 1.2 http 200", "TLS 1.3 http 200"}
	if !slices.Equal(versions, want) {
		t.Errorf("versions %q, want %q", versions, want)
	}
	if got, want := r.String(), at.address+": STRICT, "+serverID; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestRefusedCertificate presents certificates that the server does not take: it is STRICT all the same, and the findings say
// why.
func TestRefusedCertificate(t *testing.T) { synctest.Test(t, testRefusedCertificate) }

func testRefusedCertificate(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	at := listen(t, (&sidecar{Strict, "http", ca.mutual(t), serveHTTP}).serve)
	for name, tt := range map[string]struct {
		own   *tls.Certificate
		alert string
		text  string
	}{
		"another authority": {other.issue(t, clientID, nil), "alert unknown_ca", "no chain to the roots"},
		"expired": {ca.issue(t, clientID, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }),
			"alert certificate_expired", "it expired 1m ago"},
		"not for clients": {ca.issue(t, clientID, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }),
			"alert bad_certificate", "does not allow a TLS client"},
	} {
		r := Prober{Certificate: tt.own, Roots: ca.roots(), ALPN: []string{"istio", NoALPN}}.run(t, at)
		wantOutcomes(t, r, map[string]string{"istio +cert": tt.alert})
		if r.Mode != Strict || len(r.Findings) != 1 || r.Findings[0].Subject != "own certificate" || !strings.Contains(r.Findings[0].String(), tt.text) {
			t.Errorf("%s: %s, findings %v", name, r.Mode, r.Findings)
		}
	}
}

// TestFindings gives a server a certificate with everything wrong: all of it is found, not what comes first.
func TestFindings(t *testing.T) { synctest.Test(t, testFindings) }

func testFindings(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	bad := ca.issue(t, "spiffe://Cluster.local/x", func(c *x509.Certificate) {
		c.URIs = append(c.URIs, &url.URL{Scheme: "https", Host: "a.example"})
		c.NotBefore, c.NotAfter = time.Now().Add(-72*time.Hour), time.Now().Add(-49*time.Hour)
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		c.IsCA, c.BasicConstraintsValid = true, true
	})
	bad.Certificate = append(bad.Certificate, other.cert.Raw)
	at := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{*bad}})
	r := Prober{Roots: other.roots(), ALPN: []string{NoALPN}}.run(t, at)
	for _, want := range []string{
		"it expired 2 days ago", "did not issue the one before it", "certificate of an authority, which", "2 URI names", "capitals",
		"no SPIFFE ID", "does not allow a TLS server", "no chain to the roots",
	} {
		if !slices.ContainsFunc(r.Findings, func(f Finding) bool { return strings.Contains(f.Text, want) && f.Severity == Error }) {
			t.Errorf("no finding says %q: %v", want, r.Findings)
		}
	}
	if r.Peers[0].SPIFFEID != "" || len(r.Peers[0].Chain) != 2 || !strings.HasSuffix(r.String(), "findings") {
		t.Errorf("peer %+v", r.Peers[0])
	}
}

func TestValidity(t *testing.T) {
	ca := newAuthority(t)
	for want, change := range map[string]func(*x509.Certificate){
		"error: x: it is not valid for another 1h59m": func(c *x509.Certificate) { c.NotBefore = time.Now().Add(2 * time.Hour) },
		"warning: x: it expires in 4m":                func(c *x509.Certificate) { c.NotAfter = time.Now().Add(5 * time.Minute) },
	} {
		chain, err := parseChain(ca.issue(t, clientID, change))
		if err != nil {
			t.Fatal(err)
		}
		got := inspect("x", chain, inspection{roots: ca.roots(), now: time.Now()})
		if len(got) != 1 || !strings.HasPrefix(got[0].String(), want) {
			t.Errorf("got %v, want %s", got, want)
		}
	}
	if _, err := parseChain(&tls.Certificate{}); err == nil {
		t.Error("an empty chain was read")
	}
	if _, err := parseChain(&tls.Certificate{Certificate: [][]byte{{1}}}); err == nil {
		t.Error("rubbish was read")
	}
}

func TestArguments(t *testing.T) {
	for _, address := range []string{"", "host", "host:", ":80", "host:http", "host:0", "host:70000", "a:b:c"} {
		if _, err := (&Prober{Address: address}).Run(t.Context()); err == nil {
			t.Errorf("%q was probed", address)
		}
	}
	p := &Prober{Address: "foo.bar:80"}
	q, err := p.withDefaults()
	if err != nil || q.ServerName != "foo.bar" || q.Host != "foo.bar:80" || q.Timeout != DefaultTimeout || q.Silence != DefaultSilence || q.Parallel != DefaultParallel {
		t.Errorf("%+v, %v", q, err)
	}
	if !reflect.DeepEqual(*p, Prober{Address: "foo.bar:80"}) {
		t.Error("the prober was changed")
	}
	if q, err := (&Prober{Address: "[::1]:80"}).withDefaults(); err != nil || q.ServerName != "" {
		t.Errorf("%+v, %v", q, err)
	}
}

// TestCancel ends a probe of a silent server at once.
func TestCancel(t *testing.T) { synctest.Test(t, testCancel) }

func testCancel(t *testing.T) {
	at := listen(t, func(c net.Conn) { io.Copy(io.Discard, c) })
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	begin := time.Now()
	r, err := (&Prober{Address: at.address, Dial: at.dial, Timeout: time.Minute, Silence: time.Second}).Run(ctx)
	if r != nil || !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != 100*time.Millisecond {
		t.Errorf("%v, %v after %v", r, err, time.Since(begin))
	}
}

// TestOneAtATime has a server that serves one connection at a time and is held by one of ours until that gives up.
func TestOneAtATime(t *testing.T) { synctest.Test(t, testOneAtATime) }

func testOneAtATime(t *testing.T) {
	ca := newAuthority(t)
	side := &sidecar{Strict, "http", ca.mutual(t), serveHTTP}
	busy := make(chan bool, 1)
	held := false
	at := listen(t, func(c net.Conn) {
		busy <- true
		defer func() { <-busy }()
		again, alpn, isTLS := look(c)
		if isTLS && !held && slices.Contains(alpn, "istio-h2") {
			held = true
			io.Copy(io.Discard, again)
			return
		}
		side.serve(again)
	})
	p := &Prober{Address: at.address, Dial: at.dial, Timeout: 500 * time.Millisecond, Silence: 20 * time.Millisecond}
	r, err := p.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, alpn := range DefaultALPN() {
		wantOutcomes(t, r, map[string]string{alpn: "alert certificate_required"})
	}
}

// TestFreshConnections counts: an attempt shares its connection with no other, and no session is resumed.
func TestFreshConnections(t *testing.T) { synctest.Test(t, testFreshConnections) }

func testFreshConnections(t *testing.T) {
	ca := newAuthority(t)
	config, opened := ca.mutual(t), make(chan bool, 100)
	config.VerifyConnection = func(s tls.ConnectionState) error {
		if s.DidResume {
			return errors.New("resumed")
		}
		return nil
	}
	side := &sidecar{Strict, "http", config, serveHTTP}
	at := listen(t, func(c net.Conn) { opened <- true; side.serve(c) })
	r := Prober{Certificate: ca.issue(t, clientID, nil)}.run(t, at)
	if len(opened) != len(r.Attempts) || len(r.Attempts) != 1+2*len(DefaultALPN())+4 {
		t.Errorf("%d connections for %d attempts", len(opened), len(r.Attempts))
	}
}

// TestWords holds the JSON that others read.
func TestWords(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	defer s.Close()
	r := Prober{ALPN: []string{"istio"}}.run(t, place{address: strings.TrimPrefix(s.URL, "http://")})
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"mode":"DISABLE"`, `"peers":[],"findings":[]`, `"kind":"plaintext","alpn":"","clientCertificate":false,"outcome":"http","status":404`,
		`"kind":"TLS","alpn":"istio"`,
	} {
		if !strings.Contains(string(b), want) {
			t.Errorf("%s lacks %s", b, want)
		}
	}
	if got := alertName(48) + alertName(200); got != "unknown_caalert 200" {
		t.Errorf("alerts %q", got)
	}
	if f, err := ParseMode("permissive"); err != nil || f != Permissive {
		t.Errorf("%v, %v", f, err)
	}
	if _, err := ParseMode("nothing"); err == nil {
		t.Error("a mode that is none was read")
	}
}

// TestJudge has what no server of this file does.
func TestJudge(t *testing.T) {
	side := &Handshake{Asked: true, PeerID: serverID}
	tests := []struct {
		name     string
		attempts []Attempt
		want     Mode
	}{
		{"nothing", nil, Unknown},
		{"silent plaintext before a sidecar", []Attempt{{Kind: Plaintext, Outcome: Silent}, {Kind: TLS, ALPN: "istio", TLS: side, Outcome: Alerted},
			{Kind: TLS, TLS: side, Outcome: Alerted}}, Unknown},
		{"silent plaintext, TLS not terminated", []Attempt{{Kind: Plaintext, Outcome: Silent}, {Kind: TLS, ALPN: "istio", TLS: side, Outcome: Alerted},
			{Kind: TLS, Outcome: Closed}}, Permissive},
		{"application never answers", []Attempt{{Kind: Plaintext, Outcome: Silent}, {Kind: TLS, ALPN: "istio", TLS: side, Outcome: Alerted},
			{Kind: TLS, Outcome: Timeout}}, Unknown},
		{"istio alone was tried", []Attempt{{Kind: Plaintext, Outcome: Closed}, {Kind: TLS, ALPN: "istio", TLS: side, Outcome: Alerted}}, Unknown},
		{"plaintext passes, TLS for anybody", []Attempt{{Kind: Plaintext, Outcome: HTTP}, {Kind: TLS, TLS: &Handshake{Complete: true}, Outcome: HTTP}}, OtherTLS},
	}
	for _, tt := range tests {
		if got, why := judge(tt.attempts); got != tt.want {
			t.Errorf("%s: %s, want %s: %q", tt.name, got, tt.want, why)
		}
	}
}
