//go:build linux

package e2e

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A read-only dashboard shows all, offers nothing that changes something, says why where one is led there by an address, and
// its server refuses what a page would send.
func TestDashboardReadOnly(t *testing.T) {
	t.Parallel()
	m := up(t, "backyards-current", "--read-only")
	m.synced()
	m.do("mtls", "disable", "backyards-demo/bookings:8080", "--yes") // the command line may
	s := watch(t, m, wide)
	before := s.m.manifests()
	s.scene(t, "nothing is offered", s.offersNothing)
	s.scene(t, "addresses of editors", s.typedAddresses)
	s.scene(t, "the server refuses", s.refuses)
	if after := s.m.manifests(); after != before {
		t.Errorf("the manifests were changed:\n%s", after)
	}
}

// manifests is the text of all files.
func (m *liveMesh) manifests() string {
	m.t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(m.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		b.WriteString(path + "\n" + string(text))
		return err
	})
	if err != nil {
		m.t.Fatal(err)
	}
	return b.String()
}

// offered is an expression: the words of what can be pressed or filled on the page and would change something. What opens a
// row has the words of what is in it, and so has a mark of a chart; neither changes anything.
const offered = `[...document.querySelectorAll("main button:not([aria-expanded]), aside button:not([aria-expanded]), dialog button, main input, aside input, main textarea")]
	.filter(e => e.getClientRects().length && !e.disabled && !e.closest(".chart-marks")).map(e => (e.innerText || "") + " " + (e.getAttribute("aria-label") || e.closest("label")?.innerText || ""))
	.filter(s => /STRICT|PERMISSIVE|DISABLE|unset|undo|take back|apply|preview|save|discard|compare|write|\bnew\b|rotate/i.test(s)).join("; ")`

// offersNothing looks at every view, and at the details of a node and a connection, on both sizes.
func (s *stage) offersNothing() {
	b := s.b
	const node = "node:service/bookings.backyards-demo.svc.cluster.local"
	for _, p := range []place{
		{name: "overview", view: "overview"}, {name: "connection", view: "graph", pairs: []string{"sel", bookingsEdge}},
		{name: "node", view: "table", pairs: []string{"list", "services", "sel", node}}, {name: "security", view: "security"},
		{name: "policies", view: "security", pairs: []string{"tab", "policies"}},
		{name: "file", view: "security", pairs: []string{"file", filepath.Join(s.m.dir, "bookings.yaml")}},
		{name: "changes", view: "changes", then: func(b *browser) { b.press(`main button[aria-expanded="false"]`, "disable") }},
	} {
		for _, on := range []screen{wide, narrow} {
			b.look(on)
			b.open(s.address(p.view, p.pairs...))
			b.settled()
			if p.then != nil {
				p.then(b)
			}
			if bad := eval[string](b, offered); bad != "" {
				b.t.Errorf("%s on a %s screen offers: %s", p.name, on, bad)
			}
		}
	}
	b.look(wide)
	b.open(s.address("security"))
	b.see("This dashboard is read-only")
	b.until("the modes are shown all the same", row("bookings")+".length > 0 && document.body.innerText.includes('DISABLE')")
	b.press("header button", "Settings")
	b.see("read only")
}

// typedAddresses are those that lead to what a read-only dashboard does not have.
func (s *stage) typedAddresses() {
	b := s.b
	b.open(s.address("security", "file", filepath.Join(s.m.dir, "bookings.yaml"), "line", "3"))
	b.see("the file is shown, and cannot be changed here")
	b.until("the text", `document.querySelector(".cm-content")?.innerText.includes("kind: Service")`)
	eval[bool](b, `document.querySelector(".cm-content").focus(), true`)
	b.keys("xyzzy")
	if text := eval[string](b, `document.querySelector(".cm-content").innerText`); strings.Contains(text, "xyzzy") {
		b.t.Error("what somebody types changes the text")
	}
	for _, template := range []string{"namespace", "draft"} {
		b.open(s.address("security", "file", filepath.Join(s.m.dir, "new.yaml"), "new", template, "ns", "backyards-demo"))
		b.see("Nothing can be written here")
		b.see("This dashboard is read-only")
	}
	b.press("main a", "All files")
	b.until("the list", `location.search === "?tab=policies" && document.body.innerText.includes("mesh-policy.yaml")`)
}

// refuses sends what a page could, from the page.
func (s *stage) refuses() {
	b := s.b
	for path, body := range map[string]string{
		"mtls": `{"verb": "require", "resource": "backyards-demo"}`, "edit": `{"files": []}`, "undo": `{"name": "x"}`, "ca/rotate": `{"step": "prepare"}`,
	} {
		got := eval[string](b, `fetch("/api/v1/meshes/`+s.m.name+`/`+path+`", {method: "POST", body: `+quoted(body)+`, headers: {"Oarlock-Client": "dashboard", "Content-Type": "application/json"}})
			.then(async r => r.status + " " + await r.text())`)
		if !strings.HasPrefix(got, "403") || !strings.Contains(got, "this dashboard is read-only") {
			b.t.Errorf("POST %s: %s", path, got)
		}
	}
}
