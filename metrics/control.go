package metrics

import (
	"sync"
	"time"
)

// XDS counts what passes between the sidecar and its control plane.
type XDS struct {
	mu        sync.Mutex
	types     map[string]*xdsType // by short name: a closed list
	connected bool
	connects  uint64
}

type xdsType struct {
	acks, nacks, ignored uint64
	version              string
	since                time.Time // of the version
}

// XDS gives the counters of the connection to the control plane.
func (r *Registry) XDS() *XDS { return &r.xds }

// Connected says whether there is a stream.
func (x *XDS) Connected(on bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if on && !x.connected {
		x.connects++
	}
	x.connected = on
}

// Ack counts an accepted response of a type URL, with its version.
func (x *XDS) Ack(typeURL, version string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	t := x.of(typeURL)
	t.acks++
	if t.version != version {
		t.version, t.since = version, time.Now()
	}
}

// Nack counts a refused response of a type URL.
func (x *XDS) Nack(typeURL string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.of(typeURL).nacks++
}

// Ignored counts fields and extensions that were passed over because they do no harm.
func (x *XDS) Ignored(typeURL string, n int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.of(typeURL).ignored += uint64(max(n, 0))
}

func (x *XDS) of(typeURL string) *xdsType {
	name := xdsTypeName(typeURL)
	t := x.types[name]
	if t == nil {
		t = &xdsType{}
		x.types[name] = t
	}
	return t
}

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
	return "other"
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
