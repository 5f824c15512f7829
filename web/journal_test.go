package web

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oarlock/oarlock/api"
)

func entryOf(n, size int) *entry {
	e := &entry{Change: api.Change{At: time.Unix(int64(n), 0), What: fmt.Sprintf("change %d", n), Objects: []api.Ref{}}}
	e.Diffs = []api.Diff{{Name: "a.yaml", After: strings.Repeat("x", size)}}
	return e
}

// TestAuditLog: it is appended to, set aside when it is large, and of those some are kept.
func TestAuditLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	j, err := openJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	const n = 60
	for i := range n {
		if err := j.add(entryOf(i, 1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	if len(j.list) > changeBytes>>20+1 {
		t.Errorf("%d changes of a megabyte each are held in memory", len(j.list))
	}
	if err := j.close(); err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(path + "*")
	if len(files) != auditKept+1 {
		t.Errorf("%d files %v", len(files), files)
	}
	for _, f := range files {
		if st, err := os.Stat(f); err != nil || st.Mode().Perm() != 0o600 || st.Size() > auditBytes+2<<20 {
			t.Errorf("%s: %v %v", f, st, err)
		}
	}
	if j, err = openJournal(path); err != nil {
		t.Fatal(err)
	}
	defer j.close()
	list, more, _ := j.page("", 5)
	if len(list) != 5 || !more || list[0].What != fmt.Sprintf("change %d", n-1) || list[4].What != fmt.Sprintf("change %d", n-5) {
		t.Errorf("after a restart: %d changes, %v", len(list), more)
	}
	next, _, known := j.page(list[4].Name, 1)
	if !known || next[0].What != fmt.Sprintf("change %d", n-6) {
		t.Errorf("the next page begins with %+v", next)
	}
}

// TestAuditLogThatIsNot: lines that cannot be read, and those of another version, do no harm.
func TestAuditLogThatIsNot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	good := `{"version":1,"change":{"name":"keen-otter","what":"require shop","objects":[],"diffs":[]}}`
	text := "\x00\x00\nnot JSON\n[]\n" + `{"version":99,"change":{"name":"later"}}` + "\n" + good + "\n" +
		`{"version":1,"inForce":{"name":"keen-otter","at":"2026-01-02T03:04:05Z","sidecars":12}}` + "\n" +
		`{"version":1,"by":{"name":"keen-otter","who":"dashboard","what":"require shop"}}` + "\n" + `{"version":1,"inForce":{"name":"nobody"}}` + "\n" + `{"version":1,"chan`
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	j, err := openJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	defer j.close()
	list, _, _ := j.page("", 10)
	if len(list) != 1 || list[0].Sidecars != 12 || list[0].Who != "dashboard" || list[0].InForce.IsZero() {
		t.Errorf("changes %+v", list)
	}
	if err := j.add(entryOf(1, 1)); err != nil {
		t.Fatal(err)
	}
	if after, err := os.ReadFile(path); err != nil || !strings.HasPrefix(string(after), text+"\n{") {
		t.Errorf("what was there is changed, or the torn line goes on: %v\n%s", err, after)
	}
	if st, _ := os.Stat(path); st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", st.Mode())
	}
}

// TestTokensLeaveRoom: timers that ask for tokens all day drive no other change out of the list, before a restart and after it.
func TestTokensLeaveRoom(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	j, err := openJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	const n = 3 * changesKept
	policy := entryOf(0, 1)
	policy.Name = "keen-otter"
	for i := range n {
		e := &entry{Change: api.Change{At: time.Unix(int64(i), 0), What: fmt.Sprintf("%sshop/web-%d", tokenFor, i%3)}}
		if i == 1 {
			e = policy
		}
		if err := j.add(e); err != nil {
			t.Fatal(err)
		}
	}
	check := func(when string) {
		list, _, _ := j.page("", n)
		if len(list) != 4 || list[0].What != tokenFor+"shop/web-2" || list[0].At.Unix() != n-1 || list[3].Name != "keen-otter" {
			t.Errorf("%s there are %d changes, the oldest %q", when, len(list), list[len(list)-1].What)
		}
	}
	check("before a restart")
	if err := j.close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil || strings.Count(string(text), "\n") != n {
		t.Errorf("the file has %d lines, %v", strings.Count(string(text), "\n"), err)
	}
	if j, err = openJournal(path); err != nil {
		t.Fatal(err)
	}
	defer j.close()
	check("after it")
}

// TestTokensHideNothing: however many tokens were issued since, a change that is not in force everywhere is waited for, and who reads
// the list page by page goes on from a token that was replaced meanwhile.
func TestTokensHideNothing(t *testing.T) {
	j := &journal{}
	now := int64(0)
	add := func(e *entry) *entry {
		now++
		e.At = time.Unix(now, 0)
		if err := j.add(e); err != nil {
			t.Fatal(err)
		}
		return e
	}
	tokens := func() {
		for i := range maxAnnouncement + 8 {
			add(&entry{Change: api.Change{What: fmt.Sprintf("%sshop/web-%d", tokenFor, i)}})
		}
	}
	older, policy := add(entryOf(0, 1)), add(entryOf(1, 1))
	older.Snapshot = "v1"
	tokens()
	j.adopt("v2")
	if got := j.pending(); len(got) != 2 || got[older.Name] != "v1" || got[policy.Name] != "v2" {
		t.Errorf("these are waited for: %v", got)
	}
	first, more, known := j.page("", 5)
	if len(first) != 5 || !more || !known {
		t.Fatalf("%d changes, more %v", len(first), more)
	}
	tokens()
	rest, more, known := j.page(first[4].Name, 5)
	if !known || more || len(rest) != 2 || rest[0].Name != policy.Name || rest[1].Name != older.Name {
		t.Errorf("after the first page there are %d changes, known %v", len(rest), known)
	}
	if _, _, known := j.page("nobody", 5); known {
		t.Error("a change that never was is known")
	}
	for range 4 * changesKept / maxAnnouncement {
		tokens()
	}
	if n := len(j.replaced); n > 4*changesKept+1 {
		t.Errorf("%d tokens are remembered", n)
	}
}

// TestPagesAreOfTheList: a change has the time at which it was published, and comes into the list later than a token of after that. Who
// reads on from that token when it was replaced does not see the change again.
func TestPagesAreOfTheList(t *testing.T) {
	j := &journal{}
	add := func(e *entry, second int64) string {
		e.At = time.Unix(second, 0)
		if err := j.add(e); err != nil {
			t.Fatal(err)
		}
		return e.Name
	}
	token := func() *entry { return &entry{Change: api.Change{What: tokenFor + "shop/web"}} }
	older := add(entryOf(0, 1), 1)
	last := add(token(), 3)
	add(entryOf(1, 1), 2)
	add(token(), 4)
	if rest, more, known := j.page(last, 5); !known || more || len(rest) != 1 || rest[0].Name != older {
		t.Errorf("before the token are %d changes, known %v", len(rest), known)
	}
}
