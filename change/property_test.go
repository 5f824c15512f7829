package change

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/oarlock/oarlock/manifest"
	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/resolve"
)

// TestRandomMeshes makes random changes in random meshes. A change is refused with a reason, or a fresh parse of the edited
// files resolves to what was asked, the same change again is empty, and where nothing was said of the resource before,
// unset gives the bytes back.
func TestRandomMeshes(t *testing.T) {
	rounds := 250
	if testing.Short() {
		rounds = 60
	}
	refused, undone, changed := 0, 0, 0
	for seed := range rounds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			g := &generator{rand.New(rand.NewPCG(uint64(seed), 1))}
			d := &desk{t: t, dialect: mesh.Dialect(1 + g.IntN(5))}
			d.files = []manifest.File{{Name: "mesh.yaml", Data: []byte(g.mesh(d.dialect))}}
			d.first = slices.Clone(d.files)
			defer func() {
				if t.Failed() {
					t.Logf("dialect %s\n%s", d.dialect, d.first[0].Data)
				}
			}()
			for range 4 {
				v, r, clients := Verb(g.IntN(4)), g.resource(), g.IntN(3) == 0
				had := d.says(r)
				d.first = slices.Clone(d.files)
				_, edits, err := d.plan(v, r, clients)
				if refusal := (*Refusal)(nil); errors.As(err, &refusal) {
					if strings.Contains(err.Error(), "edited files") {
						t.Fatalf("%s %s (clients %v): %v", v, r, clients, err)
					}
					refused++
					continue
				}
				if err != nil {
					t.Fatalf("%s %s: %v", v, r, err)
				}
				if len(edits) == 0 {
					continue
				}
				changed++
				if v == Unset || clients || had {
					continue
				}
				kept := slices.Clone(d.files)
				if _, _, err := d.plan(Unset, r, false); err != nil {
					t.Fatalf("unset %s after %s: %v", r, v, err)
				}
				d.same()
				undone++
				d.files = kept
			}
		})
		if t.Failed() {
			return
		}
	}
	t.Logf("%d changes, %d undone, %d refused", changed, undone, refused)
	if changed < rounds || undone < rounds/4 {
		t.Errorf("%d changes and %d undone in %d meshes: the test tests too little", changed, undone, rounds)
	}
}

// says whether a policy of the resource's own scope exists, so that unset takes more away than a verb has put there.
func (d *desk) says(r Resource) bool {
	s := d.load()
	where, err := find(s, r)
	if err != nil {
		return true
	}
	p := &plan{draft: &draft{snap: s}, r: resolve.New(s), verb: Unset, out: &Plan{}}
	if err := p.policies(where); err != nil || len(p.changes()) > 0 {
		return true
	}
	if !s.Dialect.Legacy() {
		return current{p}.blank(where)
	}
	switch where.Scope {
	case ScopeMesh:
		return len(legacy{p}.meshPolicies()) > 0
	case ScopeNamespace:
		return len(legacy{p}.namespacePolicies(where.Namespace)) > 0
	}
	// One legacy policy for the service as such is split for a port and joined again. Several compete, and are not put back
	// into that state; parts of the ports become the service as such.
	entries := legacy{p}.entries(where.svc)
	return len(entries) > 1 || len(entries) == 1 && (where.Scope == ScopeService || len(where.svc.Ports) == 1 || !entries[0].whole)
}

// blank says whether the resource has a policy without a mode: unset takes it away.
func (c current) blank(where place) bool {
	switch where.Scope {
	case ScopeMesh:
		return len(c.scopePolicies(c.root())) > 0
	case ScopeNamespace:
		return len(c.scopePolicies(where.Namespace)) > 0
	}
	winners, _ := c.winners(c.r.Endpoints(where.svc))
	return slices.ContainsFunc(winners, func(pa *mesh.PeerAuthentication) bool { return pa.Mode == mesh.ModeUnset })
}

// generator makes meshes of two namespaces with up to three services each.
type generator struct{ *rand.Rand }

