package graph

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/oarlock/oarlock/manifest"
	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/meshtest"
	"github.com/oarlock/oarlock/metrics"
	"github.com/oarlock/oarlock/resolve"
)

// example reads one of examples/, with traffic on every declared call, as its verdict says, from the destination.
func example(t testing.TB, name string) *Graph {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("..", "examples", name, "*.yaml"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("example %s: %d files, %v", name, len(paths), err)
	}
	var files []manifest.File
	for _, p := range paths {
		b, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, manifest.File{Name: filepath.Base(p), Data: b})
	}
	snap, _ := manifest.Load(files, manifest.Options{})
	g := Build(resolve.New(snap))
	g.Observe(Witnesses{Now: noon, Observed: asDeclared(g)})
	return g
}

func asDeclared(g *Graph) *metrics.Observation {
	o := &metrics.Observation{Start: noon.Add(-time.Minute), End: noon, Newest: noon}
	for i := range g.Edges {
		e := &g.Edges[i]
		from, to := g.Node(e.From), g.Node(e.To)
		if e.Declared == nil || len(to.Endpoints) == 0 || from.Capture == mesh.CaptureNone {
			continue
		}
		f := metrics.Flow{Source: metrics.Peer{Workload: from.Name, Namespace: from.Namespace}, Reporter: metrics.Destination,
			Service: metrics.Service{Host: strings.TrimPrefix(e.To, "service/")}, Port: uint16(e.Port), Protocol: "http"}
		behind := g.Node(to.Endpoints[0])
		f.Destination = metrics.Peer{Workload: behind.Name, Namespace: behind.Namespace}
		switch e.Declared.Verdict.Wire {
		case resolve.WireRefused:
			f.Failures, f.Causes = 2, []metrics.CauseRate{{Cause: metrics.CausePlaintextToTLS, Failures: 2}}
		case resolve.WireMTLS:
			f.Requests, f.Security = float64(3+i), metrics.SecurityMutualTLS
		default:
			f.Requests, f.Errors, f.Security = float64(3+i), 0.5, metrics.SecurityNone
		}
		o.Flows = append(o.Flows, f)
	}
	return o
}

func drawSVG(t testing.TB, g *Graph, theme Theme) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := g.WriteSVG(&b, theme); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestExamplesAreDrawn(t *testing.T) {
	for i, name := range []string{"bookinfo", "backyards", "challenges", "foo-bar"} {
		t.Run(name, func(t *testing.T) {
			g := example(t, name)
			checkLayout(t, g, g.Layout(nil))
			checkSums(t, g)
			got := drawSVG(t, g, Theme(i%2))
			checkSVG(t, got)
			meshtest.Golden(t, filepath.Join("testdata", name+".svg.txt"), got)
			var dot, mermaid, js bytes.Buffer
			if err := errors.Join(g.WriteDOT(&dot), g.WriteMermaid(&mermaid), g.WriteJSON(&js)); err != nil {
				t.Fatal(err)
			}
			if name == "foo-bar" {
				meshtest.Golden(t, filepath.Join("testdata", name+".json.txt"), js.Bytes())
			}
			meshtest.Golden(t, filepath.Join("testdata", name+".dot.txt"), dot.Bytes())
			meshtest.Golden(t, filepath.Join("testdata", name+".mermaid.txt"), mermaid.Bytes())
		})
	}
}

// checkSVG wants well-formed XML of the few elements and attributes that we draw with: nothing that runs, loads or styles.
func checkSVG(t *testing.T, b []byte) {
	t.Helper()
	elements := map[string]bool{"svg": true, "title": true, "defs": true, "marker": true, "path": true, "rect": true, "text": true, "g": true, "circle": true}
	attributes := map[string]bool{}
	for _, a := range strings.Fields("xmlns width height viewBox role font-family font-size font-weight id refX refY markerWidth " +
		"markerHeight orient d fill x y rx r stroke stroke-width stroke-dasharray stroke-linecap stroke-linejoin paint-order " +
		"text-anchor marker-end transform") {
		attributes[a] = true
	}
	d := xml.NewDecoder(bytes.NewReader(b))
	for {
		token, err := d.Token()
		if err == io.EOF {
			return
		}
		if err != nil {
			t.Fatalf("read it again: %v", err)
		}
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		if !elements[start.Name.Local] {
			t.Errorf("element %s", start.Name.Local)
		}
		for _, a := range start.Attr {
			if !attributes[a.Name.Local] || strings.Contains(strings.ToLower(a.Value), "javascript") ||
				strings.Contains(a.Value, "url(") && !strings.HasPrefix(a.Value, "url(#to-") {
				t.Errorf("attribute %s=%q", a.Name.Local, a.Value)
			}
		}
	}
}

