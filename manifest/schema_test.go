package manifest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/oarlock/oarlock/mesh"
)

// Heads of objects, so that the cases below show what matters. Each has 5 lines: spec is line 6 of its document.
const (
	paHead  = "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata:\n  name: p\n  namespace: shop\n"
	drHead  = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata:\n  name: d\n  namespace: shop\n"
	svcHead = "apiVersion: v1\nkind: Service\nmetadata:\n  name: s\n  namespace: shop\n"
	polHead = "apiVersion: authentication.istio.io/v1alpha1\nkind: Policy\nmetadata:\n  name: default\n  namespace: shop\n"
	depHead = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: w\n  namespace: kube-system\n"
	mcHead  = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: istio\n  namespace: istio-system\n"
)

// problemLines gives problems as "severity file:line:col: message" lines, each followed by its hint.
func problemLines(problems []mesh.Problem) string {
	var b strings.Builder
	for _, p := range problems {
		fmt.Fprintf(&b, "%s %s\n", p.Severity, p.Error())
		if p.Hint != "" {
			fmt.Fprintf(&b, "  %s\n", p.Hint)
		}
	}
	return b.String()
}

func loadText(text string, opt Options) (*mesh.Snapshot, string) {
	snap, problems := Load([]File{{Name: "f.yaml", Data: []byte(text)}}, opt)
	return snap, problemLines(problems)
}

