package graph

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/resolve"
)

var update = flag.Bool("update", false, "rewrite testdata from what the code gives")

// object names an object and says that it stands at a line of mesh.yaml.
func object(kind mesh.Kind, ns, name string, line int) mesh.Object {
	return mesh.Object{Ref: mesh.Ref{Kind: kind, Namespace: ns, Name: name}, Origin: mesh.Origin{File: "mesh.yaml", Line: line, Col: 1}}
}

func workload(ns, name string, calls ...mesh.Call) *mesh.Workload {
	return &mesh.Workload{
		Object: object(mesh.KindDeployment, ns, name, 0), Labels: map[string]string{"app": name}, ServiceAccount: "default",
		Replicas: 1, Capture: mesh.CaptureSidecar, TLSMode: mesh.TLSModeIstio, Calls: calls,
	}
}

func service(ns, name string, ports ...uint32) *mesh.Service {
	s := &mesh.Service{
		Object: object(mesh.KindService, ns, name, 0), Hostname: name + "." + ns + ".svc.cluster.local",
		Selector: map[string]string{"app": name},
	}
	for _, p := range ports {
		s.Ports = append(s.Ports, mesh.Port{Name: "http", Number: p})
	}
	return s
}

func external(ns, host string, port uint32) *mesh.Service {
	return &mesh.Service{
		Object: object(mesh.KindServiceEntry, ns, host, 0), Hostname: host, External: true, Resolution: mesh.ResolutionDNS,
		Ports: []mesh.Port{{Name: "tls", Number: port, Declared: "TLS"}},
	}
}

func call(host string, port uint32, line int) mesh.Call {
	return mesh.Call{Host: host, Port: port, Source: "annotation oarlock.dev/calls", Origin: mesh.Origin{File: "mesh.yaml", Line: line, Col: 7}}
}

// shop is a mesh with every sort of edge: web and a gateway call api, api calls a database outside and a host that
// nobody declared, and a Sidecar lets web see log. The namespace shop is STRICT; old has no sidecar.
func shop() *mesh.Snapshot {
	old := workload("shop", "old", call("api", 8080, 31))
	old.Capture, old.TLSMode = mesh.CaptureNone, "disabled"
	gw := workload("edge", "front")
	gw.Labels = map[string]string{"istio": "ingressgateway"}
	s := &mesh.Snapshot{
		Version: "v1", Dialect: mesh.DialectCurrent, Config: mesh.DefaultConfig(),
		Namespaces: []*mesh.Namespace{
			{Object: object(mesh.KindNamespace, "", "edge", 1)},
			{Object: object(mesh.KindNamespace, "", "shop", 5)},
		},
		Services: []*mesh.Service{
			service("shop", "api", 8080, 9090), external("shop", "db.example.com", 5432), service("shop", "log", 80), service("shop", "web", 80),
		},
		Workloads: []*mesh.Workload{
			gw,
			workload("shop", "api", call("db.example.com", 5432, 11), call("pay.example.org", 443, 12), call("nobody", 0, 13)),
			workload("shop", "log"),
			old,
			workload("shop", "web", call("api.shop", 8080, 21), call("api", 0, 22)),
		},
		PeerAuthentications: []*mesh.PeerAuthentication{{Object: object(mesh.KindPeerAuthentication, "shop", "default", 40), Mode: mesh.ModeStrict}},
		Sidecars: []*mesh.Sidecar{{
			Object: object(mesh.KindSidecar, "shop", "web", 50), Selector: map[string]string{"app": "web"},
			Egress: []mesh.EgressListener{{Hosts: []string{"./api.shop.svc.cluster.local", "./log.shop.svc.cluster.local", "./web.shop.svc.cluster.local", "istio-system/*"}}},
		}},
		Gateways: []*mesh.Gateway{{Object: object(mesh.KindGateway, "edge", "public", 60), Selector: gw.Labels}},
		VirtualServices: []*mesh.VirtualService{
			{Object: object(mesh.KindVirtualService, "shop", "inside", 70), Hosts: []string{"api"}, Destinations: []mesh.RouteDestination{{Host: "log"}}},
			{Object: object(mesh.KindVirtualService, "shop", "shop", 75), Hosts: []string{"shop.example.com"}, Gateways: []string{"edge/public", "mesh"},
				Destinations: []mesh.RouteDestination{{Host: "web", Port: 80}}},
			{Object: object(mesh.KindVirtualService, "shop", "stray", 80), Gateways: []string{"missing"},
				Destinations: []mesh.RouteDestination{{Host: "api", Port: 8080, Subset: "v1"}}},
		},
	}
	return s
}

