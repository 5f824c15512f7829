package casefile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/oarlock/oarlock/mesh"
)

// shop is a small mesh: api with a sidecar, and web that calls it. shopStrict puts them under a STRICT policy.
const shop = `apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio-injection: enabled}}
---
apiVersion: v1
kind: Service
metadata: {name: api, namespace: shop}
spec: {selector: {app: api}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Pod
metadata: {name: api-pod, namespace: shop, labels: {app: api}}
spec: {serviceAccountName: api, containers: [{name: app, image: api}]}
status: {podIP: 10.0.0.1}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {containers: [{name: app, image: web}]}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: mesh, namespace: istio-system}
spec: {mtls: {mode: PERMISSIVE}}
`

const shopStrict = `---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: shop}
spec: {mtls: {mode: STRICT}}
`

// openShop serves shop.yaml beside the case file.
func openShop(path string) ([]byte, error) {
	if path == filepath.Join("d", "shop.yaml") {
		return []byte(shop + shopStrict), nil
	}
	return nil, fmt.Errorf("open %s: no such file", path)
}

// runOne runs one case with the shop's mesh and gives its result.
func runOne(t *testing.T, statements string) Result {
	t.Helper()
	f, err := Parse("d/f.txt", []byte("oarlock cases 1\nuse shop.yaml\ncase x the title\n"+statements))
	if err != nil {
		t.Fatal(err)
	}
	results := Run(f, openShop)
	if len(results) != 1 {
		t.Fatalf("%d results, want 1", len(results))
	}
	return results[0]
}

// TestRunTellsRightFromWrong gives every key its right value, which must pass, and a wrong one, which must fail and show
// both. A key whose check cannot fail would be worthless.
func TestRunTellsRightFromWrong(t *testing.T) {
	const eval = "eval web -> api:80\n"
	for _, tc := range []struct{ statement, key, right, wrong string }{
		{eval, "status", "AUTO", "CONFLICT"},
		{eval, "server", "STRICT", "PERMISSIVE"},
		{eval, "policy", "PeerAuthentication shop/default", "none"},
		{eval, "policy", "PeerAuthentication shop/default", "PeerAuthentication shop/other"},
		{eval, "client", "-", "ISTIO_MUTUAL"},
		{eval, "rule", "none", "DestinationRule shop/api"},
		{eval, "auto", "mTLS", "off"},
		{eval, "wire", "mTLS", "plaintext"},
		{eval, "outbound", "cluster", "direct"},
		{eval, "cause", "auto", "match"},
		{eval, "tie", "none", "oldest"},
		{eval, "endpoints", "1", "2"},
		{eval, "refused", "0", "1"},
		{eval, "endpoint", "api-pod server STRICT", "api-pod server DISABLE"},
		{eval, "endpoint", "api-pod.shop policy PeerAuthentication shop/default", "api-pod.shop policy none"},
		{eval, "endpoint", "pod/api-pod wire mTLS", "pod/api-pod wire plaintext"},
		{eval, "endpoint", "10.0.0.1 cause match", "10.0.0.1 cause udp"},
		{eval, "endpoint", "api-pod tie none", "api-pod tie name"},
		{eval, "endpoint", "api-pod sends ISTIO_MUTUAL", "api-pod sends -"},
		{eval, "endpoint", "api-pod wire mTLS", "e9 wire mTLS"},
		{eval, "reason", "policy wins PeerAuthentication shop/default namespace", "policy loses PeerAuthentication shop/default"},
		{eval, "reason", "policy loses PeerAuthentication istio-system/mesh wider", "policy loses PeerAuthentication istio-system/mesh younger"},
		{eval, "reason", "policy loses PeerAuthentication istio-system/mesh wider none", "policy loses PeerAuthentication istio-system/mesh wider oldest"},
		{eval, "reason", "auto auto", "auto hint"},
		{eval, "sni", "outbound_.80_._.api.shop.svc.cluster.local", "none"},
		{eval, "san", "spiffe://cluster.local/ns/shop/sa/api", "spiffe://cluster.local/ns/shop/sa/web"},
		{eval, "alpn", "istio-peer-exchange istio", "istio"},
		{eval, "min", "1.2", "1.3"},
		{eval, "max", "1.3", "1.2"},
		{eval, "protocol", "HTTP", "TCP"},
		{eval, "protocol", "HTTP HTTP", "HTTP TCP"},
		{"eval outside -> api.shop:http\n", "sni", "none", "x"},
		{"eval web -> api:80 at api-pod\n", "endpoints", "1", "0"},
		{"eval web -> 10.0.0.1:8080\n", "outbound", "PassthroughCluster", "cluster"},
		{"eval web -> nowhere.example:80\n", "outbound", "PassthroughCluster", "BlackHoleCluster"},
		{"compat web -> api:80\n", "row", "AUTO STRICT - shop/default -", "OK STRICT - shop/default -"},
		{"mode api-pod:8080\n", "server", "STRICT", "DISABLE"},
		{"mode api-pod:8080\n", "policy", "PeerAuthentication shop/default", "none"},
		{"mode api-pod:8080\n", "min", "1.2", "1.3"},
		{"mode api-pod:8080\n", "trusts", "spiffe://cluster.local/", "spiffe://other/"},
		{"inbound api-pod:8080 plaintext http\n", "outcome", "no-chain", "http"},
		{"inbound api-pod:8080 mtls\n", "outcome", "http-mtls", "no-chain"},
		{"inbound api-pod:9999 mtls\n", "outcome", "tcp-mtls", "http-mtls"},
		{"inbound api-pod:8080 tls alpn=istio,h2\n", "outcome", "no-cert", "http-mtls"},
		{"inbound api-pod:15006 mtls\n", "outcome", "black-hole", "tcp-mtls"},
	} {
		t.Run(strings.Fields(tc.statement)[0]+" "+tc.key+" "+tc.wrong, func(t *testing.T) {
			if r := runOne(t, tc.statement+"  "+tc.key+" "+tc.right+"\n"); !r.Passed() {
				t.Errorf("the right value fails:\n%s", r)
			}
			r := runOne(t, tc.statement+"  "+tc.key+" "+tc.wrong+"\n")
			if r.Passed() {
				t.Fatal("the wrong value passes")
			}
			if text := r.String(); !strings.Contains(text, "! "+tc.key) || !strings.Contains(text, tc.wrong) {
				t.Errorf("the difference does not show the wrong value:\n%s", text)
			}
		})
	}
}

