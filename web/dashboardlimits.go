package web

import (
	"net"
	"net/http"
	"sync"
	"time"

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

// Of what is sent to a browser, each piece of at most pieceBytes may take pieceTime: who takes nothing holds a connection, of
// which there are only so many.
const (
	pieceBytes = 64 << 10
	pieceTime  = 10 * time.Second
)

// patient writes piece by piece, each with a deadline of its own, so that a stream may last and a page may come slowly.
type patient struct {
	http.ResponseWriter
	control *http.ResponseController
}

func newPatient(w http.ResponseWriter) *patient { return &patient{w, http.NewResponseController(w)} }

// Unwrap lets an http.ResponseController through.
func (p *patient) Unwrap() http.ResponseWriter { return p.ResponseWriter }

// grant gives the next piece its time. A connection that cannot have a deadline is gone, as the next write will tell.
func (p *patient) grant() { _ = p.control.SetWriteDeadline(time.Now().Add(pieceTime)) }

// Write implements http.ResponseWriter.
func (p *patient) Write(b []byte) (int, error) {
	sent := 0
	for {
		p.grant()
		n, err := p.ResponseWriter.Write(b[:min(len(b), pieceBytes)])
		sent += n
		if b = b[n:]; err != nil || len(b) == 0 {
			return sent, err
		}
	}
}
