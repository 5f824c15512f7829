package telemetry

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/oarlock/oarlock/meshtest"
	"github.com/oarlock/oarlock/metrics"
)

// seen asks for what there is of the requests that load wrote.
func seen(t *testing.T, s *Store, from time.Time) float64 {
	t.Helper()
	o, err := s.Flows(t.Context(), metrics.Window{End: from.Add(120 * time.Second), Length: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	var n float64
	for _, f := range o.Flows {
		n += f.Requests * 60
	}
	return n
}

func loadSteady(t *testing.T, s *Store) time.Time {
	t.Helper()
	from := start()
	load(t, s, from, `up{job="oarlock",instance="a"} 1x130`+"\n"+seriesOf("a", "")+"0+1x130")
	return from
}

func TestOpenRefuses(t *testing.T) {
	for _, o := range []Options{{}, {Folder: t.TempDir()}, {Folder: t.TempDir(), Dial: dial, Interval: time.Microsecond}, {Folder: "/proc/nowhere", Dial: dial}} {
		if s, err := Open(o); err == nil {
			s.Close()
			t.Errorf("%+v was opened", o)
		}
	}
}

func TestFolderIsPrivateAndLocked(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "telemetry")
	s := newStore(t, Options{Folder: dir})
	if i, err := os.Stat(dir); err != nil || i.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", i.Mode(), err)
	}
	_, err := Open(Options{Folder: dir, Dial: dial})
	if err == nil || !strings.HasPrefix(err.Error(), "open telemetry store: another process uses "+dir) {
		t.Errorf("opened twice: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	// What was left there by a process with another umask becomes private too.
	for _, name := range []string{filepath.Join(dir, "old"), filepath.Join(dir, "old", "wal")} {
		if err := errors.Join(os.Mkdir(name, 0o755), os.Chmod(name, 0o755), os.WriteFile(filepath.Join(name, "0"), nil, 0o644), os.Chmod(dir, 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	newStore(t, Options{Folder: dir})
	for name, want := range map[string]os.FileMode{".": 0o700, "old": 0o700, "old/wal": 0o700, "old/wal/0": 0o600} {
		if i, err := os.Stat(filepath.Join(dir, name)); err != nil || i.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", name, i.Mode(), err)
		}
	}
}

func TestClose(t *testing.T) {
	meshtest.NoLeaks(t)
	s := newStore(t, Options{})
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := s.Run(t.Context()); err == nil {
		t.Error("a closed store runs")
	}
	if _, err := s.Flows(t.Context(), metrics.Window{}); err == nil || err.Error() != "query flows: the store is closed" {
		t.Error(err)
	}
	if h := s.Health(t.Context()); h.OK || h.Problem == "" {
		t.Errorf("%+v", h)
	}
}

// TestKilled holds that what was seen survives a process that is killed. The test runs itself as that process.
func TestKilled(t *testing.T) {
	if dir := os.Getenv("TELEMETRY_KILLED"); dir != "" {
		s := newStore(t, Options{Folder: dir})
		fmt.Println("loaded", loadSteady(t, s).Unix())
		select {}
	}
	dir := t.TempDir()
	c := exec.Command(os.Args[0], "-test.run=^TestKilled$")
	c.Env = append(os.Environ(), "TELEMETRY_KILLED="+dir)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	var unix int64
	_, err = fmt.Fscanf(out, "loaded %d\n", &unix)
	c.Process.Kill()
	c.Wait()
	if err != nil {
		t.Fatal(err)
	}
	s := newStore(t, Options{Folder: dir})
	if n := seen(t, s, time.Unix(unix, 0)); n != 60 {
		t.Errorf("%v requests afterwards, want 60", n)
	}
	if h := s.Health(t.Context()); h.Problem != "" || h.Since.Unix() != unix || h.Bytes == 0 || h.Series != 2 {
		t.Errorf("%+v", h)
	}
}

// TestTornLog holds that a write-ahead log whose end is torn off or written over loses that end alone.
func TestTornLog(t *testing.T) {
	for name, harm := range map[string]func([]byte) []byte{
		"torn off":     func(b []byte) []byte { return b[:len(b)-10] },
		"written over": func(b []byte) []byte { return append(b[:len(b)-20:len(b)-20], bytes.Repeat([]byte{7}, 20)...) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := newStore(t, Options{Folder: dir})
			from := loadSteady(t, s)
			load(t, s, from.Add(125*time.Second), `other 1`) // a record of its own, at the end
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			files, _ := filepath.Glob(filepath.Join(dir, database, "wal", "0*"))
			harmed := false
			for i := len(files) - 1; i >= 0 && !harmed; i-- {
				b, err := os.ReadFile(files[i])
				if err != nil {
					t.Fatal(err)
				}
				end := len(bytes.TrimRight(b, "\x00"))
				if harmed = end > 100; harmed {
					if err := os.WriteFile(files[i], append(harm(b[:end:end]), make([]byte, 0)...), 0o600); err != nil {
						t.Fatal(err)
					}
				}
			}
			if !harmed {
				t.Fatalf("nothing to harm in %q", files)
			}
			s = newStore(t, Options{Folder: dir})
			if n, h := seen(t, s, from), s.Health(t.Context()); n != 60 || h.Problem != "" {
				t.Errorf("%v requests, %+v", n, h)
			}
			load(t, s, from.Add(128*time.Second), `other 2`) // and it takes more
		})
	}
}

// TestUnreadable holds that a store begins empty where there is nothing to be read, keeps one copy of what was there, and
// says so.
func TestUnreadable(t *testing.T) {
	dir := t.TempDir()
	for round := range 2 {
		block := filepath.Join(dir, database, "01BKGV7JBM69T2G1BGBGM6KB12")
		if err := os.MkdirAll(block, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(block, "meta.json"), fmt.Appendf(nil, `{"round": %d, "version": 1`, round), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, database, "chunks_head"), []byte("not a folder"), 0o600); round == 0 && err != nil {
			t.Fatal(err)
		}
		os.Remove(filepath.Join(dir, database, "wal"))
		s := newStore(t, Options{Folder: dir})
		from := loadSteady(t, s)
		if n, h := seen(t, s, from), s.Health(t.Context()); n != 60 || !h.OK || !strings.Contains(h.Problem, filepath.Join(dir, setAside)) {
			t.Errorf("%v requests, %+v", n, h)
		}
		note, err := os.ReadFile(filepath.Join(dir, setAside, asideNote))
		if err != nil || !strings.Contains(string(note), "was set aside") {
			t.Errorf("%s, %v", note, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		os.RemoveAll(filepath.Join(dir, database))
	}
	names, _ := filepath.Glob(filepath.Join(dir, "*"))
	if len(names) != 2 { // the lock, and what was set aside
		t.Errorf("left behind: %q", names)
	}
}

// TestGarbage holds that a store opens whatever its files have in them.
func TestGarbage(t *testing.T) {
	dir := t.TempDir()
	s := newStore(t, Options{Folder: dir})
	loadSteady(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(filepath.Join(dir, database), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		return os.WriteFile(path, bytes.Repeat([]byte{0xA5, 1, 0, 7}, 5000), 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	s = newStore(t, Options{Folder: dir})
	if n := seen(t, s, loadSteady(t, s)); n != 60 {
		t.Errorf("%v requests", n)
	}
}

// TestClockGoesBack holds that a store goes on where its newest sample is of a time that is to come, at once or when it is
// opened again.
func TestClockGoesBack(t *testing.T) {
	for _, reopened := range []bool{false, true} {
		t.Run(fmt.Sprintf("reopened %v", reopened), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s := newSidecar(t, "web-0.shop", web)
			store := newStore(t, Options{Folder: dir})
			load(t, store, time.Now().Add(1000*time.Hour), `up{job="oarlock",instance="a"} 1`)
			if err := store.Close(); err != nil || !reopened {
				if err != nil {
					t.Fatal(err)
				}
			}
			if !reopened {
				dir = t.TempDir()
			}
			store = running(t, Options{Folder: dir}, s.target())
			if !reopened {
				newest(t, store, time.Time{})
				traffic(s, metrics.Source)
				eventually(t, "the scrape loop has references to series of the first database", func() error {
					if o := flows(t, store, metrics.Window{Length: time.Minute}); len(o.Flows) == 0 {
						return fmt.Errorf("%+v", o)
					}
					return nil
				})
				load(t, store, time.Now().Add(1000*time.Hour), `up{job="oarlock",instance="a"} 1`)
			}
			eventually(t, "the first database is set aside", func() error {
				if h := store.Health(t.Context()); !h.OK || !strings.Contains(h.Problem, "by the clock that is to come") {
					return fmt.Errorf("%+v", h)
				}
				return nil
			})
			newest(t, store, time.Now())
			traffic(s, metrics.Source)
			eventually(t, "each series counts in its own place", func() error {
				o, err := store.Flows(t.Context(), metrics.Window{Length: time.Minute})
				if err != nil {
					return err
				}
				var want []row
				for _, r := range wantRows {
					if r.Reporter == "source" {
						want = append(want, r)
					}
				}
				if got := rowsOf(o); !reflect.DeepEqual(got, want) {
					return fmt.Errorf("got\n%s\n%+v", printed(got), store.Health(t.Context()))
				}
				return nil
			})
		})
	}
}

func TestClockGoesBackALittle(t *testing.T) {
	s := newStore(t, Options{})
	load(t, s, time.Now().Add(50*time.Second), `up{job="oarlock",instance="a"} 1`)
	s.folder.watchClock()
	if h := s.Health(t.Context()); !strings.Contains(h.Problem, "the clock went back by ") || h.Series != 1 {
		t.Errorf("%+v", h)
	}
}

// page serves a page of metrics.
func page(t *testing.T, text string) Target {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, text) }))
	t.Cleanup(s.Close)
	return Target{Name: "page", Address: s.Listener.Addr().String(), Labels: map[string]string{"mesh": "here", "__address__": "evil", "0": "no name"}}
}

func TestBounds(t *testing.T) {
	var many strings.Builder
	for i := range 50 {
		fmt.Fprintf(&many, "istio_requests_total{source_workload=\"w%d\"} 1\nsomething_else{n=\"%d\"} 1\n", i, i)
	}
	for _, c := range []struct {
		name, text string
		opt        Options
		up         int
		series     uint64 // besides what a scrape says of itself
	}{
		{"as much as may be", many.String(), Options{MaxSeries: 50}, 1, 50},
		{"too many series", many.String(), Options{MaxSeries: 49}, 0, 0},
		{"a label too long", `istio_requests_total{source_workload="` + strings.Repeat("x", 5000) + `"} 1` + "\n", Options{}, 0, 0},
		{"no metrics", "<html>", Options{}, 0, 0},
		{"a time of its own", "istio_requests_total 1 99999999999999\n", Options{}, 1, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := running(t, c.opt, page(t, c.text))
			eventually(t, "scraped", func() error {
				h := s.Health(t.Context())
				if h.Up != c.up || h.Series < 1 || (c.up == 0) != (h.Problem != "") {
					return fmt.Errorf("%+v", h)
				}
				found, err := s.engine.instant(t.Context(), `count({__name__!~"up|scrape_.*", instance="page", mesh="here"})`, time.Now())
				if err != nil || len(found) == 0 && c.series > 0 || len(found) > 0 && found[0].value() != float64(c.series) {
					return fmt.Errorf("%v, %v", found, err)
				}
				return nil
			})
		})
	}
}

func TestTargetsComeGoAndMove(t *testing.T) {
	meshtest.NoLeaks(t)
	a, b := newSidecar(t, "web-0.shop", web), newSidecar(t, "web-0.shop", web)
	s := running(t, Options{})
	up := func(targets, up int) {
		t.Helper()
		eventually(t, "health", func() error {
			if h := s.Health(t.Context()); h.Targets != targets || h.Up != up {
				return fmt.Errorf("%+v", h)
			}
			return nil
		})
	}
	up(0, 0)
	s.SetTargets([]Target{a.target()})
	up(1, 1)
	if _, err := s.Trend(t.Context(), metrics.TrendQuery{}); err != nil {
		t.Error(err)
	}
	newest(t, s, time.Time{})
	a.server.Close()
	up(1, 0)
	s.SetTargets([]Target{a.target(), b.target()}) // one name: the last counts
	up(1, 1)
	s.SetTargets(nil)
	up(0, 0)
	eventually(t, "its series end", func() error {
		if found, err := s.engine.instant(t.Context(), "up", time.Now()); err != nil || len(found) > 0 {
			return fmt.Errorf("%v, %v", found, err)
		}
		return nil
	})
}

func TestManyAskAtOnce(t *testing.T) {
	s := newStore(t, Options{})
	now := time.Now().Add(-130 * time.Second)
	load(t, s, now, `up{job="oarlock",instance="a"} 1x130`+"\n"+seriesOf("a", "")+"0+1x130")
	answers := make([]*metrics.Observation, 50)
	var wait sync.WaitGroup
	for i := range answers {
		wait.Go(func() { answers[i], _ = s.Flows(t.Context(), metrics.Window{Length: time.Minute}) })
	}
	wait.Wait()
	for _, o := range answers {
		if o == nil || len(o.Flows) != 1 {
			t.Fatalf("%+v", o)
		}
	}
	answers[0].Flows[0].Requests = -1 // it is the caller's own
	for _, o := range answers[1:] {
		if o.Flows[0].Requests < 0 {
			t.Fatal("two callers share an answer")
		}
	}
}

// TestStrangeNames holds that names from outside cannot break out of a query.
func TestStrangeNames(t *testing.T) {
	strange := `a|b"}) or vector(1) #\`
	s, from := newStore(t, Options{}), start()
	s.reader = nil
	quoted := `a|b\"}) or vector(1) #\\`
	load(t, s, from, seriesOf(quoted, "")+"_x90 100000+1x39\n"+
		`up{job="oarlock",instance="b"} 1x130`+"\n"+`process_start_time_seconds{job="oarlock",instance="b"} 1000x130`+"\n"+seriesOf("b", "")+"5+1x130")
	if n := seen(t, s, from); n != 30+60 {
		t.Errorf("%v requests, want 90", n)
	}
	if _, err := s.Trend(t.Context(), metrics.TrendQuery{Namespace: strange, Service: strange + "\n\xff", Workload: "\x00"}); err != nil {
		t.Error(err)
	}
}

func TestSeldom(t *testing.T) {
	var b bytes.Buffer
	log := slog.New(newSeldom(slog.NewTextHandler(&b, nil)))
	for range 100 {
		log.With("target", "a").Error("disk full")
		log.Info("of no interest")
	}
	log.Warn("something else")
	if n := strings.Count(b.String(), "\n"); n != 2 {
		t.Errorf("%d lines:\n%s", n, &b)
	}
}

// TestFullDisk holds that a store answers while it cannot write, and goes on when it can again. A limit of the size of
// files stands in for the disk.
func TestFullDisk(t *testing.T) {
	const inside = "OARLOCK_TEST_FULL_DISK"
	if os.Getenv(inside) == "" {
		t.Parallel()
		// The limit is the process's, and go test writes a file of its own.
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFullDisk$")
		cmd.Env = append(os.Environ(), inside+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	signal.Ignore(unix.SIGXFSZ)
	defer signal.Reset(unix.SIGXFSZ)
	dir := t.TempDir()
	sidecar := newSidecar(t, "web-0.shop", web)
	s := running(t, Options{Folder: dir}, sidecar.target())
	count := func(w metrics.Window, want float64) {
		t.Helper()
		eventually(t, "requests", func() error {
			if n := requestsIn(t, s, w); n != want {
				return fmt.Errorf("%v, want %v: %+v", n, want, s.Health(t.Context()))
			}
			return nil
		})
	}
	newest(t, s, time.Time{})
	traffic(sidecar, metrics.Source)
	now := metrics.Window{Length: 10 * time.Minute}
	count(now, 16)
	then := metrics.Window{End: time.Now(), Length: now.Length}

	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	full := was
	full.Cur = 1000
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &full); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is told that the disk is full", func() error {
		if h := s.Health(t.Context()); !h.OK || !strings.Contains(h.Problem, "what is seen cannot be kept") {
			return fmt.Errorf("%+v", h)
		}
		return nil
	})
	count(then, 16)
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	traffic(sidecar, metrics.Source)
	count(now, 32)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = newStore(t, Options{Folder: dir})
	count(then, 16)
	if h := s.Health(t.Context()); h.Problem != "" {
		t.Errorf("%+v", h)
	}
}
