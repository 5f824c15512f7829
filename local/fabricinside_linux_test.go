package local

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/oarlock/oarlock/meshtest"
)

// The tests of this file run in a process that TestFabric starts, where a fabric can be made.

func isInside() bool { return os.Getenv(insideEnv) != "" }

func newTestFabric(t *testing.T, change func(*FabricConfig)) *Fabric {
	t.Helper()
	config := FabricConfig{Dir: t.TempDir(), Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))}
	if change != nil {
		change(&config)
	}
	f, err := NewFabric(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func addPod(t *testing.T, f *Fabric, name, ip string, captured bool) *PodNamespace {
	t.Helper()
	p, err := f.AddPod(PodNet{
		Name: name, Namespace: "shop", IP: netip.MustParseAddr(ip), Capture: Capture{Outbound: captured, Inbound: captured},
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// census counts this process's descriptors, and its threads that are in other networks than its own.
func census(t *testing.T) (fds, strays int) {
	t.Helper()
	own, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	threads, err := filepath.Glob("/proc/self/task/*/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range threads {
		if ns, err := os.Readlink(name); err == nil && ns != own {
			strays++
		}
	}
	return descriptors(t), strays
}

const webService = "10.96.0.10:80"

// TestInsideCapture: an application calls a service, its own pod, itself; a pod without a sidecar and the engine call.
func TestInsideCapture(t *testing.T) {
	if !isInside() {
		return
	}
	f := newTestFabric(t, nil)
	client, server := addPod(t, f, "client", "10.244.0.10", true), addPod(t, f, "server", "10.244.0.20", true)
	plain := addPod(t, f, "plain", "10.244.0.30", false)
	if err := f.SetServices(map[netip.AddrPort][]netip.AddrPort{
		netip.MustParseAddrPort(webService):      addrPorts("10.244.0.20:8080"),
		netip.MustParseAddrPort("10.96.0.11:80"): nil,
	}); err != nil {
		t.Fatal(err)
	}
	clientLog := sidecarIn(t, client, webService+"=10.244.0.20:8080")
	serverLog := sidecarIn(t, server, webService+"=10.244.0.20:8080")
	webIn(t, server)
	serverLog.take()

	for _, c := range []struct {
		name           string
		dial           dialer
		addr           string
		want           string
		client, server string
	}{
		{"service from captured pod", client.Dial, webService, "server called from 127.0.0.6",
			"outbound 10.96.0.10:80\n", "inbound 10.244.0.20:8080\n"},
		{"pod from captured pod", client.Dial, "10.244.0.20:8080", "server called from 127.0.0.6",
			"outbound 10.244.0.20:8080\n", "inbound 10.244.0.20:8080\n"},
		{"service from plain pod", plain.Dial, webService, "server called from 127.0.0.6", "", "inbound 10.244.0.20:8080\n"},
		{"pod from the engine, as a probe", (&net.Dialer{}).DialContext, "10.244.0.20:8080", "server called from 127.0.0.6",
			"", "inbound 10.244.0.20:8080\n"},
		{"itself over loopback", server.Dial, "127.0.0.1:8080", "server called from 127.0.0.1", "", ""},
		{"itself at its pod's address", server.Dial, "10.244.0.20:8080", "server called from 10.244.0.20", "", ""},
		{"itself as a service, by its sidecar", server.Dial, webService, "server called from 127.0.0.6",
			"", "outbound 10.96.0.10:80\ninbound 10.244.0.20:8080\n"},
	} {
		got, err := fetchBody(t, c.dial, c.addr)
		if err != nil || got != c.want {
			t.Errorf("%s: got %q, %v, want %q", c.name, got, err, c.want)
		}
		if got := clientLog.take(); got != c.client {
			t.Errorf("%s: client's sidecar carried %q, want %q", c.name, got, c.client)
		}
		if got := serverLog.take(); got != c.server {
			t.Errorf("%s: server's sidecar carried %q, want %q", c.name, got, c.server)
		}
	}
	if _, err := fetchBody(t, plain.Dial, "10.96.0.11:80"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("service without an endpoint: %v, want refused", err)
	}
	excluded(t, f, client, server, clientLog, serverLog)
}

// excluded: ports that annotations leave out go on without a sidecar.
func excluded(t *testing.T, f *Fabric, client, server *PodNamespace, clientLog, serverLog *printed) {
	t.Helper()
	c, err := CaptureFromAnnotations(map[string]string{excludeOutboundPorts: "80", includeInboundPorts: "9999"})
	if err != nil {
		t.Fatal(err)
	}
	for _, pod := range []*PodNamespace{client, server} {
		if err := pod.SetCapture(c); err != nil {
			t.Fatal(err)
		}
	}
	got, err := fetchBody(t, client.Dial, webService)
	if err != nil || got != "server called from 10.244.0.10" {
		t.Errorf("excluded ports: got %q, %v", got, err)
	}
	if carried := clientLog.take() + serverLog.take(); carried != "" {
		t.Errorf("excluded ports: sidecars carried %q", carried)
	}
	// Ranges and added ports.
	c, err = CaptureFromAnnotations(map[string]string{includeOutboundRanges: "10.96.0.0/24", includeOutboundPorts: "7777"})
	if err != nil {
		t.Fatal(err)
	}
	if err := client.SetCapture(c); err != nil {
		t.Fatal(err)
	}
	for addr, want := range map[string]string{
		webService: "outbound 10.96.0.10:80\n", "10.244.0.20:8080": "", "10.244.0.20:7777": "outbound 10.244.0.20:7777\n",
	} {
		_, _ = fetchBody(t, client.Dial, addr) // where it leads is not the question
		if got, _, _ := strings.Cut(clientLog.take(), "dial"); got != want {
			t.Errorf("%s: client's sidecar carried %q, want %q", addr, got, want)
		}
	}
}

func TestInsideServices(t *testing.T) {
	if !isInside() {
		return
	}
	f := newTestFabric(t, nil)
	caller := addPod(t, f, "caller", "10.244.0.10", false)
	var endpoints []netip.AddrPort
	for i := range 3 {
		pod := addPod(t, f, fmt.Sprintf("web%d", i), fmt.Sprintf("10.244.0.%d", 20+i), false)
		webIn(t, pod)
		endpoints = append(endpoints, netip.AddrPortFrom(pod.Net().IP, 8080))
	}
	services := map[netip.AddrPort][]netip.AddrPort{netip.MustParseAddrPort(webService): endpoints}
	// As many as a mesh may have, with one to five endpoints.
	for i := range maxServices {
		addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 97, byte(i / 100), byte(i % 100)}), 80)
		for n := range i%5 + 1 {
			services[addr] = append(services[addr], netip.AddrPortFrom(endpoints[n%3].Addr(), uint16(8080+n)))
		}
	}
	began := time.Now()
	if err := f.SetServices(services); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d services in %d pods took %v", len(services), 4, time.Since(began))
	seen := map[string]int{}
	for range 60 {
		body, err := fetchBody(t, caller.Dial, webService)
		if err != nil {
			t.Fatal(err)
		}
		seen[body]++
	}
	t.Log(seen)
	for i := range 3 {
		// Fewer than five of sixty happen once in 10,000 runs.
		if n := seen[fmt.Sprintf("web%d called from 10.244.0.10", i)]; n < 5 {
			t.Errorf("web%d got %d of 60 calls", i, n)
		}
	}
	if err := f.SetServices(map[netip.AddrPort][]netip.AddrPort{netip.MustParseAddrPort(webService): endpoints[:1]}); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if body, err := fetchBody(t, caller.Dial, webService); err != nil || !strings.HasPrefix(body, "web0 ") {
			t.Fatalf("one endpoint: got %q, %v", body, err)
		}
	}
}

