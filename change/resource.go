package change

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/oarlock/oarlock/mesh"
)

// Verb is what a person asks for.
type Verb uint8

// The verbs.
const (
	Allow   Verb = iota // PERMISSIVE: mTLS and plaintext
	Require             // STRICT: mTLS alone
	Disable             // DISABLE: plaintext alone
	Unset               // what the wider scope says
)

// String gives the word of the command line.
func (v Verb) String() string { return [...]string{"allow", "require", "disable", "unset"}[v] }

// ParseVerb reads the word of the command line.
func ParseVerb(s string) (Verb, error) {
	for v := Allow; v <= Unset; v++ {
		if v.String() == s {
			return v, nil
		}
	}
	return 0, fmt.Errorf("parse verb %q: want allow, require, disable or unset", s)
}

// Mode is what the verb makes of a server; ModeUnset for Unset.
func (v Verb) Mode() mesh.Mode {
	return [...]mesh.Mode{mesh.ModePermissive, mesh.ModeStrict, mesh.ModeDisable, mesh.ModeUnset}[v]
}

// Scope says how much a Resource covers.
type Scope uint8

// The scopes, widest first.
const (
	ScopeMesh Scope = iota
	ScopeNamespace
	ScopeService
	ScopePort
)

// String gives one lower-case word.
func (s Scope) String() string { return [...]string{"mesh", "namespace", "service", "port"}[s] }

// Resource names what a verb is about. It is comparable; its String is what ParseResource reads.
type Resource struct {
	Scope     Scope
	Namespace string // empty for the mesh
	Service   string // empty for mesh and namespace
	Port      string // number or name of a service port; empty for all but a port
}

// ParseResource reads `mesh`, `NS`, `NS/SERVICE` or `NS/SERVICE:PORT`. A trailing slash after a namespace is accepted.
func ParseResource(s string) (Resource, error) {
	bad := func(why string) (Resource, error) {
		return Resource{}, fmt.Errorf("parse resource %q: %s; want mesh, NS, NS/SERVICE or NS/SERVICE:PORT", s, why)
	}
	if s == "mesh" || s == "/mesh" {
		return Resource{Scope: ScopeMesh}, nil
	}
	ns, rest, slash := strings.Cut(s, "/")
	if !label(ns) {
		return bad("no such namespace name")
	}
	if !slash || rest == "" {
		return Resource{Scope: ScopeNamespace, Namespace: ns}, nil
	}
	svc, port, colon := strings.Cut(rest, ":")
	r := Resource{Scope: ScopeService, Namespace: ns, Service: svc}
	if colon {
		r.Scope, r.Port = ScopePort, port
	}
	if svc == "" || strings.ContainsAny(svc, "/ ") {
		return bad("no such service name")
	}
	if colon && (port == "" || strings.ContainsAny(port, "/: ")) {
		return bad("no such port name or number")
	}
	return r, nil
}

// label says whether s can be the name of a namespace.
func label(s string) bool {
	if s == "" || len(s) > 63 {
		return false
	}
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' {
			return false
		}
	}
	return true
}

// String gives the resource as a person types it.
func (r Resource) String() string {
	switch r.Scope {
	case ScopeMesh:
		return "mesh"
	case ScopeNamespace:
		return r.Namespace
	case ScopeService:
		return r.Namespace + "/" + r.Service
	}
	return r.Namespace + "/" + r.Service + ":" + r.Port
}

// Title gives the resource as headings show it: "/mesh", "NS/", "NS/SERVICE", never with the port.
func (r Resource) Title() string {
	switch r.Scope {
	case ScopeMesh:
		return "/mesh"
	case ScopeNamespace:
		return r.Namespace + "/"
	}
	return r.Namespace + "/" + r.Service
}

// place is a Resource found in a snapshot.
type place struct {
	Resource
	svc  *mesh.Service // nil for mesh and namespace
	port *mesh.Port    // nil for all but a port
}

// find looks the resource up. What is not there is refused with the nearest name that is.
func find(s *mesh.Snapshot, r Resource) (place, error) {
	p := place{Resource: r}
	if r.Scope == ScopeMesh {
		return p, nil
	}
	if known := namespaces(s); !known[r.Namespace] {
		return p, noNamespace(s, r, keys(known))
	}
	if r.Scope == ScopeNamespace {
		return p, nil
	}
	services := map[string]bool{}
	for _, svc := range s.Services {
		if svc.Ref.Namespace != r.Namespace {
			continue
		}
		services[svc.Ref.Name] = true
		if svc.Ref.Name == r.Service && (p.svc == nil || p.svc.Entry() && !svc.Entry()) {
			p.svc = svc
		}
	}
	if p.svc == nil {
		return p, unknown(r, "service", r.Service, keys(services), func(n string) Resource {
			return Resource{r.Scope, r.Namespace, n, r.Port}
		})
	}
	if r.Scope == ScopePort {
		return p, p.findPort()
	}
	return p, nil
}

// noNamespace refuses a namespace that is not there: what was meant may be a service, or the mesh.
func noNamespace(s *mesh.Snapshot, r Resource, known []string) error {
	err := unknown(r, "namespace", r.Namespace, known, func(n string) Resource {
		return Resource{r.Scope, n, r.Service, r.Port}
	})
	e := (*Refusal)(nil)
	if r.Scope != ScopeNamespace || !errors.As(err, &e) {
		return err
	}
	for _, svc := range s.Services {
		if svc.Ref.Name == r.Namespace && !svc.Entry() {
			e.Try = Resource{Scope: ScopeService, Namespace: svc.Ref.Namespace, Service: svc.Ref.Name}.String()
			return e
		}
	}
	if e.Try == "" && distance(r.Namespace, "mesh") == 1 {
		e.Try = "mesh"
	}
	return e
}

func (w *place) findPort() error {
	names := map[string]bool{}
	number, err := strconv.ParseUint(w.Port, 10, 16)
	for i := range w.svc.Ports {
		q := &w.svc.Ports[i]
		if err == nil && q.Number == uint32(number) || err != nil && q.Name == w.Port {
			w.port = q
			return nil
		}
		names[strconv.Itoa(int(q.Number))] = true
		if q.Name != "" && err != nil {
			names[q.Name] = true
		}
	}
	return unknown(w.Resource, "port", w.Port, keys(names), func(n string) Resource {
		return Resource{ScopePort, w.Namespace, w.Service, n}
	})
}

// namespaces gives every namespace that has an object of its own, a service or a workload.
func namespaces(s *mesh.Snapshot) map[string]bool {
	known := map[string]bool{}
	for _, n := range s.Namespaces {
		known[n.Ref.Name] = true
	}
	for _, svc := range s.Services {
		known[svc.Ref.Namespace] = true
	}
	for _, w := range s.Workloads {
		known[w.Ref.Namespace] = true
	}
	return known
}
