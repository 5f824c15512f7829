package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/oarlock/oarlock/api"
	"github.com/oarlock/oarlock/change"
	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/plan"
	"github.com/oarlock/oarlock/resolve"
	"github.com/spf13/cobra"
)

// effectsShown is how many effects are printed without -v, and whysShown how many reasons.
const (
	effectsShown = 20
	whysShown    = 5
)

// planRun is one run of plan.
type planRun struct {
	app     *app
	format  string
	against []string
	window  time.Duration
	clients bool
}

// planDocument is the answer in JSON and YAML.
type planDocument struct {
	document
	After   string          `json:"after"` // version of the mesh with the change
	Mesh    string          `json:"mesh,omitempty"`
	Name    string          `json:"name,omitempty"` // of the change that an mtls verb makes
	Objects []changedObject `json:"objects,omitempty"`
	Notes   []string        `json:"notes,omitempty"`
	*api.Impact
}

func newPlanCommand(a *app) *cobra.Command {
	p := &planRun{app: a}
	cmd := &cobra.Command{
		Use:   "plan -f NEW [--against OLD]",
		Short: "What a change breaks, mends, opens and locks, before it is made",
		Long: `What a change breaks, mends, opens and locks, before it is made. Every verdict is
taken before and after; nothing is written.

-f names the manifests as they shall be. They are compared with those of
--against, or else with the mesh that runs (--mesh, or the only one), whose
traffic is weighed in. plan mtls takes what oarlock mtls takes and compares the
mesh with and without that change.

Whom the manifests declare to call, or who was seen to, has a line of his own;
other clients that are alike share one. Breaks come first. The exit status is 1
where something breaks; with --fail-on conflict only where somebody is known to
make the call, with --fail-on warning also where something opens.`,
		Example: `  oarlock plan -f new --against old
  oarlock plan -f new --mesh jaunty-ferret
  oarlock -f DIR plan mtls require shop --clients`,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return p.files(cmd.Context()) },
	}
	cmd.Flags().StringArrayVar(&p.against, "against", nil, "manifests as they are: `PATH` of a file or directory (repeatable)")
	windowFlag(cmd, &p.window, 10*time.Minute)
	cmd.AddCommand(newPlanMTLSCommand(a))
	return cmd
}

func newPlanMTLSCommand(a *app) *cobra.Command {
	p := &planRun{app: a}
	verbs := []string{"allow", "disable", "require", "unset"}
	cmd := &cobra.Command{
		Use:   "mtls VERB RESOURCE",
		Short: "What an mtls verb would break, mend, open and lock",
		Long: `What an mtls verb would break, mend, open and lock. VERB is allow, require,
disable or unset, and RESOURCE what they take: mesh, NS, NS/SERVICE or
NS/SERVICE:PORT. Nothing is written.`,
		Example: `  oarlock plan mtls require shop
  oarlock -f DIR plan mtls disable shop/api:8080`,
		Args: between(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !slices.Contains(verbs, args[0]) {
				return usage(fmt.Errorf("run plan mtls %q: want one of %s", args[0], strings.Join(verbs, ", ")), a.againNear(args[0], verbs))
			}
			return p.mtls(cmd.Context(), args[0], args[1])
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 0 {
				return verbs, cobra.ShellCompDirectiveNoFileComp
			}
			return a.completeArgs(nil, a.resourceWords)(cmd, args, typed)
		},
	}
	cmd.Flags().BoolVar(&p.clients, "clients", false, "also edit DestinationRules, so that no meshed client is left in conflict")
	windowFlag(cmd, &p.window, 10*time.Minute)
	return cmd
}

// begin checks the flags.
func (p *planRun) begin() (err error) {
	if p.format, err = p.app.format("table", "wide", "json", "yaml"); err != nil {
		return err
	}
	return checkWindow(p.window)
}

// files compares manifests as they shall be with those that are, or with the mesh that runs.
func (p *planRun) files(ctx context.Context) error {
	a := p.app
	if err := p.begin(); err != nil {
		return err
	}
	future, running := a.flags.files, cmp.Or(a.flags.mesh, a.flags.dir)
	switch {
	case len(future) == 0:
		return usage(fmt.Errorf("run plan: -f names the manifests as they shall be, or mtls VERB RESOURCE the change"), "oarlock plan -f NEW --against OLD")
	case len(p.against) > 0 && running != "":
		return usage(fmt.Errorf("run plan: --against names another mesh than --mesh or --dir; give one of them"), "")
	}
	a.flags.files = p.against
	if len(p.against) == 0 && running == "" {
		if names, err := runningNames(); err == nil && len(names) == 0 {
			return usage(fmt.Errorf("run plan: %w to compare with; name the manifests as they are with --against", errNoMesh), a.again("", "--against OLD"))
		}
	}
	before, err := a.open(ctx)
	if err != nil {
		return err
	}
	partial := a.partial
	a.flags.files, a.flags.mesh, a.flags.dir = future, "", ""
	after, err := a.open(ctx)
	if err != nil {
		return err
	}
	a.partial = a.partial || partial
	return p.report(ctx, before, after.resolver, planDocument{})
}

