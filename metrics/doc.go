// Package metrics names the series of a sidecar and counts them: Istio's standard metrics, Envoy's TLS statistics, and what
// neither has, handshake failures by source, destination and cause. docs/metrics.md lists them all.
//
//	r := metrics.NewRegistry(own, metrics.Options{})
//	q := r.Request(labels)            // once per connection or route
//	q.Observe(took, received, sent)   // for each request: no lock, no allocation
//	mux.Handle("/stats/prometheus", r.Handler())
//
// Labels that peers choose are bounded: past a number of combinations they share an overflow series, and what nobody counts
// on for long is dropped. Whoever holds a dropped series may go on counting on it; it finds its place again.
//
// [Flow] is what a query over these series returns.
package metrics
