//go:build linux

package e2e

import (
	"strings"
	"testing"
	"time"
)

// The edges of bookinfo, as the list of the graph says them. The generator runs in two more namespaces, and is then called by
// those as well.
func bookinfoEdges() []string {
	return []string{"traffic-generator-productpage to productpage port 9080", "productpage-v1 to details port 9080", "productpage-v1 to reviews port 9080", "reviews-v2 to ratings port 9080", "reviews-v3 to ratings port 9080"}
}

// A namespace goes STRICT while its clients send plaintext: what breaks, why, who says so, and the repair, by the dashboard.
func TestDashboardConflict(t *testing.T) {
	t.Parallel()
	m := up(t, "bookinfo")
	m.synced()
	s := watch(t, m, wide)
	s.scene(t, "as declared", s.allOpen)
	s.scene(t, "conflict", s.goStrict)
	s.scene(t, "unknown is not open", s.neverOpen)
	s.scene(t, "details", s.walkBack)
	s.scene(t, "one cause", s.offersToMend)
	s.scene(t, "repair", s.mendClients)
	s.scene(t, "link", s.comesBack)
}

// allOpen: without auto mTLS and without rules all is plaintext, and that is what is declared.
func (s *stage) allOpen() {
	b := s.b
	b.to("Graph")
	for _, e := range bookinfoEdges() {
		b.until(e+" is open", lock(e, "open"))
	}
	b.to("Table")
	for _, name := range []string{"productpage-v1 → details:9080", "reviews-v2 → ratings:9080"} {
		b.until(name+" is as declared", rowLock(name, "open")+" && "+row(name)+`.includes("OK PERMISSIVE")`)
	}
	if n := eval[int](b, `[...document.querySelectorAll("tbody tr")].filter(e => /error|CONFLICT/.test(e.innerText)).length`); n != 0 {
		b.t.Errorf("%d rows in conflict before anything was changed", n)
	}
}

// goStrict: a rule that sends plaintext is forgotten, and somebody makes the namespace STRICT.
func (s *stage) goStrict() {
	b := s.b
	s.m.add("bookinfo/destrule-productpage.yaml")
	s.m.synced()
	b.to("Security")
	b.press(`[aria-label="Mode of namespace bookinfo"] button`, "STRICT")
	b.until("what breaks", `[...document.querySelectorAll("dialog li")].some(e => /productpage-v1.bookinfo.*details.bookinfo:9080/s.test(e.innerText) && /plaintext.*refused/s.test(e.innerText))`)
	if !eval[bool](b, `[...document.querySelectorAll("dialog button")].find(e => e.innerText === "Apply").disabled`) {
		b.t.Error("connections break, and nobody has to agree")
	}
	enforced := s.apply(9)
	b.closeDialog()
	b.to("Graph")
	for _, e := range []string{bookinfoEdges()[0], "traffic-generator-productpage.default to productpage.bookinfo port 9080", "traffic-generator-productpage.traffic-generator to productpage.bookinfo port 9080"} {
		b.until(e+" is refused", lock(e, "broken"))
	}
	b.t.Logf("the locks are broken %v after all sidecars had the change", time.Since(enforced).Round(10*time.Millisecond))
}

// neverOpen: nobody calls what stands behind a page that fails, so that nothing is known of it.
func (s *stage) neverOpen() {
	b := s.b
	for _, e := range bookinfoEdges()[1:] {
		b.until(e+" is unknown", lock(e, "unknown"))
	}
	b.until("the counts say that none is open", `[...document.querySelectorAll("[aria-label='Edges by lock'] button")].map(e => e.innerText.split(/\s+/).join(" ")).includes("0 open")`)
	b.to("Table")
	b.until("the table says unknown", rowLock("productpage-v1 → details:9080", "unknown"))
	b.press("table a", "productpage-v1 → details:9080")
	b.until("that there was none since", `/No traffic since the verdict changed|there was no other traffic/.test(document.querySelector("aside")?.innerText)`)
	if text := eval[string](b, `document.querySelector("aside").innerText`); matches(`(?m)^open$|0 % mTLS`, text) {
		b.t.Errorf("an edge without traffic looks open:\n%s", text)
	}
}

