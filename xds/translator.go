package xds

import (
	"fmt"
	"slices"
	"strings"

	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/resolve"
)

// Node is one client of the control plane.
type Node struct {
	Workload *mesh.Workload // of the snapshot
	// GRPC says that the application itself is the client (node metadata GENERATOR=grpc) and has no sidecar.
	GRPC bool
}

// Translator makes the resources of the nodes of one mesh. What several nodes share is made once. It may be used from one
// goroutine at a time; what it gives is immutable.
type Translator struct {
	r      *resolve.Resolver
	snap   *mesh.Snapshot
	legacy bool
	store  *store

	classes  map[*mesh.Workload]int
	sources  bool // some VirtualService asks for the labels of the client
	scopes   map[scopeKey]*scope
	clusters map[clusterKey]made
	names    map[*mesh.Service][]string // identities
	hosts    map[hostKey]*host
}

// made is a cluster with its endpoints; nil where they are not sent apart.
type made struct{ cluster, endpoints *Resource }

// NewTranslator prepares the translation of one mesh.
func NewTranslator(r *resolve.Resolver) *Translator { return newTranslator(r, newStore()) }

func newTranslator(r *resolve.Resolver, st *store) *Translator {
	t := &Translator{
		r: r, snap: r.Snapshot(), legacy: r.Snapshot().Dialect.Legacy(), store: st,
		classes:  map[*mesh.Workload]int{},
		scopes:   map[scopeKey]*scope{},
		clusters: map[clusterKey]made{},
		names:    map[*mesh.Service][]string{},
		hosts:    map[hostKey]*host{},
	}
	for i, c := range r.Classes() {
		for _, w := range c.Members {
			t.classes[w] = i
		}
	}
	for _, v := range t.snap.VirtualServices {
		t.sources = t.sources || slices.ContainsFunc(v.HTTP, func(h mesh.HTTPRoute) bool {
			return slices.ContainsFunc(h.Match, func(m mesh.HTTPMatch) bool { return len(m.SourceLabels) > 0 })
		}) || slices.ContainsFunc(v.TCP, func(h mesh.TCPRoute) bool {
			return slices.ContainsFunc(h.Match, func(m mesh.L4Match) bool { return len(m.SourceLabels) > 0 })
		})
	}
	return t
}

// View makes all resources of a node. A workload that is not of the snapshot gets none.
func (t *Translator) View(n Node) View {
	if _, ok := t.classes[n.Workload]; !ok {
		return View{}
	}
	var v View
	if n.GRPC {
		t.viewGRPC(&v, n)
		return v
	}
	sc := t.scope(n)
	for _, ty := range Types() {
		v.lists[ty].shared = sc.sets[ty]
	}
	if n.Workload.Router {
		t.viewGateway(&v, sc)
		return v
	}
	v.lists[Clusters].own = t.store.intern(t.inboundClusters(n.Workload))
	v.lists[Listeners].own = t.store.intern([]*Resource{t.virtualInbound(n.Workload)})
	return v
}

// scopeKey says which nodes see the same beyond themselves.
type scopeKey struct {
	class     int
	namespace string
	workload  *mesh.Workload // where labels or gateways matter, or the node has no sidecar
}

// scope is what the nodes of one scopeKey share: the mesh as they see it.
type scope struct {
	t        *Translator
	node     Node
	client   resolve.Client
	blocked  bool // REGISTRY_ONLY
	virtual  []*mesh.VirtualService
	clusters []*cluster // with those of subsets, in order of service, port, subset
	byPort   map[portKey]*cluster
	sets     [typeCount]*Set
}

type portKey struct {
	host   string
	port   uint32
	subset string
}

func (t *Translator) scopeKey(n Node) scopeKey {
	k := scopeKey{class: t.classes[n.Workload], namespace: n.Workload.Ref.Namespace}
	if t.sources || n.GRPC || n.Workload.Router {
		k.workload = n.Workload
	}
	return k
}

func (t *Translator) scope(n Node) *scope {
	k := t.scopeKey(n)
	if sc := t.scopes[k]; sc != nil {
		return sc
	}
	sc := t.newScope(n)
	t.scopes[k] = sc
	if !n.GRPC {
		var out [typeCount][]*Resource
		sc.addClusters(&out)
		if !n.Workload.Router {
			sc.addListeners(&out)
		}
		for _, ty := range Types() {
			sc.sets[ty] = t.store.intern(out[ty])
		}
	}
	return sc
}

// newScope finds the clusters that a node knows.
func (t *Translator) newScope(n Node) *scope {
	sc := &scope{t: t, node: n, client: resolve.Client{Workload: n.Workload}, byPort: map[portKey]*cluster{}}
	sc.blocked = t.r.Unknown(sc.client) == resolve.OutboundBlackHole
	sc.virtual = t.r.VirtualServices(sc.client)
	for _, s := range t.snap.Services {
		if s.Resolution == mesh.ResolutionExternalName && !t.legacy {
			continue // an alias: its name is one of those that the service behind it answers to
		}
		for i := range s.Ports {
			sc.addPort(s, &s.Ports[i])
		}
	}
	return sc
}

func (sc *scope) addPort(s *mesh.Service, p *mesh.Port) {
	k, ok := sc.t.r.Cluster(sc.client, s, p, "")
	if !ok || sc.byPort[portKey{s.Hostname, p.Number, ""}] != nil {
		return
	}
	sc.add(s, p, k)
	if k.Rule == nil {
		return
	}
	for _, name := range sc.t.r.Subsets(sc.client, s) {
		if k, ok := sc.t.r.Cluster(sc.client, s, p, name); ok {
			sc.add(s, p, k)
		}
	}
}

func (sc *scope) add(s *mesh.Service, p *mesh.Port, k resolve.Cluster) {
	c := &cluster{Cluster: k, service: s, port: p, protocol: resolve.PortProtocol(p, sc.t.snap.Dialect), router: sc.node.Workload.Router}
	c.Cluster.Original = k.Original && !c.router
	c.name = fmt.Sprintf("outbound|%d|%s|%s", p.Number, c.subset(), s.Hostname)
	sc.clusters = append(sc.clusters, c)
	sc.byPort[portKey{s.Hostname, p.Number, c.subset()}] = c
}

// addClusters adds the clusters and endpoints of the scope.
func (sc *scope) addClusters(out *[typeCount][]*Resource) {
	for _, c := range sc.clusters {
		m := sc.t.make(c)
		out[Clusters] = append(out[Clusters], m.cluster)
		if m.endpoints != nil {
			out[Endpoints] = append(out[Endpoints], m.endpoints)
		}
	}
	out[Clusters] = append(out[Clusters], sc.t.blackHole(), sc.t.passthrough(passthroughCluster))
}

// accounts are the identities of a service, by trust domain.
func (t *Translator) accounts(s *mesh.Service) []string {
	if _, ok := t.names[s]; !ok {
		t.names[s] = t.r.Accounts(s)
	}
	return t.names[s]
}

// configPath is where an object of networking.istio.io stands, as Istio's metadata says it.
func (t *Translator) configPath(kind string, o *mesh.Object) string {
	api := "networking.istio.io/v1"
	if t.legacy {
		api = "networking/v1alpha3"
	}
	return strings.Join([]string{"/apis", api, "namespaces", o.Ref.Namespace, kind, o.Ref.Name}, "/")
}

// Resolver is what the Translator was made from.
func (t *Translator) Resolver() *resolve.Resolver { return t.r }