func (g *generator) pick(words ...string) string { return words[g.IntN(len(words))] }

func (g *generator) resource() Resource {
	r := Resource{Scope: Scope(g.IntN(4)), Namespace: g.pick("red", "blue"), Service: g.pick("a", "b"), Port: g.pick("80", "90")}
	switch r.Scope {
	case ScopeMesh:
		return Resource{}
	case ScopeNamespace:
		r.Service, r.Port = "", ""
	case ScopeService:
		r.Port = ""
	}
	return r
}

func (g *generator) mesh(d mesh.Dialect) string {
	var b strings.Builder
	fmt.Fprintf(&b, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system, annotations: {oarlock.dev/dialect: %q}}\ndata:\n  mesh: |\n    enableAutoMtls: %s\n",
		d, g.pick("true", "false"))
	for _, ns := range []string{"red", "blue"} {
		fmt.Fprintf(&b, "---\napiVersion: v1\nkind: Namespace\nmetadata:\n  name: %s\n  labels: {istio-injection: enabled}\n", ns)
		for _, svc := range []string{"a", "b"} {
			g.service(&b, ns, svc)
		}
		for i := range g.IntN(4) {
			g.policy(&b, d, ns, i)
		}
		for i := range g.IntN(3) {
			g.rule(&b, ns, i)
		}
	}
	if g.IntN(2) == 0 {
		if d.Legacy() {
			fmt.Fprintf(&b, "---\napiVersion: authentication.istio.io/v1alpha1\nkind: MeshPolicy\nmetadata: {name: default}\nspec:%s\n", g.peers())
		} else {
			fmt.Fprintf(&b, "---\napiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: default, namespace: istio-system}\nspec: {%s}\n", g.mtls())
		}
	}
	return b.String()
}

func (g *generator) service(b *strings.Builder, ns, svc string) {
	fmt.Fprintf(b, "---\napiVersion: v1\nkind: Service\nmetadata: {name: %s, namespace: %s}\nspec:\n  selector: {app: %s}\n  ports:\n    - {name: http, port: 80, targetPort: %s}\n",
		svc, ns, g.pick(svc, svc, svc, "a"), g.pick("8080", "80", "web"))
	if g.IntN(3) > 0 {
		fmt.Fprintf(b, "    - {name: tcp, port: 90, targetPort: %s}\n", g.pick("9090", "8080"))
	}
	for i := range g.IntN(3) {
		fmt.Fprintf(b, "---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: %s-%d\n  namespace: %s\n  labels: {app: %s, version: v%d}\n  annotations: {sidecar.istio.io/inject: %q}\nspec:\n  containers: [{name: main, ports: [{name: web, containerPort: %s}]}]\n",
			svc, i, ns, svc, i, g.pick("true", "true", "true", "false"), g.pick("8080", "8081"))
	}
}

func (g *generator) created() string {
	return g.pick("", "", `, creationTimestamp: "2020-01-01T00:00:00Z"`, `, creationTimestamp: "2021-01-01T00:00:00Z"`)
}

func (g *generator) peers() string {
	return g.pick(" {}", "\n  peers:\n    - mtls: {}", "\n  peers:\n    - mtls:", "\n  peers:\n    - mtls: {mode: PERMISSIVE}",
		"\n  peers:\n    - jwt: {issuer: me, jwksUri: \"https://example.com\"}\n    - mtls: {}\n  peerIsOptional: true",
		"\n  origins:\n    - jwt: {issuer: me, jwksUri: \"https://example.com\"}")
}

func (g *generator) mtls() string {
	return g.pick("", "mtls: {}", "mtls: {mode: STRICT}", "mtls: {mode: PERMISSIVE}", "mtls: {mode: DISABLE}", "mtls: {mode: UNSET}")
}

