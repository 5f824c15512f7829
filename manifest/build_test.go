package manifest

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/oarlock/oarlock/mesh"
)

// mustLoad reads a text that has nothing wrong.
func mustLoad(t *testing.T, text string, opt Options) *mesh.Snapshot {
	t.Helper()
	snap, problems := loadText(text, opt)
	if problems != "" {
		t.Fatalf("problems:\n%s", problems)
	}
	return snap
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s:\n got %+v\nwant %+v", what, got, want)
	}
}

func TestServices(t *testing.T) {
	snap := mustLoad(t, `apiVersion: v1
kind: Service
metadata:
  name: cart
  namespace: shop
  creationTimestamp: "2026-01-31T12:00:00+01:00"
  annotations: {networking.istio.io/exportTo: "., bank", other: x}
spec:
  clusterIP: 10.0.0.1
  clusterIPs: [10.0.0.1, "fd00::1"]
  selector: {app: cart}
  ports:
  - {name: http, port: 80, targetPort: 8080}
  - {name: grpc, port: 90, targetPort: api, appProtocol: grpc}
  - {name: dns, port: 53, protocol: UDP}
---
{apiVersion: v1, kind: Service, metadata: {name: db}, spec: {clusterIP: None, ports: [{port: 3306}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: old}, spec: {type: ExternalName, externalName: old.example.com}}
`, Options{})
	if len(snap.Services) != 3 {
		t.Fatalf("%d services", len(snap.Services))
	}
	s := snap.Services[0]
	grpc := "grpc"
	equal(t, "cart", *s, mesh.Service{
		Object: mesh.Object{Ref: mesh.Ref{Kind: mesh.KindService, Namespace: "shop", Name: "cart"},
			Origin: mesh.Origin{File: "f.yaml", Line: 1, Col: 1}, Created: time.Date(2026, 1, 31, 11, 0, 0, 0, time.UTC)},
		Hostname: "cart.shop.svc.cluster.local", Selector: map[string]string{"app": "cart"},
		ExportTo: []string{".", "bank"}, Addresses: []string{"10.0.0.1", "fd00::1"},
		Ports: []mesh.Port{{Name: "http", Number: 80, TargetNumber: 8080},
			{Name: "grpc", Number: 90, TargetName: "api", AppProtocol: &grpc}, {Name: "dns", Number: 53, Transport: "UDP"}},
	})
	if db := snap.Services[1]; db.Hostname != "db.default.svc.cluster.local" || !db.Headless() || len(db.Addresses) != 0 {
		t.Errorf("db: %+v", db)
	}
	if old := snap.Services[2]; old.Resolution != mesh.ResolutionExternalName || old.ExternalName != "old.example.com" {
		t.Errorf("old: %+v", old)
	}
}

func TestServiceEntries(t *testing.T) {
	snap := mustLoad(t, `apiVersion: networking.istio.io/v1beta1
kind: ServiceEntry
metadata: {name: pay, namespace: shop}
spec:
  hosts: [pay.example.com, "*.pay.example.com"]
  addresses: [192.0.2.1]
  ports: [{number: 443, name: tls, protocol: TLS, targetPort: 8443}]
  resolution: DNS
  location: MESH_INTERNAL
  exportTo: ["."]
  subjectAltNames: [pay]
  endpoints:
  - address: one.example.com
    ports: {tls: 1443}
    labels: {version: v1}
  - address: two.example.com
    serviceAccount: pay
---
{apiVersion: networking.istio.io/v1alpha3, kind: ServiceEntry, metadata: {name: any}, spec: {hosts: [any.example.com], workloadSelector: {labels: {app: vm}}}}
`, Options{})
	var hosts []string
	for _, s := range snap.Services {
		hosts = append(hosts, fmt.Sprint(s.Hostname, " ", s.Resolution, " external=", s.External, " entry=", s.Entry()))
	}
	equal(t, "hosts", hosts, []string{"*.pay.example.com DNS external=false entry=true",
		"any.example.com NONE external=true entry=true", "pay.example.com DNS external=false entry=true"})
	s := snap.Services[2]
	equal(t, "ports", s.Ports, []mesh.Port{{Name: "tls", Number: 443, Declared: "TLS", TargetNumber: 8443}})
	equal(t, "inline", []string{s.Inline[0].Ref.String(), s.Inline[0].Origin.String(), s.Inline[1].Ref.String(), s.Inline[1].InlineOf.String()},
		[]string{"ServiceEntry shop/pay[0]", "f.yaml:13:5", "ServiceEntry shop/pay[1]", "ServiceEntry shop/pay"})
	equal(t, "port map", s.Inline[0].PortMap, map[string]uint32{"tls": 1443})
	if s.Inline[0] != snap.Services[0].Inline[0] {
		t.Error("the hosts of an entry do not share its endpoints")
	}
	equal(t, "selector", snap.Services[1].Selector, map[string]string{"app": "vm"})
	if len(snap.Workloads) != 0 {
		t.Errorf("inline endpoints are among the workloads")
	}
}

