package graph

import (
	"cmp"
	"slices"

	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/metrics"
)

// addRoutes takes the VirtualServices that gateways serve: each destination is called by the gateway's workload, or by an
// ingress node where the snapshot has no such workload.
func (b *builder) addRoutes() {
	for _, vs := range b.snap.VirtualServices {
		src := Source{Kind: SourceRoute, Text: vs.Ref.String(), At: placeOf(vs.Object)}
		for _, name := range vs.Gateways {
			if name == mesh.MeshGateway {
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
	ref := mesh.GatewayRef(name, vs.Ref.Namespace)
	g := b.gateway(ref)
	var out []caller
	if g != nil && len(g.Selector) > 0 {
		for _, w := range b.snap.Workloads {
			if mesh.Selects(g.Selector, w.Labels) {
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

func (b *builder) gateway(ref mesh.Ref) *mesh.Gateway {
	for _, g := range b.snap.Gateways {
		if g.Ref.Namespace == ref.Namespace && g.Ref.Name == ref.Name {
			return g
		}
	}
	return nil
}

// ingress is a node that stands for the workload of a gateway.
type ingress struct {
	id       string
	selector map[string]string
}

// ingresses are the ingress nodes whose gateway is declared, in order.
func (b *builder) ingresses() []ingress {
	var out []ingress
	for id, n := range b.nodes {
		if n.Kind != NodeIngress {
			continue
		}
		ref := mesh.Ref{Kind: mesh.KindGateway, Namespace: n.Namespace, Name: n.Name}
		if g := b.gateway(ref); g != nil && len(g.Selector) > 0 {
			out = append(out, ingress{id, g.Selector})
		}
	}
	slices.SortFunc(out, func(x, y ingress) int { return cmp.Compare(x.id, y.id) })
	return out
}

// ingress finds the ingress node that a workload of no manifest is behind, going by what its sidecar says of itself: that with
// an edge to a node, else the first; "" where there is none.
func (p *places) ingress(peer *metrics.Peer, to string) string {
	first := ""
	for i := range p.ingresses {
		g := &p.ingresses[i]
		if !g.fits(peer) {
			continue
		}
		if len(p.b.between[[2]string{g.id, to}]) > 0 {
			return g.id
		}
		first = cmp.Or(first, g.id)
	}
	return first
}

// fits says whether a peer has the labels that the gateway selects, as far as a peer tells them. The label istio it does not
// tell: there, Istio's own gateways are called istio-VALUE, or VALUE.
func (g *ingress) fits(peer *metrics.Peer) bool {
	for k, v := range g.selector {
		names := []string{peer.App, peer.CanonicalService}
		switch k {
		case "app", "app.kubernetes.io/name", "service.istio.io/canonical-name":
		case "version", "app.kubernetes.io/version", "service.istio.io/canonical-revision":
			names = []string{peer.Version, peer.CanonicalRevision}
		case "istio":
			names = append(names, peer.Workload)
			if slices.Contains(names, "istio-"+v) {
				continue
			}
		default:
			return false
		}
		if !slices.Contains(names, v) {
			return false
		}
	}
	return true
}
