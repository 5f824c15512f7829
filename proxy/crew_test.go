package proxy

import (
	"testing"
	"testing/synctest"
	"time"
)

// Goroutines serve again, there are as many as connections at a time, and they go when they have nothing to do.
func TestCrew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		step := make(chan struct{})
		begun := 0
		w := crew{do: func(task) { begun++; <-step }}
		serve := func(n int) {
			for range n {
				w.serve(task{})
				synctest.Wait()
			}
			for range n {
				step <- struct{}{}
			}
			synctest.Wait()
		}
		idle := func(want int) {
			t.Helper()
			w.mu.Lock()
			defer w.mu.Unlock()
			if len(w.idle) != want {
				t.Errorf("%d wait for work, want %d", len(w.idle), want)
			}
		}
		serve(10)
		idle(10)
		serve(10)
		idle(10)
		time.Sleep(sweepHands + time.Second)
		serve(3)
		idle(10) // all had something to do before the sweep
		time.Sleep(sweepHands)
		idle(3)
		time.Sleep(sweepHands)
		idle(0)
		serve(maxIdleHands + 5)
		idle(maxIdleHands)
		if begun != 23+maxIdleHands+5 {
			t.Errorf("%d were served", begun)
		}
		w.serve(task{})
		synctest.Wait()
		time.AfterFunc(time.Second, func() { close(step) })
		w.close() // waits for the one that is busy
		idle(0)
	})
}
