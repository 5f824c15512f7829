package local

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/oarlock/oarlock/meshtest"
)

// A process whose parent has ended becomes the engine's child, and does not stay as a zombie when it ends.
func TestAdoptedAreReaped(t *testing.T) {
	meshtest.Require(t, "setsid", "util-linux")
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatalf("become a subreaper: %v", err)
	}
	defer func() { _ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0) }()
	s := newSpawner()
	defer s.close()
	file := filepath.Join(t.TempDir(), "pid")
	p, err := s.spawn(launch{argv: []string{"sh", "-c", daemon, file}, env: os.Environ()})
	if err != nil {
		t.Fatal(err)
	}
	<-p.done
	pid := numberIn(t, file)
	eventually(t, "it is ours", func() bool {
		f := statFields(pid)
		return len(f) > 1 && f[1] == strconv.Itoa(os.Getpid())
	})
	sigkill(t, pid)
	eventually(t, "it is reaped", func() bool { return len(statFields(pid)) == 0 })
}

// numberIn gives the process whose number is in a file.
func numberIn(t *testing.T, file string) int {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// TestMarkInExecve: a process is found at every moment of its life, also while it changes its program.
func TestMarkInExecve(t *testing.T) {
	const again = `exec sh -c "$0" "$0"`
	long := strings.Repeat("x", 16<<10)
	cmd := exec.Command("sh", "-c", again, again)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LONG=" + long, "MARK=here"}
	started(t, (*exec.Cmd).Start, cmd)
	for look := range 3000 {
		environ := "\x00" + string(environOf(cmd.Process.Pid))
		if !strings.Contains(environ, "\x00MARK=here\x00") || !strings.Contains(environ, long) {
			t.Fatalf("look %d sees %d bytes: %.200q", look, len(environ), environ)
		}
	}
}

// TestKillMarkedLate: what is found is killed also where the look took all the time that there was.
func TestKillMarkedLate(t *testing.T) {
	mark, cmd := t.TempDir(), exec.Command("sleep", "1000")
	cmd.Env = append(os.Environ(), "MARK="+mark)
	started(t, (*exec.Cmd).Start, cmd)
	id := identify(cmd.Process.Pid)
	killMarkedUntil(time.Now().Add(-time.Second), "MARK", mark)
	if !waitGone(id, 30*time.Second) {
		t.Error("it runs on")
	}
}
