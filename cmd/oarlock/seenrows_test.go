package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oarlock/oarlock/api"
	"github.com/oarlock/oarlock/graph"
	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/metrics"
	"go.yaml.in/yaml/v3"
)

// TestCallersOfOneNameAreToldApart: in two namespaces, with a sidecar and without, and of two kinds; declared or seen alone; on a
// narrow terminal too.
func TestCallersOfOneNameAreToldApart(t *testing.T) {
	in := seenGraph()
	add := func(id, namespace, capture, kind string) {
		n := api.GraphNode{ID: id, Kind: "workload", Namespace: namespace, Name: "a-job-that-runs-at-night", Capture: capture}
		if kind != "" {
			n.Ref = &api.Place{Ref: api.Ref{Kind: kind, Namespace: namespace, Name: n.Name}}
		}
		in.Nodes = append(in.Nodes, n)
		if namespace != "shop" {
			in.Nodes = append(in.Nodes, api.GraphNode{ID: "namespace/" + namespace, Kind: "namespace", Namespace: namespace, Name: namespace})
		}
		e := in.Edges[1]
		e.ID, e.From = id, id
		in.Edges = append(in.Edges, e)
	}
	add("workload/old/a.Deployment", "old", "none", "Deployment")
	add("workload/older/a.Deployment", "older", "none", "Deployment")
	add("workload/seen/a", "seen", "sidecar", "")
	add("workload/seen-too/a", "seen-too", "sidecar", "")
	add("workload/shop/a.Deployment", "shop", "none", "Deployment")
	add("workload/shop/a.StatefulSet", "shop", "none", "StatefulSet")
	l := seenLoaded(t, map[string]any{"/v1/graph": in})
	for _, width := range []int{0, 120, 80} {
		a, out, _ := heardApp()
		a.width = width
		v := &picture{l: l, live: in, g: graphOf(in, mesh.DialectCurrent)}
		if err := a.edgeTable(v, false).write(a.stdout); err != nil {
			t.Fatal(err)
		}
		a.stdout.Flush()
		sources := map[string]bool{}
		for line := range strings.Lines(out.String()) {
			source, _, _ := strings.Cut(line, "  ")
			if sources[source] {
				t.Errorf("width %d: two are called %q:\n%s", width, source, out)
			}
			sources[source] = true
		}
		if want := "statefulset/a-job-that-runs-at-night.shop"; len(sources) != 9 || width == 0 && !sources[want] {
			t.Errorf("width %d: no %s in\n%s", width, want, out)
		}
	}
	for _, write := range []func(*graph.Graph, *bytes.Buffer) error{
		func(g *graph.Graph, b *bytes.Buffer) error { return g.WriteDOT(b) },
		func(g *graph.Graph, b *bytes.Buffer) error { return g.WriteMermaid(b) },
		func(g *graph.Graph, b *bytes.Buffer) error { return g.WriteSVG(b, graph.Dark) },
	} {
		var b bytes.Buffer
		if err := write(graphOf(in, mesh.DialectCurrent), &b); err != nil {
			t.Fatal(err)
		}
		for _, namespace := range []string{"old", "older", "seen", "seen-too"} {
			if !matchesWord(b.String(), namespace) {
				t.Errorf("no namespace %s in\n%s", namespace, b.String())
			}
		}
	}
}

// matchesWord says whether a drawing has a box that is called so.
func matchesWord(text, name string) bool {
	return strings.Contains(text, `"`+name+`"`) || strings.Contains(text, ">"+name+"<") || strings.Contains(text, `label="`+name+`"`)
}

