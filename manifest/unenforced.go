package manifest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/oarlock/oarlock/mesh"
)

// unenforcedField is a field that is read for its place alone: a mesh on this machine does nothing about it. "[]" behind a
// name stands for every entry of a list.
type unenforcedField struct{ path, why string }

// unenforcedFields lists them for a kind.
func unenforcedFields(kind mesh.Kind) []unenforcedField {
	switch kind {
	case mesh.KindVirtualService:
		return []unenforcedField{
			{"spec.http[].corsPolicy", "nothing is said to browsers about other origins"},
			{"spec.http[].delegate", "the rules of the other VirtualService are not read, and this one leads nowhere"},
			{"spec.http[].fault", "no request is delayed or aborted"},
			{"spec.http[].headers", "headers stay as they are"},
			{"spec.http[].match[].statPrefix", "the name is in no series"},
			{"spec.http[].mirror", "no request is mirrored"},
			{"spec.http[].mirrors", "no request is mirrored"},
			{"spec.http[].redirect.derivePort", "the port is the request's, or the one that is written"},
			{"spec.http[].retries.backoff", "the pause before another try is the sidecar's own"},
			{"spec.http[].retries.retryIgnorePreviousHosts", "another try may go to the same endpoint"},
			{"spec.http[].retries.retryRemoteLocalities", "endpoints have no locality here"},
			{"spec.http[].route[].headers", "headers stay as they are"},
			{"spec.tcp[].match[].destinationSubnets", "the match takes no connection"},
			{"spec.tcp[].match[].sourceSubnet", "connections from elsewhere match too"},
			{"spec.tls", "connections are not led by the name that they ask for; they go to the service"},
		}
	case mesh.KindDestinationRule:
		var out []unenforcedField
		for _, policy := range []string{"spec.trafficPolicy", "spec.trafficPolicy.portLevelSettings[]",
			"spec.subsets[].trafficPolicy", "spec.subsets[].trafficPolicy.portLevelSettings[]"} {
			for _, f := range unenforcedPolicyFields() {
				out = append(out, unenforcedField{policy + "." + f.path, f.why})
			}
		}
		return out
	case mesh.KindSidecar:
		return []unenforcedField{
			{"spec.egress[].bind", "the listener is where it is without one"},
			{"spec.egress[].captureMode", "capture is the same for all listeners"},
			{"spec.inboundConnectionPool", "what comes in has no such limits"},
			{"spec.ingress[].bind", "the listener is where it is without one"},
			{"spec.ingress[].captureMode", "capture is the same for all listeners"},
			{"spec.ingress[].connectionPool", "what comes in has no such limits"},
			{"spec.ingress[].defaultEndpoint", "connections go to the same port of the application"},
			{"spec.ingress[].tls", "the sidecar ends no TLS but the mesh's; where mutual TLS is off the port is closed"},
			{"spec.outboundTrafficPolicy.egressProxy", "what leaves the mesh leaves directly"},
		}
	case mesh.KindServiceEntry:
		return []unenforcedField{
			{"spec.endpoints[].network", "all is one network here"},
			{"spec.endpoints[].weight", "endpoints have equal shares"},
		}
	case mesh.KindWorkloadEntry:
		return []unenforcedField{
			{"spec.network", "all is one network here"},
			{"spec.weight", "endpoints have equal shares"},
		}
	}
	return nil
}

// unenforcedPolicyFields are those of a trafficPolicy.
func unenforcedPolicyFields() []unenforcedField {
	return []unenforcedField{
		{"connectionPool.http.http2KeepAlive", "HTTP/2 is carried as TCP"},
		{"loadBalancer.consistentHash", "requests are balanced as if it were not there"},
		{"loadBalancer.localityLbSetting", "endpoints have no locality here"},
		{"loadBalancer.warmup", "a new endpoint gets its whole share at once"},
		{"loadBalancer.warmupDurationSecs", "a new endpoint gets its whole share at once"},
		{"loadBalancer.zoneAwareLbSetting", "endpoints have no zone here"},
		{"outlierDetection.outlierDetectionHttpErrorCodes", "the codes that count are the usual ones"},
		{"proxyProtocol", "no header of the PROXY protocol is sent"},
		{"retryBudget", "retries have no budget"},
		{"tls.caCrl", "no list of revoked certificates is read"},
		{"tls.credentialName", "sidecars get no Secret: with SIMPLE and MUTUAL, what is sent there is answered with 503"},
		{"tls.insecureSkipVerify", "it is not read"},
		{"tunnel", "nothing is tunnelled"},
	}
}

// unenforced lists what of an object a mesh on this machine does not do, each kind of field once, by its first place.
func (c *checker) unenforced(o *mesh.Object, v *value) []mesh.Unenforced {
	var out []mesh.Unenforced
	for _, f := range unenforcedFields(o.Ref.Kind) {
		first, more := valueField{}, 0
		at := ""
		eachAt(v, strings.Split(f.path, "."), "", func(path string, field valueField) {
			if at == "" {
				first, at = field, path
				return
			}
			more++
		})
		if at == "" {
			continue
		}
		if more > 0 {
			at += fmt.Sprintf(" and %d more", more)
		}
		out = append(out, mesh.Unenforced{Ref: o.Ref, Origin: c.origin(first.line, first.col), Why: at + ": " + f.why})
	}
	if o.Ref.Kind == mesh.KindGateway {
		out = append(out, c.unservedServers(o, v)...)
	}
	return out
}

