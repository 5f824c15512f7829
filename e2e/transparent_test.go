//go:build linux

package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// nobody is a user who may do nothing.
const nobody = 65534

// A whole transparent mesh, as whoever runs this test; root runs it once more as nobody.
func TestTransparentMesh(t *testing.T) {
	if captureMode() != "transparent" {
		t.Skip("transparent capture was not asked for: make test-capture does")
	}
	t.Run("whoever", transparentMesh)
	if os.Geteuid() == 0 {
		t.Run("nobody", asNobody)
	}
}

func transparentMesh(t *testing.T) {
	m := up(t, "backyards-current")
	m.synced()
	if s := m.status(); s.Capture != "transparent" {
		t.Fatalf("capture is %s: %s", s.Capture, s.CaptureWhy)
	}
	m.everyEdge(t, 7)
	bookings, front := m.pod("backyards-demo", "bookings"), m.pod("backyards-demo", "frontpage")
	for _, c := range []struct {
		verb string
		in   bool // whether a caller outside gets in
	}{{"allow", true}, {"require", false}} {
		m.do("mtls", c.verb, "backyards-demo", "--yes")
		if out, code := m.curl(front, "-i", "http://bookings.backyards-demo:8080/"); code != 0 || !strings.Contains(out, "HTTP/1.1 200") {
			t.Errorf("%s: a caller in the mesh: %d\n%s", c.verb, code, out)
		}
		answer, code := m.fromOutside(front, "http://"+bookings.Addresses[0]+":8080/")
		if got := code == 0 && strings.HasSuffix(answer, "200"); got != c.in {
			t.Errorf("%s: a caller outside: %s, %d", c.verb, answer, code)
		}
	}
}

// asNobody runs this test once more as a user who may do nothing, with copies of all that he needs: he cannot enter our folders.
func asNobody(t *testing.T) {
	dir, err := os.MkdirTemp("/tmp", "oen")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	for name, from := range map[string]string{"examples": "../examples", "bin": programs.dir, "e2e": "", "tmp": ""} {
		if from != "" {
			err = os.CopyFS(filepath.Join(dir, name), os.DirFS(from))
		} else {
			err = os.Mkdir(filepath.Join(dir, name), 0o700)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	err = filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chown(path, nobody, nobody)
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, "/proc/self/exe", "-test.run=^TestTransparentMesh$", "-test.v")
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}, Pdeathsig: syscall.SIGKILL}
	c.Env = append(os.Environ(), "TMPDIR="+filepath.Join(dir, "tmp"), "HOME="+filepath.Join(dir, "tmp"), "OARLOCK_E2E_BIN="+filepath.Join(dir, "bin"), "OARLOCK_E2E_CAPTURE=transparent")
	c.Dir = filepath.Join(dir, "e2e")
	c.WaitDelay = 5 * time.Second
	out, err := c.CombinedOutput()
	t.Logf("as nobody:\n%s", out)
	switch text := string(out); {
	case strings.Contains(text, "capture transparently:") && !strings.Contains(text, "--- PASS: TestTransparentMesh/whoever"):
		t.Skip("skipped as nobody: see above")
	case err != nil || !strings.Contains(text, "--- PASS: TestTransparentMesh/whoever"):
		t.Errorf("as nobody: %v", err)
	}
}