func TestWorkloads(t *testing.T) {
	snap := mustLoad(t, `{apiVersion: v1, kind: Namespace, metadata: {name: shop}}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: cart
  namespace: shop
  annotations: {oarlock.dev/calls: "bank:80", oarlock.dev/note: outer, other: x}
spec:
  replicas: 3
  template:
    metadata:
      labels: {app: cart}
      annotations:
        oarlock.dev/note: inner
        oarlock.dev/calls: "details:9080, reviews.shop, https://example.com/x, http://a:8080, details:9080"
        traffic.sidecar.istio.io/includeInboundPorts: "*"
        traffic.sidecar.istio.io/excludeInboundPorts: "22, 8081"
        traffic.sidecar.istio.io/excludeOutboundPorts: ""
        traffic.sidecar.istio.io/includeOutboundPorts: "80"
    spec:
      serviceAccount: old
      initContainers:
      - {name: setup, ports: [{containerPort: 1}]}
      - {name: logs, restartPolicy: Always, ports: [{containerPort: 2}]}
      containers:
      - name: app
        command: [oarlock, demo-app]
        args: [--listen, ":8080", --call, "ratings:9080", "--call=http://pay", "--calls=x"]
        ports: [{containerPort: 8080, name: http}, {containerPort: 53, protocol: UDP}]
---
{apiVersion: batch/v1, kind: CronJob, metadata: {name: nightly, namespace: shop}, spec: {jobTemplate: {spec: {template: {metadata: {labels: {app: night}, annotations: {traffic.sidecar.istio.io/includeInboundPorts: "", traffic.sidecar.istio.io/includeOutboundIPRanges: "", traffic.sidecar.istio.io/includeOutboundPorts: "443"}}, spec: {serviceAccountName: night, containers: [{name: a, command: [sh, -c, "exec /bin/demo-app --call one:1; --call two"]}]}}}}}}
---
{apiVersion: batch/v1, kind: Job, metadata: {name: once, namespace: shop}, spec: {parallelism: 4, template: {spec: {}}}}
`, Options{})
	if len(snap.Workloads) != 3 {
		t.Fatalf("%d workloads", len(snap.Workloads))
	}
	w := snap.Workloads[0]
	var calls []string
	for _, c := range w.Calls {
		calls = append(calls, fmt.Sprintf("%s:%d %s %s", c.Host, c.Port, c.Source, c.Origin))
	}
	equal(t, "calls", calls, []string{
		"bank:80 annotation oarlock.dev/calls f.yaml:8:36",
		"details:9080 annotation oarlock.dev/calls f.yaml:16:28", "reviews.shop:0 annotation oarlock.dev/calls f.yaml:16:28",
		"example.com:443 annotation oarlock.dev/calls f.yaml:16:28", "a:8080 annotation oarlock.dev/calls f.yaml:16:28",
		"ratings:9080 demo-app argument --call f.yaml:29:43", "pay:80 demo-app argument --call f.yaml:29:59"})
	equal(t, "ports", w.Ports, []mesh.ContainerPort{{Number: 2}, {Name: "http", Number: 8080}, {Number: 53, Protocol: "UDP"}})
	equal(t, "inbound", w.Inbound, mesh.PortCapture{Exclude: []uint32{22, 8081}})
	equal(t, "outbound", w.Outbound, mesh.PortCapture{Exclude: []uint32{}})
	if w.ServiceAccount != "old" || w.Replicas != 3 || w.Labels["app"] != "cart" || w.Annotations["oarlock.dev/note"] != "inner" || w.Annotations["other"] != "" {
		t.Errorf("cart: %+v", w)
	}
	n := snap.Workloads[1]
	equal(t, "nightly inbound", n.Inbound, mesh.PortCapture{Include: []uint32{}})
	equal(t, "nightly outbound", n.Outbound, mesh.PortCapture{Include: []uint32{443}})
	if n.Ref.Kind != mesh.KindCronJob || n.ServiceAccount != "night" || len(n.Calls) != 2 || n.Calls[0].Host != "one" {
		t.Errorf("nightly: %+v", n)
	}
	if o := snap.Workloads[2]; o.Replicas != 4 || o.ServiceAccount != "default" {
		t.Errorf("once: %+v", o)
	}
}

