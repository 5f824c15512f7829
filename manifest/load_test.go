package manifest

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/oarlock/oarlock/mesh"
)

const twoPolicies = `# The whole mesh.
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata:
  name: default
  namespace: istio-system
spec:
  mtls: &strict
    mode: STRICT # for all
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: old, namespace: shop}
spec: {mtls: {mode: PERMISSIVE}}
`

// refs lists what was taken in, with its modes and places.
func modes(snap *mesh.Snapshot) string {
	var b strings.Builder
	for _, p := range snap.PeerAuthentications {
		fmt.Fprintln(&b, p.Ref, p.Mode, p.Origin)
	}
	return b.String()
}

// TestForms reads the same two policies in every way in which they can be written down.
func TestForms(t *testing.T) {
	const jsonItems = `{"apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication", "metadata": {"name": "default", "namespace": "istio-system"}, "spec": {"mtls": {"mode": "STRICT"}}},
 {"apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication", "metadata": {"name": "old", "namespace": "shop"}, "spec": {"mtls": {"mode": "PERMISSIVE"}}}`
	for _, tc := range []struct{ name, text, first, second string }{
		{"documents", twoPolicies, "2:1", "11:1"},
		{"CRLF", strings.ReplaceAll(twoPolicies, "\n", "\r\n"), "2:1", "11:1"},
		{"BOM", utf8BOM + strings.TrimPrefix(twoPolicies, "# The whole mesh.\n"), "1:1", "10:1"},
		{"BOM before a marker", utf8BOM + "---\n" + twoPolicies, "3:1", "12:1"},
		{"end markers and empty documents", "---\n---\n# x\n---\n" + strings.ReplaceAll(twoPolicies, "---\n", "...\n---\n\n---\n") + "...\n", "6:1", "18:1"},
		{"list", "apiVersion: v1\nkind: List\nitems:\n- " + strings.ReplaceAll(strings.TrimPrefix(strings.ReplaceAll(twoPolicies, "\n---\n", "\n@"), "# The whole mesh.\n"), "\n", "\n  "), "4:3", "12:3"},
		{"typed list", `{apiVersion: security.istio.io/v1, kind: PeerAuthenticationList, items: [
  {metadata: {name: default, namespace: istio-system}, spec: {mtls: {mode: STRICT}}},
  {metadata: {name: old, namespace: shop}, spec: {mtls: {mode: PERMISSIVE}}}]}`, "2:4", "3:4"},
		{"list of lists", "{apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: List, items: [\n" + jsonItems + "]}, null]}", "2:2", "3:3"},
		{"JSON", "{\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": [\n" + jsonItems + "\n]}\n", "2:2", "3:3"},
		{"JSON with tabs", "{\n\t\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": [\n" + jsonItems + "\n\t]}\n", "3:2", "4:3"},
		{"a stream of JSON", strings.Replace(jsonItems, "}}},\n", "}}}\n", 1), "1:2", "2:3"},
		{"anchors and merge keys", `apiVersion: &api security.istio.io/v1
kind: List
items:
- &first
  apiVersion: *api
  kind: PeerAuthentication
  metadata: {name: default, namespace: istio-system}
  spec: {mtls: {mode: STRICT}}
- <<: *first
  metadata: {name: old, namespace: shop}
  spec: {mtls: {mode: PERMISSIVE}}
`, "5:3", "9:3"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			text := strings.ReplaceAll(tc.text, "\n  @", "\n- ") // of the list
			snap := mustLoad(t, text, Options{})
			want := "PeerAuthentication istio-system/default STRICT f.yaml:" + tc.first + "\nPeerAuthentication shop/old PERMISSIVE f.yaml:" + tc.second + "\n"
			if got := modes(snap); got != want {
				t.Errorf("got\n%swant\n%s\n%s", got, want, text)
			}
			if snap.Documents != 2 {
				t.Errorf("%d documents", snap.Documents)
			}
		})
	}
}

// TestSurrogates: JSON writes an emoji as two escapes, which YAML's parser refuses.
func TestSurrogates(t *testing.T) {
	snap := mustLoad(t, `{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a", "labels": {"mood": "\ud83d\ude00!"}}}`, Options{})
	if got := snap.Namespaces[0].Labels["mood"]; got != "😀!" {
		t.Errorf("%q", got)
	}
}