// mtls compares a mesh with itself after a verb of mtls.
func (p *planRun) mtls(ctx context.Context, verb, typed string) error {
	if err := p.begin(); err != nil {
		return err
	}
	v := map[string]change.Verb{"allow": change.Allow, "disable": change.Disable, "require": change.Require, "unset": change.Unset}[verb]
	m := &mtlsChange{app: p.app, verb: v, typed: typed, clients: p.clients, dryRun: true, yes: true}
	var err error
	if m.resource, err = change.ParseResource(typed); err != nil {
		return usage(err, p.app.resourceLike(typed))
	}
	l, err := p.app.openForChange(ctx)
	if err != nil {
		return err
	}
	if l.run != nil {
		defer l.run.close()
	}
	edit, err := change.MTLS(l.snap, v, m.resource, change.Options{Clients: p.clients})
	if err != nil {
		return refused(err, p.app.tryInstead(typed, err))
	}
	edits, after, err := m.preview(ctx, l, edit)
	if err != nil {
		return err
	}
	done := m.document(edit, edits)
	return p.report(ctx, l, resolve.New(after), planDocument{Name: done.Name, Objects: done.Objects, Notes: done.Notes})
}

// report prints what comes of a change.
func (p *planRun) report(ctx context.Context, before *loaded, after *resolve.Resolver, doc planDocument) error {
	a := p.app
	seen := a.witnesses(ctx, before, p.window, "")
	impact := plan.Compare(before.resolver, after, knownCalls(after, seen))
	if seen != nil {
		impact.Trouble = seen.Trouble
	}
	if ns := a.namespace(); ns != "" {
		keepNamespace(impact, ns)
	}
	var err error
	if p.format == "json" || p.format == "yaml" {
		doc.document, doc.After, doc.Impact = head("Plan", before.snap), after.Snapshot().Version, impact
		if before.run != nil {
			doc.Mesh = before.run.name
		}
		err = a.print(p.format, doc)
	} else {
		for _, n := range doc.Notes {
			a.note("note: %s", n)
		}
		err = p.print(impact)
	}
	if err == nil && a.planFails(impact) {
		return findings()
	}
	return err
}

// keepNamespace narrows an impact to effects that have an end in a namespace; the counts follow.
func keepNamespace(i *api.Impact, ns string) {
	i.Effects = slices.DeleteFunc(i.Effects, func(e api.Effect) bool {
		in := strings.HasSuffix(e.Client, "."+ns) || strings.Contains(e.Host+".", "."+ns+".svc.")
		if !in {
			switch e.Kind {
			case plan.Breaks:
				i.Breaks--
			case plan.Opens:
				i.Opens--
			case plan.Mends:
				i.Mends--
			case plan.Locks:
				i.Locks--
			}
		}
		return !in
	})
}

// planFails says whether an impact is a finding by --fail-on.
func (a *app) planFails(i *api.Impact) bool {
	return slices.ContainsFunc(i.Effects, func(e api.Effect) bool {
		switch a.flags.failOn.value {
		case "never":
			return false
		case "conflict":
			return e.Kind == plan.Breaks && plan.Live(&e)
		case "warning":
			return e.Kind == plan.Breaks || e.Kind == plan.Opens
		}
		return e.Kind == plan.Breaks
	})
}

// print writes the counts, the table and the reasons of what comes first.
func (p *planRun) print(i *api.Impact) error {
	a := p.app
	fmt.Fprintln(a.stdout, impactWord(i))
	if len(i.Effects) == 0 {
		return nil
	}
	fmt.Fprintln(a.stdout)
	shown := i.Effects
	if hidden := len(shown) - effectsShown; hidden > 0 && !a.flags.verbose {
		shown = shown[:effectsShown]
		defer a.note("oarlock: %s more; -v prints every one, -o json all about them", plural(hidden, "effect"))
	}
	tab := p.table(shown)
	if err := tab.write(a.stdout); err != nil || p.format == "wide" {
		return err
	}
	return p.whys(shown)
}

// impactWord counts the effects of each kind.
func impactWord(i *api.Impact) string {
	var words []string
	for _, c := range []struct {
		n    int
		word string
	}{{i.Breaks, plan.Breaks}, {i.Opens, plan.Opens}, {i.Mends, plan.Mends}, {i.Locks, plan.Locks}} {
		words = append(words, fmt.Sprintf("%s %d", c.word, c.n))
	}
	others := len(i.Effects) - i.Breaks - i.Opens - i.Mends - i.Locks
	change := fmt.Sprintf("%d others change", others)
	if others == 1 {
		change = "1 other changes"
	}
	return fmt.Sprintf("%s; %s, %d stay as they are", strings.Join(words, ", "), change, i.Same)
}

