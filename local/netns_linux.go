package local

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A nsThread is an operating system thread that lives in namespaces of its own. It never goes back to Go's scheduler: it
// ends with close. Children that it starts with Pdeathsig end then as well.
type nsThread struct {
	jobs chan func()
	done chan struct{}
}

var errNamespaceClosed = errors.New("namespace is closed")

// newNSThread runs setup on the thread first; its error ends the thread.
func newNSThread(setup func() error) (*nsThread, error) {
	t := &nsThread{jobs: make(chan func()), done: make(chan struct{})}
	failed := make(chan error)
	go t.run(setup, failed)
	if err := <-failed; err != nil {
		<-t.done
		return nil, err
	}
	return t, nil
}

func (t *nsThread) run(setup func() error, failed chan<- error) {
	runtime.LockOSThread()
	if unix.Gettid() == os.Getpid() {
		// The main thread cannot end, and /proc/self speaks of it. Another goroutine gets another thread while this holds it.
		locked := make(chan struct{})
		go func() {
			runtime.LockOSThread()
			close(locked)
			t.work(setup, failed)
		}()
		<-locked
		runtime.UnlockOSThread()
		return
	}
	t.work(setup, failed)
}

// work runs jobs. The goroutine returns locked, so that the thread ends with it.
func (t *nsThread) work(setup func() error, failed chan<- error) {
	defer close(t.done)
	err := setup()
	failed <- err
	if err != nil {
		return
	}
	for job := range t.jobs {
		job()
	}
}

// do runs f on the thread and waits for it. f must not block. The caller sees to it that close has not been called.
func (t *nsThread) do(f func() error) error {
	result := make(chan error, 1)
	t.jobs <- func() { result <- f() }
	return <-result
}

func (t *nsThread) close() {
	close(t.jobs)
	<-t.done
}

// inNetwork runs f, which may block, on a thread that is in a network namespace and ends afterwards.
func inNetwork(ns *os.File, f func() error) error {
	t, err := newNSThread(func() error { return enterNetwork(ns) })
	if err != nil {
		return err
	}
	defer t.close()
	return t.do(f)
}

func enterNetwork(ns *os.File) error {
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter network namespace: %w", err)
	}
	return nil
}

// unshareNamespaces gives the calling thread a network and mounts of its own, and no ambient capabilities: what it starts
// has none, unless the caller is root.
func unshareNamespaces() error {
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS | unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("make namespaces: %w", err)
	}
	// Mounts made here stay here; those that the machine makes later still come in.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return fmt.Errorf("separate mounts: %w", err)
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return fmt.Errorf("drop capabilities: %w", err)
	}
	return nil
}

// openNetwork opens the network namespace of the calling thread. The namespace lives as long as the file.
func openNetwork() (*os.File, error) { return os.Open("/proc/thread-self/ns/net") }

// mountFile puts a file of ours in the place of another, for this thread's mounts.
func mountFile(ours, theirs string) error {
	real, err := filepath.EvalSymlinks(theirs)
	if err != nil {
		return fmt.Errorf("replace %s: %w", theirs, err)
	}
	if err := unix.Mount(ours, real, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("replace %s: %w", theirs, err)
	}
	return nil
}

// setSysctl is for settings of the calling thread's network. Some machines mount them read-only, some have no IPv6.
func setSysctl(name, value string) error {
	return os.WriteFile("/proc/sys/net/"+name, []byte(value), 0)
}

func upLoopback(h *netlink.Handle) error {
	lo, err := h.LinkByName("lo")
	if err == nil {
		err = h.LinkSetUp(lo)
	}
	if err != nil {
		return fmt.Errorf("start loopback: %w", err)
	}
	return nil
}

const bridgeName = "oarlock0"

