package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oarlock/oarlock/meshtest"
)

// A pair of files is read again when it changes, not more often than once in a while; what cannot be read leaves what was.
func TestCertificateRotation(t *testing.T) {
	root, dir := NewRoot(t), t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		files := &certFiles{}
		names := Certificate{CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem")}
		if _, err := files.keyPair(names); err == nil {
			t.Fatal("there is nothing to read yet")
		}
		first := root.Issue(t, Leaf{DNS: []string{"first"}})
		WritePair(t, dir, first)
		serial := func() string {
			pair, err := files.keyPair(names)
			if err != nil {
				return err.Error()
			}
			leaf, _ := x509.ParseCertificate(pair.Certificate[0])
			return leaf.DNSNames[0]
		}
		var labelled interface{ Label() string }
		if _, err := files.keyPair(names); !errors.As(err, &labelled) || labelled.Label() != "no_identity" {
			t.Errorf("within a moment after a failure: %v", err)
		}
		time.Sleep(recheck)
		if got := serial(); got != "first" {
			t.Fatalf("got %s", got)
		}
		WritePair(t, dir, root.Issue(t, Leaf{DNS: []string{"second"}}))
		if got := serial(); got != "first" {
			t.Errorf("read again at once: %s", got)
		}
		time.Sleep(recheck)
		if got := serial(); got != "second" {
			t.Errorf("not read again: %s", got)
		}
		// In the middle of a replacement key and certificate do not fit together.
		third := t.TempDir()
		WritePair(t, third, root.Issue(t, Leaf{DNS: []string{"third"}}))
		copyFile(t, third, dir, "cert.pem")
		time.Sleep(recheck)
		if got := serial(); got != "second" {
			t.Errorf("in the middle: %s", got)
		}
		copyFile(t, third, dir, "key.pem")
		time.Sleep(recheck)
		if got := serial(); got != "third" {
			t.Errorf("after it: %s", got)
		}
		os.Remove(names.KeyFile)
		time.Sleep(recheck)
		if got := serial(); got != "third" {
			t.Errorf("without its file: %s", got)
		}
	})
}

func copyFile(t testing.TB, from, to, name string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(from, name))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(to, name), b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// Roots follow their file too, and rubbish leaves those that were.
func TestRootRotation(t *testing.T) {
	old, fresh, file := NewRoot(t), NewRoot(t), filepath.Join(t.TempDir(), "roots.pem")
	pool := func(roots ...*Root) *x509.CertPool {
		out := x509.NewCertPool()
		for _, r := range roots {
			out.AddCert(r.Cert)
		}
		return out
	}
	synctest.Test(t, func(t *testing.T) {
		files := &certFiles{}
		if _, err := files.roots(file); err == nil {
			t.Error("no error without a file")
		}
		for _, step := range []struct {
			name  string
			write func()
			want  *x509.CertPool
		}{
			{"old", func() { old.WriteRoot(t, file) }, pool(old)},
			{"both", func() { old.WriteRoot(t, file, fresh) }, pool(old, fresh)},
			{"rubbish", func() { os.WriteFile(file, []byte("-----BEGIN"), 0o600) }, pool(old, fresh)},
			{"gone", func() { os.Remove(file) }, pool(old, fresh)},
			{"fresh", func() { fresh.WriteRoot(t, file) }, pool(fresh)},
		} {
			step.write()
			time.Sleep(recheck)
			if got, err := files.roots(file); err != nil || !got.Equal(step.want) {
				t.Errorf("%s: other roots than in the file, %v", step.name, err)
			}
		}
	})
}

