package oarlock_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// section gives a part of ARCHITECTURE.md, from its heading to the next of that level.
func section(t *testing.T, heading string) string {
	t.Helper()
	text, err := os.ReadFile("ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "\n## "+heading+"\n")
	if !found {
		t.Fatalf("ARCHITECTURE.md has no section %q", heading)
	}
	out, _, _ := strings.Cut(rest, "\n## ")
	return out
}

// TestMapsNameEveryPackage holds both maps to the tree, the one of ARCHITECTURE.md and the one of the root's comment.
func TestMapsNameEveryPackage(t *testing.T) {
	page := section(t, "The map")
	packages := readPackages(t)
	root := packages[slices.IndexFunc(packages, func(p *goPackage) bool { return p.path == "." })]
	words := regexp.MustCompile(`[\w/-]+`).FindAllString(root.packageDocs[0], -1)
	for _, p := range packages {
		if p.path != "." && !strings.Contains(page, "`"+p.path+"`") {
			t.Errorf("the map of ARCHITECTURE.md does not have %s", p.path)
		}
		if p.path != "." && !strings.HasPrefix(p.path, "cmd/") && !slices.Contains(words, p.path) {
			t.Errorf("the map of doc.go does not have %s", p.path)
		}
	}
	for _, row := range regexp.MustCompile("(?m)^\\| (`.*?) \\|").FindAllStringSubmatch(page, -1) {
		for _, name := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(row[1], -1) {
			if _, err := os.Stat(name[1]); err != nil {
				t.Errorf("the map of ARCHITECTURE.md has %s, which is not there", name[1])
			}
		}
	}
}

// picture reads the arrows of ARCHITECTURE.md: who may import whom.
func picture(t *testing.T) map[string][]string {
	t.Helper()
	text := section(t, "Who may import whom")
	alias := map[string]string{}
	for _, m := range regexp.MustCompile(`(\w+)\["([^"]+)"\]`).FindAllStringSubmatch(text, -1) {
		alias[m[1]] = m[2]
		text = strings.ReplaceAll(text, m[0], m[1])
	}
	out := map[string][]string{}
	for _, m := range regexp.MustCompile(`(?m)^ +(\w+) -\.?-?> (.+)$`).FindAllStringSubmatch(text, -1) {
		from := m[1]
		if name := alias[from]; name != "" {
			from = name
		}
		out[from] = append(out[from], strings.Split(m[2], " & ")...)
	}
	return out
}

// TestPictureShowsTheRules holds the picture to the rules and to the tree: no arrow that the rules forbid, and a way along
// arrows for each import that there is.
func TestPictureShowsTheRules(t *testing.T) {
	arrows, allowed := picture(t), parseRules(t, rules)
	if len(arrows) < 10 {
		t.Fatalf("%d packages have arrows: the reading is broken", len(arrows))
	}
	for from, list := range arrows {
		for _, to := range list {
			if _, known := allowed[to]; !known || !mayImport(allowed[from], from, to, false) {
				t.Errorf("the picture lets %s import %s, and the rules do not", from, to)
			}
		}
	}
	for _, p := range readPackages(t) {
		reached := map[string]bool{}
		for next := arrows[p.path]; len(next) > 0; next = next[1:] {
			if !reached[next[0]] {
				reached[next[0]] = true
				next = slices.Concat(next, arrows[next[0]])
			}
		}
		for _, f := range p.files {
			for _, i := range f.imports() {
				if to, ours := strings.CutPrefix(i, module+"/"); ours && !f.test && to != p.path && !reached[to] {
					t.Errorf("%s imports %s, and no arrows lead there", f.path, to)
				}
			}
		}
	}
}
