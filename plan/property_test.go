package plan

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/oarlock/oarlock/api"
	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/meshtest"
	"github.com/oarlock/oarlock/resolve"
)

// randomYAML writes a small mesh in which the things that decide meet.
type randomYAML struct {
	rng *rand.Rand
	b   strings.Builder
	d   mesh.Dialect
}

func (g *randomYAML) doc(format string, args ...any) {
	fmt.Fprintf(&g.b, format+"\n---\n", args...)
}

func (g *randomYAML) one(in int) bool { return g.rng.IntN(in) == 0 }

func (g *randomYAML) pick(list ...string) string { return list[g.rng.IntN(len(list))] }

var randomNamespaces = []string{"a", "b", "istio-system"}

func (g *randomYAML) mesh() string {
	for _, ns := range randomNamespaces {
		g.doc("apiVersion: v1\nkind: Namespace\nmetadata: {name: %s, labels: {istio-injection: %s}}", ns, g.pick("enabled", "enabled", "disabled"))
		for _, app := range []string{"foo", "bar"} {
			if !g.one(6) {
				ports := "{name: http, port: 80}"
				if !g.one(4) {
					ports += ", {name: tcp-x, port: 90}"
				}
				if g.one(3) {
					ports += ", {name: dns, port: 53, protocol: UDP}"
				}
				export := ""
				if g.one(6) {
					export = `, annotations: {networking.istio.io/exportTo: "."}`
				}
				g.doc("apiVersion: v1\nkind: Service\nmetadata: {name: %s, namespace: %s%s}\nspec: {selector: {app: %s}, ports: [%s]}", app, ns, export, app, ports)
			}
			for _, v := range []string{"v1", "v2"} {
				if !g.one(4) {
					g.doc("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: %s-%s, namespace: %s}\nspec:\n  selector: {matchLabels: {app: %s, version: %s}}\n  template:\n    metadata: {labels: {app: %s, version: %s}, annotations: {sidecar.istio.io/inject: %q}}\n    spec: {containers: [{name: c, image: i}]}",
						app, v, ns, app, v, app, v, g.pick("true", "true", "true", "false"))
				}
			}
		}
		g.policies(ns)
		if g.one(2) {
			g.rule(ns)
		}
	}
	if g.one(3) {
		g.doc("apiVersion: networking.istio.io/v1alpha3\nkind: ServiceEntry\nmetadata: {name: ext, namespace: a}\nspec: {hosts: [x.example.com], ports: [{number: 443, name: tcp, protocol: TCP}], resolution: DNS, location: MESH_EXTERNAL}")
	}
	g.doc("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata: {mesh: \"enableAutoMtls: %s\\noutboundTrafficPolicy: {mode: %s}\\n\"}",
		g.pick("true", "true", "false"), g.pick("ALLOW_ANY", "REGISTRY_ONLY"))
	return g.b.String()
}

func (g *randomYAML) policies(ns string) {
	switch {
	case g.one(2):
	case g.d.Legacy() && ns == "istio-system":
		g.doc("apiVersion: authentication.istio.io/v1alpha1\nkind: MeshPolicy\nmetadata: {name: default}\nspec: {peers: [{mtls: {mode: %s}}]}", g.pick("STRICT", "PERMISSIVE"))
	case g.d.Legacy():
		g.doc("apiVersion: authentication.istio.io/v1alpha1\nkind: Policy\nmetadata: {name: default, namespace: %s}\nspec: {peers: [%s]}", ns, g.pick("{mtls: {mode: STRICT}}", "{mtls: {mode: PERMISSIVE}}", ""))
	default:
		g.doc("apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: default, namespace: %s}\nspec: {mtls: {mode: %s}}", ns, g.pick("STRICT", "PERMISSIVE", "DISABLE"))
		if g.one(3) {
			g.doc("apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: foo, namespace: %s}\nspec: {selector: {matchLabels: {app: foo}}, mtls: {mode: %s}, portLevelMtls: {\"90\": {mode: %s}}}",
				ns, g.pick("STRICT", "UNSET"), g.pick("STRICT", "DISABLE"))
		}
	}
}