// TestInsideWorld is about what takes the machine's own network.
func TestInsideWorld(t *testing.T) {
	if !isInside() {
		return
	}
	outside, err := NewOutside()
	if err != nil {
		t.Fatal(err)
	}
	defer outside.Close()
	t.Run("names", func(t *testing.T) { lookUpNames(t, outside) })
	t.Run("way out", func(t *testing.T) { leaveMesh(t, outside) })
}

// lookUpNames asks as programs do, through the C library.
func lookUpNames(t *testing.T, outside *Outside) {
	getent := meshtest.Require(t, "getent", "libc-bin")
	names := &Names{}
	f := newTestFabric(t, func(c *FabricConfig) {
		c.Names, c.Outside = names, outside
		c.Upstream = addrPorts(os.Getenv(upstreamEnv))
	})
	names.Set(map[string][]netip.Addr{
		"web.shop.svc.cluster.local":  {netip.MustParseAddr("10.96.0.10")},
		"db.store.svc.cluster.local":  {netip.MustParseAddr("10.244.0.21"), netip.MustParseAddr("10.244.0.20")},
		"none.shop.svc.cluster.local": nil,
	}, map[string][]netip.Addr{
		"api.partner.test": {netip.MustParseAddr("240.240.0.1")}, "*.wild.test": {netip.MustParseAddr("240.240.0.2")},
	})
	captured, plain := addPod(t, f, "captured", "10.244.0.10", true), addPod(t, f, "plain", "10.244.0.30", false)
	for _, c := range []struct {
		pod        *PodNamespace
		name, want string
	}{
		{captured, "web", "10.96.0.10"}, {captured, "web.shop", "10.96.0.10"}, {captured, "web.shop.svc", "10.96.0.10"},
		{captured, "WEB.shop.svc.cluster.local.", "10.96.0.10"}, {plain, "web", "10.96.0.10"},
		{plain, "db.store", "10.244.0.20 10.244.0.21"}, {plain, "db", ""}, {plain, "none", ""},
		{captured, "api.partner.test", "240.240.0.1"}, {plain, "api.partner.test", ""},
		{captured, "a.b.wild.test", "240.240.0.2"}, {captured, "wild.test", ""},
		{captured, "www.example.com", "192.0.2.7"}, {plain, "www.example.com", "192.0.2.7"}, {plain, "nosuch.example.com", ""},
		{plain, "plain", "10.244.0.30"}, {plain, "localhost", "127.0.0.1"},
	} {
		got := getentHosts(t, getent, c.pod, c.name)
		for try := 0; got == "" && c.want != "" && try < 5; try++ { // a server may have been too slow for the C library
			got = getentHosts(t, getent, c.pod, c.name)
		}
		if got != c.want {
			t.Errorf("%s asks for %s: got %q, want %q", c.pod.Net().Name, c.name, got, c.want)
		}
	}
}