// Which names a certificate has, and which are asked for.
func TestMatchNames(t *testing.T) {
	root := NewRoot(t)
	leaf := func(l Leaf) []*x509.Certificate {
		c, err := x509.ParseCertificate(root.Issue(t, l).Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		return []*x509.Certificate{c}
	}
	workload, site := leaf(Leaf{ID: apiID}), leaf(Leaf{DNS: []string{"*.example.org", "db.internal"}})
	for _, c := range []struct {
		name  string
		chain []*x509.Certificate
		want  []NameMatch
		label string // "" good
	}{
		{"nothing asked", nil, nil, ""},
		{"no certificate", nil, []NameMatch{{Value: "a"}}, "no_certificate"},
		{"URI", workload, []NameMatch{{Value: apiID}}, ""},
		{"second of two", workload, []NameMatch{{Value: webID}, {Value: apiID}}, ""},
		{"prefix", workload, []NameMatch{{Prefix: true, Value: "spiffe://cluster.local/ns/shop/"}}, ""},
		{"begin of a URI is not the URI", workload, []NameMatch{{Value: "spiffe://cluster.local/ns/shop"}}, "not_authorized"},
		{"other prefix", workload, []NameMatch{{Prefix: true, Value: "spiffe://cluster.local/ns/other/"}}, "not_authorized"},
		{"DNS", site, []NameMatch{{Value: "db.internal"}}, ""},
		{"wildcard", site, []NameMatch{{Value: "www.example.org"}}, ""},
		{"wildcard is one label", site, []NameMatch{{Value: "a.b.example.org"}}, "not_authorized"},
		{"wildcard is a label", site, []NameMatch{{Value: "example.org"}}, "not_authorized"},
		{"other DNS", site, []NameMatch{{Value: "example.net"}}, "not_authorized"},
		{"a prefix knows no wildcards", site, []NameMatch{{Prefix: true, Value: "www.example.org"}}, "not_authorized"},
	} {
		err := matchNames(c.chain, c.want)
		var l interface{ Label() string }
		if (err == nil) != (c.label == "") || err != nil && (!errors.As(err, &l) || l.Label() != c.label) {
			t.Errorf("%s: %v, want %q", c.name, err, c.label)
		}
	}
}

// Own and file certificates and roots in every mixture, by handshakes through newServerTLS and newClientTLS.
func TestTrustMixtures(t *testing.T) {
	mesh, site, dir := NewRoot(t), NewRoot(t), t.TempDir()
	cert := WritePair(t, dir, site.Issue(t, Leaf{DNS: []string{"api.example"}}))
	roots := Trust{RootFile: filepath.Join(dir, "roots.pem")}
	site.WriteRoot(t, roots.RootFile)
	meshRoots := Trust{RootFile: filepath.Join(dir, "mesh.pem")}
	mesh.WriteRoot(t, meshRoots.RootFile)
	own, ownTrust := Certificate{Own: true}, Trust{Own: true}
	api, web := mesh.Identity(t, apiID), mesh.Identity(t, webID)
	for _, c := range []struct {
		name   string
		server ServerTLS
		client ClientTLS
		works  bool
	}{
		{"own, own", ServerTLS{Certificate: own, Trust: ownTrust, Require: true}, ClientTLS{Certificate: own, Trust: ownTrust}, true},
		{"server of a file, own clients", ServerTLS{Certificate: cert, Trust: ownTrust, Require: true}, ClientTLS{Certificate: own, Trust: roots}, true},
		{"server of a file, client trusts its own", ServerTLS{Certificate: cert, Trust: ownTrust, Require: true}, ClientTLS{Certificate: own, Trust: ownTrust}, false},
		{"own server, clients of a file", ServerTLS{Certificate: own, Trust: roots, Require: true}, ClientTLS{Certificate: cert, Trust: ownTrust}, true},
		{"own server, own client, clients of a file wanted", ServerTLS{Certificate: own, Trust: roots, Require: true}, ClientTLS{Certificate: own, Trust: ownTrust}, false},
		{"files", ServerTLS{Certificate: cert, Trust: roots, Require: true}, ClientTLS{Certificate: cert, Trust: roots}, true},
		{"files and a name", ServerTLS{Certificate: cert, Trust: roots, Require: true, Peers: []NameMatch{{Value: "api.example"}}}, ClientTLS{Certificate: cert, Trust: roots, Peers: []NameMatch{{Value: "api.example"}}}, true},
		{"another name of a server", ServerTLS{Certificate: cert}, ClientTLS{Trust: roots, Peers: []NameMatch{{Value: "www.example"}}}, false},
		{"simple", ServerTLS{Certificate: cert}, ClientTLS{Trust: roots}, true},
		{"simple, believes any", ServerTLS{Certificate: own}, ClientTLS{}, true},
		{"simple, of a file", ServerTLS{Certificate: own}, ClientTLS{Trust: meshRoots}, true},
		{"simple, the machine's roots", ServerTLS{Certificate: cert}, ClientTLS{Trust: Trust{System: true}}, false},
		{"simple to mutual", ServerTLS{Certificate: cert, Trust: roots, Require: true}, ClientTLS{Trust: roots}, false},
		{"any certificate", ServerTLS{Certificate: cert, Require: true}, ClientTLS{Certificate: own, Trust: roots}, true},
		{"optional, none", ServerTLS{Certificate: cert, Trust: roots}, ClientTLS{Trust: roots}, true},
		{"optional, a wrong one", ServerTLS{Certificate: cert, Trust: roots}, ClientTLS{Certificate: own, Trust: roots}, false},
		{"client's files are missing", ServerTLS{Certificate: cert, Trust: roots, Require: true}, ClientTLS{Certificate: Certificate{CertFile: "/no", KeyFile: "/no"}, Trust: roots}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			meshtest.NoLeaks(t)
			s, client := New(Options{Identity: api}), New(Options{Identity: web})
			defer s.Close()
			defer client.Close()
			server, err := s.newServerTLS(&c.server)
			if err != nil {
				t.Fatal(err)
			}
			config, err := client.newClientTLS(&c.client)
			if err != nil {
				t.Fatal(err)
			}
			config.ServerName = "api.example"
			for turn := range 2 { // the second may resume
				here, there := tcpPair(t)
				over := make(chan struct{})
				go func() {
					defer close(over)
					tc := tls.Client(there, config)
					tc.SetDeadline(time.Now().Add(30 * time.Second))
					if tc.Handshake() == nil {
						io.WriteString(tc, "x")
						tc.Read(make([]byte, 1)) // takes the tickets
					}
					tc.Close()
				}()
				sc := tls.Server(here, server.config)
				sc.SetDeadline(time.Now().Add(30 * time.Second))
				_, err := io.ReadFull(sc, make([]byte, 1))
				if err == nil {
					_, err = io.WriteString(sc, "y")
				}
				if (err == nil) != c.works {
					t.Errorf("turn %d: %v, works = %v", turn, err, c.works)
				}
				if resumed := sc.ConnectionState().DidResume; turn == 1 && c.works && !resumed {
					t.Errorf("the second connection does not resume")
				}
				here.Close()
				<-over
			}
		})
	}
}

