package metrics

import (
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// maxScrapes is how many scrapes are answered at once: those of a scraper that has given up do not pile up.
const maxScrapes = 4

// Handler serves all series, as text or in OpenMetrics' form, as the caller likes; or with the query [OnlyFlows] those alone
// that a [Flow] is made of. Of the scrapes on one handler a few are answered at a time; more get 503.
func (r *Registry) Handler() http.Handler {
	whole := promhttp.HandlerFor(r.prom, promhttp.HandlerOpts{EnableOpenMetrics: true, ErrorHandling: promhttp.ContinueOnError,
		MaxRequestsInFlight: maxScrapes})
	flows := r.flowsHandler()
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.RawQuery == OnlyFlows {
			flows.ServeHTTP(w, req)
			return
		}
		whole.ServeHTTP(w, req)
	})
}

// Describe is of prometheus.Collector. It says nothing: which series there are depends on the traffic.
func (r *Registry) Describe(chan<- *prometheus.Desc) {}

// Collect is of prometheus.Collector.
func (r *Registry) Collect(out chan<- prometheus.Metric) {
	c := &collection{desc: r.desc}
	r.gather(c)
	for _, m := range c.metrics {
		out <- m
	}
}

func (r *Registry) gather(c *collection) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sweep(time.Now())
	r.traffic(c)
	for i, name := range kindNames {
		c.add("oarlock_series_overflow_total", counter, r.overflow[i].Value(), name)
	}
	for address, d := range r.downstreams {
		c.envoy("envoy_listener_", address, d.statistics())
	}
	for name, u := range r.upstreams {
		c.envoy("envoy_cluster_", name, u.statistics())
	}
	for address, s := range r.listeners {
		c.envoy("envoy_listener_", address, s.statistics())
	}
	for name, s := range r.clusters {
		c.envoy("envoy_cluster_", name, s.statistics())
	}
	if r.xds != nil {
		c.xds(r.xds())
	}
	r.svid.collect(c)
	c.process(&r.lasting)
}

// traffic adds what flows are made of; the lock is held.
func (r *Registry) traffic(c *collection) {
	for l, h := range r.http {
		c.http(l, &h.series)
	}
	for l, h := range r.tcp {
		c.tcp(l, &h.series)
	}
	for k, h := range r.known {
		c.known(k, &h.series)
	}
	for f, s := range r.failures {
		c.add(OwnFailures, counter, s.count.Value(), f.values()...)
	}
	c.add("istio_build", gauge, 1, "proxy", orUnknown(r.opt.IstioVersion))
	c.add("oarlock_build_info", gauge, 1, orUnknown(r.opt.Version), runtime.Version())
	c.started(&r.lasting)
}

// collection are the metrics of one scrape.
type collection struct {
	desc    map[string]*prometheus.Desc
	metrics []prometheus.Metric
	flows   bool // no more than a flow is made of
}

func (c *collection) add(name string, k kind, v uint64, labels ...string) {
	c.addFloat(name, k, float64(v), labels...)
}

func (c *collection) addFloat(name string, k kind, v float64, labels ...string) {
	t := [...]prometheus.ValueType{counter: prometheus.CounterValue, gauge: prometheus.GaugeValue, untyped: prometheus.UntypedValue}[k]
	c.metrics = append(c.metrics, prometheus.MustNewConstMetric(c.desc[name], t, v, labels...))
}

// histogram adds one whose sum is in units that are so many to one of the boundaries'.
func (c *collection) histogram(name string, h *histogram, unit float64, labels []string) {
	buckets := make(map[float64]uint64, len(boundaries))
	var n uint64
	for i, le := range boundaries {
		n += h.buckets[i].Value()
		buckets[le] = n
	}
	n += h.buckets[len(boundaries)].Value()
	c.metrics = append(c.metrics, prometheus.MustNewConstHistogram(c.desc[name], n, float64(h.sum.Value())/unit, buckets, labels...))
}

func (c *collection) http(l Labels, s *httpSeries) {
	values := append(l.values(), strconv.Itoa(l.Code), l.GRPCStatus)
	c.add("istio_requests_total", counter, s.duration.count(), values...)
	c.histogram("istio_request_duration_milliseconds", &s.duration, float64(time.Millisecond), values)
	if c.flows {
		return
	}
	c.histogram("istio_request_bytes", &s.request, 1, values)
	c.histogram("istio_response_bytes", &s.response, 1, values)
}

