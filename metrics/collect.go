package metrics

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Describe is of prometheus.Collector. It says nothing: which series there are depends on the traffic.
func (r *Registry) Describe(chan<- *prometheus.Desc) {}

// Collect is of prometheus.Collector.
func (r *Registry) Collect(out chan<- prometheus.Metric) {
}

// Handler serves all series, as text or in OpenMetrics' form, as the caller likes.
func (r *Registry) Handler() http.Handler {
	return promhttp.HandlerFor(r.prom, promhttp.HandlerOpts{EnableOpenMetrics: true})
}
