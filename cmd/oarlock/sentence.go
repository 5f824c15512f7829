package main

import (
	"fmt"
	"strings"

	"github.com/oarlock/oarlock/resolve"
)

// why gives the reason behind a verdict as a clause, and where endpoints differ what each of them does.
func (l *loaded) why(c resolve.Client, t resolve.Target, v resolve.Verdict) string {
	why := v.Cause.Clause(v.Wire, v.Client)
	if v.Server != resolve.ServerMixed && v.Wire != resolve.WireMixed && (v.Refused == 0 || v.Refused == v.Endpoints) {
		return why
	}
	var each []string
	for _, e := range l.resolver.Explain(c, t).Endpoints {
		each = append(each, fmt.Sprintf("%s %s: %s", l.endpointName(e), e.Server, e.Wire))
	}
	return why + " (" + strings.Join(each, "; ") + ")"
}

// endpointName names a class of endpoints by the first of them.
func (l *loaded) endpointName(e resolve.Endpoint) string {
	switch len(e.Workloads) {
	case 0:
		return "no known endpoint"
	case 1:
		return l.clientName(resolve.Client{Workload: e.Workloads[0]})
	}
	return fmt.Sprintf("%s (+%d alike)", l.clientName(resolve.Client{Workload: e.Workloads[0]}), len(e.Workloads)-1)
}
