package change

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/diff"

	"github.com/oarlock/oarlock/manifest"
	"github.com/oarlock/oarlock/mesh"
)

var update = flag.Bool("update", false, "write what the cases give into testdata")

// TestCases runs testdata/case/*.txt. Each is a txtar archive. Lines of its head that do not start with # are run in order:
//
//	dialect 1.3                      reads the mesh for that generation
//	include shop                     adds testdata/shop.yaml
//	require shop/api:80 --clients    a verb; what it prints is compared with the archive's `want`, and Verify must agree
//	get shop/api                     the policies in force
//	list                             every policy
//	same                             the files must be what they were at first
//
// All other files of the archive are manifests.
func TestCases(t *testing.T) {
	names, err := filepath.Glob("testdata/case/*.txt")
	if err != nil || len(names) < 10 {
		t.Fatalf("found %d cases: %v", len(names), err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) { runCase(t, name) })
	}
}

func runCase(t *testing.T, name string) {
	in := readArchive(t, name)
	d := &desk{t: t}
	want := -1
	for i, f := range in.files {
		if f.name == "want" {
			want = i
			continue
		}
		d.files = append(d.files, manifest.File{Name: f.name, Data: f.data})
	}
	d.first = slices.Clone(d.files)
	for line := range strings.Lines(string(in.head)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			d.run(line)
		}
	}
	if *update {
		if want < 0 {
			want = len(in.files)
			in.files = append(in.files, archiveFile{name: "want"})
		}
		in.files[want].data = d.out.Bytes()
		if err := os.WriteFile(name, in.bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want < 0 {
		t.Fatal("no file `want`; run with -update and read it")
	}
	if got, expected := d.out.Bytes(), in.files[want].data; !bytes.Equal(got, expected) {
		t.Errorf("%s", diff.Diff("want", expected, "got", got))
	}
}

// desk is a directory of manifests in memory.
type desk struct {
	t            testing.TB
	dialect      mesh.Dialect
	files, first []manifest.File
	out          bytes.Buffer
}

func (d *desk) load() *mesh.Snapshot {
	d.t.Helper()
	s, problems := manifest.Load(d.files, manifest.Options{Dialect: d.dialect, Lenient: true})
	for _, p := range problems {
		if p.Severity == mesh.Error {
			d.t.Fatal(p.Error())
		}
	}
	return s
}

func (d *desk) run(line string) {
	d.t.Helper()
	words := strings.Fields(line)
	switch words[0] {
	case "dialect":
		dialect, err := mesh.ParseDialect(words[1])
		if err != nil {
			d.t.Fatal(err)
		}
		d.dialect = dialect
	case "include":
		data, err := os.ReadFile("testdata/" + words[1] + ".yaml")
		if err != nil {
			d.t.Fatal(err)
		}
		d.files = append(d.files, manifest.File{Name: words[1] + ".yaml", Data: data})
		d.first = slices.Clone(d.files)
	case "same":
		d.same()
	case "get":
		d.get(words[1])
	case "list":
		fmt.Fprintf(&d.out, "# list\n")
		for _, r := range List(d.load()) {
			state := "in force"
			if !r.InForce {
				state = r.Reason
			}
			fmt.Fprintf(&d.out, "%s %v %s %s: %s\n", r.PolicyWord(), r.Targets, r.ModeWord(), r.Scope, state)
		}
	default:
		d.change(line, words)
	}
}

func (d *desk) get(resource string) {
	d.t.Helper()
	r, err := ParseResource(resource)
	if err != nil {
		d.t.Fatal(err)
	}
	rules, err := InForce(d.load(), r)
	fmt.Fprintf(&d.out, "# get %s\n", resource)
	if err != nil {
		fmt.Fprintf(&d.out, "%v\n", err)
	}
	for _, r := range rules {
		fmt.Fprintf(&d.out, "%s %v %s\n", r.PolicyWord(), r.Targets, r.ModeWord())
	}
}

// change runs a verb, prints what it has to say, checks the outcome and keeps it.
func (d *desk) change(line string, words []string) {
	d.t.Helper()
	v, err := ParseVerb(words[0])
	if err != nil {
		d.t.Fatal(err)
	}
	r, err := ParseResource(words[1])
	if err != nil {
		d.t.Fatal(err)
	}
	fmt.Fprintf(&d.out, "# %s\n", line)
	plan, edits, err := d.plan(v, r, slices.Contains(words, "--clients"))
	var refusal *Refusal
	if errors.As(err, &refusal) {
		fmt.Fprintf(&d.out, "refused: %v\n", err)
		if refusal.Try != "" {
			fmt.Fprintf(&d.out, "try: %s\n", refusal.Try)
		}
		return
	}
	if err != nil {
		d.t.Fatalf("%s: %v", line, err)
	}
	for _, n := range plan.Notes {
		fmt.Fprintf(&d.out, "note: %s\n", n.Text)
		if n.Try != "" {
			fmt.Fprintf(&d.out, "try: %s\n", n.Try)
		}
	}
	for _, c := range plan.Conflicts {
		rule := "no rule"
		if !c.Rule.IsZero() {
			rule = c.Rule.String()
		}
		fmt.Fprintf(&d.out, "conflict: %s, %d clients, %s, %s\n", c, len(c.Clients), rule, c.Cause)
	}
	d.out.WriteString(manifest.Diff(edits))
	if plan.Empty() {
		fmt.Fprintf(&d.out, "nothing to do\n")
	}
}

// plan makes a change and takes it over; everything is checked that can be checked of any plan.
func (d *desk) plan(v Verb, r Resource, clients bool) (*Plan, []manifest.FileEdit, error) {
	d.t.Helper()
	before := d.load()
	plan, err := MTLS(before, v, r, Options{Clients: clients})
	if err != nil {
		return nil, nil, err
	}
	if clients && len(plan.Conflicts) > 0 {
		d.t.Errorf("%s %s --clients leaves conflicts: %v", v, r, plan.Conflicts)
	}
	edits, err := manifest.Apply(d.files, plan.Changes)
	if err != nil {
		return nil, nil, err
	}
	after, _ := manifest.Load(Edited(d.files, edits), manifest.Options{Dialect: before.Dialect, Lenient: true})
	if err := Verify(before, after, plan); err != nil {
		return nil, nil, err
	}
	d.files = Edited(d.files, edits)
	again, err := MTLS(d.load(), v, r, Options{Clients: clients})
	if err != nil {
		d.t.Errorf("%s %s again: %v", v, r, err)
	} else if !again.Empty() {
		d.t.Errorf("%s %s again: %d more changes: %+v", v, r, len(again.Changes), again.Changes)
	}
	return plan, edits, nil
}

// same demands the bytes of the beginning.
func (d *desk) same() {
	d.t.Helper()
	if len(d.files) != len(d.first) {
		d.t.Errorf("%d files, want %d", len(d.files), len(d.first))
	}
	for _, f := range d.first {
		i := slices.IndexFunc(d.files, func(g manifest.File) bool { return g.Name == f.Name })
		if i < 0 {
			d.t.Errorf("%s is gone", f.Name)
		} else if !bytes.Equal(d.files[i].Data, f.Data) {
			d.t.Errorf("%s", diff.Diff("first", f.Data, "now", d.files[i].Data))
		}
	}
}
