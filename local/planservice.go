package local

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/oarlock/oarlock/mesh"
)

// planService is a service with its addresses.
type planService struct {
	s      *mesh.Service
	number int
	// ip is what a connection to the service is meant for: the address that the manifest gives, or the engine's. Of a
	// headless Service it is the address of its first pod.
	ip        netip.Addr
	endpoints []*planned
}

// planDoor is a service's door of one pod.
type planDoor struct {
	service *planService
	addr    netip.Addr
	called  bool // the pod declares that it calls the service
	ports   []doorPort
}

type doorPort struct {
	port   *mesh.Port
	listen uint16
}

// planServices gives every service its address.
func (p *planner) planServices() {
	left := 0
	for _, s := range p.snap.Services {
		if wildcard(s.Hostname) || s.Resolution == mesh.ResolutionExternalName {
			continue
		}
		n, ok := p.numbers.serviceNumber(serviceKey(s))
		if !ok {
			left++
			continue
		}
		e := &planService{s: s, number: n}
		for _, pod := range p.pods {
			if pod.number != 0 && selects(s, pod) {
				e.endpoints = append(e.endpoints, pod)
			}
		}
		p.serviceAddress(e)
		p.services = append(p.services, e)
	}
	if left > 0 {
		p.out.Problems = append(p.out.Problems, mesh.Problem{Severity: mesh.Warning,
			Message: fmt.Sprintf("give addresses to services: %d of %d have none, this machine gives %d", left, len(p.snap.Services), maxServices)})
	}
}

func (p *planner) serviceAddress(e *planService) {
	for _, a := range e.s.Addresses {
		if ip, err := netip.ParseAddr(a); err == nil {
			e.ip = ip
			return
		}
	}
	if e.s.Headless() {
		if len(e.endpoints) > 0 {
			e.ip = p.network.pod(e.endpoints[0].number)
		}
		return
	}
	e.ip = p.network.service(e.number)
	if !e.s.Entry() || p.onlyHost(e.s) {
		p.out.ServiceIPs = append(p.out.ServiceIPs, serviceIP{e.s.Ref, e.ip.String()})
	}
}

// onlyHost says whether a ServiceEntry has one host, so that its Ref stands for it.
func (p *planner) onlyHost(s *mesh.Service) bool {
	for _, o := range p.snap.Services {
		if o != s && o.Ref == s.Ref {
			return false
		}
	}
	return true
}

// planDoors lists the services that a pod can call: those that it declares, those of its namespace, then the others, until
// there are too many.
func (p *planner) planDoors(pod *planned) []planDoor {
	var out []planDoor
	sockets, left := 0, 0
	for rank := range 3 {
		for _, s := range p.services {
			called := calls(pod.w, s.s)
			if doorRank(pod, s, called) != rank || !s.ip.IsValid() {
				continue
			}
			d := planDoor{service: s, addr: p.network.door(pod.number, s.number), called: called}
			for i := range s.s.Ports {
				if port := &s.s.Ports[i]; !port.UDP() && port.Transport != "SCTP" {
					d.ports = append(d.ports, doorPort{port, p.doorPort(port.Number)})
				}
			}
			if sockets += len(d.ports); sockets > maxDoors {
				left++
				continue
			}
			out = append(out, d)
		}
	}
	if left > 0 {
		p.problem(mesh.Warning, pod.w, pod.w.Origin,
			fmt.Sprintf("make doors for %s: %d services have none, a pod has %d at most; declare the needed ones in annotation oarlock.dev/calls", pod.w.Owner, left, maxDoors))
	}
	return out
}

func doorRank(pod *planned, s *planService, called bool) int {
	switch {
	case called:
		return 0
	case s.s.Ref.Namespace == pod.w.Ref.Namespace:
		return 1
	}
	return 2
}

// calls says whether the workload declares that it calls the service.
func calls(w *mesh.Workload, s *mesh.Service) bool {
	return slices.ContainsFunc(w.Calls, func(c mesh.Call) bool { return means(w, c, s) })
}

// means says whether a call that a workload declares is one of the service.
func means(w *mesh.Workload, c mesh.Call, s *mesh.Service) bool {
	if c.Host == s.Hostname || s.Entry() {
		return c.Host == s.Hostname
	}
	name, rest, _ := strings.Cut(c.Host, ".")
	namespace, domain, _ := strings.Cut(rest, ".")
	if namespace == "" {
		namespace = w.Ref.Namespace
	}
	return name == s.Ref.Name && namespace == s.Ref.Namespace && (domain == "" || domain == "svc")
}

// bindable is the port to listen on for a service port: the same, or 10000 more where the system keeps low ports for root.
func (p *planner) bindable(port uint32) uint16 {
	if port < 1024 && !p.lowPorts {
		return uint16(port + 10000)
	}
	return uint16(port)
}

// doorPort is the port at which a pod finds a service port: in a network of its own it is the same.
func (p *planner) doorPort(port uint32) uint16 {
	if p.explicit() {
		return p.bindable(port)
	}
	return uint16(port)
}

// planForwards lists the plain forwarders: one for every service port, for callers that are no pod; the doors of pods
// without a sidecar, and of ports that a sidecar leaves out.
func (p *planner) planForwards() {
	for _, s := range p.services {
		if s.s.Entry() {
			continue
		}
		at := p.numbers.service(s.number)
		for i := range s.s.Ports {
			if port := &s.s.Ports[i]; !port.UDP() {
				p.forward(s, port, forward{Listen: netip.AddrPortFrom(at, p.bindable(port.Number)), Outside: true})
				if !p.explicit() && !s.s.Headless() {
					p.forward(s, port, forward{Listen: netip.AddrPortFrom(s.ip, uint16(port.Number)), Cluster: true})
				}
			}
		}
	}
	for _, pod := range p.pods {
		if !p.explicit() {
			p.gatewayForwards(pod)
			continue
		}
		for _, d := range pod.doors {
			for _, dp := range d.ports {
				if (pod.meshed() && pod.w.Outbound.Captures(dp.port.Number)) || d.service.s.Entry() {
					continue
				}
				p.forward(d.service, dp.port, forward{Listen: netip.AddrPortFrom(d.addr, dp.listen), Source: p.network.pod(pod.number)})
			}
		}
	}
}

// forward adds a forwarder to the endpoints of a service port.
func (p *planner) forward(s *planService, port *mesh.Port, f forward) {
	for _, e := range s.endpoints {
		if n, ok := port.TargetOn(e.w); ok {
			to := target{Addr: netip.AddrPortFrom(p.network.pod(e.number), uint16(n))}
			if !s.s.PublishNotReady {
				to.Pod = e.w.Ref
			}
			f.Targets = append(f.Targets, to)
		}
	}
	for _, w := range s.s.Inline {
		n, ok := port.TargetOn(w)
		for _, a := range w.Addresses {
			if ip, err := netip.ParseAddr(a); err == nil && ok {
				f.Targets = append(f.Targets, target{Addr: netip.AddrPortFrom(ip, uint16(n))})
			}
		}
	}
	p.out.Forwards = append(p.out.Forwards, f)
}

// explicit says whether traffic comes by doors.
func (p *planner) explicit() bool { return p.way != CaptureTransparent }
