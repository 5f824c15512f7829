package graph

import (
	"cmp"
	"slices"
	"strings"

	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/metrics"
)

// The nodes that stand for what has no name of its own.
const (
	outsideID   = "outside/unknown"
	passthrough = "PassthroughCluster" // to where the application dialled, which no registry knows
	blackHole   = "BlackHoleCluster"   // refused by the client's sidecar: REGISTRY_ONLY
	overflow    = "overflow"           // labels that found no place of their own
)

// places finds the nodes that the labels of flows mean.
type places struct {
	b         *builder
	workloads map[[2]string]*mesh.Workload // by namespace and name
	ids       map[*mesh.Workload]string
	doors     map[ownDoor][]uint32 // ports that lead to a workload's
	accounts  map[[2]string][]*mesh.Workload
	services  map[string]*mesh.Service // by host
	ingresses []ingress

	pods   map[mesh.Ref][]*mesh.Pod // that run, by the workload of the manifests
	behind map[string][]*mesh.Pod   // what podsBehind has found
}

func (b *builder) places() *places {
	p := &places{b: b, workloads: map[[2]string]*mesh.Workload{}, ids: map[*mesh.Workload]string{}, doors: map[ownDoor][]uint32{}, accounts: map[[2]string][]*mesh.Workload{}, services: map[string]*mesh.Service{},
		pods: map[mesh.Ref][]*mesh.Pod{}, behind: map[string][]*mesh.Pod{}}
	for _, w := range b.snap.Workloads {
		p.ids[w] = workloadID(w.Ref)
		key := [2]string{w.Ref.Namespace, w.Ref.Name}
		// Series name the controller: a Pod of the same name gives way to it.
		if have := p.workloads[key]; have == nil || !have.Template() && w.Template() {
			p.workloads[key] = w
		}
		key[1] = w.ServiceAccount
		p.accounts[key] = append(p.accounts[key], w)
	}
	for _, s := range b.snap.Services {
		if p.services[s.Hostname] == nil {
			p.services[s.Hostname] = s
		}
	}
	p.ingresses = b.ingresses()
	return p
}

// peer finds the node of a workload, "" where the labels name none. A principal stands in for a name where one workload alone
// runs under it.
func (p *places) peer(peer *metrics.Peer) string {
	if peer.Workload == "" {
		if w := p.account(peer.Principal); w != nil {
			return workloadID(w.Ref)
		}
		return ""
	}
	if w := p.workloads[[2]string{peer.Namespace, peer.Workload}]; w != nil {
		return p.ids[w]
	}
	if peer.Workload == overflow && peer.Namespace == "" {
		return ""
	}
	if id := p.ingress(peer, ""); id != "" {
		return id
	}
	return p.undeclared(peer)
}

// caller is the node of a flow's source. Of several gateways on one workload it is that with a route to where the flow ends.
func (p *places) caller(f *metrics.Flow, d door) string {
	if len(p.ingresses) > 0 && f.Source.Workload != "" && p.workloads[[2]string{f.Source.Namespace, f.Source.Workload}] == nil {
		if id := p.ingress(&f.Source, d.to); id != "" {
			return id
		}
	}
	return p.peer(&f.Source)
}

// account reads spiffe://DOMAIN/ns/NAMESPACE/sa/ACCOUNT.
func (p *places) account(principal string) *mesh.Workload {
	_, path, ok := strings.Cut(strings.TrimPrefix(principal, "spiffe://"), "/")
	parts := strings.Split(path, "/")
	if !ok || len(parts) != 4 || parts[0] != "ns" || parts[2] != "sa" {
		return nil
	}
	if found := p.accounts[[2]string{parts[1], parts[3]}]; len(found) == 1 {
		return found[0]
	}
	return nil
}

// undeclared makes a node of a workload that only traffic knows.
func (p *places) undeclared(peer *metrics.Peer) string {
	id := "workload/" + peer.Namespace + "/" + peer.Workload
	if p.b.nodes[id] == nil {
		n := &Node{ID: id, Kind: NodeWorkload, Namespace: peer.Namespace, Name: peer.Workload, App: peer.App, Version: peer.Version,
			Capture: mesh.CaptureSidecar}
		n.Findings = append(n.Findings, Finding{FindingUndeclared, SeverityNote,
			"no manifest declares " + peer.Workload + "; its sidecar, or one that it calls, was seen"})
		p.b.nodes[id] = n
		if peer.Namespace != "" {
			p.b.addNamespace(peer.Namespace, mesh.Object{})
		}
	}
	return id
}

// outside makes the node of all callers that nobody can name.
func (p *places) outside() string {
	if p.b.nodes[outsideID] == nil {
		p.b.nodes[outsideID] = &Node{ID: outsideID, Kind: NodeOutside, Name: "unknown callers"}
	}
	return outsideID
}

