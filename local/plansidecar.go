package local

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/oarlock/oarlock/bootstrap"
	"github.com/oarlock/oarlock/mesh"
)

const (
	tokenFile     = "token"
	rootsFile     = "roots.pem"
	bootstrapFile = "bootstrap.json"
	auditFile     = "audit.log"
	defaultDrain  = 5 * time.Second
)

// planSidecar writes the file that the pod's sidecar starts from.
func (p *planner) planSidecar(pod *planned) {
	if p.settings.XDSAddress == "" {
		pod.block("no control plane is known")
		return
	}
	s, ip := &pod.spec, p.network.pod(pod.number)
	drain := cmp.Or(p.settings.Drain, defaultDrain)
	f := bootstrap.File{
		Version: bootstrap.Version,
		Node:    p.node(pod),
		Mounts:  p.sidecarMounts(pod),
		XDS:     p.xds(s),
		Capture: p.capture(pod),
		Admin: bootstrap.Admin{
			Socket: p.paths.admin(pod.number), Metrics: netip.AddrPortFrom(ip, metricsPort), Health: netip.AddrPortFrom(ip, healthPort),
			Probes: p.appProbes(pod), Audit: filepath.Join(s.Dir, auditFile),
		},
		Log:         bootstrap.Log{Level: p.settings.LogLevel},
		Drain:       bootstrap.Duration(drain),
		Concurrency: p.snap.Concurrency(pod.w),
	}
	if p.settings.CSRAddress != "" {
		f.Identity = p.identity(s)
	}
	if len(p.settings.RootsPEM) > 0 {
		s.Files = append(s.Files, fileSpec{Path: rootsFile, Mode: 0o600, Content: p.settings.RootsPEM, Live: true})
	}
	if token := p.tokens[pod.w.Ref]; token != "" {
		s.Files = append(s.Files, fileSpec{Path: tokenFile, Mode: 0o600, Content: []byte(token), Live: true})
	}
	s.Folders = append(s.Folders, mesh.SidecarContainer)
	s.Sidecar = &sidecarSpec{Bootstrap: f, Ready: "http://" + p.health(pod).String() + "/healthz/ready", Drain: drain}
}

func (p *planner) node(pod *planned) bootstrap.Node {
	w := pod.w
	n := bootstrap.Node{
		Pod: w.Ref.Name, Namespace: w.Ref.Namespace, Workload: cmp.Or(w.Owner.Name, w.Ref.Name),
		ServiceAccount: w.ServiceAccount, IP: p.network.pod(pod.number), Labels: w.Labels, MeshID: p.paths.Name,
		DNSDomain: w.Ref.Namespace + ".svc." + p.snap.Config.ClusterDomain, Router: w.Router,
	}
	return n
}

func (p *planner) serverName() string {
	return cmp.Or(p.settings.ServerName, "istiod."+p.snap.Config.RootNamespace+".svc")
}

func (p *planner) xds(s *podSpec) *bootstrap.XDS {
	x := &bootstrap.XDS{Address: p.settings.XDSAddress, Delta: p.settings.XDSDelta, Plaintext: p.settings.XDSPlaintext}
	if p.settings.Token != nil {
		x.TokenFile = filepath.Join(s.Dir, tokenFile)
	}
	if !x.Plaintext {
		x.ServerName, x.RootsFile = p.serverName(), filepath.Join(s.Dir, rootsFile)
	}
	return x
}

func (p *planner) identity(s *podSpec) *bootstrap.Identity {
	return &bootstrap.Identity{
		TrustDomain: cmp.Or(p.settings.TrustDomain, p.snap.Config.TrustDomain),
		Aliases:     p.snap.Config.TrustDomainAliases,
		CSR: &bootstrap.CSR{
			Address: p.settings.CSRAddress, ServerName: p.serverName(), TTL: bootstrap.Duration(p.settings.TTL),
			TokenFile: filepath.Join(s.Dir, tokenFile), RootsFile: filepath.Join(s.Dir, rootsFile),
		},
	}
}