// TestNothingFromAFileRuns puts into every string that a manifest or a request can carry what would break out of one.
func TestNothingFromAFileRuns(t *testing.T) {
	const evil = `"'><script>alert(1)</script><a href="javascript:alert(2)" onload=alert(3)>` + "\x00\x1b[31m\u202e\ufffe]]>&amp;"
	g := chain()
	for i := range g.Nodes {
		n := &g.Nodes[i]
		n.Name, n.Version, n.App, n.Mode = evil, evil, evil, evil
		n.Findings = []Finding{{evil, SeverityError, evil}}
		if n.Kind != NodeNamespace {
			continue
		}
		n.ID, n.Namespace = "namespace/a", "a"
	}
	for i := range g.Edges {
		e := &g.Edges[i]
		e.Reason, e.Subset, e.Lock = evil, evil, Lock(i)
		e.Observed = &Observed{Requests: 1, Known: 1, Protocol: evil}
		e.Findings = []Finding{{evil, SeverityWarning, evil}}
	}
	g.Trouble = evil
	b := drawSVG(t, g, Light)
	checkSVG(t, b)
	for _, bad := range []string{"<script", "<a ", "\x00", "\x1b", "\u202e"} {
		if bytes.Contains(b, []byte(bad)) {
			t.Errorf("it has %q", bad)
		}
	}
	if !bytes.Contains(b, []byte("&lt;script&gt;")) {
		t.Error("the name is not shown")
	}
}

