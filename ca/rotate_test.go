package ca

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A peer renews at half of its leaf's life and believes what came with its SVID.
type peerSim struct {
	svid  *Issued
	renew time.Time
}

// fleet is a mesh of workloads that start one after the other.
type fleet struct {
	a     *Authority
	ttl   time.Duration
	peers []*peerSim
	roots map[string]bool // bundles that were seen, by version
}

func newFleet(a *Authority, size int, ttl time.Duration) *fleet {
	f := &fleet{a: a, ttl: ttl, roots: map[string]bool{}}
	for range size {
		f.peers = append(f.peers, &peerSim{})
	}
	return f
}

// turn renews whoever is due and then lets everybody verify everybody.
func (f *fleet) turn(t testing.TB) error {
	for i, p := range f.peers {
		if time.Now().Before(p.renew) {
			continue
		}
		p.svid = issue(t, f.a, f.ttl)
		f.roots[p.svid.Bundle.Version] = true
		// Spread over the quarter before half-life, and the last one late, as after trouble: at nine tenths.
		part := f.ttl/4 + f.ttl/4*time.Duration(i)/time.Duration(len(f.peers))
		if i == len(f.peers)-1 {
			part = f.ttl * 9 / 10
		}
		p.renew = time.Now().Add(part)
	}
	for i, p := range f.peers {
		for j, q := range f.peers {
			if err := believe(p.svid, q.svid.Bundle); err != nil {
				return fmt.Errorf("at %s workload %d does not believe %d: %w", time.Now().Format(time.DateTime), j, i, err)
			}
		}
	}
	return nil
}

// TestRotation rotates the root under a fleet. Nobody may ever be refused.
func TestRotation(t *testing.T) {
	for _, ttl := range []time.Duration{24 * time.Hour, 10 * time.Minute} {
		t.Run(ttl.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := open(t, Options{TTL: ttl, Dir: stateDir(t)})
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan struct{})
				go func() { a.Run(ctx); close(done) }()
				f := newFleet(a, 6, ttl)
				first, changed := a.Bundle()
				var activated, retired time.Time
				for i := range 300 {
					if err := f.turn(t); err != nil {
						t.Fatal(err)
					}
					if i == 30 {
						if err := a.Rotate(); err != nil {
							t.Fatal(err)
						}
					}
					s := a.Status()
					if activated.IsZero() && s.Slots[len(s.Slots)-1].Slot == "old" {
						activated = time.Now()
					}
					if !activated.IsZero() && retired.IsZero() && len(s.Slots) == 1 {
						retired = time.Now()
					}
					time.Sleep(ttl / 40)
				}
				last, _ := a.Bundle()
				if activated.IsZero() || retired.IsZero() || a.Status().Rotating || first.Version == last.Version || len(f.roots) != 3 {
					t.Errorf("activated %v, retired %v, %d bundles seen", activated, retired, len(f.roots))
				}
				select {
				case <-changed:
				default:
					t.Error("nobody was told of the other bundle")
				}
				cancel()
				<-done
			})
		})
	}
}

