package sidecar

import (
	"log/slog"
	"runtime"
	"testing"
	"time"

	"github.com/oarlock/oarlock/bootstrap"
)

// TestMore: processors that are used up become twice as many, at the first look.
func TestMore(t *testing.T) {
	for _, c := range []struct {
		name        string
		procs, most int
		wall, taken time.Duration
		want        int
	}{
		{"idle for long", 1, 2, time.Hour, busyTime, 1},
		{"half used", 1, 2, 2 * busyTime, busyTime, 1},
		{"just under the limit", 1, 2, 51 * time.Millisecond, busyTime, 1},
		{"at the limit", 1, 2, 50 * time.Millisecond, busyTime, 2},
		{"used up", 1, 4, busyTime, busyTime, 2},
		{"two of four, used up", 2, 4, busyTime, 2 * busyTime, 4},
		{"two of four, one used", 2, 4, busyTime, busyTime, 2},
		{"two of three", 2, 3, busyTime, 2 * busyTime, 3},
		{"no more there", 2, 2, busyTime, 2 * busyTime, 2},
		{"no time has passed", 1, 2, 0, busyTime, 1},
	} {
		start := use{at: time.Unix(1, 0), taken: time.Second}
		d := demand{procs: c.procs, most: c.most, busy: start}
		raised := d.more(use{start.at.Add(c.wall), start.taken + c.taken})
		if d.procs != c.want || raised != (c.want > c.procs) {
			t.Errorf("%s: %d processors, raised %v, want %d", c.name, d.procs, raised, c.want)
		}
	}
}

// TestMoreSinceLast: what was taken long ago does not count.
func TestMoreSinceLast(t *testing.T) {
	at := use{at: time.Unix(1, 0)}
	d := demand{procs: 1, most: 2, busy: at}
	for i, step := range []struct {
		wall time.Duration
		want bool
	}{{time.Minute, false}, {busyTime, true}} {
		at = use{at.at.Add(step.wall), at.taken + busyTime}
		if got := d.more(at); got != step.want {
			t.Errorf("look %d: %v", i, got)
		}
	}
}

// TestFewer: processors are given back after some looks in a row at which the rest would do with ease.
func TestFewer(t *testing.T) {
	for _, c := range []struct {
		name  string
		procs int
		taken []int // percent of one processor in each look
		want  []int // processors after it
	}{
		{"idle", 2, []int{0, 0, 0}, []int{2, 1, 1}},
		{"idle with many", 8, []int{0, 0, 0, 0, 0, 0, 0}, []int{8, 4, 4, 2, 2, 1, 1}},
		{"little", 2, []int{39, 39}, []int{2, 1}},
		{"too much", 2, []int{40, 40, 40}, []int{2, 2, 2}},
		{"now and then", 2, []int{0, 90, 0, 90, 0, 0}, []int{2, 2, 2, 2, 2, 1}},
		{"three leave two", 3, []int{70, 70, 70, 39, 39}, []int{3, 2, 2, 2, 1}},
		{"one stays", 1, []int{0, 0, 0}, []int{1, 1, 1}},
	} {
		at := use{at: time.Unix(1, 0)}
		d := demand{procs: c.procs, most: 8, quiet: at}
		for i, percent := range c.taken {
			before := d.procs
			at = use{at.at.Add(quietTime), at.taken + quietTime*time.Duration(percent)/100}
			if lowered := d.fewer(at); d.procs != c.want[i] || lowered != (before != d.procs) {
				t.Errorf("%s: look %d: %d processors, lowered %v, want %d", c.name, i, d.procs, lowered, c.want[i])
			}
		}
	}
}

// TestMoreForgetsQuiet: looks that found little do not count after processors were needed.
func TestMoreForgetsQuiet(t *testing.T) {
	at := use{at: time.Unix(1, 0)}
	d := demand{procs: 2, most: 4, busy: at, quiet: at}
	at.at = at.at.Add(quietTime)
	d.fewer(at)
	d.busy = at
	at = use{at.at.Add(busyTime), at.taken + 2*busyTime}
	if !d.more(at) {
		t.Fatal("not raised")
	}
	at.at = at.at.Add(quietTime)
	if d.fewer(at) {
		t.Error("lowered at the first quiet look after a busy one")
	}
}

func TestMostProcs(t *testing.T) {
	number := func(n int) *int { return &n }
	for _, c := range []struct {
		file        *int
		there, want int
	}{
		{nil, 8, 2}, {nil, 1, 1}, {number(0), 8, 8}, {number(1), 8, 1}, {number(4), 8, 4}, {number(4), 2, 2},
		{nil, 0, 0}, {number(0), 0, 0}, {number(4), 0, 0},
	} {
		if got := mostProcs(&bootstrap.File{Concurrency: c.file}, c.there); got != c.want {
			t.Errorf("file %v, %d there: %d, want %d", c.file, c.there, got, c.want)
		}
	}
}

