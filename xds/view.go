package xds

import (
	"crypto/sha256"
	"iter"
	"slices"
	"strings"
)

// Set is an immutable list of resources in order of name, shared by all nodes that get the same.
type Set struct {
	list []*Resource
	hash [sha256.Size]byte
}

// newSet sorts what it is given. Of several resources with one name the first counts.
func newSet(list []*Resource) *Set {
	slices.SortStableFunc(list, byName)
	list = slices.CompactFunc(list, sameName)
	h := sha256.New()
	for _, r := range list {
		h.Write([]byte(r.Name))
		h.Write([]byte{0})
		h.Write([]byte(r.Version))
	}
	s := &Set{list: list}
	h.Sum(s.hash[:0])
	return s
}

// find gives the resource of a name, nil without one.
func (s *Set) find(name string) *Resource {
	if s == nil {
		return nil
	}
	i, ok := slices.BinarySearchFunc(s.list, name, func(r *Resource, n string) int { return strings.Compare(r.Name, n) })
	if !ok {
		return nil
	}
	return s.list[i]
}

// A list is all resources of one type that a node gets: a Set that it shares with its like and one of its own, which wins.
type list struct{ shared, own *Set }

func (l list) find(name string) *Resource {
	if r := l.own.find(name); r != nil {
		return r
	}
	return l.shared.find(name)
}

// all yields every resource, shared ones first.
func (l list) all(yield func(*Resource) bool) {
	for _, s := range []*Set{l.shared, l.own} {
		if s == nil {
			continue
		}
		for _, r := range s.list {
			if s == l.shared && l.own.find(r.Name) != nil {
				continue
			}
			if !yield(r) {
				return
			}
		}
	}
}

// View is everything that one node gets. It is immutable, and comparable: equal views hold the same.
type View struct{ lists [typeCount]list }

// All yields the resources of a type in order of name, those that the node shares with others first.
func (v View) All(t Type) iter.Seq[*Resource] { return v.lists[t].all }

// Find gives the resource of a name; nil where the node has none.
func (v View) Find(t Type, name string) *Resource { return v.lists[t].find(name) }
