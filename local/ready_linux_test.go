package local

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oarlock/oarlock/mesh"
)

// TestReadyWhenItListens: a pod without a readiness probe is ready when its containers listen where they declare to, and
// one that never does is ready after a while.
func TestReadyWhenItListens(t *testing.T) {
	c := newMesh(t)
	gate := filepath.Join(t.TempDir(), "gate")
	spec := "containers: [{name: app, command: [oarlock, demo-app, 'await:" + gate + "', 'http:8080'], ports: [{containerPort: 8080}]}]"
	for name, injected := range map[string]bool{"with a sidecar": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			_ = os.Remove(gate)
			begin := time.Now()
			apply(t, c, onePod(spec, injected))
			r := await(t, c, "its application runs", func(r *mesh.Running) bool {
				return len(r.Pods) == 1 && r.Pods[0].Phase == mesh.PhaseRunning && processesOf(t, c, r.Pods[0])["app"] != 0
			})
			if r.Pods[0].Ready && time.Since(begin) < portsBound {
				t.Error("it is ready, and listens on nothing")
			}
			if err := os.WriteFile(gate, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			r = await(t, c, "it is ready", allReady(1))
			conn, err := net.DialTimeout("tcp", r.Pods[0].Workload.Addresses[0]+":8080", 30*time.Second)
			if err == nil {
				conn.Close()
			} else if time.Since(begin) < portsBound {
				t.Error(err)
			}
			apply(t, c, "{apiVersion: v1, kind: Namespace, metadata: {name: a}}")
			await(t, c, "it is gone", allReady(0))
		})
	}
	apply(t, c, onePod("containers: [{name: app, command: [oarlock, demo-app], ports: [{containerPort: 8080}]}]", true))
	await(t, c, "it is ready although it listens on nothing", allReady(1))
}

// chain is a caller of cart, which calls store, which calls cart: a circle behind the first call.
const chain = `
{apiVersion: v1, kind: Namespace, metadata: {name: a, labels: {istio-injection: enabled}}}
---
{apiVersion: v1, kind: Service, metadata: {name: cart, namespace: a}, spec: {selector: {app: cart}, ports: [{name: http, port: 80, targetPort: 8080}, {name: dns, port: 53, protocol: UDP}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: store, namespace: a}, spec: {selector: {app: store}, ports: [{name: a, port: 80}, {name: b, port: 81}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: early, namespace: a}, spec: {publishNotReadyAddresses: true, selector: {app: store}, ports: [{port: 80}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: nobody, namespace: a}, spec: {selector: {app: nobody}, ports: [{port: 80}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: front, namespace: a, annotations: {oarlock.dev/calls: "cart:80,store:81,early:80,nobody:80"}}, spec: {containers: [{name: app, command: [front]}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: cart-1, namespace: a, labels: {app: cart}, annotations: {oarlock.dev/calls: "store"}}, spec: {containers: [{name: app, command: [cart]}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: cart-2, namespace: a, labels: {app: cart}}, spec: {containers: [{name: app, command: [cart]}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: store, namespace: a, labels: {app: store}, annotations: {oarlock.dev/calls: "cart:80,store:80"}}, spec: {containers: [{name: app, command: [store]}]}}
`

// TestCallersAwaitWhomTheyCall: as far as that leads in no circle, and where there is somebody to wait for.
func TestCallersAwaitWhomTheyCall(t *testing.T) {
	d := planOf(t, chain)
	for pod, want := range map[string]string{
		"front":  "outbound|80||cart.a.svc.cluster.local: cart-1 cart-2, outbound|81||store.a.svc.cluster.local: store",
		"cart-1": "",
		"store":  "outbound|80||cart.a.svc.cluster.local: cart-2",
	} {
		var got []string
		for _, a := range specOf(t, d, pod).Awaits {
			var pods []string
			for _, p := range a.Pods {
				pods = append(pods, p.Name)
			}
			got = append(got, a.Cluster+": "+strings.Join(pods, " "))
		}
		if s := strings.Join(got, ", "); s != want {
			t.Errorf("%s awaits %q, want %q", pod, s, want)
		}
	}
	if with, without := specOf(t, d, "front"), specOf(t, planOf(t, strings.ReplaceAll(chain, "name: cart-2", "name: cart-3")), "front"); with.Fingerprint != without.Fingerprint {
		t.Error("another pod to wait for restarts the caller")
	}
}

// TestCallersStartLater: a caller's application starts when whom it calls is ready.
func TestCallersStartLater(t *testing.T) {
	c := newMesh(t)
	gate := filepath.Join(t.TempDir(), "gate")
	begin := time.Now()
	apply(t, c, `
{apiVersion: v1, kind: Namespace, metadata: {name: a, labels: {istio-injection: enabled}}}
---
{apiVersion: v1, kind: Service, metadata: {name: cart, namespace: a}, spec: {selector: {app: cart}, ports: [{port: 8080}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: client, namespace: a, annotations: {oarlock.dev/calls: "cart:8080"}}, spec: {containers: [{name: app, command: [oarlock, demo-app]}]}}
---
apiVersion: v1
kind: Pod
metadata: {name: cart, namespace: a, labels: {app: cart}}
spec: {containers: [{name: app, command: [oarlock, demo-app, 'await:`+gate+`', 'http:8080'], readinessProbe: {httpGet: {path: /, port: 8080}, periodSeconds: 1, timeoutSeconds: 30}}]}
`)
	r := await(t, c, "the client waits", func(r *mesh.Running) bool {
		return slices.ContainsFunc(r.Pods, func(p mesh.Pod) bool {
			return p.Workload.Ref.Name == "client" && p.Phase == mesh.PhasePending && p.Reason == "it waits for cart.a:8080, which it calls"
		})
	})
	if pid := processesOf(t, c, podOf(t, r, "client"))["app"]; pid != 0 && time.Since(begin) < calleeBound {
		t.Error("its application runs already")
	}
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	await(t, c, "both are ready", allReady(2))
}

// TestCallerEndsWhileItWaits: the application of a pod that goes before it began is not started.
func TestCallerEndsWhileItWaits(t *testing.T) {
	c := newMesh(t)
	mark := filepath.Join(t.TempDir(), "mark")
	callee := `
{apiVersion: v1, kind: Namespace, metadata: {name: a}}
---
{apiVersion: v1, kind: Service, metadata: {name: cart, namespace: a}, spec: {selector: {app: cart}, ports: [{port: 8080}]}}
---
apiVersion: v1
kind: Pod
metadata: {name: cart, namespace: a, labels: {app: cart}}
spec: {containers: [{name: app, command: [oarlock, demo-app], readinessProbe: {httpGet: {path: /, port: 8080}, periodSeconds: 1}}]}
`
	for range 5 {
		begin := time.Now()
		apply(t, c, callee+`
---
apiVersion: v1
kind: Pod
metadata: {name: client, namespace: a, annotations: {oarlock.dev/calls: "cart:8080"}}
spec: {containers: [{name: app, command: [sh, -c, 'trap "" TERM; echo > `+mark+`']}]}
`)
		await(t, c, "the client waits", func(r *mesh.Running) bool {
			return slices.ContainsFunc(r.Pods, func(p mesh.Pod) bool { return strings.HasPrefix(p.Reason, "it waits for cart.a:8080") })
		})
		apply(t, c, callee)
		folderGone(t, c, mesh.Ref{Namespace: "a", Name: "client"})
		if os.Remove(mark) == nil && time.Since(begin) < calleeBound {
			t.Error("it was started when it had to go")
		}
	}
}
