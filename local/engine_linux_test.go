package local

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/meshtest"
)

// shop has a server with two replicas and a client, both with sidecars, and a caller without.
const shop = `
{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {istio-injection: enabled}}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: old}}
---
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop}
spec: {selector: {app: cart}, ports: [{name: http, port: 8080}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: cart, namespace: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: cart}}
  template:
    metadata: {labels: {app: cart}}
    spec:
      containers:
        - name: app
          command: [oarlock, demo-app]
          args: ["http:8080"]
          ports: [{containerPort: 8080}]
          readinessProbe: {httpGet: {path: /health, port: 8080}, periodSeconds: 1, timeoutSeconds: 30}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: client, namespace: shop}
spec:
  selector: {matchLabels: {app: client}}
  template:
    metadata: {labels: {app: client}}
    spec: {containers: [{name: app, command: [oarlock, demo-app], args: ["print:$(CART_SERVICE_HOST)"]}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: client, namespace: old}
spec:
  selector: {matchLabels: {app: client}}
  template:
    metadata: {labels: {app: client}}
    spec: {containers: [{name: app, command: [oarlock, demo-app], args: ["print:$(CART_SHOP_SERVICE_HOST)"]}]}
`

func settings(c *Client) Settings {
	return Settings{
		XDSAddress: "unix:" + c.Paths().Socket("xds.sock"), CSRAddress: "unix:" + c.Paths().Socket("csr.sock"),
		RootsPEM: []byte("roots\n"),
		Token: func(w *mesh.Workload) (string, time.Time, error) {
			return "token of " + w.Ref.Name, time.Now().Add(time.Hour), nil
		},
	}
}

func apply(t *testing.T, c *Client, yaml string) {
	t.Helper()
	if err := c.Apply(t.Context(), meshtest.Snapshot(t, yaml, mesh.DialectCurrent), settings(c)); err != nil {
		t.Fatal(err)
	}
}

func TestMeshRuns(t *testing.T) {
	c := newMesh(t)
	begin := time.Now()
	apply(t, c, shop)
	r := await(t, c, "all pods are ready", allReady(4))
	t.Logf("4 pods are ready after %v", time.Since(begin).Round(time.Millisecond))

	ctx := t.Context()
	client, old := podOf(t, r, "client"), mesh.Pod{}
	for _, p := range r.Pods {
		switch {
		case p.Workload.Owner == mesh.Ref{Kind: mesh.KindDeployment, Namespace: "shop", Name: "client"}:
			client = p
		case p.Workload.Owner.Namespace == "old":
			old = p
		}
	}
	for _, p := range []mesh.Pod{client, old} {
		host := strings.TrimSpace(readLog(t, c, p, "app"))
		if !strings.HasPrefix(host, "127.") {
			t.Fatalf("%s finds cart at %q", p.Workload.Ref, host)
		}
	}
	// The caller without a sidecar goes by the engine's forwarder, to either replica.
	seen := map[string]bool{}
	host := strings.TrimSpace(readLog(t, c, old, "app"))
	for range 40 {
		name, _, _ := strings.Cut(get(t, "http://"+host+":8080/x"), " ")
		seen[name] = true
	}
	if len(seen) != 2 {
		t.Errorf("answers came from %v, want both replicas", seen)
	}
	// And so do callers that are no pod.
	if got := get(t, "http://"+r.ServiceIPs[mesh.Ref{Kind: mesh.KindService, Namespace: "shop", Name: "cart"}]+":8080/y"); !strings.HasSuffix(got, " /y\n") {
		t.Errorf("the service answers %q", got)
	}
	conn, err := c.Admin(ctx, client.Workload.Ref)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if _, err := c.Admin(ctx, old.Workload.Ref); err == nil {
		t.Error("a pod without a sidecar has an admin socket")
	}
	if _, err := c.Logs(ctx, mesh.Ref{Kind: mesh.KindPod, Name: "none"}, "", false); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("logs of no pod: %v", err)
	}
	if token, err := os.ReadFile(c.paths.pod("shop", client.Workload.Ref.Name) + "/token"); err != nil || string(token) != "token of "+client.Workload.Ref.Name {
		t.Errorf("token %q, %v", token, err)
	}
	if at := time.Until(c.RenewAt()); at < 45*time.Minute || at > 48*time.Minute {
		t.Errorf("tokens must be renewed in %v, want 48 minutes", at)
	}
}

func readLog(t *testing.T, c *Client, p mesh.Pod, container string) string {
	t.Helper()
	var out []byte
	eventually(t, "something is in the log of "+container, func() bool {
		log, err := c.Logs(t.Context(), p.Workload.Ref, container, false)
		if err != nil {
			t.Fatal(err)
		}
		out, err = io.ReadAll(log)
		log.Close()
		if err != nil {
			t.Fatal(err)
		}
		return len(out) > 0
	})
	return string(out)
}