func (g *generator) policy(b *strings.Builder, d mesh.Dialect, ns string, i int) {
	name := fmt.Sprintf("p%d", i)
	if !d.Legacy() {
		spec := g.mtls()
		if g.IntN(3) > 0 {
			spec = "selector: {matchLabels: {" + g.pick("app: a", "app: b", "version: v0", "app: a, version: v1") + "}}, " + g.pick(g.mtls(), "mtls: {mode: STRICT}, portLevelMtls: {8080: {mode: DISABLE}}", "portLevelMtls: {8080: {mode: STRICT}}")
		}
		fmt.Fprintf(b, "---\napiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: %s, namespace: %s%s}\nspec: {%s}\n", name, ns, g.created(), strings.TrimSuffix(spec, ", "))
		return
	}
	targets := ""
	if i == 0 {
		name = "default"
	} else {
		targets = "\n  targets:\n    - name: " + g.pick("a", "b")
		targets += g.pick("", "\n      ports:\n        - number: 80", "\n      ports:\n        - name: tcp", "\n      ports:\n        - number: 80\n        - number: 90", "\n    - name: b")
	}
	peers := g.peers()
	if targets != "" && peers == " {}" {
		peers = ""
	}
	fmt.Fprintf(b, "---\napiVersion: authentication.istio.io/v1alpha1\nkind: Policy\nmetadata: {name: %s, namespace: %s%s}\nspec:%s%s\n", name, ns, g.created(), targets, peers)
}

func (g *generator) rule(b *strings.Builder, ns string, i int) {
	fmt.Fprintf(b, "---\napiVersion: networking.istio.io/v1alpha3\nkind: DestinationRule\nmetadata: {name: r%d, namespace: %s%s}\nspec:\n  host: %q\n  exportTo: [%q]\n  trafficPolicy:\n    loadBalancer: {simple: %s}\n",
		i, ns, g.created(), g.pick("a", "b", "*.red.svc.cluster.local", "*.local", "a.blue.svc.cluster.local"), g.pick("*", "*", "."), g.pick("RANDOM", "ROUND_ROBIN"))
	b.WriteString(g.pick("", "    tls: {mode: DISABLE}\n", "    tls: {mode: ISTIO_MUTUAL}\n", "    tls: {mode: SIMPLE}\n", "    portLevelSettings:\n      - port: {number: 80}\n        tls: {mode: DISABLE}\n"))
	b.WriteString(g.pick("", "", "  subsets:\n    - name: v0\n      labels: {version: v0}\n      trafficPolicy:\n        tls: {mode: DISABLE}\n"))
}

// TestVerifyNotices hands Verify outcomes that are not what was asked.
func TestVerifyNotices(t *testing.T) {
	d := &desk{t: t}
	d.run("include shop")
	for _, dialect := range []mesh.Dialect{mesh.Dialect13, mesh.DialectCurrent} {
		d.dialect = dialect
		d.files = slices.Clone(d.first)
		before := d.load()
		plans := map[string]*Plan{}
		outcomes := map[string]*mesh.Snapshot{"": before}
		for _, ask := range []string{"require mesh", "require shop", "require shop/api", "require shop/api:80", "disable shop/api:80", "require shop/web"} {
			d.files = slices.Clone(d.first)
			verb, res, _ := strings.Cut(ask, " ")
			v, _ := ParseVerb(verb)
			r, _ := ParseResource(res)
			plan, _, err := d.plan(v, r, false)
			if err != nil {
				t.Fatal(err)
			}
			plans[ask], outcomes[ask] = plan, d.load()
		}
		for ask, plan := range plans {
			for got, after := range outcomes {
				// In the legacy dialects the default is plaintext already, so disable changes no mode; and all services are
				// in one namespace.
				alike := dialect.Legacy() && ask == "disable shop/api:80" && got == "" ||
					dialect.Legacy() && strings.Contains("require mesh, require shop", ask) && strings.Contains("require mesh, require shop", got) && got != ""
				if err := Verify(before, after, plan); (err == nil) != (ask == got || alike) {
					t.Errorf("%s: asked %q, outcome of %q: %v", dialect, ask, got, err)
				}
			}
		}
	}
}
