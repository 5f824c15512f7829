package svid

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// DefaultSkew is how far the clocks of workload and authority may be apart without a word. Istio and our authority
// back-date by two minutes.
const DefaultSkew = 10 * time.Second

// DefaultTimeout bounds one attempt to obtain an SVID.
const DefaultTimeout = 15 * time.Second

// Options are the settings of a [Source].
type Options struct {
	// ID is whom the SVID must be for; the zero value takes whoever the authority says that we are.
	ID spiffeid.ID
	// Aliases are other trust domains whose SVIDs the same roots vouch for.
	Aliases []spiffeid.TrustDomain
	// Timeout bounds one attempt, default [DefaultTimeout].
	Timeout time.Duration
	// Skew is the difference of clocks that is worth a warning, default [DefaultSkew].
	Skew time.Duration
	// Log gets a record of each renewal and of each failure. Default: nowhere.
	Log *slog.Logger
}

// Source holds the current SVID and renews it until Close. Its methods may be called from any goroutine, also after
// Close, when they go on giving the last SVID.
type Source struct {
	obtain func(context.Context) (*Material, error)
	opt    Options
	log    *slog.Logger

	state atomic.Pointer[State] // never nil once Open has returned
	stop  context.CancelFunc
	done  chan struct{}

	mu      sync.Mutex // guards what follows
	status  Status
	changed chan struct{} // closed when state is replaced
}

// Status describes how the renewal goes.
type Status struct {
	ID                   spiffeid.ID
	NotBefore, NotAfter  time.Time
	Obtained             time.Time
	RenewAt              time.Time // when the next attempt is due
	Failures             int       // attempts in a row that failed
	LastError            string    // of the last attempt; "" after a success
	Emergency            bool      // less than a fifth of the life is left, or none
	Skew                 time.Duration
	SkewKnown, SkewLarge bool // Skew is how far our clock is ahead of the authority's, and more than Options.Skew
}

// Open obtains the first SVID, with as many attempts as ctx gives time for, and keeps it fresh from then on. The error is
// that of ctx joined with that of the last attempt. The caller must Close the Source; obtain is called by one goroutine at
// a time.
func Open(ctx context.Context, obtain func(context.Context) (*Material, error), opt Options) (*Source, error) {
	opt.Timeout = cmp.Or(opt.Timeout, DefaultTimeout)
	opt.Skew = cmp.Or(opt.Skew, DefaultSkew)
	s := &Source{obtain: obtain, opt: opt, log: opt.Log, done: make(chan struct{}), changed: make(chan struct{})}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	for failures := 1; ; failures++ {
		err := s.attempt(ctx)
		if err == nil {
			break
		}
		wait := pause(failures, 0, false, rand.Float64())
		s.log.Warn("no SVID yet", "error", err, "retry_in", wait)
		if !sleep(ctx, wait) {
			return nil, fmt.Errorf("obtain first SVID: %w", errors.Join(ctx.Err(), err))
		}
	}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	go s.keepFresh(background)
	return s, nil
}

// Close ends the renewal and waits for it. It may be called again.
func (s *Source) Close() error {
	s.stop()
	<-s.done
	return nil
}

// State gives the current SVID and trust bundle.
func (s *Source) State() *State { return s.state.Load() }

// Changed gives a channel that is closed when the state is replaced. Ask for the channel first and for the state then.
func (s *Source) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

// Status says how the renewal goes.
func (s *Source) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.status
	now, state := wallClock(), s.State()
	out.Emergency = inEmergency(state.Obtained, state.Expires, now)
	return out
}

// GetCertificate is tls.Config.GetCertificate.
func (s *Source) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return &s.State().cert, nil
}

// GetClientCertificate is tls.Config.GetClientCertificate. It sends the SVID whatever authorities the server names.
func (s *Source) GetClientCertificate(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	return &s.State().cert, nil
}

// GetX509BundleForTrustDomain makes a Source the bundle source of package x509svid.
func (s *Source) GetX509BundleForTrustDomain(td spiffeid.TrustDomain) (*x509bundle.Bundle, error) {
	return s.State().GetX509BundleForTrustDomain(td)
}