func getentHosts(t *testing.T, getent string, pod *PodNamespace, name string) string {
	t.Helper()
	out := newPrinted(t)
	cmd := exec.Command(getent, "ahostsv4", name)
	cmd.Stdout = out.file
	if err := pod.Start(cmd); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // status 2 is a name that was not found
	var addrs []string
	for line := range strings.Lines(out.String()) {
		if f := strings.Fields(line); len(f) > 1 && f[1] == "STREAM" {
			addrs = append(addrs, f[0])
		}
	}
	slices.Sort(addrs)
	return strings.Join(slices.Compact(addrs), " ") // localhost is there twice
}

func leaveMesh(t *testing.T, outside *Outside) {
	l, err := outside.Listen(t.Context(), "tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c, err := outside.Dial(t.Context(), "tcp4", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	l.Close()
	if _, err := outside.Dial(t.Context(), "tcp4", l.Addr().String()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dial what nobody listens on: %v, want refused", err)
	}
	if _, err := (&net.Dialer{Timeout: time.Second}).Dial("tcp4", os.Getenv(upstreamEnv)); err == nil {
		t.Error("the machine's loopback is reached from inside")
	}
	web := os.Getenv(webEnv)
	if web == "" {
		t.Skip("this machine has no address but loopback")
	}
	f := newTestFabric(t, func(c *FabricConfig) { c.Outside = outside })
	plain, captured := addPod(t, f, "plain", "10.244.0.30", false), addPod(t, f, "captured", "10.244.0.10", true)
	log := sidecarIn(t, captured, "")
	for _, pod := range []*PodNamespace{plain, captured} {
		if got, err := readAll(t, pod, web); got != "hello from outside\n" {
			t.Errorf("%s calls %s: got %q, %v", pod.Net().Name, web, got, err)
		}
	}
	if got := log.take(); got != "outbound "+web+"\n" {
		t.Errorf("sidecar carried %q", got)
	}
	host, _, _ := net.SplitHostPort(web)
	if _, err := readAll(t, plain, net.JoinHostPort(host, "1")); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("call what nobody listens on: %v, want reset", err)
	}
}

