package svid

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/oarlock/oarlock/meshtest"
)

// shake makes a connection, sends a byte each way and gives what both ends saw.
func shake(client, server *tls.Config) (cs tls.ConnectionState, clientErr, serverErr error) {
	here, there := meshtest.Pipe()
	c, s := tls.Client(here, client), tls.Server(there, server)
	var wait sync.WaitGroup
	wait.Go(func() {
		if serverErr = s.Handshake(); serverErr == nil {
			b := make([]byte, 1)
			if _, serverErr = s.Read(b); serverErr == nil {
				_, serverErr = s.Write(b)
			}
		}
		_ = there.Close()
	})
	if clientErr = c.Handshake(); clientErr == nil {
		if _, clientErr = c.Write([]byte("x")); clientErr == nil {
			_, clientErr = c.Read(make([]byte, 1)) // takes in session tickets, too
		}
	}
	_ = here.Close()
	wait.Wait()
	return c.ConnectionState(), clientErr, serverErr
}

func version(c *tls.Config, v uint16) *tls.Config {
	c = c.Clone()
	c.MaxVersion = v
	return c
}

var versions = map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13}

// TestHandshake lets two workloads of our authority talk over loopback.
func TestHandshake(t *testing.T) {
	meshtest.NoLeaks(t)
	c := meshtest.NewCA(t, nil, 0)
	_, obtainWeb := clientOf(c, nil, "web")
	_, obtainAPI := clientOf(c, nil, "api")
	web, api := openSource(t, obtainWeb, Options{}), openSource(t, obtainAPI, Options{})
	for name, v := range versions {
		t.Run(name, func(t *testing.T) {
			client, server := version(web.ClientConfig(spiffeid.MatchID(api.State().ID)), v), api.ServerConfig(spiffeid.MatchID(web.State().ID))
			cs, cErr, sErr := shake(client, server)
			if cErr != nil || sErr != nil || cs.DidResume || cs.Version != v {
				t.Fatalf("client %v, server %v, state %+v", cErr, sErr, cs)
			}
			cs, cErr, sErr = shake(client, server)
			if cErr != nil || sErr != nil || !cs.DidResume {
				t.Errorf("not resumed: client %v, server %v", cErr, sErr)
			}
			// Who may be here is asked on resumption too.
			server.VerifyConnection = api.ServerConfig(spiffeid.MatchID(api.State().ID)).VerifyConnection
			_, _, sErr = shake(client, server)
			if bad := (*PeerError)(nil); !errors.As(sErr, &bad) || bad.Cause != NotAuthorized || bad.ID != web.State().ID {
				t.Errorf("server %v", sErr)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	r, other := newRogue(t), newRogue(t)
	alias := spiffeid.RequireTrustDomainFromString("old.example.org")
	good := openSource(t, obtains(r.material(nil)), Options{Aliases: []spiffeid.TrustDomain{alias}})
	in := func(domain string) func(*x509.Certificate) {
		return func(c *x509.Certificate) {
			c.URIs = []*url.URL{{Scheme: "spiffe", Host: domain, Path: "/ns/default/sa/web"}}
		}
	}
	tests := []struct {
		name string
		from *rogue
		edit func(*x509.Certificate)
		who  spiffeid.Matcher
		want Cause
	}{
		{"good", r, nil, spiffeid.MatchMemberOf(td), CauseNone},
		{"of an alias", r, in("old.example.org"), spiffeid.MatchMemberOf(alias), CauseNone},
		{"expired", r, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }, spiffeid.MatchAny(), Expired},
		{"not yet valid", r, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) }, spiffeid.MatchAny(), NotYetValid},
		{"of another authority", other, nil, spiffeid.MatchAny(), UnknownAuthority},
		{"of another trust domain", r, in("example.com"), spiffeid.MatchAny(), OtherTrustDomain},
		{"without a URI", r, func(c *x509.Certificate) { c.URIs = nil; c.DNSNames = []string{"web"} }, spiffeid.MatchAny(), NotSPIFFE},
		{"with two URIs", r, func(c *x509.Certificate) { c.URIs = append(c.URIs, c.URIs[0]) }, spiffeid.MatchAny(), NotSPIFFE},
		{"with a web address", r, func(c *x509.Certificate) { c.URIs[0].Scheme = "https" }, spiffeid.MatchAny(), NotSPIFFE},
		{"an authority's own", r, func(c *x509.Certificate) { c.IsCA = true }, spiffeid.MatchAny(), BadCertificate},
		{"of somebody else", r, nil, spiffeid.MatchID(spiffeid.RequireFromString("spiffe://cluster.local/ns/default/sa/api")), NotAuthorized},
	}
	for _, tt := range tests {
		for name, v := range versions {
			t.Run(tt.name+"/"+name, func(t *testing.T) {
				cert, key := tt.from.issue(tt.edit)
				pair := tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}
				plain := &tls.Config{Certificates: []tls.Certificate{pair}, InsecureSkipVerify: true, MaxVersion: v, ClientAuth: tls.RequestClientCert}
				_, _, asClient := shake(plain, good.ServerConfig(tt.who))
				_, asServer, _ := shake(good.ClientConfig(tt.who), plain)
				for side, err := range map[string]error{"client": asClient, "server": asServer} {
					bad := (*PeerError)(nil)
					if tt.want == CauseNone {
						if err != nil {
							t.Errorf("as %s: %v", side, err)
						}
					} else if !errors.As(err, &bad) || bad.Cause != tt.want || bad.Err == nil {
						t.Errorf("as %s: %v, want %v", side, err, tt.want)
					}
				}
			})
		}
	}
	if _, err := good.Verify(nil, spiffeid.MatchAny()); err.(*PeerError).Cause != NoCertificate {
		t.Errorf("no certificate gives %v", err)
	}
	_, _, err := shake(&tls.Config{InsecureSkipVerify: true}, good.ServerConfig(spiffeid.MatchAny()))
	if err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a client without a certificate gives %v", err)
	}
	if _, err := good.GetX509BundleForTrustDomain(spiffeid.RequireTrustDomainFromString("x")); err == nil {
		t.Error("there is a bundle for any trust domain")
	}
}

