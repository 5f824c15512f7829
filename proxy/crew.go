package proxy

import (
	"sync"
	"time"
)

// A crew serves connections with goroutines that stay for the next one: their stacks have grown to what it takes. Who has had
// nothing to do for a while goes.
type crew struct {
	do func(task)

	mu     sync.Mutex // guards what follows
	idle   []*hand    // the one that was busy last at the end
	unused int        // how many of idle, from the front, had nothing to do since the last sweep
	timer  *time.Timer
	closed bool
	wg     sync.WaitGroup
}

// A hand is one of the goroutines.
type hand struct{ work chan task }

type task struct {
	conn tcpConn
	at   *door
}

const (
	// maxIdleHands bounds the goroutines that wait for work.
	maxIdleHands = 64
	// sweepHands is how often it is looked who had nothing to do.
	sweepHands = 5 * time.Second
)

// serve has a connection served. It does not wait for that.
func (w *crew) serve(t task) {
	w.mu.Lock()
	if n := len(w.idle); n > 0 {
		h := w.idle[n-1]
		w.idle[n-1] = nil
		w.idle = w.idle[:n-1]
		w.unused = min(w.unused, n-1)
		w.mu.Unlock()
		h.work <- t
		return
	}
	w.mu.Unlock()
	w.wg.Add(1)
	go w.run(&hand{work: make(chan task, 1)}, t)
}

func (w *crew) run(h *hand, t task) {
	defer w.wg.Done()
	for ok := true; ok; {
		w.do(t)
		t = task{}
		if !w.rest(h) {
			return
		}
		t, ok = <-h.work
	}
}

// rest puts a hand among those that wait for work; false where there is no place for it.
func (w *crew) rest(h *hand) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || len(w.idle) >= maxIdleHands {
		return false
	}
	w.idle = append(w.idle, h)
	if w.timer == nil {
		w.timer = time.AfterFunc(sweepHands, w.sweep)
	}
	return true
}

// sweep lets go of who had nothing to do since the last one.
func (w *crew) sweep() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer = nil
	w.dismiss(w.unused)
	if w.unused = len(w.idle); w.unused > 0 && !w.closed {
		w.timer = time.AfterFunc(sweepHands, w.sweep)
	}
}

// dismiss ends the first n; the lock is held.
func (w *crew) dismiss(n int) {
	for _, h := range w.idle[:n] {
		close(h.work)
	}
	left := copy(w.idle, w.idle[n:])
	clear(w.idle[left:])
	w.idle = w.idle[:left]
}

// close ends who waits, and waits for who is busy. No connection may come any more.
func (w *crew) close() {
	w.mu.Lock()
	w.closed = true
	if w.timer != nil {
		w.timer.Stop()
	}
	w.dismiss(len(w.idle))
	w.mu.Unlock()
	w.wg.Wait()
}
