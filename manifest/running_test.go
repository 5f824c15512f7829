package manifest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/oarlock/oarlock/mesh"
)

const everyContainerField = `apiVersion: apps/v1
kind: Deployment
metadata: {name: w, namespace: kube-system, annotations: {sidecar.istio.io/rewriteAppHTTPProbers: "true"}}
spec:
  template:
    metadata: {annotations: {sidecar.istio.io/rewriteAppHTTPProbers: "false"}}
    spec:
      restartPolicy: Always
      terminationGracePeriodSeconds: 7
      initContainers:
      - {name: first, command: [sh], restartPolicy: Always}
      containers:
      - name: app
        image: shop/app:1
        command: [app, "$(MODE)"]
        args: [--port, "8080"]
        workingDir: /srv
        env:
        - {name: MODE, value: fast}
        - {name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
        - {name: COLOUR, valueFrom: {configMapKeyRef: {name: shop, key: colour, optional: true}}}
        - {name: KEY, valueFrom: {secretKeyRef: {name: db, key: password}}}
        - {name: CPU, valueFrom: {resourceFieldRef: {resource: limits.cpu}}}
        envFrom:
        - {prefix: S_, configMapRef: {name: shop}}
        - {secretRef: {name: db, optional: true}}
        ports:
        - {name: http, containerPort: 8080}
        - {name: dns, containerPort: 53, protocol: UDP}
        volumeMounts:
        - {name: conf, mountPath: /etc/app, readOnly: true}
        - {name: tmp, mountPath: /tmp/x, subPath: z}
        readinessProbe:
          httpGet: {port: http, httpHeaders: [{name: X-A, value: b}]}
        livenessProbe:
          tcpSocket: {port: 8080, host: example.com}
          initialDelaySeconds: 3
          periodSeconds: 4
          timeoutSeconds: 5
          successThreshold: 1
          failureThreshold: 6
        startupProbe:
          exec: {command: [test, -f, /ready]}
          periodSeconds: 0
      - name: other
        readinessProbe: {grpc: {port: 9000, service: cart}}
        livenessProbe: {httpGet: {path: healthz, port: 8443, scheme: HTTPS, host: h}}
      volumes:
      - {name: conf, configMap: {name: shop, defaultMode: 0400, optional: true, items: [{key: a, path: b/c, mode: 0600}]}}
      - {name: tmp, emptyDir: {}}
      - {name: keys, secret: {secretName: db}}
      - {name: token, projected: {sources: []}}
      - {name: pod, downwardAPI: {items: []}}
      - {name: bare}
      - {name: empty, emptyDir: }
`

func at(line, col int) mesh.Origin { return mesh.Origin{File: "f.yaml", Line: line, Col: col} }

func TestContainers(t *testing.T) {
	w := mustLoad(t, everyContainerField, Options{}).Workloads[0]
	equal(t, "annotation", w.Annotations, map[string]string{mesh.RewriteAppHTTPProbers: "false"})
	equal(t, "restart and grace", []any{w.RestartPolicy, w.TerminationGrace}, []any{"Always", 7 * time.Second})
	equal(t, "init", w.InitContainers, []mesh.Container{{Name: "first", Command: []string{"sh"}, RestartPolicy: "Always", Origin: at(11, 10)}})
	if len(w.Containers) != 2 {
		t.Fatalf("%d containers", len(w.Containers))
	}
	app := w.Containers[0]
	equal(t, "run", []any{app.Name, app.Image, app.Command, app.Args, app.WorkingDir, app.Origin},
		[]any{"app", "shop/app:1", []string{"app", "$(MODE)"}, []string{"--port", "8080"}, "/srv", at(13, 9)})
	equal(t, "env", app.Env, []mesh.EnvVar{
		{Name: "MODE", Value: "fast", Origin: at(19, 12)},
		{Name: "POD", From: &mesh.EnvSource{FieldPath: "metadata.name"}, Origin: at(20, 12)},
		{Name: "COLOUR", From: &mesh.EnvSource{ConfigMapKey: &mesh.KeyRef{Name: "shop", Key: "colour", Optional: true}}, Origin: at(21, 12)},
		{Name: "KEY", From: &mesh.EnvSource{SecretKey: &mesh.KeyRef{Name: "db", Key: "password"}}, Origin: at(22, 12)},
		{Name: "CPU", From: &mesh.EnvSource{Unsupported: "resourceFieldRef"}, Origin: at(23, 12)},
	})
	equal(t, "env from", app.EnvFrom, []mesh.EnvFrom{{Prefix: "S_", ConfigMap: "shop", Origin: at(25, 12)}, {Secret: "db", Optional: true, Origin: at(26, 12)}})
	equal(t, "ports", app.Ports, []mesh.ContainerPort{{Name: "http", Number: 8080}, {Name: "dns", Number: 53, Protocol: "UDP"}})
	equal(t, "mounts", app.Mounts, []mesh.Mount{{Volume: "conf", Path: "/etc/app", ReadOnly: true, Origin: at(31, 12)}, {Volume: "tmp", Path: "/tmp/x", SubPath: "z", Origin: at(32, 12)}})
	equal(t, "volumes", w.Volumes, []mesh.Volume{
		{Name: "conf", ConfigMap: &mesh.VolumeFiles{Name: "shop", Mode: 0o400, Optional: true, Items: []mesh.VolumeItem{{Key: "a", Path: "b/c", Mode: 0o600}}}, Origin: at(49, 10)},
		{Name: "tmp", EmptyDir: true, Origin: at(50, 10)},
		{Name: "keys", Secret: &mesh.VolumeFiles{Name: "db", Mode: 0o644}, Origin: at(51, 10)},
		{Name: "token", Unsupported: "projected", Origin: at(52, 10)},
		{Name: "pod", Unsupported: "downwardAPI", Origin: at(53, 10)},
		{Name: "bare", EmptyDir: true, Origin: at(54, 10)},
		{Name: "empty", EmptyDir: true, Origin: at(55, 10)},
	})
}

