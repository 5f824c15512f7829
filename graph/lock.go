package graph

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/metrics"
	"github.com/oarlock/oarlock/resolve"
)

// judgement is all that a lock and its findings depend on.
type judgement struct {
	now         time.Time
	observation *metrics.Observation // that counts for the edge; nil where there is none
	trouble     string               // why there is none
	edge        *Edge
	from, to    *Node
	seen        *Observed // nil where there was no traffic
	sidecar     bool      // the destination's sidecar reports some of it
	silent      bool      // the destination has a sidecar that should report, and does not
	ending      bool      // calls from before the verdict changed were seen, and are left out
	bare        float64   // what no sidecar of the destination counts, though some report; a second
	noPod       string    // why no pod of the destination is ready now; "" where one is, or nobody knows
}

// brokenShare is the part of all attempts that must fail for an edge to be broken.
const brokenShare = 0.5

// lock judges what got through. In this order:
//
//   - nothing measured, or no traffic: unknown
//   - it was refused by the client's own sidecar, since no registry knows the destination: broken
//   - at least half of the attempts came to nothing, by a handshake that failed or before the destination's sidecar took
//     them, or everything failed where the policies say that it must: broken
//   - everything failed and nobody says why: unknown
//   - the security of nothing is known: unknown
//   - the policies say that the connection carries TLS which is not the mesh's, or it goes out of the mesh as bytes that may
//     be TLS: unknown, for sidecars count nothing but mutual TLS of the mesh
//   - all that is known is plaintext: open
//   - some is plaintext, be it ever so little: mixed
//   - all that is known is mTLS, and something is not known: unknown
//   - else locked
func (j *judgement) lock() (Lock, string) {
	l, why := j.weigh()
	if c := j.edge.Changed; c != nil && c.Since.IsZero() {
		why += fmt.Sprintf("; a new verdict is not yet in force on %d of %d sidecars", c.Total-c.InForce, c.Total)
	}
	if j.noPod != "" && !strings.Contains(why, j.noPod) {
		why += "; now " + j.unserved()
	}
	if j.observation != nil && !j.now.IsZero() && !j.observation.Newest.IsZero() {
		if age := j.now.Sub(j.observation.Newest); age > staleAfter && j.seen != nil {
			why += "; measured " + duration(age) + " ago"
		}
	}
	return l, why
}

func (j *judgement) weigh() (Lock, string) {
	o := j.seen
	switch {
	case o == nil || o.Attempts() == 0 && o.Known == 0 && o.Received+o.Sent == 0:
		return LockUnknown, j.nothing()
	case j.to != nil && j.to.Kind == NodeEgress && j.to.Name == blackHole:
		return LockBroken, fmt.Sprintf("the sidecar of %s refuses what is in no registry of the mesh: %s", j.name(j.from, "the client"), j.volume())
	case o.refused() > 0 && o.refused() >= brokenShare*o.Attempts():
		return LockBroken, j.broken()
	case j.allFailed() && j.wire() == resolve.WireRefused:
		return LockBroken, fmt.Sprintf("%s: %s fail%s", j.disagreement(""), j.all(), j.by())
	case j.allFailed() && !j.sidecar:
		return LockUnknown, fmt.Sprintf("%s fail, and nobody says whether TLS is why", j.all())
	case o.Known == 0:
		return LockUnknown, fmt.Sprintf("%s, and nobody says whether it is encrypted%s", j.volume(), j.reporter())
	case o.MTLS == 0 && j.elsewhere() != "":
		return LockUnknown, j.elsewhere()
	case o.MTLS == 0 && o.Known < almostAll:
		return LockOpen, fmt.Sprintf("plaintext on %s of %s, the rest is not known%s", percent(o.Known), j.volume(), j.uncounted()+j.by())
	case o.MTLS == 0:
		return LockOpen, fmt.Sprintf("plaintext on all of %s%s", j.volume(), j.uncounted()+j.by())
	case o.MTLS < 1:
		return LockMixed, fmt.Sprintf("mTLS on %s of %s, the rest is plaintext%s", percent(o.MTLS), j.volume(), j.uncounted()+j.by())
	case o.Known < almostAll:
		return LockUnknown, fmt.Sprintf("mTLS on %s of %s, and of the rest nobody knows%s", percent(o.Known), j.volume(), j.reporter())
	}
	return LockLocked, fmt.Sprintf("mTLS on all of %s%s", j.volume(), j.by())
}

// unserved says that nobody is there to take calls.
func (j *judgement) unserved() string {
	return fmt.Sprintf("no pod of %s is ready (%s)", j.name(j.to, "the server"), j.noPod)
}

