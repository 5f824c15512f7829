package plan

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/oarlock/oarlock/api"
	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/meshtest"
	"github.com/oarlock/oarlock/metrics"
	"github.com/oarlock/oarlock/resolve"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "write what the cases give as what they want")

// TestCases runs testdata/*.txt. A case is an archive of these files:
//
//	dialect      the generation of Istio; current without it
//	both.yaml    objects of both meshes
//	before.yaml  objects of the mesh before the change alone
//	after.yaml   likewise after it
//	calls        declared calls, each NAMESPACE/NAME (a Deployment, or outside) HOST[:PORT][|SUBSET] [NAMESPACE OF HOST]
//	flows        traffic, each REPORTER CLIENT HOST:PORT requests=R connections=C
//	want         the answer: counts, then one line and one sentence for each effect
func TestCases(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d cases, %v", len(files), err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) { runCase(t, name) })
	}
}

func runCase(t *testing.T, name string) {
	ar, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	part := map[string]string{"dialect": "current"}
	for _, f := range ar.Files {
		part[f.Name] = string(f.Data)
	}
	d, err := mesh.ParseDialect(strings.TrimSpace(part["dialect"]))
	if err != nil {
		t.Fatal(err)
	}
	before := meshtest.Snapshot(t, part["both.yaml"]+"\n---\n"+part["before.yaml"], d)
	after := meshtest.Snapshot(t, part["both.yaml"]+"\n---\n"+part["after.yaml"], d)
	known := Known{Calls: parseCalls(t, part["calls"]), Observed: parseFlows(t, part["flows"])}
	got := printed(Compare(resolve.New(before), resolve.New(after), known))
	if got == part["want"] {
		return
	}
	if !*update {
		t.Fatalf("got:\n%s\nwant:\n%s", got, part["want"])
	}
	for i := range ar.Files {
		if ar.Files[i].Name == "want" {
			ar.Files[i].Data = []byte(got)
		}
	}
	if err := os.WriteFile(name, txtar.Format(ar), 0o644); err != nil {
		t.Fatal(err)
	}
}

func clientOf(word string) mesh.Ref {
	ns, name, ok := strings.Cut(word, "/")
	if !ok {
		return mesh.Ref{}
	}
	return mesh.Ref{Kind: mesh.KindDeployment, Namespace: ns, Name: name}
}

func parseCalls(t *testing.T, text string) []Call {
	t.Helper()
	var out []Call
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) == 2 {
			words = append(words, "")
		}
		if len(words) != 3 {
			t.Fatalf("call %q: want CLIENT HOST[:PORT][|SUBSET] [NAMESPACE]", line)
		}
		target, subset, _ := strings.Cut(words[1], "|")
		host, port, _ := strings.Cut(target, ":")
		n, _ := strconv.ParseUint(port, 10, 32)
		out = append(out, Call{Client: clientOf(words[0]), Host: host, Namespace: words[2], Port: uint32(n), Subset: subset})
	}
	return out
}

func parseFlows(t *testing.T, text string) *metrics.Observation {
	t.Helper()
	if text == "" {
		return nil
	}
	end := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	out := &metrics.Observation{Start: end.Add(-time.Minute), End: end, Newest: end.Add(-time.Second)}
	for line := range strings.Lines(text) {
		var f metrics.Flow
		var reporter, client, target string
		if _, err := fmt.Sscanf(line, "%s %s %s requests=%f connections=%f", &reporter, &client, &target, &f.Requests, &f.Connections); err != nil {
			t.Fatalf("flow %q: %v", line, err)
		}
		if reporter == "destination" {
			f.Reporter = metrics.Destination
		}
		ref := clientOf(client)
		f.Source.Namespace, f.Source.Workload = ref.Namespace, ref.Name
		host, port, _ := strings.Cut(target, ":")
		n, _ := strconv.ParseUint(port, 10, 16)
		f.Service.Host, f.Port = host, uint16(n)
		out.Flows = append(out.Flows, f)
	}
	return out
}

// printed is an impact as the cases have it.
func printed(i *api.Impact) string {
	var b strings.Builder
	fmt.Fprintf(&b, "breaks=%d opens=%d mends=%d locks=%d same=%d", i.Breaks, i.Opens, i.Mends, i.Locks, i.Same)
	if i.Observed != nil {
		fmt.Fprintf(&b, " observed=%s", i.Observed.End.Sub(i.Observed.Start))
	}
	b.WriteString("\n")
	for k := range i.Effects {
		e := &i.Effects[k]
		fmt.Fprintf(&b, "%s %s", e.Kind, e.Client)
		if e.Alike != 1 {
			fmt.Fprintf(&b, " x%d", e.Alike)
		}
		fmt.Fprintf(&b, " -> %s:%d [%s] => [%s]", e.Host, e.Port, sideWord(&e.Before), sideWord(&e.After))
		if e.Declared {
			b.WriteString(" declared")
		}
		if Seen(e) {
			fmt.Fprintf(&b, " requests=%g connections=%g", e.Requests, e.Connections)
		}
		fmt.Fprintf(&b, "\n  %s\n", e.Text)
	}
	return b.String()
}

func sideWord(s *api.Side) string {
	if s.Status == "" {
		return "none"
	}
	out := fmt.Sprintf("%s %s %s %s", s.Status, s.Server, s.Mode, s.Wire)
	for _, p := range []*api.Place{s.Policy, s.Rule} {
		if p == nil {
			out += " -"
			continue
		}
		out += fmt.Sprintf(" %s@%d", p.Name, p.Line)
	}
	return out
}