func TestGolden(t *testing.T) {
	g := Build(resolve.New(shop()))
	for name, write := range map[string]func(io.Writer) error{
		"shop.dot.txt": g.WriteDOT, "shop.mermaid.txt": g.WriteMermaid, "shop.json.txt": g.WriteJSON,
	} {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(b.Bytes(), want) {
			t.Errorf("%s differs (go test ./graph -update rewrites it):\n%s", file, b.String())
		}
	}
}

// edges lists a graph's edges as FROM -> TO:PORT STATUS SOURCES.
func edges(g *Graph) []string {
	var out []string
	for i := range g.Edges {
		e := &g.Edges[i]
		line := g.Node(e.From).Name + " -> " + g.Node(e.To).Name + " " + e.Label()
		for _, s := range e.Sources {
			line += " " + s.Kind.String()
		}
		out = append(out, line)
	}
	return out
}

func TestEdges(t *testing.T) {
	got := edges(Build(resolve.New(shop())))
	want := []string{
		"missing -> api 8080 (v1) route",
		"front -> web 80 AUTO route",
		"api -> db.example.com 5432 OK call",
		"api -> nobody  call",
		"api -> pay.example.org 443 OK call",
		"old -> api 8080 CONFLICT call",
		"web -> api 8080 AUTO call call sidecar-egress",
		"web -> api 9090 AUTO call sidecar-egress",
		"web -> log 80 AUTO sidecar-egress",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestEveryLockIsUnknown(t *testing.T) {
	g := Build(resolve.New(shop()))
	for _, e := range g.Edges {
		if e.Lock != LockUnknown || e.Reason == "" {
			t.Errorf("%s -> %s: lock %s, reason %q; want unknown with a reason", e.From, e.To, e.Lock, e.Reason)
		}
	}
	var zero Edge
	if zero.Lock.String() != "unknown" {
		t.Errorf("the zero lock is %s: an edge that nobody looked at must not seem open", zero.Lock)
	}
}

func TestUnknownHasAColourOfItsOwn(t *testing.T) {
	seen := map[string]Lock{}
	for l := LockUnknown; l <= LockBroken; l++ {
		if other, ok := seen[lockColour(l)]; ok {
			t.Errorf("%s and %s have one colour", l, other)
		}
		seen[lockColour(l)] = l
	}
}

func TestNoDeclaredEdges(t *testing.T) {
	s := shop()
	s.Sidecars, s.VirtualServices = nil, nil
	for _, w := range s.Workloads {
		w.Calls = nil
	}
	g := Build(resolve.New(s))
	if len(g.Edges) != 0 {
		t.Errorf("edges out of nothing: %v", edges(g))
	}
	if len(g.Nodes) == 0 {
		t.Error("nodes need no edge")
	}
	if n := g.Node("service/api.shop.svc.cluster.local"); n == nil || !slices.Equal(n.Endpoints, []string{"workload/shop/api.Deployment"}) {
		t.Errorf("service api is %+v, want its workload behind it", n)
	}
}

func TestGatewayWorkloadIsTheCaller(t *testing.T) {
	g := Build(resolve.New(shop()))
	front := g.Node("workload/edge/front.Deployment")
	if front == nil || !front.Gateway {
		t.Fatalf("front is %+v, want a gateway", front)
	}
	if n := g.Node("ingress/edge/public"); n != nil {
		t.Errorf("there is an ingress node %+v beside the gateway's workload", n)
	}
	stray := g.Node("ingress/shop/missing")
	if stray == nil || stray.Kind != NodeIngress {
		t.Fatalf("the gateway that is not declared is %+v, want an ingress", stray)
	}
	for _, e := range g.Edges {
		if e.From == stray.ID && (e.Declared != nil || !strings.Contains(e.Reason, "shop/missing is not declared")) {
			t.Errorf("edge of an unknown gateway: %+v, want no verdict and the reason", e)
		}
	}
}

// TestCalls: who says that a call is made counts, and what a Sidecar shows, traffic, or a gateway that nobody is behind does not.
func TestCalls(t *testing.T) {
	s := shop()
	s.VirtualServices[1].Destinations = append(s.VirtualServices[1].Destinations, mesh.RouteDestination{Host: "gone"})
	g := Build(resolve.New(s))
	g.Edges = append(g.Edges, Edge{From: "workload/shop/web.Deployment", To: "service/log.shop.svc.cluster.local", Port: 81, Sources: []Source{{Kind: SourceTraffic}}})
	var got []string
	for _, c := range g.Calls() {
		got = append(got, fmt.Sprintf("%s %s@%s:%d %s", c.Client, c.Host, c.Namespace, c.Port, c.Subset))
	}
	want := []string{
		"Deployment edge/front gone@shop:0 ",
		"Deployment edge/front web.shop.svc.cluster.local@shop:80 ",
		"Deployment shop/api db.example.com@shop:5432 ",
		"Deployment shop/api nobody@shop:0 ",
		"Deployment shop/api pay.example.org@shop:443 ",
		"Deployment shop/old api.shop.svc.cluster.local@shop:8080 ",
		"Deployment shop/web api.shop.svc.cluster.local@shop:8080 ", // web says it twice
		"Deployment shop/web api.shop.svc.cluster.local@shop:8080 ",
		"Deployment shop/web api.shop.svc.cluster.local@shop:9090 ",
	}
	if !slices.Equal(got, want) {
		t.Errorf("calls:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestSidecarOfRootNamespaceDeclaresNothing(t *testing.T) {
	s := shop()
	s.Config.RootNamespace = "shop"
	s.Sidecars[0].Selector = nil
	for _, w := range s.Workloads {
		w.Calls = nil
	}
	for _, line := range edges(Build(resolve.New(s))) {
		if strings.Contains(line, "sidecar-egress") {
			t.Errorf("the mesh's default Sidecar declares %s", line)
		}
	}
}

func TestSelectedSidecarBeatsTheNamespaces(t *testing.T) {
	s := shop()
	general := &mesh.Sidecar{Object: object(mesh.KindSidecar, "shop", "all", 1), Egress: []mesh.EgressListener{{Hosts: []string{"./log.shop.svc.cluster.local"}}}}
	s.Sidecars = append([]*mesh.Sidecar{general}, s.Sidecars...)
	s.Sidecars[1].Egress = []mesh.EgressListener{{Hosts: []string{"*/api.shop.svc.cluster.local"}}}
	for _, w := range s.Workloads {
		w.Calls = nil
	}
	s.VirtualServices = nil
	got := edges(Build(resolve.New(s)))
	want := []string{
		"api -> log 80 AUTO sidecar-egress", // from the namespace's
		"web -> api 8080 AUTO sidecar-egress",
		"web -> api 9090 AUTO sidecar-egress",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestIn(t *testing.T) {
	all := Build(resolve.New(shop()))
	edge := all.In("edge")
	if got := edges(edge); !slices.Equal(got, []string{"front -> web 80 AUTO route"}) {
		t.Errorf("edges that touch edge: %v", got)
	}
	var ids []string
	for _, n := range edge.Nodes {
		ids = append(ids, n.ID)
	}
	want := []string{"namespace/edge", "namespace/shop", "workload/edge/front.Deployment", "service/web.shop.svc.cluster.local"}
	if !slices.Equal(ids, want) {
		t.Errorf("nodes %v, want %v", ids, want)
	}
}

func TestQuoting(t *testing.T) {
	if got := dotQuote("a\"b\\c\nd"); got != `"a\"b\\c\nd"` {
		t.Errorf("dotQuote gives %s", got)
	}
	if got := mermaidQuote("a\"b\nc"); got != `"a#quot;b c"` {
		t.Errorf("mermaidQuote gives %s", got)
	}
	if got := mermaidQuote("<b>"); got != `"#lt;b#gt;"` {
		t.Errorf("mermaidQuote gives %s", got)
	}
	// What a terminal would obey, or what would turn a name round, is shown and not sent.
	for name, quote := range map[string]func(string) string{"dot": dotQuote, "mermaid": mermaidQuote} {
		if got := quote("a\x1b[2J\u202eb\u009bc"); strings.ContainsAny(got, "\x1b\u202e\u009b") || !strings.Contains(got, "u001b[2J") {
			t.Errorf("%s gives %q", name, got)
		}
	}
}

// TestOrder builds the graph from a snapshot whose maps are walked anew each time.
func TestOrder(t *testing.T) {
	var first bytes.Buffer
	if err := Build(resolve.New(shop())).WriteJSON(&first); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		var b bytes.Buffer
		if err := Build(resolve.New(shop())).WriteJSON(&b); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(b.Bytes(), first.Bytes()) {
			t.Fatal("two graphs of one mesh differ")
		}
	}
}