// contrast is that of WCAG 2 between two colours.
func contrast(t *testing.T, a, b string) float64 {
	t.Helper()
	luminance := func(c string) float64 {
		n, err := strconv.ParseUint(strings.TrimPrefix(c, "#"), 16, 32)
		if err != nil || len(c) != 7 {
			t.Fatalf("%q is no colour", c)
		}
		sum := 0.0
		for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
			v := float64(n>>(16-8*i)&255) / 255
			if v <= 0.03928 {
				v /= 12.92
			} else {
				v = math.Pow((v+0.055)/1.055, 2.4)
			}
			sum += weight * v
		}
		return sum
	}
	x, y := luminance(a), luminance(b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

func TestColoursStandOut(t *testing.T) {
	for _, theme := range []Theme{Light, Dark} {
		p := theme.palette()
		seen := map[string]Lock{}
		for l, c := range p.lock {
			if other, ok := seen[c]; ok {
				t.Errorf("theme %d: %s and %s have one colour", theme, Lock(l), other)
			}
			seen[c] = Lock(l)
		}
		for _, c := range append([]string{p.text, p.muted, p.nodeLine}, p.lock[:]...) {
			for _, ground := range []string{p.ground, p.box, p.node} {
				if k := contrast(t, c, ground); k < 4.5 {
					t.Errorf("theme %d: %s on %s has a contrast of %.1f", theme, c, ground, k)
				}
			}
		}
	}
}

// TestLocksDifferInShape draws each lock without its colour.
func TestLocksDifferInShape(t *testing.T) {
	colour := regexp.MustCompile(`#[0-9a-f]{6}`)
	seen := map[string]Lock{}
	for l := range LockBroken + 1 {
		p := &picture{c: Light.palette()}
		p.lock(l, Point{})
		shape := colour.ReplaceAllString(p.b.String(), "")
		if other, ok := seen[shape]; ok {
			t.Errorf("%s and %s have one shape", l, other)
		}
		seen[shape] = l
	}
	if (&picture{c: Light.palette()}).c.lock[LockUnknown] == Light.palette().lock[LockOpen] {
		t.Error("unknown looks like open")
	}
}

func TestCutMiddle(t *testing.T) {
	for _, c := range [][2]string{{"short", "short"}, {"exactly-10", "exactly-10"}, {"eleven-char", "eleve…char"}, {"äöüäöüäöüäöü", "äöüäö…üäöü"}} {
		if got := cutMiddle(c[0], 10); got != c[1] {
			t.Errorf("cutMiddle(%s) = %s, want %s", c[0], got, c[1])
		}
	}
}

// TestLargeGraphsAreDrawn draws random graphs in both themes, collapsed and not.
func TestLargeGraphsAreDrawn(t *testing.T) {
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 4))
		g := randomGraph(r, 1+r.IntN(9), r.IntN(150), r.IntN(600))
		for _, h := range []*Graph{g, g.Collapse(), g.Collapse("ns1")} {
			checkSVG(t, drawSVG(t, h, Theme(seed%2)))
			for _, write := range []func(io.Writer) error{h.WriteDOT, h.WriteMermaid, h.WriteJSON} {
				if err := write(io.Discard); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestWriteErrors(t *testing.T) {
	g := chain()
	if err := g.WriteSVG(full{}, Dark); err == nil || err.Error() != "write graph: no space left" {
		t.Error(err)
	}
	if err := g.WriteJSON(full{}); err == nil || err.Error() != "write graph: no space left" {
		t.Error(err)
	}
}

func TestWords(t *testing.T) {
	d := declared(resolve.WireMTLS, resolve.StatusAuto, resolve.ServerStrict)
	for _, c := range []struct {
		e    Edge
		want string
	}{
		{Edge{Port: 80}, ":80"},
		{Edge{Port: 80, Declared: d}, ":80 AUTO"},
		{Edge{Port: 80, Subset: "v1", Declared: d}, ":80 v1 AUTO"},
		{Edge{Port: 80, Lock: LockLocked, Observed: &Observed{Requests: 12, Known: 1, MTLS: 1}}, ":80 mTLS / 12/s"},
		{Edge{Port: 80, Lock: LockMixed, Observed: &Observed{Requests: 10, Errors: 1, Known: 1, MTLS: 0.25}}, ":80 25 % / 10/s 10 % err"},
		{Edge{Port: 80, Lock: LockOpen, Observed: &Observed{Connections: 2, Known: 1}}, ":80 plain / 2/s"},
		{Edge{Port: 80, Lock: LockBroken, Observed: &Observed{Failures: 2}}, ":80 / 2/s"},
		{Edge{Port: 80, Lock: LockUnknown, Observed: &Observed{Requests: 2}}, ":80 / 2/s"},
		{Edge{Members: 7, Lock: LockOpen, Observed: &Observed{Requests: 2, Known: 1}}, "7 edges plain / 2/s"},
	} {
		if got := strings.Join(c.e.words(), " / "); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

func TestSummary(t *testing.T) {
	g := &Graph{Edges: []Edge{{Lock: LockOpen}, {Lock: LockLocked}, {Members: 3, Locks: LockCount{LockBroken: 1, LockUnknown: 2}}}}
	p := &picture{g: g}
	if got := p.summary(); got != "Service graph; connections: 1 broken, 1 open, 2 unknown, 1 locked" {
		t.Error(got)
	}
	p.g = &Graph{}
	if got := p.summary(); got != "Service graph without connections" {
		t.Error(got)
	}
}

func TestLegendSaysWhatWasMeasured(t *testing.T) {
	g := chain()
	for want, set := range map[string]func(){
		"as declared; no traffic was looked at":              func() {},
		"measured in the 60 s until 2026-11-21 12:00:00 UTC": func() { g.Start, g.End = noon.Add(-time.Minute), noon },
		"nothing was measured: it is away":                   func() { g.Trouble = "it is away" },
	} {
		g.Start, g.End, g.Trouble = time.Time{}, time.Time{}, ""
		set()
		if b := drawSVG(t, g, Light); !bytes.Contains(b, []byte(want)) {
			t.Errorf("no %q", want)
		}
	}
}

func ExampleEdge_Label() {
	e := Edge{Port: 8080, Declared: declared(resolve.WireMTLS, resolve.StatusAuto, resolve.ServerPermissive), Lock: LockMixed,
		Observed: &Observed{Requests: 40, MTLS: 0.97, Known: 1}}
	fmt.Println(e.Label())
	// Output: 8080 AUTO mixed 97 % mTLS 40/s
}