// TestResumedSVIDsExpire: a session must not carry an identity further than its certificate.
func TestResumedSVIDsExpire(t *testing.T) {
	for name, v := range versions {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				lis := meshtest.NewPipeListener()
				c := meshtest.NewCA(t, lis, time.Hour)
				_, obtain := clientOf(c, lis, "web")
				s := openSource(t, obtain, Options{})
				server := s.ServerConfig(spiffeid.MatchAny())
				stale := version(s.ClientConfig(spiffeid.MatchAny()), v)
				cert, err := s.GetClientCertificate(nil)
				if err != nil {
					t.Fatal(err)
				}
				stale.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
				if _, cErr, sErr := shake(stale, server); cErr != nil || sErr != nil {
					t.Fatal(cErr, sErr)
				}
				time.Sleep(30 * time.Minute)
				if cs, cErr, sErr := shake(stale, server); cErr != nil || sErr != nil || !cs.DidResume {
					t.Errorf("after half an hour: resumed %v, %v, %v", cs.DidResume, cErr, sErr)
				}
				time.Sleep(40 * time.Minute)
				_, _, sErr := shake(stale, server)
				if bad := (*PeerError)(nil); !errors.As(sErr, &bad) || bad.Cause != Expired {
					t.Errorf("after it expired the server says %v", sErr)
				}
			})
		})
	}
}

// TestRotationLosesNothing rotates the authority's root under sources that talk to each other all the time, on new and on
// resumed connections. The file that they believe the authority by is never written again.
func TestRotationLosesNothing(t *testing.T) {
	for name, v := range versions {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const ttl = 24 * time.Hour
				lis := meshtest.NewPipeListener()
				c := meshtest.NewCA(t, lis, ttl)
				_, obtainWeb := clientOf(c, lis, "web")
				_, obtainAPI := clientOf(c, lis, "api")
				web, api := openSource(t, obtainWeb, Options{}), openSource(t, obtainAPI, Options{})
				ctx, cancel := context.WithCancel(t.Context())
				var wait sync.WaitGroup
				wait.Go(func() { c.Authority.Run(ctx) })
				client, server := version(web.ClientConfig(spiffeid.MatchMemberOf(td)), v), api.ServerConfig(spiffeid.MatchMemberOf(td))
				first := c.Authority.Status().Slots[0].Fingerprint
				resumed, full := 0, 0
				for i := range 10 * 24 * 2 {
					if i == 24 {
						if err := c.Authority.Rotate(); err != nil {
							t.Fatal(err)
						}
					}
					cs, cErr, sErr := shake(client, server)
					if cErr != nil || sErr != nil {
						t.Fatalf("half-hour %d: client %v, server %v, authorities %+v", i, cErr, sErr, c.Authority.Status().Slots)
					}
					if cs.DidResume {
						resumed++
					} else {
						full++
					}
					time.Sleep(30 * time.Minute)
				}
				cancel()
				wait.Wait()
				if s := c.Authority.Status(); len(s.Slots) != 1 || s.Slots[0].Fingerprint == first || len(web.State().Roots) != 1 {
					t.Errorf("the rotation is not through: %+v, %d roots", s, len(web.State().Roots))
				}
				if full < 3 || resumed < 10*full {
					t.Errorf("%d full handshakes, %d resumed", full, resumed)
				}
			})
		})
	}
}

