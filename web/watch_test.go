package web

import (
	"context"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oarlock/oarlock/api"
	"github.com/oarlock/oarlock/manifest"
	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/meshtest"
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

// TestImpactOfCalls: who stops to call a service with the change that takes it away loses nothing by it, and a route that stays is
// known to call it, also by a short name of a namespace that is not its gateway's.
func TestImpactOfCalls(t *testing.T) {
	const stays = `
{apiVersion: apps/v1, kind: Deployment, metadata: {name: front, namespace: edge}, spec: {selector: {matchLabels: {app: front}},
  template: {metadata: {labels: {app: front}}, spec: {containers: [{name: c, image: i}]}}}}
---
{apiVersion: networking.istio.io/v1, kind: Gateway, metadata: {name: front, namespace: edge}, spec: {selector: {app: front},
  servers: [{hosts: ["*"], port: {name: http, number: 80, protocol: HTTP}}]}}
---
{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: front, namespace: shop}, spec: {hosts: ["*"], gateways: [edge/front],
  http: [{route: [{destination: {host: api}}]}]}}
---
{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: shop%s}, spec: {selector: {matchLabels: {app: web}},
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: c, image: i}]}}}}
`
	const goes = `---
{apiVersion: v1, kind: Service, metadata: {name: api, namespace: shop}, spec: {selector: {app: api}, ports: [{name: http, port: 80}]}}
`
	before := resolve.New(meshtest.Snapshot(t, fmt.Sprintf(stays, ", annotations: {oarlock.dev/calls: api}")+goes, mesh.DialectCurrent))
	after := resolve.New(meshtest.Snapshot(t, fmt.Sprintf(stays, ""), mesh.DialectCurrent))
	a := &API{opt: Options{Mesh: &quiet{now: &Now{}}}}
	a.views = newViews(a)
	var declared []string
	for _, e := range a.impact(t.Context(), before, after).Effects {
		if e.Declared {
			declared = append(declared, e.Kind+" "+e.Client)
		}
	}
	if want := []string{"breaks front.edge"}; !slices.Equal(declared, want) {
		t.Errorf("known to call: %q, want %q", declared, want)
	}
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
