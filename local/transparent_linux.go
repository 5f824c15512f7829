package local

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// With transparent capture the engine is two processes: the outer one stays in the machine's network, where it runs the
// control plane and opens sockets for the inner one, which is in a network of its own and runs everything else. Neither
// outlives the other.
const (
	// innerVariable marks the inner process.
	innerVariable = "OARLOCK_INNER"
	// controlFD is where the inner process reads what the control plane's process is.
	controlFD = 3
	// endingFile says to the outer process that the mesh's folders shall go.
	endingFile = "ending"
	// servicesPause is how long changes of readiness are collected before they go to the kernel.
	servicesPause = 20 * time.Millisecond
)

// inner is what the inner process has.
type inner struct {
	outer   processID
	outside *Outside
	fabric  *Fabric
	names   *Names

	mu      sync.Mutex
	control *controlState
}

func isInner() bool { return os.Getenv(innerVariable) != "" }

// openFabric makes the pods' network.
func (e *engine) openFabric() (err error) {
	in := &inner{outer: identify(os.Getppid()), names: &Names{}}
	if in.outside, err = NewOutside(); err != nil {
		return err
	}
	dir := filepath.Join(e.config.Paths.State, "net")
	if err := ownFolder(dir); err != nil {
		return errors.Join(err, in.outside.Close())
	}
	resolv, _ := os.ReadFile("/etc/resolv.conf")
	in.fabric, err = NewFabric(FabricConfig{Dir: dir, Prober: fabricNetwork{}.prober(outsideNumber), Names: in.names, Upstream: Nameservers(string(resolv)), Outside: in.outside, Log: e.log})
	if err != nil {
		return errors.Join(err, in.outside.Close())
	}
	e.inner = in
	e.forwards.outside = in.outside.Listen
	return nil
}

// run does the inner process's own work until ctx ends.
func (in *inner) run(ctx context.Context, e *engine) {
	var wait sync.WaitGroup
	wait.Go(func() { in.keepServices(ctx, e) })
	wait.Go(func() {
		select {
		case <-in.outside.Gone():
			e.stop()
		case <-ctx.Done():
		}
	})
	go in.readControl(e) // ends with the process: a read of an inherited pipe cannot be interrupted
	wait.Wait()
}

func (in *inner) close() error { return errors.Join(in.fabric.Close(), in.outside.Close()) }

// readControl follows what the outer process says of the control plane.
func (in *inner) readControl(e *engine) {
	dec := json.NewDecoder(os.NewFile(controlFD, "control"))
	for {
		var s controlState
		if dec.Decode(&s) != nil {
			return
		}
		in.mu.Lock()
		in.control = &s
		in.mu.Unlock()
		e.changed()
	}
}

func (in *inner) controlState() *controlState {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.control
}

// keepServices tells the kernel and the resolver which endpoints are ready.
func (in *inner) keepServices(ctx context.Context, e *engine) {
	var last map[netip.AddrPort][]netip.AddrPort
	for ctx.Err() == nil {
		e.mu.Lock()
		want, change := e.want, e.change
		e.mu.Unlock()
		services := map[netip.AddrPort][]netip.AddrPort{}
		for _, f := range want.Forwards {
			if f.Cluster {
				services[f.Listen] = e.readyTargets(f.Targets)
			}
		}
		if last == nil || !reflect.DeepEqual(services, last) {
			if err := in.fabric.SetServices(services); err != nil {
				e.log.Error("set services", "error", err)
			}
			last = services
		}
		e.setNames(want.Names)
		select {
		case <-ctx.Done():
		case <-change:
			sleep(ctx, servicesPause)
		}
	}
}

func (e *engine) readyTargets(list []target) []netip.AddrPort {
	out := []netip.AddrPort{}
	for _, t := range list {
		if t.Pod.IsZero() || e.ready(t.Pod) {
			out = append(out, t.Addr)
		}
	}
	slices.SortFunc(out, netip.AddrPort.Compare)
	return out
}