// soon is a material after which the next is asked for at once.
func soon(m *Material) *Material {
	out := *m
	out.Again = 10 * time.Millisecond
	return &out
}

// TestTicketsOfAnotherBundle: without our own handling of tickets, a session from before a change of trust would fail.
func TestTicketsOfAnotherBundle(t *testing.T) {
	one, two := newRogue(t), newRogue(t)
	m := one.material(nil)
	var mu sync.Mutex
	s := openSource(t, func(context.Context) (*Material, error) {
		mu.Lock()
		defer mu.Unlock()
		return soon(m), nil
	}, Options{})
	client, server := s.ClientConfig(spiffeid.MatchAny()), s.ServerConfig(spiffeid.MatchAny())
	if _, cErr, sErr := shake(client, server); cErr != nil || sErr != nil {
		t.Fatal(cErr, sErr)
	}
	changed := s.Changed()
	mu.Lock()
	m = two.material(nil)
	mu.Unlock()
	<-changed
	cs, cErr, sErr := shake(client, server)
	if cErr != nil || sErr != nil || cs.DidResume {
		t.Errorf("resumed %v, client %v, server %v", cs.DidResume, cErr, sErr)
	}
	// A client that keeps its session all the same gets a full handshake from the server.
	keeps := s.ClientConfig(spiffeid.MatchAny())
	keeps.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	if _, cErr, sErr := shake(keeps, server); cErr != nil || sErr != nil {
		t.Fatal(cErr, sErr)
	}
	changed = s.Changed()
	mu.Lock()
	m = two.material(nil)
	m.Roots = append(m.Roots, one.cert)
	mu.Unlock()
	<-changed
	if cs, cErr, sErr := shake(keeps, server); cErr != nil || sErr != nil || cs.DidResume {
		t.Errorf("resumed %v, client %v, server %v", cs.DidResume, cErr, sErr)
	}
}

// TestSessionsOfAnotherBundle has a server that resumes whatever it can: the client must not offer a session whose server
// it would not believe any more.
func TestSessionsOfAnotherBundle(t *testing.T) {
	one, two := newRogue(t), newRogue(t)
	var mu sync.Mutex
	m := one.material(nil)
	current := func() *Material {
		mu.Lock()
		defer mu.Unlock()
		return m
	}
	s := openSource(t, func(context.Context) (*Material, error) { return soon(current()), nil }, Options{})
	server := &tls.Config{ClientAuth: tls.RequestClientCert, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		return &tls.Certificate{Certificate: [][]byte{current().Certificates[0].Raw}, PrivateKey: current().Key}, nil
	}}
	client := s.ClientConfig(spiffeid.MatchAny())
	for _, want := range []bool{false, true} {
		if cs, cErr, sErr := shake(client, server); cErr != nil || sErr != nil || cs.DidResume != want {
			t.Fatalf("resumed %v, client %v, server %v", cs.DidResume, cErr, sErr)
		}
	}
	changed := s.Changed()
	mu.Lock()
	m = two.material(nil)
	mu.Unlock()
	<-changed
	if cs, cErr, sErr := shake(client, server); cErr != nil || sErr != nil || cs.DidResume {
		t.Errorf("resumed %v, client %v, server %v", cs.DidResume, cErr, sErr)
	}
}

// BenchmarkVerify is what checking one peer costs beyond the handshake's own signature.
func BenchmarkVerify(b *testing.B) {
	r := newRogue(b)
	s := openSource(b, obtains(r.material(nil)), Options{})
	certs := []*x509.Certificate{s.State().Leaf}
	match := spiffeid.MatchID(s.State().ID)
	for b.Loop() {
		if _, err := s.Verify(certs, match); err != nil {
			b.Fatal(err)
		}
	}
}