func (g *randomYAML) rule(ns string) {
	host := g.pick("foo", "bar", `"*.local"`, "foo.a.svc.cluster.local", `"*.b.svc.cluster.local"`)
	g.doc("apiVersion: networking.istio.io/v1alpha3\nkind: DestinationRule\nmetadata: {name: rule, namespace: %s}\nspec: {host: %s, exportTo: [%q], trafficPolicy: {tls: {mode: %s}}}",
		ns, host, g.pick("*", "*", "."), g.pick("DISABLE", "ISTIO_MUTUAL", "SIMPLE"))
}

// forPairs runs a check on pairs of meshes of several dialects.
func forPairs(t *testing.T, n int, check func(t *testing.T, before, after *mesh.Snapshot)) {
	t.Helper()
	for _, d := range []mesh.Dialect{mesh.Dialect11, mesh.Dialect14, mesh.DialectCurrent} {
		for seed := range uint64(n) {
			t.Run(fmt.Sprintf("%s/%d", d, seed), func(t *testing.T) {
				quiet := &silent{TB: t}
				read := func(stream uint64) *mesh.Snapshot {
					g := &randomYAML{rng: rand.New(rand.NewPCG(seed, stream)), d: d}
					return meshtest.Snapshot(quiet, g.mesh(), d)
				}
				check(t, read(1), read(2))
			})
		}
	}
}

// silent keeps warnings about the random meshes out of the log.
type silent struct{ testing.TB }

func (silent) Logf(string, ...any) {}

// effectKey is what an effect is about.
type effectKey struct {
	client, host string
	port         uint32
	kind         string
}

// everyCall lists every client and every port of both meshes.
func everyCall(before, after *mesh.Snapshot) []Call {
	var out []Call
	seen := map[Call]bool{}
	for _, s := range []*mesh.Snapshot{before, after} {
		clients := []mesh.Ref{{}}
		for _, w := range s.Workloads {
			clients = append(clients, w.Ref)
		}
		for _, of := range []*mesh.Snapshot{before, after} {
			for _, service := range of.Services {
				for _, p := range service.Ports {
					for _, c := range clients {
						call := Call{Client: c, Host: service.Hostname, Port: p.Number}
						if !seen[call] {
							seen[call] = true
							out = append(out, call)
						}
					}
				}
			}
		}
	}
	return out
}

// one asks for a verdict without tables and classes.
func one(r *resolve.Resolver, c Call) (v resolve.Verdict, client, port bool) {
	var who resolve.Client
	client = c.Client.IsZero()
	for _, w := range r.Snapshot().Workloads {
		if w.Ref == c.Client {
			who.Workload, client = w, true
		}
	}
	for _, s := range r.Snapshot().Services {
		if s.Hostname == c.Host && s.Port(c.Port) != nil {
			return r.Resolve(who, resolve.Target{Service: s, Port: c.Port, UDP: s.Port(c.Port).UDP()}), client, true
		}
	}
	return v, client, false
}

// empty says whether the service of a call selects workloads of which there are none.
func empty(r *resolve.Resolver, c Call) bool {
	for _, s := range r.Snapshot().Services {
		if s.Hostname == c.Host && s.Port(c.Port) != nil {
			v := r.Resolve(resolve.Client{}, resolve.Target{Service: s, Port: c.Port, UDP: s.Port(c.Port).UDP()})
			return len(s.Selector) > 0 && v.Endpoints == 0
		}
	}
	return false
}

// works says whether a client reaches all, some (half) or none of a port.
func works(v resolve.Verdict) float64 {
	switch {
	case v.Status != resolve.StatusConflict:
		return 1
	case v.Wire == resolve.WireMixed:
		return 0.5
	}
	return 0
}

