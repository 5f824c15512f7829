package manifest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/oarlock/oarlock/mesh"
)

// admit applies the checks of the API server's admission that bear on mutual TLS, those of the dialect's own time. What
// they refuse is not taken in, unless the reader is lenient.
func (b *builder) admit(o *object) bool {
	a := &admission{builder: b, o: o}
	legacy := b.snap.Dialect.Legacy()
	switch t := o.typed.(type) {
	case *mesh.PeerAuthentication:
		if !legacy {
			a.peerAuthentication(t)
		}
	case *mesh.Policy:
		if legacy {
			a.policy(t)
		}
	case *mesh.DestinationRule:
		if !legacy {
			a.destinationRule(t)
		}
		a.portSelectors(t)
	case []*mesh.Service:
		if !legacy && len(t) > 0 {
			a.exportTo(t[0].ExportTo)
		}
	case *mesh.VirtualService:
		if !legacy {
			a.exportTo(t.ExportTo)
		}
	}
	return !a.refused
}

// admission checks one object.
type admission struct {
	*builder
	o       *object
	refused bool
}

// refuse reports what admission would not let in, at the first of the paths that is there, else at the object.
func (a *admission) refuse(at *value, hint, format string, args ...any) {
	sev := mesh.Error
	if a.opt.Lenient {
		sev = mesh.Warning
	} else {
		a.refused = true
	}
	a.note(sev, &a.o.Object, a.origin(at), hint, fmt.Sprintf(format, args...))
}

func (a *admission) remark(at *value, hint, format string, args ...any) {
	a.note(mesh.Warning, &a.o.Object, a.origin(at), hint, fmt.Sprintf(format, args...))
}

func (a *admission) origin(at *value) mesh.Origin {
	if at == nil {
		return a.o.Origin
	}
	return mesh.Origin{File: a.o.Origin.File, Line: int(at.line), Col: int(at.col)}
}

// peerAuthentication: port modes need a selector and must not be empty (semantics M7).
func (a *admission) peerAuthentication(pa *mesh.PeerAuthentication) {
	ports := a.o.body.at("spec", "portLevelMtls")
	switch {
	case ports == nil:
	case len(pa.Ports) == 0:
		a.refuse(ports, "remove it, or name a port", "spec.portLevelMtls is empty")
	case len(pa.Selector) == 0:
		a.refuse(ports, "add spec.selector.matchLabels: ports are those of selected workloads", "spec.portLevelMtls needs a selector")
	}
}

// destinationRule: who may see it (semantics M14, M18), and no empty trafficPolicy (M20).
func (a *admission) destinationRule(dr *mesh.DestinationRule) {
	spec := a.o.body.get("spec")
	a.exportTo(dr.ExportTo)
	if dr.WorkloadSelector != nil && len(dr.ExportTo) > 0 {
		if len(dr.ExportTo) > 1 || dr.ExportTo[0] != "." && dr.ExportTo[0] != dr.Ref.Namespace {
			a.refuse(spec.get("exportTo"), "remove exportTo, or write `exportTo: [.]`", "a rule with a workloadSelector is for its own namespace alone")
		}
	}
	policies := []*value{spec.get("trafficPolicy")}
	for _, s := range spec.list("subsets") {
		policies = append(policies, s.get("trafficPolicy"))
	}
	for _, p := range policies {
		if p != nil && len(p.fields) == 0 {
			a.remark(p, "remove it", "the API server refuses an empty trafficPolicy")
		}
	}
}

// exportTo: no namespace twice, "*" and "~" only alone, and "~" for a ServiceEntry alone (semantics M14, M44).
func (a *admission) exportTo(list []string) {
	at := a.o.body.at("spec", "exportTo")
	seen := map[string]bool{}
	for _, e := range list {
		name := e
		if name == "." {
			name = a.o.Ref.Namespace
		}
		switch {
		case seen[name]:
			a.refuse(at, "name each namespace once; \".\" is the own one", "spec.exportTo names %q twice", shorten(e))
			return
		case e == "~" && a.o.Ref.Kind != mesh.KindServiceEntry:
			a.refuse(at, "write \".\" to keep it in its namespace", "spec.exportTo: \"~\" is for a ServiceEntry alone")
			return
		case (e == "~" || e == "*") && len(list) > 1:
			a.refuse(at, "remove the others", "spec.exportTo: %q cannot stand beside others", e)
			return
		}
		seen[name] = true
	}
}

// portSelectors warns about portLevelSettings that match nothing: names stopped counting in 1.4 (semantics L30).
func (a *admission) portSelectors(dr *mesh.DestinationRule) {
	check := func(policy *value) {
		for _, e := range policy.list("portLevelSettings") {
			port := e.get("port")
			switch {
			case port.number("number", 0) != 0:
			case port.str("name") == "":
				a.remark(e, "write `port: {number: ...}`", "portLevelSettings without a port matches nothing")
			case a.snap.Dialect >= mesh.Dialect14:
				a.remark(port, "write `number:` with the port of the Service", "portLevelSettings selects port %q by name, which matches nothing", shorten(port.str("name")))
			}
		}
	}
	spec := a.o.body.get("spec")
	check(spec.get("trafficPolicy"))
	for _, s := range spec.list("subsets") {
		check(s.get("trafficPolicy"))
	}
}

// policy: names and targets of legacy policies (semantics L2).
func (a *admission) policy(p *mesh.Policy) {
	spec := a.o.body.get("spec")
	targets := spec.get("targets")
	switch {
	case p.Ref.Kind == mesh.KindMeshPolicy && p.Ref.Name != "default":
		a.remark(a.o.body.at("metadata", "name"), "call it default", "only the MeshPolicy called default counts; this one is ignored")
	case p.Ref.Kind == mesh.KindMeshPolicy && len(p.Targets) > 0:
		a.refuse(targets, "remove the targets, or write a Policy", "a MeshPolicy has no targets")
	case p.Ref.Kind == mesh.KindPolicy && p.Ref.Name == "default" && len(p.Targets) > 0:
		a.refuse(targets, "give it another name, or remove the targets", "a Policy called default is for its whole namespace and has no targets")
	case p.Ref.Kind == mesh.KindPolicy && p.Ref.Name != "default" && len(p.Targets) == 0:
		a.refuse(a.o.body.at("metadata", "name"), "call it default, or name its targets", "a Policy without targets must be called default")
	}
	for i, t := range p.Targets {
		at := targets.items[i]
		switch {
		case t.Name == "" && len(t.Labels) > 0:
			if a.snap.Dialect != mesh.Dialect12 && a.snap.Dialect != mesh.Dialect13 {
				a.remark(at, "name the service", "spec.targets[%d] selects by labels, which match nothing in %s", i, a.snap.Dialect)
			}
		case !isDNSLabel(t.Name):
			a.refuse(at, "write the short name of a Service of this namespace", "spec.targets[%d].name %q is no short name", i, shorten(t.Name))
		}
	}
	a.issuers(spec)
}

// issuers: each issuer of JSON web tokens only once.
func (a *admission) issuers(spec *value) {
	var seen []string
	for _, e := range slices.Concat(spec.list("peers"), spec.list("origins")) {
		jwt := e.get("jwt")
		issuer := jwt.str("issuer")
		if issuer != "" && slices.Contains(seen, issuer) {
			a.refuse(jwt, "name each issuer once", "the issuer %q is there twice", shorten(issuer))
		}
		seen = append(seen, issuer)
	}
}

func isDNSLabel(s string) bool {
	return s != "" && len(s) <= 63 && s[0] != '-' && s[len(s)-1] != '-' &&
		strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}