func (c *collection) tcp(l Labels, s *tcpSeries) {
	values := l.values()
	c.add("istio_tcp_connections_opened_total", counter, s.opened.Value(), values...)
	c.add("istio_tcp_received_bytes_total", counter, s.received.Value(), values...)
	c.add("istio_tcp_sent_bytes_total", counter, s.sent.Value(), values...)
	if !c.flows {
		c.add("istio_tcp_connections_closed_total", counter, s.closed.Value(), values...)
	}
}

func (c *collection) known(k known, s *knownSeries) {
	values := []string{k.reporter.String(), orUnknown(k.source), orUnknown(k.sourceNamespace), orUnknown(k.destination),
		orUnknown(k.destinationNamespace), orUnknown(k.service), port(k.port), k.security.String(), orUnknown(k.policy)}
	if n := s.requests.Value(); n > 0 {
		c.add(OwnRequests, counter, n, values...)
	}
	if n := s.connections.Value(); n > 0 {
		c.add(OwnConnections, counter, n, values...)
	}
}

// values are those of istioLabels.
func (l *Labels) values() []string {
	s, d := &l.Source, &l.Destination
	v := append(make([]string, 0, len(istioRequestLabels)), l.Reporter.String(),
		s.Workload, s.CanonicalService, s.CanonicalRevision, s.Namespace, s.Principal, s.App, s.Version, s.Cluster,
		d.Workload, d.Namespace, d.Principal, d.App, d.Version, l.Service.Host, d.CanonicalService, d.CanonicalRevision,
		l.Service.Name, l.Service.Namespace, d.Cluster, l.Protocol)
	for i := range v {
		v[i] = orUnknown(v[i])
	}
	flags := l.Flags
	if flags == "" {
		flags = "-"
	}
	return append(v, flags, l.Security.String())
}

// values are those of failureLabels.
func (f *Failure) values() []string {
	return []string{f.Reporter.String(), orUnknown(f.Source.Workload), orUnknown(f.Source.Namespace),
		orUnknown(f.Source.Principal), orUnknown(f.Destination.Workload), orUnknown(f.Destination.Namespace),
		orUnknown(f.Destination.Principal), orUnknown(f.Service.Host), port(f.Port), f.Cause, orUnknown(f.Policy)}
}

func orUnknown(s string) string {
	if s == "" {
		return unknown
	}
	return s
}

func port(p uint16) string {
	if p == 0 {
		return unknown
	}
	return strconv.Itoa(int(p))
}

// statistic is one of Envoy's with its name there, after the listener or the cluster.
type statistic struct {
	name  string
	kind  kind
	value float64
}

func (d *Downstream) statistics() []statistic {
	return []statistic{
		{"downstream_cx_total", counter, float64(d.Connections.Value())},
		{"downstream_cx_active", gauge, float64(d.Active.Value())},
		{"downstream_global_cx_overflow", untyped, float64(d.Overflow.Value())},
		{"no_filter_chain_match", untyped, float64(d.NoFilterChainMatch.Value())},
	}
}

func (u *Upstream) statistics() []statistic {
	return []statistic{
		{"upstream_cx_total", counter, float64(u.Connections.Value())},
		{"upstream_cx_active", gauge, float64(u.Active.Value())},
		{"upstream_cx_connect_fail", untyped, float64(u.ConnectFail.Value())},
		{"upstream_cx_connect_timeout", untyped, float64(u.ConnectTimeout.Value())},
		{"upstream_cx_overflow", untyped, float64(u.ConnectionOverflow.Value())},
		{"upstream_cx_none_healthy", untyped, float64(u.NoHealthy.Value())},
		{"upstream_rq_total", counter, float64(u.Requests.Value())},
		{"upstream_rq_active", gauge, float64(u.ActiveRequests.Value())},
		{"upstream_rq_pending_active", gauge, float64(u.Pending.Value())},
		{"upstream_rq_retry", untyped, float64(u.Retries.Value())},
		{"upstream_rq_timeout", untyped, float64(u.Timeouts.Value())},
		{"upstream_rq_pending_overflow", untyped, float64(u.PendingOverflow.Value())},
		{"upstream_rq_retry_overflow", untyped, float64(u.RetryOverflow.Value())},
		{"outlier_detection.ejections_enforced_total", counter, float64(u.Ejections.Value())},
		{"outlier_detection.ejections_active", gauge, float64(u.Ejected.Value())},
	}
}