// A session is not resumed when the roots that believed its client are gone, and a server tells replicas apart: the ticket
// of another is worth a full handshake, and not an error.
func TestResumption(t *testing.T) {
	old, fresh, dir := NewRoot(t), NewRoot(t), t.TempDir()
	roots := filepath.Join(dir, "roots.pem")
	old.WriteRoot(t, roots)
	cert := WritePair(t, dir, old.Issue(t, Leaf{DNS: []string{"api.example"}}))
	pair, err := tls.LoadX509KeyPair(cert.CertFile, cert.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	p := New(Options{})
	defer p.Close()
	server := func(alpn ...string) *tls.Config {
		s, err := p.newServerTLS(&ServerTLS{Certificate: cert, Trust: Trust{RootFile: roots}, Require: true, ALPN: alpn})
		if err != nil {
			t.Fatal(err)
		}
		return s.config
	}
	one, other, spoken := server(), server(), server("h2")
	client := &tls.Config{InsecureSkipVerify: true, ServerName: "api.example", Certificates: []tls.Certificate{pair}, ClientSessionCache: tls.NewLRUClientSessionCache(4), NextProtos: []string{"istio"}}
	connect := func(config *tls.Config) (resumed bool, err error) {
		here, there := tcpPair(t)
		defer here.Close()
		result := make(chan error, 1)
		go func() {
			s := tls.Server(here, config)
			s.SetDeadline(time.Now().Add(30 * time.Second))
			_, err := io.ReadFull(s, make([]byte, 1))
			io.WriteString(s, "y")
			s.CloseWrite()
			result <- err
		}()
		c := tls.Client(there, client)
		c.SetDeadline(time.Now().Add(30 * time.Second))
		io.WriteString(c, "x")
		io.ReadAll(c)
		return c.ConnectionState().DidResume, <-result
	}
	for _, step := range []struct {
		name    string
		config  *tls.Config
		prepare func()
		resumed bool
		works   bool
	}{
		{"first", one, nil, false, true},
		{"again", one, nil, true, true},
		{"another replica", other, nil, false, true},
		{"that one again", other, nil, true, true},
		{"no protocol in common", spoken, nil, false, true},
		{"again without one", spoken, nil, true, true},
		{"roots are gone", spoken, func() { fresh.WriteRoot(t, roots); time.Sleep(recheck + 50*time.Millisecond) }, true, false},
	} {
		if step.prepare != nil {
			step.prepare()
		}
		resumed, err := connect(step.config)
		if (err == nil) != step.works || step.works && resumed != step.resumed {
			t.Errorf("%s: resumed %v, %v; want %v, works %v", step.name, resumed, err, step.resumed, step.works)
		}
	}
}

// What a context wants that this proxy does not have is an error when it is built, and not with each handshake.
func TestContextsWithoutIdentity(t *testing.T) {
	p := New(Options{})
	defer p.Close()
	for name, s := range map[string]ServerTLS{
		"trust": {Trust: Trust{Own: true}}, "certificate": {Certificate: Certificate{Own: true}}, "none": {},
	} {
		if _, err := p.newServerTLS(&s); err == nil {
			t.Errorf("server, %s: no error", name)
		}
	}
	for name, c := range map[string]ClientTLS{
		"trust": {Trust: Trust{Own: true}}, "certificate": {Certificate: Certificate{Own: true}, Trust: Trust{System: true}},
	} {
		if _, err := p.newClientTLS(&c); !errors.Is(err, errNoIdentity) {
			t.Errorf("client, %s: %v", name, err)
		}
	}
}

// Names and numbers as Envoy writes them, and what a certificate tells of its bearer.
func TestTLSNames(t *testing.T) {
	for id, want := range map[uint16]string{
		tls.TLS_AES_128_GCM_SHA256:                        "TLS_AES_128_GCM_SHA256",
		tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256:         "ECDHE-RSA-AES128-GCM-SHA256",
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384:       "ECDHE-ECDSA-AES256-GCM-SHA384",
		tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256:   "ECDHE-RSA-CHACHA20-POLY1305",
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA:          "ECDHE-ECDSA-AES128-SHA",
		tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256: "ECDHE-ECDSA-CHACHA20-POLY1305",
	} {
		if got := cipherName(id); got != want {
			t.Errorf("cipher %x is %s, want %s", id, got, want)
		}
	}
	if a, b := versionName(tls.VersionTLS12), versionName(tls.VersionTLS13); a+b != "TLSv1.2TLSv1.3" {
		t.Errorf("versions %s, %s", a, b)
	}
	root := NewRoot(t)
	for id, want := range map[string]Peer{
		apiID:                            {Principal: apiID, Namespace: "shop"},
		"spiffe://td/other/shape":        {Principal: "spiffe://td/other/shape"},
		"spiffe://td/ns/a/sa/b/and/more": {Principal: "spiffe://td/ns/a/sa/b/and/more"},
		"https://example.org/ns/a/sa/b":  {Principal: "https://example.org/ns/a/sa/b"},
		"":                               {},
	} {
		leaf, err := x509.ParseCertificate(root.Issue(t, Leaf{ID: id}).Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		if got := peerOf(&tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}}); got != want {
			t.Errorf("%q is %+v, want %+v", id, got, want)
		}
	}
}

