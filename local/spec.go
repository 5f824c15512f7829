package local

import (
	"net/netip"
	"time"

	"github.com/oarlock/oarlock/bootstrap"
	"github.com/oarlock/oarlock/mesh"
)

// Bounds of one mesh.
const (
	// MaxPods is how many pods one machine runs. The rest stays Pending.
	MaxPods = 200
	// maxServices is how many services have an address each.
	maxServices = 250
	// maxDoors is how many listening sockets one pod's doors may be.
	maxDoors = 512
)

// desired is what the engine shall run: the body of PUT /v1/desired.
type desired struct {
	Version    int            `json:"version"` // of this form
	Pods       []podSpec      `json:"pods"`    // by namespace, name
	Forwards   []forward      `json:"forwards"`
	ServiceIPs []serviceIP    `json:"serviceIPs"`
	Capture    string         `json:"capture"`
	CaptureWhy string         `json:"captureWhy"`
	Problems   []mesh.Problem `json:"problems"`
	Names      []nameSpec     `json:"names,omitempty"` // for the resolver of a fabric
}

// nameSpec is a host name with its address, or the pods whose addresses it has while they are ready.
type nameSpec struct {
	Host     string     `json:"host"`
	IP       netip.Addr `json:"ip,omitzero"`
	Pods     []mesh.Ref `json:"pods,omitempty"`
	Unready  bool       `json:"unready,omitempty"`  // has the pods that are not ready, too
	Captured bool       `json:"captured,omitempty"` // for pods with a sidecar alone
}

const wireVersion = 1

// serviceIP is an entry of mesh.Running.ServiceIPs.
type serviceIP struct {
	Ref mesh.Ref `json:"ref"`
	IP  string   `json:"ip"`
}

// podSpec is one pod, with every name looked up.
type podSpec struct {
	Workload *mesh.Workload `json:"workload"` // of KindPod, with its address
	// Fingerprint is equal where nothing changed that takes a restart.
	Fingerprint string `json:"fingerprint"`
	// Blocked says what the pod waits for, Failed why it cannot run; it is not started then.
	Blocked string `json:"blocked,omitempty"`
	Failed  string `json:"failed,omitempty"`

	Dir        string          `json:"dir"`
	Files      []fileSpec      `json:"files,omitempty"`
	Folders    []string        `json:"folders,omitempty"` // below Dir, for emptyDir volumes
	Sidecar    *sidecarSpec    `json:"sidecar,omitempty"`
	Init       []containerSpec `json:"init,omitempty"`
	Containers []containerSpec `json:"containers,omitempty"`
	// Awaits are the service ports that the pod declares to call: its containers start when somebody answers there.
	Awaits []awaited `json:"awaits,omitempty"`
	// AppAddr is where the application shall listen; invalid where it may listen anywhere.
	AppAddr netip.Addr `json:"appAddr,omitzero"`
	// Net is the pod's network in a fabric; nil with explicit capture.
	Net *PodNet `json:"net,omitempty"`
	// Host is where the ports of a gateway are on the machine itself.
	Host    netip.Addr    `json:"host,omitzero"`
	Restart string        `json:"restart"` // restartPolicy
	Grace   time.Duration `json:"grace"`
}

func (p *podSpec) ref() mesh.Ref { return p.Workload.Ref }

// awaited is a service port that a pod calls.
type awaited struct {
	Name string     `json:"name"` // for people
	Pods []mesh.Ref `json:"pods"` // behind it
	// Cluster is what the pod's sidecar calls the port; "" where it goes to the pods without knowing them.
	Cluster string `json:"cluster,omitempty"`
}

// fileSpec is a file of a pod. It is written before the pod starts and again when it changed, by renaming.
type fileSpec struct {
	Path    string `json:"path"` // below the pod's folder
	Mode    uint32 `json:"mode"`
	Content []byte `json:"content"`
	// Live says that a change does not restart the pod.
	Live bool `json:"live,omitempty"`
}

// sidecarSpec is the sidecar of a pod.
type sidecarSpec struct {
	Bootstrap bootstrap.File `json:"bootstrap"`
	// Ready is the URL that answers 200 when it is ready.
	Ready string        `json:"ready"`
	Drain time.Duration `json:"drain"`
}