func (e *engine) setNames(list []nameSpec) {
	cluster, captured := map[string][]netip.Addr{}, map[string][]netip.Addr{}
	for _, n := range list {
		var addrs []netip.Addr
		if n.IP.IsValid() {
			addrs = append(addrs, n.IP)
		}
		for _, ref := range n.Pods {
			if p, err := e.find(ref); err == nil && (n.Unready || e.ready(ref)) {
				if ip, err := netip.ParseAddr(p.address()); err == nil {
					addrs = append(addrs, ip)
				}
			}
		}
		if n.Captured {
			captured[n.Host] = addrs
		} else {
			cluster[n.Host] = addrs
		}
	}
	e.inner.names.Set(cluster, captured)
}

func (p *pod) address() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.spec.Workload.Addresses) == 0 {
		return ""
	}
	return p.spec.Workload.Addresses[0]
}

// plugIn gives the pod its network, once a run.
func (r *podRun) plugIn() error {
	if r.spec.Net == nil || r.ns != nil {
		return nil
	}
	if r.e.inner == nil {
		return errors.New("it was planned for transparent capture, and this engine has no fabric")
	}
	ns, err := r.e.inner.fabric.AddPod(*r.spec.Net)
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.ns = ns
	r.mu.Unlock()
	return nil
}

func (r *podRun) unplug() {
	r.mu.Lock()
	ns := r.ns
	r.ns = nil
	r.mu.Unlock()
	if ns == nil {
		return
	}
	if err := ns.Close(); err != nil {
		r.e.log.Warn("take pod off the network", "pod", r.name(), "error", err)
	}
}

// starter is how a process of the pod is started: nil is in the engine's own surroundings.
func (r *podRun) starter(sidecar bool) func(*exec.Cmd) error {
	r.mu.Lock()
	ns := r.ns
	r.mu.Unlock()
	switch {
	case ns == nil:
		return nil
	case sidecar:
		return ns.StartSidecar
	}
	return ns.Start
}

// serveOutside is the outer process.
func (e *engine) serveOutside(ctx context.Context) error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		e.log.Warn("become subreaper", "cause", err)
	}
	e.spawn = newSpawner()
	defer e.spawn.close()
	server, err := NewOutsideServer(e.log)
	if err != nil {
		return err
	}
	said, say, err := os.Pipe()
	if err != nil {
		return errors.Join(err, server.Close())
	}
	defer say.Close()
	proc, err := e.startInner(server, said)
	said.Close()
	if err != nil {
		return errors.Join(err, server.Close())
	}
	side, stop := context.WithCancel(context.Background())
	var wait sync.WaitGroup
	wait.Go(func() { _ = server.Serve(side) })
	wait.Go(func() { e.tellControl(side, say) })
	client := newClient(e.config.Paths)
	defer client.Close()
	if e.config.Lease {
		go func() { // ends with the process, as in watchLease
			_, _ = io.Copy(io.Discard, os.NewFile(leaseFD, "lease"))
			client.end(side)
		}()
	}
	e.accompany(ctx, proc, client)
	stop()
	e.stopControl()
	wait.Wait()
	killMarked(markVariable, e.config.Mark)
	_, err = os.Stat(filepath.Join(e.config.Paths.State, endingFile))
	return e.leave(err == nil)
}

// end asks the inner process to end the mesh.
func (c *Client) end(ctx context.Context) {
	if resp, err := c.do(ctx, "POST", "/v1/stop", nil); err == nil {
		resp.Body.Close()
	}
}

// accompany starts the control plane when the inner process answers, and waits for its end.
func (e *engine) accompany(ctx context.Context, proc *process, client *Client) {
	answers := make(chan struct{})
	starting, cancel := context.WithTimeout(ctx, startBound)
	defer cancel()
	var wait sync.WaitGroup
	wait.Go(func() {
		for starting.Err() == nil {
			if _, err := client.state(starting, nil); err == nil {
				close(answers)
				return
			}
			sleep(starting, 5*time.Millisecond)
		}
	})
	defer wait.Wait()
	done := ctx.Done()
	for {
		select {
		case <-proc.done:
			cancel()
			return
		case <-done:
			proc.signal(unix.SIGTERM)
			done = nil
		case <-answers:
			answers = nil
			e.startControl()
		}
	}
}

