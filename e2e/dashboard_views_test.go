//go:build linux

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// A place is something that the dashboard shows.
type place struct {
	name  string
	view  string
	pairs []string
	then  func(b *browser) // what opens it, where that is in no address
}

const bookingsEdge = "edge:workload/backyards-demo/frontpage-v1.Deployment>service/bookings.backyards-demo.svc.cluster.local:8080"

// places are all views, with what opens in them.
func (s *stage) places() []place {
	return []place{
		{name: "overview", view: "overview"},
		{name: "graph", view: "graph"},
		{name: "graph list", view: "graph", then: func(b *browser) { b.keys("l") }},
		{name: "legend", view: "graph", then: func(b *browser) { b.press("button", "Legend") }},
		{name: "connection", view: "graph", pairs: []string{"sel", bookingsEdge}},
		{name: "table", view: "table"},
		{name: "workloads", view: "table", pairs: []string{"list", "workloads"}},
		{name: "node", view: "table", pairs: []string{"list", "services", "sel", "node:service/bookings.backyards-demo.svc.cluster.local"}},
		{name: "security", view: "security"},
		{name: "change", view: "security", then: func(b *browser) {
			b.press(`[aria-label="Mode of namespace backyards-demo"] button`, "STRICT")
			b.until("what the change does", `document.querySelector("dialog .impact")`)
		}},
		{name: "policies", view: "security", pairs: []string{"tab", "policies"}},
		{name: "editor", view: "security", pairs: []string{"file", filepath.Join(s.m.dir, "bookings.yaml"), "line", "3"}},
		{name: "changes", view: "changes", then: func(b *browser) { b.press(`main button[aria-expanded="false"]`, "disable") }},
	}
}

// Every view on every screen fits, says nothing on the console, asks nobody else, and is well marked up for those who do
// not see it. Then the same pages lose what they look at, and find it again.
func TestDashboardViews(t *testing.T) {
	t.Parallel()
	m := up(t, "backyards-current")
	m.synced()
	m.do("mtls", "disable", "backyards-demo/bookings:8080", "--yes")
	s := watch(t, m, wide)
	s.scene(t, "wide", func() { s.everywhere(wide) })
	s.scene(t, "narrow", func() { s.everywhere(narrow) })
	s.b.look(wide)
	s.scene(t, "link", s.deepLink)
	s.scene(t, "offline", s.offline)
	s.scene(t, "control plane killed", s.killed)
}

// everywhere looks at all places on a screen, by day and by night.
func (s *stage) everywhere(on screen) {
	b := s.b
	axe := axeScript(b.t)
	for _, p := range s.places() {
		b.look(on)
		b.open(s.address(p.view, p.pairs...))
		b.settled()
		if p.then != nil {
			p.then(b)
		}
		for _, dark := range []bool{false, true} {
			b.look(screen{on.width, on.height, dark})
			if over := eval[int](b, `document.documentElement.scrollWidth - innerWidth`); over > 0 {
				b.t.Errorf("%s: the page is %d pixels wider than the screen", p.name, over)
			}
			if axe != "" {
				b.accessible(axe, fmt.Sprintf("%s, dark %v", p.name, dark))
			}
		}
	}
}

// settled waits until nothing is loading any more.
func (b *browser) settled() {
	b.t.Helper()
	b.until("the page", `document.querySelector("nav a") && !document.querySelector("main .loading, aside .loading") && document.querySelector("main").innerText.length > 40`)
}

// axeScript is axe-core, which the pages' own development brings; "" without it.
func axeScript(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile("../web/ui/node_modules/axe-core/axe.min.js")
	if err == nil {
		return string(text)
	}
	if os.Getenv("OARLOCK_REQUIRE") != "" {
		t.Fatal("axe-core is missing; run npm ci in web/ui")
	}
	t.Log("axe-core is missing: what it finds is not tested; run npm ci in web/ui")
	return ""
}

