//go:build linux

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/oarlock/oarlock/meshtest"
)

// A browser is a real Chromium with one page.
type browser struct {
	t   testing.TB
	ctx context.Context

	mu       sync.Mutex
	troubles []string // what the page's console complained of
	foreign  []string // requests that went to another host
}

// screen is what a page is looked at with.
type screen struct {
	width, height int64
	dark          bool
}

// The screens of the two sizes that everything must work at.
var wide, narrow = screen{width: 1280, height: 800}, screen{width: 390, height: 844}

// newBrowser starts Chromium until the test ends. A page that complains on its console, opens a dialog of its own, or asks
// another host for anything, fails the test.
func newBrowser(t testing.TB, s screen) *browser {
	t.Helper()
	meshtest.Require(t, "chromium", "chromium")
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.WSURLReadTimeout(patience),
		chromedp.ExecPath("/usr/bin/chromium"), chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(int(s.width), int(s.height)),
		chromedp.Flag("disable-gpu", true), chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("lang", "en"))
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium's own sandbox refuses root
	}
	alloc, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	return newPage(t, alloc, s)
}

// tab opens one more page of the same browser, which has the same session.
func (b *browser) tab(s screen) *browser {
	b.t.Helper()
	return newPage(b.t, b.ctx, s)
}

func newPage(t testing.TB, parent context.Context, s screen) *browser {
	t.Helper()
	b := &browser{t: t}
	ctx, cancel := chromedp.NewContext(parent, chromedp.WithListener(b.hear))
	b.ctx = ctx
	t.Cleanup(func() { cancel(); b.judge() })
	if err := chromedp.Do(ctx); err != nil { // the first context that runs owns the process
		t.Fatalf("start Chromium: %v", err)
	}
	call(b, log.Enable, cdp.Empty{})
	call(b, network.Enable, network.EnableParams{})
	call(b, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true}) // pages look at the mesh while they are seen
	b.look(s)
	return b
}

// look changes size and colour scheme.
func (b *browser) look(s screen) {
	b.t.Helper()
	scheme := "light"
	if s.dark {
		scheme = "dark"
	}
	b.do("set the size", chromedp.EmulateViewport(s.width, s.height))
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}})
}

// String gives such as light-wide.
func (s screen) String() string {
	scheme, size := "light", "wide"
	if s.dark {
		scheme = "dark"
	}
	if s.width < 700 {
		size = "narrow"
	}
	return scheme + "-" + size
}

// screens are the four that everything must work on.
func screens() []screen {
	return []screen{wide, {wide.width, wide.height, true}, narrow, {narrow.width, narrow.height, true}}
}

// call sends one command of the DevTools protocol.
func call[P, R any](b *browser, command cdp.Command[P, R], params P) R {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	out, err := chromedp.Call(ctx, command, params)
	if err != nil {
		b.t.Fatalf("call %s: %v", command.Method, err)
	}
	return out
}

// hear notes what the page complains of, and whom it asks.
func (b *browser) hear(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		b.troubles = append(b.troubles, fmt.Sprint(e.ExceptionDetails))
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError {
			var words []string
			for _, a := range e.Args {
				words = append(words, string(a.Value)+a.Description)
			}
			b.troubles = append(b.troubles, strings.Join(words, " "))
		}
	case *page.EventJavascriptDialogOpening:
		b.troubles = append(b.troubles, "a dialog: "+e.Message)
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError && e.Entry.Source != log.EntrySourceNetwork {
			b.troubles = append(b.troubles, e.Entry.Text)
		}
	case *network.EventRequestWillBeSent:
		if url := e.Request.URL; !strings.HasPrefix(url, "http://127.0.0.1:") && !strings.HasPrefix(url, "data:") && !strings.HasPrefix(url, "blob:") {
			b.foreign = append(b.foreign, url)
		}
	}
}

// judge fails the test for what was heard since it was asked last.
func (b *browser) judge() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.troubles {
		b.t.Errorf("the page complains: %s", s)
	}
	for _, s := range b.foreign {
		b.t.Errorf("the page asks another host: %s", s)
	}
	b.troubles, b.foreign = nil, nil
}

// do runs actions, within a time.
func (b *browser) do(what string, actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.t.Fatalf("%s: %v", what, err)
	}
}

// open goes to an address.
func (b *browser) open(url string) {
	b.t.Helper()
	b.do("open page", chromedp.Navigate(url))
}

// eval gives the value of an expression of the page.
func eval[T any](b *browser, expression string) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	out, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("evaluate %s: %v", expression, err)
	}
	return out
}

// text is what a person reads on the page.
func (b *browser) text() string {
	b.t.Helper()
	return eval[string](b, "document.body.innerText")
}

// until waits for an expression of the page to be true. One that fails, since what it looks at is not there, is not true yet.
func (b *browser) until(what, expression string) {
	b.t.Helper()
	expression = "(() => { try { return !!(" + expression + "); } catch { return false; } })()"
	for end := time.Now().Add(patience); !eval[bool](b, expression); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			b.shot("failed")
			b.t.Fatalf("wait %s for %s: it does not come\n%s", patience, what, b.text())
		}
	}
}

// see waits for a text on the page.
func (b *browser) see(text string) {
	b.t.Helper()
	b.until("the text "+text, "document.body.innerText.includes("+quoted(text)+")")
}

func quoted(s string) string {
	text, _ := json.Marshal(s) // a string always has a form
	return string(text)
}

// press clicks the first visible element of a selector whose text or label has the words, as a mouse does: where it stands
// when it has come to rest, and nothing lies over it.
func (b *browser) press(selector, words string) {
	b.t.Helper()
	b.until(fmt.Sprintf("%s with %q", selector, words), found(selector, words))
	var at []float64
	for end := time.Now().Add(patience); len(at) == 0; {
		at = eval[[]float64](b, `(async () => { const e = `+found(selector, words)+`; if (!e) return []; e.scrollIntoView({block: "center", inline: "nearest"});
			const place = () => { const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; };
			const frame = () => new Promise(f => setTimeout(f, 40));
			const before = place(); await frame(); const now = place(), top = document.elementFromPoint(...now);
			return before[0] === now[0] && before[1] === now[1] && top && (e.contains(top) || top.contains(e)) ? now : []; })()`)
		if len(at) == 0 && time.Now().After(end) {
			b.shot("failed")
			b.t.Fatalf("press %s %q: it does not come to rest, or something lies over it", selector, words)
		}
	}
	b.do("press "+words, chromedp.MouseClickXY(at[0], at[1]))
}

// found is an expression for such an element, or null.
func found(selector, words string) string {
	return `([...document.querySelectorAll(` + quoted(selector) + `)].find(e => e.getClientRects().length && !e.disabled &&
		((e.innerText || "") + " " + (e.getAttribute("aria-label") || "") + " " + (e.title || "")).includes(` + quoted(words) + `)) || null)`
}

// shot keeps a picture: of a failure where logs are kept, else where OARLOCK_SCREENSHOTS says.
func (b *browser) shot(name string) {
	b.t.Helper()
	dir := os.Getenv("OARLOCK_SCREENSHOTS")
	if name == "failed" {
		dir, name = os.Getenv("OARLOCK_E2E_LOGS"), strings.ReplaceAll(b.t.Name(), "/", "-")
	}
	if dir == "" {
		return
	}
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		b.t.Fatalf("take a picture: %v", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// link is the link to the mesh's dashboard.
func (m *liveMesh) link() string {
	m.t.Helper()
	return strings.TrimSpace(m.do("dashboard", "--mesh", m.name, "--print"))
}
