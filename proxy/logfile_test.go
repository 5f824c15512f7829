package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oarlock/oarlock/accesslog"
)

func textFormat(t testing.TB, s string) *accesslog.Format {
	t.Helper()
	f, err := accesslog.ParseText(s)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// Lines of many writers are whole, each is there once and in its writer's order, and Close writes the last.
func TestLogManyWriters(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	p := New(Options{})
	logs := p.openLogs([]AccessLog{{Path: path, Format: textFormat(t, "%UPSTREAM_CLUSTER% %BYTES_SENT%\n")}})
	const writers, each = 8, 500
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				logs.write(&accesslog.Record{UpstreamCluster: fmt.Sprint("w", w), BytesSent: int64(i)})
			}
		})
	}
	wg.Wait()
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	next := map[string]int{}
	for line := range strings.Lines(string(b)) {
		var who string
		var n int
		if _, err := fmt.Sscanf(line, "%s %d\n", &who, &n); err != nil || n != next[who] {
			t.Fatalf("line %q, %v; want number %d", line, err, next[who])
		}
		next[who]++
	}
	for w := range writers {
		if n := next[fmt.Sprint("w", w)]; n != each {
			t.Errorf("writer %d has %d lines", w, n)
		}
	}
}

// A gate is a slow disk: Write waits until it is opened.
type gate struct {
	open  chan struct{}
	began chan struct{} // gets a value at the first Write; nil where nobody asks
	mu    sync.Mutex
	got   bytes.Buffer
	err   error
}

func (g *gate) Write(p []byte) (int, error) {
	select {
	case g.began <- struct{}{}:
	default:
	}
	<-g.open
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.err != nil {
		return 0, g.err
	}
	return g.got.Write(p)
}

// A disk that hangs costs lines, which are counted, and no writer waits for it.
func TestLogSlowDisk(t *testing.T) {
	disk := &gate{open: make(chan struct{}), began: make(chan struct{}, 1)}
	var said bytes.Buffer
	p := New(Options{Stdout: disk, Log: slog.New(slog.NewTextHandler(&said, nil))})
	logs := p.openLogs([]AccessLog{{Path: "/dev/stdout", Format: textFormat(t, "%UPSTREAM_CLUSTER%\n")}})
	line := strings.Repeat("x", 64<<10-1)
	logs.write(&accesslog.Record{UpstreamCluster: line})
	<-disk.began
	const lines = 2 * logBound / (64 << 10)
	for range lines { // who waited for the disk would do so for ever
		logs.write(&accesslog.Record{UpstreamCluster: line})
	}
	close(disk.open)
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	got := bytes.Count(disk.got.Bytes(), []byte("\n"))
	lost := 0
	for text := range strings.Lines(said.String()) {
		var n int
		if _, after, ok := strings.Cut(text, "lines_lost="); ok {
			fmt.Sscan(after, &n)
			lost += n
		}
	}
	if got+lost != lines+1 || lost < lines/3 || got < logBound/(64<<10) {
		t.Errorf("%d lines are written and %d lost, of %d", got, lost, lines+1)
	}
}

// A few lines are written together, soon; many at once without waiting.
func TestLogGathers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := &gate{open: make(chan struct{})}
		close(disk.open)
		p := New(Options{Stdout: disk})
		logs := p.openLogs([]AccessLog{{Path: "/dev/stdout", Format: textFormat(t, "%UPSTREAM_CLUSTER%\n")}})
		written := func() int {
			synctest.Wait()
			disk.mu.Lock()
			defer disk.mu.Unlock()
			return disk.got.Len()
		}
		logs.write(&accesslog.Record{UpstreamCluster: "a"})
		time.Sleep(logFlush / 2)
		if n := written(); n != 0 {
			t.Errorf("%d bytes are written at once", n)
		}
		logs.write(&accesslog.Record{UpstreamCluster: "b"})
		time.Sleep(logFlush)
		if n := written(); n != 4 {
			t.Errorf("%d bytes after a while", n)
		}
		logs.write(&accesslog.Record{UpstreamCluster: "c"})
		logs.write(&accesslog.Record{UpstreamCluster: strings.Repeat("x", logWrite)})
		if n := written(); n != 4+2+logWrite+1 {
			t.Errorf("%d bytes after many lines", n)
		}
		have := 4 + 2 + logWrite + 1
		line := func(wait time.Duration, what string) { // which is written after wait and not before
			t.Helper()
			logs.write(&accesslog.Record{UpstreamCluster: "d"})
			time.Sleep(wait - logFlush/2)
			early := written()
			time.Sleep(logFlush)
			if n := written(); early != have || n != have+2 {
				t.Errorf("%s: %d bytes, then %d; want %d", what, early, n, have)
			}
			have += 2
		}
		line(logBusy, "after many lines")
		line(logFlush, "after few")
		p.Close()
	})
}

// A log that cannot be opened, or written to, is told of and harms nothing else.
func TestLogErrors(t *testing.T) {
	var said bytes.Buffer
	disk := &gate{open: make(chan struct{}), err: errors.New("disk full")}
	close(disk.open)
	p := New(Options{Stdout: disk, Log: slog.New(slog.NewTextHandler(&said, nil))})
	format := textFormat(t, "x\n")
	logs := p.openLogs([]AccessLog{{Path: "/no/such/folder/log", Format: format}, {Path: "", Format: format}, {Path: os.DevNull, Format: format}, {Path: "/x"},
		{Path: "/dev/stdout", Format: format}, {Path: "/dev/stdout", Format: format}})
	if len(logs) != 2 || logs[0].file != logs[1].file {
		t.Errorf("%d logs are open, want one for two formats", len(logs))
	}
	logs.write(&accesslog.Record{})
	if err := p.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	for _, want := range []string{"open access log", "/no/such/folder/log", "write access log", "disk full"} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("the log does not say %q: %s", want, said.String())
		}
	}
}
