package xds

import (
	"fmt"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"github.com/oarlock/oarlock/mesh"
)

// maxNodeID bounds what a client may call itself.
const maxNodeID = 512

// nodeID is what a client says it is: "sidecar~IP~POD.NAMESPACE~NAMESPACE.svc.DOMAIN".
type nodeID struct {
	text      string
	pod       string
	namespace string
	grpc      bool
}

// parseNode reads the node of a client's first request.
func parseNode(n *corev3.Node) (nodeID, error) {
	id := n.GetId()
	if len(id) > maxNodeID {
		return nodeID{}, fmt.Errorf("parse node id: %d bytes, at most %d are taken", len(id), maxNodeID)
	}
	part := strings.Split(id, "~")
	if len(part) != 4 || part[0] != "sidecar" && part[0] != "router" {
		return nodeID{}, fmt.Errorf("parse node id %q: want sidecar~IP~POD.NAMESPACE~NAMESPACE.svc.DOMAIN", id)
	}
	// A pod's name may have dots, a namespace's has none.
	dot := strings.LastIndexByte(part[2], '.')
	if dot <= 0 || dot == len(part[2])-1 {
		return nodeID{}, fmt.Errorf("parse node id %q: %q is no POD.NAMESPACE", id, part[2])
	}
	return nodeID{
		text: id, pod: part[2][:dot], namespace: part[2][dot+1:],
		grpc: n.GetMetadata().GetFields()["GENERATOR"].GetStringValue() == "grpc",
	}, nil
}

// podKey finds a workload by what its node says.
type podKey struct{ namespace, name string }

// podsOf indexes the workloads that may be nodes, pods before others of their name.
func podsOf(s *mesh.Snapshot) map[podKey]*mesh.Workload {
	out := make(map[podKey]*mesh.Workload, len(s.Workloads))
	for _, w := range s.Workloads {
		k := podKey{w.Ref.Namespace, w.Ref.Name}
		if old := out[k]; old == nil || old.Ref.Kind != mesh.KindPod && w.Ref.Kind == mesh.KindPod {
			out[k] = w
		}
	}
	return out
}

// Workload finds the workload that a node of this namespace and name gets the resources of: a Pod, or what stands for its pods
// in a mesh that nobody runs. Nil where the newest mesh has none.
func (s *Server) Workload(namespace, name string) *mesh.Workload {
	s.set.Lock()
	defer s.set.Unlock()
	return s.pods[podKey{namespace, name}]
}