func TestOwners(t *testing.T) {
	owned := func(kind, name, owner string, more string) string {
		version := map[string]string{"Pod": "v1", "ReplicaSet": "apps/v1", "Deployment": "apps/v1", "Job": "batch/v1", "CronJob": "batch/v1"}[kind]
		refs := ""
		if k, n, ok := strings.Cut(owner, "/"); ok {
			refs = fmt.Sprintf(", ownerReferences: [{kind: Node, name: x}, {kind: %s, name: %s, controller: true}]", k, n)
		}
		spec := "template: {spec: {}}"
		if kind == "CronJob" {
			spec = "jobTemplate: {spec: {template: {spec: {}}}}"
		}
		return fmt.Sprintf("---\n{apiVersion: %s, kind: %s, metadata: {name: %s%s, labels: {pod-template-hash: abc}, annotations: {oarlock.dev/calls: %s-calls}}, spec: {%s}%s}\n", version, kind, name, refs, name, spec, more)
	}
	strip := func(s string) string { return strings.ReplaceAll(s, "spec: {template: {spec: {}}}", "spec: {}") }
	snap := mustLoad(t, "{apiVersion: v1, kind: Namespace, metadata: {name: default}}\n"+
		owned("Deployment", "web", "", "")+owned("ReplicaSet", "web-1", "Deployment/web", "")+owned("ReplicaSet", "web-0", "Deployment/web", "")+
		strip(owned("Pod", "web-1-a", "ReplicaSet/web-1", ", status: {podIP: 10.0.0.1, podIPs: [{ip: 10.0.0.1}, {ip: 'fd00::1'}]}"))+
		owned("Deployment", "api", "", "")+strip(owned("Pod", "api-abc-x", "ReplicaSet/api-abc", ""))+
		owned("Deployment", "idle", "", "")+owned("ReplicaSet", "idle-1", "Deployment/idle", "")+
		strip(owned("Pod", "lone", "", ""))+strip(owned("Pod", "away-abc-y", "ReplicaSet/away-abc", ""))+
		owned("CronJob", "nightly", "", "")+owned("Job", "nightly-1", "CronJob/nightly", "")+
		strip(owned("Pod", "nightly-1-z", "Job/nightly-1", ", status: {phase: Succeeded}")),
		Options{})
	var got []string
	for _, w := range snap.Workloads {
		var calls []string
		for _, c := range w.Calls {
			calls = append(calls, c.Host)
		}
		got = append(got, fmt.Sprint(w.Ref, " of ", w.Owner, " ", w.Addresses, " ", calls))
	}
	equal(t, "workloads", got, []string{
		"Pod default/api-abc-x of Deployment default/api [] [api-abc-x-calls api-calls]",
		"Pod default/away-abc-y of Deployment default/away [] [away-abc-y-calls]",
		"Deployment default/idle of   [] [idle-calls]",
		"Pod default/lone of   [] [lone-calls]",
		"CronJob default/nightly of   [] [nightly-calls]",
		"Pod default/web-1-a of Deployment default/web [10.0.0.1 fd00::1] [web-1-a-calls web-1-calls web-calls]",
	})
}

func TestEndpointSlices(t *testing.T) {
	snap := mustLoad(t, `{apiVersion: v1, kind: Namespace, metadata: {name: default}}
---
{apiVersion: v1, kind: Service, metadata: {name: db}, spec: {ports: [{port: 3306, name: sql}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {selector: {app: web}, ports: [{port: 80}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: p1}, spec: {}}
---
{apiVersion: v1, kind: Pod, metadata: {name: p2}, spec: {}, status: {podIP: 10.0.0.2}}
---
{apiVersion: v1, kind: Pod, metadata: {name: node}, spec: {hostNetwork: true}, status: {podIP: 10.0.0.9}}
---
{apiVersion: networking.istio.io/v1, kind: WorkloadEntry, metadata: {name: vm}, spec: {address: 10.0.0.3}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: db-1, labels: {kubernetes.io/service-name: db}}
addressType: IPv4
ports: [{name: sql, port: 13306}]
endpoints:
- addresses: [10.0.0.1]
  targetRef: {kind: Pod, name: p1}
- addresses: [10.0.0.2]
- addresses: [10.0.0.3]
- addresses: [10.0.0.9]
- addresses: [10.0.0.8]
  conditions: {ready: false}
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}, endpoints: [{addresses: [10.0.0.2]}]}
`, Options{})
	db, web := snap.Services[0], snap.Services[1]
	var bound []string
	for _, w := range db.Bound {
		bound = append(bound, w.Ref.String())
	}
	equal(t, "bound", bound, []string{"Pod default/p1", "Pod default/p2", "WorkloadEntry default/vm"})
	if len(db.Inline) != 1 || db.Inline[0].Addresses[0] != "10.0.0.9" || db.Inline[0].PortMap["sql"] != 13306 ||
		db.Inline[0].InlineOf.String() != "EndpointSlice default/db-1" || db.Inline[0].Capture != mesh.CaptureNone {
		t.Errorf("inline: %+v", db.Inline)
	}
	if len(web.Bound)+len(web.Inline) != 0 {
		t.Errorf("a Service with a selector took endpoints of a slice")
	}
}

