package local

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// EnterFabric lets a command, which has not started, run in a network of its own, where it may call NewFabric.
// Rootless (as FabricSupport said) it gets a user namespace as well, in which the user keeps his id and has the
// capabilities that a fabric takes. A command that also needs the machine's own network gets OutsideServer.Attach.
//
// Nothing of a fabric is on disk or in the machine's own network: with the command and the pods' processes it is gone.
func EnterFabric(cmd *exec.Cmd, rootless bool) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	attr := cmd.SysProcAttr
	attr.Cloneflags |= unix.CLONE_NEWNET
	if !rootless {
		return
	}
	uid, gid := os.Geteuid(), os.Getegid()
	attr.Cloneflags |= unix.CLONE_NEWUSER
	attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}}
	attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}}
	// Who is not root loses his capabilities when he starts a program, but for these.
	attr.AmbientCaps = append(attr.AmbientCaps, unix.CAP_NET_ADMIN, unix.CAP_SYS_ADMIN, unix.CAP_NET_BIND_SERVICE)
}

// A Fabric is the network of a mesh's pods: a bridge, and a PodNamespace each. It is safe for use by many.
//
// The engine's own network is the bridge's: net.Dial reaches a pod at its address, through its sidecar as any caller
// without one. TCP connections that leave the mesh are accepted in place of their destination and made again outside,
// so a destination that cannot be reached shows as a connection that is reset. There is no IPv6 and no other way out.
type Fabric struct {
	config  FabricConfig
	gateway netip.Addr
	names   *nameServer
	egress  *egress

	mu       sync.Mutex // guards the fields below, and changes of the network
	pods     map[netip.Addr]*PodNamespace
	services map[netip.AddrPort][]netip.AddrPort
	closed   bool
}

// NewFabric makes the bridge, the resolver and the way out. The process was started with EnterFabric and has no other
// fabric.
func NewFabric(config FabricConfig) (_ *Fabric, err error) {
	config, err = config.withDefaults()
	if err != nil {
		return nil, err
	}
	f := &Fabric{config: config, gateway: config.Pods.Addr().Next(), pods: map[netip.Addr]*PodNamespace{}}
	if err := makeBridge(netip.PrefixFrom(f.gateway, config.Pods.Bits()), config.Prober); err != nil {
		return nil, fmt.Errorf("make fabric: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	if err := f.startEgress(); err != nil {
		return nil, fmt.Errorf("make fabric: %w", err)
	}
	if err := f.startNames(); err != nil {
		return nil, fmt.Errorf("make fabric: %w", err)
	}
	return f, nil
}

func (f *Fabric) startEgress() error {
	l, err := net.Listen("tcp4", netip.AddrPortFrom(f.gateway, 0).String())
	if err != nil {
		return err
	}
	f.egress = newEgress(l, f.config.Outside, f.config.Log)
	return bridgeRules(f.config.Pods, f.config.Services, f.egress.port())
}

func (f *Fabric) startNames() error {
	address := netip.AddrPortFrom(f.gateway, 53).String()
	packets, err := net.ListenPacket("udp4", address)
	if err != nil {
		return err
	}
	streams, err := net.Listen("tcp4", address)
	if err != nil {
		packets.Close()
		return err
	}
	names := &nameServer{
		names: f.config.Names, domain: f.config.Domain, upstream: f.config.Upstream, asker: f.asker, log: f.config.Log,
	}
	if f.config.Outside != nil {
		names.dial = f.config.Outside.Dial
	}
	names.start(packets, streams)
	f.names = names
	return nil
}

func (f *Fabric) asker(ip netip.Addr) asker {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.pods[ip]
	if p == nil {
		return asker{}
	}
	return asker{namespace: p.net.Namespace, captured: p.net.Capture.Outbound}
}

// Gateway is the engine's own address on the bridge, which pods reach without capture: control plane and resolver.
func (f *Fabric) Gateway() netip.Addr { return f.gateway }

// AddPod makes the network of a pod, with its rules in force before anything can run there.
func (f *Fabric) AddPod(p PodNet) (_ *PodNamespace, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.closed:
		return nil, fmt.Errorf("add pod %s: fabric is closed", p.Name)
	case !f.config.Pods.Contains(p.IP) || p.IP == f.gateway || p.IP == f.config.Pods.Addr():
		return nil, fmt.Errorf("add pod %s: %s is no pod address of %s", p.Name, p.IP, f.config.Pods)
	case f.pods[p.IP] != nil:
		return nil, fmt.Errorf("add pod %s: %s has %s", p.Name, f.pods[p.IP].net.Name, p.IP)
	}
	pod, err := f.newPod(p)
	if err != nil {
		return nil, fmt.Errorf("add pod %s: %w", p.Name, err)
	}
	f.pods[p.IP] = pod
	return pod, nil
}

