package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/resolve"
	"github.com/spf13/cobra"
)

// The width of an explanation: that of the terminal within these limits, and textWidth in a pipe.
const (
	textWidth    = 80
	leastText    = 40
	greatestText = 110
)

func newExplainCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "explain CLIENT SERVICE:PORT",
		Short: "Why a connection gets the TLS that it gets, step by step",
		Long: `Why a connection gets the TLS that it gets: the verdict, and each policy and
rule that was considered, in order, which one won and why the others lost, with
file and line.

SERVICE may also be a host outside the mesh or a pod's address, HOST|SUBSET one
subset.
The port may be left out where the service has only one.`,
		Example: `  oarlock -f DIR explain web.shop api:8080
  oarlock -f DIR explain outside api.shop:http -o json`,
		Args: between(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error { return runExplain(a, cmd, args) },

		ValidArgsFunction: a.completeArgs(a.clientWords, a.serviceWords),
	}
}

func runExplain(a *app, cmd *cobra.Command, args []string) error {
	format, err := a.format("table", "wide", "json", "yaml")
	if err != nil {
		return err
	}
	l, err := a.open(cmd.Context())
	if err != nil {
		return err
	}
	c, err := a.client(l, args[0])
	if err != nil {
		return err
	}
	t, err := a.callee(l, args[1], a.lookupNamespace(c))
	if err != nil {
		return err
	}
	x := l.resolver.Explain(c, t)
	if format == "json" || format == "yaml" {
		err = a.print(format, l.explanationDocument(x))
	} else {
		e := &explainer{l: l, x: x, width: a.textWidth(), all: a.flags.verbose}
		e.write()
		_, err = a.stdout.WriteString(e.b.String())
	}
	if err == nil && a.fails(x.Verdict.Status) {
		return findings()
	}
	return err
}

// textWidth is where lines of text break.
func (a *app) textWidth() int {
	if a.width == 0 {
		return textWidth
	}
	return min(max(a.width, leastText), greatestText)
}

// callee reads SERVICE[|SUBSET]:PORT: a service, or a pod's address, or a host that the mesh does not know.
func (a *app) callee(l *loaded, arg, from string) (resolve.Target, error) {
	if at, err := netip.ParseAddrPort(arg); err == nil {
		t := resolve.Target{Port: uint32(at.Port()), Workload: l.resolver.ByAddress(at.Addr().String())}
		if t.Workload != nil {
			return t, nil
		}
		if list := l.resolver.Services(at.Addr().String(), from); len(list) > 0 {
			return resolve.Target{Service: list[0], Port: t.Port}, nil
		}
		t.Host = at.Addr().String()
		return t, nil
	}
	name, portName := splitPort(arg)
	name, subset, _ := strings.Cut(name, "|")
	s, err := a.service(l, name, from)
	if err != nil {
		number, nerr := strconv.ParseUint(portName, 10, 16)
		if nerr == nil && l.foreign(name) {
			return resolve.Target{Host: name, Port: uint32(number)}, nil
		}
		return resolve.Target{}, err
	}
	if number, err := strconv.ParseUint(portName, 10, 16); err == nil && s.Resolution == mesh.ResolutionExternalName && len(s.Ports) == 0 {
		return resolve.Target{Service: s, Port: uint32(number)}, nil // an alias has the ports of what it stands for
	}
	p, err := a.onePort(s, arg, portName)
	if err != nil {
		return resolve.Target{}, err
	}
	return resolve.Target{Service: s, Port: p.Number, UDP: p.UDP(), Subset: subset}, nil
}

// onePort finds the port, which may be left unsaid where there is no choice.
func (a *app) onePort(s *mesh.Service, arg, word string) (*mesh.Port, error) {
	if word != "" {
		return a.port(s, arg, word)
	}
	if len(s.Ports) == 1 {
		return &s.Ports[0], nil
	}
	_, err := a.port(s, arg, "")
	if len(s.Ports) == 0 {
		return nil, err
	}
	return nil, usage(fmt.Errorf("choose port of %s: none is given", s.Hostname), a.again(arg, fmt.Sprintf("%s:%d", arg, s.Ports[0].Number)))
}

// foreign says whether a name that no service has looks like a host elsewhere, and not like a mistyped service: it has
// dots, ends neither like a host of the cluster nor in a namespace, and resembles no service.
func (l *loaded) foreign(name string) bool {
	i := strings.LastIndexByte(name, '.')
	if i < 0 || strings.HasSuffix(name, ".svc") || strings.HasSuffix(name, "."+l.snap.Config.ClusterDomain) {
		return false
	}
	return !l.hasNamespace(name[i+1:]) && l.nearestHost(name) == ""
}

func (l *loaded) hasNamespace(ns string) bool {
	if l.snap.Namespace(ns) != nil {
		return true
	}
	for _, s := range l.snap.Services {
		if s.Ref.Namespace == ns {
			return true
		}
	}
	return false
}

// explainer writes an explanation as text.
type explainer struct {
	l     *loaded
	x     *resolve.Explanation
	width int
	all   bool // every loser, however many
	b     strings.Builder
}

