package oarlock_test

import (
	"bufio"
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/oarlock/oarlock"

// rules says who may import whom: "a: b c" lets a import b and c of this module and nothing else of it; * is anything.
// Packages that do not exist yet are here too, so that they find their place when they come.
//
// This is policy. A failing test means that an import goes against the grain, or that the work has shown a better cut;
// then the table changes in the same commit as the code, with the reason.
const rules = `
	.:

	# Nouns and leaves.
	mesh:
	ca:
	svid:
	sniff:
	accesslog:
	metrics:
	probe:
	bootstrap:
	api:
	demoapp:
	examples:

	# Text in, text out.
	manifest: mesh
	yamldir:  mesh manifest
	kube:     mesh manifest

	# Judgement: pure, no input and no output.
	resolve:  mesh
	casefile: mesh manifest resolve
	change:   mesh manifest resolve
	vet:      mesh manifest resolve change
	plan:     mesh resolve metrics api
	migrate:  mesh resolve change plan metrics
	diagnose: mesh resolve accesslog
	report:   mesh resolve metrics
	graph:    mesh resolve metrics probe api

	# The data plane.
	proxy:      sniff accesslog metrics
	xdsclient:  proxy
	# A sidecar probes as its workload, so that no key leaves it.
	sidecar:    bootstrap svid xdsclient proxy accesslog metrics probe
	envoyadmin:

	# The control plane, and what runs on one machine.
	# What it sends as a log format is what accesslog writes and reads: one text.
	xds:       mesh resolve accesslog
	local:     mesh bootstrap
	telemetry: metrics
	web:       api mesh manifest resolve vet change plan migrate graph probe metrics accesslog
	control:   web api mesh manifest resolve vet change plan migrate graph probe metrics accesslog ca xds

	# Commands.
	cmd/oarlock:       *
	cmd/oarlock-proxy: sidecar

	# Tests only.
	meshtest: mesh manifest ca bootstrap
	e2e:      *
`

// testsOnly are the packages that no code but tests may import.
var testsOnly = []string{"meshtest", "e2e"}

// testsToo are the packages that tests of any package may import besides: a test's mesh is written as YAML, and a test of TLS
// needs an identity.
var testsToo = []string{"meshtest", "casefile", "manifest", "svid"}

// fences keep heavy modules in one place. A sidecar that links a Kubernetes client idles at twice the memory.
const fences = `
	k8s.io/client-go:                      kube
	github.com/prometheus/prometheus:      telemetry
	github.com/envoyproxy/go-control-plane: xds xdsclient
	github.com/spf13/cobra:                cmd/oarlock
	istio.io/istio:
`

// A goPackage is one folder with Go files, read once for all tests of this file.
type goPackage struct {
	path        string // within the module; "." for the root
	name        string
	files       []*goFile
	codeLines   int
	testLines   int // of _test.go files and of text cases in testdata
	packageDocs []string
}

// A goFile is one parsed file.
type goFile struct {
	path  string
	test  bool
	lines int
	set   *token.FileSet
	tree  *ast.File
}

// imports lists the import paths of the file.
func (f *goFile) imports() []string {
	var out []string
	for _, spec := range f.tree.Imports {
		out = append(out, strings.Trim(spec.Path.Value, `"`))
	}
	return out
}

// readPackages reads every package of the module, in order of path. Nested modules and testdata are other houses.
func readPackages(t *testing.T) []*goPackage {
	t.Helper()
	found := map[string]*goPackage{}
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return enterFolder(p, d.Name())
		}
		if !strings.HasSuffix(p, ".go") {
			return nil
		}
		dir := path.Dir(filepath.ToSlash(p))
		if found[dir] == nil {
			found[dir] = &goPackage{path: dir, testLines: caseLines(t, dir)}
		}
		return found[dir].read(p)
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) < 5 {
		t.Fatalf("found %d packages: the walk is broken", len(found))
	}
	var out []*goPackage
	for _, p := range slices.Sorted(maps.Keys(found)) {
		out = append(out, found[p])
	}
	return out
}

