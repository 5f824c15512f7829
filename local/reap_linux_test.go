package local

import (
	"os"
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
	p, err := s.spawn(launch{argv: []string{"sh", "-c", `setsid sh -c 'echo $$ >"$0.new"; mv "$0.new" "$0"; exec sleep 0.2' "$0" & while [ ! -e "$0" ]; do sleep 0.01; done`, file}, env: os.Environ()})
	if err != nil {
		t.Fatal(err)
	}
	<-p.done
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	adopted := false
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		f := statFields(pid)
		if len(f) < 2 {
			break
		}
		adopted = adopted || f[1] == strconv.Itoa(os.Getpid())
		if time.Now().After(deadline) {
			t.Fatalf("process %d is still there: %q", pid, f[:2])
		}
	}
	if !adopted {
		t.Errorf("process %d was never ours", pid)
	}
}
