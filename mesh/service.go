package mesh

// Resolution is how a sidecar finds the endpoints of a service.
type Resolution uint8

// The resolutions. Kubernetes Services are static, or passthrough when headless.
const (
	ResolutionStatic       Resolution = iota // endpoints are known (EDS)
	ResolutionDNS                            // endpoints or the host itself are looked up
	ResolutionPassthrough                    // headless, or ServiceEntry NONE: the original destination is kept
	ResolutionExternalName                   // ExternalName: an alias for another host
)

// String gives STATIC, DNS, NONE or ExternalName.
func (r Resolution) String() string { return [...]string{"STATIC", "DNS", "NONE", "ExternalName"}[r] }

// Service is one host that can be called: a Kubernetes Service, or one host of a ServiceEntry
// (an entry with several hosts gives several values with the same Ref).
type Service struct {
	Object
	Hostname        string            // foo.ns1.svc.cluster.local, or the ServiceEntry's host (may start with "*.")
	Ports           []Port            // in the order written
	Selector        map[string]string // of pods or of a ServiceEntry's workloads; empty selects nothing
	Resolution      Resolution
	External        bool     // ServiceEntry MESH_EXTERNAL (its API default)
	ExportTo        []string // annotation networking.istio.io/exportTo or the entry's field; empty means the mesh default
	ExternalName    string
	Addresses       []string // cluster IPs, or the entry's addresses
	SubjectAltNames []string // ServiceEntry subjectAltNames
	PublishNotReady bool     // publishNotReadyAddresses: pods that are not ready are endpoints too
	// Inline are endpoints written in the ServiceEntry or in EndpointSlices that match no other workload.
	Inline []*Workload
	// Bound are workloads that EndpointSlices name (by pod or address) where the Service has no selector.
	Bound []*Workload
}

// Entry says whether the service comes from a ServiceEntry.
func (s *Service) Entry() bool { return s.Ref.Kind == KindServiceEntry }

// Headless says whether a Kubernetes Service has clusterIP None.
func (s *Service) Headless() bool { return !s.Entry() && s.Resolution == ResolutionPassthrough }

// Port finds a port by service port number, of a UDP and a TCP port with one number the TCP port; nil where there is none.
func (s *Service) Port(number uint32) *Port {
	var found *Port
	for i := range s.Ports {
		if p := &s.Ports[i]; p.Number == number && (found == nil || found.UDP()) {
			found = p
		}
	}
	return found
}

// Port is one numbered door of a service.
type Port struct {
	Name        string
	Number      uint32
	Transport   string  // Kubernetes protocol: TCP, UDP, SCTP; "" means TCP
	AppProtocol *string // nil where not written
	// Declared is a ServiceEntry port's protocol as written (HTTP, TCP, TLS, ...); "" for a Kubernetes Service.
	Declared string
	// Target is the workload port: a number, or a container port's name; both zero means the service port number.
	TargetNumber uint32
	TargetName   string
}

// UDP says whether the port is one of UDP, by its Kubernetes protocol or as a ServiceEntry declares it.
func (p *Port) UDP() bool { return p.Transport == "UDP" || p.Declared == "UDP" }

// TargetOn gives the workload port that this service port reaches on w, and false where w has no such port
// (a named target port that its containers do not declare).
func (p *Port) TargetOn(w *Workload) (uint32, bool) {
	if n, ok := w.PortMap[p.Name]; ok {
		return n, true
	}
	if p.TargetName != "" {
		for _, c := range w.Ports {
			if c.Name == p.TargetName {
				return c.Number, true
			}
		}
		return 0, false
	}
	if p.TargetNumber != 0 {
		return p.TargetNumber, true
	}
	return p.Number, true
}
