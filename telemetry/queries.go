package telemetry

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/oarlock/oarlock/metrics"
)

// The counters that are asked for.
const (
	istioRequests    = "istio_requests_total"
	istioDuration    = "istio_request_duration_milliseconds"
	istioConnections = "istio_tcp_connections_opened_total"
	istioReceived    = "istio_tcp_received_bytes_total"
	istioSent        = "istio_tcp_sent_bytes_total"
	ownRequests      = metrics.OwnRequests
	ownConnections   = metrics.OwnConnections
	ownFailures      = metrics.OwnFailures
)

// counters are those whose increase is asked for; the first five of them tell best whether a target began again.
var counters = []string{istioRequests, istioConnections, ownRequests, ownConnections, ownFailures, istioReceived, istioSent}

const telling = 5

// begins are the series by which a target says since when it runs: its own, and Envoy's.
const (
	processStart = "process_start_time_seconds"
	envoyUptime  = "envoy_server_uptime"
)

// sidecars selects what every sidecar has, ours and Envoy's, so that other targets of a Prometheus are left alone.
const sidecars = `{__name__=~"istio_build|oarlock_build_info"}`

// sidecarNames are the same for those who read.
var sidecarNames = []string{"istio_build", "oarlock_build_info"}

// kept are the series that a store keeps unless it keeps all.
var kept = slices.Concat([]string{istioDuration, istioDuration + "_bucket", processStart, envoyUptime}, sidecarNames, counters)

// peerLabels are those of Istio's series that a flow has; codeLabels tell whether a request failed.
var (
	peerLabels = []string{"reporter",
		"source_workload", "source_workload_namespace", "source_app", "source_version", "source_canonical_service",
		"source_canonical_revision", "source_cluster", "source_principal",
		"destination_workload", "destination_workload_namespace", "destination_app", "destination_version",
		"destination_canonical_service", "destination_canonical_revision", "destination_cluster", "destination_principal",
		"destination_service", "destination_service_name", "destination_service_namespace",
		"request_protocol", "connection_security_policy"}
	codeLabels    = append(slices.Clip(peerLabels), "response_code", "grpc_response_status")
	ownLabels     = metrics.OwnLabels()
	failureLabels = metrics.OwnFailureLabels()
)

// labelsOf gives the labels by which a counter is summed up.
func labelsOf(counter string) []string {
	switch counter {
	case istioRequests:
		return codeLabels
	case ownRequests, ownConnections:
		return ownLabels
	case ownFailures:
		return failureLabels
	}
	return peerLabels
}

// span is the time that queries are about. All are asked as of the window's end.
//
// A counter's value at the start is that of its last sample in the slack before it. Being bounded, the slack keeps what
// happened while nobody looked out of the window; being some intervals long, it bridges a scrape that failed.
type span struct {
	window, slack time.Duration
}

func newSpan(window, interval time.Duration) span {
	return span{window: window, slack: 5*interval + 5*time.Second}
}

func (s span) whole() string { return duration(s.window + s.slack) }

// before gives the range of the slack, as of the window's end.
func (s span) before() string {
	return "[" + duration(s.slack) + "] offset " + duration(s.window)
}

// duration writes a duration as PromQL has it.
func duration(d time.Duration) string {
	if d%time.Second == 0 {
		return strconv.FormatInt(int64(d/time.Second), 10) + "s"
	}
	return strconv.FormatInt(max(d.Milliseconds(), 1), 10) + "ms"
}

// quote writes a string literal of PromQL.
func quote(s string) string { return strconv.Quote(s) }

// instances gives a matcher for targets, in or out. Their names come from outside: each is quoted twice, once as a regular
// expression and once as a string.
func instances(op string, names []string) string {
	if len(names) == 0 {
		return ""
	}
	alternatives := make([]string, len(names))
	for i, n := range names {
		alternatives[i] = regexp.QuoteMeta(n)
	}
	return "{instance" + op + quote(strings.Join(alternatives, "|")) + "}"
}

// difference asks by how much the sum of a counter grew in the window, by labels; targets that the matcher leaves out are
// to be counted otherwise. A series that was not there at the start counts from zero. One that is gone by the end counts up
// to its last sample.
func (s span) difference(counter, matcher string, by []string) string {
	sum := "sum by (" + strings.Join(by, ", ") + ") (last_over_time(" + counter + matcher
	end := sum + "[" + s.whole() + "]))"
	return "(" + end + " - " + sum + s.before() + ")) or " + end + ")"
}

func (s span) grew(counter, matcher string, by []string) string {
	return s.difference(counter, matcher, by) + " > 0"
}

// samples asks for the samples of some targets, in the window and the slack before it. Of a long window it asks for some
// hundreds of each series.
func (s span) samples(series string, names []string) string {
	const most, every = 10 * time.Minute, 300
	if all := s.window + s.slack; all > most {
		return series + instances("=~", names) + "[" + s.whole() + ":" + duration((all / every).Truncate(time.Second)) + "]"
	}
	return series + instances("=~", names) + "[" + s.whole() + "]"
}

const buckets = istioDuration + "_bucket"

var bucketLabels = append([]string{"le"}, peerLabels...)

// quantile asks for a quantile of the durations of requests, in milliseconds.
func (s span) quantile(q float64, matcher string) string {
	return fmt.Sprintf("histogram_quantile(%g, %s)", q, s.difference(buckets, matcher, bucketLabels))
}

// roughQuantile is the same for the targets that the other leaves out.
func (s span) roughQuantile(q float64, matcher string) string {
	return fmt.Sprintf("histogram_quantile(%g, sum by (%s) (increase(%s%s[%s])))", q, strings.Join(bucketLabels, ", "),
		buckets, matcher, duration(s.window))
}

const byTarget = "max by (job, instance) "

// The queries about targets tell which ones can be counted by differences.

// resets asks which targets have a counter that fell.
func (s span) resets(counter string) string {
	return byTarget + "(resets(" + counter + "[" + s.whole() + "]))"
}

// restarts asks which targets say that they began again.
func (s span) restarts() string {
	return byTarget + "(changes(" + processStart + "[" + s.whole() + "])) > 0 or " +
		byTarget + "(resets(" + envoyUptime + "[" + s.whole() + "])) > 0"
}

// known asks which targets had been scraped when the window began: what they did not have then is new.
func (s span) known() string {
	return byTarget + "(max_over_time(up" + s.before() + ")) == 1"
}

// young asks which targets began in the window: all that they count is of it.
func (s span) young() string {
	return byTarget + "(last_over_time(" + processStart + "[" + s.whole() + "])) > time() - " + seconds(s.window) + " or " +
		byTarget + "(last_over_time(" + envoyUptime + "[" + s.whole() + "])) < " + seconds(s.window)
}

// down asks which targets do not answer: lately, since one that nobody asked is not down. A Prometheus has other targets than
// sidecars too.
func (s span) down(all bool) string {
	silent := "up == 0 and last_over_time(up[" + duration(s.slack) + "])"
	if all {
		return silent
	}
	return silent + " and on (job, instance) count by (job, instance) (last_over_time(" + sidecars + "[" +
		duration(max(s.window, 10*time.Minute)) + "]))"
}

// newest asks for the time of the newest sample.
func (s span) newest(interval time.Duration) string {
	step := max(interval, (s.window+s.slack)/300).Truncate(time.Second)
	return "max(timestamp(" + sidecars + ")) or max(max_over_time(timestamp(" + sidecars + ")[" + s.whole() + ":" +
		duration(max(step, time.Second)) + "]))"
}

func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) }
