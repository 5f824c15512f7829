package svid

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/oarlock/oarlock/meshtest"
)

var td = spiffeid.RequireTrustDomainFromString("cluster.local")

// lockedLog is a log that several goroutines write to.
type lockedLog struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lockedLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *lockedLog) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// clientOf is a client of a test CA for one workload. Tokens outlive no test: obtain writes a new one each time, as the
// engine does well before the old one expires.
func clientOf(c *meshtest.CA, lis *meshtest.PipeListener, account string) (*Client, func(context.Context) (*Material, error)) {
	client := &Client{Address: c.Address, ServerName: meshtest.CAServerName, RootsFile: c.RootsFile}
	if lis != nil {
		client.Dial = lis.Dial
	}
	return client, func(ctx context.Context) (*Material, error) {
		client.TokenFile = c.TokenFile("default", account, account+"-1")
		return client.Obtain(ctx)
	}
}

// openSource opens a source that is closed when the test ends.
func openSource(t testing.TB, obtain func(context.Context) (*Material, error), opt Options) *Source {
	t.Helper()
	s, err := Open(t.Context(), obtain, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestRenewal follows an SVID of our authority, over gRPC and TLS, for ten lives.
func TestRenewal(t *testing.T) {
	for _, ttl := range []time.Duration{24 * time.Hour, time.Minute} {
		t.Run(ttl.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				lis := meshtest.NewPipeListener()
				c := meshtest.NewCA(t, lis, ttl)
				_, obtain := clientOf(c, lis, "web")
				s := openSource(t, obtain, Options{ID: spiffeid.RequireFromString("spiffe://cluster.local/ns/default/sa/web")})
				begin := time.Now()
				renewals := 0
				for time.Since(begin) < 10*ttl {
					was := s.State()
					<-s.Changed()
					now := s.State()
					renewals++
					if part := now.Obtained.Sub(was.Obtained).Seconds() / ttl.Seconds(); part < 0.43 || part > 0.57 {
						t.Errorf("renewed after %.2f of its life", part)
					}
					if now.Leaf.PublicKey.(*ecdsa.PublicKey).Equal(was.Leaf.PublicKey) {
						t.Error("the key is the old one")
					}
					if _, err := s.Verify([]*x509.Certificate{was.Leaf}, spiffeid.MatchID(s.State().ID)); err != nil {
						t.Errorf("the old SVID was not valid when the new one came: %v", err)
					}
				}
				if renewals < 18 || renewals > 23 {
					t.Errorf("%d renewals in ten lives", renewals)
				}
				if st := s.Status(); st.Failures != 0 || st.Emergency || st.SkewLarge || !st.SkewKnown || st.ID != s.State().ID {
					t.Errorf("status %+v", st)
				}
			})
		})
	}
}

// away makes a client's service unreachable while the flag is set.
func away(obtain func(context.Context) (*Material, error), flag *atomic.Bool, calls *atomic.Int64) func(context.Context) (*Material, error) {
	return func(ctx context.Context) (*Material, error) {
		calls.Add(1)
		if flag.Load() {
			return nil, errors.New("nobody listens")
		}
		return obtain(ctx)
	}
}

func TestAuthorityAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lockedLog
		var gone atomic.Bool
		var calls atomic.Int64
		lis := meshtest.NewPipeListener()
		c := meshtest.NewCA(t, lis, 24*time.Hour)
		_, obtain := clientOf(c, lis, "web")
		s := openSource(t, away(obtain, &gone, &calls), Options{Log: log.logger()})
		first := s.State()
		gone.Store(true)
		time.Sleep(18 * time.Hour)
		st := s.Status()
		if st.Failures == 0 || st.LastError != "nobody listens" || st.Emergency || s.State() != first {
			t.Errorf("after 18 h: %+v", st)
		}
		if n := calls.Load(); n < 50 || n > 200 {
			t.Errorf("%d attempts in the 5 to 7 h after half of the life", n)
		}
		if strings.Contains(log.String(), "level=ERROR") {
			t.Error("an error long before the end")
		}
		time.Sleep(3 * time.Hour)
		if !s.Status().Emergency || !strings.Contains(log.String(), "level=ERROR") {
			t.Errorf("no emergency after 21 of 24 h: %+v", s.Status())
		}
		time.Sleep(4 * time.Hour) // it expires
		if s.State() != first || time.Until(s.Status().RenewAt) > emergencyPause {
			t.Errorf("after it expired: %+v", s.Status())
		}
		_, err := s.Verify([]*x509.Certificate{first.Leaf}, spiffeid.MatchAny())
		if bad := (*PeerError)(nil); !errors.As(err, &bad) || bad.Cause != Expired || bad.ID != first.ID {
			t.Errorf("it verifies with %v", err)
		}
		gone.Store(false)
		time.Sleep(emergencyPause)
		if st := s.Status(); st.Failures != 0 || st.Emergency || st.LastError != "" || s.State() == first {
			t.Errorf("10 s after the authority is back: %+v", st)
		}
	})
}

func TestFirstSVID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var gone atomic.Bool
		var calls atomic.Int64
		gone.Store(true)
		lis := meshtest.NewPipeListener()
		c := meshtest.NewCA(t, lis, 0)
		_, obtain := clientOf(c, lis, "web")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := Open(ctx, away(obtain, &gone, &calls), Options{}); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "nobody listens") {
			t.Errorf("without an authority: %v", err)
		}
		if n := calls.Load(); n < 12 || n > 40 {
			t.Errorf("%d attempts in a minute", n)
		}
		begin := time.Now()
		time.AfterFunc(10*time.Minute, func() { gone.Store(false) })
		openSource(t, away(obtain, &gone, &calls), Options{})
		if d := time.Since(begin) - 10*time.Minute; d < 0 || d > startPause {
			t.Errorf("the first SVID came %v after the authority", d)
		}
	})
}

// TestHang: an authority that takes the connection and never answers costs one timeout, not the renewal.
func TestHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := func(ctx context.Context) (*Material, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		begin := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		calls := 0
		_, err := Open(ctx, func(ctx context.Context) (*Material, error) { calls++; return hang(ctx) }, Options{Timeout: time.Minute})
		if err == nil || calls < 50 || time.Since(begin) != time.Hour {
			t.Errorf("%d attempts in %v: %v", calls, time.Since(begin), err)
		}
	})
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lis := meshtest.NewPipeListener()
		c := meshtest.NewCA(t, lis, 0)
		_, obtain := clientOf(c, lis, "web")
		ctx, cancel := context.WithCancel(t.Context())
		s, err := Open(ctx, obtain, Options{})
		if err != nil {
			t.Fatal(err)
		}
		cancel() // the context of Open does not end the source
		first := s.State()
		time.Sleep(24 * time.Hour)
		if s.State() == first {
			t.Error("nothing was renewed")
		}
		var wait sync.WaitGroup
		for range 3 {
			wait.Go(func() {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		wait.Wait()
		last := s.State()
		time.Sleep(48 * time.Hour)
		if s.State() != last || last == nil {
			t.Error("the state has changed after Close")
		}
		if cert, err := s.GetCertificate(nil); err != nil || cert.Leaf != last.Leaf {
			t.Errorf("GetCertificate gives %v, %v", cert, err)
		}
	})
}

// An authority of a test's own makes certificates that ours refuses to make.
type rogue struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newRogue(t testing.TB) *rogue {
	t.Helper()
	r := &rogue{t: t}
	r.cert, r.key = r.issue(func(c *x509.Certificate) {
		c.IsCA, c.KeyUsage, c.URIs, c.ExtKeyUsage = true, x509.KeyUsageCertSign, nil, nil
		c.Subject, c.NotBefore, c.NotAfter = pkix.Name{CommonName: "rogue"}, time.Now().AddDate(-1, 0, 0), time.Now().AddDate(9, 0, 0)
	})
	return r
}