// eachAt calls yield with every field of a path that asks for something.
func eachAt(v *value, path []string, at string, yield func(path string, f valueField)) {
	name, list := strings.CutSuffix(path[0], "[]")
	f := v.find(name)
	if f == nil || f.val.kind == nullValue {
		return
	}
	at = strings.TrimPrefix(at+"."+name, ".")
	switch {
	case list:
		for i, e := range f.val.items {
			eachAt(e, path[1:], at+"["+strconv.Itoa(i)+"]", yield)
		}
	case len(path) > 1:
		eachAt(f.val, path[1:], at, yield)
	case !idle(f.val):
		yield(at, *f)
	}
}

// idle says whether a value asks for nothing: it is empty, false, or says itself that it is not enabled.
func idle(v *value) bool {
	switch v.kind {
	case mapValue:
		on := v.get("enabled")
		return len(v.fields) == 0 || on != nil && on.kind == boolValue && !on.truth
	case listValue:
		return len(v.items) == 0
	case boolValue:
		return !v.truth
	case textValue:
		return v.text == ""
	case intValue:
		return v.int == 0
	}
	return false
}

// unreadConfig lists the fields of MeshConfig that ask for something and that nobody reads, in the order of the file. The schema has
// all that is read.
func (c *checker) unreadConfig(of mesh.Ref, v *value) []mesh.Unenforced {
	var out []mesh.Unenforced
	eachUnread(v, schemas()["meshConfig"], "", func(path string, f valueField) {
		out = append(out, mesh.Unenforced{Ref: of, Origin: c.origin(f.line, f.col), Why: meshConfigKey + "." + path + ": " + whyUnread(path)})
	})
	return out
}

// eachUnread calls yield with every field that a schema does not know and that asks for something.
func eachUnread(v *value, s *schema, at string, yield func(path string, f valueField)) {
	switch s.shape {
	case listShape:
		for i, e := range v.items {
			eachUnread(e, s.elem, at+"["+strconv.Itoa(i)+"]", yield)
		}
		return
	case objShape:
	default:
		return
	}
	for _, f := range v.fields {
		path := strings.TrimPrefix(at+"."+f.key, ".")
		switch known := s.field(f.key); {
		case known != nil:
			eachUnread(f.val, known, path, yield)
		case f.val.kind != nullValue && !idle(f.val):
			yield(path, f)
		}
	}
}

// whyUnread says what happens in place of what a field of MeshConfig asks for.
func whyUnread(path string) string {
	for _, one := range [...]struct{ path, why string }{
		{"caCertificates", "the authority of this mesh alone is trusted"},
		{"connectTimeout", "it is 10 s where no DestinationRule says otherwise"},
		{"defaultConfig.discoveryAddress", "sidecars ask the control plane of this mesh"},
		{"defaultConfig.tracing", "no trace is sent"},
		{"defaultHttpRetryPolicy", "requests are tried again by Istio's default, where no VirtualService says otherwise"},
		{"defaultProviders", "no provider is asked"},
		{"enablePrometheusMerge", "the series of an application are at its own port"},
		{"enableTracing", "no trace is sent"},
		{"extensionProviders", "no provider is asked"},
		{"discoverySelectors", "all namespaces count"},
		{"h2UpgradePolicy", "HTTP/2 is carried as TCP"},
		{"localityLbSetting", "endpoints have no locality here"},
		{"pathNormalization", "paths are brought into one form as by default"},
		{"tcpKeepalive", "connections have it where a DestinationRule says so"},
		{"tlsDefaults", "TLS that is not the mesh's has the usual versions and ciphers"},
		{"zoneAwareLbSetting", "endpoints have no zone here"},
	} {
		if rest, ok := strings.CutPrefix(path, one.path); ok && (rest == "" || strings.ContainsAny(rest[:1], ".[")) {
			return one.why
		}
	}
	return "it is not read"
}

// unservedServers are the servers of a Gateway that get no listener: all but those of plain HTTP.
func (c *checker) unservedServers(o *mesh.Object, v *value) []mesh.Unenforced {
	var out []mesh.Unenforced
	for i, s := range v.get("spec").list("servers") {
		port := s.get("port")
		protocol := strings.ToUpper(port.str("protocol"))
		if slices.Contains(mesh.GatewayHTTP(), protocol) {
			continue
		}
		why := "a gateway serves plain HTTP alone, and does not listen there"
		if protocol == "HTTPS" || protocol == "TLS" {
			why = "a gateway ends no TLS, and does not listen there"
		}
		out = append(out, mesh.Unenforced{Ref: o.Ref, Origin: c.origin(s.line, s.col),
			Why: fmt.Sprintf("spec.servers[%d], port %d, %s: %s", i, port.number32("number", 0), orDefault(protocol, "no protocol"), why)})
	}
	return out
}
