package casefile

import (
	"regexp"
	"testing"
)

// FuzzParse: whatever the text, Parse ends, and its error names file and line; what it takes can be run.
func FuzzParse(f *testing.F) {
	f.Add("oarlock cases 1\ndialect 1.4\nmesh\n  a: b\ncase a t\nlenient\neval w -> f|v:80 at x\n  status OK\n  reason policy wins Policy a/b port\n")
	f.Add("oarlock cases 1\ncase a\ncompat outside -> 10.0.0.1:80\n  row \"MAY CONFLICT\" - - - -\ninbound w:80 mtls alpn=a,b\n  outcome tcp\n")
	f.Add("oarlock cases 1\nuse x\ncase a\nproblem \"x\" error\nvisible a b yes\nmode w:1\n  min 1.2\n")
	place := regexp.MustCompile(`^f\.txt:[1-9]\d*: `)
	f.Fuzz(func(t *testing.T, text string) {
		file, err := Parse("f.txt", []byte(text))
		if err != nil {
			if !place.MatchString(err.Error()) {
				t.Errorf("error without file and line: %v", err)
			}
			return
		}
		for _, r := range Run(file, openShop) {
			_ = r.String()
		}
	})
}
