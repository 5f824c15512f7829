package web

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/oarlock/oarlock/api"
	"github.com/oarlock/oarlock/change"
	"github.com/oarlock/oarlock/mesh"
)

// The window of observations.
const (
	baseWindow  = time.Minute
	leastWindow = 10 * time.Second
	mostWindow  = 24 * time.Hour
)

// windowOf reads the parameter of that name.
func windowOf(r *http.Request) (time.Duration, error) {
	s := r.FormValue("window")
	if s == "" {
		return baseWindow, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < leastWindow || d > mostWindow {
		return 0, bad("read window: want a duration from %s to %s, not %.40q", leastWindow, mostWindow, s)
	}
	return d.Truncate(time.Second), nil
}

// intParam reads a number within limits.
func intParam(r *http.Request, name string, otherwise, least, most int) (int, error) {
	s := r.FormValue(name)
	if s == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < least || n > most {
		return 0, bad("read %s: want a number from %d to %d, not %.40q", name, least, most, s)
	}
	return n, nil
}

// rules is GET /v1/mtls.
func (a *API) rules(r *http.Request) (any, error) {
	s := a.opt.Mesh.Now().resolver().Snapshot()
	out := &api.Rules{Head: head("Rules"), Rules: []api.Rule{}}
	asked := r.FormValue("resource")
	if asked == "" {
		for _, row := range change.List(s) {
			one := ruleOf(&row.Rule, row.Resource())
			one.Own = true
			out.Rules = append(out.Rules, one)
		}
		return out, nil
	}
	resource, err := change.ParseResource(asked)
	if err != nil {
		return nil, &problem{http.StatusBadRequest, err}
	}
	rules, err := change.InForce(s, resource)
	if err != nil {
		return nil, unknownResource(err)
	}
	out.Title = "mTLS rule for " + resource.Title()
	for i := range rules {
		out.Rules = append(out.Rules, ruleOf(&rules[i], resource))
	}
	return out, nil
}

// ruleOf is a rule with what it says of a resource. It is the resource's own where the policy covers no more than that.
func ruleOf(r *change.Rule, about change.Resource) api.Rule {
	out := api.Rule{Resource: about.String(), Policy: r.PolicyWord(), Targets: "[", Mode: r.ModeWord(), Place: Place(r.Policy, r.Origin)}
	for i, t := range r.Targets {
		if i > 0 {
			out.Targets += " "
		}
		out.Targets += t
	}
	out.Targets += "]"
	out.Own = !r.Policy.IsZero() && ownScope(r, about)
	return out
}

// ownScope says whether the policy is of the scope of the resource itself, so that unset takes it away.
func ownScope(r *change.Rule, about change.Resource) bool {
	if r.Scope != about.Scope {
		return false
	}
	if about.Scope == change.ScopePort { // a policy of the whole service decides for its ports too
		return slices.ContainsFunc(r.Targets, func(t string) bool { return strings.Contains(t, "(") })
	}
	return about.Scope == change.ScopeMesh || r.Policy.Namespace == about.Namespace
}

// modeOf is the mode in force for a resource, "" where it is not known.
func modeOf(s *mesh.Snapshot, about change.Resource) *api.Rule {
	rules, err := change.InForce(s, about)
	if err != nil || len(rules) == 0 {
		return nil
	}
	out := ruleOf(&rules[0], about)
	return &out
}
