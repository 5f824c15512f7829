package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oarlock/oarlock/api"
)

// testApp is an app that prints into a buffer.
func testApp() (*app, *bytes.Buffer) {
	var out bytes.Buffer
	a := &app{stdin: strings.NewReader(""), stdout: bufio.NewWriter(&out), stderr: io.Discard, cancel: func() {}}
	a.flags.dialect.value, a.flags.failOn.value = "auto", "error"
	return a, &out
}

// troubled is a mesh in which something of everything is wrong.
func troubled() *api.Status {
	owner := func(name string) *api.Ref { return &api.Ref{Kind: "Deployment", Namespace: "shop", Name: name} }
	return &api.Status{
		Mesh: "jaunty-ferret", Manifests: []string{"/srv/mesh"}, Dialect: "1.3", Snapshot: "abc", Capture: "explicit",
		CaptureWhy: "the kernel allows this user no network namespaces, which transparent capture needs for every pod", Services: 2,
		Sync: api.Coverage{InForce: 1, Total: 3},
		Nodes: []api.Node{
			{ID: "n1", Namespace: "shop", Pod: "web-1", Known: true, Connected: true, InForce: true},
			{ID: "n2", Namespace: "shop", Pod: "api-1", Known: true, Connected: true, Refused: "listener 0.0.0.0_80: unknown filter"},
		},
		Pods: []api.Pod{
			{Namespace: "shop", Name: "web-1", Owner: owner("web"), Sidecar: true, Phase: "Running", Ready: true, Containers: 1},
			{Namespace: "shop", Name: "api-1", Owner: owner("api"), Sidecar: true, Phase: "Running", Reason: "readiness probe of container \"api\" failed", Containers: 1},
			{Namespace: "shop", Name: "api-2", Owner: owner("api"), Sidecar: true, Phase: "Pending", Containers: 2, Restarts: 3},
			{Namespace: "other", Name: "api-1", Phase: "Running", Ready: true, Containers: 1},
		},
		Problems:   []api.Problem{{Severity: "error", Origin: api.Origin{File: "/srv/mesh/a.yaml", Line: 3, Col: 1}, Message: "read document: it is no YAML", Hint: "mend it"}},
		Unenforced: []api.Unenforced{{Object: api.Ref{Kind: "AuthorizationPolicy", Namespace: "shop", Name: "deny"}, Why: "the local mesh authorizes nobody"}},
		Held:       "/srv/mesh/a.yaml:3:1: read document: it is no YAML",
		CA:         api.CAStatus{TrustDomain: "cluster.local", Rotating: true, Authorities: []api.Authority{{Slot: "active", Fingerprint: "00ff", NotAfter: time.Unix(0, 0)}}},
	}
}

func TestPrintStatus(t *testing.T) {
	a, out := testApp()
	s := troubled()
	if err := a.printStatus(s); err != nil {
		t.Fatal(err)
	}
	a.stdout.Flush()
	want := `mesh           jaunty-ferret
manifests      /srv/mesh, Istio 1.3
snapshot       abc
capture        explicit: the kernel allows this user no network namespaces,
               which transparent capture needs for every pod
sidecars       in force on 1 of 3
pods           4, 2 of them ready, 3 restarts
services       2
certificates   trust domain cluster.local, authority 00ff until 1970-01-01,
               rotating
access log     off (accessLogFile of the MeshConfig is empty)

Held back: the manifests as they are now are not in force:
  /srv/mesh/a.yaml:3:1: read document: it is no YAML

Not ready:
  api-1.shop: readiness probe of container "api" failed
  api-2.shop: pending

Refused by sidecars, which keep what they had:
  api-1.shop: listener 0.0.0.0_80: unknown filter

Not enforced here:
  AuthorizationPolicy shop/deny: the local mesh authorizes nobody

Problems:
  /srv/mesh/a.yaml:3:1: error: read document: it is no YAML
    hint: mend it
`
	if out.String() != want {
		t.Errorf("got:\n%s", out)
	}
	for line := range strings.Lines(out.String()) {
		if len(line) > 81 {
			t.Errorf("%d columns: %s", len(line)-1, line)
		}
	}
	if !unhealthy(s) || allReady(s) {
		t.Error("it counts as healthy")
	}
}

func TestSidecarWords(t *testing.T) {
	s := troubled()
	for i, want := range []string{"in force", "NACK", "not connected", "none"} {
		if got := sidecarWord(s, &s.Pods[i]); got != want {
			t.Errorf("%s: %s, want %s", podWord(&s.Pods[i]), got, want)
		}
	}
}

