package ca

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// TooEarlyError says that a step of a rotation would break connections before a certain time.
type TooEarlyError struct {
	Step string    // "activate" or "retire"
	At   time.Time // when it becomes safe
}

// Error says when and why.
func (e *TooEarlyError) Error() string {
	why := "not everybody trusts the prepared authority before"
	if e.Step == "retire" {
		why = "SVIDs of the old authority are valid until"
	}
	return fmt.Sprintf("%s authority: %s %s", e.Step, why, e.At.Format(time.RFC3339))
}

// Prepare makes a new root that is trusted from now on and issues nothing yet: the first step of a rotation. It is an
// error if one is prepared already, or if the active authority was plugged in: then its owner decides what follows it, by
// other files at the next start.
func (a *Authority) Prepare() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.prepare(time.Now(), false)
}

// Rotate is Prepare, or goes on from what is prepared, and lets [Authority.Step] take the other steps as soon as each is
// safe.
func (a *Authority) Rotate() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.slots.prepared == nil {
		return a.prepare(time.Now(), true)
	}
	next := a.slots
	next.advance = true
	return a.save("rotates", next)
}

func (a *Authority) prepare(now time.Time, advance bool) error {
	if a.slots.prepared != nil {
		return errors.New("prepare authority: one is prepared already")
	}
	if a.slots.active.origin == plugged {
		return errors.New("prepare authority: the active one was plugged in; start with the files of another")
	}
	fresh, err := newRoot(a.td, now, a.opt.RootTTL)
	if err != nil {
		return fmt.Errorf("prepare authority: %w", err)
	}
	next := a.slots.withPrepared(fresh)
	next.advance = advance
	return a.save("prepared", next)
}

// withPrepared puts an authority into the prepared slot. Every leaf so far was delivered without trust in it, so trust has
// spread when the last of them is gone: by then its holder has renewed it.
func (s slots) withPrepared(fresh *slot) slots {
	s.prepared = fresh
	s.spread = s.active.lastLeaf
	if s.old != nil && s.old.lastLeaf.After(s.spread) {
		s.spread = s.old.lastLeaf
	}
	return s
}

// Activate lets the prepared authority issue; the one that did becomes old. Until trust has spread the error is a
// [TooEarlyError], unless force says that the bundle reached everybody on another way.
func (a *Authority) Activate(force bool) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.activate(time.Now(), force)
}

func (a *Authority) activate(now time.Time, force bool) error {
	s := a.slots
	switch {
	case s.prepared == nil:
		return errors.New("activate authority: none is prepared")
	case s.old != nil:
		return errors.New("activate authority: the old one is not retired yet")
	case !now.After(s.spread) && !force:
		return &TooEarlyError{"activate", s.spread}
	}
	active, old := *s.prepared, *s.active
	active.since, old.since = now, now
	old.key = nil // it will never issue again: then nobody can steal it either
	return a.save("activated", slots{active: &active, old: &old, advance: s.advance})
}

// Retire ends the trust in the old authority. While an SVID of it may be valid the error is a [TooEarlyError], unless
// force is set, as for an authority whose key was stolen.
func (a *Authority) Retire(force bool) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.retire(time.Now(), force)
}

func (a *Authority) retire(now time.Time, force bool) error {
	s := a.slots
	switch {
	case s.old == nil:
		return errors.New("retire authority: there is no old one")
	case !now.After(s.old.lastLeaf) && !force:
		return &TooEarlyError{"retire", s.old.lastLeaf}
	}
	s.old = nil
	if s.prepared == nil {
		s.advance = false
	}
	return a.save("retired", s)
}

// save is become with the step's name in the error.
func (a *Authority) save(what string, s slots) error {
	if err := a.become(s, what); err != nil {
		return fmt.Errorf("authority %s: %w", what, err)
	}
	return nil
}

// When an authority that comes to its end is replaced: as long before as the smaller of a part of its life and a fixed time.
const (
	prepareBefore  = 30 * 24 * time.Hour // or half of its life
	activateBefore = 7 * 24 * time.Hour  // or a sixth
)

// Step does whatever is due: it retires an old authority that nobody needs, activates a prepared one when a rotation was
// asked for or the active one comes to its end, and prepares a root where the active one is of our own making and has
// half of its life (at most 30 days) left. A plugged-in authority is only warned about, since nobody but its owner can
// make the next.
func (a *Authority) Step() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	if s := a.slots; s.old != nil && now.After(s.old.lastLeaf) {
		if err := a.retire(now, false); err != nil {
			return err
		}
	}
	s := a.slots
	end := s.active.expires()
	life := end.Sub(s.active.cert.NotBefore)
	due := !now.Before(end.Add(-min(life/6, activateBefore)))
	if s.prepared != nil && s.old == nil && (s.advance || due) && now.After(s.spread) {
		return a.activate(now, false)
	}
	if s.prepared != nil || now.Before(end.Add(-min(life/2, prepareBefore))) {
		return nil
	}
	if s.active.origin == plugged {
		if now.Sub(a.warned) >= 24*time.Hour {
			a.warned = now
			a.log.Warn("authority expires; plug in another", "authority", fingerprint(s.active.cert), "not_after", end)
		}
		return nil
	}
	return a.prepare(now, false)
}

// Run takes each step of a rotation as soon as it is due, until ctx ends. A step that fails is logged and tried again:
// it never stops the authority.
func (a *Authority) Run(ctx context.Context) {
	tick := time.NewTicker(stepEvery)
	defer tick.Stop()
	for {
		if err := a.Step(); err != nil {
			a.log.Error("authority cannot be rotated", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

const stepEvery = time.Minute

// Status describes the authorities of the trust domain.
type Status struct {
	TrustDomain string
	Rotating    bool // Rotate was asked for and is not through
	Slots       []SlotStatus
}

// SlotStatus is one authority and what holds up its next step.
type SlotStatus struct {
	Slot        string // "active", "prepared", "old"
	Fingerprint string // the first 8 bytes of the certificate's SHA-256, in hex
	Origin      string // "self-made" or "files"
	Since       time.Time
	NotBefore   time.Time
	NotAfter    time.Time // of the certificate or of the first intermediate to expire
	// Next is when a prepared authority can be activated or an old one retired; zero for the active one.
	Next time.Time
}

// Status says which authorities there are, the active one first.
func (a *Authority) Status() Status {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := Status{TrustDomain: a.td.Name(), Rotating: a.slots.advance}
	add := func(name string, s *slot, next time.Time) {
		if s != nil {
			out.Slots = append(out.Slots, SlotStatus{
				Slot: name, Fingerprint: fingerprint(s.cert), Origin: s.origin, Since: s.since,
				NotBefore: s.cert.NotBefore, NotAfter: s.expires(), Next: next,
			})
		}
	}
	add("active", a.slots.active, time.Time{})
	add("prepared", a.slots.prepared, a.slots.spread)
	if a.slots.old != nil {
		add("old", a.slots.old, a.slots.old.lastLeaf)
	}
	return out
}
