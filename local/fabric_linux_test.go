package local

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/oarlock/oarlock/meshtest"
)

const (
	// insideEnv marks the process that lives in the fabric of a test.
	insideEnv = "OARLOCK_TEST_INSIDE"
	// upstreamEnv is a DNS server on the machine, webEnv a web server there that leaves have to reach from a pod.
	upstreamEnv = "OARLOCK_TEST_UPSTREAM"
	webEnv      = "OARLOCK_TEST_WEB"
	nobody      = 65534
)

// TestFabricTrial is not a test but the child of FabricSupport.
func TestFabricTrial(*testing.T) {
	RunFabricTrial()
}

// needFabric skips where the kernel forbids it.
func needFabric(t *testing.T) (rootless bool) {
	t.Helper()
	ok, rootless, reason := fabricSupport("trial", "-test.run=^TestFabricTrial$")
	if !ok {
		t.Skipf("no transparent capture here: %s", reason)
	}
	return rootless
}

func TestFabricSupportSaysWhyNot(t *testing.T) {
	// /bin/false in place of the trial: it ends without a word.
	ok, _, reason := fabricSupport("trial", "-test.run=^$")
	if ok || reason == "" {
		t.Errorf("a trial that says nothing: ok %v, reason %q", ok, reason)
	}
}

// inside runs the tests of a pattern in a process with a fabric's namespaces, and with a way out.
func inside(t *testing.T, pattern string, rootless bool, env ...string) {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	outside, err := NewOutsideServer(log)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/proc/self/exe", "-test.run="+pattern, "-test.v")
	cmd.Env = append(append(os.Environ(), insideEnv+"=1"), env...)
	EnterFabric(cmd, rootless)
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	cmd.WaitDelay = time.Second
	outside.Attach(cmd)
	served := make(chan error, 1)
	out := newPrinted(t)
	cmd.Stdout, cmd.Stderr = out.file, out.file
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { served <- outside.Serve(ctx) }()
	err = cmd.Wait()
	t.Logf("inside:\n%s", out.String())
	if err != nil {
		t.Errorf("inside: %v", err)
	}
	if err := <-served; err != nil {
		t.Errorf("outside: %v", err)
	}
	if strings.Contains(out.String(), "\n--- SKIP: ") {
		t.Skip("skipped inside: see above")
	}
}

// both runs a test as root and rootless, as far as we may: root starts itself once more as nobody.
func both(t *testing.T, run func(t *testing.T, rootless bool)) {
	rootless := needFabric(t)
	name := "root"
	if rootless {
		name = "rootless"
	}
	t.Run(name, func(t *testing.T) { run(t, rootless) })
	if os.Geteuid() != 0 {
		return
	}
	t.Run("nobody", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 240*time.Second)
		defer cancel()
		top, _, _ := strings.Cut(t.Name(), "/")
		cmd := exec.CommandContext(ctx, "/proc/self/exe", "-test.run=^"+top+"$", "-test.v")
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}, Pdeathsig: syscall.SIGKILL}
		cmd.Env = append(os.Environ(), "TMPDIR="+foldersOf(t, nobody), runEnv+"=")
		cmd.Dir = "/"
		out, err := cmd.CombinedOutput()
		t.Logf("as nobody:\n%s", out)
		if err != nil {
			t.Error(err)
		}
		if strings.Contains(string(out), "--- SKIP: "+top) {
			t.Skip("skipped as nobody: see above")
		}
	})
}

// foldersOf makes a folder that a user can use; those of testing have parents that he cannot enter.
func foldersOf(t *testing.T, user int) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "oarlock-fabric-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chown(dir, user, user); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestFabric(t *testing.T) {
	both(t, func(t *testing.T, rootless bool) {
		before := leftovers(t)
		upstream := upstreamDNS(t)
		web, err := net.Listen("tcp4", "0.0.0.0:0")
		if err != nil {
			t.Fatal(err)
		}
		defer web.Close()
		go func() {
			for {
				c, err := web.Accept()
				if err != nil {
					return
				}
				fmt.Fprint(c, "hello from outside\n")
				c.Close()
			}
		}()
		inside(t, "^TestInside", rootless, upstreamEnv+"="+upstream, webEnv+"="+reachable(t, web))
		nothingLeft(t, before)
	})
}

