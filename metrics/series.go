package metrics

import "slices"

// kind is the type of a series.
type kind uint8

const (
	counter kind = iota
	gauge
	histo
	// untyped is for Envoy's counters, whose names do not end in _total: a counter's name does in OpenMetrics, so that
	// the encoder would rename them.
	untyped
)

// String gives the word of the exposition format.
func (k kind) String() string { return [...]string{"counter", "gauge", "histogram", "untyped"}[k] }

// series is one name; docs/metrics.md has a row for each.
type series struct {
	name   string
	kind   kind
	help   string
	labels []string
}

// unknown stands for what is not known, as in Istio.
const unknown = "unknown"

// Our own series that a [Flow] is made of.
const (
	OwnRequests    = "oarlock_requests_total"
	OwnConnections = "oarlock_tcp_connections_opened_total"
	OwnFailures    = "oarlock_handshake_failures_total"
)

// OwnLabels are the names of the labels of OwnRequests and OwnConnections, OwnFailureLabels those of OwnFailures.
func OwnLabels() []string { return slices.Clone(knownLabels) }

// OwnFailureLabels are the names of the labels of OwnFailures.
func OwnFailureLabels() []string { return slices.Clone(failureLabels) }

// istioLabels are those of Istio's series for connections; requestLabels come in before the last two.
var istioLabels = []string{"reporter",
	"source_workload", "source_canonical_service", "source_canonical_revision", "source_workload_namespace",
	"source_principal", "source_app", "source_version", "source_cluster",
	"destination_workload", "destination_workload_namespace", "destination_principal", "destination_app",
	"destination_version", "destination_service", "destination_canonical_service", "destination_canonical_revision",
	"destination_service_name", "destination_service_namespace", "destination_cluster",
	"request_protocol", "response_flags", "connection_security_policy"}

var istioRequestLabels = append(istioLabels[:len(istioLabels):len(istioLabels)], "response_code", "grpc_response_status")

var knownLabels = []string{"reporter", "source_workload", "source_workload_namespace", "destination_workload",
	"destination_workload_namespace", "destination_service", "destination_port", "security", "policy"}

var failureLabels = []string{"reporter", "source_workload", "source_workload_namespace", "source_principal",
	"destination_workload", "destination_workload_namespace", "destination_principal", "destination_service",
	"destination_port", "cause", "policy"}

var (
	listenerLabel = []string{"envoy_listener_address"}
	clusterLabel  = []string{"envoy_cluster_name"}
)

