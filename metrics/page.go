package metrics

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
)

// OnlyFlows is the query of a page with no more than a [Flow] is made of, as text: for a store that asks each sidecar every
// second. As long as nothing is counted the same bytes are sent again.
const OnlyFlows = "for=flows"

// flowsPage is that page as it was written last.
type flowsPage struct {
	prom    *prometheus.Registry
	mu      sync.Mutex // guards what follows
	bytes   []byte     // nil: none was written yet
	version uint64     // of the registry, at least
}

// flowsHandler serves the page.
func (r *Registry) flowsHandler() http.Handler {
	running := make(chan struct{}, maxScrapes)
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		select {
		case running <- struct{}{}:
			defer func() { <-running }()
		default:
			http.Error(w, fmt.Sprintf("more than %d scrapes at once", maxScrapes), http.StatusServiceUnavailable)
			return
		}
		page, err := r.flows()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", string(expfmt.NewFormat(expfmt.TypeTextPlain)))
		w.Header().Set("Content-Length", strconv.Itoa(len(page)))
		_, _ = w.Write(page) // whoever asked is gone if this fails
	})
}

// flows gives the page. Nobody may write to it.
func (r *Registry) flows() ([]byte, error) {
	p := &r.page
	p.mu.Lock()
	defer p.mu.Unlock()
	r.mu.Lock()
	r.sweep(time.Now())
	version := r.version
	r.mu.Unlock()
	if p.bytes != nil && version == p.version {
		return p.bytes, nil
	}
	// What is counted from here on is on the page or not, and makes another version in any case.
	families, err := p.prom.Gather()
	if err != nil {
		return nil, fmt.Errorf("write metrics: %w", err)
	}
	var b bytes.Buffer
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(&b, f); err != nil {
			return nil, fmt.Errorf("write metrics: %w", err)
		}
	}
	p.bytes, p.version = b.Bytes(), version
	return p.bytes, nil
}

// flowsCollector collects what is on the page.
type flowsCollector struct{ *Registry }

// Collect is of prometheus.Collector.
func (f flowsCollector) Collect(out chan<- prometheus.Metric) {
	c := &collection{desc: f.desc, flows: true}
	f.mu.Lock()
	f.traffic(c)
	f.mu.Unlock()
	for _, m := range c.metrics {
		out <- m
	}
}
