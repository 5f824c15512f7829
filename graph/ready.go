package graph

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/oarlock/oarlock/mesh"
)

// run takes in what runs.
func (p *places) run(r *mesh.Running) {
	if r == nil {
		return
	}
	for i := range r.Pods {
		pod := &r.Pods[i]
		of := pod.Workload.Owner
		if of.IsZero() {
			of = pod.Workload.Ref
		}
		p.pods[of] = append(p.pods[of], pod)
	}
}

// podsBehind are the pods of a service; none where something else is behind it as well, or nobody knows what runs.
func (p *places) podsBehind(id string) []*mesh.Pod {
	found, known := p.behind[id]
	if !known {
		if s := p.services[strings.TrimPrefix(id, "service/")]; s != nil {
			found = p.podsOf(p.b.r.Endpoints(s))
		}
		p.behind[id] = found
	}
	return found
}

func (p *places) podsOf(endpoints []*mesh.Workload) []*mesh.Pod {
	var out []*mesh.Pod
	for _, w := range endpoints {
		pods := p.pods[w.Ref]
		if len(pods) == 0 {
			return nil
		}
		out = append(out, pods...)
	}
	return out
}

// noPod says how many pods a service has and why none of them is ready, as in "1 pod: readiness probe failed". It is "" where one is,
// where pods get traffic all the same, and where something else than pods is behind the service.
func (p *places) noPod(id string) string {
	pods := p.podsBehind(id)
	if len(pods) == 0 || p.services[strings.TrimPrefix(id, "service/")].PublishNotReady {
		return ""
	}
	return unready(pods)
}

// unready counts pods and says why they are not ready, where the reasons differ for the first of them; "" where one is ready.
func unready(pods []*mesh.Pod) string {
	if slices.ContainsFunc(pods, func(p *mesh.Pod) bool { return p.Ready }) {
		return ""
	}
	first := pods[0]
	out := "1 pod"
	if len(pods) > 1 {
		out = fmt.Sprintf("%d pods", len(pods))
	}
	if slices.ContainsFunc(pods, func(p *mesh.Pod) bool { return p.Reason != first.Reason }) {
		out += ", " + first.Workload.Ref.Name
	}
	return out + ": " + cmp.Or(first.Reason, "not ready yet")
}
