package control

import (
	"context"
	"reflect"
	"runtime"
	"runtime/metrics"
	"time"

	"github.com/oarlock/oarlock/ca"
	"github.com/oarlock/oarlock/mesh"
)

// wakeFeed says that there is something for the engine.
func (p *Plane) wakeFeed() {
	select {
	case p.apply <- struct{}{}:
	default:
	}
}

// fed is what the engine was last given, and what was last kept for a restart.
type fed struct {
	snap   *mesh.Snapshot
	bundle string // version
	kept   string // version of the manifests
}

// headStart is how long a change may take to the sidecars before the engine is told too and the change is written down:
// planning every pod would take the processors away from what somebody waits for.
const headStart = 200 * time.Millisecond

// feed tells the engine what to run, and gives it roots and tokens, until ctx ends. What the engine does not take is told
// again. It also keeps what was taken for a restart.
func (p *Plane) feed(ctx context.Context) {
	var last fed
	pause := firstPause
	p.wakeFeed()
	_, bundleChanged := p.authority.Bundle()
	keep := func() {
		if err := p.keep(&last); err != nil {
			p.log.Warn("manifests that were taken cannot be kept for a restart", "error", err)
		}
	}
	defer keep() // what was taken last may be newer
	for {
		timer := time.NewTimer(p.untilRenewal())
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-p.apply:
		case <-bundleChanged:
		case <-timer.C:
		}
		timer.Stop()
		_, bundleChanged = p.authority.Bundle() // what changes from here on is given later
		p.LetPass(ctx)
		keep()
		if err := p.feedOnce(ctx, &last); err != nil && ctx.Err() == nil {
			p.log.Warn("engine does not take the snapshot", "error", err)
			sleep(ctx, pause)
			pause = min(2*pause, lastPause)
			p.wakeFeed()
			continue
		}
		pause = firstPause
		sleep(ctx, pause) // until who waited for the sidecars has heard of them
		if collectEarly() {
			runtime.GC()
		}
	}
}

// collectShare is the part of the room that the heap has until the next collection which must be filled for one to be made early.
const collectShare = 4

// collectEarly says whether garbage shall be collected now, after a change, since the next collection is not far. A change leaves
// more of it than anything else here: left alone, every second collection comes in the midst of one.
func collectEarly() bool {
	m := []metrics.Sample{{Name: "/gc/heap/goal:bytes"}, {Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(m)
	goal, live, now := m[0].Value.Uint64(), m[1].Value.Uint64(), m[2].Value.Uint64()
	return live < now && live < goal && now-live > (goal-live)/collectShare
}

// untilRenewal is the time until the engine needs new tokens.
func (p *Plane) untilRenewal() time.Duration {
	at := p.opt.Engine.RenewAt()
	if at.IsZero() {
		return ca.TokenTTL / 2
	}
	return max(time.Until(at), 0)
}

// feedOnce gives the engine whatever it does not have yet.
func (p *Plane) feedOnce(ctx context.Context, last *fed) error {
	p.mu.Lock()
	snap := p.taken.snap
	p.mu.Unlock()
	bundle, _ := p.authority.Bundle()
	if last.bundle == bundle.Version && p.untilRenewal() > 0 && runsAlike(last.snap, snap) {
		last.snap = snap
		return nil
	}
	if err := p.opt.Engine.Apply(ctx, snap, Settings{Roots: bundle.PEM(), Token: p.token}); err != nil {
		return err
	}
	last.snap, last.bundle = snap, bundle.Version
	return nil
}

// runsAlike says that two snapshots differ in nothing but policies and rules, which are for sidecars: an engine would run the
// same. Planning a hundred pods to find that out costs many times what the sidecars have to do.
func runsAlike(a, b *mesh.Snapshot) bool {
	if a == nil || a.Version == b.Version {
		return a != nil
	}
	x, y := *a, *b
	for _, s := range []*mesh.Snapshot{&x, &y} {
		s.Version, s.Documents = "", 0
		s.PeerAuthentications, s.Policies, s.DestinationRules, s.VirtualServices = nil, nil, nil, nil
	}
	return reflect.DeepEqual(&x, &y)
}

// LetPass implements web.Mesh.
func (p *Plane) LetPass(ctx context.Context) {
	p.mu.Lock()
	version := versionOf(p.published)
	p.mu.Unlock()
	if version == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, headStart)
	defer cancel()
	_, _, _ = p.xds.Wait(ctx, version) // whatever comes of it, the engine is next
}

// keep writes what is taken to the state folder.
func (p *Plane) keep(last *fed) error {
	p.mu.Lock()
	t := p.taken
	p.mu.Unlock()
	if t.snap.Version == last.kept {
		return nil
	}
	if err := p.saveTaken(&t); err != nil {
		return err
	}
	last.kept = t.snap.Version
	return nil
}

// token issues a token for a pod.
func (p *Plane) token(pod *mesh.Workload) (string, time.Time, error) {
	return p.tokens.Issue(identity(pod))
}

func identity(w *mesh.Workload) ca.Identity {
	account := w.ServiceAccount
	if account == "" {
		account = "default"
	}
	return ca.Identity{Namespace: w.Ref.Namespace, ServiceAccount: account, Workload: w.Ref.Name}
}
