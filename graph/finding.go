package graph

import (
	"fmt"
	"slices"

	"github.com/oarlock/oarlock/probe"
	"github.com/oarlock/oarlock/resolve"
)

// proofs finds the proof for an edge.
type proofs map[proofKey][]*Proof

type proofKey struct {
	to   string
	port uint32
}

func newProofs(all []Proof) proofs {
	out := proofs{}
	for i := range all {
		p := &all[i]
		k := proofKey{p.To, p.Port}
		out[k] = append(out[k], p)
	}
	return out
}

// of prefers a proof from the edge's own caller to one from outside, a result to none, and the newest. One from another
// caller's sidecar is none for this edge: it went by that caller's rules.
func (p proofs) of(e *Edge) *Proof {
	var best *Proof
	for _, q := range p[proofKey{e.To, e.Port}] {
		if q.From != e.From && q.From != "" {
			continue
		}
		if best == nil || better(q, best) {
			best = q
		}
	}
	return best
}

func better(p, q *Proof) bool {
	switch {
	case (p.Result != nil) != (q.Result != nil):
		return p.Result != nil
	case (p.From != "") != (q.From != ""):
		return p.From != ""
	}
	return p.At.After(q.At)
}

// proven is the mode that a proof shows; "" where it shows none, or is older than the verdict.
func (j *judgement) proven() probe.Mode {
	p, c := j.edge.Proof, j.edge.Changed
	if p == nil || p.Result == nil || p.Result.Mode == probe.Unknown {
		return ""
	}
	if c != nil && (c.Since.IsZero() || p.At.Before(c.Since)) {
		return ""
	}
	return p.Result.Mode
}

// findings says where the witnesses disagree.
func (j *judgement) findings() []Finding {
	var out []Finding
	add := func(code, severity, format string, args ...any) {
		out = append(out, Finding{code, severity, fmt.Sprintf(format, args...)})
	}
	// While a verdict is not in force on both ends, and while calls from before end, traffic does not yet do as it says.
	if c := j.edge.Changed; c == nil || !c.Since.IsZero() && (c.Settled != nil || !j.contradicts(true)) {
		j.declaredObserved(add)
	}
	j.declaredProven(add)
	j.observedProven(add)
	j.partial(add)
	slices.SortStableFunc(out, func(a, b Finding) int { return severityRank(a.Severity) - severityRank(b.Severity) })
	return out
}

func severityRank(s string) int {
	return slices.Index([]string{SeverityError, SeverityWarning, SeverityNote}, s)
}

type addFinding func(code, severity, format string, args ...any)

// through is what got through a second.
func (j *judgement) through() float64 {
	if j.seen == nil || j.allFailed() {
		return 0
	}
	return j.seen.Requests + j.seen.Connections
}

func (j *judgement) declaredObserved(add addFinding) {
	d, o := j.edge.Declared, j.seen
	if d == nil || o == nil {
		return
	}
	v := d.Verdict
	outside := j.from != nil && j.from.Kind == NodeOutside
	to := j.name(j.to, "the server")
	switch {
	case v.Wire == resolve.WireRefused && outside && o.MTLS > 0:
		// A caller with a certificate whose workload the other end did not learn: no caller from outside.
	case v.Wire == resolve.WireRefused && j.through() > 0 && j.through() > o.refused():
		add(FindingDeclaredObserved, SeverityError, "the policies refuse this connection, and %s get through to %s%s", j.volume(), to, j.by())
	case v.Wire == resolve.WireMTLS && o.Known > 0 && o.MTLS < 1 && j.through() > 0:
		severity := SeverityWarning
		if v.Server == resolve.ServerStrict {
			severity = SeverityError
		}
		add(FindingDeclaredObserved, severity, "the policies say mTLS, and %s of %s is plaintext%s", percent(1-o.MTLS), j.volume(), j.by())
	case v.Wire == resolve.WirePlaintext && o.MTLS > 0 && !outside:
		add(FindingDeclaredObserved, SeverityWarning, "the policies say plaintext, and %s of %s is mTLS%s", percent(o.MTLS), j.volume(), j.by())
	}
	works := v.Status == resolve.StatusOK || v.Status == resolve.StatusAuto
	broken := o.refused() >= brokenShare*o.Attempts()
	if works && v.Wire != resolve.WireRefused && broken && o.refused() > 0 && (o.Failures > 0 || j.to != nil && j.to.Kind != NodeEgress) {
		add(FindingDeclaredObserved, SeverityError, "the policies agree, and most attempts fail: %s", j.broken())
	}
}

