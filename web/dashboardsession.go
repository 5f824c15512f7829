package web

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"time"
)

// sessionLife is how long a browser stays logged in.
const sessionLife = 7 * 24 * time.Hour

// sessions makes and checks cookies. A cookie is the time at which it ends and a MAC under the token, so that sessions
// outlive a restart of the server and end, all of them, with the token.
type sessions struct {
	token [sha256.Size]byte
	key   []byte
}

func newSessions(token string) *sessions {
	mac := hmac.New(sha256.New, []byte(token))
	mac.Write([]byte("oarlock dashboard session"))
	return &sessions{sha256.Sum256([]byte(token)), mac.Sum(nil)}
}

// isToken compares in a time that tells nothing.
func (s *sessions) isToken(token string) bool {
	sum := sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(sum[:], s.token[:]) == 1
}

// Parts of a cookie's value, in bytes: when it ends, something random, the MAC of both.
const (
	cookieTime  = 8
	cookieNonce = 8
	cookieBody  = cookieTime + cookieNonce
)

func (s *sessions) issue(now time.Time) string {
	body := binary.BigEndian.AppendUint64(nil, uint64(now.Add(sessionLife).Unix()))
	var nonce [cookieNonce]byte
	_, _ = rand.Read(nonce[:]) // never fails
	body = append(body, nonce[:]...)
	return base64.RawURLEncoding.EncodeToString(append(body, s.mac(body)...))
}

func (s *sessions) valid(cookie string) bool {
	b, err := base64.RawURLEncoding.DecodeString(cookie)
	if err != nil || len(b) != cookieBody+sha256.Size || !hmac.Equal(b[cookieBody:], s.mac(b[:cookieBody])) {
		return false
	}
	return time.Now().Unix() < int64(binary.BigEndian.Uint64(b))
}

func (s *sessions) mac(body []byte) []byte {
	mac := hmac.New(sha256.New, s.key)
	mac.Write(body)
	return mac.Sum(nil)
}

// cookieName has the port in it: browsers give cookies of one port to every other one of the same host.
func (d *Dashboard) cookieName() string {
	_, port, _ := net.SplitHostPort(d.Address())
	return "oarlock-" + port
}

func (d *Dashboard) cookie(r *http.Request) string {
	c, err := r.Cookie(d.cookieName())
	if err != nil {
		return ""
	}
	return c.Value
}

// login exchanges the token for a session. The token comes in the body: a query would land in histories and logs.
func (d *Dashboard) login(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	if !d.limits.login(r) {
		w.Header().Set("Retry-After", "10")
		refuse(w, http.StatusTooManyRequests, errors.New("log in: too many attempts; wait some seconds"))
		return
	}
	var ask struct {
		Token string `json:"token"`
	}
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(&ask); err != nil {
		refuse(w, http.StatusBadRequest, errors.New(`log in: want {"token": "…"}`))
		return
	}
	if !d.sessions.isToken(ask.Token) {
		d.opt.Log.Warn("login refused", "from", r.RemoteAddr)
		refuse(w, http.StatusUnauthorized, errors.New(`log in: this is not the token; "oarlock dashboard" prints the link`))
		return
	}
	d.limits.loggedIn(r)
	http.SetCookie(w, &http.Cookie{Name: d.cookieName(), Value: d.sessions.issue(time.Now()), Path: "/", MaxAge: int(sessionLife.Seconds()),
		HttpOnly: true, SameSite: http.SameSiteStrictMode})
	w.WriteHeader(http.StatusNoContent)
}

// logout forgets the cookie in this browser.
func (d *Dashboard) logout(w http.ResponseWriter, _ *http.Request) {
	http.SetCookie(w, &http.Cookie{Name: d.cookieName(), Path: "/", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteStrictMode})
	w.WriteHeader(http.StatusNoContent)
}
