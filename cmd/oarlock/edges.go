package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/oarlock/oarlock/api"
	"github.com/oarlock/oarlock/graph"
	"github.com/oarlock/oarlock/resolve"
	"github.com/spf13/cobra"
)

func newEdgesCommand(a *app) *cobra.Command {
	var window time.Duration
	cmd := &cobra.Command{
		Use:   "edges",
		Short: "Who calls whom: declared, observed, proven, and the lock",
		Long: `Who calls whom, with what is declared, observed and proven of each pair, and the
lock that comes of it: locked, mixed, open, broken or unknown.

Edges come from oarlock.dev/calls annotations, the arguments of demo
applications, the routes of gateways, and exact egress hosts of Sidecars (marked
weak: they say what a workload may call). A running mesh adds those that it saw,
and what it saw of each: the share of mTLS, requests and connections a second,
errors, and handshakes that failed. Manifests show no traffic, so with -f every
lock is unknown.`,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return runEdges(a, cmd, window) },
	}
	windowFlag(cmd, &window, time.Minute)
	return cmd
}

func runEdges(a *app, cmd *cobra.Command, window time.Duration) error {
	format, err := a.format("table", "wide", "json", "yaml")
	if err != nil {
		return err
	}
	v, err := a.graph(cmd, window)
	if err != nil {
		return err
	}
	switch {
	case format == "json" || format == "yaml":
		err = a.printEdges(format, v)
	case len(v.g.Edges) > 0:
		err = a.edgeTable(v, format == "wide").write(a.stdout)
	}
	if err != nil {
		return err
	}
	for i := range v.g.Edges {
		// That callers whom nobody can name are refused is what a policy is for.
		e := &v.g.Edges[i]
		if from := v.g.Node(e.From); from != nil && from.Kind == graph.NodeOutside {
			continue
		}
		if e.Declared != nil && a.fails(e.Declared.Verdict.Status) {
			return findings()
		}
	}
	return nil
}

// picture is who calls whom.
type picture struct {
	l    *loaded
	g    *graph.Graph
	live *api.Graph // that g was made of; nil where manifests are all there is
}

// graph gives the graph of the mesh, of -n alone where it is given, and says so where it has no edge.
func (a *app) graph(cmd *cobra.Command, window time.Duration) (*picture, error) {
	if err := checkWindow(window); err != nil {
		return nil, err
	}
	l, err := a.open(cmd.Context())
	if err != nil {
		return nil, err
	}
	v := &picture{l: l, live: a.witnesses(cmd.Context(), l, window, a.namespace())}
	if v.live != nil && v.live.Dialect != l.snap.Dialect.String() {
		a.note("oarlock: the mesh runs as Istio %s, so what was seen there is left out", v.live.Dialect)
		v.live = nil
	}
	where, ns := "", a.namespace()
	if ns != "" {
		where = " in namespace " + ns
	}
	switch {
	case v.live != nil:
		v.g = graphOf(v.live, l.snap.Dialect)
	case ns != "":
		v.g = graph.Build(l.resolver).In(ns)
	default:
		v.g = graph.Build(l.resolver)
	}
	if len(v.g.Edges) == 0 {
		also := ""
		if v.live != nil {
			also = ", and none was seen"
		}
		a.note("oarlock: no edge is declared%s%s; a workload declares its own with the annotation oarlock.dev/calls", where, also)
		a.note("try: %s tls-check", a.command())
	}
	return v, nil
}

// command is how this mesh was named, for a hint: `oarlock -f DIR`.
func (a *app) command() string {
	words := []string{"oarlock"}
	for _, f := range a.flags.files {
		words = append(words, "-f", quoteWord(f))
	}
	return strings.Join(words, " ")
}

func (a *app) edgeTable(v *picture, wide bool) *table {
	header := []string{"SOURCE", "DESTINATION", "DECLARED", "OBSERVED", "PROVEN", "LOCK"}
	if v.live != nil {
		header = append(header, "FINDINGS")
	}
	if wide {
		header = append(header, "WIRE", "AUTHN POLICY", "DESTINATION RULE", "REASON")
	}
	tab := a.table(plainPadding, append(header, "DECLARED BY")...)
	if !wide {
		tab.optional = []string{"OBSERVED", "PROVEN"}
		tab.namespace = onlyNamespace(v.g)
		tab.cuts = []cut{{"DECLARED BY", 18, keepEnd}, {"SOURCE", 14, keepBoth}, {"DESTINATION", 16, keepPort}}
		if v.live != nil {
			tab.optional, tab.spare = []string{"PROVEN"}, []string{"DECLARED BY", "FINDINGS", "PROVEN"}
			tab.cuts = []cut{{"OBSERVED", 17, keepStart}, {"DESTINATION", 21, keepPort}, {"SOURCE", 18, keepBoth}}
		}
	}
	names := nodeWords(v.g.Nodes)
	for i := range v.g.Edges {
		e := &v.g.Edges[i]
		to := names[e.To]
		if e.Subset != "" {
			to += "|" + e.Subset
		}
		if e.Port != 0 {
			to += fmt.Sprintf(":%d", e.Port)
		}
		cells := append([]string{names[e.From], to}, v.cells(e, wide)...)
		tab.add(append(cells, sourceWord(e))...)
	}
	return tab
}

