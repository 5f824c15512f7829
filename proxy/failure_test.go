package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/oarlock/oarlock/metrics"
)

const (
	apiID = "spiffe://cluster.local/ns/shop/sa/api"
	webID = "spiffe://cluster.local/ns/front/sa/web"
)

// A tlsWorld is what handshakes fail over: our root, a foreign one, and certificates of both.
type tlsWorld struct {
	root, foreign *Root
	leaves        map[string]tls.Certificate
}

func newTLSWorld(t testing.TB) *tlsWorld {
	w := &tlsWorld{root: NewRoot(t), foreign: NewRoot(t)}
	w.leaves = map[string]tls.Certificate{
		"good":    w.root.Issue(t, Leaf{ID: webID}),
		"api":     w.root.Issue(t, Leaf{ID: apiID}),
		"foreign": w.foreign.Issue(t, Leaf{ID: webID}),
		"domain":  w.root.Issue(t, Leaf{ID: "spiffe://elsewhere.example/ns/front/sa/web"}),
		"expired": w.root.Issue(t, Leaf{ID: webID, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Minute)}),
		"early":   w.root.Issue(t, Leaf{ID: webID, NotBefore: time.Now().Add(time.Minute)}),
		"no id":   w.root.Issue(t, Leaf{DNS: []string{"web.example"}}),
	}
	return w
}

// patience is how long our side waits in a handshake that fails for a cause.
func patience(cause string) time.Duration {
	if cause == metrics.CauseTimeout {
		return 300 * time.Millisecond
	}
	return 30 * time.Second
}

// shake has a client do something with one connection that our server takes, and gives our error. The rest of the
// connection is read, so that alerts arrive.
func shake(t *testing.T, patience time.Duration, server *tls.Config, client func(net.Conn)) error {
	t.Helper()
	here, there := tcpPair(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		there.SetDeadline(time.Now().Add(30 * time.Second))
		client(there)
		there.Close()
	}()
	c := tls.Server(here, server)
	c.SetDeadline(time.Now().Add(patience))
	err := c.Handshake()
	if err == nil {
		_, err = c.Read(make([]byte, 1)) // a client's alert comes after the handshake in TLS 1.3
		if err == io.EOF {
			err = nil
		}
	}
	here.Close()
	<-done
	return err
}

// tlsClient is a client that speaks TLS as change has it.
func tlsClient(change func(*tls.Config)) func(net.Conn) {
	return func(c net.Conn) {
		config := &tls.Config{InsecureSkipVerify: true, ServerName: "api"}
		change(config)
		t := tls.Client(c, config)
		if t.Handshake() == nil {
			t.CloseWrite()
			t.Read(make([]byte, 1))
		}
	}
}

// with presents a certificate without asking whether the server would like it.
func with(pair tls.Certificate, version uint16) func(net.Conn) {
	return tlsClient(func(c *tls.Config) {
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
		c.MaxVersion = version
	})
}

var bothVersions = map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}

