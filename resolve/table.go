package resolve

import (
	"math"
	"slices"

	"github.com/oarlock/oarlock/mesh"
)

// Table holds all verdicts of a snapshot: one row per class of clients, one column per service port. It costs one
// resolution per cell, and never one per workload.
type Table struct {
	r       *Resolver
	classes []Class
	of      []int32       // class of each workload of the snapshot
	rows    [][][]Verdict // by class, by namespace of the service, by column
	first   []int32       // by service: its first column in its namespace
}

// Table resolves every class against every service port.
func (r *Resolver) Table() *Table {
	t := &Table{r: r, first: make([]int32, len(r.services))}
	t.classes, t.of = r.classify()
	width := make([]int32, len(r.policies))
	for i := range r.services {
		s := &r.services[i]
		t.first[i] = width[s.ns.id]
		width[s.ns.id] += int32(len(s.ports))
	}
	t.rows = make([][][]Verdict, len(t.classes))
	for k := range t.classes {
		t.rows[k] = make([][]Verdict, len(width))
		for id, n := range width {
			if n > 0 {
				t.rows[k][id] = make([]Verdict, n)
			}
		}
		for i := range r.services {
			t.fill(k, int32(i))
		}
	}
	return t
}

// fill resolves one class against the ports of one service, in place.
func (t *Table) fill(class int, i int32) {
	who := t.r.caller(t.classes[class].Client)
	s := &t.r.services[i]
	row := t.rows[class][s.ns.id][t.first[i]:]
	for k := range s.ports {
		row[k] = t.r.toPortOrAlias(&who, s, &s.ports[k])
	}
}

func (r *Resolver) toPortOrAlias(c *caller, s *service, p *port) Verdict {
	t := Target{Service: s.Service, Port: p.Number, UDP: p.UDP()}
	if s.Resolution == mesh.ResolutionExternalName && !r.dialect.Legacy() {
		return r.toAlias(c, t, s, nil)
	}
	return r.toPort(c, t, s, p, nil)
}

// Resolver is what the table was made with.
func (t *Table) Resolver() *Resolver { return t.r }

// Classes lists the rows, callers without a sidecar last.
func (t *Table) Classes() []Class { return t.classes }

// Verdict gives one cell, of a UDP and a TCP port with one number the TCP port's; false where the service has no such port.
func (t *Table) Verdict(class int, s *mesh.Service, number uint32) (Verdict, bool) {
	i, ok := t.r.service[s]
	if !ok {
		return Verdict{}, false
	}
	svc := &t.r.services[i]
	p := svc.port(number, false)
	for k := range svc.ports {
		if &svc.ports[k] == p {
			return t.rows[class][svc.ns.id][int(t.first[i])+k], true
		}
	}
	return Verdict{}, false
}

// All calls yield for every cell, by class, then by service and port in snapshot order, until it returns false.
func (t *Table) All(yield func(class int, s *mesh.Service, p *mesh.Port, v Verdict) bool) {
	for k := range t.classes {
		for i := range t.r.services {
			s := &t.r.services[i]
			for j := range s.ports {
				if !yield(k, s.Service, s.ports[j].Port, t.rows[k][s.ns.id][int(t.first[i])+j]) {
					return
				}
			}
		}
	}
}

// With gives the table of the next snapshot, and the services of which some verdict is another. Where only policies and
// rules differ (the other slices of both snapshots are the same), only what they can touch is resolved again; a change of
// mesh scope, or of anything else, costs as much as a new table.
func (t *Table) With(next *mesh.Snapshot) (*Table, []*mesh.Service) {
	r, d := t.r.with(next)
	if d.all {
		fresh := r.Table()
		return fresh, t.differs(fresh)
	}
	out := &Table{r: r, classes: t.classes, of: t.of, first: t.first, rows: make([][][]Verdict, len(t.rows))}
	copy(out.rows, t.rows)
	if d.reclassify {
		out.classes, out.of = r.classify()
		out.rows = make([][][]Verdict, len(out.classes))
		for k, c := range out.classes {
			out.rows[k] = t.rows[t.classOf(c.Client)]
		}
	}
	if d.policies != nil || d.rules != nil {
		out.renumber(d)
	}
	return out, out.refill(t, d)
}