// containerSpec is one process.
type containerSpec struct {
	Name      string     `json:"name"`
	Argv      []string   `json:"argv"`
	Env       []string   `json:"env"`
	Dir       string     `json:"dir"`
	Ports     []uint32   `json:"ports,omitempty"`
	Hint      string     `json:"hint,omitempty"` // what may be wrong if it ends again and again
	Keep      bool       `json:"keep,omitempty"` // of an init container: a native sidecar
	Readiness *probeSpec `json:"readiness,omitempty"`
	Liveness  *probeSpec `json:"liveness,omitempty"`
	Startup   *probeSpec `json:"startup,omitempty"`
}

// probeSpec is a probe with its address. One of HTTP, TCP, GRPC and Exec is set.
type probeSpec struct {
	HTTP    string        `json:"http,omitempty"` // URL
	Headers []mesh.Header `json:"headers,omitempty"`
	TCP     string        `json:"tcp,omitempty"`  // HOST:PORT
	GRPC    string        `json:"grpc,omitempty"` // HOST:PORT
	Service string        `json:"service,omitempty"`
	Exec    []string      `json:"exec,omitempty"`

	Delay, Period, Timeout time.Duration
	Successes, Failures    int
}

// forward is a plain TCP forwarder that the engine runs.
type forward struct {
	Listen netip.AddrPort `json:"listen"`
	Source netip.Addr     `json:"source,omitzero"` // of the connections that it makes
	// Outside says that it listens on the machine's own network although the pods have another, Cluster that the kernel
	// does it in the pods' network.
	Outside bool     `json:"outside,omitempty"`
	Cluster bool     `json:"cluster,omitempty"`
	Targets []target `json:"targets"`
}

// target is an endpoint of a forwarder. It is used while its pod is ready, or always if it names none.
type target struct {
	Pod  mesh.Ref       `json:"pod,omitzero"`
	Addr netip.AddrPort `json:"addr"`
}

// state is what the engine says of itself: the answer of GET /v1/state.
type state struct {
	Version    int            `json:"version"`
	Seq        uint64         `json:"seq"`
	Engine     processID      `json:"engine"`
	Control    *controlState  `json:"control,omitempty"`
	Applied    bool           `json:"applied"` // a desired set has arrived
	Pods       []podState     `json:"pods"`
	ServiceIPs []serviceIP    `json:"serviceIPs"`
	Capture    string         `json:"capture"`
	CaptureWhy string         `json:"captureWhy"`
	Problems   []mesh.Problem `json:"problems"`
}

// podState is a mesh.Pod, and what the Client needs to reach it.
type podState struct {
	Workload *mesh.Workload `json:"workload"`
	Phase    mesh.Phase     `json:"phase"`
	Ready    bool           `json:"ready"`
	Reason   string         `json:"reason,omitempty"`
	Restarts int            `json:"restarts"`
	Started  time.Time      `json:"started,omitzero"`

	Dir        string           `json:"dir"`
	Admin      string           `json:"admin,omitempty"` // socket
	Host       netip.Addr       `json:"host,omitzero"`
	Containers []containerState `json:"containers,omitempty"`
}

type containerState struct {
	Name     string `json:"name"`
	PID      int    `json:"pid,omitempty"` // 0: not running
	Restarts int    `json:"restarts"`
}

type controlState struct {
	PID      int    `json:"pid,omitempty"`
	Restarts int    `json:"restarts"`
	Reason   string `json:"reason,omitempty"`
}

// execRequest is a command for the exec socket; its three files come beside it.
type execRequest struct {
	Pod       mesh.Ref `json:"pod"`
	Container string   `json:"container,omitempty"`
	Command   []string `json:"command"`
	Env       []string `json:"env,omitempty"` // of the terminal
	// Certificates is the folder of mesh.Exec, which the caller made and removes.
	Certificates string `json:"certificates,omitempty"`
	// Dial asks for a connection to HOST:PORT in the pods' network in place of a command.
	Dial string `json:"dial,omitempty"`
}

type execResponse struct {
	Code  int    `json:"code"`
	Error string `json:"error,omitempty"`
}
