//go:build linux

package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// Two meshes in one dashboard: each is shown by its name, links keep it, all are shown together, and one that goes down is
// said to be gone.
func TestDashboardSeveralMeshes(t *testing.T) {
	t.Parallel()
	m := up(t, "backyards-current")
	m.synced()
	other := m.beside("foo-bar-current", "other-"+m.name)
	link := m.link()
	base, _, _ := strings.Cut(link, "/#")
	s := &stage{m: m, b: newBrowser(t, wide), base: base}
	s.b.open(link)
	s.b.until("all meshes, where there are several", fmt.Sprintf(`[%s, %s].every(n => [...document.querySelectorAll("main a")].some(e => e.innerText === n))`, quoted(m.name), quoted(other)))
	s.scene(t, "switching", func() { s.switching(other) })
	s.scene(t, "all together", func() { s.together(other) })
	s.scene(t, "narrow", func() { s.smallScreen(other) })
	s.scene(t, "a name with nothing", func() { s.nameWithNothing(other) })
	s.scene(t, "one goes down", func() { s.goesDown(other) })
	s.scene(t, "and comes again", func() { s.comesAgain(other) })
}

// beside runs one more example on the same machine, so to speak, until the test ends. From then on commands want a name.
func (m *liveMesh) beside(example, name string) string {
	m.t.Helper()
	dir := copyExample(m.t, example)
	m.t.Cleanup(func() { m.try("down", name) })
	m.do("up", "-f", dir, "--name", name, "--detach", "--capture", captureMode(), "--dashboard", "none")
	return name
}

// links are an expression: the meshes that the page's links lead to, in order, each once.
const links = `[...new Set([...document.querySelectorAll("a[href^='/meshes/']")].filter(e => e.getClientRects().length).map(e => e.getAttribute("href").split("/")[2]))].sort().join()`

// switching goes from one mesh to the other, and from view to view within it.
func (s *stage) switching(other string) {
	b := s.b
	b.press("[title='Choose a mesh']", "all meshes")
	b.until("both meshes in the menu", found(".menu-body a", s.m.name)+" && "+found(".menu-body a", other)+" && "+found(".menu-body a", "all meshes"))
	b.press(".menu-body a", other)
	b.until("the other's overview", `location.pathname === "/meshes/`+other+`/overview" && document.body.innerText.includes("Mode of the mesh")`)
	for _, view := range []string{"Graph", "Table", "Security", "Changes"} {
		b.to(view)
		if at, to := eval[string](b, "location.pathname"), eval[string](b, links); at != "/meshes/"+other+"/"+strings.ToLower(view) || to != other {
			b.t.Errorf("%s of %s is at %s and has links to %s", view, other, at, to)
		}
	}
	b.to("Graph")
	b.until("what is in it", sentence("baz, service, bar"))
	if eval[bool](b, sentence("bookings, service")+" !== ''") {
		b.t.Error("the graph of one mesh has nodes of the other")
	}
	// A selection is of one mesh: it does not come along.
	b.press("[title='Choose a mesh']", other)
	b.press(".menu-body a", s.m.name)
	b.until("the same view of the first", `location.pathname === "/meshes/`+s.m.name+`/graph" && `+sentence("bookings, service"))
	eval[bool](b, "history.back(), true")
	b.until("back at the other", `location.pathname === "/meshes/`+other+`/graph" && `+sentence("baz, service, bar"))
}

// together looks at all meshes at once.
func (s *stage) together(other string) {
	b := s.b
	b.press("[title='Choose a mesh']", other)
	b.press(".menu-body a", "all meshes")
	b.until("both in one graph", `location.pathname === "/graph" && `+sentence("baz, service, bar")+" && "+sentence("bookings, service"))
	b.until("each says whose it is", sentence("baz, service, bar")+`.endsWith("mesh `+other+`") && `+sentence("bookings, service")+`.endsWith("mesh `+s.m.name+`")`)
	b.until("all of it is in the view", inView)
	b.to("Overview")
	b.until("a card for each", fmt.Sprintf(`[%s, %s].every(n => [...document.querySelectorAll("main a")].some(e => e.innerText === n))`, quoted(s.m.name), quoted(other)))
	b.to("Table")
	b.until("rows of both", row(other)+".length && "+row("frontpage-v1 → bookings:8080")+".includes("+quoted(s.m.name)+")")
	b.press("table a", "frontpage-v1 → bookings:8080")
	b.until("details, and whose they are", `document.querySelector("aside h2")?.innerText === "frontpage-v1 → bookings:8080" && new URLSearchParams(location.search).get("of") === `+quoted(s.m.name))
	b.to("Security")
	b.press("main a", other)
	b.until("its modes", `location.pathname === "/meshes/`+other+`/security" && `+row("bar")+".length")
}

// smallScreen does the same on a small screen, as far as the page fits.
func (s *stage) smallScreen(other string) {
	b := s.b
	b.look(narrow)
	defer b.look(wide)
	for _, path := range []string{"/overview", "/graph", "/table", "/security", "/changes"} {
		b.open(s.base + path)
		b.until("the page", `document.querySelector("main").innerText.length > 20 && !document.querySelector("main .loading")`)
		if over := eval[int](b, `document.documentElement.scrollWidth - innerWidth`); over > 0 {
			b.t.Errorf("%s is %d pixels wider than the screen", path, over)
		}
	}
	b.press("[title='Choose a mesh']", "all meshes")
	b.until("the menu is on the screen", `(() => { const r = document.querySelector(".menu-body").getBoundingClientRect(); return r.left >= 0 && r.right <= innerWidth; })()`)
	b.press(".menu-body a", other)
	b.until("the other", `location.pathname === "/meshes/`+other+`/changes"`)
}

// nameWithNothing goes to a mesh that never was.
func (s *stage) nameWithNothing(other string) {
	b := s.b
	for _, view := range []string{"overview", "graph", "table", "security", "changes"} {
		b.open(s.base + "/meshes/nothing/" + view)
		b.see("There is no mesh “nothing”")
		b.until("links to those that run", found("main a", s.m.name)+" && "+found("main a", other))
	}
	if state := eval[string](b, `document.querySelector(".connection").innerText`); strings.Contains(state, "reconnecting") || strings.Contains(state, "offline") {
		b.t.Errorf("a mesh that is not there is waited for: %s", state)
	}
	b.press("main a", s.m.name)
	b.until("the mesh that runs", `location.pathname === "/meshes/`+s.m.name+`/changes"`)
}

// goesDown takes the other down while it is looked at.
func (s *stage) goesDown(other string) {
	b := s.b
	b.open(s.base + "/meshes/" + other + "/graph")
	b.until("its graph", sentence("baz, service, bar"))
	s.m.do("down", other)
	b.see("There is no mesh “" + other + "”")
	b.until("a link to what runs, and none to what is gone", found("main a", s.m.name)+" && !"+found("main a", other))
	b.press("[title='Choose a mesh']", other)
	b.until("the menu has it no more", found(".menu-body a", s.m.name)+" && !"+found(".menu-body a", other))
	b.press(".menu-body a", "all meshes")
	b.until("the rest is there", `location.pathname === "/graph" && `+sentence("bookings, service")+" && !"+sentence("baz, service"))
	b.open(s.address("overview"))
	b.see("Mode of the mesh")
}

// comesAgain starts it anew: who looks at its address sees it without asking.
func (s *stage) comesAgain(other string) {
	b := s.b
	b.open(s.base + "/meshes/" + other + "/graph")
	b.see("There is no mesh “" + other + "”")
	s.m.beside("foo-bar-current", other)
	b.until("its graph", sentence("baz, service, bar"))
}
