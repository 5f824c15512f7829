package main

import (
	"errors"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/oarlock/oarlock/mesh"
)

// TestInterruptible sends the process a Ctrl-C where a write would be under way: it must end the context alone.
func TestInterruptible(t *testing.T) {
	ctx, stop := interruptible(t.Context())
	defer stop()
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS == "windows" {
		t.Skip("Windows cannot send a process this signal")
	}
	if err := self.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ctx.Done():
	case <-time.After(longest):
		t.Error("the context goes on")
	}
}

// TestStaleSaysTryAgain: where somebody else was faster, the same command may do.
func TestStaleSaysTryAgain(t *testing.T) {
	m := &mtlsChange{app: &app{args: []string{"-f", "a b", "mtls", "require", "shop"}}}
	f := asFailure(m.notWritten(&mesh.StaleError{Place: "x.yaml"}), exitOK)
	if want := "oarlock -f 'a b' mtls require shop"; f.try != want || f.code != exitRefused {
		t.Errorf("got %d %q, want %q", f.code, f.try, want)
	}
	if f := asFailure(m.notWritten(errors.New("disk full")), exitOK); f.try != "" || f.code != exitRefused {
		t.Errorf("got %d %q", f.code, f.try)
	}
}