func enterFolder(p, name string) error {
	if p == "." {
		return nil
	}
	if name == "testdata" || name == "node_modules" || strings.HasPrefix(name, ".") {
		return filepath.SkipDir
	}
	if _, err := os.Stat(filepath.Join(p, "go.mod")); err == nil {
		return filepath.SkipDir
	}
	return nil
}

// caseLines counts the lines of the text cases that test a package.
func caseLines(t *testing.T, dir string) int {
	t.Helper()
	root := filepath.Join(dir, "testdata")
	if _, err := os.Stat(root); err != nil {
		return 0
	}
	n := 0
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(p, ".txt") {
			return err
		}
		b, err := os.ReadFile(p)
		n += bytes.Count(b, []byte("\n"))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (p *goPackage) read(name string) error {
	src, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if bytes.HasPrefix(src, []byte("//go:build ignore\n")) {
		return nil // a program of its own, run by go generate
	}
	set := token.NewFileSet()
	tree, err := parser.ParseFile(set, name, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	f := &goFile{path: name, test: strings.HasSuffix(name, "_test.go"), lines: bytes.Count(src, []byte("\n")), set: set, tree: tree}
	p.files = append(p.files, f)
	if f.test {
		p.testLines += f.lines
		return nil
	}
	p.name = tree.Name.Name
	p.codeLines += f.lines
	if tree.Doc != nil {
		p.packageDocs = append(p.packageDocs, tree.Doc.Text())
	}
	return nil
}

// parseRules reads "a: b c" lines.
func parseRules(t *testing.T, text string) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	scan := bufio.NewScanner(strings.NewReader(text))
	for scan.Scan() {
		line := strings.TrimSpace(scan.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, rest, ok := strings.Cut(line, ":")
		if _, twice := out[name]; !ok || twice {
			t.Fatalf("rule %q: want one line `package: imports`", line)
		}
		out[name] = strings.Fields(rest)
	}
	return out
}

func TestRulesNameKnownPackages(t *testing.T) {
	allowed := parseRules(t, rules)
	for name, imports := range allowed {
		for _, i := range imports {
			if _, ok := allowed[i]; !ok && i != "*" {
				t.Errorf("rule for %s names %s, which has no rule of its own", name, i)
			}
		}
	}
	for _, p := range readPackages(t) {
		if _, ok := allowed[p.path]; !ok {
			t.Errorf("package %s has no import rule: give it a place in the table", p.path)
		}
	}
}

func TestRulesHaveNoCycle(t *testing.T) {
	allowed := parseRules(t, rules)
	state := map[string]int{} // 1: on the way down, 2: done
	var visit func(name string, way []string)
	visit = func(name string, way []string) {
		if state[name] == 1 {
			t.Errorf("import cycle in the rules: %s", strings.Join(append(way, name), " -> "))
		}
		if state[name] != 0 {
			return
		}
		state[name] = 1
		for _, i := range allowed[name] {
			if i != "*" {
				visit(i, append(way, name))
			}
		}
		state[name] = 2
	}
	for _, name := range slices.Sorted(maps.Keys(allowed)) {
		visit(name, nil)
	}
}

func TestImports(t *testing.T) {
	allowed := parseRules(t, rules)
	for _, p := range readPackages(t) {
		for _, f := range p.files {
			for _, i := range f.imports() {
				target, ours := strings.CutPrefix(i, module+"/")
				if !ours || mayImport(allowed[p.path], p.path, target, f.test) {
					continue
				}
				t.Errorf("%s: %s may not import %s (rules in arch_test.go)", f.path, p.path, target)
			}
		}
	}
}

func mayImport(allowed []string, from, to string, test bool) bool {
	if from == to || test && slices.Contains(testsToo, to) {
		return true
	}
	if slices.Contains(testsOnly, to) {
		return slices.Contains(testsOnly, from)
	}
	return slices.Contains(allowed, to) || slices.Contains(allowed, "*")
}

func TestFences(t *testing.T) {
	for fenced, inside := range parseRules(t, fences) {
		for _, p := range readPackages(t) {
			if slices.Contains(inside, p.path) {
				continue
			}
			for _, f := range p.files {
				for _, i := range f.imports() {
					if i == fenced || strings.HasPrefix(i, fenced+"/") {
						t.Errorf("%s: imports %s, which is fenced to %q", f.path, i, inside)
					}
				}
			}
		}
	}
}

// TestSidecarStaysLean holds that what lies beside every workload links neither a Kubernetes client nor a time series
// database, by way of whatever package.
func TestSidecarStaysLean(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "./cmd/oarlock-proxy").Output()
	if err != nil {
		t.Fatalf("list what oarlock-proxy links: %v", err)
	}
	found := strings.Fields(string(out))
	if !slices.Contains(found, module+"/sidecar") {
		t.Fatalf("%d packages, and not sidecar: the list is broken", len(found))
	}
	for _, p := range found {
		for _, heavy := range []string{"k8s.io/", "github.com/prometheus/prometheus/", "github.com/spf13/cobra", "database/sql"} {
			if strings.HasPrefix(p+"/", heavy) {
				t.Errorf("cmd/oarlock-proxy links %s", p)
			}
		}
	}
}

func TestPackageComments(t *testing.T) {
	for _, p := range readPackages(t) {
		if p.name == "" {
			continue // tests alone
		}
		if len(p.packageDocs) != 1 {
			t.Errorf("package %s has %d package comments, want exactly one", p.path, len(p.packageDocs))
			continue
		}
		doc := p.packageDocs[0]
		if p.name != "main" && !strings.HasPrefix(doc, "Package "+p.name+" ") {
			t.Errorf("package %s: its comment begins %.40q", p.path, doc)
		}
	}
}

func TestExportedNamesAreDocumented(t *testing.T) {
	for _, p := range readPackages(t) {
		for _, f := range p.files {
			if f.test {
				continue
			}
			for _, d := range f.tree.Decls {
				for _, name := range undocumented(d) {
					t.Errorf("%s: %s has no comment", f.set.Position(d.Pos()), name)
				}
			}
		}
	}
}

// undocumented lists the exported names of a declaration that no comment speaks of. A comment above a group counts for
// its members; methods count where their receiver is exported.
func undocumented(d ast.Decl) []string {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Doc == nil && d.Name.IsExported() && exportedReceiver(d) {
			return []string{d.Name.Name}
		}
	case *ast.GenDecl:
		var out []string
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				if s.Name.IsExported() && d.Doc == nil && s.Doc == nil {
					out = append(out, s.Name.Name)
				}
			case *ast.ValueSpec:
				for _, n := range s.Names {
					if n.IsExported() && d.Doc == nil && s.Doc == nil && s.Comment == nil {
						out = append(out, n.Name)
					}
				}
			}
		}
		return out
	}
	return nil
}

