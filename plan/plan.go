package plan

import (
	"cmp"
	"slices"

	"github.com/oarlock/oarlock/api"
	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/metrics"
	"github.com/oarlock/oarlock/resolve"
)

// The kinds of an effect, those first that somebody should look at first.
const (
	Breaks = "breaks" // it worked, and is refused, or by more endpoints than before
	Opens  = "opens"  // it was encrypted, and is plaintext, or in part
	Mends  = "mends"  // the reverse of breaks
	Locks  = "locks"  // the reverse of opens
	Other  = "other"  // the server takes more or less than before, or something else is told apart
)

// kinds are all kinds in their order.
var kinds = []string{Breaks, Opens, Mends, Locks, Other}

// Known is what is known of who calls whom; the zero Known is nothing.
type Known struct {
	// Calls are those that the manifests declare after the change: who stops to call with it loses nothing. Whose client or
	// port is in neither mesh counts for nothing.
	Calls []Call
	// Observed is what traffic did, nil where nobody looked.
	Observed *metrics.Observation
}

// Call is a call that the manifests declare.
type Call struct {
	Client    mesh.Ref // the workload, or one of its pods; zero for callers without a sidecar
	Host      string   // as a person types it in Namespace, or in full
	Namespace string   // that of a route, which is not its gateway's; "" for the client's
	Port      uint32   // 0: every port
	Subset    string   // of the DestinationRule in force, where a route names one
}

// Compare says what the step from one mesh to another does. Trouble of the answer is the caller's to fill in.
func Compare(before, after *resolve.Resolver, known Known) *api.Impact {
	return Tables(before.Table(), after.Table(), known)
}

// Tables is Compare for whoever has the verdicts: the second table is cheap where [resolve.Table.With] makes it of the
// first.
func Tables(before, after *resolve.Table, known Known) *api.Impact {
	c := &comparison{before: side{t: before}, after: side{t: after}, out: &api.Impact{Effects: []api.Effect{}}}
	c.before.index()
	c.after.index()
	c.meet()
	c.learn(known)
	for _, p := range c.ports() {
		c.comparePort(p)
	}
	c.finish(known.Observed)
	return c.out
}

// Live says whether somebody is known to make the call of an effect: it is declared, or was seen.
func Live(e *api.Effect) bool { return e.Declared || Seen(e) }

// Seen says whether traffic of an effect's call was seen.
func Seen(e *api.Effect) bool { return e.Requests > 0 || e.Connections > 0 }

// comparison is one comparison under way.
type comparison struct {
	before, after side
	groups        []group
	groupOf       map[mesh.Ref]int32
	users         map[portKey][]user // who is known to call a port, in order of client
	namesakes     map[[2]string]int  // clients by namespace and name
	out           *api.Impact
}

// side is one of the two meshes.
type side struct {
	t       *resolve.Table
	clients map[mesh.Ref]int32 // class of each client; the zero Ref is a caller outside
}

func (s *side) resolver() *resolve.Resolver { return s.t.Resolver() }

// index notes the class of every client. Pods of one workload that differ, by label, count as the first of them.
func (s *side) index() {
	s.clients = map[mesh.Ref]int32{}
	classes := s.t.Classes()
	for k := range classes {
		for _, w := range classes[k].Members {
			if ref := clientRef(w); !hasKey(s.clients, ref) {
				s.clients[ref] = int32(k)
			}
		}
	}
	s.clients[mesh.Ref{}] = int32(len(classes) - 1)
}

func hasKey[K comparable, V any](m map[K]V, k K) bool { _, ok := m[k]; return ok }

// clientRef names the workload that a pod is of, so that a mesh that runs compares with one that does not.
func clientRef(w *mesh.Workload) mesh.Ref {
	if w.Ref.Kind == mesh.KindPod && !w.Owner.IsZero() {
		return w.Owner
	}
	return w.Ref
}

// group is the clients that are of one class before and of one class after.
type group struct {
	before, after int32
	members       []mesh.Ref // in order; the zero Ref, a caller outside, first
}