// reachable is an address of this machine that is not loopback, "" if there is none.
func reachable(t *testing.T, l net.Listener) string {
	t.Helper()
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		if ip := a.(*net.IPNet).IP; ip.To4() != nil && ip.IsGlobalUnicast() {
			return fmt.Sprintf("%s:%d", ip, l.Addr().(*net.TCPAddr).Port)
		}
	}
	return ""
}

// runEnv marks every process that comes of one run of a test. Others may run fabrics on this machine meanwhile.
const runEnv = "OARLOCK_TEST_RUN"

// leftovers are what a fabric could leave behind: devices and mounts of the machine, and processes of this run, which alone
// could keep a network alive.
func leftovers(t *testing.T) []string {
	t.Helper()
	devices, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, d := range devices {
		out = append(out, "device "+d.Name)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	out = append(out, fmt.Sprintf("mounts %d", strings.Count(string(mounts), "\n")))
	if os.Getenv(runEnv) == "" {
		t.Setenv(runEnv, fmt.Sprintf("%s-%d", t.Name(), os.Getpid()))
	}
	for _, id := range withMark(runEnv, os.Getenv(runEnv)) {
		out = append(out, fmt.Sprint("process ", id.PID))
	}
	slices.Sort(out)
	return out
}

// nothingLeft waits until the machine has what it had before, and no more.
func nothingLeft(t *testing.T, before []string) {
	t.Helper()
	var now []string
	defer func() {
		if t.Failed() {
			t.Logf("the machine had\n%q\nand has\n%q", before, now)
		}
	}()
	eventually(t, "nothing is left", func() bool {
		now = leftovers(t)
		return slices.Equal(before, now)
	})
}

// upstreamDNS serves one name of the world, on loopback.
func upstreamDNS(t *testing.T) string {
	t.Helper()
	packets, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &dns.Server{PacketConn: packets, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		if q.Question[0].Name != "www.example.com." {
			m.Rcode = dns.RcodeNameError
		} else if q.Question[0].Qtype == dns.TypeA {
			rr, err := dns.NewRR("www.example.com. 60 IN A 192.0.2.7")
			if err != nil {
				panic(err)
			}
			m.Answer = []dns.RR{rr}
		}
		w.WriteMsg(m)
	})}
	up := make(chan struct{})
	server.NotifyStartedFunc = func() { close(up) }
	go server.ActivateAndServe()
	<-up
	t.Cleanup(func() { server.Shutdown() })
	return packets.LocalAddr().String()
}

// TestFabricKilled kills the engine: its pods' processes end, and nothing is left.
func TestFabricKilled(t *testing.T) {
	both(t, func(t *testing.T, rootless bool) {
		before := leftovers(t)
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestLivingFabric$", "-test.v")
		cmd.Env = append(os.Environ(), insideEnv+"=1", "OARLOCK_TEST_LIVE=1")
		EnterFabric(cmd, rootless)
		cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
		out := newPrinted(t)
		cmd.Stdout, cmd.Stderr = out.file, out.file
		cmd.WaitDelay = time.Second
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer cmd.Wait()
		defer cmd.Process.Kill()
		eventually(t, "fabric lives", func() bool { return strings.Contains(out.String(), "pods run") })
		if slices.Equal(before, leftovers(t)) {
			t.Fatal("a living fabric cannot be seen: this test proves nothing")
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		nothingLeft(t, before)
	})
}

// TestLivingFabric is the engine that TestFabricKilled kills.
func TestLivingFabric(t *testing.T) {
	if os.Getenv("OARLOCK_TEST_LIVE") == "" {
		return
	}
	f := newTestFabric(t, nil)
	for i := range 3 {
		pod := addPod(t, f, fmt.Sprintf("pod%d", i), fmt.Sprintf("10.244.0.%d", 10+i), true)
		started(t, pod.Start, exec.Command(meshtest.Require(t, "sleep", "coreutils"), "1000"))
	}
	fmt.Println("pods run")
	select {} // until it is killed, by its parent's end at the latest
}