// TestRunFailures holds what keeps a question from being asked; each text begins with file and line.
func TestRunFailures(t *testing.T) {
	place := regexp.MustCompile(`(?m)^  d/f\.txt:\d+: `)
	for _, tc := range []struct{ name, text, line, want string }{
		{"client", "eval wbe -> api:80\n  status OK\n", "d/f.txt:4: ", `find client "wbe": no such workload`},
		{"client hint", "eval web.shpo -> api:80\n  status OK\n", "d/f.txt:4: ", `did you mean "web.shop"`},
		{"target", "eval web -> apo:80\n  status OK\n", "d/f.txt:4: ", `no service, ServiceEntry host or pod address is "apo"`},
		{"port name", "eval web -> api:grpc\n  status OK\n", "d/f.txt:4: ", `find port "grpc"`},
		{"endpoint", "eval web -> api:80 at web\n  status OK\n", "d/f.txt:4: ", `find endpoint "web"`},
		{"at a host", "eval web -> x.example:80 at web\n  outbound cluster\n", "d/f.txt:4: ", "at needs a service"},
		{"compat client", "compat wbe -> api:80\n  row OK STRICT - - -\n", "d/f.txt:4: ", `find client "wbe"`},
		{"visible", "visible web api no\n", "d/f.txt:4: ", "! visible  no    yes"},
		{"visible client", "visible wbe api no\n", "d/f.txt:4: ", `find client "wbe"`},
		{"visible service", "visible web apo yes\n", "d/f.txt:4: ", `find service "apo": 0 match`},
		{"mode", "mode wbe:80\n  server STRICT\n", "d/f.txt:4: ", `find workload "wbe"`},
		{"no problem", "problem \"boo\"\n", "d/f.txt:4: ", "the mesh was read without a problem"},
		{"use", "use none.yaml\nvisible web api yes\n", "d/f.txt:4: use none.yaml", "read manifest: open d/none.yaml: no such file"},
		{"no sidecar", "mesh\n  apiVersion: v1\n  kind: Pod\n  metadata: {name: bare, namespace: other}\n  spec: {containers: [{name: app, image: x}]}\ninbound bare:80 plaintext\n  outcome tcp\n", "d/f.txt:9: ", "none captures port 80 of bare.other"},
		{"ambiguous", "mesh\n  apiVersion: v1\n  kind: Pod\n  metadata: {name: web, namespace: other}\n  spec: {containers: [{name: app, image: x}]}\nvisible web api yes\n", "d/f.txt:9: ", "2 workloads have that name; write it as one of web.other, web.shop"},
		{"error in the mesh", "mesh\n  apiVersion: v1\n  kind: Service\n  metadata: {name: bad, namespace: shop}\n  spec: {ports: many}\nvisible web api yes\n", "d/f.txt:3: mesh", "d/f.txt:8:17: "},
		{"other problem", "mesh\n  apiVersion: v1\n  kind: Service\n  metadata: {name: bad, namespace: shop}\n  spec: {ports: many}\nproblem \"Service\" error\nproblem \"Service\" warning\n", "d/f.txt:10: problem", "the problems are:"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := runOne(t, tc.text)
			text := r.String()
			if r.Passed() {
				t.Fatal("it passes")
			}
			if !strings.Contains(text, "\n  "+tc.line) || !strings.Contains(text, tc.want) {
				t.Errorf("want a line that begins with %q, and %q, in\n%s", tc.line, tc.want, text)
			}
			if !place.MatchString(text) {
				t.Errorf("no file and line in\n%s", text)
			}
		})
	}
}

