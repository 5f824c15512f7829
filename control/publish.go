package control

import (
	"time"

	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/resolve"
)

// versionsKept is how many versions are remembered in order. A sidecar that is further behind counts as not having any.
const versionsKept = 1 << 10

// versions remembers which publication was the last of each snapshot, by the numbers of xds.Server, and when.
type versions struct {
	next  uint64 // the number of the newest
	order map[string]uint64
	times map[string]time.Time
	ring  [versionsKept]string
}

// add notes a version as the newest.
func (v *versions) add(version string, now time.Time) {
	if v.order == nil {
		v.order, v.times = map[string]uint64{}, map[string]time.Time{}
	}
	v.next++
	slot := &v.ring[v.next%versionsKept]
	if old := *slot; old != "" && v.order[old]+versionsKept <= v.next {
		delete(v.order, old)
		delete(v.times, old)
	}
	*slot = version
	v.order[version], v.times[version] = v.next, now
}

// reached says whether a publication is the newest one of a version, or came after it. One before it does not count, though it may
// be of the same version: what was published in between may be on its way to the sidecar that has it.
func (v *versions) reached(have uint64, want string) bool {
	target, known := v.order[want]
	return known && have >= target
}

// runs takes what runs now. Only watch calls it.
func (p *Plane) runs(r *mesh.Running) {
	p.mu.Lock()
	p.running = r
	p.mu.Unlock()
	p.tell() // whoever has heard of a pod may ask for it, before the sidecars hear of it
	p.publish()
	p.tell()
}

// publish gives the sidecars what is taken with what runs, if that is not what they have. Before it is known what runs
// nothing is published: after a crash of the control plane sidecars would lose endpoints that are there. Only watch calls
// it.
func (p *Plane) publish() {
	p.mu.Lock()
	if p.running == nil {
		p.mu.Unlock()
		return
	}
	begin := time.Now()
	before := versionOf(p.published)
	next := p.taken.snap.WithRunning(p.running)
	p.published = next
	if next.Version == before {
		p.mu.Unlock()
		return
	}
	p.versions.add(next.Version, begin)
	last := p.resolver
	p.mu.Unlock()
	r := after(last, next)
	p.xds.Set(r)
	p.mu.Lock()
	p.resolver = r
	p.mu.Unlock()
	p.log.Debug("snapshot published", "version", next.Version, "took", time.Since(begin))
}

// after gives the resolver of the next snapshot, that of the last with what changed where most has not.
func after(last *resolve.Resolver, next *mesh.Snapshot) *resolve.Resolver {
	if last == nil {
		return resolve.New(next)
	}
	return last.With(next.Sharing(last.Snapshot()))
}
