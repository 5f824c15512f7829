//go:build linux

package e2e

import (
	"fmt"
	"image"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Modes are set and unset with clicks, and the locks follow.
func TestDashboardModes(t *testing.T) {
	m := up(t, "backyards")
	m.synced()
	s := watch(t, m, wide)
	s.scene(t, "locks", s.locksFollow)
	s.scene(t, "editor", s.editFile)
	s.scene(t, "conflicting edit", s.editMeanwhile)
}

// locksFollow disables mTLS of bookings, takes it back by undo, disables it again and unsets it; a second and a third page
// watch the graph and the table.
func (s *stage) locksFollow() {
	const edge, line, group = "frontpage-v1 to bookings port 8080", "frontpage-v1 → bookings:8080", `[aria-label="Mode of service bookings in backyards-demo"] button`
	b := s.b
	drawn, listed := b.tab(wide), b.tab(wide)
	drawn.open(s.address("graph"))
	listed.open(s.address("table"))
	follow := func(what, want string, enforced time.Time) {
		b.t.Helper()
		drawn.until(what+": the graph says "+want, lock(edge, want))
		graph := time.Since(enforced)
		listed.until(what+": the table says "+want, rowLock(line, want))
		b.t.Logf("%s: all sidecars have it; the lock is %s in the graph %v later, and in the table at most %v later", what, want, graph.Round(10*time.Millisecond), time.Since(enforced).Round(10*time.Millisecond))
	}
	follow("at first", "locked", time.Now())
	before := drawn.painted("--lock-open")

	b.to("Security")
	b.press(group, "DISABLED")
	b.see("Set service bookings in backyards-demo to DISABLED")
	b.until("what opens", `[...document.querySelectorAll("dialog li")].some(e => /frontpage-v1/.test(e.innerText) && /mTLS.*plaintext/s.test(e.innerText))`)
	b.until("the diff", `[...document.querySelectorAll("dialog [aria-label^='difference in']")].some(e => /added: .*bookings/.test(e.textContent))`)
	follow("disable", "open", s.apply(9))
	s.m.eventually("pixels of the graph become red", func() (string, bool) {
		now := drawn.painted("--lock-open")
		maps.DeleteFunc(now, func(p image.Point, _ bool) bool { return before[p] }) // what fails is red too
		return fmt.Sprint(len(now)), len(now) >= 100
	})
	drawn.until("the neighbours stay as they are", lock("bookings-v1 to payments port 8080", "locked"))
	b.closeDialog()

	b.to("Changes")
	b.see("disable backyards-demo/bookings")
	b.press("button", "Undo")
	follow("undo", "locked", s.apply(9))
	b.closeDialog()

	b.to("Security")
	b.until("the mode that was taken back", `(`+found(group, "unset")+`)?.getAttribute("aria-pressed") === "true"`)
	b.press(group, "DISABLED")
	follow("disable again", "open", s.apply(9))
	b.closeDialog()
	b.press(group, "unset")
	follow("unset", "locked", s.apply(9))
	b.closeDialog()
	drawn.judge()
	listed.judge()

	file := filepath.Join(s.m.home, "s", "oarlock", "meshes", s.m.name, "control", "audit.jsonl")
	for _, what := range []string{"disable", "undo", "unset"} {
		s.m.eventually("the audit log has "+what+" by the dashboard", func() (string, bool) {
			audit, err := os.ReadFile(file)
			return fmt.Sprint(string(audit), err), matches(`(?m)^.*"who":"dashboard".*"what":"`+what+`.*$|^.*"what":"`+what+`.*"who":"dashboard"`, string(audit))
		})
	}
}

const editorField = `[role=textbox][aria-label^="text of"]`

// editFile goes from what is seen to the line that says so, breaks it, mends it, and applies another.
func (s *stage) editFile() {
	b := s.b
	b.to("Table")
	b.press("table a", "frontpage-v1 → bookings:8080")
	b.press(`aside a`, "mesh-policy.yaml:")
	b.until("the editor at its line", `location.pathname.endsWith("/security") && /file=.*mesh-policy.yaml&line=\d+/.test(decodeURIComponent(location.search)) && document.querySelector('`+editorField+`')`)
	good := s.m.read("mesh-policy.yaml")
	b.fill(editorField, strings.Replace(good, "  peers:", "  peers: [", 1))
	b.until("an error with its line", `/Problems \(\d+ errors?\)/.test(document.body.innerText)`)
	at := eval[string](b, `document.querySelector("aside[aria-label='objects and problems'] ul button").innerText`)
	if line := strings.Fields(at); len(line) == 0 || !matches(`^[78]$`, line[len(line)-1]) {
		b.t.Errorf("the problem is not at the line that is broken: %q", at)
	}
	b.fill(editorField, strings.Replace(good, "mode: PERMISSIVE", "mode: STRICT", 1))
	b.see("No problems")
	b.press("button", "Preview")
	s.apply(9)
	b.closeDialog()
	b.until("nothing that is not saved", `document.querySelector('`+editorField+`') && ![...document.querySelectorAll("main .tag")].some(e => e.innerText === "changed")`)
	if text := s.m.read("mesh-policy.yaml"); !strings.Contains(text, "mode: STRICT") || !strings.HasPrefix(text, "# ") {
		b.t.Errorf("the file has not what was written, or lost its comments:\n%s", text)
	}
}

// editMeanwhile writes in the editor, and somebody else writes to the file: neither is lost.
func (s *stage) editMeanwhile() {
	b := s.b
	b.open(s.address("security", "file", filepath.Join(s.m.dir, "mesh-policy.yaml"), "line", "9"))
	before := s.m.read("mesh-policy.yaml")
	b.fill(editorField, "# written here\n"+before)
	b.see("changed")
	s.m.write("mesh-policy.yaml", "# written by hand\n"+before)
	b.see("changed by somebody else")
	if !eval[bool](b, `[...document.querySelectorAll("button")].find(e => e.innerText === "Preview").disabled`) {
		b.t.Error("what somebody else wrote could be overwritten unseen")
	}
	b.press("button", "Keep mine, and compare")
	b.press("button", "Preview")
	s.apply(9)
	b.closeDialog()
	if text := s.m.read("mesh-policy.yaml"); !strings.HasPrefix(text, "# written here\n# The") {
		b.t.Errorf("the file has not what was written:\n%s", text)
	}
}