func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	typ := d.Recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	if index, ok := typ.(*ast.IndexExpr); ok {
		typ = index.X
	}
	name, ok := typ.(*ast.Ident)
	return ok && name.IsExported()
}

// The budgets of a readable house. Tests have only the limit of a file.
const (
	maxFileLines   = 800
	maxMeanLines   = 20
	longLines      = 80
	maxLongPercent = 3
	maxParameters  = 5
)

func TestFilesAreShort(t *testing.T) {
	for _, p := range readPackages(t) {
		for _, f := range p.files {
			if f.lines > maxFileLines {
				t.Errorf("%s has %d lines, at most %d: split it by subject", f.path, f.lines, maxFileLines)
			}
		}
	}
}

func TestFunctionsAreShort(t *testing.T) {
	var functions, lines int
	var long []string
	for _, p := range readPackages(t) {
		for _, f := range p.files {
			if f.test {
				continue
			}
			for _, d := range f.tree.Decls {
				fn, ok := d.(*ast.FuncDecl)
				if !ok {
					continue
				}
				at := f.set.Position(fn.Pos())
				n := f.set.Position(fn.End()).Line - at.Line + 1
				functions, lines = functions+1, lines+n
				if n > longLines {
					long = append(long, at.String()+" "+fn.Name.Name)
				}
				if c := fn.Type.Params.NumFields(); c > maxParameters {
					t.Errorf("%s: %s has %d parameters, at most %d", at, fn.Name.Name, c, maxParameters)
				}
			}
		}
	}
	if mean := float64(lines) / float64(functions); mean > maxMeanLines {
		t.Errorf("functions have %.1f lines on average, at most %d", mean, maxMeanLines)
	}
	if len(long)*100 > functions*maxLongPercent {
		t.Errorf("%d of %d functions have more than %d lines, at most %d %%:\n%s",
			len(long), functions, longLines, maxLongPercent, strings.Join(long, "\n"))
	}
}