// Why a client is refused, or gives up, is named by our side from its own error.
func TestDownstreamCauses(t *testing.T) {
	w := newTLSWorld(t)
	p := New(Options{Identity: w.root.Identity(t, apiID)})
	defer p.Close()
	peers := []NameMatch{{Prefix: true, Value: "spiffe://cluster.local/"}}
	strict := func() *ServerTLS {
		return &ServerTLS{Certificate: Certificate{Own: true}, Trust: Trust{Own: true}, Require: true, Peers: peers, ALPN: []string{"h2", "http/1.1"}}
	}
	reject := func(alert error) func(v uint16) func(net.Conn) {
		return func(v uint16) func(net.Conn) {
			return tlsClient(func(c *tls.Config) {
				pair := w.leaves["good"]
				c.Certificates, c.MaxVersion = []tls.Certificate{pair}, v
				c.VerifyConnection = func(tls.ConnectionState) error { return alert }
			})
		}
	}
	say := func(text string) func(uint16) func(net.Conn) {
		return func(uint16) func(net.Conn) {
			return func(c net.Conn) { io.WriteString(c, text); c.(*net.TCPConn).CloseWrite(); io.Copy(io.Discard, c) }
		}
	}
	leaf := func(name string) func(uint16) func(net.Conn) {
		return func(v uint16) func(net.Conn) { return with(w.leaves[name], v) }
	}
	for _, c := range []struct {
		name   string
		change func(*ServerTLS)
		client func(version uint16) func(net.Conn)
		cause  string // "" no failure
		text   string
		peer   string
	}{
		{"good", nil, leaf("good"), "", "", ""},
		{"no certificate", nil, func(v uint16) func(net.Conn) { return tlsClient(func(c *tls.Config) { c.MaxVersion = v }) },
			metrics.CauseNoClientCertificate, "|268435648:SSL routines:OPENSSL_internal:PEER_DID_NOT_RETURN_A_CERTIFICATE:", ""},
		{"other authority", nil, leaf("foreign"), metrics.CauseUnknownCA, "|268435581:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:", webID},
		{"other trust domain", nil, leaf("domain"), metrics.CauseWrongTrustDomain, "CERTIFICATE_VERIFY_FAILED", "spiffe://elsewhere.example/ns/front/sa/web"},
		{"expired", nil, leaf("expired"), metrics.CauseExpired, "certificate has expired", webID},
		{"not yet valid", nil, leaf("early"), metrics.CauseNotYetValid, "certificate is not yet valid", webID},
		{"no SPIFFE ID", nil, leaf("no id"), metrics.CauseBadCertificate, "certificate is not usable", ""},
		{"name not allowed", func(s *ServerTLS) { s.Peers = []NameMatch{{Value: apiID}} }, leaf("good"), metrics.CauseSANMismatch, "SAN matcher", webID},
		{"only another domain allowed", func(s *ServerTLS) { s.Peers = []NameMatch{{Prefix: true, Value: "spiffe://other/"}} }, leaf("good"), metrics.CauseWrongTrustDomain, "SAN matcher", webID},
		{"no name is asked for", func(s *ServerTLS) { s.Peers = nil }, leaf("good"), "", "", ""},
		{"optional, none", func(s *ServerTLS) { s.Require = false }, func(v uint16) func(net.Conn) { return tlsClient(func(c *tls.Config) { c.MaxVersion = v }) }, "", "", ""},
		{"optional, bad one", func(s *ServerTLS) { s.Require = false }, leaf("foreign"), metrics.CauseUnknownCA, "CERTIFICATE_VERIFY_FAILED", webID},
		{"text", nil, say("GET / HTTP/1.1\r\n\r\n"), metrics.CausePlaintextToTLS, "|268435612:SSL routines:OPENSSL_internal:HTTP_REQUEST:", ""},
		{"nothing", nil, say(""), metrics.CauseClosed, "", ""},
		{"cut hello", nil, say("\x16\x03\x01\x02\x00\x01\x00\x01\xfc"), metrics.CauseClosed, "", ""},
		{"silence", nil, func(uint16) func(net.Conn) { return func(c net.Conn) { c.Read(make([]byte, 1)) } }, metrics.CauseTimeout, "", ""},
		{"reset", nil, func(uint16) func(net.Conn) {
			return func(c net.Conn) { io.WriteString(c, "\x16"); c.(*net.TCPConn).SetLinger(0) }
		}, metrics.CauseReset, "", ""},
		{"client does not believe us", nil, func(v uint16) func(net.Conn) {
			return tlsClient(func(c *tls.Config) { c.InsecureSkipVerify, c.MaxVersion, c.RootCAs = false, v, x509.NewCertPool() })
		}, metrics.CauseRefusedByPeer, "SSLV3_ALERT_BAD_CERTIFICATE", ""},
		{"client gives up", nil, reject(errors.New("no")), metrics.CauseRefusedByPeer, "SSLV3_ALERT_BAD_CERTIFICATE", ""},
	} {
		for name, version := range bothVersions {
			t.Run(c.name+"/"+name, func(t *testing.T) {
				config := strict()
				if c.change != nil {
					c.change(config)
				}
				server, err := p.newServerTLS(config)
				if err != nil {
					t.Fatal(err)
				}
				err = shake(t, patience(c.cause), server.config, c.client(version))
				if c.cause == "" {
					if err != nil {
						t.Errorf("it fails: %v", err)
					}
					return
				}
				if err == nil {
					t.Fatal("it works")
				}
				f := downstreamFailure(err, config.Peers)
				if f.cause != c.cause || !strings.Contains(f.text, c.text) || c.text == "" != (f.text == "") || f.peer != c.peer {
					t.Errorf("%v is %+v, want %s, %q of %q", err, f, c.cause, c.text, c.peer)
				}
			})
		}
	}
}

