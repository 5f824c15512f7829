package probe

import (
	"fmt"
	"strings"
)

// Mode is what the attempts prove of a server.
type Mode string

// The modes. The first three are Istio's.
const (
	Strict     Mode = "STRICT"     // a sidecar that takes mutual TLS alone
	Permissive Mode = "PERMISSIVE" // a sidecar that takes mutual TLS from other sidecars, and what is not theirs as it is
	Disable    Mode = "DISABLE"    // plaintext passes and TLS is not terminated: mTLS is off, or there is no sidecar
	OtherTLS   Mode = "other TLS"  // a server of TLS that is no sidecar
	Unknown    Mode = "unknown"    // not proven
)

// evidence is what the attempts say together.
type evidence struct {
	plain     *Attempt
	sidecar   *Attempt // terminated by a sidecar, with an ALPN of Istio if there is one
	bare      *Attempt // without ALPN
	istio     int      // how many with an ALPN of Istio a sidecar terminated
	others    int      // how many with another, or none
	certified *Attempt // at a sidecar, with our certificate
	anonymous *Attempt // at a sidecar, without a certificate, and accepted
	server    *Attempt // terminated by a TLS server that is no sidecar
	connected bool
}

// judge says what the attempts prove, and why:
//
//   - A sidecar is a server of TLS that shows a SPIFFE ID and asks for a client certificate.
//   - One that can be used without a certificate is no sidecar of Istio, whatever it shows.
//   - With a sidecar, plaintext that passes proves PERMISSIVE. So does TLS that it leaves alone because no ALPN of Istio was
//     offered, which also works where the application hangs up on plaintext.
//   - With a sidecar, plaintext that is refused proves STRICT, if TLS without ALPN ends at the sidecar too.
//   - Without one, TLS that somebody terminates is other TLS: the application's, or a gateway's. Plaintext that passes while
//     nobody speaks TLS proves DISABLE, in its effect: a workload without a sidecar looks the same.
//   - Anything else is unknown. Silence proves nothing.
func judge(attempts []Attempt) (Mode, []string) {
	e := weigh(attempts)
	proof := e.lines()
	say := func(m Mode, format string, args ...any) (Mode, []string) {
		return m, append(proof, fmt.Sprintf(format, args...))
	}
	passes, refuses := e.plainVerdict()
	switch {
	case !e.connected:
		return say(Unknown, "no attempt came to a connection")
	case e.anonymous != nil:
		return say(OtherTLS, "a client without a certificate gets in, which a sidecar does not allow")
	case e.sidecar != nil && passes:
		return say(Permissive, "plaintext passes, and mTLS is terminated by the sidecar")
	case e.istio > 0 && e.others == 0 && e.bare != nil && e.bare.Outcome != Timeout:
		return say(Permissive, "the sidecar terminates TLS with the ALPN of other sidecars alone")
	case e.others > 0 && refuses:
		return say(Strict, "nothing but mTLS gets in")
	case refuses && e.sidecar != nil:
		return say(Unknown, "the sidecar speaks mTLS; TLS without an ALPN of Istio was not tried")
	case e.sidecar != nil:
		return say(Unknown, "the sidecar speaks mTLS, but plaintext neither passed nor was refused")
	case e.server != nil:
		return say(OtherTLS, "TLS ends at a server that is no sidecar")
	case passes:
		return say(Disable, "plaintext passes, and nothing there speaks TLS: mTLS is off, or there is no sidecar")
	case refuses:
		return say(Unknown, "plaintext is refused, and nothing there speaks TLS")
	}
	return say(Unknown, "the server takes connections and says nothing")
}

// weigh sorts the attempts. Those of one version only repeat what others did.
func weigh(attempts []Attempt) *evidence {
	e := &evidence{}
	for i := range attempts {
		a := &attempts[i]
		e.connected = e.connected || a.reached()
		switch {
		case a.Version != "":
		case a.Kind == Plaintext:
			e.plain = a
		default:
			e.weighTLS(a)
		}
	}
	return e
}