func (t *Table) classOf(c Client) int32 {
	if c.Workload == nil {
		return int32(len(t.classes) - 1)
	}
	return t.of[t.r.workload[c.Workload]]
}

// renumber follows the winners to their indices in the next snapshot. Cells that name none of those that moved are shared
// with the old table.
func (t *Table) renumber(d delta) {
	policies, rules := firstMoved(d.policies), firstMoved(d.rules)
	stays := func(v Verdict) bool { return v.Policy < policies && v.Rule < rules }
	for k, row := range t.rows {
		t.rows[k] = slices.Clone(row)
		for id, cells := range row {
			if !slices.ContainsFunc(cells, func(v Verdict) bool { return !stays(v) }) {
				continue
			}
			cells = slices.Clone(cells)
			for i := range cells {
				cells[i].Policy = moved(d.policies, cells[i].Policy)
				cells[i].Rule = moved(d.rules, cells[i].Rule)
			}
			t.rows[k][id] = cells
		}
	}
}

// firstMoved is the first index that is another now; beyond every index where none is.
func firstMoved(to []int32) int32 {
	for i, k := range to {
		if k != int32(i) {
			return int32(i)
		}
	}
	return math.MaxInt32
}

func moved(to []int32, i int32) int32 {
	if i == None || to == nil {
		return i
	}
	return to[i]
}

// refill resolves what a delta touches and lists the services with another verdict, in order.
func (t *Table) refill(old *Table, d delta) []*mesh.Service {
	var changed []int32
	for k := range t.classes {
		touched := t.touched(k, d)
		if len(touched) == 0 {
			continue
		}
		from := int(old.classOf(t.classes[k].Client))
		t.rows[k] = slices.Clone(t.rows[k])
		owned := map[int32]bool{}
		for _, i := range touched {
			if id := t.r.services[i].ns.id; !owned[id] {
				t.rows[k][id] = slices.Clone(t.rows[k][id])
				owned[id] = true
			}
			t.fill(k, i)
			if t.cellsDiffer(old, k, from, i) {
				changed = append(changed, i)
			}
		}
	}
	if d.reclassify {
		changed = append(changed, t.regrouped(old, d)...)
	}
	slices.Sort(changed)
	changed = slices.Compact(changed)
	out := make([]*mesh.Service, len(changed))
	for k, i := range changed {
		out[k] = t.r.services[i].Service
	}
	return out
}

// touched lists the services whose cells in one row a delta may change.
func (t *Table) touched(class int, d delta) []int32 {
	if d.reclassify {
		return d.anyClient
	}
	if who := t.r.caller(t.classes[class].Client); who.ns != nil {
		return slices.Concat(d.services, d.byClient[who.ns.id])
	}
	return d.services
}

// regrouped lists the services with another verdict for clients that have joined another class.
func (t *Table) regrouped(old *Table, d delta) []int32 {
	var changed []int32
	for from, c := range old.classes {
		k := int(t.classOf(c.Client))
		for _, i := range d.anyClient {
			if t.cellsDiffer(old, k, from, i) {
				changed = append(changed, i)
			}
		}
	}
	return changed
}

func (t *Table) cellsDiffer(old *Table, k, from int, i int32) bool {
	id, first, n := t.r.services[i].ns.id, int(t.first[i]), len(t.r.services[i].ports)
	return !slices.EqualFunc(t.rows[k][id][first:first+n], old.rows[from][id][first:first+n], Verdict.Equal)
}

// differs compares two tables of snapshots that may have nothing in common, service by service.
func (t *Table) differs(next *Table) []*mesh.Service {
	var out []*mesh.Service
	for i := range next.r.services {
		s := next.r.services[i].Service
		k, known := t.r.service[s]
		if !known || len(t.classes) != len(next.classes) || t.serviceDiffers(next, k, int32(i)) {
			out = append(out, s)
		}
	}
	return out
}

func (t *Table) serviceDiffers(next *Table, from, i int32) bool {
	a, b := &t.r.services[from], &next.r.services[i]
	for k := range next.classes {
		x := t.rows[k][a.ns.id][t.first[from]:][:len(a.ports)]
		y := next.rows[k][b.ns.id][next.first[i]:][:len(b.ports)]
		if !slices.EqualFunc(x, y, Verdict.Equal) {
			return true
		}
	}
	return false
}
