package mesh

import "time"

// Namespace is a Kubernetes namespace with its labels.
type Namespace struct {
	Object
	Labels map[string]string
	// Capture is what a pod gets here that says nothing itself, CaptureReason why.
	Capture       Capture
	CaptureReason string
}

// Capture says what stands between a workload and the network.
type Capture uint8

// The kinds of capture.
const (
	CaptureNone    Capture = iota // no sidecar: no policy is enforced here, no rule is obeyed
	CaptureSidecar                // an istio-proxy container, there already or to be injected
	CaptureAmbient                // ztunnel: recognised, not judged as a sidecar
)

// String gives "none", "sidecar" or "ambient".
func (c Capture) String() string { return [...]string{"none", "sidecar", "ambient"}[c] }

// TLSModeIstio is the value of the label security.istio.io/tlsMode that lets a client choose mTLS by itself.
// Only this exact value counts (semantics L35, M31).
const TLSModeIstio = "istio"

// Workload is a running instance group with an identity: a Pod, the pod template of a Deployment (or StatefulSet,
// DaemonSet, ReplicaSet, Job, CronJob), a WorkloadEntry, or an endpoint written inline in a ServiceEntry or EndpointSlice.
type Workload struct {
	Object
	Labels         map[string]string // of the pod (template)
	ServiceAccount string            // "default" where a pod names none; "" where a WorkloadEntry names none
	Replicas       int               // 1 where nothing is said
	Owner          Ref               // of a Pod: the controller that made it, ReplicaSet resolved to its Deployment; else zero

	Capture       Capture
	CaptureReason string // one clause: `namespace label istio-injection=enabled`
	// TLSMode is the label security.istio.io/tlsMode as the endpoint carries it, the injector's "istio" included;
	// "disabled" where there is none.
	TLSMode     string
	HostNetwork bool
	// Router says that the proxy is a gateway: its listeners come from Gateway objects, no policy of mutual TLS is enforced
	// there, and no Sidecar limits what it sees.
	Router bool

	Addresses []string          // pod IPs, or the address of an entry; empty for a template
	Ports     []ContainerPort   // what the containers declare
	PortMap   map[string]uint32 // of an entry: service port name to workload port

	// Inbound and Outbound hold the traffic.sidecar.istio.io annotations.
	Inbound, Outbound PortCapture

	// What a pod of the workload runs, in the order written; all empty for an entry or endpoint. A sidecar that the
	// manifest brings along is among them, by the name SidecarContainer.
	Containers     []Container
	InitContainers []Container
	Volumes        []Volume
	// SidecarVolumes and SidecarMounts are what the annotations sidecar.istio.io/userVolume and userVolumeMount give to
	// the sidecar: files that DestinationRules name.
	SidecarVolumes []Volume
	SidecarMounts  []Mount
	// Concurrency is that of the annotation proxy.istio.io/config; nil where it says nothing. See Snapshot.Concurrency.
	Concurrency *int
	// RestartPolicy is Always, OnFailure or Never; "" for an entry or endpoint.
	RestartPolicy string
	// TerminationGrace is how long a pod may take to end after SIGTERM; 30 s where nothing is said.
	TerminationGrace time.Duration

	Calls    []Call // declared by annotation or demo-app arguments, in order
	InlineOf Ref    // the ServiceEntry or EndpointSlice that an inline endpoint belongs to; else zero
}

// Template says whether the workload is a controller's pod template and not one running instance.
func (w *Workload) Template() bool {
	switch w.Ref.Kind {
	case KindDeployment, KindStatefulSet, KindDaemonSet, KindReplicaSet, KindJob, KindCronJob:
		return true
	}
	return false
}

// Pod gives one instance of a template, or of a Pod as its manifest writes it. Its owner is the template.
func (w *Workload) Pod(name string, addresses []string) *Workload {
	p := *w
	p.Ref = Ref{Kind: KindPod, Namespace: w.Ref.Namespace, Name: name}
	p.Replicas, p.Addresses = 1, addresses
	if w.Ref.Kind != KindPod {
		p.Owner = w.Ref
	}
	return &p
}

// ContainerPort is one entry of a container's ports.
type ContainerPort struct {
	Name     string
	Number   uint32
	Protocol string // TCP, UDP, SCTP; "" means TCP
}

// PortCapture is one direction of the traffic.sidecar.istio.io port annotations.
// Include nil means every port; a port is captured if included and not excluded.
type PortCapture struct {
	Include []uint32 // nil: all
	Exclude []uint32
}

// Captures says whether traffic on the port goes through the sidecar.
func (c PortCapture) Captures(port uint32) bool {
	for _, p := range c.Exclude {
		if p == port {
			return false
		}
	}
	if c.Include == nil {
		return true
	}
	for _, p := range c.Include {
		if p == port {
			return true
		}
	}
	return false
}

// Call says that a workload calls a service, with the place that says so.
type Call struct {
	Host   string // short name, name.namespace, or a full host
	Port   uint32 // 0: not said
	Source string // `annotation oarlock.dev/calls`, `demo-app argument --call`
	Origin Origin
}
