package xds

import (
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// subscription is what a client asked for of one type, and what it was told. The stream's goroutine alone touches it, and
// counts the uses of names under the server's lock.
type subscription struct {
	active   bool
	wildcard bool
	open     bool     // wildcard because no name was ever given
	names    *nameSet // besides

	fresh   bool              // it wants an answer, whatever there is to say
	pending []string          // names to be sent whether or not they changed
	have    map[string]string // versions that the client brought along

	told   list        // the view that the last response came from
	kept   []*Resource // gone since, and not yet taken away
	flying []string    // names in the response that is not answered

	nonce   string
	waiting bool     // for the answer to nonce
	refused bool     // some answer was no, and what it was about has not been taken since
	bad     list     // the view that it came from
	barred  []string // names that were refused, not to be sent again before the view is another

	coveredList  list // of covers: the last question that was answered with yes
	coveredNames *nameSet
}

// wants says whether the client asked for a name.
func (sub *subscription) wants(name string) bool { return sub.wildcard || sub.names.has(name) }

// covers says whether the client asked for every resource of a list.
func (sub *subscription) covers(l list) bool {
	if sub.wildcard {
		return true
	}
	if sub.names != nil && sub.names == sub.coveredNames && l == sub.coveredList {
		return true
	}
	for r := range l.all {
		if !sub.names.has(r.Name) {
			return false
		}
	}
	sub.coveredList, sub.coveredNames = l, sub.names
	return true
}

// all lists what the client asked for.
func (sub *subscription) all(l list) []*Resource {
	if !sub.wildcard {
		var out []*Resource
		for _, n := range sub.names.list() {
			if r := l.find(n); r != nil {
				out = append(out, r)
			}
		}
		return out
	}
	return slices.Collect(l.all)
}

// difference says what the client has to be told: what it wants that is new, other or pending, and what it was told of that
// is gone.
func (sub *subscription) difference(l list) (changed, removed []*Resource) {
	if sub.have != nil {
		return sub.catchUp(l)
	}
	seen := map[string]bool{}
	note := func(name string, force bool) {
		if seen[name] || !sub.wants(name) {
			return
		}
		old, now := sub.told.find(name), l.find(name)
		switch {
		case now == nil && old != nil:
			removed = append(removed, old)
		case now != nil && (force || old == nil || old.Version != now.Version):
			changed = append(changed, now)
		default:
			return
		}
		seen[name] = true
	}
	for _, n := range sub.pending {
		note(n, true)
	}
	for _, pair := range [][2]*Set{{sub.told.shared, l.shared}, {sub.told.own, l.own}} {
		if pair[0] != pair[1] {
			differing(pair[0], pair[1], func(name string) { note(name, false) })
		}
	}
	return changed, removed
}

// catchUp is the difference to what a client had before it came back.
func (sub *subscription) catchUp(l list) (changed, removed []*Resource) {
	for r := range l.all {
		if sub.wants(r.Name) && sub.have[r.Name] != r.Version {
			changed = append(changed, r)
		}
	}
	for name := range sub.have {
		if l.find(name) == nil {
			removed = append(removed, &Resource{Name: name})
		}
	}
	slices.SortFunc(removed, byName)
	return changed, removed
}

// differing calls do for every name that two sets do not share. Either may be nil.
func differing(a, b *Set, do func(string)) {
	var x, y []*Resource
	if a != nil {
		x = a.list
	}
	if b != nil {
		y = b.list
	}
	for len(x) > 0 || len(y) > 0 {
		switch {
		case len(y) == 0 || len(x) > 0 && x[0].Name < y[0].Name:
			do(x[0].Name)
			x = x[1:]
		case len(x) == 0 || y[0].Name < x[0].Name:
			do(y[0].Name)
			y = y[1:]
		default:
			if x[0] != y[0] {
				do(x[0].Name)
			}
			x, y = x[1:], y[1:]
		}
	}
}

// keep notes what is gone but shall be taken away last; what is there again is forgotten.
func (sub *subscription) keep(held bool, removed []*Resource, l list) {
	if !held {
		return
	}
	sub.kept = slices.DeleteFunc(append(sub.kept, removed...), func(r *Resource) bool { return l.find(r.Name) != nil })
	slices.SortFunc(sub.kept, byName)
	sub.kept = slices.CompactFunc(sub.kept, sameName)
}

func byName(a, b *Resource) int { return strings.Compare(a.Name, b.Name) }

func sameName(a, b *Resource) bool { return a.Name == b.Name }

// missing lists pending names that there is nothing for: in the variant of differences the client is told so.
func (sub *subscription) missing(l list) []string {
	var out []string
	for _, n := range sub.pending {
		if l.find(n) == nil {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func names(list []*Resource) []string {
	var out []string
	for _, r := range list {
		out = append(out, r.Name)
	}
	return out
}

// everyName is the name that asks for all.
const everyName = "*"

// subscribe takes the names of a request in the state of the world. No name at all means every cluster or listener, as long
// as none was ever given.
func (st *stream) subscribe(kind Type, r *request) {
	sub := &st.subs[kind]
	if !sub.active {
		sub.active, sub.fresh = true, true
		sub.open = len(r.names) == 0 && (kind == Clusters || kind == Listeners)
	}
	if len(r.names) > 0 {
		sub.open = false
	}
	wild := sub.open || slices.Contains(r.names, everyName)
	if wild && !sub.wildcard {
		sub.fresh, sub.told = true, list{}
	}
	sub.wildcard = wild
	if slices.Equal(r.names, sub.names.list()) {
		return
	}
	st.rename(sub, slices.DeleteFunc(r.names, func(n string) bool { return n == everyName }))
}

// subscribeDelta takes the names that a request adds and drops.
func (st *stream) subscribeDelta(kind Type, r *request) error {
	sub := &st.subs[kind]
	if !sub.active {
		sub.active, sub.fresh = true, true
		sub.wildcard = len(r.subscribe) == 0 && (kind == Clusters || kind == Listeners)
		if len(r.have) > 0 {
			sub.have = r.have
		}
	}
	if len(r.subscribe)+len(r.unsubscribe) == 0 {
		return nil
	}
	next := slices.Clone(sub.names.list())
	for _, n := range r.subscribe {
		if n == everyName {
			if !sub.wildcard {
				sub.wildcard, sub.fresh, sub.told = true, true, list{}
			}
			continue
		}
		next = append(next, n)
		if sub.have == nil || sub.have[n] == "" {
			sub.pending = append(sub.pending, n) // asked for again, it is sent again
		}
	}
	drop := map[string]bool{}
	for _, n := range r.unsubscribe {
		if n == everyName {
			sub.wildcard = false
		}
		drop[n] = true
	}
	next = slices.DeleteFunc(next, func(n string) bool { return drop[n] })
	if len(next) > st.server.opt.MaxNames {
		return status.Errorf(codes.ResourceExhausted, "subscribe to %s: more than %d names", kind, st.server.opt.MaxNames)
	}
	pending := sub.pending
	st.rename(sub, next)
	sub.pending = slices.DeleteFunc(pending, func(n string) bool { return drop[n] })
	return nil
}

// rename gives a subscription its names. New ones are pending. Names that the server knows are kept in its own copy.
func (st *stream) rename(sub *subscription, names []string) {
	s := st.server
	s.mu.Lock()
	defer s.mu.Unlock()
	old := sub.names
	sub.names = s.names.take(names)
	for _, n := range sub.names.list() {
		if !old.has(n) {
			sub.pending = append(sub.pending, n)
		}
	}
	s.names.release(old)
}
