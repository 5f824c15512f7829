package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/oarlock/oarlock/graph"
	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/resolve"
	"github.com/spf13/cobra"
)

// tlsCheck is the verb's own flags and what its arguments mean.
type tlsCheck struct {
	app           *app
	conflictsOnly bool
	compat        bool

	mesh    *loaded
	format  string
	grouped bool          // no client was named: a heading for each class
	service *mesh.Service // nil: every service
	port    *mesh.Port    // nil: every port
	only    string        // with --strict-compat: the service argument as typed; "" is every row

	seen sightings         // of a running mesh, but for the plain table
	who  map[mesh.Ref]bool // the class whose rows are printed, as sightings have it
}

// checkRow is one line: a client, a port of a service or of one of its subsets, and the verdict.
type checkRow struct {
	host    string // of the service, with |subset
	target  resolve.Target
	port    *mesh.Port
	verdict resolve.Verdict
}

func newTLSCheckCommand(a *app) *cobra.Command {
	t := &tlsCheck{app: a}
	cmd := &cobra.Command{
		Use:   "tls-check [CLIENT] [SERVICE[:PORT]]",
		Short: "Whether client and server agree on TLS, port by port",
		Long: `Whether client and server agree on TLS, for each port that a client can see.

CLIENT is POD[.NS], NS/POD, deploy/NAME[.NS] (or sts, ds, job, cronjob, rs), or
outside: a caller without a sidecar. Without it, every group of clients that get
the same answers is shown once. SERVICE is a short name, NS/NAME or a full host.

The words are those of the mesh's generation of Istio; the verdict is what
really happens, also where istioctl authn tls-check was wrong. --strict-compat
prints what istioctl printed.`,
		Example: `  oarlock -f DIR tls-check web-6d5f-x2z.shop
  oarlock -f DIR tls-check deploy/web.shop api:8080
  oarlock -f DIR tls-check --conflicts`,
		Args: atMost(2),
		RunE: func(cmd *cobra.Command, args []string) error { return t.run(cmd, args) },

		ValidArgsFunction: a.completeArgs(a.clientWords, a.serviceWords),
	}
	cmd.Flags().BoolVar(&t.conflictsOnly, "conflicts", false, "show conflicts alone")
	cmd.Flags().BoolVar(&t.compat, "strict-compat", false, "print what istioctl authn tls-check printed, also where it was wrong")
	return cmd
}

// newAuthnCommand keeps the place where istioctl had the verb.
func newAuthnCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "authn", Short: "tls-check, under its old name", Hidden: true, Args: knownVerb,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(newTLSCheckCommand(a))
	return cmd
}

func (t *tlsCheck) run(cmd *cobra.Command, args []string) error {
	var err error
	if t.format, err = t.app.format("table", "wide", "json", "yaml"); err != nil {
		return err
	}
	if t.compat && len(args) == 0 {
		return usage(fmt.Errorf("run tls-check --strict-compat: istioctl wanted a client"), t.app.again("", outsideWord))
	}
	t.app.lenient = t.compat
	if t.mesh, err = t.app.open(cmd.Context()); err != nil {
		return err
	}
	classes, err := t.arguments(args)
	if err != nil {
		return err
	}
	if t.format != "table" {
		if live := t.app.witnesses(cmd.Context(), t.mesh, time.Minute, ""); live != nil {
			t.seen = sightingsOf(graphOf(live, t.mesh.snap.Dialect))
		}
	}
	if t.format == "json" || t.format == "yaml" {
		return t.printDocument(classes)
	}
	return t.printTables(classes)
}

// arguments finds whom and what the arguments mean. A single argument that is no client may be a service.
func (t *tlsCheck) arguments(args []string) ([]resolve.Class, error) {
	a, l := t.app, t.mesh
	if len(args) == 0 {
		return t.classes(), nil
	}
	c, err := a.client(l, args[0])
	if err != nil && len(args) == 1 && !t.compat {
		serr := t.findService(args[0], a.lookupNamespace(c))
		switch {
		case serr == nil:
			return t.classes(), nil
		case strings.Contains(args[0], ":"): // no client's name has a port
			return nil, serr
		case asFailure(err, exitUsage).try == "":
			err = usage(err, asFailure(serr, exitUsage).try)
		}
	}
	if err == nil && len(args) == 2 {
		if t.compat {
			t.only = args[1]
		} else {
			err = t.findService(args[1], a.lookupNamespace(c))
		}
	}
	return []resolve.Class{{Client: c}}, err
}

