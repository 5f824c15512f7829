package graph

import (
	"cmp"
	"slices"
	"strings"

	"github.com/oarlock/oarlock/metrics"
)

// How far the two ends of a connection may count apart without a meaning: they are scraped at different moments.
const (
	skew      = 0.2 // of what the source counts
	remainder = 0.1 // of what the destination counts of callers that it cannot name
	retries   = 3   // times that a sidecar may try one request
)

// report is what both ends say of a pair.
type report struct {
	source, destination side
	lost                float64
	bare                [3]float64 // shares of what the source counts, by metrics.Security
}

// side is what one end says, by metrics.Security; nil where it says nothing.
type side [3]*tally

// at gives what is said of one security, to be changed.
func (s *side) at(of metrics.Security) *tally {
	if s[of] == nil {
		s[of] = &tally{}
	}
	return s[of]
}

// sum adds up what one end says, to be read. It most often says it of one security, which then is the sum.
func (s *side) sum() *tally {
	var only *tally
	for _, t := range s {
		switch {
		case t == nil || t.empty():
		case only == nil:
			only = t
		default:
			var all tally
			for _, t := range s {
				if t != nil {
					all.add(t)
				}
			}
			return &all
		}
	}
	if only == nil {
		return &tally{}
	}
	return only
}

// pair is a caller and where its traffic ends; from is "" for a caller that the destination cannot name.
type pair struct {
	from string
	door
}

// joined is what an observation says of each edge.
type joined struct {
	edges    map[edgeKey]*seen
	unplaced float64 // a second, whose names are lost
	nowhere  float64 // a second, that name no destination
}

// seen is what is known of an edge, by the workload that got it.
type seen struct {
	parts map[string]*part
}

type part struct {
	tally
	lost                float64
	bare                float64 // requests and connections that no sidecar of the destination counts
	source, destination bool    // who reports
	// expected says that the destination has a sidecar that ought to report.
	expected bool
}

// joining puts the reports of both ends together.
type joining struct {
	*places
	reports  map[pair]*report
	speaks   map[string]bool // workloads that report as destinations
	down     map[string]bool // nodes whose sidecar gives no answer
	unplaced float64
	nowhere  float64
}

// join puts an observation on edges. Per door, that is a service's port at one workload:
//
//   - The destination's report wins: it knows what it terminated. The source's stands where the destination has none.
//   - A caller that the destination cannot name (plaintext TCP carries no name) is looked for among the sources that name
//     the destination: they account for as much of the unknown traffic of their security as they count themselves. What is
//     left over is from callers that nobody can name, unless it is so little that the two were scraped at different moments.
//   - What a source counts and the destination's sidecar, which reports, does not is lost: it failed before it was a request.
//     What did not fail went to pods without a sidecar, and is added to the destination's report.
//     Handshakes that the destination saw failing with nobody are those of the sources that lost something.
//   - Failed handshakes are counted by both ends, so the larger count is taken, not the sum.
func (p *places) join(o *metrics.Observation, down map[string]bool) *joined {
	j := &joining{places: p, reports: make(map[pair]*report, len(o.Flows)/2), speaks: map[string]bool{}, down: down}
	ports := j.portsOfSources(o.Flows)
	for _, by := range []metrics.Reporter{metrics.Source, metrics.Destination} {
		for i := range o.Flows {
			if o.Flows[i].Reporter == by {
				j.add(&o.Flows[i], ports)
			}
		}
	}
	doors := make(map[door][]string, len(j.reports))
	for k := range j.reports {
		doors[k.door] = append(doors[k.door], k.from)
	}
	for d, from := range doors {
		slices.Sort(from)
		j.account(d, from)
	}
	return j.finish()
}

// unnamed is a pair whose port is not known.
type unnamed struct{ from, to, workload, protocol string }

type portWeight struct {
	port   uint32
	weight float64
}

// portsOfSources says to which ports sources send what: a destination's report of TCP, and all of Istio's, have no port.
func (j *joining) portsOfSources(flows []metrics.Flow) map[unnamed][]portWeight {
	out := map[unnamed][]portWeight{}
	add := func(k unnamed, port uint32, w float64) {
		i := slices.IndexFunc(out[k], func(p portWeight) bool { return p.port == port })
		if i < 0 {
			out[k] = append(out[k], portWeight{port: port})
			i = len(out[k]) - 1
		}
		out[k][i].weight += w
	}
	wanted := map[string]bool{} // protocols of reports that have none
	for i := range flows {
		if flows[i].Port == 0 {
			wanted[flows[i].Protocol] = true
		}
	}
	for i := range flows {
		f := &flows[i]
		if f.Reporter != metrics.Source || weightOf(f) == 0 {
			continue
		}
		d := j.door(f)
		if d.to == "" || d.port == 0 {
			continue
		}
		j.b.called[doorKey{d.to, d.port}] = true
		if !wanted[f.Protocol] {
			continue
		}
		add(unnamed{j.caller(f, d), d.to, d.workload, f.Protocol}, d.port, weightOf(f))
		add(unnamed{"", d.to, d.workload, f.Protocol}, d.port, weightOf(f))
	}
	return out
}

