package xds_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/resolve"
	"github.com/oarlock/oarlock/xds"
)

// TestConverge: whatever meshes came and in whatever haste, in the end every client has what its node shall have and, of
// clusters and listeners, nothing else. Some refuse now and then on the way.
func TestConverge(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	s := xds.NewServer(xds.Options{})
	conn := serve(t, s)
	var list []*resolve.Resolver
	for i := range 12 {
		more := ""
		for k := range 4 {
			if i>>k&1 == 1 {
				more += []string{strictAPI, third, strings.ReplaceAll(strings.ReplaceAll(third, "third", "fourth"), "81", "82"), reviewsRule}[k]
			}
		}
		list = append(list, town(t, more))
	}
	s.Set(list[0])
	var worlds []*sotw
	var differs []*differ
	var wg sync.WaitGroup
	for i := range 8 {
		pod := []string{"web-1", "api-1"}[i/2%2] // two of each kind of client for each pod
		if i%2 == 0 {
			c := newSotw(t, conn, nodeOf(pod))
			odd := rand.New(rand.NewPCG(seed, uint64(i)))
			left := 5
			c.refuse = func(string) string {
				if left > 0 && odd.IntN(4) == 0 {
					left--
					return "not today"
				}
				return ""
			}
			worlds = append(worlds, c)
			wg.Go(c.run)
		} else {
			c := newDiffer(t, conn, pod, nil)
			differs = append(differs, c)
			wg.Go(c.run)
		}
	}
	for range 60 {
		s.Set(list[rng.IntN(len(list))])
		time.Sleep(time.Duration(rng.IntN(4)) * time.Millisecond)
	}
	last := settle(t, s, list)
	s.Close()
	wg.Wait()
	for i, c := range worlds {
		checkState(t, fmt.Sprint("state of the world ", i), []string{"web-1", "api-1"}[i%2], last, c.got)
	}
	for i, c := range differs {
		checkState(t, fmt.Sprint("differences ", i), []string{"web-1", "api-1"}[i%2], last, c.got)
	}
}

// settle publishes until nobody refuses, and gives the mesh that is in force everywhere.
func settle(t *testing.T, s *xds.Server, list []*resolve.Resolver) *resolve.Resolver {
	t.Helper()
	for range 20 {
		for _, r := range list {
			s.Set(r)
			if acked, total, err := s.Wait(timeout(t), r.Snapshot().Version); err == nil && acked == total && total == 8 {
				return r
			}
		}
	}
	t.Fatalf("no mesh is in force: %+v", s.Status())
	return nil
}

const reviewsRule = `
---
kind: DestinationRule
apiVersion: networking.istio.io/v1
metadata: {name: web, namespace: app}
spec: {host: web, trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}, subsets: [{name: v1, labels: {app: web}}]}
`

func checkState(t *testing.T, who, pod string, r *resolve.Resolver, got map[string]map[string][]byte) {
	t.Helper()
	var w *mesh.Workload
	for _, x := range r.Snapshot().Workloads {
		if x.Ref.Name == pod {
			w = x
		}
	}
	v := xds.NewTranslator(r).View(xds.Node{Workload: w})
	for _, ty := range xds.Types() {
		n := 0
		for x := range v.All(ty) {
			n++
			if !bytes.Equal(got[ty.URL()][x.Name], x.Any.Value) {
				t.Errorf("%s, %s: %s %s is another or missing", who, pod, ty, x.Name)
			}
		}
		if ty == xds.Clusters || ty == xds.Listeners {
			if have := len(got[ty.URL()]); have != n {
				t.Errorf("%s, %s: %d %s, want %d: %v", who, pod, have, ty, n, sorted(got[ty.URL()]))
			}
		}
	}
}
