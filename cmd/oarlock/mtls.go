package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/oarlock/oarlock/change"
	"github.com/oarlock/oarlock/manifest"
	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/resolve"
	"github.com/spf13/cobra"
)

func newMTLSCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "mtls",
		Short: "See and change policy: which ports take mTLS, plaintext, or both",
		Long: `See and change policy: which ports take mTLS, plaintext, or both.

A RESOURCE is mesh, NAMESPACE, NAMESPACE/SERVICE or NAMESPACE/SERVICE:PORT (a
name or a number). A verb sets what that resource itself says and leaves the
policies of narrower ones alone; unset takes it away, so that the wider policy
applies again.

Manifests are edited in place: only the bytes that must change are touched. With
-f - the result is printed. If a fresh parse of the result would not resolve to
what was asked, nothing is written and the exit status is 4.`,
		Example: `  oarlock -f DIR mtls require shop                 take nothing but mTLS
  oarlock -f DIR mtls allow shop/api:8080          here plaintext as well
  oarlock -f DIR mtls require shop --clients       make the clients' rules fit
  oarlock -f DIR mtls unset shop --dry-run --why   what would change, and why`,
		Args: knownVerb,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newMTLSGetCommand(a), newMTLSListCommand(a))
	for v, short := range map[change.Verb]string{
		change.Allow:   "Take mTLS and plaintext (PERMISSIVE)",
		change.Require: "Take nothing but mTLS (STRICT)",
		change.Disable: "Take nothing but plaintext (DISABLE)",
		change.Unset:   "Remove the policy, so that the wider one applies again",
	} {
		cmd.AddCommand(newMTLSChangeCommand(a, v, short))
	}
	return cmd
}

func newMTLSGetCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "get RESOURCE",
		Short: "Print the policy in force for a resource",
		Args:  between(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			format, err := a.format("table", "wide", "json", "yaml")
			if err != nil {
				return err
			}
			r, err := change.ParseResource(args[0])
			if err != nil {
				return usage(err, a.resourceLike(args[0]))
			}
			l, err := a.open(cmd.Context())
			if err != nil {
				return err
			}
			rules, err := change.InForce(l.snap, r)
			if err != nil {
				if refusal := (*change.Refusal)(nil); errors.As(err, &refusal) {
					return usage(fmt.Errorf("find %s: %s", r, refusal.Reason), a.tryInstead(args[0], err))
				}
				return usage(err, "")
			}
			return a.printRules(format, l.snap, r, rules, nil)
		},
		ValidArgsFunction: a.completeArgs(a.resourceWords),
	}
}

// tryInstead gives the command with the resource that was probably meant, "" where none is near.
func (a *app) tryInstead(typed string, err error) string {
	if r := (*change.Refusal)(nil); errors.As(err, &r) && r.Try != "" {
		return a.again(typed, r.Try)
	}
	return ""
}

// resourceLike gives the command with NS/NAME:PORT for NAME.NS:PORT, as tls-check takes it; "" for anything else.
func (a *app) resourceLike(typed string) string {
	name, port := splitPort(typed)
	words := strings.Split(name, ".")
	if len(words) < 2 || len(words) > 2 && words[2] != "svc" {
		return ""
	}
	like := words[1] + "/" + words[0]
	if port != "" {
		like += ":" + port
	}
	if _, err := change.ParseResource(like); err != nil {
		return ""
	}
	return a.again(typed, like)
}

// mtlsChange is one run of a verb that changes something.
type mtlsChange struct {
	app      *app
	verb     change.Verb
	typed    string // the resource, as typed
	resource change.Resource
	format   string

	clients, dryRun, why, yes bool

	enforced *enforcement // in a running mesh; nil before the change is written
}

func newMTLSChangeCommand(a *app, v change.Verb, short string) *cobra.Command {
	m := &mtlsChange{app: a, verb: v}
	cmd := &cobra.Command{
		Use:   v.String() + " RESOURCE",
		Short: short,
		Args:  between(1, 1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if m.format, err = a.format("table", "wide", "json", "yaml"); err != nil {
				return err
			}
			m.typed = args[0]
			if m.resource, err = change.ParseResource(args[0]); err != nil {
				return usage(err, a.resourceLike(args[0]))
			}
			return m.run(cmd.Context())
		},
		ValidArgsFunction: a.completeArgs(a.resourceWords),
	}
	f := cmd.Flags()
	f.BoolVar(&m.clients, "clients", false, "also edit DestinationRules, so that no meshed client is left in conflict")
	f.BoolVar(&m.dryRun, "dry-run", false, "print the difference and write nothing")
	f.BoolVar(&m.why, "why", false, "explain a connection before and after")
	f.BoolVar(&m.yes, "yes", false, "answer yes to what would be asked")
	return cmd
}

