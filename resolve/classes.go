package resolve

import (
	"fmt"
	"slices"
	"strings"

	"github.com/oarlock/oarlock/mesh"
)

// Class is a group of clients that get the same verdict for every service.
type Class struct {
	Client  Client           // a representative; the zero Client for callers outside the mesh
	Members []*mesh.Workload // by namespace, name, kind; those without a sidecar for callers outside
}

// markApart finds the namespaces whose clients may get other verdicts than clients elsewhere, rules apart.
func (r *Resolver) markApart() {
	r.root.apart = true
	for i := range r.services {
		s := &r.services[i]
		if s.contested || !r.public(s) {
			s.ns.apart = true
			for _, e := range r.exportList(s) {
				if ns := r.namespaces[e]; ns != nil {
					ns.apart = true
				}
			}
		}
	}
	for _, sc := range r.snap.Sidecars {
		ns := r.namespace(sc.Ref.Namespace)
		ns.apart = true
		// The root namespace's Sidecar is everybody's, and "." in it is each namespace's own.
		own := slices.ContainsFunc(sc.Egress, func(l mesh.EgressListener) bool {
			return slices.ContainsFunc(l.Hosts, func(h string) bool { return strings.HasPrefix(h, "./") || strings.HasPrefix(h, "~./") })
		})
		r.distinct = r.distinct || ns == r.root && (own || len(r.snap.VirtualServices) > 0)
	}
}

// apart says whether clients of a namespace need a class of their own.
func (r *Resolver) apart(ns *namespace) bool {
	own := &r.rules[ns.id]
	return r.distinct || ns.apart || own.local != nil || own.named
}

// classKey is what decides for a client.
type classKey struct {
	capture   mesh.Capture
	ns        *namespace // nil where the namespace makes no difference
	scope     int32
	selectors string // the rules whose workloadSelector matches
	outbound  string // ports that are not captured
	router    bool
}

// Classes groups all workloads of the snapshot, callers without a sidecar last. Endpoints of ServiceEntries are not
// clients.
func (r *Resolver) Classes() []Class {
	classes, _ := r.classify()
	return classes
}

// classify gives the classes, and the class of every workload of the snapshot.
func (r *Resolver) classify() ([]Class, []int32) {
	var classes []Class
	of := make([]int32, len(r.snap.Workloads))
	known := map[classKey]int32{}
	last, lastClass := classKey{}, int32(-1)
	var outside []*mesh.Workload
	for i := range r.snap.Workloads {
		w := &r.workloads[i]
		if w.Capture == mesh.CaptureNone {
			of[i] = -1
			outside = append(outside, w.Workload)
			continue
		}
		key := r.classKey(w)
		if lastClass < 0 || key != last {
			k, ok := known[key]
			if !ok {
				k = int32(len(classes))
				known[key] = k
				classes = append(classes, Class{Client: Client{Workload: w.Workload}})
			}
			last, lastClass = key, k
		}
		of[i] = lastClass
		classes[lastClass].Members = append(classes[lastClass].Members, w.Workload)
	}
	for i := range of {
		if of[i] < 0 {
			of[i] = int32(len(classes))
		}
	}
	return append(classes, Class{Members: outside}), of
}

func (r *Resolver) classKey(w *workload) classKey {
	key := classKey{capture: w.Capture, scope: w.scope, router: w.Router}
	if w.Outbound.Include != nil || w.Outbound.Exclude != nil {
		key.outbound = fmt.Sprint(w.Outbound)
	}
	if !r.apart(w.ns) {
		return key
	}
	key.ns = w.ns
	if own := r.rules[w.ns.id].selectors; len(own) > 0 {
		var b strings.Builder
		for _, i := range own {
			if mesh.Selects(r.snap.DestinationRules[i].WorkloadSelector, w.Labels) {
				fmt.Fprintf(&b, "%d,", i)
			}
		}
		key.selectors = b.String()
	}
	return key
}
