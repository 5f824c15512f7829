package web

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/oarlock/oarlock/api"
	"github.com/oarlock/oarlock/graph"
	"github.com/oarlock/oarlock/manifest"
	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/plan"
	"github.com/oarlock/oarlock/resolve"
)

// Bounds of the work in the background.
const (
	tookKept     = 16                     // states that wait to be looked at
	ackPause     = 10 * time.Millisecond  // between two counts of the sidecars
	tickPause    = 500 * time.Millisecond // between two looks for a new picture
	storeEvery   = 5 * time.Second
	journalEvery = 2 * time.Second // until lines that could not be written are tried again
	recallTime   = 5 * time.Second // for the meshes before changes that are in the journal
	impactSlow   = 2 * time.Second // how long the observations for the impact of somebody's edit may take
)

// queue has the states of the mesh that were not looked at yet, oldest first.
type queue struct {
	mu   sync.Mutex
	list []*Now
	wake chan struct{} // of size one
}

// Took says what is in force from now on, or why something is not. It keeps n and returns at once.
func (a *API) Took(n *Now) {
	q := &a.took
	q.mu.Lock()
	if len(q.list) == tookKept {
		q.list = slices.Delete(q.list, 1, 2) // a step is lost between the first and the last, which will be seen as one
	}
	q.list = append(q.list, n)
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *queue) take() *Now {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.list) == 0 {
		return nil
	}
	n := q.list[0]
	q.list = q.list[1:]
	return n
}

// Run does what goes on in the background until ctx ends: it follows what the mesh takes and what sidecars acknowledge,
// tells it to the event streams, and tries ports.
func (a *API) Run(ctx context.Context) {
	var wg sync.WaitGroup
	wg.Go(func() { a.followTaken(ctx) })
	wg.Go(func() { a.followSidecars(ctx) })
	wg.Go(func() { a.followPicture(ctx) })
	wg.Go(func() { a.followJournal(ctx) })
	if a.opt.ProbeEvery > 0 {
		wg.Go(func() { a.probeAll(ctx) })
	}
	wg.Wait()
}

// followJournal writes what the audit log had no room for.
func (a *API) followJournal(ctx context.Context) {
	tick := time.NewTicker(journalEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if a.journal.retry() {
				a.log.Info("the audit log is written again")
			}
		case <-ctx.Done():
			return
		}
	}
}

func (a *API) followTaken(ctx context.Context) {
	for {
		a.look(ctx)
		select {
		case <-a.took.wake:
		case <-ctx.Done():
			return
		}
	}
}

// look goes through what the mesh has taken since the last look.
func (a *API) look(ctx context.Context) {
	a.watching.Lock()
	defer a.watching.Unlock()
	for {
		switch before, n := a.step(); {
		case n == nil:
			return
		case before != nil:
			a.compare(ctx, before, n)
		}
	}
}

// step goes on to the next state that the mesh has taken, nil where there is none. Of the first one it tells the tracker, with the
// changes before it that the journal knows.
func (a *API) step() (before, n *Now) {
	a.stepping.Lock()
	defer a.stepping.Unlock()
	return a.stepOn()
}

func (a *API) stepOn() (before, n *Now) {
	if n = a.took.take(); n == nil {
		return nil, nil
	}
	before, a.seen = a.seen, n
	if before == nil {
		a.recall(n)
		a.tracker.published(n)
	}
	return before, n
}

// begin takes the first state, unless it was taken: a picture that is made earlier would take a later one for the first.
func (a *API) begin() {
	a.stepping.Lock()
	defer a.stepping.Unlock()
	if a.seen == nil {
		a.stepOn()
	}
}

// compare tells what is new.
func (a *API) compare(ctx context.Context, before, n *Now) {
	if n.Held != before.Held {
		a.events.add(api.Event{Type: eventHeld, Text: n.Held})
	}
	defer a.recount()
	if before.version() == "" && n.version() != "" {
		a.journal.adopt(n.version())
	}
	if n.version() != before.version() {
		a.tracker.published(n)
		c, _ := a.opt.Mesh.Coverage("")
		a.events.add(api.Event{Type: eventSnapshot, At: n.At, Snapshot: n.version(), Sync: &c})
	}
	for _, e := range a.changesBetween(ctx, before, n) {
		a.record(e)
	}
}

