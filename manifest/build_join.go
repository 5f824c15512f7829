package manifest

import (
	"cmp"
	"slices"
	"strings"

	"github.com/oarlock/oarlock/mesh"
)

// joinWorkloads finds the owners of pods, drops what is no workload of its own, and predicts the sidecars of the rest.
//
// A controller whose pods are in the input is dropped, because they are its instances; so is one that another controller
// of the input made, and a pod whose containers have ended.
func (b *builder) joinWorkloads() {
	controllers := map[mesh.Ref]*workloadFacts{}
	for _, f := range b.workloads {
		if f.Ref.Kind != mesh.KindPod {
			controllers[f.Ref] = f
		}
	}
	dropped := map[mesh.Ref]bool{}
	for _, f := range b.workloads {
		if f.Ref.Kind == mesh.KindPod {
			b.ownPod(f, controllers, dropped)
		} else if controllers[f.controller] != nil {
			dropped[f.Ref] = true
		}
	}
	for _, ns := range b.namespaces {
		describeNamespace(ns, b.snap.Dialect)
	}
	undecided := map[string]*workloadFacts{}
	for _, f := range b.workloads {
		f.Router = f.Router || f.alone && b.opensGateway(f)
		if f.finished || dropped[f.Ref] {
			continue
		}
		ns := b.namespaces[f.Ref.Namespace]
		if decided := f.capture(ns, b.snap.Dialect); !decided && ns == nil && undecided[f.Ref.Namespace] == nil {
			undecided[f.Ref.Namespace] = f
		}
		b.snap.Workloads = append(b.snap.Workloads, f.Workload)
	}
	for name, f := range undecided {
		b.problems = append(b.problems, mesh.Problem{Severity: mesh.Warning, Origin: f.Origin,
			Ref:     mesh.Ref{Kind: mesh.KindNamespace, Name: name},
			Message: "read Namespace " + name + ": it is not here, so its workloads count as not injected",
			Hint:    "add the Namespace with its labels, or label the pods sidecar.istio.io/inject: \"true\"",
		})
	}
}

// opensGateway says whether a Gateway selects the workload, which must be nothing but a proxy for that to work.
func (b *builder) opensGateway(f *workloadFacts) bool {
	return slices.ContainsFunc(b.snap.Gateways, func(g *mesh.Gateway) bool {
		return len(g.Selector) > 0 && mesh.Selects(g.Selector, f.Labels)
	})
}

// ownPod follows a pod to the controller at the top and marks the controllers on the way.
func (b *builder) ownPod(f *workloadFacts, controllers map[mesh.Ref]*workloadFacts, dropped map[mesh.Ref]bool) {
	owner := f.controller
	for range 3 { // Pod, ReplicaSet, Deployment; Pod, Job, CronJob
		c := controllers[owner]
		if c == nil {
			break
		}
		if !f.finished {
			dropped[owner] = true
			f.inheritCalls(c)
		}
		if c.controller.IsZero() {
			break
		}
		owner = c.controller
	}
	if owner.Kind == mesh.KindReplicaSet {
		// A ReplicaSet that is not here is named after its Deployment and the hash that its pods carry.
		if name, ok := strings.CutSuffix(owner.Name, "-"+f.Labels["pod-template-hash"]); ok && name != "" && f.Labels["pod-template-hash"] != "" {
			owner.Kind, owner.Name = mesh.KindDeployment, name
			if c := controllers[owner]; c != nil && !f.finished {
				dropped[owner] = true
				f.inheritCalls(c)
			}
		}
	}
	f.Owner = owner
}

// inheritCalls adds the calls that the controller declares.
func (f *workloadFacts) inheritCalls(c *workloadFacts) {
	for _, call := range c.Calls {
		if !slices.ContainsFunc(f.Calls, func(e mesh.Call) bool { return e.Host == call.Host && e.Port == call.Port }) {
			f.Calls = append(f.Calls, call)
		}
	}
}

// joinServices gives Services without a selector the endpoints that EndpointSlices name.
func (b *builder) joinServices() {
	if len(b.slices) == 0 {
		return
	}
	services := map[mesh.Ref]*mesh.Service{}
	for _, s := range b.snap.Services {
		if !s.Entry() && len(s.Selector) == 0 && s.Resolution != mesh.ResolutionExternalName {
			services[s.Ref] = s
		}
	}
	byRef, byAddress := b.endpointIndex()
	slices.SortFunc(b.slices, func(x, y *sliceFacts) int { return x.Ref.Compare(y.Ref) })
	for _, slice := range b.slices {
		s := services[mesh.Ref{Kind: mesh.KindService, Namespace: slice.Ref.Namespace, Name: slice.service}]
		if s == nil {
			continue
		}
		for i, e := range slice.endpoints {
			w := byRef[e.target]
			for _, a := range e.addresses {
				w = cmp.Or(w, byAddress[a])
			}
			switch {
			case w == nil:
				s.Inline = append(s.Inline, slice.inline(i))
			case !slices.Contains(s.Bound, w):
				s.Bound = append(s.Bound, w)
			}
		}
	}
}

// endpointIndex finds workloads by Ref and by address. Of two with one address the first in order of Ref counts, and pods
// on the host's network, which share theirs, are found by Ref alone.
func (b *builder) endpointIndex() (byRef map[mesh.Ref]*mesh.Workload, byAddress map[string]*mesh.Workload) {
	byRef, byAddress = map[mesh.Ref]*mesh.Workload{}, map[string]*mesh.Workload{}
	for _, w := range b.snap.Workloads {
		byRef[w.Ref] = w
		if w.HostNetwork {
			continue
		}
		for _, a := range w.Addresses {
			if old := byAddress[a]; old == nil || w.Ref.Compare(old.Ref) < 0 {
				byAddress[a] = w
			}
		}
	}
	return byRef, byAddress
}

// inline gives an endpoint that is no workload of the input.
func (s *sliceFacts) inline(i int) *mesh.Workload {
	e := s.endpoints[i]
	w := &mesh.Workload{Object: inlineObject(s.Object, i, int32(e.origin.Line), int32(e.origin.Col)), Replicas: 1,
		Addresses: e.addresses, PortMap: s.ports, InlineOf: s.Ref}
	entryCapture(w)
	w.CaptureReason = "no workload has this address"
	return w
}
