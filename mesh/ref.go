package mesh

import (
	"cmp"
	"strconv"
	"strings"
	"time"
)

// Kind is the kind of a Kubernetes or Istio object, spelled as in its manifest.
type Kind string

// The kinds that Oarlock reads. Every other kind is counted in Snapshot.Unknown and otherwise left alone.
const (
	KindNamespace          Kind = "Namespace"
	KindServiceAccount     Kind = "ServiceAccount"
	KindService            Kind = "Service"
	KindPod                Kind = "Pod"
	KindDeployment         Kind = "Deployment"
	KindStatefulSet        Kind = "StatefulSet"
	KindDaemonSet          Kind = "DaemonSet"
	KindReplicaSet         Kind = "ReplicaSet"
	KindJob                Kind = "Job"
	KindCronJob            Kind = "CronJob"
	KindEndpointSlice      Kind = "EndpointSlice"
	KindConfigMap          Kind = "ConfigMap"
	KindSecret             Kind = "Secret"
	KindMeshPolicy         Kind = "MeshPolicy"
	KindPolicy             Kind = "Policy"
	KindPeerAuthentication Kind = "PeerAuthentication"
	KindDestinationRule    Kind = "DestinationRule"
	KindServiceEntry       Kind = "ServiceEntry"
	KindWorkloadEntry      Kind = "WorkloadEntry"
	KindSidecar            Kind = "Sidecar"
	KindVirtualService     Kind = "VirtualService"
	KindGateway            Kind = "Gateway"
	KindProxyConfig        Kind = "ProxyConfig"
)

// Ref names one object. It is comparable, and travels with every verdict, change and log line that the object decided.
// Namespace is empty for cluster-scoped kinds (Namespace, MeshPolicy).
type Ref struct {
	Kind      Kind   `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
}

// IsZero says whether the Ref names nothing.
func (r Ref) IsZero() bool { return r == Ref{} }

// String gives "Kind namespace/name", or "Kind name" for a cluster-scoped object.
func (r Ref) String() string {
	if r.Namespace == "" {
		return string(r.Kind) + " " + r.Name
	}
	return string(r.Kind) + " " + r.Namespace + "/" + r.Name
}

// Compare orders Refs by kind, namespace and name.
func (r Ref) Compare(o Ref) int {
	return cmp.Or(cmp.Compare(r.Kind, o.Kind), cmp.Compare(r.Namespace, o.Namespace), cmp.Compare(r.Name, o.Name))
}

// Origin is where an object was read: a position in a file, or a resourceVersion of a cluster.
// Line and Col count from 1, Col in runes; both are 0 where the position is not known.
type Origin struct {
	File            string `json:"file,omitempty"`
	Line            int    `json:"line,omitempty"`
	Col             int    `json:"col,omitempty"`
	ResourceVersion string `json:"resourceVersion,omitempty"`
}

// String gives "file:line:col", "resourceVersion N", or "" for the zero Origin.
func (o Origin) String() string {
	switch {
	case o.File == "" && o.ResourceVersion != "":
		return "resourceVersion " + o.ResourceVersion
	case o.Line == 0:
		return o.File
	}
	var b strings.Builder
	b.WriteString(o.File)
	b.WriteByte(':')
	b.WriteString(strconv.Itoa(o.Line))
	if o.Col > 0 {
		b.WriteByte(':')
		b.WriteString(strconv.Itoa(o.Col))
	}
	return b.String()
}

// Object is the part that every object of the mesh shares.
type Object struct {
	Ref    Ref
	Origin Origin
	// Created is metadata.creationTimestamp; zero where the source has none, as in a directory of files.
	Created time.Time
	// Annotations are kept only for the keys that Oarlock reads; nil otherwise.
	Annotations map[string]string
}

// Older orders by the rule that Istio applies wherever "the oldest wins": creation time, then name, then namespace.
// Objects without a time count as equally old, so a directory is ordered by name, and as younger than those with one: they
// would be created when somebody applies them.
func (o *Object) Older(p *Object) int {
	return cmp.Or(o.Age(p), cmp.Compare(o.Ref.Name, p.Ref.Name), cmp.Compare(o.Ref.Namespace, p.Ref.Namespace))
}

// Age compares creation times alone: negative where o is older, 0 where both are equally old or of unknown age.
func (o *Object) Age(p *Object) int {
	switch {
	case o.Created.IsZero() && p.Created.IsZero():
		return 0
	case o.Created.IsZero():
		return 1
	case p.Created.IsZero():
		return -1
	}
	return o.Created.Compare(p.Created)
}

// Tree is an object as JSON: map[string]any, []any, string, bool, nil, int64 or float64.
// Values reachable from a Snapshot are shared and must not be modified; see CloneTree.
type Tree = map[string]any

// CloneTree copies a Tree, or any value inside one, deeply.
func CloneTree[T any](v T) T {
	out, _ := cloneAny(v).(T)
	return out
}

func cloneAny(v any) any {
	switch v := v.(type) {
	case map[string]any:
		if v == nil {
			return v
		}
		m := make(map[string]any, len(v))
		for k, e := range v {
			m[k] = cloneAny(e)
		}
		return m
	case []any:
		if v == nil {
			return v
		}
		s := make([]any, len(v))
		for i, e := range v {
			s[i] = cloneAny(e)
		}
		return s
	default:
		return v
	}
}