// expected is the kind of an effect, said in another way than in judge.
func expected(b, a resolve.Verdict, had, has bool) string {
	hidden := map[resolve.Wire]float64{resolve.WireMTLS: 1, resolve.WireTLS: 1, resolve.WireMixed: 0.5}
	if had && !has {
		if works(b) > 0 {
			return "breaks"
		}
		return ""
	}
	if !had {
		return "other"
	}
	if works(b) != works(a) {
		if works(b) > works(a) {
			return "breaks"
		}
		return "mends"
	}
	told := func(w resolve.Wire) bool { return w != resolve.WireRefused && w != resolve.WireUnknown }
	if told(b.Wire) && told(a.Wire) && hidden[b.Wire] != hidden[a.Wire] {
		if hidden[b.Wire] > hidden[a.Wire] {
			return "opens"
		}
		return "locks"
	}
	b.Status, a.Status = max(b.Status, resolve.StatusAuto), max(a.Status, resolve.StatusAuto)
	if b.Status != a.Status || b.Wire != a.Wire || b.Server != a.Server {
		return "other"
	}
	return ""
}

// bruteForce asks both meshes for every pair. Clients that are new are told apart: they count where they are known to call.
func bruteForce(before, after *resolve.Resolver) (stay, fresh map[effectKey]bool) {
	stay, fresh = map[effectKey]bool{}, map[effectKey]bool{}
	for _, c := range everyCall(before.Snapshot(), after.Snapshot()) {
		b, was, had := one(before, c)
		a, is, has := one(after, c)
		if !is {
			continue
		}
		kind := expected(b, a, had && was, has)
		if lost, is := empty(before, c), empty(after, c); had && was && has && lost != is {
			if is && works(b) > 0 {
				kind = "breaks"
			}
			if lost && works(a) > 0 {
				kind = "mends"
			}
		}
		if kind == "" || !has && !was {
			continue
		}
		word := "outside"
		if !c.Client.IsZero() {
			word = c.Client.Name + "." + c.Client.Namespace
		}
		key := effectKey{word, c.Host, c.Port, kind}
		if was {
			stay[key] = true
		} else {
			fresh[key] = true
		}
	}
	return stay, fresh
}

// TestEqualsBruteForce: with every call declared, each client has an effect of its own, and they are those that asking
// for every pair gives.
func TestEqualsBruteForce(t *testing.T) {
	effects := 0
	forPairs(t, 60, func(t *testing.T, b, a *mesh.Snapshot) {
		before, after := resolve.New(b), resolve.New(a)
		stay, fresh := bruteForce(before, after)
		got := map[effectKey]bool{}
		for _, e := range Compare(before, after, Known{Calls: everyCall(b, a)}).Effects {
			key := effectKey{e.Client, e.Host, e.Port, e.Kind}
			if got[key] || !stay[key] && !fresh[key] || e.Alike != 1 || !e.Declared {
				t.Errorf("unexpected %+v", e)
			}
			got[key] = true
			checkEffect(t, &e)
		}
		for _, want := range []map[effectKey]bool{stay, fresh} {
			for key := range want {
				if !got[key] {
					t.Errorf("missing %+v", key)
				}
				effects++
			}
		}
	})
	if effects < 1000 {
		t.Errorf("%d effects: the meshes are too much alike to show anything", effects)
	}
}

// checkEffect holds what is said of an effect against what it is.
func checkEffect(t *testing.T, e *api.Effect) {
	t.Helper()
	if !strings.HasSuffix(e.Text, ".") || strings.Contains(e.Text, "%!") || strings.Contains(e.Text, "  ") || strings.Count(e.Text, ". ") > 0 {
		t.Errorf("%s reads %q", e.Kind, e.Text)
	}
	nobody := strings.Contains(e.Text, "no endpoint is known") || strings.Contains(e.Text, "finds an endpoint")
	if !nobody && (e.Kind == Breaks && e.After.Status != "CONFLICT" && e.After.Status != "" || e.Kind == Mends && e.Before.Status != "CONFLICT") {
		t.Errorf("%+v", e)
	}
	for _, p := range []*api.Place{e.After.Policy, e.After.Rule} {
		if p != nil && !strings.Contains(e.Text, p.Name) {
			t.Errorf("%q does not name %s", e.Text, p.Name)
		}
	}
}

