package casefile

import (
	"errors"
	"fmt"
	"strings"

	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/resolve"
)

// pattern is a reason line: STEP [wins|loses] [KIND NAME] [CAUSE [TIE]]. Empty fields match anything.
type pattern struct {
	step, outcome, ref, cause, tie string
}

// parseReason reads the value of a reason line.
func parseReason(value string) (pattern, error) {
	words := strings.Fields(value)
	var p pattern
	steps := enumSteps()
	if len(words) < 2 {
		return p, errors.New("want STEP, then wins or loses, an object, a cause")
	}
	if err := oneOf(steps)(words[0]); err != nil {
		return p, err
	}
	p.step, words = words[0], words[1:]
	if words[0] == resolve.Won.String() || words[0] == resolve.Lost.String() {
		p.outcome, words = words[0], words[1:]
	}
	if len(words) > 0 && words[0] >= "A" && words[0] < "a" { // kinds begin with a capital letter, causes never
		if len(words) < 2 {
			return p, fmt.Errorf("want the name of the %s", words[0])
		}
		p.ref, words = words[0]+" "+words[1], words[2:]
	}
	if len(words) > 0 {
		if err := oneOf(causeWords())(words[0]); err != nil {
			return p, err
		}
		p.cause, words = words[0], words[1:]
	}
	if len(words) > 0 {
		if err := oneOf(enum(func(i uint8) string { return resolve.TieBreak(i).String() }))(words[0]); err != nil {
			return p, err
		}
		p.tie, words = words[0], words[1:]
	}
	if len(words) > 0 {
		return p, fmt.Errorf("more words than STEP OUTCOME KIND NAME CAUSE TIE: %q", strings.Join(words, " "))
	}
	return p, nil
}

func enumSteps() []string {
	var out []string
	for s := resolve.StepClient; s <= resolve.StepWire; s++ {
		out = append(out, s.String())
	}
	return out
}

func (p pattern) matches(r resolve.Reason) bool {
	return p.step == r.Step.String() &&
		(p.outcome == "" || p.outcome == r.Outcome.String()) &&
		(p.ref == "" || !r.Ref.IsZero() && p.ref == r.Ref.String()) &&
		(p.cause == "" || p.cause == r.Cause.String()) &&
		(p.tie == "" || p.tie == r.Tie.String())
}

// reason answers a reason line: with its own text where a reason from *next on matches, which it then steps over.
func (a *answer) reason(value string, next *int) string {
	p, _ := parseReason(value) // checked by Parse
	for i, r := range a.ex.Reasons {
		if !p.matches(r) {
			continue
		}
		if i < *next {
			continue
		}
		*next = i + 1
		return value
	}
	for _, r := range a.ex.Reasons[:*next] {
		if p.matches(r) {
			return "given, but before the reasons of the lines above"
		}
	}
	return a.nearest(p)
}

// nearest gives what was said of the same object, to put beside a reason that was not given.
func (a *answer) nearest(p pattern) string {
	for _, r := range a.ex.Reasons {
		if p.ref != "" && p.ref == r.Ref.String() && p.step == r.Step.String() {
			return reasonText(r)
		}
	}
	return "not given"
}

// reasonText writes a reason as a case file does.
func reasonText(r resolve.Reason) string {
	words := []string{r.Step.String()}
	if r.Outcome != resolve.Note {
		words = append(words, r.Outcome.String())
	}
	if r.Ref != (mesh.Ref{}) {
		words = append(words, r.Ref.String())
	}
	if r.Cause != resolve.CauseNone {
		words = append(words, r.Cause.String())
		if r.Tie != resolve.TieNone {
			words = append(words, r.Tie.String())
		}
	}
	return strings.Join(words, " ")
}

// reasons lists what Explain gave, each as a case file would write it, then its clause and where its object stands.
func (a *answer) reasons() []string {
	var out []string
	for _, r := range a.ex.Reasons {
		line := reasonText(r)
		if r.Text != "" {
			line += ": " + r.Text
		}
		if at := r.Origin.String(); at != "" {
			line += " (" + at + ")"
		}
		out = append(out, line)
	}
	return out
}