func (m *mtlsChange) run(ctx context.Context) error {
	if err := m.streams(); err != nil {
		return err
	}
	l, err := m.app.openForChange(ctx)
	if err != nil {
		return err
	}
	if l.run != nil {
		defer l.run.close()
	}
	if err := m.readable(l); err != nil {
		return err
	}
	plan, err := change.MTLS(l.snap, m.verb, m.resource, change.Options{Clients: m.clients})
	if err != nil {
		return refused(err, m.app.tryInstead(m.typed, err))
	}
	edits, after, err := m.preview(ctx, l, plan)
	if err != nil {
		return err
	}
	if err := m.confirm(ctx, l, after); err != nil {
		return err
	}
	if !m.dryRun && !m.printed() {
		begin := time.Now()
		if err := m.write(ctx, l, plan); err != nil {
			return err
		}
		if l.run != nil {
			if m.enforced, err = l.run.enforced(ctx, begin, wroteOf(m.what(), plan.Name, edits), m.app.flags.timeout); err != nil {
				return err
			}
		}
	}
	if err := m.report(ctx, l, plan, edits, after); err != nil {
		return err
	}
	if e := m.enforced; e != nil && e.InForce < e.Total && m.app.flags.failOn.value != "never" {
		return findings()
	}
	return nil
}

// what names the change in a line, as the list of changes has it.
func (m *mtlsChange) what() string {
	if m.clients {
		return fmt.Sprintf("%s %s with its clients", m.verb, m.resource)
	}
	return fmt.Sprintf("%s %s", m.verb, m.resource)
}

// write writes the change. Until it is done, Ctrl-C and a polite kill end it between two steps: what is half written is
// taken back.
func (m *mtlsChange) write(ctx context.Context, l *loaded, plan *change.Plan) error {
	ctx, stop := interruptible(ctx)
	defer stop()
	err := l.dir.Write(ctx, l.reading.Precondition, plan.Changes)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return refused(fmt.Errorf("change mTLS of %s: not done within %s, and nothing was written", m.resource, m.app.flags.timeout), "")
	case errors.Is(err, context.Canceled):
		return refused(fmt.Errorf("change mTLS of %s: interrupted, and nothing was written", m.resource), "")
	case err != nil:
		return m.notWritten(err)
	}
	return nil
}

// notWritten is a refusal by what is on the disk. Where somebody else was faster, the same command may do.
func (m *mtlsChange) notWritten(err error) error {
	if stale := (*mesh.StaleError)(nil); errors.As(err, &stale) {
		return refused(err, m.app.same())
	}
	return refused(err, "")
}

// interruptible gives a context that signals end, without those that the process was told to ignore.
func interruptible(ctx context.Context) (context.Context, context.CancelFunc) {
	ends := slices.DeleteFunc([]os.Signal{os.Interrupt, syscall.SIGTERM}, signal.Ignored)
	if len(ends) == 0 {
		return ctx, func() {}
	}
	return signal.NotifyContext(ctx, ends...)
}

// printed says whether the result goes to standard output because the manifests came from standard input.
func (m *mtlsChange) printed() bool { return slices.Contains(m.app.flags.files, "-") }

// streams refuses what could be neither written whole nor printed whole.
func (m *mtlsChange) streams() error {
	if m.printed() && len(m.app.flags.files) > 1 {
		return usage(fmt.Errorf("edit manifests: -f - prints its result and writes nothing; give no other path beside it"), "")
	}
	return nil
}

// readable refuses to change a mesh of which a part that bears on TLS could not be read: nobody can say what the change
// would come to.
func (m *mtlsChange) readable(l *loaded) error {
	for _, p := range l.reading.Problems {
		if p.Severity != mesh.Error || m.yes {
			continue
		}
		switch p.Ref.Kind {
		case "", mesh.KindPolicy, mesh.KindMeshPolicy, mesh.KindPeerAuthentication, mesh.KindDestinationRule, mesh.KindService:
			return refused(fmt.Errorf("change mTLS of %s: %s could not be read, and may matter", m.resource, p.Origin), m.app.again("", "--yes"))
		}
	}
	return nil
}