// TestMassesCountEveryClient: with nobody known to call, the numbers of clients are those of brute force.
func TestMassesCountEveryClient(t *testing.T) {
	forPairs(t, 60, func(t *testing.T, b, a *mesh.Snapshot) {
		before, after := resolve.New(b), resolve.New(a)
		stay, _ := bruteForce(before, after)
		want, got := map[effectKey]int{}, map[effectKey]int{}
		for key := range stay {
			key.client = ""
			want[key]++
		}
		impact := Compare(before, after, Known{})
		for _, e := range impact.Effects {
			if !stay[effectKey{e.Client, e.Host, e.Port, e.Kind}] {
				t.Errorf("%s stands for clients of %s:%d and is none", e.Client, e.Host, e.Port)
			}
			got[effectKey{"", e.Host, e.Port, e.Kind}] += e.Alike
		}
		for key := range want {
			if got[key] != want[key] {
				t.Errorf("%+v: %d clients, want %d", key, got[key], want[key])
			}
		}
		if len(got) != len(want) {
			t.Errorf("%d ports and kinds, want %d", len(got), len(want))
		}
		checkCounts(t, impact)
	})
}

// checkCounts holds the counts against the list, and the list against its order.
func checkCounts(t *testing.T, i *api.Impact) {
	t.Helper()
	n := map[string]int{}
	last := 0
	for _, e := range i.Effects {
		n[e.Kind]++
		k := slices.Index([]string{"breaks", "opens", "mends", "locks", "other"}, e.Kind)
		if k < last {
			t.Errorf("%s comes late", e.Kind)
		}
		last = k
	}
	if i.Breaks != n["breaks"] || i.Opens != n["opens"] || i.Mends != n["mends"] || i.Locks != n["locks"] {
		t.Errorf("counts %+v, effects %v", i, n)
	}
}

// TestTheWayBack: what a change breaks, its reverse mends, and what it opens, its reverse locks, as far as both meshes
// have the client and the port.
func TestTheWayBack(t *testing.T) {
	back := map[string]string{"breaks": "mends", "mends": "breaks", "opens": "locks", "locks": "opens", "other": "other"}
	forPairs(t, 30, func(t *testing.T, b, a *mesh.Snapshot) {
		before, after := resolve.New(b), resolve.New(a)
		known := Known{Calls: everyCall(b, a)}
		there := map[effectKey]bool{}
		both := func(e *api.Effect) bool { return e.Before.Status != "" && e.After.Status != "" }
		for _, e := range Compare(before, after, known).Effects {
			if both(&e) {
				there[effectKey{e.Client, e.Host, e.Port, back[e.Kind]}] = true
			}
		}
		for _, e := range Compare(after, before, known).Effects {
			if key := (effectKey{e.Client, e.Host, e.Port, e.Kind}); both(&e) && !there[key] {
				t.Errorf("%+v has no other way", key)
			} else {
				delete(there, key)
			}
		}
		if len(there) > 0 {
			t.Errorf("no way back: %v", there)
		}
	})
}

// TestSameMeshIsSame: nothing comes of nothing, and everything is counted.
func TestSameMeshIsSame(t *testing.T) {
	forPairs(t, 20, func(t *testing.T, b, _ *mesh.Snapshot) {
		r := resolve.New(b)
		impact := Compare(r, r, Known{Calls: everyCall(b, b)})
		ports := 0
		for _, s := range b.Services {
			ports += len(s.Ports)
		}
		if len(impact.Effects) > 0 || impact.Same != ports*len(r.Classes()) {
			t.Errorf("%+v for %d ports and %d classes", impact, ports, len(r.Classes()))
		}
	})
}

// TestOrderIsFixed: the same question gives the same bytes, whatever maps do.
func TestOrderIsFixed(t *testing.T) {
	forPairs(t, 10, func(t *testing.T, b, a *mesh.Snapshot) {
		known := Known{Calls: everyCall(b, a)[:20]}
		var want []byte
		for range 5 {
			got, err := json.Marshal(Compare(resolve.New(b), resolve.New(a), known))
			if err != nil {
				t.Fatal(err)
			}
			if want != nil && string(got) != string(want) {
				t.Fatalf("%s\nand then\n%s", want, got)
			}
			want = got
		}
	})
}
