package manifest

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/oarlock/oarlock/mesh"
)

// bigMesh gives at least n documents as people write them: for each of many applications a ServiceAccount, a Service, a
// Deployment, a DestinationRule and, for some, a PeerAuthentication and a VirtualService.
func bigMesh(n int) [][]byte {
	docs := make([][]byte, 0, n+6)
	for i := range n / 100 {
		docs = append(docs, fmt.Appendf(nil, "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: team-%d\n  labels:\n    istio-injection: enabled\n", i))
	}
	for i := 0; len(docs) < n; i++ {
		docs = append(docs, bigApp(fmt.Sprintf("app-%d", i), fmt.Sprintf("team-%d", i%(n/100)), i)...)
	}
	return docs[:n]
}

func bigApp(name, ns string, i int) [][]byte {
	head := func(version, kind string) string {
		return fmt.Sprintf("apiVersion: %s\nkind: %s\nmetadata:\n  name: %s\n  namespace: %s\n", version, kind, name, ns)
	}
	docs := [][]byte{
		[]byte("# Who " + name + " is to others.\n" + head("v1", "ServiceAccount")),
		fmt.Appendf(nil, `%s  labels:
    app: %[2]s
    team: payments
spec:
  selector:
    app: %[2]s
  ports:
  - name: http
    port: 80
    targetPort: 8080
  - name: grpc-api
    port: 9090
    targetPort: grpc
    appProtocol: grpc
`, head("v1", "Service"), name),
		fmt.Appendf(nil, bigDeployment, head("apps/v1", "Deployment"), name, i%4+1),
		fmt.Appendf(nil, `%sspec:
  host: %s.%s.svc.cluster.local
  trafficPolicy:
    loadBalancer:
      simple: LEAST_REQUEST
    connectionPool:
      http:
        http1MaxPendingRequests: 100
        maxRequestsPerConnection: 10
    tls:
      mode: ISTIO_MUTUAL
    portLevelSettings:
    - port:
        number: 9090
      tls:
        mode: ISTIO_MUTUAL
  subsets:
  - name: v1
    labels:
      version: v1
  - name: v2
    labels:
      version: v2
`, head("networking.istio.io/v1", "DestinationRule"), name, ns),
	}
	if i%3 == 0 {
		docs = append(docs, fmt.Appendf(nil, "%sspec:\n  selector:\n    matchLabels:\n      app: %s\n  mtls:\n    mode: STRICT\n  portLevelMtls:\n    9090:\n      mode: PERMISSIVE\n",
			head("security.istio.io/v1", "PeerAuthentication"), name))
	}
	if i%5 == 0 {
		docs = append(docs, fmt.Appendf(nil, `%sspec:
  hosts:
  - %[2]s
  http:
  - match:
    - headers:
        canary:
          exact: "true"
    route:
    - destination:
        host: %[2]s
        subset: v2
  - route:
    - destination:
        host: %[2]s
        subset: v1
      weight: 90
    - destination:
        host: %[2]s
        subset: v2
      weight: 10
`, head("networking.istio.io/v1", "VirtualService"), name))
	}
	return docs
}

const bigDeployment = `%s  labels:
    app: %[2]s
    version: v1
spec:
  replicas: %[3]d
  selector:
    matchLabels:
      app: %[2]s
      version: v1
  template:
    metadata:
      labels:
        app: %[2]s
        version: v1
    spec:
      serviceAccountName: %[2]s
      containers:
      - name: app
        image: registry.example.com/shop/%[2]s:1.4.2
        ports:
        - containerPort: 8080
          name: http
        - containerPort: 9090
          name: grpc
        env:
        - name: LOG_LEVEL
          value: info
        resources:
          requests: {cpu: 100m, memory: 128Mi}
        readinessProbe:
          httpGet:
            path: /healthz
            port: 8080
`

func oneFile(docs [][]byte) []File {
	return []File{{Name: "mesh.yaml", Data: bytes.Join(docs, []byte("---\n"))}}
}

func manyFiles(docs [][]byte) []File {
	files := make([]File, len(docs))
	for i, d := range docs {
		files[i] = File{Name: fmt.Sprintf("mesh/%05d.yaml", i), Data: d}
	}
	return files
}

// BenchmarkLoad reads 20,000 documents, in one file and in as many files.
func BenchmarkLoad(b *testing.B) {
	docs := bigMesh(20_000)
	for _, layout := range []struct {
		name  string
		files []File
	}{{"one-file", oneFile(docs)}, {"20000-files", manyFiles(docs)}} {
		b.Run(layout.name, func(b *testing.B) {
			size := 0
			for _, f := range layout.files {
				size += len(f.Data)
			}
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				snap, problems := Load(layout.files, Options{})
				if len(problems) > 0 || snap.Documents != len(docs) {
					b.Fatalf("%d documents, problems: %v", snap.Documents, problems[:min(3, len(problems))])
				}
			}
		})
	}
}

// TestBigMesh keeps the input of the benchmark honest: every document of it is taken in as what it is.
func TestBigMesh(t *testing.T) {
	docs := bigMesh(1000)
	one, problems := Load(oneFile(docs), Options{})
	if len(problems) > 0 {
		t.Fatalf("problems: %v", problems)
	}
	many, _ := Load(manyFiles(docs), Options{})
	for _, snap := range []*mesh.Snapshot{one, many} {
		if n := len(snap.Services); n < 200 || snap.Documents != 1000 || len(snap.Workloads) < 200 || len(snap.DestinationRules) < 200 {
			t.Errorf("%d documents, %d services, %d workloads, %d rules", snap.Documents, n, len(snap.Workloads), len(snap.DestinationRules))
		}
	}
}
