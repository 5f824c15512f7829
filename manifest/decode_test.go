package manifest

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"testing"

	sigsyaml "sigs.k8s.io/yaml"
)

// valueSeeds are texts whose values are easy to get wrong.
var valueSeeds = []string{
	"a: y\nb: n\nc: on\nd: Off\ne: YES\nf: No\ng: yEs\nh: true\ni: FALSE\nj: \"y\"\nk: 'no'\n",
	"a: 017\nb: 0o17\nc: 0x1F\nd: 0b101\ne: 1_000\nf: -12\ng: +12\nh: 08\ni: 0\nj: -0x10\nk: 12_3.4_5\n",
	"a: 1.5\nb: 1e3\nc: .5\nd: 5.\ne: -1.5E-3\nf: 1e\ng: .\nh: 1.2.3\ni: +.5\nj: -\nk: 1e400\nl: .5_0\nm: 0.1\n",
	"a: 9223372036854775807\nb: 9223372036854775808\nc: 18446744073709551616\nd: -9223372036854775809\n",
	"a: ~\nb: null\nc: Null\nd: \ne: ''\nf: NULL\ng: nULL\n",
	"a: 2026-01-31\nb: 2026-01-31T12:00:00Z\nc: 12:30:45\nd: 1:20\ne: 192.168.1.1\nf: 1.2.3-rc1\n",
	"1: a\ntrue: b\nyes: c\n1.5: d\n0x10: e\non: f\n",
	"a: !!str 12\nb: !!int \"3\"\nc: !!float 3\nd: !!bool \"yes\"\ne: !custom x\nf: !!binary aGVsbG8=\ng: !!null \"\"\n",
	"a: &x {p: 1, q: 2}\nb:\n  <<: *x\n  q: 3\nc: {q: 4, <<: *x}\nd: *x\n",
	"a: &x {p: 1}\nb: &y {p: 2, q: 3}\nc:\n  <<: [*x, *y]\n  r: 4\nd: {\"<<\": 1}\n",
	"a: |\n  one\n   two\n\nb: >\n  three\n  four\n\n  five\nc: |-\n  six\nd: |+\n  seven\n\n",
	"a: \"tab\\t\\u00e9\\x41\\U0001F600\\/\"\nb: 'it''s'\nc: plain # comment\nd: a#b\ne: 'multi\n  line'\n",
	"- 1\n- - 2\n  - 3\n- {a: [1, 2, {b: c}], d}\n-\n",
	"{\"a\": [1, 2.5, \"x\", null, true], \"b\": {\"c\": \"\\u00fc\\n\"}}",
	"? a\n: b\n? [c]\n: d\n",
	"a: .inf\n", "a: -.INF\n", "a: .nan\n", "? {a: b}\n: c\n", "~: a\n", "a: !!int x\n",
	"plain", "12", "y", "", "# nothing\n", "%YAML 1.1\n---\na: 1\n", "a:\r\n  b: 1\r\n  c: |\r\n    x\r\n    y\r\n",
	"a: *a\n", "a: &a [*a]\n", "<<: 1\n", "a: 0o\nb: 0x\nc: 0b2\nd: 1__0\ne: _1\nf: 1_\ng: 0_7\n",
}

// bareTag matches the tag "!" alone, which makes a number text in YAML and which the parser does not tell us about.
var bareTag = regexp.MustCompile(`!(\s|$|[\[\]{},])`)

// sameValue says how our reading of a text differs from that of sigs.k8s.io/yaml, where both read it.
func sameValue(t *testing.T, text string) {
	chunks := splitYAML("x", []byte(text))
	if len(chunks) != 1 || len(chunks[0].data) != len(text) || bareTag.MatchString(text) {
		return
	}
	var want any
	if err := sigsyaml.Unmarshal([]byte(text), &want); err != nil {
		return
	}
	v, err := parseChunk(chunks[0])
	if err != nil || v == nil {
		return
	}
	encoded, err := json.Marshal(v.tree())
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	var got any
	if err := json.Unmarshal(encoded, &got); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%q:\n got %#v\nwant %#v", text, got, want)
	}
}

