package xdsclient

import (
	"cmp"
	"maps"
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

// state has the resources of every kind by name. Its maps are replaced and never changed once they are in it.
type state [kinds]map[string]*entry

// wanted lists the names that resources of a kind give to the next kind, in order.
func (s *state) wanted(k kind) []string {
	names := map[string]bool{}
	for _, e := range s[k] {
		for _, n := range e.wants {
			names[n] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// prune drops endpoints and routes that nothing names.
func (s *state) prune() {
	for _, k := range []kind{kindCluster, kindListener} {
		names := s.wanted(k)
		kept := make(map[string]*entry, len(names))
		for _, n := range names {
			if e := s[k.names()][n]; e != nil {
				kept[n] = e
			}
		}
		s[k.names()] = kept
	}
}

// sorted gives the entries of a kind by name.
func (s *state) sorted(k kind) []*entry {
	return slices.SortedFunc(maps.Values(s[k]), func(a, b *entry) int { return cmp.Compare(a.name, b.name) })
}

// config puts a state together as one configuration, each list by name.
func (s *state) config(version string) *proxy.Config {
	out := &proxy.Config{Version: version}
	for _, e := range s.sorted(kindListener) {
		out.Listeners = append(out.Listeners, e.listener)
	}
	for _, e := range s.sorted(kindCluster) {
		out.Clusters = append(out.Clusters, s.join(e))
	}
	for _, e := range s.sorted(kindRoutes) {
		out.Routes = append(out.Routes, e.routes)
	}
	return out
}

// join gives a cluster its endpoints, none if they are not there.
func (s *state) join(c *entry) *proxy.Cluster {
	if len(c.wants) == 0 {
		return c.cluster
	}
	found := s[kindEndpoints][c.wants[0]]
	if found == nil {
		return c.cluster
	}
	if j := c.joined; j != nil && j.cluster == c.resource && j.endpoints == found.resource {
		return j.out
	}
	out := *c.cluster
	out.Endpoints = found.endpoints
	c.joined = &joined{cluster: c.resource, endpoints: found.resource, out: &out}
	return &out
}

// ignored counts what the resources leave out.
func (s *state) ignored() map[string]int {
	out := map[string]int{}
	for _, set := range s {
		for _, e := range set {
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
