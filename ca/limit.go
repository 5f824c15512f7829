package ca

import (
	"sync"
	"time"
)

// A limiter bounds how often each asker is served: a bucket of burst tokens per key that fills with rate tokens a second.
// It remembers at most maxKeys askers; who has not asked for so long that the bucket is full again is forgotten.
type limiter struct {
	rate, burst float64
	maxKeys     int

	mu      sync.Mutex // guards what follows
	buckets map[string]bucket
}

type bucket struct {
	left float64
	at   time.Time
}

func newLimiter(rate, burst float64, maxKeys int) *limiter {
	return &limiter{rate: rate, burst: burst, maxKeys: maxKeys, buckets: map[string]bucket{}}
}

// allow takes a token from the key's bucket. It also refuses a new key while all that it remembers are busy.
func (l *limiter) allow(key string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, known := l.buckets[key]
	if !known {
		if len(l.buckets) >= l.maxKeys {
			l.forget(now)
		}
		if len(l.buckets) >= l.maxKeys {
			return false
		}
		b = bucket{l.burst, now}
	}
	b = bucket{l.filled(b, now), now}
	ok := b.left >= 1
	if ok {
		b.left--
	}
	l.buckets[key] = b
	return ok
}

func (l *limiter) filled(b bucket, now time.Time) float64 {
	return min(l.burst, b.left+max(0, now.Sub(b.at).Seconds())*l.rate)
}

func (l *limiter) forget(now time.Time) {
	for key, b := range l.buckets {
		if l.filled(b, now) >= l.burst {
			delete(l.buckets, key)
		}
	}
}