// allSeries are all that a sidecar exposes, in the order of the documentation.
var allSeries = []series{
	{"istio_requests_total", counter, "Requests.", istioRequestLabels},
	{"istio_request_duration_milliseconds", histo, "Duration of requests.", istioRequestLabels},
	{"istio_request_bytes", histo, "Size of request bodies.", istioRequestLabels},
	{"istio_response_bytes", histo, "Size of response bodies.", istioRequestLabels},
	{"istio_tcp_connections_opened_total", counter, "TCP connections opened.", istioLabels},
	{"istio_tcp_connections_closed_total", counter, "TCP connections closed.", istioLabels},
	{"istio_tcp_received_bytes_total", counter, "Bytes from clients of TCP connections.", istioLabels},
	{"istio_tcp_sent_bytes_total", counter, "Bytes to clients of TCP connections.", istioLabels},
	{"istio_build", gauge, "Always 1; the labels say what runs.", []string{"component", "tag"}},

	{OwnRequests, counter, "Requests, with what the reporter itself knows of their security.", knownLabels},
	{OwnConnections, counter, "TCP connections opened, with what the reporter itself knows of their security.", knownLabels},
	{OwnFailures, counter, "TLS handshakes that did not come about.", failureLabels},
	{"oarlock_series_overflow_total", counter, "Times that labels found no place of their own.", []string{"set"}},
	{"oarlock_build_info", gauge, "Always 1; the labels say what runs.", []string{"version", "goversion"}},

	{"oarlock_svid_expiry_timestamp_seconds", gauge, "When the workload's certificate expires, in Unix time.", nil},
	{"oarlock_svid_start_timestamp_seconds", gauge, "Since when the workload's certificate is valid, in Unix time.", nil},
	{"oarlock_svid_renewals_total", counter, "Certificates that the workload got.", nil},
	{"oarlock_svid_renewal_failures_total", counter, "Attempts to get a certificate that failed.", nil},

	{"oarlock_xds_connected", gauge, "1 while there is a stream to the control plane.", nil},
	{"oarlock_xds_acks_total", counter, "Responses of the control plane that were acknowledged.", nil},
	{"oarlock_xds_nacks_total", counter, "Responses of the control plane that were refused.", nil},
	{"oarlock_xds_ignored", gauge, "Fields and extensions in force that are passed over because they do no harm.", nil},
	{"oarlock_xds_version_info", gauge, "Always 1; the label says which version took effect last.", []string{"type", "version"}},

	{"envoy_listener_downstream_cx_total", counter, "Connections for which there is a filter chain.", listenerLabel},
	{"envoy_listener_downstream_cx_active", gauge, "Those of them that are open.", listenerLabel},
	{"envoy_listener_downstream_global_cx_overflow", untyped, "Connections closed at once because the proxy had too many.", listenerLabel},
	{"envoy_listener_no_filter_chain_match", untyped, "Connections for which there is no filter chain.", listenerLabel},
	{"envoy_listener_ssl_handshake", untyped, "Handshakes that came about.", listenerLabel},
	{"envoy_listener_ssl_session_reused", untyped, "Handshakes that resumed a session.", listenerLabel},
	{"envoy_listener_ssl_connection_error", untyped, "Handshakes that failed by protocol.", listenerLabel},
	{"envoy_listener_ssl_no_certificate", untyped, "Handshakes of peers without a certificate.", listenerLabel},
	{"envoy_listener_ssl_fail_verify_no_cert", untyped, "Peers without the certificate that is required.", listenerLabel},
	{"envoy_listener_ssl_fail_verify_error", untyped, "Peers whose certificate does not verify.", listenerLabel},
	{"envoy_listener_ssl_fail_verify_san", untyped, "Peers whose certificate has another name.", listenerLabel},
	{"envoy_listener_ssl_ciphers", untyped, "Handshakes by cipher suite.", append(listenerLabel[:1:1], "envoy_ssl_cipher")},
	{"envoy_listener_ssl_versions", untyped, "Handshakes by version of TLS.", append(listenerLabel[:1:1], "envoy_ssl_version")},

	{"envoy_cluster_upstream_cx_total", counter, "Connections.", clusterLabel},
	{"envoy_cluster_upstream_cx_active", gauge, "Open connections.", clusterLabel},
	{"envoy_cluster_upstream_cx_connect_fail", untyped, "Connections that failed, TLS included.", clusterLabel},
	{"envoy_cluster_upstream_cx_connect_timeout", untyped, "Connections that took too long.", clusterLabel},
	{"envoy_cluster_upstream_cx_overflow", untyped, "Connections that the circuit breaker refused.", clusterLabel},
	{"envoy_cluster_upstream_cx_none_healthy", untyped, "Times that there was no healthy endpoint.", clusterLabel},
	{"envoy_cluster_upstream_rq_total", counter, "Requests.", clusterLabel},
	{"envoy_cluster_upstream_rq_active", gauge, "Requests under way.", clusterLabel},
	{"envoy_cluster_upstream_rq_pending_active", gauge, "Requests that have no connection yet, now.", clusterLabel},
	{"envoy_cluster_upstream_rq_retry", untyped, "Retries.", clusterLabel},
	{"envoy_cluster_upstream_rq_timeout", untyped, "Requests that took too long.", clusterLabel},
	{"envoy_cluster_upstream_rq_pending_overflow", untyped, "Requests that the circuit breaker refused.", clusterLabel},
	{"envoy_cluster_upstream_rq_retry_overflow", untyped, "Retries that the circuit breaker refused.", clusterLabel},
	{"envoy_cluster_outlier_detection_ejections_enforced_total", counter, "Endpoints put aside because they failed.", clusterLabel},
	{"envoy_cluster_outlier_detection_ejections_active", gauge, "Endpoints put aside now.", clusterLabel},
	{"envoy_cluster_ssl_handshake", untyped, "Handshakes that came about.", clusterLabel},
	{"envoy_cluster_ssl_session_reused", untyped, "Handshakes that resumed a session.", clusterLabel},
	{"envoy_cluster_ssl_connection_error", untyped, "Handshakes that failed by protocol.", clusterLabel},
	{"envoy_cluster_ssl_no_certificate", untyped, "Handshakes of peers without a certificate.", clusterLabel},
	{"envoy_cluster_ssl_fail_verify_no_cert", untyped, "Peers without the certificate that is required.", clusterLabel},
	{"envoy_cluster_ssl_fail_verify_error", untyped, "Peers whose certificate does not verify.", clusterLabel},
	{"envoy_cluster_ssl_fail_verify_san", untyped, "Peers whose certificate has another name.", clusterLabel},
	{"envoy_cluster_ssl_ciphers", untyped, "Handshakes by cipher suite.", append(clusterLabel[:1:1], "cipher_suite")},
	{"envoy_cluster_ssl_versions", untyped, "Handshakes by version of TLS.", append(clusterLabel[:1:1], "envoy_ssl_version")},

	{"process_start_time_seconds", gauge, "When the process began, in Unix time.", nil},
	{"process_cpu_seconds_total", counter, "Processor time of the process.", nil},
	{"process_resident_memory_bytes", gauge, "Memory of the process, what it shares included.", nil},
	{"process_open_fds", gauge, "Open file descriptors.", nil},
	{"process_max_fds", gauge, "How many file descriptors may be open.", nil},
	{"go_goroutines", gauge, "Goroutines.", nil},
	{"go_memstats_heap_alloc_bytes", gauge, "Memory of objects, live or not yet freed.", nil},
	{"go_memstats_sys_bytes", gauge, "Memory that the runtime has from the system.", nil},
	{"go_gc_cycles_total", counter, "Garbage collections.", nil},
}
