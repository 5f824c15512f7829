package mesh

import "time"

// Container is one container of a workload, as its manifest writes it: "$(VAR)" in command, args and values is still
// there, names are not looked up.
type Container struct {
	Name       string
	Image      string
	Command    []string // empty: the image's entry point
	Args       []string
	WorkingDir string
	Env        []EnvVar
	EnvFrom    []EnvFrom
	Ports      []ContainerPort
	Mounts     []Mount
	// RestartPolicy is "Always" on an init container that is a native sidecar, else "".
	RestartPolicy string

	Readiness, Liveness, Startup *Probe // nil where there is none

	Origin Origin
}

// Port gives the number of a port that a probe names, by itself or by the name of a container port.
func (c *Container) Port(p PortRef) (uint32, bool) {
	if p.Name == "" {
		return p.Number, p.Number != 0
	}
	for _, e := range c.Ports {
		if e.Name == p.Name {
			return e.Number, true
		}
	}
	return 0, false
}

// EnvVar is one variable of a container's environment: a value as written, or where it comes from.
type EnvVar struct {
	Name   string
	Value  string
	From   *EnvSource // nil: Value counts
	Origin Origin
}

// EnvSource says where a variable comes from. Exactly one field is set, none where the manifest names nothing.
type EnvSource struct {
	FieldPath    string // of the pod: "metadata.name", "status.podIP", "metadata.labels['app']"
	ConfigMapKey *KeyRef
	SecretKey    *KeyRef
	Unsupported  string // the field of a source that is not read: "resourceFieldRef"
}

// KeyRef names one key of a ConfigMap or Secret of the workload's namespace.
type KeyRef struct {
	Name, Key string
	Optional  bool // a missing object or key leaves the variable unset
}

// EnvFrom takes every key of a ConfigMap or Secret into the environment.
type EnvFrom struct {
	Prefix    string
	ConfigMap string // its name; "" where Secret is set
	Secret    string
	Optional  bool
	Origin    Origin
}

// Volume is a folder that containers mount. One of ConfigMap, Secret, EmptyDir and Unsupported is set.
type Volume struct {
	Name      string
	ConfigMap *VolumeFiles
	Secret    *VolumeFiles
	EmptyDir  bool
	// Unsupported is the kind of a volume that is not read: "projected", "downwardAPI", "persistentVolumeClaim".
	Unsupported string
	Origin      Origin
}

// VolumeFiles are the files that a ConfigMap or Secret gives to a volume.
type VolumeFiles struct {
	Name     string       // of the ConfigMap or Secret
	Items    []VolumeItem // in order; empty: every key, in a file of its name
	Mode     uint32       // defaultMode, 0644 where nothing is said
	Optional bool
}

// VolumeItem puts one key into a file.
type VolumeItem struct {
	Key  string
	Path string // relative to the mount
	Mode uint32 // 0: the volume's
}

// Mount is a volume, or one path in it, in a container's file system.
type Mount struct {
	Volume   string
	Path     string // absolute
	SubPath  string
	ReadOnly bool
	Origin   Origin
}

// Probe asks whether a container is ready, alive or started. One of the four ways is set. Defaults are filled in: no
// initial delay, every 10 s, a timeout of 1 s, 1 success, 3 failures.
type Probe struct {
	HTTPGet   *HTTPGet
	TCPSocket *TCPSocket
	GRPC      *GRPCProbe
	Exec      []string // the command; status 0 is success

	InitialDelay, Period, Timeout      time.Duration
	SuccessThreshold, FailureThreshold int

	Origin Origin
}

// PortRef is a port by number, or by the name of a container port.
type PortRef struct {
	Number uint32
	Name   string
}

// HTTPGet succeeds with a status from 200 to 399.
type HTTPGet struct {
	Path    string // "/" where nothing is said
	Port    PortRef
	Scheme  string // HTTP or HTTPS, whose certificate is not verified
	Host    string // "": the pod's address
	Headers []Header
}

// Header is one header field as written.
type Header struct {
	Name, Value string
}

// TCPSocket succeeds when a connection is accepted.
type TCPSocket struct {
	Port PortRef
	Host string // "": the pod's address
}

// GRPCProbe asks grpc.health.v1.Health, without TLS.
type GRPCProbe struct {
	Port    uint32
	Service string
}

// RewriteAppHTTPProbers is the annotation that says whether the sidecar answers the kubelet's HTTP probes for the
// application ("true"), so that they get past STRICT, or not ("false").
const RewriteAppHTTPProbers = "sidecar.istio.io/rewriteAppHTTPProbers"