// TestLegacyPeers is the table of ways to write peers (semantics L13, LV25 to LV36).
func TestLegacyPeers(t *testing.T) {
	for _, tc := range []struct {
		spec string
		want []mesh.PolicyPeer
	}{
		{"{peers: [{mtls: {}}]}", []mesh.PolicyPeer{{MTLS: true, Mode: mesh.ModeStrict}}},
		{"{peers: [{mtls: null}]}", []mesh.PolicyPeer{{MTLS: true, Mode: mesh.ModeStrict}}},
		{"{peers: [{mtls: }]}", []mesh.PolicyPeer{{MTLS: true, Mode: mesh.ModeStrict}}},
		{"{peers: [{mtls: {mode: null}}]}", []mesh.PolicyPeer{{MTLS: true, Mode: mesh.ModeStrict}}},
		{"{peers: [{mtls: {mode: STRICT}}]}", []mesh.PolicyPeer{{MTLS: true, Mode: mesh.ModeStrict}}},
		{"{peers: [{mtls: {mode: PERMISSIVE}}]}", []mesh.PolicyPeer{{MTLS: true, Mode: mesh.ModePermissive}}},
		{"{peers: [{mtls: {mode: 1}}]}", []mesh.PolicyPeer{{MTLS: true, Mode: mesh.ModePermissive}}},
		{"{peers: [{mtls: {mode: 0}}]}", []mesh.PolicyPeer{{MTLS: true, Mode: mesh.ModeStrict}}},
		{"{peers: [{mtls: {mode: PERMISSIVE}}, {mtls: {}}]}", []mesh.PolicyPeer{{MTLS: true, Mode: mesh.ModePermissive}, {MTLS: true, Mode: mesh.ModeStrict}}},
		{"{peers: [{jwt: {issuer: a}}, {mtls: {}}]}", []mesh.PolicyPeer{{}, {MTLS: true, Mode: mesh.ModeStrict}}},
		{"{peers: [{}]}", []mesh.PolicyPeer{{}}},
		{"{peers: [null]}", []mesh.PolicyPeer{{}}},
		{"{peers: []}", nil}, {"{peers: null}", nil}, {"{}", nil}, {"", nil},
		{"{peers: [{mtls: {allowTls: true}}]}", []mesh.PolicyPeer{{MTLS: true, Mode: mesh.ModeStrict, AllowTLS: true}}},
	} {
		snap := mustLoad(t, "apiVersion: authentication.istio.io/v1alpha1\nkind: MeshPolicy\nmetadata: {name: default, namespace: ignored}\nspec: "+tc.spec+"\n", Options{})
		p := snap.Policies[0]
		if snap.Dialect != mesh.Dialect14 || p.Ref != (mesh.Ref{Kind: mesh.KindMeshPolicy, Name: "default"}) {
			t.Errorf("%s: dialect %s, %s", tc.spec, snap.Dialect, p.Ref)
		}
		equal(t, tc.spec, p.Peers, tc.want)
	}
}

