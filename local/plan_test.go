package local

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/meshtest"
)

func testMachine(numbers *addresses) machine {
	return machine{paths: Paths{Name: "test", State: "/state", Run: "/run"}, executable: "/bin/oarlock", lowPorts: true, hostname: "box", network: numbers, way: CaptureExplicit}
}

func testNumbers() *addresses { return &addresses{Version: addressesVersion, Net: 70} }

var testSettings = Settings{XDSAddress: "unix:/run/xds.sock", CSRAddress: "unix:/run/csr.sock", RootsPEM: []byte("roots"),
	Token: func(*mesh.Workload) (string, time.Time, error) { return "", time.Time{}, nil }}

func planOf(t *testing.T, yaml string, change ...func(*machine)) *desired {
	t.Helper()
	n := testNumbers()
	m := testMachine(n)
	for _, f := range change {
		f(&m)
	}
	return newPlanner(m, meshtest.Snapshot(t, yaml, mesh.DialectCurrent), testSettings, n).plan()
}

func specOf(t *testing.T, d *desired, prefix string) *podSpec {
	t.Helper()
	for i := range d.Pods {
		if strings.HasPrefix(d.Pods[i].ref().Name, prefix) {
			return &d.Pods[i]
		}
	}
	t.Fatalf("no pod %s", prefix)
	return nil
}

// pair is a server and a client; a test adds to either container.
func pair(server, client string) string {
	return `
{apiVersion: v1, kind: Namespace, metadata: {name: a, labels: {istio-injection: enabled}}}
---
{apiVersion: v1, kind: Service, metadata: {name: my-web, namespace: a}, spec: {selector: {app: web}, ports: [{name: http-main, port: 80, targetPort: 8080}, {name: tls, port: 443, targetPort: named}]}}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: a, labels: {app: web, tier: front}}
spec:
  serviceAccountName: robot
` + indent(server) + `
---
apiVersion: v1
kind: Pod
metadata: {name: client, namespace: a}
spec:
` + indent(client)
}

func indent(s string) string {
	return "  " + strings.ReplaceAll(strings.TrimSpace(s), "\n", "\n  ")
}

const (
	plainServer = "containers: [{name: app, command: [web], ports: [{containerPort: 8080}, {containerPort: 8443, name: named}, {containerPort: 53, protocol: UDP}]}]"
	plainClient = "containers: [{name: app, command: [client]}]"
)

