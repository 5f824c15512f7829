package manifest

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/oarlock/oarlock/mesh"
)

// group is what API group a kind must be of to be ours, and in which versions.
type group struct {
	name     string
	versions []string
	cluster  bool // objects have no namespace
}

// knownKind gives the group of a kind that Oarlock reads. The second group is where older clusters kept it.
func knownKind(kind mesh.Kind) (groups []group, ok bool) {
	core := group{name: "", versions: []string{"v1"}}
	security := group{name: "security.istio.io", versions: []string{"v1", "v1beta1"}}
	networking := group{name: "networking.istio.io", versions: []string{"v1", "v1beta1", "v1alpha3"}}
	legacy := group{name: "authentication.istio.io", versions: []string{"v1alpha1"}}
	apps := group{name: "apps", versions: []string{"v1", "v1beta2", "v1beta1"}}
	extensions := group{name: "extensions", versions: []string{"v1beta1"}}
	switch kind {
	case mesh.KindNamespace:
		core.cluster = true
		return []group{core}, true
	case mesh.KindServiceAccount, mesh.KindService, mesh.KindPod, mesh.KindConfigMap:
		return []group{core}, true
	case mesh.KindDeployment, mesh.KindDaemonSet, mesh.KindReplicaSet:
		return []group{apps, extensions}, true
	case mesh.KindStatefulSet:
		return []group{apps}, true
	case mesh.KindJob, mesh.KindCronJob:
		return []group{{name: "batch", versions: []string{"v1", "v1beta1", "v2alpha1"}}}, true
	case mesh.KindEndpointSlice:
		return []group{{name: "discovery.k8s.io", versions: []string{"v1", "v1beta1"}}}, true
	case mesh.KindMeshPolicy:
		legacy.cluster = true
		return []group{legacy}, true
	case mesh.KindPolicy:
		return []group{legacy}, true
	case mesh.KindPeerAuthentication:
		return []group{security}, true
	case mesh.KindDestinationRule, mesh.KindServiceEntry, mesh.KindWorkloadEntry, mesh.KindSidecar,
		mesh.KindVirtualService, mesh.KindGateway:
		return []group{networking}, true
	case mesh.KindProxyConfig:
		return []group{{name: networking.name, versions: []string{"v1beta1"}}}, true
	}
	return nil, false
}

// istioKinds are the kinds whose misspellings are worth a word.
func istioKinds(group string) []string {
	switch group {
	case "security.istio.io":
		return []string{"PeerAuthentication", "AuthorizationPolicy", "RequestAuthentication"}
	case "networking.istio.io":
		return []string{"DestinationRule", "ServiceEntry", "WorkloadEntry", "WorkloadGroup", "Sidecar", "VirtualService",
			"Gateway", "EnvoyFilter", "ProxyConfig"}
	case "authentication.istio.io":
		return []string{"Policy", "MeshPolicy"}
	}
	return nil
}

// object is one object of the input on its way into the Snapshot.
type object struct {
	mesh.Object
	body    *value            // as parsed; dropped by decode where nothing after it asks for it
	typed   any               // *mesh.PeerAuthentication, *workloadFacts, ...; nil where the kind has nothing to give
	unknown string            // "Kind.group" of an object that Oarlock does not read
	idle    []mesh.Unenforced // what of it has no effect in a mesh on this machine
}

// decoder takes in the objects of one document.
type decoder struct {
	chunk    chunk
	objects  []object
	problems []mesh.Problem
	helm     bool // a template was reported: once is enough
}

// decodeChunk reads one document. It needs nothing but the document, so that documents are read in parallel.
func decodeChunk(c chunk) ([]object, []mesh.Problem) {
	d := &decoder{chunk: c}
	v, err := parseChunk(c)
	if err != nil {
		d.syntax(err)
		return nil, d.problems
	}
	if v != nil && v.kind != nullValue {
		d.item(v, "", "")
	}
	return d.objects, d.problems
}