// openssl is a client and a server that we did not write.
func TestOpenSSL(t *testing.T) {
	openssl := meshtest.Require(t, "openssl", "openssl")
	w, dir := newTLSWorld(t), t.TempDir()
	w.root.WriteRoot(t, filepath.Join(dir, "roots.pem"))
	for _, leaf := range []string{"good", "foreign"} {
		sub := filepath.Join(dir, leaf)
		if err := os.Mkdir(sub, 0o700); err != nil {
			t.Fatal(err)
		}
		WritePair(t, sub, w.leaves[leaf])
	}
	p := New(Options{Identity: w.root.Identity(t, apiID)})
	defer p.Close()
	server, err := p.newServerTLS(&ServerTLS{Certificate: Certificate{Own: true}, Trust: Trust{Own: true}, Require: true, ALPN: []string{"h2", "http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	pair := func(leaf string) []string {
		return []string{"-cert", filepath.Join(dir, leaf, "cert.pem"), "-key", filepath.Join(dir, leaf, "key.pem")}
	}
	for _, c := range []struct {
		name  string
		args  []string
		cause string
	}{
		{"1.3", append(pair("good"), "-tls1_3"), ""},
		{"1.2", append(pair("good"), "-tls1_2"), ""},
		{"ALPN", append(pair("good"), "-alpn", "istio"), ""},
		{"no certificate, 1.2", []string{"-tls1_2"}, "no-client-certificate"},
		{"no certificate, 1.3", []string{"-tls1_3"}, "no-client-certificate"},
		{"foreign, 1.3", append(pair("foreign"), "-tls1_3"), "unknown-ca"},
		{"foreign, 1.2", append(pair("foreign"), "-tls1_2"), "unknown-ca"},
		// Its TLS 1.3 sends this alert in plaintext, which crypto/tls cannot read.
		{"does not believe us", append(pair("good"), "-tls1_2", "-verify_return_error", "-CAfile", filepath.Join(dir, "foreign", "cert.pem")), "unknown-ca"},
		{"believes us", append(pair("good"), "-verify_return_error", "-CAfile", filepath.Join(dir, "roots.pem")), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			out := startProgram(t, openssl, append([]string{"s_client", "-connect", l.Addr().String(), "-quiet"}, c.args...), "ping\n")
			l.(*net.TCPListener).SetDeadline(time.Now().Add(30 * time.Second))
			conn, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			s := tls.Server(conn, server.config)
			s.SetDeadline(time.Now().Add(30 * time.Second))
			line := make([]byte, 5)
			_, err = io.ReadFull(s, line)
			if err == nil {
				io.WriteString(s, "pong\n")
			}
			s.CloseWrite()
			conn.Close()
			text := out()
			if c.cause == "" {
				if err != nil || string(line) != "ping\n" || !strings.Contains(text, "pong") {
					t.Errorf("read %q, %v; it says %q", line, err, text)
				}
				return
			}
			if err == nil {
				t.Fatal("it works")
			}
			if f := downstreamFailure(err, nil); f.cause != c.cause {
				t.Errorf("%v is %+v, want %s", err, f, c.cause)
			}
		})
	}
}
