package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

const (
	// MaxLog is how large a log file becomes. Then it is copied to NAME.1, which replaces the one before, and emptied.
	MaxLog = 8 << 20
	// logLook is how often a log that is followed is looked at.
	logLook = 50 * time.Millisecond
)

// openLog opens a log file for a process to append to. The process has the file itself, not a pipe: it can write on when
// the engine is gone, and is not killed by a pipe that nobody reads.
func openLog(name string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	return f, nil
}

// rotateLog copies a log that is too large to NAME.1 and empties it. Whoever writes to it has it open for appending and
// goes on at the start; a line written between the last read and the cut, a few microseconds, is lost.
func rotateLog(name string, limit int64) (err error) {
	st, err := os.Stat(name)
	if err != nil || st.Size() <= limit {
		return nil
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("rotate log: %w", err)
		}
	}()
	in, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer in.Close()
	tmp := name + ".tmp"
	out, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if _, err = io.Copy(out, in); err != nil {
		// The disk is full, perhaps. Then the old part goes, or the log would keep it full.
		return errors.Join(err, out.Close(), os.Remove(tmp), os.Remove(name+".1"), in.Truncate(0))
	}
	if err = in.Truncate(0); err != nil {
		return errors.Join(err, out.Close(), os.Remove(tmp))
	}
	return errors.Join(out.Close(), os.Rename(tmp, name+".1"))
}

// copyLog writes a log, the older part first, and with follow what is added, until ctx ends.
func copyLog(ctx context.Context, w io.Writer, name string, follow bool) error {
	old, err := os.Open(name + ".1")
	if err == nil {
		_, err = io.Copy(w, old)
		old.Close()
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read log: %w", err)
	}
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("read log: %w", err)
	}
	defer f.Close()
	at := int64(0)
	for {
		n, err := io.Copy(w, f)
		at += n
		if err != nil || !follow {
			return err
		}
		if !sleep(ctx, logLook) {
			return nil
		}
		if st, err := f.Stat(); err == nil && st.Size() < at { // emptied
			if at, err = f.Seek(0, io.SeekStart); err != nil {
				return err
			}
		}
	}
}

// sleep waits, and says false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