// syntax reports a document that is no YAML. Where it is a template of Helm, that is the reason.
func (d *decoder) syntax(err error) {
	if bytes.Contains(d.chunk.data, []byte("{{")) {
		line, col := d.chunk.at(positionAt(d.chunk.data, bytes.Index(d.chunk.data, []byte("{{"))))
		d.template(int32(line), int32(col))
		return
	}
	e, ok := err.(*syntaxError)
	if !ok {
		e = &syntaxError{line: d.chunk.line, col: 1, cause: err.Error()}
	}
	d.problems = append(d.problems, mesh.Problem{
		Severity: mesh.Error,
		Origin:   mesh.Origin{File: d.chunk.file, Line: e.line, Col: max(e.col, 1)},
		Message:  "parse " + d.chunk.file + " document: " + e.cause,
		Hint:     e.hint,
	})
}

// helmHint is said where a template of Helm was given to us as it is.
const helmHint = "render it: helm template CHART | oarlock tls-check -f -"

func (d *decoder) template(line, col int32) {
	if d.helm {
		return
	}
	d.helm = true
	d.problems = append(d.problems, mesh.Problem{
		Severity: mesh.Error,
		Origin:   mesh.Origin{File: d.chunk.file, Line: int(line), Col: int(col)},
		Message:  templateMessage(d.chunk.file),
		Hint:     helmHint,
	})
}

func templateMessage(file string) string {
	return "parse " + file + " document: this is a Helm template that was not rendered"
}

// item takes in one object, or the objects of a list. The apiVersion and kind given are those that the list implies.
func (d *decoder) item(v *value, apiVersion, kind string) {
	fail := func(sev mesh.Severity, at *value, hint, format string, args ...any) {
		c := checker{chunk: d.chunk, subject: d.chunk.file + " document"}
		c.note(sev, c.origin(at.line, at.col), hint, format, args...)
		d.problems = append(d.problems, c.problems...)
	}
	if v.kind != mapValue {
		fail(mesh.Warning, v, "leave the file out, or write an object with apiVersion and kind", "this is %s and no Kubernetes object", v.kind)
		return
	}
	for _, f := range []struct {
		key  string
		into *string
	}{{"apiVersion", &apiVersion}, {"kind", &kind}} {
		if e := v.get(f.key); e != nil {
			if e.kind != textValue {
				fail(mesh.Error, e, "", "%s wants text, not %s", f.key, e.show())
				return
			}
			*f.into = e.text
		}
	}
	switch {
	case kind == "" && (apiVersion == "" || v.get("metadata") == nil):
		fail(mesh.Warning, v, "leave the file out, or write an object with apiVersion and kind", "no apiVersion and kind, so this is no Kubernetes object")
	case kind == "":
		fail(mesh.Error, v, "say what it is, for instance `kind: PeerAuthentication`", "an object of %s has no kind", apiVersion)
	case strings.HasSuffix(kind, "List") && v.get("items") != nil && v.get("items").kind == listValue:
		d.list(v, apiVersion, strings.TrimSuffix(kind, "List"))
	default:
		d.object(v, apiVersion, mesh.Kind(kind))
	}
}

// list takes in the items of a List or, say, a PolicyList, whose items need not repeat what they are.
func (d *decoder) list(v *value, apiVersion, kind string) {
	if kind == "" {
		apiVersion = ""
	}
	for _, e := range v.list("items") {
		if e.kind != nullValue {
			d.item(e, apiVersion, kind)
		}
	}
}