func TestValuesAreThoseOfKubernetes(t *testing.T) {
	for _, text := range valueSeeds {
		sameValue(t, text)
		for line := range strings.Lines(text) { // so that one refused value does not hide the others
			sameValue(t, line)
		}
	}
}

// TestBothReadOrRefuse pins down that the comparison above compares something: what the reference reads we read, and what
// JSON cannot hold we refuse as it does.
func TestBothReadOrRefuse(t *testing.T) {
	ours := map[string]bool{ // refused here alone
		"1: a\ntrue: b\nyes: c\n1.5: d\n0x10: e\non: f\n": true, // "true" three times
	}
	for _, text := range valueSeeds {
		var any any
		theirs := sigsyaml.Unmarshal([]byte(text), &any)
		for _, c := range splitYAML("x", []byte(text)) {
			if _, err := parseChunk(c); (err == nil) != (theirs == nil) && !ours[text] {
				t.Errorf("%q: ours %v, theirs %v", text, err, theirs)
			}
		}
	}
}

func FuzzValues(f *testing.F) {
	for _, text := range valueSeeds {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) { sameValue(t, text) })
}

// quickSeeds are texts at the edge of what quickParse reads.
var quickSeeds = []string{
	"a:\n  b: 1\nc: d\n", "a:\n- b\n- c: d\n  e: f\n-\n- - x\n  - y\ng:\n", "---\na: b # c\n", "- a\n- b\n", "a:\n",
	"a: 'b' # c\nd: \"e\"# f\n", "a: b\n  c\n", "a: b: c\n", "a: http://b:80/c#d\n", "a:b\n", "a: -\n", "a: - b\n", "-  a: b\n   c: d\n",
	"a:\n    b: c\n  d: e\n", "a: 1\n b: 2\n", "a: [x]\n", "a: {}\n", "a: &x b\n", "a: *x\n", "a: |\n  b\n", "y: n\n1: 2\n~: 3\n1.5: 4\n",
	"a: b\na: c\n", "a: ~\nb: null\nc: .inf\nd: 1e999\n", "# x\n\na: b\n\n# y\n", "a: b\n...\n", "a: b\n---x\n", "a: <<\n<<: a\n",
	"a: b # c: d\n", "a: 'b''c'\n", "a: 'b'c\n", "a:   b   \n", "a :b\n", "a : b\n", "-\n  a: b\n", "-\n- \n", "a:\n- b\nc:\n- d\n", "a:\n-b\n",
	"a: b\n- c\n", "- a\nb: c\n", "a:\n  - b\n - c\n", " a: b\n", "  - a\n  - b: c\n", "a: 0777\nb: 1_0\n", "a: b,c]d}e\n", "a: x'y\"z\n", "--- a: b\n",
	"a: # c\n  b: d\n", "- # c\n  b: d\n", "a: # c\n- b\n", "a: b #\n", "a: #b\n", "a:\n # x\n  b: c\n # y\nd: e\n", "a: -b\nc: --\n", "-- : a\n", "a: ..\n",
	"a: [b, \"c\", 'd', 1, y]\n", "a: {b: c, d: {e: [f]}}  # g\n", "a: []\nb: {}\n- c\n", "a: [b,]\n", "a: [,]\n", "a: [b c]\n", "a: {b}\n", "a: {b: }\n", "a: {b:c}\n",
	"a: [b:80, --c=d, -e]\n", "a: [b: 80]\n", "a: [b, c]d\n", "a: [b, c]# d\n", "a: [b, c\n", "a: {\"b\": c}\n", "a: {b: c, b: d}\n", "- [a]\n- {b: c}\n", "a: [b]]\n", "a: [ - ]\n",
	"[a, b]\n", "{a: b}\n", "a: ['b''c']\n", "a: [\"b\"c]\n", "a: ['b':c]\n", "a: [-]\n", "a: [.]\n", "a: [b , c ]\n", "a: { b: c }\n", "a: [[b], {c: d}]: e\n", "a: {1: 2, y: n}\n", "a: [b]: c\n",
}

