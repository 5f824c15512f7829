//go:build linux

package e2e

import (
	"fmt"
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
	file := filepath.Join(m.dir, "bookings.yaml")
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append([]byte("apiVersion: v1\nkind: Service\nmetadata: {name: [\n---\n"), good...), 0o644); err != nil {
		t.Fatal(err)
	}
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
	if err := os.WriteFile(file, good, 0o644); err != nil {
		t.Fatal(err)
	}
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
	if err := os.WriteFile(filepath.Join(m.dir, "rule.yaml"), []byte(rule), 0o644); err != nil {
		t.Fatal(err)
	}
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
	m.eventually("traffic is back", func() (string, bool) {
		before := m.served("bookings", "200", "mutual_tls")
		time.Sleep(time.Second)
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

// Two changes at once: both are made, or one is refused and says so; the files stay whole.
func TestTwoChangesAtOnce(t *testing.T) {
	m := up(t, "backyards-current")
	m.synced()
	var wg sync.WaitGroup
	var codes [2]int
	var outs [2]string
	for i, service := range []string{"bookings", "catalog"} {
		wg.Add(1)
		go func() {
			defer wg.Done()
			outs[i], codes[i] = m.try("mtls", "require", "backyards-demo/"+service, "--yes")
		}()
	}
	wg.Wait()
	for i := range codes {
		if codes[i] != 0 && !strings.Contains(outs[i], "changed since it was read") {
			t.Errorf("a change failed otherwise than for the other: %d\n%s", codes[i], outs[i])
		}
	}
	if codes[0] != 0 && codes[1] != 0 {
		t.Error("both changes were refused")
	}
	m.synced()
}

// down leaves nothing behind: no process, no socket, no file.
func TestDownLeavesNothing(t *testing.T) {
	m := up(t, "foo-bar-current")
	m.synced()
	m.do("down", m.name)
	m.isDown = true
	if pid := m.process(func(string) bool { return true }); pid != 0 {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		t.Errorf("process %d is left: %q", pid, b)
	}
	var left []string
	filepath.WalkDir(m.home, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			left = append(left, path)
		}
		return nil
	})
	if len(left) > 0 {
		t.Errorf("files are left: %q", left)
	}
}
