package mesh_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oarlock/oarlock/manifest"
	"github.com/oarlock/oarlock/mesh"
)

// shopYAML has a Deployment with a Service, a Pod that an EndpointSlice binds, a Job and a headless Service.
const shopYAML = `
{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {istio-injection: enabled}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: cart, namespace: shop}
spec:
  replicas: 2
  template:
    metadata: {labels: {app: cart}}
    spec: {containers: [{name: app, command: [cart], ports: [{name: http, containerPort: 8080}]}]}
---
{apiVersion: v1, kind: Pod, metadata: {name: db-0, namespace: shop}, spec: {containers: [{name: db, command: [db]}]}}
---
{apiVersion: batch/v1, kind: Job, metadata: {name: migrate, namespace: shop}, spec: {template: {spec: {containers: [{name: m, command: [m]}]}}}}
---
{apiVersion: v1, kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, ports: [{port: 80, targetPort: http}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: db, namespace: shop}, spec: {clusterIP: 10.9.9.9, ports: [{port: 5432}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: db-1, namespace: shop, labels: {kubernetes.io/service-name: db}}
ports: [{port: 5432}]
endpoints: [{addresses: [10.0.0.1], targetRef: {kind: Pod, name: db-0}}]
`

func shop(t *testing.T) *mesh.Snapshot {
	t.Helper()
	snap, problems := manifest.Load([]manifest.File{{Name: "shop.yaml", Data: []byte(shopYAML)}}, manifest.Options{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return snap
}

func workload(t *testing.T, s *mesh.Snapshot, name string) *mesh.Workload {
	t.Helper()
	for _, w := range s.Workloads {
		if w.Ref.Name == name {
			return w
		}
	}
	t.Fatalf("no workload %s", name)
	return nil
}

// running has two pods of cart, of which the second is not ready, the Pod db-0, and an ended one of migrate.
func running(t *testing.T, s *mesh.Snapshot) *mesh.Running {
	t.Helper()
	cart := workload(t, s, "cart")
	return &mesh.Running{
		Pods: []mesh.Pod{
			{Workload: cart.Pod("cart-a", []string{"127.3.0.1"}), Phase: mesh.PhaseRunning, Ready: true},
			{Workload: cart.Pod("cart-b", []string{"127.3.0.2"}), Phase: mesh.PhasePending},
			{Workload: workload(t, s, "db-0").Pod("db-0", []string{"127.3.0.3"}), Phase: mesh.PhaseRunning, Ready: true},
			{Workload: workload(t, s, "migrate").Pod("migrate-a", []string{"127.3.0.4"}), Phase: mesh.PhaseSucceeded},
		},
		ServiceIPs: map[mesh.Ref]string{{Kind: mesh.KindService, Namespace: "shop", Name: "cart"}: "127.4.0.1",
			{Kind: mesh.KindService, Namespace: "shop", Name: "db"}: "127.4.0.2"},
	}
}

func describe(s *mesh.Snapshot) string {
	var b strings.Builder
	for _, w := range s.Workloads {
		fmt.Fprintf(&b, "%s of %v %v unready %v\n", w.Ref, w.Owner, w.Addresses, !s.Ready(w))
	}
	for _, e := range s.Services {
		fmt.Fprintf(&b, "%s %v", e.Hostname, e.Addresses)
		for _, w := range e.Bound {
			fmt.Fprintf(&b, " %s %v", w.Ref, slices.Contains(s.Workloads, w))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func TestWithRunning(t *testing.T) {
	s := shop(t)
	before := describe(s)
	got := describe(s.WithRunning(running(t, s)))
	want := `Pod shop/cart-a of Deployment shop/cart [127.3.0.1] unready false
Pod shop/cart-b of Deployment shop/cart [127.3.0.2] unready true
Pod shop/db-0 of   [127.3.0.3] unready false
Job shop/migrate of   [] unready false
cart.shop.svc.cluster.local [127.4.0.1]
db.shop.svc.cluster.local [10.9.9.9] Pod shop/db-0 true
`
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if describe(s) != before {
		t.Error("the snapshot has changed")
	}
	if s.WithRunning(nil) != s {
		t.Error("nothing runs, and yet the snapshot is another")
	}
}

// TestRunningVersion: equal content has an equal version, and everything that counts makes another.
func TestRunningVersion(t *testing.T) {
	s := shop(t)
	base := s.WithRunning(running(t, s)).Version
	same := running(t, s)
	slices.Reverse(same.Pods)
	same.Capture, same.Pods[0].Restarts, same.Pods[0].Started = "explicit", 3, time.Now()
	moved := *same.Pods[1].Workload
	moved.Origin.Line, same.Pods[1].Workload = 99, &moved
	if v := s.WithRunning(same).Version; v != base {
		t.Errorf("the same pods in another order: %s, not %s", v, base)
	}
	seen := map[string]string{base: "base", s.Version: "manifests alone"}
	for name, edit := range map[string]func(r *mesh.Running){
		"ready":   func(r *mesh.Running) { r.Pods[1].Ready = true },
		"address": func(r *mesh.Running) { r.Pods[0].Workload.Addresses = []string{"127.3.0.9"} },
		"fewer":   func(r *mesh.Running) { r.Pods = r.Pods[1:] },
		"labels":  func(r *mesh.Running) { r.Pods[0].Workload.Labels = map[string]string{"app": "other"} },
		"port":    func(r *mesh.Running) { r.Pods[0].Workload.Ports = nil },
		"created": func(r *mesh.Running) { r.Pods[0].Workload.Created = time.Unix(1, 0) },
		"command": func(r *mesh.Running) {
			r.Pods[0].Workload.Containers = []mesh.Container{{Name: "app", Liveness: &mesh.Probe{Exec: []string{"x"}}}}
		},
		"service": func(r *mesh.Running) { r.ServiceIPs = nil },
	} {
		r := running(t, s)
		edit(r)
		v := s.WithRunning(r).Version
		if other, taken := seen[v]; taken || len(v) != len(s.Version) {
			t.Errorf("%s: version %q is that of %s", name, v, other)
		}
		seen[v] = name
	}
}