func (j *joining) add(f *metrics.Flow, ports map[unnamed][]portWeight) {
	d := j.door(f)
	from := j.caller(f, d)
	switch n := f.Requests + f.Connections + f.Failures; {
	case nameless(f):
		j.unplaced += n
		return
	case d.to == "" || f.Reporter == metrics.Source && from == "":
		j.nowhere += n
		return
	}
	if f.Reporter == metrics.Destination {
		j.speaks[d.workload] = true
	}
	if d.port != 0 {
		j.count(pair{from, d}, f, 1)
		return
	}
	to := ports[unnamed{from, d.to, d.workload, f.Protocol}]
	if len(to) == 0 {
		d.port = j.onlyDeclared(from, d.to, f.Protocol)
		j.count(pair{from, d}, f, 1)
		return
	}
	total := 0.0
	for _, p := range to {
		total += p.weight
	}
	for _, p := range to {
		d.port = p.port
		j.count(pair{from, d}, f, p.weight/total)
	}
}

func (j *joining) count(k pair, f *metrics.Flow, share float64) {
	r := j.reports[k]
	if r == nil {
		r = &report{}
		j.reports[k] = r
	}
	by := &r.source
	if f.Reporter == metrics.Destination {
		by = &r.destination
	}
	by.at(security(f)).flow(f, share)
}

// onlyDeclared is the port of the one edge that is declared between two nodes for such a protocol, or the service's only port
// for it where none is declared; 0 where there are several.
func (j *joining) onlyDeclared(from, to, protocol string) uint32 {
	var all, fit []uint32
	for _, k := range j.b.between[[2]string{from, to}] {
		if k.port == 0 || slices.Contains(all, k.port) {
			continue
		}
		all = append(all, k.port)
		if j.speaksOn(to, k.port, protocol) {
			fit = append(fit, k.port)
		}
	}
	if s := j.services[strings.TrimPrefix(to, "service/")]; s != nil && len(all) == 0 {
		for _, port := range tcpPorts(s) {
			if j.speaksOn(to, port, protocol) {
				fit = append(fit, port)
			}
		}
	}
	switch {
	case len(all) == 1:
		return all[0]
	case len(fit) == 1:
		return fit[0]
	}
	return 0
}

// account settles what the destination could not name at a door.
func (j *joining) account(d door, from []string) {
	unknown := j.reports[pair{"", d}]
	named := make([]*report, 0, len(from))
	for _, f := range from {
		if f != "" {
			named = append(named, j.reports[pair{f, d}])
		}
	}
	if unknown != nil {
		for _, s := range []metrics.Security{metrics.SecurityNone, metrics.SecurityMutualTLS} {
			attribute(unknown.destination.at(s), s, named, s)
		}
		for _, s := range []metrics.Security{metrics.SecurityNone, metrics.SecurityMutualTLS, metrics.SecurityUnknown} {
			attribute(unknown.destination.at(s), s, named, metrics.SecurityUnknown)
		}
	}
	if j.speaks[d.workload] {
		for _, r := range named {
			r.findBare()
		}
	}
	if j.speaks[d.workload] && !j.down[d.workload] {
		for _, r := range named {
			r.lost = lost(r)
		}
	}
	if unknown != nil {
		attributeFailures(unknown, named)
	}
	for _, r := range named {
		r.answered()
	}
}

// attribute gives unknown traffic of one security to the sources that count traffic of the security that they know.
func attribute(unknown *tally, at metrics.Security, named []*report, knows metrics.Security) {
	total, claims := unknown.weight(), make([]float64, len(named))
	all := 0.0
	for i, r := range named {
		counted := r.source[knows].weight()
		claims[i] = counted - r.destination[at].weight()
		if knows == metrics.SecurityUnknown {
			claims[i] = counted - r.destination.sum().weight()
		}
		if claims[i] < skew*counted {
			claims[i] = 0
		}
		all += claims[i]
	}
	if total == 0 || all == 0 {
		return
	}
	// A source counts a request once however often its sidecar tried it; what failed in between only the destination has.
	again := min(unknown.errors, (retries-1)*all)
	part := min(1, (all+again)/total) // of the unknown traffic that has found its callers
	if 1-part < remainder {
		part = 1
	}
	for i, r := range named {
		r.destination.at(at).take(unknown, part*claims[i]/all)
	}
	unknown.keep(1 - part)
}