// TestRotationInHaste shows that the fleet would notice: without waiting for trust to spread, somebody is refused; and so
// it is when the old authority is retired at once.
func TestRotationInHaste(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := open(t, Options{})
		f := newFleet(a, 4, DefaultTTL)
		if err := errors.Join(f.turn(t), a.Prepare(), a.Activate(true)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(DefaultTTL * 3 / 8)
		if err := f.turn(t); err == nil || !strings.Contains(err.Error(), "unknown authority") {
			t.Errorf("activated in haste: %v", err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		a := open(t, Options{})
		f := newFleet(a, 4, DefaultTTL)
		err := errors.Join(f.turn(t), a.Prepare())
		for range 41 {
			time.Sleep(DefaultTTL / 40)
			err = errors.Join(err, f.turn(t))
		}
		if err := errors.Join(err, a.Activate(false), a.Retire(true)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(DefaultTTL * 3 / 8)
		if err := f.turn(t); err == nil || !strings.Contains(err.Error(), "unknown authority") {
			t.Errorf("retired in haste: %v", err)
		}
	})
}

func TestSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := stateDir(t)
		a := open(t, Options{Dir: dir})
		if err := a.Activate(false); err == nil || !strings.Contains(err.Error(), "none is prepared") {
			t.Errorf("activated nothing: %v", err)
		}
		if err := a.Retire(false); err == nil || !strings.Contains(err.Error(), "no old one") {
			t.Errorf("retired nothing: %v", err)
		}
		leaf := issue(t, a, 0)
		if err := a.Prepare(); err != nil {
			t.Fatal(err)
		}
		if err := a.Prepare(); err == nil {
			t.Error("prepared twice")
		}
		var early *TooEarlyError
		if err := a.Activate(false); !errors.As(err, &early) || early.Step != "activate" || !early.At.Equal(leaf.Leaf.NotAfter) {
			t.Errorf("activated at once: %v", err)
		}
		time.Sleep(time.Hour)
		before := issue(t, a, 0)
		if before.Leaf.CheckSignatureFrom(leaf.Bundle.Roots[0]) != nil || len(before.Bundle.Roots) != 2 {
			t.Error("the prepared authority issues, or is not trusted")
		}
		time.Sleep(time.Until(early.At) + time.Second)
		a = open(t, Options{Dir: dir}) // a restart in between
		if err := a.Activate(false); err != nil {
			t.Fatal(err)
		}
		after := issue(t, a, 0)
		if after.Leaf.CheckSignatureFrom(leaf.Bundle.Roots[0]) == nil || !after.Bundle.Roots[1].Equal(leaf.Bundle.Roots[0]) {
			t.Error("the old authority issues, or is not trusted")
		}
		if err := a.Retire(false); !errors.As(err, &early) || early.Step != "retire" || early.At.Before(before.Leaf.NotAfter) {
			t.Errorf("retired at once: %v", err)
		}
		if err := a.Prepare(); err != nil {
			t.Fatal(err)
		}
		if err := a.Activate(true); err == nil || !strings.Contains(err.Error(), "not retired yet") {
			t.Errorf("activated over an old one: %v", err)
		}
		if next := a.Status().Slots[1].Next; next.Before(after.Leaf.NotAfter) || next.Before(early.At) {
			t.Errorf("trust spreads until %v, leaves end at %v and %v", next, after.Leaf.NotAfter, early.At)
		}
		time.Sleep(time.Until(early.At) + time.Second)
		if err := a.Retire(false); err != nil {
			t.Error(err)
		}
		if got := a.Status().Slots; len(got) != 2 || got[1].Slot != "prepared" {
			t.Errorf("status %+v", got)
		}
	})
}

// TestOwnRootsNeverExpire runs for several lives of the root with nobody's help.
func TestOwnRootsNeverExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const life = 60 * 24 * time.Hour
		a := open(t, Options{RootTTL: life})
		f := newFleet(a, 3, DefaultTTL)
		used := map[string]bool{}
		for range 240 * 4 {
			if err := errors.Join(a.Step(), f.turn(t)); err != nil {
				t.Fatal(err)
			}
			used[a.Status().Slots[0].Fingerprint] = true
			if left := time.Until(a.Status().Slots[0].NotAfter); left < 6*24*time.Hour {
				t.Fatalf("the active root has only %v left", left)
			}
			time.Sleep(6 * time.Hour)
		}
		// Each is prepared when the one before has 30 days left and used when it has 7: for 30 days.
		if len(used) != 8 {
			t.Errorf("%d roots were used in 240 days, want 8", len(used))
		}
	})
}

// TestPluggedRootExpires: nobody but the owner can make the next one.
func TestPluggedRootExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		a := open(t, Options{PlugIn: newPlugIn(t).write(), Log: textLog(&log)})
		for name, do := range map[string]func() error{"prepare": a.Prepare, "rotate": a.Rotate} {
			if err := do(); err == nil || !strings.Contains(err.Error(), "plugged in") {
				t.Errorf("%s: %v", name, err)
			}
		}
		for range 990 {
			time.Sleep(time.Hour)
			if err := a.Step(); err != nil {
				t.Fatal(err)
			}
		}
		if got := a.Status().Slots; len(got) != 1 {
			t.Errorf("status %+v", got)
		}
		if n := strings.Count(log.String(), "authority expires"); n < 20 || n > 31 {
			t.Errorf("warned %d times, want once a day", n)
		}
	})
}

func TestTooEarlyError(t *testing.T) {
	at := time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)
	for step, want := range map[string]string{
		"activate": "activate authority: not everybody trusts the prepared authority before 2026-11-21T09:00:00Z",
		"retire":   "retire authority: SVIDs of the old authority are valid until 2026-11-21T09:00:00Z",
	} {
		if got := (&TooEarlyError{step, at}).Error(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