func TestKilledProcessesComeBackAlone(t *testing.T) {
	c := newMesh(t, func(o *StartOptions) { o.Control = []string{o.Executable, "control", "x"} })
	apply(t, c, shop)
	r := await(t, c, "all pods are ready", allReady(4))
	p := podOf(t, r, "cart")
	before := processesOf(t, c, p)
	for _, name := range []string{"app", mesh.SidecarContainer} {
		sigkill(t, before[name])
		await(t, c, name+" is back", func(r *mesh.Running) bool {
			now := processesOf(t, c, p)
			return now[name] != 0 && now[name] != before[name] && allReady(4)(r)
		})
		now := processesOf(t, c, p)
		for other, pid := range before {
			if other != name && now[other] != pid {
				t.Errorf("%s was killed and %s restarted with it", name, other)
			}
		}
		before = now
	}
	pid, _, _, err := c.Control(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sigkill(t, pid)
	await(t, c, "the control plane is back", func(*mesh.Running) bool {
		now, restarts, _, _ := c.Control(t.Context())
		return now != 0 && now != pid && restarts == 1
	})
	if now := processesOf(t, c, p); now["app"] != before["app"] || now[mesh.SidecarContainer] != before[mesh.SidecarContainer] {
		t.Errorf("the control plane was killed, and the pod's processes were %v, are %v", before, now)
	}
}

func TestApplyChangesWhatChanged(t *testing.T) {
	c := newMesh(t)
	apply(t, c, shop)
	r := await(t, c, "all pods are ready", allReady(4))
	cart, client := podOf(t, r, "cart"), podOf(t, r, "client")
	pids := processesOf(t, c, cart)

	// A comment and an additional Service restart nobody.
	apply(t, c, "# moved\n\n"+shop+"---\n{apiVersion: v1, kind: Service, metadata: {name: more, namespace: shop}, spec: {selector: {app: cart}, ports: [{port: 8080}]}}\n")
	r = await(t, c, "the service is there", func(r *mesh.Running) bool { return len(r.ServiceIPs) == 2 && allReady(4)(r) })
	if now := processesOf(t, c, cart); now["app"] != pids["app"] || now[mesh.SidecarContainer] != pids[mesh.SidecarContainer] {
		t.Errorf("the pod was restarted: %v, then %v", pids, now)
	}
	// Another command restarts its pods, at their addresses, and no others.
	clientPIDs := processesOf(t, c, client)
	apply(t, c, strings.ReplaceAll(shop, `args: ["http:8080"]`, `args: ["print:new", "http:8080"]`))
	await(t, c, "cart is new", func(r *mesh.Running) bool {
		return allReady(4)(r) && processesOf(t, c, cart)["app"] != pids["app"] && len(r.ServiceIPs) == 1
	})
	if now := processesOf(t, c, client); now["app"] != clientPIDs["app"] {
		t.Error("the client was restarted")
	}
	if got := podOf(t, r, "cart").Workload; got.Addresses[0] != cart.Workload.Addresses[0] || got.Ref != cart.Workload.Ref {
		t.Errorf("cart was %s at %v, is %s at %v", cart.Workload.Ref, cart.Workload.Addresses, got.Ref, got.Addresses)
	}
	// What is not wanted any more goes.
	apply(t, c, strings.ReplaceAll(shop, "replicas: 2", "replicas: 0"))
	await(t, c, "cart is gone", allReady(2))
	folderGone(t, c, cart.Workload.Ref)
}

// folderGone waits until nothing is left of a pod.
func folderGone(t *testing.T, c *Client, pod mesh.Ref) {
	t.Helper()
	eventually(t, "the folder of a pod that is gone goes as well", func() bool {
		_, err := os.Stat(c.paths.pod(pod.Namespace, pod.Name))
		return err != nil
	})
}

func TestExec(t *testing.T) {
	c := newMesh(t)
	apply(t, c, shop)
	r := await(t, c, "all pods are ready", allReady(4))
	p := podOf(t, r, "client").Workload.Ref
	run := func(e mesh.Exec) (string, int, error) {
		out, err := os.CreateTemp(t.TempDir(), "out")
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		e.Stdout, e.Stderr = out, out
		code, err := c.Exec(t.Context(), p, e)
		b, _ := os.ReadFile(out.Name())
		return string(b), code, err
	}
	if out, code, err := run(mesh.Exec{Command: []string{"sh", "-c", "echo $CART_SERVICE_HOST; exit 3"}}); err != nil || code != 3 || !strings.HasPrefix(out, "127.") {
		t.Errorf("exec: %q, status %d, %v", out, code, err)
	}
	if out, code, err := run(mesh.Exec{Container: mesh.SidecarContainer, Command: []string{"sh", "-c", "echo [$CART_SERVICE_HOST$http_proxy]; pwd"}}); err != nil || code != 0 || !strings.HasPrefix(out, "[]\n") || !strings.HasSuffix(out, "/istio-proxy\n") {
		t.Errorf("exec in the sidecar: %q, status %d, %v", out, code, err)
	}
	certs := t.TempDir()
	for container, want := range map[string]string{mesh.SidecarContainer: certs + " " + certs + "\n", "": "outside\n"} {
		e := mesh.Exec{Container: container, Certificates: certs, Command: []string{"sh", "-c", `test -n "$OARLOCK_CERTS" && echo "$OARLOCK_CERTS $PWD" || echo outside`}}
		if out, code, err := run(e); err != nil || code != 0 || out != want {
			t.Errorf("exec in container %q with certificates: %q, status %d, %v; want %q", container, out, code, err, want)
		}
	}
	if _, _, err := run(mesh.Exec{Command: []string{"no-such-program"}}); err == nil || !strings.Contains(err.Error(), "no such program") {
		t.Errorf("exec of nothing: %v", err)
	}
	if _, err := c.Exec(t.Context(), mesh.Ref{Kind: mesh.KindPod, Name: "none"}, mesh.Exec{Command: []string{"true"}}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("exec in no pod: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	go func() {
		_, _ = read.Read(make([]byte, 1))
		cancel()
	}()
	_, err = c.Exec(ctx, p, mesh.Exec{Command: []string{"sh", "-c", "echo begun; exec sleep 1000"}, Stdout: write})
	write.Close()
	if !errors.Is(err, context.Canceled) {
		t.Errorf("exec beyond its time: %v", err)
	}
	_ = read.SetReadDeadline(time.Now().Add(30 * time.Second))
	if rest, err := io.ReadAll(read); err != nil { // until nobody has the other end
		t.Errorf("%q, %v", rest, err)
	}
}

// TestEngineKilled: nothing outlives it, and the next start finds a clean place.
func TestEngineKilled(t *testing.T) {
	c := newMesh(t)
	apply(t, c, strings.ReplaceAll(shop, `args: ["http:8080"]`, `args: ["daemon:`+t.TempDir()+`/$HOSTNAME", "http:8080"]`))
	await(t, c, "all pods are ready", allReady(4))
	rec := recorded(t, c, 7)
	sigkill(t, rec.Engine.PID)
	for _, id := range append(rec.Children, rec.Engine) {
		if !waitGone(id, 30*time.Second) {
			t.Errorf("process %d outlived its engine", id.PID)
		}
	}
	left := withMark(markVariable, rec.Mark)
	if len(left) == 0 {
		t.Error("no daemon escaped: the test does not show that escaped ones are found")
	}
	list, err := Meshes()
	if err != nil || len(list) != 1 || !list[0].Stale || list[0].Name != "test" {
		t.Errorf("meshes: %+v, %v", list, err)
	}
	self, _ := os.Executable()
	again, err := Start(t.Context(), StartOptions{Name: "test", Executable: self, Engine: []string{"engine"}})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if left := withMark(markVariable, rec.Mark); len(left) > 0 {
		t.Errorf("processes of the run before are left: %v", left)
	}
	if _, err := Start(t.Context(), StartOptions{Name: "test", Executable: self, Engine: []string{"engine"}}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second start: %v", err)
	}
	if list, err := Meshes(); err != nil || len(list) != 1 || list[0].Stale {
		t.Errorf("meshes: %+v, %v", list, err)
	}
	other, err := Open(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	other.Close()
}

// recorded waits until so many children are in the record of those that have to be found without their engine.
func recorded(t *testing.T, c *Client, children int) (r runRecord) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d children are recorded", children), func() bool {
		r = readRun(c.paths)
		return len(r.Children) >= children
	})
	return r
}

