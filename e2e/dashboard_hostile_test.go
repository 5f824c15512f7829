//go:build linux

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// hostile is what must stay text wherever it goes.
const hostile = `"><img src=x onerror=alert(1)><svg/onload=alert(2)>`

// Whatever strings manifests and requests carry, no script of theirs runs, and they show as what they are.
func TestDashboardHostile(t *testing.T) {
	t.Parallel()
	dir := copyExample(t, "backyards-current")
	quoted := `'` + hostile + `'`
	m := &liveMesh{t: t, dir: dir}
	m.edit("frontpage.yaml", "      annotations:\n", "      annotations:\n        note.example.org/text: "+quoted+"\n")
	for range strings.Count(m.read("movies.yaml"), "version: v3") { // Kubernetes would refuse such a label; a file may have it
		m.edit("movies.yaml", "version: v3", "version: "+quoted)
	}
	policy := "# " + hostile + "\napiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata:\n  name: movies\n  namespace: backyards-demo\n  annotations: {text: " + quoted + "}\n" +
		"spec:\n  selector: {matchLabels: {app: movies, text: " + quoted + "}}\n  mtls: {mode: STRICT}\n---\n" +
		"apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: text, namespace: backyards-demo}\nspec:\n  host: " + quoted + "\n  subsets: [{name: " + quoted + ", labels: {version: " + quoted + "}}]\n"
	name := filepath.Join(dir, `<img src=x onerror=alert(3)>.yaml`)
	if err := os.WriteFile(name, []byte(policy), 0o644); err != nil {
		t.Fatal(err)
	}
	m = upDir(t, dir)
	m.synced()
	caller := m.pod("backyards-demo", "payments") // which calls nobody by itself: its lines stay
	m.calls(caller, "-o", "/dev/null", "--globoff", "-A", hostile, "-H", "X-Request-Id: "+hostile, "http://frontpage.backyards-demo:8080/%22%3E<img/src=x/onerror=alert(4)>")
	m.calls(caller, "-o", "/dev/null", "-A", hostile, "-H", "Host: <img-src=x-onerror=alert(5)>", "http://frontpage.backyards-demo:8080/")
	m.try("mtls", "disable", "backyards-demo/catalog:8080", "--yes")
	s := watch(t, m, wide)
	const edge = "edge:workload/backyards-demo/payments-v1.Deployment>service/frontpage.backyards-demo.svc.cluster.local:8080"
	for _, c := range []struct {
		name, view string
		pairs      []string
		shows      string // as text
	}{
		{"overview", "overview", nil, ""},
		{"graph", "graph", nil, ""},
		{"version", "graph", []string{"sel", "node:workload/backyards-demo/movies-v3.Deployment"}, "onerror=alert(1)"},
		{"log lines", "graph", []string{"sel", edge}, "onerror=alert(1)"},
		{"node", "table", []string{"list", "workloads", "sel", "node:workload/backyards-demo/bookings-v1.Deployment"}, ""},
		{"service", "table", []string{"list", "services", "sel", "node:service/movies.backyards-demo.svc.cluster.local"}, ""},
		{"filter", "table", []string{"q", hostile}, ""},
		{"expression", "graph", []string{"q", hostile, "as", "only"}, ""},
		{"selection", "graph", []string{"sel", "node:" + hostile}, "onerror=alert(1)"},
		{"policies", "security", []string{"tab", "policies", "kind", "all"}, "onerror=alert(3)"},
		{"editor", "security", []string{"file", name}, "onerror=alert(1)"},
		{"no such file", "security", []string{"file", hostile}, "onerror=alert(1)"},
		{"changes", "changes", []string{"change", hostile}, ""},
		{"no such view", hostile, nil, "onerror=alert(1)"},
	} {
		s.scene(t, c.name, func() { s.harmless(s.address(strings.ReplaceAll(c.view, "/", "%2F"), c.pairs...), c.shows) })
	}
	s.scene(t, "exports", s.exports)
}

// harmless opens a page and looks for what hostile text would have become.
func (s *stage) harmless(address, shows string) {
	b := s.b
	b.open(address)
	b.until("the page", `document.querySelector("nav a") && !document.querySelector("main .loading, aside .loading")`)
	if shows != "" {
		b.until("the text "+shows, `document.body.innerText.includes(`+quoted(shows)+`)`)
	}
	// A picture that cannot be loaded says so later: so does one of ours, which was asked for after all of the page.
	eval[bool](b, `new Promise(done => { const i = new Image(); i.onerror = () => done(true); i.src = "nothing.png"; })`)
	if found := eval[string](b, `[...document.querySelectorAll("img, [onerror], [onload], script:not([src])")].map(e => e.outerHTML).join(" ")`); found != "" {
		b.t.Errorf("text became elements: %s", found)
	}
}

// exports keeps what the graph is exported as, and reads it as a browser would.
func (s *stage) exports() {
	b := s.b
	b.open(s.address("graph"))
	b.until("the graph", sentence("bookings, service"))
	eval[bool](b, `(() => { const make = URL.createObjectURL; URL.createObjectURL = x => { if (x.type !== "image/svg+xml" || !window.svg) window[x.type === "image/png" ? "png" : "svg"] = x; return make.call(URL, x); }; return true; })()`)
	for _, kind := range []string{"SVG", "PNG"} {
		b.press("button", "Export")
		b.press("button", kind)
		b.until("the "+kind, "window."+strings.ToLower(kind))
	}
	if bad := eval[string](b, `svg.text().then(text => { const d = new DOMParser().parseFromString(text, "image/svg+xml");
		return [...d.querySelectorAll("parsererror, script, foreignObject, img, image, [onload], [onerror], [href]")].map(e => e.outerHTML).join(" "); })`); bad != "" {
		b.t.Errorf("the SVG has what it should not have: %s", bad)
	}
	if text := eval[string](b, `svg.text()`); !strings.Contains(text, "bookings") {
		b.t.Errorf("the SVG has no bookings:\n%.500s", text)
	}
	if n := eval[int](b, `png.size`); n < 5000 {
		b.t.Errorf("the PNG has %d bytes", n)
	}
}