func (s *TLSStats) statistics() []statistic {
	all := []statistic{
		{"ssl.handshake", untyped, float64(s.handshake.Value())},
		{"ssl.session_reused", untyped, float64(s.reused.Value())},
		{"ssl.connection_error", untyped, float64(s.ConnectionError.Value())},
		{"ssl.no_certificate", untyped, float64(s.NoCertificate.Value())},
		{"ssl.fail_verify_no_cert", untyped, float64(s.FailVerifyNoCert.Value())},
		{"ssl.fail_verify_error", untyped, float64(s.FailVerifyError.Value())},
		{"ssl.fail_verify_san", untyped, float64(s.FailVerifySAN.Value())},
	}
	for i, v := range versionNames {
		if n := s.versions[i].Value(); n > 0 {
			all = append(all, statistic{versionsPrefix + v, untyped, float64(n)})
		}
	}
	for i, suite := range cipherNames {
		if n := s.ciphers[i].Value(); n > 0 {
			all = append(all, statistic{ciphersPrefix + suite.name, untyped, float64(n)})
		}
	}
	return all
}

// What stands in a name before a value that is a label in Prometheus.
const (
	versionsPrefix = "ssl.versions."
	ciphersPrefix  = "ssl.ciphers."
)

// envoy adds the statistics of one listener or cluster.
func (c *collection) envoy(prefix, of string, all []statistic) {
	for _, s := range all {
		labels := []string{of}
		for _, p := range []string{versionsPrefix, ciphersPrefix} {
			if value, ok := strings.CutPrefix(s.name, p); ok {
				s.name, labels = strings.TrimSuffix(p, "."), append(labels, value)
			}
		}
		c.addFloat(prefix+strings.ReplaceAll(s.name, ".", "_"), s.kind, s.value, labels...)
	}
}

// WriteStats writes Envoy's statistics as Envoy's /stats has them, "listener.0.0.0.0_15006.ssl.handshake: 3", in order.
func (r *Registry) WriteStats(w io.Writer) error {
	r.mu.Lock()
	var lines []string
	add := func(prefix string, all []statistic) {
		for _, s := range all {
			lines = append(lines, fmt.Sprintf("%s.%s: %.0f\n", prefix, s.name, s.value))
		}
	}
	for address, d := range r.downstreams {
		add("listener."+address, d.statistics())
	}
	for address, s := range r.listeners {
		add("listener."+address, s.statistics())
	}
	for name, u := range r.upstreams {
		add("cluster."+name, u.statistics())
	}
	for name, s := range r.clusters {
		add("cluster."+name, s.statistics())
	}
	r.mu.Unlock()
	slices.Sort(lines)
	_, err := io.WriteString(w, strings.Join(lines, ""))
	return err
}

func (c *collection) xds(s XDSStatus) {
	var connected uint64
	if s.Connected {
		connected = 1
	}
	c.add("oarlock_xds_connected", gauge, connected)
	c.add("oarlock_xds_acks_total", counter, s.Acknowledged)
	c.add("oarlock_xds_nacks_total", counter, s.Refused)
	c.add("oarlock_xds_ignored", gauge, uint64(max(s.Ignored, 0)))
	for url, version := range s.Versions {
		if name := xdsTypeName(url); name != "" {
			c.add("oarlock_xds_version_info", gauge, 1, name, clean(version))
		}
	}
}

func (s *SVID) collect(c *collection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.add("oarlock_svid_renewals_total", counter, s.renewals)
	c.add("oarlock_svid_renewal_failures_total", counter, s.failures)
	if !s.notAfter.IsZero() {
		c.addFloat("oarlock_svid_expiry_timestamp_seconds", gauge, float64(s.notAfter.Unix()))
		c.addFloat("oarlock_svid_start_timestamp_seconds", gauge, float64(s.notBefore.Unix()))
	}
}