// object takes in one object of a known or unknown kind.
func (d *decoder) object(v *value, apiVersion string, kind mesh.Kind) {
	c := &checker{chunk: d.chunk, subject: string(kind)}
	defer func() { d.collect(v, c) }()
	groupName, version, found := strings.Cut(apiVersion, "/")
	if !found {
		groupName, version = "", apiVersion
	}
	groups, known := knownKind(kind)
	g, inGroup := findGroup(groups, groupName)
	if known && apiVersion == "" {
		c.error(v, "add `apiVersion: "+canonicalVersion(groups[0])+"`", "apiVersion is missing")
		return
	}
	if !known || !inGroup {
		d.unknown(v, c, string(kind), groupName)
		return
	}
	if !slices.Contains(g.versions, version) {
		c.error(v.get("apiVersion"), "write "+canonicalVersion(g), "unknown version %q of %s", apiVersion, kind)
		return
	}
	o := object{body: v}
	if !c.metadata(&o.Object, v, kind, g.cluster) {
		return
	}
	if kind == mesh.KindConfigMap && !holdsMeshConfig(o.Ref.Name, v) {
		o.typed, o.body = c.configMap(o.Object, v), nil
		d.objects = append(d.objects, o)
		return
	}
	c.check(v, schemas()[string(kind)])
	if c.failed || c.helm {
		return
	}
	o.typed = c.decode(&o, v)
	if c.failed {
		return
	}
	o.idle = c.unenforced(&o.Object, v)
	if !keepsBody(kind) {
		o.body = nil
	}
	d.objects = append(d.objects, o)
}

// unknown counts an object that Oarlock does not read, and asks about kinds that look like a slip. Of some kinds the name
// counts nevertheless, and of a Secret its content; neither is checked, for neither bears on a verdict.
func (d *decoder) unknown(v *value, c *checker, kind, group string) {
	name := kind
	if group != "" {
		name += "." + group
	}
	o := object{unknown: name}
	if why, cluster := unenforcedKind(group, kind); why != "" && c.named(&o.Object, v, mesh.Kind(kind), cluster) {
		o.typed = mesh.Unenforced{Ref: o.Ref, Origin: o.Origin, Why: why}
	} else if name == string(mesh.KindSecret) && c.named(&o.Object, v, mesh.KindSecret, false) {
		o.typed, o.unknown = c.secret(o.Object, v), ""
	}
	d.objects = append(d.objects, o)
	kinds := istioKinds(group)
	if near := nearest(kind, kinds); near != "" && near != kind {
		at := v.get("kind")
		if at == nil {
			at = v
		}
		c.warn(at, "did you mean "+near+"?", "unknown kind in %s", group)
	}
}

// collect takes over what the checker found. Of a template only that is said.
func (d *decoder) collect(v *value, c *checker) {
	if c.helm {
		d.template(v.line, v.col)
		return
	}
	d.problems = append(d.problems, c.problems...)
}

func findGroup(groups []group, name string) (group, bool) {
	for _, g := range groups {
		if g.name == name {
			return g, true
		}
	}
	return group{}, false
}

func canonicalVersion(g group) string {
	if g.name == "" {
		return g.versions[0]
	}
	return g.name + "/" + g.versions[0]
}

// metadata names the object. From here on problems carry its Ref.
func (c *checker) metadata(o *mesh.Object, v *value, kind mesh.Kind, cluster bool) bool {
	o.Origin = c.origin(v.line, v.col)
	c.path = append(c.path[:0], "metadata")
	defer func() { c.path = c.path[:0] }()
	meta := v.get("metadata")
	if meta == nil || meta.kind != mapValue {
		if meta != nil {
			c.want(meta, mapValue, "a mapping")
			return false
		}
		c.error(v, "add `metadata: {name: ...}`", "metadata.name is missing")
		return false
	}
	name, namespace := meta.get("name"), meta.get("namespace")
	if name == nil || name.kind == textValue && name.text == "" {
		hint := "add a name"
		if meta.get("generateName") != nil {
			hint = "write a name: generateName is for the API server alone"
		}
		c.error(meta, hint, "metadata.name is missing")
		return false
	}
	for _, e := range []struct {
		key string
		val *value
	}{{"name", name}, {"namespace", namespace}} {
		c.path = append(c.path[:1], e.key)
		if e.val != nil && !c.want(e.val, textValue, "text") {
			return false
		}
		if e.val != nil && unrendered(e.val) {
			c.helm = true
			return false
		}
	}
	o.Ref = mesh.Ref{Kind: kind, Name: name.text}
	if !cluster {
		o.Ref.Namespace = "default"
		if namespace != nil && namespace.text != "" {
			o.Ref.Namespace = namespace.text
		}
	}
	c.ref, c.subject = o.Ref, o.Ref.String()
	c.created(o, meta)
	o.Annotations = keptAnnotations(meta)
	return true
}

