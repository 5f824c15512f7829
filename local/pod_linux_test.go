package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/meshtest"
)

// onePod writes a Pod of its own, in a namespace with or without sidecars.
func onePod(spec string, injected bool) string {
	label := ""
	if injected {
		label = ", labels: {istio-injection: enabled}"
	}
	return fmt.Sprintf("{apiVersion: v1, kind: Namespace, metadata: {name: a%s}}\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: a}\nspec:\n%s\n", label, indent(spec))
}

func TestPhases(t *testing.T) {
	cases := map[string]struct {
		spec   string
		phase  mesh.Phase
		ready  bool
		reason string
	}{
		"done":           {"restartPolicy: Never\ncontainers: [{name: app, command: [oarlock, demo-app, 'exit:0']}]", mesh.PhaseSucceeded, false, ""},
		"failed":         {"restartPolicy: Never\ncontainers: [{name: app, command: [oarlock, demo-app, 'exit:3']}]", mesh.PhaseFailed, false, "exited with status 3"},
		"tried again":    {"restartPolicy: OnFailure\ncontainers: [{name: app, command: [oarlock, demo-app, 'exit:0']}]", mesh.PhaseSucceeded, false, ""},
		"crashes":        {"containers: [{name: app, command: [oarlock, demo-app, 'exit:3']}]", mesh.PhaseRunning, false, "CrashLoopBackOff: container \"app\" exited with status 3"},
		"no program":     {"containers: [{name: app, command: [no-such-program]}]", mesh.PhaseRunning, false, "no such program in PATH"},
		"no command":     {"containers: [{name: app, image: nginx}]", mesh.PhaseFailed, false, "has no command"},
		"waits":          {"volumes: [{name: t, secret: {secretName: web-tls}}]\ncontainers: [{name: app, command: [oarlock, demo-app]}]", mesh.PhasePending, false, "secret \"web-tls\" not found"},
		"init fails":     {"restartPolicy: Never\ninitContainers: [{name: first, command: [oarlock, demo-app, 'exit:1']}]\ncontainers: [{name: app, command: [oarlock, demo-app]}]", mesh.PhaseFailed, false, "container \"first\" exited with status 1"},
		"init succeeds":  {"initContainers: [{name: first, command: [oarlock, demo-app, 'exit:0']}]\ncontainers: [{name: app, command: [oarlock, demo-app]}]", mesh.PhaseRunning, true, ""},
		"exec probe":     {"containers: [{name: app, command: [oarlock, demo-app], readinessProbe: {exec: {command: [sh, -c, 'test -n \"$BIND_ADDR\"']}}}]", mesh.PhaseRunning, true, ""},
		"not ready":      {"containers: [{name: app, command: [oarlock, demo-app], readinessProbe: {tcpSocket: {port: 9}, periodSeconds: 1}}]", mesh.PhaseRunning, false, "container \"app\""},
		"liveness fails": {"containers: [{name: app, command: [oarlock, demo-app], livenessProbe: {exec: {command: [sh, -c, '! mkdir ONCE']}, periodSeconds: 1, timeoutSeconds: 30, failureThreshold: 1}}]", mesh.PhaseRunning, true, "liveness probe of container \"app\" failed"},
		"startup":        {"containers: [{name: app, command: [oarlock, demo-app, 'http:8080'], startupProbe: {httpGet: {port: 8080}}, readinessProbe: {httpGet: {port: 8080}}}]", mesh.PhaseRunning, true, ""},
	}
	c := newMesh(t)
	for name, tc := range cases {
		for _, injected := range []bool{false, true} {
			t.Run(fmt.Sprint(name, " ", injected), func(t *testing.T) {
				apply(t, c, onePod(strings.ReplaceAll(tc.spec, "ONCE", filepath.Join(t.TempDir(), "once")), injected))
				await(t, c, "it is "+string(tc.phase)+" "+tc.reason, func(r *mesh.Running) bool {
					if len(r.Pods) != 1 {
						return false
					}
					p := r.Pods[0]
					return p.Phase == tc.phase && p.Ready == tc.ready && strings.Contains(p.Reason, tc.reason) && (p.Reason == "" || tc.reason != "")
				})
			})
		}
	}
}