// nothing says why there is nothing to judge by.
func (j *judgement) nothing() string {
	c := j.edge.Changed
	switch {
	case j.ending:
		return "calls from before the verdict changed" + j.ago(c.Since) + " came to their end, and there was no other traffic"
	case c != nil && !c.Since.IsZero() && c.Observed == nil:
		return "no measurement since the verdict changed" + j.ago(c.Since)
	case c != nil && !c.Since.IsZero():
		return "no traffic since the verdict changed" + j.ago(c.Since)
	case j.observation == nil && j.trouble != "":
		return "nothing was measured: " + j.trouble
	case j.observation == nil:
		return "no traffic was seen"
	}
	if j.from != nil && j.from.Kind == NodeWorkload && j.from.Capture == mesh.CaptureNone {
		return j.from.Name + " has no sidecar to say who it is, so its calls are among those of unknown callers"
	}
	return "no traffic in the last " + duration(j.observation.End.Sub(j.observation.Start))
}

// contradicts says whether traffic does what a verdict forbids that changed lately. Where some of it does as the verdict says, that
// is told as it is, until it is known what happened since calls from before have ended.
func (j *judgement) contradicts(settled bool) bool {
	switch l := j.edge.Lock; j.wire() {
	case resolve.WireMTLS:
		return l == LockOpen || l == LockMixed && settled
	case resolve.WirePlaintext:
		return l == LockLocked || l == LockMixed && settled
	case resolve.WireRefused:
		return l == LockOpen || l == LockMixed || l == LockLocked
	}
	return false
}

func (j *judgement) ago(t time.Time) string {
	if j.now.IsZero() {
		return ""
	}
	return " " + duration(max(0, j.now.Sub(t))) + " ago"
}

// allFailed says whether no request came back well.
func (j *judgement) allFailed() bool {
	o := j.seen
	return o.Requests > 0 && o.Connections == 0 && o.Errors >= 0.99*o.Requests
}

func (j *judgement) all() string { return fmt.Sprintf("all of %s", rate(j.seen.Requests, "request")) }

func (j *judgement) wire() resolve.Wire {
	if j.edge.Declared == nil {
		return resolve.WireUnknown
	}
	return j.edge.Declared.Verdict.Wire
}

// elsewhere says what may protect a connection that has no TLS of the mesh; "" where nothing may.
func (j *judgement) elsewhere() string {
	switch {
	case j.wire() == resolve.WireTLS:
		return "no mTLS of the mesh; the policies say that other TLS protects it, which sidecars do not count"
	case j.to != nil && j.to.Kind == NodeEgress && strings.Contains(j.seen.Protocol, "tcp"):
		return "no TLS of the mesh; whether the application speaks TLS itself to the outside, its sidecar cannot tell"
	}
	return ""
}

// broken names who wants what.
func (j *judgement) broken() string {
	o := j.seen
	cause := ""
	if len(o.Causes) > 0 {
		cause = o.Causes[0].Cause
	}
	who, what, by := j.disagreement(cause), fmt.Sprintf("handshakes fail (%s), %s", cause, per(o.Failures)), j.by()
	if o.Failures == 0 {
		what = fmt.Sprintf("%s never get there", rate(o.Lost, "attempt"))
	}
	if o.Failures == 0 && j.noPod != "" {
		who, by = j.unserved()+", so calls end with UH (HTTP 503)", ""
	}
	if through := o.Requests + o.Connections; through > 0 {
		what += fmt.Sprintf(", and %s get through", per(through))
	}
	return who + ": " + what + by
}

// disagreement says in words why a handshake fails.
func (j *judgement) disagreement(cause string) string {
	from, to := j.name(j.from, "the client"), j.name(j.to, "the server")
	if text := causeText(cause); text != "" {
		return fmt.Sprintf(text, from, to)
	}
	if d := j.edge.Declared; d != nil {
		switch d.Verdict.Cause {
		case resolve.CausePlaintextStrict, resolve.CauseOutsideStrict:
			return fmt.Sprintf("%[2]s requires mTLS and %[1]s sends plaintext", from, to)
		case resolve.CauseMTLSDisabled, resolve.CauseMTLSNoSidecar, resolve.CauseMTLSNotCaptured:
			return fmt.Sprintf("%s starts mTLS and %s has nobody to answer it", from, to)
		case resolve.CauseOneWayTLS, resolve.CauseForeignTLS, resolve.CauseForeignCert:
			return fmt.Sprintf("%s starts TLS that %s does not take", from, to)
		case resolve.CauseServerIdentity:
			return fmt.Sprintf("%s expects another identity of %s", from, to)
		case resolve.CauseBlocked:
			return fmt.Sprintf("the sidecar of %s refuses what is not declared, as %s is", from, to)
		}
	}
	return fmt.Sprintf("%s does not get through to %s", from, to)
}