// SetServices replaces what the services' addresses stand for, in every pod: TCP only, each new connection goes to a
// random endpoint. An address of the services' subnet without an endpoint refuses. Sidecars that redirect everything see
// the service's address and choose themselves.
func (f *Fabric) SetServices(services map[netip.AddrPort][]netip.AddrPort) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.services = make(map[netip.AddrPort][]netip.AddrPort, len(services))
	for service, endpoints := range services {
		f.services[service] = slices.Clone(endpoints)
	}
	pods := slices.SortedFunc(maps.Keys(f.pods), netip.Addr.Compare)
	errs := make([]error, len(pods))
	var applying sync.WaitGroup // all at once: the kernel takes its time for each, and waits for most of it
	for i, ip := range pods {
		applying.Go(func() {
			if err := f.pods[ip].applyRules(); err != nil {
				errs[i] = fmt.Errorf("set services of pod %s: %w", f.pods[ip].net.Name, err)
			}
		})
	}
	applying.Wait()
	return errors.Join(errs...)
}

// Close closes every pod, then the bridge. Processes that still run in a pod lose their network.
func (f *Fabric) Close() error {
	f.mu.Lock()
	f.closed = true
	pods := slices.Collect(maps.Values(f.pods))
	clear(f.pods)
	f.mu.Unlock()
	var errs []error
	for _, p := range pods {
		errs = append(errs, p.release()) // cables go with the namespaces, many at a time
	}
	if f.names != nil {
		errs = append(errs, f.names.close())
		f.names = nil
	}
	if f.egress != nil {
		errs = append(errs, f.egress.close())
		f.egress = nil
		errs = append(errs, removeBridge())
	}
	return errors.Join(errs...)
}

// A PodNamespace is the network and the mounts of one pod. It is safe for use by many.
type PodNamespace struct {
	fabric *Fabric
	ns     *os.File // of the network
	cable  string   // to the bridge
	files  []string // that the pod sees in the place of the machine's

	using  sync.RWMutex // held for reading by who uses thread, for writing by who ends it
	thread *nsThread    // nil after Close
	net    PodNet       // guarded by fabric.mu
}

// newPod is called with fabric.mu held.
func (f *Fabric) newPod(n PodNet) (_ *PodNamespace, err error) {
	p := &PodNamespace{fabric: f, net: n}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.unplug(), p.release())
		}
	}()
	mounts, err := p.writeFiles()
	if err != nil {
		return nil, err
	}
	p.thread, err = newNSThread(func() error {
		if err := unshareNamespaces(); err != nil {
			return err
		}
		for _, m := range mounts {
			if err := mountFile(m.ours, m.theirs); err != nil {
				return err
			}
		}
		p.ns, err = openNetwork()
		return errors.Join(err, preparePod())
	})
	if err != nil {
		return nil, err
	}
	if p.cable, err = plugIn(p.ns, n.IP); err != nil {
		return nil, err
	}
	if err := p.applyRules(); err != nil {
		return nil, err
	}
	return p, p.thread.do(func() error {
		if err := setSysctl("ipv4/ip_unprivileged_port_start", "0"); err != nil {
			f.config.Log.Warn("pod cannot use ports below 1024", "pod", n.Name, "error", err)
		}
		return addressPod(netip.PrefixFrom(n.IP, f.config.Pods.Bits()), n.Prober, f.gateway)
	})
}

// Net says what the pod is, with its latest rules.
func (p *PodNamespace) Net() PodNet {
	p.fabric.mu.Lock()
	defer p.fabric.mu.Unlock()
	return p.net
}

