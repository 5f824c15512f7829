package manifest

import (
	"cmp"
	"encoding/base64"
	"slices"
	"strings"

	"github.com/oarlock/oarlock/mesh"
)

// configMap reads what a ConfigMap holds. Keys whose values are no text are left out, as is base64 that is none.
func (c *checker) configMap(o mesh.Object, v *value) *mesh.ConfigMap {
	out := &mesh.ConfigMap{Object: o, Data: map[string]string{}}
	for _, f := range entries(v, "binaryData") {
		if data, ok := decodeBase64(f.val.text); ok {
			out.Data[f.key] = data
		} else {
			c.note(mesh.Warning, c.origin(f.line, f.col), "", "binaryData.%s is no base64 and is ignored", shorten(f.key))
		}
	}
	for _, f := range entries(v, "data") {
		out.Data[f.key] = f.val.text
	}
	return out
}

// secret reads what a Secret holds; stringData wins. No message shows a value.
func (c *checker) secret(o mesh.Object, v *value) *mesh.Secret {
	out := &mesh.Secret{Object: o, Type: orDefault(v.str("type"), "Opaque"), Data: map[string]mesh.SecretValue{}}
	for _, f := range entries(v, "data") {
		if data, ok := decodeBase64(f.val.text); ok {
			out.Data[f.key] = mesh.NewSecretValue(data)
		} else {
			c.note(mesh.Warning, c.origin(f.line, f.col), "write text that is not encoded under stringData",
				"data.%s is no base64 and is ignored", shorten(f.key))
		}
	}
	for _, f := range entries(v, "stringData") {
		out.Data[f.key] = mesh.NewSecretValue(f.val.text)
	}
	return out
}

// entries gives the fields of a mapping whose values are scalars.
func entries(v *value, key string) []valueField {
	m := v.get(key)
	if m == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(m.fields), func(f valueField) bool {
		return f.val.kind == nullValue || f.val.kind == listValue || f.val.kind == mapValue
	})
}

// decodeBase64 takes base64 with line breaks in it, as Kubernetes does.
func decodeBase64(text string) (string, bool) {
	data, err := base64.StdEncoding.DecodeString(strings.NewReplacer("\n", "", "\r", "").Replace(strings.TrimSpace(text)))
	return string(data), err == nil
}

// named gives the name of an object that nothing else is checked of; false where it has none.
func (c *checker) named(o *mesh.Object, v *value, kind mesh.Kind, cluster bool) bool {
	meta := v.get("metadata")
	for _, key := range []string{"name", "namespace"} {
		if e := meta.get(key); e != nil && (e.kind != textValue || unrendered(e)) {
			return false
		}
	}
	if meta.str("name") == "" {
		return false
	}
	quiet := *c
	quiet.problems, quiet.failed = nil, false
	if !quiet.metadata(o, v, kind, cluster) || quiet.failed {
		return false
	}
	c.ref, c.subject = quiet.ref, quiet.subject
	return true
}

// unenforcedKind says why a mesh on this machine does not enforce an object of a kind; "" for a kind that is none of
// those. cluster says that its objects have no namespace.
func unenforcedKind(group, kind string) (why string, cluster bool) {
	switch kind + "." + group {
	case "AuthorizationPolicy.security.istio.io":
		return "who may call what is not checked", false
	case "RequestAuthentication.security.istio.io":
		return "JSON web tokens are not checked", false
	case "ServiceRole.rbac.istio.io", "ServiceRoleBinding.rbac.istio.io", "RbacConfig.rbac.istio.io":
		return "who may call what is not checked", false
	case "ClusterRbacConfig.rbac.istio.io":
		return "who may call what is not checked", true
	case "EnvoyFilter.networking.istio.io":
		return "the sidecar is no Envoy to be patched", false
	case "WasmPlugin.extensions.istio.io":
		return "the sidecar runs no plug-ins", false
	case "Telemetry.telemetry.istio.io":
		return "logs and metrics follow the mesh's configuration alone", false
	case "NetworkPolicy.networking.k8s.io", "NetworkPolicy.extensions":
		return "connections are not filtered by address", false
	}
	return "", false
}

// unenforcedPolicy says whether a legacy policy asks for more than mutual TLS.
func unenforcedPolicy(p *mesh.Policy, body *value) bool {
	return p.HasOrigins || slices.ContainsFunc(body.get("spec").list("peers"), func(e *value) bool { return e.get("jwt") != nil })
}

// sortStored gives ConfigMaps, Secrets and what is not enforced the order that mesh.Snapshot promises.
func (b *builder) sortStored() {
	s := b.snap
	slices.SortFunc(s.ConfigMaps, func(x, y *mesh.ConfigMap) int { return x.Ref.Compare(y.Ref) })
	slices.SortFunc(s.Secrets, func(x, y *mesh.Secret) int { return x.Ref.Compare(y.Ref) })
	slices.SortStableFunc(s.Unenforced, func(x, y mesh.Unenforced) int {
		return cmp.Or(x.Ref.Compare(y.Ref), cmp.Compare(x.Origin.File, y.Origin.File), cmp.Compare(x.Origin.Line, y.Origin.Line))
	})
}
