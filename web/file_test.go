package web

import (
	"testing"

	"github.com/oarlock/oarlock/api"
	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/meshtest"
)

// TestObjectsAreListedOnce: an object of which some fields have no effect here is one object, at its own place.
func TestObjectsAreListedOnce(t *testing.T) {
	s := meshtest.Snapshot(t, `apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data: {mesh: "{connectTimeout: 3s, localityLbSetting: {enabled: true}}"}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: d, namespace: shop}
spec: {host: cart, trafficPolicy: {tunnel: {targetHost: a, targetPort: 1}, loadBalancer: {consistentHash: {useSourceIp: true}}}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: e, namespace: shop}
spec: {hosts: [a.b, c.d], resolution: STATIC, ports: [{number: 80, name: http, protocol: HTTP}], endpoints: [{address: 1.2.3.4, weight: 3}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: deny, namespace: shop}
spec: {}
`, mesh.DialectCurrent)
	if len(s.Unenforced) != 6 {
		t.Fatalf("not enforced: %+v", s.Unenforced)
	}
	lines := map[string]int{}
	for _, o := range objectsIn(s, func(*api.ObjectEntry) bool { return true }) {
		if _, again := lines[o.Kind]; again {
			t.Errorf("%+v is listed again", o.Ref)
		}
		lines[o.Kind] = o.Line
	}
	for kind, want := range map[string]int{"ConfigMap": 1, "DestinationRule": 6, "ServiceEntry": 11, "AuthorizationPolicy": 16} {
		if lines[kind] != want {
			t.Errorf("%s is at line %d, want %d", kind, lines[kind], want)
		}
	}
}