// onlyNamespace is the namespace of all ends of edges that stand in one; "" where there are several.
func onlyNamespace(g *graph.Graph) string {
	ends := make(map[string]bool, len(g.Nodes))
	for i := range g.Edges {
		ends[g.Edges[i].From], ends[g.Edges[i].To] = true, true
	}
	only := ""
	for i := range g.Nodes {
		n := &g.Nodes[i]
		if !ends[n.ID] || n.Kind == graph.NodeEgress || n.Namespace == "" {
			continue
		}
		if only != "" && n.Namespace != only {
			return ""
		}
		only = n.Namespace
	}
	return only
}

// cells gives the columns between the ends of an edge and its source.
func (v *picture) cells(e *graph.Edge, wide bool) []string {
	d := v.l.snap.Dialect
	declared, wire, policy, rule, reason := "-", "-", "-", "-", e.Reason
	if e.Declared != nil {
		verdict := e.Declared.Verdict
		declared, wire = verdict.Status.String(), verdict.Wire.String()
		policy = resolve.RefWord(e.Declared.Policy.Ref, d, v.l.snap.Config.RootNamespace)
		rule = resolve.RefWord(e.Declared.Rule.Ref, d, "")
		if v.live == nil {
			reason = verdict.Cause.Clause(verdict.Wire, verdict.Client) // that no traffic is seen goes without saying
		}
	}
	cells := []string{declared, observedWord(e.Observed), provenWord(e.Proof), e.Lock.String()}
	if v.live != nil {
		cells = append(cells, findingsWord(e.Findings))
	}
	if wide {
		cells = append(cells, wire, policy, rule, reason)
	}
	return cells
}

// observedWord gives "100% mTLS, 12/s, 3% errors": of the traffic whose security is known, and of all requests.
func observedWord(o *graph.Observed) string {
	if o == nil {
		return "-"
	}
	var words []string
	rate := o.Requests + o.Connections
	switch {
	case rate == 0:
	case o.Known == 0:
		words = []string{"? mTLS", rateWord(rate) + "/s"}
	default:
		words = []string{shareWord(o.MTLS) + " mTLS", rateWord(rate) + "/s"}
	}
	if o.Errors > 0 && o.Requests > 0 {
		words = append(words, shareWord(o.Errors/o.Requests)+" errors")
	}
	if refused := o.Attempts() - rate; refused > 0 {
		words = append(words, rateWord(refused)+"/s refused")
	}
	if len(words) == 0 {
		return "-"
	}
	return strings.Join(words, ", ")
}

// provenWord is the mode that a probe proved.
func provenWord(p *graph.Proof) string {
	if p == nil || p.Result == nil {
		return "-"
	}
	return string(p.Result.Mode)
}

// findingsWord counts what somebody should look at; notes are none.
func findingsWord(list []graph.Finding) string {
	n := 0
	for _, f := range list {
		if f.Severity != graph.SeverityNote {
			n++
		}
	}
	if n == 0 {
		return "-"
	}
	return fmt.Sprint(n)
}

// nodeWord names a node as a person would type it.
func nodeWord(n *graph.Node) string {
	if n.Kind == graph.NodeEgress || n.Namespace == "" {
		return n.Name
	}
	return n.Name + "." + n.Namespace
}

// nodeWords names the ends of edges by their ID: with the kind before a name that another has as well, as in
// statefulset/web.shop.
func nodeWords(nodes []graph.Node) map[string]string {
	out, alike := make(map[string]string, len(nodes)), map[string]int{}
	for i := range nodes {
		if n := &nodes[i]; n.Kind != graph.NodeNamespace && n.Kind != graph.NodeService { // a service stands on the other side
			alike[nodeWord(n)]++
		}
	}
	for i := range nodes {
		n := &nodes[i]
		word := nodeWord(n)
		if kind := n.At.Ref.Kind; alike[word] > 1 && kind != "" && n.Kind != graph.NodeService {
			word = strings.ToLower(string(kind)) + "/" + word
		}
		out[n.ID] = word
	}
	return out
}

// sourceWord names the strongest source and where it stands.
func sourceWord(e *graph.Edge) string {
	if len(e.Sources) == 0 {
		return "-"
	}
	s := e.Sources[0]
	word := s.Text
	if at := s.At.Origin.String(); at != "" {
		word += " (" + at + ")"
	}
	if more := len(e.Sources) - 1; more > 0 {
		word += fmt.Sprintf(" and %d more", more)
	}
	if e.Weak() {
		word += ", weak"
	}
	return word
}

// edgesHead stands before the edges in JSON and YAML. What comes from a running mesh alone is left out without one.
type edgesHead struct {
	document
	Mesh    string      `json:"mesh,omitempty"`
	Window  *api.Window `json:"window,omitempty"`
	Trouble string      `json:"trouble,omitempty"`
	Down    []string    `json:"down,omitempty"`
}

func (a *app) printEdges(format string, v *picture) error {
	begin := edgesHead{document: head("EdgeList", v.l.snap)}
	edges := make([]api.Edge, 0, len(v.g.Edges))
	if v.live != nil {
		begin.Mesh, begin.Window, begin.Trouble, begin.Down = v.l.run.name, v.live.Window, v.live.Trouble, v.live.Down
		edges = v.live.Edges
	} else {
		for i := range v.g.Edges {
			edges = append(edges, v.g.Edges[i].JSON())
		}
	}
	out, err := a.list(format, begin)
	if err != nil {
		return err
	}
	for i := range edges {
		if err := out.add(edges[i]); err != nil {
			return err
		}
	}
	return out.end()
}
