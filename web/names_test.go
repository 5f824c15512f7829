package web

import (
	"testing"

	"github.com/oarlock/oarlock/mesh"
)

// TestContainers: a gateway's manifest names its proxy, which is no container beside the sidecar.
func TestContainers(t *testing.T) {
	app, proxy := mesh.Container{Name: "app"}, mesh.Container{Name: mesh.SidecarContainer}
	for _, c := range []struct {
		capture mesh.Capture
		in      []mesh.Container
		want    int
	}{
		{mesh.CaptureSidecar, []mesh.Container{app}, 1},
		{mesh.CaptureSidecar, []mesh.Container{proxy}, 0},
		{mesh.CaptureSidecar, []mesh.Container{proxy, app}, 1},
		{mesh.CaptureNone, []mesh.Container{proxy, app}, 2},
	} {
		if got := containers(&mesh.Workload{Capture: c.capture, Containers: c.in}); got != c.want {
			t.Errorf("%v %v: %d, want %d", c.capture, c.in, got, c.want)
		}
	}
}

func TestGenerated(t *testing.T) {
	for _, c := range []struct {
		kind mesh.Kind
		name string
		pod  string
		want bool
	}{
		{mesh.KindDeployment, "web", "web-7d4b9c6f8-x2z9k", true},
		{mesh.KindDeployment, "traffic-generator-productpage", "traffic-generator-productpage-6d5f-x2z", true},
		{mesh.KindDeployment, "somepod", "somepod-123456-abcdef", true},
		{mesh.KindDeployment, "web", "web-bcdfgh-zzzzz", true}, // a hash may have no digit, but then it has no vowel
		{mesh.KindDeployment, "web", "web-api-gateway", false},
		{mesh.KindDeployment, "web", "web-7d4b9c6f8", false},
		{mesh.KindDeployment, "web", "webs-7d4b9c6f8-x2z9k", false},
		{mesh.KindDeployment, "web", "web-7d4b9c6f8-", false},
		{mesh.KindStatefulSet, "db", "db-0", true},
		{mesh.KindStatefulSet, "db", "db-12", true},
		{mesh.KindStatefulSet, "db", "db-x2z9k", false},
		{mesh.KindDaemonSet, "agent", "agent-x2z9k", true},
		{mesh.KindDaemonSet, "agent", "agent-proxy-2", false},
		{mesh.KindDaemonSet, "agent", "agent-db", false},
		{mesh.KindReplicaSet, "web-7d4b", "web-7d4b-x2z9k", true},
		{mesh.KindJob, "migrate", "migrate-x2z9k", true},
		{mesh.KindJob, "migrate", "migrate-3-x2z9k", true}, // indexed
		{mesh.KindJob, "migrate", "migrate-x-x2z9k", false},
		{mesh.KindCronJob, "backup", "backup-28391040-x2z9k", true},
		{mesh.KindCronJob, "backup", "backup-x2z9k", false},
		{mesh.KindPod, "web", "web-7d4b9c6f8-x2z9k", false},
	} {
		if got := generated(mesh.Ref{Kind: c.kind, Name: c.name}, c.pod); got != c.want {
			t.Errorf("%s of %s %s: %v, want %v", c.pod, c.kind, c.name, got, c.want)
		}
	}
}
