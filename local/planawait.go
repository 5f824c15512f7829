package local

import (
	"fmt"
	"slices"

	"github.com/oarlock/oarlock/mesh"
)

// callee is a service port that a pod declares to call.
type callee struct {
	service *planService
	port    *mesh.Port
}

// planAwaits lists whom the callers wait for. Kubernetes starts all at once, and the first requests of a mesh that has just
// come up fail; here callers start after whom they call, where that leads in no circle. What is waited for is no part of
// the fingerprint: it counts when a pod starts, and starts none.
func (p *planner) planAwaits() {
	callees := map[*planned][]callee{}
	for _, pod := range p.pods {
		callees[pod] = p.callees(pod)
	}
	circles := p.circles(callees)
	for _, pod := range p.pods {
		for _, c := range callees[pod] {
			if a := p.awaited(pod, c, circles); len(a.Pods) > 0 {
				pod.spec.Awaits = append(pod.spec.Awaits, a)
			}
		}
	}
}

// callees are the ports that a pod declares to call and that pods of this machine serve when they are ready.
func (p *planner) callees(pod *planned) []callee {
	var out []callee
	for _, call := range pod.w.Calls {
		for _, s := range p.services {
			if s.s.PublishNotReady || !means(pod.w, call, s.s) {
				continue
			}
			for i := range s.s.Ports {
				port := &s.s.Ports[i]
				c := callee{s, port}
				if !port.UDP() && (call.Port == 0 || call.Port == port.Number) && !slices.Contains(out, c) {
					out = append(out, c)
				}
			}
		}
	}
	return out
}

// awaited are the pods behind a port that do not themselves, by whatever way, wait for the caller: the caller leads to them, so
// those that lead to it are in a circle with it.
func (p *planner) awaited(pod *planned, c callee, circles map[*planned]int) awaited {
	s := c.service.s
	a := awaited{Name: fmt.Sprintf("%s.%s:%d", s.Ref.Name, s.Ref.Namespace, c.port.Number)}
	if pod.meshed() && !s.Headless() {
		a.Cluster = fmt.Sprintf("outbound|%d||%s", c.port.Number, s.Hostname)
	}
	for _, e := range c.service.endpoints {
		if _, ok := c.port.TargetOn(e.w); ok && e.spec.Failed == "" && e.spec.Blocked == "" && circles[e] != circles[pod] {
			a.Pods = append(a.Pods, e.w.Ref)
		}
	}
	return a
}

// circles numbers the pods by the circles of calls that they are in; one that is in none has a number of its own. These are the strongly
// connected components of pods and services, found by Tarjan's algorithm in one walk along all calls.
func (p *planner) circles(callees map[*planned][]callee) map[*planned]int {
	w := circleWalk{callees: callees, order: map[any]int{}, circle: map[any]int{}}
	out := make(map[*planned]int, len(p.pods))
	for _, pod := range p.pods {
		if w.order[pod] == 0 {
			w.visit(pod)
		}
		out[pod] = w.circle[pod]
	}
	return out
}

// circleWalk is one walk. Its nodes are *planned and *planService: a service between callers and pods keeps the edges few.
type circleWalk struct {
	callees map[*planned][]callee
	order   map[any]int // when a node was met first, from 1 on
	circle  map[any]int // of a node that is done: when the first of its circle was met
	open    []any       // nodes that are not done
}

// visit walks on from a node, and gives the earliest node, by order, that calls from there lead back to.
func (w *circleWalk) visit(node any) int {
	w.order[node] = len(w.order) + 1
	first, at := w.order[node], len(w.open)
	w.open = append(w.open, node)
	next := func(n any) {
		switch {
		case w.order[n] == 0:
			first = min(first, w.visit(n))
		case w.circle[n] == 0:
			first = min(first, w.order[n])
		}
	}
	switch n := node.(type) {
	case *planned:
		for _, c := range w.callees[n] {
			next(c.service)
		}
	case *planService:
		for _, e := range n.endpoints {
			next(e)
		}
	}
	if first == w.order[node] {
		for _, n := range w.open[at:] {
			w.circle[n] = first
		}
		w.open = w.open[:at]
	}
	return first
}