// partial tells of what does not make a lock broken, and of reports that are missing.
func (j *judgement) partial(add addFinding) {
	o := j.seen
	if o == nil {
		return
	}
	broken := o.refused() >= brokenShare*o.Attempts()
	switch {
	case broken:
	case o.Failures > 0:
		add(FindingHandshakes, SeverityWarning, "%s of %s fail in the handshake (%s)", per(o.Failures), per(o.Attempts()), o.Causes[0].Cause)
	case o.Lost > 0:
		add(FindingLost, SeverityWarning, "%s of %s never reach the sidecar of %s", per(o.Lost), per(o.Attempts()), j.name(j.to, "the server"))
	}
	if j.silent && !j.sidecar && j.captured() && j.through() > 0 {
		add(FindingPartlyReported, SeverityNote, "the source alone reports this traffic, though the destination has a sidecar")
	}
}

// captured says whether the destination's sidecar stands in the way of this port, as far as the verdict knows.
func (j *judgement) captured() bool {
	d := j.edge.Declared
	return d == nil || d.Verdict.Cause != resolve.CauseMTLSNotCaptured && d.Verdict.Status != resolve.StatusNotCaptured &&
		!(d.Verdict.Server == resolve.ServerDisable && d.Policy.Ref.IsZero())
}

// modeOf translates what a probe proves; false for what is no mode of the mesh.
func modeOf(m probe.Mode) (resolve.Server, bool) {
	switch m {
	case probe.Strict:
		return resolve.ServerStrict, true
	case probe.Permissive:
		return resolve.ServerPermissive, true
	case probe.Disable:
		return resolve.ServerDisable, true
	}
	return 0, false
}

func (j *judgement) declaredProven(add addFinding) {
	d, m := j.edge.Declared, j.proven()
	if d == nil || m == "" || d.Verdict.Server == resolve.ServerMixed || j.to == nil || j.to.Kind == NodeEgress ||
		d.Verdict.Status == resolve.StatusUnknown || d.Verdict.Status == resolve.StatusNotCaptured {
		return
	}
	proven, ok := modeOf(m)
	switch declared := d.Verdict.Server; {
	case !ok && declared == resolve.ServerDisable:
		// The application's own TLS, which the mesh leaves alone.
	case !ok:
		add(FindingDeclaredProven, SeverityError, "the policies say %s, and a probe finds TLS that ends at no sidecar%s", declared, j.by())
	case proven < declared:
		add(FindingDeclaredProven, SeverityError, "the policies say %s, and a probe proves no more than %s%s", declared, proven, j.by())
	case proven > declared:
		add(FindingDeclaredProven, SeverityWarning, "the policies say %s, and a probe proves %s%s", declared, proven, j.by())
	}
}

func (j *judgement) observedProven(add addFinding) {
	m, o := j.proven(), j.seen
	if m == "" || o == nil || o.Known == 0 || j.through() == 0 {
		return
	}
	to := j.name(j.to, "the server")
	switch {
	case m == probe.Permissive && o.MTLS == 1:
		add(FindingObservedProven, SeverityNote, "all of this is mTLS, and %s would accept plaintext: a probe proves PERMISSIVE", to)
	case m == probe.Strict && o.MTLS < 1 && j.seenAfterProof():
		add(FindingObservedProven, SeverityError, "a probe proves STRICT, and %s of %s is plaintext", percent(1-o.MTLS), j.volume())
	case m == probe.Disable && o.MTLS > 0 && j.seenAfterProof():
		add(FindingObservedProven, SeverityError, "a probe finds no mTLS, and %s of %s is mTLS", percent(o.MTLS), j.volume())
	}
}

// seenAfterProof says whether the window is not all older than the proof: a server may have changed in between.
func (j *judgement) seenAfterProof() bool {
	return j.edge.Proof.At.IsZero() || j.observation == nil || !j.observation.Start.After(j.edge.Proof.At.Add(staleAfter)) &&
		j.observation.End.After(j.edge.Proof.At)
}
