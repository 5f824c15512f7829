package telemetry

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/oarlock/oarlock/metrics"
)

// maxPoints is how many points a trend has at most.
const maxPoints = 500

// edgeLabels tell an edge by whoever reports it.
const edgeLabels = "source_workload, source_workload_namespace, destination_workload, destination_workload_namespace, destination_service"

// failedLabels tell them for handshakes that failed: a destination does not know who it was.
const failedLabels = "destination_workload, destination_workload_namespace"

// rise asks how much each series of a counter grew, as of each point. It is the difference of its values; where it fell,
// what Prometheus makes of it; and where it is new, all of it, if its target was scraped before.
func (s span) rise(counter, matcher string) string {
	now := "last_over_time(" + counter + matcher + "[" + s.whole() + "])"
	before := "last_over_time(" + counter + matcher + s.before() + ")"
	return "((" + now + " - " + before + ") >= 0 or (" + now + " unless " + before + ") and on (job, instance) (" + s.known() + " or " +
		s.young() + ") or increase(" + counter + matcher + "[" + duration(s.window) + "]))"
}

const fromSource, fromDestination = `reporter="source"`, `reporter="destination"`

// part is the part of the traffic that a trend is of.
type part struct {
	to, from []string // matchers
}

func partOf(t metrics.TrendQuery) part {
	return part{
		to:   matchers("destination_workload_namespace", t.Namespace, "destination_service", t.Service, "destination_workload", t.Workload),
		from: matchers("source_workload_namespace", t.SourceNamespace, "source_workload", t.SourceWorkload),
	}
}

// matchers gives those of labels that have a value.
func matchers(labelled ...string) (out []string) {
	for i := 0; i < len(labelled); i += 2 {
		if value := labelled[i+1]; value != "" {
			out = append(out, labelled[i]+"="+quote(value))
		}
	}
	return out
}

// by selects what one side reports, and what else there is to match.
func (p part) by(reporter string, more ...string) string {
	return "{" + strings.Join(slices.Concat(p.to, p.from, []string{reporter}, more), ", ") + "}"
}

// reported picks what one side reports, and of the rest what the other does. The two see the same at different times, so a
// point with the one and a point with the other would count it twice: who reports goes by the end of the trend.
//
// Of many edges destinations come first: they know of all that reaches them, but not always from whom. Of one edge the
// source does.
func (p part) reported(labels string, destination, source report) string {
	first, second := destination, source
	if len(p.from) > 0 {
		first, second = source, destination
	}
	return "(" + first.sum + " or (" + second.sum + " unless on (" + labels + ") " + first.series + " @ end()))"
}

// report is what one side reports: a sum, and the series that are there if it does.
type report struct{ sum, series string }

// total asks for the sum over what the labels tell apart.
func (s span) total(counter, labels string, p part, more ...string) string {
	side := func(reporter string) report {
		only := p.by(reporter, more...)
		return report{"sum by (" + labels + ") (" + s.rise(counter, only) + ")", counter + only}
	}
	return "sum(" + p.reported(labels, side(fromDestination), side(fromSource)) + ")"
}

const securityLabels = edgeLabels + ", security"

// secured asks for the sum by security of what got through: as destinations say, or as sources know.
func (s span) secured(istio, own string, p part) string {
	seen := "sum by (" + securityLabels + ") (label_replace(" + s.rise(istio, p.by(fromDestination)) +
		`, "security", "$1", "connection_security_policy", "(.*)"))`
	known := s.throughConnections(own, p)
	if istio == istioRequests {
		known = s.throughRequests(own, p)
	}
	return "sum by (security) " + p.reported(edgeLabels, report{seen, istio + p.by(fromDestination)}, report{known, own + p.by(fromSource)})
}

// throughRequests asks sources for those that came back well. Whether they did is in Istio's series and their security in
// ours; what tells the two kinds apart in Istio's is the name of the server, which only mutual TLS proves.
func (s span) throughRequests(own string, p part) string {
	return "(sum by (" + securityLabels + ") (label_replace(label_replace(" + s.rise(istioRequests, p.by(fromSource, wellDone...)) +
		`, "security", "mutual_tls", "destination_principal", ".*"), "security", "none", "destination_principal", "|unknown")) and on (` +
		securityLabels + ") sum by (" + securityLabels + ") (" + s.rise(own, p.by(fromSource)) + ") > 0)"
}

// throughConnections asks sources for theirs, where no destination's sidecar refused handshakes meanwhile.
func (s span) throughConnections(own string, p part) string {
	refused := part{to: p.to}.by(fromDestination)
	return "(sum by (" + securityLabels + ") (" + s.rise(own, p.by(fromSource)) + ") unless on (" + failedLabels + ") sum by (" + failedLabels +
		") (" + s.rise(ownFailures, refused) + ") > 0)"
}

// Requests that failed, by a code or by a status of gRPC, and those that did not.
var (
	wrongCode   = []string{`response_code=~"0|5.."`}
	wrongStatus = []string{`response_code!~"0|5.."`, `grpc_response_status!~"|0|unknown"`}
	wellDone    = []string{`response_code!~"0|5.."`, `grpc_response_status=~"|0|unknown"`}
)

