package meshtest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/oarlock/oarlock/mesh"
)

// initialMesh is what the contract suite begins with.
const initialMesh = `apiVersion: v1
kind: Namespace
metadata:
  name: foo
---
# Two policies of one namespace.
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata:
  name: default
  namespace: foo
spec:
  mtls:
    mode: STRICT # since March
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata:
  name: web
  namespace: foo
spec:
  selector:
    matchLabels:
      app: web
  mtls:
    mode: PERMISSIVE
`

// brokenMesh has an object that cannot be taken in beside one that can.
const brokenMesh = initialMesh + `---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata:
  name: broken
  namespace: foo
spec:
  mtls:
    mode: 17
`

// SourceWriter is the contract of Source and Writer. Open makes a place that holds the objects of a YAML text, and gives
// a Source and a Writer for it; it may skip a test whose text the place cannot hold.
func SourceWriter(t *testing.T, open func(t *testing.T, initial string) (mesh.Source, mesh.Writer)) {
	tests := []struct {
		name, initial string
		run           func(*testing.T, place)
	}{
		{"read", initialMesh, testRead},
		{"read a broken neighbour", brokenMesh, testBrokenNeighbour},
		{"create", initialMesh, testCreate},
		{"update", initialMesh, testUpdate},
		{"delete", initialMesh, testDelete},
		{"undo", initialMesh, testUndo},
		{"nothing to do", initialMesh, testNothing},
		{"stale precondition", initialMesh, testStale},
		{"empty precondition", initialMesh, testNoPrecondition},
		{"stale object", initialMesh, testStaleObject},
		{"create what is there", initialMesh, testCreateTwice},
		{"several at once", initialMesh, testSeveral},
		{"all or nothing", initialMesh, testAllOrNothing},
		{"concurrent reads", initialMesh, testConcurrentReads},
		{"concurrent writes", initialMesh, testConcurrentWrites},
		{"cancelled", initialMesh, testCancelled},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, w := open(t, tt.initial)
			tt.run(t, place{s, w})
		})
	}
}

// place is a Source with its Writer.
type place struct {
	mesh.Source
	mesh.Writer
}

func (p place) read(t *testing.T) mesh.Reading {
	t.Helper()
	r, err := p.Read(t.Context())
	if err != nil || r.Snapshot == nil {
		t.Fatalf("read: %v, snapshot %v", err, r.Snapshot)
	}
	return r
}

func (p place) write(t *testing.T, pre mesh.Precondition, changes ...mesh.Change) {
	t.Helper()
	if err := p.Write(t.Context(), pre, changes); err != nil {
		t.Fatalf("write: %v", err)
	}
}

// policies gives the mode of every PeerAuthentication by name.
func policies(r mesh.Reading) map[string]mesh.Mode {
	out := map[string]mesh.Mode{}
	for _, p := range r.Snapshot.PeerAuthentications {
		out[p.Ref.Name] = p.Mode
	}
	return out
}

// expect compares the policies of a fresh read; ModeUnset stands for one that must not be there.
func (p place) expect(t *testing.T, want map[string]mesh.Mode) {
	t.Helper()
	got := policies(p.read(t))
	for name, mode := range want {
		if got[name] != mode {
			t.Errorf("policy %q is %v, want %v", name, got[name], mode)
		}
	}
}

func find(t *testing.T, r mesh.Reading, name string) *mesh.PeerAuthentication {
	t.Helper()
	i := slices.IndexFunc(r.Snapshot.PeerAuthentications, func(p *mesh.PeerAuthentication) bool { return p.Ref.Name == name })
	if i < 0 {
		t.Fatalf("no policy %q", name)
	}
	return r.Snapshot.PeerAuthentications[i]
}

func create(name, mode string) mesh.Change {
	return mesh.Change{Op: mesh.Create, Ref: mesh.Ref{Kind: mesh.KindPeerAuthentication, Namespace: "foo", Name: name}, After: mesh.Tree{
		"apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication",
		"metadata": map[string]any{"name": name, "namespace": "foo"},
		"spec": map[string]any{
			"selector": map[string]any{"matchLabels": map[string]any{"app": name}},
			"mtls":     map[string]any{"mode": mode},
		},
	}}
}

