//go:build linux

package e2e

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/oarlock/oarlock/api"
	"github.com/oarlock/oarlock/meshtest"
)

// sidecarPID finds the process of a pod's sidecar, by the bootstrap file in its arguments.
func (m *liveMesh) sidecarPID(p api.Pod) int {
	m.t.Helper()
	return m.process(func(args string) bool {
		return strings.Contains(args, "--bootstrap") && strings.Contains(args, p.Name+string(filepath.Separator))
	})
}

// process finds a process of this mesh by its arguments.
func (m *liveMesh) process(is func(args string) bool) int {
	m.t.Helper()
	return m.processWith(func(args, _ string) bool { return is(args) })
}

// processWith finds one by its environment too, each of whose lines stands between zeroes.
func (m *liveMesh) processWith(is func(args, env string) bool) int {
	m.t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		m.t.Fatal(err)
	}
	for _, file := range dirs {
		b, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		args := strings.ReplaceAll(string(b), "\x00", " ")
		env, _ := os.ReadFile(filepath.Join(filepath.Dir(file), "environ"))
		// Before up has come back there is no mark. An application has nothing else.
		if (strings.Contains(args, m.home) || m.mark != "" && strings.Contains(string(env), "OARLOCK_RUN="+m.mark)) && is(args, "\x00"+string(env)) {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
			if err == nil {
				return pid
			}
		}
	}
	return 0
}

func (m *liveMesh) kill(what string, pid int, sig syscall.Signal) {
	m.t.Helper()
	if pid <= 1 {
		m.t.Fatalf("find the process of %s: none", what)
	}
	if err := syscall.Kill(pid, sig); err != nil {
		m.t.Fatalf("kill %s: %v", what, err)
	}
}

// A manifest is broken in the middle of an edit: the old one stays in force, the status says so, and mending it is enough.
func TestBrokenManifest(t *testing.T) {
	m := up(t, "backyards-current")
	m.synced()
	before := m.status().Snapshot
	good := m.read("bookings.yaml")
	m.write("bookings.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: [\n---\n"+good)
	m.eventually("the status tells of it", func() (string, bool) {
		s := m.status()
		text := s.Held
		for _, p := range s.Problems {
			text += "\n" + p.Message
		}
		return text, strings.Contains(text, "bookings.yaml") || s.Held != ""
	})
	front := m.pod("backyards-demo", "frontpage")
	if out, _ := m.curl(front, "-i", "http://bookings.backyards-demo:8080/"); !strings.Contains(out, "HTTP/1.1 200") {
		t.Errorf("traffic broke with the manifest:\n%s", out)
	}
	m.write("bookings.yaml", good)
	m.eventually("all is as before", func() (string, bool) {
		s := m.status()
		return s.Held + " " + s.Snapshot, s.Held == "" && s.Snapshot == before
	})
}

// The authority is away for longer than a certificate lives: peers are refused, the cause is named, and when it is back
// all mends itself.
func TestCertificateExpires(t *testing.T) {
	t.Parallel()
	m := up(t, "backyards-current", "--svid-ttl", "1m")
	m.do("mtls", "require", "backyards-demo", "--yes")
	rule := `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: bookings
  namespace: backyards-demo
spec:
  host: bookings
  trafficPolicy:
    connectionPool:
      http:
        maxRequestsPerConnection: 1 # a handshake each: what is open goes on when a certificate expires
`
	m.write("rule.yaml", rule)
	m.synced()
	front, bookings, plane := m.pod("backyards-demo", "frontpage"), m.pod("backyards-demo", "bookings"), m.status().PID
	m.kill("the control plane", plane, syscall.SIGSTOP)
	t.Cleanup(func() { syscall.Kill(plane, syscall.SIGCONT) })
	m.within(2*time.Minute, "expired certificates are refused", func() (string, bool) {
		samples := append(m.scrape(front), m.scrape(bookings)...)
		n := sum(samples, "oarlock_handshake_failures_total", map[string]string{"cause": "expired"})
		time.Sleep(time.Second)
		return fmt.Sprint(n), n > 0
	})
	m.kill("the control plane", plane, syscall.SIGCONT)
	before := m.served("bookings", "200", "mutual_tls")
	m.within(2*time.Minute, "traffic is back", func() (string, bool) {
		after := m.served("bookings", "200", "mutual_tls")
		return fmt.Sprint(before, after), after > before
	})
}

// The disk is full while a policy is written: the command fails, and the file is as it was.
func TestDiskFull(t *testing.T) {
	unshare := meshtest.Require(t, "unshare", "util-linux")
	if out, err := exec.Command(unshare, "-rm", "true").CombinedOutput(); err != nil {
		t.Skipf("no user namespace to mount a small disk in: %s", out)
	}
	dir := t.TempDir()
	script := `set -e
mount -t tmpfs -o size=64k tmpfs "$1"
cp "$2"/*.yaml "$1"
before=$(cat "$1"/*.yaml | sha256sum)
cat /dev/zero > "$1"/fill 2>/dev/null || true
set +e
"$3" mtls require backyards-demo -f "$1" --yes; code=$?
"$3" mtls disable mesh -f "$1" --yes; code2=$?
set -e
test "$before" = "$(cat "$1"/*.yaml | sha256sum)"
echo "exit $code $code2"; ls "$1"`
	out, err := exec.Command(unshare, "-rm", "sh", "-c", script, "sh", dir, "../examples/backyards", filepath.Join(programs.dir, "oarlock")).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if !matches(`exit [1-9]\d* [1-9]`, string(out)) || !strings.Contains(string(out), "no space left on device") {
		t.Errorf("a full disk is not told of:\n%s", out)
	}
	if matches(`(?m)^\..*|\.tmp`, string(out)) {
		t.Errorf("a temporary file is left:\n%s", out)
	}
}

