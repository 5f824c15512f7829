package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/oarlock/oarlock/api"
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
		if (strings.Contains(args, m.home) || strings.Contains(string(env), m.home)) && is(args) {
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

// counts are what a demo application counted.
type counts struct{ Sent, OK, Failed int }

// traffic calls a service from a pod, one request after the other, until stop, and counts.
func (m *liveMesh) traffic(from api.Pod, url string, stop <-chan struct{}) (good, bad *int, wait func()) {
	good, bad = new(int), new(int)
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		for {
			select {
			case <-stop:
				return
			default:
			}
			out, code := m.curl(from, "-o", "/dev/null", "-w", "%{http_code}", url)
			if code == 0 && strings.HasSuffix(strings.TrimSpace(out), "200") {
				*good++
			} else {
				*bad++
			}
		}
	}()
	return good, bad, wg.Wait
}

// The control plane dies: traffic goes on, and it comes back and takes a change.
func TestControlPlaneKilled(t *testing.T) {
	m := up(t, "backyards-current")
	m.synced()
	front := m.pod("backyards-demo", "frontpage")
	stop := make(chan struct{})
	good, bad, wait := m.traffic(front, "http://bookings.backyards-demo:8080/", stop)
	m.kill("the control plane", m.status().PID, syscall.SIGKILL)
	time.Sleep(2 * time.Second)
	close(stop)
	wait()
	if *bad > 0 || *good == 0 {
		t.Errorf("%d requests succeeded and %d failed while the control plane was away", *good, *bad)
	}
	m.eventually("the control plane is back", 15*time.Second, func() (string, bool) {
		out, code := m.try("status")
		return out, code == 0
	})
	m.synced()
	if out, code := m.try("mtls", "require", "backyards-demo", "--yes"); code != 0 || !strings.Contains(out, "enforced on") {
		t.Errorf("a change after the restart: %d\n%s", code, out)
	}
}

// A sidecar dies: it alone is restarted, with the same identity and policy.
func TestSidecarKilled(t *testing.T) {
	m := up(t, "backyards-current")
	m.synced()
	bookings, front := m.pod("backyards-demo", "bookings"), m.pod("backyards-demo", "frontpage")
	m.kill("the sidecar of bookings", m.sidecarPID(bookings), syscall.SIGKILL)
	m.eventually("bookings answers again", 10*time.Second, func() (string, bool) {
		out, _ := m.curl(front, "-i", "http://bookings.backyards-demo:8080/")
		return out, strings.Contains(out, "HTTP/1.1 200")
	})
	m.synced()
	if m.served("bookings", "200", "mutual_tls") == 0 {
		t.Error("the new sidecar serves without mTLS")
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
	m.eventually("the status tells of it", 5*time.Second, func() (string, bool) {
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
	m.eventually("all is as before", 5*time.Second, func() (string, bool) {
		s := m.status()
		return s.Held + " " + s.Snapshot, s.Held == "" && s.Snapshot == before
	})
}

// The root is replaced under load: every step, and not a request is lost.
func TestRotationUnderLoad(t *testing.T) {
	m := up(t, "backyards-current", "--svid-ttl", "10s")
	m.do("mtls", "require", "backyards-demo", "--yes")
	m.synced()
	front := m.pod("backyards-demo", "frontpage")
	stop := make(chan struct{})
	good, bad, wait := m.traffic(front, "http://bookings.backyards-demo:8080/", stop)
	first := m.authority()
	m.do("ca", "rotate")
	m.eventually("another root is active and the old one is gone", 90*time.Second, func() (string, bool) {
		s := m.status().CA
		return fmt.Sprintf("%+v", s), len(s.Authorities) == 1 && s.Authorities[0].Fingerprint != first
	})
	close(stop)
	wait()
	if *bad > 0 || *good < 10 {
		t.Errorf("%d requests succeeded and %d failed during the rotation", *good, *bad)
	}
}

func (m *liveMesh) authority() string {
	m.t.Helper()
	for _, a := range m.status().CA.Authorities {
		if a.Slot == "active" {
			return a.Fingerprint
		}
	}
	m.t.Fatal("no authority is active")
	return ""
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

// statsOf asks a demo application what it counted.
func (m *liveMesh) statsOf(url string) counts {
	m.t.Helper()
	_, body, err := get(url)
	if err != nil {
		m.t.Fatal(err)
	}
	var c counts
	if err := json.Unmarshal([]byte(body), &c); err != nil {
		m.t.Fatal(err)
	}
	return c
}