func TestProbes(t *testing.T) {
	w := mustLoad(t, everyContainerField, Options{}).Workloads[0]
	app, other := w.Containers[0], w.Containers[1]
	equal(t, "readiness", *app.Readiness, mesh.Probe{HTTPGet: &mesh.HTTPGet{Path: "/", Port: mesh.PortRef{Name: "http"}, Scheme: "HTTP",
		Headers: []mesh.Header{{Name: "X-A", Value: "b"}}}, Period: 10 * time.Second, Timeout: time.Second, SuccessThreshold: 1, FailureThreshold: 3, Origin: at(34, 11)})
	equal(t, "liveness", *app.Liveness, mesh.Probe{TCPSocket: &mesh.TCPSocket{Port: mesh.PortRef{Number: 8080}, Host: "example.com"},
		InitialDelay: 3 * time.Second, Period: 4 * time.Second, Timeout: 5 * time.Second, SuccessThreshold: 1, FailureThreshold: 6, Origin: at(36, 11)})
	equal(t, "startup", *app.Startup, mesh.Probe{Exec: []string{"test", "-f", "/ready"}, Period: 10 * time.Second, Timeout: time.Second,
		SuccessThreshold: 1, FailureThreshold: 3, Origin: at(43, 11)})
	equal(t, "grpc", *other.Readiness.GRPC, mesh.GRPCProbe{Port: 9000, Service: "cart"})
	equal(t, "https", *other.Liveness.HTTPGet, mesh.HTTPGet{Path: "/healthz", Port: mesh.PortRef{Number: 8443}, Scheme: "HTTPS", Host: "h"})
	if other.Startup != nil {
		t.Error("a probe that nobody wrote")
	}
	if n, ok := app.Port(app.Readiness.HTTPGet.Port); n != 8080 || !ok {
		t.Errorf("port %d %v", n, ok)
	}
	if _, ok := app.Port(mesh.PortRef{Name: "nope"}); ok {
		t.Error("a port that is not declared")
	}
}

func TestSidecarFiles(t *testing.T) {
	const head = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  namespace: kube-system\n  annotations:\n"
	w := mustLoad(t, head+`    sidecar.istio.io/userVolume: '[{"name":"ca","secret":{"secretName":"ledger-ca"}}]'
    sidecar.istio.io/userVolumeMount: '[{"name":"ca","mountPath":"/etc/ca","readOnly":true}]'
spec: {}
`, Options{}).Workloads[0]
	equal(t, "volumes", w.SidecarVolumes, []mesh.Volume{{Name: "ca", Secret: &mesh.VolumeFiles{Name: "ledger-ca", Mode: 0o644}, Origin: at(7, 34)}})
	equal(t, "mounts", w.SidecarMounts, []mesh.Mount{{Volume: "ca", Path: "/etc/ca", ReadOnly: true, Origin: at(8, 39)}})
	for _, text := range []string{"'['", "'{}'", "'[1]'", "x"} {
		snap, got := loadText(head+"    sidecar.istio.io/userVolume: "+text+"\nspec: {}\n", Options{})
		want := "warning f.yaml:7:34: read Pod kube-system/a: annotation sidecar.istio.io/userVolume: this is no JSON list and is ignored\n" +
			"  write it like '[{\"name\": \"certs\", ...}]'\n"
		if got != want || len(snap.Workloads) != 1 {
			t.Errorf("%s: got\n%swant\n%s", text, got, want)
		}
	}
}

