package xds

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

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
	sources  bool                       // some VirtualService asks for the labels of the client
	private  bool                       // some VirtualService is not for every namespace
	settings string                     // of the mesh, as far as inbound resources come from them
	names    map[*mesh.Service][]string // identities
	hosts    map[hostKey]host
	parts    map[string]*anypb.Any // what many resources have in them

	generation
	last generation // the last mesh's, as far as it counts still: taken over where it is asked for
}

// generation is what was made for one mesh and may serve for the next.
type generation struct {
	scopes   map[scopeKey]*scope
	clusters map[clusterKey]made
	inbound  map[string]inbound // by everything that it comes from
	managers map[managerKey]*listenerv3.Filter
}

// made is a cluster with its endpoints; nil where they are not sent apart.
type made struct {
	cluster, endpoints *Resource
	members            []resolve.Member // that the endpoints came from
}

// NewTranslator prepares the translation of one mesh.
func NewTranslator(r *resolve.Resolver) *Translator { return newTranslator(r, nil) }

// newTranslator takes over from the last one, if not nil, what cannot have changed since.
func newTranslator(r *resolve.Resolver, last *Translator) *Translator {
	t := &Translator{
		r: r, snap: r.Snapshot(), legacy: r.Snapshot().Dialect.Legacy(),
		classes:  map[*mesh.Workload]int{},
		names:    map[*mesh.Service][]string{},
		hosts:    map[hostKey]host{},
		parts:    map[string]*anypb.Any{},
		settings: fmt.Sprint(r.Snapshot().Dialect, r.Snapshot().Config, r.PeerPrefixes()),
		generation: generation{
			scopes:   map[scopeKey]*scope{},
			clusters: map[clusterKey]made{},
			inbound:  map[string]inbound{},
			managers: map[managerKey]*listenerv3.Filter{},
		},
	}
	t.take(last)
	for i, c := range r.Classes() {
		for _, w := range c.Members {
			t.classes[w] = i
		}
	}
	t.private = len(t.snap.Config.DefaultVirtualServiceExportTo) > 0
	for _, v := range t.snap.VirtualServices {
		t.private = t.private || len(v.ExportTo) > 0
		t.sources = t.sources || slices.ContainsFunc(v.HTTP, func(h mesh.HTTPRoute) bool {
			return slices.ContainsFunc(h.Match, func(m mesh.HTTPMatch) bool { return len(m.SourceLabels) > 0 || m.SourceNamespace != "" })
		}) || slices.ContainsFunc(v.TCP, func(h mesh.TCPRoute) bool {
			return slices.ContainsFunc(h.Match, func(m mesh.L4Match) bool { return len(m.SourceLabels) > 0 || m.SourceNamespace != "" })
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
	v.lists[Routes].shared = sc.routes(n)
	in := t.inboundOf(n.Workload)
	v.lists[Clusters].own, v.lists[Listeners].own = t.store.keep(in.clusters), t.store.keep(in.listeners)
	return v
}

// take keeps what the last Translator made: inbound resources where the mesh has the same settings, and clusters where it
// also has the same services and workloads, since their keys hold everything else.
func (t *Translator) take(last *Translator) {
	if last == nil {
		t.store = newStore()
		return
	}
	t.store = last.store
	t.store.turn()
	if t.settings != last.settings {
		return
	}
	t.parts, t.last.inbound, t.last.managers = last.parts, last.inbound, last.managers
	if same(t.snap.Services, last.snap.Services) && same(t.snap.Workloads, last.snap.Workloads) {
		t.last.clusters, t.names = last.clusters, last.names
		if same(t.snap.VirtualServices, last.snap.VirtualServices) && same(t.snap.Sidecars, last.snap.Sidecars) {
			t.last.scopes = last.scopes
		}
	}
}

// same says whether two lists are one.
func same[T any](a, b []T) bool { return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0]) }

// part gives a message that many resources have in them, packed once.
func (t *Translator) part(name string, pieces func() proto.Message) *anypb.Any {
	a := t.parts[name]
	if a == nil {
		a = pack(pieces())
		t.parts[name] = a
	}
	return a
}

// inbound is what one workload gets for itself.
type inbound struct{ clusters, listeners *Set }

// inboundOf makes it, or finds that of a workload whose ports are taken alike.
func (t *Translator) inboundOf(w *mesh.Workload) inbound {
	listens := t.r.Listens(w)
	key := inboundKey(listens)
	in, ok := t.inbound[key]
	if !ok {
		if in, ok = t.last.inbound[key]; !ok {
			in = inbound{t.store.intern(t.inboundClusters(listens)), t.store.intern([]*Resource{t.virtualInbound(listens)})}
		}
		t.inbound[key] = in
	}
	return in
}

// inboundKey is the same for ports that are taken alike.
func inboundKey(listens []resolve.Listen) string {
	var b []byte
	text := func(s string) { b = append(append(b, s...), 0) }
	number := func(n uint32) { b = binary.BigEndian.AppendUint32(b, n) }
	ref := func(r mesh.Ref) { text(string(r.Kind)); text(r.Namespace); text(r.Name) }
	truth := func(v bool) { b = strconv.AppendBool(b, v) }
	for i := range listens {
		l := &listens[i]
		number(l.Port)
		b = append(b, byte(l.Mode), byte(l.Protocol.Class))
		ref(l.Policy)
		text(l.Protocol.Name)
		truth(l.Declared)
		truth(l.OwnTLS)
		if truth(l.Service != nil); l.Service != nil {
			text(l.Service.Hostname)
			ref(l.Service.Ref)
			number(l.ServicePort.Number)
		}
	}
	return string(b)
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
	sets     [typeCount]*Set // of routes for a gateway alone

	// Tables of routes are made for each namespace, since short names mean other services there.
	http   map[uint32]*anyListener
	tables []routeTable
	tabled map[string]*Set
}

type portKey struct {
	host   string
	port   uint32
	subset string
}

func (t *Translator) scopeKey(n Node) scopeKey {
	k := scopeKey{class: t.classes[n.Workload]}
	if t.private {
		k.namespace = n.Workload.Ref.Namespace
	}
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
		sc.sets[Clusters], sc.sets[Endpoints] = t.store.intern(out[Clusters]), t.store.intern(out[Endpoints])
		if !n.Workload.Router && !sc.takeListeners(k) {
			sc.addListeners(&out)
			sc.sets[Listeners] = t.store.intern(out[Listeners])
		}
	}
	return sc
}