// issue makes a leaf for spiffe://cluster.local/ns/default/sa/web, for two hours around now, as edited.
func (r *rogue) issue(edit func(*x509.Certificate)) (*x509.Certificate, *ecdsa.PrivateKey) {
	r.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		r.t.Fatal(err)
	}
	template := &x509.Certificate{
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		URIs: []*url.URL{{Scheme: "spiffe", Host: "cluster.local", Path: "/ns/default/sa/web"}}, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if edit != nil {
		edit(template)
	}
	parent, signer := r.cert, r.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		r.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		r.t.Fatal(err)
	}
	return cert, key
}

// material is what an obtaining function would bring.
func (r *rogue) material(edit func(*x509.Certificate)) *Material {
	cert, key := r.issue(edit)
	return &Material{Key: key, Certificates: []*x509.Certificate{cert}, Roots: []*x509.Certificate{r.cert}}
}

func obtains(m *Material) func(context.Context) (*Material, error) {
	return func(context.Context) (*Material, error) { return m, nil }
}

// TestMaterialRefused: what an authority sends is looked at before it is used.
func TestMaterialRefused(t *testing.T) {
	r, other := newRogue(t), newRogue(t)
	tests := []struct {
		name string
		make func(m *Material)
		want string
	}{
		{"without a certificate", func(m *Material) { m.Certificates = nil }, "0 certificates"},
		{"without roots", func(m *Material) { m.Roots = nil }, "0 roots"},
		{"with a long chain", func(m *Material) {
			for len(m.Certificates) <= maxChain {
				m.Certificates = append(m.Certificates, m.Certificates[0])
			}
		}, "17 certificates"},
		{"for another's key", func(m *Material) { m.Key = other.key }, "not for our key"},
		{"without a key", func(m *Material) { m.Key = nil }, "not for our key"},
		{"of another authority", func(m *Material) { m.Roots = []*x509.Certificate{other.cert} }, "unknown authority"},
		{"for somebody else", func(m *Material) {
			*m = *r.material(func(c *x509.Certificate) {
				c.URIs = []*url.URL{{Scheme: "spiffe", Host: "cluster.local", Path: "/ns/a/sa/b"}}
			})
		}, "it is for spiffe://cluster.local/ns/a/sa/b"},
		{"without an ID", func(m *Material) { *m = *r.material(func(c *x509.Certificate) { c.URIs = nil }) }, "no URI SAN"},
		{"an authority's", func(m *Material) { *m = *r.material(func(c *x509.Certificate) { c.IsCA = true }) }, "CA flag"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := r.material(nil)
			tt.make(m)
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			defer cancel()
			_, err := Open(ctx, obtains(m), Options{ID: spiffeid.RequireFromString("spiffe://cluster.local/ns/default/sa/web")})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}

// TestClockSkew has clocks that are apart: the workload gets its SVID, says what is wrong, and renews in good time.
func TestClockSkew(t *testing.T) {
	const life = 24 * time.Hour
	tests := []struct {
		name  string
		ahead time.Duration // of our clock before the authority's
		says  bool          // whether the authority says its time
		large bool
		known bool
	}{
		{"none", 0, true, false, true},
		{"a second", time.Second, true, false, true},
		{"a minute behind", -time.Minute, true, true, true},
		{"a minute ahead", time.Minute, true, true, true},
		{"30 hours ahead", 30 * time.Hour, true, true, true},
		{"30 hours behind", -30 * time.Hour, true, true, true},
		{"a silent authority", time.Minute, false, false, false},
		{"30 hours behind a silent authority", -30 * time.Hour, false, true, true},
		{"30 hours ahead of a silent authority", 30 * time.Hour, false, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log lockedLog
				r := newRogue(t)
				var calls atomic.Int64
				s := openSource(t, func(context.Context) (*Material, error) {
					calls.Add(1)
					theirs := time.Now().Add(-tt.ahead)
					m := r.material(func(c *x509.Certificate) {
						c.NotBefore, c.NotAfter = theirs.Add(-2*time.Minute), theirs.Add(life)
					})
					if tt.says {
						m.ServerTime, m.ServerTimeAt = theirs, time.Now()
					}
					return m, nil
				}, Options{Log: log.logger()})
				st := s.Status()
				if st.SkewLarge != tt.large || st.SkewKnown != tt.known || tt.says && (st.Skew-tt.ahead).Abs() > time.Second {
					t.Errorf("status %+v", st)
				}
				time.Sleep(10 * life)
				if n := calls.Load(); n < 18 || n > 24 {
					t.Errorf("%d SVIDs in ten lives", n)
				}
				if n := strings.Count(log.String(), "clock differs"); tt.large != (n == 1) {
					t.Errorf("said so %d times", n)
				}
				if s.Status().Emergency {
					t.Error("an emergency")
				}
			})
		})
	}
}

