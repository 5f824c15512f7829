package meshtest

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"
)

// Require gives the path of somebody else's program. Where it is missing the test is skipped with one line that names the
// Debian package, or fails if OARLOCK_REQUIRE is set, as in CI.
func Require(t testing.TB, command, debianPackage string) string {
	t.Helper()
	path, err := exec.LookPath(command)
	if err == nil {
		return path
	}
	if os.Getenv("OARLOCK_REQUIRE") != "" {
		t.Fatalf("%s is missing; install the Debian package %s", command, debianPackage)
	}
	t.Skipf("%s is missing; install the Debian package %s", command, debianPackage)
	return ""
}

// NoLeaks fails a test that leaves goroutines behind. Call it first, so that it looks after every other cleanup; a test
// that calls it must not run in parallel with others.
func NoLeaks(t testing.TB) {
	t.Helper()
	noLeaks(t, 30*time.Second)
}

func noLeaks(t testing.TB, bound time.Duration) {
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		for end := time.Now().Add(bound); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				stacks := make([]byte, 1<<20)
				stacks = stacks[:runtime.Stack(stacks, true)]
				t.Errorf("%d goroutines before the test, %d after:\n%s", before, runtime.NumGoroutine(), strings.TrimSpace(string(stacks)))
				return
			}
		}
	})
}