// sameParse says how quickParse differs from the full parser in what it reads: it must not, to the last position.
func sameParse(t *testing.T, text string) (quick bool) {
	for _, c := range splitYAML("x", []byte(text)) {
		got, ok := quickParse(&c)
		quick = quick || ok
		if !ok {
			continue
		}
		want, err := fullParse(c)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q:\n got %s\nwant %s (%v)", c.data, dump(got), dump(want), err)
		}
	}
	return quick
}

// dump gives a value with its places.
func dump(v *value) string {
	if v == nil {
		return "nothing"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d:%d %d %q (%d", v.line, v.col, v.kind, v.text, v.size)
	for _, f := range v.fields {
		fmt.Fprintf(&b, " %q %d:%d=%s", f.key, f.line, f.col, dump(f.val))
	}
	for _, e := range v.items {
		b.WriteString(" - " + dump(e))
	}
	return b.String() + ")"
}

func TestQuickParse(t *testing.T) {
	read := 0
	for _, text := range append(quickSeeds, valueSeeds...) {
		if sameParse(t, text) {
			read++
		}
	}
	if read < 40 {
		t.Errorf("only %d texts were read", read)
	}
	for _, d := range bigMesh(500) {
		if !sameParse(t, string(d)) {
			t.Errorf("not read:\n%s", d)
		}
	}
}

func FuzzQuickParse(f *testing.F) {
	for _, text := range append(quickSeeds, valueSeeds...) {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) { sameParse(t, text) })
}

func TestSplit(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		want       []string // "line: text" of each document
	}{
		{"one", "a: 1\n", []string{"1: a: 1\n"}},
		{"two", "a: 1\n---\nb: 2\n", []string{"1: a: 1\n", "2: ---\nb: 2\n"}},
		{"no newline at the end", "a: 1\n---\nb: 2", []string{"1: a: 1\n", "2: ---\nb: 2"}},
		{"empty documents", "---\n# nothing\n---\n\n---\na: 1\n---\n", []string{"5: ---\na: 1\n"}},
		{"comment before", "# one\n---\na: 1\n", []string{"2: ---\na: 1\n"}},
		{"content beside the marker", "--- {a: 1}\n--- # b\nb: 2\n", []string{"1: --- {a: 1}\n", "2: --- # b\nb: 2\n"}},
		{"end marker", "a: 1\n...\nb: 2\n...\n", []string{"1: a: 1\n", "3: b: 2\n"}},
		{"directive", "%YAML 1.1\n---\na: 1\n...\n%YAML 1.1\n---\nb: 2\n", []string{"1: %YAML 1.1\n---\na: 1\n", "5: %YAML 1.1\n---\nb: 2\n"}},
		{"no markers", "a: |\n  ---\n  x\nb: ---x\n", []string{"1: a: |\n  ---\n  x\nb: ---x\n"}},
		{"CRLF", "a: 1\r\n---\r\nb: 2\r\n", []string{"1: a: 1\r\n", "2: ---\r\nb: 2\r\n"}},
		{"BOM", utf8BOM + "a: 1\n", []string{"1: a: 1\n"}},
		{"JSON", "{\"a\": 1}\n{\"b\": 2} {\"c\": 3}", []string{"1: {\"a\": 1}", "2: {\"b\": 2}", "2: {\"c\": 3}"}},
		{"not JSON", "{a: 1}\n", []string{"1: {a: 1}\n"}},
		{"nothing", "", nil},
		{"blank", " \n\n# x\n", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			chunks, p := splitFile(File{Name: "x", Data: []byte(tc.text)})
			if p != nil {
				t.Fatal(p)
			}
			var got []string
			for _, c := range chunks {
				got = append(got, strings.Join([]string{string(rune('0' + c.line)), ": ", string(c.data)}, ""))
			}
			if !reflect.DeepEqual(got, tc.want) {
				t.Errorf("got %q\nwant %q", got, tc.want)
			}
		})
	}
}