// findService reads SERVICE[:PORT].
func (t *tlsCheck) findService(arg, from string) (err error) {
	name, portName := splitPort(arg)
	if t.service, err = t.app.service(t.mesh, name, from); err != nil || portName == "" {
		return err
	}
	t.port, err = t.app.port(t.service, arg, portName)
	return err
}

// classes are all groups of clients, or with -n those that have a member in that namespace.
func (t *tlsCheck) classes() []resolve.Class {
	t.grouped = true
	all := t.mesh.resolver.Classes()
	ns := t.app.namespace()
	if ns == "" {
		return all
	}
	var out []resolve.Class
	for _, c := range all {
		for _, w := range c.Members {
			if w.Ref.Namespace == ns {
				out = append(out, c)
				break
			}
		}
	}
	return out
}

// rows judges every port that the client can see, in order of host and port number. A service that was asked for by name
// is judged whether the client sees it or not.
func (t *tlsCheck) rows(c resolve.Client) []checkRow {
	var out []checkRow
	for _, s := range t.mesh.snap.Services {
		if !t.shows(c, s) {
			continue
		}
		subsets := []string{""}
		if t.mesh.snap.Dialect >= mesh.Dialect14 {
			subsets = append(subsets, t.mesh.resolver.Subsets(c, s)...)
		}
		for _, subset := range subsets {
			out = t.appendPorts(out, c, s, subset)
		}
	}
	slices.SortStableFunc(out, func(x, y checkRow) int {
		return cmp.Or(strings.Compare(x.host, y.host), cmp.Compare(x.port.Number, y.port.Number))
	})
	if t.compat && t.only != "" {
		return firstOf(out, t.only)
	}
	return out
}

// shows says whether a service has rows for this client. An empty host cannot be called, so it has none.
func (t *tlsCheck) shows(c resolve.Client, s *mesh.Service) bool {
	switch {
	case s.Hostname == "":
		return false
	case t.service != nil:
		return s == t.service
	case s.External && t.mesh.snap.Dialect >= mesh.Dialect14,
		s.Resolution == mesh.ResolutionExternalName && t.mesh.snap.Dialect == mesh.Dialect14:
		return false // 1.4 stopped listing what is outside the mesh
	case t.compat:
		return true // whatever a Sidecar hides
	}
	return t.mesh.resolver.Visible(c, s)
}

func (t *tlsCheck) appendPorts(out []checkRow, c resolve.Client, s *mesh.Service, subset string) []checkRow {
	for i := range s.Ports {
		p := &s.Ports[i]
		if t.port != nil && p != t.port {
			continue
		}
		row := checkRow{host: s.Hostname, target: resolve.Target{Service: s, Port: p.Number, UDP: p.UDP(), Subset: subset}, port: p}
		if subset != "" {
			row.host += "|" + subset
		}
		if t.compat {
			row.verdict = t.mesh.resolver.Compat(c, row.target)
		} else {
			row.verdict = t.mesh.resolver.Resolve(c, row.target)
		}
		if !t.conflictsOnly || row.verdict.Status == resolve.StatusConflict {
			out = append(out, row)
		}
	}
	return out
}

// firstOf is how istioctl chose (semantics L39): the service argument had to be the whole host, letter by letter, and one
// row was printed, that of the lowest port.
func firstOf(rows []checkRow, host string) []checkRow {
	for _, r := range rows {
		if r.target.Subset == "" && r.host == host {
			return []checkRow{r}
		}
	}
	return nil
}