// TestRuneColumns: columns count characters, not bytes.
func TestRuneColumns(t *testing.T) {
	_, got := loadText(paHead+"spec: {mtls: {\"möde\": ä, mode: ü}}\n", Options{})
	for _, want := range []string{"error f.yaml:6:32: ", "warning f.yaml:6:15: "} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

func TestUnknownKinds(t *testing.T) {
	snap := mustLoad(t, `{apiVersion: kyverno.io/v1, kind: Policy, metadata: {name: a}}
---
{apiVersion: kyverno.io/v1, kind: Policy, metadata: {name: a}, spec: {anything: [goes]}}
---
{apiVersion: serving.knative.dev/v1, kind: Service, metadata: {name: a}}
---
{apiVersion: v1, kind: Secret, data: {a: y}}
---
{apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: {name: a}}
---
{apiVersion: v1, kind: ServiceAccount, metadata: {name: b}}
---
{apiVersion: v1, kind: ServiceAccount, metadata: {name: a, namespace: shop}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: other}, data: {a: 1}}
---
{apiVersion: extensions/v1beta1, kind: Deployment, metadata: {name: a, namespace: kube-system}, spec: {template: {spec: {}}}}
`, Options{})
	equal(t, "unknown", snap.Unknown, map[string]int{"Policy.kyverno.io": 2, "Service.serving.knative.dev": 1, "Secret": 1, "AuthorizationPolicy.security.istio.io": 1})
	equal(t, "accounts", snap.ServiceAccounts, []mesh.Ref{{Kind: mesh.KindServiceAccount, Namespace: "default", Name: "b"}, {Kind: mesh.KindServiceAccount, Namespace: "shop", Name: "a"}})
	if snap.Documents != 9 || len(snap.Workloads) != 1 {
		t.Errorf("%d documents, %d workloads", snap.Documents, len(snap.Workloads))
	}
}

// TestOrderOfFiles: the result is a matter of the files and not of their order.
func TestOrderOfFiles(t *testing.T) {
	files := []File{
		{"a.yaml", []byte(twoPolicies)},
		{"b.yaml", []byte("a: b: c\n---\n" + paHead)},
		{"c.yaml", []byte(paHead + "spec: {x: y}\n---\n" + mcHead)},
		{"d.yaml", []byte(svcHead + "---\n" + depHead + "spec: {template: {spec: {}}}\n")},
		{"e.yaml", []byte("{{ x }}: y\n---\n{{- end }}\n")},
	}
	snap, problems := Load(files, Options{})
	if len(problems) != 4 { // syntax, twice, the Helm template, an unknown field
		t.Errorf("problems:\n%s", problemLines(problems))
	}
	for i := range problems {
		if i > 0 && problems[i].Severity > problems[i-1].Severity {
			t.Error("errors come first")
		}
	}
	reversed := make([]File, 0, len(files))
	for i := range files {
		reversed = append(reversed, files[len(files)-1-i])
	}
	again, problemsAgain := Load(reversed, Options{})
	if !reflect.DeepEqual(snap, again) || !reflect.DeepEqual(problems, problemsAgain) {
		t.Error("the order of files matters")
	}
}

func TestVersion(t *testing.T) {
	version := func(opt Options, files ...string) string {
		var list []File
		for i, f := range files {
			list = append(list, File{fmt.Sprint(i), []byte(f)})
		}
		snap, _ := Load(list, opt)
		return snap.Version
	}
	base := version(Options{}, svcHead, paHead)
	if base != version(Options{}, paHead, svcHead) {
		t.Error("equal content in another order has another version")
	}
	for name, v := range map[string]string{
		"less": version(Options{}, svcHead), "other": version(Options{}, svcHead, paHead+"spec: {mtls: {mode: STRICT}}\n"),
		"twice": version(Options{}, svcHead, paHead, paHead), "dialect": version(Options{Dialect: mesh.Dialect12}, svcHead, paHead),
		"lenient": version(Options{Lenient: true}, svcHead, paHead), "nothing": version(Options{}),
	} {
		if v == base || v == "" {
			t.Errorf("%s: the same version", name)
		}
	}
}

// examples gives the manifests under examples/, each by its path.
func examples(t testing.TB) []File {
	paths, err := filepath.Glob("../examples/*/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var files []File
	for _, p := range paths {
		data, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, File{p, data})
	}
	return files
}

// TestExamples: what newcomers try first reads without a word, one folder at a time.
func TestExamples(t *testing.T) {
	folders := map[string][]File{}
	for _, f := range examples(t) {
		sameParse(t, string(f.Data))
		folders[filepath.Dir(f.Name)] = append(folders[filepath.Dir(f.Name)], f)
	}
	for name, files := range folders {
		if snap, problems := Load(files, Options{}); len(problems) > 0 || len(snap.Workloads) == 0 {
			t.Errorf("%s: %d workloads, problems:\n%s", name, len(snap.Workloads), problemLines(problems))
		}
	}
}

// TestEmpty: nothing in, an empty mesh out, with everything set that a reader relies on.
func TestEmpty(t *testing.T) {
	for _, files := range [][]File{nil, {}, {{Name: "a"}}, {{"a", []byte("\n# nothing\n---\n")}}} {
		snap, problems := Load(files, Options{})
		if len(problems) > 0 || snap.Documents != 0 || snap.Unknown == nil || snap.Dialect != mesh.DialectCurrent ||
			snap.Config.RootNamespace != "istio-system" || snap.Version == "" {
			t.Errorf("%+v %v", snap, problems)
		}
	}
}

// FuzzLoad: no input ends the process, a problem always says where it is, and reading twice gives the same.
func FuzzLoad(f *testing.F) {
	for _, text := range valueSeeds {
		f.Add([]byte(text))
	}
	for _, text := range []string{twoPolicies, paHead, drHead + "spec: {host: a}\n", svcHead + "spec: {ports: [{port: 80}]}\n",
		polHead + "spec:\n  peers:\n  - mtls:\n", mcHead + "data:\n  mesh: |\n    enableAutoMtls: true\n", depHead + "spec: {template: {spec: {}}}\n",
		podText{labels: "a: b", namespaceLabels: "istio-injection: enabled"}.String(), "{{- if }}\n", "\xff\xfe", "kind: List\nitems: [{}]\n"} {
		f.Add([]byte(text))
	}
	for _, e := range examples(f) {
		f.Add(e.Data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		files := []File{{"a", data}, {"b", data[:len(data)/2]}}
		snap, problems := Load(files, Options{})
		lines := strings.Count(string(data), "\n") + strings.Count(string(data), "\r") + 1 +
			strings.Count(string(data), "\u0085") + strings.Count(string(data), "\u2028") + strings.Count(string(data), "\u2029")
		for _, p := range problems {
			if p.Origin.File == "" || p.Origin.Line < 1 || p.Origin.Col < 1 || p.Origin.Line > lines || p.Message == "" {
				t.Errorf("no place: %+v", p)
			}
		}
		again, problemsAgain := Load([]File{files[1], files[0]}, Options{})
		if !reflect.DeepEqual(snap, again) || !reflect.DeepEqual(problems, problemsAgain) {
			t.Error("reading twice gives another result")
		}
	})
}
