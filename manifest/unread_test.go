package manifest

import (
	"fmt"
	"testing"

	"github.com/oarlock/oarlock/mesh"
)

const unreadYAML = `apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |-
    # what is read is not told
    rootNamespace: istio-system
    accessLogFile: /dev/stdout
    connectTimeout: 3s
    enableTracing: false
    enablePrometheusMerge: true
    defaultConfig:
      concurrency: 2
      discoveryAddress: istiod.istio-system.svc:15012
      tracing:
        zipkin: {address: "zipkin:9411"}
      proxyMetadata: {}
    outboundTrafficPolicy: {mode: REGISTRY_ONLY, egressProxy: {host: out}}
    caCertificates:
    - trustDomains: [other]
      pem: x
    - spiffeBundleUrl: https://a
    tlsDefaults: {ecdhCurves: [P-256]}
    somethingNew: 1
---
apiVersion: v1
kind: ConfigMap
metadata: {name: istio-canary, namespace: istio-system}
data:
  mesh: 'connectTimeout: 4s'
`

// TestUnreadMeshConfig: what a MeshConfig asks for and nobody reads is told with its place in the file; that of a ConfigMap which
// is not the mesh's is not.
func TestUnreadMeshConfig(t *testing.T) {
	s, _ := loadText(unreadYAML, Options{})
	var got []string
	for _, u := range s.Unenforced {
		got = append(got, fmt.Sprintf("%s %d:%d %s", u.Ref, u.Origin.Line, u.Origin.Col, u.Why))
	}
	equal(t, "unenforced", got, []string{
		"ConfigMap istio-system/istio 9:5 mesh.connectTimeout: it is 10 s where no DestinationRule says otherwise",
		"ConfigMap istio-system/istio 11:5 mesh.enablePrometheusMerge: the series of an application are at its own port",
		"ConfigMap istio-system/istio 14:7 mesh.defaultConfig.discoveryAddress: sidecars ask the control plane of this mesh",
		"ConfigMap istio-system/istio 15:7 mesh.defaultConfig.tracing: no trace is sent",
		"ConfigMap istio-system/istio 18:50 mesh.outboundTrafficPolicy.egressProxy: it is not read",
		"ConfigMap istio-system/istio 21:7 mesh.caCertificates[0].pem: the authority of this mesh alone is trusted",
		"ConfigMap istio-system/istio 22:7 mesh.caCertificates[1].spiffeBundleUrl: the authority of this mesh alone is trusted",
		"ConfigMap istio-system/istio 23:19 mesh.tlsDefaults.ecdhCurves: TLS that is not the mesh's has the usual versions and ciphers",
		"ConfigMap istio-system/istio 24:5 mesh.somethingNew: it is not read",
	})
}

// TestUnreadConfigOfOthers: an element that is no mapping, and a MeshConfig without anything, tell nothing.
func TestUnreadConfigOfOthers(t *testing.T) {
	for _, text := range []string{"", "caCertificates: []", "defaultConfig: {concurrency: 1}", "defaultConfig: null", "trustDomainAliases: [a]", "enableTracing: false"} {
		s := mustLoad(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata:\n  mesh: '"+text+"'\n", Options{})
		if len(s.Unenforced) > 0 || s.Config.RootNamespace != mesh.DefaultConfig().RootNamespace {
			t.Errorf("%q: %+v", text, s.Unenforced)
		}
	}
}