func TestPolicies(t *testing.T) {
	snap := mustLoad(t, polHead[:len(polHead)-len("  name: default\n  namespace: shop\n")]+`  name: cart
spec:
  targets:
  - name: cart
    ports: [{number: 80}, {name: http}]
  - name: till
  peers: [{mtls: }]
  peerIsOptional: true
  origins: [{jwt: {issuer: a, jwksUri: b}}]
---
`+polHead+"spec: {principalBinding: USE_ORIGIN}\n---\n"+strings.Replace(polHead, "shop", "bank", 1)+"spec: {principalBinding: USE_PEER}\n", Options{Dialect: mesh.Dialect12})
	p := snap.Policies[0]
	equal(t, "targets", p.Targets, []mesh.PolicyTarget{{Name: "cart", Ports: []mesh.PolicyPort{{Number: 80}, {Name: "http"}}}, {Name: "till"}})
	if !p.PeerIsOptional || !p.HasOrigins || p.Body["kind"] != "Policy" {
		t.Errorf("%+v", p)
	}
	equal(t, "order", []string{p.Ref.Name, snap.Policies[1].Ref.Namespace, snap.Policies[2].Ref.Namespace}, []string{"cart", "bank", "shop"})
	if snap.Policies[1].HasOrigins || !snap.Policies[2].HasOrigins {
		t.Error("principalBinding: USE_ORIGIN counts, USE_PEER does not")
	}
}

func TestRules(t *testing.T) {
	snap := mustLoad(t, drHead+`spec:
  host: cart
  exportTo: ["."]
  workloadSelector: {matchLabels: {app: till}}
  trafficPolicy:
    loadBalancer: {simple: ROUND_ROBIN}
    tls: {mode: MUTUAL, clientCertificate: a, privateKey: b, caCertificates: c, sni: d, subjectAltNames: [e], credentialName: f}
    portLevelSettings:
    - port: {number: 80}
      tls: {}
    - port: {number: 90}
      loadBalancer: {simple: PASSTHROUGH}
  subsets:
  - name: v1
    labels: {version: v1}
  - name: v2
    trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}
---
`+paHead+`spec:
  selector: {matchLabels: {app: cart}}
  mtls: {mode: STRICT}
  portLevelMtls: {9090: {mode: DISABLE}, 80: {}, "443": {mode: UNSET}}
`, Options{})
	dr := snap.DestinationRules[0]
	body := dr.Body
	dr.Body = nil
	equal(t, "rule", *dr, mesh.DestinationRule{
		Object: mesh.Object{Ref: mesh.Ref{Kind: mesh.KindDestinationRule, Namespace: "shop", Name: "d"}, Origin: mesh.Origin{File: "f.yaml", Line: 1, Col: 1}},
		Host:   "cart", ExportTo: []string{"."}, WorkloadSelector: map[string]string{"app": "till"},
		TrafficPolicy: &mesh.TrafficPolicy{LoadBalancer: "ROUND_ROBIN",
			TLS:   &mesh.ClientTLS{Mode: mesh.ClientMutual, ClientCertificate: "a", PrivateKey: "b", CACertificates: "c", SNI: "d", SubjectAltNames: []string{"e"}, CredentialName: "f"},
			Ports: []mesh.PortPolicy{{Number: 80, TLS: &mesh.ClientTLS{Mode: mesh.ClientDisable}}, {Number: 90, LoadBalancer: "PASSTHROUGH"}}},
		Subsets: []mesh.Subset{{Name: "v1", Labels: map[string]string{"version": "v1"}},
			{Name: "v2", TrafficPolicy: &mesh.TrafficPolicy{TLS: &mesh.ClientTLS{Mode: mesh.ClientIstioMutual}}}},
	})
	equal(t, "body", body["spec"].(mesh.Tree)["subsets"].([]any)[0], mesh.Tree{"name": "v1", "labels": mesh.Tree{"version": "v1"}})
	pa := snap.PeerAuthentications[0]
	equal(t, "ports", pa.Ports, []mesh.PortMode{{Port: 80}, {Port: 443}, {Port: 9090, Mode: mesh.ModeDisable}})
	if pa.Mode != mesh.ModeStrict || pa.Selector["app"] != "cart" {
		t.Errorf("%+v", pa)
	}
}