// lost is what the source counted and the destination did not: requests that failed, and connections that went to a sidecar.
func lost(r *report) float64 {
	s, d := r.source.sum(), r.destination.sum()
	n := r.failedUnseen() + max(0, s.connections-d.connections-r.bareConnections())
	if n < skew*(s.requests+s.connections) {
		return 0
	}
	return n
}

// failedUnseen counts the requests that failed and that the destination does not know.
func (r *report) failedUnseen() float64 {
	s, d := r.source.sum(), r.destination.sum()
	return max(0, min(s.requests-d.requests, s.errors-d.errors))
}

// attributeFailures gives the failed handshakes of nobody to the sources that lost something. Requests that failed count however
// few of a source's they are: that both ends saw something fail is no matter of when they were scraped.
func attributeFailures(unknown *report, named []*report) {
	failed, all := unknown.destination.sum(), 0.0
	claims := make([]float64, len(named))
	for i, r := range named {
		claims[i] = max(r.lost, r.failedUnseen())
		all += claims[i]
	}
	if failed.failures == 0 || all == 0 {
		return
	}
	part := min(1, retries*all/failed.failures)
	if 1-part < remainder {
		part = 1
	}
	for i, r := range named {
		r.destination.at(0).takeFailures(failed, part*claims[i]/all)
	}
	for _, t := range unknown.destination {
		if t != nil {
			t.keepFailures(1 - part)
		}
	}
}

// finish gives each edge its parts.
func (j *joining) finish() *joined {
	out := &joined{edges: make(map[edgeKey]*seen, len(j.reports)), unplaced: j.unplaced, nowhere: j.nowhere}
	keys := make([]pair, 0, len(j.reports))
	for k := range j.reports {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b pair) int { return cmp.Or(cmp.Compare(a.from, b.from), orderDoors(a.door, b.door)) })
	for _, k := range keys {
		p := j.part(k, j.reports[k])
		if p == nil {
			continue
		}
		from := k.from
		if from == "" {
			from = j.outside()
		}
		key := edgeKey{from, k.to, k.port, j.subset(from, k.door)}
		s := out.edges[key]
		if s == nil {
			s = &seen{parts: make(map[string]*part, 1)}
			out.edges[key] = s
		}
		s.parts[k.workload] = p
	}
	return out
}

// part decides whose report counts; nil where nothing is left.
func (j *joining) part(k pair, r *report) *part {
	s, d := r.source.sum(), r.destination.sum()
	p := &part{lost: r.lost, source: s.weight()+s.failures > 0, destination: d.weight()+d.failures > 0}
	if !p.source && !p.destination {
		return nil
	}
	if d.weight() == 0 && p.lost == 0 {
		// Where the source alone reports, what failed in its handshakes is among the requests that it counts.
		p.lost = min(s.errors+s.connections, s.failures)
	}
	if k.workload == "" && len(j.podsBehind(k.to)) > 0 {
		p.lost = s.errors // before a pod was chosen: none was ready, or none had room
	}
	p.expected = k.workload != "" && j.hasSidecar(k.workload)
	switch {
	case d.weight() > 0:
		p.take(d, 1)
		p.addBare(r)
	case s.requests+s.connections > 0:
		p.take(s, 1-min(1, p.lost/(s.requests+s.connections)))
		p.errors = max(0, s.errors-p.lost)
	default:
		p.take(s, 1)
	}
	for at, share := range r.bare {
		p.bare += share * r.source[at].weight()
	}
	p.names(s)
	p.names(d)
	p.merge(s, d)
	return p
}

// vague causes say that the other end gave up, and not why.
func vague(cause string) bool {
	switch cause {
	case metrics.CauseReset, metrics.CauseClosed, metrics.CauseRefusedByPeer, metrics.CauseOther, metrics.CauseTimeout:
		return true
	}
	return false
}

// merge takes failed handshakes of the end that counted more, and the causes of the end that knows them.
func (p *part) merge(s, d *tally) {
	most, knows := d, d
	if s.failures > d.failures {
		most = s
	}
	if d.failures == 0 || s.failures > 0 && onlyVague(d) && !onlyVague(s) {
		knows = s
	}
	if most.failures == 0 {
		return
	}
	p.takeFailures(knows, most.failures/knows.failures)
}

func onlyVague(t *tally) bool {
	for c, n := range t.causes {
		if n > 0 && !vague(c) {
			return false
		}
	}
	return true
}