func (e *explainer) write() {
	e.wrap("", fmt.Sprintf("%s -> %s", e.l.clientName(e.x.Client), e.callee()))
	e.wrap("", e.sentence())
	e.b.WriteByte('\n')
	n := 0
	for rest := e.x.Reasons; len(rest) > 0; {
		step := rest[0].Step
		k := slices.IndexFunc(rest, func(r resolve.Reason) bool { return r.Step != step })
		if k < 0 {
			k = len(rest)
		}
		n++
		fmt.Fprintf(&e.b, "%d. %s\n", n, title(step))
		e.step(rest[:k])
		rest = rest[k:]
	}
}

// fewLosers is how many objects that lost for one reason are printed without -v: a mesh may have a thousand rules that are
// simply elsewhere.
const fewLosers = 3

// step writes the reasons of one step.
func (e *explainer) step(rs []resolve.Reason) {
	for len(rs) > 0 {
		r, same := rs[0], 1
		for same < len(rs) && r.Outcome == resolve.Lost && rs[same].Outcome == r.Outcome && rs[same].Cause == r.Cause && rs[same].Ref.Kind == r.Ref.Kind {
			same++
		}
		shown := same
		if same > fewLosers+1 && !e.all {
			shown = fewLosers
		}
		for _, r := range rs[:shown] {
			e.reason(r)
		}
		if shown < same {
			e.wrap("   ", fmt.Sprintf("%d more of kind %s lose for the same reason (-v names them)", same-shown, r.Ref.Kind))
		}
		rs = rs[same:]
	}
}

// callee names what is called.
func (e *explainer) callee() string {
	t := e.x.Target
	host := t.Host
	switch {
	case t.Service != nil:
		host = t.Service.Hostname
		if t.Subset != "" {
			host += "|" + t.Subset
		}
	case t.Workload != nil:
		host = e.l.clientName(resolve.Client{Workload: t.Workload}) + " (by its address)"
		return fmt.Sprintf("%s port %d", host, t.Port)
	}
	return fmt.Sprintf("%s:%d", host, t.Port)
}

// sentence is the verdict in one sentence: `CONFLICT: the client sends plaintext, and ...; 1 of 2 endpoints refuses.`
func (e *explainer) sentence() string {
	v := e.x.Verdict
	s := v.Status.String() + ": " + v.Cause.Clause(v.Wire, v.Client)
	if v.Refused > 0 && v.Refused < v.Endpoints {
		verb := "refuse"
		if v.Refused == 1 {
			verb = "refuses"
		}
		s += fmt.Sprintf("; %d of %d endpoints %s", v.Refused, v.Endpoints, verb)
	}
	return s + ". On the wire: " + wireWord(v.Wire) + "."
}

func wireWord(w resolve.Wire) string {
	switch w {
	case resolve.WireRefused:
		return "nothing, it is refused"
	case resolve.WireMixed:
		return "it depends on the endpoint"
	case resolve.WireUnknown:
		return "not known"
	}
	return w.String()
}

// title is a step's question.
func title(s resolve.Step) string {
	switch s {
	case resolve.StepClient:
		return "client: who calls"
	case resolve.StepRule:
		return "rule: which DestinationRule is in force"
	case resolve.StepTLS:
		return "tls: which of its tls settings applies"
	case resolve.StepAuto:
		return "auto: what auto mTLS makes of it"
	case resolve.StepPolicy:
		return "policy: what the server takes"
	case resolve.StepEndpoint:
		return "endpoint: what stands there"
	}
	return "wire: what comes of it"
}

// reason writes one object and its fate, or a plain note, and the place on a line of its own.
func (e *explainer) reason(r resolve.Reason) {
	text := r.Text
	if !r.Ref.IsZero() {
		subject := r.Ref.String()
		if r.Outcome != resolve.Note {
			subject += " " + r.Outcome.String()
		}
		text = subject + ": " + text
	}
	if t := tieText(r.Tie); t != "" {
		text += " (" + t + ")"
	}
	e.wrap("   ", text)
	if at := r.Origin.String(); at != "" {
		// A place is never wrapped: it is there to be clicked.
		fmt.Fprintf(&e.b, "     %s\n", clean(at))
	}
}

// tieText says how a tie was broken.
func tieText(t resolve.TieBreak) string {
	switch t {
	case resolve.TieOldest:
		return "the oldest wins"
	case resolve.TieName:
		return "none is known to be older, so the first by name wins"
	case resolve.TieNewest:
		return "the newest wins"
	case resolve.TieUnspecified:
		return "Istio leaves this to chance; Oarlock takes the first by name"
	}
	return ""
}

// wrap writes text in lines of at most width, the first indented by indent and the rest by two more.
func (e *explainer) wrap(indent, text string) {
	line, first := indent, true
	for _, word := range strings.Fields(clean(text)) {
		if !first && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > e.width {
			e.b.WriteString(line + "\n")
			line, first = indent+"  ", true
		}
		if !first {
			line += " "
		}
		line, first = line+word, false
	}
	e.b.WriteString(line + "\n")
}