// causeText is a format for the names of client and server.
func causeText(cause string) string {
	return map[string]string{
		metrics.CausePlaintextToTLS:      "%[2]s requires mTLS and %[1]s sends plaintext",
		metrics.CauseTLSToPlaintext:      "%[1]s starts TLS and %[2]s answers in plaintext",
		metrics.CauseNoClientCertificate: "%[2]s wants a certificate and %[1]s shows none",
		metrics.CauseExpired:             "a certificate between %[1]s and %[2]s is past its time",
		metrics.CauseNotYetValid:         "a certificate between %[1]s and %[2]s is ahead of its time, so a clock is wrong",
		metrics.CauseUnknownCA:           "%[1]s and %[2]s do not trust one authority",
		metrics.CauseWrongTrustDomain:    "%[1]s and %[2]s are of trust domains that do not take each other",
		metrics.CauseSANMismatch:         "%[1]s expects another identity of %[2]s",
		metrics.CauseBadCertificate:      "a certificate between %[1]s and %[2]s cannot be used",
		metrics.CauseVersion:             "%[1]s and %[2]s have no version of TLS in common",
		metrics.CauseCipher:              "%[1]s and %[2]s have no cipher suite in common",
		metrics.CauseALPN:                "%[1]s and %[2]s have no application protocol in common",
		metrics.CauseNoIdentity:          "%[1]s or %[2]s has no certificate yet",
	}[cause]
}

func (j *judgement) name(n *Node, otherwise string) string {
	switch {
	case n == nil:
		return otherwise
	case n.Kind == NodeOutside:
		return "a caller that nobody can name"
	}
	return n.Name
}

// by names what decided, in brackets.
func (j *judgement) by() string {
	d := j.edge.Declared
	if d == nil {
		if o := j.seen; o != nil && len(o.Policies) == 1 {
			return " (" + o.Policies[0] + ")"
		}
		return ""
	}
	var parts []string
	if d.Verdict.Client != mesh.ClientUnset && !d.Rule.Ref.IsZero() {
		parts = append(parts, fmt.Sprintf("client %s by %s", d.Verdict.Client, d.Rule.Ref))
	}
	server := "server " + d.Verdict.Server.String()
	switch {
	case !d.Policy.Ref.IsZero():
		parts = append(parts, server+" by "+d.Policy.Ref.String())
	case j.to != nil && j.to.Kind != NodeEgress:
		parts = append(parts, server+" by default")
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, "; ") + ")"
}

// uncounted tells of what goes to pods without a sidecar.
func (j *judgement) uncounted() string {
	if j.bare == 0 {
		return ""
	}
	much := per(j.bare) + " of it"
	if j.bare < 1e-3 || j.bare >= almostAll*(j.seen.Requests+j.seen.Connections) {
		much = "it"
	}
	return fmt.Sprintf("; no sidecar of %s counts %s, so some of its pods may have none", j.name(j.to, "the server"), much)
}

func (j *judgement) reporter() string {
	switch {
	case j.bare > 0:
		return j.uncounted()
	case j.seen.Reporters == "source" && j.silent:
		return ", since the destination's sidecar does not report it"
	case j.seen.Reporters == "source":
		return ", since the source alone reports it"
	}
	return ""
}

// volume says how much there is, as in "12 requests/s".
func (j *judgement) volume() string {
	o := j.seen
	switch {
	case o.Requests > 0 && o.Connections > 0:
		return rate(o.Requests, "request") + " and " + rate(o.Connections, "connection")
	case o.Requests > 0:
		return rate(o.Requests, "request")
	case o.Connections > 0:
		return rate(o.Connections, "connection")
	}
	return rate(o.Received+o.Sent, "byte") + " on connections from before"
}

// rate gives "3.2 requests/s".
func rate(v float64, of string) string { return number(v) + " " + of + "s/s" }

// per gives "3.2/s".
func per(v float64) string { return number(v) + "/s" }

// number gives two or three significant digits, and never 0 for something.
func number(v float64) string {
	switch {
	case v >= 10:
		return fmt.Sprintf("%.0f", v)
	case v >= 0.95 || v == 0:
		return strings.TrimSuffix(fmt.Sprintf("%.1f", v), ".0")
	case v >= 0.01:
		return strings.TrimRight(fmt.Sprintf("%.2f", v), "0")
	}
	return "<0.01"
}

// percent gives a share; only all of it is 100 %, and only nothing 0 %.
func percent(share float64) string {
	switch n := math.Round(share * 100); {
	case share > 0 && n < 1:
		return "<1 %"
	case share < 1 && n > 99:
		return ">99 %"
	default:
		return fmt.Sprintf("%.0f %%", n)
	}
}

// duration rounds for people: "3 s", "5 min", "2 h".
func duration(d time.Duration) string {
	switch {
	case d < 90*time.Second:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < 90*time.Minute:
		return fmt.Sprintf("%.0f min", d.Minutes())
	}
	return fmt.Sprintf("%.0f h", d.Hours())
}