func TestChosenPod(t *testing.T) {
	for _, tt := range []struct{ arg, namespace, want string }{
		{"web-1", "", "web-1.shop"}, {"web-1.shop", "", "web-1.shop"}, {"shop/web-1", "", "web-1.shop"},
		{"api-1.other", "", "api-1.other"}, {"api-1", "shop", "api-1.shop"}, {"deploy/api", "", "api-1.shop"}, {"api", "", "api-1.shop"},
		{"deploy/api.shop", "", "api-1.shop"}, {"pod/web-1", "", "web-1.shop"},
		{"api-1", "", "it could be api-1.shop or api-1.other"}, {"wbe-1", "", "no such pod"}, {"sts/api", "", "no such pod"}, {"web-1.other", "", "no such pod"},
	} {
		a, _ := testApp()
		a.flags.namespace = tt.namespace
		p, err := a.chosenPod(troubled(), tt.arg)
		switch {
		case err != nil && !strings.Contains(err.Error(), tt.want):
			t.Errorf("%s: %v", tt.arg, err)
		case err == nil && podWord(p) != tt.want:
			t.Errorf("%s: %s, want %s", tt.arg, podWord(p), tt.want)
		}
	}
}

func TestLogCopy(t *testing.T) {
	log := "one\ntwo\nthree\nfour"
	for _, tt := range []struct {
		tail int
		want string
	}{{-1, log}, {0, ""}, {1, "four"}, {3, "two\nthree\nfour"}, {9, log}} {
		a, out := testApp()
		l := &logCopy{app: a, open: func(bool) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(log)), nil }}
		if err := l.copy(t.Context(), tt.tail, false); err != nil {
			t.Fatal(err)
		}
		a.stdout.Flush()
		if out.String() != tt.want {
			t.Errorf("--tail %d: %q, want %q", tt.tail, out, tt.want)
		}
	}
	a, out := testApp()
	l := &logCopy{app: a, open: func(bool) (io.ReadCloser, error) {
		log += "\nmore" // it grows while it is read
		return io.NopCloser(strings.NewReader(log)), nil
	}}
	if err := errors.Join(l.copy(t.Context(), 2, false), a.stdout.Flush()); err != nil || out.String() != "four\nmore" {
		t.Errorf("two lines of a log that grows: %q, %v", out, err)
	}
	a, _ = testApp()
	broken := errors.New("it broke")
	l = &logCopy{app: a, open: func(bool) (io.ReadCloser, error) { return nil, broken }}
	if err := l.copy(t.Context(), 1, true); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}

// A dump as Envoy's admin prints it, and the rows that come of it.
const envoyDump = `{"configs": [
 {"@type": "type.googleapis.com/envoy.admin.v3.ClustersConfigDump",
  "static_clusters": [{"cluster": {"name": "xds-grpc", "load_assignment": {"cluster_name": "xds-grpc",
    "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {"pipe": {"path": "/run/xds.sock"}}}}]}]}}}],
  "dynamic_active_clusters": [{"cluster": {"name": "outbound|80|v1|api.shop.svc.cluster.local", "type": "EDS",
    "metadata": {"filter_metadata": {"istio": {"default_original_port": 80,
      "config": "/apis/networking.istio.io/v1/namespaces/shop/destination-rule/api"}}}}}]},
 {"@type": "type.googleapis.com/envoy.admin.v3.EndpointsConfigDump", "dynamic_endpoint_configs": [{"endpoint_config":
   {"cluster_name": "outbound|80|v1|api.shop.svc.cluster.local", "endpoints": [{"lb_endpoints": [
     {"health_status": "UNHEALTHY", "metadata": {"filter_metadata": {"envoy.transport_socket_match": {"tlsMode": "istio"}}},
      "endpoint": {"address": {"socket_address": {"address": "10.0.0.7", "port_value": 8080}}}}]}]}}]},
 {"@type": "type.googleapis.com/envoy.admin.v3.ListenersConfigDump", "dynamic_listeners": [{"active_state": {"listener": {
   "address": {"socket_address": {"address": "0.0.0.0", "port_value": 15006}},
   "filter_chains": [{"filter_chain_match": {"destination_port": 80, "transport_protocol": "tls", "application_protocols": ["istio"],
       "prefix_ranges": [{"address_prefix": "10.0.0.7", "prefix_len": 32}]},
     "filters": [{"typed_config": {"rds": {"route_config_name": "80"}}}]}],
   "default_filter_chain": {"filters": [{"typed_config": {"cluster": "PassthroughCluster"}}]}}}}]},
 {"@type": "type.googleapis.com/envoy.admin.v3.RoutesConfigDump", "dynamic_route_configs": [{"route_config": {"name": "80",
   "virtual_hosts": [{"name": "api:80", "domains": ["api.shop.svc.cluster.local", "api"],
     "routes": [{"match": {"prefix": "/v1"}, "route": {"cluster": "c"}}]}, {"name": "none", "domains": ["*"]}]}}]},
 {"@type": "type.googleapis.com/envoy.admin.v3.SecretsConfigDump", "dynamic_active_secrets": [{"name": "default",
   "secret": {"tls_certificate": {"private_key": {"inline_string": "KEY"}, "certificate_chain": {"inline_string": "none"}}}}]}
]}`