func TestTune(t *testing.T) {
	before := runtime.GOMAXPROCS(2)
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
	t.Setenv("GOMAXPROCS", "2")
	if there, now := Tune(), runtime.GOMAXPROCS(0); there != 0 || now != 2 {
		t.Errorf("with GOMAXPROCS: %d to choose from, %d used", there, now)
	}
	t.Setenv("GOMAXPROCS", "")
	if there, now := Tune(), runtime.GOMAXPROCS(0); there != 2 || now != 1 {
		t.Errorf("%d to choose from, %d used; want 2 and 1", there, now)
	}
}

// TestManyClusters: what is much work to translate keeps a second processor, where there is one.
func TestManyClusters(t *testing.T) {
	a := newAdapter(t)
	for _, step := range []struct{ clusters, want int }{
		{manyClusters - 1, 1}, {manyClusters, 2}, {manyClusters, 2}, {manyClusters, 2}, {0, 2}, {0, 1},
	} {
		a.look(use{a.quiet.at.Add(quietTime), a.quiet.taken}, step.clusters)
		if got := runtime.GOMAXPROCS(0); got != step.want || a.procs != got {
			t.Fatalf("%d clusters: %d processors, want %d", step.clusters, got, step.want)
		}
	}
}

// newAdapter gives one that has another processor to take, and puts the number back when the test ends.
func newAdapter(t *testing.T) *adapter {
	if runtime.GOOS != "linux" {
		t.Skip("an alarm for processor time needs Linux")
	}
	before := runtime.GOMAXPROCS(1)
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
	a := adapt(2, slog.New(slog.DiscardHandler))
	if a == nil {
		t.Fatal("nothing adapts")
	}
	t.Cleanup(a.close)
	return a
}

// rings says whether the alarm rings within a time, in which compute uses processor time.
func rings(a *adapter, within time.Duration, compute bool) bool {
	stop, done := make(chan struct{}), make(chan struct{})
	defer func() { close(stop); <-done }()
	go func() {
		defer close(done)
		for compute {
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	select {
	case <-a.C():
		return true
	case <-time.After(within):
		return false
	}
}

// TestAdapt: a process that computes is told so and gets more processors; at rest it gives them back, and is told anew.
func TestAdapt(t *testing.T) {
	begin := useNow()
	a := newAdapter(t)
	if !rings(a, time.Minute, true) { // others may have the machine for themselves
		t.Fatal("the alarm does not ring for a process that computes")
	}
	now := useNow()
	if taken := now.taken - begin.taken; taken < busyTime/2 {
		t.Errorf("the alarm rang after %s of processor time", taken)
	}
	a.rung(use{a.busy.at.Add(busyTime), a.busy.taken + busyTime})
	if got := runtime.GOMAXPROCS(0); got != 2 {
		t.Errorf("%d processors while busy, want 2", got)
	}
	for range lowerLooks {
		a.look(use{a.quiet.at.Add(quietTime), a.quiet.taken}, 0)
	}
	if got := runtime.GOMAXPROCS(0); got != 1 {
		t.Errorf("%d processors at rest, want 1", got)
	}
	if !rings(a, time.Minute, true) {
		t.Error("the alarm does not ring after processors were given back")
	}
}

// TestAlarmSleeps: a process at rest is not woken, nor one that has all processors it may have.
func TestAlarmSleeps(t *testing.T) {
	begin := useNow()
	a := newAdapter(t)
	if rang := rings(a, 100*time.Millisecond, false); rang && useNow().taken-begin.taken < busyTime/2 {
		t.Error("the alarm rings at rest")
	}
	a.rung(use{a.busy.at.Add(busyTime), a.busy.taken + busyTime})
	rings(a, 3*busyTime, true) // once may be from before
	if rings(a, 3*busyTime, true) {
		t.Error("the alarm rings although there are no more processors")
	}
}

// TestAdaptHasNoChoice: with all processors in use already, or none given, nothing looks.
func TestAdaptHasNoChoice(t *testing.T) {
	for _, most := range []int{0, 1} {
		before := runtime.GOMAXPROCS(1)
		a := adapt(most, slog.New(slog.DiscardHandler))
		runtime.GOMAXPROCS(before)
		if a != nil {
			a.close()
			t.Errorf("%d processors are adapted", most)
		}
		if a.C() != nil {
			t.Errorf("%d processors: an alarm", most)
		}
		a.look(useNow(), 0)
	}
}
