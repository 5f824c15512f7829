package local

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/oarlock/oarlock/mesh"
	"golang.org/x/sys/unix"
)

// newFabricMesh starts a mesh with transparent capture, where the machine allows it.
func newFabricMesh(t *testing.T, change ...func(*StartOptions)) *Client {
	t.Helper()
	needFabric(t)
	return newMesh(t, append(change, func(o *StartOptions) { o.Capture = CaptureTransparent })...)
}

// fabricShop is a shop whose callers of cart have no sidecar, and so find it by the kernel's balancing.
const fabricShop = shop + `---
apiVersion: v1
kind: Service
metadata: {name: heads, namespace: shop}
spec: {clusterIP: None, selector: {app: cart}, ports: [{name: http, port: 8080}]}
`

// execOutput runs a shell command in the only container of a pod.
func execOutput(t *testing.T, c *Client, pod mesh.Ref, script string) (string, error) {
	t.Helper()
	out, err := os.CreateTemp(t.TempDir(), "out")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	code, err := c.Exec(ctx, pod, mesh.Exec{Command: []string{"sh", "-c", script}, Stdout: out, Stderr: out})
	b, _ := os.ReadFile(out.Name())
	if err == nil && code != 0 {
		err = fmt.Errorf("status %d", code)
	}
	return string(b), err
}

func TestTransparentMeshRuns(t *testing.T) {
	c := newFabricMesh(t, func(o *StartOptions) { o.Control = []string{o.Executable, "control", "x"} })
	apply(t, c, fabricShop)
	r := await(t, c, "all pods are ready", allReady(4))
	if r.Capture != CaptureTransparent {
		t.Fatalf("capture is %s: %s", r.Capture, r.CaptureWhy)
	}
	var old mesh.Ref
	for _, p := range r.Pods {
		if p.Workload.Ref.Namespace == "old" {
			old = p.Workload.Ref
		}
		if !strings.HasPrefix(p.Workload.Addresses[0], "10.244.0.") {
			t.Errorf("%s has address %v", p.Workload.Ref, p.Workload.Addresses)
		}
	}
	// By name from a pod, by the kernel to a replica, through that one's sidecar.
	self, _ := os.Executable()
	for _, host := range []string{"cart.shop:8080", "cart.shop.svc.cluster.local:8080", "heads.shop:8080", "$CART_SHOP_SERVICE_HOST:8080"} {
		// Endpoints reach the kernel a moment after a pod is ready.
		script := "for i in $(seq 100); do " + self + " fetch http://" + host + "/x && exit; sleep 0.1; done; exit 1"
		if out, err := execOutput(t, c, old, script); err != nil || !strings.HasSuffix(out, " /x\n") {
			t.Errorf("GET %s: %q, %v", host, out, err)
		}
	}
	// From the machine's own network, by the service's address there.
	var config addresses
	if err := readJSON(c.paths.addresses(), &config); err != nil {
		t.Fatal(err)
	}
	if got := get(t, fmt.Sprintf("http://%s:8080/y", config.service(config.Services["shop/cart.shop.svc.cluster.local"]))); !strings.HasSuffix(got, " /y\n") {
		t.Errorf("the service answers %q", got)
	}
	// And by a connection of the engine's.
	conn, err := c.Dial(t.Context(), "tcp", podOf(t, r, "cart").Workload.Addresses[0]+":8080")
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	fmt.Fprint(conn, "GET /z HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || resp.StatusCode != 200 {
		t.Errorf("dialled: %v, %v", resp, err)
	}
	conn.Close()
	if _, err := c.Dial(t.Context(), "tcp", "10.244.0.1:9"); err == nil {
		t.Error("a port on which nobody listens was dialled")
	}
	pid, _, _, err := c.Control(t.Context())
	if err != nil || pid == 0 {
		t.Fatalf("the control plane is process %d, %v", pid, err)
	}
	sigkill(t, pid)
	await(t, c, "the control plane is back", func(*mesh.Running) bool {
		now, restarts, _, _ := c.Control(t.Context())
		return now != 0 && now != pid && restarts == 1
	})
}

// TestTransparentKilled: with either process of the engine everything goes, and the next Stop finds a clean place.
func TestTransparentKilled(t *testing.T) {
	for _, which := range []string{"outer", "inner"} {
		t.Run(which, func(t *testing.T) {
			c := newFabricMesh(t)
			apply(t, c, fabricShop)
			await(t, c, "all pods are ready", allReady(4))
			rec := recorded(t, c, 8)
			pid := rec.Engine.PID
			if which == "inner" {
				pid = rec.Children[0].PID
			}
			if err := unix.Kill(pid, unix.SIGKILL); err != nil {
				t.Fatal(err)
			}
			for _, id := range append(rec.Children, rec.Engine) {
				if !waitGone(id, 30*time.Second) {
					t.Errorf("process %d is left", id.PID)
				}
			}
		})
	}
}

// fetch is curl for tests: it prints the body.
func fetch(url string) int {
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 30 * time.Second}
	resp, err := c.Get(url)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer resp.Body.Close()
	_, err = io.Copy(os.Stdout, resp.Body)
	if errors.Join(err) != nil {
		return 1
	}
	return 0
}