func TestWorkloadDefaults(t *testing.T) {
	w := mustLoad(t, depHead+"spec: {template: {spec: {containers: [{name: a}]}}}\n", Options{}).Workloads[0]
	equal(t, "defaults", []any{w.RestartPolicy, w.TerminationGrace, len(w.Containers), w.Volumes}, []any{"Always", 30 * time.Second, 1, []mesh.Volume(nil)})
}

func TestRunningProblems(t *testing.T) {
	const probe = depHead + "spec:\n  template:\n    spec:\n      containers:\n      - name: a\n        readinessProbe:\n          "
	for _, tc := range []struct {
		name, text string
		objects    int
		want       string
	}{
		{"port name of nobody", probe + "httpGet: {port: web}\n", 1,
			"warning f.yaml:12:27: read Deployment kube-system/w: the readinessProbe of container a asks port \"web\", which the container does not declare\n" +
				"  give a port of the container that name, or write its number\n"},
		{"no port", probe + "tcpSocket: {host: a}\n", 1,
			"warning f.yaml:12:23: read Deployment kube-system/w: the readinessProbe of container a names no port\n  a port is a number from 1 to 65535, or the name of one of the container's\n"},
		{"no way to ask", probe + "periodSeconds: 3\n", 1,
			"warning f.yaml:12:11: read Deployment kube-system/w: the readinessProbe of container a asks in 0 ways, not in one\n  write one of httpGet, tcpSocket, grpc and exec\n"},
		{"type of a delay", probe + "periodSeconds: soon\n", 0,
			"error f.yaml:12:26: read Deployment kube-system/w: spec.template.spec.containers[0].readinessProbe.periodSeconds wants a whole number, not text \"soon\"\n"},
		{"value of a variable", depHead + "spec: {template: {spec: {containers: [{name: a, env: [{name: M, value: 1}]}]}}}\n", 0,
			"error f.yaml:6:72: read Deployment kube-system/w: spec.template.spec.containers[0].env[0].value wants text, not the number 1\n  put it in quotes: \"1\"\n"},
		{"secret that is not encoded", "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata:\n  a: hunter2!\n  b: b2s=\n", 1,
			"warning f.yaml:5:3: read Secret default/s: data.a is no base64 and is ignored\n  write text that is not encoded under stringData\n"},
		{"binary that is not encoded", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: s}\nbinaryData:\n  a: '!'\n", 1,
			"warning f.yaml:5:3: read ConfigMap default/s: binaryData.a is no base64 and is ignored\n"},
		{"timeout that is none", drHead + "spec:\n  host: a\n  trafficPolicy:\n    connectionPool: {tcp: {connectTimeout: soon}}\n    portLevelSettings:\n    - {port: {number: 1}, outlierDetection: {interval: -1s}}\n", 1,
			"warning f.yaml:9:44: read DestinationRule shop/d: spec.trafficPolicy.connectionPool.tcp.connectTimeout: \"soon\" is no duration and is ignored\n  write it like 100ms or 5s\n" +
				"warning f.yaml:11:56: read DestinationRule shop/d: spec.trafficPolicy.portLevelSettings[0].outlierDetection.interval: \"-1s\" is no duration and is ignored\n  write it like 100ms or 5s\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			snap, got := loadText(tc.text, Options{})
			if got != tc.want {
				t.Errorf("got\n%swant\n%s", got, tc.want)
			}
			if snap.Documents != tc.objects {
				t.Errorf("%d objects taken in, want %d", snap.Documents, tc.objects)
			}
		})
	}
}

