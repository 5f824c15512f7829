package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/oarlock/oarlock/change"
	"github.com/oarlock/oarlock/manifest"
	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/resolve"
	"github.com/spf13/cobra"
)

// linesShown is how many notes or conflicts are printed without -v.
const linesShown = 20

// ruleRow is one policy in JSON and YAML.
type ruleRow struct {
	Policy   string   `json:"policy"`
	Targets  []string `json:"targets"`
	MtlsMode string   `json:"mtlsMode"`
	Scope    string   `json:"scope"`
	Object   *place   `json:"object,omitempty"`
}

func rowOf(r change.Rule) ruleRow {
	return ruleRow{r.PolicyWord(), r.Targets, r.ModeWord(), r.Scope.String(), placeOf(r.Policy, r.Origin)}
}

// rulesDocument is the answer of get, and of the verbs that change.
type rulesDocument struct {
	document
	Resource string `json:"resource"`
	ruleRow
	Others []ruleRow       `json:"others,omitempty"` // of ports and workloads that differ
	Change *changeDocument `json:"change,omitempty"`
}

// changeDocument is what a verb did, or would do.
type changeDocument struct {
	Name      string            `json:"name,omitempty"`
	DryRun    bool              `json:"dryRun"`
	Objects   []changedObject   `json:"objects"`
	Notes     []string          `json:"notes,omitempty"`
	Conflicts []conflictSummary `json:"conflicts,omitempty"`
	Diff      string            `json:"diff,omitempty"`
	Enforced  *enforcement      `json:"enforced,omitempty"` // of a running mesh
}

type changedObject struct {
	Op string `json:"op"`
	*place
	Why string `json:"why"`
}

type conflictSummary struct {
	Host    string   `json:"host"`
	Port    uint32   `json:"port"`
	Subset  string   `json:"subset,omitempty"`
	Rule    string   `json:"rule,omitempty"`
	Cause   string   `json:"cause"`
	Clients []string `json:"clients"`
}

func (m *mtlsChange) document(plan *change.Plan, edits []manifest.FileEdit) *changeDocument {
	out := &changeDocument{Name: plan.Name, DryRun: m.dryRun, Objects: []changedObject{}, Enforced: m.enforced}
	if m.enforced != nil && m.enforced.name != "" {
		out.Name = m.enforced.name
	}
	for _, c := range plan.Changes {
		out.Objects = append(out.Objects, changedObject{c.Op.String(), placeOf(c.Ref, c.Origin), c.Why})
	}
	for _, n := range plan.Notes {
		out.Notes = append(out.Notes, n.Text)
	}
	for _, c := range plan.Conflicts {
		s := conflictSummary{Host: c.Host, Port: c.Port, Subset: c.Subset, Cause: c.Cause.String()}
		if !c.Rule.IsZero() {
			s.Rule = c.Rule.String()
		}
		for _, w := range c.Clients {
			s.Clients = append(s.Clients, w.Ref.String())
		}
		out.Conflicts = append(out.Conflicts, s)
	}
	if m.dryRun {
		out.Diff = manifest.Diff(edits)
	}
	return out
}

// printRules prints the policies in force for a resource, the main one first.
func (a *app) printRules(format string, s *mesh.Snapshot, r change.Resource, rules []change.Rule, done *changeDocument) error {
	if format == "json" || format == "yaml" {
		doc := rulesDocument{document: head("MTLSRule", s), Resource: r.String(), ruleRow: rowOf(rules[0]), Change: done}
		for _, o := range rules[1:] {
			doc.Others = append(doc.Others, rowOf(o))
		}
		return a.print(format, doc)
	}
	fmt.Fprintf(a.stdout, "mTLS rule for %s\n\n", clean(r.Title()))
	header := []string{"Policy", "Targets", "MtlsMode"}
	if format == "wide" {
		header = append(header, "Scope", "Origin")
	}
	t := a.table(narrowPadding, header...)
	for _, o := range rules {
		t.add(ruleCells(o, format)...)
	}
	return t.write(a.stdout)
}