// accessible fails for what axe finds serious or critical.
func (b *browser) accessible(axe, place string) {
	b.t.Helper()
	if !eval[bool](b, "!!window.axe") {
		eval[bool](b, axe+";true")
	}
	bad := eval[[]string](b, `axe.run(document, {resultTypes: ["violations"]}).then(r => r.violations.filter(v => v.impact === "serious" || v.impact === "critical")
		.map(v => v.impact + " " + v.id + ": " + v.help + "\n" + v.nodes.slice(0, 3).map(n => "  " + n.target.join(" ") + "  " + (n.any[0]?.message || n.failureSummary)).join("\n")))`)
	for _, v := range bad {
		b.t.Errorf("%s: %s", place, v)
	}
}

// deepLink: an address leads to the same selection, filter and window.
func (s *stage) deepLink() {
	b := s.b
	b.open(s.address("graph", "sel", bookingsEdge, "window", "5m", "q", "lock=open", "as", "only"))
	for range 2 {
		b.until("the details", `document.querySelector("aside h2")?.innerText === "frontpage-v1 → bookings:8080"`)
		b.until("the selection", `[...document.querySelectorAll("[role=option][aria-selected=true]")].some(e => e.firstElementChild.textContent.startsWith("frontpage-v1 to bookings port 8080: open"))`)
		b.until("the filter", `document.querySelectorAll("[role=option]").length < 8 && document.querySelector("[aria-label=Expression]").value === "lock=open"`)
		if w := eval[string](b, `[...document.querySelectorAll("header select")].map(e => e.value).join()`); w != "5m" {
			b.t.Errorf("the window is %s", w)
		}
		b.do("reload", chromedp.Reload())
	}
	b.press("aside button", "Close details")
	b.until("an address without selection", `!location.search.includes("sel=") && !document.querySelector("aside h2")`)
}

// offline cuts the browser off: the page says that it shows what was, and goes on by itself.
func (s *stage) offline() {
	b := s.b
	b.open(s.address("graph"))
	b.until("the graph", lock("frontpage-v1 to bookings port 8080", "open"))
	b.network(true)
	b.see("The dashboard's server gives no answer: this is how things were before.")
	b.until("since when", `/offline \d+ s/.test(document.querySelector("header").innerText)`)
	s.m.do("mtls", "unset", "backyards-demo/bookings:8080", "--yes")
	if !eval[bool](b, lock("frontpage-v1 to bookings port 8080", "open")) {
		b.t.Error("a page that is cut off does not show what it knew")
	}
	b.network(false)
	b.until("the page goes on", `!document.body.innerText.includes("gives no answer")`)
	b.until("what happened meanwhile", lock("frontpage-v1 to bookings port 8080", "locked"))
}

// network cuts off, or lets through.
func (b *browser) network(off bool) {
	b.t.Helper()
	call(b, network.EmulateNetworkConditionsByRule, network.EmulateNetworkConditionsByRuleParams{
		MatchedNetworkConditions: []*network.Conditions{{Offline: off, DownloadThroughput: -1, UploadThroughput: -1}}})
	call(b, network.OverrideNetworkState, network.OverrideNetworkStateParams{Offline: off, DownloadThroughput: -1, UploadThroughput: -1})
}

// killed takes the control plane away, whose process serves the page: it is started again, and the page finds it.
func (s *stage) killed() {
	b := s.b
	b.open(s.address("overview"))
	b.see("Mode of the mesh")
	begin := time.Now()
	var said time.Duration
	s.m.withoutPlane(func() {
		b.until("what is not known is said", `/gives no answer|offline|reconnecting|Since then/.test(document.body.innerText)`)
		said = time.Since(begin)
	})
	b.until("the page is live again", `/\blive\b/.test(document.querySelector("header").innerText) && !/gives no answer|Since then/.test(document.body.innerText)`)
	b.t.Logf("the control plane was killed: the page says so %v later, and is live again %v after that", said.Round(10*time.Millisecond), (time.Since(begin) - said).Round(10*time.Millisecond))
	b.to("Graph")
	b.until("the graph has traffic again", lock("frontpage-v1 to catalog port 8080", "locked"))
	if out := s.m.do("dashboard", "--mesh", s.m.name, "--print"); !strings.HasPrefix(out, s.base) {
		b.t.Errorf("the dashboard is elsewhere now: %s, and was at %s", fmt.Sprintf("%.40s", out), s.base)
	}
}
