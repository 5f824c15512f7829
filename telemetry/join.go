package telemetry

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/oarlock/oarlock/metrics"
)

// peers are the labels of Istio's series that a flow has, besides the security.
type peers struct {
	reporter            metrics.Reporter
	source, destination metrics.Peer
	service             metrics.Service
	protocol            string
}

// edge are the labels that Istio's series and ours share.
type edge struct {
	reporter                          metrics.Reporter
	source, sourceNamespace           string
	destination, destinationNamespace string
	service                           string
}

func (p *peers) edge() edge {
	return edge{p.reporter, p.source.Workload, p.source.Namespace, p.destination.Workload, p.destination.Namespace, p.service.Host}
}

// party is what was counted between some peers. Their twenty strings are hashed and compared once for each series: from then on
// the pointer stands for them.
type party struct {
	peers
	edge *known
	seen [3]*tally // by what the series say of the security
}

// tally is what Istio's series say. Requests, connections and durations are written side by side.
type tally struct {
	volume
	durations *histogram
	p         [3]float64 // quantiles, milliseconds
}

// volume is how much there was of something in the window.
type volume struct{ requests, errors, connections, received, sent float64 }

// known is what our own series say of an edge: of its requests, and of its connections.
type known struct{ requests, connections []*knowledge }

// knowledge is one thing that they say, and how often.
type knowledge struct {
	port     uint16
	security metrics.Security
	policy   string
	times    float64
	used     bool
}

// parties are those of a look.
type parties struct {
	mu    sync.Mutex
	all   map[peers]*party
	edges map[edge]*known
}

// party gives the one of some peers; the lock is held.
func (p *parties) party(of *peers) *party {
	one := p.all[*of]
	if one == nil {
		one = &party{peers: *of, edge: p.edge(of.edge())}
		p.all[*of] = one
	}
	return one
}

// edge gives what is known of one; the lock is held.
func (p *parties) edge(of edge) *known {
	one := p.edges[of]
	if one == nil {
		one = &known{}
		p.edges[of] = one
	}
	return one
}

// tally gives that of a series of Istio's.
func (p *parties) tally(l labelled) *tally {
	of, security := peersOf(l)
	p.mu.Lock()
	defer p.mu.Unlock()
	one := p.party(&of)
	if one.seen[security] == nil {
		one.seen[security] = &tally{}
	}
	return one.seen[security]
}

// unknown is what a label says of which nothing is known.
const unknown = "unknown"

// text gives a label, "" where it says that nothing is known.
func text(l labelled, name string) string {
	if v := l.Get(name); v != unknown {
		return v
	}
	return ""
}

func reporterOf(l labelled) metrics.Reporter {
	if l.Get("reporter") == metrics.Destination.String() {
		return metrics.Destination
	}
	return metrics.Source
}

func securityOf(s string) metrics.Security {
	switch s {
	case metrics.SecurityMutualTLS.String():
		return metrics.SecurityMutualTLS
	case metrics.SecurityNone.String():
		return metrics.SecurityNone
	}
	return metrics.SecurityUnknown
}

// peersOf goes through the labels once: to look each of them up takes five times as long, and there are thousands of series.
func peersOf(l labelled) (p peers, security metrics.Security) {
	l.Range(func(l labels.Label) {
		if l.Value == unknown {
			return
		}
		switch name := l.Name; name {
		case "reporter":
			if l.Value == metrics.Destination.String() {
				p.reporter = metrics.Destination
			}
		case "destination_service":
			p.service.Host = l.Value
		case "destination_service_name":
			p.service.Name = l.Value
		case "destination_service_namespace":
			p.service.Namespace = l.Value
		case "request_protocol":
			p.protocol = l.Value
		case "connection_security_policy":
			security = securityOf(l.Value)
		default:
			if rest, ok := strings.CutPrefix(name, "source_"); ok {
				setPeer(&p.source, rest, l.Value)
			} else if rest, ok := strings.CutPrefix(name, "destination_"); ok {
				setPeer(&p.destination, rest, l.Value)
			}
		}
	})
	return p, security
}

// setPeer takes a label by its name without the side.
func setPeer(p *metrics.Peer, name, value string) {
	switch name {
	case "workload":
		p.Workload = value
	case "workload_namespace":
		p.Namespace = value
	case "app":
		p.App = value
	case "version":
		p.Version = value
	case "canonical_service":
		p.CanonicalService = value
	case "canonical_revision":
		p.CanonicalRevision = value
	case "cluster":
		p.Cluster = value
	case "principal":
		p.Principal = value
	}
}