func readAll(t *testing.T, pod *PodNamespace, addr string) (string, error) {
	t.Helper()
	c, err := pod.Dial(t.Context(), "tcp4", addr)
	if err != nil {
		return "", err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(30 * time.Second))
	b, err := io.ReadAll(c)
	return string(b), err
}

// TestInsideProcess looks at what a process of a pod is.
func TestInsideProcess(t *testing.T) {
	if !isInside() {
		return
	}
	f := newTestFabric(t, nil)
	pod := addPod(t, f, "pod", "10.244.0.10", true)
	status := func(start func(*exec.Cmd) error) string {
		out := newPrinted(t)
		cmd := exec.Command(meshtest.Require(t, "cat", "coreutils"), "/proc/self/status")
		cmd.Stdout = out.file
		if err := start(cmd); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	app, sidecar := status(pod.Start), status(pod.StartSidecar)
	uid := fmt.Sprintf("Uid:\t%d\t", os.Geteuid())
	if !strings.Contains(app, uid) || !strings.Contains(sidecar, uid) {
		t.Errorf("processes run as another user than %d:\n%s", os.Geteuid(), app)
	}
	if os.Geteuid() == 0 {
		return
	}
	if !strings.Contains(app, "CapEff:\t0000000000000000\n") {
		t.Errorf("an application has capabilities:\n%s", app)
	}
	if want := fmt.Sprintf("CapEff:\t%016x\n", 1<<unix.CAP_NET_ADMIN); !strings.Contains(sidecar, want) {
		t.Errorf("a sidecar has not just CAP_NET_ADMIN:\n%s", sidecar)
	}
}

// TestInsideClose: pods come and go, in any order, and leave no descriptor, no thread and no goroutine.
func TestInsideClose(t *testing.T) {
	if !isInside() {
		return
	}
	meshtest.NoLeaks(t)
	round := func() {
		f := newTestFabric(t, nil)
		var pods []*PodNamespace
		for i := range 20 {
			pods = append(pods, addPod(t, f, fmt.Sprintf("pod%d", i), fmt.Sprintf("10.244.0.%d", 10+i), true))
		}
		if _, err := f.AddPod(PodNet{Name: "twice", IP: pods[0].Net().IP}); err == nil {
			t.Error("two pods have one address")
		}
		for _, ip := range []string{"10.244.0.1", "10.245.0.1"} {
			if _, err := f.AddPod(PodNet{Name: "odd", IP: netip.MustParseAddr(ip)}); err == nil {
				t.Errorf("a pod has %s", ip)
			}
		}
		if err := pods[3].Close(); err != nil {
			t.Error(err)
		}
		if err := pods[3].Close(); err != nil {
			t.Errorf("close twice: %v", err)
		}
		if _, err := pods[3].Listen(t.Context(), "tcp4", "127.0.0.1:0"); !errors.Is(err, errNamespaceClosed) {
			t.Errorf("listen in a closed pod: %v", err)
		}
		addPod(t, f, "again", "10.244.0.13", false)
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	round()
	fds, _ := census(t)
	began := time.Now()
	round()
	t.Logf("a fabric of 21 pods came and went in %v", time.Since(began))
	eventually(t, "threads and descriptors are gone", func() bool {
		now, strays := census(t)
		return now <= fds && strays == 0
	})
}
