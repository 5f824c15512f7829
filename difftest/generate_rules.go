package difftest

import (
	"slices"
	"strings"
)

func (g *generator) destinationRule() {
	ns := g.namespace()
	host := g.ruleHost(&ns)
	if g.lastRule != nil && g.chance(35) { // rules for one host and namespace merge, or do not
		ns, host = g.lastRule.Namespace(), text(g.lastRule.Spec()["host"])
	}
	spec := map[string]any{"host": host}
	if g.chance(15) {
		spec["workloadSelector"] = map[string]any{"matchLabels": g.selector()}
		if g.chance(30) {
			spec["exportTo"] = []any{"."}
		}
	} else if e := g.ruleExportTo(ns); e != nil {
		spec["exportTo"] = e
	}
	if g.chance(75) {
		spec["trafficPolicy"] = g.trafficPolicy(45, 40)
	}
	if g.chance(35) {
		var subsets []any
		for _, name := range []string{"v1", "v2", "v3"} {
			if g.chance(55) {
				subsets = append(subsets, g.subset(name))
			}
		}
		if subsets != nil {
			spec["subsets"] = subsets
		}
	}
	if g.add("networking.istio.io/v1", "DestinationRule", ns, g.name(), map[string]any{"spec": spec}) {
		g.lastRule = g.docs[len(g.docs)-1]
	}
}

// ruleExportTo is often the last rule's list, or that with one namespace more: merging compares the lists.
func (g *generator) ruleExportTo(ns string) []any {
	out := g.exportTo(ns)
	if g.lastRule == nil || g.lastRule.Namespace() != ns || !g.chance(50) {
		return out
	}
	last := list(g.lastRule.Spec()["exportTo"])
	if len(last) == 0 || last[0] == "*" {
		return out
	}
	more := g.namespace()
	if g.chance(50) || more == ns || slices.Contains(last, any(more)) {
		return last
	}
	return append(slices.Clone(last), more)
}

// ruleHost picks a host that some service has, or a name that covers or nearly covers one. Half of the time the rule
// goes to the service's own namespace.
func (g *generator) ruleHost(ns *string) string {
	host := g.anyHost()
	name, rest, _ := strings.Cut(host, ".")
	owner, suffix, _ := strings.Cut(rest, ".")
	if suffix != "svc."+clusterDomain {
		return g.pick(host, host, "*.example.com", "*.com", "*", "*.local")
	}
	if g.chance(50) {
		*ns = owner
	}
	switch n := g.IntN(100); {
	case n < 35:
		return host
	case n < 55:
		return name
	case n < 60:
		return name + "." + owner
	case n < 70:
		return "*.local"
	case n < 77:
		return "*"
	case n < 85:
		return "*." + owner + ".svc." + clusterDomain
	}
	return "*.svc." + clusterDomain
}

func (g *generator) trafficPolicy(tls, ports int) map[string]any {
	out := map[string]any{}
	if g.chance(tls) {
		out["tls"] = g.tls()
	}
	if g.chance(20) {
		out["loadBalancer"] = g.loadBalancer()
	}
	if g.chance(ports) {
		var entries []any
		for _, p := range []int{80, 90, 8080} {
			if !g.chance(40) {
				continue
			}
			e := map[string]any{"port": map[string]any{"number": p}}
			if g.chance(50) {
				e["tls"] = g.tls()
			}
			if g.chance(15) {
				e["loadBalancer"] = g.loadBalancer()
			}
			if len(e) == 1 {
				e["connectionPool"] = map[string]any{"tcp": map[string]any{"maxConnections": 10}}
			}
			entries = append(entries, e)
		}
		if entries != nil {
			out["portLevelSettings"] = entries
		}
	}
	if len(out) == 0 {
		out["connectionPool"] = map[string]any{"tcp": map[string]any{"maxConnections": 10}}
	}
	return out
}

func (g *generator) loadBalancer() map[string]any {
	return map[string]any{"simple": g.pick("PASSTHROUGH", "PASSTHROUGH", "ROUND_ROBIN")}
}

func (g *generator) subset(name string) map[string]any {
	s := map[string]any{"name": name, "labels": map[string]any{"v": g.pick("1", "2")}}
	if g.chance(55) {
		s["trafficPolicy"] = g.trafficPolicy(50, 30)
	}
	return s
}

func (g *generator) tls() map[string]any {
	out := map[string]any{}
	switch n := g.IntN(100); {
	case n < 6: // DISABLE, as the enum's zero value
		return out
	case n < 35:
		out["mode"] = "DISABLE"
		return out
	case n < 75:
		out["mode"] = "ISTIO_MUTUAL"
	case n < 90:
		out["mode"] = "SIMPLE"
		if g.chance(20) {
			out["credentialName"] = "cred"
		}
	default:
		out["mode"] = "MUTUAL"
		out["clientCertificate"], out["privateKey"] = "/etc/certs/cert.pem", "/etc/certs/key.pem"
	}
	if g.chance(15) {
		out["sni"] = "sni.example.com"
	}
	if g.chance(15) {
		out["subjectAltNames"] = []any{"spiffe://other/ns/x/sa/z"}
	}
	return out
}
