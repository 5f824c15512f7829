package yamldir

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestPoll: where the system gives no notice, looking from time to time finds the change.
func TestPoll(t *testing.T) {
	dir := t.TempDir()
	d, err := Open([]string{dir}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	w := &watch{dir: d, opt: WatchOptions{Settle: time.Millisecond, Poll: 20 * time.Millisecond}, tell: make(chan struct{}, 1), polling: true}
	w.look(ctx)
	go w.run(ctx)
	if err := os.WriteFile(filepath.Join(dir, "a.yaml"), []byte("kind: Namespace\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	select {
	case <-w.tell:
	case <-time.After(30 * time.Second):
		t.Error("nothing was told")
	}
	cancel()
	for range w.tell {
	}
}
