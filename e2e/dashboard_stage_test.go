//go:build linux

package e2e

import (
	"bytes"
	"fmt"
	"image"
	"image/png"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
)

// A stage is a mesh that runs, and a browser that looks at its dashboard. Scenes share it.
type stage struct {
	m    *liveMesh
	b    *browser
	base string // http://127.0.0.1:PORT
}

// watch opens the dashboard of a mesh.
func watch(t testing.TB, m *liveMesh, s screen) *stage {
	t.Helper()
	b := newBrowser(t, s)
	link := m.link()
	base, _, _ := strings.Cut(link, "/#")
	b.open(link)
	b.until("the overview", `location.pathname === "/meshes/`+m.name+`/overview" && document.body.innerText.includes("Mode of the mesh")`)
	return &stage{m: m, b: b, base: base}
}

// scene runs a part of a test by name, with what is shared speaking for it.
func (s *stage) scene(t *testing.T, name string, play func()) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		before := s.m.t
		s.m.t, s.b.t = t, t
		defer func() { s.m.t, s.b.t = before, before }()
		defer s.b.judge()
		play()
	})
}

// address is where a view shows what pairs of names and values say.
func (s *stage) address(view string, pairs ...string) string {
	q := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		q.Set(pairs[i], pairs[i+1])
	}
	return strings.TrimSuffix(s.base+"/meshes/"+s.m.name+"/"+view+"?"+q.Encode(), "?")
}

// to goes to a view as a person does, by its link at the top or at the bottom.
func (b *browser) to(view string) {
	b.t.Helper()
	b.press("nav a", view)
	b.until("the view "+view, `document.title.startsWith(`+quoted(view)+`) && !document.querySelector("main .loading")`)
}

// sentence is an expression: what the list of the graph says of a node or an edge, such as "web to api port 80"; "" for none.
func sentence(of string) string {
	return `([...document.querySelectorAll("[role=option]")].map(e => e.firstElementChild?.textContent || "").find(s => s.startsWith(` + quoted(of) + `)) || "")`
}

// lock is an expression: whether the graph says that an edge has a lock.
func lock(edge, want string) string {
	return sentence(edge+": ") + ".startsWith(" + quoted(edge+": "+want) + ")"
}

// row is an expression: the text of the first row of a table that has the words, cells apart by tabs; "" for none.
func row(words string) string {
	return `([...document.querySelectorAll("tbody tr")].map(e => e.innerText).find(s => s.includes(` + quoted(words) + `)) || "")`
}

// rowLock is an expression: whether a row of connections begins with a lock.
func rowLock(words, want string) string {
	return row(words) + ".trim().startsWith(" + quoted(want) + ")"
}

// fill replaces what a field holds, as somebody who types does.
func (b *browser) fill(selector, text string) {
	b.t.Helper()
	b.until("the field "+selector, found(selector, ""))
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) { // a page that is still busy may move the cursor in between
		eval[bool](b, `(() => { const e = `+found(selector, "")+`; e.focus(); if (e.select) e.select(); else getSelection().selectAllChildren(e); return true; })()`)
		b.do("press Backspace", chromedp.KeyEvent("\b"))
		if eval[bool](b, `(() => { const e = `+found(selector, "")+`; return (e.value ?? e.innerText).trim() === ""; })()`) {
			call(b, input.InsertText, input.InsertTextParams{Text: text})
			return
		}
	}
	b.t.Fatalf("fill %s: it does not become empty", selector)
}

// keys presses keys, one after the other.
func (b *browser) keys(keys string) {
	b.t.Helper()
	b.do("press keys", chromedp.KeyEvent(keys))
}

// apply agrees to the change that the dialog shows, and waits until all sidecars have it: the time is when the page said so.
func (s *stage) apply(sidecars int) time.Time {
	s.b.t.Helper()
	s.b.until("what the change does", `document.querySelector("dialog .impact, dialog [role=alert]")`)
	if eval[bool](s.b, found("dialog label", "I know that")+" !== null") {
		s.b.press("dialog label", "I know that")
	}
	s.b.press("dialog button", "Apply")
	s.b.see(fmt.Sprintf("enforced on %d of %d sidecars", sidecars, sidecars))
	return time.Now()
}

// closeDialog closes the dialog of a change.
func (b *browser) closeDialog() {
	b.t.Helper()
	b.press("dialog button", "Close")
	b.until("no dialog", `!document.querySelector("dialog[open]")`)
}

// read gives a file of the manifests.
func (m *liveMesh) read(file string) string {
	m.t.Helper()
	text, err := os.ReadFile(filepath.Join(m.dir, file))
	if err != nil {
		m.t.Fatal(err)
	}
	return string(text)
}

// screenshot is what the page looks like.
func (b *browser) screenshot() image.Image {
	b.t.Helper()
	data, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		b.t.Fatalf("take a picture: %v", err)
	}
	out, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		b.t.Fatalf("take a picture: %v", err)
	}
	return out
}

// painted are the pixels of the graph that have a colour of the theme, such as --lock-open.
func (b *browser) painted(colour string) map[image.Point]bool {
	b.t.Helper()
	rgb := eval[[]float64](b, `(() => { const e = document.createElement("i"); e.style.color = "var(`+colour+`)"; document.body.append(e);
		const c = document.createElement("canvas").getContext("2d"); c.fillStyle = getComputedStyle(e).color; e.remove(); c.fillRect(0, 0, 1, 1);
		return [...c.getImageData(0, 0, 1, 1).data].slice(0, 3); })()`)
	box := eval[[]float64](b, `(() => { const r = document.querySelector("[role=img][aria-label^='Graph of']").getBoundingClientRect(); return [r.left, r.top, r.right, r.bottom - 60]; })()`)
	picture, out := b.screenshot(), map[image.Point]bool{}
	for y := int(box[1]); y < int(box[3]); y++ {
		for x := int(box[0]); x < int(box[2]); x++ {
			r, g, bl, _ := picture.At(x, y).RGBA()
			if near(r, rgb[0]) && near(g, rgb[1]) && near(bl, rgb[2]) {
				out[image.Pt(x, y)] = true
			}
		}
	}
	return out
}

func near(have uint32, want float64) bool {
	d := float64(have>>8) - want
	return -4 <= d && d <= 4
}