func (p *planRun) table(effects []api.Effect) *table {
	a := p.app
	header := []string{"EFFECT", "CLIENT", "ALIKE", "TARGET", "WIRE", "CALLS", "SERVER"}
	if p.format == "wide" {
		header = append(header, "AUTHN POLICY", "DESTINATION RULE", "WHY")
	}
	tab := a.table(plainPadding, header...)
	if p.format != "wide" {
		tab.optional, tab.spare = []string{"ALIKE"}, []string{"SERVER"}
		if tab.namespace = onlyEffectNamespace(effects); tab.namespace == "" {
			tab.spare = append(tab.spare, "WIRE") // names matter more, and they are long
		}
		tab.cuts = []cut{{"CLIENT", 14, keepBoth}, {"TARGET", 14, keepPort}, {"CALLS", 9, keepStart}}
	}
	if a.colour {
		tab.paint = func(_ int, cell string) string { return effectColour(cell) }
	}
	for i := range effects {
		e := &effects[i]
		cells := []string{e.Kind, e.Client, fmt.Sprint(e.Alike), shortTarget(e), step(wireOf(&e.Before), wireOf(&e.After)), callsWord(e),
			step(serverOf(&e.Before), serverOf(&e.After))}
		if p.format == "wide" {
			cells = append(cells, deciderWord(e.After.Policy), deciderWord(e.After.Rule), e.Text)
		}
		tab.add(cells...)
	}
	return tab
}

// whys prints a sentence for each reason why something breaks or opens, about the first effect that has it.
func (p *planRun) whys(effects []api.Effect) error {
	a := p.app
	w := &explainer{width: a.textWidth()}
	told := map[string]bool{}
	for i := range effects {
		e := &effects[i]
		_, why, _ := strings.Cut(e.Text, ": ")
		if told[why] || e.Kind != plan.Breaks && e.Kind != plan.Opens || len(told) == whysShown && !a.flags.verbose {
			continue
		}
		if told[why] = true; len(told) == 1 {
			w.b.WriteString("\n")
		}
		w.wrap("", e.Text)
	}
	_, err := a.stdout.WriteString(w.b.String())
	return err
}

// shortTarget gives NAME.NAMESPACE:PORT, or HOST:PORT for what is no Service of the mesh.
func shortTarget(e *api.Effect) string {
	host, _, _ := strings.Cut(e.Host, ".svc.")
	return fmt.Sprintf("%s:%d", host, e.Port)
}

// step gives "before -> after", or one word where nothing changes.
func step(before, after string) string {
	if before == after {
		return after
	}
	return before + " -> " + after
}

func wireOf(s *api.Side) string {
	switch {
	case s.Status == "":
		return "none"
	case s.Status == "CONFLICT" && s.Wire == resolve.WireMixed.String():
		return "in part"
	}
	return s.Wire
}

func serverOf(s *api.Side) string {
	if s.Status == "" {
		return "none"
	}
	return s.Server
}

// callsWord says what is known of somebody making the call.
func callsWord(e *api.Effect) string {
	var words []string
	if plan.Seen(e) {
		words = append(words, rateWord(e.Requests+e.Connections)+"/s")
	}
	if e.Declared {
		words = append(words, "declared")
	}
	if len(words) == 0 {
		return "-"
	}
	return strings.Join(words, ", ")
}

func deciderWord(p *api.Place) string {
	if p == nil {
		return "-"
	}
	return resolve.RefWord(mesh.Ref{Kind: mesh.Kind(p.Kind), Namespace: p.Namespace, Name: p.Name}, mesh.DialectCurrent, "")
}

// onlyEffectNamespace is the namespace of all ends that have one; "" where there are several.
func onlyEffectNamespace(effects []api.Effect) string {
	only := ""
	for i := range effects {
		for _, name := range []string{effects[i].Client, strings.TrimSuffix(shortTarget(&effects[i]), fmt.Sprintf(":%d", effects[i].Port))} {
			ns := name[strings.LastIndexByte(name, '.')+1:]
			switch {
			case name == outsideWord:
			case only != "" && ns != only:
				return ""
			default:
				only = ns
			}
		}
	}
	return only
}

// effectColour colours the kinds of effects.
func effectColour(cell string) string {
	switch cell {
	case plan.Breaks, plan.Opens:
		return "\x1b[31m"
	case plan.Mends, plan.Locks:
		return "\x1b[32m"
	}
	return ""
}