// preview computes the edits, reads the outcome again and makes sure that it is what was asked.
func (m *mtlsChange) preview(ctx context.Context, l *loaded, plan *change.Plan) ([]manifest.FileEdit, *mesh.Snapshot, error) {
	files, pre, err := l.dir.Files(ctx)
	if err != nil {
		return nil, nil, unreadable(err, "")
	}
	if place := differs(l.reading.Precondition, pre); place != "" {
		return nil, nil, m.notWritten(&mesh.StaleError{Place: place})
	}
	edits, err := l.dir.Preview(ctx, pre, plan.Changes)
	if err != nil {
		return nil, nil, m.notWritten(err)
	}
	opt := manifest.Options{Dialect: l.snap.Dialect, Lenient: m.app.lenient}
	outcome := change.Edited(files, edits)
	after, _ := manifest.Load(outcome, opt)
	if err := change.Verify(l.snap, after, plan); err != nil {
		return nil, nil, refused(err, "")
	}
	if m.app.flags.dialect.value != mesh.DialectAuto.String() || len(edits) == 0 {
		return edits, after, nil
	}
	// Without its last legacy policy, a folder that does not say its dialect would be read as a mesh of today.
	if now, _ := manifest.Load(outcome, manifest.Options{Lenient: m.app.lenient}); now.Dialect != l.snap.Dialect {
		return nil, nil, refused(fmt.Errorf("change mTLS of %s: the manifests would be read as dialect %s and no longer as %s; say which with --dialect, or for good with the annotation oarlock.dev/dialect on the ConfigMap istio",
			m.resource, now.Dialect, l.snap.Dialect), m.app.again("", "--dialect="+l.snap.Dialect.String()))
	}
	return edits, after, nil
}

// differs gives a place that is not in both, or not with the same content.
func differs(a, b mesh.Precondition) string {
	for _, place := range slices.Sorted(maps.Keys(a)) {
		if b[place] != a[place] {
			return place
		}
	}
	for _, place := range slices.Sorted(maps.Keys(b)) {
		if _, there := a[place]; !there {
			return place
		}
	}
	return ""
}

// report prints what was done, or would be.
func (m *mtlsChange) report(ctx context.Context, l *loaded, plan *change.Plan, edits []manifest.FileEdit, after *mesh.Snapshot) error {
	m.notes(plan)
	m.unlisted(edits)
	then := &loaded{dir: l.dir, reading: l.reading, snap: after, resolver: resolve.New(after)}
	m.conflicts(then, plan)
	if m.printed() && !m.dryRun {
		m.success(plan, after)
		return m.printManifests(ctx, l, edits)
	}
	rules, err := change.InForce(after, m.resource)
	if err != nil {
		return err
	}
	if m.format == "json" || m.format == "yaml" {
		if !m.dryRun {
			m.success(plan, after)
		}
		return m.app.printRules(m.format, after, m.resource, rules, m.document(plan, edits))
	}
	if m.why {
		m.explain(l, then)
	}
	if m.dryRun {
		m.app.note("dry run: nothing was written")
		_, err := m.app.stdout.WriteString(m.app.shown(manifest.Diff(edits)))
		return err
	}
	m.success(plan, after)
	return m.app.printRules(m.format, after, m.resource, rules[:1], nil)
}

// success prints the line that says what was done.
func (m *mtlsChange) success(plan *change.Plan, after *mesh.Snapshot) {
	what := "set"
	if m.verb == change.Unset {
		what = "unset"
	}
	if plan.Empty() {
		m.app.note("nothing had to change")
	}
	defer m.inForce()
	if m.resource.Scope == change.ScopeMesh && m.verb != change.Unset {
		m.app.note("switched global mTLS to %s successfully", change.ModeWord(m.verb.Mode(), after.Dialect))
		return
	}
	m.app.note("policy peers for %s %s successfully", m.resource.Title(), what)
}

// inForce prints how far the change is in a running mesh.
func (m *mtlsChange) inForce() {
	if m.enforced == nil {
		return
	}
	m.app.note("%s", m.enforced)
	for i, missing := range m.enforced.Missing {
		if i == linesShown && !m.app.flags.verbose {
			m.app.note("  %d more (-v names them)", len(m.enforced.Missing)-i)
			break
		}
		m.app.note("  not on %s", missing)
	}
}

// printManifests prints standard input as it is after the change.
func (m *mtlsChange) printManifests(ctx context.Context, l *loaded, edits []manifest.FileEdit) error {
	files, _, err := l.dir.Files(ctx)
	if err != nil {
		return unreadable(err, "")
	}
	for _, f := range change.Edited(files, edits) {
		if _, err := m.app.stdout.Write(f.Data); err != nil {
			return err
		}
	}
	return nil
}
