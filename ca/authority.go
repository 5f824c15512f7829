package ca

import (
	"cmp"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// What an Options field means when it is zero.
const (
	DefaultTrustDomain = "cluster.local"
	DefaultTTL         = 24 * time.Hour
	DefaultMaxTTL      = 90 * 24 * time.Hour
	DefaultRootTTL     = 10 * 365 * 24 * time.Hour
	DefaultBackdate    = 2 * time.Minute
)

// Options are the settings of an [Authority]. The zero value is an authority of cluster.local that lives in memory.
type Options struct {
	// TrustDomain is the first part of every SPIFFE ID; "@" in it becomes ".". Default [DefaultTrustDomain].
	TrustDomain string
	// Dir is the folder of the state file; it is made with mode 0700. Empty keeps nothing: the next start is another
	// authority that nobody trusts.
	Dir string
	// PlugIn is a folder with [CertFile], [KeyFile], [RootFile] and [ChainFile]. Empty makes a root of our own. They
	// are copied into the state. Files that the state does not know become the prepared authority: a start with others
	// begins a rotation (see [Authority.Rotate]) instead of breaking trust.
	PlugIn string
	// TTL is the life of a leaf where the asker names none, default [DefaultTTL]; MaxTTL is the longest that one may
	// ask for, default [DefaultMaxTTL]. Both end with the authority.
	TTL, MaxTTL time.Duration
	// RootTTL is the life of a root of our own, default [DefaultRootTTL].
	RootTTL time.Duration
	// Backdate is how long before its issue a leaf becomes valid, for workloads whose clock is behind. Default
	// [DefaultBackdate]; negative is none.
	Backdate time.Duration
	// Log gets a record of everything that is issued or rotated. Default: nowhere.
	Log *slog.Logger
}

// Authority is the certificate authority of one trust domain. Its methods may be called from any goroutine.
//
// It has up to three authorities at a time. The active one issues; a prepared one is trusted before it issues; an old one
// is trusted after it issued. [Authority.Bundle] has the roots of all three, and every SVID is delivered with the bundle
// of its moment. So, by renewal alone, trust is everywhere before it is needed and stays until nobody needs it.
type Authority struct {
	opt Options
	td  spiffeid.TrustDomain
	log *slog.Logger

	mu      sync.Mutex // guards what follows
	slots   slots
	keeper  keeper
	bundle  *Bundle
	changed chan struct{} // closed when bundle is replaced
	warned  time.Time     // when Step last spoke of a plugged-in authority that expires
}

// Bundle is the trust bundle of one moment: the roots of every authority of the trust domain, the active one's first. It
// is shared and must not be changed.
type Bundle struct {
	TrustDomain spiffeid.TrustDomain
	Roots       []*x509.Certificate
	// Version is a hash of the roots: equal bundles have equal versions, in whatever order.
	Version string
}

// PEM writes the roots one after the other.
func (b *Bundle) PEM() []byte { return certificatesPEM(b.Roots...) }

// Open reads the authority that Options.Dir holds, or makes one. An error wraps fs.ErrPermission or says what is wrong
// with a file; the files stay as they are.
func Open(opt Options) (*Authority, error) {
	opt.TrustDomain = cmp.Or(opt.TrustDomain, DefaultTrustDomain)
	opt.TTL = cmp.Or(opt.TTL, DefaultTTL)
	opt.MaxTTL = cmp.Or(opt.MaxTTL, DefaultMaxTTL)
	opt.RootTTL = cmp.Or(opt.RootTTL, DefaultRootTTL)
	opt.Backdate = max(cmp.Or(opt.Backdate, DefaultBackdate), 0)
	if opt.TTL < time.Second || opt.TTL > opt.MaxTTL || opt.RootTTL < time.Second {
		return nil, fmt.Errorf("open authority: lives of %v for leaves (at most %v) and %v for roots make no sense", opt.TTL, opt.MaxTTL, opt.RootTTL)
	}
	td, err := parseTrustDomain(opt.TrustDomain)
	if err != nil {
		return nil, fmt.Errorf("open authority: %w", err)
	}
	a := &Authority{opt: opt, td: td, log: opt.Log, changed: make(chan struct{}), keeper: keeper{trustDomain: td.Name()}}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	if opt.Dir != "" {
		a.keeper.file = filepath.Join(opt.Dir, StateFile)
	}
	if err := a.begin(time.Now()); err != nil {
		return nil, fmt.Errorf("open authority: %w", err)
	}
	return a, nil
}

// begin loads the slots or makes the first, and takes in plugged files that are new.
func (a *Authority) begin(now time.Time) error {
	var fresh *slot
	var err error
	if a.opt.PlugIn != "" {
		if fresh, err = readPlugIn(a.opt.PlugIn, a.td, now); err != nil {
			return err
		}
	}
	s, found, err := a.keeper.load()
	if err == nil && !found {
		err = a.first(fresh, now)
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
		// Another process was quicker; its authority is the one.
		s, found, err = a.keeper.load()
	}
	if err == nil && !found { // a dangling link, say
		err = fmt.Errorf("%s can be neither read nor made", a.keeper.file)
	}
	if err != nil {
		return err
	}
	a.slots = s
	a.bundle = bundleOf(a.td, s)
	a.log.Info("authority opened", "trust_domain", a.td.Name(), "active", fingerprint(s.active.cert), "not_after", s.active.expires())
	if fresh == nil || s.has(fresh) {
		return nil
	}
	if s.prepared != nil {
		a.log.Warn("prepared authority replaced", "authority", fingerprint(s.prepared.cert), "by", fingerprint(fresh.cert))
	}
	next := s.withPrepared(fresh)
	next.advance = true
	return a.become(next, "prepared")
}

// first makes the authority of a trust domain that has none.
func (a *Authority) first(fresh *slot, now time.Time) error {
	if fresh == nil {
		var err error
		if fresh, err = newRoot(a.td, now, a.opt.RootTTL); err != nil {
			return err
		}
	}
	return a.become(slots{active: fresh}, "made")
}

// has says whether a slot holds this authority: the same certificate with the same trust anchors.
func (s slots) has(other *slot) bool {
	for _, one := range s.all() {
		if one.cert.Equal(other.cert) && slices.EqualFunc(one.roots, other.roots, (*x509.Certificate).Equal) {
			return true
		}
	}
	return false
}

// all lists the slots that are taken, the active one first.
func (s slots) all() []*slot {
	var out []*slot
	for _, one := range []*slot{s.active, s.prepared, s.old} {
		if one != nil {
			out = append(out, one)
		}
	}
	return out
}

// become saves other slots and then takes them, so that a failure leaves everything as it was. The caller holds mu, or is
// alone.
func (a *Authority) become(s slots, what string) error {
	for _, one := range s.all() {
		one.savedLeaf = one.lastLeaf
	}
	if err := a.keeper.save(s); err != nil {
		return err
	}
	a.slots = s
	was := a.bundle
	a.bundle = bundleOf(a.td, s) // perhaps with the same roots in another order, which nobody needs to hear of
	if was == nil || was.Version != a.bundle.Version {
		close(a.changed)
		a.changed = make(chan struct{})
	}
	args := []any{"trust_domain", a.td.Name(), "active", fingerprint(s.active.cert), "origin", s.active.origin, "not_after", s.active.expires()}
	if s.prepared != nil {
		args = append(args, "prepared", fingerprint(s.prepared.cert), "spread", s.spread)
	}
	if s.old != nil {
		args = append(args, "old", fingerprint(s.old.cert), "needed_until", s.old.lastLeaf)
	}
	a.log.Info("authority "+what, args...)
	return nil
}

func bundleOf(td spiffeid.TrustDomain, s slots) *Bundle {
	b := &Bundle{TrustDomain: td}
	var sums []string
	for _, one := range s.all() {
		for _, root := range one.roots {
			if !slices.ContainsFunc(b.Roots, root.Equal) {
				b.Roots = append(b.Roots, root)
				sum := sha256.Sum256(root.Raw)
				sums = append(sums, string(sum[:]))
			}
		}
	}
	slices.Sort(sums)
	version := sha256.Sum256([]byte(strings.Join(sums, "")))
	b.Version = hex.EncodeToString(version[:8])
	return b
}

// TrustDomain is the domain whose identities the authority issues.
func (a *Authority) TrustDomain() spiffeid.TrustDomain { return a.td }

// Bundle gives what to trust now, and a channel that is closed as soon as there is another.
func (a *Authority) Bundle() (*Bundle, <-chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.bundle, a.changed
}