// What the two sides cannot agree on: versions and cipher suites. ALPN is no reason to fail.
func TestParameters(t *testing.T) {
	w := newTLSWorld(t)
	p := New(Options{Identity: w.root.Identity(t, apiID)})
	defer p.Close()
	for _, c := range []struct {
		name   string
		server ServerTLS
		client func(*tls.Config)
		cause  string
		text   string
	}{
		{"1.3 at least, client has 1.2", ServerTLS{MinVersion: tls.VersionTLS13}, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, metrics.CauseVersion, "|268435696:SSL routines:OPENSSL_internal:UNSUPPORTED_PROTOCOL:"},
		{"1.2 at most, client has 1.3", ServerTLS{MaxVersion: tls.VersionTLS12}, func(c *tls.Config) { c.MinVersion = tls.VersionTLS13 }, metrics.CauseVersion, "UNSUPPORTED_PROTOCOL"},
		{"1.2 by default, client has 1.1", ServerTLS{}, func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }, metrics.CauseVersion, "UNSUPPORTED_PROTOCOL"},
		{"1.3 at least, client has both", ServerTLS{MinVersion: tls.VersionTLS13}, func(*tls.Config) {}, "", ""},
		{"no suite in common", ServerTLS{CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384}}, func(c *tls.Config) {
			c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}
		}, metrics.CauseCipher, "|268435640:SSL routines:OPENSSL_internal:NO_SHARED_CIPHER:"},
		{"a suite in common", ServerTLS{CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384}}, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, "", ""},
		{"suites are of 1.2", ServerTLS{CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384}}, func(c *tls.Config) {
			c.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}
		}, "", ""},
		{"no protocol in common", ServerTLS{ALPN: []string{"h2"}}, func(c *tls.Config) { c.NextProtos = []string{"istio"} }, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.server.Certificate, c.server.Trust = Certificate{Own: true}, Trust{Own: true}
			server, err := p.newServerTLS(&c.server)
			if err != nil {
				t.Fatal(err)
			}
			err = shake(t, patience(c.cause), server.config, tlsClient(c.client))
			if (err == nil) != (c.cause == "") {
				t.Fatalf("error %v, want %q", err, c.cause)
			}
			if err == nil {
				return
			}
			if f := downstreamFailure(err, nil); f.cause != c.cause || !strings.Contains(f.text, c.text) {
				t.Errorf("%v is %+v, want %s, %q", err, f, c.cause, c.text)
			}
		})
	}
}

// A server that a test makes: it accepts, and does what it likes with each connection.
func accepting(t *testing.T, do func(net.Conn)) net.Addr {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.SetDeadline(time.Now().Add(30 * time.Second))
			do(c)
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr()
}

