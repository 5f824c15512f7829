package difftest

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"sigs.k8s.io/yaml"
)

// generator makes one random mesh. Names come from small pools, so that objects meet.
type generator struct {
	*rand.Rand
	docs  []Doc
	root  string
	kube  bool // Kubernetes Services, not only ServiceEntries
	timed bool // objects have creation times
	ips   int

	hosts []string // hosts of services so far
	seen  map[string]bool

	lastRule Doc
}

// Generate makes the mesh with a number out of a seed. The same two numbers give the same mesh.
func Generate(seed, number uint64) []Doc {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, number)), root: "istio-system", seen: map[string]bool{}}
	g.kube = g.chance(25)
	g.timed = g.chance(80)
	if g.chance(10) {
		g.root = g.pick("a", "roots")
	}
	g.meshConfig()
	for _, ns := range g.namespaces() {
		g.add("v1", "Namespace", "", ns, nil)
	}
	g.pods()
	g.services()
	g.times(6, g.peerAuthentication)
	g.times(7, g.destinationRule)
	if g.chance(45) {
		g.times(3, g.sidecar)
		if g.chance(25) {
			g.times(2, g.virtualService)
		}
	}
	return g.docs
}

func (g *generator) chance(percent int) bool { return g.IntN(100) < percent }

func (g *generator) pick(from ...string) string { return from[g.IntN(len(from))] }

func (g *generator) times(most int, f func()) {
	for range g.IntN(most + 1) {
		f()
	}
}

func (g *generator) namespaces() []string {
	out := []string{"a", "b", "c"}
	if g.root != "a" {
		out = append(out, g.root)
	}
	return out
}

func (g *generator) namespace() string { return g.pick(g.namespaces()...) }

// add appends an object, unless one of the same kind and name is there already.
func (g *generator) add(apiVersion, kind, ns, name string, parts map[string]any) bool {
	key := kind + "/" + ns + "/" + name
	if g.seen[key] {
		return false
	}
	g.seen[key] = true
	meta := map[string]any{"name": name}
	if ns != "" {
		meta["namespace"] = ns
	}
	if g.timed && g.chance(80) {
		meta["creationTimestamp"] = time.Date(2026, 1, 1+g.IntN(4), 0, 0, 0, 0, time.UTC).Format(time.RFC3339)
	}
	d := Doc{"apiVersion": apiVersion, "kind": kind, "metadata": meta}
	for k, v := range parts {
		if m := object(v); m != nil && k == "metadata" {
			for mk, mv := range m {
				meta[mk] = mv
			}
			continue
		}
		d[k] = v
	}
	g.docs = append(g.docs, d)
	return true
}

func (g *generator) address() string {
	g.ips++
	return fmt.Sprintf("10.1.%d.%d", g.ips/200, g.ips%200+1)
}

func (g *generator) meshConfig() {
	m := map[string]any{}
	if g.root != "istio-system" {
		m["rootNamespace"] = g.root
	}
	if g.chance(15) {
		m["enableAutoMtls"] = g.chance(20)
	}
	if g.chance(20) {
		m["defaultDestinationRuleExportTo"] = g.exportDefault()
	}
	if g.chance(15) {
		m["defaultServiceExportTo"] = g.exportDefault()
	}
	if g.chance(15) {
		m["outboundTrafficPolicy"] = map[string]any{"mode": g.pick("REGISTRY_ONLY", "ALLOW_ANY")}
	}
	if g.chance(15) {
		m["trustDomain"] = "td.example"
	}
	if g.chance(10) {
		m["trustDomainAliases"] = []any{"td2.example"}
	}
	if len(m) == 0 {
		return
	}
	y, err := yaml.Marshal(m)
	if err != nil {
		panic(err)
	}
	// oarlock finds the ConfigMap by its name, wherever it is: Istio reads it in the namespace that it runs in.
	g.add("v1", "ConfigMap", "istio-system", "istio", map[string]any{"data": map[string]any{"mesh": string(y)}})
}

func (g *generator) exportDefault() []any {
	switch g.IntN(4) {
	case 0:
		return []any{"."}
	case 1:
		return []any{"*"}
	case 2:
		return []any{g.namespace()}
	}
	return []any{".", "b"}
}

