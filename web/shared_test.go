package web

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Many ask for answers of their own and go away; one stays. What nobody wants is not made.
func TestSharedDropsWhatNobodyWants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShared[int, int](time.Second, 100)
		var made, atOnce, most atomic.Int32
		slow := func(context.Context) (int, error) {
			made.Add(1)
			most.Store(max(most.Load(), atOnce.Add(1)))
			defer atOnce.Add(-1)
			time.Sleep(time.Second)
			return 7, nil
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for key := range 50 {
			wg.Go(func() {
				if _, err := s.get(ctx, key, nil, slow); err == nil {
					t.Errorf("key %d: an answer came although the asker had gone", key)
				}
			})
		}
		synctest.Wait()
		cancel()
		wg.Wait()
		if v, err := s.get(t.Context(), 1000, nil, slow); v != 7 || err != nil {
			t.Errorf("get = %d, %v", v, err)
		}
		if n := made.Load(); n != madeAtOnce+1 {
			t.Errorf("%d answers were made, want the %d under way and the one that is wanted", n, madeAtOnce)
		}
		if most.Load() > madeAtOnce {
			t.Errorf("%d answers were made at once", most.Load())
		}
	})
}

// All who ask for one thing get one answer, also when the first of them goes.
func TestSharedAnswersAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShared[string, int](time.Second, 4)
		made := 0
		count := func(context.Context) (int, error) { made++; time.Sleep(time.Second); return made, nil }
		first, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = s.get(first, "a", nil, count) })
		synctest.Wait()
		for range 10 {
			wg.Go(func() {
				if v, err := s.get(t.Context(), "a", nil, count); v != 1 || err != nil {
					t.Errorf("get = %d, %v", v, err)
				}
			})
		}
		synctest.Wait()
		cancel()
		wg.Wait()
		time.Sleep(10 * time.Second)
		if v, _ := s.get(t.Context(), "a", nil, count); v != 2 {
			t.Errorf("get after a while = %d, want it made anew", v)
		}
	})
}