// walkBack goes from the broken lock to all that is behind it.
func (s *stage) walkBack() {
	b := s.b
	b.press("table a", "traffic-generator-productpage → productpage:9080")
	b.see("requires mTLS and traffic-generator-productpage sends plaintext")
	b.until("causes", `document.querySelector("aside").innerText.includes("plaintext where TLS is required")`)
	for _, want := range []string{"CONFLICT", "DestinationRule bookinfo/destrule-productpage destrule-productpage.yaml:", "Policy bookinfo/default policy-default.yaml:", "503 UC", "Failed handshakes by cause"} {
		b.until("the details have "+want, `document.querySelector("aside").innerText.includes(`+quoted(want)+`)`)
	}
	if text := eval[string](b, `document.querySelector("aside").innerText`); !matches(`(?s)Why\n.*Destination rules of the client\n.*destrule-productpage.yaml:\d+.*Policies of the server\n.*policy-default.yaml:\d+`, text) {
		b.t.Errorf("the chain of reasons does not lead to files and lines:\n%s", text)
	}
	b.press("aside h3 button", "show")
	pod := s.m.pod("bookinfo", "traffic-generator")
	b.until("pods to choose", `document.querySelector("aside select[aria-label^=Pod]")`)
	eval[bool](b, `(() => { const e = document.querySelector("aside select[aria-label^=Pod]"); e.value = `+quoted("bookinfo/"+pod.Name)+`; e.dispatchEvent(new Event("change", {bubbles: true})); return true; })()`)
	tree := `[aria-label="configuration of bookinfo/` + pod.Name + `"] button`
	for _, branch := range []string{"ClustersConfigDump", "dynamic_active_clusters", "outbound|9080||productpage.bookinfo", "cluster: {", "metadata: {", "filter_metadata: {", "istio: {"} {
		b.unfold(tree, branch)
	}
	b.see("/apis/networking/v1alpha3/namespaces/bookinfo/destination-rule/destrule-productpage")
}

// unfold opens the first closed branch below the last open one whose text has the words.
func (b *browser) unfold(tree, words string) {
	b.t.Helper()
	b.until("the branch "+words, found(tree, words))
	if eval[bool](b, found(tree+`[aria-expanded="false"]`, words)+" !== null") {
		b.press(tree+`[aria-expanded="false"]`, words)
	}
}

// offersToMend: the overview puts together what one rule keeps out, and leads to the change that mends it.
func (s *stage) offersToMend() {
	b := s.b
	b.to("Overview")
	b.see("3 callers → productpage:9080")
	b.press("main button", "Mend clients…")
	b.until("the change that mends", `/Mends/.test(document.querySelector("dialog")?.innerText) && [...document.querySelectorAll("dialog [aria-label^='difference in']")].some(e => e.textContent.includes("ISTIO_MUTUAL"))`)
	b.press("dialog button", "Cancel")
	b.until("no dialog", `!document.querySelector("dialog[open]")`)
}

// mendClients asks for what is set already, and for the clients to be mended: the locks close.
func (s *stage) mendClients() {
	b := s.b
	b.to("Security")
	b.until("the mode that is set", `(`+found(`[aria-label="Mode of namespace bookinfo"] button`, "STRICT")+`)?.getAttribute("aria-pressed") === "true"`)
	b.press(`[aria-label="Mode of namespace bookinfo"] button`, "STRICT")
	b.see("There is nothing to change")
	b.press("dialog label", "Also mend clients")
	b.until("what the clients' rules become", `[...document.querySelectorAll("dialog [aria-label^='difference in']")].some(e => e.textContent.includes("ISTIO_MUTUAL"))`)
	b.until("what mends", `/Mends/.test(document.querySelector("dialog").innerText)`)
	enforced := s.apply(9)
	b.closeDialog()
	b.to("Graph")
	for _, e := range bookinfoEdges() {
		b.until(e+" is locked", lock(e, "locked"))
	}
	b.t.Logf("all locks are closed %v after all sidecars had the change", time.Since(enforced).Round(10*time.Millisecond))
	if text := s.m.read("destrule-productpage.yaml"); !strings.Contains(text, "ISTIO_MUTUAL") {
		b.t.Errorf("the rule that sent plaintext is left as it was:\n%s", text)
	}
}

// comesBack: who has logged out pastes the link into the very tab, of whose address only the fragment changes.
func (s *stage) comesBack() {
	b := s.b
	b.press("button[aria-label=Settings]", "")
	b.press(".menu-body button", "Log out")
	b.see("Or paste the link")
	eval[string](b, `location.hash = "token=of-another-mesh"`)
	b.until("that it is refused", `document.querySelector("[role=alert]")?.innerText`)
	_, fragment, _ := strings.Cut(s.m.link(), "#")
	eval[string](b, `location.hash = `+quoted(fragment))
	b.until("the dashboard", `document.querySelector("nav a") && !document.body.innerText.includes("Or paste the link") && !location.hash`)
}
