package telemetry

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/oarlock/oarlock/metrics"
)

// peers are the labels of Istio's series that a flow has.
type peers struct {
	reporter            metrics.Reporter
	source, destination metrics.Peer
	service             metrics.Service
	protocol            string
	security            metrics.Security
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

// text gives a label, "" where it says that nothing is known.
func text(l labelled, name string) string {
	if v := l.Get(name); v != "unknown" {
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

func peersOf(l labelled) peers {
	return peers{
		reporter: reporterOf(l), source: peerOf(l, "source_"), destination: peerOf(l, "destination_"),
		service: metrics.Service{Host: text(l, "destination_service"), Name: text(l, "destination_service_name"),
			Namespace: text(l, "destination_service_namespace")},
		protocol: text(l, "request_protocol"),
		security: securityOf(l.Get("connection_security_policy")),
	}
}

func peerOf(l labelled, side string) metrics.Peer {
	return metrics.Peer{
		Workload: text(l, side+"workload"), Namespace: text(l, side+"workload_namespace"),
		App: text(l, side+"app"), Version: text(l, side+"version"),
		CanonicalService: text(l, side+"canonical_service"), CanonicalRevision: text(l, side+"canonical_revision"),
		Cluster: text(l, side+"cluster"), Principal: text(l, side+"principal"),
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

// volume is how much there was of something in the window.
type volume struct{ requests, errors, connections, received, sent float64 }

// knowledge is what our own series say of an edge, and how often.
type knowledge struct {
	port     uint16
	security metrics.Security
	policy   string
	times    float64
	used     bool
}

// flows puts together what was asked.
func (l *look) flows() []metrics.Flow {
	b := &builder{look: l, seconds: l.window.Seconds(), rows: map[rowKey]*metrics.Flow{}}
	b.join(l.requests, l.knowledge(ownRequests), func(v *volume, n float64) { v.requests = n })
	b.join(l.connections, l.knowledge(ownConnections), func(v *volume, n float64) { v.connections = n })
	b.addFailures()
	return b.sorted()
}

// adder puts what a counter counted where it belongs.
type adder func(*volume, *track)

func addRequests(v *volume, t *track) {
	v.requests += t.value()
	if failed(t.labels) {
		v.errors += t.value()
	}
}

func addConnections(v *volume, t *track) { v.connections += t.value() }
func addReceived(v *volume, t *track)    { v.received += t.value() }
func addSent(v *volume, t *track)        { v.sent += t.value() }

// volumes asks for counters and sums them up by peers.
func (l *look) volumes(ctx context.Context, add map[string]adder) (map[peers]*volume, error) {
	out := map[peers]*volume{}
	for name, f := range add {
		grown, err := l.counter(ctx, name)
		if err != nil {
			return nil, err
		}
		for i := range grown {
			k := peersOf(grown[i].labels)
			v := out[k]
			if v == nil {
				v = &volume{}
				out[k] = v
			}
			f(v, &grown[i])
		}
	}
	return out, nil
}

// knowledge sums one of our counters up by edge, in an order that does not depend on that of the answer.
func (l *look) knowledge(counter string) map[edge][]*knowledge {
	out := map[edge][]*knowledge{}
	for i := range l.grown[counter] {
		t := &l.grown[counter][i]
		e := edgeOf(t.labels)
		k := knowledge{port: portOf(t.labels), security: securityOf(t.labels.Get("security")), policy: text(t.labels, "policy")}
		j := slices.IndexFunc(out[e], func(o *knowledge) bool {
			return o.port == k.port && o.security == k.security && o.policy == k.policy
		})
		if j < 0 {
			out[e] = append(out[e], &k)
			j = len(out[e]) - 1
		}
		out[e][j].times += t.value()
	}
	for _, all := range out {
		slices.SortFunc(all, func(a, b *knowledge) int {
			return cmp.Or(cmp.Compare(a.port, b.port), cmp.Compare(a.security, b.security), strings.Compare(a.policy, b.policy))
		})
	}
	return out
}

// rowKey is what makes a flow one row.
type rowKey struct {
	peers
	port   uint16
	policy string
}

type builder struct {
	*look
	seconds float64
	rows    map[rowKey]*metrics.Flow
}

// join adds rows for what Istio's series count, with what ours know of the same edge. Where ours know several things, such
// as two ports, they share the volume in proportion: Istio's series cannot be told apart by them. Where Istio's series are
// missing, ours stand alone.
func (b *builder) join(all map[peers]*volume, known map[edge][]*knowledge, alone func(*volume, float64)) {
	for p, v := range all {
		fit, total := fitting(&p, known[p.edge()])
		if total == 0 {
			b.add(p, &knowledge{security: p.security}, *v, 1)
		}
		for _, k := range fit {
			b.add(p, k, *v, k.times/total)
		}
	}
	for e, rest := range known {
		for _, k := range rest {
			if !k.used {
				var v volume
				alone(&v, k.times)
				b.add(e.peers(), k, v, 1)
			}
		}
	}
}

func (e edge) peers() peers {
	return peers{reporter: e.reporter, source: metrics.Peer{Workload: e.source, Namespace: e.sourceNamespace},
		destination: metrics.Peer{Workload: e.destination, Namespace: e.destinationNamespace},
		service:     metrics.Service{Host: e.service}}
}

// fitting picks what may be known of a row, and how often it was counted.
func fitting(p *peers, all []*knowledge) (fit []*knowledge, total float64) {
	for _, fits := range []func(*peers, metrics.Security) bool{agrees, mayAgree} {
		for _, k := range all {
			if fits(p, k.security) {
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
func agrees(p *peers, s metrics.Security) bool {
	if p.security != metrics.SecurityUnknown {
		return s == p.security
	}
	other := p.source.Principal
	if p.reporter == metrics.Source {
		other = p.destination.Principal
	}
	return (other != "") == (s == metrics.SecurityMutualTLS)
}

func mayAgree(p *peers, s metrics.Security) bool {
	return p.security == metrics.SecurityUnknown || s == metrics.SecurityUnknown
}

func (b *builder) add(p peers, k *knowledge, v volume, share float64) {
	latency := p // as it was asked, before the security is filled in
	if p.security == metrics.SecurityUnknown {
		p.security = k.security
	}
	f := b.row(rowKey{peers: p, port: k.port, policy: k.policy})
	rate := share / b.seconds
	f.Requests += v.requests * rate
	f.Errors += v.errors * rate
	f.Connections += v.connections * rate
	f.Received += v.received * rate
	f.Sent += v.sent * rate
	if v.requests > 0 {
		if p := b.p[latency]; p != nil {
			f.P50, f.P90, f.P99 = milliseconds(p[0]), milliseconds(p[1]), milliseconds(p[2])
		}
	}
}

func milliseconds(v float64) time.Duration { return time.Duration(v * float64(time.Millisecond)) }

func (b *builder) row(k rowKey) *metrics.Flow {
	f := b.rows[k]
	if f == nil {
		f = &metrics.Flow{Source: k.source, Destination: k.destination, Service: k.service, Port: k.port, Protocol: k.protocol,
			Reporter: k.reporter, Security: k.security, Policy: k.policy}
		b.rows[k] = f
	}
	return f
}

// addFailures adds rows for handshakes that failed. They have rows of their own, since what never came about has neither
// protocol nor security.
func (b *builder) addFailures() {
	for _, t := range b.grown[ownFailures] {
		p := edgeOf(t.labels).peers()
		p.source.Principal, p.destination.Principal = text(t.labels, "source_principal"), text(t.labels, "destination_principal")
		f := b.row(rowKey{peers: p, port: portOf(t.labels), policy: text(t.labels, "policy")})
		rate, cause := t.value()/b.seconds, t.labels.Get("cause")
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
	out := make([]metrics.Flow, 0, len(b.rows))
	for _, f := range b.rows {
		slices.SortFunc(f.Causes, func(a, b metrics.CauseRate) int {
			return cmp.Or(cmp.Compare(b.Failures, a.Failures), strings.Compare(a.Cause, b.Cause))
		})
		out = append(out, *f)
	}
	slices.SortFunc(out, compareFlows)
	return out
}

func compareFlows(a, b metrics.Flow) int {
	return cmp.Or(comparePeers(&a.Source, &b.Source), comparePeers(&a.Destination, &b.Destination),
		strings.Compare(a.Service.Host, b.Service.Host), strings.Compare(a.Service.Name, b.Service.Name),
		strings.Compare(a.Service.Namespace, b.Service.Namespace),
		cmp.Compare(a.Port, b.Port), strings.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Reporter, b.Reporter),
		cmp.Compare(a.Security, b.Security), strings.Compare(a.Policy, b.Policy))
}

func comparePeers(a, b *metrics.Peer) int {
	return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Workload, b.Workload),
		strings.Compare(a.App, b.App), strings.Compare(a.Version, b.Version),
		strings.Compare(a.CanonicalService, b.CanonicalService), strings.Compare(a.CanonicalRevision, b.CanonicalRevision),
		strings.Compare(a.Cluster, b.Cluster), strings.Compare(a.Principal, b.Principal))
}