func ruleCells(r change.Rule, format string) []string {
	cells := []string{r.PolicyWord(), "[" + strings.Join(r.Targets, " ") + "]", r.ModeWord()}
	if format == "wide" {
		at := r.Origin.String()
		if at == "" {
			at = "-"
		}
		cells = append(cells, r.Scope.String(), at)
	}
	return cells
}

// listRow is one policy of the list in JSON and YAML.
type listRow struct {
	ruleRow
	InForce bool   `json:"inForce"`
	Reason  string `json:"reason,omitempty"`
}

func newMTLSListCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "list [NAMESPACE]",
		Short: "Print every policy, and which of them decide nothing",
		Long: `Print every policy, and which of them decide nothing.

-o wide adds the scope, where the policy was read, and whether it is in force
anywhere.`,
		Args: atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			format, err := a.format("table", "wide", "json", "yaml")
			if err != nil {
				return err
			}
			l, err := a.open(cmd.Context())
			if err != nil {
				return err
			}
			ns := a.namespace()
			if len(args) == 1 {
				ns = args[0]
				if known := l.namespaces(); !slices.Contains(known, ns) {
					return usage(fmt.Errorf("find namespace %q: there is %s", ns, someOf(known)), a.againNear(ns, known))
				}
			}
			rows := slices.DeleteFunc(change.List(l.snap), func(r change.Row) bool {
				return ns != "" && r.Policy.Namespace != ns && r.Scope != change.ScopeMesh
			})
			return a.printList(format, l.snap, rows)
		},
		ValidArgsFunction: a.completeArgs(func(l *loaded, _ []string) []string { return l.namespaces() }),
	}
}

func (a *app) printList(format string, s *mesh.Snapshot, rows []change.Row) error {
	if format == "json" || format == "yaml" {
		out, err := a.list(format, head("MTLSRuleList", s))
		if err != nil {
			return err
		}
		for _, r := range rows {
			if err := out.add(listRow{rowOf(r.Rule), r.InForce, r.Reason}); err != nil {
				return err
			}
		}
		return out.end()
	}
	header := []string{"Policy", "Targets", "MtlsMode"}
	if format == "wide" {
		header = append(header, "Scope", "Origin", "State")
	}
	t := a.table(narrowPadding, header...)
	for _, r := range rows {
		cells := ruleCells(r.Rule, format)
		if format == "wide" {
			state := "in force"
			if !r.InForce {
				state = r.Reason
			}
			cells = append(cells, state)
		} else if !r.InForce {
			a.note("%s is not in force: %s", r.PolicyWord(), r.Reason)
		}
		t.add(cells...)
	}
	if len(rows) == 0 {
		a.note("no policies")
		return nil
	}
	return t.write(a.stdout)
}

// notes prints what the person should know besides.
func (m *mtlsChange) notes(plan *change.Plan) {
	for i, n := range plan.Notes {
		if i == linesShown && !m.app.flags.verbose {
			m.app.note("note: %d more; -v prints every one", len(plan.Notes)-i)
			return
		}
		m.app.note("note: %s", n.Text)
		if n.Try != "" {
			m.app.note("  try: %s", m.app.insteadOf(n.Try))
		}
	}
}