// TestStopOrder: the application ends before its sidecar, which drains; what ignores SIGTERM is killed when its grace is over.
func TestStopOrder(t *testing.T) {
	const grace = 5 * time.Second
	c := newMesh(t)
	apply(t, c, onePod(`terminationGracePeriodSeconds: 5
containers:
- {name: app, command: [oarlock, demo-app, 'http:8080'], readinessProbe: {httpGet: {path: /, port: 8080}, periodSeconds: 1, timeoutSeconds: 30}}
- {name: deaf, command: [oarlock, demo-app, stubborn, 'http:8081'], readinessProbe: {httpGet: {path: /, port: 8081}, periodSeconds: 1, timeoutSeconds: 30}}`, true))
	r := await(t, c, "it runs", allReady(1))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var logs []io.ReadCloser
	for _, name := range []string{"app", mesh.SidecarContainer} {
		log, err := c.Logs(ctx, r.Pods[0].Workload.Ref, name, true)
		if err != nil {
			t.Fatal(err)
		}
		logs = append(logs, log)
	}
	begin := time.Now()
	apply(t, c, "{apiVersion: v1, kind: Namespace, metadata: {name: a}}")
	for i, want := range []string{"application ended\n", "sidecar drained\n"} {
		b := make([]byte, 0, 200)
		for !bytes.HasSuffix(b, []byte(want)) {
			n, err := logs[i].Read(b[len(b):cap(b)])
			if b = b[:len(b)+n]; err != nil {
				t.Fatalf("log says %q, want %q: %v", b, want, err)
			}
		}
		took := time.Since(begin)
		if i == 1 && took < grace {
			t.Errorf("the sidecar ended after %v, before the last container", took)
		}
		logs[i].Close()
	}
	folderGone(t, c, r.Pods[0].Workload.Ref)
}

// TestDaemonsGoWithTheirPod: also those that left the process group.
func TestDaemonsGoWithTheirPod(t *testing.T) {
	meshtest.Require(t, "setsid", "util-linux")
	c := newMesh(t)
	file := filepath.Join(t.TempDir(), "pid")
	apply(t, c, onePod("containers: [{name: app, command: [oarlock, demo-app, 'daemon:"+file+"']}]", false))
	eventually(t, "its daemon runs", func() bool {
		_, err := os.Stat(file)
		return err == nil
	})
	left := identify(numberIn(t, file))
	if group, err := unix.Getpgid(left.PID); err != nil || group != left.PID {
		t.Fatalf("the daemon %+v is in group %d, %v", left, group, err)
	}
	apply(t, c, "{apiVersion: v1, kind: Namespace, metadata: {name: a}}")
	await(t, c, "it is gone", allReady(0))
	if !waitGone(left, 30*time.Second) {
		t.Error("the daemon is left")
	}
}

