package graph

import (
	"strings"

	"github.com/oarlock/oarlock/mesh"
)

// addRoutes takes the VirtualServices that gateways serve: each destination is called by the gateway's workload, or by an
// ingress node where the snapshot has no such workload.
func (b *builder) addRoutes() {
	for _, vs := range b.snap.VirtualServices {
		src := Source{Kind: SourceRoute, Text: vs.Ref.String(), At: placeOf(vs.Object)}
		for _, name := range vs.Gateways {
			if name == "mesh" {
				continue
			}
			for _, from := range b.gatewayCallers(name, vs) {
				b.route(from, vs, src)
			}
		}
	}
}

func (b *builder) route(from caller, vs *mesh.VirtualService, src Source) {
	// Short hosts of a route belong to the VirtualService's namespace, not to the gateway's.
	from.namespace = vs.Ref.Namespace
	for _, d := range vs.Destinations {
		if d.Origin != (mesh.Origin{}) {
			src.At.Origin = d.Origin
		}
		b.call(from, callee{host: d.Host, port: d.Port, subset: d.Subset}, src)
	}
}

// gatewayCallers are the workloads behind a gateway that a VirtualService of that namespace names.
func (b *builder) gatewayCallers(name string, vs *mesh.VirtualService) []caller {
	ref := gatewayRef(name, vs.Ref.Namespace)
	g := b.gateway(ref)
	var out []caller
	if g != nil && len(g.Selector) > 0 {
		for _, w := range b.snap.Workloads {
			if selects(g.Selector, w.Labels) {
				b.nodes[workloadID(w.Ref)].Gateway = true
				out = append(out, caller{id: workloadID(w.Ref), workload: w})
			}
		}
	}
	if len(out) > 0 {
		return out
	}
	n := &Node{ID: ingressID(ref), Kind: NodeIngress, Namespace: ref.Namespace, Name: ref.Name}
	why := "the gateway " + ref.Namespace + "/" + ref.Name + " is not declared"
	if g != nil {
		n.At = placeOf(g.Object)
		why = "no declared workload has the labels that the gateway " + ref.Namespace + "/" + ref.Name + " selects"
	}
	b.addNamespace(ref.Namespace, mesh.Object{})
	b.nodes[n.ID] = n
	return []caller{{id: n.ID, unknown: why}}
}

// gatewayRef reads NAME, NS/NAME, or the old NAME.NS.svc.cluster.local.
func gatewayRef(name, namespace string) mesh.Ref {
	r := mesh.Ref{Kind: mesh.KindGateway, Namespace: namespace, Name: name}
	if ns, short, ok := strings.Cut(name, "/"); ok {
		r.Namespace, r.Name = ns, short
	} else if short, rest, ok := strings.Cut(name, "."); ok {
		r.Name = short
		r.Namespace, _, _ = strings.Cut(rest, ".")
	}
	if r.Namespace == "." {
		r.Namespace = namespace
	}
	return r
}

func (b *builder) gateway(ref mesh.Ref) *mesh.Gateway {
	for _, g := range b.snap.Gateways {
		if g.Ref.Namespace == ref.Namespace && g.Ref.Name == ref.Name {
			return g
		}
	}
	return nil
}