// TestTargets: what demo-app takes for a target is a declared edge.
func TestTargets(t *testing.T) {
	for in, want := range map[string]string{"a:80": "a 80 true", "a.b:80/c?d": "a.b 80 true", "tcp://a:9000": "a 9000 true", "https://a/b": "a 443 true",
		"a": "a 0 true", "a/b": "a/b 0 false", "a:b/80": " 0 false"} {
		host, port, ok := splitTarget(in)
		if got := fmt.Sprint(host, " ", port, " ", ok); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

func TestStored(t *testing.T) {
	snap := mustLoad(t, mcHead+`data:
  mesh: "{}"
---
apiVersion: v1
kind: ConfigMap
metadata: {name: shop, namespace: a}
data: {colour: red, count: 3, list: [not, text]}
binaryData: {raw: AAH/}
---
apiVersion: v1
kind: Secret
metadata: {name: db, namespace: a}
data: {password: aHVudGVyMg==, user: Ym9i}
stringData: {user: alice}
---
{apiVersion: v1, kind: Secret, metadata: {name: cert}, type: kubernetes.io/tls}
`, Options{})
	if len(snap.ConfigMaps) != 2 || len(snap.Secrets) != 2 || snap.Documents != 4 || len(snap.Unknown) != 0 {
		t.Fatalf("%d config maps, %d secrets, %d documents, unknown %v", len(snap.ConfigMaps), len(snap.Secrets), snap.Documents, snap.Unknown)
	}
	shop := snap.ConfigMaps[0]
	equal(t, "config map", shop.Data, map[string]string{"colour": "red", "count": "3", "raw": "\x00\x01\xff"})
	equal(t, "that of the mesh", snap.ConfigMaps[1].Data, map[string]string{"mesh": "{}"})
	db, cert := snap.Secrets[0], snap.Secrets[1]
	equal(t, "names", []string{db.Ref.String(), cert.Ref.String(), db.Type, cert.Type}, []string{"Secret a/db", "Secret default/cert", "Opaque", "kubernetes.io/tls"})
	if len(db.Data) != 2 || db.Data["password"].Reveal() != "hunter2" || db.Data["user"].Reveal() != "alice" {
		t.Error("the content of the secret is another")
	}
}

func TestUnenforced(t *testing.T) {
	const other = `
---
{apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: {name: a, namespace: shop}}
---
{apiVersion: security.istio.io/v1beta1, kind: RequestAuthentication, metadata: {name: a}}
---
{apiVersion: rbac.istio.io/v1alpha1, kind: ServiceRole, metadata: {name: a}}
---
{apiVersion: rbac.istio.io/v1alpha1, kind: ServiceRoleBinding, metadata: {name: a}}
---
{apiVersion: rbac.istio.io/v1alpha1, kind: ClusterRbacConfig, metadata: {name: default}}
---
{apiVersion: rbac.istio.io/v1alpha1, kind: RbacConfig, metadata: {name: default}}
---
{apiVersion: networking.istio.io/v1alpha3, kind: EnvoyFilter, metadata: {name: a}}
---
{apiVersion: extensions.istio.io/v1alpha1, kind: WasmPlugin, metadata: {name: a}}
---
{apiVersion: telemetry.istio.io/v1, kind: Telemetry, metadata: {name: a}}
---
{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: a}}
---
{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, spec: {}}
---
{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: a}}
`
	legacy := strings.Replace(polHead, "name: default", "name: jwt", 1) + "spec:\n  targets: [{name: x}]\n  peers: [{mtls: {}}]\n  origins: [{jwt: {issuer: a}}]\n---\n" +
		strings.Replace(polHead, "name: default", "name: peer", 1) + "spec:\n  targets: [{name: z}]\n  peers: [{jwt: {issuer: a}}]\n---\n" + polHead + "spec: {peers: [{mtls: {}}]}\n"
	list := func(s *mesh.Snapshot) string {
		var b strings.Builder
		for _, u := range s.Unenforced {
			fmt.Fprintln(&b, u.Ref, u.Origin.Line)
			if u.Why == "" {
				t.Errorf("%s: no reason", u.Ref)
			}
		}
		return b.String()
	}
	snap := mustLoad(t, legacy+other, Options{Dialect: mesh.Dialect14})
	equal(t, "list", list(snap), `AuthorizationPolicy shop/a 28
ClusterRbacConfig default 36
EnvoyFilter default/a 40
NetworkPolicy default/a 46
Policy shop/jwt 1
Policy shop/peer 11
RbacConfig default/default 38
RequestAuthentication default/a 30
ServiceRole default/a 32
ServiceRoleBinding default/a 34
Telemetry default/a 44
WasmPlugin default/a 42
`)
	if snap.Unknown["AuthorizationPolicy.security.istio.io"] != 1 || snap.Unknown["NetworkPolicy.networking.k8s.io"] != 2 {
		t.Errorf("unknown: %v", snap.Unknown)
	}
	if s := mustLoad(t, paHead, Options{}); s.Unenforced != nil {
		t.Errorf("a PeerAuthentication is enforced: %v", s.Unenforced)
	}
}