// meet lays the classes of both meshes over each other. Who is gone calls nobody any more, and who is new has no verdict
// to compare with: see comparePort.
func (c *comparison) meet() {
	at := map[[2]int32]int32{}
	c.groupOf = map[mesh.Ref]int32{}
	for ref, after := range c.after.clients {
		before, ok := c.before.clients[ref]
		if !ok {
			continue
		}
		key := [2]int32{before, after}
		k, ok := at[key]
		if !ok {
			k = int32(len(c.groups))
			at[key] = k
			c.groups = append(c.groups, group{before: before, after: after})
		}
		c.groups[k].members = append(c.groups[k].members, ref)
		c.groupOf[ref] = k
	}
	for k := range c.groups {
		slices.SortFunc(c.groups[k].members, compareClients)
	}
	slices.SortFunc(c.groups, func(x, y group) int { return compareClients(x.members[0], y.members[0]) })
	for k := range c.groups {
		for _, ref := range c.groups[k].members {
			c.groupOf[ref] = int32(k)
		}
	}
}

func compareClients(x, y mesh.Ref) int {
	return cmp.Or(cmp.Compare(x.Namespace, y.Namespace), cmp.Compare(x.Name, y.Name), cmp.Compare(x.Kind, y.Kind))
}

// portKey names a service port in both meshes. Who is set where several services have one hostname.
type portKey struct {
	host   string
	who    mesh.Ref
	number uint32
}

// port is a service port in both meshes; nil where it is in one alone.
type port struct {
	portKey
	before, after *mesh.Service
}

// ports lists the ports of both meshes, in order of host and number.
func (c *comparison) ports() []port {
	at := map[portKey]*port{}
	collect(c.before.resolver().Snapshot(), at, func(p *port, s *mesh.Service) { p.before = s })
	collect(c.after.resolver().Snapshot(), at, func(p *port, s *mesh.Service) { p.after = s })
	both := map[portKey]bool{}
	for _, p := range at {
		if p.before != nil && p.after != nil {
			both[portKey{host: p.host, number: p.number}] = true
		}
	}
	out := make([]port, 0, len(at))
	for _, p := range at {
		// One of several entries of a host that comes or goes takes nothing away: the others answer.
		if p.before != nil && p.after != nil || !both[portKey{host: p.host, number: p.number}] {
			out = append(out, *p)
		}
	}
	slices.SortFunc(out, func(x, y port) int {
		return cmp.Or(cmp.Compare(x.host, y.host), x.who.Compare(y.who), cmp.Compare(x.number, y.number))
	})
	return out
}

func collect(s *mesh.Snapshot, at map[portKey]*port, set func(*port, *mesh.Service)) {
	for _, service := range s.Services {
		for i := range service.Ports {
			key := keyOf(service, service.Ports[i].Number)
			if at[key] == nil {
				at[key] = &port{portKey: key}
			}
			set(at[key], service)
		}
	}
}

// keyOf names a port. A Kubernetes Service is known by its hostname alone; entries of one host may be several.
func keyOf(s *mesh.Service, number uint32) portKey {
	key := portKey{host: s.Hostname, number: number}
	if s.Entry() {
		key.who = s.Ref
	}
	return key
}

// verdict is that of one class; the zero Verdict and false where the mesh has no such port.
func (s *side) verdict(class int32, service *mesh.Service, number uint32) (resolve.Verdict, bool) {
	if service == nil {
		return resolve.Verdict{}, false
	}
	return s.t.Verdict(int(class), service, number)
}

// finish counts and puts the effects in order.
func (c *comparison) finish(seen *metrics.Observation) {
	rank := func(e *api.Effect) int { return slices.Index(kinds, e.Kind) }
	slices.SortStableFunc(c.out.Effects, func(x, y api.Effect) int {
		return cmp.Or(cmp.Compare(rank(&x), rank(&y)), first(Seen(&x), Seen(&y)), first(x.Declared, y.Declared),
			cmp.Compare(x.Client, y.Client), cmp.Compare(x.Host, y.Host), cmp.Compare(x.Port, y.Port))
	})
	for i := range c.out.Effects {
		switch c.out.Effects[i].Kind {
		case Breaks:
			c.out.Breaks++
		case Mends:
			c.out.Mends++
		case Opens:
			c.out.Opens++
		case Locks:
			c.out.Locks++
		}
	}
	if seen != nil {
		c.out.Observed = &api.Window{Start: seen.Start, End: seen.End, Newest: seen.Newest}
	}
}

// first orders what is before what is not.
func first(x, y bool) int {
	switch {
	case x == y:
		return 0
	case x:
		return -1
	}
	return 1
}