func TestProblems(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		opt        Options
		objects    int // taken in
		want       string
	}{
		// Syntax.
		{"broken between neighbours", svcHead + "---\na: b: c\n---\n" + paHead, Options{}, 2,
			"error f.yaml:7:1: parse f.yaml document: mapping values are not allowed in this context\n" +
				"  indent this line like its neighbours, give the line above its colon, or quote a value that holds a colon and a space\n"},
		{"tab", "apiVersion: v1\nkind: Service\nmetadata:\n\tname: s\n", Options{}, 0,
			"error f.yaml:4:1: parse f.yaml document: found character that cannot start any token\n  YAML is indented with spaces; replace the tab\n"},
		{"bad indent", "apiVersion: v1\nkind: Service\nmetadata:\n   name: s\n  namespace: x\nspec: {}\n", Options{}, 0,
			"error f.yaml:5:3: parse f.yaml document: did not find expected key\n  indent this line like its neighbours\n"},
		{"open quote", paHead + "spec:\n  mtls:\n    mode: \"STRICT\n", Options{}, 0,
			"error f.yaml:8:5: parse f.yaml document: found unexpected end of stream\n  close the quote or bracket that is opened here\n"},
		{"open bracket", drHead + "spec:\n  host: a\n  exportTo: [a\n  subsets: []\n", Options{}, 0,
			"error f.yaml:9:3: parse f.yaml document: did not find expected ',' or ']'\n  close the bracket that was opened before\n"},
		{"no colon", paHead + "spec:\n  mtls\n  other: x\n", Options{}, 0,
			"error f.yaml:8:3: parse f.yaml document: mapping values are not allowed in this context\n  indent this line like its neighbours, give the line above its colon, or quote a value that holds a colon and a space\n"},
		{"no colon at the end", paHead + "spec:\n  mtls: {}\n  selector\n", Options{}, 0,
			"error f.yaml:8:3: parse f.yaml document: could not find expected ':'\n  write `key: value`, with a space after the colon\n"},
		{"unknown anchor", paHead + "spec: *nowhere\n", Options{}, 0,
			"error f.yaml:1:1: parse f.yaml document: an alias names an anchor that is not there\n  put a value that begins with * in quotes, or define the anchor in the same document, before it is used\n"},
		{"at sign", paHead + "spec:\n  mtls: @x\n", Options{}, 0,
			"error f.yaml:7:3: parse f.yaml document: found character that cannot start any token\n  put the value in quotes: it begins with a character that YAML keeps for itself\n"},
		{"key twice", paHead + "spec:\n  mtls: {mode: STRICT}\n  mtls: {}\n", Options{}, 0,
			"error f.yaml:8:3: parse f.yaml document: key \"mtls\" is already set in line 7\n  remove one of the two\n"},
		{"no key", "{a: b}: c\n", Options{}, 0,
			"error f.yaml:1:1: parse f.yaml document: a key cannot be a mapping\n  quote the key if it is meant as text\n"},
		{"infinite", "a: .inf\n", Options{}, 0,
			"error f.yaml:1:4: parse f.yaml document: the number .inf does not exist in JSON\n  quote it if it is meant as text\n"},
		{"bad tag", "a: !!int x\n", Options{}, 0, "error f.yaml:1:4: parse f.yaml document: \"x\" is not what the tag !!int says\n"},
		{"alias in itself", "a: &a [*a]\n", Options{}, 0, "error f.yaml:1:8: parse f.yaml document: alias \"a\" stands inside its own anchor\n"},
		{"merge of text", "a: {<<: 1}\n", Options{}, 0, "error f.yaml:1:9: parse f.yaml document: the merge key << wants a mapping, or a list of mappings\n"},
		{"aliases that explode", "a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\n" +
			"d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\n", Options{}, 0,
			"error f.yaml:6:4: parse f.yaml document: aliases expand to more than 1000000 values\n  write the values out\n"},
		{"not UTF-8", paHead + "spec: # caf\xe9\n", Options{}, 0,
			"error f.yaml:6:12: parse f.yaml document: byte 0xe9 is not UTF-8\n  save the file as UTF-8\n"},
		{"UTF-16", "\xff\xfea\x00:\x00", Options{}, 0,
			"error f.yaml:1:1: read f.yaml: the text is UTF-16\n  save it as UTF-8, for instance with `iconv -f UTF-16 -t UTF-8`\n"},
		{"binary", "\x7fELF\n\x02\x00\x00", Options{}, 0,
			"error f.yaml:2:2: read f.yaml: this is not text\n  leave the file out; manifests are YAML or JSON in UTF-8\n"},

		// Helm.
		{"template", "apiVersion: v1\nkind: Service\nmetadata:\n  name: {{ .Release.Name }}\n---\n{{- if .Values.x }}\na: b\n{{- end }}\n---\n" + paHead, Options{}, 1,
			"error f.yaml:4:9: parse f.yaml document: this is a Helm template that was not rendered\n  render it: helm template CHART | oarlock tls-check -f -\n"},
		{"quoted template", "apiVersion: v1\nkind: Service\nmetadata:\n  name: \"{{ .Release.Name }}\"\n", Options{}, 0,
			"error f.yaml:1:1: parse f.yaml document: this is a Helm template that was not rendered\n  render it: helm template CHART | oarlock tls-check -f -\n"},
		{"template of a port", svcHead + "spec:\n  ports:\n  - port: '{{ .Values.port }}'\n", Options{}, 0,
			"error f.yaml:1:1: parse f.yaml document: this is a Helm template that was not rendered\n  render it: helm template CHART | oarlock tls-check -f -\n"},
		{"braces in text are no template", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: alerts}\ndata:\n  a: '{{ $labels.pod }}'\n", Options{}, 1, ""},

		// What it is.
		{"no object", "- a\n- b\n", Options{}, 0,
			"warning f.yaml:1:1: read f.yaml document: this is a list and no Kubernetes object\n  leave the file out, or write an object with apiVersion and kind\n"},
		{"values of a chart", "replicas: 1\nimage: x\n", Options{}, 0,
			"warning f.yaml:1:1: read f.yaml document: no apiVersion and kind, so this is no Kubernetes object\n  leave the file out, or write an object with apiVersion and kind\n"},
		{"no kind", "apiVersion: security.istio.io/v1\nmetadata: {name: x}\n", Options{}, 0,
			"error f.yaml:1:1: read f.yaml document: an object of security.istio.io/v1 has no kind\n  say what it is, for instance `kind: PeerAuthentication`\n"},
		{"no apiVersion", "kind: PeerAuthentication\nmetadata: {name: x}\n", Options{}, 0,
			"error f.yaml:1:1: read PeerAuthentication: apiVersion is missing\n  add `apiVersion: security.istio.io/v1`\n"},
		{"unknown version", "apiVersion: security.istio.io/v2\nkind: PeerAuthentication\nmetadata: {name: x}\n", Options{}, 0,
			"error f.yaml:1:13: read PeerAuthentication: unknown version \"security.istio.io/v2\" of PeerAuthentication\n  write security.istio.io/v1\n"},
		{"kind of a wrong type", "apiVersion: v1\nkind: [Service]\n", Options{}, 0, "error f.yaml:2:7: read f.yaml document: kind wants text, not a list\n"},
		{"kind in small letters", "apiVersion: security.istio.io/v1\nkind: peerauthentication\nmetadata: {name: x}\n", Options{}, 1,
			"warning f.yaml:2:7: read peerauthentication: unknown kind in security.istio.io\n  did you mean PeerAuthentication?\n"},
		{"no metadata", "apiVersion: v1\nkind: Service\nspec: {}\n", Options{}, 0,
			"error f.yaml:1:1: read Service: metadata.name is missing\n  add `metadata: {name: ...}`\n"},
		{"no name", "apiVersion: v1\nkind: Service\nmetadata:\n  namespace: x\n", Options{}, 0,
			"error f.yaml:4:3: read Service: metadata.name is missing\n  add a name\n"},
		{"generated name", "apiVersion: batch/v1\nkind: Job\nmetadata:\n  generateName: x-\n", Options{}, 0,
			"error f.yaml:4:3: read Job: metadata.name is missing\n  write a name: generateName is for the API server alone\n"},
		{"name is a number", "apiVersion: v1\nkind: Service\nmetadata:\n  name: 12\n", Options{}, 0,
			"error f.yaml:4:9: read Service: metadata.name wants text, not the number 12\n  put it in quotes: \"12\"\n"},
		{"bad time", "apiVersion: v1\nkind: Namespace\nmetadata: {name: a, creationTimestamp: yesterday}\n", Options{}, 0,
			"error f.yaml:3:40: read Namespace a: metadata.creationTimestamp \"yesterday\" is no time\n  write it like 2026-01-31T12:00:00Z, or leave it out\n"},
		{"twice", paHead + "---\n" + strings.Replace(paHead, "/v1\n", "/v1beta1\n", 1), Options{}, 1,
			"error f.yaml:7:1: read PeerAuthentication shop/p: it is defined already at f.yaml:1:1\n  remove one of the two; the first one counts\n"},

		// Types and words.
		{"unknown mode", paHead + "spec:\n  mtls:\n    mode: permissive\n", Options{}, 0,
			"error f.yaml:8:11: read PeerAuthentication shop/p: unknown mode \"permissive\" in spec.mtls.mode\n  write PERMISSIVE\n"},
		{"mode far off", paHead + "spec:\n  mtls:\n    mode: enforced\n", Options{}, 0,
			"error f.yaml:8:11: read PeerAuthentication shop/p: unknown mode \"enforced\" in spec.mtls.mode\n  write one of UNSET, DISABLE, PERMISSIVE, STRICT\n"},
		{"mode by number", paHead + "spec: {mtls: {mode: 3}}\n", Options{}, 0,
			"error f.yaml:6:21: read PeerAuthentication shop/p: unknown mode \"3\" in spec.mtls.mode\n  write one of UNSET, DISABLE, PERMISSIVE, STRICT\n"},
		{"legacy mode", polHead + "spec:\n  peers:\n  - mtls:\n      mode: permissive\n", Options{}, 0,
			"error f.yaml:9:13: read Policy shop/default: unknown mode \"permissive\" in spec.peers[0].mtls.mode\n  write PERMISSIVE\n"},
		{"mtls is text", paHead + "spec:\n  mtls: STRICT\n", Options{}, 0,
			"error f.yaml:7:9: read PeerAuthentication shop/p: spec.mtls wants a mapping, not text \"STRICT\"\n"},
		{"list for a mapping", drHead + "spec:\n  host: a\n  exportTo: \"*\"\n", Options{}, 0,
			"error f.yaml:8:13: read DestinationRule shop/d: spec.exportTo wants a list, not text \"*\"\n  begin each entry with `- `\n"},
		{"boolean label", drHead + "spec:\n  host: a\n  subsets:\n  - name: a\n    labels: {canary: yes}\n", Options{}, 0,
			"error f.yaml:10:22: read DestinationRule shop/d: spec.subsets[0].labels.canary wants text, not the boolean yes\n  put it in quotes: \"yes\"\n"},
		{"port is text", svcHead + "spec:\n  ports:\n  - port: \"80\"\n", Options{}, 0,
			"error f.yaml:8:11: read Service shop/s: spec.ports[0].port wants a whole number, not text \"80\"\n  take the quotes away: 80\n"},
		{"port out of range", svcHead + "spec:\n  ports:\n  - port: 80000\n", Options{}, 0,
			"error f.yaml:8:11: read Service shop/s: spec.ports[0].port is no port: 80000\n  a port is a number from 1 to 65535\n"},
		{"no port", svcHead + "spec:\n  ports:\n  - name: a\n", Options{}, 0,
			"error f.yaml:8:5: read Service shop/s: spec.ports[0].port is missing\n"},
		{"target port in quotes", svcHead + "spec:\n  ports:\n  - {port: 80, targetPort: \"8080\"}\n", Options{}, 0,
			"error f.yaml:8:28: read Service shop/s: spec.ports[0].targetPort is the name of a port, and a name has a letter in it\n  take the quotes away: 8080\n"},
		{"ports without names", svcHead + "spec:\n  ports:\n  - {port: 80, name: a}\n  - port: 90\n", Options{}, 0,
			"error f.yaml:9:5: read Service shop/s: spec.ports[1].name is missing\n  name each port when there are several\n"},
		{"ports with one name", svcHead + "spec:\n  ports:\n  - {port: 80, name: a}\n  - {port: 90, name: a}\n", Options{}, 0,
			"error f.yaml:9:6: read Service shop/s: spec.ports[1].name \"a\" is there twice\n  give each port a name of its own\n"},
		{"protocol", svcHead + "spec:\n  ports:\n  - {port: 80, protocol: tcp}\n", Options{}, 0,
			"error f.yaml:8:26: read Service shop/s: unknown protocol \"tcp\" in spec.ports[0].protocol\n  write TCP\n"},
		{"external name", svcHead + "spec:\n  type: ExternalName\n", Options{}, 0,
			"error f.yaml:7:3: read Service shop/s: spec.externalName is missing\n  write the name that it stands for\n"},
		{"port mode of a name", paHead + "spec:\n  selector: {matchLabels: {a: b}}\n  portLevelMtls:\n    http: {mode: STRICT}\n", Options{}, 0,
			"error f.yaml:9:5: read PeerAuthentication shop/p: spec.portLevelMtls: \"http\" is no port\n  write the number of a workload port, from 1 to 65535\n"},
		{"no host", drHead + "spec:\n  trafficPolicy: {tls: {mode: DISABLE}}\n", Options{}, 0,
			"error f.yaml:7:3: read DestinationRule shop/d: spec.host is missing\n"},
		{"no template", depHead + "spec:\n  replicas: 1\n", Options{}, 0,
			"error f.yaml:7:3: read Deployment kube-system/w: spec.template is missing\n"},
		{"container port", depHead + "spec:\n  template:\n    spec:\n      containers:\n      - name: a\n        ports:\n        - containerPort: 0\n", Options{}, 0,
			"error f.yaml:12:26: read Deployment kube-system/w: ports[0].containerPort of container a is no port: 0\n  a port is a number from 1 to 65535\n"},
		{"arguments are text", depHead + "spec:\n  template:\n    spec:\n      containers:\n      - name: a\n        args: [--port, 8080]\n", Options{}, 0,
			"error f.yaml:11:24: read Deployment kube-system/w: spec.template.spec.containers[0].args[1] wants text, not the number 8080\n  put it in quotes: \"8080\"\n"},

		// Unknown fields.
		{"case of a field", polHead + "spec:\n  peers:\n  - mTLS: {}\n", Options{}, 1,
			"warning f.yaml:8:5: read Policy shop/default: unknown field \"mTLS\" in spec.peers[0] is ignored\n  did you mean mtls?\n"},
		{"letters swapped", drHead + "spec:\n  host: a\n  trafficPoilcy: {}\n", Options{}, 1,
			"warning f.yaml:8:3: read DestinationRule shop/d: unknown field \"trafficPoilcy\" in spec is ignored\n  did you mean trafficPolicy?\n"},
		{"wrong place", paHead + "spec:\n  matchLabels: {a: b}\n", Options{}, 1,
			"warning f.yaml:7:3: read PeerAuthentication shop/p: unknown field \"matchLabels\" in spec is ignored\n  did you mean spec.selector.matchLabels?\n"},
		{"wrong place, several right ones", drHead + "spec:\n  host: a\n  portLevelSettings: []\n", Options{}, 1,
			"warning f.yaml:8:3: read DestinationRule shop/d: unknown field \"portLevelSettings\" in spec is ignored\n  did you mean spec.trafficPolicy.portLevelSettings?\n"},
		{"no idea", paHead + "spec:\n  colour: red\n", Options{}, 1,
			"warning f.yaml:7:3: read PeerAuthentication shop/p: unknown field \"colour\" in spec is ignored\n  known here: mtls, portLevelMtls, selector\n"},
		{"top level", paHead + "specs: {}\n", Options{}, 1,
			"warning f.yaml:6:1: read PeerAuthentication shop/p: unknown field \"specs\" in the object is ignored\n  did you mean spec?\n"},
		{"metadata", "apiVersion: v1\nkind: Service\nmetadata: {name: s, lables: {}}\n", Options{}, 1,
			"warning f.yaml:3:21: read Service default/s: unknown field \"lables\" in metadata is ignored\n  did you mean labels?\n"},
		{"pods have fields that we do not read", depHead + "spec:\n  paused: true\n  template:\n    spec:\n      dnsPolicy: None\n", Options{}, 1, ""},

		// Annotations.
		{"capture of no port", "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  namespace: kube-system\n  annotations:\n    traffic.sidecar.istio.io/excludeInboundPorts: 80,http\nspec: {}\n", Options{}, 1,
			"warning f.yaml:7:51: read Pod kube-system/a: annotation traffic.sidecar.istio.io/excludeInboundPorts: \"http\" is no port and is ignored\n  write port numbers with commas between them\n"},
		{"call of nothing", "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  namespace: kube-system\n  annotations:\n    oarlock.dev/calls: a:b\nspec: {}\n", Options{}, 1,
			"warning f.yaml:7:24: read Pod kube-system/a: annotation oarlock.dev/calls: \"a:b\" is no target and is ignored\n  write HOST, HOST:PORT or a URL\n"},

		// MeshConfig.
		{"type in MeshConfig", mcHead + "data:\n  mesh: |-\n    rootNamespace: root\n    enableAutoMtls: maybe\n", Options{}, 0,
			"error f.yaml:9:21: read ConfigMap istio-system/istio: data.mesh.enableAutoMtls wants true or false, not text \"maybe\"\n"},
		{"word in MeshConfig", mcHead + "data:\n  mesh: |\n    # a comment\n    outboundTrafficPolicy: {mode: registry_only}\n", Options{}, 0,
			"error f.yaml:9:35: read ConfigMap istio-system/istio: unknown mode \"registry_only\" in data.mesh.outboundTrafficPolicy.mode\n  write REGISTRY_ONLY\n"},
		{"syntax in MeshConfig", mcHead + "data:\n  mesh: |\n    a: b\n     c: d\n", Options{}, 0,
			"error f.yaml:9:6: read ConfigMap istio-system/istio: parse data.mesh: mapping values are not allowed in this context\n  indent this line like its neighbours, give the line above its colon, or quote a value that holds a colon and a space\n"},
		{"quoted MeshConfig", mcHead + "data:\n  mesh: \"enableAutoMtls: 3\"\n", Options{}, 0,
			"error f.yaml:7:9: read ConfigMap istio-system/istio: data.mesh.enableAutoMtls wants true or false, not the number 3\n"},
		{"duration in MeshConfig", mcHead + "data:\n  mesh: |\n    protocolDetectionTimeout: 5\n", Options{}, 0,
			"error f.yaml:8:31: read ConfigMap istio-system/istio: data.mesh.protocolDetectionTimeout wants text, not the number 5\n  put it in quotes: \"5\"\n"},
		{"no duration", mcHead + "data:\n  mesh: |\n    protocolDetectionTimeout: soon\n", Options{}, 0,
			"error f.yaml:8:31: read ConfigMap istio-system/istio: data.mesh.protocolDetectionTimeout: \"soon\" is no duration\n  write it like 100ms or 5s\n"},
		{"unknown keys of MeshConfig are fine", mcHead + "data:\n  mesh: |\n    defaultConfig: {discoveryAddress: x}\n  meshNetworks: 'networks: {}'\n", Options{}, 1, ""},
		{"dialect", strings.Replace(mcHead, "  name: istio\n", "  name: istio\n  annotations: {oarlock.dev/dialect: \"1.5\"}\n", 1), Options{}, 0,
			"error f.yaml:5:38: read ConfigMap istio-system/istio: annotation oarlock.dev/dialect: unknown dialect \"1.5\"\n  write one of auto, 1.1, 1.2, 1.3, 1.4, current\n"},
		{"two of them", strings.Replace(mcHead, "istio-system", "a", 1) + "---\n" + mcHead, Options{}, 2,
			"warning f.yaml:1:1: read ConfigMap a/istio: it is not read, because ConfigMap istio-system/istio is the mesh's\n"},
		{"one of a revision beside it", mcHead + "---\n" + strings.Replace(mcHead, "name: istio\n", "name: istio-canary\n", 1) + "data: {mesh: \"\"}\n", Options{}, 2,
			"warning f.yaml:7:1: read ConfigMap istio-system/istio-canary: it is not read, because ConfigMap istio-system/istio is the mesh's\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			snap, got := loadText(tc.text, tc.opt)
			if got != tc.want {
				t.Errorf("got\n%swant\n%s", got, tc.want)
			}
			if snap.Documents != tc.objects {
				t.Errorf("%d objects taken in, want %d", snap.Documents, tc.objects)
			}
		})
	}
}