// Why our handshake with a server failed, in the error, the log's words and the count. With TLS 1.3 a server's verdict on
// our certificate comes with the first read.
func TestUpstreamCauses(t *testing.T) {
	w := newTLSWorld(t)
	own := w.root.Identity(t, webID)
	pool := x509.NewCertPool()
	pool.AddCert(w.root.Cert)
	serve := func(leaf string, change func(*tls.Config)) func(uint16) func(net.Conn) {
		return func(v uint16) func(net.Conn) {
			config := &tls.Config{Certificates: []tls.Certificate{w.leaves[leaf]}, MaxVersion: v}
			if change != nil {
				change(config)
			}
			return func(c net.Conn) {
				s := tls.Server(c, config)
				if s.Handshake() == nil {
					s.Read(make([]byte, 1))
				}
				c.(*net.TCPConn).CloseWrite()
				io.Copy(io.Discard, c)
			}
		}
	}
	say := func(text string) func(uint16) func(net.Conn) {
		return func(uint16) func(net.Conn) {
			return func(c net.Conn) {
				c.Read(make([]byte, 4096))
				io.WriteString(c, text)
				c.(*net.TCPConn).CloseWrite()
				io.Copy(io.Discard, c)
			}
		}
	}
	demand := func(c *tls.Config) { c.ClientAuth = tls.RequireAnyClientCert }
	mutual := ClientTLS{Certificate: Certificate{Own: true}, Trust: Trust{Own: true}}
	named := mutual
	named.Peers = []NameMatch{{Value: "spiffe://cluster.local/ns/shop/sa/other"}}
	for _, c := range []struct {
		name   string
		client ClientTLS
		server func(uint16) func(net.Conn)
		cause  string
		text   string
	}{
		{"good", mutual, serve("api", demand), "", ""},
		{"other authority", mutual, serve("foreign", nil), metrics.CauseUnknownCA, "unable to get local issuer certificate"},
		{"other trust domain", mutual, serve("domain", nil), metrics.CauseWrongTrustDomain, "CERTIFICATE_VERIFY_FAILED"},
		{"expired", mutual, serve("expired", nil), metrics.CauseExpired, "certificate has expired"},
		{"not yet valid", mutual, serve("early", nil), metrics.CauseNotYetValid, "certificate is not yet valid"},
		{"no SPIFFE ID", mutual, serve("no id", nil), metrics.CauseBadCertificate, "certificate is not usable"},
		{"other name", named, serve("api", nil), metrics.CauseSANMismatch, "|268435581:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:verify cert failed: SAN matcher:"},
		{"text", mutual, say("HTTP/1.1 400 Bad Request\r\n\r\n"), metrics.CauseTLSToPlaintext, "|268435703:SSL routines:OPENSSL_internal:WRONG_VERSION_NUMBER:"},
		{"the end", mutual, say(""), metrics.CauseClosed, ""},
		{"silence", mutual, func(uint16) func(net.Conn) { return func(c net.Conn) { io.Copy(io.Discard, c) } }, metrics.CauseTimeout, ""},
		{"reset", mutual, func(uint16) func(net.Conn) {
			return func(c net.Conn) { c.Read(make([]byte, 1)); c.(*net.TCPConn).SetLinger(0) }
		}, metrics.CauseReset, ""},
		{"our certificate is missing", ClientTLS{Trust: Trust{Own: true}}, serve("api", demand), metrics.CauseRefusedByPeer, "ALERT_"},
		{"our certificate is not believed", mutual, serve("api", func(c *tls.Config) {
			c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
		}), metrics.CauseUnknownCA, "|268436504:SSL routines:OPENSSL_internal:TLSV1_ALERT_UNKNOWN_CA:"},
		{"server wants 1.3", ClientTLS{Certificate: Certificate{Own: true}, Trust: Trust{Own: true}, MaxVersion: tls.VersionTLS12},
			serve("api", func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS13, 0 }), metrics.CauseVersion, "|268436526:SSL routines:OPENSSL_internal:TLSV1_ALERT_PROTOCOL_VERSION:"},
		{"no protocol in common", ClientTLS{Certificate: Certificate{Own: true}, Trust: Trust{Own: true}, ALPN: []string{"istio"}},
			serve("api", func(c *tls.Config) { c.NextProtos = []string{"h2"} }), metrics.CauseALPN, "NO_APPLICATION_PROTOCOL"},
	} {
		for name, version := range bothVersions {
			t.Run(c.name+"/"+name, func(t *testing.T) {
				at := addrPort(accepting(t, c.server(version)))
				p := New(Options{Identity: own})
				defer p.Close()
				apply(t, p, &Cluster{Name: "c", TLS: &c.client, ConnectTimeout: patience(c.cause), Endpoints: []Endpoint{{Address: at}}})
				e := (*p.state.Load().clusters["c"].members.Load())[0]
				if !e.core.reserve(e.pool, alpnOwn) {
					t.Fatal("no place")
				}
				u, uerr := e.dialReserved(t.Context(), alpnOwn)
				if c.cause == "" {
					if uerr != nil {
						t.Fatalf("it fails: %v", uerr)
					}
					if u.peerID != apiID || u.tls.Version != version {
						t.Errorf("server %q, version %x", u.peerID, u.tls.Version)
					}
					u.close()
					return
				}
				var f tlsFailure
				if uerr == nil {
					defer u.close()
					u.conn.SetDeadline(time.Now().Add(30 * time.Second))
					_, err := u.conn.Read(make([]byte, 1))
					var ok bool
					if f, ok = remoteAlert(err); !ok || version != tls.VersionTLS13 {
						t.Fatalf("the handshake works, and then %v", err)
					}
				} else {
					f = upstreamFailure(uerr.Unwrap())
					if f.text != uerr.Transport {
						t.Errorf("the log has %q", uerr.Transport)
					}
				}
				if c.cause == metrics.CauseRefusedByPeer && version == tls.VersionTLS13 && f.cause == metrics.CauseNoClientCertificate {
					return // TLS 1.3 has an alert of its own for it
				}
				if f.cause != c.cause || !strings.Contains(f.text, c.text) || c.text == "" != (f.text == "") {
					t.Errorf("%+v, want %s, %q", f, c.cause, c.text)
				}
			})
		}
	}
}

