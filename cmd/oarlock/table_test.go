package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestShorten(t *testing.T) {
	const host = "productpage.bookinfo.svc.cluster.local:9080"
	for _, c := range []struct {
		width   int
		s, want string
	}{
		{43, host, host},
		{42, host, "productpage.bookinfo.svc.cluster.loc…:9080"},
		{26, host, "productpage.bookinfo…:9080"},
		{16, host, "productpag…:9080"},
		{27, "productpage.bookinfo.svc.cluster.local|v1:9080", "productpage.bookin…|v1:9080"},
		{4, "abcdefgh", "abc…"},
		{3, "x:123456", "x:…"},
	} {
		if got := shorten(c.s, c.width); got != c.want {
			t.Errorf("shorten(%q, %d) = %q, want %q", c.s, c.width, got, c.want)
		}
	}
}

func render(t *testing.T, tab *table) string {
	t.Helper()
	var b bytes.Buffer
	if err := tab.write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func sample(width int) *table {
	tab := &table{header: []string{"HOST:PORT", "STATUS", "RULE"}, padding: tlsCheckPadding, width: width}
	tab.add("foo.bar.svc.cluster.local:8000", "OK", "-")
	tab.add("a-very-long-name.bar.svc.cluster.local:8000", "CONFLICT", "rule/bar")
	return tab
}

func TestTableInAPipe(t *testing.T) {
	want := `HOST:PORT                                       STATUS       RULE
foo.bar.svc.cluster.local:8000                  OK           -
a-very-long-name.bar.svc.cluster.local:8000     CONFLICT     rule/bar
`
	for _, width := range []int{0, 200, 69} {
		if got := render(t, sample(width)); got != want {
			t.Errorf("width %d:\n%s\nwant\n%s", width, got, want)
		}
	}
}

func TestTableOnANarrowTerminal(t *testing.T) {
	got := render(t, sample(52))
	for line := range strings.Lines(got) {
		if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > 52 {
			t.Errorf("a line has %d columns: %s", n, line)
		}
	}
	if !strings.Contains(got, "…:8000  CONFLICT  rule/bar\n") || !strings.Contains(got, "foo.bar.svc.cluster.local:8000 ") {
		t.Errorf("got\n%s", got)
	}
	if got := render(t, sample(10)); !strings.Contains(got, "a-very-long-name.bar…:8000  CONFLICT  rule/bar\n") {
		t.Errorf("where nothing fits, name and namespace stay:\n%s", got)
	}
}

func TestTableColours(t *testing.T) {
	tab := sample(0)
	tab.paint = func(_ int, cell string) string { return statusColour(cell) }
	got := render(t, tab)
	if !strings.Contains(got, "\x1b[31mCONFLICT\x1b[0m     rule/bar") {
		t.Errorf("CONFLICT is not red, or its padding is wrong: %q", got)
	}
	plain := strings.NewReplacer("\x1b[31m", "", "\x1b[32m", "", "\x1b[0m", "").Replace(got)
	if plain != render(t, sample(0)) {
		t.Errorf("colours move columns:\n%s", plain)
	}
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"web.shop":        "web.shop",
		"naïve …":         "naïve …",
		"a\x1b[31mb":      `a\u001b[31mb`,
		"a\nb":            `a\u000ab`,
		"a\u202eb":        `a\u202eb`,
		"bad \xff utf-8":  `bad \ufffd utf-8`,
		"tab\tand\r":      `tab\u0009and\u000d`,
		"\u009b31m":       `\u009b31m`,
		"no-break\u00a0x": `no-break\u00a0x`,
	} {
		if got := clean(in); got != want {
			t.Errorf("clean(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestYAML(t *testing.T) {
	in := `{"b": "on", "a": ["no", "1.1", "x: y", "", "null", "2"], "n": 3, "e": {}, "l": [], "t": true, "nil": null, "multi": "a\nb", "date": "2001-01-01"}`
	want := `b: "on"
a:
  - "no"
  - "1.1"
  - 'x: y'
  - ""
  - "null"
  - "2"
"n": 3
e: {}
l: []
t: true
nil: null
multi: |-
  a
  b
date: "2001-01-01"
`
	var b bytes.Buffer
	if err := jsonToYAML(&b, []byte(in)); err != nil {
		t.Fatal(err)
	}
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

// TestTableDrops: on a narrow terminal a column that says nothing goes first, then columns are cut in their order, each at
// the side that tells rows apart; in a pipe nothing happens.
func TestTableDrops(t *testing.T) {
	make := func(width int) string {
		tab := &table{header: []string{"SOURCE", "DESTINATION", "SEEN", "BY"}, padding: plainPadding, width: width,
			optional: []string{"SEEN"}, cuts: []cut{{"BY", 8, true}, {"SOURCE", 9, true}}}
		tab.add("generator.default", "productpage.bookinfo:9080", "-", "call (shop.yaml:10:2)")
		var b strings.Builder
		if err := tab.write(&b); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	for width, want := range map[int]string{
		0:  "SOURCE              DESTINATION                 SEEN   BY\ngenerator.default   productpage.bookinfo:9080   -      call (shop.yaml:10:2)\n",
		70: "SOURCE             DESTINATION                BY\ngenerator.default  productpage.bookinfo:9080  call (shop.yaml:10:2)\n",
		55: "SOURCE             DESTINATION                BY\ngenerator.default  productpage.bookinfo:9080  …ml:10:2)\n",
		46: "SOURCE     DESTINATION                BY\n….default  productpage.bookinfo:9080  …l:10:2)\n",
	} {
		if got := make(width); got != want {
			t.Errorf("at %d columns\n%s\nwant\n%s", width, got, want)
		}
	}
}
