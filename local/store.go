package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// writeFile replaces a file whole: it is written under another name, synced and renamed, so that a full disk or a crash
// leaves the old one as it was.
func writeFile(name string, content []byte, mode fs.FileMode) (err error) {
	tmp, err := os.CreateTemp(filepath.Dir(name), ".tmp-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("write %s: %w", name, errors.Join(err, tmp.Close(), os.Remove(tmp.Name())))
		}
	}()
	if _, err = tmp.Write(content); err != nil {
		return err
	}
	if err = tmp.Chmod(mode); err != nil {
		return err
	}
	if err = tmp.Sync(); err != nil {
		return err
	}
	if err = os.Rename(tmp.Name(), name); err != nil {
		return err
	}
	if err := tmp.Close(); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

func writeJSON(name string, v any) error {
	b, err := json.MarshalIndent(v, "", "\t")
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return writeFile(name, append(b, '\n'), 0o600)
}

// readJSON reads a file of ours. A file that is not there leaves v as it is, and is no error.
func readJSON(name string, v any) error {
	b, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read state: %w", err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("read state %s: %w", name, err)
	}
	return nil
}

// processID is a process and no other: numbers come again, but not with the same start.
type processID struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // ticks since boot
	Boot  string `json:"boot"`  // the boot's id
}

// engineConfig is what an engine starts from: the file that Start writes.
type engineConfig struct {
	Version    int       `json:"version"`
	Paths      Paths     `json:"paths"`
	Executable string    `json:"executable"`
	Engine     []string  `json:"engine"`
	Capture    string    `json:"capture"`
	CaptureWhy string    `json:"captureWhy"`
	Rootless   bool      `json:"rootless,omitempty"`
	Control    []string  `json:"control,omitempty"`
	Lease      bool      `json:"lease,omitempty"`
	Mark       string    `json:"mark"` // of this run and no other
	Started    time.Time `json:"started"`
}

const (
	configVersion = 1
	runVersion    = 1
	// leaseFD is where an engine with a lease finds it.
	leaseFD = 3
)

// runRecord is what an engine leaves for those who come after a crash.
type runRecord struct {
	Version  int         `json:"version"`
	Name     string      `json:"name"`
	Engine   processID   `json:"engine"`
	Mark     string      `json:"mark"`
	Children []processID `json:"children,omitempty"`
	Started  time.Time   `json:"started"`
}