// SetCapture replaces what is redirected, in one step. Connections that exist stay as they are.
func (p *PodNamespace) SetCapture(c Capture) error {
	p.fabric.mu.Lock()
	defer p.fabric.mu.Unlock()
	before := p.net.Capture
	p.net.Capture = c
	if err := p.applyRules(); err != nil {
		p.net.Capture = before
		return fmt.Errorf("set capture of pod %s: %w", p.net.Name, err)
	}
	return nil
}

// applyRules is called with fabric.mu held.
func (p *PodNamespace) applyRules() error {
	config := p.fabric.config
	rules := podRules{
		ip: p.net.IP, gateway: p.fabric.gateway, pods: config.Pods, services: config.Services,
		capture: p.net.Capture, endpoints: p.fabric.services,
	}
	return p.do(rules.apply)
}

// do runs f, which does not block, in the pod.
func (p *PodNamespace) do(f func() error) error {
	p.using.RLock()
	defer p.using.RUnlock()
	if p.thread == nil {
		return errNamespaceClosed
	}
	return p.thread.do(f)
}

// Start starts a command in the pod, as the user that we are and without capabilities unless he is root. A command with
// SysProcAttr.Pdeathsig gets its signal when the pod is closed, or we end.
func (p *PodNamespace) Start(cmd *exec.Cmd) error { return p.do(cmd.Start) }

// StartSidecar starts a command in the pod that may set CaptureMark on its connections: it has CAP_NET_ADMIN over the
// pod's network.
func (p *PodNamespace) StartSidecar(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.AmbientCaps = append(cmd.SysProcAttr.AmbientCaps, unix.CAP_NET_ADMIN)
	}
	return p.do(cmd.Start)
}

// Listen listens in the pod, on an address without host names.
func (p *PodNamespace) Listen(ctx context.Context, network, addr string) (l net.Listener, err error) {
	err = p.do(func() error {
		l, err = (&net.ListenConfig{}).Listen(ctx, network, addr)
		return err
	})
	return l, err
}

// Dial connects from the pod as its application would, to HOST:PORT with the host an address.
func (p *PodNamespace) Dial(ctx context.Context, network, addr string) (c net.Conn, err error) {
	if _, err := netip.ParseAddrPort(addr); err != nil {
		return nil, fmt.Errorf("dial %s in pod: %w", addr, err) // a look-up would leave the thread
	}
	ns, err := p.network()
	if err != nil {
		return nil, err
	}
	defer ns.Close()
	err = inNetwork(ns, func() error {
		c, err = (&net.Dialer{}).DialContext(ctx, network, addr)
		return err
	})
	return c, err
}

// network gives a file of its own, so that Close need not wait for a slow dial.
func (p *PodNamespace) network() (*os.File, error) {
	p.using.RLock()
	defer p.using.RUnlock()
	if p.thread == nil {
		return nil, errNamespaceClosed
	}
	fd, err := unix.FcntlInt(p.ns.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open network namespace: %w", err)
	}
	return os.NewFile(uintptr(fd), p.ns.Name()), nil
}

// Close takes the pod off the fabric. It does not end the pod's processes, except by Pdeathsig; end them first. A second
// Close does nothing.
func (p *PodNamespace) Close() error {
	p.fabric.mu.Lock()
	defer p.fabric.mu.Unlock()
	if p.fabric.pods[p.net.IP] == p {
		delete(p.fabric.pods, p.net.IP)
	}
	return errors.Join(p.unplug(), p.release())
}

// unplug is called with fabric.mu held. The kernel removes a namespace when it comes to it, and the pod's address may be
// wanted again at once.
func (p *PodNamespace) unplug() error {
	if p.cable == "" {
		return nil
	}
	cable := p.cable
	p.cable = ""
	return unplug(cable)
}

func (p *PodNamespace) release() error {
	p.using.Lock()
	defer p.using.Unlock()
	var errs []error
	if p.thread != nil {
		p.thread.close()
		p.thread = nil
	}
	if p.ns != nil {
		errs = append(errs, p.ns.Close())
		p.ns = nil
	}
	for _, name := range p.files {
		errs = append(errs, os.Remove(name))
	}
	p.files = nil
	return errors.Join(errs...)
}