func (e *evidence) weighTLS(a *Attempt) {
	istio := strings.HasPrefix(a.ALPN, "istio")
	if a.ALPN == NoALPN && e.bare == nil {
		e.bare = a
	}
	switch {
	case a.TLS == nil:
		return
	case !a.TLS.Asked || a.TLS.PeerID == "":
		e.server = first(e.server, a)
		return
	}
	e.sidecar = first(e.sidecar, a)
	if istio {
		e.istio++
	} else {
		e.others++
	}
	if a.Certificate && (e.certified == nil || a.Accepted() && !e.certified.Accepted()) {
		e.certified = a
	}
	if !a.Certificate && a.Accepted() {
		e.anonymous = first(e.anonymous, a)
	}
}

func first(have, a *Attempt) *Attempt {
	if have == nil {
		return a
	}
	return have
}

// plainVerdict says whether plaintext passed or was refused; neither is possible.
func (e *evidence) plainVerdict() (passes, refuses bool) {
	if e.plain == nil {
		return false, false
	}
	switch e.plain.Outcome {
	case HTTP, Answered, ServerFirst:
		return true, false
	case Closed, Reset, Alerted, TLSWanted:
		return false, true
	}
	return false, false
}

// lines say what was seen, one sentence each.
func (e *evidence) lines() []string {
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if e.plain != nil {
		say("plaintext: %s", e.plain)
	}
	if e.server != nil && e.sidecar == nil {
		say("TLS%s: %s", offering(e.server), e.server)
	}
	if e.sidecar != nil && !e.sidecar.Certificate {
		say("TLS%s without a client certificate: %s", offering(e.sidecar), e.sidecar)
	}
	if e.certified != nil {
		say("TLS%s with a client certificate: %s", offering(e.certified), e.certified)
	}
	if e.bare != nil && e.bare.TLS == nil {
		say("TLS without ALPN: %s", e.bare)
	}
	return out
}

func offering(a *Attempt) string {
	if a.ALPN == NoALPN {
		return " without ALPN"
	}
	return " with ALPN " + a.ALPN
}

// reached says whether there was a connection. A handshake that runs out of time looks like a connection that does; but then
// plaintext was silent.
func (a *Attempt) reached() bool {
	return a.Outcome != Refused && (a.Outcome != Timeout || a.TLS != nil)
}

// Reached says whether any attempt came to a connection.
func (r *Result) Reached() bool {
	for i := range r.Attempts {
		if r.Attempts[i].reached() {
			return true
		}
	}
	return false
}

// String gives the outcome with what is known of it, as in "alert certificate_required" or "http 200".
func (a *Attempt) String() string {
	s := string(a.Outcome)
	switch {
	case a.Alert != "":
		s += " " + a.Alert
	case a.Status != 0:
		s += fmt.Sprintf(" %d", a.Status)
	case a.Detail != "":
		s += " (" + a.Detail + ")"
	}
	return s
}

// String gives the mode, whose it is, and what was found, in one line.
func (r *Result) String() string {
	s := r.Address + ": " + string(r.Mode)
	var names []string
	for i := range r.Peers {
		names = append(names, r.Peers[i].Name())
	}
	if len(names) > 0 {
		s += ", " + strings.Join(names, " and ")
	}
	switch len(r.Findings) {
	case 0:
		return s
	case 1:
		return s + ", 1 finding"
	}
	return fmt.Sprintf("%s, %d findings", s, len(r.Findings))
}

// ParseMode reads a mode as a person writes it, without regard to case. The error lists the modes.
func ParseMode(s string) (Mode, error) {
	modes := []Mode{Strict, Permissive, Disable, OtherTLS, Unknown}
	for _, m := range modes {
		if strings.EqualFold(s, string(m)) {
			return m, nil
		}
	}
	return "", fmt.Errorf("parse mode %q: want one of %q", s, modes)
}