// capture lists the doors of the pod.
func (p *planner) capture(pod *planned) bootstrap.Capture {
	uncounted, prober := []netip.Prefix{probers(p.network)}, p.network.prober(pod.number)
	if !p.explicit() {
		// A gateway's listeners bind by themselves, and nothing is redirected to it.
		return bootstrap.Capture{Transparent: !pod.w.Router, Mark: CaptureMark, Uncounted: uncounted, Prober: prober}
	}
	c := bootstrap.Capture{Application: pod.spec.AppAddr, Source: p.network.pod(pod.number), Names: p.names(pod), Uncounted: uncounted, Prober: prober}
	ip := p.network.pod(pod.number)
	for _, port := range p.inboundPorts(pod) {
		at := netip.AddrPortFrom(ip, uint16(port))
		if pod.w.Inbound.Captures(port) {
			c.Doors = append(c.Doors, bootstrap.Door{Listen: at, Inbound: true, Original: at})
			continue
		}
		p.out.Forwards = append(p.out.Forwards, forward{Listen: at, Targets: []target{{Addr: netip.AddrPortFrom(pod.spec.AppAddr, uint16(port))}}})
	}
	for _, d := range pod.doors {
		for _, dp := range d.ports {
			if pod.w.Outbound.Captures(dp.port.Number) || d.service.s.Entry() {
				c.Doors = append(c.Doors, bootstrap.Door{Listen: netip.AddrPortFrom(d.addr, dp.listen), Original: netip.AddrPortFrom(d.service.ip, uint16(dp.port.Number))})
			}
		}
	}
	c.Doors = append(c.Doors, bootstrap.Door{Listen: p.network.httpProxy(pod.number), HTTPProxy: true})
	return c
}

// inboundPorts are the ports on which others may call the pod: those of its containers, the targets of its services, those
// of its probes. A gateway has none: its listeners come from Gateways, and bind the pod's address by themselves.
func (p *planner) inboundPorts(pod *planned) []uint32 {
	set := map[uint32]bool{}
	if pod.w.Router {
		p.checkGateway(pod)
		return nil
	}
	for _, c := range pod.w.Containers {
		if c.Name == mesh.SidecarContainer {
			continue
		}
		for _, port := range c.Ports {
			set[port.Number] = set[port.Number] || port.Protocol == "" || port.Protocol == "TCP"
		}
		for _, m := range []*mesh.Probe{c.Readiness, c.Liveness, c.Startup} {
			if port, ok := probePort(&c, m); ok {
				set[port] = true
			}
		}
	}
	for _, s := range p.services {
		if !slices.Contains(s.endpoints, pod) {
			continue
		}
		for i := range s.s.Ports {
			if port := &s.s.Ports[i]; !port.UDP() {
				if n, ok := port.TargetOn(pod.w); ok {
					set[n] = true
				}
			}
		}
	}
	var out []uint32
	for port, is := range set {
		if is && port > 0 && port < 1<<16 && port != healthPort && port != metricsPort && p.inboundBindable(pod, port) {
			out = append(out, port)
		}
	}
	slices.Sort(out)
	return out
}

func (p *planner) inboundBindable(pod *planned, port uint32) bool {
	if uint32(p.doorPort(port)) == port {
		return true
	}
	p.problem(mesh.Warning, pod.w, pod.w.Origin, fmt.Sprintf("listen on port %d of %s: only root may on this machine; nothing listens there", port, pod.w.Owner))
	return false
}

func probePort(c *mesh.Container, m *mesh.Probe) (uint32, bool) {
	switch {
	case m == nil:
		return 0, false
	case m.HTTPGet != nil && m.HTTPGet.Host == "":
		return c.Port(m.HTTPGet.Port)
	case m.TCPSocket != nil && m.TCPSocket.Host == "":
		return c.Port(m.TCPSocket.Port)
	case m.GRPC != nil:
		return m.GRPC.Port, true
	}
	return 0, false
}

// checkGateway says which ports of the Gateways that select the pod cannot be listened on.
func (p *planner) checkGateway(pod *planned) {
	for _, port := range p.gatewayPorts(pod) {
		p.inboundBindable(pod, port)
	}
}

// gatewayPorts are the ports of the Gateways that select the pod. A Service that maps a server's port maps it here too.
func (p *planner) gatewayPorts(pod *planned) []uint32 {
	var out []uint32
	for _, g := range p.snap.Gateways {
		if !mesh.Selects(g.Selector, pod.w.Labels) {
			continue
		}
		for _, server := range g.Servers {
			port := server.Port
			for _, s := range p.services {
				if of := s.s.Port(server.Port); of != nil && slices.Contains(s.endpoints, pod) {
					if n, ok := of.TargetOn(pod.w); ok {
						port = n
					}
				}
			}
			if !slices.Contains(out, port) {
				out = append(out, port)
			}
		}
	}
	return out
}

