package control

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/oarlock/oarlock/api"
	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/metrics"
)

// strangers gives the effects of requiring mTLS on callers without a sidecar that were seen.
func (r *rig) strangers() []api.Effect {
	r.Helper()
	a, err := r.client.ChangeMTLS(r.Context(), api.MTLS{Verb: "require", Resource: "shop", Apply: api.Apply{DryRun: true}})
	if err != nil {
		r.Fatal(err)
	}
	var out []api.Effect
	for _, e := range a.Impact.Effects {
		if e.Client == "outside" && e.Requests+e.Connections > 0 {
			out = append(out, e)
		}
	}
	return out
}

// TestCallersByCertificate: a caller that the destination knows by its certificate alone, as Istio's do before 1.5, is no caller
// without a sidecar, and a change that leaves it alone needs no yes. Neither is one whose plaintext TCP has no name, where its
// own sidecar counts as much.
func TestCallersByCertificate(t *testing.T) {
	r, store := shopRig(t, nil)
	flows := called(metrics.SecurityMutualTLS)
	flows[0].Source = metrics.Peer{Namespace: "shop", Principal: "spiffe://cluster.local/ns/shop/sa/default"}
	store.set(flows, nil)
	if got := r.strangers(); len(got) > 0 {
		t.Errorf("the web is taken for a caller without a sidecar: %+v", got)
	}
	r.change("require", "shop", false)
	r.change("allow", "shop", false)
	store.set(append(called(metrics.SecurityNone), called(metrics.SecurityNone)...), nil)
	store.mu.Lock()
	store.flows[0].Reporter = metrics.Source
	store.flows[1].Source = metrics.Peer{}
	store.mu.Unlock()
	if got := r.strangers(); len(got) > 0 {
		t.Errorf("what the web's own sidecar counts is taken for a caller without one: %+v", got)
	}
}

// TestCallersOfTheFirstSeconds: before the sidecars of a new mesh are in sync, whoever has no name does not count. A plane that
// comes back to a mesh which runs counts him.
func TestCallersOfTheFirstSeconds(t *testing.T) {
	for _, fresh := range []bool{true, false} {
		r, store := shopRig(t, func(o *Options) {
			begun := time.Now().Add(time.Minute)
			if !fresh {
				begun = time.Now().Add(-time.Minute)
			}
			o.Engine = &begunAt{o.Engine.(*machine), begun}
		})
		flows := called(metrics.SecurityNone)
		flows[0].Source = metrics.Peer{}
		store.set(flows, nil)
		r.until("callers that count, or do not", func() bool { return len(r.strangers()) == 0 == fresh })
	}
}

// begunAt is an engine whose pods all began at one time.
type begunAt struct {
	*machine
	at time.Time
}

func (b *begunAt) Running(ctx context.Context) (*mesh.Running, <-chan struct{}, error) {
	running, changed, err := b.machine.Running(ctx)
	out := *running
	out.Pods = slices.Clone(running.Pods)
	for i := range out.Pods {
		out.Pods[i].Started = b.at
	}
	return &out, changed, err
}