// TestReasonOrder: reason lines are given in the order written.
func TestReasonOrder(t *testing.T) {
	const first, second = "  reason auto auto\n", "  reason policy wins PeerAuthentication shop/default\n"
	if r := runOne(t, "eval web -> api:80\n"+first+second); !r.Passed() {
		t.Errorf("the order in which they were given fails:\n%s", r)
	}
	r := runOne(t, "eval web -> api:80\n"+second+first)
	if text := r.String(); r.Passed() || !strings.Contains(text, "given, but before the reasons of the lines above") {
		t.Errorf("the other order passes, or does not say what is wrong:\n%s", text)
	}
	if text := r.String(); !strings.Contains(text, "reasons given:") || !strings.Contains(text, "policy wins PeerAuthentication shop/default namespace: ") {
		t.Errorf("the reasons that were given are not shown:\n%s", text)
	}
}

// TestRunMesh: problems carry the positions of the case file, whichever block they stand in, and a problem that is named
// does not fail the case.
func TestRunMesh(t *testing.T) {
	f, err := Parse("d/f.txt", []byte(`oarlock cases 1
mesh
  apiVersion: v1
  kind: Namespace
  metadata: {name: a}
  ---
  apiVersion: v1
  kind: Namespace
  metadata: {name: b}

case x
mesh
# a comment in between

  apiVersion: v1
  kind: Service
  metadata: {name: bad, namespace: a}
  spec: {ports: many}
mesh
  apiVersion: v1
  kind: Service
  metadata: {name: good, namespace: a}
  spec: {ports: [{port: 80}]}
problem "d/f.txt:18:17: " error
visible outside good.a yes
case y
problem "d/f.txt:18:" error
`))
	if err != nil {
		t.Fatal(err)
	}
	results := Run(f, nil)
	if len(results) != 2 || !results[0].Passed() {
		t.Fatalf("results are %v", results)
	}
	if results[1].Passed() {
		t.Error("the mesh of one case reaches the next")
	}
}