// Two changes at once, in a file each and in the same one: both are made, or one is refused, says so, and can be made again.
func TestTwoChangesAtOnce(t *testing.T) {
	t.Parallel()
	m := up(t, "backyards-current")
	m.synced()
	mtls := func(change string) []string {
		return append(append([]string{"mtls"}, strings.Fields(change)...), "--yes")
	}
	for _, c := range []struct{ first, second, listed1, listed2 string }{
		{"require backyards-demo/bookings", "disable backyards-demo/catalog", `\[bookings\] +STRICT`, `\[catalog\] +DISABLE`},
		{"require backyards-demo/analytics:8080", "disable backyards-demo/analytics:8083", `\[analytics\(8080\)\] +STRICT`, `\[analytics\(8083\)\] +DISABLE`}, // one object
		{"allow mesh", "unset backyards-demo/bookings", `/default +\[\] +PERMISSIVE`, ``},
	} {
		var wg sync.WaitGroup
		changes := [2]string{c.first, c.second}
		var codes [2]int
		var outs [2]string
		for i, change := range changes {
			wg.Go(func() {
				outs[i], codes[i] = m.try(mtls(change)...)
			})
		}
		wg.Wait()
		if codes[0] != 0 && codes[1] != 0 {
			t.Errorf("both changes were refused:\n%s\n%s", outs[0], outs[1])
		}
		for i, change := range changes {
			if codes[i] == 0 {
				continue
			}
			if !strings.Contains(outs[i], "changed since it was read") {
				t.Errorf("%s failed otherwise than for the other: %d\n%s", change, codes[i], outs[i])
			}
			m.do(mtls(change)...)
		}
		m.synced()
		if list := m.do("mtls", "list", "-A"); !matches(c.listed1, list) || !matches(c.listed2, list) {
			t.Errorf("after %q:\n%s", changes, list)
		}
		if list := m.do("mtls", "list", "-A", "-f", m.dir); !matches(c.listed1, list) || !matches(c.listed2, list) {
			t.Errorf("in the files after %q:\n%s", changes, list)
		}
	}
	if list := m.do("mtls", "list", "-A"); strings.Contains(list, "[bookings]") {
		t.Errorf("the policy of bookings is still there:\n%s", list)
	}
}

// down leaves nothing behind: no process, no socket, no file, no folder, no port.
func TestDownLeavesNothing(t *testing.T) {
	m := up(t, "backyards-current")
	m.synced()
	link, err := url.Parse(m.link())
	if err != nil {
		t.Fatal(err)
	}
	if m.applicationPID(m.pod("backyards-demo", "bookings")) == 0 || len(m.listening()) == 0 {
		t.Fatal("a mesh that runs cannot be seen: this test proves nothing")
	}
	m.do("down", m.name)
	m.isDown = true
	if pid := m.process(func(string) bool { return true }); pid != 0 {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		t.Errorf("process %d is left: %q", pid, b)
	}
	if ports := m.listening(); len(ports) > 0 {
		t.Errorf("somebody listens at %q", ports)
	}
	if c, err := net.Dial("tcp", link.Host); err == nil {
		c.Close()
		t.Errorf("the dashboard's port %s is open", link.Host)
	}
	var left []string
	filepath.WalkDir(m.home, func(path string, d os.DirEntry, err error) error {
		// What was there before are the folders that all meshes of a user share.
		if err == nil && path != m.home && path != filepath.Join(m.home, "r") && path != filepath.Join(m.home, "s") {
			left = append(left, path)
		}
		return nil
	})
	if len(left) > 0 {
		t.Errorf("these are left: %q", left)
	}
}

// listening gives where somebody listens on the mesh's addresses of this machine, those of its pods and those of its doors.
func (m *liveMesh) listening() (out []string) {
	m.t.Helper()
	text, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		m.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		var at uint32 // the first byte of the address is the last one here
		var port uint16
		if n, _ := fmt.Sscanf(fields[1], "%X:%X", &at, &port); n != 2 || fields[3] != "0A" {
			continue
		}
		if second := int(at >> 8 & 255); at&255 == 127 && (second == m.net || second == m.net+64) {
			out = append(out, fmt.Sprintf("127.%d.%d.%d:%d", second, at>>16&255, at>>24, port))
		}
	}
	return out
}

// Fifty changes cost the control plane and a sidecar no file descriptor.
func TestChangesLeaveNothingOpen(t *testing.T) {
	t.Parallel()
	m := up(t, "backyards-current")
	m.synced()
	c := m.plane()
	pids := map[string]int{"the control plane": m.status().PID, "the sidecar of bookings": m.sidecarPID(m.pod("backyards-demo", "bookings"))}
	open := func(pid int) int {
		files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
		if err != nil {
			t.Fatal(err)
		}
		return len(files)
	}
	made := 0
	change := func(n int) {
		for range n {
			verb := []string{"require", "disable", "allow"}[made%3]
			made++
			done, err := c.ChangeMTLS(t.Context(), api.MTLS{Verb: verb, Resource: "backyards-demo/bookings:8080", Apply: api.Apply{Yes: true}})
			if err != nil || !done.Applied {
				t.Fatalf("%s: %+v %v", verb, done, err)
			}
		}
		m.synced()
	}
	change(4) // what is opened once and kept
	before := map[string]int{}
	for who, pid := range pids {
		before[who] = open(pid)
	}
	change(50)
	for who, pid := range pids {
		m.eventually("as many files are open as before", func() (string, bool) {
			now := open(pid)
			return fmt.Sprintf("%s has %d open, had %d", who, now, before[who]), now <= before[who]+10 // connections come and go
		})
	}
}
