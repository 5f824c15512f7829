package meshtest

import (
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

func (f *failures) Skipf(format string, a ...any) { f.Errorf("skip: "+format, a...); panic(f) }

func TestRequire(t *testing.T) {
	t.Setenv("OARLOCK_REQUIRE", "")
	if got := Require(t, "go", "golang-go"); filepath.Base(got) != "go" {
		t.Errorf("found go at %q", got)
	}
	missing := func(t testing.TB) { Require(t, "no-such-program", "no-such-package") }
	if got := run(missing); len(got) != 1 || !strings.HasPrefix(got[0], "skip: ") || !strings.Contains(got[0], "Debian package no-such-package") {
		t.Errorf("a missing program gives %q", got)
	}
	t.Setenv("OARLOCK_REQUIRE", "1")
	if got := run(missing); len(got) != 1 || strings.HasPrefix(got[0], "skip: ") {
		t.Errorf("a missing program that is required gives %q", got)
	}
}

// cleanups keeps what a test would have done at its end.
type cleanups struct {
	failures
	do []func()
}

func (c *cleanups) Cleanup(f func()) { c.do = append(c.do, f) }

func TestNoLeaks(t *testing.T) {
	for n := runtime.NumGoroutine(); ; { // those of tests before this one come to their end
		time.Sleep(20 * time.Millisecond)
		now := runtime.NumGoroutine()
		if now == n {
			break
		}
		n = now
	}
	c := &cleanups{}
	NoLeaks(c)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() { <-stop; close(stopped) }()
	c.do[0]()
	if len(c.texts) != 1 || !strings.Contains(c.texts[0], "TestNoLeaks") {
		t.Errorf("a goroutine that stays gives %.200q", fmt.Sprint(c.texts))
	}
	close(stop)
	<-stopped
	c.texts = nil
	c.do[0]()
	if len(c.texts) != 0 {
		t.Errorf("a goroutine that ended gives %q", c.texts)
	}
}
