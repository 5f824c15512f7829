package meshtest

import (
	"fmt"
	"path/filepath"
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
	c := &cleanups{}
	noLeaks(c, time.Millisecond)
	NoLeaks(c)
	stop := make(chan struct{})
	for range 20 { // more than tests before this one can have left to end by now
		go func() { <-stop }()
	}
	c.do[0]()
	if len(c.texts) != 1 || !strings.Contains(c.texts[0], "TestNoLeaks") {
		t.Errorf("goroutines that stay give %.200q", fmt.Sprint(c.texts))
	}
	close(stop)
	c.texts = nil
	c.do[1]()
	if len(c.texts) != 0 {
		t.Errorf("goroutines that end give %q", c.texts)
	}
}
