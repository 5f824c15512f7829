package local

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/meshtest"
)

// callGraph makes pods and services of which random ones call each other. A service has the pods of one workload, or of several.
func callGraph(r *rand.Rand, pods, services, calls int) (*planner, map[*planned][]callee) {
	p := &planner{}
	for i := range pods {
		p.pods = append(p.pods, &planned{w: &mesh.Workload{Object: mesh.Object{Ref: mesh.Ref{Kind: mesh.KindPod, Name: fmt.Sprint("p", i)}}}})
	}
	for range services {
		s := &planService{}
		for range r.IntN(4) {
			s.endpoints = append(s.endpoints, p.pods[r.IntN(pods)])
		}
		p.services = append(p.services, s)
	}
	callees := map[*planned][]callee{}
	for range calls {
		from, s := p.pods[r.IntN(pods)], p.services[r.IntN(services)]
		callees[from] = append(callees[from], callee{service: s})
	}
	return p, callees
}

// TestCircles: two pods are in one circle where the calls of each lead to the other, as a search from each of them says.
func TestCircles(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	circles := 0
	for round := range 2000 {
		p, callees := callGraph(r, 1+r.IntN(12), 1+r.IntN(8), r.IntN(24))
		got := p.circles(callees)
		reach := map[*planned][]*planned{}
		for _, from := range p.pods {
			reach[from] = leadsTo(from, callees)
		}
		for _, a := range p.pods {
			for _, b := range p.pods {
				want := slices.Contains(reach[a], b) && slices.Contains(reach[b], a)
				if same := got[a] == got[b]; same != want {
					t.Fatalf("seed %d, round %d: %s and %s are in one circle: %v, want %v", seed, round, a.w.Ref.Name, b.w.Ref.Name, same, want)
				}
				if want && a != b {
					circles++
				}
			}
		}
	}
	if circles < 100 {
		t.Errorf("seed %d: %d pairs in circles are no test", seed, circles)
	}
}

// leadsTo gives the pods to which calls of one lead, and itself.
func leadsTo(from *planned, callees map[*planned][]callee) []*planned {
	out := []*planned{from}
	for i := 0; i < len(out); i++ {
		for _, c := range callees[out[i]] {
			for _, e := range c.service.endpoints {
				if !slices.Contains(out, e) {
					out = append(out, e)
				}
			}
		}
	}
	return out
}

// BenchmarkPlanAwaits is 300 pods of 30 services, each of which calls all services behind it.
func BenchmarkPlanAwaits(b *testing.B) {
	text := "{apiVersion: v1, kind: Namespace, metadata: {name: a}}\n"
	for i := range 30 {
		calls := ""
		for j := i + 1; j < 30; j++ {
			calls += fmt.Sprintf("s%d:80,", j)
		}
		text += fmt.Sprintf(`---
{apiVersion: v1, kind: Service, metadata: {name: s%[1]d, namespace: a}, spec: {selector: {app: s%[1]d}, ports: [{port: 80}]}}
---
{apiVersion: apps/v1, kind: Deployment, metadata: {name: s%[1]d, namespace: a}, spec: {replicas: 10, selector: {matchLabels: {app: s%[1]d}}, template: {metadata: {labels: {app: s%[1]d}, annotations: {oarlock.dev/calls: %[2]q}}, spec: {containers: [{name: app, command: [x]}]}}}}
`, i, calls)
	}
	n := testNumbers()
	p := newPlanner(testMachine(n), meshtest.Snapshot(b, text, mesh.DialectCurrent), testSettings, n)
	p.plan()
	for b.Loop() {
		for _, pod := range p.pods {
			pod.spec.Awaits = nil
		}
		p.planAwaits()
	}
}
