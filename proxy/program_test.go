package proxy

import (
	"context"
	"io"
	"os/exec"
	"testing"
	"time"
)

// startProgram runs somebody else's program with a text on its standard input, which stays open, and gives a function that
// waits for its end and has what it wrote.
func startProgram(t testing.TB, name string, args []string, input string) (output func() string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, name, args...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var text []byte
	done := make(chan struct{})
	go func() {
		defer close(done)
		text, _ = cmd.CombinedOutput()
	}()
	io.WriteString(in, input)
	return func() string {
		select {
		case <-done:
		case <-time.After(time.Second):
			in.Close()
			<-done
		}
		return string(text)
	}
}