func TestRouting(t *testing.T) {
	snap := mustLoad(t, `apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: one}
spec:
  workloadSelector: {labels: {app: a}}
  egress:
  - hosts: ["./*", "istio-system/*"]
  - {port: {number: 443, name: https, protocol: HTTPS}, hosts: ["bank/pay.bank.svc.cluster.local"]}
  ingress:
  - {port: {number: 9080, name: http, protocol: HTTP}, defaultEndpoint: "127.0.0.1:8080", tls: {mode: SIMPLE}}
  outboundTrafficPolicy: {}
---
{apiVersion: networking.istio.io/v1, kind: Sidecar, metadata: {name: two}, spec: {outboundTrafficPolicy: {mode: ALLOW_ANY}}}
---
{apiVersion: networking.istio.io/v1, kind: Sidecar, metadata: {name: zero}, spec: {}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: v}
spec:
  hosts: [cart]
  gateways: [mesh, istio-system/in]
  exportTo: ["*"]
  http:
  - route:
    - destination: {host: cart, subset: v1, port: {number: 80}}
    - destination: {host: cart, subset: v2}
    - destination: {host: cart, subset: v2}
    mirror: {host: shadow}
    mirrors: [{destination: {host: other}}]
  tls: [{match: [{sniHosts: [a]}], route: [{destination: {host: t}}]}]
  tcp: [{route: [{destination: {host: u}}]}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: in, namespace: istio-system}
spec:
  selector: {istio: ingressgateway}
  servers:
  - {port: {number: 443, name: https, protocol: HTTPS}, hosts: ["*"], tls: {mode: MUTUAL}}
  - {port: {number: 8443, name: tls, protocol: TLS}, hosts: ["*"], tls: {credentialName: x}}
  - {port: {number: 80, name: http, protocol: HTTP}, hosts: [a, b]}
`, Options{})
	s := snap.Sidecars[0]
	equal(t, "egress", s.Egress, []mesh.EgressListener{{Hosts: []string{"./*", "istio-system/*"}}, {Port: 443, Hosts: []string{"bank/pay.bank.svc.cluster.local"}}})
	equal(t, "ingress", s.Ingress, []mesh.IngressListener{{Port: 9080, Name: "http", Protocol: "HTTP", HasTLS: true}})
	equal(t, "outbound", []mesh.OutboundPolicy{s.OutboundTrafficPolicy, snap.Sidecars[1].OutboundTrafficPolicy, snap.Sidecars[2].OutboundTrafficPolicy},
		[]mesh.OutboundPolicy{mesh.OutboundRegistryOnly, mesh.OutboundAllowAny, mesh.OutboundUnset})
	if snap.Sidecars[2].Egress != nil {
		t.Error("no egress must be nil")
	}
	var got []string
	for _, d := range snap.VirtualServices[0].Destinations {
		got = append(got, fmt.Sprintf("%s %s %d %s", d.Host, d.Subset, d.Port, d.Origin))
	}
	equal(t, "destinations", got, []string{"cart v1 80 f.yaml:26:21", "cart v2 0 f.yaml:27:21", "shadow  0 f.yaml:29:14",
		"other  0 f.yaml:30:30", "t  0 f.yaml:31:59", "u  0 f.yaml:32:33"})
	equal(t, "servers", snap.Gateways[0].Servers, []mesh.GatewayServer{{Port: 443, PortName: "https", Protocol: "HTTPS", Hosts: []string{"*"}, TLSMode: "MUTUAL"},
		{Port: 8443, PortName: "tls", Protocol: "TLS", Hosts: []string{"*"}, TLSMode: "PASSTHROUGH", CredentialName: "x"},
		{Port: 80, PortName: "http", Protocol: "HTTP", Hosts: []string{"a", "b"}}})
}

// TestRevision: where no ConfigMap is called istio, the one of a revision is the mesh's; one without a MeshConfig never is.
func TestRevision(t *testing.T) {
	snap := mustLoad(t, `{apiVersion: v1, kind: ConfigMap, metadata: {name: istio-1-22, namespace: istio-system}, data: {mesh: "trustDomain: td"}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: istio-ca-root-cert, namespace: shop}, data: {root-cert.pem: x}}
`, Options{})
	equal(t, "trust domain", snap.Config.TrustDomain, "td")
}