func edgeOf(l labelled) edge {
	return edge{reporterOf(l), text(l, "source_workload"), text(l, "source_workload_namespace"),
		text(l, "destination_workload"), text(l, "destination_workload_namespace"), text(l, "destination_service")}
}

func portOf(l labelled) uint16 {
	n, err := strconv.ParseUint(l.Get("destination_port"), 10, 16)
	if err != nil {
		return 0
	}
	return uint16(n)
}

// failed says whether a request with these labels failed.
func failed(l labelled) bool {
	code, err := strconv.Atoi(l.Get("response_code"))
	status := text(l, "grpc_response_status")
	return err == nil && (code == 0 || code >= 500) || status != "" && status != "0"
}

// adders put what Istio's counters counted where it belongs.
var adders = []struct {
	counter string
	add     func(*volume, labelled, float64)
}{
	{istioRequests, func(v *volume, l labelled, n float64) {
		v.requests += n
		if failed(l) {
			v.errors += n
		}
	}},
	{istioConnections, func(v *volume, _ labelled, n float64) { v.connections += n }},
	{istioReceived, func(v *volume, _ labelled, n float64) { v.received += n }},
	{istioSent, func(v *volume, _ labelled, n float64) { v.sent += n }},
}

// know asks for one of our counters, and sums it up by edge.
func (l *look) know(ctx context.Context, counter string) error {
	return l.counter(ctx, counter, func(labels labelled, n float64) {
		k := knowledge{port: portOf(labels), security: securityOf(labels.Get("security")), policy: text(labels, "policy")}
		e := edgeOf(labels)
		l.parties.mu.Lock()
		defer l.parties.mu.Unlock()
		all := &l.parties.edge(e).requests
		if counter == ownConnections {
			all = &l.parties.edge(e).connections
		}
		// Their order does not depend on that of the answer.
		i, found := slices.BinarySearchFunc(*all, &k, compareKnowledge)
		if !found {
			*all = slices.Insert(*all, i, &k)
		}
		(*all)[i].times += n
	})
}

func compareKnowledge(a, b *knowledge) int {
	return cmp.Or(cmp.Compare(a.port, b.port), cmp.Compare(a.security, b.security), strings.Compare(a.policy, b.policy))
}

// flows puts together what was asked.
func (l *look) flows() []metrics.Flow {
	n := len(l.parties.all) + len(l.failures)
	b := &builder{look: l, seconds: l.window.Seconds(), rows: make(map[rowKey]*metrics.Flow, n)}
	for _, p := range l.parties.all {
		for security, s := range p.seen {
			if s == nil {
				continue
			}
			if v := (volume{requests: s.requests, errors: s.errors}); v != (volume{}) {
				b.join(p, metrics.Security(security), v, p.edge.requests)
			}
			if v := (volume{connections: s.connections, received: s.received, sent: s.sent}); v != (volume{}) {
				b.join(p, metrics.Security(security), v, p.edge.connections)
			}
		}
	}
	for e, k := range l.parties.edges {
		b.alone(e, k.requests, func(n float64) volume { return volume{requests: n} })
		b.alone(e, k.connections, func(n float64) volume { return volume{connections: n} })
	}
	b.addFailures()
	return b.sorted()
}

// rowKey is what makes a flow one row.
type rowKey struct {
	party    *party
	security metrics.Security
	port     uint16
	policy   string
}

type builder struct {
	*look
	seconds float64
	rows    map[rowKey]*metrics.Flow
}

// join adds rows for what Istio's series count, with what ours know of the same edge. Where ours know several things, such
// as two ports, they share the volume in proportion: Istio's series cannot be told apart by them.
func (b *builder) join(p *party, security metrics.Security, v volume, known []*knowledge) {
	fit, total := fitting(&p.peers, security, known)
	if total == 0 {
		b.add(p, security, &knowledge{security: security}, v, 1)
	}
	for _, k := range fit {
		b.add(p, security, k, v, k.times/total)
	}
}

// alone adds rows for what ours know where Istio's series are missing.
func (b *builder) alone(e edge, known []*knowledge, is func(float64) volume) {
	for _, k := range known {
		if !k.used {
			b.add(b.parties.party(e.peers()), metrics.SecurityUnknown, k, is(k.times), 1)
		}
	}
}

func (e edge) peers() *peers {
	return &peers{reporter: e.reporter, source: metrics.Peer{Workload: e.source, Namespace: e.sourceNamespace},
		destination: metrics.Peer{Workload: e.destination, Namespace: e.destinationNamespace},
		service:     metrics.Service{Host: e.service}}
}

