package plan

import (
	"cmp"
	"slices"
	"strings"

	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/metrics"
	"github.com/oarlock/oarlock/resolve"
)

// user is a client that is known to call a port.
type user struct {
	client   mesh.Ref
	subset   string
	declared bool
	seen     [2]rates // by reporter
}

type rates struct{ requests, connections float64 }

// requests is the greater of what the two ends counted: a refused call reaches one of them alone.
func (u *user) requests() float64 { return max(u.seen[0].requests, u.seen[1].requests) }

func (u *user) connections() float64 { return max(u.seen[0].connections, u.seen[1].connections) }

type userKey struct {
	port   portKey
	client mesh.Ref
	subset string
}

// learn sorts what is known of who calls whom by port.
func (c *comparison) learn(k Known) {
	found := map[userKey]*user{}
	at := func(key userKey) *user {
		if found[key] == nil {
			found[key] = &user{client: key.client, subset: key.subset}
		}
		return found[key]
	}
	owners := c.owners()
	for _, call := range k.Calls {
		client := call.Client
		if of, ok := owners[client]; ok {
			client = of
		}
		for _, p := range c.called(call, client) {
			at(userKey{p, client, call.Subset}).declared = true
		}
	}
	if k.Observed != nil {
		names, hosts := c.names(owners), c.hosts()
		for i := range k.Observed.Flows {
			f := &k.Observed.Flows[i]
			client, ok := source(f, names)
			p, ok2 := destination(f, hosts)
			if ok && ok2 {
				seen := &at(userKey{port: p, client: client}).seen[f.Reporter]
				seen.requests += f.Requests
				seen.connections += f.Connections
			}
		}
	}
	c.users = map[portKey][]user{}
	for key, u := range found {
		c.users[key.port] = append(c.users[key.port], *u)
	}
	for _, list := range c.users {
		slices.SortFunc(list, func(x, y user) int {
			return cmp.Or(compareClients(x.client, y.client), cmp.Compare(x.subset, y.subset))
		})
	}
}

// owners gives the workload of every pod.
func (c *comparison) owners() map[mesh.Ref]mesh.Ref {
	out := map[mesh.Ref]mesh.Ref{}
	for _, s := range []*side{&c.before, &c.after} {
		for _, w := range s.resolver().Snapshot().Workloads {
			if of := clientRef(w); of != w.Ref {
				out[w.Ref] = of
			}
		}
	}
	return out
}

// called gives the ports that a call means: of the mesh after the change, or else, where the service goes away with it,
// before.
func (c *comparison) called(call Call, client mesh.Ref) []portKey {
	namespace := cmp.Or(call.Namespace, client.Namespace)
	for _, r := range []*resolve.Resolver{c.after.resolver(), c.before.resolver()} {
		found := r.Services(call.Host, namespace)
		if len(found) == 0 || !strings.Contains(call.Host, ".") && found[0].Ref.Namespace != namespace {
			continue // a short name never reaches into another namespace
		}
		var out []portKey
		for i := range found[0].Ports {
			if p := &found[0].Ports[i]; call.Port == 0 || call.Port == p.Number {
				out = append(out, keyOf(found[0], p.Number))
			}
		}
		if len(out) > 0 {
			return out
		}
	}
	return nil
}

// names finds clients as series name them: by their workload, or by the pod where nobody says of which it is.
func (c *comparison) names(owners map[mesh.Ref]mesh.Ref) map[[2]string]mesh.Ref {
	out := map[[2]string]mesh.Ref{}
	for pod, of := range owners {
		if _, ok := c.after.clients[of]; ok {
			out[[2]string{pod.Namespace, pod.Name}] = of
		}
	}
	for ref := range c.after.clients {
		key := [2]string{ref.Namespace, ref.Name}
		if other, taken := out[key]; !taken || other.Name != ref.Name || compareClients(ref, other) < 0 {
			out[key] = ref
		}
	}
	return out
}

// hosts gives the ports of each hostname.
func (c *comparison) hosts() map[string][]portKey {
	out := map[string][]portKey{}
	for _, p := range c.ports() {
		out[p.host] = append(out[p.host], p.portKey)
	}
	return out
}

// source is who sent a flow: who has no name is a caller without a sidecar.
func source(f *metrics.Flow, names map[[2]string]mesh.Ref) (mesh.Ref, bool) {
	if f.Source.Workload == "" {
		return mesh.Ref{}, f.Reporter == metrics.Destination
	}
	ref, ok := names[[2]string{f.Source.Namespace, f.Source.Workload}]
	return ref, ok
}

// destination is the port that a flow went to. One without a number is that of a service with no other.
func destination(f *metrics.Flow, hosts map[string][]portKey) (portKey, bool) {
	list := hosts[f.Service.Host]
	if len(list) == 1 && f.Port == 0 {
		return list[0], true
	}
	i := slices.IndexFunc(list, func(p portKey) bool { return p.number == uint32(f.Port) })
	if i < 0 {
		return portKey{}, false
	}
	return list[i], true
}

// clientWord names a client as a person would type it: NAME.NAMESPACE, with its kind where another has the same name.
func (c *comparison) clientWord(ref mesh.Ref) string {
	if ref.IsZero() {
		return "outside"
	}
	if c.namesakes == nil {
		c.namesakes = map[[2]string]int{}
		for other := range c.after.clients {
			c.namesakes[[2]string{other.Namespace, other.Name}]++
		}
	}
	word := ref.Name + "." + ref.Namespace
	if c.namesakes[[2]string{ref.Namespace, ref.Name}] > 1 {
		word = strings.ToLower(string(ref.Kind)) + "/" + word
	}
	return word
}