// exportTo gives what admission lets pass; nil for none.
func (g *generator) exportTo(own string) []any {
	switch n := g.IntN(100); {
	case n < 50:
		return nil
	case n < 60:
		return []any{"*"}
	case n < 70:
		return []any{"."}
	case n < 76:
		return []any{own}
	}
	out := []any{}
	for _, ns := range g.namespaces() {
		if ns != own && g.chance(50) {
			out = append(out, ns)
		}
	}
	if g.chance(40) || len(out) == 0 {
		out = append(out, g.pick(".", own))
	}
	g.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

func (g *generator) workloadLabels() map[string]any {
	return map[string]any{"app": g.pick("foo", "bar"), "v": g.pick("1", "2")}
}

// selector is part of what workloadLabels gives.
func (g *generator) selector() map[string]any {
	out := g.workloadLabels()
	if g.chance(60) {
		delete(out, g.pick("app", "v"))
	}
	return out
}

func (g *generator) pods() {
	for i := range 2 + g.IntN(4) {
		ns := g.namespace()
		l := g.workloadLabels()
		containers := []any{map[string]any{
			"name": "app", "image": "app",
			"ports": []any{
				map[string]any{"name": "web", "containerPort": 8080},
				map[string]any{"name": g.pick("tcp-db", "db"), "containerPort": g.pick2(9090, 9091)},
			},
		}}
		if g.chance(75) {
			containers = append(containers, map[string]any{"name": "istio-proxy", "image": "proxyv2"})
			l["security.istio.io/tlsMode"] = g.weighted("istio", 85, "disabled", "")
		} else if g.chance(15) {
			l["security.istio.io/tlsMode"] = "istio"
		}
		g.add("v1", "Pod", ns, fmt.Sprintf("pod%d", i), map[string]any{
			"metadata": map[string]any{"labels": l},
			"spec":     map[string]any{"serviceAccountName": g.pick("sa1", "sa2"), "containers": containers},
			"status": map[string]any{
				"podIP": g.address(), "phase": "Running",
				"conditions": []any{map[string]any{"type": "Ready", "status": "True"}},
			},
		})
	}
}

func (g *generator) pick2(a, b int) int {
	if g.chance(70) {
		return a
	}
	return b
}

// weighted gives the first word with a chance, else one of the others.
func (g *generator) weighted(word string, percent int, others ...string) string {
	if g.chance(percent) {
		return word
	}
	return g.pick(others...)
}

func (g *generator) peerAuthentication() {
	ns := g.namespace()
	if g.chance(25) {
		ns = g.root
	}
	spec := map[string]any{}
	if mtls := g.mtls(); mtls != nil {
		spec["mtls"] = mtls
	}
	switch {
	case g.chance(55):
		spec["selector"] = map[string]any{"matchLabels": g.selector()}
		if g.chance(45) {
			ports := map[string]any{}
			for _, p := range []string{"80", "90", "8080", "9090"} {
				if g.chance(35) {
					m := g.mtls()
					if m == nil {
						m = map[string]any{}
					}
					ports[p] = m
				}
			}
			if len(ports) > 0 {
				spec["portLevelMtls"] = ports
			}
		}
	case g.chance(10):
		spec["selector"] = map[string]any{}
	}
	g.add("security.istio.io/v1", "PeerAuthentication", ns, g.name(), map[string]any{"spec": spec})
}

// mtls is nil where the block is left out.
func (g *generator) mtls() map[string]any {
	switch n := g.IntN(100); {
	case n < 12:
		return nil
	case n < 18:
		return map[string]any{}
	case n < 28:
		return map[string]any{"mode": "UNSET"}
	case n < 55:
		return map[string]any{"mode": "STRICT"}
	case n < 70:
		return map[string]any{"mode": "PERMISSIVE"}
	}
	return map[string]any{"mode": "DISABLE"}
}

func (g *generator) name() string { return strings.Repeat(g.pick("a", "k", "z"), 1+g.IntN(2)) }

func (g *generator) sidecar() {
	ns := g.namespace()
	spec := map[string]any{}
	if ns != g.root && g.chance(35) {
		spec["workloadSelector"] = map[string]any{"labels": g.selector()}
	}
	if g.chance(88) {
		var hosts []any
		for range 1 + g.IntN(3) {
			hosts = append(hosts, g.egressHost())
		}
		spec["egress"] = []any{map[string]any{"hosts": hosts}}
		if g.chance(25) {
			// A listener with a port imports that port alone; it stands before the one for all ports.
			port := map[string]any{"number": g.pick2(80, 90), "protocol": g.pick("HTTP", "TCP", "HTTP_PROXY"), "name": "own"}
			own := map[string]any{"port": port, "hosts": []any{g.egressHost()}}
			spec["egress"] = []any{own, map[string]any{"hosts": hosts}}
		}
	}
	if spec["egress"] == nil || g.chance(20) {
		policy := map[string]any{} // REGISTRY_ONLY, as the enum's zero value
		if m := g.pick("REGISTRY_ONLY", "ALLOW_ANY", ""); m != "" {
			policy["mode"] = m
		}
		spec["outboundTrafficPolicy"] = policy
	}
	g.add("networking.istio.io/v1", "Sidecar", ns, g.name(), map[string]any{"spec": spec})
}

// virtualService leads from a host to a service: a Sidecar that imports the host imports the service as well.
func (g *generator) virtualService() {
	ns := g.namespace()
	to := map[string]any{"host": g.anyHost()}
	if name, rest, _ := strings.Cut(g.anyHost(), "."); strings.HasPrefix(rest, ns+".svc") && g.chance(50) {
		to["host"] = name
	}
	if g.chance(30) {
		to["port"] = map[string]any{"number": 80}
	}
	spec := map[string]any{
		"hosts": []any{g.pick(g.anyHost(), "shop.example.com", "shop")},
		"http":  []any{map[string]any{"route": []any{map[string]any{"destination": to}}}},
	}
	if e := g.exportTo(ns); e != nil {
		spec["exportTo"] = e
	}
	if g.chance(15) {
		spec["gateways"] = []any{g.pick("mesh", "gw")}
	}
	g.add("networking.istio.io/v1", "VirtualService", ns, g.name(), map[string]any{"spec": spec})
}

func (g *generator) egressHost() string {
	ns := g.pick("*", ".", "~", g.namespace(), g.namespace(), "~"+g.namespace())
	if ns == "~" {
		return "~/*"
	}
	host := "*"
	switch g.IntN(4) {
	case 0:
		host = g.anyHost()
	case 1:
		host = g.pick("*.local", "*.example.com", "*.a.svc.cluster.local", "*.b.svc.cluster.local")
	}
	return ns + "/" + host
}

func (g *generator) anyHost() string {
	if len(g.hosts) == 0 {
		return "nobody.example.com"
	}
	return g.hosts[g.IntN(len(g.hosts))]
}
