package xdsclient

import (
	"cmp"
	"iter"
	"slices"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/oarlock/oarlock/proxy"
)

// entry is a resource with the version that it came in.
type entry struct {
	*resource
	version string
	updated time.Time
	joined  *joined // of a cluster with EDS
}

// joined is a cluster with its endpoints, kept so that what did not change stays the same pointer.
type joined struct {
	cluster, endpoints *resource
	out                *proxy.Cluster
}

// A set has the resources of one kind. It is never changed, so that what comes from it can be taken over. A nil set is
// empty.
type set struct {
	list  []*entry // by name, each name once
	wants []string // the names that they give to the next kind, in order, each once
}

// newSet takes a list in order. A set that differs from the one before in what it wants has another list of that, and one
// that does not has the very same.
func newSet(list []*entry, before *set) *set {
	out := &set{list: list}
	switch {
	case before != nil && sameWants(list, before.list):
		out.wants = before.wants
	default:
		for _, e := range list {
			out.wants = append(out.wants, e.wants...)
		}
		slices.Sort(out.wants)
		if out.wants = slices.Compact(out.wants); before != nil && slices.Equal(out.wants, before.wants) {
			out.wants = before.wants
		}
	}
	return out
}

func sameWants(a, b []*entry) bool {
	return slices.EqualFunc(a, b, func(x, y *entry) bool { return x.resource == y.resource || slices.Equal(x.wants, y.wants) })
}

// entries are those of the set by name.
func (s *set) entries() []*entry {
	if s == nil {
		return nil
	}
	return s.list
}

// wanted are the names that the resources give to the next kind, in order.
func (s *set) wanted() []string {
	if s == nil {
		return nil
	}
	return s.wants
}

// find gives the resource of a name, nil without one.
func (s *set) find(name string) *entry {
	list := s.entries()
	if i, ok := slices.BinarySearchFunc(list, name, byName); ok {
		return list[i]
	}
	return nil
}

func byName(e *entry, name string) int { return cmp.Compare(e.name, name) }

// with gives the entries with changes, which are in order of name; a change to nil takes one away.
func (s *set) with(changes []named) []*entry {
	old := s.entries()
	out := make([]*entry, 0, len(old)+len(changes))
	for _, c := range changes {
		i, found := slices.BinarySearchFunc(old, c.name, byName)
		out = append(out, old[:i]...)
		if c.entry != nil {
			out = append(out, c.entry)
		}
		if found {
			i++
		}
		old = old[i:]
	}
	return append(out, old...)
}

// named is what becomes of a name.
type named struct {
	name  string
	entry *entry
}

// lacks yields the names, which are in order, that the set has nothing for.
func (s *set) lacks(names []string) iter.Seq[string] {
	return func(yield func(string) bool) {
		left := s.entries()
		for _, name := range names {
			for len(left) > 0 && left[0].name < name {
				left = left[1:]
			}
			if (len(left) == 0 || left[0].name != name) && !yield(name) {
				return
			}
		}
	}
}

// only gives the set without what is not among some names, which are in order.
func (s *set) only(names []string) *set {
	list := s.entries()
	var kept []*entry
	for _, e := range list {
		if _, ok := slices.BinarySearch(names, e.name); ok {
			kept = append(kept, e)
		}
	}
	if len(kept) == len(list) {
		return s
	}
	return newSet(kept, s)
}

// state has the resources of every kind.
type state [kinds]*set

// prune drops endpoints and routes that nothing names.
func (s *state) prune() {
	for _, k := range []kind{kindCluster, kindListener} {
		s[k.names()] = s[k.names()].only(s[k].wanted())
	}
}

// config puts a state together as one configuration, each list by name. A list of which nothing changed since before, which
// last came from, is the same one.
func (s *state) config(version string, before *state, last *proxy.Config) *proxy.Config {
	out := &proxy.Config{Version: version}
	if last != nil && s[kindCluster] == before[kindCluster] && s[kindEndpoints] == before[kindEndpoints] {
		out.Clusters = last.Clusters
	} else {
		out.Clusters = make([]*proxy.Cluster, 0, len(s[kindCluster].entries()))
		for _, e := range s[kindCluster].entries() {
			out.Clusters = append(out.Clusters, s.join(e))
		}
	}
	if last != nil && s[kindRoutes] == before[kindRoutes] {
		out.Routes = last.Routes
	} else {
		out.Routes = make([]*proxy.RouteTable, 0, len(s[kindRoutes].entries()))
		for _, e := range s[kindRoutes].entries() {
			out.Routes = append(out.Routes, e.routes)
		}
	}
	out.Listeners = make([]*proxy.Listener, 0, len(s[kindListener].entries()))
	for _, e := range s[kindListener].entries() {
		out.Listeners = append(out.Listeners, e.listener)
	}
	return out
}

// join gives a cluster its endpoints, none if they are not there.
func (s *state) join(c *entry) *proxy.Cluster {
	if len(c.wants) == 0 {
		return c.cluster
	}
	found := s.endpointsOf(c)
	if found == nil {
		return c.cluster
	}
	if j := c.joined; j != nil && j.cluster == c.resource && j.endpoints == found {
		return j.out
	}
	out := *c.cluster
	out.Endpoints = found.endpoints
	c.joined = &joined{cluster: c.resource, endpoints: found, out: &out}
	return &out
}

// endpointsOf gives the endpoints that a cluster names, nil if they are not there.
func (s *state) endpointsOf(c *entry) *resource {
	if found := s[kindEndpoints].find(c.wants[0]); found != nil {
		return found.resource
	}
	return nil
}

// ignored counts what the resources leave out.
func (s *state) ignored() map[string]int {
	out := map[string]int{}
	for _, set := range s {
		for _, e := range set.entries() {
			for _, name := range e.resource.ignored {
				out[name]++
			}
		}
	}
	return out
}

// nameOf reads the name of a resource without decoding it: field 1 of every kind.
func nameOf(b []byte) string {
	name := ""
	for len(b) > 0 {
		n, typ, w := protowire.ConsumeTag(b)
		if w < 0 {
			return name
		}
		b = b[w:]
		if w = protowire.ConsumeFieldValue(n, typ, b); w < 0 {
			return name
		}
		if n == 1 && typ == protowire.BytesType {
			v, _ := protowire.ConsumeBytes(b)
			name = string(v)
		}
		b = b[w:]
	}
	return name
}