// unlisted notes new files that kustomize would leave out.
func (m *mtlsChange) unlisted(edits []manifest.FileEdit) {
	for _, e := range edits {
		if e.Before != nil {
			continue
		}
		for _, name := range []string{"kustomization.yaml", "kustomization.yml"} {
			if list := filepath.Join(filepath.Dir(e.Name), name); exists(list) {
				m.app.note("note: kustomize leaves %s out until it stands among the resources of %s", e.Name, list)
			}
		}
	}
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// insteadOf is this command with other words than "mtls VERB RESOURCE", without the flags of the verb.
func (a *app) insteadOf(with string) string {
	words, placed := []string{"oarlock"}, false
	for i, w := range a.args {
		switch {
		case a.flagValue(i):
			words = append(words, quoteWord(w))
		case w == "--clients", w == "--dry-run", w == "--why", w == "--yes":
		case strings.HasPrefix(w, "-"):
			words = append(words, quoteWord(w))
		case !placed:
			words, placed = append(words, with), true
		}
	}
	return strings.Join(words, " ")
}

// conflicts prints what meshed clients meet after the change, with the command that mends it.
func (m *mtlsChange) conflicts(after *loaded, plan *change.Plan) {
	for i, c := range plan.Conflicts {
		if i == linesShown && !m.app.flags.verbose {
			m.app.note("conflict: %d more; -v prints every one", len(plan.Conflicts)-i)
			break
		}
		rule := "no rule is in force"
		if !c.Rule.IsZero() {
			rule = c.Rule.String() + " is in force"
		}
		first := after.clientName(resolve.Client{Workload: c.Clients[0]})
		if n := len(c.Clients); n > 1 {
			first += fmt.Sprintf(" (+%d)", n-1)
		}
		m.app.note("conflict: %s -> %s: %s; %s", first, c, c.Cause.Clause(resolve.WireRefused, mesh.ClientUnset), rule)
	}
	if len(plan.Conflicts) > 0 {
		m.app.note("try: %s", m.app.insteadOf(fmt.Sprintf("mtls %s %s --clients", m.verb, m.typed)))
	}
}

// explain prints the same connection before and after.
func (m *mtlsChange) explain(before, after *loaded) {
	c, t, ok := m.sample(before, after)
	if !ok {
		m.app.note("no connection to explain: %s has no service port", m.resource)
		return
	}
	was, there := twin(before, c, t)
	if there {
		fmt.Fprintln(m.app.stdout, "# before")
		m.explainOne(before, was.client, was.target)
	}
	fmt.Fprintln(m.app.stdout, "# after")
	m.explainOne(after, c, t)
}

func (m *mtlsChange) explainOne(l *loaded, c resolve.Client, t resolve.Target) {
	e := &explainer{l: l, x: l.resolver.Explain(c, t), width: m.app.textWidth(), all: m.app.flags.verbose}
	e.write()
	fmt.Fprintln(m.app.stdout, strings.TrimRight(e.b.String(), "\n"))
	fmt.Fprintln(m.app.stdout)
}

// connection is one question to the resolver.
type connection struct {
	client resolve.Client
	target resolve.Target
}

// sample picks a connection that shows the change: one whose verdict is another than before, else any to the resource.
func (m *mtlsChange) sample(before, after *loaded) (resolve.Client, resolve.Target, bool) {
	var any *connection
	for _, class := range after.resolver.Classes() {
		for _, s := range after.snap.Services {
			for _, p := range s.Ports {
				if !m.about(s, &p) {
					continue
				}
				q := connection{class.Client, resolve.Target{Service: s, Port: p.Number}}
				was, ok := twin(before, q.client, q.target)
				if !ok || !before.resolver.Resolve(was.client, was.target).Equal(after.resolver.Resolve(q.client, q.target)) {
					return q.client, q.target, true
				}
				if any == nil {
					any = &q
				}
			}
		}
	}
	if any == nil {
		return resolve.Client{}, resolve.Target{}, false
	}
	return any.client, any.target, true
}

// about says whether the verb is about a service port.
func (m *mtlsChange) about(s *mesh.Service, p *mesh.Port) bool {
	r := m.resource
	switch {
	case s.Entry(), r.Scope >= change.ScopeNamespace && s.Ref.Namespace != r.Namespace:
		return false
	case r.Scope >= change.ScopeService && s.Ref.Name != r.Service:
		return false
	}
	return r.Scope != change.ScopePort || p.Name == r.Port || fmt.Sprint(p.Number) == r.Port
}

// twin finds a connection of one snapshot in another one.
func twin(l *loaded, c resolve.Client, t resolve.Target) (connection, bool) {
	out := connection{target: resolve.Target{Port: t.Port, Subset: t.Subset}}
	for _, s := range l.snap.Services {
		if s.Ref == t.Service.Ref && s.Hostname == t.Service.Hostname {
			out.target.Service = s
		}
	}
	if c.Workload != nil {
		for _, w := range l.snap.Workloads {
			if w.Ref == c.Workload.Ref {
				out.client.Workload = w
			}
		}
	}
	return out, out.target.Service != nil && (c.Workload == nil) == (out.client.Workload == nil)
}
