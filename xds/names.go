package xds

import (
	"crypto/sha256"
	"slices"
)

// nameSet is a sorted list of names that clients ask for. Nodes of one kind ask for the same thousands: they share it.
type nameSet struct {
	sorted []string
	key    [sha256.Size]byte
	refs   int
}

func (n *nameSet) has(name string) bool {
	if n == nil {
		return false
	}
	_, ok := slices.BinarySearch(n.sorted, name)
	return ok
}

func (n *nameSet) list() []string {
	if n == nil {
		return nil
	}
	return n.sorted
}

// nameSets holds each set once, as long as somebody uses it.
type nameSets map[[sha256.Size]byte]*nameSet

// take gives the set of some names, which it sorts; nil for none.
func (m nameSets) take(names []string) *nameSet {
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	names = slices.Compact(names)
	h := sha256.New()
	for _, n := range names {
		h.Write([]byte(n))
		h.Write([]byte{0})
	}
	var key [sha256.Size]byte
	h.Sum(key[:0])
	if m[key] == nil {
		m[key] = &nameSet{sorted: names, key: key}
	}
	m[key].refs++
	return m[key]
}

func (m nameSets) release(n *nameSet) {
	if n == nil {
		return
	}
	if n.refs--; n.refs == 0 {
		delete(m, n.key)
	}
}
