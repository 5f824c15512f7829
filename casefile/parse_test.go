package casefile

import (
	"os"
	"strings"
	"testing"

	"github.com/oarlock/oarlock/mesh"
)

// TestParseErrors holds every text that Parse refuses; each error begins with file and line, and says what to write.
func TestParseErrors(t *testing.T) {
	const head = "oarlock cases 1\n"
	for _, tc := range []struct{ name, text, want string }{
		{"empty", "", `f.txt:1: the first line is "", want "oarlock cases 1"`},
		{"other version", "oarlock cases 2\n", `f.txt:1: the first line is "oarlock cases 2"`},
		{"no case", head + "dialect 1.4\n", "f.txt:3: no case"},
		{"case without id", head + "case\n", "f.txt:2: case: want an id"},
		{"same id", head + "case a\nvisible x y yes\ncase a\n", "f.txt:4: case a: the case of line 2 has the same id"},
		{"expects nothing", head + "\n# c\ncase a\n", "f.txt:4: case a expects nothing"},
		{"statement expects nothing", head + "case a\neval w -> f:80\n\ncase b\n", "f.txt:3: eval expects nothing: add an indented line with one of status,"},
		{"unknown word", head + "case a\nevel w -> f:80\n", `f.txt:3: unknown word "evel" (did you mean "eval"?)`},
		{"far word", head + "case a\nquestion\n", `f.txt:3: unknown word "question"; want one of case, dialect,`},
		{"unknown key", head + "case a\neval w -> f:80\n  statsu OK\n", `f.txt:4: eval: unknown key "statsu" (did you mean "status"?)`},
		{"unknown value", head + "case a\neval w -> f:80\n  status FINE\n", `f.txt:4: eval status: unknown value "FINE"; want one of OK, AUTO,`},
		{"near value", head + "case a\neval w -> f:80\n  server STRIKT\n", `f.txt:4: eval server: unknown value "STRIKT" (did you mean "STRICT"?)`},
		{"server unset", head + "case a\neval w -> f:80\n  server UNSET\n", `f.txt:4: eval server: unknown value "UNSET"`},
		{"cause", head + "case a\neval w -> f:80\n  cause plaintxt-strict\n", `f.txt:4: eval cause: unknown value "plaintxt-strict" (did you mean "plaintext-strict"?)`},
		{"key of another statement", head + "case a\nmode w:80\n  wire mTLS\n", `f.txt:4: mode: unknown key "wire"`},
		{"key twice", head + "case a\neval w -> f:80\n  status OK\n  status AUTO\n", "f.txt:5: eval: key status given twice"},
		{"policy of a wrong kind", head + "case a\neval w -> f:80\n  policy DestinationRule ns1/a\n", "f.txt:4: eval policy: want none, or Policy or MeshPolicy or PeerAuthentication and a name"},
		{"rule without kind", head + "case a\neval w -> f:80\n  rule ns1/a\n", "f.txt:4: eval rule: want none, or DestinationRule"},
		{"count", head + "case a\neval w -> f:80\n  refused few\n", `f.txt:4: eval refused: want a number, got "few"`},
		{"no value", head + "case a\neval w -> f:80\n  sni\n", "f.txt:4: eval sni: want a value"},
		{"protocol", head + "case a\neval w -> f:80\n  protocol HTTP TPC\n", `f.txt:4: eval protocol: unknown value "TPC"`},
		{"protocol words", head + "case a\neval w -> f:80\n  protocol a b c\n", "f.txt:4: eval protocol: want a protocol"},
		{"endpoint short", head + "case a\neval w -> f:80\n  endpoint e1 wire\n", "f.txt:4: eval endpoint: want WORKLOAD KEY VALUE"},
		{"endpoint key", head + "case a\neval w -> f:80\n  endpoint e1 wires mTLS\n", `f.txt:4: eval endpoint: unknown key "wires" (did you mean "wire"?)`},
		{"endpoint value", head + "case a\neval w -> f:80\n  endpoint e1 sends mTLS\n", `f.txt:4: eval endpoint: unknown value "mTLS"`},
		{"reason short", head + "case a\neval w -> f:80\n  reason policy\n", "f.txt:4: eval reason: want STEP"},
		{"reason step", head + "case a\neval w -> f:80\n  reason polices wins\n", `f.txt:4: eval reason: unknown value "polices" (did you mean "policy"?)`},
		{"reason name", head + "case a\neval w -> f:80\n  reason policy wins Policy\n", "f.txt:4: eval reason: want the name of the Policy"},
		{"reason cause", head + "case a\neval w -> f:80\n  reason policy loses Policy ns1/a older\n", `f.txt:4: eval reason: unknown value "older"`},
		{"reason tie", head + "case a\neval w -> f:80\n  reason policy loses Policy ns1/a younger age\n", `f.txt:4: eval reason: unknown value "age"`},
		{"reason long", head + "case a\neval w -> f:80\n  reason policy loses Policy ns1/a younger oldest x\n", "f.txt:4: eval reason: more words"},
		{"row", head + "case a\ncompat w -> f:80\n  row MAY CONFLICT mTLS HTTP - -\n", "f.txt:4: compat row: want the five words STATUS SERVER CLIENT POLICY RULE (quote those with blanks), got 6"},
		{"row quote", head + "case a\ncompat w -> f:80\n  row \"MAY CONFLICT mTLS\n", "f.txt:4: compat row: quote without its end"},
		{"outcome", head + "case a\ninbound w:80 mtls\n  outcome ok\n", `f.txt:4: inbound outcome: unknown value "ok"`},
		{"no arrow", head + "case a\neval w f:80\n", "f.txt:3: eval: want CLIENT -> HOST:PORT"},
		{"at nowhere", head + "case a\neval w -> f:80 on e1\n", "f.txt:3: eval: want CLIENT -> HOST:PORT"},
		{"no port", head + "case a\neval w -> f\n", `f.txt:3: eval: target "f": want HOST:PORT`},
		{"door port", head + "case a\nmode w:http\n", `f.txt:3: mode: "w:http": the port is not a number`},
		{"door", head + "case a\nmode w\n", `f.txt:3: mode: "w": want WORKLOAD:PORT`},
		{"mode words", head + "case a\nmode w:80 x\n", "f.txt:3: mode: want WORKLOAD:PORT"},
		{"attempt missing", head + "case a\ninbound w:80\n", "f.txt:3: inbound: want WORKLOAD:PORT and one of plaintext, tls, mtls"},
		{"attempt", head + "case a\ninbound w:80 mtsl\n", `f.txt:3: inbound: unknown attempt "mtsl" (did you mean "mtls"?)`},
		{"attempt alpn", head + "case a\ninbound w:80 plaintext alpn=istio\n", `f.txt:3: inbound: unknown word "alpn=istio"`},
		{"visible", head + "case a\nvisible w f maybe\n", "f.txt:3: visible: want CLIENT SERVICE yes"},
		{"problem", head + "case a\nproblem\n", "f.txt:3: problem: want a part of its message"},
		{"problem severity", head + "case a\nproblem \"x\" eror\n", `f.txt:3: problem: unknown value "eror" (did you mean "error"?)`},
		{"problem quote", head + "case a\nproblem \"x\n", "f.txt:3: problem: quote without its end"},
		{"statement before case", head + "eval w -> f:80\n", "f.txt:2: eval before the first case"},
		{"want before statement", head + "case a\n  status OK\n", `f.txt:3: indented line "status OK" belongs to nothing`},
		{"dialect", head + "dialect 1.5\n", `f.txt:2: parse dialect "1.5": want one of auto,`},
		{"dialect missing", head + "dialect\n", "f.txt:2: dialect: want one or more of"},
		{"dialect twice", head + "dialect 1.1 1.1\n", "f.txt:2: dialect 1.1: named twice"},
		{"dialect again", head + "dialect 1.1\ndialect 1.2\n", "f.txt:3: dialect: said before"},
		{"use", head + "use\n", "f.txt:2: use: want the path"},
		{"lenient", head + "lenient yes\n", "f.txt:2: lenient: want nothing"},
		{"mesh word", head + "mesh foo.yaml\n", "f.txt:2: mesh: want nothing after the word"},
		{"mesh empty", head + "mesh\n\n# no\ncase a\n", "f.txt:4: mesh: want YAML on the next lines"},
		{"mesh tab", head + "mesh\n  a: b\n\tc: d\n", "f.txt:4: mesh: want YAML indented by two spaces"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f, err := Parse("f.txt", []byte(tc.text))
			if err == nil {
				t.Fatalf("Parse took it: %+v", f)
			}
			if !strings.HasPrefix(err.Error(), tc.want) {
				t.Errorf("error is\n%s\nwant\n%s", err, tc.want)
			}
		})
	}
}