// created reads metadata.creationTimestamp, which hand-written manifests leave out.
func (c *checker) created(o *mesh.Object, meta *value) {
	at := meta.get("creationTimestamp")
	if at == nil || at.kind == textValue && at.text == "" {
		return
	}
	t, err := time.Parse(time.RFC3339, at.text)
	if err != nil || at.kind != textValue {
		c.error(at, "write it like 2026-01-31T12:00:00Z, or leave it out", "metadata.creationTimestamp %q is no time", shorten(at.text))
		return
	}
	o.Created = t.UTC()
}

// ownAnnotation is the prefix of the annotations that are ours.
const ownAnnotation = "oarlock.dev/"

// trafficAnnotation is the prefix of those that say which ports a sidecar captures.
const trafficAnnotation = "traffic.sidecar.istio.io/"

// keptAnnotations picks the annotations that somebody reads; nil where there are none.
func keptAnnotations(meta *value) map[string]string {
	all := meta.get("annotations")
	if all == nil {
		return nil
	}
	var out map[string]string
	for _, f := range all.fields {
		if f.val.kind == textValue && (strings.HasPrefix(f.key, ownAnnotation) || strings.HasPrefix(f.key, trafficAnnotation) ||
			f.key == mesh.RewriteAppHTTPProbers) {
			if out == nil {
				out = map[string]string{}
			}
			out[f.key] = f.val.text
		}
	}
	return out
}

// keepsBody says whether problems are found in an object of this kind when all objects are known.
func keepsBody(kind mesh.Kind) bool {
	switch kind {
	case mesh.KindPeerAuthentication, mesh.KindDestinationRule, mesh.KindPolicy, mesh.KindMeshPolicy,
		mesh.KindServiceEntry, mesh.KindVirtualService:
		return true
	}
	return false
}

// decode gives the typed form of an object whose fields have been checked.
func (c *checker) decode(o *object, v *value) any {
	switch o.Ref.Kind {
	case mesh.KindNamespace:
		return &mesh.Namespace{Object: o.Object, Labels: v.get("metadata").labels("labels")}
	case mesh.KindService:
		return c.service(o.Object, v)
	case mesh.KindServiceEntry:
		return c.serviceEntry(o.Object, v)
	case mesh.KindEndpointSlice:
		return c.endpointSlice(o.Object, v)
	case mesh.KindWorkloadEntry:
		return c.workloadEntry(o.Object, v)
	case mesh.KindPeerAuthentication:
		return c.peerAuthentication(o.Object, v)
	case mesh.KindPolicy, mesh.KindMeshPolicy:
		return c.policy(o.Object, v)
	case mesh.KindDestinationRule:
		return c.destinationRule(o.Object, v)
	case mesh.KindSidecar:
		return c.sidecar(o.Object, v)
	case mesh.KindVirtualService:
		return c.virtualService(o.Object, v)
	case mesh.KindGateway:
		return c.gateway(o.Object, v)
	case mesh.KindProxyConfig:
		return c.proxyConfig(o.Object, v)
	case mesh.KindPod, mesh.KindDeployment, mesh.KindStatefulSet, mesh.KindDaemonSet, mesh.KindReplicaSet, mesh.KindJob, mesh.KindCronJob:
		return c.workload(o.Object, v)
	case mesh.KindConfigMap:
		return c.meshConfig(o.Object, v)
	}
	return nil
}

// port checks a port number; 0 where it is missing or wrong. what names it: "spec.ports[0].port".
func (c *checker) port(v *value, format string, args ...any) uint32 {
	if v == nil {
		return 0
	}
	n, ok := v.whole()
	if !ok || n < 1 || n > 65535 {
		c.error(v, "a port is a number from 1 to 65535", "%s is no port: %s", fmt.Sprintf(format, args...), shorten(v.text))
		return 0
	}
	return uint32(n)
}
