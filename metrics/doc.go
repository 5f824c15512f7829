// Package metrics names the series of a sidecar and counts them: Istio's standard metrics, Envoy's TLS statistics, and what
// neither has, handshake failures by source, destination and cause.
package metrics