func setMode(t *testing.T, r mesh.Reading, name, mode string) mesh.Change {
	t.Helper()
	p := find(t, r, name)
	after := mesh.CloneTree(p.Body)
	after["spec"].(map[string]any)["mtls"] = map[string]any{"mode": mode}
	return mesh.Change{Op: mesh.Update, Ref: p.Ref, Origin: p.Origin, Before: p.Body, After: after}
}

func remove(t *testing.T, r mesh.Reading, name string) mesh.Change {
	t.Helper()
	p := find(t, r, name)
	return mesh.Change{Op: mesh.Delete, Ref: p.Ref, Origin: p.Origin, Before: p.Body}
}

func testRead(t *testing.T, p place) {
	r := p.read(t)
	if r.Snapshot.Namespace("foo") == nil || len(policies(r)) != 2 || len(r.Precondition) == 0 {
		t.Errorf("read namespace %v, policies %v, precondition %v", r.Snapshot.Namespace("foo"), policies(r), r.Precondition)
	}
	for _, pr := range r.Problems {
		t.Errorf("problem: %v", pr)
	}
	if o := find(t, r, "web").Origin; o == (mesh.Origin{}) {
		t.Error("a policy has no origin")
	}
	if again := p.read(t); again.Snapshot.Version != r.Snapshot.Version || again.Snapshot == r.Snapshot {
		t.Errorf("reading again gives version %q, first %q; the same snapshot: %v", again.Snapshot.Version, r.Snapshot.Version, again.Snapshot == r.Snapshot)
	}
}

func testBrokenNeighbour(t *testing.T, p place) {
	r := p.read(t)
	if !slices.ContainsFunc(r.Problems, func(pr mesh.Problem) bool { return pr.Severity == mesh.Error }) {
		t.Error("no error about the broken object")
	}
	if got := policies(r); len(got) != 2 {
		t.Errorf("policies beside the broken one: %v", got)
	}
	p.write(t, r.Precondition, setMode(t, r, "default", "DISABLE"))
	p.expect(t, map[string]mesh.Mode{"default": mesh.ModeDisable, "web": mesh.ModePermissive})
}

func testCreate(t *testing.T, p place) {
	r := p.read(t)
	beside := create("beside", "DISABLE")
	beside.Origin = find(t, r, "web").Origin
	p.write(t, r.Precondition, create("new", "STRICT"), beside)
	p.expect(t, map[string]mesh.Mode{"new": mesh.ModeStrict, "beside": mesh.ModeDisable, "default": mesh.ModeStrict, "web": mesh.ModePermissive})
}

func testUpdate(t *testing.T, p place) {
	r := p.read(t)
	p.write(t, r.Precondition, setMode(t, r, "web", "DISABLE"))
	p.expect(t, map[string]mesh.Mode{"default": mesh.ModeStrict, "web": mesh.ModeDisable})
	if after := p.read(t); after.Snapshot.Version == r.Snapshot.Version {
		t.Error("the version is the same after a change")
	}
}

func testDelete(t *testing.T, p place) {
	r := p.read(t)
	p.write(t, r.Precondition, remove(t, r, "default"))
	p.expect(t, map[string]mesh.Mode{"default": mesh.ModeUnset, "web": mesh.ModePermissive})
}

func testUndo(t *testing.T, p place) {
	r := p.read(t)
	p.write(t, r.Precondition, setMode(t, r, "web", "STRICT"), create("new", "STRICT"))
	now := p.read(t)
	p.write(t, now.Precondition, setMode(t, now, "web", "PERMISSIVE"), remove(t, now, "new"))
	p.expect(t, policies(r))
	if back := p.read(t); len(policies(back)) != 2 {
		t.Errorf("policies after undo: %v", policies(back))
	}
}

func testNothing(t *testing.T, p place) {
	r := p.read(t)
	p.write(t, r.Precondition)
	p.write(t, r.Precondition, setMode(t, r, "default", "STRICT"))
	if again := p.read(t); again.Snapshot.Version != r.Snapshot.Version {
		t.Error("writing nothing changed something")
	}
}

