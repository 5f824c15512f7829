package casefile

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/resolve"
)

// answer is what the resolver says to one eval.
type answer struct {
	run    *runner
	target resolve.Target
	v      resolve.Verdict
	ex     *resolve.Explanation
}

func (run *runner) eval(s *statement) *Failure {
	c, t, err := run.call(s.args)
	if err != nil {
		return &Failure{Message: err.Error()}
	}
	if t.Host != "" && !asksFor(s, "outbound") {
		return &Failure{Message: fmt.Sprintf("find target: no service, ServiceEntry host or pod address is %q; where that is meant, "+
			"say so with a line outbound PassthroughCluster (or another)", t.Host)}
	}
	a := answer{run: run, target: t, v: run.r.Resolve(c, t), ex: run.r.Explain(c, t)}
	if a.v != a.ex.Verdict {
		return &Failure{Message: fmt.Sprintf("resolve and explain disagree:\n%+v\n%+v", a.v, a.ex.Verdict)}
	}
	next := 0 // the first reason that a reason line may still name
	failure := compare(s, func(w want) string {
		if w.key == "reason" {
			return a.reason(w.value, &next)
		}
		return a.key(w)
	})
	if failure != nil {
		failure.Reasons = a.reasons()
	}
	return failure
}

func asksFor(s *statement, key string) bool {
	for _, w := range s.wants {
		if w.key == key {
			return true
		}
	}
	return false
}

// key gives the answer to one key, in the form in which it is written in a case file.
func (a *answer) key(w want) string {
	switch w.key {
	case "status":
		return a.v.Status.String()
	case "server":
		return a.v.Server.String()
	case "policy":
		return a.policy(a.v.Policy)
	case "client":
		return a.v.Client.String()
	case "rule":
		if a.v.Rule == resolve.None {
			return "none"
		}
		return a.run.snap.DestinationRules[a.v.Rule].Ref.String()
	case "auto":
		return a.v.Auto.String()
	case "wire":
		return a.v.Wire.String()
	case "outbound":
		return a.v.Outbound.String()
	case "cause":
		return a.v.Cause.String()
	case "tie":
		return a.v.Tie.String()
	case "endpoints":
		return strconv.Itoa(int(a.v.Endpoints))
	case "refused":
		return strconv.Itoa(int(a.v.Refused))
	case "endpoint":
		return a.endpoint(w.value)
	case "protocol":
		return a.protocol(w.value)
	}
	return a.tls(w.key)
}

func (a *answer) policy(i int32) string {
	ref, _ := a.run.r.Policy(i)
	if ref.IsZero() {
		return "none"
	}
	return ref.String()
}

// endpoint answers WORKLOAD KEY VALUE with the value that is.
func (a *answer) endpoint(value string) string {
	words := strings.SplitN(value, " ", 3)
	e, err := a.findEndpoint(words[0])
	if err != nil {
		return err.Error()
	}
	got := ""
	switch words[1] {
	case "server":
		got = e.Server.String()
	case "policy":
		got = a.policy(e.Policy)
	case "wire":
		got = e.Wire.String()
	case "cause":
		got = e.Cause.String()
	case "tie":
		got = e.Tie.String()
	case "sends":
		got = e.Sends.String()
	}
	return words[0] + " " + words[1] + " " + got
}

func (a *answer) findEndpoint(name string) (*resolve.Endpoint, error) {
	var known []string
	for i := range a.ex.Endpoints {
		for _, w := range a.ex.Endpoints[i].Workloads {
			if isNamed(w, name) {
				return &a.ex.Endpoints[i], nil
			}
			known = append(known, nameOf(w))
		}
	}
	if len(known) == 0 {
		return nil, fmt.Errorf("no endpoint is known")
	}
	return nil, fmt.Errorf("no endpoint %s; there are %s", name, strings.Join(known, ", "))
}

func (a *answer) protocol(value string) string {
	if a.target.Service == nil || a.target.Service.Port(a.target.Port) == nil {
		return "none"
	}
	p := resolve.PortProtocol(a.target.Service.Port(a.target.Port), a.run.snap.Dialect)
	if len(strings.Fields(value)) == 2 {
		return p.Name + " " + p.Class.String()
	}
	return p.Name
}

// tls gives one part of how the client starts TLS; "none" where it starts none, or says nothing of the kind.
func (a *answer) tls(key string) string {
	if a.ex.TLS == nil {
		return "none"
	}
	got := map[string]string{
		"sni":  a.ex.TLS.SNI,
		"san":  strings.Join(a.ex.TLS.SANs, " "),
		"alpn": strings.Join(a.ex.TLS.ALPN, " "),
		"min":  a.ex.TLS.MinVersion,
		"max":  a.ex.TLS.MaxVersion,
	}[key]
	if got == "" {
		return "none"
	}
	return got
}

// compat compares one row of tls-check as it was printed.
func (run *runner) compat(s *statement) *Failure {
	c, t, err := run.call(s.args)
	if err != nil {
		return &Failure{Message: err.Error()}
	}
	v := run.r.Compat(c, t)
	d := run.snap.Dialect
	policy, _ := run.r.Policy(v.Policy)
	var rule mesh.Ref
	if v.Rule != resolve.None {
		rule = run.snap.DestinationRules[v.Rule].Ref
	}
	row := []string{v.Status.String(), v.Server.Word(d), resolve.ClientWord(v.Client, d),
		resolve.RefWord(policy, d, run.snap.Config.RootNamespace), resolve.RefWord(rule, d, "")}
	for i, w := range row {
		if strings.Contains(w, " ") {
			row[i] = strconv.Quote(w)
		}
	}
	return compare(s, func(want) string { return strings.Join(row, " ") })
}

func (run *runner) visible(s *statement) *Failure {
	c, err := run.client(s.args[0])
	if err != nil {
		return &Failure{Message: err.Error()}
	}
	services := run.r.Services(s.args[1], namespaceOf(c))
	if len(services) != 1 {
		return &Failure{Message: fmt.Sprintf("find service %q: %d match, want one", s.args[1], len(services))}
	}
	got := "no"
	if run.r.Visible(c, services[0]) {
		got = "yes"
	}
	if got == s.args[2] {
		return nil
	}
	return &Failure{Rows: []Row{{Line: s.line, Key: "visible", Want: s.args[2], Got: got, Differs: true}}}
}
