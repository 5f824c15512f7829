package manifest

import (
	"strconv"
	"strings"

	"github.com/oarlock/oarlock/mesh"
)

// exportToAnnotation says to which namespaces a Service is visible.
const exportToAnnotation = "networking.istio.io/exportTo"

// service reads a Service but for its Hostname, which wants the cluster's domain.
func (c *checker) service(o mesh.Object, v *value) any {
	spec := v.get("spec")
	s := &mesh.Service{Object: o, Selector: spec.labels("selector"), ExternalName: spec.str("externalName"),
		PublishNotReady: spec.flag("publishNotReadyAddresses")}
	s.ExportTo = append(s.ExportTo, strings.FieldsFunc(v.at("metadata", "annotations").str(exportToAnnotation), isSeparator)...)
	switch {
	case spec.str("type") == "ExternalName":
		s.Resolution = mesh.ResolutionExternalName
		if s.ExternalName == "" {
			c.error(spec, "write the name that it stands for", "spec.externalName is missing")
		}
	case spec.str("clusterIP") == "None":
		s.Resolution = mesh.ResolutionPassthrough
	}
	for _, ip := range append([]string{spec.str("clusterIP")}, spec.strs("clusterIPs")...) {
		if ip != "" && ip != "None" && (len(s.Addresses) == 0 || s.Addresses[0] != ip) {
			s.Addresses = append(s.Addresses, ip)
		}
	}
	c.servicePorts(s, spec.list("ports"))
	return s
}

func isSeparator(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\n' }

func (c *checker) servicePorts(s *mesh.Service, ports []*value) {
	seen := map[string]bool{}
	for i, e := range ports {
		p := mesh.Port{Name: e.str("name"), Transport: e.str("protocol"),
			Number: c.port(e.get("port"), "spec.ports[%d].port", i)}
		if a := e.get("appProtocol"); a != nil {
			p.AppProtocol = &a.text
		}
		if t := e.get("targetPort"); t != nil {
			if t.kind == textValue {
				p.TargetName = t.text
				if n, err := strconv.ParseUint(t.text, 10, 16); err == nil && n > 0 {
					c.error(t, "take the quotes away: "+t.text, "spec.ports[%d].targetPort is the name of a port, and a name has a letter in it", i)
				}
			} else {
				p.TargetNumber = c.port(t, "spec.ports[%d].targetPort", i)
			}
		}
		if p.Name == "" && len(ports) > 1 {
			c.error(e, "name each port when there are several", "spec.ports[%d].name is missing", i)
		} else if p.Name != "" && seen[p.Name] {
			c.error(e, "give each port a name of its own", "spec.ports[%d].name %q is there twice", i, p.Name)
		}
		seen[p.Name] = true
		s.Ports = append(s.Ports, p)
	}
}

// sliceFacts is what an EndpointSlice says about its Service.
type sliceFacts struct {
	mesh.Object
	service   string
	ports     map[string]uint32
	endpoints []sliceEndpoint
}

type sliceEndpoint struct {
	addresses []string
	target    mesh.Ref // the pod; zero where none is named
	origin    mesh.Origin
}

func (c *checker) endpointSlice(o mesh.Object, v *value) any {
	s := &sliceFacts{Object: o, service: v.at("metadata", "labels").str("kubernetes.io/service-name")}
	for i, e := range v.list("ports") {
		if n := c.port(e.get("port"), "ports[%d].port", i); n != 0 {
			if s.ports == nil {
				s.ports = map[string]uint32{}
			}
			s.ports[e.str("name")] = n
		}
	}
	for _, e := range v.list("endpoints") {
		if ready := e.at("conditions", "ready"); ready != nil && !ready.truth {
			continue
		}
		ep := sliceEndpoint{addresses: e.strs("addresses"), origin: c.origin(e.line, e.col)}
		if t := e.get("targetRef"); t.str("kind") == string(mesh.KindPod) && t.str("name") != "" {
			ep.target = mesh.Ref{Kind: mesh.KindPod, Namespace: o.Ref.Namespace, Name: t.str("name")}
			if ns := t.str("namespace"); ns != "" {
				ep.target.Namespace = ns
			}
		}
		s.endpoints = append(s.endpoints, ep)
	}
	return s
}

// inlineObject names an endpoint that has no object of its own after the one that holds it: "vm[0]".
func inlineObject(o mesh.Object, i int, line, col int32) mesh.Object {
	ref := o.Ref
	ref.Name += "[" + strconv.Itoa(i) + "]"
	return mesh.Object{Ref: ref, Origin: mesh.Origin{File: o.Origin.File, Line: int(line), Col: int(col)}, Created: o.Created}
}
