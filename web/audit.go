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
	"time"
)

// The audit log is a file of JSON lines, appended to and never changed. One that has grown to auditBytes is set aside under
// its name with .1, .2 and so on, of which auditKept are kept.
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
	path string
	file *os.File
	size int64
	torn bool // the last line was not written whole
}

// openAudit opens the file for appending; only its owner may read it. A last line that is torn, by a crash or a full disk,
// is closed off so that the next one stands alone.
func openAudit(path string) (*auditLog, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open audit log: %w", err)
	}
	l := &auditLog{path: path, file: f}
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

// append writes a line and waits until it is on the disk.
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
	if l.size > 0 && l.size+int64(len(text)) > auditBytes {
		if err := l.rotate(); err != nil {
			return fmt.Errorf("set audit log aside: %w", err)
		}
	}
	n, err := l.file.Write(text)
	l.size += int64(n)
	l.torn = n > 0 && n < len(text) || l.torn && n == 0
	if err = errors.Join(err, l.file.Sync()); err != nil {
		return fmt.Errorf("write audit log: %w", err)
	}
	return nil
}

// rotate sets the file aside and begins another.
func (l *auditLog) rotate() error {
	for n := auditKept - 1; n >= 0; n-- {
		if err := os.Rename(l.aside(n), l.aside(n+1)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_EXCL|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	err = l.file.Close()
	l.file, l.size = f, 0
	return err
}

func (l *auditLog) close() error { return l.file.Close() }
