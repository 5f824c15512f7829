package web

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"
)

// The audit log is a file of JSON lines, appended to and never changed. One that has grown to auditBytes is set aside under
// its name with .1, .2 and so on, of which auditKept are kept. Where that cannot be done it goes on growing: no line is lost.
const (
	auditVersion = 1
	auditBytes   = 8 << 20
	auditKept    = 4
	maxAuditLine = 32 << 20
)

// record is a line of the audit log: one of its parts is there.
type record struct {
	Version int          `json:"version"` // of this form
	Change  *entry       `json:"change,omitempty"`
	InForce *enforcement `json:"inForce,omitempty"`
	By      *author      `json:"by,omitempty"`
}

// enforcement says that a change is in force on every sidecar.
type enforcement struct {
	Name     string    `json:"name"` // of the change
	At       time.Time `json:"at"`
	Sidecars int       `json:"sidecars"`
}

// author says who made a change, where that came out later than the change itself.
type author struct {
	Name string `json:"name"` // of the change
	Who  string `json:"who"`
	User string `json:"user,omitempty"`
	What string `json:"what"`
}

// auditLog is the file. Its user guards it.
type auditLog struct {
	path   string
	file   *os.File
	size   int64
	torn   bool // the last line was not written whole
	limit  int64
	rename func(from, to string) error
}

// The file that is next, and the oldest one while others take its place.
const (
	auditNext = ".next"
	auditGone = ".gone"
)

// openAudit opens the file for appending; only its owner may read it. A last line that is torn, by a crash or a full disk,
// is closed off so that the next one stands alone.
func openAudit(path string) (*auditLog, error) {
	l := &auditLog{path: path, limit: auditBytes, rename: os.Rename}
	if err := l.recover(); err != nil {
		return nil, fmt.Errorf("open audit log: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open audit log: %w", err)
	}
	l.file = f
	err = errors.Join(f.Chmod(0o600), l.mend())
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("open audit log: %w", err)
	}
	return l, nil
}

// mend ends the last line.
func (l *auditLog) mend() error {
	info, err := l.file.Stat()
	if err != nil || info.Size() == 0 {
		return err
	}
	l.size = info.Size()
	last := make([]byte, 1)
	if _, err := l.file.ReadAt(last, l.size-1); err != nil || last[0] == '\n' {
		return err
	}
	l.size++
	_, err = l.file.Write([]byte("\n"))
	return err
}

// read gives every line that can be read, oldest first. Lines of another form, and torn ones, are left out.
func (l *auditLog) read(take func(*record)) error {
	for n := auditKept; n >= 0; n-- {
		if err := readRecords(l.aside(n), take); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("read audit log: %w", err)
		}
	}
	return nil
}

// aside is the name of the file itself (0) or of one that was set aside.
func (l *auditLog) aside(n int) string {
	if n == 0 {
		return l.path
	}
	return fmt.Sprintf("%s.%d", l.path, n)
}

func readRecords(path string, take func(*record)) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	in := bufio.NewReader(f)
	for {
		text, err := in.ReadBytes('\n')
		var r record
		if len(text) < maxAuditLine && json.Unmarshal(bytes.TrimSpace(text), &r) == nil && r.Version == auditVersion {
			take(&r)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// append writes a line and waits until it is on the disk. An error that says "set audit log aside" is of that alone: the line is
// written.
func (l *auditLog) append(r *record) error {
	r.Version = auditVersion
	text, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("write audit log: %w", err)
	}
	text = append(text, '\n')
	if l.torn {
		text = append([]byte("\n"), text...)
	}
	var grown error
	if l.size > 0 && l.size+int64(len(text)) > l.limit {
		if err := l.rotate(); err != nil {
			grown = fmt.Errorf("set audit log aside: it grows to %d bytes: %w", l.size+int64(len(text)), err)
		}
	}
	n, err := l.file.Write(text)
	l.size += int64(n)
	l.torn = n > 0 && n < len(text) || l.torn && n == 0
	if err = errors.Join(err, l.file.Sync()); err != nil {
		return errors.Join(fmt.Errorf("write audit log: %w", err), grown)
	}
	return grown
}

// rotate sets the file aside and begins another, or leaves everything as it is. What is most likely to fail, a file where the
// disk is full or the folder not ours, comes first.
func (l *auditLog) rotate() error {
	next, err := os.OpenFile(l.path+auditNext, os.O_CREATE|os.O_TRUNC|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	if err := l.shift(); err != nil {
		return errors.Join(err, next.Close(), os.Remove(l.path+auditNext))
	}
	// The lines of the old file are synced, and its last use is over.
	_ = l.file.Close()
	l.file, l.size, l.torn = next, 0, false
	return nil
}

// shift gives each file the name of the next older one, and the next file its own. The oldest is removed when all is done; where
// something fails, what was done is taken back. A file that is missing between two ends the row, as it has left room.
func (l *auditLog) shift() error {
	type move struct{ from, to string }
	moves := []move{}
	for n := 0; ; n++ {
		if _, err := os.Lstat(l.aside(n)); errors.Is(err, fs.ErrNotExist) {
			break
		} else if err != nil {
			return err
		}
		to := l.aside(n + 1)
		if n == auditKept {
			to = l.path + auditGone
		}
		moves = append(moves, move{l.aside(n), to})
		if n == auditKept {
			break
		}
	}
	slices.Reverse(moves)
	moves = append(moves, move{l.path + auditNext, l.path})
	for i, m := range moves {
		err := l.rename(m.from, m.to)
		if err == nil {
			continue
		}
		for _, done := range slices.Backward(moves[:i]) {
			err = errors.Join(err, l.rename(done.to, done.from))
		}
		return err
	}
	_ = os.Remove(l.path + auditGone) // else the next time
	return nil
}

// recover brings a rotation to an end in which the process was killed: the oldest file is needed where its place is empty.
func (l *auditLog) recover() error {
	err := ignoreMissing(os.Remove(l.path + auditNext))
	if _, missing := os.Lstat(l.aside(auditKept)); missing == nil {
		return errors.Join(err, ignoreMissing(os.Remove(l.path+auditGone)))
	}
	return errors.Join(err, ignoreMissing(l.rename(l.path+auditGone, l.aside(auditKept))))
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (l *auditLog) close() error { return l.file.Close() }
