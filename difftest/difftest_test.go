package difftest

import (
	"errors"
	"flag"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"istio.io/istio/pkg/log"
)

var (
	meshes = flag.Int("meshes", 5000, "how many random meshes to compare")
	seed   = flag.Uint64("seed", 1, "what to make them from")
	one    = flag.Int("mesh", -1, "compare this mesh of the seed alone")
	shrink = flag.Duration("shrink", 40*time.Second, "how long a mesh with a difference may be shrunk")
	most   = flag.Int("most", 3, "stop after this many meshes with a difference")
)

// TestMain keeps Istio's own log out of the way.
func TestMain(m *testing.M) {
	flag.Parse()
	for _, s := range log.Scopes() {
		s.SetOutputLevel(log.NoneLevel)
	}
	debug.SetGCPercent(300) // most of the work is building fakes and throwing them away
	m.Run()
}

// TestMeshes is the comparison. Every difference names the seed and the number of its mesh, and comes with the
// smallest mesh that still shows it.
func TestMeshes(t *testing.T) {
	if testing.Short() {
		*meshes = min(*meshes, 200)
	}
	first, last := 0, *meshes
	if *one >= 0 {
		first, last = *one, *one+1
	}
	var next, different, answers, refused atomic.Int64
	next.Store(int64(first))
	begin := time.Now()
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < last && different.Load() < int64(*most); i = int(next.Add(1)) - 1 {
				docs := Generate(*seed, uint64(i))
				n, diff, err := compare(docs)
				answers.Add(int64(n))
				switch {
				case errors.Is(err, errRefused):
					refused.Add(1)
					t.Logf("seed %d, mesh %d: %v", *seed, i, err)
				case err != nil:
					different.Add(1)
					t.Errorf("seed %d, mesh %d: %v\n%s", *seed, i, err, Render(Shrink(docs, *shrink, unreadable)))
				case len(diff) > 0:
					different.Add(1)
					t.Errorf("seed %d, mesh %d: %s", *seed, i, report(docs, diff))
				}
			}
		})
	}
	wg.Wait()
	t.Logf("seed %d: %d meshes, %d answers compared in %v; Istio refused %d meshes", *seed, last-first, answers.Load(), time.Since(begin).Round(time.Second), refused.Load())
	if r := int(refused.Load()); r*50 > last-first {
		t.Errorf("Istio refused %d meshes of %d: the generator is out of date", r, last-first)
	}
}

var errRefused = errors.New("Istio refuses the mesh")

// compare asks both sides, Istio again where they differ; n counts the answers.
func compare(docs []Doc) (n int, diff []Difference, err error) {
	n, diff, err = compareOnce(docs)
	for again := 0; again < 40 && len(diff) > 0; again++ { // of two answers it may give one nine times in a row
		diff = withoutChance(diff, docs)
	}
	return n, diff, err
}

func compareOnce(docs []Doc) (n int, diff []Difference, err error) {
	theirs, err := AskIstio(docs)
	if err != nil {
		return 0, nil, fmt.Errorf("%w: %w", errRefused, err)
	}
	ours, err := AskOarlock(docs)
	if err != nil {
		return 0, nil, err
	}
	return len(theirs), Compare(theirs, ours), nil
}

// withoutChance drops what Istio answers as oarlock does when asked once more: where it goes over a Go map and the first of
// equals wins, its answer is left to chance.
func withoutChance(diff []Difference, docs []Doc) []Difference {
	theirs, err := AskIstio(docs)
	if err != nil {
		return diff
	}
	return slices.DeleteFunc(diff, func(d Difference) bool {
		answer, ok := theirs[d.Question]
		return or(answer, ok) == d.Oarlock
	})
}

// unreadable says whether Istio takes a mesh that oarlock does not.
func unreadable(docs []Doc) bool {
	_, _, err := compareOnce(docs)
	return err != nil && !errors.Is(err, errRefused)
}

// report shrinks a mesh around its first difference and prints it.
func report(docs []Doc, diff []Difference) string {
	first := diff[0]
	small := Shrink(docs, *shrink, func(d []Doc) bool {
		_, diff, err := compareOnce(d)
		return err == nil && slices.Contains(diff, first)
	})
	var b strings.Builder
	fmt.Fprintf(&b, "%d answers differ; the smallest mesh for the first:\n", len(diff))
	_, diff, _ = compareOnce(small)
	for i, d := range diff {
		if i < 8 || d.Question == first.Question {
			fmt.Fprintf(&b, "  %s\n    Istio:   %s\n    oarlock: %s\n", d.Question, d.Istio, d.Oarlock)
		}
	}
	b.Write(Render(small))
	return b.String()
}
