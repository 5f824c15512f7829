package manifest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/oarlock/oarlock/mesh"
)

const proxyMesh = `apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    defaultConfig:
      concurrency: 7
      drainDuration: 45s
---
apiVersion: networking.istio.io/v1beta1
kind: ProxyConfig
metadata: {name: all, namespace: shop}
spec: {concurrency: 3, image: {imageType: distroless}, environmentVariables: {A: b}}
---
apiVersion: networking.istio.io/v1beta1
kind: ProxyConfig
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  concurrency: 0
---
apiVersion: networking.istio.io/v1beta1
kind: ProxyConfig
metadata: {name: none, namespace: shop}
spec: {selector: {}, concurrency: 9}
---
apiVersion: networking.istio.io/v1beta1
kind: ProxyConfig
metadata: {name: silent, namespace: shop}
spec: {}
`

func TestProxyConfig(t *testing.T) {
	s, problems := Load([]File{{Name: "m.yaml", Data: []byte(proxyMesh)}}, Options{})
	if len(problems) > 0 {
		t.Errorf("problems %v", problems)
	}
	got := fmt.Sprint("mesh ", *s.Config.Concurrency)
	for _, c := range s.ProxyConfigs {
		said := "nothing"
		if c.Concurrency != nil {
			said = fmt.Sprint(*c.Concurrency)
		}
		got += fmt.Sprintf(", %s %s %v", c.Ref.Name, said, c.Selector == nil)
	}
	if want := "mesh 7, all 3 true, none 9 false, silent nothing true, web 0 false"; got != want || len(s.Unknown) > 0 {
		t.Errorf("got %s, want %s; unknown %v", got, want, s.Unknown)
	}
	for text, want := range map[string]string{
		strings.Replace(proxyMesh, "concurrency: 7", "concurrency: many", 1):                       `defaultConfig.concurrency wants a number of processors, not text "many", and is ignored`,
		strings.Replace(proxyMesh, "concurrency: 3", "concurrency: -3", 1):                         "spec.concurrency wants a number of processors, not the number -3, and is ignored",
		strings.Replace(proxyMesh, "concurrency: 3", "concurrency: few", 1):                        "spec.concurrency",
		strings.Replace(proxyMesh, "concurrency: 3", "concurency: 3", 1):                           "concurency",
		strings.Replace(proxyMesh, "io/v1beta1\nkind: ProxyConfig", "io/v1\nkind: ProxyConfig", 1): `unknown version "networking.istio.io/v1" of ProxyConfig`,
	} {
		_, problems := Load([]File{{Name: "m.yaml", Data: []byte(text)}}, Options{})
		if len(problems) != 1 || !strings.Contains(problems[0].Message, want) || problems[0].Origin.Line == 0 {
			t.Errorf("%v, want %s", problems, want)
		}
	}
}

// TestProxyAnnotation reads that of the pod template, as the injector does, and never that of the controller.
func TestProxyAnnotation(t *testing.T) {
	for _, c := range []struct {
		annotation string // YAML
		want       int    // -1: nothing
		problem    string
	}{
		{`"concurrency: 4"`, 4, ""},
		{`'{"concurrency": 0, "tracing": {}}'`, 0, ""},
		{"|\n          drainDuration: 45s\n          concurrency: 8", 8, ""},
		{`'concurrency: "2"'`, 2, ""},
		{`""`, -1, ""},
		{`"drainDuration: 45s"`, -1, ""},
		{`"concurrency: null"`, -1, ""},
		{`"concurrency: -1"`, -1, "wants a number of processors"},
		{`"concurrency: 1.5"`, -1, "wants a number of processors"},
		{`"concurrency: [1]"`, -1, "wants a number of processors"},
		{`"a: ["`, -1, "is no mapping in YAML"},
		{`"2"`, -1, "is no mapping in YAML"},
	} {
		text := `apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop, annotations: {proxy.istio.io/config: "concurrency: 99"}}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata:
      labels: {app: web, sidecar.istio.io/inject: "true"}
      annotations:
        proxy.istio.io/config: ` + c.annotation + `
    spec: {containers: [{name: web, image: x}]}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop}
`
		s, problems := Load([]File{{Name: "m.yaml", Data: []byte(text)}}, Options{})
		got := -1
		if n := s.Workloads[0].Concurrency; n != nil {
			got = *n
		}
		if got != c.want || (len(problems) > 0) != (c.problem != "") || c.problem != "" && (problems[0].Severity != mesh.Warning ||
			!strings.Contains(problems[0].Message, c.problem) || problems[0].Origin.Line != 10) {
			t.Errorf("%s: %d, want %d, problems %v", c.annotation, got, c.want, problems)
		}
		if pod := s.Workloads[0].Pod("web-1", nil); (pod.Concurrency == nil) != (got < 0) {
			t.Errorf("%s: a pod has %v", c.annotation, pod.Concurrency)
		}
	}
}
