//go:build linux

package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The mesh of BenchmarkEnforce: each pod has a sidecar.
const (
	enforceServices = 25
	enforcePods     = 4 // of a service
	// enforceRest is how long a mesh that has come up is left alone: the engine looks after new pods for half a minute.
	enforceRest = 32 * time.Second
)

// writeShop writes the manifests of a namespace with many pods.
func writeShop(t testing.TB, dir string) {
	t.Helper()
	var b strings.Builder
	b.WriteString("apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {istio-injection: enabled}}\n")
	for i := range enforceServices {
		fmt.Fprintf(&b, `---
apiVersion: v1
kind: Service
metadata: {name: app-%02[1]d, namespace: shop}
spec: {selector: {app: app-%02[1]d}, ports: [{name: http, port: 9080}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: app-%02[1]d, namespace: shop}
spec:
  replicas: %[2]d
  selector: {matchLabels: {app: app-%02[1]d}}
  template:
    metadata: {labels: {app: app-%02[1]d}}
    spec:
      containers:
        - name: app
          image: example.org/app:1.0
          command: ["oarlock", "demo-app"]
          args: ["--listen", "http:9080"]
          ports: [{name: http, containerPort: 9080}]
`, i, enforcePods)
	}
	if err := os.WriteFile(filepath.Join(dir, "shop.yaml"), []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// enforcedIn finds in what mtls says how many sidecars have a change, and after how many milliseconds.
var enforcedIn = regexp.MustCompile(`enforced on (\d+) of \d+ sidecars in ([\d.]+) ms`)

// BenchmarkEnforce changes a namespace of 100 pods, from PERMISSIVE to STRICT and back, and gives percentiles of the time that
// mtls says: from before the file is written to the last acknowledgement of a sidecar that has it in force. The changes come
// at any moment, for the mesh does things every second.
func BenchmarkEnforce(b *testing.B) {
	dir := filepath.Join(b.TempDir(), "shop")
	if err := os.Mkdir(dir, 0o755); err != nil {
		b.Fatal(err)
	}
	writeShop(b, dir)
	m := upDir(b, dir)
	time.Sleep(enforceRest)
	var took []float64
	for b.Loop() {
		b.StopTimer()
		time.Sleep(300*time.Millisecond + rand.N(500*time.Millisecond))
		verb := []string{"require", "allow"}[len(took)%2]
		b.StartTimer()
		out, code := m.try("mtls", verb, "shop", "--yes")
		found := enforcedIn.FindStringSubmatch(out)
		if code != 0 || found == nil || found[1] != strconv.Itoa(enforceServices*enforcePods) {
			b.Fatalf("mtls %s shop: %d\n%s", verb, code, out)
		}
		ms, err := strconv.ParseFloat(found[2], 64)
		if err != nil {
			b.Fatal(err)
		}
		took = append(took, ms)
	}
	slices.Sort(took)
	for _, percent := range []int{50, 90, 99} {
		b.ReportMetric(took[(len(took)-1)*percent/100], fmt.Sprintf("p%d-ms", percent))
	}
	b.ReportMetric(took[len(took)-1], "max-ms")
}