// TestLease: a mesh goes with the process that started it, however that ends.
func TestLease(t *testing.T) {
	for _, capture := range []string{CaptureExplicit, CaptureTransparent} {
		t.Run(capture, func(t *testing.T) {
			if capture == CaptureTransparent {
				needFabric(t)
			}
			testLease(t, capture)
		})
	}
}

func testLease(t *testing.T, capture string) {
	dir := shortDir(t)
	t.Setenv("XDG_STATE_HOME", dir+"/s")
	t.Setenv("XDG_RUNTIME_DIR", dir+"/r")
	snap, err := json.Marshal(meshtest.Snapshot(t, shop, mesh.DialectCurrent))
	if err != nil {
		t.Fatal(err)
	}
	self, _ := os.Executable()
	starter := exec.Command(self, "starter", "leased", capture)
	starter.Stdin = bytes.NewReader(snap)
	out, err := starter.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := starter.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 100)
	n, _ := out.Read(line)
	if string(line[:n]) != "applied\n" {
		t.Fatalf("the starter says %q", line[:n])
	}
	c, err := Open(t.Context(), "leased")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	await(t, c, "all pods are ready", allReady(4))
	rec := readRun(c.paths)
	sigkill(t, starter.Process.Pid)
	_ = starter.Wait()
	if !waitGone(rec.Engine, 30*time.Second) {
		t.Fatal("the engine outlived its lease")
	}
	if left := withMark(markVariable, rec.Mark); len(left) > 0 {
		t.Errorf("processes are left: %v", left)
	}
	for _, d := range []string{c.paths.State, c.paths.Run} {
		if _, err := os.Stat(d); err == nil {
			t.Errorf("%s is left", d)
		}
	}
}