// Every alert has a number, Envoy's words and a cause; one that nobody knows is a refusal in its own words.
func TestAlerts(t *testing.T) {
	for text, want := range map[string]string{
		"tls: bad certificate":                "refused-by-peer 268436498 SSLV3_ALERT_BAD_CERTIFICATE",
		"tls: expired certificate":            "expired 268436501 SSLV3_ALERT_CERTIFICATE_EXPIRED",
		"tls: unknown certificate":            "refused-by-peer 268436502 SSLV3_ALERT_CERTIFICATE_UNKNOWN",
		"tls: unknown certificate authority":  "unknown-ca 268436504 TLSV1_ALERT_UNKNOWN_CA",
		"tls: protocol version not supported": "version 268436526 TLSV1_ALERT_PROTOCOL_VERSION",
		"tls: certificate required":           "no-client-certificate 268436572 TLSV1_ALERT_CERTIFICATE_REQUIRED",
		"tls: no application protocol":        "alpn 268436576 TLSV1_ALERT_NO_APPLICATION_PROTOCOL",
		"tls: insufficient security level":    "cipher 268436527 TLSV1_ALERT_INSUFFICIENT_SECURITY",
		"tls: of the year 2050":               "refused-by-peer 268436456 OF_THE_YEAR_2050",
	} {
		f, ok := remoteAlert(&net.OpError{Op: "remote error", Err: errors.New(text)})
		parts := strings.SplitN(want, " ", 3)
		if !ok || f.cause != parts[0] || f.text != "TLS_error:|"+parts[1]+":SSL routines:OPENSSL_internal:"+parts[2]+":TLS_error_end" {
			t.Errorf("%s: %+v, want %s", text, f, want)
		}
	}
	if _, ok := remoteAlert(&net.OpError{Op: "read", Err: errors.New("tls: bad certificate")}); ok {
		t.Error("an error of reading is taken for an alert")
	}
}
