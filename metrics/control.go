package metrics

import (
	"sync"
	"time"
)

// XDSStatus is how the sidecar's connection to its control plane is.
type XDSStatus struct {
	Connected bool
	// Acknowledged and Refused count responses.
	Acknowledged, Refused uint64
	// Ignored is how many fields and extensions of what is in force are passed over because they do no harm.
	Ignored int
	// Versions are of the last response of each type that took effect, by type URL.
	Versions map[string]string
}

// XDS makes a function that is called for each scrape the source of oarlock_xds_*; without one these series are absent.
// It must not call the Registry.
func (r *Registry) XDS(status func() XDSStatus) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.xds = status
}

// xdsTypeName is the label of a type URL.
func xdsTypeName(typeURL string) string {
	switch typeURL {
	case "type.googleapis.com/envoy.config.listener.v3.Listener":
		return "lds"
	case "type.googleapis.com/envoy.config.route.v3.RouteConfiguration":
		return "rds"
	case "type.googleapis.com/envoy.config.cluster.v3.Cluster":
		return "cds"
	case "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment":
		return "eds"
	case "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret":
		return "sds"
	}
	return ""
}

// SVID counts what happens to the workload's certificate.
type SVID struct {
	mu                 sync.Mutex
	notBefore          time.Time
	notAfter           time.Time
	renewals, failures uint64
}

// SVID gives the counters of the workload's certificate.
func (r *Registry) SVID() *SVID { return &r.svid }

// Renewed counts a new certificate, with the time in which it is valid.
func (s *SVID) Renewed(notBefore, notAfter time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notBefore, s.notAfter = notBefore, notAfter
	s.renewals++
}

// Failed counts an attempt to renew that came to nothing.
func (s *SVID) Failed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failures++
}