func TestProxyConfigRows(t *testing.T) {
	d, err := parseDump([]byte(envoyDump))
	if err != nil {
		t.Fatal(err)
	}
	p := &proxyConfig{}
	want := map[string]string{
		"cluster":  "api.shop.svc.cluster.local 80 v1 outbound EDS api.shop\nxds-grpc - - - STATIC -",
		"endpoint": "10.0.0.7:8080 UNHEALTHY OK istio outbound|80|v1|api.shop.svc.cluster.local\nunix:///run/xds.sock HEALTHY OK - xds-grpc",
		"listener": "0.0.0.0 15006 Port: 80; Trans: tls; App: istio; Addr: 10.0.0.7/32 Route: 80\n0.0.0.0 15006 ALL PassthroughCluster",
		"route":    "80 api:80 api + 1 more /v1* -\n80 none * - -",
		"secret":   "default Cert Chain ACTIVE false - - - -",
	}
	for _, k := range configKinds() {
		var got []string
		for _, row := range k.rows(p, d) {
			got = append(got, strings.Join(row, " "))
		}
		if strings.Join(got, "\n") != want[k.name] {
			t.Errorf("%s:\n%s\nwant\n%s", k.name, strings.Join(got, "\n"), want[k.name])
		}
	}
	a, out := testApp()
	if err := a.print("json", plainNodes(secretNodes(p, d))); err != nil {
		t.Fatal(err)
	}
	if err := a.print("json", plainNodes(keptClusters(&proxyConfig{fqdn: "api.shop.svc.cluster.local", port: 80, subset: "v1", direction: "outbound"}, d))); err != nil {
		t.Fatal(err)
	}
	a.stdout.Flush()
	for _, text := range []string{`"certificateChain"`, `"filterMetadata"`, `"default_original_port": 80`, `"config": "/apis/networking.istio.io/v1/namespaces/shop/destination-rule/api"`} {
		if !strings.Contains(out.String(), text) {
			t.Errorf("no %s in %s", text, out)
		}
	}
	if strings.Contains(out.String(), "KEY") || strings.Contains(out.String(), "xds-grpc") {
		t.Errorf("too much in %s", out)
	}
	if _, err := parseDump([]byte("{}")); err == nil {
		t.Error("an answer without configs is none")
	}
}

func TestWithMesh(t *testing.T) {
	for args, want := range map[string]string{
		"ps": "oarlock ps --mesh calm-otter", "exec web -- curl --mesh x": "oarlock exec web --mesh calm-otter -- curl --mesh x", "--mesh calm-oter ps": "oarlock --mesh calm-otter ps", "ps --mesh=x": "oarlock ps --mesh=bold-lynx",
		"status calm-oter": "oarlock status calm-otter", "mtls show calm-oter --mesh calm-oter": "oarlock mtls show calm-oter --mesh calm-otter",
	} {
		a, _ := testApp()
		a.args = strings.Fields(args)
		if i := strings.Index(args, "oter"); i >= 0 {
			a.flags.mesh = "calm-oter"
		} else if strings.Contains(args, "=x") {
			a.flags.mesh = "x"
		}
		names := []string{"calm-otter", "bold-lynx"}
		if strings.Contains(args, "=x") {
			names = []string{"bold-lynx", "calm-otter"}
		}
		if got := a.withMesh(names); got != want {
			t.Errorf("%s: %s, want %s", args, got, want)
		}
	}
}

func TestAge(t *testing.T) { synctest.Test(t, testAge) } // where time stands still

func testAge(t *testing.T) {
	for want, ago := range map[string]time.Duration{"5s": 5 * time.Second, "3m5s": 185 * time.Second, "20m": 20 * time.Minute, "5h": 5 * time.Hour, "3d": 73 * time.Hour} {
		if got := age(time.Now().Add(-ago - 10*time.Millisecond)); got != want {
			t.Errorf("%v: %s, want %s", ago, got, want)
		}
	}
	if age(time.Time{}) != "-" {
		t.Error("no time has an age")
	}
}

func TestEnforcement(t *testing.T) {
	for want, e := range map[string]enforcement{
		"enforced on 12 of 12 sidecars in 31 ms":        {InForce: 12, Total: 12, Elapsed: 31.4},
		"enforced on 1 of 1 sidecars in 9.5 ms":         {InForce: 1, Total: 1, Elapsed: 9.46},
		"enforced on 11 of 12 sidecars after 10000 ms":  {InForce: 11, Total: 12, Elapsed: 10000},
		"no sidecar runs that would have to enforce it": {},
	} {
		if got := e.String(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
