package web

import (
	"context"
	"slices"
	"sync"
	"time"
)

// madeAtOnce is how many answers of a kind are made at a time: who asks for many, and goes away, starves nobody.
const madeAtOnce = 4

// shared makes each answer once for all who ask at a time, and keeps it for a while. It is bounded: of more answers than
// it may keep, the oldest go; and of those that are waiting to be made, the ones that nobody wants any more are not made.
type shared[K comparable, V any] struct {
	age   time.Duration
	most  int
	slots chan struct{}

	mu      sync.Mutex
	answers map[K]*sharing[V]
}

// sharing is one answer, or one that is being made.
type sharing[V any] struct {
	begun time.Time
	done  chan struct{} // closed when the rest is there
	value V
	err   error
	took  time.Duration
	wants int // how many wait for it; guarded by mu of shared
}

func newShared[K comparable, V any](age time.Duration, most int) *shared[K, V] {
	return &shared[K, V]{age: age, most: most, slots: make(chan struct{}, madeAtOnce), answers: map[K]*sharing[V]{}}
}

// get gives an answer that is young enough, or lets make make one. What make does goes on where whoever asked first has
// gone: others may wait for it. fresh may refuse a young answer.
func (s *shared[K, V]) get(ctx context.Context, key K, fresh func(V) bool, make func(context.Context) (V, error)) (V, error) {
	one, own := s.join(key, fresh)
	defer s.leave(one)
	if own {
		go s.answer(context.WithoutCancel(ctx), key, one, make)
	}
	select {
	case <-one.done:
		return one.value, one.err
	case <-ctx.Done():
		var none V
		return none, ctx.Err()
	}
}

// answer makes an answer when there is a place for that, unless everybody who asked has gone by then.
func (s *shared[K, V]) answer(ctx context.Context, key K, one *sharing[V], make func(context.Context) (V, error)) {
	defer close(one.done)
	s.slots <- struct{}{}
	defer func() { <-s.slots }()
	if s.dropped(key, one) {
		one.err = context.Canceled
		return
	}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	begun := time.Now()
	one.value, one.err = make(ctx)
	one.took = time.Since(begun)
}

// dropped forgets an answer that nobody waits for.
func (s *shared[K, V]) dropped(key K, one *sharing[V]) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if one.wants > 0 {
		return false
	}
	if s.answers[key] == one {
		delete(s.answers, key)
	}
	return true
}

func (s *shared[K, V]) leave(one *sharing[V]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one.wants--
}

// join finds an answer that will do, or begins one. Whoever joins has to leave.
func (s *shared[K, V]) join(key K, fresh func(V) bool) (one *sharing[V], own bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() { one.wants++ }()
	if one = s.answers[key]; one != nil {
		select {
		case <-one.done:
			if one.err == nil && time.Since(one.begun) < max(s.age, 2*one.took) && (fresh == nil || fresh(one.value)) {
				return one, false
			}
		default:
			return one, false // it is being made
		}
	}
	one = &sharing[V]{begun: time.Now(), done: make(chan struct{})}
	s.answers[key] = one
	s.trim(key)
	return one, true
}

// trim drops the oldest answers but that of key. The caller holds mu.
func (s *shared[K, V]) trim(key K) {
	for len(s.answers) > s.most {
		oldest, found := key, false
		for k, e := range s.answers {
			if k != key && (!found || e.begun.Before(s.answers[oldest].begun)) {
				oldest, found = k, true
			}
		}
		if !found {
			return
		}
		delete(s.answers, oldest)
	}
}

// all are the answers that are kept, the newest first.
func (s *shared[K, V]) all() []V {
	s.mu.Lock()
	defer s.mu.Unlock()
	var done []*sharing[V]
	for _, one := range s.answers {
		select {
		case <-one.done:
			if one.err == nil {
				done = append(done, one)
			}
		default:
		}
	}
	slices.SortFunc(done, func(a, b *sharing[V]) int { return b.begun.Compare(a.begun) })
	out := make([]V, len(done))
	for i, one := range done {
		out[i] = one.value
	}
	return out
}
