package resolve

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/oarlock/oarlock/mesh"
)

// forMeshes runs check on random meshes of every dialect; the seed of a mesh that fails is in its subtest's name.
func forMeshes(t *testing.T, n int, check func(t *testing.T, rng *rand.Rand, s *mesh.Snapshot)) {
	t.Helper()
	for d := mesh.Dialect11; d <= mesh.DialectCurrent; d++ {
		for seed := range uint64(n) {
			rng := rand.New(rand.NewPCG(seed, uint64(d)))
			s := randomMesh(rng, d)
			if !t.Run(d.String(), func(t *testing.T) {
				defer func() {
					if t.Failed() {
						t.Logf("seed %d", seed)
					}
				}()
				check(t, rng, s)
			}) {
				return
			}
		}
	}
}

func clients(s *mesh.Snapshot) []Client {
	out := []Client{{}}
	for _, w := range s.Workloads {
		out = append(out, Client{Workload: w})
	}
	return out
}

// questions lists every question that can be asked of a snapshot.
func questions(r *Resolver) []Target {
	out := []Target{{Host: "unknown.example.com", Port: 443}}
	for _, s := range r.Snapshot().Services {
		for _, p := range s.Ports {
			for _, sub := range []string{"", "v1", "nope"} {
				out = append(out, Target{Service: s, Port: p.Number, Subset: sub})
			}
			for _, w := range r.Endpoints(s) {
				out = append(out, Target{Service: s, Port: p.Number, Workload: w})
			}
		}
		out = append(out, Target{Service: s, Port: 4711})
	}
	for _, w := range r.Snapshot().Workloads {
		out = append(out, Target{Workload: w, Port: 8080}, Target{Workload: w, Port: 5555})
	}
	return out
}

func TestExplainEqualsResolve(t *testing.T) {
	forMeshes(t, 60, func(t *testing.T, _ *rand.Rand, s *mesh.Snapshot) {
		r := New(s)
		for _, c := range clients(s) {
			for _, to := range questions(r) {
				v, e := r.Resolve(c, to), r.Explain(c, to)
				if v != e.Verdict {
					t.Fatalf("%v -> %+v:\n resolve %+v\n explain %+v", c, to, v, e.Verdict)
				}
				if len(e.Reasons) == 0 {
					t.Fatalf("%v -> %+v: no reasons for %+v", c, to, v)
				}
				checkReasons(t, r, e)
			}
		}
	})
}

// checkReasons holds an explanation against itself: the rule and the policy that decided win exactly once, and what is on
// the wire follows from the endpoints.
func checkReasons(t *testing.T, r *Resolver, e *Explanation) {
	t.Helper()
	won := map[mesh.Ref]int{}
	for _, reason := range e.Reasons {
		if reason.Text == "" || strings.Contains(reason.Text, "%!") {
			t.Fatalf("a reason reads %q", reason.Text)
		}
		if reason.Outcome == Won {
			won[reason.Ref]++
		}
	}
	if v := e.Verdict; v.Rule != None && won[r.snap.DestinationRules[v.Rule].Ref] != 1 {
		t.Fatalf("rule %v in force wins %d times in %+v", r.snap.DestinationRules[v.Rule].Ref, won[r.snap.DestinationRules[v.Rule].Ref], e.Reasons)
	}
	if ref, _ := r.Policy(e.Verdict.Policy); !ref.IsZero() && won[ref] == 0 {
		t.Fatalf("policy %v decides but does not win in %+v", ref, e.Reasons)
	}
	for _, reason := range e.Reasons {
		checkLoser(t, r, e, reason)
	}
	var refused int32
	for _, end := range e.Endpoints {
		if end.Wire == WireRefused {
			refused += int32(len(end.Workloads))
		}
	}
	if refused != e.Verdict.Refused {
		t.Fatalf("%d endpoints refuse, the verdict says %d", refused, e.Verdict.Refused)
	}
}

// checkLoser holds what is said of a losing rule against the rule itself.
func checkLoser(t *testing.T, r *Resolver, e *Explanation, reason Reason) {
	t.Helper()
	if reason.Outcome != Lost || reason.Ref.Kind != mesh.KindDestinationRule || strings.Contains(reason.Text, "merged into") {
		return
	}
	k := slices.IndexFunc(r.snap.DestinationRules, func(d *mesh.DestinationRule) bool { return d.Ref == reason.Ref })
	d, client := r.snap.DestinationRules[k], e.Client.Workload.Ref.Namespace
	switch {
	case reason.Cause == CauseClientSelector && (d.WorkloadSelector == nil || mesh.Selects(d.WorkloadSelector, e.Client.Workload.Labels)):
		t.Fatalf("%v loses by a workloadSelector that it does not have: %q", d.Ref, reason.Text)
	case reason.Cause == CauseNotExported && !r.dialect.Legacy() && d.WorkloadSelector == nil && client != r.root.name &&
		(slices.Contains(d.ExportTo, client) || slices.Contains(d.ExportTo, "*") || len(d.ExportTo) == 0 && len(r.snap.Config.DefaultDestinationRuleExportTo) == 0):
		t.Fatalf("%v is exported to %s and is said not to be: %q", d.Ref, client, reason.Text)
	case reason.Cause == CauseFarther && client != r.root.name && e.Verdict.Rule != None && r.snap.DestinationRules[e.Verdict.Rule].Ref.Namespace == d.Ref.Namespace:
		t.Fatalf("%v lies as near as the rule in force: %q", d.Ref, reason.Text)
	case reason.Tie == TieNewest && r.snap.DestinationRules[e.Verdict.Rule].Age(&d.Object) <= 0:
		t.Fatalf("%v loses to one that is not newer: %q", d.Ref, reason.Text)
	}
}

