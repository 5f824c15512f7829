package web

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/oarlock/oarlock/api"
)

// Files of the log are small here.
const (
	lineSize = 4 << 10
	fileSize = 8 * lineSize
)

// small opens an audit log.
func small(t *testing.T, path string) *journal {
	t.Helper()
	j, err := openJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.close() })
	j.log.limit = fileSize
	return j
}

// filled is an audit log of which every file is full, and what each line of it is called, oldest first.
func filled(t *testing.T) (*journal, []string) {
	t.Helper()
	j := small(t, filepath.Join(t.TempDir(), "audit.jsonl"))
	for i := 0; ; i++ {
		if err := j.log.append(&record{Change: numbered(i)}); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(j.log.aside(auditKept)); err == nil && j.log.size > fileSize-lineSize {
			return j, lines(t, j.log.path)
		}
	}
}

func numbered(i int) *entry {
	e := entryOf(i, lineSize-700)
	e.Name = fmt.Sprint(i)
	return e
}

// lines reads the log as a control plane that begins would.
func lines(t *testing.T, path string) []string {
	t.Helper()
	var out []string
	if err := (&auditLog{path: path}).read(func(r *record) { out = append(out, r.Change.Name) }); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestAuditLogThatCannotBeSetAside fails each step of a rotation: no file gets another name, no line is lost, what is written is
// there, and the caller is told. When the trouble is over, the log is set aside, and of the oldest file alone is nothing left.
func TestAuditLogThatCannotBeSetAside(t *testing.T) {
	for step := range auditKept + 3 {
		t.Run(fmt.Sprint("step ", step), func(t *testing.T) {
			j, want := filled(t)
			next, renamed := j.log.path+auditNext, 0
			if step == 0 { // a disk without room for another file, or a folder that is not ours
				if err := os.MkdirAll(filepath.Join(next, "x"), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			j.log.rename = func(from, to string) error {
				if renamed++; renamed == step {
					return errors.New("no")
				}
				return os.Rename(from, to)
			}
			first := want[0]
			for i := range 3 {
				renamed = 0
				if err := j.add(numbered(1000 + i)); err == nil || !strings.Contains(err.Error(), "set audit log aside") {
					t.Errorf("error %v", err)
				}
				want = append(want, fmt.Sprint(1000+i))
				if got := lines(t, j.log.path); !slices.Equal(got, want) {
					t.Fatalf("%d lines %v, want %d %v", len(got), got, len(want), want)
				}
			}
			files, _ := filepath.Glob(j.log.path + "*")
			if len(files) != auditKept+1 && step > 0 || j.log.size < fileSize {
				t.Errorf("files %v, the newest has %d bytes", files, j.log.size)
			}
			os.RemoveAll(next)
			j.log.rename = os.Rename
			if err := j.add(numbered(2000)); err != nil {
				t.Error(err)
			}
			got := lines(t, j.log.path)
			if lost := len(want) + 1 - len(got); lost < 1 || lost > fileSize/lineSize+1 || !slices.Equal(got, append(want, "2000")[lost:]) || got[0] == first {
				t.Errorf("after it was set aside there are %v, of %v", got, want)
			}
			if st, err := os.Stat(j.log.path); err != nil || st.Size() > 2*lineSize || st.Mode().Perm() != 0o600 {
				t.Errorf("the new file: %v %v", st, err)
			}
		})
	}
}

// TestAuditLogKilledInRotation stops after each step as a process that is killed does: at the next start every line is there, but
// for those of the oldest file once another has its place.
func TestAuditLogKilledInRotation(t *testing.T) {
	killed := errors.New("killed")
	for step := 1; step <= auditKept+2; step++ {
		t.Run(fmt.Sprint("step ", step), func(t *testing.T) {
			j, want := filled(t)
			n := 0
			j.log.rename = func(from, to string) error {
				if n++; n > step {
					panic(killed)
				}
				return os.Rename(from, to)
			}
			func() {
				defer func() { _ = recover() }()
				_ = j.log.append(&record{Change: numbered(1000)})
			}()
			j.log.waiting = nil // it is dead
			again := small(t, j.log.path)
			got := lines(t, j.log.path)
			if step > auditKept+1 { // it was not killed
				want = append(want, "1000")
			}
			if lost := len(want) - len(got); lost < 0 || lost > fileSize/lineSize+1 || lost > 0 && step == 1 || !slices.Equal(got, want[lost:]) {
				t.Errorf("%d of %d lines are left: %v", len(got), len(want), got)
			}
			for i := range 2 * fileSize / lineSize {
				if err := again.add(numbered(3000 + i)); err != nil {
					t.Error(err)
				}
			}
			left, _ := filepath.Glob(j.log.path + "*")
			if len(left) != auditKept+1 || slices.ContainsFunc(left, func(f string) bool { return strings.HasSuffix(f, auditNext) || strings.HasSuffix(f, auditGone) }) {
				t.Errorf("files %v", left)
			}
		})
	}
}

// TestAuditLogOnAFullDisk: lines for which there is no room wait, in order, and are written when there is; status says so meanwhile.
func TestAuditLogOnAFullDisk(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("no device that is always full: ", err)
	}
	defer full.Close()
	j := small(t, filepath.Join(t.TempDir(), "audit.jsonl"))
	j.log.limit = auditBytes
	if err := j.add(numbered(0)); err != nil || j.problem() != "" {
		t.Fatal(err, j.problem())
	}
	file := j.log.file
	j.log.file = full
	for i := 1; i <= 2; i++ {
		if err := j.add(numbered(i)); err == nil || !strings.Contains(err.Error(), "no space left on device") {
			t.Errorf("line %d: %v", i, err)
		}
	}
	if j.retry() {
		t.Error("a full disk takes lines")
	}
	if got := j.problem(); got != "write audit log: 2 lines wait: write /dev/full: no space left on device" {
		t.Errorf("problem %q", got)
	}
	if got := lines(t, j.log.path); !slices.Equal(got, []string{"0"}) {
		t.Errorf("lines %q", got)
	}
	j.log.file = file
	if !j.retry() || j.retry() {
		t.Error("lines wait though there is room")
	}
	if err := j.add(numbered(3)); err != nil || j.problem() != "" {
		t.Error(err, j.problem())
	}
	if got := lines(t, j.log.path); !slices.Equal(got, []string{"0", "1", "2", "3"}) {
		t.Errorf("lines %q", got)
	}
}

// TestAuditLogSyncsWhatItSetsAside: of lines that waited, the first go to a file that the next sets aside. It stays as long as they
// are not on the disk.
func TestAuditLogSyncsWhatItSetsAside(t *testing.T) {
	from, to, err := os.Pipe() // which takes lines, and cannot be synced
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	defer to.Close()
	j := small(t, filepath.Join(t.TempDir(), "audit.jsonl"))
	file := j.log.file
	j.log.file, j.log.limit = to, 100
	for range 2 {
		j.log.waiting, j.log.waits = append(j.log.waiting, []byte(strings.Repeat("x", 80)+"\n")), j.log.waits+81
	}
	if err := j.log.flush(); err == nil || j.problem() == "" {
		t.Errorf("error %v, problem %q", err, j.problem())
	}
	if files, _ := filepath.Glob(j.log.path + "*"); len(files) != 1 {
		t.Errorf("files %v", files)
	}
	if j.log.file == to {
		j.log.file = file
	}
}

// TestAuditLogKeepsABound: where the disk stays full, the oldest lines go, and that is said for good.
func TestAuditLogKeepsABound(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("no device that is always full: ", err)
	}
	defer full.Close()
	j := small(t, filepath.Join(t.TempDir(), "audit.jsonl"))
	file := j.log.file
	j.log.file = full
	for i := range 5 {
		e := entryOf(i, 1)
		e.Name, e.What = fmt.Sprint(i), strings.Repeat("x", auditWaits/4)
		if err := j.log.append(&record{Change: e}); err == nil {
			t.Fatal("a full disk takes lines")
		}
	}
	if j.log.waits > auditWaits || len(j.log.waiting) != 3 {
		t.Errorf("%d lines of %d bytes wait", len(j.log.waiting), j.log.waits)
	}
	j.log.file = file
	if !j.retry() || j.problem() != "write audit log: 2 lines are lost" {
		t.Errorf("problem %q", j.problem())
	}
	if got := lines(t, j.log.path); !slices.Equal(got, []string{"2", "3", "4"}) {
		t.Errorf("lines %q", got)
	}
}

// issuing is a mesh that issues tokens, and does nothing else.
type issuing struct{ Mesh }

func (issuing) Token(api.TokenRequest) (*api.Token, error) { return &api.Token{Token: "secret"}, nil }

// TestNoTokenWithoutItsLine: a token that the audit log does not have is given to nobody.
func TestNoTokenWithoutItsLine(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("no device that is always full: ", err)
	}
	defer full.Close()
	a, err := NewAPI(Options{Mesh: issuing{}, Audit: filepath.Join(t.TempDir(), "audit.jsonl"), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	ask := func() (any, error) {
		return a.token(httptest.NewRequest("POST", "/v1/ca/token", strings.NewReader(`{"namespace": "shop", "pod": "web"}`)))
	}
	if got, err := ask(); err != nil || got.(*api.Token).Token != "secret" {
		t.Fatalf("%v, %v", got, err)
	}
	file := a.journal.log.file
	a.journal.log.file = full
	if got, err := ask(); got != nil || err == nil || !strings.Contains(err.Error(), "issue token for shop/web: the audit log cannot be written: ") {
		t.Errorf("on a full disk: %v, %v", got, err)
	}
	a.journal.log.file = file
	if got, err := ask(); err != nil || got == nil {
		t.Errorf("with room again: %v, %v", got, err)
	}
}
