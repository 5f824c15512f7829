package local

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/oarlock/oarlock/bootstrap"
)

// TestConcurrency: what Istio's objects, annotations and mesh configuration say of processors is in the file that a sidecar
// starts from, and a change of it restarts the pod, since a sidecar reads it once.
func TestConcurrency(t *testing.T) {
	const deployment = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME, namespace: shop}
spec:
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}, annotations: {ANNOTATIONS}}
    spec: {containers: [{name: app, command: [NAME]}]}
---
`
	named := func(name, annotations string) string {
		return strings.NewReplacer("NAME", name, "ANNOTATIONS", annotations).Replace(deployment)
	}
	const objects = `
{apiVersion: v1, kind: ConfigMap, metadata: {name: istio, namespace: istio-system}, data: {mesh: "defaultConfig: {concurrency: 6}"}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {istio-injection: enabled}}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: bank, labels: {istio-injection: enabled}}}
---
{apiVersion: networking.istio.io/v1beta1, kind: ProxyConfig, metadata: {name: all, namespace: shop}, spec: {concurrency: 3}}
---
{apiVersion: networking.istio.io/v1beta1, kind: ProxyConfig, metadata: {name: db, namespace: shop}, spec: {selector: {matchLabels: {app: db}}, concurrency: 0}}
---
`
	yaml := objects + named("web", `proxy.istio.io/config: "concurrency: 4"`) + named("api", "") + named("db", `proxy.istio.io/config: "concurrency: 4"`) +
		strings.ReplaceAll(named("teller", ""), "namespace: shop", "namespace: bank")
	d := planOf(t, yaml)
	for name, want := range map[string]int{"web": 4, "api": 3, "db": 0, "teller": 6} {
		f := specOf(t, d, name).Sidecar.Bootstrap
		text, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		var read bootstrap.File
		if err := json.Unmarshal(text, &read); err != nil || read.Concurrency == nil || *read.Concurrency != want {
			t.Errorf("%s: concurrency %v, want %d: %v", name, read.Concurrency, want, err)
		}
	}
	next := planOf(t, strings.Replace(yaml, "concurrency: 3", "concurrency: 5", 1))
	for name, same := range map[string]bool{"web": true, "api": false, "db": true, "teller": true} {
		if (specOf(t, d, name).Fingerprint == specOf(t, next, name).Fingerprint) != same {
			t.Errorf("%s: it is %v that its pod stays as it is", name, !same)
		}
	}
	if f := specOf(t, planOf(t, pair(plainServer, plainClient)), "web").Sidecar.Bootstrap; f.Concurrency != nil {
		t.Errorf("where nobody says, concurrency is %d", *f.Concurrency)
	}
}