// TestFilesChangeInPlace: tokens, roots and volumes are replaced under a pod that runs.
func TestFilesChangeInPlace(t *testing.T) {
	const spec = "volumes: [{name: v, secret: {secretName: s}}]\ncontainers: [{name: app, command: [oarlock, demo-app], volumeMounts: [{name: v, mountPath: /v}]}]"
	secret := func(value string) string {
		return onePod(spec, true) + "---\n{apiVersion: v1, kind: Secret, metadata: {name: s, namespace: a}, stringData: {key: " + value + "}}"
	}
	c := newMesh(t)
	n := 0
	life := time.Hour
	run := func(value string) {
		s := settings(c)
		s.RootsPEM = []byte("roots " + value)
		s.Token = func(*mesh.Workload) (string, time.Time, error) {
			n++
			return fmt.Sprint("token ", n), time.Now().Add(life), nil
		}
		if err := c.Apply(t.Context(), meshtest.Snapshot(t, secret(value), mesh.DialectCurrent), s); err != nil {
			t.Fatal(err)
		}
	}
	files := func() string {
		var out []string
		for _, f := range []string{"token", "roots.pem", "volumes/v/key"} {
			name := filepath.Join(c.paths.pod("a", "web"), f)
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if st, _ := os.Stat(name); st.Mode().Perm() != 0o600 {
				t.Errorf("%s has mode %v", name, st.Mode())
			}
			out = append(out, string(b))
		}
		return strings.Join(out, ", ")
	}
	run("one")
	r := await(t, c, "it runs", allReady(1))
	pids := processesOf(t, c, r.Pods[0])
	if got := files(); got != "token 1, roots one, one" {
		t.Errorf("files: %s", got)
	}
	run("two")
	if got := files(); got != "token 1, roots two, two" {
		t.Errorf("files: %s; the token has most of its life before it", got)
	}
	c.applying.Lock()
	for ref, tok := range c.tokens {
		tok.renew = time.Now()
		c.tokens[ref] = tok
	}
	c.applying.Unlock()
	run("two")
	if got := files(); got != "token 2, roots two, two" {
		t.Errorf("files: %s", got)
	}
	if now := processesOf(t, c, r.Pods[0]); fmt.Sprint(now) != fmt.Sprint(pids) {
		t.Errorf("processes were %v, are %v", pids, now)
	}
	s := settings(c)
	s.Token = func(*mesh.Workload) (string, time.Time, error) { return "", time.Time{}, errors.New("no key") }
	c.tokens = nil
	if err := c.Apply(t.Context(), meshtest.Snapshot(t, secret("two"), mesh.DialectCurrent), s); err == nil || !strings.Contains(err.Error(), "no key") {
		t.Errorf("apply without a token: %v", err)
	}
}

// TestApplicationsElsewhere: one that listens on another address than it should is named, with its port.
func TestApplicationsElsewhere(t *testing.T) {
	c := newMesh(t)
	apply(t, c, onePod("containers: [{name: app, command: [oarlock, demo-app, 'listen:127.0.0.1:18099'], ports: [{containerPort: 18099}]}, {name: good, command: [oarlock, demo-app, 'http:8080'], ports: [{containerPort: 8080}]}]", true))
	r := await(t, c, "the problem is seen", func(r *mesh.Running) bool { return len(r.Problems) > 0 })
	if len(r.Problems) != 1 || !strings.Contains(r.Problems[0].Message, `container "app": it listens on port 18099 of 127.0.0.1`) {
		t.Errorf("problems: %v", r.Problems)
	}
}

func TestMisplaced(t *testing.T) {
	want := netip.MustParseAddr("127.70.2.2")
	at := func(list ...string) (out []netip.AddrPort) {
		for _, s := range list {
			out = append(out, netip.MustParseAddrPort(s))
		}
		return out
	}
	for _, c := range []struct {
		on   []netip.AddrPort
		text bool
	}{
		{at(), false}, {at("127.70.2.2:8080"), false}, {at("0.0.0.0:8080"), false}, {at("127.0.0.1:8080"), true}, {at("[::1]:8080"), true},
		{at("127.0.0.1:9090"), false}, {at("127.0.0.1:8080", "127.70.2.2:8080"), false},
	} {
		if got := misplaced(want, []uint32{8080}, c.on); (got != "") != c.text {
			t.Errorf("listening on %v: %q", c.on, got)
		}
	}
	if at, ok := kernelAddress("0100007F:1F90"); !ok || at.String() != "127.0.0.1:8080" {
		t.Errorf("address %s", at)
	}
	if at, ok := kernelAddress("00000000000000000000000001000000:0050"); !ok || at.String() != "[::1]:80" {
		t.Errorf("address %s", at)
	}
}