// recall tells the tracker of changes that were made before this process began, from the journal: what was seen before them
// is in the store still.
func (a *API) recall(n *Now) {
	files, begun := n.Files, time.Now()
	list, _, _ := a.journal.page("", changesKept)
	for _, e := range list { // newest first
		before, ok := e.before(files)
		if !ok || begun.Sub(e.At) > mostWindow || time.Since(begun) > recallTime {
			return
		}
		if len(e.Diffs) == 0 {
			continue
		}
		snap, _ := a.opt.Mesh.Load(before)
		since := e.InForce
		if since.IsZero() {
			since = time.Now() // at the latest
		}
		if !a.tracker.recall(resolve.New(snap), e.At, since) {
			return
		}
		files = before
	}
}

// record writes a change down and tells it.
func (a *API) record(e *entry) {
	what, who := e.What, e.Who // an author may come later, from another goroutine
	if err := a.journal.add(e); err != nil {
		a.log.Error("the audit log has a problem", "change", e.Name, "what", what, "error", err)
	}
	a.log.Info("mesh changed", "change", e.Name, "what", what, "who", who)
	a.events.add(api.Event{Type: eventChange, Change: e.Name, Snapshot: e.Snapshot})
}

// announce says who has just written files, and gives the name of the change, "" where it is not known yet. Where the mesh was
// faster, the change gets its author now.
func (a *API) announce(by *announcement) string {
	amended, err := a.journal.announce(by)
	if err != nil {
		a.log.Error("the audit log cannot be written", "error", err)
	}
	if amended == nil {
		return by.name
	}
	a.events.add(api.Event{Type: eventChange, Change: amended.Name, Snapshot: amended.Snapshot})
	return amended.Name
}

// changesBetween finds the changes that led from one state to the next: those that were announced, and what somebody did
// to the files besides.
func (a *API) changesBetween(ctx context.Context, before, n *Now) []*entry {
	files, changed := contents(n.Files), changedFiles(before.Files, n.Files)
	if before.version() == "" && n.version() == "" { // what was in force when this began may be older than the journal
		maps.DeleteFunc(changed, func(name string, _ bool) bool { return a.journal.knows(name, files[name]) })
	}
	if len(changed) > 0 {
		a.opt.Mesh.LetPass(ctx) // somebody waits for the sidecars, and nobody for what follows
	}
	var out []*entry
	for len(changed) > 0 {
		one := a.journal.claim(time.Now(), files, changed)
		if one == nil {
			break
		}
		mine := map[string]bool{}
		for name := range one.files {
			if changed[name] {
				mine[name] = true
				delete(changed, name)
			}
		}
		e := a.newEntry(before, n, mine)
		e.Who, e.User, e.Undoes, e.Steps = one.who, one.user, one.undoes, one.steps
		e.What, e.Name = cmp.Or(one.what, e.What), cmp.Or(one.name, e.Name)
		e.Impact = a.impactOf(ctx, one.impact, before, n)
		one.made = e
		out = append(out, e)
	}
	if e := a.newEntry(before, n, changed); len(e.Objects) > 0 {
		e.Who, e.Impact = whoFiles, a.impactOf(ctx, nil, before, n)
		out = append(out, e)
	}
	return out
}

// newEntry describes what became of some files.
func (a *API) newEntry(before, n *Now, names map[string]bool) *entry {
	e := &entry{Change: api.Change{At: time.Now(), Objects: []api.Ref{}, Diffs: []api.Diff{}, Snapshot: n.version()}}
	if n.version() != before.version() {
		e.At = n.At
	}
	edits := editsBetween(before.Files, n.Files, names)
	e.Diffs, e.Withheld = shownDiffs(edits, before.Taken, n.Taken)
	changed := changedPolicies(before.Taken, n.Taken, names)
	for _, r := range changed {
		e.Objects = append(e.Objects, Ref(r))
	}
	e.What, e.Name = whatWords(changed, edits, policies(before.Taken), policies(n.Taken)), mesh.HumanName([]byte(manifest.Diff(edits)))
	return e
}

