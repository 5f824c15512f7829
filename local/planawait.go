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
	callees := map[mesh.Ref][]callee{}
	for _, pod := range p.pods {
		callees[pod.w.Ref] = p.callees(pod)
	}
	for _, pod := range p.pods {
		for _, c := range callees[pod.w.Ref] {
			if a := p.awaited(pod, c, callees); len(a.Pods) > 0 {
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

// awaited are the pods behind a port that do not themselves, by whatever way, wait for the caller.
func (p *planner) awaited(pod *planned, c callee, callees map[mesh.Ref][]callee) awaited {
	s := c.service.s
	a := awaited{Name: fmt.Sprintf("%s.%s:%d", s.Ref.Name, s.Ref.Namespace, c.port.Number)}
	if pod.meshed() && !s.Headless() {
		a.Cluster = fmt.Sprintf("outbound|%d||%s", c.port.Number, s.Hostname)
	}
	for _, e := range c.service.endpoints {
		if _, ok := c.port.TargetOn(e.w); ok && e.spec.Failed == "" && e.spec.Blocked == "" && !leads(e, pod, callees, map[mesh.Ref]bool{}) {
			a.Pods = append(a.Pods, e.w.Ref)
		}
	}
	return a
}

// leads says whether calls of a pod, or of those that it calls, lead to another pod.
func leads(from, to *planned, callees map[mesh.Ref][]callee, seen map[mesh.Ref]bool) bool {
	if from == to {
		return true
	}
	if seen[from.w.Ref] {
		return false
	}
	seen[from.w.Ref] = true
	for _, c := range callees[from.w.Ref] {
		if slices.ContainsFunc(c.service.endpoints, func(e *planned) bool { return leads(e, to, callees, seen) }) {
			return true
		}
	}
	return false
}
