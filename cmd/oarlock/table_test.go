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
			optional: []string{"SEEN"}, cuts: []cut{{"BY", 8, keepEnd}, {"SOURCE", 9, keepEnd}}}
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

// TestTableOf80Columns: what the commands of a running mesh print fits a terminal of the usual width, also with long names,
// and rows that differ look different; a pipe gets every cell whole.
func TestTableOf80Columns(t *testing.T) {
	const pod, ns, id = "notifications-v1-genial-ridgeback", "backyards-demo", "spiffe://cluster.local/ns/backyards-demo/sa/notifications"
	const at, host = "2026-11-22T12:53:57Z", "notifications.backyards-demo.svc.cluster.local"
	other := strings.Replace(pod, "ridgeback", "sloth", 1)
	kinds := map[string]configKind{}
	for _, k := range configKinds() {
		kinds[k.name] = k
	}
	ca := []string{"SLOT", "AUTHORITY", "ORIGIN", "SINCE", "NOT AFTER", "NEXT STEP"}
	for name, c := range map[string]struct {
		header []string
		narrow func(*table)
		rows   [][]string
		has    string
	}{
		"ps": {[]string{"NAMESPACE", "NAME", "READY", "STATUS", "RESTARTS", "AGE", "IP", "SIDECAR"}, narrowPs,
			[][]string{{ns, pod, "2/2", "Running", "0", "2m3s", "10.244.10.123", "not connected"}, {ns, other, "2/2", "Running", "0", "2m3s", "10.244.10.124", "in force"}}, "notifications"},
		"cert list": {[]string{"NAMESPACE", "NAME", "IDENTITY", "NOT AFTER", "RENEWAL", "STATUS"}, narrowCerts,
			[][]string{{ns, pod, id, at, at, "valid"}, {"other-namespace", other, id + "2", at, at, "expired"}}, at},
		"ca":          {ca, narrowCA, [][]string{{"active", "2eaf377e663e341e", "self-made", at, at, "-"}}, "2eaf377e663e341e"},
		"ca rotating": {ca, narrowCA, [][]string{{"prepared", "2eaf377e663e341e", "self-made", at, at, "activate by itself, from " + at + " on"}}, "from 2026-11-22T12:53"},
		"listener": {kinds["listener"].header, kinds["listener"].narrow, [][]string{
			{"0.0.0.0", "15006", "Port: 8080; Trans: tls; App: istio,istio-peer-exchange,istio-http/1.0,istio-http/1.1,istio-h2", "Cluster: inbound|8080||"},
			{"10.196.100.200", "8083", "ALL", "Cluster: outbound|8083||" + host}}, "Cluster: outbound|8083||"},
		"route":    {kinds["route"].header, kinds["route"].narrow, [][]string{{"8080", host + ":8080", "notifications + 10 more", "/*", "notifications." + ns}}, ":8080"},
		"endpoint": {kinds["endpoint"].header, kinds["endpoint"].narrow, [][]string{{"10.244.100.101:8080", "HEALTHY", "OK", "istio", "outbound|8080||" + host}}, "10.244.100.101:8080"},
		"secret":   {kinds["secret"].header, kinds["secret"].narrow, [][]string{{"default", "Cert Chain", "ACTIVE", "true", strings.Repeat("37f2", 10), at, at, "cluster.local"}, {"ROOTCA", "CA", "ACTIVE", "true", strings.Repeat("37f2", 10), at, at, "-"}}, at},
		"cluster":  {kinds["cluster"].header, kinds["cluster"].narrow, [][]string{{host, "8080", "v1", "outbound", "ORIGINAL_DST", "destrule-notifications." + ns}}, "notifications.b"},
		"proxy-status": {[]string{"NAME", "CLUSTER", "CDS", "LDS", "EDS", "RDS", "ISTIOD"}, narrowNodes, [][]string{
			{pod + "." + ns, "Kubernetes", "SYNCED", "NOT SENT", "SYNCED", "NOT SENT", "informed-quetzal"}, {other + "." + ns, "Kubernetes", "SYNCED", "SYNCED", "SYNCED", "SYNCED", "informed-quetzal"}}, "notifications"},
		"tls-check": {tlsCheckHeader(), narrowTLSCheck, [][]string{{host + ":8080", "CONFLICT", "PERMISSIVE", "ISTIO_MUTUAL", ns + "/require-everywhere", ns + "/destrule-notifications"}}, ":8080"},
	} {
		for _, width := range []int{0, 80} {
			tab := &table{header: c.header, padding: plainPadding, width: width}
			c.narrow(tab)
			for _, row := range c.rows {
				tab.add(append([]string(nil), row...)...)
			}
			got := render(t, tab)
			lines := strings.Split(strings.TrimSuffix(got, "\n"), "\n")
			for _, line := range lines {
				if n := len([]rune(line)); width > 0 && n > width {
					t.Errorf("%s: a line has %d columns:\n%s", name, n, got)
				}
			}
			if !strings.Contains(got, c.has) || len(lines) > 2 && lines[1] == lines[2] {
				t.Errorf("%s at %d columns lacks %q, or its rows are alike:\n%s", name, width, c.has, got)
			}
			if width == 0 && strings.Contains(got, "…") {
				t.Errorf("%s is shortened in a pipe:\n%s", name, got)
			}
		}
	}
}

// TestTableTrimsNamespace: a namespace that all names share goes before names are cut.
func TestTableTrimsNamespace(t *testing.T) {
	tab := &table{header: []string{"SOURCE", "DESTINATION"}, padding: plainPadding, width: 40, namespace: "shop"}
	tab.add("web-v1-calm-otter.shop", "cart-and-more.shop|v1:8080")
	tab.add("web-v1-calm-heron.shop", "api.example.com:443")
	want := "SOURCE             DESTINATION\nweb-v1-calm-otter  cart-and-more|v1:8080\nweb-v1-calm-heron  api.example.com:443\n"
	if got := render(t, tab); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
