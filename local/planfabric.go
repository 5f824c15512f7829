package local

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/oarlock/oarlock/mesh"
)

// fabricNetwork gives the addresses of a fabric, with its default subnets.
type fabricNetwork struct{}

func (fabricNetwork) pod(n int) netip.Addr         { return netip.AddrFrom4([4]byte{10, 244, 0, byte(n)}) }
func (fabricNetwork) prober(n int) netip.Addr      { return netip.AddrFrom4([4]byte{10, 244, 1, byte(n)}) }
func (f fabricNetwork) app(n int) netip.Addr       { return f.pod(n) }
func (fabricNetwork) service(n int) netip.Addr     { return netip.AddrFrom4([4]byte{10, 96, 0, byte(n)}) }
func (fabricNetwork) door(int, int) netip.Addr     { return netip.Addr{} }
func (fabricNetwork) httpProxy(int) netip.AddrPort { return netip.AddrPort{} }

// planNet says what of a pod's traffic is redirected to its sidecar.
func (p *planner) planNet(pod *planned) {
	n := &PodNet{Name: pod.w.Ref.Name, Namespace: pod.w.Ref.Namespace, IP: p.network.pod(pod.number)}
	if pod.meshed() && !pod.w.Router {
		c, err := CaptureFromAnnotations(pod.w.Annotations)
		if err != nil {
			p.problem(mesh.Warning, pod.w, pod.w.Origin, fmt.Sprintf("capture traffic of %s: %v; all of it is captured", pod.w.Owner, err))
			c = Capture{Outbound: true, Inbound: true}
		}
		n.Capture = c
	}
	if pod.meshed() {
		n.Prober = p.network.prober(pod.number)
	}
	pod.spec.Net = n
}

// gatewayForwards make the ports of a gateway be on the machine itself.
func (p *planner) gatewayForwards(pod *planned) {
	if !pod.w.Router || pod.number == 0 {
		return
	}
	for _, port := range p.gatewayPorts(pod) {
		p.out.Forwards = append(p.out.Forwards, forward{
			Listen: netip.AddrPortFrom(pod.spec.Host, p.bindable(port)), Outside: true,
			Targets: []target{{Pod: pod.w.Ref, Addr: netip.AddrPortFrom(p.network.pod(pod.number), uint16(port))}},
		})
	}
}

// planNames lists what a fabric's resolver knows.
func (p *planner) planNames() {
	if p.explicit() {
		return
	}
	for _, s := range p.services {
		n := nameSpec{Host: s.s.Hostname, IP: s.ip, Captured: s.s.Entry(), Unready: s.s.PublishNotReady}
		if s.s.Headless() {
			n.IP = netip.Addr{}
			for _, e := range s.endpoints {
				n.Pods = append(n.Pods, e.w.Ref)
				p.out.Names = append(p.out.Names, nameSpec{Host: e.w.Ref.Name + "." + s.s.Hostname, Pods: []mesh.Ref{e.w.Ref}, Unready: n.Unready})
			}
		}
		p.out.Names = append(p.out.Names, n)
	}
	for _, s := range p.snap.Services {
		if s.Resolution != mesh.ResolutionExternalName {
			continue
		}
		i := slices.IndexFunc(p.services, func(o *planService) bool { return o.s.Hostname == s.ExternalName })
		if i >= 0 {
			p.out.Names = append(p.out.Names, nameSpec{Host: s.Hostname, IP: p.services[i].ip})
		}
	}
}