func TestDoors(t *testing.T) {
	d := planOf(t, pair(plainServer, plainClient))
	var got []string
	for _, door := range specOf(t, d, "client").Sidecar.Bootstrap.Capture.Doors {
		got = append(got, fmt.Sprint(door.Listen, " ", door.Inbound, " ", door.Original, " ", door.HTTPProxy))
	}
	want := []string{
		"127.134.2.2:80 false 127.70.3.2:80 false",
		"127.134.2.2:443 false 127.70.3.2:443 false",
		"127.134.2.1:15001 false invalid AddrPort true",
	}
	if !slices.Equal(got, want) {
		t.Errorf("doors of the client:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	web := specOf(t, d, "web")
	got = nil
	for _, door := range web.Sidecar.Bootstrap.Capture.Doors {
		if door.Inbound {
			got = append(got, fmt.Sprint(door.Listen, " ", door.Original))
		}
	}
	if want := []string{"127.70.1.3:8080 127.70.1.3:8080", "127.70.1.3:8443 127.70.1.3:8443"}; !slices.Equal(got, want) {
		t.Errorf("doors of the server: %q, want %q", got, want)
	}
	c := web.Sidecar.Bootstrap.Capture
	if c.Application.String() != "127.70.2.3" || c.Source.String() != "127.70.1.3" || web.Workload.Addresses[0] != "127.70.1.3" {
		t.Errorf("application %s, source %s, pod %v", c.Application, c.Source, web.Workload.Addresses)
	}
	for _, name := range []string{"my-web", "my-web.a", "my-web.a.svc", "my-web.a.svc.cluster.local"} {
		if got := c.Names[name].String(); got != "127.70.3.2" {
			t.Errorf("%s is %s", name, got)
		}
	}
	if f := d.Forwards; len(f) != 2 || f[0].Listen.String() != "127.70.3.2:80" || f[0].Targets[0].Addr.String() != "127.70.1.3:8080" || f[1].Targets[0].Addr.String() != "127.70.1.3:8443" {
		t.Errorf("forwards: %+v", f)
	}
}

func TestServiceVariables(t *testing.T) {
	env := specOf(t, planOf(t, pair(plainServer, plainClient)), "client").Containers[0].Env
	for name, want := range map[string]string{
		"BIND_ADDR": "127.70.2.2", "MY_WEB_SERVICE_HOST": "127.134.2.2", "MY_WEB_SERVICE_PORT": "80", "MY_WEB_SERVICE_PORT_HTTP_MAIN": "80",
		"MY_WEB_SERVICE_PORT_TLS": "443", "MY_WEB_A_SERVICE_HOST": "127.134.2.2", "MY_WEB_PORT_443_TCP_ADDR": "127.134.2.2",
		"MY_WEB_PORT_443_TCP_PORT": "443", "http_proxy": "http://127.134.2.1:15001", "HOSTNAME": "client", "OARLOCK_WORKLOAD": "client",
	} {
		if got := lookupEnv(env, name); got != want {
			t.Errorf("%s=%q, want %q", name, got, want)
		}
	}
	if no := lookupEnv(env, "no_proxy"); !strings.Contains(no, "127.134.2.2") || !strings.Contains(no, "localhost") {
		t.Errorf("no_proxy=%s", no)
	}
}

func lookupEnv(env []string, name string) string {
	for _, v := range env {
		if value, ok := strings.CutPrefix(v, name+"="); ok {
			return value
		}
	}
	return ""
}

// TestLowPorts: who is not root listens elsewhere, and the variables say where.
func TestLowPorts(t *testing.T) {
	d := planOf(t, pair("containers: [{name: app, command: [web], ports: [{containerPort: 80}]}]", plainClient), func(m *machine) { m.lowPorts = false })
	client := specOf(t, d, "client")
	if got := lookupEnv(client.Containers[0].Env, "MY_WEB_PORT_443_TCP_PORT"); got != "10443" {
		t.Errorf("port %s", got)
	}
	if at := client.Sidecar.Bootstrap.Capture.Doors[1]; at.Listen.Port() != 10443 || at.Original.Port() != 443 {
		t.Errorf("door %+v", at)
	}
	if !slices.ContainsFunc(d.Problems, func(p mesh.Problem) bool { return strings.Contains(p.Message, "listen on port 80 ") }) {
		t.Errorf("nobody says that port 80 is not there: %v", d.Problems)
	}
}

func TestContainerEnvironment(t *testing.T) {
	d := planOf(t, pair(`
containers:
  - name: app
    command: [web, "--at=$(IP)", "$$(IP)", "$(NONE)", "--svc=$(MY_WEB_SERVICE_HOST)"]
    envFrom: [{configMapRef: {name: conf}, prefix: C_}]
    env:
      - {name: LITERAL, value: "x"}
      - {name: BOTH, value: "$(LITERAL)-$(C_color)"}
      - {name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
      - {name: NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
      - {name: NS, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}
      - {name: TIER, valueFrom: {fieldRef: {fieldPath: "metadata.labels['tier']"}}}
      - {name: SA, valueFrom: {fieldRef: {fieldPath: spec.serviceAccountName}}}
      - {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
      - {name: PASSWORD, valueFrom: {secretKeyRef: {name: safe, key: password}}}
      - {name: MAYBE, valueFrom: {secretKeyRef: {name: safe, key: none, optional: true}}}
      - {name: CPU, valueFrom: {resourceFieldRef: {resource: limits.cpu}}}
`, plainClient)+`
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: conf, namespace: a}, data: {color: red}}
---
{apiVersion: v1, kind: Secret, metadata: {name: safe, namespace: a}, stringData: {password: hidden}}
`)
	web := specOf(t, d, "web")
	if web.Blocked != "" || web.Failed != "" {
		t.Fatalf("blocked %q, failed %q", web.Blocked, web.Failed)
	}
	c := web.Containers[0]
	for name, want := range map[string]string{"LITERAL": "x", "BOTH": "x-red", "C_color": "red", "IP": "127.70.1.3", "NAME": "web", "NS": "a",
		"TIER": "front", "SA": "robot", "NODE": "box", "PASSWORD": "hidden", "MAYBE": "", "CPU": ""} {
		if got := lookupEnv(c.Env, name); got != want {
			t.Errorf("%s=%q, want %q", name, got, want)
		}
	}
	if want := []string{"web", "--at=127.70.1.3", "$(IP)", "$(NONE)", "--svc=127.134.3.2"}; !slices.Equal(c.Argv, want) {
		t.Errorf("argv %q, want %q", c.Argv, want)
	}
	if len(d.Problems) != 1 || !strings.Contains(d.Problems[0].Message, "resourceFieldRef") {
		t.Errorf("problems: %v", d.Problems)
	}
}

func TestVolumes(t *testing.T) {
	d := planOf(t, pair(`
volumes:
  - {name: tls, secret: {secretName: web-tls}}
  - {name: conf, configMap: {name: conf, items: [{key: main, path: sub/main.conf}]}}
  - {name: tmp, emptyDir: {}}
containers:
  - name: app
    command: [oarlock, demo-app, --cert, /etc/web/tls.crt, "--key=/etc/web/tls.key", "/etc/webserver/x", "a,/conf/main.conf", "/tmp"]
    env: [{name: PATHS, value: "/etc/web:/usr/bin"}]
    volumeMounts: [{name: tls, mountPath: /etc/web}, {name: conf, mountPath: /conf, subPath: sub}, {name: tmp, mountPath: /tmp}]
`, plainClient)+`
---
{apiVersion: v1, kind: Secret, metadata: {name: web-tls, namespace: a}, stringData: {tls.crt: C, tls.key: K}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: conf, namespace: a}, data: {main: M}}
`)
	web := specOf(t, d, "web")
	v := "/state/pods/a/web/volumes/"
	want := []string{"/bin/oarlock", "demo-app", "--cert", v + "tls/tls.crt", "--key=" + v + "tls/tls.key", "/etc/webserver/x", "a," + v + "conf/sub/main.conf", v + "tmp"}
	if got := web.Containers[0].Argv; !slices.Equal(got, want) {
		t.Errorf("argv %q\nwant %q", got, want)
	}
	if got := lookupEnv(web.Containers[0].Env, "PATHS"); got != v+"tls:/usr/bin" {
		t.Errorf("PATHS=%s", got)
	}
	var files []string
	for _, f := range web.Files {
		files = append(files, fmt.Sprintf("%s %#o %s %v", f.Path, f.Mode, f.Content, f.Live))
	}
	wantFiles := []string{"volumes/tls/tls.crt 0600 C true", "volumes/tls/tls.key 0600 K true", "volumes/conf/sub/main.conf 0644 M true", "roots.pem 0600 roots true"}
	if !slices.Equal(files, wantFiles) {
		t.Errorf("files %q\nwant %q", files, wantFiles)
	}
}

func TestPodsThatCannotRun(t *testing.T) {
	cases := map[string]struct{ server, blocked, failed, problem string }{
		"no command":     {server: "containers: [{name: app, image: nginx:1}]", failed: `container "app" has no command: image "nginx:1" is not run here`, problem: `image "nginx:1" is not run here`},
		"no secret":      {server: "volumes: [{name: t, secret: {secretName: web-tls}}]\n" + plainServer, blocked: `secret "web-tls" not found`},
		"no config map":  {server: "containers: [{name: app, command: [x], envFrom: [{configMapRef: {name: conf}}]}]", blocked: `configmap "conf" not found`},
		"optional":       {server: "volumes: [{name: t, secret: {secretName: web-tls, optional: true}}]\n" + plainServer},
		"a claim":        {server: "volumes: [{name: t, persistentVolumeClaim: {claimName: c}}]\n" + plainServer, problem: "persistentVolumeClaim is not read here"},
		"unknown port":   {server: "containers: [{name: app, command: [x], readinessProbe: {tcpSocket: {port: admin}}}]", problem: `it has no port "admin"`},
		"init container": {server: "initContainers: [{name: first}]\n" + plainServer, failed: `container "first" has no command: image "" is not run here`, problem: "write what"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			d := planOf(t, pair(c.server, plainClient))
			web := specOf(t, d, "web")
			if web.Blocked != c.blocked || web.Failed != c.failed {
				t.Errorf("blocked %q, failed %q", web.Blocked, web.Failed)
			}
			text := ""
			for _, p := range d.Problems {
				text += p.Message + p.Hint
			}
			if c.problem == "" && text != "" || !strings.Contains(text, c.problem) {
				t.Errorf("problems: %s", text)
			}
			if other := specOf(t, d, "client"); other.Blocked+other.Failed != "" {
				t.Errorf("the neighbour is %q", other.Blocked+other.Failed)
			}
		})
	}
}

func TestProbesGoWhereAKubeletAsks(t *testing.T) {
	const probes = `
containers:
  - name: app
    command: [web]
    ports: [{name: main, containerPort: 8080}]
    readinessProbe: {httpGet: {path: /ok, port: main}}
    livenessProbe: {tcpSocket: {port: 9000}}
    startupProbe: {grpc: {port: 9001, service: s}}
`
	plain := planOf(t, strings.Replace(pair(probes, plainClient), "metadata: {name: web,", "metadata: {name: web, annotations: {sidecar.istio.io/rewriteAppHTTPProbers: 'false'},", 1))
	c := specOf(t, plain, "web").Containers[0]
	if c.Readiness.HTTP != "http://127.70.1.3:8080/ok" || c.Liveness.TCP != "127.70.1.3:9000" || c.Startup.GRPC != "127.70.1.3:9001" {
		t.Errorf("%+v %+v %+v", c.Readiness, c.Liveness, c.Startup)
	}
	web := specOf(t, planOf(t, pair(probes, plainClient)), "web")
	c = web.Containers[0]
	for path, p := range map[string]*probeSpec{"readyz": c.Readiness, "livez": c.Liveness, "startupz": c.Startup} {
		if want := "http://127.70.1.3:15021/app-health/app/" + path; p.HTTP != want || p.TCP+p.GRPC != "" {
			t.Errorf("%s: %+v, want %s", path, p, want)
		}
	}
	got := web.Sidecar.Bootstrap.Admin.Probes
	if len(got) != 3 || got["/app-health/app/readyz"].HTTP != "http://127.70.2.3:8080/ok" || got["/app-health/app/livez"].TCP != "127.70.2.3:9000" || got["/app-health/app/startupz"].Service != "s" {
		t.Errorf("the sidecar's probes: %+v", got)
	}
}

// TestPortAnnotations: what a sidecar leaves out the engine carries as it is.
func TestPortAnnotations(t *testing.T) {
	yaml := strings.Replace(pair(plainServer, plainClient), "metadata: {name: web,", "metadata: {name: web, annotations: {traffic.sidecar.istio.io/excludeInboundPorts: '8443'},", 1)
	yaml = strings.Replace(yaml, "metadata: {name: client,", "metadata: {name: client, annotations: {traffic.sidecar.istio.io/excludeOutboundPorts: '443'},", 1)
	d := planOf(t, yaml)
	for _, door := range specOf(t, d, "web").Sidecar.Bootstrap.Capture.Doors {
		if door.Inbound && door.Listen.Port() == 8443 {
			t.Error("an excluded port has a door")
		}
	}
	for _, door := range specOf(t, d, "client").Sidecar.Bootstrap.Capture.Doors {
		if door.Listen.Port() == 443 {
			t.Error("an excluded outbound port has a door")
		}
	}
	var got []string
	for _, f := range d.Forwards {
		got = append(got, fmt.Sprint(f.Listen, " from ", f.Source, " to ", f.Targets[0].Addr))
	}
	for _, want := range []string{"127.70.1.3:8443 from invalid IP to 127.70.2.3:8443", "127.134.2.2:443 from 127.70.1.2 to 127.70.1.3:8443"} {
		if !slices.Contains(got, want) {
			t.Errorf("no forwarder %s among %q", want, got)
		}
	}
}

func TestNamesAndAddressesStay(t *testing.T) {
	const yaml = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: a}
spec: {replicas: %d, template: {spec: {containers: [{name: app, command: [x]}]}}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: a}
spec: {replicas: 2, template: {spec: {containers: [{name: app, command: [x]}]}}}
---
{apiVersion: batch/v1, kind: CronJob, metadata: {name: nightly, namespace: a}, spec: {schedule: "@daily", jobTemplate: {spec: {template: {spec: {containers: [{name: app, command: [x]}]}}}}}}
`
	n := testNumbers()
	at := func(replicas int) map[string]string {
		d := newPlanner(testMachine(n), meshtest.Snapshot(t, fmt.Sprintf(yaml, replicas), mesh.DialectCurrent), testSettings, n).plan()
		out := map[string]string{}
		for _, p := range d.Pods {
			out[p.ref().Name] = p.Workload.Addresses[0]
		}
		if len(d.Problems) != 1 || !strings.Contains(d.Problems[0].Message, "schedule") {
			t.Errorf("problems: %v", d.Problems)
		}
		return out
	}
	three := at(3)
	if three["db-0"] == "" || three["db-1"] == "" || len(three) != 5 {
		t.Fatalf("pods: %v", three)
	}
	one := at(1)
	for name, ip := range one {
		if three[name] != ip {
			t.Errorf("%s was at %s, is at %s", name, three[name], ip)
		}
	}
	again := at(3)
	for name, ip := range again {
		if _, stayed := one[name]; stayed != (three[name] == ip) {
			t.Errorf("%s was at %s, is at %s; a number that became free is not given at once", name, three[name], ip)
		}
	}
}

func TestFingerprint(t *testing.T) {
	print := func(yaml string) string { return specOf(t, planOf(t, yaml), "client").Fingerprint }
	calls := strings.Replace(pair(plainServer, plainClient), "metadata: {name: client,", "metadata: {name: client, annotations: {oarlock.dev/calls: 'other:9000'},", 1)
	other := "\n---\n{apiVersion: v1, kind: Service, metadata: {name: other, namespace: a}, spec: {selector: {app: web}, ports: [{port: 9000}]}}"
	if print(pair(plainServer, plainClient)) != print("# moved\n"+pair(plainServer, plainClient)+other) {
		t.Error("a comment or a service that is not called changes the fingerprint")
	}
	if print(calls) == print(calls+other) {
		t.Error("a service that is called does not change the fingerprint")
	}
	if print(pair(plainServer, plainClient)) == print(pair(plainServer, strings.Replace(plainClient, "[client]", "[client, -v]", 1))) {
		t.Error("another argument does not change the fingerprint")
	}
}

// TestExamples: every example is planned without an error.
func TestExamples(t *testing.T) {
	dirs, err := filepath.Glob("../examples/*/mesh.yaml")
	if err != nil || len(dirs) < 5 {
		t.Fatalf("examples: %q, %v", dirs, err)
	}
	for _, d := range dirs {
		dir := filepath.Dir(d)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			files, _ := filepath.Glob(dir + "/*.yaml")
			var yaml strings.Builder
			for _, f := range files {
				b, err := os.ReadFile(f)
				if err != nil {
					t.Fatal(err)
				}
				yaml.WriteString("---\n" + string(b))
			}
			n := testNumbers()
			snap := meshtest.Snapshot(t, yaml.String(), mesh.DialectAuto)
			got := newPlanner(testMachine(n), snap, testSettings, n).plan()
			for _, p := range got.Problems {
				t.Error(p)
			}
			for _, p := range got.Pods {
				if p.Failed != "" {
					t.Errorf("%s: %s", p.ref(), p.Failed)
				}
				if p.Blocked != "" && !strings.HasPrefix(p.Blocked, "secret ") {
					t.Errorf("%s: %s", p.ref(), p.Blocked)
				}
			}
			again := newPlanner(testMachine(n), snap, testSettings, n).plan()
			if !reflect.DeepEqual(got, again) {
				t.Error("a second plan of the same is another")
			}
		})
	}
}