func TestMeshConfig(t *testing.T) {
	snap := mustLoad(t, `apiVersion: v1
kind: ConfigMap
metadata:
  name: istio
  namespace: istio-system
  annotations: {oarlock.dev/cluster-domain: corp.example., oarlock.dev/dialect: "1.3"}
data:
  mesh: |
    rootNamespace: root
    trustDomain: td1
    trustDomainAliases: [td2]
    caCertificates: [{pem: x, trustDomains: [td3]}, {trustDomains: [td4]}]
    enableAutoMtls: off
    outboundTrafficPolicy: {mode: REGISTRY_ONLY}
    defaultServiceExportTo: [a]
    defaultDestinationRuleExportTo: ["."]
    defaultVirtualServiceExportTo: [c]
    meshMTLS: {minProtocolVersion: TLSV1_3, cipherSuites: [d]}
    tlsDefaults: {ecdhCurves: [P-256]}
    protocolDetectionTimeout: 100ms
    accessLogFile: /dev/stdout
    accessLogEncoding: 1
    accessLogFormat: e
    ingressService: unread
  meshNetworks: "networks: {}"
---
{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {ports: [{port: 80}]}}
`, Options{})
	no := false
	equal(t, "config", snap.Config, mesh.Config{
		Origin: mesh.Origin{File: "f.yaml", Line: 1, Col: 1}, RootNamespace: "root", TrustDomain: "td1",
		TrustDomainAliases: []string{"td2"}, CATrustDomains: []string{"td3", "td4"}, ClusterDomain: "corp.example",
		EnableAutoMTLS: &no, OutboundTrafficPolicy: mesh.OutboundRegistryOnly, DefaultServiceExportTo: []string{"a"},
		DefaultDestinationRuleExportTo: []string{"."}, DefaultVirtualServiceExportTo: []string{"c"},
		MinProtocolVersion: "TLSV1_3", CipherSuites: []string{"d"}, TLSDefaults: mesh.Tree{"ecdhCurves": []any{"P-256"}},
		ProtocolDetectionTimeout: 100 * time.Millisecond, AccessLogFile: "/dev/stdout", AccessLogEncoding: "JSON", AccessLogFormat: "e"})
	if snap.Dialect != mesh.Dialect13 || snap.Services[0].Hostname != "a.default.svc.corp.example" {
		t.Errorf("%s %s", snap.Dialect, snap.Services[0].Hostname)
	}
	plain := mustLoad(t, mcHead+"data: {}\n", Options{})
	want := mesh.DefaultConfig()
	want.Origin = mesh.Origin{File: "f.yaml", Line: 1, Col: 1}
	equal(t, "nothing said", plain.Config, want)
}

func TestDialects(t *testing.T) {
	pa, pol := paHead+"spec: {}\n---\n", polHead+"spec: {}\n---\n"
	annotated := strings.Replace(mcHead, "  name: istio\n", "  name: istio\n  annotations: {oarlock.dev/dialect: \"1.1\"}\n", 1) + "---\n"
	legacyGone := "warning f.yaml:%d:1: read Policy shop/default: Policy has no effect in the current dialect\n" +
		"  write it as a PeerAuthentication, or read the mesh with --dialect 1.4\n"
	for _, tc := range []struct {
		name, text string
		wanted     mesh.Dialect
		dialect    mesh.Dialect
		problems   string
	}{
		{"nothing", "", 0, mesh.DialectCurrent, ""},
		{"legacy alone", pol, 0, mesh.Dialect14, ""},
		{"current alone", pa, 0, mesh.DialectCurrent, ""},
		{"both", pa + pol, 0, mesh.DialectCurrent, fmt.Sprintf(legacyGone, 8)},
		{"annotation", annotated + pol, 0, mesh.Dialect11, ""},
		{"annotation and a newer policy", annotated + pa, 0, mesh.Dialect11,
			"warning f.yaml:8:1: read PeerAuthentication shop/p: PeerAuthentication has no effect in dialect 1.1\n  read the mesh with --dialect current\n"},
		{"the user before the annotation", annotated + pol, mesh.DialectCurrent, mesh.DialectCurrent, fmt.Sprintf(legacyGone, 8)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			snap, problems := loadText(tc.text, Options{Dialect: tc.wanted})
			if snap.Dialect != tc.dialect || problems != tc.problems {
				t.Errorf("dialect %s, problems\n%swant %s\n%s", snap.Dialect, problems, tc.dialect, tc.problems)
			}
			if n := strings.Count(tc.text, "\nkind: Policy") + strings.Count(tc.text, "\nkind: PeerA"); len(snap.Policies)+len(snap.PeerAuthentications) != n {
				t.Errorf("policies without effect must stay in the snapshot")
			}
		})
	}
}

