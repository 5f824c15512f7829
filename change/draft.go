package change

import (
	"fmt"
	"slices"

	"github.com/oarlock/oarlock/mesh"
)

// draft collects the edits of one plan. Every object is copied before it is touched.
type draft struct {
	snap    *mesh.Snapshot
	objects []*edited // in the order in which they were first touched
}

// edited is one object on its way.
type edited struct {
	ref    mesh.Ref
	origin mesh.Origin
	before mesh.Tree // nil: created
	after  mesh.Tree // nil: deleted
	why    string
}

// clone copies the draft, so that something can be tried.
func (d *draft) clone() *draft {
	out := &draft{snap: d.snap, objects: make([]*edited, len(d.objects))}
	for i, e := range d.objects {
		c := *e
		c.after = mesh.CloneTree(e.after)
		out.objects[i] = &c
	}
	return out
}

func (d *draft) object(ref mesh.Ref) *edited {
	for _, e := range d.objects {
		if e.ref == ref {
			return e
		}
	}
	return nil
}

// gone says whether the draft deletes the object.
func (d *draft) gone(ref mesh.Ref) bool {
	e := d.object(ref)
	return e != nil && e.after == nil
}

// edit gives the object as it shall be, to be changed in place.
func (d *draft) edit(o *mesh.Object, body mesh.Tree, why string) mesh.Tree {
	e := d.object(o.Ref)
	if e == nil {
		e = &edited{ref: o.Ref, origin: o.Origin, before: body, after: mesh.CloneTree(body)}
		d.objects = append(d.objects, e)
	}
	if e.why == "" {
		e.why = why
	}
	return e.after
}

// remove deletes an object; one that the draft created disappears from it.
func (d *draft) remove(o *mesh.Object, body mesh.Tree, why string) {
	d.edit(o, body, "")
	e := d.object(o.Ref)
	e.after, e.why = nil, why
}

// add creates an object. It has no Origin: the Writer knows where objects of its kind and namespace live.
func (d *draft) add(body mesh.Tree, why string) mesh.Ref {
	meta := dig(body, "metadata")
	ref := mesh.Ref{Kind: mesh.Kind(text(body["kind"])), Namespace: text(meta["namespace"]), Name: text(meta["name"])}
	d.objects = append(d.objects, &edited{ref: ref, after: body, why: why})
	return ref
}

// changes gives what differs: updates, then creations, then deletions, each in order of Ref.
func (d *draft) changes() []mesh.Change {
	var out []mesh.Change
	for _, e := range d.objects {
		c := mesh.Change{Ref: e.ref, Origin: e.origin, Before: e.before, After: e.after, Why: e.why}
		switch {
		case e.before == nil && e.after == nil, e.before != nil && e.after != nil && same(e.before, e.after):
			continue
		case e.before == nil:
			c.Op = mesh.Create
		case e.after == nil:
			c.Op = mesh.Delete
		default:
			c.Op = mesh.Update
		}
		out = append(out, c)
	}
	rank := map[mesh.Op]int{mesh.Update: 0, mesh.Create: 1, mesh.Delete: 2}
	slices.SortStableFunc(out, func(a, b mesh.Change) int {
		if a.Op != b.Op {
			return rank[a.Op] - rank[b.Op]
		}
		return a.Ref.Compare(b.Ref)
	})
	return out
}

// since gives what this draft changes over an earlier state of it.
func (d *draft) since(o *draft) []mesh.Change {
	was := make(map[mesh.Ref]*edited, len(o.objects))
	for _, e := range o.objects {
		was[e.ref] = e
	}
	var out []mesh.Change
	for _, c := range d.changes() {
		if e := was[c.Ref]; e == nil || !same(e.after, c.After) {
			out = append(out, c)
		}
	}
	return out
}

// taken says whether an object of this name exists, or is about to.
func (d *draft) taken(ref mesh.Ref) bool {
	if e := d.object(ref); e != nil {
		return true
	}
	for _, p := range d.snap.Policies {
		if p.Ref == ref {
			return true
		}
	}
	for _, p := range d.snap.PeerAuthentications {
		if p.Ref == ref {
			return true
		}
	}
	for _, r := range d.snap.DestinationRules {
		if r.Ref == ref {
			return true
		}
	}
	return false
}

// name gives a free name for a new object: prefix and two words that follow from what the object says. They are three
// where the two are taken.
func (d *draft) name(ref mesh.Ref, prefix string, spec mesh.Tree) string {
	seed := func(i int) []byte {
		return fmt.Appendf(nil, "%s %s %d %s", ref.Kind, ref.Namespace, i, canonical(spec))
	}
	ref.Name = prefix + "-" + mesh.HumanName(seed(0))
	for i := 0; d.taken(ref); i++ {
		ref.Name = prefix + "-" + mesh.HumanName3(seed(i))
	}
	return ref.Name
}

// newObject gives the tree of a new object.
func newObject(apiVersion string, ref mesh.Ref, spec mesh.Tree) mesh.Tree {
	meta := mesh.Tree{"name": ref.Name}
	if ref.Namespace != "" {
		meta["namespace"] = ref.Namespace
	}
	return mesh.Tree{"apiVersion": apiVersion, "kind": string(ref.Kind), "metadata": meta, "spec": spec}
}