// makeBridge makes the bridge of the pods, with the engine's own address, in the calling thread's network.
func makeBridge(gateway netip.Prefix, prober netip.Addr) error {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("make bridge: %w", err)
	}
	defer h.Close()
	if err := upLoopback(h); err != nil {
		return err
	}
	_ = setSysctl("ipv6/conf/default/disable_ipv6", "1") // no IPv6 here is as well
	attrs := netlink.NewLinkAttrs()
	attrs.Name = bridgeName
	// A fixed address: a bridge would else take the lowest of its ports', and pods would go on asking for the old one.
	attrs.HardwareAddr = net.HardwareAddr{0x02, 0x0a, 0x12, 0, 0, 1}
	bridge := &netlink.Bridge{LinkAttrs: attrs}
	if err := h.LinkAdd(bridge); err != nil {
		return fmt.Errorf("make bridge: %w", err)
	}
	return setUp(h, bridge, gateway, prober)
}

// setUp starts a link with its address and, if that is one, the prober's. Nothing comes from the latter that does not ask
// for it: it is in no subnet.
func setUp(h *netlink.Handle, link netlink.Link, addr netip.Prefix, prober netip.Addr) error {
	for _, a := range []netip.Prefix{addr, netip.PrefixFrom(prober, 32)} {
		if !a.IsValid() {
			continue
		}
		ip := &netlink.Addr{IPNet: &net.IPNet{IP: a.Addr().AsSlice(), Mask: net.CIDRMask(a.Bits(), 32)}}
		if err := h.AddrAdd(link, ip); err != nil {
			return fmt.Errorf("give %s to %s: %w", a, link.Attrs().Name, err)
		}
	}
	if err := h.LinkSetUp(link); err != nil {
		return fmt.Errorf("start %s: %w", link.Attrs().Name, err)
	}
	return nil
}

func removeBridge() error {
	link, err := netlink.LinkByName(bridgeName)
	if err != nil {
		return fmt.Errorf("remove bridge: %w", err)
	}
	if err := netlink.LinkDel(link); err != nil {
		return fmt.Errorf("remove bridge: %w", err)
	}
	return nil
}

// plugIn makes a cable between the bridge, in the calling thread's network, and eth0 in another. It gives its name, which
// no cable of an earlier bridge has.
func plugIn(ns *os.File, pod netip.Addr) (cable string, err error) {
	bridge, err := netlink.LinkByName(bridgeName)
	if err != nil {
		return "", fmt.Errorf("find bridge: %w", err)
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = fmt.Sprintf("p%d.%x", bridge.Attrs().Index, pod.As4())
	attrs.MasterIndex = bridge.Attrs().Index
	// A pod that comes anew with an address has the hardware address of the one before: others know that for half a minute.
	four := pod.As4()
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: "eth0", PeerNamespace: netlink.NsFd(int(ns.Fd())),
		PeerHardwareAddr: append(net.HardwareAddr{0x02, 0x0a}, four[:]...)}
	if err := netlink.LinkAdd(veth); err != nil {
		return "", fmt.Errorf("make veth: %w", err)
	}
	if err := netlink.LinkSetUp(veth); err != nil {
		return attrs.Name, fmt.Errorf("start veth: %w", err)
	}
	return attrs.Name, nil
}

// unplug takes a cable away, if it is still there.
func unplug(cable string) error {
	link, err := netlink.LinkByName(cable)
	var none netlink.LinkNotFoundError
	if errors.As(err, &none) {
		return nil
	}
	if err == nil {
		err = netlink.LinkDel(link)
	}
	if err != nil {
		return fmt.Errorf("remove veth: %w", err)
	}
	return nil
}

// preparePod readies the calling thread's new network for its eth0.
func preparePod() error {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer h.Close()
	_ = setSysctl("ipv6/conf/default/disable_ipv6", "1") // no IPv6 here is as well
	return upLoopback(h)
}

// addressPod gives eth0 of the calling thread's network its addresses and the way out.
func addressPod(addr netip.Prefix, prober, gateway netip.Addr) error {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer h.Close()
	eth, err := h.LinkByName("eth0")
	if err != nil {
		return fmt.Errorf("find eth0: %w", err)
	}
	if err := setUp(h, eth, addr, prober); err != nil {
		return err
	}
	if err := h.RouteAdd(&netlink.Route{LinkIndex: eth.Attrs().Index, Gw: gateway.AsSlice()}); err != nil {
		return fmt.Errorf("add route: %w", err)
	}
	return nil
}
