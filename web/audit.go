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
	"strings"
	"time"
)

// The audit log is a file of JSON lines, appended to and never changed. One that has grown to auditBytes is set aside under
// its name with .1, .2 and so on, of which auditKept are kept. Where that cannot be done it goes on growing: no line is lost.
const (
	auditVersion = 1
	auditBytes   = 8 << 20
	auditKept    = 4
	maxAuditLine = 32 << 20
	auditWaits   = 16 << 20 // bytes of lines that wait for room
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

	waiting [][]byte // lines that could not be written yet, oldest first
	waits   int      // their bytes
	lost    int      // lines for which there was no room here either
	trouble error    // of the last attempt; nil where all is written
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

// append writes a line and waits until it is on the disk. A line that cannot be written waits for the next time. An error that says
// "set audit log aside" is of that alone: the line is written.
func (l *auditLog) append(r *record) error {
	r.Version = auditVersion
	text, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("write audit log: %w", err)
	}
	l.waiting = append(l.waiting, append(text, '\n'))
	l.waits += len(text) + 1
	for l.waits > auditWaits && len(l.waiting) > 1 {
		l.lost++
		l.drop()
	}
	return l.flush()
}

func (l *auditLog) drop() {
	l.waits -= len(l.waiting[0])
	l.waiting[0] = nil
	l.waiting = l.waiting[1:]
}

// flush writes all lines that wait.
func (l *auditLog) flush() error {
	var grown error
	for len(l.waiting) > 0 {
		if err := l.room(len(l.waiting[0])); err != nil {
			grown = fmt.Errorf("set audit log aside: it grows to %d bytes: %w", l.size+int64(len(l.waiting[0])), err)
		}
		if l.trouble = l.write(l.waiting[0]); l.trouble != nil {
			return errors.Join(fmt.Errorf("write audit log: %w", l.trouble), grown)
		}
		l.drop()
	}
	l.waiting = nil
	if l.trouble = l.file.Sync(); l.trouble != nil {
		return errors.Join(fmt.Errorf("write audit log: %w", l.trouble), grown)
	}
	return grown
}

// room sets the file aside where a line would make it too large.
func (l *auditLog) room(line int) error {
	if l.size == 0 || l.size+int64(line) <= l.limit {
		return nil
	}
	return l.rotate()
}

// write writes a line whole, or takes back what there is of it.
func (l *auditLog) write(line []byte) error {
	if l.torn {
		line = append([]byte("\n"), line...)
	}
	n, err := l.file.Write(line)
	if err != nil && n > 0 && l.file.Truncate(l.size) == nil {
		n = 0
	}
	l.size += int64(n)
	l.torn = err != nil && (n > 0 || l.torn)
	return err
}

// problem says what is not in the file; "" where everything is.
func (l *auditLog) problem() string {
	lost := ""
	if l.lost > 0 {
		lost = fmt.Sprintf("%d lines are lost; ", l.lost)
	}
	switch {
	case len(l.waiting) > 0:
		return fmt.Sprintf("write audit log: %s%d lines wait: %v", lost, len(l.waiting), l.trouble)
	case l.trouble != nil:
		return fmt.Sprintf("write audit log: %s%v", lost, l.trouble)
	case l.lost > 0:
		return "write audit log: " + strings.TrimSuffix(lost, "; ")
	}
	return ""
}

// rotate sets the file aside and begins another, or leaves everything as it is. What is most likely to fail, a file where the
// disk is full or the folder not ours, comes first.
func (l *auditLog) rotate() error {
	if err := l.file.Sync(); err != nil { // of lines that waited, some may have been written just now
		return err
	}
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

// close writes what waits, if it can be written now.
func (l *auditLog) close() error {
	var err error
	if len(l.waiting) > 0 {
		if err = l.flush(); err != nil {
			err = fmt.Errorf("close audit log: %d lines are lost: %w", len(l.waiting), err)
		}
	}
	return errors.Join(err, l.file.Close())
}
