package web

import (
	"net"
	"net/http"
	"sync"

	"golang.org/x/time/rate"
)

// Limits of what browsers may ask for.
const (
	loginsEvery  = 0.5 // attempts a second from one address, after a burst of loginBurst
	loginBurst   = 20
	loginsFrom   = 1024 // addresses that are remembered
	changesEvery = 5    // a second, of all browsers
	changeBurst  = 30
	maxAtOnce    = 256 // requests to meshes, streams included
)

// limits counts.
type limits struct {
	changes *rate.Limiter
	slots   chan struct{}

	mu     sync.Mutex
	logins map[string]*rate.Limiter // by address; at most loginsFrom
}

func newLimits() *limits {
	return &limits{changes: rate.NewLimiter(changesEvery, changeBurst), slots: make(chan struct{}, maxAtOnce), logins: map[string]*rate.Limiter{}}
}

func (l *limits) change() bool { return l.changes.Allow() }

func (l *limits) enter() bool {
	select {
	case l.slots <- struct{}{}:
		return true
	default:
		return false
	}
}

func (l *limits) leave() { <-l.slots }

// login says whether this address may try a token now.
func (l *limits) login(r *http.Request) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	from := address(r)
	one := l.logins[from]
	if one == nil {
		if len(l.logins) >= loginsFrom {
			clear(l.logins) // an attacker with so many addresses gains a burst for each, and the token has 256 bits
		}
		one = rate.NewLimiter(loginsEvery, loginBurst)
		l.logins[from] = one
	}
	return one.Allow()
}

// loggedIn forgets attempts that a success has answered for.
func (l *limits) loggedIn(r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.logins, address(r))
}

func address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