// expectStale wants a *mesh.StaleError and that nothing was written.
func (p place) expectStale(t *testing.T, pre mesh.Precondition, changes ...mesh.Change) {
	t.Helper()
	before := p.read(t)
	err := p.Write(t.Context(), pre, changes)
	if stale := (*mesh.StaleError)(nil); !errors.As(err, &stale) {
		t.Errorf("write: %v, want a *mesh.StaleError", err)
	}
	if after := p.read(t); after.Snapshot.Version != before.Snapshot.Version {
		t.Error("a refused write changed something")
	}
}

func testStale(t *testing.T, p place) {
	r := p.read(t)
	p.write(t, r.Precondition, setMode(t, r, "web", "DISABLE"))
	p.expectStale(t, r.Precondition, setMode(t, r, "web", "STRICT"))
	p.expectStale(t, r.Precondition, remove(t, r, "web"))
}

func testNoPrecondition(t *testing.T, p place) {
	r := p.read(t)
	p.expectStale(t, mesh.Precondition{}, setMode(t, r, "web", "STRICT"))
}

func testStaleObject(t *testing.T, p place) {
	r := p.read(t)
	c := setMode(t, r, "web", "STRICT")
	c.Before = setMode(t, r, "web", "DISABLE").After
	p.expectStale(t, r.Precondition, c)
	c = remove(t, r, "web")
	c.Ref.Name = "another"
	p.expectStale(t, r.Precondition, c)
}

// expectRefused wants an error and that nothing was written.
func (p place) expectRefused(t *testing.T, r mesh.Reading, changes ...mesh.Change) {
	t.Helper()
	if err := p.Write(t.Context(), r.Precondition, changes); err == nil {
		t.Error("write gave no error")
	}
	if after := p.read(t); after.Snapshot.Version != r.Snapshot.Version {
		t.Error("a refused write changed something")
	}
}

func testCreateTwice(t *testing.T, p place) {
	r := p.read(t)
	again := create("web", "STRICT")
	again.Origin = find(t, r, "web").Origin
	p.expectRefused(t, r, again)
}

func testSeveral(t *testing.T, p place) {
	r := p.read(t)
	p.write(t, r.Precondition, remove(t, r, "default"), create("new", "DISABLE"), setMode(t, r, "web", "STRICT"))
	p.expect(t, map[string]mesh.Mode{"default": mesh.ModeUnset, "new": mesh.ModeDisable, "web": mesh.ModeStrict})
}

func testAllOrNothing(t *testing.T, p place) {
	r := p.read(t)
	missing := setMode(t, r, "web", "STRICT")
	missing.Ref.Name = "missing"
	for _, changes := range [][]mesh.Change{
		{setMode(t, r, "default", "DISABLE"), create("new", "STRICT"), missing},
		{missing, setMode(t, r, "default", "DISABLE")},
	} {
		p.expectRefused(t, r, changes...)
	}
}

func testConcurrentReads(t *testing.T, p place) {
	r := p.read(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 5 {
				got, err := p.Read(t.Context())
				if err != nil {
					t.Errorf("read: %v", err)
					return
				}
				if n := len(policies(got)); n != 2 && n != 3 {
					t.Errorf("read %d policies in the middle of a write", n)
				}
			}
		})
	}
	p.write(t, r.Precondition, create("new", "STRICT"))
	wg.Wait()
}

func testConcurrentWrites(t *testing.T, p place) {
	r := p.read(t)
	modes := []string{"STRICT", "DISABLE"}
	errs := make([]error, len(modes))
	var wg sync.WaitGroup
	for i, mode := range modes {
		change := setMode(t, r, "web", mode)
		wg.Go(func() { errs[i] = p.Write(t.Context(), r.Precondition, []mesh.Change{change}) })
	}
	wg.Wait()
	stale := 0
	for _, err := range errs {
		if s := (*mesh.StaleError)(nil); errors.As(err, &s) {
			stale++
		} else if err != nil {
			t.Errorf("write: %v", err)
		}
	}
	if stale != 1 {
		t.Errorf("of two writers with one precondition, %d were stale: %v", stale, errs)
	}
}

func testCancelled(t *testing.T, p place) {
	r := p.read(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Read(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("read under a cancelled context: %v", err)
	}
	if err := p.Write(ctx, r.Precondition, []mesh.Change{setMode(t, r, "web", "STRICT")}); !errors.Is(err, context.Canceled) {
		t.Errorf("write under a cancelled context: %v", err)
	}
	p.expect(t, policies(r))
}
