package manifest

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/oarlock/oarlock/mesh"
)

func bodyTree(v *value) mesh.Tree {
	tree, _ := v.tree().(mesh.Tree)
	return tree
}

// serverMode reads a checked word of PeerAuthentication; absent is ModeUnset.
func serverMode(v *value) mesh.Mode {
	switch v.str("mode") {
	case "DISABLE":
		return mesh.ModeDisable
	case "PERMISSIVE":
		return mesh.ModePermissive
	case "STRICT":
		return mesh.ModeStrict
	}
	return mesh.ModeUnset
}

func (c *checker) peerAuthentication(o mesh.Object, v *value) any {
	spec := v.get("spec")
	pa := &mesh.PeerAuthentication{Object: o, Selector: spec.get("selector").labels("matchLabels"),
		Mode: serverMode(spec.get("mtls")), Body: bodyTree(v)}
	if ports := spec.get("portLevelMtls"); ports != nil {
		for _, f := range ports.fields {
			n, err := strconv.ParseUint(f.key, 10, 16)
			if err != nil || n == 0 {
				c.note(mesh.Error, c.origin(f.line, f.col), "write the number of a workload port, from 1 to 65535",
					"spec.portLevelMtls: %q is no port", shorten(f.key))
				continue
			}
			pa.Ports = append(pa.Ports, mesh.PortMode{Port: uint32(n), Mode: serverMode(f.val)})
		}
		slices.SortFunc(pa.Ports, func(a, b mesh.PortMode) int { return cmp.Compare(a.Port, b.Port) })
	}
	return pa
}

func (c *checker) policy(o mesh.Object, v *value) any {
	spec := v.get("spec")
	p := &mesh.Policy{Object: o, Body: bodyTree(v)}
	for i, t := range spec.list("targets") {
		target := mesh.PolicyTarget{Name: t.str("name"), Labels: t.labels("labels")}
		for j, e := range t.list("ports") {
			target.Ports = append(target.Ports, mesh.PolicyPort{Name: e.str("name"),
				Number: c.port(e.get("number"), "spec.targets[%d].ports[%d].number", i, j)})
		}
		p.Targets = append(p.Targets, target)
	}
	for _, e := range spec.list("peers") {
		p.Peers = append(p.Peers, policyPeer(e))
	}
	p.PeerIsOptional = spec.flag("peerIsOptional") || spec.flag("peer_is_optional")
	p.HasOrigins = len(spec.list("origins")) > 0 || principalOrigin(spec)
	return p
}

// principalOrigin says whether principalBinding is set to something that matters. USE_PEER is the default.
func principalOrigin(spec *value) bool {
	for _, key := range []string{"principalBinding", "principal_binding"} {
		if b := spec.get(key); b != nil && b.text != "USE_PEER" && b.text != "0" {
			return true
		}
	}
	return false
}

// policyPeer reads one peer. `mtls:` without a value counts: it is STRICT, as is `mtls: {}`.
func policyPeer(v *value) mesh.PolicyPeer {
	mtls := v.find("mtls")
	if mtls == nil {
		return mesh.PolicyPeer{}
	}
	peer := mesh.PolicyPeer{MTLS: true, Mode: mesh.ModeStrict,
		AllowTLS: mtls.val.flag("allowTls") || mtls.val.flag("allow_tls")}
	if mode := mtls.val.get("mode"); mode != nil && (mode.text == "PERMISSIVE" || mode.kind == intValue && mode.int == 1) {
		peer.Mode = mesh.ModePermissive
	}
	return peer
}

func (c *checker) destinationRule(o mesh.Object, v *value) any {
	spec := v.get("spec")
	dr := &mesh.DestinationRule{Object: o, Host: spec.str("host"), ExportTo: spec.strs("exportTo"), Body: bodyTree(v)}
	dr.TrafficPolicy = c.trafficPolicy(spec.get("trafficPolicy"), "spec.trafficPolicy")
	for i, e := range spec.list("subsets") {
		dr.Subsets = append(dr.Subsets, mesh.Subset{Name: e.str("name"), Labels: e.labels("labels"),
			TrafficPolicy: c.trafficPolicy(e.get("trafficPolicy"), "spec.subsets["+strconv.Itoa(i)+"].trafficPolicy")})
	}
	if sel := spec.get("workloadSelector"); sel != nil {
		if dr.WorkloadSelector = sel.labels("matchLabels"); dr.WorkloadSelector == nil {
			dr.WorkloadSelector = map[string]string{}
		}
	}
	return dr
}

// trafficPolicy keeps an empty object apart from none at all: it hides what a wider rule says (semantics L26).
func (c *checker) trafficPolicy(v *value, at string) *mesh.TrafficPolicy {
	if v == nil {
		return nil
	}
	t := &mesh.TrafficPolicy{TLS: clientTLS(v.get("tls")), LoadBalancer: v.get("loadBalancer").str("simple"),
		ConnectionPool:   c.connectionPool(v.get("connectionPool"), at),
		OutlierDetection: c.outlierDetection(v.get("outlierDetection"), at)}
	for i, e := range v.list("portLevelSettings") {
		port, at := e.get("port"), at+".portLevelSettings["+strconv.Itoa(i)+"]"
		t.Ports = append(t.Ports, mesh.PortPolicy{Name: port.str("name"),
			Number: c.port(port.get("number"), "%s.port.number", at),
			TLS:    clientTLS(e.get("tls")), LoadBalancer: e.get("loadBalancer").str("simple"),
			ConnectionPool:   c.connectionPool(e.get("connectionPool"), at),
			OutlierDetection: c.outlierDetection(e.get("outlierDetection"), at)})
	}
	return t
}

// clientTLS reads a tls block. A block without a mode is DISABLE, the zero of its enum.
func clientTLS(v *value) *mesh.ClientTLS {
	if v == nil {
		return nil
	}
	t := &mesh.ClientTLS{Mode: mesh.ClientDisable, ClientCertificate: v.str("clientCertificate"),
		PrivateKey: v.str("privateKey"), CACertificates: v.str("caCertificates"), CredentialName: v.str("credentialName"),
		SNI: v.str("sni"), SubjectAltNames: v.strs("subjectAltNames")}
	switch v.str("mode") {
	case "SIMPLE":
		t.Mode = mesh.ClientSimple
	case "MUTUAL":
		t.Mode = mesh.ClientMutual
	case "ISTIO_MUTUAL":
		t.Mode = mesh.ClientIstioMutual
	}
	return t
}