// door is where a flow ends.
type door struct {
	to       string // ID of a node; "" where nothing is known
	port     uint32 // service port, or that of the workload where to is one; 0 unknown
	workload string // ID of the node behind the service; "" unknown
}

// door finds where a flow ends: at a service, where there is one; else at the workload; else at a host outside.
func (p *places) door(f *metrics.Flow) door {
	d := door{workload: p.peer(&f.Destination), port: uint32(f.Port)}
	switch {
	case nameless(f):
		return door{}
	case f.Service.Name == passthrough || f.Service.Name == blackHole:
		if d.workload != "" {
			break // the other end said who it is
		}
		d.to, d.port = p.egress(f.Service.Name), 0
		return d
	case f.Service.Host != "":
		return p.atHost(f, d)
	}
	if d.workload == "" {
		return door{}
	}
	return p.serviceOf(d)
}

// nameless says whether a sidecar had no room for the names of a flow.
func nameless(f *metrics.Flow) bool {
	return f.Source.Workload == overflow && f.Source.Namespace == "" || f.Service.Host == overflow && f.Service.Namespace == ""
}

func (p *places) egress(host string) string {
	id := egressID(host)
	if p.b.nodes[id] == nil {
		p.b.nodes[id] = &Node{ID: id, Kind: NodeEgress, Name: host}
	}
	return id
}

func (p *places) atHost(f *metrics.Flow, d door) door {
	s := p.services[f.Service.Host]
	if s == nil {
		if found := p.b.r.Services(f.Service.Host, f.Source.Namespace); len(found) > 0 {
			s = found[0]
		}
	}
	if s == nil {
		d.to = p.egress(f.Service.Host)
		return d
	}
	d.to = serviceID(s)
	// A destination knows the port of its own, not the one that its client called, and so does a handshake on either side.
	if own := f.Reporter == metrics.Destination || f.Failures > 0; d.port != 0 && (own || s.Port(d.port) == nil) {
		d.port = p.servicePort(s, d)
	}
	if ports := tcpPorts(s); d.port == 0 && len(ports) == 1 {
		d.port = ports[0]
	}
	return d
}

func tcpPorts(s *mesh.Service) []uint32 {
	var out []uint32
	for i := range s.Ports {
		if !s.Ports[i].UDP() {
			out = append(out, s.Ports[i].Number)
		}
	}
	return out
}

// servicePort turns a workload's port into the service's: of several that lead there, one that somebody is known to call, else
// one of the same number, else the first. A port to which none leads is left as it is.
func (p *places) servicePort(s *mesh.Service, d door) uint32 {
	key := ownDoor{s, d.workload, d.port}
	found, ok := p.doors[key]
	if !ok {
		for _, w := range p.b.r.Endpoints(s) {
			if d.workload == "" || workloadID(w.Ref) == d.workload {
				found = append(found, leading(s, w, d.port)...)
			}
		}
		p.doors[key] = found
	}
	for _, port := range found {
		if p.b.called[doorKey{serviceID(s), port}] {
			return port
		}
	}
	if len(found) == 0 || slices.Contains(found, d.port) {
		return d.port
	}
	return found[0]
}

// leading are a service's ports that lead to a port of a workload.
func leading(s *mesh.Service, w *mesh.Workload, to uint32) []uint32 {
	var out []uint32
	for i := range s.Ports {
		if target, ok := s.Ports[i].TargetOn(w); ok && target == to && !s.Ports[i].UDP() {
			out = append(out, s.Ports[i].Number)
		}
	}
	return out
}

// serviceOf finds the service that leads to a workload's port: one that somebody is known to call, else the first by host. Where
// no service does, the flow ends at the workload itself.
func (p *places) serviceOf(d door) door {
	var found []door
	if w := p.workload(d.workload); w != nil && d.port != 0 {
		for _, s := range p.b.r.ServicesOf(w) {
			for _, port := range leading(s, w, d.port) {
				found = append(found, door{serviceID(s), port, d.workload})
			}
		}
	}
	if len(found) == 0 {
		d.to = d.workload
		return d
	}
	called := slices.IndexFunc(found, func(o door) bool { return p.b.called[doorKey{o.to, o.port}] })
	return found[max(called, 0)]
}

func (p *places) workload(id string) *mesh.Workload {
	n := p.b.nodes[id]
	if n == nil || n.Kind != NodeWorkload {
		return nil
	}
	return p.workloads[[2]string{n.Namespace, n.Name}]
}

// ownDoor is a port of a workload behind a service.
type ownDoor struct {
	service  *mesh.Service
	workload string
	port     uint32
}

type doorKey struct {
	to   string
	port uint32
}

// orderDoors sorts by node, port and workload.
func orderDoors(a, b door) int {
	return cmp.Or(cmp.Compare(a.to, b.to), cmp.Compare(a.port, b.port), cmp.Compare(a.workload, b.workload))
}