// names are the host names that the pod's HTTP proxy knows, with their service's address.
func (p *planner) names(pod *planned) map[string]netip.Addr {
	out := map[string]netip.Addr{}
	for _, d := range pod.doors {
		s, ip := d.service.s, d.service.ip
		out[s.Hostname] = ip
		if s.Entry() {
			continue
		}
		long := s.Ref.Name + "." + s.Ref.Namespace
		out[long], out[long+".svc"] = ip, ip
		if s.Ref.Namespace == pod.w.Ref.Namespace {
			out[s.Ref.Name] = ip
		}
	}
	return out
}

// appProbes are the probes that the sidecar makes, by path.
func (p *planner) appProbes(pod *planned) map[string]bootstrap.Probe {
	out := map[string]bootstrap.Probe{}
	for i := range pod.w.Containers {
		c := &pod.w.Containers[i]
		for name, m := range map[string]*mesh.Probe{"readyz": c.Readiness, "livez": c.Liveness, "startupz": c.Startup} {
			if s := p.probe(pod, c, name, m); s == nil || !strings.HasPrefix(s.HTTP, "http://"+p.health(pod).String()+"/app-health/") {
				continue
			}
			out[probePath(c.Name, name)] = appProbe(c, m, p.network.app(pod.number).String())
		}
	}
	return out
}

func appProbe(c *mesh.Container, m *mesh.Probe, ip string) bootstrap.Probe {
	out := bootstrap.Probe{Timeout: bootstrap.Duration(m.Timeout)}
	switch {
	case m.HTTPGet != nil:
		port, _ := c.Port(m.HTTPGet.Port)
		out.HTTP = httpURL(m.HTTPGet, ip, port)
		for _, h := range m.HTTPGet.Headers {
			if out.Headers == nil {
				out.Headers = map[string]string{}
			}
			out.Headers[h.Name] = h.Value
		}
	case m.TCPSocket != nil:
		port, _ := c.Port(m.TCPSocket.Port)
		out.TCP = hostPort(m.TCPSocket.Host, ip, port)
	case m.GRPC != nil:
		out.GRPC, out.Service = hostPort("", ip, m.GRPC.Port), m.GRPC.Service
	}
	return out
}

// loose forgets, for the fingerprint, the variables whose change does not restart the pod.
func (p *planned) loose(e *environ) {
	for n := range e.loose {
		if p.looseEnv == nil {
			p.looseEnv = map[string]bool{}
		}
		p.looseEnv[n] = true
	}
}

// fingerprint is over everything that takes a restart when it changes. A service that appears or goes does not restart the
// pods that do not declare to call it: they find it after their next start, as in Kubernetes.
func fingerprint(pod *planned) string {
	s := pod.spec
	s.Workload = nil
	s.Files = nil
	for _, f := range pod.spec.Files {
		if f.Live {
			f.Content = nil
		}
		s.Files = append(s.Files, f)
	}
	s.Init, s.Containers = pod.firm(s.Init), pod.firm(s.Containers)
	if s.Sidecar != nil {
		c := *s.Sidecar
		c.Bootstrap.Capture.Names = nil
		c.Bootstrap.Capture.Doors = slices.DeleteFunc(slices.Clone(c.Bootstrap.Capture.Doors), func(d bootstrap.Door) bool {
			return !d.Inbound && !d.HTTPProxy && !pod.calledAt(d.Listen.Addr())
		})
		s.Sidecar = &c
	}
	b, err := json.Marshal(s)
	if err != nil {
		panic(fmt.Sprintf("marshal a podSpec: %v", err)) // it has no type that cannot be
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:16])
}

// firm drops loose variables.
func (p *planned) firm(list []containerSpec) []containerSpec {
	out := slices.Clone(list)
	for i := range out {
		out[i].Env = slices.DeleteFunc(slices.Clone(out[i].Env), func(v string) bool {
			name, _, _ := strings.Cut(v, "=")
			return p.looseEnv[name]
		})
	}
	return out
}

func (p *planned) calledAt(a netip.Addr) bool {
	return slices.ContainsFunc(p.doors, func(d planDoor) bool { return d.called && d.addr == a })
}