func TestTableEqualsResolve(t *testing.T) {
	forMeshes(t, 60, func(t *testing.T, _ *rand.Rand, s *mesh.Snapshot) {
		r := New(s)
		table := r.Table()
		members := 0
		for k, c := range table.Classes() {
			members += len(c.Members)
			for _, w := range c.Members {
				for _, svc := range s.Services {
					for _, p := range svc.Ports {
						got, ok := table.Verdict(k, svc, p.Number)
						if want := r.Resolve(Client{Workload: w}, Target{Service: svc, Port: p.Number}); !ok || got != want {
							t.Fatalf("%v -> %s:%d: table %+v, resolve %+v", w.Ref, svc.Hostname, p.Number, got, want)
						}
					}
				}
			}
		}
		if members != len(s.Workloads) {
			t.Fatalf("classes have %d members, the mesh has %d workloads", members, len(s.Workloads))
		}
	})
}

// TestWithEqualsNew changes one object after another and holds the table that follows against a new one.
func TestWithEqualsNew(t *testing.T) {
	forMeshes(t, 60, func(t *testing.T, rng *rand.Rand, s *mesh.Snapshot) {
		table := New(s).Table()
		for range 6 {
			next := mutate(rng, table.Resolver().Snapshot())
			after, changed := table.With(next)
			fresh := New(next).Table()
			if len(after.Classes()) != len(fresh.Classes()) {
				t.Fatalf("%d classes, a new table has %d", len(after.Classes()), len(fresh.Classes()))
			}
			fresh.All(func(k int, svc *mesh.Service, p *mesh.Port, want Verdict) bool {
				got, _ := after.Verdict(k, svc, p.Number)
				if got != want && svc.Port(p.Number) == p {
					t.Fatalf("class %d -> %s:%d: %+v, a new table has %+v", k, svc.Hostname, p.Number, got, want)
				}
				return true
			})
			checkChanged(t, table, after, changed)
			table = after
		}
	})
}

// checkChanged holds the list of changed services against every workload's verdicts before and after.
func checkChanged(t *testing.T, before, after *Table, changed []*mesh.Service) {
	t.Helper()
	for _, c := range clients(after.r.snap) {
		for _, s := range after.r.snap.Services {
			for _, p := range s.Ports {
				to := Target{Service: s, Port: p.Number}
				if a, b := before.r.Resolve(c, to), after.r.Resolve(c, to); !a.Equal(b) && !slices.Contains(changed, s) {
					t.Fatalf("%s changed and is not listed: %+v, %+v", s.Hostname, a, b)
				}
			}
		}
	}
}

// mutate adds, removes or replaces one policy or rule.
func mutate(rng *rand.Rand, s *mesh.Snapshot) *mesh.Snapshot {
	next := *s
	g := &generator{rng: rng, s: &next, n: 1000 + rng.IntN(1000)}
	switch rng.IntN(3) {
	case 0:
		next.PeerAuthentications = mutated(g, s.PeerAuthentications, g.peerAuthentication)
	case 1:
		next.Policies = mutated(g, s.Policies, g.policy)
	default:
		next.DestinationRules = mutated(g, s.DestinationRules, g.rule)
	}
	// Sorting must not write to slices that the old snapshot shares.
	sorted := next
	sorted.Services, sorted.Workloads, sorted.Sidecars = nil, nil, nil
	g.s = &sorted
	g.sort()
	next.PeerAuthentications, next.Policies, next.DestinationRules = sorted.PeerAuthentications, sorted.Policies, sorted.DestinationRules
	return &next
}

func mutated[T any](g *generator, list []*T, make func() *T) []*T {
	list = slices.Clone(list)
	if len(list) > 0 && g.one(2) {
		k := g.rng.IntN(len(list))
		list = slices.Delete(list, k, k+1)
	}
	if len(list) == 0 || g.one(2) {
		list = append(list, make())
	}
	return list
}

func TestResolveDoesNotAllocate(t *testing.T) {
	for d := mesh.Dialect11; d <= mesh.DialectCurrent; d++ {
		r := New(randomMesh(rand.New(rand.NewPCG(7, uint64(d))), d))
		ask, who := questions(r), clients(r.snap)
		if n := testing.AllocsPerRun(5, func() {
			for _, c := range who {
				for _, to := range ask {
					r.Resolve(c, to)
				}
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", d, n)
		}
	}
}