// fitting picks what may be known of a row, and how often it was counted.
func fitting(p *peers, security metrics.Security, all []*knowledge) (fit []*knowledge, total float64) {
	for _, fits := range []func(*peers, metrics.Security, metrics.Security) bool{agrees, mayAgree} {
		for _, k := range all {
			if fits(p, security, k.security) {
				fit, total = append(fit, k), total+k.times
				k.used = true
			}
		}
		if total > 0 {
			break
		}
	}
	return fit, total
}

// agrees goes by the row's own label, or by whether it has the other side's name, which only TLS can prove.
func agrees(p *peers, said, s metrics.Security) bool {
	if said != metrics.SecurityUnknown {
		return s == said
	}
	other := p.source.Principal
	if p.reporter == metrics.Source {
		other = p.destination.Principal
	}
	return (other != "") == (s == metrics.SecurityMutualTLS)
}

func mayAgree(_ *peers, said, s metrics.Security) bool {
	return said == metrics.SecurityUnknown || s == metrics.SecurityUnknown
}

func (b *builder) add(p *party, said metrics.Security, k *knowledge, v volume, share float64) {
	security := said
	if security == metrics.SecurityUnknown {
		security = k.security
	}
	f := b.row(rowKey{party: p, security: security, port: k.port, policy: k.policy})
	rate := share / b.seconds
	f.Requests += v.requests * rate
	f.Errors += v.errors * rate
	f.Connections += v.connections * rate
	f.Received += v.received * rate
	f.Sent += v.sent * rate
	if s := p.seen[said]; s != nil && v.requests > 0 {
		f.P50, f.P90, f.P99 = milliseconds(s.p[0]), milliseconds(s.p[1]), milliseconds(s.p[2])
	}
}

func milliseconds(v float64) time.Duration { return time.Duration(v * float64(time.Millisecond)) }

func (b *builder) row(k rowKey) *metrics.Flow {
	f := b.rows[k]
	if f == nil {
		p := k.party
		f = &metrics.Flow{Source: p.source, Destination: p.destination, Service: p.service, Port: k.port, Protocol: p.protocol,
			Reporter: p.reporter, Security: k.security, Policy: k.policy}
		b.rows[k] = f
	}
	return f
}

// addFailures adds rows for handshakes that failed. They have rows of their own, since what never came about has neither
// protocol nor security.
func (b *builder) addFailures() {
	for _, g := range b.failures {
		p := edgeOf(g.labels).peers()
		p.source.Principal, p.destination.Principal = text(g.labels, "source_principal"), text(g.labels, "destination_principal")
		f := b.row(rowKey{party: b.parties.party(p), port: portOf(g.labels), policy: text(g.labels, "policy")})
		rate, cause := g.n/b.seconds, g.labels.Get("cause")
		f.Failures += rate
		i := slices.IndexFunc(f.Causes, func(c metrics.CauseRate) bool { return c.Cause == cause })
		if i < 0 {
			f.Causes = append(f.Causes, metrics.CauseRate{Cause: cause})
			i = len(f.Causes) - 1
		}
		f.Causes[i].Failures += rate
	}
}

func (b *builder) sorted() []metrics.Flow {
	rows := slices.SortedFunc(maps.Values(b.rows), compareFlows) // a Flow is large: what is moved are pointers
	out := make([]metrics.Flow, len(rows))
	for i, f := range rows {
		slices.SortFunc(f.Causes, func(a, b metrics.CauseRate) int {
			return cmp.Or(cmp.Compare(b.Failures, a.Failures), strings.Compare(a.Cause, b.Cause))
		})
		out[i] = *f
	}
	return out
}

// compareFlows compares no more than it has to: among thousands of rows most differ in their first names.
func compareFlows(a, b *metrics.Flow) int {
	if c := comparePeers(&a.Source, &b.Source); c != 0 {
		return c
	}
	if c := comparePeers(&a.Destination, &b.Destination); c != 0 {
		return c
	}
	return cmp.Or(strings.Compare(a.Service.Host, b.Service.Host), strings.Compare(a.Service.Name, b.Service.Name),
		strings.Compare(a.Service.Namespace, b.Service.Namespace),
		cmp.Compare(a.Port, b.Port), strings.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Reporter, b.Reporter),
		cmp.Compare(a.Security, b.Security), strings.Compare(a.Policy, b.Policy))
}

func comparePeers(a, b *metrics.Peer) int {
	if *a == *b {
		return 0
	}
	if c := cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Workload, b.Workload)); c != 0 {
		return c
	}
	return cmp.Or(strings.Compare(a.App, b.App), strings.Compare(a.Version, b.Version),
		strings.Compare(a.CanonicalService, b.CanonicalService), strings.Compare(a.CanonicalRevision, b.CanonicalRevision),
		strings.Compare(a.Cluster, b.Cluster), strings.Compare(a.Principal, b.Principal))
}
