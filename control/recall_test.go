package control

import (
	"fmt"
	"testing"
	"time"

	"github.com/oarlock/oarlock/api"
)

const otherService = `apiVersion: v1
kind: Service
metadata: {name: other, namespace: shop}
spec: {selector: {app: other}, ports: [{name: http, port: 80}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: other, namespace: shop}
spec:
  selector: {matchLabels: {app: other}}
  template:
    metadata: {labels: {app: other}}
    spec: {containers: [{name: other, image: x, command: [other]}]}
`

// TestEveryChangeIsRecalled makes many changes, and has the control plane begin again: all of them are listed, page by page, the
// first can be undone, and an edge whose verdict only that one changed is judged by the traffic since. A file that somebody has
// changed since, without touching a policy, is no obstacle.
func TestEveryChangeIsRecalled(t *testing.T) {
	const n = 12
	r, _ := shopRig(t, nil)
	r.source.set("/mesh/other.yaml", otherService)
	r.reload()
	r.until("three pods", func() bool { return len(r.status().Pods) == 3 })
	first := r.change("require", "shop/api", true)
	for i := 1; i < n; i++ {
		verb := []string{"require", "disable"}[i%2]
		r.change(verb, "shop/other", true)
	}
	want := r.changes(n)
	r.source.set("/mesh/policy.yaml", "# by hand\n"+r.source.get("/mesh/policy.yaml"))
	r.reload()
	r.stop()
	r.run()
	for i, c := range r.changes(n) {
		if w := &want[i]; c.Name != w.Name || c.What != w.What || !c.At.Equal(w.At) || c.Diffs[0].Unified != w.Diffs[0].Unified || len(c.Impact.Effects) != len(w.Impact.Effects) {
			t.Errorf("change %d is %+v, and was %+v", i, c, w)
		}
	}
	var paged []string
	for before := ""; ; before = paged[len(paged)-1] {
		page, err := r.client.Changes(t.Context(), before, 5)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range page.Changes {
			paged = append(paged, c.Name)
		}
		if !page.More {
			break
		}
	}
	if len(paged) != n || paged[n-1] != first.Name {
		t.Errorf("the pages list %v", paged)
	}
	r.until("an edge that changed long before the last change", func() bool {
		g, err := r.client.Graph(t.Context(), api.GraphQuery{Window: 10 * time.Minute})
		return err == nil && len(g.Edges) == 1 && g.Edges[0].Changed != nil
	})
	undone, err := r.client.Undo(t.Context(), api.Undo{Name: first.Name, Apply: api.Apply{Yes: true}})
	if err != nil || !undone.Applied {
		t.Errorf("undo of the first: %+v %v", undone, err)
	}
	if one := r.changes(n + 1)[0]; one.What != fmt.Sprintf("undo %s (require shop/api)", first.Name) {
		t.Errorf("change %+v", one)
	}
}