// keepFresh is the life of a Source.
func (s *Source) keepFresh(ctx context.Context) {
	defer close(s.done)
	for {
		s.mu.Lock()
		due := s.status.RenewAt
		s.mu.Unlock()
		if !s.wait(ctx, due) {
			return
		}
		if err := s.attempt(ctx); err != nil && ctx.Err() == nil {
			s.failed(err)
		}
	}
}

// wait returns true when it is due, and false when ctx ends.
func (s *Source) wait(ctx context.Context, due time.Time) bool {
	for {
		// By either clock: the monotonic one stands still while the machine is suspended, and the wall clock may be set
		// back.
		left := min(time.Until(due), due.Round(0).Sub(wallClock()))
		if left <= 0 {
			return ctx.Err() == nil
		}
		timer := time.NewTimer(min(left, longestSleep))
		select {
		case <-ctx.Done():
			timer.Stop()
			return false
		case <-timer.C:
		}
	}
}

// attempt obtains and publishes an SVID.
func (s *Source) attempt(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.opt.Timeout)
	defer cancel()
	m, err := s.obtain(ctx)
	if err != nil {
		return err
	}
	now := wallClock()
	next, err := newState(m, s.opt.ID, now)
	if err != nil {
		return err
	}
	next.aliases = s.opt.Aliases
	s.publish(next, m, now)
	return nil
}

// publish replaces the state, unless nothing is new, as with files that nobody touched.
func (s *Source) publish(next *State, m *Material, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.State()
	skew, known := clockSkew(m, next, now)
	large := known && skew.Abs() > s.opt.Skew
	due := time.Now().Add(renewAfter(next.Expires.Sub(now), rand.Float64()))
	if m.Again > 0 {
		due = time.Now().Add(m.Again)
	}
	if large && !s.status.SkewLarge {
		s.log.Warn("clock differs from the authority's", "ahead_by", skew)
	}
	fresh := was == nil || !was.same(next)
	if !fresh {
		next = was
	}
	s.status = Status{
		ID: next.ID, NotBefore: next.Leaf.NotBefore, NotAfter: next.Leaf.NotAfter, Obtained: next.Obtained,
		RenewAt: due, Skew: skew, SkewKnown: known, SkewLarge: large,
	}
	if !fresh {
		if inEmergency(next.Obtained, next.Expires, now) {
			s.log.Error("SVID expires and nobody renews it", "id", next.ID, "not_after", next.Leaf.NotAfter)
		}
		return
	}
	s.state.Store(next)
	close(s.changed)
	s.changed = make(chan struct{})
	s.log.Info("SVID obtained", "id", next.ID, "serial", next.Leaf.SerialNumber.Text(16), "not_after", next.Leaf.NotAfter,
		"renew_at", due, "bundle", next.BundleVersion)
}

// failed plans the next attempt. The SVID stays in use, also an expired one: there is nothing better, and the peers' errors
// say what is wrong.
func (s *Source) failed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, state := wallClock(), s.State()
	end := state.Expires
	emergency := inEmergency(state.Obtained, end, now)
	s.status.Failures++
	s.status.LastError = err.Error()
	wait := pause(s.status.Failures, end.Sub(state.Obtained), emergency, rand.Float64())
	s.status.RenewAt = time.Now().Add(wait)
	level := slog.LevelWarn
	if emergency {
		level = slog.LevelError
	}
	s.log.Log(context.Background(), level, "SVID not renewed", "error", err, "failures", s.status.Failures,
		"retry_in", wait, "expires_in", end.Sub(now).Round(time.Second))
}

// clockSkew is how far our clock is ahead of the authority's. An SVID that is not valid yet proves that ours is behind,
// also where the authority does not say its time.
func clockSkew(m *Material, s *State, now time.Time) (skew time.Duration, known bool) {
	if !m.ServerTime.IsZero() {
		return m.ServerTimeAt.Sub(m.ServerTime), true
	}
	if now.Before(s.Leaf.NotBefore) {
		return now.Sub(s.Leaf.NotBefore), true
	}
	return 0, false
}

// wallClock is the time without the monotonic clock, which stands still while a machine is suspended.
func wallClock() time.Time { return time.Now().Round(0) }

// sleep waits and says whether ctx still lives.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return ctx.Err() == nil
	}
}
