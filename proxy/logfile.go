package proxy

import (
	"errors"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oarlock/oarlock/accesslog"
)

// accessLogs are where the lines of one chain or manager go.
type accessLogs []logTarget

type logTarget struct {
	format *accesslog.Format
	file   *logFile
}

// write appends a line to each.
func (a accessLogs) write(r *accesslog.Record) {
	for _, t := range a {
		t.file.append(t.format, r)
	}
}

// logFiles are the open access logs of a proxy, by path.
type logFiles struct {
	standard map[string]io.Writer
	log      *slog.Logger

	mu    sync.Mutex // guards files
	files map[string]*logFile
}

// A logFile gathers lines, and one goroutine writes them: a slow disk costs lines, which are counted, and never a request.
type logFile struct {
	path  string
	to    io.Writer
	owned io.Closer // nil for what others opened
	log   *slog.Logger

	mu    sync.Mutex // guards lines
	lines []byte

	wake    chan struct{}
	stop    chan struct{}
	done    chan struct{}
	dropped atomic.Uint64
}

const (
	// logFlush is how long a line may wait for company, and logBusy where the last lines that were written together came to
	// logMany bytes: each write wakes threads of the runtime, for a millisecond all told.
	logFlush = 20 * time.Millisecond
	logBusy  = 10 * logFlush
	logMany  = 8 << 10
	// logWrite is how many bytes are written without waiting, logBound how many wait before lines are dropped.
	logWrite = 256 << 10
	logBound = 8 << 20
)

// openLogs opens the access logs that are not open yet. One that cannot be opened is told and left out: a proxy that
// refuses traffic because of its log would be the worse.
func (p *Proxy) openLogs(logs []AccessLog) accessLogs {
	var out accessLogs
	for _, l := range logs {
		if l.Path == "" || l.Path == os.DevNull || l.Format == nil {
			continue
		}
		f, err := p.logs.open(l.Path)
		if err != nil {
			p.log.Error("open access log", "path", l.Path, "err", err)
			continue
		}
		out = append(out, logTarget{format: l.Format, file: f})
	}
	return out
}

func (l *logFiles) open(path string) (*logFile, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if f := l.files[path]; f != nil {
		return f, nil
	}
	f := &logFile{path: path, log: l.log, wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	if f.to = l.standard[path]; f.to == nil {
		file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, err
		}
		f.to, f.owned = file, file
	}
	if l.files == nil {
		l.files = map[string]*logFile{}
	}
	l.files[path] = f
	go f.run()
	return f, nil
}

// close writes what waits and closes what was opened.
func (l *logFiles) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	for path, f := range l.files {
		close(f.stop)
		<-f.done
		if f.owned != nil {
			errs = append(errs, f.owned.Close())
		}
		delete(l.files, path)
	}
	return errors.Join(errs...)
}

func (f *logFile) append(format *accesslog.Format, r *accesslog.Record) {
	f.mu.Lock()
	if len(f.lines) > logBound {
		f.mu.Unlock()
		f.dropped.Add(1)
		return
	}
	before := len(f.lines)
	f.lines = format.Append(f.lines, r)
	after := len(f.lines)
	f.mu.Unlock()
	if before == 0 || before < logWrite && after >= logWrite {
		select {
		case f.wake <- struct{}{}:
		default:
		}
	}
}

// run writes lines until stop. It swaps two buffers, so that nobody waits for the disk.
func (f *logFile) run() {
	defer close(f.done)
	var spare []byte
	wait := logFlush
	for stopping := false; !stopping; {
		select {
		case <-f.stop:
			stopping = true
		case <-f.wake:
			stopping = f.gather(wait)
		}
		f.mu.Lock()
		lines := f.lines
		f.lines = spare[:0]
		f.mu.Unlock()
		if len(lines) > 0 {
			if _, err := f.to.Write(lines); err != nil {
				f.log.Error("write access log", "path", f.path, "err", err)
			}
		}
		if n := f.dropped.Swap(0); n > 0 {
			f.log.Error("access log is too slow", "path", f.path, "lines_lost", n)
		}
		wait = logFlush
		if len(lines) >= logMany {
			wait = logBusy
		}
		if spare = lines; cap(spare) > 2*logWrite || cap(spare) > 8*logMany && len(lines) < logMany {
			spare = nil
		}
	}
}

// gather waits for more lines, unless there are many; true where it shall stop.
func (f *logFile) gather(wait time.Duration) bool {
	t := time.NewTimer(wait)
	defer t.Stop()
	for !f.many() {
		select {
		case <-t.C:
			return false
		case <-f.wake:
		case <-f.stop:
			return true
		}
	}
	return false
}

func (f *logFile) many() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.lines) >= logWrite
}
