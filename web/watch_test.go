package web

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oarlock/oarlock/api"
	"github.com/oarlock/oarlock/manifest"
	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/resolve"
)

// slow is a mesh whose sidecars have what is published when passed is closed.
type slow struct {
	Mesh
	now    *Now
	passed chan struct{}
}

func (s *slow) Now() *Now                             { return s.now }
func (s *slow) LetPass(context.Context)               { <-s.passed }
func (s *slow) Acknowledged() <-chan struct{}         { return make(chan struct{}) }
func (s *slow) Coverage(string) (api.Coverage, bool)  { return api.Coverage{}, true }
func (s *slow) Have(string) (map[mesh.Ref]bool, bool) { return nil, true }
func (s *slow) Load(files []manifest.File) (*mesh.Snapshot, []mesh.Problem) {
	return manifest.Load(files, manifest.Options{})
}

// TestChangeIsWrittenDownAfterTheSidecars: what a change does to edges is known at once; the entry of the audit log, for which the
// store is asked, comes when the sidecars have the change, and has the time at which they were told. Who asks for the list of
// changes waits for it.
func TestChangeIsWrittenDownAfterTheSidecars(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &slow{passed: make(chan struct{})}
		a, err := NewAPI(Options{Mesh: m})
		if err != nil {
			t.Fatal(err)
		}
		publish := func(number uint64, text string) {
			files := []manifest.File{{Name: "mesh.yaml", Data: []byte(text)}}
			snap, _ := m.Load(files)
			m.now = &Now{Number: number, Taken: snap, Files: files, Published: resolve.New(snap), At: time.Now()}
			a.Took(m.now)
		}
		changes := func() string {
			w := httptest.NewRecorder()
			a.ServeHTTP(w, httptest.NewRequest("GET", "/v1/changes", nil))
			return w.Body.String()
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go a.followTaken(ctx)
		publish(1, "{apiVersion: v1, kind: Namespace, metadata: {name: shop}}\n")
		synctest.Wait()
		told := time.Now()
		publish(2, "{apiVersion: v1, kind: Namespace, metadata: {name: shop}}\n---\n"+
			"{apiVersion: security.istio.io/v1, kind: PeerAuthentication, metadata: {name: default, namespace: shop}, spec: {mtls: {mode: STRICT}}}\n")
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		if list, _, _ := a.journal.page("", 10); len(list) > 0 || a.tracker.version != m.now.version() {
			t.Errorf("while the sidecars wait, %d changes are written down and the tracker has %q", len(list), a.tracker.version)
		}
		close(m.passed)
		if got := changes(); !strings.Contains(got, "PeerAuthentication") {
			t.Errorf("after the sidecars have it: %s", got)
		}
		if list, _, _ := a.journal.page("", 10); len(list) != 1 || !list[0].At.Equal(told) {
			t.Errorf("%+v, want one change at %v", list, told)
		}
	})
}