// watched asks whether anything was scraped.
func (s span) watched() string {
	return "group(last_over_time(" + sidecars + "[" + duration(s.window) + "]))"
}

// Trend is of [metrics.Flows]. A step is at least two intervals, and as long as it takes for 500 points.
func (q *questions) Trend(ctx context.Context, t metrics.TrendQuery) (*metrics.Trend, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, q.timeout, fmt.Errorf("no answer within %s", q.timeout))
	defer cancel()
	out, err := q.trend(ctx, t)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("query flows: %w", err)
	}
	return out, nil
}

func (q *questions) trend(ctx context.Context, t metrics.TrendQuery) (*metrics.Trend, error) {
	interval, err := q.interval(ctx)
	if err != nil {
		return nil, err
	}
	at := points(t, interval)
	s := newSpan(at.step, interval)
	only := partOf(t)
	c := &curve{steps: at}
	g, ctx := errgroup.WithContext(ctx)
	ask := func(query string, into *[]float64) {
		g.Go(func() (err error) { *into, err = c.one(ctx, q.ask, query); return err })
	}
	var watched, requests, code, status, connections, failed []float64
	ask(s.watched(), &watched)
	ask(s.total(istioRequests, edgeLabels, only), &requests)
	ask(s.total(istioRequests, edgeLabels, only, wrongCode...), &code)
	ask(s.total(istioRequests, edgeLabels, only, wrongStatus...), &status)
	ask(s.total(istioConnections, edgeLabels, only), &connections)
	ask(s.total(ownFailures, failedLabels, only), &failed)
	var secured [2]map[string][]float64
	for i, names := range [2][2]string{{istioRequests, ownRequests}, {istioConnections, ownConnections}} {
		g.Go(func() (err error) {
			secured[i], err = c.by(ctx, q.ask, s.secured(names[0], names[1], only), "security")
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	out := &metrics.Trend{Times: c.times()}
	out.Requests, out.Errors = c.rates(watched, requests), c.rates(watched, code, status)
	out.Connections, out.Failures = c.rates(watched, connections), c.rates(watched, failed)
	out.MTLS = c.share(secured[:])
	return out, nil
}

// points spaces out the points of an answer.
func points(t metrics.TrendQuery, interval time.Duration) steps {
	end := t.End
	if end.IsZero() {
		end = time.Now()
	}
	end = end.Truncate(time.Millisecond)
	length := max(cmp.Or(t.Length, defaultTrend), 2*interval)
	step := max(t.Step, 2*interval, length/maxPoints+1).Truncate(time.Millisecond)
	if length/step >= maxPoints {
		step += time.Millisecond
	}
	n := max(length/step, 1)
	return steps{start: end.Add(-(n - 1) * step), end: end, step: step}
}

// curve puts answers on the points.
type curve struct{ steps }

func (c *curve) len() int { return int(c.end.Sub(c.start)/c.step) + 1 }

func (c *curve) times() []time.Time {
	out := make([]time.Time, c.len())
	for i := range out {
		out[i] = c.start.Add(time.Duration(i) * c.step)
	}
	return out
}

func (c *curve) blank() []float64 {
	out := make([]float64, c.len())
	for i := range out {
		out[i] = math.NaN()
	}
	return out
}

// by asks for series that one label tells apart.
func (c *curve) by(ctx context.Context, ask asker, query, label string) (map[string][]float64, error) {
	found, err := ask.overTime(ctx, query, c.steps)
	if err != nil {
		return nil, err
	}
	out := map[string][]float64{}
	for _, t := range found {
		values := c.blank()
		for _, p := range t.points {
			if i := int((p.at - c.start.UnixMilli()) / c.step.Milliseconds()); i >= 0 && i < len(values) {
				values[i] = p.value
			}
		}
		out[t.labels.Get(label)] = values
	}
	return out, nil
}

func (c *curve) one(ctx context.Context, ask asker, query string) ([]float64, error) {
	found, err := c.by(ctx, ask, query, "")
	if err != nil || len(found) == 0 {
		return c.blank(), err
	}
	return found[""], nil
}

// rates sums up, per second. Nothing seen while somebody watched is zero; while nobody did it is unknown, although series that
// ended a moment before look as if they stood still.
func (c *curve) rates(watched []float64, all ...[]float64) []float64 {
	out := c.blank()
	for i := range out {
		if math.IsNaN(watched[i]) {
			continue
		}
		var sum float64
		for _, values := range all {
			if !math.IsNaN(values[i]) {
				sum += values[i]
			}
		}
		out[i] = sum / c.step.Seconds()
	}
	return out
}

// share gives that of mutual TLS.
func (c *curve) share(all []map[string][]float64) []float64 {
	out := c.blank()
	for i := range out {
		var n [2]float64
		for _, values := range all {
			for j, s := range []metrics.Security{metrics.SecurityMutualTLS, metrics.SecurityNone} {
				if v := values[s.String()]; v != nil && !math.IsNaN(v[i]) {
					n[j] += v[i]
				}
			}
		}
		if sum := n[0] + n[1]; sum > 0 {
			out[i] = n[0] / sum
		}
	}
	return out
}