// TestRunDialects: a case runs once in each of its dialects, those of the file where it names none.
func TestRunDialects(t *testing.T) {
	f, err := Parse("f.txt", []byte("oarlock cases 1\ndialect 1.1 1.4\n"+
		"mesh\n  apiVersion: v1\n  kind: Service\n  metadata: {name: s, namespace: a}\n  spec: {selector: {app: s}, ports: [{name: x, port: 80}]}\n"+
		"case both\ncompat outside -> s.a:80\n  row OK HTTP HTTP - -\ncase own\ndialect current\neval outside -> s.a:80\n  server PERMISSIVE\n"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range Run(f, nil) {
		got = append(got, fmt.Sprintf("%s %s %t", r.ID, r.Dialect, r.Passed()))
	}
	if want := "both 1.1 true, both 1.4 false, own current true"; strings.Join(got, ", ") != want {
		t.Errorf("ran %s, want %s", strings.Join(got, ", "), want)
	}
}

// TestExamples runs the examples of doc.go and docs/cases.md.
func TestExamples(t *testing.T) {
	guide, err := os.ReadFile("../docs/cases.md")
	if err != nil {
		t.Fatal(err)
	}
	tour, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	_, first, _ := strings.Cut(string(guide), "```\n")
	first, _, _ = strings.Cut(first, "```\n")
	_, second, _ := strings.Cut(string(tour), "//\n//\t")
	second, _, _ = strings.Cut(second, "\n//\n// ")
	second = strings.ReplaceAll(strings.ReplaceAll(second, "\n//\t", "\n"), "\n//\n", "\n\n")
	for name, text := range map[string]string{"docs/cases.md": first, "doc.go": second} {
		f, err := Parse(name, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range Run(f, func(string) ([]byte, error) { return []byte(shop), nil }) {
			if !r.Passed() {
				t.Error(r)
			}
		}
	}
}

func TestFormat(t *testing.T) {
	results := []Result{
		{File: "f.txt", Line: 2, ID: "good", Dialect: mesh.Dialect14},
		{File: "f.txt", Line: 5, ID: "bad", Title: "a title", Dialect: mesh.DialectCurrent, Failures: []Failure{{
			File: "f.txt", Line: 7, What: "eval a -> b:80",
			Rows: []Row{
				{Line: 8, Key: "status", Want: "OK", Got: "OK"},
				{Line: 9, Key: "server", Want: "PERMISSIVE", Got: "STRICT", Differs: true},
			},
			Reasons: []string{"policy default"},
		}}},
	}
	var b strings.Builder
	if err := Format(&b, results); err != nil {
		t.Fatal(err)
	}
	const want = `FAIL f.txt:5: bad a title (dialect current)
  f.txt:7: eval a -> b:80
      key     want        got
      status  OK          OK
    ! server  PERMISSIVE  STRICT
      reasons given:
        policy default
1 case passed, 1 failed
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
	if err := Format(broken{}, results); err == nil {
		t.Error("an error of the writer is lost")
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("no") }

func TestFind(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"b.txt":         VersionLine + "\ncase a\nproblem \"x\"\n",
		"a/c.txt":       "\ufeff" + VersionLine + "\n",
		"later.txt":     "oarlock cases 2\n",
		"notes.txt":     "notes\n",
		"b.txt.yaml":    VersionLine + "\n",
		"a/empty.txt":   "",
		"a/sub/e.txt":   VersionLine + "\r\ncase a\r\nproblem \"x\"\r\n",
		"a/sub/f.TXTX":  VersionLine,
		"a/sub/g.jsonl": "{}",
	} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	names, err := Find(dir)
	if err != nil {
		t.Fatal(err)
	}
	for i := range names {
		names[i], _ = filepath.Rel(dir, names[i])
	}
	if got, want := strings.Join(names, " "), "a/c.txt a/sub/e.txt b.txt later.txt"; filepath.ToSlash(got) != want {
		t.Errorf("found %s, want %s", got, want)
	}
	if _, err := RunFile(filepath.Join(dir, "later.txt")); err == nil || !strings.Contains(err.Error(), "later.txt:1: ") {
		t.Errorf("a file of a later version gives the error %v", err)
	}
	if r, err := RunFile(filepath.Join(dir, "a", "sub", "e.txt")); err != nil || len(r) != 1 || r[0].Passed() {
		t.Errorf("results are %v, %v, want one failure", r, err)
	}
	for _, f := range []func() error{
		func() error { _, err := Find(filepath.Join(dir, "none")); return err },
		func() error { _, err := RunFile(filepath.Join(dir, "none.txt")); return err },
	} {
		if err := f(); err == nil || !strings.Contains(err.Error(), "none") {
			t.Errorf("error is %v, want one that names the path", err)
		}
	}
}