// printTables prints one table, or with headings one for each class of clients.
func (t *tlsCheck) printTables(classes []resolve.Class) error {
	out, found, shown := t.app.stdout, false, 0
	for _, c := range classes {
		rows := t.rows(c.Client)
		if t.grouped && len(rows) == 0 {
			continue
		}
		if t.grouped {
			if shown > 0 {
				fmt.Fprintln(out)
			}
			fmt.Fprintln(out, clean(t.mesh.heading(c)))
		}
		shown++
		tab := t.table()
		t.who = callers(c)
		for _, r := range rows {
			tab.add(t.cells(c, r)...)
			found = found || t.app.fails(r.verdict.Status)
		}
		if err := tab.write(out); err != nil {
			return err
		}
	}
	if shown == 0 {
		t.nothing()
	}
	if found {
		return findings()
	}
	return nil
}

// nothing says why there is no table.
func (t *tlsCheck) nothing() {
	switch {
	case t.conflictsOnly:
		t.app.note("oarlock: no conflicts")
	case len(t.mesh.snap.Services) == 0:
		t.app.note("oarlock: no services in %s", t.app.paths())
	default:
		t.app.note("oarlock: no clients in namespace %s", t.app.namespace())
	}
}

// heading names a class of clients by one of them.
func (l *loaded) heading(c resolve.Class) string {
	alike := len(c.Members)
	if c.Client.Workload != nil {
		alike--
	}
	h := "# " + l.clientName(c.Client)
	if alike > 0 {
		h += fmt.Sprintf(" (+%d alike)", alike)
	}
	return h
}

// fails says whether --fail-on counts a status. A conflict is an error.
func (a *app) fails(s resolve.Status) bool {
	switch a.flags.failOn.value {
	case "never":
		return false
	case "warning":
		return s == resolve.StatusConflict || s == resolve.StatusMayConflict
	}
	return s == resolve.StatusConflict
}

func (t *tlsCheck) table() *table {
	header := tlsCheckHeader()
	if t.format == "wide" {
		header = append(header, "REASON", "SYNC", "OBSERVED", "PROVEN")
	}
	tab := t.app.table(tlsCheckPadding, header...)
	narrowTLSCheck(tab)
	return tab
}

func tlsCheckHeader() []string {
	return []string{"HOST:PORT", "STATUS", "SERVER", "CLIENT", "AUTHN POLICY", "DESTINATION RULE"}
}

// narrowTLSCheck says what a narrow terminal cuts, in turns.
func narrowTLSCheck(t *table) {
	t.cuts = []cut{{"AUTHN POLICY", 16, keepBoth}, {"DESTINATION RULE", 16, keepBoth}, {"HOST:PORT", 24, keepPort}, {"AUTHN POLICY", 12, keepBoth}}
}

// cells gives one row in the words of the dialect. What no sidecar sees has no mode.
func (t *tlsCheck) cells(c resolve.Class, r checkRow) []string {
	s, v := t.mesh.snap, r.verdict
	d := s.Dialect
	policy, _ := t.mesh.resolver.Policy(v.Policy)
	rule, _ := t.mesh.rule(v.Rule)
	cells := []string{
		fmt.Sprintf("%s:%d", r.host, r.port.Number),
		v.Status.String(),
		v.Server.Word(d),
		resolve.ClientWord(v.Client, d),
		resolve.RefWord(policy, d, s.Config.RootNamespace),
		resolve.RefWord(rule, d, ""),
	}
	if v.Status == resolve.StatusNotCaptured {
		copy(cells[2:], []string{"-", "-", "-", "-"})
	}
	if t.format == "wide" {
		cells = append(cells, t.mesh.why(c.Client, r.target, v), t.mesh.syncWord(c, r.target))
		seen, proof := t.sighted(r)
		cells = append(cells, observedWord(seen), provenWord(proof))
	}
	return cells
}

// sighted is what was seen and proven of a row.
func (t *tlsCheck) sighted(r checkRow) (*graph.Observed, *graph.Proof) {
	return t.seen.of(t.who, sightKey{r.target.Service.Hostname, r.port.Number, r.target.Subset})
}

// rule gives the DestinationRule at an index of a Verdict.
func (l *loaded) rule(i int32) (mesh.Ref, mesh.Origin) {
	if i == resolve.None {
		return mesh.Ref{}, mesh.Origin{}
	}
	o := l.snap.DestinationRules[i].Object
	return o.Ref, o.Origin
}
