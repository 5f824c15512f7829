package manifest

import (
	"slices"
	"strings"

	"github.com/oarlock/oarlock/mesh"
)

func (c *checker) sidecar(o mesh.Object, v *value) any {
	spec := v.get("spec")
	s := &mesh.Sidecar{Object: o, Selector: spec.get("workloadSelector").labels("labels")}
	for _, e := range spec.list("egress") {
		s.Egress = append(s.Egress, c.egress(e))
	}
	for i, e := range spec.list("ingress") {
		port := e.get("port")
		s.Ingress = append(s.Ingress, mesh.IngressListener{
			Port: c.port(port.get("number"), "spec.ingress[%d].port.number", i),
			Name: port.str("name"), Protocol: port.str("protocol"), HasTLS: e.get("tls") != nil})
	}
	if p := spec.get("outboundTrafficPolicy"); p != nil {
		// Without a mode it is REGISTRY_ONLY, the zero of its enum, and not the mesh's.
		if s.OutboundTrafficPolicy = outboundPolicy(p.get("mode")); s.OutboundTrafficPolicy == mesh.OutboundUnset {
			s.OutboundTrafficPolicy = mesh.OutboundRegistryOnly
		}
	}
	return s
}

// egress reads one egress listener. One with a port imports that port of its hosts alone, unless it is an HTTP proxy.
func (c *checker) egress(e *value) mesh.EgressListener {
	port := c.port(e.get("port").get("number"), "spec.egress.port.number")
	if strings.EqualFold(e.get("port").str("protocol"), "HTTP_PROXY") {
		port = 0
	}
	return mesh.EgressListener{Port: port, Hosts: e.strs("hosts")}
}

// outboundPolicy reads a checked word, or its number.
func outboundPolicy(v *value) mesh.OutboundPolicy {
	if v == nil {
		return mesh.OutboundUnset
	}
	switch v.text {
	case "REGISTRY_ONLY", "0":
		return mesh.OutboundRegistryOnly
	case "ALLOW_ANY", "1":
		return mesh.OutboundAllowAny
	case "ALLOW_ANY_DYNAMIC_DNS", "2":
		return mesh.OutboundAllowAnyDynamicDNS
	}
	return mesh.OutboundUnset
}

func (c *checker) virtualService(o mesh.Object, v *value) any {
	spec := v.get("spec")
	vs := &mesh.VirtualService{Object: o, Hosts: spec.strs("hosts"), Gateways: spec.strs("gateways"), ExportTo: spec.strs("exportTo")}
	add := func(d *value) {
		if d == nil || d.str("host") == "" {
			return
		}
		dest := mesh.RouteDestination{Host: d.str("host"), Subset: d.str("subset"),
			Port:   c.port(d.get("port").get("number"), "the port of destination %s", d.str("host")),
			Origin: c.origin(d.line, d.col)}
		if !slices.ContainsFunc(vs.Destinations, func(e mesh.RouteDestination) bool {
			return e.Host == dest.Host && e.Subset == dest.Subset && e.Port == dest.Port
		}) {
			vs.Destinations = append(vs.Destinations, dest)
		}
	}
	for _, protocol := range []string{"http", "tls", "tcp"} {
		for _, rule := range spec.list(protocol) {
			for _, route := range rule.list("route") {
				add(route.get("destination"))
			}
			add(rule.get("mirror"))
			for _, m := range rule.list("mirrors") {
				add(m.get("destination"))
			}
		}
	}
	c.routes(vs, spec)
	return vs
}

func (c *checker) gateway(o mesh.Object, v *value) any {
	spec := v.get("spec")
	g := &mesh.Gateway{Object: o, Selector: spec.labels("selector")}
	for i, e := range spec.list("servers") {
		port := e.get("port")
		s := mesh.GatewayServer{Name: e.str("name"), Port: c.port(port.get("number"), "spec.servers[%d].port.number", i),
			PortName: port.str("name"), Protocol: port.str("protocol"), Hosts: e.strs("hosts")}
		if tls := e.get("tls"); tls != nil {
			s.CredentialName, s.ServerCertificate, s.PrivateKey = tls.str("credentialName"), tls.str("serverCertificate"), tls.str("privateKey")
			s.CACertificates, s.SubjectAltNames, s.HTTPSRedirect = tls.str("caCertificates"), tls.strs("subjectAltNames"), tls.flag("httpsRedirect")
			if s.TLSMode = tls.str("mode"); s.TLSMode == "" {
				s.TLSMode = "PASSTHROUGH" // the zero of its enum
			}
		}
		g.Servers = append(g.Servers, s)
	}
	return g
}

// serviceEntry gives one service per host. They share their endpoints.
func (c *checker) serviceEntry(o mesh.Object, v *value) any {
	spec := v.get("spec")
	proto := mesh.Service{Object: o, Ports: c.entryPorts(spec), External: spec.str("location") != "MESH_INTERNAL",
		Selector: spec.get("workloadSelector").labels("labels"), ExportTo: spec.strs("exportTo"),
		Addresses: spec.strs("addresses"), SubjectAltNames: spec.strs("subjectAltNames")}
	switch spec.str("resolution") {
	case "STATIC":
		proto.Resolution = mesh.ResolutionStatic
	case "DNS", "DNS_ROUND_ROBIN", "DYNAMIC_DNS":
		proto.Resolution = mesh.ResolutionDNS
	default:
		proto.Resolution = mesh.ResolutionPassthrough
	}
	for i, e := range spec.list("endpoints") {
		if w := c.entryWorkload(e); w != nil {
			w.Object = inlineObject(o, i, e.line, e.col)
			w.InlineOf = o.Ref
			proto.Inline = append(proto.Inline, w)
		}
	}
	var out []*mesh.Service
	for _, host := range spec.strs("hosts") {
		s := proto
		s.Hostname = host
		out = append(out, &s)
	}
	return out
}

func (c *checker) entryPorts(spec *value) []mesh.Port {
	var out []mesh.Port
	for i, e := range spec.list("ports") {
		out = append(out, mesh.Port{Name: e.str("name"), Declared: e.str("protocol"),
			Number:       c.port(e.get("number"), "spec.ports[%d].number", i),
			TargetNumber: c.port(e.get("targetPort"), "spec.ports[%d].targetPort", i)})
	}
	return out
}

// entryWorkload reads what a WorkloadEntry and an endpoint of a ServiceEntry have in common.
func (c *checker) entryWorkload(v *value) *mesh.Workload {
	if v == nil || v.kind != mapValue {
		return nil
	}
	w := &mesh.Workload{Labels: v.labels("labels"), ServiceAccount: v.str("serviceAccount"), Replicas: 1}
	if a := v.str("address"); a != "" {
		w.Addresses = []string{a}
	}
	if ports := v.get("ports"); ports != nil {
		w.PortMap = make(map[string]uint32, len(ports.fields))
		for _, f := range ports.fields {
			w.PortMap[f.key] = c.port(f.val, "port %q", f.key)
		}
	}
	entryCapture(w)
	return w
}

func (c *checker) workloadEntry(o mesh.Object, v *value) any {
	w := c.entryWorkload(v.get("spec"))
	if w == nil {
		w = &mesh.Workload{Replicas: 1}
	}
	w.Object = o
	for k, l := range v.get("metadata").labels("labels") { // those of the spec win
		if _, ok := w.Labels[k]; !ok {
			if w.Labels == nil {
				w.Labels = map[string]string{}
			}
			w.Labels[k] = l
		}
	}
	entryCapture(w)
	c.calls(w, v.get("metadata"), nil)
	return w
}