// takeListeners takes over the listeners and routes of a scope of the last mesh that had the same clusters. Policies, which
// are what changes most, are not in clusters.
func (sc *scope) takeListeners(k scopeKey) bool {
	t := sc.t
	for lk, last := range t.last.scopes {
		if lk.namespace != k.namespace || lk.workload != k.workload || last.blocked != sc.blocked || last.sets[Listeners] == nil ||
			!slices.Equal(last.virtual, sc.virtual) || !slices.EqualFunc(last.clusters, sc.clusters, (*cluster).equal) {
			continue
		}
		sc.sets[Listeners] = t.store.keep(last.sets[Listeners])
		sc.http, sc.tables = last.http, last.tables
		for ns, set := range last.tabled {
			sc.tabled[ns] = t.store.keep(set)
		}
		return true
	}
	return false
}

// newScope finds the clusters that a node knows.
func (t *Translator) newScope(n Node) *scope {
	sc := &scope{t: t, node: n, client: resolve.Client{Workload: n.Workload}, byPort: map[portKey]*cluster{}, tabled: map[string]*Set{}}
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
	if ok && secretive(k) {
		return
	}
	if !ok || sc.byPort[portKey{s.Hostname, p.Number, ""}] != nil {
		return
	}
	sc.add(s, p, k)
	if k.Rule == nil {
		return
	}
	for _, name := range sc.t.r.Subsets(sc.client, s) {
		if k, ok := sc.t.r.Cluster(sc.client, s, p, name); ok && !secretive(k) {
			sc.add(s, p, k)
		}
	}
}

// secretive says whether a cluster would need a Secret of Kubernetes, which no sidecar gets from here: such a cluster does
// not exist, and what is sent there is answered with 503. Plaintext would be worse.
func secretive(k resolve.Cluster) bool {
	return k.TLS != nil && k.TLS.CredentialName != "" && (k.Sends == mesh.ClientSimple || k.Sends == mesh.ClientMutual)
}

func (sc *scope) add(s *mesh.Service, p *mesh.Port, k resolve.Cluster) {
	c := &cluster{Cluster: k, service: s, port: p, protocol: resolve.PortProtocol(p, sc.t.snap.Dialect), router: sc.node.Workload.Router}
	c.Cluster.Original = k.Original && !c.router
	c.name = fmt.Sprintf("outbound|%d|%s|%s", p.Number, c.subset(), s.Hostname)
	sc.clusters = append(sc.clusters, c)
	sc.byPort[portKey{s.Hostname, p.Number, c.subset()}] = c
}

// routes are the tables of a node of the scope.
func (sc *scope) routes(n Node) *Set {
	ns := n.Workload.Ref.Namespace
	set, ok := sc.tabled[ns]
	if !ok {
		near := *sc
		near.node = n
		set = sc.t.store.intern(near.routeTables())
		sc.tabled[ns] = set
	}
	return set
}

// addClusters adds the clusters and endpoints of the scope.
func (sc *scope) addClusters(out *[typeCount][]*Resource) {
	for _, c := range sc.clusters {
		m := sc.t.make(c)
		sc.t.store.hold(m.cluster, m.endpoints)
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
