package local

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	childRole   = "OARLOCK_TEST_ROLE"
	childRoutes = "OARLOCK_TEST_ROUTES"
	childName   = "OARLOCK_TEST_NAME"
)

// TestFabricChild is not a test but a process of a pod.
func TestFabricChild(t *testing.T) {
	var err error
	switch role := os.Getenv(childRole); role {
	case "":
		return
	case "sidecar":
		err = carryingSidecar()
	case "web":
		err = http.ListenAndServe(":8080", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "%s called from %s", os.Getenv(childName), remoteHost(r.RemoteAddr))
		}))
	default:
		err = fmt.Errorf("unknown role %q", role)
	}
	t.Fatal(err)
}

func remoteHost(addr string) string {
	host, _, _ := net.SplitHostPort(addr)
	return host
}

// carryingSidecar carries bytes by what the kernel says of the original destination, and prints what it carried.
func carryingSidecar() error {
	routes := map[string]string{}
	for _, r := range strings.Fields(os.Getenv(childRoutes)) {
		service, endpoint, _ := strings.Cut(r, "=")
		routes[service] = endpoint
	}
	out, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", CaptureOutboundPort))
	if err != nil {
		return err
	}
	in, err := net.Listen("tcp4", fmt.Sprintf("0.0.0.0:%d", CaptureInboundPort))
	if err != nil {
		return err
	}
	fmt.Println("ready")
	go carryAll(in, func(dst string) (net.Conn, error) {
		fmt.Println("inbound", dst)
		return dialMarked(net.ParseIP(inboundSource), dst)
	})
	carryAll(out, func(dst string) (net.Conn, error) {
		fmt.Println("outbound", dst)
		if to := routes[dst]; to != "" {
			dst = to
		}
		return dialMarked(nil, dst)
	})
	return nil
}

func carryAll(l net.Listener, dial func(string) (net.Conn, error)) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			dst, err := redirectedFrom(c.(*net.TCPConn))
			if err != nil {
				fmt.Println(err)
				return
			}
			up, err := dial(dst.String())
			if err != nil {
				fmt.Println(err)
				reset(c)
				return
			}
			go egressCopy(up, c)
			egressCopy(c, up)
		}()
	}
}

func dialMarked(source net.IP, dst string) (net.Conn, error) {
	d := net.Dialer{Timeout: 30 * time.Second, Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		cerr := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, CaptureMark) })
		if cerr != nil {
			return cerr
		}
		return err
	}}
	if source != nil {
		d.LocalAddr = &net.TCPAddr{IP: source}
	}
	return d.Dial("tcp4", dst)
}

// A printed is what a process has printed so far. It is a file and no pipe, so that it is all there once a process has done
// what came after.
type printed struct {
	file  *os.File
	taken int64
}

func newPrinted(t *testing.T) *printed {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return &printed{file: f}
}

// String is what was printed since the last take.
func (p *printed) String() string {
	b, err := io.ReadAll(io.NewSectionReader(p.file, p.taken, 1<<20))
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func (p *printed) take() string {
	s := p.String()
	p.taken += int64(len(s))
	return s
}

// child makes a command that runs a role, and ends with the test.
func child(t *testing.T, role string, env ...string) (*exec.Cmd, *printed) {
	t.Helper()
	out := newPrinted(t)
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestFabricChild$")
	cmd.Env = append(append(os.Environ(), childRole+"="+role), env...)
	cmd.Stdout, cmd.Stderr = out.file, out.file
	return cmd, out
}

func started(t *testing.T, start func(*exec.Cmd) error, cmd *exec.Cmd) {
	t.Helper()
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	if err := start(cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
}

func sidecarIn(t *testing.T, pod *PodNamespace, routes string) *printed {
	t.Helper()
	cmd, out := child(t, "sidecar", childRoutes+"="+routes)
	started(t, pod.StartSidecar, cmd)
	eventually(t, "sidecar is ready", func() bool { return strings.Contains(out.String(), "ready\n") })
	out.take()
	return out
}

func webIn(t *testing.T, pod *PodNamespace) {
	t.Helper()
	cmd, _ := child(t, "web", childName+"="+pod.Net().Name)
	started(t, pod.Start, cmd)
	eventually(t, "web server listens", func() bool {
		c, err := pod.Dial(t.Context(), "tcp", "127.0.0.1:8080")
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 2 minutes", what)
		}
	}
}

type dialer func(ctx context.Context, network, addr string) (net.Conn, error)

// fetchBody is a request of an application; every call is a connection of its own.
func fetchBody(t *testing.T, dial dialer, addr string) (string, error) {
	t.Helper()
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
	resp, err := client.Get("http://" + addr + "/")
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

func addrPorts(text ...string) []netip.AddrPort {
	var out []netip.AddrPort
	for _, s := range text {
		out = append(out, netip.MustParseAddrPort(s))
	}
	return out
}