func TestNoInit(t *testing.T) {
	for _, p := range readPackages(t) {
		for _, f := range p.files {
			for _, d := range f.tree.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
					t.Errorf("%s: init function: a reader cannot follow the call", f.set.Position(fn.Pos()))
				}
			}
		}
	}
}

// TestNoMutablePackageVariables holds that a package variable is set where it is declared and never again. It goes by
// names and does not look inside what a variable points to, so a table is fine as long as nobody writes to it by name.
func TestNoMutablePackageVariables(t *testing.T) {
	for _, p := range readPackages(t) {
		vars := p.variables()
		for _, f := range p.files {
			if f.test {
				continue
			}
			for _, d := range f.tree.Decls {
				fn, ok := d.(*ast.FuncDecl)
				if !ok || fn.Body == nil {
					continue
				}
				local := localNames(fn)
				for _, id := range written(fn.Body) {
					if vars[id.Name] && !local[id.Name] {
						t.Errorf("%s: %s writes to the package variable %s", f.set.Position(id.Pos()), fn.Name.Name, id.Name)
					}
				}
			}
		}
	}
}

// variables names the package variables that code, not tests, declares.
func (p *goPackage) variables() map[string]bool {
	out := map[string]bool{}
	for _, f := range p.files {
		for _, d := range f.tree.Decls {
			if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.VAR && !f.test {
				for _, spec := range g.Specs {
					for _, n := range spec.(*ast.ValueSpec).Names {
						out[n.Name] = true
					}
				}
			}
		}
	}
	return out
}

// localNames names whatever a function declares, its parameters included; such a name may hide a package variable.
func localNames(fn *ast.FuncDecl) map[string]bool {
	out := map[string]bool{}
	ast.Inspect(fn, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Field:
			for _, id := range n.Names {
				out[id.Name] = true
			}
		case *ast.ValueSpec:
			for _, id := range n.Names {
				out[id.Name] = true
			}
		case *ast.AssignStmt:
			for _, e := range n.Lhs {
				if id, ok := e.(*ast.Ident); ok && n.Tok == token.DEFINE {
					out[id.Name] = true
				}
			}
		case *ast.RangeStmt:
			for _, e := range []ast.Expr{n.Key, n.Value} {
				if id, ok := e.(*ast.Ident); ok && n.Tok == token.DEFINE {
					out[id.Name] = true
				}
			}
		}
		return true
	})
	return out
}

// written lists the names at the root of whatever a body assigns to, counts up or down, or takes the address of.
func written(body *ast.BlockStmt) []*ast.Ident {
	var out []*ast.Ident
	add := func(e ast.Expr) {
		if id := rootName(e); id != nil && id.Name != "_" {
			out = append(out, id)
		}
	}
	ast.Inspect(body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			if n.Tok != token.DEFINE {
				for _, e := range n.Lhs {
					add(e)
				}
			}
		case *ast.IncDecStmt:
			add(n.X)
		case *ast.UnaryExpr:
			if n.Op == token.AND {
				add(n.X)
			}
		}
		return true
	})
	return out
}

// rootName gives a of a, a.b, a[i] and *a.
func rootName(e ast.Expr) *ast.Ident {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x
		case *ast.SelectorExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		default:
			return nil
		}
	}
}

// wellTested are the packages whose judgement everything else trusts: tests and text cases outweigh the code.
var wellTested = []string{"resolve", "vet", "plan", "graph", "sniff", "proxy", "ca"}

func TestJudgementIsWellTested(t *testing.T) {
	for _, p := range readPackages(t) {
		if slices.Contains(wellTested, p.path) && p.testLines < p.codeLines {
			t.Errorf("package %s has %d lines of tests and cases for %d of code", p.path, p.testLines, p.codeLines)
		}
	}
}