func TestNearest(t *testing.T) {
	words := []string{"trafficPolicy", "host", "mtls", "PERMISSIVE", "portLevelMtls"}
	for in, want := range map[string]string{
		"TrafficPolicy": "trafficPolicy", "traffic_policy": "trafficPolicy", "hosts": "host", "hsot": "host", "mTLS": "mtls",
		"permisive": "PERMISSIVE", "": "", "x": "", "tls": "mtls", "completely": "", "portlevelmTLS": "portLevelMtls",
	} {
		if got := nearest(in, words); got != want {
			t.Errorf("nearest(%q) = %q, want %q", in, got, want)
		}
	}
}

// TestSchemas makes sure that every kind that is read has a table, and that the tables hold what they are for.
func TestSchemas(t *testing.T) {
	for kind, s := range schemas() {
		if _, known := knownKind(mesh.Kind(kind)); known != (kind[0] < 'a') {
			t.Errorf("%s: known %v", kind, known)
		}
		if s.shape != objShape {
			t.Errorf("%s is no object", kind)
		}
	}
	for _, path := range []string{
		"PeerAuthentication spec mtls mode", "DestinationRule spec trafficPolicy portLevelSettings port number",
		"ServiceEntry spec endpoints serviceAccount", "Sidecar spec egress hosts", "WorkloadEntry spec address",
		"VirtualService spec http route destination host", "Gateway spec servers tls mode", "Policy spec targets ports name",
		"MeshPolicy spec peers jwt triggerRules excludedPaths exact", "Service spec ports appProtocol", "Pod metadata labels",
	} {
		words := strings.Fields(path)
		s := schemas()[words[0]]
		for _, w := range words[1:] {
			for s != nil && s.elem != nil {
				s = s.elem
			}
			if s != nil {
				s = s.field(w)
			}
		}
		if s == nil {
			t.Errorf("no field %s", path)
		}
	}
}
