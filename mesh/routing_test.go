package mesh_test

import (
	"testing"

	"github.com/oarlock/oarlock/mesh"
)

// TestGatewayRef: every way in which Istio lets a VirtualService name its Gateway.
func TestGatewayRef(t *testing.T) {
	for name, want := range map[string]string{
		"web":                           "Gateway shop/web",
		"./web":                         "Gateway shop/web",
		"edge/web":                      "Gateway edge/web",
		"web.edge":                      "Gateway edge/web",
		"web.edge.svc":                  "Gateway edge/web",
		"web.edge.svc.cluster.local":    "Gateway edge/web",
		"edge/web.with.dots":            "Gateway edge/web.with.dots",
		"web-1.edge.svc.mesh.example.x": "Gateway edge/web-1",
	} {
		if got := mesh.GatewayRef(name, "shop"); got.String() != want {
			t.Errorf("%q names %s, want %s", name, got, want)
		}
	}
}