func (e *engine) startInner(server *OutsideServer, said *os.File) (*process, error) {
	cmd := exec.Command(e.config.Executable, append(slices.Clone(e.config.Engine), e.config.Paths.config())...)
	cmd.Env = append(os.Environ(), innerVariable+"=1", markVariable+"="+e.config.Mark)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{said}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	server.Attach(cmd)
	EnterFabric(cmd, e.config.Rootless)
	return e.spawn.begin(cmd, nil)
}

// tellControl writes what the control plane's process is, whenever that changes.
func (e *engine) tellControl(ctx context.Context, w io.Writer) {
	for ctx.Err() == nil {
		e.mu.Lock()
		c, change := e.control, e.change
		e.mu.Unlock()
		if c != nil {
			if json.NewEncoder(w).Encode(c.state()) != nil {
				return
			}
		}
		select {
		case <-ctx.Done():
		case <-change:
		}
	}
}

// Dial connects to HOST:PORT in the network of the mesh's pods, as a caller outside of the mesh. HOST is an address. It is for
// probes: the pods' sidecars carry the connection as any other, and do not count it as traffic.
func (c *Client) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	var config engineConfig
	if err := readJSON(c.paths.config(), &config); err != nil {
		return nil, err
	}
	if config.Capture != CaptureTransparent {
		return c.dialAsProber(ctx, network, address)
	}
	conn, err := c.dialInside(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("dial %s in mesh %s: %w", address, c.paths.Name, err)
	}
	return conn, nil
}

// dialAsProber binds the mesh's prober where the address is one of loopback, as pods' are: others cannot be reached from it.
func (c *Client) dialAsProber(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	var numbers addresses
	if err := readJSON(c.paths.addresses(), &numbers); err != nil {
		return nil, err
	}
	if at, err := netip.ParseAddrPort(address); err == nil && at.Addr().IsLoopback() && numbers.Version == addressesVersion {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(numbers.prober(outsideNumber), 0))
	}
	return d.DialContext(ctx, network, address)
}

func (c *Client) dialInside(ctx context.Context, address string) (net.Conn, error) {
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: c.paths.execSocket(), Net: "unix"})
	if err != nil {
		return nil, notRunning(err)
	}
	defer conn.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if err := sendExec(conn, &execRequest{Dial: address}, [3]*os.File{null, null, null}); err != nil {
		return nil, err
	}
	body, oob := make([]byte, maxOutsideMessage), make([]byte, unix.CmsgSpace(4))
	n, oobn, _, _, err := conn.ReadMsgUnix(body, oob)
	if err != nil {
		return nil, errors.Join(ctx.Err(), err)
	}
	files, err := receiveFiles(oob[:oobn])
	defer closeAll(files)
	var resp execResponse
	if err := errors.Join(err, json.NewDecoder(bytes.NewReader(body[:n])).Decode(&resp)); err != nil {
		return nil, err
	}
	if resp.Error != "" || len(files) != 1 {
		return nil, errors.New(resp.Error)
	}
	return net.FileConn(files[0])
}

func notRunning(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("it does not run: %w", fs.ErrNotExist)
	}
	return err
}

// serveDial answers a request of dialInside.
func (e *engine) serveDial(ctx context.Context, c *net.UnixConn, address string) {
	prober := net.TCPAddrFromAddrPort(netip.AddrPortFrom(fabricNetwork{}.prober(outsideNumber), 0))
	d := net.Dialer{Timeout: outsideDialTimeout, LocalAddr: prober}
	conn, err := d.DialContext(ctx, "tcp", address)
	var resp execResponse
	var rights []byte
	if err == nil {
		defer conn.Close()
		var f *os.File
		if f, err = fileOf(conn); err == nil {
			defer f.Close()
			rights = unix.UnixRights(int(f.Fd()))
		}
	}
	if err != nil {
		resp.Error = err.Error()
	}
	body, err := json.Marshal(resp)
	if err == nil {
		_, _, err = c.WriteMsgUnix(body, rights, nil)
	}
	if err != nil {
		e.log.Debug("hand connection over", "address", address, "error", err)
	}
}
