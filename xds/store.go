package xds

import (
	"crypto/sha256"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// store keeps one Resource and one Set for each content, so that what did not change is the same pointer afterwards. What a
// whole generation of a mesh did not use is forgotten.
type store struct {
	resources, lastResources map[string]*Resource // by type, name and version
	sets, lastSets           map[[sha256.Size]byte]*Set
}

func newStore() *store {
	return &store{resources: map[string]*Resource{}, sets: map[[sha256.Size]byte]*Set{}}
}

// turn begins the next generation: what the one before the last left is dropped.
func (s *store) turn() {
	s.lastResources, s.resources = s.resources, make(map[string]*Resource, len(s.resources))
	s.lastSets, s.sets = s.sets, make(map[[sha256.Size]byte]*Set, len(s.sets))
}

// add gives the one Resource of this content.
func (s *store) add(name string, m proto.Message) *Resource { return s.addPacked(name, pack(m)) }

func (s *store) addPacked(name string, a *anypb.Any) *Resource {
	r := newResource(name, a)
	key := r.key()
	if old := s.resources[key]; old != nil {
		return old
	}
	if old := s.lastResources[key]; old != nil {
		r = old
	}
	s.resources[key] = r
	return r
}

// keep has a Set of the last generation in this one too.
func (s *store) keep(set *Set) *Set {
	if set == nil || s.sets[set.hash] != nil {
		return set
	}
	s.sets[set.hash] = set
	for _, r := range set.list {
		s.resources[r.key()] = r
	}
	return set
}

// hold has resources of the last generation in this one too.
func (s *store) hold(list ...*Resource) {
	for _, r := range list {
		if r != nil {
			s.resources[r.key()] = r
		}
	}
}

// intern gives the one Set of these resources; nil where there are none.
func (s *store) intern(list []*Resource) *Set {
	if len(list) == 0 {
		return nil
	}
	set := newSet(list)
	if old := s.sets[set.hash]; old != nil {
		return old
	}
	if old := s.lastSets[set.hash]; old != nil {
		set = old
	}
	s.sets[set.hash] = set
	return set
}
