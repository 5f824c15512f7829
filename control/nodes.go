package control

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/oarlock/oarlock/api"
	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/xds"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
)

// authenticate says who opened a stream: by its certificate of the mesh, or by its token.
func (p *Plane) authenticate(ctx context.Context) (xds.Caller, error) {
	if from, ok := peer.FromContext(ctx); ok {
		if info, ok := from.AuthInfo.(credentials.TLSInfo); ok && len(info.State.VerifiedChains) > 0 {
			return p.certified(info.State.VerifiedChains[0][0])
		}
	}
	values := metadata.ValueFromIncomingContext(ctx, "authorization")
	if len(values) != 1 {
		return xds.Caller{}, errNobody
	}
	token, ok := strings.CutPrefix(values[0], "Bearer ")
	if !ok {
		return xds.Caller{}, errNobody
	}
	who, err := p.tokens.Authenticate(ctx, token)
	if err != nil {
		p.log.Warn("xDS client refused", "error", err)
		return xds.Caller{}, errNobody
	}
	return xds.Caller{Namespace: who.Namespace, ServiceAccount: who.ServiceAccount, Workload: who.Workload}, nil
}

var errNobody = errors.New("neither a token nor a certificate of the mesh proves who asks")

// certified reads an SVID, whose chain is verified: spiffe://TD/ns/NS/sa/SA.
func (p *Plane) certified(leaf *x509.Certificate) (xds.Caller, error) {
	if len(leaf.URIs) == 1 && leaf.URIs[0].Scheme == "spiffe" && leaf.URIs[0].Host == p.authority.TrustDomain().Name() {
		if parts := strings.Split(leaf.URIs[0].Path, "/"); len(parts) == 5 && parts[1] == "ns" && parts[3] == "sa" {
			return xds.Caller{Namespace: parts[2], ServiceAccount: parts[4]}, nil
		}
	}
	return xds.Caller{}, errNobody
}

// node is a sidecar, with the number of what is in force there.
type node struct {
	api.Node
	number uint64
}

// nodes lists the sidecars that are or were connected, by namespace and pod.
func (p *Plane) nodes() []node {
	p.mu.Lock()
	newest := p.versions.next
	p.mu.Unlock()
	var out []node
	for _, n := range p.xds.Status() {
		one := node{number: n.InForceNumber, Node: api.Node{ID: n.Node, Namespace: n.Pod.Namespace, Pod: n.Pod.Name, Known: !n.Pod.IsZero(), Connected: n.Connected, Since: n.Since,
			Snapshot: n.InForce, InForce: n.InForceNumber > 0 && n.InForceNumber >= newest, Refused: n.Refused}}
		if !one.Known {
			one.Pod, one.Namespace = podOf(n.Node)
		}
		for _, t := range xds.Types() {
			one.Types = append(one.Types, api.NodeType{Type: t.String(), State: typeState(&n, t)})
		}
		out = append(out, one)
	}
	slices.SortFunc(out, func(a, b node) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Pod, b.Pod), cmp.Compare(a.ID, b.ID))
	})
	return out
}

// podOf reads Envoy's node id: sidecar~IP~POD.NAMESPACE~DOMAIN.
func podOf(id string) (pod, namespace string) {
	parts := strings.Split(id, "~")
	if len(parts) != 4 {
		return id, ""
	}
	i := strings.LastIndexByte(parts[2], '.')
	if i < 0 {
		return parts[2], ""
	}
	return parts[2][:i], parts[2][i+1:]
}

// typeState is what a node has of one kind of resource, in istioctl's words.
func typeState(n *xds.NodeStatus, t xds.Type) string {
	switch {
	case n.Sent[t] == "":
		return "NOT SENT"
	case n.Sent[t] == n.Acked[t]:
		return "SYNCED"
	case n.Refused != "":
		return "NACK"
	}
	return "STALE"
}

// coverage counts the sidecars on which a version, or one after it, is in force. It is asked for while they acknowledge. The
// caller holds mu.
func (p *Plane) coverage(nodes []xds.InForce, version string) api.Coverage {
	c := api.Coverage{Total: len(nodes)}
	connected := make(map[mesh.Ref]bool, len(nodes))
	for _, n := range nodes {
		connected[n.Pod] = true
		if p.versions.reached(n.Number, version) {
			c.InForce++
		}
	}
	for _, pod := range p.expected() {
		if !connected[pod] {
			c.Total++
		}
	}
	return c
}

// missing is the same as coverage, and names the others: "POD.NAMESPACE: why".
func (p *Plane) missing(nodes []node, version string) (api.Coverage, []string) {
	var c api.Coverage
	var out []string
	connected := map[string]bool{}
	for i := range nodes {
		n := &nodes[i]
		if !n.Connected || !n.Known {
			continue
		}
		connected[n.Namespace+"/"+n.Pod] = true
		c.Total++
		if p.versions.reached(n.number, version) {
			c.InForce++
			continue
		}
		out = append(out, fmt.Sprintf("%s.%s: %s", n.Pod, n.Namespace, behind(&n.Node)))
	}
	for _, pod := range p.expected() {
		if !connected[pod.Namespace+"/"+pod.Name] {
			c.Total++
			out = append(out, fmt.Sprintf("%s.%s: its sidecar is not connected", pod.Name, pod.Namespace))
		}
	}
	slices.Sort(out)
	return c, out
}

// behind says in a clause what a connected sidecar waits for.
func behind(n *api.Node) string {
	if n.Refused != "" {
		return "its sidecar refused it: " + n.Refused
	}
	return "its sidecar has not acknowledged it yet"
}

// expected are the pods that run with a sidecar. The caller holds mu.
func (p *Plane) expected() []mesh.Ref {
	var out []mesh.Ref
	if p.running == nil {
		return nil
	}
	for i := range p.running.Pods {
		e := &p.running.Pods[i]
		if e.Workload.Capture == mesh.CaptureSidecar && e.Phase == mesh.PhaseRunning {
			out = append(out, e.Workload.Ref)
		}
	}
	return out
}

// recount is how often sidecars that are not connected are looked for.
const recount = 10 * time.Millisecond

// wait waits until a version is in force everywhere, until all that do not have it have refused it, or for ctx, and says
// how far it is then.
func (p *Plane) wait(ctx context.Context, version string) *api.Sync {
	_, _, err := p.xds.Wait(ctx, version) // those that are connected; what came of it is counted below
	for {
		changed := p.xds.Changed()
		nodes := p.nodes()
		p.mu.Lock()
		c, missing := p.missing(nodes, version)
		since := p.versions.times[version]
		p.mu.Unlock()
		if len(missing) == 0 || err != nil || ctx.Err() != nil {
			return &api.Sync{Head: head("Sync"), Snapshot: version, Coverage: c, Missing: missing,
				Elapsed: float64(time.Since(since).Microseconds()) / 1000}
		}
		sleep(ctx, recount)
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}