// whatWords says in a line what was done to policies, of those that were there and are there, or else to files: add and remove
// where nothing but that was done.
func whatWords(changed []mesh.Ref, edits []manifest.FileEdit, was, is map[mesh.Ref]policy) string {
	var before, after int // how many of them there were, and are
	what := fmt.Sprintf("%d files", len(edits))
	if len(edits) == 1 {
		what = edits[0].Name
	}
	for _, e := range edits {
		before += min(1, len(e.Before))
		after += min(1, len(e.After))
	}
	if len(changed) > 0 {
		before, after, what = 0, 0, fmt.Sprintf("%d policies", len(changed))
	}
	if len(changed) == 1 {
		what = string(changed[0].Kind) + " " + strings.TrimPrefix(changed[0].Namespace+"/"+changed[0].Name, "/")
	}
	for _, r := range changed {
		if _, there := was[r]; there {
			before++
		}
		if _, there := is[r]; there {
			after++
		}
	}
	switch 0 {
	case before:
		return "add " + what
	case after:
		return "remove " + what
	}
	return "edit " + what
}

// impactOf is the impact that was computed before the change, or else what can be said now.
func (a *API) impactOf(ctx context.Context, known *api.Impact, before, n *Now) api.Impact {
	if known != nil {
		return *known
	}
	ctx, cancel := context.WithTimeout(ctx, impactSlow)
	defer cancel()
	return *a.impact(ctx, before.Declared(), n.Declared())
}

// impact compares two meshes, with what was observed of late.
func (a *API) impact(ctx context.Context, before, after *resolve.Resolver) *api.Impact {
	seen, trouble := a.callers(ctx)
	known := plan.Known{Observed: seen}
	for _, c := range graph.Build(after).Calls() {
		known.Calls = append(known.Calls, plan.Call(c))
	}
	out := plan.Compare(before, after, known)
	out.Trouble = trouble
	return out
}

// followSidecars counts the sidecars whenever one has acknowledged something.
func (a *API) followSidecars(ctx context.Context) {
	var last api.Coverage
	var version string
	for ctx.Err() == nil {
		acknowledged, begun := a.opt.Mesh.Acknowledged(), time.Now()
		n := a.opt.Mesh.Now()
		c, known := a.opt.Mesh.Coverage(n.version())
		if known && (c != last || n.version() != version) {
			last, version = c, n.version()
			a.events.add(api.Event{Type: eventSync, Snapshot: version, Sync: &c, Elapsed: milliseconds(time.Since(n.At))})
		}
		a.settled.look(n, c, known)
		a.tracker.acknowledged(a.opt.Mesh, time.Now())
		a.enforced()
		pause(ctx, max(ackPause, 10*time.Since(begun))) // in a large mesh sidecars acknowledge faster than they are counted
		select {
		case <-acknowledged:
		case <-a.counted:
		case <-ctx.Done():
		}
	}
}

// recount lets followSidecars count again.
func (a *API) recount() {
	select {
	case a.counted <- struct{}{}:
	default:
	}
}

// enforced notes which changes are in force everywhere now.
func (a *API) enforced() {
	for name, version := range a.journal.pending() {
		c, known := a.opt.Mesh.Coverage(version)
		if !known || c.InForce < c.Total {
			continue
		}
		if err := a.journal.inForce(name, time.Now(), c.Total); err != nil {
			a.log.Error("the audit log cannot be written", "error", err)
		}
		a.events.add(api.Event{Type: eventChange, Change: name, Snapshot: version, Sync: &c})
	}
}

// followPicture tells those who listen that there is something new to see.
func (a *API) followPicture(ctx context.Context) {
	var last pictureMark
	var store string
	asked := time.Time{}
	ticker := time.NewTicker(tickPause)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		if !a.events.watched() {
			continue
		}
		if time.Since(asked) > storeEvery && a.opt.Flows != nil {
			asked = time.Now()
			if h := a.opt.Flows.Health(ctx); h.Problem != store {
				store = h.Problem
				a.events.add(api.Event{Type: eventStore, Text: store})
			}
		}
		p, err := a.views.get(ctx, baseWindow)
		if err == nil && p.mark != last {
			last = p.mark
			a.events.add(api.Event{Type: eventPicture, Snapshot: p.mark.version})
		}
	}
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