func TestParse(t *testing.T) {
	const text = "\ufefforlock"
	if _, err := Parse("f.txt", []byte(text)); err == nil {
		t.Error("a text that is no case file was taken")
	}
	f, err := Parse("d/f.txt", []byte("\ufeffoarlock cases 1\r\ndialect 1.1 current\r\nuse a.yaml\r\n# c\r\n"+
		"case a the first  case\r\nmesh\r\n  a: b\r\n\r\n# c\r\n  c: d\r\neval w -> f:80\r\n  client   - \r\n"+
		"case b\nlenient\ndialect auto\nproblem \"two words\" warning\n"))
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Cases) != 2 || f.Cases[0].ID != "a" || f.Cases[0].Title != "the first  case" || f.Cases[0].Line != 5 {
		t.Fatalf("cases are %+v", f.Cases)
	}
	if got := f.shared.dialects; len(got) != 2 || got[0] != mesh.Dialect11 || got[1] != mesh.DialectCurrent {
		t.Errorf("dialects are %v", got)
	}
	if b := f.Cases[0].given.blocks; len(b) != 1 || b[0] != (block{5, 10}) {
		t.Errorf("mesh blocks are %v, want the one of lines 6 to 10", b)
	}
	if s := f.Cases[0].statements[0]; s.line != 11 || len(s.wants) != 1 || s.wants[0] != (want{12, "client", "-"}) {
		t.Errorf("statement is %+v", s)
	}
	if s := f.Cases[1].statements[0]; !f.Cases[1].given.lenient || s.args[0] != "two words" || s.args[1] != "warning" {
		t.Errorf("statement is %+v", s)
	}
}

// TestDocs fails when a word of the format is not in the reference for users.
func TestDocs(t *testing.T) {
	data, err := os.ReadFile("../docs/cases.md")
	if err != nil {
		t.Fatal(err)
	}
	doc := string(data)
	for _, verb := range verbNames() {
		if !strings.Contains(doc, "## `"+verb+" ") {
			t.Errorf("docs/cases.md has no section on %s", verb)
		}
		for _, k := range keysOf(verb) {
			if !strings.Contains(doc, "`"+k+"`") && !strings.Contains(doc, "`"+k+" ") && !strings.Contains(doc, "\n  "+k+" ") {
				t.Errorf("docs/cases.md does not name %s of %s", k, verb)
			}
		}
	}
	for _, list := range [][]string{statusWords(), serverWords(), wireWords(), clientWords(), causeWords()[1:], enumSteps()} {
		for _, w := range list {
			if !strings.Contains(doc, "`"+w+"`") {
				t.Errorf("docs/cases.md does not name %q", w)
			}
		}
	}
}
