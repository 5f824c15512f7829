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
	slice := false
	switch n := g.IntN(100); {
	case n < 30:
		spec["clusterIP"] = "None"
	case n < 34:
		spec["type"], spec["externalName"] = "ExternalName", g.anyHost()
		delete(spec, "selector")
	default:
		spec["clusterIP"] = fmt.Sprintf("10.96.0.%d", len(g.docs))
		if g.chance(10) {
			delete(spec, "selector")
			slice = true
			for _, p := range list(spec["ports"]) {
				object(p)["targetPort"] = g.pick2(8080, 8081)
			}
		}
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
		if slice {
			g.endpointSlice(ns, name, list(spec["ports"]))
		}
	}
}

// endpointSlice is what somebody writes by hand for a Service without a selector: a pod of the namespace, or an address
// of which nothing else is known.
func (g *generator) endpointSlice(ns, service string, ports []any) {
	e := map[string]any{"addresses": []any{g.address()}, "conditions": map[string]any{"ready": true}}
	for _, d := range g.docs {
		if d.Kind() == "Pod" && d.Namespace() == ns && g.chance(70) {
			e["addresses"] = []any{object(d["status"])["podIP"]}
			e["targetRef"] = map[string]any{"kind": "Pod", "name": d.Name(), "namespace": ns}
		}
	}
	var out []any
	for _, p := range ports {
		protocol := text(object(p)["protocol"])
		if protocol == "" {
			protocol = "TCP"
		}
		out = append(out, map[string]any{"name": object(p)["name"], "port": object(p)["targetPort"], "protocol": protocol})
	}
	g.add("discovery.k8s.io/v1", "EndpointSlice", ns, service+"-own", map[string]any{
		"metadata": map[string]any{"labels": map[string]any{"kubernetes.io/service-name": service}}, "addressType": "IPv4",
		"endpoints": []any{e}, "ports": out,
	})
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

// servicePorts are one or two ports, with target ports that differ or not. declared makes them a ServiceEntry's.
func (g *generator) servicePorts(declared bool) []any {
	out := []any{g.servicePort(declared, 80, 8080)}
	if g.chance(50) {
		out = append(out, g.servicePort(declared, 90, 9090))
	}
	return out
}

func (g *generator) servicePort(declared bool, number, target int) map[string]any {
	name := map[int]string{80: "http", 90: "tcp-db"}[number]
	if g.chance(20) {
		name = g.pick("grpc", "http2", "web", "tls") + fmt.Sprintf("-%d", number)
	}
	p := map[string]any{"name": name}
	if declared {
		p["number"] = number
		p["protocol"] = map[string]string{"http": "HTTP", "tcp-db": "TCP"}[name]
		if p["protocol"] == "" {
			p["protocol"] = g.pick("GRPC", "HTTP2", "HTTP", "TLS", "HTTPS", "UDP")
		}
	} else {
		p["port"] = number
		if g.chance(8) {
			p["appProtocol"] = g.pick("grpc", "http", "kubernetes.io/h2c", "example.com/own")
		}
		if g.chance(3) {
			p["protocol"] = "UDP"
		}
	}
	switch {
	case g.chance(55):
		p["targetPort"] = target
	case !declared && g.chance(40):
		p["targetPort"] = map[int]string{8080: "web", 9090: "db"}[target]
	}
	return p
}

// internalEntry is a service of the mesh as a ServiceEntry with the host that a Kubernetes Service would have.
func (g *generator) internalEntry() {
	ns := g.namespace()
	host := g.pick("foo", "bar", "web") + "." + ns + ".svc." + clusterDomain
	if len(g.hosts) > 0 && g.chance(35) { // somebody else's host
		host, ns = g.anyHost(), g.namespace()
	}
	spec := map[string]any{
		"hosts": []any{host}, "ports": g.servicePorts(true),
		"location":   g.weighted("MESH_INTERNAL", 92, "MESH_EXTERNAL"),
		"resolution": g.weighted("STATIC", 80, "DNS", "NONE"),
	}
	if host[0] == '*' && spec["resolution"] == "DNS" {
		spec["resolution"] = "STATIC"
	}
	g.entry(ns, spec)
}

// externalEntry is a host outside of Kubernetes; some are in the mesh all the same.
func (g *generator) externalEntry() {
	host := g.pick("api.example.com", "x.y.example.com", "*.example.com", "db.local")
	spec := map[string]any{"hosts": []any{host}, "ports": g.servicePorts(true), "resolution": g.pick("STATIC", "DNS", "NONE")}
	if host[0] == '*' {
		spec["resolution"] = g.pick("STATIC", "NONE")
	} else if g.chance(30) && text(object(list(spec["ports"])[0])["protocol"]) == "HTTP" {
		spec["ports"] = list(spec["ports"])[:1] // several hosts are refused with a TCP port
		spec["hosts"] = []any{host, g.pick("second.example.com", "third.local")}
	}
	if l := g.pick("MESH_INTERNAL", "MESH_EXTERNAL", ""); l != "" {
		spec["location"] = l
	}
	g.entry(g.namespace(), spec)
}

func (g *generator) entry(ns string, spec map[string]any) {
	if g.chance(40) {
		if e := g.exportTo(ns); e != nil {
			spec["exportTo"] = e
		}
	}
	if g.chance(10) {
		spec["subjectAltNames"] = []any{"spiffe://other/ns/x/sa/y"}
	}
	for _, h := range list(spec["hosts"]) {
		if g.taken(ns, text(h)) {
			return
		}
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
		for _, h := range list(spec["hosts"]) {
			g.hosts = append(g.hosts, text(h))
		}
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
		ports := list(spec["ports"])
		e["ports"] = map[string]any{text(object(ports[g.IntN(len(ports))])["name"]): 8081}
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