// TestTLSCheckDocumentsHaveWhatWasSeen: JSON and YAML say what -o wide says, of a running mesh alone.
func TestTLSCheckDocumentsHaveWhatWasSeen(t *testing.T) {
	l := seenLoaded(t, map[string]any{"/v1/graph": seenGraph()})
	type document struct {
		Kind  string
		Items []struct {
			Client   struct{ Name string }
			Target   struct{ Port int }
			Status   string
			Sync     *api.Coverage
			Observed *api.Observed
			Proven   *api.Proven
		}
	}
	for _, format := range []string{"json", "yaml"} {
		for _, running := range []bool{true, false} {
			a, out, _ := heardApp()
			c := &tlsCheck{app: a, format: format, mesh: l}
			if running {
				c.seen = sightingsOf(graphOf(seenGraph(), mesh.DialectCurrent))
			}
			if err := c.printDocument(c.classes()); err != nil {
				t.Fatal(err)
			}
			a.stdout.Flush()
			text := out.Bytes()
			if format == "yaml" {
				var any any
				if err := yaml.Unmarshal(text, &any); err != nil {
					t.Fatal(err)
				}
				text, _ = json.Marshal(any)
			}
			var got document
			if err := json.Unmarshal(text, &got); err != nil {
				t.Fatal(err)
			}
			want := map[string]string{"outside": "", "api.shop": ""} // for api and web alike
			if running {
				want["outside"], want["api.shop"] = "6 0 ", "12 1 PERMISSIVE"
			}
			for _, i := range got.Items {
				said := ""
				if i.Observed != nil {
					said = fmt.Sprintf("%g %g ", i.Observed.Requests, i.Observed.MTLS)
				}
				if i.Proven != nil {
					said += i.Proven.Mode
				}
				if w, ok := want[i.Client.Name]; !ok || w != said || i.Target.Port != 8080 || i.Status == "" || i.Sync == nil {
					t.Errorf("%s, running %v: %s says %q, want %q", format, running, i.Client.Name, said, w)
				}
				delete(want, i.Client.Name)
			}
			if got.Kind != "TLSCheckList" || len(want) > 0 {
				t.Errorf("%s: nothing of %v in\n%s", format, want, out)
			}
		}
	}
}

func TestPlusSeen(t *testing.T) {
	sum := plusSeen(nil, &graph.Observed{Requests: 10, MTLS: 1, Known: 1})
	sum = plusSeen(sum, &graph.Observed{Connections: 30, MTLS: 0, Known: 1, Failures: 1, Errors: 2})
	if sum.MTLS != 0.25 || sum.Known != 1 || sum.Failures != 1 || sum.Errors != 2 || observedWord(sum) != "25% mTLS, 40/s, 20% errors, 1/s refused" {
		t.Errorf("%+v, %s", sum, observedWord(sum))
	}
	sum = plusSeen(sum, &graph.Observed{Requests: 40})
	if sum.Known != 0.5 || sum.MTLS != 0.25 {
		t.Errorf("%+v", sum)
	}
	one := &graph.Observed{Requests: 1, Received: 2, Sent: 3, P50: 4, Reporters: "source", Protocol: "http", Policies: []string{"b"}, Newest: time.Unix(9, 0),
		Start: time.Unix(5, 0), Causes: []metrics.CauseRate{{Cause: "a", Failures: 1}}, SourcePrincipals: []string{"x"}}
	two := &graph.Observed{Connections: 1, Received: 5, Sent: 7, Reporters: "destination+source", Protocol: "tcp", Policies: []string{"a"}, Newest: time.Unix(8, 0),
		Start: time.Unix(4, 0), Causes: []metrics.CauseRate{{Cause: "b", Failures: 3}, {Cause: "a", Failures: 1}}, SourcePrincipals: []string{"x"}}
	sum = plusSeen(one, two)
	if sum.Received != 7 || sum.Sent != 10 || sum.P50 != 4 || sum.Reporters != "destination+source" || sum.Protocol != "http+tcp" || !slices.Equal(sum.Policies, []string{"a", "b"}) ||
		sum.Newest != time.Unix(9, 0) || sum.Start != time.Unix(4, 0) || len(sum.Causes) != 2 || sum.Causes[0].Cause != "b" || sum.Causes[1].Failures != 2 || len(sum.SourcePrincipals) != 1 {
		t.Errorf("%+v", sum)
	}
	if both := plusSeen(one, one); both.P50 != 0 || one.Causes[0].Failures != 1 {
		t.Errorf("%+v of %+v", both, one)
	}
	if got := observedWord(&graph.Observed{Requests: 3}); got != "? mTLS, 3/s" {
		t.Errorf("nothing known: %s", got)
	}
	if got := observedWord(&graph.Observed{}); got != "-" {
		t.Errorf("nothing: %s", got)
	}
}
