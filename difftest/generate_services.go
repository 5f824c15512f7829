package difftest

import "fmt"

func (g *generator) services() {
	for range 1 + g.IntN(4) {
		switch {
		case g.kube && g.chance(70):
			g.service()
		case g.chance(65):
			g.internalEntry()
		default:
			g.externalEntry()
		}
	}
}

// service is a Kubernetes Service; some are headless, some have no pods.
func (g *generator) service() {
	ns, name := g.namespace(), g.pick("foo", "bar", "web")
	spec := map[string]any{"selector": g.selector(), "ports": g.servicePorts(false)}
	if g.chance(30) {
		spec["clusterIP"] = "None"
	} else {
		spec["clusterIP"] = fmt.Sprintf("10.96.0.%d", len(g.docs))
	}
	meta := map[string]any{}
	if g.chance(25) {
		meta["annotations"] = map[string]any{"networking.istio.io/exportTo": g.annotation(ns)}
	}
	if g.taken(ns, name+"."+ns+".svc."+clusterDomain) {
		return
	}
	if g.add("v1", "Service", ns, name, map[string]any{"metadata": meta, "spec": spec}) {
		g.hosts = append(g.hosts, name+"."+ns+".svc."+clusterDomain)
	}
}

func (g *generator) annotation(ns string) string {
	switch g.IntN(5) {
	case 0:
		return "~"
	case 1:
		return "."
	case 2:
		return "*"
	}
	out := g.namespace()
	if g.chance(50) {
		out += g.pick(",", ", ") + g.pick(".", g.namespace())
	}
	return out
}

// servicePorts are one or two ports, with target ports that differ or not. declared adds ServiceEntry's protocol.
func (g *generator) servicePorts(declared bool) []any {
	port := func(number, target int, name, protocol string) map[string]any {
		key := "port"
		if declared {
			key = "number"
		}
		p := map[string]any{key: number, "name": name}
		if declared {
			p["protocol"] = protocol
		}
		switch {
		case g.chance(55):
			p["targetPort"] = target
		case !declared && g.chance(40):
			p["targetPort"] = map[int]string{8080: "web", 9090: "db"}[target]
		}
		return p
	}
	out := []any{port(80, 8080, "http", "HTTP")}
	if g.chance(50) {
		out = append(out, port(90, 9090, "tcp-db", "TCP"))
	}
	return out
}

// internalEntry is a service of the mesh as a ServiceEntry with the host that a Kubernetes Service would have.
func (g *generator) internalEntry() {
	ns := g.namespace()
	host := g.pick("foo", "bar", "web") + "." + ns + ".svc." + clusterDomain
	if g.chance(10) {
		ns = g.namespace() // somebody else's host
	}
	spec := map[string]any{
		"hosts": []any{host}, "ports": g.servicePorts(true),
		"location":   g.weighted("MESH_INTERNAL", 92, "MESH_EXTERNAL"),
		"resolution": g.weighted("STATIC", 80, "DNS", "NONE"),
	}
	g.entry(ns, host, spec)
}

// externalEntry is a host outside of Kubernetes; some are in the mesh all the same.
func (g *generator) externalEntry() {
	host := g.pick("api.example.com", "x.y.example.com", "*.example.com", "db.local")
	spec := map[string]any{"hosts": []any{host}, "ports": g.servicePorts(true), "resolution": g.pick("STATIC", "DNS", "NONE")}
	if host[0] == '*' {
		spec["resolution"] = g.pick("STATIC", "NONE")
	}
	if l := g.pick("MESH_INTERNAL", "MESH_EXTERNAL", ""); l != "" {
		spec["location"] = l
	}
	g.entry(g.namespace(), host, spec)
}

func (g *generator) entry(ns, host string, spec map[string]any) {
	if g.chance(25) {
		if e := g.exportTo(ns); e != nil {
			spec["exportTo"] = e
		}
	}
	if g.chance(10) {
		spec["subjectAltNames"] = []any{"spiffe://other/ns/x/sa/y"}
	}
	if g.taken(ns, host) {
		return
	}
	name := g.name()
	switch {
	case spec["resolution"] == "NONE": // has no endpoints: admission
	case g.chance(12):
		g.selectingEntry(ns, name, spec)
	case g.chance(85):
		var eps []any
		for range 1 + g.IntN(3) {
			eps = append(eps, g.endpoint(spec))
		}
		spec["endpoints"] = eps
	case spec["resolution"] == "STATIC":
		spec["endpoints"] = []any{g.endpoint(spec)}
	}
	if g.add("networking.istio.io/v1", "ServiceEntry", ns, name, map[string]any{"spec": spec}) {
		g.hosts = append(g.hosts, host)
	}
}

// taken says whether a namespace has a service with this host already. Two in one namespace are merged by Istio where
// they can be; oarlock tells them apart (docs/decisions.md).
func (g *generator) taken(ns, host string) bool {
	key := "host/" + ns + "/" + host
	was := g.seen[key]
	g.seen[key] = true
	return was
}

// endpoint is an endpoint with or without a sidecar's label and an account, the two signs of a sidecar.
func (g *generator) endpoint(spec map[string]any) map[string]any {
	l := g.workloadLabels()
	e := map[string]any{"address": g.address(), "labels": l}
	if g.chance(65) {
		l["security.istio.io/tlsMode"] = g.weighted("istio", 85, "disabled", "other")
	}
	if g.chance(40) {
		e["serviceAccount"] = g.pick("sa1", "sa2")
	}
	if g.chance(15) {
		e["ports"] = map[string]any{"http": 8081}
	}
	if spec["resolution"] == "DNS" && g.chance(30) {
		e["address"] = fmt.Sprintf("e%d.example.net", g.ips)
	}
	return e
}

// selectingEntry makes a ServiceEntry choose WorkloadEntries, or Pods where there is a Kubernetes.
func (g *generator) selectingEntry(ns, name string, spec map[string]any) {
	if g.kube && g.chance(50) {
		spec["workloadSelector"] = map[string]any{"labels": g.selector()}
		return
	}
	// Pods do not have this label: without a Kubernetes, Istio could not find them.
	spec["workloadSelector"] = map[string]any{"labels": map[string]any{"vm": name}}
	for i := range g.IntN(3) {
		e := g.endpoint(spec)
		object(e["labels"])["vm"] = name
		g.add("networking.istio.io/v1", "WorkloadEntry", ns, fmt.Sprintf("%s-%d", name, i), map[string]any{"spec": e})
	}
}