func TestStopOfNothing(t *testing.T) {
	dir := shortDir(t)
	t.Setenv("XDG_STATE_HOME", dir+"/s")
	t.Setenv("XDG_RUNTIME_DIR", dir+"/r")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := Stop(ctx, "none"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("stop: %v", err)
	}
	if _, err := Open(ctx, "none"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("open: %v", err)
	}
	if list, err := Meshes(); err != nil || len(list) != 0 {
		t.Errorf("meshes: %v, %v", list, err)
	}
	if _, err := Start(ctx, StartOptions{Name: "bad", Executable: "/bin/false", Engine: []string{"x"}}); err == nil || !strings.Contains(err.Error(), "its engine ended") {
		t.Errorf("start of a program that ends: %v", err)
	}
	if err := Stop(ctx, "bad"); err != nil {
		t.Errorf("stop of what never ran: %v", err)
	}
	t.Setenv("XDG_RUNTIME_DIR", "/"+strings.Repeat("x", 100))
	if _, err := PathsOf("some"); err == nil || !strings.Contains(err.Error(), "set XDG_RUNTIME_DIR") {
		t.Errorf("paths: %v", err)
	}
	if _, err := PathsOf("../x"); err == nil {
		t.Error("a name that climbs is taken")
	}
}

// TestNumbersComeAgain: a process that has the number of a recorded one is not it.
func TestNumbersComeAgain(t *testing.T) {
	self := identify(os.Getpid())
	if !self.alive() {
		t.Fatal("this process does not live")
	}
	for _, other := range []processID{{self.PID, self.Start + 1, self.Boot}, {self.PID, self.Start, "another boot"}, {}} {
		if other.alive() {
			t.Errorf("%+v lives", other)
		}
		other.kill(0)
	}
	cmd := exec.Command("sleep", "100")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	id := identify(cmd.Process.Pid)
	wrong := id
	wrong.Start++
	wrong.kill(9)
	if !id.alive() {
		t.Error("another process was killed")
	}
	id.kill(9)
	_ = cmd.Wait()
	if id.alive() {
		t.Error("it lives on")
	}
}

// gateway is an ingress gateway behind a Service that maps port 80.
const gateway = `
{apiVersion: v1, kind: Service, metadata: {name: gw, namespace: istio-system}, spec: {selector: {istio: gw}, ports: [{name: http, port: 80, targetPort: 8080}]}}
---
apiVersion: v1
kind: Pod
metadata: {name: gw, namespace: istio-system, labels: {istio: gw}, annotations: {inject.istio.io/templates: gateway}}
spec: {containers: [{name: istio-proxy, image: auto, args: [proxy, router]}]}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw, namespace: istio-system}
spec: {selector: {istio: gw}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]}
`

// TestGateway: a gateway is its sidecar alone, and says where on the machine it is.
func TestGateway(t *testing.T) {
	c := newMesh(t)
	apply(t, c, gateway)
	r := await(t, c, "it runs", allReady(1))
	f, err := c.Pod(t.Context(), r.Pods[0].Workload.Ref)
	if err != nil || len(f.Processes) != 1 || f.Processes[0].PID == 0 || f.Host.String() != r.Pods[0].Workload.Addresses[0] {
		t.Errorf("the gateway is %+v, %v", f, err)
	}
	d := planOf(t, gateway, func(m *machine) { m.way, m.network = CaptureTransparent, fabricNetwork{} })
	i := slices.IndexFunc(d.Forwards, func(f forward) bool { return f.Listen.String() == "127.70.1.2:8080" })
	if i < 0 || !d.Forwards[i].Outside || d.Forwards[i].Targets[0].Addr.String() != "10.244.0.2:8080" {
		t.Errorf("forwards: %+v", d.Forwards)
	}
	if c := specOf(t, d, "gw").Sidecar.Bootstrap; c.Capture.Transparent || !c.Node.Router {
		t.Errorf("a gateway is captured: %+v", c)
	}
}