func TestSchedule(t *testing.T) {
	for _, life := range []time.Duration{time.Minute, time.Hour, 24 * time.Hour, 90 * 24 * time.Hour} {
		if lo, hi := renewAfter(life, 0), renewAfter(life, 1); lo != life*45/100 || hi != life*55/100 {
			t.Errorf("%v is renewed after %v to %v", life, lo, hi)
		}
	}
	if got := renewAfter(-time.Hour, 0.5); got != shortestPause {
		t.Errorf("an expired one is renewed after %v", got)
	}
	tests := []struct {
		failures  int
		life      time.Duration
		emergency bool
		want      time.Duration // without jitter
	}{
		{1, 0, false, time.Second}, {2, 0, false, 2 * time.Second}, {3, 0, false, 4 * time.Second}, {9, 0, false, startPause}, {1 << 40, 0, false, startPause},
		{1, 24 * time.Hour, false, time.Second}, {7, 24 * time.Hour, false, 64 * time.Second}, {12, 24 * time.Hour, false, longestPause},
		{12, 24 * time.Hour, true, emergencyPause}, {1, 24 * time.Hour, true, time.Second},
		{1, time.Minute, false, 600 * time.Millisecond}, {12, time.Minute, false, 3 * time.Second}, {12, time.Minute, true, 1200 * time.Millisecond},
		{12, -time.Minute, true, startPause},
	}
	for _, tt := range tests {
		lo, hi := pause(tt.failures, tt.life, tt.emergency, 0), pause(tt.failures, tt.life, tt.emergency, 1)
		if hi != tt.want || lo != max(tt.want/2, shortestPause) {
			t.Errorf("%d failures, life %v, emergency %v: %v to %v, want half to all of %v", tt.failures, tt.life, tt.emergency, lo, hi, tt.want)
		}
	}
	now := time.Now()
	for left, want := range map[time.Duration]bool{21 * time.Minute: false, 19 * time.Minute: true, -time.Minute: true} {
		if got := inEmergency(now.Add(left-100*time.Minute), now.Add(left), now); got != want {
			t.Errorf("%v of 100 min left: emergency %v", left, got)
		}
	}
}

func TestCauseNames(t *testing.T) {
	seen := map[string]bool{}
	for c := CauseNone; c <= NotAuthorized; c++ {
		if seen[c.String()] || strings.HasPrefix(c.String(), "cause_") {
			t.Errorf("cause %d is called %q", c, c)
		}
		seen[c.String()] = true
	}
	if got := Cause(99).String(); got != "cause_99" {
		t.Errorf("an unknown cause is called %q", got)
	}
	if got := (&PeerError{Cause: NoCertificate, Err: io.EOF}).Error(); got != "refuse peer: EOF" {
		t.Errorf("got %q", got)
	}
}