func TestAdmission(t *testing.T) {
	pol := func(kind, name, spec string) string {
		return "apiVersion: authentication.istio.io/v1alpha1\nkind: " + kind + "\nmetadata:\n  name: " + name + "\nspec: " + spec + "\n"
	}
	for _, tc := range []struct {
		name, text string
		warning    bool // and not an error
		want       string
	}{
		{"LV20", pol("MeshPolicy", "boo", "{}"), true, "4:9: read MeshPolicy boo: only the MeshPolicy called default counts; this one is ignored\n  call it default\n"},
		{"MeshPolicy with targets", pol("MeshPolicy", "default", "{targets: [{name: a}]}"), false, "5:17: read MeshPolicy default: a MeshPolicy has no targets\n  remove the targets, or write a Policy\n"},
		{"LV21", pol("Policy", "foo", "{}"), false, "4:9: read Policy default/foo: a Policy without targets must be called default\n  call it default, or name its targets\n"},
		{"LV22", pol("Policy", "default", "{targets: [{name: a}]}"), false, "5:17: read Policy default/default: a Policy called default is for its whole namespace and has no targets\n  give it another name, or remove the targets\n"},
		{"LV23", pol("Policy", "foo", "{targets: [{labels: {a: b}}]}"), true, "5:19: read Policy default/foo: spec.targets[0] selects by labels, which match nothing in 1.4\n  name the service\n"},
		{"LV24", pol("Policy", "foo", "{targets: [{name: foo.ns1.svc.cluster.local}]}"), false, "5:19: read Policy default/foo: spec.targets[0].name \"foo.ns1.svc.cluster.local\" is no short name\n  write the short name of a Service of this namespace\n"},
		{"issuers", pol("Policy", "default", "{peers: [{jwt: {issuer: a}}], origins: [{jwt: {issuer: a}}]}"), false, "5:54: read Policy default/default: the issuer \"a\" is there twice\n  name each issuer once\n"},
		{"MV21", paHead + "spec:\n  portLevelMtls: {80: {mode: STRICT}}\n", false, "7:19: read PeerAuthentication shop/p: spec.portLevelMtls needs a selector\n  add spec.selector.matchLabels: ports are those of selected workloads\n"},
		{"no ports", paHead + "spec:\n  selector: {matchLabels: {a: b}}\n  portLevelMtls: {}\n", false, "8:18: read PeerAuthentication shop/p: spec.portLevelMtls is empty\n  remove it, or name a port\n"},
		{"MV50", drHead + "spec: {host: a, exportTo: [\"~\"]}\n", false, "6:27: read DestinationRule shop/d: spec.exportTo: \"~\" is for a ServiceEntry alone\n  write \".\" to keep it in its namespace\n"},
		{"export to all and one", drHead + "spec: {host: a, exportTo: [\"*\", x]}\n", false, "6:27: read DestinationRule shop/d: spec.exportTo: \"*\" cannot stand beside others\n  remove the others\n"},
		{"export twice", drHead + "spec: {host: a, exportTo: [., shop]}\n", false, "6:27: read DestinationRule shop/d: spec.exportTo names \"shop\" twice\n  name each namespace once; \".\" is the own one\n"},
		{"selector exported", drHead + "spec: {host: a, workloadSelector: {matchLabels: {a: b}}, exportTo: [x]}\n", false, "6:68: read DestinationRule shop/d: a rule with a workloadSelector is for its own namespace alone\n  remove exportTo, or write `exportTo: [.]`\n"},
		{"empty trafficPolicy", drHead + "spec: {host: a, trafficPolicy: {}}\n", true, "6:32: read DestinationRule shop/d: the API server refuses an empty trafficPolicy\n  remove it\n"},
		{"LV74", drHead + "spec: {host: a, trafficPolicy: {portLevelSettings: [{port: {name: http}}]}}\n", true, "6:61: read DestinationRule shop/d: portLevelSettings selects port \"http\" by name, which matches nothing\n  write `number:` with the port of the Service\n"},
		{"no port", drHead + "spec: {host: a, subsets: [{name: b, trafficPolicy: {portLevelSettings: [{tls: {}}]}}]}\n", true, "6:74: read DestinationRule shop/d: portLevelSettings without a port matches nothing\n  write `port: {number: ...}`\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, lenient := range []bool{false, true} {
				snap, got := loadText(tc.text, Options{Lenient: lenient})
				severity, taken := "error", 0
				if lenient || tc.warning {
					severity, taken = "warning", 1
				}
				if want := severity + " f.yaml:" + tc.want; got != want {
					t.Errorf("lenient %v: got\n%swant\n%s", lenient, got, want)
				}
				if n := len(snap.Policies) + len(snap.PeerAuthentications) + len(snap.DestinationRules); n != taken || snap.Documents != taken {
					t.Errorf("lenient %v: %d objects, %d documents", lenient, n, snap.Documents)
				}
			}
		})
	}
	// What only the other generation refuses.
	mustLoad(t, drHead+"spec: {host: a, exportTo: [., \"*\"], trafficPolicy: {portLevelSettings: [{port: {name: http}}]}}\n", Options{Dialect: mesh.Dialect13})
	mustLoad(t, "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: a}\nspec: {hosts: [a.com], exportTo: [\"~\"]}\n", Options{})
}
